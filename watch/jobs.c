/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/jobs.h"

#include "format/cleanup.h"
#include "format/io.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Its time is when it was begun: by that the limits know it again. */
static int put_in_place(struct job *j, const struct redact_copied *c, struct err *err)
{
	const struct timespec at = { j->begun / 1000000000, j->begun % 1000000000 };

	if (store_name_trace(&j->names, c->trace, c->span, err) < 0)
		return -err->code;
	if (utimensat(AT_FDCWD, j->names.writing, (struct timespec[]){ at, at }, 0) < 0 || rename(j->names.writing, j->names.final) < 0)
		return err_sys(err, errno, "putting '%s' in its place", j->names.final);
	return 0;
}

static void work(struct job *j, const struct capture *c, int to, pid_t parent)
{
	struct job_result r = { .err = ERR_INIT };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);	/* it was killed before we asked to be told: we hold its programs in the kernel */
	prctl(PR_SET_NAME, "capsule-writer");
	setpriority(PRIO_PROCESS, 0, 5);
	if (capture_write(c, j->names.writing, &r.captured, &r.err) == 0 && put_in_place(j, &r.captured.copied, &r.err) < 0)
		unlink(j->names.writing);
	_exit(io_write(to, &r, sizeof(r)) < 0);
}

int job_start(struct job *j, const struct capture *c, struct err *err)
{
	pid_t pid, parent = getpid();
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(err, errno, "pipe");
	pid = fork();
	if (pid == 0)
		work(j, c, ends[1], parent);
	close(ends[1]);
	if (pid < 0) {
		int e = errno;

		close(ends[0]);
		return err_sys(err, e, "fork");
	}
	j->pid = pid;
	j->result = ends[0];
	return 0;
}

void job_end(struct job *j, struct job_result *ret)
{
	ssize_t n = io_read(j->result, ret, sizeof(*ret));

	if (n != sizeof(*ret)) {
		*ret = (struct job_result){ .err = ERR_INIT };
		err_set(&ret->err, EPIPE, "who wrote it was killed");
		unlink(j->names.writing);
	}
	if (!ret->err.code)
		store_name_trace(&j->names, ret->captured.copied.trace, ret->captured.copied.span, &ret->err);
	close(j->result);
	j->pid = 0;
}
