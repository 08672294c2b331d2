/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server with a thread for each connection, which share a table under a lock
 * and tell each other of changes by a condition variable.
 *
 *	lockserver PORT CONNECTIONS
 *
 * A line "put K" stores, "take K" waits for the next "put K" of somebody else.
 * Answers hold the time of day, random bytes and the number of changes so far.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { KEYS = 64 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static unsigned int table[KEYS], changes;

static int answer(int fd, const char *what, unsigned int key, unsigned int value, unsigned int n)
{
	unsigned char random[8];
	struct timespec now;
	char line[128];
	int len;

	clock_gettime(CLOCK_REALTIME, &now);
	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return -1;
	len = snprintf(line, sizeof(line), "%s %u %u %u %ld.%09ld %02x%02x%02x%02x\n", what, key, value, n, (long)now.tv_sec,
		       now.tv_nsec, random[0], random[1], random[2], random[3]);
	return write(fd, line, (size_t)len) == len ? 0 : -1;
}

static int put(int fd, unsigned int key)
{
	unsigned int value, n;

	pthread_mutex_lock(&lock);
	value = ++table[key];
	n = ++changes;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	return answer(fd, "put", key, value, n);
}

static int take(int fd, unsigned int key)
{
	unsigned int value;

	pthread_mutex_lock(&lock);
	while (!table[key])
		pthread_cond_wait(&changed, &lock);
	value = table[key]--;
	pthread_mutex_unlock(&lock);
	return answer(fd, "took", key, value, 0);
}

static void *serve(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char line[64];

	FILE *in = fdopen(fd, "r");
	while (in && fgets(line, sizeof(line), in)) {
		unsigned int key = (unsigned int)atoi(strchr(line, ' ') ?: "0") % KEYS;

		if ((line[0] == 'p' ? put(fd, key) : take(fd, key)) < 0)
			break;
	}
	if (in)
		fclose(in);
	return NULL;
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int n = argc == 3 ? atoi(argv[2]) : 0, s = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	pthread_t threads[64];

	if (n < 1 || n > 64)
		return 2;
	to.sin_port = htons((uint16_t)atoi(argv[1]));
	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(s, (struct sockaddr *)&to, sizeof(to)) < 0 || listen(s, 64) < 0)
		return 1;
	for (int i = 0; i < n; i++)
		pthread_create(&threads[i], NULL, serve, (void *)(intptr_t)accept(s, NULL, NULL));
	for (int i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	printf("%u changes\nEXIT-SUCCESS\n", changes);
	return 0;
}
