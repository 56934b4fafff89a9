# Programs in which any allocation can be made to fail: tests/fault/fail.c says how.
FAIL_WRAPPED := malloc calloc realloc reallocarray strdup asprintf fopen fdopen open_memstream \
	fopencookie getline mmap fallocate xengnttab_open xengnttab_map_grant_ref xenevtchn_open \
	xenevtchn_bind_interdomain
FAILING := $(BUILD)/xsproxyd-failing $(BUILD)/xsproxyctl-failing

$(BUILD)/xsproxyd-failing: $(call objs,$(DAEMON_SRC) tests/fault/fail.c)
$(BUILD)/xsproxyctl-failing: $(call objs,$(CTL_SRC) $(MIGRATION_SRC) $(TRACE_SRC) $(TEXT_SRC) $(PROTOCOL_SRC) \
	$(CONFIG_SRC) link/link.c tests/fault/fail.c)

$(FAILING):
	$(call say,LD,$@)
	$(Q)$(CC) $(SAN_LINK) $(foreach f,$(FAIL_WRAPPED),-Wl,--wrap=$(f)) -o $@ $^ \
		$(call pkg_libs,$(PKGS_DAEMON) $(PKGS_CTL)) -linih $(LDFLAGS)
