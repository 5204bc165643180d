// SPDX-License-Identifier: GPL-2.0-only
/*
 * apicv_stats_test
 *
 * Test the binary stats of a vCPU that are about APICv (AVIC on AMD): whether it's
 * active, how many interrupts KVM delivered by means of it, and how many interrupts
 * that the guest sent caused a VM-Exit despite it.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kvm_test_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "apic.h"

#define X86_FEATURE_HOST_X2AVIC		KVM_X86_CPU_FEATURE(0x8000000A, 0, EDX, 18)

#define IRQ_VECTOR	0x41
#define NR_IRQS		20

/* What the guest does with each GUEST_SYNC() of userspace's making. */
enum { IDLE, SEND_TO_1, SEND_TO_SELF };

static struct {
	int todo;
	u64 nr_irqs;
} shared;

static bool x2apic;

static void guest_irq_handler(struct ex_regs *regs)
{
	shared.nr_irqs++;
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

static void guest_send_irq(u32 dest, u32 shorthand)
{
	u32 icr = shorthand | APIC_INT_ASSERT | APIC_DM_FIXED | IRQ_VECTOR;

	if (x2apic) {
		x2apic_write_reg(APIC_ICR, (u64)dest << 32 | icr);
	} else {
		xapic_write_reg(APIC_ICR2, dest << 24);
		xapic_write_reg(APIC_ICR, icr);
	}
}

static void guest_code(void)
{
	int i;

	guest_enable_apic();
	sti();

	for (;;) {
		GUEST_SYNC(0);

		for (i = 0; i < NR_IRQS && READ_ONCE(shared.todo) != IDLE; i++) {
			if (READ_ONCE(shared.todo) == SEND_TO_1)
				guest_send_irq(1, 0);
			else
				guest_send_irq(0, APIC_DEST_SELF);
		}
	}
}

/* A target that's there, but doesn't run. */
static void guest_code_target(void)
{
	guest_enable_apic();
	GUEST_SYNC(0);
}

static bool is_apicv_enabled(void)
{
	if (!access("/sys/module/kvm_amd/parameters/avic", R_OK))
		return kvm_get_module_param_bool("kvm_amd", "avic");

	return !access("/sys/module/kvm_intel/parameters/enable_apicv", R_OK) &&
	       kvm_get_module_param_bool("kvm_intel", "enable_apicv");
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

/* Run the vCPU until its next sync. */
static void run_vcpu(struct kvm_vcpu *vcpu)
{
	struct ucall uc;

	vcpu_run(vcpu);
	switch (get_ucall(vcpu, &uc)) {
	case UCALL_SYNC:
		break;
	case UCALL_ABORT:
		REPORT_GUEST_ASSERT(uc);
		break;
	default:
		TEST_FAIL("Unexpected ucall %lu", (unsigned long)uc.cmd);
	}
}

static void tell_guest(struct kvm_vm *vm, int todo)
{
	shared.todo = todo;
	shared.nr_irqs = 0;
	sync_global_to_guest(vm, shared);
}

static u64 get_nr_irqs(struct kvm_vm *vm)
{
	sync_global_from_guest(vm, shared);
	return shared.nr_irqs;
}

/* Debugging any vCPU with its interrupts blocked inhibits APICv for the VM. */
static void set_inhibit(struct kvm_vcpu *vcpu, bool inhibit)
{
	struct kvm_guest_debug debug = {
		.control = inhibit ? KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_BLOCKIRQ : 0,
	};

	vcpu_guest_debug_set(vcpu, &debug);
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

	run_vcpu(self->vcpu);
	expect_active(self->vcpu, is_apicv_enabled());

	set_inhibit(self->target, true);
	run_vcpu(self->vcpu);
	expect_active(self->vcpu, false);

	set_inhibit(self->target, false);
	run_vcpu(self->vcpu);
	expect_active(self->vcpu, is_apicv_enabled());
}

/* Interrupts from outside of the guest, for a vCPU that's not running. */
static void test_deliveries(struct kvm_vm *vm, struct kvm_vcpu *vcpu, bool active)
{
	struct kvm_msi msi = { .address_lo = APIC_DEFAULT_GPA, .data = IRQ_VECTOR };
	u64 nr_deliveries;
	int i;

	tell_guest(vm, IDLE);
	run_vcpu(vcpu);
	nr_deliveries = vcpu_get_stat(vcpu, apicv_deliveries);

	for (i = 0; i < NR_IRQS; i++) {
		TEST_ASSERT_EQ(__vm_ioctl(vm, KVM_SIGNAL_MSI, &msi), 1);
		run_vcpu(vcpu);
	}

	TEST_ASSERT_EQ(get_nr_irqs(vm), NR_IRQS);
	TEST_ASSERT_EQ(vcpu_get_stat(vcpu, apicv_deliveries) - nr_deliveries,
		       active ? NR_IRQS : 0);
}

TEST_F(stats, deliveries)
{
	if (!vcpu_has_stat(self->vcpu, apicv_deliveries))
		SKIP(return, "KVM doesn't have apicv_deliveries");

	run_vcpu(self->vcpu);
	test_deliveries(self->vm, self->vcpu, is_apicv_enabled());

	set_inhibit(self->target, true);
	test_deliveries(self->vm, self->vcpu, false);
}

static void test_unaccelerated(struct kvm_vm *vm, struct kvm_vcpu *vcpu, int todo,
			       bool unaccelerated)
{
	u64 nr_unaccelerated;

	tell_guest(vm, IDLE);
	run_vcpu(vcpu);
	nr_unaccelerated = vcpu_get_stat(vcpu, apicv_unaccelerated_inj);

	tell_guest(vm, todo);
	run_vcpu(vcpu);
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

	run_vcpu(self->target);
	run_vcpu(self->vcpu);
	test_unaccelerated(self->vm, self->vcpu, SEND_TO_1, is_apicv_enabled());

	set_inhibit(self->target, true);
	test_unaccelerated(self->vm, self->vcpu, SEND_TO_1, false);
}

/* None needs KVM, unless the CPU can't virtualize IPIs in the vCPU's mode. */
TEST_F(stats, unaccelerated_inj_of_self_ipis)
{
	bool unaccelerated;

	if (!vcpu_has_stat(self->vcpu, apicv_unaccelerated_inj))
		SKIP(return, "KVM doesn't have apicv_unaccelerated_inj");

	if (access("/sys/module/kvm_amd", F_OK))
		SKIP(return, "kvm_amd isn't loaded");

	unaccelerated = !kvm_get_module_param_bool("kvm_amd", "enable_ipiv") ||
			(variant->x2apic && !this_cpu_has(X86_FEATURE_HOST_X2AVIC));

	run_vcpu(self->vcpu);
	test_unaccelerated(self->vm, self->vcpu, SEND_TO_SELF,
			   is_apicv_enabled() && unaccelerated);
}

TEST_HARNESS_MAIN
