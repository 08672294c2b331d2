/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0) */
/*
 * What record.bpf.c puts into the ring, shared with recorder/.
 *
 * A call is one REC_CALL, its last record: what belongs to it (bytes, what
 * its descriptors lead to, addresses) comes before, with the same tid and
 * seq.  Records of several threads interleave; the order of the REC_CALLs is
 * the order of the events.  A record without its REC_CALL (the ring was full)
 * is told by its seq.  Every record carries the number of records lost so
 * far.
 *
 * Fixed-width types, no pointers.  __u8 ... must be known before.
 */
#ifndef CAPSULE_BPF_RECORD_H
#define CAPSULE_BPF_RECORD_H

enum rec_type {
	REC_DATA = 1,	/* bytes of a call: struct rec_data */
	REC_FD,		/* where a fd leads: struct rec_fdinfo */
	REC_SOCK,	/* a socket's addresses: struct rec_sock */
	REC_CALL,	/* struct rec_call, up to and with inl, or whole (REC_F_FDS) */
	REC_EINTR,	/* the pending call of this thread ended with EINTR: struct rec_hdr */
	REC_FORK,	/* these: struct rec_task */
	REC_EXEC,	/* the process waits, stopped, until the recorder continues it */
	REC_EXIT,
	REC_SIGNAL,
	REC_HOLE,
};

enum {
	REC_F_FAULT = 1,	/* REC_DATA: the bytes could not be read, they are zeros */
	REC_F_KERNEL = 2,	/* REC_DATA: bytes of the kernel's, not of the program's */
	REC_F_FDS = 4,		/* REC_CALL: fd and fd2 are there */
	REC_F_STOPPED = 8,	/* REC_CALL: the process waits, stopped, until the recorder continues it */
	REC_F_PART = 16,	/* REC_CALL: bytes are missing */
	REC_F_BLIND = 32,	/* REC_CALL: its bytes went past the program's memory: splice, sendfile */
	REC_F_MORE = 64,	/* REC_CALL: of a vector of messages, and there is another */
};

struct rec_hdr {
	__u8 type, flags;
	__u16 len;		/* bytes of data, REC_DATA */
	__u32 tid;
	__u32 seq;		/* of the thread's calls */
	__u32 lost;		/* records, so far */
};

/* rec_data.arg: an argument's index, a SEG_* of format/event.h, or one of these, which the recorder keeps for itself. */
enum {
	REC_ARG_BASE = 0x80,	/* + index of a path argument: the directory it is relative to, a struct path reversed */
	REC_ARG_OPENED = 0x90,	/* the same of the file that the call opened */
	REC_ARG_STATE = 0x91,	/* struct rec_state of it */
	REC_ARG_SOURCE = 0x92,	/* the same path of a file that holds the bytes of a REC_F_BLIND */
	REC_ARG_OFFSET = 0x93,	/* __u64: where in it the bytes began */
	REC_ARG_INHERITED = 0x94,	/* the path of an inherited file; index: its fd */
};

/*
 * A path of the kernel's: its names from the last to the first, each with a
 * NUL behind it; nothing for the root.  A path that begins outside of the
 * scope's root, or that is too long, has "\1" as its last (topmost) name.
 */
#define REC_PATH_MAX 4096

struct rec_data {
	struct rec_hdr h;
	__u32 off;		/* of these bytes in the segment */
	__u16 index;
	__u8 arg, pad;
	__u8 data[];
};
#define REC_DATA_SIZE(n) (sizeof(struct rec_data) + (n))
#define REC_DATA_MAX 32768

enum fd_class {
	FDC_NONE = 0,	/* not open */
	FDC_FILE,	/* regular, on a real file system */
	FDC_DIR,
	FDC_SYNTH,	/* of /proc, /sys and the like */
	FDC_CHR,
	FDC_NULL,	/* /dev/null, zero, full */
	FDC_PIPE,
	FDC_FIFO,	/* a pipe with a name */
	FDC_SOCK,
	FDC_BLK,
	FDC_OTHER,	/* eventfd, epoll, ... */
};

struct rec_fd {
	__u64 ino;
	__u32 dev;		/* the kernel's: major << 20 | minor */
	__u32 rdev;
	__u32 magic;		/* of the file system */
	__u16 mode;
	__u8 class;		/* enum fd_class */
	__u8 outside;
	__u32 flags;		/* O_* of the open file */
	__u32 pad;
};

enum { FD_READY = 1, FD_INHERITED };
struct rec_fdinfo {
	struct rec_hdr h;
	__s32 fd;
	__u32 events;		/* FD_READY */
	__u64 pos;		/* FD_INHERITED */
	__u32 role;
	__u32 pad;
	struct rec_fd what;
};

#define REC_ADDR_MAX 112	/* struct sockaddr_un and a NUL */
struct rec_sock {
	struct rec_hdr h;
	__u64 ino;
	__u32 dev;
	__u16 family, type, protocol, pad;
	__u16 local_len, remote_len;
	__u8 local[REC_ADDR_MAX], remote[REC_ADDR_MAX];
};

#define REC_INLINE 64
struct rec_call {
	struct rec_hdr h;
	__u64 time;		/* CLOCK_BOOTTIME, ns */
	__s64 ret;		/* -512 ... -516: interrupted, see REC_EINTR */
	__u64 args[6];
	__u16 nr;
	__u8 inl_arg, inl_len;	/* bytes of one more segment */
	__u16 inl_index, index;	/* index: number of the message */
	__u8 inl[REC_INLINE];
	struct rec_fd fd, fd2;	/* the object; what the call made, or the other end */
};

/* A file at the moment when it was opened. */
struct rec_state {
	__u64 size;
	__s64 ctime;		/* ns */
	__u32 fmode;
	__u32 how_flags;	/* O_* asked for */
};

struct rec_task {
	struct rec_hdr h;
	__u64 time;
	union {
		struct { __u32 child, child_tgid; } fork;	/* thread: child_tgid is the parent's */
		struct { __u32 old_tid, stopped; } exec;
		struct { __s32 status; __u32 group; } exit;
		struct { __s32 signo, code; } signal;
		struct { __u32 why, nr; } hole;
	};
};

enum hole_why {
	HOLE_NOROW = 1,	/* a call without a row */
	HOLE_REFUSED,	/* a call that can't be recorded */
	HOLE_COMPAT,	/* a 32-bit program's call */
	HOLE_TASK,	/* a task could not be followed */
	HOLE_SHARED,	/* memory shared with an outside file */
};

/* A thread of the scope; the recorder makes the first one. */
struct rec_thread {
	__u32 tid, tgid;	/* in the recorder's pid namespace */
	__u32 active;		/* since the first exec */
	__u32 seq;
	__u16 restart;		/* 512 ... 516: the last call ended with this */
	__u16 restart_nr;
	__u8 fault;		/* of the call at hand: bytes are missing */
	__u8 inl_arg, inl_len, pad;
	__u16 inl_index;
	__u16 nr;
	__s64 ret;
	__u64 args[8];
	__u8 inl[REC_INLINE];
	__u64 msg[8];		/* a struct mmsghdr */
	__u64 file_writes;	/* calls, to files that are the scope's own */
	__u64 number;		/* see just_a_number() */
	/* Loops keep their state here: the verifier takes memory of a map for unknown, and ends. */
	struct {
		__u64 src;
		__u32 left, off;
		__u16 index;
		__u8 arg;
		__u8 kernel;	/* src is in the kernel's memory */
		__u32 pad;
	} copy;
	struct {
		__u64 iov, left;
		__u32 count, pad;
	} vec;
};

#endif
