#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# Bisecting, in a copy of the project in which kernels and machines are scripts: a
# kernel is the file "kvm" of a small git repository, and says what the machine does.

bats_require_minimum_version 1.5.0
load common

# project: the copy, and a clone, $clone, at which it is used.
project() {
	mkdir -p p/selftests/x86 tests
	cp -r "$scripts" p/scripts
	cp "$top"/selftests/{upstream-tests,not-in-series} p/selftests/
	touch p/selftests/x86/a_test.c boots
	p=$PWD/p
	stub setup :
	stub build-qemu "echo $PWD/qemu"
	stub build-tests "echo $PWD/tests"
	# As the real one: status 2 if the tree does not build.
	stub build-kernel "git --git-dir=\$2 show \$3:kvm >$PWD/kernel
		! grep -q broken $PWD/kernel || exit 2
		! grep -q 'disk full' $PWD/kernel || exit 1
		echo $PWD"
	stub boot "echo \"\$1 \$(cat \$4)\" >>$PWD/boots; mkdir -p \"\$5\"
		echo Linux >\"\$5/console.log\"; touch \"\$5/qemu.log\"
		. $PWD/kernel >\"\$5/cases\""
	printf '#!/bin/sh\necho QEMU emulator version 0\n' >qemu
	chmod +x qemu
	clone=$PWD/clone
	mkdir -p "$clone/arch/x86/kvm"
	git init -q "$clone"
	cd "$clone"
	git config user.name A
	git config user.email a@localhost
	touch arch/x86/kvm/avic.c
	seq 9 >numbers
	kernel 'row a_test f.case pass'
}

# kernel COMMANDS: commit a kernel on which the machine says that.
kernel() {
	echo "$1" >kvm
	git add -A
	git commit -q --allow-empty -m "$1"
}

# judge ARGUMENTS: run bisect-run
judge() {
	run "$p/scripts/bisect-run" --test=a_test "$@"
}

@test "bisect-run: a test that passes, fails, is skipped" {
	project
	judge
	[ "$status" -eq 0 ]
	[[ ${lines[-1]} == "good: "*'("row a_test f.case pass"): a_test passes' ]]
	kernel 'row a_test f.case fail "no IRQ"; row a_test f.other pass'
	judge --case=f.case
	[ "$status" -eq 1 ]
	[[ ${lines[-1]} == "bad: "*": a_test fails, f.case: no IRQ" ]]
	judge
	[ "$status" -eq 1 ]
	judge --case f.other --machine avic
	[ "$status" -eq 0 ]
	[ "$(tail -n 1 ../boots)" = "avic a_test 300 -r f.other" ]
	kernel 'row a_test f.case skip "no AVIC"'
	judge --case=f.case
	[ "$status" -eq 125 ]
	[[ ${lines[-1]} == "skip: "*": a_test is skipped, f.case: no AVIC" ]]
}

@test "bisect-run: --fixed swaps good and bad, and nothing else" {
	project
	judge --fixed
	[ "$status" -eq 1 ]
	[[ ${lines[-1]} == "fixed: "*": a_test passes" ]]
	kernel 'row a_test f.case fail'
	judge --fixed
	[ "$status" -eq 0 ]
	kernel 'row a_test f.case skip'
	judge --fixed
	[ "$status" -eq 125 ]
}

@test "bisect-run: upstream's tests, and tests from elsewhere, run as a whole" {
	project
	kernel 'row xapic_ipi_test - pass; row mine one pass'
	run "$p/scripts/bisect-run" --test=xapic_ipi_test
	[ "$status" -eq 0 ]
	grep -qE '^x2avic xapic_ipi_test +60 +-s 1$' ../boots
	mkdir ../mine
	printf '#!/bin/sh\n' >../mine/mine
	chmod +x ../mine/mine
	run "$p/scripts/bisect-run" --test=mine --case=one --tests=../mine
	[ "$status" -eq 0 ]
	grep -qx 'x2avic mine 300' ../boots
}

@test "bisect-run: a commit that does not build, or boot, or load KVM" {
	project
	kernel broken
	judge
	[ "$status" -eq 125 ]
	[[ ${lines[-1]} == "skip: "*": it does not build" ]]
	kernel 'row machine modules fail "kvm-amd.ko does not load"; row machine finished pass'
	judge
	[ "$status" -eq 125 ]
	[[ ${lines[-1]} == *": kvm-amd.ko does not load" ]]
	kernel 'row machine finished fail "no end within 600 s"'
	judge
	[ "$status" -eq 125 ]
}

@test "bisect-run: a panic, a hang, a warning are bad only if they are to be" {
	project
	kernel 'row a_test exit fail "the machine stopped during this test"
		row machine finished fail "stopped early: Kernel panic"; row dmesg clean fail "Kernel panic"'
	judge --bad=hang,warn
	[ "$status" -eq 125 ]
	judge --bad=hang --bad=panic
	[ "$status" -eq 1 ]
	[[ ${lines[-1]} == *": panic: stopped early: Kernel panic" ]]
	kernel 'row a_test exit fail "the machine stopped during this test"; row machine finished fail "no end within 600 s"'
	judge --bad=panic --bad=warn
	[ "$status" -eq 125 ]
	judge --bad=panic,hang
	[ "$status" -eq 1 ]
	# The machine goes on, but the test's time is over.
	kernel 'row a_test f.case pass; row a_test exit fail "TIMEOUT 300 seconds"; row machine finished pass'
	judge
	[ "$status" -eq 125 ]
	judge --bad=hang
	[ "$status" -eq 1 ]
	kernel 'row a_test f.case pass; row dmesg clean fail "a_test: WARNING"'
	judge
	[ "$status" -eq 0 ]
	judge --bad=warn
	[ "$status" -eq 1 ]
	# A failure is one, whatever follows.
	kernel 'row a_test f.case fail; row machine finished fail "stopped early: Kernel panic"'
	judge
	[ "$status" -eq 1 ]
}

@test "bisect-run: a test that crashes" {
	project
	kernel 'row a_test f.case pass; row a_test exit fail exit=139'
	judge
	[ "$status" -eq 1 ]
	judge --case=f.case
	[ "$status" -eq 0 ]
	judge --case=f.last
	[ "$status" -eq 125 ]
	[[ ${lines[-1]} == *": a_test:f.last did not run, exit=139" ]]
}

@test "bisect-run: what is wrong here stops the bisection, with one line" {
	project
	kernel 'disk full'
	judge
	[ "$status" -ge 128 ]
	one_error
	kernel 'row a_test f.case pass'
	judge --case=f.none
	[ "$status" -ge 128 ]
	one_error
	[[ $output == *"a_test has no case f.none"* ]]
	QEMU=/nonexistent judge
	[ "$status" -ge 128 ]
	one_error
	for a in --test=b_test --test= --machine=vax --machine=all --patch=none --tests=/nonexistent --bad=luck \
		--colour=red --case avic; do
		judge "$a"
		[ "$status" -ge 128 ]
		one_error
	done
	cd "$BATS_TEST_TMPDIR/tests"
	judge
	[ "$status" -ge 128 ]
	one_error
	[[ $output == *"not in a git clone"* ]]
	git init -q .
	git -c user.name=A -c user.email=a@localhost commit -q --allow-empty -m empty
	judge
	[ "$status" -ge 128 ]
	one_error
	[[ $output == *"is no Linux source tree"* ]]
	[ "$(grep -c . ../boots)" -eq 1 ]
}

@test "bisect-run: a QEMU that does not start, a script that fails" {
	project
	( cd .. && stub boot 'mkdir -p $5; echo "qemu: no memory" >$5/qemu.log; touch $5/{console.log,cases}' )
	judge
	[ "$status" -ge 128 ]
	one_error
	[[ $output == *"QEMU: qemu: no memory"* ]]
	# Not if it happens once, or if the guest might have caused it.
	( cd .. && stub boot 'mkdir -p $5; : >$5/qemu.log; touch $5/cases
		[ -e $5/tap ] || echo "qemu: Assertion failed" >$5/qemu.log; echo x >$5/tap
		row a_test f.case pass >$5/cases' )
	judge
	[ "$status" -eq 0 ]
	( cd .. && stub boot 'mkdir -p $5; echo "qemu: Assertion failed" >$5/qemu.log; echo x >$5/tap; touch $5/cases' )
	judge
	[ "$status" -eq 125 ]
	( cd .. && stub build-tests 'exit 1' )
	judge
	[ "$status" -ge 128 ]
	( cd .. && stub build-tests 'kill -TERM $PPID; exit 1' )
	judge
	[ "$status" -ge 128 ]
}

# fix NAME FROM TO: a patch of the file numbers
fix() {
	sed "s/^$2\$/$3/" numbers >changed
	diff -u --label a/numbers --label b/numbers numbers changed >"../$1" || :
	rm changed
}

@test "bisect-run: a patch is built in, and the clone stays as it is" {
	project
	kernel '[ "$(git --git-dir=$BATS_TEST_TMPDIR/build/bisect.git show :numbers | sed -n 5p)" = five ] && row a_test f.case pass'
	fix one.patch 5 five
	cp -a . ../before
	judge --patch=../one.patch
	[ "$status" -eq 0 ]
	# Also if the commit does not build, or someone stops it.
	kernel broken
	judge --patch=../one.patch
	[ "$status" -eq 125 ]
	( cd .. && stub build-kernel 'kill -TERM $PPID; exit 1' )
	judge --patch=../one.patch
	[ "$status" -ge 128 ]
	[ -z "$(git status --porcelain)" ]
	[ "$(sed -n 5p numbers)" = 5 ]
	[ "$(find .git -newer ../boots -name '*.lock' | wc -l)" -eq 0 ]
}

@test "bisect-run: a patch that the commit has, or that does not apply" {
	project
	fix one.patch 5 five
	fix two.patch 5 cinq
	patch -s -p1 <../one.patch
	kernel 'row a_test f.case pass'
	judge --patch=../one.patch
	[ "$status" -eq 0 ]
	[[ $output == *"has one.patch"* ]]
	judge --patch=../one.patch --patch=../two.patch
	[ "$status" -eq 125 ]
	[[ ${lines[-1]} == "skip: "*": two.patch does not apply" ]]
}

@test "bisect-run: uncommitted changes count, and so does --no-checkout" {
	project
	kernel 'row a_test f.case fail'
	echo 'row a_test f.case pass' >kvm
	judge
	[ "$status" -eq 0 ]
	git checkout -q kvm
	# What an interrupted run leaves behind does not matter.
	touch "$AVIC_BUILD/bisect.git/index.lock"
	judge
	[ "$status" -eq 1 ]
	git update-ref BISECT_HEAD HEAD^
	judge
	[ "$status" -eq 0 ]
}

@test "git bisect run: it ends at the bug, and stops if something is wrong here" {
	project
	git tag start
	kernel 'row a_test f.case pass; # 1'
	kernel broken
	kernel 'row a_test f.case fail; # the bug'
	bug=$(git rev-parse HEAD)
	kernel 'row a_test f.case fail; # 4'
	kernel 'row a_test f.case fail; # 5'
	git bisect start HEAD start
	run git bisect run "$p/scripts/bisect-run" --test=a_test --bad=panic
	# With the commit that does not build just before it there are two to choose from.
	[[ $output == *"$bug"* ]]
	git bisect reset
	git checkout -q -b other start
	kernel 'row a_test f.case pass; # 1'
	kernel 'row a_test f.case fail; # the bug'
	bug=$(git rev-parse HEAD)
	kernel 'row a_test f.case fail; # 3'
	git bisect start HEAD start
	run git bisect run "$p/scripts/bisect-run" --test=a_test
	[ "$status" -eq 0 ]
	[ "$(git rev-parse refs/bisect/bad)" = "$bug" ]
	git bisect reset
	git bisect start HEAD start
	! git bisect run "$p/scripts/bisect-run" --test=nonsense 2>../log || false
	grep "unknown test 'nonsense'" ../log
	! git rev-parse -q --verify 'refs/bisect/good-*'
}

# series_of RESULT...: what the test does on the archive's source, and with each patch
# of a series of linux-6.12.y.
series_of() {
	local n=0 old=$1 new
	( cd .. && stub get-source "echo $clone" )
	rm -rf .git "$AVIC_BUILD/base"
	touch MAINTAINERS
	echo "row a_test f.case $1" >kvm
	export AVIC_PATCHES=$BATS_TEST_TMPDIR/patches
	rm -rf "$AVIC_PATCHES"
	mkdir -p "$AVIC_PATCHES/linux-6.12.y"
	shift
	for new; do
		n=$((n + 1))
		cat >"$AVIC_PATCHES/linux-6.12.y/$n.patch" <<-EOM
			From: A <a@localhost>
			Date: Thu, 1 Jan 1970 00:00:00 +0000
			Subject: [PATCH] $n

			---
			diff --git a/kvm b/kvm
			--- a/kvm
			+++ b/kvm
			@@ -1 +1 @@
			-row a_test f.case $old
			+row a_test f.case $new
		EOM
		old=$new
		echo "$n.patch" >>"$AVIC_PATCHES/linux-6.12.y/series"
	done
}

@test "bisect: names the patch that breaks a test, or fixes it" {
	project
	series_of pass 'pass 1' 'pass 2' 'fail 3' 'fail 4'
	run "$p/scripts/bisect" TEST=a_test CASE=f.case
	[ "$status" -eq 0 ]
	[ "${lines[-1]}" = "patch 3 of 4 breaks a_test:f.case on x2avic: 3" ]
	series_of fail 'fail 1' 'pass 2' 'pass 3'
	run "$p/scripts/bisect" TEST=a_test MACHINE=avic
	[ "$status" -eq 0 ]
	[ "${lines[-1]}" = "patch 2 of 3 fixes a_test on avic: 2" ]
}

@test "bisect: a patch that can't be told from one that can't be tested" {
	project
	series_of pass 'pass 1' 'skip 2' 'fail 3'
	run "$p/scripts/bisect" TEST=a_test
	one_error
	[[ $output == *"a_test on x2avic: one of these patches, "*": 2;3" ]]
}

@test "bisect: nothing to find, bad input" {
	project
	series_of pass 'pass 1' 'pass 2'
	run "$p/scripts/bisect" TEST=a_test
	one_error
	[[ $output == *"a_test on x2avic: the same before and after the series (passes)"* ]]
	run "$p/scripts/bisect" TEST=b_test
	[ "$status" -eq 1 ]
	[[ $output == *"unknown test 'b_test'"* ]]
	run "$p/scripts/bisect" BASE=linux-6.12.y
	one_error
	run "$p/scripts/bisect" BASE=vax TEST=a_test
	one_error
}

# A host, by way of an ssh that runs commands here; a boot changes its boot_id.
host_project() {
	project
	cd ..
	printf '#!/bin/sh\n' | tee p/selftests/run-tests p/selftests/bad-dmesg.awk tests/a_test >/dev/null
	echo 1 >boot_id
	printf '#!/bin/sh\n[ "$2" = root@lab ] || exit 255\ncat %s/boot_id\n' "$PWD" >ssh
	chmod +x ssh tests/a_test
	export SSH=$PWD/ssh
	reboot="echo \$RANDOM\$RANDOM >$PWD/boot_id"
	stub run-host "mkdir -p \"\$2/tree/host\"; ls \$1/kvm >$PWD/copied
		echo \"\$HOST\" >>$PWD/runs
		row a_test f.case fail 'no IRQ' >\"\$2/tree/host/cases\"; exit 1"
	cd "$clone"
}

@test "bisect-run: on a host" {
	host_project
	judge --host=root@lab --boot="cp kvm $PWD/../booted && $reboot"
	[ "$status" -eq 1 ]
	[[ ${lines[-1]} == "bad: "*": a_test fails, f.case: no IRQ" ]]
	[ "$(<../runs)" = root@lab ]
	[ "$(<../booted)" = 'row a_test f.case pass' ]
	grep -x run-tests ../copied
	grep -x a_test ../copied
	[ ! -s ../boots ]
}

@test "bisect-run: a host that can't boot the commit, or did not" {
	host_project
	judge --host=root@lab --boot='exit 125'
	[ "$status" -eq 125 ]
	[[ ${lines[-1]} == "skip: "*"it does not build or boot" ]]
	judge --host=root@lab --boot='exit 1'
	[ "$status" -eq 129 ]
	judge --host=root@lab --boot=:
	[ "$status" -eq 129 ]
	[[ $output == *"has not booted root@lab"* ]]
	judge --host=root@nowhere --boot="$reboot"
	[ "$status" -eq 129 ]
	[[ $output == *"HOST=root@nowhere: ssh failed"* ]]
	judge --host=root@lab
	[ "$status" -eq 129 ]
	[[ $output == *"how to boot root@lab?"* ]]
	[ ! -e ../runs ]
}
