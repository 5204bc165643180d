# SPDX-License-Identifier: GPL-2.0-only
"""The reader of TAP."""
import unittest

from avic_results import tap


def rows(text):
    """(test, case, result, detail) of TAP that is indented as here."""
    return [(c.test, c.name, c.result, c.detail) for c in tap.read(text.splitlines())]


def of_test(*lines, end="not ok 1 selftests: kvm: t # exit=1"):
    """The Cases of one test that says these lines."""
    return tap.read(["# selftests: kvm: t", *(f"# {line}" for line in lines), end])


class Facts(unittest.TestCase):
    def test_head_only(self):
        lines = ["TAP version 13", "# series: 12ab", "# host.kernel: 6.12: y", "# series: none",
                 "1..2", "# machine: no"]
        self.assertEqual(tap.facts(lines), {"series": "12ab", "host.kernel": "6.12: y"})


class Cases(unittest.TestCase):
    def test_names(self):
        cases = of_test("ok 1 global.one", "ok 2 - two  words\there", "ok 3", "ok 4 f.v.x #2")
        self.assertEqual([c.name for c in cases],
                         ["one", "two_words_here", "3", "f.v.x_#2", "exit"])

    def test_directives(self):
        cases = of_test("ok 1 a # SKIP no AVIC", "ok 2 b # SKIP", "not ok 3 c # TIMEOUT 3",
                        "not ok 4 d # exit=2")
        self.assertEqual([(c.result, c.detail) for c in cases],
                         [("skip", "no AVIC"), ("skip", ""), ("fail", "TIMEOUT 3"),
                          ("fail", "exit=2")])

    def test_hint_of_a_failure_is_not_the_next_ones(self):
        cases = of_test("# t.c:1: Expected 1 == 2", "not ok 1 a", "not ok 2 b")
        self.assertEqual([c.detail for c in cases], ["t.c:1: Expected 1 == 2", ""])

    def test_assertion_gives_the_message_after_the_stack(self):
        cases = of_test("==== Test Assertion Failure ====", "  x.c:12: a == b", "  pid=1 tid=1",
                        "     1\t0x0000: main", "  (stack trace empty)", "  a wasn't\tb", "later")
        self.assertEqual([(c.name, c.detail) for c in cases], [("-", "exit=1: a wasn't b")])

    def test_assertion_without_a_message(self):
        cases = of_test("==== Test Assertion Failure ====", "  x.c:12: a == b", "  pid=1 tid=1")
        self.assertEqual([c.detail for c in cases], ["exit=1: x.c:12: a == b"])
        both = tap.read([
            "# selftests: kvm: t", "# ==== Test Assertion Failure ====",
            "not ok 1 selftests: kvm: t # exit=254", "# selftests: kvm: u", "# fine",
            "not ok 2 selftests: kvm: u # exit=1"])
        self.assertEqual([c.detail for c in both], ["exit=254", "exit=1"])

    def test_notes_are_what_the_case_said(self):
        cases = of_test("one", "not ok 1 a", "two", "# three", "not ok 2 b")
        self.assertEqual([c.notes for c in cases], [("one",), ("two", "# three")])


class Tests(unittest.TestCase):
    def test_skipped_as_a_whole(self):
        skip = "ok 1 selftests: kvm: t # SKIP"
        self.assertEqual(of_test("1..0 # SKIP - no KVM", end=skip)[0].detail, "no KVM")
        self.assertEqual(of_test("x is not supported", "Skip", end=skip)[0].detail,
                         "x is not supported")
        self.assertEqual(of_test(end=skip)[0].result, "skip")

    def test_passes_without_cases(self):
        case = of_test("Error, but not meant", end="ok 1 selftests: kvm: t")[0]
        self.assertEqual((case.name, case.result, case.detail), ("-", "pass", ""))

    def test_fails_outside_of_its_cases(self):
        cases = of_test("1..3", "ok 1 a", end="not ok 1 selftests: kvm: t # exit=139")
        self.assertEqual([(c.name, c.result, c.detail) for c in cases], [
            ("a", "pass", ""), ("exit", "fail", "exit=139"),
            ("plan", "fail", "2 of 3 cases did not run")])

    def test_a_failed_case_explains_the_exit(self):
        self.assertEqual([c.name for c in of_test("1..1", "not ok 1 a")], ["a"])

    def test_machine_stopped_during_a_test(self):
        self.assertEqual(rows("# selftests: kvm: t\n# ok 1 a\n# what"), [
            ("t", "a", "pass", ""), ("t", "exit", "fail", "the machine stopped during this test")])

    def test_no_modules(self):
        self.assertEqual(rows("Bail out! kvm.ko\tdoes not load"),
                         [("machine", "modules", "fail", "kvm.ko does not load")])

    def test_nothing(self):
        self.assertEqual(rows(""), [])
        self.assertEqual(rows("# ok 1 a\n# selftests:"), [])


if __name__ == "__main__":
    unittest.main()
