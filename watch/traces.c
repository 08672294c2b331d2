/* SPDX-License-Identifier: Apache-2.0 */
#include <linux/types.h>

#include "watch/traces.h"

#include "format/payload.h"
#include "format/sysdesc.h"
#include "format/trace.h"
#include "recorder/map.h"

#include <errno.h>
#include <http_parser.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/syscall.h>

enum { NAME = 16, WHICH_NONE = 0, WHICH_PARENT, WHICH_STATE };

/* One direction of a connection, as far as it is requests. */
struct asking {
	http_parser parser;
	struct finding *all;
	bool upstream;		/* the program asks */
	bool stopped;		/* it is another protocol, or an answer */
	bool in_name;
	char name[NAME];
	size_t name_len;	/* beyond NAME: it is none of ours */
	int which;		/* of the header whose value is read */
	unsigned int parents;	/* in this request: two are as bad as none */
	size_t parent_len, state_len;	/* beyond their room: not valid */
	char parent[TRACEPARENT + 9], state[TRACESTATE + 1];
};

struct connection {
	struct asking in, out;
};

struct finding {
	struct traces *traces;
	struct map connections;		/* by object */
	struct err *err;
};

/* ---- what was found ---------------------------------------------------------------- */

static int add(char ***list, char *text)
{
	size_t n = 0;
	char **more;

	for (; *list && (*list)[n]; n++)
		if (strcmp((*list)[n], text) == 0)
			break;
	if (n == TRACES_MAX || (*list && (*list)[n])) {
		free(text);
		return 0;
	}
	more = reallocarray(*list, n + 2, sizeof(*more));
	if (!more) {
		free(text);
		return -ENOMEM;
	}
	more[n] = text;
	more[n + 1] = NULL;
	*list = more;
	return 0;
}

/* A bad tracestate is left out; without a good traceparent it is nothing at all. Of later versions we know what 00 has. */
static int take_trace(struct asking *a)
{
	struct traces *t = a->all->traces;
	bool state = a->state_len <= TRACESTATE && tracestate_is_valid(a->state, a->state_len);
	char *text;

	if (a->parents != 1 || !traceparent_is_valid(a->parent, a->parent_len))
		return 0;
	if (asprintf(&text, "%.*s%s%.*s", TRACEPARENT, a->parent, state ? " " : "", state ? (int)a->state_len : 0, a->state) < 0)
		return -ENOMEM;
	for (char *c = text + TRACEPARENT; *c; c++)	/* tabs may stand between members */
		if (*c == '\t')
			*c = ' ';
	return add(a->upstream ? &t->upstream : &t->requests, text);
}

/* ---- requests ------------------------------------------------------------------------ */

static struct asking *asking_of(http_parser *p)
{
	return (struct asking *)p;	/* its first member */
}

static int on_begin(http_parser *p)
{
	struct asking *a = asking_of(p);

	a->in_name = false;
	a->name_len = a->parent_len = a->state_len = a->parents = 0;
	a->which = WHICH_NONE;
	return 0;
}

static int on_field(http_parser *p, const char *at, size_t len)
{
	struct asking *a = asking_of(p);

	if (!a->in_name)
		a->name_len = 0;
	a->in_name = true;
	if (len <= NAME && a->name_len <= NAME - len)
		memcpy(a->name + a->name_len, at, len);
	a->name_len += len;
	return 0;
}

static bool is_name(const struct asking *a, const char *name)
{
	return a->name_len == strlen(name) && strncasecmp(a->name, name, a->name_len) == 0;
}

static void begin_value(struct asking *a)
{
	a->in_name = false;
	a->which = is_name(a, "traceparent") ? WHICH_PARENT : is_name(a, "tracestate") ? WHICH_STATE : WHICH_NONE;
	a->parents += a->which == WHICH_PARENT;
	/* Several headers are one list. */
	if (a->which == WHICH_STATE && a->state_len && a->state_len < TRACESTATE)
		a->state[a->state_len++] = ',';
}

static void append(char *to, size_t room, size_t *used, const char *at, size_t len)
{
	size_t fits = *used < room ? room - *used : 0;

	if (fits)
		memcpy(to + *used, at, len < fits ? len : fits);
	*used += len;
}

static int on_value(http_parser *p, const char *at, size_t len)
{
	struct asking *a = asking_of(p);

	if (a->in_name)
		begin_value(a);
	if (a->which == WHICH_PARENT)
		append(a->parent, sizeof(a->parent), &a->parent_len, at, len);
	if (a->which == WHICH_STATE)
		append(a->state, TRACESTATE, &a->state_len, at, len);
	return 0;
}

/* Blanks around a value are not of it; the parser takes those before it away. */
static size_t trimmed(const char *s, size_t len, size_t room)
{
	while (len && len <= room && (s[len - 1] == ' ' || s[len - 1] == '\t'))
		len--;
	return len;
}

static int on_headers(http_parser *p)
{
	struct asking *a = asking_of(p);

	a->parent_len = trimmed(a->parent, a->parent_len, sizeof(a->parent));
	a->state_len = trimmed(a->state, a->state_len, TRACESTATE);
	if (take_trace(a) < 0)
		err_set(a->all->err, ENOMEM, "out of memory");
	return 0;
}

static const http_parser_settings settings = {
	.on_message_begin = on_begin, .on_header_field = on_field, .on_header_value = on_value, .on_headers_complete = on_headers,
};

static int feed(void *ctx, const void *data, size_t len, struct err *err)
{
	struct asking *a = ctx;

	a->all->err = err;
	if (a->stopped)
		return 0;
	if (http_parser_execute(&a->parser, &settings, data, len) != len || a->parser.upgrade)
		a->stopped = true;
	return -err->code;
}

/* ---- all of them ----------------------------------------------------------------------- */

static struct connection *connection_of(struct finding *f, uint32_t object)
{
	struct connection *c = map_get(&f->connections, object, 0);

	if (c)
		return c;
	c = calloc(1, sizeof(*c));
	if (!c || map_put(&f->connections, object, 0, c) < 0) {
		free(c);
		return NULL;
	}
	http_parser_init(&c->in.parser, HTTP_REQUEST);
	http_parser_init(&c->out.parser, HTTP_REQUEST);
	c->in.all = c->out.all = f;
	c->out.upstream = true;
	return c;
}

static bool is_peek(const struct ev_call *c)
{
	return (c->nr == SYS_recvfrom && (c->args[3] & MSG_PEEK)) || (c->nr == SYS_recvmsg && (c->args[2] & MSG_PEEK));
}

static int see(struct finding *f, const struct event *e, struct capsule_reader *rd, struct err *err)
{
	const struct sc_desc *d = e->kind == EV_CALL && e->call.nr < SC_MAX ? &sc_table[e->call.nr] : NULL;
	struct connection *c;

	if (!d || e->call.ret <= 0 || !e->call.obj || is_peek(&e->call) || (d->fate != SC_READ && d->fate != SC_WRITE))
		return 0;
	c = connection_of(f, e->call.obj);
	if (!c)
		return err_set(err, ENOMEM, "out of memory");
	return payload_each(&e->call, rd, feed, d->fate == SC_READ ? &c->in : &c->out, err);
}

int traces_find(struct traces *ret, const struct event *events, size_t n, struct capsule_reader *rd, struct err *err)
{
	struct traces found = { 0 };
	struct finding f = { .traces = &found };
	int rc = 0;

	for (size_t i = 0; i < n && rc >= 0; i++)
		rc = see(&f, &events[i], rd, err);
	for (size_t i = 0; i < f.connections.room; i++)
		free(f.connections.slots[i].value);
	map_clear(&f.connections);
	if (rc < 0) {
		traces_clear(&found);
		return rc;
	}
	*ret = found;
	return 0;
}

static void texts_free(char **list)
{
	for (char **s = list; s && *s; s++)
		free(*s);
	free(list);
}

void traces_clear(struct traces *t)
{
	texts_free(t->requests);
	texts_free(t->upstream);
	*t = (struct traces){ 0 };
}
