/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sandbox's init: pid 1 of its pid namespace, a fork of the supervisor
 * that never executes anything.  It builds the world, starts the guest, then
 * reaps and serves until its supervisor kills it or is gone.
 *
 * It keeps its capabilities over the namespaces, so it listens to nobody but
 * the supervisor, and the guest can't touch it: no signal of its namespace
 * reaches pid 1, and a process without capabilities can't trace one with.
 */
#include "sandbox/internal.h"

#include "format/cleanup.h"
#include "format/io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* By the system call itself: sigaction(3) does not touch 32 and 33, which the C library keeps for itself but which may come ignored. */
void signals_default(void)
{
	uint64_t dfl[4] = { 0 };	/* struct kernel_sigaction: SIG_DFL, no flags, no restorer, no mask */

	for (int sig = 1; sig <= 64; sig++)
		syscall(SYS_rt_sigaction, sig, dfl, NULL, sizeof(uint64_t));
}

/* It was a container's first process: its pid can't be had beside the init's. */
static bool is_first(const struct setup *s)
{
	return s->spec->m->pid == 1;
}

static pid_t clone_guest(pid_t want)
{
	struct clone_args args = { .exit_signal = SIGCHLD };
	pid_t set[1] = { want };
	pid_t pid = -1;

	if (want > 1) {
		args.set_tid = (uintptr_t)set;
		args.set_tid_size = 1;
		pid = syscall(SYS_clone3, &args, sizeof(args));
	}
	if (pid < 0) {	/* not free, out of range, or an old kernel: then any pid */
		args.set_tid = 0;
		args.set_tid_size = 0;
		pid = syscall(SYS_clone3, &args, sizeof(args));
	}
	return pid;
}

/*
 * Tells the supervisor that the guest exists.  The kernel translates the pid
 * in the credentials into the receiver's namespace.
 */
static int send_ready(const struct setup *s, pid_t guest, const int fds[2], size_t nfds)
{
	struct message m = { .what = MSG_READY };
	struct ucred cred = { guest, geteuid(), getegid() };
	struct iovec iov = { &m, sizeof(m) };
	_Alignas(struct cmsghdr) char buf[CMSG_SPACE(sizeof(cred)) + CMSG_SPACE(3 * sizeof(int))] = { 0 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = buf,
			      .msg_controllen = CMSG_SPACE(sizeof(cred)) + CMSG_SPACE(nfds * sizeof(int)) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_CREDENTIALS;
	c->cmsg_len = CMSG_LEN(sizeof(cred));
	memcpy(CMSG_DATA(c), &cred, sizeof(cred));
	c = CMSG_NXTHDR(&msg, c);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(nfds * sizeof(int));
	memcpy(CMSG_DATA(c), fds, nfds * sizeof(int));
	return sendmsg(s->events[1], &msg, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* With the root go what lies over it, and the shared file's fd, where there is one. */
static int hand_over(const struct setup *s, pid_t guest, int upper, struct err *err)
{
	_cleanup_fd_ int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_fd_ int shared = -1;
	int e;

	if (root < 0)
		return err_sys(err, errno, "opening the new root");
	if (s->spec->shared_size) {
		shared = open("/dev/.capsule", O_RDWR | O_NOFOLLOW | O_CLOEXEC);
		if (shared < 0)
			return err_sys(err, errno, "opening /dev/.capsule");
	}
	e = send_ready(s, guest, (int[3]){ root, upper, shared }, s->spec->shared_size ? 3 : 2);
	return e < 0 ? err_sys(err, -e, "telling the supervisor") : 0;
}

/* Nothing of the supervisor's stays open here but @keep[], in ascending order. */
static void close_all_but(const int *keep, size_t n)
{
	unsigned int from = 0;

	for (size_t i = 0; i < n; i++) {
		if (keep[i] < (int)from)
			continue;
		if ((unsigned int)keep[i] > from)
			close_range(from, keep[i] - 1, 0);
		from = keep[i] + 1;
	}
	close_range(from, UINT_MAX, 0);
}

static void pin(int cpu)
{
	cpu_set_t set;

	if (cpu < 0 || cpu >= CPU_SETSIZE)
		return;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static int set_names(const struct manifest *m, struct err *err)
{
	if (m->hostname && sethostname(m->hostname, strnlen(m->hostname, HOST_NAME_MAX)) < 0) {
		err_sys(err, errno, "setting the host name");
		return userns_hint(err);
	}
	if (m->domainname && setdomainname(m->domainname, strnlen(m->domainname, HOST_NAME_MAX)) < 0)
		return err_sys(err, errno, "setting the domain name");
	return 0;
}

static void write_setting(const char *path, const char *value)
{
	_cleanup_fd_ int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd >= 0)
		(void)!write(fd, value, strlen(value));
}

/*
 * No user namespace inside this one: in it the guest would have capabilities.
 * The filter can't look at clone3()'s flags, and who looks at them in memory
 * may see others than the kernel.  And where memory runs out, it is the guest
 * that goes.
 */
static void forbid(void)
{
	write_setting("/proc/sys/user/max_user_namespaces", "0");
	write_setting("/proc/self/oom_score_adj", "1000");
}

/* Everything up to the guest's start; its pid, or negative. */
static pid_t set_up(const struct setup *s, int *ns_last_pid, struct err *err)
{
	_cleanup_fd_ int upper = -1;
	pid_t guest = 0;

	forbid();
	setsid();	/* no terminal: the guest could push input into it with TIOCSTI */
	umask(0);
	if (set_names(s->spec->m, err) < 0)
		return -err->code;
	if (is_first(s) && (guest = first_start(s, err)) < 0)
		return -err->code;
	if ((guest ? first_build(s, ns_last_pid, &upper, err) : rootfs_enter(s->spec, ns_last_pid, &upper, err)) < 0)
		return -err->code;
	if (!guest) {
		guest = clone_guest((pid_t)s->spec->m->pid);
		if (guest == 0)
			guest_main(s);
	}
	if (guest < 0)
		return err_sys(err, errno, "starting the guest");
	open_futex(&s->gate->built, 1);
	if (hand_over(s, guest, upper, err) < 0)
		return -err->code;
	return guest;
}

static void reap(const struct setup *s, pid_t guest)
{
	struct message m = { .what = MSG_ENDED };
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG | __WALL)) > 0) {
		if (pid != guest)
			continue;
		m.value = status;
		send(s->events[1], &m, sizeof(m), MSG_NOSIGNAL);
	}
}

static int set_last_pid(const struct setup *s, int fd, pid_t pid)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%d", pid - 1);

	if (pid < 1)
		return -EINVAL;
	if (is_first(s))
		return first_write(fd, text, (size_t)n);
	return pwrite(fd, text, n, 0) < 0 ? -errno : 0;
}

/* False: the supervisor is gone. */
static bool serve(const struct setup *s, int ns_last_pid)
{
	struct message m;
	int requests = s->requests[1];
	ssize_t n = recv(requests, &m, sizeof(m), MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n != sizeof(m) || m.what != MSG_NEXT_PID)
		return false;
	m.value = set_last_pid(s, ns_last_pid, m.value);
	return send(requests, &m, sizeof(m), MSG_NOSIGNAL) == sizeof(m);
}

static void loop(const struct setup *s, pid_t guest, int children, int ns_last_pid)
{
	struct pollfd fds[] = {
		{ .fd = children, .events = POLLIN },
		{ .fd = s->requests[1], .events = POLLIN },
		{ .fd = s->events[1] },
	};
	struct signalfd_siginfo si;

	for (;;) {
		reap(s, guest);
		if (poll(fds, 3, -1) < 0 && errno != EINTR)
			return;
		if (fds[0].revents && read(children, &si, sizeof(si)) < 0 && errno != EINTR && errno != EAGAIN)
			return;
		if (fds[1].revents && !serve(s, ns_last_pid))
			return;
		if (fds[2].revents)
			return;
	}
}

static int compare_int(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

void init_main(const struct setup *s)
{
	struct err err = ERR_INIT;
	int ns_last_pid = -1, children;
	sigset_t set;
	pid_t guest;

	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	signals_default();
	sigfillset(&set);
	sigprocmask(SIG_SETMASK, &set, NULL);
	close(s->events[0]);
	close(s->requests[0]);
	close(s->ready[0]);
	guest = set_up(s, &ns_last_pid, &err);
	if (guest < 0) {
		s->gate->err = err;
		_exit(1);
	}
	close(s->ready[1]);
	children = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	int keep[] = { s->events[1], s->requests[1], children, ns_last_pid };
	qsort(keep, 4, sizeof(keep[0]), compare_int);
	close_all_but(keep, 4);
	pin(s->spec->cpu);
	if (children >= 0)
		loop(s, guest, children, ns_last_pid);
	_exit(1);	/* and the kernel kills everything in the namespace */
}
