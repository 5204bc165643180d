# SPDX-License-Identifier: GPL-2.0-only
"""Runs against what is expected of them.

Takes Runs and Expectations, gives a Judgement: the word for each cell of the table, and
what is not as expected.  The words: pass, skip, fail (as expected), known (an upstream
test that is known to fail), "." (not to run there), "-" (its test died before); in
capitals what is not expected: FAIL, PASS (listed as failing), SKIP (listed as failing, or
not listed in skips), LOST (did not run, though others of its test did).
"""
import collections
import dataclasses

from .model import OUTSIDE, title

UNEXPECTED = ("FAIL", "PASS", "SKIP", "LOST")


@dataclasses.dataclass
class Cell:
    """word, the Case (None if it didn't run), its Entry or None, what is wrong or ""."""

    word: str
    case: object
    entry: object
    problem: str = ""


@dataclasses.dataclass
class Judgement:
    """rows are (test, name), cells are by (row, number of the run)."""

    runs: list
    rows: list = dataclasses.field(default_factory=list)
    cells: dict = dataclasses.field(default_factory=dict)
    # Problems of no cell.
    others: list = dataclasses.field(default_factory=list)

    def row(self, row):
        """The Cells of a row, run by run."""
        return [self.cells[row, i] for i in range(len(self.runs))]

    @property
    def counts(self):
        """How often each word is there."""
        return collections.Counter(c.word for c in self.cells.values())

    @property
    def problems(self):
        """What is not as expected, a line each."""
        return [c.problem for c in self.cells.values() if c.problem] + self.others


def _word(case, entry, kdir):
    """The word for a case that ran, but for skips that have to be listed."""
    if case.result == "fail":
        return "FAIL" if not entry else "known" if entry.kind == "known" else "fail"
    expected = entry and entry.kind == "expected"
    if case.result == "pass":
        return "PASS" if expected or (entry and not kdir) else "pass"
    return "SKIP" if expected else "skip"


def _problem(word, run, row, case, entry):
    """What is wrong, for people, or ""."""
    if word not in UNEXPECTED:
        return ""
    what = {"FAIL": "unexpected failure", "LOST": "did not run"}.get(word)
    if not what:
        listed = f"listed in {entry.place}" if entry else "not listed in skips"
        what = f"{'passes' if word == 'PASS' else 'is skipped'}, but is {listed}"
    why = f": {case.detail}" if case and case.detail else ""
    return f"{what}: {run.machine} {run.phase} {title(*row)}{why}"


def judge(runs, expected, ours, full=False):
    """The Judgement of runs against Expectations.

    ours are the names of our own tests, whose skips have to be listed, unless the base is
    "kdir".  With full everything ran, so an entry that matches nothing is a problem.
    """
    found = [r.by_name() for r in runs]
    ran = [{test for test, _ in cases} for cases in found]
    died = [r.died() for r in runs]
    kdir = expected.base == "kdir"
    result = Judgement(runs, list(dict.fromkeys(row for cases in found for row in cases)))
    for row in result.rows:
        for i, run in enumerate(runs):
            case = found[i].get(row)
            entry = expected.find(run, *row, case)
            if case:
                word = _word(case, entry, kdir)
                if word == "skip" and not kdir and row[0] in ours and \
                        not expected.find(run, *row, case, skips=True):
                    word = "SKIP"
            elif row[0] not in ran[i] or row[1] in (*OUTSIDE, "modules", "-"):
                word = "."
            else:
                word = "-" if row[0] in died[i] else "LOST"
            result.cells[row, i] = Cell(word, case, entry,
                                        _problem(word, run, row, case, entry))
    if full:
        result.others = [f"{e.place} matches no case that ran" for e in expected.unused(runs)]
    # That the machine itself is well says nothing of the tests.
    if not result.problems and not any(
            cell.word in ("pass", "fail", "known") and row[0] not in ("machine", "dmesg")
            for (row, _), cell in result.cells.items()):
        result.others.append("no test has run")
    return result
