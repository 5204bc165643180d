# SPDX-License-Identifier: GPL-2.0-only
"""What x2apic-msrs measures, and the table of the document."""
import unittest

from avic_results import msrs
from avic_results.model import Error

TITLE = "x2apic-msrs: Linux 6.12.1, CPU"
KNOWN = msrs.expected(["Random seed", "msr,register,read,write", "0x808,TPR,CPU,CPU",
                       "0x810,ISR0,CPU,-", "0x811,ISR1,CPU,-", "0x80f,SPIV,KVM,CPU"])
NOTES = ["# comment", "", "TPR : page cpu : page cpu : cpu cpu",
         "ISR0-ISR1 : page fault : page gp : msr gp-kvm", "SPIV : - trap : page trap : cpu trap"]
SHOWN = ["active,0x808,TPR,read,0,0x0,cpu", "# # active,0x808,TPR,write,0,0x0,cpu",
         *(f"active,0x81{i},ISR{i},{a},0,0x0,{c}" for i in "01"
           for a, c in (("read", "msr"), ("write", "gp-kvm"))),
         "active,0x80f,SPIV,read,0,0x0,cpu", "active,0x80f,SPIV,write,0,0x0,trap",
         "off,0x808,TPR,read,0,0x0,msr", "active,0x840,,read,0,0x0,msr"]


def cells(*lines):
    """cells() of a file with these lines after its head."""
    return msrs.cells([f"# {TITLE}", msrs.HEAD, *lines], "f")


class Cells(unittest.TestCase):
    def test_read(self):
        title, found = cells("# # a,0x1,R,read,13,0x5,cpu\r", "a,0x1,R", "a,0x1,R,write,0,0x6,msr")
        self.assertEqual(title, "Linux 6.12.1, CPU")
        self.assertEqual(found, {
            ("a", "0x1", "R", "read"): {"vector": "13", "value": "0x5", "cost": "cpu"},
            ("a", "0x1", "R", "write"): {"vector": "0", "value": "0x6", "cost": "msr"}})

    def test_no_results(self):
        for lines in ([], ["a,b,c,d,e,f,g"], ["state,msr,register"]):
            with self.assertRaisesRegex(Error, "^f: no results"):
                msrs.cells(lines, "f")

    def test_compare(self):
        a = cells("a,0x1,R,read,0,0x5,cpu", "a,0x2,S,read,0,0x5,cpu", "a,0x4,U,read,0,0x5,cpu")
        b = cells("a,0x1,R,read,13,0x6,msr", "a,0x3,T,read,0,0x5,cpu", "a,0x4,U,read,0,0x5,cpu")
        lines, count = msrs.compare(a, b)
        self.assertEqual(count, 3)
        self.assertEqual([line.split(None, 4)[-1] for line in lines[2:]], [
            "cost cpu -> msr  vector 0 -> 13  value 0x5 -> 0x6", "only in A", "only in B",
            "differ"])
        self.assertEqual(msrs.compare(a, a)[0][-1], "0 of 3 cells differ")

    def test_split_of_tap(self):
        csv = ["# # " + TITLE, "# # " + msrs.HEAD, "# # a,0x1,R,read,0,0x5,cpu"]
        rest = ["# # a,1,2,3,4,5,6", "# ok 1 a"]
        self.assertEqual(msrs.split(rest[:1] + csv + rest[1:]),
                         (["# " + TITLE, msrs.HEAD, "a,0x1,R,read,0,0x5,cpu"], rest))


class Table(unittest.TestCase):
    def fails(self, message, notes=tuple(NOTES), known=tuple(KNOWN), measured=None):
        with self.assertRaisesRegex(Error, message):
            msrs.table(list(known), notes, "x.in", measured)

    def test_rows(self):
        rows = [[word.strip(' "') for word in line.split(",")]
                for line in msrs.table(KNOWN, NOTES, "x.in", SHOWN)[3:]]
        self.assertEqual(rows, [
            ["0x808", "TPR", "page", "no exit", "page", "no exit", "RW", "no exit", "no exit",
             "no exit", "no exit"],
            ["0x810-0x811", "ISR0-ISR1", "page", "fault", "page", "#GP", "R", "MSR exit",
             "#GP by KVM", "no exit", "#GP by KVM"],
            ["0x80f", "SPIV", "-", "trap", "page", "trap", "W", "no exit", "trap", "MSR exit",
             "no exit"]])

    def test_errors(self):
        self.fails("^x.in:3: wanted", ["# a", "", "TPR : page"])
        self.fails("^x.in:1: ISR0-*.*, but the next register of x2apic-msrs is TPR", NOTES[3:])
        self.fails("^x.in: SPIV is missing", NOTES[:-1])
        self.fails("^x.in:4: no register ISR9 after ISR0",
                   [n.replace("ISR1", "ISR9") for n in NOTES], KNOWN[:3])
        self.fails("^x.in:4: ISR1 differs", known=[*KNOWN[:2], ("0x811", "ISR1", "KVM", "-")])
        self.fails("^x.in:3: unknown word cup", [n.replace("cpu", "cup") for n in NOTES])
        self.fails("the next register of x2apic-msrs is none", [*NOTES, NOTES[2]])
        with self.assertRaisesRegex(Error, "prints no table"):
            msrs.expected(["Random seed"])

    def test_a_run_has_to_agree(self):
        self.fails("SPIV, write, 6.12.y: trap, but the run shows cpu",
                   measured=[s.replace("trap", "cpu") for s in SHOWN])
        self.fails("TPR, read, 6.12.y: cpu, but the run shows $", measured=SHOWN[1:])
        self.fails("no results", measured=["off,0x808,TPR,read,0,0x0,msr"])


class Document(unittest.TestCase):
    def test_table_is_replaced(self):
        begin, end = ".. begin table", ".. end table"
        self.assertEqual(msrs.document(["a", begin, "old", end, "b"], ["new"], "d"),
                         ["a", begin, "", "new", "", end, "b"])
        for lines in ([begin], [end, begin], [begin, end, end], []):
            with self.assertRaisesRegex(Error, "^d: wanted one line"):
                msrs.document(lines, [], "d")


if __name__ == "__main__":
    unittest.main()
