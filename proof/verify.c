/* SPDX-License-Identifier: Apache-2.0 */
#include <linux/types.h>

#include "proof/verify.h"

#include "proof/outcome.h"

#include "format/cleanup.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

const char *const measure_names[MEASURES] = { "cpu", "rss", "pages", "calls", "written" };

const char *proved_name(enum proved p)
{
	static const char *const names[] = {
		[PROVED_CURED] = "cured", [PROVED_UNCHANGED] = "unchanged", [PROVED_NOT_CURED] = "not cured",
		[PROVED_BROKEN] = "broken", [PROVED_OVER_BUDGET] = "over budget", [PROVED_UNKNOWN] = "can't tell",
	};

	return names[p];
}

/* The runs of one build. */
struct runs {
	struct parts *parts;
	double (*used)[MEASURES];
	size_t n, max;
	struct judgement j;
};

static void runs_free(struct runs *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n; i++)
		parts_clear(&r->parts[i]);
	free(r->parts);
	free(r->used);
	free(r);
}
static void cleanup_runs(struct runs **r) { runs_free(*r); }

static struct runs *runs_new(size_t max)
{
	struct runs *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->max = max;
	r->parts = calloc(max, sizeof(*r->parts));
	r->used = calloc(max, sizeof(*r->used));
	if (r->parts && r->used)
		return r;
	runs_free(r);
	return NULL;
}

static int seen(void *ctx, struct capsule_reader *rd, const struct verdict *v, struct err *err)
{
	struct runs *r = ctx;

	if (r->n == r->max)
		return 0;
	if (parts_of(&r->parts[r->n], rd, 0, err) < 0) {
		parts_clear(&r->parts[r->n]);
		return -err->code;
	}
	r->used[r->n][MEASURE_CPU] = (double)v->cpu_ns / 1e9;
	r->used[r->n][MEASURE_RSS] = (double)v->peak_bytes;
	r->used[r->n][MEASURE_PAGES] = (double)v->pages;
	r->used[r->n][MEASURE_CALLS] = (double)v->calls;
	r->used[r->n][MEASURE_WRITTEN] = (double)v->written;
	r->n++;
	return 0;
}

static void make_runs(struct recording *rec, const struct verify_options *opts, const struct build *b, struct runs *r)
{
	struct judge_options judge_opts = opts->judge;

	judge_opts.run.binds = b->binds;
	judge_opts.run.nbinds = b->nbinds;
	judge_opts.seen = seen;
	judge_opts.ctx = r;
	judge(rec, &judge_opts, &r->j);
}

static void conclude(struct proof *p, enum proved proved, const char *fmt, ...)
{
	va_list ap;

	p->proved = proved;
	va_start(ap, fmt);
	vsnprintf(p->why, sizeof(p->why), fmt, ap);
	va_end(ap);
}

/* ---- what differs ----------------------------------------------------------------- */

struct names {
	char (*list)[sizeof(((struct part *)0)->name)];
	size_t n;
	bool out_of_memory;
};

static bool has(const struct names *names, const char *name)
{
	for (size_t i = 0; i < names->n; i++)
		if (strcmp(names->list[i], name) == 0)
			return true;
	return false;
}

static void add(struct names *names, const char *name)
{
	void *bigger;

	if (has(names, name))
		return;
	bigger = reallocarray(names->list, names->n + 1, sizeof(*names->list));
	names->out_of_memory |= !bigger;
	if (!bigger)
		return;
	names->list = bigger;
	strcpy(names->list[names->n++], name);
}

static void names_clear(struct names *names)
{
	free(names->list);
}

static void list(char *buf, size_t len, const struct names *names)
{
	size_t at = 0;

	buf[0] = 0;
	for (size_t i = 0; i < names->n && at < len; i++)
		at += (size_t)snprintf(buf + at, len - at, "%s%s", i ? ", " : "", names->list[i]);
}

struct comparison {
	const struct names *noise;	/* NULL: all counts */
	struct names changed, aside;
	bool failing;			/* answers that were a failure on the base may be others now */
};

static void comparison_clear(struct comparison *c)
{
	names_clear(&c->changed);
	names_clear(&c->aside);
}

static void differs(void *ctx, const struct part *a, const struct part *b)
{
	struct comparison *c = ctx;
	const struct part *one = a ? a : b;

	if (c->noise && has(c->noise, one->name))
		return;
	if (c->failing && a && a->status >= 500)
		return;
	add(one->aside ? &c->aside : &c->changed, one->name);
}

/* Noise: what is not the same in all runs of the base. */
static void find_noise(const struct runs *base, struct names *noise)
{
	struct comparison c = { 0 };

	for (size_t i = 1; i < base->n; i++)
		parts_compare(&base->parts[0], &base->parts[i], differs, &c);
	for (size_t i = 0; i < c.changed.n; i++)
		add(noise, c.changed.list[i]);
	for (size_t i = 0; i < c.aside.n; i++)
		add(noise, c.aside.list[i]);
	noise->out_of_memory |= c.changed.out_of_memory || c.aside.out_of_memory;
	comparison_clear(&c);
}

/* A failure's own end and output are not those of a cure; the answers to others are. */
static void keep_answers(struct comparison *c, const struct runs *base)
{
	struct names kept = { 0 };

	for (size_t i = 0; i < base->parts[0].n; i++)
		if (base->parts[0].list[i].status && has(&c->changed, base->parts[0].list[i].name))
			add(&kept, base->parts[0].list[i].name);
	names_clear(&c->changed);
	c->changed = kept;
}

/* False: @p says what the patch changed. */
static bool unchanged(const struct runs *base, const struct runs *patch, bool failing, struct proof *p)
{
	_cleanup_(names_clear) struct names noise = { 0 };
	_cleanup_(comparison_clear) struct comparison c = { .noise = &noise, .failing = failing };
	char text[400];

	find_noise(base, &noise);
	for (size_t i = 0; i < patch->n; i++)
		parts_compare(&base->parts[0], &patch->parts[i], differs, &c);
	if (failing)
		keep_answers(&c, base);
	list(p->noise, sizeof(p->noise), &noise);
	list(p->aside, sizeof(p->aside), &c.aside);
	if (noise.out_of_memory || c.changed.out_of_memory || c.aside.out_of_memory) {
		conclude(p, PROVED_UNKNOWN, "out of memory");
		return false;
	}
	list(text, sizeof(text), &c.changed);
	if (c.changed.n)
		conclude(p, PROVED_BROKEN, "another answer than the base's: %s", text);
	return !c.changed.n;
}

/* ---- what it costs ------------------------------------------------------------------ */

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(const struct runs *r, enum measure m)
{
	_cleanup_free_ double *list = calloc(r->n + 1, sizeof(*list));

	if (!list || !r->n)
		return 0;
	for (size_t i = 0; i < r->n; i++)
		list[i] = r->used[i][m];
	qsort(list, r->n, sizeof(*list), by_size);
	return r->n % 2 ? list[r->n / 2] : (list[r->n / 2 - 1] + list[r->n / 2]) / 2;
}

static bool within_budget(const struct verify_options *opts, struct proof *p)
{
	for (int m = 0; m < MEASURES; m++) {
		double more = p->base[m] > 0 ? p->patch[m] / p->base[m] - 1 : p->patch[m] > 0 ? 1 : 0;

		if (opts->budget[m] >= 0 && more > opts->budget[m]) {
			conclude(p, PROVED_OVER_BUDGET, "%s: %.1f %% more than the base, of %.1f %%", measure_names[m], more * 100,
				 opts->budget[m] * 100);
			return false;
		}
	}
	return true;
}

/* ---- the proof ------------------------------------------------------------------------ */

void verify(struct recording *rec, const struct verify_options *opts, struct proof *p)
{
	_cleanup_(cleanup_runs) struct runs *base = runs_new(opts->judge.runs);
	_cleanup_(cleanup_runs) struct runs *patch = runs_new(opts->judge.runs);
	bool failing;

	*p = (struct proof){ .proved = PROVED_UNKNOWN };
	if (!base || !patch) {
		conclude(p, PROVED_UNKNOWN, "out of memory");
		return;
	}
	make_runs(rec, opts, &opts->base, base);
	failing = base->j.signature[0];
	if (failing && base->j.judged == JUDGED_GONE) {
		conclude(p, PROVED_UNKNOWN, "the base does not have the failure");
		return;
	}
	/* Of a good run the base may differ from the recording: it is the base that counts. */
	if (base->j.judged == JUDGED_UNKNOWN && (failing || base->n < opts->judge.runs)) {
		conclude(p, PROVED_UNKNOWN, "with the base: %.400s", base->j.why);
		return;
	}
	make_runs(rec, opts, &opts->patch, patch);
	if (failing && patch->j.judged == JUDGED_THERE) {
		conclude(p, PROVED_NOT_CURED, "the failure is there with the patch, too");
		return;
	}
	if (patch->j.judged == JUDGED_UNKNOWN && (failing || patch->n < opts->judge.runs)) {
		conclude(p, PROVED_UNKNOWN, "with the patch: %.400s", patch->j.why);
		return;
	}
	for (int m = 0; m < MEASURES; m++) {
		p->base[m] = median(base, m);
		p->patch[m] = median(patch, m);
	}
	if (unchanged(base, patch, failing, p) && within_budget(opts, p))
		conclude(p, failing ? PROVED_CURED : PROVED_UNCHANGED, "%s", "");
}
