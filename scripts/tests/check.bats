#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# scripts/check: what it counts, with all that it starts replaced.

load common

# project: a copy whose checks say 7 times ok, and skip one.
project() {
	local name
	mkdir -p p/scripts p/patches/{a,b,c,d}
	touch p/patches/{a,b,c,d}/series
	cp "$scripts"/{lib.bash,check} p/scripts/
	for name in setup get-source build-qemu build-tests; do stub $name ''; done
	stub check-scripts 'sleep 1; echo ok script; echo progress'
	stub check-send 'echo ok sent $1'
	stub check-bisect 'echo ok bisected'
	stub check-lockdep 'echo ok lockdep'
	stub mutants 'echo ok mutant'
	stub check-stock 'echo ok same; echo skip other'
	export CHECKS="scripts send mutants stock"
}

@test "check: counts what all checks say" {
	project
	run p/scripts/check
	echo "$output"
	[ "$status" -eq 0 ]
	[ "${lines[-1]}" = "7 passed, 0 failed, 1 skipped" ]
	[[ $output != *progress* ]]
}

@test "check: a failure is one, and the others go on" {
	local name
	for name in check-scripts mutants; do
		project
		stub $name 'echo ok first; echo "not ok second: why"; exit 1'
		run p/scripts/check
		echo "$output"
		[ "$status" -eq 1 ]
		[[ $output == *"not ok second: why"* ]]
		[ "${lines[-1]}" = "7 passed, 1 failed, 1 skipped" ]
	done
}

@test "check: one that stops without a word is a failure" {
	local name
	for name in check-scripts mutants; do
		project
		stub $name 'echo ok first; exit 1'
		run p/scripts/check
		echo "$output"
		[ "$status" -eq 1 ]
		[[ $output == *"not ok "${name#check-}": stopped"* ]]
		[ "${lines[-1]}" = "7 passed, 1 failed, 1 skipped" ]
	done
}

@test "check: what two checks build is built before they start" {
	project
	stub build-qemu 'sleep 1; echo qemu >>log'
	stub build-tests 'echo tests >>log'
	stub check-bisect 'echo bisect >>log; sleep 1; echo ok bisected'
	stub check-lockdep 'echo lockdep >>log; echo ok lockdep'
	CHECKS="bisect lockdep" run p/scripts/check
	echo "$output"
	[ "$status" -eq 0 ]
	[ "${lines[-1]}" = "2 passed, 0 failed, 0 skipped" ]
	[ "$(sed -n 1,2p log | xargs)" = "qemu tests" ]
	[ "$(grep -c -x -e bisect -e lockdep log)" = 2 ]
}
