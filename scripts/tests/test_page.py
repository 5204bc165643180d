# SPDX-License-Identifier: GPL-2.0-only
"""The page: its numbers and words, and that a browser reads it as it was written."""
import html
import os
import pathlib
import re
import subprocess
import tempfile
import unittest
import xml.etree.ElementTree as ET

from avic_results import expectations, judge, page, store
from avic_results.model import Case, Run
from tests.test_judge import entries

HTML = "{http://www.w3.org/1999/xhtml}"
COST = {"vector": "0", "value": "0x0"}


def runs():
    """Two machines in two phases."""
    found = []
    for phase in ("before", "after"):
        for machine in ("avic", "x2avic"):
            bad = phase == "before"
            found.append(Run(machine, phase, "6.12.1", "none" if bad else "12ab", [
                Case("avic_vcpu_ids_test", "create.id_255.kernel_irqchip",
                     "fail" if bad else "pass", "want <pass> & got fail",
                     ("first line", "a < b && \x01") if bad else ()),
                Case("u", "-", "skip", "no"), Case("v<b>", "c", "pass"), Case("v<b>", "d", "pass")],
                "QEMU 10"))
    found[3].cases[3] = Case("v<b>", "d", "fail", "late", ("its own line",))
    return found


def render(found, **measured):
    """The page; measured is {"iN": costs} for run N."""
    expected = expectations.Expectations(
        "linux-6.12.y", entries("expected", "* avic_vcpu_ids_test * # too big"))
    return page.render(judge.judge(found, expected, set()), "linux-6.12.y",
                       {int(k[1:]): v for k, v in measured.items()})


def parsed(text):
    return ET.fromstring(text.encode())


def tables(root):
    """{caption: lines of cells' texts}"""
    return {t.findtext(f"{HTML}caption"): [["".join(c.itertext()) for c in line]
                                           for line in t.iter(f"{HTML}tr")]
            for t in root.iter(f"{HTML}table")}


def counts(found):
    """What the first table has to say of Runs, machine by machine."""
    lines = {}
    for r in found:
        n = [str(sum(c.result == w for c in r.cases)) for w in ("pass", "fail", "skip")]
        lines[f"{r.machine}, {r.phase}"] = n
    return lines


def shown(root):
    first = next(lines for caption, lines in tables(root).items() if caption.startswith("How many"))
    return {name: numbers[:3] for name, *numbers in first[1:]}


class Page(unittest.TestCase):
    def setUp(self):
        self.root = parsed(render(runs()))
        self.text = "".join(self.root.itertext())

    def test_numbers_are_those_of_the_json(self):
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory, "results.json")
            store.save_json(path, runs())
            self.assertEqual(shown(self.root), counts(store.load_json(path)))

    def test_problems_are_told_first(self):
        body = self.root.find(f"{HTML}body/{HTML}main")
        self.assertEqual([e.tag[len(HTML):] for e in body][:4], ["h1", "p", "ul", "h2"])
        self.assertIn("1 not as expected", self.text)
        self.assertIn("unexpected failure: x2avic after v<b>:d: late", self.text)
        good = [r for r in runs() if r.phase == "before"]
        self.assertIn("All as expected", render(good))

    def test_failures_have_their_lines_and_come_with_the_worst_first(self):
        boxes = list(self.root.iter(f"{HTML}details"))
        self.assertEqual([b.get("open") for b in boxes], ["open", None])
        first, second = ("".join(b.itertext()) for b in boxes)
        self.assertIn("v<b>:d, in 1 of 4 runs: not as expected", first)
        self.assertIn("its own line", first)
        self.assertIn("avic before, x2avic before: want <pass> & got fail", second)
        self.assertIn("Expected: too big", second)
        self.assertIn("first line\na < b && ?", second)

    def test_ids_before_and_after(self):
        lines = next(v for k, v in tables(self.root).items() if k.startswith("Is an ID"))
        self.assertEqual(lines, [["ID, interrupt controller", "avic", "x2avic"],
                                 ["before", "after"] * 2,
                                 ["255, kernel_irqchip"] + ["fail", "pass"] * 2])

    def test_versions(self):
        self.assertEqual(tables(self.root)["What ran"][1:], [
            ["before", "6.12.1", "none", "QEMU 10"], ["after", "6.12.1", "12ab", "QEMU 10"]])

    def test_cases_that_pass_everywhere_are_counted(self):
        lines = next(v for k, v in tables(self.root).items() if k.startswith("Results of all"))
        self.assertIn(["v<b>: 1 of 2 pass everywhere"], lines)
        self.assertIn(["d", "pass", "pass", "pass", "FAIL"], lines)
        self.assertNotIn("c", [line[0] for line in lines])

    def test_names_are_escaped(self):
        self.assertNotIn("v<b>", render(runs()))
        self.assertIn("v&lt;b&gt;:d", render(runs()))

    def test_matrix(self):
        self.assertIn("x2apic-msrs was not part of this run", self.text)

        def costs(state, cost):
            return {(state, msr, name, access): {**COST, "cost": cost}
                    for msr, name in (("0x808", "TPR"), ("0x8fe", ""), ("0x8ff", ""))
                    for access in ("read", "write")}

        root = parsed(render(runs(), i1={**costs("active", "cpu"), **costs("off", "gp-kvm"),
                                         **costs("init", "gp-kvm")},
                             i3=costs("active", "msr")))
        found = tables(root)
        self.assertEqual(found["While x2AVIC is active"], [
            ["MSR", "x2avic, before", "x2avic, after"], ["read", "write"] * 2,
            ["0x808 TPR"] + ["accelerated"] * 2 + ["MSR exit"] * 2,
            ["0x8fe to 0x8ff"] + ["accelerated"] * 2 + ["MSR exit"] * 2])
        states = next(v for k, v in found.items() if k.startswith("x2avic, before: "))
        self.assertEqual(states[0], ["MSR", "active", "off, init"])
        self.assertEqual(states[2], ["0x808 TPR"] + ["accelerated"] * 2 + ["#GP by KVM"] * 2)

    def test_a_screen_reader_finds_its_way(self):
        self.assertEqual(self.root.get("lang"), "en")
        for table in self.root.iter(f"{HTML}table"):
            self.assertTrue(table.findtext(f"{HTML}caption"))
        self.assertEqual([c for c in self.root.iter(f"{HTML}th") if not c.get("scope")], [])
        self.assertEqual([c for c in self.root.iter(f"{HTML}td") if not c.text], [])

    def test_nothing_else_is_loaded(self):
        for element in self.root.iter():
            self.assertEqual(set(element.keys()) & {"src", "href", "onclick"}, set())
        self.assertNotRegex(page.STYLE, r"url|@import")
        self.assertEqual(list(self.root.iter(f"{HTML}script")), [])


class Browser(unittest.TestCase):
    """Chromium's own parsers; "make check" installs it."""

    def open(self, name, text):
        """The DOM of a file with that name and text, and what the browser complains of."""
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory, name)
            store.write(path, text)
            done = subprocess.run(
                ["chromium", "--headless", "--disable-gpu", "--enable-logging=stderr",
                 f"--user-data-dir={directory}/profile", "--dump-dom", path.as_uri(),
                 *(["--no-sandbox"] if os.geteuid() == 0 else [])],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True)
        dom = done.stdout.decode()
        return dom, re.findall(".*CONSOLE.*|<parsererror", dom + done.stderr.decode())

    def test_html(self):
        """What it makes of HTML has no tags in other places: the words stay the same."""
        dom, complaints = self.open("index.html", render(runs()))
        self.assertEqual(complaints, [])
        self.assertEqual(html.unescape(re.sub("<[^>]*>", "", dom)).split(),
                         "".join(parsed(render(runs())).itertext()).split())
        numbers = r'<td class="number">(\d+)</td>\s*' * 4
        rows = re.findall(r'<th scope="row">([^<]*)</th>\s*' + numbers, dom)
        self.assertEqual({name: numbers[:3] for name, *numbers in rows}, counts(runs()))

    def test_xml(self):
        dom, complaints = self.open("index.xhtml", render(runs()))
        self.assertEqual(complaints, [])
        self.assertEqual(tables(parsed(dom)), tables(parsed(render(runs()))))

    def test_errors_are_seen(self):
        text = render(runs())
        script = text.replace("<main>", "<script>nonsense(</script><main>")
        self.assertEqual(len(self.open("index.html", script)[1]), 1)
        self.assertNotEqual(self.open("index.xhtml", text.replace("<main>", "<main><p>"))[1], [])


if __name__ == "__main__":
    unittest.main()
