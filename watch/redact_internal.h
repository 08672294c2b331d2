/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of redaction share: texts, places in them, secrets. */
#ifndef CAPSULE_REDACT_INTERNAL_H
#define CAPSULE_REDACT_INTERNAL_H

#include "watch/json_path.h"
#include "watch/redact.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "format/table.h"

/* Bytes that belong together: a direction of a connection, an argument, a file's content. */
struct text {
	uint8_t *data;		/* as it was */
	uint8_t *out;		/* with tokens; NULL: nothing of it changed */
	uint8_t *done;		/* with @out, by byte: a token's, or a secret's that stays */
	size_t len, room;
	bool is_stream, in;
	bool is_env;
	uint32_t object;	/* of a stream */
	const char *what;	/* of others: "argument", "file", ... */
	const char *name;	/* of a file: its path as it was */
};

/* A part of a text, or the decoded body of an HTTP message in it. */
struct body {
	uint32_t text;
	const uint8_t *data;
	size_t len;
	size_t *pos;		/* of each byte in the text; NULL: one behind the other from @from */
	uint8_t *own;		/* @data, where it is not the text's */
	bool detached;		/* its bytes stand nowhere in the text: secrets are learnt from it, none is replaced in it */
	size_t from;
};

enum coding { CODE_PLAIN, CODE_PERCENT, CODE_JSON, CODE_BASE64, CODE_LATIN1 };

struct unit {
	size_t n;		/* encoded bytes */
	uint8_t bytes[4];	/* decoded */
	uint8_t nbytes;
};
/* The unit at @p, of at least one byte. */
void unit_decode(enum coding c, const uint8_t *p, size_t len, struct unit *u);
/* @u->bytes in the form that stands at @p, into @out; the same number of bytes. */
void unit_encode(enum coding c, const uint8_t *p, const struct unit *u, uint8_t *out);

struct secret {
	uint8_t *plain, *token;
	size_t len;
	enum redact_as as;
	uint32_t rule;
	uint32_t next;		/* with the same first bytes, 1 + index */
};

struct place {
	uint32_t body;
	uint32_t secret, rule;
	enum coding coding;
	size_t from, to;	/* encoded, in the body */
};

struct rule {
	struct redact_rule r;
	struct json_path path;
	pcre2_code *regex;
	uint64_t places, bytes;
};

struct packed {			/* a compressed body */
	uint32_t body;
	uint32_t inside;	/* what is in it, a detached body; UINT32_MAX: nobody knows */
};

struct fix {			/* where a text's result goes */
	uint32_t text;
	const char **string;	/* a NUL-terminated one, or */
	char *place;		/* one that is written over, or */
	struct ev_seg *seg;	/* a call's, from @at in the text, or */
	struct ev_file *file;	/* a file's content */
	struct bytes *bytes;
	size_t at;
	uint32_t twin;		/* 1 + a stream whose bytes at @at these may be, too: then its tokens are these' */
};

#define LIST(type) struct { type *at; size_t n, room; }
/* A new element, zeroed; NULL: out of memory. */
#define list_add(l) ({ typeof(l) l_ = (l); \
	if (l_->n == l_->room) { \
		size_t room_ = l_->room ? l_->room * 2 : 16; \
		void *more_ = reallocarray(l_->at, room_, sizeof(*l_->at)); \
		if (more_) { l_->at = more_; l_->room = room_; } \
	} \
	l_->n < l_->room ? memset(&l_->at[l_->n], 0, sizeof(*l_->at)), &l_->at[l_->n++] : NULL; })

struct redactor {
	char *policy;
	uint8_t key[32];
	struct rule *rules;
	size_t nrules, npaths;
	pcre2_match_context *limits;
	pcre2_match_data *match;

	LIST(struct text) texts;
	LIST(struct body) bodies;
	LIST(struct place) places;
	LIST(struct secret) secrets;
	LIST(struct packed) packed;
	LIST(struct fix) fixes;
	LIST(void *) memory;		/* to be freed at the end */
	LIST(char *) listed;
	LIST(char *) notes;
	LIST(char *) before;		/* what earlier redactions did */
	LIST(struct redacted_blob) blobs;
	LIST(struct event) holes;
	struct table streams;		/* object and direction -> 1 + text */
	struct table plains;		/* SHA-256 of a secret -> 1 + index */
	struct table tokens;		/* of a token */
	uint32_t *first;		/* by hash of the first REDACT_ELSEWHERE bytes: 1 + secret */
	uint64_t nplaces;
	size_t longest;			/* secret */
	bool latin;			/* some secret has characters that ISO 8859-1 has, too */
	char **list;			/* what was done */
};

enum { FIRSTS = 1 << 16 };

int redact_no_memory(struct err *err);
/* Remembers @p, which may be NULL, to be freed with the redactor; NULL: out of memory. */
void *redact_own(struct redactor *r, void *p);
__attribute__((format(printf, 2, 3)))
int redact_note(struct redactor *r, const char *fmt, ...);
__attribute__((format(printf, 6, 7)))
int redact_hole(struct redactor *r, const char *what, const char *where, uint64_t count, struct err *err, const char *fmt, ...);
/* "object 3 in", "file /a/b": @buf of REDACT_WHERE bytes. */
enum { REDACT_WHERE = 300 };
void redact_where(const struct redactor *r, const struct text *t, char *buf);

/* ---- redact_secrets.c ---- */

/* [@from, @to) of body @body is a secret by @rule. Its decoded bytes are remembered. */
int place_add(struct redactor *r, uint32_t body, size_t from, size_t to, enum coding c, uint32_t rule, enum redact_as as, struct err *err);
/* After the last place_add(). */
int secrets_settle(struct redactor *r, struct err *err);
/* Writes the places' tokens, then finds all secrets in all texts and bodies. */
int places_apply(struct redactor *r, struct err *err);
int secrets_find(struct redactor *r, struct err *err);
/* Are there bytes of a secret in @data? */
bool secrets_in(const struct redactor *r, const uint8_t *data, size_t len);
/* Writes tokens over the secrets that stand in @text as they are. */
void secrets_replace(const struct redactor *r, char *text);
/* A part of a text as a body. */
int body_of(struct redactor *r, uint32_t text, size_t from, size_t len, uint32_t *ret, struct err *err);
/* Overwrites all of @body that is no control character, whatever it is. */
int body_blot(struct redactor *r, uint32_t body, uint32_t rule, struct err *err);

/* ---- redact_http.c, redact_json.c ---- */

/* Both directions of a connection; UINT32_MAX: there is none. */
int http_places(struct redactor *r, uint32_t in, uint32_t out, struct err *err);
int json_places(struct redactor *r, uint32_t body, struct err *err);
bool rules_have(const struct redactor *r, enum redact_kind kind);
/* After all secrets are known: compressed bodies that hold one, or that nobody can look into. */
int packed_blot(struct redactor *r, struct err *err);

#endif
