# SPDX-License-Identifier: GPL-2.0-only
"""What each patch of a series changes in the results of the tests.

Takes RESULTS/steps, a line for each state of the tree, beginning with the one without
patches: the number of the directory with its results, the name of the patch, and the
tests that the patch adds.
"""
import collections
import dataclasses
import pathlib

from . import store
from .model import OUTSIDE, Error, title

# What a patch does to a case, by the result from then on.
VERBS = {"pass": "mends", "skip": "skips", "none": "drops"}
SHOWN = 5


@dataclasses.dataclass
class Step:
    """The directory of its results, the patch, and what the patch does, good and bad."""

    directory: str
    name: str
    changes: dict = dataclasses.field(
        default_factory=lambda: {verb: collections.Counter() for verb in VERBS.values()})
    wrong: list = dataclasses.field(default_factory=list)


def read(results):
    """The Steps, and for each test that a patch adds the number of that step."""
    path = pathlib.Path(results, "steps")
    lines = [line.split() for line in store.read_lines(path)] if path.is_file() else []
    if not lines or not all(len(words) > 1 for words in lines):
        raise Error(f"no steps in {results}")
    since = {test: i for i, words in enumerate(lines) for test in words[2:]}
    return [Step(*words[:2]) for words in lines], since


def _follow(steps, since, test, name, machine, results):
    """Judge how the results of a case go on from step to step."""
    what = f"{title(test, name)} on {machine}"
    added = since.get(test)
    changed = False
    for i in range(1, len(steps)):
        old, new = results[i - 1], results[i]
        if added is not None and i >= added and new == "fail":
            steps[i].wrong.append(f"{what} fails, though patch {added} adds it")
        # What does not run before the series can not change with it.
        if old == new or (old == "none" and i == 1):
            continue
        # A test that needs two patches may be skipped without the first one.
        if old != "pass" and new == "fail" and added is not None and i < added:
            continue
        if changed or new != results[-1]:
            steps[i].wrong.append(f"{what}: {old}, then {new}, at the end {results[-1]}")
        elif new == "fail" or (new == "none" and name not in OUTSIDE):
            steps[i].wrong.append(f"{what}: {old}, then {new}")
        else:
            steps[i].changes[VERBS[new]][test] += 1
        changed = True


def judge(results, machines):
    """The Steps in RESULTS on a list of machines, with what is right and wrong; raises Error."""
    steps, since = read(results)
    # By directory; a patch that leaves the kernel as it is shares that of the one before.
    found = {}
    for directory in dict.fromkeys(s.directory for s in steps):
        for run in store.load_all(results, [directory], machines):
            found[directory, run.machine] = {
                row: case.result for row, case in run.by_name().items()}
    for machine, test, name in dict.fromkeys((m, *row) for (_, m), r in found.items() for row in r):
        _follow(steps, since, test, name, machine,
                [found[s.directory, machine].get((test, name), "none") for s in steps])
    return steps


def render(steps):
    """A line "ok patch N of M, NAME: ..." or "not ok ..." for each patch."""
    text = ""
    for i in range(1, len(steps)):
        step = steps[i]
        said = "; ".join(
            f"{verb} " + ", ".join(f"{test} ({count})" for test, count in tests.items())
            for verb, tests in step.changes.items() if tests)
        if not said:
            same = step.directory == steps[i - 1].directory
            said = "the same kernel" if same else "changes no result"
        if step.wrong:
            said = "; ".join(step.wrong[:SHOWN])
            if len(step.wrong) > SHOWN:
                said += f"; and {len(step.wrong) - SHOWN} more"
        word = "not ok" if step.wrong else "ok"
        text += f"{word} patch {i} of {len(steps) - 1}, {step.name}: {said}\n"
    return text
