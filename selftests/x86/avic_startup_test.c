// SPDX-License-Identifier: GPL-2.0-only
/*
 * avic_startup_test
 *
 * Test that INIT and SIPI reach exactly the vCPUs that they're sent to, which then
 * start where the SIPI says, and take IPIs again: with each kind of destination, and
 * targets that are busy or halted, with AVIC active and inhibited.  AVIC delivers
 * neither, i.e. each exits, and has to find, and wake, its targets in software; and
 * INIT resets the registers that AVIC's logical ID table comes from.
 */
#include <pthread.h>

#include "kvm_test_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "apicv.h"

#define NR_VCPUS	3
#define VECTOR		0x41

/* Where SIPIs have vCPUs start, in units of pages, with the code that is there. */
#define SIPI_TEST	0x10
#define SIPI_OTHERS	0x20
#define PORT		0x80

static const u8 real_mode_code[] = { 0xe6, PORT, 0xf4 };	/* out %al, $PORT; hlt */

#define TIMEOUT		20000	/* in units of 0.1 ms, or a little more */

enum model { XAPIC_FLAT, XAPIC_CLUSTER, X2APIC };

#define PHYSICAL(dest, targets)	{ APIC_DEST_PHYSICAL, dest, targets }
#define LOGICAL(dest, targets)	{ APIC_DEST_LOGICAL, dest, targets }
#define OTHERS			{ APIC_DEST_ALLBUT, 0, BIT(1) | BIT(2) }

/* Of the model: the vCPUs, and destinations with the targets that each addresses. */
static const struct {
	u32 ids[NR_VCPUS], ldrs[NR_VCPUS], nr_ipis;
	struct {
		u32 icr, dest, targets;
	} ipis[7];
} models[] = {
	[XAPIC_FLAT] = { { 0, 1, 254 }, { 0x01, 0x02, 0x80 }, 7, {
		PHYSICAL(1, BIT(1)), PHYSICAL(254, BIT(2)), PHYSICAL(2, 0), OTHERS,
		LOGICAL(0x02, BIT(1)), LOGICAL(0x86, BIT(1) | BIT(2)), LOGICAL(0x04, 0) } },
	[XAPIC_CLUSTER] = { { 0, 1, 254 }, { 0x01, 0x12, 0x18 }, 5, {
		PHYSICAL(1, BIT(1)), LOGICAL(0x12, BIT(1)), LOGICAL(0x18, BIT(2)),
		LOGICAL(0x1e, BIT(1) | BIT(2)), LOGICAL(0x2a, 0) } },
	[X2APIC] = { { 0, 17, 30 }, { 0x1, 0x10002, 0x14000 }, 7, {
		PHYSICAL(17, BIT(1)), PHYSICAL(30, BIT(2)), PHYSICAL(0xff, 0), OTHERS,
		LOGICAL(0x10002, BIT(1)), LOGICAL(0x1fffe, BIT(1) | BIT(2)),
		LOGICAL(0x24002, 0) } },
};

static struct {
	enum model model;
	bool x2apic, halt;
	u64 nr_ready, nr_irqs[NR_VCPUS];
	/* What to send: a fixed IPI, or else INIT and then SIPI. */
	u32 icr, dest, sipi;
} shared;

static void guest_irq_handler(struct ex_regs *regs)
{
	u64 *nr_irqs = &shared.nr_irqs[rdmsr(MSR_TSC_AUX)];

	WRITE_ONCE(*nr_irqs, *nr_irqs + 1);
	apic_eoi(shared.x2apic);
}

static void guest_init_apic(u32 self)
{
	apic_enable(shared.x2apic);
	if (!shared.x2apic) {
		if (shared.model == XAPIC_CLUSTER)
			xapic_write_reg(APIC_DFR, APIC_DFR_CLUSTER);
		xapic_write_reg(APIC_LDR, models[shared.model].ldrs[self] << 24);
	}
}

static void guest_sender_code(u32 self)
{
	u32 icr;

	guest_init_apic(self);

	for (;; GUEST_SYNC(0)) {
		if (!shared.sipi) {
			apic_send_ipi(shared.x2apic, shared.dest,
				      shared.icr | APIC_DM_FIXED | VECTOR);
			continue;
		}

		apic_send_ipi(shared.x2apic, shared.dest,
			      shared.icr | APIC_DM_INIT | APIC_INT_ASSERT);

		/* INIT resets LDR, but in x2APIC mode.  Others ignore the SIPI. */
		icr = shared.icr;
		if (!shared.x2apic && (icr & APIC_DEST_LOGICAL))
			icr = APIC_DEST_ALLBUT;
		apic_send_ipi(shared.x2apic, shared.dest, icr | APIC_DM_STARTUP | shared.sipi);
	}
}

/* Until INIT. */
static void guest_target_code(u32 self)
{
	guest_init_apic(self);
	sti_nop();
	__atomic_fetch_add(&shared.nr_ready, 1, __ATOMIC_SEQ_CST);

	for (cli();; cli()) {
		if (shared.halt)
			safe_halt();
		else
			sti_nop();
	}
}

FIXTURE(startup) {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpus[NR_VCPUS];
	typeof(shared) *shared;
};

FIXTURE_VARIANT(startup) {
	enum model model;
	bool halt;
	bool inhibited;
};

FIXTURE_VARIANT_ADD(startup, xapic_flat_busy) { XAPIC_FLAT };
FIXTURE_VARIANT_ADD(startup, xapic_flat_halted) { XAPIC_FLAT, true };
FIXTURE_VARIANT_ADD(startup, xapic_cluster_busy) { XAPIC_CLUSTER };
FIXTURE_VARIANT_ADD(startup, xapic_cluster_halted) { XAPIC_CLUSTER, true };
FIXTURE_VARIANT_ADD(startup, x2apic_busy) { X2APIC };
FIXTURE_VARIANT_ADD(startup, x2apic_halted) { X2APIC, true };
FIXTURE_VARIANT_ADD(startup, xapic_inhibited) { XAPIC_FLAT, true, true };
FIXTURE_VARIANT_ADD(startup, x2apic_inhibited) { X2APIC, true, true };

FIXTURE_SETUP(startup)
{
	int i;

	self->vm = vm_create(NR_VCPUS);
	virt_pg_map(self->vm, APIC_DEFAULT_GPA, APIC_DEFAULT_GPA);
	vm_install_exception_handler(self->vm, VECTOR, guest_irq_handler);
	memcpy(addr_gpa2hva(self->vm, SIPI_TEST << 12), real_mode_code, sizeof(real_mode_code));
	memcpy(addr_gpa2hva(self->vm, SIPI_OTHERS << 12), real_mode_code, sizeof(real_mode_code));

	self->shared = addr_gva2hva(self->vm, (u64)&shared);
	self->shared->model = variant->model;
	self->shared->x2apic = variant->model == X2APIC;
	self->shared->halt = variant->halt;
	for (i = 0; i < NR_VCPUS; i++) {
		self->vcpus[i] = vm_vcpu_add(self->vm, models[variant->model].ids[i],
					     i ? guest_target_code : guest_sender_code);
		vcpu_args_set(self->vcpus[i], 1, i);
		vcpu_set_msr(self->vcpus[i], MSR_TSC_AUX, i);
	}
	set_apicv_inhibit(self->vcpus[0], variant->inhibited);
}

FIXTURE_TEARDOWN(startup)
{
	kvm_vm_free(self->vm);
}

/* A vCPU that runs until a SIPI has it start anew. */
struct target {
	struct kvm_vcpu *vcpu;
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	pthread_t thread;
	bool done;
};

#define WAIT_FOR(condition, fmt, ...)						\
do {										\
	int __i;								\
										\
	for (__i = 0; !(condition); __i++) {					\
		TEST_ASSERT(__i < TIMEOUT, fmt, ##__VA_ARGS__);			\
		usleep(100);							\
	}									\
} while (0)

static void *target_thread(void *arg)
{
	struct target *t = arg;

	vcpu_run(t->vcpu);
	WRITE_ONCE(t->done, true);
	return NULL;
}

/* From the beginning, with the APIC as INIT left it. */
static void start(struct target *t)
{
	struct kvm_mp_state mp_state = { .mp_state = KVM_MP_STATE_RUNNABLE };

	vcpu_sregs_set(t->vcpu, &t->sregs);
	vcpu_regs_set(t->vcpu, &t->regs);
	vcpu_mp_state_set(t->vcpu, &mp_state);
	t->done = false;
	pthread_create(&t->thread, NULL, target_thread, t);
}

/* The vCPU must be where this SIPI, and no other one, had it start. */
static void finish(struct target *t, u8 sipi)
{
	struct kvm_sregs sregs;

	WAIT_FOR(READ_ONCE(t->done), "SIPI 0x%x to vCPU %u got lost", sipi, t->vcpu->id);
	pthread_join(t->thread, NULL);
	TEST_ASSERT_KVM_EXIT_REASON(t->vcpu, KVM_EXIT_IO);
	TEST_ASSERT_EQ(t->vcpu->run->io.port, PORT);
	vcpu_sregs_get(t->vcpu, &sregs);
	TEST_ASSERT_EQ(sregs.cs.base, (u64)sipi << 12);
}

static void send(struct kvm_vcpu *sender, typeof(shared) *s, u32 icr, u32 dest, u32 sipi)
{
	s->icr = icr;
	s->dest = dest;
	s->sipi = sipi;
	vcpu_run_to_sync(sender);
}

static void wait_until_halted(struct target *targets, typeof(shared) *s)
{
	int i;

	for (i = 1; i < NR_VCPUS && s->halt; i++)
		WAIT_FOR(vcpu_get_stat(targets[i].vcpu, blocking),
			 "vCPU %u doesn't halt", targets[i].vcpu->id);
}

static void run_one(struct kvm_vcpu *sender, typeof(shared) *s, struct target *targets,
		    u32 icr, u32 dest, u32 addressed)
{
	u64 want[NR_VCPUS];
	int i;

	s->nr_ready = 0;
	for (i = 1; i < NR_VCPUS; i++)
		start(&targets[i]);
	WAIT_FOR(READ_ONCE(s->nr_ready) == NR_VCPUS - 1, "targets don't run");

	/* A fixed IPI first: INIT, and the guest, have changed what AVIC knows of them. */
	for (i = 1; i < NR_VCPUS; i++)
		want[i] = s->nr_irqs[i] + !!(addressed & BIT(i));
	wait_until_halted(targets, s);
	send(sender, s, icr, dest, 0);
	for (i = 1; i < NR_VCPUS; i++)
		WAIT_FOR(READ_ONCE(s->nr_irqs[i]) == want[i],
			 "IPI, ICR 0x%x, destination 0x%x: vCPU %u got %lu, expected %lu",
			 icr, dest, targets[i].vcpu->id, s->nr_irqs[i], want[i]);

	wait_until_halted(targets, s);
	send(sender, s, icr, dest, SIPI_TEST);
	for (i = 1; i < NR_VCPUS; i++) {
		if (addressed & BIT(i))
			finish(&targets[i], SIPI_TEST);
	}

	for (i = 1; i < NR_VCPUS; i++) {
		if (addressed & BIT(i))
			continue;

		send(sender, s, APIC_DEST_PHYSICAL, targets[i].vcpu->id, SIPI_OTHERS);
		finish(&targets[i], SIPI_OTHERS);
	}
}

TEST_F(startup, init_and_sipi)
{
	typeof(*models) *m = &models[variant->model];
	struct target targets[NR_VCPUS];
	int i;

	for (i = 1; i < NR_VCPUS; i++) {
		targets[i].vcpu = self->vcpus[i];
		vcpu_sregs_get(self->vcpus[i], &targets[i].sregs);
		vcpu_regs_get(self->vcpus[i], &targets[i].regs);
	}

	for (i = 0; i < m->nr_ipis; i++)
		run_one(self->vcpus[0], self->shared, targets, m->ipis[i].icr,
			m->ipis[i].dest, m->ipis[i].targets);
}

int main(int argc, char *argv[])
{
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_IRQCHIP));

	return test_harness_run(argc, argv);
}
