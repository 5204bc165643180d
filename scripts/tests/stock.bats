#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# check-stock, in a copy of the project in which machines are scripts.

bats_require_minimum_version 1.5.0
load common

# machines WITHOUT WITH [AVIC]: what boot says of them; $try counts those without the series.
machines() {
	mkdir -p p/selftests/x86 tests
	cp -r "$scripts" p/scripts
	cp "$top"/selftests/{upstream-tests,not-in-series} p/selftests/
	touch p/selftests/x86/a_test.c
	echo 0 >try
	stub setup :
	stub build-qemu 'echo $1'
	stub build-kernel "echo $PWD"
	stub build-tests "echo $PWD/tests"
	stub boot "mkdir -p \$5
		if [[ \$1 == avic ]]; then ${3:-row apic_page ldr.read pass}; exit; fi >\$5/cases
		if [[ \$QEMU == patched ]]; then $2; exit; fi >\$5/cases
		try=\$((\$(<$PWD/try) + 1))
		echo \$try >$PWD/try
		{ $1; } >\$5/cases"
}

same='row a_test f.case pass'
stores='row code_stores stores_to_code_are_seen'

@test "check-stock: the same, but for a repair" {
	machines "$same; row b_test - fail; $stores fail" "$same; row b_test - pass; $stores pass"
	run p/scripts/check-stock
	[ "$status" -eq 0 ]
	[ "$(grep -c '^ok ' <<<"$output")" -eq 3 ]
	[[ $output == *"repaired: b_test -"* ]]
	[ "$(<try)" = 1 ]
}

@test "check-stock: a machine without the series has three tries" {
	machines "((try < 3)) || $same; $stores fail" "$same; $stores pass"
	run p/scripts/check-stock
	[ "$status" -eq 0 ]
	[[ $output == *"differs: a_test f.case:  without, pass with the series"* ]]
	[ "$(<try)" = 3 ]
}

@test "check-stock: what differs each time is an error" {
	machines "$same; $stores fail" "row a_test f.case fail; $stores pass"
	run p/scripts/check-stock
	[ "$status" -eq 1 ]
	[ "$(grep -c '^not ok .*agree: see ' <<<"$output")" -eq 1 ]
	[ "$(grep -c '^ok ' <<<"$output")" -eq 2 ]
	[ "$(<try)" = 3 ]
	# Likewise if a case is missing, or is new.
	machines "$same; $stores fail" "$stores pass"
	run p/scripts/check-stock
	[ "$status" -eq 1 ]
	machines "$stores fail" "$same; $stores pass"
	run p/scripts/check-stock
	[ "$status" -eq 1 ]
}

@test "check-stock: the repair must be one" {
	machines "$same; $stores pass" "$same; $stores pass"
	run p/scripts/check-stock
	[ "$status" -eq 1 ]
	[ "$(grep -c '^not ok the series mends' <<<"$output")" -eq 1 ]
	machines "$same; $stores fail" "$same; $stores fail"
	run p/scripts/check-stock
	[ "$status" -eq 1 ]
	[ "$(grep -c '^not ok the series mends' <<<"$output")" -eq 1 ]
}

@test "check-stock: an odd access that fails, or isn't made" {
	local avic
	for avic in 'row apic_page ldr.read fail' 'row machine finished pass' \
		'row apic_page ldr.read pass; row dmesg clean fail'; do
		machines "$same; $stores fail" "$same; $stores pass" "$avic"
		run p/scripts/check-stock
		[ "$status" -eq 1 ]
		[ "$(grep -c '^not ok with AVIC, odd ' <<<"$output")" -eq 1 ]
		[ "$(grep -c '^ok ' <<<"$output")" -eq 2 ]
	done
}

@test "check-stock: a machine that does not start" {
	machines 'exit 1' "$same; $stores pass"
	run p/scripts/check-stock
	one_error
	machines "$same; $stores fail" 'exit 1'
	run p/scripts/check-stock
	one_error
}
