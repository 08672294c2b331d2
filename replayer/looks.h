/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the recorded program was told of files: answers, by question.
 *
 * A question is what a process asks, by a name or a descriptor: what is
 * "/etc/motd", what is in 5.  Its answers stand in the order in which they were
 * given, so that threads and code that ask in another order than recorded
 * still get theirs.  Equal answers in a row are kept once.
 */
#ifndef CAPSULE_LOOKS_H
#define CAPSULE_LOOKS_H

#include "format/event.h"

#include <linux/types.h>

#include "format/sysdesc.h"

enum look_what {
	LOOK_NONE = 0,
	LOOK_STAT,
	LOOK_ACCESS,
	LOOK_LINK,
	LOOK_LIST,	/* a directory's names: an answer is a whole listing, of as many calls as it took */
	LOOK_SYSTEM,	/* fstatfs */
	LOOK_XATTR,
	LOOK_OWNER,	/* chown */
	LOOK_OPEN,
};

struct look_question {
	uint32_t process, program;	/* number of its first task; how many programs that had started */
	uint8_t what;			/* enum look_what */
	bool nofollow;
	int32_t fd;			/* that it is about, where that has no name; AT_FDCWD */
	uint32_t mode;			/* access; the hash of an attribute's name, of an owner */
	uint64_t name;			/* the hash of the path; 0: none, it is about fd */
};

struct look_answer {
	uint16_t nr;			/* the call; of several that ask the same, the form of @data */
	bool whole;			/* CALL_WHOLE */
	int64_t ret;
	uint32_t object, made;
	size_t len;
	uint8_t data[];
};

struct looks;
struct looks_at;	/* how far a run has come in each question */

/*
 * The words of a call, as a question.  @path: what its path argument says;
 * @base: what that is relative to, or the path that the descriptor leads to;
 * @word: the attribute's name.  NULL: there is none, or it is not known.
 */
struct look_words { const char *path, *base, *word; };
struct look_question look_question(unsigned int nr, const uint64_t args[6], const struct look_words *w);
/* The argument of call @nr that is a path, an attribute's name, that takes the answer; -1: none. */
int look_path_arg(unsigned int nr);
/* The descriptor that it is about, or that its name is relative to; AT_FDCWD. */
int32_t look_fd(unsigned int nr, const uint64_t args[6]);
int look_word_arg(unsigned int nr);
int look_out_arg(unsigned int nr);

int looks_new(struct looks **ret);
/* 0, or -ENOMEM. @data: the answer's bytes, of which a copy is kept. */
int looks_add(struct looks *l, const struct look_question *q, const struct look_answer *a, struct bytes data, uint32_t order);
void looks_free(struct looks *l);	/* NULL is fine */

int looks_at_new(struct looks_at **ret, const struct looks *l);
void looks_at_free(struct looks_at *at);
/*
 * The next answer to @q; those that were given before event @floor only have
 * their turn if there is no later one.  @last: there is none any more, it is the
 * last one again.  NULL: it was never asked.
 */
const struct look_answer *looks_take(struct looks_at *at, const struct look_question *q, uint32_t floor, bool *last);
/* The same without taking it. */
const struct look_answer *looks_peek(const struct looks_at *at, const struct look_question *q);

#endif
