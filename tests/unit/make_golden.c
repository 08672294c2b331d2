/* SPDX-License-Identifier: Apache-2.0 */
/*
 * make_golden TESTS: writes TESTS/golden/{good,bad}/v1-*.cap and the fuzzers' first inputs.  Golden capsules are made once for a
 * version of the format and then stay as they are: every later reader must take the good and refuse the bad.
 */
#include "tests/unit/capsules.h"

#include "format/cleanup.h"

#include <errno.h>
#include <fcntl.h>

static const char *top;

static void put_file(const char *dir, const char *name, const void *data, size_t len)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s/%s", top, dir, name);
	_cleanup_fd_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0 || io_write(fd, data, len) < 0) {
		fprintf(stderr, "make_golden: %s: %s\n", path, strerror(errno));
		exit(1);
	}
}

static void put_image(const char *dir, const char *name, struct image *i)
{
	put_file(dir, name, i->data, i->len);
	free(i->data);
}

static void begin(struct image *i)
{
	put_header(i);
	put_manifest(i);
}

/* ---- good -------------------------------------------------------------------- */

static void with_blobs(void)
{
	enum { LEN = (2 << 20) + 1 };
	_cleanup_free_ uint8_t *text = malloc(LEN);
	struct event e = { .kind = EV_CALL, .time = 5, .task = 1,
			   .call = { .nr = 0, .ret = LEN, .args = { 3, 4096, LEN }, .nsegs = 1, .segs = { { 1, 0, LEN, text, { 0 } } } } };
	const char *path = scratch_path("blobs.cap");
	struct capsule_writer *w = NULL;
	struct err err = ERR_INIT;
	struct image i;
	uint8_t name[32];

	for (size_t k = 0; k < LEN; k++)
		text[k] = (uint8_t)("0123456789\n"[k % 11] + (k >> 20));
	assert_works(err, capsule_writer_open(&w, path, &sample_manifest, &err));
	assert_works(err, capsule_write(w, &e, &err));
	assert_works(err, capsule_write_blob(w, "small", 5, name, &err));
	assert_works(err, capsule_writer_finish(w, &sample_end, &err));
	i = load_file(path);
	unlink(path);
	put_image("golden/good", "v1-blobs.cap", &i);
}

#define DIGEST(c) "sha256:" c c c c c c c c c c c c c c c c

/* Recorded in a container image: keys that came later. */
static void with_image(void)
{
	char *layers[] = { (char *)DIGEST("0123"), (char *)DIGEST("89ab"), NULL }, *dirs[] = { (char *)"/", NULL };
	struct manifest m = sample_manifest;
	struct capsule_writer *w = NULL;
	const char *path = scratch_path("image.cap");
	struct err err = ERR_INIT;
	struct image i;

	m.image = (char *)"docker://registry.test/app:1";
	m.image_manifest = (char *)DIGEST("4567");
	m.image_config = (char *)DIGEST("cdef");
	m.image_layers = layers;
	m.image_dirs = dirs;
	assert_works(err, capsule_writer_open(&w, path, &m, &err));
	assert_works(err, capsule_write(w, &sample_events[0], &err));
	assert_works(err, capsule_writer_finish(w, &sample_end, &err));
	i = load_file(path);
	unlink(path);
	put_image("golden/good", "v1-image.cap", &i);
}

/* Recorded in an engine's container: likewise. */
static void with_container(void)
{
	char *mounts[] = { (char *)"bind /data rw from /srv/data", NULL }, *addresses[] = { (char *)"eth0 10.88.0.2", NULL };
	char *namespaces[] = { (char *)"net net:[4026532288]", (char *)"user the recorder's", NULL };
	struct manifest m = sample_manifest;
	struct capsule_writer *w = NULL;
	const char *path = scratch_path("container.cap");
	struct err err = ERR_INIT;
	struct image i;

	m.container = (char *)"podman web";
	m.mounts = mounts;
	m.namespaces = namespaces;
	m.addresses = addresses;
	m.uid_map = m.gid_map = (char *)"0 100000 65536";
	m.pid = 1;
	m.ppid = 0;
	assert_works(err, capsule_writer_open(&w, path, &m, &err));
	assert_works(err, capsule_write(w, &sample_events[0], &err));
	assert_works(err, capsule_writer_finish(w, &sample_end, &err));
	i = load_file(path);
	unlink(path);
	put_image("golden/good", "v1-container.cap", &i);
}

/* Two names of one file: an element that came later. */
static void with_link(void)
{
	struct event e[] = {
		{ .kind = EV_FILE, .time = 1, .file = { .path = "/tmp/a", .state = FILE_REGULAR, .flags = FILE_CONTENT, .mode = 0644, .target = "" } },
		{ .kind = EV_FILE, .time = 1, .file = { .path = "/tmp/b", .state = FILE_REGULAR, .flags = FILE_CONTENT, .mode = 0644, .target = "", .link = "/tmp/a" } },
	};
	struct image i;

	begin(&i);
	put_events(&i, e, 2);
	put_end(&i, 2, 0);
	put_image("golden/good", "v1-hard-link.cap", &i);
}

/* Extended attributes: one with a value, one without, one that is not known; an element that came later. */
static void with_attributes(void)
{
	static const uint8_t all[] = "user.a\0\5\0\0\0value" "user.empty\0\0\0\0\0" "user.lost\0\377\377\377\377";
	struct event e[] = {
		{ .kind = EV_FILE, .time = 1, .file = { .path = "/tmp/a", .state = FILE_REGULAR, .flags = FILE_CONTENT, .mode = 0644, .target = "",
							.attributes = { all, sizeof(all) - 1 } } },
		{ .kind = EV_OUTPUT, .time = 2, .file = { .path = "/tmp", .state = FILE_DIR, .mode = 01777, .target = "", .attributes = { all, 16 } } },
	};
	struct image i;

	begin(&i);
	put_events(&i, e, 2);
	put_end(&i, 2, 0);
	put_image("golden/good", "v1-attributes.cap", &i);
}

static void good(void)
{
	/* An exit with a field of tomorrow, and one that leaves its default away. */
	static const uint8_t extra[] = { 0x92, 0x97, 3, 1, 1, 0, 0xc3, 0xc2, 0x2a, 0x93, 3, 1, 1 };
	struct image i = sample_image();

	put_image("golden/good", "v1-every-event.cap", &i);
	begin(&i);
	put_end(&i, 0, 0);
	put_image("golden/good", "v1-no-events.cap", &i);
	begin(&i);
	put_frame(&i, FRAME_EVENTS, extra, sizeof(extra));
	put_end(&i, 2, 0);
	put_image("golden/good", "v1-fields-of-tomorrow.cap", &i);
	i = sample_image();
	i.len -= 100;
	put_image("golden/good", "v1-cut-short.cap", &i);
	with_blobs();
	with_image();
	with_container();
	with_link();
	with_attributes();
}

/* ---- bad ---------------------------------------------------------------------- */

static void bad_header(void)
{
	struct image i = sample_image();

	put_file("golden/bad", "v1-empty.cap", "", 0);
	put_file("golden/bad", "v1-no-capsule.cap", "#!/bin/sh\n", 10);
	put_file("golden/bad", "v1-cut-in-the-manifest.cap", i.data, 100);
	i.data[8] = 2;
	put_image("golden/bad", "v1-future-version.cap", &i);
	i = sample_image();
	i.data[12] = 1;
	put_image("golden/bad", "v1-reserved-in-header.cap", &i);
	i = sample_image();
	i.data[FILE_HEADER + 4] = 1;
	put_image("golden/bad", "v1-reserved-in-frame.cap", &i);
	i = sample_image();
	i.data[i.len / 2] ^= 1;
	put_image("golden/bad", "v1-one-bit.cap", &i);
	i = sample_image();
	memcpy(i.data + FILE_HEADER + 8, &(uint64_t){ 1ull << 63 }, 8);
	put_image("golden/bad", "v1-stored-2-63.cap", &i);
	i = sample_image();
	memcpy(i.data + FILE_HEADER + 16, &(uint64_t){ 1ull << 63 }, 8);
	put_image("golden/bad", "v1-raw-2-63.cap", &i);
}

static void bad_frames(void)
{
	struct image i, whole = sample_image();

	put_bytes(&whole, "x", 1);
	put_image("golden/bad", "v1-behind-the-end.cap", &whole);
	put_header(&i);
	put_events(&i, sample_events, 1);
	put_end(&i, 1, 0);
	put_image("golden/bad", "v1-no-manifest.cap", &i);
	begin(&i);
	put_manifest(&i);
	put_end(&i, 0, 0);
	put_image("golden/bad", "v1-two-manifests.cap", &i);
	begin(&i);
	put_frame(&i, 5, "\x90", 1);
	put_end(&i, 0, 0);
	put_image("golden/bad", "v1-unknown-frame.cap", &i);
	begin(&i);
	put_events(&i, sample_events, 2);
	put_end(&i, 3, 0);
	put_image("golden/bad", "v1-wrong-count.cap", &i);

	/* An end frame of a file without the frame before it. */
	struct image other;

	begin(&other);
	size_t manifest = other.len;
	put_end(&other, 0, 0);
	begin(&i);
	put_events(&i, sample_events, 0);
	put_bytes(&i, other.data + manifest, other.len - manifest);
	put_image("golden/bad", "v1-wrong-digest.cap", &i);
	free(other.data);
}

static void bomb(const char *name, int with_size)
{
	enum { REAL = 64 << 20 };
	_cleanup_free_ uint8_t *zeros = calloc(1, REAL), *out = malloc(ZSTD_compressBound(REAL));
	ZSTD_CCtx *z = ZSTD_createCCtx();
	struct image i;

	assert_true(zeros && out && z);
	ZSTD_CCtx_setParameter(z, ZSTD_c_contentSizeFlag, with_size);
	begin(&i);
	put_stored(&i, FRAME_EVENTS, CAPSULE_MAX_FRAME, out, ZSTD_compress2(z, out, ZSTD_compressBound(REAL), zeros, REAL));
	ZSTD_freeCCtx(z);
	put_end(&i, 0, 0);
	put_image("golden/bad", name, &i);
}

static void bad_events(const char *name, const void *raw, size_t len)
{
	struct image i;

	begin(&i);
	put_frame(&i, FRAME_EVENTS, raw, len);
	put_end(&i, 1, 0);
	put_image("golden/bad", name, &i);
}

static void bad_path(const char *name, const char *path)
{
	struct event e[] = {
		{ .kind = EV_FILE, .file = { .path = "/data", .state = FILE_SYMLINK, .target = "/etc" } },
		{ .kind = EV_FILE, .file = { .path = path, .state = FILE_ABSENT } },
	};
	struct image i;

	begin(&i);
	put_events(&i, e, COUNT(e));
	put_end(&i, COUNT(e), 0);
	put_image("golden/bad", name, &i);
}

static void bad_blobs(void)
{
	struct image i;

	begin(&i);
	put_piece_of(&i, "hello", 5, 0, 10, 0);
	put_end(&i, 0, 0);
	put_image("golden/bad", "v1-blob-not-whole.cap", &i);
	begin(&i);
	put_piece_of(&i, "hello", 5, 0, 5, 0);
	put_piece_of(&i, "hello", 5, 0, 5, 0);
	put_end(&i, 0, 1);
	put_image("golden/bad", "v1-blob-twice.cap", &i);
}

static void bad(void)
{
	bad_header();
	bad_frames();
	bad_blobs();
	bomb("v1-bomb-with-its-size.cap", 1);
	bomb("v1-bomb-without.cap", 0);
	bad_events("v1-4-giga-events.cap", "\xdd\xff\xff\xff\xff\x93\x00\x00\x00", 9);
	bad_events("v1-unknown-event.cap", "\x91\x93\x09\x00\x00", 5);
	bad_events("v1-before-the-beginning.cap", "\x91\x94\x03\xff\x01\x00", 6);
	bad_events("v1-deep.cap", "\x91\x94\x00\x00\x01\x91\x91\x91\x91\x91\x91\x91\x91\x91\x90", 15);
	bad_path("v1-path-dotdot.cap", "/a/../../etc/passwd");
	bad_path("v1-path-relative.cap", "etc/passwd");
	bad_path("v1-path-slashes.cap", "/etc//passwd");
	bad_path("v1-path-through-symlink.cap", "/data/passwd");
}

/* ---- what the fuzzers of the inner parsers begin with ------------------------------ */

static void seeds(void)
{
	struct err err = ERR_INIT;
	msgpack_sbuffer buf;
	msgpack_packer pk;
	char name[32];

	msgpack_sbuffer_init(&buf);
	msgpack_packer_init(&pk, &buf, msgpack_sbuffer_write);
	for (size_t i = 0; i < COUNT(sample_events); i++) {
		buf.size = 0;
		event_pack(&pk, &sample_events[i], 0);
		snprintf(name, sizeof(name), "%02zu-%s", i, ev_kind_name(sample_events[i].kind));
		put_file("fuzz/corpus/event", name, buf.data, buf.size);
	}
	buf.size = 0;
	assert_works(err, manifest_pack(&pk, &sample_manifest, &err));
	put_file("fuzz/corpus/manifest", "manifest", buf.data, buf.size);
	buf.size = 0;
	end_pack(&pk, &(struct end_frame){ .end = sample_end }, (struct index_entry[]){ { 1, 16 }, { 2, 500 } }, 2);
	put_file("fuzz/corpus/manifest", "end", buf.data, buf.size);
	msgpack_sbuffer_destroy(&buf);
	struct image i = sample_image();

	put_image("fuzz/corpus/capsule", "every-event", &i);
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: make_golden TESTS\n");
		return 2;
	}
	top = argv[1];
	good();
	bad();
	seeds();
	return 0;
}
