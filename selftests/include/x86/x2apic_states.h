/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A guest that accesses registers of its x2APIC as the host wants, and the states
 * that AVIC can be in meanwhile.
 */
#ifndef SELFTEST_KVM_X2APIC_STATES_H
#define SELFTEST_KVM_X2APIC_STATES_H

#include "svm_util.h"
#include "x2apic_regs.h"

#define IN_SERVICE_VECTOR	0x31

/* What the guest does next, and what came of it. */
static struct {
	void (*fn)(void);
	struct svm_test_data *svm;

	u32 first_reg;
	u32 nr_regs;
	bool write;
	u64 value;
	struct {
		u64 value;
		u8 vector;
	} results[NR_REGS];
} guest;

static void guest_access(void)
{
	u64 value = guest.value;
	u32 reg;
	u8 vec;

	for (reg = guest.first_reg; reg < guest.first_reg + guest.nr_regs; reg++) {
		vec = guest.write ? x2apic_write_safe(reg, value) : x2apic_read_safe(reg, &value);
		guest.results[reg].vector = vec;
		guest.results[reg].value = value;
	}
}

/* Wait for orders, both in L1 and in L2. */
static void guest_code(void)
{
	for (;;) {
		GUEST_SYNC(0);
		guest.fn();
	}
}

static void guest_irq_handler(struct ex_regs *regs)
{
	/* The first one stays in service, the others are what was left pending. */
	if (regs->vector != IN_SERVICE_VECTOR)
		x2apic_write_reg(APIC_EOI, 0);
}

/* Put all registers into a known state, with one interrupt in service. */
static void guest_prepare(void)
{
	const struct x2apic_reg *r = x2apic_regs;
	u32 reg;

	x2apic_enable();
	for (reg = 0; reg < NR_REGS; reg++) {
		if (r[reg].read != NOBODY && r[reg].write != NOBODY && reg != REG(APIC_ICR))
			x2apic_write_safe(reg, r[reg].initial);
	}

	x2apic_write_reg(APIC_EOI, 0);
	apic_send_self_ipi(true, IN_SERVICE_VECTOR);
	sti_nop();
	cli();
}

static void guest_enter_l2(void)
{
	generic_svm_setup(guest.svm, guest_code);
	run_guest(guest.svm->vmcb, guest.svm->vmcb_gpa);
	GUEST_ASSERT_EQ(guest.svm->vmcb->control.exit_code, SVM_EXIT_VMMCALL);
	stgi();

	/* With SVM enabled, KVM may intercept #GP. */
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~EFER_SVME);
}

/* Doesn't return, L1 goes on in guest_enter_l2(). */
static void guest_leave_l2(void)
{
	vmmcall();
}

enum mode {
	ACTIVE,		/* accelerated by x2AVIC */
	EMULATED,	/* by KVM, x2AVIC is inhibited or there is none */
	X2APIC_OFF,	/* #GP, the APIC is disabled or in xAPIC mode */
};

struct test_vm {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu, *bystander;
	typeof(guest) *guest;
	enum mode mode;
};

static void run_guest_fn(struct test_vm *t, void (*fn)(void))
{
	t->guest->fn = fn;
	vcpu_run_to_sync(t->vcpu);
}

/*
 * How to get into a state, and out of it again if AVIC is to be active, with the
 * vCPU in x2APIC mode.
 */
static void enter_nothing(struct test_vm *t)
{
}

static void enter_disabled(struct test_vm *t)
{
	run_guest_fn(t, apic_disable);
	if (t->mode == ACTIVE)
		run_guest_fn(t, xapic_enable);
}

static void enter_xapic(struct test_vm *t)
{
	run_guest_fn(t, xapic_enable);
}

static void set_x2apic_mode(struct test_vm *t, bool x2apic)
{
	u64 base = vcpu_get_msr(t->vcpu, MSR_IA32_APICBASE) & ~MSR_IA32_APICBASE_EXTD;

	vcpu_set_msr(t->vcpu, MSR_IA32_APICBASE, base | (x2apic ? MSR_IA32_APICBASE_EXTD : 0));
}

static void enter_xapic_by_userspace(struct test_vm *t)
{
	set_x2apic_mode(t, false);
	if (t->mode == ACTIVE)
		set_x2apic_mode(t, true);
}

/* INIT, upon which the vCPU goes on where it was, instead of at the reset vector. */
static void enter_init(struct test_vm *t)
{
	struct kvm_msi msi = { .address_lo = APIC_DEFAULT_GPA, .data = APIC_DM_INIT };
	struct kvm_mp_state mp_state;
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	vcpu_run_complete_io(t->vcpu);
	vcpu_sregs_get(t->vcpu, &sregs);
	vcpu_regs_get(t->vcpu, &regs);

	TEST_ASSERT_EQ(__vm_ioctl(t->vm, KVM_SIGNAL_MSI, &msi), 1);
	/* KVM acts on INIT when it's asked for the state. */
	vcpu_mp_state_get(t->vcpu, &mp_state);

	vcpu_sregs_set(t->vcpu, &sregs);
	vcpu_regs_set(t->vcpu, &regs);
	if (t->mode == X2APIC_OFF)
		set_x2apic_mode(t, false);
}

static void enter_init_while_inhibited(struct test_vm *t)
{
	set_apicv_inhibit(t->bystander, true);
	vcpu_run_complete_io(t->vcpu);
	enter_init(t);
	set_apicv_inhibit(t->bystander, false);
}

static void enter_set_lapic(struct test_vm *t)
{
	vcpu_save_and_restore_apic(t->vcpu);
}

static void enter_l2(struct test_vm *t)
{
	/* The library stores the guest's address, as an integer. */
	vcpu_alloc_svm(t->vm, (void *)&t->guest->svm);
	run_guest_fn(t, guest_enter_l2);
	if (t->mode == ACTIVE)
		run_guest_fn(t, guest_leave_l2);
}

/* What KVM undid for L2 must not come back if AVIC is inhibited meanwhile. */
static void enter_l2_then_inhibit(struct test_vm *t)
{
	enter_l2(t);
	set_apicv_inhibit(t->bystander, true);
	run_guest_fn(t, guest_leave_l2);
}

static void enter_inhibit(struct test_vm *t, int how)
{
	TEST_ASSERT(apicv_inhibits[how].is_supported(t->vm), "Not supported: inhibit by %s",
		    apicv_inhibits[how].name);

	apicv_inhibits[how].set(t->bystander, true);
	run_guest_fn(t, guest_prepare);
	if (t->mode == ACTIVE)
		apicv_inhibits[how].set(t->bystander, false);
}

static void enter_blockirq(struct test_vm *t) { enter_inhibit(t, 0); }
static void enter_pit_reinject(struct test_vm *t) { enter_inhibit(t, 1); }
static void enter_hyperv_auto_eoi(struct test_vm *t) { enter_inhibit(t, 2); }
static void enter_apic_id_modified(struct test_vm *t) { enter_inhibit(t, 3); }

/* An inhibit that is never lifted. */
static void enter_apic_base_modified(struct test_vm *t)
{
	u64 base = vcpu_get_msr(t->bystander, MSR_IA32_APICBASE);

	vcpu_set_msr(t->bystander, MSR_IA32_APICBASE, base - PAGE_SIZE);
}

static const struct x2apic_state {
	const char *name;
	enum mode mode;
	void (*enter)(struct test_vm *t);
} x2apic_states[] = {
	{ "active", ACTIVE, enter_nothing },
	{ "without_x2avic", EMULATED, enter_nothing },
	{ "inhibited_by_blockirq", EMULATED, enter_blockirq },
	{ "inhibited_by_pit_reinject", EMULATED, enter_pit_reinject },
	{ "inhibited_by_hyperv_auto_eoi", EMULATED, enter_hyperv_auto_eoi },
	{ "inhibited_by_apic_id_modified", EMULATED, enter_apic_id_modified },
	{ "inhibited_by_apic_base_modified", EMULATED, enter_apic_base_modified },
	{ "inhibited_by_nested", EMULATED, enter_l2 },
	{ "inhibited_while_in_l2", EMULATED, enter_l2_then_inhibit },
	{ "off_disabled", X2APIC_OFF, enter_disabled },
	{ "off_xapic", X2APIC_OFF, enter_xapic },
	{ "off_xapic_by_userspace", X2APIC_OFF, enter_xapic_by_userspace },
	{ "off_xapic_after_init", X2APIC_OFF, enter_init },
	{ "active_after_disabled", ACTIVE, enter_disabled },
	{ "active_after_xapic", ACTIVE, enter_xapic },
	{ "active_after_xapic_by_userspace", ACTIVE, enter_xapic_by_userspace },
	{ "active_after_init", ACTIVE, enter_init },
	{ "active_after_init_while_inhibited", ACTIVE, enter_init_while_inhibited },
	{ "active_after_set_lapic", ACTIVE, enter_set_lapic },
	{ "active_after_blockirq", ACTIVE, enter_blockirq },
	{ "active_after_pit_reinject", ACTIVE, enter_pit_reinject },
	{ "active_after_hyperv_auto_eoi", ACTIVE, enter_hyperv_auto_eoi },
	{ "active_after_apic_id_modified", ACTIVE, enter_apic_id_modified },
	{ "active_after_nested", ACTIVE, enter_l2 },
};

/* Why not, if the CPU or KVM can't get into the state at all. */
static inline const char *x2apic_state_unavailable(const struct x2apic_state *s)
{
	const bool has_x2avic = is_avic_enabled() && is_apicv_enabled_in(true);

	if (s->mode == ACTIVE)
		return has_x2avic ? NULL : "x2AVIC is disabled";

	return s->enter == enter_nothing && has_x2avic ? "x2AVIC is enabled" : NULL;
}

/* Create a VM whose vCPU is in that state. */
static inline void x2apic_state_enter(struct test_vm *t, const struct x2apic_state *s)
{
	t->mode = s->mode;
	t->vm = vm_create(2);
	virt_pg_map(t->vm, APIC_DEFAULT_GPA, APIC_DEFAULT_GPA);
	vm_install_exception_handler(t->vm, IN_SERVICE_VECTOR, guest_irq_handler);
	vm_install_exception_handler(t->vm, ICR_VECTOR, guest_irq_handler);
	vm_install_exception_handler(t->vm, SELF_IPI_VECTOR, guest_irq_handler);

	t->vcpu = vm_vcpu_add(t->vm, 0, guest_code);
	t->bystander = vm_vcpu_add(t->vm, 1, guest_code);
	vcpu_set_cpuid_feature(t->vcpu, X86_FEATURE_TSC_DEADLINE_TIMER);
	t->guest = addr_gva2hva(t->vm, (u64)&guest);

	vcpu_run_to_sync(t->vcpu);
	run_guest_fn(t, guest_prepare);
	s->enter(t);
	if (s->mode == ACTIVE)
		run_guest_fn(t, guest_prepare);
}

/* Have the guest make the same access to some registers, and return what it cost. */
static inline struct apicv_cost x2apic_access(struct test_vm *t, u32 reg, u32 nr, bool write,
					      u64 value)
{
	t->guest->first_reg = reg;
	t->guest->nr_regs = nr;
	t->guest->write = write;
	t->guest->value = value;
	t->guest->fn = guest_access;

	return vcpu_measure_to_sync(t->vcpu);
}

#endif /* SELFTEST_KVM_X2APIC_STATES_H */
