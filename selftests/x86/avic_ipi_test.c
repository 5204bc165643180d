// SPDX-License-Identifier: GPL-2.0-only
/*
 * avic_ipi_test
 *
 * Test that IPIs reach exactly the vCPUs that they're sent to, exactly once, and
 * nobody else: each delivery mode, with each kind of destination, to vCPUs that exist,
 * that don't, and to both at once, whether or not the targets are halted, with AVIC
 * active, inhibited, and while it comes and goes.
 */
#include <pthread.h>

#include "kvm_test_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "apicv.h"

#define NR_VCPUS	3
#define WAKE_VECTOR	0xf0

#define TIMEOUT		20000	/* in units of 0.1 ms, or a little more */

enum model { XAPIC_FLAT, XAPIC_CLUSTER, X2APIC, X2APIC_511, X2APIC_4095, NR_MODELS };

/* Of the model: the vCPUs, and destinations that name one, some, all, or none of them. */
static const struct {
	u32 ids[NR_VCPUS], ldrs[NR_VCPUS], broadcast;
	u32 physical[8], logical[12];
} models[NR_MODELS] = {
	[XAPIC_FLAT] = {
		{ 0, 1, 254 }, { 0x01, 0x02, 0x80 }, 0xff,
		{ 0, 1, 254, 2, 253, 0xff, 127, 99 },
		{ 0x01, 0x02, 0x80, 0x03, 0x82, 0x83, 0x04, 0x7e, 0x7d, 0xfe, 0x00, 0xff },
	},
	[XAPIC_CLUSTER] = {
		{ 0, 1, 254 }, { 0x01, 0x02, 0xe8 }, 0xff,
		{ 0, 1, 254, 2, 253, 0xff, 127, 99 },
		{ 0x01, 0x02, 0xe8, 0x03, 0x0f, 0x0e, 0xef, 0x04, 0xe7, 0x11, 0xe0, 0xff },
	},
	[X2APIC] = {
		{ 0, 1, 30 }, { 1, 2, 0x14000 }, -1u,
		{ 0, 1, 30, 2, 0xff, 300, 0x10000, -1u },
		{ 1, 2, 0x14000, 3, 0xffff, 0xfffe, 0x1ffff, 4, 0x1bfff, 0x20001, 0x10000, -1u },
	},
	/* The largest IDs of x2AVIC, without and with the extension. */
	[X2APIC_511] = {
		{ 0, 1, 511 }, { 1, 2, 0x1f8000 }, -1u,
		{ 0, 1, 511, 255, 510, 512, 4095, -1u },
		{ 1, 2, 0x1f8000, 3, 0xffff, 0xfffe, 0x1fffff, 4, 0x1f7fff, 0x8000, 0x1f0000, -1u },
	},
	[X2APIC_4095] = {
		{ 0, 1, 4095 }, { 1, 2, 0xff8000 }, -1u,
		{ 0, 1, 4095, 511, 4094, 4096, 0xffff, -1u },
		{ 1, 2, 0xff8000, 3, 0xffff, 0xfffe, 0xffffff, 4, 0xff7fff, 0x8000, 0xff0000, -1u },
	},
};

static const struct {
	const char *name;
	u32 icr, vector;
	/* How many of the vCPUs that are addressed get it; how many destinations make sense. */
	u32 max, nr_dests;
	bool no_shorthand;
} modes[] = {
	{ "fixed", APIC_DM_FIXED | 0x41, 0x41, NR_VCPUS, -1u },
	{ "level-triggered", APIC_DM_FIXED | APIC_INT_LEVELTRIG | APIC_INT_ASSERT | 0x52, 0x52,
	  NR_VCPUS, -1u },
	{ "NMI", APIC_DM_NMI, NMI_VECTOR, NR_VCPUS, -1u, true },
	/* Not to be broadcast, and to existing vCPUs alone: KVM may choose another one. */
	{ "lowest priority", APIC_DM_LOWEST | 0x63, 0x63, 1, 4, true },
	{ "illegal vector", APIC_DM_FIXED | 0x0f, 0x0f, 0, -1u },
};

static struct {
	enum model model;
	bool x2apic, halt, done;
	u32 nr_logical, nr_ready;
	/* The host tells the sender when its targets are halted. */
	u64 nr_wanted, nr_granted;
	u64 received[NR_VCPUS][256];

	/* The IPI that's in flight. */
	u32 mode, icr, dest;
	u64 expected[NR_VCPUS];
} shared;

static void guest_irq_handler(struct ex_regs *regs)
{
	shared.received[rdmsr(MSR_TSC_AUX)][regs->vector]++;
	if (regs->vector != NMI_VECTOR)
		apic_eoi(shared.x2apic);
}

static bool is_addressed(u32 vcpu, u32 dest, u32 icr)
{
	u32 ldr = models[shared.model].ldrs[vcpu];

	if ((icr & APIC_DEST_ALLBUT) == APIC_DEST_SELF)
		return !vcpu;
	if ((icr & APIC_DEST_ALLBUT) == APIC_DEST_ALLBUT)
		return vcpu;
	if ((icr & APIC_DEST_ALLBUT) || dest == models[shared.model].broadcast)
		return true;
	if (!(icr & APIC_DEST_LOGICAL))
		return dest == models[shared.model].ids[vcpu];
	if (shared.model == XAPIC_FLAT)
		return dest & ldr;
	if (shared.model == XAPIC_CLUSTER)
		return dest >> 4 == ldr >> 4 && (dest & ldr & 0xf);

	return dest >> 16 == ldr >> 16 && (dest & ldr & 0xffff);
}

/* Send an IPI, and wait until it has arrived.  The host gives up if it doesn't. */
static void guest_send(u32 mode, u32 dest, u32 icr)
{
	u32 i, vector = modes[mode].vector;
	u64 sum, want, nr_addressed = 0;

	for (i = 0, want = 0; i < NR_VCPUS; i++) {
		shared.expected[i] = shared.received[i][vector];
		want += shared.expected[i];
		if (is_addressed(i, dest, icr)) {
			nr_addressed++;
			shared.expected[i] += modes[mode].max == NR_VCPUS;
		}
	}

	want += min_t(u64, nr_addressed, modes[mode].max);
	shared.mode = mode;
	shared.icr = icr;
	shared.dest = dest;
	WRITE_ONCE(shared.nr_wanted, shared.nr_wanted + 1);
	while (READ_ONCE(shared.nr_granted) != shared.nr_wanted)
		cpu_relax();

	apic_send_ipi(shared.x2apic, dest, icr | modes[mode].icr);

	do {
		cpu_relax();
		for (i = 0, sum = 0; i < NR_VCPUS; i++)
			sum += READ_ONCE(shared.received[i][vector]);
	} while (sum < want);

	__GUEST_ASSERT(sum == want, "%s, ICR 0x%x, destination 0x%x: arrived more than once",
		       modes[mode].name, icr, dest);
	for (i = 0; i < NR_VCPUS && modes[mode].max == NR_VCPUS; i++)
		__GUEST_ASSERT(shared.received[i][vector] == shared.expected[i],
			       "%s, ICR 0x%x, destination 0x%x: vCPU %u got %lu, expected %lu",
			       modes[mode].name, icr, dest, models[shared.model].ids[i],
			       shared.received[i][vector], shared.expected[i]);
}

static void guest_send_all(void)
{
	static const u32 shorthands[] = { APIC_DEST_SELF, APIC_DEST_ALLINC, APIC_DEST_ALLBUT };
	const typeof(*models) *m = &models[shared.model];
	u32 i, mode;

	for (mode = 0; mode < ARRAY_SIZE(modes); mode++) {
		for (i = 0; i < min_t(u32, ARRAY_SIZE(m->physical), modes[mode].nr_dests); i++)
			guest_send(mode, m->physical[i], APIC_DEST_PHYSICAL);
		for (i = 0; i < min_t(u32, shared.nr_logical, modes[mode].nr_dests); i++)
			guest_send(mode, m->logical[i], APIC_DEST_LOGICAL);
		for (i = 0; i < ARRAY_SIZE(shorthands) && !modes[mode].no_shorthand; i++)
			guest_send(mode, 0, shorthands[i]);
	}
}

/* The first vCPU sends, the others receive, and so does the first one. */
static void guest_code(u32 self)
{
	apic_enable(shared.x2apic);
	if (!shared.x2apic) {
		if (shared.model == XAPIC_CLUSTER)
			xapic_write_reg(APIC_DFR, APIC_DFR_CLUSTER);
		xapic_write_reg(APIC_LDR, models[shared.model].ldrs[self] << 24);
	}

	__atomic_fetch_add(&shared.nr_ready, 1, __ATOMIC_SEQ_CST);
	while (READ_ONCE(shared.nr_ready) != NR_VCPUS)
		cpu_relax();

	if (!self) {
		sti_nop();
		guest_send_all();
		WRITE_ONCE(shared.done, true);
		apic_send_ipi(shared.x2apic, 0, APIC_DEST_ALLBUT | APIC_DM_FIXED | WAKE_VECTOR);
	}

	for (cli(); !READ_ONCE(shared.done); cli()) {
		if (shared.halt)
			safe_halt();
		else
			sti_nop();
	}
	GUEST_SYNC(0);
}

FIXTURE(ipi) {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpus[NR_VCPUS], *bystander;
	typeof(shared) *shared;
};

FIXTURE_VARIANT(ipi) {
	enum model model;
	bool halt;
};

FIXTURE_VARIANT_ADD(ipi, xapic_flat_busy) { XAPIC_FLAT };
FIXTURE_VARIANT_ADD(ipi, xapic_flat_halted) { XAPIC_FLAT, true };
FIXTURE_VARIANT_ADD(ipi, xapic_cluster_busy) { XAPIC_CLUSTER };
FIXTURE_VARIANT_ADD(ipi, xapic_cluster_halted) { XAPIC_CLUSTER, true };
FIXTURE_VARIANT_ADD(ipi, x2apic_busy) { X2APIC };
FIXTURE_VARIANT_ADD(ipi, x2apic_halted) { X2APIC, true };
FIXTURE_VARIANT_ADD(ipi, x2apic_511_busy) { X2APIC_511 };
FIXTURE_VARIANT_ADD(ipi, x2apic_511_halted) { X2APIC_511, true };
FIXTURE_VARIANT_ADD(ipi, x2apic_4095_busy) { X2APIC_4095 };
FIXTURE_VARIANT_ADD(ipi, x2apic_4095_halted) { X2APIC_4095, true };

FIXTURE_SETUP(ipi)
{
	int i;

	self->vm = vm_create(NR_VCPUS + 1);
	virt_pg_map(self->vm, APIC_DEFAULT_GPA, APIC_DEFAULT_GPA);
	vm_enable_cap(self->vm, KVM_CAP_HALT_POLL, 0);
	vm_install_exception_handler(self->vm, WAKE_VECTOR, guest_irq_handler);
	for (i = 0; i < ARRAY_SIZE(modes); i++)
		vm_install_exception_handler(self->vm, modes[i].vector, guest_irq_handler);

	self->shared = addr_gva2hva(self->vm, (u64)&shared);
	self->shared->model = variant->model;
	self->shared->x2apic = variant->model >= X2APIC;
	self->shared->halt = variant->halt;
	for (i = 0; i < NR_VCPUS; i++) {
		self->vcpus[i] = vm_vcpu_add(self->vm, models[variant->model].ids[i], guest_code);
		vcpu_args_set(self->vcpus[i], 1, i);
		vcpu_set_msr(self->vcpus[i], MSR_TSC_AUX, i);
	}
	self->bystander = vm_vcpu_add(self->vm, 100, guest_code);
}

FIXTURE_TEARDOWN(ipi)
{
	kvm_vm_free(self->vm);
}

static void run_all(struct kvm_vcpu **vcpus, struct kvm_vcpu *bystander, typeof(shared) *s,
		    bool toggle)
{
	pthread_t threads[NR_VCPUS];
	int i, idle = 0;

	/* While AVIC comes and goes, leave out the broadcast, which is the last one. */
	s->nr_logical = ARRAY_SIZE(models->logical) - toggle;
	for (i = 0; i < NR_VCPUS; i++)
		pthread_create(&threads[i], NULL, vcpu_thread_to_sync, vcpus[i]);
	/* KVM kicks all vCPUs 0.1 s after they first ran, to update their clocks. */
	if (s->halt)
		usleep(200000);
	for (i = 0; !READ_ONCE(s->done); i++) {
		if (toggle)
			set_apicv_inhibit(bystander, i & 1);
		if (READ_ONCE(s->nr_wanted) != s->nr_granted &&
		    (!s->halt || (vcpu_get_stat(vcpus[1], blocking) &&
				  vcpu_get_stat(vcpus[2], blocking)))) {
			WRITE_ONCE(s->nr_granted, s->nr_wanted);
			idle = 0;
		}
		usleep(100);
		TEST_ASSERT(idle++ < TIMEOUT, "%s, ICR 0x%x, destination 0x%x: got lost",
			    modes[s->mode].name, s->icr, s->dest);
	}
	for (i = 0; i < NR_VCPUS; i++)
		pthread_join(threads[i], NULL);
}

TEST_F(ipi, active)
{
	run_all(self->vcpus, self->bystander, self->shared, false);
}

TEST_F(ipi, inhibited)
{
	set_apicv_inhibit(self->bystander, true);
	run_all(self->vcpus, self->bystander, self->shared, false);
}

TEST_F(ipi, toggled)
{
	run_all(self->vcpus, self->bystander, self->shared, true);
}

int main(int argc, char *argv[])
{
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_IRQCHIP));

	return test_harness_run(argc, argv);
}
