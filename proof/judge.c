/* SPDX-License-Identifier: Apache-2.0 */
#include <linux/types.h>

#include "proof/judge.h"

#include "format/cleanup.h"
#include "format/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void unknown(struct judgement *j, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(j->why, sizeof(j->why), fmt, ap);
	va_end(ap);
	j->judged = JUDGED_UNKNOWN;
}

/* What the run's capsule in @fd tells of it; NULL: that could not be read. */
static struct observation *look(int fd, const struct judge_options *opts, const struct verdict *v, struct err *err)
{
	_cleanup_reader_ struct capsule_reader *rd = NULL;
	struct observation *o = NULL;
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (capsule_reader_open(&rd, path, 0, err) < 0 || observation_of(&o, rd, err) < 0)
		return NULL;
	observation_end(o, v->status, v->divergences == 0);
	if (opts->seen && opts->seen(opts->ctx, rd, v, err) < 0) {
		observation_free(o);
		return NULL;
	}
	return o;
}

/* Did the run come to where its end means anything? */
static bool found_its_way(struct judgement *j)
{
	const struct verdict *v = &j->v;

	if (!v->started)
		unknown(j, "the program could not be started: %s", v->first.got);
	else if (!v->ended && !v->serves_on)
		unknown(j, "the run had no end%s%s", v->first.set ? "; it first differs at " : "", v->first.set ? v->first.what : "");
	else if (v->misses.count > v->served)
		unknown(j, "the run lost its way: %llu misses, the first is %s", (unsigned long long)v->misses.count, v->misses.text[0]);
	else
		return true;
	return false;
}

/* One run. */
static void judge_run(struct recording *rec, const struct judge_options *opts, const struct signature *s, struct judgement *j)
{
	struct replay_options run = opts->run;
	struct err err = ERR_INIT;
	char save[64];

	struct verdict *v = mmap(NULL, sizeof(*v), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	_cleanup_fd_ int fd = memfd_create("replay", MFD_CLOEXEC);
	if (v == MAP_FAILED || fd < 0) {
		unknown(j, "%s", strerror(errno));
		return;
	}
	snprintf(save, sizeof(save), "/proc/self/fd/%d", fd);
	run.save = save;
	if (files_check(rec, &run, v, &v->err) < 0 || replay_apart(rec, &run, v) < 0)
		err = v->err;
	j->v = *v;
	munmap(v, sizeof(*v));
	j->runs++;
	if (err.code) {
		unknown(j, "%s", err.text);
		return;
	}
	j->identical += j->v.divergences == 0;
	if (!found_its_way(j))
		return;
	_cleanup_observation_ struct observation *o = look(fd, opts, &j->v, &err);
	if (!o) {
		unknown(j, "%s", err.text);
		return;
	}
	switch (signature_holds(s, o)) {
	case TRUTH_YES: j->judged = JUDGED_THERE; break;
	case TRUTH_NO:
		j->judged = JUDGED_GONE;
		if (j->v.serves_on && observed_unanswered(o))
			unknown(j, "it serves on, but somebody who asked had no answer");
		break;
	case TRUTH_UNKNOWN: unknown(j, "what the signature asks for was not to be seen in the run"); break;
	}
}

/* The signature to look for.  NULL: @j says why there is none. */
static struct signature *signature_for(struct recording *rec, const struct judge_options *opts, struct judgement *j)
{
	const char *text = opts->signature ? opts->signature : opts->as_recorded ? "" : capsule_signature(rec->reader);
	struct signature *s = NULL;
	struct err err = ERR_INIT;

	j->usage = opts->signature != NULL;
	snprintf(j->signature, sizeof(j->signature), "%s", text);
	if (signature_parse(&s, text[0] || opts->signature ? text : "not output=identical", &err) < 0)
		unknown(j, "%s", err.text);
	return s;
}

static bool is_redacted(const struct recording *rec)
{
	return rec->m->redacted && rec->m->redacted[0];
}

#define BY_REDACTION "the capsule was redacted, which may have taken the failure away (capsule show names what is gone)"

/* Nothing that was asked for makes it another build than the recorded one. */
static bool is_the_recorded_build(const struct recording *rec, const struct judge_options *opts, const struct verdict *v)
{
	const struct replay_options *run = &opts->run;

	return !run->image && !run->argv && !run->nbinds && !v->changed.count && (run->in || !run->rootfs || strcmp(run->rootfs, rec->m->rootfs) == 0);
}

/* Those that only say that a file's content is not compared take nothing from a run. */
static uint64_t holes_of(const struct recording *rec)
{
	uint64_t n = rec->end->holes;

	for (size_t i = 0; i < rec->nholes && n; i++)
		n -= strcmp(rec->holes[i]->what, "redacted") == 0;
	return n;
}

/* A signature that does not know the recorded failure knows no other. */
static bool knows_the_recording(struct recording *rec, const struct signature *s, struct judgement *j)
{
	_cleanup_observation_ struct observation *o = NULL;
	struct err err = ERR_INIT;

	if (!j->signature[0])
		return true;
	if (observation_of(&o, rec->reader, &err) < 0) {
		unknown(j, "%s", err.text);
		return false;
	}
	if (signature_holds(s, o) == TRUTH_YES)
		return true;
	unknown(j, "the signature '%.200s' is not that of what was recorded%s%s", j->signature, is_redacted(rec) ? ": " : "", is_redacted(rec) ? BY_REDACTION : "");
	return false;
}

bool judge_has_signature(struct recording *rec, const struct judge_options *opts, struct judgement *j)
{
	*j = (struct judgement){ .judged = JUDGED_UNKNOWN };
	_cleanup_signature_ struct signature *s = signature_for(rec, opts, j);

	return s && knows_the_recording(rec, s, j);
}

void judge(struct recording *rec, const struct judge_options *opts, struct judgement *j)
{
	enum judged first = JUDGED_UNKNOWN;
	unsigned int odd = 0;

	*j = (struct judgement){ .judged = JUDGED_UNKNOWN };
	_cleanup_signature_ struct signature *s = signature_for(rec, opts, j);
	if (!s || !knows_the_recording(rec, s, j))
		return;
	j->usage = false;
	for (unsigned int i = 0; i < opts->runs; i++) {
		judge_run(rec, opts, s, j);
		if (j->judged == JUDGED_UNKNOWN)
			return;
		if (i == 0)
			first = j->judged;
		odd += j->judged != first;
	}
	if (odd) {
		unknown(j, "flaky: %u of %u runs say otherwise than the first", odd, opts->runs);
		return;
	}
	if (j->judged == JUDGED_GONE && j->signature[0] && is_redacted(rec) && is_the_recorded_build(rec, opts, &j->v)) {
		unknown(j, "the failure does not show in the recorded build: " BY_REDACTION);
		return;
	}
	j->incomplete = j->judged == JUDGED_GONE && holes_of(rec) && !opts->allow_holes;
	if (j->incomplete)
		unknown(j, "the failure does not show, but the capsule has %llu hole%s (capsule show names them; --allow-holes takes it)",
			(unsigned long long)holes_of(rec), holes_of(rec) == 1 ? "" : "s");
}
