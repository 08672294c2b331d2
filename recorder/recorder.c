/* SPDX-License-Identifier: Apache-2.0 */
#include "recorder/state.h"

#include "format/cleanup.h"
#include "format/signature.h"
#include "recorder/again.h"
#include "recorder/blind.h"
#include "recorder/attach.h"
#include "recorder/files.h"
#include "recorder/identity.h"
#include "recorder/inside.h"
#include "recorder/kernel.h"
#include "recorder/objects.h"
#include "recorder/proc.h"
#include "recorder/spawn.h"
#include "recorder/tasks.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

enum {
	LOOK_EVERY = 10,	/* ms: at the ring, without being woken */
	LOOK_AT_CGROUP = 100,	/* ms: for those who came into it */
	LOOKS = 100,		/* in a row, before we look after anything else */
	LINGER = 50,		/* µs: who was stopped opens or executes the next one soon */
	FLUSH_EVERY = 250,	/* ms: what a killed recorder may lose */
};

/* ---- into the capsule ------------------------------------------------------------- */

static void write_event(struct recording *r, struct event *e)
{
	struct err err = ERR_INIT;
	int rc;

	if (r->broken.code || (!r->w && !r->sink))
		return;
	e->time = r->now > r->start ? (uint64_t)(r->now - r->start) : 0;
	e->task = r->task;
	if (r->sink) {
		r->sink(r->sink_ctx, e);
		return;
	}
	rc = capsule_write(r->w, e, &err);
	if (rc == 0) {
		r->events++;
		rc = observation_event(r->seen, e, NULL, &err);
	}
	if (rc < 0 && rc != -EINVAL && rc != -EFBIG)
		r->broken = err;
	else if (rc < 0 && e->kind != EV_HOLE)
		emit_hole(r, "event", ev_kind_name(e->kind), err.text, 1);
}

void emit(struct recording *r, struct event *e)
{
	write_event(r, e);
}

void emit_hole(struct recording *r, const char *what, const char *where, const char *why, uint64_t count)
{
	struct event e = { .kind = EV_HOLE, .hole = { .what = what, .where = where, .why = why, .count = count } };

	r->holes++;
	write_event(r, &e);
}

void emit_holef(struct recording *r, const char *what, const char *why, const char *where, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, where);
	vsnprintf(text, sizeof(text), where, ap);
	va_end(ap);
	emit_hole(r, what, text, why, 1);
}

/* ---- while it runs ---------------------------------------------------------------------- */

struct run {
	struct recording r;
	struct our_signals signals;
	struct command cmd;
	int joined;		/* pidfd of a process that is not our child; -1: it has ended, or there is none */
	bool ended;		/* the command */
	bool leave;		/* it has ended, and we were asked to go before its descendants do */
	int status;
	struct attached *attached;	/* NULL: a command was started */
	int64_t looked;		/* at the cgroup */
	const char *why;	/* it ends, of attach */
	unsigned int in_vain;	/* times that we waited awake, since one was worth it */
};

static int64_t boottime(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static int on_record(void *ctx, void *data, size_t len)
{
	struct recording *r = ctx;

	return assemble_feed(r->assembler, data, len);
}

static void reap(struct run *run)
{
	pid_t pid;

	do
		pid = waitpid(run->cmd.pid, &run->status, WNOHANG);
	while (pid < 0 && errno == EINTR);
	run->ended |= pid == run->cmd.pid;
}

static void take_signals(struct run *run)
{
	struct signalfd_siginfo s;

	while (read(run->signals.fd, &s, sizeof(s)) == sizeof(s)) {
		if (s.ssi_signo == SIGINT || s.ssi_signo == SIGQUIT) {
			run->leave |= run->ended || run->r.opts->join.pid;	/* the terminal's go to the command by themselves */
		} else if (s.ssi_signo != SIGCHLD) {
			if (run->ended || run->r.opts->join.pid)
				run->leave = true;
			else
				kill(run->cmd.pid, (int)s.ssi_signo);
		}
	}
	if (!run->ended && !run->r.opts->join.pid)
		reap(run);
}

/* How long to wait awake for what may come close behind a process that was continued: as long as that pays. */
static unsigned int patience(struct run *run)
{
	if (!run->r.continued)
		return 0;
	run->r.continued = false;
	return run->in_vain < 4 || run->in_vain++ % 16 == 0 ? LINGER : 0;
}

/* All that is in the ring, and what comes soon. */
static int look(struct run *run)
{
	int n = kernel_consume(run->r.kernel, on_record, &run->r);

	for (int i = 0; i < LOOKS; i++) {
		bool left = files_settle(&run->r);
		unsigned int us = left ? 0 : patience(run);
		int more = kernel_linger(run->r.kernel, us);

		n += more;
		if (us)
			run->in_vain = more > 0 ? 0 : run->in_vain + 1;
		if (!left && more <= 0)
			break;
	}
	return n;
}

/* Of attach: is one of its limits reached? */
static bool is_enough(struct run *run)
{
	const struct record_opts *o = run->r.opts;
	int64_t now = boottime();

	if (run->leave)
		run->why = "told to";
	else if (o->attach.for_ns && now - run->r.start >= (int64_t)o->attach.for_ns)
		run->why = "--for";
	else if (o->max_bytes && capsule_writer_is_full(run->r.w))
		run->why = "--max-bytes";
	if (now - run->looked > LOOK_AT_CGROUP * 1000000ll) {
		attach_look(run->attached);
		run->looked = boottime();
	}
	return run->why;
}

/* When to look again, ms. */
static int until_next(const struct run *run)
{
	const struct attach_opts *o = &run->r.opts->attach;
	int64_t left = o->for_ns ? run->r.start + (int64_t)o->for_ns - boottime() : INT64_MAX;

	return left < LOOK_EVERY * 1000000ll ? (left < 0 ? 0 : (int)(left / 1000000)) : LOOK_EVERY;
}

/* Until the last thread of the scope is gone. */
static void loop(struct run *run)
{
	struct pollfd fds[] = { { .fd = kernel_fd(run->r.kernel), .events = POLLIN }, { .fd = run->signals.fd, .events = POLLIN },
				 { .fd = run->joined, .events = POLLIN } };
	int64_t flushed = boottime();
	bool hashing = false;
	struct err err = ERR_INIT;

	while (run->attached ? !is_enough(run) : !run->leave) {
		bool over = run->ended && kernel_live(run->r.kernel) <= 0;	/* before the last look at the ring */
		int n = look(run);

		if (over)
			break;
		if (boottime() - flushed > FLUSH_EVERY * 1000000ll) {
			if (run->r.w && !run->r.broken.code && capsule_writer_flush(run->r.w, &err) < 0)
				run->r.broken = err;
			flushed = boottime();
		}
		if (!hashing)
			n += kernel_rest(run->r.kernel);
		/* Hashes are for when nothing has happened for a while, and a wake-up ends them. */
		hashing = poll(fds, 3, hashing ? 0 : until_next(run)) == 0 && n == 0 && files_idle(&run->r);
		if (fds[1].revents)
			take_signals(run);
		if (fds[2].revents) {
			run->ended = true;
			fds[2].fd = -1;
		}
	}
}

/* ---- beginning and end ------------------------------------------------------------------------ */

static int begin(struct run *run, const struct record_opts *opts, struct err *err)
{
	struct recording *r = &run->r;

	r->opts = opts;
	run->signals.fd = run->joined = -1;
	run->cmd = (struct command){ .pid = -1, .pidfd = -1, .go = -1, .failed = -1 };
	/* The guard first: it must hold nothing of what follows. */
	if (guard_start(&r->guard, err) < 0 || kernel_load(&run->r.kernel, opts, err) < 0)
		return -err->code;
	if (tasks_new(&r->tasks, err) < 0 || objects_new(&r->objects, err) < 0 || files_new(&r->files, err) < 0 ||
	    sources_new(&r->sources, err) < 0 || again_new(&r->again, err) < 0 || observation_new(&r->seen, err) < 0 || assembler_new(&r->assembler, &call_ops, r, err) < 0)
		return -err->code;
	return signals_take(&run->signals, err);
}

static int open_capsule(struct run *run, struct err *err)
{
	struct manifest *m = NULL;
	int rc;

	if (identity_of(&m, run->cmd.pid, run->r.opts, err) < 0)
		return -err->code;
	m->declines = run->cmd.declines;
	run->r.start = m->boottime;
	rc = capsule_writer_open(&run->r.w, run->r.opts->file, m, err);
	manifest_free(m);
	if (rc == 0 && run->r.opts->max_bytes)
		capsule_writer_limit(run->r.w, run->r.opts->max_bytes);
	if (rc == 0 && run->r.opts->inside)
		inside_tell(run->r.opts->inside, &run->r);
	return rc;
}

/* What runs already. There is no end of a command to wait for. */
static int start_attached(struct run *run, struct err *err)
{
	pid_t root = attach_root(run->r.opts);

	if (!root)
		return err_set(err, ESRCH, "there is no process in %s", run->r.opts->attach.what);
	run->cmd.pid = root;
	if (open_capsule(run, err) < 0)
		return -err->code;
	files_begin(&run->r);
	run->cmd.pid = -1;
	run->ended = true;
	setpriority(PRIO_PROCESS, 0, -10);
	return kernel_attach(run->r.kernel, err) < 0 ? -err->code : attach_all(&run->attached, &run->r, run->r.kernel, root, err);
}

static int start(struct run *run, struct err *err)
{
	struct task *first;

	if (command_spawn(&run->cmd, run->r.opts, &run->signals, err) < 0 || open_capsule(run, err) < 0)
		return -err->code;
	first = task_add(run->r.tasks, (uint32_t)run->cmd.pid, (uint32_t)run->cmd.pid);
	if (!first)
		return err_set(err, ENOMEM, "out of memory");
	task_owns(run->r.tasks, first, (uint32_t)run->cmd.pid, (uint32_t)run->cmd.pid);
	files_begin(&run->r);
	guard_add(run->r.guard, run->cmd.pid);
	if (kernel_follow(run->r.kernel, run->cmd.pid, run->cmd.pidfd, err) < 0)
		return -err->code;
	/* Whoever falls behind loses records; the child has its own priority already. */
	setpriority(PRIO_PROCESS, 0, -10);
	return kernel_attach(run->r.kernel, err);
}

/* Its program begins: who it is can be seen now. */
static int begin_joined(struct recording *r, pid_t pid, struct err *err)
{
	struct run *run = (struct run *)r;	/* its first member */
	const struct join_opts *j = &r->opts->join;

	if (j->begins(j->ctx, err) < 0)
		return -err->code;
	run->cmd.pid = pid;
	if (open_capsule(run, err) < 0)
		return -err->code;
	files_begin(r);
	return 0;
}

/* Recorded is its program, which it has not started yet. */
static int start_joined(struct run *run, struct err *err)
{
	const struct join_opts *j = &run->r.opts->join;
	struct task *first = task_add(run->r.tasks, (uint32_t)j->pid, (uint32_t)j->pid);

	run->joined = (int)syscall(SYS_pidfd_open, j->pid, 0);
	if (run->joined < 0)
		return err_sys(err, errno, "process %d", (int)j->pid);
	if (!first)
		return err_set(err, ENOMEM, "out of memory");
	task_owns(run->r.tasks, first, proc_own_number(j->pid), proc_own_number(j->pid));
	run->r.begins = begin_joined;
	guard_add(run->r.guard, j->pid);
	if (kernel_follow(run->r.kernel, j->pid, run->joined, err) < 0)
		return -err->code;
	setpriority(PRIO_PROCESS, 0, -10);
	return kernel_attach(run->r.kernel, err);
}

static void end_run(struct run *run)
{
	cleanup_fd(&run->joined);
	kernel_free(run->r.kernel);
	attach_end(TAKE_PTR(run->attached));
	command_end(&run->cmd);
	signals_give_back(&run->signals);
	assembler_free(run->r.assembler);
	tasks_forget(run->r.tasks);
	observation_free(run->r.seen);
	objects_free(run->r.objects);
	files_free(run->r.files);
	sources_free(run->r.sources);
	again_free(run->r.again);
	capsule_writer_free(run->r.w);
	guard_stop(run->r.guard);
}

/* A child that waits for our word ends when there is none. */
static void give_up(struct run *run)
{
	if (run->cmd.pid <= 0)
		return;
	close(run->cmd.go);
	run->cmd.go = -1;
	waitpid(run->cmd.pid, NULL, 0);
}

static void finish(struct run *run, struct record_result *ret)
{
	struct recording *r = &run->r;
	struct capsule_end end = { .status = run->status };
	struct err err = ERR_INIT;
	uint64_t missed;
	struct stat st;

	r->now = boottime();
	end.duration = (uint64_t)(r->now - r->start);
	kernel_detach(run->r.kernel);
	if (run->attached) {
		ret->ended = run->why ? run->why : "all gone";
		snprintf(end.ended, sizeof(end.ended), "%s", ret->ended);
		ret->longest_stop = attach_end(TAKE_PTR(run->attached));
	}
	kernel_consume(run->r.kernel, on_record, r);
	r->task = 0;
	if (kernel_lost(run->r.kernel) > r->lost)
		call_ops.lost(r, (uint32_t)(kernel_lost(run->r.kernel) - r->lost));
	missed = kernel_missed(run->r.kernel);
	if (missed)
		emit_hole(r, "lost", "tracepoint", "the kernel left out programs that ran already on the same processor", missed);
	if (!r->lost && assemble_strays(r->assembler) > 0)
		emit_hole(r, "lost", "records", "parts of calls came without their call", assemble_strays(r->assembler));
	if (run->leave && !ret->ended && kernel_live(run->r.kernel) > 0)
		emit_hole(r, "task", "end", "the recorder was told to end before these threads had", (uint64_t)kernel_live(run->r.kernel));
	files_finish(r);
	if (ret->ended || r->opts->join.pid)
		end.status = r->first_status;
	if (!capsule_end_is_open(&end))
		observation_end(r->seen, end.status, true);
	if (signature_derive(end.signature, r->seen, &err) < 0 && !r->broken.code)
		r->broken = err;
	end.lost = r->lost;
	end.holes = r->holes;
	if (capsule_writer_finish(TAKE_PTR(r->w), &end, &err) < 0 && !r->broken.code)
		r->broken = err;
	ret->started = true;
	ret->status = end.status;
	ret->events = r->events;
	ret->holes = r->holes;
	ret->lost = r->lost;
	ret->broken = r->broken;
	if (stat(r->opts->file, &st) == 0)
		ret->size = (uint64_t)st.st_size;
}

int attach_run(const struct record_opts *opts, struct record_result *ret, struct err *err)
{
	_cleanup_(end_run) struct run run = { 0 };

	*ret = (struct record_result){ 0 };
	if (begin(&run, opts, err) < 0)
		return -err->code;
	if (start_attached(&run, err) < 0) {
		if (run.r.w)
			unlink(opts->file);	/* a capsule of nothing */
		return -err->code;
	}
	loop(&run);
	finish(&run, ret);
	return 0;
}

int join_run(const struct record_opts *opts, struct record_result *ret, struct err *err)
{
	_cleanup_(end_run) struct run run = { 0 };

	*ret = (struct record_result){ 0 };
	if (begin(&run, opts, err) < 0 || start_joined(&run, err) < 0)
		return -err->code;
	opts->join.ready(opts->join.ctx);
	loop(&run);
	if (run.r.broken.code && !run.r.w) {
		*err = run.r.broken;
		return -err->code;
	}
	if (!run.r.w)
		return err_set(err, ESRCH, "it ended before its program began");
	finish(&run, ret);
	return 0;
}

int record_run(const struct record_opts *opts, struct record_result *ret, struct err *err)
{
	_cleanup_(end_run) struct run run = { 0 };

	*ret = (struct record_result){ 0 };
	if (begin(&run, opts, err) < 0)
		return -err->code;
	if (start(&run, err) < 0) {
		give_up(&run);
		return -err->code;
	}
	ret->exec_error = command_go(&run.cmd);
	if (ret->exec_error) {
		waitpid(run.cmd.pid, NULL, 0);
		unlink(opts->file);	/* a capsule of nothing */
		return 0;
	}
	loop(&run);
	finish(&run, ret);
	return 0;
}
