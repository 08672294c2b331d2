/* SPDX-License-Identifier: Apache-2.0 */
#include "format/observe.h"

#include "format/cleanup.h"
#include "format/payload.h"

#include <linux/types.h>

#include "format/sysdesc.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

/*
 * Connections that others made to the program.  A set-associative cache: the
 * one of its set that was used longest ago makes room; it is then counted as
 * it stands.
 */
enum { SETS = 256, WAYS = 4, HERE = 256 };
struct connection {
	uint32_t id;		/* of the object; 0: free */
	uint64_t used;
	struct http *http;
};

struct text {
	uint8_t *data;
	size_t len, room;
	uint64_t total;
	bool known, gaps;
};

/* A connection that was there before the first call: made by others, if somebody listens on its port. */
struct here {
	uint32_t id;
	uint16_t port;
};

struct observation {
	struct here here[HERE];
	size_t nhere;
	uint64_t listening[1024];	/* a bit for each port, of those that were there */
	bool begun;			/* there was a call */
	struct connection connections[SETS][WAYS];
	uint64_t clock;
	uint64_t statuses[HTTP_STATUSES];
	uint64_t unanswered;		/* of connections that made room */
	uint32_t std[3];		/* the objects at the fds of the start */
	struct text text[3];
	uint64_t signals;		/* from outside: bit N-1 for signal N */
	bool ended, the_same;
	int32_t status;
};

int observation_new(struct observation **ret, struct err *err)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : err_set(err, ENOMEM, "out of memory");
}

void observation_free(struct observation *o)
{
	if (!o)
		return;
	for (size_t i = 0; i < SETS; i++)
		for (size_t k = 0; k < WAYS; k++)
			http_free(o->connections[i][k].http);
	for (size_t i = 0; i < 3; i++)
		free(o->text[i].data);
	free(o);
}

/* ---- connections ----------------------------------------------------------- */

static uint64_t unanswered(const struct connection *c)
{
	if (!c->id)
		return 0;
	return http_requests(c->http) > http_answers(c->http) ? http_requests(c->http) - http_answers(c->http) : 0;
}

static struct connection *find(struct observation *o, uint32_t id)
{
	struct connection *set = o->connections[id % SETS];

	for (size_t k = 0; k < WAYS; k++)
		if (set[k].id == id)
			return &set[k];
	return NULL;
}

static int begin_connection(struct observation *o, uint32_t id, struct err *err)
{
	struct connection *set = o->connections[id % SETS], *c = set;

	for (size_t k = 1; k < WAYS; k++)
		if (set[k].used < c->used)
			c = &set[k];
	o->unanswered += unanswered(c);
	http_free(c->http);
	*c = (struct connection){ .id = id, .used = ++o->clock, .http = http_new(o->statuses) };
	return c->http ? 0 : err_set(err, ENOMEM, "out of memory");
}

/* ---- texts -------------------------------------------------------------------- */

/* The last OBSERVE_KEEP bytes; twice as many are held, so that not every write moves them. */
static int append(struct text *t, const uint8_t *data, size_t len, struct err *err)
{
	uint8_t *bigger;
	size_t room;

	t->total += len;
	if (len > OBSERVE_KEEP) {
		data += len - OBSERVE_KEEP;
		len = OBSERVE_KEEP;
	}
	if (t->len + len > 2 * OBSERVE_KEEP) {
		memmove(t->data, t->data + t->len - OBSERVE_KEEP, OBSERVE_KEEP);
		t->len = OBSERVE_KEEP;
	}
	if (t->len + len > t->room) {
		room = t->room ? t->room : 4096;
		while (room < t->len + len)
			room *= 2;
		bigger = realloc(t->data, room);
		if (!bigger)
			return err_set(err, ENOMEM, "out of memory");
		t->data = bigger;
		t->room = room;
	}
	if (len)
		memcpy(t->data + t->len, data, len);
	t->len += len;
	return 0;
}

static struct observed_text text_of(const struct text *t)
{
	size_t skip = t->len > OBSERVE_KEEP ? t->len - OBSERVE_KEEP : 0;

	return (struct observed_text){ .data = t->data + skip, .len = t->len - skip, .total = t->total,
				       .known = t->known && !t->gaps };
}

/* ---- events --------------------------------------------------------------------- */

struct taking {
	struct observation *o;
	uint32_t object;
	bool out;
};

static int take(void *ctx, const void *data, size_t len, struct err *err)
{
	struct taking *t = ctx;
	struct connection *c = find(t->o, t->object);

	if (c && t->out) {
		http_answer(c->http, data, len);
	} else if (c) {
		http_request(c->http, data, len);
	}
	for (size_t i = 1; t->out && i < 3; i++)
		if (t->o->std[i] == t->object && append(&t->o->text[i], data, len, err) < 0)
			return -err->code;
	return 0;
}

static bool makes_connection(unsigned int nr)
{
	return nr == SYS_accept || nr == SYS_accept4;
}

static int note_call(struct observation *o, const struct ev_call *call, struct capsule_reader *rd, struct err *err)
{
	struct taking t = { .o = o, .object = call->obj };
	struct connection *c;
	int fate = call->nr < SC_MAX ? sc_table[call->nr].fate : SC_NOROW;

	if (makes_connection(call->nr) && call->obj2 && call->ret >= 0)
		return begin_connection(o, call->obj2, err);
	if (!call->obj || (fate != SC_READ && fate != SC_WRITE))
		return 0;
	t.out = fate == SC_WRITE && !(call->flags & CALL_TAKEN);
	c = find(o, call->obj);
	if (c)
		c->used = ++o->clock;
	if (call->flags & CALL_PARTIAL)
		for (size_t i = 1; i < 3; i++)
			o->text[i].gaps |= o->std[i] == call->obj;
	return payload_each(call, rd, take, &t, err);
}

static uint16_t port_of(const struct bytes *addr)
{
	uint16_t family, port;

	if (addr->len < sizeof(struct sockaddr_in))
		return 0;
	memcpy(&family, addr->data, sizeof(family));
	memcpy(&port, addr->data + sizeof(family), sizeof(port));
	return family == AF_INET || family == AF_INET6 ? ntohs(port) : 0;
}

static void note_here(struct observation *o, const struct ev_object *e)
{
	uint16_t port = port_of(&e->local);

	if (o->begun || e->kind != OBJ_SOCKET || (e->type & 0xf) != SOCK_STREAM || !port)
		return;
	if (!port_of(&e->remote))
		o->listening[port / 64] |= 1ull << (port % 64);
	else if (o->nhere < HERE)
		o->here[o->nhere++] = (struct here){ e->id, port };
}

static int begin_here(struct observation *o, struct err *err)
{
	o->begun = true;
	for (size_t i = 0; i < o->nhere; i++)
		if ((o->listening[o->here[i].port / 64] & 1ull << (o->here[i].port % 64)) && begin_connection(o, o->here[i].id, err) < 0)
			return -err->code;
	return 0;
}

static void note_object(struct observation *o, const struct ev_object *e)
{
	note_here(o, e);
	for (size_t i = 0; i < e->nfds; i++) {
		if (e->fds[i] < 0 || e->fds[i] > 2)
			continue;
		o->std[e->fds[i]] = e->id;
		o->text[e->fds[i]].known = e->kind != OBJ_CHR;	/* null and the like: what goes there is not recorded */
	}
}

int observation_event(struct observation *o, const struct event *e, struct capsule_reader *rd, struct err *err)
{
	switch (e->kind) {
	case EV_CALL:
		if (!e->task)
			return 0;	/* how a connection was opened, before all this */
		if (!o->begun && begin_here(o, err) < 0)
			return -err->code;
		return note_call(o, &e->call, rd, err);
	case EV_OBJECT:
		note_object(o, &e->object);
		break;
	case EV_SIGNAL:
		if (e->signal.signo > 0 && e->signal.signo <= 64)
			o->signals |= 1ull << (e->signal.signo - 1);
		break;
	}
	return 0;
}

void observation_end(struct observation *o, int32_t status, bool came_out_the_same)
{
	o->ended = true;
	o->status = status;
	o->the_same = came_out_the_same;
	for (size_t i = 0; i < SETS; i++)
		for (size_t k = 0; k < WAYS; k++)
			if (o->connections[i][k].id)
				http_answer_end(o->connections[i][k].http);
}

int observation_of(struct observation **ret, struct capsule_reader *rd, struct err *err)
{
	const struct capsule_end *end = capsule_end(rd);
	struct event e;
	int r;

	_cleanup_observation_ struct observation *o = NULL;
	if (observation_new(&o, err) < 0)
		return -err->code;
	capsule_rewind(rd);
	while ((r = capsule_next(rd, &e, err)) > 0)
		if (observation_event(o, &e, rd, err) < 0)
			return -err->code;
	if (r < 0)
		return r;
	if (end && !capsule_end_is_open(end))
		observation_end(o, end->status, true);
	*ret = TAKE_PTR(o);
	return 0;
}

/* ---- what there is to see ----------------------------------------------------------- */

bool observed_end(const struct observation *o, int32_t *status)
{
	*status = o->status;
	return o->ended;
}

bool observed_the_same(const struct observation *o)
{
	return o->the_same;
}

bool observed_signal(const struct observation *o, int signo)
{
	return signo > 0 && signo <= 64 && (o->signals >> (signo - 1) & 1);
}

struct observed_text observed_stdout(const struct observation *o)
{
	return text_of(&o->text[1]);
}

struct observed_text observed_stderr(const struct observation *o)
{
	return text_of(&o->text[2]);
}

const uint64_t *observed_statuses(const struct observation *o)
{
	return o->statuses;
}

uint64_t observed_unanswered(const struct observation *o)
{
	uint64_t n = o->unanswered;

	for (size_t i = 0; i < SETS; i++)
		for (size_t k = 0; k < WAYS; k++)
			n += unanswered(&o->connections[i][k]);
	return n;
}
