// SPDX-License-Identifier: GPL-2.0-only
/*
 * The selftest library of today needs KVM_SET_USER_MEMORY_REGION2, which KVM has
 * since 6.8.  To older ones, KVM_SET_USER_MEMORY_REGION says the same, as long as
 * there is no guest_memfd: its struct is the beginning of the other one.
 *
 * The linker has all calls of ioctl() come here (--wrap=ioctl).
 */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <linux/kvm.h>

_Static_assert(offsetof(struct kvm_userspace_memory_region2, userspace_addr) ==
	       offsetof(struct kvm_userspace_memory_region, userspace_addr), "differs");

int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	void *arg;
	int ret;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);

	ret = __real_ioctl(fd, request, arg);

	if (request == KVM_CHECK_EXTENSION && (unsigned long)arg == KVM_CAP_USER_MEMORY2 && !ret)
		return 1;

	if (request == KVM_SET_USER_MEMORY_REGION2 && ret == -1 && errno == ENOTTY &&
	    !(((struct kvm_userspace_memory_region2 *)arg)->flags & KVM_MEM_GUEST_MEMFD))
		return __real_ioctl(fd, KVM_SET_USER_MEMORY_REGION, arg);

	return ret;
}
