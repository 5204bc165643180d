#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# What labs use.

load common

# lava TAP: the results that LAVA gets.
lava() {
	mkdir -p bin
	cat >bin/lava-test-case <<-'EOT'
		#!/bin/sh
		echo "$*" >>results
	EOT
	chmod +x bin/lava-test-case
	rm -f results
	PATH=$PWD/bin:$PATH "$top/selftests/tap-to-lava" <"$1" >copy
	cmp "$1" copy
}

@test "tap-to-lava: pass, fail and skip, with and without cases" {
	cat >tap <<-'EOT'
		TAP version 13
		# host.kernel: 6.12.1
		1..4
		# selftests: kvm: a_test
		# 1..4
		# ok 1 create.id_1.kernel_irqchip
		# not ok 2 create.id_2 # exit=254
		# ok 3 avic.x2apic # SKIP kvm_amd.avic=0
		# # Totals: pass:1 fail:1 skip:1 error:0
		not ok 1 selftests: kvm: a_test # exit=1
		# selftests: kvm: b_test
		ok 2 selftests: kvm: b_test
		# selftests: kvm: c_test
		# 1..0 # SKIP no AVIC
		ok 3 selftests: kvm: c_test # SKIP
		# selftests: kvm: d_test
		# ok 1 one
		not ok 4 selftests: kvm: d_test # TIMEOUT 60 seconds
		# summary: 4 tests
	EOT
	lava tap
	diff results - <<-'EOT'
		a_test.create.id_1.kernel_irqchip --result pass
		a_test.create.id_2 --result fail
		a_test.avic.x2apic --result skip
		b_test --result pass
		c_test --result skip
		d_test.one --result pass
		d_test.exit --result fail
		kernel-log --result pass
	EOT
}

@test "tap-to-lava: a machine that dies, a kernel that warns" {
	printf '%s\n' 'TAP version 13' '# selftests: kvm: a_test' '# ok 1 one' >tap
	lava tap
	diff results - <<-'EOT'
		a_test.one --result pass
		a_test.exit --result fail
		kernel-log --result fail
	EOT
	printf '%s\n' 'TAP version 13' '# kernel log: WARNING: CPU: 0' '# summary: 0 tests' >tap
	lava tap
	diff results - <<<'kernel-log --result fail'
}

@test "tap-to-lava: not in LAVA's test shell" {
	run "$top/selftests/tap-to-lava" </dev/null
	one_error
}

@test "the LAVA job is valid by LAVA's schema" {
	/usr/bin/python3 -c 'import lava_common.schemas, yaml' 2>/dev/null ||
		skip "Debian's package lava-common is not installed"
	/usr/bin/python3 -c 'import lava_common.schemas, sys, yaml
lava_common.schemas.validate(yaml.safe_load(open(sys.argv[1])))' "$top/Documentation/labs/lava-job.yaml"
}
