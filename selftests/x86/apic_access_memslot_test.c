// SPDX-License-Identifier: GPL-2.0-only
/*
 * apic_access_memslot_test
 *
 * Test that KVM_CREATE_VCPU fails with EEXIST, and leaks nothing, if KVM can't
 * install the memslot for its APIC access page because userspace has a memslot
 * at the APIC base, in either address space, and succeeds once that is gone.
 */
#include <errno.h>
#include <stdio.h>

#include "kvm_test_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "apicv.h"

#define SLOT		10
#define SMM_SPACE	BIT(16)
#define NR_ATTEMPTS	100

static int nr_mappings(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	int c, nr = 0;

	TEST_ASSERT(f, "Can't open /proc/self/maps");
	while ((c = getc(f)) != EOF)
		nr += c == '\n';
	fclose(f);

	return nr;
}

FIXTURE(memslot) {
	struct kvm_vm *vm;
	void *mem;
};

FIXTURE_VARIANT(memslot) {
	u32 space;
};

FIXTURE_VARIANT_ADD(memslot, normal) { .space = 0 };
FIXTURE_VARIANT_ADD(memslot, smm) { .space = SMM_SPACE };

FIXTURE_SETUP(memslot)
{
	if (!is_apicv_enabled())
		SKIP(return, "APIC virtualization is disabled");

	if (variant->space && kvm_check_cap(KVM_CAP_MULTI_ADDRESS_SPACE) < 2)
		SKIP(return, "There's no address space for SMM");

	self->vm = vm_create_barebones();
	vm_ioctl(self->vm, KVM_CREATE_IRQCHIP, NULL);

	self->mem = mmap(NULL, getpagesize(), PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(self->mem != MAP_FAILED, "mmap() failed");
	vm_set_user_memory_region(self->vm, variant->space | SLOT, 0, APIC_DEFAULT_GPA,
				  getpagesize(), self->mem);
}

FIXTURE_TEARDOWN(memslot)
{
	if (!self->vm)
		return;

	munmap(self->mem, getpagesize());
	kvm_vm_free(self->vm);
}

TEST_F(memslot, nothing_leaked)
{
	int i, fd, before;

	before = nr_mappings();
	for (i = 0; i < NR_ATTEMPTS; i++) {
		TEST_ASSERT_EQ(__vm_ioctl(self->vm, KVM_CREATE_VCPU, (void *)0ul), -1);
		TEST_ASSERT_EQ(errno, EEXIST);
	}
	TEST_ASSERT_EQ(nr_mappings(), before);

	/* Nor must a slot stay behind that is in the way of the next attempt. */
	vm_set_user_memory_region(self->vm, variant->space | SLOT, 0, APIC_DEFAULT_GPA, 0, NULL);
	fd = __vm_ioctl(self->vm, KVM_CREATE_VCPU, (void *)0ul);
	TEST_ASSERT(fd >= 0, KVM_IOCTL_ERROR(KVM_CREATE_VCPU, fd));
	close(fd);
}

/* The slot also belongs to a VM whose inhibits are lifted only afterwards. */
TEST_F(memslot, inhibited)
{
	struct kvm_pit_config config = {};

	vm_ioctl(self->vm, KVM_CREATE_PIT2, &config);
	TEST_ASSERT_EQ(__vm_ioctl(self->vm, KVM_CREATE_VCPU, (void *)0ul), -1);
	TEST_ASSERT_EQ(errno, EEXIST);
}

int main(int argc, char *argv[])
{
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_IRQCHIP));

	return test_harness_run(argc, argv);
}
