/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One run of a recording: the state that the replayer's parts share.
 *
 *	replay.c   the run: sandbox, main loop, end
 *	tasks.c    the guest's tasks, followed by ptrace
 *	match.c    which recorded call is this one?
 *	calls.c    one answer per fate of format/syscalls.def ...
 *	read.c, write.c, copy.c, wait.c, net.c   ... reads and writes, copies, waiting, connections
 *	failures.c what the recording machine did not let through
 *	look.c, facts.c, listing.c, attributes.c   what files are: stat, access, directories, extended attributes
 *	epoll.c    what an epoll set says
 *	ahead.c    the recording is read on, and let go
 *	order.c    what must keep its order among tasks
 *	turns.c    what comes in, in its turn among tasks
 *	parts.c    which of several threads is about to do what
 *	goroutines.c tasks that a runtime puts on threads
 *	park.c, pace.c        waits and sleeps that have to wait for others
 *	timed.c    waits inside, with a time limit
 *	timers.c   timers
 *	signals.c  signals from outside
 *	cycles.c   the CPU's cycle counter
 *	reap.c     which child's end is told of first
 *	content.c  synthetic files
 *	objects.c  which outside object does this fd lead to?
 *	peers.c    the far ends: they say what they said, when it is due
 *	verdict.c  what was observed beside what was recorded
 *	script.c   which recorded connection a new one speaks for
 *	opening.c  connections that were there are opened again
 *	talk.c     a kept connection on which changed code asks otherwise
 *	stack.c    where in the source a divergence comes from
 *	saved.c    what the run saw, kept as a capsule
 *	extra.c    files changed that were not when recorded
 *	attached.c the start of a program that ran already when it was recorded
 *	files.c    files checked, laid over, compared
 *	root.c     a replay by root, without root
 */
#ifndef CAPSULE_REPLAY_H
#define CAPSULE_REPLAY_H

#include "replayer/memory.h"
#include "replayer/recording.h"
#include "replayer/streams.h"
#include "sandbox/sandbox.h"

#include <linux/seccomp.h>
#include <sys/stat.h>

struct image;

struct replay_options {
	const char *rootfs;		/* NULL: the manifest's */
	const char *image;		/* a reference: in its root file system, on purpose; NULL: in the recorded one's */
	const char *const *images;	/* where else to look for that: directories and archives */
	size_t nimages;
	struct image *in;		/* rootfs is this one's; see run_settle() */
	char *const *argv;		/* NULL: the manifest's */
	const char *const (*binds)[2];
	size_t nbinds;
	bool allow_changed;
	bool real_speed;
	bool verbose;
	uint64_t window;		/* bytes of the recording held in memory, about */
	uint64_t limit_ns;		/* wall time after which a run is given up */
	uint64_t max_memory, max_disk, max_file;	/* bytes that the guest may take; 0: the usual */
	uint64_t max_tasks, max_cpu;	/* at once; seconds of each process; likewise */
	bool silent;			/* what the guest prints is compared, and goes nowhere */
	bool stack;			/* find out where the first divergence comes from */
	const char *save;		/* what the run saw goes to this file; NULL: nowhere */
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
	char expected[160], got[480];	/* with context, escaped */
};
enum { SERVES_ON = 0xffff };		/* what wait(2) says of a process that goes on */
struct verdict {
	int error;			/* EXIT_MACHINE, EXIT_CAPSULE: the run could not be made; err says why */
	struct err err;
	bool started;			/* its program could be started */
	bool ended;			/* the guest came to its end */
	bool serves_on;			/* it has none: a server that has had all that was recorded to come, and waits for more */
	bool over;			/* ... or to where the recorder, which had found it running, left it */
	int32_t status;			/* of the guest's command; SERVES_ON: it has none */
	struct divergence first;
	uint64_t divergences;
	uint64_t misled;		/* connections on which it asked something else than recorded: what it was told is no answer to that */
	char stack[2000], stack_of[160];	/* a line a frame, and of what: the first divergence, a signal; "": not known */
	struct notes misses, changed, turned;	/* turned: requests of a connection answered out of their turn */
	struct notes start_up;		/* of an attached recording: what the program's start asked for, and the capsule has not */
	uint64_t beyond;		/* of an attached recording: bytes of answers that it saw only the beginning of, because it ended */
	uint64_t after;			/* likewise answers that the program asked for when all that was recorded of its task had been */
	uint64_t start_clocks;		/* likewise readings of clocks, which were the attach's time and on */
	uint64_t out_of_turn;
	uint64_t calls;			/* notified */
	uint64_t matched;		/* of them, answered by the recorded call */
	uint64_t unused;		/* recorded calls that were not made */
	uint64_t between;		/* readings of clocks and synthetic files by threads, between the recorded ones */
	uint64_t swapped;		/* idle connections to one place that were used for each other */
	uint64_t cycles;		/* readings of the CPU's cycle counter, which no record has */
	bool untrapped;			/* something differs, and whether such a reading did is not known */
	uint64_t served;		/* readings, bytes, ...: answers that came from the capsule */
	uint64_t wall_ns;
	uint64_t cpu_ns, peak_bytes;	/* of all processes of the guest together, of the largest one */
	uint64_t pages;			/* of memory that they touched for the first time */
	uint64_t written;		/* bytes given to the outside */
	uint64_t memory;		/* bytes that the supervisor had at most */
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
	uint64_t taken[SC_TAKES];	/* likewise, by enum sc_takes */
	uint64_t file_writes, file_reads;	/* calls, on files of the guest's own; counted while the recording has failures */
	uint64_t cycles;		/* readings of the cycle counter */
	uint64_t generated;		/* random bytes made up */
	size_t signals_due;		/* the signals up to this place in rec->calls are due once the task sleeps; 0: none */
	uint64_t signals_since;
	bool exited, known;		/* known: its creator's ptrace event was seen */
	/* The last notified call that was let go on into the kernel. */
	bool blocked, matched;		/* it may block; it had a recorded counterpart */
	uint64_t since;			/* when, ns CLOCK_MONOTONIC */
	size_t moved_to;		/* the cursor when a call of it was answered last ... */
	uint64_t moved;			/* ... that had moved it, and when that was */
	uint32_t asked;			/* how far the others were when it was ahead of them */
	uint64_t fsbase;		/* of a thread with number_at; 0: not known */
	bool started;			/* left its first stop */
	bool kept;			/* its call waits for its turn, order.c, or was parked */
	bool early;			/* likewise, turns.c */
	uint32_t not_before;		/* event that one of its calls was kept for, reap_keep() */
	uint64_t ended_since;		/* waits to be told of to its parent since then; 0: it does not */
	bool interrupted;		/* by a SIGSTOP that stands for another signal */
	unsigned int again;		/* 1 + the call that it makes again for that */
	bool held;			/* born, kept from running until its creator's event was seen */
	bool shim;			/* its program has the shim */
	bool own_gs;			/* it uses its gs base itself: not by its seat */
	uint32_t seat;			/* by which the shim knows it (seat.h); 0: it asks */
	size_t wait_cursor;		/* next recorded wait with a limit */
	bool mark_known;
	uint32_t last_mark, next_mark;	/* calls that moved something, by order; the next one if it is known */
	unsigned int unlimited;		/* it may wait in the kernel without its limit: which argument that was; 0: no */
	unsigned int limited;		/* 1 + the call in which it waits until its limit comes, if it does; 0: in none */
	bool cut_off;			/* a stop is on its way that ends such a wait */
	bool stack_wanted;		/* a stop is on its way at which it is to be told where it is */
	bool wait_taken;		/* the wait was in the record */
	/* goroutines.c */
	uint32_t number_at, begins_at;	/* of a thread whose program has goroutines: goroutine_layout() */
	uint32_t goroutine;		/* it is one, by its number; 0: it is a thread */
	uint32_t begins;		/* with which function */
	bool placed;			/* all that could be it were there when it asked first */
	struct gtask *carrier;		/* the thread that ran it last; NULL: it plays no part yet */
	bool sure;			/* it made calls that only its recorded counterpart made */
	bool makes_thread;		/* the task that it is about to make is a thread */
	const struct rec_task *unborn;	/* it is none, but holds a part for this one, which was not started here yet; NULL: it is one */
	size_t let_go;			/* 1 + the place of its last matched call, a wait that the kernel was to end; 0: it was none */
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
	uint32_t instead;		/* object to which a goroutine's recorded connect will lead: itself, unless two have changed places; 0: it was made */
	bool timer;			/* a timerfd */
	bool direct;			/* no end of ours: bytes go straight into the guest's memory */
	bool made;			/* our end was made (once) */
	size_t released;		/* arrivals said */
	size_t taken;			/* arrivals that calls we are done with took */
	size_t wanted;			/* arrivals that may be said by now */
	size_t heard;			/* arrivals that matched calls took */
	size_t part;			/* bytes of arrival @released that are already said */
	bool armed;			/* waits for room (EPOLLOUT) */
	bool hung_up;
	bool deaf;			/* a client was refused: the guest does not listen yet */
	uint8_t *content;		/* of a synthetic file: what was read of it last, from its start */
	size_t content_len;
	size_t out_part, out_off;	/* place in rec->out */
	uint64_t out_bytes;
	bool differs;
	uint32_t turn;			/* writes made, of rec_call.turn */
	int stand_in;			/* an empty file that the guest has in place of one of /proc; 0: none */
	struct talk *talk;		/* what was asked and answered; NULL: nothing */
	struct opening *opening;	/* it was opened here, and nothing of the record was said on it yet; NULL: it was */
	bool unordered;			/* the tasks' writes came in another order than recorded */
};

enum { LIVE_BUCKETS = 8192, SPARE_LIVES = 64 };
enum { TAG_LISTENER, TAG_SIGNALS, TAG_CONTROL, TAG_PARKED, TAG_LIVE = 16 };	/* what an epoll event is about */
struct facts;
struct listing;
struct parked;
struct timer;
struct kept;
struct paced;
struct early;
struct sent;
struct procs;
struct reaping;
struct waiting;
struct saved;
struct talk;
struct opening;

struct replay {
	struct recording *rec;
	const struct replay_options *opts;
	struct verdict *v;
	struct sandbox *sb;
	char **shown;			/* shown_paths() */
	struct streams *streams;
	int epoll, signals, listener;
	struct gtask *tasks;
	struct goroutine_kin {		/* of goroutines that begin with the same function: recorded number less the one here */
		pid_t tgid;
		uint32_t begins, delta;
	} kin[32];
	size_t nkin;
	struct gtask *goroutines;	/* the last one that did something first */
	struct live *live;		/* by object number */
	uint32_t *paths;		/* the numbers of devices and of what has a path: few, where connections are many */
	size_t npaths;
	struct live *bucket[LIVE_BUCKETS];
	uint32_t spare_slot;
	pid_t spare_pid;		/* the last one given to a task more than recorded; 0: none was */
	uint64_t start, last_activity;
	uint64_t set_off;		/* the program */
	uint64_t next_look;		/* at the guest's memory */
	uint64_t activity_before;	/* the last notification */
	uint32_t passed;		/* the last event that we are done with */
	uint64_t looked;		/* at what we are done with: calls answered by then */
	uint64_t held;			/* bytes of readings, as the window was told */
	int done;			/* what sandbox_wait() said */
	bool given_up;
	bool over;			/* of an attached recording: all of it has been */
	uint64_t matched_then, matched_since;	/* likewise calls that were in the record, and since when there are no more */
	uint64_t said_since, said_looked;	/* all that was recorded is said and answered since then; looked at last */
	uint64_t random_seed[4];
	struct parked *parked;
	struct kept *kept;
	struct gtask *forking;		/* the next pid was set for its child, which is not born yet */
	uint64_t forking_since;
	struct paced *paced;
	struct timer *timers;
	size_t ntimers;
	bool timerfds;			/* the recording has some */
	dev_t anonymous;		/* where descriptors without a file live */
	struct early *early;		/* calls before their turn */
	struct sent *sent;		/* signals on their way */
	struct procs *procs;
	struct reaping *reaping;	/* calls that wait for the end of a child */
	bool ends_wait;			/* a task has ended and must wait to be told of */
	struct waiting *waiting;	/* signals for processes, whose time has not come */
	const struct gtask *last_brought;	/* who got something from outside last */
	bool *born;			/* by recorded task: it is, or was, there */
	struct {
		dev_t dev;
		bool synthetic;
	} devs[64];			/* file systems met, and whether they are synthetic */
	size_t ndevs;
	struct looks_at *looks_at;	/* what was told of files, so far */
	struct facts *facts;		/* files that it was told of */
	struct given *given;		/* what the command line named, since root was given up; NULL: it is not root's */
	struct listing *listings;	/* directories that are being read */
	int64_t began;			/* CLOCK_REALTIME: files that changed since were changed by the guest */
	int stdio[3];			/* where the guest's output goes: ours */
	size_t nspare;			/* of SPARE_LIVES, behind the live ones of the recording's objects ... */
	struct rec_object nobody[SPARE_LIVES];	/* ... which have nothing recorded */
	bool stack_asked;		/* for the first divergence's stack */
	bool openings;			/* there were some */
	uint64_t remembered;		/* bytes of what was asked and answered */
	struct saved *saved;		/* NULL: nobody asked for it */
	const struct gtask *asking;	/* whose call is being answered */
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
/*
 * The same in a process of its own, which the caller waits for.  @v is memory
 * that is shared with it (MAP_SHARED), zeroed.  0: it came to its end, and @v
 * has the verdict; negative: it could not be made, v->err says why.
 */
int replay_apart(struct recording *rec, const struct replay_options *opts, struct verdict *v);
uint64_t now_ns(void);
void call_respond(struct replay *r, const struct call *c);
void call_of(struct call *c, const struct seccomp_notif *n, struct gtask *t);
/* Answers it, now or later. */
void call_take(struct replay *r, struct call *c);

/* ---- ahead.c ---- */
/* The window is at the recording's begin. */
int ahead_begin(struct replay *r, struct err *err);
/* The counterpart of @c, a call or a clock reading, is still to be read, if there is one. */
bool ahead_is_missing(struct replay *r, const struct call *c);
/* Reads it.  False: it is so far ahead that others have to come closer first. */
bool ahead_of(struct replay *r, const struct call *c);
/* The same, whatever it takes. */
void ahead_at_once(struct replay *r, const struct call *c);
void ahead_look(struct replay *r);
/* What the window could not do goes into the verdict. */
void ahead_end(struct replay *r);

/* ---- tasks.c ---- */
struct gtask *task_find(struct replay *r, pid_t tid);
struct gtask *task_first(struct replay *r, pid_t tid);
/* Takes what ptrace has to tell, without blocking. */
void tasks_pump(struct replay *r);
/* Before a fork: the child shall have its recorded pid, or one that nobody had. False: it gets what comes. */
bool tasks_expect_child(struct replay *r, struct gtask *t);
/* Does everybody sleep, and is no call waiting to be taken? Then nothing comes of itself. */
bool tasks_asleep(struct replay *r);
/* "41 waits in read of 127.0.0.1:80, 42 computes": what each task does, as far as there is room. */
void tasks_describe(struct replay *r, char *buf, size_t len);
bool task_sleeps(const struct gtask *t);
/* Its call waits for our answer, which looks like work to the kernel: that of its thread, too. */
void task_kept(struct gtask *t, bool kept);
/* The shim gives it the readings of the part that it plays. It is not running. */
void task_serve(struct replay *r, const struct gtask *t);
/* Answers arch_prctl(): where the thread's fs is, and whether gs is the program's. */
void task_sets_base(struct call *c);
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
/* @t does not make its recorded calls before event @order: it had no need to. */
void match_skip(struct replay *r, struct gtask *t, uint32_t order);
struct question {
	struct replay *r;
	const struct call *c;
	const struct live *l;
	const struct socket_kind *kind;
};
/* Its counterpart among @rec's calls, from @at on; not beyond a call that @stop names. @seen: how many it is away. */
const struct rec_call *match_look(const struct question *q, const struct rec_task *rec, size_t at,
				  bool (*stop)(const struct rec_call *), size_t *seen);
bool is_epoll(const struct call *c);
/* Does one of several threads only look whether there is something, where it waited for it when recorded?  It will do so yet. */
bool looks_too_early(const struct replay *r, const struct call *c, const struct rec_call *rc);
/* A recorded read that did not wait, and found nothing: how often threads do that is chance. */
bool is_look_in_vain(const struct rec_call *rc);
/* A recorded call that moved something: changed code that makes a call of little weight must not jump over it. */
bool weighty(const struct rec_call *rc);
/* Of an attached recording: is @c what a recorded task did next? Then its task, which has no part yet, begins that one's. */
void match_begin(struct replay *r, struct call *c);
/* The recorded call @rc is being answered: the task's clocks are from now on where they were after it. */
void match_clocks(struct replay *r, struct gtask *t, const struct rec_call *rc);
/* A call that comes once and at its place: it moved something in or out, or told of a child's end. How often a program waits is not sure. */
bool is_mark(const struct rec_call *rc);
/* The place among all events of @t's first call from @at on that moved something; UINT32_MAX: there is none. */
uint32_t next_mark(const struct rec_task *t, size_t at);
/* Has it made all its recorded calls, and was it ended in the middle of one more, or had no end? It may wait for ever. */
bool ends_waiting(const struct gtask *t);
/* Has everything been done that moved something in or out and was recorded before event @order? */
bool marks_are_made(const struct replay *r, uint32_t order);
/* For identity calls: any recorded answer to the same question, of this task or another. */
const struct rec_call *match_any(struct replay *r, const struct call *c);
struct pollfd;
/*
 * Is @fd, which the program polls, what @then of the recorded poll @rc was?  The number may be another one, by chance of
 * the threads that open descriptors or in changed code: then what was ready is told by where it leads.
 */
bool same_polled(struct replay *r, const struct call *c, const struct rec_call *rc, const struct pollfd *then, int fd);

/* Of recvmmsg and sendmmsg each message is a recorded call: message @index of the same one as @rc, if it comes next. */
const struct rec_call *next_message(struct replay *r, struct gtask *t, const struct rec_call *rc, unsigned int index);

/* ---- calls.c ---- */
void call_answer(struct replay *r, struct call *c);
/* Of a SC_CLOCK call: the stream that it reads. */
uint32_t call_clock(const struct call *c);
/* The kernel executes it, and it may block there; @matched: it has a recorded counterpart. */
void call_go_on(struct call *c, bool matched);
/* Writes the recorded outputs of @rc to where the call's arguments point now. */
int give_outputs(struct replay *r, struct call *c, const struct rec_call *rc);
/* @len seeded random bytes: the same in every replay. */
void make_random(struct replay *r, struct gtask *t, uint8_t *buf, size_t len);

/* ---- roles.c ---- */
/* Is it one of what were several threads of a process? */
bool has_company(const struct replay *r, uint32_t slot);
/* Or of what were several processes that shared memory? */
bool shares_memory(const struct replay *r, uint32_t slot);
/* The order of the call that is wanted, if it is @rec's next from @at on; UINT32_MAX: it isn't. */
typedef uint32_t (*role_wanted)(void *ctx, const struct rec_task *rec, size_t at);
/* @t takes the role of that thread of its process whose next call is wanted, the earliest one; false: there is none. */
bool role_take(struct replay *r, struct gtask *t, role_wanted wanted, void *ctx);
/* Two tasks change roles. */
void role_exchange(struct replay *r, struct gtask *a, struct gtask *b);

/* Somebody who holds the part of @rec, which was not started here. NULL: no memory. */
struct gtask *task_unborn(struct replay *r, pid_t tgid, const struct rec_task *rec);

/* ---- parts.c ---- */
/*
 * Is it not clear yet whose part the thread plays that makes @c?  Where it is another's, it has that one's role.
 * @now: it is not going to become any clearer.
 */
bool part_is_open(struct replay *r, struct call *c, bool now);

/* ---- goroutines.c ---- */
/* Those that play recorded parts: the tasks, and behind them the goroutines. */
static inline struct gtask *next_player(const struct replay *r, const struct gtask *t)
{
	return t->next ? t->next : t->goroutine ? NULL : r->goroutines;
}
/* Who makes a call on thread @t: a goroutine, or (of the runtime, and without one) the thread itself. */
struct gtask *goroutine_on(struct replay *r, struct gtask *t);
/* Could a goroutine that asks so be one of several?  Others may tell, see order_asks(). */
bool goroutine_is_any(const struct replay *r, const struct gtask *t, int clock);
/* Of several that begin with the same function, @last is the last that was made: their numbers tell about the others. */
void goroutines_align(struct replay *r, const struct gtask *last, int clock);
/* A goroutine asks for something that tells nothing of who it is: it plays the part of the first one that begins so. */
void goroutine_asks(struct replay *r, struct gtask *t, int clock);
/* match_call(), for a goroutine. */
const struct rec_call *goroutine_match(struct replay *r, struct call *c, const struct live *l, const struct socket_kind *kind);
/* Has nothing been said that a read or an accept on @l could get?  The kernel says so, too. */
bool goroutine_early(const struct call *c, const struct live *l);
/* The recorded connect of @object will not be made. */
void goroutine_connect_passed(struct replay *r, uint32_t object);
/* The recorded counterpart of the task that @t makes next. */
const struct rec_task *goroutine_child(const struct replay *r, const struct gtask *t);
/* Process @tgid is gone, or runs another program. */
void goroutines_end(struct replay *r, pid_t tgid);
/* Its clocks are registered with the shim. */
void goroutine_register(struct replay *r, const struct gtask *t);
/* The readings of a process's runtime. */
uint32_t goroutines_clock(struct replay *r, const struct gtask *t);
/* All rest: what comes next from outside is said. */
void goroutines_look(struct replay *r);
void goroutines_free(struct replay *r);

/* @t, which has none, takes that part. */
void role_begin(struct replay *r, struct gtask *t, const struct rec_task *rec);

/* ---- attached.c ---- */
/* Is it before the time of the recording for @t? */
bool in_start_up(const struct replay *r, const struct gtask *t);
/* Has @t done all that moved something before the recorder left? */
bool in_aftermath(const struct replay *r, const struct gtask *t);
/* The start's own bind() and listen(): where its recorded clients will look for it. */
void start_up_bind(struct replay *r, struct call *c);
void start_up_listen(struct replay *r, struct call *c);
/* An accept on @listener (may be NULL) of a task that has no part yet, or none any more: a client from before, or nobody. False: it is as any other. */
bool start_up_accepts(struct replay *r, struct call *c, struct live *listener);
/* If @c is what a recorded task did next, as @wanted tells, its task has that part now. */
void start_up_ends(struct replay *r, struct call *c, role_wanted wanted, void *ctx);
/* Changes of rights and owners that a start makes, and that it was not denied then; true: answered. */
bool start_up_drops(struct replay *r, struct call *c);
/* Is @c a start's write to stdout or stderr, with which nothing can be compared? */
bool start_up_prints(struct replay *r, const struct call *c, const struct live *l);
/* Has nobody come to where the recording begins? */
bool attached_is_lost(const struct replay *r);
/* Everything that was recorded has been said and answered, and the program waits for more. */
bool attached_is_over(struct replay *r);
/* The program ended when it was recorded, and has ended. */
bool attached_has_ended(const struct replay *r);

/* ---- content.c ---- */
/* Is it a synthetic file? */
bool is_content(const struct live *l);
/* @data of it is given to @c, where its position is: it is to be there again. */
void content_given(struct call *c, struct live *l, const void *data, size_t len);
/* A read that is not in the record, by one of several threads; false: nothing was read of it yet. */
bool content_again(struct replay *r, struct call *c, struct live *l);
/* Of a file that nobody read when recorded, though it was kept: see files_of_threads(). */
bool content_kept(struct replay *r, struct call *c, const char *path);

/* ---- read.c, write.c ---- */
/* What the call gives to its fd, out of the guest's memory; fresh memory. -errno. */
int write_words(struct replay *r, struct call *c, uint8_t **data, size_t *len);
/* Is @c, on @l (may be NULL), a read that does not wait, while there is nothing to be read? */
bool looks_in_vain(const struct call *c, const struct live *l);
void answer_read(struct replay *r, struct call *c);
void answer_write(struct replay *r, struct call *c);
/* Is it said on a connection that is to have another one's part, which is not free yet? */
bool write_is_early(struct replay *r, struct call *c);
/* Likewise, now. */
void answer_said(struct replay *r, struct call *c);
/* The write whose recorded counterpart is @rc (or NULL), to @l. */
void write_matched(struct replay *r, struct call *c, struct live *l, const struct rec_call *rc);
/* A call on a file of the guest's own; false: the machine let it through. */
bool answer_failure(struct replay *r, struct call *c);
/* A read or a write, to something of the guest's own. */
void answer_inside(struct replay *r, struct call *c, const struct stat *st);
int out_fd(const struct call *c);
/* ---- copy.c ---- */
/* sendfile and its like from an outside file to a file of the guest's own: the recorded bytes. False: it is no such call. */
bool copy_taken(struct replay *r, struct call *c);
/* copy_file_range() inside, where the kernel won't, because in a replay they are other file systems. */
void copy_between(struct call *c);
/* ---- look.c ---- */
/* What a file is, as it was recorded where that is the machine's. */
void answer_look(struct replay *r, struct call *c);
/* An open of what only the recording machine had in its /proc, or had not; false: it is none. */
bool answer_open(struct replay *r, struct call *c);
/* ---- named.c ---- */
/* An open of a FIFO, a terminal or a device of the recording's; false: it is none. */
bool answer_named(struct replay *r, struct call *c);
/* ---- wait.c ---- */
void answer_wait(struct replay *r, struct call *c);
void answer_sleep(struct replay *r, struct call *c);
/* ---- reap.c ---- */
void answer_reap(struct replay *r, struct call *c);
/* @t (may be NULL) has ended: is it too early for its parent to learn that? */
bool reap_must_wait(struct replay *r, struct gtask *t);
/*
 * True: @c was kept until a handler of SIGCHLD, that ran before it, has run; then it is made again.  Or until a child has
 * ended of which the handler learns right behind it.
 */
bool reap_keep(struct replay *r, struct call *c);
void reap_look(struct replay *r);
void reap_free(struct replay *r);

/* ---- net.c ---- */
/* Do a recorded address and the @len bytes of @b name the same? */
bool same_address(const struct bytes *a, const uint8_t *b, size_t len);
void answer_net(struct replay *r, struct call *c);

/* ---- epoll.c ---- */
struct epolled;
/*
 * The answer to an epoll_wait() that was recorded with events; NULL: the kernel has to give it.  @private: and nobody
 * else may look into the set, for that would make it forget that a signalfd is ready.
 */
struct epolled *epoll_begin(struct replay *r, const struct call *c, const struct rec_call *rc, bool *private);
/* Gives it, if the guest's own descriptors that it tells of are ready, or @enough and anything is. */
bool epoll_complete(struct call *c, struct epolled *e, bool enough);
void epolled_free(struct epolled *e);	/* NULL is fine */
/* Is everything from outside that @rc told of in the set that @c waits on? */
bool epoll_holds(struct replay *r, const struct call *c, const struct rec_call *rc);
/* Did the wait tell of nothing but outside objects? */
bool is_from_outside(const struct replay *r, const struct rec_call *rc);
/* Is something of the guest's own ready in the set that @c waits on?  Then @c is answered with that alone. */
bool epoll_inside(struct replay *r, struct call *c);

/* ---- turns.c ---- */
/* Is @c about to get what @rc got?  A read of the guest's own has nothing to wait for. */
bool turn_is_meant(struct replay *r, const struct call *c, const struct rec_call *rc);
/* Does a call bring something in from outside? */
bool turn_brings(const struct rec_call *rc);
/* True: @c was kept until it is its turn. */
bool turn_keep(struct replay *r, struct call *c);
/* Is a call of @t kept whose part is known? */
bool turn_waits(const struct replay *r, const struct gtask *t);
void turns_look(struct replay *r);
void turns_free(struct replay *r);
/* Has everybody but @self done what was recorded before event @order? */
bool others_are_past(const struct replay *r, const struct gtask *self, uint32_t order);
/*
 * All rest, and what the others have not done of it is what threads do as often as chance has it; asked when they have
 * had time to do it.
 */
bool others_rest_past(struct replay *r, const struct gtask *self, uint32_t order);
/* Has everybody? */
bool all_are_past(const struct replay *r, uint32_t order);

/* ---- cycles.c ---- */
/* @t trapped, with @signo: was it a reading of the cycle counter?  Then it has been given. */
bool cycles_serve(struct replay *r, struct gtask *t, int signo);

/* ---- park.c ---- */
/* Keeps a wait back until one of its fds is ready; false: it may go on at once. */
bool park(struct replay *r, struct call *c);
/* Keeps an epoll_wait() back until it is complete; takes @e. */
void park_epoll(struct replay *r, struct call *c, struct epolled *e);
void park_look(struct replay *r);
void park_free(struct replay *r);
/* Is there a call that nobody has taken yet? Its task looks asleep. */
bool call_waits(const struct replay *r);

/* ---- signals.c ---- */
/* Sends the signal from outside that stands at the task's cursor, if one does. */
void signals_due(struct replay *r, struct gtask *t);
/* The same, but one that any of several threads may take waits until the others have come as far. */
void signals_pass(struct replay *r, struct gtask *t);
/* Is one due that was recorded before event @order? */
bool signals_wait(const struct replay *r, uint32_t order);
/* Everybody sleeps: the first of these is sent.  False: there is none. */
bool signals_next(struct replay *r);
/* Sends it to @t or, if it is its group's, to any thread of its process, as coming from whom it says. */
void signal_send(struct replay *r, struct gtask *t, const struct ev_signal *s);
/* What came between @c, which was answered, and the next call. */
void signals_after(struct replay *r, const struct call *c);
/* Sends the signals whose time has come. */
void signals_look(struct replay *r);
/* A new task: those that come before its first call. */
void signals_born(struct gtask *t);
/* @signo is on its way to @t, which is stopped: the signal to go on with. */
int signal_passes(struct replay *r, struct gtask *t, int signo);
/* Waits a signal that a handler of @t is to take? */
bool signal_is_pending(const struct gtask *t);
/* Is this call the one that had to be made again, for a signal's sake? */
bool call_was_interrupted(struct gtask *t, unsigned int nr);
void signals_free(struct replay *r);

/* ---- pace.c ---- */
/*
 * Keeps @c, which is to return c->ret, back until the others have done what was
 * recorded before @rc ended, @ns of real time at most; false: answer at once.
 * @rc NULL: a sleep of @ns that is not in the record.
 */
bool pace(struct replay *r, struct call *c, const struct rec_call *rc, uint64_t ns);
/* Are the waits with a limit of all but @self over that ended before @order? */
bool waits_are_past(struct replay *r, const struct gtask *self, uint32_t order);
/* Keeps @t, stopped before @w, so until its time has come; false: it has. */
bool pace_stop(struct replay *r, struct gtask *t, const struct rec_wait *w, uint64_t ns);
/* @t waits without its limit, which is @ns away. */
void pace_wait(struct replay *r, struct gtask *t, bool recorded, uint64_t ns);
/* That wait is over. */
void pace_forget(struct replay *r, const struct gtask *t);
/* Is there something to end that began before @before? */
bool pace_owes(const struct replay *r, uint64_t before);
/* Has as much time passed since the program began as when recorded? */
bool pace_is_time(const struct replay *r, uint64_t time);
void pace_look(struct replay *r);
void pace_free(struct replay *r);

/* ---- order.c ---- */
/* True: the write is kept until those that other tasks made before it were made. */
bool order_write(struct replay *r, struct call *c, struct live *l, const struct rec_call *rc);
/* True: what a goroutine says is kept until the connection on which it was said has come as far. */
bool order_said(struct replay *r, struct call *c);
/* True: a goroutine's first question is kept until all rest, so that those that began beside it are there. */
bool order_asks(struct replay *r, struct call *c, int clock);
/* Answers a fork, at once or when nobody else is in the middle of one. */
void order_fork(struct replay *r, struct call *c);
/* @t's fork is over, one way or the other. */
void order_forked(struct replay *r, const struct gtask *t);
void order_look(struct replay *r);
void order_free(struct replay *r);

/* ---- objects.c ---- */
#define TIMERFD "anon_inode:[timerfd]"	/* what /proc says of one */
/* What the fd leads to: NULL for business of the guest's own.  @st (may be NULL) and @kind (of a socket; family 0 otherwise) are filled. */
struct live *object_of_fd(struct replay *r, const struct call *c, int fd, struct stat *st, struct socket_kind *kind);
/* Likewise, of the inode behind a descriptor. */
struct live *object_of_inode(struct replay *r, dev_t dev, ino_t ino);
/* A read of a file that nothing is recorded of: a miss if that is one of /proc, /sys and the like that tells of the machine. */
/* True: it was not read when recorded, but its content is known; that is the answer. */
bool unrecorded_read(struct replay *r, struct call *c, int fd, const struct stat *st);
/* null, zero and full: everywhere the same, and nobody's end. */
bool answers_by_itself(const struct stat *st);
void object_bind(struct replay *r, struct live *l, const struct stat *st);
void object_unbind(struct replay *r, struct live *l);
/* A socket that nothing led to yet turns out to be the object of the recorded call @rc. */
struct live *adopt(struct replay *r, struct call *c, int fd, const struct rec_call *rc, const struct stat *st);
/* A signalfd tells everybody of their own signals: only the guest itself can ask it. */
bool is_signalfd(pid_t tgid, int fd);
/* Does nothing from outside come through the fd?  A set of others may hold anything, a socket may still get its far end. */
bool leads_inside(struct replay *r, const struct call *c, int fd);
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
/* The client of @l, which was connected when the recorder came, connects to @listener. */
void peer_comes(struct replay *r, struct live *listener, struct live *l);
/* The guest's own end gets the recorded address, unless the program has bound it itself. */
void peer_bind_local(const struct live *l, int guest);
/* Room again on @l's end. */
void peer_flush(struct replay *r, struct live *l);
/* Connects @guest (a copy of the guest's socket), with the address of @name (NULL: any), to the peer of @l.  The errno that the guest would see. */
int peer_connect(struct replay *r, struct live *l, const struct live *name, int guest, const struct bytes *to);
/* An end for a datagram socket, bound to the recorded addresses. */
int peer_datagram(struct replay *r, struct live *l, int guest);
/* Says the earliest arrival that is still owed; false if there is none. */
bool peer_out_of_turn(struct replay *r);
/* What the earliest is that goroutines wait for, as far as was read; NULL: nothing. */
struct live *peers_first(const struct replay *r, uint32_t *order);
/* Is there one? */
bool peers_owe(const struct replay *r);
/* The guest's end of a FIFO or a terminal that it opens by name, the same each time. A fd, or -errno. */
int peer_opened(struct replay *r, struct live *l, int access);
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

/* ---- script.c ---- */
/* Is it still open which recorded connection @l's end speaks for? */
bool script_is_open(const struct replay *r, const struct live *l);
/* For a connection more than recorded to where others led; NULL: none did. */
struct live *script_more(struct replay *r, const uint8_t *addr, size_t len);
/*
 * A goroutine says @data.  Which of several idle connections to one place it gets for that is chance (an HTTP client keeps some of
 * them): the one to which that was said when recorded.  The ends change places; where one was used anew that was made
 * then, or the other way round, that is counted.
 */
struct live *script_continue(struct replay *r, struct live *l, const uint8_t *data, size_t len);
/* Is @data what is to be said to @l next? */
bool script_is_next(const struct live *l, const uint8_t *data, size_t len);
/* Is that one in the middle of something else yet, or has something else to say first? */
bool script_is_early(struct replay *r, const struct live *l, const uint8_t *data, size_t len);
/*
 * @data is said on @l, which was opened anew: the connection of the recording, to the same place, on which that is said next.  What
 * the guest has from @l it has from that one.  NULL: there is none.
 */
struct live *script_reopened(struct replay *r, struct live *l, const uint8_t *data, size_t len);
/* The program begins with @data: the connection that it speaks for from now on. */
struct live *script_choose(struct replay *r, struct live *l, const uint8_t *data, size_t len);
/* What the guest has from @l it has from what is returned, which has nothing recorded; NULL: there were too many of them. */
struct live *script_leave(struct replay *r, struct live *l);
/* Was it open when the program was started? */
bool script_is_inherited(const struct rec_object *o);
/* A connection that the program made to somebody outside? */
bool script_is_outbound(const struct live *l);
/* "GET /path" of an HTTP request, without what a question mark begins: its bytes; 0: it is none. */
size_t script_request(const uint8_t *p, size_t len);

/* ---- stack.c ---- */
/* @t is in the call that made the first divergence: where that is shall be found out, if anybody asked. */
void stack_want(struct replay *r, struct gtask *t);
/* @t is in a ptrace stop. */
void stack_stopped(struct replay *r, struct gtask *t);
/* ... about to get @signo. */
void stack_signal(struct replay *r, struct gtask *t, int signo);

/* ---- talk.c ---- */
/* Bytes of the whole HTTP request at the beginning of @p; 0: it goes on. */
size_t talk_request(const uint8_t *p, size_t len);
/* What the guest said on @l, and what it was answered, on the record. */
void talk_asked(struct replay *r, struct live *l, const uint8_t *data, size_t len);
void talk_answered(struct replay *r, struct live *l, const struct rec_arrival *a);
/* All is said that was to be said on @l, so that what is said next begins a request. */
bool talk_is_between(const struct live *l);
/* The guest is about to say @data, which begins a request: @l as it is, or what serves it by content from now on. */
struct live *talk_choose(struct replay *r, const struct call *c, struct live *l, const uint8_t *data, size_t len);
/* The same of the first that is said on @l, if it is asked for later on @l; NULL: it isn't. */
struct live *talk_begin(struct replay *r, struct live *l, const uint8_t *data, size_t len);
bool talk_is_by_content(const struct live *l);
/* The guest said @data to what is served by content. */
void talk_hear(struct replay *r, struct live *l, const uint8_t *data, size_t len);
void talk_move(struct live *from, struct live *to);
void talk_free(struct live *l);

/* ---- opening.c ---- */
/* The guest has connected @l, which was connected when the recording began, or is one more to where it knows how that is opened. */
void opening_begins(struct replay *r, struct live *l);
/* Is the call about a connection that is being opened?  True: answered. */
bool opening_answers(struct replay *r, struct call *c);
/* What was asked the @i-th time to open @l here; false: no more. */
bool opening_asked(const struct live *l, size_t i, struct bytes *ret);
/* Connections of which no word was recorded, though work was asked on them, are misses. */
void openings_end(struct replay *r);
void opening_free(struct live *l);

/* ---- saved.c ---- */
int saved_open(struct replay *r, struct err *err);
/* The program gave @data to @l; got @a from it; left the file as @f says. */
void saved_out(struct replay *r, const struct live *l, const uint8_t *data, size_t len);
void saved_in(struct replay *r, const struct live *l, const struct rec_arrival *a);
void saved_file(struct replay *r, const struct ev_file *f);
void saved_end(struct replay *r);
void saved_free(struct replay *r);

/* ---- files.c ---- */
/* @path below @root, whose symlinks lead nowhere else. A fd, or -errno. */
int open_in(int root, const char *path, int flags);
/* What @path was before, or NULL. */
const struct ev_file *files_recorded(const struct recording *rec, const char *path);
/* Below /proc, /sys or /dev, which every sandbox has anew. */
bool files_synthetic(const char *path);
/* Image files against the root file system; a difference is an error, or a note with allow_changed. */
/* limits.c: may there be no further task now? Has the guest more memory than it may have? */
bool limits_forbid_task(struct replay *r);
bool limits_exceeded(struct replay *r);
int files_check(struct recording *rec, const struct replay_options *run, struct verdict *v, struct err *err);
/*
 * The file that execvp(3) would find for @name, so that the program sees the
 * very path (AT_EXECFN) that it saw.
 */
void files_find_command(const struct recording *rec, const char *rootfs, const char *name, char *buf, size_t len);
/* struct sandbox_spec's lay; ctx is the struct replay. */
int files_lay(void *ctx, struct layer *layer, struct err *err);

/* ---- attributes.c ---- */

enum attributes_verdict { ATTRIBUTES_SAME, ATTRIBUTES_DIFFER, ATTRIBUTES_LOST };
/* The extended attributes of what @fd leads to, malloced; -errno. */
int attributes_of(int fd, struct bytes *ret);
/* The same against @then; LOST: the file system here has none. The first difference in words. */
enum attributes_verdict attributes_compare(int fd, struct bytes then, char expected[200], char got[200]);

/* ---- root.c ---- */

/* A supervisor that is root's becomes nobody's; r->opts then name what they named where nobody finds it. */
int root_give_up(struct replay *r, struct err *err);
void root_free(struct replay *r);

/* ---- shown.c ---- */

/* What of @rootfs the program may see, into @r->shown; NULL there: all. @command: its path. */
int shown_paths(struct replay *r, const char *rootfs, const char *command, struct err *err);
/* @path is one of @shown or below; NULL has all. */
bool shown_has(char *const *shown, const char *path);
void shown_free(struct replay *r);
/* The files that the guest changed against the recorded ones. */
void files_compare(struct replay *r);
/* The recorded content of @path into @fd; ENOENT if the capsule has none. */
int files_content(struct recording *rec, const char *path, int fd, struct err *err);

/* ---- extra.c ---- */
/* The files that the guest changed, and the recorded program did not. */
void extra_outputs(struct replay *r);

#endif
