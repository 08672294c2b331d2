/* SPDX-License-Identifier: Apache-2.0 */
/* flood: a server on a free port of loopback, which it prints, that writes to whoever connects until they go. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void)
{
	struct sockaddr_in me = { .sin_family = AF_INET };
	socklen_t len = sizeof(me);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	static char buf[65536];

	signal(SIGPIPE, SIG_IGN);
	me.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(fd, (struct sockaddr *)&me, len) < 0 || listen(fd, 5) < 0 || getsockname(fd, (struct sockaddr *)&me, &len) < 0) {
		perror("flood");
		return 1;
	}
	printf("%d\n", ntohs(me.sin_port));
	fflush(stdout);
	for (;;) {
		int c = accept(fd, NULL, NULL);

		while (c >= 0 && write(c, buf, sizeof(buf)) > 0)
			;
		close(c);
	}
}
