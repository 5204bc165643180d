// SPDX-License-Identifier: GPL-2.0-only
/*
 * avic_logical_id_test
 *
 * Test that IPIs to logical destinations of xAPIC mode reach exactly the vCPUs whose
 * logical ID matches, whatever that was before: LDR and DFR change in many orders, to
 * values that AVIC's table of logical IDs has an entry for, and to others.  The vCPUs
 * write the registers themselves, with AVIC active or inhibited meanwhile, or userspace
 * does.
 */
#include "kvm_test_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "apicv.h"

#define NR_VCPUS	3

/* Each destination has a vector of its own: all of them, in two halves. */
#define NR_DESTS	128
#define FIRST_VECTOR	0x40

#define FLAT		APIC_DFR_FLAT
#define CLUSTER		APIC_DFR_CLUSTER
/* Only bits 31:28 count. */
#define FLAT_ZEROS	0xf0000000u
#define CLUSTER_ZEROS	0

static const struct {
	u32 vcpu, ldr, dfr;
	/* Is AVIC to be active afterwards, i.e. do logical IDs map 1:1 to vCPUs? */
	bool active;
	/* The vCPU has been in x2APIC mode before, in which userspace has reset its DFR. */
	bool x2apic;
} steps[] = {
	/* A new one, to and fro; one that another vCPU has had. */
	{ 1, 0x02, FLAT, true },
	{ 2, 0x04, FLAT, true },
	{ 1, 0x80, FLAT, true },
	{ 2, 0x02, FLAT, true },
	{ 1, 0x04, FLAT, true },
	/* Several at once, the same as another one's, none. */
	{ 1, 0x0c, FLAT, false },
	{ 1, 0x02, FLAT, false },
	{ 2, 0x10, FLAT, true },
	{ 1, 0x00, FLAT, true },
	{ 1, 0x20, FLAT, true },
	/* Swap two of them: they're the same in between. */
	{ 1, 0x10, FLAT, false },
	{ 2, 0x20, FLAT, true },
	/* The same mode, said with other reserved bits. */
	{ 1, 0x40, FLAT_ZEROS, true },
	{ 1, 0x80, FLAT_ZEROS, true },
	{ 2, 0x40, FLAT, true },
	{ 1, 0x08, FLAT, true },
	/* From one mode to the other, with IDs that mean something in both. */
	{ 1, 0x08, CLUSTER, false },
	{ 2, 0x12, CLUSTER, false },
	{ 0, 0x01, CLUSTER, true },
	{ 1, 0x11, CLUSTER, true },
	{ 2, 0xe8, CLUSTER_ZEROS, true },
	{ 2, 0x24, CLUSTER_ZEROS, true },
	{ 1, 0xe8, CLUSTER, true },
	/* AVIC's table ends before the last cluster. */
	{ 1, 0xf1, CLUSTER, true },
	{ 1, 0x31, CLUSTER, true },
	{ 1, 0x33, CLUSTER, false },
	{ 1, 0x34, CLUSTER, true },
	/* By way of x2APIC mode, which has no DFR, and resets LDR. */
	{ 1, 0x00, FLAT, true, true },
	{ 1, 0x22, CLUSTER, true },
	{ 1, 0x48, CLUSTER, true, true },
	/* And back. */
	{ 0, 0x01, FLAT, false },
	{ 1, 0x34, FLAT, false },
	{ 2, 0x20, FLAT, false },
	{ 1, 0x04, FLAT, true },
};

enum op { WRITE_REGS, SEND, RECEIVE, WRITE_TPR, ENTER_X2APIC, LEAVE_X2APIC };

static struct {
	enum op op;
	u32 ldr, dfr, first_dest;
	u8 received[NR_VCPUS][NR_DESTS];
} shared;

static void guest_irq_handler(struct ex_regs *regs)
{
	shared.received[rdmsr(MSR_TSC_AUX)][regs->vector - FIRST_VECTOR]++;
	xapic_write_reg(APIC_EOI, 0);
}

static void guest_code(void)
{
	u32 i;

	xapic_enable();

	for (;;) {
		switch (READ_ONCE(shared.op)) {
		case WRITE_REGS:
			xapic_write_reg(APIC_DFR, shared.dfr);
			xapic_write_reg(APIC_LDR, SET_APIC_DEST_FIELD(shared.ldr));
			break;
		case SEND:
			for (i = 0; i < NR_DESTS; i++) {
				u32 icr = APIC_DEST_LOGICAL | APIC_DM_FIXED | (FIRST_VECTOR + i);

				apic_send_ipi(false, shared.first_dest + i, icr);
			}
			break;
		case RECEIVE:
			sti_nop();
			cli();
			break;
		case WRITE_TPR:
			apic_write_tpr_repeatedly(false);
			break;
		case ENTER_X2APIC:
			/* KVM inhibits AVIC while enabled APICs are in different modes. */
			x2apic_enable();
			x2apic_write_reg(APIC_SPIV, 0xff);
			break;
		case LEAVE_X2APIC:
			xapic_enable();
			break;
		}
		GUEST_SYNC(0);
	}
}

FIXTURE(logical_id) {
	struct kvm_vcpu *vcpus[NR_VCPUS], *bystander;
	typeof(shared) *shared;
	struct kvm_vm *vm;
};

FIXTURE_VARIANT(logical_id) {
	bool by_userspace, inhibited;
	/* The sender runs before the others know that the inhibit has been lifted. */
	bool sender_first;
};

FIXTURE_VARIANT_ADD(logical_id, by_guest) { };
FIXTURE_VARIANT_ADD(logical_id, by_guest_while_inhibited) { false, true };
FIXTURE_VARIANT_ADD(logical_id, by_guest_while_inhibited_sender_first) { false, true, true };
FIXTURE_VARIANT_ADD(logical_id, by_userspace) { true };
FIXTURE_VARIANT_ADD(logical_id, by_userspace_while_inhibited) { true, true };
FIXTURE_VARIANT_ADD(logical_id, by_userspace_while_inhibited_sender_first) { true, true, true };

static u64 run_op(struct kvm_vcpu *vcpu, typeof(shared) *s, enum op op)
{
	s->op = op;
	return vcpu_run_to_sync(vcpu);
}

FIXTURE_SETUP(logical_id)
{
	int i;

	self->vm = vm_create(NR_VCPUS + 1);
	virt_pg_map(self->vm, APIC_DEFAULT_GPA, APIC_DEFAULT_GPA);
	for (i = 0; i < NR_DESTS; i++)
		vm_install_exception_handler(self->vm, FIRST_VECTOR + i, guest_irq_handler);

	self->shared = addr_gva2hva(self->vm, (u64)&shared);
	for (i = 0; i < NR_VCPUS; i++) {
		self->vcpus[i] = vm_vcpu_add(self->vm, i, guest_code);
		vcpu_set_msr(self->vcpus[i], MSR_TSC_AUX, i);
	}
	self->bystander = vm_vcpu_add(self->vm, 100, guest_code);
	self->shared->dfr = FLAT;
	for (i = 0; i < NR_VCPUS; i++) {
		self->shared->ldr = !i;
		run_op(self->vcpus[i], self->shared, WRITE_REGS);
	}
}

FIXTURE_TEARDOWN(logical_id)
{
	kvm_vm_free(self->vm);
}

static bool is_addressed(u32 dest, u32 ldr, u32 dfr)
{
	if (dest == 0xff)
		return true;
	if (dfr >> 28)
		return dest & ldr;

	return dest >> 4 == ldr >> 4 && (dest & ldr & 0xf);
}

static void write_regs(struct kvm_vcpu *vcpu, typeof(shared) *s, bool by_userspace,
		       u32 ldr, u32 dfr)
{
	if (by_userspace) {
		vcpu_set_lapic_reg(vcpu, APIC_DFR, dfr | 0x0fffffff);
		vcpu_set_lapic_reg(vcpu, APIC_LDR, SET_APIC_DEST_FIELD(ldr));
		return;
	}
	s->ldr = ldr;
	s->dfr = dfr;
	run_op(vcpu, s, WRITE_REGS);
}

TEST_F(logical_id, receives_what_matches)
{
	u32 ldrs[NR_VCPUS] = { 1 }, dfrs[NR_VCPUS] = { FLAT, FLAT, FLAT };
	typeof(shared) *s = self->shared;
	bool x2apic = false;
	u32 i, step, dest;

	for (step = 0; step < ARRAY_SIZE(steps); step++) {
		u32 target = steps[step].vcpu;

		if (variant->inhibited) {
			set_apicv_inhibit(self->bystander, true);
			for (i = 0; i < NR_VCPUS; i++)
				run_op(self->vcpus[i], s, WRITE_TPR);
		}
		ldrs[target] = steps[step].ldr;
		dfrs[target] = steps[step].dfr;
		if (steps[step].x2apic) {
			run_op(self->vcpus[target], s, ENTER_X2APIC);
			run_op(self->vcpus[target], s, RECEIVE);
			vcpu_set_lapic_reg(self->vcpus[target], APIC_DFR, FLAT);
			run_op(self->vcpus[target], s, LEAVE_X2APIC);
		}
		write_regs(self->vcpus[target], s, variant->by_userspace, ldrs[target],
			   dfrs[target]);
		if (variant->inhibited)
			set_apicv_inhibit(self->bystander, false);
		for (i = 0; i < NR_VCPUS && !variant->sender_first; i++)
			run_op(self->vcpus[i], s, WRITE_TPR);

		for (s->first_dest = 0; s->first_dest < 256; s->first_dest += NR_DESTS) {
			memset(s->received, 0, sizeof(s->received));
			run_op(self->vcpus[0], s, SEND);
			for (i = 0; i < NR_VCPUS; i++)
				run_op(self->vcpus[i], s, RECEIVE);

			for (dest = s->first_dest; dest < s->first_dest + NR_DESTS; dest++) {
				for (i = 0; i < NR_VCPUS; i++)
					TEST_ASSERT(s->received[i][dest % NR_DESTS] ==
						    is_addressed(dest, ldrs[i], dfrs[i]),
						    "step %u, vCPU %u, LDR 0x%x, DFR 0x%x: got %u IPIs to 0x%x",
						    step, i, ldrs[i], dfrs[i],
						    s->received[i][dest % NR_DESTS], dest);
			}
		}

		/* Without x2AVIC, KVM emulates MMIO once a vCPU was in x2APIC mode. */
		x2apic |= steps[step].x2apic;
		if (is_apicv_enabled_in(x2apic)) {
			s->op = WRITE_TPR;
			vcpu_assert_apicv(self->vcpus[0], steps[step].active);
		}
	}
}

int main(int argc, char *argv[])
{
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_IRQCHIP));

	return test_harness_run(argc, argv);
}
