# Unit tests (libcheck) and the protocol explorers; included by the top-level Makefile.
.PHONY: unit unit-build unit-models unit-check
unit-build: $(B)/tests/models $(B)/tests/check $(B)/tests/handler.so
# make unit T=park: that suite alone, without the models
unit: $(if $(T)$(CASE),,unit-models) unit-check

# The libcheck suites, linked with all of the runtime and the hooks: pthread_create and the like in
# this binary are ours.  Nothing here switches stacks by itself, so any flags will do.
CHECK_SRC := tests/main.c $(wildcard tests/test_*.c)
CHECK_OBJ := $(CHECK_SRC:tests/%.c=$(B)/tests/check.d/%.o)
CHECK_CFLAGS := $(BASE_CFLAGS) -fexceptions -fno-omit-frame-pointer -DLIB_PATH='"$(B)/libgreenhook.so"' \
	-DHANDLER='"$(B)/tests/handler.so"'

$(B)/tests/check: $(CHECK_OBJ) $(LIB_OBJ)
	@echo "  LD      $@"
	$(Q)$(CC) $(CFLAGS) -o $@ $^ $(shell pkg-config --libs check) -ldl -pthread

# A module for suite native_module.
$(B)/tests/handler.so: integration/native/lib/handler.c integration/native/lib/handler.h $(wildcard include/greenhook/*.h)
	@mkdir -p $(@D)
	@echo "  CC      $<"
	$(Q)$(CC) $(CFLAGS) -std=gnu11 $(WARN) -Iinclude -fPIC -shared -o $@ $<

$(B)/tests/check.d/%.o: tests/%.c
	@mkdir -p $(@D)
	@echo "  CC      $<"
	$(Q)$(CC) $(CFLAGS) $(CHECK_CFLAGS) $(shell pkg-config --cflags check) -c -o $@ $<

# make unit T=park CASE=ready_before_park_is_not_lost FORK=no: one suite, one case, for gdb
unit-check: $(B)/tests/check $(B)/tests/handler.so $(B)/libgreenhook.so
	$(Q)$(if $(T),CK_RUN_SUITE=$(T)) $(if $(CASE),CK_RUN_CASE=$(CASE)) $(if $(FORK),CK_FORK=$(FORK)) \
		$(B)/tests/check

# The explorer (model.c and the memory it simulates) and one model per protocol of src/proto/.
# Never sanitized: its threads are longjmp'ed coroutines.  -O3: it is nothing but small functions.
MODEL_CFLAGS := -std=gnu11 -O3 -g -Wall -Wextra -Werror -D_GNU_SOURCE -DGHI_MODEL -I. -MMD -MP
MODEL_OBJ := $(patsubst %,$(B)/tests/model/%.o,model model_words model_tso model_weak model_memory \
	model_sync model_main model_park model_runq_2 model_runq_4 model_worker model_handoff model_chan model_pinned \
	model_bell model_start)

$(B)/tests/models: $(MODEL_OBJ)
	@echo "  LD      $@"
	$(Q)$(CC) -o $@ $^

$(B)/tests/model/model_runq_%.o: tests/model_runq.c
	@mkdir -p $(@D)
	@echo "  CC      $< (ring of $*)"
	$(Q)$(CC) $(MODEL_CFLAGS) -DGHI_RING_SIZE=$*u -c -o $@ $<

$(B)/tests/model/%.o: tests/%.c
	@mkdir -p $(@D)
	@echo "  CC      $<"
	$(Q)$(CC) $(MODEL_CFLAGS) -c -o $@ $<

# make unit-models MODEL=park: one model and its mutants
unit-models: $(B)/tests/models
	$(Q)$(B)/tests/models $(MODEL)

# No rule makes these by themselves: without this line make tries model_runq_2.d from model_runq_2.d.o.
$(MODEL_OBJ:.o=.d) $(CHECK_OBJ:.o=.d): ;
-include $(MODEL_OBJ:.o=.d) $(CHECK_OBJ:.o=.d)
