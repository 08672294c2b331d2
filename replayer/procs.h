/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What /proc says of the guest's descriptors.  Nearly every call asks, and to
 * find a name below /proc anew costs more than the answer: the last places
 * that were asked stay open.  They are bound to their process, not to its
 * number, so whoever comes to have that is never taken for it.
 */
#ifndef CAPSULE_PROCS_H
#define CAPSULE_PROCS_H

#include <sys/stat.h>
#include <sys/types.h>

struct procs;

int procs_new(struct procs **ret);
void procs_free(struct procs *p);	/* NULL is fine */

/* stat() of what @fd of thread @tid leads to; -errno. */
int procs_stat(struct procs *p, pid_t tid, int fd, struct stat *st);
/* The lines of /proc/@tid/fdinfo/@fd, until the next call; NULL: there are none. */
const char *procs_fdinfo(struct procs *p, pid_t tid, int fd);

#endif
