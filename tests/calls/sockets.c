/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets, with the peer at the other end. */
#include "tests/calls/calls.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/un.h>

static char buf[4096], two[4096];

static struct sockaddr_in loopback(uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return a;
}

static void say_address(const char *what, const struct sockaddr_in *a, socklen_t len)
{
	must(len == sizeof(*a) && a->sin_family == AF_INET);
	say("%s %s:%d", what, inet_ntoa(a->sin_addr), ntohs(a->sin_port));
}

/* A listener, to whose port the peer is on its way. */
static int visited(int flags)
{
	struct sockaddr_in a = loopback(0);
	int fd = socket(AF_INET, SOCK_STREAM | flags, 0);
	socklen_t len = sizeof(a);

	must(fd >= 0 && bind(fd, (struct sockaddr *)&a, len) == 0 && listen(fd, 5) == 0);
	must(getsockname(fd, (struct sockaddr *)&a, &len) == 0);
	ask(peer_stream(), "come %d\n", ntohs(a.sin_port));
	return fd;
}

CALL(socket)
{
	static const int kinds[][2] = {
		{ AF_INET, SOCK_STREAM }, { AF_INET6, SOCK_DGRAM }, { AF_UNIX, SOCK_SEQPACKET }, { AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC },
	};

	for (size_t i = 0; i < 4; i++) {
		int fd = ok(DO(socket, kinds[i][0], kinds[i][1], 0)), type;
		socklen_t len = sizeof(type);

		must(getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == (kinds[i][1] & 15));
		say("%d: type %d, flags %d", fd, type, fcntl(fd, F_GETFD));
		close(fd);
	}
	fails(EAFNOSUPPORT, DO(socket, 77, SOCK_STREAM, 0));
	fails(EPROTONOSUPPORT, DO(socket, AF_INET, SOCK_STREAM, IPPROTO_UDP));
	fails(EINVAL, DO(socket, AF_INET, 99, 0));
}

CALL(socketpair)
{
	int sv[2];

	ok(DO(socketpair, AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv));
	must(write(sv[0], "across", 6) == 6);
	show("it", buf, read(sv[1], buf, 100));
	fails(EAGAIN, DO(read, sv[1], buf, 100));
	fails(EOPNOTSUPP, DO(socketpair, AF_INET, SOCK_STREAM, 0, sv));
	fails(EFAULT, DO(socketpair, AF_UNIX, SOCK_STREAM, 0, 8));
}

CALL(connect)
{
	struct sockaddr_in a = loopback(peer_port()), nobody = loopback(1);
	struct sockaddr_un u = { .sun_family = AF_UNIX, .sun_path = "peer.stream" }, gone = { .sun_family = AF_UNIX, .sun_path = "nobody" };
	int fd = socket(AF_INET, SOCK_STREAM, 0), s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct pollfd p = { .fd = s, .events = POLLOUT };
	long r;

	must(DO(connect, fd, &a, sizeof(a)) == 0);
	ask(fd, "give 5\n");
	wait_for(fd);
	show("tcp", buf, read(fd, buf, 100));
	fails(EISCONN, DO(connect, fd, &a, sizeof(a)));
	r = may(EINPROGRESS, DO(connect, s, &a, sizeof(a)));
	must(poll(&p, 1, 5000) == 1 && p.revents == POLLOUT);
	if (r < 0)
		must(DO(connect, s, &a, sizeof(a)) == 0);
	fails(ECONNREFUSED, DO(connect, socket(AF_INET, SOCK_STREAM, 0), &nobody, sizeof(nobody)));
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	fails(ENOENT, DO(connect, fd, &gone, sizeof(gone)));
	must(DO(connect, fd, &u, sizeof(u)) == 0);
	ask(fd, "give 6\n");
	wait_for(fd);
	show("unix", buf, read(fd, buf, 100));
	must(DO(connect, socket(AF_INET, SOCK_DGRAM, 0), &a, sizeof(a)) == 0);
	fails(EBADF, DO(connect, -1, &a, sizeof(a)));
	fails(ENOTSOCK, DO(connect, 0, &a, sizeof(a)));
	fails(EINVAL, DO(connect, socket(AF_INET, SOCK_STREAM, 0), &a, 3));
	fails(EFAULT, DO(connect, socket(AF_INET, SOCK_STREAM, 0), 8, sizeof(a)));
}

CALL(accept)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	int l = visited(0), fd = ok(DO(accept, l, &a, &len));

	say_address("from", &a, len);
	wait_for(fd);
	show("it says", buf, read(fd, buf, 100));
	fcntl(l, F_SETFL, O_NONBLOCK);
	fails(EAGAIN, DO(accept, l, NULL, NULL));
	fails(EINVAL, DO(accept, socket(AF_INET, SOCK_STREAM, 0), NULL, NULL));
	fails(ENOTSOCK, DO(accept, 0, NULL, NULL));
}

CALL(accept4)
{
	struct sockaddr_in a;
	socklen_t len = 4;
	int l = visited(SOCK_CLOEXEC), fd = ok(DO(accept4, l, &a, &len, SOCK_NONBLOCK | SOCK_CLOEXEC));

	must(len == sizeof(a));		/* there was room for four of them */
	must(fcntl(fd, F_GETFL) & O_NONBLOCK && fcntl(fd, F_GETFD) == FD_CLOEXEC);
	wait_for(fd);
	show("it says", buf, read(fd, buf, 100));
	fails(EINVAL, DO(accept4, l, NULL, NULL, 1));
	fails(EBADF, DO(accept4, -1, NULL, NULL, 0));
}

CALL(bind)
{
	struct sockaddr_in a = loopback(0);
	struct sockaddr_un u = { .sun_family = AF_UNIX, .sun_path = "bound" };
	int fd = socket(AF_INET, SOCK_STREAM, 0), un = socket(AF_UNIX, SOCK_STREAM, 0);
	socklen_t len = sizeof(a);

	must(DO(bind, fd, &a, sizeof(a)) == 0);
	must(getsockname(fd, (struct sockaddr *)&a, &len) == 0);
	say_address("at", &a, len);
	fails(EINVAL, DO(bind, fd, &a, sizeof(a)));
	fails(EADDRINUSE, DO(bind, socket(AF_INET, SOCK_STREAM, 0), &a, sizeof(a)));
	a = loopback(peer_port());
	fails(EADDRINUSE, DO(bind, socket(AF_INET, SOCK_STREAM, 0), &a, sizeof(a)));	/* the peer has it */
	a.sin_addr.s_addr = inet_addr("192.0.2.77");
	fails(EADDRNOTAVAIL, DO(bind, socket(AF_INET, SOCK_STREAM, 0), &a, sizeof(a)));
	must(DO(bind, un, &u, sizeof(u)) == 0);
	fails(EADDRINUSE, DO(bind, socket(AF_UNIX, SOCK_STREAM, 0), &u, sizeof(u)));
	fails(EBADF, DO(bind, -1, &u, sizeof(u)));
}

CALL(listen)
{
	struct sockaddr_in a = loopback(0);
	int fd = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t len = sizeof(a);

	must(bind(fd, (struct sockaddr *)&a, len) == 0 && DO(listen, fd, 1) == 0);
	must(getsockname(fd, (struct sockaddr *)&a, &len) == 0 && connect(c, (struct sockaddr *)&a, len) == 0);
	must(accept(fd, NULL, NULL) >= 0);
	fails(EOPNOTSUPP, DO(listen, socket(AF_INET, SOCK_DGRAM, 0), 5));
	fails(ENOTSOCK, DO(listen, 0, 5));
}

CALL(getsockname)
{
	struct sockaddr_in a;
	struct sockaddr_un u;
	socklen_t len = sizeof(a);
	int fd = peer_stream();

	ok(DO(getsockname, fd, &a, &len));
	say_address("tcp", &a, len);
	len = sizeof(a);
	ok(DO(getsockname, peer_datagram(), &a, &len));
	say_address("udp", &a, len);
	len = sizeof(u);
	ok(DO(getsockname, peer_unix(SOCK_DGRAM), &u, &len));
	must(len == 8);
	show("unix", u.sun_path, len - 2);
	fails(EINVAL, (len = -1, DO(getsockname, fd, &a, &len)));
	fails(ENOTSOCK, DO(getsockname, 0, &a, &len));
}

CALL(getpeername)
{
	struct sockaddr_in a;
	struct sockaddr_un u;
	socklen_t len = sizeof(a);

	ok(DO(getpeername, peer_stream(), &a, &len));
	say_address("tcp", &a, len);
	len = sizeof(u);
	ok(DO(getpeername, peer_unix(SOCK_STREAM), &u, &len));
	show("unix", u.sun_path, len - 2);
	fails(ENOTCONN, DO(getpeername, socket(AF_INET, SOCK_STREAM, 0), &a, &len));
	fails(EBADF, DO(getpeername, -1, &a, &len));
}

CALL(sendto)
{
	struct sockaddr_in a = loopback(peer_port());
	int fd = socket(AF_INET, SOCK_DGRAM, 0), s = peer_stream();

	must(DO(sendto, fd, "give 12", 7, 0, &a, sizeof(a)) == 7);
	wait_for(fd);
	show("udp", buf, recv(fd, buf, 100, 0));
	must(DO(sendto, s, "give ", 5, MSG_MORE, NULL, 0) == 5 && DO(sendto, s, "13\n", 3, MSG_NOSIGNAL, NULL, 0) == 3);
	wait_for(s);
	show("tcp", buf, recv(s, buf, 100, 0));
	fails(EDESTADDRREQ, DO(sendto, socket(AF_INET, SOCK_DGRAM, 0), "x", 1, 0, NULL, 0));
	fails(EMSGSIZE, DO(sendto, fd, memset(malloc(70000), 0, 70000), 70000, 0, &a, sizeof(a)));
	fails(EPIPE, DO(sendto, socket(AF_INET, SOCK_STREAM, 0), "x", 1, MSG_NOSIGNAL, NULL, 0));
	fails(ENOTSOCK, DO(sendto, 0, "x", 1, 0, NULL, 0));
}

CALL(recvfrom)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	int fd = peer_datagram(), s = peer_stream();

	ask(fd, "give 30 2");
	wait_for(fd);
	must(DO(recvfrom, fd, buf, 10, MSG_PEEK | MSG_TRUNC, NULL, NULL) == 30);
	show("a look ahead", buf, 10);
	show("udp", buf, ok(DO(recvfrom, fd, buf, sizeof(buf), 0, &a, &len)));
	must(ntohs(a.sin_port) == peer_port() && len == sizeof(a));
	wait_for(fd);
	must(DO(recvfrom, fd, buf, 7, MSG_TRUNC, NULL, NULL) == 30);
	show("cut", buf, 7);
	fails(EAGAIN, DO(recvfrom, fd, buf, 10, MSG_DONTWAIT, NULL, NULL));
	ask(s, "give 20\n");
	must(DO(recvfrom, s, buf, 20, MSG_WAITALL, NULL, NULL) == 20);
	show("tcp", buf, 20);
	fails(ENOTCONN, DO(recvfrom, socket(AF_INET, SOCK_STREAM, 0), buf, 1, 0, NULL, NULL));
	fails(EBADF, DO(recvfrom, -1, buf, 1, 0, NULL, NULL));
}

CALL(sendmsg)
{
	struct sockaddr_in a = loopback(peer_port());
	struct iovec iov[2] = { { "give", 4 }, { " 14\n", 4 } };
	struct msghdr m = { .msg_name = &a, .msg_namelen = sizeof(a), .msg_iov = iov, .msg_iovlen = 2 };
	int fd = socket(AF_INET, SOCK_DGRAM, 0), s = peer_stream();

	must(DO(sendmsg, fd, &m, 0) == 8);
	wait_for(fd);
	show("udp", buf, recv(fd, buf, 100, 0));
	m.msg_name = NULL;
	must(DO(sendmsg, s, &m, MSG_NOSIGNAL) == 8);
	wait_for(s);
	show("tcp", buf, recv(s, buf, 100, 0));
	fails(EDESTADDRREQ, DO(sendmsg, socket(AF_INET, SOCK_DGRAM, 0), &m, 0));
	fails(EFAULT, DO(sendmsg, s, 8, 0));
	m.msg_iovlen = 2000;
	fails(EMSGSIZE, DO(sendmsg, s, &m, 0));
}

CALL(recvmsg)
{
	struct sockaddr_in a;
	struct iovec iov[2] = { { buf, 5 }, { two, 100 } };
	struct msghdr m = { .msg_name = &a, .msg_namelen = sizeof(a), .msg_iov = iov, .msg_iovlen = 2 };
	int fd = peer_datagram(), s = peer_unix(SOCK_SEQPACKET);

	ask(fd, "give 25");
	wait_for(fd);
	must(DO(recvmsg, fd, &m, 0) == 25);
	show("first", buf, 5);
	show("second", two, 20);
	must(m.msg_namelen == sizeof(a) && ntohs(a.sin_port) == peer_port() && m.msg_flags == 0);
	ask(s, "give 40");
	wait_for(s);
	m.msg_iovlen = 1;
	m.msg_name = NULL;
	must(DO(recvmsg, s, &m, 0) == 5);
	show("seqpacket, cut", buf, 5);
	fails(EAGAIN, DO(recvmsg, fd, &m, MSG_DONTWAIT));
	fails(EFAULT, DO(recvmsg, fd, 8, 0));
	fails(EBADF, DO(recvmsg, -1, &m, 0));
}

CALL(sendmmsg)
{
	struct iovec iov[2] = { { "give 15", 7 }, { "give 16", 7 } };
	struct mmsghdr m[2] = { { .msg_hdr = { .msg_iov = &iov[0], .msg_iovlen = 1 } }, { .msg_hdr = { .msg_iov = &iov[1], .msg_iovlen = 1 } } };
	int fd = peer_datagram();

	must(DO(sendmmsg, fd, m, 2, 0) == 2);
	must(m[0].msg_len == 7 && m[1].msg_len == 7);
	for (int i = 0; i < 2; i++) {
		wait_for(fd);
		show("answer", buf, recv(fd, buf, 100, 0));
	}
	fails(ENOTSOCK, DO(sendmmsg, 0, m, 2, 0));
	fails(EDESTADDRREQ, DO(sendmmsg, socket(AF_INET, SOCK_DGRAM, 0), m, 2, 0));
}

CALL(recvmmsg)
{
	struct iovec iov[3] = { { buf, 50 }, { two, 8 }, { two + 100, 50 } };
	struct mmsghdr m[3] = { { .msg_hdr = { .msg_iov = &iov[0], .msg_iovlen = 1 } }, { .msg_hdr = { .msg_iov = &iov[1], .msg_iovlen = 1 } },
				{ .msg_hdr = { .msg_iov = &iov[2], .msg_iovlen = 1 } } };
	struct timespec limit = { 5, 0 };
	int fd = peer_datagram();

	ask(fd, "give 17 2");
	must(DO(recvmmsg, fd, m, 2, 0, &limit) == 2);
	show("first", buf, m[0].msg_len);
	show("second, cut", two, m[1].msg_len);
	must(m[1].msg_len == 8);
	fails(EAGAIN, DO(recvmmsg, fd, m, 3, MSG_DONTWAIT, NULL));
	limit.tv_nsec = -1;
	fails(EINVAL, DO(recvmmsg, fd, m, 3, 0, &limit));
	fails(EBADF, DO(recvmmsg, -1, m, 3, 0, NULL));
}

CALL(shutdown)
{
	int fd = peer_stream();

	ask(fd, "give 9\n");
	ok(DO(shutdown, fd, SHUT_WR));
	must(recv(fd, buf, 9, MSG_WAITALL) == 9);
	show("answer", buf, 9);
	must(read(fd, buf, 10) == 0);	/* it has seen our end */
	fails(EINVAL, DO(shutdown, fd, 7));
	fails(ENOTCONN, DO(shutdown, socket(AF_INET, SOCK_STREAM, 0), SHUT_RD));
	fails(ENOTSOCK, DO(shutdown, 0, SHUT_RD));
}

CALL(setsockopt)
{
	int fd = peer_stream(), one = 1, size = 9000;
	struct timeval t = { 0, 50000 };

	ok(DO(setsockopt, fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one)));
	ok(DO(setsockopt, fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)));
	ok(DO(setsockopt, fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)));
	ok(DO(setsockopt, fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)));
	fails(EAGAIN, DO(read, fd, buf, 10));
	fails(EINVAL, DO(setsockopt, fd, SOL_SOCKET, SO_KEEPALIVE, &one, 1));
	fails(ENOPROTOOPT, DO(setsockopt, fd, SOL_SOCKET, 9999, &one, sizeof(one)));
	fails(EFAULT, DO(setsockopt, fd, SOL_SOCKET, SO_KEEPALIVE, 8, sizeof(one)));
}

CALL(getsockopt)
{
	int fd = peer_stream(), value = -1, un = peer_unix(SOCK_STREAM);
	socklen_t len = sizeof(value);
	struct ucred peer;

	ok(DO(getsockopt, fd, SOL_SOCKET, SO_RCVBUF, &value, &len));
	say("SO_RCVBUF %d", value);
	ok(DO(getsockopt, fd, SOL_SOCKET, SO_ERROR, &value, &len));
	must(value == 0 && len == sizeof(value));
	ok(DO(getsockopt, fd, SOL_SOCKET, SO_INCOMING_CPU, &value, &len));
	say("SO_INCOMING_CPU %d", value);
	ok(DO(getsockopt, fd, IPPROTO_TCP, TCP_MAXSEG, &value, &len));
	say("TCP_MAXSEG %d", value);
	len = sizeof(peer);
	ok(DO(getsockopt, un, SOL_SOCKET, SO_PEERCRED, &peer, &len));
	say("SO_PEERCRED pid %d, uid %u, gid %u", peer.pid, peer.uid, peer.gid);
	len = 2;
	ok(DO(getsockopt, fd, SOL_SOCKET, SO_TYPE, &value, &len));
	must(len == 2);
	fails(ENOPROTOOPT, DO(getsockopt, fd, SOL_SOCKET, 9999, &value, &len));
	fails(EBADF, DO(getsockopt, -1, SOL_SOCKET, SO_TYPE, &value, &len));
}
