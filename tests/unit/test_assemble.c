/* SPDX-License-Identifier: Apache-2.0 */
/* Ring records become calls; what makes no sense is counted and dropped. */
#include "tests/unit/harness.h"

#include "recorder/assemble.h"

#include <errno.h>

struct seen {
	unsigned int calls, tasks, eintrs;
	uint32_t lost;
	struct rec_call call;
	size_t nparts, nfds, nsocks;
	struct { uint8_t arg; uint16_t index; bool torn; size_t len; uint8_t first, last; } part[8];
};

static int on_call(void *ctx, const struct rec_call *c, struct parts *p)
{
	struct seen *s = ctx;

	s->calls++;
	s->call = *c;
	s->nparts = p->nparts;
	s->nfds = p->nfds;
	s->nsocks = p->nsocks;
	for (size_t i = 0; i < p->nparts && i < 8; i++) {
		s->part[i].arg = p->part[i].arg;
		s->part[i].index = p->part[i].index;
		s->part[i].torn = p->part[i].torn;
		s->part[i].len = p->part[i].len;
		s->part[i].first = p->part[i].len ? p->part[i].data[0] : 0;
		s->part[i].last = p->part[i].len ? p->part[i].data[p->part[i].len - 1] : 0;
	}
	return 0;
}

static int on_task(void *ctx, const struct rec_task *t, struct parts *p)
{
	struct seen *s = ctx;

	(void)t;
	s->tasks++;
	s->nparts = p->nparts;
	s->nfds = p->nfds;
	return 0;
}

static int on_eintr(void *ctx, uint32_t tid)
{
	(void)tid;
	((struct seen *)ctx)->eintrs++;
	return 0;
}

static int on_lost(void *ctx, uint32_t n)
{
	((struct seen *)ctx)->lost += n;
	return 0;
}

static const struct assembler_ops ops = { on_call, on_task, on_eintr, on_lost };

static struct assembler *new_assembler(struct seen *s)
{
	struct assembler *a = NULL;
	struct err err = ERR_INIT;

	memset(s, 0, sizeof(*s));
	assert_works(err, assembler_new(&a, &ops, s, &err));
	return a;
}

static void feed_data(struct assembler *a, uint32_t tid, uint32_t seq, uint8_t arg, uint32_t off, uint16_t len, uint8_t fill)
{
	uint8_t buf[REC_DATA_SIZE(REC_DATA_MAX)] = { 0 };
	struct rec_data *d = (struct rec_data *)buf;

	d->h = (struct rec_hdr){ .type = REC_DATA, .len = len, .tid = tid, .seq = seq };
	d->off = off;
	d->arg = arg;
	memset(d->data, fill, len);
	assert_int_equal(assemble_feed(a, d, REC_DATA_SIZE((size_t)len)), 0);
}

static void feed_call(struct assembler *a, uint32_t tid, uint32_t seq, uint32_t lost)
{
	struct rec_call c = { .h = { .type = REC_CALL, .tid = tid, .seq = seq, .lost = lost }, .nr = 1, .ret = 5 };

	assert_int_equal(assemble_feed(a, &c, offsetof(struct rec_call, fd)), 0);
}

static void puts_pieces_together(void **state)
{
	struct seen s;
	struct assembler *a = new_assembler(&s);

	(void)state;
	feed_data(a, 7, 1, 1, 0, 32768, 'a');
	feed_data(a, 7, 1, 1, 32768, 100, 'b');
	feed_data(a, 7, 1, 4, 0, 16, 'c');
	feed_call(a, 7, 1, 0);
	assert_int_equal(s.calls, 1);
	assert_int_equal(s.nparts, 2);
	assert_int_equal(s.part[0].len, 32868);
	assert_int_equal(s.part[0].first, 'a');
	assert_int_equal(s.part[0].last, 'b');
	assert_int_equal(s.part[1].arg, 4);
	assert_int_equal(s.part[1].len, 16);
	assert_int_equal(assemble_strays(a), 0);
	feed_call(a, 7, 2, 0);
	assert_int_equal(s.nparts, 0);
	assembler_free(a);
}

static void takes_a_clock_for_a_call(void **state)
{
	struct rec_clock k = { .h = { .type = REC_CLOCK, .tid = 7, .seq = 3 }, .time = 5, .args = { 1, 0x1000 }, .nr = 228, .arg = 1,
			       .value = "0123456789abcde" };
	struct seen s;
	struct assembler *a = new_assembler(&s);

	(void)state;
	assert_int_equal(assemble_feed(a, &k, sizeof(k)), 0);
	assert_int_equal(s.calls, 1);
	assert_int_equal(s.call.nr, 228);
	assert_int_equal(s.call.ret, 0);
	assert_int_equal(s.call.time, 5);
	assert_int_equal(s.call.args[1], 0x1000);
	assert_int_equal(s.nparts, 1);
	assert_int_equal(s.part[0].arg, 1);
	assert_int_equal(s.part[0].len, 16);
	assert_int_equal(s.part[0].first, '0');
	assert_int_equal(s.part[0].last, 0);
	assert_int_equal(s.call.fd.class, 0);
	k.h.flags = REC_F_PART;
	assert_int_equal(assemble_feed(a, &k, sizeof(k)), 0);
	assert_int_equal(s.nparts, 0);
	assert_true(s.call.h.flags & REC_F_PART);
	assert_int_equal(assemble_strays(a), 0);
	assembler_free(a);
}

static void keeps_threads_apart(void **state)
{
	struct seen s;
	struct assembler *a = new_assembler(&s);

	(void)state;
	feed_data(a, 1, 1, 1, 0, 10, 'x');
	feed_data(a, 2, 9, 1, 0, 20, 'y');
	feed_data(a, 1, 1, 1, 10, 10, 'z');
	feed_call(a, 2, 9, 0);
	assert_int_equal(s.part[0].len, 20);
	feed_call(a, 1, 1, 0);
	assert_int_equal(s.part[0].len, 20);
	assert_int_equal(s.part[0].last, 'z');
	assembler_free(a);
}

static void drops_what_lost_its_call(void **state)
{
	struct seen s;
	struct assembler *a = new_assembler(&s);

	(void)state;
	feed_data(a, 1, 1, 1, 0, 10, 'x');
	feed_call(a, 1, 2, 1);
	assert_int_equal(s.calls, 1);
	assert_int_equal(s.nparts, 0);
	assert_int_equal(s.lost, 1);
	assert_int_equal(assemble_strays(a), 1);
	assembler_free(a);
}

static void tears_at_a_gap(void **state)
{
	struct seen s;
	struct assembler *a = new_assembler(&s);

	(void)state;
	feed_data(a, 1, 1, 1, 0, 10, 'x');
	feed_data(a, 1, 1, 1, 20, 10, 'y');
	feed_call(a, 1, 1, 0);
	assert_int_equal(s.nparts, 1);
	assert_true(s.part[0].torn);
	assert_int_equal(s.part[0].len, 10);
	assembler_free(a);
}

static void splits_what_a_thread_gathered(void **state)
{
	_Alignas(8) uint8_t sample[512] = { 0 };
	struct rec_data *d = (struct rec_data *)sample;
	struct rec_fdinfo *f = (struct rec_fdinfo *)(sample + REC_ALIGN(REC_DATA_SIZE(5)));
	struct rec_call *c = (struct rec_call *)((uint8_t *)f + REC_ALIGN(sizeof(*f)));
	size_t len = (size_t)((uint8_t *)c - sample) + REC_CALL_SIZE(1);
	struct seen s;
	struct assembler *a = new_assembler(&s);

	(void)state;
	*d = (struct rec_data){ .h = { .type = REC_DATA, .tid = 1, .seq = 1, .len = 5 }, .arg = 2 };
	memcpy(d->data, "hello", 5);
	f->h = (struct rec_hdr){ .type = REC_FD, .tid = 1, .seq = 1 };
	c->h = (struct rec_hdr){ .type = REC_CALL, .tid = 1, .seq = 1, .len = 1 };
	c->fd.ino = 99;
	assert_int_equal(assemble_feed(a, sample, len), 0);
	assert_int_equal(s.calls, 1);
	assert_int_equal(s.nparts, 1);
	assert_int_equal(s.nfds, 1);
	assert_int_equal(s.part[0].len, 5);
	assert_int_equal(s.part[0].last, 'o');
	assert_int_equal(s.call.fd.ino, 99);
	assert_int_equal(assemble_strays(a), 0);
	assert_int_equal(assemble_feed(a, sample, len - 1), 0);	/* its call is cut short */
	assert_int_equal(s.calls, 1);
	assert_int_equal(assemble_strays(a), 1);
	d->h.flags = REC_F_ALONE;				/* what follows is nothing */
	assert_int_equal(assemble_feed(a, sample, len), 0);
	assert_int_equal(s.calls, 1);
	assert_int_equal(assemble_strays(a), 1);
	assembler_free(a);
}

static void counts_losses_once(void **state)
{
	struct seen s;
	struct assembler *a = new_assembler(&s);

	(void)state;
	feed_call(a, 1, 1, 3);
	feed_call(a, 2, 1, 2);	/* of another CPU, a little older */
	feed_call(a, 1, 2, 5);
	assert_int_equal(s.lost, 5);
	assembler_free(a);
}

static void leaves_parts_to_their_call(void **state)
{
	struct rec_task signal = { .h = { .type = REC_SIGNAL, .tid = 1, .seq = 7 } };
	struct seen s;
	struct assembler *a = new_assembler(&s);

	(void)state;
	feed_data(a, 1, 1, 1, 0, 10, 'x');
	assert_int_equal(assemble_feed(a, &signal, sizeof(signal)), 0);
	assert_int_equal(s.tasks, 1);
	assert_int_equal(s.nparts, 0);
	feed_call(a, 1, 1, 0);
	assert_int_equal(s.nparts, 1);
	assembler_free(a);
}

static void refuses_what_is_no_record(void **state)
{
	static const uint8_t types[] = { 0, REC_DATA, REC_FD, REC_SOCK, REC_CALL, REC_CLOCK, REC_FORK, REC_EXEC, REC_EXIT, REC_SIGNAL, REC_HALT, REC_HOLE, 99 };
	uint8_t buf[512];
	struct seen s;
	struct assembler *a = new_assembler(&s);
	uint64_t strays = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(types); i++)
		for (size_t len = 0; len < sizeof(struct rec_data); len++) {
			memset(buf, 0xff, sizeof(buf));
			memset(buf + 12, 0, 4);		/* lost */
			buf[0] = types[i];
			assert_int_equal(assemble_feed(a, buf, len), 0);
			assert_int_equal(assemble_strays(a), ++strays);
		}
	assert_int_equal(s.calls + s.tasks, 0);
	assembler_free(a);
}

static void refuses_lengths_that_lie(void **state)
{
	uint8_t buf[REC_DATA_SIZE(16)] = { 0 };
	struct rec_data *d = (struct rec_data *)buf;
	struct rec_sock sock = { .h = { .type = REC_SOCK }, .local_len = REC_ADDR_MAX + 1 };
	struct rec_call c = { .h = { .type = REC_CALL, .len = 3 } };
	struct seen s;
	struct assembler *a = new_assembler(&s);

	(void)state;
	d->h = (struct rec_hdr){ .type = REC_DATA, .len = 17 };
	assert_int_equal(assemble_feed(a, d, sizeof(buf)), 0);
	assert_int_equal(assemble_feed(a, &sock, sizeof(sock)), 0);
	assert_int_equal(assemble_feed(a, &c, sizeof(c)), 0);
	c.h.len = 1;
	assert_int_equal(assemble_feed(a, &c, offsetof(struct rec_call, fd)), 0);
	assert_int_equal(assemble_strays(a), 4);
	assert_int_equal(s.calls, 0);
	assembler_free(a);
}

static void hands_parts_over(void **state)
{
	struct parts p = { .tid = 1 }, *mine;

	(void)state;
	p.nparts = 1;
	p.parts_room = 1;
	p.part = calloc(1, sizeof(*p.part));
	p.part[0].data = malloc(4);
	mine = parts_take(&p);
	assert_non_null(mine);
	assert_int_equal(mine->nparts, 1);
	assert_int_equal(p.nparts, 0);
	assert_null(p.part);
	parts_free(mine);
	parts_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(puts_pieces_together),
		cmocka_unit_test(takes_a_clock_for_a_call),
		cmocka_unit_test(keeps_threads_apart),
		cmocka_unit_test(drops_what_lost_its_call),
		cmocka_unit_test(tears_at_a_gap),
		cmocka_unit_test(splits_what_a_thread_gathered),
		cmocka_unit_test(counts_losses_once),
		cmocka_unit_test(leaves_parts_to_their_call),
		cmocka_unit_test(refuses_what_is_no_record),
		cmocka_unit_test(refuses_lengths_that_lie),
		cmocka_unit_test(hands_parts_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
