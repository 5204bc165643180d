#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# KVM-unit-tests: bad input, from a test's report to TAP, from cases to what
# differs.

load common

# result PHASE MACHINE TEST CASE RESULT [DETAIL]: one more case
result() {
	mkdir -p "r/$1/$2"
	echo 6.12.1 >"r/$1/release"
	printf '%s\t%s\t%s\t%s\n' "$3" "$4" "$5" "${6:-}" >>"r/$1/$2/cases"
}

# everywhere TEST CASE RESULT: in both phases, with AVIC and without
everywhere() {
	local p m
	for p in before after; do
		for m in avic noavic; do
			result $p $m "$@"
		done
	done
}

report() {
	touch known
	KUT_KNOWN=$PWD/known run "$scripts/avic-results" kut r linux-6.12.y "before after" "avic noavic"
}

# guest: run kut-guest on a test whose script is stdin
guest() {
	mkdir -p kut tests
	cat >kut/apic
	chmod +x kut/apic
	cp "$scripts/kut-guest" tests/apic
	KUT_DIR=$PWD/kut run tests/apic 30
}

@test "kvm-unit-tests: no KUT, wrong KUT, unknown arguments" {
	unset KUT
	run "$scripts/kvm-unit-tests"
	one_error
	[[ $output == *"KUT= must name a checkout"* ]]
	run "$scripts/kvm-unit-tests" KUT="$PWD"
	one_error
	[[ $output == *"is not a checkout of KVM-unit-tests"* ]]
	run "$scripts/kvm-unit-tests" FOO=bar
	one_error
	mkdir kut kut/x86
	touch kut/x86/unittests.cfg kut/configure
	chmod +x kut/configure
	run "$scripts/kvm-unit-tests" KUT="$PWD/kut" MACHINE=pdp11
	one_error
	run "$scripts/kvm-unit-tests" KUT="$PWD/kut" VMM=/bin/true
	one_error
	[[ $output == *"VMM=/bin/true is not a QEMU with KVM"* ]]
	run "$scripts/kvm-unit-tests" KUT="$PWD/kut" ROUNDS=some
	one_error
	run "$scripts/kvm-unit-tests" KUT="$PWD/kut" TESTS=apic
	one_error
	[[ $output == *"unknown test 'apic'"* ]]
}

@test "kvm-unit-tests: fewer rounds, but for loops that wait" {
	cat >test.c <<-'END'
		#define LATENCY_RUNS 1000000
		for (i = 0; i < 100000; ++i) {
		while (nmi_counter < 30000) {
		if (isr_cnt == 10000) {
		for (i = 0; i < 1000; ++i) {
		for (loops = 0; loops < 10000000 && !timer_fired; loops++)
		while (rdtsc() - start < 1000000000);
		qemu_params = -cpu max,+svm,-npt -m 4g
	END
	cat >expected <<-'END'
		#define LATENCY_RUNS 10000
		for (i = 0; i < 1000; ++i) {
		while (nmi_counter < 300) {
		if (isr_cnt >= 100) {
		for (i = 0; i < 1000; ++i) {
		for (loops = 0; loops < 10000000 && !timer_fired; loops++)
		while (rdtsc() - start < 1000000000);
		qemu_params = -cpu max,+svm,-npt -m 512m
	END
	sed -E -f "$top/selftests/kvm-unit-tests/rounds.sed" test.c | diff expected -
}

@test "kut-guest: results become TAP" {
	guest <<-'END'
		#!/bin/sh
		echo "PASS: self ipi"
		printf '\033[31mFAIL\033[0m: tsc deadline\r\n'
		echo "XFAIL: known"
		echo "SKIP: no pv eoi"
		echo "PASS: self ipi"
		exit 1
	END
	[ "$status" -eq 1 ]
	cat >expected <<-'END'
		ok 1 - self ipi
		not ok 2 - tsc deadline
		ok 3 - known
		ok 4 - no pv eoi # SKIP
		ok 5 - self ipi #2
	END
	grep -E '^(not )?ok ' <<<"$output" | diff expected -
}

@test "kut-guest: numbers that a test makes up are not part of a name" {
	guest <<-'END'
		#!/bin/sh
		echo "PASS: Wanted #NPF on rsvd bits = 0x19646080, got exit = 0x400"
		echo "PASS: Wanted #NPF on rsvd bits = 0x198080, got exit = 0x400"
		echo "FAIL: Wanted PFEC = 0xd, got PFEC = f, PxE = 0x8be027."
		echo "PASS: No RIP corruption detected after 102 timer interrupts"
	END
	cat >expected <<-'END'
		ok 1 - Wanted #NPF on rsvd bits = ?, got exit = 0x400
		ok 2 - Wanted #NPF on rsvd bits = ?, got exit = 0x400 #2
		not ok 3 - Wanted PFEC = 0xd, got PFEC = f, PxE = ?.
		ok 4 - No RIP corruption detected after ? timer interrupts
	END
	grep -E '^(not )?ok ' <<<"$output" | diff expected -
}

@test "kut-guest: a test that is skipped, and one that hangs" {
	guest <<-'END'
		#!/bin/sh
		echo "SKIP apic (test marked as manual run only)"
	END
	[ "$status" -eq 4 ]
	[[ $output == *"1..0 # SKIP (test marked as manual run only)"* ]]
	guest <<-'END'
		#!/bin/sh
		echo "FAIL apic (timeout; duration=30)"
		exit 124
	END
	[ "$status" -eq 124 ]
}

@test "avic-results kut: the same results everywhere are no difference" {
	everywhere apic ipi pass
	everywhere apic timer fail
	report
	[ "$status" -eq 0 ]
	[ "$output" = "2 results with AVIC off before, 1 of them failures, 0 skipped; 0 differ elsewhere, 0 unexpected" ]
}

@test "avic-results kut: what fails after the series only is worse" {
	everywhere apic timer pass
	result before avic apic ipi pass
	result before noavic apic ipi pass
	result after avic apic ipi fail "no interrupt"
	result after noavic apic ipi pass
	report
	[ "$status" -eq 1 ]
	[ "${lines[0]}" = "WORSE: avic apic:ipi: AVIC off pass, before pass, after fail (no interrupt)" ]
	[[ ${lines[1]} == *"1 differ elsewhere, 1 unexpected" ]]
	echo '*	avic	apic:ipi	# it is known' >known
	report
	[ "$status" -eq 0 ]
	[[ ${lines[0]} == "avic apic:ipi: "*", known: it is known" ]]
}

@test "avic-results kut: what the series repairs is a difference, and fine" {
	result before avic apic ipi fail
	result before noavic apic ipi pass
	result after avic apic ipi pass
	result after noavic apic ipi pass
	report
	[ "$status" -eq 0 ]
	[ "${lines[0]}" = "avic apic:ipi: AVIC off pass, before fail, after pass" ]
}

@test "avic-results kut: of a test that stopped early only that is said" {
	everywhere apic timer pass
	result before avic apic ipi pass
	result before noavic apic ipi pass
	result after noavic apic ipi pass
	result after avic apic exit fail "TIMEOUT 300 seconds"
	report
	[ "$status" -eq 1 ]
	[ "${#lines[@]}" -eq 2 ]
	[ "${lines[0]}" = "WORSE: avic apic:exit: AVIC off pass, before pass, after fail (TIMEOUT 300 seconds)" ]
}

@test "avic-results kut: a case that is skipped after the series only is worse" {
	everywhere apic timer pass
	result before avic apic ipi pass
	result before noavic apic ipi pass
	result after avic apic ipi skip
	result after noavic apic ipi pass
	report
	[ "$status" -eq 1 ]
	[[ ${lines[0]} == "WORSE: avic apic:ipi:"* ]]
}

@test "avic-results kut: nothing but skips is no success" {
	everywhere apic - skip "no test device"
	everywhere machine finished pass
	everywhere dmesg clean pass
	report
	[ "$status" -eq 1 ]
	[[ $output == *"3 results with AVIC off before, 0 of them failures, 1 skipped;"* ]]
	[[ $output == *"avic-results: error: no test has run: no test device" ]]
}

@test "avic-results kut: missing results and a broken list are errors" {
	report
	one_error
	[[ $output == *"no results of avic, before"* ]]
	everywhere apic timer pass
	echo 'avic apic # too short' >known
	report
	one_error
	[[ $output == *"known:1: three words wanted"* ]]
}
