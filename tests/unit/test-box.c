/* SPDX-License-Identifier: Apache-2.0 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../fuzz/json.h"
#include "box-tools.h"

static void test_untaken_box_is_not_found(void **state)
{
	int fd = untaken_box(1, 4096);
	struct box_head head = { .version = 77 };
	struct box_record rec = { .state = 77 };
	struct err err = { 0 };

	(void)state;
	assert_int_equal(box_read_head(fd, &head, &err), -ERR_NOT_FOUND);
	assert_int_equal(box_read_record(fd, &rec, &err), -ERR_NOT_FOUND);
	assert_int_equal(head.version, 77);
	assert_int_equal(rec.state, 77);
	(void)close(fd);
}

static void test_taken_box_tells_who_took_it(void **state)
{
	struct box_writer w;
	struct box_head head;
	struct box_record rec;
	struct box_extent x;
	struct err err = { 0 };
	int fd = taken_box(&w, 2, 8192);

	(void)state;
	assert_int_equal(box_read_head(fd, &head, &err), 0);
	assert_int_equal(head.streams, 2);
	assert_int_equal(head.id.b[0], 0x5a);
	assert_int_equal(head.boot_id.b[15], 0xb0);
	assert_int_equal(head.ring_size[0], 8192);
	assert_int_equal(head.ring_size[1], 8192);
	assert_true(head.created_wall_ns > 0 && head.created_boot_ns > 0);

	assert_int_equal(box_read_record(fd, &rec, &err), 0);
	assert_int_equal(rec.state, BOX_STARTING);
	assert_int_equal(rec.generation, 1);
	assert_int_equal(rec.exit_code, -1);

	x = extent_of(fd, 1);
	assert_int_equal(x.start, 0);
	assert_int_equal(x.total, 0);
	assert_int_equal(x.ring_size, 8192);
	assert_false(x.at_end || x.disk_full);
	box_writer_fini(&w);
	(void)close(fd);
}

static void test_box_is_taken_only_once(void **state)
{
	struct box_writer_args args = args_for(1, 4096);
	struct box_writer w, second;
	struct err err = { 0 };
	int fd = taken_box(&w, 1, 4096);

	(void)state;
	put_all(&w, 0, 100);
	assert_int_equal(box_writer_init(&second, fd, &args, &err), -ERR_CONFLICT);
	assert_null(second.map);
	assert_int_equal(extent_of(fd, 0).total, 100);
	box_writer_fini(&second);
	box_writer_fini(&w);
	(void)close(fd);
}

static void test_writer_refuses_what_does_not_fit(void **state)
{
	static const struct {
		struct box_writer_args args;
		int code;
		const char *stage;
	} cases[] = {
		{ { .streams = 3, .ring_size = 4096 }, ERR_INVALID_INPUT, "streams" },
		{ { .streams = 1, .ring_size = 4095 }, ERR_INVALID_INPUT, "ring_bytes" },
		{ { .streams = 1, .ring_size = 5000 }, ERR_INVALID_INPUT, "ring_bytes" },
		{ { .streams = 1, .ring_size = UINT64_MAX },
		  ERR_INVALID_INPUT,
		  "ring_bytes" },
		{ { .streams = 1, .ring_size = 2 * BOX_RING_MAX },
		  ERR_INVALID_INPUT,
		  "ring_bytes" },
		{ { .streams = 1, .ring_size = 4096, .capture = 4 },
		  ERR_INVALID_INPUT,
		  "capture" },
		{ { .streams = 1, .ring_size = 4096, .overflow = 2 },
		  ERR_INVALID_INPUT,
		  "overflow" },
		/* the file has room for one ring of 4096 */
		{ { .streams = 2, .ring_size = 4096 }, ERR_INTERNAL, "box" },
		{ { .streams = 1, .ring_size = 8192 }, ERR_INTERNAL, "box" },
	};
	int fd = untaken_box(1, 4096), pipefd[2];
	struct box_writer_args good = args_for(1, 4096);
	struct box_writer w;
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		memset(&err, 0, sizeof(err));
		assert_int_equal(box_writer_init(&w, fd, &cases[i].args, &err),
				 -cases[i].code);
		assert_string_equal(err.stage, cases[i].stage);
	}
	assert_int_equal(pipe2(pipefd, O_CLOEXEC), 0);
	assert_int_equal(box_writer_init(&w, pipefd[1], &good, &err), -ERR_INTERNAL);
	(void)close(pipefd[0]);
	(void)close(pipefd[1]);

	assert_int_equal(box_writer_init(&w, fd, &good, &err), 0);
	box_writer_fini(&w);
	(void)close(fd);
}

static void test_span_is_reserved_before_it_is_written(void **state)
{
	struct box_writer w;
	struct box_extent x;
	struct box_chunk chunk;
	struct err err = { 0 };
	unsigned char buf[8192];
	size_t n = 0;
	int fd = taken_box(&w, 1, 8192);

	(void)state;
	put_all(&w, 0, 8192);
	assert_int_equal(extent_of(fd, 0).start, 0);

	assert_non_null(box_writer_span(&w, 0, 1000, &n));
	assert_int_equal(n, 1000);
	x = extent_of(fd, 0);
	assert_int_equal(x.start, 1000);
	assert_int_equal(x.total, 8192);
	assert_int_equal(box_read(fd, 0, 0, buf, sizeof(buf), &chunk, &err), 0);
	assert_int_equal(chunk.lost, 1000);
	assert_int_equal(chunk.len, 7192);

	/* What did not come is given back, as nobody wrote there. */
	box_writer_commit(&w, 0, 0);
	assert_int_equal(extent_of(fd, 0).start, 0);
	assert_non_null(box_writer_span(&w, 0, 1000, &n));
	box_writer_commit(&w, 0, 1);
	x = extent_of(fd, 0);
	assert_int_equal(x.start, 1);
	assert_int_equal(x.total, 8193);
	box_writer_fini(&w);
	(void)close(fd);
}

static void test_full_ring_leaves_readers_three_quarters(void **state)
{
	struct box_writer w;
	size_t n = 0;
	int fd = taken_box(&w, 1, 4096);

	(void)state;
	put_all(&w, 0, 4096);
	assert_non_null(box_writer_span(&w, 0, SIZE_MAX, &n));
	assert_int_equal(n, 1024);
	assert_int_equal(extent_of(fd, 0).start, 1024);
	box_writer_fini(&w);
	(void)close(fd);
}

static void test_block_never_overwrites_what_is_not_acknowledged(void **state)
{
	struct box_writer_args args = args_for(1, 12288);
	uint64_t seed = new_seed(__func__), acked = 0;
	int fd = untaken_box(1, 12288), full = 0;
	struct box_writer w;
	struct err err = { 0 };

	(void)state;
	args.overflow = BOX_BLOCK;
	assert_int_equal(box_writer_init(&w, fd, &args, &err), 0);
	for (int i = 0; i < 20000; i++) {
		uint64_t total = box_writer_total(&w, 0);

		if (below(&seed, 2) == 0) {
			size_t n = put(&w, 0, (size_t)below(&seed, 5000) + 1);

			assert_true(n > 0 || total - acked == 12288);
			full += n == 0;
		} else {
			acked += below(&seed, total - acked + 1);
			box_writer_ack(&w, 0, acked);
		}
		assert_true(extent_of(fd, 0).start <= acked);
		assert_true(box_writer_total(&w, 0) - acked <= 12288);
	}
	assert_true(full > 0);
	box_writer_fini(&w);
	(void)close(fd);
}

static void test_acknowledgement_never_moves_back_nor_ahead(void **state)
{
	struct box_writer_args args = args_for(1, 4096);
	int fd = untaken_box(1, 4096);
	struct box_writer w;
	struct err err = { 0 };

	(void)state;
	args.overflow = BOX_BLOCK;
	assert_int_equal(box_writer_init(&w, fd, &args, &err), 0);
	put_all(&w, 0, 4096);
	assert_int_equal(put(&w, 0, 100), 0);
	box_writer_ack(&w, 0, 50);
	box_writer_ack(&w, 0, 10);
	assert_int_equal(put(&w, 0, 100), 50);
	box_writer_ack(&w, 0, UINT64_MAX);
	assert_int_equal(w.stream[0].acked, 4146);
	put_all(&w, 0, 4096);
	assert_int_equal(put(&w, 0, 1), 0);
	box_writer_fini(&w);
	(void)close(fd);
}

static void test_lapsed_block_drops_the_oldest(void **state)
{
	struct box_writer_args args = args_for(1, 4096);
	int fd = untaken_box(1, 4096);
	struct box_writer w;
	struct box_record rec;
	struct err err = { 0 };

	(void)state;
	args.overflow = BOX_BLOCK;
	assert_int_equal(box_writer_init(&w, fd, &args, &err), 0);
	put_all(&w, 0, 4096);
	assert_int_equal(put(&w, 0, 1), 0);
	box_writer_lapse(&w);
	assert_int_equal(put(&w, 0, 1), 1);
	assert_int_equal(extent_of(fd, 0).start, 1);
	box_writer_store(&w);
	assert_int_equal(box_read_record(fd, &rec, &err), 0);
	assert_true(rec.flags & BOX_BLOCK_LAPSED);
	box_writer_fini(&w);
	(void)close(fd);
}

static void test_end_is_told_with_the_last_byte_only(void **state)
{
	struct box_writer w;
	struct box_chunk chunk;
	struct err err = { 0 };
	unsigned char buf[100];
	int fd = taken_box(&w, 1, 4096);

	(void)state;
	put_all(&w, 0, 150);
	assert_int_equal(box_read(fd, 0, 100, buf, 100, &chunk, &err), 0);
	assert_int_equal(chunk.len, 50);
	assert_false(chunk.at_end);
	box_writer_end(&w, 0);
	assert_int_equal(box_read(fd, 0, 0, buf, 100, &chunk, &err), 0);
	assert_false(chunk.at_end);
	assert_int_equal(box_read(fd, 0, chunk.next, buf, 100, &chunk, &err), 0);
	assert_int_equal(chunk.len, 50);
	assert_true(chunk.at_end);
	assert_int_equal(box_read(fd, 0, 150, buf, 100, &chunk, &err), 0);
	assert_int_equal(chunk.len, 0);
	assert_true(chunk.at_end && extent_of(fd, 0).at_end);
	box_writer_fini(&w);
	(void)close(fd);
}

static void test_box_without_rings_counts_what_it_does_not_keep(void **state)
{
	struct box_writer w;
	struct box_chunk chunk;
	struct err err = { 0 };
	size_t n = 0;
	char c;
	int fd = taken_box(&w, 2, 0);

	(void)state;
	assert_null(box_writer_span(&w, 0, 777, &n));
	assert_int_equal(n, 777);
	box_writer_commit(&w, 0, 700);
	assert_int_equal(extent_of(fd, 0).start, 700);
	assert_int_equal(extent_of(fd, 0).total, 700);
	assert_int_equal(box_read(fd, 0, 30, &c, 1, &chunk, &err), 0);
	assert_int_equal(chunk.lost, 670);
	assert_int_equal(chunk.next, 700);
	assert_false(chunk.at_end);
	box_writer_end(&w, 0);
	assert_int_equal(box_read(fd, 0, 700, &c, 1, &chunk, &err), 0);
	assert_true(chunk.at_end);
	box_writer_fini(&w);
	(void)close(fd);
}

static void test_offset_from_the_future_is_refused(void **state)
{
	struct box_writer w;
	struct box_chunk chunk = { .lost = 77 };
	struct err err = { 0 };
	char c;
	int fd = taken_box(&w, 1, 4096);

	(void)state;
	put_all(&w, 0, 10);
	assert_int_equal(box_read(fd, 0, 11, &c, 1, &chunk, &err), -ERR_INVALID_INPUT);
	assert_string_equal(err.stage, "offset");
	assert_int_equal(box_read(fd, 0, UINT64_MAX, &c, 1, &chunk, &err),
			 -ERR_INVALID_INPUT);
	assert_int_equal(box_read(fd, 1, 0, &c, 1, &chunk, &err), -ERR_INVALID_INPUT);
	assert_string_equal(err.stage, "stream");
	assert_int_equal(box_read(fd, -1, 0, &c, 1, &chunk, &err), -ERR_INVALID_INPUT);
	assert_int_equal(chunk.lost, 77);
	box_writer_fini(&w);
	(void)close(fd);
}

/* Random spans and random reads in one thread: everything is known, so all is exact. */
static void against_model(uint64_t ring_size, uint64_t *seed)
{
	struct box_writer w;
	int fd = taken_box(&w, 2, ring_size);
	size_t buf_size = (size_t)ring_size + 100;
	unsigned char *buf = malloc(buf_size);

	assert_non_null(buf);
	for (int i = 0; i < 3000; i++) {
		int stream = (int)below(seed, 2);
		uint64_t total, start, offset;
		size_t len = (size_t)below(seed, buf_size);
		struct box_chunk chunk;
		struct err err = { 0 };

		(void)put(&w, stream, (size_t)below(seed, ring_size / 3 + 2));
		total = box_writer_total(&w, stream);
		start = total > ring_size ? total - ring_size : 0;
		offset = below(seed, total + 1);
		assert_int_equal(box_read(fd, stream, offset, buf, len, &chunk, &err), 0);
		assert_int_equal(chunk.offset, offset > start ? offset : start);
		assert_int_equal(chunk.lost, chunk.offset - offset);
		assert_int_equal(chunk.len, MIN(len, total - chunk.offset));
		assert_int_equal(chunk.next, chunk.offset + chunk.len);
		assert_true(bytes_are_right(buf, chunk.offset, chunk.len));
		assert_int_equal(extent_of(fd, stream).start, start);
	}
	free(buf);
	box_writer_fini(&w);
	(void)close(fd);
}

static void test_every_byte_keeps_its_offset_over_many_laps(void **state)
{
	uint64_t seed = new_seed(__func__);

	(void)state;
	against_model(4096, &seed);
	against_model(8192, &seed);
	against_model(12288, &seed);
	against_model(17 * 4096, &seed);
}

static void test_newest_record_counts(void **state)
{
	struct box_writer w;
	struct box_record rec;
	struct err err = { 0 };
	int fd = taken_box(&w, 1, 4096);

	(void)state;
	for (int i = 0; i < 5; i++) {
		w.record.state = BOX_RUNNING;
		w.record.sandbox_pid = 100 + i;
		box_writer_store(&w);
		assert_int_equal(box_read_record(fd, &rec, &err), 0);
		assert_int_equal(rec.sandbox_pid, 100 + i);
		assert_int_equal(rec.generation, i + 2);
	}
	box_writer_fini(&w);
	(void)close(fd);
}

/* As a writer that is killed leaves it: the new record up to some byte, then the old. */
static void test_writer_killed_half_way_leaves_the_older_record(void **state)
{
	struct box_writer w;
	struct box_record oldest, newest, rec;
	struct err err = { 0 };
	int fd = taken_box(&w, 1, 4096), newer = 0;

	(void)state;
	assert_int_equal(fd_pread_all(fd, &oldest, sizeof(oldest), BOX_SLOT_AT(0)), 0);
	w.record.state = BOX_RUNNING;
	box_writer_store(&w);
	w.record.state = BOX_EXITED;
	w.record.reason = BOX_REASON_EXITED;
	memset(w.record.start_msg, 'x', BOX_MSG_MAX - 1);
	box_writer_store(&w);
	assert_int_equal(fd_pread_all(fd, &newest, sizeof(newest), BOX_SLOT_AT(0)), 0);
	assert_int_equal(newest.generation, 3);

	for (size_t cut = 1; cut <= sizeof(newest); cut++) {
		poke(fd, BOX_SLOT_AT(0), &oldest, sizeof(oldest));
		poke(fd, BOX_SLOT_AT(0), &newest, cut);
		assert_int_equal(box_read_record(fd, &rec, &err), 0);
		assert_true(rec.generation == 2 || cut == sizeof(newest));
		newer += rec.generation == 3;
	}
	assert_int_equal(newer, 1);

	for (size_t i = 0; i < sizeof(newest); i++) {
		unsigned char c = (unsigned char)~((unsigned char *)&newest)[i];

		poke(fd, BOX_SLOT_AT(0) + (off_t)i, &c, 1);
		assert_int_equal(box_read_record(fd, &rec, &err), 0);
		assert_int_equal(rec.generation, 2);
		assert_int_equal(rec.state, BOX_RUNNING);
		poke(fd, BOX_SLOT_AT(0), &newest, sizeof(newest));
	}
	box_writer_fini(&w);
	(void)close(fd);
}

static void test_two_bad_slots_are_damage(void **state)
{
	struct box_writer w;
	struct box_record rec = { .state = 77 };
	struct err err = { 0 };
	int fd = taken_box(&w, 1, 4096);

	(void)state;
	box_writer_store(&w);
	poke(fd, BOX_SLOT_AT(0) + 30, "!", 1);
	poke(fd, BOX_SLOT_AT(1) + 30, "!", 1);
	assert_int_equal(box_read_record(fd, &rec, &err), -ERR_INTERNAL);
	assert_non_null(strstr(err.msg, "damaged box"));
	assert_int_equal(rec.state, 77);
	box_writer_fini(&w);
	(void)close(fd);
}

static void test_file_cut_at_any_length_counts_as_lost(void **state)
{
	static unsigned char image[BOX_RINGS_AT + 4096];
	size_t len = sample(image, sizeof(image));
	int fd = memfd_create("cut", MFD_CLOEXEC);
	unsigned char buf[4096];

	(void)state;
	for (size_t cut = 0; cut <= len; cut++) {
		size_t have = cut > BOX_RINGS_AT ? cut - BOX_RINGS_AT : 0;
		struct err err = { 0 };
		struct box_chunk chunk;
		uint64_t offset = 0, got = 0, lost = 0;
		int r = 0;

		assert_int_equal(ftruncate(fd, 0), 0);
		poke(fd, 0, image, cut);
		while (offset < 5000) {
			r = box_read(fd, 0, offset, buf, sizeof(buf), &chunk, &err);
			if (r < 0)
				break;
			assert_true(bytes_are_right(buf, chunk.offset, chunk.len));
			assert_int_equal(chunk.lost, chunk.offset - offset);
			assert_true(chunk.next > offset);
			offset = chunk.next;
			got += chunk.len;
			lost += chunk.lost;
		}
		if (cut < 3072 + 64) {
			assert_int_equal(r, -ERR_INTERNAL);
			continue;
		}
		assert_int_equal(r, 0);
		assert_int_equal(got + lost, 5000);
		/* The ring holds 904 .. 5000; the offsets from 4096 on lie at its front.
		 */
		assert_int_equal(got, have);
	}
	(void)close(fd);
}

static void rewrite_head(int fd, const struct box_head *h)
{
	struct box_head copy = *h;

	copy.sum = box_sum(&copy, offsetof(struct box_head, sum));
	poke(fd, 0, &copy, sizeof(copy));
}

static int error_of_head(int fd, const struct box_head *h)
{
	struct box_head ret;

	rewrite_head(fd, h);
	return box_read_head(fd, &ret, NULL);
}

static void test_hostile_head_is_refused(void **state)
{
	struct box_writer w;
	struct box_head good, h;
	struct err err = { 0 };
	int fd = taken_box(&w, 1, 4096);

	(void)state;
	assert_int_equal(box_read_head(fd, &good, &err), 0);
	for (size_t i = 0; i < sizeof(good); i++) {
		unsigned char c = (unsigned char)~((unsigned char *)&good)[i];

		poke(fd, (off_t)i, &c, 1);
		assert_true(box_read_head(fd, &h, &err) < 0);
		rewrite_head(fd, &good);
	}

	h = good;
	h.streams = 3;
	assert_int_equal(error_of_head(fd, &h), -ERR_INTERNAL);
	h = good;
	h.ring_size[0] = UINT64_C(1) << 63;
	assert_int_equal(error_of_head(fd, &h), -ERR_INTERNAL);
	h = good;
	h.ring_size[0] = 4097;
	assert_int_equal(error_of_head(fd, &h), -ERR_INTERNAL);
	h = good;
	h.ring_size[1] = 4096;
	assert_int_equal(error_of_head(fd, &h), -ERR_INTERNAL);
	h = good;
	h.capture = 9;
	assert_int_equal(error_of_head(fd, &h), -ERR_INTERNAL);
	h = good;
	h.overflow = 2;
	assert_int_equal(error_of_head(fd, &h), -ERR_INTERNAL);
	h = good;
	h.version = 2;
	assert_int_equal(error_of_head(fd, &h), -ERR_UNSUPPORTED);
	rewrite_head(fd, &good);
	assert_int_equal(box_read_head(fd, &h, &err), 0);
	box_writer_fini(&w);
	(void)close(fd);
}

static void test_hostile_counters_are_refused(void **state)
{
	static const struct box_counters cases[] = {
		{ .reserved = 0, .total = 1, .ring_size = 4096 },
		{ .reserved = 9000, .total = 100, .ring_size = 4096 },
		{ .reserved = UINT64_MAX, .total = UINT64_MAX, .ring_size = 4096 },
		{ .reserved = UINT64_MAX, .total = UINT64_MAX - 5, .ring_size = 4096 },
		{ .reserved = 5, .total = UINT64_MAX, .ring_size = 4096 },
		{ .reserved = 100, .total = 100, .ring_size = 8192 },
		{ .reserved = 100, .total = 100, .ring_size = UINT64_MAX },
		{ .reserved = 100, .total = 100, .ring_size = 1 },
		{ .reserved = 101, .total = 100, .ring_size = 0 },
	};
	struct box_writer w;
	int fd = taken_box(&w, 1, 4096);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct box_chunk chunk = { .lost = 77 };
		struct box_extent x = { .total = 77 };
		struct err err = { 0 };
		char buf[64];

		poke(fd, BOX_COUNTERS_AT(0), &cases[i], sizeof(cases[i]));
		assert_int_equal(box_read_extent(fd, 0, &x, &err), -ERR_INTERNAL);
		assert_int_equal(box_read(fd, 0, 0, buf, 64, &chunk, &err),
				 -ERR_INTERNAL);
		assert_non_null(strstr(err.msg, "damaged box"));
		assert_int_equal(x.total, 77);
		assert_int_equal(chunk.lost, 77);
	}
	box_writer_fini(&w);
	(void)close(fd);
}

static void test_hostile_record_is_refused(void **state)
{
	struct box_writer w;
	struct box_record rec;
	struct err err = { 0 };
	int fd = taken_box(&w, 1, 4096);

	(void)state;
	for (int i = 0; i < 6; i++) {
		w.record = (struct box_record){ .state = BOX_EXITED, .exit_code = 0 };
		w.record.state = i == 0 ? 0 : i == 1 ? 4 : BOX_EXITED;
		w.record.reason = i == 2 ? BOX_REASON_LOST : BOX_REASON_EXITED;
		w.record.exit_code = i == 3 ? 256 : 0;
		w.record.exit_signal = i == 4 ? -1 : 0;
		w.record.sandbox_pid = i == 5 ? INT32_MIN : 2;
		w.record.generation = 10 + (uint64_t)i;
		box_writer_store(&w);
		assert_int_equal(box_read_record(fd, &rec, &err), -ERR_INTERNAL);
	}

	/* Text without an end gets one. */
	w.record.sandbox_pid = 2;
	memset(w.record.start_msg, 'x', BOX_MSG_MAX);
	memset(w.record.start_stage, 'y', BOX_STAGE_MAX);
	box_writer_store(&w);
	assert_int_equal(box_read_record(fd, &rec, &err), 0);
	assert_int_equal(strlen(rec.start_msg), BOX_MSG_MAX - 1);
	assert_int_equal(strlen(rec.start_stage), BOX_STAGE_MAX - 1);
	box_writer_fini(&w);
	(void)close(fd);
}

static void test_description_says_all_and_escapes_it(void **state)
{
	struct box_writer w;
	struct buf text = { 0 }, json = { 0 };
	struct err err = { 0 };
	int fd = taken_box(&w, 2, 4096);

	(void)state;
	put_all(&w, 0, 5000);
	w.record.state = BOX_EXITED;
	w.record.reason = BOX_REASON_START_FAILED;
	w.record.exit_signal = 9;
	w.record.start_errno = 2;
	(void)snprintf(w.record.start_stage, BOX_STAGE_MAX, "exec");
	(void)snprintf(
		w.record.start_msg, BOX_MSG_MAX,
		"\"q\" \\ \033[2J\n\t\x7f \xc3\xa9 \xff \xc2\x9b \xed\xa0\x80 \xe2\x82");
	box_writer_store(&w);

	assert_int_equal(box_describe(fd, false, &text, &err), 0);
	assert_non_null(strstr(text.data, "SIGKILL"));
	assert_non_null(strstr(text.data, "start_failed"));
	assert_non_null(strstr(text.data, "\xc3\xa9"));
	assert_null(strchr(text.data, '\033'));
	assert_null(strstr(text.data, "\xc2\x9b"));
	assert_null(strchr(text.data, '\xff'));

	assert_int_equal(box_describe(fd, true, &json, &err), 0);
	assert_true(json_ok(json.data));
	assert_non_null(strstr(json.data, "\"total_bytes\":5000,\"lost_bytes\":904,"
					  "\"held_bytes\":4096,\"ring_bytes\":4096"));
	assert_non_null(strstr(json.data,
			       "\"start_msg\":\"\\\"q\\\" \\\\ \\u001b[2J\\u000a"
			       "\\u0009\\u007f \xc3\xa9 \\ufffd \\u009b "
			       "\\ufffd\\ufffd\\ufffd \\ufffd\\ufffd\""));
	assert_non_null(strstr(json.data, "\"exit_code\":null,\"signal\":\"SIGKILL\""));
	buf_fini(&text);
	buf_fini(&json);
	box_writer_fini(&w);
	(void)close(fd);
}

static void test_description_shows_what_is_left_of_a_damaged_box(void **state)
{
	struct box_writer w;
	struct buf json = { 0 };
	struct err err = { 0 };
	int fd = taken_box(&w, 1, 4096);

	(void)state;
	poke(fd, BOX_SLOT_AT(0) + 100, "!", 1);
	poke(fd, BOX_COUNTERS_AT(0) + 8, "\xff", 1);
	assert_int_equal(box_describe(fd, true, &json, &err), 0);
	assert_true(json_ok(json.data));
	assert_non_null(strstr(json.data, "\"record_error\":\"damaged box: "));
	assert_non_null(strstr(json.data, "\"stdout\":{\"error\":\"damaged box: "));
	buf_fini(&json);
	box_writer_fini(&w);
	(void)close(fd);
}

static void test_usage_is_told_only_if_it_is_right(void **state)
{
	struct box_usage u = { .memory_limit = 4096, .oom_killed = 2 }, got;
	struct buf text = { 0 };
	struct box_writer w;
	int fd = taken_box(&w, 1, 4096);
	struct err err = { 0 };

	(void)state;
	assert_int_equal(box_read_usage(fd, &got, &err), -ERR_NOT_FOUND);
	box_writer_usage(&w, &u);
	u.memory_peak = 4095;
	box_writer_usage(&w, &u);
	assert_int_equal(box_read_usage(fd, &got, &err), 0);
	assert_int_equal(got.memory_limit, 4096);
	assert_int_equal(got.memory_peak, 4095);
	assert_int_equal(got.oom_killed, 2);
	assert_int_equal(box_describe(fd, true, &text, &err), 0);
	assert_non_null(strstr(text.data, "\"oom_killed\""));
	buf_fini(&text);
	/* Its neighbours are as they were. */
	assert_int_equal(extent_of(fd, 0).total, 0);
	put_all(&w, 0, 5000);
	assert_int_equal(box_read_usage(fd, &got, &err), 0);

	poke(fd, BOX_USAGE_AT + 8, "x", 1);
	assert_int_equal(box_read_usage(fd, &got, &err), -ERR_NOT_FOUND);
	assert_int_equal(ftruncate(fd, BOX_USAGE_AT + 31), 0);
	assert_int_not_equal(box_read_usage(fd, &got, &err), 0);
	box_writer_fini(&w);
	(void)close(fd);
}

static void test_names_are_never_null(void **state)
{
	(void)state;
	assert_string_equal(box_capture_name(BOX_CAPTURE_PTY), "pty");
	assert_string_equal(box_overflow_name(BOX_BLOCK), "block");
	assert_string_equal(box_state_name(BOX_EXITED), "exited");
	assert_string_equal(box_reason_name(BOX_REASON_OUTPUT_LIMIT), "output_limit");
	assert_string_equal(box_capture_name(4), "unknown");
	assert_string_equal(box_overflow_name(UINT32_MAX), "unknown");
	assert_string_equal(box_state_name(0), "unknown");
	assert_string_equal(box_reason_name(13), "unknown");
	/* The published value of FNV-1a for "a". */
	assert_true(box_sum("a", 1) == UINT64_C(0xaf63dc4c8601ec8c));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_untaken_box_is_not_found),
		cmocka_unit_test(test_taken_box_tells_who_took_it),
		cmocka_unit_test(test_box_is_taken_only_once),
		cmocka_unit_test(test_writer_refuses_what_does_not_fit),
		cmocka_unit_test(test_span_is_reserved_before_it_is_written),
		cmocka_unit_test(test_full_ring_leaves_readers_three_quarters),
		cmocka_unit_test(test_block_never_overwrites_what_is_not_acknowledged),
		cmocka_unit_test(test_acknowledgement_never_moves_back_nor_ahead),
		cmocka_unit_test(test_lapsed_block_drops_the_oldest),
		cmocka_unit_test(test_end_is_told_with_the_last_byte_only),
		cmocka_unit_test(test_box_without_rings_counts_what_it_does_not_keep),
		cmocka_unit_test(test_offset_from_the_future_is_refused),
		cmocka_unit_test(test_every_byte_keeps_its_offset_over_many_laps),
		cmocka_unit_test(test_newest_record_counts),
		cmocka_unit_test(test_writer_killed_half_way_leaves_the_older_record),
		cmocka_unit_test(test_two_bad_slots_are_damage),
		cmocka_unit_test(test_file_cut_at_any_length_counts_as_lost),
		cmocka_unit_test(test_hostile_head_is_refused),
		cmocka_unit_test(test_hostile_counters_are_refused),
		cmocka_unit_test(test_hostile_record_is_refused),
		cmocka_unit_test(test_description_says_all_and_escapes_it),
		cmocka_unit_test(test_description_shows_what_is_left_of_a_damaged_box),
		cmocka_unit_test(test_usage_is_told_only_if_it_is_right),
		cmocka_unit_test(test_names_are_never_null),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
