/* SPDX-License-Identifier: Apache-2.0 */
/* The manifest and the end, to and from msgpack maps (capsule(5), "MANIFEST" and "END"). */
#ifndef CAPSULE_MANIFEST_H
#define CAPSULE_MANIFEST_H

#include "format/capsule.h"

#include <msgpack.h>

enum manifest_type { MF_TEXT, MF_TEXTS, MF_I64, MF_U32, MF_BOOL, MF_GROUPS, MF_RLIMITS };

/* One row for each key, in the order in which they are written and shown; ends with a NULL key. */
struct manifest_field {
	const char *key;
	enum manifest_type type;
	size_t offset;		/* in struct manifest */
	bool required;
};
extern const struct manifest_field manifest_fields[];

/* EINVAL: a manifest that no reader would take. */
int manifest_pack(msgpack_packer *pk, const struct manifest *m, struct err *err);
/* Fresh memory, for manifest_free(). EBADMSG. */
int manifest_unpack(const uint8_t *p, size_t len, struct manifest **ret, struct err *err);

struct end_frame {
	struct capsule_end end;
	uint8_t digest[32];	/* of all bytes before the end frame */
};
struct index_entry {
	uint32_t type;
	uint64_t offset;	/* of the frame's header */
};
void end_pack(msgpack_packer *pk, const struct end_frame *e, const struct index_entry *index, size_t n);
int end_unpack(const uint8_t *p, size_t len, struct end_frame *e, struct err *err);

#endif
