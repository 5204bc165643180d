#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# The cache, copying of trees, interrupted work, a full disk.

load common

@test "cache: an entry appears whole or not at all" {
	. "$scripts/lib.bash"
	tmp=$(cache_new things)
	echo half >"$tmp/file"
	run cache_hit things key
	[ "$status" -ne 0 ]
	cache_commit things key "$tmp"
	cache_hit things key
	[ "$(cat "$(cache_path things key)/file")" = half ]
	[ ! -e "$tmp" ]
}

@test "cache: only the newest entries stay" {
	. "$scripts/lib.bash"
	for i in 1 2 3 4; do
		tmp=$(cache_new things)
		touch -d "2020-01-0$i" "$tmp"
		chmod 755 "$tmp"
		mv -T "$tmp" "$(cache_path things "$i")"
		touch -d "2020-01-0$i" "$(cache_path things "$i")"
	done
	tmp=$(cache_new things)
	cache_commit things 5 "$tmp" 2
	[ "$(ls "$cache/things" | xargs)" = "4 5" ]
}

@test "an interrupted run leaves only what the next one removes" {
	unset AVIC_LOCKED
	mkdir -p "$XDG_CACHE_HOME/avic-kvm/kernels/.new.abc" "$AVIC_BUILD/.new.def"
	bash -c '. "$0/lib.bash"; take_lock' "$scripts"
	[ ! -e "$XDG_CACHE_HOME/avic-kvm/kernels/.new.abc" ]
	[ ! -e "$AVIC_BUILD/.new.def" ]
}

@test "a killed script removes its temporary files and its command" {
	cat >victim <<-'EOS'
		. "$1/lib.bash"
		tmp=$(mktemp -d)
		echo "$tmp" >tmp-name
		cleanup_add "$tmp"
		step "sleeping" log sleep 321
	EOS
	bash -e victim "$scripts" &
	pid=$!
	while [ ! -s tmp-name ]; do sleep 0.1; done
	sleep 0.5
	kill -TERM $pid
	wait $pid || :
	[ ! -e "$(cat tmp-name)" ]
	! pgrep -fx 'sleep 321'
}

@test "two runs do not work at the same time" {
	unset AVIC_LOCKED
	bash -c '. "$0/lib.bash"; take_lock; sleep 2; date +%s%N >first' "$scripts" &
	sleep 0.7
	run bash -c '. "$0/lib.bash"; take_lock; date +%s%N >second' "$scripts"
	wait
	[[ $output == *"another run holds the lock"* ]]
	[ "$(cat second)" -gt "$(cat first)" ]
}

@test "sync_tree: only what differs gets a new time, build products stay behind" {
	. "$scripts/lib.bash"
	mkdir -p src/include/generated src/arch/x86/include/generated src/kernel dst
	echo 1 >src/kernel/a.c
	echo 2 >src/kernel/b.c
	touch src/.config src/include/generated/x.h src/arch/x86/include/generated/y.h src/kernel/a.o src/vmlinux
	sync_tree src dst
	[ "$(cd dst && find . -type f | sort | xargs)" = "./kernel/a.c ./kernel/b.c" ]
	[ ! -e dst/include/generated ]
	[ ! -e dst/arch/x86/include/generated ]
	touch -d 2020-01-01 dst/kernel/a.c dst/kernel/b.c
	echo 3 >src/kernel/b.c
	touch -d 2010-01-01 src/kernel/b.c
	sync_tree src dst
	[ "$(date -r dst/kernel/a.c +%Y)" = 2020 ]
	[ "$(date -r dst/kernel/b.c +%Y)" != 2020 ]
	[ "$(date -r dst/kernel/b.c +%Y)" != 2010 ]
	rm src/kernel/b.c
	sync_tree src dst
	[ ! -e dst/kernel/b.c ]
}

@test "step: shows the error and keeps the status" {
	. "$scripts/lib.bash"
	run step "doing it" log bash -c 'echo "foo.c:1: error: no"; exit 3'
	[ "$status" -eq 3 ]
	[[ $output == *"foo.c:1: error: no"* ]]
}

@test "a full disk: one clear line, nothing left, a second run recovers" {
	[ "$(id -u)" -eq 0 ] || skip "needs root, for a small tmpfs"
	mkdir disk
	mount -t tmpfs -o size=64k tmpfs disk 2>/dev/null || skip "cannot mount a tmpfs"
	fake_tree tree
	head -c 200000 /dev/zero >tree/big
	AVIC_BUILD=$PWD/disk run "$scripts/build-kernel" "$PWD/tree"
	umount -l disk
	one_error
	[[ $output == *"No space left on device"* ]]
	AVIC_BUILD=$PWD/roomy run "$scripts/build-kernel" "$PWD/tree"
	[[ $output != *"No space left on device"* ]]
}

@test "a tree whose configuration fails is named" {
	fake_tree tree
	run "$scripts/build-kernel" "$PWD/tree"
	one_error
	[[ $output == *"the configuration fails"* ]]
	[ ! -e "$AVIC_BUILD/linux/kdir/out" ]
}

@test "build-kernel: GCOV= for some sources, whose notes are kept" {
	fake_tree tree
	cat >tree/Makefile <<-'EOM'
		.RECIPEPREFIX = >
		.DEFAULT_GOAL = all
		allnoconfig:
		> sed '/^CONFIG/!d' '$(KCONFIG_ALLCONFIG)' >$(O)/.config
		bzImage modules: $(foreach f,svm/avic.o lapic.o x86.o,$(if $(GCOV_PROFILE_$(f)),$(f:.o=.gcno)))
		> mkdir -p $(O)/arch/x86/boot $(O)/include/config
		> touch $(O)/arch/x86/boot/bzImage $(O)/include/config/kernel.release
		%.gcno:
		> mkdir -p $(O)/arch/x86/kvm/$(@D)
		> echo $(CFLAGS_$*.o) >$(O)/arch/x86/kvm/$@
	EOM
	mkdir -p "$AVIC_BUILD"/linux/kdir{,-gcov}/obj
	GCOV='svm/avic.c lapic.c' run "$scripts/build-kernel" "$PWD/tree"
	[ "$status" -eq 0 ]
	[ "$(cd "${lines[-1]}/gcno" && find . -type f | sort | xargs)" = "./lapic.gcno ./svm/avic.gcno" ]
	grep -q fno-early-inlining "${lines[-1]}/gcno/svm/avic.gcno"
	grep -qx CONFIG_GCOV_KERNEL=y "${lines[-1]}/config"
	GCOV='svm/avic.c vmx/vmx.c' run "$scripts/build-kernel" "$PWD/tree"
	one_error
	[[ $output == *"arch/x86/kvm/vmx/vmx.c is not among the files that get built"* ]]
	run "$scripts/build-kernel" "$PWD/tree"
	[ ! -e "${lines[-1]}/gcno" ]
}

# What writes to a pipe whose reader has gone is killed, now and then, and pipefail
# takes that for a failure.
@test "scripts: none leaves a pipe before its end" {
	run grep -nE -d skip '\| *(head|grep -[a-zA-Z]*q)\b' "$scripts"/*
	echo "$output"
	[ "$status" = 1 ]
}

@test "get-source: two at a time" {
	mkdir -p tree "$AVIC_BUILD/versions" "$XDG_CACHE_HOME/avic-kvm/sources/linux-source-6.12_1"
	touch tree/Kbuild
	tar -cJf "$XDG_CACHE_HOME/avic-kvm/sources/linux-source-6.12_1/linux-source-6.12.tar.xz" tree
	echo "linux-source-6.12 1" >"$AVIC_BUILD/versions/linux-6.12.y"
	"$scripts/get-source" linux-6.12.y >first &
	run "$scripts/get-source" linux-6.12.y
	wait $!
	[ "$status" -eq 0 ]
	[ -f "$(<first)/Kbuild" ]
	[ "$(ls -A "$AVIC_BUILD/src")" = linux-source-6.12_1 ]
}

@test "plan_of: a phase has its tests, an extra one is in neither" {
	mkdir -p p/scripts p/selftests/x86
	cp "$scripts/lib.bash" p/scripts/
	touch p/selftests/x86/{our,other,unsent}_test.c
	printf '%s\n' '# other_test.c' 'other_test.c only-after # why' 'unsent_test.c # why' \
		>p/selftests/not-in-series
	cat >p/selftests/upstream-tests <<-'EOT'
		# comment
		a	both	10
		b	after	20 -s 1	# why
		c	extra	30
		d	only-after	40
	EOT
	names() { bash -c '. p/scripts/lib.bash; plan_of "$@"' p/scripts/x "$@" | awk '{ print $1 }' | xargs; }
	[ "$(names before)" = "our_test unsent_test a" ]
	[ "$(names after)" = "other_test our_test unsent_test a b d" ]
	[ "$(names named)" = "our_test unsent_test a b c" ]
	[ "$(names all)" = "other_test our_test unsent_test a b c d" ]
}
