#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# What soak runs, keeps, and says, with machines that are a program.

bats_require_minimum_version 1.5.0
load common

# project: a copy whose machine x2avic fails in the round of seed 1000000.
project() {
	mkdir -p p/scripts tests kernel
	cp -r "$scripts"/{lib.bash,bed.bash,soak,machines} p/scripts/
	cp -r "$top/selftests" p/
	touch tests/avic_diff_test
	chmod +x tests/avic_diff_test
	echo 7.0 >kernel/release
	stub setup ''
	stub build-qemu 'echo /bin/true'
	stub build-tests "echo $PWD/tests"
	stub build-kernel "echo \"\$* \$LOCKDEP\" >>$PWD/kernels; echo $PWD/kernel"
	stub boot "mkdir -p \"\$5\"; cat \"\$4\" >>$PWD/plans"'
		read -r _ _ _ seed _ <"$4"
		result=pass bad=0
		[ "$seed-$1" != 1000000-x2avic ] || result=fail bad=1
		{
			[ $result = pass ] || echo "#  0  vCPU 0  read 0x080"
			echo "# # xAPIC mode: seed $seed, 20 programs, $bad failed"
			echo "# # x2APIC mode: seed $seed, 10 programs, 0 failed"
		} >"$5/tap"
		row avic_diff_test diff.xapic $result >"$5/cases"'
}

@test "soak: each round has new seeds, and so has the next soak" {
	project
	run --separate-stderr p/scripts/soak HOURS=0.5 MACHINE=avic
	echo "$output $stderr"
	[ "$status" -eq 0 ]
	[ "$(<kernels)" = "linux-mainline after " ]
	[ "$(awk '{ print $4, $8 }' plans | xargs)" = "0 600 1000000 300" ]
	[ "${lines[0]}" = "avic: xAPIC mode: seed 0, 20 programs, 0 failed; x2APIC mode: seed 0, 10 programs, 0 failed" ]
	[ "${lines[2]}" = "60 programs, 0 failures, next seed 2000000" ]
	run --separate-stderr p/scripts/soak HOURS=0.1 MACHINE=avic
	[ "$status" -eq 0 ]
	[ "$(awk 'END { print $4, $8 }' plans)" = "2000000 180" ]
	[ "${lines[1]}" = "30 programs, 0 failures, next seed 3000000" ]
}

@test "soak: what failed is shown, kept, and the exit status, and the next round runs" {
	project
	run --separate-stderr p/scripts/soak HOURS=0.8 MACHINE=avic,x2avic DEBUG=1
	echo "$output $stderr"
	[ "$status" -eq 1 ]
	[ "$(<kernels)" = "linux-mainline after 1" ]
	[ "$(ls "$AVIC_BUILD/soak/linux-mainline/failed")" = 1000000-x2avic ]
	[ -s "$AVIC_BUILD/soak/linux-mainline/failed/1000000-x2avic/tap" ]
	[[ $output == *"#  0  vCPU 0  read 0x080"* ]]
	[[ $output == *"x2avic: xAPIC mode: seed 2000000,"* ]]
	[ "${lines[-1]}" = "180 programs, 1 failures, next seed 3000000" ]
}

@test "soak: a machine that dies is a failure, and the seed can be chosen" {
	project
	stub boot 'mkdir -p "$5"; : >"$5/tap"; row machine finished fail "no end" >"$5/cases"'
	mkdir -p "$AVIC_BUILD/soak/linux-mainline"
	echo 7000000 >"$AVIC_BUILD/soak/linux-mainline/next"
	run p/scripts/soak HOURS=0.1 MACHINE=avic SEED=0042
	[ "$status" -eq 1 ]
	[[ $output == *$'machine\tfinished\tfail\tno end'* ]]
	[ -d "$AVIC_BUILD/soak/linux-mainline/failed/42-avic" ]
	[ "$(<"$AVIC_BUILD/soak/linux-mainline/next")" = 7000000 ]
	# A round that ends early has had its turn.
	stub boot 'exit 1'
	run p/scripts/soak HOURS=0.1 MACHINE=avic
	one_error
	[ "$(<"$AVIC_BUILD/soak/linux-mainline/next")" = 8000000 ]
}

@test "soak: bad input, before the lock is waited for" {
	unset AVIC_LOCKED
	mkdir -p "$XDG_CACHE_HOME/avic-kvm"
	exec 7>"$XDG_CACHE_HOME/avic-kvm/lock"
	flock 7
	local arg
	for arg in HOURS=0.09 HOURS=0 HOURS=-1 HOURS=1h HOURS=x SEED=-1 SEED=x SEED=1234567890 \
		BASE=qemu-10.0.y MACHINE=vax; do
		run timeout 20 "$scripts/soak" "$arg"
		one_error
		[[ $output == *"${arg#*=}"* ]]
	done
	run timeout 20 "$scripts/soak" FILES=x
	one_error
	[[ $output == *"unknown argument 'FILES=x'"* ]]
}
