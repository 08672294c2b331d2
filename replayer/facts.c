/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a program is told of a file: its size, its type and what the program
 * itself did to it are the replay's own, so that changed code sees what it has
 * done.  The rest is the recording machine's: numbers of inodes and devices,
 * owners, times, blocks.
 *
 * An inode that was seen keeps its recorded number, whoever asks for it how.
 */
#include <linux/types.h>

#include "replayer/look.h"

#include "format/sysdesc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

struct known {			/* an inode of the replay, and what was told of it */
	struct known *next;
	struct statx now, then;
};

enum { BUCKETS = 4096, MAX_DEVICES = 64 };
struct facts {
	struct known *bucket[BUCKETS];
	struct { dev_t now; uint32_t major, minor; } devices[MAX_DEVICES];
	size_t ndevices;
};

static void from_stat(struct statx *x, const struct stat *st)
{
	*x = (struct statx){
		.stx_mask = STATX_BASIC_STATS, .stx_blksize = (uint32_t)st->st_blksize, .stx_nlink = (uint32_t)st->st_nlink,
		.stx_uid = st->st_uid, .stx_gid = st->st_gid, .stx_mode = (uint16_t)st->st_mode, .stx_ino = st->st_ino,
		.stx_size = (uint64_t)st->st_size, .stx_blocks = (uint64_t)st->st_blocks,
		.stx_atime = { .tv_sec = st->st_atim.tv_sec, .tv_nsec = (uint32_t)st->st_atim.tv_nsec },
		.stx_mtime = { .tv_sec = st->st_mtim.tv_sec, .tv_nsec = (uint32_t)st->st_mtim.tv_nsec },
		.stx_ctime = { .tv_sec = st->st_ctim.tv_sec, .tv_nsec = (uint32_t)st->st_ctim.tv_nsec },
		.stx_rdev_major = major(st->st_rdev), .stx_rdev_minor = minor(st->st_rdev),
		.stx_dev_major = major(st->st_dev), .stx_dev_minor = minor(st->st_dev),
	};
}

static struct timespec time_of(const struct statx_timestamp *t)
{
	return (struct timespec){ .tv_sec = t->tv_sec, .tv_nsec = t->tv_nsec };
}

static void to_stat(struct stat *st, const struct statx *x)
{
	*st = (struct stat){
		.st_dev = makedev(x->stx_dev_major, x->stx_dev_minor), .st_ino = x->stx_ino, .st_nlink = x->stx_nlink,
		.st_mode = x->stx_mode, .st_uid = x->stx_uid, .st_gid = x->stx_gid,
		.st_rdev = makedev(x->stx_rdev_major, x->stx_rdev_minor), .st_size = (off_t)x->stx_size,
		.st_blksize = x->stx_blksize, .st_blocks = (blkcnt_t)x->stx_blocks,
		.st_atim = time_of(&x->stx_atime), .st_mtim = time_of(&x->stx_mtime), .st_ctim = time_of(&x->stx_ctime),
	};
}

bool facts_recorded(struct statx *ret, const struct look_answer *a)
{
	struct stat st;

	if (a->ret != 0)
		return false;
	if (a->nr == SYS_statx && a->len == sizeof(*ret)) {
		memcpy(ret, a->data, sizeof(*ret));
		return true;
	}
	if (a->nr == SYS_statx || a->len != sizeof(st))
		return false;
	memcpy(&st, a->data, sizeof(st));
	from_stat(ret, &st);
	return true;
}

int facts_give(struct call *c, const struct statx *x)
{
	uint64_t to = c->args[look_out_arg(c->nr)];
	struct stat st;

	if (c->nr == SYS_statx)
		return guest_write(c->t->tid, to, x, sizeof(*x));
	to_stat(&st, x);
	return guest_write(c->t->tid, to, &st, sizeof(st));
}

/* ---- inodes that were seen ------------------------------------------------------- */

static struct facts *facts_of(struct replay *r)
{
	if (!r->facts)
		r->facts = calloc(1, sizeof(*r->facts));
	return r->facts;
}

static dev_t device_of(const struct statx *x)
{
	return makedev(x->stx_dev_major, x->stx_dev_minor);
}

static struct known **bucket_of(struct facts *f, const struct statx *now)
{
	return &f->bucket[(now->stx_ino * 0x9e3779b97f4a7c15ull ^ device_of(now)) >> 13 & (BUCKETS - 1)];
}

static struct known *find(struct facts *f, const struct statx *now)
{
	for (struct known *k = *bucket_of(f, now); k; k = k->next)
		if (k->now.stx_ino == now->stx_ino && device_of(&k->now) == device_of(now))
			return k;
	return NULL;
}

/* The number of the device among those that were met; @then says which one it was. */
static size_t device_number(struct facts *f, dev_t now, const struct statx *then)
{
	size_t i = 0;

	while (i < f->ndevices && f->devices[i].now != now)
		i++;
	if (i == f->ndevices && i < MAX_DEVICES && then) {
		f->devices[i].now = now;
		f->devices[i].major = then->stx_dev_major;
		f->devices[i].minor = then->stx_dev_minor;
		f->ndevices++;
	}
	return i;
}

/* A statx() was not told of the times that it did not ask for. */
static void learn(struct statx *known, const struct statx *then)
{
	const struct statx before = *known;

	*known = *then;
	if (!(then->stx_mask & STATX_MTIME))
		known->stx_mtime = before.stx_mtime;
	if (!(then->stx_mask & STATX_CTIME))
		known->stx_ctime = before.stx_ctime;
	if (!(then->stx_mask & STATX_ATIME))
		known->stx_atime = before.stx_atime;
	known->stx_mask |= before.stx_mask & STATX_BASIC_STATS;
}

static void remember(struct replay *r, const struct statx *now, const struct statx *then)
{
	struct facts *f = facts_of(r);
	struct known *k = f ? find(f, now) : NULL;

	if (!f)
		return;
	device_number(f, device_of(now), then);
	if (!k) {
		struct known **b = bucket_of(f, now);

		k = calloc(1, sizeof(*k));
		if (!k)
			return;
		k->next = *b;
		k->then = *now;
		*b = k;
	}
	k->now = *now;
	learn(&k->then, then);
}

void facts_free(struct replay *r)
{
	for (size_t i = 0; r->facts && i < BUCKETS; i++)
		while (r->facts->bucket[i]) {
			struct known *next = r->facts->bucket[i]->next;

			free(r->facts->bucket[i]);
			r->facts->bucket[i] = next;
		}
	free(r->facts);
	r->facts = NULL;
}

uint64_t facts_inode(struct replay *r, const struct statx *now)
{
	struct facts *f = facts_of(r);
	const struct known *k = f ? find(f, now) : NULL;

	if (k)
		return k->then.stx_ino;
	/* Several file systems here may be one there: each gets numbers of its own. */
	return now->stx_ino ^ ((f ? device_number(f, device_of(now), NULL) : 0) + 1) << 44;
}

/* ---- the answer ------------------------------------------------------------------- */

static bool same_time(const struct statx_timestamp *a, const struct statx_timestamp *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static int64_t ns_of(const struct statx_timestamp *t)
{
	return (int64_t)((uint64_t)t->tv_sec * 1000000000 + t->tv_nsec);
}

/* Whose it is, and which one. */
static void lay_identity(struct statx *x, const struct statx *then)
{
	x->stx_dev_major = then->stx_dev_major;
	x->stx_dev_minor = then->stx_dev_minor;
	x->stx_ino = then->stx_ino;
	x->stx_uid = then->stx_uid;
	x->stx_gid = then->stx_gid;
	x->stx_nlink = then->stx_nlink;
	x->stx_blksize = then->stx_blksize;
	x->stx_rdev_major = then->stx_rdev_major;
	x->stx_rdev_minor = then->stx_rdev_minor;
	x->stx_atime = then->stx_atime;
	if (then->stx_mask & STATX_BTIME)
		x->stx_btime = then->stx_btime;
	if (then->stx_mask & ~(uint32_t)STATX_BASIC_STATS) {	/* of a statx() */
		x->stx_mask = then->stx_mask;
		x->stx_attributes = then->stx_attributes;
		x->stx_attributes_mask = then->stx_attributes_mask;
		x->stx_mnt_id = then->stx_mnt_id;
		x->stx_dio_mem_align = then->stx_dio_mem_align;
		x->stx_dio_offset_align = then->stx_dio_offset_align;
	}
}

/* Is its size what the program has put into it? */
static bool has_content(const struct statx *x)
{
	return S_ISREG(x->stx_mode) || S_ISLNK(x->stx_mode);
}

/* Of a directory overlayfs changes the attributes, and so the ctime, when it is read. */
static const struct statx_timestamp *change_of(const struct statx *x)
{
	return S_ISDIR(x->stx_mode) ? &x->stx_mtime : &x->stx_ctime;
}

static bool is_since(const struct statx *x, int64_t ns)
{
	return ns_of(change_of(x)) >= ns;
}

/*
 * The file is the recorded one.  What the program has touched in this run but
 * not when recorded is its own doing, and then so are mode, size and times.
 */
static void lay_matched(const struct replay *r, struct statx *x, const struct statx *then)
{
	const uint32_t times = STATX_MTIME | STATX_CTIME;
	bool touched = is_since(x, r->began);
	bool was_touched = (then->stx_mask & times) == times ? is_since(then, r->rec->m->created) : touched;
	bool same_size = !has_content(x) || x->stx_size == then->stx_size;

	lay_identity(x, then);
	if (touched && !was_touched)
		return;
	x->stx_mtime = then->stx_mtime;
	x->stx_ctime = then->stx_ctime;
	if (!touched && !was_touched && !S_ISDIR(x->stx_mode))
		x->stx_mode = then->stx_mode;
	if (!has_content(x))
		x->stx_size = then->stx_size;
	if (same_size)
		x->stx_blocks = then->stx_blocks;
}

/* Nothing was recorded of this question: what is known of the file otherwise. */
static void lay_known(struct replay *r, struct statx *x)
{
	struct facts *f = facts_of(r);
	const struct known *k = f ? find(f, x) : NULL;
	size_t device;

	if (!f)
		return;
	if (k && same_time(change_of(&k->now), change_of(x)) && k->now.stx_size == x->stx_size) {
		struct statx then = k->then;

		lay_matched(r, x, &then);
		return;
	}
	if (k) {
		lay_identity(x, &k->then);
		return;
	}
	x->stx_ino = facts_inode(r, x);
	device = device_number(f, device_of(x), NULL);
	if (device < f->ndevices) {
		x->stx_dev_major = f->devices[device].major;
		x->stx_dev_minor = f->devices[device].minor;
	}
}

void facts_overlay(struct replay *r, struct statx *now, const struct statx *then)
{
	const struct statx here = *now;

	if (!then || ((then->stx_mode ^ now->stx_mode) & S_IFMT)) {
		lay_known(r, now);
		return;
	}
	lay_matched(r, now, then);
	remember(r, &here, then);
}
