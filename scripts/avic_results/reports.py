# SPDX-License-Identifier: GPL-2.0-only
"""A run's results as one text file for others; how two differ; many side by side.

The file has sections, each after a line "== NAME", without names of machines, people, or
directories:

  host      the machine, one "name: value" a line
  vcpu_ids  which vCPU IDs could be created, as CSV
  msrs      what x2apic-msrs measured, as CSV; empty if the run was without
  tap       the TAP, without those
  dmesg     what KVM and the IOMMU logged, and lines that no run should have
"""
import collections
import pathlib
import re
import subprocess

from . import msrs, store, tap
from .model import Error

SECTIONS = ("host", "vcpu_ids", "msrs", "tap", "dmesg")
# Beside host.*: facts that a report has, and those that merge() shows.
ABOUT = ("machine", "qemu", "series", "library", "tests")
SHOWN = ("machine", "cpu", "kernel", "kvm_amd.avic", "series")
DELIMITERS = " \t\v\f\r:;,\"'()"
KERNELS_PATH = re.compile("/(dev|proc|sys)/")
PATH = re.compile(f"(^|[{DELIMITERS}=])/([^/{DELIMITERS}]+/)*([^/{DELIMITERS}]+)")
LOGGED = re.compile(r"(kvm|kvm_amd|SVM|AMD-Vi)( \[[0-9]+\])?: ")
VCPU_ID = re.compile(r"create\.id_([0-9]+)\.(.*)")


def scrub(line):
    """The line with only the last component of absolute paths, but for the kernel's."""
    line = KERNELS_PATH.sub("\1\\1/", line)
    return PATH.sub(r"\1\3", line).replace("\1", "/")


def vcpu_ids(cases):
    """The lines of the CSV: a row an ID, a column a kind of interrupt controller."""
    table, kinds = collections.defaultdict(dict), {}
    for case in cases:
        match = VCPU_ID.match(case.name)
        if case.test == "avic_vcpu_ids_test" and match:
            kinds[match[2]] = True
            table[match[1]][match[2]] = case.result
    yield ",".join(["id", *kinds])
    for number, row in table.items():
        yield ",".join([number, *(row.get(k, "") for k in kinds)])


def make(directory, bad_dmesg):
    """The report's text, of a directory with tap and dmesg; raises Error.

    bad_dmesg is the path of the awk program that finds lines that no run should have.
    """
    directory = pathlib.Path(directory)
    if not all((directory / name).is_file() for name in ("tap", "dmesg")):
        raise Error(f"no results in '{directory}'")
    lines = store.read_lines(directory / "tap")
    log = directory / "dmesg"
    facts = tap.facts(lines)
    host = [f"{name[5:]}: {value}" for name, value in facts.items() if name.startswith("host.")]
    if not host:
        raise Error(f"{directory}/tap doesn't say what the machine is")
    host += [f"{name}: {value}" for name, value in facts.items() if name in ABOUT]
    csv, rest = msrs.split(lines)
    found = subprocess.run(["awk", "-f", bad_dmesg, log], stdout=subprocess.PIPE, check=False)
    bad = found.stdout.decode("utf-8", "surrogateescape").removesuffix("\n")
    logged = [x for x in store.read_lines(log) if LOGGED.search(x)]
    logged += bad.split("\n") if bad else []
    logged = dict.fromkeys(re.sub(r"\[ *[0-9]+\.[0-9]+\] ", "", x, count=1) for x in logged)
    sections = (map(scrub, host), vcpu_ids(tap.read(lines)), csv,
                (scrub(x) for x in rest if not x.startswith("# host.")), map(scrub, logged))
    return "".join(f"== {name}\n" + "".join(f"{x}\n" for x in section)
                   for name, section in zip(SECTIONS, sections))


def read(path):
    """The sections of a report, {name: lines}; empty if the file is none.  Raises Error."""
    sections, section = {}, None
    for line in store.read_lines(path):
        line = line.removesuffix("\r")
        if line.startswith("== "):
            section = sections.setdefault(line[3:].split(" ")[0], [])
        elif section is not None:
            section.append(line)
    return sections


def _cells(sections):
    """What compare() compares, by kind: lists of (name, value)."""
    head, *rows = [line.split(",") for line in sections["vcpu_ids"]] or [[]]
    return {
        "facts": [tuple((line.split(": ", 1) + [""])[:2]) for line in sections["host"]],
        "ids": [(f"vCPU ID {row[0]}, {kind}", value)
                for row in rows for kind, value in zip(head[1:], row[1:])],
        "cases": [(f"{c.test}: {c.name}", c.result) for c in tap.read(sections["tap"])
                  if not (c.test == "avic_vcpu_ids_test" and VCPU_ID.match(c.name))],
    }


def compare(first, second):
    """(lines that say how the reports in two files differ, whether they do); raises Error.

    The machines may differ.
    """
    both = []
    for path in (first, second):
        both.append(read(path))
        missing = [s for s in SECTIONS if s not in both[-1]]
        if missing:
            raise Error(f"{path} is no report: it has no section '{missing[0]}'")
    lines, differ = [], False
    old, new = map(_cells, both)
    for kind, values in old.items():
        values = dict(values)
        shared = [(k, values[k], v) for k, v in new[kind] if k in values]
        changed = [f"{k:<56}  {a} -> {b}" for k, a, b in shared if a != b]
        lines += [*changed, f"{len(changed)} of {len(shared)} {kind} differ", ""]
        differ = differ or (changed and kind != "facts")
    if both[0]["msrs"] and both[1]["msrs"]:
        more, count = msrs.compare(*(msrs.cells(s["msrs"], p)
                                     for s, p in zip(both, (first, second))))
        return lines + more, bool(differ or count)
    return lines + ["no MSRs to compare: they are not in both reports"], bool(differ)


def _columns(path):
    """(what the column is, its Cases) of a report, TAP, or a run's JSON; raises Error."""
    name = pathlib.Path(path).name
    sections = {} if name.endswith(".json") else read(path)
    if name.endswith(".json"):
        return [({"machine": r.machine, "kernel": r.kernel, "series": r.series}, r.cases)
                for r in store.load_json(path)]
    if "tap" in sections:
        facts = dict(_cells({"vcpu_ids": [], **sections})["facts"])
        return [(facts, tap.read(sections["tap"]))]
    lines = [line.replace("\r", "") for line in store.read_lines(path)]
    return [({k.removeprefix("host."): v for k, v in tap.facts(lines).items()}, tap.read(lines))]


def merge(paths):
    """The lines of a table of files' results, a column each; raises Error.

    A file is a report, the TAP of run-tests or of a lab, or results.json, with a column a
    run.  Above the table stands what each column is.  In it: pass, fail, skip, or "." where
    a case did not run.  Cases that pass everywhere are only counted.
    """
    lines, columns = [], []
    for path in paths:
        for facts, cases in _columns(path):
            if not cases:
                raise Error(f"{path} is no report, and no TAP of run-tests: it has no results")
            columns.append(cases)
            lines.append(", ".join([f"{len(columns)}: {pathlib.Path(path).name}",
                                    *(f"{k} {facts[k]}" for k in SHOWN if k in facts)]))
    tests = {}
    for number, cases in enumerate(columns):
        for case in cases:
            row = tests.setdefault(case.test, {}).setdefault(case.name, ["."] * len(columns))
            row[number] = case.result
    width = max(max(len(test) + 1, *(len(n) + 3 for n in names)) for test, names in tests.items())

    def show(label, row):
        return f"{label:<{width}}" + "".join(f" {x!s:<4}" for x in row)

    lines += ["", show("", range(1, len(columns) + 1))]
    for test, names in tests.items():
        lines.append(test)
        good = [n for n, row in names.items() if set(row) == {"pass"}]
        lines += [show("  (no cases)" if n == "-" else f"  {n}", row)
                  for n, row in names.items() if n not in good]
        if good:
            lines.append(f"  {len(good)} pass everywhere")
    return lines + [show(w, (sum(c.result == w for c in cases) for cases in columns))
                    for w in ("pass", "fail", "skip")]
