/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that come in on a scope's connections, found in its events as they
 * pass: from the first bytes of a request to the last of its answer.  HTTP/1.x
 * is read (keep-alive, pipelining, chunked); of any other protocol a request is
 * what came up to the next answer, and ends when something is asked again.
 *
 * The bytes are untrusted.  Memory is bounded: connections that are open, each
 * with few requests.
 */
#ifndef CAPSULE_REQUESTS_H
#define CAPSULE_REQUESTS_H

#include "format/event.h"
#include "format/http.h"

struct requests;

struct request {
	uint32_t object;	/* the connection */
	uint16_t port;		/* that it came in on; 0: not of the internet */
	uint64_t from, to;	/* numbers of the first and the last event of it in the history; accepting the connection is part of its first request */
	uint64_t begun, ended;	/* ns: its first byte, its answer's last one */
	bool http;
	uint16_t status;	/* of HTTP, final; else 0 */
	char method[16], target[HTTP_TARGET];
};

/* @ended: called within requests_event(), whenever one has. NULL: no memory. */
struct requests *requests_new(void (*ended)(void *ctx, const struct request *r), void *ctx);
void requests_free(struct requests *rs);	/* NULL is fine */
/* The next event, which is @number in the history. */
void requests_event(struct requests *rs, const struct event *e, uint64_t number);
/* Is it a connection that somebody outside made? */
bool requests_is_inbound(const struct requests *rs, uint32_t object);
/* Connections that are no more. */
void requests_sweep(struct requests *rs, bool (*alive)(void *ctx, uint32_t object), void *ctx);
/* Requests that have begun and not ended. */
size_t requests_open(const struct requests *rs);

#endif
