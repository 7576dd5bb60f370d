# SPDX-License-Identifier: GPL-2.0
#
# For people; Kbuild is for kbuild. "make help" lists the targets.

TOP := $(patsubst %/,%,$(dir $(realpath $(lastword $(MAKEFILE_LIST)))))

# Which kernel of the cache: stock (Debian's, of FLAVOUR), or another.
KERNEL ?= stock
FLAVOUR ?= $(shell $(TOP)/scripts/setup --flavour)
export KERNEL FLAVOUR RELEASE
MEMSCOPE_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/memscope
export MEMSCOPE_CACHE

NAME := $(if $(filter stock,$(KERNEL)),stock-$(or $(RELEASE),$(FLAVOUR)),$(KERNEL))
OUT := $(TOP)/build/$(NAME)

.DEFAULT_GOAL := all
.PHONY: \
	all \
	setup \
	demo \
	tools \
	check \
	check-bufio \
	check-dm \
	soak-dm \
	check-sanitize \
	check-loads \
	build-loads \
	loads \
	check-mutants \
	kernel-sanitize \
	ext \
	modules_install \
	clean \
	distclean \
	help \
	clippy \
	lint \
	bench

# Installed where modprobe does not look: see docs/dm.md.
install_conf = install -D -m 644 "$(TOP)/dm/memscope-dm-bufio.conf" \
	"$(if $(INSTALL_MOD_PATH),$(abspath $(INSTALL_MOD_PATH)))/usr/share/memscope/memscope-dm-bufio.conf"

ifdef KDIR
# --- any prepared kernel tree, with the tools of this machine ---------------

.PHONY: kdir-check
kdir-check:
	@test -f "$(KDIR)/Makefile" || { \
		echo "KDIR=$(KDIR): no kernel tree there" >&2; exit 1; }
	@test -f "$(KDIR)/rust/libkernel.rmeta" || { \
		echo "KDIR=$(KDIR) has no Rust metadata (rust/libkernel.rmeta)." >&2; \
		echo "A kernel with CONFIG_RUST=y makes it with 'make prepare' in its build tree;" >&2; \
		echo "header packages of distributions leave it out. For a Debian backports kernel," >&2; \
		echo "'make setup' here recreates it: scripts/setup --kdir prints the tree." >&2; \
		exit 1; }

KBUILD_CALL = $(MAKE) -C "$(KDIR)" M="$(TOP)"
EXT_CALL = $(MAKE) -C "$(KDIR)" M="$(realpath $(M))" modules KBUILD_EXTRA_SYMBOLS="$(TOP)/Module.symvers"

all: kdir-check
	$(KBUILD_CALL) modules

modules_install: kdir-check
	$(KBUILD_CALL) modules_install
	$(install_conf)

clean: kdir-check
	$(KBUILD_CALL) clean

else
# --- the cached kernels, in the build root ----------------------------------

# DIR OUT TARGET [VARIABLES]: kbuild in the tree of KERNEL.
KBUILD_CALL = $(TOP)/scripts/kbuild
EXT_CALL = MEMSCOPE_BIND="$(realpath $(M))" $(KBUILD_CALL) $(realpath $(M)) $(OUT)/ext/$(notdir $(realpath $(M))) \
	modules KBUILD_EXTRA_SYMBOLS=$(OUT)/Module.symvers

all: setup
	@$(KBUILD_CALL) $(TOP) $(OUT) modules

setup:
	@$(TOP)/scripts/setup kernel

modules_install: all
	$(if $(INSTALL_MOD_PATH),,$(error INSTALL_MOD_PATH=DIR says where; for this machine's own kernel use KDIR=))
	@mkdir -p "$(INSTALL_MOD_PATH)"
	@MEMSCOPE_BIND="$(abspath $(INSTALL_MOD_PATH))" $(KBUILD_CALL) $(TOP) $(OUT) modules_install \
		INSTALL_MOD_PATH="$(abspath $(INSTALL_MOD_PATH))"
	@$(install_conf)

clean:
	rm -rf "$(TOP)/build"
endif

# A module of somebody else, against the same kernel, headers and symbols.
ext: all
	@test -f "$(M)/Kbuild" -o -f "$(M)/Makefile" || \
		{ echo "make ext M=DIR: DIR holds your Kbuild; '$(M)' has none" >&2; exit 1; }
	@$(EXT_CALL) KCFLAGS="-I$(TOP)/include -I$(TOP)/include/uapi"

tools:
	@$(TOP)/scripts/tools

deb:
	@$(TOP)/scripts/deb

check-deb: setup
	@$(TOP)/scripts/check-deb

demo: all
	@$(TOP)/scripts/demo

bench: all
	@$(TOP)/scripts/bench

check: all
	@$(TOP)/scripts/check

kernel-sanitize:
	@$(TOP)/scripts/kernel-sanitize

check-sanitize: kernel-sanitize
	@$(MAKE) -C $(TOP) --no-print-directory check KERNEL=sanitize

CUTS ?= 100
check-powercut: all
	@$(MAKE) -s -C $(TOP) ext M=selftests/bufio >$(OUT)/ext-bufio.log 2>&1 || { cat $(OUT)/ext-bufio.log; false; }
	@$(TOP)/selftests/bufio/powercut --kills $(CUTS) --modules $(OUT)/ext/bufio

# Of the kernel that KERNEL says.
LOADS ?= 1000
# Builds what they run.
build-loads: all
	@$(TOP)/scripts/check --build lifecycle/load_test
check-loads: build-loads
	@$(MAKE) -s -C $(TOP) loads
# With what is built.
loads:
	@$(TOP)/scripts/vm --kernel $(KERNEL) --timeout $$((120 + 10 * $(LOADS))) --load -- \
		env LOADS=$(LOADS) $(TOP)/selftests/run --slow $$((1 + $(LOADS) / 30)) lifecycle/load_test

check-mutants: all
	@$(TOP)/scripts/check-mutants

check-bufio: all
	@$(TOP)/scripts/check bufio

check-dm: all
	@$(TOP)/scripts/check-dm

# The sanitizer kernel, where it is built, unless KERNEL says otherwise.
soak-dm:
	@SOAK_KERNEL=$(if $(filter-out file,$(origin KERNEL)),$(KERNEL)) $(TOP)/scripts/soak-dm

clippy: setup
	@$(KBUILD_CALL) $(TOP) $(TOP)/build/$(NAME)-clippy modules CLIPPY=1

lint: setup
	@$(TOP)/scripts/lint

distclean: clean
	@$(TOP)/scripts/setup --remove

help:
	@echo 'make demo             the deadlock, without and with memscope, in a VM'
	@echo 'make check            every test'
	@echo 'make bench            memscope against dm-bufio, the inlines and prctl: ratios'
	@echo 'make check-sanitize   every test on a kernel with KASAN, lockdep, kmemleak and others,'
	@echo '                      which make kernel-sanitize builds (20 minutes on 2 cores)'
	@echo 'make check-bufio      the tests of the block cache'
	@echo 'make tools            the command memscope and what belongs to it, in build/tools/'
	@echo 'make check-powercut   CUTS=$(CUTS) times the VM is killed while it writes through the cache'
	@echo 'make check-loads      the module is loaded and unloaded under load, LOADS=$(LOADS) times'
	@echo 'make check-mutants    whether the tests notice what selftests/mutants/ breaks'
	@echo 'make check-dm         the kernel'"'"'s device-mapper targets on dm-bufio and on memscope-dm-bufio'
	@echo 'make deb              Debian packages of it and of the module (DKMS), in build/deb/'
	@echo 'make check-deb        they are installed, used, upgraded and removed in a clean Debian'
	@echo '                      (10 minutes, needs the mirror)'
	@echo 'make soak-dm          thin, integrity and verity under load, MINUTES=20'
	@echo 'make                  the module, build/$(NAME)/memscope.ko'
	@echo 'make KDIR=DIR [LLVM=1]  the module for the kernel tree DIR, with this machine'"'"'s tools'
	@echo 'make ext M=DIR        the C module in DIR, against memscope'"'"'s headers and symbols;'
	@echo '                      result in build/$(NAME)/ext/'
	@echo 'make modules_install  KDIR=DIR, or INSTALL_MOD_PATH=DIR'
	@echo 'make lint             formatter, clippy, cargo-deny, shellcheck, checkpatch, the unsafe-layer check'
	@echo 'make clean            what was built here;  make distclean: the cache as well'
	@echo
	@echo 'FLAVOUR=amd64|cloud-amd64|rt-amd64   the kernel (now $(FLAVOUR))'
	@echo 'RELEASE=$$(uname -r)                   this very Debian kernel, not the newest'
	@echo 'KERNEL=stock|NAME                    a kernel of the cache (now $(KERNEL))'
	@echo 'MEMSCOPE_CACHE=DIR                   (now $(MEMSCOPE_CACHE))'
	@echo 'scripts/vm --help, scripts/root --help, scripts/setup --help'
