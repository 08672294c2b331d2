/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From ring records (bpf/record.h) to whole calls: what came before a
 * REC_CALL with its tid and seq is put together and handed over with it.
 *
 * Records are checked: a short one, an unknown type, a piece that does not
 * join the one before it are counted and dropped, never believed.
 */
#ifndef CAPSULE_ASSEMBLE_H
#define CAPSULE_ASSEMBLE_H

#include "format/err.h"

#include <linux/types.h>

#include "bpf/record.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A segment of a call. */
struct part {
	uint8_t arg;		/* an argument, SEG_* or REC_ARG_* */
	bool kernel;		/* bytes of the kernel's */
	bool torn;		/* pieces are missing; len is that of the bytes before the gap */
	uint16_t index;
	uint8_t *data;
	size_t len, room;
};

struct parts {
	uint32_t tid, seq;
	struct part *part;
	size_t nparts, parts_room;
	struct rec_fdinfo *fd;
	size_t nfds;
	struct rec_sock *sock;
	size_t nsocks;
};

/* What the assembler calls; @p is never NULL and valid until the function returns. A negative result ends assemble_feed(). */
struct assembler_ops {
	int (*call)(void *ctx, const struct rec_call *c, struct parts *p);
	int (*task)(void *ctx, const struct rec_task *t, struct parts *p);
	int (*eintr)(void *ctx, uint32_t tid);
	int (*lost)(void *ctx, uint32_t records);
};

struct assembler;

int assembler_new(struct assembler **ret, const struct assembler_ops *ops, void *ctx, struct err *err);
void assembler_free(struct assembler *a);	/* NULL is fine */
/* A sample of the ring. */
int assemble_feed(struct assembler *a, const void *data, size_t len);
/* A thread is gone. */
void assemble_forget(struct assembler *a, uint32_t tid);
/* The records that made no sense, or were left without their call. */
uint64_t assemble_strays(const struct assembler *a);

/* The part of argument @arg, or NULL. */
const struct part *parts_find(const struct parts *p, uint8_t arg);
/* Takes what is in @p out of it, into fresh memory for parts_free(); NULL: no memory. */
struct parts *parts_take(struct parts *p);
void parts_free(struct parts *p);

#endif
