/* SPDX-License-Identifier: Apache-2.0 */
/* capsule replay: runs a capsule again and says whether it came to the same. */
#include <linux/types.h>

#include "replayer/replay.h"
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

enum { MAX_BINDS = 64 };

struct settings {
	struct replay_options run;
	const char *file, *json;
	unsigned int runs;
	bool quiet, strict;
	const char *pair[MAX_BINDS][2];
};

static const struct opt options[] = {
	{ 0, "rootfs", "DIR", "replay in this root file system (default: the recorded one)" },
	{ 0, "bind", "HOST:GUEST", "put HOST at GUEST, read-only; may be given again" },
	{ 'n', "runs", "N", "replay N times; the verdict is the worst" },
	{ 0, "allow-changed", NULL, "go on where files of the image differ from the recorded ones" },
	{ 0, "strict", NULL, "a miss is a divergence" },
	{ 0, "speed", "real|virtual", "let sleeps and timeouts take their time (default: virtual)" },
	{ 0, "timeout", "SECONDS", "give a run up after so long (default: 60 s and thrice the recorded time)" },
	{ 0, "json", "FILE|FD", "write a machine-readable receipt" },
	{ 'q', "quiet", NULL, "say nothing of a clean replay, nor of one whose status tells" },
	{ 'v', "verbose", NULL, "list every miss, change and hole" },
	{ 0 }
};

static bool number(const char *text, unsigned long max, unsigned long *ret)
{
	char *end;

	errno = 0;
	*ret = strtoul(text, &end, 10);
	return !errno && end != text && !*end && text[0] != '-' && *ret > 0 && *ret <= max;
}

/* 0, or the status to exit with. */
static int add_bind(const struct cmd *self, struct settings *s, char *arg)
{
	char *colon = strchr(arg, ':');

	if (!colon || colon == arg || !path_is_clean(colon + 1, strlen(colon + 1)))
		return cli_fail(self, EXIT_USAGE, "--bind '%s': HOST:GUEST, please, GUEST being an absolute path", arg);
	if (s->run.nbinds == MAX_BINDS)
		return cli_fail(self, EXIT_USAGE, "--bind: at most %d", MAX_BINDS);
	*colon = 0;
	s->pair[s->run.nbinds][0] = arg;
	s->pair[s->run.nbinds++][1] = colon + 1;
	return 0;
}

static int take_option(const struct cmd *self, struct settings *s, const struct opt *o, const char *arg)
{
	unsigned long n;

	if (strcmp(o->name, "rootfs") == 0) {
		s->run.rootfs = arg;
	} else if (strcmp(o->name, "bind") == 0) {
		return add_bind(self, s, (char *)arg);
	} else if (strcmp(o->name, "runs") == 0) {
		if (!number(arg, 1000000, &n))
			return cli_fail(self, EXIT_USAGE, "--runs '%s': a number from 1, please", arg);
		s->runs = (unsigned int)n;
	} else if (strcmp(o->name, "timeout") == 0) {
		if (!number(arg, 1000000, &n))
			return cli_fail(self, EXIT_USAGE, "--timeout '%s': seconds, please", arg);
		s->run.limit_ns = n * 1000000000ull;
	} else if (strcmp(o->name, "speed") == 0) {
		if (strcmp(arg, "real") != 0 && strcmp(arg, "virtual") != 0)
			return cli_fail(self, EXIT_USAGE, "--speed '%s': real or virtual", arg);
		s->run.real_speed = arg[0] == 'r';
	} else if (strcmp(o->name, "allow-changed") == 0) {
		s->run.allow_changed = true;
	} else if (strcmp(o->name, "strict") == 0) {
		s->strict = true;
	} else if (strcmp(o->name, "json") == 0) {
		s->json = arg;
	} else if (strcmp(o->name, "quiet") == 0) {
		s->quiet = true;
	} else {
		s->run.verbose = true;
	}
	return 0;
}

/* 0, or the status to exit with. */
static int parse(const struct cmd *self, struct settings *s, int argc, char **argv)
{
	struct cli cli = { .argc = argc, .argv = argv };
	const struct opt *o;
	int status;

	s->runs = 1;
	while ((o = cli_next(self, &cli)))
		if ((status = take_option(self, s, o, cli.arg)))
			return status;
	if (cli.at >= argc)
		return cli_fail(self, EXIT_USAGE, "which capsule? (capsule replay FILE)");
	s->file = argv[cli.at++];
	while (cli.at < argc && strcmp(argv[cli.at], "--") != 0 && (o = cli_next(self, &cli)))
		if ((status = take_option(self, s, o, cli.arg)))
			return status;
	if (cli.at < argc && strcmp(argv[cli.at], "--") == 0)
		cli.at++;
	if (cli.at < argc)
		s->run.argv = argv + cli.at;
	s->run.binds = (const char *const (*)[2])s->pair;
	return 0;
}

/* One run in a process of its own: it enters namespaces that it cannot leave. */
static int run_once(struct recording *rec, const struct replay_options *opts, struct verdict *v)
{
	pid_t parent = getpid(), pid = fork();
	int status;

	if (pid < 0)
		return err_sys(&v->err, errno, "starting the replayer");
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(0);
		replay_run(rec, opts, v);
		_exit(0);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_sys(&v->err, errno, "waiting for the replayer");
	if (WIFSIGNALED(status))
		return err_set(&v->err, EIO, "the replayer itself was killed by SIG%s", sigabbrev_np(WTERMSIG(status)) ?: "?");
	if (WEXITSTATUS(status))
		return err_set(&v->err, EIO, "the replayer itself ended with status %d", WEXITSTATUS(status));
	return v->error ? -EIO : 0;
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
	bool is_fd = strcmp(s->json, "0") != 0 && number(s->json, INT_MAX, &n);

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
		if (files_check(rec, s->run.rootfs ? s->run.rootfs : rec->m->rootfs, s->run.allow_changed, v, &v->err) < 0)
			return cli_fail(self, EXIT_MACHINE, "%s", v->err.text);
		if (run_once(rec, &s->run, v) < 0)
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
		receipt_text(stderr, rec, &v[1], s->runs, identical, s->run.verbose);
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
	if (!s.run.limit_ns)
		s.run.limit_ns = 60000000000ull + 3 * rec->end->duration;
	status = run_all(self, &s, rec);
	recording_free(rec);
	return status;
}

const struct cmd cmd_replay_desc = {
	"replay", "[OPTION]... FILE [-- CMD...]", "run a capsule again, offline, and compare", options, cmd_replay
};
