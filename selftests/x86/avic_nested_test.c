// SPDX-License-Identifier: GPL-2.0-only
/*
 * avic_nested_test
 *
 * Test that AVIC is inactive while L2 runs, and active before and after, on whichever
 * way the vCPU gets into L2 and out of it; that interrupts and inhibits that come
 * meanwhile have the effect that they should have; and that L1 can't turn AVIC on for
 * L2.  The SVM counterpart of vmx_apicv_updates_test.
 */
#include <stdlib.h>

#include "kvm_test_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "apicv.h"
#include "svm_util.h"

#define VECTOR		0x41
#define AVIC_BITS	GENMASK(31, 30)		/* in int_ctl: AVIC, and x2APIC mode */

/* Mapped to guest physical address 0, which is what no APIC BAR in a VMCB is. */
#define GVA_OF_GPA_0	0x10000000ull
#define MAGIC		0x0123456789abcdefull

static struct {
	bool x2apic;
	bool intercept_intr;
	u32 int_ctl;
	u64 nr_irqs;
} shared;

static void guest_irq_handler(struct ex_regs *regs)
{
	shared.nr_irqs++;
	apic_eoi(shared.x2apic);
}

/* L2 uses L1's APIC, and reports what it reads; all other memory is memory. */
static void l2_guest_code(void)
{
	int i;

	sti_nop();
	GUEST_ASSERT_EQ(READ_ONCE(*(u64 *)GVA_OF_GPA_0), MAGIC);
	for (i = 0; i < 2; i++)
		GUEST_SYNC(apic_read_reg(shared.x2apic, APIC_LVR));
	vmmcall();
}

/* Write the TPR in L1, run L2, which has two syncs, and so on. */
static void l1_guest_code(struct svm_test_data *svm)
{
	struct vmcb_control_area *control = &svm->vmcb->control;

	apic_enable(shared.x2apic);
	sti_nop();

	for (;;) {
		apic_write_tpr_repeatedly(shared.x2apic);
		GUEST_SYNC(0);
		apic_write_tpr_repeatedly(shared.x2apic);
		GUEST_SYNC(0);

		generic_svm_setup(svm, l2_guest_code);
		control->int_ctl |= shared.int_ctl;
		if (shared.intercept_intr) {
			control->int_ctl |= V_INTR_MASKING_MASK;
			control->intercept |= BIT_ULL(INTERCEPT_INTR);
		}

		do {
			run_guest(svm->vmcb, svm->vmcb_gpa);
			/* Takes the interrupt, if that's why L2 exited. */
			stgi();
			sti_nop();
		} while (control->exit_code == SVM_EXIT_INTR);
		GUEST_ASSERT_EQ(control->exit_code, SVM_EXIT_VMMCALL);
	}
}

FIXTURE(nested) {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu, *bystander;
	typeof(shared) *shared;
	u64 lvr;
};

FIXTURE_VARIANT(nested) {
	bool x2apic;
	bool intercept_intr;
};

FIXTURE_VARIANT_ADD(nested, xapic) { };
FIXTURE_VARIANT_ADD(nested, xapic_intercept_intr) { .intercept_intr = true };
FIXTURE_VARIANT_ADD(nested, x2apic) { .x2apic = true };
FIXTURE_VARIANT_ADD(nested, x2apic_intercept_intr) { .x2apic = true, .intercept_intr = true };

FIXTURE_SETUP(nested)
{
	gva_t svm_gva;

	self->vm = vm_create(2);
	virt_pg_map(self->vm, APIC_DEFAULT_GPA, APIC_DEFAULT_GPA);
	virt_pg_map(self->vm, GVA_OF_GPA_0, 0);
	*(u64 *)addr_gpa2hva(self->vm, 0) = MAGIC;
	vm_install_exception_handler(self->vm, VECTOR, guest_irq_handler);
	self->vcpu = vm_vcpu_add(self->vm, 0, l1_guest_code);
	self->bystander = vm_vcpu_add(self->vm, 1, l1_guest_code);
	vcpu_alloc_svm(self->vm, &svm_gva);
	vcpu_args_set(self->vcpu, 1, svm_gva);

	self->shared = addr_gva2hva(self->vm, (u64)&shared);
	self->shared->x2apic = variant->x2apic;
	self->shared->intercept_intr = variant->intercept_intr;
}

FIXTURE_TEARDOWN(nested)
{
	kvm_vm_free(self->vm);
}

/* From the end of L2, or the very beginning, up to the second sync of L1. */
static void assert_l1(struct kvm_vcpu *vcpu, bool active)
{
	u64 exits;

	vcpu_run_to_sync(vcpu);
	exits = vcpu_measure_to_sync(vcpu).exits;
	TEST_ASSERT(exits == (active ? 0 : NR_TPR_WRITES),
		    "APICv should be %s in L1, %u writes of the TPR took %lu VM-Exits",
		    active ? "active" : "inactive", NR_TPR_WRITES, (unsigned long)exits);
}

#define is_active(variant)	is_apicv_enabled_in((variant)->x2apic)

static void send_irq(struct kvm_vm *vm)
{
	struct kvm_msi msi = { .address_lo = APIC_DEFAULT_GPA, .data = VECTOR };

	TEST_ASSERT_EQ(__vm_ioctl(vm, KVM_SIGNAL_MSI, &msi), 1);
}

TEST_F(nested, there_and_back)
{
	int i;

	for (i = 0; i < 3; i++) {
		assert_l1(self->vcpu, is_active(variant));
		self->lvr = vcpu_run_to_sync(self->vcpu);
		TEST_ASSERT_EQ(vcpu_run_to_sync(self->vcpu), self->lvr);
	}
}

/* L1 takes the interrupt if it's intercepted, else L2 does, at once in either case. */
TEST_F(nested, irq_in_l2)
{
	int i;

	for (i = 1; i < 4; i++) {
		assert_l1(self->vcpu, is_active(variant));
		vcpu_run_to_sync(self->vcpu);
		send_irq(self->vm);
		vcpu_run_to_sync(self->vcpu);
		TEST_ASSERT_EQ(self->shared->nr_irqs, i);
	}
	assert_l1(self->vcpu, is_active(variant));
	TEST_ASSERT_EQ(self->shared->nr_irqs, i - 1);
}

TEST_F(nested, inhibited_in_l2)
{
	assert_l1(self->vcpu, is_active(variant));
	vcpu_run_to_sync(self->vcpu);
	set_apicv_inhibit(self->bystander, true);
	vcpu_run_to_sync(self->vcpu);
	assert_l1(self->vcpu, false);

	vcpu_run_to_sync(self->vcpu);
	set_apicv_inhibit(self->bystander, false);
	vcpu_run_to_sync(self->vcpu);
	assert_l1(self->vcpu, is_active(variant));
}

TEST_F(nested, avic_in_vmcb12)
{
	u64 lvr = vcpu_get_lapic_reg(self->vcpu, APIC_LVR);

	self->shared->int_ctl = AVIC_BITS;
	assert_l1(self->vcpu, is_active(variant));
	TEST_ASSERT_EQ(vcpu_run_to_sync(self->vcpu), lvr);
	send_irq(self->vm);
	TEST_ASSERT_EQ(vcpu_run_to_sync(self->vcpu), lvr);
	TEST_ASSERT_EQ(self->shared->nr_irqs, 1);
	assert_l1(self->vcpu, is_active(variant));
}

/* Userspace rolls a VM back, memory included. */
struct snapshot {
	struct kvm_x86_state *state;
	void *mem;
};

static struct snapshot take_snapshot(struct kvm_vcpu *vcpu)
{
	struct userspace_mem_region *region = memslot2region(vcpu->vm, 0);
	struct snapshot s = {
		.state = vcpu_save_state(vcpu),
		.mem = malloc(region->region.memory_size),
	};

	memcpy(s.mem, region->host_mem, region->region.memory_size);
	return s;
}

static void roll_back(struct kvm_vcpu *vcpu, struct snapshot s)
{
	struct userspace_mem_region *region = memslot2region(vcpu->vm, 0);

	memcpy(region->host_mem, s.mem, region->region.memory_size);
	vcpu_load_state(vcpu, s.state);
	kvm_x86_state_cleanup(s.state);
	free(s.mem);
}

/* A vCPU that runs L1, with AVIC active, goes back to where it was in L2. */
TEST_F(nested, restored_in_place)
{
	struct snapshot s;

	assert_l1(self->vcpu, is_active(variant));
	vcpu_run_to_sync(self->vcpu);
	s = take_snapshot(self->vcpu);
	vcpu_run_to_sync(self->vcpu);
	assert_l1(self->vcpu, is_active(variant));

	roll_back(self->vcpu, s);
	send_irq(self->vm);
	vcpu_run_to_sync(self->vcpu);
	TEST_ASSERT_EQ(self->shared->nr_irqs, 1);
	assert_l1(self->vcpu, is_active(variant));
}

/* A vCPU that runs L2 goes back to where it was in L1. */
TEST_F(nested, left_by_userspace)
{
	struct snapshot s;

	assert_l1(self->vcpu, is_active(variant));
	s = take_snapshot(self->vcpu);
	vcpu_run_to_sync(self->vcpu);

	roll_back(self->vcpu, s);
	vcpu_run_to_sync(self->vcpu);
	vcpu_run_to_sync(self->vcpu);
	assert_l1(self->vcpu, is_active(variant));
}

int main(int argc, char *argv[])
{
	TEST_REQUIRE(kvm_cpu_has(X86_FEATURE_SVM));
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_NESTED_STATE));

	return test_harness_run(argc, argv);
}
