# greenhook: the only entry point for building, testing, measuring and installing.
#   make            library and command        make check    all tests
#   make demo       the main job, measured     make install  PREFIX=/usr/local DESTDIR=
#   make faults     each kernel call of the runtime fails in turn
#   make servers    real servers under load, native and green
#   make V=1 ...    show the commands          make SAN=address|undefined ...  sanitizer build

.DEFAULT_GOAL := all
VERSION := 0.2.0
PREFIX ?= /usr/local
DESTDIR ?=
LIBDIR ?= $(PREFIX)/lib
B ?= build
CC ?= gcc
Q := $(if $(V),,@)
PYTHON := /usr/bin/python3

# The last two are clang's: room behind a flexible array is GNU C, which we use.
WARN := -Wall -Wextra -Werror -Wno-unused-parameter -Wno-unknown-warning-option -Wno-gnu-variable-sized-type-not-at-end
CFLAGS ?= -O2 -g
BASE_CFLAGS := -std=gnu11 $(WARN) -fno-strict-aliasing -D_GNU_SOURCE -DGREENHOOK_VERSION='"$(VERSION)"' \
	-Iinclude -I. -MMD -MP
# The runtime switches stacks: no LTO, no cached TLS addresses, no CET notes it could not honour.
LIB_CFLAGS := $(BASE_CFLAGS) -include src/base/symver.h -fPIC -fvisibility=hidden -ftls-model=initial-exec -fno-lto \
	-fno-omit-frame-pointer -fcf-protection=none -fexceptions -fno-stack-protector

ifneq ($(SAN),)
B := build/$(SAN)
CFLAGS += -fsanitize=$(SAN) -fno-sanitize-recover=all
endif

# Each kernel call of the runtime may be made to fail: docs/testing.md.
ifneq ($(FAULTS),)
B := build/faults
LIB_CFLAGS += -DGREENHOOK_FAULTS
endif

ARCH := $(shell uname -m)
LIB_SRC := $(wildcard src/*.c src/base/*.c src/sync/*.c src/native/*.c src/arch/$(ARCH)/*.c hooks/*.c) preload/init.c
LIB_ASM := $(wildcard src/arch/$(ARCH)/*.S)
LIB_OBJ := $(LIB_SRC:%.c=$(B)/obj/%.o) $(LIB_ASM:%.S=$(B)/obj/%.o)
CLI_SRC := $(filter-out preload/init.c,$(wildcard preload/*.c)) src/detour.c src/arch/$(ARCH)/jump.c
CLI_OBJ := $(CLI_SRC:%.c=$(B)/obj/cli/%.o)

# The static library cannot give names versions.
STATIC_OBJ := $(LIB_OBJ:$(B)/obj/hooks/alias.o=$(B)/obj/static/hooks/alias.o)

.PHONY: all lib man check unit syntax integration soak conformance oracle faults memcheck servers demo bench install clean setup programs format format-check
all: $(B)/libgreenhook.so $(B)/libgreenhook.a $(B)/greenhook man
lib: $(B)/libgreenhook.so $(B)/libgreenhook.a

# Before glibc 2.34 dlopen and the threads live in libraries of their own, which a program need not load.
$(B)/libgreenhook.so: $(LIB_OBJ) src/greenhook.map
	@echo "  LD      $@"
	$(Q)$(CC) $(CFLAGS) -shared -Wl,-soname,libgreenhook.so.0 -Wl,-z,nodelete -Wl,-z,now -Wl,-Bsymbolic-functions \
		-Wl,--version-script=src/greenhook.map -o $@ $(LIB_OBJ) \
		-Wl,--no-as-needed -l:libdl.so.2 -l:libpthread.so.0

# One object: whoever needs any name of it, a hook or one of the API, has the hooks, the constructor and
# all.  Of its names only those are left that the shared library has.
$(B)/libgreenhook.a: $(STATIC_OBJ)
	@echo "  AR      $@"
	$(Q)ld -r -o $(B)/obj/static/greenhook.o $(STATIC_OBJ)
	$(Q)objcopy --localize-hidden $(B)/obj/static/greenhook.o
	$(Q)rm -f $@ && ar rcs $@ $(B)/obj/static/greenhook.o

$(B)/greenhook: $(CLI_OBJ)
	@echo "  LD      $@"
	$(Q)$(CC) $(CFLAGS) -o $@ $(CLI_OBJ) -ldl

# A page per function of the native API.
man: $(B)/man/man3/.made
$(B)/man/man3/.made: docs/man3.py $(wildcard include/greenhook/*.h)
	@echo "  MAN     $(@D)"
	$(Q)rm -rf $(@D) && $(PYTHON) docs/man3.py $(@D) $(VERSION) && touch $@

# The numbers of system calls that the headers know, by name.
$(B)/gen/sysname.inc: /usr/include/linux/version.h
	@mkdir -p $(@D)
	$(Q)printf '#include <sys/syscall.h>\n' | $(CC) -E -dM - | sed -n 's/^#define __NR_\([a-z0-9_]*\) [0-9]*$$/NAME(\1)/p' | sort > $@
$(B)/obj/src/base/sysname.o: $(B)/gen/sysname.inc
$(B)/obj/src/base/sysname.o: LIB_CFLAGS += -I$(B)

$(B)/obj/cli/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC      $<"
	$(Q)$(CC) $(CFLAGS) $(BASE_CFLAGS) -c -o $@ $<

$(B)/obj/static/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC      $< (static)"
	$(Q)$(CC) $(CFLAGS) $(LIB_CFLAGS) -DGREENHOOK_STATIC -c -o $@ $<

$(B)/obj/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC      $<"
	$(Q)$(CC) $(CFLAGS) $(LIB_CFLAGS) -c -o $@ $<

$(B)/obj/%.o: %.S
	@mkdir -p $(@D)
	@echo "  AS      $<"
	$(Q)$(CC) $(CFLAGS) -I. -MMD -MP -c -o $@ $<

# Plain pthread programs of the integration tests, the demo and the benchmarks: no greenhook in them.
PROGRAMS := $(patsubst integration/programs/%.c,$(B)/programs/%,$(wildcard integration/programs/*.c)) \
	$(patsubst integration/programs/%.cc,$(B)/programs/%,$(wildcard integration/programs/*.cc)) \
	$(patsubst bench/%.c,$(B)/bench/%,$(wildcard bench/*.c))
# Programs of the native API, linked with the shared library, and NAME.static with the other one.
NATIVE := $(patsubst integration/native/%.c,$(B)/native/%,$(wildcard integration/native/*.c)) $(B)/native/first.static
# The examples, as a user would compile them.
EXAMPLES := $(patsubst docs/examples/%.c,$(B)/examples/%,$(wildcard docs/examples/*.c))
programs: $(PROGRAMS) $(NATIVE) $(EXAMPLES)
$(B)/examples/%: docs/examples/%.c $(wildcard docs/examples/*.h) $(wildcard include/*.h include/greenhook/*.h) $(B)/libgreenhook.so
	@mkdir -p $(@D)
	@echo "  CC      $<"
	$(Q)[ -e $(B)/libgreenhook.so.0 ] || ln -s libgreenhook.so $(B)/libgreenhook.so.0
	$(Q)$(CC) -std=c11 -D_GNU_SOURCE -O2 -g -Wall -Wextra -Wpedantic -Werror -Iinclude -o $@ $< -L$(B) -lgreenhook \
		-Wl,-rpath,'$$ORIGIN/..'
$(B)/native/%: integration/native/%.c $(wildcard integration/native/*.h) integration/programs/check.h $(wildcard include/*.h include/greenhook/*.h) \
		$(B)/libgreenhook.so
	@mkdir -p $(@D)
	@echo "  CC      $<"
	$(Q)[ -e $(B)/libgreenhook.so.0 ] || ln -s libgreenhook.so $(B)/libgreenhook.so.0
	$(Q)$(CC) -std=gnu11 -O1 -g -Wall -Wextra -Werror -D_GNU_SOURCE -Iinclude -pthread -rdynamic $(PROGRAM_FLAGS) -o $@ $< \
		-L$(B) -lgreenhook -Wl,-rpath,'$$ORIGIN/..' -lm
$(B)/native/%.static: integration/native/%.c integration/programs/check.h $(wildcard include/*.h include/greenhook/*.h) \
		$(B)/libgreenhook.a
	@mkdir -p $(@D)
	@echo "  CC      $< (static)"
	$(Q)$(CC) -std=gnu11 -O1 -g -Wall -Wextra -Werror -D_GNU_SOURCE -Iinclude -pthread $(PROGRAM_FLAGS) -o $@ $< \
		$(B)/libgreenhook.a $(if $(SAN),-fsanitize=$(SAN)) -ldl -lm
$(B)/programs/%: integration/programs/%.c integration/programs/check.h
	@mkdir -p $(@D)
	@echo "  CC      $<"
	$(Q)$(CC) -O1 -g -Wall -Wextra -Werror -D_GNU_SOURCE -pthread -rdynamic $(PROGRAM_FLAGS) -o $@ $< -ldl -lm -lrt
$(B)/programs/cxx_20: PROGRAM_FLAGS := -std=gnu++20
$(B)/programs/cxx_except: PROGRAM_FLAGS := -fnon-call-exceptions
$(B)/programs/once_cancel_notables: PROGRAM_FLAGS := -fno-exceptions -fno-unwind-tables -fno-asynchronous-unwind-tables
$(B)/programs/once_cancel_notables: integration/programs/once_cancel.c
$(B)/programs/cancel_cleanup_fexceptions: PROGRAM_FLAGS := -fexceptions
$(B)/programs/cancel_cleanup_fexceptions: integration/programs/cancel_cleanup.c
$(B)/programs/%: integration/programs/%.cc integration/programs/check.h
	@mkdir -p $(@D)
	@echo "  CXX     $<"
	$(Q)$(CXX) -O1 -g -Wall -Wextra -Werror -pthread -rdynamic $(PROGRAM_FLAGS) -o $@ $< -ldl
# The oracle is one program of several files.
$(B)/programs/oracle: $(wildcard integration/programs/oracle/*) integration/programs/oracle.c
	@mkdir -p $(@D)
	@echo "  CC      integration/programs/oracle.c"
	$(Q)$(CC) -O1 -g -Wall -Wextra -Werror -D_GNU_SOURCE -pthread -rdynamic -o $@ $(filter %.c,$^)
$(B)/bench/%: bench/%.c bench/http.h bench/bench.h
	@mkdir -p $(@D)
	@echo "  CC      $<"
	$(Q)$(CC) -O2 -g -Wall -Wextra -Werror -Wno-unused-parameter -D_GNU_SOURCE -I. -pthread -o $@ $< -ldl
# The runtime's own switch, and nothing else of it.
$(B)/bench/raw_switch: bench/raw_switch.c bench/bench.h $(B)/obj/src/arch/$(ARCH)/switch.o $(B)/obj/src/arch/$(ARCH)/ctx.o
	@mkdir -p $(@D)
	@echo "  CC      $<"
	$(Q)$(CC) -O2 -g -Wall -Wextra -Werror -Wno-unused-parameter -D_GNU_SOURCE -I. $(if $(SAN),-fsanitize=$(SAN)) -o $@ $(filter %.c %.o,$^)

include tests/tests.mk

setup:
	$(Q).ci/setup

check: setup
	$(Q)$(MAKE) --no-print-directory all programs unit-build
	$(Q)$(MAKE) --no-print-directory unit
	$(Q)$(MAKE) --no-print-directory integration

# What another compiler warns of, without building anything.
syntax: $(B)/gen/sysname.inc
	$(Q)for file in $(LIB_SRC); do $(CC) $(CFLAGS) $(filter-out -MMD -MP,$(LIB_CFLAGS)) -I$(B) -fsyntax-only $$file || exit 1; done
	$(Q)$(CC) $(CFLAGS) $(filter-out -MMD -MP,$(BASE_CFLAGS)) -I$(B) -fsyntax-only $(CLI_SRC)

# Most tests wait most of the time: several at once.
integration: all programs
	$(Q)$(PYTHON) -m pytest -q -n $(or $(JOBS),3) integration $(if $(K),-k '$(K)')

# The integration tests again and again, for as long as it takes; before an issue is closed.
soak: all programs
	$(Q)for i in $$(seq $(or $(N),20)); do echo "soak: round $$i"; \
		$(PYTHON) -m pytest -q -x integration $(if $(K),-k '$(K)') || exit 1; done

# Every differential program N times natively and green; make conformance N=50 JOBS=3 before an issue is closed.
conformance: all programs
	$(Q)integration/conformance.py -n $(or $(N),3) -j $(or $(JOBS),1) $(if $(K),-k '$(K)')

# Random programs: make oracle N=20000 FROM=0, or SEED=4711 for one of them.
oracle: all programs
	$(Q)integration/oracle.py $(if $(SEED),--seed $(SEED),--from $(or $(FROM),0) --programs $(or $(N),20000))

# Every kernel call of the runtime fails in turn; make faults K=sockets for some of the cases.
faults: programs
	$(Q)$(MAKE) --no-print-directory FAULTS=1 lib
	$(Q)integration/faults.py $(if $(K),-k '$(K)') $(if $(EVERY),--every $(EVERY))

# memcheck natively and green; needs valgrind.
memcheck: all programs
	$(Q)integration/memcheck.py $(if $(K),-k '$(K)')

# What it costs and gains, about a quarter of an hour; make bench ASK=servers for one question
bench: all programs bench-tasks
	$(Q)$(PYTHON) bench/bench.py $(ASK)

# The questions of bench/tasks, one program per question and peer; a peer that is not installed has none.
TASKS_HERE := pthread greenhook $(if $(wildcard /usr/include/st.h),st) $(if $(wildcard /usr/include/boost/fiber/all.hpp),fiber)
TASKS := $(foreach peer,$(TASKS_HERE),$(patsubst bench/tasks/%.c,$(B)/bench/tasks/%-$(peer),$(wildcard bench/tasks/*.c)))
TASKS_CC = $(1) -O2 -g -Wall -Wextra -Werror -Wno-unused-parameter -D_GNU_SOURCE -I. -pthread -DTASKS='"bench/peers/$(2).h"' -o $@
TASKS_DEPS := bench/tasks/tasks.h bench/peers/chan.h
.PHONY: bench-tasks bench-peers
bench-tasks: $(TASKS) $(if $(shell command -v go),$(B)/bench/tasks/go)
$(B)/bench/tasks/%-pthread: bench/tasks/%.c bench/peers/pthread.h $(TASKS_DEPS)
	@mkdir -p $(@D)
	$(Q)$(call TASKS_CC,$(CC),pthread) $<
$(B)/bench/tasks/%-greenhook: bench/tasks/%.c bench/peers/greenhook.h $(TASKS_DEPS) $(B)/libgreenhook.so
	@mkdir -p $(@D)
	$(Q)[ -e $(B)/libgreenhook.so.0 ] || ln -s libgreenhook.so $(B)/libgreenhook.so.0
	$(Q)$(call TASKS_CC,$(CC),greenhook) -Iinclude $< -L$(B) -lgreenhook -Wl,-rpath,'$$ORIGIN/../..'
$(B)/bench/tasks/%-st: bench/tasks/%.c bench/peers/st.h $(TASKS_DEPS)
	@mkdir -p $(@D)
	$(Q)$(call TASKS_CC,$(CC),st) $< -lst
$(B)/bench/tasks/%-fiber: bench/tasks/%.c bench/peers/fiber.h $(TASKS_DEPS)
	@mkdir -p $(@D)
	$(Q)$(call TASKS_CC,$(CXX),fiber) -x c++ $< -lboost_fiber -lboost_context
$(B)/bench/tasks/go: bench/peers/tasks.go
	@mkdir -p $(@D)
	$(Q)go build -o $@ $<
# Debian's packages of Rust are sources; cargo writes beside what it builds.
$(B)/bench/tasks/tokio: bench/peers/tokio/Cargo.toml bench/peers/tokio/src/main.rs
	@mkdir -p $(@D)
	$(Q)rm -rf $(B)/bench/tokio/source && mkdir -p $(B)/bench/tokio && cp -r bench/peers/tokio $(B)/bench/tokio/source
	$(Q)cd $(B)/bench/tokio/source && cargo build -q --offline --release --target-dir .. \
		--config 'source.crates-io.replace-with="debian"' --config 'source.debian.directory="/usr/share/cargo/registry"'
	$(Q)cp $(B)/bench/tokio/release/tasks $@

# Installs the peers from Debian and builds what the packages above could not.
bench-peers: all
	apt-get install -y --no-install-recommends golang-go libboost-fiber-dev libst-dev librust-tokio-dev $$(command -v cargo >/dev/null || echo cargo)
	$(Q)$(MAKE) --no-print-directory bench-tasks
	-$(Q)$(MAKE) --no-print-directory $(B)/bench/tasks/tokio

# Real servers under load, native and green; make servers N=10 before an issue is closed, K=mariadb for one of them.
servers:
	$(Q).ci/setup servers
	$(Q)$(MAKE) --no-print-directory all programs
	$(Q)integration/servers.py -n $(or $(N),1) --seconds $(or $(SECONDS),30) $(if $(K),-k '$(K)')

demo: setup
	$(Q)$(MAKE) --no-print-directory all programs
	$(Q)$(PYTHON) bench/demo.py

# gdb looks below /usr/share/gdb/auto-load: with another PREFIX it has to be told (man 7 greenhook).
GDBDIR ?= $(PREFIX)/share/gdb/auto-load
install: all
	install -d $(DESTDIR)$(GDBDIR)$(LIBDIR)
	install -m 644 preload/gdb/greenhook-gdb.py $(DESTDIR)$(GDBDIR)$(LIBDIR)/libgreenhook.so.$(VERSION)-gdb.py
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(PREFIX)/include/greenhook \
		$(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/man/man3 $(DESTDIR)$(PREFIX)/share/man/man7
	install -m 755 $(B)/greenhook $(DESTDIR)$(PREFIX)/bin/greenhook
	install -m 755 $(B)/libgreenhook.so $(DESTDIR)$(LIBDIR)/libgreenhook.so.$(VERSION)
	ln -sf libgreenhook.so.$(VERSION) $(DESTDIR)$(LIBDIR)/libgreenhook.so.0
	ln -sf libgreenhook.so.0 $(DESTDIR)$(LIBDIR)/libgreenhook.so
	install -m 644 $(B)/libgreenhook.a $(DESTDIR)$(LIBDIR)/libgreenhook.a
	install -m 644 include/greenhook.h $(DESTDIR)$(PREFIX)/include/greenhook.h
	install -m 644 include/greenhook/*.h $(DESTDIR)$(PREFIX)/include/greenhook/
	install -m 644 docs/man/greenhook.1 $(DESTDIR)$(PREFIX)/share/man/man1/
	install -m 644 $(B)/man/man3/*.3 $(DESTDIR)$(PREFIX)/share/man/man3/
	install -m 644 docs/man/greenhook.7 $(DESTDIR)$(PREFIX)/share/man/man7/
	for m in greenhook greenhook-static; do \
		sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@VERSION@|$(VERSION)|' \
			docs/$$m.pc.in > $(DESTDIR)$(LIBDIR)/pkgconfig/$$m.pc || exit 1; done

format:
	clang-format -i $(shell git ls-files '*.c' '*.h')
format-check:
	clang-format --dry-run -Werror $(shell git ls-files '*.c' '*.h')

clean:
	rm -rf build

$(B)/obj/cli/preload/coverage.o: hooks/hooks.def

-include $(LIB_OBJ:.o=.d) $(STATIC_OBJ:.o=.d) $(CLI_OBJ:.o=.d)
