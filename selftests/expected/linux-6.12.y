# SPDX-License-Identifier: GPL-2.0-only
#
# Cases that fail on Debian's 6.12.y, i.e. before the series:
#
#   machine  test  case		# reason
#
# All three are globs.  It is an error if a listed case passes before the
# series, or if a case that is not listed here, or among the known failures of
# upstream's tests, fails before or after it.

# KVM_CREATE_VCPU gives EINVAL for IDs that the CPU's AVIC can't address.
avic    avic_vcpu_ids_test  create.id_255.kernel_irqchip
avic    avic_vcpu_ids_test  create.id_255.split_irqchip
avic    avic_vcpu_ids_test  create.id_256.kernel_irqchip
avic    avic_vcpu_ids_test  create.id_256.split_irqchip
avic    avic_vcpu_ids_test  create.id_510.kernel_irqchip
avic    avic_vcpu_ids_test  create.id_510.split_irqchip
avic    avic_vcpu_ids_test  create.id_511.kernel_irqchip
avic    avic_vcpu_ids_test  create.id_511.split_irqchip
avic    avic_vcpu_ids_test  create.id_512.kernel_irqchip
avic    avic_vcpu_ids_test  create.id_512.split_irqchip
avic    avic_vcpu_ids_test  create.id_1023.kernel_irqchip
avic    avic_vcpu_ids_test  create.id_1023.split_irqchip
avic    avic_vcpu_ids_test  create.id_4094.kernel_irqchip
avic    avic_vcpu_ids_test  create.id_4094.split_irqchip
avic    avic_vcpu_ids_test  create.id_4095.kernel_irqchip
avic    avic_vcpu_ids_test  create.id_4095.split_irqchip
avic    avic_vcpu_ids_test  max_vcpu_id_is_honored
x2avic* avic_vcpu_ids_test  create.id_512.kernel_irqchip
x2avic* avic_vcpu_ids_test  create.id_512.split_irqchip
x2avic* avic_vcpu_ids_test  create.id_1023.kernel_irqchip
x2avic* avic_vcpu_ids_test  create.id_1023.split_irqchip
x2avic* avic_vcpu_ids_test  create.id_4094.kernel_irqchip
x2avic* avic_vcpu_ids_test  create.id_4094.split_irqchip
x2avic* avic_vcpu_ids_test  create.id_4095.kernel_irqchip
x2avic* avic_vcpu_ids_test  create.id_4095.split_irqchip
x2avic* avic_vcpu_ids_test  max_vcpu_id_is_honored

# Hence, no VM has a vCPU that could inhibit AVIC, or get an IPI.
avic    avic_vcpu_ids_test  ipi.*.with_big_id
avic    avic_vcpu_ids_test  ipi.*.none_lost_on_inhibit
avic    avic_vcpu_ids_test  avic.xapic.inhibited_*
avic    avic_vcpu_ids_test  avic.xapic.inhibit_reason_is_traced
avic    avic_vcpu_ids_test  avic.xapic.not_inhibited_in_other_vm
avic    avic_vcpu_ids_test  leak.none_after_1000_vms
x2avic* avic_vcpu_ids_test  ipi.*.with_big_id
x2avic* avic_vcpu_ids_test  ipi.*.none_lost_on_inhibit
x2avic* avic_vcpu_ids_test  avic.xapic.inhibited_*
x2avic* avic_vcpu_ids_test  avic.xapic.inhibit_reason_is_traced
x2avic* avic_vcpu_ids_test  avic.xapic.not_inhibited_in_other_vm
x2avic* avic_vcpu_ids_test  avic.x2apic.inhibited_*
x2avic* avic_vcpu_ids_test  avic.x2apic.inhibit_reason_is_traced
x2avic* avic_vcpu_ids_test  avic.x2apic.not_inhibited_in_other_vm
x2avic* avic_vcpu_ids_test  leak.none_after_1000_vms

# A failed KVM_CREATE_VCPU takes over the existing vCPU's physical ID table entry.
avic    avic_vcpu_ids_test  duplicate.ipi_still_arrives
x2avic* avic_vcpu_ids_test  duplicate.ipi_still_arrives

# KVM loses TPR[3:0] at VM-Exits, with and without AVIC.
*       apic_tpr_subclass_test  tpr.*.write_*
*       apic_tpr_subclass_test  tpr.*.set_lapic
*       apic_tpr_subclass_test  nested.*

# With x2AVIC active, reads of most of ISR, TMR and IRR, and of LVTT, and writes of
# SELF_IPI are intercepted; writes that KVM has to handle, and accesses that have
# to #GP, aren't.
x2avic* x2avic_msrs_test  msrs.active*.costs

# Hence, the CPU raises #GP for reserved bits that KVM ignores.
x2avic* x2avic_msrs_test  msrs.active*.results

# The vCPU that inhibits AVIC can't be created: ID 4095, and ID 256.
avic    x2avic_msrs_test  msrs.inhibited_by_id_too_big.*
avic    x2avic_msrs_test  msrs.inhibited_by_physical_id_aliased.*
x2avic  x2avic_msrs_test  msrs.inhibited_by_id_too_big.*

# Without an APIC access page AVIC accelerates nothing in xAPIC mode.
avic    avic_access_page_test   access_page.inhibited_until_*
avic    avic_access_page_test   access_page.inhibited_for_some_time
avic    avic_access_page_test   access_page.not_for_x2apic_mode
x2avic* avic_access_page_test   access_page.inhibited_until_*
x2avic* avic_access_page_test   access_page.inhibited_for_some_time
