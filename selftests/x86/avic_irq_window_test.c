// SPDX-License-Identifier: GPL-2.0-only
/*
 * avic_irq_window_test
 *
 * Test that each of two vCPUs gets an ExtINT as soon as it enables interrupts.
 * AVIC can't deliver an ExtINT, so KVM inhibits AVIC for the VM while it waits for a
 * vCPU to open its interrupt window, and must not lift the inhibit while it still
 * waits for another vCPU.
 */
#include <pthread.h>

#include "kvm_test_harness.h"
#include "kvm_util.h"
#include "apicv.h"

#define NR_VCPUS	2
#define VECTOR		0x40

/* How long to wait for a vCPU to make any progress, in milliseconds. */
#define HANG_TIMEOUT	5000

static struct {
	bool x2apic;
	u32 nr_ready;
	bool go[NR_VCPUS];
	u32 nr_irqs[NR_VCPUS];
} shared;

static void guest_irq_handler(struct ex_regs *regs)
{
	/* An ExtINT wants no EOI of the local APIC. */
	shared.nr_irqs[rdmsr(MSR_TSC_AUX)]++;
}

static void guest_code(u32 self)
{
	apic_enable(shared.x2apic);
	apic_write_reg(shared.x2apic, APIC_LVT0, APIC_DM_EXTINT);
	cli();
	GUEST_SYNC(0);

	/* Don't exit from here on, i.e. don't give KVM another chance to look. */
	__atomic_fetch_add(&shared.nr_ready, 1, __ATOMIC_SEQ_CST);
	while (!READ_ONCE(shared.go[self]))
		cpu_relax();

	GUEST_ASSERT_EQ(READ_ONCE(shared.nr_irqs[self]), 0);
	sti_nop();
	cli();
	GUEST_ASSERT_EQ(READ_ONCE(shared.nr_irqs[self]), 1);

	for (;;) {
		GUEST_SYNC(0);
		apic_write_tpr_repeatedly(shared.x2apic);
	}
}

FIXTURE(irq_window) {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpus[NR_VCPUS];
	pthread_t threads[NR_VCPUS];
	typeof(shared) *shared;
};

FIXTURE_VARIANT(irq_window) {
	bool x2apic;
};

FIXTURE_VARIANT_ADD(irq_window, xapic) { .x2apic = false };
FIXTURE_VARIANT_ADD(irq_window, x2apic) { .x2apic = true };

FIXTURE_SETUP(irq_window)
{
	u32 i;

	/* With a split irqchip, ExtINTs come from userspace. */
	self->vm = vm_create_with_split_irqchip(NR_VCPUS);
	virt_pg_map(self->vm, APIC_DEFAULT_GPA, APIC_DEFAULT_GPA);
	vm_install_exception_handler(self->vm, VECTOR, guest_irq_handler);
	self->shared = addr_gva2hva(self->vm, (u64)&shared);
	self->shared->x2apic = variant->x2apic;

	for (i = 0; i < NR_VCPUS; i++) {
		self->vcpus[i] = vm_vcpu_add(self->vm, i, guest_code);
		vcpu_args_set(self->vcpus[i], 1, (u64)i);
		vcpu_set_msr(self->vcpus[i], MSR_TSC_AUX, i);
		vcpu_run_to_sync(self->vcpus[i]);
	}
}

FIXTURE_TEARDOWN(irq_window)
{
	kvm_vm_free(self->vm);
}

TEST_F(irq_window, extint_for_each_vcpu)
{
	struct kvm_interrupt irq = { .irq = VECTOR };
	u32 i, ms;

	for (i = 0; i < NR_VCPUS; i++) {
		vcpu_ioctl(self->vcpus[i], KVM_INTERRUPT, &irq);
		pthread_create(&self->threads[i], NULL, vcpu_thread_to_sync, self->vcpus[i]);
	}

	for (ms = 0; READ_ONCE(self->shared->nr_ready) != NR_VCPUS; ms++) {
		TEST_ASSERT(ms < HANG_TIMEOUT, "The guest is stuck");
		usleep(1000);
	}

	/* The first vCPU is done with its window before the second one opens its own. */
	for (i = 0; i < NR_VCPUS; i++) {
		WRITE_ONCE(self->shared->go[i], true);
		pthread_join(self->threads[i], NULL);
	}

	for (i = 0; i < NR_VCPUS; i++)
		vcpu_assert_apicv(self->vcpus[i], is_apicv_enabled_in(variant->x2apic));
}

int main(int argc, char *argv[])
{
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_SPLIT_IRQCHIP));

	return test_harness_run(argc, argv);
}
