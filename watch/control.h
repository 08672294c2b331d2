/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The socket on which `capsule trigger` asks: one line, "trigger POLICY", and
 * one line back, "ok ..." or "no ...". It answers root, and the members of one
 * group, as the kernel says who they are (SO_PEERCRED).
 */
#ifndef CAPSULE_CONTROL_H
#define CAPSULE_CONTROL_H

#include "format/err.h"

#include <stdbool.h>
#include <sys/types.h>

#define CONTROL_SOCKET "/run/capsule/watch.sock"

struct control;

struct control_peer {
	uid_t uid;
	pid_t pid;
};
/* @policy was asked for by @who; the answer, at most @len bytes with its NUL, into @answer, without a newline. */
typedef void (*control_asked)(void *ctx, const struct control_peer *who, const char *policy, char *answer, size_t len);

/* @group may be NULL. A socket that nobody listens on any more is taken over; EADDRINUSE: somebody does. */
int control_open(struct control **ret, const char *path, const char *group, struct err *err);
void control_close(struct control *c);	/* NULL is fine */
/* Whom it answers from now on. */
int control_group(struct control *c, const char *group, struct err *err);
/* Readable when somebody comes. */
int control_fd(const struct control *c);
void control_answer(struct control *c, control_asked asked, void *ctx);

/* The other side: the answer into @answer. */
int control_ask(const char *path, const char *policy, char *answer, size_t len, struct err *err);

#endif
