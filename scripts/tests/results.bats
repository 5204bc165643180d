#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# From TAP and kernel logs to the verdict.

load common

# row TEST CASE RESULT [DETAIL]
row() {
	printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "${4:-}"
}

# results PHASE MACHINE: stdin becomes the cases.
results() {
	mkdir -p "r/$1/$2"
	cat >"r/$1/$2/cases"
	echo 6.12.1 >"r/$1/release"
}

# expect NAME: stdin becomes the expectations (a base, or known-failures).
expect() {
	mkdir -p e/expected
	if [ "$1" = known-failures ]; then
		cat >e/known-failures
	else
		cat >"e/expected/$1"
	fi
}

report() {
	AVIC_EXPECT=$PWD/e run "$scripts/avic-results" report r "${1:-linux-6.12.y}" "${2:-before after}" avic "${3-full}"
}

before_after() {
	row t big "$1" | results before avic
	row t big "$2" | results after avic
}

@test "TAP: cases, skips, reasons, limits" {
	cat >tap <<-'EOT'
		TAP version 13
		1..5
		# selftests: kvm: plain
		ok 1 selftests: kvm: plain
		# selftests: kvm: nested
		# TAP version 13
		# 1..3
		# # RUN global.one ...
		# ok 1 global.one
		# ok 2 f.v.two # SKIP kvm_amd.avic=0
		# # t.c:12:three:Expected 1 (1) == 2 (2)
		# not ok 3 global.three
		not ok 2 selftests: kvm: nested # exit=1
		# selftests: kvm: skipped
		# 1..0 # SKIP - Requirement not met: x
		ok 3 selftests: kvm: skipped # SKIP
		# selftests: kvm: slow
		not ok 4 selftests: kvm: slow # TIMEOUT 30 seconds
		# selftests: kvm: crashed
		# 1..2
		# ok 1 global.first
		not ok 5 selftests: kvm: crashed # exit=139
		# finished
	EOT
	run "$scripts/avic-results" cases tap
	[ "$status" -eq 0 ]
	diff <(echo "$output") - <<-EOT
		$(row plain - pass)
		$(row nested one pass)
		$(row nested f.v.two skip kvm_amd.avic=0)
		$(row nested three fail "t.c:12:three:Expected 1 (1) == 2 (2)")
		$(row skipped - skip "Requirement not met: x")
		$(row slow - fail "TIMEOUT 30 seconds")
		$(row crashed first pass)
		$(row crashed exit fail exit=139)
		$(row crashed plan fail "1 of 2 cases did not run")
	EOT
}

@test "TAP: a machine that stopped during a test" {
	printf '# selftests: kvm: hung\n# ok 1 global.a\n' >tap
	run "$scripts/avic-results" cases tap
	[[ $output == *"$(row hung exit fail "the machine stopped during this test")"* ]]
}

@test "TAP: no such file" {
	run "$scripts/avic-results" cases nothing
	one_error
}

@test "kernel log: a planted WARN is found, with its test" {
	printf '[1.0] avic-test: start some_test\n[1.1] WARNING: CPU: 0 PID: 1 at kvm.c:1\n' >log
	run "$scripts/scan-dmesg" log
	[ "$status" -eq 1 ]
	[[ $output == "some_test: "*WARNING* ]]
}

@test "kernel log: BUG, lockdep, KASAN, hung task, stall, panic" {
	while read -r l; do
		echo "[1.0] $l" >log
		run "$scripts/scan-dmesg" log
		[ "$status" -eq 1 ]
	done <<-'EOT'
		BUG: kernel NULL pointer dereference, address: 0000000000000010
		WARNING: possible circular locking dependency detected
		BUG: KASAN: slab-use-after-free in avic_vcpu_load
		INFO: task xapic_ipi_test:12 blocked for more than 120 seconds.
		rcu: INFO: rcu_preempt self-detected stall on CPU
		Kernel panic - not syncing: Fatal exception
		Oops: 0000 [#1] SMP
	EOT
}

@test "kernel log: a clean one" {
	printf '[1.0] kvm_amd: AVIC enabled\n[1.1] kvm: Nested Virtualization enabled\n' >log
	run "$scripts/scan-dmesg" log
	[ "$status" -eq 0 ]
	[ -z "$output" ]
}

@test "report: fails before as listed, passes after" {
	before_after fail pass
	echo 'avic t big # too big' | expect linux-6.12.y
	report
	[ "$status" -eq 0 ]
	[[ $output == *"all as expected"* ]]
}

@test "report: a page is written where it's wanted" {
	before_after fail pass
	echo 'avic t big # too big' | expect linux-6.12.y
	AVIC_EXPECT=$PWD/e run "$scripts/avic-results" report r linux-6.12.y "before after" avic full page.html
	[ "$status" -eq 0 ]
	grep -q 'All as expected' page.html
	grep -q 'x2apic-msrs was not part of this run' page.html
	{
		row x2apic-msrs - pass
		row t big pass
	} | results after avic
	printf '# # x2apic-msrs: Linux 6\n# # state,msr,register,access,vector,value,cost\n# # active,0x808,TPR,read,0,0x0,cpu\n' \
		>r/after/avic/tap
	AVIC_EXPECT=$PWD/e run "$scripts/avic-results" report r linux-6.12.y "before after" avic "" page.html
	grep -q '>accelerated<' page.html
}

@test "report: a failure that is not listed" {
	before_after fail pass
	expect linux-6.12.y </dev/null
	report
	[ "$status" -eq 1 ]
	[[ $output == *"unexpected failure: avic before t:big"* ]]
}

@test "report: a listed failure does not excuse the kernel after" {
	before_after fail fail
	echo 'avic t big # too big' | expect linux-6.12.y
	report
	[ "$status" -eq 1 ]
	[[ $output == *"unexpected failure: avic after t:big"* ]]
}

@test "report: a listed failure that passes" {
	before_after pass pass
	echo 'avic t big # too big' | expect linux-6.12.y
	report
	[ "$status" -eq 1 ]
	[[ $output == *"passes, but is listed in linux-6.12.y:1"* ]]
}

@test "report: a race may be lost before the series, or won, or not seen at all" {
	echo 'avic t c~*lost*race*' | expect linux-6.12.y
	row t c fail 'w: lost the race, at last' | results before avic
	row t c pass | results after avic
	report
	[ "$status" -eq 0 ]
	[[ $output == *"1 failed (1 as expected"* ]]

	row t c pass | results before avic
	report
	[ "$status" -eq 0 ]

	row t other pass | results before avic
	row t other pass | results after avic
	report
	[ "$status" -eq 0 ]
}

@test "report: a race whose failures have no reason" {
	echo 'avic t big~*' | expect linux-6.12.y
	before_after fail pass
	report
	[ "$status" -eq 0 ]

	before_after pass pass
	report
	[ "$status" -eq 0 ]
}

@test "report: a race excuses neither other failures nor the kernel after" {
	echo 'avic t c~*race*' | expect linux-6.12.y
	row t c fail 'w: something else' | results before avic
	row t c pass | results after avic
	report
	[ "$status" -eq 1 ]
	[[ $output == *"unexpected failure: avic before t:c: w: something else"* ]]

	row t c pass | results before avic
	row t c fail 'lost the race' | results after avic
	report
	[ "$status" -eq 1 ]
	[[ $output == *"unexpected failure: avic after t:c: lost the race"* ]]
}

@test "report: a listed failure that is skipped" {
	before_after skip pass
	echo 'av* t * # too big' | expect linux-6.12.y
	report
	[ "$status" -eq 1 ]
	[[ $output == *"is skipped, but is listed"* ]]
}

# our_skip WHY: a case of one of our tests is skipped before and after the series.
our_skip() {
	row avic_vcpu_ids_test big skip "$1" | results before avic
	{ row avic_vcpu_ids_test big skip "$1"; row t a pass; } | results after avic
	mkdir -p e
}

@test "report: a skip of one of our tests has to be listed" {
	our_skip 'no AVIC'
	echo '6.12.* noavic avic_vcpu_ids_test:b* # AVIC is off' >e/skips
	report
	[ "$status" -eq 1 ]
	[[ $output == *"is skipped, but is not listed in skips: avic after avic_vcpu_ids_test:big"* ]]
	echo '6.12.* avic avic_vcpu_ids_test:b* # AVIC is off' >e/skips
	report linux-6.12.y after
	[ "$status" -eq 0 ]
}

@test "report: a skip may be listed for a phase" {
	our_skip 'no stats'
	echo 'before avic avic_vcpu_ids_test:b* # the series adds them' >e/skips
	report
	[ "$status" -eq 1 ]
	[[ $output == *"is skipped, but is not listed in skips: avic after avic_vcpu_ids_test:big"* ]]
	[[ $output != *"avic before"* ]]
}

@test "report: an entry that matches nothing, when all ran" {
	before_after pass pass
	printf '# comment\n\navic t other # gone\nnoavic t other # not run\n' | expect linux-6.12.y
	report
	[ "$status" -eq 1 ]
	[[ $output == *"linux-6.12.y:3 matches no case"* ]]
	[[ $output != *"linux-6.12.y:4"* ]]
	report linux-6.12.y "before after" ""
	[ "$status" -eq 0 ]
}

@test "report: a broken entry" {
	before_after pass pass
	echo 'avic t' | expect linux-6.12.y
	report
	[ "$status" -ne 0 ]
	[[ $output == *"three words wanted"* ]]
}

@test "report: a known failure counts before and after, and must fail" {
	{ row t big fail; row t a pass; } | results before avic
	cp -r r/before r/after
	echo '6.12.* * t:b* # old' | expect known-failures
	report
	[ "$status" -eq 0 ]
	[[ $output == *"2 known upstream"* ]]
	before_after fail pass
	report
	[ "$status" -eq 1 ]
}

@test "report: a known failure that passes is fine with KDIR" {
	row t big pass | results tree avic
	echo '6.12.* * t # old' | expect known-failures
	report kdir tree
	[ "$status" -eq 0 ]
}

@test "report: a case that did not run after" {
	{ row t big pass; row t other pass; } | results before avic
	row t other pass | results after avic
	expect linux-6.12.y </dev/null
	report
	[ "$status" -eq 1 ]
	[[ $output == *"did not run: avic after t:big"* ]]
}

@test "report: nothing but skips is no success" {
	{ row t - skip "no AVIC"; row machine finished pass; row dmesg clean pass; } | results before avic
	cp -r r/before r/after
	expect linux-6.12.y </dev/null
	report
	[ "$status" -eq 1 ]
	[[ $output == *"no test has run"* && $output == *"2 skipped"* ]]
}

@test "report: no results" {
	report
	one_error
}

@test "report: skips are counted with their reasons, no colour into a file" {
	{ row t a pass; row t b skip kvm_amd.avic=0; } | results before avic
	cp -r r/before r/after
	expect linux-6.12.y </dev/null
	report
	[ "$status" -eq 0 ]
	[[ $output == *"2 skipped"* && $output == *"skipped 2: kvm_amd.avic=0"* ]]
	[[ $output != *$'\033'* ]]
}
