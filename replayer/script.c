/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which recorded connection does a new one speak for?  The one whose place it
 * has, as long as the program says what it said.  Changed code may ask in
 * another order, once more, or something else: then what it says first decides.
 *
 *  - It begins as another recorded connection to the same address did that
 *    nobody has made yet: the two change places.
 *  - It asks (HTTP) for what another one has asked for already: that one's
 *    answer is given again, and is a miss.
 *  - It asks for what nobody ever asked for: a miss, and the connection ends
 *    without an answer.  Another request's answer would be a lie.
 *
 * Bytes that are not HTTP leave the connection where it is: differing bytes are
 * all that is known of them, and a protocol may well say something new each time.
 */
#include <linux/types.h>

#include "replayer/replay.h"

#include "format/cleanup.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

bool script_is_inherited(const struct rec_object *o)
{
	bool standard = false;

	for (size_t i = 0; i < o->o->nfds; i++)
		standard |= o->o->fds[i] <= 2;
	/* What a program that ran already had open besides, it opens again. */
	return standard || (o->o->nfds && !o->here);
}

bool script_is_outbound(const struct live *l)
{
	return l->rec->o && l->rec->o->kind == OBJ_SOCKET && !script_is_inherited(l->rec) && !l->rec->accepted && !l->rec->inner &&
	       (l->rec->o->type & 0xf) == SOCK_STREAM && l->rec->o->remote.len;
}

static struct bytes first_words(const struct live *l)
{
	const struct bytes *b = object_out(l->rec, 0);

	return b ? *b : (struct bytes){ NULL, 0 };
}

static bool begin_alike(struct bytes a, const uint8_t *b, size_t len)
{
	size_t n = a.len < len ? a.len : len;

	return n && memcmp(a.data, b, n) == 0;
}

/* "GET /path" of an HTTP request line, without what a question mark begins; 0 bytes: it is none. */
size_t script_request(const uint8_t *p, size_t len)
{
	const uint8_t *newline = memchr(p, '\n', len), *space, *end;

	if (!newline)
		return 0;
	space = memchr(p, ' ', (size_t)(newline - p));
	end = space ? memmem(space + 1, (size_t)(newline - space - 1), " HTTP/1.", 8) : NULL;
	if (!end || space == p)
		return 0;
	for (const uint8_t *c = p; c < space; c++)
		if (*c < 'A' || *c > 'Z')
			return 0;
	space = memchr(space + 1, '?', (size_t)(end - space - 1));
	return (size_t)((space ? space : end) - p);
}

static bool ask_alike(struct bytes a, const uint8_t *b, size_t len)
{
	size_t n = script_request(b, len);

	return n && a.len && script_request(a.data, a.len) == n && memcmp(a.data, b, n) == 0;
}

static bool same_far_end(const struct live *a, const struct live *b)
{
	return same_address(&a->rec->o->remote, b->rec->o->remote.data, b->rec->o->remote.len);
}

/* Another connection to where @l leads that is @alike; of those that are made (@made) or not. */
static struct live *another(struct replay *r, const struct live *l, bool made, const uint8_t *data, size_t len,
			    bool (*alike)(struct bytes a, const uint8_t *b, size_t len))
{
	for (size_t i = 1; i < r->rec->nobjects; i++) {
		struct live *x = &r->live[i];

		if (x != l && x->bound == made && script_is_outbound(x) && same_far_end(x, l) && alike(first_words(x), data, len))
			return x;
	}
	return NULL;
}

/* Our events of its end are about @l. */
static void tag(struct replay *r, const struct live *l)
{
	struct epoll_event ev = { .events = EPOLLET, .data.u64 = TAG_LIVE + (uint64_t)l->id };

	if (l->fd >= 0)
		epoll_ctl(r->epoll, EPOLL_CTL_MOD, l->fd, &ev);
}

#define SWAP(a, b) do { __typeof__(a) swap_ = (a); (a) = (b); (b) = swap_; } while (0)

/* What the guest's socket has from @l, it has from @x, and the other way round if @x has one, too. */
static void change_places(struct replay *r, struct live *l, struct live *x)
{
	struct stat st = { .st_dev = l->dev, .st_ino = l->ino }, other = { .st_dev = x->dev, .st_ino = x->ino };
	bool both = x->bound;

	object_unbind(r, l);
	if (both) {
		object_unbind(r, x);
		object_bind(r, l, &other);
	}
	object_bind(r, x, &st);
	SWAP(x->fd, l->fd);
	SWAP(x->made, l->made);
	SWAP(x->hung_up, l->hung_up);
	l->armed = x->armed = false;
	tag(r, l);
	tag(r, x);
}

static void pass_on(struct replay *r, struct live *l, struct live *x)
{
	x->hung_up = x->made = false;
	x->fd = -1;
	change_places(r, l, x);
}

/* An end that nothing of the recording belongs to; NULL: there were too many of them. */
static struct live *spare(struct replay *r, const struct live *l)
{
	struct live *x;

	if (r->nspare == SPARE_LIVES)
		return NULL;
	x = &r->live[r->rec->nobjects + r->nspare];
	r->nobody[r->nspare] = (struct rec_object){ .o = l->rec->o, .here = l->rec->here };
	*x = (struct live){ .id = (uint32_t)(r->rec->nobjects + r->nspare), .rec = &r->nobody[r->nspare], .fd = -1, .instead = (uint32_t)(r->rec->nobjects + r->nspare) };
	r->nspare++;
	return x;
}

/* All that @x heard, once more to whom @to leads.  False: it is not held any more. */
static bool say_again(const struct live *x, struct live *to)
{
	const struct rec_arrival *a;

	for (size_t i = 0; i < x->rec->narrivals; i++) {
		a = object_arrival(x->rec, i);
		if (!a)
			return i > 0;
		/* An answer is small beside a socket's buffer; what doesn't fit is cut off, and that is seen. */
		if (a->kind == ARRIVAL_DATA && send(to->fd, a->data.data, a->data.len, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)a->data.len)
			return false;
	}
	return true;
}

static struct live *beyond(struct replay *r, struct live *l, const uint8_t *data, size_t len)
{
	struct live *said = another(r, l, true, data, len, begin_alike), *x;
	char name[160], what[80];

	said = said ? said : another(r, l, true, data, len, ask_alike);
	x = spare(r, l);
	if (!x)
		return l;
	pass_on(r, l, x);
	escape(what, sizeof(what), data, script_request(data, len) ? script_request(data, len) : len);
	outside_name(x->rec, name, sizeof(name));
	if (said && x->fd >= 0 && say_again(said, x))
		miss(r, "%s: \"%s\" was asked more often than recorded, and answered again", name, what);
	else
		miss(r, "%s: \"%s\" was not asked when recorded, and has no answer", name, what);
	if (x->fd >= 0)
		shutdown(x->fd, SHUT_WR);
	return x;
}

static bool is_spare(const struct replay *r, const struct live *l)
{
	return l->id >= r->rec->nobjects;
}

struct live *script_leave(struct replay *r, struct live *l)
{
	struct live *x = spare(r, l);

	if (!x)
		return NULL;
	pass_on(r, l, x);
	talk_move(l, x);
	return x;
}

bool script_is_open(const struct replay *r, const struct live *l)
{
	return !l->out_bytes && !l->out_part && !l->wanted && l->bound && (l->rec->nout || is_spare(r, l)) && script_is_outbound(l);
}

struct live *script_more(struct replay *r, const uint8_t *addr, size_t len)
{
	for (size_t i = 1; i < r->rec->nobjects; i++) {
		struct live *l = &r->live[i];

		if (script_is_outbound(l) && (l->rec->connected || l->rec->opening) && same_address(&l->rec->o->remote, addr, len))
			return spare(r, l);
	}
	return NULL;
}

enum { AHEAD = 64 };	/* parts that are looked at */

/* ---- connections of a pool ------------------------------------------------------ */

/* What is still to be said to @l. */
static struct bytes next_words(const struct live *l)
{
	const struct bytes *b = object_out(l->rec, l->out_part);

	return b && l->out_off < b->len ? (struct bytes){ b->data + l->out_off, b->len - l->out_off } : (struct bytes){ NULL, 0 };
}

bool script_is_next(const struct live *l, const uint8_t *data, size_t len)
{
	return begin_alike(next_words(l), data, len);
}

/* Nothing is on its way to the guest, and nothing will be before it has said more. */
static bool is_idle(const struct live *l)
{
	const struct rec_arrival *a = object_arrival(l->rec, l->heard);

	return l->released <= l->heard && !l->part && (!a || a->order > object_out_order(l->rec, l->out_part));
}

static struct live *for_that(struct replay *r, const struct live *l, const uint8_t *data, size_t len)
{
	for (size_t i = 1; i < r->rec->nobjects; i++) {
		struct live *x = &r->live[i];

		if (x != l && script_is_outbound(x) && same_far_end(x, l) && begin_alike(next_words(x), data, len))
			return x;
	}
	return NULL;
}

/*
 * @x was opened when it was recorded, as @l was here, and then @data was said: it goes on from there.  What was said to open it are
 * the words that @l was opened with.
 */
static bool goes_on_behind(struct replay *r, struct live *x, const struct live *l, const uint8_t *data, size_t len)
{
	const struct rec_arrival *a;
	const struct bytes *b;
	uint64_t bytes = 0;
	size_t n = 0;

	if (x->bound || x->rec->here || !x->rec->connected)
		return false;
	for (struct bytes asked; opening_asked(l, n, &asked); n++) {
		b = recording_out_at(r->rec, x->rec, n);
		if (!b || b->len != asked.len || memcmp(b->data, asked.data, b->len) != 0)
			return false;
		bytes += b->len;
	}
	b = recording_out_at(r->rec, x->rec, n);
	if (!b || !begin_alike(*b, data, len))
		return false;
	x->out_part = x->turn = (uint32_t)n;
	x->out_bytes = bytes;
	while ((a = object_arrival(x->rec, x->heard)) && a->order < object_out_order(x->rec, n))
		x->released = x->wanted = ++x->heard;
	return true;
}

struct live *script_reopened(struct replay *r, struct live *l, const uint8_t *data, size_t len)
{
	struct live *x = script_is_next(l, data, len) ? l : NULL;

	for (size_t i = 1; !x && i < r->rec->nobjects; i++)
		if (script_is_outbound(&r->live[i]) && same_far_end(&r->live[i], l) &&
		    ((r->live[i].rec->here && (r->live[i].opening || !r->live[i].bound) && script_is_next(&r->live[i], data, len)) ||
		     goes_on_behind(r, &r->live[i], l, data, len)))
			x = &r->live[i];
	if (!x || x == l)
		return x;
	if (!x->bound)
		x->fd = -1;
	change_places(r, l, x);
	SWAP(x->opening, l->opening);
	return x;
}

/* The object whose recorded connect leads to @l; 0: that was made. */
static uint32_t leads_to(const struct replay *r, const struct live *l)
{
	for (uint32_t i = 1; i < r->rec->nobjects; i++)
		if (r->live[i].instead == l->id)
			return i;
	return 0;
}

/* Is it said there, behind what comes next? */
static bool says_later(const struct live *l, const uint8_t *data, size_t len)
{
	const struct bytes *b;

	for (size_t i = l->out_part + 1; i - l->out_part < AHEAD && (b = object_out(l->rec, i)); i++)
		if (begin_alike(*b, data, len))
			return true;
	return false;
}

bool script_is_early(struct replay *r, const struct live *l, const uint8_t *data, size_t len)
{
	const struct live *x;

	if (!script_is_outbound(l) || begin_alike(next_words(l), data, len))
		return false;
	x = for_that(r, l, data, len);
	if (x)
		return !(is_idle(x) && is_idle(l));
	for (size_t i = 1; i < r->rec->nobjects; i++)
		if (script_is_outbound(&r->live[i]) && same_far_end(&r->live[i], l) && says_later(&r->live[i], data, len))
			return true;
	return false;
}

struct live *script_continue(struct replay *r, struct live *l, const uint8_t *data, size_t len)
{
	uint32_t maker;
	struct live *x;

	if (!script_is_outbound(l) || !is_idle(l) || begin_alike(next_words(l), data, len))
		return l;
	x = for_that(r, l, data, len);
	if (!x || !is_idle(x))
		return l;
	maker = x->bound ? 0 : leads_to(r, x);
	if (maker && !l->out_bytes && !l->heard && !is_spare(r, l)) {
		r->live[maker].instead = l->id;		/* both are being made: the other one comes */
	} else {
		r->v->swapped++;
		if (maker) {
			r->live[maker].instead = 0;
			goroutine_connect_passed(r, maker);
		}
	}
	change_places(r, l, x);
	return x;
}

struct live *script_choose(struct replay *r, struct live *l, const uint8_t *data, size_t len)
{
	struct live *x;

	if (begin_alike(first_words(l), data, len))
		return l;
	x = another(r, l, false, data, len, begin_alike);
	if (!x && ask_alike(first_words(l), data, len))
		return l;
	if (!x && script_request(data, len))
		x = another(r, l, false, data, len, ask_alike);
	if (x) {
		pass_on(r, l, x);
		return x;
	}
	x = is_spare(r, l) ? NULL : talk_begin(r, l, data, len);
	if (x)
		return x;
	if (is_spare(r, l) || (script_request(data, len) && script_request(first_words(l).data, first_words(l).len)))
		return beyond(r, l, data, len);
	return l;
}
