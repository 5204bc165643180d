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
	printf '%s\n' '// SPDX-License-Identifier: GPL-2.0-only' 'int counter;' >"$src/arch/x86/kvm/counter.c"
	bash -euc '. "$0/git.bash"; make_repo "$1" "$2"' "$scripts" "$PWD/repo" "$src"
	commit 'KVM: x86: Add another counter' 'One is not enough.' 'int second_counter;'
}

# check_it: write the series and check it
check_it() {
	bash -euc '. "$0/git.bash"; format_series "$1" "$2" linux-6.12.y' "$scripts" "$PWD/repo" \
		"$PWD/new" >series
	mv new/* series patches/linux-6.12.y/
	run "$scripts/check"
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
