# SPDX-License-Identifier: GPL-2.0-only
#
# sed -E: less of what KVM-unit-tests do ten thousand times or more.  Real CPUs
# take seconds for it, two hypervisors on an emulated one an hour.

# NMIs, VMRUN, VMLOAD...: a hundredth.  Loops that wait for something are left
# alone.
/for \(i = 0; i < [0-9]+0000;/ s/00\b//
/while \(nmi_counter < [0-9]+0000\)/ s/00\b//
/#define LATENCY_RUNS [0-9]+0000$/ s/00\b//

# Timer interrupts, as well.  On a slow CPU two may come before the test looks,
# i.e. it may never see the number that it waits for.
s/\(isr_cnt == ([0-9]+00)00\)/(isr_cnt >= \1)/

# The guests of the tests of SVM have 4 GiB to look for an erratum of real CPUs,
# page after page.
s/^(qemu_params = .*)-m 4g/\1-m 512m/
