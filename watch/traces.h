/* SPDX-License-Identifier: Apache-2.0 */
/* The trace contexts (format/trace.h) in a capsule's HTTP/1.x requests: of those that came in, and of those that it made of others. */
#ifndef CAPSULE_TRACES_H
#define CAPSULE_TRACES_H

#include "format/capsule.h"

enum { TRACES_MAX = 64 };	/* of each kind; what is more is left out */

/* Texts as in manifests, each once, in order; NULL-terminated; NULL: there are none. Fresh memory, for traces_clear(). */
struct traces {
	char **requests, **upstream;
};

/* @rd holds the bytes that are blobs. -ENOMEM; or what reading them says. */
int traces_find(struct traces *ret, const struct event *events, size_t n, struct capsule_reader *rd, struct err *err);
void traces_clear(struct traces *t);

#endif
