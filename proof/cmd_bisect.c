/* SPDX-License-Identifier: Apache-2.0 */
/* capsule bisect: the first commit that has the failure. */
#include <linux/types.h>

#include "proof/bisect.h"

#include "format/cleanup.h"
#include "format/cli.h"
#include "format/text.h"
#include "proof/git.h"
#include "replayer/options.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { CANT_TELL = 125, INTERRUPTED = 130 };

static const struct opt options[] = {
	{ 0, "good", "REV", "a commit without the failure" },
	{ 0, "bad", "REV", "a commit with it (default: HEAD)" },
	{ 0, "build", "CMD", "how to build, in the root of a check-out" },
	{ 0, "repo", "DIR", "the repository (default: the one here)" },
	RUN_OPTIONS,
	{ 0, "signature", "EXPR", "what the failure is (default: the capsule's own signature)" },
	{ 'n', "runs", "N", "replay N times, which must all say the same (default: 2)" },
	{ 0, "allow-holes", NULL, "take a failure for gone although the capsule has holes" },
	{ 0, "scores", "FILE", "lines COMMIT WEIGHT: likely commits are tried first" },
	{ 0, "build-timeout", "SECONDS", "a build that takes longer does not build" },
	{ 0, "incremental", NULL, "keep what was built from one commit to the next" },
	{ 0, "no-cache", NULL, "judge again what was judged in an earlier bisection" },
	{ 'q', "quiet", NULL, "say only what was found" },
	{ 0 }
};

struct line {
	struct run_options o;
	struct bisect_options b;
	const char *timeout;
	bool quiet;
};

/* The binds' hosts are looked for after each build, so they stay as they were given. */
static int add_bind(const struct cmd *self, struct line *l, char *arg)
{
	char *colon = strchr(arg, ':');

	if (!colon || colon == arg || !path_is_clean(colon + 1, strlen(colon + 1)))
		return cli_fail(self, EXIT_USAGE, "--bind '%s': HOST:GUEST, please, GUEST being an absolute path", arg);
	if (l->b.nbinds == BISECT_BINDS)
		return cli_fail(self, EXIT_USAGE, "--bind: at most %d", BISECT_BINDS);
	*colon = 0;
	l->b.binds[l->b.nbinds][0] = arg;
	l->b.binds[l->b.nbinds++][1] = colon + 1;
	return 0;
}

/* 0, or the status to exit with. */
static int take_option(const struct cmd *self, struct line *l, const struct opt *o, const char *arg)
{
	const struct { const char *name; const char **to; } texts[] = {
		{ "good", &l->b.good }, { "bad", &l->b.bad }, { "build", &l->b.build }, { "repo", &l->b.repo },
		{ "signature", &l->b.judge.signature }, { "scores", &l->b.scores },
	};
	unsigned long n;
	int status;

	if (strcmp(o->name, "bind") == 0)
		return add_bind(self, l, (char *)arg);
	if (strcmp(o->name, "timeout") == 0)
		l->timeout = arg;
	status = run_option(self, &l->o, o, arg);
	if (status >= 0)
		return status;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (strcmp(o->name, texts[i].name) == 0) {
			*texts[i].to = arg;
			return 0;
		}
	if (strcmp(o->name, "runs") == 0 || strcmp(o->name, "build-timeout") == 0) {
		if (!number_from_1(arg, 1000000, &n))
			return cli_fail(self, EXIT_USAGE, "--%s '%s': a number from 1, please", o->name, arg);
		*(o->name[0] == 'r' ? &l->b.judge.runs : &l->b.build_seconds) = (unsigned int)n;
	} else if (strcmp(o->name, "allow-holes") == 0) {
		l->b.judge.allow_holes = true;
	} else if (strcmp(o->name, "incremental") == 0) {
		l->b.keep_built = true;
	} else if (strcmp(o->name, "no-cache") == 0) {
		l->b.no_cache = true;
	} else {
		l->quiet = true;
	}
	return 0;
}

static void tell(void *ctx, const struct bisect_step *s)
{
	static const char *const words[] = { [JUDGED_GONE] = "good", [JUDGED_THERE] = "bad", [JUDGED_UNKNOWN] = "skipped" };
	const struct line *l = ctx;

	if (l->quiet)
		return;
	fprintf(stderr, "capsule bisect: %.12s %s", s->oid, words[s->judged]);
	if (s->judged == JUDGED_UNKNOWN) {
		fputs(", ", stderr);
		text_plain(stderr, s->why);
	} else if (s->how == STEP_CACHED) {
		fputs(", known from an earlier build", stderr);
	} else {
		fprintf(stderr, ", built in %.1f s, replayed in %.1f s", s->build_seconds, s->replay_seconds);
	}
	if (s->left > 1)
		fprintf(stderr, "; %zu commits left", s->left);
	fputs(": ", stderr);
	text_plain(stderr, s->subject);
	fputc('\n', stderr);
}

static void by_word(FILE *f, const char *option, const char *value)
{
	if (!value)
		return;
	fprintf(f, " --%s ", option);
	text_shell(f, value);
}

/* What a person types to see the same. */
static void by_hand(const struct line *l)
{
	const struct bisect_options *b = &l->b;

	fputs("by hand:\n  git bisect start ", stdout);
	text_shell(stdout, b->bad);
	putchar(' ');
	text_shell(stdout, b->good);
	fputs("\n  git bisect run sh -c ", stdout);
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return;
	fprintf(f, "(%s) || exit 125; capsule check", b->build);
	for (size_t i = 0; i < b->nbinds; i++) {
		fputs(" --bind ", f);
		text_shell(f, b->binds[i][0]);
		putc(':', f);
		text_shell(f, b->binds[i][1]);
	}
	by_word(f, "image", l->o.run.image);
	by_word(f, "rootfs", l->o.run.in ? NULL : l->o.run.rootfs);	/* an image's was found by run_settle() */
	for (size_t i = 0; i < l->o.run.nimages; i++)
		by_word(f, "images", l->o.run.images[i]);
	if (l->timeout)
		fprintf(f, " --timeout %s", l->timeout);
	if (b->judge.allow_holes)
		fputs(" --allow-holes", f);
	by_word(f, "signature", b->judge.signature);
	putc(' ', f);
	_cleanup_free_ char *file = realpath(b->file, NULL);
	text_shell(f, file ? file : b->file);
	fclose(f);
	text_shell(stdout, text);
	free(text);
	putchar('\n');
}

static int say(const struct cmd *self, const struct line *l, const struct bisect_result *r)
{
	if (!r->oid[0])
		return cli_fail(self, CANT_TELL, "none of the %zu commits that are left can be judged; the first bad one is among them", r->suspects);
	printf("first bad commit: %s ", r->oid);
	text_plain(stdout, r->subject);
	printf("\n%u steps, %u builds", r->steps, r->builds);
	if (r->broken)
		printf(", %u did not build", r->broken);
	putchar('\n');
	if (r->plain_tries)
		printf("the scores saved %d steps: %u instead of %u\n", (int)r->plain_tries - (int)r->scored_tries, r->scored_tries, r->plain_tries);
	printf("evidence: the failure is in %.12s and not in %.12s\n", r->bad_evidence, r->good_evidence);
	printf("%s\n", r->log);
	by_hand(l);
	return 0;
}

static int run(const struct cmd *self, struct line *l)
{
	struct bisect_result result = { 0 };
	struct sigaction stop = { .sa_handler = child_stop };
	struct err err = ERR_INIT;
	struct recording *rec;
	int status;

	if (recording_load(&rec, l->b.file, &err) < 0)
		return cli_fail(self, CANT_TELL, "%s", err.text);
	if (run_settle(&l->o.run, rec, &err) < 0) {
		recording_free(rec);
		return cli_fail(self, CANT_TELL, "%s", err.text);
	}
	l->o.run.silent = true;
	l->b.judge.run = l->o.run;
	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGTERM, &stop, NULL);
	sigaction(SIGHUP, &stop, NULL);
	if (bisect(rec, &l->b, tell, l, &result, &err) < 0)
		status = cli_fail(self, err.code == EINTR ? INTERRUPTED : err.code == EINVAL ? EXIT_USAGE : CANT_TELL, "%s", err.text);
	else
		status = say(self, l, &result);
	bisect_result_clear(&result);
	run_end(&l->o.run);
	recording_free(rec);
	return status;
}

static int cmd_bisect(const struct cmd *self, int argc, char **argv)
{
	static struct line l;
	struct cli cli = { .argc = argc, .argv = argv };
	const struct opt *o;
	const char *word;
	int status;

	l.b.judge.runs = 2;
	l.b.repo = ".";
	l.b.bad = "HEAD";
	while (cli_word(self, &cli, &o, &word)) {
		if (word && l.b.file)
			return cli_fail(self, EXIT_USAGE, "'%s': one capsule, please; a command comes behind --", word);
		if (word)
			l.b.file = word;
		else if ((status = take_option(self, &l, o, cli.arg)))
			return status;
	}
	if (!l.b.file || !l.b.good || !l.b.build)
		return cli_fail(self, EXIT_USAGE, "%s, please (capsule bisect FILE --good REV --build CMD)",
				!l.b.file ? "a capsule" : !l.b.good ? "--good" : "--build");
	if (cli.at < argc)
		l.o.run.argv = argv + cli.at;
	return run(self, &l);
}

const struct cmd cmd_bisect_desc = {
	"bisect", "FILE --good REV [--bad REV] --build CMD [OPTION]... [-- CMD...]", "find the first commit that has the recorded failure",
	options, cmd_bisect
};
