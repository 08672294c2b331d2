/* SPDX-License-Identifier: Apache-2.0 */
/* capsule images: what the cache of unpacked images holds, and its end. */
#include "sandbox/image.h"

#include "format/cli.h"
#include "format/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct opt options[] = {
	{ 'j', "json", NULL, "the list as JSON" },
	{ 0, "verify", NULL, "read all of each, and say whether it is what was unpacked" },
	{ 0, "all", NULL, "rm: all of them" },
	{ 0, "older", "AGE", "rm: those that were not used for so long, as in 30d or 12h" },
	{ 0 }
};

struct line {
	bool json, verify, remove, all;
	int64_t older;		/* seconds; -1: not given */
	const char *const *digests;
	size_t n;
};

static bool take_age(const char *text, int64_t *ret)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(text, &end, 10);
	if (errno || end == text || text[0] == '-' || n > 1000000 || !strchr("smhd", *end) || (*end && end[1]))
		return false;
	*ret = (int64_t)n * (*end == 'd' ? 86400 : *end == 'h' ? 3600 : *end == 'm' ? 60 : 1);
	return true;
}

/* ---- the list --------------------------------------------------------------------- */

static void print_one(const struct image *i, const char *state)
{
	char day[32] = "";
	time_t used = (time_t)image_last_use(i);
	struct tm tm;

	if (localtime_r(&used, &tm))
		strftime(day, sizeof(day), "%Y-%m-%d %H:%M", &tm);
	printf("%.19s  %8" PRIu64 " KiB  %6" PRIu64 " files  used %s  ", i->config, i->bytes / 1024, i->files, day);
	text_plain(stdout, i->reference);
	printf("%s%s\n", state[0] ? ": " : "", state);
}

static void print_json(const struct image *i, const char *state, bool first)
{
	printf("%s\n {\"config\":\"%s\",\"manifest\":\"%s\",\"reference\":", first ? "" : ",", i->config, i->manifest);
	text_json(stdout, i->reference, strlen(i->reference));
	fputs(",\"layers\":[", stdout);
	for (char **l = i->layers; *l; l++)
		printf("%s\"%s\"", l == i->layers ? "" : ",", *l);
	fputs("],\"root\":", stdout);
	text_json(stdout, i->root, strlen(i->root));
	printf(",\"bytes\":%" PRIu64 ",\"files\":%" PRIu64 ",\"used\":%" PRId64, i->bytes, i->files, image_last_use(i));
	if (state[0]) {
		fputs(",\"state\":", stdout);
		text_json(stdout, state, strlen(state));
	}
	putchar('}');
}

static int list(const struct line *l, struct image **images)
{
	int status = EXIT_IDENTICAL;

	if (l->json)
		putchar('[');
	for (struct image **i = images; *i; i++) {
		struct err err = ERR_INIT;
		const char *state = "";

		if (l->verify)
			state = image_verify(*i, &err) < 0 ? err.text : "whole";
		if (err.code)
			status = EXIT_DIVERGED;
		if (l->json)
			print_json(*i, state, i == images);
		else
			print_one(*i, state);
	}
	if (l->json)
		puts("\n]");
	return status;
}

/* ---- the end of some ----------------------------------------------------------------- */

/* A digest or its beginning, of eight digits at least; of the config or of the manifest. */
static bool is_called(const struct image *i, const char *word)
{
	size_t n;

	if (strncmp(word, "sha256:", 7) == 0)
		word += 7;
	n = strlen(word);
	return n >= 8 && (strncmp(i->config + 7, word, n) == 0 || strncmp(i->manifest + 7, word, n) == 0);
}

static bool is_chosen(const struct line *l, const struct image *i)
{
	if (l->older >= 0 && image_last_use(i) + l->older > time(NULL))
		return false;
	for (size_t d = 0; d < l->n; d++)
		if (is_called(i, l->digests[d]))
			return true;
	return l->n == 0;
}

static int remove_chosen(const struct cmd *self, const struct line *l, struct image **images)
{
	int status = EXIT_IDENTICAL;
	size_t n = 0;

	for (struct image **i = images; *i; i++) {
		struct err err = ERR_INIT;

		if (!is_chosen(l, *i))
			continue;
		n++;
		if (image_remove((*i)->config, &err) < 0)
			status = cli_fail(self, EXIT_MACHINE, "%s", err.text);
		else
			print_one(*i, "removed");
	}
	if (n == 0 && l->n)
		return cli_fail(self, EXIT_MACHINE, "'%s': no such image in the cache (capsule images lists them)", l->digests[0]);
	return status;
}

static int parse(const struct cmd *self, struct line *l, const char **digests, int argc, char **argv)
{
	struct cli cli = { .argc = argc, .argv = argv };
	const struct opt *o;
	const char *word;

	while (cli_word(self, &cli, &o, &word)) {
		if (word && !l->remove && strcmp(word, "rm") == 0)
			l->remove = true;
		else if (word && l->remove)
			digests[l->n++] = word;
		else if (word)
			return cli_fail(self, EXIT_USAGE, "'%s': capsule images, or capsule images rm DIGEST", word);
		else if (strcmp(o->name, "json") == 0)
			l->json = true;
		else if (strcmp(o->name, "verify") == 0)
			l->verify = true;
		else if (strcmp(o->name, "all") == 0)
			l->all = true;
		else if (!take_age(cli.arg, &l->older))
			return cli_fail(self, EXIT_USAGE, "--older '%s': an age, please, as in 30d or 12h", cli.arg);
	}
	if (cli.at < argc)
		return cli_fail(self, EXIT_USAGE, "'%s': capsule images rm DIGEST", argv[cli.at]);
	if (l->remove && !l->all && l->older < 0 && !l->n)
		return cli_fail(self, EXIT_USAGE, "rm: which? a DIGEST, --older AGE or --all");
	if (!l->remove && (l->all || l->older >= 0))
		return cli_fail(self, EXIT_USAGE, "--all and --older belong to capsule images rm");
	return 0;
}

static int cmd_images(const struct cmd *self, int argc, char **argv)
{
	const char **digests = calloc((size_t)argc + 1, sizeof(*digests));
	struct line l = { .older = -1, .digests = digests };
	struct image **images = NULL;
	struct err err = ERR_INIT;
	int status;

	if (!digests)
		return cli_fail(self, EXIT_MACHINE, "out of memory");
	status = parse(self, &l, digests, argc, argv);
	if (!status && images_list(&images, &err) < 0)
		status = cli_fail(self, EXIT_MACHINE, "%s", err.text);
	else if (!status)
		status = l.remove ? remove_chosen(self, &l, images) : list(&l, images);
	images_free(images);
	free(digests);
	return status;
}

const struct cmd cmd_images_desc = {
	"images", "[OPTION]... [rm [DIGEST]...]", "the container images that are unpacked here", options, cmd_images
};
