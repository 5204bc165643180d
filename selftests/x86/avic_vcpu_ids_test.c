// SPDX-License-Identifier: GPL-2.0-only
/*
 * avic_vcpu_ids_test
 *
 * Test that KVM can create vCPUs with every ID that KVM advertises, regardless of
 * whether or not AVIC can address the ID, and that an ID that is in use can't be
 * taken over.
 */
#include <errno.h>
#include <limits.h>

#include "kvm_test_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "apicv.h"

#define VECTOR	0x40

/* Create a vCPU that never runs, i.e. of which only the creation matters. */
static int create_vcpu(struct kvm_vm *vm, unsigned long id)
{
	int fd = __vm_ioctl(vm, KVM_CREATE_VCPU, (void *)id);

	if (fd < 0)
		return -errno;

	close(fd);
	return 0;
}

static void assert_create_vcpu(struct kvm_vm *vm, unsigned long id, int want)
{
	int r = create_vcpu(vm, id);

	TEST_ASSERT(r == want, "KVM_CREATE_VCPU of ID %ld: wanted %d, got %d (%s)", (long)id, want,
		    r, strerror(-r));
}

/* ABI: KVM_CREATE_VCPU must not depend on whether or not AVIC is enabled. */
FIXTURE(create) {
	struct kvm_vm *vm;
};

FIXTURE_VARIANT(create) {
	unsigned long id;
};

FIXTURE_VARIANT_ADD(create, id_0) { 0 };
FIXTURE_VARIANT_ADD(create, id_1) { 1 };
FIXTURE_VARIANT_ADD(create, id_254) { 254 };
FIXTURE_VARIANT_ADD(create, id_255) { 255 };
FIXTURE_VARIANT_ADD(create, id_256) { 256 };
FIXTURE_VARIANT_ADD(create, id_511) { 511 };
FIXTURE_VARIANT_ADD(create, id_512) { 512 };
FIXTURE_VARIANT_ADD(create, id_4095) { 4095 };
/* Not below KVM_CAP_MAX_VCPU_ID, unless KVM supports more; the negative ones are huge. */
FIXTURE_VARIANT_ADD(create, id_4096) { 4096 };
FIXTURE_VARIANT_ADD(create, id_int_max) { INT_MAX };
FIXTURE_VARIANT_ADD(create, id_minus_1) { -1ul };
FIXTURE_VARIANT_ADD(create, id_u32_minus_1) { UINT_MAX };
FIXTURE_VARIANT_ADD(create, id_int_min) { (unsigned long)INT_MIN };

FIXTURE_SETUP(create)
{
	self->vm = vm_create_barebones();
}

FIXTURE_TEARDOWN(create)
{
	kvm_vm_free(self->vm);
}

static void test_create(struct kvm_vm *vm, unsigned long id)
{
	bool valid = id < kvm_check_cap(KVM_CAP_MAX_VCPU_ID);

	/* The ID is in use from then on. */
	assert_create_vcpu(vm, id, valid ? 0 : -EINVAL);
	assert_create_vcpu(vm, id, valid ? -EEXIST : -EINVAL);
}

TEST_F(create, kernel_irqchip)
{
	vm_ioctl(self->vm, KVM_CREATE_IRQCHIP, NULL);
	test_create(self->vm, variant->id);
}

TEST_F(create, split_irqchip)
{
	vm_enable_cap(self->vm, KVM_CAP_SPLIT_IRQCHIP, 24);
	test_create(self->vm, variant->id);
}

TEST_F(create, no_irqchip)
{
	test_create(self->vm, variant->id);
}

/* KVM_CAP_MAX_VCPU_ID, i.e. the maximum ID plus one, can be lowered. */
TEST(max_vcpu_id_is_honored)
{
	const unsigned long max = kvm_check_cap(KVM_CAP_MAX_VCPU_ID);
	const unsigned long caps[] = { 2, 200, 300, 1000, 4095, max };
	struct kvm_vm *vm;
	int i;

	for (i = 0; i < ARRAY_SIZE(caps); i++) {
		vm = vm_create_barebones();
		vm_ioctl(vm, KVM_CREATE_IRQCHIP, NULL);
		vm_enable_cap(vm, KVM_CAP_MAX_VCPU_ID, caps[i]);

		assert_create_vcpu(vm, caps[i], -EINVAL);
		assert_create_vcpu(vm, caps[i] - 1, 0);
		kvm_vm_free(vm);
	}
}

/*
 * A vCPU still gets IPIs after an attempt to create another one with its ID.  If the
 * attempt takes over the entry in AVIC's physical ID table, then the CPU writes IPIs
 * to memory that KVM has freed.  Hence, do this only in a VM, e.g. with AVIC emulated,
 * lest a bug of KVM does harm to the host.
 */
static u64 nr_irqs;
static bool x2apic;

static void guest_irq_handler(struct ex_regs *regs)
{
	WRITE_ONCE(nr_irqs, nr_irqs + 1);
	apic_eoi(x2apic);
}

static void guest_target_code(void)
{
	apic_enable(x2apic);

	for (;;) {
		GUEST_SYNC(nr_irqs);
		sti_nop();
		cli();
	}
}

/* Broadcasts bypass vCPUs that have no entry in the table. */
static void guest_sender_code(void)
{
	apic_enable(x2apic);
	apic_send_ipi(x2apic, 1, APIC_DEST_PHYSICAL | APIC_DM_FIXED | VECTOR);
	GUEST_SYNC(0);
	apic_send_ipi(x2apic, 0, APIC_DEST_ALLBUT | APIC_DM_FIXED | VECTOR);
	GUEST_SYNC(0);
}

FIXTURE(duplicate) {
	struct kvm_vm *vm;
};

FIXTURE_VARIANT(duplicate) {
	bool x2apic;
};

FIXTURE_VARIANT_ADD(duplicate, xapic) { .x2apic = false };
FIXTURE_VARIANT_ADD(duplicate, x2apic) { .x2apic = true };

FIXTURE_SETUP(duplicate)
{
	if (!this_cpu_has(X86_FEATURE_HYPERVISOR))
		SKIP(return, "not in a VM, and a buggy KVM would corrupt memory");

	self->vm = vm_create(2);
	virt_pg_map(self->vm, APIC_DEFAULT_GPA, APIC_DEFAULT_GPA);
	vm_install_exception_handler(self->vm, VECTOR, guest_irq_handler);
	x2apic = variant->x2apic;
	sync_global_to_guest(self->vm, x2apic);
}

FIXTURE_TEARDOWN(duplicate)
{
	if (self->vm)
		kvm_vm_free(self->vm);
}

TEST_F(duplicate, ipi_still_arrives)
{
	struct kvm_vcpu *sender = vm_vcpu_add(self->vm, 0, guest_sender_code);
	struct kvm_vcpu *target = vm_vcpu_add(self->vm, 1, guest_target_code);

	vcpu_run_to_sync(target);
	assert_create_vcpu(self->vm, 1, -EEXIST);

	vcpu_run_to_sync(sender);
	TEST_ASSERT(vcpu_run_to_sync(target) == 1, "The IPI got lost");
	vcpu_run_to_sync(sender);
	TEST_ASSERT(vcpu_run_to_sync(target) == 2, "The broadcast IPI got lost");
}

int main(int argc, char *argv[])
{
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_MAX_VCPU_ID));
	TEST_REQUIRE(kvm_check_cap(KVM_CAP_MAX_VCPU_ID) > 4095);

	return test_harness_run(argc, argv);
}
