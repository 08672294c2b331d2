/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/store.h"

#include "format/cleanup.h"
#include "format/trace.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { TAIL_PARTS = 3 };	/* time, pid, number, each behind a '-' */

/* Without a trace context's ids. */
static void cut_trace(char *name)
{
	char *dot = strrchr(name, '.');

	if (dot && strlen(dot) == 1 + TRACE_ID + 1 + TRACE_SPAN && strspn(dot + 1, "0123456789abcdef") == TRACE_ID && dot[1 + TRACE_ID] == '-' &&
	    strspn(dot + 1 + TRACE_ID + 1, "0123456789abcdef") == TRACE_SPAN)
		*dot = 0;
}

/* The policy's name, into @name; false: it is no capsule's. */
static bool policy_of(const char *file, char name[NAME_MAX + 1])
{
	size_t len = strlen(file);
	char *dash;

	if (file[0] == '.' || len < 5 || len > NAME_MAX || strcmp(file + len - 4, ".cap") != 0)
		return false;
	memcpy(name, file, len - 4);
	name[len - 4] = 0;
	cut_trace(name);
	for (int i = 0; i < TAIL_PARTS; i++) {
		dash = strrchr(name, '-');
		if (!dash || dash == name)
			return false;
		*dash = 0;
	}
	return true;
}

void store_each(const char *dir, const char *policy, void (*f)(void *ctx, const struct stored *s), void *ctx)
{
	char path[PATH_MAX], name[NAME_MAX + 1];
	struct dirent *d;
	struct stat st;

	_cleanup_dir_ DIR *names = opendir(dir);
	while (names && (d = readdir(names))) {
		if (!policy_of(d->d_name, name) || (policy && strcmp(name, policy) != 0) ||
		    (size_t)snprintf(path, sizeof(path), "%s/%s", dir, d->d_name) >= sizeof(path) || lstat(path, &st) < 0 || !S_ISREG(st.st_mode))
			continue;
		f(ctx, &(struct stored){ .path = path, .policy = name, .bytes = (uint64_t)st.st_size,
					 .time = st.st_mtim.tv_sec * 1000000000ll + st.st_mtim.tv_nsec });
	}
}

static void sweep(const char *dir)
{
	struct dirent *d;

	_cleanup_dir_ DIR *names = opendir(dir);
	while (names && (d = readdir(names))) {
		size_t len = strlen(d->d_name);

		if (d->d_name[0] == '.' && len > 5 && strcmp(d->d_name + len - 4, ".cap") == 0)
			unlinkat(dirfd(names), d->d_name, 0);
	}
}

/* Each part of it that is missing. */
static int make_dirs(const char *dir)
{
	char part[PATH_MAX];

	if (strlen(dir) >= sizeof(part))
		return -ENAMETOOLONG;
	strcpy(part, dir);
	for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		if (mkdir(part, 0755) < 0 && errno != EEXIST)
			return -errno;
		*slash = '/';
	}
	return mkdir(dir, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

int store_open(const char *dir, struct err *err)
{
	struct stat st;
	int rc = make_dirs(dir);

	if (rc < 0)
		return err_sys(err, -rc, "making the store '%s'", dir);
	if (stat(dir, &st) < 0)
		return err_sys(err, errno, "the store '%s'", dir);
	if (!S_ISDIR(st.st_mode))
		return err_set(err, ENOTDIR, "the store '%s' is no directory", dir);
	sweep(dir);
	return 0;
}

int store_names(struct store_names *ret, const char *dir, const char *policy, int64_t now, pid_t pid, unsigned int n, struct err *err)
{
	time_t seconds = (time_t)(now / 1000000000);
	char when[32] = "";
	struct tm tm;

	if (gmtime_r(&seconds, &tm))
		strftime(when, sizeof(when), "%Y%m%dT%H%M%SZ", &tm);
	if ((size_t)snprintf(ret->final, sizeof(ret->final), "%s/%s-%s-%d-%u.cap", dir, policy, when, (int)pid, n) >= sizeof(ret->final) ||
	    (size_t)snprintf(ret->writing, sizeof(ret->writing), "%s/.%s-%s-%d-%u.cap", dir, policy, when, (int)pid, n) >= sizeof(ret->writing))
		return err_set(err, ENAMETOOLONG, "the store '%.200s' has too long a name", dir);
	return 0;
}

int store_name_trace(struct store_names *names, const char *trace, const char *span, struct err *err)
{
	size_t len = strlen(names->final) - strlen(".cap"), room = sizeof(names->final) - len;

	if (trace[0] && (size_t)snprintf(names->final + len, room, ".%s-%s.cap", trace, span) >= room)
		return err_set(err, ENAMETOOLONG, "'%.200s': too long a name", names->final);
	return 0;
}
