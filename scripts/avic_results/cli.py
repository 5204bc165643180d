# SPDX-License-Identifier: GPL-2.0-only
"""The commands of scripts/avic-results: arguments and environment in, text and status out."""
import difflib
import json
import os
import pathlib
import shutil
import subprocess
import sys

from . import coverage, expectations, judge, junit, kut, msrs, page, reports, steps, store, table, tap
from .model import Error

TOP = pathlib.Path(__file__).resolve().parents[2]
SELFTESTS = TOP / "selftests"


def cases(file):
    """cases TAP

    The results in a TAP file, a line each, separated by tabs: test, case ("-" if the test
    has none), result (pass, fail, skip), detail.
    """
    print("".join(c.line() + "\n" for c in tap.read(store.read_lines(file, "TAP file"))), end="")
    return 0


def report(results, base, phases, machines, full="", page_path=""):
    """report RESULTS BASE PHASES MACHINES [full|"" [PAGE]]

    Print the table of RESULTS/PHASE/MACHINE/cases, compared with what is expected; write
    RESULTS/junit.xml and RESULTS/results.json, and to PAGE a page for a browser.  BASE is
    linux-6.12.y, linux-6.1.y, linux-mainline, or "kdir" for a tree without expectations of
    its own; PHASES and MACHINES are lists of words.  With "full" everything ran, so an
    expectation that matches nothing is an error.
    The expectations are in selftests/ (or $AVIC_EXPECT).  Exit status 1 if something isn't
    as expected, or if all was skipped.
    """
    phases, machines = phases.split(), machines.split()
    runs = store.load_all(results, phases, machines)
    expected = expectations.Expectations.load(os.environ.get("AVIC_EXPECT", SELFTESTS), base)
    ours = {p.stem for p in SELFTESTS.glob("x86/*_test.c")}
    found = judge.judge(runs, expected, ours, bool(full))
    store.write(pathlib.Path(results, "junit.xml"), junit.render(found))
    store.save_json(pathlib.Path(results, "results.json"), runs)
    if page_path:
        # Of a test that didn't run there are no costs; the page says so.
        taps = {i: pathlib.Path(results, r.phase, r.machine, "tap") for i, r in enumerate(runs)
                if any(c.test == "x2apic-msrs" and c.result == "pass" for c in r.cases)}
        measured = {i: msrs.cells(store.read_lines(t), t)[1] for i, t in taps.items()}
        store.write(page_path, page.render(found, base, measured))
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    print(table.render(found, phases, machines, colour), end="")
    return 1 if found.problems else 0


def show_steps(results, machines):
    """steps RESULTS MACHINES

    Say what each patch of a series changes.  Reads RESULTS/steps and, for each number in
    it, RESULTS/NUMBER/MACHINE/cases.  A case may get from its first result to its last one
    in one step, but from "pass" only to "skip"; a test that a later patch adds may begin to
    fail, unless it has passed; and it doesn't fail from that patch on.  Exit status 1 if a
    patch is not ok.
    """
    found = steps.judge(results, machines.split())
    print(steps.render(found), end="")
    return 1 if any(s.wrong for s in found) else 0


def show_kut(results, base, phases, machines):
    """kut RESULTS BASE PHASES MACHINES

    Print where results of KVM-unit-tests differ from those of the machine noavic in the
    first phase.  Exit status 1 if in the last phase a case fails that passes there, unless
    selftests/kvm-unit-tests/known-failures (or $KUT_KNOWN) lists it, or if no test has run.
    """
    runs = store.load_all(results, phases.split(), machines.split())
    path = os.environ.get("KUT_KNOWN", SELFTESTS / "kvm-unit-tests/known-failures")
    known = expectations.Expectations(base, expectations.read(path, "known"))
    verdict = kut.judge(runs, known)
    print("\n".join(verdict.lines))
    if verdict.failure:
        raise Error(verdict.failure)
    return 1 if verdict.bad else 0


def show_coverage(results, kernel, before, after, machines, *files):
    """coverage RESULTS KERNEL BEFORE AFTER MACHINES FILE...

    Print which lines and branches of FILE..., sources below arch/x86/kvm, no test executed on
    any of MACHINES, a list of words.  RESULTS/MACHINE/console.log has the machine's counts,
    KERNEL/gcno what gcov wants to know of the kernel; BEFORE and AFTER are the kernel's
    sources without and with the series, whose lines get a "+".
    """
    counts = {file: {} for file in files}
    for machine in machines.split():
        path = pathlib.Path(results, machine)
        found = coverage.from_console(store.read_lines(path / "console.log"), machine)
        for file, sums in counts.items():
            name = pathlib.Path(file).with_suffix(".gcda")
            if str(name) not in found:
                raise Error(f"{machine}: no counts of {file}, see {path}")
            gcda = path / "gcov" / name
            gcda.parent.mkdir(parents=True, exist_ok=True)
            gcda.write_bytes(found[str(name)])
            notes = name.with_suffix(".gcno")
            shutil.copy(pathlib.Path(kernel, "gcno", notes), path / "gcov" / notes)
            said = subprocess.run(
                ["gcov", "--json-format", "--stdout", "--branch-probabilities", gcda.name],
                cwd=gcda.parent, stdout=subprocess.PIPE, check=True).stdout
            coverage.add(sums, json.loads(said), file)
    for file, sums in counts.items():
        old, new = (store.read_lines(pathlib.Path(tree, "arch/x86/kvm", file))
                    for tree in (before, after))
        print(f"{file}\n")
        print("\n".join(coverage.table(sums, new, coverage.changed(old, new))) + "\n")
    return 0


def make_report(directory):
    """make-report DIR

    Make one text file, to be sent to others, of DIR's tap and dmesg, from run-host or boot.
    It has no names of machines, people, or directories.
    """
    print(reports.make(directory, SELFTESTS / "bad-dmesg.awk"), end="")
    return 0


def compare_reports(first, second):
    """compare-reports A B

    Show in which cells two reports differ: the machines (which may), the vCPU IDs, the
    cases of all tests that both have run, and the MSRs.  Exit status 1 if there is a
    difference, 2 for errors.
    """
    lines, differ = reports.compare(first, second)
    print("\n".join(lines))
    return int(differ)


def compare_msrs(first, second):
    """compare-msrs A B

    Show in which cells two files differ that x2apic-msrs -o wrote, CSV or TAP with it.  Exit
    status 1 if there is a difference, 2 for errors.
    """
    lines, count = msrs.compare(*(msrs.cells(store.read_lines(f), f) for f in (first, second)))
    print("\n".join(lines))
    return int(count > 0)


def merge(*files):
    """merge FILE...

    Put the results of many machines side by side.  FILE is a report, the TAP of run-tests
    or of a lab, or results.json.
    """
    print("\n".join(reports.merge(files)))
    return 0


def msrs_doc(*args):
    """msrs-doc [--check] PROGRAM [TAP]

    Write the table in Documentation/x2avic-msrs.rst (of $AVIC_DOC), or, with --check, see
    that it has what would be written.  PROGRAM is x2apic-msrs, which says what is expected
    (-m); x2avic-msrs.in has the rest.  TAP has what it measured (-o -) on x2AVIC before the
    series, with which the columns on 6.12.y must agree.
    """
    check = args[0] == "--check"
    program, *tap_file = args[check:] or [""]
    if len(tap_file) > 1:
        raise Error("more than one TAP file")
    directory = pathlib.Path(os.environ.get("AVIC_DOC", TOP / "Documentation"))
    doc, notes = directory / "x2avic-msrs.rst", directory / "x2avic-msrs.in"
    try:
        said = subprocess.run([program, "-m"], stdout=subprocess.PIPE, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        raise Error(f"no such program: '{program}', or it fails") from None
    measured = store.read_lines(tap_file[0], "TAP file") if tap_file else None
    old = store.read_lines(doc, "document")
    new = msrs.document(old, msrs.table(
        msrs.expected(said.decode().splitlines()), store.read_lines(notes, "file"), notes.name,
        measured), doc.name)
    if not check:
        store.write(doc, "".join(f"{line}\n" for line in new))
    elif old != new:
        print("\n".join(difflib.unified_diff(old, new, "is", "should be", lineterm="")),
              file=sys.stderr)
        raise Error(f"{doc.name} is not what avic-results msrs-doc would write")
    return 0


# Name: function, how many arguments it wants, exit status of errors.
COMMANDS = {
    "cases": (cases, 1, 1, 1),
    "report": (report, 4, 6, 1),
    "steps": (show_steps, 2, 2, 1),
    "coverage": (show_coverage, 6, sys.maxsize, 1),
    "kut": (show_kut, 4, 4, 1),
    "make-report": (make_report, 1, 1, 1),
    "compare-reports": (compare_reports, 2, 2, 2),
    "compare-msrs": (compare_msrs, 2, 2, 2),
    "msrs-doc": (msrs_doc, 1, 3, 1),
    "merge": (merge, 1, sys.maxsize, 1),
}


def main(argv):
    """Run the command that argv (without the program's name) names; returns the status."""
    for stream in (sys.stdout, sys.stderr):
        # Whatever the locale; bytes that are no UTF-8 come out as they went in.
        stream.reconfigure(encoding="utf-8", errors="surrogateescape", newline="\n")
    docs = {name: command[0].__doc__ for name, command in COMMANDS.items()}
    usages = {name: f"usage: avic-results {doc.splitlines()[0]}" for name, doc in docs.items()}
    name, *args = argv or [""]
    if name in ("-h", "--help"):
        print("avic-results COMMAND...: what the tests' results say.\n")
        print("\n".join(f"  {doc.rstrip()}\n" for doc in docs.values()))
        return 0
    status = 1
    try:
        if name not in COMMANDS:
            what = f"unknown command '{name}'" if name else "usage: avic-results COMMAND..."
            raise Error(f"{what}, of {', '.join(COMMANDS)}; see --help")
        function, least, most, status = COMMANDS[name]
        if args[:1] in (["-h"], ["--help"]):
            print(docs[name].rstrip())
            return 0
        if not least <= len(args) <= most:
            raise Error(usages[name])
        return function(*args)
    except Error as e:
        sys.stdout.flush()
        print(f"avic-results: error: {e}", file=sys.stderr)
        return max(e.status, status)
    except BrokenPipeError:
        # Who reads has seen enough; nothing to write at exit, either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        return 130
