/* SPDX-License-Identifier: Apache-2.0 */
/* capsule verify: does the patch cure these, and break none of those? */
#include <linux/types.h>

#include "proof/verify.h"

#include "format/cleanup.h"
#include "format/cli.h"
#include "format/text.h"
#include "replayer/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { REFUSED = 1, CANT_TELL = 125 };

static const struct opt options[] = {
	{ 0, "base", "HOST:GUEST", "what the base has at GUEST (default: the build that was recorded)" },
	{ 0, "patch", "HOST:GUEST", "what the patch has at GUEST" },
	RUN_OPTIONS,
	{ 0, "signature", "EXPR", "what the failure is (default: each capsule's own signature)" },
	{ 'n', "runs", "N", "replay N times with each, which must all say the same (default: 5)" },
	{ 0, "budget", "WHAT=N%,...", "how much more the patch may take: cpu, rss, pages, calls, written" },
	{ 0, "allow-holes", NULL, "take a failure for gone although the capsule has holes" },
	{ 0, "json", "FILE", "write a report in JSON" },
	{ 'q', "quiet", NULL, "print only the verdict" },
	{ 0 }
};

struct side {
	const char *pair[2 * MAX_BINDS][2];
	size_t n;
};

struct line {
	struct run_options o;
	struct verify_options v;
	struct side base, patch;
	const char *json;
	bool quiet;
};

static int add_bind(const struct cmd *self, struct side *s, const char *arg)
{
	static const struct opt bind = { 0, "bind", "HOST:GUEST", "" };
	struct run_options one = { 0 };
	int status = run_option(self, &one, &bind, arg);

	if (status)
		return status;
	if (s->n == MAX_BINDS)
		return cli_fail(self, EXIT_USAGE, "at most %d binds", MAX_BINDS);
	s->pair[s->n][0] = one.pair[0][0];
	s->pair[s->n++][1] = one.pair[0][1];
	return 0;
}

static int take_budget(const struct cmd *self, struct line *l, const char *arg)
{
	while (*arg) {
		size_t len = strcspn(arg, "="), m;
		char *end;
		double n;

		for (m = 0; m < MEASURES; m++)
			if (strlen(measure_names[m]) == len && strncmp(arg, measure_names[m], len) == 0)
				break;
		if (m == MEASURES || !arg[len])
			return cli_fail(self, EXIT_USAGE, "--budget '%s': cpu, rss, pages, calls or written, as in cpu=10%%,rss=20%%", arg);
		n = strtod(arg + len + 1, &end);
		if (end == arg + len + 1 || *end != '%' || !(n >= 0) || n > 1e6 || (end[1] && end[1] != ','))
			return cli_fail(self, EXIT_USAGE, "--budget '%s': a percentage, please, as in cpu=10%%", arg);
		l->v.budget[m] = n / 100;
		arg = end[1] ? end + 2 : end + 1;
	}
	return 0;
}

/* 0, or the status to exit with. */
static int take_option(const struct cmd *self, struct line *l, const struct opt *o, const char *arg)
{
	unsigned long n;
	int status;

	if (strcmp(o->name, "base") == 0)
		return add_bind(self, &l->base, arg);
	if (strcmp(o->name, "patch") == 0)
		return add_bind(self, &l->patch, arg);
	if (strcmp(o->name, "budget") == 0)
		return take_budget(self, l, arg);
	status = run_option(self, &l->o, o, arg);
	if (status >= 0)
		return status;
	if (strcmp(o->name, "runs") == 0) {
		if (!number_from_1(arg, 1000, &n))
			return cli_fail(self, EXIT_USAGE, "--runs '%s': a number from 1 to 1000, please", arg);
		l->v.judge.runs = (unsigned int)n;
	} else if (strcmp(o->name, "signature") == 0) {
		l->v.judge.signature = arg;
	} else if (strcmp(o->name, "allow-holes") == 0) {
		l->v.judge.allow_holes = true;
	} else if (strcmp(o->name, "json") == 0) {
		l->json = arg;
	} else {
		l->quiet = true;
	}
	return 0;
}

/* ---- the table --------------------------------------------------------------------- */

static void row(const char *file, const struct proof *p)
{
	printf("%-11s ", proved_name(p->proved));
	text_plain(stdout, file);
	if (p->why[0]) {
		fputs(": ", stdout);
		text_plain(stdout, p->why);
	}
	putchar('\n');
	if (p->aside[0]) {
		fputs("            also changed: ", stdout);
		text_plain(stdout, p->aside);
		putchar('\n');
	}
	if (p->noise[0]) {
		fputs("            noise: ", stdout);
		text_plain(stdout, p->noise);
		putchar('\n');
	}
	fflush(stdout);
}

static void json_text(FILE *f, const char *name, const char *s)
{
	fprintf(f, ",\"%s\":", name);
	text_json(f, s, strlen(s));
}

static void json_row(FILE *f, const char *file, const struct proof *p, bool first)
{
	fprintf(f, "%s{\"file\":", first ? "" : ",");
	text_json(f, file, strlen(file));
	json_text(f, "proved", proved_name(p->proved));
	json_text(f, "why", p->why);
	json_text(f, "also_changed", p->aside);
	json_text(f, "noise", p->noise);
	for (int m = 0; m < MEASURES; m++)
		fprintf(f, ",\"%s\":[%g,%g]", measure_names[m], p->base[m], p->patch[m]);
	putc('}', f);
}

static void verify_file(struct line *l, const char *file, struct proof *p)
{
	struct err err = ERR_INIT;
	struct verify_options v = l->v;
	struct recording *rec;

	*p = (struct proof){ .proved = PROVED_UNKNOWN };
	if (recording_load(&rec, file, &err) < 0) {
		snprintf(p->why, sizeof(p->why), "%s", err.text);
		return;
	}
	v.judge.run = l->o.run;
	if (run_settle(&v.judge.run, rec, &err) < 0)
		snprintf(p->why, sizeof(p->why), "%s", err.text);
	else
		verify(rec, &v, p);
	run_end(&v.judge.run);
	recording_free(rec);
}

static int run(const struct cmd *self, struct line *l, const char *const *files, size_t n)
{
	size_t count[PROVED_KINDS] = { 0 }, refused;

	_cleanup_file_ FILE *f = l->json ? fopen(l->json, "we") : NULL;
	if (l->json && !f)
		return cli_fail(self, EXIT_USAGE, "--json '%s': %s", l->json, strerror(errno));
	if (f)
		fputs("{\"capsules\":[", f);
	for (size_t i = 0; i < n; i++) {
		static struct proof p;

		verify_file(l, files[i], &p);
		count[p.proved]++;
		if (!l->quiet)
			row(files[i], &p);
		if (f)
			json_row(f, files[i], &p, i == 0);
	}
	refused = count[PROVED_NOT_CURED] + count[PROVED_BROKEN] + count[PROVED_OVER_BUDGET];
	printf("%s: %zu cured, %zu unchanged, %zu not cured, %zu broken, %zu over budget, %zu without telling; %u runs each\n",
	       refused ? "refused" : count[PROVED_UNKNOWN] ? "not proved" : "proved", count[PROVED_CURED], count[PROVED_UNCHANGED],
	       count[PROVED_NOT_CURED], count[PROVED_BROKEN], count[PROVED_OVER_BUDGET], count[PROVED_UNKNOWN], l->v.judge.runs);
	if (f)
		fprintf(f, "],\"verdict\":\"%s\",\"runs\":%u}\n", refused ? "refused" : count[PROVED_UNKNOWN] ? "not proved" : "proved",
			l->v.judge.runs);
	return refused ? REFUSED : count[PROVED_UNKNOWN] ? CANT_TELL : 0;
}

/* The common binds come first, so that a side's own lie over them. */
static void join(struct line *l, struct side *s, struct build *b)
{
	memmove(&s->pair[l->o.run.nbinds], &s->pair[0], s->n * sizeof(s->pair[0]));
	memcpy(&s->pair[0], l->o.pair, l->o.run.nbinds * sizeof(s->pair[0]));
	b->binds = (const char *const (*)[2])s->pair;
	b->nbinds = s->n + l->o.run.nbinds;
}

static int cmd_verify(const struct cmd *self, int argc, char **argv)
{
	static struct line l = { .v = { .judge = { .runs = 5 }, .budget = { -1, -1, -1, -1, -1 } } };
	struct cli cli = { .argc = argc, .argv = argv };
	const struct opt *o;
	const char *word;
	size_t n = 0;
	int status;

	_cleanup_free_ const char **files = calloc((size_t)argc, sizeof(*files));
	if (!files)
		return cli_fail(self, EXIT_MACHINE, "out of memory");
	while (cli_word(self, &cli, &o, &word)) {
		if (word)
			files[n++] = word;
		else if ((status = take_option(self, &l, o, cli.arg)))
			return status;
	}
	while (cli.at < argc)
		files[n++] = argv[cli.at++];
	if (!n || !l.patch.n)
		return cli_fail(self, EXIT_USAGE, "%s, please (capsule verify --patch HOST:GUEST FILE...)", n ? "--patch" : "a capsule");
	l.o.run.silent = true;
	join(&l, &l.base, &l.v.base);
	join(&l, &l.patch, &l.v.patch);
	return run(self, &l, files, n);
}

const struct cmd cmd_verify_desc = {
	"verify", "--patch HOST:GUEST [OPTION]... FILE...", "does a patch cure the failures, and change nothing else?", options, cmd_verify
};
