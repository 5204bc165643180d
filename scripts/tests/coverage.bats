#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# What no test executes, in a copy of the project in which the kernel is a program.

bats_require_minimum_version 1.5.0
load common

# project: a copy whose machines run f.c, once each, with the machine's name as argument.
project() {
	mkdir -p p/scripts tests src/arch/x86/kvm/svm after/arch/x86/kvm/svm kernel/gcno/svm
	cp -r "$scripts"/{lib.bash,bed.bash,coverage,avic-results,avic_results,machines} p/scripts/
	cp -r "$top/selftests" p/
	touch tests/avic_ipi_test
	chmod +x tests/avic_ipi_test
	echo 7.0 >kernel/release
	cat >after/arch/x86/kvm/svm/avic.c <<-'EOM'
		static int limit(const char *name)
		{
			if (name[0] == 'x')
				return 511;
			return 254;
		}

		int main(int argc, char **argv)
		{
			if (argc > 2)
				return 1;
			return !limit(argv[1]);
		}
	EOM
	sed '/argc > 2/d' after/arch/x86/kvm/svm/avic.c >src/arch/x86/kvm/svm/avic.c
	(cd kernel/gcno/svm && gcc --coverage -c -o avic.o "$OLDPWD/after/arch/x86/kvm/svm/avic.c" &&
		gcc --coverage -o run avic.o)
	stub setup ''
	stub get-source "echo $PWD/src"
	stub apply-series "echo $PWD/after"
	stub build-qemu 'echo /bin/true'
	stub build-tests "echo $PWD/tests"
	stub build-kernel "echo \"\$* \$GCOV\" >>$PWD/kernels; echo $PWD/kernel"
	# The hook itself is for the machine.
	stub boot 'mkdir -p "$5" && row avic_ipi_test c pass >"$5/cases"
		[ -x "$EXTRA/hooks/after" ] || exit
		"$2/gcno/svm/run" "$1"
		echo "Linux
		gcda svm/avic.gcda
		$(base64 "$2"/gcno/svm/avic.gcda)
		gcda end" | tr -d "\t" >"$5/console.log"
		rm "$2"/gcno/svm/avic.gcda'
}

@test "coverage: the counts of all machines add up" {
	project
	run --separate-stderr p/scripts/coverage MACHINE=avic,x2avic BOOTS=1
	echo "$output $stderr"
	[ "$status" -eq 0 ]
	[ "$(<kernels)" = "linux-mainline after svm/avic.c" ]
	[ "${lines[0]}" = svm/avic.c ]
	[[ ${lines[2]} =~ ^main\ +3/4\ +1/2$ ]]
	[[ ${lines[3]} =~ ^\ +10\ +1/2\ \+\ "if (argc > 2)"$ ]]
	[[ ${lines[4]} =~ ^\ +11\ +never\ \ \ "return 1;"$ ]]
	[[ ${lines[5]} =~ ^all\ 2,\ 1\ of\ them\ complete\ +7/8\ +3/4$ ]]
	run --separate-stderr p/scripts/coverage MACHINE=avic
	[ "$status" -eq 0 ]
	[[ ${lines[4]} =~ ^\ +4\ +never\ \ \ "return 511;"$ ]]
}

@test "coverage: a machine that returns no counts" {
	project
	stub boot 'mkdir -p "$5" && row machine finished fail >"$5/cases" && echo Linux >"$5/console.log"'
	run p/scripts/coverage MACHINE=x2avic
	one_error
	[[ $output == *"x2avic: no counts of svm/avic.c"* ]]
}

@test "coverage: bad input, before the lock is waited for" {
	unset AVIC_LOCKED
	mkdir -p "$XDG_CACHE_HOME/avic-kvm"
	exec 7>"$XDG_CACHE_HOME/avic-kvm/lock"
	flock 7
	run timeout 20 "$scripts/coverage" BASE=qemu-10.0.y
	one_error
	[[ $output == *"unknown BASE 'qemu-10.0.y'"* ]]
	run timeout 20 "$scripts/coverage" MACHINE=vax
	one_error
	[[ $output == *"unknown MACHINE 'vax'"* ]]
	local file
	for file in svm/avic.h ../x86.c /etc/passwd svm/; do
		run timeout 20 "$scripts/coverage" FILES="svm/avic.c $file"
		one_error
		[[ $output == *"unknown FILES '$file'"* ]]
	done
	fake_tree tree
	run timeout 20 "$scripts/coverage" KDIR=tree FILES=svm/none.c
	one_error
	[[ $output == *"unknown FILES 'svm/none.c'"* ]]
	run timeout 20 "$scripts/coverage" TESTS=avic_ipi_test
	one_error
}

@test "coverage: a source that the tree doesn't have" {
	project
	run p/scripts/coverage FILES=svm/none.c
	one_error
	[[ $output == *"unknown FILES 'svm/none.c'"* ]]
	[ ! -e kernels ]
}
