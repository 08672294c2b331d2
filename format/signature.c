/* SPDX-License-Identifier: Apache-2.0 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "format/signature.h"

#include "format/cleanup.h"

#include <ctype.h>
#include <errno.h>
#include <pcre2.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

enum kind { AND, OR, NOT, EXIT, SIGNAL, STDOUT, STDERR, STATUS, UNANSWERED, OUTPUT };
enum compare { EQ, NE, LT, LE, GT, GE };

struct node {
	enum kind kind;
	enum compare compare;
	long number;
	pcre2_code *regex;
	struct node *a, *b;
};

struct signature {
	struct node *root;
	pcre2_match_context *limits;
};

enum { DEPTH = 32, MATCH_LIMIT = 2000000, MATCH_HEAP = 32 << 10 /* KiB */ };

/* ---- parsing -------------------------------------------------------------- */

struct parser {
	const char *text, *at;
	int depth;
	struct err *err;
};

static void node_free(struct node *n)
{
	if (!n)
		return;
	node_free(n->a);
	node_free(n->b);
	pcre2_code_free(n->regex);
	free(n);
}
static void cleanup_node(struct node **n) { node_free(*n); }
#define _cleanup_node_ __attribute__((cleanup(cleanup_node)))

static struct node *wrong(struct parser *p, const char *what)
{
	if (!p->err->code)
		err_set(p->err, EINVAL, "signature '%.200s': %s at '%.40s'", p->text, what, p->at);
	return NULL;
}

static struct node *node_new(struct parser *p, enum kind kind, struct node *a, struct node *b)
{
	struct node *n = calloc(1, sizeof(*n));

	if (!n) {
		err_set(p->err, ENOMEM, "out of memory");
		node_free(a);
		node_free(b);
		return NULL;
	}
	n->kind = kind;
	n->a = a;
	n->b = b;
	return n;
}

static void skip_space(struct parser *p)
{
	while (isspace((unsigned char)*p->at))
		p->at++;
}

/* Is @word next, as a whole word? Then it is behind us. */
static bool take_word(struct parser *p, const char *word)
{
	size_t len = strlen(word);

	skip_space(p);
	if (strncmp(p->at, word, len) != 0 || isalnum((unsigned char)p->at[len]))
		return false;
	p->at += len;
	return true;
}

static bool take(struct parser *p, const char *text)
{
	size_t len = strlen(text);

	if (strncmp(p->at, text, len) != 0)
		return false;
	p->at += len;
	return true;
}

static bool take_compare(struct parser *p, enum compare *ret)
{
	static const struct { const char *text; enum compare compare; } words[] = {
		{ "!=", NE }, { "<=", LE }, { ">=", GE }, { "==", EQ }, { "=", EQ }, { "<", LT }, { ">", GT },
	};

	skip_space(p);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (take(p, words[i].text)) {
			*ret = words[i].compare;
			skip_space(p);
			return true;
		}
	return false;
}

static struct node *number_term(struct parser *p, enum kind kind)
{
	_cleanup_node_ struct node *n = node_new(p, kind, NULL, NULL);
	char *end;

	if (!n)
		return NULL;
	if (!take_compare(p, &n->compare))
		return wrong(p, "=, !=, <, <=, > or >= is missing");
	errno = 0;
	n->number = strtol(p->at, &end, 10);
	if (errno || end == p->at)
		return wrong(p, "a number is missing");
	p->at = end;
	return TAKE_PTR(n);
}

static int signal_number(const char *name, size_t len)
{
	if (len > 3 && strncmp(name, "SIG", 3) == 0) {
		name += 3;
		len -= 3;
	}
	for (int i = 1; i < NSIG; i++) {
		const char *abbrev = sigabbrev_np(i);

		if (abbrev && strlen(abbrev) == len && strncmp(abbrev, name, len) == 0)
			return i;
	}
	return 0;
}

static struct node *signal_term(struct parser *p)
{
	_cleanup_node_ struct node *n = node_new(p, SIGNAL, NULL, NULL);
	size_t len = 0;

	if (!n)
		return NULL;
	if (!take_compare(p, &n->compare) || n->compare > NE)
		return wrong(p, "= or != is missing");
	while (isalnum((unsigned char)p->at[len]))
		len++;
	n->number = signal_number(p->at, len);
	if (!n->number)
		return wrong(p, "no name of a signal, as in SEGV,");
	p->at += len;
	return TAKE_PTR(n);
}

/* The regex's text into @buf of SIGNATURE_MAX + 1. */
static bool regex_text(struct parser *p, char *buf)
{
	size_t n = 0;

	if (*p->at != '\'') {
		while (*p->at && !isspace((unsigned char)*p->at) && *p->at != ')' && n < SIGNATURE_MAX)
			buf[n++] = *p->at++;
		buf[n] = 0;
		return n > 0;
	}
	for (p->at++; *p->at && *p->at != '\'' && n < SIGNATURE_MAX - 1; p->at++) {
		/* What a backslash stands before belongs to it: \\' ends the text, \' doesn't. */
		if (p->at[0] == '\\' && p->at[1]) {
			if (p->at[1] != '\'')
				buf[n++] = *p->at;
			p->at++;
		}
		buf[n++] = *p->at;
	}
	buf[n] = 0;
	return n > 0 && take(p, "'");
}

static struct node *regex_term(struct parser *p, enum kind kind)
{
	_cleanup_node_ struct node *n = node_new(p, kind, NULL, NULL);
	char text[SIGNATURE_MAX + 1];
	PCRE2_SIZE at;
	int code;

	if (!n)
		return NULL;
	skip_space(p);
	if (!take(p, "~"))
		return wrong(p, "~ is missing");
	skip_space(p);
	if (!regex_text(p, text))
		return wrong(p, "a regex is missing, or its closing quote,");
	n->regex = pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &code, &at,
				 NULL);
	if (!n->regex) {
		PCRE2_UCHAR why[120];

		pcre2_get_error_message(code, why, sizeof(why));
		err_set(p->err, EINVAL, "signature: regex '%.100s': %s at its byte %zu", text, why, at);
		return NULL;
	}
	return TAKE_PTR(n);
}

static struct node *output_term(struct parser *p)
{
	_cleanup_node_ struct node *n = node_new(p, OUTPUT, NULL, NULL);

	if (!n)
		return NULL;
	if (!take_compare(p, &n->compare) || n->compare > NE || !take_word(p, "identical"))
		return wrong(p, "=identical is missing");
	return TAKE_PTR(n);
}

static struct node *term(struct parser *p)
{
	if (take_word(p, "exit"))
		return number_term(p, EXIT);
	if (take_word(p, "signal"))
		return signal_term(p);
	if (take_word(p, "stdout"))
		return regex_term(p, STDOUT);
	if (take_word(p, "stderr"))
		return regex_term(p, STDERR);
	if (take_word(p, "http.status"))
		return number_term(p, STATUS);
	if (take_word(p, "unanswered"))
		return number_term(p, UNANSWERED);
	if (take_word(p, "output"))
		return output_term(p);
	return wrong(p, "none of exit, signal, stdout, stderr, http.status, unanswered, output");
}

static struct node *either(struct parser *p);

static struct node *factor(struct parser *p)
{
	struct node *n;

	if (p->depth >= DEPTH)
		return wrong(p, "too many brackets");
	p->depth++;
	skip_space(p);
	if (take_word(p, "not")) {
		n = factor(p);
		n = n ? node_new(p, NOT, n, NULL) : NULL;
	} else if (take(p, "(")) {
		n = either(p);
		skip_space(p);
		if (n && !take(p, ")")) {
			node_free(n);
			n = wrong(p, "a closing bracket is missing");
		}
	} else {
		n = term(p);
	}
	p->depth--;
	return n;
}

static struct node *joined(struct parser *p, const char *word, enum kind kind, struct node *(*part)(struct parser *p))
{
	struct node *a = part(p), *b;

	while (a && take_word(p, word)) {
		b = part(p);
		if (!b) {
			node_free(a);
			return NULL;
		}
		a = node_new(p, kind, a, b);
	}
	return a;
}

static struct node *both(struct parser *p)
{
	return joined(p, "and", AND, factor);
}

static struct node *either(struct parser *p)
{
	return joined(p, "or", OR, both);
}

int signature_parse(struct signature **ret, const char *text, struct err *err)
{
	struct parser p = { .text = text, .at = text, .err = err };

	if (strlen(text) > SIGNATURE_MAX)
		return err_set(err, EINVAL, "signature: longer than %d bytes", SIGNATURE_MAX);
	_cleanup_signature_ struct signature *s = calloc(1, sizeof(*s));
	if (s)
		s->limits = pcre2_match_context_create(NULL);
	if (!s || !s->limits)
		return err_set(err, ENOMEM, "out of memory");
	pcre2_set_match_limit(s->limits, MATCH_LIMIT);
	pcre2_set_heap_limit(s->limits, MATCH_HEAP);
	s->root = either(&p);
	skip_space(&p);
	if (s->root && *p.at)
		wrong(&p, "and, or, or the end is missing");
	if (err->code)
		return -err->code;
	*ret = TAKE_PTR(s);
	return 0;
}

void signature_free(struct signature *s)
{
	if (!s)
		return;
	node_free(s->root);
	pcre2_match_context_free(s->limits);
	free(s);
}

/* ---- judging ------------------------------------------------------------------ */

static bool compares(long a, enum compare how, long b)
{
	switch (how) {
	case EQ: return a == b;
	case NE: return a != b;
	case LT: return a < b;
	case LE: return a <= b;
	case GT: return a > b;
	case GE: return a >= b;
	}
	return false;
}

static enum truth truth(bool is)
{
	return is ? TRUTH_YES : TRUTH_NO;
}

static enum truth matches(const struct signature *s, const struct node *n, struct observed_text t)
{
	pcre2_match_data *found = pcre2_match_data_create(1, NULL);
	int r = found ? pcre2_match(n->regex, t.len ? (PCRE2_SPTR)t.data : (PCRE2_SPTR) "", t.len, 0, 0, found, s->limits)
		      : PCRE2_ERROR_NOMEMORY;

	pcre2_match_data_free(found);
	if (r >= 0)
		return TRUTH_YES;
	if (r != PCRE2_ERROR_NOMATCH || !t.known || t.total > t.len)
		return TRUTH_UNKNOWN;	/* it may be in what was not kept */
	return TRUTH_NO;
}

static enum truth ended_so(const struct node *n, const struct observation *o)
{
	int32_t status;

	if (!observed_end(o, &status))
		return TRUTH_UNKNOWN;
	if (n->kind == EXIT)
		return truth(WIFEXITED(status) && compares(WEXITSTATUS(status), n->compare, n->number));
	return truth(compares(WIFSIGNALED(status) ? WTERMSIG(status) : 0, n->compare, n->number));
}

static enum truth has_status(const struct node *n, const struct observation *o)
{
	const uint64_t *counts = observed_statuses(o);

	for (long i = 0; i < HTTP_STATUSES; i++)
		if (counts[i] && compares(i, n->compare, n->number))
			return TRUTH_YES;
	return TRUTH_NO;
}

static enum truth holds(const struct signature *s, const struct node *n, const struct observation *o)
{
	enum truth a, b;

	switch (n->kind) {
	case AND:
	case OR:
		a = holds(s, n->a, o);
		b = holds(s, n->b, o);
		if (n->kind == AND ? a == TRUTH_NO || b == TRUTH_NO : a == TRUTH_YES || b == TRUTH_YES)
			return truth(n->kind == OR);
		return a == TRUTH_UNKNOWN || b == TRUTH_UNKNOWN ? TRUTH_UNKNOWN : truth(n->kind == AND);
	case NOT:
		a = holds(s, n->a, o);
		return a == TRUTH_UNKNOWN ? a : truth(a == TRUTH_NO);
	case EXIT:
	case SIGNAL:
		return ended_so(n, o);
	case STDOUT:
		return matches(s, n, observed_stdout(o));
	case STDERR:
		return matches(s, n, observed_stderr(o));
	case STATUS:
		return has_status(n, o);
	case UNANSWERED:
		return truth(compares((long)observed_unanswered(o), n->compare, n->number));
	case OUTPUT:
		return truth(observed_the_same(o) == (n->compare == EQ));
	}
	return TRUTH_UNKNOWN;
}

enum truth signature_holds(const struct signature *s, const struct observation *o)
{
	return holds(s, s->root, o);
}
