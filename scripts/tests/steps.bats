#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# What "avic-results steps" says of each patch.

bats_require_minimum_version 1.5.0
load common

# step N NAME [TEST...]: after a patch, which adds these tests; N is the directory
# with the results.
step() {
	mkdir -p r
	echo "$*" >>r/steps
}

# row N TEST CASE RESULT: a result of the machine avic at step N.
row() {
	mkdir -p "r/$1/avic"
	printf '%s\t%s\t%s\t\n' "$2" "$3" "$4" >>"r/$1/avic/cases"
}

# results RESULT...: of the case t:c, one for each step, "none" if there's none.
results() {
	local n=0 result
	rm -rf r
	for result; do
		step "$n" "patch-$n"
		row "$n" other c pass
		[ "$result" = none ] || row "$n" t c "$result"
		n=$((n + 1))
	done
}

# steps WORD...: of each patch, in order, "ok" or "bad".
steps() {
	local n=1 word
	run "$scripts/avic-results" steps r avic
	for word; do
		case $word in
		ok) grep -q "^ok patch $n of $#, patch-$n: " <<<"$output" ;;
		bad) grep -q "^not ok patch $n of $#, patch-$n: .*t:c on avic" <<<"$output" ;;
		esac || return 1
		n=$((n + 1))
	done
	if [[ " $* " == *" bad "* ]]; then
		[ "$status" -eq 1 ]
	else
		[ "$status" -eq 0 ]
	fi
}

@test "steps: a patch mends a case, the others change nothing" {
	results fail fail pass pass
	steps ok ok ok
	[[ ${lines[1]} == "ok patch 2 of 3, patch-2: mends t (1)" ]]
	[[ ${lines[2]} == "ok patch 3 of 3, patch-3: changes no result" ]]
}

@test "steps: a patch has a case skipped" {
	results fail skip
	steps ok
	[[ ${lines[0]} == "ok patch 1 of 1, patch-1: skips t (1)" ]]
	row 0 u c fail
	row 1 u c pass
	steps ok
	[[ ${lines[0]} == "ok patch 1 of 1, patch-1: mends u (1); skips t (1)" ]]
}

@test "steps: a patch breaks what a later one mends" {
	results pass fail pass
	steps bad bad
	results fail pass fail pass
	steps ok bad bad
}

@test "steps: a patch breaks a case" {
	results pass pass fail
	steps ok bad
	results skip fail fail
	steps bad ok
}

@test "steps: a case gets lost, or comes late" {
	results pass none none
	steps bad ok
	results fail none pass
	steps bad bad
	# Not everything runs before the series, but all of it after each patch.
	results none pass pass
	steps ok ok
	results none none pass
	steps ok ok
}

@test "steps: a test comes before what it tests" {
	results fail fail pass
	sed -i 's/^1 .*/& t/' r/steps
	steps bad ok
	[[ ${lines[0]} == *"fails, though patch 1 adds it" ]]
	results fail fail pass
	sed -i 's/^2 .*/& t/' r/steps
	steps ok ok
}

@test "steps: a test that wants two patches comes after the second one" {
	results skip fail pass
	steps bad bad
	results skip fail pass pass
	sed -i 's/^3 .*/& t/' r/steps
	steps ok ok ok
	results pass fail pass pass
	sed -i 's/^3 .*/& t/' r/steps
	steps bad bad ok
}

@test "steps: patches that leave the kernel as it is" {
	results fail pass
	step 1 patch-2
	steps ok ok
	[[ ${lines[1]} == *": the same kernel" ]]
}

@test "steps: no results" {
	run "$scripts/avic-results" steps . avic
	one_error
	results pass pass
	rm -r r/1
	run "$scripts/avic-results" steps r avic
	one_error
}

@test "steps: a topic's patches only, on top of what comes before" {
	export AVIC_PATCHES=$PWD/patches AVIC_BUILD=$PWD/build
	mkdir -p p/scripts tests k src "$AVIC_PATCHES/linux-6.12.y"
	cp -r "$scripts"/{lib.bash,git.bash,bed.bash,steps,avic-results,avic_results,machines} p/scripts/
	cp -r "$top/selftests" p/
	echo 6.12 >k/release
	seq 1 60 >src/numbers
	stub setup ''
	stub get-source "echo $PWD/src"
	stub build-tests "echo $PWD/tests"
	stub build-kernel "echo \"\$4\" >>$PWD/kernels; echo $PWD/k"
	stub build-qemu "echo /bin/true"
	stub boot 'mkdir -p "$5"; row a_test c pass >"$5/cases"'
	bash -euc '. "$0/git.bash"; make_repo "$1/repo" "$1/src"' "$scripts" "$PWD"
	for n in 10 20 30 40; do
		sed -i "${n}s/.*/changed/" repo/numbers
		git -C repo -c user.name=A -c user.email=a@localhost commit -qam "Change $n" -m 'It changes.'
	done
	bash -euc '. "$0/git.bash"; format_series "$1/repo" "$1/new" linux-6.12.y' "$scripts" "$PWD" >series
	mv new/* "$AVIC_PATCHES/linux-6.12.y/"
	sed '1i # topic: one
		2i # topic: two
		4i # topic: three' series >"$AVIC_PATCHES/linux-6.12.y/series"
	run --separate-stderr p/scripts/steps TOPIC=two MACHINE=avic
	echo "$output $stderr"
	[ "$status" -eq 0 ]
	[ "$(grep -c '^ok patch' <<<"$output")" -eq 2 ]
	[[ $output == *", Change-20: "*", Change-30: "* ]]
	[ "$(sed 's/.* with //' kernels | xargs -d '\n')" = "1 of 4 patches 2 of 4 patches 3 of 4 patches" ]
	rm kernels
	run p/scripts/steps TOPIC=three MACHINE=avic
	[ "$status" -eq 0 ]
	[ "$(sed 's/.* with //' kernels | xargs -d '\n')" = "3 of 4 patches 4 of 4 patches" ]
	run p/scripts/steps TOPIC=four MACHINE=avic
	one_error
}
