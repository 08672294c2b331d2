/* SPDX-License-Identifier: Apache-2.0 */
/* A signature, a NUL, and the bytes of a connection and of stderr that it judges. */
#include "format/signature.h"

#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void moved(struct observation *o, long nr, uint32_t object, const uint8_t *data, size_t len)
{
	struct event e = { .kind = EV_CALL, .call = { .nr = (uint16_t)nr, .obj = object, .nsegs = 1,
						      .segs = { { .arg = 1, .len = len, .data = data } } } };
	struct err err = ERR_INIT;

	observation_event(o, &e, NULL, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct event object = { .kind = EV_OBJECT, .object = { .id = 2, .kind = OBJ_PIPE, .path = "", .nfds = 1, .fds = (int32_t[]){ 2 } } };
	struct event accepted = { .kind = EV_CALL, .call = { .nr = SYS_accept4, .obj = 3, .obj2 = 4 } };
	const uint8_t *nul = memchr(data, 0, size);
	char text[CAPSULE_SIGNATURE];
	struct signature *s = NULL;
	struct observation *o = NULL;
	struct err err = ERR_INIT;
	size_t left;

	if (!nul || size > 1 << 16 || observation_new(&o, &err) < 0)
		return 0;
	left = size - (size_t)(nul + 1 - data);
	observation_event(o, &object, NULL, &err);
	observation_event(o, &accepted, NULL, &err);
	moved(o, SYS_write, 2, nul + 1, left);
	moved(o, SYS_read, 4, nul + 1, left / 2);
	moved(o, SYS_write, 4, nul + 1 + left / 2, left - left / 2);
	moved(o, SYS_read, 4, nul + 1, left);
	observation_end(o, 1 << 8, false);
	if (signature_parse(&s, (const char *)data, &err) == 0)
		signature_holds(s, o);
	signature_free(s);
	/* What is found must be a signature, and hold. */
	err = ERR_INIT;
	s = NULL;
	if (signature_derive(text, o, &err) == 0 && text[0] &&
	    (signature_parse(&s, text, &err) < 0 || signature_holds(s, o) == TRUTH_NO))
		abort();
	signature_free(s);
	observation_free(o);
	return 0;
}
