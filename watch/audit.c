/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/audit.h"

#include "format/cleanup.h"
#include "format/io.h"
#include "format/sha256.h"
#include "format/text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

enum { TORN_MAX = 4 * AUDIT_LINE };

#define NO_HASH "0000000000000000000000000000000000000000000000000000000000000000"
#define HASH_KEY ",\"hash\":\""

struct audit {
	int fd;
	char *path;
	struct audit_end end;
	uint64_t torn;		/* bytes behind the last whole line */
	char torn_hash[SHA256_HEX];
	bool unsure;		/* a write failed: what is there must be looked at again */
};

/* ---- a line ----------------------------------------------------------------------- */

static void hash_of(const char *previous, const char *body, size_t len, char ret[SHA256_HEX])
{
	_cleanup_(cleanup_sha256) struct sha256 *h = NULL;
	struct err err = ERR_INIT;
	uint8_t sum[SHA256_LEN] = { 0 };

	if (sha256_new(&h, &err) == 0) {
		sha256_add(h, previous, strlen(previous));
		sha256_add(h, body, len);
		sha256_end(h, sum);
	}
	sha256_hex(sum, ret);
}

/* The parts of a line (without its newline): false if it has not the form of one. */
static bool split(const char *line, size_t len, uint64_t *n, const char **hash, size_t *body)
{
	static const size_t tail = sizeof(HASH_KEY) - 1 + 64 + 2;	/* ,"hash":"..."} */
	char *end;

	if (len < tail + 8 || memcmp(line, "{\"n\":", 5) != 0 || line[5] < '1' || line[5] > '9' || line[len - 2] != '"' || line[len - 1] != '}' ||
	    memcmp(line + len - tail, HASH_KEY, sizeof(HASH_KEY) - 1) != 0)
		return false;
	errno = 0;
	*n = strtoull(line + 5, &end, 10);	/* the tail ends it */
	*body = len - tail;
	*hash = line + len - 66;
	return errno == 0 && *end == ',';
}

static bool is_line(const char *line, size_t len)
{
	const char *hash;
	uint64_t n;
	size_t body;

	return split(line, len, &n, &hash, &body);
}

/* The text member @key of a line's body, copied as it stands; false: it has none, or one that does not fit. */
static bool text_member(const char *body, size_t len, const char *key, char *ret, size_t room)
{
	char head[40];
	size_t n = (size_t)snprintf(head, sizeof(head), ",\"%s\":\"", key);
	const char *at = memmem(body, len, head, n), *end;

	if (!at)
		return false;
	at += n;
	end = memchr(at, '"', (size_t)(body + len - at));
	if (!end || (size_t)(end - at) >= room)
		return false;
	memcpy(ret, at, (size_t)(end - at));
	ret[end - at] = 0;
	return true;
}

/* ---- all lines ---------------------------------------------------------------------- */

struct scan {
	struct audit_end end;
	uint64_t torn;			/* bytes behind the last good line */
	struct sha256 *torn_hash;
	bool newline;			/* one of them is kept back: it may be the one in front of the "torn" line */
	struct audit_check want[2];	/* lines that must be there */
	bool seen[2];
	struct err why;			/* of what is torn */
};

/* EBADMSG, in @s->why, if it does not follow the last line. */
static int follows(struct scan *s, const char *line, size_t len)
{
	char sum[SHA256_HEX];
	const char *hash;
	uint64_t n, next = s->end.lines + 1;
	size_t body;

	if (!split(line, len, &n, &hash, &body))
		return err_set(&s->why, EBADMSG, "line %" PRIu64 " is not a whole line of an audit log: it was altered or cut short", next);
	hash_of(s->end.hash, line, body, sum);
	if (memcmp(sum, hash, 64) == 0 && n == next)
		return 0;
	if (n > next)
		return err_set(&s->why, EBADMSG, "line %" PRIu64 " has the number %" PRIu64 ": lines before it were removed", next, n);
	if (n < next)
		return err_set(&s->why, EBADMSG, "line %" PRIu64 " has the number %" PRIu64 ": it was put in or moved", next, n);
	return err_set(&s->why, EBADMSG, "line %" PRIu64 " does not follow the one before it: it was altered", next);
}

static void tear(struct scan *s, const char *line, size_t len, bool newline)
{
	if (s->newline) {
		sha256_add(s->torn_hash, "\n", 1);
		s->torn++;
	}
	sha256_add(s->torn_hash, line, len);
	s->torn += len;
	s->newline = newline;
}

/* A good line: does it say the truth of what stands torn in front of it? */
static int tells_of_torn(struct scan *s, const char *line, size_t body, struct err *err)
{
	char bytes[24] = "", event[40] = "", said[SHA256_HEX] = "", hex[SHA256_HEX];
	bool says = text_member(line, body, "event", event, sizeof(event)) && strcmp(event, "torn") == 0;
	uint8_t sum[SHA256_LEN];

	if (!s->torn && !s->newline)
		return says ? err_set(err, EBADMSG, "line %" PRIu64 " tells of a line that was cut short, and there is none", s->end.lines + 1) : 0;
	sha256_end(s->torn_hash, sum);
	sha256_hex(sum, hex);
	snprintf(bytes, sizeof(bytes), "%" PRIu64, s->torn);
	text_member(line, body, "sha256", said, sizeof(said));
	const char *at = memmem(line, body, ",\"bytes\":", 9);

	if (!says || strcmp(said, hex) != 0 || !at || strncmp(at + 9, bytes, strlen(bytes)) != 0) {
		*err = s->why;
		return -err->code;
	}
	sha256_free(s->torn_hash);
	s->torn_hash = NULL;
	s->torn = 0;
	s->newline = false;
	s->why = ERR_INIT;
	return sha256_new(&s->torn_hash, err);
}

static int take_line(struct scan *s, const char *line, size_t len, bool newline, struct err *err)
{
	struct err before = s->why;
	size_t body = len > 75 ? len - 75 : 0;

	s->why = ERR_INIT;
	if (!newline || follows(s, line, len) < 0) {
		if (!newline)
			err_set(&s->why, EBADMSG, "line %" PRIu64 " is cut short", s->end.lines + 1);
		if (before.code)
			s->why = before;
		tear(s, line, len, newline);
		/* A torn write leaves no whole line. */
		if (s->torn > TORN_MAX || (newline && is_line(line, len)))
			*err = s->why;
		return -err->code;
	}
	s->why = before;
	if (tells_of_torn(s, line, body, err) < 0)
		return -err->code;
	s->end.lines++;
	memcpy(s->end.hash, line + len - 66, 64);
	text_member(line, body, "time", s->end.lines == 1 ? s->end.first : s->end.last, sizeof(s->end.last));
	if (s->end.lines == 1)
		memcpy(s->end.last, s->end.first, sizeof(s->end.last));
	for (int i = 0; i < 2; i++)
		s->seen[i] |= s->want[i].number == s->end.lines && strcmp(s->want[i].hash, s->end.hash) == 0;
	return 0;
}

static int scan_lines(struct scan *s, int fd, struct err *err)
{
	_cleanup_free_ char *buf = malloc(AUDIT_LINE);
	size_t have = 0;
	uint64_t at = 0;

	if (!buf)
		return err_set(err, ENOMEM, "out of memory");
	for (;;) {
		ssize_t n = io_pread(fd, buf + have, AUDIT_LINE - have, at);
		char *line = buf, *newline;

		if (n < 0)
			return err_sys(err, (int)-n, "reading");
		at += (uint64_t)n;
		have += (size_t)n;
		while ((newline = memchr(line, '\n', have))) {
			size_t len = (size_t)(newline - line);

			if (take_line(s, line, len, true, err) < 0)
				return -err->code;
			line = newline + 1;
			have -= len + 1;
		}
		/* A line that is longer than any of ours is none. */
		if (have && (n == 0 || have == AUDIT_LINE)) {
			if (take_line(s, line, have, false, err) < 0)
				return -err->code;
			have = 0;
		}
		memmove(buf, line, have);
		if (n == 0)
			return 0;
	}
}

static int scan(struct scan *s, int fd, struct err *err)
{
	strcpy(s->end.hash, NO_HASH);
	if (sha256_new(&s->torn_hash, err) < 0)
		return -err->code;
	return scan_lines(s, fd, err);
}

static void scan_clear(struct scan *s)
{
	sha256_free(s->torn_hash);
}

/* ---- the head ------------------------------------------------------------------------- */

int audit_check_parse(struct audit_check *ret, const char *text)
{
	char *end;
	uint64_t n;

	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno || text[0] < '1' || text[0] > '9' || *end != ':' || strspn(end + 1, "0123456789abcdef") != 64 || (end[65] && end[65] != '\n'))
		return -EINVAL;
	ret->number = n;
	memcpy(ret->hash, end + 1, 64);
	ret->hash[64] = 0;
	return 0;
}

static int head_path(const char *path, const char *suffix, char ret[PATH_MAX], struct err *err)
{
	return snprintf(ret, PATH_MAX, "%s.head%s", path, suffix) < PATH_MAX ? 0 : err_set(err, ENAMETOOLONG, "'%.200s': the name is too long", path);
}

/* @ret->number 0: there is none. */
static int head_read(const char *path, struct audit_check *ret, struct err *err)
{
	_cleanup_free_ char *text = NULL;
	char head[PATH_MAX];
	size_t len;
	int n;

	ret->number = 0;
	if (head_path(path, "", head, err) < 0)
		return -err->code;
	n = io_slurp(head, 200, &text, &len);
	if (n == -ENOENT)
		return 0;
	if (n < 0)
		return err_sys(err, -n, "opening '%.200s'", head);
	return audit_check_parse(ret, text) < 0 ? err_set(err, EBADMSG, "'%.200s' is not the head of an audit log", head) : 0;
}

static int sync_parent(const char *path)
{
	const char *slash = strrchr(path, '/');
	char dir[PATH_MAX] = ".";

	if (slash)
		snprintf(dir, sizeof(dir), "%.*s", slash == path ? 1 : (int)(slash - path), path);
	_cleanup_fd_ int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

static int head_write(const char *path, const struct audit_end *end, struct err *err)
{
	char head[PATH_MAX], fresh[PATH_MAX], text[100];
	int n = snprintf(text, sizeof(text), "%" PRIu64 ":%s\n", end->lines, end->hash);

	if (head_path(path, "", head, err) < 0 || head_path(path, ".new", fresh, err) < 0)
		return -err->code;
	_cleanup_fd_ int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_sys(err, errno, "opening '%.200s'", fresh);
	n = io_write(fd, text, (size_t)n);
	if (n < 0 || fsync(fd) < 0)
		return err_sys(err, n < 0 ? -n : errno, "writing '%.200s'", fresh);
	if (rename(fresh, head) < 0 || sync_parent(path) < 0)
		return err_sys(err, errno, "renaming '%.200s'", fresh);
	return 0;
}

static int head_holds(const struct scan *s, int i, const char *what, struct err *err)
{
	const struct audit_check *w = &s->want[i];

	if (!w->number || s->seen[i])
		return 0;
	if (w->number > s->end.lines)
		return err_set(err, EBADMSG, "line %" PRIu64 " is missing: the log ends with line %" PRIu64 ", and %s knows of %" PRIu64, s->end.lines + 1, s->end.lines,
			       what, w->number);
	return err_set(err, EBADMSG, "line %" PRIu64 " is not the one that %s knows: the log was written anew", w->number, what);
}

/* ---- writing ---------------------------------------------------------------------------- */

static int look(struct audit *a, struct err *err)
{
	_cleanup_(scan_clear) struct scan s = { 0 };
	uint8_t sum[SHA256_LEN];

	if (head_read(a->path, &s.want[0], err) < 0 || scan(&s, a->fd, err) < 0 || head_holds(&s, 0, "its head file", err) < 0)
		return err_in(err, "'%.200s'", a->path);
	if (s.newline) {
		sha256_add(s.torn_hash, "\n", 1);
		s.torn++;
	}
	a->end = s.end;
	a->torn = s.torn;
	sha256_end(s.torn_hash, sum);
	sha256_hex(sum, a->torn_hash);
	a->unsure = false;
	return 0;
}

static int open_log(const char *path, struct err *err)
{
	_cleanup_fd_ int fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, errno, "opening '%.200s'", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, EINVAL, "opening '%.200s': not a regular file", path);
	if (st.st_uid != geteuid() || (st.st_mode & 077))
		return err_set(err, EPERM, "opening '%.200s': it is not only its writer's (chown %u, chmod 600)", path, (unsigned int)geteuid());
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return err_set(err, EBUSY, "opening '%.200s': another process writes it", path);
	if (sync_parent(path) < 0)
		return err_sys(err, errno, "opening '%.200s'", path);
	return TAKE_FD(fd);
}

int audit_open(struct audit **ret, const char *path, struct err *err)
{
	_cleanup_audit_ struct audit *a = calloc(1, sizeof(*a));

	if (a)
		a->fd = -1;
	if (!a || !(a->path = strdup(path)))
		return err_set(err, ENOMEM, "out of memory");
	a->fd = open_log(path, err);
	if (a->fd < 0 || look(a, err) < 0)
		return -err->code;
	*ret = TAKE_PTR(a);
	return 0;
}

void audit_close(struct audit *a)
{
	if (!a)
		return;
	if (a->fd >= 0)
		close(a->fd);
	free(a->path);
	free(a);
}

static void put_fields(FILE *f, const struct audit_field *fields, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		fprintf(f, ",\"%s\":", fields[i].key);
		if (fields[i].text)
			text_json(f, fields[i].text, strlen(fields[i].text));
		else
			fprintf(f, "%" PRIu64, fields[i].number);
	}
}

/* One write, one fsync, and the head. */
static int append(struct audit *a, const char *event, const struct audit_field *fields, size_t n, struct err *err)
{
	_cleanup_free_ char *text = NULL;
	struct audit_end end = a->end;
	struct timespec now;
	struct tm tm;
	char when[32];
	size_t len = 0, lead = a->torn ? 1 : 0;
	FILE *f = open_memstream(&text, &len);
	int status;

	if (!f)
		return err_set(err, ENOMEM, "out of memory");
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
	fprintf(f, "%s{\"n\":%" PRIu64 ",\"time\":\"%s.%09ldZ\",\"event\":\"%s\"", lead ? "\n" : "", ++end.lines, when, now.tv_nsec, event);
	put_fields(f, fields, n);
	fflush(f);
	if (!text || len > AUDIT_LINE - 100) {
		fclose(f);
		return err_set(err, text ? EFBIG : ENOMEM, "a line of the audit log: %s", text ? "too long" : "out of memory");
	}
	hash_of(a->end.hash, text + lead, len - lead, end.hash);
	fprintf(f, HASH_KEY "%s\"}\n", end.hash);
	if (fclose(f) != 0)
		return err_set(err, ENOMEM, "out of memory");
	a->unsure = true;
	status = io_write(a->fd, text, len);
	if (status < 0 || fsync(a->fd) < 0)
		return err_sys(err, status < 0 ? -status : errno, "writing '%.200s'", a->path);
	a->unsure = false;
	a->end = end;
	a->torn = 0;
	return head_write(a->path, &end, err);
}

int audit_add(struct audit *a, const char *event, const struct audit_field *fields, size_t n, struct err *err)
{
	struct audit_field torn[2];

	if (a->unsure && look(a, err) < 0)
		return -err->code;
	torn[0] = (struct audit_field){ .key = "bytes", .number = a->torn };
	torn[1] = (struct audit_field){ .key = "sha256", .text = a->torn_hash };
	if (a->torn && append(a, "torn", torn, 2, err) < 0)
		return -err->code;
	return append(a, event, fields, n, err);
}

/* ---- verifying ---------------------------------------------------------------------------- */

static int verify_once(const char *path, int fd, const struct audit_check *expect, struct audit_end *ret, struct err *err)
{
	_cleanup_(scan_clear) struct scan s = { 0 };

	/* The head first: a log that grows meanwhile is never behind it. */
	if (head_read(path, &s.want[0], err) < 0)
		return -err->code;
	if (expect)
		s.want[1] = *expect;
	if (scan(&s, fd, err) < 0)
		return -err->code;
	if (s.torn || s.newline) {
		*err = s.why;
		return -err->code;
	}
	if (head_holds(&s, 0, "its head file", err) < 0 || head_holds(&s, 1, "--expect", err) < 0)
		return -err->code;
	*ret = s.end;
	return 0;
}

int audit_verify(const char *path, const struct audit_check *expect, struct audit_end *ret, struct err *err)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct err first = ERR_INIT;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, errno, "opening '%.200s'", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, EINVAL, "opening '%.200s': not a regular file", path);
	if (verify_once(path, fd, expect, ret, &first) == 0)
		return 0;
	/* Being written at this moment, its last line may be half there. */
	if (first.code == EBADMSG && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK) {
		usleep(100000);
		first = ERR_INIT;
		if (verify_once(path, fd, expect, ret, &first) == 0)
			return 0;
	}
	*err = first;
	return err_in(err, "'%.200s'", path);
}
