/* SPDX-License-Identifier: Apache-2.0 */
#include "format/cleanup.h"
#include "format/cli.h"
#include "format/signature.h"
#include "recorder/attach.h"
#include "recorder/container.h"
#include "recorder/identity.h"
#include "recorder/inside.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct opt attach_opts[] = {
	{ 'p', "pid", "PID", "this process and its descendants" },
	{ 0, "cgroup", "PATH", "all processes of a cgroup, and those that come into it" },
	{ 0, "container", "NAME", "all processes of a container of podman, docker or containerd" },
	{ 0, "for", "TIME", "for so long, as in 10s, 500ms or 2m (default: until INT or TERM, or all are gone)" },
	{ 0, "max-bytes", "SIZE", "the capsule is never larger, as in 50M" },
	{ 'o', "output", "FILE", "the capsule (default: capsule-attach-PID.cap here)" },
	{ 0, "clocks", "WHAT", "exact (default): readings are recorded; causal: the vDSO is left alone" },
	{ 0, "ring", "SIZE", "ring buffer between kernel and recorder, a power of two (default: 16M)" },
	{ 0, "on-overflow", "WHAT", "lose (default): what finds no room in the ring is counted; pause: the processes wait" },
	{ 0, "snapshot-limit", "SIZE", "of larger files only the hash is kept (default: 64M)" },
	{ 0, "signature", "EXPR", "what the failure is (default: found by itself; capsule.1 has the words)" },
	{ 'q', "quiet", NULL, "no closing line on stderr" },
	{ 'v', "verbose", NULL, "how much was lost and for how long a process was stopped, in the closing line" },
	{ 0 }
};

static int cmd_attach(const struct cmd *self, int argc, char **argv);

const struct cmd cmd_attach_desc = {
	.name = "attach",
	.args = "(--pid PID | --cgroup PATH | --container NAME) [OPTION]... [-- COMMAND [ARG]...]",
	.summary = "Records programs that run already, into a capsule; COMMAND is how they are started, if that can't be seen any more.",
	.opts = attach_opts,
	.run = cmd_attach,
};

struct line {			/* the command line, understood */
	struct record_opts o;
	bool quiet, verbose;
	pid_t pid;
	struct inside *inside;	/* of --container */
	char default_name[NAME_MAX], what[PATH_MAX], cgroup[PATH_MAX];
};

/* "10s", "500ms", "2m", "1h"; a number alone: seconds. False: none of these. */
static bool duration(const char *text, uint64_t *ns)
{
	static const struct { const char *unit; double ns; } units[] = { { "", 1e9 }, { "s", 1e9 }, { "ms", 1e6 }, { "m", 60e9 }, { "h", 3600e9 } };
	char *end;
	double n = strtod(text, &end);

	for (size_t i = 0; end != text && i < sizeof(units) / sizeof(units[0]); i++)
		if (strcmp(end, units[i].unit) == 0 && n > 0 && n * units[i].ns < 1e18) {
			*ns = (uint64_t)(n * units[i].ns);
			return *ns > 0;
		}
	return false;
}

static int already(const struct cmd *self, const struct line *l)
{
	return l->what[0] ? cli_fail(self, EXIT_RECORDER, "one of --pid, --cgroup and --container, please") : 0;
}

static int take_pid(const struct cmd *self, struct line *l, const char *arg)
{
	char *end;
	long n = strtol(arg, &end, 10);

	if (*end || n <= 0 || n > INT_MAX)
		return cli_fail(self, EXIT_RECORDER, "--pid %s: the number of a process, please", arg);
	l->pid = (pid_t)n;
	l->o.attach.pids = &l->pid;
	l->o.attach.npids = 1;
	snprintf(l->what, sizeof(l->what), "pid %ld", n);
	return 0;
}

static void close_line(struct line *l) { inside_free(l->inside); }

/* An image that is not known is a hole, and the replay has to be told one. */
static int find_container(struct line *l, const char *name, struct err *err)
{
	struct found_container c;
	char called[600];

	if (container_find(&c, name, err) < 0)
		return -err->code;
	snprintf(l->cgroup, sizeof(l->cgroup), "%s", c.cgroup);
	snprintf(called, sizeof(called), "%s %.500s", c.engine, name);
	if (inside_new(&l->inside, called, c.image[0] ? c.image : NULL, c.called[0] ? c.called : NULL, err) < 0)
		return -err->code;
	return inside_enter(l->inside, c.pid, &l->o, err);
}

static int take_scope(const struct cmd *self, struct line *l, const char *name, const char *arg)
{
	struct err err = ERR_INIT;

	if (already(self, l))
		return EXIT_RECORDER;
	if (strcmp(name, "pid") == 0)
		return take_pid(self, l, arg);
	if (strcmp(name, "cgroup") == 0 ? cgroup_dir(arg, l->cgroup, &err) < 0 : find_container(l, arg, &err) < 0)
		return cli_fail(self, EXIT_RECORDER, "--%s %s: %s", name, arg, err.text);
	l->o.attach.cgroup = l->cgroup;
	snprintf(l->what, sizeof(l->what), "%s %.1000s", name, arg);
	return 0;
}

static int take_size(const struct cmd *self, const char *name, const char *arg, uint64_t least, uint64_t *ret)
{
	if (cli_size(arg, ret) && *ret >= least)
		return 0;
	return cli_fail(self, EXIT_RECORDER, "--%s %s: a number of bytes, please, as in 64M%s", name, arg, least > 1 ? "; 64K at least" : "");
}

static int take_word(const struct cmd *self, const char *name, const char *arg, const char *no, const char *yes, bool *ret)
{
	if (strcmp(arg, no) != 0 && strcmp(arg, yes) != 0)
		return cli_fail(self, EXIT_RECORDER, "--%s %s: %s or %s, please", name, arg, no, yes);
	*ret = strcmp(arg, yes) == 0;
	return 0;
}

/* 0, or the status to exit with. */
static int take_option(const struct cmd *self, struct line *l, const char *name, const char *arg)
{
	_cleanup_signature_ struct signature *s = NULL;
	struct err err = ERR_INIT;

	if (strcmp(name, "pid") == 0 || strcmp(name, "cgroup") == 0 || strcmp(name, "container") == 0)
		return take_scope(self, l, name, arg);
	if (strcmp(name, "for") == 0)
		return duration(arg, &l->o.attach.for_ns) ? 0 : cli_fail(self, EXIT_RECORDER, "--for %s: a time, please, as in 10s", arg);
	if (strcmp(name, "max-bytes") == 0)
		return take_size(self, name, arg, 64 << 10, &l->o.max_bytes);
	if (strcmp(name, "snapshot-limit") == 0)
		return take_size(self, name, arg, 0, &l->o.snapshot_limit);
	if (strcmp(name, "clocks") == 0)
		return take_word(self, name, arg, "exact", "causal", &l->o.attach.causal);
	if (strcmp(name, "on-overflow") == 0)
		return take_word(self, name, arg, "lose", "pause", &l->o.pause);
	if (strcmp(name, "ring") == 0 && (!cli_size(arg, &l->o.ring) || l->o.ring < 1 << 16 || l->o.ring > 1u << 30 || (l->o.ring & (l->o.ring - 1))))
		return cli_fail(self, EXIT_RECORDER, "--ring %s: a power of two from 64K to 1G, please", arg);
	if (strcmp(name, "signature") == 0 && signature_parse(&s, arg, &err) < 0)
		return cli_fail(self, EXIT_RECORDER, "--%s", err.text);
	if (strcmp(name, "output") == 0)
		l->o.file = arg;
	else if (strcmp(name, "signature") == 0)
		l->o.signature = arg;
	l->quiet |= strcmp(name, "quiet") == 0;
	l->verbose |= strcmp(name, "verbose") == 0;
	return 0;
}

static void say_result(const struct record_opts *o, const struct record_result *res, bool verbose)
{
	char fidelity[64] = "complete", more[128] = "";

	if (res->holes)
		snprintf(fidelity, sizeof(fidelity), "%" PRIu64 " hole%s", res->holes, res->holes > 1 ? "s" : "");
	if (res->lost || verbose)
		snprintf(more, sizeof(more), ", %" PRIu64 " record%s lost, stopped for %.2f ms at most", res->lost, res->lost == 1 ? "" : "s",
			 (double)res->longest_stop / 1e6);
	fprintf(stderr, "capsule attach: %s: %" PRIu64 " bytes, %" PRIu64 " events, %s, ended: %s%s\n", o->file, res->size, res->events,
		fidelity, res->ended, more);
}

static void free_words(char ***words)
{
	for (char **w = *words; w && *w; w++)
		free(*w);
	free(*words);
}

static int cmd_attach(const struct cmd *self, int argc, char **argv)
{
	_cleanup_(close_line) struct line l = { .o = { .rootfs = "/", .ring = 16 << 20, .snapshot_limit = 64 << 20, .io_uring = true } };
	struct cli cli = { .argc = argc, .argv = argv };
	struct err err = ERR_INIT;
	struct record_result res;
	const struct opt *opt;

	while ((opt = cli_next(self, &cli))) {
		int status = take_option(self, &l, opt->name, cli.arg);

		if (status)
			return status;
	}
	if (!l.what[0])
		return cli_fail(self, EXIT_RECORDER, "what to record? --pid, --cgroup or --container says it");
	l.o.attach.what = l.what;
	_cleanup_(free_words) char **words = NULL;
	if (cli.at < argc)
		l.o.argv = argv + cli.at;
	else
		l.o.argv = words = identity_argv(attach_root(&l.o));
	if (!l.o.argv || !l.o.argv[0])
		return cli_fail(self, EXIT_RECORDER, "%s: no such process, or none that was started by a command", l.what);
	if (!l.o.file) {
		snprintf(l.default_name, sizeof(l.default_name), "capsule-attach-%d.cap", (int)(l.pid ? l.pid : getpid()));
		l.o.file = l.default_name;
	}
	if (attach_run(&l.o, &res, &err) < 0)
		return cli_fail(self, EXIT_RECORDER, "%s", err.text);
	if (res.broken.code && res.broken.code != EDQUOT)
		return cli_fail(self, EXIT_RECORDER, "the capsule is not whole: %s", res.broken.text);
	if (!l.quiet)
		say_result(&l.o, &res, l.verbose);
	return 0;
}
