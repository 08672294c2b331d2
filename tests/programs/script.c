/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that does what its arguments say, one system call a word, and
 * tells in the end, with one write to stdout, what each came to.
 *
 *	script 'socket inet stream' 'connect 10.0.0.1:80' 'send hello' 'recv 100'
 *
 * Addresses are HOST:PORT, [HOST]:PORT, /path or @abstract.  The socket, file
 * or pipe made last is the one that the next words mean; "use N" takes another.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static char told[1 << 20];
static size_t ntold;
static int fd = -1, ep = -1;
static volatile sig_atomic_t signals;

static void tell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void tell(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	ntold += vsnprintf(told + ntold, sizeof(told) - ntold, fmt, ap);
	va_end(ap);
}

static void flush(void)
{
	if (ntold && write(1, told, ntold) < 0)
		_exit(99);
	ntold = 0;
}

static void result(const char *op, long n)
{
	if (n < 0)
		tell("%s %s\n", op, strerrorname_np(errno));
	else
		tell("%s %ld\n", op, n);
}

/* Short data as it is, long data as a sum. */
static void tell_data(const char *op, const unsigned char *p, long n)
{
	unsigned long sum = 0;

	if (n <= 0 || n > 64) {
		for (long i = 0; i < n; i++)
			sum = sum * 31 + p[i];
		result(op, n);
		if (n > 0)
			tell("sum %lx\n", sum);
		return;
	}
	tell("%s %ld ", op, n);
	for (long i = 0; i < n; i++)
		tell(p[i] < 33 || p[i] > 126 ? "\\x%02x" : "%c", p[i]);
	tell("\n");
}

static socklen_t address(const char *text, struct sockaddr_storage *ss)
{
	struct sockaddr_in *in = (void *)ss;
	struct sockaddr_in6 *in6 = (void *)ss;
	struct sockaddr_un *un = (void *)ss;
	char host[64] = "";
	int port = 0;

	memset(ss, 0, sizeof(*ss));
	if (text[0] == '/' || text[0] == '@') {
		un->sun_family = AF_UNIX;
		strcpy(un->sun_path, text);
		if (text[0] == '@')
			un->sun_path[0] = 0;
		return offsetof(struct sockaddr_un, sun_path) + strlen(text) + (text[0] == '/');
	}
	if (strcmp(text, "netlink") == 0) {
		ss->ss_family = AF_NETLINK;
		return sizeof(struct sockaddr_nl);
	}
	if (sscanf(text, "[%63[^]]]:%d", host, &port) == 2) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(port);
		inet_pton(AF_INET6, host, &in6->sin6_addr);
		return sizeof(*in6);
	}
	sscanf(text, "%63[^:]:%d", host, &port);
	in->sin_family = AF_INET;
	in->sin_port = htons(port);
	inet_pton(AF_INET, host, &in->sin_addr);
	return sizeof(*in);
}

static void tell_address(const char *op, int e, const struct sockaddr_storage *ss, socklen_t len)
{
	const struct sockaddr_in *in = (void *)ss;
	const struct sockaddr_in6 *in6 = (void *)ss;
	const struct sockaddr_un *un = (void *)ss;
	char host[64] = "?";

	if (e < 0) {
		result(op, e);
	} else if (len >= sizeof(*in) && ss->ss_family == AF_INET) {
		tell("%s %s:%d\n", op, inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host)), ntohs(in->sin_port));
	} else if (len >= sizeof(*in6) && ss->ss_family == AF_INET6) {
		tell("%s [%s]:%d\n", op, inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host)), ntohs(in6->sin6_port));
	} else if (ss->ss_family == AF_UNIX && len > 2) {
		tell("%s %s%.*s\n", op, un->sun_path[0] ? "" : "@", (int)len - 2 - !un->sun_path[0],
		     un->sun_path + !un->sun_path[0]);
	} else {
		tell("%s family %d len %d\n", op, len ? ss->ss_family : 0, (int)len);
	}
}

static void on_signal(int sig)
{
	(void)sig;
	signals++;
}

static void *in_thread(void *arg)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	*(struct timespec *)arg = ts;
	return NULL;
}

/* ---- the words: op, up to three operands ------------------------------------ */

static void do_socket(char **w)
{
	int family = strcmp(w[1], "inet6") == 0 ? AF_INET6 : strcmp(w[1], "unix") == 0 ? AF_UNIX :
		     strcmp(w[1], "netlink") == 0 ? AF_NETLINK : AF_INET;
	int type = strcmp(w[2], "dgram") == 0 ? SOCK_DGRAM : strcmp(w[2], "seqpacket") == 0 ? SOCK_SEQPACKET :
		   strcmp(w[2], "raw") == 0 ? SOCK_RAW : SOCK_STREAM;

	fd = socket(family, type | (w[3] ? SOCK_NONBLOCK : 0), 0);
	result("socket", fd);
}

static void do_names(void)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	int e = getsockname(fd, (void *)&ss, &len);

	tell_address("local", e, &ss, len);
	len = sizeof(ss);
	e = getpeername(fd, (void *)&ss, &len);
	tell_address("remote", e, &ss, len);
}

static void do_recv(char **w, int how)
{
	static unsigned char buf[1 << 24];
	struct sockaddr_storage ss = { 0 };
	socklen_t len = sizeof(ss);
	size_t want = atoi(w[1]);
	struct iovec iov = { buf, want };
	struct msghdr msg = { .msg_name = &ss, .msg_namelen = sizeof(ss), .msg_iov = &iov, .msg_iovlen = 1 };
	long n;

	if (how == 0) {
		tell_data("recv", buf, recv(fd, buf, want, w[2] && strcmp(w[2], "peek") == 0 ? MSG_PEEK : 0));
	} else if (how == 1) {
		n = recvfrom(fd, buf, want, 0, (void *)&ss, &len);
		tell_data("recvfrom", buf, n);
		if (n >= 0)
			tell_address("from", 0, &ss, len);
	} else if (how == 2) {
		n = recvmsg(fd, &msg, 0);
		tell_data("recvmsg", buf, n);
		if (n >= 0)
			tell_address("from", 0, &ss, msg.msg_namelen);
	} else {
		tell_data("read", buf, read(fd, buf, want));
	}
}

static void do_sendmmsg(char **w)
{
	struct iovec iov[2] = { { w[1], strlen(w[1]) }, { w[2], strlen(w[2]) } };
	struct mmsghdr m[2] = { { .msg_hdr = { .msg_iov = &iov[0], .msg_iovlen = 1 } },
				{ .msg_hdr = { .msg_iov = &iov[1], .msg_iovlen = 1 } } };

	result("sendmmsg", sendmmsg(fd, m, 2, 0));
	tell("lens %u %u\n", m[0].msg_len, m[1].msg_len);
}

static void do_recvmmsg(char **w)
{
	static unsigned char buf[2][65536];
	struct iovec iov[2] = { { buf[0], atoi(w[1]) }, { buf[1], atoi(w[1]) } };
	struct mmsghdr m[2] = { { .msg_hdr = { .msg_iov = &iov[0], .msg_iovlen = 1 } },
				{ .msg_hdr = { .msg_iov = &iov[1], .msg_iovlen = 1 } } };
	int n = recvmmsg(fd, m, 2, 0, NULL);

	result("recvmmsg", n);
	for (int i = 0; i < n; i++)
		tell_data("message", buf[i], m[i].msg_len);
}

static void do_poll(char **w)
{
	struct pollfd p = { .fd = fd, .events = strcmp(w[1], "out") == 0 ? POLLOUT : POLLIN };
	int n = poll(&p, 1, atoi(w[2]));

	result("poll", n);
	if (n > 0)
		tell("revents %x\n", p.revents);
}

static void do_select(char **w)
{
	struct timeval tv = { atoi(w[1]), 0 };
	fd_set set;

	FD_ZERO(&set);
	FD_SET(fd, &set);
	result("select", select(fd + 1, &set, NULL, NULL, &tv));
	tell("set %d\n", !!FD_ISSET(fd, &set));
}

static void do_epoll(char **w)
{
	struct epoll_event ev = { .events = EPOLLIN | (strcmp(w[1], "et") == 0 ? EPOLLET : 0) };

	if (ep < 0)
		ep = epoll_create1(0);
	ev.data.fd = fd;
	if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) < 0)
		result("epoll", -1);
}

static void do_ewait(char **w)
{
	struct epoll_event ev[8];
	int n = epoll_wait(ep, ev, 8, atoi(w[1]));

	result("ewait", n);
	for (int i = 0; i < n; i++)
		tell("events %x of %d\n", ev[i].events, ev[i].data.fd);
}

static void do_soerror(void)
{
	int value = -1;
	socklen_t len = sizeof(value);
	int e = getsockopt(fd, SOL_SOCKET, SO_ERROR, &value, &len);

	if (e < 0)
		result("soerror", e);
	else
		tell("soerror %s\n", value ? strerrorname_np(value) : "0");
}

static void do_fork(char **w)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(atoi(w[1]));
	result("fork", pid);
	result("wait", waitpid(pid, &status, 0));
	tell("status %x\n", status);
}

static void do_spawn(char **w, bool vforked)
{
	char *argv[] = { w[1], w[2], w[3], NULL };
	int status;
	pid_t pid;

	if (vforked) {
		pid = vfork();
		if (pid == 0) {
			execv(w[1], argv);
			_exit(127);
		}
	} else {
		errno = posix_spawn(&pid, w[1], NULL, NULL, argv, environ);
		if (errno)
			pid = -1;
	}
	result("spawn", pid);
	result("wait", waitpid(pid, &status, 0));
	tell("status %x\n", status);
}

static void do_thread(void)
{
	struct timespec ts = { 0 };
	pthread_t t;

	if (pthread_create(&t, NULL, in_thread, &ts) == 0)
		pthread_join(t, NULL);
	tell("thread %ld.%09ld\n", (long)ts.tv_sec, ts.tv_nsec);
}

static void do_clock(char **w)
{
	struct timespec ts;

	clock_gettime(w[1] ? CLOCK_REALTIME : CLOCK_MONOTONIC, &ts);
	tell("clock %ld.%09ld\n", (long)ts.tv_sec, ts.tv_nsec);
}

static void do_random(char **w)
{
	unsigned char buf[256];
	long n = getrandom(buf, atoi(w[1]), 0);

	tell("random");
	for (long i = 0; i < n; i++)
		tell(" %02x", buf[i]);
	tell("\n");
}

static bool network(char **w)
{
	struct sockaddr_storage ss;
	const char *op = w[0];
	socklen_t len;

	if (strcmp(op, "socket") == 0) {
		do_socket(w);
	} else if (strcmp(op, "connect") == 0) {
		len = address(w[1], &ss);
		result(op, connect(fd, (void *)&ss, len));
	} else if (strcmp(op, "bind") == 0) {
		len = address(w[1], &ss);
		result(op, bind(fd, (void *)&ss, len));
	} else if (strcmp(op, "listen") == 0) {
		result(op, listen(fd, 5));
	} else if (strcmp(op, "accept") == 0) {
		len = sizeof(ss);
		int new = accept(fd, (void *)&ss, &len);
		result(op, new);
		if (new >= 0) {
			tell_address("client", 0, &ss, len);
			fd = new;
		}
	} else if (strcmp(op, "names") == 0) {
		do_names();
	} else if (strcmp(op, "send") == 0) {
		result(op, send(fd, w[1], strlen(w[1]), w[2] ? MSG_NOSIGNAL : 0));
	} else if (strcmp(op, "sendto") == 0) {
		len = address(w[1], &ss);
		result(op, sendto(fd, w[2], strlen(w[2]), 0, (void *)&ss, len));
	} else if (strcmp(op, "recv") == 0) {
		do_recv(w, 0);
	} else if (strcmp(op, "recvfrom") == 0) {
		do_recv(w, 1);
	} else if (strcmp(op, "recvmsg") == 0) {
		do_recv(w, 2);
	} else if (strcmp(op, "sendmmsg") == 0) {
		do_sendmmsg(w);
	} else if (strcmp(op, "recvmmsg") == 0) {
		do_recvmmsg(w);
	} else if (strcmp(op, "soerror") == 0) {
		do_soerror();
	} else if (strcmp(op, "shutdown") == 0) {
		result(op, shutdown(fd, SHUT_WR));
	} else {
		return false;
	}
	return true;
}

static bool waiting(char **w)
{
	const char *op = w[0];

	if (strcmp(op, "poll") == 0)
		do_poll(w);
	else if (strcmp(op, "select") == 0)
		do_select(w);
	else if (strcmp(op, "epoll") == 0)
		do_epoll(w);
	else if (strcmp(op, "ewait") == 0)
		do_ewait(w);
	else if (strcmp(op, "sleep") == 0)
		result(op, usleep(atoi(w[1]) * 1000));
	else if (strcmp(op, "pause") == 0)
		result(op, pause());
	else
		return false;
	return true;
}

static bool files(char **w)
{
	const char *op = w[0];
	struct stat st;

	if (strcmp(op, "open") == 0) {
		fd = open(w[1], O_RDONLY);
		result(op, fd);
	} else if (strcmp(op, "create") == 0) {
		fd = open(w[1], O_RDWR | O_CREAT | O_TRUNC, 0644);
		result(op, fd);
	} else if (strcmp(op, "read") == 0) {
		do_recv(w, 3);
	} else if (strcmp(op, "write") == 0) {
		result(op, write(fd, w[1], strlen(w[1])));
	} else if (strcmp(op, "close") == 0) {
		result(op, close(fd));
	} else if (strcmp(op, "unlink") == 0) {
		result(op, unlink(w[1]));
	} else if (strcmp(op, "stat") == 0) {
		if (stat(w[1], &st) < 0)
			result(op, -1);
		else
			tell("stat %o %ld %ld\n", st.st_mode, (long)st.st_size, (long)st.st_mtime);
	} else if (strcmp(op, "isatty") == 0) {
		tell("isatty %d\n", isatty(fd));
	} else if (strcmp(op, "nonblock") == 0) {
		fcntl(fd, F_SETFL, O_NONBLOCK);
	} else {
		return false;
	}
	return true;
}

static void processes(char **w)
{
	const char *op = w[0];

	if (strcmp(op, "fork") == 0)
		do_fork(w);
	else if (strcmp(op, "spawn") == 0)
		do_spawn(w, false);
	else if (strcmp(op, "vfork") == 0)
		do_spawn(w, true);
	else if (strcmp(op, "thread") == 0)
		do_thread();
	else if (strcmp(op, "clock") == 0)
		do_clock(w);
	else if (strcmp(op, "random") == 0)
		do_random(w);
	else if (strcmp(op, "pid") == 0)
		tell("pid %d\n", getpid());
	else if (strcmp(op, "catch") == 0)
		signal(atoi(w[1]), on_signal);
	else if (strcmp(op, "signals") == 0)
		tell("signals %d\n", (int)signals);
	else if (strcmp(op, "kill") == 0)
		flush(), kill(getpid(), atoi(w[1]));
	else if (strcmp(op, "exit") == 0)
		flush(), _exit(atoi(w[1]));
	else if (strcmp(op, "use") == 0)
		fd = atoi(w[1]);
	else if (strcmp(op, "flush") == 0)
		flush();
	else
		tell("what is '%s'?\n", op);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		char *w[5] = { NULL }, *save = NULL, text[65536];
		int n = 0;

		snprintf(text, sizeof(text), "%s", argv[i]);
		for (char *p = strtok_r(text, " ", &save); p && n < 4; p = strtok_r(NULL, " ", &save))
			w[n++] = p;
		if (n && !network(w) && !waiting(w) && !files(w))
			processes(w);
	}
	flush();
	return 0;
}
