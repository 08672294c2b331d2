/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A storm of 10,000 triggers over two days and more, and who counts by himself: no limit is ever passed, and each is reached.  Capsules
 * end late, smaller than they might have been, or not at all; the recorder is started again in the middle.
 */
#include "tests/unit/harness.h"

#include "watch/limits.h"
#include "watch/store.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>

#define SECOND 1000000000ll
#define HOUR (3600 * SECOND)
#define DAY (24 * HOUR)
#define KIB 1024ull
enum { TRIGGERS = 10000, OPEN = 4, NAMES = 2 };

struct made {
	int policy;
	int64_t time;
	uint64_t bytes;		/* or what it may become */
	bool failed;
};

struct open_one {
	int number;
	size_t made;
};

struct storm {
	struct policies *ps;
	struct limits *limits;
	int64_t now;
	struct made made[TRIGGERS];
	size_t n, nopen;
	struct open_one open[OPEN];
	uint64_t seed;
	uint64_t most_hour, most_day, most_stored, most_all;	/* that there were of policy 0, and of all */
};

static uint64_t chance(struct storm *s, uint64_t below)
{
	s->seed = s->seed * 6364136223846793005ull + 1442695040888963407ull;
	return (s->seed >> 33) % below;
}

static void clear_store(const char *dir)
{
	struct dirent *d;
	DIR *names = opendir(dir);

	while (names && (d = readdir(names)))
		if (d->d_name[0] != '.')
			unlinkat(dirfd(names), d->d_name, 0);
	if (names)
		closedir(names);
	rmdir(dir);
}

/* ---- who counts by himself ------------------------------------------------------------ */

struct counted {
	uint64_t hour, day_bytes, n;
	int64_t last;
};

static struct counted count(const struct storm *s, int policy)
{
	struct counted c = { .last = INT64_MIN };

	for (size_t i = 0; i < s->n; i++) {
		const struct made *m = &s->made[i];

		if (m->failed || (policy >= 0 && m->policy != policy))
			continue;
		c.n++;
		c.hour += m->time > s->now - HOUR;
		c.day_bytes += m->time > s->now - DAY ? m->bytes : 0;
		c.last = m->time > c.last ? m->time : c.last;
	}
	return c;
}

static void within(const char *what, uint64_t is, uint64_t most)
{
	if (is > most)
		fail_msg("%s: %" PRIu64 " where %" PRIu64 " may be", what, is, most);
}

static void check_all(struct storm *s)
{
	struct counted all = count(s, -1);

	for (int i = 0; i < NAMES; i++) {
		const struct policy *p = &s->ps->list[i];
		struct counted c = count(s, i);

		within("per_hour", c.hour, p->capture.per_hour);
		within("bytes_per_day", c.day_bytes, p->capture.bytes_per_day);
		within("max_capsules", c.n, p->capture.max_capsules);
	}
	within("per_hour of the host", all.hour, s->ps->host.per_hour);
	within("bytes_per_day of the host", all.day_bytes, s->ps->host.bytes_per_day);
	within("max_capsules of the host", all.n, s->ps->host.max_capsules);
	s->most_hour = all.hour > s->most_hour ? all.hour : s->most_hour;
	s->most_day = all.day_bytes > s->most_day ? all.day_bytes : s->most_day;
	s->most_all = all.n > s->most_all ? all.n : s->most_all;
}

/* ---- the storm --------------------------------------------------------------------------- */

static void end_one(struct storm *s)
{
	struct open_one o = s->open[0];
	struct made *m = &s->made[o.made];
	const struct policy *p = &s->ps->list[m->policy];
	const struct timespec at = { m->time / SECOND, m->time % SECOND };
	struct store_names names;
	struct err err = ERR_INIT;
	int fd;

	memmove(s->open, s->open + 1, --s->nopen * sizeof(s->open[0]));
	m->failed = chance(s, 10) == 0;
	m->bytes -= chance(s, m->bytes / 2);
	if (!m->failed) {
		assert_works(err, store_names(&names, p->store, p->name, m->time, 1, (unsigned int)o.made, &err));
		fd = open(names.final, O_CREAT | O_EXCL | O_WRONLY, 0600);
		assert_true(fd >= 0 && ftruncate(fd, (off_t)m->bytes) == 0 && futimens(fd, (struct timespec[]){ at, at }) == 0);
		close(fd);
	}
	limits_ended(s->limits, o.number, m->failed ? 0 : m->bytes);
}

static void trigger(struct storm *s, int policy)
{
	const struct policy *p = &s->ps->list[policy];
	struct counted before = count(s, policy);
	const char *why;
	uint64_t bytes = limits_allow(s->limits, p, s->now, &why);

	assert_true(!bytes == !!why);
	if (!bytes)
		return;
	if (before.last != INT64_MIN && s->now - before.last < (int64_t)p->capture.cool_down)
		fail_msg("cool_down: %" PRId64 " ns behind the last one", s->now - before.last);
	within("max_bytes", bytes, p->capture.max_bytes);
	s->made[s->n] = (struct made){ .policy = policy, .time = s->now, .bytes = bytes };
	s->open[s->nopen++] = (struct open_one){ limits_begun(s->limits, p, s->now, bytes), s->n++ };
	check_all(s);
}

static void start_again(struct storm *s)
{
	struct err err = ERR_INIT;

	while (s->nopen)
		end_one(s);
	limits_free(s->limits);
	assert_works(err, limits_new(&s->limits, s->ps, &err));
}

/* @capture, @host: what the file says there; times between two triggers are up to @apart. */
static void rage(struct storm *s, const char *capture, const char *host, int64_t apart)
{
	const char *dir = scratch_path("store");
	char text[1024];
	struct err err = ERR_INIT;

	*s = (struct storm){ .now = 1700000000 * SECOND, .seed = 1 };
	snprintf(text, sizeof(text),
		 "- host: {%s}\n"
		 "- name: a\n  select: {binary: x}\n  when: {oom: true}\n  then: {store: %s, capture: {%s}}\n"
		 "- name: b-1\n  select: {binary: x}\n  when: {oom: true}\n  then: {store: %s, capture: {%s}}\n",
		 host, dir, capture, dir, capture);
	assert_works(err, policies_parse(&s->ps, "p.yaml", text, strlen(text), &err));
	assert_works(err, store_open(dir, &err));
	assert_works(err, limits_new(&s->limits, s->ps, &err));
	for (int i = 0; i < TRIGGERS; i++) {
		s->now += 1 + (int64_t)chance(s, (uint64_t)apart);
		if (s->nopen == OPEN || (s->nopen && chance(s, 3) == 0))
			end_one(s);
		if (i % (TRIGGERS / 5) == TRIGGERS / 10)
			start_again(s);
		trigger(s, (int)chance(s, NAMES));
	}
	start_again(s);
	check_all(s);
	limits_free(s->limits);
	policies_free(s->ps);
	clear_store(dir);
}

#define WIDE "max_capsules: 100000, per_hour: 3600, bytes_per_day: 1GiB, cool_down: 0s"
#define WIDE_HOST "max_capsules: 100000, per_hour: 3600, bytes_per_day: 100GiB"
static struct storm storm;

static void test_max_capsules(void **state)
{
	(void)state;
	rage(&storm, "max_capsules: 7, per_hour: 3600, cool_down: 0s", WIDE_HOST, SECOND / 50);
	assert_int_equal(storm.most_all, 14);
	rage(&storm, WIDE ", max_bytes: 64KiB", "max_capsules: 9, per_hour: 3600", SECOND / 50);
	assert_int_equal(storm.most_all, 9);
}

static void test_per_hour(void **state)
{
	(void)state;
	rage(&storm, "max_capsules: 100000, per_hour: 11, cool_down: 0s", WIDE_HOST, 5 * SECOND);
	assert_int_equal(storm.most_hour, 22);
	rage(&storm, WIDE, "max_capsules: 100000, per_hour: 13", 5 * SECOND);
	assert_int_equal(storm.most_hour, 13);
}

/* The last bytes of a day are given to a capsule that is smaller than it might be. */
static void test_bytes_per_day(void **state)
{
	(void)state;
	rage(&storm, "max_capsules: 100000, per_hour: 3600, cool_down: 0s, max_bytes: 1MiB, bytes_per_day: 10MiB", WIDE_HOST, 30 * SECOND);
	assert_in_range(storm.most_day, (20 << 20) - 2 * 64 * KIB, 20 << 20);
	rage(&storm, WIDE ", max_bytes: 1MiB", "max_capsules: 100000, per_hour: 3600, bytes_per_day: 7MiB", 30 * SECOND);
	assert_in_range(storm.most_day, (7 << 20) - 64 * KIB, 7 << 20);
}

static void test_cool_down(void **state)
{
	(void)state;
	rage(&storm, "max_capsules: 100000, per_hour: 3600, cool_down: 10m, max_bytes: 64KiB", WIDE_HOST, SECOND);
	/* In 5,000 seconds each policy has one every ten minutes, but for those that failed. */
	assert_in_range(storm.most_all, 8, 18);
}

/* What fails is not tried again at once. */
static void test_failing(void **state)
{
	const char *dir = scratch_path("store"), *why;
	struct policies *ps;
	struct limits *l;
	struct err err = ERR_INIT;
	char text[512];
	int tried = 0;

	(void)state;
	snprintf(text, sizeof(text), "- name: a\n  select: {binary: x}\n  when: {oom: true}\n  then: {store: %s, capture: {cool_down: 0s}}\n", dir);
	assert_works(err, policies_parse(&ps, "p.yaml", text, strlen(text), &err));
	assert_works(err, limits_new(&l, ps, &err));
	for (int64_t i = 0; i < TRIGGERS; i++) {
		int64_t now = 1700000000 * SECOND + i * SECOND / 1000;	/* ten seconds in all */
		uint64_t bytes = limits_allow(l, &ps->list[0], now, &why);

		if (!bytes)
			continue;
		tried++;
		limits_ended(l, limits_begun(l, &ps->list[0], now, bytes), 0);
	}
	assert_int_equal(tried, 10);
	limits_free(l);
	policies_free(ps);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_max_capsules),
		cmocka_unit_test(test_per_hour),
		cmocka_unit_test(test_bytes_per_day),
		cmocka_unit_test(test_cool_down),
		cmocka_unit_test(test_failing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
