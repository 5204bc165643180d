# SPDX-License-Identifier: GPL-2.0-only
"""Which cases may fail or be skipped: the files of selftests/, matched here only.

  expected/BASE                    MACHINE TEST CASE[~REASON]      # comment
  known-failures, skips            WHERE MACHINE TEST[:CASE]       # comment

All words are globs.  WHERE is the name of a base, a kernel's release, or a phase.
expected/BASE is for the phase "before" alone.  With ~REASON the entry is of a race: the
case fails with such a reason, or passes, or doesn't run.
"""
import dataclasses
import pathlib

from . import model, store


@dataclasses.dataclass
class Entry:
    """A line; kind is expected, known or skips, place FILE:LINE, reason its comment."""

    kind: str
    place: str
    where: object
    machine: object
    test: object
    case: object
    race: object = None
    reason: str = ""
    used: bool = False

    def concerns(self, base, run, phase=True):
        """Is it for this base, kernel and (unless phase is false) phase?"""
        if self.kind == "expected":
            return not phase or run.phase == "before"
        words = (base, run.kernel, run.phase) if phase else (base, run.kernel)
        return any(self.where.fullmatch(w) for w in words)


def _entry(kind, place, words, reason):
    if kind == "expected":
        machine, test, case = words
        case, tilde, race = case.partition("~")
        return Entry(kind, place, None, *map(model.glob, (machine, test, case)),
                     model.glob(race) if tilde else None, reason)
    test, colon, case = words[2].partition(":")
    return Entry(kind, place, *map(model.glob, (*words[:2], test, case if colon else "*")),
                 None, reason)


def read(path, kind):
    """The Entries of a file; raises Error, with status 2, for a line that isn't one."""
    entries = []
    path = pathlib.Path(path)
    for number, line in enumerate(store.read_lines(path, "list"), 1):
        text, _, reason = line.partition("#")
        words = text.split()
        if len(words) == 3:
            entries.append(_entry(kind, f"{path.name}:{number}", words, reason.strip()))
        elif words:
            raise model.Error(f"{path.name}:{number}: three words wanted", 2)
    return entries


class Expectations:
    """All entries that count for a base; find() is the only place that matches them."""

    def __init__(self, base, entries):
        self.base = base
        self.entries = entries

    @classmethod
    def load(cls, directory, base):
        """Those of a directory that is laid out as selftests/; raises Error."""
        files = {"expected": f"expected/{base}", "known": "known-failures", "skips": "skips"}
        entries = []
        for kind, name in files.items():
            path = pathlib.Path(directory, name)
            if path.exists():
                entries += read(path, kind)
        return cls(base, entries)

    def find(self, run, test, name, case=None, skips=False):
        """The first Entry that says this case fails, or None; marks it as used.

        case is the Case, if it ran.  With skips: that says it may be skipped.
        """
        for entry in self.entries:
            if (entry.kind == "skips") != skips or not entry.concerns(self.base, run):
                continue
            if entry.race and not (case and case.result == "fail"
                                   and entry.race.fullmatch(case.detail)):
                continue
            if (entry.machine.fullmatch(run.machine) and entry.test.fullmatch(test)
                    and entry.case.fullmatch(name)):
                entry.used = True
                return entry
        return None

    def unused(self, runs):
        """Entries that find() never gave, though they concern these runs."""
        return [e for e in self.entries
                if not (e.used or e.race or (e.kind != "expected" and self.base == "kdir"))
                and any(e.machine.fullmatch(r.machine) and e.concerns(self.base, r, False)
                        for r in runs)]
