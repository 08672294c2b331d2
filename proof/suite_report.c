/* SPDX-License-Identifier: Apache-2.0 */
/* What CI servers read. */
#include <linux/types.h>

#include "proof/suite.h"

#include "format/cleanup.h"
#include "format/text.h"

#include <string.h>

/* ---- JUnit ------------------------------------------------------------------- */

/* XML 1.0 has no place for control characters and for what is not UTF-8. */
static void xml(FILE *f, const char *s)
{
	const uint8_t *p = (const uint8_t *)s;
	size_t left = strlen(s), n;
	uint32_t c;

	for (; left; p += n, left -= n) {
		n = utf8_next(p, left, &c);
		if (!n || (c < ' ' && c != '\t') || c == 0x7f || (c & 0xfffe) == 0xfffe) {
			putc('?', f);
			n = n ? n : 1;
		} else if (strchr("<>&\"'", (int)c) && c < 128 && c) {
			fprintf(f, "&#%u;", c);
		} else {
			fwrite(p, 1, n, f);
		}
	}
}

static void junit_case(FILE *f, const struct suite_case *c)
{
	const char *slash = strrchr(c->file, '/');
	static const char *const element[OUTCOMES] = {
		[OUTCOME_FAILED] = "failure", [OUTCOME_INCOMPLETE] = "error", [OUTCOME_ERROR] = "error", [OUTCOME_WAITING] = "error",
	};

	_cleanup_free_ char *folder = slash ? strndup(c->file, (size_t)(slash - c->file)) : NULL;
	fputs("    <testcase classname=\"", f);
	xml(f, folder ? folder : ".");
	fputs("\" name=\"", f);
	xml(f, slash ? slash + 1 : c->file);
	fprintf(f, "\" time=\"%.3f\">\n", c->seconds);
	if (element[c->outcome]) {
		fprintf(f, "      <%s type=\"%s\" message=\"", element[c->outcome], outcome_name(c->outcome));
		xml(f, c->why);
		fputs("\">", f);
		xml(f, c->file);
		fprintf(f, "</%s>\n", element[c->outcome]);
	}
	fputs("    </testcase>\n", f);
}

void suite_junit(FILE *f, const struct suite *s)
{
	size_t errors = s->count[OUTCOME_ERROR] + s->count[OUTCOME_INCOMPLETE];

	fprintf(f, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites tests=\"%zu\" failures=\"%zu\" errors=\"%zu\" time=\"%.3f\">\n"
		"  <testsuite name=\"capsule\" tests=\"%zu\" failures=\"%zu\" errors=\"%zu\" skipped=\"0\" time=\"%.3f\">\n",
		s->n, s->count[OUTCOME_FAILED], errors, s->seconds, s->n, s->count[OUTCOME_FAILED], errors, s->seconds);
	for (size_t i = 0; i < s->n; i++)
		junit_case(f, &s->cases[i]);
	fputs("  </testsuite>\n</testsuites>\n", f);
}

/* ---- JSON --------------------------------------------------------------------- */

static void text(FILE *f, const char *name, const char *s)
{
	fprintf(f, ",\"%s\":", name);
	text_json(f, s, strlen(s));
}

void suite_json(FILE *f, const struct suite *s)
{
	fputs("{\"capsules\":[", f);
	for (size_t i = 0; i < s->n; i++) {
		const struct suite_case *c = &s->cases[i];

		fprintf(f, "%s{\"file\":", i ? "," : "");
		text_json(f, c->file, strlen(c->file));
		text(f, "outcome", outcome_name(c->outcome));
		text(f, "why", c->why);
		text(f, "signature", c->signature);
		fprintf(f, ",\"misses\":%llu,\"seconds\":%.3f}", (unsigned long long)c->misses, c->seconds);
	}
	fprintf(f, "],\"passed\":%zu,\"failed\":%zu,\"incomplete\":%zu,\"errors\":%zu,\"seconds\":%.3f}\n", s->count[OUTCOME_PASSED],
		s->count[OUTCOME_FAILED], s->count[OUTCOME_INCOMPLETE], s->count[OUTCOME_ERROR], s->seconds);
}

/* ---- TAP ------------------------------------------------------------------------ */

/* A # would begin a directive. */
static void tap_text(FILE *f, const char *s)
{
	for (; *s; s++)
		putc(*s == '#' || (unsigned char)*s < ' ' ? '.' : *s, f);
}

void suite_tap_head(FILE *f, const struct suite *s)
{
	fprintf(f, "TAP version 13\n1..%zu\n", s->n);
}

void suite_tap(FILE *f, const struct suite *s, size_t i)
{
	const struct suite_case *c = &s->cases[i];

	fprintf(f, "%s %zu - ", c->outcome == OUTCOME_PASSED ? "ok" : "not ok", i + 1);
	tap_text(f, c->file);
	putc('\n', f);
	if (c->why[0]) {
		fprintf(f, "# %s: ", outcome_name(c->outcome));
		tap_text(f, c->why);
		putc('\n', f);
	}
}
