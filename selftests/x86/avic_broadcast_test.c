// SPDX-License-Identifier: GPL-2.0-only
/*
 * avic_broadcast_test
 *
 * Test that broadcast IPIs reach every vCPU exactly once, also those vCPUs that
 * AVIC can't address in the sender's mode, or that have no logical ID, and whether
 * the targets are running or halted.  Each vCPU broadcasts in turn, in each way
 * that its APIC knows.
 */
#include <pthread.h>
#include <string.h>

#include "kvm_test_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "apicv.h"

#define MAX_VCPUS	9
#define VECTOR		0x40
#define WAKE_VECTOR	0x50

/* How long to wait for a vCPU to make any progress, in milliseconds. */
#define HANG_TIMEOUT	5000

struct topology {
	u32 nr_vcpus;
	u32 ids[MAX_VCPUS];
	/* Bit N: vCPU N is in x2APIC mode. */
	u32 x2apic_mask;
	bool cluster;
	bool halt;
};

/* Shared between all vCPUs, and with the host. */
static struct {
	struct topology topo;
	u32 nr_ready;
	u32 turn;
	u64 received[MAX_VCPUS];
	u64 nr_broadcasts;
	u64 progress;
} shared;

/* Which vCPU this is; the APIC IDs of xAPIC mode may be ambiguous. */
static u32 guest_self(void)
{
	return rdmsr(MSR_TSC_AUX);
}

static bool guest_x2apic(void)
{
	return shared.topo.x2apic_mask & BIT(guest_self());
}

static void guest_ipi_handler(struct ex_regs *regs)
{
	u64 *received = &shared.received[guest_self()];

	if (regs->vector == VECTOR)
		WRITE_ONCE(*received, *received + 1);

	if (guest_x2apic())
		x2apic_write_reg(APIC_EOI, 0);
	else
		xapic_write_reg(APIC_EOI, 0);
}

/* Broadcast, and wait until everybody has got the IPI. */
static void guest_broadcast(u32 dest, u32 icr)
{
	u64 nr = ++shared.nr_broadcasts;
	u32 i;

	/* The sender gets those that aren't for itself by other means. */
	if ((icr & APIC_DEST_ALLBUT) == APIC_DEST_ALLBUT)
		apic_send_ipi(guest_x2apic(), 0, APIC_DEST_SELF | APIC_DM_FIXED | VECTOR);

	apic_send_ipi(guest_x2apic(), dest, icr | APIC_DM_FIXED | VECTOR);

	for (i = 0; i < shared.topo.nr_vcpus; i++) {
		while (READ_ONCE(shared.received[i]) < nr)
			cpu_relax();
		WRITE_ONCE(shared.progress, shared.progress + 1);
	}
}

static void guest_send_all(void)
{
	u32 everybody = guest_x2apic() ? -1u : 0xff;

	guest_broadcast(0, APIC_DEST_ALLINC);
	guest_broadcast(0, APIC_DEST_ALLBUT);

	/* KVM doesn't deliver other broadcasts across modes. */
	if (shared.topo.x2apic_mask && shared.topo.x2apic_mask != BIT(shared.topo.nr_vcpus) - 1)
		return;

	guest_broadcast(everybody, APIC_DEST_PHYSICAL);
	guest_broadcast(everybody, APIC_DEST_LOGICAL);
}

static void guest_code(void)
{
	const u32 self = guest_self();

	if (guest_x2apic()) {
		x2apic_enable();
	} else {
		xapic_enable();

		/* Flat mode: the ninth vCPU is left without a logical ID. */
		if (shared.topo.cluster) {
			xapic_write_reg(APIC_DFR, APIC_DFR_CLUSTER);
			xapic_write_reg(APIC_LDR, (self << 4 | 1) << 24);
		} else {
			xapic_write_reg(APIC_LDR, BIT(self) << 24);
		}
	}

	__atomic_fetch_add(&shared.nr_ready, 1, __ATOMIC_SEQ_CST);
	while (READ_ONCE(shared.nr_ready) != shared.topo.nr_vcpus)
		cpu_relax();

	for (;;) {
		cli();
		if (READ_ONCE(shared.turn) == self) {
			sti_nop();
			guest_send_all();
			WRITE_ONCE(shared.turn, self + 1);
			/* Wake the next sender, and at the end everybody. */
			apic_send_ipi(guest_x2apic(), 0,
				      APIC_DEST_ALLBUT | APIC_DM_FIXED | WAKE_VECTOR);
		} else if (READ_ONCE(shared.turn) >= shared.topo.nr_vcpus) {
			break;
		} else if (shared.topo.halt) {
			safe_halt();
		} else {
			sti_nop();
			cpu_relax();
		}
	}

	GUEST_DONE();
}

static void *vcpu_thread(void *arg)
{
	struct kvm_vcpu *vcpu = arg;
	struct ucall uc;

	vcpu_run(vcpu);
	if (get_ucall(vcpu, &uc) == UCALL_ABORT)
		REPORT_GUEST_ASSERT(uc);
	TEST_ASSERT_EQ(uc.cmd, UCALL_DONE);
	return NULL;
}

static void test_broadcasts(const struct topology *topo)
{
	struct kvm_vcpu *vcpus[MAX_VCPUS];
	pthread_t threads[MAX_VCPUS];
	u64 last, idle_ms = 0;
	typeof(shared) *s;
	struct kvm_vm *vm;
	u32 i;

	vm = vm_create(MAX_VCPUS);
	virt_pg_map(vm, APIC_DEFAULT_GPA, APIC_DEFAULT_GPA);
	vm_install_exception_handler(vm, VECTOR, guest_ipi_handler);
	vm_install_exception_handler(vm, WAKE_VECTOR, guest_ipi_handler);

	s = addr_gva2hva(vm, (u64)&shared);
	memset(s, 0, sizeof(*s));
	s->topo = *topo;

	for (i = 0; i < topo->nr_vcpus; i++) {
		vcpus[i] = vm_vcpu_add(vm, topo->ids[i], guest_code);
		vcpu_set_msr(vcpus[i], MSR_TSC_AUX, i);
	}

	for (i = 0; i < topo->nr_vcpus; i++)
		pthread_create(&threads[i], NULL, vcpu_thread, vcpus[i]);

	last = READ_ONCE(s->progress);
	while (READ_ONCE(s->turn) < topo->nr_vcpus) {
		usleep(1000);
		idle_ms = last == READ_ONCE(s->progress) ? idle_ms + 1 : 0;
		last = READ_ONCE(s->progress);

		for (i = 0; idle_ms > HANG_TIMEOUT && i < topo->nr_vcpus; i++)
			TEST_ASSERT(s->received[i] >= s->nr_broadcasts,
				    "vCPU %u (%s mode, %s) got %lu of %lu broadcasts, the last one from vCPU %u",
				    topo->ids[i], topo->x2apic_mask & BIT(i) ? "x2APIC" : "xAPIC",
				    topo->halt ? "halted" : "busy", (unsigned long)s->received[i],
				    (unsigned long)s->nr_broadcasts, topo->ids[s->turn]);
		TEST_ASSERT(idle_ms <= HANG_TIMEOUT, "vCPU %u wasn't woken", topo->ids[s->turn]);
	}

	for (i = 0; i < topo->nr_vcpus; i++) {
		pthread_join(threads[i], NULL);
		TEST_ASSERT_EQ(s->received[i], s->nr_broadcasts);
	}

	kvm_vm_free(vm);
}

FIXTURE(broadcast) {
};

FIXTURE_VARIANT(broadcast) {
	struct topology topo;
};

/* Only x2AVIC can address IDs above 254. */
FIXTURE_VARIANT_ADD(broadcast, xapic_id_254) { .topo = { 3, { 0, 1, 254 } } };
FIXTURE_VARIANT_ADD(broadcast, xapic_id_256) { .topo = { 3, { 0, 1, 256 } } };
FIXTURE_VARIANT_ADD(broadcast, xapic_id_300) { .topo = { 3, { 0, 1, 300 } } };
FIXTURE_VARIANT_ADD(broadcast, xapic_id_511) { .topo = { 3, { 0, 1, 511 } } };
FIXTURE_VARIANT_ADD(broadcast, xapic_id_4095) { .topo = { 3, { 0, 1, 4095 } } };
FIXTURE_VARIANT_ADD(broadcast, mixed_id_255) { .topo = { 3, { 0, 1, 255 }, 0x4 } };
FIXTURE_VARIANT_ADD(broadcast, mixed_id_300) { .topo = { 3, { 0, 1, 300 }, 0x4 } };
FIXTURE_VARIANT_ADD(broadcast, x2apic_id_300) { .topo = { 3, { 0, 1, 300 }, 0x7 } };
FIXTURE_VARIANT_ADD(broadcast, x2apic_id_4095) { .topo = { 3, { 0, 1, 4095 }, 0x7 } };
FIXTURE_VARIANT_ADD(broadcast, x2apic_cluster_0) { .topo = { 3, { 0, 1, 2 }, 0x7 } };
FIXTURE_VARIANT_ADD(broadcast, xapic_flat) { .topo = { 3, { 0, 1, 2 } } };
FIXTURE_VARIANT_ADD(broadcast, xapic_cluster) { .topo = { 3, { 0, 1, 2 }, .cluster = true } };
FIXTURE_VARIANT_ADD(broadcast, xapic_flat_without_ldr) {
	.topo = { 9, { 0, 1, 2, 3, 4, 5, 6, 7, 8 } }
};

FIXTURE_SETUP(broadcast)
{
}

FIXTURE_TEARDOWN(broadcast)
{
}

TEST_F(broadcast, busy)
{
	test_broadcasts(&variant->topo);
}

TEST_F(broadcast, halted)
{
	struct topology topo = variant->topo;

	topo.halt = true;
	test_broadcasts(&topo);
}

int main(int argc, char *argv[])
{
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_IRQCHIP));

	return test_harness_run(argc, argv);
}
