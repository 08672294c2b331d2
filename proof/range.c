/* SPDX-License-Identifier: Apache-2.0 */
#include "proof/range.h"

#include "format/cleanup.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static size_t words(const struct range *r)
{
	return r->n / 64 + 1;
}

static bool reaches(const struct range_commit *c, size_t i)
{
	return c->reach[i / 64] >> (i % 64) & 1;
}

static void set(struct range_commit *c, size_t i)
{
	c->reach[i / 64] |= 1ull << (i % 64);
}

static size_t find(const struct range *r, size_t n, const char *oid, size_t len)
{
	for (size_t i = n; i-- > 0;)
		if (strncmp(r->list[i].oid, oid, len) == 0)
			return i;
	return SIZE_MAX;
}

/* One line: the commit, and its parents, of which those outside the range don't matter. */
static void take_line(struct range *r, size_t at, const char *line, size_t len)
{
	const char *end = line + len, *word = line, *stop;
	struct range_commit *c = &r->list[at];

	while (word < end) {
		stop = memchr(word, ' ', (size_t)(end - word));
		stop = stop ? stop : end;
		if (word == line) {
			memcpy(c->oid, word, (size_t)(stop - word) < OID_MAX ? (size_t)(stop - word) : OID_MAX - 1);
			set(c, at);
		} else {
			size_t parent = find(r, at, word, (size_t)(stop - word));

			for (size_t k = 0; parent != SIZE_MAX && k < words(r); k++)
				c->reach[k] |= r->list[parent].reach[k];
		}
		word = stop + 1;
	}
}

int range_read(struct range *r, const char *listed, struct err *err)
{
	size_t lines = *listed ? 1 : 0, at = 0;

	for (const char *p = listed; (p = strchr(p, '\n')); p++)
		lines++;
	if (lines > RANGE_MAX)
		return err_set(err, EFBIG, "%zu commits lie between good and bad; name ends that are nearer, at most %d", lines, RANGE_MAX);
	r->list = calloc(lines + 1, sizeof(*r->list));
	if (!r->list)
		return err_set(err, ENOMEM, "out of memory");
	r->n = lines;
	r->rest = 1;
	for (const char *line = listed; at < lines; at++) {
		size_t len = strcspn(line, "\n");

		r->list[at].weight = 1;
		r->list[at].reach = calloc(words(r), sizeof(uint64_t));
		if (!r->list[at].reach)
			return err_set(err, ENOMEM, "out of memory");
		take_line(r, at, line, len);
		line += len + 1;
	}
	return 0;
}

void range_clear(struct range *r)
{
	for (size_t i = 0; i < r->n; i++)
		free(r->list[i].reach);
	free(r->list);
}

int range_scores(struct range *r, const char *text, struct err *err)
{
	double total = 0;
	size_t line = 0, named = 0;

	_cleanup_free_ bool *has = calloc(r->n + 1, sizeof(*has));
	if (!has)
		return err_set(err, ENOMEM, "out of memory");
	for (const char *p = text; *p; p += strcspn(p, "\n"), p += *p == '\n') {
		size_t len = strspn(p, "0123456789abcdef"), i;
		char *end;
		double weight;

		line++;
		if (*p == '\n' || *p == '#')
			continue;
		weight = strtod(p + len, &end);
		if (len < 4 || len >= OID_MAX || end == p + len || !(weight >= 0) || weight > 1e9 || (*end && *end != '\n'))
			return err_set(err, EINVAL, "line %zu: a commit and its weight, please, as in 1f2e3d4 0.7", line);
		i = find(r, r->n, p, len);
		if (i == SIZE_MAX || has[i])
			continue;
		has[i] = true;
		r->list[i].weight = weight;
		total += weight;
		named++;
	}
	/* Scores can be wrong: the commits that they don't name share a tenth of the weight, and none has less than that. */
	r->rest = total > 0 ? total / 10 / (double)r->n : 1;
	for (size_t i = 0; i < r->n; i++)
		if (!has[i] || r->list[i].weight < r->rest)
			r->list[i].weight = r->rest;
	return 0;
}

/* Of what is left: the weight in @c's history, of all if @c is NULL. */
static double weight(const struct range *r, const struct range_commit *c, bool weighted)
{
	double sum = 0;

	for (size_t i = 0; i < r->n; i++)
		if (!r->list[i].out && (!c || reaches(c, i)))
			sum += weighted ? r->list[i].weight : 1;
	return sum;
}

size_t range_next(const struct range *r, bool weighted)
{
	double total = weight(r, NULL, weighted), best = -1;
	size_t next = SIZE_MAX;

	for (size_t i = 0; i < r->n; i++) {
		double below, worth;

		if (r->list[i].out || r->list[i].skipped)
			continue;
		below = weight(r, &r->list[i], weighted);
		worth = below < total - below ? below : total - below;
		if (worth > 0 && worth > best) {
			best = worth;
			next = i;
		}
	}
	return next;
}

void range_good(struct range *r, size_t i)
{
	for (size_t k = 0; k < r->n; k++)
		if (reaches(&r->list[i], k))
			r->list[k].out = true;
}

void range_bad(struct range *r, size_t i)
{
	for (size_t k = 0; k < r->n; k++)
		if (!reaches(&r->list[i], k))
			r->list[k].out = true;
}

size_t range_left(const struct range *r)
{
	size_t n = 0;

	for (size_t i = 0; i < r->n; i++)
		n += !r->list[i].out;
	return n;
}

size_t range_found(const struct range *r)
{
	if (range_left(r) != 1)
		return SIZE_MAX;
	for (size_t i = 0; i < r->n; i++)
		if (!r->list[i].out)
			return i;
	return SIZE_MAX;
}

unsigned int range_tries(const struct range *r, size_t first, bool weighted)
{
	struct range copy = *r;
	unsigned int tries = 0;
	size_t next;

	copy.list = calloc(r->n + 1, sizeof(*copy.list));
	if (!copy.list)
		return 0;
	for (size_t i = 0; i < r->n; i++) {
		copy.list[i] = r->list[i];
		copy.list[i].out = copy.list[i].skipped = false;
	}
	while (range_found(&copy) == SIZE_MAX && (next = range_next(&copy, weighted)) != SIZE_MAX) {
		if (reaches(&copy.list[next], first))
			range_bad(&copy, next);
		else
			range_good(&copy, next);
		tries++;
	}
	free(copy.list);
	return tries;
}
