# xsproxy - GNU make. `make help` lists the targets.
#
#   SAN=1      build with ASan and UBSan, into build/san
#   WERROR=    do not fail on warnings
#   CC=clang   both compilers are supported

ifeq ($(origin CC),default)
CC := gcc
endif
BUILD ?= build$(if $(SAN),/san)
PREFIX ?= /usr
WERROR ?= -Werror
PKG_CONFIG ?= pkg-config
PYTEST ?= /usr/bin/python3 -m pytest

CFLAGS ?= -O2 -g
STD := -std=gnu17 -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes $(WERROR)
DEFS = -D_GNU_SOURCE -I.
ALL_CFLAGS = $(STD) $(DEFS) $(CFLAGS) -MMD -MP

# The preloaded libraries run inside Debian's daemons, which have no sanitizer runtime.
ifneq ($(SAN),)
SAN_FLAGS := -fsanitize=address,undefined -fno-omit-frame-pointer -fno-sanitize-recover=undefined
SAN_LINK := $(SAN_FLAGS) $(if $(findstring clang,$(CC)),,-static-libasan)
endif

PKGS_DAEMON := libevent_core libevent_extra xenevtchn xengnttab libsystemd jansson libsodium
PKGS_STARTER := xenevtchn xencall jansson libsodium
PKGS_CTL := xenstore jansson ncursesw libsodium

pkg_cflags = $(shell $(PKG_CONFIG) --cflags $(1))
pkg_libs = $(shell $(PKG_CONFIG) --libs $(1))

# `make V=1` shows the commands
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-5s %s\n' $(1) $(2))

# --- what is built from what
PROTOCOL_SRC := $(wildcard protocol/*.c)
TEXT_SRC := $(wildcard text/*.c)
LINK_SRC := $(wildcard link/*.c)
BRIDGE_SRC := $(wildcard bridge/*.c) $(LINK_SRC)
CONFIG_SRC := $(wildcard config/*.c)
DAEMON_SRC := $(wildcard proxy/*.c proxy/*/*.c ring/*.c) $(CONFIG_SRC) $(PROTOCOL_SRC) $(LINK_SRC)
# It writes a state, too.
DAEMON_SRC += $(wildcard migration/format/*.c) $(TEXT_SRC)
# It shows what passes to who picks it.
DAEMON_SRC += trace/pick.c
MIGRATION_SRC := $(wildcard migration/*.c migration/*/*.c)
TRACE_SRC := $(wildcard trace/*.c)
CTL_SRC := $(wildcard ctl/*.c)
STARTER_SRC := $(wildcard starter/*.c)
# Of migration/: what makes one state of another
STATE_SRC := $(addprefix migration/,conversion.c conversion_node.c omissions.c ox_quotas.c pathset.c \
	report.c)
STATE_SRC += $(wildcard migration/format/*.c)
SIM_COMMON := $(wildcard tests/sim/common/*.c)
SIM_LIB_SRC := $(wildcard tests/sim/lib/*.c) $(SIM_COMMON)
UNIT_SRC := $(wildcard tests/unit/test_*.c)

objs = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
pic = $(patsubst %.c,$(BUILD)/pic/%.o,$(1))

PROGRAMS := $(BUILD)/xsproxyd $(BUILD)/xsproxy-keeper $(BUILD)/libxsproxy-bridge.so
PROGRAMS += $(BUILD)/xenstored-wrapper $(BUILD)/starter $(BUILD)/live-update
PROGRAMS += $(if $(CTL_SRC),$(BUILD)/xsproxyctl)
SIM := $(BUILD)/libxensim.so $(BUILD)/xensim $(BUILD)/xsguest $(BUILD)/libxsguest.so $(BUILD)/xsload $(BUILD)/xsprobe $(BUILD)/xsstress
SIM += $(BUILD)/xsstress-library $(BUILD)/xsstress-sockets
UNIT := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(UNIT_SRC))

.PHONY: all demo play check lint lint-fast format valgrind e2e unit fuzz bench soak install clean deps help
.DELETE_ON_ERROR:
.SECONDARY:

all: $(PROGRAMS) $(SIM)

help:
	@echo "deps      install what building and testing needs, from Debian"
	@echo "all       build everything into $(BUILD)/"
	@echo "programs  only what goes onto a host"
	@echo "play      install what is missing, build, and open a shell on a simulated host with traffic:"
	@echo "          PLAY_DAEMON=oxenstored PLAY_GUESTS=20, or PLAY='xsproxyctl domains' instead of a shell"
	@echo "demo      install what is missing, build, and show the main job on real daemons"
	@echo "check     install what is missing, build; lint-fast, unit and end-to-end tests but the long ones"
	@echo "check-more lint, the long ones, all under sanitizers and valgrind, clang's build, fuzzers' corpora,"
	@echo "          fuzzing and a soak for a moment, bench-count, the short parts of check-xen and check-debian13;"
	@echo "          one: tests/check PART: lint-fast lint valgrind clang unit e2e long san corpora fuzz"
	@echo "          count soak xen debian13"
	@echo "check-debian13 make a tree with Debian 13; demo, unit and end-to-end tests and the short part of"
	@echo "          check-xen in it; one: DEBIAN13=STEP, or DEBIAN13=--short, the part of check-more;"
	@echo "          tests/check-debian13 -- COMMAND"
	@echo "check-xen boot real Xen in QEMU and run the checks there, or XEN_CHECKS=--short;"
	@echo "          one: XEN_CHECKS='--daemon xenstored save'"
	@echo "check-arm64 cross-build for ARM64 and run the unit tests there, under qemu-user"
	@echo "unit      the unit tests, a line a program; one: make build/unit/test_x && build/unit/test_x"
	@echo "e2e       the end-to-end tests; one file: make all test-programs, then"
	@echo "          /usr/bin/python3 -m pytest -q tests/e2e/test_hold.py"
	@echo "test-programs what tests need and all does not build: they skip without it"
	@echo "lint      clang-tidy, cppcheck, and what else looks at sources: minutes"
	@echo "lint-fast all of it but those two: seconds"
	@echo "format    clang-format of all C files"
	@echo "generate  write again what documents, bash and Wireshark have of the lists in protocol/"
	@echo "valgrind  the unit tests under memcheck"
	@echo "fuzz      run every fuzzer for 60 s"
	@echo "bench     measure direct and proxied side by side"
	@echo "bench-count count instructions, and fail if they are more than in tests/bench/count.json; or"
	@echo "          COUNT=--write, COUNT='READ WRITE'"
	@echo "bench-xen the same on real Xen in QEMU, or XEN_BENCH=..."
	@echo "soak      500 guests for 10 minutes under ASan; memory and descriptors stay what they are;"
	@echo "          then what goes by chance, 3 times or RUNS=N, with a new seed each time"
	@echo "steady    the end-to-end tests 20 times or RUNS=N beside a busy loop on each core; STEADY=..."
	@echo "          what to run instead of all, as for pytest"
	@echo "install   DESTDIR= PREFIX=$(PREFIX)"
	@echo "deb       a Debian package, in $(BUILD)/deb/"
	@echo "rpm       a package for systems with RPM, in $(BUILD)/rpm/"
	@echo "clean     remove build/"

# --- objects: plain for programs, position independent and unsanitized for preloaded libraries
$(BUILD)/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(SAN_FLAGS) -c -o $@ $<

# Where the package's own programs are (XSPROXY_PREFIX)
$(BUILD)/obj/config/config.o: ALL_CFLAGS += -DXSPROXY_PREFIX='"$(PREFIX)"'

# The order of its stores is what recovery relies on (docs/architecture.md, "Why the ledger is correct").
$(BUILD)/obj/proxy/session/ledger.o: ALL_CFLAGS += -fno-lto

$(BUILD)/pic/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(ALL_CFLAGS) -Wno-missing-prototypes -fPIC -fvisibility=hidden -c -o $@ $<

$(BUILD)/xsproxyd: $(call objs,$(DAEMON_SRC))
	$(call say,LD,$@)
	$(Q)$(CC) $(SAN_LINK) -o $@ $^ $(call pkg_libs,$(PKGS_DAEMON)) -linih $(LDFLAGS)

$(BUILD)/xsproxy-keeper: $(call objs,keeper/keeper.c $(LINK_SRC))
	$(call say,LD,$@)
	$(Q)$(CC) $(SAN_LINK) -o $@ $^ $(call pkg_libs,libsystemd) $(LDFLAGS)

$(BUILD)/libxsproxy-bridge.so: $(call pic,$(BRIDGE_SRC))
	$(call say,LD,$@)
	$(Q)$(CC) -shared -Wl,-z,defs -o $@ $^ $(LDFLAGS)

$(BUILD)/xenstored-wrapper: systemd/xenstored-wrapper
	@mkdir -p $(@D)
	@install -m 0755 $< $@

$(BUILD)/starter: $(call objs,$(STARTER_SRC) $(STATE_SRC) $(TEXT_SRC) $(PROTOCOL_SRC) $(LINK_SRC))
	$(call say,LD,$@)
	$(Q)$(CC) $(SAN_LINK) -o $@ $^ $(call pkg_libs,$(PKGS_STARTER)) $(LDFLAGS)

# Its name for a daemon's live update
$(BUILD)/live-update: $(BUILD)/starter
	@ln -sf starter $@

$(BUILD)/xsproxyctl: $(call objs,$(CTL_SRC) $(MIGRATION_SRC) $(TRACE_SRC) $(TEXT_SRC) $(PROTOCOL_SRC) $(CONFIG_SRC) link/link.c)
	$(call say,LD,$@)
	$(Q)$(CC) $(SAN_LINK) -o $@ $^ $(call pkg_libs,$(PKGS_CTL)) -linih $(LDFLAGS)

$(BUILD)/libxensim.so: $(call pic,$(SIM_LIB_SRC))
	$(call say,LD,$@)
	$(Q)$(CC) -shared -o $@ $^ $(LDFLAGS)

$(BUILD)/libxsguest.so: $(call pic,tests/sim/guest.c tests/sim/hammer.c $(SIM_COMMON))
	$(call say,LD,$@)
	$(Q)$(CC) -shared -o $@ $^ $(LDFLAGS)

$(BUILD)/xensim: $(call objs,tests/sim/xensim.c $(SIM_COMMON))
	$(call say,LD,$@)
	$(Q)$(CC) $(SAN_LINK) -o $@ $^ $(LDFLAGS)

$(BUILD)/xsstress: $(call objs,tests/kill/stress.c tests/sim/guest.c $(SIM_COMMON))
	$(call say,LD,$@)
	$(Q)$(CC) $(SAN_LINK) -o $@ $^ $(LDFLAGS)

$(BUILD)/xsstress-library: $(call objs,tests/kill/library.c)
	$(call say,LD,$@)
	$(Q)$(CC) $(SAN_LINK) -o $@ $^ $(call pkg_libs,xenstore) $(LDFLAGS)

$(BUILD)/xsstress-sockets: $(call objs,tests/kill/sockets.c)
	$(call say,LD,$@)
	$(Q)$(CC) $(SAN_LINK) -o $@ $^ $(LDFLAGS)

$(BUILD)/xsload: $(call objs,tests/bench/load.c tests/sim/guest.c $(SIM_COMMON))
	$(call say,LD,$@)
	$(Q)$(CC) $(SAN_LINK) -o $@ $^ $(LDFLAGS)

$(BUILD)/xsprobe: $(call objs,tests/bench/probe.c tests/sim/guest.c $(SIM_COMMON))
	$(call say,LD,$@)
	$(Q)$(CC) $(SAN_LINK) -o $@ $^ $(LDFLAGS)

$(BUILD)/xsguest: $(call objs,tests/sim/xsguest.c tests/sim/guest.c $(SIM_COMMON))
	$(call say,LD,$@)
	$(Q)$(CC) $(SAN_LINK) -o $@ $^ $(LDFLAGS)

# --- unit tests: one program a file, linked with what it uses of everything but main. A thin archive
# only names objects; the linker says which it took, and so a change relinks only who uses it.
UNIT_LIB := $(sort $(call objs,$(filter-out proxy/main.c,$(DAEMON_SRC)) bridge/say.c \
	$(filter-out starter/main.c,$(STARTER_SRC)) $(MIGRATION_SRC) $(TRACE_SRC)))

$(BUILD)/libunit.a: $(UNIT_LIB)
	@rm -f $@
	$(call say,AR,$@)
	$(Q)$(AR) rcsT $@ $^

$(BUILD)/unit/%: $(BUILD)/obj/tests/unit/%.o | $(BUILD)/libunit.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(SAN_LINK) -Wl,--trace -o $@ $< $(BUILD)/libunit.a \
		$(call pkg_libs,$(PKGS_DAEMON) $(PKGS_STARTER) $(PKGS_CTL) cmocka) -linih $(LDFLAGS) >$@.trace
	@sed -n '/tests.unit/d; s,^$(BUILD)/obj/.*\.o$$,$@: $$(call member\,&),p' $@.trace >$@.d

# Xen's own verifier of streams is among what each version has for itself.
$(BUILD)/obj/tests/unit/test_stream_random.o lint: DEFS += -DXEN_DIR='"/usr/lib/xen-$(shell tests/xen-version)"'

# An object whose source was moved is there no more, whatever make finds of it.
member = $(if $(filter $(1),$(UNIT_LIB)),$(1),FORCE)
.PHONY: FORCE
-include $(wildcard $(BUILD)/unit/*.d)

# All that the tests need and `all` does not build
.PHONY: unit-programs test-programs
unit-programs: $(UNIT)
test-programs: unit-programs other-builds

unit: $(UNIT)
	@tests/run-unit $(UNIT)

valgrind: $(UNIT)
	@tests/lint/memcheck $(UNIT)

# What is made of the lists in protocol/ and stands in the tree
.PHONY: generate
generate:
	@tools/generate

lint:
	@tests/lint/run $(filter-out -Werror,$(STD)) $(DEFS)

lint-fast:
	@tests/lint/run --fast

format:
	@clang-format -i $(wildcard $(shell git ls-files -co --exclude-standard '*.c' '*.h' ':!tests/releases'))

e2e: all other-builds
	XSPROXY_BUILD=$(abspath $(BUILD)) $(PYTEST) -q tests/sim tests/e2e

# --- the two commands of README.md: each prepares the machine by itself
deps:
	@tests/install-deps

check: deps
	@tests/check

.PHONY: check-more check-debian13
check-more: deps
	@tests/check --more

check-debian13:
	@tests/install-deps mmdebstrap
	@tests/check-debian13 $(DEBIAN13)

# The unit tests for ARM64, under qemu-user: ARM64= which, as test_fifo
.PHONY: check-arm64
check-arm64:
	@tests/install-deps mmdebstrap
	@tests/arm64/check $(ARM64)

.PHONY: check-xen bench-xen
check-xen: XEN_COMMAND = tests/xen/check $(XEN_CHECKS)
bench-xen: XEN_COMMAND = tests/xen/bench $(XEN_BENCH)
check-xen bench-xen: deps
	@tests/xen/install-deps
	@$(MAKE) --no-print-directory -s programs
	@XSPROXY_BUILD=$(abspath $(BUILD)) $(XEN_COMMAND)

demo: deps
	@$(MAKE) --no-print-directory -s all
	@XSPROXY_BUILD=$(abspath $(BUILD)) tests/demo/demo

# PLAY_DAEMON, PLAY_GUESTS and PLAY, a command to run instead of a shell: tests/demo/play. As $(value)
# the command's own variables are left to its shell.
play: export PLAY_COMMAND := $(value PLAY)
play: deps
	@$(MAKE) --no-print-directory -s all
	@XSPROXY_BUILD=$(abspath $(BUILD)) tests/demo/play

# Only for comparison: what a commit's record costs
$(BUILD)/xsproxyd-norecord: $(call objs,$(DAEMON_SRC) tests/bench/no_record.c)
	$(call say,LD,$@)
	$(Q)$(CC) $(SAN_LINK) -Wl,--wrap=commit_end -o $@ $^ $(call pkg_libs,$(PKGS_DAEMON)) -linih $(LDFLAGS)

# Likewise: what it costs that the traffic can be seen
$(BUILD)/xsproxyd-notap: $(call objs,$(filter-out proxy/observe/tap.c,$(DAEMON_SRC)) tests/bench/no_tap.c)
	$(call say,LD,$@)
	$(Q)$(CC) $(SAN_LINK) -o $@ $^ $(call pkg_libs,$(PKGS_DAEMON)) -linih $(LDFLAGS)

include tests/kill/builds.mk
include tests/fuzz/fuzz.mk
include tests/fault/fault.mk

all: $(FAILING)

bench:
	@tests/install-deps linux-perf
	@$(MAKE) --no-print-directory -s all $(BUILD)/xsproxyd-norecord $(BUILD)/xsproxyd-notap
	@XSPROXY_BUILD=$(abspath $(BUILD)) /usr/bin/python3 tests/bench/bench.py

# COUNT=--write: what is counted is the baseline from now on
.PHONY: bench-count
bench-count: deps
	@$(MAKE) --no-print-directory -s all
	@XSPROXY_BUILD=$(abspath $(BUILD)) /usr/bin/python3 tests/bench/count.py $(COUNT)

# SOAK_SECONDS, SOAK_GUESTS and SOAK_DAEMON: tests/soak/soak.py says what they are
soak: deps
	@$(MAKE) --no-print-directory -s SAN=1 all
	@XSPROXY_BUILD=$(abspath build/san) nice /usr/bin/python3 tests/soak/soak.py
	@$(MAKE) --no-print-directory -s all other-builds
	@XSPROXY_BUILD=$(abspath $(BUILD)) nice tests/steady --idle --new-seeds --runs $(or $(RUNS),3) \
		tests/e2e/test_tracking.py tests/e2e/test_kill.py tests/e2e/test_upgrade.py

# No test may fail by chance
.PHONY: steady
steady: deps
	@$(MAKE) --no-print-directory -s all other-builds
	@XSPROXY_BUILD=$(abspath $(BUILD)) tests/steady --runs $(or $(RUNS),20) $(STEADY)

# --- what goes onto a host
.PHONY: programs deb rpm
UNITDIR ?= $(PREFIX)/lib/systemd/system
# Where Debian's zsh looks; others have site-functions.
ZSHDIR ?= $(PREFIX)/share/zsh/vendor-completions
MANDIR := $(PREFIX)/share/man
EXAMPLES := $(PREFIX)/share/doc/xsproxy/examples
VERSION := $(shell sed -n 's/.*XSPROXY_VERSION[[:space:]]*"\(.*\)".*/\1/p' config/config.h)

# Paths in scripts, units and manuals are those of PREFIX=/usr
AT_PREFIX := sed -E 's,/usr/(sbin/xsproxy|lib/xsproxy|libexec/xsproxy|share/(doc/)?xsproxy),$(PREFIX)/\1,g'
# $(call put,MODE,FROM,TO): install a text file, with paths as they are on this host
put = $(Q)$(AT_PREFIX) $(2) | install -D -m $(1) /dev/stdin $(DESTDIR)$(3)

programs: $(PROGRAMS)

install: programs
	$(call say,INST,$(DESTDIR)$(PREFIX))
	$(Q)install -D -m 0755 -t $(DESTDIR)$(PREFIX)/sbin $(filter %/xsproxyd %/xsproxyctl,$(PROGRAMS))
	$(Q)install -D -m 0644 -t $(DESTDIR)$(PREFIX)/lib/xsproxy $(BUILD)/libxsproxy-bridge.so
	$(Q)install -D -m 0755 $(BUILD)/xsproxy-keeper $(DESTDIR)$(PREFIX)/libexec/xsproxy/keeper
	$(Q)install -D -m 0755 -t $(DESTDIR)$(PREFIX)/libexec/xsproxy $(BUILD)/starter
	$(Q)ln -sf starter $(DESTDIR)$(PREFIX)/libexec/xsproxy/live-update
	$(call put,0755,systemd/xenstored-wrapper,$(PREFIX)/libexec/xsproxy/xenstored)
	$(call put,0755,systemd/run-xenstored,$(PREFIX)/libexec/xsproxy/run-xenstored)
	$(call put,0755,systemd/select-xenstored,$(PREFIX)/libexec/xsproxy/select-xenstored)
	$(call put,0644,systemd/xsproxy.service,$(UNITDIR)/xsproxy.service)
	$(call put,0644,systemd/xsproxy-keeper.service,$(UNITDIR)/xsproxy-keeper.service)
	$(call put,0644,systemd/xsproxy-xenfs.service,$(UNITDIR)/xsproxy-xenfs.service)
	$(call put,0644,systemd/xsproxy-xenstored.service,$(UNITDIR)/xsproxy-xenstored.service)
	$(call put,0644,systemd/xsproxy.socket,$(UNITDIR)/xsproxy.socket)
	$(call put,0644,systemd/examples/xenstored.service.d/xsproxy.conf,$(EXAMPLES)/xenstored.service.d/xsproxy.conf)
	$(call put,0644,systemd/examples/xsproxy.service.d/metrics.conf,$(EXAMPLES)/xsproxy.service.d/metrics.conf)
	$(call put,0644,systemd/examples/xsproxy.socket.d/group.conf,$(EXAMPLES)/xsproxy.socket.d/group.conf)
	$(call put,0644,docs/man/xsproxyd.8,$(MANDIR)/man8/xsproxyd.8)
	$(call put,0644,docs/man/xsproxy-keeper.8,$(MANDIR)/man8/xsproxy-keeper.8)
	$(call put,0644,docs/man/xsproxy-starter.8,$(MANDIR)/man8/xsproxy-starter.8)
	$(call put,0644,docs/man/xsproxyctl.8,$(MANDIR)/man8/xsproxyctl.8)
	$(call put,0644,docs/man/xsproxy.conf.5,$(MANDIR)/man5/xsproxy.conf.5)
	$(call put,0644,docs/man/libxsproxy-bridge.7,$(MANDIR)/man7/libxsproxy-bridge.7)
	$(call put,0644,docs/man/xsproxy.7,$(MANDIR)/man7/xsproxy.7)
	$(call put,0644,docs/protocol.md,$(PREFIX)/share/doc/xsproxy/protocol.md)
	$(call put,0644,README.md,$(PREFIX)/share/doc/xsproxy/README.md)
	$(call put,0644,docs/architecture.md,$(PREFIX)/share/doc/xsproxy/architecture.md)
	$(call put,0644,docs/daemons.md,$(PREFIX)/share/doc/xsproxy/daemons.md)
	$(call put,0644,docs/performance.md,$(PREFIX)/share/doc/xsproxy/performance.md)
	$(call put,0644,docs/security.md,$(PREFIX)/share/doc/xsproxy/security.md)
	$(Q)install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/doc/xsproxy share/json/xsproxyctl.schema.json
	$(call put,0644,xsproxy.conf.example,$(EXAMPLES)/xsproxy.conf.example)
	$(Q)install -D -m 0644 -t $(DESTDIR)$(EXAMPLES) share/prometheus/xsproxy.rules.yml
	$(Q)install -D -m 0644 share/grafana/xsproxy.json $(DESTDIR)$(EXAMPLES)/xsproxy.grafana.json
	$(Q)install -D -m 0644 share/bash-completion/xsproxyctl \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/xsproxyctl
	$(call put,0644,share/zsh/_xsproxyctl,$(ZSHDIR)/_xsproxyctl)
	$(Q)install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/xsproxy/wireshark share/wireshark/xenstore.lua
	$(Q)install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/xsproxy/wireshark/profile share/wireshark/profile/*
	$(Q)[ -e $(DESTDIR)/etc/xsproxy/xsproxy.conf ] || \
		install -D -m 0644 $(DESTDIR)$(EXAMPLES)/xsproxy.conf.example $(DESTDIR)/etc/xsproxy/xsproxy.conf

# On a copy of the tree: dpkg-buildpackage cleans up before it builds. Ends in $(BUILD)/deb/.
deb:
	@rm -rf $(BUILD)/deb
	@mkdir -p $(BUILD)/deb/xsproxy-$(VERSION)
	@tar -cf - --exclude-vcs --exclude=./build . | tar -xf - -C $(BUILD)/deb/xsproxy-$(VERSION)
	@cd $(BUILD)/deb/xsproxy-$(VERSION) && dpkg-buildpackage -b -us -uc >../log 2>&1 || \
		{ tail -40 ../log >&2; exit 1; }
	@ls $(BUILD)/deb/*.deb

# Likewise, for systems with RPM. rpmbuild of Debian knows nothing of what Debian has installed.
rpm:
	@rm -rf $(BUILD)/rpm
	@mkdir -p $(BUILD)/rpm/SOURCES
	@tar -czf $(BUILD)/rpm/SOURCES/xsproxy-$(VERSION).tar.gz --exclude-vcs --exclude=./build \
		--transform 's,^\.,xsproxy-$(VERSION),' .
	@rpmbuild -bb $(if $(wildcard /etc/debian_version),--nodeps) \
		--define '_topdir $(abspath $(BUILD))/rpm' packaging/xsproxy.spec \
		>$(BUILD)/rpm/log 2>&1 || { tail -40 $(BUILD)/rpm/log >&2; exit 1; }
	@ls $(BUILD)/rpm/RPMS/*/*.rpm

clean:
	rm -rf build

-include $(shell find $(BUILD)/obj $(BUILD)/pic -name '*.d' -type f 2>/dev/null)
