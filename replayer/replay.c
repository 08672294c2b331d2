/* SPDX-License-Identifier: Apache-2.0 */
/* The run: sandbox, main loop, end. */
#include <linux/types.h>

#include "replayer/look.h"

#include "format/cleanup.h"
#include "format/cli.h"
#include "format/sha256.h"
#include "format/sysdesc.h"
#include "preload/shim.h"
#include "replayer/procs.h"
#include "replayer/timers.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
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
#define SERVED_NS (2000 * MS)		/* a server to which nothing is left to come has outlived the recording */
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
	static const uint32_t realtime[] = { CLOCK_REALTIME, CLOCK_REALTIME_COARSE, CLOCK_REALTIME_ALARM, CLOCK_TAI, SHIM_SECONDS };

	if (streams_new(&r->streams, err) < 0)
		return -err->code;
	for (size_t i = 0; i < sizeof(monotonic) / sizeof(*monotonic); i++)
		streams_start(r->streams, monotonic[i], m->monotonic);
	for (size_t i = 0; i < sizeof(realtime) / sizeof(*realtime); i++)
		streams_start(r->streams, realtime[i], m->created);
	streams_start(r->streams, CLOCK_BOOTTIME, m->boottime);
	streams_start(r->streams, CLOCK_BOOTTIME_ALARM, m->boottime);
	return ahead_begin(r, err);
}

static void timerfds_find(struct replay *r)
{
	struct stat st;

	if (fstat(r->epoll, &st) == 0)
		r->anonymous = st.st_dev;
	for (size_t i = 1; i < r->rec->nobjects; i++) {
		const struct ev_object *o = r->rec->objects[i].o;

		if (o && o->kind == OBJ_OTHER && o->path && strcmp(o->path, TIMERFD) == 0)
			r->timerfds = r->live[i].timer = r->live[i].direct = true;
	}
}

static int make_live(struct replay *r, struct err *err)
{
	if (looks_at_new(&r->looks_at, r->rec->looks) < 0)
		return err_set(err, ENOMEM, "out of memory");
	r->live = calloc(r->rec->nobjects + SPARE_LIVES, sizeof(*r->live));
	if (procs_new(&r->procs) < 0)
		return err_set(err, ENOMEM, "out of memory");
	r->paths = calloc(r->rec->nobjects, sizeof(*r->paths));
	r->born = calloc(r->rec->ntasks, sizeof(*r->born));
	if (!r->live || !r->paths || !r->born)
		return err_set(err, ENOMEM, "out of memory");
	for (size_t i = 0; i < r->rec->nobjects; i++)
		r->live[i] = (struct live){ .id = (uint32_t)i, .rec = &r->rec->objects[i], .fd = -1, .instead = (uint32_t)i };
	for (uint32_t i = 1; i < r->rec->nobjects; i++) {
		const struct ev_object *o = r->rec->objects[i].o;

		if (o && (o->kind == OBJ_CHR || (o->path && o->path[0])))
			r->paths[r->npaths++] = i;
	}
	timerfds_find(r);
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

/*
 * From here on, what changes a file is the guest.  Files get the time of the
 * kernel's last tick, so that has to be behind what the sandbox made.
 */
static void begin_times(struct replay *r)
{
	struct timespec now, tick;

	clock_gettime(CLOCK_REALTIME, &now);
	for (int i = 0; i < 40; i++) {
		nanosleep(&(struct timespec){ .tv_nsec = 500000 }, NULL);
		clock_gettime(CLOCK_REALTIME_COARSE, &tick);
		if (tick.tv_sec > now.tv_sec || (tick.tv_sec == now.tv_sec && tick.tv_nsec >= now.tv_nsec))
			break;
	}
	r->began = now.tv_sec * 1000000000ll + now.tv_nsec;
}

static int start(struct replay *r, struct err *err)
{
	const struct manifest *m = r->rec->m;
	struct sandbox_fd fds[MAX_START_FDS];
	int given_up = root_give_up(r, err);
	const char *rootfs = r->opts->rootfs ? r->opts->rootfs : m->rootfs;
	char *const *argv = r->opts->argv ? r->opts->argv : m->argv;
	uint64_t flags = SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP;
	char command[PATH_MAX];
	const struct ev_file *top = files_recorded(r->rec, "/");
	struct sandbox_spec spec = {
		.rootfs = rootfs, .root_mode = top && top->state == FILE_DIR ? top->mode : 0, .m = m, .exec_path = command,
		.argv = r->opts->argv, .fds = fds, .lay = files_lay, .ctx = r, .binds = r->opts->binds,
		.nbinds = r->opts->nbinds, .shared_size = streams_size(r->streams),
		.notify = r->rec->notify,
		.max_disk = r->opts->max_disk, .max_file = r->opts->max_file, .max_cpu = r->opts->max_cpu,
		.monotonic_offset = offset_to(m->monotonic, CLOCK_MONOTONIC),
		.boottime_offset = offset_to(m->boottime, CLOCK_BOOTTIME),
	};

	if (given_up < 0)
		return given_up;
	if (!argv[0])
		return err_set(err, EBADMSG, "the capsule names no command");
	files_find_command(r->rec, rootfs, argv[0], command, sizeof(command));
	if (shown_paths(r, rootfs, command, err) < 0)
		return -err->code;
	spec.shown = (const char *const *)r->shown;
	if (sandbox_enter(m, err) < 0 || peers_stdio(r, fds, &spec.nfds, MAX_START_FDS, err) < 0)
		return -err->code;
	spec.cpu = pin();
	spec.trap_cycles = true;
	if (sandbox_spawn(&r->sb, &spec, err) < 0)
		return -err->code;
	if (streams_publish(r->streams, sandbox_shared(r->sb), err) < 0)
		return -err->code;
	peers_unix_paths(r);
	r->listener = sandbox_listener(r->sb);
	ioctl(r->listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, flags);	/* since Linux 6.6; without it, slower */
	if (watch(r, r->listener, TAG_LISTENER) < 0 || watch(r, sandbox_control(r->sb), TAG_CONTROL) < 0)
		return err_sys(err, errno, "the replayer's event loop");
	begin_times(r);
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
	if (c->t && c->t->cursor != c->t->moved_to) {
		c->t->moved_to = c->t->cursor;
		c->t->moved = now_ns();
	}
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
	r->asking = NULL;
}

static void take_notification(struct replay *r)
{
	struct seccomp_notif n = { 0 };
	struct gtask *t;
	struct call c;

	if (ioctl(r->listener, SECCOMP_IOCTL_NOTIF_RECV, &n) < 0)
		return;		/* ENOENT: its task was killed before we looked; EINTR: it is still there for the next look */
	r->activity_before = r->last_activity;
	r->last_activity = now_ns();
	r->v->calls++;
	t = caller(r, (pid_t)n.pid);
	call_of(&c, &n, t);
	if (!t) {
		miss(r, "a call of a task that nobody started");
		c.cont = true;
		call_respond(r, &c);
	} else if (call_was_interrupted(c.t, c.nr)) {
		call_go_on(&c, true);
		call_respond(r, &c);
	} else if (c.nr == SYS_arch_prctl) {
		task_sets_base(&c);
		call_respond(r, &c);
	} else if (t->number_at) {
		if (sc_table[c.nr].fate != SC_TASK)
			c.t = goroutine_on(r, t);
		if (opening_answers(r, &c)) {
			call_respond(r, &c);
			return;
		}
		ahead_at_once(r, &c);
		call_take(r, &c);
	} else if (opening_answers(r, &c)) {
		call_respond(r, &c);
	} else {
		match_begin(r, &c);
		if (!reap_keep(r, &c) && !turn_keep(r, &c))
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

/* It comes to no end.  Said in any case, where something else differed before, too. */
static void give_up(struct replay *r, const char *why)
{
	char text[sizeof(r->v->first.got)], where[400];

	tasks_describe(r, where, sizeof(where));
	snprintf(text, sizeof(text), "%s: given up; %s", why, where);
	if (r->v->first.set)
		note_add(&r->v->changed, "%s", text);
	diverged(r->v, "the program's course", 0, "an end", text);
	r->given_up = true;
}

/*
 * Is it a server that has had everything that was recorded to come to it?  Its recording may have ended in a crash: where
 * changed code has none, it waits for the next client.
 */
static bool serves_on(const struct replay *r)
{
	bool listens = false;

	for (size_t i = 1; i < r->rec->nobjects; i++) {
		const struct live *l = &r->live[i];

		if (l->rec->listens && l->released < l->rec->narrivals)
			return false;
		listens |= l->rec->listens && l->bound && l->rec->narrivals;
	}
	return listens && !peers_owe(r) && !signals_wait(r, UINT32_MAX);
}

/* Is someone waiting for what the record does not say it should have? Then the world speaks out of turn. */
static void when_quiet(struct replay *r)
{
	uint64_t now = now_ns();
	bool unmatched = false, overdue = false;

	if (now - r->last_activity < QUIET_NS || r->ends_wait || r->reaping || r->early || r->kept)	/* these are let go first */
		return;
	for (struct gtask *t = r->tasks; t; t = t->next) {
		unmatched |= !t->exited && t->blocked && !t->matched;
		overdue |= !t->exited && t->blocked && t->matched && now - t->since > QUIET_MATCHED_NS;
	}
	if (!unmatched && !overdue && now - r->last_activity < DEADLOCK_NS)
		return;
	if (!tasks_asleep(r))
		return;
	if (attached_is_lost(r)) {
		give_up(r, "its start came to nobody who does what was recorded");
		return;
	}
	if (peer_out_of_turn(r)) {
		r->last_activity = now;
		return;
	}
	if (now - r->last_activity > SERVED_NS && serves_on(r)) {
		r->v->serves_on = r->given_up = true;
		r->v->status = SERVES_ON;
		return;
	}
	if (now - r->last_activity > DEADLOCK_NS && !pace_owes(r, now - DEADLOCK_NS)) {
		give_up(r, "every task sleeps and nothing is left to come");
	}
}

/* One turn: what has come, or what silence means. */
static void turn(struct replay *r)
{
	struct epoll_event ev[16];
	int n = epoll_wait(r->epoll, ev, 16, r->early || r->ends_wait || r->reaping || r->parked || r->paced || r->kept || r->timers || r->rec->goroutines ? 1 : 10);

	for (int i = 0; i < n; i++)
		take_event(r, &ev[i]);
	park_look(r);
	order_look(r);
	turns_look(r);
	goroutines_look(r);
	pace_look(r);
	timers_look(r);
	reap_look(r);
	signals_look(r);
	ahead_look(r);
	if (attached_is_over(r))
		r->over = true;
	else if (n <= 0)
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

	/* What ran already may leave the process that it was started as. */
	while ((r->rec->attached ? !r->over : !r->done) && !r->given_up) {
		turn(r);
		if (limit && now_ns() - r->start > limit) {
			give_up(r, "still running");
		} else if (limits_exceeded(r)) {
			give_up(r, "more memory is taken than --max-memory allows");
		}
	}
	r->v->ended = r->done > 0;
	r->over &= !attached_has_ended(r);
	r->v->over = r->over || (r->rec->attached && r->v->serves_on);
	if (r->over) {
		r->v->serves_on = true;
		r->v->status = SERVES_ON;
	}
	if (r->given_up || r->over)
		return;
	if (r->done < 0)
		diverged(r->v, "the program's course", 0, "an end", "the sandbox died");
	until = now_ns() + OUTLIVE_NS;
	while (r->done > 0 && others_run(r) && now_ns() < until && !r->given_up)
		turn(r);
}

/*
 * How often one of several threads, or processes that share memory, reads the
 * clock while it waits for another is not the program's doing, but the
 * scheduler's.  Such readings lie between two recorded ones.  A single thread
 * that reads it more often is not the program that was recorded, or not in its
 * world.
 */
static bool is_runtimes_clock(const struct replay *r, uint32_t slot)
{
	for (const struct gtask *t = r->tasks; t; t = t->next)
		if (t->slot == slot && t->number_at)
			return true;
	return false;
}

static int clock_more(void *ctx, uint32_t task, uint32_t clk, const struct streams_total *t)
{
	struct replay *r = ctx;

	if (is_runtimes_clock(r, task))
		return 0;
	if (t->more && r->rec->attached && task >= r->rec->ntasks)
		r->v->start_clocks += t->more;
	else if (t->more && (has_company(r, task) || shares_memory(r, task) || r->rec->attached || (r->rec->goroutines && task >= r->rec->ntasks)))
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
	r->v->started = !sandbox_exec_error(r->sb);
	if (!r->v->started)
		diverged(r->v, "the program's start", 0, "started", strerror(sandbox_exec_error(r->sb)));
	if (r->v->ended && !r->rec->attached) {
		files_compare(r);
		extra_outputs(r);
	}
	verdict_end(r);
	ahead_end(r);
}

/* The sandbox's processes have been waited for. */
static void take_usage(struct verdict *v)
{
	struct rusage u;

	if (getrusage(RUSAGE_CHILDREN, &u) < 0)
		return;
	v->cpu_ns = (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000000ull +
		    (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1000ull;
	v->peak_bytes = (uint64_t)u.ru_maxrss * 1024;
	v->pages = (uint64_t)u.ru_minflt;
}

static uint64_t most_memory(void)
{
	struct rusage u;

	return getrusage(RUSAGE_SELF, &u) < 0 ? 0 : (uint64_t)u.ru_maxrss * 1024;
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
	    saved_open(&r, &v->err) < 0 || start(&r, &v->err) < 0) {
		v->error = EXIT_MACHINE;
	} else {
		r.set_off = r.last_activity = now_ns();
		loop(&r);
		conclude(&r);
		saved_end(&r);
	}
	v->wall_ns = now_ns() - r.start;
	v->memory = most_memory();
	sandbox_free(r.sb);
	v->untrapped = v->first.set && !v->cycles && !sandbox_traps_cycles();
	take_usage(v);
	park_free(&r);
	order_free(&r);
	turns_free(&r);
	pace_free(&r);
	shown_free(&r);
	timers_free(&r);
	if (r.live)
		peers_free(&r);
	signals_free(&r);
	reap_free(&r);
	goroutines_free(&r);
	tasks_free(&r);
	streams_free(r.streams);
	saved_free(&r);
	facts_free(&r);
	listing_free(&r);
	looks_at_free(r.looks_at);
	root_free(&r);
	free(r.live);
	free(r.born);
	free(r.paths);
	procs_free(r.procs);
}
