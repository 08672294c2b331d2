/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0) */
/*
 * What record.bpf.c puts into the ring, shared with recorder/.
 *
 * A sample of the ring is one record or several of one thread, one behind the
 * other: a thread gathers what belongs to a call, and tells it as one.
 *
 * A call is one REC_CALL, its last record: what belongs to it (bytes, what
 * its descriptors lead to, addresses) comes before, with the same tid and
 * seq.  Samples of several threads interleave; the order of the REC_CALLs is
 * the order of the events.  A record without its REC_CALL (the ring was full)
 * is told by its seq.  Every record carries the number of samples lost so
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
	REC_CALL,	/* struct rec_call with none, one or both of its descriptors */
	REC_CLOCK,	/* a call that read a clock, and nothing else of it is worth telling: struct rec_clock */
	REC_EINTR,	/* the pending call of this thread ended with EINTR: struct rec_hdr */
	REC_FORK,	/* these: struct rec_task */
	REC_EXEC,	/* the process waits, stopped, until the recorder continues it */
	REC_EXIT,
	REC_SIGNAL,
	REC_HALT,	/* the process stops itself */
	REC_HOLE,
};

enum {
	REC_F_FAULT = 1,	/* REC_DATA: the bytes could not be read, they are zeros */
	REC_F_KERNEL = 2,	/* REC_DATA: bytes of the kernel's, not of the program's */
	REC_F_ALONE = 4,	/* REC_DATA: the rest of the sample is nothing */
	REC_F_STOPPED = 8,	/* REC_CALL: the process waits, stopped, until the recorder continues it */
	REC_F_PART = 16,	/* REC_CALL: bytes are missing */
	REC_F_BLIND = 32,	/* REC_CALL: its bytes went past the program's memory: splice, sendfile */
	REC_F_MORE = 64,	/* REC_CALL: of a vector of messages, and there is another */
	REC_F_TAKEN = 128,	/* with REC_F_BLIND: fd is where the bytes came from, they went to a descriptor inside */
	REC_F_WHOLE = 128,	/* REC_CALL, without REC_F_BLIND: a look through a descriptor at what is no file or directory of a real file system */
};

struct rec_hdr {
	__u8 type, flags;
	__u16 len;		/* REC_DATA: bytes of data; REC_CALL: descriptors */
	__u32 tid;
	__u32 seq;		/* of the thread's calls */
	__u32 lost;		/* samples, so far */
};

/* rec_data.arg: an argument's index, a SEG_* of format/event.h, or one of these, which the recorder keeps for itself. */
enum {
	REC_ARG_BASE = 0x80,	/* + index of a path argument: the directory it is relative to, a struct path reversed */
	REC_ARG_OPENED = 0x90,	/* the same of the file that the call opened or looked at */
	REC_ARG_STATE = 0x91,	/* struct rec_state of it */
	REC_ARG_SOURCE = 0x92,	/* the same path of a file that holds the bytes of a REC_F_BLIND */
	REC_ARG_PLACE = 0x93,	/* struct rec_place: where in it the bytes began */
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
#define REC_ALIGN(n) (((n) + 7) & ~(__u64)7)	/* where in a sample the next record begins */

enum fd_class {
	FDC_NONE = 0,	/* not open */
	FDC_FILE,	/* regular, on a real file system */
	FDC_DIR,
	FDC_SYNTH,	/* of /proc, /sys and the like; and what is mounted over a file of theirs */
	FDC_CHR,
	FDC_NULL,	/* /dev/null, zero, full */
	FDC_PIPE,
	FDC_FIFO,	/* a pipe with a name */
	FDC_SOCK,
	FDC_BLK,
	FDC_TIMER,	/* timerfd: what makes it readable comes from outside */
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
	__u64 far_ino;		/* unix: of the socket at the other end, if it has one yet */
	__u8 local[REC_ADDR_MAX], remote[REC_ADDR_MAX];
};

/* See format/goroutine.h. */
#define GOROUTINE_FS (-8)
struct rec_layout {
	__u32 number, begins;
};
struct rec_goroutine {
	__u32 number;		/* 0: none */
	__u32 begins;		/* with this function; the low half of its address */
};

struct rec_call {
	struct rec_hdr h;
	__u64 time;		/* CLOCK_BOOTTIME, ns */
	__s64 ret;		/* -512 ... -516: interrupted, see REC_EINTR */
	__u64 args[6];
	__u16 nr;
	__u16 index;		/* number of the message */
	__u32 pad;
	struct rec_goroutine goroutine;
	struct rec_fd fd, fd2;	/* the object; what the call made, or the other end */
};
#define REC_CALL_SIZE(fds) (offsetof(struct rec_call, fd) + (fds) * sizeof(struct rec_fd))

/* The most frequent call of many programs, in half the room: it succeeded, and gave @value through argument @arg. */
#define REC_CLOCK_VALUE 16
struct rec_clock {
	struct rec_hdr h;	/* REC_F_PART: the value could not be read */
	__u64 time;		/* CLOCK_BOOTTIME, ns */
	__u64 args[2];
	__u16 nr;
	__u8 arg, pad[5];
	struct rec_goroutine goroutine;
	__u8 value[REC_CLOCK_VALUE];
};

/* A file at the moment when it was opened. */
struct rec_state {
	__u64 size;
	__s64 ctime;		/* ns */
	__u32 fmode;
	__u32 how_flags;	/* O_* asked for */
};

/* Of a file whose bytes passed no memory of the program's. */
struct rec_place {
	__u64 offset;
	__s64 ctime;		/* ns: of the file when the call ended */
};

struct rec_task {
	struct rec_hdr h;
	__u64 time;
	union {
		struct { __u32 child, child_tgid, own_tid, own_tgid; } fork;	/* thread: child_tgid is the parent's; own: in its own pid namespace */
		struct { __u32 old_tid, stopped, heard; } exec;	/* heard: not stopped, for its parent would hear of it */
		struct { __s32 status; __u16 group, oom; } exit;
		struct { __s32 signo, code; __u32 pid, uid, group, pad; __u64 value; } signal;
		struct { __u32 why, nr; } hole;
	};
};

/* What is there when the recorder comes to a running process: here.bpf.h. */
struct rec_here_file {
	__s32 fd;
	__u32 pad;
	__u64 pos;
	__u64 file;		/* the open file's address, by which an epoll set is known; for the recorder only */
	struct rec_fd what;
	struct rec_sock sock;	/* of a socket; without its header */
};
struct rec_here_task {
	__u32 tid;		/* in the recorder's pid namespace */
	__u32 own_tid, own_tgid;	/* in its own */
	__u8 known;		/* it was in the scope */
	__u8 failed;		/* it could not be taken into it */
	__u16 pad;
};

enum hole_why {
	HOLE_NOROW = 1,	/* a call without a row */
	HOLE_REFUSED,	/* a call that can't be recorded */
	HOLE_COMPAT,	/* a 32-bit program's call */
	HOLE_TASK,	/* a task could not be followed */
	HOLE_SHARED,	/* memory shared with an outside file */
};

/* What a thread gathers: a record begins within the first GATHER_BYTES, and has at most GATHER_MAX. */
enum { GATHER_BYTES = 2048, GATHER_MAX = 1024 };
#define GATHER_DATA (GATHER_MAX - sizeof(struct rec_data))	/* bytes of data; more go into the ring by themselves */

/*
 * How much is told of a scope, by its number: held in a map, so that it is raised and lowered while the programs run.  Without payload
 * no byte that a program reads, writes or draws by lot leaves the kernel: calls, sizes, results, addresses, names of files, clocks.
 */
enum rec_levels { REC_ALL, REC_METADATA, REC_NOTHING };
#define REC_SCOPES 4096

/* A thread of the scope; the recorder makes the first one. */
struct rec_thread {
	__u32 tid, tgid;	/* in the recorder's pid namespace */
	__u32 active;		/* since the first exec */
	__u32 seq;
	__u16 restart;		/* 512 ... 516: the last call ended with this */
	__u16 restart_nr;
	__u8 fault;		/* of the call at hand: bytes are missing */
	__u8 silent;		/* likewise: its scope's level keeps its bytes here */
	__u32 scope;		/* see rec_levels */
	__u8 hears;		/* it has a signalfd for SIGCHLD: what it reads there of a child that was stopped hides that the child ended */
	__u16 nr;
	__u32 gathered;		/* bytes */
	__s64 ret;
	__u64 args[8];
	__u64 msg[8];		/* a struct mmsghdr */
	__u64 file_writes;	/* calls, to files that are the scope's own */
	__u64 file_reads;	/* likewise */
	__u64 taken[4];		/* calls, by enum sc_takes */
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
	__u8 gather[GATHER_BYTES + GATHER_MAX];
};

#endif
