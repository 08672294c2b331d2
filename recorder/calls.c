/* SPDX-License-Identifier: Apache-2.0 */
/* Whole calls, and what happened to tasks, become events. */
#include "recorder/state.h"

#include "format/cleanup.h"
#include "format/goroutine.h"
#include "format/io.h"
#include "format/sysdesc.h"
#include "format/vdso.h"
#include "recorder/blind.h"
#include "recorder/file_calls.h"
#include "recorder/kernel.h"
#include "recorder/objects.h"
#include "recorder/patch.h"
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

void call_add_seg(struct ev_call *c, uint8_t arg, uint16_t index, const void *data, size_t len)
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

/* A failure says it all, but for what it hands back; what the kernel could not reach, neither can we. */
static bool gives_when_failing(unsigned int nr, int64_t ret)
{
	for (int i = 0; i < 6 && ret != -EFAULT; i++)
		if ((sc_table[nr].arg[i].flow & SC_OUT) && sc_table[nr].arg[i].when != SC_OK)
			return true;
	return false;
}

static void add_parts(struct recording *r, struct ev_call *e, const struct rec_call *c, const struct parts *p)
{
	bool missing = c->h.flags & REC_F_PART;

	for (size_t i = 0; i < p->nparts; i++) {
		const struct part *part = &p->part[i];

		if (part->arg >= 6 && (part->arg < SEG_LOCAL || part->arg > SEG_LAST))
			continue;	/* for the recorder itself */
		missing |= part->torn;
		if (part->len)
			call_add_seg(e, part->arg, part->index, part->data, part->len);
	}
	if (missing && (c->ret >= 0 || gives_when_failing(c->nr, c->ret))) {
		e->flags |= CALL_PARTIAL;
		emit_holef(r, "memory", "bytes of this call could not be read, or found no room", "%s of task %u", sc_name(c->nr),
			   r->task);
	}
}

static void add_address(struct ev_call *e, uint8_t arg, const uint8_t *addr, uint16_t len)
{
	if (len > sizeof(sa_family_t) && !has_seg(e, arg))
		call_add_seg(e, arg, 0, addr, len);
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

enum { MAX_READY = 65536 };

static void put_u32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

/* Pairs {object, events} of the outside fds that were ready, in their places; *@buf is the caller's to free. */
static void add_ready(struct recording *r, struct ev_call *e, const struct parts *p, uint8_t **buf)
{
	size_t len = 0, room = p->nfds + (e->ret > 0 && e->ret < MAX_READY ? (size_t)e->ret : 0);

	if (!p->nfds || !(*buf = calloc(room, 8)))
		return;
	for (size_t i = 0; i < p->nfds; i++) {
		uint32_t id = p->fd[i].role == FD_READY ? object_of(r, &p->fd[i].what, p) : 0;

		if (!id || object_is_inner(r, id))
			continue;
		while (len / 8 < p->fd[i].pos && len / 8 < room - p->nfds)
			len += 8;	/* one of the scope's own: object 0 */
		put_u32(*buf + len, id);
		put_u32(*buf + len + 4, p->fd[i].events);
		len += 8;
	}
	if (len)
		call_add_seg(e, SEG_READY, 0, *buf, len);
}

/* ---- calls ---------------------------------------------------------------------------------- */

/* The machine, or who limits it, did not allow another task. */
static bool is_failed_fork(const struct rec_call *c)
{
	switch (c->nr) {
	case SYS_clone: case SYS_clone3: case SYS_fork: case SYS_vfork:
		return c->ret == -EAGAIN || c->ret == -ENOMEM;
	}
	return false;
}

/* SC_SIGNAL: is it for nobody of the scope? Whose group is meant is not known, but that it is not the command's. */
static bool is_for_outside(const struct recording *r, const struct rec_call *c)
{
	int32_t whom = (int32_t)c->args[0];

	return whom > 0 ? !task_known(r->tasks, (uint32_t)whom) : whom < -1 && !task_known(r->tasks, 0u - (uint32_t)whom);
}

/*
 * SC_OPEN, SC_PATH: for the files; what leads outside is an event, and what the
 * machine forbade.  SC_LOOK: what a file was found to be; what a link says, and
 * that there is no file, comes about again, that it has not this attribute may not.
 */
static bool is_event(const struct recording *r, const struct rec_call *c, const struct ev_call *e)
{
	switch (sc_table[c->nr].fate) {
	case SC_OPEN: case SC_PATH:
		return e->obj2 != 0 || (e->flags & CALL_WHOLE) || sc_path_error(c->ret) || sc_change_error(c->ret) || sc_got_none(c->nr, 0, c->ret);
	case SC_OWNER:
		return c->ret >= 0 || sc_path_error(c->ret);
	case SC_LOOK:
		return (e->flags & CALL_WHOLE) || sc_path_error(c->ret) || c->ret == -ENODATA || c->ret == -EOPNOTSUPP ||
		       (c->ret >= 0 && c->nr != SYS_readlink && c->nr != SYS_readlinkat);
	case SC_TASK:
		return is_failed_fork(c);
	case SC_SIGNAL:
		return is_for_outside(r, c);
	}
	return true;
}

static bool names_files(uint8_t fate)
{
	return fate == SC_OPEN || fate == SC_PATH || fate == SC_OWNER || fate == SC_LOOK || fate == SC_TASK;
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

/* By which path a file was looked at. */
static void add_base(struct ev_call *e, const struct rec_call *c, const struct parts *p, char path[PATH_MAX])
{
	const struct part *base = NULL;

	for (uint8_t i = 0; i < 6 && !base; i++)
		if (sc_table[c->nr].arg[i].kind == SC_STR)
			base = parts_find(p, REC_ARG_BASE + i);
	if (!base && sc_table[c->nr].fate != SC_OPEN)
		base = parts_find(p, REC_ARG_OPENED);
	if (base && path_of_part(base, path) && !(base->arg == REC_ARG_OPENED && path_is_synthetic(path)))
		call_add_seg(e, SEG_BASE, 0, path, strlen(path) + 1);
}

static void write_call(struct recording *r, struct task *t, const struct rec_call *c, const struct parts *p)
{
	_cleanup_free_ uint8_t *ready = NULL;
	struct event e;
	struct file_facts facts = { 0 };
	uint8_t fate = sc_table[c->nr].fate;
	char base[PATH_MAX];

	memset(&e, 0, offsetof(struct event, call.segs));	/* all of it would be a tenth of what a call costs us */
	e.kind = EV_CALL;
	e.call.nr = c->nr;
	e.call.ret = c->ret;
	memcpy(e.call.args, c->args, sizeof(e.call.args));
	e.call.obj = object_of(r, &c->fd, p);
	if (names_files(fate))
		file_call(r, t, c, p, &facts);
	else
		file_bound(r, c, p);
	e.call.obj2 = names_files(fate) ? facts.made : object_of(r, &c->fd2, p);
	if ((fate == SC_LOOK && (facts.synthetic || (c->h.flags & REC_F_WHOLE))) || (fate == SC_OPEN && facts.synthetic))
		e.call.flags |= CALL_WHOLE;
	if (!is_event(r, c, &e.call) || (e.call.obj && fate != SC_NET && fate != SC_LOOK && object_is_inner(r, e.call.obj)))
		return;
	add_parts(r, &e.call, c, p);
	if (fate == SC_LOOK || fate == SC_OWNER || (fate == SC_OPEN && (e.call.flags & CALL_WHOLE)) || c->nr == SYS_mmap)
		add_base(&e.call, c, p, base);
	if (c->h.flags & REC_F_BLIND)
		add_blind(r, &e.call, c, p);
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

#define HALT_NS 1000000000ll	/* so long after its child was stopped a process may stop for that */

/* What we stopped goes on.  Its parent may have been told that it was stopped. */
static void go_on(struct recording *r, uint32_t tgid)
{
	const struct task *t = task_there(r->tasks, tgid);
	struct task *parent = t ? task_there(r->tasks, t->parent) : NULL;

	guard_continue(tgid);
	r->continued = true;
	if (parent)
		parent->child_stopped = r->now;
}

/* Nobody would continue who stops because we have stopped its child: script(1) does, for its terminal's sake. */
static void on_halt(struct recording *r, const struct task *t)
{
	struct task *first = t ? task_there(r->tasks, t->tgid) : NULL;

	if (!first || !first->child_stopped || r->now - first->child_stopped > HALT_NS)
		return;
	guard_continue(t->tgid);
	if (!first->halted)
		emit_holef(r, "stop", "it stops when its child is stopped, which the recorder did: it was continued", "process of task %u", first->number);
	first->halted = true;
}

/* What a goroutine does is its own, on whichever thread. */
static void begin_goroutine(struct recording *r, const struct task *t, const struct rec_goroutine *of)
{
	struct event e = { .kind = EV_FORK };
	struct task *g;
	bool made;

	if (!t || !of->number || !(g = task_goroutine(r->tasks, t->tgid, of->number, &made)))
		return;
	if (made) {
		e.fork = (struct ev_fork){ .child = g->number, .pid = t->own_tgid, .tid = t->own_tid, .thread = true,
					   .goroutine = of->number, .begins = of->begins };
		emit(r, &e);
	}
	r->task = g->number;
}

static int on_call(void *ctx, const struct rec_call *c, struct parts *p)
{
	struct recording *r = ctx;
	struct task *t = task_of(r->tasks, c->h.tid);

	begin(r, t, c->time);
	begin_goroutine(r, t, &c->goroutine);
	if (t && c->nr < SC_MAX && sc_name(c->nr)) {
		task_drop_held(t);	/* it was made again: this is its end */
		if (!is_restart(c->ret))
			write_call(r, t, c, p);
		else if (task_hold(t, c, p) < 0)
			emit_hole(r, "memory", sc_name(c->nr), "the recorder has no memory for an interrupted call", 1);
	}
	if (c->h.flags & REC_F_STOPPED)
		go_on(r, t ? t->tgid : c->h.tid);
	return 0;
}

static int on_eintr(void *ctx, uint32_t tid)
{
	struct recording *r = ctx;
	struct task *t = task_of(r->tasks, tid);

	if (!t || !t->held)
		return 0;
	begin(r, t, t->held->time);
	begin_goroutine(r, t, &t->held->goroutine);
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

	if (child)
		task_owns(r->tasks, child, f->fork.own_tid, f->fork.own_tgid);
	if (!child || !t)
		return;
	e.fork.child = child->number;
	e.fork.pid = f->fork.own_tgid;
	e.fork.tid = f->fork.own_tid;
	e.fork.thread = f->fork.child_tgid == t->tgid;
	child->parent = e.fork.thread ? t->parent : t->tgid;
	if (e.fork.thread)
		files_of_threads(r);
	else
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
static size_t words_of(char *text, size_t len, bool overwritten, const char *const **ret)
{
	const char **words;
	size_t n = 0;

	while (overwritten && len > 1 && !text[len - 1] && !text[len - 2])
		len--;		/* what a program that writes over its words leaves behind them */
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

static size_t proc_words(pid_t pid, const char *name, bool ran, char **text, const char *const **words)
{
	char path[64];
	size_t len;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	if (io_slurp(path, 8 << 20, text, &len) < 0)
		return 0;
	if (len && (*text)[len - 1])	/* the program may have written over it; the slurp ends with a NUL */
		len++;
	return words_of(*text, len, ran, words);
}

/* Is nothing there but the program and its loader?  Then none of its libraries has read a clock. */
static bool is_at_its_start(pid_t pid)
{
	_cleanup_free_ char *maps = NULL;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	return io_slurp(path, 1 << 20, &maps, NULL) == 0 && strstr(maps, "/ld-linux-x86-64.so") && !strstr(maps, "/libc.so");
}

/* Clocks are read by calls from here on. */
static void redirect_clocks(struct recording *r, pid_t pid, struct ev_exec *e, bool runs)
{
	struct vdso_map map = { 0 };
	struct err err = ERR_INIT;
	unsigned int n = 0;
	char path[PATH_MAX] = "/";

	_cleanup_fd_ int mem = vdso_open(pid);
	if (mem < 0)
		err_sys(&err, -mem, "opening its memory");
	else if (r->patches ? patch_apply(r->patches, pid, NULL, &n, e->at_random, &err) == 0 :
		 vdso_find(pid, mem, &map, &err) == 0 && !r->opts->attach.causal &&
		 vdso_redirect_to_syscalls(mem, &map, &n, &err) == 0)
		e->vdso = n;
	proc_link(r, pid, "exe", path);
	if (!e->vdso && !r->opts->attach.causal)
		emit_hole(r, "vdso", path, err.code ? err.text : "it has no entry points", 1);
	if (e->vdso && runs && !is_at_its_start(pid))
		emit_hole(r, "vdso", path, "it was not stopped at its start, for its parent would have heard of it: its first clock readings may be missing", 1);
	if (mem >= 0 && map.at_random)
		vdso_read(mem, map.at_random, e->at_random, sizeof(e->at_random));
}

static bool find_goroutines(struct recording *r, pid_t pid)
{
	struct goroutine_layout layout = { 0 };
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	task_end_goroutines(r->tasks, (uint32_t)pid);
	if (fd >= 0)
		layout = goroutine_layout(fd);
	kernel_goroutines(r->kernel, (uint32_t)pid, layout.number ? &layout : NULL);
	return layout.number;
}

void tell_running(struct recording *r, pid_t pid, const struct ev_exec *x)
{
	_cleanup_free_ char *args = NULL, *env = NULL;
	const char *const *argv = NULL, *const *envp = NULL;
	char exe[PATH_MAX], cwd[PATH_MAX];
	struct event e = { .kind = EV_EXEC, .exec = *x };
	bool ran = r->opts->attach.what && !r->first_exec_seen;

	program_files(r, pid, exe, cwd);
	e.exec.goroutines = find_goroutines(r, pid);
	e.exec.path = exe;
	e.exec.cwd = cwd;
	e.exec.argc = proc_words(pid, "cmdline", ran, &args, &argv);
	e.exec.envc = proc_words(pid, "environ", ran, &env, &envp);
	e.exec.argv = argv;
	e.exec.env = envp;
	if (!exe[0])
		strcpy(exe, "/");	/* gone already, or not below the root */
	emit(r, &e);
	free((void *)argv);
	free((void *)envp);
}

/* What is to be known of the program before anything else of it is told. */
static void begin_program(struct recording *r, pid_t pid)
{
	struct err err = ERR_INIT;

	if (r->begins && !r->first_exec_seen && !r->broken.code && r->begins(r, pid, &err) < 0)
		r->broken = err;
}

static void on_exec(struct recording *r, struct task *t, const struct rec_task *x, const struct parts *p)
{
	struct ev_exec e = { 0 };
	pid_t pid = (pid_t)x->h.tid;

	redirect_clocks(r, pid, &e, x->exec.heard);
	tell_running(r, pid, &e);
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
	e.exit.oom = x->exit.oom;
	emit(r, &e);
	if (e.exit.group && t->number == 1)
		r->first_status = e.exit.status;
	if (e.exit.group) {
		guard_remove(r->guard, (pid_t)t->tgid);
		task_end_goroutines(r->tasks, t->tgid);
		kernel_goroutines(r->kernel, t->tgid, NULL);
	}
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
	if (x->h.type == REC_EXEC)
		begin_program(r, (pid_t)x->h.tid);
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
			go_on(r, x->h.tid);
		break;
	case REC_HALT:
		on_halt(r, t);
		break;
	case REC_EXIT:
		if (t)
			on_exit_(r, t, x);
		break;
	case REC_SIGNAL:
		e.signal.signo = x->signal.signo;
		e.signal.code = x->signal.code;
		e.signal.pid = x->signal.pid;
		e.signal.uid = x->signal.uid;
		e.signal.value = x->signal.value;
		e.signal.group = x->signal.group;
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
