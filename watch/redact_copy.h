/* SPDX-License-Identifier: Apache-2.0 */
/* A copy of a capsule without what rules name. */
#ifndef CAPSULE_REDACT_COPY_H
#define CAPSULE_REDACT_COPY_H

#include "format/trace.h"
#include "watch/policy.h"

struct redact_copy {
	const char *in, *out;
	const struct redact_rule *rules;
	size_t n;
	const char *name;	/* of the policy, for the list of what was done */
	uint64_t max_bytes;	/* of the copy; what has no room is a hole; 0: any number */
};

struct redact_copied {
	uint64_t places;	/* that were replaced */
	char trace[TRACE_ID + 1], span[TRACE_SPAN + 1];	/* of the only request in it that has a trace context; else "" */
};

/*
 * @in must be whole. On failure @out is not left behind; EINVAL: the rules are wrong.
 */
int redact_copy(const struct redact_copy *how, struct redact_copied *ret, struct err *err);

#endif
