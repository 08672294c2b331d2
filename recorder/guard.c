/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the recorder stops, it continues some 100 µs later.  Should it be
 * killed in between, nobody would: so a process of its own waits for that.  It
 * holds nothing but a pipe, above all no BPF program, which must be gone when
 * the recorder is.
 */
#include "recorder/spawn.h"

#include "format/cleanup.h"
#include "format/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

enum { MAX_PIDS = 4096 };

struct shared {
	pid_t pids[MAX_PIDS];	/* processes of the scope; 0: free */
};

struct guard {
	struct shared *shared;
	pid_t pid;
	int pipe;
};

struct proc {
	pid_t pid, parent;
	bool stopped, ours;
};

static bool read_proc(const char *name, struct proc *p)
{
	char path[300], text[512], state, *end;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%s/stat", name);
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return false;
	text[n] = 0;
	end = strrchr(text, ')');	/* the name may hold anything */
	if (!end || sscanf(end + 1, " %c %d", &state, &p->parent) != 2)
		return false;
	p->pid = atoi(name);
	p->stopped = state == 'T';
	p->ours = false;
	return true;
}

static size_t read_procs(struct proc **ret)
{
	size_t n = 0, room = 0;
	struct dirent *d;

	_cleanup_dir_ DIR *dir = opendir("/proc");
	while (dir && (d = readdir(dir))) {
		if (d->d_name[0] < '1' || d->d_name[0] > '9')
			continue;
		if (n == room) {
			struct proc *bigger = reallocarray(*ret, room ? 2 * room : 256, sizeof(*bigger));

			if (!bigger)
				break;
			room = room ? 2 * room : 256;
			*ret = bigger;
		}
		n += read_proc(d->d_name, *ret + n);
	}
	return n;
}

static bool is_listed(const struct shared *s, pid_t pid)
{
	for (size_t i = 0; i < MAX_PIDS; i++)
		if (s->pids[i] == pid)
			return true;
	return false;
}

/* Processes whose fork the recorder did not live to hear of are children of those that it knew. */
static bool mark_children(struct proc *p, size_t n)
{
	bool more = false;

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < n && !p[i].ours; k++)
			if (p[k].ours && p[k].pid == p[i].parent)
				more = p[i].ours = true;
	return more;
}

static void rescue(const struct shared *s)
{
	_cleanup_free_ struct proc *p = NULL;
	size_t n = read_procs(&p);

	for (size_t i = 0; i < n; i++)
		p[i].ours = is_listed(s, p[i].pid);
	while (mark_children(p, n))
		;
	for (size_t i = 0; i < n; i++)
		if (p[i].ours && p[i].stopped)
			kill(p[i].pid, SIGCONT);
}

static void guard(const struct shared *s, int fd)
{
	static const int ignored[] = { SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGTSTP };
	const struct timespec pause = { .tv_nsec = 50 * 1000000 };
	char word;

	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
	prctl(PR_SET_NAME, "capsule-guard");
	if (fd > 0)
		close_range(0, (unsigned int)fd - 1, 0);
	close_range((unsigned int)fd + 1, ~0u, 0);
	if (io_read(fd, &word, 1) == 1)
		_exit(0);
	/* The programs in the kernel may stop one more before they are gone. */
	for (int i = 0; i < 4; i++) {
		nanosleep(&pause, NULL);
		rescue(s);
		recorder_mend();
	}
	_exit(0);
}

int guard_start(struct guard **ret, struct err *err)
{
	int ends[2];

	_cleanup_free_ struct guard *g = calloc(1, sizeof(*g));
	if (!g)
		return err_set(err, ENOMEM, "out of memory");
	g->shared = mmap(NULL, sizeof(*g->shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (g->shared == MAP_FAILED)
		return err_sys(err, errno, "shared memory");
	if (pipe2(ends, O_CLOEXEC) < 0) {
		munmap(g->shared, sizeof(*g->shared));
		return err_sys(err, errno, "pipe");
	}
	g->pid = fork();
	if (g->pid == 0) {
		close(ends[1]);
		guard(g->shared, ends[0]);
	}
	close(ends[0]);
	g->pipe = ends[1];
	if (g->pid < 0) {
		int e = errno;

		close(g->pipe);
		munmap(g->shared, sizeof(*g->shared));
		return err_sys(err, e, "fork");
	}
	*ret = TAKE_PTR(g);
	return 0;
}

void guard_add(struct guard *g, pid_t pid)
{
	for (size_t i = 0; i < MAX_PIDS; i++)
		if (!g->shared->pids[i]) {
			g->shared->pids[i] = pid;
			return;
		}
}

void guard_remove(struct guard *g, pid_t pid)
{
	for (size_t i = 0; i < MAX_PIDS; i++)
		if (g->shared->pids[i] == pid)
			g->shared->pids[i] = 0;
}

void guard_stop(struct guard *g)
{
	if (!g)
		return;
	(void)!io_write(g->pipe, "", 1);
	close(g->pipe);
	while (waitpid(g->pid, NULL, 0) < 0 && errno == EINTR)
		;
	munmap(g->shared, sizeof(*g->shared));
	free(g);
}

void guard_continue(uint32_t pid)
{
	kill((pid_t)pid, SIGCONT);
}
