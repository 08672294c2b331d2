/* SPDX-License-Identifier: Apache-2.0 */
/* Whole calls, and what happened to tasks, become events. */
#include "recorder/state.h"

#include "format/cleanup.h"
#include "format/io.h"
#include "format/sysdesc.h"
#include "format/vdso.h"
#include "recorder/file_calls.h"
#include "recorder/objects.h"
#include "recorder/spawn.h"
#include "recorder/tasks.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

/* ---- segments --------------------------------------------------------------------- */

static void add_seg(struct ev_call *c, uint8_t arg, uint16_t index, const void *data, size_t len)
{
	if (c->nsegs < CALL_MAX_SEGS)
		c->segs[c->nsegs++] = (struct ev_seg){ .arg = arg, .index = index, .len = len, .data = data };
}

static bool has_seg(const struct ev_call *c, uint8_t arg)
{
	for (uint32_t i = 0; i < c->nsegs; i++)
		if (c->segs[i].arg == arg)
			return true;
	return false;
}

static void add_parts(struct recording *r, struct ev_call *e, const struct rec_call *c, const struct parts *p)
{
	bool missing = c->h.flags & REC_F_PART;

	if (c->inl_len)
		add_seg(e, c->inl_arg, c->inl_index, c->inl, c->inl_len);
	for (size_t i = 0; i < p->nparts; i++) {
		const struct part *part = &p->part[i];

		if (part->arg >= 6 && (part->arg < SEG_LOCAL || part->arg > SEG_LAST))
			continue;	/* for the recorder itself */
		missing |= part->torn;
		if (part->len)
			add_seg(e, part->arg, part->index, part->data, part->len);
	}
	if (missing) {
		e->flags |= CALL_PARTIAL;
		emit_holef(r, "memory", "bytes of this call could not be read, or found no room", "%s of task %u", sc_name(c->nr),
			   r->task);
	}
}

static void add_address(struct ev_call *e, uint8_t arg, const uint8_t *addr, uint16_t len)
{
	if (len > sizeof(sa_family_t) && !has_seg(e, arg))
		add_seg(e, arg, 0, addr, len);
}

/* Both ends of the connection: of the new one for accept(). */
static void add_addresses(struct recording *r, struct ev_call *e, const struct rec_call *c, const struct parts *p)
{
	const struct rec_sock *s = sock_of(p, c->fd2.class == FDC_SOCK ? &c->fd2 : &c->fd);

	if (!s || (sc_table[c->nr].fate != SC_NET && !object_is_datagram(r, e->obj)))
		return;
	add_address(e, SEG_LOCAL, s->local, s->local_len);
	add_address(e, SEG_REMOTE, s->remote, s->remote_len);
}

static void put_u32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

/* Pairs {object, events} of the outside fds that were ready; *@buf is the caller's to free. */
static void add_ready(struct recording *r, struct ev_call *e, const struct parts *p, uint8_t **buf)
{
	size_t len = 0;

	if (!p->nfds || !(*buf = malloc(p->nfds * 8)))
		return;
	for (size_t i = 0; i < p->nfds; i++) {
		uint32_t id = p->fd[i].role == FD_READY ? object_of(r, &p->fd[i].what, p) : 0;

		if (!id || object_is_inner(r, id))
			continue;
		put_u32(*buf + len, id);
		put_u32(*buf + len + 4, p->fd[i].events);
		len += 8;
	}
	if (len)
		add_seg(e, SEG_READY, 0, *buf, len);
}

/* ---- sendfile, splice and the like ------------------------------------------------------- */

#define MAX_BLIND (256ll << 20)

/* The bytes, from the file that they came from or went to; *@buf is the caller's to free. */
static bool read_source(struct recording *r, const struct rec_call *c, const struct parts *p, uint8_t **buf)
{
	const struct part *off = parts_find(p, REC_ARG_OFFSET);
	char path[PATH_MAX], host[PATH_MAX];
	uint64_t at;

	if (c->ret > MAX_BLIND || !off || off->torn || off->len != sizeof(at) ||
	    !path_of_part(parts_find(p, REC_ARG_SOURCE), path) || path_below(r->opts->rootfs, path, host) < 0)
		return false;
	memcpy(&at, off->data, sizeof(at));
	_cleanup_fd_ int fd = open(host, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 || !(*buf = malloc((size_t)c->ret)))
		return false;
	return io_pread(fd, *buf, (size_t)c->ret, at) == c->ret;
}

static void add_blind(struct recording *r, struct ev_call *e, const struct rec_call *c, const struct parts *p, uint8_t **buf)
{
	if (c->ret <= 0)
		return;
	if (read_source(r, c, p, buf)) {
		add_seg(e, c->nr == SYS_sendfile ? 2 : 1, 0, *buf, (size_t)c->ret);	/* the first that points at memory */
		return;
	}
	e->flags |= CALL_PARTIAL;
	emit_holef(r, "splice", "its bytes went from descriptor to descriptor without passing the program's memory",
		   "%s of task %u", sc_name(c->nr), r->task);
}

/* ---- calls ---------------------------------------------------------------------------------- */

/* SC_OPEN, SC_PATH: for the files; what leads outside is an event, and what the machine forbade. */
static bool is_event(const struct rec_call *c, uint32_t obj2)
{
	uint8_t fate = sc_table[c->nr].fate;

	if (fate == SC_OPEN || fate == SC_PATH)
		return obj2 != 0 || sc_path_error(c->ret);
	return fate != SC_TASK;
}

static void after_connect(struct recording *r, const struct ev_call *e)
{
	if (e->nr != SYS_connect)
		return;
	for (uint32_t i = 0; i < e->nsegs; i++)
		if (e->segs[i].arg == 1)
			object_meant(r, e->obj, e->segs[i].data, e->segs[i].len);
}

/* File descriptors that came through a socket lead anywhere. */
static void look_for_fds(struct recording *r, const struct rec_call *c, const struct ev_call *e)
{
	struct cmsghdr h;

	if (c->nr != SYS_recvmsg && c->nr != SYS_recvmmsg)
		return;
	for (uint32_t i = 0; i < e->nsegs; i++) {
		if (e->segs[i].arg != SEG_CONTROL || e->segs[i].len < sizeof(h))
			continue;
		memcpy(&h, e->segs[i].data, sizeof(h));
		if (h.cmsg_level == SOL_SOCKET && h.cmsg_type == SCM_RIGHTS)
			emit_holef(r, "fds", "file descriptors came from outside", "%s of task %u", sc_name(c->nr), r->task);
	}
}

static void write_call(struct recording *r, struct task *t, const struct rec_call *c, const struct parts *p)
{
	_cleanup_free_ uint8_t *ready = NULL, *blind = NULL;
	struct event e = { .kind = EV_CALL };
	uint8_t fate = sc_table[c->nr].fate;

	e.call.nr = c->nr;
	e.call.ret = c->ret;
	memcpy(e.call.args, c->args, sizeof(e.call.args));
	e.call.obj = object_of(r, &c->fd, p);
	if (fate == SC_OPEN || fate == SC_PATH || fate == SC_TASK)
		file_call(r, t, c, p, &e.call.obj2);
	else if (c->fd2.class)
		e.call.obj2 = object_of(r, &c->fd2, p);
	if (!is_event(c, e.call.obj2) || (e.call.obj && fate != SC_NET && object_is_inner(r, e.call.obj)))
		return;
	add_parts(r, &e.call, c, p);
	if (c->h.flags & REC_F_BLIND)
		add_blind(r, &e.call, c, p, &blind);
	if (fate == SC_WAIT)
		add_ready(r, &e.call, p, &ready);
	add_addresses(r, &e.call, c, p);
	after_connect(r, &e.call);
	look_for_fds(r, c, &e.call);
	emit(r, &e);
}

static bool is_restart(int64_t ret)
{
	return ret <= -512 && ret >= -516;	/* include/linux/errno.h: ERESTARTSYS ... ERESTART_RESTARTBLOCK */
}

static void begin(struct recording *r, struct task *t, uint64_t time)
{
	r->now = (int64_t)time;
	r->task = t ? t->number : 0;
}

static int on_call(void *ctx, const struct rec_call *c, struct parts *p)
{
	struct recording *r = ctx;
	struct task *t = task_of(r->tasks, c->h.tid);

	begin(r, t, c->time);
	if (t && c->nr < SC_MAX && sc_name(c->nr)) {
		task_drop_held(t);	/* it was made again: this is its end */
		if (!is_restart(c->ret))
			write_call(r, t, c, p);
		else if (task_hold(t, c, p) < 0)
			emit_hole(r, "memory", sc_name(c->nr), "the recorder has no memory for an interrupted call", 1);
	}
	if (c->h.flags & REC_F_STOPPED)
		guard_continue(t ? t->tgid : c->h.tid);
	return 0;
}

static int on_eintr(void *ctx, uint32_t tid)
{
	struct recording *r = ctx;
	struct task *t = task_of(r->tasks, tid);

	if (!t || !t->held)
		return 0;
	begin(r, t, t->held->time);
	t->held->ret = -EINTR;
	write_call(r, t, t->held, t->held_parts);
	task_drop_held(t);
	return 0;
}

static int on_lost(void *ctx, uint32_t n)
{
	struct recording *r = ctx;

	r->task = 0;
	r->lost += n;
	emit_hole(r, "lost", "ring buffer", "the recorder did not keep up: record with a larger --ring", n);
	return 0;
}

/* ---- tasks ------------------------------------------------------------------------------------ */

static void on_fork(struct recording *r, const struct task *t, const struct rec_task *f)
{
	struct event e = { .kind = EV_FORK };
	struct task *child = task_add(r->tasks, f->fork.child, f->fork.child_tgid);

	if (!child || !t)
		return;
	e.fork.child = child->number;
	e.fork.pid = f->fork.child_tgid;
	e.fork.tid = f->fork.child;
	e.fork.thread = f->fork.child_tgid == t->tgid;
	if (!e.fork.thread)
		guard_add(r->guard, (pid_t)f->fork.child_tgid);
	emit(r, &e);
}

/* What the command was started with. */
static void inherit(struct recording *r, pid_t pid, const struct parts *p)
{
	for (size_t i = 0; i < p->nfds; i++) {
		const struct rec_fdinfo *f = &p->fd[i];
		char path[PATH_MAX] = "";

		for (size_t k = 0; k < p->nparts; k++)
			if (p->part[k].arg == REC_ARG_INHERITED && p->part[k].index == f->fd && !path_of_part(&p->part[k], path))
				path[0] = 0;
		if (object_inherited(r, f, path, p) < 0)
			emit_hole(r, "memory", path, "the recorder has no memory for an inherited descriptor", 1);
		if (f->what.class == FDC_FILE && path[0])
			file_held(r, path, pid, f->fd);
	}
	objects_tell_inherited(r);
}

/* The words of /proc/PID/cmdline or environ; *@ret is to be freed, and @text with it. */
static size_t words_of(char *text, size_t len, const char *const **ret)
{
	const char **words;
	size_t n = 0;

	for (size_t i = 0; i < len; i++)
		n += !text[i];
	words = calloc(n ? n : 1, sizeof(*words));
	if (!words)
		return 0;
	n = 0;
	for (size_t i = 0; i < len; i += strlen(text + i) + 1)
		words[n++] = text + i;
	*ret = words;
	return n;
}

static size_t proc_words(pid_t pid, const char *name, char **text, const char *const **words)
{
	char path[64];
	size_t len;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	if (io_slurp(path, 8 << 20, text, &len) < 0)
		return 0;
	if (len && (*text)[len - 1])	/* the program may have written over it; the slurp ends with a NUL */
		len++;
	return words_of(*text, len, words);
}

/* Clocks are read by calls from here on. */
static void redirect_clocks(struct recording *r, pid_t pid, struct ev_exec *e)
{
	struct vdso_map map = { 0 };
	struct err err = ERR_INIT;
	unsigned int n = 0;

	if (vdso_find(pid, &map, &err) == 0 && vdso_redirect_to_syscalls(pid, &map, &n, &err) == 0)
		e->vdso = n;
	if (!e->vdso)
		emit_hole(r, "vdso", e->path, err.code ? err.text : "it has no entry points", 1);
	_cleanup_fd_ int mem = vdso_open(pid);
	if (mem >= 0 && map.at_random)
		vdso_read(mem, map.at_random, e->at_random, sizeof(e->at_random));
}

static void on_exec(struct recording *r, struct task *t, const struct rec_task *x, const struct parts *p)
{
	_cleanup_free_ char *args = NULL, *env = NULL;
	const char *const *argv = NULL, *const *envp = NULL;
	char exe[PATH_MAX], cwd[PATH_MAX];
	struct event e = { .kind = EV_EXEC };
	pid_t pid = (pid_t)x->h.tid;

	program_files(r, pid, exe, cwd);
	e.exec.path = exe;
	e.exec.cwd = cwd;
	redirect_clocks(r, pid, &e.exec);
	e.exec.argc = proc_words(pid, "cmdline", &args, &argv);
	e.exec.envc = proc_words(pid, "environ", &env, &envp);
	e.exec.argv = argv;
	e.exec.env = envp;
	if (!exe[0])
		strcpy(exe, "/");	/* gone already, or not below the root */
	emit(r, &e);
	free((void *)argv);
	free((void *)envp);
	if (!r->first_exec_seen)
		inherit(r, pid, p);
	r->first_exec_seen = true;
	t->tgid = (uint32_t)pid;
}

static void on_exit_(struct recording *r, struct task *t, const struct rec_task *x)
{
	struct event e = { .kind = EV_EXIT };

	e.exit.status = x->exit.status;
	e.exit.group = x->exit.group;
	emit(r, &e);
	if (e.exit.group)
		guard_remove(r->guard, (pid_t)t->tgid);
	task_end(r->tasks, x->h.tid);
	assemble_forget(r->assembler, x->h.tid);
}

static void on_hole(struct recording *r, const struct rec_task *h)
{
	const char *name = h->hole.nr < SC_MAX ? sc_name(h->hole.nr) : NULL;
	char number[32];

	snprintf(number, sizeof(number), "call %u", h->hole.nr);
	if (!name)
		name = number;
	switch (h->hole.why) {
	case HOLE_NOROW:
		emit_hole(r, "call", name, "a call that this version does not know", 1);
		break;
	case HOLE_REFUSED:
		emit_hole(r, "call", name, sc_reason(h->hole.nr) ? sc_reason(h->hole.nr) : "", 1);
		break;
	case HOLE_COMPAT:
		emit_hole(r, "call", number, "calls of 32-bit programs are not recorded", 1);
		break;
	case HOLE_TASK:
		emit_hole(r, "task", "fork", "a new task could not be followed", 1);
		break;
	default:
		emit_hole(r, "memory", name, "memory that it shares with processes outside", 1);
	}
}

static int on_task(void *ctx, const struct rec_task *x, struct parts *p)
{
	struct recording *r = ctx;
	struct event e = { .kind = EV_SIGNAL };
	struct task *t;

	if (x->h.type == REC_EXEC)
		task_rename(r->tasks, x->exec.old_tid, x->h.tid);
	t = task_of(r->tasks, x->h.tid);
	begin(r, t, x->time);
	switch (x->h.type) {
	case REC_FORK:
		on_fork(r, t, x);
		break;
	case REC_EXEC:
		if (t) {
			task_drop_held(t);
			on_exec(r, t, x, p);
		}
		if (x->exec.stopped)
			guard_continue(x->h.tid);
		break;
	case REC_EXIT:
		if (t)
			on_exit_(r, t, x);
		break;
	case REC_SIGNAL:
		e.signal.signo = x->signal.signo;
		e.signal.code = x->signal.code;
		emit(r, &e);
		break;
	case REC_HOLE:
		on_hole(r, x);
		break;
	}
	return 0;
}

const struct assembler_ops call_ops = {
	.call = on_call,
	.task = on_task,
	.eintr = on_eintr,
	.lost = on_lost,
};
