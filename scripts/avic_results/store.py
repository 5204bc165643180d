# SPDX-License-Identifier: GPL-2.0-only
"""The files that results are kept in.

RESULTS/PHASE/MACHINE/cases has a line a case: test, case, result, detail, separated by
tabs.  RESULTS/PHASE/release has the kernel's release, RESULTS/PHASE/MACHINE/tap what
else is known: the series, and what a test said before it failed.
"""
import dataclasses
import json
import os
import pathlib

from . import tap
from .model import Case, Error, Run


def read_lines(path, what="file"):
    """The lines of a file, without newlines; what doesn't decode survives a write.

    Raises Error, with "no such WHAT", if it can't be read.
    """
    try:
        text = pathlib.Path(path).read_bytes().decode("utf-8", "surrogateescape")
    except OSError:
        raise Error(f"no such {what}: {path}") from None
    return text.removesuffix("\n").split("\n") if text else []


def write(path, text):
    """Write a file so that it's there in whole or not at all; raises Error."""
    new = f"{path}.new"
    try:
        with open(new, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            file.write(text)
        os.replace(new, path)
    except OSError as e:
        raise Error(f"cannot write {path}: {e.strerror}") from None


def load(results, phase, machine):
    """The Run in RESULTS/PHASE/MACHINE; raises Error if there is none."""
    directory = pathlib.Path(results, phase, machine)
    path = directory / "cases"
    lines = read_lines(path) if path.is_file() else []
    if not lines:
        raise Error(f"no results of {machine}, {phase} (looked for {path})")
    run = Run(machine, phase)
    if (directory.parent / "release").is_file():
        run.kernel = " ".join(read_lines(directory.parent / "release"))
    said = {}
    if (directory / "tap").is_file():
        known = read_lines(directory / "tap")
        facts = tap.facts(known)
        run.series, run.qemu = (facts.get(name, "unknown") for name in ("series", "qemu"))
        said = {(c.test, c.name): c.notes for c in tap.read(known) if c.result == "fail"}
    for number, line in enumerate(lines, 1):
        test, name, result, detail, *_ = (*line.split("\t"), "", "", "", "")
        if result not in ("pass", "fail", "skip"):
            raise Error(f"{path}:{number}: wanted test, case, result and detail")
        run.cases.append(Case(test, name, result, detail, said.get((test, name), ())))
    return run


def load_all(results, phases, machines):
    """The Runs of lists of phases and machines, phase by phase; raises Error."""
    return [load(results, p, m) for p in phases for m in machines]


def save_json(path, runs):
    """Write Runs as JSON: {"runs": [...]}, with the fields of Run and Case; raises Error."""
    write(path, json.dumps({"runs": [dataclasses.asdict(r) for r in runs]}, indent=1) + "\n")


def load_json(path):
    """The Runs that save_json wrote; raises Error."""
    try:
        return [
            Run(**{**r, "cases": [Case(**{**c, "notes": tuple(c["notes"])}) for c in r["cases"]]})
            for r in json.loads("\n".join(read_lines(path)))["runs"]
        ]
    except (ValueError, TypeError, KeyError):
        raise Error(f"{path} has no results as JSON") from None
