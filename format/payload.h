/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes that a recorded call moved: where they are in the event. */
#ifndef CAPSULE_PAYLOAD_H
#define CAPSULE_PAYLOAD_H

#include "format/capsule.h"

/* The segment for argument or fact @arg, or NULL. */
const struct ev_seg *call_seg(const struct ev_call *c, uint8_t arg);
/* The index of the argument that carries the bytes of a SC_READ or SC_WRITE call, or -1. */
int call_payload_arg(unsigned int nr);
/*
 * The bytes of a SC_READ or SC_WRITE call, in order, to @sink; a negative result of it
 * ends that and is returned.  @rd holds those that are a blob; NULL: none are.
 */
int payload_each(const struct ev_call *c, struct capsule_reader *rd, capsule_sink sink, void *ctx, struct err *err);

#endif
