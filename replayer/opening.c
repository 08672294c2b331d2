/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections that were there when the recording began, as those in a pool.
 * The program opens them again: in its start, or when work comes.  What it says
 * on one first, before what was recorded, is an *opening*: a login, the choice
 * of a database.  It is answered by what is asked, as connections to that place
 * were answered when they were opened; the capsule has that if the recorder saw
 * one.  Meanwhile the record is left alone: reads and waits on such a
 * connection are the kernel's.
 *
 * With the first words that the record has next on a connection to that place,
 * the program's becomes that one, whichever of the pool it was.
 */
#include <linux/types.h>

#include "replayer/replay.h"

#include "format/cleanup.h"
#include "format/sysdesc.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

enum { ASKED_MAX = 1 << 16 };

struct opening {
	const struct rec_opening *as;	/* NULL: the capsule has none to that place */
	struct rec_opening *own;	/* the same, for forget(); NULL: it is the recording's */
	uint8_t given[OPENING_EXCHANGES];	/* exchanges, as they were asked for */
	size_t n;
	bool worked;			/* somebody asked who was not starting */
	uint8_t *asked;			/* what the program says, as far as it is not answered */
	size_t len;
};

/* ---- how it was done ---------------------------------------------------------------- */

static bool append(struct bytes *to, const struct bytes *more)
{
	uint8_t *both = to->len + more->len > ASKED_MAX ? NULL : realloc((uint8_t *)to->data, to->len + more->len + 1);

	if (!both)
		return false;
	if (more->len)
		memcpy(both + to->len, more->data, more->len);
	*to = (struct bytes){ both, to->len + more->len };
	return true;
}

/* As @from, which was opened when it was recorded: what was said on it from its beginning. */
static struct rec_opening *as_recorded(struct replay *r, const struct live *from)
{
	struct rec_opening *as = calloc(1, sizeof(*as));
	const struct rec_arrival *a;
	const struct bytes *b;
	size_t heard = 0;
	bool fits = as;

	for (size_t i = 0; fits && as->n < OPENING_EXCHANGES && (b = recording_out_at(r->rec, from->rec, i)); i++) {
		if (!as->n || as->exchanges[as->n - 1].answer.len)
			as->n++;
		fits = append(&as->exchanges[as->n - 1].asked, b);
		for (; fits && (a = recording_arrival_at(r->rec, from->rec, heard)) && a->order < object_out_order(from->rec, i + 1); heard++)
			fits = append(&as->exchanges[as->n - 1].answer, &a->data);
	}
	return as;
}

static void forget(struct rec_opening *as)
{
	for (size_t i = 0; i < as->n; i++) {
		free((uint8_t *)as->exchanges[i].asked.data);
		free((uint8_t *)as->exchanges[i].answer.data);
	}
	free(as);
}

void opening_free(struct live *l)
{
	if (!l->opening)
		return;
	if (l->opening->own)
		forget(l->opening->own);
	free(l->opening->asked);
	free(l->opening);
	l->opening = NULL;
}

/* A connection to the same place that was made when it was recorded, and has not been here yet. */
static const struct live *made_there(const struct replay *r, const struct live *l)
{
	for (size_t i = 1; i < r->rec->nobjects; i++) {
		const struct live *x = &r->live[i];

		if (x != l && script_is_outbound(x) && !x->rec->here && !x->rec->opening && x->rec->connected && !x->bound &&
		    same_address(&x->rec->o->remote, l->rec->o->remote.data, l->rec->o->remote.len))
			return x;
	}
	return NULL;
}

static const struct rec_opening *opening_of(const struct replay *r, const struct live *l)
{
	for (size_t i = 1; i < r->rec->nobjects; i++) {
		const struct rec_object *o = &r->rec->objects[i];

		if (o->opening && o->o && same_address(&o->o->remote, l->rec->o->remote.data, l->rec->o->remote.len))
			return o->opening;
	}
	return NULL;
}

void opening_begins(struct replay *r, struct live *l)
{
	const struct rec_opening *as = opening_of(r, l);
	const struct live *there = as ? NULL : made_there(r, l);

	if (!r->rec->attached || l->opening || !script_is_outbound(l) || !(l->rec->here || as || there))
		return;
	if (l->id < r->rec->nobjects && !l->rec->here)
		return;		/* how it was opened is recorded */
	l->opening = calloc(1, sizeof(*l->opening));
	if (!l->opening)
		return;
	if (there)
		as = l->opening->own = as_recorded(r, there);
	l->opening->as = as;
	r->openings = true;
}

/* The words that the record has next: from here on the connection is the recorded one. */
static bool is_over(struct replay *r, struct gtask *t, struct live *l, const uint8_t *data, size_t len)
{
	struct live *x = script_reopened(r, l, data, len);

	if (!x)
		return false;
	opening_free(x);
	if (!x->rec->here) {	/* it was opened when it was recorded; here it is already */
		match_skip(r, t, object_out_order(x->rec, x->out_part));
		x->instead = 0;
	}
	return true;
}

bool opening_asked(const struct live *l, size_t i, struct bytes *ret)
{
	const struct opening *o = l->opening;

	if (!o || i >= o->n)
		return false;
	*ret = o->as->exchanges[o->given[i]].asked;
	return true;
}

void openings_end(struct replay *r)
{
	char name[160];

	for (size_t i = 1; i < r->rec->nobjects + r->nspare; i++) {
		const struct live *l = &r->live[i];

		if (l->opening && l->opening->worked && l->opening->n)
			miss(r, "%s: a connection more than recorded was opened, and answered as others were when they were opened",
			     outside_name(l->rec, name, sizeof(name)));
	}
}

/* ---- what is asked ------------------------------------------------------------------ */

/* The exchange that begins with @o's words, the next first; @whole: with all of them, and with no others. */
static bool find(const struct opening *o, size_t *ret, bool *whole)
{
	for (size_t k = 0; o->as && k < o->as->n; k++) {
		size_t i = ((o->n ? o->given[o->n - 1] + 1u : 0) + k) % o->as->n;
		struct bytes asked = o->as->exchanges[i].asked;

		if (asked.len < o->len || memcmp(asked.data, o->asked, o->len) != 0)
			continue;
		*ret = i;
		*whole = asked.len == o->len;
		return true;
	}
	return false;
}

static void answer(struct replay *r, struct live *l, size_t i, bool starts)
{
	struct bytes said = l->opening->as->exchanges[i].answer;
	char name[160];

	/* What is said when a connection is opened is small beside a socket's buffer. */
	if (said.len && send(l->fd, said.data, said.len, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)said.len)
		miss(r, "%s: what it was told when it was opened could not be given whole", outside_name(l->rec, name, sizeof(name)));
	if (l->opening->n < OPENING_EXCHANGES)
		l->opening->given[l->opening->n++] = (uint8_t)i;
	l->opening->len = 0;
	l->opening->worked |= !starts;
	r->v->served++;
}

static void no_answer(struct replay *r, struct live *l)
{
	char name[160], what[80];

	escape(what, sizeof(what), l->opening->asked, l->opening->len < 32 ? l->opening->len : 32);
	outside_name(l->rec, name, sizeof(name));
	if (l->opening->as)
		miss(r, "%s: \"%s\" was not asked when the connection was opened, and has no answer", name, what);
	else
		miss(r, "%s: the connection was opened before the recorder came: \"%s\", which opens it now, has no answer", name, what);
	l->opening->len = 0;
	if (l->fd >= 0)
		shutdown(l->fd, SHUT_WR);
}

static bool add(struct opening *o, const uint8_t *data, size_t len)
{
	uint8_t *more;

	if (o->len + len > ASKED_MAX || !(more = realloc(o->asked, o->len + len)))
		return false;
	o->asked = more;
	memcpy(more + o->len, data, len);
	o->len += len;
	return true;
}

/* True: it is of the opening. */
static bool asks(struct replay *r, struct gtask *t, struct live *l, const uint8_t *data, size_t len)
{
	struct opening *o = l->opening;
	bool starts = in_start_up(r, t), fresh = !o->len, whole, known;
	size_t i;

	if (fresh && !starts && is_over(r, t, l, data, len))
		return false;
	if (fresh && !o->as && script_request(data, len)) {
		opening_free(l);	/* HTTP is answered by what is asked in any case */
		return false;
	}
	if (!add(o, data, len))
		return false;
	known = find(o, &i, &whole);
	if (known && whole)
		answer(r, l, i, starts);
	if (known)
		return true;
	if (fresh && starts) {
		o->len = 0;
		if (is_over(r, t, l, data, len))
			return false;
		add(o, data, len);
	}
	/* Opened it is, so this is changed code, which says something else than was recorded. */
	if (fresh && !starts && o->n && l->id < r->rec->nobjects) {
		opening_free(l);
		return false;
	}
	no_answer(r, l);
	return true;
}

static bool writes(struct replay *r, struct call *c, struct live *l)
{
	_cleanup_free_ uint8_t *data = NULL;
	size_t len = 0;

	if (write_words(r, c, &data, &len) < 0 || !len)
		return false;
	if (!asks(r, c->t, l, data, len))
		return false;
	c->ret = (int64_t)len;
	return true;
}

/* ---- calls ----------------------------------------------------------------------------- */

/* The connection that a call is about, and nothing else. */
static struct live *about(struct replay *r, struct call *c)
{
	const struct sc_desc *d = &sc_table[c->nr];
	struct pollfd p;
	int fd = -1;

	switch (d->fate) {
	case SC_READ: case SC_WRITE: case SC_NET:
		fd = (int)c->args[0];
		break;
	case SC_SERVE:
		fd = d->fd ? (int)c->args[d->fd - 1] : -1;
		break;
	case SC_WAIT:
		if ((c->nr == SYS_poll || c->nr == SYS_ppoll) && c->args[1] == 1 && guest_read(c->t->tid, c->args[0], &p, sizeof(p)) == 0)
			fd = p.fd;
		break;
	}
	return fd < 0 || c->nr == SYS_connect ? NULL : object_of_fd(r, c, fd, NULL, NULL);
}

bool opening_answers(struct replay *r, struct call *c)
{
	struct live *l;

	if (!r->openings)
		return false;
	l = about(r, c);
	if (!l || !l->opening)
		return false;
	r->asking = c->t;
	c->t->blocked = false;
	pace_forget(r, c->t);
	c->t->limited = 0;
	if (sc_table[c->nr].fate == SC_WRITE)
		return writes(r, c, l);
	call_go_on(c, false);
	return true;
}
