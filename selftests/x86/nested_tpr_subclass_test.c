// SPDX-License-Identifier: GPL-2.0-only
/*
 * nested_tpr_subclass_test
 *
 * Test that KVM preserves TPR[3:0], which aren't in CR8, when L2 writes the TPR of L1's
 * local APIC, whether or not L2 has a CR8, and hence a V_TPR, of its own.
 */
#include "kvm_test_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "apicv.h"
#include "svm_util.h"

#define NR_TPRS		256

/* Also looks at what it is after an exit to userspace. */
static void guest_check_tpr(u32 tpr)
{
	GUEST_SYNC(tpr);
	GUEST_ASSERT_EQ(x2apic_read_reg(APIC_TASKPRI), tpr);
}

/* L1 doesn't intercept MSRs, i.e. L2 accesses L1's APIC. */
static void l2_guest_code(void)
{
	u32 tpr;

	for (tpr = 0; tpr < NR_TPRS; tpr++) {
		x2apic_write_reg(APIC_TASKPRI, tpr);
		guest_check_tpr(tpr);
		vmmcall();
	}
}

static void l1_guest_code(struct svm_test_data *svm, bool is_intr_masked)
{
	u32 tpr;

	x2apic_enable();
	generic_svm_setup(svm, l2_guest_code);
	if (is_intr_masked)
		svm->vmcb->control.int_ctl |= V_INTR_MASKING_MASK;

	for (tpr = 0; tpr < NR_TPRS; tpr++) {
		run_guest(svm->vmcb, svm->vmcb_gpa);
		GUEST_ASSERT_EQ(svm->vmcb->control.exit_code, SVM_EXIT_VMMCALL);
		svm->vmcb->save.rip += 3;

		guest_check_tpr(tpr);
		GUEST_ASSERT_EQ(get_cr8(), tpr >> 4);
	}
}

FIXTURE(nested) {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
};

FIXTURE_VARIANT(nested) {
	bool is_intr_masked;
};

FIXTURE_VARIANT_ADD(nested, shared_cr8) { .is_intr_masked = false };
FIXTURE_VARIANT_ADD(nested, virtual_cr8) { .is_intr_masked = true };

FIXTURE_SETUP(nested)
{
	gva_t svm_gva;

	self->vm = vm_create_with_one_vcpu(&self->vcpu, l1_guest_code);
	vcpu_alloc_svm(self->vm, &svm_gva);
	vcpu_args_set(self->vcpu, 2, svm_gva, (u64)variant->is_intr_masked);
}

FIXTURE_TEARDOWN(nested)
{
	kvm_vm_free(self->vm);
}

TEST_F(nested, write_register)
{
	u32 tpr, i;

	/* L2 reports each value, and L1 once more. */
	for (i = 0; i < 2 * NR_TPRS; i++) {
		tpr = vcpu_run_to_sync(self->vcpu);
		TEST_ASSERT_EQ(tpr, i / 2);
		TEST_ASSERT_EQ(vcpu_get_lapic_reg(self->vcpu, APIC_TASKPRI), tpr);
	}
}

int main(int argc, char *argv[])
{
	TEST_REQUIRE(kvm_cpu_has(X86_FEATURE_SVM));

	return test_harness_run(argc, argv);
}
