/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The boundary, one row a system call: what each argument is, how many bytes
 * lie behind it, and what becomes of the call in recording and in replay.
 *
 * format/syscalls.def is the only list of system calls in the project.  This
 * header gives the words of its rows their meaning; it is compiled for BPF and
 * for user space, so it uses nothing but fixed-width types (__u8 ... must be
 * known before it is included: <linux/types.h> or vmlinux.h).
 */
#ifndef CAPSULE_SYSDESC_H
#define CAPSULE_SYSDESC_H

#define SC_MAX 512		/* rows in the table; x86-64 numbers are below */

/* What becomes of a call. */
enum sc_fate {
	SC_NOROW = 0,	/* no row: a hole when recorded, refused (ENOSYS) when replayed */
	SC_RUN,		/* business of the scope's own: not recorded, runs in the kernel */
	SC_SERVE,	/* recorded whole: result and outputs are served from the record */
	SC_CLOCK,	/* a clock reading: served by the shim or the supervisor */
	SC_RANDOM,	/* random bytes */
	SC_READ,	/* takes bytes from a fd: recorded where the fd leads outside */
	SC_WRITE,	/* gives bytes to a fd: likewise */
	SC_WAIT,	/* waits for fds: poll, select, epoll_wait */
	SC_SLEEP,	/* passes time and nothing else */
	SC_TIMED,	/* waits for others of the scope: runs, but where it has a time limit its end is recorded */
	SC_TIMER,	/* a timer of the program's: recorded whole; its expiries are a signal or a readable fd */
	SC_SIGNAL,	/* a signal to the process or thread args[0]: recorded where that is outside, where the replay has none */
	SC_REAP,	/* tells of a child's end: runs, and tells of the recorded child */
	SC_NET,		/* names or makes an end of a connection: connect, accept, bind, ... */
	SC_OPEN,	/* names a file and gives a fd */
	SC_PATH,	/* names one or two files */
	SC_OWNER,	/* gives a file to somebody: recorded, and done in no replay, where files have one owner */
	SC_LOOK,	/* asks what a file is: recorded; what in it is the machine's is laid over the replay's own answer */
	SC_FD,		/* changes what a fd leads to, or its inside/outside: socketpair, pipe, fchdir, ... */
	SC_TASK,	/* fork, exec, exit: followed by tracepoints and ptrace events */
	SC_REFUSE,	/* can't be recorded truthfully: a hole when it succeeds, ENOSYS when replayed */
	SC_DECLINE,	/* likewise, and programs have another way: ENOSYS when recorded, too, unless --io-uring=allow */
};

enum sc_kind {
	SC_NONE = 0,	/* no such argument */
	SC_VAL,		/* a number */
	SC_FDARG,	/* a fd; the first one of a row is the call's object */
	SC_DIRFD,	/* a fd that the path behind it is relative to, or AT_FDCWD */
	SC_PTR,		/* a pointer nobody follows */
	SC_LIMIT,	/* a pointer to a struct timespec, how long to wait at most; NULL: for ever */
	SC_STR,		/* a path, NUL-terminated */
	SC_MEM,		/* bytes */
	SC_IOV,		/* struct iovec[] of args[len_arg] elements; len SC_RET says how many bytes moved in all */
	SC_MSG,		/* struct msghdr */
	SC_MMSG,	/* struct mmsghdr[] */
	SC_FDSET,	/* fd_set of args[0] bits */
};

enum sc_flow { SC_IN = 1, SC_OUT = 2 };

/* Where the number of units is found at sys_exit. */
enum sc_len {
	SC_UNIT = 0,	/* one unit */
	SC_ARG,		/* args[len_arg] units; its low 32 bits count */
	SC_RET,		/* the result in units, but no more than there is room for; none if it is negative */
	SC_DEREF,	/* the __u32 behind args[len_arg] */
	SC_BITS,	/* args[len_arg] bits, in whole longs */
	SC_REQUEST,	/* what the ioctl request args[len_arg] gives, see sc_ioctl_size() */
};

/* When the bytes are worth having. */
enum sc_when {
	SC_OK = 0,	/* on success (result >= 0) */
	SC_ALWAYS,	/* on failure too: what was asked for */
	SC_FAILED,	/* on failure only: the rest of an interrupted sleep */
};

struct sc_arg {
	__u8 kind;	/* enum sc_kind */
	__u8 flow;	/* enum sc_flow, or both */
	__u8 len;	/* enum sc_len */
	__u8 len_arg;
	__u8 when;	/* enum sc_when */
	__u8 room;	/* SC_RET: 1 + index of the argument with the number of units there is room for; 0: none */
	__u16 unit;	/* bytes in a unit */
};

struct sc_desc {
	__u8 nargs;
	__u8 fate;	/* enum sc_fate */
	__u8 fd;	/* index of the SC_FDARG argument + 1; 0: none */
	__u8 limit;	/* likewise of the SC_LIMIT argument */
	__u8 pad[4];
	struct sc_arg arg[6];
	__u64 reserved;
};
_Static_assert(sizeof(struct sc_desc) == 64, "one cache line per call");

/* A call whose bytes are content, of connections, files, keys, and not about something. */
static inline int sc_is_payload(__u8 fate)
{
	return fate == SC_READ || fate == SC_WRITE || fate == SC_RANDOM;
}

/*
 * An error that came from the machine: its disk, its memory, its rights.  A
 * replay has other ones, so it gives the error where the program met it.
 */
static inline int sc_machine_error(__s64 ret)
{
	switch (-ret) {
	case 5:		/* EIO */
	case 12:	/* ENOMEM */
	case 18:	/* EXDEV: how its file systems are mounted */
	case 23:	/* ENFILE */
	case 28:	/* ENOSPC */
	case 30:	/* EROFS */
	case 116:	/* ESTALE */
	case 122:	/* EDQUOT */
		return 1;
	}
	return 0;
}

/* Some file systems can't do what others can: EOPNOTSUPP. */
static inline int sc_change_error(__s64 ret)
{
	return ret == -95 || sc_machine_error(ret);
}

/* Names of files also lead to what is forbidden. */
static inline int sc_path_error(__s64 ret)
{
	return ret == -1 || ret == -13 || sc_machine_error(ret);	/* EPERM, EACCES */
}

/*
 * Calls that take something which limits give out, by what that is: they are
 * counted, so that one which got none is known by its place among them.
 */
enum sc_takes { SC_TAKES_NONE, SC_TAKES_MEMORY, SC_TAKES_FD, SC_TAKES };
static inline int sc_takes(__u32 nr)
{
	switch (nr) {
	case 9: case 12: case 25:			/* mmap, brk, mremap */
		return SC_TAKES_MEMORY;
	case 2: case 85: case 257: case 437:		/* open, creat, openat, openat2 */
	case 22: case 293: case 32: case 72:		/* pipe, pipe2, dup, fcntl: F_DUPFD */
	case 41: case 53:				/* socket, socketpair */
	case 213: case 291: case 284: case 290:		/* epoll_create, epoll_create1, eventfd, eventfd2 */
	case 282: case 289: case 283:			/* signalfd, signalfd4, timerfd_create */
	case 253: case 294: case 319:			/* inotify_init, inotify_init1, memfd_create */
		return SC_TAKES_FD;
	}
	return SC_TAKES_NONE;
}

/* Did it get none?  brk() says so by giving back what there was. */
static inline int sc_got_none(__u32 nr, __u64 arg, __s64 ret)
{
	switch (sc_takes(nr)) {
	case SC_TAKES_MEMORY:
		return ret == -12 || (nr == 12 && arg && ret != (__s64)arg);	/* ENOMEM */
	case SC_TAKES_FD:
		return ret == -24;						/* EMFILE */
	}
	return 0;
}

#define SC_FUTEX 202
#define SC_FUTEX_FLAGS 0x180u	/* FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME */
/* Those that wait: FUTEX_WAIT, LOCK_PI, WAIT_BITSET, WAIT_REQUEUE_PI, LOCK_PI2.  To others the argument is a number. */
#define SC_FUTEX_WAITS (1u << 0 | 1u << 6 | 1u << 9 | 1u << 11 | 1u << 13)

/* Is this SC_TIMED call one that waits, with a time limit? */
static inline int sc_has_limit(const struct sc_desc *d, __u32 nr, const __u64 *args)
{
	__u32 op = (__u32)args[1] & ~SC_FUTEX_FLAGS;

	if (!d->limit || !args[(d->limit - 1) & 7])
		return 0;
	return nr != SC_FUTEX || (op < 32 && (SC_FUTEX_WAITS >> op & 1));
}

#define SC_MAX_RW 0x7ffff000u	/* MAX_RW_COUNT, include/linux/fs.h: no call moves more */
#define SC_MAX_NAME 4096u	/* what a failed call was given is never longer: paths, addresses, options */

/* How many bytes ioctl @request gives behind its last argument. */
static inline __u32 sc_ioctl_size(__u32 request)
{
	switch (request) {
#define IOCTL(nr, name, size) case nr: return size;
#include "format/ioctls.def"
#undef IOCTL
	}
	return request & 0x80000000u ? request >> 16 & 0x3fff : 0;	/* _IOC_READ, _IOC_SIZE */
}

/* The number of units behind @a, before it is capped. */
static inline __u64 sc_units(const struct sc_arg *a, const __u64 *args, __s64 ret, __u32 deref)
{
	__u64 n = args[a->len_arg & 7];

	switch (a->len) {
	case SC_UNIT:
		return 1;
	case SC_ARG:
		return (__u32)n;
	case SC_DEREF:
		return deref;
	case SC_BITS:
		return (__s32)n > 0 ? ((__u32)n + 63) / 64 * 8 : 0;
	case SC_REQUEST:
		return sc_ioctl_size(n);
	}
	if (ret < 0)
		return 0;
	if (a->room && args[(a->room - 1) & 7] < (__u64)ret)
		return args[(a->room - 1) & 7];
	return ret;
}

/*
 * How many bytes lie behind argument @i of a call that gave @ret; @deref is
 * the __u32 behind args[len_arg] after the call, for SC_DEREF.  Indices in the
 * table are below 6; the masks are for the verifier.  For SC_STR, SC_MSG and SC_MMSG the
 * answer is 0: their sizes are in the guest's memory.  SC_IOV: the number of
 * bytes that were moved.  0 for NULL pointers.
 */
static inline __u64 sc_bytes(const struct sc_desc *d, __u32 i, const __u64 *args, __s64 ret, __u32 deref)
{
	const struct sc_arg *a;
	__u64 n;

	if (i >= 6)
		return 0;
	a = &d->arg[i];
	if (ret < 0 ? a->when == SC_OK : a->when == SC_FAILED)
		return 0;
	if (!args[i])
		return 0;
	n = sc_units(a, args, ret, deref);
	if (n > SC_MAX_RW)
		n = SC_MAX_RW;
	n *= a->unit;
	if (ret < 0 && n > SC_MAX_NAME)
		n = SC_MAX_NAME;
	return n > SC_MAX_RW ? SC_MAX_RW : n;
}

#ifndef __BPF__
#include <stddef.h>
#include <stdint.h>

extern const struct sc_desc sc_table[SC_MAX];

/* The call's name, "getrandom", or NULL where the table has no row for @nr. */
const char *sc_name(unsigned int nr);
/* The name of argument @i, "buf", or NULL. */
const char *sc_arg_name(unsigned int nr, unsigned int i);
/* Why the row has the fate it has, in words; "" where the fate says it all, NULL where there is no row. */
const char *sc_reason(unsigned int nr);
/* "serve", "run", ... */
const char *sc_fate_name(enum sc_fate fate);
/* The row's number by name, or -1. */
int sc_number(const char *name);
#endif

#endif
