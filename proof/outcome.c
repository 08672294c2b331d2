/* SPDX-License-Identifier: Apache-2.0 */
#include <linux/types.h>

#include "proof/outcome.h"

#include "format/addr.h"
#include "format/cleanup.h"
#include "format/http.h"
#include "format/payload.h"
#include "format/table.h"

#include "format/sysdesc.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* One object of the run. */
struct stream {
	char name[160];
	bool accepted, aside;
	uint64_t out;
	struct flow flow;	/* but for its name */
	struct sha256 *hash;	/* of what went out */
	struct http *http;	/* of a connection that others made */
	uint8_t *data;		/* the beginning of what went out */
	size_t len;
};

struct gathering {
	struct parts *parts;
	struct stream *streams;
	size_t nstreams;
	struct table ids;	/* object number -> its stream + 1 */
	struct table names;	/* SHA-256 of a part's name -> how many have it */
	struct stream *at;
	size_t keep;
	bool out;
};

static void gathering_end(struct gathering *g)
{
	for (size_t i = 0; i < g->nstreams; i++) {
		sha256_free(g->streams[i].hash);
		http_free(g->streams[i].http);
		free(g->streams[i].data);
	}
	free(g->streams);
	table_clear(&g->ids);
	table_clear(&g->names);
}

static void key_of(uint32_t id, uint8_t key[32])
{
	memset(key, 0, 32);
	memcpy(key, &id, sizeof(id));
}

static struct stream *find(struct gathering *g, uint32_t id)
{
	uint8_t key[32];
	uint64_t *at;

	key_of(id, key);
	at = table_get(&g->ids, key);
	return at ? &g->streams[*at - 1] : NULL;
}

static void name_object(struct stream *s, const struct ev_object *o)
{
	static const char *const std[] = { "stdin", "stdout", "stderr" };
	size_t len = 0;
	char *address = NULL;
	FILE *f;

	for (size_t i = 0; i < o->nfds; i++)
		if (o->fds[i] >= 0 && o->fds[i] <= 2)
			snprintf(s->name, sizeof(s->name), "%s", std[o->fds[i]]);
	if (s->name[0])
		return;
	f = open_memstream(&address, &len);
	if (f && o->kind == OBJ_SOCKET && (o->remote.len || o->local.len))
		addr_print(f, o->remote.len ? o->remote.data : o->local.data, o->remote.len ? o->remote.len : o->local.len);
	if (f)
		fclose(f);
	snprintf(s->name, sizeof(s->name), "%s", address && address[0] ? address : o->path && o->path[0] ? o->path : obj_kind_name(o->kind));
	free(address);
}

static int note_object(struct gathering *g, const struct ev_object *o, struct err *err)
{
	struct stream *bigger, *s = find(g, o->id);
	uint8_t key[32];

	if (s) {	/* more is known of it now */
		s->name[0] = 0;
		name_object(s, o);
		return 0;
	}
	bigger = reallocarray(g->streams, g->nstreams + 1, sizeof(*bigger));
	if (!bigger)
		return err_set(err, ENOMEM, "out of memory");
	g->streams = bigger;
	s = &bigger[g->nstreams];
	*s = (struct stream){ 0 };
	key_of(o->id, key);
	if (table_add(&g->ids, key, ++g->nstreams, err) < 0 || sha256_new(&s->hash, err) < 0)
		return -err->code;
	name_object(s, o);
	s->aside = strcmp(s->name, "stderr") == 0 || (o->kind == OBJ_SOCKET && !o->nfds);
	return 0;
}

static int keep(const struct gathering *g, struct stream *s, const void *data, size_t len, struct err *err)
{
	size_t n = len < g->keep - s->len ? len : g->keep - s->len;
	uint8_t *bigger = n ? realloc(s->data, s->len + n) : NULL;

	if (!n)
		return 0;
	if (!bigger)
		return err_set(err, ENOMEM, "out of memory");
	memcpy(bigger + s->len, data, n);
	s->data = bigger;
	s->len += n;
	return 0;
}

static int take(void *ctx, const void *data, size_t len, struct err *err)
{
	struct gathering *g = ctx;
	struct stream *s = g->at;

	*(g->out ? &s->flow.out : &s->flow.in) += len;
	if (g->out) {
		sha256_add(s->hash, data, len);
		s->out += len;
		if (keep(g, s, data, len, err) < 0)
			return -err->code;
	}
	if (s->http)
		(g->out ? http_answer : http_request)(s->http, data, len);
	return 0;
}

static int note_call(struct gathering *g, const struct ev_call *c, uint64_t time, struct capsule_reader *rd, struct err *err)
{
	int fate = c->nr < SC_MAX ? sc_table[c->nr].fate : SC_NOROW;

	g->at = find(g, c->nr == SYS_accept || c->nr == SYS_accept4 ? c->obj2 : c->obj);
	if (!g->at)
		return 0;
	if (c->nr == SYS_accept || c->nr == SYS_accept4) {
		g->at->accepted = true;
		g->at->aside = false;
		g->at->http = g->at->http ? g->at->http : http_new(NULL);
		if (g->at->http && g->keep)
			http_keep(g->at->http);
		return g->at->http ? 0 : err_set(err, ENOMEM, "out of memory");
	}
	if (fate != SC_READ && fate != SC_WRITE)
		return 0;
	g->out = fate == SC_WRITE;
	if (c->ret > 0) {
		if (!g->at->flow.reads && !g->at->flow.writes)
			g->at->flow.first = time;
		g->at->flow.last = time;
		++*(g->out ? &g->at->flow.writes : &g->at->flow.reads);
	}
	return payload_each(c, rd, take, g, err);
}

/* ---- parts ----------------------------------------------------------------------- */

/* Of several parts with one name the second is "NAME (2)", in the order in which they came about. */
static int add(struct gathering *g, const char *name, const uint8_t sha256[SHA256_LEN], uint16_t status, bool aside, struct err *err)
{
	struct parts *p = g->parts;
	struct part *bigger = reallocarray(p->list, p->n + 1, sizeof(*bigger)), *part;
	uint8_t key[SHA256_LEN];
	uint64_t *count;

	if (!bigger)
		return err_set(err, ENOMEM, "out of memory");
	p->list = bigger;
	part = &bigger[p->n++];
	*part = (struct part){ .status = status, .aside = aside };
	memcpy(part->sha256, sha256, SHA256_LEN);
	sha256_of(name, strlen(name), key);
	count = table_get(&g->names, key);
	if (count)
		snprintf(part->name, sizeof(part->name), "%.170s (%llu)", name, (unsigned long long)++*count);
	else
		snprintf(part->name, sizeof(part->name), "%.170s", name);
	return count ? 0 : table_add(&g->names, key, 1, err);
}

/* The part that was added last. */
__attribute__((format(printf, 2, 3))) static void describe(struct gathering *g, const char *fmt, ...)
{
	struct part *p = &g->parts->list[g->parts->n - 1];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(p->said, sizeof(p->said), fmt, ap);
	va_end(ap);
}

static int keep_text(struct gathering *g, const struct http_exchange *x, struct err *err)
{
	struct part *p = &g->parts->list[g->parts->n - 1];

	p->data = malloc(x->text_len ? x->text_len : 1);
	if (!p->data)
		return err_set(err, ENOMEM, "out of memory");
	memcpy(p->data, x->text, x->text_len);
	p->len = x->text_len;
	return 0;
}

static int add_answers(struct gathering *g, const struct stream *s, struct err *err)
{
	const struct http_exchange *x;
	char name[sizeof(x->method) + sizeof(x->target) + 2];

	for (size_t i = 0; (x = http_at(s->http, i)); i++) {
		snprintf(name, sizeof(name), "%s %s", x->method, x->target);
		if (add(g, name, x->answer_sha256, x->status, false, err) < 0)
			return -err->code;
		if (!x->answered)
			describe(g, "no answer");
		else
			describe(g, "%u, %llu bytes", x->status, (unsigned long long)x->answer_body);
		if (x->answered && x->text && keep_text(g, x, err) < 0)
			return -err->code;
	}
	return 0;
}

/* Connections to one address are one flow. */
static int add_flow(struct parts *p, const struct stream *s, struct err *err)
{
	struct flow *f = NULL, *bigger;

	if (!s->flow.reads && !s->flow.writes)
		return 0;
	for (size_t i = 0; i < p->nflows && !f; i++)
		f = strcmp(p->flows[i].name, s->name) == 0 ? &p->flows[i] : NULL;
	if (!f) {
		bigger = reallocarray(p->flows, p->nflows + 1, sizeof(*bigger));
		if (!bigger)
			return err_set(err, ENOMEM, "out of memory");
		p->flows = bigger;
		f = &bigger[p->nflows++];
		*f = (struct flow){ .first = UINT64_MAX };
		snprintf(f->name, sizeof(f->name), "%s", s->name);
	}
	f->reads += s->flow.reads;
	f->in += s->flow.in;
	f->writes += s->flow.writes;
	f->out += s->flow.out;
	f->first = s->flow.first < f->first ? s->flow.first : f->first;
	f->last = s->flow.last > f->last ? s->flow.last : f->last;
	return 0;
}

static int add_stream(struct gathering *g, struct stream *s, struct err *err)
{
	uint8_t sha256[SHA256_LEN];
	char name[200];

	if (s->http)
		http_answer_end(s->http);
	if (s->http && http_is(s->http))
		return add_answers(g, s, err);
	if (!s->out)
		return 0;
	sha256_end(s->hash, sha256);
	snprintf(name, sizeof(name), "%s%s", s->accepted ? "the answer to " : "", s->name);
	if (add(g, name, sha256, 0, s->aside, err) < 0)
		return -err->code;
	g->parts->list[g->parts->n - 1].data = TAKE_PTR(s->data);
	g->parts->list[g->parts->n - 1].len = s->len;
	return 0;
}

static int add_file(struct gathering *g, const struct ev_file *f, struct err *err)
{
	uint8_t what[2 * SHA256_LEN + 1] = { f->state }, sha256[SHA256_LEN];

	if (f->has_hash)
		memcpy(what + 1, f->sha256, SHA256_LEN);
	if (f->attributes.len)
		sha256_of(f->attributes.data, f->attributes.len, what + 1 + SHA256_LEN);
	sha256_of(what, sizeof(what), sha256);
	if (add(g, f->path, sha256, 0, false, err) < 0)
		return -err->code;
	if (f->state == FILE_REGULAR)
		describe(g, "%llu bytes", (unsigned long long)f->size);
	else
		describe(g, "%s", file_state_name(f->state));
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct part *)a)->name, ((const struct part *)b)->name);
}

static int gather(struct gathering *g, struct capsule_reader *rd, struct err *err)
{
	struct event e;
	int r, bad = 0;

	capsule_rewind(rd);
	while (!bad && (r = capsule_next(rd, &e, err)) > 0) {
		if (e.kind == EV_OBJECT)
			bad = note_object(g, &e.object, err);
		else if (e.kind == EV_CALL && e.task)	/* else before it */
			bad = note_call(g, &e.call, e.time, rd, err);
		else if (e.kind == EV_OUTPUT)
			bad = add_file(g, &e.file, err);
	}
	return bad < 0 ? bad : r;
}

int parts_of(struct parts *p, struct capsule_reader *rd, size_t keep_bytes, struct err *err)
{
	_cleanup_(gathering_end) struct gathering g = { .parts = p, .keep = keep_bytes };
	const struct capsule_end *end = capsule_end(rd);
	uint8_t sha256[SHA256_LEN];

	if (gather(&g, rd, err) < 0)
		return -err->code;
	for (size_t i = 0; i < g.nstreams; i++)
		if (add_stream(&g, &g.streams[i], err) < 0 || (keep_bytes && add_flow(p, &g.streams[i], err) < 0))
			return -err->code;
	if (end) {
		p->duration = end->duration;
		memcpy(p->stack, end->stack, sizeof(p->stack));
		sha256_of(&end->status, sizeof(end->status), sha256);
		if (add(&g, "the end", sha256, 0, false, err) < 0)
			return -err->code;
		if (WIFCONTINUED(end->status))
			describe(&g, "none, it serves on");
		else if (WIFSIGNALED(end->status))
			describe(&g, "killed by SIG%s", sigabbrev_np(WTERMSIG(end->status)) ?: "?");
		else
			describe(&g, "exit status %d", WEXITSTATUS(end->status));
	}
	qsort(p->list, p->n, sizeof(*p->list), by_name);
	return 0;
}

void parts_clear(struct parts *p)
{
	for (size_t i = 0; i < p->n; i++)
		free(p->list[i].data);
	free(p->list);
	free(p->flows);
	*p = (struct parts){ 0 };
}

void parts_compare(const struct parts *a, const struct parts *b, void (*differs)(void *ctx, const struct part *a, const struct part *b),
		   void *ctx)
{
	for (size_t i = 0, k = 0; i < a->n || k < b->n;) {
		int order = i == a->n ? 1 : k == b->n ? -1 : strcmp(a->list[i].name, b->list[k].name);

		if (order < 0)
			differs(ctx, &a->list[i++], NULL);
		else if (order > 0)
			differs(ctx, NULL, &b->list[k++]);
		else if (memcmp(a->list[i].sha256, b->list[k].sha256, SHA256_LEN) != 0)
			differs(ctx, &a->list[i++], &b->list[k++]);
		else
			i++, k++;
	}
}
