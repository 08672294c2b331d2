/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System calls in the guest's name: their code is put over the start of the
 * vDSO's clock_gettime (which is redirected afterwards anyway), the guest runs
 * it, and an int3 gives it back.
 *
 *	int3; syscall; int3
 *
 * The first int3 is there because of where an exec stop is: inside execve,
 * whose result the kernel still has to put into rax.
 *
 * All signals but SIGTRAP are blocked meanwhile, so they stay pending with all
 * that belongs to them; SIGSTOP can't be, and is sent anew.
 */
#include "replayer/inject.h"

#include "format/cleanup.h"
#include "format/vdso.h"
#include "preload/shim.h"
#include "sandbox/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

#define HWCAP2_FSGSBASE 2	/* arch/x86/include/uapi/asm/hwcap2.h */
#define PATH_ROOM 256		/* bytes for inject.path */

extern const uint8_t shim_image[], shim_image_end[];

struct remote {
	pid_t tid;
	int mem;
	uint64_t code;		/* address of the three instructions */
	bool stopped;		/* a SIGSTOP came and was held back */
	struct user_regs_struct regs;	/* as they were */
	uint64_t mask;		/* likewise */
};

/* ---- running the guest a little ----------------------------------------- */

/* Waits for @r's next stop. Leaves the status of a dead task to its main loop. */
static int wait_stop(struct remote *r, int *status)
{
	siginfo_t si = { 0 };

	while (waitid(P_PID, (id_t)r->tid, &si, WSTOPPED | WEXITED | WNOWAIT | __WALL) < 0)
		if (errno != EINTR)
			return errno == ECHILD ? -ESRCH : -errno;
	if (si.si_code == CLD_EXITED || si.si_code == CLD_KILLED || si.si_code == CLD_DUMPED)
		return -ESRCH;
	while (waitpid(r->tid, status, __WALL) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFSTOPPED(*status) ? 0 : -ESRCH;
}

static bool is_our_trap(struct remote *r, int status, uint64_t rip, struct user_regs_struct *regs)
{
	if (status >> 8 != SIGTRAP)	/* no PTRACE_EVENT_* in it */
		return false;
	return ptrace(PTRACE_GETREGS, r->tid, NULL, regs) == 0 && regs->rip == rip;
}

/* Lets it run to the int3 before @rip; @regs are those it has there. */
static int run_to(struct remote *r, uint64_t rip, struct user_regs_struct *regs)
{
	for (;;) {
		int status, rc;

		if (ptrace(PTRACE_CONT, r->tid, NULL, NULL) < 0)
			return -errno;
		rc = wait_stop(r, &status);
		if (rc < 0)
			return rc;
		if (is_our_trap(r, status, rip, regs))
			return 0;
		if (WSTOPSIG(status) == SIGSTOP)
			r->stopped = true;
		else if (WSTOPSIG(status) != SIGTRAP)	/* SIGSYS: a filter of the guest's own. SIGSEGV, SIGILL: it can't run here. */
			return -EPERM;
	}
}

static int set_mask(pid_t tid, uint64_t mask)
{
	return ptrace(PTRACE_SETSIGMASK, tid, sizeof(mask), &mask) < 0 ? -errno : 0;
}

/* From the exec stop to the first int3. */
static int remote_begin(struct remote *r, uint64_t code)
{
	static const uint8_t text[] = { 0xcc, 0x0f, 0x05, 0xcc };
	struct user_regs_struct regs;
	int rc;

	r->code = code;
	if (ptrace(PTRACE_GETREGS, r->tid, NULL, &r->regs) < 0 ||
	    ptrace(PTRACE_GETSIGMASK, r->tid, sizeof(r->mask), &r->mask) < 0)
		return -errno;
	rc = vdso_write(r->mem, code, text, sizeof(text));
	if (rc == 0)
		rc = set_mask(r->tid, ~(1ull << (SIGTRAP - 1)));
	if (rc < 0)
		return rc;
	regs = r->regs;
	regs.rip = code;
	if (ptrace(PTRACE_SETREGS, r->tid, NULL, &regs) < 0)
		return -errno;
	return run_to(r, code + 1, &regs);
}

/* All as it was, but for the text, and for the gs base by which the shim knows the thread. */
static int remote_end(struct remote *r, bool seated)
{
	struct user_regs_struct regs = r->regs;
	int rc;

	if (seated)
		regs.gs_base = SHIM_SEAT(1);
	regs.rax = 0;			/* execve's result, which the exec stop did not show yet */
	regs.orig_rax = (uint64_t)-1;	/* nothing to restart */
	if (ptrace(PTRACE_SETREGS, r->tid, NULL, &regs) < 0)
		return -errno;
	rc = set_mask(r->tid, r->mask);
	if (r->stopped && syscall(SYS_tkill, r->tid, SIGSTOP) < 0 && rc == 0)
		rc = -errno;
	return rc;
}

/* The call's result is @ret; negative: the guest is not there any more. */
static int remote_call(struct remote *r, const uint64_t call[7], int64_t *ret)
{
	struct user_regs_struct regs = r->regs;
	int rc;

	regs.rip = r->code + 1;
	regs.rax = call[0];
	regs.orig_rax = (uint64_t)-1;
	regs.rdi = call[1];
	regs.rsi = call[2];
	regs.rdx = call[3];
	regs.r10 = call[4] | (uint64_t)FILTER_PASS << 32;	/* flags of an int, or no argument */
	regs.r8 = call[5];
	regs.r9 = call[6];
	if (ptrace(PTRACE_SETREGS, r->tid, NULL, &regs) < 0)
		return -errno;
	rc = run_to(r, r->code + 4, &regs);
	*ret = (int64_t)regs.rax;
	return rc;
}

/* ---- the shim's mappings -------------------------------------------------- */

static int remote_mmap(struct remote *r, uint64_t addr, uint64_t len, int prot, int flags, int fd, int64_t *ret)
{
	const uint64_t call[7] = { SYS_mmap, addr, len, (uint64_t)prot, (uint64_t)(flags | MAP_FIXED_NOREPLACE),
				   (uint64_t)(int64_t)fd, 0 };
	int rc = remote_call(r, call, ret);

	if (rc == 0 && *ret >= 0 && (uint64_t)*ret != addr)	/* before 4.17 the flag was a hint */
		*ret = -EEXIST;
	return rc;
}

static int map_private(struct remote *r, int64_t *ret)
{
	const uint64_t advise[7] = { SYS_madvise, SHIM_PRIVATE, SHIM_PRIVATE_SIZE, MADV_WIPEONFORK };
	int rc;

	rc = remote_mmap(r, SHIM_PRIVATE, SHIM_PRIVATE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			 ret);
	if (rc < 0 || *ret < 0)
		return rc;
	rc = vdso_write(r->mem, SHIM_PRIVATE + offsetof(struct shim_private, alive), (uint64_t[]){ 1 }, sizeof(uint64_t));
	return rc < 0 ? rc : remote_call(r, advise, ret);
}

/* SHIM_PRIVATE holds the path while it is opened. */
static int map_shared(struct remote *r, const struct inject *what, int64_t *ret)
{
	static const uint8_t zero[PATH_ROOM];
	const char *path = what->path ? what->path : "/dev/.capsule";
	const uint64_t open[7] = { SYS_open, SHIM_PRIVATE, O_RDWR | O_CLOEXEC };
	uint64_t close[7] = { SYS_close };
	int64_t fd, ignored;
	int rc;

	*ret = -ENAMETOOLONG;
	if (strlen(path) >= PATH_ROOM)
		return 0;
	rc = vdso_write(r->mem, SHIM_PRIVATE, path, strlen(path) + 1);
	if (rc == 0)
		rc = remote_call(r, open, &fd);
	if (rc == 0)
		rc = vdso_write(r->mem, SHIM_PRIVATE, zero, sizeof(zero));
	if (rc < 0)
		return rc;
	*ret = fd;
	if (fd < 0)
		return 0;
	rc = remote_mmap(r, SHIM_SHARED, what->shared_size, PROT_READ | PROT_WRITE, MAP_SHARED, (int)fd, ret);
	if (rc < 0)
		return rc;
	close[1] = (uint64_t)fd;
	return remote_call(r, close, &ignored);
}

static int map_code(struct remote *r, int64_t *ret)
{
	int rc;

	rc = remote_mmap(r, SHIM_CODE, SHIM_CODE_SIZE, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, ret);
	if (rc < 0 || *ret < 0)
		return rc;
	return vdso_write(r->mem, SHIM_CODE, shim_image, (size_t)(shim_image_end - shim_image));
}

/* Not the rest: what is in its place may be the guest's. */
static int unmap_private(struct remote *r)
{
	const uint64_t call[7] = { SYS_munmap, SHIM_PRIVATE, SHIM_PRIVATE_SIZE };
	int64_t ignored;

	return remote_call(r, call, &ignored);
}

/* @ret: 0, or why the guest may not have it, as -errno. */
static int map_shim(struct remote *r, const struct inject *what, int64_t *ret)
{
	int rc = map_private(r, ret);

	if (rc == 0 && *ret >= 0) {
		rc = map_shared(r, what, ret);
		if (rc == 0 && *ret >= 0)
			rc = map_code(r, ret);
		if (rc == 0 && *ret < 0)
			rc = unmap_private(r);
	}
	return rc;
}

/* ---- the vDSO -------------------------------------------------------------- */

/* movabs $target,%rax; jmp *%rax */
static void jump(uint64_t target, uint8_t code[12])
{
	code[0] = 0x48;
	code[1] = 0xb8;
	memcpy(code + 2, &target, sizeof(target));
	code[10] = 0xff;
	code[11] = 0xe0;
}

static int redirect_to_shim(int mem, const struct vdso_map *map)
{
	const struct shim_head *head = (const struct shim_head *)shim_image;
	const struct shim_entries *entries = map->hwcap2 & HWCAP2_FSGSBASE ? &head->by_register : &head->by_segment;
	const uint64_t target[VDSO_N] = {
		[VDSO_CLOCK_GETTIME] = entries->clock_gettime,
		[VDSO_GETTIMEOFDAY] = entries->gettimeofday,
		[VDSO_TIME] = entries->time,
	};
	uint8_t code[12];

	for (unsigned int e = 0; e < VDSO_N; e++) {
		int rc;

		if (!target[e] || map->entry[e].size < sizeof(code))
			continue;
		jump(target[e], code);
		rc = vdso_write(mem, map->entry[e].addr, code, sizeof(code));
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* NULL, or why it is out of the question to map the shim. */
static const char *unfit(const struct inject *what, const struct vdso_map *map)
{
	const struct shim_head *head = (const struct shim_head *)shim_image;

	if (what->shared_size == 0)
		return "not asked for";
	if (head->magic != SHIM_MAGIC || head->version != SHIM_VERSION)
		return "the shim's image is of another version";
	if (!map->entry[VDSO_CLOCK_GETTIME].addr)
		return "the program's vDSO has no clock_gettime";
	return NULL;
}

/* ---- all of it -------------------------------------------------------------- */

static int put_random(int mem, const struct vdso_map *map, const struct inject *what)
{
	if (!what->at_random || !map->at_random)
		return 0;
	return vdso_write(mem, map->at_random, what->at_random, 16);
}

static int put_shim(pid_t tid, int mem, const struct vdso_map *map, const struct inject *what, struct injected *done)
{
	struct remote r = { .tid = tid, .mem = mem };
	int64_t ret = 0;
	int rc;

	done->why = unfit(what, map);
	if (done->why)
		return 0;
	rc = remote_begin(&r, map->entry[VDSO_CLOCK_GETTIME].addr);
	if (rc == 0)
		rc = map_shim(&r, what, &ret);
	if (rc == 0 || rc == -EPERM) {
		int rc2 = remote_end(&r, rc == 0 && ret >= 0);

		if (rc == -EPERM)
			ret = rc;
		rc = rc2;
	}
	if (ret < 0)
		done->why = strerror((int)-ret);
	return rc;
}

/* Only SIGKILL takes a task out of its stop. It may take a while to die, so there may be nothing to wait for yet. */
static bool was_killed(pid_t tid)
{
	struct user_regs_struct regs;

	return ptrace(PTRACE_GETREGS, tid, NULL, &regs) < 0 && errno == ESRCH;
}

static int prepare(pid_t tid, const struct inject *what, struct injected *ret, struct err *err)
{
	struct vdso_map map;
	int rc;

	_cleanup_fd_ int mem = vdso_open(tid);
	if (mem < 0)
		return err_sys(err, -mem, "opening its memory");
	rc = vdso_find(tid, mem, &map, err);
	if (rc < 0 && rc != -ENOENT)
		return rc;
	*err = ERR_INIT;
	rc = put_random(mem, &map, what);
	if (rc < 0)
		return err_sys(err, -rc, "writing AT_RANDOM");
	ret->why = "the program has no vDSO";
	if (!map.base)
		return 0;
	rc = put_shim(tid, mem, &map, what, ret);
	if (rc < 0)
		return err_sys(err, -rc, "mapping the shim");
	rc = vdso_redirect_to_syscalls(mem, &map, &ret->entries, err);
	if (rc < 0 || ret->why)
		return rc;
	rc = redirect_to_shim(mem, &map);
	return rc < 0 ? err_sys(err, -rc, "redirecting its clocks") : 0;
}

int inject_exec(pid_t tid, const struct inject *what, struct injected *ret, struct err *err)
{
	struct injected done = { 0 };

	if (prepare(tid, what, &done, err) < 0) {
		if (was_killed(tid))
			return err_set(err, ESRCH, "process %d was killed", (int)tid);
		return err_in(err, "preparing process %d", (int)tid);
	}
	done.shim = !done.why;
	if (!done.why)
		done.why = "";
	*ret = done;
	return 0;
}

uint64_t inject_back(unsigned int arg)
{
	return ((const struct shim_head *)shim_image)->back[arg - 2];
}

int inject_fsbase(pid_t tid, uint64_t *fsbase)
{
	long v;

	errno = 0;
	v = ptrace(PTRACE_PEEKUSER, tid, offsetof(struct user_regs_struct, fs_base), NULL);
	if (v == -1 && errno != 0)
		return -errno;
	*fsbase = (uint64_t)v;
	return 0;
}
