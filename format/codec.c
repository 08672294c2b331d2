/* SPDX-License-Identifier: Apache-2.0 */
#include "format/codec.h"

#include "format/attributes.h"
#include "format/mp.h"

#include <errno.h>
#include <limits.h>
#include <linux/types.h>
#include <string.h>

#include "format/sysdesc.h"

/* ---- rules ------------------------------------------------------------- */

static int bad(struct err *err, const struct event *e, const char *field)
{
	return err_set(err, EBADMSG, "%s event with a bad field '%s'", ev_kind_name(e->kind), field);
}

static int bad_path(struct err *err, const struct event *e, const char *path)
{
	return err_set(err, EBADMSG, "%s event with the path '%.200s', which is not absolute and clean",
		       ev_kind_name(e->kind), str_or_empty(path));
}

static bool clean(const char *path)
{
	return path && path_is_clean(path, strlen(path));
}

static int check_call(const struct event *e, struct err *err)
{
	const struct ev_call *c = &e->call;

	if (c->nsegs > CALL_MAX_SEGS)
		return bad(err, e, "segs");
	for (uint32_t i = 0; i < c->nsegs; i++)
		if (c->segs[i].arg >= 6 && (c->segs[i].arg < SEG_LOCAL || c->segs[i].arg > SEG_LAST))
			return bad(err, e, "arg");
	return 0;
}

static int check_exec(const struct event *e, struct err *err)
{
	const char *cwd = str_or_empty(e->exec.cwd);

	if (!clean(e->exec.path))
		return bad_path(err, e, e->exec.path);
	if (*cwd && !clean(cwd))
		return bad_path(err, e, cwd);
	return 0;
}

static int check_object(const struct event *e, struct err *err)
{
	const struct ev_object *o = &e->object;

	if (o->id == 0)
		return bad(err, e, "id");
	if (o->kind < OBJ_SOCKET || o->kind > OBJ_INNER)
		return bad(err, e, "kind");
	if (o->local.len > ADDR_MAX)
		return bad(err, e, "local");
	if (o->remote.len > ADDR_MAX)
		return bad(err, e, "remote");
	if (strlen(str_or_empty(o->path)) >= PATH_MAX)
		return bad(err, e, "path");
	return 0;
}

static int check_file(const struct event *e, struct err *err)
{
	const struct ev_file *f = &e->file;
	size_t target = strlen(str_or_empty(f->target));

	if (!clean(f->path))
		return bad_path(err, e, f->path);
	if (f->state > FILE_OTHER)
		return bad(err, e, "state");
	if ((f->flags & FILE_CONTENT) && f->state != FILE_REGULAR)
		return bad(err, e, "flags");
	if ((f->flags & FILE_CONTENT) && f->size > 0 && !f->has_hash)
		return bad(err, e, "sha256");
	if (f->mode > 07777)
		return bad(err, e, "mode");
	if (target >= PATH_MAX || (target > 0 && f->state != FILE_SYMLINK))
		return bad(err, e, "target");
	if (*str_or_empty(f->link) && (f->state != FILE_REGULAR || !clean(f->link)))
		return bad(err, e, "link");
	if (f->attributes.len && ((f->state != FILE_REGULAR && f->state != FILE_DIR) || !attributes_are_good(f->attributes)))
		return bad(err, e, "attributes");
	return 0;
}

int event_check(const struct event *e, struct err *err)
{
	if (e->time > INT64_MAX)
		return bad(err, e, "time");
	switch ((enum ev_kind)e->kind) {
	case EV_CALL: return check_call(e, err);
	case EV_EXEC: return check_exec(e, err);
	case EV_OBJECT: return check_object(e, err);
	case EV_FILE:
	case EV_OUTPUT: return check_file(e, err);
	case EV_FORK:
	case EV_EXIT:
	case EV_SIGNAL:
	case EV_HOLE: return 0;
	case EV_KINDS: break;
	}
	return err_set(err, EBADMSG, "event of unknown kind %u", e->kind);
}

/* ---- packing ----------------------------------------------------------- */

enum { COMMON = 3 };	/* kind, dt, task */

static void pack_head(msgpack_packer *pk, const struct event *e, uint64_t since, size_t fields)
{
	msgpack_pack_array(pk, COMMON + fields);
	msgpack_pack_uint8(pk, e->kind);
	msgpack_pack_int64(pk, (int64_t)(e->time - since));
	msgpack_pack_uint32(pk, e->task);
}

static void pack_texts(msgpack_packer *pk, const char *const *list, size_t n)
{
	msgpack_pack_array(pk, n);
	for (size_t i = 0; i < n; i++)
		mp_pack_text(pk, list[i]);
}

static void pack_hash(msgpack_packer *pk, const uint8_t *sha256)
{
	if (sha256)
		mp_pack_bin(pk, sha256, 32);
	else
		msgpack_pack_nil(pk);
}

static void pack_seg(msgpack_packer *pk, const struct ev_seg *s)
{
	bool blob = !s->data && s->len > 0;

	msgpack_pack_array(pk, blob ? 4 : 3);
	msgpack_pack_uint8(pk, s->arg);
	msgpack_pack_uint16(pk, s->index);
	if (blob)
		msgpack_pack_uint64(pk, s->len);
	mp_pack_bin(pk, blob ? s->sha256 : s->data, blob ? 32 : s->len);
}

/* Registers behind the last argument hold whatever they held: not of the call. */
static size_t args_used(const struct ev_call *c)
{
	size_t n = c->nr < SC_MAX && sc_table[c->nr].fate != SC_NOROW ? sc_table[c->nr].nargs : 6;

	while (n > 0 && c->args[n - 1] == 0)
		n--;
	return n;
}

static void pack_call(msgpack_packer *pk, const struct event *e, uint64_t since)
{
	const struct ev_call *c = &e->call;
	size_t nargs = args_used(c);
	size_t fields = c->flags ? 7 : c->obj2 ? 6 : c->obj ? 5 : c->nsegs ? 4 : 3;

	pack_head(pk, e, since, fields);
	msgpack_pack_uint16(pk, c->nr);
	msgpack_pack_int64(pk, c->ret);
	msgpack_pack_array(pk, nargs);
	for (size_t i = 0; i < nargs; i++)
		msgpack_pack_uint64(pk, c->args[i]);
	if (fields < 4)
		return;
	msgpack_pack_array(pk, c->nsegs);
	for (uint32_t i = 0; i < c->nsegs; i++)
		pack_seg(pk, &c->segs[i]);
	if (fields >= 5)
		msgpack_pack_uint32(pk, c->obj);
	if (fields >= 6)
		msgpack_pack_uint32(pk, c->obj2);
	if (fields >= 7)
		msgpack_pack_uint16(pk, c->flags);
}

static void pack_fork(msgpack_packer *pk, const struct event *e, uint64_t since)
{
	pack_head(pk, e, since, e->fork.goroutine ? 6 : 4);
	msgpack_pack_uint32(pk, e->fork.child);
	msgpack_pack_uint32(pk, e->fork.pid);
	msgpack_pack_uint32(pk, e->fork.tid);
	(e->fork.thread ? msgpack_pack_true : msgpack_pack_false)(pk);
	if (!e->fork.goroutine)
		return;
	msgpack_pack_uint32(pk, e->fork.goroutine);
	msgpack_pack_uint32(pk, e->fork.begins);
}

static void pack_exec(msgpack_packer *pk, const struct event *e, uint64_t since)
{
	const struct ev_exec *x = &e->exec;

	pack_head(pk, e, since, x->goroutines ? 7 : 6);
	mp_pack_text(pk, x->path);
	pack_texts(pk, x->argv, x->argc);
	pack_texts(pk, x->env, x->envc);
	mp_pack_text(pk, x->cwd);
	mp_pack_bin(pk, x->at_random, sizeof(x->at_random));
	msgpack_pack_uint32(pk, x->vdso);
	if (x->goroutines)
		msgpack_pack_true(pk);
}

static void pack_object(msgpack_packer *pk, const struct event *e, uint64_t since)
{
	const struct ev_object *o = &e->object;

	pack_head(pk, e, since, 12);
	msgpack_pack_uint32(pk, o->id);
	msgpack_pack_uint8(pk, o->kind);
	msgpack_pack_int32(pk, o->family);
	msgpack_pack_int32(pk, o->type);
	msgpack_pack_int32(pk, o->protocol);
	mp_pack_bin(pk, o->local.data, o->local.len);
	mp_pack_bin(pk, o->remote.data, o->remote.len);
	mp_pack_text(pk, o->path);
	msgpack_pack_uint64(pk, o->rdev);
	msgpack_pack_uint32(pk, o->open_flags);
	msgpack_pack_uint64(pk, o->offset);
	msgpack_pack_array(pk, o->nfds);
	for (size_t i = 0; i < o->nfds; i++)
		msgpack_pack_int32(pk, o->fds[i]);
}

static void pack_file(msgpack_packer *pk, const struct event *e, uint64_t since)
{
	const struct ev_file *f = &e->file;

	bool attributes = f->attributes.len, link = attributes || *str_or_empty(f->link);

	pack_head(pk, e, since, 10u + link + attributes);
	mp_pack_text(pk, f->path);
	msgpack_pack_uint8(pk, f->state);
	msgpack_pack_uint8(pk, f->flags);
	msgpack_pack_uint32(pk, f->mode);
	msgpack_pack_uint32(pk, f->uid);
	msgpack_pack_uint32(pk, f->gid);
	msgpack_pack_uint64(pk, f->size);
	msgpack_pack_int64(pk, f->mtime);
	pack_hash(pk, f->has_hash ? f->sha256 : NULL);
	mp_pack_text(pk, f->target);
	if (link)
		mp_pack_text(pk, f->link);
	if (attributes)
		mp_pack_bin(pk, f->attributes.data, f->attributes.len);
}

static void pack_hole(msgpack_packer *pk, const struct event *e, uint64_t since)
{
	pack_head(pk, e, since, 4);
	mp_pack_text(pk, e->hole.what);
	mp_pack_text(pk, e->hole.where);
	mp_pack_text(pk, e->hole.why);
	msgpack_pack_uint64(pk, e->hole.count);
}

void event_pack(msgpack_packer *pk, const struct event *e, uint64_t since)
{
	switch ((enum ev_kind)e->kind) {
	case EV_CALL: pack_call(pk, e, since); break;
	case EV_FORK: pack_fork(pk, e, since); break;
	case EV_EXEC: pack_exec(pk, e, since); break;
	case EV_OBJECT: pack_object(pk, e, since); break;
	case EV_FILE:
	case EV_OUTPUT: pack_file(pk, e, since); break;
	case EV_HOLE: pack_hole(pk, e, since); break;
	case EV_EXIT:
		pack_head(pk, e, since, 2 + e->exit.oom);
		msgpack_pack_int32(pk, e->exit.status);
		(e->exit.group ? msgpack_pack_true : msgpack_pack_false)(pk);
		if (e->exit.oom)
			msgpack_pack_true(pk);
		break;
	case EV_SIGNAL:
		pack_head(pk, e, since, 6);
		msgpack_pack_int32(pk, e->signal.signo);
		msgpack_pack_int32(pk, e->signal.code);
		msgpack_pack_uint32(pk, e->signal.pid);
		msgpack_pack_uint32(pk, e->signal.uid);
		msgpack_pack_uint64(pk, e->signal.value);
		(e->signal.group ? msgpack_pack_true : msgpack_pack_false)(pk);
		break;
	case EV_KINDS: break;
	}
}

/* ---- unpacking --------------------------------------------------------- */

static void unpack_seg(struct mp *m, struct ev_seg *s)
{
	struct mp f;

	mp_array(m, "segs", 16, &f);
	bool blob = f.left > 3;
	s->arg = (uint8_t)mp_uint(&f, "arg", UINT8_MAX);
	s->index = (uint16_t)mp_uint(&f, "index", UINT16_MAX);
	if (blob) {
		s->len = mp_uint(&f, "len", INT64_MAX);
		if (!mp_fixed(&f, "sha256", s->sha256, 32) || s->len == 0)
			f.bad = "sha256";
	} else {
		struct bytes b = mp_bin(&f, "bytes", CAPSULE_INLINE_MAX);

		s->data = b.data;
		s->len = b.len;
	}
	mp_join(m, &f);
}

static void unpack_call(struct mp *m, struct ev_call *c)
{
	struct mp args, segs;

	c->nr = (uint16_t)mp_uint(m, "nr", UINT16_MAX);
	c->ret = mp_int(m, "ret", INT64_MIN, INT64_MAX);
	mp_array(m, "args", 6, &args);
	for (size_t i = 0; mp_more(&args); i++)
		c->args[i] = mp_uint(&args, "args", UINT64_MAX);
	mp_join(m, &args);
	mp_array(m, "segs", CALL_MAX_SEGS, &segs);
	while (mp_more(&segs))
		unpack_seg(&segs, &c->segs[c->nsegs++]);
	mp_join(m, &segs);
	c->obj = (uint32_t)mp_uint(m, "obj", UINT32_MAX);
	c->obj2 = (uint32_t)mp_uint(m, "obj2", UINT32_MAX);
	c->flags = (uint16_t)mp_uint(m, "flags", UINT16_MAX);
}

static void unpack_fork(struct mp *m, struct ev_fork *f)
{
	f->child = (uint32_t)mp_uint(m, "child", UINT32_MAX);
	f->pid = (uint32_t)mp_uint(m, "pid", UINT32_MAX);
	f->tid = (uint32_t)mp_uint(m, "tid", UINT32_MAX);
	f->thread = mp_bool(m, "thread");
	f->goroutine = (uint32_t)mp_uint(m, "goroutine", UINT32_MAX);
	f->begins = (uint32_t)mp_uint(m, "begins", UINT32_MAX);
}

static void unpack_exec(struct mp *m, struct ev_exec *x)
{
	x->path = mp_text(m, "path");
	x->argv = mp_texts(m, "argv", &x->argc);
	x->env = mp_texts(m, "env", &x->envc);
	x->cwd = mp_text(m, "cwd");
	mp_fixed(m, "at_random", x->at_random, sizeof(x->at_random));
	x->vdso = (uint32_t)mp_uint(m, "vdso", UINT32_MAX);
	x->goroutines = mp_bool(m, "goroutines");
}

static void unpack_object(struct mp *m, struct ev_object *o)
{
	struct mp fds;
	int32_t *list;

	o->id = (uint32_t)mp_uint(m, "id", UINT32_MAX);
	o->kind = (uint8_t)mp_uint(m, "kind", UINT8_MAX);
	o->family = (int32_t)mp_int(m, "family", INT32_MIN, INT32_MAX);
	o->type = (int32_t)mp_int(m, "type", INT32_MIN, INT32_MAX);
	o->protocol = (int32_t)mp_int(m, "protocol", INT32_MIN, INT32_MAX);
	o->local = mp_bin(m, "local", ADDR_MAX);
	o->remote = mp_bin(m, "remote", ADDR_MAX);
	o->path = mp_text(m, "path");
	o->rdev = mp_uint(m, "rdev", UINT64_MAX);
	o->open_flags = (uint32_t)mp_uint(m, "open_flags", UINT32_MAX);
	o->offset = mp_uint(m, "offset", UINT64_MAX);
	mp_array(m, "fds", MP_OBJECTS, &fds);
	list = mp_alloc(m, fds.left * sizeof(*list));
	if (!list)
		return;
	while (mp_more(&fds))
		list[o->nfds++] = (int32_t)mp_int(&fds, "fds", INT32_MIN, INT32_MAX);
	mp_join(m, &fds);
	o->fds = list;
}

static void unpack_file(struct mp *m, struct ev_file *f)
{
	f->path = mp_text(m, "path");
	f->state = (uint8_t)mp_uint(m, "state", UINT8_MAX);
	f->flags = (uint8_t)mp_uint(m, "flags", UINT8_MAX);
	f->mode = (uint32_t)mp_uint(m, "mode", UINT32_MAX);
	f->uid = (uint32_t)mp_uint(m, "uid", UINT32_MAX);
	f->gid = (uint32_t)mp_uint(m, "gid", UINT32_MAX);
	f->size = mp_uint(m, "size", INT64_MAX);
	f->mtime = mp_int(m, "mtime", INT64_MIN, INT64_MAX);
	f->has_hash = mp_fixed(m, "sha256", f->sha256, 32);
	f->target = mp_text(m, "target");
	f->link = mp_text(m, "link");
	f->attributes = mp_bin(m, "attributes", ATTRIBUTES_MAX);
}

static void unpack_hole(struct mp *m, struct ev_hole *h)
{
	h->what = mp_text(m, "what");
	h->where = mp_text(m, "where");
	h->why = mp_text(m, "why");
	h->count = mp_uint(m, "count", UINT64_MAX);
}

static void unpack_body(struct mp *m, struct event *e)
{
	switch ((enum ev_kind)e->kind) {
	case EV_CALL: unpack_call(m, &e->call); break;
	case EV_FORK: unpack_fork(m, &e->fork); break;
	case EV_EXEC: unpack_exec(m, &e->exec); break;
	case EV_OBJECT: unpack_object(m, &e->object); break;
	case EV_FILE:
	case EV_OUTPUT: unpack_file(m, &e->file); break;
	case EV_HOLE: unpack_hole(m, &e->hole); break;
	case EV_EXIT:
		e->exit.status = (int32_t)mp_int(m, "status", INT32_MIN, INT32_MAX);
		e->exit.group = mp_bool(m, "group");
		e->exit.oom = mp_bool(m, "oom");
		break;
	case EV_SIGNAL:
		e->signal.signo = (int32_t)mp_int(m, "signo", INT32_MIN, INT32_MAX);
		e->signal.code = (int32_t)mp_int(m, "code", INT32_MIN, INT32_MAX);
		e->signal.pid = (uint32_t)mp_uint(m, "pid", UINT32_MAX);
		e->signal.uid = (uint32_t)mp_uint(m, "uid", UINT32_MAX);
		e->signal.value = mp_uint(m, "value", UINT64_MAX);
		e->signal.group = mp_bool(m, "group");
		break;
	case EV_KINDS: break;
	}
}

int event_unpack(const uint8_t *p, size_t len, uint64_t since, msgpack_zone *scratch, msgpack_zone *strings,
		 size_t *used, struct event *e, size_t *n, struct err *err)
{
	struct mp m = { .zone = strings, .used = used };
	struct event ev;
	msgpack_object o;
	size_t size = mp_whole(p, len);
	int64_t dt, when;

	if (size == 0)
		return err_set(err, EBADMSG, "no whole event");
	msgpack_zone_clear(scratch);
	if (mp_parse(p, size, scratch, &o, err) < 0)
		return -err->code;
	if (o.type != MSGPACK_OBJECT_ARRAY || o.via.array.size < COMMON)
		return err_set(err, EBADMSG, "no event");
	m.at = o.via.array.ptr;
	m.left = o.via.array.size;
	memset(&ev, 0, sizeof(ev));
	ev.kind = (uint8_t)mp_uint(&m, "kind", EV_KINDS - 1);
	dt = mp_int(&m, "time", INT64_MIN, INT64_MAX);
	ev.task = (uint32_t)mp_uint(&m, "task", UINT32_MAX);
	if (mp_done(&m, "event", err) < 0)
		return -err->code;
	if (__builtin_add_overflow((int64_t)since, dt, &when) || when < 0)
		return err_set(err, EBADMSG, "event with a bad field 'time'");
	ev.time = (uint64_t)when;
	unpack_body(&m, &ev);
	if (mp_done(&m, ev_kind_name(ev.kind), err) < 0 || event_check(&ev, err) < 0)
		return -err->code;
	*e = ev;
	*n = size;
	return 0;
}
