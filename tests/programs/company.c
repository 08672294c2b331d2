// SPDX-License-Identifier: Apache-2.0
/*
 * company HOW N: looks at the clock N times before it prints the time, and over
 * and over until another process, with which it shares memory, has written there.
 * HOW: fork (anonymous memory), file, segment (shmat); alone: there is nobody.
 */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void look(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	time(NULL);
}

static void *memory(const char *how, int id)
{
	void *p;
	int fd;

	if (!strcmp(how, "segment"))
		return shmat(id, NULL, 0);
	if (strcmp(how, "file"))
		return mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	fd = open("company.memory", O_RDWR | O_CREAT, 0600);
	if (fd < 0 || ftruncate(fd, 4096) < 0)
		return MAP_FAILED;
	p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return p;
}

/* The other one: attaches by itself where it could not inherit, then takes its time. */
static void other(atomic_int *done, const char *how, int id)
{
	if (strcmp(how, "fork"))
		done = memory(how, id);
	for (volatile int i = 0; i < 3000000; i++)
		;
	atomic_store(done, 1);
	_exit(0);
}

static void line(const char *what)
{
	struct timeval tv;
	char buf[64];
	ssize_t n = read(0, buf, 2);	/* from here on, time has its place again */

	gettimeofday(&tv, NULL);
	printf("%s %zd %lld.%06ld\n", what, n, (long long)tv.tv_sec, (long)tv.tv_usec);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "alone";
	int id = shmget(IPC_PRIVATE, 4096, 0600 | IPC_CREAT);
	atomic_int *done = !strcmp(how, "fork") || !strcmp(how, "alone") ? memory(how, id) : NULL;
	pid_t child = -1;

	line("begin");
	if (strcmp(how, "alone"))
		child = fork();
	if (child == 0)
		other(done, how, id);
	if (!done)
		done = memory(how, id);
	for (int i = 0; argc > 2 && i < atoi(argv[2]); i++)
		look();
	while (child > 0 && !atomic_load(done))
		look();
	line("end");
	if (child > 0)
		waitpid(child, NULL, 0);
	shmctl(id, IPC_RMID, NULL);
	unlink("company.memory");
	return 0;
}
