#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# Running the tests on a machine with AMD hardware: with a /proc and /sys of our own,
# tests that are shell scripts, and an ssh server on loopback.

load common

# fake_host: a machine with AVIC; a root user, whoever runs this.
fake_host() {
	export AVIC_ROOT=$PWD/root
	mkdir -p root/{proc,dev} root/sys/module/{kvm,kvm_amd}/parameters bin
	printf '%s\t: %s\n' processor 0 vendor_id AuthenticAMD 'cpu family' 25 model 17 \
		'model name' 'AMD EPYC' stepping 1 microcode 0xa10 \
		flags 'fpu svm avic x2avic' >root/proc/cpuinfo
	echo Y >root/sys/module/kvm_amd/parameters/avic
	echo 0 >root/sys/module/kvm/parameters/halt_poll_ns
	touch root/dev/kvm
	printf '#!/bin/sh\necho 0\n' >bin/id
	printf '#!/bin/sh\ncat "%s/log" 2>/dev/null\n' "$PWD" >bin/dmesg
	chmod +x bin/*
	PATH=$PWD/bin:$PATH
}

# fake_test NAME: stdin is what it does.
fake_test() {
	mkdir -p installed/kvm
	cp "$top"/selftests/{run-tests,bad-dmesg.awk} installed/kvm/
	{ echo '#!/bin/sh'; cat; } >"installed/kvm/$1"
	chmod +x "installed/kvm/$1"
	echo "$1 10" >>installed/kvm/plan
}

good_test() {
	fake_test good_test <<-'EOS'
		echo TAP version 13
		echo 1..2
		echo ok 1 global.one
		echo 'ok 2 global.two # SKIP not here'
	EOS
}

run_tests() {
	run sh installed/kvm/run-tests "$@"
}

# skips WORDS: status 4, one line with these words.
skips() {
	[ "$status" -eq 4 ] || return 1
	one_error || return 1
	[[ $output == *"$1"* ]]
}

@test "run-tests: what the machine is, TAP, summary" {
	fake_host
	good_test
	run_tests -o out
	[ "$status" -eq 0 ]
	[ "${lines[0]}" = "TAP version 13" ]
	[[ $output == *"# host.cpu: AMD EPYC"*"# host.microcode: 0xa10"*"# host.kvm_amd.avic: Y"*"1..1"* ]]
	[[ $output == *"ok 1 selftests: kvm: good_test"* ]]
	[[ ${lines[-1]} == "# summary: 1 tests: 1 passed, 0 failed, 0 skipped; their cases: 1 passed, 0 failed, 1 skipped; kernel log: clean" ]]
	diff <(echo "$output") out/tap
}

@test "run-tests: works with busybox alone" {
	fake_host
	good_test
	mkdir busy
	busybox --install -s busy
	PATH=$PWD/bin:$PWD/busy run busy/sh installed/kvm/run-tests -o out
	[ "$status" -eq 0 ]
	[[ ${lines[-1]} == "# summary: 1 tests: 1 passed"* ]]
}

@test "run-tests: a failure, a skip, a time limit" {
	fake_host
	good_test
	fake_test bad_test <<<'echo "not ok 1 global.one"; exit 1'
	fake_test skip_test <<<'exit 4'
	fake_test slow_test <<<'exec sleep 60'
	sed -i 's/slow_test 10/slow_test 1/' installed/kvm/plan
	run_tests
	[ "$status" -eq 1 ]
	[[ $output == *"not ok 2 selftests: kvm: bad_test # exit=1"* ]]
	[[ $output == *"ok 3 selftests: kvm: skip_test # SKIP"* ]]
	[[ $output == *"not ok 4 selftests: kvm: slow_test # TIMEOUT 1 seconds"* ]]
	[[ ${lines[-1]} == "# summary: 4 tests: 1 passed, 2 failed, 1 skipped; "* ]]
	run_tests skip_*
	[ "$status" -eq 4 ]
}

@test "run-tests: a kernel that warned" {
	fake_host
	good_test
	printf '[1.0] kvm_amd: AVIC enabled\n[1.1] WARNING: old\n[1.2] avic-test: begin\n[2.0] WARNING: CPU: 0\n' >log
	run_tests -o out
	[ "$status" -eq 1 ]
	[[ ${lines[-1]} == *"kernel log: 1 bad lines" ]]
	[[ $output != *old* ]]
	grep -q 'AVIC enabled' out/dmesg
}

@test "run-tests: chooses tests, passes arguments" {
	fake_host
	fake_test a_test <<<'echo "got $*"'
	fake_test x2apic-msrs <<<'echo "got $*"'
	sed -i '/^x2apic-msrs/d' installed/kvm/plan
	sed -i 's/a_test 10/a_test 10 -s 1/' installed/kvm/plan
	run_tests 'a_*'
	[[ $output == *"# got -s 1"* && $output == *"1..1"* ]]
	run_tests -m
	[[ $output == *"# got -o -"* && $output == *"1..2"* ]]
	run_tests 'b_*'
	[ "$status" -eq 1 ]
	one_error
	[[ $output == *"unknown test 'b_*'"* ]]
}

@test "run-tests: AVIC is off" {
	fake_host
	good_test
	echo N >root/sys/module/kvm_amd/parameters/avic
	run_tests
	[ "$status" -eq 0 ]
	[ "$(grep -c 'warning: .*modprobe kvm_amd avic=1' <<<"$output")" -eq 1 ]
	sed -i 's/ avic x2avic//' root/proc/cpuinfo
	run_tests
	[ "$(grep -c 'warning: the CPU has no AVIC' <<<"$output")" -eq 1 ]
}

@test "run-tests: not root" {
	fake_host
	good_test
	printf '#!/bin/sh\necho 1000\n' >bin/id
	run_tests
	skips "root is needed"
}

@test "run-tests: no kvm_amd, no SVM, no AMD CPU, no /dev/kvm" {
	fake_host
	good_test
	rm root/dev/kvm
	run_tests
	skips "/dev/kvm is missing though"
	rm -r root/sys/module/kvm_amd
	run_tests -c
	skips "modprobe kvm_amd avic=1"
	sed -i 's/ svm//' root/proc/cpuinfo
	run_tests
	skips "turn it on in the firmware"
	sed -i 's/AuthenticAMD/GenuineIntel/' root/proc/cpuinfo
	run_tests
	skips "not an AMD CPU"
}

@test "run-tests: not where the tests are installed" {
	fake_host
	run sh "$top/selftests/run-tests"
	[ "$status" -eq 1 ]
	one_error
}

@test "run-host: the table" {
	fake_host
	good_test
	run "$scripts/run-host" installed results
	[ "$status" -eq 0 ]
	[[ $output == *"good_test"*"all as expected"* ]]
	fake_test bad_test <<<'exit 1'
	run "$scripts/run-host" installed results
	[ "$status" -eq 1 ]
	[[ $output == *"unexpected failure: host tree bad_test"* ]]
	run "$scripts/run-host" installed results 'good*'
	[ "$status" -eq 0 ]
}


@test "run-host: bad arguments" {
	fake_host
	good_test
	run "$scripts/run-host" nothing results
	one_error
	run "$scripts/run-host" installed results '$(reboot)'
	one_error
	HOST='-oProxyCommand=reboot' run "$scripts/run-host" installed results
	one_error
	echo >file
	run "$scripts/run-host" installed file/results
	one_error
	echo N >root/dev/nothing
	rm root/dev/kvm
	run "$scripts/run-host" installed results
	skips "/dev/kvm is missing"
	[ -z "$(find results -name tap)" ]
	touch root/dev/kvm
	run "$scripts/run-host" installed results 'b_*'
	[ "$status" -eq 1 ]
	one_error
	[[ $output == *"unknown test 'b_*'"* ]]
}

# ssh_server: an ssh server on loopback, whose commands run as this user; SSH= is
# how to get there.
ssh_server() {
	ssh-keygen -q -t ed25519 -N '' -f host_key
	ssh-keygen -q -t ed25519 -N '' -f user_key
	cat >server.py <<-'EOS'
		import asyncio, asyncssh, subprocess

		async def command(process):
		    child = subprocess.Popen(process.command, shell=True, stdin=subprocess.PIPE,
		                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
		    await process.redirect(stdin=child.stdin, stdout=child.stdout, stderr=child.stderr)
		    await process.stdout.drain()
		    await process.stderr.drain()
		    process.exit(await asyncio.get_event_loop().run_in_executor(None, child.wait))

		async def main():
		    server = await asyncssh.listen("127.0.0.1", 0, server_host_keys=["host_key"],
		                                   authorized_client_keys="user_key.pub",
		                                   process_factory=command, encoding=None)
		    with open("port.new", "w") as f:
		        f.write(str(server.sockets[0].getsockname()[1]))
		    import os
		    os.rename("port.new", "port")
		    await asyncio.sleep(120)

		asyncio.run(main())
	EOS
	/usr/bin/python3 -W ignore server.py >server.log 2>&1 3>&- &
	server=$!
	for _ in {1..100}; do
		[ ! -e port ] || break
		sleep 0.2
	done
	export SSH="ssh -F none -p $(cat port) -i $PWD/user_key -o IdentitiesOnly=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=$PWD/known -o LogLevel=ERROR -o BatchMode=yes"
}

teardown() {
	[ -z "${server:-}" ] || kill "$server" || :
}

@test "run-host: by ssh, to loopback" {
	fake_host
	good_test
	mkdir tmp
	export TMPDIR=$PWD/tmp
	printf '[1.0] avic-test: begin\n[1.1] kvm: hello\n' >log
	ssh_server
	HOST=root@127.0.0.1 run "$scripts/run-host" installed results 'good_*'
	[ "$status" -eq 0 ]
	[[ $output == *"# host.cpu: AMD EPYC"*"# summary: 1 tests: 1 passed"*"all as expected"* ]]
	grep -q '^ok 1 selftests: kvm: good_test' results/tree/host/tap
	grep -q hello results/tree/host/dmesg
	# Nothing stays there.
	[ -z "$(ls tmp)" ]

	rm root/dev/kvm
	HOST=root@127.0.0.1 run "$scripts/run-host" installed results
	skips "/dev/kvm is missing"
	[ -z "$(ls tmp)" ]
}

@test "run-host: by ssh, to nobody" {
	fake_host
	good_test
	SSH="ssh -F none -o BatchMode=yes -o ConnectTimeout=5 -p 1" HOST=root@127.0.0.1 \
		run "$scripts/run-host" installed results
	[ "$status" -eq 1 ]
	one_error
	[[ $output == *"HOST=root@127.0.0.1: ssh failed"* ]]
}

@test "install-tests: bad arguments, nothing half-written" {
	run "$scripts/install-tests" built
	one_error
	mkdir -p built/bin dir
	run "$scripts/install-tests" built dir some_test
	one_error
	[ -z "$(ls -A dir)" ]
	touch file
	run "$scripts/install-tests" built file some_test
	one_error
}

# fake_built: what selftests/Makefile leaves in O=.
fake_built() {
	mkdir -p built/bin built/src/tools/testing/selftests/kselftest
	printf 'VERSION = 7\nPATCHLEVEL = 3\nSUBLEVEL = 4\n' >built/src/Makefile
	touch built/src/tools/testing/selftests/{run_kselftest.sh,kselftest/runner.sh}
	touch built/bin/{host-cpu,x2apic-msrs,xapic_ipi_test,own_test}
}

@test "install-tests: kselftest's list, our plan, other collections" {
	fake_built
	mkdir dir
	echo other:a_test >dir/kselftest-list.txt
	for _ in 1 2; do
		run "$scripts/install-tests" built dir own_test xapic_ipi_test
		[ "$status" -eq 0 ]
		[ "$(xargs <dir/kselftest-list.txt)" = "other:a_test kvm:xapic_ipi_test kvm:own_test" ]
		[ "$(cut -d' ' -f1 dir/kvm/plan | xargs)" = "xapic_ipi_test own_test" ]
		grep -qx 'library: 7.3.4' dir/kvm/about
	done
	[ "$(ls -A dir | xargs)" = "kselftest kselftest-list.txt kvm run_kselftest.sh" ]
}

@test "selftests: run and report where they can't" {
	fake_host
	rm root/dev/kvm
	fake_tree tree
	for target in run report; do
		run make -s -C "$top/selftests" O="$PWD/out" KDIR="$PWD/tree" $target
		[ "$status" -eq 2 ]
		one_error
		[[ $output == *"/dev/kvm is missing"*"Error 4"* ]]
		[ ! -e out ]
	done
}

@test "selftests: clean removes what was built, and nothing else" {
	mkdir -p out/{bin,obj,src,results}
	touch out/mine
	run make -s -C "$top/selftests" O="$PWD/out" clean
	[ "$status" -eq 0 ]
	[ "$(ls out)" = mine ]
	rm out/mine
	run make -s -C "$top/selftests" O="$PWD/out" clean
	[ ! -e out ]
}
