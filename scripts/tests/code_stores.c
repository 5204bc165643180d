// SPDX-License-Identifier: GPL-2.0-only
/*
 * Test of the emulated machine: what one CPU stores to code is what another
 * CPU, which executes that code all the time, runs after serializing.
 *
 * The kernel depends on it when it patches itself, e.g. for jump labels.  Prints
 * TAP, with the number of calls, and of those that ran old code.
 */
#include <cpuid.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define NR_STORES	20000

/* mov $0, %eax; ret: after three bytes, which align the immediate. */
static const uint8_t insns[] = { 0x90, 0x90, 0x90, 0xb8, 0, 0, 0, 0, 0xc3 };
static uint8_t *code;
/* The last value that was stored as the immediate. */
static atomic_uint published;
static atomic_int done;

static void *writer(void *arg)
{
	volatile uint32_t *imm = (uint32_t *)(code + 4);
	volatile int i;

	for (uint32_t val = 1; val <= NR_STORES; val++) {
		*imm = val;
		atomic_store(&published, val);
		for (i = 0; i < 4000; i++)
			;
	}
	atomic_store(&done, 1);
	return arg;
}

int main(void)
{
	unsigned int calls = 0, old = 0, val, before, eax, ebx, ecx, edx;
	uint32_t (*func)(void);
	pthread_t thread;

	code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (code == MAP_FAILED)
		return 1;
	memcpy(code, insns, sizeof(insns));
	func = (void *)code;
	if (pthread_create(&thread, NULL, writer, NULL))
		return 1;

	while (!atomic_load(&done)) {
		before = atomic_load(&published);
		__cpuid(0, eax, ebx, ecx, edx);
		val = func();
		calls++;
		old += val < before;
	}
	pthread_join(thread, NULL);
	__cpuid(0, eax, ebx, ecx, edx);
	val = func();
	calls++;
	old += val != NR_STORES;

	printf("TAP version 13\n1..1\n# %u calls, %u of old code\n", calls, old);
	printf("%s 1 stores_to_code_are_seen\n", old ? "not ok" : "ok");
	return old != 0;
}
