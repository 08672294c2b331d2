/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The words in which format/syscalls.def describes arguments, and SC_ROW,
 * which makes a row an element of a struct sc_desc table:
 *
 *	const struct sc_desc table[SC_MAX] = {
 *	#define SYSCALL SC_ROW
 *	#include "format/syscalls.def"
 *	#undef SYSCALL
 *	};
 *
 * Every word is a tuple (name, kind, flow, len, len_arg, when, room, unit); an
 * expansion takes from it what it wants with SC_EACH(MACRO, args...).
 */
#ifndef CAPSULE_SYSDESC_WORDS_H
#define CAPSULE_SYSDESC_WORDS_H

#include "format/sysdesc.h"

/* Arguments without bytes behind them. */
#define VAL(n)		(#n, SC_VAL, 0, 0, 0, 0, 0, 0)
#define FD(n)		(#n, SC_FDARG, 0, 0, 0, 0, 0, 0)
#define DIRFD(n)	(#n, SC_DIRFD, 0, 0, 0, 0, 0, 0)
#define PTR(n)		(#n, SC_PTR, 0, 0, 0, 0, 0, 0)
#define LIMIT(n)	(#n, SC_LIMIT, 0, 0, 0, 0, 0, 0)

/* What the program hands over: a path; @size bytes; args[@arg] units; as many bytes as the call took. */
#define STR(n)		(#n, SC_STR, SC_IN, SC_UNIT, 0, SC_ALWAYS, 0, 0)
#define IN(n, size)	(#n, SC_MEM, SC_IN, SC_UNIT, 0, SC_ALWAYS, 0, size)
#define IN_ARG(n, arg)	(#n, SC_MEM, SC_IN, SC_ARG, arg, SC_ALWAYS, 0, 1)
#define IN_ARRAY(n, arg, unit) (#n, SC_MEM, SC_IN, SC_ARG, arg, SC_ALWAYS, 0, unit)
#define IN_RET(n)	(#n, SC_MEM, SC_IN, SC_RET, 0, SC_OK, 0, 1)

/*
 * What it gets: @size bytes; as many as the result says, at most args[@room];
 * args[@arg] bytes; the number behind the pointer args[@arg]; what the ioctl
 * request args[@arg] says.
 */
#define OUT(n, size)	(#n, SC_MEM, SC_OUT, SC_UNIT, 0, SC_OK, 0, size)
#define OUT_FAILED(n, size) (#n, SC_MEM, SC_OUT, SC_UNIT, 0, SC_FAILED, 0, size)
#define OUT_RET(n, room) (#n, SC_MEM, SC_OUT, SC_RET, 0, SC_OK, (room) + 1, 1)
#define OUT_ARRAY(n, room, unit) (#n, SC_MEM, SC_OUT, SC_RET, 0, SC_OK, (room) + 1, unit)
#define OUT_ARG(n, arg)	(#n, SC_MEM, SC_OUT, SC_ARG, arg, SC_OK, 0, 1)
#define OUT_DEREF(n, arg) (#n, SC_MEM, SC_OUT, SC_DEREF, arg, SC_OK, 0, 1)
#define OUT_REQUEST(n, arg) (#n, SC_MEM, SC_OUT, SC_REQUEST, arg, SC_OK, 0, 1)

/* Both at the same place; ALWAYS: the kernel writes it when it refuses, too. */
#define INOUT(n, size)	(#n, SC_MEM, SC_IN | SC_OUT, SC_UNIT, 0, SC_OK, 0, size)
#define INOUT_ALWAYS(n, size) (#n, SC_MEM, SC_IN | SC_OUT, SC_UNIT, 0, SC_ALWAYS, 0, size)
#define INOUT_ARRAY(n, arg, unit) (#n, SC_MEM, SC_IN | SC_OUT, SC_ARG, arg, SC_OK, 0, unit)
#define FDSET(n)	(#n, SC_FDSET, SC_IN | SC_OUT, SC_BITS, 0, SC_OK, 0, 1)

/* Vectors; @count is the index of the argument with the number of elements. */
#define IOV_IN(n, count) (#n, SC_IOV, SC_IN, SC_RET, count, SC_OK, 0, 1)
#define IOV_OUT(n, count) (#n, SC_IOV, SC_OUT, SC_RET, count, SC_OK, 0, 1)
#define MSG_IN(n)	(#n, SC_MSG, SC_IN, SC_UNIT, 0, SC_OK, 0, 0)
#define MSG_OUT(n)	(#n, SC_MSG, SC_OUT, SC_UNIT, 0, SC_OK, 0, 0)
#define MMSG_IN(n)	(#n, SC_MMSG, SC_IN, SC_UNIT, 0, SC_OK, 0, 0)
#define MMSG_OUT(n)	(#n, SC_MMSG, SC_OUT, SC_UNIT, 0, SC_OK, 0, 0)

/* SC_EACH(M, a, b): "M a, M b,"; nothing for no arguments. */
#define SC_GLUE_(a, b)	a##b
#define SC_GLUE(a, b)	SC_GLUE_(a, b)
#define SC_COUNT_(z, a, b, c, d, e, f, n, ...) n
#define SC_COUNT(...)	SC_COUNT_(0, ##__VA_ARGS__, 6, 5, 4, 3, 2, 1, 0, 0)
#define SC_EACH(m, ...)	SC_GLUE(SC_EACH, SC_COUNT(__VA_ARGS__))(m, ##__VA_ARGS__)
#define SC_EACH0(m)
#define SC_EACH1(m, a)	m a,
#define SC_EACH2(m, a, b) m a, m b,
#define SC_EACH3(m, a, b, c) m a, m b, m c,
#define SC_EACH4(m, a, b, c, d) m a, m b, m c, m d,
#define SC_EACH5(m, a, b, c, d, e) m a, m b, m c, m d, m e,
#define SC_EACH6(m, a, b, c, d, e, f) m a, m b, m c, m d, m e, m f,

#define SC_ARG_NAME(n, k, fl, l, la, w, r, u)	n
#define SC_ARG_KIND(n, k, fl, l, la, w, r, u)	k
#define SC_ARG_INIT(n, k, fl, l, la, w, r, u)	{ k, fl, l, la, w, r, u }

/* Index + 1 of the first argument of @kind among kinds. */
#define SC_FIRST_(kind, a, b, c, d, e, f, ...) \
	((a) == kind ? 1 : (b) == kind ? 2 : (c) == kind ? 3 : (d) == kind ? 4 : (e) == kind ? 5 : (f) == kind ? 6 : 0)
#define SC_FIRST(...) SC_FIRST_(__VA_ARGS__)

#define SC_ROW(nr, name, how, why, ...) \
	[nr] = { \
		.nargs = SC_COUNT(__VA_ARGS__), \
		.fate = how, \
		.fd = SC_FIRST(SC_FDARG, SC_EACH(SC_ARG_KIND, ##__VA_ARGS__) 0, 0, 0, 0, 0, 0, 0), \
		.limit = SC_FIRST(SC_LIMIT, SC_EACH(SC_ARG_KIND, ##__VA_ARGS__) 0, 0, 0, 0, 0, 0, 0), \
		.arg = { SC_EACH(SC_ARG_INIT, ##__VA_ARGS__) }, \
	},

#endif
