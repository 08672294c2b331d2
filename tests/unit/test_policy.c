/* SPDX-License-Identifier: Apache-2.0 */
/* Policy files: what they say, what they leave to the defaults, and what is refused with its line. */
#include "tests/unit/harness.h"

#include "watch/json_path.h"
#include "watch/policy.h"

#include <signal.h>
#include <sys/syscall.h>

#define MS 1000000ull
#define MIB (1ull << 20)

static struct policies *parsed(const char *text)
{
	struct policies *all = NULL;
	struct err err = ERR_INIT;

	assert_works(err, policies_parse(&all, "p.yaml", text, strlen(text), &err));
	return all;
}

/* @text is refused, with @line and @word in the message. */
static void refused_text(const char *text, size_t len, unsigned int line, const char *word)
{
	struct policies *all = NULL;
	struct err err = ERR_INIT;
	char where[40];

	assert_fails(EINVAL, err, policies_parse(&all, "p.yaml", text, len, &err));
	assert_null(all);
	snprintf(where, sizeof(where), "p.yaml:%u: ", line);
	if (strncmp(err.text, where, strlen(where)) != 0 || !strstr(err.text, word))
		fail_msg("'%s': %s (expected line %u and '%s')", text, err.text, line, word);
}

static void refused(const char *text, unsigned int line, const char *word)
{
	refused_text(text, strlen(text), line, word);
}

/* A policy with one line of its own, the fourth. */
static const char *with(const char *own)
{
	static char text[4096];

	snprintf(text, sizeof(text), "- name: a\n  select: {binary: x}\n  when: {oom: true}\n  %s\n", own);
	return text;
}

static void refused_when(const char *when, const char *word)
{
	char text[4096];

	snprintf(text, sizeof(text), "- name: a\n  select: {binary: x}\n  when:\n    %s\n", when);
	refused(text, 4, word);
}

static void refused_then(const char *then, const char *word)
{
	char own[2048];

	snprintf(own, sizeof(own), "then: {%s}", then);
	refused(with(own), 4, word);
}

static void test_whole(void **state)
{
	_cleanup_policies_ struct policies *all = parsed(
		"- host: {max_capsules: 7, per_hour: 8, bytes_per_day: 9MiB, group: adm}\n"
		"- name: payments-5xx\n"
		"  select: {container: payments-*, port: [8080, 8443], uid: 0, image: reg/pay:*}\n"
		"  scope: request\n"
		"  when: {any: [{http.status: '>= 500'}, {latency: '> 500ms'}, {signal: [SEGV, SIGABRT]}, {exit: '!= 0'},\n"
		"    {syscall: {name: connect, error: ECONNREFUSED, count: 3, within: 10s}}, {tcp.retransmits: '> 3'}, {not: {exit: 3}}, {trigger: manual}]}\n"
		"  then:\n"
		"    history: {bytes: 64MiB, seconds: 60}\n"
		"    capture: {level: payload, ttl: 10m, max_bytes: 50MiB, max_capsules: 20, per_hour: 5, cool_down: 30s, bytes_per_day: 1GiB}\n"
		"    clocks: causal\n"
		"    redact: [{header: [authorization, X-Own]}, {json: [$.card]}, {regex: '\\b\\d{13,19}\\b', as: digits}, {env: '*_TOKEN'}]\n"
		"    healthy_sample: 1 per 10m\n"
		"    retention: 2d\n"
		"    store: /srv/capsules\n"
		"    notify: {exec: [/usr/bin/page, me]}\n");
	const struct policy *p = policies_find(all, "payments-5xx");
	const struct condition *c;

	(void)state;
	assert_int_equal(all->n, 1);
	assert_int_equal(all->host.max_capsules, 7);
	assert_int_equal(all->host.bytes_per_day, 9 * MIB);
	assert_string_equal(all->host.group, "adm");
	assert_non_null(p);
	assert_int_equal(p->line, 2);
	assert_int_equal(p->select.nports, 2);
	assert_int_equal(p->select.ports[1], 8443);
	assert_true(policy_globs_match(&p->select.container, "payments-7"));
	assert_false(policy_globs_match(&p->select.container, "other"));
	assert_true(policy_globs_match(&p->select.cgroup, "/whatever"));
	assert_int_equal(p->when.kind, WHEN_ANY);
	assert_int_equal(p->when.nparts, 8);
	c = p->when.parts;
	assert_true(c[0].kind == WHEN_HTTP_STATUS && c[0].compare == CMP_GE && c[0].number == 500);
	assert_true(c[1].kind == WHEN_LATENCY && c[1].compare == CMP_GT && c[1].number == 500 * MS);
	assert_int_equal(c[2].signals, 1ull << (SIGSEGV - 1) | 1ull << (SIGABRT - 1));
	assert_true(c[3].kind == WHEN_EXIT && c[3].compare == CMP_NE && c[3].number == 0);
	assert_true(c[4].call.nr == SYS_connect && c[4].call.error == ECONNREFUSED && c[4].call.count == 3 && c[4].call.within == 10000 * MS);
	assert_true(c[6].kind == WHEN_NOT && c[6].parts[0].kind == WHEN_EXIT && c[6].parts[0].compare == CMP_EQ);
	assert_true(condition_has(&p->when, WHEN_TRIGGER));
	assert_false(condition_has(&p->when, WHEN_OOM));
	assert_int_equal(p->history.bytes, 64 * MIB);
	assert_int_equal(p->history.time, 60000 * MS);
	assert_int_equal(p->capture.level, LEVEL_PAYLOAD);
	assert_int_equal(p->capture.ttl, 600000 * MS);
	assert_int_equal(p->capture.bytes_per_day, 1024 * MIB);
	assert_int_equal(p->clocks, CLOCKS_CAUSAL);
	assert_true(p->healthy.count == 1 && p->healthy.period == 600000 * MS);
	assert_int_equal(p->retention, 2 * 86400000 * MS);
	assert_string_equal(p->store, "/srv/capsules");
	assert_string_equal(p->notify[1], "me");
	assert_null(p->notify[2]);
	assert_int_equal(p->redact[3].as, AS_DIGITS);
	assert_int_equal(p->redact[3].kind, REDACT_REGEX);
}

/* What is not said is safe. */
static void test_defaults(void **state)
{
	_cleanup_policies_ struct policies *all = parsed(with(""));
	const struct policy *p = &all->list[0];
	bool cookie = false;

	(void)state;
	assert_int_equal(p->capture.level, LEVEL_METADATA);
	assert_int_equal(p->scope, SCOPE_REQUEST);
	assert_int_equal(p->capture.per_hour, 5);
	assert_string_equal(p->store, POLICY_STORE);
	assert_int_equal(p->healthy.count, 0);
	assert_null(p->notify);
	for (size_t i = 0; i < p->nredact; i++)
		cookie |= p->redact[i].kind == REDACT_HEADER && strcmp(p->redact[i].what, "cookie") == 0;
	assert_true(cookie);
	assert_null(all->host.group);
}

/* The well-known ones are added to rules that are given, once; only the word none takes them away. */
static void test_redaction_is_on(void **state)
{
	_cleanup_policies_ struct policies *some = parsed(with("then: {redact: [{header: Cookie}]}"));
	_cleanup_policies_ struct policies *none = parsed(with("then: {redact: none}"));
	_cleanup_policies_ struct policies *plain = parsed(with(""));

	(void)state;
	assert_int_equal(some->list[0].nredact, plain->list[0].nredact);
	assert_int_equal(none->list[0].nredact, 0);
}

static void test_binaries(void **state)
{
	_cleanup_policies_ struct policies *all = parsed("- name: a\n  select: {binary: [python3*, /opt/*/bin/x]}\n  when: {oom: true}\n");
	const struct policy_select *s = &all->list[0].select;

	(void)state;
	assert_true(policy_binary_matches(s, "/usr/bin/python3.11"));
	assert_true(policy_binary_matches(s, "/opt/a/bin/x"));
	assert_false(policy_binary_matches(s, "/usr/bin/x"));
}

static void test_not_yaml(void **state)
{
	(void)state;
	refused("", 1, "empty");
	refused("# nothing\n", 1, "empty");
	refused("a: b\n", 1, "list");
	refused("[]\n", 1, "0 entries");
	refused("- name: a\n   bad: [\n", 2, "not YAML");
	refused("- &x {name: a}\n", 1, "anchors");
	refused("- name: a\n- *x\n", 2, "aliases");
	refused("- !!str a\n", 1, "tags");
	refused("- name: a\n  select: {binary: x}\n  when: {oom: true}\n---\n- b\n", 5, "second document");
	refused("- name: a\n  name: b\n", 2, "twice");
	refused("- name: \"a\\0b\"\n", 1, "NUL");
	refused_text("- a\xff\xfe\n", 6, 1, "not YAML");
	refused("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", 1, "deep");
}

static void test_missing(void **state)
{
	(void)state;
	refused("- select: {binary: x}\n  when: {oom: true}\n", 1, "no name");
	refused("\n- name: a\n  when: {oom: true}\n", 2, "no select");
	refused("- name: a\n  select: {binary: x}\n", 1, "no when");
	refused("- host: {per_hour: 3}\n", 1, "no policy");
	refused("- host: {per_hour: 3}\n- host: {per_hour: 3}\n", 2, "once");
	refused("- name: a\n  select: {binary: x}\n  when: {oom: true}\n- name: a\n", 4, "line 1");
}

static void test_unknown_keys(void **state)
{
	(void)state;
	refused(with("thn: {}"), 4, "'thn'");
	refused(with("scope: thread"), 4, "'thread'");
	refused_then("captur: {}", "it knows history, capture");
	refused_then("history: {byts: 1}", "'byts'");
	refused_then("capture: {levle: payload}", "'levle'");
	refused_then("notify: {mail: x}", "'mail'");
	refused_then("redact: [{headr: x}]", "'headr'");
	refused_when("{http.code: 500}", "'http.code'");
	refused_when("{syscall: {nam: connect}}", "'nam'");
	refused("- name: a\n  select:\n    pod: x\n", 3, "'pod'");
	refused("- host: {x: 1}\n", 1, "'x'");
}

static void test_selectors(void **state)
{
	(void)state;
	refused("- name: a\n  select: {}\n", 2, "everything");
	refused("- name: a\n  select: x\n", 2, "map");
	refused("- name: a\n  select: {port: 0}\n", 2, "too small");
	refused("- name: a\n  select: {port: 65536}\n", 2, "too much");
	refused("- name: a\n  select: {port: http}\n", 2, "whole number");
	refused("- name: a\n  select: {port: '80'}\n", 2, "quotes");
	refused("- name: a\n  select: {pid: 0}\n", 2, "too small");
	refused("- name: a\n  select: {uid: -1}\n", 2, "whole number");
	refused("- name: a\n  select: {container: a b}\n", 2, "match nothing");
	refused("- name: a\n  select: {cgroup: system.slice}\n", 2, "begins with /");
	refused("- name: a\n  select: {binary: bin/x}\n", 2, "begins with /");
	refused("- name: a\n  select:\n    container: x\n    cgroup: /y\n", 4, "not both");
	refused("- name: a\n  select: {binary: []}\n", 2, "0 entries");
	refused("- name: a\n  select: {binary: ''}\n", 2, "empty");
	refused("- name: a\n  select: {binary: {x: y}}\n", 2, "list");
	refused("- name: ../a\n", 1, "file names");
	refused("- name: 'a/b'\n", 1, "file names");
}

static void test_conditions(void **state)
{
	(void)state;
	refused_when("{http.status: '>= 600'}", "from 100 to 599");
	refused_when("{http.status: '>= 100'}", "always");
	refused_when("{http.status: '> 599'}", "never");
	refused_when("{http.status: 5xx}", "number");
	refused_when("{http.status: '=> 500'}", "number");
	refused_when("{exit: 256}", "from 0 to 255");
	refused_when("{exit: '>= 0'}", "always");
	refused_when("{exit: '< 0'}", "never");
	refused_when("{latency: '> 500'}", "ms, s");
	refused_when("{latency: '> 500 lightyears'}", "ms, s");
	refused_when("{latency: 500ms}", ">");
	refused_when("{latency: '> 0s'}", "nothing");
	refused_when("{latency: '> 2d'}", "day");
	refused_when("{signal: SEVG}", "no signal");
	refused_when("{signal: CHLD}", "kills nobody");
	refused_when("{signal: []}", "0 entries");
	refused_when("{syscall: {name: conect}}", "no system call");
	refused_when("{syscall: {error: ENOSPC}}", "which one");
	refused_when("{syscall: {name: connect, error: REFUSED}}", "no error");
	refused_when("{syscall: {name: connect, count: 3}}", "within: 10s");
	refused_when("{syscall: {name: connect, within: 3s}}", "count");
	refused_when("{syscall: {name: connect, count: 0, within: 3s}}", "too small");
	refused_when("{tcp.retransmits: '>= 0'}", "always");
	refused_when("{oom: false}", "left out");
	refused_when("{trigger: automatic}", "manual");
	refused_when("{not: {trigger: manual}}", "opposite");
	refused_when("{any: []}", "0 conditions");
	refused_when("{any: {oom: true}}", "list");
	refused_when("{oom: true, exit: 1}", "own {...}");
	refused("- name: a\n  select: {binary: x}\n  when: {}\n", 3, "empty");
	refused_when("{not: {not: {not: {not: {not: {not: {not: {not: {not: {oom: true}}}}}}}}}}", "deep");
	refused("- name: a\n  select: {binary: x}\n  scope: process\n  when: {any: [{oom: true},\n    {latency: '> 1s'}]}\n", 5, "scope: request");
	refused("- name: a\n  select: {binary: x}\n  when: {http.status: 500}\n  scope: tree\n", 3, "scope is tree");
}

static void test_consequences(void **state)
{
	(void)state;
	refused_then("history: {bytes: 64}", "KiB, MiB");
	refused_then("history: {bytes: 64MB}", "KiB, MiB");
	refused_then("history: {bytes: 10GiB}", "too much");
	refused_then("history: {bytes: 99999999999999999999GiB}", "size");
	refused_then("history: {bytes: 18446744073709551615GiB}", "size");
	refused_then("history: {seconds: 60s}", "without unit");
	refused_then("history: {seconds: 0}", "too small");
	refused_then("history: [1]", "map");
	refused_then("capture: {level: 2}", "metadata, hashes, payload");
	refused_then("capture: {ttl: 10}", "30s");
	refused_then("capture: {ttl: 1000d}", "too much");
	refused_then("capture: {per_hour: 1.5}", "whole number");
	refused_then("capture: {max_capsules: -1}", "whole number");
	refused_then("capture: {max_bytes: 2MiB, bytes_per_day: 1MiB}", "max_bytes");
	refused_then("clocks: wall", "exact, causal");
	refused_then("healthy_sample: often", "1 per 10m");
	refused_then("healthy_sample: 0 per 10m", "from 1");
	refused_then("healthy_sample: 1 per 10m", "level: payload");
	refused_then("store: capsules", "absolute");
	refused_then("store: /a/../b", "absolute");
	refused_then("store: /", "absolute");
	refused_then("notify: {exec: page}", "absolute");
	refused_then("notify: {}", "whom");
	refused_then("retention: 1s", "too small");
}

static void test_redactions(void **state)
{
	(void)state;
	refused_then("redact: all", "list of rules");
	refused_then("redact: []", "redact: none");
	refused_then("redact: [{}]", "what?");
	refused_then("redact: [{as: digits}]", "what?");
	refused_then("redact: [{header: 'a:'}]", "no header");
	refused_then("redact: [{regex: '('}]", "at character");
	refused_then("redact: [{regex: 'a*'}]", "matches where nothing is");
	refused_then("redact: [{regex: '\\C'}]", "regex");
	refused_then("redact: [{json: card}]", "begin with $");
	refused_then("redact: [{json: $}]", "whole body");
	refused_then("redact: [{json: $.}]", "not a place");
	refused_then("redact: [{json: '$.a[x]'}]", "not a place");
	refused_then("redact: [{json: '$.a[1'}]", "not a place");
	refused_then("redact: [{regex: x, as: stars}]", "token, digits");
}

static void test_json_paths(void **state)
{
	struct json_path p;
	struct err err = ERR_INIT;

	(void)state;
	assert_works(err, json_path_parse(&p, "$.a['b.c'][3][*]..d.*", &err));
	assert_int_equal(p.n, 6);
	assert_true(p.step[0].kind == STEP_NAME && p.step[0].len == 1 && p.step[0].name[0] == 'a');
	assert_true(p.step[1].kind == STEP_NAME && p.step[1].len == 3 && memcmp(p.step[1].name, "b.c", 3) == 0);
	assert_true(p.step[2].kind == STEP_INDEX && p.step[2].index == 3);
	assert_true(p.step[3].kind == STEP_EACH && !p.step[3].deep);
	assert_true(p.step[4].kind == STEP_NAME && p.step[4].deep);
	assert_true(p.step[5].kind == STEP_EACH && !p.step[5].deep);
	json_path_clear(&p);
	assert_fails(EINVAL, err, json_path_parse(&p, "$.a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q", &err));
	json_path_clear(&p);
}

static char *said(void (*say)(FILE *, const struct policies *), const struct policies *all)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	say(f, all);
	fclose(f);
	return text;
}

static void explained(FILE *f, const struct policies *all)
{
	policy_explain(f, &all->list[0]);
}

static void test_words(void **state)
{
	_cleanup_policies_ struct policies *all = parsed(
		"- name: a\n  select: {binary: [x, y], port: 80}\n"
		"  when: {all: [{not: {exit: 0}}, {any: [{signal: [TERM, INT]}, {latency: '<= 90s'}]}]}\n"
		"  then: {capture: {level: payload}, redact: none, healthy_sample: 2 per 1h}\n");
	char *text = said(explained, all), *json = said(policies_json, all);

	(void)state;
	assert_non_null(strstr(text, "whose executable is 'x' or 'y' and that listen on TCP port 80"));
	assert_non_null(strstr(text, "it is not so that a process ends and its exit status is 0, and (a process is killed by SIGINT or SIGTERM, or "
				     "the time from the request's first byte to its answer's last is at most 90 seconds)"));
	assert_non_null(strstr(text, "NOTHING IS REDACTED"));
	assert_non_null(strstr(text, "2 good ones are kept every 1 hour."));
	assert_non_null(strstr(json, "{\"all\":[{\"not\":{\"exit\":\"= 0\"}},{\"any\":[{\"signal\":[\"INT\",\"TERM\"]},{\"latency_ns\":\"<= 90000000000\"}]}]}"));
	free(text);
	free(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_redaction_is_on),
		cmocka_unit_test(test_binaries),
		cmocka_unit_test(test_not_yaml),
		cmocka_unit_test(test_missing),
		cmocka_unit_test(test_unknown_keys),
		cmocka_unit_test(test_selectors),
		cmocka_unit_test(test_conditions),
		cmocka_unit_test(test_consequences),
		cmocka_unit_test(test_redactions),
		cmocka_unit_test(test_json_paths),
		cmocka_unit_test(test_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
