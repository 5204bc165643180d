# SPDX-License-Identifier: GPL-2.0-only
"""Results of the tests: read, judged, and shown to people and to other programs.

model, store  a case and a run; the files that they are kept in
tap           the reader of TAP
expectations  which cases may fail or be skipped, and why
judge         a run against the expectations: a word for each cell of the table
table, junit, page  that for the terminal, for CI, and for a browser
steps, kut    what each patch changes; the verdict on KVM-unit-tests
coverage      the lines of KVM's sources that no test executes
reports       a file to send to others, how two of them differ, many side by side
msrs          what x2apic-msrs measured: how two files differ, the document's table
cli           the commands
"""
