// SPDX-License-Identifier: GPL-2.0-only
/*
 * avic_xapic_mode_test
 *
 * Test that AVIC is inhibited for a vCPU exactly while the VM has an ID that AVIC
 * can't address in the vCPU's mode: 254 is the limit of xAPIC mode, x2APIC mode
 * has a higher one on CPUs with x2AVIC.  A vCPU whose creation fails doesn't count.
 */
#include <errno.h>
#include <sys/resource.h>

#include "kvm_test_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "apicv.h"

static bool x2apic;

/* Write the TPR in the mode that the host asks for. */
static void guest_code(void)
{
	bool mode = false;

	xapic_enable();

	for (;;) {
		if (mode != READ_ONCE(x2apic)) {
			mode = !mode;
			if (mode) {
				x2apic_enable();
			} else {
				apic_disable();
				xapic_enable();
			}
		}

		apic_write_tpr_repeatedly(mode);
		GUEST_SYNC(0);
	}
}

/* The last ID that the CPU can address in x2APIC mode, or -1 if it can't be known. */
static int x2avic_max_id(void)
{
	if (!this_cpu_has(X86_FEATURE_HOST_X2AVIC))
		return 254;

	return this_cpu_has(X86_FEATURE_HOST_X2AVIC_EXT) ? -1 : 511;
}

static void assert_avic(struct kvm_vm *vm, struct kvm_vcpu *vcpu, bool in_x2apic_mode, bool active)
{
	x2apic = in_x2apic_mode;
	sync_global_to_guest(vm, x2apic);

	/* The mode changes first. */
	vcpu_run_to_sync(vcpu);
	vcpu_assert_apicv(vcpu, active);
}

/* Check both modes, there and back. */
static void assert_avic_in_modes(struct kvm_vm *vm, struct kvm_vcpu *vcpu, u32 max_id)
{
	const bool hybrid = !this_cpu_has(X86_FEATURE_HOST_X2AVIC);
	int i;

	for (i = 0; i < 2; i++) {
		assert_avic(vm, vcpu, false, max_id <= 254);
		/* Without x2AVIC, leaving xAPIC mode is for good as to acceleration. */
		if (!hybrid)
			assert_avic(vm, vcpu, true,
				    x2avic_max_id() < 0 || max_id <= x2avic_max_id());
	}
}

FIXTURE(modes) {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
};

FIXTURE_VARIANT(modes) {
	u32 id;
};

FIXTURE_VARIANT_ADD(modes, id_1) { .id = 1 };
FIXTURE_VARIANT_ADD(modes, id_254) { .id = 254 };
FIXTURE_VARIANT_ADD(modes, id_255) { .id = 255 };
FIXTURE_VARIANT_ADD(modes, id_300) { .id = 300 };
FIXTURE_VARIANT_ADD(modes, id_511) { .id = 511 };

FIXTURE_SETUP(modes)
{
	if (access("/sys/module/kvm_amd", F_OK) || !is_apicv_enabled())
		SKIP(return, "AVIC is disabled");

	self->vm = vm_create(3);
	virt_pg_map(self->vm, APIC_DEFAULT_GPA, APIC_DEFAULT_GPA);
}

FIXTURE_TEARDOWN(modes)
{
	if (self->vm)
		kvm_vm_free(self->vm);
}

TEST_F(modes, id_exists_first)
{
	vm_vcpu_add(self->vm, variant->id, guest_code);
	self->vcpu = vm_vcpu_add(self->vm, 0, guest_code);
	assert_avic_in_modes(self->vm, self->vcpu, variant->id);
}

TEST_F(modes, id_comes_later)
{
	self->vcpu = vm_vcpu_add(self->vm, 0, guest_code);
	assert_avic(self->vm, self->vcpu, false, true);

	vm_vcpu_add(self->vm, variant->id, guest_code);
	assert_avic_in_modes(self->vm, self->vcpu, variant->id);
}

TEST_F(modes, of_the_vcpu_itself)
{
	self->vcpu = vm_vcpu_add(self->vm, variant->id, guest_code);
	assert_avic_in_modes(self->vm, self->vcpu, variant->id);
}

/* The PIT's inhibit is lifted after the page of xAPIC mode was found to be of no use. */
TEST_F(modes, after_another_inhibit)
{
	struct kvm_reinject_control control = {};
	struct kvm_pit_config config = {};

	vm_ioctl(self->vm, KVM_CREATE_PIT2, &config);
	self->vcpu = vm_vcpu_add(self->vm, 0, guest_code);
	vm_vcpu_add(self->vm, variant->id, guest_code);
	assert_avic(self->vm, self->vcpu, false, false);

	vm_ioctl(self->vm, KVM_REINJECT_CONTROL, &control);
	vm_vcpu_add(self->vm, 2, guest_code);
	assert_avic_in_modes(self->vm, self->vcpu, variant->id);
}

/* Without a file descriptor to return, creation fails late. */
TEST_F(modes, failed_creation)
{
	static const u32 ids[] = { 255, 300, 511, 512, 4095 };
	struct rlimit limit, old;
	int i;

	self->vcpu = vm_vcpu_add(self->vm, 0, guest_code);
	assert_avic(self->vm, self->vcpu, false, true);
	vm_vcpu_add(self->vm, variant->id, guest_code);

	TEST_ASSERT(!getrlimit(RLIMIT_NOFILE, &old), "getrlimit() failed");
	limit = old;
	limit.rlim_cur = 0;
	for (i = 0; i < ARRAY_SIZE(ids); i++) {
		if (ids[i] == variant->id)
			continue;

		TEST_ASSERT(!setrlimit(RLIMIT_NOFILE, &limit), "setrlimit() failed");
		TEST_ASSERT_EQ(__vm_ioctl(self->vm, KVM_CREATE_VCPU, (void *)(u64)ids[i]), -1);
		TEST_ASSERT_EQ(errno, EMFILE);
		TEST_ASSERT(!setrlimit(RLIMIT_NOFILE, &old), "setrlimit() failed");
	}

	assert_avic_in_modes(self->vm, self->vcpu, variant->id);
}

int main(int argc, char *argv[])
{
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_IRQCHIP));

	return test_harness_run(argc, argv);
}
