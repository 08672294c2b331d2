/* SPDX-License-Identifier: Apache-2.0 */
/* One line an event, in strace's manner.  Nothing of the capsule reaches the terminal unescaped. */
#include "format/show.h"

#include "format/addr.h"
#include "format/attributes.h"
#include "format/cleanup.h"
#include "format/sha256.h"
#include "format/text.h"

#include <endian.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/types.h>
#include <signal.h>
#include <string.h>
#include <sys/poll.h>
#include <sys/wait.h>
#include <time.h>

#include "format/sysdesc.h"

enum { SHOWN = 32 };	/* bytes of a buffer, as strace; --json has them all */

static void path(FILE *f, const char *s)
{
	text_quoted(f, s, strlen(s), SIZE_MAX);
}

static void hash_in_short(FILE *f, const uint8_t sha256[32])
{
	char hex[SHA256_HEX];

	sha256_hex(sha256, hex);
	fprintf(f, "%.12s", hex);
}

/* ---- calls ------------------------------------------------------------- */

static void value(FILE *f, uint64_t v)
{
	int64_t s = (int64_t)v;

	if (v <= 9999999)
		fprintf(f, "%" PRIu64, v);
	else if (s < 0 && s >= -4096)
		fprintf(f, "%" PRId64, s);
	else if (v >= 0xfffff000 && v <= UINT32_MAX)
		fprintf(f, "%d", (int)(uint32_t)v);	/* an int's register */
	else
		fprintf(f, "%#" PRIx64, v);
}

static void descriptor(FILE *f, const struct objects *objects, uint64_t v, uint32_t obj)
{
	if ((int32_t)v == AT_FDCWD)
		fputs("AT_FDCWD", f);
	else
		fprintf(f, "%d", (int32_t)v);
	if (obj) {
		putc('<', f);
		object_name(f, objects, obj);
		putc('>', f);
	}
}

static uint64_t le64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

static uint32_t le32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

/* struct timespec or timeval: two longs. */
static void moment(FILE *f, const struct ev_seg *s, const char *fraction)
{
	fprintf(f, "{tv_sec=%" PRId64 ", %s=%" PRId64 "}", (int64_t)le64(s->data), fraction, (int64_t)le64(s->data + 8));
}

static void bytes(FILE *f, const struct ev_seg *s)
{
	if (s->data) {
		text_quoted(f, s->data, s->len, SHOWN);
		return;
	}
	fprintf(f, "<%" PRIu64 " bytes, blob ", s->len);
	hash_in_short(f, s->sha256);
	putc('>', f);
}

static bool is(const char *name, const char *const *list)
{
	for (; name && *list; list++)
		if (strcmp(name, *list) == 0)
			return true;
	return false;
}

static void memory(FILE *f, const struct ev_call *c, unsigned int i, const struct ev_seg *s)
{
	static const char *const addresses[] = { "addr", NULL };
	static const char *const moments[] = { "tp", "req", "rem", "tmo", "timeout", NULL };
	const char *name = sc_arg_name(c->nr, i);
	const struct sc_arg *a = &sc_table[c->nr].arg[i];

	if (!s->data)
		bytes(f, s);
	else if (is(name, addresses) && s->len > 2)
		addr_print(f, s->data, s->len);
	else if (a->unit == 16 && s->len == 16 && is(name, moments))
		moment(f, s, "tv_nsec");
	else if (s->len == 16 && name && strcmp(name, "tv") == 0)
		moment(f, s, "tv_usec");
	else if (s->len == 4 && a->unit == 4)
		fprintf(f, "[%" PRIu32 "]", le32(s->data));
	else
		bytes(f, s);
}

/* What is known to lie behind argument @i: one segment, or those of a vector's messages. */
static bool segments(FILE *f, const struct ev_call *c, unsigned int i)
{
	unsigned int n = 0, shown = 0;

	for (uint32_t s = 0; s < c->nsegs; s++)
		n += c->segs[s].arg == i;
	for (uint32_t s = 0; s < c->nsegs; s++) {
		if (c->segs[s].arg != i)
			continue;
		if (n > 1)
			fputs(shown++ ? ", " : "{", f);
		memory(f, c, i, &c->segs[s]);
	}
	if (n > 1)
		putc('}', f);
	return n > 0;
}

static void argument(FILE *f, const struct objects *objects, const struct ev_call *c, unsigned int i, enum sc_kind kind)
{
	bool object = i + 1u == sc_table[c->nr].fd;

	if (kind == SC_FDARG || kind == SC_DIRFD)
		descriptor(f, objects, c->args[i], object ? c->obj : 0);
	else if (kind == SC_VAL || kind == SC_NONE)
		value(f, c->args[i]);
	else if (segments(f, c, i))
		return;
	else if (c->args[i] == 0)
		fputs("NULL", f);
	else
		fprintf(f, "%#" PRIx64, c->args[i]);
}

static void result(FILE *f, const struct ev_call *c)
{
	const char *name = c->ret < 0 && c->ret > -4096 ? strerrorname_np((int)-c->ret) : NULL;

	if (name)
		fprintf(f, " = -1 %s (%s)", name, strerrordesc_np((int)-c->ret));
	else if (c->ret > 9999999999 || c->ret < -4095)
		fprintf(f, " = %#" PRIx64, (uint64_t)c->ret);
	else
		fprintf(f, " = %" PRId64, c->ret);
}

static void ready(FILE *f, const struct objects *objects, const struct ev_seg *s)
{
	static const struct { uint32_t bit; const char *name; } bits[] = {
		{ POLLIN, "IN" }, { POLLPRI, "PRI" }, { POLLOUT, "OUT" }, { POLLERR, "ERR" }, { POLLHUP, "HUP" },
		{ POLLRDHUP, "RDHUP" },
	};

	fputs(" ready [", f);
	for (uint64_t at = 0; at + 8 <= s->len; at += 8) {
		uint64_t pair = le64(s->data + at);
		bool first = true;

		if (at)
			fputs(", ", f);
		if ((uint32_t)pair)
			object_name(f, objects, (uint32_t)pair);
		else
			fputs("its own", f);
		for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++) {
			if (!(pair >> 32 & bits[i].bit))
				continue;
			fprintf(f, "%c%s", first ? ':' : '|', bits[i].name);
			first = false;
		}
	}
	putc(']', f);
}

/* The facts beside the arguments. */
static void beside(FILE *f, const struct objects *objects, const struct ev_call *c)
{
	for (uint32_t i = 0; i < c->nsegs; i++) {
		const struct ev_seg *s = &c->segs[i];

		if (s->arg < 6)
			continue;
		if (s->arg == SEG_READY && s->data) {
			ready(f, objects, s);
		} else if (s->arg == SEG_PLACE) {
			fputs(" injected", f);	/* in a replay */
		} else if (s->arg == SEG_BASE && s->data) {
			fputs(" at ", f);
			text_quoted(f, s->data, s->len ? s->len - 1 : 0, SIZE_MAX);
		} else if (s->arg == SEG_FLAGS && s->data) {
			fputs(" flags ", f);
			bytes(f, s);
		} else if (s->arg == SEG_CONTROL || !s->data) {
			fputs(" control ", f);
			bytes(f, s);
		} else {
			fputs(s->arg == SEG_LOCAL ? " local " : " remote ", f);
			addr_print(f, s->data, s->len);
		}
	}
}

static void call(FILE *f, const struct objects *objects, const struct ev_call *c)
{
	const struct sc_desc *d = c->nr < SC_MAX ? &sc_table[c->nr] : NULL;
	const char *name = sc_name(c->nr);

	if (name)
		fprintf(f, "%s(", name);
	else
		fprintf(f, "syscall_%u(", c->nr);
	for (unsigned int i = 0; i < (name ? d->nargs : 6u); i++) {
		if (i)
			fputs(", ", f);
		if (name)
			argument(f, objects, c, i, d->arg[i].kind);
		else
			value(f, c->args[i]);
	}
	putc(')', f);
	result(f, c);
	if (c->obj2) {
		fputs(" <", f);
		object_name(f, objects, c->obj2);
		putc('>', f);
	}
	if (name)
		beside(f, objects, c);
	if (c->flags & CALL_PARTIAL)
		fputs(" (bytes are missing, see the holes)", f);
}

/* ---- the others -------------------------------------------------------- */

static void object(FILE *f, const struct ev_object *o)
{
	fprintf(f, "object #%u %s", o->id, obj_kind_name(o->kind));
	if (o->kind == OBJ_SOCKET)
		fprintf(f, " %s", socket_type_name(o->family, o->type & 0xf));
	if (o->path[0]) {
		putc(' ', f);
		path(f, o->path);
	}
	if (o->local.len) {
		putc(' ', f);
		addr_print(f, o->local.data, o->local.len);
	}
	if (o->remote.len) {
		fputs(" -> ", f);
		addr_print(f, o->remote.data, o->remote.len);
	}
	for (size_t i = 0; i < o->nfds; i++)
		fprintf(f, "%s%d", i ? ", " : " at the start fd ", o->fds[i]);
	if (o->nfds && o->offset)
		fprintf(f, " at offset %" PRIu64, o->offset);
}

static void attributes(FILE *f, struct bytes rest)
{
	struct attribute a;

	while (attributes_next(&rest, &a)) {
		fputs(", ", f);
		path(f, a.name);
		if (a.value)
			fprintf(f, " of %zu bytes", a.len);
		else
			fputs(" unknown", f);
	}
}

static void file(FILE *f, const struct event *e)
{
	const struct ev_file *v = &e->file;

	fprintf(f, "%s ", ev_kind_name(e->kind));
	path(f, v->path);
	fprintf(f, " %s", file_state_name(v->state));
	if (v->state == FILE_SYMLINK) {
		fputs(" -> ", f);
		path(f, v->target);
	}
	if (v->state != FILE_ABSENT)
		fprintf(f, ", mode %04o, owner %u:%u", v->mode, v->uid, v->gid);
	if (v->state == FILE_REGULAR)
		fprintf(f, ", %" PRIu64 " bytes", v->size);
	if (v->has_hash) {
		fputs(", sha256 ", f);
		hash_in_short(f, v->sha256);
	}
	if (v->link && v->link[0]) {
		fputs(", the same as ", f);
		path(f, v->link);
	}
	attributes(f, v->attributes);
	fputs(v->flags & FILE_IMAGE ? ", of the image" : "", f);
	fputs(v->flags & FILE_CONTENT ? ", in the capsule" : "", f);
	fputs(v->flags & FILE_CHANGED ? ", changed while it was read" : "", f);
	fputs(v->flags & FILE_UNREAD ? ", content unknown" : "", f);
}

static void exec(FILE *f, const struct ev_exec *x)
{
	fputs("exec ", f);
	path(f, x->path);
	fputs(", [", f);
	for (size_t i = 0; i < x->argc; i++) {
		fputs(i ? ", " : "", f);
		path(f, x->argv[i]);
	}
	fprintf(f, "], %zu variables, cwd ", x->envc);
	path(f, x->cwd);
	if (!x->vdso)
		fputs(" (its clock readings were not seen)", f);
}

static void signal_name(FILE *f, int signo)
{
	const char *name = sigabbrev_np(signo);

	if (name)
		fprintf(f, "SIG%s", name);
	else
		fprintf(f, "signal %d", signo);
}

void show_status(FILE *f, int32_t status)
{
	if (WIFCONTINUED(status)) {	/* only of replays */
		fputs("none, it serves on", f);
	} else if (WIFSIGNALED(status)) {
		fputs("killed by ", f);
		signal_name(f, WTERMSIG(status));
	} else {
		fprintf(f, "exit %d", WEXITSTATUS(status));
	}
}

static void hole(FILE *f, const struct ev_hole *h)
{
	fputs("HOLE ", f);
	text_plain(f, h->what);
	if (h->where[0]) {
		fputs(" at ", f);
		text_plain(f, h->where);
	}
	fputs(": ", f);
	text_plain(f, h->why);
	if (h->count > 1)
		fprintf(f, " (%" PRIu64 " times)", h->count);
}

static void event(FILE *f, const struct objects *objects, const struct event *e)
{
	fprintf(f, "%3" PRIu64 ".%06u [%u] ", e->time / 1000000000, (unsigned int)(e->time % 1000000000 / 1000), e->task);
	switch ((enum ev_kind)e->kind) {
	case EV_CALL: call(f, objects, &e->call); break;
	case EV_EXEC: exec(f, &e->exec); break;
	case EV_OBJECT: object(f, &e->object); break;
	case EV_FILE:
	case EV_OUTPUT: file(f, e); break;
	case EV_HOLE: hole(f, &e->hole); break;
	case EV_FORK:
		fprintf(f, "%s [%u], pid %u, tid %u", e->fork.goroutine ? "goroutine" : e->fork.thread ? "thread" : "fork", e->fork.child,
			e->fork.pid, e->fork.tid);
		break;
	case EV_EXIT:
		fputs("+++ ", f);
		show_status(f, e->exit.status);
		fputs(e->exit.oom ? ", for want of memory" : "", f);
		fputs(e->exit.group ? " +++" : " (thread) +++", f);
		break;
	case EV_SIGNAL:
		fputs("--- ", f);
		signal_name(f, e->signal.signo);
		fprintf(f, " from %s (code %d", signal_is_timers(&e->signal) ? "a timer" : "outside", e->signal.code);
		if (e->signal.pid && !signal_is_timers(&e->signal))
			fprintf(f, ", pid %u, uid %u", e->signal.pid, e->signal.uid);
		fputs(") ---", f);
		break;
	case EV_KINDS: break;
	}
	putc('\n', f);
}

int show_events(struct capsule_reader *rd, FILE *f, struct err *err)
{
	_cleanup_(objects_clear) struct objects objects = { 0 };
	struct event e;
	const char *why;
	int r;

	while ((r = capsule_next(rd, &e, err)) > 0 && !ferror(f)) {
		if (objects_note(&objects, &e, err) < 0)
			return -err->code;
		event(f, &objects, &e);
	}
	if (r >= 0 && !capsule_complete(rd, &why))
		fprintf(f, "(%s)\n", why);
	return r < 0 ? r : 0;
}
