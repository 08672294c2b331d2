/* SPDX-License-Identifier: Apache-2.0 */
/* A replay by root: what its command line named is found elsewhere once root is given up (sandbox/root.c). */
#include <linux/types.h>

#include "replayer/replay.h"

#include "format/cleanup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct given {
	struct replay_options opts;
	size_t n;
	const char *(*binds)[2];
	struct sandbox_place places[];	/* the binds', then the root file system's */
};

int root_give_up(struct replay *r, struct err *err)
{
	const struct replay_options *o = r->opts;
	bool has_root = o->rootfs && strcmp(o->rootfs, "/") != 0;	/* the capsule's own word for it gives nobody anything */
	struct given *g;

	if (geteuid() != 0)
		return 0;
	g = calloc(1, sizeof(*g) + (o->nbinds + 1) * sizeof(g->places[0]));
	r->given = g;
	if (g)
		g->binds = calloc(o->nbinds + 1, sizeof(g->binds[0]));
	if (!g || !g->binds)
		return err_set(err, ENOMEM, "out of memory");
	g->opts = *o;
	for (size_t i = 0; i < o->nbinds; i++)
		g->places[i].path = o->binds[i][0];
	g->places[o->nbinds].path = o->rootfs;
	if (sandbox_give_up_root(g->places, o->nbinds + has_root, err) < 0)
		return -err->code;
	for (size_t i = 0; i < o->nbinds; i++) {
		g->binds[i][0] = g->places[i].at[0] ? g->places[i].at : o->binds[i][0];
		g->binds[i][1] = o->binds[i][1];
	}
	if (has_root && g->places[o->nbinds].at[0])
		g->opts.rootfs = g->places[o->nbinds].at;
	g->opts.binds = (const char *const (*)[2])g->binds;
	r->opts = &g->opts;
	return 0;
}

void root_free(struct replay *r)
{
	if (r->given)
		free(r->given->binds);
	free(r->given);
	r->given = NULL;
}
