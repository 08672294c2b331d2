/* SPDX-License-Identifier: Apache-2.0 */
/*
 * forge WHAT CAPSULE FORGED [ARG]: a capsule that opens, with all sums right, made by somebody who means harm: what
 * another program would have recorded is put in front of the events, or into the manifest.
 */
#include "tests/copying.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct forgery {
	struct capsule_writer *w;
	struct manifest *m;
	const char *arg;
	struct err err;
};

static void fail(struct forgery *f)
{
	fprintf(stderr, "forge: %s\n", f->err.text);
	exit(1);
}

static void put(struct forgery *f, struct ev_file file)
{
	struct event e = { .kind = EV_FILE, .file = file };

	if (!e.file.target)
		e.file.target = "";
	if (capsule_write(f->w, &e, &f->err) < 0)
		fail(f);
}

/* @path with the content of @fd. */
static void put_content(struct forgery *f, const char *path, int fd, uint32_t mode, uint64_t claimed)
{
	struct ev_file file = { .path = path, .state = FILE_REGULAR, .flags = FILE_CONTENT, .mode = mode, .has_hash = true };

	if (capsule_write_blob_fd(f->w, fd, UINT64_MAX, &file.size, file.sha256, &f->err) < 0)
		fail(f);
	if (claimed)
		file.size = claimed;
	put(f, file);
}

static void put_text(struct forgery *f, const char *path, const char *text, uint32_t mode)
{
	int fd = memfd_create("text", 0);

	if (write(fd, text, strlen(text)) < 0)
		exit(1);
	put_content(f, path, fd, mode, 0);
	close(fd);
}

/* ---- the file table ------------------------------------------------------------- */

/* Links that lead anywhere, where the program will write. */
static void links(struct forgery *f)
{
	put(f, (struct ev_file){ .path = "/tmp/forged", .state = FILE_DIR, .mode = 01777 });
	put(f, (struct ev_file){ .path = "/tmp/forged/abs", .state = FILE_SYMLINK, .target = f->arg });
	put(f, (struct ev_file){ .path = "/tmp/forged/up", .state = FILE_SYMLINK, .target = "../../../../../../../../../../etc/passwd" });
	put(f, (struct ev_file){ .path = "/tmp/forged/proc", .state = FILE_SYMLINK, .target = "/proc/1/root" });
	put(f, (struct ev_file){ .path = "/tmp/forged/self", .state = FILE_SYMLINK, .target = "self" });
	put(f, (struct ev_file){ .path = "/usr/share", .state = FILE_SYMLINK, .target = "/tmp" });
}

/* Devices, sockets, FIFOs, and what /proc, /sys and /dev would be. */
static void devices(struct forgery *f)
{
	put(f, (struct ev_file){ .path = "/tmp/device", .state = FILE_OTHER, .mode = 0666, .size = 0x801 });
	put(f, (struct ev_file){ .path = "/tmp/fifo", .state = FILE_OTHER, .flags = FILE_FIFO, .mode = 0666 });
	put(f, (struct ev_file){ .path = "/tmp/sock", .state = FILE_OTHER, .flags = FILE_SOCKET, .mode = 0666 });
	put(f, (struct ev_file){ .path = "/tmp/both", .state = FILE_OTHER, .flags = FILE_SOCKET | FILE_FIFO, .mode = 07777 });
	put_text(f, "/dev/null", "not so null", 0666);
	put_text(f, "/dev/.capsule", "not shared", 0666);
	put_text(f, "/proc/1/mem", "x", 0666);
	put_text(f, "/sys/power/state", "x", 0666);
	put(f, (struct ev_file){ .path = "/dev/sda", .state = FILE_OTHER, .mode = 0666 });
}

/* A shell that is root's and setuid. */
static void setuid_bits(struct forgery *f)
{
	FILE *sh = fopen(f->arg, "re");

	if (!sh)
		exit(1);
	put(f, (struct ev_file){ .path = "/tmp/forged", .state = FILE_DIR, .mode = 06777 });
	put_content(f, "/tmp/forged/sh", fileno(sh), 06755, 0);
	put_content(f, "/usr/bin/forged", fileno(sh), 06755, 0);
	fclose(sh);
}

static void million(struct forgery *f)
{
	char path[64];

	for (int i = 0; i < 1000000; i++) {
		snprintf(path, sizeof(path), "/tmp/m/%d", i);
		put(f, (struct ev_file){ .path = path, .state = FILE_REGULAR, .flags = FILE_CONTENT, .mode = 0644 });
	}
}

/* Names and targets that a terminal would obey, one of a file of the image that is another here. */
static void names(struct forgery *f)
{
	struct ev_file image = { .path = "/usr/\033]0;title\007\033[2J\xc2\x9b" "31m\nforged: identical\xe2\x80\xae", .state = FILE_REGULAR,
				 .flags = FILE_IMAGE, .mode = 0755, .size = 5, .has_hash = true };

	put(f, (struct ev_file){ .path = "/tmp/\033[31mred\nline\r", .state = FILE_SYMLINK, .target = "\033c\n" });
	put(f, image);
}

/* 2 GiB of zeros and 128 MiB of one letter, a few KiB in the capsule; and one that says that it is larger than it is. */
static void zeros(struct forgery *f)
{
	int fd = memfd_create("zeros", 0);

	if (ftruncate(fd, 2ll << 30) < 0)
		exit(1);
	put_content(f, "/tmp/zeros", fd, 0644, 0);
	close(fd);
}

static void letters(struct forgery *f)
{
	static char page[1 << 20];
	int fd = memfd_create("letters", 0);

	memset(page, 'x', sizeof(page));
	for (int i = 0; i < 128; i++)
		if (write(fd, page, sizeof(page)) != sizeof(page))
			exit(1);
	put_content(f, "/tmp/letters", fd, 0644, 0);
	close(fd);
}

static void liar(struct forgery *f)
{
	int fd = memfd_create("short", 0);

	if (write(fd, "short", 5) != 5)
		exit(1);
	put_content(f, "/tmp/liar", fd, 0644, 1ull << 62);
	put(f, (struct ev_file){ .path = "/tmp/unread", .state = FILE_REGULAR, .flags = FILE_UNREAD, .mode = 0644, .size = 1ull << 62 });
	close(fd);
}

/* ---- the manifest ------------------------------------------------------------------- */

static char *added[64];

static void preload(struct forgery *f)
{
	size_t n = 0;

	for (char **e = f->m->env; *e && n < 50; e++)
		added[n++] = *e;
	added[n++] = "LD_PRELOAD=/tmp/forged/evil.so";
	added[n++] = "LD_AUDIT=/tmp/forged/evil.so";
	added[n++] = "LD_LIBRARY_PATH=/tmp/forged";
	added[n++] = "GLIBC_TUNABLES=glibc.malloc.check=3";
	added[n++] = "PATH=/tmp/forged";
	f->m->env = added;
}

static void preload_file(struct forgery *f)
{
	FILE *so = fopen(f->arg, "re");

	if (!so)
		exit(1);
	put(f, (struct ev_file){ .path = "/tmp/forged", .state = FILE_DIR, .mode = 0755 });
	put_content(f, "/tmp/forged/evil.so", fileno(so), 0755, 0);
	put_content(f, "/tmp/forged/skopeo", fileno(so), 0755, 0);
	fclose(so);
}

static void image(struct forgery *f)
{
	static char *layers[] = { "sha256:../../..", NULL };

	f->m->image = (char *)f->arg;
	f->m->image_manifest = f->m->image_config = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
	f->m->image_layers = layers;
}

static void digest(struct forgery *f)
{
	f->m->image = "oci:/tmp";
	f->m->image_manifest = f->m->image_config = (char *)f->arg;
}

static const struct { const char *name; void (*manifest)(struct forgery *), (*events)(struct forgery *); } kinds[] = {
	{ "links", NULL, links }, { "devices", NULL, devices }, { "setuid", NULL, setuid_bits }, { "million", NULL, million },
	{ "names", NULL, names }, { "zeros", NULL, zeros }, { "letters", NULL, letters }, { "liar", NULL, liar }, { "preload", preload, preload_file },
	{ "image", image, NULL }, { "digest", digest, NULL },
};

static void forge(struct forgery *f, size_t kind, struct capsule_reader *rd, const char *to)
{
	struct event e;
	int r;

	if (kinds[kind].manifest)
		kinds[kind].manifest(f);
	if (capsule_writer_open(&f->w, to, f->m, &f->err) < 0)
		fail(f);
	if (kinds[kind].events)
		kinds[kind].events(f);
	while ((r = capsule_next(rd, &e, &f->err)) > 0)
		if (copy_blobs(rd, f->w, &e, &f->err) < 0 || capsule_write(f->w, &e, &f->err) < 0)
			fail(f);
	if (r < 0 || capsule_writer_finish(f->w, capsule_end(rd), &f->err) < 0)
		fail(f);
}

int main(int argc, char **argv)
{
	struct forgery f = { .arg = argc > 4 ? argv[4] : "" };
	struct capsule_reader *rd = NULL;
	struct manifest m;

	if (argc < 4)
		return 2;
	if (capsule_reader_open(&rd, argv[2], CAPSULE_KEEP, &f.err) < 0)
		fail(&f);
	m = *capsule_manifest(rd);
	f.m = &m;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(argv[1], kinds[i].name) == 0) {
			forge(&f, i, rd, argv[3]);
			return 0;
		}
	return 2;
}
