# SPDX-License-Identifier: GPL-2.0-only
#
# Cases that fail on Debian's 6.12.y, i.e. before the series:
#
#   machine  test  case		# reason
#
# All three are globs.  It is an error if a listed case passes before the
# series, or if a case that is not listed here, or among the known failures of
# upstream's tests, fails before or after it.  "case~text" is a race: the case may
# pass, too, but must not fail for a reason other than the glob "text".

# KVM_CREATE_VCPU gives EINVAL for IDs that the CPU's AVIC can't address.
avic    avic_vcpu_ids_test  create.id_255.kernel_irqchip
avic    avic_vcpu_ids_test  create.id_255.split_irqchip
avic    avic_vcpu_ids_test  create.id_256.kernel_irqchip
avic    avic_vcpu_ids_test  create.id_256.split_irqchip
avic    avic_vcpu_ids_test  create.id_511.kernel_irqchip
avic    avic_vcpu_ids_test  create.id_511.split_irqchip
avic    avic_vcpu_ids_test  create.id_512.kernel_irqchip
avic    avic_vcpu_ids_test  create.id_512.split_irqchip
avic    avic_vcpu_ids_test  create.id_4095.kernel_irqchip
avic    avic_vcpu_ids_test  create.id_4095.split_irqchip
avic    avic_vcpu_ids_test  max_vcpu_id_is_honored
x2avic* avic_vcpu_ids_test  create.id_512.kernel_irqchip
x2avic* avic_vcpu_ids_test  create.id_512.split_irqchip
x2avic* avic_vcpu_ids_test  create.id_4095.kernel_irqchip
x2avic* avic_vcpu_ids_test  create.id_4095.split_irqchip
x2avic* avic_vcpu_ids_test  max_vcpu_id_is_honored

# Hence, no VM has a vCPU that could inhibit AVIC.
avic    avic_addressable_ids_test  inhibited.xapic.*
x2avic  avic_addressable_ids_test  inhibited.*
avic    avic_host_test      *
x2avic  avic_host_test      *
x2avic-4k avic_host_test    leak.none_after_1000_vms

# A failed KVM_CREATE_VCPU takes over the existing vCPU's physical ID table entry.
avic    avic_vcpu_ids_test  duplicate.xapic.ipi_still_arrives
x2avic* avic_vcpu_ids_test  duplicate.*.ipi_still_arrives

# KVM loses TPR[3:0] at VM-Exits, with and without AVIC.
*       apic_tpr_subclass_test  tpr.*.write_*
*       apic_tpr_subclass_test  tpr.*.set_lapic
*       nested_tpr_subclass_test  nested.*

# With x2AVIC active, reads of most of ISR, TMR and IRR, and of LVTT, and writes of
# SELF_IPI are intercepted; writes that KVM has to handle, and accesses that have
# to #GP, aren't.
x2avic* x2avic_msrs_test  active*

# The first vCPU that gets its ExtINT lifts the inhibit that the other one needs.
avic    avic_irq_window_test    irq_window.*
x2avic* avic_irq_window_test    irq_window.*
# The same between KVM's inhibit for the one and the WARN that checks it.
avic    dmesg  clean~*svm_enable_irq_window*
x2avic* dmesg  clean~*svm_enable_irq_window*

# Without an APIC access page AVIC accelerates nothing in xAPIC mode.
avic    avic_access_page_test   access_page.inhibited_until_*
avic    avic_access_page_test   access_page.inhibited_for_some_time
avic    avic_access_page_test   access_page.not_for_x2apic_mode
x2avic* avic_access_page_test   access_page.inhibited_until_*
x2avic* avic_access_page_test   access_page.inhibited_for_some_time

# Below: what mainline lacks as well, see linux-mainline.
*       apic_init_test          init.x2apic_*
*       apicv_equivalence_test  *.illegal_vectors
*       apicv_equivalence_test  x2apic.icr_rsvd
*       apicv_equivalence_test  x2apic.self_ipi_rsvd

avic    apicv_equivalence_test  xapic.esr
avic    apicv_equivalence_test  xapic.rrr
avic    apicv_equivalence_test  xapic.undefined
x2avic* apicv_equivalence_test  xapic.esr
x2avic* apicv_equivalence_test  xapic.rrr
x2avic* apicv_equivalence_test  xapic.undefined
x2avic* apicv_equivalence_test  x2apic.eoi
x2avic* apicv_equivalence_test  x2apic.tpr
# The CPU raises #GP for bits that KVM ignores.
x2avic* apicv_equivalence_test  x2apic.lvt0
x2avic* apicv_equivalence_test  x2apic.lvt1
x2avic* apicv_equivalence_test  x2apic.lvterr
x2avic* apicv_equivalence_test  x2apic.lvtpc
x2avic* apicv_equivalence_test  x2apic.lvtthmr
x2avic* apicv_equivalence_test  x2apic.spiv
x2avic* apicv_equivalence_test  x2apic.tdcr

avic    apic_access_memslot_test memslot.*
x2avic* apic_access_memslot_test memslot.*

avic    avic_xapic_mode_test    modes.*.failed_creation
avic    avic_xapic_mode_test    modes.id_255.*
avic    avic_xapic_mode_test    modes.id_300.*
avic    avic_xapic_mode_test    modes.id_511.*
x2avic* avic_xapic_mode_test    modes.*.failed_creation
x2avic* avic_xapic_mode_test    modes.id_255.*
x2avic* avic_xapic_mode_test    modes.id_300.*
x2avic* avic_xapic_mode_test    modes.id_511.*

# With AVIC, these vCPUs can't be created.
avic    avic_broadcast_test     broadcast.mixed_*
avic    avic_broadcast_test     broadcast.x2apic_id_*
avic    avic_broadcast_test     broadcast.xapic_id_256.*
avic    avic_broadcast_test     broadcast.xapic_id_300.*
avic    avic_broadcast_test     broadcast.xapic_id_511.*
avic    avic_broadcast_test     broadcast.xapic_id_4095.*
avic    avic_broadcast_test     broadcast.xapic_cluster.halted
avic    avic_broadcast_test     broadcast.xapic_flat_without_ldr.halted
x2avic* avic_broadcast_test     broadcast.xapic_id_300.*
x2avic* avic_broadcast_test     broadcast.xapic_id_511.*
x2avic* avic_broadcast_test     broadcast.xapic_id_4095.*
x2avic* avic_broadcast_test     broadcast.x2apic_id_4095.*
x2avic* avic_broadcast_test     broadcast.x2apic_id_300.halted
x2avic* avic_broadcast_test     broadcast.x2apic_cluster_0.halted
x2avic* avic_broadcast_test     broadcast.xapic_cluster.halted
x2avic* avic_broadcast_test     broadcast.xapic_flat_without_ldr.halted

# KVM ignores reserved bits of TPR and EOI in x2APIC mode, unless x2AVIC is active.
*       x2avic_msrs_test  inhibited_*
avic    x2avic_msrs_test  without_x2avic
noavic  x2avic_msrs_test  without_x2avic

# Halted vCPUs aren't woken by broadcasts in logical mode.
avic    avic_ipi_test   ipi.xapic_cluster_halted.active
x2avic* avic_ipi_test   ipi.xapic_cluster_halted.active
x2avic* avic_ipi_test   ipi.x2apic_halted.active
x2avic* avic_ipi_test   ipi.x2apic_511_halted.active
avic    avic_ipi_test   ipi.x2apic_511_*
avic    avic_ipi_test   ipi.x2apic_4095_*
x2avic* avic_ipi_test   ipi.x2apic_4095_*

# AVIC's table keeps logical IDs that a vCPU doesn't have any more.
avic    avic_logical_id_test    logical_id.by_guest.*
avic    avic_logical_id_test    logical_id.*_sender_first.*
x2avic* avic_logical_id_test    logical_id.by_guest.*
x2avic* avic_logical_id_test    logical_id.by_userspace.*
x2avic* avic_logical_id_test    logical_id.*_sender_first.*

# IPIs to a vCPU whose APIC is disabled wait until it's enabled.
avic    avic_disabled_apic_test disabled.xapic*.gets_no_ipis
x2avic* avic_disabled_apic_test disabled.*.gets_no_ipis

# A pending interrupt isn't noticed when the APIC is enabled, unless AVIC is active then.
avic    avic_disabled_apic_test disabled.xapic.keeps_pending_irqs
avic    avic_disabled_apic_test disabled.x2apic.keeps_pending_irqs
x2avic* avic_disabled_apic_test disabled.xapic.keeps_pending_irqs
x2avic* avic_disabled_apic_test disabled.x2apic.keeps_pending_irqs
