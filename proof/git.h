/* SPDX-License-Identifier: Apache-2.0 */
/* git, and builds, as child processes. */
#ifndef CAPSULE_GIT_H
#define CAPSULE_GIT_H

#include "format/err.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * "git -C @dir @arg...", NULL-terminated.  Its stdout without the last newline
 * in *@out for free() (@out may be NULL).  EIO: it failed; the text is the last
 * line of its stderr.  EINTR: child_stop() was called.
 */
int git_run(const char *dir, char **out, struct err *err, const char *arg, ...) __attribute__((sentinel));

/*
 * @argv in @dir, stdin empty, stdout and stderr to @log, in a process group of
 * its own.  *@status as wait(2) gives it.  After @seconds (0: no limit) the
 * group is killed: ETIMEDOUT.
 */
int child_run(const char *dir, char *const *argv, int log, unsigned int seconds, int *status, struct err *err);
/* The same of "sh -c @command". */
int build_run(const char *dir, const char *command, int log, unsigned int seconds, int *status, struct err *err);

/* Removes the worktree @tree of @repo, also after child_stop(). */
void git_clean_up(const char *repo, const char *tree);

/* Async-signal-safe: ends the child that runs, and makes every later call fail with EINTR. */
void child_stop(int signo);
bool child_stopped(void);

#endif
