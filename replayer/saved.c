/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a replay saw, as a capsule: the objects that were used, what came in
 * and went out, how it ended.  Such a capsule is to be looked at and compared;
 * it holds nothing to replay from, and its manifest says so (replay_of).
 */
#include <linux/types.h>

#include "replayer/replay.h"

#include "format/cleanup.h"
#include "format/cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

struct saved {
	struct capsule_writer *w;
	bool *known;		/* by object number: it was described */
	bool begun;
	struct err broken;
};

int saved_open(struct replay *r, struct err *err)
{
	struct manifest m = *r->rec->m;

	if (!r->opts->save)
		return 0;
	m.replay_of = m.uuid;
	if (r->opts->argv)
		m.argv = (char **)r->opts->argv;
	r->saved = calloc(1, sizeof(*r->saved));
	if (r->saved)
		r->saved->known = calloc(r->rec->nobjects + SPARE_LIVES, sizeof(*r->saved->known));
	if (!r->saved || !r->saved->known)
		return err_set(err, ENOMEM, "out of memory");
	return capsule_writer_open(&r->saved->w, r->opts->save, &m, err);
}

/* The run goes on where the saving fails; its end tells. */
static void put(struct replay *r, struct event *e)
{
	struct saved *s = r->saved;
	struct err err = ERR_INIT;

	e->time = now_ns() - r->start;
	if (!s->broken.code && capsule_write(s->w, e, &err) < 0)
		s->broken = err;
}

static bool describe(struct replay *r, const struct live *l);

/* Who was connected already, and to what: before all that they say. */
static void begin(struct replay *r)
{
	r->saved->begun = true;
	for (size_t i = 1; i < r->rec->nobjects; i++)
		if (r->rec->objects[i].here && r->rec->objects[i].o && r->rec->objects[i].o->kind == OBJ_SOCKET)
			describe(r, &r->live[i]);
}

static bool describe(struct replay *r, const struct live *l)
{
	struct event e = { .kind = EV_OBJECT };

	if (!r->saved || !l->rec->o)
		return false;
	if (!r->saved->begun)
		begin(r);
	if (r->saved->known[l->id])
		return true;
	r->saved->known[l->id] = true;
	e.object = *l->rec->o;
	put(r, &e);
	return true;
}

static void put_bytes(struct replay *r, const struct live *l, long nr, const uint8_t *data, size_t len)
{
	struct event e = { .kind = EV_CALL, .task = 1 };

	e.call.nr = (uint16_t)nr;
	e.call.ret = (int64_t)len;
	e.call.args[2] = len;
	e.call.obj = l->id;
	e.call.nsegs = len > 0;
	e.call.segs[0] = (struct ev_seg){ .arg = 1, .len = len, .data = data };
	put(r, &e);
}

void saved_out(struct replay *r, const struct live *l, const uint8_t *data, size_t len)
{
	if (describe(r, l))
		put_bytes(r, l, SYS_write, data, len);
}

void saved_in(struct replay *r, const struct live *l, const struct rec_arrival *a)
{
	struct event e = { .kind = EV_CALL, .task = 1 };

	if (!describe(r, l))
		return;
	if (a->kind != ARRIVAL_CONNECTION) {
		put_bytes(r, l, SYS_read, a->data.data, a->data.len);
		return;
	}
	if (!a->made || !describe(r, &r->live[a->made]))
		return;
	e.call.nr = SYS_accept;
	e.call.obj = l->id;
	e.call.obj2 = a->made;
	put(r, &e);
}

void saved_file(struct replay *r, const struct ev_file *f)
{
	struct event e = { .kind = EV_OUTPUT, .file = *f };

	if (r->saved)
		put(r, &e);
}

void saved_end(struct replay *r)
{
	struct capsule_end end = { .duration = now_ns() - r->start, .status = r->v->status };
	struct event e = { .kind = EV_EXIT, .task = 1, .exit = { .status = r->v->status, .group = true } };
	struct err err = ERR_INIT;

	if (!r->saved || !r->saved->w)
		return;
	snprintf(end.stack, sizeof(end.stack), "%s", r->v->stack);
	if (!r->v->ended && !r->v->serves_on) {
		e = (struct event){ .kind = EV_HOLE, .hole = { "replay", "end", "the replay was given up before the program's end", 1 } };
		end.holes = 1;
	}
	put(r, &e);
	if (r->saved->broken.code)
		capsule_writer_free(r->saved->w);
	else if (capsule_writer_finish(r->saved->w, &end, &err) < 0)
		r->saved->broken = err;
	r->saved->w = NULL;
	if (r->saved->broken.code) {
		r->v->err = r->saved->broken;
		r->v->error = EXIT_MACHINE;
	}
}

void saved_free(struct replay *r)
{
	if (!r->saved)
		return;
	capsule_writer_free(r->saved->w);
	free(r->saved->known);
	free(r->saved);
}
