#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# The machine's end, as the host sees it, with scripts in QEMU's place.

bats_require_minimum_version 1.5.0
load common

# fake_qemu: stdin is what the "machine" does; it finds its files in $tap,
# $dmesg and $console.
fake_qemu() {
	mkdir -p kernel tests out
	touch kernel/bzImage kernel/kvm.ko tests/t
	echo 't 5' >plan
	{
		cat <<-'EOS'
			#!/bin/bash
			case "$*" in
			--version) echo "QEMU emulator version 0"; exit ;;
			"-cpu help") printf 'Recognized CPUID flags:\n avic x2avic\n'; exit ;;
			esac
			printf '%s\n' "$@" >args
			for a in "$@"; do
				case $a in
				*id=tap,path=*) tap=${a##*path=} ;;
				*id=dmesg,path=*) dmesg=${a##*path=} ;;
				file:*) console=${a#file:} ;;
				esac
			done
		EOS
		cat
	} >qemu
	chmod +x qemu
	export QEMU=$PWD/qemu
}

@test "boot: a good machine" {
	fake_qemu <<-'EOS'
		printf '# selftests: kvm: t\nok 1 selftests: kvm: t\n# finished\n' >$tap
		echo '[1.0] fine' >$dmesg
	EOS
	run "$scripts/boot" avic kernel tests plan out
	[ "$status" -eq 0 ]
	[ "$(cut -f 1-3 out/cases | tr '\t\n' ': ')" = "t:-:pass machine:finished:pass dmesg:clean:pass " ]
}

@test "boot: features that this QEMU lacks are left out" {
	fake_qemu <<<'echo "# finished" >$tap; echo fine >$dmesg'
	run "$scripts/boot" x2avic-4k kernel tests plan out
	grep -q ',+x2avic,' args
	! grep -q x2avic-ext args
}

@test "boot: a hang is reported" {
	fake_qemu <<-'EOS'
		printf '# selftests: kvm: t\n' >$tap
		sleep 30
	EOS
	BOOT_TIMEOUT=1 run "$scripts/boot" avic kernel tests plan out
	[ "$status" -eq 0 ]
	grep -q "^machine	finished	fail	no end within 1 s" out/cases
	grep -q "^t	exit	fail" out/cases
}

@test "boot: a panic is reported, with its line, and the log is kept" {
	fake_qemu <<-'EOS'
		printf '# selftests: kvm: t\n' >$tap
		printf '[2.0] avic-test: start t\r\n[2.1] Kernel panic - not syncing: Oops\r\n' >$console
	EOS
	run "$scripts/boot" avic kernel tests plan out
	grep -q "^machine	finished	fail	stopped early: .*Kernel panic" out/cases
	grep -q "^dmesg	clean	fail	t: .*Kernel panic" out/cases
	[ -s out/console.log ]
}

@test "boot: modules that do not load" {
	fake_qemu <<-'EOS'
		printf 'TAP version 13\nBail out! kvm-amd.ko does not load: no\n# finished\n' >$tap
		echo '[1.0] fine' >$dmesg
	EOS
	run "$scripts/boot" avic kernel tests plan out
	grep -q "^machine	modules	fail	 *kvm-amd.ko does not load" out/cases
}

@test "boot: QEMU that does not start" {
	fake_qemu <<<'echo "qemu: no such machine" >&2; exit 1'
	run "$scripts/boot" avic kernel tests plan out
	grep -q "^machine	finished	fail	stopped early: .*no such machine" out/cases
}

@test "boot: unknown machine" {
	fake_qemu <<<:
	run "$scripts/boot" vax kernel tests plan out
	one_error
}

# AVIC that never comes on must not read as a pass, see scripts/machines.
with_avic() {
	fake_qemu <<<"printf '# host.kvm_amd.avic: $1\\n# finished\\n' >\$tap"
	"$scripts/boot" "$2" kernel tests plan out
}

@test "boot: a machine on which AVIC is off, though it has AVIC" {
	with_avic N x2avic
	grep -q "^machine	avic	fail	kvm_amd.avic is N with avic=1" out/cases
}

@test "boot: a machine on which AVIC is on" {
	with_avic Y x2avic
	grep -q "^machine	avic	pass	" out/cases
}

@test "boot: a machine on which AVIC is on, though it's turned off" {
	with_avic Y noavic
	grep -q "^machine	avic	fail	kvm_amd.avic is Y with avic=0" out/cases
}

@test "boot: wrong arguments are told how it's called" {
	run "$scripts/boot" avic
	one_error
	[[ $output == *"usage: boot "* ]]
}

@test "boot: the command line is kept, and DRYRUN=1 starts nothing" {
	fake_qemu <<<'echo "# finished" >$tap; echo fine >$dmesg'
	run "$scripts/boot" avic kernel tests plan out
	[[ $(<out/command) == *"'-cpu' 'EPYC-Milan,"* ]]
	[ ! -e out/initrd ]
	rm args
	DRYRUN=1 run "$scripts/boot" avic kernel tests plan out
	[ "$status" -eq 0 ]
	[ "$output" = "$(<out/command)" ]
	[ ! -e args ]
	cpio -t <out/initrd 2>/dev/null | grep -qx tests/t
}

@test "boot: what DRYRUN=1 prints is what would run, also with spaces in paths" {
	fake_qemu <<<'echo "# finished" >"$tap"; echo fine >"$dmesg"'
	mv tests 'the tests'
	mv kernel 'the kernel'
	DRYRUN=1 run "$scripts/boot" avic 'the kernel' 'the tests' plan 'the results'
	eval "$output"
	grep -qx 'the kernel/bzImage' args
	[ -s 'the results/tap' ]
}

@test "boot: what a QEMU without our series doesn't know is left out" {
	fake_qemu </dev/null
	run "$scripts/boot" avic-busy kernel tests plan out
	[ "$status" -eq 0 ]
	[ "$(grep -c 'EPYC-Milan,.*,+avic,x-avic-icr2-writable=on,x-avic-icr-busy=on' args)" -eq 1 ]
	sed -i 's/ avic x2avic/ svm/' qemu
	run "$scripts/boot" avic-busy kernel tests plan out
	[ "$status" -eq 0 ]
	[ "$(grep -c 'EPYC-Milan,+svm,' args)" -eq 1 ]
	[ "$(grep -c '[+,-]avic' args)" -eq 0 ]
}

@test "boot: a shell is on the terminal, and nothing runs" {
	fake_qemu <<<'echo hello'
	run "$scripts/boot" --shell avic kernel tests plan out
	[ "$status" -eq 0 ]
	[ "$output" = hello ]
	grep -qx mon:stdio args
	[ ! -e out/cases ]
}

@test "boot: a machine that waits for gdb" {
	fake_qemu <<<'echo "# finished" >$tap; echo fine >$dmesg'
	GDB_SOCKET=$PWD/gdb run "$scripts/boot" avic kernel tests plan out
	[ "$(tail -n 3 args | xargs)" = "-S -gdb unix:$PWD/gdb,server=on,wait=off" ]
	run "$scripts/boot" avic kernel tests plan out
	! grep -qx -e -S -e -gdb args
}

# machine_project: a copy whose kernel, and whose QEMU, only say what they are asked for.
machine_project() {
	mkdir -p p/scripts p/selftests/x86 kernel bin
	cp "$scripts"/{lib.bash,bed.bash,shell,machines} p/scripts/
	echo 't both 5' >p/selftests/upstream-tests
	touch p/selftests/not-in-series
	echo 6.12.1 >kernel/release
	stub setup 'echo "setup $*" >>log'
	stub build-qemu 'echo qemu'
	stub build-tests 'echo bin'
	stub build-kernel 'echo "kernel $* ${GDB_SOCKET-none}" >>log; echo kernel'
	stub boot 'echo "boot $* ${GDB_SOCKET-none}" >>log; echo the command'
}

@test "run: the page has the MSRs only if they are wanted, its path is told" {
	machine_project
	cp "$scripts/run" p/scripts/
	printf '#!/bin/sh\necho QEMU 0\n' >qemu
	mkdir -p bin
	touch bin/t bin/x2apic-msrs
	chmod +x qemu bin/*
	stub build-qemu "echo $PWD/qemu"
	stub boot 'cp "$4" plan; mkdir -p "$5"; row t - pass >"$5/cases"'
	stub avic-results 'echo "$*" >report'
	run p/scripts/run MACHINE=avic PHASE=before MATRIX=1
	[ "$status" -eq 0 ]
	[ "$(<plan)" = "t 5"$'\n'"x2apic-msrs 600 -o -" ]
	[ "$(<report)" = "report $AVIC_BUILD/results/linux-6.12.y linux-6.12.y before avic  $AVIC_BUILD/report/index.html" ]
	[[ $output == *"$AVIC_BUILD/report/index.html"* ]]
	run p/scripts/run MACHINE=avic PHASE=before
	[ "$(xargs <plan)" = "t 5" ]
}

@test "gdb: the kernel has symbols, the machine waits, and how to attach is told" {
	machine_project
	DRYRUN=1 run --separate-stderr p/scripts/shell --gdb MACHINE=avic PHASE=before
	[ "$status" -eq 0 ]
	[ "$output" = "the command" ]
	socket=$AVIC_BUILD/results/shell/gdb
	[ "$(sed -n 1,2p log)" = "setup gdb"$'\n'"kernel linux-6.12.y before $socket" ]
	[[ $(sed -n 3p log) == "boot --shell avic kernel bin "*" $AVIC_BUILD/results/shell $socket" ]]
	[[ $stderr == *" kernel/gdb/vmlinux "*"-ex 'target remote $socket'"*"-ex 'lx-symbols kernel/gdb'"* ]]
}

@test "shell: without gdb there are no symbols, and nothing waits" {
	machine_project
	DRYRUN=1 run --separate-stderr p/scripts/shell
	[ "$status" -eq 0 ]
	[ "$(sed -n 1,2p log)" = "setup "$'\n'"kernel linux-6.12.y after none" ]
	[[ $(sed -n 3p log) == *" none" ]]
	[[ $stderr != *lx-symbols* ]]
}
