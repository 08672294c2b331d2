/* SPDX-License-Identifier: Apache-2.0 */
/* What is no capsule, or one that somebody damaged or forged: refused in one line, in bounded memory. */
#include "tests/unit/capsules.h"

#include "format/cleanup.h"
#include "format/mp.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

static size_t end_of_manifest(const struct image *i)
{
	uint64_t stored;

	memcpy(&stored, i->data + FILE_HEADER + 8, 8);
	return FILE_HEADER + FRAME_HEADER + stored;
}

/* A copy of the exact size, so that the sanitizer sees a read behind it. */
static struct image part_of(const struct image *i, size_t len)
{
	struct image part = { malloc(len ? len : 1), len };

	assert_non_null(part.data);
	memcpy(part.data, i->data, len);
	return part;
}

static void opens_what_was_cut_behind_the_manifest(void **state)
{
	struct image whole = sample_image();
	size_t manifest = end_of_manifest(&whole);
	uint64_t n, before = 0;
	bool complete;

	(void)state;
	for (size_t len = 0; len <= whole.len; len++) {
		struct image part = part_of(&whole, len);
		struct err err = ERR_INIT;

		if (len < manifest) {
			assert_fails(EBADMSG, err, read_all(&part, 0, &complete, &n, &err));
		} else {
			assert_works(err, read_all(&part, 0, &complete, &n, &err));
			assert_int_equal(complete, len == whole.len);
			assert_true(n >= before);
			before = n;
		}
		free(part.data);
	}
	assert_int_equal(before, COUNT(sample_events));
	free(whole.data);
}

static void says_where_it_was_cut(void **state)
{
	struct image whole = sample_image();
	size_t manifest = end_of_manifest(&whole);
	struct capsule_reader *rd = NULL;
	struct err err = ERR_INIT;
	char offset[32];
	const char *why = NULL;

	(void)state;
	snprintf(offset, sizeof(offset), "offset %zu", manifest);
	assert_works(err, capsule_reader_open_mem(&rd, whole.data, manifest + 40, 0, &err));
	assert_false(capsule_complete(rd, &why));
	assert_non_null(strstr(why, "cut short"));
	assert_non_null(strstr(why, offset));
	assert_null(capsule_end(rd));
	capsule_reader_close(rd);
	free(whole.data);
}

static void refuses_every_flipped_bit(void **state)
{
	struct image whole = sample_image();
	bool complete;
	uint64_t n;

	(void)state;
	for (size_t bit = 0; bit < whole.len * 8; bit++) {
		struct image part = part_of(&whole, whole.len);
		struct err err = ERR_INIT;
		int r;

		part.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		r = read_all(&part, 0, &complete, &n, &err);
		if (r >= 0)
			fail_msg("bit %zu of byte %zu: nobody noticed (%d)", bit % 8, bit / 8, complete);
		assert_true(r == -EBADMSG || r == -EPROTONOSUPPORT);
		free(part.data);
	}
	free(whole.data);
}

/* The same in what is left of a capsule that was cut: there the end frame can't help. */
static void refuses_flipped_bits_in_a_stump(void **state)
{
	struct image whole = sample_image();
	size_t len = whole.len - 200;
	bool complete;
	uint64_t n;

	(void)state;
	for (size_t bit = 0; bit < len * 8; bit += 3) {
		struct image part = part_of(&whole, len);
		struct err err = ERR_INIT;

		part.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (read_all(&part, 0, &complete, &n, &err) >= 0)
			assert_false(complete);
		free(part.data);
	}
	free(whole.data);
}

static void refuse(struct image *i, int expected, const char *word)
{
	struct err err = ERR_INIT;
	bool complete;
	uint64_t n;

	assert_fails(expected, err, read_all(i, 0, &complete, &n, &err));
	if (!strstr(err.text, word))
		fail_msg("no '%s' in: %s", word, err.text);
	free(i->data);
}

static void refuses_other_versions(void **state)
{
	struct image i = sample_image();

	(void)state;
	i.data[8] = 2;
	refuse(&i, EPROTONOSUPPORT, "newer capsule");
	i = sample_image();
	memset(i.data + 8, 0xff, 4);
	refuse(&i, EPROTONOSUPPORT, "version 4294967295");
	i = sample_image();
	i.data[8] = 0;
	refuse(&i, EBADMSG, "offset 8");
	i = sample_image();
	i.data[12] = 1;
	refuse(&i, EBADMSG, "offset 8");
}

static void refuses_lengths_of_2_to_the_63(void **state)
{
	uint64_t huge = 1ull << 63;

	(void)state;
	for (size_t field = 8; field <= 16; field += 8) {
		struct image i = sample_image();

		memcpy(i.data + FILE_HEADER + field, &huge, 8);
		refuse(&i, EBADMSG, "offset 16");
		i = sample_image();
		memcpy(i.data + end_of_manifest(&i) + field, &huge, 8);
		refuse(&i, EBADMSG, "9223372036854775808");
	}
}

static void refuses_what_is_behind_the_end(void **state)
{
	struct image i = sample_image(), second = sample_image();

	(void)state;
	put_bytes(&i, "x", 1);
	refuse(&i, EBADMSG, "1 bytes behind");
	i = sample_image();
	put_bytes(&i, second.data, second.len);
	refuse(&i, EBADMSG, "behind");
	free(second.data);
}

static void refuses_frames_out_of_place(void **state)
{
	struct image i;

	(void)state;
	put_header(&i);
	put_events(&i, sample_events, 1);
	refuse(&i, EBADMSG, "no manifest");
	put_header(&i);
	put_manifest(&i);
	put_manifest(&i);
	refuse(&i, EBADMSG, "second manifest");
	put_header(&i);
	put_manifest(&i);
	put_frame(&i, 5, "x", 1);
	refuse(&i, EBADMSG, "unknown type 5");
	put_header(&i);
	put_manifest(&i);
	put_frame(&i, 0, "x", 1);
	refuse(&i, EBADMSG, "unknown type 0");
}

static void refuses_an_end_that_is_not_of_this_file(void **state)
{
	struct image i;

	(void)state;
	put_header(&i);
	put_manifest(&i);
	put_events(&i, sample_events, 3);
	put_end(&i, 2, 0);
	refuse(&i, EBADMSG, "3 events");
	put_header(&i);
	put_manifest(&i);
	put_end(&i, 0, 1);
	refuse(&i, EBADMSG, "1 blobs");

	/* A frame that was put in behind the digest's back. */
	struct image a, b;

	put_header(&a);
	put_manifest(&a);
	size_t end = a.len;
	put_end(&a, 0, 0);
	put_header(&b);
	put_manifest(&b);
	put_events(&b, sample_events, 0);
	put_bytes(&b, a.data + end, a.len - end);
	refuse(&b, EBADMSG, "digest");
	free(a.data);
}

/* ---- compression ------------------------------------------------------------ */

/* Frames of zstd whose content is not the 4 MiB that their headers promise. */
static void refuses_bombs(void **state)
{
	enum { REAL = 256 << 20, SAID = CAPSULE_MAX_FRAME };
	_cleanup_free_ uint8_t *zeros = calloc(1, REAL), *out = malloc(ZSTD_compressBound(REAL));
	size_t n;

	(void)state;
	assert_true(zeros && out);
	for (int hidden = 0; hidden < 2; hidden++) {
		ZSTD_CCtx *z = ZSTD_createCCtx();
		struct image i;

		ZSTD_CCtx_setParameter(z, ZSTD_c_contentSizeFlag, !hidden);
		n = ZSTD_compress2(z, out, ZSTD_compressBound(REAL), zeros, REAL);
		assert_false(ZSTD_isError(n));
		ZSTD_freeCCtx(z);
		for (uint32_t type = FRAME_MANIFEST; type <= FRAME_END; type++) {
			put_header(&i);
			if (type != FRAME_MANIFEST)
				put_manifest(&i);
			put_stored(&i, type, SAID, out, n);
			refuse(&i, EBADMSG, "not what its header says");
		}
	}
}

static void refuses_what_is_no_zstd(void **state)
{
	uint8_t two[200];
	struct image i;
	size_t n;

	(void)state;
	for (uint32_t type = FRAME_MANIFEST; type <= FRAME_END; type++) {
		put_header(&i);
		if (type != FRAME_MANIFEST)
			put_manifest(&i);
		put_stored(&i, type, 5, "hello", 5);
		refuse(&i, EBADMSG, "damaged at offset");
	}
	/* Two zstd frames, one behind the other; and an empty one. */
	n = ZSTD_compress(two, 100, "\x90", 1, 3);
	n += ZSTD_compress(two + n, 100, "\x90", 1, 3);
	put_header(&i);
	put_manifest(&i);
	put_stored(&i, FRAME_EVENTS, 1, two, n);
	refuse(&i, EBADMSG, "not what its header says");
	put_header(&i);
	put_manifest(&i);
	put_stored(&i, FRAME_EVENTS, 0, two, ZSTD_compress(two, 100, "", 0, 3));
	refuse(&i, EBADMSG, "frame of 0 bytes");
}

/* ---- msgpack ------------------------------------------------------------------ */

static void refuse_events(const void *raw, size_t len)
{
	struct image i;

	put_header(&i);
	put_manifest(&i);
	put_frame(&i, FRAME_EVENTS, raw, len);
	refuse(&i, EBADMSG, "damaged at offset");
}

static void refuses_msgpack_that_promises_more_than_there_is(void **state)
{
	static const char *const forms[] = {
		"\xdd\xff\xff\xff\xff",				/* a frame of 4 G events */
		"\xdd\x00\x00\x00\x02\x90",			/* two, one is there, and that one has no kind */
		"\x91\xdd\xff\xff\xff\xff\x03\x00\x00\x00",	/* an event of 4 G fields */
		"\x91\x93\x00\x00\xdd\xff\xff\xff\xff\x00",
		"\x91\x96\x00\x00\x00\x00\x00\xdd\xff\xff\xff\xff",
		"\x91\x94\x02\x00\x01\xdb\xff\xff\xff\xff" "a",	/* a path of 4 G */
		"\x91\x95\x02\x00\x01\xa2/x\xdf\xff\xff\xff\xff",
		"\x91\xc1", "\x91\xc7\x01\x01\x01", "\x91\xd4\x01\x01", "\x91\xca\x00\x00\x00\x00", "\x80", "\xc0", "\xa1" "a",
		"\x91\x93\x00\x00",				/* ends in the middle */
		"\x91\x93\x09\x00\x00", "\x91\x93\xff\x00\x00",	/* unknown kinds */
		"\x91\x93\x00\xff\x00",				/* before the recording began */
		"\x90\x00",					/* behind the last event */
	};
	static const size_t lengths[] = { 5, 6, 10, 10, 12, 11, 10, 2, 5, 4, 6, 1, 1, 2, 4, 5, 5, 5, 2 };

	(void)state;
	assert_int_equal(COUNT(forms), COUNT(lengths));
	for (size_t i = 0; i < COUNT(forms); i++)
		refuse_events(forms[i], lengths[i]);
}

static void refuses_deep_and_wide_msgpack(void **state)
{
	_cleanup_free_ uint8_t *raw = malloc(CAPSULE_MAX_FRAME);

	(void)state;
	assert_non_null(raw);
	memset(raw, 0x91, CAPSULE_MAX_FRAME);	/* arrays in arrays in arrays */
	refuse_events(raw, CAPSULE_MAX_FRAME);
	memset(raw, 0xc0, CAPSULE_MAX_FRAME);	/* an event of four million nils */
	memcpy(raw, "\x91\xdd\x00\x3f\xff\xfa", 6);
	refuse_events(raw, CAPSULE_MAX_FRAME);
}

/* One event with one field that no capsule may hold, as msgpack without its head. */
static void refuses_fields_out_of_bounds(void **state)
{
	static const struct { const char *bytes; size_t len; const char *field; } cases[] = {
#define E(s, field) { s, sizeof(s) - 1, field }
		E("\x94\x00\x00\x01\xce\x00\x01\x00\x00", "nr"),
		E("\x94\x00\x00\x01\xff", "nr"),
		E("\x95\x00\x00\x01\x00\xcf\x80\x00\x00\x00\x00\x00\x00\x00", "ret"),
		E("\x96\x00\x00\x01\x00\x00\x97\x00\x00\x00\x00\x00\x00\x00", "args"),
		E("\x96\x00\x00\x01\x00\x00\x91\xff", "args"),
		E("\x96\x00\x00\x01\x00\x00\x96\xc0\x00\x00\x00\x00\x00", "args"),
		E("\x97\x00\x00\x01\x00\x00\x90\x98\xc0\xc0\xc0\xc0\xc0\xc0\xc0\xc0", "segs"),
		E("\x95\x02\x00\x01\xa2/x\x98\xc0\xa0\xa0\xa0\xa0\xa0\xa0\xa0", "argv"),
		E("\x9f\x05\x00\x01\x01\x01\x00\x00\x00\xa0\xa0\xa0\x00\x00\x00\x98\xc0\x00\x00\x00\x00\x00\x00\x00", "fds"),
		E("\x97\x00\x00\x01\x00\x00\x90\x99\x90\x90\x90\x90\x90\x90\x90\x90\x90", "segs"),
		E("\x97\x00\x00\x01\x00\x00\x90\x91\x93\x06\x00\xc4\x00", "arg"),
		E("\x97\x00\x00\x01\x00\x00\x90\x91\x93\xcc\xe7\x00\xc4\x00", "arg"),
		E("\x97\x00\x00\x01\x00\x00\x90\x91\x94\x00\x00\x05\xc4\x02xx", "sha256"),
		E("\x94\x00\xcf\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00", "time"),
		E("\x94\x00\x00\xff\x00", "task"),
		E("\x97\x01\x00\x01\x02\x2b\x2c\x01", "thread"),
		E("\x94\x02\x00\x01\xa3" "a/b", "'a/b'"),
		E("\x94\x02\x00\x01\xc4\x03/\x00x", "path"),
		E("\x95\x02\x00\x01\xa2/x\x91\x01", "argv"),
		E("\x97\x02\x00\x01\xa2/x\x90\x90\xa2..", "'..'"),
		E("\x98\x02\x00\x01\xa2/x\x90\x90\xa0\xc4\x01x", "at_random"),
		E("\x94\x05\x00\x01\x00", "id"),
		E("\x95\x05\x00\x01\x01\x09", "kind"),
		E("\x95\x05\x00\x01\x01\x00", "kind"),
		E("\x94\x06\x00\x01\xa6/a/../", "/a/.."),
		E("\x95\x06\x00\x01\xa2/a\x05", "state"),
		E("\x97\x06\x00\x01\xa2/a\x01\x00\xcd\x10\x00", "mode"),
		E("\x9c\x06\x00\x01\xa2/a\x01\x02\x00\x00\x00\x05\x00\xc0", "sha256"),
		E("\x9d\x06\x00\x01\xa2/a\x01\x00\x00\x00\x00\x05\x00\xc0\xa1x", "target"),
		E("\x94\x07\x00\x01\xa1/\x91", "behind the last event"),
#undef E
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		uint8_t raw[64] = { 0x91 };
		struct image im;

		memcpy(raw + 1, cases[i].bytes, cases[i].len);
		put_header(&im);
		put_manifest(&im);
		put_frame(&im, FRAME_EVENTS, raw, 1 + cases[i].len);
		refuse(&im, EBADMSG, cases[i].field);
	}
}

static void takes_more_fields_than_it_knows(void **state)
{
	/* An exit with one field too many, and one that ends early. */
	static const uint8_t raw[] = { 0x92, 0x97, 3, 1, 1, 0, 0xc3, 0xc2, 0x2a, 0x93, 3, 1, 1 };
	struct capsule_reader *rd = NULL;
	struct err err = ERR_INIT;
	struct image i;
	struct event e;

	(void)state;
	put_header(&i);
	put_manifest(&i);
	put_frame(&i, FRAME_EVENTS, raw, sizeof(raw));
	assert_works(err, capsule_reader_open_mem(&rd, i.data, i.len, 0, &err));
	assert_int_equal(capsule_next(rd, &e, &err), 1);
	assert_true(e.kind == EV_EXIT && e.exit.group);
	assert_int_equal(capsule_next(rd, &e, &err), 1);
	assert_true(e.kind == EV_EXIT && !e.exit.group && e.time == 2);
	assert_int_equal(capsule_next(rd, &e, &err), 0);
	capsule_reader_close(rd);
	free(i.data);
}

/* The sample's manifest without the @skip-th key, or with one more if @more. */
static void pack_manifest_without(msgpack_packer *pk, size_t skip, const char *more)
{
	msgpack_sbuffer whole;
	msgpack_packer all;
	struct err err = ERR_INIT;
	msgpack_zone *zone = msgpack_zone_new(8192);
	msgpack_object o;

	msgpack_sbuffer_init(&whole);
	msgpack_packer_init(&all, &whole, msgpack_sbuffer_write);
	assert_works(err, manifest_pack(&all, &sample_manifest, &err));
	assert_works(err, mp_parse((uint8_t *)whole.data, whole.size, zone, &o, &err));
	msgpack_pack_map(pk, o.via.map.size - (skip < o.via.map.size) + (more != NULL));
	for (size_t i = 0; i < o.via.map.size; i++) {
		if (i == skip)
			continue;
		msgpack_pack_object(pk, o.via.map.ptr[i].key);
		msgpack_pack_object(pk, o.via.map.ptr[i].val);
	}
	if (more) {
		mp_pack_key(pk, more);
		msgpack_pack_nil(pk);
	}
	msgpack_zone_free(zone);
	msgpack_sbuffer_destroy(&whole);
}

static struct image manifest_without(size_t skip, const char *more)
{
	msgpack_sbuffer buf;
	msgpack_packer pk;
	struct image i;

	msgpack_sbuffer_init(&buf);
	msgpack_packer_init(&pk, &buf, msgpack_sbuffer_write);
	pack_manifest_without(&pk, skip, more);
	put_header(&i);
	put_frame(&i, FRAME_MANIFEST, buf.data, buf.size);
	msgpack_sbuffer_destroy(&buf);
	return i;
}

static void misses_every_key_that_it_needs(void **state)
{
	struct err err = ERR_INIT;
	bool complete;
	uint64_t n;

	(void)state;
	for (size_t k = 0; manifest_fields[k].key; k++) {
		struct image i = manifest_without(k, NULL);

		if (manifest_fields[k].required) {
			refuse(&i, EBADMSG, manifest_fields[k].key);
			continue;
		}
		assert_works(err, read_all(&i, 0, &complete, &n, &err));
		free(i.data);
	}
	struct image i = manifest_without(SIZE_MAX, "a key of tomorrow");

	assert_works(err, read_all(&i, 0, &complete, &n, &err));
	free(i.data);
	i = manifest_without(SIZE_MAX, "uid");
	refuse(&i, EBADMSG, "'uid' twice");
}

/* ---- paths -------------------------------------------------------------------- */

static void knows_a_clean_path(void **state)
{
	static const char *const good[] = { "/", "/a", "/a/b", "/...", "/a/..b", "/.a", "/a b/\xff" };
	static const char *const bad[] = {
		"", "a", "./a", "../a", "//", "//a", "/a/", "/a//b", "/.", "/..", "/a/.", "/a/..", "/./a", "/../a", "/a/./b", "/a/../b",
	};
	char edge[4097];

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++)
		assert_true(path_is_clean(good[i], strlen(good[i])));
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_false(path_is_clean(bad[i], strlen(bad[i])));
	assert_false(path_is_clean("/a\0b", 4));
	memset(edge, 'a', sizeof(edge));
	edge[0] = '/';
	assert_true(path_is_clean(edge, 4095));
	assert_false(path_is_clean(edge, 4096));
}

static void refuses_paths_that_are_not_clean(void **state)
{
	static const char *const bad[] = { "/a/../etc/passwd", "etc/passwd", "/a//b", "/a/.", "/..", "" };

	(void)state;
	for (size_t k = 0; k < COUNT(bad); k++) {
		const struct event events[] = {
			{ .kind = EV_FILE, .file = { .path = bad[k] } },
			{ .kind = EV_OUTPUT, .file = { .path = bad[k] } },
			{ .kind = EV_EXEC, .exec = { .path = bad[k] } },
		};

		for (size_t i = 0; i < COUNT(events); i++) {
			struct image im;

			put_header(&im);
			put_manifest(&im);
			put_events(&im, &events[i], 1);
			refuse(&im, EBADMSG, "not absolute and clean");
		}
	}
}

static void refuses_paths_through_a_symlink_of_the_table(void **state)
{
	const struct event link = { .kind = EV_FILE, .file = { .path = "/a/b", .state = FILE_SYMLINK, .target = "/etc" } };
	const struct event below = { .kind = EV_FILE, .file = { .path = "/a/b/c/d", .state = FILE_REGULAR } };
	const struct event beside = { .kind = EV_FILE, .file = { .path = "/a/bc/d", .state = FILE_REGULAR } };
	const struct event output = { .kind = EV_OUTPUT, .file = { .path = "/a/b/c/d", .state = FILE_REGULAR } };
	struct err err = ERR_INIT;
	struct image i;
	bool complete;
	uint64_t n;

	(void)state;
	put_header(&i);
	put_manifest(&i);
	put_events(&i, (struct event[]){ link, beside, below }, 3);
	refuse(&i, EBADMSG, "symbolic link '/a/b'");
	put_header(&i);
	put_manifest(&i);
	put_events(&i, (struct event[]){ below, beside, link }, 3);
	refuse(&i, EBADMSG, "symbolic link '/a/b'");

	/* Again and again the same is fine, and the end may look as it likes. */
	put_header(&i);
	put_manifest(&i);
	put_events(&i, (struct event[]){ link, beside, link, beside, output }, 5);
	assert_works(err, read_all(&i, 0, &complete, &n, &err));
	assert_int_equal(n, 5);
	free(i.data);
}

static void refuses_attributes_that_no_program_could_set(void **state)
{
	static const struct { const char *data; size_t len; } bad[] = {
		{ "user.a\0\1\0\0\0", 11 },			/* its value is not there */
		{ "user.a\0\0\0\0", 10 }, { "user.a", 6 },
		{ "user.a\0\376\377\377\377x", 12 },		/* as long as can be */
		{ "user.\0\0\0\0\0", 10 }, { "trusted.a\0\0\0\0\0", 14 }, { "security.capability\0\0\0\0\0", 24 },
		{ "user.overlay.opaque\0\1\0\0\0y", 25 },	/* a word to the replay's own overlay */
		{ "user.a\0\0\0\0\0\0", 12 },
	};

	(void)state;
	for (size_t k = 0; k < COUNT(bad) + 1; k++) {
		struct event e = { .kind = EV_FILE, .file = { .path = "/a", .state = FILE_REGULAR, .flags = FILE_CONTENT } };
		struct image i;

		e.file.attributes = (struct bytes){ (const uint8_t *)bad[k % COUNT(bad)].data, bad[k % COUNT(bad)].len };
		if (k == COUNT(bad)) {		/* good ones, of what can have none */
			e.file = (struct ev_file){ .path = "/a", .state = FILE_SYMLINK, .target = "b", .attributes = { (const uint8_t *)"user.a\0\0\0\0\0", 11 } };
		}
		put_header(&i);
		put_manifest(&i);
		put_events(&i, &e, 1);
		refuse(&i, EBADMSG, "'attributes'");
	}
}

/* ---- blobs -------------------------------------------------------------------- */

static int ignore(void *ctx, const void *data, size_t len, struct err *err)
{
	(void)ctx, (void)data, (void)len, (void)err;
	return 0;
}

static void refuses_pieces_that_do_not_fit(void **state)
{
	static const struct { uint64_t at, total; } alone[] = {
		{ 1, 6 }, { 0, 4 }, { 5, 5 }, { UINT64_MAX, 5 }, { 0, 1ull << 63 }, { UINT64_MAX - 4, 1 },
	};
	struct image i;

	(void)state;
	for (size_t k = 0; k < COUNT(alone); k++) {
		put_header(&i);
		put_manifest(&i);
		put_piece_of(&i, "hello", 5, alone[k].at, alone[k].total, 0);
		refuse(&i, EBADMSG, "blob");
	}
	put_header(&i);
	put_manifest(&i);
	put_piece_of(&i, "", 0, 0, 0, 0);
	refuse(&i, EBADMSG, "blob");
	put_header(&i);
	put_manifest(&i);
	put_piece_of(&i, "hello", 5, 0, 10, 0);
	put_events(&i, sample_events, 1);
	refuse(&i, EBADMSG, "not whole");
	put_header(&i);
	put_manifest(&i);
	put_piece_of(&i, "hello", 5, 0, 10, 0);
	put_piece_of(&i, "hello", 5, 0, 10, 0);
	refuse(&i, EBADMSG, "does not follow");
	put_header(&i);
	put_manifest(&i);
	put_piece_of(&i, "hello", 5, 0, 5, 0);
	put_piece_of(&i, "hello", 5, 0, 5, 0);
	refuse(&i, EBADMSG, "twice");
}

static void refuses_a_blob_with_another_name(void **state)
{
	struct capsule_reader *rd = NULL;
	struct err err = ERR_INIT;
	struct image i;
	uint8_t name[32];

	(void)state;
	sha256_of("hello", 5, name);
	name[0]++;
	put_header(&i);
	put_manifest(&i);
	put_piece_of(&i, "hello", 5, 0, 5, 1);
	put_end(&i, 0, 1);
	assert_works(err, capsule_reader_open_mem(&rd, i.data, i.len, 0, &err));
	assert_fails(EBADMSG, err, capsule_blob(rd, name, ignore, NULL, &err));
	capsule_reader_close(rd);
	free(i.data);
}

static void forgets_a_blob_that_was_cut(void **state)
{
	struct capsule_reader *rd = NULL;
	struct err err = ERR_INIT;
	struct image i;
	uint8_t name[32];

	(void)state;
	sha256_of("hello", 5, name);
	put_header(&i);
	put_manifest(&i);
	put_piece_of(&i, "hello", 5, 0, 10, 0);
	assert_works(err, capsule_reader_open_mem(&rd, i.data, i.len, 0, &err));
	assert_false(capsule_complete(rd, NULL));
	assert_fails(ENOENT, err, capsule_blob(rd, name, ignore, NULL, &err));
	capsule_reader_close(rd);
	free(i.data);
}

/* ---- no files for us ------------------------------------------------------------ */

static void refuses_what_is_no_file(void **state)
{
	struct { const char *path; int code; } cases[] = {
		{ "/tmp", EISDIR }, { "/dev/null", EINVAL }, { "/dev/zero", EINVAL }, { "/no/such/file", ENOENT },
		{ "/proc/self/exe", EBADMSG }, { "/proc/self/status", EBADMSG },
	};
	struct capsule_reader *rd = NULL;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct err err = ERR_INIT;

		assert_fails(cases[i].code, err, capsule_reader_open(&rd, cases[i].path, 0, &err));
		assert_non_null(strstr(err.text, cases[i].path));
		assert_null(rd);
	}
}

static void refuses_empty_files_and_fifos(void **state)
{
	_cleanup_free_ char *fifo = strdup(scratch_path("fifo")), *empty = strdup(scratch_path("empty"));
	struct capsule_reader *rd = NULL;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(mkfifo(fifo, 0600), 0);
	alarm(10);	/* if it waits for a writer, this ends it */
	assert_fails(EINVAL, err, capsule_reader_open(&rd, fifo, 0, &err));
	alarm(0);
	close(open(empty, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	assert_fails(EBADMSG, err, capsule_reader_open(&rd, empty, 0, &err));
	assert_non_null(strstr(err.text, "empty file, not a capsule"));
	assert_fails(EBADMSG, err, capsule_reader_open_mem(&rd, NULL, 0, 0, &err));
	assert_null(rd);
	unlink(fifo);
	unlink(empty);
}

static void survives_a_file_that_shrinks(void **state)
{
	const char *path = scratch_path("shrinks.cap");
	struct capsule_reader *rd = NULL;
	struct err err = ERR_INIT;
	struct event e;

	(void)state;
	write_sample(path);
	assert_works(err, capsule_reader_open(&rd, path, 0, &err));
	assert_int_equal(truncate(path, 100), 0);
	assert_fails(EBADMSG, err, capsule_next(rd, &e, &err));
	assert_fails(EBADMSG, err, capsule_next(rd, &e, &err));
	capsule_reader_close(rd);
	unlink(path);
}

/* All the above, promises of gigabytes included, in one process; the sanitizer alone keeps 256 MiB of what was freed. */
static void memory_stayed_bounded(void **state)
{
	struct rusage u;

	(void)state;
	assert_int_equal(getrusage(RUSAGE_SELF, &u), 0);
	if (u.ru_maxrss > 512 << 10)
		fail_msg("%ld KiB", u.ru_maxrss);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(opens_what_was_cut_behind_the_manifest),
		cmocka_unit_test(says_where_it_was_cut),
		cmocka_unit_test(refuses_every_flipped_bit),
		cmocka_unit_test(refuses_flipped_bits_in_a_stump),
		cmocka_unit_test(refuses_other_versions),
		cmocka_unit_test(refuses_lengths_of_2_to_the_63),
		cmocka_unit_test(refuses_what_is_behind_the_end),
		cmocka_unit_test(refuses_frames_out_of_place),
		cmocka_unit_test(refuses_an_end_that_is_not_of_this_file),
		cmocka_unit_test(refuses_what_is_no_zstd),
		cmocka_unit_test(refuses_msgpack_that_promises_more_than_there_is),
		cmocka_unit_test(refuses_deep_and_wide_msgpack),
		cmocka_unit_test(refuses_fields_out_of_bounds),
		cmocka_unit_test(takes_more_fields_than_it_knows),
		cmocka_unit_test(misses_every_key_that_it_needs),
		cmocka_unit_test(knows_a_clean_path),
		cmocka_unit_test(refuses_paths_that_are_not_clean),
		cmocka_unit_test(refuses_paths_through_a_symlink_of_the_table),
		cmocka_unit_test(refuses_attributes_that_no_program_could_set),
		cmocka_unit_test(refuses_pieces_that_do_not_fit),
		cmocka_unit_test(refuses_a_blob_with_another_name),
		cmocka_unit_test(forgets_a_blob_that_was_cut),
		cmocka_unit_test(refuses_what_is_no_file),
		cmocka_unit_test(refuses_empty_files_and_fifos),
		cmocka_unit_test(survives_a_file_that_shrinks),
		cmocka_unit_test(memory_stayed_bounded),
		cmocka_unit_test(refuses_bombs),	/* takes half a GiB to make them */
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
