/* SPDX-License-Identifier: Apache-2.0 */
#include "format/http.h"

#include "format/err.h"
#include "format/sha256.h"

#include <http_parser.h>
#include <stdlib.h>
#include <string.h>

struct half {
	http_parser parser;
	bool within;		/* a message */
	bool passing;		/* over the value of a header that is not hashed */
	bool stopped;		/* not HTTP, or no longer (upgraded) */
};

struct http {
	struct half ask, answer;
	struct http_exchange *list;
	size_t kept, room;
	uint64_t requests, answers;
	uint64_t *statuses;
	struct sha256 *hash;	/* of the answer that is being read; NULL: nobody wants it */
	bool foreign, keeps, within_field, within_body;
};

/* The exchange that the current request, or answer, belongs to; NULL: beyond those that are kept. */
static struct http_exchange *exchange(struct http *h, uint64_t i)
{
	struct http_exchange *bigger;
	size_t room;

	if (h->statuses)
		i %= HTTP_PIPELINED;
	if (i >= HTTP_EXCHANGES)
		return NULL;
	if (i >= h->room) {
		room = h->room ? h->room * 2 : 4;
		bigger = realloc(h->list, room * sizeof(*bigger));
		if (!bigger)
			return NULL;
		memset(bigger + h->room, 0, (room - h->room) * sizeof(*bigger));
		h->list = bigger;
		h->room = room;
	}
	if (i >= h->kept)
		h->kept = i + 1;
	return &h->list[i];
}

/* Best effort: it is for people to read. */
static void keep(struct http *h, const char *at, size_t len)
{
	struct http_exchange *x = h->keeps ? exchange(h, h->answers) : NULL;

	if (!x || (!x->text && !(x->text = malloc(HTTP_TEXT))))
		return;
	if (len > HTTP_TEXT - x->text_len)
		len = HTTP_TEXT - x->text_len;
	memcpy(x->text + x->text_len, at, len);
	x->text_len += len;
}

static int on_begin(http_parser *p)
{
	struct half *half = (struct half *)p;

	half->within = true;
	return 0;
}

static void add_to_hash(struct http *h, const void *data, size_t len)
{
	if (h->hash)
		sha256_add(h->hash, data, len);
}

static int on_answer_begin(http_parser *p)
{
	struct http *h = p->data;
	struct err err = ERR_INIT;

	sha256_free(h->hash);
	h->hash = NULL;
	h->within_field = h->within_body = false;
	if (!h->statuses && h->answers < HTTP_EXCHANGES && sha256_new(&h->hash, &err) < 0)
		return 1;	/* stops the reading of this connection */
	return on_begin(p);
}

static int on_field(http_parser *p, const char *at, size_t len)
{
	struct http *h = p->data;

	/* Says when, not what. */
	if (!h->within_field)
		keep(h, "\n", h->answers < h->kept && h->list[h->answers].text_len ? 1 : 0);
	keep(h, at, len);
	h->within_field = true;
	h->answer.passing = len == 4 && strncasecmp(at, "Date", 4) == 0;
	add_to_hash(h, at, len);
	return 0;
}

static int on_value(http_parser *p, const char *at, size_t len)
{
	struct http *h = p->data;

	if (h->within_field)
		keep(h, ": ", 2);
	h->within_field = false;
	keep(h, at, len);
	if (!h->answer.passing)
		add_to_hash(h, at, len);
	return 0;
}

static int on_url(http_parser *p, const char *at, size_t len)
{
	struct http *h = p->data;
	struct http_exchange *x = exchange(h, h->requests);
	size_t have, n;

	if (!x || h->statuses)
		return 0;
	have = strlen(x->target);
	n = len < sizeof(x->target) - 1 - have ? len : sizeof(x->target) - 1 - have;
	memcpy(x->target + have, at, n);	/* the parser lets no NUL through */
	return 0;
}

static int on_request_head(http_parser *p)
{
	struct http *h = p->data;
	struct http_exchange *x = exchange(h, h->requests);

	if (x)
		strncpy(x->method, http_method_str((enum http_method)p->method), sizeof(x->method) - 1);
	return 0;
}

static int on_request(http_parser *p)
{
	struct http *h = p->data;

	h->ask.within = false;
	h->requests++;
	return 0;
}

static int on_request_body(http_parser *p, const char *at, size_t len)
{
	struct http *h = p->data;
	struct http_exchange *x = exchange(h, h->requests);

	(void)at;
	if (x)
		x->request_body += len;
	return 0;
}

static int on_answer_body(http_parser *p, const char *at, size_t len)
{
	struct http *h = p->data;
	struct http_exchange *x = exchange(h, h->answers);

	add_to_hash(h, at, len);
	if (!h->within_body)
		keep(h, "\n\n", 2);
	h->within_body = true;
	keep(h, at, len);
	if (x)
		x->answer_body += len;
	return 0;
}

/* 1: the answer to a HEAD has no body. */
static int on_answer_head(http_parser *p)
{
	struct http *h = p->data;
	struct http_exchange *x = exchange(h, h->answers);
	unsigned int status = p->status_code;

	if (status >= 200 || status == 101) {
		if (x)
			x->status = (uint16_t)status;
		if (h->statuses && status < HTTP_STATUSES)
			h->statuses[status]++;
	}
	return x && strcmp(x->method, "HEAD") == 0;
}

static int on_answer(http_parser *p)
{
	struct http *h = p->data;
	struct http_exchange *x = exchange(h, h->answers);

	h->answer.within = false;
	if (p->status_code < 200 && p->status_code != 101)
		return 0;	/* 100 Continue and the like: the answer is still to come */
	if (x) {
		add_to_hash(h, &x->status, sizeof(x->status));
		if (h->hash)
			sha256_end(h->hash, x->answer_sha256);
		x->answered = true;
	}
	h->answers++;
	return 0;
}

static const http_parser_settings asked = {
	.on_message_begin = on_begin, .on_url = on_url, .on_headers_complete = on_request_head,
	.on_body = on_request_body, .on_message_complete = on_request,
};
static const http_parser_settings answered = {
	.on_message_begin = on_answer_begin, .on_header_field = on_field, .on_header_value = on_value, .on_headers_complete = on_answer_head, .on_body = on_answer_body,
	.on_message_complete = on_answer,
};

struct http *http_new(uint64_t *statuses)
{
	struct http *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	http_parser_init(&h->ask.parser, HTTP_REQUEST);
	http_parser_init(&h->answer.parser, HTTP_RESPONSE);
	h->statuses = statuses;
	h->ask.parser.data = h->answer.parser.data = h;
	return h;
}

void http_keep(struct http *h)
{
	h->keeps = true;
}

void http_free(struct http *h)
{
	if (!h)
		return;
	sha256_free(h->hash);
	for (size_t i = 0; i < h->kept; i++)
		free(h->list[i].text);
	free(h->list);
	free(h);
}

static void feed(struct half *half, const http_parser_settings *settings, const uint8_t *data, size_t len)
{
	size_t n;

	if (half->stopped || (!len && !half->within))
		return;
	n = http_parser_execute(&half->parser, settings, (const char *)data, len);
	half->stopped = HTTP_PARSER_ERRNO(&half->parser) != HPE_OK || half->parser.upgrade || n != len;
}

void http_request(struct http *h, const uint8_t *data, size_t len)
{
	feed(&h->ask, &asked, data, len);
	h->foreign |= h->ask.stopped && !h->requests && !h->ask.parser.upgrade;
}

void http_answer(struct http *h, const uint8_t *data, size_t len)
{
	feed(&h->answer, &answered, data, len);
	h->foreign |= h->answer.stopped && !h->answers && !h->answer.parser.upgrade;
}

void http_answer_end(struct http *h)
{
	feed(&h->answer, &answered, NULL, 0);
}

bool http_is(const struct http *h)
{
	return !h->foreign && (h->kept || h->requests);
}

bool http_within_request(const struct http *h)
{
	return !h->foreign && h->ask.within;
}

uint64_t http_requests(const struct http *h)
{
	return h->foreign ? 0 : h->requests;
}

uint64_t http_answers(const struct http *h)
{
	return h->foreign ? 0 : h->answers;
}

const struct http_exchange *http_at(const struct http *h, size_t i)
{
	return !h->statuses && !h->foreign && i < h->kept ? &h->list[i] : NULL;
}
