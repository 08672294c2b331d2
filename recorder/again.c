/* SPDX-License-Identifier: Apache-2.0 */
#include "recorder/again.h"

#include "format/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

enum {
	SLOTS = 512,
	LONGEST = 512,		/* bytes of a name, or of a path */
	MAY_CHANGE = 0x2 | 0x100000,	/* FMODE_WRITE, FMODE_CREATED of bpf/kernel.h */
};

struct open {
	uint64_t ino;
	uint32_t dev;
	int64_t ctime;
	size_t name_len, path_len;
	char text[];		/* the name, then the path in the kernel's form */
};

struct again {
	struct open *slots[SLOTS];
};

int again_new(struct again **ret, struct err *err)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : err_set(err, ENOMEM, "out of memory");
}

void again_free(struct again *a)
{
	for (size_t i = 0; a && i < SLOTS; i++)
		free(a->slots[i]);
	free(a);
}

static size_t slot_of(const char *name)
{
	uint64_t h = 0xcbf29ce484222325ull;

	for (; *name; name++)
		h = (h ^ (uint8_t)*name) * 0x100000001b3ull;
	return (h ^ h >> 32) % SLOTS;
}

static const struct part *whole(const struct parts *p, uint8_t arg)
{
	const struct part *part = parts_find(p, arg);

	return part && !part->torn && part->kernel ? part : NULL;
}

/* For reading, of a file that was there; NULL: not so, or not all of it is known. */
static const struct rec_state *reads(const struct rec_call *c, const struct parts *p)
{
	const struct part *part = whole(p, REC_ARG_STATE);
	const struct rec_state *s = part && part->len == sizeof(*s) ? (const void *)part->data : NULL;

	if (!s || c->ret < 0 || c->fd2.class != FDC_FILE || c->fd2.outside)
		return NULL;
	return (s->fmode & MAY_CHANGE) || (s->how_flags & (O_TRUNC | O_PATH | O_CREAT)) ? NULL : s;
}

bool again_opened(const struct again *a, const struct rec_call *c, const struct parts *p, const char *name)
{
	const struct open *o = a->slots[slot_of(name)];
	const struct part *path = whole(p, REC_ARG_OPENED);
	const struct rec_state *s = reads(c, p);

	return o && s && path && o->ino == c->fd2.ino && o->dev == c->fd2.dev && o->ctime == s->ctime &&
	       o->path_len == path->len && o->name_len == strlen(name) && memcmp(o->text, name, o->name_len) == 0 &&
	       memcmp(o->text + o->name_len, path->data, path->len) == 0;
}

void again_note(struct again *a, const struct rec_call *c, const struct parts *p, const char *name)
{
	struct open **slot = &a->slots[slot_of(name)], *o;
	const struct part *path = whole(p, REC_ARG_OPENED);
	const struct rec_state *s = reads(c, p);
	size_t len = strlen(name);

	if (!s || !path || len > LONGEST || path->len > LONGEST)
		return;
	o = malloc(sizeof(*o) + len + path->len);
	if (!o)
		return;
	*o = (struct open){ .ino = c->fd2.ino, .dev = c->fd2.dev, .ctime = s->ctime, .name_len = len, .path_len = path->len };
	memcpy(o->text, name, len);
	memcpy(o->text + len, path->data, path->len);
	free(*slot);
	*slot = o;
}
