/* SPDX-License-Identifier: Apache-2.0 */
/*
 * calls WHAT N [PORT]: makes N calls of a kind in a loop and prints the nanoseconds that one took, on fd 2.
 * WHAT: getrandom (16 bytes), read (64 bytes from 127.0.0.1:PORT), vdso, clock (CLOCK_MONOTONIC by the vDSO, by the system call).
 * Measured by the CPU's time stamp counter, because in a replay the clocks are what is being replayed; TSC_MHZ in the
 * environment says how fast it runs, and "calls mhz 0" finds out.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

static int dial(int port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((unsigned short)port) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
		perror("connect");
		exit(1);
	}
	return fd;
}

static int find_mhz(void)
{
	struct timespec a, b;
	unsigned long long t;

	clock_gettime(CLOCK_MONOTONIC, &a);
	t = __rdtsc();
	usleep(200000);
	t = __rdtsc() - t;
	clock_gettime(CLOCK_MONOTONIC, &b);
	printf("%.3f\n", (double)t * 1000 / ((double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec)));
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[1] : "";
	long n = argc > 2 ? atol(argv[2]) : 0;
	const char *mhz = getenv("TSC_MHZ");
	unsigned long long start;
	struct timespec t;
	char buf[64];
	int fd = -1;

	if (strcmp(what, "mhz") == 0)
		return find_mhz();
	if (!mhz || n <= 0)
		return 2;
	if (strcmp(what, "read") == 0)
		fd = dial(atoi(argv[3]));
	start = __rdtsc();
	if (strcmp(what, "getrandom") == 0)
		for (long i = 0; i < n; i++)
			(void)!getrandom(buf, 16, 0);
	else if (fd >= 0)
		for (long i = 0; i < n; i++)
			(void)!read(fd, buf, 64);
	else if (strcmp(what, "vdso") == 0)
		for (long i = 0; i < n; i++)
			clock_gettime(CLOCK_MONOTONIC, &t);
	else
		for (long i = 0; i < n; i++)
			syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t);
	fprintf(stderr, "%.1f\n", (double)(__rdtsc() - start) / atof(mhz) * 1000 / (double)n);
	return 0;
}
