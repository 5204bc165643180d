// SPDX-License-Identifier: GPL-2.0-only
/*
 * avic_inhibits_test
 *
 * Test that AVIC is inhibited for as long as there's a reason to, and is active
 * again afterwards, time and again, whichever reasons come and go in between.
 */
#include "kvm_test_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "apicv.h"
#include "hyperv.h"

#define HV_SINT_VECTOR		0x20
#define HV_SINT_MASKED		BIT_ULL(16)
#define HV_SINT_AUTO_EOI	BIT_ULL(17)

static void guest_code(bool x2apic)
{
	apic_enable(x2apic);

	for (;;) {
		apic_write_tpr_repeatedly(x2apic);
		GUEST_SYNC(0);
	}
}

FIXTURE(inhibits) {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	struct kvm_vcpu *bystanders[2];
};

FIXTURE_VARIANT(inhibits) {
	bool x2apic;
};

FIXTURE_VARIANT_ADD(inhibits, xapic) { };
FIXTURE_VARIANT_ADD(inhibits, x2apic) { .x2apic = true };

FIXTURE_SETUP(inhibits)
{
	int i;

	if (!is_avic_enabled() || !is_apicv_enabled_in(variant->x2apic))
		SKIP(return, "AVIC is disabled");

	self->vm = vm_create(3);
	virt_pg_map(self->vm, APIC_DEFAULT_GPA, APIC_DEFAULT_GPA);
	self->vcpu = vm_vcpu_add(self->vm, 0, guest_code);
	vcpu_args_set(self->vcpu, 1, variant->x2apic);
	for (i = 0; i < ARRAY_SIZE(self->bystanders); i++)
		self->bystanders[i] = vm_vcpu_add(self->vm, i + 1, guest_code);

	vcpu_assert_apicv(self->vcpu, true);
}

FIXTURE_TEARDOWN(inhibits)
{
	if (self->vm)
		kvm_vm_free(self->vm);
}

/* Set and lift each, and each together with each. */
TEST_F(inhibits, come_and_go)
{
	const struct apicv_inhibit *a, *b;

	for (a = apicv_inhibits; a < apicv_inhibits + NR_APICV_INHIBITS; a++) {
		TEST_ASSERT(a->is_supported(self->vm), "%s isn't supported", a->name);

		for (b = apicv_inhibits; b < a; b++) {
			a->set(self->bystanders[0], true);
			vcpu_assert_apicv(self->vcpu, false);
			b->set(self->bystanders[1], true);
			vcpu_assert_apicv(self->vcpu, false);
			a->set(self->bystanders[0], false);
			vcpu_assert_apicv(self->vcpu, false);
			b->set(self->bystanders[1], false);
			vcpu_assert_apicv(self->vcpu, true);
		}
	}
}

/* Of one and the same reason that two vCPUs have, only the last one ends it. */
TEST_F(inhibits, of_two_vcpus)
{
	const struct apicv_inhibit *a;

	for (a = apicv_inhibits; a < apicv_inhibits + NR_APICV_INHIBITS; a++) {
		/* The PIT isn't a vCPU's. */
		if (!strcmp(a->name, "pit_reinject"))
			continue;

		a->set(self->bystanders[0], true);
		a->set(self->bystanders[1], true);
		vcpu_assert_apicv(self->vcpu, false);
		a->set(self->bystanders[0], false);
		vcpu_assert_apicv(self->vcpu, false);
		a->set(self->bystanders[1], false);
		vcpu_assert_apicv(self->vcpu, true);
	}
}

static void set_sint(struct kvm_vcpu *vcpu, int sint, u64 bits)
{
	vcpu_set_msr(vcpu, HV_X64_MSR_SINT0 + sint, (HV_SINT_VECTOR + sint) | bits);
}

/* KVM counts those SINTs of a VM that want AutoEOI, on all vCPUs. */
TEST_F(inhibits, by_several_sints)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(self->bystanders); i++) {
		vcpu_enable_cap(self->bystanders[i], KVM_CAP_HYPERV_SYNIC2, 0);
		set_sint(self->bystanders[i], 0, 0);
	}
	vcpu_assert_apicv(self->vcpu, true);

	/* The same vector twice counts once, and so does writing it again. */
	for (i = 0; i < 4; i++) {
		set_sint(self->bystanders[i / 2], i % 2, HV_SINT_AUTO_EOI);
		set_sint(self->bystanders[i / 2], i % 2, HV_SINT_AUTO_EOI);
		vcpu_assert_apicv(self->vcpu, false);
	}

	/* A masked SINT, or another vector, doesn't want it any more. */
	for (i = 0; i < 4; i++) {
		vcpu_assert_apicv(self->vcpu, false);
		set_sint(self->bystanders[i / 2], i % 2, i % 2 ? HV_SINT_MASKED : 0);
	}
	vcpu_assert_apicv(self->vcpu, true);
}

int main(int argc, char *argv[])
{
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_IRQCHIP));

	return test_harness_run(argc, argv);
}
