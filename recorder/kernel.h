/* SPDX-License-Identifier: Apache-2.0 */
/* The recorder's programs in the kernel, loaded, and their ring. */
#ifndef CAPSULE_RECORDER_KERNEL_H
#define CAPSULE_RECORDER_KERNEL_H

#include "recorder/recorder.h"

#include <linux/types.h>

#include "bpf/record.h"

#include <stddef.h>
#include <sys/types.h>

struct kernel;

/* @err says what is missing on this machine, and the mend. */
int kernel_load(struct kernel **ret, const struct record_opts *opts, struct err *err);
void kernel_free(struct kernel *k);	/* detaches; NULL is fine */

/* The process and what it will fork are the scope; recorded from its first exec on. */
int kernel_follow(struct kernel *k, pid_t pid, int pidfd, struct err *err);
int kernel_attach(struct kernel *k, struct err *err);

/* With record_opts.watches: who enters the scope from now on enters this one; a new one, whose root directory is its first process's; what is told of it, enum rec_levels. */
void kernel_enter(struct kernel *k, uint32_t scope);
void kernel_new_scope(struct kernel *k, uint32_t scope);
void kernel_level(struct kernel *k, uint32_t scope, uint32_t level);

/* ---- a process that runs already (and is stopped meanwhile) ---- */

/* Its threads enter the scope; its descriptors. Fresh memory; how many are in *@n. */
int kernel_here_tasks(struct kernel *k, pid_t pid, struct rec_here_task **ret, size_t *n, struct err *err);
int kernel_here_files(struct kernel *k, pid_t pid, struct rec_here_file **ret, size_t *n, struct err *err);
/* What is behind this inode leads outside; @file: a regular file. */
int kernel_inherited(struct kernel *k, uint64_t ino, uint32_t dev, bool file);
/* In the epoll set that is the open file @set, @data stands for what is @what. */
int kernel_epoll_has(struct kernel *k, uint64_t set, uint64_t data, const struct rec_fd *what);

/* Nothing is recorded any more; what is in the ring stays. */
void kernel_detach(struct kernel *k);

/* Readable when the ring should be looked at before its time. */
int kernel_fd(const struct kernel *k);
/* Hands every record to @fn, in order; a negative result of it ends that and is returned. How many there were. */
int kernel_consume(struct kernel *k, int (*fn)(void *ctx, void *data, size_t len), void *ctx);
/* The same, waiting for the next ones up to @us without sleeping. */
int kernel_linger(struct kernel *k, unsigned int us);
/* The same once more; from now on whoever has something urgent makes kernel_fd() readable. */
int kernel_rest(struct kernel *k);
/* The content of this file is known, as long as its inode has that change time: nobody who opens it need wait. */
void kernel_know(struct kernel *k, uint64_t dev, uint64_t ino, int64_t ctime);
struct goroutine_layout;
/* The program of process @tgid has goroutines; @layout NULL: it has none. */
void kernel_goroutines(struct kernel *k, uint32_t tgid, const struct goroutine_layout *layout);
/* Threads that live. */
int64_t kernel_live(const struct kernel *k);
uint64_t kernel_lost(const struct kernel *k);
/* How often a program was left out since it ran already on that processor (kernel/trace/bpf_trace.c, __bpf_trace_run()). */
uint64_t kernel_missed(const struct kernel *k);

#endif
