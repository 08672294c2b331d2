/* SPDX-License-Identifier: Apache-2.0 */
/* capsule check: is the failure there? Made for git bisect run. */
#include <linux/types.h>

#include "proof/judge.h"

#include "format/cli.h"
#include "format/text.h"
#include "replayer/options.h"

#include <string.h>

enum { CHECK_GONE = 0, CHECK_THERE = 1, CHECK_CANT_TELL = 125 };	/* as git-bisect(1) has them */

static const struct opt options[] = {
	RUN_OPTIONS,
	{ 0, "signature", "EXPR", "what the failure is (default: the capsule's own signature)" },
	{ 'n', "runs", "N", "replay N times, which must all say the same (default: 2)" },
	{ 0, "allow-holes", NULL, "take a failure for gone although the capsule has holes" },
	{ 'q', "quiet", NULL, "say nothing; the exit status tells" },
	{ 'v', "verbose", NULL, "show what the program prints" },
	{ 0 }
};

struct line {
	struct run_options o;
	struct judge_options j;
	const char *file;
	bool quiet, verbose;
};

/* 0, or the status to exit with. */
static int take_option(const struct cmd *self, struct line *l, const struct opt *o, const char *arg)
{
	int status = run_option(self, &l->o, o, arg);
	unsigned long n;

	if (status >= 0)
		return status;
	if (strcmp(o->name, "runs") == 0) {
		if (!number_from_1(arg, 1000, &n))
			return cli_fail(self, EXIT_USAGE, "--runs '%s': a number from 1 to 1000, please", arg);
		l->j.runs = (unsigned int)n;
	} else if (strcmp(o->name, "signature") == 0) {
		l->j.signature = arg;
	} else if (strcmp(o->name, "allow-holes") == 0) {
		l->j.allow_holes = true;
	} else if (strcmp(o->name, "quiet") == 0) {
		l->quiet = true;
	} else {
		l->verbose = true;
	}
	return 0;
}

static int say(const struct line *l, const struct judgement *j)
{
	static const int status[] = { [JUDGED_GONE] = CHECK_GONE, [JUDGED_THERE] = CHECK_THERE, [JUDGED_UNKNOWN] = CHECK_CANT_TELL };

	if (!l->quiet) {
		fputs("capsule check: ", stderr);
		if (j->judged == JUDGED_UNKNOWN)
			fprintf(stderr, "can't tell: %s", j->why);
		else if (!j->signature[0])
			fputs(j->judged == JUDGED_THERE ? "the output is not as recorded" : "the output is as recorded", stderr);
		else
			fputs(j->judged == JUDGED_THERE ? "the failure is there" : "the failure is gone", stderr);
		if (j->signature[0] && j->judged != JUDGED_UNKNOWN) {
			fputs(": ", stderr);
			text_plain(stderr, j->signature);
		} else if (j->judged == JUDGED_THERE) {
			fprintf(stderr, ": %s", j->v.first.what);
		}
		fputc('\n', stderr);
	}
	return j->usage ? EXIT_USAGE : status[j->judged];
}

static int cmd_check(const struct cmd *self, int argc, char **argv)
{
	struct line l = { .j = { .runs = 2 } };
	struct cli cli = { .argc = argc, .argv = argv };
	struct err err = ERR_INIT;
	static struct judgement j;
	struct recording *rec;
	const struct opt *o;
	const char *word;
	int status;

	while (cli_word(self, &cli, &o, &word)) {
		if (word && l.file)
			return cli_fail(self, EXIT_USAGE, "'%s': one capsule, please; a command comes behind --", word);
		if (word)
			l.file = word;
		else if ((status = take_option(self, &l, o, cli.arg)))
			return status;
	}
	if (!l.file)
		return cli_fail(self, EXIT_USAGE, "which capsule? (capsule check FILE)");
	if (recording_load(&rec, l.file, &err) < 0)
		return cli_fail(self, CHECK_CANT_TELL, "can't tell: %s", err.text);
	if (cli.at < argc)
		l.o.run.argv = argv + cli.at;
	if (run_settle(&l.o.run, rec, &err) < 0) {
		recording_free(rec);
		return cli_fail(self, CHECK_CANT_TELL, "can't tell: %s", err.text);
	}
	l.o.run.silent = !l.verbose;
	l.j.run = l.o.run;
	judge(rec, &l.j, &j);
	run_end(&l.o.run);
	recording_free(rec);
	return say(&l, &j);
}

const struct cmd cmd_check_desc = {
	"check", "[OPTION]... FILE [-- CMD...]", "is the recorded failure there? 0: gone, 1: there, 125: can't tell", options, cmd_check
};
