#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# Modules for Debian's own kernels: swapping them, in a /sys of our own, and what
# can't be built.  scripts/check-modules does it for real.

load common

kver=6.12.95+deb12-amd64

# fake_kernel: the distribution's KVM is loaded; the commands that load modules
# change our /sys and log to "log".
fake_kernel() {
	export AVIC_ROOT=$PWD/root
	sys=$AVIC_ROOT/sys/module
	mkdir -p "$sys"/{kvm,kvm_amd} bin modules
	echo 0 >"$sys/kvm_amd/refcnt"
	touch modules/{kvm,kvm-amd}.ko
	echo "$kver" >modules/release
	printf '#!/bin/sh\necho 0\n' >bin/id
	printf '#!/bin/sh\necho %s\n' "$kver" >bin/uname
	cat >bin/rmmod <<-'EOF'
		#!/bin/sh
		echo "rmmod $*" >>log
		rm -r "$AVIC_ROOT/sys/module/$1"
	EOF
	cat >bin/insmod <<-'EOF'
		#!/bin/sh
		echo "insmod $*" >>log
		! grep -q bad "$1" || exit 1
		m=$AVIC_ROOT/sys/module/$(basename "$1" .ko | tr - _)
		mkdir "$m"
		echo 0 >"$m/refcnt"
		echo OE >"$m/taint"
	EOF
	cat >bin/modprobe <<-'EOF'
		#!/bin/sh
		if [ "$1" = -c ]; then
			echo 'options kvm_amd nested=1'
			exit
		fi
		echo "modprobe $*" >>log
		mkdir -p "$AVIC_ROOT"/sys/module/kvm "$AVIC_ROOT/sys/module/$1"
		echo 0 >"$AVIC_ROOT/sys/module/$1/refcnt"
	EOF
	chmod +x bin/*
	PATH=$PWD/bin:$PATH
	touch log
}

live() {
	run "$top/scripts/live-modules" "$@"
}

# refused MESSAGE: load fails with this one line, and touches nothing.
refused() {
	live load modules
	[ "$status" = 1 ]
	[ "${#lines[@]}" = 1 ]
	[[ $output == "live-modules: error: "*"$1"* ]]
	! grep -E 'rmmod|insmod' log
}

@test "live-modules: load and unload" {
	fake_kernel
	live status
	[ "$output" = "the distribution's KVM is loaded" ]
	live load modules avic=1
	[ "$status" = 0 ]
	[ "$(<log)" = $'rmmod kvm_amd\nrmmod kvm\ninsmod modules/kvm.ko\ninsmod modules/kvm-amd.ko nested=1 avic=1' ]
	live status
	[ "$output" = "modules built apart from the kernel are loaded" ]
	: >log
	live unload
	[ "$status" = 0 ]
	[ "$(<log)" = $'rmmod kvm_amd\nrmmod kvm\nmodprobe kvm_amd' ]
	: >log
	live unload
	[ "$status" = 0 ]
	[ ! -s log ]
}

@test "live-modules: nothing is touched while a VM runs" {
	fake_kernel
	echo 2 >"$sys/kvm_amd/refcnt"
	refused "KVM is in use by 2"
}

@test "live-modules: modules for another kernel" {
	fake_kernel
	echo 6.12.1-amd64 >modules/release
	refused "for 6.12.1-amd64, but $kver is running"
}

@test "live-modules: Secure Boot" {
	fake_kernel
	mkdir -p root/sys/kernel/security
	echo 'none [integrity] confidentiality' >root/sys/kernel/security/lockdown
	refused "locked down"
}

@test "live-modules: signatures are enforced" {
	fake_kernel
	mkdir -p "$sys/module/parameters"
	echo Y >"$sys/module/parameters/sig_enforce"
	refused "module.sig_enforce"
}

@test "live-modules: not root" {
	fake_kernel
	printf '#!/bin/sh\necho 1000\n' >bin/id
	refused "root is needed"
}

@test "live-modules: not from build-modules" {
	fake_kernel
	rm modules/release
	refused "modules has no release"
}

@test "live-modules: the distribution's are loaded again if the kernel refuses ours" {
	fake_kernel
	echo bad >modules/kvm-amd.ko
	live load modules
	[ "$status" = 1 ]
	[[ $output == *"the kernel refuses modules/kvm-amd.ko, see dmesg; the distribution's are loaded again" ]]
	[ "$(tail -n 2 log)" = $'rmmod kvm\nmodprobe kvm_amd' ]
	[ -d "$sys/kvm_amd" ]
	live status
	[ "$output" = "the distribution's KVM is loaded" ]
}

@test "build-modules: kernels without a series, or not Debian's" {
	run "$top/scripts/build-modules" 6.6.13-amd64
	[ "$status" = 1 ]
	[[ $output == *"there are series for 6.1.y, 6.12.y and 7.x only"* ]]
	run "$top/scripts/build-modules" 6.12.95
	[ "$status" = 1 ]
	[[ $output == *"not one of Debian's kernels for amd64"* ]]
	run "$top/scripts/build-modules"
	[ "$status" = 1 ]
	[[ $output == *"KVER= is missing"* ]]
}
