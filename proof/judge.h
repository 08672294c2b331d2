/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is the failure of a capsule there, when this build replays it?  What check,
 * bisect, verify and test stand on: replays, each looked at through the failure
 * signature, and no answer where they give none.
 */
#ifndef CAPSULE_JUDGE_H
#define CAPSULE_JUDGE_H

#include "format/signature.h"
#include "replayer/replay.h"

enum judged {
	JUDGED_GONE,	/* the failure is gone */
	JUDGED_THERE,
	JUDGED_UNKNOWN,	/* can't tell, struct judgement's why says why */
};

struct judge_options {
	struct replay_options run;	/* its silent, save are ours */
	const char *signature;		/* NULL: the capsule's own */
	unsigned int runs;		/* all must say the same */
	bool allow_holes;
	/* If not NULL: called for each run that came to its end, with what it gave out. */
	int (*seen)(void *ctx, struct capsule_reader *rd, const struct verdict *v, struct err *err);
	void *ctx;
	bool as_recorded;		/* whatever the signature: the failure is output that is not as recorded */
};

struct judgement {
	enum judged judged;
	char why[512];			/* for people: what was seen, or why there is no telling */
	char signature[SIGNATURE_MAX + 1];	/* that was looked for; "": the capsule is one of a good run */
	struct verdict v;		/* of the last run */
	unsigned int runs, identical;	/* made; of these, the same as recorded in all that was given out */
	bool incomplete;		/* unknown because the capsule has holes */
	bool usage;			/* unknown because what was asked for makes no sense */
};

/* Is there a signature to look for, and is it that of what was recorded?  False: @j says why not. */
bool judge_has_signature(struct recording *rec, const struct judge_options *opts, struct judgement *j);
/* Where the recording has no failure and none was named, "the failure" is output that is not as recorded. */
void judge(struct recording *rec, const struct judge_options *opts, struct judgement *j);

#endif
