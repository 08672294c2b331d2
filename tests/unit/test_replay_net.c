/* SPDX-License-Identifier: Apache-2.0 */
/* Connections in a replay: the far end says what it said, in its chunks, with its failures. */
#include "tale.h"

#include <sys/epoll.h>

#define FROM "10.9.8.7:50123"
#define TO "10.1.2.3:80"

static void client(struct tale *t, const char *local, const char *remote)
{
	tale_socket(t, SOCK, strchr(remote, '[') ? AF_INET6 : AF_INET, SOCK_STREAM, local, remote);
	tale_connects(t, SOCK, 3, remote, 0);
}

static void name(struct tale *t, unsigned int nr, uint32_t obj, const char *a)
{
	struct bytes b = addr(a);
	uint32_t len = (uint32_t)b.len;

	CALL(t, (uint16_t)nr, 0, .obj = obj, .args = { 3, 0x1000, 0x2000 }, .segs = { SEG(1, b.data, b.len), SEG(2, &len, 4) });
}

static void soerror(struct tale *t, int value)
{
	uint32_t len = 4;

	CALL(t, SYS_getsockopt, 0, .obj = SOCK, .args = { 3, SOL_SOCKET, SO_ERROR, 0x1000, 0x2000 },
	     .segs = { SEG(3, &value, 4), SEG(4, &len, 4) });
}

static void polls(struct tale *t, int events, int revents, int timeout)
{
	struct pollfd p = { 3, (short)events, (short)revents };
	uint32_t ready[] = { SOCK, (uint32_t)revents };

	CALL(t, SYS_poll, revents != 0, .args = { 0x1000, 1, (uint64_t)timeout },
	     .segs = { SEG(0, &p, sizeof(p)), { .arg = SEG_READY, .len = revents ? 8 : 0, .data = (void *)ready } });
}

static void ewaits(struct tale *t, int events, int timeout)
{
	struct epoll_event ev = { (uint32_t)events, { .fd = 3 } };
	uint32_t ready[] = { SOCK, (uint32_t)events };

	if (!events)
		CALL(t, SYS_epoll_wait, 0, .args = { 4, 0x1000, 8, (uint64_t)timeout });
	else
		CALL(t, SYS_epoll_wait, 1, .args = { 4, 0x1000, 8, (uint64_t)timeout },
		     .segs = { SEG(1, &ev, sizeof(ev)), SEG(SEG_READY, ready, 8) });
}

static void tcp_in_chunks(void **state)
{
	(void)state;
	TALE(t, "socket inet stream", "connect " TO, "names", "send hello", "recv 100", "recv 100", "recv 2", "recv 100", "recv 100");
	client(&t, FROM, TO);
	name(&t, SYS_getsockname, SOCK, FROM);
	name(&t, SYS_getpeername, SOCK, TO);
	tale_sends(&t, SOCK, 3, "hello");
	tale_recvs(&t, SOCK, 3, "abc", 3);
	tale_recvs(&t, SOCK, 3, "defgh", 5);
	tale_recvs(&t, SOCK, 3, "ij", 2);
	tale_recvs(&t, SOCK, 3, "k", 1);
	tale_recvs(&t, SOCK, 3, "", 0);
	tale_says(&t, "socket 3\nconnect 0\nlocal " FROM "\nremote " TO "\nsend 5\nrecv 3 abc\nrecv 5 defgh\nrecv 2 ij\nrecv 1 k\nrecv 0\n");
	tale_exit(&t, 0);
	tale_is_identical(&t);
}

/* The kernel itself knows both ends: names that were not asked for then. */
static void names_from_the_kernel(void **state)
{
	struct outcome o;

	(void)state;
	TALE(t, "socket inet stream", "connect " TO, "names");
	client(&t, FROM, TO);
	tale_says(&t, "socket 3\nconnect 0\nlocal " FROM "\nremote " TO "\n");
	tale_exit(&t, 0);
	tale_replay_with(&t, &o, NULL);
	if (o.status)
		fail_msg("%s", o.err);
}

static void tcp_over_ipv6(void **state)
{
	(void)state;
	TALE(t, "socket inet6 stream", "connect [2001:db8::5]:443", "names", "send hello", "recv 100", "recv 100");
	client(&t, "[2001:db8::99]:40000", "[2001:db8::5]:443");
	name(&t, SYS_getsockname, SOCK, "[2001:db8::99]:40000");
	name(&t, SYS_getpeername, SOCK, "[2001:db8::5]:443");
	tale_sends(&t, SOCK, 3, "hello");
	tale_recvs(&t, SOCK, 3, "abc", 3);
	tale_recvs(&t, SOCK, 3, "", 0);
	tale_says(&t, "socket 3\nconnect 0\nlocal [2001:db8::99]:40000\nremote [2001:db8::5]:443\nsend 5\nrecv 3 abc\nrecv 0\n");
	tale_exit(&t, 0);
	tale_is_identical(&t);
}

static void tcp_in_progress(void **state)
{
	(void)state;
	TALE(t, "socket inet stream nonblock", "connect " TO, "poll out 1000", "soerror", "send hello", "recv 100", "poll in 5000",
	     "recv 100", "recv 100", "poll in 5000", "recv 100");
	tale_socket(&t, SOCK, AF_INET, SOCK_STREAM, FROM, TO);
	tale_connects(&t, SOCK, 3, TO, -EINPROGRESS);
	polls(&t, POLLOUT, POLLOUT, 1000);
	soerror(&t, 0);
	tale_sends(&t, SOCK, 3, "hello");
	tale_fails(&t, SYS_recvfrom, SOCK, 3, -EAGAIN);
	polls(&t, POLLIN, POLLIN, 5000);
	tale_recvs(&t, SOCK, 3, "abc", 3);
	tale_fails(&t, SYS_recvfrom, SOCK, 3, -EAGAIN);
	polls(&t, POLLIN, POLLIN, 5000);
	tale_recvs(&t, SOCK, 3, "", 0);
	tale_says(&t, "socket 3\nconnect EINPROGRESS\npoll 1\nrevents 4\nsoerror 0\nsend 5\nrecv EAGAIN\npoll 1\nrevents 1\n"
		  "recv 3 abc\nrecv EAGAIN\npoll 1\nrevents 1\nrecv 0\n");
	tale_exit(&t, 0);
	tale_is_identical(&t);
}

static void two_connections_to_one_server(void **state)
{
	(void)state;
	TALE(t, "socket inet stream", "connect " TO, "recv 100", "socket inet stream", "connect " TO, "recv 100", "use 3", "recv 100");
	client(&t, "10.9.8.7:50123", TO);
	tale_recvs(&t, SOCK, 3, "one", 3);
	tale_socket(&t, SOCK + 1, AF_INET, SOCK_STREAM, "10.9.8.7:50124", TO);
	tale_connects(&t, SOCK + 1, 4, TO, 0);
	tale_recvs(&t, SOCK + 1, 4, "two", 3);
	tale_recvs(&t, SOCK, 3, "three", 5);
	tale_says(&t, "socket 3\nconnect 0\nrecv 3 one\nsocket 4\nconnect 0\nrecv 3 two\nrecv 5 three\n");
	tale_exit(&t, 0);
	tale_is_identical(&t);
}

static char big[3 << 20];

static unsigned long sum_of(const char *p, size_t n)
{
	unsigned long sum = 0;

	for (size_t i = 0; i < n; i++)
		sum = sum * 31 + (unsigned char)p[i];
	return sum;
}

/* One recv() took 3 MB, more than socket buffers hold. */
static void chunk_larger_than_buffers(void **state)
{
	static const struct { const char *socket, *connect, *local, *remote; int family, type; } kinds[] = {
		{ "socket inet stream", "connect " TO, FROM, TO, AF_INET, SOCK_STREAM },
		{ "socket unix stream", "connect /tmp/s", NULL, "/tmp/s", AF_UNIX, SOCK_STREAM },
	};
	char says[300];

	(void)state;
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)(i * 7 + i / 1000);
	for (size_t i = 0; i < 2; i++) {
		TALE(t, kinds[i].socket, kinds[i].connect, "recv 10000000", "recv 100");
		tale_socket(&t, SOCK, kinds[i].family, kinds[i].type, kinds[i].local, kinds[i].remote);
		tale_connects(&t, SOCK, 3, kinds[i].remote, 0);
		tale_recvs(&t, SOCK, 3, big, sizeof(big));
		tale_recvs(&t, SOCK, 3, "end", 3);
		snprintf(says, sizeof(says), "socket 3\nconnect 0\nrecv %zu\nsum %lx\nrecv 3 end\n", sizeof(big), sum_of(big, sizeof(big)));
		tale_says(&t, says);
		tale_exit(&t, 0);
		tale_is_identical(&t);
	}
}

static void refused(void **state)
{
	(void)state;
	TALE(t, "socket inet stream", "connect " TO, "connect 10.1.2.4:81", "send x");
	tale_socket(&t, SOCK, AF_INET, SOCK_STREAM, NULL, TO);
	tale_connects(&t, SOCK, 3, TO, -ECONNREFUSED);
	tale_connects(&t, SOCK, 3, "10.1.2.4:81", -ETIMEDOUT);
	tale_fails(&t, SYS_sendto, SOCK, 3, -ENOTCONN);
	tale_says(&t, "socket 3\nconnect ECONNREFUSED\nconnect ETIMEDOUT\nsend ENOTCONN\n");
	tale_exit(&t, 0);
	tale_is_identical(&t);
}

/* The first address refuses, the second one answers, on the same socket. */
static void refused_then_connected(void **state)
{
	(void)state;
	TALE(t, "socket inet stream", "connect 10.1.2.4:81", "connect " TO, "recv 100");
	tale_socket(&t, SOCK, AF_INET, SOCK_STREAM, FROM, TO);
	tale_connects(&t, SOCK, 3, "10.1.2.4:81", -ECONNREFUSED);
	tale_connects(&t, SOCK, 3, TO, 0);
	tale_recvs(&t, SOCK, 3, "abc", 3);
	tale_says(&t, "socket 3\nconnect ECONNREFUSED\nconnect 0\nrecv 3 abc\n");
	tale_exit(&t, 0);
	tale_is_identical(&t);
}

/* On one socket: refused in the background, then connected in the background. */
static void refused_later_then_connected(void **state)
{
	(void)state;
	TALE(t, "socket inet stream nonblock", "connect 10.1.2.4:81", "poll out 1000", "soerror", "connect " TO, "poll out 1000", "soerror",
	     "epoll lt", "ewait 1000", "recv 100");
	tale_socket(&t, SOCK, AF_INET, SOCK_STREAM, FROM, TO);
	tale_connects(&t, SOCK, 3, "10.1.2.4:81", -EINPROGRESS);
	polls(&t, POLLOUT, POLLOUT | POLLERR | POLLHUP, 1000);
	soerror(&t, ECONNREFUSED);
	tale_connects(&t, SOCK, 3, TO, -EINPROGRESS);
	polls(&t, POLLOUT, POLLOUT, 1000);
	soerror(&t, 0);
	ewaits(&t, EPOLLIN, 1000);
	tale_recvs(&t, SOCK, 3, "abc", 3);
	tale_says(&t, "socket 3\nconnect EINPROGRESS\npoll 1\nrevents 1c\nsoerror ECONNREFUSED\nconnect EINPROGRESS\npoll 1\nrevents 4\n"
		  "soerror 0\newait 1\nevents 1 of 3\nrecv 3 abc\n");
	tale_exit(&t, 0);
	tale_is_identical(&t);
}

/* A netlink answer is waited for with epoll. */
static void netlink_epoll(void **state)
{
	(void)state;
	TALE(t, "socket netlink raw", "epoll lt", "sendto netlink dump", "ewait 5000", "recv 100", "poll in 100", "recv 100");
	tale_object(&t, OBJ_OF(.id = SOCK, .kind = OBJ_SOCKET, .family = AF_NETLINK, .type = SOCK_RAW));
	CALL(&t, SYS_sendto, 4, .obj = SOCK, .args = { 3, 0x1000, 4, 0, 0x2000, 12 }, .segs = { TEXT(1, "dump") });
	ewaits(&t, EPOLLIN, 5000);
	tale_recvs(&t, SOCK, 3, "links", 5);
	polls(&t, POLLIN, POLLIN, 100);
	tale_recvs(&t, SOCK, 3, "done", 4);
	tale_says(&t, "socket 3\nsendto 4\newait 1\nevents 1 of 3\nrecv 5 links\npoll 1\nrevents 1\nrecv 4 done\n");
	tale_exit(&t, 0);
	tale_is_identical(&t);
}

static void peeks(void **state)
{
	(void)state;
	TALE(t, "socket inet stream", "connect " TO, "recv 2 peek", "recv 100", "recv 100 peek", "recv 1", "recv 100");
	client(&t, FROM, TO);
	CALL(&t, SYS_recvfrom, 2, .obj = SOCK, .args = { 3, 0x1000, 2, MSG_PEEK }, .segs = { TEXT(1, "ab") });
	tale_recvs(&t, SOCK, 3, "abc", 3);
	CALL(&t, SYS_recvfrom, 4, .obj = SOCK, .args = { 3, 0x1000, 100, MSG_PEEK }, .segs = { TEXT(1, "defg") });
	tale_recvs(&t, SOCK, 3, "d", 1);
	tale_recvs(&t, SOCK, 3, "efg", 3);
	tale_says(&t, "socket 3\nconnect 0\nrecv 2 ab\nrecv 3 abc\nrecv 4 defg\nrecv 1 d\nrecv 3 efg\n");
	tale_exit(&t, 0);
	tale_is_identical(&t);
}

static void refused_later(void **state)
{
	(void)state;
	TALE(t, "socket inet stream nonblock", "connect " TO, "poll out 1000", "soerror", "close 3", "socket inet stream nonblock",
	     "connect " TO, "epoll lt", "ewait 1000", "soerror");
	tale_socket(&t, SOCK, AF_INET, SOCK_STREAM, FROM, TO);
	tale_connects(&t, SOCK, 3, TO, -EINPROGRESS);
	polls(&t, POLLOUT, POLLOUT | POLLERR | POLLHUP, 1000);
	soerror(&t, ECONNREFUSED);
	tale_socket(&t, SOCK + 1, AF_INET, SOCK_STREAM, FROM, TO);
	tale_connects(&t, SOCK + 1, 3, TO, -EINPROGRESS);
	struct epoll_event ev = { EPOLLIN | EPOLLERR | EPOLLHUP, { .fd = 3 } };
	uint32_t ready[] = { SOCK + 1, EPOLLIN | EPOLLERR | EPOLLHUP };
	CALL(&t, SYS_epoll_wait, 1, .args = { 4, 0x1000, 8, 1000 }, .segs = { SEG(1, &ev, sizeof(ev)), SEG(SEG_READY, ready, 8) });
	uint32_t len = 4, value = ECONNREFUSED;
	CALL(&t, SYS_getsockopt, 0, .obj = SOCK + 1, .args = { 3, SOL_SOCKET, SO_ERROR, 0x1000, 0x2000 },
	     .segs = { SEG(3, &value, 4), SEG(4, &len, 4) });
	tale_says(&t, "socket 3\nconnect EINPROGRESS\npoll 1\nrevents 1c\nsoerror ECONNREFUSED\nclose 0\nsocket 3\n"
		  "connect EINPROGRESS\newait 1\nevents 19 of 3\nsoerror ECONNREFUSED\n");
	tale_exit(&t, 0);
	tale_is_identical(&t);
}

static void reset(void **state)
{
	(void)state;
	TALE(t, "catch 13", "socket inet stream", "connect " TO, "send hello", "recv 100", "recv 100", "send x", "send x quietly", "signals");
	client(&t, FROM, TO);
	tale_sends(&t, SOCK, 3, "hello");
	tale_recvs(&t, SOCK, 3, "abc", 3);
	tale_fails(&t, SYS_recvfrom, SOCK, 3, -ECONNRESET);
	tale_fails(&t, SYS_sendto, SOCK, 3, -EPIPE);
	CALL(&t, SYS_sendto, -EPIPE, .obj = SOCK, .args = { 3, 0x1000, 1, MSG_NOSIGNAL });
	tale_says(&t, "socket 3\nconnect 0\nsend 5\nrecv 3 abc\nrecv ECONNRESET\nsend EPIPE\nsend EPIPE\nsignals 1\n");
	tale_exit(&t, 0);
	tale_is_identical(&t);
}

/* An error that SO_ERROR tells after data came: there was a connection. */
static void reset_told_by_soerror(void **state)
{
	(void)state;
	TALE(t, "socket inet stream nonblock", "connect " TO, "poll out 1000", "soerror", "epoll lt", "ewait 5000", "recv 100",
	     "recv 100", "soerror");
	tale_socket(&t, SOCK, AF_INET, SOCK_STREAM, FROM, TO);
	tale_connects(&t, SOCK, 3, TO, -EINPROGRESS);
	polls(&t, POLLOUT, POLLOUT, 1000);
	soerror(&t, 0);
	ewaits(&t, EPOLLIN, 5000);
	tale_recvs(&t, SOCK, 3, "abc", 3);
	tale_fails(&t, SYS_recvfrom, SOCK, 3, -EAGAIN);
	soerror(&t, ECONNRESET);
	tale_says(&t, "socket 3\nconnect EINPROGRESS\npoll 1\nrevents 4\nsoerror 0\newait 1\nevents 1 of 3\nrecv 3 abc\nrecv EAGAIN\nsoerror ECONNRESET\n");
	tale_exit(&t, 0);
	tale_is_identical(&t);
}

static void killed_by_sigpipe(void **state)
{
	(void)state;
	TALE(t, "socket inet stream", "connect " TO, "send x");
	client(&t, FROM, TO);
	tale_fails(&t, SYS_sendto, SOCK, 3, -EPIPE);
	tale_exit(&t, SIGPIPE);
	tale_is_identical(&t);
}

/* ---- waiting -------------------------------------------------------------------- */

static void timeouts_take_no_time(void **state)
{
	struct timespec a, b;

	(void)state;
	TALE(t, "socket inet stream", "connect " TO, "poll in 100000", "select 100", "epoll lt", "ewait 100000", "sleep 900000", "recv 9");
	client(&t, FROM, TO);
	polls(&t, POLLIN, 0, 100000);
	CALL(&t, SYS_select, 0, .args = { 4, 0x1000, 0, 0, 0x2000 });
	ewaits(&t, 0, 100000);
	CALL(&t, SYS_clock_nanosleep, 0, .args = { 0, 0, 0x1000, 0 });
	tale_recvs(&t, SOCK, 3, "abc", 3);
	tale_says(&t, "socket 3\nconnect 0\npoll 0\nselect 0\nset 0\newait 0\nsleep 0\nrecv 3 abc\n");
	tale_exit(&t, 0);
	clock_gettime(CLOCK_MONOTONIC, &a);
	tale_is_identical(&t);
	clock_gettime(CLOCK_MONOTONIC, &b);
	assert_true(b.tv_sec - a.tv_sec < 5);
}

static void select_tells(void **state)
{
	uint64_t set = 1 << 3;
	uint32_t ready[] = { SOCK, POLLIN };

	(void)state;
	TALE(t, "socket inet stream", "connect " TO, "select 100", "recv 9");
	client(&t, FROM, TO);
	CALL(&t, SYS_select, 1, .args = { 4, 0x1000, 0, 0, 0x2000 }, .segs = { SEG(1, &set, 8), SEG(SEG_READY, ready, 8) });
	tale_recvs(&t, SOCK, 3, "abc", 3);
	tale_says(&t, "socket 3\nconnect 0\nselect 1\nset 1\nrecv 3 abc\n");
	tale_exit(&t, 0);
	tale_is_identical(&t);
}

/* Two waits see the same chunk; the next one must not be there yet when it is read. */
static void epoll_level(void **state)
{
	(void)state;
	TALE(t, "socket inet stream nonblock", "connect " TO, "epoll lt", "ewait 0", "ewait 1000", "ewait 1000", "recv 100", "recv 100", "ewait 1000",
	     "recv 100", "ewait 1000", "recv 100");
	tale_socket(&t, SOCK, AF_INET, SOCK_STREAM, FROM, TO);
	tale_connects(&t, SOCK, 3, TO, -EINPROGRESS);
	ewaits(&t, 0, 0);
	ewaits(&t, EPOLLIN, 1000);
	ewaits(&t, EPOLLIN, 1000);
	tale_recvs(&t, SOCK, 3, "abc", 3);
	tale_fails(&t, SYS_recvfrom, SOCK, 3, -EAGAIN);
	ewaits(&t, EPOLLIN, 1000);
	tale_recvs(&t, SOCK, 3, "de", 2);
	ewaits(&t, EPOLLIN, 1000);
	tale_recvs(&t, SOCK, 3, "", 0);
	tale_says(&t, "socket 3\nconnect EINPROGRESS\newait 0\newait 1\nevents 1 of 3\newait 1\nevents 1 of 3\nrecv 3 abc\nrecv EAGAIN\n"
		  "ewait 1\nevents 1 of 3\nrecv 2 de\newait 1\nevents 1 of 3\nrecv 0\n");
	tale_exit(&t, 0);
	tale_is_identical(&t);
}

static void epoll_edge(void **state)
{
	(void)state;
	TALE(t, "socket inet stream nonblock", "connect " TO, "poll out 1000", "epoll et", "ewait 1000", "recv 1", "ewait 10", "recv 100", "recv 100",
	     "ewait 1000", "recv 100", "recv 100");
	tale_socket(&t, SOCK, AF_INET, SOCK_STREAM, FROM, TO);
	tale_connects(&t, SOCK, 3, TO, -EINPROGRESS);
	polls(&t, POLLOUT, POLLOUT, 1000);
	ewaits(&t, EPOLLIN, 1000);
	tale_recvs(&t, SOCK, 3, "a", 1);
	ewaits(&t, 0, 10);
	tale_recvs(&t, SOCK, 3, "bc", 2);
	tale_fails(&t, SYS_recvfrom, SOCK, 3, -EAGAIN);
	ewaits(&t, EPOLLIN, 1000);
	tale_recvs(&t, SOCK, 3, "de", 2);
	tale_fails(&t, SYS_recvfrom, SOCK, 3, -EAGAIN);
	tale_says(&t, "socket 3\nconnect EINPROGRESS\npoll 1\nrevents 4\newait 1\nevents 1 of 3\nrecv 1 a\newait 0\nrecv 2 bc\nrecv EAGAIN\n"
		  "ewait 1\nevents 1 of 3\nrecv 2 de\nrecv EAGAIN\n");
	tale_exit(&t, 0);
	tale_is_identical(&t);
}

/* ---- datagrams, unix, netlink ------------------------------------------------------ */

static void recvs_from(struct tale *t, uint32_t obj, const char *data, const char *from)
{
	struct bytes a = addr(from);
	uint32_t len = (uint32_t)a.len;

	CALL(t, SYS_recvfrom, (int64_t)strlen(data), .obj = obj, .args = { 3, 0x1000, 100, 0, 0x2000, 0x3000 },
	     .segs = { TEXT(1, data), SEG(4, a.data, a.len), SEG(5, &len, 4), SEG(SEG_REMOTE, a.data, a.len) });
}

static void udp_connected(void **state)
{
	(void)state;
	TALE(t, "socket inet dgram", "connect 10.0.0.53:53", "send query", "poll in 5000", "recvfrom 100", "send q2", "recv 100");
	tale_socket(&t, SOCK, AF_INET, SOCK_DGRAM, "10.9.8.7:4000", "10.0.0.53:53");
	tale_connects(&t, SOCK, 3, "10.0.0.53:53", 0);
	tale_sends(&t, SOCK, 3, "query");
	polls(&t, POLLIN, POLLIN, 5000);
	recvs_from(&t, SOCK, "answer", "10.0.0.53:53");
	tale_sends(&t, SOCK, 3, "q2");
	tale_recvs(&t, SOCK, 3, "a2", 2);
	tale_says(&t, "socket 3\nconnect 0\nsend 5\npoll 1\nrevents 1\nrecvfrom 6 answer\nfrom 10.0.0.53:53\nsend 2\nrecv 2 a2\n");
	tale_exit(&t, 0);
	tale_is_identical(&t);
}

/* Two servers answer one socket, the second one first; an empty datagram; an epoll that waits for them. */
static void udp_unconnected(void **state)
{
	(void)state;
	TALE(t, "socket inet dgram", "sendto 10.0.0.53:53 query", "sendto 10.0.0.54:53 query", "epoll lt", "ewait 5000", "recvfrom 100", "ewait 5000",
	     "recvmsg 100", "recvfrom 100");
	struct bytes a = addr("10.0.0.53:53"), b = addr("10.0.0.54:53");
	tale_socket(&t, SOCK, AF_INET, SOCK_DGRAM, "0.0.0.0:4000", NULL);
	CALL(&t, SYS_sendto, 5, .obj = SOCK, .args = { 3, 0x1000, 5, 0, 0x2000, 16 }, .segs = { TEXT(1, "query"), SEG(4, a.data, a.len) });
	CALL(&t, SYS_sendto, 5, .obj = SOCK, .args = { 3, 0x1000, 5, 0, 0x2000, 16 }, .segs = { TEXT(1, "query"), SEG(4, b.data, b.len) });
	ewaits(&t, EPOLLIN, 5000);
	recvs_from(&t, SOCK, "two", "10.0.0.54:53");
	ewaits(&t, EPOLLIN, 5000);
	CALL(&t, SYS_recvmsg, 3, .obj = SOCK, .args = { 3, 0x1000, 0 }, .segs = { TEXT(1, "one"), SEG(SEG_REMOTE, a.data, a.len) });
	recvs_from(&t, SOCK, "", "10.0.0.54:53");
	tale_says(&t, "socket 3\nsendto 5\nsendto 5\newait 1\nevents 1 of 3\nrecvfrom 3 two\nfrom 10.0.0.54:53\newait 1\nevents 1 of 3\n"
		  "recvmsg 3 one\nfrom 10.0.0.53:53\nrecvfrom 0\nfrom 10.0.0.54:53\n");
	tale_exit(&t, 0);
	tale_is_identical(&t);
}

/* glibc's resolver: two queries with one call; each message is an event of its own. */
static void udp_many_at_once(void **state)
{
	(void)state;
	TALE(t, "socket inet dgram nonblock", "connect 10.0.0.53:53", "poll out 0", "sendmmsg query-A query-AAAA", "poll in 5000", "recvfrom 2048", "poll in 5000",
	     "recvmmsg 2048");
	tale_socket(&t, SOCK, AF_INET, SOCK_DGRAM, "10.9.8.7:4000", "10.0.0.53:53");
	tale_connects(&t, SOCK, 3, "10.0.0.53:53", 0);
	polls(&t, POLLOUT, POLLOUT, 0);
	CALL(&t, SYS_sendmmsg, 7, .obj = SOCK, .args = { 3, 0x1000, 2 }, .segs = { TEXT(1, "query-A") });
	CALL(&t, SYS_sendmmsg, 10, .obj = SOCK, .args = { 3, 0x1000, 2 }, .segs = { { .arg = 1, .index = 1, .len = 10, .data = (void *)"query-AAAA" } });
	polls(&t, POLLIN, POLLIN, 5000);
	recvs_from(&t, SOCK, "answer-A", "10.0.0.53:53");
	polls(&t, POLLIN, POLLIN, 5000);
	CALL(&t, SYS_recvmmsg, 8, .obj = SOCK, .args = { 3, 0x1000, 2 }, .segs = { TEXT(1, "answer-B") });
	CALL(&t, SYS_recvmmsg, 8, .obj = SOCK, .args = { 3, 0x1000, 2 }, .segs = { { .arg = 1, .index = 1, .len = 8, .data = (void *)"answer-C" } });
	tale_says(&t, "socket 3\nconnect 0\npoll 1\nrevents 4\nsendmmsg 2\nlens 7 10\npoll 1\nrevents 1\nrecvfrom 8 answer-A\nfrom 10.0.0.53:53\n"
		  "poll 1\nrevents 1\nrecvmmsg 2\nmessage 8 answer-B\nmessage 8 answer-C\n");
	tale_exit(&t, 0);
	tale_is_identical(&t);
}

static void udp_refused(void **state)
{
	(void)state;
	TALE(t, "socket inet dgram", "connect 10.0.0.53:53", "send query", "poll in 5000", "recv 100");
	tale_socket(&t, SOCK, AF_INET, SOCK_DGRAM, "10.9.8.7:4000", "10.0.0.53:53");
	tale_connects(&t, SOCK, 3, "10.0.0.53:53", 0);
	tale_sends(&t, SOCK, 3, "query");
	polls(&t, POLLIN, POLLERR, 5000);
	tale_fails(&t, SYS_recvfrom, SOCK, 3, -ECONNREFUSED);
	tale_says(&t, "socket 3\nconnect 0\nsend 5\npoll 1\nrevents 8\nrecv ECONNREFUSED\n");
	tale_exit(&t, 0);
	tale_is_identical(&t);
}

static void unix_kinds(void **state)
{
	static const struct { const char *socket, *connect; int type; } kinds[] = {
		{ "socket unix stream", "/tmp/capsule.test/s", SOCK_STREAM },
		{ "socket unix seqpacket", "/tmp/capsule.test/s", SOCK_SEQPACKET },
		{ "socket unix dgram", "/tmp/capsule.test/s", SOCK_DGRAM },
		{ "socket unix stream", "@capsule", SOCK_STREAM },
		{ "socket unix seqpacket", "@capsule", SOCK_SEQPACKET },
		{ "socket unix dgram", "@capsule", SOCK_DGRAM },
		{ "socket unix stream", "/var/run/capsule.test/s", SOCK_STREAM },
		{ "socket unix stream", "/var/run/capsule-test/of/s", SOCK_STREAM },
		{ "socket unix dgram", "/dev/log", SOCK_DGRAM },
		{ "socket unix stream", "/tmp/a-path-that-is-as-long-as-such-a-path-can-be/a-path-that-is-as-long-as-such-a-path-can-be/and-its-name", SOCK_STREAM },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		char connect[200], says[300];

		snprintf(connect, sizeof(connect), "connect %s", kinds[i].connect);
		TALE(t, kinds[i].socket, kinds[i].type == SOCK_DGRAM ? "bind @client" : "use 3", connect, "send hello", "recv 100", "epoll lt", "ewait 1000", "recv 100", "send bye");
		const struct bytes client = addr("@client");
		tale_socket(&t, SOCK, AF_UNIX, kinds[i].type, kinds[i].type == SOCK_DGRAM ? "@client" : NULL, kinds[i].connect);
		if (kinds[i].type == SOCK_DGRAM)
			CALL(&t, SYS_bind, 0, .obj = SOCK, .args = { 3, 0x1000, client.len }, .segs = { SEG(1, client.data, client.len) });
		tale_connects(&t, SOCK, 3, kinds[i].connect, 0);
		tale_sends(&t, SOCK, 3, "hello");
		tale_recvs(&t, SOCK, 3, "abc", 3);
		ewaits(&t, EPOLLIN, 1000);
		tale_recvs(&t, SOCK, 3, "defg", 4);
		tale_sends(&t, SOCK, 3, "bye");
		snprintf(says, sizeof(says), "socket 3\n%sconnect 0\nsend 5\nrecv 3 abc\newait 1\nevents 1 of 3\nrecv 4 defg\nsend 3\n",
			 kinds[i].type == SOCK_DGRAM ? "bind 0\n" : "");
		tale_says(&t, says);
		tale_exit(&t, 0);
		tale_is_identical(&t);
	}
}

/* A server's socket of the host behind a symlink must be neither used nor removed. */
static void host_sockets_stay(void **state)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX, .sun_path = "/run/capsule-test.sock" };
	struct stat before, after;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	unlink(un.sun_path);
	if (bind(fd, (void *)&un, sizeof(un)) < 0) {
		close(fd);
		skip();
	}
	listen(fd, 5);
	stat(un.sun_path, &before);
	TALE(t, "socket unix stream", "connect /var/run/capsule-test.sock", "recv 100");
	tale_socket(&t, SOCK, AF_UNIX, SOCK_STREAM, NULL, "/var/run/capsule-test.sock");
	tale_connects(&t, SOCK, 3, "/var/run/capsule-test.sock", 0);
	tale_recvs(&t, SOCK, 3, "abc", 3);
	tale_says(&t, "socket 3\nconnect 0\nrecv 3 abc\n");
	tale_exit(&t, 0);
	struct outcome o;
	tale_replay_with(&t, &o, NULL);
	int there = stat(un.sun_path, &after);
	unlink(un.sun_path);
	close(fd);
	assert_int_equal(there, 0);
	assert_int_equal(before.st_ino, after.st_ino);
	if (o.status)
		fail_msg("%s", o.err);
}

static void netlink(void **state)
{
	static const uint8_t nl[12] = { AF_NETLINK, 0, 0, 0, 0x92, 0x10, 0, 0 };
	uint32_t len = 12;

	(void)state;
	TALE(t, "socket netlink raw", "bind netlink", "names", "sendto netlink dump", "recvmsg 100", "recvmsg 100");
	tale_object(&t, OBJ_OF(.id = SOCK, .kind = OBJ_SOCKET, .family = AF_NETLINK, .type = SOCK_RAW));
	CALL(&t, SYS_bind, 0, .obj = SOCK, .args = { 3, 0x1000, 12 }, .segs = { SEG(1, nl, 12) });
	CALL(&t, SYS_getsockname, 0, .obj = SOCK, .args = { 3, 0x1000, 0x2000 }, .segs = { SEG(1, nl, 12), SEG(2, &len, 4) });
	CALL(&t, SYS_getpeername, 0, .obj = SOCK, .args = { 3, 0x1000, 0x2000 }, .segs = { SEG(1, nl, 12), SEG(2, &len, 4) });
	CALL(&t, SYS_sendto, 4, .obj = SOCK, .args = { 3, 0x1000, 4, 0, 0x2000, 12 }, .segs = { TEXT(1, "dump") });
	CALL(&t, SYS_recvmsg, 5, .obj = SOCK, .args = { 3, 0x1000, 0 }, .segs = { TEXT(1, "links"), SEG(SEG_REMOTE, nl, 12) });
	CALL(&t, SYS_recvmsg, 4, .obj = SOCK, .args = { 3, 0x1000, 0 }, .segs = { TEXT(1, "done"), SEG(SEG_REMOTE, nl, 12) });
	tale_says(&t, "socket 3\nbind 0\nlocal family 16 len 12\nremote family 16 len 12\nsendto 4\nrecvmsg 5 links\nfrom family 16 len 12\n"
		  "recvmsg 4 done\nfrom family 16 len 12\n");
	tale_exit(&t, 0);
	tale_is_identical(&t);
}

/* ---- a server ----------------------------------------------------------------------- */

static void server(void **state)
{
	(void)state;
	TALE(t, "socket inet stream", "bind 127.0.0.1:8080", "listen", "accept", "names", "recv 100", "send hi", "recv 100", "use 3", "accept", "recv 100");
	struct bytes local = addr("127.0.0.1:8080"), from = addr("10.5.5.5:33333"), from2 = addr("10.5.5.6:33334");
	uint32_t len = 16;
	tale_socket(&t, SOCK, AF_INET, SOCK_STREAM, "127.0.0.1:8080", NULL);
	CALL(&t, SYS_bind, 0, .obj = SOCK, .args = { 3, 0x1000, 16 }, .segs = { SEG(1, local.data, 16), SEG(SEG_LOCAL, local.data, 16) });
	CALL(&t, SYS_listen, 0, .obj = SOCK, .args = { 3, 5 });
	tale_socket(&t, SOCK + 1, AF_INET, SOCK_STREAM, "127.0.0.1:8080", "10.5.5.5:33333");
	CALL(&t, SYS_accept, 4, .obj = SOCK, .obj2 = SOCK + 1, .args = { 3, 0x1000, 0x2000 },
	     .segs = { SEG(1, from.data, 16), SEG(2, &len, 4), SEG(SEG_REMOTE, from.data, 16) });
	name(&t, SYS_getsockname, SOCK + 1, "127.0.0.1:8080");
	name(&t, SYS_getpeername, SOCK + 1, "10.5.5.5:33333");
	tale_recvs(&t, SOCK + 1, 4, "GET", 3);
	tale_sends(&t, SOCK + 1, 4, "hi");
	tale_recvs(&t, SOCK + 1, 4, "", 0);
	tale_socket(&t, SOCK + 2, AF_INET, SOCK_STREAM, "127.0.0.1:8080", "10.5.5.6:33334");
	CALL(&t, SYS_accept, 5, .obj = SOCK, .obj2 = SOCK + 2, .args = { 3, 0x1000, 0x2000 },
	     .segs = { SEG(1, from2.data, 16), SEG(2, &len, 4), SEG(SEG_REMOTE, from2.data, 16) });
	tale_recvs(&t, SOCK + 2, 5, "PUT", 3);
	tale_says(&t, "socket 3\nbind 0\nlisten 0\naccept 4\nclient 10.5.5.5:33333\nlocal 127.0.0.1:8080\nremote 10.5.5.5:33333\nrecv 3 GET\n"
		  "send 2\nrecv 0\naccept 5\nclient 10.5.5.6:33334\nrecv 3 PUT\n");
	tale_exit(&t, 0);
	tale_is_identical(&t);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(tcp_in_chunks),
		cmocka_unit_test(names_from_the_kernel),
		cmocka_unit_test(tcp_over_ipv6),
		cmocka_unit_test(tcp_in_progress),
		cmocka_unit_test(two_connections_to_one_server),
		cmocka_unit_test(chunk_larger_than_buffers),
		cmocka_unit_test(refused),
		cmocka_unit_test(refused_then_connected),
		cmocka_unit_test(refused_later),
		cmocka_unit_test(refused_later_then_connected),
		cmocka_unit_test(netlink_epoll),
		cmocka_unit_test(peeks),
		cmocka_unit_test(reset),
		cmocka_unit_test(reset_told_by_soerror),
		cmocka_unit_test(killed_by_sigpipe),
		cmocka_unit_test(timeouts_take_no_time),
		cmocka_unit_test(select_tells),
		cmocka_unit_test(epoll_level),
		cmocka_unit_test(epoll_edge),
		cmocka_unit_test(udp_connected),
		cmocka_unit_test(udp_unconnected),
		cmocka_unit_test(udp_many_at_once),
		cmocka_unit_test(udp_refused),
		cmocka_unit_test(unix_kinds),
		cmocka_unit_test(host_sockets_stay),
		cmocka_unit_test(netlink),
		cmocka_unit_test(server),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
