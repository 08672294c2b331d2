/* SPDX-License-Identifier: Apache-2.0 */
#include "format/show_summary.h"

#include "format/addr.h"
#include "format/cleanup.h"
#include "format/sha256.h"

#include <errno.h>
#include <linux/types.h>
#include <string.h>

#include "format/sysdesc.h"

static void note_call(struct summary *s, const struct ev_call *c)
{
	switch (c->nr < SC_MAX ? (enum sc_fate)sc_table[c->nr].fate : SC_NOROW) {
	case SC_CLOCK: s->clocks++; break;
	case SC_SLEEP: s->sleeps++; break;
	case SC_WAIT: s->waits++; break;
	case SC_DECLINE: s->declined++; break;
	case SC_RANDOM:
		s->randoms++;
		s->random_bytes += c->ret > 0 ? (uint64_t)c->ret : 0;
		break;
	default: break;
	}
}

static void note_file(struct summary *s, const struct ev_file *f)
{
	if (f->state == FILE_ABSENT) {
		s->absent++;
	} else if (f->state == FILE_DIR) {
		s->dirs++;
	} else if (f->flags & FILE_CONTENT) {
		s->snapshots++;
		s->snapshot_bytes += f->size;
	} else if (f->flags & FILE_IMAGE) {
		s->image++;
	} else if (f->state == FILE_REGULAR) {
		s->unread++;
	}
}

static void note_output(struct summary *s, const struct ev_file *f)
{
	if (f->state == FILE_ABSENT) {
		s->deleted++;
	} else if (f->state == FILE_REGULAR) {
		s->written++;
		s->written_bytes += f->size;
	} else {
		s->changed++;
	}
}

static int note_hole(struct summary *s, const struct ev_hole *h, struct err *err)
{
	struct hole *to = &s->holes[s->nholes];

	if (s->nholes++ >= SHOWN_HOLES)
		return 0;
	*to = (struct hole){ strdup(h->what), strdup(h->where), strdup(h->why), h->count };
	return to->what && to->where && to->why ? 0 : err_set(err, ENOMEM, "out of memory");
}

static int note(struct summary *s, const struct event *e, struct err *err)
{
	s->events++;
	s->last = e->time;
	switch ((enum ev_kind)e->kind) {
	case EV_CALL: note_call(s, &e->call); break;
	case EV_FORK: *(e->fork.goroutine ? &s->goroutines : e->fork.thread ? &s->threads : &s->forks) += 1; break;
	case EV_EXEC: s->execs++; break;
	case EV_SIGNAL: s->signals++; break;
	case EV_FILE: note_file(s, &e->file); break;
	case EV_OUTPUT: note_output(s, &e->file); break;
	case EV_HOLE: return note_hole(s, &e->hole, err);
	case EV_EXIT:
		if (e->task == 1 && !s->ended) {
			s->ended = true;
			s->status = e->exit.status;
		}
		break;
	case EV_OBJECT:
	case EV_KINDS: break;
	}
	return objects_note(&s->objects, e, err);
}

/* Whoever connects to us comes from a port that says nothing: those are told apart by the listener. */
static char *far_address(const struct object *o)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	if (o->accepted)
		addr_print(f, o->local, o->local_len);
	else if (o->remote_len)
		addr_print(f, o->remote, o->remote_len);
	else
		fputs("no one address", f);
	fclose(f);
	return text;
}

/* A place for @o's far end in @s->peers, which has room for all. */
static int peer_of(struct summary *s, const struct object *o, struct peer **ret, struct err *err)
{
	_cleanup_(cleanup_sha256) struct sha256 *h = NULL;
	int32_t what[3] = { o->family, o->type, o->accepted };
	uint8_t key[SHA256_LEN];
	uint64_t *at;

	_cleanup_free_ char *address = far_address(o);
	if (!address)
		return err_set(err, ENOMEM, "out of memory");
	if (sha256_new(&h, err) < 0)
		return -err->code;
	sha256_add(h, what, sizeof(what));
	sha256_add(h, address, strlen(address));
	sha256_end(h, key);
	at = table_get(&s->peer_ids, key);
	if (!at && table_add(&s->peer_ids, key, s->npeers + 1, err) < 0)
		return -err->code;
	if (!at)
		s->peers[s->npeers++] = (struct peer){ .address = TAKE_PTR(address), .family = o->family,
						       .type = o->type, .accepted = o->accepted };
	*ret = &s->peers[at ? *at - 1 : s->npeers - 1];
	return 0;
}

static int gather_peers(struct summary *s, struct err *err)
{
	struct peer *p = NULL;

	s->peers = calloc(s->objects.n + 1, sizeof(*s->peers));
	if (!s->peers)
		return err_set(err, ENOMEM, "out of memory");
	for (size_t i = 0; i < s->objects.n; i++) {
		const struct object *o = &s->objects.list[i];

		if (o->kind == OBJ_SYNTH) {
			s->synth++;
			s->synth_bytes += o->in;
		}
		if (o->kind != OBJ_SOCKET || o->inherited || (!o->remote_len && !o->in && !o->out))
			continue;
		if (peer_of(s, o, &p, err) < 0)
			return -err->code;
		p->connections++;
		p->in += o->in;
		p->out += o->out;
		p->error = o->error ? o->error : p->error;
	}
	return 0;
}

void summary_clear(struct summary *s)
{
	for (size_t i = 0; i < SHOWN_HOLES; i++) {
		free(s->holes[i].what);
		free(s->holes[i].where);
		free(s->holes[i].why);
	}
	for (size_t i = 0; i < s->npeers; i++)
		free(s->peers[i].address);
	objects_clear(&s->objects);
	table_clear(&s->peer_ids);
	free(s->peers);
}

int summary_gather(struct summary *s, struct capsule_reader *rd, struct err *err)
{
	const struct capsule_end *end = capsule_end(rd);
	struct event e;
	int r;

	while ((r = capsule_next(rd, &e, err)) > 0)
		if (note(s, &e, err) < 0)
			return -err->code;
	if (r < 0)
		return r;
	if (end && !capsule_end_is_open(end)) {
		s->ended = true;
		s->status = end->status;
	}
	return gather_peers(s, err);
}
