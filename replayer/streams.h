/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clock readings, served in recorded order: a stream per (task, clock id),
 * shared with the shim in the guest (preload/shim.h).
 *
 * Order of use: streams_new(), streams_expect() for each task and clock that
 * the capsule has readings of and streams_start() for each clock, then
 * streams_publish() once, then streams_take() for each reading that the shim
 * passed on.  The readings come by streams_add(), before that and as the
 * replay goes: those that were passed are let go.
 *
 * Times are ns.  gettimeofday belongs to CLOCK_REALTIME's stream, time(2) has one of its own: clock SHIM_SECONDS.
 *
 * A thread's readings are due between the same two of its marks (calls that
 * moved something in or out) as recorded.  Those beyond them there go on by
 * SHIM_STEP, up to the first one behind the next mark, and are counted; those
 * not made there are passed over.  So a thread that reads its clock once more
 * or less while it waits for another has the right time again after its next
 * mark.
 *
 * The guest may write what it likes into the shared file, or truncate it:
 * it is read by pread(), never mapped here; nothing in it is an offset or a
 * bound of ours, and the worst it can bring about is wrong readings for itself.
 */
#ifndef CAPSULE_STREAMS_H
#define CAPSULE_STREAMS_H

#include "format/err.h"

#include <stdbool.h>
#include <stdint.h>

struct streams;

int streams_new(struct streams **ret, struct err *err);
void streams_free(struct streams *s);	/* NULL is fine */
static inline void cleanup_streams(struct streams **s) { streams_free(*s); }
#define _cleanup_streams_ __attribute__((cleanup(cleanup_streams)))

/* ---- loading ------------------------------------------------------------ */

/* There will be @count readings of @clk by @task. */
int streams_expect(struct streams *s, uint32_t task, uint32_t clk, uint64_t count, struct err *err);
/* The next one of them, event @order of the recording. */
int streams_add(struct streams *s, uint32_t task, uint32_t clk, int64_t ns, uint32_t order, struct err *err);
/* Where @clk starts for a task of which no reading was recorded: its value when the recording began. */
void streams_start(struct streams *s, uint32_t clk, int64_t ns);
/* Bytes that /dev/.capsule must have; a multiple of the page. */
uint64_t streams_size(const struct streams *s);
/* Writes them to @fd (not taken, must stay open as long as @s). No streams_expect() after this. */
int streams_publish(struct streams *s, int fd, struct err *err);

/* ---- serving ------------------------------------------------------------ */

/*
 * @task's next reading of @clk.  1: it is in the record; 0: it isn't.  -ENOMEM.
 * Only while the task's thread waits for the answer: the shim moves the same
 * cursor.
 */
int streams_take(struct streams *s, uint32_t task, uint32_t clk, int64_t *ns);
/* Must more be read of the recording before @task's next reading of @clk can be taken? */
bool streams_wants(struct streams *s, uint32_t task, uint32_t clk);
/*
 * @task has come to event @from, its next mark is event @to (UINT32_MAX: none
 * as far as was read, see streams_mark()).  Without this all its readings are
 * due.  Under the condition of streams_take().
 */
void streams_reach(struct streams *s, uint32_t task, uint32_t from, uint32_t to);
/* Event @order, which was read just now, is a mark of @task. */
void streams_mark(struct streams *s, uint32_t task, uint32_t order);
/* Bytes of readings that are held. */
uint64_t streams_held(const struct streams *s);
/* The order of @task's next recorded reading of @clk; UINT32_MAX: there is none any more, 0: there never was one. */
uint32_t streams_next(struct streams *s, uint32_t task, uint32_t clk);
/* The slot to register the task's thread with (inject_register()), or -ENOSPC: then every reading comes to us. */
int streams_slot(struct streams *s, uint32_t task);
/* @task, of which no reading is recorded, reads from now on no less than @ns. */
void streams_at_least(struct streams *s, uint32_t task, uint32_t clk, int64_t ns);
/* @ns passed in a sleep that is not in the record: clocks past their end go on by that. */
void streams_skip(struct streams *s, int64_t ns);
/* All that was skipped so far. */
int64_t streams_skipped(const struct streams *s);
/* What @clk showed last to @task, or to anybody if @task never read it. */
int64_t streams_now(struct streams *s, uint32_t task, uint32_t clk);

/* ---- for the verdict ---------------------------------------------------- */

struct streams_total {
	uint64_t recorded, given;	/* readings in the capsule; of those, handed out */
	uint64_t more;		/* made, but not in the capsule */
};
void streams_total(struct streams *s, struct streams_total *ret);
/*
 * Calls @f for each stream that has more readings than recorded, or readings left.  Stops at its
 * first result that is not 0, and returns that.
 */
typedef int (*streams_each)(void *ctx, uint32_t task, uint32_t clk, const struct streams_total *t);
int streams_odd(struct streams *s, streams_each f, void *ctx);

#endif
