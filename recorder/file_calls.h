/* SPDX-License-Identifier: Apache-2.0 */
/* What calls that name files mean for the files. */
#ifndef CAPSULE_FILE_CALLS_H
#define CAPSULE_FILE_CALLS_H

#include "recorder/files.h"
#include "recorder/tasks.h"

/* What else a call that names files is: the object that an open() made, if it is outside; of a name that the kernel makes up. */
struct file_facts {
	uint32_t made;
	bool synthetic;
};

/* A call of fate SC_OPEN, SC_PATH, SC_LOOK or SC_TASK. */
void file_call(struct recording *r, const struct task *t, const struct rec_call *c, const struct parts *p, struct file_facts *facts);

/* The socket that a bind(2) made, where its name is absolute. */
void file_bound(struct recording *r, const struct rec_call *c, const struct parts *p);

/* The program of @pid, its interpreter and its working directory. @exe, @cwd: resolved; "" where unknown. */
void program_files(struct recording *r, pid_t pid, char exe[PATH_MAX], char cwd[PATH_MAX]);

/* The file that @name, relative to @base, leads to was there: it is kept. @fd: of @pid's, or -1. */
void file_named(struct recording *r, const char *base, const char *name, pid_t pid, int fd);
/* A running program was started with words that name files, which its start reads. */
void program_words(struct recording *r, pid_t pid);

/* Absolute path of a link of /proc/PID, below the recording's root; false: there is none. */
bool proc_link(const struct recording *r, pid_t pid, const char *name, char out[PATH_MAX]);

#endif
