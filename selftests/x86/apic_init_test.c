// SPDX-License-Identifier: GPL-2.0-only
/*
 * apic_init_test
 *
 * Test that INIT resets all registers of the local APIC, but for its ID and its
 * mode, in xAPIC and in x2APIC mode, with APICv active and inhibited.
 */
#include <string.h>

#include "kvm_test_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "apicv.h"

#define ICR_DEST	0x81	/* no vCPU has this ID */
#define VECTOR		0x40

static bool x2apic;

/* Set whatever the guest can, have interrupts pending and in service, and report ICR. */
static void guest_code(void)
{
	static const u32 regs[] = {
		APIC_TASKPRI, APIC_LVTTHMR, APIC_LVTPC, APIC_LVT0, APIC_LVT1, APIC_LVTERR,
		APIC_TMICT, APIC_TDCR,
	};
	u64 icr, icr2 = 0;
	int i;

	x2apic ? x2apic_enable() : xapic_enable();

	for (i = 0; i < ARRAY_SIZE(regs); i++) {
		/* A vector that's valid, masked, and a divisor and a count as well. */
		if (x2apic)
			x2apic_write_reg(regs[i], regs[i] == APIC_TASKPRI ? 0x1b : 0x1004b);
		else
			xapic_write_reg(regs[i], 0x1004b);
	}
	if (!x2apic) {
		xapic_write_reg(APIC_DFR, APIC_DFR_CLUSTER);
		xapic_write_reg(APIC_LDR, 0x21000000);
	}

	apic_send_ipi(x2apic, 0, APIC_DEST_SELF | APIC_DM_FIXED | VECTOR);
	sti_nop();
	cli();
	apic_send_ipi(x2apic, 0, APIC_DEST_SELF | APIC_DM_FIXED | VECTOR);
	apic_send_ipi(x2apic, ICR_DEST, APIC_DM_FIXED | VECTOR);

	for (;;) {
		apic_read_reg_safe(x2apic, APIC_ICR, &icr);
		if (!x2apic)
			apic_read_reg_safe(x2apic, APIC_ICR2, &icr2);
		GUEST_SYNC(icr | icr2 << 32);
	}
}

static void guest_sender_code(u32 target)
{
	x2apic ? x2apic_enable() : xapic_enable();
	apic_send_ipi(x2apic, target, APIC_DM_INIT | APIC_INT_ASSERT);
	GUEST_SYNC(0);
}

static void guest_irq_handler(struct ex_regs *regs)
{
	/* Leave the interrupt in service. */
}

static u32 expected_reg(u32 reg, const struct kvm_lapic_state *before)
{
	switch (reg) {
	case APIC_ID:
	case APIC_LVR:
		return *(u32 *)&before->regs[reg];
	case APIC_LDR:
		/* Read-only in x2APIC mode. */
		return x2apic ? *(u32 *)&before->regs[reg] : 0;
	case APIC_DFR:
		return ~0u;
	case APIC_SPIV:
		return 0xff;
	case APIC_LVTT:
	case APIC_LVTTHMR:
	case APIC_LVTPC:
	case APIC_LVT0:
	case APIC_LVT1:
	case APIC_LVTERR:
	case APIC_LVTCMCI:
		return *(u32 *)&before->regs[reg] ? APIC_LVT_MASKED : 0;
	default:
		return 0;
	}
}

FIXTURE(init) {
	struct kvm_vm *vm;
	struct kvm_vcpu *sender, *target;
};

FIXTURE_VARIANT(init) {
	bool x2apic;
	bool inhibited;
};

FIXTURE_VARIANT_ADD(init, xapic_active) { };
FIXTURE_VARIANT_ADD(init, xapic_inhibited) { .inhibited = true };
FIXTURE_VARIANT_ADD(init, x2apic_active) { .x2apic = true };
FIXTURE_VARIANT_ADD(init, x2apic_inhibited) { .x2apic = true, .inhibited = true };

FIXTURE_SETUP(init)
{
	self->vm = vm_create(2);
	virt_pg_map(self->vm, APIC_DEFAULT_GPA, APIC_DEFAULT_GPA);
	vm_install_exception_handler(self->vm, VECTOR, guest_irq_handler);

	/* INIT doesn't have the first vCPU, which is the BSP, wait for a SIPI. */
	self->sender = vm_vcpu_add(self->vm, 0, guest_sender_code);
	self->target = vm_vcpu_add(self->vm, 1, guest_code);
	vcpu_args_set(self->sender, 1, (u64)self->target->id);

	x2apic = variant->x2apic;
	sync_global_to_guest(self->vm, x2apic);
	set_apicv_inhibit(self->sender, variant->inhibited);
}

FIXTURE_TEARDOWN(init)
{
	kvm_vm_free(self->vm);
}

TEST_F(init, resets_registers)
{
	const u64 icr = (u64)ICR_DEST << (x2apic ? 32 : 56) | APIC_DM_FIXED | VECTOR;
	struct kvm_lapic_state before, after;
	struct kvm_mp_state mp_state;
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	u32 reg;

	TEST_ASSERT_EQ(vcpu_run_to_sync(self->target), icr);
	vcpu_ioctl(self->target, KVM_GET_LAPIC, &before);
	vcpu_sregs_get(self->target, &sregs);
	vcpu_regs_get(self->target, &regs);

	/* KVM acts on INIT when it's asked for the state. */
	vcpu_run_to_sync(self->sender);
	vcpu_mp_state_get(self->target, &mp_state);
	TEST_ASSERT_EQ(mp_state.mp_state, KVM_MP_STATE_INIT_RECEIVED);

	vcpu_ioctl(self->target, KVM_GET_LAPIC, &after);
	for (reg = 0; reg < KVM_APIC_REG_SIZE; reg += 16) {
		u32 want = expected_reg(reg, &before), got = *(u32 *)&after.regs[reg];

		TEST_ASSERT(want == got, "Register 0x%x: want 0x%x after INIT, got 0x%x",
			    reg, want, got);
	}

	/* The guest must agree, let it go on where it was. */
	vcpu_sregs_set(self->target, &sregs);
	vcpu_regs_set(self->target, &regs);
	mp_state.mp_state = KVM_MP_STATE_RUNNABLE;
	vcpu_mp_state_set(self->target, &mp_state);
	TEST_ASSERT_EQ(vcpu_run_to_sync(self->target), 0);
}

int main(int argc, char *argv[])
{
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_IRQCHIP));

	return test_harness_run(argc, argv);
}
