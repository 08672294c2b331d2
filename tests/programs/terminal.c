/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a shell command on a pseudoterminal of its own, types what it reads, and prints in one piece what came back. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

static int command(const char *name, const char *line)
{
	int slave;

	setsid();
	slave = open(name, O_RDWR);
	if (slave < 0 || ioctl(slave, TIOCSCTTY, 0) < 0 || dup2(slave, 0) < 0 || dup2(slave, 1) < 0 || dup2(slave, 2) < 0)
		return 126;
	execl("/bin/sh", "sh", "-c", line, NULL);
	return 127;
}

int main(int argc, char **argv)
{
	static char typed[4096], back[65536];
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), status;
	size_t len = 0;
	ssize_t n;
	struct termios t;
	pid_t pid;

	if (argc != 2 || master < 0 || grantpt(master) < 0 || unlockpt(master) < 0 || tcgetattr(master, &t) < 0)
		return 1;
	t.c_lflag &= ~(tcflag_t)ECHO;	/* else what is typed comes back as soon as it is, whatever the command does meanwhile */
	if (tcsetattr(master, TCSANOW, &t) < 0)
		return 1;
	pid = fork();
	if (pid == 0)
		_exit(command(ptsname(master), argv[1]));
	while ((n = read(0, typed, sizeof(typed))) > 0)
		if (write(master, typed, (size_t)n) != n)
			return 1;
	while (len < sizeof(back) && (n = read(master, back + len, sizeof(back) - len)) > 0)
		len += (size_t)n;	/* EIO: the other end is closed */
	if (fwrite(back, 1, len, stdout) != len || waitpid(pid, &status, 0) != pid)
		return 1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}
