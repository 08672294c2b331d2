/* SPDX-License-Identifier: Apache-2.0 */
/*
 * readings N [syscall]: reads the clock N times, the way its C library does or by an instruction of its own.
 * How long that took is for others to say: under a replay every clock it could ask is the record's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long by_syscall(struct timespec *ts)
{
	long ret;

	__asm__ volatile("syscall" : "=a"(ret) : "0"((long)SYS_clock_gettime), "D"((long)CLOCK_MONOTONIC), "S"(ts) : "rcx", "r11", "memory");
	return ret;
}

int main(int argc, char **argv)
{
	long n = argc > 1 ? atol(argv[1]) : 1;
	struct timespec ts;

	for (long i = 0; i < n; i++)
		if (argc > 2)
			by_syscall(&ts);
		else
			clock_gettime(CLOCK_MONOTONIC, &ts);
	puts("EXIT-SUCCESS");
	return 0;
}
