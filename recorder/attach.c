/* SPDX-License-Identifier: Apache-2.0 */
#include "recorder/attach.h"

#include "format/cleanup.h"
#include "format/io.h"
#include "recorder/file_calls.h"
#include "recorder/objects.h"
#include "recorder/patch.h"
#include "recorder/proc.h"
#include "recorder/spawn.h"
#include "recorder/tasks.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum {
	TRIES = 60,		/* to stop a process */
	ROUNDS = 20,		/* to find all that are there while they fork */
	EPOLL_MAX = 4096,	/* descriptors in a set that is read while its process is stopped */
};

struct attached {
	struct recording *r;
	struct kernel *k;
	pid_t root;
	uint64_t longest;
};

/* What was found of a process while it stood still. */
struct found {
	struct rec_here_task *tasks;
	struct rec_here_file *files;
	size_t ntasks, nfiles;
	unsigned int vdso;
	uint8_t at_random[16];
};

static void found_free(struct found *f)
{
	free(f->tasks);
	free(f->files);
}

/* ---- who ------------------------------------------------------------------------ */

static int list(const struct record_opts *o, pid_t **ret, size_t *n)
{
	return o->attach.cgroup ? proc_in_cgroup(o->attach.cgroup, ret, n) : proc_family(o->attach.pids, o->attach.npids, ret, n);
}

pid_t attach_root(const struct record_opts *o)
{
	_cleanup_free_ pid_t *pids = NULL;
	uint64_t first = UINT64_MAX;
	pid_t root = 0;
	size_t n = 0;

	if (!o->attach.cgroup)
		return o->attach.pids[0];
	list(o, &pids, &n);
	for (size_t i = 0; i < n; i++) {
		uint64_t start = proc_start_time(pids[i]);

		if (start && start < first) {
			first = start;
			root = pids[i];
		}
	}
	return root;
}

/* ---- pipes ------------------------------------------------------------------------ */

/* A pipe, and which of its ends the scope has: with both of them it is the scope's own. */
struct pipe_ends {
	dev_t dev;
	ino_t ino;
	bool reads, writes;
};
struct pipes {
	struct pipe_ends *list;
	size_t n;
};

static void see_pipe(struct pipes *ps, const struct stat *st, int flags)
{
	struct pipe_ends *p = NULL, *more;

	for (size_t i = 0; i < ps->n && !p; i++)
		if (ps->list[i].ino == st->st_ino && ps->list[i].dev == st->st_dev)
			p = &ps->list[i];
	if (!p) {
		more = reallocarray(ps->list, ps->n + 1, sizeof(*more));
		if (!more)
			return;
		ps->list = more;
		p = &more[ps->n++];
		*p = (struct pipe_ends){ .dev = st->st_dev, .ino = st->st_ino };
	}
	p->reads |= (flags & O_ACCMODE) != O_WRONLY;
	p->writes |= (flags & O_ACCMODE) != O_RDONLY;
}

static void see_fd(void *ctx, pid_t pid, int fd, const struct stat *st, int flags)
{
	struct attached *a = ((void **)ctx)[0];

	(void)pid;
	if (S_ISFIFO(st->st_mode))
		see_pipe(((void **)ctx)[1], st, flags);
	/* Its standard streams are from outside, whatever they are; other files it has opened itself. */
	else if (S_ISREG(st->st_mode) && fd <= 2)
		kernel_inherited(a->k, st->st_ino, proc_kernel_dev(st->st_dev), true);
}

/* A pipe made from here on is the scope's own. */
static void find_inherited(struct attached *a, const pid_t *pids, size_t n)
{
	struct pipes ps = { 0 };

	for (size_t i = 0; i < n; i++)
		proc_each_fd(pids[i], see_fd, (void *[]){ a, &ps });
	for (size_t i = 0; i < ps.n; i++)
		if (!ps.list[i].reads || !ps.list[i].writes)
			kernel_inherited(a->k, ps.list[i].ino, proc_kernel_dev(ps.list[i].dev), false);
	free(ps.list);
}

/* ---- epoll sets -------------------------------------------------------------------- */

static const struct rec_here_file *file_at(const struct found *f, int fd)
{
	for (size_t i = 0; i < f->nfiles; i++)
		if (f->files[i].fd == fd)
			return &f->files[i];
	return NULL;
}

/* What /proc/PID/fdinfo says of an epoll set: "tfd: 7 events: 19 data: 7 ...". */
static void read_epoll(struct attached *a, pid_t pid, const struct found *f, const struct rec_here_file *set)
{
	_cleanup_free_ char *text = NULL;
	char path[64];
	uint64_t data;
	int fd, n = 0;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", (int)pid, set->fd);
	if (io_slurp(path, 16 << 20, &text, NULL) < 0)
		return;
	for (char *line = text; (line = strstr(line, "tfd:")); line++) {
		const struct rec_here_file *in;

		if (sscanf(line, "tfd: %d events: %*x data: %" SCNx64, &fd, &data) != 2)
			continue;
		in = file_at(f, fd);
		if (in && in->what.outside && n++ < EPOLL_MAX)
			kernel_epoll_has(a->k, set->file, data, &in->what);
	}
	if (n > EPOLL_MAX)
		emit_holef(a->r, "epoll", "it holds more descriptors than are looked at", "fd %d of process %d", set->fd, (int)pid);
}

static void read_epolls(struct attached *a, pid_t pid, const struct found *f)
{
	char name[64];

	for (size_t i = 0; i < f->nfiles; i++)
		if (f->files[i].what.class == FDC_OTHER && proc_fd_link(pid, f->files[i].fd, name, sizeof(name)) &&
		    strcmp(name, "anon_inode:[eventpoll]") == 0)
			read_epoll(a, pid, f, &f->files[i]);
}

/* ---- one process --------------------------------------------------------------------- */

static int take_stopped(struct attached *a, pid_t pid, struct stopped *s, struct found *f, struct err *err)
{
	if (s && patch_apply(a->r->patches, pid, s, &f->vdso, f->at_random, err) < 0)
		return -err->code;
	if (kernel_here_files(a->k, pid, &f->files, &f->nfiles, err) < 0)
		return -err->code;
	read_epolls(a, pid, f);
	return kernel_here_tasks(a->k, pid, &f->tasks, &f->ntasks, err);
}

/* The process stands still, again and again until it can be done. */
static int take(struct attached *a, pid_t pid, struct found *f, struct err *err)
{
	const struct timespec pause = { .tv_nsec = 5000000 };

	if (a->r->opts->attach.causal)
		return take_stopped(a, pid, NULL, f, err);
	for (int i = 0; i < TRIES; i++) {
		struct stopped s;
		uint64_t ns;
		int rc;

		*err = ERR_INIT;
		rc = stop_process(&s, pid, err);
		if (rc == 0) {
			rc = take_stopped(a, pid, &s, f, err);
			ns = (uint64_t)stop_end(&s);
			a->longest = ns > a->longest ? ns : a->longest;
		}
		if (rc != -EBUSY)
			return rc;
		nanosleep(&pause, NULL);
	}
	return -err->code;
}

static void tell_fork(struct attached *a, const struct task *parent, const struct task *child, const struct rec_here_task *h)
{
	struct event e = { .kind = EV_FORK };

	a->r->task = parent->number;
	e.fork.child = child->number;
	e.fork.pid = h->own_tgid;
	e.fork.tid = h->own_tid;
	e.fork.thread = parent->tgid == child->tgid;
	emit(a->r, &e);
}

/* Its threads, the first one first: that one as a child of its parent, the others as its own. */
static bool tell_tasks(struct attached *a, pid_t pid, const struct found *f)
{
	struct task *parent = task_there(a->r->tasks, (uint32_t)proc_parent(pid)), *first = NULL, *t;

	for (int others = 0; others < 2; others++)
		for (size_t i = 0; i < f->ntasks; i++) {
			const struct rec_here_task *h = &f->tasks[i];

			if ((h->tid != (uint32_t)pid) != others || h->known)
				continue;
			if (h->failed)
				emit_hole(a->r, "task", "attach", "a thread could not be followed", 1);
			t = task_add(a->r->tasks, h->tid, (uint32_t)pid);
			if (!t)
				return false;
			task_owns(a->r->tasks, t, h->own_tid, h->own_tgid);
			if (!others)
				first = t;
			if (others && first)
				tell_fork(a, first, t, h);
			else if (!others && pid != a->root)
				tell_fork(a, parent ? parent : task_there(a->r->tasks, (uint32_t)a->root), t, h);
		}
	return first;
}

/* A log, of which no content is needed, and which will have changed. */
static bool only_writes(const struct recording *r, const struct rec_here_file *h)
{
	return r->sink && (h->what.flags & O_ACCMODE) == O_WRONLY;
}

static void tell_files(struct attached *a, pid_t pid, const struct found *f)
{
	char path[PATH_MAX];

	for (size_t i = 0; i < f->nfiles; i++) {
		struct rec_here_file *h = &f->files[i];
		struct rec_fdinfo info = { .fd = pid == a->root ? h->fd : -1, .pos = h->pos, .what = h->what };
		struct parts p = { .sock = &h->sock, .nsocks = h->what.class == FDC_SOCK };

		if (!proc_fd_link(pid, h->fd, path, sizeof(path)) || h->what.class == FDC_SOCK)
			path[0] = 0;
		if (h->what.class == FDC_OTHER)
			info.what.ino = h->file;	/* they all have one inode */
		if (object_here(a->r, &info, path, &p) < 0)
			emit_hole(a->r, "memory", path, "the recorder has no memory for an open descriptor", 1);
		if (h->what.class == FDC_FILE && only_writes(a->r, h) && path_is_clean(path, strlen(path)))
			file_written(a->r, path);
		else if (h->what.class == FDC_FILE && path_is_clean(path, strlen(path)))
			file_named(a->r, "/", path, pid, h->fd);
	}
}

static void tell_program(struct attached *a, pid_t pid, const struct found *f)
{
	struct ev_exec e = { .vdso = f->vdso };

	memcpy(e.at_random, f->at_random, sizeof(e.at_random));
	tell_running(a->r, pid, &e);
}

/* A process that was forked but has started no program since has its parent's random bytes. */
static bool has_parents_program(pid_t pid, const struct found *f)
{
	uint8_t theirs[16];

	return proc_at_random(proc_parent(pid), theirs) && memcmp(theirs, f->at_random, sizeof(theirs)) == 0;
}

static int attach_one(struct attached *a, pid_t pid, struct err *err)
{
	_cleanup_(found_free) struct found f = { 0 };
	struct recording *r = a->r;

	if (take(a, pid, &f, err) < 0)
		return -err->code;
	if (r->opts->attach.causal && !proc_at_random(pid, f.at_random))
		memset(f.at_random, 0, sizeof(f.at_random));
	r->now = r->start;
	guard_add(r->guard, pid);
	if (!tell_tasks(a, pid, &f))
		return 0;	/* it was followed already: a child of one that we came to before */
	r->task = task_there(r->tasks, (uint32_t)pid)->number;
	if (pid == a->root || !task_there(r->tasks, (uint32_t)proc_parent(pid)) || !has_parents_program(pid, &f))
		tell_program(a, pid, &f);
	if (!f.vdso && !r->opts->attach.causal)
		emit_holef(r, "vdso", "it has no entry points", "process %d", (int)pid);
	tell_files(a, pid, &f);
	r->task = 0;
	return 0;
}

/* ---- all of them ------------------------------------------------------------------------- */

/* Those that are not in the scope yet; how many there were. */
static size_t attach_new(struct attached *a, const pid_t *pids, size_t n)
{
	size_t new = 0;

	for (size_t i = 0; i < n; i++) {
		struct err err = ERR_INIT;

		if (task_there(a->r->tasks, (uint32_t)pids[i]))
			continue;
		new++;
		if (attach_one(a, pids[i], &err) < 0 && err.code != ESRCH)
			emit_holef(a->r, "task", err.text, "process %d", (int)pids[i]);
	}
	return new;
}

int attach_all(struct attached **ret, struct recording *r, struct kernel *k, pid_t root, struct err *err)
{
	struct attached *a = calloc(1, sizeof(*a));
	size_t n = 0, new = 1;

	if (!a)
		return err_set(err, ENOMEM, "out of memory");
	*a = (struct attached){ .r = r, .k = k, .root = root };
	*ret = a;
	if (!r->opts->attach.causal && !r->patches && patches_new(&r->patches, err) < 0)
		return -err->code;
	for (int i = 0; new && i < ROUNDS; i++) {
		_cleanup_free_ pid_t *pids = NULL;

		if (list(r->opts, &pids, &n) < 0)
			return err_set(err, ENOMEM, "listing the processes");
		if (i == 0) {
			find_inherited(a, pids, n);
			if (attach_one(a, root, err) < 0)
				return -err->code;
		}
		new = attach_new(a, pids, n);
	}
	program_words(r, root);
	r->task = 0;
	r->first_exec_seen = true;
	objects_tell_inherited(r);
	return 0;
}

void attach_look(struct attached *a)
{
	_cleanup_free_ pid_t *pids = NULL;
	size_t n = 0;

	if (a && a->r->opts->attach.cgroup && list(a->r->opts, &pids, &n) == 0)
		attach_new(a, pids, n);
}

uint64_t attach_end(struct attached *a)
{
	uint64_t longest;

	if (!a)
		return 0;
	patches_undo(TAKE_PTR(a->r->patches), &a->longest);
	longest = a->longest;
	free(a);
	return longest;
}
