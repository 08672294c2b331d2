/* SPDX-License-Identifier: Apache-2.0 */
/* The supervisor's side: starts the init and the guest, talks to them, ends them. */
#include "sandbox/internal.h"

#include "format/cleanup.h"
#include "format/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define READY_MS 20000	/* for a guest to get to its gate once the root is built */

struct sandbox {
	pid_t init, guest;
	int events, requests;
	int listener, shared, root, upper;
	struct gate *gate;
	bool ended;
	int status;
};

static void cleanup_sandbox(struct sandbox **sb)
{
	sandbox_free(*sb);
}

pid_t sandbox_guest(const struct sandbox *sb) { return sb->guest; }
pid_t sandbox_init(const struct sandbox *sb) { return sb->init; }
int sandbox_listener(const struct sandbox *sb) { return sb->listener; }
int sandbox_shared(const struct sandbox *sb) { return sb->shared; }
int sandbox_root(const struct sandbox *sb) { return sb->root; }
int sandbox_upper(const struct sandbox *sb) { return sb->upper; }
int sandbox_control(const struct sandbox *sb) { return sb->events; }
int sandbox_exec_error(const struct sandbox *sb) { return sb->gate->exec_errno; }

/* ---- starting the init ----------------------------------------------------- */

static void cleanup_setup(struct setup *s)
{
	for (int i = 0; i < 2; i++) {
		cleanup_fd(&s->events[i]);
		cleanup_fd(&s->requests[i]);
		cleanup_fd(&s->ready[i]);
	}
}

static int open_channels(struct setup *s, struct err *err)
{
	int one = 1;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s->events) < 0 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s->requests) < 0 ||
	    setsockopt(s->events[0], SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)) < 0 ||
	    pipe2(s->ready, O_CLOEXEC) < 0)
		return err_sys(err, errno, "making sockets");
	return 0;
}

/* In the caller or a child of it that shares @s: forks the init as the supervisor's child. */
static pid_t clone_init(const struct setup *s, uint64_t flags)
{
	struct clone_args args = {
		.flags = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP | flags,
		.exit_signal = flags & CLONE_PARENT ? 0 : SIGCHLD,
	};
	pid_t pid = syscall(SYS_clone3, &args, sizeof(args));

	if (pid < 0 && (errno == EINVAL || errno == EPERM || errno == ENOSPC)) {	/* no cgroup namespaces here */
		args.flags &= ~CLONE_NEWCGROUP;
		pid = syscall(SYS_clone3, &args, sizeof(args));
	}
	if (pid == 0)
		init_main(s);
	return pid;
}

static void floor_ns(int64_t ns, long long *sec, long *nsec)
{
	*sec = ns / 1000000000;
	*nsec = ns % 1000000000;
	if (*nsec < 0) {
		(*sec)--;
		*nsec += 1000000000;
	}
}

/* False where the kernel has no time namespaces. */
static bool enter_timens(const struct sandbox_spec *spec, struct err *err)
{
	long long msec, bsec;
	char text[128];
	long mnsec, bnsec;
	int n, e;

	if (unshare(CLONE_NEWTIME) < 0)
		return false;
	_cleanup_fd_ int fd = open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	floor_ns(spec->monotonic_offset, &msec, &mnsec);
	floor_ns(spec->boottime_offset, &bsec, &bnsec);
	n = snprintf(text, sizeof(text), "monotonic %lld %ld\nboottime %lld %ld\n", msec, mnsec, bsec, bnsec);
	e = io_write(fd, text, n);
	if (e < 0)
		err_sys(err, -e, "setting the offsets of the time namespace");
	return e == 0;
}

/*
 * A time namespace is entered by the children of who makes it, and its
 * offsets are written in between, so a helper makes it and forks the init as
 * our child, not its own.
 */
static pid_t clone_init_in_timens(const struct setup *s, struct err *err)
{
	pid_t pid, helper = fork();
	int status;

	if (helper == 0) {
		enter_timens(s->spec, &s->gate->err);
		if (!s->gate->err.code) {
			pid = clone_init(s, CLONE_PARENT);
			if (pid < 0)
				err_sys(&s->gate->err, errno, "making the namespaces");
			else
				s->gate->init = pid;
		}
		_exit(0);
	}
	if (helper < 0)
		return err_sys(err, errno, "fork");
	while (waitpid(helper, &status, 0) < 0 && errno == EINTR)
		;
	if (s->gate->init > 0)
		return s->gate->init;
	*err = s->gate->err;
	return err->code ? -err->code : err_set(err, ECHILD, "the sandbox's helper died");
}

static pid_t start_init(const struct setup *s, struct err *err)
{
	pid_t pid;

	if (s->spec->monotonic_offset || s->spec->boottime_offset) {
		pid = clone_init_in_timens(s, err);
		return pid < 0 ? userns_hint(err) : pid;
	}
	pid = clone_init(s, 0);
	if (pid < 0) {
		err_sys(err, errno, "making the namespaces");
		return userns_hint(err);
	}
	return pid;
}

/* ---- waiting for the guest -------------------------------------------------- */

/* What died has left its reason in the shared page, or has been killed. */
static int setup_error(const struct sandbox *sb, const char *who, struct err *err)
{
	if (!sb->gate->err.code)
		return err_set(err, ECHILD, "%s died while it was set up", who);
	*err = sb->gate->err;
	err->text[sizeof(err->text) - 1] = 0;
	return -err->code;
}

static void take_control_data(struct sandbox *sb, struct msghdr *msg)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		struct ucred cred;
		int fds[3] = { -1, -1, -1 };
		size_t n = c->cmsg_len - CMSG_LEN(0);

		if (c->cmsg_type == SCM_CREDENTIALS && n == sizeof(cred)) {
			memcpy(&cred, CMSG_DATA(c), sizeof(cred));
			sb->guest = cred.pid;
		} else if (c->cmsg_type == SCM_RIGHTS && n <= sizeof(fds)) {
			memcpy(fds, CMSG_DATA(c), n);
			sb->root = fds[0];
			sb->upper = fds[1];
			sb->shared = fds[2];
		}
	}
}

/* The init's first message: the root is built, the guest exists. */
static int receive_ready(struct sandbox *sb, struct err *err)
{
	struct message m = { 0 };
	struct iovec iov = { &m, sizeof(m) };
	_Alignas(struct cmsghdr) char buf[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(3 * sizeof(int))];
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = buf, .msg_controllen = sizeof(buf) };
	ssize_t n;

	do {
		n = recvmsg(sb->events, &msg, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n <= 0)
		return setup_error(sb, "the sandbox's init", err);
	take_control_data(sb, &msg);
	if (m.what != MSG_READY || sb->guest <= 0 || sb->root < 0 || sb->upper < 0)
		return err_set(err, EPROTO, "the sandbox's init said something unexpected");
	return 0;
}

static int wait_ready(struct sandbox *sb, int ready, struct err *err)
{
	struct pollfd fds[] = { { .fd = ready, .events = POLLIN }, { .fd = sb->events } };
	int n;

	do {
		n = poll(fds, 2, READY_MS);
	} while (n < 0 && errno == EINTR);
	if (n == 0)
		return err_set(err, ETIMEDOUT, "the guest did not get ready");
	if (sb->gate->listener < 0)
		return setup_error(sb, "the guest", err);
	_cleanup_fd_ int pidfd = pidfd_open(sb->guest, 0);
	if (pidfd < 0)
		return err_sys(err, errno, "opening the guest");
	sb->listener = pidfd_getfd(pidfd, sb->gate->listener, 0);
	return sb->listener < 0 ? err_sys(err, errno, "taking the seccomp listener from the guest") : 0;
}

/* Set from here: the guest could not install its filter any more under a limit of three fds. */
static void set_limits(const struct sandbox *sb, const struct sandbox_spec *spec)
{
	const uint64_t most[RLIM_NLIMITS] = { [RLIMIT_FSIZE] = spec->max_file, [RLIMIT_CPU] = spec->max_cpu };
	const struct manifest *m = spec->m;

	for (uint32_t i = 0; i < m->nrlimits && i < RLIM_NLIMITS; i++) {
		struct rlimit limit = { m->rlimits[i].cur, m->rlimits[i].max }, ours;

		if (prlimit(sb->guest, i, NULL, &ours) < 0)
			continue;
		if (limit.rlim_max > ours.rlim_max)
			limit.rlim_max = ours.rlim_max;
		if (most[i] && limit.rlim_max > most[i])
			limit.rlim_max = most[i];
		if (limit.rlim_cur > limit.rlim_max)
			limit.rlim_cur = limit.rlim_max;
		prlimit(sb->guest, i, &limit, NULL);
	}
}

static struct sandbox *sandbox_new(void)
{
	struct sandbox *sb = calloc(1, sizeof(*sb));

	if (!sb)
		return NULL;
	sb->events = sb->requests = sb->listener = sb->shared = sb->root = sb->upper = -1;
	sb->gate = mmap(NULL, sizeof(*sb->gate), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (sb->gate == MAP_FAILED) {
		free(sb);
		return NULL;
	}
	sb->gate->listener = -1;
	return sb;
}

void open_futex(_Atomic uint32_t *word, uint32_t value)
{
	*word = value;
	syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/* While the init builds the root, on the other CPU. */
static int give_filter(struct gate *gate, const bool *also, struct err *err)
{
	_cleanup_free_ struct sock_filter *filter = NULL;
	size_t n;

	if (filter_build(also, &filter, &n, err) < 0)
		return -err->code;
	if (n == 0 || n > BPF_MAXINSNS)
		return err_set(err, E2BIG, "a seccomp filter of %zu instructions", n);
	memcpy(gate->filter, filter, n * sizeof(*filter));
	open_futex(&gate->nfilter, n);
	return 0;
}

int sandbox_spawn(struct sandbox **ret, const struct sandbox_spec *spec, struct err *err)
{
	struct setup s = { .spec = spec };
	_cleanup_(cleanup_setup) struct setup fds = { .events = { -1, -1 }, .requests = { -1, -1 }, .ready = { -1, -1 } };
	_cleanup_(cleanup_sandbox) struct sandbox *sb = sandbox_new();

	if (!sb)
		return err_set(err, ENOMEM, "out of memory");
	if (open_channels(&fds, err) < 0)
		return -err->code;
	memcpy(s.events, fds.events, sizeof(s.events));
	memcpy(s.requests, fds.requests, sizeof(s.requests));
	memcpy(s.ready, fds.ready, sizeof(s.ready));
	s.gate = sb->gate;
	sb->init = start_init(&s, err);
	if (sb->init < 0)
		return -err->code;
	sb->events = TAKE_FD(fds.events[0]);
	sb->requests = TAKE_FD(fds.requests[0]);
	/* So that the death of the other side is seen as the end of the file. */
	close(TAKE_FD(fds.events[1]));
	close(TAKE_FD(fds.requests[1]));
	close(TAKE_FD(fds.ready[1]));
	if (give_filter(sb->gate, spec->notify, err) < 0 || receive_ready(sb, err) < 0 || wait_ready(sb, fds.ready[0], err) < 0)
		return -err->code;
	set_limits(sb, spec);
	*ret = TAKE_PTR(sb);
	return 0;
}

/* ---- while it runs ------------------------------------------------------------ */

int sandbox_go(struct sandbox *sb, struct err *err)
{
	int status;

	if (sandbox_wait(sb, &status) != 0)
		return setup_error(sb, "the guest", err);
	open_futex(&sb->gate->go, 1);
	return 0;
}

int sandbox_next_pid(struct sandbox *sb, pid_t pid)
{
	struct message m = { .what = MSG_NEXT_PID, .value = pid };
	ssize_t n;

	do {
		n = send(sb->requests, &m, sizeof(m), MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	do {
		n = recv(sb->requests, &m, sizeof(m), 0);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return n == sizeof(m) && m.what == MSG_NEXT_PID ? m.value : -ESRCH;
}

int sandbox_wait(struct sandbox *sb, int *status)
{
	struct message m;
	ssize_t n;

	if (!sb->ended) {
		do {
			n = recv(sb->events, &m, sizeof(m), MSG_DONTWAIT);
		} while (n < 0 && errno == EINTR);
		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n != sizeof(m) || m.what != MSG_ENDED)
			return -ESRCH;
		sb->ended = true;
		sb->status = m.value;
	}
	*status = sb->status;
	return 1;
}

/* ---- the end ------------------------------------------------------------------ */

/* Reaps @tid if it is a dead tracee of ours; lets it die if it stops on its way. */
static void reap_tracee(pid_t tid)
{
	int status;

	while (waitpid(tid, &status, WNOHANG | __WALL) == tid)
		if (WIFSTOPPED(status))
			ptrace(PTRACE_CONT, tid, 0, 0);
		else
			break;
}

static void reap_descendants(pid_t pid, int depth);

static void reap_children_of(pid_t pid, const char *tid, int depth)
{
	_cleanup_free_ char *text = NULL;
	char path[64], *save = NULL;

	snprintf(path, sizeof(path), "/proc/%d/task/%.16s/children", pid, tid);
	if (io_slurp(path, 1 << 20, &text, NULL) < 0)
		return;
	for (char *p = strtok_r(text, " ", &save); p; p = strtok_r(NULL, " ", &save))
		reap_descendants(atoi(p), depth + 1);
}

/*
 * A killed namespace stays until all its dead are reaped, and a traced one is
 * its tracer's to reap, threads too.
 */
static void reap_descendants(pid_t pid, int depth)
{
	const struct dirent *d;
	char path[32];

	if (pid <= 0 || depth > 64)
		return;
	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	_cleanup_dir_ DIR *tasks = opendir(path);
	while (tasks && (d = readdir(tasks)) != NULL) {
		if (d->d_name[0] == '.')
			continue;
		reap_children_of(pid, d->d_name, depth);
		if (depth > 0 && atoi(d->d_name) != pid)
			reap_tracee(atoi(d->d_name));
	}
	if (depth > 0)
		reap_tracee(pid);
}

static void end_init(pid_t init)
{
	_cleanup_fd_ int pidfd = pidfd_open(init, 0);
	struct pollfd fd = { .fd = pidfd, .events = POLLIN };
	int timeout = 2, status;

	kill(init, SIGKILL);
	for (;;) {
		pid_t pid = waitpid(init, &status, pidfd < 0 ? 0 : WNOHANG);

		if (pid == init || (pid < 0 && errno != EINTR))
			return;
		if (poll(&fd, 1, timeout) == 0)
			reap_descendants(init, 0);
		timeout = timeout < 50 ? timeout * 2 : timeout;
	}
}

void sandbox_free(struct sandbox *sb)
{
	if (!sb)
		return;
	if (sb->init > 0)
		end_init(sb->init);
	cleanup_fd(&sb->events);
	cleanup_fd(&sb->requests);
	cleanup_fd(&sb->listener);
	cleanup_fd(&sb->shared);
	cleanup_fd(&sb->root);
	cleanup_fd(&sb->upper);
	munmap(sb->gate, sizeof(*sb->gate));
	free(sb);
}
