// SPDX-License-Identifier: GPL-2.0-only
/*
 * avic_doorbell_test
 *
 * Test that an IPI reaches a vCPU that runs on another CPU without a VM-Exit of that
 * vCPU, whether the CPU delivers the IPI or KVM does, wherever the vCPU has been moved
 * to.  Both ring the doorbell of the CPU; if it isn't rung, or that of another CPU is,
 * then the IPI arrives as late as with the target's next VM-Exit.  Those that the CPU
 * delivers don't cost the sender one, either, also not after AVIC was inhibited.
 */
#include <pthread.h>
#include <sched.h>

#include "kvm_test_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "apicv.h"

#define NR_IPIS		200
#define MAX_EXITS	(NR_IPIS * 3 / 4)
#define NR_TRIES	10
#define NR_MOVES	4
#define VECTOR		0x40

/* The destination, in logical mode, is the target, and for some a vCPU that doesn't exist. */
#define TARGET		0x2
#define NOBODY		0x4

static struct {
	bool x2apic, done;
	u32 dest;
	u64 nr_received;
} shared;

static void guest_irq_handler(struct ex_regs *regs)
{
	WRITE_ONCE(shared.nr_received, shared.nr_received + 1);
	apic_eoi(shared.x2apic);
}

static void guest_setup(u32 ldr)
{
	apic_enable(shared.x2apic);
	if (!shared.x2apic)
		xapic_write_reg(APIC_LDR, SET_APIC_DEST_FIELD(ldr));
}

static void guest_target_code(void)
{
	guest_setup(TARGET);
	GUEST_SYNC(0);

	sti_nop();
	while (!READ_ONCE(shared.done))
		cpu_relax();
	GUEST_SYNC(0);
}

static void guest_sender_code(void)
{
	u64 i, before;

	guest_setup(1);
	for (;;) {
		for (i = 0; i < NR_IPIS; i++) {
			before = READ_ONCE(shared.nr_received);
			apic_send_ipi(shared.x2apic, shared.dest,
				      APIC_DEST_LOGICAL | APIC_DM_FIXED | VECTOR);
			while (READ_ONCE(shared.nr_received) == before)
				cpu_relax();
		}
		GUEST_SYNC(0);
	}
}

/* Does the CPU deliver IPIs to other vCPUs?  Older kernels don't ask. */
static bool is_ipiv_enabled(void)
{
	return access("/sys/module/kvm_amd/parameters/enable_ipiv", R_OK) ||
	       kvm_get_module_param_bool("kvm_amd", "enable_ipiv");
}

FIXTURE(doorbell) {
};

FIXTURE_VARIANT(doorbell) {
	bool x2apic;
	u32 dest;
};

/* The CPU leaves it to KVM if one of the vCPUs doesn't exist. */
FIXTURE_VARIANT_ADD(doorbell, xapic_by_cpu) { false, TARGET };
FIXTURE_VARIANT_ADD(doorbell, xapic_by_kvm) { false, TARGET | NOBODY };
FIXTURE_VARIANT_ADD(doorbell, x2apic_by_cpu) { true, TARGET };
FIXTURE_VARIANT_ADD(doorbell, x2apic_by_kvm) { true, TARGET | NOBODY };

FIXTURE_SETUP(doorbell)
{
}

FIXTURE_TEARDOWN(doorbell)
{
}

TEST_F(doorbell, spares_vm_exits)
{
	struct kvm_vcpu *sender, *target, *bystander;
	int i, j, cpus[2], nr_cpus = 0;
	typeof(shared) *s;
	pthread_t thread;
	struct kvm_vm *vm;
	cpu_set_t allowed;
	u64 before, exits, sender_exits;

	if (!is_apicv_enabled_in(variant->x2apic))
		SKIP(return, "KVM delivers no interrupts without a VM-Exit");

	sched_getaffinity(0, sizeof(allowed), &allowed);
	for (i = 0; i < CPU_SETSIZE && nr_cpus < 2; i++) {
		if (CPU_ISSET(i, &allowed))
			cpus[nr_cpus++] = i;
	}
	if (nr_cpus < 2)
		SKIP(return, "two CPUs are needed");

	vm = vm_create(3);
	virt_pg_map(vm, APIC_DEFAULT_GPA, APIC_DEFAULT_GPA);
	vm_install_exception_handler(vm, VECTOR, guest_irq_handler);
	sender = vm_vcpu_add(vm, 0, guest_sender_code);
	target = vm_vcpu_add(vm, 1, guest_target_code);
	bystander = vm_vcpu_add(vm, 100, guest_target_code);

	s = addr_gva2hva(vm, (u64)&shared);
	s->x2apic = variant->x2apic;
	s->dest = variant->dest;
	vcpu_run_to_sync(target);
	pthread_create(&thread, NULL, vcpu_thread_to_sync, target);

	for (i = 0; i < NR_MOVES; i++) {
		pin_task_to_cpu(thread, cpus[i % 2]);
		pin_task_to_cpu(pthread_self(), cpus[(i + 1) % 2]);
		set_apicv_inhibit(bystander, true);
		vcpu_run_to_sync(sender);
		set_apicv_inhibit(bystander, false);

		/* Let KVM map pages, and have the target run where it's to run. */
		vcpu_run_to_sync(sender);

		/* The host causes some, the more the busier it is, but not one for each IPI. */
		exits = NR_IPIS;
		sender_exits = NR_IPIS;
		for (j = 0; j < NR_TRIES && max_t(u64, exits, sender_exits) > MAX_EXITS; j++) {
			before = vcpu_get_stat(target, exits);
			sender_exits = min_t(u64, sender_exits, vcpu_measure_to_sync(sender).exits);
			exits = min_t(u64, exits, vcpu_get_stat(target, exits) - before);
		}

		TEST_ASSERT(exits <= MAX_EXITS,
			    "vCPU %u on CPU %d: %lu VM-Exits to receive %u IPIs",
			    target->id, cpus[i % 2], (unsigned long)exits, NR_IPIS);
		TEST_ASSERT(sender_exits <= MAX_EXITS || (variant->dest & NOBODY) ||
			    !is_ipiv_enabled(),
			    "vCPU %u on CPU %d: %lu VM-Exits to send %u IPIs",
			    sender->id, cpus[(i + 1) % 2], (unsigned long)sender_exits, NR_IPIS);
	}

	WRITE_ONCE(s->done, true);
	pthread_join(thread, NULL);
	kvm_vm_free(vm);
}

int main(int argc, char *argv[])
{
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_IRQCHIP));

	return test_harness_run(argc, argv);
}
