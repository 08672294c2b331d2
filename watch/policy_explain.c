/* SPDX-License-Identifier: Apache-2.0 */
/* Policies in plain words, and as JSON. */
#include <linux/types.h>

#include "watch/policy.h"

#include "format/sysdesc.h"
#include "format/text.h"

#include <inttypes.h>
#include <signal.h>
#include <string.h>

/* ---- values ------------------------------------------------------------------------------ */

static void size(FILE *f, uint64_t n)
{
	static const char *const units[] = { "bytes", "KiB", "MiB", "GiB" };
	int u = 0;

	while (u < 3 && n && n % 1024 == 0) {
		n /= 1024;
		u++;
	}
	fprintf(f, "%" PRIu64 " %s", n, units[u]);
}

static void duration(FILE *f, uint64_t ns)
{
	static const struct { uint64_t ns; const char *name; } units[] = {
		{ 86400000000000, "day" }, { 3600000000000, "hour" }, { 60000000000, "minute" }, { 1000000000, "second" },
		{ 1000000, "millisecond" }, { 1000, "microsecond" }, { 1, "nanosecond" },
	};
	int u = 0;

	while (ns % units[u].ns || (!ns && u < 3))
		u++;
	fprintf(f, "%" PRIu64 " %s%s", ns / units[u].ns, units[u].name, ns / units[u].ns == 1 ? "" : "s");
}

static const char *const compared[] = {
	[CMP_EQ] = "is", [CMP_NE] = "is not", [CMP_LT] = "is below", [CMP_LE] = "is at most", [CMP_GT] = "is above", [CMP_GE] = "is at least",
};
static const char *const operators[] = { [CMP_EQ] = "=", [CMP_NE] = "!=", [CMP_LT] = "<", [CMP_LE] = "<=", [CMP_GT] = ">", [CMP_GE] = ">=" };

/* "a", "a or b", "a, b or c": what goes in front of element @i of @n. */
static void separate(FILE *f, size_t i, size_t n, const char *last)
{
	if (i)
		fputs(i + 1 == n ? last : ", ", f);
}

/* ---- whom -------------------------------------------------------------------------------- */

static void globs(FILE *f, const struct policy_globs *g, const char *what, bool *first)
{
	if (!g->n)
		return;
	fprintf(f, "%s%s ", *first ? "" : " and ", what);
	*first = false;
	for (size_t i = 0; i < g->n; i++) {
		separate(f, i, g->n, " or ");
		fputc('\'', f);
		text_plain(f, g->glob[i]);
		fputc('\'', f);
	}
}

static void numbers(FILE *f, size_t n, const uint32_t *list, const char *what, bool *first)
{
	if (!n)
		return;
	fprintf(f, "%s%s ", *first ? "" : " and ", what);
	*first = false;
	for (size_t i = 0; i < n; i++) {
		separate(f, i, n, " or ");
		fprintf(f, "%u", list[i]);
	}
}

static void whom(FILE *f, const struct policy_select *s)
{
	bool first = true;

	globs(f, &s->container, "whose container is", &first);
	globs(f, &s->cgroup, "whose cgroup is", &first);
	globs(f, &s->image, "whose image is", &first);
	globs(f, &s->binary, "whose executable is", &first);
	numbers(f, s->nuids, s->uids, "whose user id is", &first);
	numbers(f, s->npids, s->pids, "whose process id is", &first);
	if (s->nports) {
		fprintf(f, "%sthat listen on TCP port ", first ? "" : " and ");
		for (size_t i = 0; i < s->nports; i++) {
			separate(f, i, s->nports, " or ");
			fprintf(f, "%u", s->ports[i]);
		}
	}
}

/* ---- when -------------------------------------------------------------------------------- */

static void signals(FILE *f, uint64_t set, const char *prefix, const char *last)
{
	size_t n = (size_t)__builtin_popcountll(set), at = 0;

	for (int i = 1; i < 64; i++)
		if (set >> (i - 1) & 1) {
			separate(f, at++, n, last);
			fprintf(f, "%s%s", prefix, sigabbrev_np(i));
		}
}

static void when(FILE *f, const struct condition *c, unsigned int depth)
{
	switch (c->kind) {
	case WHEN_ANY:
	case WHEN_ALL:
		if (depth && c->nparts > 1)
			fputc('(', f);
		for (size_t i = 0; i < c->nparts; i++) {
			if (i)
				fputs(c->kind == WHEN_ANY ? ", or " : ", and ", f);
			when(f, &c->parts[i], depth + 1);
		}
		if (depth && c->nparts > 1)
			fputc(')', f);
		break;
	case WHEN_NOT:
		fputs("it is not so that ", f);
		when(f, c->parts, depth + 1);
		break;
	case WHEN_HTTP_STATUS:
		fprintf(f, "the answer's HTTP status %s %" PRIu64, compared[c->compare], c->number);
		break;
	case WHEN_LATENCY:
		fprintf(f, "the time from the request's first byte to its answer's last %s ", compared[c->compare]);
		duration(f, c->number);
		break;
	case WHEN_SIGNAL:
		fputs("a process is killed by ", f);
		signals(f, c->signals, "SIG", " or ");
		break;
	case WHEN_EXIT:
		fprintf(f, "a process ends and its exit status %s %" PRIu64, compared[c->compare], c->number);
		break;
	case WHEN_SYSCALL:
		fprintf(f, "%s fails", sc_name(c->call.nr));
		if (c->call.error)
			fprintf(f, " with %s", strerrorname_np(c->call.error));
		if (c->call.count > 1) {
			fprintf(f, " %u times within ", c->call.count);
			duration(f, c->call.within);
		}
		break;
	case WHEN_RETRANSMITS:
		fprintf(f, "the number of TCP segments that a connection had to send again %s %" PRIu64 " (which this version does not look at)", compared[c->compare], c->number);
		break;
	case WHEN_OOM:
		fputs("the kernel kills a process because memory ran out", f);
		break;
	case WHEN_TRIGGER:
		fputs("somebody asks for it (capsule trigger)", f);
		break;
	case CONDITION_KINDS:
		break;
	}
}

/* ---- then -------------------------------------------------------------------------------- */

static void redactions(FILE *f, const struct policy *p)
{
	static const char *const names[REDACT_KINDS] = {
		[REDACT_HEADER] = "HTTP header", [REDACT_QUERY] = "query parameter", [REDACT_FORM] = "form field",
		[REDACT_JSON] = "JSON value", [REDACT_ENV] = "environment variable", [REDACT_REGEX] = "any text like",
	};

	if (p->capture.level != LEVEL_PAYLOAD) {
		fputs(" No content is kept, so there is nothing to redact.", f);
		return;
	}
	if (!p->nredact) {
		fputs(" NOTHING IS REDACTED: capsules hold secrets as they were seen.", f);
		return;
	}
	fputs(" Before anything is written these are replaced by tokens of the same length: ", f);
	for (size_t i = 0; i < p->nredact; i++) {
		separate(f, i, p->nredact, " and ");
		fprintf(f, "%s ", names[p->redact[i].kind]);
		text_plain(f, p->redact[i].what);
		if (p->redact[i].as == AS_DIGITS)
			fputs(" (its digits)", f);
	}
	fputs("; what equals one of them is replaced elsewhere in the capsule, too.", f);
}

static void limits(FILE *f, const struct policy *p)
{
	fputs(" A capsule has at most ", f);
	size(f, p->capture.max_bytes);
	fprintf(f, "; there are at most %" PRIu64 " an hour, with ", p->capture.per_hour);
	duration(f, p->capture.cool_down);
	fputs(" between two, ", f);
	size(f, p->capture.bytes_per_day);
	fprintf(f, " a day and %" PRIu64 " at a time. They are kept in ", p->capture.max_capsules);
	text_plain(f, p->store);
	fputs(" for ", f);
	duration(f, p->retention);
	fputc('.', f);
}

void policy_explain(FILE *f, const struct policy *p)
{
	static const char *const scopes[] = {
		[SCOPE_REQUEST] = "each request on its own", [SCOPE_PROCESS] = "each process on its own",
		[SCOPE_TREE] = "each process together with all that it starts",
	};
	static const char *const levels[] = {
		[LEVEL_METADATA] = "which calls were made, their sizes, errors and times, and not a byte of content (level metadata)",
		[LEVEL_HASHES] = "calls and times, but not the content (level hashes; in this version without the hashes)",
		[LEVEL_PAYLOAD] = "all content (level payload)",
	};

	fprintf(f, "%s: Watches the processes ", p->name);
	whom(f, &p->select);
	fprintf(f, "; %s. What happened in the last ", scopes[p->scope]);
	duration(f, p->history.time);
	fputs(" of each is remembered in memory, at most ", f);
	size(f, p->history.bytes);
	fputs(", and forgotten if nothing happens. A capsule is written when ", f);
	when(f, &p->when, 0);
	fprintf(f, ". It holds %s", levels[p->capture.level]);
	if (p->capture.level != LEVEL_METADATA) {
		fputs("; for that, this level is on at most ", f);
		duration(f, p->capture.ttl);
		fputs(" at a time", f);
	}
	fputc('.', f);
	fputs(p->clocks == CLOCKS_EXACT ? " Every reading of a clock is recorded, for which the programs' vDSO is changed while they are watched." :
					  " The programs' code is left alone; a replay works out clock readings from the times of the calls.", f);
	redactions(f, p);
	limits(f, p);
	if (p->healthy.count) {
		fprintf(f, " Beside the failures, %" PRIu64 " good %s kept every ", p->healthy.count, p->healthy.count == 1 ? "one is" : "ones are");
		duration(f, p->healthy.period);
		fputc('.', f);
	}
	if (p->notify) {
		fputs(" For each capsule ", f);
		text_plain(f, p->notify[0]);
		fputs(" is run.", f);
	}
	fputc('\n', f);
}

void policy_host_explain(FILE *f, const struct policy_host *h)
{
	fprintf(f, "All policies together write at most %" PRIu64 " capsules an hour, ", h->per_hour);
	size(f, h->bytes_per_day);
	fprintf(f, " a day, and keep %" PRIu64 " at a time. Root", h->max_capsules);
	if (h->group) {
		fputs(" and the members of group ", f);
		text_plain(f, h->group);
	}
	fputs(" may trigger them by hand.\n", f);
}

/* ---- JSON -------------------------------------------------------------------------------- */

static void json_text(FILE *f, const char *s)
{
	text_json(f, s, strlen(s));
}

static void json_globs(FILE *f, const char *key, const struct policy_globs *g, bool *first)
{
	if (!g->n)
		return;
	fprintf(f, "%s\"%s\":[", *first ? "" : ",", key);
	*first = false;
	for (size_t i = 0; i < g->n; i++) {
		fputs(i ? "," : "", f);
		json_text(f, g->glob[i]);
	}
	fputc(']', f);
}

static void json_numbers(FILE *f, const char *key, size_t n, const uint32_t *list, bool *first)
{
	if (!n)
		return;
	fprintf(f, "%s\"%s\":[", *first ? "" : ",", key);
	*first = false;
	for (size_t i = 0; i < n; i++)
		fprintf(f, "%s%u", i ? "," : "", list[i]);
	fputc(']', f);
}

static void json_select(FILE *f, const struct policy_select *s)
{
	bool first = true;

	json_globs(f, "container", &s->container, &first);
	json_globs(f, "cgroup", &s->cgroup, &first);
	json_globs(f, "image", &s->image, &first);
	json_globs(f, "binary", &s->binary, &first);
	json_numbers(f, "uid", s->nuids, s->uids, &first);
	json_numbers(f, "pid", s->npids, s->pids, &first);
	if (!s->nports)
		return;
	fprintf(f, "%s\"port\":[", first ? "" : ",");
	for (size_t i = 0; i < s->nports; i++)
		fprintf(f, "%s%u", i ? "," : "", s->ports[i]);
	fputc(']', f);
}

static void json_parts(FILE *f, const struct condition *c);

static void json_condition(FILE *f, const struct condition *c)
{
	switch (c->kind) {
	case WHEN_ANY:
	case WHEN_ALL:
		fprintf(f, "{\"%s\":[", c->kind == WHEN_ANY ? "any" : "all");
		json_parts(f, c);
		fputs("]}", f);
		break;
	case WHEN_NOT:
		fputs("{\"not\":", f);
		json_condition(f, c->parts);
		fputc('}', f);
		break;
	case WHEN_SIGNAL:
		fputs("{\"signal\":[\"", f);
		for (uint64_t left = c->signals; left; left &= left - 1)
			fprintf(f, "%s%s", left == c->signals ? "" : "\",\"", sigabbrev_np(__builtin_ctzll(left) + 1));
		fputs("\"]}", f);
		break;
	case WHEN_SYSCALL:
		fprintf(f, "{\"syscall\":{\"name\":\"%s\"", sc_name(c->call.nr));
		if (c->call.error)
			fprintf(f, ",\"error\":\"%s\"", strerrorname_np(c->call.error));
		fprintf(f, ",\"count\":%u,\"within_ns\":%" PRIu64 "}}", c->call.count, c->call.within);
		break;
	case WHEN_OOM:
		fputs("{\"oom\":true}", f);
		break;
	case WHEN_TRIGGER:
		fputs("{\"trigger\":\"manual\"}", f);
		break;
	default:
		fprintf(f, "{\"%s\":\"%s %" PRIu64 "\"}", c->kind == WHEN_HTTP_STATUS ? "http.status" : c->kind == WHEN_LATENCY ? "latency_ns" :
			c->kind == WHEN_EXIT ? "exit" : "tcp.retransmits", operators[c->compare], c->number);
	}
}

static void json_parts(FILE *f, const struct condition *c)
{
	for (size_t i = 0; i < c->nparts; i++) {
		fputs(i ? "," : "", f);
		json_condition(f, &c->parts[i]);
	}
}

static void json_then(FILE *f, const struct policy *p)
{
	static const char *const levels[] = { "metadata", "hashes", "payload" };

	fprintf(f, "{\"history\":{\"bytes\":%" PRIu64 ",\"ns\":%" PRIu64 "},\"capture\":{\"level\":\"%s\",\"ttl_ns\":%" PRIu64 ",\"max_bytes\":%" PRIu64
		",\"max_capsules\":%" PRIu64 ",\"per_hour\":%" PRIu64 ",\"cool_down_ns\":%" PRIu64 ",\"bytes_per_day\":%" PRIu64 "},\"clocks\":\"%s\",\"redact\":[",
		p->history.bytes, p->history.time, levels[p->capture.level], p->capture.ttl, p->capture.max_bytes, p->capture.max_capsules,
		p->capture.per_hour, p->capture.cool_down, p->capture.bytes_per_day, p->clocks == CLOCKS_EXACT ? "exact" : "causal");
	for (size_t i = 0; i < p->nredact; i++) {
		fprintf(f, "%s{\"%s\":", i ? "," : "", redact_kind_names[p->redact[i].kind]);
		json_text(f, p->redact[i].what);
		fprintf(f, ",\"as\":\"%s\"}", p->redact[i].as == AS_DIGITS ? "digits" : "token");
	}
	fprintf(f, "],\"retention_ns\":%" PRIu64 ",\"store\":", p->retention);
	json_text(f, p->store);
	if (p->healthy.count)
		fprintf(f, ",\"healthy_sample\":{\"count\":%" PRIu64 ",\"ns\":%" PRIu64 "}", p->healthy.count, p->healthy.period);
	if (p->notify) {
		fputs(",\"notify\":[", f);
		for (char **w = p->notify; *w; w++) {
			fputs(w == p->notify ? "" : ",", f);
			json_text(f, *w);
		}
		fputc(']', f);
	}
	fputc('}', f);
}

void policies_json(FILE *f, const struct policies *all)
{
	static const char *const scopes[] = { "request", "process", "tree" };

	fprintf(f, "{\"host\":{\"max_capsules\":%" PRIu64 ",\"per_hour\":%" PRIu64 ",\"bytes_per_day\":%" PRIu64 ",\"group\":", all->host.max_capsules,
		all->host.per_hour, all->host.bytes_per_day);
	if (all->host.group)
		json_text(f, all->host.group);
	else
		fputs("null", f);
	fputs("},\"policies\":[", f);
	for (size_t i = 0; i < all->n; i++) {
		const struct policy *p = &all->list[i];

		fprintf(f, "%s{\"name\":\"%s\",\"line\":%u,\"select\":{", i ? "," : "", p->name, p->line);
		json_select(f, &p->select);
		fprintf(f, "},\"scope\":\"%s\",\"when\":", scopes[p->scope]);
		json_condition(f, &p->when);
		fputs(",\"then\":", f);
		json_then(f, p);
		fputc('}', f);
	}
	fputs("]}\n", f);
}
