// SPDX-License-Identifier: GPL-2.0-only
/*
 * Helpers for tests of APIC virtualization, i.e. AVIC and APICv.
 */
#include <errno.h>

#include "apicv.h"
#include "hyperv.h"

/* How often to look for a number of VM-Exits that the host has no share in. */
#define NR_TRIES		3

#define HV_SINT_VECTOR		0x20
#define HV_SINT_MASKED		BIT_ULL(16)
#define HV_SINT_AUTO_EOI	BIT_ULL(17)

bool is_avic_enabled(void)
{
	return !access("/sys/module/kvm_amd/parameters/avic", R_OK) &&
	       kvm_get_module_param_bool("kvm_amd", "avic");
}

bool is_apicv_enabled(void)
{
	if (is_avic_enabled())
		return true;

	return !access("/sys/module/kvm_intel/parameters/enable_apicv", R_OK) &&
	       kvm_get_module_param_bool("kvm_intel", "enable_apicv");
}

bool is_apicv_enabled_in(bool x2apic)
{
	if (x2apic && is_avic_enabled())
		return this_cpu_has(X86_FEATURE_HOST_X2AVIC);

	return is_apicv_enabled();
}

u32 avic_max_id(bool x2apic)
{
	if (!x2apic || !this_cpu_has(X86_FEATURE_HOST_X2AVIC))
		return AVIC_MAX_ID;

	return this_cpu_has(X86_FEATURE_HOST_X2AVIC_EXT) ? X2AVIC_EXT_MAX_ID : X2AVIC_MAX_ID;
}

struct kvm_vm *vm_create_with_split_irqchip(u32 nr_runnable_vcpus)
{
	struct kvm_vm *vm = vm_create(nr_runnable_vcpus);

	/* KVM's own can't be got rid of, but in another VM. */
	kvm_vm_release(vm);
	vm->has_irqchip = false;
	kvm_vm_restart(vm);
	vm_enable_cap(vm, KVM_CAP_SPLIT_IRQCHIP, 24);
	vm->has_irqchip = true;

	return vm;
}

u64 vcpu_run_to_sync(struct kvm_vcpu *vcpu)
{
	struct ucall uc;

	vcpu_run(vcpu);
	if (get_ucall(vcpu, &uc) == UCALL_ABORT)
		REPORT_GUEST_ASSERT(uc);
	TEST_ASSERT(uc.cmd == UCALL_SYNC,
		    "vCPU %u: wanted a sync, got ucall %lu, exit reason %u (%s)",
		    vcpu->id, (unsigned long)uc.cmd, vcpu->run->exit_reason,
		    exit_reason_str(vcpu->run->exit_reason));

	return uc.args[1];
}

void *vcpu_thread_to_sync(void *vcpu)
{
	vcpu_run_to_sync(vcpu);
	return NULL;
}

struct apicv_cost vcpu_get_cost(struct kvm_vcpu *vcpu)
{
	return (struct apicv_cost) {
		.exits = vcpu_get_stat(vcpu, exits) - vcpu_get_stat(vcpu, irq_exits),
		.emulations = vcpu_get_stat(vcpu, insn_emulation),
	};
}

struct apicv_cost vcpu_measure_to_sync(struct kvm_vcpu *vcpu)
{
	struct apicv_cost before = vcpu_get_cost(vcpu), after;

	vcpu_run_to_sync(vcpu);
	after = vcpu_get_cost(vcpu);

	return (struct apicv_cost) {
		.exits = after.exits - before.exits - 1,
		.emulations = after.emulations - before.emulations,
	};
}

u64 vcpu_nr_exits_to_sync(struct kvm_vcpu *vcpu, u64 want)
{
	u64 exits = -1ull;
	int i;

	vcpu_run_to_sync(vcpu);

	for (i = 0; i < NR_TRIES && exits != want; i++)
		exits = min_t(u64, exits, vcpu_measure_to_sync(vcpu).exits);

	return exits;
}

void vcpu_assert_exits(struct kvm_vcpu *vcpu, u64 want, const char *what)
{
	u64 exits = vcpu_nr_exits_to_sync(vcpu, want);

	TEST_ASSERT(exits == want, "vCPU %u: %lu VM-Exits, wanted %lu: %s", vcpu->id,
		    (unsigned long)exits, (unsigned long)want, what);
}

void vcpu_assert_apicv(struct kvm_vcpu *vcpu, bool active)
{
	vcpu_assert_exits(vcpu, active ? 0 : NR_TPR_WRITES,
			  active ? "APICv should be active" : "APICv should be inactive");
}

bool vcpu_is_apicv_active(struct kvm_vcpu *vcpu)
{
	u64 exits = 1;
	int i;

	vcpu_run_to_sync(vcpu);

	for (i = 0; i < NR_TRIES && exits && exits != NR_TPR_WRITES; i++)
		exits = vcpu_measure_to_sync(vcpu).exits;

	TEST_ASSERT(!exits || exits == NR_TPR_WRITES,
		    "vCPU %u: %lu VM-Exits, wanted either none or %u, %u writes of the TPR",
		    vcpu->id, (unsigned long)exits, NR_TPR_WRITES, NR_TPR_WRITES);

	return !exits;
}

void set_apicv_inhibit(struct kvm_vcpu *bystander, bool inhibit)
{
	struct kvm_guest_debug debug = {
		.control = inhibit ? KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_BLOCKIRQ : 0,
	};

	vcpu_guest_debug_set(bystander, &debug);
}

static bool has_blockirq(struct kvm_vm *vm)
{
	return kvm_check_cap(KVM_CAP_SET_GUEST_DEBUG2) & KVM_GUESTDBG_BLOCKIRQ;
}

/* KVM's PIT inhibits AVIC while it reinjects interrupts, APICv never. */
static bool has_pit_inhibit(struct kvm_vm *vm)
{
	struct kvm_pit_config config = {};

	if (is_apicv_enabled() && !is_avic_enabled())
		return false;

	/* KVM has no PIT without its own PIC and I/O APIC, and one only. */
	return !__vm_ioctl(vm, KVM_CREATE_PIT2, &config) || errno == EEXIST;
}

static void set_pit_inhibit(struct kvm_vcpu *bystander, bool inhibit)
{
	struct kvm_reinject_control control = { .pit_reinject = inhibit };

	vm_ioctl(bystander->vm, KVM_REINJECT_CONTROL, &control);
}

static bool has_synic(struct kvm_vm *vm)
{
	return kvm_has_cap(KVM_CAP_HYPERV_SYNIC2);
}

static void set_auto_eoi_inhibit(struct kvm_vcpu *bystander, bool inhibit)
{
	vcpu_enable_cap(bystander, KVM_CAP_HYPERV_SYNIC2, 0);
	vcpu_set_msr(bystander, HV_X64_MSR_SINT0,
		     HV_SINT_VECTOR | (inhibit ? HV_SINT_AUTO_EOI : HV_SINT_MASKED));
}

static bool has_apic_id_inhibit(struct kvm_vm *vm)
{
	return true;
}

/* AVIC, and APICv's IPI virtualization, want the ID to be the vCPU's. */
static void set_apic_id_inhibit(struct kvm_vcpu *bystander, bool inhibit)
{
	u8 id = bystander->id ^ (inhibit ? 0x80 : 0);

	vcpu_set_lapic_reg(bystander, APIC_ID, SET_APIC_DEST_FIELD(id));
}

const struct apicv_inhibit apicv_inhibits[NR_APICV_INHIBITS] = {
	{ "blockirq",		has_blockirq,		set_apicv_inhibit },
	{ "pit_reinject",	has_pit_inhibit,	set_pit_inhibit },
	{ "hyperv_auto_eoi",	has_synic,		set_auto_eoi_inhibit },
	{ "apic_id_modified",	has_apic_id_inhibit,	set_apic_id_inhibit },
};

static u32 *lapic_reg(struct kvm_lapic_state *lapic, u32 reg)
{
	return (u32 *)&lapic->regs[reg];
}

u32 vcpu_get_lapic_reg(struct kvm_vcpu *vcpu, u32 reg)
{
	struct kvm_lapic_state lapic;

	vcpu_ioctl(vcpu, KVM_GET_LAPIC, &lapic);
	return *lapic_reg(&lapic, reg);
}

void vcpu_set_lapic_reg(struct kvm_vcpu *vcpu, u32 reg, u32 val)
{
	struct kvm_lapic_state lapic;

	vcpu_ioctl(vcpu, KVM_GET_LAPIC, &lapic);
	*lapic_reg(&lapic, reg) = val;
	vcpu_ioctl(vcpu, KVM_SET_LAPIC, &lapic);
}

bool vcpu_test_lapic_vector(struct kvm_vcpu *vcpu, u32 reg, u8 vector)
{
	return vcpu_get_lapic_reg(vcpu, reg + APIC_VECTOR_TO_REG_OFFSET(vector)) &
	       BIT(APIC_VECTOR_TO_BIT_NUMBER(vector));
}

void vcpu_save_and_restore_apic(struct kvm_vcpu *vcpu)
{
	struct kvm_vcpu_events events;
	struct kvm_lapic_state lapic;
	struct kvm_sregs sregs;

	vcpu_ioctl(vcpu, KVM_GET_LAPIC, &lapic);
	vcpu_sregs_get(vcpu, &sregs);
	vcpu_events_get(vcpu, &events);

	vcpu_sregs_set(vcpu, &sregs);
	vcpu_ioctl(vcpu, KVM_SET_LAPIC, &lapic);
	vcpu_events_set(vcpu, &events);
}
