/* SPDX-License-Identifier: Apache-2.0 */
#include <linux/types.h>

#include "recorder/armed.h"

#include "format/cleanup.h"
#include "format/io.h"
#include "recorder/again.h"
#include "recorder/attach.h"
#include "recorder/blind.h"
#include "recorder/container.h"
#include "recorder/files.h"
#include "recorder/identity.h"
#include "recorder/inside.h"
#include "recorder/kernel.h"
#include "recorder/map.h"
#include "recorder/objects.h"
#include "recorder/patch.h"
#include "recorder/proc.h"
#include "recorder/spawn.h"
#include "recorder/tasks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_FILES = 20000 };	/* that a scope may use */

struct armed_scope {
	struct recording r;
	struct record_opts opts;
	struct attached *attached;
	struct manifest *manifest;
	struct inside *inside;	/* its root directory is another than ours */
	char **argv, *cgroup, *what;
	pid_t pid;		/* opts' */
	uint32_t number;
	enum armed_level level;
	struct armed_scope *next;
};

struct armed {
	struct kernel *kernel;
	struct guard *guard;
	struct patches *patches;
	struct record_opts opts;
	struct map by_tid;	/* → struct armed_scope */
	struct armed_scope *scopes;
	uint64_t used[REC_SCOPES / 64];	/* numbers of scopes; 0 is nobody's */
	uint64_t strays;
};

/* ---- records, to the scopes that they are of ------------------------------------------ */

static uint32_t status_number(const char *text, const char *key)
{
	const char *at = strstr(text, key);

	return at ? (uint32_t)strtoul(at + strlen(key), NULL, 10) : 0;
}

/* Of a thread whose fork was lost: that of its process or of its parent. */
static struct armed_scope *scope_of_stranger(struct armed *a, uint32_t tid)
{
	_cleanup_free_ char *text = NULL;
	struct armed_scope *s;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%u/status", tid);
	if (io_slurp(path, 1 << 20, &text, NULL) < 0)
		return NULL;
	s = map_get(&a->by_tid, status_number(text, "\nTgid:"), 0);
	if (!s)
		s = map_get(&a->by_tid, status_number(text, "\nPPid:"), 0);
	if (s)
		map_put(&a->by_tid, tid, 0, s);
	return s;
}

/* Nobody else would continue who waits for us. */
static void let_go(const struct rec_hdr *h, size_t len)
{
	const struct rec_task *t = (const void *)h;

	if (h->type == REC_EXEC && len >= sizeof(*t) && t->exec.stopped)
		guard_continue(h->tid);
}

static void follow(struct armed *a, struct armed_scope *s, const struct rec_task *t)
{
	switch (t->h.type) {
	case REC_FORK:
		map_put(&a->by_tid, t->fork.child, 0, s);
		break;
	case REC_EXEC:
		map_take(&a->by_tid, t->exec.old_tid, 0);
		map_put(&a->by_tid, t->h.tid, 0, s);
		break;
	case REC_EXIT:
		map_take(&a->by_tid, t->h.tid, 0);
		break;
	}
}

static int on_record(void *ctx, void *data, size_t len)
{
	const struct rec_hdr *h = data;
	struct armed *a = ctx;
	struct armed_scope *s;

	if (len < sizeof(*h))
		return 0;
	s = map_get(&a->by_tid, h->tid, 0);
	if (!s && h->type != REC_EXIT)
		s = scope_of_stranger(a, h->tid);
	if (!s) {
		a->strays++;
		let_go(h, len);
		return 0;
	}
	assemble_feed(s->r.assembler, data, len);
	if (len >= sizeof(struct rec_task))
		follow(a, s, data);
	return 0;
}

int armed_look(struct armed *a)
{
	int n = kernel_consume(a->kernel, on_record, a);

	return n < 0 ? 0 : n;
}

int armed_rest(struct armed *a)
{
	int n = kernel_rest(a->kernel);

	return n < 0 ? 0 : n;
}

int armed_fd(const struct armed *a)
{
	return kernel_fd(a->kernel);
}

uint64_t armed_lost(const struct armed *a)
{
	return kernel_lost(a->kernel);
}

/* ---- scopes ------------------------------------------------------------------------------ */

static uint32_t free_number(struct armed *a)
{
	for (uint32_t i = 1; i < REC_SCOPES; i++)
		if (!(a->used[i / 64] & 1ull << (i % 64))) {
			a->used[i / 64] |= 1ull << (i % 64);
			return i;
		}
	return 0;
}

static void scope_free(struct armed_scope *s)
{
	if (!s)
		return;
	s->r.patches = NULL;	/* not ours alone */
	attach_end(s->attached);
	assembler_free(s->r.assembler);
	tasks_forget(s->r.tasks);
	objects_free(s->r.objects);
	files_free(s->r.files);
	sources_free(s->r.sources);
	again_free(s->r.again);
	manifest_free(s->manifest);
	for (char **w = s->argv; w && *w; w++)
		free(*w);
	free(s->argv);
	free(s->cgroup);
	free(s->what);
	inside_free(s->inside);
	free(s);
}
static void cleanup_scope(struct armed_scope **s) { scope_free(*s); }

/* An image that can't be described is as one that is not known: a hole, and the replay has to be told one. */
static int find_inside(struct armed_scope *s, const struct armed_what *w, struct err *err)
{
	const struct found_container *c = w->container;
	struct err why = ERR_INIT;
	char name[600];

	if (!c && proc_same_root(w->root))
		return 0;
	if (c)
		snprintf(name, sizeof(name), "%s %.500s", c->engine, c->name);
	if (c && c->image[0] && inside_new(&s->inside, name, c->image, c->called[0] ? c->called : NULL, &why) == 0)
		return inside_enter(s->inside, w->root, &s->opts, err);
	if (inside_new(&s->inside, c ? name : w->what, NULL, NULL, err) < 0)
		return -err->code;
	return inside_enter(s->inside, w->root, &s->opts, err);
}

static int describe(struct armed_scope *s, const struct armed_what *w, struct err *err)
{
	s->pid = w->root;
	s->argv = identity_argv(w->root);
	s->what = strdup(w->what);
	s->cgroup = w->container ? strdup(w->container->cgroup) : NULL;
	if (!s->argv || !s->argv[0])
		return err_set(err, ESRCH, "process %d is gone, or was not started by a command", (int)w->root);
	if (!s->what || (w->container && !s->cgroup))
		return err_set(err, ENOMEM, "out of memory");
	s->opts = (struct record_opts){
		.attach = { .pids = &s->pid, .npids = 1, .cgroup = s->cgroup, .what = s->what, .causal = w->causal },
		.watches = true, .argv = s->argv, .rootfs = "/", .snapshot_limit = w->snapshot_limit, .io_uring = true,
	};
	s->level = w->level;
	if (find_inside(s, w, err) < 0)
		return -err->code;
	return identity_of(&s->manifest, w->root, &s->opts, err);
}

static int make_parts(struct armed *a, struct armed_scope *s, struct err *err)
{
	struct recording *r = &s->r;

	r->opts = &s->opts;
	r->kernel = a->kernel;
	r->guard = a->guard;
	r->patches = s->opts.attach.causal ? NULL : a->patches;
	if (tasks_new(&r->tasks, err) < 0 || objects_new(&r->objects, err) < 0 || files_new(&r->files, err) < 0 ||
	    sources_new(&r->sources, err) < 0 || again_new(&r->again, err) < 0 || assembler_new(&r->assembler, &call_ops, r, err) < 0)
		return -err->code;
	tasks_may_forget(r->tasks);
	files_at_most(r->files, MAX_FILES);
	return 0;
}

static void enter_task(void *ctx, const struct task *t)
{
	struct armed *a = ((void **)ctx)[0];

	map_put(&a->by_tid, t->tid, 0, ((void **)ctx)[1]);
}

static void enter_all(struct armed *a, struct armed_scope *s)
{
	tasks_each(s->r.tasks, enter_task, (void *[]){ a, s });
}

int armed_add(struct armed *a, struct armed_scope **ret, const struct armed_what *w, struct err *err)
{
	_cleanup_(cleanup_scope) struct armed_scope *s = calloc(1, sizeof(*s));

	if (!s)
		return err_set(err, ENOMEM, "out of memory");
	if (describe(s, w, err) < 0)
		return -err->code;
	if (!s->opts.attach.causal && !a->patches && patches_new(&a->patches, err) < 0)
		return -err->code;
	if (make_parts(a, s, err) < 0)
		return -err->code;
	s->number = free_number(a);
	if (!s->number)
		return err_set(err, EMFILE, "more than %d scopes", REC_SCOPES - 1);
	s->r.sink = w->event;
	s->r.sink_ctx = w->ctx;
	kernel_new_scope(a->kernel, s->number);
	kernel_level(a->kernel, s->number, (uint32_t)w->level);
	files_begin(&s->r);
	if (attach_all(&s->attached, &s->r, a->kernel, w->root, err) < 0) {
		kernel_level(a->kernel, s->number, ARMED_NOTHING);
		return -err->code;
	}
	enter_all(a, s);
	s->next = a->scopes;
	a->scopes = s;
	*ret = TAKE_PTR(s);
	return 0;
}

static void leave_task(void *ctx, const struct task *t)
{
	struct armed *a = ctx;

	map_take(&a->by_tid, t->tid, 0);
	if (t->tid != t->tgid)
		return;
	guard_remove(a->guard, (pid_t)t->tgid);
	if (a->patches)
		patch_undo(a->patches, (pid_t)t->tgid);
}

/* Its number is not given again: threads of it may still be in the kernel's table. */
void armed_remove(struct armed *a, struct armed_scope *s)
{
	struct armed_scope **at = &a->scopes;

	kernel_level(a->kernel, s->number, ARMED_NOTHING);
	if (!armed_lives(s))
		a->used[s->number / 64] &= ~(1ull << (s->number % 64));
	tasks_each(s->r.tasks, leave_task, a);
	while (*at && *at != s)
		at = &(*at)->next;
	if (*at)
		*at = s->next;
	scope_free(s);
}

void armed_set_level(struct armed *a, struct armed_scope *s, enum armed_level level)
{
	if (s->level != level)
		kernel_level(a->kernel, s->number, (uint32_t)level);
	s->level = level;
}

struct armed_scope *armed_scope_of(const struct armed *a, pid_t tid)
{
	return map_get(&a->by_tid, (uint64_t)tid, 0);
}

bool armed_knows(const struct armed *a, pid_t tid)
{
	return map_get(&a->by_tid, (uint64_t)tid, 0);
}

static void count_task(void *ctx, const struct task *t)
{
	(void)t;
	++*(size_t *)ctx;
}

bool armed_lives(const struct armed_scope *s)
{
	size_t n = 0;

	tasks_each(s->r.tasks, count_task, &n);
	return n > 0;
}

/* ---- idle times ------------------------------------------------------------------------------ */

bool armed_idle(struct armed *a)
{
	bool more = false;

	for (struct armed_scope *s = a->scopes; s; s = s->next)
		more |= files_idle(&s->r);
	return more;
}

static void leave_if_gone(void *ctx, const struct task *t)
{
	struct armed *a = ((void **)ctx)[0];

	if (!map_get(&a->by_tid, t->tid, 0))
		map_put(&a->by_tid, t->tid, 0, ((void **)ctx)[1]);
}

bool armed_has_object(const struct armed_scope *s, uint32_t object)
{
	return object_is_there(&s->r, object);
}

void armed_look_into(struct armed *a, struct armed_scope *s)
{
	if (!armed_lives(s))
		return;		/* who is there now has started it again */
	kernel_enter(a->kernel, s->number);
	attach_look(s->attached);
	tasks_each(s->r.tasks, leave_if_gone, (void *[]){ a, s });
}

void armed_sweep(struct armed *a, struct armed_scope *s, bool (*keep)(void *ctx, uint32_t object), void *ctx)
{
	armed_look_into(a, s);
	objects_sweep(&s->r, keep, ctx);
}

/* ---- a capsule -------------------------------------------------------------------------------- */

struct manifest *armed_manifest(struct armed_scope *s)
{
	return s->manifest;
}

int armed_renew(struct armed_scope *s, struct err *err)
{
	char *uuid = identity_uuid();

	if (!uuid)
		return err_set(err, ENOMEM, "no uuid");
	free(s->manifest->uuid);
	s->manifest->uuid = uuid;
	return 0;
}

uint64_t armed_files(struct armed_scope *s, struct capsule_writer *w, int64_t start, uint64_t time)
{
	struct recording *r = &s->r, before = *r;
	uint64_t holes;

	r->w = w;
	r->sink = NULL;
	r->start = start;
	r->now = start + (int64_t)time;
	r->task = 0;
	r->holes = 0;
	r->broken = (struct err)ERR_INIT;
	if (s->inside)
		inside_tell(s->inside, r);
	files_tell_late(r);
	holes = r->holes;
	*r = before;
	return holes;
}

/* ---- all of it ---------------------------------------------------------------------------------- */

int armed_new(struct armed **ret, uint64_t ring, struct err *err)
{
	struct armed *a = calloc(1, sizeof(*a));

	if (!a)
		return err_set(err, ENOMEM, "out of memory");
	a->opts = (struct record_opts){ .watches = true, .ring = ring, .io_uring = true };
	/* The guard first: it must hold nothing of what follows. */
	if (guard_start(&a->guard, err) < 0 || kernel_load(&a->kernel, &a->opts, err) < 0 || kernel_attach(a->kernel, err) < 0) {
		armed_free(a, NULL);
		return -err->code;
	}
	*ret = a;
	return 0;
}

void armed_free(struct armed *a, uint64_t *longest)
{
	uint64_t none = 0;

	if (!a)
		return;
	if (a->kernel)
		kernel_detach(a->kernel);
	patches_undo(a->patches, longest ? longest : &none);
	while (a->scopes) {
		struct armed_scope *s = a->scopes;

		a->scopes = s->next;
		scope_free(s);
	}
	kernel_free(a->kernel);
	map_clear(&a->by_tid);
	guard_stop(a->guard);
	free(a);
}
