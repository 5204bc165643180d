// SPDX-License-Identifier: GPL-2.0-only
/*
 * avic_extint_test
 *
 * Test that interrupts that bypass the local APIC, of KVM's 8259 via LVT0, and of
 * userspace's via KVM_INTERRUPT, arrive as soon as the guest lets them, exactly once,
 * alone and together with one of the local APIC.  AVIC can't deliver them, i.e. KVM
 * has to inhibit AVIC meanwhile, and no longer.
 */
#include "kvm_test_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "apicv.h"

#define EXTINT_VECTOR	0x20
#define APIC_VECTOR	0x41
#define NR_ROUNDS	10

#define PIC_CMD		0x20
#define PIC_DATA	0x21

enum todo { WRITE_TPR, TAKE, SEND_AND_TAKE };

static struct {
	bool x2apic;
	bool has_pic;
	enum todo todo;
	u64 nr_extints;
	u64 nr_apic_irqs;
} shared;

static void pic_write(u16 port, u8 val)
{
	asm volatile("outb %0, %1" : : "a"(val), "Nd"(port));
}

static void guest_init_pic(void)
{
	/* Edge-triggered, automatic EOI; only pin 0 isn't masked. */
	pic_write(PIC_CMD, 0x11);
	pic_write(PIC_DATA, EXTINT_VECTOR);
	pic_write(PIC_DATA, 0x04);
	pic_write(PIC_DATA, 0x03);
	pic_write(PIC_DATA, 0xfe);
}

static void guest_extint_handler(struct ex_regs *regs)
{
	shared.nr_extints++;
}

static void guest_apic_handler(struct ex_regs *regs)
{
	shared.nr_apic_irqs++;
	apic_eoi(shared.x2apic);
}

static void guest_code(void)
{
	int i;

	apic_enable(shared.x2apic);
	apic_write_reg(shared.x2apic, APIC_LVT0, APIC_DM_EXTINT);
	if (shared.has_pic)
		guest_init_pic();

	for (;;) {
		GUEST_SYNC(0);

		if (shared.todo == WRITE_TPR) {
			apic_write_tpr_repeatedly(shared.x2apic);
			continue;
		}

		/* Nothing may arrive for now, also if there's a VM-Exit. */
		this_cpu_fms();
		if (shared.todo == SEND_AND_TAKE)
			apic_send_self_ipi(shared.x2apic, APIC_VECTOR);
		for (i = 0; i < 1000; i++)
			cpu_relax();
		shared.nr_extints *= 1000;

		for (i = 0; i < 2; i++) {
			sti_nop();
			cli();
		}
	}
}

struct test_vm {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	typeof(shared) *shared;
	bool active;
};

FIXTURE(extint) {
	struct test_vm t;
};

FIXTURE_VARIANT(extint) {
	bool x2apic;
	bool inhibited;
};

FIXTURE_VARIANT_ADD(extint, xapic_active) { };
FIXTURE_VARIANT_ADD(extint, xapic_inhibited) { .inhibited = true };
FIXTURE_VARIANT_ADD(extint, x2apic_active) { .x2apic = true };
FIXTURE_VARIANT_ADD(extint, x2apic_inhibited) { .x2apic = true, .inhibited = true };

FIXTURE_SETUP(extint) { }

FIXTURE_TEARDOWN(extint)
{
	kvm_vm_free(self->t.vm);
}

static void raise_pic_line(struct kvm_vcpu *vcpu)
{
	kvm_irq_line(vcpu->vm, 0, 1);
	kvm_irq_line(vcpu->vm, 0, 0);
}

static void raise_by_ioctl(struct kvm_vcpu *vcpu)
{
	struct kvm_interrupt irq = { .irq = EXTINT_VECTOR };

	vcpu_ioctl(vcpu, KVM_INTERRUPT, &irq);
}

static void test_extints(struct test_vm *t, void (*raise)(struct kvm_vcpu *vcpu))
{
	typeof(shared) *s = t->shared;
	int i;

	for (i = 0; i < NR_ROUNDS; i++) {
		/* AVIC doesn't stay inhibited either. */
		s->todo = WRITE_TPR;
		vcpu_assert_apicv(t->vcpu, t->active);

		s->nr_extints = 0;
		s->nr_apic_irqs = 0;
		s->todo = i % 2 ? SEND_AND_TAKE : TAKE;
		raise(t->vcpu);
		vcpu_run_to_sync(t->vcpu);
		TEST_ASSERT(s->nr_extints == 1,
			    "Wanted one ExtINT after STI, got %lu before, %lu after",
			    (unsigned long)s->nr_extints / 1000,
			    (unsigned long)s->nr_extints % 1000);
		TEST_ASSERT_EQ(s->nr_apic_irqs, i % 2);
	}
}

/* @vm is a new one, for two vCPUs. */
static void test_vm_init(struct test_vm *t, struct kvm_vm *vm, bool x2apic, bool inhibited)
{
	struct kvm_vcpu *bystander;

	t->vm = vm;
	virt_pg_map(vm, APIC_DEFAULT_GPA, APIC_DEFAULT_GPA);
	vm_install_exception_handler(vm, EXTINT_VECTOR, guest_extint_handler);
	vm_install_exception_handler(vm, APIC_VECTOR, guest_apic_handler);
	t->vcpu = vm_vcpu_add(vm, 0, guest_code);
	bystander = vm_vcpu_add(vm, 1, guest_code);
	set_apicv_inhibit(bystander, inhibited);

	t->shared = addr_gva2hva(vm, (u64)&shared);
	t->shared->x2apic = x2apic;
	t->active = !inhibited && is_apicv_enabled_in(x2apic);
}

TEST_F(extint, pic)
{
	test_vm_init(&self->t, vm_create(2), variant->x2apic, variant->inhibited);
	self->t.shared->has_pic = true;
	vcpu_run_to_sync(self->t.vcpu);
	test_extints(&self->t, raise_pic_line);
}

TEST_F(extint, split_irqchip)
{
	struct kvm_vm *vm = vm_create_with_split_irqchip(2);

	test_vm_init(&self->t, vm, variant->x2apic, variant->inhibited);
	vcpu_run_to_sync(self->t.vcpu);
	test_extints(&self->t, raise_by_ioctl);
}

int main(int argc, char *argv[])
{
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_IRQCHIP));

	return test_harness_run(argc, argv);
}
