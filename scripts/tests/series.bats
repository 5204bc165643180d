#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# Applying a series: a good one, one that no longer applies, one that needs
# fuzz; the pristine tree stays as it was.

load common

setup_series() {
	export AVIC_PATCHES=$PWD/patches
	mkdir -p patches/t "$AVIC_BUILD/src/pristine"
	seq 1 40 >"$AVIC_BUILD/src/pristine/file"
	(
		mkdir a b
		cp "$AVIC_BUILD/src/pristine/file" a/file
		sed 's/^20$/twenty/' a/file >b/file
		diff -u a/file b/file >patches/t/one.patch || :
		cp b/file a/file
		sed 's/^30$/thirty/' a/file >b/file
		diff -u a/file b/file >patches/t/two.patch || :
	)
	printf '# the series\none.patch\ntwo.patch\n' >patches/t/series
}

@test "a good series applies, beside the pristine tree" {
	setup_series
	run "$scripts/apply-series" t "$AVIC_BUILD/src/pristine"
	[ "$status" -eq 0 ]
	grep -qx twenty "$output/file"
	grep -qx thirty "$output/file"
	[ "$(sed -n 20p "$AVIC_BUILD/src/pristine/file")" = 20 ]
}

@test "COUNT applies the first patches only" {
	setup_series
	run "$scripts/apply-series" t "$AVIC_BUILD/src/pristine" 1
	[ "$status" -eq 0 ]
	grep -qx twenty "$output/file"
	! grep -qx thirty "$output/file"
}

@test "a patch that no longer applies is named, nothing is left" {
	setup_series
	sed -i 's/^ 31$/ 31 changed/' patches/t/two.patch
	run "$scripts/apply-series" t "$AVIC_BUILD/src/pristine"
	[ "$status" -ne 0 ]
	[ "$(grep -c ' error: ' <<<"$output")" -eq 1 ]
	[[ $output == *two.patch*"does not apply"* ]]
	[ "$(ls -A "$AVIC_BUILD/src")" = pristine ]
}

@test "a patch that would need fuzz does not apply" {
	setup_series
	sed -i 's/^17$/seventeen/' "$AVIC_BUILD/src/pristine/file"
	run "$scripts/apply-series" t "$AVIC_BUILD/src/pristine"
	[ "$status" -ne 0 ]
	[[ $output == *one.patch*"does not apply"* ]]
}

@test "a patch of the series that is missing is named" {
	setup_series
	rm patches/t/two.patch
	run "$scripts/apply-series" t "$AVIC_BUILD/src/pristine"
	one_error
	[[ $output == *two.patch* ]]
}

@test "the series' hash goes by content and order" {
	setup_series
	. "$scripts/lib.bash"
	first=$(series_hash t)
	[ "$first" = "$(series_hash t)" ]
	printf 'two.patch\none.patch\n' >patches/t/series
	[ "$first" != "$(series_hash t)" ]
	[ "$(series_hash no-such-tree)" = none ]
}

@test "what is built goes by the diffs: not by changelogs, tests and documents" {
	setup_series
	. "$scripts/lib.bash"
	first=$(series_code t)
	sed -i '1i Subject: another one\n\nWith a changelog.\n' patches/t/one.patch
	[ "$first" = "$(series_code t)" ]
	printf -- '--- /dev/null\n+++ b/tools/testing/a.c\n@@ -0,0 +1 @@\n+x\n' >patches/t/three.patch
	echo three.patch >>patches/t/series
	[ "$first" = "$(series_code t)" ]
	sed -i '/^+/s/$/ /' patches/t/two.patch
	[ "$first" != "$(series_code t)" ]
	echo three.patch >patches/t/series
	[ "$(series_code t)" = none ]
}
