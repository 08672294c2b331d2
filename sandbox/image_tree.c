/* SPDX-License-Identifier: Apache-2.0 */
/* Trees of files: their digest, and their end. */
#include "sandbox/image_internal.h"

#include "format/cleanup.h"
#include "format/sha256.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

static int by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

static void close_fts(FTS **fts)
{
	if (*fts)
		fts_close(*fts);
}

static FTS *open_tree_of(const char *root)
{
	char *const paths[] = { (char *)root, NULL };

	return fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, by_name);
}

static int add_content(struct sha256 *h, const FTSENT *f, struct err *err)
{
	uint8_t hash[SHA256_LEN];
	char target[PATH_MAX];
	ssize_t n;

	if (f->fts_info == FTS_SL || f->fts_info == FTS_SLNONE) {
		n = readlink(f->fts_accpath, target, sizeof(target));
		if (n < 0)
			return err_sys(err, errno, "reading the link '%s'", f->fts_path);
		sha256_add(h, target, (size_t)n);
	} else if (f->fts_info == FTS_F) {
		_cleanup_fd_ int fd = open(f->fts_accpath, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0)
			return err_sys(err, errno, "opening '%s'", f->fts_path);
		if (sha256_fd(fd, hash, NULL, err) < 0)
			return err_in(err, "%s", f->fts_path);
		sha256_add(h, hash, sizeof(hash));
	}
	return 0;
}

/* Path, kind and mode, size, content. */
static int add_entry(struct sha256 *h, const FTSENT *f, size_t skip, struct err *err)
{
	const struct stat *st = f->fts_statp;
	const uint64_t facts[] = { st->st_mode, S_ISDIR(st->st_mode) ? 0 : (uint64_t)st->st_size, st->st_rdev };

	sha256_add(h, f->fts_path + skip, strlen(f->fts_path + skip) + 1);
	sha256_add(h, facts, sizeof(facts));
	return add_content(h, f, err);
}

/* Its owner may read it, and look into it. */
static void open_entry(const FTSENT *f)
{
	mode_t mode = f->fts_statp->st_mode, wanted = mode | (S_ISDIR(mode) ? 0500 : 0400);

	if ((S_ISDIR(mode) || S_ISREG(mode)) && mode != wanted && chmod(f->fts_accpath, wanted & 07777) == 0)
		f->fts_statp->st_mode = wanted;
}

int tree_digest(const char *root, bool open_up, char out[IMAGE_DIGEST], uint64_t *bytes, uint64_t *files, struct err *err)
{
	_cleanup_(cleanup_sha256) struct sha256 *h = NULL;
	_cleanup_(close_fts) FTS *fts = open_tree_of(root);
	uint8_t hash[SHA256_LEN];
	FTSENT *f;

	*bytes = *files = 0;
	if (!fts)
		return err_sys(err, errno, "reading '%s'", root);
	if (sha256_new(&h, err) < 0)
		return -err->code;
	while (errno = 0, (f = fts_read(fts)) != NULL) {
		if (f->fts_info == FTS_DP)
			continue;
		if (open_up)
			open_entry(f);	/* before fts looks into it */
		if (f->fts_info == FTS_DNR || f->fts_info == FTS_ERR || f->fts_info == FTS_NS)
			return err_sys(err, f->fts_errno, "reading '%s'", f->fts_path);
		if (add_entry(h, f, strlen(root), err) < 0)
			return -err->code;
		(*files)++;
		*bytes += (uint64_t)f->fts_statp->st_blocks * 512;
	}
	if (errno)
		return err_sys(err, errno, "reading '%s'", root);
	sha256_end(h, hash);
	memcpy(out, "sha256:", 7);
	sha256_hex(hash, out + 7);
	return 0;
}

int tree_remove(const char *root, struct err *err)
{
	_cleanup_(close_fts) FTS *fts = open_tree_of(root);
	FTSENT *f;

	if (!fts)
		return err_sys(err, errno, "removing '%s'", root);
	while ((f = fts_read(fts)) != NULL) {
		int e = 0;

		switch (f->fts_info) {
		case FTS_D:	/* before fts looks into it */
			e = (f->fts_statp->st_mode & 0700) != 0700 && chmod(f->fts_accpath, 0700) < 0 ? errno : 0;
			break;
		case FTS_DP:
			e = rmdir(f->fts_accpath) < 0 ? errno : 0;
			break;
		case FTS_DNR: case FTS_ERR: case FTS_NS:
			e = f->fts_errno == ENOENT ? 0 : f->fts_errno;
			break;
		default:
			e = unlink(f->fts_accpath) < 0 && errno != ENOENT ? errno : 0;
		}
		if (e)
			return err_sys(err, e, "removing '%s'", f->fts_path);
	}
	return 0;
}
