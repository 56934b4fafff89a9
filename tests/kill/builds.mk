# xsproxyds that are not this one, for tests/e2e/test_upgrade.py and test_foreign.py. Each has a
# directory with the one header that differs, in front of the others.

.PHONY: other-builds
other-builds: other-build

# The same source by the other compiler, unoptimised, with another version string.
OTHER := $(BUILD)/other
OTHER_CC := $(if $(findstring clang,$(CC)),gcc,clang)

$(OTHER)/include/config/config.h: config/config.h tests/kill/builds.mk
	@mkdir -p $(@D)
	@sed 's/\(XSPROXY_VERSION[[:space:]]*".*\)"/\1-other"/' $< >$@

.PHONY: other-build
other-build: $(OTHER)/include/config/config.h
	@$(MAKE) --no-print-directory BUILD=$(OTHER) CC=$(OTHER_CC) CFLAGS='-O0 -g' \
		DEFS='-D_GNU_SOURCE -I$(OTHER)/include -I.' $(OTHER)/xsproxyd

# $(call foreign,NAME,HEADER,MACRO,SOURCES): this build, but for one version number, which has a 9
# at its end; SOURCES are what looks at it.
define foreign
other-builds: $(BUILD)/foreign/$(1)/xsproxyd

$(BUILD)/foreign/$(1)/include/$(2): $(2) tests/kill/builds.mk
	@mkdir -p $$(@D)
	@sed -E 's/^(#define $(3)[[:space:]]+[0-9]+)($$$$|[[:space:]])/\19\2/' $$< >$$@
	@! cmp -s $$< $$@

$(BUILD)/foreign/$(1)/%.o: %.c $(BUILD)/foreign/$(1)/include/$(2) Makefile
	@mkdir -p $$(@D)
	$$(call say,CC,$$@)
	$$(Q)$$(CC) -I$(BUILD)/foreign/$(1)/include $$(ALL_CFLAGS) $$(SAN_FLAGS) -c -o $$@ $$<

$(BUILD)/foreign/$(1)/xsproxyd: $(patsubst %.c,$(BUILD)/foreign/$(1)/%.o,$(4)) \
		$(call objs,$(filter-out $(4),$(DAEMON_SRC)))
	$$(call say,LD,$$@)
	$$(Q)$$(CC) $$(SAN_LINK) -o $$@ $$^ $$(call pkg_libs,$$(PKGS_DAEMON)) -linih $$(LDFLAGS)
endef

$(eval $(call foreign,ledger,proxy/session/ledger.h,LEDGER_VERSION,proxy/session/ledger.c proxy/session/ledgers.c))
$(eval $(call foreign,ledgers,proxy/session/ledgers.h,LEDGERS_VERSION,proxy/session/ledgers.c proxy/host/upstream_take.c))
$(eval $(call foreign,rings,link/rings.h,RINGS_VERSION,link/rings.c))
$(eval $(call foreign,link,link/link.h,LINK_VERSION,proxy/host/upstream_take.c))

-include $(shell find $(BUILD)/foreign -name '*.d' -type f 2>/dev/null)

# The last release, for tests/e2e/test_release.py: upgrades to this one, and downgrades; where it can
# have been installed.
RELEASE := 0.1
RELEASED := $(BUILD)/release/xsproxy-$(RELEASE)
ifeq ($(shell cat tests/releases/xen),$(shell tests/xen-version 2>/dev/null))
other-builds: $(RELEASED)/build/xsproxyd
endif

$(RELEASED)/build/xsproxyd: tests/releases/xsproxy-$(RELEASE).tar.xz
	@rm -rf $(BUILD)/release
	@mkdir -p $(BUILD)/release
	@tar -xJf $< -C $(BUILD)/release
	$(call say,MAKE,$(RELEASED))
	$(Q)env -u MAKEFLAGS -u MAKELEVEL -u SAN -u BUILD $(MAKE) -s -C $(RELEASED) programs CC=gcc WERROR= >/dev/null
	@touch -c $@ && test -x $@

# One that a guest can crash, for tests/e2e/test_crash.py.
$(BUILD)/xsproxyd-crashing: $(call objs,$(DAEMON_SRC) tests/kill/crash.c)
	$(call say,LD,$@)
	$(Q)$(CC) $(SAN_LINK) -Wl,--wrap=up_step -Wl,--wrap=toolstack_recover -o $@ $^ $(call pkg_libs,$(PKGS_DAEMON)) -linih $(LDFLAGS)

other-builds: $(BUILD)/xsproxyd-crashing
