/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A capsule, arranged for replaying: what each task did in order, what came in
 * and went out on each object, which files there were.
 *
 * Read-only once loaded.  It owns the reader, so everything that events point
 * to lives as long as the recording.
 */
#ifndef CAPSULE_RECORDING_H
#define CAPSULE_RECORDING_H

#include "format/capsule.h"

#include <linux/types.h>

#include "format/sysdesc.h"

/* A call of a task, or a signal that reached it from outside (then call is NULL). */
struct rec_call {
	const struct ev_call *call;
	const struct ev_signal *signal;
	uint32_t object;	/* index into objects; 0: none */
	uint32_t made;		/* the object that it made (accept); 0: none */
	uint32_t arrivals;	/* SC_READ, accept: how many arrivals of the object it has taken when it ends */
	uint32_t order;		/* place among all events */
	uint32_t turn;		/* SC_WRITE: place among the writes to the object */
};

struct rec_exec {
	const struct ev_exec *exec;
};

struct rec_task {
	uint32_t id, pid, tid;
	bool thread, exited, group_exit;
	int32_t status;			/* of its exit */
	struct rec_call *calls;		/* in order */
	size_t ncalls;
	uint32_t *children;		/* task numbers, in order */
	size_t nchildren;
	const struct ev_exec **execs;
	size_t nexecs;
	struct bytes *random;		/* getrandom's bytes, in order */
	size_t nrandom;
};

/* Something that came in on an object, in the order in which the program took it. */
enum arrival_kind { ARRIVAL_DATA, ARRIVAL_DATAGRAM, ARRIVAL_EOF, ARRIVAL_CONNECTION };
struct rec_arrival {
	enum arrival_kind kind;
	struct bytes data;
	struct bytes from;	/* datagram: the sender's address, if known */
	uint32_t made;		/* connection: the object that accept made */
	uint32_t order;		/* place among all events of the call that took it */
};

struct rec_object {
	const struct ev_object *o;	/* as last described; NULL: number never described */
	struct rec_arrival *arrivals;
	size_t narrivals;
	struct bytes *out;		/* what the program gave, a part a call */
	size_t nout;
	uint64_t out_bytes;
	uint32_t nwrites, writer;	/* calls, failed ones too; the task that made them ... */
	bool shared;			/* ... was not the only one */
	bool out_unseen;		/* some of it could not be recorded (a hole says so): nothing to compare with */
	bool connected;			/* a connect came to its good end */
	int async_error;		/* a connect in progress that failed later: its errno */
	bool inner;			/* a connection of the scope's own */
	bool listens;			/* connections were accepted on it */
};

struct rec_clock {
	uint32_t task;
	int32_t clock;
	int64_t ns;
	uint32_t order;		/* place among all events */
};

struct recording {
	struct capsule_reader *reader;
	const struct manifest *m;
	const struct capsule_end *end;
	struct rec_task *tasks;		/* by number; [0] unused */
	size_t ntasks;			/* highest number + 1 */
	struct rec_object *objects;	/* by number; [0] unused */
	size_t nobjects;
	struct rec_clock *clocks;	/* every reading, in order */
	size_t nclocks;
	const struct ev_file **files;	/* by path, the last description of each */
	size_t nfiles;
	const struct ev_file **outputs;
	size_t noutputs;
	const struct ev_hole **holes;
	size_t nholes;
	bool inner;			/* some connections have both ends in the scope */
	bool failures;			/* calls on files that the machine did not let through, see SEG_PLACE ... */
	bool notify[SC_MAX];		/* ... and which of the calls that a replay does not look at otherwise */
};

/*
 * Loads @path.  Refuses one that is cut short (EBADMSG) and one whose numbers
 * make no sense (EBADMSG).  recording_free() releases all.
 */
int recording_load(struct recording **ret, const char *path, struct err *err);
void recording_free(struct recording *r);

/* The bytes behind a segment, blobs included; valid as long as the recording. */
int recording_bytes(struct recording *r, const struct ev_seg *seg, struct bytes *ret, struct err *err);
/* The segment for argument or fact @arg, or NULL. */
const struct ev_seg *call_seg(const struct ev_call *c, uint8_t arg);
/* The index of the argument that carries the bytes of a SC_READ or SC_WRITE call, or -1. */
int call_payload_arg(unsigned int nr);
/* The bytes that a SC_READ or SC_WRITE call moved; .data NULL if none. */
struct bytes call_payload(const struct recording *r, const struct ev_call *c);

#endif
