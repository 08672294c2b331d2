/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files: those of the image must be what they were (by hash); the others are
 * laid over it as they were before the program first used them; those that the
 * program changed are compared with what they became.
 */
#include <linux/types.h>

#include "replayer/replay.h"

#include "format/cleanup.h"
#include "format/cli.h"
#include "format/io.h"
#include "format/sha256.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

int open_in(int root, const char *path, int flags)
{
	struct open_how how = { .flags = (uint64_t)(flags | O_CLOEXEC), .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };
	long fd = syscall(SYS_openat2, root, path, &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

/* Its hash, as the program would have read it. */
static int hash_in(int root, const char *path, uint8_t sha256[SHA256_LEN], struct err *err)
{
	_cleanup_fd_ int fd = open_in(root, path, O_RDONLY | O_NONBLOCK);

	if (fd < 0)
		return err_sys(err, -fd, "%s", path);
	return sha256_fd(fd, sha256, NULL, err);
}

static int check_one(int root, const struct ev_file *f, bool allow_changed, struct verdict *v, struct err *err)
{
	char then[SHA256_HEX], now[SHA256_HEX];
	uint8_t hash[SHA256_LEN];
	struct err why = ERR_INIT;

	if (hash_in(root, f->path, hash, &why) == 0) {
		if (memcmp(hash, f->sha256, sizeof(hash)) == 0)
			return 0;
		sha256_hex(f->sha256, then);
		sha256_hex(hash, now);
		snprintf(why.text, sizeof(why.text), "%s has changed: recorded %s, here %s", f->path, then, now);
	}
	if (allow_changed) {
		note_add(&v->changed, "%s", why.text);
		return 0;
	}
	return err_set(err, ESTALE, "%s (give the recorded root file system with --rootfs, or --allow-changed to try all the same)",
		       why.text);
}

int files_check(struct recording *rec, const char *rootfs, bool allow_changed, struct verdict *v, struct err *err)
{
	_cleanup_fd_ int root = open(rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (root < 0)
		return err_sys(err, errno, "root file system '%s'", rootfs);
	for (size_t i = 0; i < rec->nfiles; i++) {
		const struct ev_file *f = rec->files[i];
		bool by_hash = f->state == FILE_REGULAR && f->has_hash && !(f->flags & FILE_CONTENT);

		if (by_hash && check_one(root, f, allow_changed, v, err) < 0)
			return -err->code;
	}
	return 0;
}

static const struct ev_file *recorded_file(const struct recording *rec, const char *path)
{
	for (size_t i = 0; i < rec->nfiles; i++)
		if (strcmp(rec->files[i]->path, path) == 0)
			return rec->files[i];
	return NULL;
}

static bool can_execute(const struct recording *rec, int root, const char *path)
{
	const struct ev_file *f = recorded_file(rec, path);
	struct stat st;

	if (f)
		return f->state == FILE_SYMLINK || (f->state == FILE_REGULAR && (f->mode & 0111));
	_cleanup_fd_ int fd = open_in(root, path, O_PATH);
	return fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 0111);
}

/* The variable's value among @env, or NULL. */
static const char *env_value(char *const *env, const char *name)
{
	size_t n = strlen(name);

	for (; env && *env; env++)
		if (strncmp(*env, name, n) == 0 && (*env)[n] == '=')
			return *env + n + 1;
	return NULL;
}

void files_find_command(const struct recording *rec, const char *rootfs, const char *name, char *buf, size_t len)
{
	const char *path = env_value(rec->m->env, "PATH") ?: "/bin:/usr/bin";	/* confstr(3), _CS_PATH */
	_cleanup_fd_ int root = open(rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);

	snprintf(buf, len, "%s", name);
	while (root >= 0 && !strchr(name, '/') && *path) {
		size_t n = strcspn(path, ":");

		snprintf(buf, len, "%.*s/%s", (int)n, path, name);
		if (n && path[0] == '/' && can_execute(rec, root, buf))
			return;
		path += n + (path[n] == ':');
		snprintf(buf, len, "%s", rec->tasks[1].execs[0]->path);
	}
}

static int to_fd(void *ctx, const void *data, size_t len, struct err *err)
{
	int e = io_write(*(int *)ctx, data, len);

	return e < 0 ? err_sys(err, -e, "writing") : 0;
}

static int write_content(struct recording *rec, const struct ev_file *f, int fd, struct err *err)
{
	if (!(f->flags & FILE_CONTENT) || f->size == 0 || !f->has_hash)
		return 0;
	return capsule_blob(rec->reader, f->sha256, to_fd, &fd, err);
}

int files_content(struct recording *rec, const char *path, int fd, struct err *err)
{
	const struct ev_file *f = recorded_file(rec, path);

	if (f)
		return write_content(rec, f, fd, err);
	return err_set(err, ENOENT, "%s is not in the capsule", path);
}

static int lay_regular(struct recording *rec, struct layer *layer, const struct ev_file *f, struct err *err)
{
	int e;

	if (!(f->flags & (FILE_CONTENT | FILE_UNREAD)))
		return 0;	/* the root file system has it: files_check() saw to that */
	_cleanup_fd_ int fd = -1;
	if (layer_file(layer, f->path, f->mode, &fd, err) < 0)
		return -err->code;
	e = write_content(rec, f, fd, err);
	if (e == 0 && (f->flags & FILE_UNREAD) && ftruncate(fd, (off_t)f->size) < 0)
		return err_sys(err, errno, "%s", f->path);
	return e < 0 ? e : layer_mtime(layer, f->path, f->mtime, err);
}

static int lay_one(struct recording *rec, struct layer *layer, const struct ev_file *f, struct err *err)
{
	int e;

	if (f->flags & FILE_IMAGE)
		return 0;
	switch (f->state) {
	case FILE_ABSENT:
		return layer_absent(layer, f->path, err);
	case FILE_DIR:
		if (strcmp(f->path, "/") == 0)
			return 0;
		e = layer_dir(layer, f->path, f->mode, err);
		return e < 0 ? e : layer_mtime(layer, f->path, f->mtime, err);
	case FILE_SYMLINK:
		return layer_symlink(layer, f->path, f->target, err);
	case FILE_REGULAR:
		return lay_regular(rec, layer, f, err);
	default:
		return 0;	/* sockets are made by their peers */
	}
}

/*
 * @dir without symlinks, as far as @root has it; what it has not stays as it
 * is.  Into @real, of PATH_MAX bytes; false if it can't be told.
 */
static bool resolve_in(int root, const char *dir, char *real)
{
	char link[64], top[PATH_MAX], part[PATH_MAX];
	ssize_t n, skip;

	snprintf(part, sizeof(part), "%s", dir);
	_cleanup_fd_ int fd = open_in(root, part, O_PATH);
	while (fd == -ENOENT && part[1]) {
		char *slash = strrchr(part, '/');

		slash[slash == part] = 0;
		fd = open_in(root, part, O_PATH);
	}
	if (fd < 0)
		return false;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", root);
	skip = readlink(link, top, sizeof(top));
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, real, PATH_MAX);
	if (skip <= 0 || n < skip || n == PATH_MAX)
		return false;
	skip = skip == 1 ? 0 : skip;	/* "/" */
	memmove(real, real + skip, (size_t)(n - skip));
	real[n - skip] = 0;
	n = n - skip == 1 ? 0 : n - skip;
	return snprintf(real + n, (size_t)(PATH_MAX - n), "%s", dir + (part[1] ? strlen(part) : 0)) < PATH_MAX - n;
}

static bool is_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return strncmp(path, dir, n) == 0 && (path[n] == '/' || !path[n]);
}

static bool synthetic_path(const char *path)
{
	return is_below(path, "/proc") || is_below(path, "/sys") || is_below(path, "/dev");
}

static bool under_image(const struct manifest *m, const char *path)
{
	for (char *const *dir = m->image_dirs; dir && *dir; dir++)
		if (is_below(path, *dir))
			return true;
	return false;
}

/* The directory in which a peer will bind its unix socket must be there, and ours. Where it can't be, the connection will be a miss. */
static void lay_peer_dir(int root, struct layer *layer, const struct rec_object *o)
{
	struct sockaddr_un un = { 0 };
	struct err ignored = ERR_INIT;
	char real[PATH_MAX], *slash;

	if (!o->o || o->o->kind != OBJ_SOCKET || o->o->family != AF_UNIX || o->o->remote.len <= sizeof(sa_family_t) ||
	    o->o->remote.len > sizeof(un))
		return;
	memcpy(&un, o->o->remote.data, o->o->remote.len);
	un.sun_path[sizeof(un.sun_path) - 1] = 0;
	slash = strrchr(un.sun_path, '/');
	if (un.sun_path[0] != '/' || slash == un.sun_path)
		return;
	*slash = 0;
	if (path_is_clean(un.sun_path, strlen(un.sun_path)) && resolve_in(root, un.sun_path, real) && real[1])
		layer_dir(layer, real, 0755, &ignored);
}

/* A path of the image that the program changed: its directory must be writable, so the layer takes part in it. */
static int lay_output_dir(struct layer *layer, const struct ev_file *f, struct err *err)
{
	char dir[PATH_MAX];
	char *slash;

	snprintf(dir, sizeof(dir), "%s", f->path);
	slash = strrchr(dir, '/');
	if (!slash || slash == dir || synthetic_path(dir))
		return 0;
	*slash = 0;
	if (layer_dir(layer, dir, 0755, err) < 0 && err->code != EEXIST)
		return -err->code;
	*err = ERR_INIT;
	return 0;
}

int files_lay(void *ctx, struct layer *layer, struct err *err)
{
	const struct replay *r = ctx;
	struct recording *rec = r->rec;

	/* Sorted by path: a directory comes before what is in it. */
	for (size_t i = 0; i < rec->nfiles; i++)
		if (!synthetic_path(rec->files[i]->path) && lay_one(rec, layer, rec->files[i], err) < 0)
			return err_in(err, "laying over %s", rec->files[i]->path);
	for (size_t i = 0; i < rec->noutputs; i++)
		if (under_image(rec->m, rec->outputs[i]->path) && lay_output_dir(layer, rec->outputs[i], err) < 0)
			return err_in(err, "laying over %s", rec->outputs[i]->path);
	_cleanup_fd_ int root = open(r->opts->rootfs ? r->opts->rootfs : rec->m->rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
	for (size_t i = 1; root >= 0 && i < rec->nobjects; i++)
		lay_peer_dir(root, layer, &rec->objects[i]);
	return 0;
}

static enum file_state state_of(const struct stat *st)
{
	if (S_ISREG(st->st_mode))
		return FILE_REGULAR;
	if (S_ISDIR(st->st_mode))
		return FILE_DIR;
	return S_ISLNK(st->st_mode) ? FILE_SYMLINK : FILE_OTHER;
}

static void compare_one(struct replay *r, const struct ev_file *f)
{
	enum file_state now = FILE_ABSENT;
	char then_hex[SHA256_HEX], now_hex[SHA256_HEX], what[160];
	uint8_t hash[SHA256_LEN];
	struct err err = ERR_INIT;
	struct stat st;

	_cleanup_fd_ int fd = open_in(sandbox_root(r->sb), f->path, O_PATH | O_NOFOLLOW);
	if (fd >= 0 && fstat(fd, &st) == 0)
		now = state_of(&st);
	snprintf(what, sizeof(what), "file %s", f->path);
	if (now != f->state) {
		diverged(r->v, what, 0, file_state_name(f->state), file_state_name(now));
		return;
	}
	if (now != FILE_REGULAR || !f->has_hash)
		return;
	if (hash_in(sandbox_root(r->sb), f->path, hash, &err) < 0) {
		miss(r, "%s can't be compared", err.text);
		return;
	}
	if (memcmp(hash, f->sha256, sizeof(hash)) != 0) {
		sha256_hex(f->sha256, then_hex);
		sha256_hex(hash, now_hex);
		diverged(r->v, what, 0, then_hex, now_hex);
	}
}

/* A file that was inherited open is not at its path here: what went into it was compared as it was written. */
static bool is_inherited(const struct recording *rec, const char *path)
{
	for (size_t i = 1; i < rec->nobjects; i++) {
		const struct ev_object *o = rec->objects[i].o;

		if (o && o->kind == OBJ_FILE && o->nfds && strcmp(o->path, path) == 0)
			return true;
	}
	return false;
}

void files_compare(struct replay *r)
{
	for (size_t i = 0; i < r->rec->noutputs; i++) {
		const char *path = r->rec->outputs[i]->path;

		if (!synthetic_path(path) && !is_inherited(r->rec, path))
			compare_one(r, r->rec->outputs[i]);
	}
}
