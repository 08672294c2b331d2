/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside a recording: recording.c holds it together, survey.c reads it once
 * and keeps facts, window.c reads it again as the replay goes.  Nobody else
 * includes this.
 */
#ifndef CAPSULE_WINDOW_H
#define CAPSULE_WINDOW_H

#include "replayer/recording.h"

#include <linux/types.h>

#include "format/sysdesc.h"

/*
 * Memory of which many small things are made.  Those of the window are let go
 * with the last thing in them, those of the survey with the recording.
 */
struct piece {
	struct piece *next;	/* of the survey's */
	size_t used, room;
	size_t refs;
	_Alignas(8) uint8_t data[];
};

struct answers;

struct recording_private {
	struct recording r;
	uint32_t order;			/* of the event that is being added */
	struct piece *facts;		/* what lives as long as the recording */
	struct answers *answers;	/* while it is surveyed */
	struct named_memory {		/* likewise */
		uint64_t name;
		uint32_t process;
	} *named;
	size_t nnamed;
	size_t tasks_room, objects_room;
	uint64_t opening_bytes;
	unsigned int nopenings;
	bool calls_seen;		/* the first call was: what came before is what an attached recorder found */
	/* The window. */
	struct piece *current;
	uint64_t bytes;			/* of all its pieces, and of what was told to @ears and not taken back */
	bool ended, failed;
	struct err error;
	struct recording_ears ears;
};

static inline struct recording_private *private_of(struct recording *r)
{
	return (struct recording_private *)r;	/* its first member */
}

/* Room for one more in an array whose capacity is the next power of two. */
int grow(void **array, size_t n, size_t size);
#define APPEND(array, n, value) \
	(grow((void **)&(array), (n), sizeof(*(array))) < 0 ? -ENOMEM : ((array)[(n)++] = (value), 0))

/* ---- survey.c: the first reading ------------------------------------------- */

int survey(struct recording_private *p, struct err *err);
/* Memory as long as the recording's life, or NULL. */
void *facts_room(struct recording_private *p, size_t size);
/* answers.c: @task got this one. */
int answer_note(struct recording_private *p, uint32_t task, const struct ev_call *c, struct err *err);
/* company.c: @process has, with @c, memory that others can have, too; it has made a child; it has started a program. */
int company_shares(struct recording_private *p, uint32_t process, const struct ev_call *c);
void company_forks(struct recording_private *p, uint32_t process, uint32_t child);
void company_ends(struct recording_private *p, uint32_t process);

/* ---- window.c: the second --------------------------------------------------- */

void window_free(struct recording_private *p);

/* ---- what both readings have to agree on ------------------------------------ */

/* Nobody's call: what was said on a connection when it was opened, long before the recording. */
static inline bool is_opening(const struct event *e)
{
	return e->kind == EV_CALL && !e->task;
}


/*
 * Of a program with goroutines: what its runtime does on its own threads, and how often somebody finds that nothing is
 * there yet.  That is chance; the program's own part is what its goroutines did.
 */
bool is_runtimes(const struct recording *r, const struct rec_task *t, const struct ev_call *c);
/* Whose signal it is that reached @t: of a process with goroutines its first thread's, for there need not be the same threads. */
uint32_t task_of_signal(const struct recording *r, const struct rec_task *t);
/* What was told of a file: it is among the looks, not among the calls. */
bool is_look(const struct ev_call *c);
/* Is it a call that the replay will be asked about? */
bool is_asked(const struct ev_call *c);
/* Did the read take what it saw? */
bool is_taken(const struct ev_call *c);
bool is_accept(const struct ev_call *c);
/* What is left of a connection of the scope's own: the calls that made it, in their places. */
bool stays_when_inner(unsigned int nr);
/*
 * Does @c, of a task that was in the middle of something when the recorder came,
 * still belong to that?  Up to where it turns to something new, its calls have
 * no beginning that a replay could make.
 */
bool is_before(const struct rec_task *t, bool *begun, const struct ev_call *c);
/* Likewise a write to @o: the answer to what a client said before? */
bool answers_before(const struct rec_object *o, size_t arrivals, const struct ev_call *c);
/* The clock reading that @c was; false: none. */
bool clock_of(const struct ev_call *c, struct rec_clock *k);
struct bytes sender_of(const struct ev_call *c);
#define CALL_BYTES_MAX (1ull << 30)	/* of a segment */
/* The bytes that @c needs beside its struct and those of its segments; blobs are loaded into them. */
size_t call_room(const struct ev_call *c);
/* A copy of @c in @room, which has call_room(). */
int call_copy(struct recording_private *p, const struct ev_call *c, uint8_t *room, const struct ev_call **ret, struct err *err);

#endif
