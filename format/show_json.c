/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every event with all it holds, one JSON object a line, keys in the order of
 * capsule(5).  Bytes are hex, strings as text_json() writes them, numbers are
 * exact (some need 64 bits).  tests/reader prints the same from the same file.
 */
#include "format/show.h"

#include "format/manifest.h"
#include "format/text.h"

#include <inttypes.h>
#include <linux/types.h>
#include <string.h>

#include "format/sysdesc.h"

static void key(FILE *f, const char *name)
{
	fprintf(f, ",\"%s\":", name);
}

static void number(FILE *f, const char *name, uint64_t v)
{
	key(f, name);
	fprintf(f, "%" PRIu64, v);
}

static void integer(FILE *f, const char *name, int64_t v)
{
	key(f, name);
	fprintf(f, "%" PRId64, v);
}

static void boolean(FILE *f, const char *name, bool v)
{
	key(f, name);
	fputs(v ? "true" : "false", f);
}

static void string(FILE *f, const char *name, const char *s)
{
	key(f, name);
	text_json(f, s, strlen(s));
}

static void hex(FILE *f, const char *name, const void *p, size_t len)
{
	key(f, name);
	putc('"', f);
	text_hex(f, p, len);
	putc('"', f);
}

static void strings(FILE *f, const char *name, const char *const *list, size_t n)
{
	key(f, name);
	putc('[', f);
	for (size_t i = 0; i < n; i++) {
		if (i)
			putc(',', f);
		text_json(f, list[i], strlen(list[i]));
	}
	putc(']', f);
}

static void manifest_field(FILE *f, const struct manifest *m, const struct manifest_field *field)
{
	const void *at = (const char *)m + field->offset;
	const char *const *list;
	size_t n = 0;

	switch (field->type) {
	case MF_TEXT: string(f, field->key, *(char *const *)at); break;
	case MF_I64: integer(f, field->key, *(const int64_t *)at); break;
	case MF_U32: number(f, field->key, *(const uint32_t *)at); break;
	case MF_BOOL: boolean(f, field->key, *(const bool *)at); break;
	case MF_TEXTS:
		list = *(const char *const *const *)at;
		while (list[n])
			n++;
		strings(f, field->key, list, n);
		break;
	case MF_GROUPS:
		key(f, field->key);
		for (size_t i = 0; i < m->ngroups; i++)
			fprintf(f, "%c%" PRIu32, i ? ',' : '[', m->groups[i]);
		fputs(m->ngroups ? "]" : "[]", f);
		break;
	case MF_RLIMITS:
		key(f, field->key);
		for (uint32_t i = 0; i < m->nrlimits; i++)
			fprintf(f, "%c[%" PRIu64 ",%" PRIu64 "]", i ? ',' : '[', m->rlimits[i].cur, m->rlimits[i].max);
		fputs(m->nrlimits ? "]" : "[]", f);
		break;
	}
}

void json_manifest(FILE *f, const struct manifest *m)
{
	fprintf(f, "\"format\":%d", CAPSULE_VERSION);
	for (const struct manifest_field *field = manifest_fields; field->key; field++)
		manifest_field(f, m, field);
}

static void seg(FILE *f, const struct ev_seg *s)
{
	fprintf(f, "{\"arg\":%u,\"index\":%u,\"len\":%" PRIu64, s->arg, s->index, s->len);
	if (s->data || s->len == 0)
		hex(f, "bytes", s->data, s->len);
	else
		hex(f, "blob", s->sha256, 32);
	putc('}', f);
}

static void call(FILE *f, const struct ev_call *c)
{
	number(f, "nr", c->nr);
	if (sc_name(c->nr))
		string(f, "name", sc_name(c->nr));
	integer(f, "ret", c->ret);
	key(f, "args");
	for (int i = 0; i < 6; i++)
		fprintf(f, "%c%" PRIu64, i ? ',' : '[', c->args[i]);
	fputs("],\"segs\":[", f);
	for (uint32_t i = 0; i < c->nsegs; i++) {
		if (i)
			putc(',', f);
		seg(f, &c->segs[i]);
	}
	putc(']', f);
	number(f, "obj", c->obj);
	number(f, "obj2", c->obj2);
	number(f, "flags", c->flags);
}

static void object(FILE *f, const struct ev_object *o)
{
	number(f, "id", o->id);
	string(f, "object", obj_kind_name(o->kind));
	integer(f, "family", o->family);
	integer(f, "type", o->type);
	integer(f, "protocol", o->protocol);
	hex(f, "local", o->local.data, o->local.len);
	hex(f, "remote", o->remote.data, o->remote.len);
	string(f, "path", o->path);
	number(f, "rdev", o->rdev);
	number(f, "open_flags", o->open_flags);
	number(f, "offset", o->offset);
	key(f, "fds");
	putc('[', f);
	for (size_t i = 0; i < o->nfds; i++)
		fprintf(f, "%s%" PRId32, i ? "," : "", o->fds[i]);
	putc(']', f);
}

static void file(FILE *f, const struct ev_file *e)
{
	string(f, "path", e->path);
	string(f, "state", file_state_name(e->state));
	number(f, "flags", e->flags);
	number(f, "mode", e->mode);
	number(f, "uid", e->uid);
	number(f, "gid", e->gid);
	number(f, "size", e->size);
	integer(f, "mtime", e->mtime);
	if (e->has_hash)
		hex(f, "sha256", e->sha256, 32);
	else
		fputs(",\"sha256\":null", f);
	string(f, "target", e->target);
	string(f, "link", e->link);
	if (e->attributes.len)
		hex(f, "attributes", e->attributes.data, e->attributes.len);
}

static void exec(FILE *f, const struct ev_exec *x)
{
	string(f, "path", x->path);
	strings(f, "argv", x->argv, x->argc);
	strings(f, "env", x->env, x->envc);
	string(f, "cwd", x->cwd);
	hex(f, "at_random", x->at_random, sizeof(x->at_random));
	number(f, "vdso", x->vdso);
	boolean(f, "goroutines", x->goroutines);
}

static void event(FILE *f, const struct event *e)
{
	fprintf(f, "{\"kind\":\"%s\"", ev_kind_name(e->kind));
	number(f, "time", e->time);
	number(f, "task", e->task);
	switch ((enum ev_kind)e->kind) {
	case EV_CALL: call(f, &e->call); break;
	case EV_EXEC: exec(f, &e->exec); break;
	case EV_OBJECT: object(f, &e->object); break;
	case EV_FILE:
	case EV_OUTPUT: file(f, &e->file); break;
	case EV_FORK:
		number(f, "child", e->fork.child);
		number(f, "pid", e->fork.pid);
		number(f, "tid", e->fork.tid);
		boolean(f, "thread", e->fork.thread);
		number(f, "goroutine", e->fork.goroutine);
		number(f, "begins", e->fork.begins);
		break;
	case EV_EXIT:
		integer(f, "status", e->exit.status);
		boolean(f, "group", e->exit.group);
		boolean(f, "oom", e->exit.oom);
		break;
	case EV_SIGNAL:
		integer(f, "signo", e->signal.signo);
		integer(f, "code", e->signal.code);
		number(f, "pid", e->signal.pid);
		number(f, "uid", e->signal.uid);
		number(f, "value", e->signal.value);
		boolean(f, "group", e->signal.group);
		break;
	case EV_HOLE:
		string(f, "what", e->hole.what);
		string(f, "where", e->hole.where);
		string(f, "why", e->hole.why);
		number(f, "count", e->hole.count);
		break;
	case EV_KINDS: break;
	}
	fputs("}\n", f);
}

static void end(FILE *f, const struct capsule_reader *rd)
{
	const struct capsule_end *e = capsule_end(rd);
	uint8_t digest[32];
	const char *why;

	fprintf(f, "{\"kind\":\"end\",\"complete\":%s", e ? "true" : "false");
	if (e) {
		number(f, "events", e->events);
		number(f, "blobs", e->blobs);
		number(f, "duration", e->duration);
		number(f, "lost", e->lost);
		number(f, "holes", e->holes);
		integer(f, "status", e->status);
		string(f, "signature", e->signature);
		if (e->stack[0])
			string(f, "stack", e->stack);
		if (e->ended[0])
			string(f, "ended", e->ended);
	} else {
		capsule_complete(rd, &why);
		string(f, "why", why);
	}
	capsule_digest(rd, digest);
	hex(f, "digest", digest, sizeof(digest));
	fputs("}\n", f);
}

int show_events_json(struct capsule_reader *rd, FILE *f, struct err *err)
{
	struct event e;
	int r;

	fputs("{\"kind\":\"manifest\",", f);
	json_manifest(f, capsule_manifest(rd));
	fputs("}\n", f);
	while ((r = capsule_next(rd, &e, err)) > 0 && !ferror(f))
		event(f, &e);
	if (r < 0)
		return r;
	end(f, rd);
	return 0;
}
