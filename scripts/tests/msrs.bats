#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# What is made of x2apic-msrs's results, and of its table.

load common

# results FILE: a file of results, with stdin as its cells.
results() {
	{
		echo '# x2apic-msrs: Linux 6.12.1, CPU family 0x19, model 0x11, x2AVIC'
		echo 'state,msr,register,access,vector,value,cost'
		cat
	} >"$1"
}

compare() {
	run "$scripts/avic-results" compare-msrs "$@"
}

@test "compare-msrs: no difference" {
	echo 'active,0x808,TPR,read,0,0x0,cpu' | results a
	cp a b
	compare a b
	[ "$status" -eq 0 ]
	[[ $output == *"0 of 1 cells differ" ]]
}

@test "compare-msrs: cost, exception and value are shown" {
	printf '%s\n' active,0x80f,SPIV,write,0,0x1ef,trap active,0x809,ARBPRI,read,13,0x0,gp-cpu \
		active,0x803,LVR,read,0,0x50014,cpu active,0x802,ID,read,0,0x0,cpu | results a
	printf '%s\n' active,0x80f,SPIV,write,0,0x1ef,msr active,0x809,ARBPRI,read,0,0x0,msr \
		active,0x803,LVR,read,0,0x50015,cpu active,0x802,ID,read,0,0x0,cpu | results b
	compare a b
	[ "$status" -eq 1 ]
	grep -qE '^active +0x80f +SPIV +write +cost trap -> msr$' <<<"$output"
	grep -qE '^active +0x809 +ARBPRI +read +cost gp-cpu -> msr +vector 13 -> 0$' <<<"$output"
	grep -qE '^active +0x803 +LVR +read +value 0x50014 -> 0x50015$' <<<"$output"
	[[ $output == *"3 of 4 cells differ" ]]
	[[ $output == *"A: Linux 6.12.1"*"B: Linux 6.12.1"* ]]
}

@test "compare-msrs: a cell of one file only" {
	echo 'active,0x808,TPR,read,0,0x0,cpu' | results a
	echo 'off_xapic,0x808,TPR,read,13,0x0,gp-kvm' | results b
	compare a b
	[ "$status" -eq 1 ]
	grep -q '^active .*only in A$' <<<"$output"
	grep -q '^off_xapic .*only in B$' <<<"$output"
}

@test "compare-msrs: TAP of a machine, against CSV" {
	echo 'active,0x808,TPR,read,0,0x0,cpu' | results a
	{
		echo '# ok 1 something'
		sed 's/^/# # /' a
		echo '# finished'
	} >tap
	compare a tap
	[ "$status" -eq 0 ]
}

@test "compare-msrs: bad input" {
	echo 'active,0x808,TPR,read,0,0x0,cpu' | results a
	for args in '' 'a' 'a nothing' 'a a a' 'a .'; do
		# Words are meant.
		# shellcheck disable=SC2086
		compare $args
		[ "$status" -eq 2 ]
		one_error
	done
	echo 'no results' >b
	compare a b
	[ "$status" -eq 2 ]
	one_error
}

# doc_setup: a document, and a program that knows three registers.
doc_setup() {
	export AVIC_DOC=$PWD/doc
	mkdir doc
	printf 'text\n.. begin table\nold\n.. end table\nmore\n' >doc/x2avic-msrs.rst
	cat >doc/x2avic-msrs.in <<-'EOT'
		# comment
		TPR       : page cpu   : page cpu  : cpu    cpu
		ISR0-ISR1 : page fault : page gp   : msr    gp-kvm
	EOT
	cat >program <<-'EOT'
		#!/bin/sh
		echo 'Random seed: 0x1'
		echo 'msr,register,read,write'
		echo '0x808,TPR,CPU,CPU'
		echo '0x810,ISR0,CPU,-'
		echo '0x811,ISR1,CPU,-'
	EOT
	chmod +x program
}

@test "msrs-doc: writes the table, and agrees with it then" {
	doc_setup
	run "$scripts/avic-results" msrs-doc --check ./program
	[ "$status" -eq 1 ]
	grep -qx old doc/x2avic-msrs.rst
	run "$scripts/avic-results" msrs-doc ./program
	[ "$status" -eq 0 ]
	[ "$(grep -cx old doc/x2avic-msrs.rst)" -eq 0 ]
	[ "$(head -n 1 doc/x2avic-msrs.rst) $(tail -n 1 doc/x2avic-msrs.rst)" = "text more" ]
	grep -qE '"0x810-0x811", +"ISR0-ISR1", .*"R", +"MSR exit", +"#GP by KVM", +"no exit", +"#GP by KVM"' \
		doc/x2avic-msrs.rst
	run "$scripts/avic-results" msrs-doc --check ./program
	[ "$status" -eq 0 ]
}

@test "msrs-doc: a register that the program, or the document, does not have" {
	doc_setup
	sed -i '/ISR/d' doc/x2avic-msrs.in
	run "$scripts/avic-results" msrs-doc ./program
	one_error
	[[ $output == *"ISR0 is missing"* ]]
	echo 'IRR0 : page fault : page gp : cpu gp-cpu' >>doc/x2avic-msrs.in
	run "$scripts/avic-results" msrs-doc ./program
	one_error
	[[ $output == *"IRR0, but the next register of x2apic-msrs is ISR0"* ]]
}

@test "msrs-doc: registers in one row have to be equal" {
	doc_setup
	sed -i 's/ISR1,CPU/ISR1,KVM/' program
	run "$scripts/avic-results" msrs-doc ./program
	one_error
	[[ $output == *"ISR1 differs from ISR0"* ]]
}

@test "msrs-doc: what a run shows" {
	doc_setup
	"$scripts/avic-results" msrs-doc ./program
	for i in 0 1; do
		echo "# # active,0x81$i,ISR$i,read,0,0x0,msr"
		echo "# # active,0x81$i,ISR$i,write,13,0x0,gp-kvm"
		# Of another state, or not in the table.
		echo "# # inhibited,0x81$i,ISR$i,read,0,0x0,gp-kvm"
		echo "# # active,0x84$i,,read,13,0x0,gp-cpu"
	done >tap
	printf '# # active,0x808,TPR,%s,0,0x0,cpu\n' read write >>tap
	run "$scripts/avic-results" msrs-doc --check ./program tap
	[ "$status" -eq 0 ]
	sed -i 1d tap
	run "$scripts/avic-results" msrs-doc --check ./program tap
	one_error
	[[ $output == *"ISR0, read, 6.12.y: msr, but the run shows "* ]]
	echo nothing >tap
	run "$scripts/avic-results" msrs-doc --check ./program tap
	one_error
}

@test "msrs-doc: bad input" {
	doc_setup
	for args in '' nothing doc './program nothing'; do
		# Words are meant.
		# shellcheck disable=SC2086
		run "$scripts/avic-results" msrs-doc --check $args
		one_error
	done
	sed -i 's/: msr/: usr/' doc/x2avic-msrs.in
	run "$scripts/avic-results" msrs-doc ./program
	one_error
	[[ $output == *"unknown word usr"* ]]
	echo 'TPR : page' >doc/x2avic-msrs.in
	run "$scripts/avic-results" msrs-doc ./program
	one_error
	sed -i '/end table/d' doc/x2avic-msrs.rst
	run "$scripts/avic-results" msrs-doc ./program
	one_error
	grep -qx old doc/x2avic-msrs.rst
}
