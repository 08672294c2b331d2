/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One HTTP/1.x connection, read from the bytes of its two directions: what was
 * asked and what was answered (RFC 9112; the parsing is http-parser's).
 *
 * The bytes are untrusted.  Whatever is not HTTP/1.x ends the reading of that
 * connection; what was read so far stays.  Bounded: at most HTTP_EXCHANGES are
 * kept, the rest only counted.
 */
#ifndef CAPSULE_HTTP_H
#define CAPSULE_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HTTP_EXCHANGES = 4096, HTTP_PIPELINED = 32, HTTP_TARGET = 256, HTTP_STATUSES = 1000, HTTP_TEXT = 4096 };

struct http_exchange {
	char method[16];
	char target[HTTP_TARGET];	/* of the request line, cut to fit */
	uint64_t request_body, answer_body;	/* bytes, decoded */
	uint8_t answer_sha256[32];	/* of an answer that came to its end: status, headers without Date, body */
	uint16_t status;		/* the final one; 0: not answered */
	bool answered;			/* the answer came to its end */
	char *text;			/* after http_keep(): the answer's headers and its body's beginning, decoded; else NULL */
	size_t text_len;
};

struct http;

/*
 * @statuses (may be NULL): counts by final status, HTTP_STATUSES of them, to which this connection's are added; who only counts
 * has no exchanges to look at (and an answer to a HEAD is told only behind fewer than HTTP_PIPELINED requests without one).
 * NULL: out of memory.
 */
struct http *http_new(uint64_t *statuses);
/* From now on the beginning of each answer is kept: HTTP_TEXT bytes. */
void http_keep(struct http *h);
void http_free(struct http *h);		/* NULL is fine */
/* The next bytes of what is asked, or of what is answered. */
void http_request(struct http *h, const uint8_t *data, size_t len);
void http_answer(struct http *h, const uint8_t *data, size_t len);
/* Nothing more is answered: what was to end with the connection has ended. */
void http_answer_end(struct http *h);

/* False: the bytes are of another protocol, from the first one on. */
bool http_is(const struct http *h);
/* More of the request that has begun is to come. */
bool http_within_request(const struct http *h);
/* Complete requests; those beyond HTTP_EXCHANGES are counted, but not kept. */
uint64_t http_requests(const struct http *h);
uint64_t http_answers(const struct http *h);
/* Exchange @i of those kept, or NULL. */
const struct http_exchange *http_at(const struct http *h, size_t i);

#endif
