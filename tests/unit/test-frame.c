/* SPDX-License-Identifier: Apache-2.0 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../src/base/cleanup.h"
#include "../../src/base/fd.h"
#include "../../src/wire/frame.h"

static void frame_reader_fini_p(struct frame_reader *r)
{
	frame_reader_fini(r);
}

static void feed(struct frame_reader *r, const void *data, size_t len)
{
	void *p = frame_reader_space(r, len);

	assert_non_null(p);
	if (len > 0)
		memcpy(p, data, len);
	frame_reader_filled(r, len);
}

static void put(struct buf *b, uint8_t type, uint32_t call, const char *json,
		const char *raw)
{
	struct err err = { 0 };

	assert_int_equal(
		frame_put(b, type, call, json, strlen(json), raw, strlen(raw), &err), 0);
}

static void test_writes_the_bytes_of_the_reference(void **state)
{
	CLEANUP(buf_fini) struct buf b = { 0 };
	static const unsigned char want[] = {
		0x12,	     0,	   0,	 0,		  /* length 18 */
		FRAME_REPLY, 0,	   0,	 0,		  /* type, descriptors, zero */
		0x04,	     0x03, 0x02, 0x01,		  /* call 0x01020304 */
		2,	     0,	   0,	 0,		  /* bytes of JSON */
		'{',	     '}',  'a',	 0,    0xff, 'b', /* JSON, raw */
	};

	(void)state;
	assert_int_equal(frame_put(&b, FRAME_REPLY, 0x01020304, "{}", 2,
				   "a\0\xff"
				   "b",
				   4, NULL),
			 0);
	assert_int_equal(b.len, sizeof(want));
	assert_memory_equal(b.data, want, sizeof(want));
}

/* The example of docs/protocol.md. */
static void test_reads_the_example_of_the_reference(void **state)
{
	static const unsigned char bytes[] =
		"\x61\x00\x00\x00"
		"\x02\x00\x00\x00"
		"\x01\x00\x00\x00"
		"\x55\x00\x00\x00"
		"{\"op\":\"process.run\",\"params\":{\"argv\":[\"sh\",\"-c\",\"echo "
		"hello; exit 3\"],"
		"\"stream\":true}}";
	CLEANUP(frame_reader_fini) struct frame_reader r = { 0 };
	struct frame f;

	(void)state;
	feed(&r, bytes, sizeof(bytes) - 1);
	assert_int_equal(frame_reader_next(&r, &f, NULL), 1);
	assert_int_equal(f.type, FRAME_CALL);
	assert_int_equal(f.call, 1);
	assert_int_equal(f.json_len, 85);
	assert_int_equal(f.raw_len, 0);
	assert_int_equal(frame_reader_next(&r, &f, NULL), 0);
}

static void test_any_split_gives_the_same_frames(void **state)
{
	CLEANUP(buf_fini) struct buf b = { 0 };

	(void)state;
	put(&b, FRAME_HELLO, 0, "{\"version\":1}", "");
	put(&b, FRAME_CALL, 7, "{\"op\":\"x\"}", "raw");
	put(&b, FRAME_CANCEL, 7, "", "");
	for (size_t step = 1; step <= b.len; step++) {
		CLEANUP(frame_reader_fini) struct frame_reader r = { 0 };
		CLEANUP(buf_fini) struct buf again = { 0 };
		struct frame f;
		int n = 0;

		for (size_t at = 0; at < b.len; at += step) {
			feed(&r, b.data + at, MIN(step, b.len - at));
			while (frame_reader_next(&r, &f, NULL) == 1) {
				n++;
				assert_int_equal(f.n_fds, 0);
				assert_int_equal(frame_put(&again, f.type, f.call, f.json,
							   f.json_len, f.raw, f.raw_len,
							   NULL),
						 0);
			}
		}
		assert_int_equal(n, 3);
		assert_int_equal(again.len, b.len);
		assert_memory_equal(again.data, b.data, b.len);
	}
}

static void refused(const unsigned char *head, size_t len)
{
	CLEANUP(frame_reader_fini) struct frame_reader r = { 0 };
	struct err err = { 0 };
	struct frame f = { .call = 77 };

	feed(&r, head, len);
	assert_int_equal(frame_reader_next(&r, &f, &err), -ERR_INVALID_INPUT);
	assert_int_equal(err.code, ERR_INVALID_INPUT);
	assert_string_equal(err.stage, "frame");
	assert_int_equal(f.call, 77); /* untouched on failure */
	assert_int_equal(frame_reader_next(&r, &f, NULL), -ERR_INVALID_INPUT);
}

/* Each byte of a good head is made bad in turn; the body never has to come. */
static void test_refuses_a_bad_head_before_its_body(void **state)
{
	static const unsigned char good[FRAME_HEAD] = {
		20, 0, 0, 0, FRAME_CALL, 0, 0, 0, 1, 0, 0, 0, 8, 0, 0, 0
	};
	static const struct {
		size_t at;
		unsigned char value;
	} bad[] = {
		{ 0, 11 }, /* too short for a head */
		{ 3, 1 },  /* 16 MiB */
		{ 4, 0 },  /* no type */
		{ 4, FRAME_CANCEL + 1 },
		{ 4, FRAME_HELLO }, /* a hello with a call number */
		{ 5, 1 },	    /* a descriptor that did not come */
		{ 5, FRAME_FDS + 1 },
		{ 6, 1 },
		{ 7, 1 },
		{ 8, 0 },  /* a call without a number */
		{ 12, 9 }, /* JSON longer than the frame */
		{ 15, 0xff },
	};
	unsigned char head[FRAME_HEAD];
	CLEANUP(frame_reader_fini) struct frame_reader r = { 0 };
	struct frame f;

	(void)state;
	feed(&r, good, sizeof(good));
	assert_int_equal(frame_reader_next(&r, &f, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		memcpy(head, good, sizeof(head));
		head[bad[i].at] = bad[i].value;
		refused(head, sizeof(head));
	}
	refused((const unsigned char *)"\xff\xff\xff\xff",
		4); /* known from the length alone */
}

static void test_largest_frame_passes_and_one_byte_more_does_not(void **state)
{
	const size_t room = FRAME_MAX - (FRAME_HEAD - 4);
	CLEANUP(frame_reader_fini) struct frame_reader r = { 0 };
	CLEANUP(buf_fini) struct buf b = { 0 };
	CLEANUP(free) char *raw = calloc(1, room + 1);
	struct err err = { 0 };
	struct frame f;

	(void)state;
	assert_non_null(raw);
	assert_int_equal(frame_put(&b, FRAME_EVENT, 1, "{}", 2, raw, room - 1, &err),
			 -ERR_INVALID_INPUT);
	assert_int_equal(err.code, ERR_INVALID_INPUT);
	assert_int_equal(b.len, 0);
	assert_int_equal(frame_put(&b, FRAME_EVENT, 1, "{}", 2, raw, room - 2, NULL), 0);
	assert_int_equal(b.len, FRAME_MAX + 4);

	feed(&r, b.data, b.len);
	assert_null(frame_reader_space(&r, 1)); /* a whole frame waits to be taken */
	assert_int_equal(frame_reader_next(&r, &f, NULL), 1);
	assert_int_equal(f.raw_len, room - 2);
	assert_non_null(frame_reader_space(&r, 1));
	assert_true(r.in.cap < FRAME_MAX); /* and the memory is given back */
}

/* An engine asks for so much before each read. What is freed is overwritten here. */
static void test_the_space_of_a_read_is_used_again(void **state)
{
	CLEANUP(frame_reader_fini) struct frame_reader r = { 0 };
	CLEANUP(buf_fini) struct buf b = { 0 };
	struct frame f;

	(void)state;
	put(&b, FRAME_CANCEL, 1, "", "");
	(void)mallopt(M_PERTURB, 0x55);
	for (int i = 0; i < 3; i++) {
		char *space = frame_reader_space(&r, 65536);

		assert_non_null(space);
		if (i > 0)
			assert_string_equal(space + 60000, "left");
		memcpy(space, b.data, b.len);
		memcpy(space + 60000, "left", 5);
		frame_reader_filled(&r, b.len);
		assert_int_equal(frame_reader_next(&r, &f, NULL), 1);
	}
	(void)mallopt(M_PERTURB, 0);
}

/* Moving the rest down once per frame would take minutes here. */
static void test_many_small_frames_cost_no_more_than_their_bytes(void **state)
{
	CLEANUP(frame_reader_fini) struct frame_reader r = { 0 };
	CLEANUP(buf_fini) struct buf b = { 0 };
	struct frame f;
	size_t n = 0;

	(void)state;
	while (b.len < FRAME_MAX)
		put(&b, FRAME_CANCEL, 1, "", "");
	feed(&r, b.data, b.len);
	while (frame_reader_next(&r, &f, NULL) == 1)
		n++;
	assert_int_equal(n, FRAME_MAX / FRAME_HEAD);
	assert_int_equal(r.used, b.len);
}

static int open_null(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* recvmsg(2) gives descriptors together with the bytes of frames before theirs. */
static void test_descriptors_go_to_the_frame_that_names_them(void **state)
{
	CLEANUP(frame_reader_fini) struct frame_reader r = { 0 };
	CLEANUP(buf_fini) struct buf b = { 0 };
	int fds[2] = { open_null(), open_null() };
	struct frame f;
	size_t at;

	(void)state;
	put(&b, FRAME_CALL, 1, "{}", "");
	at = b.len;
	put(&b, FRAME_CALL, 2, "{}", "");
	frame_set_fds(&b, at, 2);

	feed(&r, b.data, at + 1);
	assert_int_equal(frame_reader_add_fds(&r, fds, 2), 0);
	assert_int_equal(frame_reader_next(&r, &f, NULL), 1);
	assert_int_equal(f.call, 1);
	assert_int_equal(f.n_fds, 0);
	assert_int_equal(f.fds[0], -1);
	assert_int_equal(frame_reader_next(&r, &f, NULL), 0);
	feed(&r, b.data + at + 1, b.len - at - 1);
	assert_int_equal(frame_reader_next(&r, &f, NULL), 1);
	assert_int_equal(f.call, 2);
	assert_int_equal(f.n_fds, 2);
	assert_int_equal(f.fds[0], fds[0]);
	assert_int_equal(f.fds[1], fds[1]);
	assert_int_equal(f.fds[2], -1);
	frame_close_fds(&f);
	assert_false(is_open(fds[0]));
	assert_false(is_open(fds[1]));
	assert_int_equal(frame_reader_next(&r, &f, NULL), 0);
}

static void test_descriptors_that_no_frame_names_are_garbage(void **state)
{
	CLEANUP(buf_fini) struct buf b = { 0 };
	struct frame f;

	(void)state;
	put(&b, FRAME_CALL, 1, "{}", "");
	for (size_t len = 0; len <= b.len; len += b.len) {
		struct frame_reader r = { 0 };
		int fd = open_null();

		feed(&r, b.data, len);
		assert_int_equal(frame_reader_add_fds(&r, &fd, 1), 0);
		assert_int_equal(frame_reader_next(&r, &f, NULL), -ERR_INVALID_INPUT);
		assert_true(is_open(fd));
		frame_reader_fini(&r);
		assert_false(is_open(fd));
	}
}

static void test_too_many_descriptors_are_all_closed(void **state)
{
	CLEANUP(frame_reader_fini) struct frame_reader r = { 0 };
	int fds[FRAME_FDS + 1];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = open_null();
	assert_int_equal(frame_reader_add_fds(&r, fds, ARRAY_SIZE(fds)), -EMSGSIZE);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		assert_false(is_open(fds[i]));
	assert_int_equal(r.n_fds, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_writes_the_bytes_of_the_reference),
		cmocka_unit_test(test_reads_the_example_of_the_reference),
		cmocka_unit_test(test_any_split_gives_the_same_frames),
		cmocka_unit_test(test_refuses_a_bad_head_before_its_body),
		cmocka_unit_test(test_largest_frame_passes_and_one_byte_more_does_not),
		cmocka_unit_test(test_many_small_frames_cost_no_more_than_their_bytes),
		cmocka_unit_test(test_the_space_of_a_read_is_used_again),
		cmocka_unit_test(test_descriptors_go_to_the_frame_that_names_them),
		cmocka_unit_test(test_descriptors_that_no_frame_names_are_garbage),
		cmocka_unit_test(test_too_many_descriptors_are_all_closed),
	};

	return cmocka_run_group_tests_name("frame", tests, NULL, NULL);
}
