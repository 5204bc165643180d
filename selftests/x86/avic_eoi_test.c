// SPDX-License-Identifier: GPL-2.0-only
/*
 * avic_eoi_test
 *
 * Test that whoever wants to know of an EOI gets to know of it, exactly once: KVM's
 * I/O APIC, its emulation of the RTC's interrupt, a resampling irqfd, or userspace's
 * I/O APIC; and that nobody else does.  In xAPIC and in x2APIC mode, with AVIC, which
 * leaves only EOIs of level-triggered interrupts to KVM, active and inhibited.
 */
#include <sys/eventfd.h>

#include "kvm_test_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "apicv.h"

#define VECTOR		0x61
#define NR_IRQS		10

#define RTC_GSI		8
#define GSI		20

#define LEVEL		BIT(15)
#define ASSERT		BIT(14)	/* in the data of an MSI */

#define APIC_SPIV_DIRECTED_EOI	BIT(12)

/* What the guest does next; each ends with a sync, which reports the number of IRQs. */
enum todo { TAKE, DO_EOI, WRITE_TPR, SUPPRESS_EOI_BROADCAST };

static struct {
	bool x2apic;
	enum todo todo;
	u64 nr_irqs;
} shared;

static void guest_irq_handler(struct ex_regs *regs)
{
	shared.nr_irqs++;
}

static void guest_code(void)
{
	apic_enable(shared.x2apic);

	for (;;) {
		GUEST_SYNC(shared.nr_irqs);

		if (shared.todo == TAKE) {
			sti_nop();
			cli();
		} else if (shared.todo == DO_EOI) {
			apic_eoi(shared.x2apic);
		} else if (shared.todo == WRITE_TPR) {
			apic_write_tpr_repeatedly(shared.x2apic);
		} else {
			apic_write_reg(shared.x2apic, APIC_SPIV,
				       APIC_SPIV_DIRECTED_EOI | APIC_SPIV_APIC_ENABLED | 0xff);
		}
	}
}

struct test_vm {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	typeof(shared) *shared;
};

FIXTURE(eoi) {
	struct test_vm t;
};

FIXTURE_VARIANT(eoi) {
	bool x2apic;
	bool inhibited;
};

FIXTURE_VARIANT_ADD(eoi, xapic_active) { };
FIXTURE_VARIANT_ADD(eoi, xapic_inhibited) { .inhibited = true };
FIXTURE_VARIANT_ADD(eoi, x2apic_active) { .x2apic = true };
FIXTURE_VARIANT_ADD(eoi, x2apic_inhibited) { .x2apic = true, .inhibited = true };

FIXTURE_SETUP(eoi) { }

FIXTURE_TEARDOWN(eoi)
{
	if (self->t.vm)
		kvm_vm_free(self->t.vm);
}

static u64 run(struct test_vm *t, enum todo todo)
{
	t->shared->todo = todo;
	return vcpu_run_to_sync(t->vcpu);
}

/* @vm is a new one, for two vCPUs. */
static void test_vm_init(struct test_vm *t, struct kvm_vm *vm, bool x2apic, bool inhibited)
{
	t->vm = vm;
	virt_pg_map(vm, APIC_DEFAULT_GPA, APIC_DEFAULT_GPA);
	vm_install_exception_handler(vm, VECTOR, guest_irq_handler);
	t->vcpu = vm_vcpu_add(vm, 0, guest_code);
	set_apicv_inhibit(vm_vcpu_add(vm, 1, guest_code), inhibited);
	t->shared = addr_gva2hva(vm, (u64)&shared);
	t->shared->x2apic = x2apic;
	vcpu_run_to_sync(t->vcpu);
	t->shared->todo = WRITE_TPR;
	vcpu_assert_apicv(t->vcpu, !inhibited && is_apicv_enabled_in(x2apic));
}

/* Have KVM's I/O APIC deliver a pin to the vCPU. */
static void set_redirection(struct kvm_vm *vm, u32 pin, u64 entry)
{
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC };

	vm_ioctl(vm, KVM_GET_IRQCHIP, &chip);
	chip.chip.ioapic.redirtbl[pin].bits = entry;
	vm_ioctl(vm, KVM_SET_IRQCHIP, &chip);
}

static bool is_remote_irr_set(struct kvm_vm *vm)
{
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC };

	vm_ioctl(vm, KVM_GET_IRQCHIP, &chip);
	return chip.chip.ioapic.redirtbl[GSI].fields.remote_irr;
}

TEST_F(eoi, level)
{
	int i;

	test_vm_init(&self->t, vm_create(2), variant->x2apic, variant->inhibited);
	set_redirection(self->t.vm, GSI, VECTOR | LEVEL);

	/* As long as the line is asserted, the interrupt comes again after each EOI. */
	kvm_irq_line(self->t.vm, GSI, 1);
	for (i = 1; i <= NR_IRQS; i++) {
		TEST_ASSERT_EQ(run(&self->t, TAKE), i);
		TEST_ASSERT(is_remote_irr_set(self->t.vm), "Remote IRR isn't set");
		if (i == NR_IRQS)
			kvm_irq_line(self->t.vm, GSI, 0);
		run(&self->t, DO_EOI);
	}

	TEST_ASSERT(!is_remote_irr_set(self->t.vm), "Remote IRR is still set");
	TEST_ASSERT_EQ(run(&self->t, TAKE), NR_IRQS);
}

/* Returns whether the interrupt was delivered, rather than merged with another one. */
static int pulse_line_status(struct kvm_vm *vm, u32 gsi)
{
	struct kvm_irq_level line = { .irq = gsi, .level = 1 };
	int status;

	vm_ioctl(vm, KVM_IRQ_LINE_STATUS, &line);
	status = line.status;
	line = (struct kvm_irq_level) { .irq = gsi };
	vm_ioctl(vm, KVM_IRQ_LINE_STATUS, &line);

	return status;
}

/* Which is edge-triggered, i.e. its EOI is accelerated. */
TEST_F(eoi, rtc)
{
	struct kvm_irq_routing *routing = kvm_gsi_routing_create();
	int i;

	test_vm_init(&self->t, vm_create(2), variant->x2apic, variant->inhibited);
	set_redirection(self->t.vm, RTC_GSI, VECTOR);

	/* Not to the PIC, which has an opinion of its own on what is coalesced. */
	routing->nr = 1;
	routing->entries[0].gsi = RTC_GSI;
	routing->entries[0].type = KVM_IRQ_ROUTING_IRQCHIP;
	routing->entries[0].u.irqchip.irqchip = KVM_IRQCHIP_IOAPIC;
	routing->entries[0].u.irqchip.pin = RTC_GSI;
	kvm_gsi_routing_write(self->t.vm, routing);

	for (i = 1; i <= NR_IRQS; i++) {
		TEST_ASSERT(pulse_line_status(self->t.vm, RTC_GSI) == 1,
			    "RTC interrupt %d is said to be coalesced", i);
		TEST_ASSERT_EQ(run(&self->t, TAKE), i);
		TEST_ASSERT(!pulse_line_status(self->t.vm, RTC_GSI),
			    "RTC interrupt %d is said to be delivered before the EOI", i + 1);
		run(&self->t, DO_EOI);
	}
	TEST_ASSERT_EQ(run(&self->t, TAKE), NR_IRQS);
}

TEST_F(eoi, resampling_irqfd)
{
	int fd = eventfd(0, EFD_NONBLOCK), resample_fd = eventfd(0, EFD_NONBLOCK);
	struct kvm_irqfd irqfd = {
		.fd = fd,
		.resamplefd = resample_fd,
		.gsi = GSI,
		.flags = KVM_IRQFD_FLAG_RESAMPLE,
	};
	int i, tries;
	u64 nr = 1;

	test_vm_init(&self->t, vm_create(2), variant->x2apic, variant->inhibited);
	set_redirection(self->t.vm, GSI, VECTOR | LEVEL);
	vm_ioctl(self->t.vm, KVM_IRQFD, &irqfd);

	for (i = 1; i <= NR_IRQS; i++) {
		/* A worker of KVM asserts the line. */
		TEST_ASSERT_EQ(write(fd, &nr, sizeof(nr)), sizeof(nr));
		for (tries = 0; run(&self->t, TAKE) < i && tries < 1000; tries++)
			usleep(1000);
		TEST_ASSERT_EQ(self->t.shared->nr_irqs, i);
		TEST_ASSERT_EQ(read(resample_fd, &nr, sizeof(nr)), -1);
		run(&self->t, DO_EOI);
		TEST_ASSERT_EQ(read(resample_fd, &nr, sizeof(nr)), sizeof(nr));
		TEST_ASSERT_EQ(nr, 1);
		TEST_ASSERT_EQ(run(&self->t, TAKE), i);
	}
}

/* With a split irqchip, routes of MSIs stand for the pins of userspace's I/O APIC. */
static void set_msi_route(struct kvm_vm *vm, u32 dest, u32 data)
{
	struct kvm_irq_routing *routing = kvm_gsi_routing_create();

	routing->nr = 1;
	routing->entries[0].gsi = 0;
	routing->entries[0].type = KVM_IRQ_ROUTING_MSI;
	routing->entries[0].u.msi.address_lo = APIC_DEFAULT_GPA | dest << 12;
	routing->entries[0].u.msi.data = data;
	kvm_gsi_routing_write(vm, routing);
}

static void init_split(struct test_vm *t, bool x2apic, bool inhibited)
{
	test_vm_init(t, vm_create_with_split_irqchip(2), x2apic, inhibited);
}

static void test_split(struct test_vm *t, u32 data, bool reroute, bool expected)
{
	struct kvm_msi msi = { .address_lo = APIC_DEFAULT_GPA, .data = data };
	u64 nr_irqs = t->shared->nr_irqs;
	int i;

	for (i = 1; i <= NR_IRQS; i++) {
		set_msi_route(t->vm, 0, data);
		TEST_ASSERT_EQ(__vm_ioctl(t->vm, KVM_SIGNAL_MSI, &msi), 1);
		TEST_ASSERT_EQ(run(t, TAKE), nr_irqs + i);
		if (reroute)
			set_msi_route(t->vm, 1, data);

		t->shared->todo = DO_EOI;
		if (expected) {
			vcpu_run(t->vcpu);
			TEST_ASSERT_KVM_EXIT_REASON(t->vcpu, KVM_EXIT_IOAPIC_EOI);
			TEST_ASSERT_EQ(t->vcpu->run->eoi.vector, VECTOR);
		}
		vcpu_run_to_sync(t->vcpu);
	}
}

TEST_F(eoi, split_irqchip)
{
	init_split(&self->t, variant->x2apic, variant->inhibited);
	test_split(&self->t, VECTOR | LEVEL | ASSERT, false, true);
	test_split(&self->t, VECTOR, false, false);
}

/* To another vCPU, while the interrupt is in service. */
TEST_F(eoi, split_irqchip_rerouted)
{
	init_split(&self->t, variant->x2apic, variant->inhibited);
	test_split(&self->t, VECTOR | LEVEL | ASSERT, true, true);
}

/* The guest has to tell the I/O APIC by itself. */
TEST_F(eoi, broadcast_suppressed)
{
	struct kvm_vm *vm;

	if (!(kvm_check_cap(KVM_CAP_X2APIC_API) & KVM_X2APIC_ENABLE_SUPPRESS_EOI_BROADCAST))
		SKIP(return, "KVM doesn't suppress EOI broadcasts");

	vm = vm_create_with_split_irqchip(2);
	vm_enable_cap(vm, KVM_CAP_X2APIC_API, KVM_X2APIC_ENABLE_SUPPRESS_EOI_BROADCAST);
	test_vm_init(&self->t, vm, variant->x2apic, variant->inhibited);
	test_split(&self->t, VECTOR | LEVEL | ASSERT, false, true);
	run(&self->t, SUPPRESS_EOI_BROADCAST);
	test_split(&self->t, VECTOR | LEVEL | ASSERT, false, false);
}

int main(int argc, char *argv[])
{
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_IRQCHIP));

	return test_harness_run(argc, argv);
}
