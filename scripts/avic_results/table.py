# SPDX-License-Identifier: GPL-2.0-only
"""A Judgement for the terminal: table, counts, and what is not as expected."""
import collections

COLOURS = {"pass": "32", "fail": "33", "known": "33", "skip": "36"}


def _paint(word, width, colour):
    code = COLOURS.get(word, "1;31" if word.isupper() else None)
    text = f"{word:<{width}}"
    return f"\033[{code}m{text}\033[0m" if colour and code else text


def _table(judgement, phases, machines, colour):
    """The lines of the table; columns go machine by machine, and there phase by phase."""
    tests = {}
    for row in judgement.rows:
        tests.setdefault(row[0], []).append(row)
    words = {row: [c.word for c in judgement.row(row)] for row in judgement.rows}
    same = {row for row in words if set(words[row]) == {"pass"}}
    width = max([30, *(len(t) + 1 for t in tests),
                 *(len(name) + 3 for t, name in words if (t, name) not in same)])
    group = max(7 * len(phases), 10)
    column = 7 if len(phases) > 1 else group
    yield " " * width + "".join(f"{m:<{group}} " for m in machines)
    heads = "".join(f"{p:<{column}}" for p in phases)
    yield f"{'test':<{width}}" + f"{heads} " * len(machines)

    def show(label, row):
        cells = ""
        for m in range(len(machines)):
            for word in words[row][m::len(machines)]:
                cells += _paint(word, column, colour)
            cells += " "
        return f"{label:<{width}}{cells}"

    for test, rows in tests.items():
        equal = [r for r in rows if r in same]
        if len(rows) == 1:
            name = rows[0][1]
            yield show(test if name == "-" else f"{test}: {name}", rows[0])
        elif len(equal) == len(rows):
            yield show(f"{test}, {len(rows)} cases", rows[0])
        else:
            yield test
            for row in rows:
                if row not in same:
                    yield show(f"  {row[1]}", row)
            if equal:
                yield show(f"  {len(equal)} other cases", equal[-1])


def render(judgement, phases, machines, colour=False):
    """The text; judgement's runs are of each machine in the first phase, the second, ..."""
    lines = list(_table(judgement, phases, machines, colour))
    n = judgement.counts
    failed = n["FAIL"] + n["fail"] + n["known"] + n["LOST"]
    lines += ["", f"{n.total() - n['.'] - n['-']} results: {n['pass'] + n['PASS']} passed, "
              f"{failed} failed ({n['fail']} as expected, {n['known']} known upstream), "
              f"{n['skip'] + n['SKIP']} skipped"]
    reasons = collections.Counter(
        c.case.detail for c in judgement.cells.values() if c.word == "skip")
    lines += [f"  skipped {count}: {why or 'no reason given'}" for why, count in reasons.items()]
    lines += [f"not as expected: {p}" for p in judgement.problems]
    if not judgement.problems:
        lines.append("all as expected")
    return "\n".join(lines) + "\n"
