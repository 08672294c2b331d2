/* SPDX-License-Identifier: Apache-2.0 */
/* Which events of a history belong to a request. */
#ifndef CAPSULE_CHOICE_H
#define CAPSULE_CHOICE_H

#include "recorder/map.h"
#include "watch/history.h"
#include "watch/requests.h"

struct choice {
	uint64_t from, to;		/* numbers */
	uint64_t wait;			/* number of the wait that told of it, before all that; UINT64_MAX: none */
	uint32_t waiter;		/* the task that waited */
	const struct request *request;	/* NULL: everything between from and to */
	const struct requests *requests;
	bool alone;			/* nobody else was served meanwhile: everything that the scope did may be for it */
	struct map workers;		/* tasks that worked on it, as keys */
	uint32_t acceptor;		/* that accepted it, and did no more for it; 0: none */
	uint64_t mixed;			/* calls for others of those that worked on it, meanwhile */
	uint64_t shared;		/* calls of others on connections that it used */
};

/* -ENOMEM. */
int choose(struct choice *c, const struct history *h, const struct requests *rs, const struct request *r);
void choice_clear(struct choice *c);
bool choice_has(const struct choice *c, const struct event *e, uint64_t number);
/* Is the object for others' use only? */
bool choice_is_foreign(const struct choice *c, uint32_t object);

#endif
