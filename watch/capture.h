/* SPDX-License-Identifier: Apache-2.0 */
/* A history, or one request of it, becomes a capsule. */
#ifndef CAPSULE_CAPTURE_H
#define CAPSULE_CAPTURE_H

#include "recorder/armed.h"
#include "watch/history.h"
#include "watch/openings.h"
#include "watch/policy.h"
#include "watch/redact_copy.h"
#include "watch/requests.h"

struct capture {
	struct armed_scope *scope;
	const struct history *history;
	const struct requests *requests;
	const struct openings *openings;
	const struct request *request;	/* NULL: all of the history */
	const char *limits;		/* for the manifest: "50 MiB" */
	const char *ended;		/* why it does: at most 31 bytes; "all gone" where the program has ended */
	int32_t status;			/* ... so */
	bool metadata;			/* what was told of the scope had no payload for a while */
	uint64_t max_bytes;
	const struct policy *policy;	/* whose rules of redaction hold */
	uint64_t lost;			/* records of the ring, since the scope was armed */
};

struct captured {
	uint64_t bytes, events, holes;
	struct redact_copied copied;
	char signature[CAPSULE_SIGNATURE];
};

/*
 * Made in memory, redacted, and only then written: into a file that must not be there yet, 0600.  What has no room is a hole;
 * where not even the beginning has, EDQUOT, and no file.
 */
int capture_write(const struct capture *c, const char *path, struct captured *ret, struct err *err);

#endif
