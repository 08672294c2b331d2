/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An error on its way to whoever can act on it.
 *
 * The caller owns the storage and starts it as ERR_INIT.  A function that
 * fails fills it once and returns -err->code; on success it is untouched.
 * Plain bytes, so a sandbox child can write() it to its parent as it is.
 * Only main() and the cmd_*.c files print.
 */
#ifndef CAPSULE_ERR_H
#define CAPSULE_ERR_H

struct err {
	int code;		/* an errno value, 0: no error */
	char text[508];		/* "opening 'a.cap': bad magic", no newline */
};
#define ERR_INIT ((struct err){ 0 })

/* Fill @e with @code (an errno value, > 0) and the formatted text; returns -@code. */
int err_set(struct err *e, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* As err_set(), with ": " and strerror(@code) behind the text. */
int err_sys(struct err *e, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Put the formatted text and ": " in front of @e's text; returns -@e->code. */
int err_in(struct err *e, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
