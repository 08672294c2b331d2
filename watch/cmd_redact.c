/* SPDX-License-Identifier: Apache-2.0 */
/* capsule redact: a copy of a capsule without what rules name. */
#include "watch/redact.h"

#include "format/cleanup.h"
#include "format/cli.h"
#include "format/observe.h"
#include "format/signature.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

enum { RULES = 256 };

static const struct opt options[] = {
	{ 'o', "output", "FILE", "where the copy goes" },
	{ 0, "policy", "FILE", "the redact rules of the policies in FILE" },
	{ 0, "name", "NAME", "with --policy: of this policy only" },
	{ 0, "header", "NAME", "a header of HTTP requests and answers" },
	{ 0, "query", "NAME", "a query parameter" },
	{ 0, "form", "NAME", "a field of a form" },
	{ 0, "json", "PLACE", "a place in JSON bodies: $.user.email, $..password" },
	{ 0, "env", "GLOB", "the values of environment variables" },
	{ 0, "regex", "REGEX", "what looks like this, anywhere" },
	{ 0, "digits", "REGEX", "the digits of what looks like this" },
	{ 'q', "quiet", NULL, "say nothing" },
	{ 0 }
};

struct line {
	const char *in, *out, *policy, *name;
	struct redact_rule rules[RULES];
	size_t n;
	bool quiet;
};

/* ---- rules -------------------------------------------------------------------------------- */

static int take_option(const struct cmd *self, struct line *l, const struct opt *o, const char *arg)
{
	struct redact_rule rule = { .kind = REDACT_REGEX, .what = (char *)arg };

	if (strcmp(o->name, "quiet") == 0) {
		l->quiet = true;
		return 0;
	}
	const char **texts[] = { &l->out, &l->policy, &l->name };
	const char *const names[] = { "output", "policy", "name" };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(o->name, names[i]) == 0) {
			*texts[i] = arg;
			return 0;
		}
	if (!arg[0] || l->n == RULES)
		return cli_fail(self, EXIT_USAGE, arg[0] ? "--%s: too many rules" : "--%s: of what?", o->name);
	for (int k = 0; k < REDACT_KINDS; k++)
		if (strcmp(o->name, redact_kind_names[k]) == 0)
			rule.kind = (enum redact_kind)k;
	rule.as = strcmp(o->name, "digits") == 0 ? AS_DIGITS : AS_TOKEN;
	l->rules[l->n++] = rule;
	return 0;
}

/* The rules of policies beside those of the command line. */
static int take_policies(struct line *l, struct policies *all, struct err *err)
{
	if (l->name && !policies_find(all, l->name))
		return err_set(err, ENOENT, "'%.200s' has no policy '%.80s'", l->policy, l->name);
	for (size_t i = 0; i < all->n; i++) {
		if (l->name && strcmp(all->list[i].name, l->name) != 0)
			continue;
		for (size_t k = 0; k < all->list[i].nredact; k++) {
			if (l->n == RULES)
				return err_set(err, E2BIG, "more than %d rules; choose a policy by --name", RULES);
			l->rules[l->n++] = all->list[i].redact[k];
		}
	}
	return 0;
}

/* ---- the copy -------------------------------------------------------------------------------- */

struct copy {
	struct capsule_reader *rd;
	struct event *events;
	size_t n;
	struct manifest m;
	struct capsule_end end;
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
	observation_end(o, c->end.status, true);
	if (signature_derive(c->end.signature, o, err) < 0)
		return -err->code;
	if (!c->end.signature[0])
		memcpy(c->end.signature, was, strlen(was) + 1);
	return 0;
}

static int write_copy(const char *path, const struct redactor *r, struct copy *c, struct err *err)
{
	_cleanup_writer_ struct capsule_writer *w = NULL;
	const struct event *holes;
	size_t n = redacted_holes(r, &holes);

	if (capsule_writer_open(&w, path, &c->m, err) < 0 || write_contents(w, r, c, err) < 0)
		return -err->code;
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
	return capsule_writer_finish(TAKE_PTR(w), &c->end, err);
}

static void copy_clear(struct copy *c)
{
	free(c->events);
	capsule_reader_close(c->rd);
}

static bool same_file(const char *a, const char *b)
{
	struct stat x, y;

	return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static int run(const struct cmd *self, const struct line *l)
{
	_cleanup_(copy_clear) struct copy c = { 0 };
	_cleanup_redactor_ struct redactor *r = NULL;
	struct err err = ERR_INIT;
	const char *why;

	if (capsule_reader_open(&c.rd, l->in, CAPSULE_KEEP, &err) < 0)
		return cli_fail(self, EXIT_CAPSULE, "%s", err.text);
	if (!capsule_complete(c.rd, &why))
		return cli_fail(self, EXIT_CAPSULE, "'%s' is cut short (%s)", l->in, why);
	if (redactor_new(&r, l->rules, l->n, l->name ? l->name : l->policy ? "policies" : "command", &err) < 0)
		return cli_fail(self, EXIT_USAGE, "%s", err.text);
	c.m = *capsule_manifest(c.rd);
	c.end = *capsule_end(c.rd);
	if (load_events(&c, &err) < 0 || redact(r, &c.m, c.events, c.n, load_blob, c.rd, &err) < 0 || settle_signature(r, &c, &err) < 0)
		return cli_fail(self, EXIT_CAPSULE, "'%s': %s", l->in, err.text);
	c.m.redacted = redacted_list(r);
	if (write_copy(l->out, r, &c, &err) < 0) {
		unlink(l->out);
		return cli_fail(self, EXIT_CAPSULE, "'%s': %s", l->out, err.text);
	}
	if (!l->quiet)
		fprintf(stderr, "capsule redact: %s: %llu place%s\n", l->out, (unsigned long long)redacted_places(r), redacted_places(r) == 1 ? "" : "s");
	return 0;
}

static int cmd_redact(const struct cmd *self, int argc, char **argv)
{
	_cleanup_policies_ struct policies *all = NULL;
	static struct line l;
	struct cli cli = { .argc = argc, .argv = argv };
	struct err err = ERR_INIT;
	const struct opt *o;
	const char *word;
	int status;

	while (cli_word(self, &cli, &o, &word)) {
		if (word && l.in)
			return cli_fail(self, EXIT_USAGE, "'%s': one capsule, please", word);
		if (word)
			l.in = word;
		else if ((status = take_option(self, &l, o, cli.arg)))
			return status;
	}
	if (!l.in && cli.at < argc)
		l.in = argv[cli.at++];
	if (!l.in || cli.at < argc)
		return cli_fail(self, EXIT_USAGE, "which capsule? (capsule redact FILE -o FILE --header NAME)");
	if (!l.out || same_file(l.in, l.out))
		return cli_fail(self, EXIT_USAGE, l.out ? "'%s' would be overwritten while it is read" : "where to? (-o FILE)", l.out);
	if (l.policy && (policies_load(&all, l.policy, &err) < 0 || take_policies(&l, all, &err) < 0))
		return cli_fail(self, EXIT_USAGE, "%s", err.text);
	if (!l.n)
		return cli_fail(self, EXIT_USAGE, "what is to be redacted? (--policy FILE, --header NAME, --json PLACE, ...)");
	return run(self, &l);
}

const struct cmd cmd_redact_desc = {
	"redact", "[OPTION]... FILE -o FILE", "copies a capsule without the secrets that rules name", options, cmd_redact
};
