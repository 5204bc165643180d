# SPDX-License-Identifier: GPL-2.0-only
"""The reader of TAP as run-tests and kselftest's own runner write it.

Takes lines without newlines.  A test that fails outside of its cases (crash, time limit)
gets a case "exit"; cases that its plan promised and that never came are counted in one
called "plan".
"""
import re

from . import model

RESULT = re.compile(r"(not )?ok [0-9]+ *(?:- )?")
SKIP_ALL = re.compile(r"1\.\.0 # SKIP( - )? *")
DIRECTIVE = re.compile(r" *# (?=SKIP|XFAIL|exit=|TIMEOUT)")
# Between an assertion's condition and its message.
STACK = re.compile(r" *(pid=|[0-9]+\t|sh: |\(stack trace)")
FACT = re.compile(r"# ([a-z0-9_.]+): (.*)")


def facts(lines):
    """What the TAP's head says: a dictionary, e.g. of "machine" and "host.cpu"."""
    found = {}
    for line in lines:
        if re.match(r"1\.\.|# selftests: kvm: ", line):
            break
        match = FACT.match(line)
        if match:
            found.setdefault(match[1], match[2])
    return found


class _Test:
    """A test in progress: takes its lines, gives cases."""

    def __init__(self, name):
        self.name = name
        self.nested = self.failed = self.plan = self.assertion = 0
        self.reason = self.hint = ""
        self.said = []

    def case(self, name, result, detail):
        notes, self.said = tuple(self.said), []
        return model.Case(self.name, name, result, detail.replace("\t", " "), notes)

    def line(self, line):
        """The Case that the line completes, or None."""
        match = RESULT.match(line)
        if match:
            return self.result(line[match.end():], "fail" if match[1] else "pass")
        self.said.append(line)
        match = SKIP_ALL.match(line)
        plan = re.match(r"1\.\.([0-9]+)", line)
        if match:
            self.reason = line[match.end():]
        elif plan:
            self.plan = int(plan[1])
        elif "==== Test Assertion Failure" in line:
            self.assertion = 1
        elif self.assertion and not STACK.match(line):
            # First comes FILE:LINE: CONDITION, after the stack the message.
            self.hint = line.lstrip(" ")
            self.assertion = 2 if self.assertion == 1 else 0
        elif not self.hint and re.search("[Ee]xpected|Error|mismatch", line):
            self.hint = line.lstrip("# ")
        elif not self.reason and re.search("[Ss]kip|not supported", line):
            self.reason = line
        return None

    def result(self, text, result):
        name, detail = text, ""
        match = DIRECTIVE.search(text)
        if match:
            name, detail = text[:match.start()], text[match.end():]
            if detail.startswith("SKIP"):
                result, detail = "skip", detail[4:].lstrip(" ")
        if result == "fail":
            self.failed += 1
            detail = detail or self.hint
        self.nested += 1
        self.hint = ""
        name = re.sub(r"[ \t]+", "_", name.removeprefix("global."))
        return self.case(name or str(self.nested), result, detail)

    def end(self, result, detail):
        """The Cases that the test's own result adds to those that it had."""
        why = f"{detail}: {self.hint}" if self.hint else detail
        if result == "pass" and detail.startswith("SKIP"):
            result = "skip"
        if not self.nested:
            return [self.case("-", result, {"fail": why, "skip": self.reason}.get(result, ""))]
        more = []
        if result == "fail" and not self.failed:
            more.append(self.case("exit", "fail", why))
        if self.plan > self.nested:
            missing = f"{self.plan - self.nested} of {self.plan} cases did not run"
            more.append(self.case("plan", "fail", missing))
        return more


def read(lines):
    """The Cases of a TAP file, in its order."""
    cases, test = [], None
    for line in lines:
        if line.startswith("# selftests: kvm: "):
            test = _Test((line.split() + [""])[3])
        elif match := re.match(r"(not )?ok [0-9]+ selftests: kvm: ", line):
            detail = re.search(" # (.*)", line)
            # A result without a beginning has no name of its own.
            test = test or _Test(line[match.end():].split(" # ")[0])
            cases += test.end("fail" if match[1] else "pass", detail[1] if detail else "")
            test = None
        elif line.startswith("Bail out!"):
            cases.append(model.Case("machine", "modules", "fail", line[10:].replace("\t", " ")))
        elif test and line.startswith("# "):
            case = test.line(line[2:])
            if case:
                cases.append(case)
    if test:
        cases.append(test.case("exit", "fail", "the machine stopped during this test"))
    return cases
