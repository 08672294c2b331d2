/* SPDX-License-Identifier: Apache-2.0 */
#include "recorder/identity.h"

#include "format/cleanup.h"
#include "format/io.h"
#include "recorder/inside.h"
#include "recorder/paths.h"
#include "recorder/proc.h"
#include "sandbox/image_root.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <time.h>

static void cleanup_manifest(struct manifest **m) { manifest_free(*m); }

static int64_t now(clockid_t clock)
{
	struct timespec t = { 0 };

	clock_gettime(clock, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static char **copy_words(char *const *words)
{
	size_t n = 0;

	while (words[n])
		n++;
	char **copy = calloc(n + 1, sizeof(*copy));
	for (size_t i = 0; copy && i < n; i++)
		copy[i] = strdup(words[i]);
	return copy;
}

char *identity_uuid(void)
{
	uint8_t b[16];
	char *s = NULL;

	if (getrandom(b, sizeof(b), 0) != sizeof(b))
		return NULL;
	b[6] = (b[6] & 0x0f) | 0x40;
	b[8] = (b[8] & 0x3f) | 0x80;
	if (asprintf(&s, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2], b[3], b[4],
		     b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]) < 0)
		return NULL;
	return s;
}

/* What stands behind @key in a /proc text, up to the line's end; NULL: not there. */
static const char *value_of(const char *text, const char *key)
{
	size_t n = strlen(key);

	for (const char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
		if (strncmp(line, key, n) == 0)
			return line + n + strspn(line + n, " \t:");
	return NULL;
}

static int take_groups(struct manifest *m, const char *list)
{
	char *end;

	while (list && *list && *list != '\n') {
		unsigned long gid = strtoul(list, &end, 10);
		uint32_t *more;

		if (end == list)
			break;
		more = reallocarray(m->groups, m->ngroups + 1, sizeof(*more));
		if (!more)
			return -ENOMEM;
		m->groups = more;
		m->groups[m->ngroups++] = (uint32_t)gid;
		list = end + strspn(end, " \t");
	}
	return 0;
}

/* The last of the numbers, that in its own pid namespace. */
static uint32_t last_number(const char *line, uint32_t otherwise)
{
	uint32_t n = otherwise;
	char *end;

	while (line && *line >= '0' && *line <= '9') {
		n = (uint32_t)strtoul(line, &end, 10);
		line = end + strspn(end, " \t");
	}
	return n;
}

static int take_status(struct manifest *m, pid_t pid, struct err *err)
{
	_cleanup_free_ char *text = NULL;
	const char *umask, *ignored, *blocked, *uid, *gid;
	char path[64];
	int rc;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	rc = io_slurp(path, 1 << 20, &text, NULL);
	if (rc < 0)
		return err_sys(err, -rc, "reading '%s'", path);
	m->pid = last_number(value_of(text, "NSpid"), (uint32_t)pid);
	m->pgid = last_number(value_of(text, "NSpgid"), (uint32_t)getpgid(pid));
	m->sid = last_number(value_of(text, "NSsid"), (uint32_t)getsid(pid));
	umask = value_of(text, "Umask");
	m->umask = umask ? (uint32_t)strtoul(umask, NULL, 8) : 022;
	uid = value_of(text, "Uid");
	gid = value_of(text, "Gid");
	if (!uid || !gid || sscanf(uid, "%u %u", &m->uid, &m->euid) != 2 || sscanf(gid, "%u %u", &m->gid, &m->egid) != 2)
		return err_set(err, EPROTO, "'%s' names no user", path);
	ignored = value_of(text, "SigIgn");
	blocked = value_of(text, "SigBlk");
	m->sig_ignored = ignored ? (int64_t)strtoull(ignored, NULL, 16) : 0;
	m->sig_blocked = blocked ? (int64_t)strtoull(blocked, NULL, 16) : 0;
	if (take_groups(m, value_of(text, "Groups")) < 0)
		return err_set(err, ENOMEM, "out of memory");
	return 0;
}

static void take_limits(struct manifest *m, pid_t pid)
{
	m->nrlimits = 0;
	for (unsigned int i = 0; i < RLIM_NLIMITS && i < sizeof(m->rlimits) / sizeof(m->rlimits[0]); i++) {
		struct rlimit l = { RLIM_INFINITY, RLIM_INFINITY };

		prlimit(pid, i, NULL, &l);
		m->rlimits[i].cur = l.rlim_cur;		/* RLIM_INFINITY is UINT64_MAX */
		m->rlimits[i].max = l.rlim_max;
		m->nrlimits = i + 1;
	}
}

static char *name_of(const char *inside, const char *ours)
{
	return strdup(inside ? inside : ours);
}

static int take_machine(struct manifest *m, pid_t pid, const struct inside *in)
{
	_cleanup_free_ char *cpuinfo = NULL;
	struct utsname u;
	const char *model;
	cpu_set_t cpus;

	if (uname(&u) < 0)
		return -errno;
	m->hostname = name_of(in ? in->hostname : NULL, u.nodename);
	m->domainname = name_of(in ? in->domainname : NULL, u.domainname);
	m->sysname = strdup(u.sysname);
	m->release = strdup(u.release);
	m->version = strdup(u.version);
	m->machine = strdup(u.machine);
	m->ncpus = 1;
	if (sched_getaffinity(pid, sizeof(cpus), &cpus) == 0)
		m->ncpus = (uint32_t)CPU_COUNT(&cpus);
	if (io_slurp("/proc/cpuinfo", 4 << 20, &cpuinfo, NULL) == 0 && (model = value_of(cpuinfo, "model name")))
		m->cpu_model = strndup(model, strcspn(model, "\n"));
	else
		m->cpu_model = strdup("");
	return 0;
}

static int take_cwd(struct manifest *m, pid_t pid, const struct record_opts *opts)
{
	char link[64], path[PATH_MAX];
	ssize_t n;

	if (opts->container && !opts->inside) {
		m->cwd = strdup(opts->container->workdir);
		return 0;
	}
	snprintf(link, sizeof(link), "/proc/%d/cwd", (int)pid);
	n = readlink(link, path, sizeof(path) - 1);
	if (n < 0)
		return -errno;
	path[n] = 0;
	/* In another root it begins at the top. */
	m->cwd = strdup((opts->inside || strcmp(opts->rootfs, "/") == 0) && path_is_clean(path, (size_t)n) ? path : "/");
	return 0;
}

static int take_image(struct manifest *m, const struct image *image)
{
	m->image = strdup(image->reference);
	m->image_manifest = strdup(image->manifest);
	m->image_config = strdup(image->config);
	m->image_layers = copy_words(image->layers);
	return m->image && m->image_manifest && m->image_config && m->image_layers ? 0 : -ENOMEM;
}

/* ---- of a container ------------------------------------------------------------- */

/* The ids as its processes see them. */
static void map_ids(struct manifest *m, const struct inside *in)
{
	m->uid = inside_id(in->uid_map, m->uid);
	m->euid = inside_id(in->uid_map, m->euid);
	m->gid = inside_id(in->gid_map, m->gid);
	m->egid = inside_id(in->gid_map, m->egid);
	for (size_t i = 0; i < m->ngroups; i++)
		m->groups[i] = inside_id(in->gid_map, m->groups[i]);
}

static char **copy_list(char *const *words)
{
	static char *const none[] = { NULL };

	return copy_words(words ? words : none);
}

static int take_inside(struct manifest *m, const struct inside *in)
{
	if (!in)
		return 0;
	map_ids(m, in);
	m->container = strdup(in->name);
	m->mounts = copy_list(in->mounts);
	m->namespaces = copy_list(in->namespaces);
	m->addresses = copy_list(in->addresses);
	m->uid_map = strdup(in->uid_map);
	m->gid_map = strdup(in->gid_map);
	return m->container && m->mounts && m->namespaces && m->addresses && m->uid_map && m->gid_map ? 0 : -ENOMEM;
}

/* As @pid sees its parent: one in another pid namespace has no number. */
static uint32_t parent_of(pid_t pid)
{
	pid_t parent = proc_parent(pid);

	return parent && proc_same_namespace(parent, pid, "pid") ? proc_own_number(parent) : 0;
}

/* ---- of a running process ------------------------------------------------------ */

/* The words of /proc/PID/@name; NULL: it can't be read, or no memory. @environment: those of an environment, which a program may have written over. */
static char **words_of(pid_t pid, const char *name, bool environment)
{
	_cleanup_free_ char *text = NULL;
	char path[64], **words;
	size_t len, n = 0;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	if (io_slurp(path, 8 << 20, &text, &len) < 0)
		return NULL;
	while (len && !text[len - 1])
		len--;		/* a program that writes over its arguments leaves NULs */
	for (size_t i = 0; i < len; i += strlen(text + i) + 1)
		n++;
	words = calloc(n + 1, sizeof(*words));
	n = 0;
	for (size_t i = 0; words && i < len; i += strlen(text + i) + 1)
		if (!environment || strchr(text + i, '='))
			words[n++] = strdup(text + i);
	return words;
}

/* nginx's title still has what it was started with, a word behind the other. */
static char **words_of_title(const char *title)
{
	_cleanup_free_ char *copy = strdup(title);
	char **words = calloc(strlen(title) / 2 + 2, sizeof(*words)), *save = NULL;
	size_t n = 0;

	for (char *w = copy && words ? strtok_r(copy, " ", &save) : NULL; w; w = strtok_r(NULL, " ", &save))
		words[n++] = strdup(w);
	return words;
}

char **identity_argv(pid_t pid)
{
	static const char master[] = ": master process ";
	char **words = words_of(pid, "cmdline", false), **real, *at;

	at = words && words[0] ? strstr(words[0], master) : NULL;
	if (!at || words[1])
		return words;
	real = words_of_title(at + sizeof(master) - 1);
	for (char **w = words; *w; w++)
		free(*w);
	free(words);
	return real;
}

static unsigned long personality_of(pid_t pid)
{
	_cleanup_free_ char *text = NULL;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/personality", (int)pid);
	return io_slurp(path, 64, &text, NULL) < 0 ? 0 : strtoul(text, NULL, 16);
}

static char *say_limits(const struct record_opts *opts)
{
	char *s = NULL;

	if (opts->attach.for_ns && opts->max_bytes)
		return asprintf(&s, "%.3f s, %" PRIu64 " bytes", (double)opts->attach.for_ns / 1e9, opts->max_bytes) < 0 ? NULL : s;
	if (opts->attach.for_ns)
		return asprintf(&s, "%.3f s", (double)opts->attach.for_ns / 1e9) < 0 ? NULL : s;
	if (opts->max_bytes)
		return asprintf(&s, "%" PRIu64 " bytes", opts->max_bytes) < 0 ? NULL : s;
	return strdup("");
}

int identity_of(struct manifest **ret, pid_t pid, const struct record_opts *opts, struct err *err)
{
	_cleanup_(cleanup_manifest) struct manifest *m = calloc(1, sizeof(*m));
	bool running = opts->attach.what || opts->join.pid;

	if (!m)
		return err_set(err, ENOMEM, "out of memory");
	m->tool = strdup(CAPSULE_TOOL);
	m->uuid = identity_uuid();
	m->created = now(CLOCK_REALTIME);
	m->monotonic = now(CLOCK_MONOTONIC);
	m->boottime = now(CLOCK_BOOTTIME);
	m->clocks = strdup(opts->attach.causal ? "causal" : "exact");
	m->attached = strdup(opts->attach.what ? opts->attach.what : "");
	m->limits = say_limits(opts);
	m->rootfs = strdup(opts->container || opts->inside ? "/" : opts->rootfs);
	m->image_dirs = copy_words(opts->container ? (char *const[]){ "/", NULL } : (char *const *)image_dirs);
	m->argv = running && !opts->argv ? identity_argv(pid) : copy_words(opts->argv);
	m->env = running ? words_of(pid, "environ", true) : copy_words(opts->container ? opts->container->env : environ);
	m->ppid = running ? parent_of(pid) : (uint32_t)getpid();
	m->aslr = running ? !(personality_of(pid) & ADDR_NO_RANDOMIZE) : opts->aslr;
	m->signature = strdup(opts->signature ? opts->signature : "");
	if (!m->tool || !m->uuid || !m->clocks || !m->signature || !m->rootfs || !m->image_dirs || !m->argv || !m->env ||
	    !m->attached || !m->limits)
		return err_set(err, ENOMEM, "out of memory");
	if (opts->container && take_image(m, opts->container->image) < 0)
		return err_set(err, ENOMEM, "out of memory");
	if (take_status(m, pid, err) < 0)
		return -err->code;
	if (take_inside(m, opts->inside) < 0)
		return err_set(err, ENOMEM, "out of memory");
	take_limits(m, pid);
	if (take_machine(m, pid, opts->inside) < 0 || take_cwd(m, pid, opts) < 0)
		return err_sys(err, errno, "the identity of process %d", (int)pid);
	*ret = TAKE_PTR(m);
	return 0;
}
