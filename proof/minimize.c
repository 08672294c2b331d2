/* SPDX-License-Identifier: Apache-2.0 */
#include <linux/types.h>

#include "proof/minimize.h"

#include "format/cleanup.h"
#include "proof/cut.h"
#include "proof/git.h"
#include "replayer/options.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SHORT_PIECE = 64 };	/* bytes of a piece that is not worth shortening */

struct minimizing {
	const struct minimize_options *o;
	struct capsule_reader *rd;
	struct cut cut;
	char part[PATH_MAX];		/* what is being tried */
	struct minimized *ret;
	void (*told)(void *ctx, const struct minimized *m);
	void *ctx;
	uint64_t limit_ns;		/* for a run, if nobody named one: by how long the first one took */
	char why[600];			/* what the last try came to, if not to the failure */
};

static void minimizing_end(struct minimizing *m)
{
	if (m->part[0])
		unlink(m->part);
	cut_clear(&m->cut);
	capsule_reader_close(m->rd);
}

/* ---- one try ---------------------------------------------------------------------- */

static bool fails_by_signature(struct minimizing *m)
{
	static struct judgement j;
	struct judge_options opts = m->o->judge;
	struct err err = ERR_INIT;
	struct recording *rec;

	if (recording_load(&rec, m->part, &err) < 0) {
		snprintf(m->why, sizeof(m->why), "%s", err.text);
		return false;
	}
	if (!opts.run.limit_ns)
		opts.run.limit_ns = m->limit_ns;
	if (run_settle(&opts.run, rec, &err) < 0) {
		run_end(&opts.run);
		recording_free(rec);
		snprintf(m->why, sizeof(m->why), "%s", err.text);
		return false;
	}
	judge(rec, &opts, &j);
	run_end(&opts.run);
	recording_free(rec);
	if (!m->limit_ns)
		m->limit_ns = 3000000000ull + 5 * j.v.wall_ns;
	if (j.judged == JUDGED_THERE && j.v.misled) {	/* without the recorded one another connection's answer would be taken */
		snprintf(m->why, sizeof(m->why), "the program was given answers to other questions");
		return false;
	}
	snprintf(m->why, sizeof(m->why), "%s%s", j.judged == JUDGED_GONE ? "the failure does not show" : "can't tell: ",
		 j.judged == JUDGED_GONE ? "" : j.why);
	return j.judged == JUDGED_THERE;
}

/* The check's words, the capsule's name in place of {} or behind them. */
static bool fails_by_check(struct minimizing *m, struct err *err)
{
	size_t n = 0, at;
	bool named = false;
	int status = 0;

	while (m->o->check[n])
		n++;
	_cleanup_free_ char **argv = calloc(n + 2, sizeof(*argv));
	_cleanup_fd_ int log = memfd_create("log", MFD_CLOEXEC);
	if (!argv || log < 0) {
		err_set(err, ENOMEM, "out of memory");
		return false;
	}
	for (at = 0; at < n; at++) {
		bool here = strcmp(m->o->check[at], "{}") == 0;

		argv[at] = here ? m->part : m->o->check[at];
		named |= here;
	}
	if (!named)
		argv[at] = m->part;
	if (child_run(".", argv, log, m->o->seconds, &status, err) < 0) {
		if (err->code == ETIMEDOUT) {
			snprintf(m->why, sizeof(m->why), "the check was given up: %s", err->text);
			*err = ERR_INIT;
		}
		return false;
	}
	snprintf(m->why, sizeof(m->why), "the check ended with status %d, not 1", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	return WIFEXITED(status) && WEXITSTATUS(status) == 1;
}

/* Is the failure there without what is dropped? Then that is the smallest capsule so far. */
static bool try(struct minimizing *m, struct err *err)
{
	struct stat st;
	bool fails;

	if (cut_write(&m->cut, m->rd, m->part, err) < 0)
		return false;
	m->ret->tries++;
	fails = m->o->check ? fails_by_check(m, err) : fails_by_signature(m);
	if (child_stopped()) {
		*err = ERR_INIT;
		err_set(err, EINTR, "interrupted");
		return false;
	}
	if (!fails)
		return false;
	if (stat(m->part, &st) < 0 || rename(m->part, m->o->out) < 0) {
		err_sys(err, errno, "writing '%s'", m->o->out);
		return false;
	}
	m->ret->size = (uint64_t)st.st_size;
	return true;
}

/* ---- delta debugging ---------------------------------------------------------------- */

static void drop(struct minimizing *m, const size_t *set, size_t n, bool dropped)
{
	for (size_t i = 0; i < n; i++)
		m->cut.list[set[i]].dropped = dropped;
}

static void tell(struct minimizing *m)
{
	m->ret->left = 0;
	for (size_t i = 0; i < m->cut.n; i++)
		m->ret->left += !m->cut.list[i].dropped;
	m->told(m->ctx, m->ret);
}

/* Leaves out what can be, @chunk at a time; true: something was. */
static bool pass(struct minimizing *m, size_t *set, size_t *n, size_t chunk, struct err *err)
{
	bool any = false;

	for (size_t at = 0; at < *n && !err->code;) {
		size_t len = *n - at < chunk ? *n - at : chunk;

		drop(m, set + at, len, true);
		if (try(m, err)) {
			memmove(set + at, set + at + len, (*n - at - len) * sizeof(*set));
			*n -= len;
			any = true;
		} else {
			drop(m, set + at, len, false);
			at += len;
		}
		tell(m);
	}
	return any;
}

/* What stays of @set is needed: without any one of it the failure would not be there. */
static void reduce(struct minimizing *m, size_t *set, size_t n, struct err *err)
{
	for (size_t chunk = n; n && chunk > 1 && !err->code; chunk = (chunk + 1) / 2)
		pass(m, set, &n, chunk, err);
	while (n && !err->code && pass(m, set, &n, 1, err))
		;
}

static bool is_in(const struct minimizing *m, size_t i, enum source_kind kind)
{
	const struct source *s = &m->cut.list[i];

	if (s->kind != kind || s->dropped)
		return false;
	for (size_t k = 0; kind == SOURCE_PIECE && k < m->cut.n; k++)
		if (m->cut.list[k].kind == SOURCE_CONNECTION && m->cut.list[k].object == s->object)
			return !m->cut.list[k].dropped;
	return true;
}

/* The end of a piece is left out where the failure does without it. */
static void shorten(struct minimizing *m, struct source *s, struct err *err)
{
	uint64_t low = 0, high = s->kept;

	while (high - low > 1 && !err->code) {
		s->kept = low + (high - low) / 2;
		if (try(m, err))
			high = s->kept;
		else
			low = s->kept;
		tell(m);
	}
	s->kept = high;
}

static int reduce_all(struct minimizing *m, struct err *err)
{
	_cleanup_free_ size_t *set = calloc(m->cut.n + 1, sizeof(*set));

	if (!set)
		return err_set(err, ENOMEM, "out of memory");
	for (enum source_kind kind = 0; kind < SOURCE_KINDS && !err->code; kind++) {
		size_t n = 0;

		/* The last ones first: tails of streams go before what leads to the failure. */
		for (size_t i = m->cut.n; i-- > 0;)
			if (is_in(m, i, kind))
				set[n++] = i;
		reduce(m, set, n, err);
	}
	for (size_t i = m->cut.n; i-- > 0 && !err->code;)
		if (is_in(m, i, SOURCE_PIECE) && m->cut.list[i].kept > SHORT_PIECE)
			shorten(m, &m->cut.list[i], err);
	return -err->code;
}

static int begin(struct minimizing *m, struct err *err)
{
	const char *why;

	if (capsule_reader_open(&m->rd, m->o->file, 0, err) < 0)
		return -err->code;
	if (!capsule_complete(m->rd, &why))
		return err_set(err, EBADMSG, "'%s' is cut short (%s)", m->o->file, why);
	if (capsule_manifest(m->rd)->replay_of[0])
		return err_set(err, EINVAL, "'%s' is what a replay saw: there is nothing in it to replay from", m->o->file);
	if (cut_find(&m->cut, m->rd, err) < 0)
		return err_in(err, "'%s'", m->o->file);
	m->cut.signature = m->o->check ? NULL : m->o->judge.signature;
	m->ret->sources = m->ret->left = m->cut.n;
	m->ret->before = capsule_size(m->rd);
	if ((size_t)snprintf(m->part, sizeof(m->part), "%s.part", m->o->out) >= sizeof(m->part))
		return err_set(err, ENAMETOOLONG, "'%s': the name is too long", m->o->out);
	return 0;
}

int minimize(const struct minimize_options *opts, void (*told)(void *ctx, const struct minimized *m), void *ctx,
	     struct minimized *ret, struct err *err)
{
	_cleanup_(minimizing_end) struct minimizing m = { .o = opts, .ret = ret, .told = told, .ctx = ctx };

	*ret = (struct minimized){ 0 };
	if (begin(&m, err) < 0)
		return -err->code;
	if (!try(&m, err))
		return err->code ? -err->code : err_set(err, ENODATA, "there is no failure to keep: %s", m.why);
	if (reduce_all(&m, err) < 0 && err->code != EINTR)
		return -err->code;
	ret->interrupted = err->code == EINTR;
	*err = ERR_INIT;
	return 0;
}
