/* SPDX-License-Identifier: Apache-2.0 */
/* stuck PORT WHERE: asks 127.0.0.1:PORT, prints the answer, and then waits for ever in the way that WHERE says; "none": it doesn't. */
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void *locks(void *unused)
{
	pthread_mutex_lock(&mutex);
	return unused;
}

static void two_threads(void)
{
	pthread_t thread;

	pthread_mutex_lock(&mutex);
	pthread_create(&thread, NULL, locks, NULL);
	pthread_join(thread, NULL);
}

static void a_pipe(void)
{
	struct pollfd p = { .events = POLLIN };
	int ends[2];

	if (pipe(ends) == 0) {
		p.fd = ends[0];
		poll(&p, 1, -1);
	}
}

static void a_child(void)
{
	if (fork() == 0)
		pause();
	wait(NULL);
}

static void a_client(void)
{
	int s = socket(AF_INET, SOCK_STREAM, 0);

	listen(s, 1);
	accept(s, NULL, NULL);
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const char *where = argc > 2 ? argv[2] : "none";
	volatile unsigned int turns = 0;
	struct timespec ts;
	char buf[64];
	ssize_t n;
	int s;

	to.sin_port = htons((unsigned short)(argc > 1 ? atoi(argv[1]) : 0));
	s = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(s, (struct sockaddr *)&to, sizeof(to)) < 0 || write(s, "hello?\r\n\r\n", 10) != 10)
		return 1;
	n = read(s, buf, 8);
	printf("%.*s\n", n > 0 ? (int)n : 0, buf);
	fflush(stdout);
	if (strcmp(where, "peer") == 0)
		while (read(s, buf, sizeof(buf)) > 0)
			;
	else if (strcmp(where, "lock") == 0)
		two_threads();
	else if (strcmp(where, "pipe") == 0)
		a_pipe();
	else if (strcmp(where, "child") == 0)
		a_child();
	else if (strcmp(where, "client") == 0)
		a_client();
	else if (strcmp(where, "spin") == 0)
		for (;;)
			turns++;
	else if (strcmp(where, "clock") == 0)
		for (;;)
			clock_gettime(CLOCK_REALTIME, &ts);
	return 0;
}
