/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a run gave to the outside, part by part, so that two runs can be laid
 * beside each other: each stream and each HTTP answer by its hash, each file,
 * the end.
 */
#ifndef CAPSULE_OUTCOME_H
#define CAPSULE_OUTCOME_H

#include "format/capsule.h"
#include "format/sha256.h"

struct part {
	char name[200];		/* "stdout", "GET /a of 127.0.0.1:4711", "/tmp/out", "end"; the same in every run */
	uint8_t sha256[SHA256_LEN];
	uint16_t status;	/* of an HTTP answer; 0: it is none */
	bool aside;		/* what the program logs and asks others, not what those get who asked it */
	char said[64];		/* in words: "200, 17 bytes", "exit status 3"; "": see data */
	uint8_t *data;		/* if it was to be kept: the beginning of a stream; of an HTTP answer, decoded */
	size_t len;
};

/* What came and went on what has one name. */
struct flow {
	char name[160];
	uint64_t reads, in, writes, out;	/* calls that moved something, bytes */
	uint64_t first, last;	/* when, ns since the start */
};

struct parts {
	struct part *list;	/* by name */
	size_t n;
	struct flow *flows;	/* in the order in which they began */
	size_t nflows;
	uint64_t duration;	/* ns */
	char stack[CAPSULE_STACK];
};

/* Of all that @rd holds.  @keep: so many bytes of each stream are kept. */
int parts_of(struct parts *p, struct capsule_reader *rd, size_t keep, struct err *err);
void parts_clear(struct parts *p);
/* Calls @differs for each part that is not the same in both: @a, @b, one of which may be NULL. */
void parts_compare(const struct parts *a, const struct parts *b, void (*differs)(void *ctx, const struct part *a, const struct part *b),
		   void *ctx);

#endif
