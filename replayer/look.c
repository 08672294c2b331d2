/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a file is, as it was when recorded (looks.h holds that).  A file that
 * the replay has is looked at here, too, and what is the machine's is laid over
 * what was found.  /proc and the like have no file of their own: there the
 * recorded answer is all, be it that nothing was there.
 *
 * The names come from the guest's memory, which it can change while we read; so
 * they decide about nothing but what the guest is told, and are looked up below
 * its own root.
 */
#include <linux/types.h>

#include "replayer/look.h"

#include "format/cleanup.h"
#include "format/sysdesc.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A string of the guest's; false: it is not there, or too long. Pages end anywhere. */
static bool read_string(pid_t tid, uint64_t addr, char out[PATH_MAX])
{
	size_t n = 0;

	while (n < PATH_MAX) {
		size_t page = 4096 - (addr + n) % 4096, len = page < PATH_MAX - n ? page : PATH_MAX - n;

		if (n == 0 && len > 256)
			len = 256;	/* most are short */
		if (guest_read(tid, addr + n, out + n, len) < 0)
			return false;
		if (memchr(out + n, 0, len))
			return true;
		n += len;
	}
	return false;
}

/* The task's recorded process, and how many programs that has started. */
static bool set_process(struct replay *r, const struct gtask *t, struct look_question *q)
{
	const struct gtask *first = t->tid == t->tgid ? t : task_find(r, t->tgid);

	if (!first || !first->rec)
		first = t;
	if (!first->rec)
		return false;
	q->process = first->rec->process;
	q->program = (uint32_t)first->nexecs;
	return true;
}

/* What the task has done for certain, if nobody else could have done it for it. */
static uint32_t floor_of(const struct replay *r, const struct gtask *t)
{
	const struct rec_call *before = t->rec && t->cursor ? task_call(t->rec, t->cursor - 1) : NULL;

	return before && !has_company(r, t->slot) ? before->order : 0;
}

/* The link of /proc that is the descriptor, or the working directory. */
static void link_of(const struct call *c, const struct ask *a, char link[64])
{
	if (a->fd == AT_FDCWD)
		snprintf(link, 64, "/proc/%d/cwd", c->t->tid);
	else
		snprintf(link, 64, "/proc/%d/fd/%d", c->t->tid, a->fd);
}

/* Where a replay may have something else in place of the file. */
static bool is_kernels(const char *path)
{
	return files_synthetic(path) && strncmp(path, "/dev/shm", 8) != 0;
}

/* A file in the tree, and no end of something outside. */
static bool has_name(struct replay *r, const struct stat *st)
{
	return st->st_nlink && (S_ISREG(st->st_mode) || S_ISDIR(st->st_mode)) && !object_of_inode(r, st->st_dev, st->st_ino);
}

/* Where the descriptor leads; nowhere, if that has no name, or the kernel makes it up. */
static void find_base(struct replay *r, const struct call *c, struct ask *a)
{
	char link[64];
	struct stat st;
	ssize_t n;

	link_of(c, a, link);
	n = readlink(link, a->base, sizeof(a->base) - 1);
	a->base[n > 0 ? n : 0] = 0;
	if (a->base[0] != '/')
		a->base[0] = 0;
	else if (!a->path[0] && (is_kernels(a->base) || stat(link, &st) < 0 || !has_name(r, &st)))
		a->base[0] = 0;
}

static bool ask_of(struct replay *r, const struct call *c, struct ask *a)
{
	int arg = look_path_arg(c->nr), word_arg = look_word_arg(c->nr);

	a->path[0] = a->base[0] = a->word[0] = 0;
	a->then = NULL;
	a->last = false;
	a->fd = look_fd(c->nr, c->args);
	if (arg >= 0 && c->args[arg] && !read_string(c->t->tid, c->args[arg], a->path))
		return false;
	if (word_arg >= 0 && c->args[word_arg] && !read_string(c->t->tid, c->args[word_arg], a->word))
		return false;
	if (a->path[0] != '/')
		find_base(r, c, a);
	a->q = look_question(c->nr, c->args, &(struct look_words){ arg >= 0 ? a->path : NULL, a->base[0] ? a->base : NULL,
								   word_arg >= 0 ? a->word : NULL });
	return true;
}

/* Is the descriptor that the guest asks about still what has no file? Changed code has others under its number. */
static bool is_still_whole(struct replay *r, const struct call *c, const struct ask *a)
{
	char link[64], path[PATH_MAX];
	struct stat st;
	struct live *l;
	ssize_t n;

	if (a->path[0] || a->fd == AT_FDCWD)
		return true;
	l = object_of_fd(r, c, a->fd, &st, NULL);
	if (l)
		return !a->then->object || l->id == a->then->object;
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return st.st_mode;
	link_of(c, a, link);
	n = readlink(link, path, sizeof(path) - 1);
	if (n <= 0)
		return false;
	path[n] = 0;
	return files_synthetic(path);
}

void ask_record(struct replay *r, const struct call *c, struct ask *a)
{
	if (!set_process(r, c->t, &a->q))
		return;
	a->then = looks_take(r->looks_at, &a->q, floor_of(r, c->t), &a->last);
	if (a->then && a->then->whole && !is_still_whole(r, c, a))
		a->then = NULL;
}

/* ---- what is there now ------------------------------------------------------------ */

/* The guest has no capability, and what it may not see we don't show it. */
static void without_override(bool without)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[2];
	const uint32_t bits = 1u << CAP_DAC_OVERRIDE | 1u << CAP_DAC_READ_SEARCH;

	if (syscall(SYS_capget, &h, d) < 0)
		return;
	d[0].effective = without ? d[0].effective & ~bits : d[0].effective | (d[0].permitted & bits);
	syscall(SYS_capset, &h, d);
}

/* The name as one below the guest's root. */
static bool name_in_root(const struct ask *a, char out[2 * PATH_MAX])
{
	if (a->path[0] != '/' && !a->base[0])
		return false;
	snprintf(out, 2 * PATH_MAX, "%s/%s", a->path[0] == '/' ? "" : a->base, a->path);
	return true;
}

bool ask_name(struct replay *r, const struct call *c, char out[2 * PATH_MAX])
{
	struct ask a;

	return ask_of(r, c, &a) && name_in_root(&a, out);
}

/* An O_PATH descriptor of what the guest's name leads to, or -errno. */
static int open_named(struct replay *r, const struct ask *a)
{
	char name[2 * PATH_MAX];
	int fd;

	if (!name_in_root(a, name))
		return -ENOENT;
	without_override(true);
	fd = open_in(sandbox_root(r->sb), name, O_PATH | (a->q.nofollow ? O_NOFOLLOW : 0));
	without_override(false);
	return fd;
}

int ask_open(struct replay *r, const struct call *c, const struct ask *a)
{
	char link[64];
	int fd;

	if (a->path[0])
		return open_named(r, a);
	link_of(c, a, link);
	fd = open(link, O_PATH | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int look_now(struct replay *r, const struct call *c, const struct ask *a, struct statx *ret)
{
	char link[64];

	if (a->path[0]) {
		_cleanup_fd_ int fd = open_named(r, a);

		if (fd < 0)
			return fd;
		return statx(fd, "", AT_EMPTY_PATH, STATX_ALL, ret) < 0 ? -errno : 0;
	}
	link_of(c, a, link);
	return statx(AT_FDCWD, link, 0, STATX_ALL, ret) < 0 ? -errno : 0;
}

/* ---- answers ------------------------------------------------------------------------ */

static size_t room_of(const struct call *c, const struct ask *a, size_t len)
{
	size_t room = len;

	if (a->q.what == LOOK_LINK || a->q.what == LOOK_XATTR)
		room = c->args[look_out_arg(c->nr) + 1];
	return room < len ? room : len;
}

/* getxattr() and its like: of no room they tell the length, of too little that. */
static bool is_too_long(const struct call *c, const struct ask *a)
{
	uint64_t room = a->q.what == LOOK_XATTR && look_out_arg(c->nr) >= 0 ? c->args[look_out_arg(c->nr) + 1] : 0;

	return room && a->then->ret > 0 && room < (uint64_t)a->then->ret;
}

/* The recorded answer as it was. */
static void give_whole(struct replay *r, struct call *c, const struct ask *a)
{
	struct statx then;
	int arg = look_out_arg(c->nr), e = 0;

	c->ret = is_too_long(c, a) ? -ERANGE : a->then->ret;
	r->v->served++;
	if (c->ret < 0 || arg < 0)
		return;
	if (a->q.what == LOOK_STAT) {
		e = facts_recorded(&then, a->then) ? facts_give(c, &then) : -EIO;
	} else {
		size_t n = room_of(c, a, a->then->len);

		e = guest_write(c->t->tid, c->args[arg], a->then->data, n);
		if (a->q.what == LOOK_LINK && c->ret > (int64_t)n)
			c->ret = (int64_t)n;
	}
	if (e < 0)
		c->ret = e;
}

static bool answer_stat(struct replay *r, struct call *c, const struct ask *a)
{
	struct statx now, then;
	bool known = a->then && !a->last && facts_recorded(&then, a->then);
	int e = look_now(r, c, a, &now);

	/* A socket or device that somebody outside had made. */
	if (e == -ENOENT && known && !S_ISREG(then.stx_mode) && !S_ISDIR(then.stx_mode) && !S_ISLNK(then.stx_mode)) {
		give_whole(r, c, a);
		return true;
	}
	if (e < 0)
		return false;
	if (known && a->then->object)	/* inherited: a file that has our mode here */
		now.stx_mode = then.stx_mode;
	facts_overlay(r, &now, known ? &then : NULL);
	c->ret = facts_give(c, &now);
	r->v->served++;
	return true;
}

/* What the recorded user was allowed to do, the file system to say, is not up to the replaying one; whether the file is there is. */
static bool answer_if_there(struct replay *r, struct call *c, const struct ask *a)
{
	struct statx now;

	if (!a->then || look_now(r, c, a, &now) < 0)
		return false;
	give_whole(r, c, a);
	return true;
}

static bool answer(struct replay *r, struct call *c, struct ask *a)
{
	if (a->q.what == LOOK_LIST)
		return listing_answer(r, c, a);
	ask_record(r, c, a);
	if (a->q.what == LOOK_XATTR && attributes_are_own(r, c, a))
		return false;
	/* Failed: forbidden by the recording machine. */
	if (a->then && (a->then->whole || a->then->ret < 0)) {
		give_whole(r, c, a);
		return true;
	}
	switch (a->q.what) {
	case LOOK_STAT:
		return answer_stat(r, c, a);
	case LOOK_ACCESS:
	case LOOK_OWNER:
	case LOOK_XATTR:
	case LOOK_SYSTEM:
		return answer_if_there(r, c, a);
	}
	return false;
}

/* Flags and modes that no kernel takes: it says so, whatever the file is. */
static bool makes_no_sense(const struct call *c)
{
	switch (c->nr) {
	case SYS_access:
		return c->args[1] & 0xfffffff8;
	case SYS_faccessat:
		return c->args[2] & 0xfffffff8;
	case SYS_faccessat2:
		return c->args[2] & 0xfffffff8 || c->args[3] & 0xffff80ff;
	case SYS_newfstatat:
		return c->args[3] & 0xffff80ff;	/* AT_*: bits 8 to 14 */
	case SYS_statx:
		return c->args[2] & 0xffff80ff;
	case SYS_fchownat:
		return c->args[4] & 0xffff80ff;
	case SYS_readlink:
		return (int)c->args[2] <= 0;
	case SYS_readlinkat:
		return (int)c->args[3] <= 0;
	}
	return false;
}

void answer_look(struct replay *r, struct call *c)
{
	struct ask a;

	if (makes_no_sense(c)) {
		c->cont = true;
		return;
	}
	if (ask_of(r, c, &a) && answer(r, c, &a)) {
		c->matched = a.then && !a.last;
		r->v->matched += c->matched;
		return;
	}
	c->cont = !start_up_drops(r, c);
}

/* ---- opening what the replay's /proc has not ----------------------------------------------- */

/* Something to read the recorded bytes from: one for an object, however often it is opened. */
static int stand_in(struct replay *r, const struct look_answer *then)
{
	struct live *l = then->made ? &r->live[then->made] : NULL;
	char link[64];
	struct stat st;

	if (!l)		/* a directory: an empty one of the guest's own */
		return open_in(sandbox_root(r->sb), "/proc/driver", O_RDONLY | O_DIRECTORY);
	if (!l->stand_in) {
		int fd = memfd_create("capsule", MFD_CLOEXEC);

		if (fd < 0 || fstat(fd, &st) < 0)
			return -errno;
		l->stand_in = fd;
		object_bind(r, l, &st);
		l->direct = true;
	}
	snprintf(link, sizeof(link), "/proc/self/fd/%d", l->stand_in);
	return open(link, O_RDONLY | O_CLOEXEC);
}

uint64_t open_flags(const struct call *c)
{
	uint64_t flags = 0;

	switch (c->nr) {
	case SYS_open:
		return c->args[1];
	case SYS_creat:
		return O_WRONLY | O_CREAT | O_TRUNC;
	case SYS_openat:
		return c->args[2];
	case SYS_openat2:
		guest_read(c->t->tid, c->args[2], &flags, sizeof(flags));
	}
	return flags;
}

static bool give_stand_in(struct replay *r, struct call *c, const struct ask *a)
{
	struct seccomp_notif_addfd add = { .id = c->n->id, .flags = SECCOMP_ADDFD_FLAG_SEND };

	_cleanup_fd_ int fd = stand_in(r, a->then);
	if (fd < 0)
		return false;
	add.srcfd = (uint32_t)fd;
	add.newfd_flags = open_flags(c) & O_CLOEXEC ? O_CLOEXEC : 0;
	c->answered = ioctl(r->listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add) >= 0;
	r->v->served += c->answered;
	return c->answered;
}

/* Links that mean the task itself, and what is below them: the kernel knows them better. */
static bool is_own(const char *path)
{
	static const char *const dirs[] = { "/proc/self", "/proc/thread-self" };

	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		size_t n = strlen(dirs[i]);

		if (strncmp(path, dirs[i], n) == 0 && (path[n] == '/' || !path[n]))
			return true;
	}
	return false;
}

/* Through links to such: /dev/stdout, /dev/fd/63, a log file that is a link to one of them. */
static bool leads_to_own(struct replay *r, const struct ask *a)
{
	char name[2 * PATH_MAX];

	return name_in_root(a, name) && name_is_askers(r, name);
}

bool answer_open(struct replay *r, struct call *c)
{
	struct ask a;
	int fd;

	if (!ask_of(r, c, &a))
		return false;
	ask_record(r, c, &a);
	if (!a.then || is_own(a.path))
		return false;
	if (strncmp(a.path, "/dev/", 5) == 0 && (a.then->ret < 0 || a.then->made))	/* devices, see names.c */
		return false;
	if (a.then->ret < 0) {
		give_whole(r, c, &a);
		return true;
	}
	fd = open_named(r, &a);
	if (fd < 0)
		return fd != -ELOOP && !leads_to_own(r, &a) && give_stand_in(r, c, &a);
	close(fd);
	return false;
}
