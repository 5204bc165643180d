// SPDX-License-Identifier: GPL-2.0-only
/*
 * avic_access_page_test
 *
 * Test that AVIC accelerates a vCPU's accesses to its local APIC in xAPIC mode
 * no matter when AVIC was activated.  In xAPIC mode, AVIC needs a mapping for
 * the APIC base, i.e. for KVM's APIC access page.  Without it, every access
 * exits, and KVM emulates the instruction, even though AVIC is active.
 *
 * Conversely, a vCPU in x2APIC mode must not get at the page, it'd see the
 * registers of its own APIC.
 */
#include "kvm_test_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "apicv.h"
#include "svm_util.h"

static void guest_code(void)
{
	xapic_enable();

	for (;;) {
		apic_write_tpr_repeatedly(false);
		GUEST_SYNC(0);
	}
}

static void l2_guest_code(void)
{
	GUEST_SYNC(0);
	vmmcall();
}

static void l1_guest_code(struct svm_test_data *svm)
{
	xapic_enable();

	generic_svm_setup(svm, l2_guest_code);
	run_guest(svm->vmcb, svm->vmcb_gpa);
	GUEST_ASSERT_EQ(svm->vmcb->control.exit_code, SVM_EXIT_VMMCALL);
	stgi();

	guest_code();
}

/* Enter x2APIC mode, and report what's in place of the APIC ID on each sync. */
static void guest_code_x2apic(void)
{
	x2apic_enable();

	for (;;)
		GUEST_SYNC(xapic_read_reg(APIC_ID));
}

/*
 * KVM's PIT inhibits AVIC for as long as it reinjects interrupts, which is the
 * default, and can do so before there are any vCPUs.
 */
static void inhibit_avic(struct kvm_vm *vm)
{
	struct kvm_pit_config config = {};

	vm_ioctl(vm, KVM_CREATE_PIT2, &config);
}

static void uninhibit_avic(struct kvm_vm *vm)
{
	struct kvm_reinject_control control = {};

	vm_ioctl(vm, KVM_REINJECT_CONTROL, &control);
}

static struct kvm_vcpu *add_vcpu(struct kvm_vm *vm, u32 id, void *code)
{
	virt_pg_map(vm, APIC_DEFAULT_GPA, APIC_DEFAULT_GPA);
	return vm_vcpu_add(vm, id, code);
}

FIXTURE(access_page) {
	struct kvm_vm *vm;
};

FIXTURE_SETUP(access_page)
{
	if (access("/sys/module/kvm_amd", F_OK) || !is_apicv_enabled())
		SKIP(return, "AVIC is disabled");

	self->vm = vm_create(2);
}

FIXTURE_TEARDOWN(access_page)
{
	if (self->vm)
		kvm_vm_free(self->vm);
}

TEST_F(access_page, never_inhibited)
{
	struct kvm_vcpu *vcpu = add_vcpu(self->vm, 0, guest_code);

	vcpu_assert_apicv(vcpu, true);
}

TEST_F(access_page, inhibited_afterwards)
{
	struct kvm_vcpu *vcpu = add_vcpu(self->vm, 0, guest_code);

	vcpu_assert_apicv(vcpu, true);

	inhibit_avic(self->vm);
	vcpu_assert_apicv(vcpu, false);

	uninhibit_avic(self->vm);
	vcpu_assert_apicv(vcpu, true);
}

TEST_F(access_page, inhibited_until_first_run)
{
	struct kvm_vcpu *vcpu;

	inhibit_avic(self->vm);
	vcpu = add_vcpu(self->vm, 0, guest_code);
	uninhibit_avic(self->vm);

	vcpu_assert_apicv(vcpu, true);
}

TEST_F(access_page, inhibited_for_some_time)
{
	struct kvm_vcpu *vcpu;

	inhibit_avic(self->vm);
	vcpu = add_vcpu(self->vm, 0, guest_code);
	vcpu_assert_apicv(vcpu, false);

	uninhibit_avic(self->vm);
	vcpu_assert_apicv(vcpu, true);
}

TEST_F(access_page, inhibited_until_l2_runs)
{
	struct kvm_vcpu *vcpu;
	gva_t svm_gva;

	if (!kvm_cpu_has(X86_FEATURE_SVM))
		SKIP(return, "no nested SVM");

	inhibit_avic(self->vm);
	vcpu = add_vcpu(self->vm, 0, l1_guest_code);
	vcpu_alloc_svm(self->vm, &svm_gva);
	vcpu_args_set(vcpu, 1, svm_gva);

	/* Up to the sync of L2. */
	vcpu_run_to_sync(vcpu);

	uninhibit_avic(self->vm);
	vcpu_assert_apicv(vcpu, true);
}

/*
 * Without x2AVIC, AVIC can be active for a vCPU in x2APIC mode, and KVM must not
 * create the page on behalf of another vCPU.  Reads of the APIC base yield ones
 * (see KVM_X86_QUIRK_LAPIC_MMIO_HOLE).
 */
TEST_F(access_page, not_for_x2apic_mode)
{
	struct kvm_vcpu *vcpu, *other;

	if (this_cpu_has(X86_FEATURE_HOST_X2AVIC))
		SKIP(return, "x2AVIC doesn't virtualize the page");

	inhibit_avic(self->vm);
	vcpu = add_vcpu(self->vm, 0, guest_code_x2apic);
	TEST_ASSERT_EQ((u32)vcpu_run_to_sync(vcpu), ~0u);

	uninhibit_avic(self->vm);
	other = vm_vcpu_add(self->vm, 1, guest_code);
	vcpu_assert_apicv(other, false);
	TEST_ASSERT_EQ((u32)vcpu_run_to_sync(vcpu), ~0u);
}

int main(int argc, char *argv[])
{
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_IRQCHIP));

	return test_harness_run(argc, argv);
}
