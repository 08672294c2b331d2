/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's root file system, put together in a tmpfs and entered with
 * pivot_root().
 *
 * The lower root can't be one overlay: what an unprivileged mount namespace
 * inherits is locked, and overlayfs refuses a lower with mounts inside
 * (clone_private_mount(), fs/namespace.c).  So each of its top directories
 * gets an overlay of its own, and a directory that has mounts inside is
 * taken apart in the same way, a few levels deep.
 *
 * The tmpfs holds root/ (what becomes "/"), upper/ (one tree, shaped like the
 * root, whose directories are the uppers of the overlays) and work/.  Paths
 * are given to overlayfs as /proc/self/fd/N: no name in them needs escaping.
 */
#include "sandbox/internal.h"

#include "format/cleanup.h"
#include "format/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>

#define DIR_FLAGS (O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define MAX_DEPTH 4		/* how deep a directory with mounts inside is taken apart ... */
#define MAX_OVERLAYS 256	/* ... and into how many overlays altogether */
#define MAX_COPY (1 << 20)	/* a larger file in a directory taken apart is bound, not copied ... */
#define MAX_COPIES 64		/* ... and so are those behind the first few */

/* Four views of one directory; see struct rootfs. */
struct level {
	int lower, upper, plain, root;
	int depth;
	const char *path;	/* in the root; "" is its top */
};

static void cleanup_level(struct level *lv)
{
	cleanup_fd(&lv->lower);
	cleanup_fd(&lv->upper);
	cleanup_fd(&lv->plain);
	cleanup_fd(&lv->root);
}
#define _cleanup_level_ _cleanup_(cleanup_level)

static int set_fd_option(int fs, const char *key, int fd)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return fsconfig(fs, FSCONFIG_SET_STRING, key, path, 0);
}

int overlay_new(int lower, int upper, int work, bool user, unsigned int attributes)
{
	_cleanup_fd_ int fs = fsopen("overlay", FSOPEN_CLOEXEC);

	if (fs < 0)
		return -errno;
	if (set_fd_option(fs, "lowerdir", lower) < 0 || set_fd_option(fs, "upperdir", upper) < 0 ||
	    set_fd_option(fs, "workdir", work) < 0 || (user && fsconfig(fs, FSCONFIG_SET_FLAG, "userxattr", NULL, 0) < 0) ||
	    fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	int mnt = fsmount(fs, FSMOUNT_CLOEXEC, attributes);
	return mnt < 0 ? -errno : mnt;
}

/* A detached overlay of @upper over @lower: its fd, or -errno. */
static int make_overlay(struct rootfs *r, int lower, int upper)
{
	char name[16];

	if (r->overlays >= MAX_OVERLAYS)
		return -ENOSPC;
	snprintf(name, sizeof(name), "%u", r->overlays++);
	if (mkdirat(r->work, name, 0700) < 0)
		return -errno;
	_cleanup_fd_ int work = openat(r->work, name, DIR_FLAGS);
	return work < 0 ? -errno : overlay_new(lower, upper, work, true, 0);
}

static int attach(int mnt, int dir, const char *name)
{
	return move_mount(mnt, "", dir, name, MOVE_MOUNT_F_EMPTY_PATH) < 0 ? -errno : 0;
}

int mount_clone_readonly(int dir, const char *path, bool recursive)
{
	/* A device node of an image is not to be opened, not even where root replays. */
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID };
	unsigned int flags = recursive ? AT_RECURSIVE : 0;

	_cleanup_fd_ int mnt = open_tree(dir, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | flags);
	if (mnt < 0 || mount_setattr(mnt, "", AT_EMPTY_PATH | flags, &attr, sizeof(attr)) < 0)
		return -errno;
	return TAKE_FD(mnt);
}

/* The mount points of this namespace, as lines. Without them overlays are tried where they can't be. */
static char *read_mounts(void)
{
	_cleanup_free_ char *text = NULL;
	char *save = NULL, *mounts, *w;
	size_t len;

	if (io_slurp("/proc/self/mountinfo", 16 << 20, &text, &len) < 0)
		return NULL;
	mounts = w = malloc(len + 2);
	if (!mounts)
		return NULL;
	*w++ = '\n';
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *at = line;

		for (int field = 1; field < 5 && at; field++)	/* proc_pid_mountinfo(5): the fifth is the mount point */
			at = strchr(at + 1, ' ');
		if (!at)
			continue;
		len = strcspn(at + 1, " ");
		w = mempcpy(w, at + 1, len);
		*w++ = '\n';
	}
	*w = 0;
	return mounts;
}

/*
 * Are there mounts inside the directory @fd?  A failed overlay costs a
 * millisecond, so this asks before; a name with a space is escaped in the
 * list and not found.
 */
static bool has_mounts_inside(const struct rootfs *r, int fd)
{
	char link[32], path[PATH_MAX + 3] = "\n";
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path + 1, PATH_MAX);
	if (n < 2 || n >= PATH_MAX || !r->mounts)
		return false;
	path[n + 1] = '/';
	path[n + 2] = 0;
	return strstr(r->mounts, path);
}

/* True if nothing is in it, and we may know. */
static bool is_empty(int dir)
{
	char buf[512];	/* of linux_dirent64: ".", ".." and the next */
	long n;

	_cleanup_fd_ int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = syscall(SYS_getdents64, fd, buf, sizeof(buf));
	return n >= 0 && n <= 48;	/* 24 bytes each */
}

static int bind_readonly(const struct level *lv, const char *name)
{
	_cleanup_fd_ int mnt = mount_clone_readonly(lv->lower, name, true);

	return mnt < 0 ? mnt : attach(mnt, lv->root, name);
}

/* Makes @name in @dir like @st, which is a directory of the lower. */
static int mkdir_like(int dir, const char *name, const struct stat *st)
{
	struct timespec ts[2] = { st->st_atim, st->st_mtim };

	if (mkdirat(dir, name, 0700) < 0 && errno != EEXIST)
		return -errno;
	if (fchmodat(dir, name, st->st_mode & 07777, 0) < 0 || utimensat(dir, name, ts, 0) < 0)
		return -errno;
	return 0;
}

static int graft_level(struct rootfs *r, const struct level *lv, struct err *err);

static int take_apart(struct rootfs *r, const struct level *lv, const char *name, struct err *err)
{
	char path[PATH_MAX];
	_cleanup_level_ struct level sub = { .lower = openat(lv->lower, name, DIR_FLAGS), -1, -1, -1, lv->depth + 1, path };

	if (snprintf(path, sizeof(path), "%s/%s", lv->path, name) >= (int)sizeof(path))
		return err_sys(err, ENAMETOOLONG, "opening '%s'", name);
	sub.upper = openat(lv->upper, name, DIR_FLAGS);
	sub.plain = openat(lv->plain, name, DIR_FLAGS);
	sub.root = openat(lv->root, name, DIR_FLAGS);
	if (sub.lower < 0 || sub.upper < 0 || sub.plain < 0 || sub.root < 0)
		return err_sys(err, errno, "opening '%s'", name);
	return graft_level(r, &sub, err);
}

/* The layer's directory itself. */
static int replace_dir(const struct level *lv, const char *name, struct err *err)
{
	if (renameat(lv->upper, name, lv->plain, name) < 0)	/* also over an empty directory */
		return err_sys(err, errno, "laying '%s'", name);
	return 0;
}

/*
 * The directory @name; the layer has it too if @up is not NULL.  Where no
 * overlay can be made and the directory can't be taken apart it is shown
 * read-only, and where even that fails it is empty.  @whole: all of it can be seen.
 */
static int graft_dir(struct rootfs *r, const struct level *lv, const char *name, const struct stat *st,
		     const struct stat *up, bool whole, struct err *err)
{
	int e;

	/* We may not look into it: then the layer's directory is all there is. */
	if (up && faccessat(lv->lower, name, R_OK | X_OK, AT_EACCESS) < 0)
		return replace_dir(lv, name, err);
	if (!up) {
		e = mkdir_like(lv->upper, name, st);
		if (e < 0)
			return err_sys(err, -e, "making '%s'", name);
	}
	e = mkdir_like(lv->plain, name, up ? up : st);
	if (e < 0)
		return err_sys(err, -e, "making '%s'", name);

	_cleanup_fd_ int upper = openat(lv->upper, name, DIR_FLAGS);
	_cleanup_fd_ int lower = openat(lv->lower, name, DIR_FLAGS);
	if (lower < 0 && errno == ENOENT)
		return 0;	/* someone has removed it since it was listed */
	if (lower < 0 || upper < 0)
		return err_sys(err, errno, "opening '%s'", name);
	if (is_empty(lower))
		return up ? replace_dir(lv, name, err) : 0;
	_cleanup_fd_ int mnt = !whole || has_mounts_inside(r, lower) ? -EINVAL : make_overlay(r, lower, upper);
	if (mnt == -ENODEV || mnt == -ENOSYS)
		return err_set(err, -mnt, "this kernel has no overlay file system; mend: modprobe overlay (Linux 5.11 or newer)");
	if (mnt >= 0) {
		e = attach(mnt, lv->root, name);
		return e < 0 ? err_sys(err, -e, "mounting '%s'", name) : 0;
	}
	if (mnt == -EINVAL && (!whole || lv->depth < MAX_DEPTH) && faccessat(lower, ".", R_OK | X_OK, AT_EACCESS) == 0)
		return take_apart(r, lv, name, err);
	bind_readonly(lv, name);
	return 0;
}

static int copy_file(const struct level *lv, const char *name, const struct stat *st)
{
	struct timespec ts[2] = { st->st_atim, st->st_mtim };

	_cleanup_fd_ int in = openat(lv->lower, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (in < 0)
		return -errno;
	_cleanup_fd_ int out = openat(lv->plain, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (out < 0)
		return -errno;
	for (off_t done = 0; done < st->st_size;) {
		ssize_t n = sendfile(out, in, NULL, st->st_size - done);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			break;
		done += n > 0 ? n : 0;
	}
	if (fchmod(out, st->st_mode & 07777) < 0 || futimens(out, ts) < 0)
		return -errno;
	return 0;
}

/* A regular file: a copy if it is small, else, or where we may not read it, the file itself, read-only. */
static void graft_file(struct rootfs *r, const struct level *lv, const char *name, const struct stat *st)
{
	if (st->st_size <= MAX_COPY && r->copies++ < MAX_COPIES && copy_file(lv, name, st) == 0)
		return;
	unlinkat(lv->plain, name, 0);
	_cleanup_fd_ int fd = openat(lv->plain, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd >= 0 && bind_readonly(lv, name) < 0)
		unlinkat(lv->plain, name, 0);
}

static int graft_link(const struct level *lv, const char *name, struct err *err)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(lv->lower, name, target, sizeof(target) - 1);

	if (n < 0)
		return err_sys(err, errno, "reading the link '%s'", name);
	target[n] = 0;
	return symlinkat(target, lv->plain, name) < 0 ? err_sys(err, errno, "making the link '%s'", name) : 0;
}

/* What the layer has and the lower has not, or not as a directory. */
static int graft_upper(const struct level *lv, const char *name, const struct stat *up, struct err *err)
{
	if (is_whiteout(up))
		return 0;
	return replace_dir(lv, name, err);
}

static bool is_own(const struct level *lv, const char *name)
{
	return lv->depth == 0 && (!strcmp(name, "proc") || !strcmp(name, "sys") || !strcmp(name, "dev"));
}

/*
 * An image directory that the layer leaves alone is shown as it is, read-only,
 * and not through an overlay: overlayfs has no get_unmapped_area() of its own,
 * so the libraries of 2 MiB and more, which ext4, xfs and btrfs map at huge-page
 * boundaries, would come to other addresses than when recorded.
 */
static bool is_untouched_image(const struct rootfs *r, const struct level *lv, const char *name, const struct stat *up)
{
	if (lv->depth || up)
		return false;
	for (char *const *dir = r->spec->m->image_dirs; dir && *dir; dir++)
		if ((*dir)[0] == '/' && strcmp(*dir + 1, name) == 0)
			return true;
	return false;
}

static int show_image(const struct level *lv, const char *name, const struct stat *st)
{
	int e = mkdir_like(lv->plain, name, st);

	return e < 0 ? e : bind_readonly(lv, name);
}

/* What of the lower is not to be seen: only what the layer has of it, and an empty directory at the top. */
static int graft_hidden(const struct level *lv, const char *name, const struct stat *st, const struct stat *up, struct err *err)
{
	int e = 0;

	if (up)
		return graft_upper(lv, name, up, err);
	if (S_ISLNK(st->st_mode) && lv->depth == 0)
		return graft_link(lv, name, err);
	if (S_ISDIR(st->st_mode) && lv->depth == 0)
		e = mkdir_like(lv->plain, name, st);
	return e < 0 ? err_sys(err, -e, "making '%s'", name) : 0;
}

static int graft_entry(struct rootfs *r, const struct level *lv, const char *name, struct err *err)
{
	struct stat st, upper, *up = NULL;
	char path[PATH_MAX];
	enum sight sight;

	if (is_own(lv, name) || fstatat(lv->lower, name, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) < 0)
		return 0;
	if (fstatat(lv->upper, name, &upper, AT_SYMLINK_NOFOLLOW) == 0)
		up = &upper;
	sight = snprintf(path, sizeof(path), "%s/%s", lv->path, name) < (int)sizeof(path) ? sight_of(r->spec, path) : SIGHT_NONE;
	if (sight == SIGHT_NONE || (sight == SIGHT_WAY && S_ISREG(st.st_mode)))
		return graft_hidden(lv, name, &st, up, err);
	if (up && !(S_ISDIR(up->st_mode) && S_ISDIR(st.st_mode)))
		return graft_upper(lv, name, up, err);
	if (S_ISDIR(st.st_mode) && is_untouched_image(r, lv, name, up) && show_image(lv, name, &st) == 0)
		return 0;
	if (S_ISDIR(st.st_mode))
		return graft_dir(r, lv, name, &st, up, sight == SIGHT_ALL, err);
	if (S_ISLNK(st.st_mode))
		return graft_link(lv, name, err);
	if (S_ISREG(st.st_mode))
		graft_file(r, lv, name, &st);
	return 0;
}

/* In the upper only: what the lower has was done by graft_entry(). */
static int graft_new(struct rootfs *r, const struct level *lv, const char *name, struct err *err)
{
	struct stat st;

	(void)r;
	if (!is_own(lv, name) && fstatat(lv->lower, name, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) == 0)
		return 0;
	if (fstatat(lv->upper, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;	/* moved away already */
	return graft_upper(lv, name, &st, err);
}

typedef int (*graft_fn)(struct rootfs *r, const struct level *lv, const char *name, struct err *err);

static int for_each_name(struct rootfs *r, const struct level *lv, int dir, graft_fn graft, struct err *err)
{
	struct dirent *d;
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return err_sys(err, errno, "reading the root file system");
	_cleanup_dir_ DIR *names = fdopendir(fd);
	if (!names) {
		close(fd);
		return err_sys(err, errno, "reading the root file system");
	}
	while ((d = readdir(names)) != NULL)
		if (strcmp(d->d_name, ".") && strcmp(d->d_name, "..") && graft(r, lv, d->d_name, err) < 0)
			return -err->code;
	return 0;
}

static int graft_level(struct rootfs *r, const struct level *lv, struct err *err)
{
	if (for_each_name(r, lv, lv->lower, graft_entry, err) < 0)
		return -err->code;
	return for_each_name(r, lv, lv->upper, graft_new, err);
}

/* ---- binds --------------------------------------------------------------- */

/* A detached read-only mount of each --bind, taken while the host's tree is still in sight. */
static int open_binds(const struct sandbox_spec *spec, int *mnt, struct err *err)
{
	for (size_t i = 0; i < spec->nbinds; i++) {
		mnt[i] = mount_clone_readonly(AT_FDCWD, spec->binds[i][0], true);
		if (mnt[i] < 0)
			return err_sys(err, -mnt[i], "binding '%s'", spec->binds[i][0]);
	}
	return 0;
}

int open_in_root(int root, const char *path)
{
	struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };

	return syscall(SYS_openat2, root, path, &how, sizeof(how));
}

/* What a bind is mounted on, where the root file system lacks it. */
static int lay_bind_points(const struct sandbox_spec *spec, const int *mnt, struct layer *l, struct err *err)
{
	for (size_t i = 0; i < spec->nbinds; i++) {
		const char *path = spec->binds[i][1];
		struct stat st;

		_cleanup_fd_ int there = open_in_root(l->lower, path);
		if (there >= 0 && sight_of(spec, path) == SIGHT_ALL)
			continue;
		if (fstat(mnt[i], &st) < 0)
			return err_sys(err, errno, "binding '%s'", spec->binds[i][0]);
		_cleanup_fd_ int fd = -1;
		int e = S_ISDIR(st.st_mode) ? layer_dir(l, path, 0755, err) : layer_file(l, path, 0644, &fd, err);
		if (e == -EEXIST)
			err->code = 0;	/* the capsule's layer has made it */
		else if (e < 0)
			return e;
	}
	return 0;
}

static int attach_binds(const struct sandbox_spec *spec, const int *mnt, int root, struct err *err)
{
	for (size_t i = 0; i < spec->nbinds; i++) {
		_cleanup_fd_ int on = open_in_root(root, spec->binds[i][1]);

		if (on < 0 || move_mount(mnt[i], "", on, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
			return err_sys(err, errno, "binding '%s' to '%s'", spec->binds[i][0], spec->binds[i][1]);
	}
	return 0;
}

/* ---- the whole ------------------------------------------------------------ */

/*
 * The tmpfs goes on top of "/", the one directory that is always there: paths
 * still lead into the old root, where this process has its root directory.
 */
static int mount_base(uint64_t size, struct err *err)
{
	char bytes[32];

	snprintf(bytes, sizeof(bytes), "%llu", (unsigned long long)size);
	_cleanup_fd_ int fs = fsopen("tmpfs", FSOPEN_CLOEXEC);
	if (fs < 0 || fsconfig(fs, FSCONFIG_SET_STRING, "mode", "0755", 0) < 0 ||
	    (size && fsconfig(fs, FSCONFIG_SET_STRING, "size", bytes, 0) < 0) ||
	    fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return err_sys(err, errno, "making a tmpfs");
	_cleanup_fd_ int base = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID);
	if (base < 0 || move_mount(base, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_sys(err, errno, "mounting a tmpfs");
	return TAKE_FD(base);
}

static int open_base(struct rootfs *r, int base, mode_t mode, struct err *err)
{
	if (mkdirat(base, "root", mode ? mode : 0755) < 0 || mkdirat(base, "upper", 0755) < 0 || mkdirat(base, "work", 0700) < 0)
		return err_sys(err, errno, "making directories in a tmpfs");
	r->plain = openat(base, "root", DIR_FLAGS);
	r->upper = openat(base, "upper", DIR_FLAGS);
	r->work = openat(base, "work", DIR_FLAGS);
	r->root = open_tree(base, "root", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (r->plain < 0 || r->upper < 0 || r->work < 0 || r->root < 0 ||
	    move_mount(r->root, "", base, "root", MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_sys(err, errno, "making the new root");
	return 0;
}

static void cleanup_rootfs(struct rootfs *r)
{
	cleanup_fd(&r->lower);
	cleanup_fd(&r->upper);
	cleanup_fd(&r->work);
	cleanup_fd(&r->plain);
	cleanup_fd(&r->root);
	free(r->mounts);
}

static int fill_layer(const struct sandbox_spec *spec, const struct rootfs *r, const int *binds, struct err *err)
{
	struct layer l = { .spec = spec, .lower = r->lower, .upper = r->upper };
	int e = 0;

	if (spec->lay)
		e = spec->lay(spec->ctx, &l, err);
	if (e >= 0)
		e = lay_bind_points(spec, binds, &l, err);
	layer_finish(&l);
	return e;
}

/*
 * The old root comes to lie on the new one, where a ".." would find it, and on
 * the old one lies the tmpfs in which the new one was built: umount(2) takes
 * what lies on top, so once for each.
 */
static int pivot(int root, struct err *err)
{
	_cleanup_fd_ int old = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (old < 0 || fchdir(root) < 0 || syscall(SYS_pivot_root, ".", ".") < 0)
		return err_sys(err, errno, "pivot_root (is this a chroot or an initramfs?)");
	if (fchdir(old) < 0 || umount2(".", MNT_DETACH) < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return err_sys(err, errno, "leaving the old root");
	return 0;
}

int rootfs_enter(const struct sandbox_spec *spec, int *ns_last_pid, int *upper, struct err *err)
{
	_cleanup_(cleanup_rootfs) struct rootfs r = { -1, -1, -1, -1, -1, .spec = spec };

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_sys(err, errno, "making the mounts private");
	r.lower = open(spec->rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (r.lower < 0)
		return err_sys(err, errno, "opening the root file system '%s'", spec->rootfs);
	r.mounts = read_mounts();
	_cleanup_free_ int *binds = calloc(spec->nbinds + 1, sizeof(*binds));	/* the process's end closes them */
	if (!binds)
		return err_set(err, ENOMEM, "out of memory");
	if (open_binds(spec, binds, err) < 0)
		return -err->code;
	_cleanup_fd_ int base = mount_base(spec->max_disk, err);
	if (base < 0 || open_base(&r, base, spec->root_mode & 07777, err) < 0 || fill_layer(spec, &r, binds, err) < 0)
		return -err->code;
	const struct level top = { r.lower, r.upper, r.plain, r.root, 0, "" };
	if (graft_level(&r, &top, err) < 0 || special_mount(&r, spec->shared_size, ns_last_pid, err) < 0 ||
	    attach_binds(spec, binds, r.root, err) < 0 || pivot(r.root, err) < 0)
		return -err->code;
	*upper = TAKE_FD(r.upper);
	return 0;
}
