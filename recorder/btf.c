/* SPDX-License-Identifier: Apache-2.0 */
#include "recorder/btf.h"

#include "format/cleanup.h"
#include "format/io.h"

#include <bpf/btf.h>
#include <errno.h>
#include <linux/btf.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

enum { MAX_BTF = 256 << 20, MAX_NAMES = 512, MAX_NESTING = 32 };

struct kernel_types {
	char *data;
	const char *strings;
	uint32_t strings_len;
	const struct btf_type **by_id;
	int32_t *copied;	/* to the copy's id; 0: not yet */
	uint32_t n;
};

struct copy {
	struct kernel_types *from;
	const struct btf *local;
	struct {
		const char *name;	/* without its flavour, "___old" */
		size_t len;
		const struct btf_type *type;
	} wanted[MAX_NAMES];
	size_t nwanted;
	struct btf *to;
};

static void drop_types(struct kernel_types *k)
{
	free(k->data);
	free(k->by_id);
	free(k->copied);
}

static void drop_btf(struct btf **b) { btf__free(*b); }

/* ---- the kernel's ----------------------------------------------------------- */

/* Bytes behind a struct btf_type; negative: a kind that we don't know. */
static int size_behind(const struct btf_type *t)
{
	int n = (int)btf_vlen(t);

	switch (btf_kind(t)) {
	case BTF_KIND_INT: return 4;
	case BTF_KIND_ARRAY: return sizeof(struct btf_array);
	case BTF_KIND_STRUCT: case BTF_KIND_UNION: return n * (int)sizeof(struct btf_member);
	case BTF_KIND_ENUM: return n * (int)sizeof(struct btf_enum);
	case BTF_KIND_ENUM64: return n * 12;
	case BTF_KIND_FUNC_PROTO: return n * (int)sizeof(struct btf_param);
	case BTF_KIND_VAR: case BTF_KIND_DECL_TAG: return 4;
	case BTF_KIND_DATASEC: return n * (int)sizeof(struct btf_var_secinfo);
	case BTF_KIND_PTR: case BTF_KIND_FWD: case BTF_KIND_TYPEDEF: case BTF_KIND_VOLATILE: case BTF_KIND_CONST:
	case BTF_KIND_RESTRICT: case BTF_KIND_FUNC: case BTF_KIND_FLOAT: case BTF_KIND_TYPE_TAG:
		return 0;
	}
	return -1;
}

static int read_types(struct kernel_types *k)
{
	const struct btf_header *h;
	size_t len, room = 0;
	const char *at, *end;

	if (io_slurp("/sys/kernel/btf/vmlinux", MAX_BTF, &k->data, &len) < 0 || len < sizeof(*h))
		return -ENOENT;
	h = (const void *)k->data;
	if (h->magic != BTF_MAGIC || h->hdr_len > len || h->str_off > len - h->hdr_len || h->str_len > len - h->hdr_len - h->str_off ||
	    h->type_off > len - h->hdr_len || h->type_len > len - h->hdr_len - h->type_off || !h->str_len)
		return -EBADMSG;
	k->strings = k->data + h->hdr_len + h->str_off;
	k->strings_len = h->str_len;
	if (k->strings[k->strings_len - 1])
		return -EBADMSG;
	at = k->data + h->hdr_len + h->type_off;
	end = at + h->type_len;
	for (k->n = 1; end - at >= (ptrdiff_t)sizeof(struct btf_type); k->n++) {
		const struct btf_type *t = (const void *)at;
		int behind = size_behind(t);

		if (k->n >= room) {
			const struct btf_type **bigger = reallocarray(k->by_id, room = room ? 2 * room : 1 << 18, sizeof(*bigger));

			if (!bigger)
				return -ENOMEM;
			k->by_id = bigger;
		}
		if (behind < 0 || behind > end - at - (ptrdiff_t)sizeof(*t))
			return -EBADMSG;
		k->by_id[k->n] = t;
		at += sizeof(*t) + (size_t)behind;
	}
	k->copied = calloc(k->n, sizeof(*k->copied));
	return k->copied ? 0 : -ENOMEM;
}

static const char *string_at(const struct kernel_types *k, uint32_t off)
{
	return off < k->strings_len ? k->strings + off : "";
}

/* ---- which of them ---------------------------------------------------------------- */

static void list_wanted(struct copy *c)
{
	for (uint32_t id = 1; id < btf__type_cnt(c->local) && c->nwanted < MAX_NAMES; id++) {
		const struct btf_type *t = btf__type_by_id(c->local, id);
		const char *name = btf__name_by_offset(c->local, t->name_off), *flavour;

		if (!btf_is_composite(t) || !name || !*name)
			continue;
		flavour = strstr(name, "___");
		c->wanted[c->nwanted].name = name;
		c->wanted[c->nwanted].len = flavour ? (size_t)(flavour - name) : strlen(name);
		c->wanted[c->nwanted++].type = t;
	}
}

static bool is_called(const struct copy *c, size_t i, const char *name)
{
	return strncmp(c->wanted[i].name, name, c->wanted[i].len) == 0 && !name[c->wanted[i].len];
}

static bool is_wanted(const struct copy *c, const char *name)
{
	for (size_t i = 0; i < c->nwanted; i++)
		if (c->wanted[i].name[0] == name[0] && is_called(c, i, name))
			return true;
	return false;
}

/* Of the struct called @of; NULL: one without a name, of which all is. */
static bool is_wanted_member(const struct copy *c, const char *of, const char *name)
{
	if (!of || !*name)
		return true;
	for (size_t i = 0; i < c->nwanted; i++) {
		const struct btf_type *t = c->wanted[i].type;

		for (int m = 0; is_called(c, i, of) && m < btf_vlen(t); m++)
			if (strcmp(btf__name_by_offset(c->local, btf_members(t)[m].name_off), name) == 0)
				return true;
	}
	return false;
}

/* ---- copying -------------------------------------------------------------------------- */

static int copy_type(struct copy *c, uint32_t id, const char *of, int nesting);

/* A struct or union: what its members are, first, as members can only be added to the last type. */
static int copy_composite(struct copy *c, const struct btf_type *t, const char *name, const char *of, int nesting)
{
	const char *filter = *name ? name : of;
	int32_t types[4096];
	int id;

	if (btf_vlen(t) > 4096)
		return -E2BIG;
	for (int i = 0; i < btf_vlen(t); i++) {
		const char *member = string_at(c->from, btf_members(t)[i].name_off);

		types[i] = -1;
		if (!is_wanted_member(c, filter, member))
			continue;
		/* A member without a name has its names here. */
		types[i] = copy_type(c, btf_members(t)[i].type, *member ? NULL : filter, nesting);
		if (types[i] < 0)
			return types[i];
	}
	id = btf_is_union(t) ? btf__add_union(c->to, name, t->size) : btf__add_struct(c->to, name, t->size);
	for (int i = 0; i < btf_vlen(t) && id > 0; i++)
		if (types[i] >= 0 && btf__add_field(c->to, string_at(c->from, btf_members(t)[i].name_off), types[i],
						    btf_member_bit_offset(t, i), btf_member_bitfield_size(t, i)) < 0)
			return -ENOMEM;
	return id;
}

static int copy_array(struct copy *c, const struct btf_array *a, int nesting)
{
	int index = copy_type(c, a->index_type, NULL, nesting), of = copy_type(c, a->type, NULL, nesting);

	return index < 0 || of < 0 ? -EBADMSG : btf__add_array(c->to, index, of, a->nelems);
}

static int copy_what(struct copy *c, const struct btf_type *t, const char *of, int nesting)
{
	const char *name = string_at(c->from, t->name_off);
	int id;

	switch (btf_kind(t)) {
	case BTF_KIND_INT: return btf__add_int(c->to, name, t->size, btf_int_encoding(t));
	case BTF_KIND_FLOAT: return btf__add_float(c->to, name, t->size);
	case BTF_KIND_PTR: return btf__add_ptr(c->to, 0);
	case BTF_KIND_ENUM: case BTF_KIND_ENUM64: return btf__add_enum(c->to, name, t->size);
	case BTF_KIND_STRUCT: case BTF_KIND_UNION: return copy_composite(c, t, name, of, nesting);
	case BTF_KIND_ARRAY: return copy_array(c, btf_array(t), nesting);
	case BTF_KIND_TYPEDEF:
		id = copy_type(c, t->type, NULL, nesting);
		return id < 0 ? id : btf__add_typedef(c->to, name, id);
	case BTF_KIND_CONST: case BTF_KIND_VOLATILE: case BTF_KIND_RESTRICT: case BTF_KIND_TYPE_TAG:
		return copy_type(c, t->type, of, nesting);
	}
	return -EBADMSG;	/* nothing that a member is */
}

static int copy_type(struct copy *c, uint32_t id, const char *of, int nesting)
{
	int copied;

	if (id == 0)
		return 0;
	if (id >= c->from->n || nesting > MAX_NESTING)
		return -EBADMSG;
	if (c->from->copied[id])
		return c->from->copied[id];
	copied = copy_what(c, c->from->by_id[id], of, nesting + 1);
	if (copied > 0)
		c->from->copied[id] = copied;
	return copied;
}

int btf_of_kernel(const struct btf *local)
{
	_cleanup_(drop_types) struct kernel_types k = { 0 };
	_cleanup_(drop_btf) struct btf *to = btf__new_empty();
	struct copy c = { .from = &k, .local = local, .to = to };
	const void *raw;
	uint32_t len;

	if (!to || read_types(&k) < 0)
		return -ENOENT;
	list_wanted(&c);
	for (uint32_t id = 1; id < k.n; id++)
		if (btf_is_composite(k.by_id[id]) && is_wanted(&c, string_at(&k, k.by_id[id]->name_off)) &&
		    copy_type(&c, id, NULL, 0) < 0)
			return -EBADMSG;
	raw = btf__raw_data(to, &len);
	_cleanup_fd_ int fd = memfd_create("btf", MFD_CLOEXEC);
	if (!raw || fd < 0 || io_write(fd, raw, len) < 0)
		return -EIO;
	return TAKE_FD(fd);
}
