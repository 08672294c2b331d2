/* SPDX-License-Identifier: Apache-2.0 */
/* From a policy file's tree to struct policies: the keys are tables, each with what takes its value and its bounds. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <linux/types.h>

#include "watch/policy.h"

#include "watch/json_path.h"
#include "watch/yaml.h"

#include "format/cleanup.h"
#include "format/capsule.h"
#include "format/io.h"
#include "format/sysdesc.h"
#include "format/text.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <pcre2.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define SECOND 1000000000ull
#define DAY (86400 * SECOND)
#define KIB 1024ull
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

struct parsing {
	const char *name;
	struct err *err;
	struct policies *all;
	struct policy *policy;
	size_t conditions;
	unsigned int depth;
	bool negated;
};

struct key {
	const char *name;
	int (*take)(struct parsing *p, const struct yaml *y, const struct key *k, void *to);
	size_t offset;		/* of what it sets, in the struct that the map is for */
	uint64_t lo, hi;
};

/* ---- complaints ----------------------------------------------------------------------- */

__attribute__((format(printf, 3, 4)))
static int wrong(struct parsing *p, unsigned int line, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	text_tame(text);
	return err_set(p->err, EINVAL, "%.80s:%u: %s", p->name, line, text);
}

static int no_memory(struct parsing *p)
{
	return err_set(p->err, ENOMEM, "out of memory");
}

static int need(struct parsing *p, const struct yaml *y, enum yaml_kind kind, const char *what)
{
	static const char *const kinds[] = { "a single value", "a list [...]", "a map {key: value}" };

	if (y->kind == kind && (kind != YAML_TEXT || y->text[0]))
		return 0;
	return wrong(p, y->line, "%s: %s is %s; %s is needed", what, y->kind == YAML_TEXT && y->text[0] ? "this" : "it",
		     y->kind == YAML_TEXT && !y->text[0] ? "empty" : kinds[y->kind], kinds[kind]);
}

/* ---- maps by tables ---------------------------------------------------------------------- */

static int unknown_key(struct parsing *p, const struct yaml *item, const struct key *keys, const char *what)
{
	char known[240] = "";
	size_t n = 0;

	for (const struct key *k = keys; k->name && n < sizeof(known) - 1; k++)
		n += (size_t)snprintf(known + n, sizeof(known) - n, "%s%s", k == keys ? "" : ", ", k->name);
	return wrong(p, item->line, "unknown key '%.60s' in %s; it knows %s", item->key, what, known);
}

static int take_map(struct parsing *p, const struct yaml *y, const struct key *keys, void *to, const char *what)
{
	int ret = need(p, y, YAML_MAP, what);

	for (size_t i = 0; ret == 0 && i < y->n; i++) {
		const struct key *k = keys;

		while (k->name && strcmp(k->name, y->items[i].key) != 0)
			k++;
		ret = k->name ? k->take(p, &y->items[i], k, (char *)to + k->offset) : unknown_key(p, &y->items[i], keys, what);
	}
	return ret;
}

static const struct yaml *member(const struct yaml *map, const char *key)
{
	for (size_t i = 0; i < map->n; i++)
		if (strcmp(map->items[i].key, key) == 0)
			return &map->items[i];
	return NULL;
}

/* ---- numbers ------------------------------------------------------------------------------ */

/* Digits at *@text, which is moved behind them. */
static bool digits(const char **text, uint64_t *ret)
{
	char *end;

	if (!isdigit((unsigned char)**text))
		return false;
	errno = 0;
	*ret = strtoull(*text, &end, 10);
	*text = end;
	return errno == 0;
}

static int in_bounds(struct parsing *p, const struct yaml *y, const struct key *k, uint64_t n, const char *bounds)
{
	if (n >= k->lo && n <= k->hi)
		return 0;
	return wrong(p, y->line, "%s: %.40s is too %s; %s", k->name, y->text, n < k->lo ? "small" : "much", bounds);
}

static int take_number(struct parsing *p, const struct yaml *y, const struct key *k, void *to)
{
	const char *at = y->text;
	char bounds[80];
	uint64_t n;

	if (need(p, y, YAML_TEXT, k->name) < 0)
		return -p->err->code;
	if (y->quoted || !digits(&at, &n) || *at)
		return wrong(p, y->line, "%s: '%.40s' is not a whole number; write it without unit and quotes", k->name, y->text);
	snprintf(bounds, sizeof(bounds), "from %" PRIu64 " to %" PRIu64 " can be", k->lo, k->hi);
	if (in_bounds(p, y, k, n, bounds) < 0)
		return -p->err->code;
	*(uint64_t *)to = n;
	return 0;
}

struct unit {
	const char *name;
	uint64_t factor;
};
static const struct unit size_units[] = {
	{ "B", 1 }, { "KiB", KIB }, { "MiB", MIB }, { "GiB", GIB }, { "K", KIB }, { "M", MIB }, { "G", GIB }, { NULL, 0 }
};
static const struct unit time_units[] = {
	{ "us", 1000 }, { "ms", 1000000 }, { "s", SECOND }, { "m", 60 * SECOND }, { "h", 3600 * SECOND }, { "d", DAY }, { NULL, 0 }
};

/* "64MiB" at @text, to its end. */
static bool with_unit(const char *text, const struct unit *units, uint64_t *ret)
{
	uint64_t n;

	if (!digits(&text, &n))
		return false;
	while (*text == ' ')
		text++;
	for (; units->name; units++)
		if (strcmp(units->name, text) == 0)
			return !__builtin_mul_overflow(n, units->factor, ret);
	return false;
}

static int take_unit(struct parsing *p, const struct yaml *y, const struct key *k, const struct unit *units, const char *hint, uint64_t *to)
{
	char bounds[100];
	uint64_t n, d;

	if (need(p, y, YAML_TEXT, k->name) < 0)
		return -p->err->code;
	if (!with_unit(y->text, units, &n))
		return wrong(p, y->line, "%s: '%.40s' is not %s", k->name, y->text, hint);
	d = units == size_units ? KIB : 1000000;
	snprintf(bounds, sizeof(bounds), "from %" PRIu64 "%s to %" PRIu64 "%s can be", k->lo / d, d == KIB ? "KiB" : "ms", k->hi / d,
		 d == KIB ? "KiB" : "ms");
	if (in_bounds(p, y, k, n, bounds) < 0)
		return -p->err->code;
	*to = n;
	return 0;
}

static int take_size(struct parsing *p, const struct yaml *y, const struct key *k, void *to)
{
	return take_unit(p, y, k, size_units, "a size: a whole number and B, KiB, MiB or GiB (64MiB)", to);
}

static int take_time(struct parsing *p, const struct yaml *y, const struct key *k, void *to)
{
	return take_unit(p, y, k, time_units, "a time: a whole number and ms, s, m, h or d (30s)", to);
}

/* history.seconds: a bare number of them. */
static int take_seconds(struct parsing *p, const struct yaml *y, const struct key *k, void *to)
{
	int ret = take_number(p, y, k, to);

	if (ret == 0)
		*(uint64_t *)to *= SECOND;
	return ret;
}

static int take_word(struct parsing *p, const struct yaml *y, const struct key *k, const char *const words[], const char *list, unsigned int *to)
{
	if (need(p, y, YAML_TEXT, k->name) < 0)
		return -p->err->code;
	for (unsigned int i = 0; words[i]; i++)
		if (strcmp(words[i], y->text) == 0) {
			*to = i;
			return 0;
		}
	return wrong(p, y->line, "%s: '%.40s' is none of %s", k->name, y->text, list);
}

static int take_text(struct parsing *p, const struct yaml *y, const struct key *k, char **to)
{
	if (need(p, y, YAML_TEXT, k->name) < 0)
		return -p->err->code;
	for (const char *c = y->text; *c; c++)
		if (iscntrl((unsigned char)*c))
			return wrong(p, y->line, "%s: a control character has no place in it", k->name);
	*to = strdup(y->text);
	return *to ? 0 : no_memory(p);
}

/* Calls @one for the value, or for each of a list of them. */
static int each(struct parsing *p, const struct yaml *y, const struct key *k,
		int (*one)(struct parsing *, const struct yaml *, const struct key *, void *), void *to)
{
	int ret = 0;

	if (y->kind == YAML_TEXT)
		return one(p, y, k, to);
	if (need(p, y, YAML_LIST, k->name) < 0)
		return -p->err->code;
	if (y->n == 0 || y->n > POLICY_WORDS)
		return wrong(p, y->line, "%s: the list has %zu entries; from 1 to %d can be", k->name, y->n, POLICY_WORDS);
	for (size_t i = 0; ret == 0 && i < y->n; i++)
		ret = one(p, &y->items[i], k, to);
	return ret;
}

/* ---- select ----------------------------------------------------------------------------------- */

/* What can never match. */
static const char *impossible(const char *key, const char *glob)
{
	if (strcmp(key, "cgroup") == 0 && glob[0] != '/' && glob[0] != '*')
		return "a cgroup's path begins with / (or the pattern with *)";
	if (strcmp(key, "binary") == 0 && strchr(glob, '/') && glob[0] != '/' && glob[0] != '*')
		return "an executable's path begins with / (or give its last component only)";
	if (strcmp(key, "container") == 0 && strspn(glob, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-*?[]!") != strlen(glob))
		return "names of containers have letters, digits, _, . and - only";
	if (strcmp(key, "image") == 0 && strpbrk(glob, " \t"))
		return "references of images have no spaces";
	return NULL;
}

static int take_glob(struct parsing *p, const struct yaml *y, const struct key *k, void *to)
{
	struct policy_globs *g = to;
	char *text = NULL, **bigger;
	const char *why;

	if (take_text(p, y, k, &text) < 0)
		return -p->err->code;
	why = impossible(k->name, text);
	if (why) {
		wrong(p, y->line, "%s: '%.80s' can match nothing: %s", k->name, text, why);
		free(text);
		return -EINVAL;
	}
	bigger = realloc(g->glob, (g->n + 1) * sizeof(*bigger));
	if (!bigger) {
		free(text);
		return no_memory(p);
	}
	g->glob = bigger;
	g->glob[g->n++] = text;
	return 0;
}

static int take_globs(struct parsing *p, const struct yaml *y, const struct key *k, void *to)
{
	return each(p, y, k, take_glob, to);
}

static int take_port(struct parsing *p, const struct yaml *y, const struct key *k, void *to)
{
	struct policy_select *s = to;
	uint64_t n;

	if (take_number(p, y, k, &n) < 0)
		return -p->err->code;
	uint16_t *bigger = realloc(s->ports, (s->nports + 1) * sizeof(*bigger));
	if (!bigger)
		return no_memory(p);
	s->ports = bigger;
	s->ports[s->nports++] = (uint16_t)n;
	return 0;
}

static int add_u32(struct parsing *p, uint32_t **list, size_t *n, uint64_t value)
{
	uint32_t *bigger = realloc(*list, (*n + 1) * sizeof(*bigger));

	if (!bigger)
		return no_memory(p);
	*list = bigger;
	(*list)[(*n)++] = (uint32_t)value;
	return 0;
}

static int take_uid(struct parsing *p, const struct yaml *y, const struct key *k, void *to)
{
	struct policy_select *s = to;
	uint64_t n;

	return take_number(p, y, k, &n) < 0 ? -p->err->code : add_u32(p, &s->uids, &s->nuids, n);
}

static int take_pid(struct parsing *p, const struct yaml *y, const struct key *k, void *to)
{
	struct policy_select *s = to;
	uint64_t n;

	return take_number(p, y, k, &n) < 0 ? -p->err->code : add_u32(p, &s->pids, &s->npids, n);
}

static int take_ports(struct parsing *p, const struct yaml *y, const struct key *k, void *to) { return each(p, y, k, take_port, to); }
static int take_uids(struct parsing *p, const struct yaml *y, const struct key *k, void *to) { return each(p, y, k, take_uid, to); }
static int take_pids(struct parsing *p, const struct yaml *y, const struct key *k, void *to) { return each(p, y, k, take_pid, to); }

static const struct key select_keys[] = {
	{ "container", take_globs, offsetof(struct policy_select, container) },
	{ "cgroup", take_globs, offsetof(struct policy_select, cgroup) },
	{ "image", take_globs, offsetof(struct policy_select, image) },
	{ "binary", take_globs, offsetof(struct policy_select, binary) },
	{ "uid", take_uids, 0, 0, UINT32_MAX - 1 },
	{ "pid", take_pids, 0, 1, 1 << 22 },
	{ "port", take_ports, 0, 1, UINT16_MAX },
	{ 0 }
};

static int take_select(struct parsing *p, const struct yaml *y, const struct key *k, void *to)
{
	if (take_map(p, y, select_keys, to, k->name) < 0)
		return -p->err->code;
	if (y->n == 0)
		return wrong(p, y->line, "select is empty and would be everything; name a container, cgroup, image, binary, uid, pid or port");
	if (member(y, "container") && member(y, "cgroup"))
		return wrong(p, member(y, "cgroup")->line, "select: a container has one cgroup; give container or cgroup, not both");
	return 0;
}

/* ---- when ---------------------------------------------------------------------------------------- */

static const char *const compare_words[] = { [CMP_EQ] = "=", [CMP_NE] = "!=", [CMP_LT] = "<", [CMP_LE] = "<=", [CMP_GT] = ">", [CMP_GE] = ">=" };

/* "!= 0": the comparison, and the rest in @ret. No comparison: equal. */
static enum policy_compare comparison(const char *text, const char **ret)
{
	size_t n = strspn(text, "=!<>");
	enum policy_compare c = CMP_EQ;

	if (n == 2 && memcmp(text, "==", 2) == 0)
		n = 2;
	else if (n)
		for (c = CMP_EQ; c <= CMP_GE; c++)
			if (strlen(compare_words[c]) == n && memcmp(compare_words[c], text, n) == 0)
				break;
	text += n;
	while (*text == ' ')
		text++;
	*ret = text;
	return c;
}

/* For a value within the key's bounds: does it never hold, or always? */
static int says_something(struct parsing *p, const struct yaml *y, const struct key *k, const struct condition *c)
{
	bool low = policy_compare(c->compare, k->lo, c->number), high = policy_compare(c->compare, k->hi, c->number);
	bool never = !low && !high && c->compare != CMP_EQ, always = low && high && c->compare != CMP_NE;

	if (c->compare == CMP_EQ && k->lo == k->hi)
		never = false;
	if (never)
		return wrong(p, y->line, "%s: '%.40s' never holds; it is from %" PRIu64 " to %" PRIu64, k->name, y->text, k->lo, k->hi);
	if (always)
		return wrong(p, y->line, "%s: '%.40s' always holds; to keep what went well say healthy_sample", k->name, y->text);
	return 0;
}

static int take_compared(struct parsing *p, const struct yaml *y, const struct key *k, void *to)
{
	struct condition *c = to;
	const char *at;

	if (need(p, y, YAML_TEXT, k->name) < 0)
		return -p->err->code;
	c->compare = comparison(y->text, &at);
	if (c->compare > CMP_GE || !digits(&at, &c->number) || *at || c->number < k->lo || c->number > k->hi)
		return wrong(p, y->line, "%s: '%.40s' is not =, !=, <, <=, > or >= and a number from %" PRIu64 " to %" PRIu64 " (in quotes: \"> 3\")", k->name,
			     y->text, k->lo, k->hi);
	return says_something(p, y, k, c);
}

static int take_status(struct parsing *p, const struct yaml *y, const struct key *k, void *to)
{
	struct condition *c = to;

	c->kind = WHEN_HTTP_STATUS;
	return take_compared(p, y, k, to);
}

static int take_exit(struct parsing *p, const struct yaml *y, const struct key *k, void *to)
{
	struct condition *c = to;

	c->kind = WHEN_EXIT;
	return take_compared(p, y, k, to);
}

static int take_retransmits(struct parsing *p, const struct yaml *y, const struct key *k, void *to)
{
	struct condition *c = to;

	c->kind = WHEN_RETRANSMITS;
	return take_compared(p, y, k, to);
}

static int take_latency(struct parsing *p, const struct yaml *y, const struct key *k, void *to)
{
	struct condition *c = to;
	const char *at;

	c->kind = WHEN_LATENCY;
	if (need(p, y, YAML_TEXT, k->name) < 0)
		return -p->err->code;
	c->compare = comparison(y->text, &at);
	if (c->compare < CMP_LT || c->compare > CMP_GE || !with_unit(at, time_units, &c->number))
		return wrong(p, y->line, "latency: '%.40s' is not > (or >=, <, <=) and a time with ms, s or m (\"> 500ms\")", y->text);
	if (c->number == 0 || c->number > DAY)
		return wrong(p, y->line, "latency: '%.40s' %s; from 1us to 1d can be", y->text, c->number ? "is longer than a day" : "says nothing");
	return 0;
}

static int signal_number(const char *name)
{
	if (strncmp(name, "SIG", 3) == 0)
		name += 3;
	for (int i = 1; i <= 31; i++)
		if (sigabbrev_np(i) && strcmp(sigabbrev_np(i), name) == 0)
			return i;
	return 0;
}

static int take_one_signal(struct parsing *p, const struct yaml *y, const struct key *k, void *to)
{
	struct condition *c = to;
	int n;

	if (need(p, y, YAML_TEXT, k->name) < 0)
		return -p->err->code;
	n = signal_number(y->text);
	if (!n)
		return wrong(p, y->line, "signal: '%.40s' is no signal's name; names are SEGV, ABRT, KILL, ... (kill -l)", y->text);
	if (n == SIGCHLD || n == SIGURG || n == SIGWINCH || n == SIGCONT || n == SIGSTOP || n == SIGTSTP || n == SIGTTIN || n == SIGTTOU)
		return wrong(p, y->line, "signal: %.40s kills nobody; signal means the one that the process died of", y->text);
	c->signals |= 1ull << (n - 1);
	return 0;
}

static int take_signal(struct parsing *p, const struct yaml *y, const struct key *k, void *to)
{
	struct condition *c = to;

	c->kind = WHEN_SIGNAL;
	return each(p, y, k, take_one_signal, to);
}

static int take_call_name(struct parsing *p, const struct yaml *y, const struct key *k, void *to)
{
	struct condition *c = to;

	if (need(p, y, YAML_TEXT, k->name) < 0)
		return -p->err->code;
	for (unsigned int nr = 0; nr < SC_MAX; nr++) {
		const char *name = sc_name(nr);

		if (name && strcmp(name, y->text) == 0) {
			c->call.nr = nr;
			return 0;
		}
	}
	return wrong(p, y->line, "syscall: '%.40s' is no system call of this architecture; names are as in syscalls(2)", y->text);
}

static int take_call_error(struct parsing *p, const struct yaml *y, const struct key *k, void *to)
{
	struct condition *c = to;

	if (need(p, y, YAML_TEXT, k->name) < 0)
		return -p->err->code;
	for (int i = 1; i < 134; i++)
		if (strerrorname_np(i) && strcmp(strerrorname_np(i), y->text) == 0) {
			c->call.error = i;
			return 0;
		}
	return wrong(p, y->line, "error: '%.40s' is no error's name; names are ECONNREFUSED, ENOSPC, ... as in errno(3); without it, any failure counts", y->text);
}

static int take_call_count(struct parsing *p, const struct yaml *y, const struct key *k, void *to)
{
	struct condition *c = to;
	uint64_t n;

	if (take_number(p, y, k, &n) < 0)
		return -p->err->code;
	c->call.count = (uint32_t)n;
	return 0;
}

static const struct key call_keys[] = {
	{ "name", take_call_name, 0 },
	{ "error", take_call_error, 0 },
	{ "count", take_call_count, 0, 1, 1000000 },
	{ "within", take_time, offsetof(struct condition, call.within), 1000000, 3600 * SECOND },
	{ 0 }
};

static int take_call(struct parsing *p, const struct yaml *y, const struct key *k, void *to)
{
	struct condition *c = to;

	c->kind = WHEN_SYSCALL;
	c->call.count = 1;
	if (take_map(p, y, call_keys, to, k->name) < 0)
		return -p->err->code;
	if (!member(y, "name"))
		return wrong(p, y->line, "syscall: which one? say name: connect");
	if (c->call.count > 1 && !member(y, "within"))
		return wrong(p, y->line, "syscall: %u times in what time? say within: 10s", c->call.count);
	if (c->call.count == 1 && member(y, "within"))
		return wrong(p, y->line, "syscall: within means nothing for the first failure; say count: 3, or leave within out");
	return 0;
}

static int take_oom(struct parsing *p, const struct yaml *y, const struct key *k, void *to)
{
	struct condition *c = to;

	c->kind = WHEN_OOM;
	if (need(p, y, YAML_TEXT, k->name) < 0)
		return -p->err->code;
	return strcmp(y->text, "true") == 0 && !y->quoted ? 0 : wrong(p, y->line, "oom: '%.40s'; it is oom: true, or left out", y->text);
}

static int take_trigger(struct parsing *p, const struct yaml *y, const struct key *k, void *to)
{
	struct condition *c = to;

	c->kind = WHEN_TRIGGER;
	if (need(p, y, YAML_TEXT, k->name) < 0)
		return -p->err->code;
	if (p->negated)
		return wrong(p, y->line, "trigger: it is no state, so it has no opposite; take it out of not");
	return strcmp(y->text, "manual") == 0 ? 0 : wrong(p, y->line, "trigger: '%.40s'; there is only trigger: manual", y->text);
}

static int take_condition(struct parsing *p, const struct yaml *y, struct condition *c);

static int take_parts(struct parsing *p, const struct yaml *y, const struct key *k, struct condition *c)
{
	int ret = 0;

	if (need(p, y, YAML_LIST, k->name) < 0)
		return -p->err->code;
	if (y->n == 0 || y->n > POLICY_CONDITIONS)
		return wrong(p, y->line, "%s: the list has %zu conditions; from 1 to %d can be", k->name, y->n, POLICY_CONDITIONS);
	c->parts = calloc(y->n, sizeof(*c->parts));
	if (!c->parts)
		return no_memory(p);
	for (; ret == 0 && c->nparts < y->n; c->nparts += ret == 0)
		ret = take_condition(p, &y->items[c->nparts], &c->parts[c->nparts]);
	c->nparts += ret < 0;	/* the one that is half done is released with the others */
	return ret;
}

static int take_any(struct parsing *p, const struct yaml *y, const struct key *k, void *to)
{
	struct condition *c = to;

	c->kind = WHEN_ANY;
	return take_parts(p, y, k, c);
}

static int take_all(struct parsing *p, const struct yaml *y, const struct key *k, void *to)
{
	struct condition *c = to;

	c->kind = WHEN_ALL;
	return take_parts(p, y, k, c);
}

static int take_not(struct parsing *p, const struct yaml *y, const struct key *k, void *to)
{
	struct condition *c = to;
	bool before = p->negated;
	int ret;

	(void)k;
	c->kind = WHEN_NOT;
	c->parts = calloc(1, sizeof(*c->parts));
	if (!c->parts)
		return no_memory(p);
	c->nparts = 1;
	p->negated = true;
	ret = take_condition(p, y, c->parts);
	p->negated = before;
	return ret;
}

static const struct key condition_keys[] = {
	{ "any", take_any, 0 },
	{ "all", take_all, 0 },
	{ "not", take_not, 0 },
	{ "http.status", take_status, 0, 100, 599 },
	{ "latency", take_latency, 0 },
	{ "signal", take_signal, 0 },
	{ "exit", take_exit, 0, 0, 255 },
	{ "syscall", take_call, 0 },
	{ "tcp.retransmits", take_retransmits, 0, 0, 1000000 },
	{ "oom", take_oom, 0 },
	{ "trigger", take_trigger, 0 },
	{ 0 }
};

static int take_condition(struct parsing *p, const struct yaml *y, struct condition *c)
{
	int ret;

	c->line = y->line;
	if (need(p, y, YAML_MAP, "a condition") < 0)
		return -p->err->code;
	if (y->n != 1)
		return wrong(p, y->n ? y->items[1].line : y->line, "%s; put each into its own {...}, in any: [...] or all: [...]",
			     y->n ? "several conditions in one" : "a condition is empty");
	if (p->depth >= POLICY_DEPTH || ++p->conditions > POLICY_CONDITIONS)
		return wrong(p, y->line, "when: %s", p->depth >= POLICY_DEPTH ? "nested too deep; eight levels can be" : "too many conditions; 64 can be");
	p->depth++;
	ret = take_map(p, y, condition_keys, c, "a condition");
	p->depth--;
	c->line = y->items[0].line;
	return ret;
}

static int take_when(struct parsing *p, const struct yaml *y, const struct key *k, void *to)
{
	(void)k;
	p->conditions = 0;
	return take_condition(p, y, to);
}

/* ---- then: redaction ------------------------------------------------------------------------------- */

static int add_rule(struct parsing *p, enum redact_kind kind, enum redact_as as, const char *what, unsigned int line)
{
	struct policy *policy = p->policy;
	struct redact_rule *bigger = realloc(policy->redact, (policy->nredact + 1) * sizeof(*bigger));
	char *copy;

	if (!bigger)
		return no_memory(p);
	policy->redact = bigger;
	copy = strdup(what);
	if (!copy)
		return no_memory(p);
	policy->redact[policy->nredact++] = (struct redact_rule){ .kind = kind, .as = as, .what = copy, .line = line };
	return 0;
}

static int check_regex(struct parsing *p, const struct yaml *y)
{
	pcre2_code *code;
	pcre2_match_data *match;
	PCRE2_UCHAR why[120];
	PCRE2_SIZE at;
	int error, n;

	code = pcre2_compile((PCRE2_SPTR)y->text, PCRE2_ZERO_TERMINATED, PCRE2_NEVER_BACKSLASH_C, &error, &at, NULL);
	if (!code) {
		pcre2_get_error_message(error, why, sizeof(why));
		return wrong(p, y->line, "regex: '%.80s': %s at character %zu", y->text, (const char *)why, (size_t)at + 1);
	}
	match = pcre2_match_data_create(1, NULL);
	n = match ? pcre2_match(code, (PCRE2_SPTR)"", 0, 0, 0, match, NULL) : PCRE2_ERROR_NOMEMORY;
	pcre2_match_data_free(match);
	pcre2_code_free(code);
	if (n == PCRE2_ERROR_NOMEMORY)
		return no_memory(p);
	return n < 0 ? 0 : wrong(p, y->line, "regex: '%.80s' matches where nothing is; let it match a character at least", y->text);
}

static int check_rule(struct parsing *p, enum redact_kind kind, const struct yaml *y)
{
	struct json_path path = { 0 };
	struct err why = ERR_INIT;
	int ret;

	switch (kind) {
	case REDACT_REGEX:
		return check_regex(p, y);
	case REDACT_JSON:
		ret = json_path_parse(&path, y->text, &why);
		json_path_clear(&path);
		return ret < 0 ? wrong(p, y->line, "json: %s", why.text) : 0;
	case REDACT_HEADER:
		if (strspn(y->text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~") == strlen(y->text))
			return 0;
		return wrong(p, y->line, "header: '%.60s' can be no header's name; give the name alone, without colon", y->text);
	default:
		return 0;
	}
}

struct rules {
	enum redact_kind kind;
	enum redact_as as;
};

static int take_rule(struct parsing *p, const struct yaml *y, const struct key *k, void *to)
{
	const struct rules *r = to;

	if (need(p, y, YAML_TEXT, k->name) < 0)
		return -p->err->code;
	if (strlen(y->text) > 1024)
		return wrong(p, y->line, "%s: longer than 1024 bytes", k->name);
	if (check_rule(p, r->kind, y) < 0)
		return -p->err->code;
	if (p->policy->nredact >= POLICY_WORDS * 4)
		return wrong(p, y->line, "redact: too many rules; %d can be", POLICY_WORDS * 4);
	return add_rule(p, r->kind, r->as, y->text, y->line);
}

static int take_as(struct parsing *p, const struct yaml *map, enum redact_as *as)
{
	static const char *const words[] = { [AS_TOKEN] = "token", [AS_DIGITS] = "digits", NULL };
	static const struct key key = { "as", NULL, 0, 0, 0 };
	const struct yaml *y = member(map, "as");
	unsigned int n = AS_TOKEN;

	if (y && take_word(p, y, &key, words, "token, digits", &n) < 0)
		return -p->err->code;
	*as = (enum redact_as)n;
	return 0;
}

/* {header: [a, b]}, {regex: x, as: digits} */
static int take_redaction(struct parsing *p, const struct yaml *y)
{
	struct rules r = { 0 };
	size_t found = 0;
	int ret;

	if (need(p, y, YAML_MAP, "redact") < 0 || take_as(p, y, &r.as) < 0)
		return -p->err->code;
	for (size_t i = 0; i < y->n; i++) {
		const struct yaml *item = &y->items[i];
		struct key key = { item->key, NULL, 0, 0, 0 };

		if (strcmp(item->key, "as") == 0)
			continue;
		for (r.kind = 0; r.kind < REDACT_KINDS && strcmp(redact_kind_names[r.kind], item->key) != 0; r.kind++)
			;
		if (r.kind == REDACT_KINDS)
			return wrong(p, item->line, "unknown key '%.60s' in redact; it knows header, query, form, json, env, regex, as", item->key);
		if ((ret = each(p, item, &key, take_rule, &r)) < 0)
			return ret;
		found++;
	}
	return found ? 0 : wrong(p, y->line, "redact: what? say {header: [authorization]} or the like");
}

static const struct { enum redact_kind kind; const char *what; } well_known[] = {
	{ REDACT_HEADER, "authorization" }, { REDACT_HEADER, "proxy-authorization" }, { REDACT_HEADER, "cookie" },
	{ REDACT_HEADER, "set-cookie" }, { REDACT_HEADER, "x-api-key" },
	{ REDACT_ENV, "*TOKEN*" }, { REDACT_ENV, "*SECRET*" }, { REDACT_ENV, "*PASSWORD*" }, { REDACT_ENV, "*API_KEY*" },
};

static bool has_rule(const struct policy *p, enum redact_kind kind, const char *what)
{
	for (size_t i = 0; i < p->nredact; i++)
		if (p->redact[i].kind == kind && strcasecmp(p->redact[i].what, what) == 0)
			return true;
	return false;
}

static int add_well_known(struct parsing *p)
{
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < sizeof(well_known) / sizeof(well_known[0]); i++)
		if (!has_rule(p->policy, well_known[i].kind, well_known[i].what))
			ret = add_rule(p, well_known[i].kind, AS_TOKEN, well_known[i].what, 0);
	return ret;
}

static int take_redact(struct parsing *p, const struct yaml *y, const struct key *k, void *to)
{
	int ret = 0;

	(void)to;
	if (y->kind == YAML_TEXT && strcmp(y->text, "none") == 0)
		return 0;
	if (y->kind == YAML_TEXT && y->text[0])
		return wrong(p, y->line, "redact: '%.40s'; it is a list of rules, or none", y->text);
	if (need(p, y, YAML_LIST, k->name) < 0)
		return -p->err->code;
	if (y->n == 0 || y->n > POLICY_WORDS)
		return wrong(p, y->line, "redact: the list has %zu entries; from 1 to %d can be, and 'redact: none' means none", y->n, POLICY_WORDS);
	for (size_t i = 0; ret == 0 && i < y->n; i++)
		ret = take_redaction(p, &y->items[i]);
	return ret ? ret : add_well_known(p);
}

/* ---- then: the rest ----------------------------------------------------------------------------------- */

static const struct key history_keys[] = {
	{ "bytes", take_size, offsetof(struct policy, history.bytes), 64 * KIB, GIB },
	{ "seconds", take_seconds, offsetof(struct policy, history.time), 1, 3600 },
	{ 0 }
};

static int take_level(struct parsing *p, const struct yaml *y, const struct key *k, void *to)
{
	static const char *const words[] = { [LEVEL_METADATA] = "metadata", [LEVEL_HASHES] = "hashes", [LEVEL_PAYLOAD] = "payload", NULL };
	unsigned int n;

	if (take_word(p, y, k, words, "metadata, hashes, payload", &n) < 0)
		return -p->err->code;
	*(enum policy_level *)to = (enum policy_level)n;
	return 0;
}

static const struct key capture_keys[] = {
	{ "level", take_level, offsetof(struct policy, capture.level) },
	{ "ttl", take_time, offsetof(struct policy, capture.ttl), SECOND, DAY },
	{ "max_bytes", take_size, offsetof(struct policy, capture.max_bytes), 64 * KIB, 16 * GIB },
	{ "max_capsules", take_number, offsetof(struct policy, capture.max_capsules), 1, 100000 },
	{ "per_hour", take_number, offsetof(struct policy, capture.per_hour), 1, 3600 },
	{ "cool_down", take_time, offsetof(struct policy, capture.cool_down), 0, DAY },
	{ "bytes_per_day", take_size, offsetof(struct policy, capture.bytes_per_day), 64 * KIB, 1024 * GIB },
	{ 0 }
};

static int take_history(struct parsing *p, const struct yaml *y, const struct key *k, void *to) { return take_map(p, y, history_keys, to, k->name); }
static int take_capture(struct parsing *p, const struct yaml *y, const struct key *k, void *to) { return take_map(p, y, capture_keys, to, k->name); }

static int take_clocks(struct parsing *p, const struct yaml *y, const struct key *k, void *to)
{
	static const char *const words[] = { [CLOCKS_EXACT] = "exact", [CLOCKS_CAUSAL] = "causal", NULL };
	unsigned int n;

	if (take_word(p, y, k, words, "exact, causal", &n) < 0)
		return -p->err->code;
	*(enum policy_clocks *)to = (enum policy_clocks)n;
	return 0;
}

/* "1 per 10m" */
static int take_healthy(struct parsing *p, const struct yaml *y, const struct key *k, void *to)
{
	struct policy *policy = to;
	const char *at = y->text;
	uint64_t n = 0, period = 0;

	if (need(p, y, YAML_TEXT, k->name) < 0)
		return -p->err->code;
	if (!digits(&at, &n) || strncmp(at, " per ", 5) != 0 || !with_unit(at + 5, time_units, &period))
		return wrong(p, y->line, "healthy_sample: '%.40s' is not a number, per and a time (1 per 10m)", y->text);
	if (n < 1 || n > 1000 || period < SECOND || period > 30 * DAY)
		return wrong(p, y->line, "healthy_sample: '%.40s'; from 1 to 1000, per 1s to 30d can be", y->text);
	policy->healthy.count = n;
	policy->healthy.period = period;
	return 0;
}

static int take_store(struct parsing *p, const struct yaml *y, const struct key *k, void *to)
{
	char *text = NULL;

	if (take_text(p, y, k, &text) < 0)
		return -p->err->code;
	if (!path_is_clean(text, strlen(text)) || !text[1]) {
		wrong(p, y->line, "store: '%.100s' is not an absolute path without . and .. (" POLICY_STORE ")", text);
		free(text);
		return -EINVAL;
	}
	*(char **)to = text;
	return 0;
}

static int take_notify_word(struct parsing *p, const struct yaml *y, const struct key *k, void *to)
{
	struct policy *policy = to;
	char *text = NULL, **bigger;
	size_t n = 0;

	if (take_text(p, y, k, &text) < 0)
		return -p->err->code;
	while (policy->notify && policy->notify[n])
		n++;
	bigger = realloc(policy->notify, (n + 2) * sizeof(*bigger));
	if (!bigger) {
		free(text);
		return no_memory(p);
	}
	bigger[n] = text;
	bigger[n + 1] = NULL;
	policy->notify = bigger;
	if (n == 0 && !path_is_clean(text, strlen(text)))
		return wrong(p, y->line, "exec: '%.100s' is not an absolute path; arguments are given as a list: [/usr/bin/page, on-call]", text);
	return 0;
}

static int take_exec(struct parsing *p, const struct yaml *y, const struct key *k, void *to) { return each(p, y, k, take_notify_word, to); }

static const struct key notify_keys[] = { { "exec", take_exec, 0 }, { 0 } };

static int take_notify(struct parsing *p, const struct yaml *y, const struct key *k, void *to)
{
	if (take_map(p, y, notify_keys, to, k->name) < 0)
		return -p->err->code;
	return y->n ? 0 : wrong(p, y->line, "notify: whom? say exec: /usr/local/bin/page");
}

static const struct key then_keys[] = {
	{ "history", take_history, 0 },
	{ "capture", take_capture, 0 },
	{ "clocks", take_clocks, offsetof(struct policy, clocks) },
	{ "redact", take_redact, 0 },
	{ "healthy_sample", take_healthy, 0 },
	{ "retention", take_time, offsetof(struct policy, retention), 60 * SECOND, 3650 * DAY },
	{ "store", take_store, offsetof(struct policy, store) },
	{ "notify", take_notify, 0 },
	{ 0 }
};

static int take_then(struct parsing *p, const struct yaml *y, const struct key *k, void *to) { return take_map(p, y, then_keys, to, k->name); }

/* ---- a policy ----------------------------------------------------------------------------------------- */

static int take_name(struct parsing *p, const struct yaml *y, const struct key *k, void *to)
{
	if (need(p, y, YAML_TEXT, k->name) < 0)
		return -p->err->code;
	if (strlen(y->text) > POLICY_NAME || strspn(y->text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != strlen(y->text) ||
	    !isalnum((unsigned char)y->text[0]))
		return wrong(p, y->line, "name: '%.70s': letters, digits, . _ and -, a letter or digit first, at most %d: it is part of file names", y->text,
			     POLICY_NAME);
	for (size_t i = 0; i + 1 < p->all->n; i++)
		if (strcmp(p->all->list[i].name, y->text) == 0)
			return wrong(p, y->line, "name: '%s' is the name of the policy on line %u, too; give it another one", y->text, p->all->list[i].line);
	return take_text(p, y, k, to);
}

static int take_scope(struct parsing *p, const struct yaml *y, const struct key *k, void *to)
{
	static const char *const words[] = { [SCOPE_REQUEST] = "request", [SCOPE_PROCESS] = "process", [SCOPE_TREE] = "tree", NULL };
	unsigned int n;

	if (take_word(p, y, k, words, "request, process, tree", &n) < 0)
		return -p->err->code;
	*(enum policy_scope *)to = (enum policy_scope)n;
	return 0;
}

static const struct key policy_keys[] = {
	{ "name", take_name, offsetof(struct policy, name) },
	{ "select", take_select, offsetof(struct policy, select) },
	{ "scope", take_scope, offsetof(struct policy, scope) },
	{ "when", take_when, offsetof(struct policy, when) },
	{ "then", take_then, 0 },
	{ 0 }
};

static const struct condition *first_of(const struct condition *c, enum condition_kind kind)
{
	const struct condition *found = c->kind == kind ? c : NULL;

	for (size_t i = 0; !found && i < c->nparts; i++)
		found = first_of(&c->parts[i], kind);
	return found;
}

/* What each part allows, and the whole does not. */
static int makes_sense(struct parsing *p, const struct yaml *y, const struct policy *policy)
{
	const struct yaml *then = member(y, "then"), *capture = then ? member(then, "capture") : NULL;
	const struct condition *status = first_of(&policy->when, WHEN_HTTP_STATUS), *latency = first_of(&policy->when, WHEN_LATENCY);

	if (policy->scope != SCOPE_REQUEST && (status || latency))
		return wrong(p, (status ? status : latency)->line, "%s is of a request, and this policy's scope is %s; say scope: request",
			     status ? "http.status" : "latency", policy->scope == SCOPE_PROCESS ? "process" : "tree");
	if (policy->capture.max_bytes > policy->capture.bytes_per_day)
		return wrong(p, capture->line, "capture: one capsule (max_bytes) may be larger than a day's (bytes_per_day); raise bytes_per_day or lower max_bytes");
	if (policy->healthy.count && policy->capture.level == LEVEL_METADATA)
		return wrong(p, member(then, "healthy_sample")->line, "healthy_sample: a good request is kept to be replayed, which level metadata can't; say capture: {level: payload}");
	return 0;
}

static int take_policy(struct parsing *p, const struct yaml *y)
{
	static const char *const required[] = { "name", "select", "when" };
	static const char *const mend[] = { "name: payments-5xx", "select: {container: payments-*}", "when: {http.status: \">= 500\"} or the like" };
	const struct yaml *then;

	p->policy = &p->all->list[p->all->n++];
	*p->policy = policy_defaults;
	p->policy->line = y->line;
	if (take_map(p, y, policy_keys, p->policy, "a policy") < 0)
		return -p->err->code;
	for (size_t i = 0; i < sizeof(required) / sizeof(required[0]); i++)
		if (!member(y, required[i]))
			return wrong(p, y->line, "this policy has no %s; say %s", required[i], mend[i]);
	then = member(y, "then");
	if ((!then || !member(then, "redact")) && add_well_known(p) < 0)
		return -p->err->code;
	return makes_sense(p, y, p->policy);
}

/* ---- the host ------------------------------------------------------------------------------------------ */

static int take_group(struct parsing *p, const struct yaml *y, const struct key *k, void *to) { return take_text(p, y, k, to); }

static const struct key host_keys[] = {
	{ "max_capsules", take_number, offsetof(struct policy_host, max_capsules), 1, 1000000 },
	{ "per_hour", take_number, offsetof(struct policy_host, per_hour), 1, 36000 },
	{ "bytes_per_day", take_size, offsetof(struct policy_host, bytes_per_day), 64 * KIB, 16 * 1024 * GIB },
	{ "group", take_group, offsetof(struct policy_host, group) },
	{ 0 }
};

static int take_entry(struct parsing *p, const struct yaml *y, bool *host)
{
	if (need(p, y, YAML_MAP, "an entry") < 0)
		return -p->err->code;
	if (!member(y, "host"))
		return take_policy(p, y);
	if (y->n != 1 || *host)
		return wrong(p, y->line, "host: it stands by itself, once: '- host: {bytes_per_day: 5GiB}'");
	*host = true;
	return take_map(p, &y->items[0], host_keys, &p->all->host, "host");
}

static int take_file(struct parsing *p, const struct yaml *y)
{
	bool host = false;
	int ret = 0;

	if (y->kind != YAML_LIST)
		return wrong(p, y->line, "a policy file is a list; begin each policy with '- name: ...'");
	if (y->n == 0 || y->n > POLICIES_MAX)
		return wrong(p, y->line, "the list has %zu entries; from 1 to %d can be", y->n, POLICIES_MAX);
	p->all->list = calloc(y->n, sizeof(*p->all->list));
	if (!p->all->list)
		return no_memory(p);
	for (size_t i = 0; ret == 0 && i < y->n; i++)
		ret = take_entry(p, &y->items[i], &host);
	if (ret == 0 && p->all->n == 0)
		return wrong(p, y->line, "there is no policy in it; begin one with '- name: ...'");
	return ret;
}

int policies_parse(struct policies **ret, const char *name, const char *text, size_t len, struct err *err)
{
	_cleanup_policies_ struct policies *all = calloc(1, sizeof(*all));
	_cleanup_yaml_ struct yaml tree = { 0 };
	struct parsing p = { .name = name, .err = err, .all = all };

	if (!all)
		return no_memory(&p);
	all->host = policy_host_defaults;
	if (yaml_parse(&tree, name, text, len, err) < 0 || take_file(&p, &tree) < 0)
		return -err->code;
	*ret = TAKE_PTR(all);
	return 0;
}

int policies_load(struct policies **ret, const char *path, struct err *err)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	int n = io_slurp(path, YAML_BYTES, &text, &len);

	if (n == -EFBIG)
		return err_set(err, EINVAL, "%.200s:1: the file is larger than %d bytes", path, YAML_BYTES);
	if (n < 0)
		return err_sys(err, -n, "opening '%.200s'", path);
	return policies_parse(ret, path, text, len, err);
}
