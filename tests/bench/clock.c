/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ns that a reading of CLOCK_MONOTONIC takes, by the CPU's time-stamp counter
 * (under replay all other clocks are those of the record).
 *
 *	clock calibrate                  prints ticks of the counter in a µs; not under replay
 *	clock vdso TICKS [CALLS]         by libc: the vDSO, or what it is redirected to
 *	clock syscall TICKS [CALLS]      by system call
 *
 * Prints one number: the median of 5 rounds of CALLS (vdso 100000, syscall 10000).
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#define ROUNDS 5

static double now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static double calibrate(void)
{
	const double from = now_us();
	const uint64_t ticks = __rdtsc();
	double to;

	do
		to = now_us();
	while (to - from < 50000);
	return (double)(__rdtsc() - ticks) / (to - from);
}

static double round_of(int by_syscall, long calls)
{
	struct timespec ts;
	const uint64_t ticks = __rdtsc();

	for (long i = 0; i < calls; i++)
		if (by_syscall)
			syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &ts);
		else
			clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)(__rdtsc() - ticks) / (double)calls;
}

static int by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

int main(int argc, char **argv)
{
	double round[ROUNDS], ticks;
	int by_syscall;
	long calls;

	if (argc == 2 && strcmp(argv[1], "calibrate") == 0) {
		printf("%.3f\n", calibrate());
		return 0;
	}
	if (argc < 3) {
		fprintf(stderr, "usage: clock calibrate | clock vdso|syscall TICKS [CALLS]\n");
		return 2;
	}
	by_syscall = strcmp(argv[1], "syscall") == 0;
	ticks = atof(argv[2]);
	calls = argc > 3 ? atol(argv[3]) : by_syscall ? 10000 : 100000;
	if (ticks <= 0 || calls <= 0)
		return 2;
	round_of(by_syscall, 10);	/* the first one may be slow */
	for (int i = 0; i < ROUNDS; i++)
		round[i] = round_of(by_syscall, calls) / ticks * 1000;
	qsort(round, ROUNDS, sizeof(round[0]), by_value);
	printf("%.1f\n", round[ROUNDS / 2]);
	return 0;
}
