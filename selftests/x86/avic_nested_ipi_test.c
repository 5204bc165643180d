// SPDX-License-Identifier: GPL-2.0-only
/*
 * avic_nested_ipi_test
 *
 * Test that IPIs reach a vCPU that runs L2, exactly once each, whether or not L2 is
 * halted, and L1 intercepts interrupts.  AVIC is inactive on that vCPU, but active on
 * the one that sends: it must not take the vCPU for one that runs.
 */
#include <pthread.h>

#include "kvm_test_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "apicv.h"
#include "svm_util.h"

#define VECTOR		0x41
#define NR_IPIS		100

#define TIMEOUT		20000	/* in units of 0.1 ms, or a little more */

static struct {
	bool x2apic, halt, intercept_intr;
	/* The host tells the sender when L2 is halted. */
	u64 nr_wanted, nr_granted;
	/* How often L2 has started to wait, interrupts, and how many L1 intercepted. */
	u64 nr_waits, nr_irqs, nr_intr;
} shared;

static void guest_irq_handler(struct ex_regs *regs)
{
	WRITE_ONCE(shared.nr_irqs, shared.nr_irqs + 1);
	apic_eoi(shared.x2apic);
}

static void l2_guest_code(void)
{
	u64 nr_irqs = shared.nr_irqs;

	WRITE_ONCE(shared.nr_waits, shared.nr_waits + 1);
	for (cli(); READ_ONCE(shared.nr_irqs) == nr_irqs; cli()) {
		if (shared.halt)
			safe_halt();
		else
			sti_nop();
	}
	vmmcall();
}

/* L1 is in control between any two IPIs. */
static void l1_guest_code(struct svm_test_data *svm)
{
	struct vmcb_control_area *control = &svm->vmcb->control;

	apic_enable(shared.x2apic);
	if (!shared.x2apic)
		xapic_write_reg(APIC_LDR, SET_APIC_DEST_FIELD(1));

	while (shared.nr_irqs < NR_IPIS) {
		sti_nop();
		apic_write_tpr_repeatedly(shared.x2apic);

		generic_svm_setup(svm, l2_guest_code);
		if (shared.intercept_intr) {
			control->int_ctl |= V_INTR_MASKING_MASK;
			control->intercept |= BIT_ULL(INTERCEPT_INTR);
		}

		do {
			run_guest(svm->vmcb, svm->vmcb_gpa);
			shared.nr_intr += control->exit_code == SVM_EXIT_INTR;
			/* Takes the interrupt, if that's why L2 exited. */
			stgi();
			sti_nop();
		} while (control->exit_code == SVM_EXIT_INTR);
		GUEST_ASSERT_EQ(control->exit_code, SVM_EXIT_VMMCALL);
	}
	GUEST_SYNC(0);
}

static void guest_sender_code(void)
{
	static const struct {
		u32 icr, dest;
	} ipis[] = {
		{ APIC_DEST_PHYSICAL, 0 }, { APIC_DEST_LOGICAL, 1 }, { APIC_DEST_ALLBUT, 0 },
	};
	u64 i;

	apic_enable(shared.x2apic);

	for (i = 0; i < NR_IPIS; i++) {
		while (READ_ONCE(shared.nr_waits) != i + 1)
			cpu_relax();
		WRITE_ONCE(shared.nr_wanted, i + 1);
		while (READ_ONCE(shared.nr_granted) != i + 1)
			cpu_relax();

		GUEST_ASSERT_EQ(shared.nr_irqs, i);
		apic_send_ipi(shared.x2apic, ipis[i % ARRAY_SIZE(ipis)].dest,
			      ipis[i % ARRAY_SIZE(ipis)].icr | APIC_DM_FIXED | VECTOR);
	}
	GUEST_SYNC(0);
}

FIXTURE(nested_ipi) {
	struct kvm_vm *vm;
	struct kvm_vcpu *target, *sender;
	typeof(shared) *shared;
};

FIXTURE_VARIANT(nested_ipi) {
	bool x2apic, halt, intercept_intr;
};

FIXTURE_VARIANT_ADD(nested_ipi, xapic_busy) { false, false, false };
FIXTURE_VARIANT_ADD(nested_ipi, xapic_busy_intercept_intr) { false, false, true };
FIXTURE_VARIANT_ADD(nested_ipi, xapic_halted) { false, true, false };
FIXTURE_VARIANT_ADD(nested_ipi, xapic_halted_intercept_intr) { false, true, true };
FIXTURE_VARIANT_ADD(nested_ipi, x2apic_busy) { true, false, false };
FIXTURE_VARIANT_ADD(nested_ipi, x2apic_busy_intercept_intr) { true, false, true };
FIXTURE_VARIANT_ADD(nested_ipi, x2apic_halted) { true, true, false };
FIXTURE_VARIANT_ADD(nested_ipi, x2apic_halted_intercept_intr) { true, true, true };

FIXTURE_SETUP(nested_ipi)
{
	gva_t svm_gva;

	self->vm = vm_create(2);
	virt_pg_map(self->vm, APIC_DEFAULT_GPA, APIC_DEFAULT_GPA);
	vm_enable_cap(self->vm, KVM_CAP_HALT_POLL, 0);
	vm_install_exception_handler(self->vm, VECTOR, guest_irq_handler);
	self->target = vm_vcpu_add(self->vm, 0, l1_guest_code);
	self->sender = vm_vcpu_add(self->vm, 1, guest_sender_code);
	vcpu_alloc_svm(self->vm, &svm_gva);
	vcpu_args_set(self->target, 1, svm_gva);

	self->shared = addr_gva2hva(self->vm, (u64)&shared);
	self->shared->x2apic = variant->x2apic;
	self->shared->halt = variant->halt;
	self->shared->intercept_intr = variant->intercept_intr;
}

FIXTURE_TEARDOWN(nested_ipi)
{
	kvm_vm_free(self->vm);
}

TEST_F(nested_ipi, arrive_once)
{
	typeof(shared) *s = self->shared;
	pthread_t threads[2];
	int i, idle = 0;

	pthread_create(&threads[0], NULL, vcpu_thread_to_sync, self->target);
	pthread_create(&threads[1], NULL, vcpu_thread_to_sync, self->sender);
	while (READ_ONCE(s->nr_irqs) < NR_IPIS) {
		if (READ_ONCE(s->nr_wanted) != s->nr_granted &&
		    (!s->halt || vcpu_get_stat(self->target, blocking))) {
			WRITE_ONCE(s->nr_granted, s->nr_wanted);
			idle = 0;
		}
		usleep(100);
		TEST_ASSERT(idle++ < TIMEOUT, "IPI %lu of %u got lost", s->nr_irqs + 1, NR_IPIS);
	}
	for (i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);

	TEST_ASSERT_EQ(s->nr_irqs, NR_IPIS);
	TEST_ASSERT_EQ(s->nr_intr, variant->intercept_intr ? NR_IPIS : 0);
}

int main(int argc, char *argv[])
{
	TEST_REQUIRE(kvm_cpu_has(X86_FEATURE_SVM));

	return test_harness_run(argc, argv);
}
