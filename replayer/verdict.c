/* SPDX-License-Identifier: Apache-2.0 */
/* What was observed beside what was recorded. */
#include <linux/types.h>

#include "replayer/replay.h"

#include "format/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

void note_add(struct notes *n, const char *fmt, ...)
{
	va_list ap;

	if (n->count < NOTES) {
		va_start(ap, fmt);
		vsnprintf(n->text[n->count], NOTE_LEN, fmt, ap);
		va_end(ap);
		text_tame(n->text[n->count]);	/* names in it may be the guest's */
	}
	n->count++;
}

void miss(struct replay *r, const char *fmt, ...)
{
	char text[NOTE_LEN];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (in_aftermath(r, r->asking)) {
		r->v->after++;
		return;
	}
	note_add(in_start_up(r, r->asking) ? &r->v->start_up : &r->v->misses, "%s", text);
}

void escape(char *out, size_t room, const uint8_t *data, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len && n + 5 < room; i++) {
		if (data[i] == '\n')
			n += (size_t)snprintf(out + n, room - n, "\\n");
		else if (data[i] == '\\' || data[i] == '"')
			n += (size_t)snprintf(out + n, room - n, "\\%c", data[i]);
		else if (data[i] < 32 || data[i] > 126)
			n += (size_t)snprintf(out + n, room - n, "\\x%02x", data[i]);
		else
			out[n++] = (char)data[i];
	}
	out[n] = 0;
}

void diverged(struct verdict *v, const char *what, uint64_t at, const char *expected, const char *got)
{
	v->divergences++;
	if (v->first.set)
		return;
	v->first.set = true;
	v->first.at = at;
	snprintf(v->first.what, sizeof(v->first.what), "%s", what);
	snprintf(v->first.expected, sizeof(v->first.expected), "%s", expected);
	snprintf(v->first.got, sizeof(v->first.got), "%s", got);
	text_tame(v->first.what);
	text_tame(v->first.expected);
	text_tame(v->first.got);
}

/* The recorded bytes from the place where @l stands: up to @max of them, for the reader of the verdict. */
static size_t upcoming(const struct live *l, uint8_t *buf, size_t max)
{
	size_t n = 0, part = l->out_part, off = l->out_off;
	const struct bytes *b;

	while (n < max && (b = object_out(l->rec, part))) {
		size_t k = b->len - off < max - n ? b->len - off : max - n;

		if (k)
			memcpy(buf + n, b->data + off, k);
		n += k;
		off = 0;
		part++;
	}
	return n;
}

static void differs(struct replay *r, struct live *l, const uint8_t *data, size_t len)
{
	char name[160], expected[160], got[160];
	uint8_t ahead[32];

	if (l->differs)
		return;
	l->differs = true;
	escape(expected, sizeof(expected), ahead, upcoming(l, ahead, sizeof(ahead)));
	escape(got, sizeof(got), data, len < 32 ? len : 32);
	diverged(r->v, outside_name(l->rec, name, sizeof(name)), l->out_bytes, expected, got);
}

static bool keeps_messages(const struct live *l)
{
	const struct ev_object *o = l->rec->o;

	return o && o->kind == OBJ_SOCKET && o->type != SOCK_STREAM && o->type != 0;
}

/* The recorder left in the middle of what the program is saying. */
static bool goes_beyond(const struct replay *r, const struct live *l)
{
	return r->rec->attached && !r->rec->tasks[1].exited && recording_ended(r->rec) && l->out_part >= l->rec->nout &&
	       !l->rec->ended && l->released >= l->rec->narrivals;
}

static void observe_message(struct replay *r, struct live *l, const uint8_t *data, size_t len)
{
	const struct bytes *b = recording_out_at(r->rec, l->rec, l->out_part);

	if (!b || b->len != len || (len && memcmp(b->data, data, len) != 0))
		differs(r, l, data, len);
	l->out_part++;
	l->out_bytes += len;
}

void observe(struct replay *r, struct live *l, const uint8_t *data, size_t len)
{
	r->v->written += len;
	saved_out(r, l, data, len);
	if (l->rec->out_unseen) {
		l->out_bytes += len;
		return;
	}
	if (keeps_messages(l)) {
		observe_message(r, l, data, len);
		return;
	}
	while (len) {
		const struct bytes *b = recording_out_at(r->rec, l->rec, l->out_part);
		size_t n, same = 0;

		if (l->differs) {
			l->out_bytes += len;
			return;
		}
		n = b ? (b->len - l->out_off < len ? b->len - l->out_off : len) : 0;
		while (same < n && b->data[l->out_off + same] == data[same])
			same++;
		l->out_off += same;
		l->out_bytes += same;
		data += same;
		len -= same;
		if (!b && len && goes_beyond(r, l)) {
			r->v->beyond += len;
			return;
		}
		if (same < n || (!b && len)) {
			/* Its answer is one to something else. */
			r->v->misled += same < n && script_is_outbound(l);
			differs(r, l, data, len);
		} else if (l->out_off == b->len) {	/* the window need not keep it */
			l->out_part++;
			l->out_off = 0;
		}
	}
}

static void status_text(char *buf, size_t len, int32_t status)
{
	if (WIFCONTINUED(status))
		snprintf(buf, len, "none: it has had all that was recorded, and serves on");
	else if (WIFSIGNALED(status))
		snprintf(buf, len, "killed by SIG%s", sigabbrev_np(WTERMSIG(status)) ?: "?");
	else
		snprintf(buf, len, "exit status %d", WEXITSTATUS(status));
}

void verdict_end(struct replay *r)
{
	struct verdict *v = r->v;

	openings_end(r);
	for (size_t i = 1; i < r->rec->nobjects; i++) {
		struct live *l = &r->live[i];
		char name[160], expected[160];
		uint8_t ahead[32];
		size_t n;

		if (l->differs || l->rec->out_unseen)
			continue;
		if (l->rec->out_bytes <= l->out_bytes && (!keeps_messages(l) || l->out_part >= l->rec->nout))
			continue;
		n = upcoming(l, ahead, sizeof(ahead));
		escape(expected, sizeof(expected), ahead, n);
		diverged(v, outside_name(l->rec, name, sizeof(name)), l->out_bytes, expected, "(nothing more)");
	}
	if ((v->ended || v->serves_on) && !(r->rec->attached && capsule_end_is_open(r->rec->end)) && v->status != r->rec->end->status) {
		char expected[64], got[64];

		status_text(expected, sizeof(expected), r->rec->end->status);
		status_text(got, sizeof(got), v->status);
		diverged(v, "the command's end", 0, expected, got);
	}
	for (struct gtask *t = r->tasks; t; t = next_player(r, t))
		if (t->rec)
			v->unused += t->rec->ncalls - t->cursor;
}
