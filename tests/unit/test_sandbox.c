/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sandbox, from the outside and from within.  sandbox_enter() is one-way,
 * so each case is a process of its own; started by root, it is nobody's.
 * Notified calls are answered by a thread: go on.
 */
#include "sandbox/sandbox.h"

#include "format/cleanup.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#define NOBODY 65534
#define LIMIT_S 30	/* for a case */

/* In a case's process, where cmocka's asserts can't be used. */
#define CHECK(x, ...) do { \
	if (!(x)) { \
		fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #x); \
		fprintf(stderr, __VA_ARGS__); \
		fputc('\n', stderr); \
		_exit(1); \
	} \
} while (0)

static char *no_env[] = { (char *)"PATH=/usr/bin:/bin", (char *)"WORD=some thing", NULL };

static struct manifest manifest(char **argv)
{
	return (struct manifest){
		.argv = argv, .env = no_env, .cwd = (char *)"/", .uid = 4711, .euid = 4711, .gid = 4712, .egid = 4712,
		.umask = 027, .pid = 12345, .pgid = 12345, .sid = 12345, .hostname = (char *)"recorded",
		.domainname = (char *)"example",
	};
}

/* ---- running something ------------------------------------------------------- */

static void *answer(void *arg)
{
	int fd = *(int *)arg;

	for (;;) {
		struct seccomp_notif n;
		struct seccomp_notif_resp r = { .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE };
		struct pollfd p = { .fd = fd, .events = POLLIN };

		memset(&n, 0, sizeof(n));
		if (poll(&p, 1, -1) < 0 && errno != EINTR)
			return NULL;
		if (p.revents & POLLHUP)
			return NULL;
		if (ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &n) < 0)
			continue;
		r.id = n.id;
		ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, &r);
	}
}

static void start_answering(struct sandbox *sb)
{
	static int fd;
	pthread_t t;

	fd = dup(sandbox_listener(sb));
	CHECK(fd >= 0 && pthread_create(&t, NULL, answer, &fd) == 0, "thread");
	pthread_detach(t);
}

static int wait_end(struct sandbox *sb)
{
	struct pollfd p = { .fd = sandbox_control(sb), .events = POLLIN };
	int status = 0, e;

	while ((e = sandbox_wait(sb, &status)) == 0)
		CHECK(poll(&p, 1, LIMIT_S * 1000) > 0, "the guest does not end");
	CHECK(e == 1, "sandbox_wait: %d", e);
	return status;
}

struct ran {
	int status, exec_error;
	char out[8192];
};

/* Runs @spec in this process with stdout caught. */
static struct ran run(struct sandbox_spec *spec)
{
	struct err err = ERR_INIT;
	struct ran ran = { 0 };
	struct sandbox *sb = NULL;
	size_t len = 0;
	ssize_t n;
	int p[2];

	CHECK(pipe2(p, O_CLOEXEC) == 0, "pipe");
	struct sandbox_fd fds[] = { { 1, p[1] }, { 2, 2 } };
	spec->fds = fds;
	spec->nfds = 2;
	spec->rootfs = spec->rootfs ? spec->rootfs : "/";
	spec->exec_path = spec->exec_path ? spec->exec_path : "/bin/sh";
	CHECK(sandbox_enter(spec->m, &err) == 0, "%s", err.text);
	CHECK(sandbox_spawn(&sb, spec, &err) == 0, "%s", err.text);
	close(p[1]);
	start_answering(sb);
	CHECK(sandbox_go(sb, &err) == 0, "%s", err.text);
	while ((n = read(p[0], ran.out + len, sizeof(ran.out) - 1 - len)) > 0)
		len += n;
	ran.status = wait_end(sb);
	ran.exec_error = sandbox_exec_error(sb);
	sandbox_free(sb);
	return ran;
}

static struct ran sh_with(struct sandbox_spec spec, const char *script)
{
	char *argv[] = { (char *)"sh", (char *)"-c", (char *)script, NULL };
	struct manifest m = manifest(argv);

	spec.m = &m;
	return run(&spec);
}

static struct ran sh(const char *script)
{
	return sh_with((struct sandbox_spec){ .cpu = -1 }, script);
}

static void check_out(const struct ran *ran, const char *want)
{
	CHECK(ran->status == 0 && !strcmp(ran->out, want), "status %#x, got:\n%swanted:\n%s", ran->status, ran->out, want);
}

/* The case @fn in a process of its own. */
static void in_child(void (*fn)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		alarm(LIMIT_S);
		if (geteuid() == 0 && (setgid(NOBODY) < 0 || setuid(NOBODY) < 0 || chdir("/") < 0))
			_exit(2);
		fn();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}
#define CASE(name) \
	static void name##_(void); \
	static void name(void **state) { (void)state; in_child(name##_); } \
	static void name##_(void)

/* ---- the guest --------------------------------------------------------------- */

CASE(runs_a_program)
{
	char *argv[] = { (char *)"true", NULL };
	struct manifest m = manifest(argv);
	struct sandbox_spec spec = { .m = &m, .exec_path = "/bin/true", .cpu = 0 };
	struct ran ran = run(&spec);

	CHECK(ran.status == 0 && ran.exec_error == 0, "status %#x", ran.status);
}

CASE(gives_the_exit_status)
{
	struct ran ran = sh("exit 7");

	CHECK(WIFEXITED(ran.status) && WEXITSTATUS(ran.status) == 7, "status %#x", ran.status);
}

CASE(gives_the_killing_signal)
{
	struct ran ran = sh("kill -TERM $$");

	CHECK(WIFSIGNALED(ran.status) && WTERMSIG(ran.status) == SIGTERM, "status %#x", ran.status);
}

CASE(tells_that_execve_failed)
{
	char *argv[] = { (char *)"nothing", NULL };
	struct manifest m = manifest(argv);
	struct sandbox_spec spec = { .m = &m, .exec_path = "/no/such/program", .cpu = -1 };
	struct ran ran = run(&spec);

	CHECK(ran.exec_error == ENOENT && WEXITSTATUS(ran.status) == 127, "%d", ran.exec_error);
}

CASE(tells_that_the_working_directory_is_missing)
{
	char *argv[] = { (char *)"true", NULL };
	struct manifest m = manifest(argv);
	struct sandbox_spec spec = { .rootfs = "/", .m = &m, .exec_path = "/bin/true", .cpu = -1 };
	struct sandbox *sb = NULL;
	struct err err = ERR_INIT;

	m.cwd = (char *)"/no/such/directory";
	CHECK(sandbox_enter(&m, &err) == 0, "%s", err.text);
	CHECK(sandbox_spawn(&sb, &spec, &err) == -ENOENT && !sb, "%s", err.text);
	CHECK(strstr(err.text, m.cwd), "%s", err.text);
}

CASE(is_who_was_recorded)
{
	struct ran ran = sh("echo $$; id -u; id -g; uname -n; umask; pwd; echo $WORD; cat /proc/sys/kernel/domainname; "
			    "cut -d' ' -f5,6 /proc/self/stat");

	check_out(&ran, "12345\n4711\n4712\nrecorded\n0027\n/\nsome thing\nexample\n12345 12345\n");
}

CASE(has_no_power)
{
	struct ran ran = sh("grep -E '^(Cap|NoNewPrivs|Seccomp:|Sig(Blk|Ign))' /proc/self/status | tr -d '\\t'; "
			    "cat /proc/self/personality; kill -9 1; { echo x >/proc/sys/kernel/hostname; } 2>/dev/null; "
			    "cat /proc/1/environ 2>/dev/null; echo alive");

	check_out(&ran, "SigBlk:0000000000000000\nSigIgn:0000000000000000\n"
		  "CapInh:0000000000000000\nCapPrm:0000000000000000\nCapEff:0000000000000000\n"
		  "CapBnd:0000000000000000\nCapAmb:0000000000000000\nNoNewPrivs:1\nSeccomp:2\n00040000\nalive\n");
}

CASE(may_make_no_user_namespace)
{
	struct ran ran = sh("cat /proc/sys/user/max_user_namespaces; cat /proc/self/oom_score_adj");

	check_out(&ran, "0\n1000\n");
}

CASE(has_the_recorded_limits)
{
	char *argv[] = { (char *)"sh", (char *)"-c", (char *)"ulimit -n; ulimit -Hn; ulimit -c", NULL };
	struct manifest m = manifest(argv);
	struct sandbox_spec spec = { .m = &m, .cpu = -1 };
	struct ran ran;

	m.nrlimits = 16;
	for (int i = 0; i < 16; i++)
		m.rlimits[i].cur = m.rlimits[i].max = UINT64_MAX;
	m.rlimits[7].cur = 6;	/* RLIMIT_NOFILE */
	m.rlimits[7].max = 77;
	m.rlimits[4].cur = 0;	/* RLIMIT_CORE */
	ran = run(&spec);
	check_out(&ran, "6\n77\n0\n");
}

CASE(has_only_the_fds_it_was_given)
{
	struct ran ran = sh("ls /proc/self/fd | tr '\\n' ' '");

	check_out(&ran, "0 1 2 ");	/* 0 is the directory that ls reads */
}

CASE(gets_fds_at_their_numbers)
{
	char *argv[] = { (char *)"sh", (char *)"-c", (char *)"cat <&3; cat <&4; cat <&7; ls /proc/self/fd | wc -l", NULL };
	struct manifest m = manifest(argv);
	struct err err = ERR_INIT;
	struct sandbox *sb;
	char out[64] = "";
	int p[4][2];

	for (int i = 0; i < 4; i++)
		CHECK(pipe2(p[i], O_CLOEXEC) == 0, "pipe");
	for (int i = 0; i < 3; i++) {
		char c[2] = { 'a' + i, '\n' };

		CHECK(write(p[i][1], c, 2) == 2, "write");
		close(p[i][1]);
	}
	/* Numbers that are taken here by others of them. */
	struct sandbox_fd fds[] = { { p[0][0], p[1][0] }, { 4, p[0][0] }, { 7, p[2][0] }, { 1, p[3][1] }, { 0, p[2][0] }, { 2, 2 } };
	struct sandbox_spec spec = { .rootfs = "/", .m = &m, .exec_path = "/bin/sh", .fds = fds, .nfds = 6, .cpu = -1 };

	CHECK(p[0][0] == 3, "fd 3 is in use here");
	CHECK(sandbox_enter(&m, &err) == 0 && sandbox_spawn(&sb, &spec, &err) == 0, "%s", err.text);
	close(p[3][1]);
	start_answering(sb);
	CHECK(sandbox_go(sb, &err) == 0, "%s", err.text);
	for (size_t len = 0, n; (n = read(p[3][0], out + len, sizeof(out) - 1 - len)) > 0;)
		len += n;
	CHECK(!strcmp(out, "b\na\nc\n7\n"), "%s", out);
	sandbox_free(sb);
}

CASE(sees_its_own_processes_only)
{
	struct ran ran = sh("set -- /proc/[0-9]*; echo $*; ls /dev | tr '\\n' ' '; echo x >/dev/shm/x && cat /dev/shm/x");

	check_out(&ran, "/proc/1 /proc/12345\nfd full null ptmx pts random shm stderr stdin stdout tty urandom zero x\n");
}

CASE(lives_at_another_time)
{
	struct sandbox_spec spec = { .cpu = -1, .monotonic_offset = 1000000ll * 1000000000 - 1, .boottime_offset = 2000000ll * 1000000000 };
	struct ran ran = sh_with(spec, "cut -d. -f1 /proc/uptime");
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	CHECK(ran.status == 0 && labs(atol(ran.out) - now.tv_sec - 2000000) < 30, "%s", ran.out);
}

/* ---- the layer ----------------------------------------------------------------- */

static char host_dir[64];	/* on the host, ours */

static void make_host_dir(void)
{
	char path[128];
	int fd;

	strcpy(host_dir, "/tmp/test-sandbox-XXXXXX");
	CHECK(mkdtemp(host_dir), "mkdtemp: %s", strerror(errno));
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s", host_dir, i ? "gone" : "old");
		fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
		CHECK(fd >= 0 && write(fd, "host\n", 5) == 5, "%s", path);
		close(fd);
	}
	snprintf(path, sizeof(path), "%s/link", host_dir);
	CHECK(symlink("/etc", path) == 0, "symlink");
}

static void remove_host_dir(void)
{
	static const char *const names[] = { "old", "gone", "link" };
	char path[128];

	for (int i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%s", host_dir, names[i]);
		unlink(path);
	}
	CHECK(rmdir(host_dir) == 0, "the host's directory changed");
}

static const char *in_host_dir(const char *name)
{
	static char path[4][128];
	static int i;

	i = (i + 1) % 4;
	snprintf(path[i], sizeof(path[i]), "%s/%s", host_dir, name);
	return path[i];
}

static int put(struct layer *l, const char *path, const char *text, int64_t mtime, struct err *err)
{
	int fd = -1;

	if (layer_file(l, path, 0640, &fd, err) < 0)
		return -err->code;
	CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text), "write");
	close(fd);
	return layer_mtime(l, path, mtime, err);
}

static int lay_some(void *ctx, struct layer *l, struct err *err)
{
	(void)ctx;
	if (put(l, in_host_dir("old"), "laid\n", 1234567890123456789, err) < 0 ||
	    put(l, "/root/told", "told\n", 0, err) < 0 || put(l, "/etc/ssl/private/told", "told too\n", 0, err) < 0 ||
	    put(l, "/brand/new/file", "new\n", 1000000000, err) < 0 ||
	    put(l, "/etc/capsule-test/a", "in etc\n", 1000000000, err) < 0 ||
	    put(l, "/brand/new/file", "new again\n", 1000000000, err) < 0 ||
	    put(l, "/dev/shm/segment", "shm\n", 1000000000, err) < 0 ||
	    layer_absent(l, in_host_dir("gone"), err) < 0 || layer_absent(l, "/no/where/at/all", err) < 0 ||
	    layer_absent(l, "/root/unreadable", err) < 0 ||
	    layer_dir(l, "/brand/dir", 0700, err) < 0 || layer_mtime(l, "/brand/dir", 86400ll * 1000000000, err) < 0 ||
	    put(l, "/brand/dir/x", "", 0, err) < 0 || layer_symlink(l, "/brand/link", "new/file", err) < 0)
		return -err->code;
	return 0;
}

CASE(lays_files_over_the_root)
{
	char script[1024];
	struct ran ran;

	make_host_dir();
	snprintf(script, sizeof(script),
		 "cd %s; ls; cat old; stat -c '%%Y %%a' old; cat /root/told /etc/ssl/private/told /brand/link /etc/capsule-test/a /dev/shm/segment; "
		 "echo changed >old; cat old; rm link; ls /brand; stat -c '%%Y %%a' /brand/dir; stat -c '%%n %%u' /usr; test -e /etc/passwd",
		 host_dir);
	ran = sh_with((struct sandbox_spec){ .cpu = -1, .lay = lay_some }, script);
	check_out(&ran, "link\nold\nlaid\n1234567890 640\ntold\ntold too\nnew again\nin etc\nshm\nchanged\ndir\nlink\nnew\n86400 700\n/usr 4711\n");
	CHECK(access(in_host_dir("gone"), F_OK) == 0 && access("/brand", F_OK) < 0, "the host's files changed");
	ran.out[0] = 0;
	_cleanup_fd_ int fd = open(in_host_dir("old"), O_RDONLY);
	CHECK(read(fd, ran.out, 16) == 5 && !memcmp(ran.out, "host\n", 5), "the host's file changed");
	remove_host_dir();
}

static int lay_badly(void *ctx, struct layer *l, struct err *err)
{
	static const char *const bad[] = {
		"", "/", "a", "a/b", "/a/../b", "/..", "/../etc/x", "/a/./b", "/a//b", "/a/", "//a", "/.", "/a/..",
		"/link/file", "/bin/file", "/etc/passwd/file", "/usr/bin", "/proc/x", "/sys", "/dev/null",
	};
	int fd;

	(void)ctx;
	CHECK(layer_symlink(l, "/link", "/etc", err) == 0 && layer_absent(l, "/usr", err) == 0, "%s", err->text);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err e[5] = { 0 };

		CHECK(layer_file(l, bad[i], 0644, &fd, &e[0]) == -EINVAL, "'%s': %s", bad[i], e[0].text);
		CHECK(layer_dir(l, bad[i], 0755, &e[1]) == -EINVAL, "'%s': %s", bad[i], e[1].text);
		CHECK(layer_symlink(l, bad[i], "x", &e[2]) == -EINVAL, "'%s': %s", bad[i], e[2].text);
		CHECK(layer_mtime(l, bad[i], 0, &e[3]) < 0, "'%s': %s", bad[i], e[3].text);
		if (strcmp(bad[i], "/link/file"))	/* not there anyway */
			CHECK(layer_absent(l, bad[i], &e[4]) == -EINVAL, "'%s': %s", bad[i], e[4].text);
	}
	return err_set(err, ECANCELED, "seen enough");
}

CASE(refuses_paths_that_lead_elsewhere)
{
	char *argv[] = { (char *)"true", NULL };
	struct manifest m = manifest(argv);
	struct sandbox_spec spec = { .rootfs = "/", .m = &m, .exec_path = "/bin/true", .cpu = -1, .lay = lay_badly };
	struct sandbox *sb = NULL;
	struct err err = ERR_INIT;

	CHECK(sandbox_enter(&m, &err) == 0, "%s", err.text);
	CHECK(sandbox_spawn(&sb, &spec, &err) == -ECANCELED, "%s", err.text);
	CHECK(!strcmp(err.text, "seen enough"), "%s", err.text);
}

CASE(takes_a_directory_as_root)
{
	static const char *const links[][2] = { { "usr/bin", "bin" }, { "usr/lib", "lib" }, { "usr/lib64", "lib64" }, { "gone", "here" } };
	static const char *const binds[][2] = { { "/usr", "/usr" }, { "/etc/passwd", "/data/deep/passwd" } };
	struct sandbox_spec spec = { .binds = binds, .nbinds = 2, .cpu = -1, .rootfs = host_dir };
	struct ran ran;

	make_host_dir();
	CHECK(mkdir(in_host_dir("a,b:c\\d"), 0755) == 0, "mkdir");
	for (int i = 0; i < 4; i++)
		CHECK(symlink(links[i][0], in_host_dir(links[i][1])) == 0, "symlink");
	ran = sh_with(spec, "cd /; echo *; cat old; (cd a,b:c*; echo x >x; cat x); test -s /data/deep/passwd || exit 1; "
		      "{ >/data/deep/passwd; } 2>/dev/null; { >/usr/x; } 2>/dev/null; readlink here");
	check_out(&ran, "a,b:c\\d bin data dev gone here lib lib64 link old proc sys usr\nhost\nx\ngone\n");
	for (int i = 0; i < 4; i++)
		unlink(in_host_dir(links[i][1]));
	CHECK(rmdir(in_host_dir("a,b:c\\d")) == 0, "the host's directory changed");
	remove_host_dir();
}

static void write_text(const char *path, const char *text)
{
	_cleanup_fd_ int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text), "%s: %s", path, strerror(errno));
}

/* A container of our own, as it were. */
static void enter_userns(void)
{
	char map[32];
	uid_t uid = geteuid();
	gid_t gid = getegid();

	snprintf(map, sizeof(map), "0 %u 1", uid);
	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	CHECK(unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0, "unshare: %s", strerror(errno));
	write_text("/proc/self/setgroups", "deny");
	write_text("/proc/self/uid_map", map);
	snprintf(map, sizeof(map), "0 %u 1", gid);
	write_text("/proc/self/gid_map", map);
}

static int lay_among_mounts(void *ctx, struct layer *l, struct err *err)
{
	(void)ctx;
	if (put(l, in_host_dir("old"), "laid\n", 0, err) < 0 || put(l, in_host_dir("mnt/laid"), "laid too\n", 0, err) < 0 ||
	    put(l, in_host_dir("new/dir/file"), "new\n", 0, err) < 0 || layer_absent(l, in_host_dir("gone"), err) < 0 ||
	    put(l, in_host_dir("side/dir/laid"), "beside\n", 0, err) < 0 || layer_absent(l, in_host_dir("mnt/there"), err) < 0)
		return -err->code;
	return 0;
}

static void among_mounts(void)
{
	struct sandbox_spec spec = { .cpu = -1, .lay = lay_among_mounts };
	char script[512];
	struct ran ran;

	enter_userns();
	CHECK(mount("none", in_host_dir("mnt"), "tmpfs", 0, NULL) == 0, "mount: %s", strerror(errno));
	write_text(in_host_dir("mnt/there"), "there\n");
	write_text(in_host_dir("mnt/stays"), "stays\n");
	write_text(in_host_dir("side/own"), "own\n");
	snprintf(script, sizeof(script), "cd %s; echo * [!l]*/*; cat old mnt/laid new/dir/file side/dir/laid side/own; readlink link; "
		 "echo x >mnt/stays; echo y >side/own; cat mnt/stays side/own; rm -r mnt/*; echo mnt/*", host_dir);
	ran = sh_with(spec, script);
	check_out(&ran, "link mnt new old side mnt/laid mnt/stays new/dir side/dir side/own\n"
		  "laid\nlaid too\nnew\nbeside\nown\n/etc\nx\ny\nmnt/*\n");
	CHECK(access(in_host_dir("mnt/stays"), F_OK) == 0 && access(in_host_dir("new"), F_OK) < 0, "the host's files changed");
}

CASE(takes_a_directory_with_mounts_apart)
{
	int status;
	pid_t pid;

	make_host_dir();
	CHECK(mkdir(in_host_dir("mnt"), 0755) == 0 && mkdir(in_host_dir("side"), 0755) == 0, "mkdir");
	pid = fork();
	if (pid == 0) {
		among_mounts();
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0, "%#x", status);
	unlink(in_host_dir("side/own"));
	CHECK(rmdir(in_host_dir("mnt")) == 0 && rmdir(in_host_dir("side")) == 0, "the host's directories changed");
	remove_host_dir();
}

CASE(names_the_setting_that_forbids_it)
{
	struct manifest m = manifest(NULL);
	struct err err = ERR_INIT;

	enter_userns();
	write_text("/proc/sys/user/max_user_namespaces", "0");
	CHECK(sandbox_enter(&m, &err) == -ENOSPC, "%s", err.text);
	CHECK(strstr(err.text, "sysctl -w user.max_user_namespaces="), "%s", err.text);
}

/* ---- the supervisor's side --------------------------------------------------- */

static struct sandbox *spawn_sh(const char *script, size_t shared_size, struct manifest *m)
{
	static char *argv[] = { (char *)"sh", (char *)"-c", NULL, NULL };
	static struct sandbox_fd fds[] = { { 2, 2 } };
	struct sandbox_spec spec = { .rootfs = "/", .m = m, .exec_path = "/bin/sh", .fds = fds, .nfds = 1, .cpu = -1,
				     .shared_size = shared_size };
	struct err err = ERR_INIT;
	struct sandbox *sb;

	argv[2] = (char *)script;
	*m = manifest(argv);
	CHECK(sandbox_enter(m, &err) == 0, "%s", err.text);
	CHECK(sandbox_spawn(&sb, &spec, &err) == 0, "%s", err.text);
	return sb;
}

CASE(shares_a_file_with_the_guest)
{
	struct manifest m;
	struct sandbox *sb = spawn_sh("exec 3<>/dev/.capsule; echo hello >&3; echo out >/tmp/capsule-out", 65536, &m);
	struct err err = ERR_INIT;
	struct stat st;
	char buf[8] = "";

	CHECK(fstat(sandbox_shared(sb), &st) == 0 && st.st_size == 65536 && (st.st_mode & 07777) == 0600, "%#o", st.st_mode);
	start_answering(sb);
	CHECK(sandbox_go(sb, &err) == 0, "%s", err.text);
	CHECK(wait_end(sb) == 0, "status");
	CHECK(pread(sandbox_shared(sb), buf, 6, 0) == 6 && !strcmp(buf, "hello\n"), "%s", buf);
	_cleanup_fd_ int fd = openat(sandbox_root(sb), "tmp/capsule-out", O_RDONLY);
	CHECK(fd >= 0 && read(fd, buf, 4) == 4 && !memcmp(buf, "out\n", 4), "the file that the guest wrote");
	CHECK(access("/tmp/capsule-out", F_OK) < 0, "it is on the host");
	sandbox_free(sb);
}

CASE(sets_the_next_pid)
{
	struct manifest m;
	struct sandbox *sb = spawn_sh("sh -c 'test $$ = 23456' & wait $!", 0, &m);
	struct err err = ERR_INIT;

	CHECK(sandbox_next_pid(sb, 23456) == 0, "next pid");
	CHECK(sandbox_next_pid(sb, -3) == -EINVAL, "a bad pid");
	start_answering(sb);
	CHECK(sandbox_go(sb, &err) == 0, "%s", err.text);
	CHECK(wait_end(sb) == 0, "another pid");
	sandbox_free(sb);
}

static void poke(pid_t pid, void *addr)
{
	char path[32];
	long word;
	struct iovec l = { &word, sizeof(word) }, r = { addr, sizeof(word) };

	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	_cleanup_fd_ int fd = open(path, O_RDWR | O_CLOEXEC);
	CHECK(fd >= 0, "%s: %s", path, strerror(errno));
	CHECK(pread(fd, &word, sizeof(word), (uintptr_t)addr) == sizeof(word), "pread %s", strerror(errno));
	CHECK(pwrite(fd, &word, sizeof(word), (uintptr_t)addr) == sizeof(word), "pwrite %s", strerror(errno));
	CHECK(process_vm_writev(pid, &l, 1, &r, 1, 0) == sizeof(word), "process_vm_writev: %s", strerror(errno));
	int pidfd = syscall(SYS_pidfd_open, pid, 0);
	int got = syscall(SYS_pidfd_getfd, pidfd, 2, 0);
	CHECK(got >= 0, "pidfd_getfd: %s", strerror(errno));
	close(got);
	close(pidfd);
}

/* Left half done, with the tracee and its children alive: sandbox_free() must not hang. */
CASE(lets_itself_be_traced)
{
	struct manifest m;
	struct sandbox *sb = spawn_sh("sleep 1000 & sleep 1000", 0, &m);
	pid_t pid = sandbox_guest(sb), init = sandbox_init(sb);
	long options = PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL | PTRACE_O_TRACEFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEVFORK;
	struct err err = ERR_INIT;
	int status;

	poke(pid, &status);
	start_answering(sb);
	CHECK(ptrace(PTRACE_SEIZE, pid, 0, options) == 0, "seize: %s", strerror(errno));
	CHECK(sandbox_go(sb, &err) == 0, "%s", err.text);
	for (int stops = 0, forks = 0; forks < 2; stops++) {
		pid_t p = waitpid(-1, &status, __WALL);

		CHECK(p > 0 && WIFSTOPPED(status) && stops < 50, "%d %#x", p, status);
		if (status >> 8 == (SIGTRAP | PTRACE_EVENT_EXEC << 8)) {
			struct user_regs_struct { unsigned long r[27]; } regs;
			struct iovec iov = { &regs, sizeof(regs) };

			CHECK(ptrace(PTRACE_GETREGSET, p, 1, &iov) == 0, "regs");
			if (p == pid)
				poke(pid, (void *)(regs.r[19] & ~7ul));	/* the stack */
		}
		forks += status >> 16 == PTRACE_EVENT_FORK || status >> 16 == PTRACE_EVENT_VFORK || status >> 16 == PTRACE_EVENT_CLONE;
		ptrace(PTRACE_CONT, p, 0, 0);
	}
	sandbox_free(sb);
	CHECK(kill(pid, 0) < 0 && errno == ESRCH && kill(init, 0) < 0 && errno == ESRCH, "something is left");
	CHECK(waitpid(-1, &status, __WALL) < 0 && errno == ECHILD, "a child is left");
}

CASE(kills_everything_at_the_end)
{
	struct manifest m;
	struct sandbox *sb = spawn_sh("trap '' TERM INT HUP; setsid sleep 1000 & sleep 1000 & exit 3", 0, &m);
	pid_t init = sandbox_init(sb), guest = sandbox_guest(sb);
	struct err err = ERR_INIT;
	char path[64], pids[256] = "";

	start_answering(sb);
	CHECK(sandbox_go(sb, &err) == 0, "%s", err.text);
	CHECK(WEXITSTATUS(wait_end(sb)) == 3, "status");
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", init, init);
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	CHECK(read(fd, pids, sizeof(pids) - 1) > 2, "no child is left to kill: %s", pids);
	sandbox_free(sb);
	CHECK(kill(init, 0) < 0 && kill(guest, 0) < 0, "something is left");
	for (char *p = strtok(pids, " "); p; p = strtok(NULL, " "))
		CHECK(kill(atoi(p), 0) < 0, "%s is left", p);
}

CASE(dies_with_its_supervisor)
{
	int p[2], status;
	pid_t pids[2];
	pid_t child;

	CHECK(pipe2(p, O_CLOEXEC) == 0, "pipe");
	child = fork();
	if (child == 0) {
		struct manifest m;
		struct sandbox *sb = spawn_sh("sleep 1000", 0, &m);

		pids[0] = sandbox_init(sb);
		pids[1] = sandbox_guest(sb);
		CHECK(write(p[1], pids, sizeof(pids)) == sizeof(pids), "write");
		raise(SIGKILL);
	}
	CHECK(read(p[0], pids, sizeof(pids)) == sizeof(pids), "read");
	CHECK(waitpid(child, &status, 0) == child, "wait");
	for (int i = 0; kill(pids[0], 0) == 0 || kill(pids[1], 0) == 0; i++) {
		CHECK(i < 200, "something is left");
		usleep(10000);
	}
}

/* ---- the network ----------------------------------------------------------------- */

union addr {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

static socklen_t make_addr(union addr *a, const char *text, uint16_t port)
{
	memset(a, 0, sizeof(*a));
	if (inet_pton(AF_INET, text, &a->in.sin_addr) == 1) {
		a->in.sin_family = AF_INET;
		a->in.sin_port = htons(port);
		return sizeof(a->in);
	}
	CHECK(inet_pton(AF_INET6, text, &a->in6.sin6_addr) == 1, "%s", text);
	a->in6.sin6_family = AF_INET6;
	a->in6.sin6_port = htons(port);
	return sizeof(a->in6);
}

static void check_peer(int fd, const union addr *want, socklen_t len)
{
	union addr got;
	socklen_t n = sizeof(got);

	CHECK(getpeername(fd, &got.sa, &n) == 0 && n == len && !memcmp(&got, want, len), "another peer");
}

static void try_pair(int type, const char *client, uint16_t cport, const char *server, uint16_t sport)
{
	union addr ca, sa, from;
	socklen_t cl = make_addr(&ca, client, cport), sl = make_addr(&sa, server, sport), fl = sizeof(from);
	int s = socket(sa.sa.sa_family, type, 0), c = socket(sa.sa.sa_family, type, 0), a = -1;
	char b = 0;

	CHECK(bind(s, &sa.sa, sl) == 0, "bind %s: %s", server, strerror(errno));
	CHECK(bind(c, &ca.sa, cl) == 0, "bind %s: %s", client, strerror(errno));
	CHECK(type != SOCK_STREAM || listen(s, 1) == 0, "listen");
	CHECK(connect(c, &sa.sa, sl) == 0, "connect to %s: %s", server, strerror(errno));
	CHECK(write(c, "x", 1) == 1, "write");
	check_peer(c, &sa, sl);
	if (type == SOCK_STREAM) {
		a = accept(s, NULL, NULL);
		check_peer(a, &ca, cl);
		CHECK(read(a, &b, 1) == 1 && b == 'x', "read");
	} else {
		CHECK(recvfrom(s, &b, 1, 0, &from.sa, &fl) == 1 && fl == cl && !memcmp(&from, &ca, cl), "another sender");
		CHECK(sendto(s, "y", 1, 0, &ca.sa, cl) == 1 && read(c, &b, 1) == 1 && b == 'y', "the answer");
	}
	close(a);
	close(c);
	close(s);
}

CASE(has_every_address)
{
	struct manifest m = manifest(NULL);
	struct err err = ERR_INIT;

	CHECK(sandbox_enter(&m, &err) == 0, "%s", err.text);
	try_pair(SOCK_STREAM, "192.168.7.9", 40001, "10.1.2.3", 5432);
	try_pair(SOCK_DGRAM, "192.168.7.9", 40001, "10.1.2.3", 53);
	try_pair(SOCK_STREAM, "2001:db8::1", 40001, "2001:db8::2", 443);
	try_pair(SOCK_DGRAM, "2001:db8::1", 40001, "2001:db8::2", 443);
	try_pair(SOCK_STREAM, "127.0.0.1", 40002, "127.0.0.1", 80);
	try_pair(SOCK_STREAM, "::1", 40002, "::1", 80);
	try_pair(SOCK_STREAM, "127.0.0.1", 40003, "127.0.0.53", 80);
}

/* ---- as root, and how long it takes ------------------------------------------------- */

static void works_as_root(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	if (geteuid() != 0)
		skip();
	pid = fork();
	if (pid == 0) {
		struct ran ran;

		alarm(LIMIT_S);
		ran = sh("id -u; { echo 1 >/proc/sys/vm/drop_caches; } 2>/dev/null || echo refused; "
			 "{ echo 1 >/sys/kernel/mm/ksm/run; } 2>/dev/null || echo refused; cat /root/.bashrc >/dev/null");
		check_out(&ran, "4711\nrefused\nrefused\n");
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

CASE(starts_fast)
{
	char *argv[] = { (char *)"true", NULL };
	struct manifest m = manifest(argv);
	struct sandbox_spec spec = { .m = &m, .exec_path = "/bin/true", .cpu = -1 };
	struct timespec a, b;
	struct ran ran;

	clock_gettime(CLOCK_MONOTONIC, &a);
	ran = run(&spec);
	clock_gettime(CLOCK_MONOTONIC, &b);
	print_message("/bin/true in %.1f ms\n", (b.tv_sec - a.tv_sec) * 1e3 + (b.tv_nsec - a.tv_nsec) / 1e6);
	CHECK(ran.status == 0, "status");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(runs_a_program),
		cmocka_unit_test(gives_the_exit_status),
		cmocka_unit_test(gives_the_killing_signal),
		cmocka_unit_test(tells_that_execve_failed),
		cmocka_unit_test(tells_that_the_working_directory_is_missing),
		cmocka_unit_test(is_who_was_recorded),
		cmocka_unit_test(has_no_power),
		cmocka_unit_test(may_make_no_user_namespace),
		cmocka_unit_test(has_the_recorded_limits),
		cmocka_unit_test(has_only_the_fds_it_was_given),
		cmocka_unit_test(gets_fds_at_their_numbers),
		cmocka_unit_test(sees_its_own_processes_only),
		cmocka_unit_test(lives_at_another_time),
		cmocka_unit_test(lays_files_over_the_root),
		cmocka_unit_test(refuses_paths_that_lead_elsewhere),
		cmocka_unit_test(takes_a_directory_as_root),
		cmocka_unit_test(takes_a_directory_with_mounts_apart),
		cmocka_unit_test(names_the_setting_that_forbids_it),
		cmocka_unit_test(shares_a_file_with_the_guest),
		cmocka_unit_test(sets_the_next_pid),
		cmocka_unit_test(lets_itself_be_traced),
		cmocka_unit_test(kills_everything_at_the_end),
		cmocka_unit_test(dies_with_its_supervisor),
		cmocka_unit_test(has_every_address),
		cmocka_unit_test(works_as_root),
		cmocka_unit_test(starts_fast),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
