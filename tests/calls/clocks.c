/* SPDX-License-Identifier: Apache-2.0 */
/* Clocks and random bytes. */
#include "tests/calls/calls.h"

#include <sys/time.h>
#include <sys/timex.h>

static void say_time(const char *what, const struct timespec *t)
{
	must(t->tv_sec >= 0 && t->tv_nsec >= 0 && t->tv_nsec < 1000000000);
	say("%s %ld.%09ld", what, t->tv_sec, t->tv_nsec);
}

CALL(clock_gettime)
{
	static const char *const names[] = {
		"realtime", "monotonic", "process", "thread", "monotonic raw", "realtime coarse", "monotonic coarse", "boottime",
		"realtime alarm", "boottime alarm", NULL, "tai",
	};
	struct timespec t, before = { 0 };

	for (int i = 0; i < 12; i++) {
		if (!names[i])
			continue;
		if (may(EINVAL, DO(clock_gettime, i, &t)) == 0)		/* without a clock of the hardware there are no alarms */
			say_time(names[i], &t);
	}
	for (int i = 0; i < 5; i++) {
		ok(DO(clock_gettime, CLOCK_MONOTONIC, &t));
		must(t.tv_sec > before.tv_sec || (t.tv_sec == before.tv_sec && t.tv_nsec >= before.tv_nsec));
		before = t;
	}
	say_time("five later", &t);
	clock_gettime(CLOCK_REALTIME, &t);
	say_time("by libc", &t);
	fails(EINVAL, DO(clock_gettime, 77, &t));
	fails(EFAULT, DO(clock_gettime, CLOCK_REALTIME, 8));
}

CALL(gettimeofday)
{
	struct timeval tv = { -1, -1 };
	struct timezone tz = { 77, 77 };

	ok(DO(gettimeofday, &tv, &tz));
	must(tv.tv_sec > 0 && tv.tv_usec >= 0 && tv.tv_usec < 1000000);
	say("%ld.%06ld, %d minutes west, %d", tv.tv_sec, tv.tv_usec, tz.tz_minuteswest, tz.tz_dsttime);
	ok(DO(gettimeofday, NULL, NULL));
	ok(DO(gettimeofday, NULL, &tz));
	fails(EFAULT, DO(gettimeofday, 8, NULL));
}

CALL(time)
{
	time_t there = -1, got = ok(DO(time, &there));

	must(got == there);
	say("%ld", got);
	say("%ld", ok(DO(time, NULL)));
	fails(EFAULT, DO(time, 8));
}

CALL(clock_getres)
{
	struct timespec t = { -1, -1 };

	ok(DO(clock_getres, CLOCK_MONOTONIC, &t));
	say_time("monotonic", &t);
	ok(DO(clock_getres, CLOCK_REALTIME_COARSE, &t));
	say_time("coarse", &t);
	ok(DO(clock_getres, CLOCK_REALTIME, NULL));
	fails(EINVAL, DO(clock_getres, 77, &t));
}

CALL(clock_settime)
{
	struct timespec t = { 1, 0 }, bad = { 1, -1 };

	fails(EINVAL, DO(clock_settime, CLOCK_MONOTONIC, &t));
	fails(EINVAL, DO(clock_settime, CLOCK_REALTIME, &bad));
	fails(EFAULT, DO(clock_settime, CLOCK_REALTIME, 8));
}

CALL(settimeofday)
{
	struct timeval bad = { 1, 2000000 };

	ok(DO(settimeofday, NULL, NULL));
	fails(EINVAL, DO(settimeofday, &bad, NULL));
	fails(EFAULT, DO(settimeofday, 8, NULL));
}

CALL(adjtimex)
{
	struct timex t = { .modes = 0 };

	must(DO(adjtimex, &t) >= 0);
	say("status %x, frequency %ld, time %ld.%06ld, tick %ld", t.status, t.freq, t.time.tv_sec, t.time.tv_usec, t.tick);
	must(t.tick >= 9000 && t.tick <= 11000);
	fails(EFAULT, DO(adjtimex, 8));
}

CALL(clock_adjtime)
{
	struct timex t = { .modes = 0 };

	must(DO(clock_adjtime, CLOCK_REALTIME, &t) >= 0);
	say("time %ld.%06ld, error %ld", t.time.tv_sec, t.time.tv_usec, t.maxerror);
	must(t.tick >= 9000 && t.tick <= 11000);
	fails(EOPNOTSUPP, DO(clock_adjtime, CLOCK_MONOTONIC, &t));
	fails(EINVAL, DO(clock_adjtime, 77, &t));
}

CALL(getrandom)
{
	char buf[300] = { 0 };

	show("16", buf, ok(DO(getrandom, buf, 16, 0)));
	must(DO(getrandom, buf, 300, 1) == 300);
	show("300", buf, 300);
	must(DO(getrandom, buf, 0, 0) == 0);
	must(DO(getrandom, buf, 5, 4) == 5);	/* GRND_INSECURE */
	show("5", buf, 5);
	fails(EINVAL, DO(getrandom, buf, 5, 99));
	fails(EFAULT, DO(getrandom, 8, 5, 0));
}
