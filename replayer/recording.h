/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A capsule, arranged for replaying: what each task did in order, what came in
 * and went out on each object, which files there were.
 *
 * However long it is, little of it is in memory.  recording_load() reads the
 * whole of it once and keeps facts: tasks, objects, files, how much there is of
 * everything.  The calls themselves and what they moved are read again as the
 * replay goes: a window that runs ahead of the replay, and from which goes what
 * the replay is done with.
 */
#ifndef CAPSULE_RECORDING_H
#define CAPSULE_RECORDING_H

#include "format/payload.h"

#include <linux/types.h>

#include "format/sysdesc.h"
#include "replayer/looks.h"

struct piece;

/* Things one behind the other, counted from the first there ever was, of which those from @first on and before @end are there. */
struct queue {
	struct queued {
		const void *item;
		struct piece *piece;
	} *ring;
	size_t room, first, end;
};

/* A call of a task, or a signal that reached it from outside (then call is NULL). */
struct rec_call {
	const struct ev_call *call;
	const struct ev_signal *signal;
	uint32_t object;	/* index into objects; 0: none */
	uint32_t made;		/* the object that it made (accept); 0: none */
	uint32_t arrivals;	/* SC_READ, accept: how many arrivals of the object it has taken when it ends */
	uint32_t order;		/* place among all events */
	uint32_t turn;		/* SC_WRITE: place among the writes to the object; of a fork that failed: among the task's children */
	bool anytime;		/* see is_anytime() */
	bool told;		/* it told one of several processes that share memory of a child's end */
	bool aside;		/* a goroutine asks for the name of an end: no mark, connections may change places */
	uint64_t time;		/* ns since the recording began */
	struct piece *piece;	/* where it lies */
};

/* How a wait with a time limit ended, SC_TIMED. */
struct rec_wait {
	uint16_t nr;
	int32_t ret;
	uint32_t order;
	uint64_t time;
};

struct rec_exec {
	const char *path;
	uint8_t at_random[16];
};

/* Readings of one clock by one task. */
struct rec_clocks {
	int32_t clock;
	uint64_t count;
};

struct rec_task {
	uint32_t id, pid, tid;
	uint32_t process;		/* number of its process's first task */
	uint32_t goroutine;		/* it is no thread, but that goroutine, by its number; 0: it is one */
	uint32_t begins;		/* with which function; 0: not known */
	bool managed;			/* a process' first task: its program's tasks are goroutines, as far as was read */
	bool threads;			/* a process' first task: it had several */
	bool thread, exited, group_exit;
	int32_t status;			/* of its exit */
	uint32_t born_order;		/* place of its start among all events */
	uint32_t exit_order;		/* place of its exit, or the later one at which its reaper cannot have known of it yet */
	uint32_t none_order;		/* of the last call that tells that no child had ended: it found none, or a signal ended it */
	uint32_t reap_order, reaper;	/* a process: the same of the call that told of its end, and that one's task; 0: none */
	bool reaped_as_any;		/* ... which could have told of another one */
	struct queue calls;		/* in order: task_call() */
	size_t ncalls;			/* in the whole recording */
	struct {			/* in order: task_wait(); not among the calls, for how often a thread waits is chance */
		struct rec_wait *ring;
		size_t room, first, end;
	} waits;
	uint32_t *children;		/* task numbers, in order */
	size_t nchildren;
	struct rec_exec *execs;
	size_t nexecs;
	struct queue random;		/* getrandom's bytes, in order: task_random() */
	size_t nrandom;
	struct rec_clocks *clocks;
	size_t nclocks;
	uint32_t forks;			/* so far, while it is read again */
	bool over;			/* nobody will ask for its calls any more */
	uint32_t company;		/* a process: not 0 if others shared its memory, see company.c */
	uint32_t shares_with;		/* its parent, if that has been counted for this one's sake; 0: it has not */
	bool has_shared;		/* memory that others could have, too */
	bool here;			/* it ran already when the recorder came ... */
	bool begun, begun_again;	/* ... and has begun something since; see is_before() */
	size_t nhere;			/* children that did, too */
};

/* Something that came in on an object, in the order in which the program took it. */
enum arrival_kind { ARRIVAL_DATA, ARRIVAL_DATAGRAM, ARRIVAL_EOF, ARRIVAL_CONNECTION };
struct rec_arrival {
	enum arrival_kind kind;
	struct bytes data;
	struct bytes from;	/* datagram: the sender's address, if known */
	uint32_t made;		/* connection: the object that accept made */
	uint32_t order;		/* place among all events of the call that took it */
};

struct rec_object {
	const struct ev_object *o;	/* as last described; NULL: number never described */
	struct queue arrivals;		/* object_arrival() */
	size_t narrivals;		/* in the whole recording */
	struct queue out;		/* what the program gave, a part a call: object_out() */
	size_t nout;
	uint64_t out_bytes;
	uint32_t nwrites, writer;	/* calls, failed ones too; the task that made them ... */
	bool shared;			/* ... was not the only one */
	uint64_t written;		/* time of the last of them that moved bytes */
	bool out_unseen;		/* some of it could not be recorded (a hole says so): nothing to compare with */
	bool connected;			/* a connect came to its good end */
	int async_error;		/* a connect in progress that failed later: its errno */
	bool inner;			/* a connection of the scope's own */
	bool listens;			/* connections were accepted on it */
	struct bytes sender;		/* the first that a datagram came from */
	uint32_t accepted;		/* the listener that it came from; 0: none */
	bool managed;			/* goroutines use it */
	bool here;			/* it was open already when the recorder came */
	struct rec_opening *opening;	/* it is but how connections to that place were opened; NULL: it is one itself */
	uint32_t user;			/* the task that used it first */
	uint32_t exchanges;		/* answers: writes with something heard before them, and since the last one */
	bool heard;			/* while that is counted */
	bool ended;			/* its client, or server, said no more */
	uint32_t turns;			/* writes so far, while it is read again */
	struct rec_tally {		/* who makes calls on it; they will not count if it turns out to be the scope's own */
		uint32_t task, calls;
	} *tallies;
	size_t ntallies;
};

/* What was said on a connection to some place when it was opened, and answered, one behind the other. */
enum { OPENING_EXCHANGES = 64 };
struct rec_opening {
	size_t n;
	struct {
		struct bytes asked, answer;
	} exchanges[OPENING_EXCHANGES];
};

struct rec_clock {
	uint32_t task;
	int32_t clock;
	int64_t ns;
	uint32_t order;		/* place among all events */
};

struct recording {
	struct capsule_reader *reader;
	const struct manifest *m;
	const struct capsule_end *end;
	struct rec_task *tasks;		/* by number; [0] unused */
	size_t ntasks;			/* highest number + 1 */
	struct rec_object *objects;	/* by number; [0] unused */
	size_t nobjects;
	struct rec_clock *no_clocks;	/* those that the machine had not, each once; ns: the error, negative */
	size_t nno_clocks;
	struct rec_answer {		/* to calls that only ask, the last of each task and question */
		uint32_t task;
		struct rec_call rc;
	} **answers;
	size_t nanswers;
	const struct ev_file **files;	/* by path, the last description of each */
	size_t nfiles;
	const struct ev_file **outputs;
	size_t noutputs;
	const struct ev_hole **holes;
	size_t nholes;
	struct looks *looks;		/* what was told of files */
	uint64_t window;		/* bytes that the window comes to */
	uint64_t unsure;		/* writes that came so close behind another task's that theirs may have been first */
	bool attached;			/* what was recorded ran already */
	uint64_t exchanges;		/* answers to clients, all together */
	bool starved;			/* something was too far ahead for it */
	bool inner;			/* some connections have both ends in the scope */
	bool goroutines;		/* some programs have them */
	bool failures;			/* calls on files that the machine did not let through, see SEG_PLACE */
	bool notify[SC_MAX];		/* of the calls that a replay does not look at otherwise, those that it must */
};

/* What is not kept here is told as it is read. */
struct recording_ears {
	void *ctx;
	void (*clock)(void *ctx, const struct rec_clock *k);
	void (*call)(void *ctx, const struct rec_task *t, const struct rec_call *rc);
};

/*
 * Surveys @path.  Refuses one that is cut short (EBADMSG) and one whose numbers
 * make no sense (EBADMSG).  recording_free() releases all.
 */
int recording_load(struct recording **ret, const char *path, struct err *err);
void recording_free(struct recording *r);

/* ---- the window ------------------------------------------------------------ */

#define RECORDING_WINDOW (64ull << 20)	/* bytes, what it comes to by default */

/* From the first event on; at most about @bytes are held. For the process that replays. */
void recording_begin(struct recording *r, uint64_t bytes, const struct recording_ears *ears);
/*
 * Reads on, a little: the replay has come to event @passed.  False: there is
 * enough ahead of it, or no more, or no room.
 */
bool recording_ahead(struct recording *r, uint32_t passed);
/* Was all of it read? */
bool recording_ended(const struct recording *r);
/* What stopped the reading, or NULL. */
const struct err *recording_failed(const struct recording *r);
/* Bytes that @ears hold on to (or, negative, let go) count as the window's. */
void recording_held(struct recording *r, int64_t bytes);

/*
 * Call @i of @t, arrival or part @i of @o, counted from the first.  NULL: it is
 * not in the window: there is none, or it is further ahead than the replay has
 * need of (ask recording_..._at()), or the replay is done with it.
 */
const struct rec_call *task_call(const struct rec_task *t, size_t i);
const struct bytes *task_random(const struct rec_task *t, size_t i);
const struct rec_wait *task_wait(const struct rec_task *t, size_t i);
const struct rec_arrival *object_arrival(const struct rec_object *o, size_t i);
const struct bytes *object_out(const struct rec_object *o, size_t i);
/* The place among all events of that part, or UINT32_MAX. */
uint32_t object_out_order(const struct rec_object *o, size_t i);

/* Reads on by an event, beyond what recording_ahead() would. False: no more, or no room. */
bool recording_more(struct recording *r);
/* Likewise, unless the window is as large as it is to be. */
bool recording_near(struct recording *r);
/* The same, and what is ahead is read on to. NULL: there is none, or it is too far ahead for the window. */
const struct rec_call *recording_call_at(struct recording *r, const struct rec_task *t, size_t i);
const struct bytes *recording_random_at(struct recording *r, const struct rec_task *t, size_t i);
const struct rec_arrival *recording_arrival_at(struct recording *r, const struct rec_object *o, size_t i);
const struct bytes *recording_out_at(struct recording *r, const struct rec_object *o, size_t i);

/*
 * The replay is done with what is before @upto.  A call is valid until then,
 * and beyond with recording_hold().
 */
void recording_pass_calls(struct recording *r, struct rec_task *t, size_t upto);
void recording_pass_random(struct recording *r, struct rec_task *t, size_t upto);
void recording_pass_waits(struct rec_task *t, size_t upto);
void recording_pass_arrivals(struct recording *r, struct rec_object *o, size_t upto);
void recording_pass_out(struct recording *r, struct rec_object *o, size_t upto);
void recording_hold(struct recording *r, const struct rec_call *rc);
void recording_release(struct recording *r, const struct rec_call *rc);

/* ---- calls ------------------------------------------------------------------- */

/* A file that the kernel makes up: its place among other calls is chance, libraries read some when memory gets short. */
bool is_anytime(const struct rec_object *o);
/* SC_REAP: the pid that the call told of, or 0; might it have told of another? */
uint32_t reaped_child(const struct ev_call *c);
bool reaps_any(const struct ev_call *c);
/* Is call @i of @t a wait that a signal from inside ended?  That may as well come before it, or behind. */
bool is_cut_off(const struct rec_task *t, size_t i);
/*
 * The first of @t's calls from @i on that is sure to come: how often a program asks for an end of a child in vain is
 * chance, and so is in which wait a signal from inside finds it.
 */
const struct rec_call *task_surely(const struct rec_task *t, size_t i);

/* The bytes behind a segment; valid as long as its call. */
int recording_bytes(struct recording *r, const struct ev_seg *seg, struct bytes *ret, struct err *err);
/* The bytes that a SC_READ or SC_WRITE call moved; .data NULL if none. */
struct bytes call_payload(const struct recording *r, const struct ev_call *c);

/* named.c: is it a FIFO, a terminal or a device that the replay gives to who opens it by name? */
bool has_own_end(const struct ev_object *o);

#endif
