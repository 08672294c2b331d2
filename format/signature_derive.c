/* SPDX-License-Identifier: Apache-2.0 */
/* What went wrong, put into a signature that also knows the same failure in a build whose lines and addresses are others. */
#include "format/signature.h"

#include "format/cleanup.h"

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

enum { LINE_MAX_KEPT = 140, LINES = 64 };

/*
 * Words that stand in the line in which a runtime says why it gave up.  What
 * a program prints of its own accord changes with its logging, so other lines
 * are not part of a signature.
 */
static const char *const marks[] = {
	"panic:", "fatal error:",			/* Go */
	"terminate called", "what():",			/* C++ */
	"Assertion ", "assertion failed", "assertion `",	/* C, Rust */
	"' panicked at ",				/* Rust */
	"ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error:",	/* sanitizers */
	"*** stack smashing", "double free", "free(): ", "malloc(): ", "corrupted ",	/* glibc */
	"Exception in thread ",				/* Java */
	"Segmentation fault", "core dumped",
};

/* "ValueError: ...", "pkg.SomeException: ...", "foo.rb:3:in `bar': undefined method (NoMethodError)" */
static bool names_an_exception(const char *line, size_t len)
{
	static const char *const ends[] = { "Error", "Exception" };

	for (size_t e = 0; e < 2; e++) {
		size_t n = strlen(ends[e]);

		for (size_t i = 1; i + n < len; i++)
			if (memcmp(line + i, ends[e], n) == 0 && isalpha((unsigned char)line[i - 1]) &&
			    (line[i + n] == ':' || line[i + n] == ')'))
				return true;
	}
	return false;
}

static bool tells_why(const char *line, size_t len)
{
	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
		if (memmem(line, len, marks[i], strlen(marks[i])))
			return true;
	return names_an_exception(line, len);
}

/* The last of the last LINES lines that tells why; false: none does. */
static bool find_line(struct observed_text t, const char **ret, size_t *len)
{
	const char *text = (const char *)t.data, *end = text + t.len, *start;

	for (int i = 0; i < LINES && end > text; i++) {
		start = memrchr(text, '\n', (size_t)(end - text));
		start = start ? start + 1 : text;
		if (tells_why(start, (size_t)(end - start))) {
			*ret = start;
			*len = (size_t)(end - start);
			return true;
		}
		end = start > text ? start - 1 : text;
	}
	return false;
}

static bool is_hex(const char *s, size_t i, size_t len)
{
	return i + 2 < len && s[i] == '0' && (s[i + 1] == 'x' || s[i + 1] == 'X') && isxdigit((unsigned char)s[i + 2]);
}

/* "/src/a/b.c:17:", "main.go:5": where a source is, and which line of it, is the build's business. */
static bool is_place(const char *word, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (word[i] == '/' || (i && i + 1 < len && word[i] == ':' && isdigit((unsigned char)word[i + 1])))
			return true;
	return false;
}

/* Numbers match any number, what is not printable any byte. */
static void put_word(FILE *f, const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];

		if (is_hex(s, i, len)) {
			fputs("0[xX][0-9a-fA-F]+", f);
			for (i += 2; i + 1 < len && isxdigit((unsigned char)s[i + 1]); i++)
				;
		} else if (isdigit(c)) {
			fputs("[0-9]+", f);
			while (i + 1 < len && isdigit((unsigned char)s[i + 1]))
				i++;
		} else if (c && strchr("\\^$.|?*+()[]{}", c)) {
			fprintf(f, "\\%c", c);
		} else if (c == '\'') {
			fputs("\\'", f);
		} else if (c < ' ' || c > '~') {
			putc('.', f);
		} else {
			putc(c, f);
		}
	}
}

static void put_regex(FILE *f, const char *s, size_t len)
{
	size_t n;

	if (len > LINE_MAX_KEPT)
		len = LINE_MAX_KEPT;
	for (; len; s += n, len -= n) {
		for (n = 0; n < len && s[n] != ' '; n++)
			;
		if (is_place(s, n))
			fputs("[^ ]+", f);
		else
			put_word(f, s, n);
		if (n < len) {
			putc(' ', f);
			n++;
		}
	}
}

static void put_line(FILE *f, const struct observation *o)
{
	struct observed_text t = observed_stderr(o);
	const char *line;
	size_t len;

	if (t.known && find_line(t, &line, &len)) {
		fputs(" and stderr~'", f);
		put_regex(f, line, len);
		putc('\'', f);
	}
}

/* True: the command's own end is the failure. */
static bool put_end(FILE *f, const struct observation *o)
{
	int32_t status;

	if (!observed_end(o, &status))
		return false;
	if (WIFSIGNALED(status)) {
		if (observed_signal(o, WTERMSIG(status)))
			return false;	/* somebody ended it */
		fprintf(f, "signal=%s", sigabbrev_np(WTERMSIG(status)) ?: "KILL");
	} else if (WEXITSTATUS(status) == 0 || (WEXITSTATUS(status) > 128 && observed_signal(o, WEXITSTATUS(status) - 128))) {
		return false;
	} else {
		fprintf(f, "exit=%d", WEXITSTATUS(status));
	}
	put_line(f, o);
	return true;
}

static bool put_answers(FILE *f, const struct observation *o)
{
	const uint64_t *counts = observed_statuses(o);

	for (int i = 500; i < HTTP_STATUSES; i++)
		if (counts[i]) {
			fprintf(f, "http.status=%d", i);
			return true;
		}
	return false;
}

int signature_derive(char ret[CAPSULE_SIGNATURE], const struct observation *o, struct err *err)
{
	int32_t status;
	bool any;
	size_t len;

	_cleanup_free_ char *text = NULL;
	FILE *f = open_memstream(&text, &len);
	if (!f)
		return err_set(err, ENOMEM, "out of memory");
	any = put_end(f, o) || put_answers(f, o);
	/* Where the program goes on, they may be answered yet. */
	if (!any && observed_end(o, &status) && observed_unanswered(o)) {
		fprintf(f, "unanswered>=%llu", (unsigned long long)observed_unanswered(o));
		any = true;
	}
	if (fclose(f) != 0)
		return err_set(err, ENOMEM, "out of memory");
	any = any && len < CAPSULE_SIGNATURE;
	snprintf(ret, CAPSULE_SIGNATURE, "%s", any ? text : "");
	return 0;
}
