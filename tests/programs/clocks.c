/* SPDX-License-Identifier: Apache-2.0 */
/* Reads every clock, time(), gettimeofday(), random bytes from all places, sleeps, and prints it all. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static void hex(const char *what, const void *p, size_t len)
{
	printf("%s ", what);
	for (size_t i = 0; i < len; i++)
		printf("%02x", ((const unsigned char *)p)[i]);
	putchar('\n');
}

static void all_clocks(void)
{
	static const struct { const char *name; clockid_t id; } clocks[] = {
		{ "realtime", 0 }, { "monotonic", 1 }, { "process", 2 }, { "thread", 3 }, { "raw", 4 },
		{ "realtime-coarse", 5 }, { "monotonic-coarse", 6 }, { "boottime", 7 }, { "tai", 11 },
	};

	for (size_t i = 0; i < sizeof(clocks) / sizeof(clocks[0]); i++) {
		struct timespec t = { 0 };
		int r = clock_gettime(clocks[i].id, &t);

		printf("%s %d %lld.%09ld\n", clocks[i].name, r, (long long)t.tv_sec, t.tv_nsec);
	}
}

int main(void)
{
	struct timespec pause = { 0, 20000000 }, before, after, direct = { 0 };
	unsigned char buf[64];
	struct timeval tv;
	time_t t;
	int fd;

	all_clocks();
	printf("time %lld\n", (long long)time(NULL));
	printf("time(&t) %d\n", time(&t) == t);
	gettimeofday(&tv, NULL);
	printf("gettimeofday %lld.%06ld\n", (long long)tv.tv_sec, (long)tv.tv_usec);
	/* The call itself, past the vDSO. */
	syscall(SYS_clock_gettime, CLOCK_REALTIME, &direct);
	printf("system call %lld.%09ld\n", (long long)direct.tv_sec, direct.tv_nsec);
	for (int i = 0; i < 1000; i++)
		clock_gettime(CLOCK_MONOTONIC, &after);
	printf("a thousand later %lld.%09ld\n", (long long)after.tv_sec, after.tv_nsec);

	printf("getrandom %d ", (int)getrandom(buf, 24, 0));
	hex("", buf, 24);
	hex("AT_RANDOM", (void *)(uintptr_t)getauxval(AT_RANDOM), 16);
	fd = open("/dev/urandom", O_RDONLY);
	if (fd >= 0 && read(fd, buf, 33) == 33)
		hex("/dev/urandom", buf, 33);
	close(fd);

	clock_gettime(CLOCK_MONOTONIC, &before);
	nanosleep(&pause, NULL);
	clock_gettime(CLOCK_MONOTONIC, &after);
	printf("slept %lld ns\n", (long long)(after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec - before.tv_nsec);
	clock_nanosleep(CLOCK_REALTIME, 0, &pause, NULL);
	usleep(1000);
	all_clocks();
	puts("EXIT-SUCCESS");
	return 7;
}
