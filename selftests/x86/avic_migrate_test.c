// SPDX-License-Identifier: GPL-2.0-only
/*
 * avic_migrate_test
 *
 * Test that interrupts which are pending, or in service, survive that a vCPU's state is
 * read from a VM with AVIC active and written to one with AVIC inhibited, as live
 * migration does, and in all other combinations; also if it's the same vCPU.
 */
#include "kvm_test_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "apicv.h"

#define NR_IRQS		4

static struct {
	bool x2apic;
	u8 vectors[NR_IRQS];
	u8 nr_irqs;
} shared;

static void guest_irq_handler(struct ex_regs *regs)
{
	GUEST_ASSERT(shared.nr_irqs < NR_IRQS);
	shared.vectors[shared.nr_irqs++] = regs->vector;
}

static void guest_take(u8 vector)
{
	u8 nr_irqs = shared.nr_irqs;

	sti_nop();
	cli();
	__GUEST_ASSERT(shared.nr_irqs == nr_irqs + !!vector, "wanted vector 0x%x, got %u IRQs",
		       vector, shared.nr_irqs - nr_irqs);
	if (vector)
		GUEST_ASSERT_EQ(shared.vectors[nr_irqs], vector);
}

static void guest_code(void)
{
	bool x2apic = shared.x2apic;
	u32 reg;

	cli();
	apic_enable(x2apic);
	apic_write_tpr_repeatedly(x2apic);
	GUEST_SYNC(0);
	apic_write_tpr_repeatedly(x2apic);
	GUEST_SYNC(0);

	/* Two in service, and pending ones that go before, in between, and after them. */
	apic_send_self_ipi(x2apic, 0x41);
	guest_take(0x41);
	apic_send_self_ipi(x2apic, 0x61);
	guest_take(0x61);
	apic_send_self_ipi(x2apic, 0x31);
	apic_send_self_ipi(x2apic, 0x71);
	GUEST_SYNC(0);

	guest_take(0x71);
	apic_eoi(x2apic);
	apic_eoi(x2apic);
	guest_take(0);
	GUEST_SYNC(0);

	apic_eoi(x2apic);
	guest_take(0x31);
	apic_eoi(x2apic);
	for (reg = 0; reg < 0x80; reg += 0x10) {
		GUEST_ASSERT_EQ(apic_read_reg(x2apic, APIC_ISR + reg), 0);
		GUEST_ASSERT_EQ(apic_read_reg(x2apic, APIC_IRR + reg), 0);
	}
	GUEST_SYNC(0);
}

/* There's no vCPU but this one, hence the PIT. */
static void set_inhibit(struct kvm_vcpu *vcpu, bool inhibit)
{
	const struct apicv_inhibit *pit = &apicv_inhibits[1];

	TEST_ASSERT(pit->is_supported(vcpu->vm), "KVM's PIT doesn't inhibit APICv");
	pit->set(vcpu, inhibit);
}

FIXTURE(migrate) {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
};

FIXTURE_VARIANT(migrate) {
	bool x2apic;
	bool inhibited_before;
	bool inhibited_after;
};

FIXTURE_VARIANT_ADD(migrate, xapic_active_to_active) { false, false, false };
FIXTURE_VARIANT_ADD(migrate, xapic_active_to_inhibited) { false, false, true };
FIXTURE_VARIANT_ADD(migrate, xapic_inhibited_to_active) { false, true, false };
FIXTURE_VARIANT_ADD(migrate, xapic_inhibited_to_inhibited) { false, true, true };
FIXTURE_VARIANT_ADD(migrate, x2apic_active_to_active) { true, false, false };
FIXTURE_VARIANT_ADD(migrate, x2apic_active_to_inhibited) { true, false, true };
FIXTURE_VARIANT_ADD(migrate, x2apic_inhibited_to_active) { true, true, false };
FIXTURE_VARIANT_ADD(migrate, x2apic_inhibited_to_inhibited) { true, true, true };

FIXTURE_SETUP(migrate)
{
	u64 exits;
	int i;

	self->vm = vm_create_with_one_vcpu(&self->vcpu, guest_code);
	virt_pg_map(self->vm, APIC_DEFAULT_GPA, APIC_DEFAULT_GPA);
	for (i = 0x31; i <= 0x71; i += 0x10)
		vm_install_exception_handler(self->vm, i, guest_irq_handler);

	shared.x2apic = variant->x2apic;
	sync_global_to_guest(self->vm, shared);
	set_inhibit(self->vcpu, variant->inhibited_before);

	vcpu_run_to_sync(self->vcpu);
	exits = vcpu_measure_to_sync(self->vcpu).exits;
	TEST_ASSERT_EQ(exits, variant->inhibited_before || !is_apicv_enabled_in(variant->x2apic) ?
			      NR_TPR_WRITES : 0);
	vcpu_run_to_sync(self->vcpu);
}

FIXTURE_TEARDOWN(migrate)
{
	kvm_vm_free(self->vm);
}

/* Once with the vector 0x71 pending, and once more with 0x31 only. */
TEST_F(migrate, to_other_vm)
{
	struct kvm_lapic_state lapic;
	struct kvm_x86_state *state;
	int i;

	for (i = 0; i < 2; i++) {
		/* The library leaves the APIC out. */
		state = vcpu_save_state(self->vcpu);
		vcpu_ioctl(self->vcpu, KVM_GET_LAPIC, &lapic);
		kvm_vm_release(self->vm);
		self->vcpu = vm_recreate_with_one_vcpu(self->vm);
		set_inhibit(self->vcpu, variant->inhibited_after);
		vcpu_load_state(self->vcpu, state);
		vcpu_ioctl(self->vcpu, KVM_SET_LAPIC, &lapic);
		kvm_x86_state_cleanup(state);
		vcpu_run_to_sync(self->vcpu);
	}
}

TEST_F(migrate, in_place)
{
	struct kvm_lapic_state lapic;
	int i;

	for (i = 0; i < 2; i++) {
		vcpu_ioctl(self->vcpu, KVM_GET_LAPIC, &lapic);
		set_inhibit(self->vcpu, variant->inhibited_after);
		vcpu_ioctl(self->vcpu, KVM_SET_LAPIC, &lapic);
		vcpu_run_to_sync(self->vcpu);
	}
}

int main(int argc, char *argv[])
{
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_IRQCHIP));

	return test_harness_run(argc, argv);
}
