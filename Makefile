# SPDX-License-Identifier: Apache-2.0
# capsule: `make demo` and `make test` do everything, packages included.
O       ?= build
PREFIX  ?= /usr/local
CFLAGS  ?= -O2 -g
VERSION := 0.1
BPF_CLANG ?= clang

PKGS     := libbpf libelf libseccomp libcap libzstd msgpack libcrypto
PKG_CFLAGS = $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PKG_LIBS   = $(shell pkg-config --libs $(PKGS) 2>/dev/null || echo -lbpf -lelf -lseccomp -lcap -lzstd -lmsgpackc -lcrypto)
WARN     := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Werror=unused-function -Wno-missing-field-initializers
ALL_CFLAGS = -std=gnu11 -D_GNU_SOURCE -DCAPSULE_TOOL='"capsule $(VERSION)"' $(WARN) -MMD -MP -I. -I$O $(PKG_CFLAGS) $(CFLAGS)
ARCH     := $(patsubst x86_64,x86,$(patsubst aarch64,arm64,$(shell uname -m)))
run       = $(if $V,,@printf '  %-5s %s\n' $(1) $(@:$O/%=%);)
objects   = $(patsubst %.c,$O/%.o,$(wildcard $(1)/*.c))

all: $O/capsule

$O/capsule: $O/main.o $O/recorder.a $O/replayer.a $O/sandbox.a $O/format.a
	$(call run,LD)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(PKG_LIBS)

$O/format.a: $(call objects,format)
$O/sandbox.a: $(call objects,sandbox)
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
$(call objects,recorder): | $O/bpf/record.skel.h

# The shim is a flat image that the replayer puts into the guest.
$O/preload/shim.elf: preload/shim.c preload/shim.ld
	@mkdir -p $(@D)
	$(call run,SHIM)$(CC) -std=gnu11 -O2 -g -Wall -Wextra -I. -MMD -MP -fPIC -fvisibility=hidden -ffreestanding -nostdlib -static \
		-fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables -mno-sse -mno-avx -Wl,--build-id=none -Wl,-T,preload/shim.ld -o $@ $<
$O/preload/shim.bin: $O/preload/shim.elf
	$(call run,BIN)objcopy -O binary $< $@
$O/preload/shim_image.o: preload/shim_image.S $O/preload/shim.bin
	$(call run,AS)$(CC) -I$O -c -o $@ $<

clean:
	rm -rf $O

.PHONY: all clean
.DELETE_ON_ERROR:
.SECONDARY:
-include $(wildcard $O/*.d $O/*/*.d $O/*/*/*.d)
