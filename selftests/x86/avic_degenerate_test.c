// SPDX-License-Identifier: GPL-2.0-only
/*
 * avic_degenerate_test
 *
 * Test that a vCPU whose local APIC is in a state that nobody sane uses doesn't get at
 * the vAPIC page, and doesn't harm the other vCPUs: they get their IPIs, with AVIC
 * active if the state doesn't inhibit it.
 */
#include <errno.h>

#include "kvm_test_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "apicv.h"

#define VECTOR		0x41

static bool x2apic;
static u64 nr_irqs;

static void guest_irq_handler(struct ex_regs *regs)
{
	nr_irqs++;
	apic_eoi(x2apic);
}

/* A sane vCPU: sends itself an IPI, and one to everybody, on each sync. */
static void guest_sane_code(void)
{
	apic_enable(x2apic);

	for (;;) {
		apic_write_tpr_repeatedly(x2apic);
		GUEST_SYNC(nr_irqs);

		apic_send_self_ipi(x2apic, VECTOR);
		sti_nop();
		apic_send_ipi(x2apic, 0, APIC_DEST_ALLINC | APIC_DM_FIXED | VECTOR);
		sti_nop();
		cli();
	}
}

/* The other one: does something to its APIC, and reads the page of xAPIC mode. */
static void guest_insane_code(void (*fn)(void))
{
	fn();
	for (;;)
		GUEST_SYNC(xapic_read_reg(APIC_LVR));
}

static void guest_nothing(void)
{
}

static void guest_software_disable(void)
{
	xapic_enable();
	xapic_write_reg(APIC_SPIV, 0xff);
}

static void guest_enter_x2apic_mode(void)
{
	x2apic_enable();
}

/* All of the registers that name the vCPU: none, all, and more than AVIC can hold. */
static void guest_odd_logical_ids(void)
{
	static const u32 ldrs[] = { 0, 0xff, 0x03, 0xf1, 0xf0, 0x10, 0x01 };
	static const u32 dfrs[] = { 0xffffffff, 0x0fffffff, 0x1fffffff, 0x7fffffff, 0x0fffffff };
	int i, j;

	xapic_enable();
	for (i = 0; i < ARRAY_SIZE(dfrs); i++) {
		for (j = 0; j < ARRAY_SIZE(ldrs); j++) {
			xapic_write_reg(APIC_LDR, ldrs[j] << 24);
			xapic_write_reg(APIC_DFR, dfrs[i]);
			xapic_write_reg(APIC_LDR, ldrs[(j + 1) % ARRAY_SIZE(ldrs)] << 24);
		}
	}
	xapic_write_reg(APIC_LDR, 0);
	xapic_write_reg(APIC_DFR, 0xffffffff);
}

FIXTURE(degenerate) {
	struct kvm_vm *vm;
	struct kvm_vcpu *sane;
	struct kvm_vcpu *insane;
	u32 lvr;
};

FIXTURE_VARIANT(degenerate) {
	bool x2apic;
};

FIXTURE_VARIANT_ADD(degenerate, with_xapic) { .x2apic = false };
FIXTURE_VARIANT_ADD(degenerate, with_x2apic) { .x2apic = true };

FIXTURE_SETUP(degenerate)
{
	self->vm = vm_create(2);
	virt_pg_map(self->vm, APIC_DEFAULT_GPA, APIC_DEFAULT_GPA);
	vm_install_exception_handler(self->vm, VECTOR, guest_irq_handler);
	self->sane = vm_vcpu_add(self->vm, 0, guest_sane_code);
	self->insane = vm_vcpu_add(self->vm, 1, guest_insane_code);
	x2apic = variant->x2apic;
	sync_global_to_guest(self->vm, x2apic);
	self->lvr = vcpu_get_lapic_reg(self->sane, APIC_LVR);
}

FIXTURE_TEARDOWN(degenerate)
{
	kvm_vm_free(self->vm);
}

static void test(struct kvm_vcpu *sane, struct kvm_vcpu *insane, void (*fn)(void), u32 lvr,
		 bool active)
{
	u64 nr;
	int i;

	vcpu_args_set(insane, 1, fn);
	TEST_ASSERT_EQ(vcpu_run_to_sync(sane), 0);

	for (i = 0; i < 3; i++) {
		TEST_ASSERT_EQ((u32)vcpu_run_to_sync(insane), lvr);
		nr = vcpu_run_to_sync(sane);
		TEST_ASSERT_EQ(nr, 2 * (i + 1));
	}
	if (vcpu_has_stat(sane, apicv_active))
		TEST_ASSERT_EQ(vcpu_get_stat(sane, apicv_active), active);
}

TEST_F(degenerate, reset_state)
{
	test(self->sane, self->insane, guest_nothing, self->lvr, is_apicv_enabled());
}

TEST_F(degenerate, software_disabled)
{
	test(self->sane, self->insane, guest_software_disable, self->lvr, is_apicv_enabled());
}

/*
 * There's nothing at the APIC's address any more.  With APICv it's the page that KVM has
 * put there for the sake of the other vCPUs: never that of an APIC, but memory.
 */
TEST_F(degenerate, hardware_disabled)
{
	test(self->sane, self->insane, apic_disable, is_apicv_enabled_in(variant->x2apic) ? 0 : -1u,
	     is_apicv_enabled());
}

TEST_F(degenerate, in_x2apic_mode)
{
	test(self->sane, self->insane, guest_enter_x2apic_mode,
	     is_apicv_enabled_in(true) ? 0 : -1u, is_apicv_enabled());
}

TEST_F(degenerate, odd_logical_ids)
{
	test(self->sane, self->insane, guest_odd_logical_ids, self->lvr, is_apicv_enabled());
}

/* Without the quirk, reads of the page in x2APIC mode go to userspace. */
TEST_F(degenerate, mmio_hole)
{
	struct kvm_run *run = self->insane->run;

	if (is_apicv_enabled_in(true))
		SKIP(return, "there's memory instead, see above");

	vm_enable_cap(self->vm, KVM_CAP_DISABLE_QUIRKS2, KVM_X86_QUIRK_LAPIC_MMIO_HOLE);
	vcpu_args_set(self->insane, 1, guest_enter_x2apic_mode);

	vcpu_run(self->insane);
	TEST_ASSERT_KVM_EXIT_REASON(self->insane, KVM_EXIT_MMIO);
	TEST_ASSERT_EQ(run->mmio.phys_addr, APIC_DEFAULT_GPA + APIC_LVR);
	*(u32 *)run->mmio.data = 0x12345678;
	TEST_ASSERT_EQ(vcpu_run_to_sync(self->insane), 0x12345678);
}

int main(int argc, char *argv[])
{
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_IRQCHIP));

	return test_harness_run(argc, argv);
}
