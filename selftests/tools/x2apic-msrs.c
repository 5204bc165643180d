// SPDX-License-Identifier: GPL-2.0-only
/*
 * x2apic-msrs: print what each access to each of the x2APIC's MSRs, and to CR8, costs
 * on this machine, in each of the states of x2apic_states.h.
 *
 *   x2apic-msrs		a table
 *   x2apic-msrs -o FILE	CSV ("-": to stdout, as comments of TAP)
 *   x2apic-msrs -m		what x2AVIC should handle by itself, as CSV
 *
 * A value in the CSV is what was read, is read back after a write, or for reserved
 * bits those that cause #GP.
 */
#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "x2apic_states.h"

enum access { READ, WRITE, RESERVED, NR_ACCESSES };

static const char * const access_names[] = { "read", "write", "reserved" };

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
 * Of which kind exits are is only known to the tracepoint kvm_exit, which perf
 * counts, if it may.
 */
enum exit_kind { EXIT_MSR, EXIT_AVIC, NR_EXIT_KINDS };

static const char * const exit_filters[] = {
	[EXIT_MSR]	= "exit_reason == 0x7c",
	[EXIT_AVIC]	= "exit_reason == 0x401 || exit_reason == 0x402",
};

/* The layout is the one of PERF_FORMAT_GROUP. */
struct kinds {
	u64 nr;
	u64 exits[NR_EXIT_KINDS];
};

static int perf_fd;

static struct result {
	enum cost costs[NR_REGS][NR_ACCESSES];
	u64 values[NR_REGS][NR_ACCESSES];
	u8 vectors[NR_REGS][NR_ACCESSES];
	bool available;
} results[ARRAY_SIZE(x2apic_states)];

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

	f = fopen("/sys/kernel/tracing/events/kvm/kvm_exit/id", "r");
	if (!f)
		return -1;
	i = fscanf(f, "%llu", &attr.config);
	fclose(f);
	if (i != 1)
		return -1;

	for (i = 0; i < NR_EXIT_KINDS; i++) {
		fd = syscall(__NR_perf_event_open, &attr, 0, -1, leader, 0);
		if (fd < 0 || ioctl(fd, PERF_EVENT_IOC_SET_FILTER, exit_filters[i]))
			return -1;
		if (!i)
			leader = fd;
	}
	return leader;
}

static struct kinds read_kinds(void)
{
	struct kinds kinds = {};

	if (perf_fd >= 0 && read(perf_fd, &kinds, sizeof(kinds)) != sizeof(kinds))
		TEST_FAIL("Can't read perf's counters, errno %d", errno);
	return kinds;
}

static enum cost get_cost(u8 vector, struct apicv_cost cost, const struct kinds *before,
			  const struct kinds *after)
{
	if (cost.exits > 1)
		return STRANGE;
	if (vector)
		return cost.exits ? GP_BY_KVM : GP_BY_CPU;
	if (!cost.exits)
		return ACCELERATED;
	/* Without NRIP, KVM decodes instructions merely to skip them. */
	if (after->exits[EXIT_MSR] != before->exits[EXIT_MSR])
		return MSR_EXIT;
	if (cost.emulations)
		return FAULT_EXIT;

	return after->exits[EXIT_AVIC] != before->exits[EXIT_AVIC] ? TRAP_EXIT : OTHER_EXIT;
}

/* The host may add exits, e.g. for NMIs: the cheapest of a few tries counts. */
static void measure(struct test_vm *t, struct result *r, u32 reg, enum access access, u64 value)
{
	struct apicv_cost cost, least = { -1ull };
	struct kinds before, after;
	int i;

	for (i = 0; i < 3; i++) {
		before = read_kinds();
		cost = x2apic_access(t, reg, 1, access != READ, value);
		after = read_kinds();
		if (cost.exits >= least.exits)
			continue;

		least = cost;
		r->vectors[reg][access] = t->guest->results[reg].vector;
		r->values[reg][access] = r->vectors[reg][access] ? 0 : t->guest->results[reg].value;
		r->costs[reg][access] = get_cost(r->vectors[reg][access], cost, &before, &after);
		if (cost.exits <= 1)
			break;
	}
}

static void measure_reg(struct test_vm *t, struct result *r, u32 reg)
{
	const struct x2apic_reg *x = &x2apic_regs[reg];
	u64 bits = x->reserved | x->ignored | (reg == REG(APIC_ICR) ? APIC_ICR_BUSY : 0);

	measure(t, r, reg, READ, 0);
	measure(t, r, reg, WRITE, x->valid);
	x2apic_access(t, reg, 1, false, 0);
	r->values[reg][WRITE] = t->guest->results[reg].vector ? 0 : t->guest->results[reg].value;

	if (x->reserved)
		measure(t, r, reg, RESERVED, x->valid | (x->reserved & -x->reserved));
	r->values[reg][RESERVED] = 0;
	for (; bits && !r->vectors[reg][WRITE]; bits &= bits - 1) {
		x2apic_access(t, reg, 1, true, x->valid | (bits & -bits));
		if (t->guest->results[reg].vector)
			r->values[reg][RESERVED] |= bits & -bits;
	}

	if (x->read != NOBODY && x->write != NOBODY && reg != REG(APIC_ICR))
		x2apic_access(t, reg, 1, true, x->initial);
}

static void measure_state(const struct x2apic_state *s, struct result *r)
{
	struct test_vm t;
	u32 reg;

	x2apic_state_enter(&t, s);

	/* Populate caches and page tables, e.g. those that are used for L2. */
	measure(&t, r, 0, READ, 0);
	for (reg = 0; reg < NR_REGS; reg++)
		measure_reg(&t, r, reg);

	kvm_vm_free(t.vm);
	r->available = true;
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

static void print_header(FILE *f)
{
	struct utsname u;

	uname(&u);
	fprintf(f, "# x2apic-msrs: Linux %s, CPU family 0x%x, model 0x%x, %s\n", u.release,
		this_cpu_family(), this_cpu_model(), !is_avic_enabled() ? "no AVIC" :
		is_apicv_enabled_in(true) ? "x2AVIC" : "AVIC");
	if (perf_fd < 0)
		fputs("x2apic-msrs: kinds of exits are unknown without tracefs and perf\n",
		      stderr);
}

/* -m needs no KVM, which the library looks for in its own constructor, a later one. */
static void __attribute__((constructor(101))) print_expectations(int argc, char *argv[])
{
	static const char * const names[] = { "-", "KVM", "CPU" };
	u32 reg;

	if (argc != 2 || strcmp(argv[1], "-m"))
		return;

	printf("msr,register,read,write\n");
	for (reg = 0; reg < NR_REGS; reg++) {
		if (x2apic_regs[reg].name)
			printf("%s,%s,%s,%s\n", msr_str(reg), x2apic_reg_name(reg),
			       names[x2apic_regs[reg].read], names[x2apic_regs[reg].write]);
	}

	/* exit() would undo what other constructors have yet to do. */
	fflush(stdout);
	_exit(0);
}

static bool is_same_row(u32 a, u32 b)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(results); i++) {
		if (memcmp(results[i].costs[a], results[i].costs[b], sizeof(results[i].costs[a])))
			return false;
	}
	return !x2apic_regs[a].name && !x2apic_regs[b].name;
}

static void print_table(void)
{
	u32 i, reg, last;

	print_header(stdout);
	printf("# Costs of read, write, and write of reserved bits:\n");
	for (i = ACCELERATED; i < ARRAY_SIZE(costs); i++)
		printf("#   %c  %s\n", costs[i].letter, costs[i].what);
	for (i = 0; i < ARRAY_SIZE(results); i++) {
		if (results[i].available)
			printf("# State %u: %s\n", i + 1, x2apic_states[i].name);
	}

	printf("# %-12s%-12s", "MSR", "register");
	for (i = 0; i < ARRAY_SIZE(results); i++)
		printf(results[i].available ? "%-4u" : "", i + 1);
	for (reg = 0; reg < NR_REGS; reg = last + 1) {
		for (last = reg; last + 1 < NR_REGS && is_same_row(reg, last + 1); last++)
			;
		printf("\n# %-5s", msr_str(reg));
		printf("%c%-6s%-12s", last > reg ? '-' : ' ', last > reg ? msr_str(last) : "",
		       x2apic_regs[reg].name ? x2apic_reg_name(reg) : "");
		for (i = 0; i < ARRAY_SIZE(results); i++) {
			const enum cost *c = results[i].costs[reg];

			if (results[i].available)
				printf("%c%c%c ", costs[c[READ]].letter, costs[c[WRITE]].letter,
				       costs[c[RESERVED]].letter);
		}
	}
	printf("\n");
}

static void write_csv(FILE *f, const char *prefix)
{
	u32 i, reg, access;

	print_header(f);
	fprintf(f, "%sstate,msr,register,access,vector,value,cost\n", prefix);
	for (i = 0; i < ARRAY_SIZE(results); i++) {
		const struct result *r = &results[i];

		for (reg = 0; r->available && reg < NR_REGS; reg++) {
			for (access = READ; access < NR_ACCESSES; access++) {
				if (r->costs[reg][access] == NOT_MEASURED)
					continue;
				fprintf(f, "%s%s,%s,%s,%s,%u,0x%lx,%s\n", prefix,
					x2apic_states[i].name, msr_str(reg),
					x2apic_regs[reg].name ? x2apic_reg_name(reg) : "",
					access_names[access], r->vectors[reg][access],
					(unsigned long)r->values[reg][access],
					costs[r->costs[reg][access]].name);
			}
		}
	}
}

static void die(const char *what, const char *path)
{
	fprintf(stderr, "x2apic-msrs: error: %s%s: %s\n", what, path, strerror(errno));
	exit(1);
}

int main(int argc, char *argv[])
{
	const char *path = NULL;
	FILE *f = NULL;
	int i, opt;

	while ((opt = getopt(argc, argv, "o:")) != -1) {
		switch (opt) {
		case 'o':
			path = optarg;
			break;
		default:
			return 1;
		}
	}

	if (path && strcmp(path, "-")) {
		f = fopen(path, "w");
		if (!f)
			die("can't write to ", path);
	}

	/* Keep the tracepoint enabled, as turning it on and off takes long. */
	perf_fd = perf_open();

	for (i = 0; i < ARRAY_SIZE(results); i++) {
		if (!x2apic_state_unavailable(&x2apic_states[i]))
			measure_state(&x2apic_states[i], &results[i]);
	}

	if (!path)
		print_table();
	else
		write_csv(f ?: stdout, f ? "" : "# ");
	if (f && fclose(f))
		die("can't write to ", path);
	return 0;
}
