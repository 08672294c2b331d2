# SPDX-License-Identifier: Apache-2.0
# capsule: `make demo` and `make test` do everything, packages included.
O       ?= build
PREFIX  ?= /usr/local
# Where podman and CRI-O look for hooks, wherever the rest goes; oci-hooks(5).
HOOKS   ?= /usr/share/containers/oci/hooks.d
CFLAGS  ?= -O2 -g
VERSION := 0.1
BPF_CLANG ?= clang

PKGS     := libbpf libelf libdw libseccomp libcap libzstd msgpack libcrypto libpcre2-8 json-c yaml-0.1 zlib
PKG_CFLAGS = $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PKG_LIBS   = $(shell pkg-config --libs $(PKGS) 2>/dev/null || echo -lbpf -ldw -lelf -lseccomp -lcap -lzstd -lmsgpackc -lcrypto -lpcre2-8 -ljson-c -lyaml -lz) -lhttp_parser
WARN     := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Werror=unused-function -Wno-missing-field-initializers
ALL_CFLAGS = -std=gnu11 -D_GNU_SOURCE -DCAPSULE_TOOL='"capsule $(VERSION)"' $(WARN) -MMD -MP -I. -I$O $(PKG_CFLAGS) $(CFLAGS)
ARCH     := $(patsubst x86_64,x86,$(patsubst aarch64,arm64,$(shell uname -m)))
run       = $(if $V,,@printf '  %-5s %s\n' $(1) $(@:$O/%=%);)
objects   = $(patsubst %.c,$O/%.o,$(wildcard $(1)/*.c))
# A make below this one: quiet, and on all CPUs if nobody said otherwise.
submake   = +$(MAKE) --no-print-directory $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(shell nproc))

# Debian's packages for building, for the demo, for the tests.
BUILD_DEPS := gcc libc6-dev linux-libc-dev binutils pkg-config clang llvm bpftool libbpf-dev libelf-dev libdw-dev libseccomp-dev libcap-dev \
	      libzstd-dev libmsgpack-dev libssl-dev libpcre2-dev libhttp-parser-dev libjson-c-dev libyaml-dev zlib1g-dev scdoc
DEMO_DEPS  := nginx-light curl util-linux procps
TEST_DEPS  := $(DEMO_DEPS) dpkg-dev patch libxml2-utils python3-redis python3-psycopg2 redis-server redis-tools memcached apache2-bin postgresql dnsmasq-base openssl python3 nodejs libcmocka-dev strace musl-tools \
	      busybox-static iproute2 libcap2-bin liburing-dev wrk g++ \
	      nscd dbus libglib2.0-bin rsyslog gdb gcc-multilib bsdutils procps skopeo umoci podman buildah runc docker-registry \
	      qemu-system-x86 cpio kmod golang-go default-jdk-headless git wget perl libwww-perl ruby php-cli lua5.4 lua-socket sqlite3 rsync openssh-client openssh-server

all: $O/capsule

$O/capsule: $O/main.o $O/watch.a $O/recorder.a $O/proof.a $O/replayer.a $O/sandbox.a $O/format.a
	$(call run,LD)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(PKG_LIBS)

$O/format.a: $(call objects,format)
$O/sandbox.a: $(call objects,sandbox)
$O/proof.a: $(call objects,proof)
$O/watch.a: $(call objects,watch)
$O/recorder.a: $(call objects,recorder)
$O/replayer.a: $(call objects,replayer) $O/preload/shim_image.o
$O/%.a:
	@mkdir -p $(@D)
	@rm -f $@
	$(call run,AR)$(AR) rcs $@ $^

$O/%.o: %.c
	@mkdir -p $(@D)
	$(call run,CC)$(CC) $(ALL_CFLAGS) -c -o $@ $<

# What runs in the kernel. bpf/kernel.h describes the few kernel structures it touches (CO-RE), so no BTF is needed to build.
$O/bpf/%.bpf.o: bpf/%.bpf.c
	@mkdir -p $(@D)
	$(call run,BPF)$(BPF_CLANG) -g -O2 -Wall -Wno-unused-function -target bpf -D__BPF__ -D__TARGET_ARCH_$(ARCH) -I. \
		-I/usr/include/$(shell uname -m)-linux-gnu -MMD -MP -c -o $@ $<
$O/bpf/%.skel.h: $O/bpf/%.bpf.o
	$(call run,SKEL)PATH=$$PATH:/usr/sbin bpftool gen skeleton $< name $* >$@
$(call objects,recorder) $O/tests/unit/test_btf.o: | $O/bpf/record.skel.h

# The shim is a flat image that the replayer puts into the guest.
$O/preload/shim.elf: preload/shim.c preload/shim.ld
	@mkdir -p $(@D)
	$(call run,SHIM)$(CC) -std=gnu11 -O2 -g -Wall -Wextra -I. -MMD -MP -fPIC -fvisibility=hidden -ffreestanding -nostdlib -static \
		-fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables -mno-sse -mno-avx -Wl,--build-id=none -Wl,-T,preload/shim.ld -o $@ $<
$O/preload/shim.bin: $O/preload/shim.elf
	$(call run,BIN)objcopy -O binary $< $@
$O/preload/shim_image.o: preload/shim_image.S $O/preload/shim.bin
	$(call run,AS)$(CC) -I$O -c -o $@ $<

# ---- the two commands, and what they need ------------------------------------

deps:
	@tests/packages $(BUILD_DEPS) $(DEMO_DEPS)
# The sources of programs whose bugs tests/e2e/bugs.sh builds.
TEST_SOURCES := lua5.4 unzip tinyproxy
test-deps:
	@tests/packages $(BUILD_DEPS) $(TEST_DEPS)
	@tests/packages --optional libclang-rt-14-dev npm reprozip
	@tests/sources $O/sources $(TEST_SOURCES)

demo: deps
	$(submake) all
	@O=$O tests/demo.sh

demo-watch: test-deps
	$(submake) all
	@O=$O tests/demo-watch.sh

# $O/asan holds the same code with the sanitizers in it.
SANITIZE := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
test: test-deps
	$(submake) all programs man reader
	$(submake) O=$O/asan CFLAGS='$(SANITIZE)' all unit corpus
	@O=$O tests/run $(T)

bench: test-deps
	$(submake) all programs bench-programs
	@O=$O tests/bench/run.sh

# Ten minutes of a watch for which everything goes wrong; ten of redis-benchmark at full speed into one capsule, and its replay, which takes longer.
SOAK_SECONDS ?= 600
soak: test-deps
	$(submake) all
	@D=$$(mktemp -d) && unshare -m --propagation private python3 tests/chaos.py $(abspath $O)/capsule $$D $(SOAK_SECONDS) && rm -rf $$D
	@O=$O tests/bench/soak.sh $(SOAK_SECONDS)

# ---- what the tests run --------------------------------------------------------

programs  = $(patsubst %.c,$O/%,$(wildcard $(1)/*.c))
unit: $(patsubst %.c,$O/%,$(wildcard tests/unit/test_*.c))
corpus: $(patsubst %.c,$O/%,$(wildcard tests/fuzz/fuzz_*.c))
programs: $(call programs,tests/programs) $O/tests/programs/clocks-static $O/tests/programs/readings-static $O/tests/programs/teller-static \
	  $O/tests/programs/alter $O/tests/programs/forge $O/tests/programs/calls
	@! command -v musl-gcc >/dev/null || $(MAKE) --no-print-directory O=$O $O/tests/programs/clocks-musl $O/tests/programs/readings-musl
	@! command -v go >/dev/null || $(MAKE) --no-print-directory O=$O $O/tests/programs/readings-go
bench-programs: $(call programs,tests/bench)
# The second reader's msgpack and zstd; without npm or a registry its case is skipped.
reader: $O/reader.stamp
$O/reader.stamp: $(wildcard tests/reader/package*.json)
	@mkdir -p $(@D)
	@! command -v npm >/dev/null || { cd tests/reader && npm install --silent --no-audit --no-fund >/dev/null 2>&1; } || \
		echo 'npm could not fetch what tests/reader needs'
	@touch $@

ARCHIVES = $O/watch.a $O/recorder.a $O/proof.a $O/replayer.a $O/sandbox.a $O/format.a
$O/tests/unit/%: $O/tests/unit/%.o $(ARCHIVES)
	$(call run,LD)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $< -Wl,--start-group $(ARCHIVES) -Wl,--end-group -lcmocka $(PKG_LIBS)
$O/tests/fuzz/%: $O/tests/fuzz/%.o $O/tests/fuzz_main.o $(ARCHIVES)
	$(call run,LD)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $< $O/tests/fuzz_main.o -Wl,--start-group $(ARCHIVES) -Wl,--end-group $(PKG_LIBS)
# The programs that are recorded are strangers to our code.
STRANGER  := -std=gnu11 -D_GNU_SOURCE -O2 -g -Wall -Wextra
$O/tests/programs/%: tests/programs/%.c
	@mkdir -p $(@D)
	$(call run,CC)$(CC) $(STRANGER) -pthread -o $@ $< $(LIBS)
$O/tests/programs/uring: LIBS = -luring
$O/tests/bench/%: tests/bench/%.c
	@mkdir -p $(@D)
	$(call run,CC)$(CC) $(STRANGER) -o $@ $<
$O/tests/programs/%-static: tests/programs/%.c
	@mkdir -p $(@D)
	$(call run,CC)$(CC) $(STRANGER) -static -pthread -o $@ $<
$O/tests/programs/%-musl: tests/programs/%.c
	@mkdir -p $(@D)
	$(call run,CC)musl-gcc $(STRANGER) -static -o $@ $<
$O/tests/programs/%-go: tests/programs/%.go
	@mkdir -p $(@D)
	$(call run,GO)CGO_ENABLED=0 GOCACHE=$(abspath $O)/go GOFLAGS=-buildvcs=false go build -o $@ $<
$O/tests/programs/alter $O/tests/programs/forge: $O/tests/programs/%: $O/tests/%.o $O/format.a
	@mkdir -p $(@D)
	$(call run,LD)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(PKG_LIBS)

# One program for all rows of the table: of our code it has the table only.
$O/tests/calls/%.o: tests/calls/%.c
	@mkdir -p $(@D)
	$(call run,CC)$(CC) $(STRANGER) -Wno-unused-result -I. -MMD -MP -c -o $@ $<
$O/tests/programs/calls: $(call objects,tests/calls)
	@mkdir -p $(@D)
	$(call run,LD)$(CC) -pthread -o $@ $^ -lrt

# A minute for each fuzzer, from its corpus; what it finds stays in $O/fuzz.
FUZZ_SECONDS ?= 60
fuzz:
	$(submake) O=$O/fuzz CC=clang CFLAGS='-O1 -g -fsanitize=address,undefined,fuzzer-no-link' fuzzers
	@for f in $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_*.c)); do \
		what=$${f#fuzz_}; mkdir -p $O/fuzz/corpus/$$what tests/fuzz/corpus/$$what; \
		$O/fuzz/tests/fuzzer/$$f -max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=1024 -artifact_prefix=$O/fuzz/$$f- \
			$O/fuzz/corpus/$$what tests/fuzz/corpus/$$what || exit 1; \
	done
fuzzers: $(patsubst tests/fuzz/%.c,$O/tests/fuzzer/%,$(wildcard tests/fuzz/fuzz_*.c))
$O/tests/fuzzer/%: $O/tests/fuzz/%.o $(ARCHIVES)
	@mkdir -p $(@D)
	$(call run,LD)$(CC) $(CFLAGS) -fsanitize=fuzzer -o $@ $< -Wl,--start-group $(ARCHIVES) -Wl,--end-group $(PKG_LIBS)

# ---- putting it where it belongs ------------------------------------------------

man: $O/man/capsule.1 $(if $(wildcard format/capsule.5.scd),$O/man/capsule.5)
$O/man/%: %.scd
	@mkdir -p $(@D)
	$(call run,MAN)scdoc <$< >$@
$O/man/%: format/%.scd
	@mkdir -p $(@D)
	$(call run,MAN)scdoc <$< >$@

install: all man
	install -D -m 755 $O/capsule $(DESTDIR)$(PREFIX)/bin/capsule
	install -D -m 644 $O/man/capsule.1 $(DESTDIR)$(PREFIX)/share/man/man1/capsule.1
	install -D -m 644 $O/man/capsule.5 $(DESTDIR)$(PREFIX)/share/man/man5/capsule.5
	install -D -m 644 examples/policy.yaml $(DESTDIR)$(PREFIX)/share/doc/capsule/policy.yaml
	@mkdir -p $(DESTDIR)$(PREFIX)/lib/systemd/system
	sed 's,/usr/local/bin/,$(PREFIX)/bin/,' examples/capsule-watch.service >$(DESTDIR)$(PREFIX)/lib/systemd/system/capsule-watch.service
	install -D -m 644 capsule.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/capsule
	install -d -m 755 $(DESTDIR)$(HOOKS)
	sed 's,@PREFIX@,$(PREFIX),' recorder/capsule-hook.json >$(DESTDIR)$(HOOKS)/capsule.json

clean:
	rm -rf $O

.PHONY: all clean deps test-deps demo demo-watch test bench soak unit reader corpus programs bench-programs fuzz fuzzers man install
.DELETE_ON_ERROR:
.SECONDARY:
-include $(wildcard $O/*.d $O/*/*.d $O/*/*/*.d)
