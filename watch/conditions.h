/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does what a policy waits for hold?  It is asked at *moments*: a request has
 * ended, a process has, a call has failed once more, somebody asks.  What a
 * moment says nothing of is unknown, and so is its contrary: "not 200" does
 * not hold of a process's end.
 */
#ifndef CAPSULE_CONDITIONS_H
#define CAPSULE_CONDITIONS_H

#include "format/event.h"
#include "watch/policy.h"
#include "watch/requests.h"

enum moment_kind { MOMENT_REQUEST, MOMENT_EXIT, MOMENT_CALL, MOMENT_TRIGGER };

struct moment {
	enum moment_kind kind;
	uint64_t time;			/* as events have it */
	const struct request *request;	/* MOMENT_REQUEST */
	int32_t status;			/* MOMENT_EXIT: of wait(2) */
	bool oom;			/* ... and the kernel did it, for want of memory */
};

struct conditions;

/* For one scope. @when is the policy's, and must live as long. NULL: no memory. */
struct conditions *conditions_new(const struct condition *when);
void conditions_free(struct conditions *cs);	/* NULL is fine */
/* Only such events are worth asking of: calls that failed, and what tells of a connect() that failed behind the program's back. */
bool conditions_may_fail(const struct event *e);
/* True: a call has failed as often as one of the conditions says, and that is a moment. */
bool conditions_event(struct conditions *cs, const struct event *e);
bool conditions_hold(const struct conditions *cs, const struct moment *m);

#endif
