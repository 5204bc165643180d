#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# Reports of runs, and how they differ.

load common

# results DIR MICROCODE RESULT COST: a run's results.
results() {
	mkdir -p "$1"
	cat >"$1/tap" <<-EOT
		TAP version 13
		# host.cpu: AMD EPYC
		# host.microcode: $2
		1..2
		# selftests: kvm: avic_vcpu_ids_test
		# ok 1 create.id_254.kernel_irqchip
		# $3 2 create.id_255.kernel_irqchip
		# $3 3 ipi.one
		# /home/alice/src/lib/kvm_util.c:12: failed, /dev/kvm, x86/a_test.c:1
		ok 1 selftests: kvm: avic_vcpu_ids_test
		# selftests: kvm: x2apic-msrs
		# # x2apic-msrs: Linux 6.12.1, CPU family 0x19, model 0x11, x2AVIC
		# # state,msr,register,access,vector,value,cost
		# # active,0x808,TPR,read,0,0x0,$4
		# # active,,CR8,read,0,0x0,cpu
		ok 2 selftests: kvm: x2apic-msrs
		# summary: 2 tests
	EOT
	printf '%s\n' '[0.0] Linux version 6.12.1 (alice@secret)' '[0.1] kvm_amd: AVIC enabled' \
		'[0.2] eth0: 00:11:22:33:44:55' '[0.3] WARNING: CPU: 0 at /home/alice/kvm.c:1' >"$1/dmesg"
}

@test "make-report: sections, and nothing private" {
	results r 0xa10 ok cpu
	run "$scripts/avic-results" make-report r
	[ "$status" -eq 0 ]
	diff <(echo "$output") - <<-'EOT'
		== host
		cpu: AMD EPYC
		microcode: 0xa10
		== vcpu_ids
		id,kernel_irqchip
		254,pass
		255,pass
		== msrs
		# x2apic-msrs: Linux 6.12.1, CPU family 0x19, model 0x11, x2AVIC
		state,msr,register,access,vector,value,cost
		active,0x808,TPR,read,0,0x0,cpu
		active,,CR8,read,0,0x0,cpu
		== tap
		TAP version 13
		1..2
		# selftests: kvm: avic_vcpu_ids_test
		# ok 1 create.id_254.kernel_irqchip
		# ok 2 create.id_255.kernel_irqchip
		# ok 3 ipi.one
		# kvm_util.c:12: failed, /dev/kvm, x86/a_test.c:1
		ok 1 selftests: kvm: avic_vcpu_ids_test
		# selftests: kvm: x2apic-msrs
		ok 2 selftests: kvm: x2apic-msrs
		# summary: 2 tests
		== dmesg
		kvm_amd: AVIC enabled
		WARNING: CPU: 0 at kvm.c:1
	EOT
}

@test "make-report: no results" {
	run "$scripts/avic-results" make-report nothing
	one_error
	mkdir r
	echo 'TAP version 13' >r/tap
	touch r/dmesg
	run "$scripts/avic-results" make-report r
	one_error
}

@test "compare-reports: cell by cell" {
	results a 0xa10 ok cpu
	results b 0xa11 'not ok' msr
	"$scripts/avic-results" make-report a >a.txt
	"$scripts/avic-results" make-report b >b.txt
	run "$scripts/avic-results" compare-reports a.txt a.txt
	[ "$status" -eq 0 ]
	[[ $output == *"0 of 2 ids differ"*"0 of 2 cases differ"* ]]
	run "$scripts/avic-results" compare-reports a.txt b.txt
	[ "$status" -eq 1 ]
	grep -qE '^microcode +0xa10 -> 0xa11$' <<<"$output"
	grep -qE '^vCPU ID 255, kernel_irqchip +pass -> fail$' <<<"$output"
	grep -qE '^avic_vcpu_ids_test: ipi.one +pass -> fail$' <<<"$output"
	grep -qE '^active +0x808 +TPR +read +cost cpu -> msr$' <<<"$output"
	[[ $output == *"1 of 2 ids differ"*"1 of 2 cells differ"* ]]
}

@test "compare-reports: bad input" {
	results a 0xa10 ok cpu
	"$scripts/avic-results" make-report a >a.txt
	echo nothing >b.txt
	for args in '' 'a.txt' 'a.txt nothing' 'a.txt b.txt'; do
		# Words are meant.
		# shellcheck disable=SC2086
		run "$scripts/avic-results" compare-reports $args
		[ "$status" -eq 2 ]
		one_error
	done
}

@test "merge: a column a file, of reports and TAP" {
	results a 0xa10 ok cpu
	results b 0xa10 'not ok' cpu
	sed -i '/create.id_254/d' b/tap
	"$scripts/avic-results" make-report a >a.txt
	run "$scripts/avic-results" merge a.txt b/tap
	[ "$status" -eq 0 ]
	grep -qx '1: a.txt, cpu AMD EPYC' <<<"$output"
	grep -qx '2: tap, cpu AMD EPYC' <<<"$output"
	grep -qE '^ +create.id_254.kernel_irqchip +pass \. *$' <<<"$output"
	grep -qE '^ +ipi.one +pass fail *$' <<<"$output"
	grep -qE '^pass +4 +1 *$' <<<"$output"
	grep -qE '^fail +0 +2 *$' <<<"$output"
	run "$scripts/avic-results" merge a.txt a.txt
	[ "$status" -eq 0 ]
	[[ $output == *"3 pass everywhere"* ]]
}

@test "merge: bad input" {
	echo nothing >b.txt
	for args in '' 'nothing' 'b.txt'; do
		# Words are meant.
		# shellcheck disable=SC2086
		run "$scripts/avic-results" merge $args
		[ "$status" -eq 1 ]
		one_error
	done
}

@test "emulate-report: unknown machine" {
	run "$scripts/emulate-report" vax
	one_error
	run "$scripts/emulate-report" ''
	one_error
}
