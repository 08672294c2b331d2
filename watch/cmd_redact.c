/* SPDX-License-Identifier: Apache-2.0 */
/* capsule redact: a copy of a capsule without what rules name. */
#include "watch/policy.h"
#include "watch/redact_copy.h"

#include "format/cleanup.h"
#include "format/cli.h"

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

static bool same_file(const char *a, const char *b)
{
	struct stat x, y;

	return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static int run(const struct cmd *self, const struct line *l)
{
	struct redact_copy how = { .in = l->in, .out = l->out, .rules = l->rules, .n = l->n, .name = l->name ? l->name : l->policy ? "policies" : "command" };
	struct err err = ERR_INIT;
	struct redact_copied copied;

	if (redact_copy(&how, &copied, &err) < 0)
		return cli_fail(self, err.code == EINVAL ? EXIT_USAGE : EXIT_CAPSULE, "%s", err.text);
	if (!l->quiet)
		fprintf(stderr, "capsule redact: %s: %llu place%s\n", l->out, (unsigned long long)copied.places, copied.places == 1 ? "" : "s");
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
