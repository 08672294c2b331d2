/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A recording of what ran already.  The program is started from its beginning:
 * its start-up is in no record, so it is answered by the image, the files and
 * this machine, with the time of the attach.  A task of the guest has no
 * recorded counterpart until it does what one of them did next: accepts on one
 * of its listeners, waits for its clients, reads from one.  Then it takes that
 * one's part and the recording goes on as any other.
 *
 * Clients that were connected when the recorder came connect again, as soon as
 * all listeners are there and before anybody takes a part.
 */
#include <linux/types.h>

#include "replayer/replay.h"

#include "format/cleanup.h"
#include "format/sysdesc.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MS 1000000ull
#define LOOK_NS (2 * MS)	/* between two looks whether it is over */
#define OVER_NS (20 * MS)	/* nothing asked for so long behind the last recorded word: it is over ... */
#define ASTRAY_NS (5000 * MS)	/* ... or so long has done nothing that was recorded, once it had gone another way */
#define BUSY_NS (100 * MS)	/* ... or something else than what was recorded so long */

bool in_start_up(const struct replay *r, const struct gtask *t)
{
	return r->rec->attached && t && !t->rec;
}

/* Has it come to where it was when the recorder left? */
static bool has_done_all(const struct gtask *t)
{
	return t->rec && t->cursor >= t->rec->ncalls && !t->rec->exited;
}

bool in_aftermath(const struct replay *r, const struct gtask *t)
{
	return r->rec->attached && t && t->rec && !t->rec->exited && recording_ended(r->rec) &&
	       next_mark(t->rec, t->cursor) == UINT32_MAX;
}

/* ---- listeners ------------------------------------------------------------------- */

static bool is_wanted_listener(const struct rec_object *o)
{
	return o->o && o->listens && !o->inner && !o->accepted && (o->narrivals || o->here);
}

static bool has_clients(const struct replay *r, uint32_t listener)
{
	if (r->rec->objects[listener].narrivals)
		return true;
	for (size_t i = 1; i < r->rec->nobjects; i++)
		if (r->rec->objects[i].here && r->rec->objects[i].accepted == listener)
			return true;
	return false;
}

static bool all_listen(const struct replay *r)
{
	for (size_t i = 1; i < r->rec->nobjects; i++)
		if (is_wanted_listener(&r->rec->objects[i]) && has_clients(r, (uint32_t)i) && !r->live[i].bound)
			return false;
	return true;
}

/* The recorded listener at that address that nothing leads to yet. @any_port: whatever its port was. */
static struct live *listener_at(struct replay *r, const uint8_t *addr, size_t len, bool any_port)
{
	uint8_t at[sizeof(struct sockaddr_storage)];

	for (size_t i = 1; i < r->rec->nobjects; i++) {
		const struct rec_object *o = &r->rec->objects[i];

		if (!is_wanted_listener(o) || r->live[i].bound || o->o->local.len < 4 || len < 4 || len > sizeof(at))
			continue;
		memcpy(at, addr, len);
		if (any_port)
			memcpy(at + 2, o->o->local.data + 2, 2);
		if (same_address(&o->o->local, at, len))
			return &r->live[i];
	}
	return NULL;
}

void start_up_bind(struct replay *r, struct call *c)
{
	size_t len = c->args[2] < sizeof(struct sockaddr_storage) ? c->args[2] : sizeof(struct sockaddr_storage);
	uint8_t addr[sizeof(struct sockaddr_storage)] = { 0 };
	struct live *l;

	call_go_on(c, false);
	if (guest_read(c->t->tid, c->args[1], addr, len) < 0 || (addr[0] != AF_INET && addr[0] != AF_INET6) || addr[2] || addr[3])
		return;
	l = listener_at(r, addr, len, true);
	_cleanup_fd_ int copy = l ? guest_fd(c->t->tgid, (int)c->args[0]) : -1;
	/* The port that the kernel chose then. */
	if (copy >= 0 && bind(copy, (const struct sockaddr *)l->rec->o->local.data, (socklen_t)l->rec->o->local.len) == 0) {
		c->cont = c->t->blocked = false;
		c->ret = 0;
	}
}

void start_up_listen(struct replay *r, struct call *c)
{
	struct sockaddr_storage at = { 0 };
	socklen_t len = sizeof(at);
	struct live *l;
	struct stat st;

	call_go_on(c, false);
	_cleanup_fd_ int copy = guest_fd(c->t->tgid, (int)c->args[0]);
	if (copy < 0 || getsockname(copy, (struct sockaddr *)&at, &len) < 0 || fstat(copy, &st) < 0)
		return;
	l = listener_at(r, (const uint8_t *)&at, len, false);
	if (l)
		object_bind(r, l, &st);
}

/* ---- parts --------------------------------------------------------------------------- */

/* The recorded process of which another thread of @t's process has a part; 0: none yet. */
static uint32_t process_of(const struct replay *r, const struct gtask *t)
{
	for (const struct gtask *o = r->tasks; o; o = o->next)
		if (o->tgid == t->tgid && o->rec)
			return o->rec->process;
	return 0;
}

static bool is_taken(const struct replay *r, uint32_t process)
{
	for (const struct gtask *o = r->tasks; o; o = o->next)
		if (o->rec && o->rec->process == process)
			return true;
	return false;
}

/* ---- clients that are connected already ------------------------------------------- */

/* The next of them whose connection was not taken yet; NULL: none. */
static struct live *client_to_come(const struct replay *r, const struct live *listener)
{
	for (size_t i = 1; i < r->rec->nobjects; i++) {
		struct live *l = &r->live[i];

		if (l->rec->here && l->rec->accepted == listener->id && !l->bound && !l->rec->inner &&
		    (l->rec->narrivals || l->rec->nout))
			return l;
	}
	return NULL;
}

/* True: somebody is still to be accepted. */
static bool clients_come(struct replay *r)
{
	bool some = false;

	for (size_t i = 1; i < r->rec->nobjects; i++) {
		struct live *listener = &r->live[i], *l;

		if (!listener->bound || !is_wanted_listener(listener->rec))
			continue;
		l = client_to_come(r, listener);
		some |= l != NULL;
		if (l && !l->made)
			peer_comes(r, listener, l);
	}
	return some;
}

/*
 * May @t have this client?  Who took it then is who takes it now, and has that
 * one's part from here on.
 */
static bool takes_client(struct replay *r, struct gtask *t, const struct live *client)
{
	const struct rec_task *rec = &r->rec->tasks[client->rec->user];

	if (!client->rec->user || rec->thread != (t->tid != t->tgid))
		return true;	/* of a thread that may have been another then */
	if (!r->born[rec->id] && !process_of(r, t))
		role_begin(r, t, rec);
	return process_of(r, t) == rec->process;
}

/* The supervisor takes the connection, to know whose it is. */
static bool accept_client(struct replay *r, struct call *c, struct live *listener)
{
	int flags = c->nr == SYS_accept4 ? (int)c->args[3] : 0;
	struct seccomp_notif_addfd add = { .id = c->n->id, .flags = SECCOMP_ADDFD_FLAG_SEND };
	struct live *l = client_to_come(r, listener);
	struct sockaddr_storage from = { 0 };
	socklen_t len = sizeof(from), room;
	struct stat st;

	if (!l || !l->made)
		return false;
	_cleanup_fd_ int copy = guest_fd(c->t->tgid, (int)c->args[0]);
	if (copy < 0 || poll(&(struct pollfd){ .fd = copy, .events = POLLIN }, 1, 100) <= 0)
		return false;
	_cleanup_fd_ int conn = accept4(copy, (struct sockaddr *)&from, &len, (flags & SOCK_NONBLOCK) | SOCK_CLOEXEC);
	if (conn < 0 || fstat(conn, &st) < 0)
		return false;
	object_bind(r, l, &st);
	if (c->args[1] && c->args[2] && guest_read(c->t->tid, c->args[2], &room, sizeof(room)) == 0) {
		guest_write(c->t->tid, c->args[1], &from, room < len ? room : len);
		guest_write(c->t->tid, c->args[2], &len, sizeof(len));
	}
	add.srcfd = (uint32_t)conn;
	add.newfd_flags = flags & SOCK_CLOEXEC ? O_CLOEXEC : 0;
	if (ioctl(r->listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add) < 0)
		return false;
	c->answered = true;
	return true;
}

/* The recorded task that did next what @t does; NULL: none. */
static const struct rec_task *counterpart(struct replay *r, const struct gtask *t, role_wanted wanted, void *ctx)
{
	uint32_t process = process_of(r, t), first = UINT32_MAX;
	const struct rec_task *found = NULL;

	for (size_t i = 1; i < r->rec->ntasks; i++) {
		const struct rec_task *rec = &r->rec->tasks[i];
		uint32_t order;

		if (r->born[i] || !rec->ncalls || (process ? rec->process != process : is_taken(r, rec->process)))
			continue;
		if (!process && rec->thread != (t->tid != t->tgid))
			continue;
		order = wanted(ctx, rec, 0);
		if (order < first) {
			first = order;
			found = rec;
		}
	}
	return found;
}

static bool is_nonblocking(const struct call *c)
{
	_cleanup_fd_ int copy = guest_fd(c->t->tgid, (int)c->args[0]);

	return copy >= 0 && (fcntl(copy, F_GETFL) & O_NONBLOCK);
}

bool start_up_accepts(struct replay *r, struct call *c, struct live *listener)
{
	const struct live *client;

	/* Whoever comes now comes to others. */
	if (r->rec->attached && listener && has_done_all(c->t) && is_nonblocking(c)) {
		c->ret = -EAGAIN;
		return true;
	}
	if (!in_start_up(r, c->t) || !listener || !listener->rec->listens || !all_listen(r))
		return false;
	client = clients_come(r) ? client_to_come(r, listener) : NULL;
	if (client && takes_client(r, c->t, client) && accept_client(r, c, listener))
		return true;
	/* Who only looks finds nobody: who comes now comes to those that have begun. Goroutines begin with that. */
	if (c->t->goroutine || !is_nonblocking(c))
		return false;
	c->ret = -EAGAIN;
	return true;
}

static bool is_accept(const struct call *c)
{
	return c->nr == SYS_accept || c->nr == SYS_accept4;
}

void start_up_ends(struct replay *r, struct call *c, role_wanted wanted, void *ctx)
{
	const struct rec_task *rec;

	if ((sc_table[c->nr].fate == SC_WAIT || is_accept(c)) && (!all_listen(r) || clients_come(r)))
		return;
	if (is_accept(c) && is_nonblocking(c))
		return;
	rec = counterpart(r, c->t, wanted, ctx);
	if (rec)
		role_begin(r, c->t, rec);
}

/* ---- what a replay has no right to ---------------------------------------------------- */

bool start_up_drops(struct replay *r, struct call *c)
{
	if (!in_start_up(r, c->t))
		return false;
	switch (c->nr) {
	case SYS_setuid: case SYS_setgid: case SYS_setreuid: case SYS_setregid: case SYS_setresuid: case SYS_setresgid:
	case SYS_setgroups: case SYS_capset: case SYS_chown: case SYS_lchown: case SYS_fchown: case SYS_fchownat:
		c->ret = 0;
		miss(r, "%s was not recorded: taken as done", sc_name(c->nr));
		return true;
	}
	return false;
}

/* ---- what it prints --------------------------------------------------------------------- */

bool start_up_prints(struct replay *r, const struct call *c, const struct live *l)
{
	return in_start_up(r, c->t) && l->rec->o && l->rec->o->nfds;
}

/* ---- the end ------------------------------------------------------------------------------ */

static bool is_said(const struct replay *r)
{
	for (size_t i = 1; i < r->rec->nobjects; i++) {
		const struct live *l = &r->live[i];
		const struct rec_object *o = l->rec;

		if (o->inner || !o->o || o->o->kind != OBJ_SOCKET)
			continue;
		if (!l->differs && !o->out_unseen && o->out_bytes > l->out_bytes)
			return false;
		if (l->wanted < o->narrivals && !l->direct && (l->fd >= 0 || o->listens))
			return false;
	}
	return true;
}

bool attached_is_lost(const struct replay *r)
{
	for (const struct gtask *t = r->tasks; t; t = next_player(r, t))
		if (t->rec)
			return false;
	return r->rec->attached;
}

bool attached_has_ended(const struct replay *r)
{
	return r->rec->attached && !capsule_end_is_open(r->rec->end) && r->done > 0;
}

/* A server that has gone another way and will not come back to what is left of the record goes on for ever. */
static bool is_astray(struct replay *r, uint64_t now)
{
	if (r->v->matched != r->matched_then || !r->matched_since) {
		r->matched_then = r->v->matched;
		r->matched_since = now;
	}
	return (r->v->first.set || r->v->misses.count) && now - r->matched_since > ASTRAY_NS;
}

bool attached_is_over(struct replay *r)
{
	uint64_t now = now_ns();
	bool alive = false;

	if (!r->rec->attached || !recording_ended(r->rec) || now - r->said_looked < LOOK_NS)
		return false;
	r->said_looked = now;
	for (const struct gtask *t = r->tasks; t; t = t->next)
		alive |= !t->exited;
	if (!alive)
		return capsule_end_is_open(r->rec->end) || r->done;
	if (is_astray(r, now))
		return true;
	if (r->rec->tasks[1].exited || !is_said(r))
		return false;
	if (!r->said_since)
		r->said_since = now;
	/* A program that is busy with itself is never quiet. */
	return now - r->said_since > BUSY_NS || (now - r->said_since > OVER_NS && now - r->last_activity > OVER_NS);
}
