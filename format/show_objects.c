/* SPDX-License-Identifier: Apache-2.0 */
#include "format/show.h"

#include "format/addr.h"
#include "format/text.h"

#include <errno.h>
#include <linux/types.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "format/sysdesc.h"

static void key_of(uint32_t id, uint8_t key[32])
{
	memset(key, 0, 32);
	memcpy(key, &id, sizeof(id));
}

struct object *objects_find(const struct objects *o, uint32_t id)
{
	uint8_t key[32];
	uint64_t *at;

	key_of(id, key);
	at = id ? table_get(&o->ids, key) : NULL;
	return at ? &o->list[*at - 1] : NULL;
}

static struct object *objects_add(struct objects *o, uint32_t id, struct err *err)
{
	struct object *obj;
	uint8_t key[32];

	if (o->n == o->room) {
		size_t room = o->room ? o->room * 2 : 16;
		struct object *bigger = realloc(o->list, room * sizeof(*bigger));

		if (!bigger) {
			err_set(err, ENOMEM, "out of memory");
			return NULL;
		}
		o->list = bigger;
		o->room = room;
	}
	key_of(id, key);
	if (table_add(&o->ids, key, o->n + 1, err) < 0)
		return NULL;
	obj = &o->list[o->n++];
	*obj = (struct object){ .id = id };
	return obj;
}

static void take_address(uint8_t to[128], size_t *len, struct bytes from)
{
	if (from.len == 0 || from.len > 128)
		return;
	memcpy(to, from.data, from.len);
	*len = from.len;
}

static int note_object(struct objects *o, const struct ev_object *e, struct err *err)
{
	struct object *obj = objects_find(o, e->id);

	if (!obj && o->n >= OBJECTS_MAX) {
		o->more++;
		return 0;
	}
	if (!obj)
		obj = objects_add(o, e->id, err);
	if (!obj)
		return -err->code;
	obj->kind = e->kind;
	obj->family = e->family;
	obj->type = e->type & 0xf;	/* SOCK_TYPE_MASK: SOCK_CLOEXEC and the like do not matter here */
	take_address(obj->local, &obj->local_len, e->local);
	take_address(obj->remote, &obj->remote_len, e->remote);
	if (e->path[0]) {
		free(obj->path);
		obj->path = strdup(e->path);
		if (!obj->path)
			return err_set(err, ENOMEM, "out of memory");
	}
	obj->inherited |= e->nfds > 0;
	for (size_t i = 0; i < e->nfds; i++)
		if (e->fds[i] >= 0 && e->fds[i] <= 2)
			obj->std[e->fds[i]] = true;
	return 0;
}

uint64_t call_bytes(const struct ev_call *c)
{
	const struct sc_desc *d = c->nr < SC_MAX ? &sc_table[c->nr] : &sc_table[SC_MAX - 1];
	uint64_t n = 0;

	if ((d->fate != SC_READ && d->fate != SC_WRITE) || c->ret <= 0)
		return 0;
	for (uint32_t i = 0; i < 6; i++) {
		if (d->arg[i].kind != SC_MMSG)
			continue;
		/* The result counts messages. */
		for (uint32_t s = 0; s < c->nsegs; s++)
			if (c->segs[s].arg == i)
				n += c->segs[s].len;
		return n;
	}
	return (uint64_t)c->ret;
}

static void note_call(struct objects *o, const struct ev_call *c)
{
	const struct sc_desc *d = c->nr < SC_MAX ? &sc_table[c->nr] : &sc_table[SC_MAX - 1];
	struct object *obj = objects_find(o, c->obj), *made = objects_find(o, c->obj2);
	const char *name = sc_name(c->nr);

	if (!obj || !name)
		return;
	if (d->fate == SC_READ)
		obj->in += call_bytes(c);
	else if (d->fate == SC_WRITE)
		obj->out += call_bytes(c);
	if (made && strncmp(name, "accept", 6) == 0)
		made->accepted = true;
	if (strcmp(name, "connect") == 0 && c->ret < 0 && c->ret != -EINPROGRESS && c->ret > -4096)
		obj->error = (int)-c->ret;
}

int objects_note(struct objects *o, const struct event *e, struct err *err)
{
	if (e->kind == EV_OBJECT)
		return note_object(o, &e->object, err);
	if (e->kind == EV_CALL)
		note_call(o, &e->call);
	return 0;
}

void objects_clear(struct objects *o)
{
	for (size_t i = 0; i < o->n; i++)
		free(o->list[i].path);
	free(o->list);
	table_clear(&o->ids);
	*o = (struct objects){ 0 };
}

const char *socket_type_name(int32_t family, int32_t type)
{
	bool inet = family == AF_INET || family == AF_INET6;

	switch (type) {
	case SOCK_STREAM: return inet ? "tcp" : family == AF_UNIX ? "unix stream" : "stream";
	case SOCK_DGRAM: return inet ? "udp" : family == AF_UNIX ? "unix datagram" : "datagram";
	case SOCK_SEQPACKET: return family == AF_UNIX ? "unix seqpacket" : "seqpacket";
	case SOCK_RAW: return "raw";
	default: return "socket";
	}
}

void object_name(FILE *f, const struct objects *o, uint32_t id)
{
	const struct object *obj = objects_find(o, id);

	if (obj && obj->kind == OBJ_SOCKET && obj->remote_len)
		addr_print(f, obj->remote, obj->remote_len);
	else if (obj && obj->kind == OBJ_SOCKET && obj->local_len)
		addr_print(f, obj->local, obj->local_len);
	else if (obj && obj->path)
		text_plain(f, obj->path);
	else if (obj)
		fprintf(f, "%s #%u", obj_kind_name(obj->kind), id);
	else
		fprintf(f, "#%u", id);
}
