/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of a recording share. Only recorder/ includes this. */
#ifndef CAPSULE_STATE_H
#define CAPSULE_STATE_H

#include "recorder/assemble.h"
#include "recorder/recorder.h"

#include <sys/types.h>

struct tasks;
struct objects;
struct files;
struct guard;

struct recording {
	const struct record_opts *opts;
	struct capsule_writer *w;
	struct assembler *assembler;
	struct tasks *tasks;
	struct objects *objects;
	struct files *files;
	struct guard *guard;
	int64_t start;		/* CLOCK_BOOTTIME, ns */
	int64_t now;		/* the same, of the record at hand */
	uint32_t task;		/* number of the thread at hand; 0: none */
	uint64_t events, holes, lost;
	bool first_exec_seen;
	struct err broken;	/* the writer's first error: nothing is written any more */
};

/* Fills in time and task, and writes. An event that no capsule may hold becomes a hole; a broken writer is remembered, once. */
void emit(struct recording *r, struct event *e);
void emit_hole(struct recording *r, const char *what, const char *where, const char *why, uint64_t count);
/* The same with a formatted @where. */
void emit_holef(struct recording *r, const char *what, const char *why, const char *where, ...)
	__attribute__((format(printf, 4, 5)));

/* calls.c: the assembler's functions; @ctx is the recording. */
extern const struct assembler_ops call_ops;

#endif
