/* SPDX-License-Identifier: Apache-2.0 */
/* A run in a process of its own: it enters namespaces that it cannot leave. */
#include <linux/types.h>

#include "replayer/replay.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

int replay_apart(struct recording *rec, const struct replay_options *opts, struct verdict *v)
{
	pid_t parent = getpid(), pid = fork();
	int status;

	if (pid < 0)
		return err_sys(&v->err, errno, "starting the replayer");
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(0);
		replay_run(rec, opts, v);
		_exit(0);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_sys(&v->err, errno, "waiting for the replayer");
	if (WIFSIGNALED(status))
		return err_set(&v->err, EIO, "the replayer itself was killed by SIG%s", sigabbrev_np(WTERMSIG(status)) ?: "?");
	if (WEXITSTATUS(status))
		return err_set(&v->err, EIO, "the replayer itself ended with status %d", WEXITSTATUS(status));
	return v->error ? -EIO : 0;
}
