# SPDX-License-Identifier: GPL-2.0-only
"""What results are made of: a case, a run; how patterns are meant, how errors are told."""
import dataclasses
import re

# Rows that tests have only if they fail outside of their cases.
OUTSIDE = ("exit", "plan")


class Error(Exception):
    """For people: one line that says what is wrong; status is that of the program."""

    def __init__(self, message, status=1):
        super().__init__(message)
        self.status = status


@dataclasses.dataclass(frozen=True)
class Case:
    """One result.

    name is "-" for a test without cases, result is pass, fail or skip, detail the reason
    (or empty), and notes a tuple of the lines that the test wrote since its last case.
    """

    test: str
    name: str
    result: str
    detail: str = ""
    notes: tuple = ()

    @property
    def title(self):
        """The name by which people know the case: TEST, or TEST:CASE."""
        return title(self.test, self.name)

    def line(self):
        """The case as it is in the file "cases", without notes."""
        return "\t".join((self.test, self.name, self.result, self.detail.replace("\t", " ")))


def title(test, name):
    """TEST, or TEST:CASE if it has cases."""
    return test if name == "-" else f"{test}:{name}"


@dataclasses.dataclass
class Run:
    """All cases of a machine in a phase: before, after, tree, or a step's number.

    kernel is its release, series the hash of the patches or "none", qemu what QEMU says of
    its version; they are "unknown" if nothing says so.
    """

    machine: str
    phase: str
    kernel: str = "unknown"
    series: str = "unknown"
    cases: list = dataclasses.field(default_factory=list)
    qemu: str = "unknown"

    def by_name(self):
        """The cases, by (test, name); of those that ran twice the last one."""
        return {(c.test, c.name): c for c in self.cases}

    def died(self):
        """The tests that failed outside of their cases, i.e. may lack some."""
        return {c.test for c in self.cases if c.result == "fail" and c.name in (*OUTSIDE, "-")}


def glob(pattern):
    """A pattern for fullmatch: * and ? are wildcards, all else is meant as it is."""
    words = {"*": ".*", "?": "."}
    return re.compile("".join(words.get(c) or re.escape(c) for c in pattern), re.DOTALL)
