// SPDX-License-Identifier: GPL-2.0-only
/*
 * x2avic_msrs_test
 *
 * Access each of the x2APIC's MSRs, 0x800 ... 0x8ff, and CR8, and check
 *
 *  - what the guest sees, which must not depend on whether or not AVIC is
 *    active, but for a short list of quirks, and
 *
 *  - what the access costs, i.e. that exactly the accesses that x2AVIC
 *    accelerates don't exit, and that all accesses exit once x2AVIC isn't in use
 *    any more, whatever the reason.
 *
 * x2apic_regs[] below says what to expect.
 *
 * Options, in addition to those of the harness:
 *
 *   -v		print all costs as a table
 *   -o FILE	write all results to FILE, as CSV ("-" for stdout)
 *   -m		print what is expected, as CSV, and exit
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "kvm_test_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "apic.h"
#include "hyperv.h"
#include "svm_util.h"

#define X86_FEATURE_HOST_X2AVIC		KVM_X86_CPU_FEATURE(0x8000000A, 0, EDX, 18)
#define X86_FEATURE_HOST_X2AVIC_EXT	KVM_X86_CPU_FEATURE(0x8000000A, 0, ECX, 6)

#define APIC_ARBPRI		0x90
#define APIC_RRR		0xc0
#define APIC_LDR		0xd0
#define APIC_DFR		0xe0
#define APIC_TMR		0x180
#define APIC_ESR		0x280
#define APIC_LVTTHMR		0x330
#define APIC_LVTPC		0x340
#define APIC_LVT0		0x350
#define APIC_LVT1		0x360
#define APIC_LVTERR		0x370
#define APIC_LVR_EXTENDED	BIT(31)

#define MCG_CMCI_P		BIT_ULL(10)
#define HV_SINT_AUTO_EOI	BIT_ULL(17)

/* Number of times that an access is made if it's measured alone. */
#define NR_REPEATS	2

/* Sent to itself by the guest; the first one stays in service until EOI. */
#define IN_SERVICE_VECTOR	0x31
#define ICR_VECTOR		0x41
#define SELF_IPI_VECTOR		0x42
#define TIMER_VECTOR		0x51
#define LEVEL_VECTOR		0x61

/* How many of them a case wants. */
#define NR_IRQS			100

/* A pin of the I/O APIC that nobody else uses. */
#define LEVEL_GSI		20

/* In the redirection table, whose destination 0 is the vCPU. */
#define IOAPIC_TRIGGER_LEVEL	BIT(15)

#define NR_MSRS		256
#define CR8		NR_MSRS
#define NR_REGS		(NR_MSRS + 1)

enum access {
	READ,
	/* A valid value, or zero if the register can't be written. */
	WRITE,
	/* Ditto, but with a reserved bit set, if the register can be written. */
	WRITE_RESERVED,
	NR_ACCESSES,
};

static const char * const access_names[] = { "read", "write", "reserved" };

/* Who handles a valid access while x2AVIC is active? */
enum handler {
	NOBODY,		/* #GP, there's no such register, or not in this direction */
	BY_KVM,		/* RDMSR or WRMSR is intercepted */
	BY_CPU,		/* x2AVIC accelerates it, without a VM-Exit */
};

static const char * const handler_names[] = { "-", "KVM", "CPU" };

struct x2apic_reg {
	const char *name;
	enum handler read;
	enum handler write;

	/* Value before each access. */
	u64 initial;
	/* Value that is written, and read back if the register is readable. */
	u64 valid;
	/* Bits that cause #GP if set by a write, with or without x2AVIC. */
	u64 reserved;
	/* Bits that KVM clears instead of injecting #GP. */
	u64 ignored;

	/* Bits of another register that change if the valid value is written. */
	u32 effect;
	u64 effect_mask;
	u64 effect_value;
};

#define REG(offset)	((offset) >> 4)
#define HIGH		GENMASK_ULL(63, 32)
#define WALKED		(~GENMASK_ULL(62, 33))
#define VECTOR_BIT(v)	BIT((v) % 32)

#define LVT(_name, _value, _bits) {						\
		.name = _name, .read = BY_CPU, .write = BY_KVM,			\
		.initial = APIC_LVT_MASKED, .valid = APIC_LVT_MASKED | (_value), \
		.reserved = HIGH, .ignored = GENMASK(31, 0) & ~(_bits),		\
	}

/*
 * The registers.  MSRs that aren't listed don't exist.  Why KVM handles what:
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
				    .reserved = GENMASK_ULL(63, 8),
				    .effect = REG(APIC_PROCPRI),
				    .effect_mask = 0xff, .effect_value = 0x50 },
	[REG(APIC_ARBPRI)]	= { "ARBPRI" },
	[REG(APIC_PROCPRI)]	= { "PPR",	BY_CPU },
	[REG(APIC_EOI)]		= { "EOI",	NOBODY, BY_CPU,
				    .reserved = ~0ull,
				    .effect = REG(APIC_ISR) + IN_SERVICE_VECTOR / 32,
				    .effect_mask = VECTOR_BIT(IN_SERVICE_VECTOR) },
	[REG(APIC_RRR)]		= { "RRR" },
	[REG(APIC_LDR)]		= { "LDR",	BY_CPU },
	[REG(APIC_DFR)]		= { "DFR" },
	[REG(APIC_SPIV)]	= { "SPIV",	BY_CPU, BY_KVM,
				    .initial = 0x1ff, .valid = 0x1ef,
				    .reserved = HIGH,
				    .ignored = GENMASK(31, 13) | GENMASK(11, 10) },
	[REG(APIC_ISR) ... REG(APIC_ISR) + 7] = { "ISR", BY_CPU },
	[REG(APIC_TMR) ... REG(APIC_TMR) + 7] = { "TMR", BY_CPU },
	[REG(APIC_IRR) ... REG(APIC_IRR) + 7] = { "IRR", BY_CPU },
	[REG(APIC_ESR)]		= { "ESR",	BY_CPU, BY_KVM, .reserved = ~0ull },
	/* If MCG_CAP has CMCI_P, i.e. never on AMD. */
	[REG(APIC_LVTCMCI)]	= LVT("LVTCMCI", 0xec, 0x117ff),
	[REG(APIC_ICR)]		= { "ICR",	BY_CPU, BY_CPU,
				    .valid = 0xa5ull << 32 | APIC_DEST_SELF | ICR_VECTOR,
				    .reserved = GENMASK(31, 20) | GENMASK(17, 16) | BIT(13),
				    .effect = REG(APIC_IRR) + ICR_VECTOR / 32,
				    .effect_mask = VECTOR_BIT(ICR_VECTOR),
				    .effect_value = VECTOR_BIT(ICR_VECTOR) },
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
				    .reserved = GENMASK_ULL(63, 8),
				    .effect = REG(APIC_IRR) + SELF_IPI_VECTOR / 32,
				    .effect_mask = VECTOR_BIT(SELF_IPI_VECTOR),
				    .effect_value = VECTOR_BIT(SELF_IPI_VECTOR) },

	/* AMD's extended registers, which KVM supports for no vCPU. */
	[0x40]			= { "EXT_FEATURE" },
	[0x41]			= { "EXT_CONTROL" },
	[0x42]			= { "SEOI" },

	/* Not an MSR, but TPR[7:4]. */
	[CR8]			= { "CR8",	BY_CPU, BY_CPU, .valid = 0x5,
				    .effect = REG(APIC_TASKPRI),
				    .effect_mask = 0xff, .effect_value = 0x50 },
};

/*
 * Quirks: what the guest sees may differ if, and only if, the CPU handles the
 * write.
 */
static const struct quirk {
	u32 reg;
	/* The CPU raises #GP if one of the bits is set, KVM ignores it. */
	u64 cpu_faults;
	/* The CPU may leave the bit set. */
	u64 cpu_keeps;
	const char *what;
} quirks[] = {
	{ REG(APIC_ICR), APIC_ICR_BUSY, APIC_ICR_BUSY,
	  "ICR.BUSY: must be zero on AMD, KVM ignores it; the CPU may leave it set" },
};

static const struct quirk *get_quirk(u32 reg)
{
	static const struct quirk none;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(quirks); i++) {
		if (quirks[i].reg == reg)
			return &quirks[i];
	}
	return &none;
}

enum stage {
	STAGE_IDLE,
	STAGE_BEGIN,
	STAGE_END,
};

/* What the guest sees. */
struct guest_results {
	struct {
		u64 value;
		u8 vector;
	} cells[NR_REGS][NR_ACCESSES];

	/* After the valid value has been written. */
	u64 read_back[NR_REGS];
	u64 effect_before[NR_REGS];
	u64 effect_after[NR_REGS];

	/* Which bits, set one at a time, caused #GP; which ones did stay set? */
	u64 bits_faulting[NR_REGS];
	u64 bits_kept[NR_REGS];
};

/* State that is shared between host and guest, via the guest's copy. */
static struct {
	/* What the host wants the vCPU to do next. */
	void (*fn)(void);

	struct svm_test_data *svm;
	/* The accesses that STAGE_END is about. */
	u32 reg;
	u32 nr_regs;
	u32 access;
	/* Set by the host if it wants them one by one. */
	bool differ;
	/* Something else than measured accesses happened since STAGE_END. */
	bool dirty;

	u32 nr_irqs[256];
	struct guest_results results;
} guest;

/* Number of accesses between two ucalls. */
static u32 nr_accesses(u32 nr_regs)
{
	return max_t(u32, nr_regs, NR_REPEATS);
}

/* ICR is the one register that can't be written without doing anything. */
static bool has_initial(u32 reg)
{
	return x2apic_regs[reg].read != NOBODY && x2apic_regs[reg].write != NOBODY &&
	       reg != REG(APIC_ICR);
}

static u8 guest_read(u32 reg, u64 *value)
{
	if (reg == CR8) {
		*value = get_cr8();
		return 0;
	}
	return rdmsr_safe(APIC_BASE_MSR + reg, value);
}

static u8 guest_write(u32 reg, u64 value)
{
	if (reg == CR8) {
		set_cr8(value);
		return 0;
	}
	return wrmsr_safe(APIC_BASE_MSR + reg, value);
}

/* Do accesses of one kind between two ucalls, and nothing else. */
static void guest_measure(u32 first, u32 nr_regs, enum access access, u64 value)
{
	u32 i, reg;
	u8 vector;

	if (guest.dirty)
		GUEST_SYNC(STAGE_BEGIN);
	guest.dirty = false;

	for (i = 0; i < nr_accesses(nr_regs); i++) {
		reg = first + i % nr_regs;
		vector = access == READ ? guest_read(reg, &value) : guest_write(reg, value);
		guest.results.cells[reg][access].value = value;
		guest.results.cells[reg][access].vector = vector;
	}

	guest.reg = first;
	guest.nr_regs = nr_regs;
	guest.access = access;
	GUEST_SYNC(STAGE_END);
}

static void guest_access(u32 reg, enum access access, u64 value)
{
	guest_measure(reg, 1, access, value);
}

/*
 * Do as many accesses as possible at once, as ucalls are what takes long.  Only
 * if they don't cost the same, although they should, look at each of them.
 */
static void guest_access_all(u32 first, u32 nr_regs, enum access access)
{
	u32 i;

	guest.differ = false;
	guest_measure(first, nr_regs, access, 0);

	for (i = 0; guest.differ && i < nr_regs; i++)
		guest_access(first + i, access, 0);
}

static bool guest_write_bits(u32 reg, u64 bits)
{
	u64 value;

	if (guest_write(reg, x2apic_regs[reg].valid | bits)) {
		guest.results.bits_faulting[reg] |= bits;
		return false;
	}
	if (!guest_read(reg, &value))
		guest.results.bits_kept[reg] |= value & bits;
	return true;
}

/*
 * Set bits that no write may set, one at a time, but first try those that KVM
 * ignores all at once.  For the sake of speed, let two of the upper half stand
 * for all of them, no register has only some of them.
 */
static void guest_walk_bits(u32 reg)
{
	const struct x2apic_reg *r = &x2apic_regs[reg];
	u64 ignored = r->ignored | get_quirk(reg)->cpu_faults;
	u64 bits = r->reserved & WALKED;

	if (ignored && !guest_write_bits(reg, ignored)) {
		guest.results.bits_faulting[reg] = 0;
		bits |= ignored;
	}

	for (; bits; bits &= bits - 1)
		guest_write_bits(reg, bits & -bits);
}

static void guest_probe_reg(u32 reg)
{
	const struct x2apic_reg *r = &x2apic_regs[reg];
	struct guest_results *res = &guest.results;

	guest_access(reg, READ, 0);

	guest.dirty = true;
	guest_read(r->effect, &res->effect_before[reg]);
	guest_access(reg, WRITE, r->valid);
	guest.dirty = true;
	guest_read(r->effect, &res->effect_after[reg]);
	guest_read(reg, &res->read_back[reg]);

	if (r->reserved) {
		guest_access(reg, WRITE_RESERVED, r->valid | (r->reserved & -r->reserved));
		guest.dirty = true;
	}
	if (!res->cells[reg][WRITE].vector)
		guest_walk_bits(reg);

	/* Other registers depend on it, e.g. PPR on TPR. */
	if (has_initial(reg))
		guest_write(reg, r->initial);
}

/* The number of registers from this one on that can't be written. */
static u32 nr_alike(u32 first)
{
	const struct x2apic_reg *r = &x2apic_regs[first];
	u32 nr = 0;

	while (first + nr < NR_REGS && r[nr].write == NOBODY && r[nr].read == r->read)
		nr++;
	return nr;
}

static void guest_probe(void)
{
	u32 reg, nr;

	memset(&guest.results, 0, sizeof(guest.results));
	guest.dirty = true;

	/* Populate caches and page tables, e.g. those that are used for L2. */
	guest_access(0, READ, 0);
	guest_access(0, WRITE, 0);

	/* EOI comes last, as it changes ISR and PPR for good. */
	for (reg = 0; reg < NR_REGS; reg += nr ?: 1) {
		nr = nr_alike(reg);
		if (nr) {
			guest_access_all(reg, nr, READ);
			guest_access_all(reg, nr, WRITE);
		} else if (reg != REG(APIC_EOI)) {
			guest_probe_reg(reg);
		}
	}
	guest_probe_reg(REG(APIC_EOI));
}

static void guest_irq_handler(struct ex_regs *regs)
{
	guest.nr_irqs[regs->vector]++;
	if (regs->vector != IN_SERVICE_VECTOR)
		x2apic_write_reg(APIC_EOI, 0);

	/* It comes again before the interrupted code could execute cli(). */
	if (regs->vector == LEVEL_VECTOR && guest.nr_irqs[LEVEL_VECTOR] >= NR_IRQS)
		regs->rflags &= ~X86_EFLAGS_IF;
}

static void guest_wait_for_irq(u8 vector, u32 nr_irqs)
{
	sti();
	while (READ_ONCE(guest.nr_irqs[vector]) != nr_irqs)
		cpu_relax();
	cli();
}

/* Put the APIC into x2APIC mode, and its registers into a known state. */
static void guest_prepare(void)
{
	u32 reg;

	x2apic_enable();
	for (reg = 0; reg < NR_REGS; reg++) {
		if (has_initial(reg))
			guest_write(reg, x2apic_regs[reg].initial);
	}

	/* Get rid of what an earlier probe has left pending and in service. */
	x2apic_write_reg(APIC_EOI, 0);
	sti_nop();
	cli();

	memset(guest.nr_irqs, 0, sizeof(guest.nr_irqs));
	x2apic_write_reg(APIC_ICR, APIC_DEST_SELF | IN_SERVICE_VECTOR);
	guest_wait_for_irq(IN_SERVICE_VECTOR, 1);
}

/* Do what the host wants, both in L1 and in L2. */
static void guest_code(void)
{
	for (;;) {
		GUEST_SYNC(STAGE_IDLE);
		guest.fn();
	}
}

static void guest_enter_l2(void)
{
	generic_svm_setup(guest.svm, guest_code);
	run_guest(guest.svm->vmcb, guest.svm->vmcb_gpa);
	GUEST_ASSERT_EQ(guest.svm->vmcb->control.exit_code, SVM_EXIT_VMMCALL);
	stgi();
}

/* Doesn't return, L1 goes on in guest_enter_l2(). */
static void guest_leave_l2(void)
{
	vmmcall();
}

/* What an access costs. */
enum cost {
	NOT_MEASURED,
	ACCELERATED,
	MSR_EXIT,
	TRAP_EXIT,
	FAULT_EXIT,
	OTHER_EXIT,
	GP_BY_CPU,
	GP_BY_KVM,
	STRANGE,
};

static const struct {
	const char *name;
	char letter;
	const char *what;
} costs[] = {
	[NOT_MEASURED]	= { "none",	' ', "not measured" },
	[ACCELERATED]	= { "cpu",	'.', "no exit" },
	[MSR_EXIT]	= { "msr",	'M', "exit, RDMSR or WRMSR is intercepted" },
	[TRAP_EXIT]	= { "trap",	'T', "trap-like AVIC exit" },
	[FAULT_EXIT]	= { "fault",	'F', "fault-like AVIC exit, the instruction is emulated" },
	[OTHER_EXIT]	= { "exit",	'X', "exit of another, or an unknown, kind" },
	[GP_BY_CPU]	= { "gp-cpu",	'c', "#GP by the CPU" },
	[GP_BY_KVM]	= { "gp-kvm",	'k', "exit, and #GP by KVM" },
	[STRANGE]	= { "strange",	'?', "more than one exit" },
};

/*
 * VM-Exits are counted by vCPU stats.  Which kind they are of is only known to
 * the tracepoint kvm_exit, which perf counts, if it may.
 */
enum exit_kind {
	EXIT_MSR,
	EXIT_AVIC,
	EXIT_GP,
	NR_EXIT_KINDS,
};

static const char * const exit_filters[] = {
	[EXIT_MSR]	= "exit_reason == 0x7c",
	[EXIT_AVIC]	= "exit_reason == 0x401 || exit_reason == 0x402",
	[EXIT_GP]	= "exit_reason == 0x4d",
};

struct counts {
	u64 exits;
	u64 emulations;
	/* The layout is the one of PERF_FORMAT_GROUP. */
	struct {
		u64 nr;
		u64 exits[NR_EXIT_KINDS];
	} perf;
};

/* What x2APIC MSRs are at the time of a probe. */
enum mode {
	ACTIVE,		/* accelerated by x2AVIC */
	EMULATED,	/* emulated by KVM, x2AVIC is inhibited or there is none */
	X2APIC_OFF,	/* #GP, the APIC is disabled or in xAPIC mode */
};

/* The results of one probe. */
struct results {
	char name[48];
	enum mode mode;
	bool has_cmci;
	u64 nr_exits[NR_REGS][NR_ACCESSES];
	enum cost costs[NR_REGS][NR_ACCESSES];
	struct guest_results guest;
	struct kvm_lapic_state lapic;
};

#define MAX_STATES	40

/* Shared by all processes: the harness forks one for each case. */
static struct {
	u32 nr;
	bool no_perf;
	struct results states[MAX_STATES];
} *all;

struct test_vm {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	typeof(guest) *guest;
	bool has_cmci;
	int perf_fd;
};

static bool is_avic_enabled(void)
{
	return !access("/sys/module/kvm_amd/parameters/avic", R_OK) &&
	       kvm_get_module_param_bool("kvm_amd", "avic");
}

static bool is_x2avic_enabled(void)
{
	return is_avic_enabled() && this_cpu_has(X86_FEATURE_HOST_X2AVIC);
}

#define KVM_EXIT_ID	"/sys/kernel/tracing/events/kvm/kvm_exit/id"

/* Return the group leader's file descriptor, or -1. */
static int perf_open(void)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_TRACEPOINT,
		.size = sizeof(attr),
		.read_format = PERF_FORMAT_GROUP,
	};
	int i, fd, leader = -1;
	FILE *f;

	f = fopen(KVM_EXIT_ID, "r");
	if (!f)
		return -1;
	i = fscanf(f, "%llu", &attr.config);
	fclose(f);
	if (i != 1)
		return -1;

	for (i = 0; i < NR_EXIT_KINDS; i++) {
		fd = syscall(__NR_perf_event_open, &attr, 0, -1, leader, 0);
		if (fd < 0)
			break;
		if (!i)
			leader = fd;
		if (ioctl(fd, PERF_EVENT_IOC_SET_FILTER, exit_filters[i]))
			break;
	}
	return i == NR_EXIT_KINDS ? leader : -1;
}

/* Run the vCPU until its next ucall, and return the stage that it's in. */
static enum stage run_vcpu(struct test_vm *t)
{
	struct ucall uc;
	u64 cmd;

	vcpu_run(t->vcpu);
	cmd = get_ucall(t->vcpu, &uc);
	if (cmd == UCALL_ABORT)
		REPORT_GUEST_ASSERT(uc);
	TEST_ASSERT(cmd == UCALL_SYNC, "Unexpected ucall %lu, exit reason %u (%s)",
		    (unsigned long)cmd, t->vcpu->run->exit_reason,
		    exit_reason_str(t->vcpu->run->exit_reason));

	return uc.args[1];
}

static void run_guest_fn(struct test_vm *t, void (*fn)(void))
{
	t->guest->fn = fn;
	TEST_ASSERT_EQ(run_vcpu(t), STAGE_IDLE);
}

static void test_vm_init(struct test_vm *t)
{
	static const u8 vectors[] = {
		IN_SERVICE_VECTOR, ICR_VECTOR, SELF_IPI_VECTOR, TIMER_VECTOR,
		LEVEL_VECTOR,
	};
	u64 mcg_cap = 0;
	int i;

	t->vm = vm_create_with_one_vcpu(&t->vcpu, guest_code);
	for (i = 0; i < ARRAY_SIZE(vectors); i++)
		vm_install_exception_handler(t->vm, vectors[i], guest_irq_handler);

	if (kvm_has_cap(KVM_CAP_TSC_DEADLINE_TIMER))
		vcpu_set_cpuid_feature(t->vcpu, X86_FEATURE_TSC_DEADLINE_TIMER);

	kvm_ioctl(t->vm->kvm_fd, KVM_X86_GET_MCE_CAP_SUPPORTED, &mcg_cap);
	if (mcg_cap & MCG_CMCI_P) {
		mcg_cap |= 1;
		vcpu_ioctl(t->vcpu, KVM_X86_SETUP_MCE, &mcg_cap);
		t->has_cmci = true;
	}

	t->perf_fd = perf_open();
	t->guest = addr_gva2hva(t->vm, (u64)&guest);

	/* Up to the first STAGE_IDLE. */
	TEST_ASSERT_EQ(run_vcpu(t), STAGE_IDLE);
	run_guest_fn(t, guest_prepare);
}

static void get_counts(struct test_vm *t, struct counts *c)
{
	memset(c, 0, sizeof(*c));

	/* Interrupts of the host have nothing to do with what the guest does. */
	c->exits = vcpu_get_stat(t->vcpu, exits) - vcpu_get_stat(t->vcpu, irq_exits);
	c->emulations = vcpu_get_stat(t->vcpu, insn_emulation);
	if (t->perf_fd >= 0)
		TEST_ASSERT(read(t->perf_fd, &c->perf, sizeof(c->perf)) == sizeof(c->perf),
			    "Can't read perf's counters, errno %d", errno);
}

/* Per access, without the odd exit due to something else, e.g. a page fault. */
static u64 per_access(u64 before, u64 after, u32 nr_regs)
{
	return (after - before) / nr_accesses(nr_regs);
}

static enum cost get_cost(struct test_vm *t, u8 vector, const struct counts *a,
			  const struct counts *b, u32 nr_regs)
{
	u64 exits = per_access(a->exits, b->exits, nr_regs);
	u64 of_kind[NR_EXIT_KINDS];
	int i;

	for (i = 0; i < NR_EXIT_KINDS; i++)
		of_kind[i] = per_access(a->perf.exits[i], b->perf.exits[i], nr_regs);

	if (exits > 1)
		return STRANGE;

	/* KVM may intercept #GP, e.g. if the vCPU uses SVM. */
	if (vector)
		return !exits || of_kind[EXIT_GP] ? GP_BY_CPU : GP_BY_KVM;
	if (!exits)
		return ACCELERATED;
	/* Without NRIP, KVM decodes instructions merely to skip them. */
	if (of_kind[EXIT_MSR])
		return MSR_EXIT;
	if (per_access(a->emulations, b->emulations, nr_regs))
		return FAULT_EXIT;

	return of_kind[EXIT_AVIC] ? TRAP_EXIT : OTHER_EXIT;
}

/* Do all accesses cost the same? */
static bool are_uniform(const typeof(guest) *g, const struct counts *a, const struct counts *b)
{
	u64 exits = b->exits - a->exits;
	u64 of_kind;
	u32 i;

	if (exits && exits != g->nr_regs)
		return false;
	for (i = 0; i < NR_EXIT_KINDS; i++) {
		of_kind = b->perf.exits[i] - a->perf.exits[i];
		if (of_kind && of_kind != exits)
			return false;
	}
	for (i = 1; i < g->nr_regs; i++) {
		if (g->results.cells[g->reg + i][g->access].vector !=
		    g->results.cells[g->reg][g->access].vector)
			return false;
	}
	return a->emulations == b->emulations;
}

/* Note what the accesses between the two points cost. */
static void add_costs(struct test_vm *t, struct results *r, const struct counts *before,
		      const struct counts *after)
{
	const typeof(guest) *g = t->guest;
	u32 i, reg;

	if (g->nr_regs > 1 && !are_uniform(g, before, after)) {
		t->guest->differ = true;
		return;
	}

	for (i = 0; i < g->nr_regs; i++) {
		reg = g->reg + i;
		r->nr_exits[reg][g->access] =
			per_access(before->exits, after->exits, g->nr_regs);
		r->costs[reg][g->access] =
			get_cost(t, g->results.cells[reg][g->access].vector, before, after,
				 g->nr_regs);
	}
}

/* Have the guest access all registers, in whatever state it is. */
static void probe(struct test_vm *t, struct results *r)
{
	struct counts before = {}, after;
	enum stage stage;

	vcpu_ioctl(t->vcpu, KVM_GET_LAPIC, &r->lapic);
	r->has_cmci = t->has_cmci;

	t->guest->fn = guest_probe;
	while ((stage = run_vcpu(t)) != STAGE_IDLE) {
		get_counts(t, &after);
		if (stage == STAGE_END) {
			/* Leave out the ucall. */
			before.exits++;
			add_costs(t, r, &before, &after);
		}
		before = after;
	}

	r->guest = t->guest->results;
}

/*
 * How to get into the state that is to be probed: called with the vCPU in x2APIC
 * mode, after guest_prepare().  Return why not, if that's not possible.
 */
typedef const char *(*enter_state_fn)(struct test_vm *t);

static const char *enter_without_x2avic(struct test_vm *t)
{
	return is_x2avic_enabled() ? "x2AVIC is enabled" : NULL;
}

static const char *enter_disabled(struct test_vm *t)
{
	run_guest_fn(t, apic_disable);
	return NULL;
}

static const char *enter_xapic(struct test_vm *t)
{
	virt_pg_map(t->vm, APIC_DEFAULT_GPA, APIC_DEFAULT_GPA);
	run_guest_fn(t, xapic_enable);
	return NULL;
}

static const char *enter_x2apic_again(struct test_vm *t)
{
	enter_xapic(t);
	run_guest_fn(t, guest_prepare);
	return NULL;
}

static void set_apic_base(struct test_vm *t, u64 clear, u64 set)
{
	u64 base = vcpu_get_msr(t->vcpu, MSR_IA32_APICBASE);

	vcpu_set_msr(t->vcpu, MSR_IA32_APICBASE, (base & ~clear) | set);
}

static const char *enter_xapic_by_userspace(struct test_vm *t)
{
	set_apic_base(t, MSR_IA32_APICBASE_EXTD, 0);
	return NULL;
}

static const char *enter_x2apic_by_userspace(struct test_vm *t)
{
	enter_xapic_by_userspace(t);
	set_apic_base(t, 0, MSR_IA32_APICBASE_EXTD);
	run_guest_fn(t, guest_prepare);
	return NULL;
}

static const char *enter_set_lapic(struct test_vm *t)
{
	struct kvm_lapic_state lapic;

	vcpu_ioctl(t->vcpu, KVM_GET_LAPIC, &lapic);
	vcpu_ioctl(t->vcpu, KVM_SET_LAPIC, &lapic);
	return NULL;
}

static void block_irqs(struct test_vm *t, bool block)
{
	struct kvm_guest_debug debug = {
		.control = block ? KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_BLOCKIRQ : 0,
	};

	vcpu_guest_debug_set(t->vcpu, &debug);
}

static const char *enter_blockirq(struct test_vm *t)
{
	if (!(kvm_check_cap(KVM_CAP_SET_GUEST_DEBUG2) & KVM_GUESTDBG_BLOCKIRQ))
		return "KVM doesn't support KVM_GUESTDBG_BLOCKIRQ";

	block_irqs(t, true);
	return NULL;
}

static const char *enter_blockirq_off(struct test_vm *t)
{
	const char *why_not = enter_blockirq(t);

	if (why_not)
		return why_not;

	run_guest_fn(t, x2apic_enable);
	block_irqs(t, false);
	run_guest_fn(t, guest_prepare);
	return NULL;
}

/*
 * Send INIT to the vCPU, which never gets to execute anything at the reset
 * vector, but goes on where it was.
 */
static void init_vcpu(struct test_vm *t)
{
	struct kvm_msi msi = {
		.address_lo = APIC_DEFAULT_GPA,
		.data = APIC_DM_INIT,
	};
	struct kvm_mp_state mp_state;
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	vcpu_run_complete_io(t->vcpu);
	vcpu_sregs_get(t->vcpu, &sregs);
	vcpu_regs_get(t->vcpu, &regs);

	TEST_ASSERT_EQ(__vm_ioctl(t->vm, KVM_SIGNAL_MSI, &msi), 1);
	/* Has KVM process INIT. */
	vcpu_mp_state_get(t->vcpu, &mp_state);

	vcpu_sregs_set(t->vcpu, &sregs);
	vcpu_regs_set(t->vcpu, &regs);
}

static const char *enter_init(struct test_vm *t)
{
	init_vcpu(t);
	run_guest_fn(t, guest_prepare);
	return NULL;
}

static const char *enter_init_inhibited(struct test_vm *t)
{
	const char *why_not = enter_blockirq(t);

	if (why_not)
		return why_not;

	/* AVIC is deactivated when the vCPU runs. */
	vcpu_run_complete_io(t->vcpu);
	init_vcpu(t);
	block_irqs(t, false);
	run_guest_fn(t, guest_prepare);
	return NULL;
}

static const char *enter_init_xapic(struct test_vm *t)
{
	init_vcpu(t);
	return enter_xapic_by_userspace(t);
}

static const char *enter_id_too_big(struct test_vm *t)
{
	if (is_x2avic_enabled() && this_cpu_has(X86_FEATURE_HOST_X2AVIC_EXT))
		return "the CPU may be able to address all IDs";

	__vm_vcpu_add(t->vm, kvm_check_cap(KVM_CAP_MAX_VCPU_ID) - 1);
	return NULL;
}

static const char *enter_pit_reinj(struct test_vm *t)
{
	struct kvm_pit_config config = {};

	vm_ioctl(t->vm, KVM_CREATE_PIT2, &config);
	return NULL;
}

static const char *enter_pit_reinj_off(struct test_vm *t)
{
	struct kvm_reinject_control control = {};

	enter_pit_reinj(t);
	vcpu_run_complete_io(t->vcpu);
	vm_ioctl(t->vm, KVM_REINJECT_CONTROL, &control);
	return NULL;
}

/* Add a vCPU in xAPIC mode, with a register set to a value. */
static void add_xapic_vcpu(struct test_vm *t, u32 id, u32 reg, u32 value)
{
	struct kvm_vcpu *vcpu = __vm_vcpu_add(t->vm, id);
	struct kvm_lapic_state lapic;

	vcpu_ioctl(vcpu, KVM_GET_LAPIC, &lapic);
	*(u32 *)&lapic.regs[APIC_SPIV] |= APIC_SPIV_APIC_ENABLED;
	*(u32 *)&lapic.regs[reg] = value;
	vcpu_ioctl(vcpu, KVM_SET_LAPIC, &lapic);
}

static const char *enter_apic_id_modified(struct test_vm *t)
{
	add_xapic_vcpu(t, 1, APIC_ID, 5 << 24);
	return NULL;
}

/* vCPU 256's xAPIC ID is 0, too. */
static const char *enter_physical_id_aliased(struct test_vm *t)
{
	add_xapic_vcpu(t, 256, APIC_ID, 0);
	return NULL;
}

static const char *enter_logical_id_aliased(struct test_vm *t)
{
	add_xapic_vcpu(t, 1, APIC_LDR, BIT(24));
	add_xapic_vcpu(t, 2, APIC_LDR, BIT(24));
	return NULL;
}

static const char *enter_apic_base_modified(struct test_vm *t)
{
	set_apic_base(t, 0, BIT(24));
	return NULL;
}

static const char *enter_hyperv_auto_eoi(struct test_vm *t)
{
	if (!kvm_has_cap(KVM_CAP_HYPERV_SYNIC2))
		return "KVM doesn't support Hyper-V's SynIC";

	vcpu_enable_cap(t->vcpu, KVM_CAP_HYPERV_SYNIC2, 0);
	vcpu_set_msr(t->vcpu, HV_X64_MSR_SINT0, HV_SINT_AUTO_EOI | TIMER_VECTOR);
	return NULL;
}

static const char *enter_l2(struct test_vm *t)
{
	if (!kvm_cpu_has(X86_FEATURE_SVM))
		return "nested SVM isn't supported";

	/* The library stores the guest's address, as an integer. */
	vcpu_alloc_svm(t->vm, (void *)&t->guest->svm);
	run_guest_fn(t, guest_enter_l2);
	return NULL;
}

static const char *enter_l1_again(struct test_vm *t)
{
	const char *why_not = enter_l2(t);

	if (why_not)
		return why_not;

	run_guest_fn(t, guest_leave_l2);
	return NULL;
}

/* Inhibit AVIC for the whole VM while L2 is running. */
static const char *enter_l1_inhibited_in_l2(struct test_vm *t)
{
	const char *why_not = enter_l2(t);

	if (why_not)
		return why_not;

	enter_pit_reinj(t);
	run_guest_fn(t, guest_leave_l2);
	return NULL;
}

static const char *reg_name(u32 reg)
{
	static char names[NR_REGS][16];

	/* ISR, TMR and IRR have eight registers each. */
	if (reg < REG(APIC_ISR) || reg >= REG(APIC_ESR))
		return x2apic_regs[reg].name ?: "no register";

	snprintf(names[reg], sizeof(names[reg]), "%s%u", x2apic_regs[reg].name, reg % 8);
	return names[reg];
}

/* Print what's wrong with an access, and return 1 for counting. */
static int __printf(4, 5) mismatch(const struct results *r, u32 reg, enum access access,
				   const char *fmt, ...)
{
	va_list ap;

	printf("# %s: %s", r->name, reg_name(reg));
	if (reg != CR8)
		printf(" (MSR 0x%x)", APIC_BASE_MSR + reg);
	printf(", %s: ", access_names[access]);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	fflush(stdout);
	return 1;
}

/* Does the register exist, and can it be accessed that way? */
static enum handler get_handler(const struct results *r, u32 reg, enum access access)
{
	if (reg == REG(APIC_LVTCMCI) && !r->has_cmci)
		return NOBODY;
	if (reg != CR8 && r->mode == X2APIC_OFF)
		return NOBODY;

	return access == READ ? x2apic_regs[reg].read : x2apic_regs[reg].write;
}

static u64 get_lapic_reg(const struct results *r, u32 reg)
{
	u64 value = *(const u32 *)&r->lapic.regs[reg << 4];

	if (reg == REG(APIC_ICR))
		value |= (u64)*(const u32 *)&r->lapic.regs[APIC_ICR2] << 32;
	return value;
}

/* Check what the guest saw, return the number of mismatches. */
static int check_results(const struct results *r, u32 reg)
{
	const struct x2apic_reg *x = &x2apic_regs[reg];
	const struct quirk *quirk = get_quirk(reg);
	const struct guest_results *g = &r->guest;
	u64 value, may_fault = 0, may_keep = 0;
	enum access access;
	int bad = 0;

	for (access = READ; access <= WRITE; access++) {
		bool fault = get_handler(r, reg, access) == NOBODY;
		u8 vector = g->cells[reg][access].vector;

		if (vector != (fault ? GP_VECTOR : 0))
			bad += mismatch(r, reg, access, "wanted %s, got vector %u",
					fault ? "#GP" : "no exception", vector);
	}
	if (x->reserved && g->cells[reg][WRITE_RESERVED].vector != GP_VECTOR)
		bad += mismatch(r, reg, WRITE_RESERVED, "wanted #GP, got vector %u",
				g->cells[reg][WRITE_RESERVED].vector);

	if (reg != CR8 && get_handler(r, reg, READ) != NOBODY) {
		value = g->cells[reg][READ].value;
		if (value != get_lapic_reg(r, reg))
			bad += mismatch(r, reg, READ, "wanted 0x%lx, got 0x%lx",
					(unsigned long)get_lapic_reg(r, reg),
					(unsigned long)value);
	}

	/* The rest is about writes. */
	if (get_handler(r, reg, WRITE) == NOBODY)
		return bad;

	if (r->mode == ACTIVE && x->write == BY_CPU) {
		may_fault = quirk->cpu_faults;
		may_keep = quirk->cpu_keeps;
	}

	if (get_handler(r, reg, READ) != NOBODY &&
	    (g->read_back[reg] & ~may_keep) != x->valid)
		bad += mismatch(r, reg, WRITE, "wrote 0x%lx, read 0x%lx",
				(unsigned long)x->valid, (unsigned long)g->read_back[reg]);

	if (x->effect && get_handler(r, x->effect, READ) != NOBODY &&
	    ((g->effect_before[reg] & x->effect_mask) == x->effect_value ||
	     (g->effect_after[reg] & x->effect_mask) != x->effect_value))
		bad += mismatch(r, reg, WRITE,
				"%s & 0x%lx should become 0x%lx, was 0x%lx, is 0x%lx",
				reg_name(x->effect), (unsigned long)x->effect_mask,
				(unsigned long)x->effect_value,
				(unsigned long)g->effect_before[reg],
				(unsigned long)g->effect_after[reg]);

	value = g->bits_faulting[reg];
	if ((value & ~may_fault) != (x->reserved & WALKED))
		bad += mismatch(r, reg, WRITE_RESERVED, "#GP for bits 0x%lx, wanted 0x%lx",
				(unsigned long)value, (unsigned long)(x->reserved & WALKED));

	value = g->bits_kept[reg] & ~may_keep;
	if (value)
		bad += mismatch(r, reg, WRITE_RESERVED, "bits 0x%lx stay set",
				(unsigned long)value);

	return bad;
}

static enum cost wanted_cost(const struct results *r, u32 reg, enum access access)
{
	enum handler handler = get_handler(r, reg, access);
	bool by_cpu = r->mode == ACTIVE && handler == BY_CPU;

	if (access == WRITE_RESERVED)
		return by_cpu ? GP_BY_CPU : GP_BY_KVM;
	if (handler == NOBODY)
		return GP_BY_KVM;

	return by_cpu ? ACCELERATED : MSR_EXIT;
}

static int check_costs(const struct results *r, u32 reg)
{
	enum cost wanted, cost;
	enum access access;
	int bad = 0;

	for (access = READ; access < NR_ACCESSES; access++) {
		if (access == WRITE_RESERVED && !x2apic_regs[reg].reserved)
			continue;
		/* Without AVIC, it's KVM's choice whether to intercept CR8. */
		if (reg == CR8 && r->mode != ACTIVE)
			continue;

		wanted = wanted_cost(r, reg, access);
		cost = r->costs[reg][access];
		if (wanted == cost ||
		    (all->no_perf && wanted == MSR_EXIT && cost == OTHER_EXIT))
			continue;

		bad += mismatch(r, reg, access, "wanted %s (%s), got %s (%s)",
				costs[wanted].name, costs[wanted].what,
				costs[cost].name, costs[cost].what);
	}

	return bad;
}

FIXTURE(msrs) {
	struct results *results;
	const char *why_not;
};

FIXTURE_VARIANT(msrs) {
	const char *name;
	enum mode mode;
	enter_state_fn enter;
};

FIXTURE_VARIANT_ADD(msrs, active) {
	"active", ACTIVE
};

FIXTURE_VARIANT_ADD(msrs, without_x2avic) {
	"without_x2avic", EMULATED, enter_without_x2avic
};

FIXTURE_VARIANT_ADD(msrs, inhibited_by_id_too_big) {
	"inhibited_by_id_too_big", EMULATED, enter_id_too_big
};

FIXTURE_VARIANT_ADD(msrs, inhibited_by_blockirq) {
	"inhibited_by_blockirq", EMULATED, enter_blockirq
};

FIXTURE_VARIANT_ADD(msrs, inhibited_by_pit_reinj) {
	"inhibited_by_pit_reinj", EMULATED, enter_pit_reinj
};

FIXTURE_VARIANT_ADD(msrs, inhibited_by_apic_id_modified) {
	"inhibited_by_apic_id_modified", EMULATED, enter_apic_id_modified
};

FIXTURE_VARIANT_ADD(msrs, inhibited_by_apic_base_modified) {
	"inhibited_by_apic_base_modified", EMULATED, enter_apic_base_modified
};

FIXTURE_VARIANT_ADD(msrs, inhibited_by_physical_id_aliased) {
	"inhibited_by_physical_id_aliased", EMULATED, enter_physical_id_aliased
};

FIXTURE_VARIANT_ADD(msrs, inhibited_by_logical_id_aliased) {
	"inhibited_by_logical_id_aliased", EMULATED, enter_logical_id_aliased
};

FIXTURE_VARIANT_ADD(msrs, inhibited_by_hyperv_auto_eoi) {
	"inhibited_by_hyperv_auto_eoi", EMULATED, enter_hyperv_auto_eoi
};

FIXTURE_VARIANT_ADD(msrs, inhibited_by_nested) {
	"inhibited_by_nested", EMULATED, enter_l2
};

FIXTURE_VARIANT_ADD(msrs, inhibited_while_in_l2) {
	"inhibited_while_in_l2", EMULATED, enter_l1_inhibited_in_l2
};

FIXTURE_VARIANT_ADD(msrs, off_disabled) {
	"off_disabled", X2APIC_OFF, enter_disabled
};

FIXTURE_VARIANT_ADD(msrs, off_xapic) {
	"off_xapic", X2APIC_OFF, enter_xapic
};

FIXTURE_VARIANT_ADD(msrs, off_xapic_by_userspace) {
	"off_xapic_by_userspace", X2APIC_OFF, enter_xapic_by_userspace
};

FIXTURE_VARIANT_ADD(msrs, off_xapic_after_init) {
	"off_xapic_after_init", X2APIC_OFF, enter_init_xapic
};

FIXTURE_VARIANT_ADD(msrs, active_after_xapic) {
	"active_after_xapic", ACTIVE, enter_x2apic_again
};

FIXTURE_VARIANT_ADD(msrs, active_after_xapic_by_userspace) {
	"active_after_xapic_by_userspace", ACTIVE, enter_x2apic_by_userspace
};

FIXTURE_VARIANT_ADD(msrs, active_after_init) {
	"active_after_init", ACTIVE, enter_init
};

FIXTURE_VARIANT_ADD(msrs, active_after_init_while_inhibited) {
	"active_after_init_while_inhibited", ACTIVE, enter_init_inhibited
};

FIXTURE_VARIANT_ADD(msrs, active_after_set_lapic) {
	"active_after_set_lapic", ACTIVE, enter_set_lapic
};

FIXTURE_VARIANT_ADD(msrs, active_after_blockirq) {
	"active_after_blockirq", ACTIVE, enter_blockirq_off
};

FIXTURE_VARIANT_ADD(msrs, active_after_pit_reinj) {
	"active_after_pit_reinj", ACTIVE, enter_pit_reinj_off
};

FIXTURE_VARIANT_ADD(msrs, active_after_nested) {
	"active_after_nested", ACTIVE, enter_l1_again
};

FIXTURE_SETUP(msrs)
{
	struct test_vm t = {};
	struct results *r;
	u32 i;

	/* The state has been probed already if this isn't its first case. */
	for (i = 0; i < all->nr; i++) {
		self->results = &all->states[i];
		if (!strcmp(self->results->name, variant->name))
			return;
	}

	test_vm_init(&t);
	if (variant->enter)
		self->why_not = variant->enter(&t);

	if (!self->why_not) {
		TEST_ASSERT(all->nr < MAX_STATES, "Too many states");
		r = &all->states[all->nr];
		r->mode = variant->mode;
		if (r->mode == ACTIVE && !is_x2avic_enabled())
			r->mode = EMULATED;
		probe(&t, r);
		snprintf(r->name, sizeof(r->name), "%s", variant->name);

		self->results = r;
		all->no_perf |= t.perf_fd < 0;
		all->nr++;
	}

	kvm_vm_free(t.vm);
}

FIXTURE_TEARDOWN(msrs)
{
}

static int check_all(const struct results *r, int (*check)(const struct results *r, u32 reg))
{
	int bad = 0;
	u32 reg;

	for (reg = 0; reg < NR_REGS; reg++)
		bad += check(r, reg);
	return bad;
}

/* The guest must not see if, or why not, AVIC is active. */
TEST_F(msrs, results)
{
	int bad;

	if (self->why_not)
		SKIP(return, "%s", self->why_not);

	bad = check_all(self->results, check_results);
	TEST_ASSERT(!bad, "%s: %d results aren't as they should be, see above",
		    variant->name, bad);
}

TEST_F(msrs, costs)
{
	int bad;

	if (access("/sys/module/kvm_amd", F_OK))
		SKIP(return, "kvm_amd isn't loaded");
	if (self->why_not)
		SKIP(return, "%s", self->why_not);
	if (self->results->mode != variant->mode)
		SKIP(return, is_avic_enabled() ? "the CPU doesn't support x2AVIC" :
						 "kvm_amd.avic=0");

	bad = check_all(self->results, check_costs);
	TEST_ASSERT(!bad, "%s: %d accesses don't cost what they should, see above",
		    variant->name, bad);
}

/*
 * What isn't a matter of single accesses, with AVIC active (if it's enabled) and
 * inhibited.
 */
FIXTURE(apic) {
	struct test_vm t;
};

FIXTURE_VARIANT(apic) {
	enter_state_fn enter;
};

FIXTURE_VARIANT_ADD(apic, active) {
};

FIXTURE_VARIANT_ADD(apic, inhibited) {
	.enter = enter_pit_reinj,
};

FIXTURE_SETUP(apic)
{
	test_vm_init(&self->t);
	if (variant->enter)
		variant->enter(&self->t);
}

FIXTURE_TEARDOWN(apic)
{
	kvm_vm_free(self->t.vm);
}

static void guest_self_ipis(void)
{
	u32 i;

	for (i = 1; i <= NR_IRQS; i++) {
		x2apic_write_reg(APIC_SELF_IPI, SELF_IPI_VECTOR);
		GUEST_ASSERT_EQ(READ_ONCE(guest.nr_irqs[SELF_IPI_VECTOR]), i - 1);
		guest_wait_for_irq(SELF_IPI_VECTOR, i);
	}
}

TEST_F(apic, self_ipi_arrives)
{
	run_guest_fn(&self->t, guest_self_ipis);
	TEST_ASSERT_EQ(self->t.guest->nr_irqs[SELF_IPI_VECTOR], NR_IRQS);
}

static void guest_tsc_deadline(void)
{
	const u32 lvtt = APIC_LVT_TIMER_TSCDEADLINE | TIMER_VECTOR;
	u32 i;

	x2apic_write_reg(APIC_LVTT, lvtt);
	GUEST_ASSERT_EQ(x2apic_read_reg(APIC_LVTT), lvtt);

	/* Wait for it with and without HLT. */
	for (i = 1; i <= NR_IRQS; i++) {
		GUEST_ASSERT_EQ(READ_ONCE(guest.nr_irqs[TIMER_VECTOR]), i - 1);
		wrmsr(MSR_IA32_TSC_DEADLINE, rdtsc() + 100000);
		if (i % 2) {
			safe_halt();
			cli();
		}
		guest_wait_for_irq(TIMER_VECTOR, i);
		GUEST_ASSERT_EQ(rdmsr(MSR_IA32_TSC_DEADLINE), 0);
	}
}

TEST_F(apic, tsc_deadline_timer_fires)
{
	if (!kvm_has_cap(KVM_CAP_TSC_DEADLINE_TIMER))
		SKIP(return, "KVM doesn't support the TSC-deadline timer");

	run_guest_fn(&self->t, guest_tsc_deadline);
	TEST_ASSERT_EQ(self->t.guest->nr_irqs[TIMER_VECTOR], NR_IRQS);
}

static void guest_count_down(void)
{
	const u32 initial = 0x7fffffff;
	u32 last = initial, now;
	int i;

	x2apic_write_reg(APIC_LVTT, APIC_LVT_MASKED | TIMER_VECTOR);
	x2apic_write_reg(APIC_TDCR, 0xb);
	GUEST_ASSERT_EQ(x2apic_read_reg(APIC_TMCCT), 0);

	x2apic_write_reg(APIC_TMICT, initial);
	for (i = 0; i < NR_IRQS; i++) {
		while ((now = x2apic_read_reg(APIC_TMCCT)) == last)
			cpu_relax();
		GUEST_ASSERT(now < last && now);
		last = now;
	}

	x2apic_write_reg(APIC_TMICT, 0);
	GUEST_ASSERT_EQ(x2apic_read_reg(APIC_TMCCT), 0);
}

TEST_F(apic, tmcct_counts_down)
{
	run_guest_fn(&self->t, guest_count_down);
}

/* While the line is asserted, the interrupt comes again after each EOI. */
static void guest_level_irqs(void)
{
	int i;

	for (i = 0; i < 10 * NR_IRQS; i++) {
		if (READ_ONCE(guest.nr_irqs[LEVEL_VECTOR]) >= NR_IRQS)
			return;
		sti_nop();
		cli();
	}

	GUEST_FAIL("%u interrupts, wanted %u", READ_ONCE(guest.nr_irqs[LEVEL_VECTOR]), NR_IRQS);
}

/* One more may be pending when the line is deasserted. */
static void guest_no_level_irqs(void)
{
	u32 nr_irqs;

	sti_nop();
	cli();
	nr_irqs = READ_ONCE(guest.nr_irqs[LEVEL_VECTOR]);

	sti_nop();
	cli();
	GUEST_ASSERT_EQ(READ_ONCE(guest.nr_irqs[LEVEL_VECTOR]), nr_irqs);
}

/*
 * The EOI of a level-triggered interrupt is what x2AVIC leaves to KVM, which has to
 * tell the I/O APIC.
 */
TEST_F(apic, level_irq_comes_until_deasserted)
{
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC };

	vm_ioctl(self->t.vm, KVM_GET_IRQCHIP, &chip);
	chip.chip.ioapic.redirtbl[LEVEL_GSI].bits = LEVEL_VECTOR | IOAPIC_TRIGGER_LEVEL;
	vm_ioctl(self->t.vm, KVM_SET_IRQCHIP, &chip);

	kvm_irq_line(self->t.vm, LEVEL_GSI, 1);
	run_guest_fn(&self->t, guest_level_irqs);

	kvm_irq_line(self->t.vm, LEVEL_GSI, 0);
	run_guest_fn(&self->t, guest_no_level_irqs);
}

static const char *avic_state(void)
{
	return is_x2avic_enabled() ? "x2AVIC" : is_avic_enabled() ? "AVIC" : "no AVIC";
}

static void print_header(FILE *f)
{
	struct utsname u;

	uname(&u);
	fprintf(f, "# x2avic_msrs_test: Linux %s, CPU family 0x%x, model 0x%x, %s\n",
		u.release, this_cpu_family(), this_cpu_model(), avic_state());
}

/* The name of an MSR, for people and as CSV. */
static const char *msr_str(u32 reg)
{
	static char buf[8];

	if (reg == CR8)
		return "";
	snprintf(buf, sizeof(buf), "0x%x", APIC_BASE_MSR + reg);
	return buf;
}

/* What an AMD CPU's vCPU has. */
static void print_expectations(void)
{
	const struct results r = { .mode = ACTIVE };
	u32 reg;

	printf("msr,register,read,write\n");
	for (reg = 0; reg < NR_REGS; reg++) {
		if (x2apic_regs[reg].name)
			printf("%s,%s,%s,%s\n", msr_str(reg), reg_name(reg),
			       handler_names[get_handler(&r, reg, READ)],
			       handler_names[get_handler(&r, reg, WRITE)]);
	}
}

static bool is_same_row(u32 a, u32 b)
{
	u32 i;

	for (i = 0; i < all->nr; i++) {
		if (memcmp(all->states[i].costs[a], all->states[i].costs[b],
			   sizeof(all->states[i].costs[a])))
			return false;
	}
	return !x2apic_regs[a].name && !x2apic_regs[b].name;
}

static u64 nr_exits_of(const struct results *r)
{
	const u64 *p = r->nr_exits[0];
	u64 sum = 0;
	u32 i;

	for (i = 0; i < NR_REGS * NR_ACCESSES; i++)
		sum += p[i];
	return sum;
}

static void print_table(void)
{
	u64 nr_exits = 0;
	u32 i, reg, last;

	print_header(stdout);
	printf("# Costs of read, write, and write of reserved bits:\n");
	for (i = ACCELERATED; i < ARRAY_SIZE(costs); i++)
		printf("#   %c  %s\n", costs[i].letter, costs[i].what);
	for (i = 0; i < ARRAY_SIZE(quirks); i++)
		printf("# Quirk: %s\n", quirks[i].what);
	for (i = 0; i < all->nr; i++) {
		printf("# State %u: %s, %lu exits\n", i + 1, all->states[i].name,
		       (unsigned long)nr_exits_of(&all->states[i]));
		nr_exits += nr_exits_of(&all->states[i]);
	}
	printf("# All states: %lu exits\n", (unsigned long)nr_exits);

	printf("# %-12s%-12s", "MSR", "register");
	for (i = 0; i < all->nr; i++)
		printf("%-4u", i + 1);
	for (reg = 0; reg < NR_REGS; reg = last + 1) {
		for (last = reg; last + 1 < NR_REGS && is_same_row(reg, last + 1); last++)
			;
		printf("\n# %-5s", msr_str(reg));
		printf("%c%-6s%-12s", last > reg ? '-' : ' ', last > reg ? msr_str(last) : "",
		       x2apic_regs[reg].name ? reg_name(reg) : "");
		for (i = 0; i < all->nr; i++) {
			const enum cost *c = all->states[i].costs[reg];

			printf("%c%c%c ", costs[c[READ]].letter, costs[c[WRITE]].letter,
			       costs[c[WRITE_RESERVED]].letter);
		}
	}
	printf("\n");
	if (all->no_perf)
		printf("# Without tracefs and perf, kinds of exits are unknown.\n");
	fflush(stdout);
}

static void write_csv(const char *path)
{
	bool to_stdout = !strcmp(path, "-");
	FILE *f = to_stdout ? stdout : fopen(path, "w");
	const char *prefix = to_stdout ? "# " : "";
	u32 i, reg, access;

	if (!f) {
		fprintf(stderr, "Can't write to %s: %s\n", path, strerror(errno));
		return;
	}

	print_header(f);
	fprintf(f, "%sstate,msr,register,access,vector,value,cost\n", prefix);
	for (i = 0; i < all->nr; i++) {
		const struct results *r = &all->states[i];

		for (reg = 0; reg < NR_REGS; reg++) {
			for (access = READ; access < NR_ACCESSES; access++) {
				u64 value = access == READ  ? r->guest.cells[reg][READ].value :
					    access == WRITE ? r->guest.read_back[reg] :
							      r->guest.bits_faulting[reg];

				if (r->costs[reg][access] == NOT_MEASURED)
					continue;
				fprintf(f, "%s%s,%s,%s,%s,%u,0x%lx,%s\n", prefix, r->name,
					msr_str(reg), x2apic_regs[reg].name ? reg_name(reg) : "",
					access_names[access], r->guest.cells[reg][access].vector,
					(unsigned long)value, costs[r->costs[reg][access]].name);
			}
		}
	}
	if (to_stdout)
		fflush(f);
	else if (fclose(f))
		fprintf(stderr, "Can't write to %s: %s\n", path, strerror(errno));
}

static const char *csv_path;
static bool want_table;
static pid_t main_pid;

/* The harness doesn't return to main(). */
static void print_results(void)
{
	if (getpid() != main_pid)
		return;

	if (want_table)
		print_table();
	if (csv_path)
		write_csv(csv_path);
}

/* Take what's ours out of argv[], return the new argc. */
static int parse_options(int argc, char *argv[])
{
	int i, n = 1;

	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "-v")) {
			want_table = true;
		} else if (!strcmp(argv[i], "-o") && i + 1 < argc) {
			csv_path = argv[++i];
		} else if (!strcmp(argv[i], "-m")) {
			print_expectations();
			exit(KSFT_PASS);
		} else {
			argv[n++] = argv[i];
		}
	}
	argv[n] = NULL;
	return n;
}

int main(int argc, char *argv[])
{
	argc = parse_options(argc, argv);

	all = mmap(NULL, sizeof(*all), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(all != MAP_FAILED, "mmap() failed, errno %d", errno);

	/* Keep the tracepoint enabled, as turning it on and off takes long. */
	perf_open();

	main_pid = getpid();
	atexit(print_results);

	return test_harness_run(argc, argv);
}
