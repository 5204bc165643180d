/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Helpers for tests of APIC virtualization, i.e. AVIC and APICv: whether or not
 * it's enabled, and active, what it accelerates, and how to inhibit it.
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

/* The largest APIC IDs that AVIC, x2AVIC, and x2AVIC with the extension address. */
#define AVIC_MAX_ID		254
#define X2AVIC_MAX_ID		511
#define X2AVIC_EXT_MAX_ID	4095

/* Is APIC virtualization enabled in KVM, i.e. active unless it's inhibited? */
bool is_apicv_enabled(void);
bool is_avic_enabled(void);

/* Does KVM accelerate accesses to the APIC in x2APIC, or else xAPIC, mode? */
bool is_apicv_enabled_in(bool x2apic);

/* The largest APIC ID that the CPU's AVIC can address in the given mode. */
u32 avic_max_id(bool x2apic);

/* Like vm_create(), with an I/O APIC and a PIC of userspace's, i.e. with none. */
struct kvm_vm *vm_create_with_split_irqchip(u32 nr_runnable_vcpus);

/* Run a vCPU until its guest calls GUEST_SYNC(), and return the argument. */
u64 vcpu_run_to_sync(struct kvm_vcpu *vcpu);

/* Likewise, as a thread. */
void *vcpu_thread_to_sync(void *vcpu);

/*
 * What a vCPU's guest has cost so far: VM-Exits, without those that interrupts of
 * the host caused, and instructions that KVM emulated.  Exact while the vCPU isn't
 * in KVM_RUN; if it is, an interrupt may be counted later than its exit.
 */
struct apicv_cost {
	u64 exits;
	u64 emulations;
};

struct apicv_cost vcpu_get_cost(struct kvm_vcpu *vcpu);

static inline u64 vcpu_nr_guest_exits(struct kvm_vcpu *vcpu)
{
	return vcpu_get_cost(vcpu).exits;
}

/*
 * Run a vCPU until its next sync, and return what that took, without the exit of
 * the sync itself.
 */
struct apicv_cost vcpu_measure_to_sync(struct kvm_vcpu *vcpu);

/*
 * Assert that the guest causes @exits VM-Exits, exactly, between any two syncs.
 * Runs to two syncs at least, the first of which doesn't count, as KVM may have to
 * (de)activate APICv, or to map pages.  The host may add VM-Exits, e.g. for NMIs,
 * but doesn't do so time and again.
 */
void vcpu_assert_exits(struct kvm_vcpu *vcpu, u64 want, const char *what);

/* The least number of VM-Exits between two syncs, of a few tries to see @want. */
u64 vcpu_nr_exits_to_sync(struct kvm_vcpu *vcpu, u64 want);

/*
 * Writes of the TPR exit if and only if APIC virtualization isn't active for the
 * vCPU.  Have the guest make this many of them, between any two syncs.
 */
#define NR_TPR_WRITES	100

/* Is it active now?  Needs a guest that writes the TPR repeatedly, see above. */
bool vcpu_is_apicv_active(struct kvm_vcpu *vcpu);

void vcpu_assert_apicv(struct kvm_vcpu *vcpu, bool active);

/*
 * The cheap ways to inhibit APICv for all of a VM by way of a vCPU that never runs,
 * and is in xAPIC mode, and to lift the inhibit again.  Both may be repeated.
 */
struct apicv_inhibit {
	const char *name;
	bool (*is_supported)(struct kvm_vm *vm);
	void (*set)(struct kvm_vcpu *bystander, bool inhibit);
};

#define NR_APICV_INHIBITS	4
extern const struct apicv_inhibit apicv_inhibits[NR_APICV_INHIBITS];

/* Have KVM block interrupts of the vCPU for the sake of a debugger, the cheapest. */
void set_apicv_inhibit(struct kvm_vcpu *bystander, bool inhibit);

/* Registers of the local APIC, as KVM_GET_LAPIC and KVM_SET_LAPIC have them. */
u32 vcpu_get_lapic_reg(struct kvm_vcpu *vcpu, u32 reg);
void vcpu_set_lapic_reg(struct kvm_vcpu *vcpu, u32 reg, u32 val);

/* Is the vector's bit set?  @reg is APIC_IRR, APIC_ISR, or APIC_TMR. */
bool vcpu_test_lapic_vector(struct kvm_vcpu *vcpu, u32 reg, u8 vector);

/* What live migration does with the state of a vCPU that concerns the APIC. */
void vcpu_save_and_restore_apic(struct kvm_vcpu *vcpu);

/* The rest is for guests: all of it works in the given mode, without VM-Exits. */
static inline void apic_enable(bool x2apic)
{
	if (x2apic)
		x2apic_enable();
	else
		xapic_enable();
}

static inline u64 apic_read_reg(bool x2apic, u32 reg)
{
	return x2apic ? x2apic_read_reg(reg) : xapic_read_reg(reg);
}

static inline void apic_write_reg(bool x2apic, u32 reg, u64 val)
{
	if (x2apic)
		x2apic_write_reg(reg, val);
	else
		xapic_write_reg(reg, val);
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

static inline void apic_send_self_ipi(bool x2apic, u8 vector)
{
	apic_send_ipi(x2apic, 0, APIC_DEST_SELF | APIC_DM_FIXED | vector);
}

static inline void apic_eoi(bool x2apic)
{
	apic_write_reg(x2apic, APIC_EOI, 0);
}

static inline bool apic_test_vector(bool x2apic, u32 reg, u8 vector)
{
	return apic_read_reg(x2apic, reg + APIC_VECTOR_TO_REG_OFFSET(vector)) &
	       BIT(APIC_VECTOR_TO_BIT_NUMBER(vector));
}

static inline void apic_write_tpr_repeatedly(bool x2apic)
{
	int i;

	for (i = 0; i < NR_TPR_WRITES; i++)
		apic_write_reg(x2apic, APIC_TASKPRI, 0);
}

#endif /* SELFTEST_KVM_APICV_H */
