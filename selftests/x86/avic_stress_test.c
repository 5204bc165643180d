// SPDX-License-Identifier: GPL-2.0-only
/*
 * avic_stress_test [-s SEED] [-n REQUESTS] [-r CASE]
 *
 * Test that no IPI gets lost, or comes twice, whatever happens meanwhile.  Six vCPUs,
 * i.e. more than a small machine has CPUs, or two, send each other requests, i.e. IPIs of
 * every form.  The targets, which are busy, halted, not running, or have interrupts blocked
 * by the TPR, answer each by another IPI, and the sender, halted or busy, waits for all
 * answers before it goes on.  The host sends MSIs, inhibits APICv and lifts the inhibits,
 * moves vCPUs to other CPUs, interrupts KVM_RUN, and stops all vCPUs to save and restore them.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include "kvm_util.h"
#include "apicv.h"

#define MAX_VCPUS	6
#define NR_CHAOS	9	/* things that the host does */

/* It does so for some requests, and then nothing for three times as many. */
#define NR_CALM		96
#define NR_PHASES	128

/* A vector for the requests of each vCPU, so that none merges with another one. */
#define REQUEST_VECTOR(i)	(0x31 + 0x10 * (i))
#define ANSWER_VECTOR	0xa1
#define MSI_VECTOR	0xb1

/* After so many seconds without any answer, an interrupt was lost. */
#define HANG_TIMEOUT	30

#define BYSTANDER_ID	100

static struct {
	bool x2apic;
	u32 nr_vcpus;
	u32 nr_requests;	/* that each vCPU has to send */
	u32 seed;
	u32 apic_ids[MAX_VCPUS];

	/* Of the sender, and the target. */
	u32 sent[MAX_VCPUS][MAX_VCPUS];
	u32 answered[MAX_VCPUS][MAX_VCPUS];
	u32 nr_handled[MAX_VCPUS][MAX_VCPUS];

	u32 nr_done[MAX_VCPUS];
	u32 msis_sent[MAX_VCPUS];
	u32 msis_handled[MAX_VCPUS];
} shared;

static u32 guest_index(void)
{
	return rdmsr(MSR_GS_BASE);
}

static u32 logical_id(u32 i)
{
	u32 id = shared.apic_ids[i];

	return shared.x2apic ? (id & ~0xf) << 12 | BIT(id & 0xf) : BIT(i);
}

/* Marsaglia's xorshift, whose state must not be zero. */
static u32 rng_of(u32 seed, u32 user)
{
	return (seed * 2654435761u) ^ ((user + 1) * 2246822519u) ?: 1;
}

static u32 rnd(u32 *state, u32 n)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state % n;
}

static void request_handler(struct ex_regs *regs)
{
	u32 sender = (regs->vector - REQUEST_VECTOR(0)) / 0x10, me = guest_index();
	u32 rng = rng_of(++shared.nr_handled[sender][me], sender), i;

	/* Now and then, long enough for a sender that is halted to be not running, either. */
	for (i = BIT(rnd(&rng, 4) ? 0 : rnd(&rng, 20)); i; i--)
		asm volatile("nop");

	WRITE_ONCE(shared.answered[sender][me], READ_ONCE(shared.sent[sender][me]));

	/* Before or after the IPI, both are fine. */
	if (shared.nr_handled[sender][me] & 1)
		apic_eoi(shared.x2apic);
	if (sender != me)
		apic_send_ipi(shared.x2apic, shared.apic_ids[sender],
			      APIC_DM_FIXED | ANSWER_VECTOR);
	if (!(shared.nr_handled[sender][me] & 1))
		apic_eoi(shared.x2apic);
}

static void answer_handler(struct ex_regs *regs)
{
	apic_eoi(shared.x2apic);
}

static void msi_handler(struct ex_regs *regs)
{
	u32 me = guest_index();

	WRITE_ONCE(shared.msis_handled[me], READ_ONCE(shared.msis_sent[me]));
	apic_eoi(shared.x2apic);
}

/* Send a request, in a random form, and return its targets. */
static u32 guest_send_request(u32 me, u32 *rng)
{
	u32 icr = APIC_DM_FIXED | REQUEST_VECTOR(me), targets, dest = 0, i;
	u32 target = (me + 1 + rnd(rng, shared.nr_vcpus - 1)) % shared.nr_vcpus;
	u32 all = GENMASK(shared.nr_vcpus - 1, 0), form = rnd(rng, 9);

	switch (form) {
	case 0:
		icr |= APIC_DEST_ALLBUT;
		targets = all & ~BIT(me);
		break;
	case 1:
		icr |= APIC_DEST_ALLINC;
		targets = all;
		break;
	case 2:
		icr |= APIC_DEST_SELF;
		targets = BIT(me);
		break;
	case 3:
		icr |= rnd(rng, 2) ? APIC_DEST_LOGICAL : 0;
		dest = -1u;
		targets = all;
		break;
	case 4:
		/* As many as a logical destination can name. */
		icr |= APIC_DEST_LOGICAL;
		dest = logical_id(target);
		targets = BIT(target);
		for (i = 0; i < shared.nr_vcpus; i++) {
			if (rnd(rng, 2) ||
			    (shared.x2apic && logical_id(i) >> 16 != dest >> 16))
				continue;
			dest |= logical_id(i);
			targets |= BIT(i);
		}
		break;
	case 5 ... 6:
		icr |= APIC_DEST_LOGICAL | (form == 5 ? APIC_DM_LOWEST : 0);
		dest = logical_id(target);
		targets = BIT(target);
		break;
	default:
		dest = shared.apic_ids[target];
		targets = BIT(target);
		break;
	}

	for (i = 0; i < shared.nr_vcpus; i++) {
		if (targets & BIT(i))
			WRITE_ONCE(shared.sent[me][i], shared.sent[me][i] + 1);
	}

	if (form == 2 && shared.x2apic && rnd(rng, 2))
		x2apic_write_reg(APIC_SELF_IPI, REQUEST_VECTOR(me));
	else
		apic_send_ipi(shared.x2apic, dest, icr);

	return targets;
}

static bool guest_has_answers(u32 me, u32 targets)
{
	u32 i;

	for (i = 0; i < shared.nr_vcpus; i++) {
		if (targets & BIT(i) &&
		    READ_ONCE(shared.answered[me][i]) != shared.sent[me][i])
			return false;
	}
	return true;
}

static void guest_code(u32 me)
{
	u32 rng = rng_of(shared.seed, me), i, j, targets;

	wrmsr(MSR_GS_BASE, me);
	apic_enable(shared.x2apic);
	if (!shared.x2apic)
		xapic_write_reg(APIC_LDR, SET_APIC_DEST_FIELD(BIT(me)));
	GUEST_SYNC(0);

	for (i = 0; i < shared.nr_requests; i++) {
		/* Between the two writes of xAPIC mode, handlers must not send anything. */
		cli();
		targets = guest_send_request(me, &rng);

		if (!rnd(&rng, 4)) {
			/* Block interrupts by another means, for a while. */
			apic_write_reg(shared.x2apic, APIC_TASKPRI, 0xf0);
			sti_nop();
			for (j = 0; j < 1000; j++)
				cpu_relax();
			if (rnd(&rng, 2))
				set_cr8(0);
			else
				apic_write_reg(shared.x2apic, APIC_TASKPRI, 0);
		}

		if (rnd(&rng, 2)) {
			sti_nop();
			while (!guest_has_answers(me, targets))
				cpu_relax();
		} else {
			cli();
			while (!guest_has_answers(me, targets)) {
				safe_halt();
				cli();
			}
		}
		WRITE_ONCE(shared.nr_done[me], i + 1);
	}

	/* Go on to answer the others. */
	for (;;)
		safe_halt();
}

static struct test_vcpu {
	struct kvm_vcpu *vcpu;
	pthread_t thread;
	bool parked;
} vcpus[MAX_VCPUS];
static u32 nr_vcpus;

static __thread struct kvm_run *this_run;
static bool stop, quit;

/* If the signal comes before KVM_RUN has begun, that must not begin any more. */
static void handle_kick(int signal)
{
	if (this_run)
		WRITE_ONCE(this_run->immediate_exit, 1);
}

static void *vcpu_thread(void *arg)
{
	struct test_vcpu *v = arg;

	this_run = v->vcpu->run;
	while (!READ_ONCE(quit)) {
		if (__vcpu_run(v->vcpu))
			TEST_ASSERT(errno == EINTR, "KVM_RUN failed");
		else
			TEST_ASSERT_KVM_EXIT_REASON(v->vcpu, KVM_EXIT_INTR);
		WRITE_ONCE(this_run->immediate_exit, 0);

		while (READ_ONCE(stop)) {
			WRITE_ONCE(v->parked, true);
			sched_yield();
		}
		WRITE_ONCE(v->parked, false);
	}

	return NULL;
}

static void stop_vcpus(void)
{
	int i;

	WRITE_ONCE(stop, true);
	for (i = 0; i < nr_vcpus; i++) {
		while (!READ_ONCE(vcpus[i].parked)) {
			pthread_kill(vcpus[i].thread, SIGUSR1);
			sched_yield();
		}
	}
}

static void go_on(void)
{
	int i;

	WRITE_ONCE(stop, false);
	for (i = 0; i < nr_vcpus; i++) {
		while (READ_ONCE(vcpus[i].parked))
			sched_yield();
	}
}

static void send_msi(struct kvm_vm *vm, typeof(shared) *guest, u32 i)
{
	struct kvm_msi msi = {
		.address_lo = APIC_DEFAULT_GPA | (guest->apic_ids[i] & 0xff) << 12,
		.address_hi = guest->apic_ids[i] & ~0xff,
		.data = MSI_VECTOR,
	};

	/* The last one may not have arrived yet, in which case they merge. */
	WRITE_ONCE(guest->msis_sent[i], guest->msis_sent[i] + 1);
	TEST_ASSERT_EQ(__vm_ioctl(vm, KVM_SIGNAL_MSI, &msi), 1);
}

static void lift_inhibits(struct kvm_vm *vm, struct kvm_vcpu *bystander)
{
	int i;

	for (i = 0; i < NR_APICV_INHIBITS; i++) {
		if (apicv_inhibits[i].is_supported(vm))
			apicv_inhibits[i].set(bystander, false);
	}
}

static void do_chaos(struct kvm_vm *vm, typeof(shared) *guest, struct kvm_vcpu *bystander,
		     u32 *rng)
{
	const struct apicv_inhibit *inhibit = &apicv_inhibits[rnd(rng, NR_APICV_INHIBITS)];
	u32 i = rnd(rng, nr_vcpus), chaos = rnd(rng, NR_CHAOS);
	cpu_set_t cpus;

	switch (chaos) {
	case 0:
		stop_vcpus();
		for (i = 0; i < nr_vcpus; i++)
			vcpu_save_and_restore_apic(vcpus[i].vcpu);
		go_on();
		break;
	case 1 ... 2:
		pthread_kill(vcpus[i].thread, SIGUSR1);
		break;
	case 3 ... 4:
		CPU_ZERO(&cpus);
		CPU_SET(rnd(rng, get_nprocs_conf()), &cpus);
		/* A CPU may be offline. */
		pthread_setaffinity_np(vcpus[i].thread, sizeof(cpus), &cpus);
		break;
	case 5 ... 6:
		send_msi(vm, guest, i);
		break;
	default:
		if (inhibit->is_supported(vm))
			inhibit->set(bystander, chaos & 1);
		break;
	}
}

/* What has been sent, and handled; and what is pending, while no vCPU runs. */
static void print_state(typeof(shared) *guest)
{
	struct kvm_mp_state mp_state;
	u32 i, j;

	for (i = 0; i < nr_vcpus; i++) {
		vcpu_mp_state_get(vcpus[i].vcpu, &mp_state);
		ksft_print_msg("vCPU %u: %u done, %u of %u MSIs, %s, TPR 0x%x\n", i,
			       guest->nr_done[i], guest->msis_handled[i], guest->msis_sent[i],
			       mp_state.mp_state == KVM_MP_STATE_HALTED ? "halted" : "busy",
			       vcpu_get_lapic_reg(vcpus[i].vcpu, APIC_TASKPRI));
		for (j = 0; j < 256; j++) {
			if (vcpu_test_lapic_vector(vcpus[i].vcpu, APIC_IRR, j))
				ksft_print_msg("vCPU %u: 0x%x is pending\n", i, j);
			if (vcpu_test_lapic_vector(vcpus[i].vcpu, APIC_ISR, j))
				ksft_print_msg("vCPU %u: 0x%x is in service\n", i, j);
		}
		for (j = 0; j < nr_vcpus; j++) {
			if (guest->answered[i][j] != guest->sent[i][j] ||
			    guest->nr_handled[i][j] != guest->sent[i][j])
				ksft_print_msg("vCPU %u: sent %u to vCPU %u, handled %u, answered %u\n",
					       i, guest->sent[i][j], j, guest->nr_handled[i][j],
					       guest->answered[i][j]);
		}
	}
}

/* The number of requests and MSIs that have arrived, and of those that must. */
static u32 count_arrived(typeof(shared) *guest, u32 *nr_wanted)
{
	u32 i, n = 0;

	*nr_wanted = nr_vcpus * guest->nr_requests;
	for (i = 0; i < nr_vcpus; i++) {
		*nr_wanted += guest->msis_sent[i];
		n += READ_ONCE(guest->nr_done[i]) + READ_ONCE(guest->msis_handled[i]);
	}
	return n;
}

static const struct stress {
	const char *name;
	bool x2apic;
	u32 nr_vcpus;
	u32 ids[MAX_VCPUS];
} stresses[] = {
	{ "xapic",		false,	6, { 0, 1, 2, 3, 4, 5 } },
	{ "x2apic",		true,	6, { 0, 1, 2, 3, 4, 5 } },
	{ "x2apic_big_ids",	true,	6, { 0, 1, 15, 16, 18, 300 } },
	/* There's no third vCPU that would wake one of these. */
	{ "xapic_pair",		false,	2, { 0, 1 } },
	{ "x2apic_pair",	true,	2, { 0, 1 } },
	{ "x2apic_big_pair",	true,	2, { 0, 511 } },
};

static u64 get_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

static void test_stress(const struct stress *s, u32 seed, u32 nr_requests)
{
	u32 i, j, arrived, wanted, last = 0, rng = rng_of(seed, MAX_VCPUS), nr_bad = 0;
	struct kvm_vcpu *bystander;
	typeof(shared) *guest;
	bool calm = false, was_calm;
	u64 progress;
	struct kvm_vm *vm;

	nr_vcpus = s->nr_vcpus;
	vm = vm_create(nr_vcpus + 1);
	vm_enable_cap(vm, KVM_CAP_X2APIC_API,
		      KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK);
	/* A vCPU that's about to halt, and sees an interrupt in time, doesn't need to be woken. */
	if (nr_vcpus == 2 && kvm_has_cap(KVM_CAP_HALT_POLL))
		vm_enable_cap(vm, KVM_CAP_HALT_POLL, 0);
	virt_pg_map(vm, APIC_DEFAULT_GPA, APIC_DEFAULT_GPA);
	for (i = 0; i < nr_vcpus; i++)
		vm_install_exception_handler(vm, REQUEST_VECTOR(i), request_handler);
	vm_install_exception_handler(vm, ANSWER_VECTOR, answer_handler);
	vm_install_exception_handler(vm, MSI_VECTOR, msi_handler);

	guest = addr_gva2hva(vm, (u64)&shared);
	guest->x2apic = s->x2apic;
	guest->seed = seed;
	guest->nr_vcpus = nr_vcpus;
	guest->nr_requests = nr_requests / nr_vcpus;
	for (i = 0; i < nr_vcpus; i++) {
		guest->apic_ids[i] = s->ids[i];
		vcpus[i].vcpu = vm_vcpu_add(vm, s->ids[i], guest_code);
		vcpus[i].parked = false;
		vcpu_args_set(vcpus[i].vcpu, 1, i);
	}
	bystander = vm_vcpu_add(vm, BYSTANDER_ID, guest_code);

	/* All have to be able to get IPIs before the first one is sent. */
	for (i = 0; i < nr_vcpus; i++) {
		vcpu_run_to_sync(vcpus[i].vcpu);
		vcpu_run_complete_io(vcpus[i].vcpu);
	}

	quit = false;
	for (i = 0; i < nr_vcpus; i++)
		pthread_create(&vcpus[i].thread, NULL, vcpu_thread, &vcpus[i]);

	progress = get_seconds();
	while ((arrived = count_arrived(guest, &wanted)) != wanted) {
		if (arrived != last)
			progress = get_seconds();
		last = arrived;
		if (get_seconds() - progress > HANG_TIMEOUT) {
			ksft_print_msg("%s, seed %u: an interrupt was lost\n", s->name, seed);
			stop_vcpus();
			print_state(guest);
			ksft_exit_fail();
		}

		/* What the host does also wakes vCPUs that nobody else has woken. */
		was_calm = calm;
		calm = arrived % NR_PHASES < NR_CALM;
		if (!calm)
			do_chaos(vm, guest, bystander, &rng);
		else if (!was_calm)
			lift_inhibits(vm, bystander);
		usleep(rnd(&rng, 500));
	}

	WRITE_ONCE(quit, true);
	for (i = 0; i < nr_vcpus; i++) {
		while (pthread_tryjoin_np(vcpus[i].thread, NULL)) {
			pthread_kill(vcpus[i].thread, SIGUSR1);
			sched_yield();
		}
	}

	for (i = 0; i < nr_vcpus; i++) {
		for (j = 0; j < nr_vcpus; j++)
			nr_bad += guest->nr_handled[i][j] != guest->sent[i][j];
	}
	if (nr_bad)
		print_state(guest);
	kvm_vm_free(vm);

	ksft_test_result(!nr_bad, "stress.%s\n", s->name);
}

int main(int argc, char *argv[])
{
	u32 seed = 0, nr_requests = 4000, i, nr = 0;
	bool chosen[ARRAY_SIZE(stresses)] = {};
	const char *only = "";
	char name[32];
	int option;

	while ((option = getopt(argc, argv, "s:n:r:")) != -1) {
		switch (option) {
		case 's':
			seed = atoi_non_negative("-s", optarg);
			break;
		case 'n':
			nr_requests = atoi_non_negative("-n", optarg);
			break;
		case 'r':
			only = optarg;
			break;
		default:
			fprintf(stderr, "usage: %s [-s SEED] [-n REQUESTS] [-r CASE]\n", argv[0]);
			exit(1);
		}
	}

	for (i = 0; i < ARRAY_SIZE(stresses); i++) {
		snprintf(name, sizeof(name), "stress.%s", stresses[i].name);
		chosen[i] = !*only || !strcmp(only, name);
		nr += chosen[i];
	}

	/* On Intel, the writes of ICR would need fences before them. */
	TEST_REQUIRE(!access("/sys/module/kvm_amd", F_OK));
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_IRQCHIP));
	TEST_ASSERT(nr, "unknown case %s", only);
	TEST_ASSERT(nr_requests >= MAX_VCPUS, "%u requests are too few", nr_requests);

	ksft_print_header();
	ksft_set_plan(nr);
	signal(SIGUSR1, handle_kick);

	for (i = 0; i < ARRAY_SIZE(stresses); i++) {
		if (chosen[i])
			test_stress(&stresses[i], seed, nr_requests);
	}

	ksft_finished();
}
