/* SPDX-License-Identifier: Apache-2.0 */
#include "recorder/paths.h"

#include "format/capsule.h"
#include "sandbox/image_root.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *const image_dirs[] = {
	"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt", NULL
};

bool path_in_image(const char *path)
{
	for (const char *const *d = image_dirs; *d; d++)
		if (path_is_below(path, *d))
			return true;
	return false;
}

static int compare_path(const void *a, const void *b)
{
	return strcmp(a, *(const char *const *)b);
}

bool path_in_container(const struct container *c, const char *path)
{
	char part[PATH_MAX];
	size_t n = strlen(path);

	if (n >= sizeof(part) || path_is_synthetic(path))
		return false;
	memcpy(part, path, n + 1);
	for (; n > 0; part[n] = 0) {
		if (bsearch(part, c->own, c->nown, sizeof(*c->own), compare_path))
			return false;
		while (n > 0 && part[--n] != '/')
			;
	}
	return true;
}

bool path_is_synthetic(const char *path)
{
	if (path_is_below(path, "/dev"))
		return !path_is_below(path, "/dev/shm");
	return path_is_below(path, "/proc") || path_is_below(path, "/sys");
}

bool path_of_part(const struct part *part, char out[PATH_MAX])
{
	const char *names, *end;
	size_t at = PATH_MAX - 1, total = 0;

	if (!part || part->torn || !part->kernel || part->len == 0 || part->data[part->len - 1])
		return false;
	names = (const char *)part->data;
	end = names + part->len;
	/* The first name is the last component: fill @out from behind. */
	out[at] = 0;
	for (const char *n = names; n < end; n += strlen(n) + 1) {
		size_t len = strlen(n);

		if (len == 0 && part->len == 1)
			break;	/* the root */
		if (len == 0 || n[0] == 1 || len + 1 > at)
			return false;
		at -= len;
		memcpy(out + at, n, len);
		out[--at] = '/';
		total += len + 1;
	}
	if (total == 0)
		out[--at] = '/';
	memmove(out, out + at, PATH_MAX - at);
	return path_is_clean(out, strlen(out));
}

int path_below(const char *root, const char *path, char out[PATH_MAX])
{
	int n = snprintf(out, PATH_MAX, "%s%s", strcmp(root, "/") == 0 ? "" : root, path);

	return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

/* ---- following a name --------------------------------------------------------- */

struct walker {
	struct walked *to;
	size_t len;		/* of to->path, without a trailing slash: 0 for the root */
	char rest[2 * PATH_MAX];	/* what is still to be followed */
	const char *root;
	const struct walk_ops *ops;
	void *ctx;
	unsigned int links;
	bool looked;		/* to->st is of to->path */
};

static void go_up(struct walker *w)
{
	w->looked = false;
	while (w->len > 0 && w->to->path[--w->len] != '/')
		;
	w->to->path[w->len] = 0;
}

static int append(struct walker *w, const char *name, size_t n)
{
	if (w->len + 1 + n >= PATH_MAX)
		return -ENAMETOOLONG;
	w->looked = false;
	w->to->path[w->len] = '/';
	memcpy(w->to->path + w->len + 1, name, n);
	w->len += 1 + n;
	w->to->path[w->len] = 0;
	return 0;
}

/* The symlink that to->path names is replaced by what it says. */
static int follow_link(struct walker *w, const char *rest)
{
	char host[PATH_MAX], target[PATH_MAX], new_rest[2 * PATH_MAX];
	ssize_t n;

	if (++w->links > 40)
		return -ELOOP;
	if (path_below(w->root, w->to->path, host) < 0)
		return -ENAMETOOLONG;
	n = readlink(host, target, sizeof(target) - 1);
	if (n < 0)
		return -errno;
	target[n] = 0;
	w->ops->link(w->ctx, w->to->path, &w->to->st, target);
	if ((size_t)snprintf(new_rest, sizeof(new_rest), "%s/%s", target, rest) >= sizeof(new_rest))
		return -ENAMETOOLONG;
	strcpy(w->rest, new_rest);
	if (target[0] == '/') {
		w->len = 0;
		w->to->path[0] = 0;
		w->looked = false;
	} else {
		go_up(w);
	}
	return 0;
}

/* Looks at the component that was appended; 1: it is missing. */
static int look(struct walker *w)
{
	char host[PATH_MAX];

	if (path_below(w->root, w->to->path, host) < 0)
		return -ENAMETOOLONG;
	w->looked = true;
	if (lstat(host, &w->to->st) == 0)
		return 0;
	w->to->absent = errno == ENOENT;
	return w->to->absent ? 1 : -errno;
}

/* One component; 1: the way ends here. @follow: even if it is the last. */
static int step(struct walker *w, const char *name, size_t n, const char *rest, bool follow)
{
	bool last = !rest[strspn(rest, "/")];
	int rc;

	if (n == 0 || (n == 1 && name[0] == '.'))
		return 0;
	if (n == 2 && name[0] == '.' && name[1] == '.') {
		go_up(w);
		return 0;
	}
	rc = append(w, name, n);
	if (rc < 0)
		return rc;
	if (!last && w->ops->is_dir(w->ctx, w->to->path))
		return 0;
	rc = look(w);
	if (rc != 0)
		return rc;
	if (S_ISLNK(w->to->st.st_mode) && (!last || follow))
		return follow_link(w, rest);
	if (!last && S_ISDIR(w->to->st.st_mode))
		w->ops->dir(w->ctx, w->to->path, &w->to->st);
	return !last && !S_ISDIR(w->to->st.st_mode) ? -ENOTDIR : 0;
}

static int follow_rest(struct walker *w, bool follow)
{
	char name[NAME_MAX + 1], rest[2 * PATH_MAX];

	while (w->rest[0]) {
		size_t n = strcspn(w->rest, "/");
		bool slash = w->rest[n] == '/';		/* behind the last one, it makes the name a directory's */
		int rc;

		if (n > NAME_MAX)
			return -ENAMETOOLONG;
		memcpy(name, w->rest, n);
		name[n] = 0;
		strcpy(rest, w->rest + n + slash);
		strcpy(w->rest, rest);
		rc = step(w, name, n, rest, follow || slash);
		if (rc != 0)
			return rc < 0 ? rc : 0;
	}
	return 0;
}

int path_walk(struct walked *ret, const char *root, const char *base, const char *name, bool follow,
	      const struct walk_ops *ops, void *ctx)
{
	struct walker w = { .to = ret, .root = root, .ops = ops, .ctx = ctx };
	int rc;

	*ret = (struct walked){ 0 };
	if (name[0] != '/' && strcmp(base, "/") != 0) {
		w.len = strlen(base);
		if (w.len >= PATH_MAX)
			return -ENAMETOOLONG;
		strcpy(ret->path, base);
	}
	if (strlen(name) >= PATH_MAX)
		return -ENAMETOOLONG;
	strcpy(w.rest, name);
	rc = follow_rest(&w, follow);
	if (rc < 0)
		return rc;
	if (ret->absent)
		return 0;
	if (w.len == 0)
		strcpy(ret->path, "/");
	/* The way may have ended at a place that nobody looked at: "..", or a directory that is known. */
	return !w.looked && look(&w) < 0 ? -errno : 0;
}
