/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/policy.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#define SECOND 1000000000ull
#define MIB (1ull << 20)

/* Exact clocks, as in record: without them a capsule is worth little; metadata: no payload until somebody wants it. */
const struct policy policy_defaults = {
	.scope = SCOPE_REQUEST,
	.history = { 16 * MIB, 30 * SECOND },
	.capture = {
		.level = LEVEL_METADATA, .ttl = 600 * SECOND, .max_bytes = 50 * MIB, .max_capsules = 20, .per_hour = 5, .cool_down = 30 * SECOND,
		.bytes_per_day = 1024 * MIB,
	},
	.clocks = CLOCKS_EXACT,
	.retention = 30 * 86400 * SECOND,
	.store = (char *)POLICY_STORE,
};

const struct policy_host policy_host_defaults = { .max_capsules = 200, .per_hour = 60, .bytes_per_day = 5 * 1024 * MIB };

const char *const redact_kind_names[REDACT_KINDS] = {
	[REDACT_HEADER] = "header", [REDACT_QUERY] = "query", [REDACT_FORM] = "form",
	[REDACT_JSON] = "json", [REDACT_ENV] = "env", [REDACT_REGEX] = "regex",
};

bool policy_globs_match(const struct policy_globs *g, const char *text)
{
	for (size_t i = 0; i < g->n; i++)
		if (fnmatch(g->glob[i], text, 0) == 0)
			return true;
	return g->n == 0;
}

bool policy_binary_matches(const struct policy_select *s, const char *path)
{
	const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;

	for (size_t i = 0; i < s->binary.n; i++)
		if (fnmatch(s->binary.glob[i], strchr(s->binary.glob[i], '/') ? path : base, 0) == 0)
			return true;
	return s->binary.n == 0;
}

bool policy_compare(enum policy_compare c, uint64_t a, uint64_t b)
{
	switch (c) {
	case CMP_EQ:
		return a == b;
	case CMP_NE:
		return a != b;
	case CMP_LT:
		return a < b;
	case CMP_LE:
		return a <= b;
	case CMP_GT:
		return a > b;
	case CMP_GE:
		return a >= b;
	}
	return false;
}

bool condition_has(const struct condition *c, enum condition_kind kind)
{
	if (c->kind == kind)
		return true;
	for (size_t i = 0; i < c->nparts; i++)
		if (condition_has(&c->parts[i], kind))
			return true;
	return false;
}

const struct policy *policies_find(const struct policies *p, const char *name)
{
	for (size_t i = 0; i < p->n; i++)
		if (strcmp(p->list[i].name, name) == 0)
			return &p->list[i];
	return NULL;
}

bool policy_names_containers(const struct policy *p)
{
	return p->select.container.n || p->select.image.n;
}

bool policies_name_containers(const struct policies *p)
{
	for (size_t i = 0; i < p->n; i++)
		if (policy_names_containers(&p->list[i]))
			return true;
	return false;
}

static void globs_clear(struct policy_globs *g)
{
	for (size_t i = 0; i < g->n; i++)
		free(g->glob[i]);
	free(g->glob);
}

static void condition_clear(struct condition *c)
{
	for (size_t i = 0; i < c->nparts; i++)
		condition_clear(&c->parts[i]);
	free(c->parts);
}

static void policy_clear(struct policy *p)
{
	globs_clear(&p->select.container);
	globs_clear(&p->select.cgroup);
	globs_clear(&p->select.image);
	globs_clear(&p->select.binary);
	free(p->select.uids);
	free(p->select.pids);
	free(p->select.ports);
	condition_clear(&p->when);
	for (size_t i = 0; i < p->nredact; i++)
		free(p->redact[i].what);
	free(p->redact);
	for (char **word = p->notify; word && *word; word++)
		free(*word);
	free(p->notify);
	free(p->name);
	if (p->store != policy_defaults.store)
		free(p->store);
}

void policies_free(struct policies *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->n; i++)
		policy_clear(&p->list[i]);
	free(p->list);
	free(p->host.group);
	free(p);
}
