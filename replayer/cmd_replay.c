/* SPDX-License-Identifier: Apache-2.0 */
/* capsule replay: runs a capsule again and says whether it came to the same. */
#include <linux/types.h>

#include "replayer/options.h"
#include "replayer/receipt.h"

#include "format/cleanup.h"
#include "format/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

extern const struct cmd cmd_replay_desc;

struct settings {
	struct run_options o;
	const char *file, *json;
	unsigned int runs;
	bool quiet, strict;
};

static const struct opt options[] = {
	RUN_OPTIONS,
	{ 'n', "runs", "N", "replay N times; the verdict is the worst" },
	{ 0, "strict", NULL, "a miss is a divergence" },
	{ 0, "stack", NULL, "say where in the source the first divergence comes from" },
	{ 0, "save", "FILE", "keep what the replay saw as a capsule, for capsule diff" },
	{ 0, "json", "FILE|FD", "write a machine-readable receipt" },
	{ 'q', "quiet", NULL, "say nothing of a clean replay, nor of one whose status tells" },
	{ 'v', "verbose", NULL, "list every miss, change and hole" },
	{ 0 }
};

/* 0, or the status to exit with. */
static int take_option(const struct cmd *self, struct settings *s, const struct opt *o, const char *arg)
{
	int status = run_option(self, &s->o, o, arg);
	unsigned long n;

	if (status >= 0)
		return status;
	if (strcmp(o->name, "runs") == 0) {
		if (!number_from_1(arg, 1000000, &n))
			return cli_fail(self, EXIT_USAGE, "--runs '%s': a number from 1, please", arg);
		s->runs = (unsigned int)n;
	} else if (strcmp(o->name, "strict") == 0) {
		s->strict = true;
	} else if (strcmp(o->name, "stack") == 0) {
		s->o.run.stack = true;
	} else if (strcmp(o->name, "save") == 0) {
		s->o.run.save = arg;
	} else if (strcmp(o->name, "json") == 0) {
		s->json = arg;
	} else if (strcmp(o->name, "quiet") == 0) {
		s->quiet = true;
	} else {
		s->o.run.verbose = true;
	}
	return 0;
}

/* 0, or the status to exit with. */
static int parse(const struct cmd *self, struct settings *s, int argc, char **argv)
{
	struct cli cli = { .argc = argc, .argv = argv };
	const struct opt *o;
	const char *word;
	int status;

	s->runs = 1;
	while (cli_word(self, &cli, &o, &word)) {
		if (word && s->file)
			return cli_fail(self, EXIT_USAGE, "'%s': one capsule, please; a command comes behind --", word);
		if (word)
			s->file = word;
		else if ((status = take_option(self, s, o, cli.arg)))
			return status;
	}
	if (!s->file)
		return cli_fail(self, EXIT_USAGE, "which capsule? (capsule replay FILE)");
	if (cli.at < argc)
		s->o.run.argv = argv + cli.at;
	return 0;
}

static int status_of(const struct verdict *v, bool strict)
{
	if (v->error)
		return v->error;
	return v->divergences || (strict && v->misses.count) ? EXIT_DIVERGED : EXIT_IDENTICAL;
}

static int write_receipt(const struct cmd *self, const struct settings *s, const struct recording *rec,
			 const struct verdict *v, unsigned int runs, unsigned int identical)
{
	unsigned long n = 0;
	bool is_fd = strcmp(s->json, "0") != 0 && number_from_1(s->json, INT_MAX, &n);

	_cleanup_file_ FILE *f = is_fd ? fdopen((int)n, "w") : fopen(s->json, "we");
	if (!f)
		return cli_fail(self, EXIT_USAGE, "--json '%s': %s", s->json, strerror(errno));
	receipt_json(f, s->file, rec, v, runs, identical);
	if (fflush(f) != 0)
		return cli_fail(self, EXIT_USAGE, "--json '%s': %s", s->json, strerror(errno));
	return 0;
}

static int run_all(const struct cmd *self, struct settings *s, struct recording *rec)
{
	unsigned int identical = 0, i;
	int worst = 0, status;

	/* Shared with the runs, which are processes of their own. */
	struct verdict *v = mmap(NULL, 2 * sizeof(*v), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (v == MAP_FAILED)
		return cli_fail(self, EXIT_MACHINE, "out of memory");
	for (i = 0; i < s->runs; i++) {
		memset(v, 0, sizeof(*v));
		v->err = ERR_INIT;
		if (files_check(rec, &s->o.run, v, &v->err) < 0)
			return cli_fail(self, EXIT_MACHINE, "%s", v->err.text);
		if (replay_apart(rec, &s->o.run, v) < 0)
			return cli_fail(self, v->error ? v->error : EXIT_MACHINE, "%s", v->err.text);
		status = status_of(v, s->strict);
		identical += status == EXIT_IDENTICAL;
		if (i == 0 || (status && !worst))
			v[1] = v[0];	/* the first run, or the first that went wrong, is the one to tell of */
		worst = status > worst ? status : worst;
		if (s->runs > 1 && !s->quiet && isatty(2))
			fprintf(stderr, "\rcapsule replay: run %u of %u, %u identical ", i + 1, s->runs, identical);
	}
	if (s->runs > 1 && !s->quiet && isatty(2))
		fputc('\n', stderr);
	/* An "identical" that is not the whole truth is never silent. */
	if (!s->quiet || (!worst && receipt_has_reservations(rec, &v[1])))
		receipt_text(stderr, rec, &v[1], s->runs, identical, s->o.run.verbose);
	if (s->json && write_receipt(self, s, rec, &v[1], s->runs, identical))
		return EXIT_USAGE;
	return worst;
}

static int cmd_replay(const struct cmd *self, int argc, char **argv)
{
	struct settings s = { 0 };
	struct err err = ERR_INIT;
	struct recording *rec;
	int status = parse(self, &s, argc, argv);

	if (status)
		return status;
	if (recording_load(&rec, s.file, &err) < 0)
		return cli_fail(self, EXIT_CAPSULE, "%s", err.text);
	if (run_settle(&s.o.run, rec, &err) < 0)
		status = cli_fail(self, EXIT_MACHINE, "%s", err.text);
	else
		status = run_all(self, &s, rec);
	run_end(&s.o.run);
	recording_free(rec);
	return status;
}

const struct cmd cmd_replay_desc = {
	"replay", "[OPTION]... FILE [-- CMD...]", "run a capsule again, offline, and compare", options, cmd_replay
};
