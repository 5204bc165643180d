# SPDX-License-Identifier: GPL-2.0-only
"""Reports for others, and how they differ."""
import pathlib
import tempfile
import unittest

from avic_results import reports, store
from avic_results.model import Case, Error, Run

BAD = pathlib.Path(__file__).resolve().parents[2] / "selftests/bad-dmesg.awk"
TAP = """TAP version 13
# machine: avic
# host.cpu: AMD EPYC
# host.kernel: 6.12.1
1..2
# selftests: kvm: avic_vcpu_ids_test
# ok 1 create.id_254.kernel_irqchip
# not ok 2 create.id_255.split_irqchip
# ok 3 ipi.one
# /home/alice/lib.c:1: no "/dev/kvm"
not ok 1 selftests: kvm: avic_vcpu_ids_test # exit=1
# selftests: kvm: x2apic-msrs
# # x2apic-msrs: Linux 6.12.1
# # state,msr,register,access,vector,value,cost
# # active,0x808,TPR,read,0,0x0,cpu
ok 2 selftests: kvm: x2apic-msrs
"""


class Report(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.dir = pathlib.Path(directory.name)

    def put(self, name, text):
        (self.dir / name).write_text(text, encoding="utf-8", newline="")
        return self.dir / name

    def make(self, *changes):
        """The path of the report of TAP with (old, new) strings replaced."""
        text = TAP
        for old, new in changes:
            text = text.replace(old, new)
        self.put("tap", text)
        self.put("dmesg", "[1.0] kvm_amd: AVIC enabled\n[ 1.2] eth0: 00:11\n"
                 "[2.0] WARNING: at /home/x/y.c:1\n[3.0] kvm_amd: AVIC enabled\n")
        path = self.dir / f"{len(list(self.dir.iterdir()))}.txt"
        path.write_text(reports.make(self.dir, BAD), encoding="utf-8")
        return path

    def test_scrub(self):
        for line, wanted in (("/a/b/c.c:1: /dev/kvm x=/y/z", "c.c:1: /dev/kvm x=z"),
                             ("a/b /c", "a/b c"), ("(/a/b) '/c/d/'", "(b) 'd/'")):
            self.assertEqual(reports.scrub(line), wanted)

    def test_sections(self):
        found = reports.read(self.make())
        self.assertEqual(found["host"], ["cpu: AMD EPYC", "kernel: 6.12.1", "machine: avic"])
        self.assertEqual(found["vcpu_ids"],
                         ["id,kernel_irqchip,split_irqchip", "254,pass,", "255,,fail"])
        self.assertEqual([line[:8] for line in found["msrs"]], ["# x2apic", "state,ms", "active,0"])
        self.assertIn('# lib.c:1: no "/dev/kvm"', found["tap"])
        self.assertEqual([x for x in found["tap"] if "host." in x or "0x808" in x], [])
        self.assertEqual(found["dmesg"], ["kvm_amd: AVIC enabled", "WARNING: at y.c:1"])

    def test_no_results(self):
        with self.assertRaisesRegex(Error, "^no results in "):
            reports.make(self.dir, BAD)
        with self.assertRaisesRegex(Error, "doesn't say what the machine is"):
            self.make(("host.", "guest."))

    def test_compare(self):
        old = self.make()
        self.assertFalse(reports.compare(old, old)[1])
        # The machine may differ.
        self.assertFalse(reports.compare(old, self.make(("EPYC", "Ryzen")))[1])
        for change, line in (
                ((" 3 ipi", " 3 - ipi"), None),
                (("ok 3 ipi", "not ok 3 ipi"),
                 f"{'avic_vcpu_ids_test: ipi.one':<56}  pass -> fail"),
                (("not ok 2 ", "ok 2 "), f"{'vCPU ID 255, split_irqchip':<56}  fail -> pass"),
                (("0x0,cpu", "0x0,msr"),
                 f"{'active':<32} 0x808  TPR          read       cost cpu -> msr")):
            lines, differ = reports.compare(old, self.make(change))
            self.assertEqual(differ, line is not None, change)
            if line:
                self.assertIn(line, lines)

    def test_no_report(self):
        with self.assertRaisesRegex(Error, "has no section 'host'"):
            reports.compare(self.make(), self.put("x", "text\n"))

    def test_merge_of_all_kinds(self):
        report = self.make()
        crlf = self.put("crlf.txt", report.read_text(encoding="utf-8").replace("\n", "\r\n"))
        tap = self.put("other", TAP.replace("ok 3 ipi.one", "not ok 3 ipi.one"))
        json = self.dir / "r.json"
        store.save_json(json, [Run("noavic", "after", "6.1", "12ab", [Case("u", "-", "skip")])])
        lines = [line.rstrip() for line in reports.merge([report, crlf, tap, json])]
        self.assertEqual(lines[0], f"1: {report.name}, machine avic, cpu AMD EPYC, kernel 6.12.1")
        self.assertEqual(lines[1], lines[0].replace(f"1: {report.name}", "2: crlf.txt"))
        self.assertEqual(lines[3], "4: r.json, machine noavic, kernel 6.1, series 12ab")
        rows = [line.split() for line in lines]
        for row in ("ipi.one pass pass fail .", "u", "(no cases) . . . skip", "pass 3 3 2 0",
                    "fail 1 1 2 0", "skip 0 0 0 1"):
            self.assertIn(row.split(), rows)
        lines = reports.merge([tap, tap])
        self.assertIn("  1 pass everywhere", lines)

    def test_merge_of_nothing(self):
        with self.assertRaisesRegex(Error, "it has no results"):
            reports.merge([self.put("x", "text\n")])


if __name__ == "__main__":
    unittest.main()
