// SPDX-License-Identifier: GPL-2.0-only
/*
 * Print what the CPU says about AVIC, one "name: value" a line.
 *
 * /proc/cpuinfo doesn't have all of it, and not what the kernel has disabled.
 */
#include <cpuid.h>
#include <stdio.h>

#define CPUID_SVM	0x8000000a
#define EDX_AVIC	(1u << 13)
#define EDX_X2AVIC	(1u << 18)
#define ECX_X2AVIC_EXT	(1u << 6)

int main(void)
{
	unsigned int eax, ebx, ecx, edx;

	if (!__get_cpuid(CPUID_SVM, &eax, &ebx, &ecx, &edx)) {
		printf("avic: no SVM\n");
		return 0;
	}

	printf("cpuid_8000000a: eax 0x%x, ebx 0x%x, ecx 0x%x, edx 0x%x\n", eax, ebx, ecx, edx);
	if (!(edx & EDX_AVIC))
		printf("avic: no\n");
	else if (!(edx & EDX_X2AVIC))
		printf("avic: AVIC, IDs up to 254\n");
	else
		printf("avic: x2AVIC, IDs up to %u\n", ecx & ECX_X2AVIC_EXT ? 4095 : 511);
	return 0;
}
