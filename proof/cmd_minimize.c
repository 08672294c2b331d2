/* SPDX-License-Identifier: Apache-2.0 */
/* capsule minimize: the same failure, from less. */
#include <linux/types.h>

#include "proof/minimize.h"

#include "format/cli.h"
#include "proof/git.h"
#include "replayer/options.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

enum { CANT_TELL = 125, INTERRUPTED = 130 };

static const struct opt options[] = {
	{ 'o', "output", "FILE", "where the smaller capsule goes (default: NAME.min.cap here)" },
	RUN_OPTIONS,
	{ 0, "signature", "EXPR", "what the failure is (default: the capsule's own signature)" },
	{ 'n', "runs", "N", "replay each N times, which must all say the same (default: 2)" },
	{ 'q', "quiet", NULL, "say nothing; the exit status tells" },
	{ 0 }
};

struct line {
	struct run_options o;
	struct minimize_options m;
	char out[PATH_MAX];
	bool quiet, progress;
};

/* 0, or the status to exit with. */
static int take_option(const struct cmd *self, struct line *l, const struct opt *o, const char *arg)
{
	int status = run_option(self, &l->o, o, arg);
	unsigned long n;

	if (status >= 0)
		return status;
	if (strcmp(o->name, "output") == 0) {
		l->m.out = arg;
	} else if (strcmp(o->name, "runs") == 0) {
		if (!number_from_1(arg, 1000, &n))
			return cli_fail(self, EXIT_USAGE, "--runs '%s': a number from 1 to 1000, please", arg);
		l->m.judge.runs = (unsigned int)n;
	} else if (strcmp(o->name, "signature") == 0) {
		l->m.judge.signature = arg;
	} else {
		l->quiet = true;
	}
	return 0;
}

/* "bad.min.cap" of "/tmp/bad.cap" */
static void name_output(struct line *l)
{
	const char *slash = strrchr(l->m.file, '/'), *name = slash ? slash + 1 : l->m.file;
	size_t len = strlen(name);

	if (len > 4 && strcmp(name + len - 4, ".cap") == 0)
		len -= 4;
	snprintf(l->out, sizeof(l->out), "%.*s.min.cap", (int)len, name);
	l->m.out = l->out;
}

static void numbers(const struct minimized *m)
{
	fprintf(stderr, "%zu of %zu sources, %.1f of %.1f KiB, %u tries", m->left, m->sources, (double)m->size / 1024, (double)m->before / 1024, m->tries);
}

static void tell(void *ctx, const struct minimized *m)
{
	const struct line *l = ctx;

	if (!l->progress)
		return;
	fputs("\r\033[Kcapsule minimize: ", stderr);
	numbers(m);
}

static int run(const struct cmd *self, struct line *l)
{
	struct sigaction stop = { .sa_handler = child_stop };
	struct minimized m;
	struct err err = ERR_INIT;
	int rc;

	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGTERM, &stop, NULL);
	sigaction(SIGHUP, &stop, NULL);
	l->progress = isatty(2) && !l->quiet;
	rc = minimize(&l->m, tell, l, &m, &err);
	if (l->progress)
		fputs("\r\033[K", stderr);
	if (rc < 0)
		return cli_fail(self, err.code == EINTR ? INTERRUPTED : err.code == ENODATA ? CANT_TELL : EXIT_CAPSULE, "%s", err.text);
	if (!l->quiet) {
		fprintf(stderr, "capsule minimize: %s: ", l->m.out);
		numbers(&m);
		fputs(m.interrupted ? "; interrupted, the smallest so far\n" : "; the failure is there\n", stderr);
	}
	return m.interrupted ? INTERRUPTED : 0;
}

static int cmd_minimize(const struct cmd *self, int argc, char **argv)
{
	static struct line l = { .m = { .judge = { .runs = 2 } } };
	struct cli cli = { .argc = argc, .argv = argv };
	const struct opt *o;
	const char *word;
	int status;

	while (cli_word(self, &cli, &o, &word)) {
		if (word && l.m.file)
			return cli_fail(self, EXIT_USAGE, "'%s': one capsule, please; a check comes behind --", word);
		if (word)
			l.m.file = word;
		else if ((status = take_option(self, &l, o, cli.arg)))
			return status;
	}
	if (!l.m.file)
		return cli_fail(self, EXIT_USAGE, "which capsule? (capsule minimize FILE)");
	if (cli.at < argc)
		l.m.check = argv + cli.at;
	if (!l.m.out)
		name_output(&l);
	l.o.run.silent = true;
	l.m.judge.run = l.o.run;
	l.m.seconds = (unsigned int)(l.o.run.limit_ns / 1000000000);
	return run(self, &l);
}

const struct cmd cmd_minimize_desc = {
	"minimize", "[OPTION]... FILE [-- CHECK...]", "the same failure from a smaller capsule", options, cmd_minimize
};
