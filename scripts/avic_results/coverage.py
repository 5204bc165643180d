# SPDX-License-Identifier: GPL-2.0-only
"""What gcov counted in the test machines: the lines and branches that no test executes.

A count is of a line, (function, number): how often it was executed, and a list of how often
each of its branches was taken.
"""
import base64
import binascii
import difflib

from .model import Error

BEGIN, END = "gcda ", "gcda end"


def from_console(lines, machine):
    """{name: content} of the .gcda files that a machine has written to its console.

    Each is a line "gcda NAME", its content in base64, and a line "gcda end".  Raises Error,
    with the machine's name, if one isn't complete.
    """
    files, name, text = {}, None, ""
    for line in lines:
        if line == END and name is not None:
            try:
                files[name] = base64.b64decode(text, validate=True)
            except binascii.Error:
                raise Error(f"{machine}: the counts of {name} got garbled") from None
            name = None
        elif line.startswith(BEGIN):
            name, text = line.removeprefix(BEGIN), ""
        elif name is not None:
            text += line
    if name is not None:
        raise Error(f"{machine}: the counts of {name} end early")
    return files


def add(counts, said, file):
    """Add to counts what "gcov --json-format --branch-probabilities" says of a source file.

    Raises Error if it says nothing of it.
    """
    entries = [e for e in said["files"] if ("/" + e["file"]).endswith("/" + file)]
    if not entries:
        raise Error(f"gcov says nothing of {file}")
    for line in entries[0]["lines"]:
        key = line.get("function_name", "?"), line["line_number"]
        branches = [b["count"] for b in line["branches"]]
        old, olds = counts.get(key, (0, [0] * len(branches)))
        counts[key] = old + line["count"], [a + b for a, b in zip(olds, branches)]


def changed(before, after):
    """The numbers of the lines of after that aren't in before."""
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    return {number + 1 for op, _, _, start, end in matcher.get_opcodes() if op != "equal"
            for number in range(start, end)}


def _share(values):
    return f"{sum(map(bool, values))}/{len(values)}"


def table(counts, source, marked=()):
    """The lines of the table.

    A function that isn't complete has a line with the lines and the branches that were
    executed, of how many; after it come the lines that never were, and those of which only
    some branches were taken.  source has the file's lines, those in marked get a "+".
    Branches of a line that was never executed don't count.
    """
    functions = {}
    for (function, number), count in sorted(counts.items(), key=lambda c: c[0][1]):
        functions.setdefault(function, []).append((number, *count))
    rows, totals, complete = [], [[], []], 0
    for name, lines in functions.items():
        hits = [hit for _, hit, _ in lines]
        ways = [b for _, hit, branches in lines if hit for b in branches]
        totals[0] += hits
        totals[1] += ways
        if all(hits) and all(ways):
            complete += 1
            continue
        rows.append(f"{name:<45} {_share(hits):>9} {_share(ways):>9}")
        for number, hit, branches in lines:
            if not hit or not all(branches):
                mark = "+" if number in marked else " "
                rows.append(f"{number:>6} {_share(branches) if hit else 'never':>6} {mark} "
                            f"{source[number - 1].strip()}")
    head = f"{'function':<45} {'lines':>9} {'branches':>9}"
    foot = f"{f'all {len(functions)}, {complete} of them complete':<45} " \
           f"{_share(totals[0]):>9} {_share(totals[1]):>9}"
    return [head, *rows, foot]
