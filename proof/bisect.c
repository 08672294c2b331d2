/* SPDX-License-Identifier: Apache-2.0 */
#include <linux/types.h>

#include "proof/bisect.h"

#include "format/cleanup.h"
#include "format/sha256.h"
#include "proof/cache.h"
#include "proof/git.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

struct bisection {
	struct recording *rec;
	const struct bisect_options *o;
	char *good, *bad;		/* names of commits */
	char dir[PATH_MAX];		/* holds the worktree "tree" */
	char tree[PATH_MAX + 8];
	bool worktree;			/* it was added */
	struct range range;
	bool weighted;
	struct bisect_result *ret;
	void (*told)(void *ctx, const struct bisect_step *step);
	void *ctx;
};

/* ---- beginning and end ------------------------------------------------------------ */

static int resolve(struct bisection *b, const char *what, const char *rev, char **oid, struct err *err)
{
	_cleanup_free_ char *name = NULL;
	struct err why = ERR_INIT;

	if (asprintf(&name, "%s^{commit}", rev) < 0)
		return err_set(err, ENOMEM, "out of memory");
	if (git_run(b->o->repo, oid, &why, "rev-parse", "--verify", "--quiet", "--end-of-options", name, NULL) == 0)
		return 0;
	if (why.code == EINTR)
		return err_set(err, EINTR, "interrupted");
	return err_set(err, EINVAL, "--%s %s: no such commit in %s", what, rev, b->o->repo);
}

static bool is_ancestor(struct bisection *b, const char *a, const char *of)
{
	struct err ignored = ERR_INIT;

	return git_run(b->o->repo, NULL, &ignored, "merge-base", "--is-ancestor", a, of, NULL) == 0;
}

static int find_ends(struct bisection *b, struct err *err)
{
	_cleanup_free_ char *shallow = NULL;

	if (git_run(b->o->repo, &shallow, err, "rev-parse", "--is-shallow-repository", NULL) < 0)
		return err->code == EINTR ? -EINTR : err_set(err, EINVAL, "%s: not a git repository (--repo names one)", b->o->repo);
	if (resolve(b, "good", b->o->good, &b->good, err) < 0 || resolve(b, "bad", b->o->bad, &b->bad, err) < 0)
		return -err->code;
	if (strcmp(b->good, b->bad) == 0)
		return err_set(err, EINVAL, "--good and --bad are the same commit, %.12s", b->good);
	if (is_ancestor(b, b->good, b->bad))
		return 0;
	if (is_ancestor(b, b->bad, b->good))
		return err_set(err, EINVAL, "the bad commit %.12s comes before the good one %.12s: are they swapped?", b->bad, b->good);
	return err_set(err, EINVAL, "the good commit %.12s is not in the history of the bad one %.12s%s", b->good, b->bad,
		       strcmp(shallow, "true") == 0 ? ": the repository is shallow (git fetch --unshallow mends that)" : "");
}

static int read_file(const char *path, char **text, struct err *err)
{
	size_t len = 0;

	_cleanup_file_ FILE *f = fopen(path, "re");
	*text = NULL;
	if (!f || (getdelim(text, &len, 0, f) < 0 && ferror(f)))
		return err_set(err, EINVAL, "--scores %s: %s", path, strerror(errno));
	return *text || (*text = strdup("")) ? 0 : err_set(err, ENOMEM, "out of memory");
}

static int read_range(struct bisection *b, struct err *err)
{
	_cleanup_free_ char *listed = NULL, *scores = NULL;

	if (git_run(b->o->repo, &listed, err, "rev-list", "--reverse", "--topo-order", "--parents", b->bad, "--not", b->good, NULL) < 0 ||
	    range_read(&b->range, listed, err) < 0)
		return -err->code;
	if (!b->o->scores)
		return 0;
	if (read_file(b->o->scores, &scores, err) < 0)
		return -err->code;
	if (range_scores(&b->range, scores, err) < 0)
		return err_in(err, "--scores %s", b->o->scores);
	b->weighted = true;
	return 0;
}

static int make_worktree(struct bisection *b, struct err *err)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(b->dir, sizeof(b->dir), "%s/capsule-bisect.XXXXXX", tmp && tmp[0] == '/' && strlen(tmp) < PATH_MAX / 2 ? tmp : "/tmp");
	if (!mkdtemp(b->dir))
		return err_sys(err, errno, "making the worktree's directory %s", b->dir);
	snprintf(b->tree, sizeof(b->tree), "%s/tree", b->dir);
	b->worktree = true;
	if (git_run(b->o->repo, NULL, err, "worktree", "add", "--quiet", "--detach", b->tree, b->bad, NULL) < 0)
		return -err->code;
	return git_run(b->tree, NULL, err, "bisect", "start", "--no-checkout", b->bad, b->good, NULL);
}

static void bisection_end(struct bisection *b)
{
	if (b->worktree)
		git_clean_up(b->o->repo, b->tree);
	if (b->dir[0])
		rmdir(b->dir);
	range_clear(&b->range);
	free(b->good);
	free(b->bad);
}

/* ---- one commit --------------------------------------------------------------------- */

static void skip(struct bisect_step *s, const char *what, const char *which)
{
	s->judged = JUDGED_UNKNOWN;
	snprintf(s->why, sizeof(s->why), "%s%.400s", what, which);
}

/* All that the verdict on @tree depends on, as far as we know it. */
static int key_of(struct bisection *b, const char *tree, char key[SHA256_HEX], struct err *err)
{
	_cleanup_(cleanup_sha256) struct sha256 *h = NULL;
	const struct judge_options *j = &b->o->judge;
	const char *signature = j->signature ? j->signature : capsule_signature(b->rec->reader);
	uint8_t digest[SHA256_LEN];

	if (sha256_new(&h, err) < 0)
		return -err->code;
	capsule_digest(b->rec->reader, digest);
	sha256_add(h, digest, sizeof(digest));
	sha256_add(h, CAPSULE_TOOL, sizeof(CAPSULE_TOOL));
	sha256_add(h, signature, strlen(signature) + 1);
	sha256_add(h, j->run.rootfs, strlen(j->run.rootfs) + 1);
	sha256_add(h, b->o->build, strlen(b->o->build) + 1);
	for (size_t i = 0; i < b->o->nbinds; i++)
		for (size_t k = 0; k < 2; k++)
			sha256_add(h, b->o->binds[i][k], strlen(b->o->binds[i][k]) + 1);
	for (char *const *a = j->run.argv; a && *a; a++)
		sha256_add(h, *a, strlen(*a) + 1);
	sha256_add(h, tree, strlen(tree));
	sha256_end(h, digest);
	sha256_hex(digest, key);
	return 0;
}

static double since(uint64_t start)
{
	return (double)(now_ns() - start) / 1e9;
}

/* The last words of the build's log, for whoever asks why. */
static void last_words(int log, char *buf, size_t len)
{
	char text[4096];
	off_t end = lseek(log, 0, SEEK_END), at = end > (off_t)sizeof(text) - 1 ? end - (off_t)sizeof(text) + 1 : 0;
	ssize_t n = pread(log, text, sizeof(text) - 1, at);
	char *line;

	text[n > 0 ? n : 0] = 0;
	while (n > 0 && text[n - 1] == '\n')
		text[--n] = 0;
	line = strrchr(text, '\n');
	snprintf(buf, len, "%.250s", line ? line + 1 : text);
}

/* True: it was built. */
static bool build(struct bisection *b, struct bisect_step *s, struct err *err)
{
	char words[300];
	int status = 0;

	_cleanup_fd_ int log = memfd_create("log", MFD_CLOEXEC);
	if (log < 0) {
		err_sys(err, errno, "a log for the build");
		return false;
	}
	if (build_run(b->tree, b->o->build, log, b->o->build_seconds, &status, err) < 0) {
		if (err->code != ETIMEDOUT)
			return false;
		b->ret->broken++;
		skip(s, "the build was given up: ", err->text);
		*err = ERR_INIT;
		return false;
	}
	b->ret->builds += !status;
	b->ret->broken += status != 0;
	if (!status)
		return true;
	last_words(log, words, sizeof(words));
	skip(s, "does not build: ", words);
	return false;
}

/* The replay's binds of what was built. */
static bool find_built(struct bisection *b, const char *pairs[][2], char paths[][PATH_MAX], struct bisect_step *s)
{
	for (size_t i = 0; i < b->o->nbinds; i++) {
		const char *host = b->o->binds[i][0];
		char joined[2 * PATH_MAX];

		snprintf(joined, sizeof(joined), "%s%s%s", host[0] == '/' ? "" : b->tree, host[0] == '/' ? "" : "/", host);
		if (!realpath(joined, paths[i])) {
			skip(s, "the build left no ", host);
			return false;
		}
		pairs[i][0] = paths[i];
		pairs[i][1] = b->o->binds[i][1];
	}
	return true;
}

static void replay(struct bisection *b, struct bisect_step *s)
{
	static char paths[BISECT_BINDS][PATH_MAX];
	static struct judgement j;
	struct judge_options opts = b->o->judge;
	const char *pairs[BISECT_BINDS][2];
	uint64_t start = now_ns();

	if (!find_built(b, pairs, paths, s))
		return;
	opts.run.binds = (const char *const (*)[2])pairs;
	opts.run.nbinds = b->o->nbinds;
	judge(b->rec, &opts, &j);
	s->replay_seconds = since(start);
	s->judged = j.judged;
	if (j.judged == JUDGED_UNKNOWN)
		snprintf(s->why, sizeof(s->why), "%s", j.why);
}

/* Fills in @s.  Negative: it could not be tried for a reason that is not the commit's. */
static int try(struct bisection *b, const char *oid, struct bisect_step *s, struct err *err)
{
	_cleanup_free_ char *tree = NULL, *name = NULL;
	char key[SHA256_HEX];
	uint64_t start;

	if (asprintf(&name, "%s^{tree}", oid) < 0)
		return err_set(err, ENOMEM, "out of memory");
	if (git_run(b->tree, &tree, err, "rev-parse", name, NULL) < 0 || key_of(b, tree, key, err) < 0)
		return -err->code;
	s->how = STEP_CACHED;
	s->judged = b->o->no_cache ? JUDGED_UNKNOWN : cache_get(key);
	if (s->judged != JUDGED_UNKNOWN)
		return 0;
	s->how = STEP_NO_BUILD;
	if (git_run(b->tree, NULL, err, "checkout", "--quiet", "--force", "--detach", oid, NULL) < 0 ||
	    (!b->o->keep_built && git_run(b->tree, NULL, err, "clean", "-qffdx", NULL) < 0))
		return -err->code;
	start = now_ns();
	if (build(b, s, err)) {
		s->how = STEP_BUILT;
		s->build_seconds = since(start);
		replay(b, s);
		if (!b->o->no_cache)
			cache_put(key, s->judged);
	}
	if (child_stopped())
		return err_set(err, EINTR, "interrupted");
	return -err->code;
}

/* ---- the search --------------------------------------------------------------------- */

/* For git's log. git fails where only skipped commits are left, which is ours to tell. */
static int mark(struct bisection *b, const char *how, const char *oid, struct err *err)
{
	struct err ignored = ERR_INIT;

	git_run(b->tree, NULL, &ignored, "bisect", how, oid, NULL);
	return ignored.code == EINTR ? err_set(err, EINTR, "interrupted") : 0;
}

/* Tries @oid, commit @i of the range (SIZE_MAX: the good end), and tells of it. */
static int step(struct bisection *b, const char *oid, size_t i, struct bisect_step *s, struct err *err)
{
	struct err ignored = ERR_INIT;

	_cleanup_free_ char *subject = NULL;
	*s = (struct bisect_step){ .oid = oid, .judged = JUDGED_UNKNOWN };
	b->ret->steps++;
	git_run(b->tree, &subject, &ignored, "log", "-1", "--format=%s", oid, NULL);
	s->subject = subject ? subject : "";
	if (try(b, oid, s, err) < 0)
		return -err->code;
	if (s->judged == JUDGED_GONE) {
		snprintf(b->ret->good_evidence, OID_MAX, "%s", oid);
		if (i != SIZE_MAX)
			range_good(&b->range, i);
	} else if (s->judged == JUDGED_THERE && i != SIZE_MAX) {
		snprintf(b->ret->bad_evidence, OID_MAX, "%s", oid);
		range_bad(&b->range, i);
	} else if (i != SIZE_MAX) {
		b->range.list[i].skipped = true;
	}
	s->left = range_left(&b->range);
	b->told(b->ctx, s);
	s->subject = NULL;
	if (i == SIZE_MAX || (i + 1 == b->range.n && s->judged == JUDGED_THERE))
		return 0;
	return mark(b, s->judged == JUDGED_GONE ? "good" : s->judged == JUDGED_THERE ? "bad" : "skip", oid, err);
}

/* The named ends were not tried so far; where the answer rests on one alone, it has to be. */
static int prove_ends(struct bisection *b, struct err *err)
{
	struct bisect_step s;

	if (!b->ret->bad_evidence[0]) {
		if (step(b, b->bad, b->range.n - 1, &s, err) < 0)
			return -err->code;
		if (s.judged != JUDGED_THERE)
			return err_set(err, EINVAL, "the bad commit %.12s does not have the failure%s%s", b->bad, s.why[0] ? ": " : "", s.why);
	}
	if (!b->ret->good_evidence[0]) {
		if (step(b, b->good, SIZE_MAX, &s, err) < 0)
			return -err->code;
		if (s.judged != JUDGED_GONE)
			return err_set(err, EINVAL, "the good commit %.12s %s%s", b->good,
				       s.judged == JUDGED_THERE ? "has the failure, too" : "can't be judged: ", s.why);
	}
	return 0;
}

static int conclude(struct bisection *b, struct err *err)
{
	struct bisect_result *ret = b->ret;
	size_t found = range_found(&b->range);

	if (found == SIZE_MAX) {
		ret->suspects = range_left(&b->range);
		return 0;
	}
	if (prove_ends(b, err) < 0 || git_run(b->tree, &ret->log, err, "bisect", "log", NULL) < 0 ||
	    git_run(b->tree, &ret->subject, err, "log", "-1", "--format=%s", b->range.list[found].oid, NULL) < 0)
		return -err->code;
	snprintf(ret->oid, OID_MAX, "%s", b->range.list[found].oid);
	if (b->weighted) {
		ret->plain_tries = range_tries(&b->range, found, false);
		ret->scored_tries = range_tries(&b->range, found, true);
	}
	return 0;
}

int bisect(struct recording *rec, const struct bisect_options *opts,
	   void (*told)(void *ctx, const struct bisect_step *step), void *ctx, struct bisect_result *ret, struct err *err)
{
	_cleanup_(bisection_end) struct bisection b = { .rec = rec, .o = opts, .ret = ret, .told = told, .ctx = ctx };
	static struct judgement j;
	struct bisect_step s;
	size_t next;

	if (!judge_has_signature(rec, &opts->judge, &j))
		return err_set(err, EINVAL, "%s", j.why);
	if (find_ends(&b, err) < 0 || read_range(&b, err) < 0 || make_worktree(&b, err) < 0)
		return -err->code;
	while (range_found(&b.range) == SIZE_MAX && (next = range_next(&b.range, b.weighted)) != SIZE_MAX)
		if (step(&b, b.range.list[next].oid, next, &s, err) < 0)
			return -err->code;
	return conclude(&b, err);
}

void bisect_result_clear(struct bisect_result *r)
{
	free(r->subject);
	free(r->log);
}
