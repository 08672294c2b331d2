/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directory that a policy's capsules lie in: POLICY-YYYYMMDDTHHMMSSZ-PID-N.cap, or with what the request's trace context says
 * POLICY-YYYYMMDDTHHMMSSZ-PID-N.TRACE-SPAN.cap; each of them whole; one that is being written has a dot before its name.
 */
#ifndef CAPSULE_STORE_H
#define CAPSULE_STORE_H

#include "format/err.h"

#include <limits.h>
#include <stdint.h>
#include <sys/types.h>

struct stored {
	const char *path, *policy;
	int64_t time;		/* ns since the epoch: when it was finished */
	uint64_t bytes;
};

/* Makes the directory, 0700, if it is not there; unfinished files of a recorder that was killed go. */
int store_open(const char *dir, struct err *err);
/* Of @policy; NULL: all. */
void store_each(const char *dir, const char *policy, void (*f)(void *ctx, const struct stored *s), void *ctx);
/* Where a new one is written, and where it goes then. */
struct store_names {
	char writing[PATH_MAX], final[PATH_MAX];
};
int store_names(struct store_names *ret, const char *dir, const char *policy, int64_t now, pid_t pid, unsigned int n, struct err *err);
/* The final name gets a trace context's ids; "": it stays. */
int store_name_trace(struct store_names *names, const char *trace, const char *span, struct err *err);

#endif
