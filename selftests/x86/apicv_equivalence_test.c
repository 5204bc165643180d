// SPDX-License-Identifier: GPL-2.0-only
/*
 * apicv_equivalence_test
 *
 * Test that what a guest sees of its local APIC doesn't depend on whether or not APICv,
 * e.g. AVIC, is active.  A program is a list of accesses, which a vCPU makes one by one,
 * in xAPIC and in x2APIC mode: with APICv inhibited, active, toggled between any two
 * accesses, and with the vCPU's state saved and restored in between.  Values read, faults,
 * interrupts taken, and what KVM_GET_LAPIC returns in the end must be the same each time.
 */
#include <string.h>

#include "kvm_util.h"
#include "apicv.h"

#define NR_STEPS		200
#define NR_IRQS			16

enum op { END, READ, READ_AFTER_SPIV, WRITE, SELF_IPI, READ_CR8, WRITE_CR8, ACCESS_TPR };

struct step {
	enum op op;
	u32 reg;
	u64 val;
};

#define R(reg)		{ READ, reg }
#define W(reg, val)	{ WRITE, reg, val }
#define IPI(vector)	{ SELF_IPI, 0, vector }
#define R_CR8		{ READ_CR8 }
#define W_CR8(val)	{ WRITE_CR8, 0, val }
#define EOI		W(APIC_EOI, 0)
#define MASKED		(APIC_LVT_MASKED | 0x40)
#define DEADLINE	(APIC_LVT_TIMER_TSCDEADLINE | MASKED)

/* Undefined, i.e. no register of the xAPIC, read after one that isn't zero. */
#define U(reg)		{ READ_AFTER_SPIV, reg }

enum mode { BOTH, XAPIC, X2APIC };

static const struct program {
	const char *name;
	enum mode mode;

	/* Write zero, each of these bits alone, and all of them; read each back. */
	u32 sweep;
	u64 bits;
	u64 restore;	/* to be written after each of them, if not zero */
	struct step steps[20];
} programs[] = {
	{ "tpr",	BOTH,	APIC_TASKPRI,	-1ull, .steps = { W(APIC_TASKPRI, 0) } },
	{ "id",		XAPIC,	APIC_ID,	-1ull },
	{ "rrr",	XAPIC,	APIC_RRR,	-1ull },
	{ "ldr",	XAPIC,	APIC_LDR,	-1ull },
	{ "dfr",	XAPIC,	APIC_DFR,	-1ull },
	{ "icr2",	XAPIC,	APIC_ICR2,	0xff000000 },
	{ "spiv",	BOTH,	APIC_SPIV,	-1ull },
	{ "esr",	BOTH,	APIC_ESR,	-1ull },
	{ "eoi",	X2APIC,	APIC_EOI,	-1ull },
	{ "lvtt",	BOTH,	APIC_LVTT,	-1ull },
	{ "lvtthmr",	BOTH,	APIC_LVTTHMR,	-1ull },
	{ "lvtpc",	BOTH,	APIC_LVTPC,	-1ull },
	{ "lvt0",	BOTH,	APIC_LVT0,	-1ull, MASKED },
	{ "lvt1",	BOTH,	APIC_LVT1,	-1ull, MASKED },
	{ "lvterr",	BOTH,	APIC_LVTERR,	-1ull },
	{ "tmict",	BOTH,	APIC_TMICT,	-1ull },
	{ "tdcr",	BOTH,	APIC_TDCR,	-1ull },
	{ "icr_rsvd",	X2APIC,	APIC_ICR, GENMASK(31, 20) | GENMASK(17, 16) | BIT(13) },
	{ "self_ipi_rsvd", X2APIC, APIC_SELF_IPI, ~0xffull },
	{ "tmict_deadline", .steps = {
		W(APIC_LVTT, DEADLINE), W(APIC_TMICT, 5), R(APIC_TMICT), R(APIC_TMCCT),
		W(APIC_LVTT, MASKED), R(APIC_TMICT) } },
	{ "undefined", XAPIC, .steps = {
		U(0x000), U(0x010), U(0x040), U(0x050), U(0x060), U(0x070), U(APIC_EOI), U(0x290),
		U(0x2e0), U(0x3a0), U(0x3d0), U(0x3f0), U(0x400), U(0xff0) } },
	{ "icr_busy", XAPIC, .steps = {	/* to an ID that no vCPU has */
		W(APIC_ICR2, 0x7f000000), W(APIC_ICR, APIC_ICR_BUSY | 0x41), R(APIC_ICR) } },
	{ "tpr_and_cr8", .steps = {
		W(APIC_TASKPRI, 0x3f), R(APIC_TASKPRI), R_CR8, W_CR8(3), R(APIC_TASKPRI),
		W_CR8(2), R(APIC_TASKPRI), W(APIC_TASKPRI, 0x2f), R_CR8, W_CR8(4),
		R(APIC_TASKPRI), W(APIC_TASKPRI, 0) } },
	{ "illegal_vectors", .steps = {
		IPI(0), IPI(15), W(APIC_ICR, APIC_DM_LOWEST | 5), R(APIC_IRR), IPI(16), EOI } },
	{ "nested_irqs", .steps = {
		IPI(0x41), R(APIC_PROCPRI), IPI(0x61), R(APIC_PROCPRI), R(APIC_ISR + 0x20),
		R(APIC_ISR + 0x30), IPI(0x51), R(APIC_IRR + 0x20), EOI, R(APIC_PROCPRI),
		EOI, R(APIC_PROCPRI), EOI, R(APIC_PROCPRI), EOI } },
	{ "masked_by_tpr", .steps = {
		W(APIC_TASKPRI, 0x50), IPI(0x41), IPI(0x51), IPI(0x61), R(APIC_IRR + 0x20),
		EOI, W_CR8(4), R(APIC_IRR + 0x20), EOI, W_CR8(0), EOI, R(APIC_IRR + 0x20) } },
};

enum state { INHIBITED, ACTIVE, INHIBITED_ODD, INHIBITED_EVEN, LIFTED, RESTORED, NR_STATES };

static const char * const state_names[] = {
	"inhibited", "active", "inhibited for odd steps", "inhibited for even steps",
	"inhibited and lifted between steps", "saved and restored between steps" };

/* Results of all steps, vectors of the interrupts taken, and KVM_GET_LAPIC. */
#define IRQS		NR_STEPS
#define REGS		(IRQS + NR_IRQS)
#define NR_RESULTS	(REGS + KVM_APIC_REG_SIZE / 16)

/* The result of an access that faults. */
#define FAULT(vector)	(-(u64)(vector))

/* The host says what the next step is, the guest writes the rest. */
static struct {
	struct step step;
	bool x2apic;
	u64 result;
	u64 irqs[NR_IRQS];
	u32 nr_irqs;
} shared;

static void guest_irq_handler(struct ex_regs *regs)
{
	GUEST_ASSERT(shared.nr_irqs < NR_IRQS);
	shared.irqs[shared.nr_irqs++] = regs->vector;
}

static void guest_write(u32 reg, u64 val)
{
	shared.result = FAULT(apic_write_reg_safe(shared.x2apic, reg, val));
}

static void guest_read(u32 reg)
{
	u8 vector = apic_read_reg_safe(shared.x2apic, reg, &shared.result);

	if (vector)
		shared.result = FAULT(vector);
}

static void guest_code(void)
{
	struct step *s = &shared.step;

	shared.x2apic ? x2apic_enable() : xapic_enable();
	sti();

	for (;;) {
		GUEST_SYNC(0);

		if (s->op == READ_AFTER_SPIV)
			guest_read(APIC_SPIV);

		if (s->op == READ || s->op == READ_AFTER_SPIV)
			guest_read(s->reg);
		else if (s->op == WRITE)
			guest_write(s->reg, s->val);
		else if (s->op == SELF_IPI && shared.x2apic)
			guest_write(APIC_SELF_IPI, s->val);
		else if (s->op == SELF_IPI)
			guest_write(APIC_ICR, APIC_DEST_SELF | APIC_DM_FIXED | s->val);
		else if (s->op == READ_CR8)
			shared.result = get_cr8();
		else if (s->op == WRITE_CR8)
			set_cr8(s->val);
		else if (s->op == ACCESS_TPR)
			apic_write_tpr_repeatedly(shared.x2apic);
	}
}

static int make_steps(const struct program *p, struct step *steps)
{
	int i, nr = 0;

	for (i = -2; p->bits && i < 64; i++) {
		u64 val = i == -2 ? 0 : i == -1 ? p->bits : BIT_ULL(i) & p->bits;

		if (i >= 0 && !val)
			continue;

		steps[nr++] = (struct step)W(p->sweep, val);
		steps[nr++] = (struct step)R(p->sweep);
		if (p->restore)
			steps[nr++] = (struct step)W(p->sweep, p->restore);
	}

	for (i = 0; i < ARRAY_SIZE(p->steps) && p->steps[i].op != END; i++)
		steps[nr++] = p->steps[i];

	TEST_ASSERT(nr <= NR_STEPS, "%s has %d steps", p->name, nr);
	return nr;
}

static void run_program(const struct program *p, bool x2apic, enum state state,
			u64 *results)
{
	struct kvm_vcpu *vcpu, *bystander;
	struct kvm_lapic_state lapic;
	struct step steps[NR_STEPS];
	typeof(shared) *guest;
	struct kvm_vm *vm;
	int i, nr;

	memset(results, 0, NR_RESULTS * sizeof(*results));

	vm = vm_create(2);
	vcpu = vm_vcpu_add(vm, 0, guest_code);
	bystander = vm_vcpu_add(vm, 1, guest_code);
	virt_pg_map(vm, APIC_DEFAULT_GPA, APIC_DEFAULT_GPA);
	for (i = 0x10; i < 0x100; i += i == 0x10 ? 0x10 : 1)
		vm_install_exception_handler(vm, i, guest_irq_handler);

	guest = addr_gva2hva(vm, (u64)&shared);
	guest->x2apic = x2apic;

	set_apicv_inhibit(bystander, state == INHIBITED);
	vcpu_run_to_sync(vcpu);

	guest->step.op = ACCESS_TPR;
	vcpu_assert_apicv(vcpu, state != INHIBITED && is_apicv_enabled_in(x2apic));

	nr = make_steps(p, steps);
	for (i = 0; i < nr; i++) {
		if (state == INHIBITED_ODD || state == INHIBITED_EVEN)
			set_apicv_inhibit(bystander, (i & 1) == (state == INHIBITED_ODD));

		if (state == LIFTED) {
			set_apicv_inhibit(bystander, true);
			guest->step.op = END;
			vcpu_run_to_sync(vcpu);
			set_apicv_inhibit(bystander, false);
		}

		if (state == RESTORED)
			vcpu_save_and_restore_apic(vcpu);

		guest->step = steps[i];
		vcpu_run_to_sync(vcpu);
		results[i] = guest->result;
	}

	/* Let interrupts arrive that the last step may have caused. */
	guest->step.op = END;
	vcpu_run_to_sync(vcpu);
	memcpy(&results[IRQS], guest->irqs, sizeof(guest->irqs));

	vcpu_ioctl(vcpu, KVM_GET_LAPIC, &lapic);
	for (i = REGS; i < NR_RESULTS; i++) {
		/* The timer may be running. */
		if (i != REGS + APIC_TMCCT / 16)
			results[i] = *(u32 *)&lapic.regs[(i - REGS) * 16];
	}

	kvm_vm_free(vm);
}

static void test_program(const struct program *p, bool x2apic)
{
	const char *mode = x2apic ? "x2apic" : "xapic";
	u64 want[NR_RESULTS], got[NR_RESULTS];
	enum state state;
	bool same = true;
	int i;

	run_program(p, x2apic, INHIBITED, want);
	want[REGS + APIC_IRR / 16] = 0;	/* Vectors 0 to 15 are illegal, 16 is taken. */
	for (state = ACTIVE; state < NR_STATES; state++) {
		run_program(p, x2apic, state, got);

		for (i = 0; i < NR_RESULTS; i++) {
			if (want[i] == got[i])
				continue;

			ksft_print_msg("%s.%s, %s: %s 0x%x: want 0x%lx, got 0x%lx\n",
				       mode, p->name, state_names[state],
				       i < IRQS ? "step" : i < REGS ? "interrupt" : "KVM_GET_LAPIC",
				       i < IRQS ? i : i < REGS ? i - IRQS : (i - REGS) * 16,
				       (unsigned long)want[i], (unsigned long)got[i]);
			same = false;
		}
	}

	ksft_test_result(same, "%s.%s\n", mode, p->name);
}

int main(int argc, char *argv[])
{
	int i, nr = 0;

	TEST_REQUIRE(kvm_has_cap(KVM_CAP_IRQCHIP));

	for (i = 0; i < ARRAY_SIZE(programs); i++)
		nr += programs[i].mode == BOTH ? 2 : 1;

	ksft_print_header();
	ksft_set_plan(nr);

	for (i = 0; i < ARRAY_SIZE(programs); i++) {
		if (programs[i].mode != X2APIC)
			test_program(&programs[i], false);
		if (programs[i].mode != XAPIC)
			test_program(&programs[i], true);
	}

	ksft_finished();
}
