/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Release by scope: declare where acquired, hand over in sight with TAKE_*.
 * No goto in a function that uses these.
 */
#ifndef CAPSULE_CLEANUP_H
#define CAPSULE_CLEANUP_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(f)	__attribute__((cleanup(f)))
#define TAKE(v, none)	({ typeof(v) *v_ = &(v), t_ = *v_; *v_ = (none); t_; })
#define TAKE_FD(fd)	TAKE(fd, -1)
#define TAKE_PTR(p)	TAKE(p, NULL)

static inline void cleanup_free(void *p) { free(*(void **)p); }
static inline void cleanup_fd(int *fd) { if (*fd >= 0) close(*fd); }
static inline void cleanup_file(FILE **f) { if (*f) fclose(*f); }
static inline void cleanup_dir(DIR **d) { if (*d) closedir(*d); }

#define _cleanup_free_	_cleanup_(cleanup_free)
#define _cleanup_fd_	_cleanup_(cleanup_fd)
#define _cleanup_file_	_cleanup_(cleanup_file)
#define _cleanup_dir_	_cleanup_(cleanup_dir)

#endif
