# SPDX-License-Identifier: GPL-2.0-only
"""The verdict on KVM-unit-tests."""
import unittest

from avic_results import kut
from avic_results.expectations import Entry, Expectations
from avic_results.model import Case, Error, Run, glob


def verdict(*columns, known=None):
    """The Verdict on before/avic, before/noavic, after/avic, after/noavic.

    Each column is a dictionary: "test:case" to result, or to (result, detail).
    """
    runs = []
    for (phase, machine), column in zip(
            (("before", "avic"), ("before", "noavic"), ("after", "avic"), ("after", "noavic")),
            columns):
        cases = [Case(*name.split(":"), *((r,) if isinstance(r, str) else r))
                 for name, r in column.items()]
        runs.append(Run(machine, phase, cases=cases))
    expected = Expectations("linux-6.12.y", [])
    if known:
        words = map(glob, ("*", "*", "*", known))
        expected.entries.append(Entry("known", "k:1", *words, None, "why"))
    return kut.judge(runs, expected)


class Verdict(unittest.TestCase):
    def test_no_difference(self):
        same = {"a:x": "pass", "a:y": "fail", "a:z": "skip"}
        found = verdict(same, same, same, same)
        self.assertEqual((found.bad, found.failure, found.lines), (0, "", [
            "3 results with AVIC off before, 1 of them failures, 1 skipped; "
            "0 differ elsewhere, 0 unexpected"]))

    def test_worse_only_after_and_if_it_does_not_pass(self):
        good = {"a:x": "pass"}
        for result, bad in (("fail", 1), ("skip", 1), ("pass", 0)):
            self.assertEqual(verdict(good, good, {"a:x": result}, good).bad, bad)
        self.assertEqual(verdict({"a:x": "fail"}, good, good, good).bad, 0)
        self.assertEqual(verdict(good, {"a:x": "fail"}, good, good).bad, 0)

    def test_known(self):
        good, bad = {"a:x": "pass"}, {"a:x": ("fail", "no")}
        self.assertEqual(verdict(good, good, bad, good).lines[0],
                         "WORSE: avic a:x: AVIC off pass, before pass, after fail (no)")
        found = verdict(good, good, bad, good, known="x")
        self.assertEqual(found.bad, 0)
        self.assertEqual(found.lines[0],
                         "avic a:x: AVIC off pass, before pass, after fail (no), known: why")

    def test_lost(self):
        good = {"a:x": "pass", "a:y": "pass"}
        self.assertEqual(verdict(good, good, {"a:y": "pass"}, good).bad, 1)
        found = verdict(good, good, {"a:y": "pass", "a:exit": "fail"}, good)
        self.assertEqual([line.split(":")[2] for line in found.lines[:-1]], ["exit"])

    def test_no_test_has_run(self):
        own = {"machine:finished": "pass", "dmesg:clean": "pass", "a:x": ("skip", "no KVM")}
        self.assertEqual(verdict(own, own, own, own).failure, "no test has run: no KVM")

    def test_no_reference(self):
        with self.assertRaisesRegex(Error, "^no results of noavic"):
            verdict({"a:x": "pass"})


if __name__ == "__main__":
    unittest.main()
