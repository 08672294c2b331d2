/* SPDX-License-Identifier: Apache-2.0 */
/* The run: sandbox, main loop, end. */
#include <linux/types.h>

#include "replayer/replay.h"

#include "format/cleanup.h"
#include "format/cli.h"
#include "format/sha256.h"
#include "format/sysdesc.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#endif

enum { MAX_START_FDS = 256 };

#define MS 1000000ull
#define QUIET_NS (10 * MS)		/* nothing asked for so long: is everybody asleep? */
#define QUIET_MATCHED_NS (1000 * MS)	/* patience with a call that was recorded to come back */
#define DEADLOCK_NS (10000 * MS)
#define OUTLIVE_NS (5000 * MS)		/* for processes that outlive the command */

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static int watch(struct replay *r, int fd, uint64_t tag)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u64 = tag };

	return epoll_ctl(r->epoll, EPOLL_CTL_ADD, fd, &ev);
}

/* ---- before --------------------------------------------------------------- */

static int load_streams(struct replay *r, struct err *err)
{
	const struct manifest *m = r->rec->m;
	static const uint32_t monotonic[] = { CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_MONOTONIC_COARSE };
	static const uint32_t realtime[] = { CLOCK_REALTIME, CLOCK_REALTIME_COARSE, CLOCK_REALTIME_ALARM, CLOCK_TAI };

	if (streams_new(&r->streams, err) < 0)
		return -err->code;
	for (size_t i = 0; i < sizeof(monotonic) / sizeof(*monotonic); i++)
		streams_start(r->streams, monotonic[i], m->monotonic);
	for (size_t i = 0; i < sizeof(realtime) / sizeof(*realtime); i++)
		streams_start(r->streams, realtime[i], m->created);
	streams_start(r->streams, CLOCK_BOOTTIME, m->boottime);
	streams_start(r->streams, CLOCK_BOOTTIME_ALARM, m->boottime);
	for (size_t i = 0; i < r->rec->nclocks; i++) {
		const struct rec_clock *k = &r->rec->clocks[i];

		if (k->clock >= 0 && streams_add(r->streams, k->task, (uint32_t)k->clock, k->ns, k->order, err) < 0)
			return -err->code;
	}
	for (size_t i = 1; i < r->rec->ntasks; i++)
		streams_reach(r->streams, (uint32_t)i, 0, next_mark(&r->rec->tasks[i], 0));
	return 0;
}

static int make_live(struct replay *r, struct err *err)
{
	r->live = calloc(r->rec->nobjects + 1, sizeof(*r->live));
	r->born = calloc(r->rec->ntasks, sizeof(*r->born));
	if (!r->live || !r->born)
		return err_set(err, ENOMEM, "out of memory");
	for (size_t i = 0; i < r->rec->nobjects; i++)
		r->live[i] = (struct live){ .id = (uint32_t)i, .rec = &r->rec->objects[i], .fd = -1 };
	return 0;
}

/* The supervisor and the guest on one CPU: a notification is then a switch, not a wake-up across (some 4 us, not 50). */
static int pin(void)
{
	cpu_set_t set;
	int cpu = sched_getcpu();

	if (cpu < 0)
		return -1;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) < 0 ? -1 : cpu;
}

static int open_loop(struct replay *r, struct err *err)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	r->epoll = epoll_create1(EPOLL_CLOEXEC);
	r->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (r->epoll < 0 || r->signals < 0 || watch(r, r->signals, TAG_SIGNALS) < 0)
		return err_sys(err, errno, "the replayer's event loop");
	return 0;
}

static int64_t offset_to(int64_t then, clockid_t clk)
{
	struct timespec ts;

	clock_gettime(clk, &ts);
	return (int64_t)((uint64_t)then - ((uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec));
}

static int start(struct replay *r, struct err *err)
{
	const struct manifest *m = r->rec->m;
	struct sandbox_fd fds[MAX_START_FDS];
	const char *rootfs = r->opts->rootfs ? r->opts->rootfs : m->rootfs;
	char *const *argv = r->opts->argv ? r->opts->argv : m->argv;
	uint64_t flags = SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP;
	char command[PATH_MAX];
	struct sandbox_spec spec = {
		.rootfs = rootfs, .m = m, .exec_path = command,
		.argv = r->opts->argv, .fds = fds, .lay = files_lay, .ctx = r, .binds = r->opts->binds,
		.nbinds = r->opts->nbinds, .shared_size = streams_size(r->streams),
		.notify = r->rec->notify,
		.monotonic_offset = offset_to(m->monotonic, CLOCK_MONOTONIC),
		.boottime_offset = offset_to(m->boottime, CLOCK_BOOTTIME),
	};

	if (!argv[0])
		return err_set(err, EBADMSG, "the capsule names no command");
	files_find_command(r->rec, rootfs, argv[0], command, sizeof(command));
	if (sandbox_enter(m, err) < 0 || peers_stdio(r, fds, &spec.nfds, MAX_START_FDS, err) < 0)
		return -err->code;
	spec.cpu = pin();
	if (sandbox_spawn(&r->sb, &spec, err) < 0)
		return -err->code;
	if (streams_publish(r->streams, sandbox_shared(r->sb), err) < 0)
		return -err->code;
	peers_unix_paths(r);
	r->listener = sandbox_listener(r->sb);
	ioctl(r->listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, flags);	/* since Linux 6.6; without it, slower */
	if (watch(r, r->listener, TAG_LISTENER) < 0 || watch(r, sandbox_control(r->sb), TAG_CONTROL) < 0)
		return err_sys(err, errno, "the replayer's event loop");
	if (!task_first(r, sandbox_guest(r->sb)))
		return err_sys(err, errno, "following the program with ptrace");
	return sandbox_go(r->sb, err);
}

/* ---- the loop --------------------------------------------------------------- */

void call_respond(struct replay *r, const struct call *c)
{
	struct seccomp_notif_resp resp = { .id = c->n->id };

	if (c->cont)
		resp.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	else if (c->ret < 0)
		resp.error = (int32_t)c->ret;
	else
		resp.val = c->ret;
	/* ENOENT: the task was killed while it waited. */
	while (ioctl(r->listener, SECCOMP_IOCTL_NOTIF_SEND, &resp) < 0 && errno == EINTR)
		;
}

static struct gtask *caller(struct replay *r, pid_t tid)
{
	struct gtask *t = task_find(r, tid);

	/* A new task is held in its first stop until its creator's event was seen, so it is known; an exec may have renamed it. */
	if (!t) {
		tasks_pump(r);
		t = task_find(r, tid);
	}
	return t;
}

/* A call that leads outside, and that the record does not have. */
static bool is_beyond(const struct call *c)
{
	int fate = sc_table[c->nr].fate;
	bool own = c->t->blocked && c->t->matched;	/* on something of the guest's own */

	return !c->matched && !own &&
	       (fate == SC_READ || fate == SC_WRITE || fate == SC_WAIT || fate == SC_SLEEP || fate == SC_NET);
}

/*
 * Signals that came between this call and the next one are due as soon as the
 * task sleeps.  One that interrupted the next call is sent when that is made
 * (match_call()), one behind the task's last call when it makes another that
 * leads outside, at the latest, the others being done with what came before.
 */
static void signals_after(const struct replay *r, const struct call *c)
{
	const struct rec_task *rec = c->t->rec;
	size_t next = c->t->cursor;

	while (rec && next < rec->ncalls && rec->calls[next].signal)
		next++;
	if (!rec || next == c->t->cursor || (next < rec->ncalls && rec->calls[next].call->ret == -EINTR))
		return;
	if (next == rec->ncalls && is_beyond(c) && all_are_past(r, rec->calls[c->t->cursor].order)) {
		for (; c->t->cursor < next; c->t->cursor++)
			signals_due(c->t);
		return;
	}
	if (!c->t->signals_due)
		c->t->signals_since = now_ns();
	c->t->signals_due = next;
}

void call_of(struct call *c, const struct seccomp_notif *n, struct gtask *t)
{
	*c = (struct call){ .n = n, .t = t };
	c->nr = (unsigned int)n->data.nr < SC_MAX ? (unsigned int)n->data.nr : 0;
	memcpy(c->args, n->data.args, sizeof(c->args));
}

void call_take(struct replay *r, struct call *c)
{
	call_answer(r, c);
	if (!c->answered)
		call_respond(r, c);
	signals_after(r, c);
}

static void take_notification(struct replay *r)
{
	struct seccomp_notif n = { 0 };
	struct call c;

	if (ioctl(r->listener, SECCOMP_IOCTL_NOTIF_RECV, &n) < 0)
		return;		/* ENOENT: its task was killed before we looked; EINTR: it is still there for the next look */
	r->activity_before = r->last_activity;
	r->last_activity = now_ns();
	r->v->calls++;
	call_of(&c, &n, caller(r, (pid_t)n.pid));
	if (!c.t) {
		miss(r, "a call of a task that nobody started");
		c.cont = true;
		call_respond(r, &c);
	} else if (!turn_keep(r, &c)) {
		call_take(r, &c);
	}
}

static void take_event(struct replay *r, const struct epoll_event *ev)
{
	struct signalfd_siginfo si;

	if (ev->data.u64 == TAG_LISTENER) {
		if (ev->events & EPOLLIN)
			take_notification(r);
		else
			epoll_ctl(r->epoll, EPOLL_CTL_DEL, r->listener, NULL);	/* the last task with the filter is gone */
	} else if (ev->data.u64 == TAG_SIGNALS) {
		(void)!read(r->signals, &si, sizeof(si));
		tasks_pump(r);
	} else if (ev->data.u64 == TAG_CONTROL && !r->done) {
		r->done = sandbox_wait(r->sb, &r->v->status);
		if (r->done)
			epoll_ctl(r->epoll, EPOLL_CTL_DEL, sandbox_control(r->sb), NULL);
	} else if (ev->data.u64 >= TAG_LIVE && ev->data.u64 - TAG_LIVE < r->rec->nobjects)
		peer_flush(r, &r->live[ev->data.u64 - TAG_LIVE]);
}

/* Is someone waiting for what the record does not say it should have? Then the world speaks out of turn. */
static void when_quiet(struct replay *r)
{
	uint64_t now = now_ns();
	bool unmatched = false, overdue = false;

	if (now - r->last_activity < QUIET_NS)
		return;
	for (struct gtask *t = r->tasks; t; t = t->next) {
		unmatched |= !t->exited && t->blocked && !t->matched;
		overdue |= !t->exited && t->blocked && t->matched && now - t->since > QUIET_MATCHED_NS;
	}
	if (!unmatched && !overdue && now - r->last_activity < DEADLOCK_NS)
		return;
	if (!tasks_asleep(r))
		return;
	if (peer_out_of_turn(r)) {
		r->last_activity = now;
		return;
	}
	if (now - r->last_activity > DEADLOCK_NS) {
		diverged(r->v, "the program's course", 0, "an end", "every task sleeps and nothing is left to come: given up");
		r->given_up = true;
	}
}

/* One turn: what has come, or what silence means. */
static void turn(struct replay *r)
{
	struct epoll_event ev[16];
	int n = epoll_wait(r->epoll, ev, 16, r->early || r->parked || r->paced || r->kept ? 1 : 10);

	for (int i = 0; i < n; i++)
		take_event(r, &ev[i]);
	park_look(r);
	order_look(r);
	turns_look(r);
	pace_look(r);
	signals_look(r);
	if (n <= 0)
		when_quiet(r);
}

/* Was it still running when the recorder went? Then it has no end to come to. */
static bool outlived(const struct gtask *t)
{
	return t->rec && !t->rec->exited && t->cursor >= t->rec->ncalls;
}

/* The recording's other processes were recorded to their ends, so they come to them. */
static bool others_run(const struct replay *r)
{
	for (const struct gtask *t = r->tasks; t; t = t->next)
		if (!t->exited && !outlived(t))
			return true;
	return false;
}

static void loop(struct replay *r)
{
	uint64_t limit = r->opts->limit_ns, until;

	while (!r->done && !r->given_up) {
		turn(r);
		if (limit && now_ns() - r->start > limit) {
			diverged(r->v, "the program's course", 0, "an end", "still running: given up");
			return;
		}
	}
	r->v->ended = r->done > 0;
	if (r->done < 0)
		diverged(r->v, "the program's course", 0, "an end", "the sandbox died");
	until = now_ns() + OUTLIVE_NS;
	while (r->done > 0 && others_run(r) && now_ns() < until && !r->given_up)
		turn(r);
}

/*
 * How often one of several threads reads the clock while it waits for another
 * is not the program's doing, but the scheduler's.  Such readings lie between
 * two recorded ones.  A single thread that reads it more often is not the
 * program that was recorded, or not in its world.
 */
static int clock_more(void *ctx, uint32_t task, uint32_t clk, const struct streams_total *t)
{
	struct replay *r = ctx;

	if (t->more && has_company(r, task))
		r->v->between += t->more;
	else if (t->more)
		miss(r, "clock %u: task %u read it %llu times more than recorded", clk, task, (unsigned long long)t->more);
	return 0;
}

static void conclude(struct replay *r)
{
	struct streams_total total = { 0 };

	streams_total(r->streams, &total);
	r->v->served += total.given;
	streams_odd(r->streams, clock_more, r);
	if (sandbox_exec_error(r->sb))
		diverged(r->v, "the program's start", 0, "started", strerror(sandbox_exec_error(r->sb)));
	if (r->v->ended)
		files_compare(r);
	verdict_end(r);
}

void replay_run(struct recording *rec, const struct replay_options *opts, struct verdict *v)
{
	struct replay r = { .rec = rec, .opts = opts, .v = v, .epoll = -1, .signals = -1, .listener = -1,
			    .stdio = { 0, 1, 2 }, .start = now_ns() };
	uint8_t hash[SHA256_LEN];

	sha256_of(rec->m->uuid, strlen(rec->m->uuid), hash);
	memcpy(r.random_seed, hash, sizeof(r.random_seed));
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (open_loop(&r, &v->err) < 0 || load_streams(&r, &v->err) < 0 || make_live(&r, &v->err) < 0 ||
	    start(&r, &v->err) < 0) {
		v->error = EXIT_MACHINE;
	} else {
		r.last_activity = now_ns();
		loop(&r);
		conclude(&r);
	}
	v->wall_ns = now_ns() - r.start;
	sandbox_free(r.sb);
	park_free(&r);
	order_free(&r);
	turns_free(&r);
	pace_free(&r);
	if (r.live)
		peers_free(&r);
	tasks_free(&r);
	streams_free(r.streams);
	free(r.live);
	free(r.born);
}
