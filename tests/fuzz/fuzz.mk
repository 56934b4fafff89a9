# Fuzzers (tests/fuzz/*.c): libFuzzer, ASan and UBSan, in build/fuzz/. See tests/fuzz/run.
FUZZ_SECONDS ?= 60
FUZZ_SRC := $(wildcard tests/fuzz/*.c)
FUZZ := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz-%,$(FUZZ_SRC))
fuzz_wrap = $(patsubst %,-Wl$(,)--wrap=%,$(1))
, := ,

# The functions that a fuzzer puts its own in the place of (tests/fuzz/world.h and the .c say why).
FUZZ_WORLD := $(call fuzz_wrap,domains_session upstream_memory upstream_foreign upstream_lacks)
$(BUILD)/fuzz-session $(BUILD)/fuzz-upstream: LDFLAGS += $(FUZZ_WORLD)
$(BUILD)/fuzz-control: LDFLAGS += $(FUZZ_WORLD) $(call fuzz_wrap,clients_count clients_kept clients_waiting clients_waited keeper_there \
	keeper_foreign exchange_begin exchange_hindrance exchange_doing exchange_last)
$(BUILD)/fuzz-config: LDFLAGS += $(call fuzz_wrap,fopen)
$(BUILD)/fuzz-link: LDFLAGS += $(call fuzz_wrap,clients_upstream_up xen_open xen_free xen_fd xen_map \
	xen_unmap xen_bind xen_exists xen_unbind xen_notify)

$(FUZZ): $(BUILD)/fuzz-%: $(BUILD)/obj/tests/fuzz/%.o $(BUILD)/libunit.a
	$(call say,LD,$@)
	$(Q)$(CC) $(SAN_LINK) -fsanitize=fuzzer -o $@ $^ \
		$(call pkg_libs,$(PKGS_DAEMON) $(PKGS_STARTER) $(PKGS_CTL)) -linih $(LDFLAGS)

# Session code compares lengths and numbers that a guess finds as well; noting each comparison halves
# the speed.
$(BUILD)/obj/protocol/%.o $(BUILD)/obj/proxy/%.o $(BUILD)/obj/ring/%.o $(BUILD)/obj/tests/fuzz/%.o: STD += $(FUZZ_COVERAGE)

.PHONY: fuzz-programs fuzz-corpus
fuzz-programs:
	@$(MAKE) --no-print-directory CC=clang SAN=1 BUILD=build/fuzz \
		CFLAGS="-O2 -g -fsanitize=fuzzer-no-link" \
		FUZZ_COVERAGE=-fno-sanitize-coverage=trace-cmp \
		$(patsubst tests/fuzz/%.c,build/fuzz/fuzz-%,$(FUZZ_SRC))

fuzz: fuzz-programs
	@tests/fuzz/run --seconds $(FUZZ_SECONDS)

fuzz-corpus: fuzz-programs
	@tests/fuzz/run --corpus-only
