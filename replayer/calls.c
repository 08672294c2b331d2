/* SPDX-License-Identifier: Apache-2.0 */
/* One answer per fate of format/syscalls.def. */
#include <linux/types.h>

#include "replayer/replay.h"

#include "format/sha256.h"
#include "format/sysdesc.h"
#include "preload/shim.h"
#include "replayer/inject.h"

#include <errno.h>
#include <linux/sched.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

void call_go_on(struct call *c, bool matched)
{
	c->cont = true;
	c->t->blocked = true;
	c->t->matched = matched;
	c->t->since = now_ns();
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

static bool stops(int signo)
{
	return signo == SIGSTOP || signo == SIGTSTP || signo == SIGTTIN || signo == SIGTTOU;
}

void signals_due(struct gtask *t)
{
	const struct ev_signal *s = t->rec && t->cursor < t->rec->ncalls ? t->rec->calls[t->cursor].signal : NULL;

	/* Stopped, it would never make the call before which its SIGCONT came; and a stop shows nowhere but in time. */
	if (s && s->signo > 0 && s->signo < 65 && !stops(s->signo))
		syscall(SYS_tgkill, t->tgid, t->tid, s->signo);
}

/* ---- clocks ------------------------------------------------------------- */

/* role_wanted: the clock's next reading. */
static uint32_t clock_wanted(void *ctx, const struct rec_task *rec, size_t at)
{
	uint32_t next = streams_next(ctx, rec->id, CLOCK_REALTIME);

	(void)at;
	return next ? next : UINT32_MAX;
}

static void answer_clock(struct replay *r, struct call *c)
{
	uint32_t clk = c->nr == SYS_clock_gettime ? (uint32_t)c->args[0] : CLOCK_REALTIME;
	uint64_t to = c->nr == SYS_clock_gettime ? c->args[1] : c->args[0], fsbase;
	int64_t ns, v[2];
	int known, slot;

	if (clk >= SHIM_CLOCKS) {	/* another process's processor time, a PTP clock */
		c->cont = true;
		miss(r, "clock %d is not in the capsule", (int)clk);
		return;
	}
	if (!to && c->nr != SYS_time) {
		c->ret = c->nr == SYS_gettimeofday ? 0 : -EFAULT;
		return;
	}
	/* A thread that never asked for the time of day does what another did. */
	if (clk == CLOCK_REALTIME && streams_next(r->streams, c->t->slot, clk) == 0)
		role_take(r, c->t, clock_wanted, r->streams);
	known = streams_take(r->streams, c->t->slot, clk, &ns);
	if (known < 0) {
		c->ret = known;
		return;
	}
	v[0] = ns / 1000000000;
	v[1] = ns % 1000000000;
	if (c->nr == SYS_gettimeofday)
		v[1] /= 1000;
	c->ret = c->nr == SYS_time ? v[0] : 0;
	if (to && guest_write(c->t->tid, to, v, c->nr == SYS_time ? 8 : 16) < 0)
		c->ret = -EFAULT;
	if (c->nr == SYS_gettimeofday && c->args[1])
		guest_write(c->t->tid, c->args[1], (int64_t[]){ 0 }, 8);
	if (inject_marked(c->args, &fsbase)) {
		c->t->fsbase = fsbase;
		slot = streams_slot(r->streams, c->t->slot);
		if (slot >= 0)
			inject_register(c->t->tgid, fsbase, (uint32_t)slot);
	}
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

static size_t recorded_random(struct gtask *t, uint8_t *buf, size_t len)
{
	size_t done = 0;

	while (t->rec && done < len && t->random_part < t->rec->nrandom) {
		struct bytes b = t->rec->random[t->random_part];
		size_t n = b.len - t->random_off < len - done ? b.len - t->random_off : len - done;

		memcpy(buf + done, b.data + t->random_off, n);
		done += n;
		t->random_off += n;
		if (t->random_off == b.len) {
			t->random_part++;
			t->random_off = 0;
		}
	}
	return done;
}

static void answer_random(struct replay *r, struct call *c)
{
	uint64_t len = c->args[1] < GUEST_MAX_CALL ? c->args[1] : GUEST_MAX_CALL;
	uint8_t buf[4096];

	for (uint64_t done = 0; done < len;) {
		size_t n = len - done < sizeof(buf) ? len - done : sizeof(buf);
		size_t known = recorded_random(c->t, buf, n);

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
	if (c->ret >= 0 && (ifconf ? give_ifconf(r, c, rc) : give_outputs(r, c, rc)) < 0)
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

static void answer_serve(struct replay *r, struct call *c)
{
	int fd = sc_table[c->nr].fd;
	const struct rec_call *rc;

	if (fd) {
		answer_about_fd(r, c, (int)c->args[fd - 1]);
		return;
	}
	rc = match_call(r, c, NULL, NULL);
	if (!rc)
		rc = match_any(r, c);
	if (rc) {
		give_answer(r, c, rc);
		return;
	}
	c->cont = true;
	miss(r, "%s was not recorded: this machine's answer", sc_name(c->nr));
}

/* ---- tasks ------------------------------------------------------------------ */

static void answer_fork(struct replay *r, struct call *c)
{
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
	order_fork(r, c);
}

void call_answer(struct replay *r, struct call *c)
{
	c->t->blocked = false;
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
	case SC_NET:
		answer_net(r, c);
		return;
	case SC_OPEN:
	case SC_PATH:
	case SC_RUN:
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
