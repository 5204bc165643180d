/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A model of the local APICs of a VM, by which avic_diff_test knows what a guest must
 * see, whether or not AVIC is active.  It follows AMD's manual; where KVM, on purpose,
 * doesn't, a comment with "KVM:" says so.
 *
 * Interrupts come from IPIs, MSIs, and a timer that is stopped again as soon as it has
 * fired.  All vCPUs that have their APIC enabled have it in the same mode.
 */
#ifndef SELFTEST_KVM_LAPIC_MODEL_H
#define SELFTEST_KVM_LAPIC_MODEL_H

#include "x2apic_regs.h"

#define MODEL_MAX_CPUS		3
#define MODEL_MAX_IRQS		128
#define MODEL_NR_REGS		0x40

#define NMI_IRQ			2

#define LVR_DIRECTED_EOI	BIT(24)
#define SPIV_DIRECTED_EOI	BIT(12)

/* The result of an access that faults. */
#define FAULT(vector)		(-(u64)(vector))

/*
 * What the guest does with an interrupt.  Handlers of the low vectors leave them in
 * service, those of the others end them.  The last ones are for level-triggered
 * interrupts, and for those only: AVIC leaves TMR alone when it delivers an IPI, i.e.
 * an edge-triggered one would count as level-triggered if its vector's last one was.
 */
#define FIRST_AUTO_EOI_VECTOR	0x80
#define FIRST_LEVEL_VECTOR	0xa0

struct model_irq {
	u16 op;		/* during which it was taken */
	u8 vector;
};

struct model_cpu {
	u32 id;
	bool enabled;
	bool iff;
	bool nmi;
	bool async;	/* runs beside another vCPU, i.e. it isn't known when */
	u32 regs[MODEL_NR_REGS];

	u32 nr_irqs;
	struct model_irq irqs[MODEL_MAX_IRQS];
};

struct model {
	bool x2apic;
	u32 nr_cpus;
	u16 op;

	/* Has something happened that hardware, or KVM, does one way or another? */
	const char *ambiguous;
	struct model_cpu cpus[MODEL_MAX_CPUS];
};

static inline u32 *model_reg(struct model_cpu *c, u32 offset)
{
	return &c->regs[offset >> 4];
}

static inline bool model_test(struct model_cpu *c, u32 offset, u8 vector)
{
	return *model_reg(c, offset + APIC_VECTOR_TO_REG_OFFSET(vector)) &
	       BIT(APIC_VECTOR_TO_BIT_NUMBER(vector));
}

static inline void model_assign(struct model_cpu *c, u32 offset, u8 vector, bool set)
{
	u32 *reg = model_reg(c, offset + APIC_VECTOR_TO_REG_OFFSET(vector));
	u32 bit = BIT(APIC_VECTOR_TO_BIT_NUMBER(vector));

	*reg = set ? *reg | bit : *reg & ~bit;
}

/* The highest vector of ISR or IRR, or -1. */
static inline int model_highest(struct model_cpu *c, u32 offset)
{
	int i;

	for (i = 255; i >= 0 && !model_test(c, offset, i); i--)
		;
	return i;
}

static inline u32 model_ppr(struct model_cpu *c)
{
	u32 tpr = *model_reg(c, APIC_TASKPRI);
	int isr = model_highest(c, APIC_ISR);

	isr = isr < 0 ? 0 : isr & 0xf0;
	return (tpr & 0xf0) >= isr ? tpr : isr;
}

static inline int model_deliverable(struct model_cpu *c)
{
	int irr = model_highest(c, APIC_IRR);

	return c->enabled && c->iff && irr >= 0 && (irr & 0xf0) > (model_ppr(c) & 0xf0) ? irr : -1;
}

static inline void model_eoi(struct model_cpu *c)
{
	int isr = model_highest(c, APIC_ISR);

	if (isr >= 0)
		model_assign(c, APIC_ISR, isr, false);
}

static inline void model_log(struct model *m, struct model_cpu *c, u8 vector)
{
	if (c->nr_irqs == MODEL_MAX_IRQS) {
		m->ambiguous = "too many interrupts";
		return;
	}
	c->irqs[c->nr_irqs++] = (struct model_irq) { m->op, vector };
}

/* Take all interrupts that can be taken. */
static inline void model_settle(struct model *m, struct model_cpu *c)
{
	int vector;

	if (c->nmi)
		model_log(m, c, NMI_IRQ);
	c->nmi = false;

	while ((vector = model_deliverable(c)) >= 0) {
		model_assign(c, APIC_IRR, vector, false);
		model_assign(c, APIC_ISR, vector, true);
		model_log(m, c, vector);
		if (vector >= FIRST_AUTO_EOI_VECTOR)
			model_eoi(c);
	}
}

static inline void model_accept(struct model *m, struct model_cpu *c, u32 mode, u8 vector,
				bool level)
{
	/* KVM: An APIC that's disabled gets no NMIs, either. */
	if (!c->enabled)
		return;

	if (mode == APIC_DM_NMI) {
		/* KVM: A vCPU that doesn't run may have two. */
		if (c->nmi)
			m->ambiguous = "NMI while another one is pending";
		c->nmi = true;
		return;
	}

	/* By the manual, it isn't accepted; AVIC sets IRR all the same. */
	if (!(*model_reg(c, APIC_SPIV) & APIC_SPIV_APIC_ENABLED))
		m->ambiguous = "interrupt of an APIC that is disabled by software";

	/* It stays in service, which depends on what else does. */
	if (c->async && vector < FIRST_AUTO_EOI_VECTOR)
		m->ambiguous = "interrupt that isn't ended by a vCPU that runs";

	model_assign(c, APIC_IRR, vector, true);
	model_assign(c, APIC_TMR, vector, level);
}

static inline u32 model_apic_id(struct model *m, struct model_cpu *c)
{
	return m->x2apic ? c->id : *model_reg(c, APIC_ID) >> 24;
}

static inline bool model_matches(struct model *m, struct model_cpu *c, bool logical, u32 dest)
{
	u32 ldr = *model_reg(c, APIC_LDR), dfr = *model_reg(c, APIC_DFR);

	if (dest == (m->x2apic ? -1u : 0xff))
		return true;

	if (!logical)
		return dest == model_apic_id(m, c);

	if (m->x2apic)
		return ldr >> 16 == dest >> 16 && (ldr & dest & 0xffff);

	ldr >>= 24;
	if (dfr == APIC_DFR_FLAT)
		return ldr & dest;

	/* The manual has two models only, KVM delivers nothing in others. */
	return dfr == APIC_DFR_CLUSTER && ldr >> 4 == dest >> 4 && (ldr & dest & 0xf);
}

static inline void model_send_ipi(struct model *m, struct model_cpu *src, u32 icr, u32 dest)
{
	u32 mode = icr & 0x700, shorthand = icr & 0xc0000;
	bool level = icr & APIC_INT_LEVELTRIG;
	u8 vector = icr;
	u32 i;

	/*
	 * KVM: It doesn't record the error, as AVIC doesn't on all CPUs, and it pends the
	 * interrupt if it's an MSI, though it can't be taken.
	 */
	if (mode != APIC_DM_NMI && vector < 16 && src)
		return;

	for (i = 0; i < m->nr_cpus; i++) {
		struct model_cpu *c = &m->cpus[i];

		if (shorthand == APIC_DEST_ALLINC ||
		    (shorthand == APIC_DEST_SELF && c == src) ||
		    (shorthand == APIC_DEST_ALLBUT && c != src) ||
		    (!shorthand && model_matches(m, c, icr & APIC_DEST_LOGICAL, dest)))
			model_accept(m, c, mode, vector, level);
	}
}

/* Read a register at an offset in the xAPIC's page, or the MSR that has it. */
static inline u64 model_read(struct model *m, struct model_cpu *c, u32 offset)
{
	if (!c->enabled)
		m->ambiguous = "access of an APIC that is disabled";

	if (m->x2apic && x2apic_regs[REG(offset)].read == NOBODY)
		return FAULT(GP_VECTOR);

	switch (offset) {
	case APIC_PROCPRI:
		return model_ppr(c);
	case APIC_TMCCT:
		if (*model_reg(c, APIC_TMICT))
			m->ambiguous = "timer that counts";
		return 0;
	case APIC_ICR:
		return *model_reg(c, APIC_ICR) |
		       (m->x2apic ? (u64)*model_reg(c, APIC_ICR2) << 32 : 0);
	default:
		return *model_reg(c, offset);
	}
}

/* The two bits of the timer's mode have a fourth value, which is reserved. */
static inline bool model_is_tsc_deadline(u32 lvtt)
{
	return (lvtt & (APIC_LVT_TIMER_PERIODIC | APIC_LVT_TIMER_TSCDEADLINE)) ==
	       APIC_LVT_TIMER_TSCDEADLINE;
}

static inline u64 model_write(struct model *m, struct model_cpu *c, u32 offset, u64 val)
{
	const struct x2apic_reg *r = &x2apic_regs[REG(offset)];
	bool enabled = *model_reg(c, APIC_SPIV) & APIC_SPIV_APIC_ENABLED;
	u32 *reg = model_reg(c, offset);
	u32 i;

	if (!c->enabled)
		m->ambiguous = "access of an APIC that is disabled";

	if (m->x2apic && (r->write == NOBODY || val & r->reserved))
		return FAULT(GP_VECTOR);

	switch (offset) {
	case APIC_ID:
		*reg = val & 0xff000000;
		break;
	case APIC_TASKPRI:
		*reg = val & 0xff;
		break;
	case APIC_EOI:
		model_eoi(c);
		break;
	case APIC_LDR:
		*reg = val & 0xff000000;
		break;
	case APIC_DFR:
		*reg = val | 0x0fffffff;
		break;
	case APIC_SPIV:
		*reg = val & (0x3ff | (*model_reg(c, APIC_LVR) & LVR_DIRECTED_EOI ?
				       SPIV_DIRECTED_EOI : 0));
		for (i = APIC_LVTT; !(val & APIC_SPIV_APIC_ENABLED) && i <= APIC_LVTERR; i += 0x10)
			*model_reg(c, i) |= APIC_LVT_MASKED;
		break;
	case APIC_ICR:
		*reg = val;
		if (m->x2apic)
			*model_reg(c, APIC_ICR2) = val >> 32;
		model_send_ipi(m, c, val, m->x2apic ? val >> 32 :
			       *model_reg(c, APIC_ICR2) >> 24);
		break;
	case APIC_ICR2:
		*reg = val & 0xff000000;
		break;
	case APIC_SELF_IPI:
		if (!m->x2apic)
			m->ambiguous = "register that the xAPIC doesn't have";
		model_send_ipi(m, c, APIC_DEST_SELF | val, 0);
		break;
	case APIC_LVTT:
		val &= ~r->ignored;
		/* The TSC-deadline mode starts, and ends, with a timer that's stopped. */
		if (model_is_tsc_deadline(*reg) != model_is_tsc_deadline(val))
			*model_reg(c, APIC_TMICT) = 0;
		*reg = val | (enabled ? 0 : APIC_LVT_MASKED);
		break;
	case APIC_LVTTHMR ... APIC_LVTERR:
		*reg = (val & ~r->ignored) | (enabled ? 0 : APIC_LVT_MASKED);
		break;
	case APIC_TMICT:
		if (!model_is_tsc_deadline(*model_reg(c, APIC_LVTT)))
			*reg = val;
		break;
	case APIC_TDCR:
		*reg = val & 0xb;
		break;
	default:
		/* Read-only in the xAPIC's page; ESR, as KVM never records an error. */
		break;
	}

	return 0;
}

/* Will the timer have an interrupt at some time that the model can't tell? */
static inline bool model_timer_counts(struct model_cpu *c)
{
	u32 lvtt = *model_reg(c, APIC_LVTT);

	return *model_reg(c, APIC_TMICT) && !(lvtt & APIC_LVT_MASKED);
}

static inline void model_write_cr8(struct model_cpu *c, u64 val)
{
	*model_reg(c, APIC_TASKPRI) = val << 4;
}

/* An interrupt of the timer, which is in one-shot mode, and then masked and stopped. */
static inline void model_fire_timer(struct model *m, struct model_cpu *c, u8 vector)
{
	model_write(m, c, APIC_LVTT, vector);
	if (*model_reg(c, APIC_LVTT) & APIC_LVT_MASKED)
		m->ambiguous = "timer whose interrupt is masked";
	model_accept(m, c, APIC_DM_FIXED, vector, false);
	model_settle(m, c);
	model_write(m, c, APIC_LVTT, APIC_LVT_MASKED | vector);
	model_write(m, c, APIC_TMICT, 0);
}

/* KVM: The registers keep what they have while the APIC is disabled, but for the ID. */
static inline void model_set_enabled(struct model *m, struct model_cpu *c, bool enabled)
{
	if (c->enabled == enabled)
		return;

	c->enabled = enabled;
	if (!enabled)
		return;

	*model_reg(c, APIC_ID) = m->x2apic ? c->id : SET_APIC_DEST_FIELD(c->id);
	if (m->x2apic)
		*model_reg(c, APIC_LDR) = (c->id & ~0xf) << 12 | BIT(c->id & 0xf);
}

/* INIT, as far as the APIC is concerned. */
static inline void model_init(struct model *m, struct model_cpu *c)
{
	u32 lvr = *model_reg(c, APIC_LVR), id = *model_reg(c, APIC_ID);
	u32 ldr = *model_reg(c, APIC_LDR);
	int i;

	memset(c->regs, 0, sizeof(c->regs));
	*model_reg(c, APIC_LVR) = lvr;
	*model_reg(c, APIC_ID) = id;
	*model_reg(c, APIC_LDR) = m->x2apic ? ldr : 0;
	*model_reg(c, APIC_DFR) = -1u;
	*model_reg(c, APIC_SPIV) = 0xff;
	for (i = APIC_LVTT; i <= APIC_LVTERR; i += 0x10)
		*model_reg(c, i) = APIC_LVT_MASKED;
	/* KVM: LINT0 is connected to the 8259, as firmware would do. */
	if (!c->id)
		*model_reg(c, APIC_LVT0) = APIC_DM_EXTINT;
	c->nmi = false;
}

#endif /* SELFTEST_KVM_LAPIC_MODEL_H */
