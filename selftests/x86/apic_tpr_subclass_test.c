// SPDX-License-Identifier: GPL-2.0-only
/*
 * apic_tpr_subclass_test
 *
 * Test that KVM preserves all eight bits of the local APIC's task priority
 * register, across VM-Exits in particular.  Only TPR[7:4], the priority class,
 * is in CR8, and in the VMCB's V_TPR field; TPR[3:0], the sub-class, is in the
 * APIC alone, and is cleared by writes to CR8.
 *
 * Whether or not KVM virtualizes the TPR with AVIC (or APICv) depends on the
 * host, and on the mode of the APIC; the results must always be the same.
 */
#include "kvm_test_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "apicv.h"

#define NR_TPRS		256
#define NR_CR8S		16

/* A vector in the middle, to have the TPR mask it about half of the time. */
#define PENDING_VECTOR	0x7f

/* Configuration, written by the host before the vCPU runs. */
static bool is_x2apic;
static bool is_irq_pending;

static u32 guest_read_tpr(void)
{
	return apic_read_reg(is_x2apic, APIC_TASKPRI);
}

static void guest_write_tpr(u32 tpr)
{
	apic_write_reg(is_x2apic, APIC_TASKPRI, tpr);
}

/*
 * Never enable interrupts, so that an interrupt stays pending, and KVM intercepts
 * writes to CR8, or waits for an interrupt window.
 */
static void guest_init(void)
{
	apic_enable(is_x2apic);
	if (is_irq_pending)
		apic_send_self_ipi(is_x2apic, PENDING_VECTOR);
}

/* Exit to userspace, which checks the TPR, then check it in the guest. */
static void guest_check_tpr(u32 tpr)
{
	GUEST_SYNC(tpr);
	GUEST_ASSERT_EQ(guest_read_tpr(), tpr);
}

static void guest_write_registers(void)
{
	u32 tpr;

	guest_init();

	for (tpr = 0; tpr < NR_TPRS; tpr++) {
		guest_write_tpr(tpr);
		guest_check_tpr(tpr);
		GUEST_ASSERT_EQ(get_cr8(), tpr >> 4);
	}

	GUEST_DONE();
}

static void guest_write_cr8(void)
{
	u32 cr8, tpr;

	guest_init();

	for (cr8 = 0; cr8 < NR_CR8S; cr8++) {
		/* Start with another class, and with a sub-class to be cleared. */
		tpr = (~cr8 & 0xf) << 4 | 0xf;
		guest_write_tpr(tpr);
		guest_check_tpr(tpr);

		set_cr8(cr8);
		guest_check_tpr(cr8 << 4);
		GUEST_ASSERT_EQ(get_cr8(), cr8);
	}

	GUEST_DONE();
}

static void guest_read_registers(void)
{
	u32 tpr;

	guest_init();

	for (tpr = 0; tpr < NR_TPRS; tpr++) {
		/* Have the host write the TPR, and exit before reading it. */
		GUEST_SYNC(tpr);
		this_cpu_fms();
		GUEST_ASSERT_EQ(guest_read_tpr(), tpr);
		GUEST_ASSERT_EQ(get_cr8(), tpr >> 4);
	}

	GUEST_DONE();
}

static void guest_read_cr8(void)
{
	u32 cr8;

	guest_init();

	for (cr8 = 0; cr8 < NR_CR8S; cr8++) {
		/* Have the host write CR8, and clear the sub-class by that. */
		guest_write_tpr((~cr8 & 0xf) << 4 | 0xf);
		guest_check_tpr(cr8 << 4);
		GUEST_ASSERT_EQ(get_cr8(), cr8);
	}

	GUEST_DONE();
}

static void check_lapic(struct kvm_vcpu *vcpu, u32 tpr)
{
	u32 got = vcpu_get_lapic_reg(vcpu, APIC_TASKPRI);

	TEST_ASSERT(got == tpr, "Wanted TPR 0x%x, got 0x%x from KVM_GET_LAPIC", tpr, got);
}

static void write_lapic(struct kvm_vcpu *vcpu, u32 tpr)
{
	vcpu_set_lapic_reg(vcpu, APIC_TASKPRI, tpr);
}

/* Userspace that changes some other register writes CR8 back as it was. */
static void write_sregs_back(struct kvm_vcpu *vcpu, u32 tpr)
{
	struct kvm_sregs sregs;

	vcpu_sregs_get(vcpu, &sregs);
	vcpu_sregs_set(vcpu, &sregs);
	check_lapic(vcpu, tpr);
}

static void write_cr8_in_sregs(struct kvm_vcpu *vcpu, u32 tpr)
{
	struct kvm_sregs sregs;

	vcpu_sregs_get(vcpu, &sregs);
	sregs.cr8 = tpr >> 4;
	vcpu_sregs_set(vcpu, &sregs);
	check_lapic(vcpu, tpr);
}

/* Run the guest until it's done, and do what's wanted on each sync. */
static void run_guest_to_end(struct kvm_vcpu *vcpu,
			     void (*on_sync)(struct kvm_vcpu *vcpu, u32 tpr))
{
	struct ucall uc;

	for (;;) {
		vcpu_run(vcpu);

		switch (get_ucall(vcpu, &uc)) {
		case UCALL_SYNC:
			on_sync(vcpu, uc.args[1]);
			break;
		case UCALL_DONE:
			return;
		case UCALL_ABORT:
			REPORT_GUEST_ASSERT(uc);
			break;
		default:
			TEST_FAIL("Unexpected ucall %lu", (unsigned long)uc.cmd);
		}
	}
}

static struct kvm_vm *create_vm(struct kvm_vcpu **vcpu, void *guest_code, bool x2apic)
{
	struct kvm_vm *vm = vm_create_with_one_vcpu(vcpu, guest_code);

	virt_pg_map(vm, APIC_DEFAULT_GPA, APIC_DEFAULT_GPA);
	is_x2apic = x2apic;
	sync_global_to_guest(vm, is_x2apic);
	sync_global_to_guest(vm, is_irq_pending);
	return vm;
}

FIXTURE(tpr) {
};

FIXTURE_VARIANT(tpr) {
	bool x2apic;
	bool irq_pending;
};

FIXTURE_VARIANT_ADD(tpr, xapic) {
};

FIXTURE_VARIANT_ADD(tpr, xapic_irq_pending) {
	.irq_pending = true,
};

FIXTURE_VARIANT_ADD(tpr, x2apic) {
	.x2apic = true,
};

FIXTURE_VARIANT_ADD(tpr, x2apic_irq_pending) {
	.x2apic = true,
	.irq_pending = true,
};

FIXTURE_SETUP(tpr)
{
	is_irq_pending = variant->irq_pending;
}

FIXTURE_TEARDOWN(tpr)
{
}

static void test_guest(void *guest_code, bool x2apic,
		       void (*on_sync)(struct kvm_vcpu *vcpu, u32 tpr))
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;

	vm = create_vm(&vcpu, guest_code, x2apic);
	run_guest_to_end(vcpu, on_sync);
	kvm_vm_free(vm);
}

TEST_F(tpr, write_register)
{
	test_guest(guest_write_registers, variant->x2apic, check_lapic);
}

TEST_F(tpr, write_cr8)
{
	test_guest(guest_write_cr8, variant->x2apic, check_lapic);
}

TEST_F(tpr, set_lapic)
{
	test_guest(guest_read_registers, variant->x2apic, write_lapic);
}

TEST_F(tpr, set_sregs)
{
	test_guest(guest_write_registers, variant->x2apic, write_sregs_back);
}

TEST_F(tpr, set_cr8_in_sregs)
{
	test_guest(guest_read_cr8, variant->x2apic, write_cr8_in_sregs);
}

int main(int argc, char *argv[])
{
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_IRQCHIP));

	return test_harness_run(argc, argv);
}
