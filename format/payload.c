/* SPDX-License-Identifier: Apache-2.0 */
#include "format/payload.h"

#include <linux/types.h>

#include "format/sysdesc.h"

#include <sys/syscall.h>

const struct ev_seg *call_seg(const struct ev_call *c, uint8_t arg)
{
	for (uint32_t i = 0; i < c->nsegs; i++)
		if (c->segs[i].arg == arg)
			return &c->segs[i];
	return NULL;
}

int call_payload_arg(unsigned int nr)
{
	const struct sc_desc *d = nr < SC_MAX ? &sc_table[nr] : NULL;

	if (!d || (d->fate != SC_READ && d->fate != SC_WRITE))
		return -1;
	for (int i = 0; i < d->nargs; i++) {
		uint8_t kind = d->arg[i].kind;

		if (kind == SC_MEM || kind == SC_IOV || kind == SC_MSG || kind == SC_MMSG)
			return i;
	}
	/* Through no memory of the program: the recorder puts the bytes at the offset's place. */
	return nr == SYS_sendfile || nr == SYS_splice || nr == SYS_tee || nr == SYS_copy_file_range ? 1 : -1;
}

int payload_each(const struct ev_call *c, struct capsule_reader *rd, capsule_sink sink, void *ctx, struct err *err)
{
	int arg = call_payload_arg(c->nr), r = 0;

	for (uint32_t i = 0; arg >= 0 && r >= 0 && i < c->nsegs; i++) {
		const struct ev_seg *seg = &c->segs[i];

		if (seg->arg != arg || !seg->len)
			continue;
		if (seg->data)
			r = sink(ctx, seg->data, seg->len, err);
		else if (rd)
			r = capsule_blob(rd, seg->sha256, sink, ctx, err);
	}
	return r < 0 ? r : 0;
}
