# SPDX-License-Identifier: GPL-2.0-only
"""What gcov counted, and the table of it."""
import base64
import unittest

from avic_results import coverage
from avic_results.model import Error

SOURCE = ["int f(int a)", "{", "\tif (a)", "\t\treturn 1;", "\treturn 0;", "}",
          "int g(void)", "{", "\treturn 2;", "}"]


def line(number, count, *branches, function="f"):
    """A line as gcov's JSON has it."""
    return {"line_number": number, "function_name": function, "count": count,
            "branches": [{"count": b} for b in branches]}


def counts(*runs, file="arch/x86/kvm/svm/avic.c"):
    """What the runs, lists of lines, add up to."""
    found = {}
    for lines in runs:
        said = {"files": [{"file": "include/linux/a.h", "lines": [line(1, 9)]},
                          {"file": file, "lines": lines}]}
        coverage.add(found, said, "svm/avic.c")
    return found


class Console(unittest.TestCase):
    def test_files_between_other_lines(self):
        data = bytes(range(200))
        text = base64.encodebytes(data).decode().split()
        self.assertGreater(len(text), 1)
        self.assertEqual(
            coverage.from_console(["Linux", "gcda svm/avic.gcda", *text, "gcda end", "gcda end",
                                   "gcda lapic.gcda", "gcda end", "reboot"], "avic"),
            {"svm/avic.gcda": data, "lapic.gcda": b""})
        self.assertEqual(coverage.from_console(["Linux", "reboot"], "avic"), {})

    def test_incomplete(self):
        with self.assertRaisesRegex(Error, "^avic: the counts of a.gcda end early"):
            coverage.from_console(["gcda a.gcda", "AAAA"], "avic")
        with self.assertRaisesRegex(Error, "^avic: the counts of a.gcda got garbled"):
            coverage.from_console(["gcda a.gcda", "AA[ 1.2] BUG", "AA==", "gcda end"], "avic")


class Counts(unittest.TestCase):
    def test_runs_add_up(self):
        self.assertEqual(
            counts([line(3, 2, 2, 0), line(4, 0)], [line(3, 1, 0, 1), line(4, 1)]),
            {("f", 3): (3, [2, 1]), ("f", 4): (1, [])})

    def test_another_file_whose_name_ends_alike(self):
        with self.assertRaisesRegex(Error, "^gcov says nothing of svm/avic.c"):
            counts([line(3, 1)], file="arch/x86/kvm/othersvm/avic.c")


class Changed(unittest.TestCase):
    def test_added_and_replaced(self):
        self.assertEqual(coverage.changed(["a", "b", "c", "d"], ["a", "B", "c", "x", "y"]),
                         {2, 4, 5})
        self.assertEqual(coverage.changed(["a"], ["a"]), set())


class Table(unittest.TestCase):
    def rows(self, found, marked=()):
        return [" ".join(row.split()) for row in coverage.table(found, SOURCE, marked)]

    def test_complete_functions_are_only_counted(self):
        self.assertEqual(
            self.rows(counts([line(3, 2, 1, 1), line(9, 1, function="g")])),
            ["function lines branches", "all 2, 2 of them complete 2/2 2/2"])

    def test_never_and_partly(self):
        self.assertEqual(
            self.rows(counts([line(9, 0, 0, 0, function="g"), line(3, 2, 0, 2), line(4, 0),
                              line(5, 2)]), {4}),
            ["function lines branches",
             "f 2/3 1/2", "3 1/2 if (a)", "4 never + return 1;",
             "g 0/1 0/0", "9 never return 2;",
             "all 2, 0 of them complete 2/4 1/2"])


if __name__ == "__main__":
    unittest.main()
