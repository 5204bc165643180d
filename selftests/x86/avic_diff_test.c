// SPDX-License-Identifier: GPL-2.0-only
/*
 * avic_diff_test [-s SEED] [-n PROGRAMS] [-t SECONDS]
 *
 * Test that what a guest sees of its local APICs doesn't depend on whether or not AVIC
 * is active, by random programs: accesses to all registers, IPIs of every form, to vCPUs
 * that are stopped, busy, or halted, and what the host does meanwhile, e.g. inhibit AVIC,
 * or save and restore the APIC's state.  Each runs in a VM whose AVIC is active, and in
 * one where it's inhibited.  Values read, faults, the interrupts taken, and the APICs'
 * state in the end must be what a model of the APIC predicts, see lapic_model.h.
 *
 * Program number N of seed S is the first one of seed S + N.  One that fails is printed
 * after all operations that don't matter have been taken out of it.
 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "kvm_util.h"
#include "apicv.h"
#include "lapic_model.h"

#define MAX_OPS		40
#define NR_SETTLE_NOPS	64

/* Programs that run in the same VMs, one after another. */
#define PROGRAMS_PER_VM	16

/* After so many seconds, a program hangs. */
#define HANG_TIMEOUT	60

enum kind {
	/* What a vCPU does. */
	READ, WRITE, READ_CR8, WRITE_CR8, CLI, STI, DISABLE, ENABLE, TIMER, ACCESS_TPR,
	/* Wait, until the next vCPU, or the host, has done what it's told to. */
	BUSY, HALT,
	/* What the host does. */
	INHIBIT, LIFT, SAVE_RESTORE, MSI, INIT,
};

struct op {
	u8 kind;
	u8 cpu;
	u16 reg;	/* or the number of the inhibit */
	u64 val;	/* of MSI: the destination, and the ICR's low half */
};

struct program {
	u32 seed;
	bool x2apic;
	const u32 *ids;
	u32 nr_ops;
	struct op ops[MAX_OPS];
};

/* What the guest, or the model, has seen. */
struct transcript {
	u64 results[MAX_OPS];
	bool woken[MAX_OPS];
	u32 apic_ids[MAX_OPS];	/* of vCPUs that wait, or get INIT */
	struct model_cpu cpus[MODEL_MAX_CPUS];
};

/* IDs of the vCPUs, and, in xAPIC mode and never run, of those that inhibit AVIC. */
static const u32 topologies[][MODEL_MAX_CPUS] = {
	{ 0, 1, 2 }, { 0, 15, 16 }, { 0, 1, 300 }, { 0, 1, 2 }, { 0, 3, 17 }, { 0, 99, 254 },
	{ 0, 1, 2 }, { 0, 1, 511 },
};

/* An interrupt that all vCPUs take before a program begins. */
#define RESET_VECTOR	0x9f

#define BYSTANDER_ID	100
#define INHIBITOR_ID	101

static struct {
	struct op ops[MAX_OPS + 1];
	u64 results[MAX_OPS + 1];
	bool x2apic;
	struct guest_cpu {
		u32 first, nr;
		u32 op;
		bool started, go;
		u32 nr_irqs;
		struct model_irq irqs[MODEL_MAX_IRQS];
	} cpus[MODEL_MAX_CPUS];
} shared;

static struct guest_cpu *this_guest_cpu(void)
{
	return &shared.cpus[rdmsr(MSR_GS_BASE)];
}

static void guest_irq_handler(struct ex_regs *regs)
{
	struct guest_cpu *cpu = this_guest_cpu();
	u32 i = READ_ONCE(cpu->nr_irqs);

	/* The host sends NMIs until HLT is over, which may be any number. */
	if (regs->vector == NMI_VECTOR && i && cpu->irqs[i - 1].vector == NMI_VECTOR &&
	    cpu->irqs[i - 1].op == cpu->op)
		return;

	/* NMIs interrupt other handlers. */
	i = __atomic_fetch_add(&cpu->nr_irqs, 1, __ATOMIC_SEQ_CST);
	GUEST_ASSERT(i < MODEL_MAX_IRQS);
	cpu->irqs[i] = (struct model_irq) { cpu->op, regs->vector };

	if (regs->vector >= FIRST_AUTO_EOI_VECTOR)
		apic_eoi(shared.x2apic);
}

static void guest_set_apic_enabled(bool enable)
{
	u64 base = rdmsr(MSR_IA32_APICBASE) & ~(u64)MSR_IA32_APICBASE_EXTD;

	if (!enable)
		wrmsr(MSR_IA32_APICBASE, base & ~(u64)MSR_IA32_APICBASE_ENABLE);

	/* x2APIC mode can be reached from xAPIC mode only, and can't be left for it. */
	if (!enable || base & MSR_IA32_APICBASE_ENABLE)
		return;

	wrmsr(MSR_IA32_APICBASE, base | MSR_IA32_APICBASE_ENABLE);
	if (shared.x2apic)
		wrmsr(MSR_IA32_APICBASE,
		      base | MSR_IA32_APICBASE_ENABLE | MSR_IA32_APICBASE_EXTD);
}

/* The interrupt is either taken, or pending because it can't be. */
static void guest_fire_timer(struct guest_cpu *cpu, u8 vector)
{
	u32 nr_irqs = READ_ONCE(cpu->nr_irqs);

	apic_write_reg(shared.x2apic, APIC_LVTT, vector);
	apic_write_reg(shared.x2apic, APIC_TMICT, 1000);
	while (READ_ONCE(cpu->nr_irqs) == nr_irqs &&
	       !apic_test_vector(shared.x2apic, APIC_IRR, vector))
		cpu_relax();
	apic_write_reg(shared.x2apic, APIC_LVTT, APIC_LVT_MASKED | vector);
	apic_write_reg(shared.x2apic, APIC_TMICT, 0);
}

static u64 guest_do(struct guest_cpu *cpu, struct op *op)
{
	u64 val = 0;
	u8 vector;

	switch (op->kind) {
	case READ:
		vector = apic_read_reg_safe(shared.x2apic, op->reg, &val);
		return vector ? FAULT(vector) : val;
	case WRITE:
		return FAULT(apic_write_reg_safe(shared.x2apic, op->reg, op->val));
	case READ_CR8:
		return get_cr8();
	case WRITE_CR8:
		set_cr8(op->val);
		break;
	case CLI:
		cli();
		break;
	case STI:
		sti_nop();
		break;
	case DISABLE:
	case ENABLE:
		guest_set_apic_enabled(op->kind == ENABLE);
		break;
	case TIMER:
		guest_fire_timer(cpu, op->val);
		break;
	case ACCESS_TPR:
		apic_write_tpr_repeatedly(shared.x2apic);
		break;
	case BUSY:
		WRITE_ONCE(cpu->started, true);
		while (!READ_ONCE(cpu->go))
			asm volatile("nop");
		break;
	case HALT:
		/* Interrupts that came earlier don't end it. */
		cli();
		WRITE_ONCE(cpu->started, true);
		safe_halt();
		break;
	}

	return 0;
}

static void guest_code(u32 index)
{
	struct guest_cpu *cpu = &shared.cpus[index];
	u32 i, j;

	wrmsr(MSR_GS_BASE, index);
	apic_enable(shared.x2apic);

	for (;;) {
		GUEST_SYNC(0);

		for (i = cpu->first; i < cpu->first + cpu->nr; i++) {
			WRITE_ONCE(cpu->op, i);
			shared.results[i] = guest_do(cpu, &shared.ops[i]);

			/* Take what has become pending before the next one begins. */
			for (j = 0; j < NR_SETTLE_NOPS; j++)
				asm volatile("nop");
		}
	}
}

/*
 * A unit is what happens at the same time: some vCPUs wait, one each operation, while
 * another one, or the host, does something.
 */
struct unit {
	u32 nr_waits;
	u32 nr;		/* all operations, those included */
};

static bool is_guest_op(const struct op *op)
{
	return op->kind < BUSY;
}

static bool is_wait(const struct op *op)
{
	return op->kind == BUSY || op->kind == HALT;
}

static struct unit next_unit(const struct program *p, u32 first)
{
	const struct op *op = &p->ops[first], *end = &p->ops[p->nr_ops], *begin;
	struct unit u = {};
	u32 waiting = 0;

	while (op < end && is_wait(op) && !(waiting & BIT(op->cpu))) {
		waiting |= BIT(op->cpu);
		u.nr_waits++;
		op++;
	}

	begin = op;
	while (op < end && is_guest_op(op) && op->cpu == begin->cpu &&
	       !(waiting & BIT(op->cpu)))
		op++;

	/* KVM does nothing else with a vCPU while it runs. */
	if (op == begin && op < end && !is_guest_op(op) && !is_wait(op) &&
	    (!(waiting & BIT(op->cpu)) || op->kind == INHIBIT || op->kind == LIFT ||
	     op->kind == MSI))
		op++;

	u.nr = op - &p->ops[first];
	return u;
}

/* Interrupts come to a vCPU that waits in any order, and merge or not. */
static void sort_irqs(struct model_cpu *c, u32 op)
{
	u32 i, j, first = 0, nr;

	while (first < c->nr_irqs && c->irqs[first].op != op)
		first++;

	for (nr = i = first; i < c->nr_irqs && c->irqs[i].op == op; i++) {
		struct model_irq irq = c->irqs[i];

		for (j = first; j < nr && c->irqs[j].vector < irq.vector; j++)
			;
		if (j < nr && c->irqs[j].vector == irq.vector)
			continue;

		memmove(&c->irqs[j + 1], &c->irqs[j], (nr - j) * sizeof(irq));
		c->irqs[j] = irq;
		nr++;
	}
	memmove(&c->irqs[nr], &c->irqs[i], (c->nr_irqs - i) * sizeof(c->irqs[0]));
	c->nr_irqs -= i - nr;
}

static u64 model_do(struct model *m, const struct op *op)
{
	struct model_cpu *c = &m->cpus[op->cpu];
	u64 val;

	switch (op->kind) {
	case READ:
		return model_read(m, c, op->reg);
	case WRITE:
		val = model_write(m, c, op->reg, op->val);
		if (model_timer_counts(c))
			m->ambiguous = "timer whose interrupt isn't masked";
		return val;
	case READ_CR8:
		return *model_reg(c, APIC_TASKPRI) >> 4;
	case WRITE_CR8:
		model_write_cr8(c, op->val);
		break;
	case CLI:
	case STI:
		c->iff = op->kind == STI;
		break;
	case DISABLE:
	case ENABLE:
		model_set_enabled(m, c, op->kind == ENABLE);
		break;
	case TIMER:
		model_fire_timer(m, c, op->val);
		break;
	case MSI:
		model_send_ipi(m, NULL, op->val, op->val >> 32);
		break;
	case INIT:
		model_init(m, c);
		break;
	}

	return 0;
}

/* The host reaches vCPUs by MSIs. */
static u32 model_reachable_id(struct model *m, struct model_cpu *c)
{
	u32 id = model_apic_id(m, c);

	if (!c->enabled || (!m->x2apic && id == 0xff))
		m->ambiguous = "vCPU that the host can't reach";
	return id;
}

/* Fill in what the program must do, and return why it can't be known, if so. */
static const char *simulate(const struct program *p, const struct model_cpu *initial,
			    struct transcript *t)
{
	struct model m = { .x2apic = p->x2apic, .nr_cpus = MODEL_MAX_CPUS };
	u32 i, j, nr_irqs[MODEL_MAX_CPUS];
	struct model_cpu *c;
	struct unit u;

	memcpy(m.cpus, initial, sizeof(m.cpus));

	for (i = 0; i < p->nr_ops; i += u.nr) {
		u = next_unit(p, i);

		for (j = i; j < i + u.nr_waits; j++) {
			c = &m.cpus[p->ops[j].cpu];
			m.op = j;
			model_settle(&m, c);
			nr_irqs[p->ops[j].cpu] = c->nr_irqs;
			c->iff |= p->ops[j].kind == HALT;
			model_settle(&m, c);
			c->async = true;
			t->apic_ids[j] = model_reachable_id(&m, c);
		}

		for (j = i + u.nr_waits; j < i + u.nr; j++) {
			c = &m.cpus[p->ops[j].cpu];
			m.op = j;
			if (is_guest_op(&p->ops[j]))
				model_settle(&m, c);
			if (p->ops[j].kind == INIT)
				t->apic_ids[j] = model_reachable_id(&m, c);
			t->results[j] = model_do(&m, &p->ops[j]);
			if (is_guest_op(&p->ops[j]))
				model_settle(&m, c);
		}

		for (j = i; j < i + u.nr_waits; j++) {
			u32 irq;

			c = &m.cpus[p->ops[j].cpu];
			m.op = j;
			model_settle(&m, c);
			for (irq = nr_irqs[p->ops[j].cpu]; irq < c->nr_irqs; irq++)
				t->woken[j] |= c->irqs[irq].vector != NMI_IRQ;

			/* An NMI may come before HLT, and is how the host ends it. */
			c->nmi = p->ops[j].kind == HALT && !t->woken[j];
			model_settle(&m, c);
			c->async = false;
			sort_irqs(c, j);
		}
	}

	for (c = m.cpus; c < m.cpus + MODEL_MAX_CPUS; c++) {
		m.op = p->nr_ops;
		model_settle(&m, c);
		*model_reg(c, APIC_PROCPRI) = model_ppr(c);
	}

	memcpy(t->cpus, m.cpus, sizeof(m.cpus));
	return m.ambiguous;
}

/* Two VMs for a number of programs. */
struct test_vm {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpus[MODEL_MAX_CPUS], *bystander, *inhibitor;
	struct kvm_lapic_state lapics[MODEL_MAX_CPUS];
	typeof(shared) *guest;
	const char *name;
	bool active;
};

static const char *current_vm = "no";
static const struct program *current_program;

static void run_ops(struct test_vm *t, u32 cpu, u32 first, u32 nr)
{
	struct guest_cpu *c = &t->guest->cpus[cpu];

	c->first = first;
	c->nr = nr;
	c->op = first;
	vcpu_run_to_sync(t->vcpus[cpu]);
}

static void run_op(struct test_vm *t, struct op op)
{
	t->guest->ops[MAX_OPS] = op;
	run_ops(t, op.cpu, MAX_OPS, 1);
}

static void assert_active(struct test_vm *t)
{
	u32 i;

	for (i = 0; i < MODEL_MAX_CPUS; i++) {
		t->guest->ops[0].kind = ACCESS_TPR;
		t->guest->cpus[i].first = 0;
		t->guest->cpus[i].nr = 1;
		vcpu_assert_apicv(t->vcpus[i], t->active);
	}
}

static void test_vm_create(struct test_vm *t, const struct program *p, bool active)
{
	u32 i;

	t->name = active ? "active" : "inhibited";
	t->active = active && is_apicv_enabled_in(p->x2apic);
	t->vm = vm_create(MODEL_MAX_CPUS + 2);
	/* In x2APIC mode, IDs are those of the manual. */
	vm_enable_cap(t->vm, KVM_CAP_X2APIC_API,
		      KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK);
	virt_pg_map(t->vm, APIC_DEFAULT_GPA, APIC_DEFAULT_GPA);
	for (i = 0x10; i < 0x100; i += i == 0x10 ? 0x10 : 1)
		vm_install_exception_handler(t->vm, i, guest_irq_handler);
	vm_install_exception_handler(t->vm, NMI_VECTOR, guest_irq_handler);

	t->guest = addr_gva2hva(t->vm, (u64)&shared);
	t->guest->x2apic = p->x2apic;

	for (i = 0; i < MODEL_MAX_CPUS; i++) {
		t->vcpus[i] = vm_vcpu_add(t->vm, p->ids[i], guest_code);
		vcpu_set_cpuid_feature(t->vcpus[i], X86_FEATURE_TSC_DEADLINE_TIMER);
		vcpu_args_set(t->vcpus[i], 1, i);
		if (is_avic_enabled())
			t->active &= p->ids[i] <= avic_max_id(p->x2apic);
	}
	t->bystander = vm_vcpu_add(t->vm, BYSTANDER_ID, guest_code);
	t->inhibitor = vm_vcpu_add(t->vm, INHIBITOR_ID, guest_code);
	set_apicv_inhibit(t->inhibitor, !active);

	for (i = 0; i < MODEL_MAX_CPUS; i++) {
		vcpu_run_to_sync(t->vcpus[i]);
		vcpu_ioctl(t->vcpus[i], KVM_GET_LAPIC, &t->lapics[i]);
	}
	assert_active(t);
}

/* Lift what the last program has left, and put the vCPUs into their initial state. */
static void test_vm_reset(struct test_vm *t)
{
	struct kvm_sregs sregs;
	u32 i;

	for (i = 0; i < NR_APICV_INHIBITS; i++) {
		if (apicv_inhibits[i].is_supported(t->vm))
			apicv_inhibits[i].set(t->bystander, false);
	}

	for (i = 0; i < MODEL_MAX_CPUS; i++) {
		vcpu_sregs_get(t->vcpus[i], &sregs);
		sregs.apic_base |= MSR_IA32_APICBASE_ENABLE |
				   (t->guest->x2apic ? MSR_IA32_APICBASE_EXTD : 0);
		sregs.cr8 = 0;
		vcpu_sregs_set(t->vcpus[i], &sregs);
		vcpu_ioctl(t->vcpus[i], KVM_SET_LAPIC, &t->lapics[i]);

		/*
		 * If an interrupt couldn't be injected, KVM inhibits AVIC until one can,
		 * though KVM_SET_LAPIC has withdrawn it.
		 */
		run_op(t, (struct op) { STI, i });
		run_op(t, (struct op) { WRITE, i, APIC_ICR, APIC_DEST_SELF | RESET_VECTOR });
		vcpu_ioctl(t->vcpus[i], KVM_SET_LAPIC, &t->lapics[i]);
		t->guest->cpus[i].nr_irqs = 0;
		memset(t->guest->cpus[i].irqs, 0, sizeof(t->guest->cpus[i].irqs));
	}
}

static void test_vm_destroy(struct test_vm *t)
{
	if (!t->vm)
		return;

	/* AVIC accelerates again. */
	test_vm_reset(t);
	assert_active(t);
	kvm_vm_free(t->vm);
	memset(t, 0, sizeof(*t));
}

static struct model_cpu *initial_cpus(struct test_vm *t, const struct program *p)
{
	static struct model_cpu cpus[MODEL_MAX_CPUS];
	u32 i, j;

	memset(cpus, 0, sizeof(cpus));
	for (i = 0; i < MODEL_MAX_CPUS; i++) {
		cpus[i].id = p->ids[i];
		cpus[i].enabled = true;
		cpus[i].iff = true;
		for (j = 0; j < MODEL_NR_REGS; j++)
			cpus[i].regs[j] = *(u32 *)&t->lapics[i].regs[j * 16];
	}

	return cpus;
}

static void send_msi(struct test_vm *t, u32 dest, u32 data)
{
	struct kvm_msi msi = {
		.address_lo = APIC_DEFAULT_GPA | (dest & 0xff) << 12 |
			      (data & APIC_DEST_LOGICAL ? BIT(2) : 0),
		.address_hi = dest & ~0xff,
		.data = data & ~APIC_DEST_LOGICAL,
	};

	/* The error by which KVM says that there's no such destination is -1. */
	TEST_ASSERT(__vm_ioctl(t->vm, KVM_SIGNAL_MSI, &msi) >= 0 || errno == EPERM,
		    "KVM_SIGNAL_MSI failed");
}

/* INIT, upon which the vCPU goes on where it was, instead of at the reset vector. */
static void init_vcpu(struct test_vm *t, struct kvm_vcpu *vcpu, u32 apic_id)
{
	struct kvm_mp_state mp_state;
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	vcpu_run_complete_io(vcpu);
	vcpu_sregs_get(vcpu, &sregs);
	vcpu_regs_get(vcpu, &regs);

	send_msi(t, apic_id, APIC_DM_INIT);
	/* KVM acts on INIT when it's asked for the state. */
	vcpu_mp_state_get(vcpu, &mp_state);
	mp_state.mp_state = KVM_MP_STATE_RUNNABLE;
	vcpu_mp_state_set(vcpu, &mp_state);

	sregs.cr8 = 0;
	vcpu_sregs_set(vcpu, &sregs);
	vcpu_regs_set(vcpu, &regs);
}

static void host_do(struct test_vm *t, const struct op *op, u32 apic_id)
{
	const struct apicv_inhibit *inhibit = &apicv_inhibits[op->reg % NR_APICV_INHIBITS];

	switch (op->kind) {
	case INHIBIT:
	case LIFT:
		if (inhibit->is_supported(t->vm))
			inhibit->set(t->bystander, op->kind == INHIBIT);
		break;
	case SAVE_RESTORE:
		vcpu_save_and_restore_apic(t->vcpus[op->cpu]);
		break;
	case MSI:
		send_msi(t, op->val >> 32, op->val);
		break;
	case INIT:
		init_vcpu(t, t->vcpus[op->cpu], apic_id);
		break;
	}
}

static void get_transcript(struct test_vm *t, const struct program *p, struct transcript *got)
{
	struct kvm_lapic_state lapic;
	u32 i, j;

	memcpy(got->results, t->guest->results, sizeof(got->results));

	for (i = 0; i < MODEL_MAX_CPUS; i++) {
		struct model_cpu *c = &got->cpus[i];

		vcpu_ioctl(t->vcpus[i], KVM_GET_LAPIC, &lapic);
		for (j = 0; j < MODEL_NR_REGS; j++)
			c->regs[j] = *(u32 *)&lapic.regs[j * 16];

		c->nr_irqs = t->guest->cpus[i].nr_irqs;
		memcpy(c->irqs, t->guest->cpus[i].irqs, sizeof(c->irqs));
		for (j = 0; j < p->nr_ops; j++) {
			if (is_wait(&p->ops[j]) && p->ops[j].cpu == i)
				sort_irqs(c, j);
		}
	}
}

static void run_program(struct test_vm *t, const struct program *p,
			const struct transcript *want, struct transcript *got)
{
	pthread_t threads[MODEL_MAX_CPUS];
	struct unit u;
	u32 i, j;

	current_vm = t->name;
	test_vm_reset(t);
	memset(t->guest->results, 0, sizeof(t->guest->results));
	memcpy(t->guest->ops, p->ops, sizeof(p->ops));

	for (i = 0; i < p->nr_ops; i += u.nr) {
		const struct op *op = &p->ops[i];

		u = next_unit(p, i);

		for (j = 0; j < u.nr_waits; j++) {
			struct guest_cpu *c = &t->guest->cpus[op[j].cpu];
			struct kvm_vcpu *vcpu = t->vcpus[op[j].cpu];
			int tries = 100;

			c->first = i + j;
			c->op = i + j;
			c->nr = 1;
			c->started = false;
			c->go = false;
			pthread_create(&threads[j], NULL, vcpu_thread_to_sync, vcpu);
			while (!READ_ONCE(c->started))
				sched_yield();
			/* Rather halted than about to be, but either will do. */
			while (op[j].kind == HALT && tries-- && !vcpu_get_stat(vcpu, blocking))
				sched_yield();
		}

		op += u.nr_waits;
		if (u.nr > u.nr_waits && is_guest_op(op))
			run_ops(t, op->cpu, i + u.nr_waits, u.nr - u.nr_waits);
		else if (u.nr > u.nr_waits)
			host_do(t, op, want->apic_ids[i + u.nr_waits]);

		for (j = 0; j < u.nr_waits; j++) {
			const struct op *wait = &p->ops[i + j];
			struct guest_cpu *c = &t->guest->cpus[wait->cpu];

			WRITE_ONCE(c->go, true);
			while (wait->kind == HALT && !want->woken[i + j] &&
			       pthread_tryjoin_np(threads[j], NULL)) {
				send_msi(t, want->apic_ids[i + j], APIC_DM_NMI);
				sched_yield();
			}
			if (wait->kind == BUSY || want->woken[i + j])
				pthread_join(threads[j], NULL);

			/* Take what came after the vCPU was woken. */
			run_ops(t, wait->cpu, i + j, 0);
		}
	}

	for (i = 0; i < MODEL_MAX_CPUS; i++)
		run_ops(t, i, p->nr_ops, 0);

	get_transcript(t, p, got);
}

/*
 * Numbers by POSIX's generator, the same everywhere; the first of neighbouring seeds
 * are alike, and are thrown away.
 */
static unsigned short rng[3];

static void seed_rng(u32 seed)
{
	int i;

	rng[0] = seed;
	rng[1] = seed >> 16;
	rng[2] = 0x330e;
	for (i = 0; i < 8; i++)
		nrand48(rng);
}

static u32 rnd(u32 n)
{
	return (nrand48(rng) >> 7) % n;
}

static u32 rnd32(void)
{
	return jrand48(rng);
}

static u32 rnd_vector(bool level)
{
	if (level)
		return FIRST_LEVEL_VECTOR + rnd(3);

	switch (rnd(8)) {
	case 0:
		return rnd(17);
	case 1 ... 3:
		return 0x20 + rnd(FIRST_AUTO_EOI_VECTOR - 0x20);
	case 4:
		return 0x41;
	default:
		return FIRST_AUTO_EOI_VECTOR + rnd(FIRST_LEVEL_VECTOR - FIRST_AUTO_EOI_VECTOR);
	}
}

static u32 rnd_dest(const struct program *p, bool logical)
{
	u32 id = p->ids[rnd(MODEL_MAX_CPUS)];

	if (!rnd(6))
		return p->x2apic ? -1u : 0xff;

	if (!rnd(8))
		return p->x2apic ? rnd32() : rnd(256);

	if (!logical)
		return p->x2apic || id < 0xff ? id : rnd(256);

	if (p->x2apic)
		return (id & ~0xf) << 12 | (rnd(2) ? BIT(id & 0xf) : rnd(0x10000));

	return rnd(2) ? BIT(rnd(8)) : rnd(256);
}

/* An ICR without its destination. */
static u32 rnd_icr(bool *logical)
{
	static const u32 shorthands[] = {
		0, 0, 0, 0, APIC_DEST_SELF, APIC_DEST_ALLINC, APIC_DEST_ALLBUT };
	u32 icr = shorthands[rnd(ARRAY_SIZE(shorthands))] | (rnd(2) ? APIC_INT_ASSERT : 0);
	bool level;

	*logical = rnd(2);
	if (*logical)
		icr |= APIC_DEST_LOGICAL;

	if (!rnd(12))
		return icr | APIC_DM_NMI;

	level = !rnd(8);
	if (level)
		icr |= APIC_INT_LEVELTRIG | APIC_INT_ASSERT;

	return icr | rnd_vector(level);
}

static u64 rnd_value(const struct program *p, const struct op *op)
{
	u32 id = p->ids[op->cpu];
	bool logical;
	u32 icr;

	/* Reserved bits of x2APIC's registers raise #GP; of ICR, others would send an IPI. */
	if (p->x2apic && !rnd(16))
		return op->reg == APIC_ICR ? 0 : BIT_ULL(rnd(64));

	switch (op->reg) {
	case APIC_ID:
		return (id ^ (rnd(2) ? 0x80 : 0)) << 24 | (rnd32() & 0xffffff);
	case APIC_EOI:
		return p->x2apic ? 0 : rnd32();
	case APIC_TASKPRI:
		return p->x2apic ? rnd(256) : rnd(2) ? rnd(256) : rnd32();
	case APIC_LDR:
		return (rnd(3) ? BIT(rnd(8)) : rnd(256)) << 24 | (rnd32() & 0xffffff);
	case APIC_DFR:
		return (rnd(2) ? -1u : rnd(3) ? 0x0fffffff : rnd32()) & ~(rnd(2) ? 0 : rnd(16));
	case APIC_SPIV:
		return rnd(256) | (rnd(8) ? APIC_SPIV_APIC_ENABLED : 0) |
		       (rnd(4) ? 0 : rnd32() & GENMASK(31, 9));
	case APIC_ICR:
		icr = rnd_icr(&logical);
		return icr | (p->x2apic ? (u64)rnd_dest(p, logical) << 32 : 0);
	case APIC_ICR2:
		return rnd_dest(p, rnd(2)) << 24;
	case APIC_SELF_IPI:
		return rnd_vector(false);
	case APIC_LVTT ... APIC_LVTERR:
		return rnd32() | APIC_LVT_MASKED;
	case APIC_TMICT:
		return rnd(2) ? 0 : rnd32() | BIT(30);
	case APIC_ESR:
		return p->x2apic && rnd(2) ? 0 : rnd32();
	default:
		return rnd32();
	}
}

static void rnd_op(const struct program *p, struct op *op, const struct op *last)
{
	static const u8 kinds[] = {
		READ, READ, READ, READ, WRITE, WRITE, WRITE, WRITE, WRITE, WRITE, WRITE, WRITE,
		READ_CR8, WRITE_CR8, CLI, STI, DISABLE, ENABLE, TIMER, BUSY, BUSY, HALT, HALT,
		INHIBIT, LIFT, SAVE_RESTORE, MSI, INIT };
	static const u16 written[] = {
		APIC_ICR, APIC_ICR, APIC_ICR, APIC_ICR, APIC_ICR, APIC_ICR2, APIC_ICR2,
		APIC_SELF_IPI, APIC_SELF_IPI, APIC_EOI, APIC_EOI, APIC_EOI, APIC_TASKPRI,
		APIC_TASKPRI, APIC_LDR, APIC_LDR, APIC_DFR, APIC_SPIV, APIC_ID, APIC_LVR,
		APIC_ARBPRI, APIC_PROCPRI, APIC_RRR, APIC_ISR, APIC_TMR, APIC_IRR, APIC_ESR,
		APIC_LVTT, APIC_LVTTHMR, APIC_LVTPC, APIC_LVT0, APIC_LVT1, APIC_LVTERR,
		APIC_TMICT, APIC_TMCCT, APIC_TDCR };
	static const u16 interesting[] = {
		APIC_TASKPRI, APIC_PROCPRI, APIC_LDR, APIC_ICR, APIC_IRR, APIC_ISR, APIC_TMR };
	bool logical;

	*op = (struct op) { kinds[rnd(ARRAY_SIZE(kinds))], rnd(MODEL_MAX_CPUS) };

	/* More often than not, a vCPU does more than one thing at a time. */
	if (last && !is_wait(last) && rnd(3))
		op->cpu = last->cpu;

	switch (op->kind) {
	case READ:
		op->reg = rnd(2) ? rnd(MODEL_NR_REGS) << 4 :
				   interesting[rnd(ARRAY_SIZE(interesting))];
		if (op->reg >= APIC_ISR && op->reg < APIC_ESR)
			op->reg = (op->reg & ~0x70) | rnd(8) << 4;
		break;
	case WRITE:
		/* In x2APIC mode, also what's not an MSR at all. */
		op->reg = p->x2apic && !rnd(12) ? rnd(MODEL_NR_REGS) << 4 :
							written[rnd(ARRAY_SIZE(written))];
		op->val = rnd_value(p, op);
		break;
	case WRITE_CR8:
		op->val = rnd(16);
		break;
	case TIMER:
		op->val = rnd(2) ? 0x51 : 0x91;
		break;
	case INHIBIT:
	case LIFT:
		op->reg = rnd(NR_APICV_INHIBITS);
		break;
	case MSI:
		logical = rnd(2);
		op->val = rnd_vector(false) | (logical ? APIC_DEST_LOGICAL : 0) |
			  (u64)rnd_dest(p, logical) << 32;
		break;
	}
}

static void generate(struct program *p, struct test_vm *t, u32 seed)
{
	struct transcript want;
	u32 nr, tries;

	memset(p->ops, 0, sizeof(p->ops));
	p->seed = seed;
	p->nr_ops = 0;
	seed_rng(seed);

	nr = 4 + rnd(MAX_OPS - 3);
	for (tries = 0; p->nr_ops < nr && tries < 4 * MAX_OPS; tries++) {
		struct op *op = &p->ops[p->nr_ops];

		rnd_op(p, op, p->nr_ops ? op - 1 : NULL);
		p->nr_ops++;
		memset(&want, 0, sizeof(want));
		if (simulate(p, initial_cpus(t, p), &want))
			p->nr_ops--;
	}
}

static const char * const kind_names[] = {
	"read", "write", "read CR8", "write CR8", "CLI", "STI", "disable the APIC",
	"enable the APIC", "timer", "access TPR", "be busy", "HLT", "inhibit", "lift",
	"save and restore", "MSI", "INIT" };

static void print_program(const struct program *p)
{
	u32 i;

	ksft_print_msg("program %u, in %s mode, vCPUs 0 to 2 have IDs %u, %u, %u:\n", p->seed,
		       p->x2apic ? "x2APIC" : "xAPIC", p->ids[0], p->ids[1], p->ids[2]);
	for (i = 0; i < p->nr_ops; i++) {
		const struct op *op = &p->ops[i];

		if (op->kind == INHIBIT || op->kind == LIFT)
			ksft_print_msg("%3u  host    %s %s\n", i, kind_names[op->kind],
				       apicv_inhibits[op->reg].name);
		else if (op->kind == READ || op->kind == WRITE)
			ksft_print_msg("%3u  vCPU %u  %s 0x%03x (%s) 0x%lx\n", i, op->cpu,
				       kind_names[op->kind], op->reg,
				       x2apic_reg_name(REG(op->reg)), (unsigned long)op->val);
		else
			ksft_print_msg("%3u  vCPU %u  %s 0x%lx 0x%x\n", i, op->cpu,
				       kind_names[op->kind], (unsigned long)op->val, op->reg);
	}
}

/* Assertions that fail end the test without another word. */
static void print_current_program(void)
{
	if (!current_program)
		return;

	ksft_print_msg("%s VM: the last program\n", current_vm);
	print_program(current_program);
}

static void handle_alarm(int signal)
{
	ksft_print_msg("%s VM: no end within %d seconds\n", current_vm, HANG_TIMEOUT);
	ksft_exit_fail();
}

/* Compare, and say what is different if asked for it. */
static bool is_same(const struct program *p, const char *name, const struct transcript *want,
		    struct transcript *got, bool print)
{
	bool same = true;
	u32 i, j;

	for (i = 0; i < p->nr_ops; i++) {
		if (want->results[i] == got->results[i])
			continue;

		same = false;
		if (print)
			ksft_print_msg("%s VM: operation %u: want 0x%lx, got 0x%lx\n", name, i,
				       (unsigned long)want->results[i],
				       (unsigned long)got->results[i]);
	}

	for (i = 0; i < MODEL_MAX_CPUS; i++) {
		const struct model_cpu *w = &want->cpus[i], *g = &got->cpus[i];
		const struct model_irq none = { -1, 0 };

		for (j = 0; j < max(w->nr_irqs, g->nr_irqs); j++) {
			struct model_irq wi = j < w->nr_irqs ? w->irqs[j] : none;
			struct model_irq gi = j < g->nr_irqs ? g->irqs[j] : none;

			if (wi.op == gi.op && wi.vector == gi.vector)
				continue;

			same = false;
			if (print)
				ksft_print_msg("%s VM: vCPU %u, interrupt %u: want 0x%x in %d, got 0x%x in %d\n",
					       name, i, j, wi.vector, (s16)wi.op, gi.vector,
					       (s16)gi.op);
			break;
		}

		for (j = 0; j < MODEL_NR_REGS; j++) {
			/* The timer may be running. */
			if (j == REG(APIC_TMCCT) || w->regs[j] == g->regs[j])
				continue;

			same = false;
			if (print)
				ksft_print_msg("%s VM: vCPU %u, state 0x%03x (%s): want 0x%x, got 0x%x\n",
					       name, i, j << 4, x2apic_reg_name(j),
					       w->regs[j], g->regs[j]);
		}
	}

	return same;
}

/* Run it in both VMs; what's wrong is to be known already if it isn't the first time. */
static bool is_good(const struct program *p, struct test_vm *vms, bool print)
{
	struct transcript want = {}, got = {};
	bool good = true;
	int i;

	current_program = p;
	alarm(HANG_TIMEOUT);
	simulate(p, initial_cpus(&vms[0], p), &want);
	for (i = 0; i < 2; i++) {
		run_program(&vms[i], p, &want, &got);
		good &= is_same(p, vms[i].name, &want, &got, print);
	}
	alarm(0);

	return good;
}

/* Take out one operation after another, as long as it goes on to fail. */
static void shrink(struct program *p, struct test_vm *vms)
{
	struct transcript want;
	struct program smaller;
	int i;

	for (i = p->nr_ops - 1; i >= 0; i--) {
		smaller = *p;
		smaller.nr_ops--;
		memmove(&smaller.ops[i], &smaller.ops[i + 1],
			(smaller.nr_ops - i) * sizeof(smaller.ops[0]));
		memset(&want, 0, sizeof(want));
		if (!simulate(&smaller, initial_cpus(&vms[0], p), &want) &&
		    !is_good(&smaller, vms, false))
			*p = smaller;
	}
}

static void test_programs(bool x2apic, u32 seed, u32 nr, time_t end)
{
	struct program p = { .x2apic = x2apic };
	struct test_vm vms[2] = {};
	u32 i, nr_bad = 0;

	for (i = 0; i < nr && (!end || time(NULL) < end) && nr_bad < 10; i++) {
		const u32 *ids = topologies[(seed + i) / PROGRAMS_PER_VM % ARRAY_SIZE(topologies)];

		if (ids != p.ids || !((seed + i) % PROGRAMS_PER_VM)) {
			p.ids = ids;
			test_vm_destroy(&vms[0]);
			test_vm_destroy(&vms[1]);
			test_vm_create(&vms[0], &p, true);
			test_vm_create(&vms[1], &p, false);
		}

		generate(&p, &vms[0], seed + i);
		if (is_good(&p, vms, false))
			continue;

		nr_bad++;
		shrink(&p, vms);
		print_program(&p);
		if (is_good(&p, vms, true))
			ksft_print_msg("now it is as it should be: -s %u -n %u -t 0 may help\n",
				       seed, i + 1);
	}

	test_vm_destroy(&vms[0]);
	test_vm_destroy(&vms[1]);
	current_program = NULL;
	ksft_print_msg("%s mode: seed %u, %u programs, %u failed\n", x2apic ? "x2APIC" : "xAPIC",
		       seed, i, nr_bad);
	ksft_test_result(!nr_bad, "diff.%s\n", x2apic ? "x2apic" : "xapic");
}

int main(int argc, char *argv[])
{
	u32 seed = 0, nr = 48;
	time_t seconds = 0;
	int option;

	while ((option = getopt(argc, argv, "s:n:t:")) != -1) {
		switch (option) {
		case 's':
			seed = atoi_non_negative("-s", optarg);
			break;
		case 'n':
			nr = atoi_non_negative("-n", optarg);
			break;
		case 't':
			seconds = atoi_non_negative("-t", optarg);
			break;
		default:
			fprintf(stderr, "usage: %s [-s SEED] [-n PROGRAMS] [-t SECONDS]\n",
				argv[0]);
			exit(1);
		}
	}

	/* VMX virtualizes the TPR even if APICv is inhibited, which the helpers don't expect. */
	TEST_REQUIRE(!access("/sys/module/kvm_amd", F_OK));
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_IRQCHIP));

	TEST_ASSERT(nr, "no programs");

	ksft_print_header();
	ksft_set_plan(2);
	signal(SIGALRM, handle_alarm);
	atexit(print_current_program);

	test_programs(false, seed, nr, seconds ? time(NULL) + seconds : 0);
	test_programs(true, seed, nr, seconds ? time(NULL) + seconds : 0);

	ksft_finished();
}
