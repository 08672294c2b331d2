/* SPDX-License-Identifier: Apache-2.0 */
/* What a capsule holds, for a person who has ten seconds; and the same numbers as one JSON object. */
#include "format/show_summary.h"

#include "format/cleanup.h"
#include "format/sha256.h"
#include "format/text.h"
#include "format/trace.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

enum { MAX_TRACES = 4 };	/* lines of each kind */

/* ---- for people -------------------------------------------------------- */

static void title(FILE *f, const char *name)
{
	fprintf(f, "%-10s ", name);
}

static void size(FILE *f, uint64_t n)
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB" };
	double v = (double)n / 1024;
	int u = 0;

	if (n < 10000) {
		fprintf(f, "%" PRIu64 " B", n);
		return;
	}
	for (; v >= 1000 && u < 3; u++)
		v /= 1024;
	fprintf(f, "%.1f %s", v, units[u]);
}

static void counted(FILE *f, uint64_t n, const char *one, const char *many)
{
	fprintf(f, "%" PRIu64 " %s", n, n == 1 ? one : many);
}

/* ", " between the parts of a line, of which none may come. */
static const char *comma(bool *first)
{
	const char *s = *first ? "" : ", ";

	*first = false;
	return s;
}

static void iso_time(FILE *f, int64_t ns)
{
	time_t t = (time_t)(ns / 1000000000);
	char text[64] = "";
	struct tm tm;

	if (localtime_r(&t, &tm) && strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S%z", &tm) >= 2) {
		size_t n = strlen(text);

		memmove(text + n - 1, text + n - 2, 3);	/* +0200 to +02:00 */
		text[n - 2] = ':';
		fputs(text, f);
	} else {
		fprintf(f, "%" PRId64 " s since the epoch", ns / 1000000000);
	}
}

static void image_lines(FILE *f, const struct manifest *m)
{
	title(f, "image");
	if (m->image_config && m->image_config[0]) {
		text_plain(f, m->image);
		fputs("\n           manifest ", f);
		text_plain(f, m->image_manifest);
		fputs("\n           config ", f);
		text_plain(f, m->image_config);
		for (char **l = m->image_layers; l && *l; l++) {
			fputs("\n           layer ", f);
			text_plain(f, *l);
		}
		putc('\n', f);
		return;
	}
	fputs("root file system ", f);
	text_plain(f, m->rootfs);
	for (char **d = m->image_dirs; *d; d++) {
		fputs(d == m->image_dirs ? ": " : " ", f);
		text_plain(f, *d);
	}
	putc('\n', f);
}

static void list_line(FILE *f, const char *what, char *const *list)
{
	if (!list || !*list)
		return;
	fprintf(f, "           %s", what);
	for (char *const *l = list; *l; l++) {
		fputs(l == list ? " " : ", ", f);
		text_plain(f, *l);
	}
	putc('\n', f);
}

static void container_lines(FILE *f, const struct manifest *m)
{
	if (!m->container || !m->container[0])
		return;
	title(f, "container");
	text_plain(f, m->container);
	putc('\n', f);
	list_line(f, "mounted:", m->mounts);
	list_line(f, "namespaces:", m->namespaces);
	list_line(f, "addresses:", m->addresses);
	list_line(f, "user ids:", (char *[]){ m->uid_map, NULL });
	list_line(f, "group ids:", (char *[]){ m->gid_map, NULL });
}

static bool is_attached(const struct manifest *m)
{
	return m->attached && m->attached[0];
}

/* How a recording of what ran already was made. */
static void attached_line(FILE *f, const struct manifest *m, const struct capsule_end *end)
{
	if (!is_attached(m))
		return;
	title(f, "attached");
	fputs("to ", f);
	text_plain(f, m->attached);
	fputs(", which ran already; limits: ", f);
	text_plain(f, m->limits && m->limits[0] ? m->limits : "none");
	fputs("; ended: ", f);
	text_plain(f, end && end->ended[0] ? end->ended : "not known");
	putc('\n', f);
}

/* The rules, and what is said of them; the places are in the JSON. */
static void redacted_lines(FILE *f, const struct manifest *m)
{
	bool first = true;

	for (char **line = m->redacted; line && *line; line++) {
		if (!strstr(*line, ": "))
			continue;
		title(f, first ? "redacted" : "");
		text_plain(f, *line);
		putc('\n', f);
		first = false;
	}
}

/* The trace context of each request, or of the first of many. */
static void trace_lines(FILE *f, const char *what, char **list)
{
	char id[TRACE_ID + 1], span[TRACE_SPAN + 1];
	size_t n = 0, shown = 0;

	while (list && list[n])
		n++;
	for (size_t i = 0; i < n && shown < MAX_TRACES; i++) {
		if (!trace_ids(list[i], id, span))
			continue;
		title(f, shown++ ? "" : what);
		fprintf(f, "%s, span %s", id, span);
		if (strlen(list[i]) > TRACEPARENT) {
			fputs(", state ", f);
			text_plain(f, list[i] + TRACEPARENT + 1);
		}
		putc('\n', f);
	}
	if (n > shown && shown) {
		title(f, "");
		fprintf(f, "... %zu more\n", n - shown);
	}
}

static void command_lines(FILE *f, const struct manifest *m, uint64_t duration, const struct capsule_end *end)
{
	title(f, "command");
	for (char **a = m->argv; *a; a++) {
		if (a != m->argv)
			putc(' ', f);
		text_shell(f, *a);
	}
	putc('\n', f);
	title(f, "recorded");
	iso_time(f, m->created);
	fprintf(f, ", took %" PRIu64 ".%03u s", duration / 1000000000, (unsigned int)(duration % 1000000000 / 1000000));
	if (m->hostname[0]) {
		fputs(", on ", f);
		text_plain(f, m->hostname);
	}
	fputs(" (", f);
	text_plain(f, m->sysname);
	putc(' ', f);
	text_plain(f, m->release);
	putc(' ', f);
	text_plain(f, m->machine);
	fprintf(f, "), uid %u, in ", m->uid);
	text_plain(f, m->cwd);
	putc('\n', f);
	attached_line(f, m, end);
	trace_lines(f, "trace", m->traces);
	trace_lines(f, "traces on", m->upstream_traces);
	redacted_lines(f, m);
	image_lines(f, m);
	container_lines(f, m);
}

static void process_line(FILE *f, const struct summary *s)
{
	title(f, "processes");
	fprintf(f, "%" PRIu64, s->forks + 1);
	if (s->threads) {
		fputs(" and ", f);
		counted(f, s->threads, "more thread", "more threads");
	}
	if (s->goroutines) {
		fputs(" with ", f);
		counted(f, s->goroutines, "goroutine", "goroutines");
	}
	fputs(", ", f);
	counted(f, s->execs, "program started", "programs started");
	if (s->signals) {
		fputs(", ", f);
		counted(f, s->signals, "signal from outside", "signals from outside");
	}
	putc('\n', f);
}

static void time_line(FILE *f, const struct summary *s, const struct manifest *m)
{
	bool first = true;

	if (s->clocks || s->sleeps || s->waits) {
		title(f, "time");
		if (s->clocks) {
			fputs(comma(&first), f);
			counted(f, s->clocks, "clock reading", "clock readings");
			fprintf(f, " (%s)", m->clocks);
		}
		if (s->sleeps) {
			fputs(comma(&first), f);
			counted(f, s->sleeps, "sleep", "sleeps");
		}
		if (s->waits) {
			fputs(comma(&first), f);
			counted(f, s->waits, "wait", "waits");
		}
		putc('\n', f);
	}
	if (s->randoms || s->execs) {
		title(f, "random");
		size(f, s->random_bytes);
		fputs(" in ", f);
		counted(f, s->randoms, "call", "calls");
		fputs(", 16 B at each start of a program\n", f);
	}
}

static void declined_line(FILE *f, const struct summary *s)
{
	if (!s->declined)
		return;
	title(f, "declined");
	counted(f, s->declined, "request", "requests");
	fputs(" for io_uring, with ENOSYS, as a replay does\n", f);
}

static void moved(FILE *f, uint64_t in, uint64_t out)
{
	if (in || !out) {
		size(f, in);
		fputs(" in", f);
	}
	fputs(in && out ? ", " : "", f);
	if (out) {
		size(f, out);
		fputs(" out", f);
	}
}

static void peer_lines(FILE *f, const struct summary *s)
{
	for (size_t i = 0; i < s->npeers && i < SHOWN_PEERS; i++) {
		const struct peer *p = &s->peers[i];

		title(f, i ? "" : "network");
		fputs(p->accepted ? "from clients at " : "", f);
		fprintf(f, "%s %s", p->address, socket_type_name(p->family, p->type));
		if (p->connections > 1)
			fprintf(f, " x %" PRIu64, p->connections);
		if (p->in || p->out || !p->error) {
			fputs(": ", f);
			moved(f, p->in, p->out);
		}
		if (p->error)
			fprintf(f, ": %s", strerrorname_np(p->error) ? strerrordesc_np(p->error) : "failed");
		putc('\n', f);
	}
	if (s->npeers > SHOWN_PEERS)
		fprintf(f, "%-10s and %zu more addresses\n", "", s->npeers - SHOWN_PEERS);
	if (s->objects.more)
		fprintf(f, "%-10s not counted: all objects after the first %d\n", "", OBJECTS_MAX);
}

static void std_lines(FILE *f, const struct summary *s)
{
	static const char *const names[] = { "stdin", "stdout", "stderr" };

	for (size_t i = 0; i < s->objects.n; i++) {
		const struct object *o = &s->objects.list[i];
		bool first = true;

		if (!o->inherited || (!o->in && !o->out))
			continue;
		title(f, "inherited");
		for (int n = 0; n < 3; n++)
			if (o->std[n])
				fprintf(f, "%s%s", comma(&first), names[n]);
		fprintf(f, first ? "%s: " : " (%s): ", obj_kind_name(o->kind));
		moved(f, o->in, o->out);
		putc('\n', f);
	}
}

static void file_lines(FILE *f, const struct summary *s)
{
	bool first = true;

	title(f, "files");
	fprintf(f, "%" PRIu64 " of the image (by hash), %" PRIu64 " in the capsule (", s->image, s->snapshots);
	size(f, s->snapshot_bytes);
	fprintf(f, "), %" PRIu64 " absent", s->absent);
	if (s->unread)
		fprintf(f, ", %" PRIu64 " unread", s->unread);
	if (s->synth) {
		fprintf(f, ", %" PRIu64 " of /proc and the like (", s->synth);
		size(f, s->synth_bytes);
		putc(')', f);
	}
	putc('\n', f);
	if (!s->written && !s->deleted && !s->changed)
		return;
	title(f, "changed");
	if (s->written) {
		fprintf(f, "%s%" PRIu64 " written (", comma(&first), s->written);
		size(f, s->written_bytes);
		putc(')', f);
	}
	if (s->deleted)
		fprintf(f, "%s%" PRIu64 " deleted", comma(&first), s->deleted);
	if (s->changed)
		fprintf(f, "%s%" PRIu64 " directories, links and others", comma(&first), s->changed);
	putc('\n', f);
}

static void hole_lines(FILE *f, const struct summary *s)
{
	for (size_t i = 0; i < s->nholes && i < SHOWN_HOLES; i++) {
		const struct hole *h = &s->holes[i];

		fprintf(f, "%-10s hole: ", "");
		text_plain(f, h->what);
		fputs(h->where[0] ? " at " : "", f);
		text_plain(f, h->where);
		fputs(": ", f);
		text_plain(f, h->why);
		if (h->count > 1)
			fprintf(f, " (%" PRIu64 " times)", h->count);
		putc('\n', f);
	}
	if (s->nholes > SHOWN_HOLES)
		fprintf(f, "%-10s and %" PRIu64 " more (--events shows them)\n", "", s->nholes - SHOWN_HOLES);
}

static void end_lines(FILE *f, const struct summary *s, const struct capsule_reader *rd)
{
	const struct capsule_end *end = capsule_end(rd);
	bool first = true;
	const char *why;

	title(f, "outcome");
	if (s->ended)
		show_status(f, s->status);
	else
		fputs(end && capsule_end_is_open(end) ? "still running" : "not known", f);
	putc('\n', f);
	if (capsule_signature(rd)[0]) {
		title(f, "failure");
		text_plain(f, capsule_signature(rd));
		putc('\n', f);
	}
	title(f, "fidelity");
	if (!capsule_complete(rd, &why))
		fprintf(f, "%s%s: what came after is missing", comma(&first), why);
	if (s->nholes) {
		fputs(comma(&first), f);
		counted(f, s->nholes, "hole", "holes");
	}
	if (end && end->lost) {
		fputs(comma(&first), f);
		counted(f, end->lost, "record lost", "records lost");
	}
	fputs(first ? "complete" : "", f);
	if (is_attached(capsule_manifest(rd)))
		fputs(", from the attach on; not what was in memory then, nor what was read and said before", f);
	putc('\n', f);
	hole_lines(f, s);
}

static void file_line(FILE *f, const struct summary *s, const struct capsule_reader *rd, const char *path)
{
	uint8_t digest[32];
	char hex[SHA256_HEX];

	capsule_digest(rd, digest);
	sha256_hex(digest, hex);
	title(f, "capsule");
	text_plain(f, path);
	fputs(", ", f);
	size(f, capsule_size(rd));
	fputs(", ", f);
	counted(f, s->events, "event", "events");
	fprintf(f, ", digest %.12s, by ", hex);
	text_plain(f, capsule_manifest(rd)->tool);
	putc('\n', f);
}

int show_summary(struct capsule_reader *rd, const char *path, FILE *f, struct err *err)
{
	_cleanup_(summary_clear) struct summary s = { 0 };
	const struct manifest *m = capsule_manifest(rd);

	if (summary_gather(&s, rd, err) < 0)
		return -err->code;
	command_lines(f, m, capsule_end(rd) ? capsule_end(rd)->duration : s.last, capsule_end(rd));
	process_line(f, &s);
	time_line(f, &s, m);
	declined_line(f, &s);
	peer_lines(f, &s);
	std_lines(f, &s);
	file_lines(f, &s);
	end_lines(f, &s, rd);
	file_line(f, &s, rd, path);
	return 0;
}

/* ---- for programs ------------------------------------------------------ */

static void json_number(FILE *f, const char *name, uint64_t v)
{
	fprintf(f, ",\"%s\":%" PRIu64, name, v);
}

static void json_text(FILE *f, const char *name, const char *s)
{
	fprintf(f, ",\"%s\":", name);
	text_json(f, s, strlen(s));
}

static void json_peers(FILE *f, const struct summary *s)
{
	fputs(",\"connections\":[", f);
	for (size_t i = 0; i < s->npeers; i++) {
		const struct peer *p = &s->peers[i];

		fprintf(f, "%s{\"address\":", i ? "," : "");
		text_json(f, p->address, strlen(p->address));
		json_text(f, "type", socket_type_name(p->family, p->type));
		fprintf(f, ",\"accepted\":%s", p->accepted ? "true" : "false");
		json_number(f, "connections", p->connections);
		json_number(f, "in", p->in);
		json_number(f, "out", p->out);
		json_text(f, "error", p->error && strerrorname_np(p->error) ? strerrorname_np(p->error) : "");
		putc('}', f);
	}
	putc(']', f);
}

static void json_std(FILE *f, const struct summary *s)
{
	bool first = true;

	fputs(",\"inherited\":[", f);
	for (size_t i = 0; i < s->objects.n; i++) {
		const struct object *o = &s->objects.list[i];

		if (!o->inherited)
			continue;
		fprintf(f, "%s{\"object\":%u,\"stdin\":%s,\"stdout\":%s,\"stderr\":%s", first ? "" : ",", o->id,
			o->std[0] ? "true" : "false", o->std[1] ? "true" : "false", o->std[2] ? "true" : "false");
		json_text(f, "kind", obj_kind_name(o->kind));
		json_number(f, "in", o->in);
		json_number(f, "out", o->out);
		putc('}', f);
		first = false;
	}
	putc(']', f);
}

static void json_holes(FILE *f, const struct summary *s)
{
	fputs(",\"first_holes\":[", f);
	for (size_t i = 0; i < s->nholes && i < SHOWN_HOLES; i++) {
		fprintf(f, "%s{\"count\":%" PRIu64, i ? "," : "", s->holes[i].count);
		json_text(f, "what", s->holes[i].what);
		json_text(f, "where", s->holes[i].where);
		json_text(f, "why", s->holes[i].why);
		putc('}', f);
	}
	putc(']', f);
}

static void json_counts(FILE *f, const struct summary *s)
{
	json_number(f, "events", s->events);
	json_number(f, "processes", s->forks + 1);
	json_number(f, "threads", s->threads);
	json_number(f, "goroutines", s->goroutines);
	json_number(f, "programs", s->execs);
	json_number(f, "signals", s->signals);
	json_number(f, "clock_readings", s->clocks);
	json_number(f, "sleeps", s->sleeps);
	json_number(f, "waits", s->waits);
	json_number(f, "declined", s->declined);
	json_number(f, "random_calls", s->randoms);
	json_number(f, "random_bytes", s->random_bytes);
	json_number(f, "files_image", s->image);
	json_number(f, "files_snapshot", s->snapshots);
	json_number(f, "files_snapshot_bytes", s->snapshot_bytes);
	json_number(f, "files_absent", s->absent);
	json_number(f, "files_unread", s->unread);
	json_number(f, "directories", s->dirs);
	json_number(f, "synthetic", s->synth);
	json_number(f, "synthetic_bytes", s->synth_bytes);
	json_number(f, "outputs_written", s->written);
	json_number(f, "outputs_written_bytes", s->written_bytes);
	json_number(f, "outputs_deleted", s->deleted);
	json_number(f, "outputs_changed", s->changed);
}

int show_summary_json(struct capsule_reader *rd, const char *path, FILE *f, struct err *err)
{
	_cleanup_(summary_clear) struct summary s = { 0 };
	const struct capsule_end *end = capsule_end(rd);
	uint8_t digest[32];
	char hex[SHA256_HEX];
	const char *why;

	if (summary_gather(&s, rd, err) < 0)
		return -err->code;
	capsule_digest(rd, digest);
	sha256_hex(digest, hex);
	fputs("{\"file\":", f);
	text_json(f, path, strlen(path));
	json_number(f, "size", capsule_size(rd));
	json_text(f, "digest", hex);
	fputs(",\"manifest\":{", f);
	json_manifest(f, capsule_manifest(rd));
	putc('}', f);
	json_number(f, "duration", end ? end->duration : s.last);
	json_counts(f, &s);
	json_peers(f, &s);
	json_std(f, &s);
	if (s.ended)
		fprintf(f, ",\"status\":%" PRId32, s.status);
	else
		fputs(",\"status\":null", f);
	json_text(f, "signature", capsule_signature(rd));
	fprintf(f, ",\"complete\":%s", capsule_complete(rd, &why) ? "true" : "false");
	json_text(f, "cut_short", why ? why : "");
	json_number(f, "lost", end ? end->lost : 0);
	json_number(f, "holes", s.nholes);
	json_holes(f, &s);
	fputs("}\n", f);
	return 0;
}
