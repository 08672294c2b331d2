/* SPDX-License-Identifier: Apache-2.0 */
#include <linux/types.h>

#include "proof/suite.h"

#include "format/cleanup.h"
#include "replayer/options.h"

#include <errno.h>
#include <fts.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

const char *outcome_name(enum outcome o)
{
	static const char *const names[] = {
		[OUTCOME_WAITING] = "not judged", [OUTCOME_PASSED] = "passed", [OUTCOME_FAILED] = "failed",
		[OUTCOME_INCOMPLETE] = "incomplete", [OUTCOME_ERROR] = "error",
	};

	return names[o];
}

/* ---- which ------------------------------------------------------------------- */

struct found {
	char **list;
	size_t n;
};

static void found_clear(struct found *f)
{
	for (size_t i = 0; i < f->n; i++)
		free(f->list[i]);
	free(f->list);
}

static int add(struct found *f, const char *path, struct err *err)
{
	char **bigger = reallocarray(f->list, f->n + 1, sizeof(*bigger)), *copy = strdup(path);

	if (bigger)
		f->list = bigger;
	if (!bigger || !copy) {
		free(copy);
		return err_set(err, ENOMEM, "out of memory");
	}
	f->list[f->n++] = copy;
	return 0;
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

static bool is_capsule(const FTSENT *e)
{
	return e->fts_info == FTS_F &&
	       (e->fts_level == 0 || (e->fts_namelen > 4 && strcmp(e->fts_name + e->fts_namelen - 4, ".cap") == 0));
}

static int walk(struct found *f, const char *path, struct err *err)
{
	char *const roots[] = { (char *)path, NULL };
	FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, by_name);
	FTSENT *e;
	int rc = 0;

	if (!fts)
		return err_sys(err, errno, "%s", path);
	while (rc == 0 && (e = fts_read(fts))) {
		if (e->fts_info == FTS_ERR || e->fts_info == FTS_DNR || e->fts_info == FTS_NS)
			rc = err_sys(err, e->fts_errno, "%s", e->fts_path);
		else if (is_capsule(e))
			rc = add(f, e->fts_path, err);
	}
	fts_close(fts);
	return rc;
}

int suite_find(struct suite *s, const char *const *paths, size_t n, struct err *err)
{
	_cleanup_(found_clear) struct found f = { 0 };

	for (size_t i = 0; i < n; i++)
		if (walk(&f, paths[i], err) < 0)
			return -err->code;
	if (!f.n)
		return err_set(err, ENOENT, "no capsules (*.cap) in %s%s", paths[0], n > 1 ? ", ..." : "");
	s->cases = mmap(NULL, f.n * sizeof(*s->cases), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (s->cases == MAP_FAILED) {
		s->cases = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	for (s->n = 0; s->n < f.n; s->n++)
		s->cases[s->n].file = TAKE_PTR(f.list[s->n]);
	return 0;
}

void suite_clear(struct suite *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->cases[i].file);
	if (s->cases)
		munmap(s->cases, s->n * sizeof(*s->cases));
}

/* ---- one, in a process of its own ----------------------------------------------- */

static void conclude(struct suite_case *c, const struct judgement *j)
{
	static const enum outcome of[] = {
		[JUDGED_GONE] = OUTCOME_PASSED, [JUDGED_THERE] = OUTCOME_FAILED, [JUDGED_UNKNOWN] = OUTCOME_ERROR,
	};

	c->outcome = j->incomplete ? OUTCOME_INCOMPLETE : of[j->judged];
	c->misses = j->v.misses.count;
	memcpy(c->signature, j->signature, sizeof(c->signature));
	if (j->judged == JUDGED_UNKNOWN)
		snprintf(c->why, sizeof(c->why), "%s", j->why);
	else if (j->judged == JUDGED_THERE && j->signature[0])
		snprintf(c->why, sizeof(c->why), "the failure is there: %.500s", j->signature);
	else if (j->judged == JUDGED_THERE)
		snprintf(c->why, sizeof(c->why), "%s: expected \"%.159s\", got \"%.159s\"", j->v.first.what, j->v.first.expected, j->v.first.got);
	else if (c->misses)
		snprintf(c->why, sizeof(c->why), "%llu misses, the first is %.199s", (unsigned long long)c->misses, j->v.misses.text[0]);
}

static void judge_case(struct suite_case *c, const struct judge_options *opts)
{
	static struct judgement j;
	struct judge_options own = *opts;
	struct err err = ERR_INIT;
	struct recording *rec;
	uint64_t start = now_ns();

	if (recording_load(&rec, c->file, &err) < 0) {
		c->outcome = strstr(err.text, "cut short") ? OUTCOME_INCOMPLETE : OUTCOME_ERROR;
		snprintf(c->why, sizeof(c->why), "%s", err.text);
	} else if (run_settle(&own.run, rec, &err) < 0) {
		c->outcome = OUTCOME_ERROR;
		snprintf(c->why, sizeof(c->why), "%s", err.text);
		recording_free(rec);
	} else {
		judge(rec, &own, &j);
		conclude(c, &j);
		run_end(&own.run);
		recording_free(rec);
	}
	c->seconds = (double)(now_ns() - start) / 1e9;
}

static pid_t begin(struct suite_case *c, const struct judge_options *opts)
{
	pid_t parent = getpid(), pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() == parent)
		judge_case(c, opts);
	_exit(0);
}

/* ---- all ---------------------------------------------------------------------------- */

static void note_end(struct suite_case *c, int status)
{
	if (c->outcome != OUTCOME_WAITING)
		return;
	c->outcome = OUTCOME_ERROR;
	snprintf(c->why, sizeof(c->why), "the replayer itself ended with status %d", status);
}

int suite_run(struct suite *s, const struct judge_options *opts, unsigned int jobs,
	      void (*told)(void *ctx, const struct suite *s, size_t i), void *ctx, struct err *err)
{
	_cleanup_free_ pid_t *pids = calloc(s->n, sizeof(*pids));
	size_t begun = 0, running = 0, next = 0;
	uint64_t start = now_ns();
	int status;
	pid_t pid;

	if (!pids)
		return err_set(err, ENOMEM, "out of memory");
	while (begun < s->n || running) {
		while (begun < s->n && running < jobs) {
			pids[begun] = begin(&s->cases[begun], opts);
			if (pids[begun] < 0)
				return err_sys(err, errno, "starting a replay");
			begun++;
			running++;
		}
		pid = waitpid(-1, &status, 0);
		if (pid < 0 && errno == EINTR)
			continue;
		if (pid < 0)
			return err_sys(err, errno, "waiting for a replay");
		for (size_t i = 0; i < begun; i++)
			if (pids[i] == pid) {
				note_end(&s->cases[i], status);
				pids[i] = 0;
				running--;
			}
		for (; next < begun && !pids[next]; next++) {
			s->count[s->cases[next].outcome]++;
			told(ctx, s, next);
		}
	}
	s->seconds = (double)(now_ns() - start) / 1e9;
	return 0;
}
