# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2034,SC2154
#
# For all bats files: scripts run with a build directory and a cache of their
# own, below bats' temporary directory.

scripts=$(cd "$BATS_TEST_DIRNAME/.." && pwd)
top=$(cd "$scripts/.." && pwd)

setup() {
	export AVIC_BUILD=$BATS_TEST_TMPDIR/build XDG_CACHE_HOME=$BATS_TEST_TMPDIR/cache
	export AVIC_LOCKED=1
	unset BASE MACHINE TESTS KDIR QEMU QEMU_SRC CCACHE_DIR
	mkdir -p "$AVIC_BUILD" "$XDG_CACHE_HOME"
	cd "$BATS_TEST_TMPDIR" || return 1
}

# one_error: the command failed, with exactly one error line on stderr.
one_error() {
	[ "$status" -ne 0 ] || return 1
	[ "$(grep -c ' error: ' <<<"$output")" -eq 1 ]
}

# fake_tree DIR: the least that passes for a Linux tree.
fake_tree() {
	mkdir -p "$1/arch/x86/kvm" "$1/tools/testing/selftests/kvm/lib"
	touch "$1/Kbuild" "$1/Makefile" "$1/tools/testing/selftests/kvm/lib/kvm_util.c"
}

# stub NAME COMMANDS: they replace a script of the copy of the project in p;
# row prints a line of results.
stub() {
	printf '#!/bin/bash\nrow() { local IFS=$'"'\\\\t'"'; echo "$*"; }\n%s\n' "$2" >"p/scripts/$1"
	chmod +x "p/scripts/$1"
}
