# SPDX-License-Identifier: GPL-2.0-only
"""What x2apic-msrs measures, as CSV or in TAP: in which cells two files differ.

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
