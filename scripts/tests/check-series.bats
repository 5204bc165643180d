#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# "check" fails, and names the patch, if a series has a patch that it should not
# have.  The tree is a small one, with checkpatch from the Linux source in
# $AVIC_LINUX, which "check" sets.

load common

# commit SUBJECT BODY LINE...: a commit that adds lines to counter.c
commit() {
	printf '%s\n' "${@:3}" >>repo/arch/x86/kvm/counter.c
	git -C repo commit -qam "$1" -m "$2" --author='Jane Doe <jane@example.org>'
}

setup_tree() {
	[ -n "${AVIC_LINUX:-}" ] || skip "no AVIC_LINUX"
	export AVIC_PATCHES=$PWD/patches GIT_CONFIG_SYSTEM=/dev/null GIT_CONFIG_GLOBAL=$PWD/gitconfig
	export DEBIAN_MIRROR=file:///nonexistent/debian CHECKS=series
	git config --global user.name 'Jane Doe'
	git config --global user.email jane@example.org
	src=$AVIC_BUILD/src/linux-source-6.12_1
	mkdir -p "$AVIC_BUILD/versions" patches/linux-6.12.y
	echo "linux-source-6.12 1" >"$AVIC_BUILD/versions/linux-6.12.y"
	fake_tree "$src"
	for f in Documentation drivers fs include init ipc kernel lib scripts; do
		mkdir "$src/$f"
	done
	touch "$src"/{COPYING,CREDITS,MAINTAINERS,README}
	cp "$AVIC_LINUX"/scripts/{checkpatch.pl,spelling.txt,const_structs.checkpatch} "$src/scripts/"
	cat >"$src/Makefile" <<-'END'
		.PHONY: allnoconfig prepare arch/x86/kvm/
		allnoconfig: ; mkdir -p $(O) && cp $(KCONFIG_ALLCONFIG) $(O)/.config
		prepare: ;
		arch/x86/kvm/: ; gcc -Wall -Werror -c arch/x86/kvm/counter.c -o $(O)/counter.o
		arch/x86/kvm/counter.o: ;
	END
	{
		echo '// SPDX-License-Identifier: GPL-2.0-only'
		printf 'extern int far_%d;\n' {1..12}
		echo 'int counter;'
	} >"$src/arch/x86/kvm/counter.c"
	bash -euc '. "$0/git.bash"; make_repo "$1" "$2"' "$scripts" "$PWD/repo" "$src"
	commit 'KVM: x86: Add another counter' 'One is not enough.' 'int second_counter;'
}

# write_series: the commits of repo become patches
write_series() {
	bash -euc '. "$0/git.bash"; format_series "$1" "$2" linux-6.12.y' "$scripts" "$PWD/repo" \
		"$PWD/new" >series
	mv new/* series patches/linux-6.12.y/
}

# check_it: write the series and check it
check_it() {
	write_series
	run "$scripts/check"
}

# insert NUMBER SUBJECT LINE: a commit that adds a line after that line of counter.c
insert() {
	sed -i "$1a $3" repo/arch/x86/kvm/counter.c
	git -C repo commit -qam "$2" -m 'Counters count.' --author='Jane Doe <jane@example.org>'
}

# check_topics TOPIC...: a series whose patches belong to these topics, one each; "+"
# is that of the patch before.  Each has a cover letter.
check_topics() {
	local topic
	write_series
	mapfile -t names <patches/linux-6.12.y/series
	for topic; do
		if [ "$topic" != + ]; then
			echo "# topic: $topic"
			echo Subject >"patches/linux-6.12.y/cover-letter.${topic%% *}"
		fi
		echo "${names[0]}"
		names=("${names[@]:1}")
	done >patches/linux-6.12.y/series
	run "$scripts/check"
}

# setup_topics: patches 2 and 3 do not touch what patch 1 does; 3 builds with 2 only.
setup_topics() {
	setup_tree
	insert 1 'KVM: x86: Count on' 'int top_counter;'
	insert 8 'KVM: x86: Point at it' 'int *pointer = \&top_counter;'
}

# only_bad GLOB: one check failed, and its line matches
only_bad() {
	[ "$status" -eq 1 ]
	[ "$(grep -c '^not ok' <<<"$output")" -eq 1 ]
	[[ $(grep '^not ok' <<<"$output") == $1 ]]
	[[ ${lines[-1]} == *", 1 failed,"* ]]
}

@test "check-series: a good series passes" {
	setup_tree
	check_it
	[ "$status" -eq 0 ]
	[[ $output == *"ok linux-6.12.y: patch 1 builds: KVM-x86-Add-another-counter"* ]]
	[[ $output == *"ok linux-6.12.y: checkpatch: KVM-x86-Add-another-counter"* ]]
}

@test "check-series: a patch that checkpatch objects to is named" {
	setup_tree
	commit 'KVM: x86: Count on' 'Counters count.' 'int count_on(void)' '{' '	if(counter)' \
		'		return 1;' '	return 0;' '}'
	check_it
	only_bad "not ok linux-6.12.y: checkpatch: KVM-x86-Count-on"
	[[ $output == *"space required before the open parenthesis"* ]]
}

@test "check-series: a patch that does not build is named" {
	setup_tree
	commit 'KVM: x86: Count on' 'Counters count.' 'int *count_on = &no_such_counter;'
	sed -i 's/no_such_counter/counter/' repo/arch/x86/kvm/counter.c
	git -C repo commit -qam 'KVM: x86: Repair it' -m 'Counters must exist.'
	check_it
	only_bad "not ok linux-6.12.y: patch 2, KVM-x86-Count-on, does not build: *"
}

@test "check-series: a patch without a changelog is named" {
	setup_tree
	commit 'KVM: x86: Count on' 'Fixes: 0123456789ab ("KVM: x86: Count")' 'int third_counter;'
	check_it
	[ "$status" -eq 1 ]
	[[ $output == *"not ok linux-6.12.y: KVM-x86-Count-on has no changelog"* ]]
}

@test "check-series: a patch with a Signed-off-by is named" {
	setup_tree
	commit 'KVM: x86: Count on' $'Counters count.\n\nSigned-off-by: Jane Doe <jane@example.org>' \
		'int third_counter;'
	check_it
	only_bad "not ok linux-6.12.y: KVM-x86-Count-on has a Signed-off-by"
}

@test "check-series: a patch that does not apply is named" {
	setup_tree
	check_it
	sed -i 's/^ int counter;/ int counters;/' patches/linux-6.12.y/*.patch
	run "$scripts/check"
	only_bad "not ok linux-6.12.y: quilt push -a on 1: *KVM-x86-Add-another-counter.patch does not apply*"
}

@test "check-series: a patch that was written by other means is named" {
	setup_tree
	check_it
	sed -i 's/^ arch.*| 1 +$/ arch | 1 +/' patches/linux-6.12.y/*.patch
	run "$scripts/check"
	only_bad "not ok linux-6.12.y: KVM-x86-Add-another-counter is not as refresh writes it: *"
}

@test "check-series: a configuration without KVM for Intel does not build" {
	setup_tree
	sed -i 's/cp \(.*\) \(.*\)$/grep -v KVM_INTEL \1 >\2/' "$src/Makefile"
	check_it
	[ "$status" -eq 1 ]
	[[ $output == *"error: KVM_INTEL=m has no effect"* ]]
	[[ $output == *"not ok linux-6.12.y: patch 1, KVM-x86-Add-another-counter, does not build: "* ]]
}

@test "check-series: topics apply and build on what they name" {
	setup_topics
	check_topics one 'two rfc' 'three on-request needs two'
	[ "$status" -eq 0 ]
	[[ $output == *"ok linux-6.12.y: topic one on the bare base: it applies and builds"* ]]
	[[ $output == *"ok linux-6.12.y: topic two on the bare base: it applies and builds"* ]]
	[[ $output == *"ok linux-6.12.y: topic three on two: it applies and builds"* ]]
	# What is known is not built again.
	run "$scripts/check"
	[ "$status" -eq 0 ]
	[[ $output != *"building the topic"* ]]
}

@test "check-series: a topic that does not build alone is named" {
	setup_topics
	check_topics one two three
	only_bad "not ok linux-6.12.y: topic three on the bare base: it does not build, see *"
	[[ $output == *"'top_counter' undeclared"* ]]
	# Also if its failure is known.
	run "$scripts/check"
	only_bad "not ok linux-6.12.y: topic three on the bare base: it does not build, see *"
	[[ $output != *"building the topic"* ]]
}

@test "check-series: a topic that does not apply alone is named" {
	setup_topics
	commit 'KVM: x86: Count beyond' 'Counters count.' 'int last_counter;'
	check_topics one two + three
	only_bad "not ok linux-6.12.y: topic three on the bare base: KVM-x86-Count-beyond does not apply"
}

@test "check-series: a topic that names what it does not need is named" {
	setup_topics
	check_topics one 'two needs one' +
	only_bad "not ok linux-6.12.y: topic two applies and builds without one, which it says it needs"
	check_topics one two 'three needs one two'
	only_bad "not ok linux-6.12.y: topic three applies and builds without one, which it says it needs"
}

@test "check-series: a topic that names what another one needs for it is named" {
	setup_topics
	insert 5 'KVM: x86: Point at the pointer' 'int **pointers = \&pointer;'
	sed -i '/pointers/d; $a int **pointers = \&pointer;' repo/arch/x86/kvm/counter.c
	git -C repo commit -qa --amend --no-edit
	check_topics one two 'three needs two' 'four needs one two three'
	only_bad "not ok linux-6.12.y: topic four need not name two, which another one that it needs does"
}

@test "check-series: a test whose header another topic adds" {
	setup_tree
	kvm=tools/testing/selftests/kvm
	mkdir -p repo/$kvm/{x86,include/x86}
	echo '/* SPDX-License-Identifier: GPL-2.0-only */' >repo/$kvm/include/x86/counters.h
	git -C repo add .
	git -C repo commit -qm 'KVM: selftests: Add a header' -m 'It helps.' --author='Jane Doe <jane@example.org>'
	printf '%s\n' '// SPDX-License-Identifier: GPL-2.0-only' '#include "counters.h"' >repo/$kvm/x86/counters_test.c
	git -C repo add .
	git -C repo commit -qm 'KVM: selftests: Add a test' -m 'It tests.' --author='Jane Doe <jane@example.org>'
	check_topics one two three
	[[ $output == *"not ok linux-6.12.y: topic three on the bare base: its tests include counters.h, which another topic adds"* ]]
	check_topics one two 'three needs two'
	[[ $output == *"ok linux-6.12.y: topic three on two: it applies and builds"* ]]
}

@test "check-series: topics and cover letters that do not belong together" {
	setup_topics
	check_topics one two +
	rm patches/linux-6.12.y/cover-letter.two
	run "$scripts/check"
	only_bad "not ok linux-6.12.y: topic two has no cover letter"
	mv patches/linux-6.12.y/cover-letter.{one,two}
	echo Subject >patches/linux-6.12.y/cover-letter.one
	echo Subject >patches/linux-6.12.y/cover-letter.three
	run "$scripts/check"
	only_bad "not ok linux-6.12.y: cover-letter.three is of no topic"
}

@test "check-series: topics that are not written as topics are" {
	setup_topics
	check_topics one two 'three need two'
	only_bad "not ok linux-6.12.y: not '# topic: NAME *': '# topic: three need two'"
}
