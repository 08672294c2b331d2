/* SPDX-License-Identifier: Apache-2.0 */
/* capsule test: CI's entry. */
#include <linux/types.h>

#include "proof/suite.h"

#include "format/cleanup.h"
#include "format/cli.h"
#include "format/text.h"
#include "replayer/options.h"

#include <errno.h>
#include <string.h>

static const struct opt options[] = {
	RUN_OPTIONS,
	{ 'j', "jobs", "N", "so many at a time (default: one for each processor)" },
	{ 'n', "runs", "N", "replay each N times, which must all say the same (default: 2)" },
	{ 0, "as-recorded", NULL, "pass where the output is as recorded, a recorded failure too" },
	{ 0, "allow-holes", NULL, "capsules with holes may pass" },
	{ 0, "junit", "FILE", "write a report in JUnit's XML" },
	{ 0, "json", "FILE", "write a report in JSON" },
	{ 0, "tap", NULL, "print the Test Anything Protocol" },
	{ 'q', "quiet", NULL, "print only what did not pass, and the sum" },
	{ 0 }
};

struct line {
	struct run_options o;
	struct judge_options j;
	unsigned int jobs;
	const char *junit, *json;
	bool tap, quiet, progress;
};

static int count(const struct cmd *self, const struct opt *o, const char *arg, unsigned int *ret)
{
	unsigned long n;

	if (!number_from_1(arg, 1000, &n))
		return cli_fail(self, EXIT_USAGE, "--%s '%s': a number from 1 to 1000, please", o->name, arg);
	*ret = (unsigned int)n;
	return 0;
}

/* 0, or the status to exit with. */
static int take_option(const struct cmd *self, struct line *l, const struct opt *o, const char *arg)
{
	int status = run_option(self, &l->o, o, arg);

	if (status >= 0)
		return status;
	if (strcmp(o->name, "jobs") == 0)
		return count(self, o, arg, &l->jobs);
	if (strcmp(o->name, "runs") == 0)
		return count(self, o, arg, &l->j.runs);
	if (strcmp(o->name, "as-recorded") == 0)
		l->j.as_recorded = true;
	else if (strcmp(o->name, "allow-holes") == 0)
		l->j.allow_holes = true;
	else if (strcmp(o->name, "junit") == 0)
		l->junit = arg;
	else if (strcmp(o->name, "json") == 0)
		l->json = arg;
	else if (strcmp(o->name, "tap") == 0)
		l->tap = true;
	else
		l->quiet = true;
	return 0;
}

static void tell(void *ctx, const struct suite *s, size_t i)
{
	const struct suite_case *c = &s->cases[i];
	const struct line *l = ctx;

	if (l->progress)
		fputs("\r\033[K", stderr);
	if (l->tap) {
		suite_tap(stdout, s, i);
	} else if (!l->quiet || c->outcome != OUTCOME_PASSED) {
		printf("%-10s ", outcome_name(c->outcome));
		text_plain(stdout, c->file);
		if (c->why[0]) {
			fputs(": ", stdout);
			text_plain(stdout, c->why);
		}
		printf(" (%.1f s)\n", c->seconds);
	}
	fflush(stdout);
	if (l->progress && i + 1 < s->n)
		fprintf(stderr, "capsule test: %zu of %zu", i + 1, s->n);
}

static int report(const struct cmd *self, const char *path, const struct suite *s, void (*write)(FILE *f, const struct suite *s))
{
	if (!path)
		return 0;
	_cleanup_file_ FILE *f = fopen(path, "we");
	if (f)
		write(f, s);
	if (!f || fflush(f) != 0)
		return cli_fail(self, EXIT_USAGE, "%s: %s", path, strerror(errno));
	return 0;
}

static int end(const struct cmd *self, const struct line *l, const struct suite *s)
{
	if (!l->tap)
		printf("%zu passed, %zu failed, %zu incomplete, %zu errors\n", s->count[OUTCOME_PASSED], s->count[OUTCOME_FAILED],
		       s->count[OUTCOME_INCOMPLETE], s->count[OUTCOME_ERROR]);
	if (report(self, l->junit, s, suite_junit) || report(self, l->json, s, suite_json))
		return EXIT_USAGE;
	if (s->count[OUTCOME_FAILED])
		return EXIT_DIVERGED;
	return s->count[OUTCOME_PASSED] == s->n ? 0 : EXIT_CAPSULE;
}

static int run(const struct cmd *self, struct line *l, const char *const *paths, size_t n)
{
	_cleanup_(suite_clear) struct suite s = { 0 };
	struct err err = ERR_INIT;

	if (suite_find(&s, paths, n, &err) < 0)
		return cli_fail(self, EXIT_USAGE, "%s", err.text);
	l->progress = isatty(2) && !l->quiet;
	l->o.run.silent = true;
	l->j.run = l->o.run;
	if (l->tap)
		suite_tap_head(stdout, &s);
	if (suite_run(&s, &l->j, l->jobs, tell, l, &err) < 0)
		return cli_fail(self, EXIT_MACHINE, "%s", err.text);
	return end(self, l, &s);
}

static int cmd_test(const struct cmd *self, int argc, char **argv)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct line l = { .j = { .runs = 2 }, .jobs = cpus > 0 ? (unsigned int)cpus : 1 };
	struct cli cli = { .argc = argc, .argv = argv };
	const struct opt *o;
	const char *word;
	size_t n = 0;
	int status;

	_cleanup_free_ const char **paths = calloc((size_t)argc, sizeof(*paths));
	if (!paths)
		return cli_fail(self, EXIT_MACHINE, "out of memory");
	while (cli_word(self, &cli, &o, &word)) {
		if (word)
			paths[n++] = word;
		else if ((status = take_option(self, &l, o, cli.arg)))
			return status;
	}
	while (cli.at < argc)
		paths[n++] = argv[cli.at++];
	if (!n)
		return cli_fail(self, EXIT_USAGE, "which capsules? (capsule test DIR|FILE...)");
	return run(self, &l, paths, n);
}

const struct cmd cmd_test_desc = {
	"test", "[OPTION]... DIR|FILE...", "judge many capsules, for CI: is no recorded failure there?", options, cmd_test
};
