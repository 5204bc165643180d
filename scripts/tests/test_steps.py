# SPDX-License-Identifier: GPL-2.0-only
"""What each patch changes."""
import pathlib
import tempfile
import unittest

from avic_results import steps
from avic_results.model import Error


class Steps(unittest.TestCase):
    def said(self, *states, names=None, **cases):
        """What is said of each patch; a case's results are words, one for each state.

        states are the lines of the file "steps".
        """
        with tempfile.TemporaryDirectory() as name:
            directory = pathlib.Path(name)
            (directory / "steps").write_text("\n".join(states) + "\n", encoding="utf-8")
            for i, state in enumerate(states):
                lines = ["other\tc\tpass\t\n"]
                for test, results in cases.items():
                    result = results.split()[i]
                    if result != "none":
                        lines.append(f"{test}\t{(names or {}).get(test, 'c')}\t{result}\t\n")
                path = directory / state.split()[0] / "avic"
                path.mkdir(parents=True, exist_ok=True)
                (path / "cases").write_text("".join(lines), encoding="utf-8")
            return steps.render(steps.judge(directory, ["avic"])).splitlines()

    def test_mends_skips_drops(self):
        self.assertEqual(
            self.said("0 none", "1 one", t="fail pass", u="fail skip", v="fail pass", w="fail none",
                      names={"w": "exit"}),
            ["ok patch 1 of 1, one: mends t (1), v (1); skips u (1); drops w (1)"])

    def test_nothing(self):
        self.assertEqual(self.said("0 none", "1 one", "1 two", t="pass pass pass"), [
            "ok patch 1 of 2, one: changes no result", "ok patch 2 of 2, two: the same kernel"])

    def test_breaks(self):
        self.assertEqual(self.said("0 none", "1 one", t="pass fail"),
                         ["not ok patch 1 of 1, one: t:c on avic: pass, then fail"])
        self.assertEqual(self.said("0 none", "1 one", "2 two", t="pass fail pass"), [
            "not ok patch 1 of 2, one: t:c on avic: pass, then fail, at the end pass",
            "not ok patch 2 of 2, two: t:c on avic: fail, then pass, at the end pass"])
        self.assertEqual(self.said("0 none", "1 one", t="pass none"),
                         ["not ok patch 1 of 1, one: t:c on avic: pass, then none"])

    def test_lost_for_a_while(self):
        self.assertEqual(self.said("0 none", "1 one", "2 two", t="fail none pass"), [
            "not ok patch 1 of 2, one: t:c on avic: fail, then none, at the end pass",
            "not ok patch 2 of 2, two: t:c on avic: none, then pass, at the end pass"])

    def test_a_new_test(self):
        self.assertEqual(self.said("0 none", "1 one", "2 two t", t="none fail pass"), [
            "ok patch 1 of 2, one: changes no result", "ok patch 2 of 2, two: mends t (1)"])
        self.assertEqual(self.said("0 none", "1 one t", t="skip fail"), [
            "not ok patch 1 of 1, one: t:c on avic fails, though patch 1 adds it; "
            "t:c on avic: skip, then fail"])
        self.assertEqual(self.said("0 none", "1 one", "2 two t", t="skip fail pass"), [
            "ok patch 1 of 2, one: changes no result", "ok patch 2 of 2, two: mends t (1)"])

    def test_five_are_shown(self):
        line, = self.said("0 none", "1 one", **{f"t{i}": "pass fail" for i in range(7)})
        self.assertEqual(line.count("then fail"), 5)
        self.assertTrue(line.endswith("; and 2 more"))

    def test_no_steps(self):
        with tempfile.TemporaryDirectory() as name:
            for text in (None, "", "0\n"):
                if text is not None:
                    pathlib.Path(name, "steps").write_text(text, encoding="utf-8")
                with self.assertRaisesRegex(Error, "^no steps in "):
                    steps.judge(name, ["avic"])


if __name__ == "__main__":
    unittest.main()
