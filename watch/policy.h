/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policies of `capsule watch`: whom to look at, what is a failure, what is kept of it.
 *
 * A policy file is a YAML list (capsule(1), "POLICIES", is its description). What it does not say has the value of policy_defaults,
 * which is the safe one: level metadata, small histories, the well-known secret headers redacted.
 *
 * Plain data, owned by struct policies and constant after loading; sizes in bytes, times in ns, all within the bounds below.
 * A file is taken whole or refused: "FILE:LINE: what is wrong; how to mend it".
 */
#ifndef CAPSULE_POLICY_H
#define CAPSULE_POLICY_H

#include "format/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum {
	POLICIES_MAX = 256,		/* in a file */
	POLICY_NAME = 63,		/* bytes of a name: it is part of file names */
	POLICY_WORDS = 64,		/* patterns, numbers, rules in one list */
	POLICY_CONDITIONS = 64,		/* in one policy's when */
	POLICY_DEPTH = 8,		/* of any, all, not */
};

enum policy_scope {
	SCOPE_REQUEST,	/* from an inbound connection's first bytes of a request to the last of its answer */
	SCOPE_PROCESS,	/* a process with its threads */
	SCOPE_TREE,	/* and all that it starts */
};

enum policy_level {
	LEVEL_METADATA,	/* calls, sizes, errors, latencies; no byte of payload */
	LEVEL_HASHES,	/* and timing and hashes */
	LEVEL_PAYLOAD,	/* all, redacted */
};

enum policy_clocks { CLOCKS_EXACT, CLOCKS_CAUSAL };

/* ---- whom ------------------------------------------------------------------------- */

struct policy_globs {
	size_t n;
	char **glob;	/* as fnmatch(3) has them, without flags */
};

/* All members that are given must match (one of each list); at least one is given. */
struct policy_select {
	struct policy_globs container;	/* its name or its id */
	struct policy_globs cgroup;	/* its path, "/system.slice/a.service" */
	struct policy_globs image;	/* its reference */
	struct policy_globs binary;	/* the executable: its path if the glob has a slash, else its last component */
	size_t nuids, npids, nports;
	uint32_t *uids, *pids;
	uint16_t *ports;		/* TCP, listening: requests come in on it */
};

/* Does @text match one of @g? True where none is given. */
bool policy_globs_match(const struct policy_globs *g, const char *text);
/* The same for @select->binary and the executable's @path. */
bool policy_binary_matches(const struct policy_select *s, const char *path);

/* ---- when ------------------------------------------------------------------------- */

enum policy_compare { CMP_EQ, CMP_NE, CMP_LT, CMP_LE, CMP_GT, CMP_GE };

enum condition_kind {
	WHEN_ANY, WHEN_ALL, WHEN_NOT,	/* of parts; not: of one */
	WHEN_HTTP_STATUS,	/* scope request: the answer's final status, compared with number */
	WHEN_LATENCY,		/* scope request: from the request's first byte to its answer's last, ns, compared with number */
	WHEN_SIGNAL,		/* the process was killed by one of signals */
	WHEN_EXIT,		/* the process's exit status, compared with number (one killed has none) */
	WHEN_SYSCALL,		/* calls that failed, see call */
	WHEN_RETRANSMITS,	/* tcp.retransmits: of one connection of the scope, compared with number */
	WHEN_OOM,		/* the kernel killed it for want of memory */
	WHEN_TRIGGER,		/* somebody said `capsule trigger NAME` */
	CONDITION_KINDS
};

struct condition {
	enum condition_kind kind;
	unsigned int line;
	size_t nparts;
	struct condition *parts;
	enum policy_compare compare;
	uint64_t number;
	uint64_t signals;	/* bit N-1: signal N */
	struct {
		uint32_t nr;
		int error;	/* an errno value; 0: any failure */
		uint32_t count;	/* so many ... */
		uint64_t within;	/* ... within so many ns */
	} call;
};

bool policy_compare(enum policy_compare c, uint64_t a, uint64_t b);
/* Is there a condition of @kind anywhere in it? For arming only what is needed. */
bool condition_has(const struct condition *c, enum condition_kind kind);

/* ---- then ------------------------------------------------------------------------- */

enum redact_kind {
	REDACT_HEADER,	/* of HTTP requests and answers, by name, whatever the case */
	REDACT_QUERY,	/* a parameter of a request's target */
	REDACT_FORM,	/* a field of an application/x-www-form-urlencoded or multipart/form-data body */
	REDACT_JSON,	/* a place in a JSON body: $.a.b[0], $.list[*].c, $..name */
	REDACT_ENV,	/* the values of environment variables, by glob */
	REDACT_REGEX,	/* in any text that came or went; PCRE2 */
	REDACT_KINDS
};
extern const char *const redact_kind_names[REDACT_KINDS];

enum redact_as {
	AS_TOKEN,	/* letters become letters, digits digits, all else stays */
	AS_DIGITS,	/* only digits change */
};

struct redact_rule {
	enum redact_kind kind;
	enum redact_as as;
	char *what;		/* the name, pointer, glob or regex */
	unsigned int line;	/* 0: a default */
};

struct policy {
	char *name;
	unsigned int line;
	struct policy_select select;
	enum policy_scope scope;
	struct condition when;

	struct { uint64_t bytes, time; } history;	/* what is kept from before, for each scope */
	struct {
		enum policy_level level;
		uint64_t ttl;		/* how long the level stays raised */
		uint64_t max_bytes;	/* of one capsule */
		uint64_t max_capsules;	/* in the store at one time, of this policy */
		uint64_t per_hour;
		uint64_t cool_down;	/* after a capsule */
		uint64_t bytes_per_day;
	} capture;
	enum policy_clocks clocks;
	size_t nredact;
	struct redact_rule *redact;
	struct { uint64_t count, period; } healthy;	/* good requests that are kept, too; count 0: none */
	uint64_t retention;	/* a capsule's age at which it is removed */
	char *store;		/* a directory */
	char **notify;		/* a command and its arguments, NULL-terminated; NULL: none */
};

/* For all policies together. */
struct policy_host {
	uint64_t max_capsules, per_hour, bytes_per_day;
	char *group;		/* whose members may trigger; NULL: only root */
};

struct policies {
	size_t n;
	struct policy *list;
	struct policy_host host;
};

/* What a policy that says nothing of it has; the lists and texts of it are not set, but for the store's. */
extern const struct policy policy_defaults;
extern const struct policy_host policy_host_defaults;
#define POLICY_STORE "/var/lib/capsule"

/* EINVAL: "@name:LINE: what is wrong; how to mend it". */
int policies_parse(struct policies **ret, const char *name, const char *text, size_t len, struct err *err);
int policies_load(struct policies **ret, const char *path, struct err *err);
void policies_free(struct policies *p);	/* NULL is fine */
/* NULL: there is none of that name. */
/* Does it select by what an engine knows of a container? */
bool policy_names_containers(const struct policy *p);
bool policies_name_containers(const struct policies *p);
const struct policy *policies_find(const struct policies *p, const char *name);

#define _cleanup_policies_ __attribute__((cleanup(cleanup_policies)))
static inline void cleanup_policies(struct policies **p) { policies_free(*p); }

/* ---- in words (watch/policy_explain.c) ------------------------------------------------ */

/* A paragraph for people who never saw a policy. */
void policy_explain(FILE *f, const struct policy *p);
void policy_host_explain(FILE *f, const struct policy_host *h);
/* One JSON object, all values with their defaults filled in. */
void policies_json(FILE *f, const struct policies *p);

#endif
