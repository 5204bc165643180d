// SPDX-License-Identifier: GPL-2.0-only
/*
 * x2avic_msrs_test
 *
 * Access each of the x2APIC's MSRs, 0x800 ... 0x8ff, and CR8, in every state that
 * AVIC can be in: exactly the accesses that x2AVIC accelerates must not exit, all of
 * them must once x2AVIC isn't in use any more, whatever the reason, and the guest
 * must not see a difference.  x2apic_regs.h says what to expect.
 */
#include <stdarg.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "apicv.h"
#include "x2apic_states.h"

enum access {
	READ,
	WRITE,		/* a valid value, or zero if the register can't be written */
	WRITE_RESERVED,	/* ditto, but with a reserved bit set */
	NR_ACCESSES,
};

static const char * const access_names[] = { "read", "write", "write of a reserved bit" };

static enum handler get_handler(struct test_vm *t, u32 reg, enum access access)
{
	if (reg != CR8 && t->mode == X2APIC_OFF)
		return NOBODY;

	return access == READ ? x2apic_regs[reg].read : x2apic_regs[reg].write;
}

/* Print what's wrong with an access, and return 1 for counting. */
static int __printf(3, 4) mismatch(u32 reg, enum access access, const char *fmt, ...)
{
	va_list ap;

	printf("# %s (MSR 0x%x), %s: wanted ", x2apic_reg_name(reg), APIC_BASE_MSR + reg,
	       access_names[access]);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	return 1;
}

static u64 get_lapic_reg(struct test_vm *t, u32 reg)
{
	u64 high = reg == REG(APIC_ICR) ? vcpu_get_lapic_reg(t->vcpu, APIC_ICR2) : 0;

	return high << 32 | vcpu_get_lapic_reg(t->vcpu, reg << 4);
}

/* Did the guest see what it should?  Returns the number of mismatches. */
static int check_result(struct test_vm *t, u32 reg, enum access access, bool fault)
{
	u64 value = t->guest->results[reg].value;
	u8 vector = t->guest->results[reg].vector;

	if (vector != (fault ? GP_VECTOR : 0))
		return mismatch(reg, access, "%s, got vector %u", fault ? "#GP" : "no fault",
				vector);

	if (access == READ && !fault && reg != CR8 && value != get_lapic_reg(t, reg))
		return mismatch(reg, access, "0x%lx, got 0x%lx",
				(unsigned long)get_lapic_reg(t, reg), (unsigned long)value);
	return 0;
}

/* Check one register, or several that are alike. */
static int check_access(struct test_vm *t, u32 reg, u32 nr, enum access access)
{
	enum handler handler = get_handler(t, reg, access);
	bool by_cpu = t->mode == ACTIVE && handler == BY_CPU;
	u64 reserved = x2apic_regs[reg].reserved;
	u64 value = x2apic_regs[reg].valid | (access == WRITE_RESERVED ? reserved & -reserved : 0);
	struct apicv_cost cost = { -1ull };
	u64 want = by_cpu ? 0 : nr;
	int i, bad = 0;

	/* The host may add exits, e.g. for NMIs, but doesn't do so time and again. */
	for (i = 0; i < 3 && (cost.exits != want || cost.emulations); i++)
		cost = x2apic_access(t, reg, nr, access != READ, value);

	for (i = 0; i < nr; i++)
		bad += check_result(t, reg + i, access,
				    handler == NOBODY || access == WRITE_RESERVED);

	/* Without AVIC, it's KVM's choice whether to intercept CR8. */
	if ((cost.exits == want && !cost.emulations) || (reg == CR8 && t->mode != ACTIVE))
		return bad;

	/* Which one is it? */
	for (i = 0; nr > 1 && i < nr; i++)
		bad += check_access(t, reg + i, 1, access);
	if (nr == 1)
		mismatch(reg, access, "%s exit, got %lu exits, %lu emulations", want ? "an" : "no",
			 (unsigned long)cost.exits, (unsigned long)cost.emulations);
	return bad + 1;
}

static int check_reg(struct test_vm *t, u32 reg)
{
	const struct x2apic_reg *r = &x2apic_regs[reg];
	int bad = check_access(t, reg, 1, READ) + check_access(t, reg, 1, WRITE);

	if (get_handler(t, reg, READ) != NOBODY) {
		x2apic_access(t, reg, 1, false, 0);
		if (t->guest->results[reg].value != r->valid)
			bad += mismatch(reg, WRITE, "0x%lx to be read back, got 0x%lx",
					(unsigned long)r->valid,
					(unsigned long)t->guest->results[reg].value);
		if (reg != REG(APIC_ICR))
			x2apic_access(t, reg, 1, true, r->initial);
	}

	return bad + (r->reserved ? check_access(t, reg, 1, WRITE_RESERVED) : 0);
}

/* The number of registers from this one on that can't be written, and are alike. */
static u32 nr_alike(u32 first)
{
	const struct x2apic_reg *r = &x2apic_regs[first];
	u32 nr = 0;

	while (first + nr < NR_REGS && r[nr].write == NOBODY && r[nr].read == r->read)
		nr++;
	return nr;
}

static int check_all(struct test_vm *t)
{
	u32 reg, nr;
	int bad = 0;

	for (reg = 0; reg < NR_REGS; reg += nr ?: 1) {
		/* Access as many as possible at once. */
		nr = nr_alike(reg);
		if (nr)
			bad += check_access(t, reg, nr, READ) + check_access(t, reg, nr, WRITE);
		else if (t->mode != X2APIC_OFF || reg == CR8)
			bad += check_reg(t, reg);
		else
			bad += check_access(t, reg, 1, READ) + check_access(t, reg, 1, WRITE);
	}
	return bad;
}

/* In a process of its own: other states may do even if this one's guest fails. */
static bool test_state(const struct x2apic_state *s)
{
	struct test_vm t;
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	TEST_ASSERT(pid >= 0, "fork() failed");
	if (!pid) {
		x2apic_state_enter(&t, s);
		exit(!!check_all(&t));
	}

	TEST_ASSERT_EQ(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) && !WEXITSTATUS(status);
}

int main(int argc, char *argv[])
{
	const struct x2apic_state *s = x2apic_states;
	const char *why_not;
	int i;

	TEST_REQUIRE(kvm_has_cap(KVM_CAP_TSC_DEADLINE_TIMER));
	TEST_REQUIRE(kvm_cpu_has(X86_FEATURE_SVM));

	ksft_print_header();
	ksft_set_plan(ARRAY_SIZE(x2apic_states));

	for (i = 0; i < ARRAY_SIZE(x2apic_states); i++) {
		why_not = x2apic_state_unavailable(&s[i]);
		if (why_not) {
			ksft_test_result_code(KSFT_SKIP, s[i].name, "%s\n", why_not);
			continue;
		}

		ksft_test_result(test_state(&s[i]), "%s\n", s[i].name);
	}

	ksft_finished();
}
