// SPDX-License-Identifier: GPL-2.0-only
/*
 * Access the APIC's page of a vCPU in xAPIC mode with other than aligned 32 bits, and
 * where it has no register, and see what comes of it.  This is a test of the emulated
 * machine: what hardware does isn't defined.  KVM's emulation of the APIC, i.e. any KVM
 * without AVIC, drops such accesses.
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define APIC		0xfee00000u
#define CODE		0x1000u
#define DATA		0x2000u
#define ID_MAP		0xfffbc000u
#define TSS		0xfffbd000u

static int vm, vcpu;
static uint8_t *mem;
static struct kvm_run *run;
static struct kvm_lapic_state lapic;

static int try(int ret, const char *what)
{
	if (ret < 0) {
		perror(what);
		exit(1);
	}
	return ret;
}

static uint32_t *reg(unsigned int offset)
{
	return (uint32_t *)(lapic.regs + offset);
}

/* Instructions with an operand [disp32], by the size of what they access. */
static unsigned int emit(uint8_t *p, int size, bool write, uint32_t addr)
{
	static const uint8_t ops[2][9][3] = {
		{ [1] = { 1, 0x8a }, [2] = { 2, 0x66, 0x8b }, [4] = { 1, 0x8b }, [8] = { 2, 0x0f, 0x6f } },
		{ [1] = { 1, 0x88 }, [2] = { 2, 0x66, 0x89 }, [4] = { 1, 0x89 }, [8] = { 2, 0x0f, 0x7f } },
	};
	const uint8_t *op = ops[write][size];

	memcpy(p, op + 1, op[0]);
	p[op[0]] = 0x05;	/* AL, AX, EAX or MM0 */
	memcpy(p + op[0] + 1, &addr, 4);
	return op[0] + 5;
}

/* Let the guest copy SIZE bytes; false if it doesn't come to an end. */
static bool copy(uint32_t from, uint32_t to, int size)
{
	struct kvm_regs regs = { .rip = CODE, .rflags = 2 };
	unsigned int n = 0;

	n += emit(mem + CODE + n, size, false, from);
	n += emit(mem + CODE + n, size, true, to);
	memcpy(mem + CODE + n, (uint8_t[]){ 0xe6, 0x10 }, 2);	/* out %al, $0x10 */
	try(ioctl(vcpu, KVM_SET_REGS, &regs), "KVM_SET_REGS");

	/* A guest that never gets on is left by the signal of its timer. */
	alarm(2);
	if (ioctl(vcpu, KVM_RUN, 0) < 0)
		return false;
	alarm(0);
	return run->exit_reason == KVM_EXIT_IO;
}

static bool apic_write(unsigned int offset, uint64_t val, int size)
{
	bool done;

	memcpy(mem + DATA, &val, sizeof(val));
	done = copy(DATA, APIC + offset, size);
	try(ioctl(vcpu, KVM_GET_LAPIC, &lapic), "KVM_GET_LAPIC");
	return done;
}

static bool apic_read(unsigned int offset, uint64_t *val, int size)
{
	bool done;

	memset(mem + DATA, 0, 8);
	done = copy(APIC + offset, DATA, size);
	*val = 0;
	memcpy(val, mem + DATA, size);
	return done;
}

static void set_lapic(void)
{
	try(ioctl(vcpu, KVM_SET_LAPIC, &lapic), "KVM_SET_LAPIC");
}

static void result(bool ok, const char *name)
{
	static int nr;

	printf("%sok %d %s\n", ok ? "" : "not ", ++nr, name);
	fflush(stdout);
}

static void on_alarm(int sig)
{
	(void)sig;
}

/* Is what was sent to the vCPU itself pending?  Forget it. */
static bool pending(int vector)
{
	uint32_t *irr = reg(0x200 + vector / 32 * 16);
	bool set = *irr & 1u << vector % 32;

	*irr = 0;
	set_lapic();
	return set;
}

int main(void)
{
	int kvm = try(open("/dev/kvm", O_RDWR), "/dev/kvm"), i;
	struct kvm_userspace_memory_region region = { .memory_size = 0x10000 };
	static const int sizes[] = { 1, 2, 8 };
	struct sigaction sa = { .sa_handler = on_alarm };
	uint64_t tss = TSS, map = ID_MAP, val;
	struct kvm_sregs sregs;
	char name[64], avic = 'N';
	bool active, done;
	FILE *f;

	f = fopen("/sys/module/kvm_amd/parameters/avic", "r");
	active = f && fread(&avic, 1, 1, f) == 1 && avic == 'Y';

	sigaction(SIGALRM, &sa, NULL);
	vm = try(ioctl(kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
	ioctl(vm, KVM_SET_TSS_ADDR, tss);
	ioctl(vm, KVM_SET_IDENTITY_MAP_ADDR, &map);
	try(ioctl(vm, KVM_CREATE_IRQCHIP), "KVM_CREATE_IRQCHIP");
	mem = mmap(NULL, region.memory_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	region.userspace_addr = (uintptr_t)mem;
	try(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region), "KVM_SET_USER_MEMORY_REGION");
	vcpu = try(ioctl(vm, KVM_CREATE_VCPU, 0), "KVM_CREATE_VCPU");
	run = mmap(NULL, try(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), "KVM_GET_VCPU_MMAP_SIZE"),
		   PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);

	/* Protected mode, flat, without paging. */
	try(ioctl(vcpu, KVM_GET_SREGS, &sregs), "KVM_GET_SREGS");
	sregs.cs = (struct kvm_segment){ .limit = ~0u, .selector = 8, .type = 11, .present = 1,
					 .db = 1, .s = 1, .g = 1 };
	sregs.ds = sregs.es = sregs.ss = (struct kvm_segment){
		.limit = ~0u, .selector = 16, .type = 3, .present = 1, .db = 1, .s = 1, .g = 1 };
	sregs.cr0 = 0x11;
	try(ioctl(vcpu, KVM_SET_SREGS, &sregs), "KVM_SET_SREGS");

	printf("TAP version 13\n1..%zu\n", 4 * sizeof(sizes) / sizeof(*sizes) + 6);
	apic_write(0xf0, 0x1ff, 4);

	for (i = 0; i < 3; i++) {
		/* TPR */
		apic_write(0x80, 0x30, 4);
		done = apic_write(0x80, 0x50, sizes[i]);
		sprintf(name, "tpr.write_%d_bits", sizes[i] * 8);
		result(done && *reg(0x80) == (active ? 0x50 : 0x30), name);

		/* ICR, to self; the part that is not written stays */
		apic_write(0x80, 0xff, 4);
		apic_write(0x300, 0x44041, 4);
		pending(0x41);
		done = apic_write(0x300, 0x44042, sizes[i]);
		sprintf(name, "icr.write_%d_bits", sizes[i] * 8);
		result(done && pending(0x42) == active, name);

		/* LDR, whose writes trap: the host is told of the whole register */
		apic_write(0xd0, 0x02000000, 4);
		done = apic_write(0xd0 + (sizes[i] == 8 ? 0 : 4 - sizes[i]),
				  sizes[i] == 1 ? 0x04 : sizes[i] == 2 ? 0x0400 : 0x04000000, sizes[i]);
		sprintf(name, "ldr.write_%d_bits", sizes[i] * 8);
		result(done && *reg(0xd0) == (active ? 0x04000000 : 0x02000000), name);

		sprintf(name, "ldr.read_%d_bits", sizes[i] * 8);
		result(apic_read(0xd0, &val, sizes[i]), name);
	}

	/* Behind a register: the register isn't written, but its side effect happens. */
	apic_write(0x300, 0x44041, 4);
	pending(0x41);
	done = apic_write(0x304, 0, 4);
	result(done && pending(0x41) == active && *reg(0x300) == 0x44041, "icr.write_behind");

	*reg(0x110) = 1u << 0x1f;	/* in service: 0x3f */
	set_lapic();
	done = apic_write(0xb8, 0, 4);
	result(done && !*reg(0x110) == active, "eoi.write_behind");

	done = apic_write(0xdc, 0x12345678, 4);
	result(done && *reg(0xdc) == (active ? 0x12345678 : 0), "ldr.write_behind");
	result(apic_read(0xd4, &val, 4), "ldr.read_behind");

	/* Where no register is: memory, and faults from 0x540 on. */
	done = apic_write(0x40, 0x1234, 4);
	result(done && *reg(0x40) == (active ? 0x1234 : 0), "undefined.write_low");
	done = apic_write(0x540, 0x1234, 4) && apic_read(0x540, &val, 4);
	result(done && val != 0x1234, "undefined.write_high");
	return 0;
}
