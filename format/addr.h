/* SPDX-License-Identifier: Apache-2.0 */
/* Socket addresses for people: 127.0.0.1:80, [::1]:80, unix:/path, unix:@abstract. Safe on a terminal. */
#ifndef CAPSULE_ADDR_H
#define CAPSULE_ADDR_H

#include <stddef.h>
#include <stdio.h>

/* @sa: a struct sockaddr as a system call left it, @len bytes of it; need not be aligned or whole. */
void addr_print(FILE *f, const void *sa, size_t len);

#endif
