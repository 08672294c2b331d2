/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A world with walls: namespaces without root, a root file system under an
 * overlay, a private network in which every address is local, no
 * capabilities, a seccomp filter generated from format/syscalls.def.
 *
 * Order of use, in the process that will supervise the guest (it becomes part
 * of the sandbox's user and network namespace and cannot leave them, so a
 * replay forks one such process):
 *
 *	sandbox_give_up_root()
 *	sandbox_enter()   user + network namespace, AnyIP routes
 *	sandbox_spawn()   the sandbox's init (pid 1 of a pid namespace) and the
 *	                  guest, which stops just before its execve()
 *	... seize the guest, prepare ...
 *	sandbox_go()      the guest calls execve()
 *	sandbox_wait()    its exit status; sandbox_free() kills what is left
 *
 * Nothing in here prints, and nothing knows what a replay is.
 */
#ifndef CAPSULE_SANDBOX_H
#define CAPSULE_SANDBOX_H

#include "format/capsule.h"
#include "format/err.h"

#include <sys/types.h>

struct sandbox;
struct layer;	/* the upper side of the overlays, while it is being filled */

struct sandbox_fd {
	int guest;	/* number in the guest */
	int fd;		/* ours; stays open here */
};

struct sandbox_spec {
	const char *rootfs;		/* "/" or a directory; read-only below the overlay */
	/*
	 * Paths without symlinks, NULL-terminated: of the root file system they can be
	 * seen with what is below them, directories on the way to them otherwise
	 * empty, and nothing else but the names of its top directories.  NULL: all of it.
	 */
	const char *const *shown;
	uint32_t root_mode;		/* of the guest's root directory; 0: 0755 */
	const struct manifest *m;	/* identity: argv, env, cwd, ids, hostname, rlimits, umask, pid */
	const char *exec_path;		/* path to execute (argv[0] stays the manifest's) */
	char *const *argv;		/* NULL: the manifest's */
	const struct sandbox_fd *fds;	/* all the fds that the guest starts with */
	size_t nfds;
	/* Called in the sandbox's init before the overlays are mounted: put files with layer_*(). */
	int (*lay)(void *ctx, struct layer *layer, struct err *err);
	void *ctx;
	const char *const (*binds)[2];	/* --bind HOST:GUEST, read-only */
	size_t nbinds;
	size_t shared_size;		/* bytes of /dev/.capsule, a file that the guest's shim maps; 0: none */
	const bool *notify;		/* of SC_MAX: calls to notify beside those that the table says; NULL: none */
	bool trap_cycles;		/* reading the cycle counter is a SIGSEGV, for a tracer to serve (replayer/cycles.c) */
	uint64_t max_disk;		/* bytes that may be written to its file system, and hold what is laid there; 0: half of the memory */
	uint64_t max_file, max_cpu;	/* bytes of a file, seconds of a process, below the recorded limits; 0: those */
	int cpu;			/* pin the guest to this CPU; -1: don't */
	int64_t monotonic_offset;	/* time namespace: added to CLOCK_MONOTONIC ... */
	int64_t boottime_offset;	/* ... and CLOCK_BOOTTIME, ns */
};

struct sandbox_place {
	const char *path;	/* that the user named: a root file system, what is to be bound */
	char at[40];		/* where that is from now on; "": where it was */
};
/*
 * The calling process (single-threaded), if it is root's, becomes nobody's for
 * good, in a mount namespace of its own; what it has open stays open.  Root of a
 * user namespace in which there is nobody else stays what it is.
 */
int sandbox_give_up_root(struct sandbox_place *places, size_t n, struct err *err);

/*
 * The calling process (single-threaded) into a new user and network
 * namespace: its effective uid appears as @m->euid, gid as @m->egid. EPERM or
 * ENOSPC where user namespaces are not allowed: @err says which sysctl mends
 * it.
 */
int sandbox_enter(const struct manifest *m, struct err *err);

/*
 * On success the guest waits before execve(); its init has built everything.
 * The caller is still single-threaded (the init is a fork of it), and all
 * inside dies with the calling thread.  EINVAL of @spec's own paths, ENOENT
 * for the recorded working directory, or the system's.
 */
int sandbox_spawn(struct sandbox **ret, const struct sandbox_spec *spec, struct err *err);

pid_t sandbox_guest(const struct sandbox *sb);	/* host-side pid of the guest, to seize */
pid_t sandbox_init(const struct sandbox *sb);	/* host-side pid of the sandbox's init */
int sandbox_listener(const struct sandbox *sb);	/* the seccomp listener; owned by @sb */
int sandbox_shared(const struct sandbox *sb);	/* fd of /dev/.capsule, read-write; owned by @sb; -1: none */
/* An O_PATH fd of the guest's root directory as the sandbox sees it; owned by @sb. */
int sandbox_root(const struct sandbox *sb);
/*
 * Likewise of a tree that lies over it: what was laid there and what the guest
 * changed.  Where no overlay could be made both are in the root's own file system.
 */
int sandbox_upper(const struct sandbox *sb);
/* Readable when the init has something to say (the guest ended). */
int sandbox_control(const struct sandbox *sb);

int sandbox_go(struct sandbox *sb, struct err *err);
/* Makes @pid the next pid of the sandbox's pid namespace, where it is free. 0, or -errno; one round trip to the init. */
int sandbox_next_pid(struct sandbox *sb, pid_t pid);
/*
 * 1 and @status (as wait(2)) if the guest's first process has ended, 0 if it
 * has not, negative when the init is gone.  Does not block.
 */
int sandbox_wait(struct sandbox *sb, int *status);
/* The errno of the guest's first execve() if that failed (its exit status is 127 then), else 0. */
int sandbox_exec_error(const struct sandbox *sb);
/*
 * Kills everything inside and reaps it, tracees of the caller included; call
 * it in the thread that traces them. NULL is fine.
 */
void sandbox_free(struct sandbox *sb);

/* Does this machine let the cycle counter be trapped (trap_cycles)? Some hypervisors let every guest read it. */
bool sandbox_traps_cycles(void);

/* Has a sandbox's /dev the device @path? */
bool sandbox_has_device(const char *path);

/* ---- laying files over the root file system ---------------------------- */

/*
 * Each makes the missing directories above @path (as the root file system has
 * them, else 0755).  A path that is not clean, or that leads through a symlink
 * or a non-directory of the layer, is refused with EINVAL: names come from a
 * capsule.  So is one in /proc, /sys or /dev (but not /dev/shm): these are
 * made anew.  EEXIST: the layer has something of another type there.
 */
int layer_absent(struct layer *l, const char *path, struct err *err);
int layer_dir(struct layer *l, const char *path, uint32_t mode, struct err *err);
/* @type: S_IFIFO or S_IFSOCK. */
int layer_special(struct layer *l, const char *path, uint32_t type, uint32_t mode, struct err *err);
int layer_symlink(struct layer *l, const char *path, const char *target, struct err *err);
/* @fd receives a file to write the content to (the caller closes it), mode set; layer_mtime() after closing. */
int layer_file(struct layer *l, const char *path, uint32_t mode, int *fd, struct err *err);
/* @path is another name of @of, which is a file of the layer. */
int layer_link(struct layer *l, const char *path, const char *of, struct err *err);
int layer_fifo(struct layer *l, const char *path, uint32_t mode, struct err *err);
/* Extended ones, as format/attributes.h has them, of a file or directory of the layer; left out where a tmpfs has none (before Linux 6.6). */
int layer_attributes(struct layer *l, const char *path, struct bytes attributes, struct err *err);
int layer_mtime(struct layer *l, const char *path, int64_t mtime, struct err *err);

/* ---- the filter --------------------------------------------------------- */

/*
 * open, close and mmap with this in the high half of their fourth argument,
 * where the kernel ignores it, are never notified: for calls that the
 * supervisor has the guest make.
 */
#define FILTER_PASS 0x43617073u

/*
 * The seccomp program for the table: RUN, OPEN, PATH, OWNER, LOOK, FD → allow; SERVE, CLOCK,
 * RANDOM, READ, WRITE, WAIT, SLEEP, TIMER, NET and the fork family → notify;
 * TIMED → trace if it has a limit, else allow; REFUSE, DECLINE and no row → ENOSYS;
 * another architecture → kill. Malloced sock_filter array.
 * @also (of SC_MAX, or NULL): of the calls that are allowed, those to notify.
 */
struct sock_filter;
int filter_build(const bool *also, struct sock_filter **ret, size_t *len, struct err *err);
/*
 * The calling process and all that it becomes get ENOSYS for DECLINE, and
 * nothing else changes for them.  Needs CAP_SYS_ADMIN.
 */
int filter_decline(struct err *err);
/* True if the filter notifies for @nr. */
int filter_notifies(unsigned int nr);

#endif
