/* SPDX-License-Identifier: Apache-2.0 */
#include "recorder/identity.h"

#include "format/cleanup.h"
#include "format/io.h"
#include "recorder/paths.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
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

/* Version 4, RFC 9562. */
static char *new_uuid(void)
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

static int take_status(struct manifest *m, pid_t pid, struct err *err)
{
	_cleanup_free_ char *text = NULL;
	const char *umask, *ignored, *blocked;
	char path[64];
	int rc;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	rc = io_slurp(path, 1 << 20, &text, NULL);
	if (rc < 0)
		return err_sys(err, -rc, "reading '%s'", path);
	umask = value_of(text, "Umask");
	m->umask = umask ? (uint32_t)strtoul(umask, NULL, 8) : 022;
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

static int take_machine(struct manifest *m, pid_t pid)
{
	_cleanup_free_ char *cpuinfo = NULL;
	struct utsname u;
	const char *model;
	cpu_set_t cpus;

	if (uname(&u) < 0)
		return -errno;
	m->hostname = strdup(u.nodename);
	m->domainname = strdup(u.domainname);
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

	snprintf(link, sizeof(link), "/proc/%d/cwd", (int)pid);
	n = readlink(link, path, sizeof(path) - 1);
	if (n < 0)
		return -errno;
	path[n] = 0;
	/* In another root it begins at the top. */
	m->cwd = strdup(strcmp(opts->rootfs, "/") == 0 && path_is_clean(path, (size_t)n) ? path : "/");
	return 0;
}

int identity_of(struct manifest **ret, pid_t pid, const struct record_opts *opts, struct err *err)
{
	_cleanup_(cleanup_manifest) struct manifest *m = calloc(1, sizeof(*m));

	if (!m)
		return err_set(err, ENOMEM, "out of memory");
	m->tool = strdup(CAPSULE_TOOL);
	m->uuid = new_uuid();
	m->created = now(CLOCK_REALTIME);
	m->monotonic = now(CLOCK_MONOTONIC);
	m->boottime = now(CLOCK_BOOTTIME);
	m->clocks = strdup("exact");
	m->rootfs = strdup(opts->rootfs);
	m->image_dirs = copy_words((char *const *)image_dirs);
	m->argv = copy_words(opts->argv);
	m->env = copy_words(environ);
	m->uid = getuid();
	m->euid = geteuid();
	m->gid = getgid();
	m->egid = getegid();
	m->pid = (uint32_t)pid;
	m->ppid = (uint32_t)getpid();
	m->pgid = (uint32_t)getpgid(pid);
	m->sid = (uint32_t)getsid(pid);
	m->aslr = opts->aslr;
	if (!m->tool || !m->uuid || !m->clocks || !m->rootfs || !m->image_dirs || !m->argv || !m->env)
		return err_set(err, ENOMEM, "out of memory");
	if (take_status(m, pid, err) < 0)
		return -err->code;
	take_limits(m, pid);
	if (take_machine(m, pid) < 0 || take_cwd(m, pid, opts) < 0)
		return err_sys(err, errno, "the identity of process %d", (int)pid);
	*ret = TAKE_PTR(m);
	return 0;
}
