/* SPDX-License-Identifier: Apache-2.0 */
/* capsule diff: two runs beside each other, recorded ones or replays that were saved. */
#include <linux/types.h>

#include "proof/outcome.h"

#include "format/cleanup.h"
#include "format/cli.h"
#include "format/text.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { KEEP = 16 << 20, CONTEXT = 40, LINES = 12, PROBE = 4096, DIFFERENT = 1 };

static const struct opt options[] = {
	{ 0, "stack", NULL, "say where in the source the first difference comes from, as capsule replay --stack found it" },
	{ 0, "sources", NULL, "counts and times of all that came and went, also where nothing differs" },
	{ 'q', "quiet", NULL, "say nothing; the exit status tells" },
	{ 0 }
};

struct diff {
	bool quiet, colour, stack, sources;
	int width;		/* of a column */
	size_t different;
};

static void side(const struct diff *d, const char *colour, const struct part *p, size_t at)
{
	size_t from = at > CONTEXT / 2 ? at - CONTEXT / 2 : 0;

	if (d->colour)
		printf("\033[%sm", colour);
	if (!p)
		fputs("nothing", stdout);
	else if (p->said[0])
		text_plain(stdout, p->said);
	else
		text_quoted(stdout, p->data + from, p->len - from, CONTEXT);
	if (d->colour)
		fputs("\033[m", stdout);
}

static size_t first_difference(const struct part *a, const struct part *b)
{
	size_t n = a->len < b->len ? a->len : b->len, i = 0;

	while (i < n && a->data[i] == b->data[i])
		i++;
	return i;
}

/* ---- beside each other ------------------------------------------------------------- */

struct text {
	const uint8_t *at, *end;
};

/* The next line, without its end; NULL: there is none. */
static const uint8_t *take_line(struct text *t, size_t *len)
{
	const uint8_t *line = t->at, *newline;

	if (t->at == t->end)
		return NULL;
	newline = memchr(t->at, '\n', (size_t)(t->end - t->at));
	*len = (size_t)((newline ? newline : t->end) - line);
	t->at = newline ? newline + 1 : t->end;
	if (*len && line[*len - 1] == '\r')
		--*len;
	return line;
}

/* At most a column of it; what is no text shows as dots.  @pad: a whole column. */
static void cell(const struct diff *d, const char *colour, const uint8_t *line, size_t len, bool pad)
{
	size_t n = 0, step;
	int columns = 0;
	uint32_t c;

	if (d->colour && colour)
		printf("\033[%sm", colour);
	for (; n < len && columns < d->width; n += step, columns++) {
		step = utf8_next(line + n, len - n, &c);
		if (!step || c < ' ' || (c >= 0x7f && c < 0xa0)) {
			putchar(step && c == '\t' ? ' ' : '.');
			step = 1;
		} else {
			fwrite(line + n, 1, step, stdout);
		}
	}
	if (d->colour && colour)
		fputs("\033[m", stdout);
	if (pad)
		printf("%*s", d->width - columns, "");
}

/* The lines of both from the first that differs on, after one that does not. */
static void beside(const struct diff *d, const struct part *a, const struct part *b)
{
	struct text t = { a->data, a->data + a->len }, u = { b->data, b->data + b->len }, before[2] = { t, u };
	const uint8_t *x, *y;
	size_t n = 0, m = 0;

	for (;;) {
		struct text now[2] = { t, u };

		x = take_line(&t, &n);
		y = take_line(&u, &m);
		if (!x || !y || n != m || memcmp(x, y, n) != 0) {
			t = before[0];
			u = before[1];
			break;
		}
		before[0] = now[0];
		before[1] = now[1];
	}
	for (int i = 0; i < LINES; i++) {
		x = take_line(&t, &n);
		y = take_line(&u, &m);
		if (!x && !y)
			return;
		bool same = x && y && n == m && memcmp(x, y, n) == 0;

		fputs("    ", stdout);
		cell(d, same ? NULL : "31", x ? x : (const uint8_t *)"", x ? n : 0, true);
		fputs(same ? "   " : x && y ? " | " : x ? " < " : " > ", stdout);
		cell(d, same ? NULL : "32", y ? y : (const uint8_t *)"", y ? m : 0, false);
		putchar('\n');
	}
	if (take_line(&t, &n) || take_line(&u, &m))
		puts("    ...");
}

/* Binary streams have no lines to lay beside each other. */
static bool is_text(const struct part *p)
{
	return p && p->data && utf8_valid(p->data, p->len < PROBE ? p->len : PROBE) && !memchr(p->data, 0, p->len < PROBE ? p->len : PROBE);
}

static void differs(void *ctx, const struct part *a, const struct part *b)
{
	struct diff *d = ctx;
	size_t at = a && b && a->data && b->data ? first_difference(a, b) : 0;

	d->different++;
	if (d->quiet)
		return;
	text_plain(stdout, (a ? a : b)->name);
	if (a && b && a->data && b->data)
		printf(", byte %zu", at);
	fputs(": ", stdout);
	side(d, "31", a, at);
	fputs(" | ", stdout);
	side(d, "32", b, at);
	if (a && b && strcmp(a->said, b->said) == 0 && a->said[0])
		fputs(", with another content", stdout);
	putchar('\n');
	if (is_text(a) && is_text(b))
		beside(d, a, b);
}

/* ---- counts and times --------------------------------------------------------------- */

static const struct flow *flow_of(const struct parts *p, const char *name)
{
	for (size_t i = 0; i < p->nflows; i++)
		if (strcmp(p->flows[i].name, name) == 0)
			return &p->flows[i];
	return NULL;
}

static void flow_text(char *buf, size_t len, const struct flow *f)
{
	size_t n = 0;

	if (!f) {
		snprintf(buf, len, "nothing");
		return;
	}
	if (f->reads)
		n += (size_t)snprintf(buf + n, len - n, "in %llu B in %llu, ", (unsigned long long)f->in, (unsigned long long)f->reads);
	if (f->writes)
		n += (size_t)snprintf(buf + n, len - n, "out %llu B in %llu, ", (unsigned long long)f->out, (unsigned long long)f->writes);
	snprintf(buf + n, len - n, "%.1f to %.1f ms", (double)f->first / 1e6, (double)f->last / 1e6);
}

static void flow_row(const struct diff *d, const char *name, const struct flow *a, const struct flow *b)
{
	char left[120], right[120];
	bool same = a && b && a->in == b->in && a->out == b->out;

	flow_text(left, sizeof(left), a);
	flow_text(right, sizeof(right), b);
	text_plain(stdout, name);
	fputs("\n    ", stdout);
	cell(d, same ? NULL : "31", (const uint8_t *)left, strlen(left), true);
	fputs(same ? "   " : " | ", stdout);
	cell(d, same ? NULL : "32", (const uint8_t *)right, strlen(right), false);
	putchar('\n');
}

static void sources(const struct diff *d, const struct parts *a, const struct parts *b)
{
	char left[40], right[40];

	for (size_t i = 0; i < a->nflows; i++)
		flow_row(d, a->flows[i].name, &a->flows[i], flow_of(b, a->flows[i].name));
	for (size_t i = 0; i < b->nflows; i++)
		if (!flow_of(a, b->flows[i].name))
			flow_row(d, b->flows[i].name, NULL, &b->flows[i]);
	snprintf(left, sizeof(left), "%.1f ms", (double)a->duration / 1e6);
	snprintf(right, sizeof(right), "%.1f ms", (double)b->duration / 1e6);
	fputs("in all\n    ", stdout);
	cell(d, NULL, (const uint8_t *)left, strlen(left), true);
	printf("   %s\n", right);
}

static void stack(const struct parts *p)
{
	struct text t = { (const uint8_t *)p->stack, (const uint8_t *)p->stack + strlen(p->stack) };
	const uint8_t *line;
	size_t len;

	if (!p->stack[0])
		puts("no stack is kept in either (capsule replay --stack --save FILE keeps it)");
	else
		puts("the first difference comes from");
	while ((line = take_line(&t, &len))) {
		_cleanup_free_ char *text = strndup((const char *)line, len);
		fputs("  ", stdout);
		text_plain(stdout, text ? text : "");
		putchar('\n');
	}
}

static int load(const struct cmd *self, const char *path, struct parts *p)
{
	_cleanup_reader_ struct capsule_reader *rd = NULL;
	struct err err = ERR_INIT;
	const char *why;

	if (capsule_reader_open(&rd, path, 0, &err) < 0)
		return cli_fail(self, EXIT_CAPSULE, "%s", err.text);
	if (!capsule_complete(rd, &why))
		return cli_fail(self, EXIT_CAPSULE, "'%s' is cut short (%s): what came after can't be compared", path, why);
	if (parts_of(p, rd, KEEP, &err) < 0)
		return cli_fail(self, EXIT_CAPSULE, "'%s': %s", path, err.text);
	return 0;
}

static int compare(const struct cmd *self, struct diff *d, const char *const paths[2])
{
	struct parts parts[2] = { 0 };
	int status = load(self, paths[0], &parts[0]);

	status = status ? status : load(self, paths[1], &parts[1]);
	if (!status) {
		parts_compare(&parts[0], &parts[1], differs, d);
		if (!d->quiet && (d->sources || d->different))
			sources(d, &parts[0], &parts[1]);
		if (!d->quiet && d->stack)
			stack(parts[1].stack[0] ? &parts[1] : &parts[0]);
		if (!d->quiet)
			printf("%zu of %zu parts differ\n", d->different, parts[0].n > parts[1].n ? parts[0].n : parts[1].n);
	}
	parts_clear(&parts[0]);
	parts_clear(&parts[1]);
	return status ? status : d->different ? DIFFERENT : 0;
}

static int column_width(void)
{
	struct winsize w;

	return ioctl(1, TIOCGWINSZ, &w) == 0 && w.ws_col >= 40 ? (w.ws_col - 7) / 2 : 56;
}

static int cmd_diff(const struct cmd *self, int argc, char **argv)
{
	struct diff d = { .colour = isatty(1) && !getenv("NO_COLOR") };
	struct cli cli = { .argc = argc, .argv = argv };
	const char *paths[2], *word;
	const struct opt *o;
	size_t n = 0;

	d.width = column_width();
	while (cli_word(self, &cli, &o, &word)) {
		if (!word && strcmp(o->name, "stack") == 0)
			d.stack = true;
		else if (!word && strcmp(o->name, "sources") == 0)
			d.sources = true;
		else if (!word)
			d.quiet = true;
		else if (n == 2)
			return cli_fail(self, EXIT_USAGE, "'%s': two capsules, please", word);
		else
			paths[n++] = word;
	}
	while (cli.at < argc && n < 2)
		paths[n++] = argv[cli.at++];
	if (n < 2 || cli.at < argc)
		return cli_fail(self, EXIT_USAGE, "two capsules, please (capsule diff A B)");
	return compare(self, &d, paths);
}

const struct cmd cmd_diff_desc = {
	"diff", "[OPTION]... A B", "what two runs gave to the outside, beside each other", options, cmd_diff
};
