/* SPDX-License-Identifier: Apache-2.0 */
#include "recorder/file_calls.h"

#include "format/cleanup.h"
#include "format/io.h"
#include "format/sysdesc.h"
#include "recorder/again.h"
#include "recorder/objects.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/xattr.h>

enum { NR_setxattrat = 463, NR_removexattrat = 466 };	/* Linux 6.13 */

enum effect {
	LOOKS = 0,	/* at what is there */
	CREATES,
	REMOVES,
	REMOVES_DIR,
	TRUNCATES,
	CHANGES,	/* mode, owner, times */
	RENAMES,	/* the first path to the second */
	LINKS,		/* looks at the first, creates the second */
};

static enum effect effect_of(const struct rec_call *c)
{
	switch (c->nr) {
	case SYS_mkdir: case SYS_mkdirat: case SYS_symlink: case SYS_symlinkat: case SYS_mknod: case SYS_mknodat:
		return CREATES;
	case SYS_unlink:
		return REMOVES;
	case SYS_rmdir:
		return REMOVES_DIR;
	case SYS_unlinkat:
		return c->args[2] & AT_REMOVEDIR ? REMOVES_DIR : REMOVES;
	case SYS_truncate:
		return TRUNCATES;
	case SYS_chmod: case SYS_fchmodat: case SYS_chown: case SYS_lchown: case SYS_fchownat: case SYS_utime:
	case SYS_utimes: case SYS_futimesat: case SYS_utimensat:
		return CHANGES;
	case SYS_rename: case SYS_renameat: case SYS_renameat2:
		return RENAMES;
	case SYS_link: case SYS_linkat:
		return LINKS;
	}
	return LOOKS;
}

/* Does the call follow a symlink that is the path's last component? */
static bool follows(const struct rec_call *c)
{
	switch (c->nr) {
	case SYS_lstat: case SYS_readlink: case SYS_readlinkat: case SYS_lchown: case SYS_lgetxattr: case SYS_llistxattr:
	case SYS_lsetxattr: case SYS_lremovexattr:
		return false;
	case SYS_newfstatat: case SYS_faccessat2: case SYS_utimensat:
		return !(c->args[3] & AT_SYMLINK_NOFOLLOW);
	case SYS_statx:
		return !(c->args[2] & AT_SYMLINK_NOFOLLOW);
	case SYS_fchownat:
		return !(c->args[4] & AT_SYMLINK_NOFOLLOW);
	case SYS_linkat:
		return c->args[4] & AT_SYMLINK_FOLLOW;
	case SYS_link:
		return false;
	}
	return effect_of(c) == LOOKS || effect_of(c) == TRUNCATES || effect_of(c) == CHANGES;
}

static bool names_a_path(unsigned int nr, unsigned int arg)
{
	const char *name = sc_arg_name(nr, arg);

	return name && (strcmp(name, "path") == 0 || strcmp(name, "oldpath") == 0 || strcmp(name, "newpath") == 0 ||
			strcmp(name, "linkpath") == 0);
}

/* ---- walking -------------------------------------------------------------------- */

static bool is_dir(void *ctx, const char *path)
{
	return dir_known(ctx, path);
}

static void on_dir(void *ctx, const char *path, const struct stat *st)
{
	file_used(ctx, path, st);
}

static void on_link(void *ctx, const char *path, const struct stat *st, const char *target)
{
	file_link(ctx, path, st, target);
}

static const struct walk_ops walk_ops = { is_dir, on_dir, on_link };

/* The string that is argument @arg; NULL: not there, or torn. */
static const char *string_of(const struct parts *p, unsigned int arg)
{
	const struct part *s = parts_find(p, (uint8_t)arg);

	return s && !s->torn && !s->kernel && s->len && !s->data[s->len - 1] ? (const char *)s->data : NULL;
}

/* Before links are followed: /proc/self is another one for who looks. */
static bool is_synthetic_name(const char *base, const char *name)
{
	char path[PATH_MAX];

	if (name[0] == '/')
		return path_is_synthetic(name);
	return path_is_synthetic(base) || (strcmp(base, "/") == 0 && snprintf(path, sizeof(path), "/%s", name) > 0 &&
					   path_is_synthetic(path));
}

static bool walk_arg(struct recording *r, const struct rec_call *c, const struct parts *p, unsigned int arg, bool follow,
		     struct walked *ret, struct file_facts *facts)
{
	const char *name = string_of(p, arg);
	char base[PATH_MAX] = "/";
	int rc;

	if (!name || !*name)
		return false;
	if (name[0] != '/' && !path_of_part(parts_find(p, (uint8_t)(REC_ARG_BASE + arg)), base)) {
		if (c->ret >= 0)
			emit_hole(r, "file", name, "the directory that this path is relative to is not known", 1);
		return false;
	}
	facts->synthetic |= is_synthetic_name(base, name);
	rc = path_walk(ret, r->opts->rootfs, base, name, follow, &walk_ops, r);
	facts->synthetic |= rc == 0 && path_is_synthetic(ret->path);
	return rc == 0 && path_is_clean(ret->path, strlen(ret->path));
}

/* ---- paths ------------------------------------------------------------------------ */

static void looked_at(struct recording *r, const struct rec_call *c, const struct walked *w)
{
	char host[PATH_MAX], target[PATH_MAX];
	ssize_t n;

	if (w->absent) {
		file_absent(r, w->path);
		return;
	}
	if (c->ret == -ENOENT) {	/* it is there by now */
		file_absent(r, w->path);
		return;
	}
	if (!S_ISLNK(w->st.st_mode)) {
		file_used(r, w->path, &w->st);
		return;
	}
	if (path_below(r->opts->rootfs, w->path, host) < 0 || (n = readlink(host, target, sizeof(target) - 1)) < 0)
		return;
	target[n] = 0;
	file_link(r, w->path, &w->st, target);
}

/* Its directory's path is resolved even if itself is not there. */
static void had_effect(struct recording *r, const struct rec_call *c, enum effect effect, const struct walked *w)
{
	switch (effect) {
	case CREATES:
		file_created(r, w->path);
		break;
	case REMOVES: case REMOVES_DIR:
		file_removed(r, w->path, effect == REMOVES_DIR);
		break;
	case TRUNCATES:
		file_truncated(r, w->path);
		break;
	case CHANGES:
		looked_at(r, c, w);
		file_changed(r, w->path);
		break;
	default:
		looked_at(r, c, w);
	}
}

/* The name of an attribute that the call has set or removed; NULL: it is not of that kind, or not one that a replay sets. */
static const char *attribute_of(const struct rec_call *c, const struct parts *p)
{
	const char *name = NULL;

	switch (c->nr) {
	case SYS_setxattr: case SYS_lsetxattr: case SYS_removexattr: case SYS_lremovexattr:
		name = string_of(p, 1);
		break;
	case NR_setxattrat: case NR_removexattrat:
		name = string_of(p, 3);
		break;
	}
	return name && c->ret >= 0 && strncmp(name, "user.", 5) == 0 ? name : NULL;
}

static bool created_attribute(const struct rec_call *c)
{
	return (c->nr == SYS_setxattr || c->nr == SYS_lsetxattr) && c->args[4] == XATTR_CREATE;
}

static void path_call(struct recording *r, const struct rec_call *c, const struct parts *p, struct file_facts *facts)
{
	enum effect effect = c->ret >= 0 ? effect_of(c) : LOOKS;
	struct walked w[2];
	unsigned int n = 0;

	for (unsigned int i = 0; i < 6 && n < 2; i++)
		if (names_a_path(c->nr, i) && walk_arg(r, c, p, i, follows(c), &w[n], facts))
			n++;
	if (effect == RENAMES && n == 2) {
		file_renamed(r, w[0].path, w[1].path);
		return;
	}
	if (effect == LINKS && n == 2) {
		looked_at(r, c, &w[0]);
		file_created(r, w[1].path);
		return;
	}
	for (unsigned int i = 0; i < n; i++)
		had_effect(r, c, effect, &w[i]);
	if (n == 1 && attribute_of(c, p))
		file_attribute_changed(r, w[0].path, attribute_of(c, p), created_attribute(c));
}

void file_bound(struct recording *r, const struct rec_call *c, const struct parts *p)
{
	const struct part *addr = c->nr == SYS_bind && c->ret == 0 ? parts_find(p, 1) : NULL;
	struct sockaddr_un un = { 0 };
	struct walked w;

	if (!addr || addr->torn || addr->len > sizeof(un))
		return;
	memcpy(&un, addr->data, addr->len);
	if (un.sun_family != AF_UNIX || un.sun_path[0] != '/' || !memchr(un.sun_path, 0, sizeof(un.sun_path)))
		return;
	if (path_walk(&w, r->opts->rootfs, "/", un.sun_path, false, &walk_ops, r) == 0 && path_is_clean(w.path, strlen(w.path)))
		file_created(r, w.path);
}

/* ---- open -------------------------------------------------------------------------- */

static const struct rec_state *state_of(const struct parts *p)
{
	const struct part *s = parts_find(p, REC_ARG_STATE);

	return s && !s->torn && s->kernel && s->len == sizeof(struct rec_state) ? (const struct rec_state *)s->data : NULL;
}

static void opened_regular(struct recording *r, const struct task *t, const struct rec_call *c, const struct parts *p,
			   const char *path)
{
	const struct rec_state *s = state_of(p);

	if (!s || (s->how_flags & __O_TMPFILE) == __O_TMPFILE)
		return;
	file_opened(r, &(struct opened){ .path = path, .pid = (pid_t)t->tgid, .fd = (int)c->ret, .ino = c->fd2.ino, .state = s });
}

static void opened(struct recording *r, const struct task *t, const struct rec_call *c, const struct parts *p,
		   struct file_facts *facts)
{
	const struct rec_state *s = state_of(p);
	char path[PATH_MAX];

	/* A pipe in no tree was there before, and was opened through /proc: /dev/stdout. */
	if (c->fd2.class == FDC_NULL || c->fd2.class == FDC_NONE || c->fd2.class == FDC_PIPE)
		return;
	if (!path_of_part(parts_find(p, REC_ARG_OPENED), path)) {
		emit_hole(r, "file", string_of(p, 0) ? string_of(p, 0) : string_of(p, 1) ? string_of(p, 1) : "",
			  "where this file is in the tree is not known", 1);
		return;
	}
	if (c->fd2.outside)	/* with regular files among them that were inherited, as when /dev/stdout is opened */
		facts->made = object_opened(r, &c->fd2, path, c->fd2.class == FDC_FIFO && file_made(r, path));
	else if (c->fd2.class == FDC_FILE)
		opened_regular(r, t, c, p, path);
	else if (c->fd2.class == FDC_DIR && s && !(s->how_flags & O_PATH))
		dir_listed(r, path);
}

/* What was opened has the name that was given, whole: there is no symlink on the way, and what is above it is known with it. */
static bool leads_straight(const struct rec_call *c, const struct parts *p, unsigned int arg)
{
	const char *name = string_of(p, arg);
	const struct rec_state *s = state_of(p);
	char path[PATH_MAX], base[PATH_MAX];
	size_t n = 0;

	if (!name || !s || (s->how_flags & O_PATH) || c->ret < 0 || c->fd2.class != FDC_FILE || c->fd2.outside ||
	    !path_of_part(parts_find(p, REC_ARG_OPENED), path))
		return false;
	if (name[0] != '/') {
		if (!path_of_part(parts_find(p, (uint8_t)(REC_ARG_BASE + arg)), base) || strcmp(base, "/") == 0)
			return false;
		n = strlen(base) + 1;
		if (strncmp(path, base, n - 1) != 0 || path[n - 1] != '/')
			return false;
	}
	return strcmp(path + n, name) == 0;
}

static void open_call(struct recording *r, const struct task *t, const struct rec_call *c, const struct parts *p,
		      struct file_facts *facts)
{
	const char *name = string_of(p, names_a_path(c->nr, 0) ? 0 : 1);
	bool absolute = name && name[0] == '/';
	uint64_t holes = r->holes;
	struct walked w;

	if (absolute && again_opened(r->again, c, p, name))
		return;
	if (c->ret >= 0)
		opened(r, t, c, p, facts);
	/* For the symlinks on the way; what was opened is known better than by its name. */
	for (unsigned int i = 0; i < 2; i++)
		if (names_a_path(c->nr, i) && !leads_straight(c, p, i) && walk_arg(r, c, p, i, true, &w, facts) && (c->ret < 0 || c->fd2.class == FDC_DIR))
			looked_at(r, c, &w);
	if (c->ret >= 0 && !facts->made)
		facts->synthetic = c->fd2.class == FDC_DIR && path_of_part(parts_find(p, REC_ARG_OPENED), w.path) && path_is_synthetic(w.path);
	if (absolute && r->holes == holes)
		again_note(r->again, c, p, name);
}

void file_call(struct recording *r, const struct task *t, const struct rec_call *c, const struct parts *p, struct file_facts *facts)
{
	char path[PATH_MAX];

	if (sc_table[c->nr].fate == SC_OPEN) {
		open_call(r, t, c, p, facts);
		return;
	}
	if (sc_table[c->nr].fate == SC_LOOK && path_of_part(parts_find(p, REC_ARG_OPENED), path))
		facts->synthetic |= path_is_synthetic(path);
	path_call(r, c, p, facts);
}

/* How much of what /proc says of a process's paths leads to the scope's root; of a container's it begins there. */
static size_t prefix_of_root(const struct recording *r)
{
	return r->opts->inside || strcmp(r->opts->rootfs, "/") == 0 ? 0 : strlen(r->opts->rootfs);
}

/* ---- programs ------------------------------------------------------------------------ */

bool proc_link(const struct recording *r, pid_t pid, const char *name, char out[PATH_MAX])
{
	size_t root = prefix_of_root(r);
	char link[64];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/%d/%s", (int)pid, name);
	n = readlink(link, out, PATH_MAX - 1);
	if (n <= 0)
		return false;
	out[n] = 0;
	if (strncmp(out, r->opts->rootfs, root) != 0)
		return false;
	memmove(out, out + root, (size_t)n - root + 1);
	if (!out[0])
		strcpy(out, "/");
	return path_is_clean(out, strlen(out));
}

/* The second program that the kernel mapped: ld.so. */
static void interpreter_file(struct recording *r, pid_t pid, const char *exe)
{
	size_t root = prefix_of_root(r);
	_cleanup_free_ char *maps = NULL;
	char name[32], *save = NULL;

	snprintf(name, sizeof(name), "/proc/%d/maps", (int)pid);
	if (io_slurp(name, 1 << 20, &maps, NULL) < 0)
		return;
	for (char *line = strtok_r(maps, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *path = strchr(line, '/');

		if (!path || strncmp(path, r->opts->rootfs, root) != 0)
			continue;
		path += root;
		if (strcmp(path, exe) != 0 && path_is_clean(path, strlen(path))) {
			file_held(r, path, pid, -1);
			return;
		}
	}
}

void program_files(struct recording *r, pid_t pid, char exe[PATH_MAX], char cwd[PATH_MAX])
{
	struct walked w;

	if (!proc_link(r, pid, "exe", exe))
		exe[0] = 0;
	if (!proc_link(r, pid, "cwd", cwd))
		cwd[0] = 0;
	if (exe[0] && !file_known(r, exe)) {
		file_held(r, exe, pid, -1);
		interpreter_file(r, pid, exe);
	}
	if (cwd[0] && path_walk(&w, r->opts->rootfs, "/", cwd, true, &walk_ops, r) == 0 && !w.absent)
		file_used(r, w.path, &w.st);
}

/* ---- of running ones ----------------------------------------------------------------------- */

void file_named(struct recording *r, const char *base, const char *name, pid_t pid, int fd)
{
	struct walked w;

	if (path_walk(&w, r->opts->rootfs, base, name, true, &walk_ops, r) < 0 || w.absent || path_is_synthetic(w.path) ||
	    !path_is_clean(w.path, strlen(w.path)))
		return;
	if (S_ISREG(w.st.st_mode))
		file_held(r, w.path, pid, fd);
	else if (S_ISDIR(w.st.st_mode))
		file_used(r, w.path, &w.st);
}

/* "--config=FILE", too. */
static void word_named(struct recording *r, const char *cwd, const char *word, pid_t pid)
{
	const char *value = strchr(word, '=');

	if (word[0] != '-')
		file_named(r, cwd, word, pid, -1);
	if (value && value[1])
		file_named(r, cwd, value + 1, pid, -1);
}

void program_words(struct recording *r, pid_t pid)
{
	char cwd[PATH_MAX];

	if (!proc_link(r, pid, "cwd", cwd))
		strcpy(cwd, "/");
	for (char *const *word = r->opts->argv; word && *word; word++)
		word_named(r, cwd, *word, pid);
}
