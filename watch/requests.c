/* SPDX-License-Identifier: Apache-2.0 */
#include <linux/types.h>

#include "watch/requests.h"

#include "format/sysdesc.h"
#include "recorder/map.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

enum { FRESH_PARSER = 64 };	/* exchanges behind which a quiet connection gets a new one: what it keeps of each must not grow */

struct start {
	uint64_t number, time;
};

/* What is known of an object; only sockets are. */
struct conn {
	uint32_t object;
	uint16_t port;		/* its own; 0: not of the internet */
	bool far;		/* it has another end */
	bool accepted;		/* inbound for sure */
	bool begun;		/* a request has, and not all of it is there */
	bool asked;		/* another protocol than HTTP: somebody asked, and was not yet answered by anything */
	bool answered;		/* ... and was: the answer may go on */
	uint64_t seen;		/* number of the event that told of it first */
	uint64_t since;		/* the same, if it was accepted then; UINT64_MAX: a request has begun since */
	uint64_t last, last_time;	/* of the last answering write */
	struct start current;
	struct start pending[HTTP_PIPELINED];	/* requests that are whole and not answered, a ring */
	unsigned int first, npending;
	uint64_t answers;	/* of the parser at hand, that were told of */
	struct http *http;
};

struct requests {
	void (*ended)(void *ctx, const struct request *r);
	void *ctx;
	struct map conns;	/* by object */
	uint64_t listening[1024];	/* a bit for each port */
};

/* ---- connections ---------------------------------------------------------------- */

static void conn_free(struct conn *c)
{
	if (!c)
		return;
	http_free(c->http);
	free(c);
}

static struct conn *conn_of(struct requests *rs, uint32_t object, uint64_t number)
{
	struct conn *c = map_get(&rs->conns, object, 0);

	if (c)
		return c;
	c = calloc(1, sizeof(*c));
	if (!c || map_put(&rs->conns, object, 0, c) < 0) {
		free(c);
		return NULL;
	}
	c->object = object;
	c->seen = number;
	c->since = UINT64_MAX;
	return c;
}

static uint16_t port_of(const struct bytes *addr)
{
	uint16_t family, port;

	if (addr->len < sizeof(struct sockaddr_in))
		return 0;
	memcpy(&family, addr->data, sizeof(family));
	memcpy(&port, addr->data + 2, sizeof(port));
	return family == AF_INET || family == AF_INET6 ? ntohs(port) : 0;
}

static bool is_inbound(const struct requests *rs, const struct conn *c)
{
	return c->accepted || (c->far && c->port && (rs->listening[c->port / 64] & 1ull << (c->port % 64)));
}

static void see_object(struct requests *rs, const struct ev_object *o, uint64_t number)
{
	struct conn *c;

	if (o->kind != OBJ_SOCKET || (o->type & 0xf) != SOCK_STREAM) {
		conn_free(map_take(&rs->conns, o->id, 0));
		return;
	}
	c = conn_of(rs, o->id, number);
	if (!c)
		return;
	c->port = port_of(&o->local);
	c->far |= port_of(&o->remote) != 0;
	if (c->port && !c->far)
		rs->listening[c->port / 64] |= 1ull << (c->port % 64);
}

static void see_accept(struct requests *rs, const struct ev_call *call, uint64_t number)
{
	struct conn *c = call->ret >= 0 && call->obj2 ? conn_of(rs, call->obj2, number) : NULL;

	if (!c)
		return;
	c->accepted = true;
	c->since = c->seen;
}

bool requests_is_inbound(const struct requests *rs, uint32_t object)
{
	const struct conn *c = map_get(&rs->conns, object, 0);

	return c && is_inbound(rs, c);
}

/* ---- requests --------------------------------------------------------------------- */

static void tell(struct requests *rs, const struct conn *c, const struct start *s, uint64_t number, uint64_t time, const struct http_exchange *x)
{
	struct request r = { .object = c->object, .port = c->port, .from = s->number, .to = number, .begun = s->time, .ended = time };

	if (x) {
		r.http = true;
		r.status = x->status;
		memcpy(r.method, x->method, sizeof(r.method));
		memcpy(r.target, x->target, sizeof(r.target));
	}
	rs->ended(rs->ctx, &r);
}

static void begin(struct conn *c, uint64_t number, uint64_t time)
{
	c->begun = true;
	c->current = (struct start){ c->since < number ? c->since : number, time };
	c->since = UINT64_MAX;
}

/* Where nothing is on its way a parser starts anew. */
static void refresh(struct conn *c)
{
	if (c->answers < FRESH_PARSER || c->npending || c->begun || http_within_request(c->http))
		return;
	http_free(c->http);
	c->http = NULL;
	c->answers = 0;
}

static bool is_http(struct conn *c)
{
	if (!c->http)
		c->http = http_new(NULL);
	return c->http;
}

static void http_asked(struct conn *c, const struct ev_seg *s, uint64_t number, uint64_t time)
{
	uint64_t before = http_requests(c->http);

	http_request(c->http, s->data, s->len);
	for (uint64_t i = before; i < http_requests(c->http); i++) {
		if (c->npending < HTTP_PIPELINED)
			c->pending[(c->first + c->npending++) % HTTP_PIPELINED] = c->current;
		c->current = (struct start){ number, time };	/* the next one begins in these bytes, if there is one */
	}
	c->begun = http_within_request(c->http);
}

static void http_answers_told(struct requests *rs, struct conn *c, uint64_t number, uint64_t time)
{
	while (c->answers < http_answers(c->http)) {
		const struct http_exchange *x = http_at(c->http, c->answers++);
		struct start s;

		if (!c->npending)
			continue;	/* answered before it was asked for; its beginning is not known */
		s = c->pending[c->first];
		c->first = (c->first + 1) % HTTP_PIPELINED;
		c->npending--;
		tell(rs, c, &s, number, time, x);
	}
	refresh(c);
}

/* Not HTTP: the answer has ended when there is another question. */
static void other_ended(struct requests *rs, struct conn *c)
{
	if (c->answered)
		tell(rs, c, &c->current, c->last, c->last_time, NULL);
	if (c->answered)
		c->begun = false;
	c->answered = false;
}

static void asked(struct requests *rs, struct conn *c, const struct ev_call *call, const struct ev_seg *s, uint64_t number, uint64_t time)
{
	if (call->ret <= 0) {		/* nobody asks any more */
		other_ended(rs, c);
		return;
	}
	other_ended(rs, c);
	if (!c->begun)
		begin(c, number, time);
	if (s && s->data && is_http(c))
		http_asked(c, s, number, time);
	if (!s || !is_http(c) || !http_is(c->http)) {
		c->begun = true;
		c->asked = true;
	}
}

static void answered(struct requests *rs, struct conn *c, const struct ev_call *call, const struct ev_seg *s, uint64_t number, uint64_t time)
{
	if (call->ret <= 0)
		return;
	c->last = number;
	c->last_time = time;
	if (s && s->data && c->http && http_is(c->http)) {
		http_answer(c->http, s->data, s->len < (uint64_t)call->ret ? s->len : (uint64_t)call->ret);
		http_answers_told(rs, c, number, time);
	}
	if (!c->http || !http_is(c->http)) {
		c->answered = c->asked || c->answered;
		c->asked = false;
	}
}

/* What it was to say is said. */
static void closes(struct requests *rs, struct conn *c, uint64_t number, uint64_t time)
{
	if (c->http && http_is(c->http)) {
		http_answer_end(c->http);
		http_answers_told(rs, c, number, time);
	}
	other_ended(rs, c);
}

static const struct ev_seg *payload_of(const struct ev_call *call)
{
	for (uint32_t i = 0; i < call->nsegs; i++)
		if (call->segs[i].arg < 6 && call->segs[i].index == 0)
			return &call->segs[i];
	return NULL;
}

static bool is_peek(const struct ev_call *call)
{
	if (call->nr == SYS_recvfrom)
		return call->args[3] & MSG_PEEK;
	return call->nr == SYS_recvmsg && (call->args[2] & MSG_PEEK);
}

static void see_call(struct requests *rs, const struct event *e, uint64_t number)
{
	const struct ev_call *call = &e->call;
	struct conn *c;

	if (call->nr == SYS_accept || call->nr == SYS_accept4)
		see_accept(rs, call, number);
	if (!call->obj)
		return;
	c = map_get(&rs->conns, call->obj, 0);
	if (!c || !is_inbound(rs, c))
		return;
	switch (sc_table[call->nr].fate) {
	case SC_READ:
		if (call->ret >= 0 && !is_peek(call))
			asked(rs, c, call, payload_of(call), number, e->time);
		break;
	case SC_WRITE:
		answered(rs, c, call, payload_of(call), number, e->time);
		break;
	}
	if (call->nr == SYS_shutdown && call->args[1] != SHUT_RD)
		closes(rs, c, number, e->time);
}

void requests_event(struct requests *rs, const struct event *e, uint64_t number)
{
	if (e->kind == EV_OBJECT)
		see_object(rs, &e->object, number);
	else if (e->kind == EV_CALL && e->call.nr < SC_MAX)
		see_call(rs, e, number);
}

/* ---- all of them --------------------------------------------------------------------- */

void requests_sweep(struct requests *rs, bool (*alive)(void *ctx, uint32_t object), void *ctx)
{
	for (size_t i = 0; i < rs->conns.room; i++) {
		const struct map_slot *s = &rs->conns.slots[i];
		struct conn *c = s->value;

		if (!c || alive(ctx, c->object))
			continue;
		if (c->http || c->answered)
			closes(rs, c, c->last, c->last_time);
		conn_free(map_take(&rs->conns, s->a, 0));
	}
}

size_t requests_open(const struct requests *rs)
{
	size_t n = 0;

	for (size_t i = 0; i < rs->conns.room; i++) {
		const struct conn *c = rs->conns.slots[i].value;

		n += c && (c->begun || c->npending);
	}
	return n;
}

struct requests *requests_new(void (*ended)(void *ctx, const struct request *r), void *ctx)
{
	struct requests *rs = calloc(1, sizeof(*rs));

	if (!rs)
		return NULL;
	rs->ended = ended;
	rs->ctx = ctx;
	return rs;
}

void requests_free(struct requests *rs)
{
	if (!rs)
		return;
	for (size_t i = 0; i < rs->conns.room; i++)
		conn_free(rs->conns.slots[i].value);
	map_clear(&rs->conns);
	free(rs);
}
