# Assent. `make help` lists the targets; README.md starts with the two that matter.
VERSION   := 0.1.0
SOVERSION := 0
prefix    ?= /usr/local
bindir    ?= $(prefix)/bin
libdir    ?= $(prefix)/lib
includedir ?= $(prefix)/include
datadir   ?= $(prefix)/share

# One build directory per variant: release (default), asan, ubsan, tsan, coverage.
VARIANT ?= release
# V=1 shows the commands.
V ?= 0
Q := $(if $(filter 1,$(V)),,@)
BUILD   := build/$(VARIANT)

PACKAGES := gcc make pkg-config libuv1-dev libsqlite3-dev libmsgpack-dev libsodium-dev \
            libcyaml-dev libyaml-dev libjansson-dev uthash-dev libbsd-dev libcsv-dev libjs-dygraphs \
            libedit-dev libmimalloc-dev
TEST_PACKAGES := libcmocka-dev jq sqlite3 spin procps chromium valgrind gnuplot-nox
DEV_PACKAGES  := clang-format
PKGS     := libuv sqlite3 msgpack libsodium libcyaml yaml-0.1 jansson libbsd

CC     ?= gcc
AR     ?= ar
WARN   := -Wall -Wextra -Werror -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes \
          -Wmissing-prototypes -Wpointer-arith -Wcast-qual -Wwrite-strings -Wundef -Wvla \
          -Wformat=2 -Wnull-dereference -Wimplicit-fallthrough
OPT_release := -O2 -g
OPT_asan    := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
OPT_ubsan   := -O1 -g -fno-omit-frame-pointer -fsanitize=undefined -fno-sanitize-recover=all
OPT_tsan    := -O1 -g -fno-omit-frame-pointer -fsanitize=thread
OPT_coverage := -O0 -g --coverage
DEFS   := -D_GNU_SOURCE -DASSENT_VERSION='"$(VERSION)"' -DASSENT_VARIANT='"$(VARIANT)"'
INC    := -Iinclude -I. $(shell pkg-config --cflags $(PKGS) libedit 2>/dev/null)
CFLAGS += -std=c11 $(OPT_$(VARIANT)) $(WARN) $(DEFS) $(INC) -fPIC -fvisibility=hidden -MMD -MP
LDLIBS := $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lcsv -lm -lpthread
# What the shared library needs: no database, no JSON.
LIB_LDLIBS := $(shell pkg-config --libs libuv msgpack libsodium libcyaml yaml-0.1 libbsd 2>/dev/null) \
              -lpthread
# The daemons' allocator; a sanitizer brings its own.
MALLOC_release := -lmimalloc
LDFLAGS += $(filter -fsanitize% --coverage,$(OPT_$(VARIANT)))

# Folders whose files (but the mains) are objects of one archive; a program takes what it refers to.
FOLDERS := common wire runtime coordinator participant client chaos
MAINS   := coordinator/main.c participant/main.c $(wildcard client/command*.c) $(wildcard chaos/main*.c)
SOURCES := $(filter-out $(MAINS),$(foreach d,$(FOLDERS),$(wildcard $(d)/*.c)))
OBJECTS := $(SOURCES:%.c=$(BUILD)/%.o)
ARCHIVE := $(BUILD)/assent.a
LIB     := $(BUILD)/libassent.so.$(VERSION)
LIB_OBJECTS := $(filter $(BUILD)/common/% $(BUILD)/wire/% $(BUILD)/client/% \
               $(addprefix $(BUILD)/runtime/,cluster.o cluster_build.o cluster_schema.o \
               admission.o conn.o dialer.o file.o keys.o log.o transport.o),$(OBJECTS))
PROGRAMS := $(BUILD)/assent-coordinator $(BUILD)/assent-participant $(BUILD)/assent \
            $(BUILD)/assent-chaos

UNIT_TESTS := $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(wildcard tests/unit/test_*.c))
TEST_LIB_OBJECTS := $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/lib/*.c) tests/sim/disks.c tests/sim/disks_vfs.c)
TEST_LIB   := $(BUILD)/tests/lib.a
SCENARIOS  := $(sort $(wildcard tests/scenario/*.txt))
SIM_OBJECTS := $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/sim/*.c))
SIM        := $(BUILD)/tests/sim/sim
JOBS       ?= $(shell nproc)

.PHONY: chaos chaos-long deps-test all mutants coverage sim sim-long model model-small bench-peers bench-levels bench-quick bench-scaling latency help deps deps-dev tests test check unit scenario integration demo asan ubsan tsan tidy format install clean
.DEFAULT_GOAL := all
.SECONDARY:

all: $(PROGRAMS) $(LIB) ## build the daemons, the command, the chaos harness and libassent

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

# $(call install-missing,packages): installs those that are not there, and says which.
define install-missing
missing=''; for p in $(1); do \
  dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$p"; \
done; \
if [ -z "$$missing" ]; then echo '$@: everything is installed'; else \
  echo "$@: installing$$missing"; \
  sudo=''; [ "$$(id -u)" = 0 ] || sudo=sudo; \
  $$sudo apt-get update -q && \
  $$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $$missing; \
fi
endef

deps: ## install the Debian packages that are missing
	@$(call install-missing,$(PACKAGES))

deps-test: ## install what only the tests need
	@$(call install-missing,$(TEST_PACKAGES))

deps-dev: ## install what only `make tidy` needs
	@$(call install-missing,$(DEV_PACKAGES))

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC    $<"
	$(Q)$(CC) $(CFLAGS) -c $< -o $@

$(BUILD)/chaos/report_page.o: chaos/report_page.html

$(ARCHIVE): $(OBJECTS)
	@rm -f $@
	@echo "  AR    $@"
	$(Q)$(AR) rcs $@ $^

$(BUILD)/assent-coordinator: $(BUILD)/coordinator/main.o $(ARCHIVE)
	@echo "  LINK  $@"
	$(Q)$(CC) $(LDFLAGS) $^ $(MALLOC_$(VARIANT)) $(LDLIBS) -o $@
$(BUILD)/assent-participant: $(BUILD)/participant/main.o $(ARCHIVE)
	@echo "  LINK  $@"
	$(Q)$(CC) $(LDFLAGS) $^ $(MALLOC_$(VARIANT)) $(LDLIBS) -o $@
$(BUILD)/assent: $(patsubst %.c,$(BUILD)/%.o,$(wildcard client/command*.c)) $(ARCHIVE)
	@echo "  LINK  $@"
	$(Q)$(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@
$(BUILD)/assent: LDLIBS += $(shell pkg-config --libs libedit 2>/dev/null)
$(BUILD)/assent-chaos: $(patsubst %.c,$(BUILD)/%.o,$(wildcard chaos/main*.c)) $(ARCHIVE)
	@echo "  LINK  $@"
	$(Q)$(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@

$(TEST_LIB): $(TEST_LIB_OBJECTS)
	@rm -f $@
	@echo "  AR    $@"
	$(Q)$(AR) rcs $@ $^

$(BUILD)/tests/scenario/scenario: $(BUILD)/tests/scenario/scenario.o $(TEST_LIB) $(ARCHIVE)
	@echo "  LINK  $@"
	$(Q)$(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@

$(SIM): $(SIM_OBJECTS) $(ARCHIVE)
	@echo "  LINK  $@"
	$(Q)$(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@

$(LIB): $(LIB_OBJECTS) client/libassent.map
	@echo "  LINK  $@"
	$(Q)$(CC) $(LDFLAGS) -shared -Wl,-soname,libassent.so.$(SOVERSION) \
	  -Wl,--version-script=client/libassent.map -Wl,--no-undefined $(LIB_OBJECTS) $(LIB_LDLIBS) -o $@
	@ln -sf libassent.so.$(VERSION) $(BUILD)/libassent.so.$(SOVERSION)
	@ln -sf libassent.so.$(SOVERSION) $(BUILD)/libassent.so

$(BUILD)/tests/unit/%: $(BUILD)/tests/unit/%.o $(TEST_LIB) $(ARCHIVE)
	@echo "  LINK  $@"
	$(Q)$(CC) $(LDFLAGS) $^ $(LDLIBS) -lcmocka -o $@

scenario: $(BUILD)/tests/scenario/scenario ## run the scenario scripts; REWRITE=1 writes what they print
	$< $(if $(filter 1,$(REWRITE)),--rewrite) $(SCENARIOS)

sim: $(SIM) ## simulate whole clusters: SEEDS=n of them (default 2000), or SEED=s with its trace
	$(SIM) $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),2000) --jobs $(JOBS)) --scale $(or $(SCALE),1)

mutants: ## plant protocol bugs, one at a time; the simulator must find each: MUTANTS="NAME ..." for some
	tests/sim/mutants --jobs $(JOBS) $(MUTANTS)

sim-long: $(SIM) ## the same for long: all small worlds, 50,000 seeds, 2,000 long ones
	$(SIM) --worlds --jobs $(JOBS)
	$(SIM) --seeds 50000 --jobs $(JOBS)
	$(SIM) --seeds 2000 --from 1000000 --scale 10 --jobs $(JOBS)

tests: all $(UNIT_TESTS) $(BUILD)/tests/scenario/scenario $(SIM)

# `deps` may install what the top of this file asks pkg-config about: hence a second make.
test: ## install what is missing, build, and run all tests
	@$(MAKE) --no-print-directory deps deps-test
	@$(MAKE) --no-print-directory tests
	tests/run $(BUILD)

unit: tests ## run the unit tests only
	tests/run $(BUILD) unit

integration: tests ## run the integration tests only: real daemons, killed and restarted
	tests/run $(BUILD) integration

model-small: ## check the protocol's model with spin, and that it finds each rule that is taken away
	BUILD=$(BUILD)/model tests/model/run small mutants

model: ## the same with more crashes and recoverers: minutes, 2 GB of memory
	BUILD=$(BUILD)/model tests/model/run small mutants large

coverage: ## line and branch coverage of cores and storage, by unit tests, scenarios and simulator
	@$(call install-missing,gcovr)
	@$(MAKE) --no-print-directory VARIANT=coverage tests
	SEEDS=$(or $(SEEDS),1000) tests/run build/coverage unit scenario sim
	gcovr --root . --object-directory build/coverage --exclude-throw-branches \
	  --filter coordinator/ --filter participant/ --filter 'runtime/(driver|storage|log_store|store_)' \
	  --exclude '.*/main.c' --exclude-branches-by-pattern '.*(HASH_|RB_|TAILQ_).*' --branches --print-summary $(GCOVR)

PEER_OBJECTS := $(addprefix $(BUILD)/bench/,postgres_2pc.o mariadb_2pc.o two_phase.o decision_log.o)
$(BUILD)/bench/postgres_2pc.o: CFLAGS += $(shell pkg-config --cflags libpq 2>/dev/null)
$(BUILD)/bench/postgres_2pc: LDLIBS += $(shell pkg-config --libs libpq 2>/dev/null)
$(BUILD)/bench/mariadb_2pc.o: CFLAGS += $(shell pkg-config --cflags libmariadb 2>/dev/null)
$(BUILD)/bench/mariadb_2pc: LDLIBS += $(shell pkg-config --libs libmariadb 2>/dev/null)
$(BUILD)/bench/%_2pc: $(BUILD)/bench/%_2pc.o $(BUILD)/bench/two_phase.o $(BUILD)/bench/decision_log.o $(ARCHIVE)
	@echo "  LINK  $@"
	$(Q)$(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@

bench-peers: all ## transfers beside PostgreSQL and MariaDB; ROUNDS=3 SECONDS=5 CLIENTS="1 64" PARTICIPANTS="2 3" COORDINATORS="1 3"
	bench/peers $(BUILD) $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(SECONDS),--seconds $(SECONDS)) \
	  $(if $(CLIENTS),--clients "$(CLIENTS)") $(if $(PARTICIPANTS),--participants "$(PARTICIPANTS)") \
	  $(if $(COORDINATORS),--coordinators "$(COORDINATORS)")

LEVELS_OBJECTS := $(BUILD)/bench/levels.o $(BUILD)/bench/closed_loop.o
$(BUILD)/bench-levels: $(LEVELS_OBJECTS) $(ARCHIVE)
	@echo "  LINK  $@"
	$(Q)$(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@

bench-quick: tests ## instructions of a fixed simulated load, beside the stored figure
	@$(MAKE) --no-print-directory deps-test
	bench/quick $(BUILD)

bench-levels: all $(BUILD)/bench-levels ## ratios of strong reads, hot counters, many versions; SECONDS=10 PARTS="1 2 3"
	$(BUILD)/bench-levels $(if $(SECONDS),--seconds $(SECONDS)) $(PARTS)

bench-scaling: all ## throughput and latency as one thing grows, with plots; PARTS="nodes keys ..." SECONDS=3 KEYS=10000000 OUT=DIR
	bench/scaling $(BUILD) $(if $(SECONDS),--seconds $(SECONDS)) $(if $(KEYS),--keys $(KEYS)) $(if $(OUT),--out $(OUT)) $(PARTS)

latency: all ## commit latency between datacenters beside the round trip; COORDINATORS=1 or 3
	@rm -rf demo-cluster
	$(BUILD)/assent-chaos latency --dir demo-cluster $(if $(COORDINATORS),--coordinators $(COORDINATORS))

demo: ## three datacenters on this machine, a coordinator killed in mid-commit; KEEP=1 leaves them up
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory all
	@rm -rf demo-cluster
	$(BUILD)/assent-chaos demo --dir demo-cluster $(if $(KEEP),--keep)

chaos: ## five minutes of every fault on real processes: the mix, then a datacenter lost; SEED=n
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory all
	@rm -rf chaos-runs/mix chaos-runs/lost-leader && mkdir -p chaos-runs
	$(BUILD)/assent-chaos run mix --dir chaos-runs/mix $(if $(SEED),--seed $(SEED))
	$(BUILD)/assent-chaos run lost-leader --dir chaos-runs/lost-leader $(if $(SEED),--seed $(SEED))

chaos-long: all ## the same for half an hour
	@rm -rf chaos-runs/long && mkdir -p chaos-runs
	$(BUILD)/assent-chaos run long --dir chaos-runs/long $(if $(SEED),--seed $(SEED))

asan: ## all tests under the address and undefined-behaviour sanitizers
	$(MAKE) VARIANT=asan tests
	ASAN_OPTIONS=detect_leaks=1:abort_on_error=0 tests/run build/asan

ubsan: ## all tests under the undefined-behaviour sanitizer
	$(MAKE) VARIANT=ubsan tests
	tests/run build/ubsan

tsan: ## unit and integration tests under the thread sanitizer
	$(MAKE) VARIANT=tsan tests
	TSAN_OPTIONS=halt_on_error=1 tests/run build/tsan

tidy: ## check format, line and function length, forbidden includes and calls
	tests/tidy/tidy

format: ## format all sources in place
	clang-format -i $(wildcard */*.[ch] tests/*/*.[ch] include/assent/*.h)

install: all ## install programs, library, headers and pkg-config file (DESTDIR, prefix)
	install -d $(DESTDIR)$(bindir) $(DESTDIR)$(libdir)/pkgconfig $(DESTDIR)$(includedir)/assent
	install -m 755 $(PROGRAMS) $(DESTDIR)$(bindir)
	install -m 755 $(LIB) $(DESTDIR)$(libdir)
	ln -sf libassent.so.$(VERSION) $(DESTDIR)$(libdir)/libassent.so.$(SOVERSION)
	ln -sf libassent.so.$(SOVERSION) $(DESTDIR)$(libdir)/libassent.so
	install -m 644 $(wildcard include/assent/*.h) $(DESTDIR)$(includedir)/assent
	install -d $(DESTDIR)$(datadir)/assent/scenarios
	install -m 644 $(wildcard chaos/scenarios/*) $(DESTDIR)$(datadir)/assent/scenarios
	sed -e 's|@prefix@|$(prefix)|; s|@libdir@|$(libdir)|; s|@includedir@|$(includedir)|; s|@version@|$(VERSION)|' \
	  client/assent.pc.in > $(DESTDIR)$(libdir)/pkgconfig/assent.pc

clean: ## remove everything that was built
	rm -rf build

-include $(OBJECTS:.o=.d) $(MAINS:%.c=$(BUILD)/%.d) $(UNIT_TESTS:=.d) $(TEST_LIB_OBJECTS:.o=.d) \
         $(SIM_OBJECTS:.o=.d) $(BUILD)/tests/scenario/scenario.d $(PEER_OBJECTS:.o=.d) $(LEVELS_OBJECTS:.o=.d)
