/* SPDX-License-Identifier: Apache-2.0 */
#include <linux/types.h>

#include "proof/cut.h"

#include "format/cleanup.h"
#include "format/payload.h"
#include "format/sha256.h"
#include "format/sysdesc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- what an event belongs to ------------------------------------------------------ */

static void key_of_object(uint32_t id, uint8_t key[SHA256_LEN])
{
	memset(key, 0, SHA256_LEN);
	memcpy(key, &id, sizeof(id));
}

static bool is_file_source(const struct event *e)
{
	return e->kind == EV_FILE && e->file.state == FILE_REGULAR && (e->file.flags & FILE_CONTENT) && !(e->file.flags & FILE_IMAGE);
}

static bool is_connection(const struct ev_object *o)
{
	return o->kind == OBJ_SOCKET && !o->nfds && o->remote.len && (o->type & 0xf) == SOCK_STREAM;
}

static int fate_of(const struct ev_call *c)
{
	return c->nr < SC_MAX ? sc_table[c->nr].fate : SC_NOROW;
}

/* A call that brought a piece of a stream in. */
static bool is_piece(const struct event *e)
{
	const struct ev_call *c = &e->call;

	return e->kind == EV_CALL && c->obj && c->ret > 0 && fate_of(c) == SC_READ && call_payload_arg(c->nr) >= 0 &&
	       call_seg(c, (uint8_t)call_payload_arg(c->nr));
}

static struct source *connection_of(const struct cut *c, uint32_t object)
{
	uint8_t key[SHA256_LEN];
	uint64_t *at;

	key_of_object(object, key);
	at = object ? table_get(&c->places, key) : NULL;
	return at ? &c->list[*at - 1] : NULL;
}

static struct source *file_of(const struct cut *c, const char *path)
{
	uint8_t key[SHA256_LEN];
	uint64_t *at;

	sha256_of(path, strlen(path), key);
	at = table_get(&c->places, key);
	return at ? &c->list[*at - 1] : NULL;
}

/* ---- finding ------------------------------------------------------------------------- */

static int add(struct cut *c, size_t *room, enum source_kind kind, uint32_t object, uint64_t bytes, struct err *err)
{
	void *bigger;

	if (c->n == SOURCES_MAX)
		return err_set(err, EFBIG, "more than %d sources", SOURCES_MAX);
	if (c->n == *room) {
		*room = *room ? *room * 2 : 64;
		bigger = reallocarray(c->list, *room, sizeof(*c->list));
		if (bigger)
			c->list = bigger;
		void *next = bigger ? reallocarray(c->next, *room, sizeof(*c->next)) : NULL;

		if (!next)
			return err_set(err, ENOMEM, "out of memory");
		c->next = next;
	}
	c->next[c->n] = 0;
	c->list[c->n++] = (struct source){ .kind = kind, .object = object, .bytes = bytes, .kept = bytes };
	return 0;
}

static int find_connection(struct cut *c, size_t *room, const struct ev_object *o, struct err *err)
{
	uint8_t key[SHA256_LEN];

	if (!is_connection(o) || connection_of(c, o->id))
		return 0;
	key_of_object(o->id, key);
	if (add(c, room, SOURCE_CONNECTION, o->id, 0, err) < 0)
		return -err->code;
	return table_add(&c->places, key, c->n, err);
}

static int find_file(struct cut *c, size_t *room, const struct ev_file *f, struct err *err)
{
	uint8_t key[SHA256_LEN];

	if (file_of(c, f->path))
		return 0;
	sha256_of(f->path, strlen(f->path), key);
	if (add(c, room, SOURCE_FILE, 0, f->size, err) < 0)
		return -err->code;
	return table_add(&c->places, key, c->n, err);
}

/* @last: the last piece of each object so far. */
static int find_piece(struct cut *c, size_t *room, struct table *last, const struct ev_call *call, struct err *err)
{
	uint8_t key[SHA256_LEN];
	uint64_t *at;

	key_of_object(call->obj, key);
	if (add(c, room, SOURCE_PIECE, call->obj, call_seg(call, (uint8_t)call_payload_arg(call->nr))->len, err) < 0)
		return -err->code;
	at = table_get(last, key);
	if (!at)
		return table_add(&c->pieces, key, c->n, err) < 0 || table_add(last, key, c->n, err) < 0 ? -err->code : 0;
	c->next[*at - 1] = c->n;
	*at = c->n;
	return 0;
}

int cut_find(struct cut *c, struct capsule_reader *rd, struct err *err)
{
	_cleanup_(table_clear) struct table last = { 0 };
	struct event e;
	size_t room = 0;
	int r, bad = 0;

	capsule_rewind(rd);
	while (!bad && (r = capsule_next(rd, &e, err)) > 0) {
		if (e.kind == EV_OBJECT)
			bad = find_connection(c, &room, &e.object, err);
		else if (is_file_source(&e))
			bad = find_file(c, &room, &e.file, err);
		else if (is_piece(&e))
			bad = find_piece(c, &room, &last, &e.call, err);
	}
	return bad ? bad : r;
}

void cut_clear(struct cut *c)
{
	free(c->list);
	free(c->next);
	table_clear(&c->places);
	table_clear(&c->pieces);
}

/* ---- writing --------------------------------------------------------------------------- */

struct writing {
	const struct cut *c;
	struct capsule_reader *rd;
	struct capsule_writer *w;
	struct table at;	/* object -> the piece that it is at */
};

static void writing_end(struct writing *w)
{
	capsule_writer_free(w->w);
	table_clear(&w->at);
}

static bool is_dropped(const struct cut *c, uint32_t object)
{
	const struct source *s = connection_of(c, object);

	return s && s->dropped;
}

/* A wait that tells of what is dropped is none that comes about again. */
static bool waits_for_dropped(const struct cut *c, const struct ev_call *call)
{
	const struct ev_seg *ready = call_seg(call, SEG_READY);
	uint32_t object;

	for (uint64_t i = 0; ready && ready->data && i + 8 <= ready->len; i += 8) {
		memcpy(&object, ready->data + i, sizeof(object));
		if (is_dropped(c, object))
			return true;
	}
	return false;
}

/* The piece that @call brought in, or that it comes behind; *@piece NULL: neither. */
static int find_place(struct writing *w, const struct event *e, const struct source **piece, struct err *err)
{
	uint8_t key[SHA256_LEN];
	uint64_t *at, *first;

	key_of_object(e->call.obj, key);
	at = table_get(&w->at, key);
	*piece = NULL;
	if (is_piece(e) && at) {
		*at = w->c->next[*at - 1];
	} else if (is_piece(e)) {
		first = table_get(&w->c->pieces, key);
		if (!first || table_add(&w->at, key, *first, err) < 0)
			return err->code ? -err->code : err_set(err, EBADMSG, "the capsule changed");
		at = first;
	}
	if (at && !*at)
		return err_set(err, EBADMSG, "the capsule changed");
	if (at)
		*piece = &w->c->list[*at - 1];
	return 0;
}

static int add_data(void *ctx, const void *data, size_t len, struct err *err)
{
	return fwrite(data, 1, len, ctx) == len ? 0 : err_sys(err, errno, "copying what the capsule holds");
}

static int copy_blob(struct writing *w, const uint8_t sha256[SHA256_LEN], struct err *err)
{
	uint8_t written[SHA256_LEN];
	uint64_t len;

	_cleanup_fd_ int fd = memfd_create("blob", MFD_CLOEXEC);
	_cleanup_file_ FILE *f = fd < 0 ? NULL : fdopen(dup(fd), "w");
	if (!f)
		return err_sys(err, errno, "copying what the capsule holds");
	if (capsule_blob(w->rd, sha256, add_data, f, err) < 0)
		return -err->code;
	if (fflush(f) != 0 || lseek(fd, 0, SEEK_SET) < 0)
		return err_sys(err, errno, "copying what the capsule holds");
	return capsule_write_blob_fd(w->w, fd, UINT64_MAX, &len, written, err);
}

/* The beginning of the piece in @e, in fresh memory. */
static int shorten(struct writing *w, struct event *e, uint64_t kept, uint8_t **data, struct err *err)
{
	int arg = call_payload_arg(e->call.nr);
	size_t len = 0;

	for (uint32_t i = 0; i < e->call.nsegs; i++) {
		struct ev_seg *s = &e->call.segs[i];

		if (s->arg != arg || s->len <= kept)
			continue;
		if (!s->data && capsule_blob_load(w->rd, s->sha256, s->len, data, &len, err) < 0)
			return -err->code;
		s->data = s->data ? s->data : *data;
		s->len = kept;
	}
	e->call.ret = (int64_t)kept;
	return 0;
}

static int write_call(struct writing *w, struct event *e, struct err *err)
{
	_cleanup_free_ uint8_t *data = NULL;
	const struct source *piece = NULL;
	int fate = fate_of(&e->call);

	if (e->call.obj && find_place(w, e, &piece, err) < 0)
		return -err->code;
	if (is_dropped(w->c, e->call.obj) || is_dropped(w->c, e->call.obj2) || waits_for_dropped(w->c, &e->call))
		return 0;
	if (piece && piece->dropped && (is_piece(e) || fate == SC_WRITE))
		return 0;
	if (piece && is_piece(e) && piece->kept < piece->bytes && shorten(w, e, piece->kept, &data, err) < 0)
		return -err->code;
	for (uint32_t i = 0; i < e->call.nsegs; i++)
		if (!e->call.segs[i].data && e->call.segs[i].len && copy_blob(w, e->call.segs[i].sha256, err) < 0)
			return -err->code;
	return capsule_write(w->w, e, err);
}

static int write_file(struct writing *w, struct event *e, struct err *err)
{
	const struct source *s = is_file_source(e) ? file_of(w->c, e->file.path) : NULL;

	if (s && s->dropped)
		return 0;
	if (e->file.state == FILE_REGULAR && (e->file.flags & FILE_CONTENT) && e->file.has_hash && e->file.size &&
	    copy_blob(w, e->file.sha256, err) < 0)
		return -err->code;
	return capsule_write(w->w, e, err);
}

static int write_event(struct writing *w, struct event *e, struct err *err)
{
	if (e->kind == EV_CALL)
		return write_call(w, e, err);
	if (e->kind == EV_FILE || e->kind == EV_OUTPUT)
		return write_file(w, e, err);
	if (e->kind == EV_OBJECT && is_dropped(w->c, e->object.id))
		return 0;
	return capsule_write(w->w, e, err);
}

int cut_write(const struct cut *c, struct capsule_reader *rd, const char *path, struct err *err)
{
	_cleanup_(writing_end) struct writing w = { .c = c, .rd = rd };
	struct capsule_end end = *capsule_end(rd);
	struct manifest m = *capsule_manifest(rd);
	struct event e;
	int r;

	if (c->signature)
		m.signature = (char *)c->signature;
	if (capsule_writer_open(&w.w, path, &m, err) < 0)
		return -err->code;
	capsule_rewind(rd);
	while ((r = capsule_next(rd, &e, err)) > 0)
		if (write_event(&w, &e, err) < 0)
			return -err->code;
	if (r < 0)
		return r;
	return capsule_writer_finish(TAKE_PTR(w.w), &end, err);
}
