/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/control.h"

#include "format/cleanup.h"
#include "format/io.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { LINE = 256, MAX_GROUPS = 1024, PATIENCE = 200 };	/* PATIENCE: ms for one who has come to say what for */

struct control {
	int fd;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	bool has_group;
	gid_t group;
};

static int address(struct sockaddr_un *at, const char *path, struct err *err)
{
	*at = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(at->sun_path))
		return err_set(err, ENAMETOOLONG, "the socket '%s' has too long a name", path);
	strcpy(at->sun_path, path);
	return 0;
}

/* ---- whom it answers -------------------------------------------------------------- */

static bool is_member(const struct control *c, const struct ucred *who)
{
	gid_t groups[MAX_GROUPS];
	int n = MAX_GROUPS;
	struct passwd *pw;

	if (who->uid == 0)
		return true;
	if (!c->has_group)
		return false;
	if (who->gid == c->group)
		return true;
	pw = getpwuid(who->uid);
	if (!pw || getgrouplist(pw->pw_name, pw->pw_gid, groups, &n) < 0)
		return false;
	for (int i = 0; i < n; i++)
		if (groups[i] == c->group)
			return true;
	return false;
}

int control_group(struct control *c, const char *group, struct err *err)
{
	struct group *g = group ? getgrnam(group) : NULL;

	if (group && !g)
		return err_set(err, ENOENT, "there is no group '%s'", group);
	c->has_group = g;
	c->group = g ? g->gr_gid : 0;
	/* Who may say something is asked of the kernel; who may come at all is the file's business. */
	if (chown(c->path, 0, c->group) < 0 || chmod(c->path, g ? 0660 : 0600) < 0)
		return err_sys(err, errno, "the rights of '%s'", c->path);
	return 0;
}

/* ---- this side ---------------------------------------------------------------------- */

static bool is_dead(const struct sockaddr_un *at)
{
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd >= 0 && connect(fd, (const struct sockaddr *)at, sizeof(*at)) < 0 && errno == ECONNREFUSED;
}

static int listen_at(struct control *c, const char *path, struct err *err)
{
	struct sockaddr_un at;

	if (address(&at, path, err) < 0)
		return -err->code;
	strcpy(c->path, path);
	mkdir("/run/capsule", 0700);
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->fd < 0)
		return err_sys(err, errno, "socket");
	if (is_dead(&at))
		unlink(path);
	if (bind(c->fd, (const struct sockaddr *)&at, sizeof(at)) < 0) {
		int e = errno;

		c->path[0] = 0;
		return e == EADDRINUSE ? err_set(err, e, "'%s': another capsule watch listens there (--socket chooses another place)", path) :
					 err_sys(err, e, "'%s'", path);
	}
	chmod(path, 0600);
	return listen(c->fd, 16) < 0 ? err_sys(err, errno, "listening on '%s'", path) : 0;
}

int control_open(struct control **ret, const char *path, const char *group, struct err *err)
{
	struct control *c = calloc(1, sizeof(*c));

	if (!c)
		return err_set(err, ENOMEM, "out of memory");
	c->fd = -1;
	if (listen_at(c, path, err) < 0 || control_group(c, group, err) < 0) {
		control_close(c);
		return -err->code;
	}
	*ret = c;
	return 0;
}

void control_close(struct control *c)
{
	if (!c)
		return;
	if (c->fd >= 0)
		close(c->fd);
	if (c->path[0])
		unlink(c->path);
	free(c);
}

int control_fd(const struct control *c)
{
	return c->fd;
}

/* Up to a newline; who says nothing in time is not waited for. */
static bool read_line(int fd, char line[LINE])
{
	const struct timeval patience = { .tv_usec = PATIENCE * 1000 };
	size_t n = 0;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	while (n < LINE - 1 && read(fd, line + n, 1) == 1 && line[n] != '\n')
		n++;
	line[n] = 0;
	return n > 0;
}

static void answer_one(struct control *c, int fd, control_asked asked, void *ctx)
{
	char line[LINE], answer[LINE] = "no permission: root, and the group that the policy file names, may ask";
	struct ucred who = { .pid = 0 };
	socklen_t len = sizeof(who);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0 || !read_line(fd, line))
		return;
	if (is_member(c, &who)) {
		if (strncmp(line, "trigger ", 8) == 0)
			asked(ctx, &(struct control_peer){ who.uid, who.pid }, line + 8, answer, sizeof(answer));
		else
			snprintf(answer, sizeof(answer), "no such question");
	}
	strcat(answer, "\n");
	(void)!send(fd, answer, strlen(answer), MSG_NOSIGNAL);
}

void control_answer(struct control *c, control_asked asked, void *ctx)
{
	_cleanup_fd_ int fd = accept4(c->fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd >= 0)
		answer_one(c, fd, asked, ctx);
}

/* ---- the other side -------------------------------------------------------------------- */

int control_ask(const char *path, const char *policy, char *answer, size_t len, struct err *err)
{
	struct sockaddr_un at;
	char line[LINE];
	ssize_t n;

	if (address(&at, path, err) < 0)
		return -err->code;
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(err, errno, "socket");
	if (connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		return err_sys(err, errno, "'%s': is there a capsule watch, and may you ask it?", path);
	if ((size_t)snprintf(line, sizeof(line), "trigger %s\n", policy) >= sizeof(line))
		return err_set(err, EINVAL, "no policy has so long a name");
	n = io_write(fd, line, strlen(line));
	if (n < 0)
		return err_sys(err, (int)-n, "asking at '%s'", path);
	n = io_read(fd, answer, len - 1);
	if (n <= 0)
		return err_set(err, EPIPE, "'%s': no answer", path);
	answer[n] = 0;
	answer[strcspn(answer, "\n")] = 0;
	return 0;
}
