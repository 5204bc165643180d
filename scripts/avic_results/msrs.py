# SPDX-License-Identifier: GPL-2.0-only
"""What x2apic-msrs measures, as CSV or in TAP: how two files differ, the document's table.

A cell is one access to one MSR in one state; it has the exception's vector or 0, a value,
and the cost.  The value is what was read; for a write what is read back; for reserved bits
the bits that caused #GP.
"""
import re

from .model import Error

HEAD = "state,msr,register,access,vector,value,cost"
# In a TAP file: where the program's lines begin, and which ones go on.
BEGIN = re.compile("(# )+(x2apic-msrs: Linux|state,msr,register,)")
LINE = re.compile("(# )+(x2apic-msrs: Linux|[a-z0-9_]+(,[^ ]*){6}$)")


def split(lines):
    """(the program's lines in a TAP file, without "# ", and all others)"""
    mine, others, inside = [], [], False
    for line in lines:
        inside = bool(LINE.match(line) and (inside or BEGIN.match(line)))
        (mine if inside else others).append(line)
    mine = [re.sub("^(# )+", "", line) for line in mine]
    return [f"# {line}" if line.startswith("x2apic-msrs") else line for line in mine], others


def cells(lines, name):
    """(the kernel and CPU or "", {(state, msr, register, access): {cost, vector, value}})

    Raises Error, with the file's name, if there are no results.
    """
    found, title, head = {}, "", False
    for line in lines:
        line = re.sub("^(# )*", "", line.removesuffix("\r"))
        if line.startswith("x2apic-msrs: Linux"):
            title = title or line.removeprefix("x2apic-msrs: ")
        elif line.startswith("state,msr,"):
            head = head or line == HEAD
        elif head and line.count(",") == 6:
            *key, vector, value, cost = line.split(",")
            found[tuple(key)] = {"cost": cost, "vector": vector, "value": value}
    if not head:
        raise Error(f"{name}: no results of x2apic-msrs -o", 2)
    return title, found


def compare(first, second):
    """The lines that say how two results of cells() differ, the last one a count; and it."""
    lines = [f"{name}: {title}" for name, (title, _) in zip("AB", (first, second)) if title]
    a, b = first[1], second[1]
    count = 0
    keys = dict.fromkeys([*a, *b])
    for key in keys:
        if key not in a or key not in b:
            what = f"  only in {'A' if key in a else 'B'}"
        else:
            what = "".join(f"  {field} {old} -> {b[key][field]}"
                           for field, old in a[key].items() if old != b[key][field])
        if what:
            count += 1
            state, msr, register, access = key
            lines.append(f"{state:<32} {msr:<6} {register:<12} {access:<9}{what}")
    return lines + [f"{count} of {len(keys)} cells differ"], count


# What a cell of the document says, by the word in x2avic-msrs.in or of x2apic-msrs.
WORDS = {"page": "page", "cpu": "no exit", "msr": "MSR exit", "trap": "trap", "fault": "fault",
         "gp": "#GP", "gp-cpu": "#GP by CPU", "gp-kvm": "#GP by KVM", "-": "-"}
COSTS = {"CPU": "cpu", "KVM": "msr"}
TABLE_HEAD = """.. csv-table::
   :header: "MSR", "register", "APM: read", "write", "x2AVIC: read", "write", "KVM lets through", \
"before: read", "write", "after: read", "write"
"""
WIDTHS = (14, 19, 10, 10, 10, 10, 5, 13, 13, 13)
THROUGH = {(True, True): "RW", (True, False): "R", (False, True): "W", (False, False): "-"}


def expected(lines):
    """What "x2apic-msrs -m" prints: a list of (MSR, register, who serves reads, writes).

    Raises Error if that is no table.
    """
    if "msr,register,read,write" not in lines:
        raise Error("x2apic-msrs -m prints no table")
    # The library may print a line before the table.
    rows = [line.split(",") for line in lines[lines.index("msr,register,read,write") + 1:]]
    return [tuple((row + [""] * 4)[:4]) for row in rows]


def _row(known, first, last, words, place):
    """A line of the table, for the registers first to last."""
    msr, name, *access = known[first]
    if last > first:
        msr, name = f"{msr}-{known[last][0]}", f"{name}-{known[last][1]}"
    through = THROUGH[tuple(a == "CPU" for a in access)]
    costs = [COSTS.get(a, "gp-kvm") for a in access]
    for word in words:
        if word not in WORDS:
            raise Error(f"{place}: unknown word {word}")
    texts = [WORDS[w] for w in (*words, *costs)]
    quoted = [f'"{text}",' for text in (msr, name, *texts[:4], through, *texts[4:])]
    padded = " ".join(f"{q:<{w}}" for q, w in zip(quoted, WIDTHS))
    return f"   {padded} {quoted[-1].removesuffix(',')}"


def table(known, notes, name, measured=None):
    """The lines of the document's table.

    known is what expected() gives, notes the lines of x2avic-msrs.in, called name in errors,
    measured the lines of what x2apic-msrs -o wrote before the series, with which the notes
    have to agree.  Raises Error.
    """
    lines, before = TABLE_HEAD.split("\n"), {}
    done = 0
    for number, line in enumerate(notes, 1):
        place = f"{name}:{number}"
        words = line.split()
        if not words or line.startswith("#"):
            continue
        if len(words) != 10 or any(words[i] != ":" for i in (1, 4, 7)):
            raise Error(f'{place}: wanted "registers : x x : x x : x x"')
        start, _, end = words[0].partition("-")
        following = known[done][1] if done < len(known) else "none"
        if start != following:
            raise Error(f"{place}: {start}, but the next register of x2apic-msrs is {following}")
        first = last = done
        while end and known[last][1] != end:
            last += 1
            if last == len(known):
                raise Error(f"{place}: no register {end} after {start}")
            if known[last][2:] != known[first][2:]:
                raise Error(f"{place}: {known[last][1]} differs from {start}")
        for row in known[first:last + 1]:
            before[row[1]] = words[8:]
        lines.append(_row(known, first, last, [w for w in words[2:] if w != ":"], place))
        done = last + 1
    if done < len(known):
        raise Error(f"{name}: {known[done][1]} is missing")
    if measured is not None:
        _agree(before, measured, name)
    return lines


def _agree(before, measured, name):
    """Raise Error if the notes {register: costs of read, write} aren't what a run shows."""
    shown = {}
    for line in measured:
        fields = re.sub("^(# )*", "", line).split(",")
        if fields[0] == "active" and len(fields) == 7 and fields[2]:
            shown[fields[2], fields[3]] = fields[6]
    if not shown:
        raise Error("the TAP file has no results of x2apic-msrs")
    for register, costs in before.items():
        for access, cost in zip(("read", "write"), costs):
            real = shown.get((register, access), "")
            if real != cost:
                raise Error(f"{name}: {register}, {access}, 6.12.y: {cost}, "
                            f"but the run shows {real}")


def document(lines, new, name):
    """The document's lines, with the lines of the new table; name is for errors."""
    marks = [i for i, line in enumerate(lines) if line in (".. begin table", ".. end table")]
    if [lines[i] for i in marks] != [".. begin table", ".. end table"]:
        raise Error(f"{name}: wanted one line '.. begin table' and one '.. end table'")
    return [*lines[:marks[0] + 1], "", *new, "", *lines[marks[1]:]]
