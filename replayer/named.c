/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ends that have a name: FIFOs that were there before the program, terminals
 * and devices.  This machine has others, or none; what opens one of them gets
 * an end of the replay's own, or a stand-in whose bytes come from the record.
 */
#include <linux/types.h>

#include "replayer/look.h"

#include "format/cleanup.h"
#include "format/sysdesc.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { MAX_LINKS = 40 };	/* as the kernel has it */

bool has_own_end(const struct ev_object *o)
{
	if (!o || o->nfds || !o->path || o->path[0] != '/')
		return false;
	return o->kind == OBJ_PIPE || o->kind == OBJ_TTY || (o->kind == OBJ_CHR && !sandbox_has_device(o->path));
}

/* Where the guest's name leads, links followed; what is not here leads where it says. */
static void resolve(struct replay *r, char name[2 * PATH_MAX])
{
	char link[64];
	ssize_t n;

	_cleanup_fd_ int fd = open_in(sandbox_root(r->sb), name, O_PATH);
	if (fd < 0)
		return;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, name, 2 * PATH_MAX - 1);
	name[n > 0 ? n : 0] = 0;
}

/* A link that says another thing to each who asks has nothing to say to us, who are outside: /proc/self. */
static bool is_askers(int link)
{
	struct statfs fs;
	struct stat st;
	char target[2];

	return fstat(link, &st) == 0 && S_ISLNK(st.st_mode) && readlinkat(link, "", target, sizeof(target)) < 0 &&
	       errno == ENOENT && fstatfs(link, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC;
}

/* The link at the first @upto bytes of @name leads on: what is behind it follows. False: that is too long. */
static bool follow(char name[2 * PATH_MAX], size_t upto, const char *target)
{
	char rest[2 * PATH_MAX];
	size_t dir = upto;
	int n;

	while (dir && name[dir - 1] != '/')
		dir--;
	if (target[0] == '/')
		dir = 0;
	snprintf(rest, sizeof(rest), "%s", name + upto);
	n = snprintf(name + dir, 2 * PATH_MAX - dir, "%s%s", target, rest);
	return n >= 0 && (size_t)n < 2 * PATH_MAX - dir;
}

enum step { STEP_OVER, STEP_AGAIN, STEP_ASKER, STEP_NOWHERE };

/* What is at the first @upto bytes of @name? */
static enum step step(struct replay *r, char name[2 * PATH_MAX], size_t upto)
{
	char prefix[2 * PATH_MAX], target[PATH_MAX];
	ssize_t n;

	memcpy(prefix, name, upto);
	prefix[upto] = 0;
	_cleanup_fd_ int fd = open_in(sandbox_root(r->sb), prefix, O_PATH | O_NOFOLLOW);
	if (fd < 0)
		return STEP_NOWHERE;
	if (is_askers(fd))
		return STEP_ASKER;
	n = readlinkat(fd, "", target, sizeof(target) - 1);
	if (n <= 0)
		return STEP_OVER;
	target[n] = 0;
	return follow(name, upto, target) ? STEP_AGAIN : STEP_NOWHERE;
}

bool name_is_askers(struct replay *r, char name[2 * PATH_MAX])
{
	enum step s = STEP_AGAIN;

	for (int links = 0; links < MAX_LINKS && s == STEP_AGAIN; links++) {
		s = STEP_OVER;
		for (size_t i = 0; s == STEP_OVER && name[i];) {
			i += strspn(name + i, "/");
			if (name[i]) {
				i += strcspn(name + i, "/");
				s = step(r, name, i);
			}
		}
	}
	return s == STEP_ASKER;
}

static struct live *find_named(struct replay *r, const char *name)
{
	for (size_t i = 0; i < r->npaths; i++) {
		struct live *l = &r->live[r->paths[i]];

		if (!l->rec->inner && has_own_end(l->rec->o) && strcmp(l->rec->o->path, name) == 0)
			return l;
	}
	return NULL;
}

static int make_end(struct replay *r, struct live *l, int flags)
{
	struct stat st;
	int fd;

	if (l->rec->o->kind != OBJ_CHR) {
		fd = peer_opened(r, l, flags & O_ACCMODE);
	} else {
		l->direct = true;
		fd = l->stand_in ? l->stand_in : memfd_create("capsule", MFD_CLOEXEC);
	}
	if (fd < 0 || fd == l->stand_in)
		return fd < 0 ? fd : 0;
	l->stand_in = fd;
	if (fstat(fd, &st) == 0)
		object_bind(r, l, &st);
	return 0;
}

/* Opened anew for each who opens it: one object, flags of their own. */
bool answer_named(struct replay *r, struct call *c)
{
	struct seccomp_notif_addfd add = { .id = c->n->id, .flags = SECCOMP_ADDFD_FLAG_SEND };
	char name[2 * PATH_MAX], link[64];
	int flags = (int)open_flags(c);
	struct live *l;

	if (!ask_name(r, c, name))
		return false;
	resolve(r, name);
	l = find_named(r, name);
	if (!l || make_end(r, l, flags) < 0)
		return false;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", l->stand_in);
	_cleanup_fd_ int fd = open(link, (flags & (O_ACCMODE | O_NONBLOCK | O_APPEND)) | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return false;
	add.srcfd = (uint32_t)fd;
	add.newfd_flags = flags & O_CLOEXEC ? O_CLOEXEC : 0;
	c->answered = ioctl(r->listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add) >= 0;
	r->v->served += c->answered;
	return c->answered;
}
