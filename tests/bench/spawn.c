/* SPDX-License-Identifier: Apache-2.0 */
/* spawn N CMD [ARG]...: runs CMD N times, its output to nowhere; prints the median of the wall times (µs) and the largest RSS (KiB). */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double once(char **argv, struct rusage *ru)
{
	double start = now();
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		int null = open("/dev/null", O_RDWR);

		dup2(null, 0);
		dup2(null, 1);
		dup2(null, 2);
		execvp(argv[0], argv);
		_exit(127);
	}
	if (pid < 0 || wait4(pid, &status, 0, ru) < 0 || status != 0) {
		fprintf(stderr, "spawn: %s failed (status %#x)\n", argv[0], status);
		exit(1);
	}
	return now() - start;
}

int main(int argc, char **argv)
{
	int n = argc > 2 ? atoi(argv[1]) : 0;
	double *took = calloc((size_t)n + 1, sizeof(*took));
	long rss = 0;

	if (n <= 0 || !took)
		return 2;
	for (int i = 0; i < n; i++) {
		struct rusage ru;

		took[i] = once(argv + 2, &ru);
		if (ru.ru_maxrss > rss)
			rss = ru.ru_maxrss;
	}
	qsort(took, (size_t)n, sizeof(*took), ascending);
	printf("%.0f %ld\n", took[n / 2], rss);
	return 0;
}
