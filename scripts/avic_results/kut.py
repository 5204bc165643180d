# SPDX-License-Identifier: GPL-2.0-only
"""Where results of KVM-unit-tests differ from the reference.

The reference is the machine noavic in the first phase.  Takes Runs, gives a Verdict.  Of a
test that stopped early only that is said, not which cases are missing.
"""
import dataclasses

from .model import OUTSIDE, Error, title

REFERENCE = "noavic"


@dataclasses.dataclass
class Verdict:
    """lines: what differs, and a summary; bad: how much of it is worse, and not known.

    failure is empty if a test has run in the reference, otherwise it says so.
    """

    lines: list
    bad: int
    failure: str


class _Column:
    """A Run for look-ups."""

    def __init__(self, run):
        self.run, self.cases, self.died = run, run.by_name(), run.died()

    def result(self, row):
        """Tests that pass have no case exit or plan."""
        case = self.cases.get(row)
        return case.result if case else "pass" if row[1] in OUTSIDE else "none"


def _compare(row, reference, columns):
    """Does the row differ in a machine's columns, is it worse, and the last failure's detail."""
    expected = reference.result(row)
    differs = worse = False
    detail = ""
    for column in columns:
        got = column.result(row)
        if got == expected or (got == "none" and row[0] in column.died) or (
                expected == "none" and row[0] in reference.died and got != "fail"):
            continue
        differs = True
        worse = column is columns[-1] and got != "pass"
        if got == "fail":
            detail = column.cases[row].detail
    return differs, worse, detail


def judge(runs, known):
    """The Verdict on Runs, phase by phase; known are Expectations.  Raises Error."""
    columns = [_Column(r) for r in runs]
    phases = list(dict.fromkeys(r.phase for r in runs))
    machines = list(dict.fromkeys(r.machine for r in runs))
    reference = next((c for c in columns if c.run.machine == REFERENCE), None)
    if not reference:
        raise Error(f"no results of {REFERENCE}, the reference")
    rows = list(dict.fromkeys(row for c in columns for row in c.cases))
    lines, bad = [], 0
    for machine in machines:
        mine = [c for c in columns if c.run.machine == machine]
        for row in rows:
            differs, worse, detail = _compare(row, reference, mine)
            if not differs:
                continue
            entry = worse and known.find(mine[-1].run, *row, mine[-1].cases.get(row))
            blame = worse and not entry
            bad += blame
            shown = "".join(f", {c.run.phase} {c.result(row)}" for c in mine)
            lines.append(f"{'WORSE: ' * blame}{machine} {title(*row)}: AVIC off "
                         f"{reference.result(row)}{shown}{f' ({detail})' if detail else ''}"
                         f"{f', known: {entry.reason}' if entry else ''}")
    cases = [reference.cases[row] for row in rows if row in reference.cases]
    skipped = [c for c in cases if c.result == "skip"]
    failing = sum(c.result == "fail" for c in cases)
    lines.append(f"{len(cases)} results with AVIC off {phases[0]}, {failing} of them failures, "
                 f"{len(skipped)} skipped; {len(lines)} differ elsewhere, {bad} unexpected")
    failure = ""
    if all(c.result == "skip" or c.test in ("machine", "dmesg") for c in cases):
        why = skipped[-1].detail if skipped else ""
        failure = f"no test has run{f': {why}' if why else ''}"
    return Verdict(lines, bad, failure)
