/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The x2APIC's registers, i.e. MSRs 0x800 ... 0x8ff, and CR8: who handles an access
 * while x2AVIC is active, and which values are valid.
 */
#ifndef SELFTEST_KVM_X2APIC_REGS_H
#define SELFTEST_KVM_X2APIC_REGS_H

#include "apicv.h"

/* A register is named by the number of its MSR, less that of the first one. */
#define NR_MSRS		256
#define CR8		NR_MSRS
#define NR_REGS		(NR_MSRS + 1)
#define REG(offset)	((offset) >> 4)

enum handler {
	NOBODY,		/* #GP, there's no such register, or not in this direction */
	BY_KVM,		/* RDMSR or WRMSR is intercepted */
	BY_CPU,		/* x2AVIC accelerates it, without a VM-Exit */
};

struct x2apic_reg {
	const char *name;
	enum handler read;
	enum handler write;

	/* Value before a write, a valid one, and bits that cause #GP if one is set. */
	u64 initial;
	u64 valid;
	u64 reserved;
	/* Bits that KVM clears instead of injecting #GP. */
	u64 ignored;
};

#define HIGH		GENMASK_ULL(63, 32)

#define LVT(_name, _value, _bits) {						\
		.name = _name, .read = BY_CPU, .write = BY_KVM,			\
		.initial = APIC_LVT_MASKED, .valid = APIC_LVT_MASKED | (_value), \
		.reserved = HIGH, .ignored = GENMASK(31, 0) & ~(_bits),		\
	}

/* Vectors that writes of ICR and SELF_IPI leave pending. */
#define ICR_VECTOR	0x41
#define SELF_IPI_VECTOR	0x42

/*
 * MSRs that aren't listed don't exist.  Why KVM handles what:
 *
 *  - Reads come from the virtual APIC page, which KVM keeps up to date, with one
 *    exception: TMCCT changes with time.  The CPU doesn't accelerate it, and
 *    causes a fault-like exit if RDMSR isn't intercepted, upon which KVM has to
 *    decode the instruction.
 *
 *  - Writes of TPR, EOI, ICR and SELF_IPI are the ones that the CPU accelerates.
 *    All other writes need KVM.  Without an intercept, they'd cause a trap-like
 *    exit at best, but also #GP for what KVM supports and the CPU doesn't, e.g.
 *    TSC-deadline mode in LVTT.
 *
 *  - An access that must cause #GP is left to KVM, as x2AVIC doesn't know which
 *    registers the vCPU's APIC has.
 */
static const struct x2apic_reg x2apic_regs[NR_REGS] = {
	[REG(APIC_ID)]		= { "ID",	BY_CPU },
	[REG(APIC_LVR)]		= { "LVR",	BY_CPU },
	[REG(APIC_TASKPRI)]	= { "TPR",	BY_CPU, BY_CPU, .valid = 0x50,
				    .reserved = GENMASK_ULL(63, 8) },
	[REG(APIC_ARBPRI)]	= { "ARBPRI" },
	[REG(APIC_PROCPRI)]	= { "PPR",	BY_CPU },
	[REG(APIC_EOI)]		= { "EOI",	NOBODY, BY_CPU, .reserved = ~0ull },
	[REG(APIC_RRR)]		= { "RRR" },
	[REG(APIC_LDR)]		= { "LDR",	BY_CPU },
	[REG(APIC_DFR)]		= { "DFR" },
	[REG(APIC_SPIV)]	= { "SPIV",	BY_CPU, BY_KVM,
				    .initial = 0x1ff, .valid = 0x1ef, .reserved = HIGH,
				    .ignored = GENMASK(31, 13) | GENMASK(11, 10) },
	[REG(APIC_ISR) ... REG(APIC_ISR) + 7] = { "ISR", BY_CPU },
	[REG(APIC_TMR) ... REG(APIC_TMR) + 7] = { "TMR", BY_CPU },
	[REG(APIC_IRR) ... REG(APIC_IRR) + 7] = { "IRR", BY_CPU },
	[REG(APIC_ESR)]		= { "ESR",	BY_CPU, BY_KVM, .reserved = ~0ull },
	/* Only if MCG_CAP has CMCI_P, i.e. if userspace wants it, and never on AMD. */
	[REG(APIC_LVTCMCI)]	= { "LVTCMCI" },
	/* Sent to this vCPU; ICR is the one that can't be written without effect. */
	[REG(APIC_ICR)]		= { "ICR",	BY_CPU, BY_CPU,
				    .valid = 0xa5ull << 32 | APIC_DEST_SELF | ICR_VECTOR,
				    .reserved = GENMASK(31, 20) | GENMASK(17, 16) | BIT(13) },
	[REG(APIC_ICR2)]	= { "ICR2" },
	[REG(APIC_LVTT)]	= LVT("LVTT", APIC_LVT_TIMER_TSCDEADLINE | 0xef, 0x710ff),
	[REG(APIC_LVTTHMR)]	= LVT("LVTTHMR", 0xee, 0x117ff),
	[REG(APIC_LVTPC)]	= LVT("LVTPC", APIC_DM_NMI, 0x117ff),
	[REG(APIC_LVT0)]	= LVT("LVT0", APIC_DM_EXTINT, 0x1f7ff),
	[REG(APIC_LVT1)]	= LVT("LVT1", APIC_DM_NMI, 0x1f7ff),
	[REG(APIC_LVTERR)]	= LVT("LVTERR", 0xed, 0x110ff),
	[REG(APIC_TMICT)]	= { "TMICT",	BY_CPU, BY_KVM,
				    .valid = 0x7fffffff, .reserved = HIGH },
	[REG(APIC_TMCCT)]	= { "TMCCT",	BY_KVM },
	[REG(APIC_TDCR)]	= { "TDCR",	BY_CPU, BY_KVM, .valid = 0xb,
				    .reserved = HIGH, .ignored = GENMASK(31, 0) & ~0xb },
	[REG(APIC_SELF_IPI)]	= { "SELF_IPI",	NOBODY, BY_CPU, .valid = SELF_IPI_VECTOR,
				    .reserved = GENMASK_ULL(63, 8) },

	/* AMD's extended registers, which KVM supports for no vCPU. */
	[0x40]			= { "EXT_FEATURE" },
	[0x41]			= { "EXT_CONTROL" },
	[0x42]			= { "SEOI" },

	/* Not an MSR, but TPR[7:4]. */
	[CR8]			= { "CR8",	BY_CPU, BY_CPU, .valid = 0x5 },
};

static inline const char *x2apic_reg_name(u32 reg)
{
	static char name[16];

	/* ISR, TMR and IRR have eight registers each. */
	if (reg < REG(APIC_ISR) || reg >= REG(APIC_ESR))
		return x2apic_regs[reg].name ?: "no register";

	snprintf(name, sizeof(name), "%s%u", x2apic_regs[reg].name, reg % 8);
	return name;
}

static inline u8 x2apic_read_safe(u32 reg, u64 *value)
{
	if (reg == CR8) {
		*value = get_cr8();
		return 0;
	}
	return rdmsr_safe(APIC_BASE_MSR + reg, value);
}

static inline u8 x2apic_write_safe(u32 reg, u64 value)
{
	if (reg == CR8) {
		set_cr8(value);
		return 0;
	}
	return wrmsr_safe(APIC_BASE_MSR + reg, value);
}

#endif /* SELFTEST_KVM_X2APIC_REGS_H */
