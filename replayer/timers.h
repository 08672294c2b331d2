/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timers of the guest: setitimer, alarm, timer_create, timerfd.  None runs in
 * the kernel.  One whose arming is in the record expires where the recording
 * has its signal (signals.c) or its readable descriptor (an outside object);
 * one that is not, or whose expiry is not, when everybody sleeps.
 */
#ifndef CAPSULE_TIMERS_H
#define CAPSULE_TIMERS_H

#include "replayer/replay.h"

void answer_timer(struct replay *r, struct call *c);
/* Expiries that no longer wait for anybody. */
void timers_look(struct replay *r);
/*
 * Everybody sleeps, for @quiet ns: the earliest expiry before @until (of
 * streams_skipped()) comes about, one that is not in the record after
 * @patience ns.  False: there is none.
 */
bool timers_expire(struct replay *r, uint64_t quiet, uint64_t patience, int64_t until);
/* The recorded expiry of a timer of @tgid's is being sent. */
void timers_sent(struct replay *r, pid_t tgid, const struct ev_signal *s);
/* The object of the recording that a timerfd is; NULL: it is none, or not known. */
struct live *timers_live(const struct replay *r, pid_t tgid, int fd);
/* That one is read, as recorded. */
void timers_read(struct replay *r, const struct live *l);
/* Has the time of the timer that sends @s to @tgid come, by the machine's clock? */
bool timers_late(const struct replay *r, pid_t tgid, const struct ev_signal *s);
/* The process executes another program. */
void timers_exec(struct replay *r, pid_t tgid);
void timers_free(struct replay *r);

#endif
