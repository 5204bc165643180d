# SPDX-License-Identifier: GPL-2.0-only
"""A Judgement as a page for a browser: one file, no script, and a word wherever there's a colour.

The text is HTML and well-formed XML at the same time, so that a parser of XML finds what
is broken.
"""
import collections
import itertools
import xml.etree.ElementTree as ET

from . import junit, msrs, reports
from .model import title

STYLE = """
body { font: 1rem/1.5 sans-serif; margin: 1rem auto; max-width: 80rem; padding: 0 1rem;
  color: #1b1b1b; background: #fff }
h2 { margin: 2.5rem 0 .5rem; border-bottom: 2px solid #767676 }
h3 { display: inline; font-size: 1rem }
.wide { overflow-x: auto; margin: 1rem 0 }
table { border-collapse: collapse; font-size: .875rem }
caption { text-align: left; padding: .25rem 0; font-weight: bold }
th, td { border: 1px solid #c4c4c4; padding: .125rem .5rem; text-align: left; vertical-align: top }
thead th { background: #ececec }
tbody th { font-weight: normal }
tbody th[scope=rowgroup] { font-weight: bold; background: #f6f6f6 }
td.number { text-align: right }
pre { background: #f6f6f6; padding: .5rem; white-space: pre-wrap; overflow-wrap: anywhere }
.pass, .cpu { background: #d5f0d9 }
.fail, .known, .trap { background: #ffe9b0 }
.skip, .msr { background: #dbe9f9 }
.none, .gp-cpu, .gp-kvm { background: #f1f1f1 }
.fault { background: #ecdcf7 }
.bad, .strange, .exit { background: #b3002d; color: #fff; font-weight: bold }
.bad { padding: .125rem .5rem }
"""
COSTS = {**msrs.WORDS, "cpu": "accelerated", "exit": "other exit", "strange": "several exits"}
WORDS = {".": "not run", "-": "test died"}
# What the words mean, in the order in which they are explained.
LEGEND = {
    "pass": "passed", "fail": "failed, as it has to without the series",
    "known": "failed, as is known of this test",
    "skip": "skipped: the machine, or the kernel, lacks what the case wants",
    "test died": "no result, because the test stopped before",
    "FAIL, PASS, SKIP, LOST": "not as expected, the run fails"}


def _add(parent, tag, text=None, **attributes):
    """A new element at parent's end; class_ means class, aria_label means aria-label."""
    names = {k.rstrip("_").replace("_", "-"): junit.clean(v) for k, v in attributes.items()}
    element = ET.SubElement(parent, tag, names)
    element.text = text and junit.clean(text)
    return element


def _table(parent, caption, corner, columns, rows):
    """A table; columns are (group, name), rows (label, [(text, class)]) or (label, None).

    The latter begin a group of rows.  Without groups of columns there is one line of heads.
    """
    # Whoever has no mouse scrolls with the keys.
    box = _add(parent, "div", class_="wide", role="region", tabindex="0", aria_label=caption)
    table = _add(box, "table")
    _add(table, "caption", caption)
    head = _add(table, "thead")
    line = _add(head, "tr")
    groups = [(g, str(len(list(c)))) for g, c in itertools.groupby(c[0] for c in columns)]
    grouped = any(g for g, _ in groups)
    _add(line, "th", corner, scope="col", rowspan=str(1 + grouped))
    if grouped:
        for group, span in groups:
            _add(line, "th", group, scope="col", colspan=span)
        line = _add(head, "tr")
    for _, name in columns:
        _add(line, "th", name, scope="col")
    body = None
    for label, cells in rows:
        if body is None or cells is None:
            body = _add(table, "tbody")
        line = _add(body, "tr")
        if cells is None:
            _add(line, "th", label, scope="rowgroup", colspan=str(1 + len(columns)))
            continue
        _add(line, "th", label, scope="row")
        for text, kind in cells:
            _add(line, "td", text, class_=kind)


def _word(cell):
    """(text, class) of a Cell."""
    kind = "bad" if cell.word.isupper() else "none" if cell.word in WORDS else cell.word
    return WORDS.get(cell.word, cell.word), kind


class _Page:
    """A page in progress: a method a section."""

    def __init__(self, judgement, name, measured):
        self.judgement, self.runs, self.measured = judgement, judgement.runs, measured
        machines = list(dict.fromkeys(r.machine for r in self.runs))
        # Machine by machine, and there phase by phase.
        self.order = sorted(range(len(self.runs)),
                            key=lambda i: machines.index(self.runs[i].machine))
        self.columns = [(self.runs[i].machine, self.runs[i].phase) for i in self.order]
        self.root = ET.Element("html", lang="en", xmlns="http://www.w3.org/1999/xhtml")
        head = _add(self.root, "head")
        _add(head, "meta", charset="utf-8")
        _add(head, "meta", name="viewport", content="width=device-width, initial-scale=1")
        _add(head, "title", f"AVIC tests: {name}")
        _add(head, "style", STYLE)
        self.main = _add(_add(self.root, "body"), "main")
        _add(self.main, "h1", f"AVIC tests: {name}")

    def words(self, row):
        """The row's cells for _table()."""
        return [_word(self.judgement.cells[row, i]) for i in self.order]

    def section(self, heading, text=None):
        _add(self.main, "h2", heading)
        if text:
            _add(self.main, "p", text)

    def verdict(self):
        problems = self.judgement.problems
        line = _add(self.main, "p")
        _add(line, "strong", f"{len(problems)} not as expected" if problems else "All as expected",
             class_="bad" if problems else "pass")
        if problems:
            items = _add(self.main, "ul")
            for problem in problems:
                _add(items, "li", problem)

    def machines(self):
        self.section("Results by machine")
        rows = []
        for i in self.order:
            cells = [self.judgement.cells[row, i] for row in self.judgement.rows]
            count = collections.Counter(c.case.result for c in cells if c.case)
            numbers = [*(count[w] for w in ("pass", "fail", "skip")),
                       sum(bool(c.problem) for c in cells)]
            rows.append((f"{self.runs[i].machine}, {self.runs[i].phase}",
                         [(str(n), "number") for n in numbers]))
        _table(self.main, "How many cases passed, failed or were skipped", "machine, phase",
               [("", c) for c in ("passed", "failed", "skipped", "not as expected")], rows)

    def versions(self):
        self.section("Versions")
        facts = dict.fromkeys((r.phase, r.kernel, r.series, r.qemu) for r in self.runs)
        _table(self.main, "What ran", "phase",
               [("", c) for c in ("Linux", "series (hash of its patches)", "QEMU")],
               [(phase, [(text, "text") for text in rest]) for phase, *rest in facts])

    def ids(self):
        self.section("vCPU IDs")
        found = [(row, reports.VCPU_ID.match(row[1])) for row in self.judgement.rows
                 if row[0] == "avic_vcpu_ids_test"]
        rows = [(f"{match[1]}, {match[2]}", self.words(row)) for row, match in found if match]
        if rows:
            _table(self.main, "Is an ID accepted if KVM advertises it, and refused otherwise?",
                   "ID, interrupt controller", self.columns, rows)
        else:
            _add(self.main, "p", "avic_vcpu_ids_test was not part of this run.")

    @staticmethod
    def grid(parent, caption, columns):
        """Costs; columns are (group, {(MSR, register, access): cost})."""
        registers = dict.fromkeys(key[:2] for _, costs in columns for key in costs)
        lines = [(register or None, msr, [costs.get((msr, register, access), "-")
                                          for _, costs in columns for access in ("read", "write")])
                 for msr, register in registers]
        rows = []
        for (register, costs), same in itertools.groupby(lines, lambda x: (x[0], x[2])):
            names = [msr for _, msr, _ in same]
            label = names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"
            label = " ".join(filter(None, (label, register))) or "none"
            rows.append((label, [(COSTS.get(c, c), "none" if c == "-" else c) for c in costs]))
        _table(parent, caption, "MSR",
               [(group, access) for group, _ in columns for access in ("read", "write")], rows)

    def matrix(self):
        self.section("x2APIC MSRs", "What a guest's access costs, as measured by x2apic-msrs.")
        states = {}
        for i in self.order:
            for (state, *key), cell in self.measured.get(i, {}).items():
                states.setdefault(i, {}).setdefault(state, {})[tuple(key)] = cell["cost"]
        name = {i: f"{self.runs[i].machine}, {self.runs[i].phase}" for i in states}
        active = [(name[i], s["active"]) for i, s in states.items() if "active" in s]
        if active:
            self.grid(self.main, "While x2AVIC is active", active)
        else:
            _add(self.main, "p", "x2apic-msrs was not part of this run (MATRIX=1), or x2AVIC "
                 "was not active.")
        for i, costs in states.items():
            groups = {}
            for state, cells in costs.items():
                groups.setdefault(tuple(cells.items()), []).append(state)
            box = _add(self.main, "details")
            _add(_add(box, "summary"), "h3", f"{name[i]}, all states")
            self.grid(box, f"{name[i]}: states with equal costs share a column",
                      [(", ".join(same), dict(cells)) for cells, same in groups.items()])

    def failures(self):
        self.section("Failures")
        failed = {}
        for row in self.judgement.rows:
            cells = [(i, self.judgement.cells[row, i]) for i in self.order]
            cells = [(i, c) for i, c in cells if c.case and c.case.result == "fail"]
            if cells:
                failed[row] = cells
        if not failed:
            _add(self.main, "p", "None.")
        # What is not as expected comes first.
        for row, cells in sorted(failed.items(), key=lambda x: not any(c.problem for _, c in x[1])):
            bad = any(c.problem for _, c in cells)
            box = _add(self.main, "details", **({"open": "open"} if bad else {}))
            heading = _add(_add(box, "summary"), "h3")
            heading.text = f"{junit.clean(title(*row))}, in {len(cells)} of {len(self.runs)} runs: "
            reasons = dict.fromkeys(c.entry.reason for _, c in cells if c.entry)
            _add(heading, "span", "not as expected" if bad else "as expected",
                 class_="bad" if bad else "fail")
            for reason in filter(None, reasons):
                _add(box, "p", f"Expected: {reason}")
            said = {}
            for i, cell in cells:
                said.setdefault(cell.case.detail, []).append((self.runs[i], cell.case.notes))
            for detail, runs in said.items():
                _add(box, "p", ", ".join(f"{r.machine} {r.phase}" for r, _ in runs) +
                     (f": {detail}" if detail else ""))
                if runs[0][1]:
                    _add(box, "pre", "\n".join(runs[0][1][-junit.SAID:]))

    def cases(self):
        self.section("All tests", "Cases that pass everywhere are counted only.")
        legend = _add(self.main, "ul")
        for word, what in LEGEND.items():
            _add(legend, "li", f"{word}: {what}")
        tests, rows = {}, []
        for row in self.judgement.rows:
            tests.setdefault(row[0], []).append(row)
        for test, found in tests.items():
            good = [r for r in found if {c.word for c in self.judgement.row(r)} == {"pass"}]
            rows.append((f"{test}: {len(good)} of {len(found)} pass everywhere", None))
            rows += [("no cases" if r[1] == "-" else r[1], self.words(r))
                     for r in found if r not in good]
        _table(self.main, "Results of all cases that don't pass everywhere", "case",
               self.columns, rows)


def render(judgement, name, measured):
    """The page's text; name is the base's, measured has msrs.cells() by the run's number."""
    page = _Page(judgement, name, measured)
    for part in (page.verdict, page.machines, page.versions, page.ids, page.matrix,
                 page.failures, page.cases):
        part()
    ET.indent(page.root, "")
    return "<!DOCTYPE html>\n" + ET.tostring(page.root, "unicode") + "\n"
