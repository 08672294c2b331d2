/* SPDX-License-Identifier: Apache-2.0 */
#include <linux/types.h>

#include "replayer/receipt.h"

#include "format/cleanup.h"
#include "format/sha256.h"
#include "format/text.h"

#include <string.h>
#include <sys/wait.h>

static uint64_t holes(const struct recording *rec)
{
	return rec->nholes > rec->end->holes ? rec->nholes : rec->end->holes;
}

static const char *plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

static const char *plural_es(uint64_t n)
{
	return n == 1 ? "" : "es";
}

static void list(FILE *f, const char *what, const struct notes *n)
{
	for (uint64_t i = 0; i < n->count && i < NOTES; i++)
		fprintf(f, "capsule replay: %s: %s\n", what, n->text[i]);
	if (n->count > NOTES)
		fprintf(f, "capsule replay: %s: %llu more\n", what, (unsigned long long)(n->count - NOTES));
}

bool receipt_has_reservations(const struct recording *rec, const struct verdict *v)
{
	return rec->attached || holes(rec) || v->misses.count || v->out_of_turn || v->turned.count;
}

/* What keeps "identical" from being the whole truth. */
static void reservations(FILE *f, const struct recording *rec, const struct verdict *v)
{
	uint64_t n = holes(rec);

	if (n)
		fprintf(f, ", but the capsule has %llu hole%s", (unsigned long long)n, plural(n));
	if (v->misses.count)
		fprintf(f, ", %llu miss%s", (unsigned long long)v->misses.count, plural_es(v->misses.count));
	if (v->out_of_turn)
		fprintf(f, ", %llu said out of turn", (unsigned long long)v->out_of_turn);
	if (v->turned.count)
		fprintf(f, ", %llu answered out of turn", (unsigned long long)v->turned.count);
	if (rec->unsure)
		fprintf(f, ", %llu write%s of several tasks to one place at once, whose recorded order may not be theirs",
			(unsigned long long)rec->unsure, plural(rec->unsure));
	if (v->between)
		fprintf(f, ", %llu reading%s of threads between the recorded ones", (unsigned long long)v->between,
			plural(v->between));
	if (v->swapped)
		fprintf(f, ", %llu request%s on another of several kept connections to one place", (unsigned long long)v->swapped,
			plural(v->swapped));
	/* What starts every program reads it, to no effect: only where something differs is it worth a word. */
	if (v->first.set && !v->cycles && v->untrapped)
		fprintf(f, ", and this machine does not trap readings of the cycle counter");
	if (v->first.set && v->cycles)
		fprintf(f, ", %llu reading%s of the cycle counter, which is not recorded", (unsigned long long)v->cycles,
			plural(v->cycles));
	if (v->first.set && rec->attached)
		fprintf(f, ", and what the program had in memory when the recorder came (counters, caches, random bytes drawn before) is in no capsule");
	if (v->changed.count)
		fprintf(f, ", %llu change%s", (unsigned long long)v->changed.count, plural(v->changed.count));
}

static void end_of_guest(FILE *f, const struct verdict *v)
{
	if (v->serves_on)
		fputs("no end, for it serves on", f);
	else if (!v->ended)
		fputs("no end", f);
	else if (WIFSIGNALED(v->status))
		fprintf(f, "killed by SIG%s", sigabbrev_np(WTERMSIG(v->status)) ?: "?");
	else
		fprintf(f, "exit status %d", WEXITSTATUS(v->status));
}

/* Names in it are the program's. */
static void stack(FILE *f, const struct verdict *v)
{
	if (!v->stack[0])
		return;
	fputs("capsule replay: ", f);
	text_plain(f, v->stack_of);
	fputs(" comes from\n", f);
	for (const char *at = v->stack, *end; *at; at = *end ? end + 1 : end) {
		end = strchrnul(at, '\n');
		_cleanup_free_ char *line = strndup(at, (size_t)(end - at));
		fputs("  ", f);
		text_plain(f, line ? line : "");
		fputc('\n', f);
	}
}

/* Of what ran already, a replay proves what came after the attach, with a start of another day. */
static void after_attach(FILE *f, const struct recording *rec, const struct verdict *v)
{
	uint64_t n = rec->exchanges, missing = v->start_up.count;

	if (n)
		fprintf(f, "the %llu answer%s after the attach came out identical", (unsigned long long)n, plural(n));
	else
		fputs("no client was answered after the attach; nothing differed", f);
	fprintf(f, "; start-up: %llu answer%s not in the capsule", (unsigned long long)missing, plural(missing));
	if (v->start_clocks)
		fprintf(f, ", %llu reading%s of clocks at the attach's time", (unsigned long long)v->start_clocks, plural(v->start_clocks));
	if (v->after)
		fprintf(f, "; %llu asked for behind the end of the recording", (unsigned long long)v->after);
	if (v->beyond)
		fprintf(f, "; %llu byte%s went beyond the end of the recording", (unsigned long long)v->beyond, plural(v->beyond));
	if (v->ended && !v->over) {
		fputs("; ", f);
		end_of_guest(f, v);
	}
}

void receipt_text(FILE *f, const struct recording *rec, const struct verdict *v, unsigned int runs,
		  unsigned int identical, bool verbose)
{
	fputs("capsule replay: ", f);
	if (v->first.set) {
		fprintf(f, "diverged at %s", v->first.what);
		if (v->first.at)
			fprintf(f, ", byte %llu", (unsigned long long)v->first.at);
		fprintf(f, ": expected \"%s\", got \"%s\"", v->first.expected, v->first.got);
		if (v->divergences > 1)
			fprintf(f, " (and %llu more)", (unsigned long long)(v->divergences - 1));
	} else if (rec->attached) {
		after_attach(f, rec, v);
	} else {
		fputs("identical: ", f);
		end_of_guest(f, v);
		fprintf(f, ", %llu answer%s from the capsule", (unsigned long long)v->served, plural(v->served));
	}
	reservations(f, rec, v);
	if (runs > 1)
		fprintf(f, "; %u of %u runs identical", identical, runs);
	fputc('\n', f);
	stack(f, v);
	if (rec->attached && (v->first.set || verbose))
		list(f, "start-up", &v->start_up);
	if (v->misses.count || v->changed.count || v->turned.count || verbose) {
		list(f, "out of turn", &v->turned);
		list(f, "miss", &v->misses);
		list(f, "changed", &v->changed);
	}
	for (size_t i = 0; verbose && i < rec->nholes; i++)
		fprintf(f, "capsule replay: hole: %s at %s: %s\n", rec->holes[i]->what, rec->holes[i]->where, rec->holes[i]->why);
	if (verbose)
		fprintf(f, "capsule replay: %llu calls answered, %llu of them as recorded; %llu recorded ones not made; %.1f ms\n",
			(unsigned long long)v->calls, (unsigned long long)v->matched, (unsigned long long)v->unused,
			(double)v->wall_ns / 1e6);
}

/* RFC 8259, 7; bytes beyond ASCII as they stand in Latin-1, so that any path makes valid JSON. */
static void json_string(FILE *f, const char *s)
{
	fputc('"', f);
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\')
			fprintf(f, "\\%c", c);
		else if (c < 32 || c > 126)
			fprintf(f, "\\u%04x", c);
		else
			fputc(c, f);
	}
	fputc('"', f);
}

static void json_member(FILE *f, const char *key, const char *value)
{
	fprintf(f, ",\"%s\":", key);
	json_string(f, value);
}

static void json_notes(FILE *f, const char *key, const struct notes *n)
{
	fprintf(f, ",\"%s\":[", key);
	for (uint64_t i = 0; i < n->count && i < NOTES; i++) {
		if (i)
			fputc(',', f);
		json_string(f, n->text[i]);
	}
	fputc(']', f);
}

void receipt_json(FILE *f, const char *file, const struct recording *rec, const struct verdict *v, unsigned int runs,
		  unsigned int identical)
{
	uint8_t hash[SHA256_LEN];
	char hex[SHA256_HEX];

	capsule_digest(rec->reader, hash);
	sha256_hex(hash, hex);
	fprintf(f, "{\"verdict\":\"%s\"", v->first.set ? "diverged" : rec->attached ? "answers identical" : "identical");
	json_member(f, "capsule", file);
	json_member(f, "sha256", hex);
	json_member(f, "tool", CAPSULE_TOOL);
	fprintf(f, ",\"runs\":%u,\"identical\":%u,\"guest_status\":%d,\"ended\":%s", runs, identical, v->status,
		v->ended ? "true" : "false");
	fprintf(f, ",\"misses\":%llu,\"holes\":%llu,\"out_of_turn\":%llu,\"changed\":%llu", (unsigned long long)v->misses.count,
		(unsigned long long)holes(rec), (unsigned long long)(v->out_of_turn + v->turned.count), (unsigned long long)v->changed.count);
	fprintf(f, ",\"unsure\":%llu", (unsigned long long)rec->unsure);
	fprintf(f, ",\"swapped\":%llu", (unsigned long long)v->swapped);
	fprintf(f, ",\"between\":%llu,\"cycle_counter\":%llu", (unsigned long long)v->between, (unsigned long long)v->cycles);
	fprintf(f, ",\"calls\":%llu,\"matched\":%llu,\"unused\":%llu,\"served\":%llu,\"wall_ns\":%llu,\"memory\":%llu",
		(unsigned long long)v->calls, (unsigned long long)v->matched, (unsigned long long)v->unused,
		(unsigned long long)v->served, (unsigned long long)v->wall_ns, (unsigned long long)v->memory);
	if (rec->attached)
		fprintf(f, ",\"attached\":true,\"answers\":%llu,\"start_up\":%llu", (unsigned long long)rec->exchanges,
			(unsigned long long)v->start_up.count);
	if (rec->attached)
		json_notes(f, "start_up_list", &v->start_up);
	json_notes(f, "miss_list", &v->misses);
	json_notes(f, "turn_list", &v->turned);
	json_notes(f, "change_list", &v->changed);
	json_member(f, "stack", v->stack);
	fputs(",\"first_divergence\":", f);
	if (v->first.set) {
		fputs("{\"what\":", f);
		json_string(f, v->first.what);
		fprintf(f, ",\"byte\":%llu", (unsigned long long)v->first.at);
		json_member(f, "expected", v->first.expected);
		json_member(f, "got", v->first.got);
		fputc('}', f);
	} else {
		fputs("null", f);
	}
	fputs("}\n", f);
}
