/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What somebody outside could see of a run: how it ended, what it said on
 * stdout and stderr, how it answered those who connected to it.  Fed with the
 * events of a capsule, in order, by the recorder as it writes them and by
 * whoever reads one; failure signatures are judged by it.
 *
 * Memory is bounded whatever is fed: OBSERVE_KEEP bytes of each text, and the
 * connections that were used last.
 */
#ifndef CAPSULE_OBSERVE_H
#define CAPSULE_OBSERVE_H

#include "format/capsule.h"
#include "format/http.h"

enum { OBSERVE_KEEP = 1 << 20 };

/* The end of what went to stdout or stderr. */
struct observed_text {
	const uint8_t *data;
	size_t len;
	uint64_t total;		/* bytes that there were in all */
	bool known;		/* it was recorded, without gaps */
};

struct observation;

int observation_new(struct observation **ret, struct err *err);
void observation_free(struct observation *o);	/* NULL is fine */
/* @rd: where bytes are that the event has as a blob; NULL: it has none. */
int observation_event(struct observation *o, const struct event *e, struct capsule_reader *rd, struct err *err);
/* It has ended so: a status of wait(2). @came_out_the_same: what it gave to the outside is what the recorded run gave. */
void observation_end(struct observation *o, int32_t status, bool came_out_the_same);
/* All events of @rd, and its end. */
int observation_of(struct observation **ret, struct capsule_reader *rd, struct err *err);

bool observed_end(const struct observation *o, int32_t *status);
bool observed_the_same(const struct observation *o);
/* A signal from outside that is @signo reached a task. */
bool observed_signal(const struct observation *o, int signo);
struct observed_text observed_stdout(const struct observation *o);
struct observed_text observed_stderr(const struct observation *o);
/* How many answers with each HTTP status were given to those who connected; HTTP_STATUSES of them. */
const uint64_t *observed_statuses(const struct observation *o);
/* HTTP requests of those who connected that were left without an answer. */
uint64_t observed_unanswered(const struct observation *o);

#define _cleanup_observation_ __attribute__((cleanup(cleanup_observation)))
static inline void cleanup_observation(struct observation **o) { observation_free(*o); }

#endif
