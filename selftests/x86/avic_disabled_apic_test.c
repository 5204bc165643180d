// SPDX-License-Identifier: GPL-2.0-only
/*
 * avic_disabled_apic_test
 *
 * Test that a vCPU whose local APIC is disabled by APIC_BASE gets no IPIs, neither at
 * once nor when the APIC is enabled again, while other targets of the same IPI get it,
 * and that it gets all IPIs afterwards: whoever disables and enables the APIC, the guest
 * or userspace, and whether or not AVIC is inhibited in each of these steps.  Likewise that
 * an interrupt that was pending before is taken when the APIC is enabled again.
 */
#include "kvm_test_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "apicv.h"

#define FIRST_VECTOR	0x41

/* Also the IDs of the vCPUs. */
enum { SENDER, TARGET, OTHER, BYSTANDER, NR_VCPUS };

#define ALL_BUT_SENDER	(BIT(TARGET) | BIT(OTHER))

static const struct ipi {
	const char *name;
	u32 icr;
	u32 dest;
	u32 targets;
} ipis[] = {
	{ "physical",		0,		   TARGET,			BIT(TARGET) },
	{ "logical",		APIC_DEST_LOGICAL, BIT(TARGET),			BIT(TARGET) },
	{ "two vCPUs",		APIC_DEST_LOGICAL, BIT(TARGET) | BIT(OTHER),	ALL_BUT_SENDER },
	{ "broadcast",		0,		   -1u,				-1u },
	{ "logical broadcast",	APIC_DEST_LOGICAL, -1u,				-1u },
	{ "all but self",	APIC_DEST_ALLBUT,  0,				ALL_BUT_SENDER },
	{ "all",		APIC_DEST_ALLINC,  0,				-1u },
};

/* The steps in each of which AVIC may be inhibited. */
enum { DISABLE, SEND, ENABLE, SEND_AGAIN, NR_STEPS };

static struct {
	bool x2apic;
	bool send;
	bool pend;
	u32 nr_irqs[NR_VCPUS][ARRAY_SIZE(ipis)];
} shared;

static void guest_irq_handler(struct ex_regs *regs)
{
	shared.nr_irqs[rdmsr(MSR_GS_BASE)][regs->vector - FIRST_VECTOR]++;
	apic_eoi(shared.x2apic);
}

static void guest_init(u32 index)
{
	wrmsr(MSR_GS_BASE, index);
	apic_enable(shared.x2apic);
	if (!shared.x2apic)
		xapic_write_reg(APIC_LDR, SET_APIC_DEST_FIELD(BIT(index)));
}

static void guest_sender_code(void)
{
	int i;

	guest_init(SENDER);

	for (;;) {
		GUEST_SYNC(0);
		apic_write_tpr_repeatedly(shared.x2apic);

		for (i = 0; shared.send && i < ARRAY_SIZE(ipis); i++)
			apic_send_ipi(shared.x2apic, ipis[i].dest,
				      ipis[i].icr | APIC_DM_FIXED | (FIRST_VECTOR + i));

		/* Some are for the sender, too.  KVM inhibits AVIC to inject what's blocked. */
		sti_nop();
		cli();
	}
}

/* Take what's pending, between any two syncs. */
static void guest_other_code(void)
{
	guest_init(OTHER);

	for (;;) {
		GUEST_SYNC(0);
		sti_nop();
		cli();
	}
}

/* Likewise, but disable the APIC, unless userspace does it, and then enable it. */
static void guest_target_code(bool by_userspace)
{
	u64 base;

	guest_init(TARGET);

	for (;;) {
		GUEST_SYNC(DISABLE);
		if (shared.pend)
			apic_send_self_ipi(shared.x2apic, FIRST_VECTOR);
		if (!by_userspace)
			apic_disable();

		GUEST_SYNC(ENABLE);
		/* x2APIC mode can be entered from xAPIC mode only. */
		base = rdmsr(MSR_IA32_APICBASE) | MSR_IA32_APICBASE_ENABLE;
		if (!by_userspace)
			wrmsr(MSR_IA32_APICBASE, base);
		if (!by_userspace && shared.x2apic)
			wrmsr(MSR_IA32_APICBASE, base | MSR_IA32_APICBASE_EXTD);
		sti_nop();
		cli();

		GUEST_SYNC(SEND_AGAIN);
		sti_nop();
		cli();
	}
}

FIXTURE(disabled) {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpus[NR_VCPUS];
	typeof(shared) *guest;
};

FIXTURE_VARIANT(disabled) {
	bool x2apic;
	bool by_userspace;
};

FIXTURE_VARIANT_ADD(disabled, xapic) { };
FIXTURE_VARIANT_ADD(disabled, xapic_by_userspace) { .by_userspace = true };
FIXTURE_VARIANT_ADD(disabled, x2apic) { .x2apic = true };
FIXTURE_VARIANT_ADD(disabled, x2apic_by_userspace) { .x2apic = true, .by_userspace = true };

FIXTURE_SETUP(disabled)
{
	static void * const code[] = {
		guest_sender_code, guest_target_code, guest_other_code, guest_other_code };
	int i;

	self->vm = vm_create(NR_VCPUS);
	virt_pg_map(self->vm, APIC_DEFAULT_GPA, APIC_DEFAULT_GPA);
	for (i = 0; i < ARRAY_SIZE(ipis); i++)
		vm_install_exception_handler(self->vm, FIRST_VECTOR + i, guest_irq_handler);

	self->guest = addr_gva2hva(self->vm, (u64)&shared);
	self->guest->x2apic = variant->x2apic;

	for (i = 0; i < NR_VCPUS; i++)
		self->vcpus[i] = vm_vcpu_add(self->vm, i, code[i]);
	vcpu_args_set(self->vcpus[TARGET], 1, (u64)variant->by_userspace);
	for (i = 0; i < BYSTANDER; i++)
		vcpu_run_to_sync(self->vcpus[i]);
}

FIXTURE_TEARDOWN(disabled)
{
	kvm_vm_free(self->vm);
}

static void set_apic_base(struct kvm_vcpu *vcpu, u64 set, u64 clear)
{
	struct kvm_sregs sregs;

	vcpu_sregs_get(vcpu, &sregs);
	sregs.apic_base = (sregs.apic_base & ~clear) | set;
	vcpu_sregs_set(vcpu, &sregs);
}

/* The APIC's mode, as bits of APIC_BASE. */
static u64 apic_mode(bool x2apic)
{
	return MSR_IA32_APICBASE_ENABLE | (x2apic ? MSR_IA32_APICBASE_EXTD : 0);
}

/* Have all vCPUs but the target got the IPIs, @nr times each, and the target @nr_target? */
static void assert_irqs(typeof(shared) *guest, u32 nr, u32 nr_target, u32 inhibited)
{
	u32 i, vcpu;

	for (i = 0; i < ARRAY_SIZE(ipis); i++) {
		for (vcpu = SENDER; vcpu < BYSTANDER; vcpu++) {
			u32 want = vcpu == TARGET ? nr_target : nr, got = guest->nr_irqs[vcpu][i];

			if (!(ipis[i].targets & BIT(vcpu)))
				want = 0;
			TEST_ASSERT(got == want, "%s, inhibited 0x%x: vCPU %u got %u, wanted %u",
				    ipis[i].name, inhibited, vcpu, got, want);
		}
	}
}

TEST_F(disabled, gets_no_ipis)
{
	struct kvm_vcpu *sender = self->vcpus[SENDER], *target = self->vcpus[TARGET];
	u32 inhibited;

	for (inhibited = 0; inhibited < BIT(NR_STEPS); inhibited++) {
		memset(self->guest->nr_irqs, 0, sizeof(self->guest->nr_irqs));

		set_apicv_inhibit(self->vcpus[BYSTANDER], inhibited & BIT(DISABLE));
		if (variant->by_userspace)
			set_apic_base(target, 0, apic_mode(variant->x2apic));
		TEST_ASSERT_EQ(vcpu_run_to_sync(target), ENABLE);

		set_apicv_inhibit(self->vcpus[BYSTANDER], inhibited & BIT(SEND));
		vcpu_assert_apicv(sender, !(inhibited & BIT(SEND)) &&
				  is_apicv_enabled_in(variant->x2apic));
		self->guest->send = true;
		vcpu_run_to_sync(sender);
		vcpu_run_to_sync(self->vcpus[OTHER]);

		set_apicv_inhibit(self->vcpus[BYSTANDER], inhibited & BIT(ENABLE));
		if (variant->by_userspace)
			set_apic_base(target, apic_mode(variant->x2apic), 0);
		TEST_ASSERT_EQ(vcpu_run_to_sync(target), SEND_AGAIN);
		assert_irqs(self->guest, 1, 0, inhibited);

		set_apicv_inhibit(self->vcpus[BYSTANDER], inhibited & BIT(SEND_AGAIN));
		vcpu_run_to_sync(sender);
		TEST_ASSERT_EQ(vcpu_run_to_sync(target), DISABLE);
		vcpu_run_to_sync(self->vcpus[OTHER]);
		self->guest->send = false;
		assert_irqs(self->guest, 2, 1, inhibited);
	}
}

TEST_F(disabled, keeps_pending_irqs)
{
	struct kvm_vcpu *target = self->vcpus[TARGET];
	u32 inhibited, got;

	self->guest->pend = true;
	for (inhibited = 0; inhibited < BIT(2); inhibited++) {
		self->guest->nr_irqs[TARGET][0] = 0;

		set_apicv_inhibit(self->vcpus[BYSTANDER], inhibited & BIT(0));
		TEST_ASSERT_EQ(vcpu_run_to_sync(target), ENABLE);

		set_apicv_inhibit(self->vcpus[BYSTANDER], inhibited & BIT(1));
		if (variant->by_userspace) {
			set_apic_base(target, 0, apic_mode(variant->x2apic));
			set_apic_base(target, apic_mode(variant->x2apic), 0);
		}
		TEST_ASSERT_EQ(vcpu_run_to_sync(target), SEND_AGAIN);

		got = self->guest->nr_irqs[TARGET][0];
		TEST_ASSERT(got == 1, "inhibited 0x%x: got %u pending interrupts", inhibited, got);
		TEST_ASSERT_EQ(vcpu_run_to_sync(target), DISABLE);
	}
}

int main(int argc, char *argv[])
{
	/* Intel's IPI virtualization is another thing, and isn't tested here. */
	TEST_REQUIRE(!access("/sys/module/kvm_amd", F_OK));
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_IRQCHIP));

	return test_harness_run(argc, argv);
}
