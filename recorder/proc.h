/* SPDX-License-Identifier: Apache-2.0 */
/* What /proc and the cgroup file system say of processes. */
#ifndef CAPSULE_RECORDER_PROC_H
#define CAPSULE_RECORDER_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

/* Processes, into fresh memory: with all their descendants; in a cgroup's directory and below. 0, or -errno. */
int proc_family(const pid_t *roots, size_t nroots, pid_t **ret, size_t *n);
int proc_in_cgroup(const char *dir, pid_t **ret, size_t *n);

pid_t proc_parent(pid_t pid);		/* 0: it is gone */
/* In clock ticks since the boot, by which it is told from a later one of the same number; 0: it is gone. */
uint64_t proc_start_time(pid_t pid);
/* Its number in its own pid namespace; @pid if that can't be told. */
uint32_t proc_own_number(pid_t pid);
/* @which: "pid", "net", ... False also if that can't be told. */
bool proc_same_namespace(pid_t a, pid_t b, const char *which);
/* The text of /proc/PID/cgroup; NULL: it is gone, or no memory. */
char *proc_cgroups(pid_t pid);
/* Is its root directory ours? */
bool proc_same_root(pid_t pid);
bool proc_at_random(pid_t pid, uint8_t bytes[16]);

/* What its descriptor leads to, as the kernel calls it; without " (deleted)". */
bool proc_fd_link(pid_t pid, int fd, char *buf, size_t len);
typedef void (*proc_fd)(void *ctx, pid_t pid, int fd, const struct stat *st, int flags);
void proc_each_fd(pid_t pid, proc_fd f, void *ctx);
void proc_each_open(pid_t pid, proc_fd f, void *ctx);	/* without their flags, which cost most */
/* A device number as stat(2) gives it, in the kernel's form. */
uint32_t proc_kernel_dev(dev_t dev);

#endif
