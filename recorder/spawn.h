/* SPDX-License-Identifier: Apache-2.0 */
/* The command's process, and the guard that continues what we stopped should the recorder be killed. */
#ifndef CAPSULE_SPAWN_H
#define CAPSULE_SPAWN_H

#include "recorder/recorder.h"

#include <signal.h>
#include <sys/types.h>

struct guard;

/* The signals that the recorder takes while it records. */
struct our_signals {
	sigset_t before;	/* the mask that the command gets back */
	struct sigaction child;	/* of SIGCHLD, likewise */
	int fd;			/* signalfd: SIGCHLD, TERM, HUP, INT, QUIT */
};
int signals_take(struct our_signals *ret, struct err *err);
void signals_give_back(struct our_signals *s);

struct command {
	pid_t pid;
	int pidfd;
	int go;			/* a word here, and it calls execve() */
	int failed;		/* its errno comes here if that fails */
	bool declines;		/* it gets ENOSYS for the calls that we can't record */
};

/* Forks; the child waits. Environment, stdio, signals are ours. */
int command_spawn(struct command *ret, const struct record_opts *opts, const struct our_signals *s, struct err *err);
/* 0: it runs; else the errno of execve(). */
int command_go(struct command *c);
/* Kills a child that still waits; closes. */
void command_end(struct command *c);

/*
 * A process that sleeps until the recorder's end of a pipe closes without a
 * word, and then continues every process of the scope that is stopped.
 */
int guard_start(struct guard **ret, struct err *err);
void guard_add(struct guard *g, pid_t pid);
void guard_remove(struct guard *g, pid_t pid);
/* A clean end: it leaves. NULL is fine. */
void guard_stop(struct guard *g);
/* The process was stopped by us: it may go on. */
void guard_continue(uint32_t pid);

#endif
