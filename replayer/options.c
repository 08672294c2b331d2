/* SPDX-License-Identifier: Apache-2.0 */
#include <linux/types.h>

#include "replayer/options.h"

#include "sandbox/image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool number_from_1(const char *text, unsigned long max, unsigned long *ret)
{
	char *end;

	errno = 0;
	*ret = strtoul(text, &end, 10);
	return !errno && end != text && !*end && text[0] != '-' && *ret > 0 && *ret <= max;
}

/* 0, or the status to exit with. */
static int add_bind(const struct cmd *self, struct run_options *o, char *arg)
{
	char *colon = strchr(arg, ':'), *host;

	if (!colon || colon == arg || !path_is_clean(colon + 1, strlen(colon + 1)))
		return cli_fail(self, EXIT_USAGE, "--bind '%s': HOST:GUEST, please, GUEST being an absolute path", arg);
	if (o->run.nbinds == MAX_BINDS)
		return cli_fail(self, EXIT_USAGE, "--bind: at most %d", MAX_BINDS);
	*colon = 0;
	host = realpath(arg, NULL);	/* kept: a run uses it elsewhere than here */
	if (!host)
		return cli_fail(self, EXIT_MACHINE, "--bind %s: %s", arg, strerror(errno));
	o->run.binds = (const char *const (*)[2])o->pair;
	o->pair[o->run.nbinds][0] = host;
	o->pair[o->run.nbinds++][1] = colon + 1;
	return 0;
}

/* One of the limits' options: 0, the status to exit with, or -1. */
static int limit_option(const struct cmd *self, struct replay_options *run, const struct opt *opt, const char *arg)
{
	const struct { const char *name; uint64_t *size, *number; } limits[] = {
		{ "max-memory", &run->max_memory, NULL }, { "max-disk", &run->max_disk, NULL }, { "max-file", &run->max_file, NULL },
		{ "max-tasks", NULL, &run->max_tasks }, { "max-cpu", NULL, &run->max_cpu },
	};
	unsigned long n;

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		if (strcmp(opt->name, limits[i].name) != 0)
			continue;
		if (limits[i].size && (!cli_size(arg, limits[i].size) || !*limits[i].size))
			return cli_fail(self, EXIT_USAGE, "--%s '%s': a size, please, as in 64M", opt->name, arg);
		if (limits[i].number && !number_from_1(arg, 1000000, &n))
			return cli_fail(self, EXIT_USAGE, "--%s '%s': a number from 1, please", opt->name, arg);
		if (limits[i].number)
			*limits[i].number = n;
		return 0;
	}
	return -1;
}

int run_option(const struct cmd *self, struct run_options *o, const struct opt *opt, const char *arg)
{
	unsigned long n;

	if (strcmp(opt->name, "rootfs") == 0) {
		o->run.rootfs = arg;
	} else if (strcmp(opt->name, "image") == 0) {
		if (!image_is_reference(arg))
			return cli_fail(self, EXIT_USAGE, "--image '%s': oci:DIR[:TAG], oci-archive:FILE, docker-archive:FILE, "
					"containers-storage:NAME, docker://HOST/NAME or sha256:DIGEST, please", arg);
		o->run.image = arg;
	} else if (strcmp(opt->name, "images") == 0) {
		if (o->run.nimages == MAX_PLACES)
			return cli_fail(self, EXIT_USAGE, "--images: at most %d", MAX_PLACES);
		o->run.images = o->images;
		o->images[o->run.nimages++] = arg;
	} else if (strcmp(opt->name, "bind") == 0) {
		return add_bind(self, o, (char *)arg);
	} else if (strcmp(opt->name, "timeout") == 0) {
		if (!number_from_1(arg, 1000000, &n))
			return cli_fail(self, EXIT_USAGE, "--timeout '%s': seconds, please", arg);
		o->run.limit_ns = n * 1000000000ull;
	} else if (strcmp(opt->name, "speed") == 0) {
		if (strcmp(arg, "real") != 0 && strcmp(arg, "virtual") != 0)
			return cli_fail(self, EXIT_USAGE, "--speed '%s': real or virtual", arg);
		o->run.real_speed = arg[0] == 'r';
	} else if (strcmp(opt->name, "window") == 0) {
		if (!cli_size(arg, &o->run.window) || o->run.window < MIN_WINDOW)
			return cli_fail(self, EXIT_USAGE, "--window '%s': a size from 1M, please, as in 64M", arg);
	} else if (strcmp(opt->name, "allow-changed") == 0) {
		o->run.allow_changed = true;
	} else {
		return limit_option(self, &o->run, opt, arg);
	}
	return 0;
}

static int settle_image(struct replay_options *run, const struct recording *rec, struct err *err)
{
	int e;

	if (run->image)
		e = image_open(&run->in, run->image, err);
	else
		e = image_find(&run->in, rec->m, run->images, run->nimages, err);
	if (e < 0)
		return run->image ? err_in(err, "--image") : e;
	run->rootfs = run->in->root;
	return 0;
}

int run_settle(struct replay_options *run, const struct recording *rec, struct err *err)
{
	if (!run->limit_ns)
		run->limit_ns = 60000000000ull + 3 * rec->end->duration;
	if (!run->window)
		run->window = RECORDING_WINDOW;
	if (run->image && run->rootfs)
		return err_set(err, EINVAL, "--image and --rootfs: one of the two, please");
	if (!run->rootfs && (run->image || image_wanted(rec->m)))
		return settle_image(run, rec, err);
	if (!run->rootfs)
		run->rootfs = rec->m->rootfs;
	return 0;
}

void run_end(struct replay_options *run)
{
	image_free(run->in);
	run->in = NULL;
}
