/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes that may or may not be text: UTF-8, and forms that are safe on a terminal. */
#ifndef CAPSULE_TEXT_H
#define CAPSULE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* The code point at @p and the bytes it takes (1 to 4); 0: not UTF-8 (RFC 3629: shortest form, no surrogates). */
size_t utf8_next(const uint8_t *p, size_t len, uint32_t *cp);
bool utf8_valid(const void *p, size_t len);

/*
 * As a JSON string with its quotes, ASCII only.  A byte that is not part of
 * UTF-8 becomes the lone surrogate \udcXX (Python's "surrogateescape").
 */
void text_json(FILE *f, const void *p, size_t len);
/* Within double quotes, as strace does: \n, \", \\, and \ooo for what is not printable ASCII; at most @max bytes, then "...". */
void text_quoted(FILE *f, const void *p, size_t len, size_t max);
/* A word of a shell command: as it is if it needs no quotes. Control bytes as $'\ooo'. */
void text_shell(FILE *f, const char *word);
/* As it is, but with ? for control bytes and what is not UTF-8. */
void text_plain(FILE *f, const char *s);
/* The same in its place. */
void text_tame(char *s);
void text_hex(FILE *f, const void *p, size_t len);

#endif
