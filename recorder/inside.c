/* SPDX-License-Identifier: Apache-2.0 */
#include "recorder/inside.h"

#include "format/cleanup.h"
#include "format/io.h"
#include "recorder/mountinfo.h"
#include "recorder/proc.h"
#include "recorder/state.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

enum {
	MAX_LAYERS = 500,	/* overlayfs's own limit */
	MAX_OWN = 20000,	/* paths of a container's own layer */
	MAX_DEPTH = 64,
};

static void free_words(char **words)
{
	for (char **w = words; w && *w; w++)
		free(*w);
	free(words);
}

void inside_free(struct inside *in)
{
	if (!in)
		return;
	image_free(in->image);
	cleanup_fd(&in->root_fd);
	cleanup_fd(&in->lower_fd);
	cleanup_fd(&in->ns_fd);
	free_words(in->own);
	free_words(in->mounts);
	free_words(in->namespaces);
	free_words(in->addresses);
	free(in->uid_map);
	free(in->gid_map);
	free(in->hostname);
	free(in->domainname);
	free(in->reference);
	free(in->name);
	free(in);
}
static void cleanup_inside(struct inside **in) { inside_free(*in); }

/* One more of *@list, which takes @word over; NULL: no memory. */
static int add_word(char ***list, size_t *n, char *word)
{
	char **more = word ? reallocarray(*list, *n + 2, sizeof(*more)) : NULL;

	if (!more) {
		free(word);
		return -ENOMEM;
	}
	*list = more;
	more[(*n)++] = word;
	more[*n] = NULL;
	return 0;
}

int inside_new(struct inside **ret, const char *name, const char *image, const char *called, struct err *err)
{
	_cleanup_(cleanup_inside) struct inside *in = calloc(1, sizeof(*in));

	if (!in)
		return err_set(err, ENOMEM, "out of memory");
	in->root_fd = in->lower_fd = in->ns_fd = -1;
	in->name = strdup(name);
	if (!in->name)
		return err_set(err, ENOMEM, "out of memory");
	if (image && image_describe(&in->image, image, err) < 0)
		return -err->code;
	if (in->image && called) {
		in->reference = in->image->reference;
		in->image->reference = strdup(called);
		if (!in->image->reference)
			return err_set(err, ENOMEM, "out of memory");
	}
	*ret = TAKE_PTR(in);
	return 0;
}

/* ---- its root directory and its image's ------------------------------------------- */

/* As the root directory's mount namespace is kept with it, what is mounted there stays when the container's last process is gone. */
static int open_root(struct inside *in, pid_t pid, struct err *err)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/mnt", (int)pid);
	in->ns_fd = open(path, O_RDONLY | O_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/%d/root", (int)pid);
	in->root_fd = in->ns_fd < 0 ? -1 : open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (in->root_fd < 0)
		return err_sys(err, errno, "the root directory of process %d", (int)pid);
	snprintf(in->root, sizeof(in->root), "/proc/self/fd/%d", in->root_fd);
	return 0;
}

static void close_all(int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		close(fds[i]);
}

/* One read-only view of layers, the topmost first; a detached mount. */
static int join_layers(const int *fds, size_t n)
{
	char list[256] = "", one[32];		/* fsconfig(2) takes no longer one */
	size_t len = 0;
	bool each;

	_cleanup_fd_ int fs = fsopen("overlay", FSOPEN_CLOEXEC);
	if (fs < 0)
		return -errno;
	for (size_t i = 0; i < n && len < sizeof(list); i++)
		len += (size_t)snprintf(list + len, sizeof(list) - len, "%s/proc/self/fd/%d", i ? ":" : "", fds[i]);
	each = len >= sizeof(list);		/* Linux 6.7 */
	for (size_t i = 0; each && i < n; i++) {
		snprintf(one, sizeof(one), "/proc/self/fd/%d", fds[i]);
		if (fsconfig(fs, FSCONFIG_SET_STRING, "lowerdir+", one, 0) < 0)
			return -errno;
	}
	if ((!each && fsconfig(fs, FSCONFIG_SET_STRING, "lowerdir", list, 0) < 0) || fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	int mnt = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID);
	return mnt < 0 ? -errno : mnt;
}

/* Of an overlay's mount options: what its image is, without its own layer; -ENOENT: it has no layers, or they can't be seen from here. */
static int open_lower(const char *options)
{
	char **layers = mountinfo_layers(options);
	size_t n = 0, opened = 0;
	int fd = -ENOENT;

	while (layers && layers[n])
		n++;
	_cleanup_free_ int *fds = calloc(n + 1, sizeof(*fds));
	for (; fds && n <= MAX_LAYERS && opened < n; opened++) {
		fds[opened] = open(layers[opened], O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (fds[opened] < 0)
			break;
	}
	if (opened && opened == n)
		fd = n == 1 ? fcntl(fds[0], F_DUPFD_CLOEXEC, 0) : join_layers(fds, n);
	close_all(fds, opened);
	free_words(layers);
	return fd;
}

/* ---- what is its own ------------------------------------------------------------------ */

static int own_path(struct inside *in, const char *path)
{
	return add_word(&in->own, &in->nown, strdup(path));
}

static bool is_opaque(int dir, const char *name)
{
	char path[64 + NAME_MAX], value[4] = "";

	snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", dir, name);
	return lgetxattr(path, "trusted.overlay.opaque", value, sizeof(value)) > 0 && value[0] == 'y';
}

/* What the upper directory @upper holds, whose path in the container is @path. */
static int see_upper(struct inside *in, int upper, char path[PATH_MAX], int depth)
{
	size_t len = strlen(path);
	struct stat st, below;
	struct dirent *d;
	int rc = 0, fd = openat(upper, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	_cleanup_dir_ DIR *names = fd < 0 ? NULL : fdopendir(fd);
	if (!names && fd >= 0)
		close(fd);
	while (names && rc == 0 && (d = readdir(names))) {
		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
			continue;
		if (in->nown >= MAX_OWN || depth > MAX_DEPTH || (size_t)snprintf(path + len, PATH_MAX - len, "/%s", d->d_name) >= PATH_MAX - len) {
			in->too_many = true;
			break;
		}
		bool merged = fstatat(upper, d->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode) &&
			fstatat(in->lower_fd, path + 1, &below, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(below.st_mode) && !is_opaque(upper, d->d_name);
		_cleanup_fd_ int sub = merged ? openat(upper, d->d_name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
		rc = sub >= 0 ? see_upper(in, sub, path, depth + 1) : own_path(in, path);
	}
	path[len] = 0;
	return rc;
}

static int see_own_layer(struct inside *in, const char *options)
{
	_cleanup_free_ char *dir = mountinfo_option(options, "upperdir");
	char path[PATH_MAX] = "";

	_cleanup_fd_ int upper = dir ? open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	return upper < 0 ? 0 : see_upper(in, upper, path, 0);
}

static int see_mount(void *ctx, const struct mountinfo *m)
{
	struct inside *in = ctx;
	size_t n = 0;
	char *line;

	if (strcmp(m->point, "/") == 0)
		return 0;
	while (in->mounts && in->mounts[n])
		n++;
	if (!mountinfo_is_special(m) && (asprintf(&line, "%s %s %s from %s", m->type, m->point, m->readonly ? "ro" : "rw", m->source) < 0 ||
					 add_word(&in->mounts, &n, line) < 0))
		return -ENOMEM;
	return own_path(in, m->point);
}

static int find_root(void *ctx, const struct mountinfo *m)
{
	char **options = ctx;

	if (strcmp(m->point, "/") != 0)
		return 0;
	free(*options);
	*options = strdup(strcmp(m->type, "overlay") == 0 ? m->options : "");
	return *options ? 0 : -ENOMEM;
}

static int compare_words(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Where the engine keeps its images otherwise, it is unpacked for us. */
static int unpack(struct inside *in, struct err *err)
{
	struct image *unpacked = NULL;

	if (image_open(&unpacked, in->reference ? in->reference : in->image->reference, err) < 0)
		return err_in(err, "its root directory is no overlay whose layers can be seen");
	free(unpacked->reference);
	unpacked->reference = TAKE_PTR(in->image->reference);
	image_free(in->image);
	in->image = unpacked;
	in->lower_fd = open(unpacked->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return in->lower_fd < 0 ? err_sys(err, errno, "'%s'", unpacked->root) : 0;
}

static int see_image(struct inside *in, const char *options, struct err *err)
{
	in->lower_fd = open_lower(options);
	if (in->lower_fd < 0) {
		in->lower_fd = -1;
		if (unpack(in, err) < 0)
			return -err->code;
	} else {
		free(in->image->root);
		in->image->root = NULL;
		if (asprintf(&in->image->root, "/proc/self/fd/%d", in->lower_fd) < 0)
			return in->image->root = NULL, err_set(err, ENOMEM, "out of memory");
	}
	return see_own_layer(in, options) < 0 ? err_set(err, ENOMEM, "out of memory") : 0;
}

/* ---- its namespaces ------------------------------------------------------------------- */

static int see_namespaces(struct inside *in, pid_t pid)
{
	static const char *const which[] = { "cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts" };
	size_t n = 0;

	for (size_t i = 0; i < sizeof(which) / sizeof(which[0]); i++) {
		char path[64], link[64] = "", *line;
		ssize_t len;

		snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)pid, which[i]);
		len = readlink(path, link, sizeof(link) - 1);
		if (len <= 0)
			continue;
		if (asprintf(&line, "%s %s", which[i], proc_same_namespace(pid, getpid(), which[i]) ? "the recorder's" : link) < 0 ||
		    add_word(&in->namespaces, &n, line) < 0)
			return -ENOMEM;
	}
	return 0;
}

static void print_addresses(FILE *f)
{
	struct ifaddrs *list = NULL;
	char text[INET6_ADDRSTRLEN];

	if (getifaddrs(&list) < 0)
		return;
	for (const struct ifaddrs *a = list; a; a = a->ifa_next) {
		const void *at = NULL;

		if (a->ifa_addr && a->ifa_addr->sa_family == AF_INET)
			at = &((const struct sockaddr_in *)a->ifa_addr)->sin_addr;
		else if (a->ifa_addr && a->ifa_addr->sa_family == AF_INET6)
			at = &((const struct sockaddr_in6 *)a->ifa_addr)->sin6_addr;
		if (at && inet_ntop(a->ifa_addr->sa_family, at, text, sizeof(text)))
			fprintf(f, "%s %s\n", a->ifa_name, text);
	}
	freeifaddrs(list);
}

static bool enter_namespace(pid_t pid, const char *which)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)pid, which);
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd >= 0 && setns(fd, 0) == 0;
}

/* In its namespaces: host name, domain name, addresses, each in a line. */
static _Noreturn void tell_names(pid_t pid, int to)
{
	struct utsname u;
	FILE *f = fdopen(to, "w");

	if (!f || !enter_namespace(pid, "uts") || uname(&u) < 0)
		_exit(1);
	fprintf(f, "%s\n%s\n", u.nodename, u.domainname);
	if (enter_namespace(pid, "net"))
		print_addresses(f);
	fflush(f);
	_exit(0);
}

/* A process of its own goes and looks. */
static int see_names(struct inside *in, pid_t pid)
{
	_cleanup_free_ char *text = NULL;
	char *save = NULL;
	int ends[2], rc = 0;
	size_t n = 0, len, lines = 0;
	pid_t child;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	child = fork();
	if (child == 0)
		tell_names(pid, ends[1]);
	close(ends[1]);
	if (child > 0)
		rc = io_slurp_fd(ends[0], 1 << 20, &text, &len);
	close(ends[0]);
	while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
	for (char *l = rc == 0 && text ? strtok_r(text, "\n", &save) : NULL; l && rc == 0; l = strtok_r(NULL, "\n", &save)) {
		if (lines++ < 2)
			*(lines == 1 ? &in->hostname : &in->domainname) = strdup(l);
		else
			rc = add_word(&in->addresses, &n, strdup(l));
	}
	return rc;
}

static char *read_map(pid_t pid, const char *name)
{
	char path[64], *text = NULL;
	size_t len;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	if (io_slurp(path, 1 << 16, &text, &len) < 0)
		return strdup("");
	while (len && text[len - 1] == '\n')
		text[--len] = 0;
	return text;
}

uint32_t inside_id(const char *map, uint32_t id)
{
	unsigned long in, out, n;
	int used;

	for (const char *at = map; at && sscanf(at, "%lu %lu %lu%n", &in, &out, &n, &used) == 3; at += used)
		if (id >= out && id - out < n)
			return (uint32_t)(in + (id - out));
	return map && map[0] ? 65534 : id;	/* overflowuid */
}

/* ---- the whole ------------------------------------------------------------------------- */

int inside_enter(struct inside *in, pid_t pid, struct record_opts *o, struct err *err)
{
	_cleanup_free_ char *options = NULL;

	if (open_root(in, pid, err) < 0 || mountinfo_each(pid, find_root, &options, err) < 0)
		return -err->code;
	if (in->image && see_image(in, options ? options : "", err) < 0)
		return -err->code;
	if (mountinfo_each(pid, see_mount, in, err) < 0)
		return -err->code;
	in->uid_map = read_map(pid, "uid_map");
	in->gid_map = read_map(pid, "gid_map");
	if (!in->uid_map || !in->gid_map || see_namespaces(in, pid) < 0 || see_names(in, pid) < 0)
		return err_set(err, ENOMEM, "out of memory");
	if (in->nown)
		qsort(in->own, in->nown, sizeof(*in->own), compare_words);
	o->inside = in;
	o->rootfs = in->root;
	if (!in->image)
		return 0;
	in->container = (struct container){ .image = in->image, .root = in->root, .own = (const char *const *)in->own, .nown = in->nown,
					    .workdir = "/" };
	o->container = &in->container;
	return 0;
}

void inside_tell(const struct inside *in, struct recording *r)
{
	if (!in->image)
		emit_hole(r, "image", in->name, "which image the container is of could not be found out: a replay needs --rootfs", 1);
	if (in->too_many)
		emit_hole(r, "file", in->name, "so much was changed in the container before that not all of it is told from its image", 1);
}
