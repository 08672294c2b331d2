/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of sandbox/ share.  Three processes:
 *
 *	supervisor   called sandbox_spawn(); host's pid namespace
 *	init         its child, pid 1 of the sandbox; builds the root (rootfs.c),
 *	             then reaps and serves (init.c)
 *	guest        init's child; becomes the program (guest.c)
 *
 * A guest that was the first process of a container is that here, too: of a
 * pid namespace inside the init's (first.c).
 *
 * They talk through struct gate, a shared page that is gone from the guest
 * with its execve().
 */
#ifndef CAPSULE_SANDBOX_INTERNAL_H
#define CAPSULE_SANDBOX_INTERNAL_H

#include "sandbox/sandbox.h"

#include <linux/filter.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

struct gate {
	_Atomic uint32_t go;		/* futex: 1 lets the guest execute */
	_Atomic uint32_t nfilter;	/* futex: instructions of @filter, 0 until it is there */
	_Atomic int32_t listener;	/* the listener's number in the guest; -1: the guest is not ready */
	_Atomic int32_t exec_errno;	/* of a failed execve() */
	_Atomic uint32_t built;		/* futex: 1 when the root is there, for a guest that was started before */
	int ns_last_pid, upper;		/* what the root's builder opened, where that is not the init itself */
	pid_t init;			/* as the supervisor sees it */
	struct err err;			/* of whoever failed during set-up */
	struct sock_filter filter[BPF_MAXINSNS];	/* the supervisor makes it while the init builds the root */
};

/* What sandbox_spawn() hands to the init and the guest; both have a copy of all its memory. */
struct setup {
	const struct sandbox_spec *spec;
	struct gate *gate;
	int events[2];		/* supervisor's end, init's end; SOCK_SEQPACKET of struct message */
	int requests[2];	/* likewise: sandbox_next_pid() */
	int ready[2];		/* pipe: end of file when the guest is ready or dead */
};

enum { MSG_READY = 1, MSG_ENDED, MSG_NEXT_PID };
struct message {
	uint32_t what;
	int32_t value;	/* ENDED: wait status; NEXT_PID: the pid, and -errno or 0 in the answer */
};

/* network.c: the network namespace of the caller becomes one loopback that has every address. */
int network_setup(gid_t egid, struct err *err);

/* userns.c: "; mend: ..." behind @err's text if a setting of this machine explains @err->code. */
int userns_hint(struct err *err);

/* ---- init.c, guest.c ---------------------------------------------------- */

_Noreturn void init_main(const struct setup *s);
_Noreturn void guest_main(const struct setup *s);
/* Until @word is not zero. */
void wait_while_zero(const _Atomic uint32_t *word);
void open_futex(_Atomic uint32_t *word, uint32_t value);
/* All handlers and ignored signals back to their defaults. */
void signals_default(void);

/* ---- sight.c ------------------------------------------------------------- */

enum sight {
	SIGHT_NONE,
	SIGHT_WAY,	/* a directory of which some can be seen */
	SIGHT_ALL,
};
/* Of the root file system's @path, absolute in it: by spec->shown. */
enum sight sight_of(const struct sandbox_spec *spec, const char *path);

/* ---- first.c: a guest with pid 1 ------------------------------------------ */

/* The init's: a pid namespace inside its own, the guest its first process, which waits for gate->built. Its pid here, or negative. */
pid_t first_start(const struct setup *s, struct err *err);
/* rootfs_enter() for the calling init, by a process in that namespace: /proc is of who mounts it. */
int first_build(const struct setup *s, int *ns_last_pid, int *upper, struct err *err);
/* The next pid there, @text, is written by a process that is there: the kernel asks who writes. 0, or -errno. */
int first_write(int ns_last_pid, const char *text, size_t len);

/* ---- rootfs.c ------------------------------------------------------------ */

/* The caller's mount namespace becomes the guest's: its root is the new root, nothing else is left but @upper, see sandbox_upper(). */
int rootfs_enter(const struct sandbox_spec *spec, int *ns_last_pid, int *upper, struct err *err);

/* Where the new root is put together. All fds are owned by rootfs_enter(). */
struct rootfs {
	int lower;	/* the root file system that is only read */
	int upper;	/* what the layer holds, and all writes */
	int work;	/* overlayfs's own directories, by number */
	int plain;	/* the new root as a directory of the tmpfs, on the mount that upper is on: for rename() */
	int root;	/* the same directory as a mount of its own: where mounts go */
	char *mounts;	/* /proc/self/mountinfo's mount points, each ended by a newline and begun by one */
	unsigned int overlays, copies;
	const struct sandbox_spec *spec;
};

/* A detached overlay of @upper over @lower, fds all; @user: without privilege. Its fd, or -errno. */
int overlay_new(int lower, int upper, int work, bool user, unsigned int attributes);
/* @path below the directory @root, no way out of it: an O_PATH fd, or -1. */
int open_in_root(int root, const char *path);

/* special.c: proc, sys and dev of the new root. @ns_last_pid: a fd to write to, or -1. */
int special_mount(const struct rootfs *r, size_t shared_size, int *ns_last_pid, struct err *err);
/* A detached mount of what @path under @dir is, @recursive or not, read-only. The fd, or -errno. */
int mount_clone_readonly(int dir, const char *path, bool recursive);

/* ---- layer.c ------------------------------------------------------------- */

struct layer_time {
	char *path;
	struct timespec mtime;
};

struct layer {
	const struct sandbox_spec *spec;
	int lower, upper;		/* root directories, O_PATH; not owned */
	struct layer_time *times;	/* directories whose mtime layer_finish() puts right */
	size_t ntimes;
};
/* Puts the directories' times right and frees what the layer holds; not @l itself. */
void layer_finish(struct layer *l);
bool is_whiteout(const struct stat *st);

#endif
