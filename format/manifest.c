/* SPDX-License-Identifier: Apache-2.0 */
#include "format/manifest.h"

#include "format/cleanup.h"
#include "format/codec.h"
#include "format/mp.h"

#include <errno.h>
#include <string.h>

#define F(name, type, needed) { #name, type, offsetof(struct manifest, name), needed }
const struct manifest_field manifest_fields[] = {
	F(tool, MF_TEXT, false),
	F(uuid, MF_TEXT, false),
	F(created, MF_I64, true),
	F(monotonic, MF_I64, true),
	F(boottime, MF_I64, true),
	F(clocks, MF_TEXT, true),
	F(rootfs, MF_TEXT, true),
	F(image_dirs, MF_TEXTS, true),
	F(argv, MF_TEXTS, true),
	F(env, MF_TEXTS, true),
	F(cwd, MF_TEXT, true),
	F(uid, MF_U32, true),
	F(euid, MF_U32, true),
	F(gid, MF_U32, true),
	F(egid, MF_U32, true),
	F(groups, MF_GROUPS, true),
	F(umask, MF_U32, true),
	F(sig_ignored, MF_I64, false),
	F(sig_blocked, MF_I64, false),
	F(pid, MF_U32, true),
	F(ppid, MF_U32, true),
	F(pgid, MF_U32, true),
	F(sid, MF_U32, true),
	F(rlimits, MF_RLIMITS, true),
	F(hostname, MF_TEXT, false),
	F(domainname, MF_TEXT, false),
	F(sysname, MF_TEXT, false),
	F(release, MF_TEXT, false),
	F(version, MF_TEXT, false),
	F(machine, MF_TEXT, false),
	F(cpu_model, MF_TEXT, false),
	F(ncpus, MF_U32, true),
	F(aslr, MF_BOOL, true),
	F(declines, MF_BOOL, false),
	F(signature, MF_TEXT, false),
	F(attached, MF_TEXT, false),
	F(limits, MF_TEXT, false),
	F(replay_of, MF_TEXT, false),
	F(redacted, MF_TEXTS, false),
	F(traces, MF_TEXTS, false),
	F(upstream_traces, MF_TEXTS, false),
	F(image, MF_TEXT, false),
	F(image_manifest, MF_TEXT, false),
	F(image_config, MF_TEXT, false),
	F(image_layers, MF_TEXTS, false),
	F(container, MF_TEXT, false),
	F(mounts, MF_TEXTS, false),
	F(namespaces, MF_TEXTS, false),
	F(addresses, MF_TEXTS, false),
	F(uid_map, MF_TEXT, false),
	F(gid_map, MF_TEXT, false),
	{ 0 }
};
#undef F

enum { MAX_RLIMITS = sizeof(((struct manifest *)0)->rlimits) / sizeof(((struct manifest *)0)->rlimits[0]) };

static void *member(const struct manifest *m, const struct manifest_field *f)
{
	return (char *)m + f->offset;
}

static void free_texts(char **list)
{
	for (char **s = list; s && *s; s++)
		free(*s);
	free(list);
}

void manifest_free(struct manifest *m)
{
	if (!m)
		return;
	for (const struct manifest_field *f = manifest_fields; f->key; f++) {
		if (f->type == MF_TEXT)
			free(*(char **)member(m, f));
		else if (f->type == MF_TEXTS)
			free_texts(*(char ***)member(m, f));
	}
	free(m->groups);
	free(m);
}
static void cleanup_manifest(struct manifest **m) { manifest_free(*m); }

static bool clean(const char *path)
{
	return path && path_is_clean(path, strlen(path));
}

static int manifest_check(const struct manifest *m, struct err *err)
{
	const char *cwd = str_or_empty(m->cwd), *clocks = str_or_empty(m->clocks);

	if (!m->argv || !m->argv[0])
		return err_set(err, EBADMSG, "manifest without a command");
	if (strcmp(clocks, "exact") != 0 && strcmp(clocks, "causal") != 0)
		return err_set(err, EBADMSG, "manifest with clocks '%.40s', neither exact nor causal", clocks);
	if (!clean(m->rootfs))
		return err_set(err, EBADMSG, "manifest with the rootfs '%.200s', which is not absolute and clean",
			       str_or_empty(m->rootfs));
	if (*cwd && !clean(cwd))
		return err_set(err, EBADMSG, "manifest with the cwd '%.200s', which is not absolute and clean", cwd);
	for (char **d = m->image_dirs; d && *d; d++)
		if (!clean(*d))
			return err_set(err, EBADMSG, "manifest with the image directory '%.200s', which is not absolute and clean",
				       *d);
	if (m->nrlimits > MAX_RLIMITS)
		return err_set(err, EBADMSG, "manifest with a bad field 'rlimits'");
	return 0;
}

/* ---- packing ----------------------------------------------------------- */

static void pack_field(msgpack_packer *pk, const struct manifest *m, const struct manifest_field *f)
{
	const void *at = member(m, f);
	char **list;
	size_t n = 0;

	switch (f->type) {
	case MF_TEXT: mp_pack_text(pk, *(char *const *)at); break;
	case MF_I64: msgpack_pack_int64(pk, *(const int64_t *)at); break;
	case MF_U32: msgpack_pack_uint32(pk, *(const uint32_t *)at); break;
	case MF_BOOL: (*(const bool *)at ? msgpack_pack_true : msgpack_pack_false)(pk); break;
	case MF_TEXTS:
		list = *(char **const *)at;
		while (list && list[n])
			n++;
		msgpack_pack_array(pk, n);
		for (size_t i = 0; i < n; i++)
			mp_pack_text(pk, list[i]);
		break;
	case MF_GROUPS:
		msgpack_pack_array(pk, m->ngroups);
		for (size_t i = 0; i < m->ngroups; i++)
			msgpack_pack_uint32(pk, m->groups[i]);
		break;
	case MF_RLIMITS:
		msgpack_pack_array(pk, m->nrlimits);
		for (uint32_t i = 0; i < m->nrlimits; i++) {
			msgpack_pack_array(pk, 2);
			msgpack_pack_uint64(pk, m->rlimits[i].cur);
			msgpack_pack_uint64(pk, m->rlimits[i].max);
		}
		break;
	}
}

int manifest_pack(msgpack_packer *pk, const struct manifest *m, struct err *err)
{
	size_t n = 0;

	if (manifest_check(m, err) < 0) {
		err->code = EINVAL;
		return -EINVAL;
	}
	while (manifest_fields[n].key)
		n++;
	msgpack_pack_map(pk, n);
	for (const struct manifest_field *f = manifest_fields; f->key; f++) {
		mp_pack_key(pk, f->key);
		pack_field(pk, m, f);
	}
	return 0;
}

/* ---- unpacking --------------------------------------------------------- */

static void take_text(struct mp *v, const char *key, char **out)
{
	*out = strdup(mp_text(v, key));
	if (!*out)
		v->bad = "(out of memory)";
}

static void take_texts(struct mp *v, const char *key, char ***out)
{
	struct mp sub;

	mp_array(v, key, MP_OBJECTS, &sub);
	char **list = *out = calloc(sub.left + 1u, sizeof(*list));
	if (!list)
		sub.bad = "(out of memory)";
	while (mp_more(&sub))
		take_text(&sub, key, list++);
	mp_join(v, &sub);
}

static void take_groups(struct mp *v, const char *key, struct manifest *m)
{
	struct mp sub;

	mp_array(v, key, MP_OBJECTS, &sub);
	m->groups = calloc(sub.left + 1u, sizeof(*m->groups));
	if (!m->groups)
		sub.bad = "(out of memory)";
	while (mp_more(&sub))
		m->groups[m->ngroups++] = (uint32_t)mp_uint(&sub, key, UINT32_MAX);
	mp_join(v, &sub);
}

static void take_rlimits(struct mp *v, const char *key, struct manifest *m)
{
	struct mp sub, pair;

	mp_array(v, key, MAX_RLIMITS, &sub);
	while (mp_more(&sub)) {
		mp_array(&sub, key, 2, &pair);
		m->rlimits[m->nrlimits].cur = mp_uint(&pair, key, UINT64_MAX);
		m->rlimits[m->nrlimits++].max = mp_uint(&pair, key, UINT64_MAX);
		mp_join(&sub, &pair);
	}
	mp_join(v, &sub);
}

static void take_field(struct mp *v, const struct manifest_field *f, struct manifest *m)
{
	void *at = member(m, f);

	switch (f->type) {
	case MF_TEXT: take_text(v, f->key, at); break;
	case MF_TEXTS: take_texts(v, f->key, at); break;
	case MF_I64: *(int64_t *)at = mp_int(v, f->key, INT64_MIN, INT64_MAX); break;
	case MF_U32: *(uint32_t *)at = (uint32_t)mp_uint(v, f->key, UINT32_MAX); break;
	case MF_BOOL: *(bool *)at = mp_bool(v, f->key); break;
	case MF_GROUPS: take_groups(v, f->key, m); break;
	case MF_RLIMITS: take_rlimits(v, f->key, m); break;
	}
}

/*
 * The value of @key in @map as an mp of one element, of none if it is missing
 * (then every take_...() gives the default).  EBADMSG: there twice.
 */
static int find(const msgpack_object_map *map, const char *key, struct mp *v, struct err *err)
{
	v->left = 0;
	for (uint32_t i = 0; i < map->size; i++) {
		const msgpack_object *k = &map->ptr[i].key;

		if (k->type != MSGPACK_OBJECT_STR || k->via.str.size != strlen(key) ||
		    memcmp(k->via.str.ptr, key, k->via.str.size) != 0)
			continue;
		if (v->left)
			return err_set(err, EBADMSG, "the key '%s' twice", key);
		v->at = &map->ptr[i].val;
		v->left = 1;
	}
	return 0;
}

enum { MAX_KEYS = 256 };

/* The whole of @p as a map, in @zone. */
static int parse_map(const uint8_t *p, size_t len, msgpack_zone *zone, msgpack_object_map *map, struct err *err)
{
	msgpack_object o;

	if (mp_whole(p, len) != len)
		return err_set(err, EBADMSG, "no msgpack map");
	if (mp_parse(p, len, zone, &o, err) < 0)
		return -err->code;
	if (o.type != MSGPACK_OBJECT_MAP || o.via.map.size > MAX_KEYS)
		return err_set(err, EBADMSG, "no msgpack map of at most %d keys", MAX_KEYS);
	*map = o.via.map;
	return 0;
}

static void cleanup_zone(msgpack_zone **z) { msgpack_zone_free(*z); }
#define _cleanup_zone_ _cleanup_(cleanup_zone)

int manifest_unpack(const uint8_t *p, size_t len, struct manifest **ret, struct err *err)
{
	_cleanup_(cleanup_manifest) struct manifest *m = calloc(1, sizeof(*m));
	_cleanup_zone_ msgpack_zone *zone = msgpack_zone_new(MSGPACK_ZONE_CHUNK_SIZE);
	size_t used = 0;
	struct mp v = { .zone = zone, .used = &used };
	msgpack_object_map map;

	if (!m || !zone)
		return err_set(err, ENOMEM, "out of memory");
	if (parse_map(p, len, zone, &map, err) < 0)
		return err_in(err, "manifest");
	for (const struct manifest_field *f = manifest_fields; f->key; f++) {
		if (find(&map, f->key, &v, err) < 0)
			return err_in(err, "manifest");
		if (v.left == 0 && f->required)
			return err_set(err, EBADMSG, "manifest without the key '%s'", f->key);
		take_field(&v, f, m);
		if (mp_done(&v, "manifest", err) < 0)
			return -err->code;
	}
	if (manifest_check(m, err) < 0)
		return -err->code;
	*ret = TAKE_PTR(m);
	return 0;
}

/* ---- the end ----------------------------------------------------------- */

void end_pack(msgpack_packer *pk, const struct end_frame *e, const struct index_entry *index, size_t n)
{
	bool failed = e->end.signature[0], ended = e->end.ended[0];

	msgpack_pack_map(pk, 8 + failed + ended + (e->end.stack[0] != 0));
	if (e->end.stack[0]) {
		mp_pack_key(pk, "stack");
		mp_pack_text(pk, e->end.stack);
	}
	if (ended) {
		mp_pack_key(pk, "ended");
		mp_pack_text(pk, e->end.ended);
	}
	if (failed) {
		mp_pack_key(pk, "signature");
		mp_pack_text(pk, e->end.signature);
	}
	mp_pack_key(pk, "events");
	msgpack_pack_uint64(pk, e->end.events);
	mp_pack_key(pk, "blobs");
	msgpack_pack_uint64(pk, e->end.blobs);
	mp_pack_key(pk, "duration");
	msgpack_pack_uint64(pk, e->end.duration);
	mp_pack_key(pk, "lost");
	msgpack_pack_uint64(pk, e->end.lost);
	mp_pack_key(pk, "holes");
	msgpack_pack_uint64(pk, e->end.holes);
	mp_pack_key(pk, "status");
	msgpack_pack_int32(pk, e->end.status);
	mp_pack_key(pk, "digest");
	mp_pack_bin(pk, e->digest, sizeof(e->digest));
	mp_pack_key(pk, "index");
	msgpack_pack_array(pk, n);
	for (size_t i = 0; i < n; i++) {
		msgpack_pack_array(pk, 2);
		msgpack_pack_uint32(pk, index[i].type);
		msgpack_pack_uint64(pk, index[i].offset);
	}
}

static int end_number(const msgpack_object_map *map, struct mp *v, const char *key, uint64_t *out, struct err *err)
{
	if (find(map, key, v, err) < 0)
		return -err->code;
	if (v->left == 0)
		return err_set(err, EBADMSG, "no key '%s'", key);
	*out = mp_uint(v, key, UINT64_MAX);
	return mp_done(v, "map", err);
}

int end_unpack(const uint8_t *p, size_t len, struct end_frame *e, struct err *err)
{
	_cleanup_zone_ msgpack_zone *zone = msgpack_zone_new(MSGPACK_ZONE_CHUNK_SIZE);
	struct end_frame got = { 0 };
	struct capsule_end *end = &got.end;
	size_t used = 0;
	struct mp v = { .zone = zone, .used = &used };
	msgpack_object_map map;

	if (!zone)
		return err_set(err, ENOMEM, "out of memory");
	if (parse_map(p, len, zone, &map, err) < 0 ||
	    end_number(&map, &v, "events", &end->events, err) < 0 ||
	    end_number(&map, &v, "blobs", &end->blobs, err) < 0 ||
	    end_number(&map, &v, "duration", &end->duration, err) < 0 ||
	    end_number(&map, &v, "lost", &end->lost, err) < 0 ||
	    end_number(&map, &v, "holes", &end->holes, err) < 0 ||
	    find(&map, "status", &v, err) < 0)
		return err_in(err, "end frame");
	end->status = (int32_t)mp_int(&v, "status", INT32_MIN, INT32_MAX);
	if (mp_done(&v, "end frame", err) < 0)
		return -err->code;
	if (find(&map, "signature", &v, err) < 0)
		return err_in(err, "end frame");
	snprintf(end->signature, sizeof(end->signature), "%s", mp_text(&v, "signature"));
	if (mp_done(&v, "end frame", err) < 0)
		return -err->code;
	if (find(&map, "ended", &v, err) < 0)
		return err_in(err, "end frame");
	snprintf(end->ended, sizeof(end->ended), "%s", mp_text(&v, "ended"));
	if (mp_done(&v, "end frame", err) < 0)
		return -err->code;
	if (find(&map, "stack", &v, err) < 0)
		return err_in(err, "end frame");
	snprintf(end->stack, sizeof(end->stack), "%s", mp_text(&v, "stack"));
	if (mp_done(&v, "end frame", err) < 0)
		return -err->code;
	if (find(&map, "digest", &v, err) < 0)
		return err_in(err, "end frame");
	if (!mp_fixed(&v, "digest", got.digest, sizeof(got.digest)))
		return err_set(err, EBADMSG, "end frame without a digest");
	*e = got;
	return 0;
}
