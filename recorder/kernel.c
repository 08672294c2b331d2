/* SPDX-License-Identifier: Apache-2.0 */
#include <linux/types.h>
#include <stdbool.h>

#include "recorder/kernel.h"

#include "bpf/record.h"
#include "format/sysdesc.h"

#include "bpf/record.skel.h"

#include "format/cleanup.h"
#include "format/io.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>
#include <sys/capability.h>

struct kernel {
	struct record *skel;
	struct ring_buffer *ring;
	int (*fn)(void *ctx, void *data, size_t len);
	void *ctx;
};

static int quiet(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	(void)level, (void)fmt, (void)ap;
	return 0;
}

static bool has_cap(cap_value_t cap)
{
	cap_flag_value_t v = CAP_CLEAR;
	cap_t mine = cap_get_proc();

	if (mine) {
		cap_get_flag(mine, cap, CAP_EFFECTIVE, &v);
		cap_free(mine);
	}
	return v == CAP_SET;
}

static int explain(int code, struct err *err)
{
	if (access("/sys/kernel/btf/vmlinux", R_OK) < 0)
		return err_set(err, ENOTSUP, "this kernel has no BTF (/sys/kernel/btf/vmlinux): recording needs one built with CONFIG_DEBUG_INFO_BTF=y");
	if (code == EPERM && !has_cap(CAP_BPF) && !has_cap(CAP_SYS_ADMIN))
		return err_set(err, EPERM, "no permission to load BPF programs: run as root, or give CAP_BPF: setcap cap_bpf,cap_perfmon,cap_sys_ptrace+ep $(command -v capsule)");
	if (code == EPERM)
		return err_set(err, EPERM, "loading BPF programs is not permitted here (CAP_PERFMON missing, or kernel lockdown): run as root outside of containers that filter bpf(2)");
	return err_sys(err, code, "loading the BPF programs (Linux 5.17 or later is needed)");
}

/* How many pid namespaces ours is away from the first: the numbers behind NSpid, less one. */
static uint32_t pid_namespace_level(void)
{
	_cleanup_free_ char *text = NULL;
	uint32_t n = 0;
	char *p;

	if (io_slurp("/proc/self/status", 1 << 20, &text, NULL) < 0 || !(p = strstr(text, "\nNSpid:")))
		return 0;
	for (p += strlen("\nNSpid:"); *p && *p != '\n'; p++)
		n += *p == '\t';
	return n ? n - 1 : 0;
}

static int on_sample(void *ctx, void *data, size_t len)
{
	struct kernel *k = ctx;

	return k->fn(k->ctx, data, len);
}

static void cleanup_kernel(struct kernel **k) { kernel_free(*k); }

int kernel_load(struct kernel **ret, uint64_t ring, struct err *err)
{
	int rc;

	libbpf_set_print(quiet);
	_cleanup_(cleanup_kernel) struct kernel *k = calloc(1, sizeof(*k));
	if (!k)
		return err_set(err, ENOMEM, "out of memory");
	k->skel = record__open();
	if (!k->skel)
		return explain(errno, err);
	k->skel->rodata->ns_level = pid_namespace_level();
	k->skel->rodata->recorder_tgid = (uint32_t)getpid();
	k->skel->rodata->ring_bytes = (uint32_t)ring;
	bpf_map__set_max_entries(k->skel->maps.ring, (uint32_t)ring);
	rc = record__load(k->skel);
	if (rc < 0)
		return explain(-rc, err);
	k->ring = ring_buffer__new(bpf_map__fd(k->skel->maps.ring), on_sample, k, NULL);
	if (!k->ring)
		return err_sys(err, errno, "mapping the ring buffer");
	*ret = TAKE_PTR(k);
	return 0;
}

void kernel_free(struct kernel *k)
{
	if (!k)
		return;
	ring_buffer__free(k->ring);
	record__destroy(k->skel);
	free(k);
}

int kernel_follow(struct kernel *k, pid_t pid, int pidfd, struct err *err)
{
	struct rec_thread first = { .tid = (uint32_t)pid, .tgid = (uint32_t)pid };

	k->skel->bss->live = 1;
	if (bpf_map_update_elem(bpf_map__fd(k->skel->maps.threads), &pidfd, &first, BPF_ANY) < 0)
		return err_sys(err, errno, "putting process %d into the scope", (int)pid);
	return 0;
}

int kernel_attach(struct kernel *k, struct err *err)
{
	int rc = record__attach(k->skel);

	return rc < 0 ? explain(-rc, err) : 0;
}

void kernel_detach(struct kernel *k)
{
	record__detach(k->skel);
}

int kernel_fd(const struct kernel *k)
{
	return ring_buffer__epoll_fd(k->ring);
}

int kernel_consume(struct kernel *k, int (*fn)(void *ctx, void *data, size_t len), void *ctx)
{
	k->fn = fn;
	k->ctx = ctx;
	k->skel->bss->woken = 0;
	return ring_buffer__consume(k->ring);
}

int64_t kernel_live(const struct kernel *k)
{
	return __atomic_load_n(&k->skel->bss->live, __ATOMIC_SEQ_CST);
}

uint64_t kernel_lost(const struct kernel *k)
{
	return k->skel->bss->lost;
}
