# SPDX-License-Identifier: GPL-2.0-only
"""A Judgement as JUnit's XML, for CI: a suite a run, and one for what else is wrong.

Only what is not as expected is a failure there.  What fails as expected is skipped, with
a message that says so; what didn't run at all is left out.
"""
import re
import xml.etree.ElementTree as ET

# What XML can't have, not even as references.
FORBIDDEN = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# Lines of what a test said that go with a failure.
SAID = 50


def clean(text):
    """The text without what XML can't have."""
    return FORBIDDEN.sub("?", text)


def _suite(root, name, cases):
    """A suite of (class, name, what, message, text); what is failure, skipped or None."""
    suite = ET.SubElement(root, "testsuite", name=name, tests=str(len(cases)), errors="0")
    for what in ("failure", "skipped"):
        count = str(sum(c[2] == what for c in cases))
        suite.set({"failure": "failures"}.get(what, what), count)
    for classname, title, what, message, text in cases:
        case = ET.SubElement(suite, "testcase", classname=clean(classname), name=clean(title))
        if what:
            ET.SubElement(case, what, message=clean(message)).text = clean(text)
    return suite


def _case(row, cell):
    detail = cell.case.detail if cell.case else ""
    text = "\n".join(cell.case.notes[-SAID:]) if cell.case else ""
    if cell.problem:
        return (*row, "failure", cell.problem, text)
    if cell.word == "skip":
        return (*row, "skipped", detail, "")
    if cell.word != "pass":
        why = f" ({cell.entry.reason})" if cell.entry.reason else ""
        return (*row, "skipped", f"fails as expected{why}: {detail}", text)
    return (*row, None, "", "")


def render(judgement):
    """The XML's text."""
    root = ET.Element("testsuites")
    for i, run in enumerate(judgement.runs):
        cells = [(row, judgement.cells[row, i]) for row in judgement.rows]
        suite = _suite(root, f"{run.phase}.{run.machine}",
                       [_case(r, c) for r, c in cells if c.word not in (".", "-")])
        properties = ET.Element("properties")
        for name in ("kernel", "series", "machine", "phase"):
            ET.SubElement(properties, "property", name=name, value=clean(getattr(run, name)))
        suite.insert(0, properties)
    if judgement.others:
        _suite(root, "expectations",
               [("expectations", p, "failure", p, "") for p in judgement.others])
    ET.indent(root, " ")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, "unicode") + "\n"
