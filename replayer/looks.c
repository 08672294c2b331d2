/* SPDX-License-Identifier: Apache-2.0 */
#include "replayer/looks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

struct run {			/* of equal answers */
	struct look_answer *answer;
	uint32_t n;
	uint32_t last;		/* order of the last one */
};

struct asked {
	struct look_question q;
	struct run *runs;
	size_t nruns;
	bool open;		/* of a LOOK_LIST: the last listing has no end yet */
	uint32_t next;		/* queue with the same hash, + 1 */
};

struct looks {
	struct asked *queues;
	size_t n;
	uint32_t *buckets;	/* queue + 1 */
	size_t nbuckets;
};

struct looks_at {
	const struct looks *l;
	size_t n;
	struct { size_t run; uint32_t used; } *at;	/* by queue */
};

/* ---- questions -------------------------------------------------------------- */

static enum look_what what_of(unsigned int nr)
{
	switch (nr) {
	case SYS_stat: case SYS_lstat: case SYS_fstat: case SYS_newfstatat: case SYS_statx:
		return LOOK_STAT;
	case SYS_access: case SYS_faccessat: case SYS_faccessat2:
		return LOOK_ACCESS;
	case SYS_readlink: case SYS_readlinkat:
		return LOOK_LINK;
	case SYS_getdents: case SYS_getdents64:
		return LOOK_LIST;
	case SYS_fstatfs:
		return LOOK_SYSTEM;
	case SYS_getxattr: case SYS_lgetxattr: case SYS_fgetxattr: case SYS_listxattr: case SYS_llistxattr: case SYS_flistxattr:
		return LOOK_XATTR;
	}
	if (nr < SC_MAX && sc_table[nr].fate == SC_OWNER)
		return LOOK_OWNER;
	return nr < SC_MAX && sc_table[nr].fate == SC_OPEN ? LOOK_OPEN : LOOK_NONE;
}

static int arg_of_kind(unsigned int nr, uint8_t kind, const char *name)
{
	for (int i = 0; nr < SC_MAX && i < sc_table[nr].nargs; i++)
		if (sc_table[nr].arg[i].kind == kind && (!name || strcmp(sc_arg_name(nr, (unsigned int)i), name) == 0))
			return i;
	return -1;
}

int look_path_arg(unsigned int nr)
{
	return arg_of_kind(nr, SC_STR, "path");
}

int look_word_arg(unsigned int nr)
{
	return arg_of_kind(nr, SC_STR, "name");
}

int look_out_arg(unsigned int nr)
{
	int i = arg_of_kind(nr, SC_MEM, NULL);

	return i >= 0 && (sc_table[nr].arg[i].flow & SC_OUT) ? i : -1;
}

static bool is_nofollow(unsigned int nr, const uint64_t args[6])
{
	switch (nr) {
	case SYS_lstat: case SYS_lchown: case SYS_lgetxattr: case SYS_llistxattr:
		return true;
	case SYS_newfstatat: case SYS_faccessat2:
		return args[3] & AT_SYMLINK_NOFOLLOW;
	case SYS_fchownat:
		return args[4] & AT_SYMLINK_NOFOLLOW;
	case SYS_statx:
		return args[2] & AT_SYMLINK_NOFOLLOW;
	}
	return false;
}

static uint64_t hash(uint64_t h, const void *data, size_t len)
{
	const uint8_t *p = data;

	while (len--)
		h = (h ^ *p++) * 0x100000001b3;	/* FNV-1a */
	return h;
}
#define HASH_START 0xcbf29ce484222325

int32_t look_fd(unsigned int nr, const uint64_t args[6])
{
	int dirfd = arg_of_kind(nr, SC_DIRFD, NULL);

	if (look_path_arg(nr) < 0)
		return (int32_t)args[0];
	return dirfd >= 0 ? (int32_t)args[dirfd] : AT_FDCWD;
}

/* By its path a file is known to all threads, whose descriptors have other numbers each time. */
static uint64_t name_of(const struct look_words *w)
{
	uint64_t h = HASH_START;

	if (!w->base && !(w->path && w->path[0]))
		return 0;
	if (w->base && !(w->path && w->path[0] == '/'))
		h = hash(h, w->base, strlen(w->base) + 1);
	if (w->path)
		h = hash(h, w->path, strlen(w->path));
	return h | 1;
}

struct look_question look_question(unsigned int nr, const uint64_t args[6], const struct look_words *w)
{
	struct look_question q = { .what = what_of(nr), .fd = AT_FDCWD };
	bool named = w->path && w->path[0];

	if (q.what == LOOK_NONE)
		return q;
	q.name = name_of(w);
	q.nofollow = named && is_nofollow(nr, args);
	if (!w->base && !(named && w->path[0] == '/'))
		q.fd = look_fd(nr, args);
	if (q.what == LOOK_XATTR && w->word)
		q.mode = (uint32_t)hash(HASH_START, w->word, strlen(w->word)) | 1;
	if (q.what == LOOK_OWNER)
		q.mode = (uint32_t)hash(HASH_START, &args[nr == SYS_fchownat ? 2 : 1], 2 * sizeof(args[0])) | 1;
	if (q.what == LOOK_ACCESS)
		q.mode = (uint32_t)args[nr == SYS_access ? 1 : 2];
	return q;
}

static bool same_question(const struct look_question *a, const struct look_question *b)
{
	return a->process == b->process && a->program == b->program && a->what == b->what &&
	       a->nofollow == b->nofollow && a->fd == b->fd && a->mode == b->mode && a->name == b->name;
}

static size_t bucket_of(const struct looks *l, const struct look_question *q)
{
	uint64_t words[3] = { (uint64_t)q->process << 32 | q->program,
			      (uint64_t)(uint32_t)q->fd << 32 | (uint32_t)q->nofollow << 8 | q->what, q->name ^ q->mode };

	return hash(HASH_START, words, sizeof(words)) & (l->nbuckets - 1);
}

static struct asked *find(const struct looks *l, const struct look_question *q)
{
	for (uint32_t i = l->n ? l->buckets[bucket_of(l, q)] : 0; i; i = l->queues[i - 1].next)
		if (same_question(&l->queues[i - 1].q, q))
			return &l->queues[i - 1];
	return NULL;
}

/* ---- answers ------------------------------------------------------------------ */

static int more_buckets(struct looks *l)
{
	size_t n = l->nbuckets ? 2 * l->nbuckets : 64;
	uint32_t *buckets = calloc(n, sizeof(*buckets));

	if (!buckets)
		return -ENOMEM;
	free(l->buckets);
	l->buckets = buckets;
	l->nbuckets = n;
	for (size_t i = 0; i < l->n; i++) {
		uint32_t *b = &l->buckets[bucket_of(l, &l->queues[i].q)];

		l->queues[i].next = *b;
		*b = (uint32_t)i + 1;
	}
	return 0;
}

static struct asked *make(struct looks *l, const struct look_question *q)
{
	uint32_t *b;

	if ((l->n & (l->n - 1)) == 0) {
		struct asked *bigger = reallocarray(l->queues, l->n ? 2 * l->n : 1, sizeof(*bigger));

		if (!bigger)
			return NULL;
		l->queues = bigger;
	}
	if (l->n >= l->nbuckets && more_buckets(l) < 0)
		return NULL;
	b = &l->buckets[bucket_of(l, q)];
	l->queues[l->n] = (struct asked){ .q = *q, .next = *b };
	*b = (uint32_t)++l->n;
	return &l->queues[l->n - 1];
}

static struct run *last_run(const struct asked *k)
{
	return k->nruns ? &k->runs[k->nruns - 1] : NULL;
}

static bool same_answer(const struct look_answer *a, const struct look_answer *b, struct bytes data)
{
	return a->nr == b->nr && a->whole == b->whole && a->ret == b->ret && a->object == b->object && a->made == b->made &&
	       a->len == data.len && (!data.len || memcmp(a->data, data.data, data.len) == 0);
}

static int add_run(struct asked *k, const struct look_answer *a, struct bytes data, uint32_t order)
{
	struct look_answer *copy = malloc(sizeof(*copy) + data.len);
	struct run *bigger = k->runs;

	if (!copy)
		return -ENOMEM;
	if ((k->nruns & (k->nruns - 1)) == 0)
		bigger = reallocarray(k->runs, k->nruns ? 2 * k->nruns : 1, sizeof(*bigger));
	if (!bigger) {
		free(copy);
		return -ENOMEM;
	}
	*copy = *a;
	copy->len = data.len;
	if (data.len)
		memcpy(copy->data, data.data, data.len);
	k->runs = bigger;
	k->runs[k->nruns++] = (struct run){ .answer = copy, .n = 1, .last = order };
	return 0;
}

/* Does @data begin as the listing @a does? Then the directory was read anew. */
static bool begins_again(const struct look_answer *a, struct bytes data)
{
	const size_t ino = 8, off = 8;	/* of a linux_dirent64: d_off differs by the way that was read */

	return a->len >= 19 && data.len >= 19 && memcmp(a->data, data.data, ino) == 0 &&
	       strncmp((const char *)a->data + ino + off + 3, (const char *)data.data + ino + off + 3,
		       (a->len < data.len ? a->len : data.len) - 19) == 0;
}

static int add_list(struct asked *k, const struct look_answer *a, struct bytes data, uint32_t order)
{
	struct run *last = last_run(k);
	struct look_answer *bigger;

	if (a->ret <= 0 && k->open) {
		k->open = false;
		return 0;
	}
	if (!k->open || begins_again(last->answer, data)) {
		k->open = a->ret > 0;
		return add_run(k, a, data, order);
	}
	bigger = realloc(last->answer, sizeof(*bigger) + last->answer->len + data.len);
	if (!bigger)
		return -ENOMEM;
	if (data.len)
		memcpy(bigger->data + bigger->len, data.data, data.len);
	bigger->len += data.len;
	last->answer = bigger;
	last->last = order;
	return 0;
}

/* A descriptor that is asked what it is may be another one than before. */
static void end_list(struct looks *l, const struct look_question *q)
{
	struct look_question list = *q;
	struct asked *k;

	list.what = LOOK_LIST;
	k = find(l, &list);
	if (k)
		k->open = false;
}

int looks_new(struct looks **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

int looks_add(struct looks *l, const struct look_question *q, const struct look_answer *a, struct bytes data, uint32_t order)
{
	struct asked *k;
	struct run *last;

	if (q->what == LOOK_STAT && !q->nofollow)
		end_list(l, q);
	k = find(l, q);
	if (!k)
		k = make(l, q);
	if (!k)
		return -ENOMEM;
	if (q->what == LOOK_LIST)
		return add_list(k, a, data, order);
	last = last_run(k);
	if (!last || last->n == UINT32_MAX || !same_answer(last->answer, a, data))
		return add_run(k, a, data, order);
	last->n++;
	last->last = order;
	return 0;
}

void looks_free(struct looks *l)
{
	if (!l)
		return;
	for (size_t i = 0; i < l->n; i++) {
		for (size_t k = 0; k < l->queues[i].nruns; k++)
			free(l->queues[i].runs[k].answer);
		free(l->queues[i].runs);
	}
	free(l->queues);
	free(l->buckets);
	free(l);
}

/* ---- a run's way through them ---------------------------------------------------- */

int looks_at_new(struct looks_at **ret, const struct looks *l)
{
	struct looks_at *at = calloc(1, sizeof(*at));

	if (!at)
		return -ENOMEM;
	at->l = l;
	*ret = at;
	return 0;
}

void looks_at_free(struct looks_at *at)
{
	if (!at)
		return;
	free(at->at);
	free(at);
}

/* The looks may have become more since. */
static bool reach(struct looks_at *at, size_t i)
{
	void *bigger;

	if (i < at->n)
		return true;
	bigger = reallocarray(at->at, at->l->n, sizeof(*at->at));
	if (!bigger)
		return false;
	at->at = bigger;
	memset(at->at + at->n, 0, (at->l->n - at->n) * sizeof(*at->at));
	at->n = at->l->n;
	return true;
}

const struct look_answer *looks_peek(const struct looks_at *at, const struct look_question *q)
{
	const struct asked *k = find(at->l, q);
	size_t i = k ? (size_t)(k - at->l->queues) : 0, run;

	if (!k || !k->nruns)
		return NULL;
	run = i < at->n ? at->at[i].run : 0;
	return k->runs[run < k->nruns ? run : k->nruns - 1].answer;
}

const struct look_answer *looks_take(struct looks_at *at, const struct look_question *q, uint32_t floor, bool *last)
{
	const struct asked *k = find(at->l, q);
	size_t i = k ? (size_t)(k - at->l->queues) : 0, *run;

	if (!k || !k->nruns || !reach(at, i))
		return NULL;
	run = &at->at[i].run;
	while (*run + 1 < k->nruns && k->runs[*run].last < floor) {
		++*run;
		at->at[i].used = 0;
	}
	*last = *run >= k->nruns;
	if (*last)
		return k->runs[k->nruns - 1].answer;
	if (++at->at[i].used < k->runs[*run].n)
		return k->runs[*run].answer;
	at->at[i].used = 0;
	return k->runs[(*run)++].answer;
}
