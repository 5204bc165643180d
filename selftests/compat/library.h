/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tests use of the KVM selftest library, for trees whose library is
 * older.  selftests/Makefile looks for what is missing, and puts this header in
 * front of our sources if something is, with a LIBRARY_HAS_... for everything that
 * isn't; the sources themselves are the same for every tree.
 */
#ifndef SELFTEST_KVM_COMPAT_LIBRARY_H
#define SELFTEST_KVM_COMPAT_LIBRARY_H

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kvm_util.h"
#include "processor.h"
#include "apic.h"
#include "svm_util.h"

#ifndef LIBRARY_HAS_gva_t
typedef vm_vaddr_t gva_t;
#endif

/* Registers of the local APIC, and their bits, that apic.h lacks. */
#ifndef LIBRARY_HAS_APIC_LVTERR
#define APIC_ARBPRI	0x90
#define APIC_RRR	0xC0
#define APIC_LDR	0xD0
#define APIC_DFR	0xE0
#define		APIC_DFR_CLUSTER	0x0FFFFFFFu
#define		APIC_DFR_FLAT		0xFFFFFFFFu
#define	APIC_TMR	0x180
#define	APIC_ESR	0x280
#define	APIC_LVTTHMR	0x330
#define	APIC_LVTPC	0x340
#define	APIC_LVT0	0x350
#define	APIC_LVT1	0x360
#define	APIC_LVTERR	0x370
#endif

/* Of the kernel itself, rather than of the library. */
#ifndef KVM_X2APIC_ENABLE_SUPPRESS_EOI_BROADCAST
#define KVM_X2APIC_ENABLE_SUPPRESS_EOI_BROADCAST	BIT(2)
#endif

#ifndef APIC_ISR
#define APIC_ISR	0x100
#endif

#ifndef APIC_SELF_IPI
#define APIC_SELF_IPI	0x3F0
#endif

#ifndef APIC_VECTOR_TO_BIT_NUMBER
#define APIC_VECTOR_TO_BIT_NUMBER(v) ((unsigned int)(v) % 32)
#define APIC_VECTOR_TO_REG_OFFSET(v) ((unsigned int)(v) / 32 * 0x10)
#endif

#ifndef X86_EFLAGS_IF
#define X86_EFLAGS_IF	BIT(9)
#endif

#ifndef LIBRARY_HAS_pin_task_to_cpu
static inline void pin_task_to_cpu(pthread_t task, int cpu)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	TEST_ASSERT(!pthread_setaffinity_np(task, sizeof(cpus), &cpus),
		    "pthread_setaffinity_np() to CPU %d failed", cpu);
}
#endif

#ifndef LIBRARY_HAS_cli
static inline void cli(void)
{
	asm volatile("cli" : : : "memory");
}
#endif

#ifndef LIBRARY_HAS_sti
static inline void sti(void)
{
	asm volatile("sti" : : : "memory");
}
#endif

#ifndef LIBRARY_HAS_sti_nop
static inline void sti_nop(void)
{
	asm volatile("sti; nop" : : : "memory");
}
#endif

#ifndef LIBRARY_HAS_safe_halt
/* Nothing can arrive between the two: STI holds interrupts off for one more. */
static inline void safe_halt(void)
{
	asm volatile("sti; hlt" : : : "memory");
}
#endif

#ifndef LIBRARY_HAS_get_cr8
static inline uint64_t get_cr8(void)
{
	uint64_t cr8;

	asm volatile("mov %%cr8, %0" : "=r"(cr8));
	return cr8;
}
#endif

#ifndef LIBRARY_HAS_set_cr8
static inline void set_cr8(uint64_t cr8)
{
	asm volatile("mov %0, %%cr8" : : "r"(cr8) : "memory");
}
#endif

#ifndef LIBRARY_HAS_generic_svm_setup
/* The library allocates no stack for L2 yet. */
static inline void compat_svm_setup(struct svm_test_data *svm, void *guest_rip)
{
	static char stack[4096] __attribute__((aligned(16)));

	generic_svm_setup(svm, guest_rip, stack + sizeof(stack));
}

#define generic_svm_setup(svm, guest_rip) compat_svm_setup(svm, guest_rip)
#endif

#ifndef LIBRARY_HAS_kvm_get_module_param_bool
static inline bool kvm_get_module_param_bool(const char *module,
					     const char *param)
{
	if (!strcmp(module, "kvm_amd"))
		return get_kvm_amd_param_bool(param);
	if (!strcmp(module, "kvm_intel"))
		return get_kvm_intel_param_bool(param);
	return get_kvm_param_bool(param);
}
#endif

#if !defined(LIBRARY_HAS_vcpu_get_stat) || !defined(LIBRARY_HAS_vcpu_has_stat)
/*
 * KVM opens a vCPU's stats only while the vCPU isn't in KVM_RUN, whereas they can be
 * read at any time: open them when the vCPU is added.
 */
struct compat_stats {
	struct kvm_vcpu *vcpu;
	int fd;
};
/* The same one for all of a test's objects; the oldest entry makes way. */
__attribute__((weak)) struct compat_stats compat_stats[64];
__attribute__((weak)) unsigned int compat_nr_stats;

static inline int compat_stats_fd(struct kvm_vcpu *vcpu, bool is_new)
{
	struct compat_stats *stats;
	int i;

	for (i = 0; i < ARRAY_SIZE(compat_stats); i++) {
		stats = &compat_stats[i];
		if (stats->vcpu != vcpu)
			continue;
		if (!is_new)
			return stats->fd;
		break;
	}

	if (i == ARRAY_SIZE(compat_stats))
		stats = &compat_stats[compat_nr_stats++ % ARRAY_SIZE(compat_stats)];
	if (stats->vcpu)
		close(stats->fd);
	stats->vcpu = vcpu;
	stats->fd = vcpu_get_stats_fd(vcpu);
	return stats->fd;
}

static inline struct kvm_vcpu *compat_vcpu_add(struct kvm_vm *vm, uint32_t id, void *guest_code)
{
	struct kvm_vcpu *vcpu = vm_vcpu_add(vm, id, guest_code);

	compat_stats_fd(vcpu, true);
	return vcpu;
}

#define vm_vcpu_add(vm, id, guest_code) compat_vcpu_add(vm, id, guest_code)

/* Look a vCPU's binary stat up by name, and read it. */
static inline bool compat_vcpu_stat(struct kvm_vcpu *vcpu, const char *name, uint64_t *data)
{
	struct kvm_stats_header header;
	struct kvm_stats_desc *descs;
	bool found = false;
	int fd, i;

	fd = compat_stats_fd(vcpu, false);
	read_stats_header(fd, &header);
	descs = read_stats_descriptors(fd, &header);

	for (i = 0; i < header.num_desc && !found; i++) {
		struct kvm_stats_desc *desc;

		desc = get_stats_descriptor(descs, i, &header);
		if (strcmp(desc->name, name))
			continue;

		read_stat_data(fd, &header, desc, data, 1);
		found = true;
	}

	free(descs);
	return found;
}
#endif

#ifndef LIBRARY_HAS_vcpu_get_stat
#define vcpu_get_stat(vcpu, stat)						\
({										\
	uint64_t compat_data;							\
										\
	TEST_ASSERT(compat_vcpu_stat(vcpu, #stat, &compat_data),		\
		    "KVM has no vCPU stat '%s'", #stat);			\
	compat_data;								\
})
#endif

#ifndef LIBRARY_HAS_vcpu_has_stat
#define vcpu_has_stat(vcpu, stat)						\
({										\
	uint64_t compat_data;							\
										\
	compat_vcpu_stat(vcpu, #stat, &compat_data);				\
})
#endif

#endif /* SELFTEST_KVM_COMPAT_LIBRARY_H */
