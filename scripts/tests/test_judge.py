# SPDX-License-Identifier: GPL-2.0-only
"""From expectations and runs to the words of the table, and what is made of those."""
import pathlib
import tempfile
import unittest
import xml.etree.ElementTree as ET

from avic_results import expectations, judge, junit, table
from avic_results.model import Case, Error, Run, glob

OURS = {"avic_ipi_test"}


def entries(kind, text):
    """The Entries of a file with this text."""
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory, kind)
        path.write_text(text, encoding="utf-8")
        return expectations.read(path, kind)


def run(*cases, phase="before", machine="avic", kernel="6.12.1"):
    """A Run of cases (test, name, result[, detail])."""
    return Run(machine, phase, kernel, "none", [Case(*c) for c in cases])


def judged(*runs, base="linux-6.12.y", full=False, **texts):
    """The Judgement, with the texts of expected, known, skips."""
    found = [e for kind, text in texts.items() for e in entries(kind, text)]
    return judge.judge(list(runs), expectations.Expectations(base, found), OURS, full)


def words(*args, **kwargs):
    """The words of the first row."""
    result = judged(*args, **kwargs)
    return [c.word for c in result.row(result.rows[0])]


class Globs(unittest.TestCase):
    def test_all_but_two_characters_are_meant(self):
        self.assertTrue(glob("a.[b]+?*").fullmatch("a.[b]+x"))
        self.assertFalse(glob("a.b").fullmatch("axb"))
        self.assertFalse(glob("a").fullmatch("ab"))


class Entries(unittest.TestCase):
    def test_kinds(self):
        entry, = entries("known", "# head\n\n6.12.* * t:c* # old\n")
        self.assertEqual((entry.place, entry.reason), ("known:3", "old"))
        self.assertTrue(entry.case.fullmatch("cx"))
        entry, = entries("known", "* * t")
        self.assertTrue(entry.case.fullmatch("any"))
        entry, = entries("expected", "avic t c~*x # y")
        self.assertTrue(entry.race.fullmatch("an x"))

    def test_three_words(self):
        for text in ("a b", "a b c d", "\na"):
            with self.assertRaises(Error) as caught:
                entries("skips", text)
            self.assertEqual(caught.exception.status, 2)
        self.assertIn("skips:2: three words", str(caught.exception))

    def test_no_files_are_no_expectations(self):
        with tempfile.TemporaryDirectory() as directory:
            self.assertEqual(expectations.Expectations.load(directory, "kdir").entries, [])


class Words(unittest.TestCase):
    def test_failures(self):
        fails = run(("t", "c", "fail", "why"))
        self.assertEqual(words(fails), ["FAIL"])
        self.assertEqual(words(fails, expected="avic t c"), ["fail"])
        self.assertEqual(words(fails, expected="noavic t c"), ["FAIL"])
        self.assertEqual(words(fails, known="6.12.* a* t"), ["known"])
        self.assertEqual(words(fails, known="before * t:c"), ["known"])
        self.assertEqual(words(fails, known="7.* * t"), ["FAIL"])
        self.assertEqual(words(fails, skips="* * t"), ["FAIL"])
        after = run(("t", "c", "fail"), phase="after")
        self.assertEqual(words(after, expected="avic t c"), ["FAIL"])
        self.assertEqual(words(after, known="* avic t:c"), ["known"])

    def test_passes(self):
        passes = run(("t", "c", "pass"))
        self.assertEqual(words(passes), ["pass"])
        self.assertEqual(words(passes, expected="avic t c"), ["PASS"])
        self.assertEqual(words(passes, known="* * t"), ["PASS"])
        self.assertEqual(words(passes, known="* * t", base="kdir"), ["pass"])
        self.assertEqual(words(passes, skips="* * t"), ["pass"])

    def test_skips(self):
        skips = run(("t", "c", "skip"), ("u", "-", "pass"))
        self.assertEqual(words(skips), ["skip"])
        self.assertEqual(words(skips, known="* * t"), ["skip"])
        self.assertEqual(words(skips, expected="avic t c"), ["SKIP"])
        ours = run(("avic_ipi_test", "c", "skip"), ("u", "-", "pass"))
        self.assertEqual(words(ours), ["SKIP"])
        self.assertEqual(words(ours, skips="before avic avic_ipi_test:c"), ["skip"])
        self.assertEqual(words(ours, skips="after avic avic_ipi_test:c"), ["SKIP"])
        self.assertEqual(words(ours, base="kdir"), ["skip"])

    def test_races(self):
        for result, detail, word in (("fail", "lost", "fail"), ("fail", "other", "FAIL"),
                                     ("pass", "", "pass"), ("skip", "", "skip")):
            found = words(run(("t", "c", result, detail)), expected="avic t c~lost*")
            self.assertEqual(found, [word])
        self.assertEqual(words(run(("t", "c", "fail")), expected="avic t c~*"), ["fail"])

    def test_what_did_not_run(self):
        whole = run(("t", "c", "pass"), ("t", "exit", "fail"), ("t", "d", "pass"))
        result = judged(whole, run(("t", "d", "pass"), phase="after"))
        self.assertEqual([c.word for c in result.row(("t", "c"))], ["pass", "LOST"])
        self.assertEqual([c.word for c in result.row(("t", "exit"))], ["FAIL", "."])
        died = run(("t", "d", "pass"), ("t", "exit", "fail"), phase="after")
        self.assertEqual(words(whole, died), ["pass", "-"])
        self.assertEqual(words(whole, run(("u", "-", "pass"), phase="after")), ["pass", "."])


class Problems(unittest.TestCase):
    def test_texts(self):
        result = judged(
            run(("t", "a", "fail", "why"), ("t", "b", "pass"), ("avic_ipi_test", "-", "skip"),
                ("t", "d", "pass")),
            run(("t", "d", "pass"), machine="noavic"), expected="avic t b")
        self.assertEqual(result.problems, [
            "unexpected failure: avic before t:a: why",
            "did not run: noavic before t:a",
            "passes, but is listed in expected:1: avic before t:b",
            "did not run: noavic before t:b",
            "is skipped, but is not listed in skips: avic before avic_ipi_test"])

    def test_nothing_has_run(self):
        own = [("machine", "finished", "pass"), ("dmesg", "x", "pass")]
        for cases in ([("t", "-", "skip")], own):
            self.assertEqual(judged(run(*cases)).problems, ["no test has run"])
        self.assertEqual(judged(run(("t", "-", "pass"))).problems, [])

    def test_unused_entries(self):
        passes = run(("t", "-", "pass"))
        texts = {"expected": "avic t x\nnoavic t x\navic t x~y",
                 "known": "6.* avic u\n7.* * u\nbefore * u",
                 "skips": "linux-* * u"}
        places = ["expected:1", "known:1", "skips:1"]
        self.assertEqual(judged(passes, full=True, **texts).others,
                         [f"{p} matches no case that ran" for p in places])
        self.assertEqual(judged(passes, **texts).others, [])
        self.assertEqual(judged(passes, full=True, base="kdir", known="* * u").others, [])


class Table(unittest.TestCase):
    def test_text(self):
        before = run(("t", "a", "fail", "x"), ("t", "b", "pass"), ("u", "-", "skip"),
                     ("v", "1", "pass"), ("v", "2", "pass"))
        after = run(("t", "a", "pass"), ("t", "b", "pass"), ("u", "-", "skip", "no"),
                    ("v", "1", "pass"), ("v", "2", "pass"), phase="after")
        result = judged(before, after, expected="avic t a")
        text = table.render(result, ["before", "after"], ["avic"])
        lines = [line.rstrip() for line in text.splitlines()]
        self.assertEqual(lines, [
            " " * 30 + "avic", "test" + " " * 26 + "before after", "t",
            "  a" + " " * 27 + "fail   pass", "  1 other cases" + " " * 15 + "pass   pass",
            "u" + " " * 29 + "skip   skip", "v, 2 cases" + " " * 20 + "pass   pass", "",
            "10 results: 7 passed, 1 failed (1 as expected, 0 known upstream), 2 skipped",
            "  skipped 1: no reason given", "  skipped 1: no", "all as expected"])
        self.assertNotIn("\033", text)

    def test_columns_and_colours(self):
        runs = [run((p + m, "-", "pass"), ("t", "-", r), phase=p, machine=m) for p, m, r in (
            ("before", "avic", "pass"), ("before", "noavic", "fail"), ("after", "avic", "skip"),
            ("after", "noavic", "pass"))]
        text = table.render(judged(*runs), ["before", "after"], ["avic", "noavic"], colour=True)
        line, = (line for line in text.splitlines() if line.startswith("t "))
        self.assertEqual(line.split()[1:], [
            "\033[32mpass", "\033[0m\033[36mskip", "\033[0m",
            "\033[1;31mFAIL", "\033[0m\033[32mpass", "\033[0m"])


class JUnit(unittest.TestCase):
    def parsed(self, *args, **kwargs):
        return ET.fromstring(junit.render(judged(*args, **kwargs)).encode())

    def test_suites_and_cases(self):
        root = self.parsed(
            Run("avic", "before", "6.12.1", "none", [
                Case("t", "a", "fail", "x", ("one <&\x01\udc80",)), Case("t", "b", "fail", "y"),
                Case("u", "-", "skip", "no"), Case("v", "-", "pass")]),
            expected="avic t b # too big")
        suite, = root
        self.assertEqual((suite.get("name"), suite.get("tests"), suite.get("failures"),
                          suite.get("skipped")), ("before.avic", "4", "1", "2"))
        self.assertEqual(suite.find("properties/property[@name='kernel']").get("value"), "6.12.1")
        cases = {(c.get("classname"), c.get("name")): c for c in suite.iter("testcase")}
        self.assertEqual(cases["t", "a"].find("failure").text, "one <&??")
        self.assertEqual(cases["t", "a"].find("failure").get("message"),
                         "unexpected failure: avic before t:a: x")
        self.assertEqual(cases["t", "b"].find("skipped").get("message"),
                         "fails as expected (too big): y")
        self.assertEqual(cases["u", "-"].find("skipped").get("message"), "no")
        self.assertEqual(len(cases["v", "-"]), 0)

    def test_problems_of_no_case_are_failures(self):
        root = self.parsed(run(("t", "-", "skip")))
        self.assertEqual(root.find("testsuite[@name='expectations']").get("failures"), "1")


if __name__ == "__main__":
    unittest.main()
