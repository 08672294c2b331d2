/* SPDX-License-Identifier: Apache-2.0 */
/*
 * W3C Trace Context: the headers traceparent and tracestate, whose bytes are anybody's.
 *
 * As text, in manifests: the traceparent and, if there is a tracestate, a blank and that.
 */
#ifndef CAPSULE_TRACE_H
#define CAPSULE_TRACE_H

#include <stdbool.h>
#include <stddef.h>

enum { TRACE_ID = 32, TRACE_SPAN = 16, TRACEPARENT = 55, TRACESTATE = 512 };	/* bytes, without the NUL */

/* Version 00, or the part of a later version that is as in 00; lower-case hexadecimal digits, no id of zeros only. */
bool traceparent_is_valid(const char *s, size_t len);
/* A list of members, at most 32 of them in TRACESTATE bytes, no key twice. */
bool tracestate_is_valid(const char *s, size_t len);

/* Of a text that begins with a traceparent. False: it does not. */
bool trace_ids(const char *text, char id[TRACE_ID + 1], char span[TRACE_SPAN + 1]);

#endif
