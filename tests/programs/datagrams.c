/* SPDX-License-Identifier: Apache-2.0 */
/*
 * datagrams PORT DIR: talks to peer.py's three datagram peers (UDP over IPv4 on PORT, unix datagram DIR/dgram, unix
 * seqpacket DIR/seq) by every call there is for it, and prints what it got from whom.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void show(const char *what, ssize_t n, const char *buf)
{
	printf("%s: %zd %.*s\n", what, n, n > 0 ? (int)n : 0, buf);
}

static void wait_for_it(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	if (poll(&p, 1, 5000) != 1)
		die("poll");
}

static void udp(int port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) }, from;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	socklen_t len = sizeof(from);
	char buf[2000], two[2][2000];
	ssize_t n;

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (sendto(fd, "one", 3, 0, (struct sockaddr *)&to, sizeof(to)) != 3)
		die("sendto");
	wait_for_it(fd);
	n = recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len);
	show("udp recvfrom", n, buf);
	printf("from %s:%d, %u\n", inet_ntoa(from.sin_addr), ntohs(from.sin_port) == port, len);
	n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
	printf("nothing more: %zd %s\n", n, strerror(errno));

	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		die("connect");
	len = sizeof(from);
	getsockname(fd, (struct sockaddr *)&from, &len);
	printf("bound to %s:%d\n", inet_ntoa(from.sin_addr), ntohs(from.sin_port));
	/* Answered by two datagrams, taken together. */
	if (write(fd, "twice", 5) != 5)
		die("write");
	struct iovec iov[2] = { { two[0], 2000 }, { two[1], 2000 } };
	struct mmsghdr m[2] = { { .msg_hdr = { .msg_iov = &iov[0], .msg_iovlen = 1 } },
				{ .msg_hdr = { .msg_iov = &iov[1], .msg_iovlen = 1 } } };
	if (recvmmsg(fd, m, 2, 0, NULL) != 2)
		die("recvmmsg");
	show("udp recvmmsg", m[0].msg_len, two[0]);
	show("udp recvmmsg", m[1].msg_len, two[1]);
	/* More than there is room for. */
	if (send(fd, "long", 4, 0) != 4)
		die("send");
	wait_for_it(fd);
	n = recv(fd, buf, 10, MSG_TRUNC);
	printf("a datagram of %zd: %.10s\n", n, buf);
	close(fd);
}

static void local(const char *what, int type, const char *dir, const char *name)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX }, me = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type, 0);
	char buf[3000], front[6], rest[3000];
	struct iovec iov[2] = { { front, sizeof(front) }, { rest, sizeof(rest) } };
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = 2 };
	ssize_t n;

	snprintf(to.sun_path, sizeof(to.sun_path), "%s/%s", dir, name);
	/* Autobind: an abstract name that the kernel picks, for the answer to find us. */
	if (type == SOCK_DGRAM && bind(fd, (struct sockaddr *)&me, sizeof(sa_family_t)) < 0)
		die("bind");
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		die(to.sun_path);
	for (int i = 0; i < 3; i++) {
		snprintf(buf, sizeof(buf), "%s %d", what, i);
		if (send(fd, buf, strlen(buf), 0) < 0)
			die("send");
		n = recvmsg(fd, &m, 0);
		if (n < 6)
			die("recvmsg");
		printf("%s recvmsg: %zd %.6s|%.*s\n", what, n, front, (int)(n - 6), rest);
	}
	close(fd);
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	udp(atoi(argv[1]));
	local("dgram", SOCK_DGRAM, argv[2], "dgram");
	local("seqpacket", SOCK_SEQPACKET, argv[2], "seq");
	puts("EXIT-SUCCESS");
	return 0;
}
