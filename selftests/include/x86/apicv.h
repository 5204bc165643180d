/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Helpers for tests of APIC virtualization, i.e. AVIC and APICv: whether or not
 * it's enabled, what it accelerates, and how to inhibit it.
 */
#ifndef SELFTEST_KVM_APICV_H
#define SELFTEST_KVM_APICV_H

#include <unistd.h>

#include "apic.h"
#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"

/* CPUID 8000_000A, of the host: KVM doesn't advertise AVIC to guests. */
#define X86_FEATURE_HOST_X2AVIC		KVM_X86_CPU_FEATURE(0x8000000A, 0, EDX, 18)
#define X86_FEATURE_HOST_X2AVIC_EXT	KVM_X86_CPU_FEATURE(0x8000000A, 0, ECX, 6)

#define	APIC_RRR	0xC0
#define	APIC_LDR	0xD0
#define	APIC_DFR	0xE0
#define		APIC_DFR_CLUSTER	0x0FFFFFFFu
#define	APIC_ESR	0x280
#define	APIC_LVTTHMR	0x330
#define	APIC_LVTPC	0x340
#define	APIC_LVT0	0x350
#define	APIC_LVT1	0x360
#define	APIC_LVTERR	0x370

/* Is APIC virtualization enabled in KVM, i.e. active unless it's inhibited? */
static inline bool is_apicv_enabled(void)
{
	if (!access("/sys/module/kvm_amd/parameters/avic", R_OK))
		return kvm_get_module_param_bool("kvm_amd", "avic");

	return !access("/sys/module/kvm_intel/parameters/enable_apicv", R_OK) &&
	       kvm_get_module_param_bool("kvm_intel", "enable_apicv");
}

/* Does KVM accelerate accesses to the APIC in x2APIC, or else xAPIC, mode? */
static inline bool is_apicv_enabled_in(bool x2apic)
{
	if (x2apic && !access("/sys/module/kvm_amd", F_OK) &&
	    !this_cpu_has(X86_FEATURE_HOST_X2AVIC))
		return false;

	return is_apicv_enabled();
}

/*
 * Inhibit APICv for the VM of a vCPU, or lift the inhibit, by having KVM block
 * interrupts of the vCPU for the sake of a debugger.  Use a vCPU that never runs.
 */
static inline void set_apicv_inhibit(struct kvm_vcpu *vcpu, bool inhibit)
{
	struct kvm_guest_debug debug = {
		.control = inhibit ? KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_BLOCKIRQ : 0,
	};

	vcpu_guest_debug_set(vcpu, &debug);
}

/*
 * The number of VM-Exits of a vCPU that weren't caused by interrupts of the host.
 * Exact only while the vCPU isn't running, as it's the difference of two stats.
 */
static inline u64 vcpu_nr_guest_exits(struct kvm_vcpu *vcpu)
{
	return vcpu_get_stat(vcpu, exits) - vcpu_get_stat(vcpu, irq_exits);
}

/* Run a vCPU until its guest calls GUEST_SYNC(), and return the argument. */
static inline u64 vcpu_run_to_sync(struct kvm_vcpu *vcpu)
{
	struct ucall uc;

	vcpu_run(vcpu);
	if (get_ucall(vcpu, &uc) == UCALL_ABORT)
		REPORT_GUEST_ASSERT(uc);
	TEST_ASSERT_EQ(uc.cmd, UCALL_SYNC);

	return uc.args[1];
}

/*
 * Writes of the TPR exit if and only if APIC virtualization isn't active for the
 * vCPU.  Have the guest make this many of them, between any two syncs.
 */
#define NR_TPR_WRITES	100

static inline void apic_write_tpr_repeatedly(bool x2apic)
{
	int i;

	for (i = 0; i < NR_TPR_WRITES; i++) {
		if (x2apic)
			x2apic_write_reg(APIC_TASKPRI, 0);
		else
			xapic_write_reg(APIC_TASKPRI, 0);
	}
}

static inline void vcpu_assert_apicv(struct kvm_vcpu *vcpu, bool active)
{
	u64 nr;

	/* Leave out what is done once, e.g. activating APICv. */
	vcpu_run_to_sync(vcpu);

	nr = vcpu_nr_guest_exits(vcpu);
	vcpu_run_to_sync(vcpu);
	nr = vcpu_nr_guest_exits(vcpu) - nr;

	/* The sync itself exits, too. */
	TEST_ASSERT(nr == (active ? 1 : NR_TPR_WRITES + 1),
		    "vCPU %u: APICv should be %s, but %u writes of the TPR took %lu VM-Exits",
		    vcpu->id, active ? "active" : "inactive", NR_TPR_WRITES,
		    (unsigned long)nr - 1);
}

/* What live migration does with the state of a vCPU that concerns the APIC. */
static inline void vcpu_save_and_restore_apic(struct kvm_vcpu *vcpu)
{
	struct kvm_lapic_state lapic;
	struct kvm_vcpu_events events;
	struct kvm_sregs sregs;

	vcpu_ioctl(vcpu, KVM_GET_LAPIC, &lapic);
	vcpu_sregs_get(vcpu, &sregs);
	vcpu_events_get(vcpu, &events);

	vcpu_sregs_set(vcpu, &sregs);
	vcpu_ioctl(vcpu, KVM_SET_LAPIC, &lapic);
	vcpu_events_set(vcpu, &events);
}

/* Access a register in the given mode, return the vector of the fault, if any. */
static inline u8 apic_read_reg_safe(bool x2apic, u32 reg, u64 *val)
{
	if (x2apic)
		return rdmsr_safe(APIC_BASE_MSR + (reg >> 4), val);

	*val = xapic_read_reg(reg);
	return 0;
}

static inline u8 apic_write_reg_safe(bool x2apic, u32 reg, u64 val)
{
	if (x2apic)
		return wrmsr_safe(APIC_BASE_MSR + (reg >> 4), val);

	xapic_write_reg(reg, val);
	return 0;
}

/* Send an IPI; @dest is an APIC ID, or a logical destination. */
static inline void apic_send_ipi(bool x2apic, u32 dest, u32 icr)
{
	if (x2apic) {
		x2apic_write_reg(APIC_ICR, (u64)dest << 32 | icr);
	} else {
		xapic_write_reg(APIC_ICR2, SET_APIC_DEST_FIELD(dest));
		xapic_write_reg(APIC_ICR, icr);
	}
}

#endif /* SELFTEST_KVM_APICV_H */
