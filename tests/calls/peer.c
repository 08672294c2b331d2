/* SPDX-License-Identifier: Apache-2.0 */
/* The way to tests/peer.py: $PEER is its port, unix sockets are peer.TYPE in this directory. */
#include "tests/calls/calls.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdarg.h>
#include <sys/un.h>

uint16_t peer_port(void)
{
	const char *port = getenv("PEER");

	must(port);
	return (uint16_t)atoi(port);
}

static int internet(int type)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(peer_port()) };
	int fd = socket(AF_INET, type, 0);

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	must(fd >= 0);
	must(connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0);
	return fd;
}

int peer_stream(void)
{
	return internet(SOCK_STREAM);
}

int peer_datagram(void)
{
	return internet(SOCK_DGRAM);
}

int peer_unix(int type)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX }, me = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type, 0);

	snprintf(to.sun_path, sizeof(to.sun_path), "peer.%s", type == SOCK_DGRAM ? "dgram" : type == SOCK_STREAM ? "stream" : "seq");
	must(fd >= 0);
	if (type == SOCK_DGRAM)
		must(bind(fd, (struct sockaddr *)&me, sizeof(sa_family_t)) == 0);	/* a name to be answered at */
	must(connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0);
	return fd;
}

void ask(int fd, const char *fmt, ...)
{
	char line[200];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	must(write(fd, line, (size_t)n) == n);
}

void wait_for(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	must(poll(&p, 1, 5000) == 1);
}
