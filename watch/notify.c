/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/notify.h"

#include "format/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST = 64 };	/* at a time */

static pid_t running[MOST];

static void become(char *const *argv, size_t n, const char *policy, const char *file)
{
	_cleanup_free_ char **words = calloc(n + 2, sizeof(*words));
	sigset_t none;
	int null;

	if (!words)
		_exit(127);
	for (size_t i = 0; i < n; i++)
		words[i] = argv[i];
	words[n] = (char *)file;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	null = open("/dev/null", O_RDWR);
	dup2(null, 0);
	setenv("CAPSULE_POLICY", policy, 1);
	setenv("CAPSULE_FILE", file, 1);
	execvp(words[0], words);
	_exit(127);
}

int notify_run(char *const *argv, const char *policy, const char *file, struct err *err)
{
	size_t n = 0, at = 0;

	while (argv[n])
		n++;
	while (at < MOST && running[at])
		at++;
	if (at == MOST)
		return err_set(err, EAGAIN, "%d of '%s' run yet: nobody is told of '%s'", MOST, argv[0], file);
	running[at] = fork();
	if (running[at] == 0)
		become(argv, n, policy, file);
	if (running[at] < 0) {
		running[at] = 0;
		return err_sys(err, errno, "telling '%s'", argv[0]);
	}
	return 0;
}

void notify_reap(void)
{
	for (size_t i = 0; i < MOST; i++)
		if (running[i] && waitpid(running[i], NULL, WNOHANG) == running[i])
			running[i] = 0;
}
