/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the CPU's cycle counter, by both instructions; "cycles print" prints it, which no replay can know. */
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <x86intrin.h>

int main(int argc, char **argv)
{
	unsigned long long before = __rdtsc(), now;
	unsigned int cpu;
	int forward = 1;

	for (int i = 0; i < 1000; i++) {
		now = i & 1 ? __rdtsc() : __rdtscp(&cpu);
		forward &= now > before;
		before = now;
	}
	printf("forward: %d\n", forward);
	while (__rdtsc() - before < 100000)
		;
	fflush(stdout);
	if (fork() == 0) {
		printf("child: %d\n", __rdtsc() > before);
		return 0;
	}
	wait(NULL);
	if (argc > 1 && strcmp(argv[1], "print") == 0)
		printf("%llu\n", now);
	puts("EXIT-SUCCESS");
	return 0;
}
