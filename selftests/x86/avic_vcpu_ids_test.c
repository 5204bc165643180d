// SPDX-License-Identifier: GPL-2.0-only
/*
 * avic_vcpu_ids_test
 *
 * Test that KVM can create vCPUs with every ID that KVM advertises, regardless
 * of whether or not AVIC can address the ID; that AVIC stays active for VMs
 * with only addressable vCPUs; that AVIC is inhibited for the whole VM
 * otherwise; and that interrupts are delivered in all cases.
 *
 * KVM uses the vCPU ID as the index into AVIC's physical ID table, and the
 * largest index depends on the CPU: 254 for AVIC, 511 for x2AVIC, and 4095 for
 * x2AVIC with the extension to 4096 entries.
 *
 * To tell if AVIC is active, count how many VM-Exits a batch of accesses to the
 * TPR costs.  The TPR is accelerated in xAPIC (MMIO) and x2APIC (MSR) mode.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "kvm_test_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "apic.h"

#define X86_FEATURE_HOST_X2AVIC		KVM_X86_CPU_FEATURE(0x8000000A, 0, EDX, 18)
#define X86_FEATURE_HOST_X2AVIC_EXT	KVM_X86_CPU_FEATURE(0x8000000A, 0, ECX, 6)

#define APIC_LDR		0xd0

#define AVIC_MAX_ID		254
#define X2AVIC_MAX_ID		511
#define X2AVIC_EXT_MAX_ID	4095

/* An ID that KVM supports, and that AVIC can't address without the extension. */
#define BIG_ID			4095

/* Number of TPR reads, and of TPR writes, in one batch. */
#define NR_ACCESSES		100

/* How long to wait for a vCPU to make any progress, in seconds. */
#define HANG_TIMEOUT		5

/* Number of times that each vCPU sends IPIs of all types to all vCPUs. */
#define NR_ROUNDS		3

#define MAX_SLOTS		4
#define INVALID_SLOT		(-1u)

enum ipi {
	IPI_PHYSICAL,
	IPI_LOGICAL,
	IPI_BROADCAST,
	IPI_ALL_INCLUDING_SELF,
	IPI_ALL_EXCLUDING_SELF,
	IPI_SELF_SHORTHAND,
	IPI_SELF_MSR,
	IPI_BATON,
	NR_IPIS,
};

/* Use a priority class per type, so that a stuck vISR bit doesn't go unnoticed. */
#define IPI_VECTOR(ipi)		(0x30 + 0x10 * (ipi))

/*
 * State that is shared between host and guest, via the guest's copy.  A "slot"
 * is the index of a vCPU in the test's array of vCPUs.
 */
static struct {
	/* Configuration, written by the host before the vCPUs run. */
	u32 nr_slots;
	u32 ids[MAX_SLOTS];
	bool x2apic;
	bool halt;

	/* Set by the host while the vCPUs run. */
	bool stop_request;

	/* Number of IPIs that each vCPU received, and should have received. */
	u64 received[MAX_SLOTS][NR_IPIS];
	u64 expected[MAX_SLOTS][NR_IPIS];
	u32 nr_ready;

	/* The vCPU whose turn it is to send IPIs, and to update the above. */
	u32 sender;
	bool stop;

	/* Number of completed steps, e.g. of IPIs sent and received. */
	u64 progress;
} shared;

static void guest_apic_enable(void)
{
	if (READ_ONCE(shared.x2apic))
		x2apic_enable();
	else
		xapic_enable();
}

static u32 guest_apic_read(unsigned int reg)
{
	return READ_ONCE(shared.x2apic) ? x2apic_read_reg(reg) : xapic_read_reg(reg);
}

static void guest_apic_write(unsigned int reg, u32 val)
{
	if (READ_ONCE(shared.x2apic))
		x2apic_write_reg(reg, val);
	else
		xapic_write_reg(reg, val);
}

static void guest_access_tpr(void)
{
	int i;

	for (i = 0; i < NR_ACCESSES; i++) {
		guest_apic_write(APIC_TASKPRI, 0x10);
		GUEST_ASSERT_EQ(guest_apic_read(APIC_TASKPRI), 0x10);
	}
	guest_apic_write(APIC_TASKPRI, 0);
}

/* Access the TPR in batches, each of which ends with a ucall. */
static void guest_tpr_batches(void)
{
	guest_apic_enable();

	for (;;) {
		guest_access_tpr();
		GUEST_SYNC(0);
	}
}

/* Access the TPR until told to stop, without ever exiting to userspace. */
static void guest_tpr_forever(void)
{
	guest_apic_enable();

	while (!READ_ONCE(shared.stop_request)) {
		guest_access_tpr();
		WRITE_ONCE(shared.progress, shared.progress + 1);
	}

	GUEST_DONE();
}

static u32 guest_slot(void)
{
	u32 id = guest_apic_read(APIC_ID);
	u32 i;

	if (!shared.x2apic)
		id = GET_APIC_ID_FIELD(id);

	for (i = 0; i < shared.nr_slots; i++) {
		if (shared.ids[i] == id)
			return i;
	}

	GUEST_FAIL("Unknown APIC ID %u", id);
	return INVALID_SLOT;
}

static void guest_ipi_handler(struct ex_regs *regs)
{
	u64 *received = &shared.received[guest_slot()][(regs->vector - 0x30) / 0x10];

	WRITE_ONCE(*received, *received + 1);
	guest_apic_write(APIC_EOI, 0);
}

static void guest_send_ipi(u32 dest, u32 icr)
{
	if (shared.x2apic) {
		x2apic_write_reg(APIC_ICR, (u64)dest << 32 | icr);
	} else {
		xapic_write_reg(APIC_ICR2, SET_APIC_DEST_FIELD(dest));
		xapic_write_reg(APIC_ICR, icr);
	}
}

static u32 guest_logical_id(u32 slot)
{
	u32 id = shared.ids[slot];

	return shared.x2apic ? (id >> 4) << 16 | BIT(id & 0xf) : BIT(slot);
}

/*
 * Wait until vCPUs have received the IPIs that they are expected to receive.
 * There's no limit in the guest, the host gives up if there's no progress.
 */
static void guest_wait_for_ipi(enum ipi ipi)
{
	u32 i;

	for (i = 0; i < shared.nr_slots; i++) {
		while (READ_ONCE(shared.received[i][ipi]) < shared.expected[i][ipi])
			cpu_relax();
	}

	WRITE_ONCE(shared.progress, shared.progress + 1);
}

static void guest_expect_all(enum ipi ipi, u32 except)
{
	u32 i;

	for (i = 0; i < shared.nr_slots; i++) {
		if (i != except)
			shared.expected[i][ipi]++;
	}
}

/* Send an IPI of every type, with every possible target, one at a time. */
static void guest_send_ipis(u32 self)
{
	u32 i;

	for (i = 0; i < shared.nr_slots; i++) {
		shared.expected[i][IPI_PHYSICAL]++;
		guest_send_ipi(shared.ids[i], APIC_DEST_PHYSICAL | APIC_DM_FIXED |
					      IPI_VECTOR(IPI_PHYSICAL));
		guest_wait_for_ipi(IPI_PHYSICAL);

		shared.expected[i][IPI_LOGICAL]++;
		guest_send_ipi(guest_logical_id(i), APIC_DEST_LOGICAL | APIC_DM_FIXED |
						    IPI_VECTOR(IPI_LOGICAL));
		guest_wait_for_ipi(IPI_LOGICAL);
	}

	guest_expect_all(IPI_BROADCAST, INVALID_SLOT);
	guest_send_ipi(shared.x2apic ? -1u : 0xff,
		       APIC_DEST_PHYSICAL | APIC_DM_FIXED | IPI_VECTOR(IPI_BROADCAST));
	guest_wait_for_ipi(IPI_BROADCAST);

	guest_expect_all(IPI_ALL_INCLUDING_SELF, INVALID_SLOT);
	guest_send_ipi(0, APIC_DEST_ALLINC | APIC_DM_FIXED |
			  IPI_VECTOR(IPI_ALL_INCLUDING_SELF));
	guest_wait_for_ipi(IPI_ALL_INCLUDING_SELF);

	guest_expect_all(IPI_ALL_EXCLUDING_SELF, self);
	guest_send_ipi(0, APIC_DEST_ALLBUT | APIC_DM_FIXED |
			  IPI_VECTOR(IPI_ALL_EXCLUDING_SELF));
	guest_wait_for_ipi(IPI_ALL_EXCLUDING_SELF);

	shared.expected[self][IPI_SELF_SHORTHAND]++;
	guest_send_ipi(0, APIC_DEST_SELF | APIC_DM_FIXED | IPI_VECTOR(IPI_SELF_SHORTHAND));
	guest_wait_for_ipi(IPI_SELF_SHORTHAND);

	if (shared.x2apic) {
		shared.expected[self][IPI_SELF_MSR]++;
		x2apic_write_reg(APIC_SELF_IPI, IPI_VECTOR(IPI_SELF_MSR));
		guest_wait_for_ipi(IPI_SELF_MSR);
	}
}

/*
 * Wait for this vCPU's turn, either in HLT or busy.  The turn doesn't start before
 * the baton's IPI has arrived, another IPI with its vector might be merged with it.
 */
static void guest_wait_for_turn(u32 self)
{
	while (READ_ONCE(shared.sender) != self && !READ_ONCE(shared.stop)) {
		if (!shared.halt) {
			cpu_relax();
			continue;
		}

		cli();
		if (READ_ONCE(shared.sender) != self && !READ_ONCE(shared.stop))
			safe_halt();
		sti();
	}

	while (!READ_ONCE(shared.stop) && READ_ONCE(shared.received[self][IPI_BATON]) <
					  READ_ONCE(shared.expected[self][IPI_BATON]))
		cpu_relax();
}

/* Pass the baton, and wake the next sender if it's in HLT. */
static void guest_pass_baton(u32 next)
{
	shared.expected[next][IPI_BATON]++;
	WRITE_ONCE(shared.sender, next);
	guest_send_ipi(shared.ids[next], APIC_DEST_PHYSICAL | APIC_DM_FIXED |
					 IPI_VECTOR(IPI_BATON));
}

/* Only the current sender may stop, as it knows that no IPI is in flight. */
static void guest_stop_all(u32 self)
{
	guest_expect_all(IPI_BATON, self);
	WRITE_ONCE(shared.stop, true);
	guest_send_ipi(0, APIC_DEST_ALLBUT | APIC_DM_FIXED | IPI_VECTOR(IPI_BATON));
}

/* Don't stop running before all IPIs have arrived. */
static void guest_ipi_done(u32 self)
{
	u32 ipi;

	for (ipi = 0; ipi < NR_IPIS; ipi++) {
		while (READ_ONCE(shared.received[self][ipi]) <
		       READ_ONCE(shared.expected[self][ipi]))
			cpu_relax();
	}

	GUEST_DONE();
}

static u32 guest_ipi_init(void)
{
	u32 self;

	guest_apic_enable();
	self = guest_slot();

	if (!shared.x2apic)
		xapic_write_reg(APIC_LDR, BIT(self) << 24);

	sti();

	/* Don't send IPIs to a vCPU whose APIC might still be disabled. */
	__atomic_fetch_add(&shared.nr_ready, 1, __ATOMIC_SEQ_CST);
	while (READ_ONCE(shared.nr_ready) != shared.nr_slots)
		cpu_relax();

	return self;
}

/* Have each vCPU in turn send IPIs of all types to all vCPUs. */
static void guest_all_ipis(void)
{
	u32 self = guest_ipi_init();
	u32 round;

	for (round = 0; round < NR_ROUNDS; round++) {
		guest_wait_for_turn(self);
		guest_send_ipis(self);

		if (round + 1 == NR_ROUNDS && self + 1 == shared.nr_slots)
			guest_stop_all(self);
		else
			guest_pass_baton((self + 1) % shared.nr_slots);
	}

	/* Stay around, other vCPUs have yet to send their IPIs. */
	guest_wait_for_turn(INVALID_SLOT);
	guest_ipi_done(self);
}

/* Two vCPUs send IPIs to each other until the host wants them to stop. */
static void guest_ping_pong(void)
{
	u32 self = guest_ipi_init();
	u32 peer = !self;

	for (;;) {
		guest_wait_for_turn(self);
		if (READ_ONCE(shared.stop))
			break;

		if (READ_ONCE(shared.stop_request)) {
			guest_stop_all(self);
			break;
		}

		shared.expected[peer][IPI_PHYSICAL]++;
		guest_send_ipi(shared.ids[peer], APIC_DEST_PHYSICAL | APIC_DM_FIXED |
						 IPI_VECTOR(IPI_PHYSICAL));
		guest_wait_for_ipi(IPI_PHYSICAL);
		guest_pass_baton(peer);
	}

	guest_ipi_done(self);
}

static void guest_send_one_ipi(void)
{
	guest_apic_enable();

	shared.expected[1][IPI_PHYSICAL]++;
	guest_send_ipi(shared.ids[1], APIC_DEST_PHYSICAL | APIC_DM_FIXED |
				      IPI_VECTOR(IPI_PHYSICAL));
	GUEST_DONE();
}

static void guest_receive_one_ipi(void)
{
	guest_apic_enable();
	WRITE_ONCE(shared.nr_ready, 1);

	cli();
	while (!READ_ONCE(shared.received[1][IPI_PHYSICAL])) {
		safe_halt();
		cli();
	}
	GUEST_DONE();
}

struct test_vm {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpus[MAX_SLOTS];
	pthread_t threads[MAX_SLOTS];
	typeof(shared) *shared;
};

/* Number of vCPU threads whose guest is done. */
static u32 nr_done;

static void test_vm_create(struct test_vm *t, bool x2apic)
{
	int i;

	memset(t, 0, sizeof(*t));
	t->vm = vm_create(MAX_SLOTS);
	if (!x2apic)
		virt_pg_map(t->vm, APIC_DEFAULT_GPA, APIC_DEFAULT_GPA);

	for (i = 0; i < NR_IPIS; i++)
		vm_install_exception_handler(t->vm, IPI_VECTOR(i), guest_ipi_handler);

	t->shared = addr_gva2hva(t->vm, (u64)&shared);
	memset(t->shared, 0, sizeof(*t->shared));
	t->shared->x2apic = x2apic;
}

static void test_vm_add(struct test_vm *t, u32 id, void *guest_code)
{
	u32 slot = t->shared->nr_slots;

	TEST_ASSERT(slot < MAX_SLOTS, "Too many vCPUs");

	t->vcpus[slot] = vm_vcpu_add(t->vm, id, guest_code);
	t->shared->ids[slot] = id;
	t->shared->nr_slots = slot + 1;
}

/* Create a vCPU that never runs, i.e. of which only the creation matters. */
static int test_vm_create_vcpu(struct kvm_vm *vm, unsigned long id)
{
	int fd = __vm_ioctl(vm, KVM_CREATE_VCPU, (void *)id);

	return fd < 0 ? -errno : fd;
}

/* Run a vCPU until its next ucall, return false if the guest is done. */
static bool run_to_ucall(struct kvm_vcpu *vcpu)
{
	struct ucall uc;

	vcpu_run(vcpu);

	switch (get_ucall(vcpu, &uc)) {
	case UCALL_SYNC:
		return true;
	case UCALL_DONE:
		return false;
	case UCALL_ABORT:
		REPORT_GUEST_ASSERT(uc);
		break;
	default:
		TEST_FAIL("vCPU %u: unexpected ucall %lu, exit reason %u (%s)", vcpu->id,
			  uc.cmd, vcpu->run->exit_reason,
			  exit_reason_str(vcpu->run->exit_reason));
	}
	return false;
}

static void *vcpu_thread(void *vcpu)
{
	while (run_to_ucall(vcpu))
		;

	__atomic_fetch_add(&nr_done, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static void start_vcpu(struct test_vm *t, u32 slot)
{
	TEST_ASSERT(!pthread_create(&t->threads[slot], NULL, vcpu_thread, t->vcpus[slot]),
		    "pthread_create() failed for vCPU %u", t->vcpus[slot]->id);
}

static void start_vcpus(struct test_vm *t)
{
	u32 i;

	nr_done = 0;
	for (i = 0; i < t->shared->nr_slots; i++)
		start_vcpu(t, i);
}

static void report_lost_ipis(struct test_vm *t)
{
	u32 i, j;

	for (i = 0; i < t->shared->nr_slots; i++) {
		for (j = 0; j < NR_IPIS; j++) {
			if (t->shared->received[i][j] == t->shared->expected[i][j])
				continue;

			printf("# vCPU %u, vector 0x%x: got %lu of %lu IPIs\n",
			       t->shared->ids[i], IPI_VECTOR(j),
			       (unsigned long)t->shared->received[i][j],
			       (unsigned long)t->shared->expected[i][j]);
		}
	}
	fflush(stdout);
}

/*
 * Wait until the guest has done nr_steps more steps, or, if nr_steps is zero,
 * until all vCPUs are done.  The timeout applies to single steps, i.e. doesn't
 * limit how long the guest may take.
 */
static void wait_for_guest(struct test_vm *t, u64 nr_steps)
{
	u64 last = READ_ONCE(t->shared->progress);
	const u64 end = last + nr_steps;
	unsigned int idle_ms = 0;

	for (;;) {
		u64 now = READ_ONCE(t->shared->progress);

		if (nr_steps ? now >= end : READ_ONCE(nr_done) == t->shared->nr_slots)
			return;

		if (now != last) {
			last = now;
			idle_ms = 0;
		} else if (++idle_ms > HANG_TIMEOUT * 1000) {
			report_lost_ipis(t);
			TEST_FAIL("The guest is stuck, after %lu steps", (unsigned long)last);
		}

		usleep(1000);
	}
}

static void join_vcpus(struct test_vm *t)
{
	u32 i;

	wait_for_guest(t, 0);

	for (i = 0; i < t->shared->nr_slots; i++)
		pthread_join(t->threads[i], NULL);
}

/*
 * Number of VM-Exits that weren't caused by interrupts of the host.  Signed, as
 * the two stats can't be read at once if the vCPU is running, i.e. a difference
 * of two results may be negative.
 */
static long nr_exits(struct kvm_vcpu *vcpu)
{
	return vcpu_get_stat(vcpu, exits) - vcpu_get_stat(vcpu, irq_exits);
}

/*
 * Each of the TPR accesses exits if AVIC isn't active, and none does if AVIC is
 * active.  Allow for other exits, e.g. due to NMIs and page faults.
 */
static bool is_accelerated(long exits, long nr_batches)
{
	return exits < 2 * NR_ACCESSES * nr_batches / 4;
}

static bool is_emulated(long exits, long nr_batches)
{
	return exits >= 2 * NR_ACCESSES * nr_batches;
}

static void check_exits(u32 vcpu_id, long exits, long nr_batches, bool avic_active)
{
	TEST_ASSERT(avic_active ? is_accelerated(exits, nr_batches) :
				  is_emulated(exits, nr_batches),
		    "vCPU %u: AVIC should be %s, %ld VM-Exits in %ld TPR accesses",
		    vcpu_id, avic_active ? "active" : "inhibited", exits,
		    2 * NR_ACCESSES * nr_batches);
}

static long nr_exits_per_batch(struct kvm_vcpu *vcpu)
{
	long exits;

	/* Populate caches and page tables, and handle pending requests. */
	TEST_ASSERT(run_to_ucall(vcpu), "The guest shouldn't be done");

	exits = nr_exits(vcpu);
	TEST_ASSERT(run_to_ucall(vcpu), "The guest shouldn't be done");

	return nr_exits(vcpu) - exits;
}

static void expect_avic(struct test_vm *t, bool active)
{
	u32 i;

	for (i = 0; i < t->shared->nr_slots; i++) {
		check_exits(t->shared->ids[i], nr_exits_per_batch(t->vcpus[i]), 1, active);

		/* KVM has to agree, if it's able to tell. */
		if (vcpu_has_stat(t->vcpus[i], apicv_active))
			TEST_ASSERT_EQ(vcpu_get_stat(t->vcpus[i], apicv_active), active);
	}
}

/*
 * ABI: KVM_CREATE_VCPU must not depend on whether or not AVIC is enabled.
 */
FIXTURE(create) {
	struct kvm_vm *vm;
};

FIXTURE_VARIANT(create) {
	unsigned long id;
};

FIXTURE_VARIANT_ADD(create, id_0) { .id = 0 };
FIXTURE_VARIANT_ADD(create, id_1) { .id = 1 };
FIXTURE_VARIANT_ADD(create, id_253) { .id = 253 };
FIXTURE_VARIANT_ADD(create, id_254) { .id = 254 };
FIXTURE_VARIANT_ADD(create, id_255) { .id = 255 };
FIXTURE_VARIANT_ADD(create, id_256) { .id = 256 };
FIXTURE_VARIANT_ADD(create, id_510) { .id = 510 };
FIXTURE_VARIANT_ADD(create, id_511) { .id = 511 };
FIXTURE_VARIANT_ADD(create, id_512) { .id = 512 };
FIXTURE_VARIANT_ADD(create, id_1023) { .id = 1023 };
FIXTURE_VARIANT_ADD(create, id_4094) { .id = 4094 };
FIXTURE_VARIANT_ADD(create, id_4095) { .id = 4095 };

/* Not below KVM_CAP_MAX_VCPU_ID, unless KVM supports more; the negative ones are huge. */
FIXTURE_VARIANT_ADD(create, id_4096) { .id = 4096 };
FIXTURE_VARIANT_ADD(create, id_int_max) { .id = INT_MAX };
FIXTURE_VARIANT_ADD(create, id_minus_1) { .id = -1ul };
FIXTURE_VARIANT_ADD(create, id_u32_minus_1) { .id = UINT_MAX };
FIXTURE_VARIANT_ADD(create, id_int_min) { .id = (unsigned long)INT_MIN };

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
	int r = test_vm_create_vcpu(vm, id);

	if (id >= kvm_check_cap(KVM_CAP_MAX_VCPU_ID)) {
		TEST_ASSERT(r == -EINVAL, "vCPU ID %ld: wanted errno %d, got %d",
			    id, EINVAL, r < 0 ? -r : 0);
		return;
	}

	TEST_ASSERT(r >= 0, "vCPU ID %ld: KVM_CREATE_VCPU failed, errno %d (%s)",
		    id, -r, strerror(-r));

	/* The ID is in use from now on. */
	TEST_ASSERT_EQ(test_vm_create_vcpu(vm, id), -EEXIST);
	close(r);
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
	const unsigned long caps[] = { 2, 200, 300, 1000, BIG_ID, max };
	struct kvm_vm *vm;
	int i, fd;

	for (i = 0; i < ARRAY_SIZE(caps); i++) {
		vm = vm_create_barebones();
		vm_ioctl(vm, KVM_CREATE_IRQCHIP, NULL);
		vm_enable_cap(vm, KVM_CAP_MAX_VCPU_ID, caps[i]);

		TEST_ASSERT_EQ(test_vm_create_vcpu(vm, caps[i]), -EINVAL);
		if (caps[i] != max)
			TEST_ASSERT_EQ(test_vm_create_vcpu(vm, max - 1), -EINVAL);

		fd = test_vm_create_vcpu(vm, caps[i] - 1);
		TEST_ASSERT(fd >= 0, "vCPU ID %lu of at most %lu: errno %d",
			    caps[i] - 1, caps[i] - 1, -fd);
		close(fd);
		kvm_vm_free(vm);
	}
}

/*
 * IPIs: every type must get from every vCPU to every vCPU, exactly once.
 */
FIXTURE(ipi) {
	struct test_vm t;
};

FIXTURE_VARIANT(ipi) {
	bool x2apic;
	bool halt;
};

FIXTURE_VARIANT_ADD(ipi, xapic_busy) {
};

FIXTURE_VARIANT_ADD(ipi, xapic_halted) {
	.halt = true,
};

FIXTURE_VARIANT_ADD(ipi, x2apic_busy) {
	.x2apic = true,
};

FIXTURE_VARIANT_ADD(ipi, x2apic_halted) {
	.x2apic = true,
	.halt = true,
};

FIXTURE_SETUP(ipi)
{
	test_vm_create(&self->t, variant->x2apic);
	self->t.shared->halt = variant->halt;
}

FIXTURE_TEARDOWN(ipi)
{
	kvm_vm_free(self->t.vm);
}

static void check_ipis(struct test_vm *t)
{
	u32 i, j;

	for (i = 0; i < t->shared->nr_slots; i++) {
		for (j = 0; j < NR_IPIS; j++)
			TEST_ASSERT(t->shared->received[i][j] == t->shared->expected[i][j],
				    "vCPU %u, vector 0x%x: got %lu of %lu IPIs",
				    t->shared->ids[i], IPI_VECTOR(j),
				    (unsigned long)t->shared->received[i][j],
				    (unsigned long)t->shared->expected[i][j]);
	}
}

/* IDs that AVIC can always address, i.e. with AVIC active if it's enabled. */
TEST_F(ipi, addressable_ids)
{
	test_vm_add(&self->t, 0, guest_all_ipis);
	test_vm_add(&self->t, 1, guest_all_ipis);
	test_vm_add(&self->t, AVIC_MAX_ID, guest_all_ipis);

	start_vcpus(&self->t);
	join_vcpus(&self->t);
	check_ipis(&self->t);
}

/* xAPIC can't address a big ID, but must get along with its existence. */
TEST_F(ipi, with_big_id)
{
	int fd = -1;

	test_vm_add(&self->t, 0, guest_all_ipis);
	test_vm_add(&self->t, AVIC_MAX_ID, guest_all_ipis);
	if (variant->x2apic) {
		test_vm_add(&self->t, X2AVIC_MAX_ID, guest_all_ipis);
		test_vm_add(&self->t, BIG_ID, guest_all_ipis);
	} else {
		fd = test_vm_create_vcpu(self->t.vm, BIG_ID);
		TEST_ASSERT(fd >= 0, "vCPU ID %u: KVM_CREATE_VCPU failed, errno %d",
			    BIG_ID, -fd);
	}

	start_vcpus(&self->t);
	join_vcpus(&self->t);
	check_ipis(&self->t);

	if (fd >= 0)
		close(fd);
}

/* Create a big vCPU, i.e. inhibit AVIC, while vCPUs are busy sending IPIs. */
TEST_F(ipi, none_lost_on_inhibit)
{
	int fd;

	test_vm_add(&self->t, 0, guest_ping_pong);
	test_vm_add(&self->t, AVIC_MAX_ID, guest_ping_pong);
	start_vcpus(&self->t);

	wait_for_guest(&self->t, 100);
	fd = test_vm_create_vcpu(self->t.vm, BIG_ID);
	TEST_ASSERT(fd >= 0, "vCPU ID %u: KVM_CREATE_VCPU failed, errno %d", BIG_ID, -fd);
	close(fd);
	wait_for_guest(&self->t, 100);

	WRITE_ONCE(self->t.shared->stop_request, true);
	join_vcpus(&self->t);
	check_ipis(&self->t);
}

/*
 * AVIC: active if and only if all vCPUs are addressable.
 */
static bool is_avic_enabled(void)
{
	return !access("/sys/module/kvm_amd/parameters/avic", R_OK) &&
	       kvm_get_module_param_bool("kvm_amd", "avic");
}

static bool is_kernel_older_than(int major, int minor)
{
	struct utsname u;
	int x, y;

	TEST_ASSERT(!uname(&u) && sscanf(u.release, "%d.%d", &x, &y) == 2,
		    "Can't parse the kernel's release");

	return x < major || (x == major && y < minor);
}

/*
 * Return the largest ID that AVIC can address.  KVM doesn't report if it makes
 * use of the extension to 4096 IDs, supported since v6.19.  Look at what KVM
 * does with old kernels, as the extension may have been backported.
 */
static u32 avic_max_id(void)
{
	struct test_vm t;
	bool active;
	int fd;

	if (!this_cpu_has(X86_FEATURE_HOST_X2AVIC))
		return AVIC_MAX_ID;

	if (!this_cpu_has(X86_FEATURE_HOST_X2AVIC_EXT))
		return X2AVIC_MAX_ID;

	if (!is_kernel_older_than(6, 19))
		return X2AVIC_EXT_MAX_ID;

	test_vm_create(&t, true);
	test_vm_add(&t, 0, guest_tpr_batches);
	fd = test_vm_create_vcpu(t.vm, X2AVIC_MAX_ID + 1);
	active = fd >= 0 && is_accelerated(nr_exits_per_batch(t.vcpus[0]), 1);
	if (fd >= 0)
		close(fd);
	kvm_vm_free(t.vm);

	return active ? X2AVIC_EXT_MAX_ID : X2AVIC_MAX_ID;
}

FIXTURE(avic) {
	struct test_vm t;
	/* What the CPU can address, and what it can address in the vCPUs' mode. */
	u32 max_id;
	u32 mode_max_id;
	/* The biggest that KVM supports, often but not always BIG_ID. */
	u32 big_id;
};

FIXTURE_VARIANT(avic) {
	bool x2apic;
};

FIXTURE_VARIANT_ADD(avic, xapic) {
};

FIXTURE_VARIANT_ADD(avic, x2apic) {
	.x2apic = true,
};

FIXTURE_SETUP(avic)
{
	if (access("/sys/module/kvm_amd", F_OK))
		SKIP(return, "kvm_amd isn't loaded");

	if (!is_avic_enabled())
		SKIP(return, "kvm_amd.avic=0");

	if (variant->x2apic && !this_cpu_has(X86_FEATURE_HOST_X2AVIC))
		SKIP(return, "the CPU doesn't support x2AVIC");

	self->max_id = avic_max_id();
	self->mode_max_id = variant->x2apic ? self->max_id : AVIC_MAX_ID;
	self->big_id = kvm_check_cap(KVM_CAP_MAX_VCPU_ID) - 1;
	test_vm_create(&self->t, variant->x2apic);
}

FIXTURE_TEARDOWN(avic)
{
	if (self->t.vm)
		kvm_vm_free(self->t.vm);
}

static void test_addressable(struct test_vm *t, u32 id)
{
	test_vm_add(t, 0, guest_tpr_batches);
	test_vm_add(t, id, guest_tpr_batches);
	test_vm_add(t, 1, guest_tpr_batches);
	expect_avic(t, true);
}

TEST_F(avic, active_with_id_254)
{
	test_addressable(&self->t, AVIC_MAX_ID);
}

TEST_F(avic, active_with_id_511)
{
	if (self->mode_max_id < X2AVIC_MAX_ID)
		SKIP(return, "AVIC addresses IDs up to %u", self->mode_max_id);

	test_addressable(&self->t, X2AVIC_MAX_ID);
}

TEST_F(avic, active_with_id_4095)
{
	if (self->mode_max_id < X2AVIC_EXT_MAX_ID)
		SKIP(return, "AVIC addresses IDs up to %u", self->mode_max_id);

	test_addressable(&self->t, X2AVIC_EXT_MAX_ID);
}

/* The next ID after the last addressable one, on top of active vCPUs. */
TEST_F(avic, inhibited_by_next_id)
{
	if (self->max_id == self->big_id)
		SKIP(return, "AVIC addresses all of KVM's IDs");

	test_vm_add(&self->t, 0, guest_tpr_batches);
	test_vm_add(&self->t, self->mode_max_id, guest_tpr_batches);
	expect_avic(&self->t, true);

	test_vm_add(&self->t, self->max_id + 1, guest_tpr_batches);
	expect_avic(&self->t, false);

	/* Addressable vCPUs that are hotplugged later on are no exception. */
	test_vm_add(&self->t, 1, guest_tpr_batches);
	expect_avic(&self->t, false);
}

TEST_F(avic, inhibited_by_big_id_created_first)
{
	if (self->max_id == self->big_id)
		SKIP(return, "AVIC addresses all of KVM's IDs");

	test_vm_add(&self->t, self->big_id, guest_tpr_batches);
	test_vm_add(&self->t, 0, guest_tpr_batches);
	test_vm_add(&self->t, 1, guest_tpr_batches);
	expect_avic(&self->t, false);
}

/* The vCPU is running, i.e. does more than the given number of batches. */
static void expect_avic_while_running(struct test_vm *t, u32 slot, bool active)
{
	struct kvm_vcpu *vcpu = t->vcpus[slot];
	long exits = nr_exits(vcpu);
	const long nr_batches = 20;

	/* The first batch may have been almost done when reading the stats. */
	wait_for_guest(t, nr_batches + 1);
	check_exits(vcpu->id, nr_exits(vcpu) - exits, nr_batches, active);
}

/* The vCPU stays in KVM_RUN, i.e. isn't helped by userspace in any way. */
TEST_F(avic, inhibited_while_running)
{
	int fd;

	if (self->max_id == self->big_id)
		SKIP(return, "AVIC addresses all of KVM's IDs");

	test_vm_add(&self->t, 0, guest_tpr_forever);
	start_vcpus(&self->t);

	wait_for_guest(&self->t, 1);
	expect_avic_while_running(&self->t, 0, true);

	fd = test_vm_create_vcpu(self->t.vm, self->max_id + 1);
	TEST_ASSERT(fd >= 0, "vCPU ID %u: KVM_CREATE_VCPU failed, errno %d",
		    self->max_id + 1, -fd);
	close(fd);

	/* The ioctl() must not return before AVIC is inhibited. */
	expect_avic_while_running(&self->t, 0, false);

	WRITE_ONCE(self->t.shared->stop_request, true);
	join_vcpus(&self->t);
}

TEST_F(avic, not_inhibited_in_other_vm)
{
	struct test_vm older, newer;

	if (self->max_id == self->big_id)
		SKIP(return, "AVIC addresses all of KVM's IDs");

	test_vm_create(&older, variant->x2apic);
	test_vm_add(&older, 0, guest_tpr_batches);
	test_vm_add(&self->t, 0, guest_tpr_batches);
	expect_avic(&older, true);

	test_vm_add(&self->t, self->big_id, guest_tpr_batches);
	expect_avic(&self->t, false);
	expect_avic(&older, true);

	test_vm_create(&newer, variant->x2apic);
	test_vm_add(&newer, 0, guest_tpr_batches);
	expect_avic(&newer, true);

	kvm_vm_free(newer.vm);
	kvm_vm_free(older.vm);
}

#define TRACEFS		"/sys/kernel/tracing"
#define TRACE_INSTANCE	TRACEFS "/instances/avic_vcpu_ids_test"
#define TRACE_EVENT	TRACE_INSTANCE "/events/kvm/kvm_apicv_inhibit_changed/enable"

/* KVM reports why AVIC is inhibited via a tracepoint, and only there. */
TEST_F(avic, inhibit_reason_is_traced)
{
	bool found = false;
	char line[1024];
	FILE *f;

	if (self->max_id == self->big_id)
		SKIP(return, "AVIC addresses all of KVM's IDs");

	if (mkdir(TRACE_INSTANCE, 0700) && errno != EEXIST)
		SKIP(return, "can't create a tracefs instance: %s", strerror(errno));

	f = fopen(TRACE_EVENT, "w");
	if (!f) {
		rmdir(TRACE_INSTANCE);
		SKIP(return, "can't trace kvm_apicv_inhibit_changed: %s", strerror(errno));
	}
	fputs("1", f);
	fclose(f);

	test_vm_add(&self->t, 0, guest_tpr_batches);
	test_vm_add(&self->t, self->max_id + 1, guest_tpr_batches);

	f = fopen(TRACE_INSTANCE "/trace", "r");
	TEST_ASSERT(f, "Can't read the trace, errno %d", errno);
	while (fgets(line, sizeof(line), f))
		found |= strstr(line, "set reason") && strstr(line, "PHYSICAL_ID_TOO_BIG");
	fclose(f);
	rmdir(TRACE_INSTANCE);

	TEST_ASSERT(found, "AVIC wasn't inhibited with PHYSICAL_ID_TOO_BIG");
}

/*
 * Leaks: destroy enough VMs to tell leaks from noise.  Use threads, destroying a
 * VM is mostly waiting for RCU.
 */
#define NR_VMS		1000
#define NR_THREADS	20
#define NR_TRIES	5

FIXTURE(leak) {
};

FIXTURE_SETUP(leak)
{
}

FIXTURE_TEARDOWN(leak)
{
}

static long mem_available_pages(void)
{
	char line[128];
	long kib = -1;
	FILE *f;

	f = fopen("/proc/meminfo", "r");
	TEST_ASSERT(f, "Can't open /proc/meminfo");
	while (fgets(line, sizeof(line), f) && sscanf(line, "MemAvailable: %ld", &kib) != 1)
		;
	fclose(f);
	TEST_ASSERT(kib > 0, "No MemAvailable in /proc/meminfo");

	return kib * 1024 / getpagesize();
}

/* Use bare ioctl()s, guest memory isn't needed and would be slow. */
static void *create_and_destroy_vms(void *nr_vms)
{
	static const unsigned long ids[] = { 0, BIG_ID };
	const struct kvm_enable_cap split_irqchip = {
		.cap = KVM_CAP_SPLIT_IRQCHIP,
		.args[0] = 24,
	};
	int kvm = open_kvm_dev_path_or_exit();
	int vm, vcpu, i;
	long n;

	for (n = 0; n < (long)nr_vms; n++) {
		vm = ioctl(kvm, KVM_CREATE_VM, NULL);
		TEST_ASSERT(vm >= 0, "KVM_CREATE_VM failed, errno %d", errno);
		TEST_ASSERT(!ioctl(vm, KVM_ENABLE_CAP, &split_irqchip),
			    "KVM_CAP_SPLIT_IRQCHIP failed, errno %d", errno);

		for (i = 0; i < ARRAY_SIZE(ids); i++) {
			vcpu = ioctl(vm, KVM_CREATE_VCPU, ids[i]);
			TEST_ASSERT(vcpu >= 0, "vCPU ID %lu: KVM_CREATE_VCPU failed, errno %d",
				    ids[i], errno);
			close(vcpu);
		}
		close(vm);
	}

	close(kvm);
	return NULL;
}

static long nr_pages_lost(long nr_vms)
{
	long before = mem_available_pages();
	pthread_t threads[NR_THREADS];
	int i;

	for (i = 0; i < NR_THREADS; i++)
		TEST_ASSERT(!pthread_create(&threads[i], NULL, create_and_destroy_vms,
					    (void *)(nr_vms / NR_THREADS)),
			    "pthread_create() failed");
	for (i = 0; i < NR_THREADS; i++)
		pthread_join(threads[i], NULL);

	return before - mem_available_pages();
}

/*
 * A leak is a leak every time, whereas other users of memory come and go.  A leak
 * of a page or two per VM may still go unnoticed, as MemAvailable may change by
 * as much for other reasons.
 */
TEST_F_TIMEOUT(leak, none_after_1000_vms, 600)
{
	struct kvm_vcpu *vcpu;
	long lost = NR_VMS;
	struct kvm_vm *vm;
	int i;

	/* Keep KVM from turning SVM and static keys on and off for every VM. */
	vm = vm_create_with_one_vcpu(&vcpu, guest_tpr_batches);

	/* Populate the caches of the kernel's allocators. */
	nr_pages_lost(NR_VMS / 4);

	for (i = 0; i < NR_TRIES && lost >= NR_VMS; i++)
		lost = nr_pages_lost(NR_VMS);

	TEST_ASSERT(lost < NR_VMS, "%ld pages less after %u VMs, %u times in a row",
		    lost, NR_VMS, NR_TRIES);

	kvm_vm_free(vm);
}

/*
 * A failed attempt to create a vCPU must not affect the existing vCPU with the
 * same ID, e.g. must not replace the latter's entry in the physical ID table.
 * With such an entry, the CPU sets the vIRR of an IPI in memory that was freed.
 * Have pipes reuse that memory, to notice, and as few others survive the write.
 * Keep this test last nevertheless, something else might get hold of the memory.
 */
#define NR_PIPES	32

FIXTURE(duplicate) {
	int pipes[NR_PIPES][2];
};

FIXTURE_SETUP(duplicate)
{
	int i;

	for (i = 0; i < NR_PIPES; i++)
		TEST_ASSERT(!pipe2(self->pipes[i], O_NONBLOCK), "pipe2() failed, errno %d", errno);
}

FIXTURE_TEARDOWN(duplicate)
{
	int i;

	for (i = 0; i < NR_PIPES; i++) {
		close(self->pipes[i][0]);
		close(self->pipes[i][1]);
	}
}

static void fill_pipes(int pipes[][2])
{
	static const char zeros[4096];
	int i;

	for (i = 0; i < NR_PIPES; i++) {
		while (write(pipes[i][1], zeros, sizeof(zeros)) > 0)
			;
	}
}

static bool are_pipes_intact(int pipes[][2])
{
	bool intact = true;
	char data[4096];
	ssize_t n;
	int i;

	for (i = 0; i < NR_PIPES; i++) {
		while ((n = read(pipes[i][0], data, sizeof(data))) > 0) {
			while (n--)
				intact &= !data[n];
		}
	}

	return intact;
}

TEST_F(duplicate, ipi_still_arrives)
{
	struct test_vm t;
	cpu_set_t cpus;
	int r;

	/* Use the mode in which AVIC, if enabled, accelerates IPIs. */
	test_vm_create(&t, this_cpu_has(X86_FEATURE_HOST_X2AVIC) || !is_avic_enabled());

	test_vm_add(&t, 0, guest_send_one_ipi);
	test_vm_add(&t, 1, guest_receive_one_ipi);

	nr_done = 0;
	start_vcpu(&t, 1);
	while (!READ_ONCE(t.shared->nr_ready))
		usleep(1000);

	/* Free pages are reused soonest by the CPU that freed them. */
	CPU_ZERO(&cpus);
	CPU_SET(sched_getcpu(), &cpus);
	TEST_ASSERT(!sched_setaffinity(0, sizeof(cpus), &cpus), "sched_setaffinity() failed");
	r = test_vm_create_vcpu(t.vm, 1);
	fill_pipes(self->pipes);
	TEST_ASSERT_EQ(r, -EEXIST);

	start_vcpu(&t, 0);
	while (!READ_ONCE(nr_done))
		usleep(1000);
	TEST_ASSERT(are_pipes_intact(self->pipes), "The CPU wrote to memory that KVM had freed");

	join_vcpus(&t);
	check_ipis(&t);
	kvm_vm_free(t.vm);
}

int main(int argc, char *argv[])
{
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_MAX_VCPU_ID));
	TEST_REQUIRE(kvm_check_cap(KVM_CAP_MAX_VCPU_ID) > BIG_ID);

	return test_harness_run(argc, argv);
}
