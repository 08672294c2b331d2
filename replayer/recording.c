/* SPDX-License-Identifier: Apache-2.0 */
#include "replayer/window.h"

#include "format/cleanup.h"
#include "preload/shim.h"
#include "sandbox/sandbox.h"

#include <errno.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

int grow(void **array, size_t n, size_t size)
{
	void *bigger;

	if (n & (n - 1))
		return 0;
	bigger = reallocarray(*array, n ? n * 2 : 1, size);
	if (!bigger)
		return -ENOMEM;
	*array = bigger;
	return 0;
}

/* ---- calls ------------------------------------------------------------------- */

int recording_bytes(struct recording *r, const struct ev_seg *seg, struct bytes *ret, struct err *err)
{
	(void)r;
	/* Blobs were loaded with their calls. */
	if (!seg->data && seg->len)
		return err_set(err, ENOENT, "bytes that are not there");
	*ret = (struct bytes){ seg->data, seg->len };
	return 0;
}

bool is_anytime(const struct rec_object *o)
{
	return o->o && o->o->kind == OBJ_SYNTH;
}

uint32_t reaped_child(const struct ev_call *c)
{
	enum { SI_PID = 16 };	/* in siginfo_t */
	const struct ev_seg *s = c->nr == SYS_waitid ? call_seg(c, 2) : NULL;
	int32_t pid = 0;

	if (c->nr == SYS_wait4)
		return c->ret > 0 ? (uint32_t)c->ret : 0;
	if (c->ret == 0 && s && s->data && s->len >= SI_PID + sizeof(pid))
		memcpy(&pid, s->data + SI_PID, sizeof(pid));
	return pid > 0 ? (uint32_t)pid : 0;
}

bool reaps_any(const struct ev_call *c)
{
	return c->nr == SYS_wait4 ? (int32_t)c->args[0] <= 0 : (uint32_t)c->args[0] == P_ALL || (uint32_t)c->args[0] == P_PGID;
}

bool is_cut_off(const struct rec_task *t, size_t i)
{
	const struct rec_call *rc = task_call(t, i), *before = i ? task_call(t, i - 1) : NULL;

	if (!rc || !rc->call || rc->call->ret != -EINTR || (before && before->signal))
		return false;
	return sc_table[rc->call->nr].fate == SC_WAIT || sc_table[rc->call->nr].fate == SC_SLEEP;
}

const struct rec_call *task_surely(const struct rec_task *t, size_t i)
{
	const struct rec_call *rc;

	while ((rc = task_call(t, i)) && rc->call &&
	       (is_cut_off(t, i) || (sc_table[rc->call->nr].fate == SC_REAP && !reaped_child(rc->call))))
		i++;
	return rc;
}

struct bytes call_payload(const struct recording *r, const struct ev_call *c)
{
	int arg = call_payload_arg(c->nr);
	const struct ev_seg *seg = arg < 0 ? NULL : call_seg(c, (uint8_t)arg);

	(void)r;
	return seg ? (struct bytes){ seg->data, seg->len } : (struct bytes){ NULL, 0 };
}

bool is_runtimes(const struct recording *r, const struct rec_task *t, const struct ev_call *c)
{
	int fate = sc_table[c->nr].fate;

	if (!r->tasks[t->process].managed)
		return false;
	if (t->goroutine && c->ret == -EAGAIN && (fate == SC_READ || fate == SC_WRITE || is_accept(c)))
		return true;
	if (!t->goroutine)
		return fate == SC_CLOCK || fate == SC_WAIT || fate == SC_SLEEP || fate == SC_TIMED || (fate == SC_SERVE && !c->obj);
	return fate == SC_TIMED;
}

uint32_t task_of_signal(const struct recording *r, const struct rec_task *t)
{
	return r->tasks[t->process].managed ? t->process : t->id;
}

bool is_look(const struct ev_call *c)
{
	int fate = sc_table[c->nr].fate;

	return fate == SC_LOOK || fate == SC_OWNER || (fate == SC_OPEN && (c->flags & CALL_WHOLE));
}

bool is_asked(const struct ev_call *c)
{
	if (is_look(c))
		return false;
	return (call_seg(c, SEG_PLACE) && sc_table[c->nr].fate != SC_TASK) || sc_table[c->nr].fate == SC_SIGNAL ||
	       filter_notifies(c->nr);
}

static bool is_peek(const struct ev_call *c)
{
	if (c->nr == SYS_recvfrom || c->nr == SYS_recvmmsg)
		return c->args[3] & MSG_PEEK;
	return c->nr == SYS_recvmsg && (c->args[2] & MSG_PEEK);
}

bool is_taken(const struct ev_call *c)
{
	return c->ret >= 0 && !is_peek(c);
}

bool is_accept(const struct ev_call *c)
{
	return (c->nr == SYS_accept || c->nr == SYS_accept4) && c->obj;
}

bool stays_when_inner(unsigned int nr)
{
	return nr == SYS_connect || nr == SYS_bind;
}

bool is_before(const struct rec_task *t, bool *begun, const struct ev_call *c)
{
	int fate = sc_table[c->nr].fate;

	if (t->here && !*begun)
		*begun = fate == SC_WAIT || fate == SC_SLEEP || is_accept(c) || (fate == SC_READ && c->obj);
	return t->here && !*begun;
}

bool answers_before(const struct rec_object *o, size_t arrivals, const struct ev_call *c)
{
	return o->here && o->accepted && !arrivals && sc_table[c->nr].fate == SC_WRITE;
}

bool clock_of(const struct ev_call *c, struct rec_clock *k)
{
	bool is_timeval = c->nr == SYS_gettimeofday;
	const struct ev_seg *seg;
	uint64_t v[2];

	if (c->ret < 0)
		return false;
	k->clock = c->nr == SYS_time ? SHIM_SECONDS : CLOCK_REALTIME;
	if (c->nr == SYS_time) {
		k->ns = (int64_t)((uint64_t)c->ret * 1000000000);
		return true;
	}
	seg = call_seg(c, is_timeval ? 0 : 1);
	if (!seg || !seg->data || seg->len < sizeof(v))
		return false;	/* gettimeofday(NULL, tz) */
	memcpy(v, seg->data, sizeof(v));
	k->ns = (int64_t)(v[0] * 1000000000 + v[1] * (is_timeval ? 1000 : 1));
	if (!is_timeval)
		k->clock = (int32_t)c->args[0];
	return true;
}

struct bytes sender_of(const struct ev_call *c)
{
	const struct ev_seg *seg = call_seg(c, SEG_REMOTE);

	if (!seg && c->nr == SYS_recvfrom)
		seg = call_seg(c, 4);
	return seg ? (struct bytes){ seg->data, seg->len } : (struct bytes){ NULL, 0 };
}

/* ---- copies of calls ------------------------------------------------------------ */

/* A call with just the segments that it has. */
static size_t head_bytes(const struct ev_call *c)
{
	return offsetof(struct ev_call, segs) + c->nsegs * sizeof(c->segs[0]);
}

size_t call_room(const struct ev_call *c)
{
	size_t n = head_bytes(c);

	for (uint32_t i = 0; i < c->nsegs; i++)
		n += c->segs[i].len;
	return n;
}

struct blob_room {
	uint8_t *at;
	size_t left;
};

static int take_blob(void *ctx, const void *data, size_t len, struct err *err)
{
	struct blob_room *b = ctx;

	if (len > b->left)
		return err_set(err, EBADMSG, "a blob that is longer than said");
	memcpy(b->at, data, len);
	b->at += len;
	b->left -= len;
	return 0;
}

int call_copy(struct recording_private *p, const struct ev_call *c, uint8_t *room, const struct ev_call **ret, struct err *err)
{
	struct ev_call *copy = (struct ev_call *)room;
	uint8_t *at = room + head_bytes(c);

	memcpy(copy, c, head_bytes(c));
	for (uint32_t i = 0; i < c->nsegs; i++) {
		struct ev_seg *s = &copy->segs[i];
		struct blob_room b = { at, s->len };

		if (!s->len)
			continue;
		if (s->data)
			take_blob(&b, s->data, s->len, err);
		else if (capsule_blob(p->r.reader, s->sha256, take_blob, &b, err) < 0)
			return -err->code;
		if (b.left)
			return err_set(err, EBADMSG, "a blob that is shorter than said");
		s->data = at;
		at += s->len;
	}
	*ret = copy;
	return 0;
}

/* ---- loading --------------------------------------------------------------------- */

static int by_path(const void *a, const void *b)
{
	const struct ev_file *const *x = a, *const *y = b;

	return strcmp((*x)->path, (*y)->path);
}

/* Parents before what is in them; of several descriptions of a path the last. glibc's qsort is a stable merge sort. */
static void sort_files(struct recording *r)
{
	size_t n = 0;

	if (!r->nfiles)
		return;
	qsort(r->files, r->nfiles, sizeof(*r->files), by_path);
	for (size_t i = 0; i < r->nfiles; i++) {
		if (i + 1 < r->nfiles && strcmp(r->files[i]->path, r->files[i + 1]->path) == 0)
			continue;
		r->files[n++] = r->files[i];
	}
	r->nfiles = n;
}

void recording_free(struct recording *r)
{
	struct recording_private *p = private_of(r);

	if (!r)
		return;
	window_free(p);
	for (size_t i = 0; i < r->ntasks; i++) {
		free(r->tasks[i].children);
		free(r->tasks[i].execs);
		free(r->tasks[i].clocks);
		free(r->tasks[i].waits.ring);
	}
	for (size_t i = 0; i < r->nobjects; i++)
		free(r->objects[i].tallies);
	while (p->facts) {
		struct piece *next = p->facts->next;

		free(p->facts);
		p->facts = next;
	}
	looks_free(r->looks);
	free(r->tasks);
	free(r->objects);
	free(r->answers);
	free(r->no_clocks);
	free(r->files);
	free(r->outputs);
	free(r->holes);
	capsule_reader_close(r->reader);
	free(p->named);
	free(p);
}

static void cleanup_recording(struct recording **r) { recording_free(*r); }

/* A name of uname(2): a 32-bit personality calls this machine by its own. */
static bool is_x86(const char *machine)
{
	return strcmp(machine, "x86_64") == 0 || (machine[0] == 'i' && strcmp(machine + 2, "86") == 0);
}

static int check_machine(const struct manifest *m, const char *path, struct err *err)
{
	struct utsname here;

	uname(&here);
	if (strcmp(m->machine, here.machine) == 0 || (is_x86(m->machine) && is_x86(here.machine)))
		return 0;
	return err_set(err, EINVAL, "'%s' was recorded on %s, and this machine is %s: replay it on one of its own architecture", path, m->machine,
		       here.machine);
}

int recording_load(struct recording **ret, const char *path, struct err *err)
{
	struct recording_private *p = calloc(1, sizeof(*p));
	const char *why = "";

	if (!p)
		return err_set(err, ENOMEM, "out of memory");
	_cleanup_(cleanup_recording) struct recording *r = &p->r;
	if (looks_new(&r->looks) < 0)
		return err_set(err, ENOMEM, "out of memory");
	if (capsule_reader_open(&r->reader, path, 0, err) < 0)
		return -err->code;
	if (!capsule_complete(r->reader, &why))
		return err_set(err, EBADMSG, "'%s' is cut short (%s): a replay needs it whole; record again", path, why);
	r->m = capsule_manifest(r->reader);
	r->attached = r->m->attached && r->m->attached[0];
	if (r->m->replay_of && r->m->replay_of[0])
		return err_set(err, EINVAL, "'%s' is what a replay saw, there is nothing in it to replay from (capsule show, diff read it)", path);
	if (check_machine(r->m, path, err) < 0)
		return -err->code;
	r->end = capsule_end(r->reader);
	if (survey(p, err) < 0)
		return err_in(err, "'%s'", path);
	if (r->ntasks < 2 || !r->tasks[1].nexecs)
		return err_set(err, EBADMSG, "'%s' holds no program: its command never started", path);
	r->tasks[1].pid = r->tasks[1].tid = r->m->pid;
	sort_files(r);
	*ret = TAKE_PTR(r);
	return 0;
}
