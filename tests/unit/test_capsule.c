/* SPDX-License-Identifier: Apache-2.0 */
/* Capsules written and read again: nothing is lost, nothing is added, a full disk is said. */
#include "tests/unit/capsules.h"

#include "format/cleanup.h"
#include "format/show.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* ---- round trips --------------------------------------------------------- */

static void same_text(const char *a, const char *b)
{
	assert_string_equal(a ? a : "", b);
}

static void same_bytes(struct bytes a, struct bytes b)
{
	assert_int_equal(a.len, b.len);
	if (a.len)
		assert_memory_equal(a.data, b.data, a.len);
}

static void same_texts(const char *const *a, size_t na, const char *const *b, size_t nb)
{
	assert_int_equal(na, nb);
	for (size_t i = 0; i < na; i++)
		same_text(a[i], b[i]);
}

static void same_call(const struct ev_call *a, const struct ev_call *b)
{
	assert_int_equal(a->nr, b->nr);
	assert_int_equal(a->flags, b->flags);
	assert_int_equal(a->ret, b->ret);
	assert_memory_equal(a->args, b->args, sizeof(a->args));
	assert_int_equal(a->obj, b->obj);
	assert_int_equal(a->obj2, b->obj2);
	assert_int_equal(a->nsegs, b->nsegs);
	for (uint32_t i = 0; i < a->nsegs; i++) {
		assert_int_equal(a->segs[i].arg, b->segs[i].arg);
		assert_int_equal(a->segs[i].index, b->segs[i].index);
		assert_int_equal(a->segs[i].len, b->segs[i].len);
		assert_non_null(b->segs[i].data);
		assert_memory_equal(a->segs[i].data, b->segs[i].data, a->segs[i].len);
	}
}

static void same_object(const struct ev_object *a, const struct ev_object *b)
{
	assert_int_equal(a->id, b->id);
	assert_int_equal(a->kind, b->kind);
	assert_int_equal(a->family, b->family);
	assert_int_equal(a->type, b->type);
	assert_int_equal(a->protocol, b->protocol);
	same_bytes(a->local, b->local);
	same_bytes(a->remote, b->remote);
	same_text(a->path, b->path);
	assert_int_equal(a->rdev, b->rdev);
	assert_int_equal(a->open_flags, b->open_flags);
	assert_int_equal(a->offset, b->offset);
	assert_int_equal(a->nfds, b->nfds);
	if (a->nfds)
		assert_memory_equal(a->fds, b->fds, a->nfds * sizeof(*a->fds));
}

static void same_file(const struct ev_file *a, const struct ev_file *b)
{
	same_text(a->path, b->path);
	assert_int_equal(a->state, b->state);
	assert_int_equal(a->flags, b->flags);
	assert_int_equal(a->mode, b->mode);
	assert_int_equal(a->uid, b->uid);
	assert_int_equal(a->gid, b->gid);
	assert_int_equal(a->size, b->size);
	assert_int_equal(a->mtime, b->mtime);
	assert_int_equal(a->has_hash, b->has_hash);
	if (a->has_hash)
		assert_memory_equal(a->sha256, b->sha256, 32);
	same_text(a->target, b->target);
}

static void same_exec(const struct ev_exec *a, const struct ev_exec *b)
{
	same_text(a->path, b->path);
	assert_memory_equal(a->at_random, b->at_random, 16);
	same_texts(a->argv, a->argc, b->argv, b->argc);
	same_texts(a->env, a->envc, b->env, b->envc);
	same_text(a->cwd, b->cwd);
	assert_int_equal(a->vdso, b->vdso);
}

static void same_event(const struct event *a, const struct event *b)
{
	assert_int_equal(a->kind, b->kind);
	assert_int_equal(a->time, b->time);
	assert_int_equal(a->task, b->task);
	switch ((enum ev_kind)a->kind) {
	case EV_CALL: same_call(&a->call, &b->call); break;
	case EV_EXEC: same_exec(&a->exec, &b->exec); break;
	case EV_OBJECT: same_object(&a->object, &b->object); break;
	case EV_FILE:
	case EV_OUTPUT: same_file(&a->file, &b->file); break;
	case EV_FORK:
		assert_int_equal(a->fork.child, b->fork.child);
		assert_int_equal(a->fork.pid, b->fork.pid);
		assert_int_equal(a->fork.tid, b->fork.tid);
		assert_int_equal(a->fork.thread, b->fork.thread);
		break;
	case EV_EXIT:
		assert_int_equal(a->exit.status, b->exit.status);
		assert_int_equal(a->exit.group, b->exit.group);
		break;
	case EV_SIGNAL:
		assert_int_equal(a->signal.signo, b->signal.signo);
		assert_int_equal(a->signal.code, b->signal.code);
		assert_int_equal(a->signal.pid, b->signal.pid);
		assert_int_equal(a->signal.uid, b->signal.uid);
		assert_int_equal(a->signal.value, b->signal.value);
		assert_int_equal(a->signal.group, b->signal.group);
		break;
	case EV_HOLE:
		same_text(a->hole.what, b->hole.what);
		same_text(a->hole.where, b->hole.where);
		same_text(a->hole.why, b->hole.why);
		assert_int_equal(a->hole.count, b->hole.count);
		break;
	case EV_KINDS: fail_msg("no event");
	}
}

static void brings_back_every_event(void **state)
{
	struct image i = sample_image();
	bool kinds[EV_KINDS] = { 0 };
	struct capsule_reader *rd = NULL;
	struct err err = ERR_INIT;
	struct event e;

	(void)state;
	assert_works(err, capsule_reader_open_mem(&rd, i.data, i.len, 0, &err));
	assert_true(capsule_complete(rd, NULL));
	for (int pass = 0; pass < 2; pass++) {
		for (size_t n = 0; n < COUNT(sample_events); n++) {
			assert_int_equal(capsule_next(rd, &e, &err), 1);
			same_event(&sample_events[n], &e);
			kinds[e.kind] = true;
		}
		assert_int_equal(capsule_next(rd, &e, &err), 0);
		assert_int_equal(capsule_next(rd, &e, &err), 0);
		capsule_rewind(rd);
	}
	for (int k = 0; k < EV_KINDS; k++)
		assert_true(kinds[k]);
	capsule_reader_close(rd);
	free(i.data);
}

static void keeps_events_until_it_is_closed(void **state)
{
	struct image i = sample_image();
	struct event kept[COUNT(sample_events)];
	struct capsule_reader *rd = NULL;
	struct err err = ERR_INIT;

	(void)state;
	assert_works(err, capsule_reader_open_mem(&rd, i.data, i.len, CAPSULE_KEEP, &err));
	for (size_t n = 0; n < COUNT(kept); n++)
		assert_int_equal(capsule_next(rd, &kept[n], &err), 1);
	memset(i.data, 0, i.len);	/* nothing points into the file */
	for (size_t n = 0; n < COUNT(kept); n++)
		same_event(&sample_events[n], &kept[n]);
	capsule_reader_close(rd);
	free(i.data);
}

/* NULL is written as nothing. */
static void same_list(char **a, char **b)
{
	static char *none[] = { NULL };
	size_t n = 0;

	a = a ? a : none;
	b = b ? b : none;
	for (; a[n] && b[n]; n++)
		assert_string_equal(a[n], b[n]);
	assert_true(!a[n] && !b[n]);
}

static void brings_back_the_manifest(void **state)
{
	const struct manifest *a = &sample_manifest, *b;
	struct image i = sample_image();
	struct capsule_reader *rd = NULL;
	struct err err = ERR_INIT;

	(void)state;
	assert_works(err, capsule_reader_open_mem(&rd, i.data, i.len, 0, &err));
	b = capsule_manifest(rd);
	for (const struct manifest_field *f = manifest_fields; f->key; f++) {
		const void *va = (const char *)a + f->offset, *vb = (const char *)b + f->offset;

		switch (f->type) {
		case MF_TEXT: assert_string_equal(*(char *const *)va ?: "", *(char *const *)vb ?: ""); break;
		case MF_TEXTS: same_list(*(char **const *)va, *(char **const *)vb); break;
		case MF_I64: assert_memory_equal(va, vb, 8); break;
		case MF_U32: assert_memory_equal(va, vb, 4); break;
		case MF_BOOL: assert_int_equal(*(const bool *)va, *(const bool *)vb); break;
		case MF_GROUPS:
			assert_int_equal(a->ngroups, b->ngroups);
			assert_memory_equal(a->groups, b->groups, a->ngroups * sizeof(*a->groups));
			break;
		case MF_RLIMITS:
			assert_int_equal(a->nrlimits, b->nrlimits);
			assert_memory_equal(a->rlimits, b->rlimits, sizeof(a->rlimits));
			break;
		}
	}
	capsule_reader_close(rd);
	free(i.data);
}

static void brings_back_the_end(void **state)
{
	struct image i = sample_image();
	struct capsule_reader *rd = NULL;
	const struct capsule_end *end;
	struct err err = ERR_INIT;
	uint8_t digest[32], mine[32];
	const char *why = "";

	(void)state;
	assert_works(err, capsule_reader_open_mem(&rd, i.data, i.len, 0, &err));
	end = capsule_end(rd);
	assert_non_null(end);
	assert_true(capsule_complete(rd, &why));
	assert_null(why);
	assert_int_equal(end->events, COUNT(sample_events));
	assert_int_equal(end->blobs, 0);
	assert_int_equal(end->duration, sample_end.duration);
	assert_int_equal(end->lost, sample_end.lost);
	assert_int_equal(end->holes, sample_end.holes);
	assert_int_equal(end->status, sample_end.status);
	assert_int_equal(capsule_size(rd), i.len);

	/* The digest is that of what is before the end frame: find it by hand. */
	size_t at = FILE_HEADER;
	while (i.data[at] != FRAME_END) {
		uint64_t stored;

		memcpy(&stored, i.data + at + 8, 8);
		at += FRAME_HEADER + stored;
	}
	sha256_of(i.data, at, mine);
	capsule_digest(rd, digest);
	assert_memory_equal(digest, mine, 32);
	capsule_reader_close(rd);
	free(i.data);
}

static void drops_what_is_no_argument(void **state)
{
	struct event read = { .kind = EV_CALL, .call = { .nr = 0, .args = { 1, 2, 3, 4, 5, 6 } } };
	struct event unknown = { .kind = EV_CALL, .call = { .nr = 511, .args = { 1, 2, 3, 4, 5, 6 } } };
	struct capsule_reader *rd = NULL;
	struct err err = ERR_INIT;
	struct image i;
	struct event e;

	(void)state;
	put_header(&i);
	put_manifest(&i);
	put_events(&i, (struct event[]){ read, unknown }, 2);
	assert_works(err, capsule_reader_open_mem(&rd, i.data, i.len, 0, &err));
	assert_int_equal(capsule_next(rd, &e, &err), 1);
	assert_memory_equal(e.call.args, ((uint64_t[6]){ 1, 2, 3 }), 48);
	assert_int_equal(capsule_next(rd, &e, &err), 1);
	assert_memory_equal(e.call.args, unknown.call.args, 48);
	capsule_reader_close(rd);
	free(i.data);
}

static void a_small_capsule_is_small(void **state)
{
	struct image i = sample_image();

	(void)state;
	assert_true(i.len < 2048);
	free(i.data);
}

static void many_frames(void **state)
{
	static uint8_t noise[3000];
	struct event e = { .kind = EV_CALL, .call = { .nr = 0, .nsegs = 1, .segs = { { 1, 0, sizeof(noise), noise, { 0 } } } } };
	const char *path = scratch_path("many.cap");
	struct capsule_writer *w = NULL;
	struct capsule_reader *rd = NULL;
	struct err err = ERR_INIT;

	(void)state;
	assert_works(err, capsule_writer_open(&w, path, &sample_manifest, &err));
	for (uint32_t n = 0; n < 1000; n++) {
		for (size_t k = 0; k < sizeof(noise); k++)
			noise[k] = (uint8_t)rand();
		memcpy(noise, &n, 4);
		e.time = n * 10;
		assert_works(err, capsule_write(w, &e, &err));
	}
	assert_works(err, capsule_writer_finish(w, &sample_end, &err));
	assert_works(err, capsule_reader_open(&rd, path, 0, &err));
	for (uint32_t n = 0; n < 1000; n++) {
		assert_int_equal(capsule_next(rd, &e, &err), 1);
		assert_int_equal(e.time, n * 10);
		assert_memory_equal(e.call.segs[0].data, &n, 4);
	}
	assert_int_equal(capsule_next(rd, &e, &err), 0);
	capsule_reader_close(rd);
	unlink(path);
}

/* ---- blobs --------------------------------------------------------------- */

static uint8_t *noise_of(size_t len)
{
	uint8_t *p = malloc(len);
	uint32_t x = 1;

	assert_non_null(p);
	for (size_t i = 0; i < len; i++) {
		x = x * 1664525 + 1013904223;
		p[i] = (uint8_t)(x >> 24);
	}
	return p;
}

static uint64_t size_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return (uint64_t)st.st_size;
}

static int in_pieces(void *ctx, const void *data, size_t len, struct err *err)
{
	(void)data;
	if (len == 0 || len > 1 << 20)
		return err_set(err, EIO, "a piece of %zu bytes", len);
	*(size_t *)ctx += len;
	return 0;
}

static int stop(void *ctx, const void *data, size_t len, struct err *err)
{
	(void)ctx, (void)data, (void)len;
	return err_set(err, ECANCELED, "enough");
}

static void long_segments_become_blobs_once(void **state)
{
	enum { LEN = (2 << 20) + 12345 };
	const char *path = scratch_path("blob.cap");
	_cleanup_free_ uint8_t *noise = noise_of(LEN), *got = NULL;
	struct event e = { .kind = EV_CALL, .call = { .nr = 0, .ret = LEN, .nsegs = 2,
						      .segs = { { 1, 0, LEN, noise, { 0 } },
								{ 1, 1, CAPSULE_INLINE_MAX, noise, { 0 } } } } };
	struct capsule_writer *w = NULL;
	struct capsule_reader *rd = NULL;
	struct err err = ERR_INIT;
	uint8_t name[32], none[32] = { 1 };
	size_t len = 0, sum = 0;
	uint64_t once;

	(void)state;
	assert_works(err, capsule_writer_open(&w, path, &sample_manifest, &err));
	assert_works(err, capsule_write(w, &e, &err));
	assert_works(err, capsule_writer_flush(w, &err));
	once = size_of(path);
	assert_true(once > LEN);
	assert_works(err, capsule_write(w, &e, &err));
	assert_works(err, capsule_write_blob(w, noise, LEN, name, &err));
	assert_works(err, capsule_writer_finish(w, &sample_end, &err));
	assert_true(size_of(path) < once + CAPSULE_INLINE_MAX + 4096);

	assert_works(err, capsule_reader_open(&rd, path, 0, &err));
	assert_int_equal(capsule_end(rd)->blobs, 1);
	assert_int_equal(capsule_next(rd, &e, &err), 1);
	assert_null(e.call.segs[0].data);
	assert_int_equal(e.call.segs[0].len, LEN);
	assert_memory_equal(e.call.segs[0].sha256, name, 32);
	assert_works(err, capsule_blob_load(rd, name, LEN, &got, &len, &err));
	assert_int_equal(len, LEN);
	assert_memory_equal(got, noise, LEN);
	/* The event is still good: blobs have buffers of their own. */
	assert_int_equal(e.call.segs[1].len, CAPSULE_INLINE_MAX);
	assert_memory_equal(e.call.segs[1].data, noise, CAPSULE_INLINE_MAX);
	assert_works(err, capsule_blob(rd, name, in_pieces, &sum, &err));
	assert_int_equal(sum, LEN);
	assert_fails(ECANCELED, err, capsule_blob(rd, name, stop, NULL, &err));
	assert_fails(EFBIG, err, capsule_blob_load(rd, name, LEN - 1, &got, &len, &err));
	assert_fails(ENOENT, err, capsule_blob(rd, none, in_pieces, &sum, &err));
	capsule_reader_close(rd);
	unlink(path);
}

static void every_capsule_holds_the_blob_of_no_bytes(void **state)
{
	struct image i = sample_image();
	struct capsule_reader *rd = NULL;
	struct err err = ERR_INIT;
	_cleanup_free_ uint8_t *got = NULL;
	size_t len = 1;
	uint8_t name[32];

	(void)state;
	sha256_of("", 0, name);
	assert_works(err, capsule_reader_open_mem(&rd, i.data, i.len, 0, &err));
	assert_works(err, capsule_blob_load(rd, name, 0, &got, &len, &err));
	assert_int_equal(len, 0);
	assert_non_null(got);
	capsule_reader_close(rd);
	free(i.data);
}

static void stores_files_or_nothing(void **state)
{
	enum { LEN = (1 << 20) + 1 };
	_cleanup_free_ char *path = strdup(scratch_path("files.cap")), *other = strdup(scratch_path("content"));
	_cleanup_free_ uint8_t *noise = noise_of(LEN), *got = NULL;
	struct capsule_writer *w = NULL;
	struct capsule_reader *rd = NULL;
	struct err err = ERR_INIT;
	uint8_t name[32], mine[32];
	uint64_t len = 0, before;
	size_t n = 0;
	int pipes[2];

	(void)state;
	_cleanup_fd_ int fd = open(other, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(io_write(fd, noise, LEN), 0);
	assert_works(err, capsule_writer_open(&w, path, &sample_manifest, &err));
	before = size_of(path);
	assert_fails(EFBIG, err, capsule_write_blob_fd(w, fd, LEN - 1, &len, name, &err));
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	assert_fails(ESPIPE, err, capsule_write_blob_fd(w, pipes[0], LEN, &len, name, &err));
	close(pipes[0]);
	close(pipes[1]);
	assert_int_equal(size_of(path), before);
	assert_works(err, capsule_write_blob_fd(w, fd, LEN, &len, name, &err));
	assert_int_equal(len, LEN);
	sha256_of(noise, LEN, mine);
	assert_memory_equal(name, mine, 32);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_works(err, capsule_write_blob_fd(w, fd, 0, &len, mine, &err));
	assert_int_equal(len, 0);
	assert_works(err, capsule_writer_finish(w, &sample_end, &err));
	assert_works(err, capsule_reader_open(&rd, path, 0, &err));
	assert_int_equal(capsule_end(rd)->blobs, 1);
	assert_works(err, capsule_blob_load(rd, name, SIZE_MAX - 1, &got, &n, &err));
	assert_int_equal(n, LEN);
	assert_memory_equal(got, noise, LEN);
	capsule_reader_close(rd);
	unlink(path);
	unlink(other);
}

/* ---- the writer's own refusals, and a full disk --------------------------- */

static void writes_only_what_can_be_read(void **state)
{
	static const char *const paths[] = { "", "relative", "/a/../b", "/a/./b", "/a//b", "/a/", "//", NULL };
	const char *path = scratch_path("refused.cap");
	struct manifest bad = sample_manifest;
	struct capsule_writer *w = NULL;
	struct err err = ERR_INIT;
	struct image i;
	bool complete;
	uint64_t n;

	(void)state;
	bad.cwd = "../x";
	assert_fails(EINVAL, err, capsule_writer_open(&w, path, &bad, &err));
	assert_int_equal(access(path, F_OK), -1);
	assert_works(err, capsule_writer_open(&w, path, &sample_manifest, &err));
	for (size_t k = 0; k < COUNT(paths); k++) {
		struct event file = { .kind = EV_FILE, .file = { .path = paths[k] } };
		struct event output = { .kind = EV_OUTPUT, .file = { .path = paths[k] } };
		struct event exec = { .kind = EV_EXEC, .exec = { .path = paths[k] } };

		assert_fails(EINVAL, err, capsule_write(w, &file, &err));
		assert_fails(EINVAL, err, capsule_write(w, &output, &err));
		assert_fails(EINVAL, err, capsule_write(w, &exec, &err));
	}
	struct event link = { .kind = EV_FILE, .file = { .path = "/a/l", .state = FILE_SYMLINK, .target = "/etc" } };
	struct event through = { .kind = EV_FILE, .file = { .path = "/a/l/passwd" } };
	struct event no_kind = { .kind = EV_KINDS };

	assert_works(err, capsule_write(w, &link, &err));
	assert_fails(EINVAL, err, capsule_write(w, &through, &err));
	assert_fails(EINVAL, err, capsule_write(w, &no_kind, &err));
	assert_works(err, capsule_write(w, &sample_events[0], &err));
	assert_works(err, capsule_writer_finish(w, &sample_end, &err));
	i = load_file(path);
	assert_works(err, read_all(&i, 0, &complete, &n, &err));
	assert_true(complete);
	assert_int_equal(n, 2);
	free(i.data);
	unlink(path);
}

static void an_event_too_long_for_a_frame_is_refused_alone(void **state)
{
	const char *path = scratch_path("long.cap");
	_cleanup_free_ char *text = malloc(5 << 20);
	const char *const argv[] = { text };
	struct event e = { .kind = EV_EXEC, .exec = { .path = "/x", .argc = 1, .argv = argv } };
	struct capsule_writer *w = NULL;
	struct err err = ERR_INIT;
	struct image i;
	bool complete;
	uint64_t n;

	(void)state;
	assert_non_null(text);
	memset(text, 'x', 5 << 20);
	text[(5 << 20) - 1] = 0;
	assert_works(err, capsule_writer_open(&w, path, &sample_manifest, &err));
	assert_works(err, capsule_write(w, &sample_events[0], &err));
	assert_fails(EFBIG, err, capsule_write(w, &e, &err));
	assert_works(err, capsule_write(w, &sample_events[1], &err));
	assert_works(err, capsule_writer_finish(w, &sample_end, &err));
	i = load_file(path);
	assert_works(err, read_all(&i, 0, &complete, &n, &err));
	assert_true(complete);
	assert_int_equal(n, 2);
	free(i.data);
	unlink(path);
}

static void writes_to_regular_files_only(void **state)
{
	struct capsule_writer *w = NULL;
	struct err err = ERR_INIT;

	(void)state;
	assert_fails(EINVAL, err, capsule_writer_open(&w, "/dev/null", &sample_manifest, &err));
	assert_fails(EISDIR, err, capsule_writer_open(&w, "/tmp", &sample_manifest, &err));
	assert_fails(ENOENT, err, capsule_writer_open(&w, "/no/such/dir/x.cap", &sample_manifest, &err));
	assert_null(w);
}

/* Writes noise until it fails with @expected, goes on, finishes: what is there is a whole capsule that says so. */
static void fills_and_says_so(const char *path, int expected)
{
	_cleanup_free_ uint8_t *noise = noise_of(100000);
	struct event e = { .kind = EV_CALL, .call = { .nr = 0, .nsegs = 1, .segs = { { 1, 0, 100000, noise, { 0 } } } } };
	struct capsule_writer *w = NULL;
	struct capsule_reader *rd = NULL;
	struct err err = ERR_INIT, again = ERR_INIT;
	uint64_t given = 0, kept = 0;
	uint8_t name[32];
	int r;

	assert_works(err, capsule_writer_open(&w, path, &sample_manifest, &err));
	do {
		noise[given % 100000]++;
		e.time = given++;
		r = capsule_write(w, &e, &err);
	} while (r == 0 && given < 1000);
	assert_int_equal(r, -expected);
	assert_fails(expected, again, capsule_write(w, &e, &again));
	given++;
	assert_string_equal(err.text, again.text);
	assert_fails(expected, again, capsule_writer_flush(w, &again));
	assert_fails(expected, again, capsule_write_blob(w, noise, 1000, name, &again));
	assert_fails(expected, again, capsule_writer_finish(w, &sample_end, &again));

	assert_works(err, capsule_reader_open(&rd, path, 0, &err));
	assert_true(capsule_complete(rd, NULL));
	assert_int_equal(capsule_end(rd)->holes, sample_end.holes + 1);
	while ((r = capsule_next(rd, &e, &err)) > 0 && e.kind != EV_HOLE)
		kept++;
	assert_int_equal(r, 1);
	assert_string_equal(e.hole.what, "disk");
	assert_true(kept > 0);
	assert_int_equal(kept + e.hole.count, given);
	assert_int_equal(capsule_next(rd, &e, &err), 0);
	capsule_reader_close(rd);
}

static void a_limit_on_file_sizes_is_said(void **state)
{
	const char *path = scratch_path("limited.cap");
	struct rlimit was, now;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	now = was;
	now.rlim_cur = 1000000;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &now), 0);
	fills_and_says_so(path, EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
	unlink(path);
}

/* In a child of its own, for the mount namespace. */
static int on_a_small_disk(const char *dir)
{
	char path[200], other[200];
	static char fill[4096];
	int fd;

	if (unshare(CLONE_NEWNS) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return 77;
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || mount("none", dir, "tmpfs", 0, "size=1m") < 0)
		return 77;
	snprintf(path, sizeof(path), "%s/full.cap", dir);
	snprintf(other, sizeof(other), "%s/other", dir);
	fills_and_says_so(path, ENOSPC);
	unlink(path);

	/* And again where somebody else takes the last byte between the failure and the end. */
	_cleanup_free_ uint8_t *noise = noise_of(600000);
	struct capsule_writer *w = NULL;
	struct err err = ERR_INIT;
	uint8_t name[32];

	assert_works(err, capsule_writer_open(&w, path, &sample_manifest, &err));
	assert_works(err, capsule_write(w, &sample_events[0], &err));
	assert_works(err, capsule_writer_flush(w, &err));
	assert_works(err, capsule_write_blob(w, noise, 600000, name, &err));
	/* So that the last page, which the file has anyway, is all but full. */
	assert_works(err, capsule_write_blob(w, noise, 8192 - 200 - size_of(path) % 4096, name, &err));
	assert_true(size_of(path) % 4096 > 3800);
	noise[0]++;
	assert_fails(ENOSPC, err, capsule_write_blob(w, noise, 600000, name, &err));
	fd = open(other, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	while (write(fd, fill, sizeof(fill)) > 0)
		;
	close(fd);
	assert_fails(ENOSPC, err, capsule_writer_finish(w, &sample_end, &err));

	struct image i = load_file(path);
	bool complete;
	uint64_t n;

	assert_works(err, read_all(&i, 0, &complete, &n, &err));
	assert_true(complete);
	assert_int_equal(n, 2);
	free(i.data);
	return 0;
}

static void a_full_disk_is_said(void **state)
{
	char dir[] = "/tmp/capsule-disk.XXXXXX";
	int status;
	pid_t pid;

	(void)state;
	assert_non_null(mkdtemp(dir));
	pid = fork();
	if (pid == 0)
		_exit(on_a_small_disk(dir));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	rmdir(dir);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(status, 0);
}

/* ---- showing -------------------------------------------------------------- */

static void harmless(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < ' ' && text[i] != '\n')
			fail_msg("byte %#x at %zu of: %s", text[i], i, text);
}

static void shows_no_byte_that_a_terminal_obeys(void **state)
{
	static const char evil[] = "\x1b]0;gotcha\x07\x9b\r\b\x7f\n\xc2\x9b'\"\\";
	static const char *const list[] = { evil };
	struct event events[] = {
		{ .kind = EV_EXEC, .exec = { .path = "/\x1b[2J", .argc = 1, .argv = list, .envc = 1, .env = list, .cwd = "/\r" } },
		{ .kind = EV_OBJECT, .object = { .id = 1, .kind = OBJ_CHR, .path = evil, .nfds = 1, .fds = sample_fds } },
		{ .kind = EV_OBJECT, .object = { .id = 2, .kind = OBJ_SOCKET, .family = 1, .type = 1,
						 .remote = BYTES("\x01\0\x1b[31m"), .local = BYTES("\x01\0\0\x1b\r") } },
		{ .kind = EV_CALL, .call = { .nr = 0, .ret = 5, .obj = 1, .nsegs = 1,
					     .segs = { { 1, 0, sizeof(evil), (const uint8_t *)evil, { 0 } } } } },
		{ .kind = EV_FILE, .file = { .path = "/\x1b", .state = FILE_SYMLINK, .target = evil } },
		{ .kind = EV_HOLE, .hole = { .what = evil, .where = evil, .why = evil } },
	};
	char *evil_argv[] = { (char *)evil, NULL };
	struct manifest m = sample_manifest;
	const char *path = scratch_path("evil.cap");
	struct capsule_writer *w = NULL;
	struct capsule_reader *rd = NULL;
	struct err err = ERR_INIT;
	char *text = NULL;
	size_t len = 0;

	(void)state;
	m.argv = m.env = evil_argv;
	m.hostname = m.tool = m.release = (char *)evil;
	assert_works(err, capsule_writer_open(&w, path, &m, &err));
	for (size_t i = 0; i < COUNT(events); i++)
		assert_works(err, capsule_write(w, &events[i], &err));
	assert_works(err, capsule_writer_finish(w, &sample_end, &err));
	assert_works(err, capsule_reader_open(&rd, path, 0, &err));
	for (int way = 0; way < 4; way++) {
		FILE *f = open_memstream(&text, &len);

		assert_non_null(f);
		capsule_rewind(rd);
		switch (way) {
		case 0: assert_works(err, show_summary(rd, evil, f, &err)); break;
		case 1: assert_works(err, show_summary_json(rd, evil, f, &err)); break;
		case 2: assert_works(err, show_events(rd, f, &err)); break;
		case 3: assert_works(err, show_events_json(rd, f, &err)); break;
		}
		fclose(f);
		harmless(text, len);
		assert_null(strstr(text, "\xc2\x9b"));
		assert_null(strchr(text, 0x7f));
		free(text);
		text = NULL;
	}
	capsule_reader_close(rd);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(brings_back_every_event),
		cmocka_unit_test(keeps_events_until_it_is_closed),
		cmocka_unit_test(brings_back_the_manifest),
		cmocka_unit_test(brings_back_the_end),
		cmocka_unit_test(drops_what_is_no_argument),
		cmocka_unit_test(a_small_capsule_is_small),
		cmocka_unit_test(many_frames),
		cmocka_unit_test(long_segments_become_blobs_once),
		cmocka_unit_test(every_capsule_holds_the_blob_of_no_bytes),
		cmocka_unit_test(stores_files_or_nothing),
		cmocka_unit_test(writes_only_what_can_be_read),
		cmocka_unit_test(an_event_too_long_for_a_frame_is_refused_alone),
		cmocka_unit_test(writes_to_regular_files_only),
		cmocka_unit_test(a_limit_on_file_sizes_is_said),
		cmocka_unit_test(a_full_disk_is_said),
		cmocka_unit_test(shows_no_byte_that_a_terminal_obeys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
