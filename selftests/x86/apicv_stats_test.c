// SPDX-License-Identifier: GPL-2.0-only
/*
 * apicv_stats_test
 *
 * Test the binary stats of a vCPU that are about APICv (AVIC on AMD): whether it's
 * active, and how many IPIs of the guest caused a VM-Exit despite it.
 */
#include "kvm_test_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "apicv.h"

#define IRQ_VECTOR	0x41
#define NR_IRQS		20

/* What the guest does with each GUEST_SYNC() of userspace's making. */
enum { IDLE, SEND_TO_1, SEND_TO_SELF };

static int todo;

static bool x2apic;

static void guest_irq_handler(struct ex_regs *regs)
{
	if (x2apic)
		x2apic_write_reg(APIC_EOI, 0);
	else
		xapic_write_reg(APIC_EOI, 0);
}

static void guest_enable_apic(void)
{
	if (x2apic)
		x2apic_enable();
	else
		xapic_enable();
}

static void guest_code(void)
{
	int i;

	guest_enable_apic();
	sti();

	for (;;) {
		GUEST_SYNC(0);

		for (i = 0; i < NR_IRQS && READ_ONCE(todo) != IDLE; i++) {
			if (READ_ONCE(todo) == SEND_TO_1)
				apic_send_ipi(x2apic, 1, APIC_DM_FIXED | IRQ_VECTOR);
			else
				apic_send_ipi(x2apic, 0,
					      APIC_DEST_SELF | APIC_DM_FIXED | IRQ_VECTOR);
		}
	}
}

/* A target that's there, but doesn't run. */
static void guest_code_target(void)
{
	guest_enable_apic();
	GUEST_SYNC(0);
}

FIXTURE(stats) {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	struct kvm_vcpu *target;
};

FIXTURE_VARIANT(stats) {
	bool x2apic;
};

FIXTURE_VARIANT_ADD(stats, xapic) { };
FIXTURE_VARIANT_ADD(stats, x2apic) { .x2apic = true };

FIXTURE_SETUP(stats)
{
	self->vm = vm_create(2);
	self->vcpu = vm_vcpu_add(self->vm, 0, guest_code);
	self->target = vm_vcpu_add(self->vm, 1, guest_code_target);
	virt_pg_map(self->vm, APIC_DEFAULT_GPA, APIC_DEFAULT_GPA);
	vm_install_exception_handler(self->vm, IRQ_VECTOR, guest_irq_handler);

	x2apic = variant->x2apic;
	sync_global_to_guest(self->vm, x2apic);
}

FIXTURE_TEARDOWN(stats)
{
	if (self->vm)
		kvm_vm_free(self->vm);
}

static void tell_guest(struct kvm_vm *vm, int what)
{
	todo = what;
	sync_global_to_guest(vm, todo);
}

static void expect_active(struct kvm_vcpu *vcpu, bool active)
{
	TEST_ASSERT_EQ(vcpu_get_stat(vcpu, apicv_active), active);
}

TEST_F(stats, active)
{
	if (!vcpu_has_stat(self->vcpu, apicv_active))
		SKIP(return, "KVM doesn't have apicv_active");

	/* Not known yet. */
	expect_active(self->vcpu, false);

	vcpu_run_to_sync(self->vcpu);
	expect_active(self->vcpu, is_apicv_enabled());

	set_apicv_inhibit(self->target, true);
	vcpu_run_to_sync(self->vcpu);
	expect_active(self->vcpu, false);

	set_apicv_inhibit(self->target, false);
	vcpu_run_to_sync(self->vcpu);
	expect_active(self->vcpu, is_apicv_enabled());
}

static void test_unaccelerated(struct kvm_vm *vm, struct kvm_vcpu *vcpu, int what,
			       bool unaccelerated)
{
	u64 nr_unaccelerated;

	tell_guest(vm, IDLE);
	vcpu_run_to_sync(vcpu);
	nr_unaccelerated = vcpu_get_stat(vcpu, apicv_unaccelerated_inj);

	tell_guest(vm, what);
	vcpu_run_to_sync(vcpu);
	TEST_ASSERT_EQ(vcpu_get_stat(vcpu, apicv_unaccelerated_inj) - nr_unaccelerated,
		       unaccelerated ? NR_IRQS : 0);
}

/* Each IPI needs KVM, to wake its target. */
TEST_F(stats, unaccelerated_inj_if_target_is_not_running)
{
	if (!vcpu_has_stat(self->vcpu, apicv_unaccelerated_inj))
		SKIP(return, "KVM doesn't have apicv_unaccelerated_inj");

	/* VMX can post interrupts to vCPUs that aren't running. */
	if (access("/sys/module/kvm_amd", F_OK))
		SKIP(return, "kvm_amd isn't loaded");

	vcpu_run_to_sync(self->target);
	vcpu_run_to_sync(self->vcpu);
	test_unaccelerated(self->vm, self->vcpu, SEND_TO_1, is_apicv_enabled());

	set_apicv_inhibit(self->target, true);
	test_unaccelerated(self->vm, self->vcpu, SEND_TO_1, false);
}

/*
 * None needs KVM, as the CPU doesn't look up whether or not the vCPU itself runs, unless it
 * can't virtualize IPIs in the vCPU's mode.
 */
TEST_F(stats, unaccelerated_inj_of_self_ipis)
{
	bool unaccelerated;

	if (!vcpu_has_stat(self->vcpu, apicv_unaccelerated_inj))
		SKIP(return, "KVM doesn't have apicv_unaccelerated_inj");

	if (access("/sys/module/kvm_amd", F_OK))
		SKIP(return, "kvm_amd isn't loaded");

	unaccelerated = variant->x2apic && !this_cpu_has(X86_FEATURE_HOST_X2AVIC);

	vcpu_run_to_sync(self->vcpu);
	test_unaccelerated(self->vm, self->vcpu, SEND_TO_SELF,
			   is_apicv_enabled() && unaccelerated);
}

TEST_HARNESS_MAIN
