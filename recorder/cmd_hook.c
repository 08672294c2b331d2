/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Called by a container's runtime (OCI runtime-spec, "POSIX-platform Hooks"),
 * with the container's state on stdin, twice:
 *
 *	createRuntime	the container's namespaces are there, its process waits
 *			for us before it executes the program.  A recorder of
 *			its own session is started, which has that process in
 *			its scope when we return
 *	poststop	the container is being deleted.  We return when the
 *			recorder has written what it had to: it still needs the
 *			container's files
 *
 * Whatever goes wrong, the container starts all the same, unless it was asked
 * for otherwise; FILE.err says why there is no capsule.
 */
#include "format/cleanup.h"
#include "format/cli.h"
#include "format/io.h"
#include "recorder/engine_store.h"
#include "recorder/inside.h"
#include "recorder/personality.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STATE_DIR "/run/capsule"
enum {
	MAX_STATE = 4 << 20,	/* bytes of JSON */
	WAIT_S = 120,		/* for a recorder to end, at most */
};

static const struct opt hook_opts[] = { { 0 } };

static int cmd_hook(const struct cmd *self, int argc, char **argv);

const struct cmd cmd_hook_desc = {
	.name = "hook",
	.args = "",
	.summary = "Called by a container's runtime: records a container that is annotated with capsule.record=FILE.",
	.opts = hook_opts,
	.run = cmd_hook,
};

/* ---- what the runtime says ---------------------------------------------------------- */

struct state {
	char *id, *status, *bundle;
	pid_t pid;
	char *file;		/* of the annotations: where the capsule goes; NULL: it is not to be recorded */
	bool required;		/* without a recording the container is not to start */
	bool aslr;		/* leave it on */
	uint64_t max_bytes;
};

static void cleanup_state(struct state *s)
{
	free(s->id);
	free(s->status);
	free(s->bundle);
	free(s->file);
}

static void cleanup_json(struct json_object **o) { json_object_put(*o); }

/* A copy of the text at @key; NULL: there is none. */
static char *take_text(struct json_object *o, const char *key)
{
	struct json_object *v = NULL;

	if (!json_object_is_type(o, json_type_object) || !json_object_object_get_ex(o, key, &v) || !json_object_is_type(v, json_type_string))
		return NULL;
	return strdup(json_object_get_string(v));
}

static int take_bool(struct json_object *o, const char *key, bool *ret, struct err *err)
{
	_cleanup_free_ char *word = take_text(o, key);

	if (word && strcmp(word, "true") != 0 && strcmp(word, "false") != 0)
		return err_set(err, EINVAL, "annotation %s=%.40s: true or false, please", key, word);
	*ret = word && strcmp(word, "true") == 0;
	return 0;
}

static int take_annotations(struct state *s, struct json_object *o, struct err *err)
{
	_cleanup_free_ char *size = take_text(o, "capsule.max-bytes");

	s->file = take_text(o, "capsule.record");
	if (!s->file)
		return 0;
	if (take_bool(o, "capsule.required", &s->required, err) < 0 || take_bool(o, "capsule.aslr", &s->aslr, err) < 0)
		return -err->code;
	if (size && (!cli_size(size, &s->max_bytes) || s->max_bytes < 64 << 10))
		return err_set(err, EINVAL, "annotation capsule.max-bytes=%.40s: a number of bytes, please, 64K at least", size);
	if (s->file[0] != '/' || !path_is_clean(s->file, strlen(s->file)))
		return err_set(err, EINVAL, "annotation capsule.record=%.200s: an absolute path, please", s->file);
	return 0;
}

/* An id becomes a part of file names. */
static bool is_name(const char *id)
{
	return id && id[0] && strlen(id) < 200 && id[0] != '.' &&
		strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+-") == strlen(id);
}

static int read_state(struct state *s, int fd, struct err *err)
{
	struct json_object *pid = NULL, *annotations = NULL;
	_cleanup_free_ char *text = NULL;
	size_t len;

	if (io_slurp_fd(fd, MAX_STATE, &text, &len) < 0)
		return err_set(err, EINVAL, "a container's state is expected on standard input, as runtimes give it");
	_cleanup_(cleanup_json) struct json_object *o = json_tokener_parse(text);
	s->id = take_text(o, "id");
	s->status = take_text(o, "status");
	s->bundle = take_text(o, "bundle");
	if (!is_name(s->id) || !s->status)
		return err_set(err, EINVAL, "what is on standard input is no container's state (runtime-spec: id, status, pid, bundle)");
	if (json_object_object_get_ex(o, "pid", &pid))
		s->pid = json_object_get_int(pid);
	json_object_object_get_ex(o, "annotations", &annotations);
	return annotations ? take_annotations(s, annotations, err) : 0;
}

/* ---- the recorder, a process of its own -------------------------------------------------- */

struct hooked {
	const struct state *state;
	struct record_opts o;
	struct inside *inside;
	int ready;		/* what comes here, or its end, lets the hook return: a struct err */
	int log;		/* FILE.err; -1: not needed yet */
};

static void complain(struct hooked *h, const struct err *err)
{
	char path[PATH_MAX + 8];

	snprintf(path, sizeof(path), "%s.err", h->state->file);
	if (h->log < 0)
		h->log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK | O_CLOEXEC, 0600);
	if (h->log >= 0)
		dprintf(h->log, "capsule hook: container %s: %s\n", h->state->id ? h->state->id : "?", err->text);
}

static void is_ready(void *ctx)
{
	struct hooked *h = ctx;
	struct err fine = ERR_INIT;

	(void)!io_write(h->ready, &fine, sizeof(fine));
	close(h->ready);
	h->ready = -1;
}

static int begins(void *ctx, struct err *err)
{
	struct hooked *h = ctx;

	return inside_enter(h->inside, h->o.join.pid, &h->o, err);
}

/* A runtime gives its hooks next to no environment; skopeo(1) wants to be found, and a home. */
static void set_environment(void)
{
	setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 0);
	setenv("HOME", "/root", 0);
}

/* An image that can't be told is no reason not to record: the capsule says so. */
static int find_image(struct hooked *h, struct err *err)
{
	const struct state *s = h->state;
	_cleanup_free_ struct store_image *store = calloc(1, sizeof(*store));
	struct err why = ERR_INIT;
	char name[256];

	if (!store)
		return err_set(err, ENOMEM, "out of memory");
	snprintf(name, sizeof(name), "%.200s", s->id);
	if (store_image_of(store, s->bundle ? s->bundle : "", s->id, &why) == 0 &&
	    inside_new(&h->inside, name, store->reference, store->called[0] ? store->called : NULL, &why) == 0)
		return 0;
	complain(h, &why);
	return inside_new(&h->inside, name, NULL, NULL, err);
}

/*
 * The state file, locked as long as the recorder lives: who deletes the
 * container waits for that.
 */
static int open_state_file(const struct state *s, bool make, struct err *err)
{
	char path[sizeof(STATE_DIR) + 256];

	snprintf(path, sizeof(path), STATE_DIR "/hook-%s", s->id);
	if (make && mkdir(STATE_DIR, 0700) < 0 && errno != EEXIST)
		return err_sys(err, errno, "making " STATE_DIR);
	int fd = open(path, O_RDWR | (make ? O_CREAT : 0) | O_CLOEXEC | O_NOFOLLOW, 0600);
	return fd < 0 ? err_sys(err, errno, "opening '%s'", path) : fd;
}

static void remove_state_file(const struct state *s)
{
	char path[sizeof(STATE_DIR) + 256];

	snprintf(path, sizeof(path), STATE_DIR "/hook-%s", s->id);
	unlink(path);
}

/* An annotation may be written by who may not write files here: nothing that exists is touched. */
static int make_file(const struct state *s, struct err *err)
{
	int fd = open(s->file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	return fd < 0 ? err_sys(err, errno, "creating the capsule '%s'", s->file) : fd;
}

static void say_end(struct hooked *h, const struct record_result *res)
{
	struct err err = ERR_INIT;

	if (!res->broken.code)
		return;
	err_set(&err, res->broken.code, "the capsule is not whole: %s", res->broken.text);
	complain(h, &err);
}

static int record(struct hooked *h, struct err *err)
{
	const struct state *s = h->state;
	struct record_result res;
	char path[32];

	_cleanup_fd_ int lock = open_state_file(s, true, err);
	if (lock < 0)
		return lock;
	if (flock(lock, LOCK_EX | LOCK_NB) < 0)
		return err_sys(err, errno, "it is being recorded already");
	if (find_image(h, err) < 0)
		return -err->code;
	if (!s->aslr && personality_no_randomize(s->pid, err) < 0)
		return -err->code;
	_cleanup_fd_ int file = make_file(s, err);
	if (file < 0)
		return -err->code;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	h->o.file = path;
	if (join_run(&h->o, &res, err) < 0) {
		unlink(s->file);	/* a capsule of nothing */
		return -err->code;
	}
	say_end(h, &res);
	return 0;
}

static _Noreturn void recorder(struct hooked *h)
{
	struct err err = ERR_INIT;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	setsid();
	umask(077);
	if (chdir("/") < 0 || null < 0)
		_exit(1);
	for (int fd = 0; fd <= 2; fd++)
		dup2(null, fd);		/* the runtime waits until nobody has its pipes */
	set_environment();
	if (record(h, &err) < 0) {
		complain(h, &err);
		if (h->ready >= 0)
			(void)!io_write(h->ready, &err, sizeof(err));
	}
	remove_state_file(h->state);
	inside_free(h->inside);
	_exit(0);
}

/* ---- the two stages ------------------------------------------------------------------------ */

static int start_recorder(struct hooked *h, struct err *err)
{
	struct err said = { .code = ECHILD, .text = "the recorder died" };
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(err, errno, "pipe");
	pid = fork();
	if (pid == 0) {
		close(ends[0]);
		h->ready = ends[1];
		recorder(h);
	}
	close(ends[1]);
	if (pid > 0)
		(void)!io_read(ends[0], &said, sizeof(said));
	close(ends[0]);
	if (pid < 0)
		return err_sys(err, errno, "fork");
	if (said.code)
		*err = said;
	return -said.code;
}

static int created(const struct cmd *self, const struct state *s)
{
	struct hooked h = { .state = s, .log = -1, .ready = -1,
			    .o = { .rootfs = "/", .ring = 16 << 20, .snapshot_limit = 64 << 20, .io_uring = true, .aslr = s->aslr,
				   .max_bytes = s->max_bytes } };
	struct err err = ERR_INIT;

	h.o.join = (struct join_opts){ .pid = s->pid, .ready = is_ready, .begins = begins, .ctx = &h };
	if (s->pid <= 0)
		err_set(&err, EINVAL, "its state names no process");
	if (err.code || start_recorder(&h, &err) < 0)
		return cli_fail(self, s->required ? EXIT_RECORDER : 0, "container %s is not recorded: %s", s->id, err.text);
	return 0;
}

/* Until the recorder is done, which removes its file then; a killed one has only let go of its lock. */
static void stopped(const struct state *s)
{
	struct hooked h = { .state = s, .log = -1 };
	const struct timespec pause = { .tv_nsec = 10 * 1000000 };
	struct err err = ERR_INIT;
	struct stat st;
	int i = 0;

	_cleanup_fd_ int lock = open_state_file(s, false, &err);
	if (lock < 0)
		return;
	for (err = ERR_INIT; i < WAIT_S * 100 && flock(lock, LOCK_SH | LOCK_NB) < 0; i++)
		nanosleep(&pause, NULL);
	if (i == WAIT_S * 100)
		err_set(&err, ETIMEDOUT, "the container is gone, and the recorder still writes after %d s: files of it may be missing", WAIT_S);
	else if (fstat(lock, &st) == 0 && st.st_nlink)
		err_set(&err, ECHILD, "the recorder died, the capsule is not whole");
	if (!err.code)
		return;
	complain(&h, &err);
	if (err.code == ECHILD)
		remove_state_file(s);
}

static int cmd_hook(const struct cmd *self, int argc, char **argv)
{
	struct cli cli = { .argc = argc, .argv = argv };
	_cleanup_(cleanup_state) struct state s = { 0 };
	struct err err = ERR_INIT;

	cli_next(self, &cli);
	if (cli.at < argc)
		return cli_fail(self, EXIT_USAGE, "it takes no arguments, but a container's state on standard input");
	if (read_state(&s, 0, &err) < 0) {
		struct hooked h = { .state = &s, .log = -1 };

		if (s.file && s.file[0] == '/')
			complain(&h, &err);
		return cli_fail(self, s.file && !s.required ? 0 : EXIT_USAGE, "%s", err.text);
	}
	if (!s.file)
		return 0;
	if (strcmp(s.status, "stopped") == 0) {
		stopped(&s);
		return 0;
	}
	return created(self, &s);
}
