/* SPDX-License-Identifier: Apache-2.0 */
/* Processors and priorities. */
#include "tests/calls/calls.h"

#include <sched.h>
#include <sys/resource.h>

CALL(sched_yield)
{
	must(DO(sched_yield) == 0);
	say("done");
}

CALL(sched_getaffinity)
{
	unsigned long mask[16] = { 0 };

	long n = ok(DO(sched_getaffinity, 0, sizeof(mask), mask));

	say("%ld bytes, %lx", n, mask[0]);
	must(mask[0] || mask[1]);
	fails(EINVAL, DO(sched_getaffinity, 0, 1, mask));
	fails(ESRCH, DO(sched_getaffinity, 4000000, sizeof(mask), mask));
	fails(EFAULT, DO(sched_getaffinity, 0, sizeof(mask), 8));
}

CALL(sched_setaffinity)
{
	unsigned long mask[16] = { 1 }, none[16] = { 0 }, before[16] = { 0 };

	must(DO(sched_getaffinity, 0, sizeof(before), before) > 0);
	ok(DO(sched_setaffinity, 0, sizeof(before), before));
	may(EINVAL, DO(sched_setaffinity, 0, sizeof(mask), mask));
	fails(EINVAL, DO(sched_setaffinity, 0, sizeof(none), none));
	fails(ESRCH, DO(sched_setaffinity, 4000000, sizeof(mask), mask));
	ok(DO(sched_setaffinity, 0, sizeof(before), before));
}

CALL(getcpu)
{
	unsigned int cpu = 9999, node = 9999;

	ok(DO(getcpu, &cpu, &node, NULL));
	must(cpu < 4096 && node < 4096);
	say("processor %u, node %u", cpu, node);
	ok(DO(getcpu, NULL, NULL, NULL));
	fails(EFAULT, DO(getcpu, 8, NULL, NULL));
}

CALL(sched_getparam)
{
	struct sched_param p = { -1 };

	ok(DO(sched_getparam, 0, &p));
	say("priority %d", p.sched_priority);
	fails(EINVAL, DO(sched_getparam, 0, NULL));
	fails(ESRCH, DO(sched_getparam, 4000000, &p));
}

CALL(sched_setparam)
{
	struct sched_param p = { 0 }, bad = { 9999 };

	ok(DO(sched_setparam, 0, &p));
	fails(EINVAL, DO(sched_setparam, 0, &bad));
	fails(EINVAL, DO(sched_setparam, -5, &p));
}

CALL(sched_getscheduler)
{
	say("%ld", ok(DO(sched_getscheduler, 0)));
	fails(ESRCH, DO(sched_getscheduler, 4000000));
}

CALL(sched_setscheduler)
{
	struct sched_param p = { 0 }, high = { 5 };

	ok(DO(sched_setscheduler, 0, SCHED_BATCH, &p));
	must(DO(sched_getscheduler, 0) == SCHED_BATCH);
	may(EPERM, DO(sched_setscheduler, 0, SCHED_RR, &high));
	say("now %ld", DO(sched_getscheduler, 0));
	ok(DO(sched_setscheduler, 0, SCHED_OTHER, &p));
	fails(EINVAL, DO(sched_setscheduler, 0, 77, &p));
}

CALL(sched_get_priority_max)
{
	must(DO(sched_get_priority_max, SCHED_FIFO) == 99);
	fails(EINVAL, DO(sched_get_priority_max, 77));
}

CALL(sched_get_priority_min)
{
	must(DO(sched_get_priority_min, SCHED_RR) == 1);
	fails(EINVAL, DO(sched_get_priority_min, 77));
}

CALL(sched_rr_get_interval)
{
	struct timespec t = { -1, -1 };

	ok(DO(sched_rr_get_interval, 0, &t));
	must(t.tv_sec >= 0 && t.tv_nsec >= 0);
	say("%ld.%09ld", t.tv_sec, t.tv_nsec);
	fails(ESRCH, DO(sched_rr_get_interval, 4000000, &t));
}

struct attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

CALL(sched_getattr)
{
	struct attr a = { 0 };

	ok(DO(sched_getattr, 0, &a, sizeof(a), 0));
	must(a.size == sizeof(a));
	say("policy %u, nice %d, priority %u, runtime %lu", a.policy, a.nice, a.priority, a.runtime);
	fails(EINVAL, DO(sched_getattr, 0, &a, 5, 0));
	fails(ESRCH, DO(sched_getattr, 4000000, &a, sizeof(a), 0));
}

CALL(sched_setattr)
{
	struct attr a = { .size = sizeof(a), .policy = SCHED_OTHER, .nice = 4 };

	ok(DO(sched_setattr, 0, &a, 0));
	must(DO(sched_getattr, 0, &a, sizeof(a), 0) == 0);
	say("nice %d", a.nice);
	a.policy = 77;
	fails(EINVAL, DO(sched_setattr, 0, &a, 0));
}

CALL(getpriority)
{
	long p = ok(DO(getpriority, PRIO_PROCESS, 0));

	must(p >= 1 && p <= 40);	/* 20 - nice */
	say("%ld", p);
	fails(EINVAL, DO(getpriority, 9, 0));
	fails(ESRCH, DO(getpriority, PRIO_PROCESS, 4000000));
}

CALL(setpriority)
{
	ok(DO(setpriority, PRIO_PROCESS, 0, 6));
	must(DO(getpriority, PRIO_PROCESS, 0) == 14);
	may(EACCES, DO(setpriority, PRIO_PROCESS, 0, -1));
	say("%ld", DO(getpriority, PRIO_PROCESS, 0));
	fails(EINVAL, DO(setpriority, 9, 0, 0));
}

CALL(ioprio_get)
{
	say("%lx", ok(DO(ioprio_get, 1, 0)));
	fails(EINVAL, DO(ioprio_get, 9, 0));
	fails(ESRCH, DO(ioprio_get, 1, 4000000));
}

CALL(ioprio_set)
{
	ok(DO(ioprio_set, 1, 0, 2 << 13 | 6));
	must(DO(ioprio_get, 1, 0) == (2 << 13 | 6));
	fails(EINVAL, DO(ioprio_set, 9, 0, 0));
}
