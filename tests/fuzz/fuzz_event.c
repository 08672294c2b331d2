/* SPDX-License-Identifier: Apache-2.0 */
/* One event's msgpack; what is read must be written as something that reads the same. */
#include "format/cleanup.h"
#include "format/codec.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void cleanup_zone(msgpack_zone **z) { msgpack_zone_free(*z); }
#define _cleanup_zone_ _cleanup_(cleanup_zone)

static void read_again(const struct event *e)
{
	_cleanup_zone_ msgpack_zone *scratch = msgpack_zone_new(8192);
	_cleanup_zone_ msgpack_zone *strings = msgpack_zone_new(8192);
	msgpack_sbuffer buf, twice;
	struct err err = ERR_INIT;
	msgpack_packer pk;
	struct event again;
	size_t used = 0, n;

	msgpack_sbuffer_init(&buf);
	msgpack_sbuffer_init(&twice);
	msgpack_packer_init(&pk, &buf, msgpack_sbuffer_write);
	event_pack(&pk, e, 0);
	if (event_unpack((uint8_t *)buf.data, buf.size, 0, scratch, strings, &used, &again, &n, &err) < 0 || n != buf.size)
		abort();
	msgpack_packer_init(&pk, &twice, msgpack_sbuffer_write);
	event_pack(&pk, &again, 0);
	if (buf.size != twice.size || memcmp(buf.data, twice.data, buf.size) != 0)
		abort();
	msgpack_sbuffer_destroy(&buf);
	msgpack_sbuffer_destroy(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_zone_ msgpack_zone *scratch = msgpack_zone_new(8192);
	_cleanup_zone_ msgpack_zone *strings = msgpack_zone_new(8192);
	struct err err = ERR_INIT;
	struct event e;
	size_t used = 0, n;

	if (size > 1 << 20)
		return 0;
	if (event_unpack(data, size, 0, scratch, strings, &used, &e, &n, &err) == 0)
		read_again(&e);
	return 0;
}
