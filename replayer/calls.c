/* SPDX-License-Identifier: Apache-2.0 */
/* One answer per fate of format/syscalls.def. */
#include <linux/types.h>

#include "replayer/replay.h"

#include "format/sha256.h"
#include "format/sysdesc.h"
#include "preload/shim.h"
#include "replayer/seat.h"
#include "replayer/timers.h"

#include <errno.h>
#include <linux/sched.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

void call_go_on(struct call *c, bool matched)
{
	struct gtask *t = c->t->carrier ? c->t->carrier : c->t;

	c->cont = true;
	t->blocked = true;
	t->matched = matched;
	t->since = now_ns();
	if (matched && sc_table[c->nr].fate == SC_WAIT)
		c->t->let_go = c->t->cursor;
}

/* How much of @len bytes the guest has room for behind argument @a: lengths are in and out. */
static size_t room_for(const struct call *c, const struct sc_arg *a, size_t len)
{
	uint32_t room;

	if (a->len != SC_DEREF)
		return len;
	if (guest_read(c->t->tid, c->args[a->len_arg], &room, sizeof(room)) < 0)
		return 0;
	return room < len ? room : len;
}

int give_outputs(struct replay *r, struct call *c, const struct rec_call *rc)
{
	const struct sc_desc *d = &sc_table[c->nr];
	int payload = call_payload_arg(c->nr);

	for (uint32_t i = 0; i < rc->call->nsegs; i++) {
		const struct ev_seg *s = &rc->call->segs[i];
		struct bytes b;
		struct err err = ERR_INIT;

		if (s->arg >= d->nargs || s->arg == payload || !(d->arg[s->arg].flow & SC_OUT) || !c->args[s->arg])
			continue;
		if (recording_bytes(r->rec, s, &b, &err) < 0)
			return -EFAULT;
		b.len = room_for(c, &d->arg[s->arg], b.len);
		if (guest_write(c->t->tid, c->args[s->arg], b.data, b.len) < 0)
			return -EFAULT;
	}
	return 0;
}

/* ---- clocks ------------------------------------------------------------- */

uint32_t call_clock(const struct call *c)
{
	switch (c->nr) {
	case SYS_clock_gettime:
		return (uint32_t)c->args[0];
	case SYS_time:
		return SHIM_SECONDS;
	default:
		return CLOCK_REALTIME;
	}
}

struct clock_question {
	struct streams *streams;
	uint32_t clk;
};

/* role_wanted: the clock's next reading. */
static uint32_t clock_wanted(void *ctx, const struct rec_task *rec, size_t at)
{
	const struct clock_question *q = ctx;
	uint32_t next = streams_next(q->streams, rec->id, q->clk);

	(void)at;
	return next ? next : UINT32_MAX;
}

/* Of a clock that the recording machine had not: the error. */
static int no_clock(const struct replay *r, const struct call *c)
{
	for (size_t i = 0; c->nr == SYS_clock_gettime && i < r->rec->nno_clocks; i++)
		if ((uint32_t)r->rec->no_clocks[i].clock == (uint32_t)c->args[0])
			return (int)r->rec->no_clocks[i].ns;
	return 0;
}

/* gettimeofday's time zone: the kernel's own, which nothing sets. */
static int give_zone(const struct call *c)
{
	return c->args[1] && guest_write(c->t->tid, c->args[1], (int64_t[]){ 0 }, 8) < 0 ? -EFAULT : 0;
}

/* Of the process' own, or a PTP clock: where it was not read then. */
static bool is_unknown(const struct replay *r, const struct call *c)
{
	uint32_t clk = call_clock(c);

	if (c->nr != SYS_clock_gettime || clk < SHIM_CLOCKS || no_clock(r, c))
		return false;
	return clk == SHIM_SECONDS || streams_next(r->streams, c->t->slot, clk) == 0;
}

static void answer_clock(struct replay *r, struct call *c)
{
	struct clock_question q = { r->streams, call_clock(c) };
	uint64_t to = c->nr == SYS_clock_gettime ? c->args[1] : c->args[0];
	int64_t ns, v[2];
	int known;

	if (is_unknown(r, c)) {
		c->cont = true;
		miss(r, "clock %d is not in the capsule", (int)q.clk);
		return;
	}
	c->ret = no_clock(r, c);
	if (c->ret < 0)
		return;
	if (!to && c->nr != SYS_time) {
		c->ret = c->nr == SYS_gettimeofday ? give_zone(c) : -EFAULT;
		return;
	}
	/* What finds no room is no reading. */
	if (to && guest_write(c->t->tid, to, (int64_t[2]){ 0 }, c->nr == SYS_time ? 8 : 16) < 0) {
		c->ret = -EFAULT;
		return;
	}
	if (order_asks(r, c, (int)q.clk))
		return;
	goroutine_asks(r, c->t, (int)q.clk);
	/* A thread that never asked for the time of day does what another did. */
	if (!c->t->goroutine && !c->t->number_at && (q.clk == CLOCK_REALTIME || q.clk == SHIM_SECONDS) &&
	    streams_next(r->streams, c->t->slot, q.clk) == 0)
		role_take(r, c->t, clock_wanted, &q);
	known = streams_take(r->streams, c->t->slot, q.clk, &ns);
	if (known < 0) {
		c->ret = known;
		return;
	}
	v[0] = ns / 1000000000;
	v[1] = ns % 1000000000;
	if (c->nr == SYS_gettimeofday)
		v[1] /= 1000;
	c->ret = c->nr == SYS_time ? v[0] : 0;
	if (to)
		guest_write(c->t->tid, to, v, c->nr == SYS_time ? 8 : 16);
	if (c->nr == SYS_gettimeofday && give_zone(c) < 0)
		c->ret = -EFAULT;
	if (seat_marked(c->args) && c->t->goroutine)
		goroutine_register(r, c->t);
	else if (seat_marked(c->args))
		task_serve(r, c->t);
}

/* ---- randomness ----------------------------------------------------------- */

void make_random(struct replay *r, struct gtask *t, uint8_t *buf, size_t len)
{
	uint64_t block[7] = { r->random_seed[0], r->random_seed[1], r->random_seed[2], r->random_seed[3],
			      t->rec ? t->rec->id : 0, t->slot, 0 };
	uint8_t hash[SHA256_LEN];

	for (size_t done = 0; done < len; done += sizeof(hash)) {
		block[6] = t->generated++;
		sha256_of(block, sizeof(block), hash);
		memcpy(buf + done, hash, len - done < sizeof(hash) ? len - done : sizeof(hash));
	}
}

static size_t recorded_random(struct replay *r, struct gtask *t, uint8_t *buf, size_t len)
{
	size_t done = 0;

	goroutine_asks(r, t, -1);
	while (t->rec && done < len) {
		const struct bytes *b = recording_random_at(r->rec, t->rec, t->random_part);
		size_t n;

		if (!b)
			break;
		n = b->len - t->random_off < len - done ? b->len - t->random_off : len - done;
		memcpy(buf + done, b->data + t->random_off, n);
		done += n;
		t->random_off += n;
		if (t->random_off == b->len) {
			t->random_part++;
			t->random_off = 0;
		}
	}
	return done;
}

static void answer_random(struct replay *r, struct call *c)
{
	uint64_t len = c->args[1] < GUEST_MAX_CALL ? c->args[1] : GUEST_MAX_CALL;
	uint8_t buf[4096] = { 0 };

	/* Flags that make no sense; what finds no room takes none. */
	if (((uint32_t)c->args[2] & ~7u) || (c->args[2] & 6) == 6 ||
	    (len && guest_write(c->t->tid, c->args[0], buf, len < sizeof(buf) ? len : sizeof(buf)) < 0)) {
		c->cont = true;
		return;
	}
	if (order_asks(r, c, -1))
		return;
	for (uint64_t done = 0; done < len;) {
		size_t n = len - done < sizeof(buf) ? len - done : sizeof(buf);
		size_t known = recorded_random(r, c->t, buf, n);

		if (known < n) {
			make_random(r, c->t, buf + known, n - known);
			miss(r, "getrandom: %zu bytes beyond the recorded ones", n - known);
		}
		if (guest_write(c->t->tid, c->args[0] + done, buf, n) < 0) {
			c->ret = -EFAULT;
			return;
		}
		done += n;
	}
	c->ret = (int64_t)len;
	r->v->served++;
}

/* ---- identity and other answers served whole ------------------------------ */

/* SIOCGIFCONF's list lies behind a pointer in its struct ifconf: the second element of the argument (netdevice(7)). */
static int give_ifconf(struct replay *r, struct call *c, const struct rec_call *rc)
{
	struct ifconf now, *then;

	if (guest_read(c->t->tid, c->args[2], &now, sizeof(now)) < 0)
		return -EFAULT;
	for (uint32_t i = 0; i < rc->call->nsegs; i++) {
		const struct ev_seg *s = &rc->call->segs[i];
		struct bytes b;
		struct err err = ERR_INIT;

		if (s->arg != 2 || recording_bytes(r->rec, s, &b, &err) < 0)
			continue;
		then = (struct ifconf *)b.data;
		if (s->index == 0 && b.len >= sizeof(then->ifc_len))
			guest_write(c->t->tid, c->args[2], b.data, sizeof(then->ifc_len));
		else if (now.ifc_buf && now.ifc_len > 0)
			guest_write(c->t->tid, (uint64_t)now.ifc_buf, b.data, b.len < (size_t)now.ifc_len ? b.len : (size_t)now.ifc_len);
	}
	return 0;
}

static void give_answer(struct replay *r, struct call *c, const struct rec_call *rc)
{
	bool ifconf = c->nr == SYS_ioctl && (uint32_t)c->args[1] == SIOCGIFCONF;

	c->ret = rc->call->ret;
	if ((ifconf && c->ret >= 0 ? give_ifconf(r, c, rc) : give_outputs(r, c, rc)) < 0 && c->ret >= 0)
		c->ret = -EFAULT;
	r->v->served++;
}

/* A question about a fd is for us only if the fd leads outside. */
static void answer_about_fd(struct replay *r, struct call *c, int fd)
{
	const struct rec_call *rc;
	struct socket_kind kind;
	struct live *l;
	struct stat st;

	l = object_of_fd(r, c, fd, &st, &kind);
	rc = l || kind.family ? match_call(r, c, l, &kind) : NULL;
	if (!rc) {
		c->cont = true;
		return;
	}
	if (!l)
		adopt(r, c, fd, rc, &st);
	/* An ioctl that gives nothing does something: FIONBIO. */
	if (c->nr == SYS_ioctl && rc->call->ret >= 0 && !sc_ioctl_size((uint32_t)c->args[1]))
		c->cont = true;
	else
		give_answer(r, c, rc);
}

/* Is it about capabilities, which a replay has none of? */
static bool is_privilege(const struct call *c)
{
	switch ((int)c->args[0]) {
	case PR_GET_KEEPCAPS: case PR_SET_KEEPCAPS: case PR_GET_SECUREBITS: case PR_SET_SECUREBITS:
	case PR_CAPBSET_READ: case PR_CAPBSET_DROP: case PR_CAP_AMBIENT:
		return true;
	}
	return false;
}

static bool is_limit(const struct call *c)
{
	return c->nr == SYS_getrlimit || c->nr == SYS_setrlimit || c->nr == SYS_prlimit64;
}

/* The limit that was set holds in the replay, too, below the hard one that the guest has. */
static void apply_limit(struct replay *r, const struct call *c)
{
	unsigned int pid = c->nr == SYS_prlimit64 ? (unsigned int)c->args[0] : 0, first = c->nr == SYS_prlimit64;
	uint64_t from = c->args[first + 1];
	struct rlimit want, have;
	pid_t tgid = pid ? 0 : c->t->tgid;

	if (c->nr == SYS_getrlimit || c->ret != 0 || !from || guest_read(c->t->tid, from, &want, sizeof(want)) < 0)
		return;
	for (const struct gtask *t = r->tasks; pid && t; t = t->next)
		if (t->rec && t->rec->pid == pid)
			tgid = t->tgid;
	if (!tgid || prlimit(tgid, (int)c->args[first], NULL, &have) < 0)
		return;
	want.rlim_max = want.rlim_max < have.rlim_max ? want.rlim_max : have.rlim_max;
	want.rlim_cur = want.rlim_cur < want.rlim_max ? want.rlim_cur : want.rlim_max;
	prlimit(tgid, (int)c->args[first], &want, NULL);
}

static void answer_serve(struct replay *r, struct call *c)
{
	int fd = sc_table[c->nr].fd;
	const struct rec_call *rc;

	if (fd) {
		answer_about_fd(r, c, (int)c->args[fd - 1]);
		return;
	}
	/* The sandbox's init has the guest's user, which is all that the kernel asks for here. */
	if (c->nr == SYS_prlimit64 && c->args[0] == 1) {
		c->ret = -EPERM;
		return;
	}
	if (start_up_drops(r, c))
		return;
	rc = match_call(r, c, NULL, NULL);
	if (c->nr == SYS_prctl && !is_privilege(c)) {
		c->cont = true;
		return;
	}
	/* The threads of a runtime are not those that were recorded. */
	if (!rc && !(c->t->number_at && c->nr == SYS_gettid))
		rc = match_any(r, c);
	if (rc) {
		give_answer(r, c, rc);
		if (is_limit(c))
			apply_limit(r, c);
		return;
	}
	c->cont = true;
	if (is_limit(c) || c->t->number_at)
		return;		/* the sandbox has those that were recorded */
	miss(r, "%s was not recorded: this machine's answer", sc_name(c->nr));
}

/* ---- signals ----------------------------------------------------------------- */

/* Had the recording's scope a process or thread @pid? Or is it the group that it runs in? */
static bool is_inside(const struct replay *r, uint32_t pid)
{
	for (size_t i = 1; i < r->rec->ntasks; i++)
		if (r->rec->tasks[i].pid == pid || r->rec->tasks[i].tid == pid)
			return true;
	return pid == r->rec->m->pgid;
}

/* Whom it was for then is nobody's here: what became of it is all that there is. */
static void answer_signal(struct replay *r, struct call *c)
{
	int32_t whom = (int32_t)c->args[0];
	const struct rec_call *rc;

	if (whom == 0 || whom == -1 || is_inside(r, whom > 0 ? (uint32_t)whom : 0u - (uint32_t)whom)) {
		c->cont = true;
		return;
	}
	rc = match_call(r, c, NULL, NULL);
	if (rc) {
		c->ret = rc->call->ret;
		r->v->served++;
		return;
	}
	c->cont = true;
	miss(r, "%s: process %d is outside, and what became of a signal to it was not recorded", sc_name(c->nr), whom);
}

/* ---- tasks ------------------------------------------------------------------ */

static void answer_fork(struct replay *r, struct call *c)
{
	const struct rec_call *rc;
	uint64_t flags = 0;

	if (c->nr == SYS_clone)
		flags = c->args[0];
	else if (c->nr == SYS_clone3 && guest_read(c->t->tid, c->args[0], &flags, sizeof(flags)) < 0)
		flags = 0;
	/* A user namespace of its own would give the guest capabilities in it. */
	if (flags & (CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP)) {
		c->ret = -EPERM;
		return;
	}
	c->t->makes_thread = flags & CLONE_THREAD;
	/* What a limit of the recording machine did not allow then is not allowed now. */
	rc = match_call(r, c, NULL, NULL);
	if (rc)
		c->ret = rc->call->ret;
	else if (limits_forbid_task(r))
		c->ret = -EAGAIN;
	else
		order_fork(r, c);
}

void call_answer(struct replay *r, struct call *c)
{
	r->asking = c->t;
	c->t->blocked = false;
	if (c->t->carrier)
		c->t->carrier->blocked = false;
	pace_forget(r, c->t);
	c->t->limited = 0;
	c->t->taken[sc_takes(c->nr)]++;
	order_forked(r, c->t);
	switch (sc_table[c->nr].fate) {
	case SC_CLOCK:
		answer_clock(r, c);
		return;
	case SC_RANDOM:
		answer_random(r, c);
		return;
	case SC_SERVE:
		answer_serve(r, c);
		return;
	case SC_READ:
		answer_read(r, c);
		return;
	case SC_WRITE:
		answer_write(r, c);
		return;
	case SC_WAIT:
		answer_wait(r, c);
		return;
	case SC_SLEEP:
		answer_sleep(r, c);
		return;
	case SC_TIMER:
		answer_timer(r, c);
		return;
	case SC_SIGNAL:
		answer_signal(r, c);
		return;
	case SC_REAP:
		answer_reap(r, c);
		return;
	case SC_NET:
		answer_net(r, c);
		return;
	case SC_OWNER:
	case SC_LOOK:
		answer_look(r, c);
		return;
	case SC_OPEN:
		if (!answer_open(r, c) && !answer_named(r, c) && !answer_failure(r, c))
			c->cont = true;
		return;
	case SC_PATH:
	case SC_RUN:
	case SC_FD:
		if (!answer_failure(r, c))
			c->cont = true;
		return;
	case SC_TASK:
		answer_fork(r, c);
		return;
	default:
		c->ret = -ENOSYS;
		miss(r, "%s can't be replayed", sc_name(c->nr) ?: "an unknown system call");
	}
}
