/* SPDX-License-Identifier: Apache-2.0 */
/* What calls that name files mean for the files. */
#ifndef CAPSULE_FILE_CALLS_H
#define CAPSULE_FILE_CALLS_H

#include "recorder/files.h"
#include "recorder/tasks.h"

/* A call of fate SC_OPEN, SC_PATH or SC_TASK. @obj2: the object that an open() made, if it is outside. */
void file_call(struct recording *r, const struct task *t, const struct rec_call *c, const struct parts *p, uint32_t *obj2);

/* The program of @pid, its interpreter and its working directory. @exe, @cwd: resolved; "" where unknown. */
void program_files(struct recording *r, pid_t pid, char exe[PATH_MAX], char cwd[PATH_MAX]);

/* Absolute path of a link of /proc/PID, below the recording's root; false: there is none. */
bool proc_link(const struct recording *r, pid_t pid, const char *name, char out[PATH_MAX]);

#endif
