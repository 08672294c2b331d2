/* SPDX-License-Identifier: Apache-2.0 */
#include "format/cleanup.h"
#include "format/cli.h"
#include "format/signature.h"
#include "recorder/recorder.h"
#include "sandbox/image_root.h"

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
	{ 0, "image", "REF", "run it in this container image, as its user; without a COMMAND the image's own" },
	{ 0, "ring", "SIZE", "ring buffer between kernel and recorder, a power of two (default: 16M)" },
	{ 0, "on-overflow", "WHAT", "lose (default): what finds no room in the ring is counted; pause: the command waits" },
	{ 0, "snapshot-limit", "SIZE", "of larger files only the hash is kept (default: 64M)" },
	{ 0, "aslr", NULL, "leave address space randomization on (then addresses differ in a replay)" },
	{ 0, "io-uring", "WHAT", "decline (default): programs take their other way; allow: it works, and is a hole" },
	{ 0, "signature", "EXPR", "what the failure is (default: found by itself; capsule.1 has the words)" },
	{ 'q', "quiet", NULL, "no closing line on stderr" },
	{ 'v', "verbose", NULL, "how much was lost in the closing line, also if it was nothing" },
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

static void say_result(const struct record_opts *o, const struct record_result *res, bool verbose)
{
	char size[32], fidelity[64] = "complete", lost[64] = "";

	format_size(res->size, size, sizeof(size));
	if (res->holes)
		snprintf(fidelity, sizeof(fidelity), "%" PRIu64 " hole%s", res->holes, res->holes > 1 ? "s" : "");
	if (res->lost || verbose)
		snprintf(lost, sizeof(lost), ", %" PRIu64 " record%s lost", res->lost, res->lost == 1 ? "" : "s");
	fprintf(stderr, "capsule record: %s: %s, %" PRIu64 " events, %s%s\n", o->file, size, res->events, fidelity, lost);
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
	bool quiet, verbose;
	const char *image;
	char default_name[NAME_MAX];
	char rootfs[PATH_MAX];
};

/* 0, or the status to exit with. */
static int take_option(const struct cmd *self, struct line *l, const struct opt *opt, const char *arg)
{
	_cleanup_signature_ struct signature *s = NULL;
	struct err err = ERR_INIT;

	if (strcmp(opt->name, "output") == 0) {
		l->o.file = arg;
	} else if (strcmp(opt->name, "rootfs") == 0) {
		if (!realpath(arg, l->rootfs))
			return cli_fail(self, EXIT_RECORDER, "--rootfs %s: %s", arg, strerror(errno));
		l->o.rootfs = l->rootfs;
	} else if (strcmp(opt->name, "image") == 0) {
		if (!image_is_reference(arg))
			return cli_fail(self, EXIT_RECORDER, "--image '%s': oci:DIR[:TAG], oci-archive:FILE, docker-archive:FILE, "
					"containers-storage:NAME, docker://HOST/NAME or sha256:DIGEST, please", arg);
		l->image = arg;
	} else if (strcmp(opt->name, "ring") == 0) {
		if (!cli_size(arg, &l->o.ring) || !is_ring_size(l->o.ring))
			return cli_fail(self, EXIT_RECORDER, "--ring %s: a power of two from 64K to 1G, please", arg);
	} else if (strcmp(opt->name, "on-overflow") == 0) {
		if (strcmp(arg, "lose") != 0 && strcmp(arg, "pause") != 0)
			return cli_fail(self, EXIT_RECORDER, "--on-overflow %s: lose or pause, please", arg);
		l->o.pause = strcmp(arg, "pause") == 0;
	} else if (strcmp(opt->name, "snapshot-limit") == 0) {
		if (!cli_size(arg, &l->o.snapshot_limit))
			return cli_fail(self, EXIT_RECORDER, "--snapshot-limit %s: a number of bytes, please, as in 64M", arg);
	} else if (strcmp(opt->name, "aslr") == 0) {
		l->o.aslr = true;
	} else if (strcmp(opt->name, "io-uring") == 0) {
		if (strcmp(arg, "allow") != 0 && strcmp(arg, "decline") != 0)
			return cli_fail(self, EXIT_RECORDER, "--io-uring %s: decline or allow, please", arg);
		l->o.io_uring = strcmp(arg, "allow") == 0;
	} else if (strcmp(opt->name, "signature") == 0) {
		if (signature_parse(&s, arg, &err) < 0)
			return cli_fail(self, EXIT_RECORDER, "--%s", err.text);
		l->o.signature = arg;
	} else if (strcmp(opt->name, "quiet") == 0) {
		l->quiet = true;
	} else if (strcmp(opt->name, "verbose") == 0) {
		l->verbose = true;
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

static void cleanup_container(struct container **c) { container_free(*c); }

/* The image and a container of it, in which the command is to run. */
static int enter_image(struct line *l, bool has_command, struct image **image, struct container **container, struct err *err)
{
	if (image_open(image, l->image, err) < 0 || container_new(container, *image, has_command ? l->o.argv : NULL, err) < 0)
		return err_in(err, "--image");
	l->o.container = *container;
	l->o.rootfs = (*container)->root;
	l->o.argv = (*container)->argv;
	return 0;
}

static int cmd_record(const struct cmd *self, int argc, char **argv)
{
	struct line l = { .o = { .rootfs = "/", .ring = 16 << 20, .snapshot_limit = 64 << 20 } };
	struct cli cli = { .argc = argc, .argv = argv };
	_cleanup_image_ struct image *image = NULL;
	_cleanup_(cleanup_container) struct container *container = NULL;
	struct err err = ERR_INIT;
	struct record_result res;
	const struct opt *opt;

	while ((opt = cli_next(self, &cli))) {
		int status = take_option(self, &l, opt, cli.arg);

		if (status)
			return status;
	}
	if (cli.at >= argc && !l.image)
		return cli_fail(self, EXIT_RECORDER, "no command given: capsule record -- COMMAND");
	if (l.image && strcmp(l.o.rootfs, "/") != 0)
		return cli_fail(self, EXIT_RECORDER, "--image and --rootfs: one of the two, please");
	l.o.argv = argv + cli.at;
	if (l.image && enter_image(&l, cli.at < argc, &image, &container, &err) < 0)
		return cli_fail(self, EXIT_RECORDER, "%s", err.text);
	choose_name(&l);
	if (record_run(&l.o, &res, &err) < 0)
		return cli_fail(self, EXIT_RECORDER, "%s", err.text);
	if (!res.started)
		return not_started(self, l.o.argv[0], res.exec_error);
	if (res.broken.code)
		cli_fail(self, 0, "the capsule is not whole: %s", res.broken.text);
	else if (!l.quiet)
		say_result(&l.o, &res, l.verbose);
	return exit_status(res.status);
}
