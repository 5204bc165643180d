# SPDX-License-Identifier: GPL-2.0-only
#
# The two main jobs, run and check, set up what they need themselves.

export BASE TOPIC FILES MACHINE PHASE HOURS SEED DEBUG DRYRUN MATRIX V VERSION TEST CASE BAD TESTS TESTS_DIR MUTANTS KDIR QEMU QEMU_SRC BOOTS CONFIGS DEBIAN_MIRROR DEBIAN_SECURITY_MIRROR

.PHONY: help run shell gdb list check mutants coverage soak kvm-unit-tests bisect steps builds coccicheck modules load unload mbox send edit refresh rebase clean distclean
.NOTPARALLEL:

help:
	@echo 'Targets:'
	@echo '  run        the tests on emulated AVIC machines, before and after the series'
	@echo '  shell      such a machine with a shell on the terminal, KVM loaded, the tests in it'
	@echo '  gdb        shell, stopped, with symbols for gdb, and how to attach it'
	@echo '  list       what BASE=, MACHINE=, TEST= and CASE= may be'
	@echo '  check      all checks of this project (what .ci/run runs)'
	@echo '  mutants    plant bugs in KVM, one at a time, and see the tests find them'
	@echo '  coverage   the lines and branches of KVM'"'"'s AVIC code that no test executes'
	@echo '  soak       random programs, whose APICs must be the same with and without AVIC'
	@echo '  kvm-unit-tests  those of KUT=<checkout> that concern APICs and SVM, likewise'
	@echo '  bisect     name the patch of the series that breaks TEST=, or fixes it'
	@echo '  steps      the tests after each patch of the series: can it be bisected?'
	@echo '  builds     each patch of the series in more configurations, e.g. allmodconfig'
	@echo '  coccicheck  what Coccinelle says of KVM with the series, but not without it'
	@echo '  modules    KVM with the series for Debian'"'"'s kernel KVER= (default: the running one)'
	@echo '  load       modules, and swap them in for the running KVM; unload swaps them back'
	@echo '  edit       a git work tree with one commit a patch; refresh writes it back'
	@echo '  rebase     carry the series over to the tree KDIR= (QEMU: QEMU_SRC=)'
	@echo '  mbox       the series as mails; wants TRAILER="Signed-off-by: Name <address>"'
	@echo '  send       git send-email them; a dry run, unless SEND=1'
	@echo '  clean      remove build/'
	@echo '  distclean  remove build/ and the cache ($${XDG_CACHE_HOME:-~/.cache}/avic-kvm)'
	@echo
	@echo 'Variables of run, shell, gdb and kvm-unit-tests:'
	@echo '  BASE=      linux-6.12.y (default), linux-6.1.y or linux-mainline'
	@echo '  MACHINE=   avic, x2avic, x2avic-4k, noavic, a list of them, or all (default)'
	@echo '  TESTS=     names of tests, globs; default: all.  run: or TEST=, and CASE= of it'
	@echo '  PHASE=     before or after the series (run: default both; shell, gdb: after)'
	@echo '  KDIR=      a Linux tree to test as it is, instead of BASE; never written to'
	@echo '  QEMU=      a QEMU binary, or QEMU_SRC= a tree to build, instead of our own'
	@echo '  BOOTS=     machines that run at the same time'
	@echo '  MATRIX=1   of run: the page shows what accesses to MSRs cost, too'
	@echo '  DRYRUN=1   of shell and gdb: print QEMU'"'"'s command line instead'
	@echo 'Variables of mutants:'
	@echo '  MUTANTS=   <base>/<name> below selftests/mutants, globs; default: all'
	@echo 'Variables of coverage (Documentation/running.rst):'
	@echo '  FILES=     sources below arch/x86/kvm; default: svm/avic.c'
	@echo '  BASE=      default: linux-mainline;  MACHINE=, KDIR=, QEMU=, QEMU_SRC=, BOOTS='
	@echo 'Variables of soak (Documentation/running.rst):'
	@echo '  HOURS=     how long; default: 1;  SEED= the first one; default: new ones'
	@echo '  DEBUG=1    with lockdep;  BASE=  default: linux-mainline;  MACHINE=, KDIR= etc. as of run'
	@echo 'Variables of bisect (Documentation/bisecting.rst):'
	@echo '  BASE=, KDIR=, MACHINE=, TEST=, CASE=, BAD=, TESTS_DIR='
	@echo 'Variables of steps, builds and coccicheck (Documentation/submitting.rst):'
	@echo '  BASE=      the series; of steps and builds: KDIR=, a tree to apply it to'
	@echo '  CONFIGS=   of builds;  MACHINE=, QEMU=, QEMU_SRC=, BOOTS=  of steps, as of run'
	@echo 'Variables of load (Documentation/hardware.rst):'
	@echo '  PARAMETERS=  of kvm_amd, e.g. avic=1'
	@echo 'Variables of edit, refresh, rebase, mbox and send (Documentation/submitting.rst):'
	@echo '  BASE=      linux-6.12.y (default), linux-6.1.y, linux-mainline or qemu-10.0.y'
	@echo '  TOPIC=     one topic of the series (mbox, send, steps); default: all but those on request'
	@echo '  VERSION=   version of the series (mbox, send)'
	@echo 'Variables of all:'
	@echo '  V=1        show the commands that build, and those that boot machines'
	@echo '  DEBIAN_MIRROR=, DEBIAN_SECURITY_MIRROR=  instead of the mirrors that apt uses here'
	@echo
	@echo 'On AMD hardware:  make -C selftests run (Documentation/hardware.rst)'

run:
	@scripts/run

check:
	@scripts/check

gdb:
	@scripts/shell --gdb

mutants:
	@set -f; scripts/mutants $${MUTANTS-}

shell list coverage soak kvm-unit-tests bisect steps builds coccicheck mbox send edit refresh rebase:
	@scripts/$@

KVER ?= $(shell uname -r)
SUDO ?= $(if $(filter 0,$(shell id -u)),,sudo)

modules:
	@scripts/setup
	@scripts/build-modules '$(KVER)'

load:
	@scripts/setup
	@dir=$$(scripts/build-modules "$$(uname -r)") && $(SUDO) scripts/live-modules load "$$dir" $(PARAMETERS)

unload:
	@$(SUDO) scripts/live-modules unload

clean:
	rm -rf build

distclean: clean
	rm -rf "$${XDG_CACHE_HOME:-$$HOME/.cache}/avic-kvm"
