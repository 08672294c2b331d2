/* SPDX-License-Identifier: Apache-2.0 */
#include "format/cli.h"
#include "recorder/recorder.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct opt record_opts[] = {
	{ 'o', "output", "FILE", "the capsule (default: capsule-NAME-PID.cap here)" },
	{ 0, "rootfs", "DIR", "run the command in the root file system DIR (default: /)" },
	{ 0, "ring", "SIZE", "ring buffer between kernel and recorder, a power of two (default: 16M)" },
	{ 0, "snapshot-limit", "SIZE", "of larger files only the hash is kept (default: 64M)" },
	{ 0, "aslr", NULL, "leave address space randomization on (then addresses differ in a replay)" },
	{ 'q', "quiet", NULL, "no closing line on stderr" },
	{ 0 }
};

static int cmd_record(const struct cmd *self, int argc, char **argv);

const struct cmd cmd_record_desc = {
	.name = "record",
	.args = "[OPTION]... [--] COMMAND [ARG]...",
	.summary = "Runs COMMAND and records it, with all its descendants, into a capsule.",
	.opts = record_opts,
	.run = cmd_record,
};

/* "64M" in bytes; false: not a size. */
static bool parse_size(const char *text, uint64_t *ret)
{
	static const char units[] = "KMG";
	const char *unit;
	char *end;
	uint64_t n;

	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno || end == text || text[0] == '-')
		return false;
	if (*end) {
		unit = strchr(units, *end);
		if (!unit || end[1])
			return false;
		for (const char *u = units; u <= unit; u++) {
			if (n > UINT64_MAX / 1024)
				return false;
			n *= 1024;
		}
	}
	*ret = n;
	return true;
}

static bool is_ring_size(uint64_t n)
{
	return n >= 1 << 16 && n <= 1u << 30 && !(n & (n - 1));
}

static void format_size(uint64_t n, char *buf, size_t len)
{
	if (n < 10 * 1024)
		snprintf(buf, len, "%" PRIu64 " bytes", n);
	else if (n < 10 * 1024 * 1024)
		snprintf(buf, len, "%" PRIu64 " KiB", n / 1024);
	else
		snprintf(buf, len, "%" PRIu64 " MiB", n / (1024 * 1024));
}

static void say_result(const struct record_opts *o, const struct record_result *res)
{
	char size[32], fidelity[64] = "complete";

	format_size(res->size, size, sizeof(size));
	if (res->holes)
		snprintf(fidelity, sizeof(fidelity), "%" PRIu64 " hole%s", res->holes, res->holes > 1 ? "s" : "");
	fprintf(stderr, "capsule record: %s: %s, %" PRIu64 " events, %s\n", o->file, size, res->events, fidelity);
}

static int exit_status(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int not_started(const struct cmd *self, const char *name, int e)
{
	if (e == ENOENT)
		return cli_fail(self, 127, "%s: %s", name, strchr(name, '/') ? "no such file" : "command not found");
	return cli_fail(self, 126, "%s: can't be executed: %s", name, strerror(e));
}

struct line {			/* the command line, understood */
	struct record_opts o;
	bool quiet;
	char default_name[NAME_MAX];
	char rootfs[PATH_MAX];
};

/* 0, or the status to exit with. */
static int take_option(const struct cmd *self, struct line *l, const struct opt *opt, const char *arg)
{
	if (strcmp(opt->name, "output") == 0) {
		l->o.file = arg;
	} else if (strcmp(opt->name, "rootfs") == 0) {
		if (!realpath(arg, l->rootfs))
			return cli_fail(self, EXIT_RECORDER, "--rootfs %s: %s", arg, strerror(errno));
		l->o.rootfs = l->rootfs;
	} else if (strcmp(opt->name, "ring") == 0) {
		if (!parse_size(arg, &l->o.ring) || !is_ring_size(l->o.ring))
			return cli_fail(self, EXIT_RECORDER, "--ring %s: a power of two from 64K to 1G, please", arg);
	} else if (strcmp(opt->name, "snapshot-limit") == 0) {
		if (!parse_size(arg, &l->o.snapshot_limit))
			return cli_fail(self, EXIT_RECORDER, "--snapshot-limit %s: a number of bytes, please, as in 64M", arg);
	} else if (strcmp(opt->name, "aslr") == 0) {
		l->o.aslr = true;
	} else if (strcmp(opt->name, "quiet") == 0) {
		l->quiet = true;
	}
	return 0;
}

static void choose_name(struct line *l)
{
	const char *slash = strrchr(l->o.argv[0], '/');

	if (l->o.file)
		return;
	snprintf(l->default_name, sizeof(l->default_name), "capsule-%.200s-%d.cap", slash ? slash + 1 : l->o.argv[0], (int)getpid());
	l->o.file = l->default_name;
}

static int cmd_record(const struct cmd *self, int argc, char **argv)
{
	struct line l = { .o = { .rootfs = "/", .ring = 16 << 20, .snapshot_limit = 64 << 20 } };
	struct cli cli = { .argc = argc, .argv = argv };
	struct err err = ERR_INIT;
	struct record_result res;
	const struct opt *opt;

	while ((opt = cli_next(self, &cli))) {
		int status = take_option(self, &l, opt, cli.arg);

		if (status)
			return status;
	}
	if (cli.at >= argc)
		return cli_fail(self, EXIT_RECORDER, "no command given: capsule record -- COMMAND");
	l.o.argv = argv + cli.at;
	choose_name(&l);
	if (record_run(&l.o, &res, &err) < 0)
		return cli_fail(self, EXIT_RECORDER, "%s", err.text);
	if (!res.started)
		return not_started(self, l.o.argv[0], res.exec_error);
	if (res.broken.code)
		cli_fail(self, 0, "the capsule is not whole: %s", res.broken.text);
	else if (!l.quiet)
		say_result(&l.o, &res);
	return exit_status(res.status);
}
