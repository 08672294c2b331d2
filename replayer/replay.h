/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One run of a recording: the state that the replayer's parts share.
 *
 *	replay.c   the run: sandbox, main loop, end
 *	tasks.c    the guest's tasks, followed by ptrace
 *	match.c    which recorded call is this one?
 *	calls.c    one answer per fate of format/syscalls.def ...
 *	read.c, write.c, wait.c, net.c   ... reads and writes, waiting, connections
 *	epoll.c    what an epoll set says
 *	order.c    what must keep its order among tasks
 *	turns.c    what comes in, in its turn among tasks
 *	park.c, pace.c        waits and sleeps that have to wait for others
 *	objects.c  which outside object does this fd lead to?
 *	peers.c    the far ends: they say what they said, when it is due
 *	verdict.c  what was observed beside what was recorded
 *	files.c    files checked, laid over, compared
 */
#ifndef CAPSULE_REPLAY_H
#define CAPSULE_REPLAY_H

#include "replayer/memory.h"
#include "replayer/recording.h"
#include "replayer/streams.h"
#include "sandbox/sandbox.h"

#include <linux/seccomp.h>
#include <sys/stat.h>

struct replay_options {
	const char *rootfs;		/* NULL: the manifest's */
	char *const *argv;		/* NULL: the manifest's */
	const char *const (*binds)[2];
	size_t nbinds;
	bool allow_changed;
	bool real_speed;
	bool verbose;
	uint64_t limit_ns;		/* wall time after which a run is given up */
};

/* What a run comes to; plain bytes, so a supervisor can hand it to its parent. */
enum { NOTES = 8, NOTE_LEN = 200 };
struct notes {
	uint64_t count;			/* how many there were; the first NOTES are kept */
	char text[NOTES][NOTE_LEN];
};
struct divergence {
	bool set;
	char what[160];			/* "stdout", "exit status", "bytes to 127.0.0.1:80" */
	uint64_t at;			/* byte */
	char expected[160], got[160];	/* with context, escaped */
};
struct verdict {
	int error;			/* EXIT_MACHINE, EXIT_CAPSULE: the run could not be made; err says why */
	struct err err;
	bool ended;			/* the guest came to its end */
	int32_t status;			/* of the guest's command */
	struct divergence first;
	uint64_t divergences;
	struct notes misses, changed;
	uint64_t out_of_turn;
	uint64_t calls;			/* notified */
	uint64_t matched;		/* of them, answered by the recorded call */
	uint64_t unused;		/* recorded calls that were not made */
	uint64_t between;		/* clock readings of threads, between the recorded ones */
	uint64_t served;		/* readings, bytes, ...: answers that came from the capsule */
	uint64_t wall_ns;
};

/* A task of the guest. */
struct gtask {
	struct gtask *next;
	pid_t tid, tgid;		/* as the supervisor sees them */
	const struct rec_task *rec;	/* NULL: the recording has no such task */
	uint32_t slot;			/* of its clock streams: the task's number, or a spare */
	size_t cursor;			/* next recorded call */
	size_t nchildren, nexecs;
	size_t random_part, random_off;	/* place in rec->random */
	uint64_t file_writes;		/* calls, to files of the guest's own; counted while the recording has failures */
	uint64_t generated;		/* random bytes made up */
	size_t signals_due;		/* the signals up to this place in rec->calls are due once the task sleeps; 0: none */
	uint64_t signals_since;
	bool exited, known;		/* known: its creator's ptrace event was seen */
	/* The last notified call that was let go on into the kernel. */
	bool blocked, matched;		/* it may block; it had a recorded counterpart */
	uint64_t since;			/* when, ns CLOCK_MONOTONIC */
	uint64_t fsbase;		/* by which the shim knows it; 0: not known */
	bool started;			/* left its first stop */
	bool kept;			/* its call waits for its turn, order.c, or was parked */
	bool held;			/* born, kept from running until its creator's event was seen */
};

/* An object of the recording as it is in this run. */
struct live {
	uint32_t id;
	const struct rec_object *rec;
	bool bound;			/* dev, ino are the guest's end */
	dev_t dev;
	ino_t ino;
	struct live *chain;		/* next with the same hash */
	int fd;				/* our end; -1: none */
	bool direct;			/* no end of ours: bytes go straight into the guest's memory */
	bool made;			/* our end was made (once) */
	size_t released;		/* arrivals said */
	size_t wanted;			/* arrivals that may be said by now */
	size_t part;			/* bytes of arrival @released that are already said */
	bool armed;			/* waits for room (EPOLLOUT) */
	bool hung_up;
	size_t out_part, out_off;	/* place in rec->out */
	uint64_t out_bytes;
	bool differs;
	uint32_t turn;			/* writes made, of rec_call.turn */
	bool unordered;			/* the tasks' writes came in another order than recorded */
};

enum { LIVE_BUCKETS = 1024 };
enum { TAG_LISTENER, TAG_SIGNALS, TAG_CONTROL, TAG_PARKED, TAG_LIVE = 16 };	/* what an epoll event is about */
struct parked;
struct kept;
struct paced;
struct early;

struct replay {
	struct recording *rec;
	const struct replay_options *opts;
	struct verdict *v;
	struct sandbox *sb;
	struct streams *streams;
	int epoll, signals, listener;
	struct gtask *tasks;
	struct live *live;		/* by object number */
	struct live *bucket[LIVE_BUCKETS];
	uint32_t spare_slot;
	uint64_t start, last_activity;
	uint64_t activity_before;	/* the last notification */
	int done;			/* what sandbox_wait() said */
	bool given_up;
	uint64_t random_seed[4];
	struct parked *parked;
	struct kept *kept;
	struct gtask *forking;		/* the next pid was set for its child, which is not born yet */
	uint64_t forking_since;
	struct paced *paced;
	struct early *early;		/* calls before their turn */
	const struct gtask *last_brought;	/* who got something from outside last */
	bool *born;			/* by recorded task: it is, or was, there */
	struct {
		dev_t dev;
		bool synthetic;
	} devs[64];			/* file systems met, and whether they are synthetic */
	size_t ndevs;
	int stdio[3];			/* where the guest's output goes: ours */
};

/* A call that waits for its answer. */
struct call {
	const struct seccomp_notif *n;
	struct gtask *t;
	unsigned int nr;
	uint64_t args[6];
	/* The answer: go on into the kernel, or @ret (-errno on failure). */
	bool cont;
	int64_t ret;
	bool matched;			/* a recorded call was found for it */
	bool answered;			/* the response was sent already (a fd was added) */
};

/* ---- replay.c ---- */
/* Runs it; the verdict says all. The calling process becomes the supervisor and is of no other use afterwards. */
void replay_run(struct recording *rec, const struct replay_options *opts, struct verdict *v);
uint64_t now_ns(void);
void call_respond(struct replay *r, const struct call *c);
void call_of(struct call *c, const struct seccomp_notif *n, struct gtask *t);
/* Answers it, now or later. */
void call_take(struct replay *r, struct call *c);

/* ---- tasks.c ---- */
struct gtask *task_find(struct replay *r, pid_t tid);
struct gtask *task_first(struct replay *r, pid_t tid);
/* Takes what ptrace has to tell, without blocking. */
void tasks_pump(struct replay *r);
/* Before a fork: the child shall have its recorded pid. False: it has none. */
bool tasks_expect_child(struct replay *r, struct gtask *t);
bool tasks_asleep(struct replay *r);
bool task_sleeps(const struct gtask *t);
void tasks_free(struct replay *r);

/* ---- match.c ---- */
/*
 * The recorded counterpart of a call, or NULL; moves the task's cursor behind
 * it.  @l is the call's object, NULL if unknown: then a recorded call on an
 * object that nothing leads to yet may match, if it is of @family and @type.
 */
struct socket_kind { int family, type, protocol; };
const struct rec_call *match_call(struct replay *r, struct call *c, const struct live *l,
				  const struct socket_kind *kind);
/* The recorded call @rc is being answered: the task's clocks are from now on where they were after it. */
void match_clocks(struct replay *r, struct gtask *t, const struct rec_call *rc);
/* The place among all events of @t's first call from @at on that moved something; UINT32_MAX: there is none. */
uint32_t next_mark(const struct rec_task *t, size_t at);
/* Has everything been done that moved something in or out and was recorded before event @order? */
bool marks_are_made(const struct replay *r, uint32_t order);
/* For identity calls: any recorded answer to the same question, of this task or another. */
const struct rec_call *match_any(struct replay *r, const struct call *c);

/* Of recvmmsg and sendmmsg each message is a recorded call: message @index of the same one as @rc, if it comes next. */
const struct rec_call *next_message(struct replay *r, struct gtask *t, const struct rec_call *rc, unsigned int index);

/* ---- calls.c ---- */
void call_answer(struct replay *r, struct call *c);
/* The kernel executes it, and it may block there; @matched: it has a recorded counterpart. */
void call_go_on(struct call *c, bool matched);
/* Sends the signal from outside that stands at the task's cursor, if one does. */
void signals_due(struct gtask *t);
/* Writes the recorded outputs of @rc to where the call's arguments point now. */
int give_outputs(struct replay *r, struct call *c, const struct rec_call *rc);
/* @len seeded random bytes: the same in every replay. */
void make_random(struct replay *r, struct gtask *t, uint8_t *buf, size_t len);

/* ---- roles.c ---- */
/* Is it one of what were several threads of a process? */
bool has_company(const struct replay *r, uint32_t slot);
/* The order of the call that is wanted, if it is @rec's next from @at on; UINT32_MAX: it isn't. */
typedef uint32_t (*role_wanted)(void *ctx, const struct rec_task *rec, size_t at);
/* @t takes the role of that thread of its process whose next call is wanted, the earliest one; false: there is none. */
bool role_take(struct replay *r, struct gtask *t, role_wanted wanted, void *ctx);

/* ---- read.c, write.c ---- */
void answer_read(struct replay *r, struct call *c);
void answer_write(struct replay *r, struct call *c);
/* The write whose recorded counterpart is @rc (or NULL), to @l. */
void write_matched(struct replay *r, struct call *c, struct live *l, const struct rec_call *rc);
/* A call on a file of the guest's own; false: the machine let it through. */
bool answer_failure(struct replay *r, struct call *c);
/* ---- wait.c ---- */
void answer_wait(struct replay *r, struct call *c);
void answer_sleep(struct replay *r, struct call *c);
/* ---- net.c ---- */
void answer_net(struct replay *r, struct call *c);

/* ---- epoll.c ---- */
struct epolled;
/* The answer to an epoll_wait() that was recorded with events; NULL: the kernel has to give it. */
struct epolled *epoll_begin(struct replay *r, const struct call *c, const struct rec_call *rc);
/* Gives it, if the guest's own descriptors that it tells of are ready, or @enough and anything is. */
bool epoll_complete(struct call *c, struct epolled *e, bool enough);
void epolled_free(struct epolled *e);	/* NULL is fine */

/* ---- turns.c ---- */
/* True: @c was kept until it is its turn. */
bool turn_keep(struct replay *r, struct call *c);
void turns_look(struct replay *r);
void turns_free(struct replay *r);
/* Has everybody done what was recorded before event @order? */
bool all_are_past(const struct replay *r, uint32_t order);

/* ---- park.c ---- */
/* Keeps a wait back until one of its fds is ready; false: it may go on at once. */
bool park(struct replay *r, struct call *c);
/* Keeps an epoll_wait() back until it is complete; takes @e. */
void park_epoll(struct replay *r, struct call *c, struct epolled *e);
void park_look(struct replay *r);
void park_free(struct replay *r);
/* Sends the signals whose time has come. */
void signals_look(struct replay *r);
/* Is there a call that nobody has taken yet? Its task looks asleep. */
bool call_waits(const struct replay *r);

/* ---- pace.c ---- */
/*
 * Keeps @c, which is to return c->ret, back until the others have done what was
 * recorded before @rc ended, @ns of real time at most; false: answer at once.
 * @rc NULL: a sleep of @ns that is not in the record.
 */
bool pace(struct replay *r, struct call *c, const struct rec_call *rc, uint64_t ns);
void pace_look(struct replay *r);
void pace_free(struct replay *r);

/* ---- order.c ---- */
/* True: the write is kept until those that other tasks made before it were made. */
bool order_write(struct replay *r, struct call *c, struct live *l, const struct rec_call *rc);
/* Answers a fork, at once or when nobody else is in the middle of one. */
void order_fork(struct replay *r, struct call *c);
/* @t's fork is over, one way or the other. */
void order_forked(struct replay *r, const struct gtask *t);
void order_look(struct replay *r);
void order_free(struct replay *r);

/* ---- objects.c ---- */
/* What the fd leads to: NULL for business of the guest's own.  @st (may be NULL) and @kind (of a socket; family 0 otherwise) are filled. */
struct live *object_of_fd(struct replay *r, const struct call *c, int fd, struct stat *st, struct socket_kind *kind);
/* Likewise, of the inode behind a descriptor. */
struct live *object_of_inode(struct replay *r, dev_t dev, ino_t ino);
/* null, zero and full: everywhere the same, and nobody's end. */
bool answers_by_itself(const struct stat *st);
void object_bind(struct replay *r, struct live *l, const struct stat *st);
/* A socket that nothing led to yet turns out to be the object of the recorded call @rc. */
struct live *adopt(struct replay *r, struct call *c, int fd, const struct rec_call *rc, const struct stat *st);
/* A copy of the guest's fd, or -errno. */
int guest_fd(pid_t tid, int fd);
/* "stdout", "127.0.0.1:80", "/proc/meminfo" */
const char *outside_name(const struct rec_object *o, char *buf, size_t len);

/* ---- peers.c ---- */
/* Ends for the fds that the guest starts with. */
int peers_stdio(struct replay *r, struct sandbox_fd *fds, size_t *nfds, size_t max, struct err *err);
/* Binds the unix paths on which peers are connected to, so that they are there. */
void peers_unix_paths(struct replay *r);
/* Arrivals up to @upto (a count) may be said now. */
void peer_release(struct replay *r, struct live *l, size_t upto);
/* What was ready at event @order may be said: the first arrival taken after it. */
void peer_show(struct replay *r, struct live *l, uint32_t order, bool hangup);
/* The guest's own end gets the recorded address, unless the program has bound it itself. */
void peer_bind_local(struct live *l, int guest);
/* Room again on @l's end. */
void peer_flush(struct replay *r, struct live *l);
/* Connects @guest (a copy of the guest's socket) to the peer of @l.  The errno that the guest would see. */
int peer_connect(struct replay *r, struct live *l, int guest, const struct bytes *to);
/* An end for a datagram socket, bound to the recorded addresses. */
int peer_datagram(struct replay *r, struct live *l, int guest);
/* Says the earliest arrival that is still owed; false if there is none. */
bool peer_out_of_turn(struct replay *r);
void peers_free(struct replay *r);

/* ---- verdict.c ---- */
void miss(struct replay *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void note_add(struct notes *n, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void diverged(struct verdict *v, const char *what, uint64_t at, const char *expected, const char *got);
/* The program gave @data to @l. */
void observe(struct replay *r, struct live *l, const uint8_t *data, size_t len);
void verdict_end(struct replay *r);
/* Escaped, cut to fit. */
void escape(char *out, size_t room, const uint8_t *data, size_t len);

/* ---- files.c ---- */
/* @path below @root, whose symlinks lead nowhere else. A fd, or -errno. */
int open_in(int root, const char *path, int flags);
/* Image files against the root file system; a difference is an error, or a note with allow_changed. */
int files_check(struct recording *rec, const char *rootfs, bool allow_changed, struct verdict *v, struct err *err);
/*
 * The file that execvp(3) would find for @name, so that the program sees the
 * very path (AT_EXECFN) that it saw.
 */
void files_find_command(const struct recording *rec, const char *rootfs, const char *name, char *buf, size_t len);
/* struct sandbox_spec's lay; ctx is the struct replay. */
int files_lay(void *ctx, struct layer *layer, struct err *err);
/* The files that the guest changed against the recorded ones. */
void files_compare(struct replay *r);
/* The recorded content of @path into @fd; ENOENT if the capsule has none. */
int files_content(struct recording *rec, const char *path, int fd, struct err *err);

#endif
