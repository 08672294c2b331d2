/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waits with a time limit for others of the scope: futexes (condition
 * variables, semaphores, mutexes), queues, signals; SC_TIMED in the table.
 * The filter stops the task before such a call (PTRACE_EVENT_SECCOMP).
 */
#ifndef CAPSULE_TIMED_H
#define CAPSULE_TIMED_H

#include "replayer/replay.h"

/* @t is stopped before such a call; lets it run, now or later. */
void timed_begin(struct replay *r, struct gtask *t);
/* @t is in some other stop: its registers are as the program knows them from here on. */
void timed_mend(struct gtask *t);
/* Of a task that pace_stop() kept: its wait is over. */
void timed_out(struct replay *r, struct gtask *t);
/* Likewise: is there no need to wait any more? */
bool timed_is_woken(const struct gtask *t);
/* @c, a poll() or the like, goes on into the kernel with its limit, which is not in the record. */
void timed_poll(struct replay *r, struct call *c, uint64_t ns);
/* Of a task that waits without its limit, or in a poll(): it has come.  False: it does not wait there any more. */
bool timed_cut_off(struct gtask *t);
/* @t's next recorded wait, NULL: there is none between its last mark and its next. */
const struct rec_wait *timed_next(struct replay *r, struct gtask *t);
/* No recorded wait before event @order is waited for any more. */
void timed_pass(struct replay *r, uint32_t order);

#endif
