/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/image_root.h"

#include "format/cleanup.h"
#include "sandbox/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <sched.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/mount.h>
#include <sys/syscall.h>

enum { MAX_GROUPS = 1024 };

/* What of the machine is mounted into it, beside /proc, /sys and /dev; sorted. */
static const char *const mounts[] = { "/etc/hosts", "/etc/resolv.conf" };
enum { NMOUNTS = sizeof(mounts) / sizeof(mounts[0]) };

static void cleanup_container(struct container **c) { container_free(*c); }

void container_free(struct container *c)
{
	if (!c)
		return;
	for (char **s = c->env; s && *s; s++)
		free(*s);
	free(c->env);
	free(c->argv);
	free(c->groups);
	free(c->root);
	free(c);
}

/* ---- its root directory ---------------------------------------------------------- */

static int mount_tmpfs(const char *path, mode_t mode, struct err *err)
{
	char options[32];

	snprintf(options, sizeof(options), "mode=%04o", mode);
	if (mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, options) < 0)
		return err_sys(err, errno, "mounting a tmpfs on '%s'", path);
	return 0;
}

/* The overlay: the image below, memory above. */
static int mount_image(const struct container *c, const char *run, struct err *err)
{
	_cleanup_fd_ int lower = open(c->image->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (lower < 0)
		return err_sys(err, errno, "opening '%s'", c->image->root);
	if (mount_tmpfs(run, 0755, err) < 0)
		return -err->code;
	_cleanup_fd_ int base = open(run, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (base < 0 || mkdirat(base, "upper", 0755) < 0 || mkdirat(base, "work", 0700) < 0 || mkdirat(base, "root", 0755) < 0)
		return err_sys(err, errno, "making directories in a tmpfs");
	_cleanup_fd_ int upper = openat(base, "upper", O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_fd_ int work = openat(base, "work", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int mnt = upper < 0 || work < 0 ? -errno : overlay_new(lower, upper, work, false, MOUNT_ATTR_NODEV);
	if (mnt < 0)
		return err_sys(err, -mnt, "mounting an overlay of '%s'", c->image->root);
	int e = move_mount(mnt, "", base, "root", MOVE_MOUNT_F_EMPTY_PATH) < 0 ? errno : 0;
	close(mnt);
	return e ? err_sys(err, e, "mounting an overlay") : 0;
}

/* The file that the machine has at @path, read-only; where the image has nothing to mount on, one is made. */
static void mount_from_host(int root, const char *path)
{
	_cleanup_fd_ int mnt = mount_clone_readonly(AT_FDCWD, path, false);
	if (mnt < 0)
		return;
	mkdirat(root, "etc", 0755);
	_cleanup_fd_ int on = open_in_root(root, path);
	if (on < 0 && mknodat(root, path + 1, S_IFREG | 0644, 0) == 0)
		on = open_in_root(root, path);
	if (on >= 0)
		(void)move_mount(mnt, "", on, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
}

static int make_root(struct container *c, struct err *err)
{
	_cleanup_free_ char *run = NULL, *dev = NULL;
	int ns_last_pid = -1, e;

	if (asprintf(&run, "%s/run", c->image->dir) < 0 || asprintf(&c->root, "%s/run/root", c->image->dir) < 0 ||
	    asprintf(&dev, "%s/run/root/dev", c->image->dir) < 0)
		return err_set(err, ENOMEM, "out of memory");
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		return err_sys(err, errno, "making a mount namespace (recording in an image needs root)");
	if (mount_image(c, run, err) < 0)
		return -err->code;
	_cleanup_fd_ int root = open(c->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0 || (mkdirat(root, "dev", 0755) < 0 && errno != EEXIST))
		return err_sys(err, errno, "making '%s'", dev);
	if (mount_tmpfs(dev, 0755, err) < 0)
		return -err->code;
	const struct rootfs r = { .root = root };
	e = special_mount(&r, 0, &ns_last_pid, err);
	cleanup_fd(&ns_last_pid);
	for (size_t i = 0; e >= 0 && i < NMOUNTS; i++)
		mount_from_host(root, mounts[i]);
	return e;
}

/* ---- its user ------------------------------------------------------------------------ */

static FILE *open_table(const struct container *c, const char *path)
{
	char name[32];

	_cleanup_fd_ int root = open(c->image->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_fd_ int fd = root < 0 ? -1 : open_in_root(root, path);
	if (fd < 0)
		return NULL;
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);	/* it is an O_PATH one */
	return fopen(name, "re");
}

static bool is_number(const char *word, unsigned long *ret)
{
	char *end;

	*ret = strtoul(word, &end, 10);
	return word[0] >= '0' && word[0] <= '9' && !*end && *ret < UINT32_MAX;
}

/* @user's line; a number needs none. @home, @name: of PATH_MAX and 256 bytes. */
static int find_user(struct container *c, const char *user, char *name, char *home, struct err *err)
{
	_cleanup_file_ FILE *f = open_table(c, "/etc/passwd");
	unsigned long uid;
	bool number = is_number(user, &uid);
	struct passwd *p;

	while (f && (p = fgetpwent(f)) != NULL) {
		if (number ? p->pw_uid != uid : strcmp(p->pw_name, user) != 0)
			continue;
		c->uid = p->pw_uid;
		c->gid = p->pw_gid;
		snprintf(name, 256, "%s", p->pw_name);
		snprintf(home, PATH_MAX, "%s", p->pw_dir);
		return 0;
	}
	if (!number && strcmp(user, "root") != 0)
		return err_set(err, ENOENT, "the image's user '%.80s' is not in its /etc/passwd", user);
	c->uid = number ? (uid_t)uid : 0;
	return 0;
}

static int find_group(struct container *c, const char *group, struct err *err)
{
	_cleanup_file_ FILE *f = open_table(c, "/etc/group");
	unsigned long gid;
	struct group *g;

	if (is_number(group, &gid)) {
		c->gid = (gid_t)gid;
		return 0;
	}
	while (f && (g = fgetgrent(f)) != NULL)
		if (strcmp(g->gr_name, group) == 0) {
			c->gid = g->gr_gid;
			return 0;
		}
	return err_set(err, ENOENT, "the image's group '%.80s' is not in its /etc/group", group);
}

/* Those that have the user @name as a member; NULL: only the user's own. */
static int find_groups(struct container *c, const char *name, struct err *err)
{
	_cleanup_file_ FILE *f = open_table(c, "/etc/group");
	struct group *g;

	c->groups = calloc(MAX_GROUPS, sizeof(*c->groups));
	if (!c->groups)
		return err_set(err, ENOMEM, "out of memory");
	/* As the container engines do: the user's own first, where the image names a user at all. */
	if (c->image->user[0])
		c->groups[c->ngroups++] = c->gid;
	while (f && name && name[0] && c->ngroups < MAX_GROUPS && (g = fgetgrent(f)) != NULL)
		for (char **member = g->gr_mem; *member; member++)
			if (strcmp(*member, name) == 0 && c->ngroups < MAX_GROUPS)
				c->groups[c->ngroups++] = g->gr_gid;
	return 0;
}

/* "user", "user:group", by name or number, as image-spec has it. */
static int take_user(struct container *c, char home[PATH_MAX], struct err *err)
{
	_cleanup_free_ char *user = strdup(c->image->user[0] ? c->image->user : "0");
	char name[256] = "", *group;

	if (!user)
		return err_set(err, ENOMEM, "out of memory");
	group = strchr(user, ':');
	if (group)
		*group++ = 0;
	if (find_user(c, user[0] ? user : "0", name, home, err) < 0)
		return -err->code;
	if (group && group[0] && find_group(c, group, err) < 0)
		return -err->code;
	return find_groups(c, group && group[0] ? NULL : name, err);
}

/* ---- its command and environment -------------------------------------------------------- */

static size_t count(char *const *list)
{
	size_t n = 0;

	while (list && list[n])
		n++;
	return n;
}

static int take_command(struct container *c, char *const *argv, struct err *err)
{
	char *const *rest = argv ? argv : c->image->command;
	size_t n = count(c->image->entrypoint), m = count(rest);

	if (n + m == 0)
		return err_set(err, EINVAL, "the image names no command: capsule record --image REF -- COMMAND");
	c->argv = calloc(n + m + 1, sizeof(*c->argv));
	if (!c->argv)
		return err_set(err, ENOMEM, "out of memory");
	memcpy(c->argv, c->image->entrypoint, n * sizeof(*c->argv));
	memcpy(c->argv + n, rest, m * sizeof(*c->argv));
	return 0;
}

static bool has_variable(const struct container *c, const char *name)
{
	size_t n = strlen(name);

	for (char **e = c->env; *e; e++)
		if (strncmp(*e, name, n) == 0 && (*e)[n] == '=')
			return true;
	return false;
}

static int set_default(struct container *c, const char *name, const char *value)
{
	size_t n = count(c->env);

	if (!value || has_variable(c, name))
		return 0;
	return asprintf(&c->env[n], "%s=%s", name, value) < 0 ? (c->env[n] = NULL, -ENOMEM) : 0;
}

static int take_env(struct container *c, const char *home, struct err *err)
{
	char host[HOST_NAME_MAX + 1] = "";
	size_t n = count(c->image->env);
	int e = 0;

	c->env = calloc(n + 5, sizeof(*c->env));
	if (!c->env)
		return err_set(err, ENOMEM, "out of memory");
	for (size_t i = 0; i < n && !e; i++)
		e = (c->env[i] = strdup(c->image->env[i])) ? 0 : -ENOMEM;
	gethostname(host, sizeof(host) - 1);
	if (e < 0 || set_default(c, "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin") < 0 ||
	    set_default(c, "HOME", home[0] ? home : "/") < 0 || set_default(c, "HOSTNAME", host) < 0 ||
	    set_default(c, "TERM", getenv("TERM")) < 0)
		return err_set(err, ENOMEM, "out of memory");
	return 0;
}

int container_new(struct container **ret, const struct image *image, char *const *argv, struct err *err)
{
	_cleanup_(cleanup_container) struct container *c = calloc(1, sizeof(*c));
	char home[PATH_MAX] = "";

	if (!c)
		return err_set(err, ENOMEM, "out of memory");
	c->image = image;
	c->own = mounts;
	c->nown = NMOUNTS;
	c->workdir = image->workdir[0] ? image->workdir : "/";
	if (!path_is_clean(c->workdir, strlen(c->workdir)))
		return err_set(err, EINVAL, "the image's working directory '%.200s' is not absolute and clean", c->workdir);
	if (take_command(c, argv, err) < 0 || take_user(c, home, err) < 0 || take_env(c, home, err) < 0 || make_root(c, err) < 0)
		return -err->code;
	*ret = TAKE_PTR(c);
	return 0;
}

/* ---- into it ------------------------------------------------------------------------------ */

/* podman's default: containers.conf(5). */
static const cap_value_t allowed[] = {
	CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID, CAP_KILL, CAP_NET_BIND_SERVICE, CAP_SETFCAP, CAP_SETGID,
	CAP_SETPCAP, CAP_SETUID,	/* without CAP_SYS_CHROOT: it would lead out of a chroot */
};
enum { NALLOWED = sizeof(allowed) / sizeof(allowed[0]) };

static bool is_allowed(cap_value_t cap)
{
	for (size_t i = 0; i < NALLOWED; i++)
		if (allowed[i] == cap)
			return true;
	return false;
}

static int limit_bound(void)
{
	for (cap_value_t cap = 0; cap < cap_max_bits(); cap++)
		if (!is_allowed(cap) && cap_drop_bound(cap) < 0)
			return -errno;
	return 0;
}

static int set_capabilities(void)
{
	cap_t caps = cap_init();
	int e = 0;

	if (!caps || cap_set_flag(caps, CAP_PERMITTED, NALLOWED, allowed, CAP_SET) < 0 ||
	    cap_set_flag(caps, CAP_EFFECTIVE, NALLOWED, allowed, CAP_SET) < 0 || cap_set_proc(caps) < 0)
		e = -errno;
	cap_free(caps);
	return e;
}

/* podman makes it where the image has none. */
static int enter_workdir(const struct container *c, struct err *err)
{
	char part[PATH_MAX + 1];

	snprintf(part, sizeof(part), "%s/", c->workdir);
	for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		mkdir(part, 0755);
		*slash = '/';
	}
	return chdir(c->workdir) < 0 ? err_sys(err, errno, "entering the image's working directory '%s'", c->workdir) : 0;
}

int container_enter(const struct container *c, struct err *err)
{
	int e;

	umask(022);
	if (chroot(c->root) < 0 || chdir("/") < 0)
		return err_sys(err, errno, "entering the image");
	if (enter_workdir(c, err) < 0)
		return -err->code;
	e = limit_bound();
	if (!e && (setgroups((size_t)c->ngroups, c->groups) < 0 || setresgid(c->gid, c->gid, c->gid) < 0 ||
		   setresuid(c->uid, c->uid, c->uid) < 0))
		e = -errno;
	if (!e && c->uid == 0)
		e = set_capabilities();
	return e < 0 ? err_sys(err, -e, "becoming the image's user") : 0;
}
