/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a replay sees of this machine where the image is its own root directory
 * ("/"): the image's directories, /etc, and of the rest what it needs.  Needed
 * are the files of which the capsule has the hash alone, the directory in which
 * the program ran, and those of the command and of the files that it is given
 * on the command line: there is where changed code has what else belongs to it.
 * A home, or a whole top directory like /tmp, is never meant by that.
 */
#include <linux/types.h>

#include "replayer/replay.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

struct shown {
	char **paths;
	size_t n, room;
};

bool shown_has(char *const *shown, const char *path)
{
	if (!shown)
		return true;
	for (; *shown; shown++)
		if (path_is_below(path, *shown))
			return true;
	return false;
}

static int add_one(struct shown *s, const char *path, const char *more)
{
	char **new;

	if (shown_has(s->paths, path) && s->n)
		return 0;
	if (s->n + 2 > s->room) {
		new = reallocarray(s->paths, s->room * 2 + 16, sizeof(*new));
		if (!new)
			return -ENOMEM;
		s->paths = new;
		s->room = s->room * 2 + 16;
	}
	if (asprintf(&s->paths[s->n], "%s%s", path, more) < 0)
		return -ENOMEM;
	s->paths[++s->n] = NULL;
	return 0;
}

/* Also where its symlinks lead on this machine. @more: "", or "/.", the way to it alone. */
static int add(struct shown *s, const char *path, const char *more)
{
	char real[PATH_MAX];
	int e = path[0] == '/' ? add_one(s, path, more) : 0;

	if (e == 0 && path[0] == '/' && realpath(path, real) && strcmp(real, path) != 0)
		e = add_one(s, real, more);
	return e;
}

/* A top directory, or somebody's home. */
static bool is_wide(const char *dir)
{
	unsigned int depth = 0;

	for (const char *p = dir; *p; p++)
		depth += *p == '/' && p[1];
	return depth < 2 || (depth == 2 && strncmp(dir, "/home/", 6) == 0);
}

static int add_dir(struct shown *s, const char *dir)
{
	return add(s, dir, is_wide(dir) ? "/." : "");
}

/* @word as a path that @cwd is the start of: a directory, or a file with the directory that it is in. */
static int add_word(struct shown *s, const char *cwd, const char *word)
{
	char path[PATH_MAX], *slash;
	struct stat st;
	int e;

	if (snprintf(path, sizeof(path), "%s%s%s", word[0] == '/' ? "" : cwd, word[0] == '/' ? "" : "/", word) >= (int)sizeof(path) ||
	    stat(path, &st) < 0)
		return 0;
	if (S_ISDIR(st.st_mode))
		return add_dir(s, path);
	e = add(s, path, "");
	slash = strrchr(path, '/');
	if (e < 0 || slash == path)
		return e;
	*slash = 0;
	return add_dir(s, path);
}

/* Its content is not in the capsule: it has to be here. */
static bool is_here(const struct ev_file *f)
{
	return f->state == FILE_REGULAR && f->has_hash && !(f->flags & (FILE_CONTENT | FILE_UNREAD));
}

/* The way to the socket of a peer, whose name may lead through symlinks. */
static int add_peer(struct shown *s, const struct ev_object *o)
{
	struct sockaddr_un un = { 0 };
	char *slash;

	if (!o || o->kind != OBJ_SOCKET || o->family != AF_UNIX || o->remote.len > sizeof(un) - 1)
		return 0;
	memcpy(&un, o->remote.data, o->remote.len);
	slash = strrchr(un.sun_path, '/');
	if (un.sun_path[0] != '/' || slash == un.sun_path)
		return 0;
	*slash = 0;
	return add(s, un.sun_path, "/.");
}

static int gather(struct shown *s, const struct replay *r, const char *command)
{
	const struct manifest *m = r->rec->m;
	int e = add(s, "/etc", "");

	for (char *const *dir = m->image_dirs; e == 0 && *dir; dir++)
		e = add(s, *dir, "");
	if (e == 0)
		e = add_dir(s, m->cwd);
	if (e == 0)
		e = add_word(s, m->cwd, command);
	for (char *const *word = r->opts->argv; e == 0 && word && *word; word++)
		e = add_word(s, m->cwd, *word);
	for (size_t i = 0; e == 0 && i < r->rec->nfiles; i++)
		if (is_here(r->rec->files[i]))
			e = add(s, r->rec->files[i]->path, "");
	for (size_t i = 1; e == 0 && i < r->rec->nobjects; i++)
		e = add_peer(s, r->rec->objects[i].o);
	return e;
}

int shown_paths(struct replay *r, const char *rootfs, const char *command, struct err *err)
{
	char *const *dirs = r->rec->m->image_dirs;
	struct shown s = { NULL };
	int e;

	if (strcmp(rootfs, "/") != 0 || !dirs || !dirs[0] || shown_has(dirs, "/"))
		return 0;
	e = gather(&s, r, command);
	r->shown = s.paths;
	return e < 0 ? err_set(err, ENOMEM, "out of memory") : 0;
}

void shown_free(struct replay *r)
{
	for (char **p = r->shown; p && *p; p++)
		free(*p);
	free(r->shown);
	r->shown = NULL;
}
