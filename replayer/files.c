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
#include "sandbox/image.h"

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
	long fd;

	/* Where somebody renames or mounts, anywhere, the kernel can't be sure of a "..". */
	for (int i = 0; i < 1000; i++) {
		fd = syscall(SYS_openat2, root, path, &how, sizeof(how));
		if (fd >= 0 || errno != EAGAIN)
			break;
	}
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

int files_check(struct recording *rec, const struct replay_options *run, struct verdict *v, struct err *err)
{
	bool other = run->image && image_wanted(rec->m) && !image_is(run->in, rec->m);
	_cleanup_fd_ int root = open(run->rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (root < 0)
		return err_sys(err, errno, "root file system '%s'", run->rootfs);
	if (other)
		note_add(&v->changed, "the image: recorded %s, here %s", rec->m->image_manifest, run->in->manifest);
	for (size_t i = 0; i < rec->nfiles; i++) {
		const struct ev_file *f = rec->files[i];
		bool by_hash = f->state == FILE_REGULAR && f->has_hash && !(f->flags & FILE_CONTENT);

		if (by_hash && check_one(root, f, other || run->allow_changed, v, err) < 0)
			return -err->code;
	}
	return 0;
}

static int compare_path(const void *path, const void *file)
{
	return strcmp(path, (*(const struct ev_file *const *)file)->path);
}

const struct ev_file *files_recorded(const struct recording *rec, const char *path)
{
	const struct ev_file **f = rec->nfiles ? bsearch(path, rec->files, rec->nfiles, sizeof(*rec->files), compare_path) : NULL;

	return f ? *f : NULL;
}

static bool can_execute(const struct recording *rec, int root, const char *path)
{
	const struct ev_file *f = files_recorded(rec, path);
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
		snprintf(buf, len, "%s", rec->tasks[1].execs[0].path);
	}
}

enum { PAGE = 4096 };

/* Pages of zeros are left out: a sparse file is one again, and takes as little room. */
static int to_fd(void *ctx, const void *data, size_t len, struct err *err)
{
	static const char zeros[PAGE];
	int fd = *(int *)ctx, e = 0;

	for (size_t at = 0, n; at < len && !e; at += n) {
		off_t pos = lseek(fd, 0, SEEK_CUR);

		n = PAGE - (size_t)pos % PAGE;
		n = n < len - at ? n : len - at;
		if (n == PAGE && memcmp((const char *)data + at, zeros, PAGE) == 0)
			e = lseek(fd, PAGE, SEEK_CUR) < 0 ? -errno : 0;
		else
			e = io_write(fd, (const char *)data + at, n);
	}
	return e < 0 ? err_sys(err, -e, "writing") : 0;
}

static int write_content(struct recording *rec, const struct ev_file *f, int fd, struct err *err)
{
	if (!(f->flags & FILE_CONTENT) || f->size == 0 || !f->has_hash)
		return 0;
	if (capsule_blob(rec->reader, f->sha256, to_fd, &fd, err) < 0)
		return -err->code;
	/* What was left out at its end belongs to it. */
	return ftruncate(fd, lseek(fd, 0, SEEK_CUR)) < 0 ? err_sys(err, errno, "writing") : 0;
}

int files_content(struct recording *rec, const char *path, int fd, struct err *err)
{
	const struct ev_file *f = files_recorded(rec, path);

	if (f)
		return write_content(rec, f, fd, err);
	return err_set(err, ENOENT, "%s is not in the capsule", path);
}

static int64_t mtime_of(const struct stat *st)
{
	return st->st_mtim.tv_sec * 1000000000ll + st->st_mtim.tv_nsec;
}

/* Nobody knows its content, but it is here as it was: of that size, and not changed since. */
static bool is_as_it_was(const struct replay *r, int root, const struct ev_file *f)
{
	struct stat st;

	if (root < 0 || !shown_has(r->shown, f->path))
		return false;
	_cleanup_fd_ int fd = open_in(root, f->path, O_PATH | O_NOFOLLOW);
	return fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == f->size && mtime_of(&st) == f->mtime;
}

static int lay_regular(const struct replay *r, int root, struct layer *layer, const struct ev_file *f, struct err *err)
{
	struct recording *rec = r->rec;
	int e;

	if (!(f->flags & (FILE_CONTENT | FILE_UNREAD)))
		return 0;	/* the root file system has it: files_check() saw to that */
	if ((f->flags & FILE_UNREAD) && is_as_it_was(r, root, f))
		return 0;
	_cleanup_fd_ int fd = -1;
	if (layer_file(layer, f->path, f->mode, &fd, err) < 0)
		return -err->code;
	e = write_content(rec, f, fd, err);
	if (e == 0 && (f->flags & FILE_UNREAD) && ftruncate(fd, (off_t)f->size) < 0)
		return err_sys(err, errno, "%s", f->path);
	close(TAKE_FD(fd));
	if (e < 0 || layer_attributes(layer, f->path, f->attributes, err) < 0)
		return -err->code;
	return layer_mtime(layer, f->path, f->mtime, err);
}

/* Is it an end of something outside? Then its peer makes it, or nobody can. */
static bool is_peers(const struct recording *rec, const char *path)
{
	for (size_t i = 1; i < rec->nobjects; i++) {
		const struct ev_object *o = rec->objects[i].o;
		const struct sockaddr_un *un = o ? (const void *)o->remote.data : NULL;

		if (o && o->kind == OBJ_PIPE && o->path && strcmp(o->path, path) == 0)
			return true;
		if (o && o->kind == OBJ_SOCKET && o->family == AF_UNIX && o->remote.len > sizeof(sa_family_t) + strlen(path) &&
		    strncmp(un->sun_path, path, o->remote.len - sizeof(sa_family_t)) == 0)
			return true;
	}
	return false;
}

static int lay_special(struct recording *rec, struct layer *layer, const struct ev_file *f, struct err *err)
{
	int e;

	if (!(f->flags & (FILE_FIFO | FILE_SOCKET)) || is_peers(rec, f->path))
		return 0;
	e = layer_special(layer, f->path, f->flags & FILE_FIFO ? S_IFIFO : S_IFSOCK, f->mode, err);
	return e < 0 ? e : layer_mtime(layer, f->path, f->mtime, err);
}

static int lay_one(const struct replay *r, int root, struct layer *layer, const struct ev_file *f, struct err *err)
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
		if (e == 0)
			e = layer_attributes(layer, f->path, f->attributes, err);
		return e < 0 ? e : layer_mtime(layer, f->path, f->mtime, err);
	case FILE_SYMLINK:
		return layer_symlink(layer, f->path, f->target, err);
	case FILE_REGULAR:
		return lay_regular(r, root, layer, f, err);
	default:
		return lay_special(r->rec, layer, f, err);
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

bool files_synthetic(const char *path)
{
	return path_is_below(path, "/proc") || path_is_below(path, "/sys") || path_is_below(path, "/dev");
}

static bool under_image(const struct manifest *m, const char *path)
{
	for (char *const *dir = m->image_dirs; dir && *dir; dir++)
		if (path_is_below(path, *dir))
			return true;
	return false;
}

/* As the directory was, or else as it is. */
static uint32_t dir_mode(const struct recording *rec, int root, const char *path)
{
	const struct ev_file *f = files_recorded(rec, path);
	struct stat st;

	if (f && f->state == FILE_DIR)
		return f->mode;
	_cleanup_fd_ int fd = root < 0 ? -1 : open_in(root, path, O_PATH | O_NOFOLLOW);
	return fd >= 0 && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode) ? st.st_mode & 07777 : 0755;
}

/* The directory in which a peer will bind its unix socket must be there, and ours. Where it can't be, the connection will be a miss. */
static void lay_peer_dir(const struct recording *rec, int root, struct layer *layer, const struct rec_object *o)
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
		layer_dir(layer, real, dir_mode(rec, root, real), &ignored);
}

static int lay_fifo(const struct recording *rec, struct layer *layer, const struct ev_object *o, struct err *err)
{
	const struct ev_file *f;

	if (!has_own_end(o) || o->kind != OBJ_PIPE || files_synthetic(o->path))
		return 0;
	f = files_recorded(rec, o->path);
	return layer_fifo(layer, o->path, f ? f->mode : 0644, err);
}

/* A path that the program changed, or looked for in vain: its directory must be there, and writable, so the layer takes part in it. */
static int lay_output_dir(const struct recording *rec, int root, struct layer *layer, const struct ev_file *f, struct err *err)
{
	char dir[PATH_MAX];
	char *slash;

	snprintf(dir, sizeof(dir), "%s", f->path);
	slash = strrchr(dir, '/');
	if (!slash || slash == dir || files_synthetic(dir))
		return 0;
	*slash = 0;
	_cleanup_fd_ int there = open_in(root, dir, O_PATH | O_DIRECTORY);
	if (there < 0)
		return 0;	/* the program makes it */
	if (layer_dir(layer, dir, dir_mode(rec, root, dir), err) < 0 && err->code != EEXIST)
		return -err->code;
	*err = ERR_INIT;
	return 0;
}

/* Other names of files that are laid: after all of these are. A failure leaves the file of that name, with the same content. */
static void lay_link(const struct recording *rec, struct layer *layer, const struct ev_file *f)
{
	const struct ev_file *of = f->link && f->link[0] ? files_recorded(rec, f->link) : NULL;
	struct err ignored = ERR_INIT;

	if (f->state == FILE_REGULAR && of && of->state == FILE_REGULAR && (of->flags & (FILE_CONTENT | FILE_UNREAD)))
		layer_link(layer, f->path, f->link, &ignored);
}

int files_lay(void *ctx, struct layer *layer, struct err *err)
{
	const struct replay *r = ctx;
	struct recording *rec = r->rec;

	_cleanup_fd_ int root = open(r->opts->rootfs ? r->opts->rootfs : rec->m->rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
	/* Sorted by path: a directory comes before what is in it. */
	for (size_t i = 0; i < rec->nfiles; i++)
		if (!files_synthetic(rec->files[i]->path) && lay_one(r, root, layer, rec->files[i], err) < 0)
			return err_in(err, "laying over %s", rec->files[i]->path);
	for (size_t i = 0; i < rec->nfiles; i++)
		lay_link(rec, layer, rec->files[i]);
	for (size_t i = 0; i < rec->nfiles; i++)
		if (rec->files[i]->state == FILE_ABSENT && !shown_has(r->shown, rec->files[i]->path) &&
		    lay_output_dir(rec, root, layer, rec->files[i], err) < 0)
			return err_in(err, "laying over %s", rec->files[i]->path);
	for (size_t i = 0; i < rec->noutputs; i++)
		if ((under_image(rec->m, rec->outputs[i]->path) || !shown_has(r->shown, rec->outputs[i]->path)) && lay_output_dir(rec, root, layer, rec->outputs[i], err) < 0)
			return err_in(err, "laying over %s", rec->outputs[i]->path);
	for (size_t i = 1; root >= 0 && i < rec->nobjects; i++) {
		lay_peer_dir(rec, root, layer, &rec->objects[i]);
		if (lay_fifo(rec, layer, rec->objects[i].o, err) < 0)
			return err_in(err, "laying over %s", rec->objects[i].o->path);
	}
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

static void compare_attributes(struct replay *r, int fd, const struct ev_file *f)
{
	char expected[200], got[200], what[160];

	switch (attributes_compare(fd, f->attributes, expected, got)) {
	case ATTRIBUTES_DIFFER:
		snprintf(what, sizeof(what), "attributes of file %.130s", f->path);
		diverged(r->v, what, 0, expected, got);
		break;
	case ATTRIBUTES_LOST:
		miss(r, "the attributes of %s can't be compared: files have none here", f->path);
		break;
	case ATTRIBUTES_SAME:
		break;
	}
}

static void compare_one(struct replay *r, const struct ev_file *f)
{
	struct ev_file now = { .path = f->path, .state = FILE_ABSENT };
	char then_hex[SHA256_HEX], now_hex[SHA256_HEX], what[160];
	struct err err = ERR_INIT;
	struct stat st;

	_cleanup_fd_ int fd = open_in(sandbox_root(r->sb), f->path, O_PATH | O_NOFOLLOW);
	if (fd >= 0 && fstat(fd, &st) == 0) {
		now.state = state_of(&st);
		now.mode = st.st_mode & 07777;
		now.size = (uint64_t)st.st_size;
		now.has_hash = now.state == FILE_REGULAR && hash_in(sandbox_root(r->sb), f->path, now.sha256, &err) == 0;
	}
	if (now.state == FILE_REGULAR || now.state == FILE_DIR)
		attributes_of(fd, &now.attributes);
	saved_file(r, &now);
	free((void *)now.attributes.data);
	snprintf(what, sizeof(what), "file %s", f->path);
	if (now.state != f->state) {
		diverged(r->v, what, 0, file_state_name(f->state), file_state_name(now.state));
	} else if (err.code && f->has_hash) {
		miss(r, "%s can't be compared", err.text);
	} else if (now.has_hash && f->has_hash && memcmp(now.sha256, f->sha256, sizeof(now.sha256)) != 0) {
		sha256_hex(f->sha256, then_hex);
		sha256_hex(now.sha256, now_hex);
		diverged(r->v, what, 0, then_hex, now_hex);
	} else if (f->state == FILE_REGULAR || f->state == FILE_DIR) {
		compare_attributes(r, fd, f);
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

/* Files whose content is not in the capsule are zeros. Who reads them is told by their times, since an open is not notified. */
static void look_for_unread(struct replay *r)
{
	for (size_t i = 0; i < r->rec->nfiles; i++) {
		const struct ev_file *f = r->rec->files[i];
		struct stat st;

		if (f->state != FILE_REGULAR || !(f->flags & FILE_UNREAD) || !f->size)
			continue;
		/* What is here as it was is in neither. */
		_cleanup_fd_ int fd = open_in(shown_has(r->shown, f->path) ? sandbox_upper(r->sb) : sandbox_root(r->sb), f->path, O_PATH | O_NOFOLLOW);
		if (fd < 0 || fstat(fd, &st) < 0 || mtime_of(&st) != f->mtime)
			continue;
		if (st.st_atim.tv_sec * 1000000000ll + st.st_atim.tv_nsec >= r->began)
			miss(r, "%s was read; the capsule has not its content, only its size: zeros", f->path);
	}
}

void files_compare(struct replay *r)
{
	look_for_unread(r);
	for (size_t i = 0; i < r->rec->noutputs; i++) {
		const char *path = r->rec->outputs[i]->path;

		if (!files_synthetic(path) && !is_inherited(r->rec, path))
			compare_one(r, r->rec->outputs[i]);
	}
}
