/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Capsules made by hand, of tests/programs/script.c, and their replay.
 *
 * A tale is told in the order in which the recorder would have seen it:
 * tale_begin() names the words that the program does, then objects and calls,
 * then tale_says() what it printed.  tale_replay() ends it and replays it in a
 * process of its own; one that hangs is killed and fails the test.
 */
#ifndef CAPSULE_TESTS_TALE_H
#define CAPSULE_TESTS_TALE_H

#include "harness.h"

#include "format/capsule.h"
#include "format/cleanup.h"
#include "format/cli.h"
#include "format/io.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

extern const struct cmd cmd_replay_desc;

enum { TALE_LIMIT_MS = 30000, TALE_PID = 4242 };
enum { IN = 1, OUT, ERR, SOCK };	/* objects: the standard ones, and the first free number */

struct tale {
	char path[160];
	struct manifest m;
	char *argv[80];
	struct capsule_writer *w;
	uint32_t task;
	int32_t status;
	bool bare;		/* the test describes the fds at the start itself */
	uint64_t holes;
};

struct outcome {
	int status;		/* of the command; -1: it hung */
	char out[1 << 16], err[1 << 16], json[1 << 16];
};

#define SEG(a, p, n) { .arg = (a), .len = (n), .data = (const uint8_t *)(p) }
#define TEXT(a, s) SEG(a, s, strlen(s))
#define OBJ_OF(...) ((struct ev_object){ __VA_ARGS__ })

/* ---- the program ------------------------------------------------------------ */

static inline void tale_remove(void)
{
	const struct dirent *d;

	_cleanup_dir_ DIR *dir = opendir(scratch_dir);
	while (dir && (d = readdir(dir)) != NULL)
		if (d->d_name[0] != '.')
			unlinkat(dirfd(dir), d->d_name, 0);
}

static inline const char *tale_dir(void)
{
	if (!scratch_dir[0]) {
		scratch_path("");
		chmod(scratch_dir, 0755);
		atexit(tale_remove);	/* before scratch_remove() */
	}
	return scratch_dir;
}

/* script.c, compiled once: a path outside the image. */
static inline const char *script_program(void)
{
	static char path[160];
	char source[256], command[768];

	if (path[0])
		return path;
	snprintf(path, sizeof(path), "%s/script", tale_dir());
	snprintf(source, sizeof(source), "%.*sprograms/script.c",
		 (int)(strstr(__FILE__, "unit/") - __FILE__), __FILE__);
	snprintf(command, sizeof(command), "cc -std=gnu11 -D_GNU_SOURCE -O1 -static -pthread -o %s %s", path, source);
	if (system(command) != 0)
		fail_msg("can't compile %s", source);
	return path;
}

/* ---- addresses ---------------------------------------------------------------- */

/* As script.c spells them; one of a few buffers. */
static inline struct bytes addr(const char *text)
{
	static struct sockaddr_storage ring[16];
	static unsigned int at;
	struct sockaddr_storage *ss = &ring[at++ % 16];
	struct sockaddr_in *in = (void *)ss;
	struct sockaddr_in6 *in6 = (void *)ss;
	struct sockaddr_un *un = (void *)ss;
	char host[64] = "";
	int port = 0;

	memset(ss, 0, sizeof(*ss));
	if (text[0] == '/' || text[0] == '@') {
		un->sun_family = AF_UNIX;
		memcpy(un->sun_path, text, strlen(text));
		if (text[0] == '@')
			un->sun_path[0] = 0;
		return (struct bytes){ (void *)ss, 2 + strlen(text) + (text[0] == '/') };
	}
	if (sscanf(text, "[%63[^]]]:%d", host, &port) == 2) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons((uint16_t)port);
		inet_pton(AF_INET6, host, &in6->sin6_addr);
		return (struct bytes){ (void *)ss, sizeof(*in6) };
	}
	sscanf(text, "%63[^:]:%d", host, &port);
	in->sin_family = AF_INET;
	in->sin_port = htons((uint16_t)port);
	inet_pton(AF_INET, host, &in->sin_addr);
	return (struct bytes){ (void *)ss, sizeof(*in) };
}

/* ---- telling ------------------------------------------------------------------- */

static inline void tale_event(struct tale *t, struct event e)
{
	struct err err = ERR_INIT;

	if (!e.task && e.kind != EV_OUTPUT)
		e.task = t->task;
	assert_works(err, capsule_write(t->w, &e, &err));
}

static inline void tale_object(struct tale *t, struct ev_object o)
{
	o.path = o.path ? o.path : "";
	tale_event(t, (struct event){ .kind = EV_OBJECT, .object = o });
}

static inline void tale_call(struct tale *t, struct ev_call c)
{
	while (c.nsegs < CALL_MAX_SEGS && (c.segs[c.nsegs].data || c.segs[c.nsegs].len))
		c.nsegs++;
	tale_event(t, (struct event){ .kind = EV_CALL, .call = c });
}
#define CALL(t, number, result, ...) tale_call(t, (struct ev_call){ .nr = (number), .ret = (result), __VA_ARGS__ })

static inline void tale_fd(struct tale *t, uint32_t id, struct ev_object o, int32_t fd)
{
	int32_t fds[] = { fd };

	o.id = id;
	o.nfds = 1;
	o.fds = fds;
	tale_object(t, o);
}

static inline void tale_exec(struct tale *t, const char *path, char *const *argv)
{
	struct event e = { .kind = EV_EXEC, .exec = { .path = path, .cwd = "/", .vdso = 5 } };

	while (argv[e.exec.argc])
		e.exec.argc++;
	e.exec.argv = (const char *const *)argv;
	e.exec.env = (const char *const *)t->m.env;
	e.exec.envc = 1;
	memset(e.exec.at_random, 7, sizeof(e.exec.at_random));
	tale_event(t, e);
}

/* A regular file of the tale's world. */
static inline void tale_file(struct tale *t, const char *path, const void *data, size_t len, uint32_t mode)
{
	struct event e = { .kind = EV_FILE, .file = { .path = path, .state = FILE_REGULAR, .flags = FILE_CONTENT,
			   .mode = mode, .size = len, .mtime = 1600000000000000000, .has_hash = true, .target = "" } };
	struct err err = ERR_INIT;

	assert_works(err, capsule_write_blob(t->w, data, len, e.file.sha256, &err));
	tale_event(t, e);
}

static inline void tale_program(struct tale *t)
{
	char *data;
	size_t len;

	assert_int_equal(io_slurp(script_program(), 64 << 20, &data, &len), 0);
	tale_file(t, script_program(), data, len, 0755);
	free(data);
}

static inline void tale_open(struct tale *t, char *const *argv)
{
	static char *env[] = { (char *)"PATH=/usr/bin:/bin", NULL };
	static char *dirs[] = { (char *)"/usr", (char *)"/bin", (char *)"/lib", (char *)"/lib64", (char *)"/sbin", NULL };
	static unsigned int number;
	struct err err = ERR_INIT;

	snprintf(t->path, sizeof(t->path), "%s/tale-%u.cap", tale_dir(), number++);
	t->task = 1;
	t->m = (struct manifest){
		.tool = (char *)"capsule 0.1", .uuid = (char *)"6b1f0a52-9c0e-4f0b-8f43-0d7d6f3a2b11",
		.created = 1700000000000000000, .monotonic = 5000000000, .boottime = 6000000000, .clocks = (char *)"exact",
		.rootfs = (char *)"/", .image_dirs = dirs, .argv = (char **)argv, .env = env, .cwd = (char *)"/",
		.uid = getuid(), .euid = getuid(), .gid = getgid(), .egid = getgid(), .umask = 022,
		.pid = TALE_PID, .ppid = 1, .pgid = TALE_PID, .sid = TALE_PID, .hostname = (char *)"recorded",
		.domainname = (char *)"(none)", .sysname = (char *)"Linux", .release = (char *)"6.1.0",
		.version = (char *)"#1", .machine = (char *)"x86_64", .cpu_model = (char *)"a CPU", .ncpus = 1,
	};
	assert_works(err, capsule_writer_open(&t->w, t->path, &t->m, &err));
}

static inline void tale_stdio(struct tale *t)
{
	tale_fd(t, IN, OBJ_OF(.kind = OBJ_CHR, .path = "/dev/null", .rdev = makedev(1, 3)), 0);
	tale_fd(t, OUT, OBJ_OF(.kind = OBJ_PIPE, .open_flags = O_WRONLY), 1);
	tale_fd(t, ERR, OBJ_OF(.kind = OBJ_PIPE, .open_flags = O_WRONLY), 2);
}

/* glibc's first words in a static program. */
static inline void tale_startup(struct tale *t)
{
	CALL(t, SYS_getrandom, 8, .args = { 0x1000, 8, 1 }, .segs = { SEG(0, "malloc's", 8) });
}

static inline void tale_begin_argv(struct tale *t, char *const *argv)
{
	tale_open(t, argv);
	if (!t->bare)
		tale_stdio(t);
	tale_exec(t, argv[0], argv);
}

/* The words, up to a NULL. */
static inline void tale_begin(struct tale *t, ...)
{
	va_list ap;
	size_t n = 0;

	t->argv[n++] = (char *)script_program();
	va_start(ap, t);
	while (n < 79 && (t->argv[n] = va_arg(ap, char *)))
		n++;
	va_end(ap);
	t->argv[n] = NULL;
	tale_begin_argv(t, t->argv);
	tale_program(t);
	tale_startup(t);
}
#define TALE(t, ...) struct tale t = { 0 }; tale_begin(&t, __VA_ARGS__, NULL)
#define BARE_TALE(t) struct tale t = { .bare = true }

static inline void tale_writes(struct tale *t, uint32_t obj, int fd, const char *data)
{
	CALL(t, SYS_write, (int64_t)strlen(data), .obj = obj, .args = { (uint64_t)fd, 0x1000, strlen(data) }, .segs = { TEXT(1, data) });
}

static inline void tale_reads(struct tale *t, uint32_t obj, int fd, const char *data)
{
	CALL(t, SYS_read, (int64_t)strlen(data), .obj = obj, .args = { (uint64_t)fd, 0x1000, 1000 }, .segs = { TEXT(1, data) });
}

static inline void tale_says(struct tale *t, const char *text)
{
	tale_writes(t, OUT, 1, text);
}

static inline void tale_socket(struct tale *t, uint32_t id, int family, int type, const char *local, const char *remote)
{
	struct ev_object o = OBJ_OF(.id = id, .kind = OBJ_SOCKET, .family = family, .type = type);

	if (local)
		o.local = addr(local);
	if (remote)
		o.remote = addr(remote);
	tale_object(t, o);
}

static inline void tale_connects(struct tale *t, uint32_t obj, int fd, const char *to, int result)
{
	struct bytes a = addr(to);

	CALL(t, SYS_connect, result, .obj = obj, .args = { (uint64_t)fd, 0x1000, a.len }, .segs = { SEG(1, a.data, a.len) });
}

static inline void tale_sends(struct tale *t, uint32_t obj, int fd, const char *data)
{
	CALL(t, SYS_sendto, (int64_t)strlen(data), .obj = obj, .args = { (uint64_t)fd, 0x1000, strlen(data) }, .segs = { TEXT(1, data) });
}

static inline void tale_recvs(struct tale *t, uint32_t obj, int fd, const void *data, size_t len)
{
	CALL(t, SYS_recvfrom, (int64_t)len, .obj = obj, .args = { (uint64_t)fd, 0x1000, 100 }, .segs = { SEG(1, data, len) });
}

/* recv, recvfrom, read, ... that failed. */
static inline void tale_fails(struct tale *t, unsigned int nr, uint32_t obj, int fd, int result)
{
	CALL(t, (uint16_t)nr, result, .obj = obj, .args = { (uint64_t)fd, 0x1000, 100 });
}

static inline void tale_exit(struct tale *t, int status)
{
	t->status = t->task == 1 ? status : t->status;
	tale_event(t, (struct event){ .kind = EV_EXIT, .exit = { .status = status, .group = true } });
}

static inline void tale_finish(struct tale *t)
{
	struct capsule_end end = { .duration = 1000000, .status = t->status, .holes = t->holes };
	struct err err = ERR_INIT;

	if (t->w)
		assert_works(err, capsule_writer_finish(t->w, &end, &err));
	t->w = NULL;
}

/* ---- replaying ------------------------------------------------------------------ */

static inline void redirect(const char *path, int fd)
{
	int f = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (f < 0 || dup2(f, fd) < 0)
		_exit(98);
	close(f);
}

static inline void slurp(const char *path, char *buf, size_t room)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : io_read(fd, buf, room - 1);

	buf[n > 0 ? n : 0] = 0;
	if (fd >= 0)
		close(fd);
}

/* The replay command on @path, with @more words in front of it, in a process that is not waited for. */
static inline pid_t replay_start(const char *path, const char *const *more)
{
	static char files[3][200];
	char *argv[32] = { (char *)"replay", (char *)"-v", (char *)"--json", files[2] };
	pid_t pid, parent = getpid();
	int n = 4;

	for (int i = 0; i < 3; i++)
		snprintf(files[i], sizeof(files[i]), "%s/%s", tale_dir(), (const char *[]){ "out", "err", "json" }[i]);
	unlink(files[2]);
	while (more && *more && n < 30)
		argv[n++] = (char *)*more++;
	argv[n++] = (char *)path;
	argv[n] = NULL;
	fflush(NULL);
	pid = fork();
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(97);
	redirect(files[0], 1);
	redirect(files[1], 2);
	_exit(cmd_replay_desc.run(&cmd_replay_desc, n, argv));
}

static inline void replay_end(pid_t pid, struct outcome *o)
{
	struct pollfd p = { .fd = pidfd_open(pid, 0), .events = POLLIN };
	char path[200];
	int status;

	if (poll(&p, 1, TALE_LIMIT_MS) == 0)
		kill(pid, SIGKILL);
	close(p.fd);
	waitpid(pid, &status, 0);
	o->status = WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status) == SIGKILL ? -1 : 1000 + WTERMSIG(status);
	snprintf(path, sizeof(path), "%s/out", tale_dir());
	slurp(path, o->out, sizeof(o->out));
	snprintf(path, sizeof(path), "%s/err", tale_dir());
	slurp(path, o->err, sizeof(o->err));
	snprintf(path, sizeof(path), "%s/json", tale_dir());
	slurp(path, o->json, sizeof(o->json));
}

static inline void tale_replay_with(struct tale *t, struct outcome *o, const char *const *more)
{
	tale_finish(t);
	replay_end(replay_start(t->path, more), o);
}

static inline long json_number(const struct outcome *o, const char *key)
{
	char quoted[64];
	const char *at;

	snprintf(quoted, sizeof(quoted), "\"%s\":", key);
	at = strstr(o->json, quoted);
	return at ? atol(at + strlen(quoted)) : -1;
}

/* Identical, in every run, with nothing missing and nothing out of turn. */
static inline void tale_is_identical(struct tale *t)
{
	static const char *const twice[] = { "--runs", "2", NULL };
	struct outcome o;

	tale_replay_with(t, &o, twice);
	if (o.status != 0 || json_number(&o, "misses") != 0 || json_number(&o, "out_of_turn") != 0 ||
	    json_number(&o, "unused") != 0)
		fail_msg("status %d\n%s%s", o.status, o.err, o.out);
}

/* Exit status @status, and @words in what it said. */
static inline void tale_ends(struct tale *t, int status, const char *words)
{
	struct outcome o;

	tale_replay_with(t, &o, NULL);
	if (o.status != status || !strstr(o.err, words))
		fail_msg("status %d, not %d and '%s'\n%s%s", o.status, status, words, o.err, o.out);
}

#endif
