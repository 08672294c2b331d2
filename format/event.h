/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a capsule holds, in memory: one struct event for each thing that
 * crossed the line or that the replay must know.  capsule(5) is the
 * specification of the same on disk.  Plain data: numbers, and pointers to
 * bytes whose owner each function names.
 *
 * All events are in one order, the order in which they happened as far as the
 * recorder could see: a call stands where it *ended*.
 */
#ifndef CAPSULE_EVENT_H
#define CAPSULE_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ev_kind {
	EV_CALL = 0,	/* a system call that crossed the line */
	EV_FORK,	/* a task made a task */
	EV_EXEC,	/* a task started a program */
	EV_EXIT,	/* a task ended */
	EV_SIGNAL,	/* a signal from outside the scope reached a task */
	EV_OBJECT,	/* something that calls refer to: a socket, a pipe, a terminal, a /proc file */
	EV_FILE,	/* the state of a path before the scope first used it */
	EV_OUTPUT,	/* the state, at the end, of a path that the scope changed */
	EV_HOLE,	/* something that could not be captured */
	EV_KINDS
};

struct bytes {
	const uint8_t *data;
	size_t len;
};

/* Bytes that belong to a call: an argument's, or a fact beside the arguments. */
enum {
	SEG_LOCAL = 0xe0,	/* the socket's own address after the call, a struct sockaddr */
	SEG_REMOTE = 0xe1,	/* the far address, a struct sockaddr: accept's client, recvfrom's sender */
	SEG_READY = 0xe2,	/* SC_WAIT: what was ready, pairs of little-endian u32 {object, events}; object 0: its own */
	SEG_CONTROL = 0xe3,	/* recvmsg, sendmsg: the control bytes, as they were */
	/*
	 * A call on what is the scope's own, a file, that came to less than it asked for:
	 * how many writes to files (for a read: reads) the thread had made before it, a little-endian u64.
	 */
	SEG_PLACE = 0xe4,
	SEG_BASE = 0xe5,	/* SC_LOOK and its kin: the path that a relative name is relative to, or that the descriptor led to */
	SEG_FLAGS = 0xe6,	/* recvmsg: msg_flags, a little-endian u32; none: 0 */
	SEG_LAST = SEG_FLAGS,
};
struct ev_seg {
	uint8_t arg;		/* index of the argument, or SEG_* */
	/*
	 * Which element of a vector: the message of a recvmmsg.  The parts of an iovec
	 * are one segment, put together in order.
	 */
	uint16_t index;
	uint64_t len;
	const uint8_t *data;	/* NULL where the bytes are a blob, see capsule_blob() */
	uint8_t sha256[32];	/* of the blob, if data is NULL and len > 0 */
};

enum { CALL_MAX_SEGS = 8 };
enum {
	CALL_PARTIAL = 1,	/* some bytes are missing: a hole with the same place says why */
	CALL_WHOLE = 2,		/* SC_LOOK, SC_OPEN: of /proc, a pipe, ...: no file that a replay has, so its answer is the record's */
	CALL_TAKEN = 4,		/* of splice and the like: the bytes came from obj, and went to a descriptor inside */
};
struct ev_call {
	uint16_t nr;
	uint16_t flags;		/* CALL_* */
	int64_t ret;		/* as the program saw it: -errno on failure, restart codes resolved */
	uint64_t args[6];
	uint32_t obj;		/* the fd argument's (or, for accept, the listener's) object; 0: none */
	uint32_t obj2;		/* the object that the call made: accept's connection, open's file; 0: none */
	uint32_t nsegs;
	struct ev_seg segs[CALL_MAX_SEGS];
};

struct ev_fork {
	uint32_t child;		/* its task number */
	uint32_t pid, tid;	/* as the program saw them */
	bool thread;		/* in the same thread group */
	uint32_t goroutine;	/* it is no thread, but that goroutine of the process, by its number: see format/goroutine.h; 0: none */
	uint32_t begins;	/* the low half of the address of the function that the goroutine began with; 0: not known */
};

struct ev_exec {
	const char *path;	/* of the executable, resolved */
	uint8_t at_random[16];
	size_t argc, envc;
	const char *const *argv;	/* not NULL-terminated */
	const char *const *env;
	const char *cwd;
	uint32_t vdso;		/* entry points redirected; 0: clocks of this program were not recorded */
	bool goroutines;	/* its tasks are goroutines: see ev_fork */
};

struct ev_exit {
	int32_t status;		/* as wait(2) gives it */
	bool group;		/* the last thread of its process */
	bool oom;		/* the kernel had chosen the process to be killed for want of memory */
};

struct ev_signal {
	int32_t signo, code;
	uint32_t pid, uid;	/* who sent it, as the program saw it */
	uint64_t value;		/* sigqueue(3) */
	bool group;		/* to the process: any of its threads may take it */
};
/* From a timer: timer_create(2) (pid is its number, then), setitimer(2) and alarm(2). */
static inline bool signal_is_timers(const struct ev_signal *s)
{
	enum { ALRM = 14, VTALRM = 26, PROF = 27, BY_TIMER = -2, BY_KERNEL = 0x80 };	/* SIGALRM ..., SI_TIMER, SI_KERNEL */

	return s->code == BY_TIMER || (s->code == BY_KERNEL && (s->signo == ALRM || s->signo == VTALRM || s->signo == PROF));
}

enum obj_kind {
	OBJ_SOCKET = 1,
	OBJ_PIPE,	/* inherited, or a named FIFO */
	OBJ_TTY,
	OBJ_CHR,	/* another character device, by rdev */
	OBJ_FILE,	/* a regular file that was inherited open */
	OBJ_SYNTH,	/* a file of /proc, /sys and the like, by path */
	OBJ_OTHER,
	OBJ_INNER,	/* a socket whose other end turned out to be in the scope, too */
};
struct ev_object {
	uint32_t id;		/* from 1, in order of appearance; given again: the same object, more known */
	uint8_t kind;		/* enum obj_kind */
	int32_t family, type, protocol;	/* sockets */
	struct bytes local, remote;	/* sockets: addresses, struct sockaddr, as far as known */
	const char *path;	/* files, devices, FIFOs; "" where unknown */
	uint64_t rdev;
	uint32_t open_flags;	/* inherited: O_ACCMODE, O_APPEND, O_NONBLOCK */
	uint64_t offset;	/* inherited regular file: its position at the start */
	size_t nfds;		/* inherited: the fds at the start that lead to it */
	const int32_t *fds;
};

enum file_state {
	FILE_ABSENT = 0,
	FILE_REGULAR,
	FILE_DIR,
	FILE_SYMLINK,
	FILE_OTHER,	/* socket, FIFO, device: exists, that is all */
};
enum {
	FILE_IMAGE = 1,		/* held by the image: checked by hash, not laid over */
	FILE_CONTENT = 2,	/* the capsule has the content as a blob (an empty file: always) */
	FILE_CHANGED = 4,	/* it changed while it was read: a hole says so */
	FILE_UNREAD = 8,	/* content never known (deleted before anyone read it) */
	FILE_FIFO = 16,		/* FILE_OTHER: which */
	FILE_SOCKET = 32,
};
/* EV_FILE and EV_OUTPUT */
struct ev_file {
	const char *path;	/* absolute, no "." or "..", symlinks of its directory resolved */
	uint8_t state;		/* enum file_state */
	uint8_t flags;		/* FILE_* */
	uint32_t mode;		/* permission bits */
	uint32_t uid, gid;
	uint64_t size;
	int64_t mtime;		/* ns since the epoch */
	bool has_hash;
	uint8_t sha256[32];	/* regular: of the content */
	const char *target;	/* symlink */
	const char *link;	/* regular: another path of the same file; "" or NULL: none known */
	struct bytes attributes;	/* regular, directory: extended ones, see format/attributes.h */
};

struct ev_hole {
	const char *what;	/* "lost", "memory", "io_uring", "vdso", "file", "budget", "disk", ... */
	const char *where;	/* a call, a path, an object */
	const char *why;	/* one sentence */
	uint64_t count;
};

struct event {
	uint8_t kind;		/* enum ev_kind */
	uint64_t time;		/* ns of CLOCK_BOOTTIME since the recording began */
	uint32_t task;		/* number of the thread, from 1 (the command's first thread); 0: none */
	union {
		struct ev_call call;
		struct ev_fork fork;
		struct ev_exec exec;
		struct ev_exit exit;
		struct ev_signal signal;
		struct ev_object object;
		struct ev_file file;
		struct ev_hole hole;
	};
};

/* "call", "fork", ... */
const char *ev_kind_name(enum ev_kind kind);
const char *obj_kind_name(enum obj_kind kind);
const char *file_state_name(enum file_state state);

#endif
