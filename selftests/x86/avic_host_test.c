// SPDX-License-Identifier: GPL-2.0-only
/*
 * avic_host_test
 *
 * Test what only the host sees: the reason for which AVIC is inhibited by a vCPU ID
 * that is too big, and that no memory is lost with such a vCPU.  It needs tracefs, and
 * a machine that does little else: it isn't part of the series.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "kvm_test_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "apicv.h"

#define TRACEFS		"/sys/kernel/tracing"
#define TRACE_INSTANCE	TRACEFS "/instances/avic_host_test"
#define TRACE_EVENT	TRACE_INSTANCE "/events/kvm/kvm_apicv_inhibit_changed/enable"

TEST(inhibit_reason_is_traced)
{
	const u32 id = avic_max_id(true) + 1;
	bool found = false;
	char line[1024];
	struct kvm_vm *vm;
	FILE *f;
	int fd;

	if (!is_avic_enabled() || id >= kvm_check_cap(KVM_CAP_MAX_VCPU_ID))
		SKIP(return, "no vCPU ID inhibits AVIC");

	TEST_ASSERT(!mkdir(TRACE_INSTANCE, 0700) || errno == EEXIST,
		    "Can't create a tracefs instance: %s", strerror(errno));
	f = fopen(TRACE_EVENT, "w");
	TEST_ASSERT(f, "Can't trace kvm_apicv_inhibit_changed: %s", strerror(errno));
	fputs("1", f);
	fclose(f);

	vm = vm_create(1);
	fd = __vm_ioctl(vm, KVM_CREATE_VCPU, (void *)(u64)id);

	f = fopen(TRACE_INSTANCE "/trace", "r");
	TEST_ASSERT(f, "Can't read the trace, errno %d", errno);
	/* In 6.1, reasons have no names; with the series, this one is number 10. */
	while (fgets(line, sizeof(line), f))
		found |= strstr(line, "set reason") &&
			 (strstr(line, "PHYSICAL_ID_TOO_BIG") ||
			  strstr(line, "reason=10, inhibits=0x400\n"));
	fclose(f);
	rmdir(TRACE_INSTANCE);

	TEST_ASSERT(fd >= 0, "KVM_CREATE_VCPU of ID %u failed", id);
	TEST_ASSERT(found, "AVIC wasn't inhibited with PHYSICAL_ID_TOO_BIG");
	close(fd);
	kvm_vm_free(vm);
}

/*
 * Destroy enough VMs to tell leaks from noise.  Use threads, destroying a VM is mostly
 * waiting for RCU.
 */
#define NR_VMS		1000
#define NR_THREADS	20
#define NR_TRIES	5

static long mem_available_pages(void)
{
	char line[128];
	long kib = -1;
	FILE *f;

	f = fopen("/proc/meminfo", "r");
	TEST_ASSERT(f, "Can't open /proc/meminfo");
	while (fgets(line, sizeof(line), f) && sscanf(line, "MemAvailable: %ld", &kib) != 1)
		;
	fclose(f);
	TEST_ASSERT(kib > 0, "No MemAvailable in /proc/meminfo");

	return kib * 1024 / getpagesize();
}

/* Use bare ioctl()s, guest memory isn't needed and would be slow. */
static void *create_and_destroy_vms(void *nr_vms)
{
	static const unsigned long ids[] = { 0, X2AVIC_EXT_MAX_ID };
	const struct kvm_enable_cap split_irqchip = {
		.cap = KVM_CAP_SPLIT_IRQCHIP,
		.args[0] = 24,
	};
	int kvm = open_kvm_dev_path_or_exit();
	int vm, vcpu, i;
	long n;

	for (n = 0; n < (long)nr_vms; n++) {
		vm = ioctl(kvm, KVM_CREATE_VM, NULL);
		TEST_ASSERT(vm >= 0, "KVM_CREATE_VM failed, errno %d", errno);
		TEST_ASSERT(!ioctl(vm, KVM_ENABLE_CAP, &split_irqchip),
			    "KVM_CAP_SPLIT_IRQCHIP failed, errno %d", errno);

		for (i = 0; i < ARRAY_SIZE(ids); i++) {
			vcpu = ioctl(vm, KVM_CREATE_VCPU, ids[i]);
			TEST_ASSERT(vcpu >= 0, "vCPU ID %lu: KVM_CREATE_VCPU failed, errno %d",
				    ids[i], errno);
			close(vcpu);
		}
		close(vm);
	}

	close(kvm);
	return NULL;
}

static long nr_pages_lost(long nr_vms)
{
	long before = mem_available_pages();
	pthread_t threads[NR_THREADS];
	int i;

	for (i = 0; i < NR_THREADS; i++)
		TEST_ASSERT(!pthread_create(&threads[i], NULL, create_and_destroy_vms,
					    (void *)(nr_vms / NR_THREADS)),
			    "pthread_create() failed");
	for (i = 0; i < NR_THREADS; i++)
		pthread_join(threads[i], NULL);

	return before - mem_available_pages();
}

FIXTURE(leak) {
};

FIXTURE_SETUP(leak)
{
}

FIXTURE_TEARDOWN(leak)
{
}

/*
 * A leak is a leak every time, whereas other users of memory come and go.  A leak
 * of a page or two per VM may still go unnoticed, as MemAvailable may change by
 * as much for other reasons.
 */
TEST_F_TIMEOUT(leak, none_after_1000_vms, 600)
{
	long lost = NR_VMS;
	struct kvm_vm *vm;
	int i;

	/* Keep KVM from turning SVM and static keys on and off for every VM. */
	vm = vm_create(1);

	/* Populate the caches of the kernel's allocators. */
	nr_pages_lost(NR_VMS / 4);

	for (i = 0; i < NR_TRIES && lost >= NR_VMS; i++)
		lost = nr_pages_lost(NR_VMS);

	TEST_ASSERT(lost < NR_VMS, "%ld pages less after %u VMs, %u times in a row",
		    lost, NR_VMS, NR_TRIES);

	kvm_vm_free(vm);
}

int main(int argc, char *argv[])
{
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_IRQCHIP));

	return test_harness_run(argc, argv);
}
