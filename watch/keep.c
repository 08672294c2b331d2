/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/keep.h"

#include <stdlib.h>
#include <string.h>

#define ROUND(n) (((n) + 7) & ~(size_t)7)

/* Measures where @at is NULL, else copies. */
struct copy {
	uint8_t *at;
	size_t used;
};

static void *put(struct copy *c, const void *data, size_t len)
{
	void *to = c->at ? c->at + c->used : NULL;

	if (to && len)
		memcpy(to, data, len);
	c->used += ROUND(len);
	return to;
}

static const char *put_text(struct copy *c, const char *s)
{
	return s ? put(c, s, strlen(s) + 1) : NULL;
}

static const char *const *put_texts(struct copy *c, const char *const *list, size_t n)
{
	const char **to = put(c, list, n * sizeof(*list));

	for (size_t i = 0; i < n; i++) {
		const char *s = put_text(c, list[i]);

		if (to)
			to[i] = s;
	}
	return to;
}

static size_t head_of(const struct event *e)
{
	return e->kind == EV_CALL ? offsetof(struct event, call.segs) + e->call.nsegs * sizeof(e->call.segs[0]) : sizeof(*e);
}

static void put_call(struct copy *c, const struct event *e, struct event *to)
{
	for (uint32_t i = 0; i < e->call.nsegs; i++) {
		const uint8_t *data = e->call.segs[i].data ? put(c, e->call.segs[i].data, e->call.segs[i].len) : NULL;

		if (to)
			to->call.segs[i].data = data;
	}
}

static void put_exec(struct copy *c, const struct event *e, struct event *to)
{
	struct ev_exec x = e->exec;

	x.path = put_text(c, x.path);
	x.cwd = put_text(c, x.cwd);
	x.argv = put_texts(c, x.argv, x.argc);
	x.env = put_texts(c, x.env, x.envc);
	if (to)
		to->exec = x;
}

static void put_object(struct copy *c, const struct event *e, struct event *to)
{
	struct ev_object o = e->object;

	o.local.data = put(c, o.local.data, o.local.len);
	o.remote.data = put(c, o.remote.data, o.remote.len);
	o.path = put_text(c, o.path);
	o.fds = put(c, o.fds, o.nfds * sizeof(*o.fds));
	if (to)
		to->object = o;
}

static void put_file(struct copy *c, const struct event *e, struct event *to)
{
	struct ev_file f = e->file;

	f.path = put_text(c, f.path);
	f.target = put_text(c, f.target);
	f.link = put_text(c, f.link);
	f.attributes.data = put(c, f.attributes.data, f.attributes.len);
	if (to)
		to->file = f;
}

static void put_hole(struct copy *c, const struct event *e, struct event *to)
{
	struct ev_hole h = e->hole;

	h.what = put_text(c, h.what);
	h.where = put_text(c, h.where);
	h.why = put_text(c, h.why);
	if (to)
		to->hole = h;
}

static size_t copy(void *at, const struct event *e)
{
	struct copy c = { .at = at };
	struct event *to = put(&c, e, head_of(e));

	switch ((enum ev_kind)e->kind) {
	case EV_CALL: put_call(&c, e, to); break;
	case EV_EXEC: put_exec(&c, e, to); break;
	case EV_OBJECT: put_object(&c, e, to); break;
	case EV_FILE:
	case EV_OUTPUT: put_file(&c, e, to); break;
	case EV_HOLE: put_hole(&c, e, to); break;
	case EV_FORK:
	case EV_EXIT:
	case EV_SIGNAL:
	case EV_KINDS: break;
	}
	return c.used;
}

size_t keep_size(const struct event *e)
{
	return copy(NULL, e);
}

struct event *keep_event(void *at, const struct event *e)
{
	copy(at, e);
	return at;
}

struct event *keep_alone(const struct event *e)
{
	void *at = malloc(keep_size(e));

	return at ? keep_event(at, e) : NULL;
}
