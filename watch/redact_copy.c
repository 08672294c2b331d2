/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/redact_copy.h"

#include "format/cleanup.h"
#include "format/observe.h"
#include "format/signature.h"
#include "watch/redact.h"
#include "watch/traces.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

struct copy {
	struct capsule_reader *rd;
	struct event *events;
	size_t n;
	struct manifest m;
	struct capsule_end end;
	struct traces traces;
};

static int load_blob(void *ctx, const uint8_t sha256[32], uint8_t **data, size_t *len, struct err *err)
{
	return capsule_blob_load(ctx, sha256, REDACT_CONTENT, data, len, err);
}

static int load_events(struct copy *c, struct err *err)
{
	size_t room = 0;
	struct event e;
	int r;

	while ((r = capsule_next(c->rd, &e, err)) > 0) {
		if (c->n == room) {
			room = room ? room * 2 : 1024;
			void *more = reallocarray(c->events, room, sizeof(*c->events));

			if (!more)
				return err_set(err, ENOMEM, "out of memory");
			c->events = more;
		}
		c->events[c->n++] = e;
	}
	return r;
}

static int write_contents(struct capsule_writer *w, const struct redactor *r, const struct copy *c, struct err *err)
{
	const struct redacted_blob *blobs;
	size_t n = redacted_blobs(r, &blobs);
	uint8_t sha256[32];

	for (size_t i = 0; i < n; i++)
		if (capsule_write_blob(w, blobs[i].data, blobs[i].len, sha256, err) < 0)
			return -err->code;
	for (size_t i = 0; i < c->n; i++) {
		const struct ev_file *f = &c->events[i].file;
		_cleanup_free_ uint8_t *data = NULL;
		size_t len;

		if ((c->events[i].kind != EV_FILE && c->events[i].kind != EV_OUTPUT) || f->state != FILE_REGULAR || !(f->flags & FILE_CONTENT) || !f->has_hash ||
		    !f->size)
			continue;
		/* What changed is written already, and in the old capsule under no such name. */
		struct err ignored = ERR_INIT;
		int ret = capsule_blob_load(c->rd, f->sha256, REDACT_CONTENT, &data, &len, &ignored);

		if (ret == -ENOENT)
			continue;
		if (ret < 0) {
			*err = ignored;
			return ret;
		}
		if (capsule_write_blob(w, data, len, sha256, err) < 0)
			return -err->code;
	}
	return 0;
}

/* The failure's signature as it is to be seen in what is left; where redaction took the failure away, what it was. */
static int settle_signature(const struct redactor *r, struct copy *c, struct err *err)
{
	_cleanup_observation_ struct observation *o = NULL;
	_cleanup_free_ char *was = NULL, *stack = NULL;

	if (redact_text(r, c->end.signature, &was, err) < 0 || redact_text(r, c->end.stack, &stack, err) < 0)
		return -err->code;
	memcpy(c->end.stack, stack, strlen(stack));
	if (!was[0])
		return 0;
	if (observation_new(&o, err) < 0)
		return -err->code;
	for (size_t i = 0; i < c->n; i++)
		if (observation_event(o, &c->events[i], NULL, err) < 0)
			return -err->code;
	if (!capsule_end_is_open(&c->end))
		observation_end(o, c->end.status, true);
	if (signature_derive(c->end.signature, o, err) < 0)
		return -err->code;
	if (!c->end.signature[0])
		memcpy(c->end.signature, was, strlen(was) + 1);
	return 0;
}

/* Full: the writer says so itself. */
static int write_events(struct capsule_writer *w, const struct redactor *r, struct copy *c, struct err *err)
{
	const struct event *holes;
	size_t n = redacted_holes(r, &holes);

	for (size_t i = 0; i < c->n; i++)
		if (capsule_write(w, &c->events[i], err) < 0)
			return -err->code;
	for (size_t i = 0; i < n; i++) {
		struct event hole = holes[i];

		hole.time = c->n ? c->events[c->n - 1].time : 0;
		c->end.holes++;
		if (capsule_write(w, &hole, err) < 0)
			return -err->code;
	}
	return 0;
}

static int write_copy(const struct redact_copy *how, const struct redactor *r, struct copy *c, struct err *err)
{
	_cleanup_writer_ struct capsule_writer *w = NULL;
	int rc;

	if (capsule_writer_open(&w, how->out, &c->m, err) < 0)
		return -err->code;
	if (how->max_bytes)
		capsule_writer_limit(w, how->max_bytes);
	if ((write_contents(w, r, c, err) < 0 || write_events(w, r, c, err) < 0) && err->code != EDQUOT)
		return -err->code;
	rc = capsule_writer_finish(TAKE_PTR(w), &c->end, err);
	if (rc != -EDQUOT)
		return rc;
	*err = (struct err)ERR_INIT;
	return 0;
}

static void copy_clear(struct copy *c)
{
	free(c->events);
	traces_clear(&c->traces);
	capsule_reader_close(c->rd);
}

static int make_copy(const struct redact_copy *how, struct redactor *r, struct copy *c, struct err *err)
{
	const char *why;

	if (capsule_reader_open(&c->rd, how->in, CAPSULE_KEEP, err) < 0)
		return -err->code;
	if (!capsule_complete(c->rd, &why))
		return err_set(err, EBADMSG, "'%s' is cut short (%s)", how->in, why);
	c->m = *capsule_manifest(c->rd);
	c->end = *capsule_end(c->rd);
	if (load_events(c, err) < 0 || redact(r, &c->m, c->events, c->n, load_blob, c->rd, err) < 0 || settle_signature(r, c, err) < 0)
		return -err->code;
	/* In what is left: what was redacted in a header is so here, too. */
	if (traces_find(&c->traces, c->events, c->n, c->rd, err) < 0)
		return -err->code;
	c->m.traces = c->traces.requests;
	c->m.upstream_traces = c->traces.upstream;
	c->m.redacted = redacted_list(r);
	return write_copy(how, r, c, err);
}

int redact_copy(const struct redact_copy *how, struct redact_copied *ret, struct err *err)
{
	_cleanup_(copy_clear) struct copy c = { 0 };
	_cleanup_redactor_ struct redactor *r = NULL;

	if (redactor_new(&r, how->rules, how->n, how->name, err) < 0)
		return -err->code;
	if (make_copy(how, r, &c, err) < 0) {
		unlink(how->out);
		return err_in(err, "'%s'", how->in);
	}
	*ret = (struct redact_copied){ .places = redacted_places(r) };
	if (c.traces.requests && !c.traces.requests[1])
		trace_ids(c.traces.requests[0], ret->trace, ret->span);
	return 0;
}
