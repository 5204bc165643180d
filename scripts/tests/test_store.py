# SPDX-License-Identifier: GPL-2.0-only
"""The files that results are kept in, and the commands' errors."""
import contextlib
import io
import pathlib
import tempfile
import unittest

from avic_results import cli, store
from avic_results.model import Case, Error, Run


class Files(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.dir = pathlib.Path(directory.name)

    def put(self, name, text):
        path = self.dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def test_lines(self):
        for text, lines in (("", []), ("a", ["a"]), ("a\n\n", ["a", ""]),
                            ("a\r\nb\x0bc\n", ["a\r", "b\x0bc"])):
            self.assertEqual(store.read_lines(self.put("f", text)), lines)
        (self.dir / "f").write_bytes(b"\xff\n")
        store.write(self.dir / "g", store.read_lines(self.dir / "f")[0])
        self.assertEqual((self.dir / "g").read_bytes(), b"\xff")
        for path in (self.dir, self.dir / "nothing"):
            with self.assertRaisesRegex(Error, "^no such log: "):
                store.read_lines(path, "log")

    def test_run(self):
        self.put("after/avic/cases", "t\ta\tfail\twhy\nt\tb\tpass\n")
        self.assertEqual(store.load(self.dir, "after", "avic"), Run(
            "avic", "after", cases=[Case("t", "a", "fail", "why"), Case("t", "b", "pass")]))
        self.put("after/release", "6.12.1\n")
        self.put("after/avic/tap", "# series: 12ab\n# qemu: QEMU 10\n1..1\n# selftests: kvm: t\n"
                 "# said\n# not ok 1 a\n# more\n# ok 2 b\n")
        run, = store.load_all(self.dir, ["after"], ["avic"])
        self.assertEqual((run.kernel, run.series, run.qemu), ("6.12.1", "12ab", "QEMU 10"))
        self.assertEqual([c.notes for c in run.cases], [("said",), ()])

    def test_bad_runs(self):
        for text in ("", None):
            if text is not None:
                self.put("after/avic/cases", text)
            with self.assertRaisesRegex(Error, "^no results of avic, after"):
                store.load(self.dir, "after", "avic")
        for text in ("what\n", "t\ta\tpass\t\nt\tb\tgood\t\n"):
            self.put("after/avic/cases", text)
            with self.assertRaisesRegex(Error, "cases:[12]: wanted"):
                store.load(self.dir, "after", "avic")

    def test_json(self):
        case = Case("t", "a", "fail", "x\udc80", ("one", "two"))
        runs = [Run("avic", "after", "6.12.1", "none", [case]), Run("noavic", "after")]
        store.save_json(self.dir / "j", runs)
        self.assertEqual(store.load_json(self.dir / "j"), runs)
        for text in ("", "{", "[]", "{}", '{"runs": [{"x": 1}]}', '{"runs": 1}'):
            with self.assertRaisesRegex(Error, "has no results as JSON"):
                store.load_json(self.put("j", text))

    def test_cannot_write(self):
        with self.assertRaisesRegex(Error, "^cannot write "):
            store.write(self.dir / "nothing" / "f", "")


class Commands(unittest.TestCase):
    def main(self, *argv):
        """(status, lines on stdout, lines on stderr)"""
        out, err = (io.TextIOWrapper(io.BytesIO()) for _ in "12")
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = cli.main(argv)
        texts = []
        for stream in (out, err):
            stream.seek(0)
            texts.append(stream.read().splitlines())
        return status, *texts

    def test_without_arguments_usage(self):
        for argv in ((), ("nonsense",), *((name,) for name in cli.COMMANDS)):
            status, out, err = self.main(*argv)
            self.assertIn(status, (1, 2))
            self.assertEqual((out, len(err)), ([], 1), argv)
            self.assertRegex(err[0], "^avic-results: error: (usage: |unknown command )")

    def test_help(self):
        for argv in (("--help",), *((name, "-h") for name in cli.COMMANDS)):
            status, out, err = self.main(*argv)
            self.assertEqual((status, err), (0, []))
            self.assertGreater(len(out), 2)


if __name__ == "__main__":
    unittest.main()
