# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2034
#
# What run and kvm-unit-tests share: kernels before and after the series on
# emulated machines.  To be sourced instead of lib.bash.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/lib.bash"

# bed_arguments: check BASE, PHASE, MACHINE, BOOTS, KDIR, QEMU and QEMU_SRC; set machines.
bed_arguments() {
	local all m
	BASE=${BASE:-linux-6.12.y}
	case $BASE in
	linux-6.12.y | linux-6.1.y | linux-mainline) ;;
	*) die "unknown BASE '$BASE': linux-6.12.y, linux-6.1.y or linux-mainline" ;;
	esac
	mapfile -t all < <(awk '!/^#/ && NF == 3 { print $1 }' "$top/scripts/machines")
	read -ra machines <<<"${MACHINE:-all}"
	IFS=', ' read -ra machines <<<"${machines[*]}"
	[[ ${machines[*]} != all ]] || machines=("${all[@]}")
	mapfile -t all < <(awk '!/^#/ && NF { print $1 }' "$top/scripts/machines")
	for m in "${machines[@]}"; do
		[[ " ${all[*]} " == *" $m "* ]] || die "unknown MACHINE '$m': ${all[*]} or all"
	done
	[[ ${BOOTS:-1} =~ ^[1-9][0-9]*$ ]] || die "BOOTS=$BOOTS is not a number of machines"
	case ${PHASE:-} in
	'' | before | after) ;;
	*) die "unknown PHASE '$PHASE': before or after" ;;
	esac
	if [[ -n ${KDIR:-} ]]; then
		[[ -z ${PHASE:-} ]] || die "PHASE=$PHASE is for BASE=, KDIR= is run as it is"
		[[ -f $KDIR/Kbuild && -d $KDIR/arch/x86/kvm ]] || die "KDIR=$KDIR is not a Linux source tree"
	fi
	if [[ -n ${QEMU:-} ]]; then
		[[ $("$QEMU" --version 2>/dev/null || :) == *"QEMU emulator"* ]] ||
			die "QEMU=$QEMU is not a QEMU system emulator"
	elif [[ -n ${QEMU_SRC:-} ]]; then
		[[ -f $QEMU_SRC/configure && -d $QEMU_SRC/target/i386 ]] ||
			die "QEMU_SRC=$QEMU_SRC is not a QEMU source tree"
	fi
}

# bed_plan TEST CASE TESTS: the plan of one test, or of a case of it, on one machine.  TESTS
# is a directory of one's own tests, or empty.
bed_plan() {
	((${#machines[@]} == 1)) || die "one machine is wanted: '$MACHINE'"
	if [[ -n $3 ]]; then
		[[ -x $3/$1 ]] || die "no such test: $3/$1"
		echo "$1 300"
	elif [[ -n $2 && -f $top/selftests/x86/$1.c ]]; then
		plan_case "$1" "$2"
	else
		plan_of all | awk -v t="$1" '$1 == t && !n++ { print } END { exit !n }' ||
			die "unknown test '$1': $(plan_of all | awk '{ print $1 }' | xargs)"
	fi
}

# bed_choose PLAN PATTERNS: the lines of a plan whose tests the patterns match.
bed_choose() {
	local pattern found name rest
	set -f
	for pattern in $2; do
		found=
		while read -r name rest; do
			# The pattern is meant as one.
			# shellcheck disable=SC2053
			[[ $name == $pattern ]] || continue
			echo "$name $rest"
			found=1
		done <<<"$1"
		[[ -n $found ]] || die "unknown test '$pattern': $(awk '{ print $1 }' <<<"$1" | xargs)"
	done | awk '!s[$1]++'
}

# bed_qemu: set QEMU, and qemu_series to the number of patches if it is ours.
bed_qemu() {
	qemu_series=
	if [[ -z ${QEMU:-} ]]; then
		QEMU=$("$top/scripts/build-qemu" patched)
		[[ -n ${QEMU_SRC:-} ]] || qemu_series=$(series_files qemu-10.0.y | wc -l)
	fi
	export QEMU
}

# bed_kernels: build what KDIR or BASE names, of which PHASE is one half; set base ("kdir"
# for a tree), and for each column of the results phases, kernels and series.
bed_kernels() {
	local phase k
	kernels=() series=()
	if [[ -n ${KDIR:-} ]]; then
		base=kdir
		phases=(tree)
		k=$("$top/scripts/build-kernel" "$KDIR")
		kernels=("$k")
		series=(unknown)
		return
	fi
	base=$BASE
	read -ra phases <<<"${PHASE:-before after}"
	for phase in "${phases[@]}"; do
		k=$("$top/scripts/build-kernel" "$BASE" "$phase")
		kernels+=("$k")
		if [[ $phase == after ]]; then
			series+=("$(series_hash "$BASE")")
		else
			series+=(none)
		fi
	done
}

# bed_here TESTS [quiet]: of the plan on stdin, what TESTS has; an older tree lacks some.
bed_here() {
	local name rest
	while read -r name rest; do
		if [[ -x $1/$name ]]; then
			echo "$name $rest"
		elif [[ -z ${2:-} ]]; then
			note "$name: not in this tree"
		fi
	done
}

# bed_reap: wait for one machine of bed_boot.
bed_reap() {
	local pid rc=0
	wait -n -p pid "${!job[@]}" || rc=$?
	((rc == 0)) || die "${job[$pid]}: the machine could not be started, see ${results}"
	done=$((done + 1))
	note "$done of $total machines done: ${job[$pid]}, $(awk -F'\t' '
		{ n[$3]++ } END { printf "%d passed, %d failed, %d skipped", n["pass"], n["fail"], n["skip"] }' \
		"$results/${job[$pid]}/cases")"
	unset "job[$pid]"
}

# bed_boot TESTS PLAN RESULTS: run PLAN.PHASE on all machines, BOOTS at a time,
# with each kernel; the results go to RESULTS/PHASE/MACHINE.
bed_boot() {
	local tests=$1 plan=$2 results=$3 boots total done=0 i m
	local -A job=()
	boots=${BOOTS:-$((2 * $(nproc)))}
	total=$((${#phases[@]} * ${#machines[@]}))
	rm -rf "$results"
	mkdir -p "$results"
	note "running $(wc -l <"$plan.${phases[-1]}") tests on $total machines, $boots at a time"
	for i in "${!phases[@]}"; do
		mkdir -p "$results/${phases[i]}"
		cp "${kernels[i]}/release" "$results/${phases[i]}/release"
		for m in "${machines[@]}"; do
			((${#job[@]} < boots)) || bed_reap
			SERIES=${series[i]} "$top/scripts/boot" "$m" "${kernels[i]}" "$tests" "$plan.${phases[i]}" \
				"$results/${phases[i]}/$m" &
			job[$!]=${phases[i]}/$m
		done
	done
	while ((${#job[@]})); do bed_reap; done
}
