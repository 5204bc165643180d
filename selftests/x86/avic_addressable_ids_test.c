// SPDX-License-Identifier: GPL-2.0-only
/*
 * avic_addressable_ids_test
 *
 * Test that AVIC is active for VMs whose vCPUs have IDs that AVIC can address, and is
 * inhibited for all of a VM, and for no other, as soon as there's one that it can't.
 *
 * KVM uses the vCPU ID as the index into AVIC's physical ID table, and the CPU
 * limits the index.
 */
#include <errno.h>
#include <pthread.h>

#include "kvm_test_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "apicv.h"

/* A vCPU that never runs, i.e. of which only the creation matters. */
static void create_vcpu(struct kvm_vm *vm, unsigned long id)
{
	int fd = __vm_ioctl(vm, KVM_CREATE_VCPU, (void *)id);

	TEST_ASSERT(fd >= 0, "KVM_CREATE_VCPU of ID %lu: %s", id, strerror(errno));
	close(fd);
}

/* How many batches of TPR writes the host wants, and the guest has done. */
static u64 nr_wanted, nr_done;

static void guest_write_tpr_between_syncs(bool x2apic)
{
	apic_enable(x2apic);

	for (;;) {
		apic_write_tpr_repeatedly(x2apic);
		GUEST_SYNC(0);
	}
}

/* Without ever exiting to userspace. */
static void guest_write_tpr_on_demand(bool x2apic)
{
	apic_enable(x2apic);

	while (READ_ONCE(nr_wanted) != -1ull) {
		if (READ_ONCE(nr_done) == READ_ONCE(nr_wanted))
			continue;

		apic_write_tpr_repeatedly(x2apic);
		WRITE_ONCE(nr_done, nr_done + 1);
	}
	GUEST_SYNC(0);
}

static struct kvm_vm *create_vm(void)
{
	struct kvm_vm *vm = vm_create(4);

	virt_pg_map(vm, APIC_DEFAULT_GPA, APIC_DEFAULT_GPA);
	return vm;
}

static struct kvm_vcpu *add_vcpu(struct kvm_vm *vm, u32 id, void *guest_code, bool x2apic)
{
	struct kvm_vcpu *vcpu = vm_vcpu_add(vm, id, guest_code);

	vcpu_args_set(vcpu, 1, x2apic);
	return vcpu;
}

/* In xAPIC mode, AVIC can't address IDs that x2AVIC can. */
static void test_addressable(u32 id, bool x2apic)
{
	const u32 ids[] = { 0, id, 1 };
	struct kvm_vm *vm = create_vm();
	struct kvm_vcpu *vcpus[3];
	int i;

	for (i = 0; i < 3; i++)
		vcpus[i] = add_vcpu(vm, ids[i], guest_write_tpr_between_syncs, x2apic);
	for (i = 0; i < 3; i++)
		vcpu_assert_apicv(vcpus[i], is_apicv_enabled_in(x2apic));

	kvm_vm_free(vm);
}

TEST(active_with_addressable_ids)
{
	const u32 ids[] = { AVIC_MAX_ID, X2AVIC_MAX_ID, X2AVIC_EXT_MAX_ID };
	int i, x2apic;

	if (!is_avic_enabled())
		SKIP(return, "AVIC is disabled");

	for (x2apic = 0; x2apic < 2; x2apic++) {
		for (i = 0; i < ARRAY_SIZE(ids) && ids[i] <= avic_max_id(x2apic); i++)
			test_addressable(ids[i], x2apic);
	}
}

FIXTURE(inhibited) {
	struct kvm_vm *vm;
	/* The largest ID that AVIC can address at all, and that KVM supports. */
	u32 max_id;
	u32 big_id;
};

FIXTURE_VARIANT(inhibited) {
	bool x2apic;
};

FIXTURE_VARIANT_ADD(inhibited, xapic) { .x2apic = false };
FIXTURE_VARIANT_ADD(inhibited, x2apic) { .x2apic = true };

FIXTURE_SETUP(inhibited)
{
	if (!is_avic_enabled() || !is_apicv_enabled_in(variant->x2apic))
		SKIP(return, "AVIC is disabled");

	self->max_id = avic_max_id(true);
	self->big_id = kvm_check_cap(KVM_CAP_MAX_VCPU_ID) - 1;
	if (self->max_id == self->big_id)
		SKIP(return, "AVIC can address all of KVM's IDs");

	self->vm = create_vm();
}

FIXTURE_TEARDOWN(inhibited)
{
	if (self->vm)
		kvm_vm_free(self->vm);
}

/* Which doesn't depend on what exists already, or on which one comes first. */
TEST_F(inhibited, by_next_id)
{
	void *guest_code = guest_write_tpr_between_syncs;
	struct kvm_vcpu *vcpus[4];
	int i;

	vcpus[0] = add_vcpu(self->vm, 0, guest_code, variant->x2apic);
	vcpus[1] = add_vcpu(self->vm, avic_max_id(variant->x2apic), guest_code, variant->x2apic);
	vcpu_assert_apicv(vcpus[0], true);
	vcpu_assert_apicv(vcpus[1], true);

	/* In x2APIC mode, lest its xAPIC ID is another vCPU's, which inhibits AVIC, too. */
	vcpus[2] = add_vcpu(self->vm, self->max_id + 1, guest_code, true);
	vcpus[3] = add_vcpu(self->vm, 1, guest_code, variant->x2apic);
	for (i = 0; i < ARRAY_SIZE(vcpus); i++)
		vcpu_assert_apicv(vcpus[i], false);
}

TEST_F(inhibited, by_big_id_created_first)
{
	void *guest_code = guest_write_tpr_between_syncs;
	struct kvm_vcpu *vcpus[2];

	create_vcpu(self->vm, self->big_id);
	vcpus[0] = add_vcpu(self->vm, 0, guest_code, variant->x2apic);
	vcpus[1] = add_vcpu(self->vm, 1, guest_code, variant->x2apic);
	vcpu_assert_apicv(vcpus[0], false);
	vcpu_assert_apicv(vcpus[1], false);
}

TEST_F(inhibited, not_in_other_vm)
{
	struct kvm_vm *others[2];
	struct kvm_vcpu *vcpu;
	int i;

	others[0] = create_vm();
	create_vcpu(self->vm, self->big_id);
	others[1] = create_vm();
	for (i = 0; i < ARRAY_SIZE(others); i++) {
		vcpu = add_vcpu(others[i], 0, guest_write_tpr_between_syncs, variant->x2apic);
		vcpu_assert_apicv(vcpu, true);
		kvm_vm_free(others[i]);
	}
}

/*
 * Assert that a batch takes that many VM-Exits while the vCPU stays in KVM_RUN.  An
 * interrupt of the host may be counted later than the exit that it caused.
 */
static void assert_exits_while_running(struct kvm_vm *vm, struct kvm_vcpu *vcpu, u64 want)
{
	u64 *wanted = addr_gva2hva(vm, (u64)&nr_wanted), *done = addr_gva2hva(vm, (u64)&nr_done);
	u64 exits = -1ull;
	int i;

	for (i = 0; i < 10 && exits != want; i++) {
		exits = vcpu_nr_guest_exits(vcpu);
		WRITE_ONCE(*wanted, *wanted + 1);
		while (READ_ONCE(*done) != *wanted)
			usleep(100);
		exits = vcpu_nr_guest_exits(vcpu) - exits;
	}
	TEST_ASSERT_EQ(exits, want);
}

TEST_F(inhibited, while_running)
{
	struct kvm_vcpu *vcpu;
	pthread_t thread;

	vcpu = add_vcpu(self->vm, 0, guest_write_tpr_on_demand, variant->x2apic);
	pthread_create(&thread, NULL, vcpu_thread_to_sync, vcpu);

	assert_exits_while_running(self->vm, vcpu, 0);

	/* The ioctl() must not return before AVIC is inhibited. */
	create_vcpu(self->vm, self->big_id);
	assert_exits_while_running(self->vm, vcpu, NR_TPR_WRITES);

	WRITE_ONCE(*(u64 *)addr_gva2hva(self->vm, (u64)&nr_wanted), -1ull);
	pthread_join(thread, NULL);
}

int main(int argc, char *argv[])
{
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_IRQCHIP));

	return test_harness_run(argc, argv);
}
