/* SPDX-License-Identifier: Apache-2.0 */
#include "format/mp.h"

#include "format/text.h"

#include <errno.h>
#include <string.h>

/* What the first byte of a msgpack object says about the rest. */
struct token {
	uint8_t width;		/* bytes of the number behind it */
	bool counts;		/* that number counts bytes or elements; else it is the value */
	uint8_t per;		/* elements for each count: array 1, map 2, else 0 */
	uint32_t fixed;		/* the count where the first byte holds it */
};

static bool token_of(uint8_t c, struct token *t)
{
	static const struct token table[32] = {	/* 0xc0 to 0xdf; no ext, no float */
		[0x00] = {}, [0x02] = {}, [0x03] = {},
		[0x04] = { 1, true }, [0x05] = { 2, true }, [0x06] = { 4, true },
		[0x0c] = { 1 }, [0x0d] = { 2 }, [0x0e] = { 4 }, [0x0f] = { 8 },
		[0x10] = { 1 }, [0x11] = { 2 }, [0x12] = { 4 }, [0x13] = { 8 },
		[0x19] = { 1, true }, [0x1a] = { 2, true }, [0x1b] = { 4, true },
		[0x1c] = { 2, true, 1 }, [0x1d] = { 4, true, 1 }, [0x1e] = { 2, true, 2 }, [0x1f] = { 4, true, 2 },
	};

	*t = (struct token){ 0 };
	if (c < 0x80 || c >= 0xe0)
		return true;
	if (c < 0xa0)
		*t = (struct token){ .fixed = c & 0x0f, .per = c < 0x90 ? 2 : 1 };
	else if (c < 0xc0)
		*t = (struct token){ .fixed = c & 0x1f };
	else
		*t = table[c & 0x1f];
	return c < 0xc0 || t->width || c == 0xc0 || c == 0xc2 || c == 0xc3;
}

/* Bytes of the object at @p without the elements inside it, and how many of these there are. */
static size_t skip(const uint8_t *p, size_t len, uint64_t *elements)
{
	struct token t;
	uint64_t n, size;

	if (len == 0 || !token_of(p[0], &t) || len < 1u + t.width)
		return 0;
	n = t.fixed;
	if (t.counts)
		for (size_t i = n = 0; i < t.width; i++)
			n = n << 8 | p[1 + i];
	*elements = n * t.per;
	size = 1u + t.width + (t.per ? 0 : n);
	return size <= len && *elements <= len - size ? size : 0;
}

size_t mp_whole(const uint8_t *p, size_t len)
{
	uint64_t left[MP_DEPTH] = { 1 }, elements, total = 0;
	size_t at = 0, depth = 0, n;

	for (;;) {
		n = skip(p + at, len - at, &elements);
		total += elements;
		if (n == 0 || total > MP_OBJECTS)
			return 0;
		at += n;
		left[depth]--;
		if (elements > 0) {
			if (++depth == MP_DEPTH)
				return 0;
			left[depth] = elements;
		}
		while (left[depth] == 0)
			if (depth-- == 0)
				return at;
	}
}

size_t mp_array_header(const uint8_t *p, size_t len, uint32_t *n)
{
	struct token t;
	uint64_t elements = 0;
	size_t size;

	if (len == 0 || !token_of(p[0], &t) || t.per != 1)
		return 0;
	size = skip(p, len, &elements);
	*n = (uint32_t)elements;
	return size;
}

int mp_parse(const uint8_t *p, size_t len, msgpack_zone *zone, msgpack_object *o, struct err *err)
{
	msgpack_unpack_return r = msgpack_unpack((const char *)p, len, NULL, zone, o);

	if (r == MSGPACK_UNPACK_NOMEM_ERROR)
		return err_set(err, ENOMEM, "out of memory");
	if (r != MSGPACK_UNPACK_SUCCESS)
		return err_set(err, EBADMSG, "no whole msgpack object");
	return 0;
}

static const msgpack_object *next(struct mp *m)
{
	if (m->bad || m->left == 0)
		return NULL;
	m->left--;
	return m->at++;
}

uint64_t mp_uint(struct mp *m, const char *name, uint64_t max)
{
	const msgpack_object *o = next(m);

	if (!o)
		return 0;
	if (o->type == MSGPACK_OBJECT_POSITIVE_INTEGER && o->via.u64 <= max)
		return o->via.u64;
	m->bad = name;
	return 0;
}

int64_t mp_int(struct mp *m, const char *name, int64_t min, int64_t max)
{
	const msgpack_object *o = next(m);
	int64_t v;

	if (!o)
		return 0;
	if (o->type == MSGPACK_OBJECT_POSITIVE_INTEGER)
		v = o->via.u64 <= INT64_MAX ? (int64_t)o->via.u64 : (m->bad = name, 0);
	else if (o->type == MSGPACK_OBJECT_NEGATIVE_INTEGER)
		v = o->via.i64;
	else
		v = (m->bad = name, 0);
	if (v < min || v > max)
		m->bad = name;
	return m->bad ? 0 : v;
}

bool mp_bool(struct mp *m, const char *name)
{
	const msgpack_object *o = next(m);

	if (o && o->type != MSGPACK_OBJECT_BOOLEAN)
		m->bad = name;
	return o && !m->bad && o->via.boolean;
}

void *mp_alloc(struct mp *m, size_t size)
{
	void *p = msgpack_zone_malloc(m->zone, size ? size : 1);

	if (!p)
		m->bad = "(out of memory)";
	else
		*m->used += size;
	return p;
}

/* str and bin are the same to us: bytes. */
static bool bytes_of(const msgpack_object *o, struct bytes *b)
{
	if (o->type == MSGPACK_OBJECT_STR)
		*b = (struct bytes){ (const uint8_t *)o->via.str.ptr, o->via.str.size };
	else if (o->type == MSGPACK_OBJECT_BIN)
		*b = (struct bytes){ (const uint8_t *)o->via.bin.ptr, o->via.bin.size };
	else
		return false;
	return true;
}

const char *mp_text(struct mp *m, const char *name)
{
	const msgpack_object *o = next(m);
	struct bytes b;
	char *s;

	if (!o)
		return "";
	if (!bytes_of(o, &b) || (b.len && memchr(b.data, 0, b.len))) {
		m->bad = name;
		return "";
	}
	if (b.len == 0)
		return "";
	s = mp_alloc(m, b.len + 1);
	if (!s)
		return "";
	memcpy(s, b.data, b.len);
	s[b.len] = 0;
	return s;
}

struct bytes mp_bin(struct mp *m, const char *name, size_t max)
{
	const msgpack_object *o = next(m);
	struct bytes b = { 0 };

	if (o && (!bytes_of(o, &b) || b.len > max)) {
		m->bad = name;
		b = (struct bytes){ 0 };
	}
	return b;
}

bool mp_fixed(struct mp *m, const char *name, void *out, size_t len)
{
	const msgpack_object *o = next(m);
	struct bytes b;

	if (!o || o->type == MSGPACK_OBJECT_NIL)
		return false;
	if (!bytes_of(o, &b) || b.len != len) {
		m->bad = name;
		return false;
	}
	memcpy(out, b.data, len);
	return true;
}

void mp_array(struct mp *m, const char *name, uint32_t max, struct mp *sub)
{
	const msgpack_object *o = next(m);

	*sub = (struct mp){ .zone = m->zone, .used = m->used };
	if (!o)
		return;
	if (o->type != MSGPACK_OBJECT_ARRAY || o->via.array.size > max) {
		m->bad = name;
		return;
	}
	sub->at = o->via.array.ptr;
	sub->left = o->via.array.size;
}

void mp_join(struct mp *m, const struct mp *sub)
{
	if (!m->bad)
		m->bad = sub->bad;
}

const char *const *mp_texts(struct mp *m, const char *name, size_t *n)
{
	const char **list;
	struct mp sub;

	mp_array(m, name, MP_OBJECTS, &sub);
	*n = 0;
	list = mp_alloc(m, sub.left * sizeof(*list));
	if (!list)
		return NULL;
	while (mp_more(&sub))
		list[(*n)++] = mp_text(&sub, name);
	mp_join(m, &sub);
	return list;
}

int mp_done(const struct mp *m, const char *what, struct err *err)
{
	if (m->bad)
		return err_set(err, EBADMSG, "%s with a bad field '%s'", what, m->bad);
	return 0;
}

void mp_pack_text(msgpack_packer *pk, const char *s)
{
	size_t len;

	s = s ? s : "";
	len = strlen(s);
	if (utf8_valid(s, len))
		msgpack_pack_str_with_body(pk, s, len);
	else
		msgpack_pack_bin_with_body(pk, s, len);
}

void mp_pack_key(msgpack_packer *pk, const char *key)
{
	msgpack_pack_str_with_body(pk, key, strlen(key));
}

void mp_pack_bin(msgpack_packer *pk, const void *p, size_t len)
{
	msgpack_pack_bin_with_body(pk, p ? p : "", len);
}
