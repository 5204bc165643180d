#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# Bad input: one clear line, a non-zero exit, nothing half-written.

load common

@test "run: unknown BASE" {
	run "$scripts/run" BASE=linux-5.4.y
	one_error
	[[ $output == *"unknown BASE 'linux-5.4.y'"* ]]
}

@test "run: unknown MACHINE, also in a list" {
	run "$scripts/run" MACHINE=avic,pdp11
	one_error
	[[ $output == *"unknown MACHINE 'pdp11'"* ]]
}

@test "run: unknown TESTS" {
	run "$scripts/run" TESTS=no_such_test
	one_error
	[[ $output == *"unknown test 'no_such_test'"* ]]
	run "$scripts/run" TESTS='avic_* xapic_?pi_test no_such_test'
	one_error
	[[ $output == *"unknown test 'no_such_test'"* ]]
}

@test "run: TEST and CASE that are none, or don't go together" {
	run "$scripts/run" TEST=no_such_test
	one_error
	[[ $output == *"unknown test 'no_such_test'"* ]]
	run "$scripts/run" CASE=ipi.x2apic_busy.active
	one_error
	[[ $output == *"of which TEST="* ]]
	run "$scripts/run" TEST=avic_ipi_test TESTS='avic_*'
	one_error
	[[ $output == *"either TEST= or TESTS="* ]]
	run "$scripts/run" TEST=avic_ipi_test CASE=ipi.nonsense
	one_error
	[[ $output == *"unknown CASE 'ipi.nonsense' of avic_ipi_test: ipi.xapic_flat_busy.active "* ]]
	run "$scripts/run" TEST=x2avic_msrs_test CASE=spiv
	one_error
	[[ $output == *"can't be run one by one"* ]]
	run "$scripts/run" TEST=xapic_ipi_test CASE=1
	one_error
}

@test "run: PHASE and BOOTS, before the lock is waited for" {
	unset AVIC_LOCKED
	mkdir -p "$XDG_CACHE_HOME/avic-kvm"
	exec 7>"$XDG_CACHE_HOME/avic-kvm/lock"
	flock 7
	run timeout 20 "$scripts/run" PHASE=later
	one_error
	[[ $output == *"unknown PHASE 'later'"* ]]
	local boots
	for boots in 0 -1 two 1.5; do
		run timeout 20 "$scripts/run" BOOTS=$boots
		one_error
		[[ $output == *"BOOTS=$boots is not a number"* ]]
	done
	run timeout 20 "$scripts/run" TESTS=no_such_test
	one_error
	fake_tree tree
	run timeout 20 "$scripts/run" KDIR=tree PHASE=after
	one_error
	[[ $output == *"PHASE=after is for BASE="* ]]
}

@test "shell: one machine, and a terminal" {
	run "$scripts/shell" MACHINE=all </dev/null
	one_error
	[[ $output == *"one machine is wanted"* ]]
	run "$scripts/shell" </dev/null
	one_error
	[[ $output == *"wants a terminal"* ]]
}

@test "gdb: one machine, a terminal, and what shell takes" {
	run "$scripts/shell" --gdb MACHINE=all </dev/null
	one_error
	[[ $output == *"one machine is wanted"* ]]
	run "$scripts/shell" --gdb </dev/null
	one_error
	[[ $output == *"wants a terminal"* ]]
	run "$scripts/shell" --gdb TESTS=x </dev/null
	one_error
	[[ $output == *"unknown argument 'TESTS=x'"* ]]
	run "$scripts/shell" MACHINE=avic --gdb </dev/null
	one_error
	[[ $output == *"unknown argument '--gdb'"* ]]
}

@test "list: what the variables may be" {
	run "$scripts/list"
	[ "$status" -eq 0 ]
	[[ $output == *"  linux-6.12.y, "*" patches"* ]]
	[[ $output == *"  x2avic"* ]]
	[[ $output == *"  avic_ipi_test: Test that IPIs reach exactly the vCPUs"* ]]
	[[ $output == *"    ipi.x2apic_halted.toggled"* ]]
	[[ $output == *"    active_with_addressable_ids"* ]]
	[[ $output == *"    access_page.inhibited_until_first_run"* ]]
	[[ $output == *"  xapic_ipi_test"* ]]
}

@test "run: KDIR that is no Linux tree" {
	run "$scripts/run" KDIR="$BATS_TEST_TMPDIR"
	one_error
	[[ $output == *"is not a Linux source tree"* ]]
	run "$scripts/run" KDIR=/nonexistent
	one_error
}

@test "run: QEMU that is no QEMU" {
	run "$scripts/run" QEMU=/bin/true
	one_error
	[[ $output == *"QEMU=/bin/true is not a QEMU"* ]]
	run "$scripts/run" QEMU=/nonexistent
	one_error
}

@test "run: QEMU_SRC that is no QEMU tree" {
	run "$scripts/run" QEMU_SRC="$BATS_TEST_TMPDIR"
	one_error
	[[ $output == *"is not a QEMU source tree"* ]]
}

@test "run: unknown argument" {
	run "$scripts/run" FOO=bar
	one_error
}

@test "steps, builds, coccicheck: not a kernel's series, no such configuration" {
	local name
	for name in steps builds coccicheck; do
		run "$scripts/$name" BASE=linux-5.4.y
		one_error
		[[ $output == *"unknown BASE 'linux-5.4.y'"* ]]
		run "$scripts/$name" BASE=qemu-10.0.y
		one_error
		[[ $output == *"BASE"*"qemu-10.0.y"* ]]
	done
	run "$scripts/builds" CONFIGS='no-smm no-kvm'
	one_error
	[[ $output == *"unknown CONFIGS 'no-kvm'"* ]]
}

@test "make passes its variables on" {
	run make -C "$top" run BASE=nonsense
	[ "$status" -ne 0 ]
	[[ $output == *"unknown BASE 'nonsense'"* ]]
}

@test "get-source: unknown tree" {
	local tree
	for tree in linux-2.4 linux-6.12.y/../.. .. ''; do
		run "$scripts/get-source" --version "$tree"
		one_error
		[[ $output == *"unknown tree '$tree'"* ]]
	done
	[ ! -e "$AVIC_BUILD/versions" ]
}

@test "build-kernel: wrong phase" {
	run "$scripts/build-kernel" linux-6.12.y later
	one_error
}

@test "check: unknown check" {
	CHECKS=nonsense run "$scripts/check"
	one_error
}

@test "check-lockdep: unknown tree" {
	run "$scripts/check-lockdep" linux-2.4
	one_error
	[[ $output == *"unknown tree 'linux-2.4'"* ]]
}

@test "what is for the test machine only refuses to run here" {
	# Not to be tried without this.
	sed '/^[^#]*mount/q' "$scripts/guest-init" | grep -qF '[ $$ = 1 ] || {'
	run "$scripts/guest-init"
	one_error
}

# each_script: all but /init of the test machine, which is for nobody else.
each_script() {
	find "$scripts" -maxdepth 1 -type f -executable ! -name guest-init | sort
}

@test "every script has --help" {
	for s in $(each_script); do
		[[ $s != */kut-guest ]] || continue
		run "$s" --help
		[ "$status" -eq 0 ]
		[ "${#lines[@]}" -ge 3 ]
	done
}

@test "every script without arguments, or with wrong ones: one clear line" {
	# So that those which need none get no further than to their packages or sources.
	echo ID=plan9 >os-release
	export AVIC_OS_RELEASE=$PWD/os-release DEBIAN_MIRROR=file:///nonexistent AVIC_MUTANTS=$PWD/none
	for s in $(each_script); do
		for arg in '' nonsense NONSENSE=1 --nonsense; do
			[[ $s != */list || -n $arg ]] || continue
			# Without quotes, to be none.
			# shellcheck disable=SC2086
			run "$s" $arg </dev/null
			echo "$s $arg: $output"
			one_error
			[[ $output != *"unbound variable"* ]]
			[[ ! $output =~ :\ line\ [0-9]+: ]]
		done
	done
}

# wrong WORD COMMAND...: it names the wrong word before it looks for packages or the lock.
wrong() {
	local word=$1
	shift
	run env -u AVIC_LOCKED AVIC_OS_RELEASE="$PWD/os-release" PATH="$PWD/bin:$PATH" "$@" </dev/null
	echo "$*: $output"
	one_error || return 1
	[[ $output == *"$word"* ]] || return 1
	[ ! -e locked ]
}

@test "wrong values are named before the lock is waited for" {
	mkdir -p bin kut/x86
	printf '#!/bin/sh\ntouch locked\nexit 1\n' >bin/flock
	touch kut/x86/unittests.cfg kut/configure
	chmod +x bin/flock kut/configure
	echo ID=plan9 >os-release
	for s in run shell "shell --gdb" steps "kvm-unit-tests KUT=kut"; do
		# A script and what it always wants.
		# shellcheck disable=SC2086
		wrong "unknown MACHINE 'pdp11'" "$scripts"/$s MACHINE=pdp11
	done
	for s in run steps "kvm-unit-tests KUT=kut"; do
		# shellcheck disable=SC2086
		wrong "BOOTS=0 is not" "$scripts"/$s BOOTS=0
	done
	wrong "unknown test 'nonsense'" "$scripts/run" TESTS=nonsense
	wrong "unknown test 'nonsense'" "$scripts/kvm-unit-tests" KUT=kut TESTS=nonsense
	wrong "unknown test 'nonsense'" "$scripts/bisect" TEST=nonsense
	wrong "unknown MACHINE 'pdp11'" "$scripts/bisect" TEST=avic_ipi_test MACHINE=pdp11
	wrong "one machine is wanted" "$scripts/bisect" TEST=avic_ipi_test MACHINE=all
	wrong "unknown test 'nonsense'" "$scripts/bisect-run" --test=nonsense
	wrong "unknown MACHINE 'pdp11'" "$scripts/emulate-report" pdp11
	wrong "no mutant 'nonsense'" "$scripts/mutants" nonsense
	wrong "unknown check 'nonsense'" env CHECKS=nonsense "$scripts/check"
}

@test "V=1 shows commands, what it meant once is told" {
	local what="V=2: V=1 shows commands; VERSION=2 is the version of a series"
	for s in send mbox run; do
		run "$scripts/$s" V=2
		one_error
		[[ $output == *"$what" ]]
	done
	run make -s -C "$top" mbox V=2
	one_error
	[[ $output == *"$what"* ]]

	local script='. "$0/lib.bash"; step "saying it" log echo "a b"'
	V=1 run bash -c "$script" "$scripts"
	[ "${lines[1]}" = "+ 'echo' 'a b'" ]
	V='' run bash -c "$script" "$scripts"
	[ "${#lines[@]}" -eq 1 ]
}

@test "setup: another system gets the list of packages" {
	echo 'ID=fedora' >os-release
	AVIC_OS_RELEASE=$PWD/os-release run "$scripts/setup"
	one_error
	[[ $output == *busybox-static* ]]
	[[ $output == *"not a Debian or Ubuntu system"* ]]
}

@test "setup: what only one target wants is installed for it only" {
	echo ID=plan9 >os-release
	AVIC_OS_RELEASE=$PWD/os-release run "$scripts/setup"
	[[ $output != *chromium* ]]
	AVIC_OS_RELEASE=$PWD/os-release run "$scripts/setup" check
	[[ $output == *chromium* ]]
	[[ $output == *shellcheck* ]]
}

@test "setup: all packages are there, nothing happens" {
	run "$scripts/setup"
	[ "$status" -eq 0 ]
	[ -z "$output" ]
}

@test "selftests: no KDIR, wrong KDIR" {
	run make -s -C "$top/selftests" O="$PWD/out"
	one_error
	run make -s -C "$top/selftests" O="$PWD/out" KDIR="$PWD"
	one_error
	[[ $output == *"is not a Linux tree with KVM selftests"* ]]
	[ ! -e out ]
}

@test "archive: no mirror reachable" {
	command -v apt-get || skip "no apt"
	DEBIAN_MIRROR=file:///nonexistent/debian run timeout 60 "$scripts/archive" versions linux-source-6.12
	one_error
	[[ $output == *KDIR=*QEMU_SRC=* ]]
}

@test "archive: two at a time, the indexes are fetched once" {
	command -v apt-get || skip "no apt"
	mkdir bin
	cat >bin/apt-get <<-'EOF'
		#!/bin/sh
		[ "$1" = update ] || exit 0
		echo "$@" >>"$AVIC_BUILD/calls"
		sleep 1
		mkdir -p "$AVIC_BUILD/apt/state/lists"
		touch "$AVIC_BUILD/apt/state/lists/mirror_dists_trixie_main_binary-amd64_Packages"
	EOF
	cat >bin/apt-cache <<-'EOF'
		#!/bin/sh
		echo 'tool | 1 | mirror trixie/main amd64 Packages'
	EOF
	chmod +x bin/*
	export PATH=$PWD/bin:$PATH DEBIAN_MIRROR=http://localhost/debian
	"$scripts/archive" versions tool >first &
	run "$scripts/archive" versions tool
	wait $!
	[ "${lines[-1]}" = 1 ]
	[ "$(<first)" = 1 ]
	[ "$(<"$AVIC_BUILD/calls")" = update ]
}

@test "archive: a version that cannot be downloaded, the next one can" {
	command -v apt-get || skip "no apt"
	mkdir bin
	cat >bin/apt-get <<-'EOF'
		#!/bin/sh
		case $* in
		update)
			mkdir -p "$AVIC_BUILD/apt/state/lists"
			touch "$AVIC_BUILD/apt/state/lists/mirror_dists_trixie_main_binary-amd64_Packages"
			;;
		'download tool=1') touch tool_1_all.deb ;;
		*) exit 100 ;;
		esac
	EOF
	cat >bin/apt-cache <<-'EOF'
		#!/bin/sh
		printf 'tool | %s | mirror trixie/main amd64 Packages\n' 3 2 1
	EOF
	chmod +x bin/*
	PATH=$PWD/bin:$PATH DEBIAN_MIRROR=http://localhost/debian run "$scripts/archive" newest tool "$PWD/out"
	[ "$status" -eq 0 ]
	[ "${lines[-1]}" = "$PWD/out/tool_1_all.deb" ]
	[ "$(ls -A out)" = tool_1_all.deb ]
	[[ $output == *"error: tool 3 could not be downloaded"*"error: tool 2 could not be downloaded"* ]]
	printf '#!/bin/sh\n' >bin/apt-cache
	PATH=$PWD/bin:$PATH DEBIAN_MIRROR=http://localhost/debian run "$scripts/archive" newest tool "$PWD/out"
	one_error
}
