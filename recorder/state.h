/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of a recording share. Only recorder/ includes this. */
#ifndef CAPSULE_STATE_H
#define CAPSULE_STATE_H

#include "format/observe.h"
#include "recorder/assemble.h"
#include "recorder/recorder.h"

#include <sys/types.h>

struct tasks;
struct objects;
struct files;
struct sources;
struct again;
struct guard;
struct kernel;
struct patches;

struct recording {
	const struct record_opts *opts;
	struct capsule_writer *w;
	struct assembler *assembler;
	struct tasks *tasks;
	struct objects *objects;
	struct files *files;
	struct sources *sources;
	struct again *again;
	struct guard *guard;
	struct kernel *kernel;
	struct patches *patches;	/* of attach, with exact clocks; else NULL */
	int64_t start;		/* CLOCK_BOOTTIME, ns */
	int64_t now;		/* the same, of the record at hand */
	uint32_t task;		/* number of the thread at hand; 0: none */
	struct observation *seen;	/* what an observer outside could see, for the signature */
	uint64_t events, holes, lost;
	int32_t first_status;	/* of the first process, when it has ended */
	bool first_exec_seen;
	int (*begins)(struct recording *r, pid_t pid, struct err *err);	/* of one that was joined: the capsule is made when its program begins */
	bool continued;		/* a process that was stopped; recorder.c resets it */
	void (*sink)(void *ctx, const struct event *e);	/* armed: where events go, @w being NULL but while a capsule is made; else NULL */
	void *sink_ctx;
	struct err broken;	/* the writer's first error: nothing is written any more */
};

/* Fills in time and task, and writes. An event that no capsule may hold becomes a hole; a broken writer is remembered, once. */
void emit(struct recording *r, struct event *e);
void emit_hole(struct recording *r, const char *what, const char *where, const char *why, uint64_t count);
/* The same with a formatted @where. */
void emit_holef(struct recording *r, const char *what, const char *why, const char *where, ...)
	__attribute__((format(printf, 4, 5)));

/* One more segment of a call; @data stays the caller's. */
void call_add_seg(struct ev_call *c, uint8_t arg, uint16_t index, const void *data, size_t len);

/* calls.c: the assembler's functions; @ctx is the recording. */
extern const struct assembler_ops call_ops;
/* The program that @pid runs now; @e has its random bytes and its vDSO's state. */
void tell_running(struct recording *r, pid_t pid, const struct ev_exec *e);

#endif
