/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/tool.h"

#include "format/cleanup.h"
#include "format/io.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

extern char **environ;

enum { MAX_OUTPUT = 16 << 20 };

/* Both into files in memory: nothing is read while it runs, so nothing can block. */
static int spawn(char *const argv[], int out, int errors, pid_t *pid)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none;
	int e;

	sigemptyset(&none);
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	e = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	if (!e)
		e = posix_spawn_file_actions_adddup2(&actions, out, 1);
	if (!e)
		e = posix_spawn_file_actions_adddup2(&actions, errors, 2);
	if (!e)
		e = posix_spawnp(pid, argv[0], &actions, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	return e;
}

static int take_all(int fd, char **ret, size_t *len)
{
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size > MAX_OUTPUT)
		return -EFBIG;
	_cleanup_free_ char *text = malloc((size_t)st.st_size + 1);
	if (!text)
		return -ENOMEM;
	n = io_pread(fd, text, (size_t)st.st_size, 0);
	if (n < 0)
		return (int)n;
	text[n] = 0;
	if (len)
		*len = (size_t)n;
	*ret = TAKE_PTR(text);
	return 0;
}

/* The last line that it said; of logrus's (time="..." level=fatal msg="...") the message. */
static const char *last_words(char *text)
{
	size_t n = strlen(text);
	char *line, *msg;

	while (n > 0 && text[n - 1] == '\n')
		text[--n] = 0;
	line = strrchr(text, '\n') ? strrchr(text, '\n') + 1 : text;
	msg = strstr(line, " msg=\"");
	if (msg) {
		line = msg + 6;
		line[strlen(line) - (line[0] && line[strlen(line) - 1] == '"')] = 0;
	}
	return line;
}

int tool_run(char *const argv[], char **out, size_t *len, struct err *err)
{
	_cleanup_free_ char *words = NULL;
	int status, e;
	pid_t pid;

	_cleanup_fd_ int output = memfd_create("output", MFD_CLOEXEC);
	_cleanup_fd_ int errors = memfd_create("errors", MFD_CLOEXEC);
	if (output < 0 || errors < 0)
		return err_sys(err, errno, "making a file in memory");
	e = spawn(argv, output, errors, &pid);
	if (e == ENOENT)
		return err_set(err, ENOPKG, "%s is not installed; mend: apt-get install skopeo umoci", argv[0]);
	if (e)
		return err_sys(err, e, "starting %s", argv[0]);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_sys(err, errno, "waiting for %s", argv[0]);
	if (!WIFEXITED(status) || WEXITSTATUS(status)) {
		e = take_all(errors, &words, NULL);
		return err_set(err, EIO, "%s: %.400s", argv[0], e < 0 || !words[0] ? "it failed" : last_words(words));
	}
	e = out ? take_all(output, out, len) : 0;
	return e < 0 ? err_sys(err, -e, "what %s printed", argv[0]) : 0;
}
