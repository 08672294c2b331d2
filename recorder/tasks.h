/* SPDX-License-Identifier: Apache-2.0 */
/* The threads of the scope: their numbers in the capsule, and calls that have ended for the kernel but not for them. */
#ifndef CAPSULE_TASKS_H
#define CAPSULE_TASKS_H

#include "recorder/assemble.h"

#include <stdbool.h>
#include <sys/types.h>

struct task {
	uint32_t tid, tgid;
	uint32_t own_tid, own_tgid;	/* in its own pid namespace */
	uint32_t number;	/* from 1 */
	uint32_t parent;	/* the process that started its own */
	int64_t child_stopped;	/* when a child of it was last stopped by us, so that it may have been told of that; 0: never */
	bool halted;		/* it stopped for that, and was continued */
	/* A call that was interrupted: it is forgotten if it was made again, else it is written with EINTR. */
	struct rec_call *held;
	struct parts *held_parts;
};

struct tasks;

int tasks_new(struct tasks **ret, struct err *err);
void tasks_forget(struct tasks *ts);	/* NULL is fine */
/* Is it, or was it, one of the scope? @own: its number in its own pid namespace. */
bool task_known(const struct tasks *ts, uint32_t own);
/* Its numbers in its own pid namespace, if that is not the recorder's. */
void task_owns(struct tasks *ts, struct task *t, uint32_t tid, uint32_t tgid);
/* The thread, made if it is new (its fork was lost); NULL: no memory. */
struct task *task_of(struct tasks *ts, uint32_t tid);
/* The same, or NULL. */
struct task *task_there(const struct tasks *ts, uint32_t tid);
/* A new thread; what was known by that number is forgotten. */
struct task *task_add(struct tasks *ts, uint32_t tid, uint32_t tgid);
/* Goroutine @number of a process; *@made: it is new. NULL: no memory. */
struct task *task_goroutine(struct tasks *ts, uint32_t tgid, uint32_t number, bool *made);
/* A process has ended, or runs another program: its goroutines are no more. */
void task_end_goroutines(struct tasks *ts, uint32_t tgid);
/* A thread goes on under another number: the program it started is its process's first thread. */
void task_rename(struct tasks *ts, uint32_t from, uint32_t to);
void task_end(struct tasks *ts, uint32_t tid);
/* Of a scope that is followed for ever: who has ended is not remembered. */
void tasks_may_forget(struct tasks *ts);
/* Threads, not goroutines. */
void tasks_each(const struct tasks *ts, void (*f)(void *ctx, const struct task *t), void *ctx);
void task_drop_held(struct task *t);
/* 0, or -ENOMEM; takes over what is in @p. */
int task_hold(struct task *t, const struct rec_call *c, struct parts *p);

#endif
