#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# Planted bugs: how they are described, built, and found, in a copy of the
# project in which kernels and machines are scripts.

bats_require_minimum_version 1.5.0
load common

# project: a copy with one mutant, t/m.  What the machine says without the bug
# and with it: files "good" and "bad", a word and a line each.
project() {
	mkdir -p p/selftests/x86 p/selftests/mutants/t kernel tests
	cp -r "$scripts" p/scripts
	touch p/selftests/x86/a_test.c kernel/{bzImage,kvm.ko} tests/a_test boots
	stub setup :
	stub build-qemu 'echo /bin/true'
	stub build-tests 'echo $PWD/tests'
	stub build-kernel 'echo $PWD/kernel'
	stub build-mutant '! grep -q broken "$2" || exit 1
		mkdir -p mutant && cp kernel/* mutant/ && cat "$2" >>mutant/kvm.ko && echo $PWD/mutant'
	stub boot 'echo "$*" >>boots; mkdir -p "$5"
		cp "$4" plan; read -r word text <"$(case $2 in */mutant) echo bad ;; *) echo good ;; esac)"
		printf "a_test\tf.case\t%s\t\n" "$word" >"$5/cases"
		printf "# #  RUN           f.other ...\n# %s\n# ok 1 f.other\n" "elsewhere" >"$5/tap"
		printf "# #  RUN           f.case ...\n# %s\n# ok 2 f.case\n" "$text" >>"$5/tap"'
	echo 'pass fine' >good
	echo 'fail TPR (MSR 0x808), write: wrong' >bad
	mutant <<-'EOM'
		Something is wrong.

		Machine: avic
		Test: a_test
		Case: f.case
		Says: TPR .MSR 0x808., write

		diff --git a/f b/f
	EOM
}

# mutant [NAME]: stdin becomes the patch.
mutant() {
	cat >"p/selftests/mutants/t/${1:-m}.patch"
}

@test "mutants: one that is found, and remembered" {
	project
	run p/scripts/mutants
	[ "$status" -eq 0 ]
	[[ $output == *"ok mutant t/m: found by a_test:f.case"* ]]
	[ "$(cat plan)" = "a_test 300 -r f.case" ]
	[ "$(wc -l <boots)" -eq 2 ]
	run p/scripts/mutants 't/*'
	[ "$status" -eq 0 ]
	[ "$(wc -l <boots)" -eq 2 ]
	# Another kernel, another verdict.
	echo x >>kernel/kvm.ko
	run p/scripts/mutants t/m
	[ "$(wc -l <boots)" -eq 4 ]
}

@test "mutants: one that is not found" {
	project
	echo 'pass fine' >bad
	run p/scripts/mutants
	[ "$status" -eq 1 ]
	[[ $output == *"not ok mutant t/m: a_test:f.case does not fail: pass"* ]]
	# Nothing of that is remembered.
	run p/scripts/mutants
	[ "$status" -eq 1 ]
}

@test "mutants: one that is found for another reason" {
	project
	echo 'fail something else' >bad
	run p/scripts/mutants
	[ "$status" -eq 1 ]
	[[ $output == *"not ok mutant t/m: a_test:f.case fails, but does not say 'TPR"* ]]
	# What another case says does not count.
	sed -i 's/^Says:.*/Says: elsewhere/' p/selftests/mutants/t/m.patch
	run p/scripts/mutants
	[ "$status" -eq 1 ]
}

@test "mutants: the case fails without the bug, too" {
	project
	echo 'fail always' >good
	run p/scripts/mutants
	[ "$status" -eq 1 ]
	[[ $output == *"not ok mutant t/m: without it, a_test:f.case does not pass"* ]]
}

@test "mutants: a case that does not exist" {
	project
	sed -i 's/^Case:.*/Case: f.no_such_case/' p/selftests/mutants/t/m.patch
	run p/scripts/mutants
	[ "$status" -eq 1 ]
	[[ $output == *"not ok mutant t/m: without it, a_test:f.no_such_case does not pass"* ]]
}

@test "mutants: one that does not build fails, the next one is tried" {
	project
	sed 's/^Something.*/broken/' p/selftests/mutants/t/m.patch | mutant a
	run p/scripts/mutants
	[ "$status" -eq 1 ]
	[[ $output == *"not ok mutant t/a: it does not apply or build"* ]]
	[[ $output == *"ok mutant t/m: found"* ]]
}

@test "mutants: --build boots nothing" {
	project
	run p/scripts/mutants --build
	[ "$status" -eq 0 ]
	[[ $output == *"ok mutant t/m: it builds"* ]]
	[ ! -s boots ]
}

@test "mutants: bad names, bad heads" {
	project
	run p/scripts/mutants t/nonsense
	one_error
	[[ $output == *"no mutant 't/nonsense'"* ]]
	for f in Machine Test Case Says; do
		project
		sed -i "/^$f:/d" p/selftests/mutants/t/m.patch
		run p/scripts/mutants
		one_error
		[[ $output == *"t/m.patch: no line '$f: ...'"* ]]
	done
	project
	sed -i 's/^Machine:.*/Machine: vax/' p/selftests/mutants/t/m.patch
	run p/scripts/mutants
	one_error
	[[ $output == *"t/m.patch: unknown machine 'vax'"* ]]
	project
	sed -i 's/^Test:.*/Test: b_test/' p/selftests/mutants/t/m.patch
	run p/scripts/mutants
	one_error
	[[ $output == *"selftests/x86/ has no b_test"* ]]
	[ ! -s boots ]
}

# kvm_tree: what is left of a kernel when only KVM's modules matter.
kvm_tree() {
	project
	cp "$scripts/build-mutant" p/scripts/
	stub get-source 'echo $PWD/src'
	stub apply-series 'echo $PWD/src'
	mkdir src
	seq 1 9 | sed 's/.*/int v&;/' >src/f.c
	cat >src/Makefile <<-'EOM'
		.RECIPEPREFIX = >
		olddefconfig: ;
		%.ko: f.c
		> mkdir -p $(O)/$(@D)
		> cc -c $< -o $(O)/$@
	EOM
	touch kernel/{config,release}
}

# plant LINE: a mutant that makes line 5 of f.c LINE.
plant() {
	sed "s/^int v5;/$1/" src/f.c >changed
	{ echo 'A bug.'; diff -u --label a/f.c --label b/f.c src/f.c changed | sed '1i diff --git a/f.c b/f.c'; } >bug.patch
}

@test "build-mutant: it applies for one build only" {
	kvm_tree
	plant 'int planted;'
	run --separate-stderr p/scripts/build-mutant t bug.patch
	[ "$status" -eq 0 ]
	nm "$output/kvm.ko" | grep -q planted
	[ -e "$output/bzImage" ]
	[ -e "$output/release" ]
	cmp src/f.c "$AVIC_BUILD/linux/t-mutants/src/f.c"
	first=$output
	sed -i 's/^A bug./The same bug./' bug.patch
	run --separate-stderr p/scripts/build-mutant t bug.patch
	[ "$output" = "$first" ]
}

@test "build-mutant: one that does not compile leaves nothing behind" {
	kvm_tree
	plant 'not C'
	run p/scripts/build-mutant t bug.patch
	[ "$status" -ne 0 ]
	[[ $output == *"build-mutant: error: t with bug does not build"* ]]
	cmp src/f.c "$AVIC_BUILD/linux/t-mutants/src/f.c"
	plant 'int planted;'
	run p/scripts/build-mutant t bug.patch
	[ "$status" -eq 0 ]
}

@test "build-mutant: one that does not apply, or would need fuzz, is named" {
	kvm_tree
	plant 'int planted;'
	sed -i 's/^ int v3;/ int v33;/' bug.patch
	run p/scripts/build-mutant t bug.patch
	one_error
	[[ $output == *"bug.patch does not apply to t after the series"* ]]
	plant 'int planted;'
	run p/scripts/build-mutant t bug.patch
	[ "$status" -eq 0 ]
}

@test "build-mutant: no such patch" {
	run "$scripts/build-mutant" linux-6.12.y nothing.patch
	one_error
}
