/* SPDX-License-Identifier: Apache-2.0 */
#include <linux/types.h>
#include <stdbool.h>

#include "recorder/kernel.h"

#include "recorder/btf.h"

#include "bpf/record.h"
#include "format/sysdesc.h"

#include "bpf/record.skel.h"

#include "format/cleanup.h"
#include "format/goroutine.h"
#include "format/io.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/sysmacros.h>
#include <time.h>

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

/* Opened twice: what the programs want of the kernel's types stands in themselves.  @types: to be closed when they are loaded. */
static struct record *open_skeleton(int *types)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts);
	char path[64];
	struct record *few;

	struct record *all = record__open();
	if (!all)
		return NULL;
	*types = btf_of_kernel(bpf_object__btf(all->obj));
	if (*types < 0)
		return all;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", *types);
	opts.btf_custom_path = path;
	few = record__open_opts(&opts);
	if (!few)
		return all;
	record__destroy(all);
	return few;
}

static void cleanup_kernel(struct kernel **k) { kernel_free(*k); }

static bool wants_here(const struct record_opts *opts)
{
	return opts->attach.npids || opts->attach.cgroup || opts->watches;
}

int kernel_load(struct kernel **ret, const struct record_opts *opts, struct err *err)
{
	uint64_t ring = opts->ring;
	int rc;

	_cleanup_fd_ int types = -1;
	libbpf_set_print(quiet);
	_cleanup_(cleanup_kernel) struct kernel *k = calloc(1, sizeof(*k));
	if (!k)
		return err_set(err, ENOMEM, "out of memory");
	k->skel = open_skeleton(&types);
	if (!k->skel)
		return explain(errno, err);
	k->skel->rodata->ns_level = pid_namespace_level();
	k->skel->rodata->recorder_tgid = (uint32_t)getpid();
	k->skel->rodata->ring_bytes = (uint32_t)ring;
	k->skel->rodata->many_scopes = opts->watches;
	k->skel->rodata->pause_bytes = opts->pause ? (uint32_t)(ring / 4) : 0;
	bpf_map__set_max_entries(k->skel->maps.ring, (uint32_t)ring);
	bpf_program__set_autoload(k->skel->progs.on_here_task, wants_here(opts));
	bpf_program__set_autoload(k->skel->progs.on_here_file, wants_here(opts));
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

void kernel_enter(struct kernel *k, uint32_t scope)
{
	k->skel->bss->here_scope = scope;
}

void kernel_new_scope(struct kernel *k, uint32_t scope)
{
	const struct { uint64_t dentry, mnt; } none = { 0 };	/* struct root */

	bpf_map_update_elem(bpf_map__fd(k->skel->maps.roots), &scope, &none, BPF_ANY);
	kernel_enter(k, scope);
}

void kernel_level(struct kernel *k, uint32_t scope, uint32_t level)
{
	bpf_map_update_elem(bpf_map__fd(k->skel->maps.levels), &scope, &level, BPF_ANY);
}

/* ---- what is here already ------------------------------------------------------- */

/* All that the iterator gives of @pid; without the kernel's own choice of tasks (since 6.1) it is asked of all. */
static int read_iterator(struct kernel *k, struct bpf_program *prog, pid_t pid, char **ret, size_t *len, struct err *err)
{
	union bpf_iter_link_info which = { .task.pid = (uint32_t)pid };
	LIBBPF_OPTS(bpf_iter_attach_opts, opts, .link_info = &which, .link_info_len = sizeof(which));
	struct bpf_link *link;
	int fd, rc;

	k->skel->bss->here_tgid = (uint32_t)pid;
	link = bpf_program__attach_iter(prog, &opts);
	if (!link)
		link = bpf_program__attach_iter(prog, NULL);
	if (!link)
		return err_sys(err, errno, "listing what process %d has", (int)pid);
	fd = bpf_iter_create(bpf_link__fd(link));
	rc = fd < 0 ? fd : io_slurp_fd(fd, 256 << 20, ret, len);
	if (fd >= 0)
		close(fd);
	bpf_link__destroy(link);
	k->skel->bss->here_tgid = 0;
	return rc < 0 ? err_sys(err, -rc, "listing what process %d has", (int)pid) : 0;
}

int kernel_here_tasks(struct kernel *k, pid_t pid, struct rec_here_task **ret, size_t *n, struct err *err)
{
	char *all = NULL;
	int rc = read_iterator(k, k->skel->progs.on_here_task, pid, &all, n, err);

	*ret = (void *)all;
	*n /= sizeof(**ret);
	return rc;
}

int kernel_here_files(struct kernel *k, pid_t pid, struct rec_here_file **ret, size_t *n, struct err *err)
{
	char *all = NULL;
	int rc = read_iterator(k, k->skel->progs.on_here_file, pid, &all, n, err);

	*ret = (void *)all;
	*n /= sizeof(**ret);
	return rc;
}

int kernel_inherited(struct kernel *k, uint64_t ino, uint32_t dev, bool file)
{
	struct { uint64_t ino; uint32_t dev, pad; } key = { .ino = ino, .dev = dev };	/* struct inode_key */
	uint32_t one = 1;

	if (file)
		k->skel->bss->inherited_files = 1;
	return bpf_map_update_elem(bpf_map__fd(k->skel->maps.inherited), &key, &one, BPF_ANY) < 0 ? -errno : 0;
}

int kernel_epoll_has(struct kernel *k, uint64_t set, uint64_t data, const struct rec_fd *what)
{
	struct { uint64_t set, data; } key = { set, data };	/* struct epoll_key */

	return bpf_map_update_elem(bpf_map__fd(k->skel->maps.epolls), &key, what, BPF_ANY) < 0 ? -errno : 0;
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
	__atomic_store_n(&k->skel->bss->awake, 1, __ATOMIC_SEQ_CST);
	return ring_buffer__consume(k->ring);
}

static int64_t microseconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000ll + t.tv_nsec / 1000;
}

int kernel_linger(struct kernel *k, unsigned int us)
{
	int64_t end = microseconds() + us;
	int n;

	do {
		for (int i = 0; i < 32; i++)
			__builtin_ia32_pause();
		n = ring_buffer__consume(k->ring);
	} while (n == 0 && microseconds() < end);
	return n;
}

int kernel_rest(struct kernel *k)
{
	__atomic_store_n(&k->skel->bss->awake, 0, __ATOMIC_SEQ_CST);
	return ring_buffer__consume(k->ring);
}

void kernel_know(struct kernel *k, uint64_t dev, uint64_t ino, int64_t ctime)
{
	const struct { uint64_t ino; uint32_t dev, pad; } key = { .ino = ino, .dev = (uint32_t)(major(dev) << 20 | minor(dev)) };

	bpf_map_update_elem(bpf_map__fd(k->skel->maps.ahead), &key, &ctime, BPF_ANY);	/* or it waits */
}

void kernel_goroutines(struct kernel *k, uint32_t tgid, const struct goroutine_layout *layout)
{
	int map = bpf_map__fd(k->skel->maps.layouts);
	struct rec_layout value;

	if (!layout) {
		if (k->skel->bss->goroutines)
			bpf_map_delete_elem(map, &tgid);
		return;
	}
	value = (struct rec_layout){ layout->number, layout->begins };
	if (bpf_map_update_elem(map, &tgid, &value, BPF_ANY) == 0)
		k->skel->bss->goroutines = 1;
}

int64_t kernel_live(const struct kernel *k)
{
	return __atomic_load_n(&k->skel->bss->live, __ATOMIC_SEQ_CST);
}

uint64_t kernel_lost(const struct kernel *k)
{
	return k->skel->bss->lost;
}

uint64_t kernel_missed(const struct kernel *k)
{
	struct bpf_program *prog;
	uint64_t n = 0;

	bpf_object__for_each_program(prog, k->skel->obj) {
		struct bpf_prog_info info = {};
		uint32_t len = sizeof(info);
		int fd = bpf_program__fd(prog);

		if (fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &len) == 0)
			n += info.recursion_misses;
	}
	return n;
}
