# SPDX-License-Identifier: GPL-2.0-only
#
# Print the lines of a kernel log that no passing run may have, each with the
# test that was running; exit with 1 if there is one.

/avic-test: start / { test = $NF }
/avic-test: end/ { test = "" }
/WARNING:|BUG:|Oops|KASAN:|KCSAN:|UBSAN:|Kernel panic|general protection fault/ ||
/possible (recursive|circular|irq)|inconsistent lock state|suspicious RCU usage/ ||
/INFO: (task|rcu)|rcu:.*stall|soft lockup|hard LOCKUP|unable to handle|list_(add|del) corruption/ ||
/refcount_t:|Bad page|Call Trace:|DEBUG_LOCKS_WARN|scheduling while atomic/ {
	sub(/\r$/, "")
	print (test == "" ? "" : test ": ") $0
	bad = 1
}
END { exit bad }
