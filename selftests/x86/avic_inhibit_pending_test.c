// SPDX-License-Identifier: GPL-2.0-only
/*
 * avic_inhibit_pending_test
 *
 * Test that no interrupt gets lost, is taken twice, or stays in service when AVIC is
 * inhibited and when the inhibit is lifted: at each point of a program, i.e. with
 * interrupts pending or in service, while the vCPU stays in KVM_RUN.
 */
#include <pthread.h>

#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "apicv.h"

/* How long to wait for the guest, in milliseconds. */
#define TIMEOUT		5000

enum op {
	END,
	SEND,		/* a self-IPI, which stays pending for now */
	TAKE,		/* what's pending, which must be this vector, or none if 0 */
	EOI,		/* of what must be the highest vector in service */
	SET_TPR,
	HALT,		/* and be woken by what's pending */
	EXIT,		/* the guest is done */
};

struct step {
	enum op op;
	u8 val;
};

#define NR_STEPS	16

static const struct program {
	const char *name;
	struct step steps[NR_STEPS];
} programs[] = {
	{ "pending", { { SEND, 0x41 }, { TAKE, 0x41 }, { TAKE }, { EOI, 0x41 } } },
	{ "pending_halt", { { SEND, 0x41 }, { HALT, 0x41 }, { EOI, 0x41 } } },
	{ "merged", { { SEND, 0x41 }, { SEND, 0x41 }, { TAKE, 0x41 }, { EOI, 0x41 }, { TAKE } } },
	{ "pending_again", {
		{ SEND, 0x41 }, { TAKE, 0x41 }, { SEND, 0x41 }, { TAKE }, { EOI, 0x41 },
		{ TAKE, 0x41 }, { EOI, 0x41 } } },
	{ "order", {
		{ SEND, 0x51 }, { SEND, 0x41 }, { SEND, 0xe1 }, { TAKE, 0xe1 }, { EOI, 0xe1 },
		{ TAKE, 0x51 }, { EOI, 0x51 }, { TAKE, 0x41 }, { EOI, 0x41 } } },
	{ "nested", {
		{ SEND, 0x41 }, { TAKE, 0x41 }, { SEND, 0x61 }, { TAKE, 0x61 }, { SEND, 0x51 },
		{ TAKE }, { EOI, 0x61 }, { TAKE, 0x51 }, { EOI, 0x51 }, { EOI, 0x41 },
		{ SEND, 0x31 }, { TAKE, 0x31 }, { EOI, 0x31 } } },
	/* What was the highest vector in service isn't any more, and comes again. */
	{ "other_vector", {
		{ SEND, 0x61 }, { TAKE, 0x61 }, { EOI, 0x61 }, { SEND, 0x41 }, { TAKE, 0x41 },
		{ EOI, 0x41 }, { SEND, 0x61 }, { SEND, 0x62 }, { TAKE, 0x62 }, { EOI, 0x62 },
		{ TAKE, 0x61 }, { EOI, 0x61 } } },
	{ "masked_by_tpr", {
		{ SET_TPR, 0x50 }, { SEND, 0x41 }, { SEND, 0x61 }, { TAKE, 0x61 }, { EOI, 0x61 },
		{ TAKE }, { SET_TPR, 0x40 }, { TAKE }, { SET_TPR, 0x30 }, { TAKE, 0x41 },
		{ SET_TPR, 0 }, { EOI, 0x41 } } },
};

static struct {
	bool x2apic;

	/* Written by the host; the guest has done all steps up to this number. */
	struct step step;
	u64 nr_wanted;
	u64 nr_done;

	/* What the guest saw; the last vector, if there were several interrupts. */
	u8 nr_irqs;
	u8 vector;
	u8 in_service;
	u8 pending;
} shared;

static void guest_irq_handler(struct ex_regs *regs)
{
	shared.nr_irqs++;
	shared.vector = regs->vector;
}

static u8 guest_highest_vector(u32 reg)
{
	int vector;

	for (vector = 255; vector > 0; vector--) {
		/* One access for each register. */
		if (vector % 32 == 31 &&
		    !apic_read_reg(shared.x2apic, reg + APIC_VECTOR_TO_REG_OFFSET(vector)))
			vector -= 31;
		else if (apic_test_vector(shared.x2apic, reg, vector))
			return vector;
	}
	return 0;
}

static void guest_do_step(const struct step *s)
{
	shared.vector = 0;
	shared.nr_irqs = 0;

	switch (s->op) {
	case SEND:
		apic_send_self_ipi(shared.x2apic, s->val);
		break;
	case TAKE:
		sti_nop();
		cli();
		break;
	case HALT:
		safe_halt();
		cli();
		break;
	case EOI:
		shared.vector = guest_highest_vector(APIC_ISR);
		shared.nr_irqs = !!shared.vector;
		apic_eoi(shared.x2apic);
		break;
	case SET_TPR:
		apic_write_reg(shared.x2apic, APIC_TASKPRI, s->val);
		break;
	case END:
		shared.in_service = guest_highest_vector(APIC_ISR);
		shared.pending = guest_highest_vector(APIC_IRR);
		break;
	case EXIT:
		break;
	}
}

/* Never exits to userspace, as far as the guest is concerned. */
static void guest_code(void)
{
	u64 nr = 0;

	cli();
	apic_enable(shared.x2apic);

	while (shared.step.op != EXIT) {
		while (READ_ONCE(shared.nr_wanted) == nr)
			cpu_relax();

		guest_do_step(&shared.step);
		WRITE_ONCE(shared.nr_done, ++nr);
	}
	GUEST_SYNC(0);
}

static bool do_step(typeof(shared) *s, struct step step)
{
	int i;

	s->step = step;
	WRITE_ONCE(s->nr_wanted, s->nr_wanted + 1);

	/* It's soon done, if a CPU is free. */
	for (i = 0; READ_ONCE(s->nr_done) != s->nr_wanted; i++) {
		if (i > TIMEOUT * 10 + 1000)
			return false;
		if (i > 1000)
			usleep(100);
	}

	if (step.op != TAKE && step.op != EOI && step.op != HALT)
		return true;
	return s->vector == step.val && s->nr_irqs == !!step.val;
}

/*
 * Inhibit AVIC right before step @first, and until right before step @last; or, if
 * @inverted, have it active only in between.
 */
static bool run_program(const struct program *p, struct kvm_vcpu *bystander, typeof(shared) *s,
			int first, int last, bool inverted)
{
	int i;

	set_apicv_inhibit(bystander, inverted);

	for (i = 0; i < NR_STEPS && p->steps[i].op != END; i++) {
		if (i == first)
			set_apicv_inhibit(bystander, !inverted);
		if (i == last)
			set_apicv_inhibit(bystander, inverted);

		if (!do_step(s, p->steps[i])) {
			ksft_print_msg("%s from step %d to %d: %d %s vector 0x%x, wanted 0x%x\n",
				       inverted ? "active" : "inhibited", first, last, i,
				       s->nr_done == s->nr_wanted ? "got" : "hangs with",
				       s->vector, p->steps[i].val);
			return false;
		}
	}

	do_step(s, (struct step){ END });
	if (s->in_service || s->pending) {
		ksft_print_msg("%s from step %d to %d: 0x%x is in service, 0x%x pending\n",
			       inverted ? "active" : "inhibited", first, last,
			       s->in_service, s->pending);
		return false;
	}
	return true;
}

static bool test_passages(const struct program *p, struct kvm_vcpu *bystander, typeof(shared) *s)
{
	int first, nr;

	for (nr = 0; nr < NR_STEPS && p->steps[nr].op != END; nr++)
		;

	/* For one or two steps, and until the end. */
	for (first = 0; first < nr; first++) {
		const int lasts[] = { min(first + 1, nr), min(first + 2, nr), nr };
		int i;

		for (i = 0; i < ARRAY_SIZE(lasts); i++) {
			if (!run_program(p, bystander, s, first, lasts[i], false) ||
			    !run_program(p, bystander, s, first, lasts[i], true))
				return false;
		}
	}
	return true;
}

static void test_program(const struct program *p, bool x2apic)
{
	struct kvm_vcpu *vcpu, *bystander;
	typeof(shared) *s;
	pthread_t thread;
	struct kvm_vm *vm;
	int i;

	vm = vm_create(2);
	virt_pg_map(vm, APIC_DEFAULT_GPA, APIC_DEFAULT_GPA);
	for (i = 0x20; i < 256; i++)
		vm_install_exception_handler(vm, i, guest_irq_handler);
	vcpu = vm_vcpu_add(vm, 0, guest_code);
	bystander = vm_vcpu_add(vm, 1, guest_code);
	s = addr_gva2hva(vm, (u64)&shared);
	s->x2apic = x2apic;

	pthread_create(&thread, NULL, vcpu_thread_to_sync, vcpu);
	ksft_test_result(test_passages(p, bystander, s), "%s.%s\n", x2apic ? "x2apic" : "xapic",
			 p->name);

	if (do_step(s, (struct step){ EXIT })) {
		pthread_join(thread, NULL);
		kvm_vm_free(vm);
	}
}

int main(int argc, char *argv[])
{
	int i, x2apic;

	TEST_REQUIRE(kvm_has_cap(KVM_CAP_IRQCHIP));

	ksft_print_header();
	ksft_set_plan(2 * ARRAY_SIZE(programs));
	for (x2apic = 0; x2apic < 2; x2apic++) {
		for (i = 0; i < ARRAY_SIZE(programs); i++)
			test_program(&programs[i], x2apic);
	}
	ksft_finished();
}
