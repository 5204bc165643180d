// SPDX-License-Identifier: GPL-2.0-only
/*
 * avic_timer_test
 *
 * Test that the local APIC's timer fires in each of its modes, exactly as often as it
 * should, with the vCPU busy and halted, and that its current count counts down, with
 * AVIC, which leaves the timer to KVM, active and inhibited.
 */
#include "kvm_test_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "apicv.h"

#define VECTOR		0x51
#define NR_IRQS		50

static bool x2apic;
static u32 nr_irqs;

static void guest_irq_handler(struct ex_regs *regs)
{
	nr_irqs++;
	apic_eoi(x2apic);
}

/* With interrupts disabled, wait for the next one. */
static void guest_wait_for_irq(u32 nr, bool halt)
{
	while (READ_ONCE(nr_irqs) < nr) {
		if (halt)
			safe_halt();
		else
			sti_nop();
		cli();
	}
}

static void guest_oneshot(void)
{
	u32 i;

	apic_write_reg(x2apic, APIC_LVTT, APIC_LVT_TIMER_ONESHOT | VECTOR);
	for (i = 1; i <= NR_IRQS; i++) {
		GUEST_ASSERT_EQ(nr_irqs, i - 1);
		apic_write_reg(x2apic, APIC_TMICT, 100000);
		guest_wait_for_irq(i, i % 2);
		GUEST_ASSERT_EQ(nr_irqs, i);
		GUEST_ASSERT_EQ(apic_read_reg(x2apic, APIC_TMCCT), 0);
	}
}

/* The period may pass more than once while the vCPU isn't running. */
static void guest_periodic(void)
{
	u32 i;

	apic_write_reg(x2apic, APIC_LVTT, APIC_LVT_TIMER_PERIODIC | VECTOR);
	apic_write_reg(x2apic, APIC_TMICT, 2000000);
	for (i = 1; i <= 10; i++)
		guest_wait_for_irq(i, i % 2);
	apic_write_reg(x2apic, APIC_TMICT, 0);
}

static void guest_tsc_deadline(void)
{
	const u32 lvtt = APIC_LVT_TIMER_TSCDEADLINE | VECTOR;
	u32 i;

	apic_write_reg(x2apic, APIC_LVTT, lvtt);
	GUEST_ASSERT_EQ(apic_read_reg(x2apic, APIC_LVTT), lvtt);
	for (i = 1; i <= NR_IRQS; i++) {
		GUEST_ASSERT_EQ(nr_irqs, i - 1);
		wrmsr(MSR_IA32_TSC_DEADLINE, rdtsc() + 100000);
		guest_wait_for_irq(i, i % 2);
		GUEST_ASSERT_EQ(nr_irqs, i);
		GUEST_ASSERT_EQ(rdmsr(MSR_IA32_TSC_DEADLINE), 0);
	}
}

static void guest_count_down(void)
{
	const u32 initial = 0x7fffffff;
	u32 last = initial, now;
	int i;

	apic_write_reg(x2apic, APIC_LVTT, APIC_LVT_MASKED | VECTOR);
	GUEST_ASSERT_EQ(apic_read_reg(x2apic, APIC_TMCCT), 0);

	apic_write_reg(x2apic, APIC_TMICT, initial);
	for (i = 0; i < NR_IRQS; i++) {
		while ((now = apic_read_reg(x2apic, APIC_TMCCT)) == last)
			cpu_relax();
		GUEST_ASSERT(now < last && now);
		last = now;
	}

	apic_write_reg(x2apic, APIC_TMICT, 0);
	GUEST_ASSERT_EQ(apic_read_reg(x2apic, APIC_TMCCT), 0);
}

static void guest_code(void (*fn)(void))
{
	cli();
	apic_enable(x2apic);
	apic_write_reg(x2apic, APIC_TDCR, 0xb);
	fn();
	GUEST_SYNC(0);
}

FIXTURE(timer) {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
};

FIXTURE_VARIANT(timer) {
	bool x2apic;
	bool inhibited;
};

FIXTURE_VARIANT_ADD(timer, xapic_active) { };
FIXTURE_VARIANT_ADD(timer, xapic_inhibited) { .inhibited = true };
FIXTURE_VARIANT_ADD(timer, x2apic_active) { .x2apic = true };
FIXTURE_VARIANT_ADD(timer, x2apic_inhibited) { .x2apic = true, .inhibited = true };

FIXTURE_SETUP(timer)
{
	self->vm = vm_create(2);
	virt_pg_map(self->vm, APIC_DEFAULT_GPA, APIC_DEFAULT_GPA);
	vm_install_exception_handler(self->vm, VECTOR, guest_irq_handler);
	self->vcpu = vm_vcpu_add(self->vm, 0, guest_code);
	vcpu_set_cpuid_feature(self->vcpu, X86_FEATURE_TSC_DEADLINE_TIMER);
	set_apicv_inhibit(vm_vcpu_add(self->vm, 1, guest_code), variant->inhibited);

	x2apic = variant->x2apic;
	sync_global_to_guest(self->vm, x2apic);
}

FIXTURE_TEARDOWN(timer)
{
	kvm_vm_free(self->vm);
}

static void test_timer(struct kvm_vcpu *vcpu, void (*fn)(void))
{
	vcpu_args_set(vcpu, 1, fn);
	vcpu_run_to_sync(vcpu);
}

TEST_F(timer, oneshot)
{
	test_timer(self->vcpu, guest_oneshot);
}

TEST_F(timer, periodic)
{
	test_timer(self->vcpu, guest_periodic);
}

TEST_F(timer, tsc_deadline)
{
	test_timer(self->vcpu, guest_tsc_deadline);
}

TEST_F(timer, count_down)
{
	test_timer(self->vcpu, guest_count_down);
}

int main(int argc, char *argv[])
{
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_TSC_DEADLINE_TIMER));

	return test_harness_run(argc, argv);
}
