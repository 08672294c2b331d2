/* SPDX-License-Identifier: Apache-2.0 */
#include <linux/types.h>

#include "replayer/receipt.h"

#include "format/sha256.h"

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
	return holes(rec) || v->misses.count || v->out_of_turn;
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
	if (v->between)
		fprintf(f, ", %llu clock reading%s of threads between the recorded ones", (unsigned long long)v->between,
			plural(v->between));
	if (v->changed.count)
		fprintf(f, ", %llu change%s", (unsigned long long)v->changed.count, plural(v->changed.count));
}

static void end_of_guest(FILE *f, const struct verdict *v)
{
	if (!v->ended)
		fputs("no end", f);
	else if (WIFSIGNALED(v->status))
		fprintf(f, "killed by SIG%s", sigabbrev_np(WTERMSIG(v->status)) ?: "?");
	else
		fprintf(f, "exit status %d", WEXITSTATUS(v->status));
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
	} else {
		fputs("identical: ", f);
		end_of_guest(f, v);
		fprintf(f, ", %llu answer%s from the capsule", (unsigned long long)v->served, plural(v->served));
	}
	reservations(f, rec, v);
	if (runs > 1)
		fprintf(f, "; %u of %u runs identical", identical, runs);
	fputc('\n', f);
	if (v->misses.count || v->changed.count || verbose) {
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
	fprintf(f, "{\"verdict\":\"%s\"", v->first.set ? "diverged" : "identical");
	json_member(f, "capsule", file);
	json_member(f, "sha256", hex);
	json_member(f, "tool", CAPSULE_TOOL);
	fprintf(f, ",\"runs\":%u,\"identical\":%u,\"guest_status\":%d,\"ended\":%s", runs, identical, v->status,
		v->ended ? "true" : "false");
	fprintf(f, ",\"misses\":%llu,\"holes\":%llu,\"out_of_turn\":%llu,\"changed\":%llu", (unsigned long long)v->misses.count,
		(unsigned long long)holes(rec), (unsigned long long)v->out_of_turn, (unsigned long long)v->changed.count);
	fprintf(f, ",\"between\":%llu", (unsigned long long)v->between);
	fprintf(f, ",\"calls\":%llu,\"matched\":%llu,\"unused\":%llu,\"served\":%llu,\"wall_ns\":%llu",
		(unsigned long long)v->calls, (unsigned long long)v->matched, (unsigned long long)v->unused,
		(unsigned long long)v->served, (unsigned long long)v->wall_ns);
	json_notes(f, "miss_list", &v->misses);
	json_notes(f, "change_list", &v->changed);
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
