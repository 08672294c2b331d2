/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What descriptors lead to, outside the scope.  An object is an inode; of
 * files in /proc and the like it is the path, as their inodes come and go,
 * and of a device its number.
 */
#ifndef CAPSULE_OBJECTS_H
#define CAPSULE_OBJECTS_H

#include "recorder/state.h"

int objects_new(struct objects **ret, struct err *err);
void objects_free(struct objects *os);	/* NULL is fine */

/*
 * The number of the object behind @fd, told to the capsule if it is new; 0 if
 * it is not outside, or without memory.  @socks (may be NULL): addresses that
 * came with the call.
 */
uint32_t object_of(struct recording *r, const struct rec_fd *fd, const struct parts *p);
/* A file that was opened, a device or a named pipe: now with its path. */
uint32_t object_opened(struct recording *r, const struct rec_fd *fd, const char *path, bool inner);
/* A descriptor that the command began with; told by objects_told(). @path may be NULL. */
int object_inherited(struct recording *r, const struct rec_fdinfo *fd, const char *path, const struct parts *p);
/* One that a process had open when the recorder came to it; @f->fd -1: not the first process. */
int object_here(struct recording *r, const struct rec_fdinfo *f, const char *path, const struct parts *p);
void objects_tell_inherited(struct recording *r);
/* The far address that a failed connect() was for, if no other is known. */
void object_meant(struct recording *r, uint32_t id, const void *addr, size_t len);
/* Of a socket whose other end is in the scope, too. */
bool object_is_inner(const struct recording *r, uint32_t id);
bool object_is_there(const struct recording *r, uint32_t id);
/* Of an object that is a datagram socket. */
bool object_is_datagram(const struct recording *r, uint32_t id);

/*
 * Sockets and pipes that no process of the scope has open any more are forgotten, but for those that @keep wants: a number that is not
 * given again, so that who meets one again meets a new one.
 */
void objects_sweep(struct recording *r, bool (*keep)(void *ctx, uint32_t object), void *ctx);

/* The record about @fd's socket among @p, or NULL. */
const struct rec_sock *sock_of(const struct parts *p, const struct rec_fd *fd);

#endif
