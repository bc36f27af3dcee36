/* SPDX-License-Identifier: Apache-2.0 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../src/base/buf.h"
#include "../../src/base/cleanup.h"
#include "../../src/base/clock.h"
#include "../../src/base/err.h"
#include "../../src/base/fd.h"
#include "../../src/base/id.h"
#include "../../src/base/list.h"
#include "../../src/base/log.h"
#include "../../src/base/num.h"
#include "../../src/base/signame.h"

static void test_every_error_code_has_its_public_numbers(void **state)
{
	/* The contract of the front ends; a change here breaks clients. */
	static const struct {
		int code;
		struct err_info want;
	} table[] = {
		{ ERR_OK, { "ok", 200, 0, 0 } },
		{ ERR_INVALID_INPUT, { "invalid_input", 400, -32602, 64 } },
		{ ERR_UNAUTHENTICATED, { "unauthenticated", 401, -32001, 77 } },
		{ ERR_DENIED, { "denied", 403, -32003, 77 } },
		{ ERR_NOT_FOUND, { "not_found", 404, -32004, 66 } },
		{ ERR_CONFLICT, { "conflict", 409, -32009, 75 } },
		{ ERR_QUOTA, { "quota", 429, -32029, 75 } },
		{ ERR_CANCELLED, { "cancelled", 499, -32800, 75 } },
		{ ERR_UNSUPPORTED, { "unsupported", 501, -32051, 69 } },
		{ ERR_UNAVAILABLE, { "unavailable", 503, -32053, 69 } },
		{ ERR_TIMEOUT, { "timeout", 504, -32054, 75 } },
		{ ERR_INTERNAL, { "internal", 500, -32603, 70 } },
	};

	(void)state;
	assert_int_equal(ARRAY_SIZE(table), ERR_MAX_);
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		const struct err_info *got = err_info(table[i].code);

		assert_string_equal(got->name, table[i].want.name);
		assert_int_equal(got->http, table[i].want.http);
		assert_int_equal(got->jsonrpc, table[i].want.jsonrpc);
		assert_int_equal(got->exit_status, table[i].want.exit_status);
		assert_int_equal(err_code_by_name(got->name), table[i].code);
	}
}

static void test_an_unknown_error_code_is_internal(void **state)
{
	(void)state;
	assert_string_equal(err_info(-1)->name, "internal");
	assert_string_equal(err_info(ERR_MAX_)->name, "internal");
	assert_string_equal(err_info(INT_MAX)->name, "internal");
	assert_int_equal(err_code_by_name("no such"), -1);
	assert_int_equal(err_code_by_name(""), -1);
}

static void test_an_error_says_stage_cause_and_context(void **state)
{
	struct err e = { 0 };

	(void)state;
	assert_int_equal(err_set(&e, ERR_UNAVAILABLE, "mount", ENOENT, "mount %s", "/x"),
			 -ERR_UNAVAILABLE);
	assert_int_equal(e.code, ERR_UNAVAILABLE);
	assert_int_equal(e.sys_errno, ENOENT);
	assert_string_equal(e.stage, "mount");
	assert_string_equal(e.msg, "mount /x: No such file or directory");

	assert_int_equal(err_wrap(&e, "sandbox %d", 7), -ERR_UNAVAILABLE);
	assert_string_equal(e.msg, "sandbox 7: mount /x: No such file or directory");
	assert_string_equal(e.stage, "mount");
	assert_int_equal(e.sys_errno, ENOENT);
}

static void test_a_new_error_leaves_nothing_of_the_old_one(void **state)
{
	struct err e = { 0 };

	(void)state;
	(void)err_set(&e, ERR_INTERNAL, "a long stage", EIO, "a long message of old");
	(void)err_set(&e, ERR_DENIED, NULL, 0, "no");
	assert_string_equal(e.stage, "");
	assert_int_equal(e.sys_errno, 0);
	assert_string_equal(e.msg, "no");
	for (size_t i = strlen(e.msg); i < sizeof(e.msg); i++)
		assert_int_equal(e.msg[i], 0);
}

static void test_an_error_that_is_too_long_is_cut_not_overrun(void **state)
{
	struct {
		struct err e;
		char guard[16];
	} s;
	char text[2 * ERR_MSG_MAX];

	(void)state;
	memset(&s, 0x5a, sizeof(s));
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';

	(void)err_set(&s.e, ERR_INTERNAL, text, EIO, "%s", text);
	assert_int_equal(strlen(s.e.msg), ERR_MSG_MAX - 1);
	assert_int_equal(strlen(s.e.stage), ERR_STAGE_MAX - 1);
	(void)err_wrap(&s.e, "%s", text);
	assert_int_equal(strlen(s.e.msg), ERR_MSG_MAX - 1);
	for (size_t i = 0; i < sizeof(s.guard); i++)
		assert_int_equal(s.guard[i], 0x5a);
}

static void test_an_error_may_be_dropped_and_an_errno_unknown(void **state)
{
	struct err e = { 0 };

	(void)state;
	assert_int_equal(err_set(NULL, ERR_QUOTA, "x", 0, "y"), -ERR_QUOTA);
	(void)err_set(&e, ERR_INTERNAL, NULL, 99999, "call");
	assert_string_equal(e.msg, "call: unknown error");
}

static void test_ids_go_to_text_and_back(void **state)
{
	struct id id, back, zero = { 0 };
	char text[ID_TEXT];

	(void)state;
	for (int i = 0; i < 2000; i++) {
		assert_int_equal(id_new(&id), 0);
		assert_ptr_equal(id_format(&id, ID_PROCESS, text), text);
		assert_int_equal(strlen(text), ID_TEXT - 1);
		assert_memory_equal(text, "p_", 2);
		assert_int_equal(id_parse(text, ID_PROCESS, &back), 0);
		assert_true(id_eq(&id, &back));
	}
	assert_false(id_is_zero(&id));
	assert_true(id_is_zero(&zero));
	memset(&id, 0xff, sizeof(id));
	(void)id_format(&id, ID_SANDBOX, text);
	assert_string_equal(text, "s_zzzzzzzzzzzzzzzzzzzzzzzzzw");
	(void)id_format(&zero, ID_SANDBOX, text);
	assert_string_equal(text, "s_00000000000000000000000000");
}

static void test_an_id_has_one_spelling(void **state)
{
	static const char *const bad[] = {
		"",
		"p",
		"p_",
		"p_0000000000000000000000000",	 /* one short */
		"p_000000000000000000000000000", /* one long */
		"s_00000000000000000000000000",	 /* another kind */
		"p-00000000000000000000000000",
		"p_0000000000000000000000000A", /* upper case */
		"p_0000000000000000000000000i", /* not in the alphabet */
		"p_00000000000000000000000001", /* padding bits set */
		"p_00000000000000000000000003",
		"p_ 0000000000000000000000000",
	};
	struct id id, old;

	(void)state;
	memset(&id, 0x77, sizeof(id));
	old = id;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(id_parse(bad[i], ID_PROCESS, &id), -EINVAL);
		assert_true(id_eq(&id, &old));
	}
	assert_int_equal(id_parse("p_00000000000000000000000004", ID_PROCESS, &id), 0);
	assert_int_equal(id.b[ID_BYTES - 1], 1);
}

static void test_numbers_are_taken_whole_or_not_at_all(void **state)
{
	static const char *const bad[] = { "",	  " 1", "1 ",  "+1", "-1", "0x10",
					   "1e3", "1.", "\t1", "a",  "1a", "1\n" };
	uint64_t v = 42;
	int64_t w = 42;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(num_parse_u64(bad[i], 0, UINT64_MAX, &v), -EINVAL);
	assert_int_equal(num_parse_u64("18446744073709551616", 0, UINT64_MAX, &v),
			 -ERANGE);
	assert_int_equal(num_parse_u64("99999999999999999999999", 0, UINT64_MAX, &v),
			 -ERANGE);
	assert_int_equal(num_parse_u64("4", 5, 9, &v), -ERANGE);
	assert_int_equal(num_parse_u64("10", 5, 9, &v), -ERANGE);
	assert_int_equal(v, 42);
	assert_int_equal(num_parse_u64("18446744073709551615", 0, UINT64_MAX, &v), 0);
	assert_true(v == UINT64_MAX);
	assert_int_equal(num_parse_u64("007", 5, 9, &v), 0);
	assert_int_equal(v, 7);

	assert_int_equal(num_parse_i64("--1", -5, 5, &w), -EINVAL);
	assert_int_equal(num_parse_i64("-", -5, 5, &w), -EINVAL);
	assert_int_equal(num_parse_i64("-6", -5, 5, &w), -ERANGE);
	assert_int_equal(num_parse_i64("9223372036854775808", INT64_MIN, INT64_MAX, &w),
			 -ERANGE);
	assert_int_equal(w, 42);
	assert_int_equal(num_parse_i64("-5", -5, 5, &w), 0);
	assert_int_equal(w, -5);
	assert_int_equal(num_parse_i64("9223372036854775807", INT64_MIN, INT64_MAX, &w),
			 0);
	assert_true(w == INT64_MAX);
}

static void test_durations_and_sizes_have_units_and_limits(void **state)
{
	static const struct {
		const char *text;
		uint64_t want;
	} times[] = { { "0", 0 },	 { "3", 3000 },	   { "250ms", 250 },
		      { "30s", 30000 },	 { "5m", 300000 }, { "2h", 7200000 },
		      { "1D", 86400000 } },
	  sizes[] = { { "0", 0 },
		      { "4096", 4096 },
		      { "64k", 65536 },
		      { "64KiB", 65536 },
		      { "1m", 1 << 20 },
		      { "2G", 2ull << 30 },
		      { "2gb", 2ull << 30 },
		      { "17b", 17 } };
	static const char *const bad[] = { "", "ms", "5x", "5 s", "-5s", "1.5s", "5ss" };
	uint64_t v = 9;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		assert_int_equal(num_parse_duration_ms(times[i].text, UINT64_MAX, &v), 0);
		assert_true(v == times[i].want);
	}
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		assert_int_equal(num_parse_bytes(sizes[i].text, UINT64_MAX, &v), 0);
		assert_true(v == sizes[i].want);
	}
	v = 9;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(num_parse_duration_ms(bad[i], UINT64_MAX, &v), -EINVAL);
		assert_int_equal(num_parse_bytes(bad[i], UINT64_MAX, &v), -EINVAL);
	}
	assert_int_equal(num_parse_duration_ms("61s", 60000, &v), -ERANGE);
	assert_int_equal(num_parse_duration_ms("18446744073709551615d", UINT64_MAX, &v),
			 -ERANGE);
	assert_int_equal(num_parse_bytes("17179869184g", UINT64_MAX, &v), -ERANGE);
	assert_int_equal(v, 9);
}

static void test_sums_say_when_they_overflow(void **state)
{
	size_t v = 3;

	(void)state;
	assert_false(num_add(SIZE_MAX, 1, &v));
	assert_false(num_mul(SIZE_MAX / 2 + 1, 2, &v));
	assert_true(num_add(SIZE_MAX - 1, 1, &v));
	assert_true(v == SIZE_MAX);
	assert_true(num_mul(3, 5, &v));
	assert_int_equal(v, 15);
	assert_int_equal(num_align(0, 4096), 0);
	assert_int_equal(num_align(1, 4096), 4096);
	assert_int_equal(num_align(4096, 4096), 4096);
}

static void test_a_buffer_equals_a_plain_model(void **state)
{
	CLEANUP(buf_fini) struct buf b = { 0 };
	static char model[1 << 16];
	size_t len = 0;
	unsigned int seed = 7;

	(void)state;
	for (int i = 0; i < 5000; i++) {
		size_t n = (size_t)rand_r(&seed) % 90;
		char piece[90];

		if (len > sizeof(model) / 2 || (n & 7) == 0) {
			n = MIN(n, len);
			buf_eat(&b, n);
			memmove(model, model + n, len - n);
			len -= n;
		} else {
			for (size_t k = 0; k < n; k++)
				piece[k] = (char)rand_r(&seed);
			buf_add(&b, piece, n);
			memcpy(model + len, piece, n);
			len += n;
		}
		assert_int_equal(b.len, len);
		if (b.data) {
			assert_memory_equal(b.data, model, len);
			assert_int_equal(b.data[b.len], 0);
		}
	}
	assert_true(buf_ok(&b));
}

static void test_a_buffer_formats_takes_and_is_empty_again(void **state)
{
	CLEANUP(buf_fini) struct buf b = { 0 };
	CLEANUP(free) char *text = NULL;
	CLEANUP(free) char *empty = NULL;

	(void)state;
	buf_adds(&b, "a");
	for (int i = 0; i < 100; i++)
		buf_addf(&b, "%d,", i);
	buf_add(&b, "\0z", 2);
	assert_int_equal(b.len, 1 + 10 * 2 + 90 * 3 + 2);
	text = buf_take(&b);
	assert_non_null(text);
	assert_memory_equal(text, "a0,1,2,", 7);
	assert_null(b.data);
	assert_int_equal(b.len, 0);
	assert_int_equal(b.cap, 0);

	empty = buf_take(&b);
	assert_string_equal(empty, "");
}

static void test_a_bad_buffer_stays_bad_and_gives_nothing(void **state)
{
	CLEANUP(buf_fini) struct buf b = { 0 };

	(void)state;
	buf_adds(&b, "before");
	assert_null(buf_reserve(&b, SIZE_MAX));
	assert_false(buf_ok(&b));
	buf_adds(&b, "after");
	assert_int_equal(b.len, 6);
	assert_null(buf_reserve(&b, 1));
	assert_null(buf_take(&b));
	assert_true(buf_ok(&b));
}

static void test_whole_reads_say_when_the_file_is_too_short(void **state)
{
	CLEANUP(close) int fd = memfd_create("t", MFD_CLOEXEC);
	char got[8] = "";

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, "0123456789", 10), 0);
	assert_int_equal(fd_pwrite_all(fd, "AB", 2, 4), 0);
	assert_int_equal(fd_pread_all(fd, got, 6, 2), 0);
	assert_memory_equal(got, "23AB67", 6);
	assert_int_equal(fd_pread_all(fd, got, 6, 5), -ENODATA);
	assert_int_equal(fd_pread_all(fd, got, 0, 500), 0);
	assert_int_equal(fd_pread_all(-1, got, 1, 0), -EBADF);
	assert_int_equal(fd_write_all(-1, "x", 1), -EBADF);
}

static void test_flags_are_set_and_cleared_alone(void **state)
{
	CLEANUP(close) int a = -1;
	CLEANUP(close) int b = -1;
	int p[2], before;

	(void)state;
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	a = p[0];
	b = p[1];
	before = fcntl(a, F_GETFL);
	assert_int_equal(fd_set_nonblock(a, true), 0);
	assert_int_equal(fcntl(a, F_GETFL), before | O_NONBLOCK);
	assert_int_equal(fd_set_nonblock(a, false), 0);
	assert_int_equal(fcntl(a, F_GETFL), before);
	assert_int_equal(fd_set_cloexec(a, false), 0);
	assert_int_equal(fcntl(a, F_GETFD), 0);
	assert_int_equal(fd_set_cloexec(a, true), 0);
	assert_int_equal(fcntl(a, F_GETFD), FD_CLOEXEC);
	assert_int_equal(fd_set_nonblock(-1, true), -EBADF);
}

static size_t open_fds(void)
{
	size_t n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void pair(int type, int *a, int *b)
{
	int s[2];

	assert_int_equal(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, s), 0);
	*a = s[0];
	*b = s[1];
}

static void test_descriptors_travel_and_arrive_cloexec(void **state)
{
	CLEANUP(close) int a = -1;
	CLEANUP(close) int b = -1;
	CLEANUP(close) int file = memfd_create("t", 0);
	int send[2], got[4];
	struct stat want, have;
	char text[8] = "";
	size_t n = 77;

	(void)state;
	pair(SOCK_STREAM, &a, &b);
	send[0] = file;
	send[1] = file;
	assert_int_equal(fd_send(a, "hey", 3, send, 2, 0), 3);
	assert_int_equal(fd_recv(b, text, sizeof(text), got, 4, &n, 0), 3);
	assert_int_equal(n, 2);
	assert_memory_equal(text, "hey", 3);
	assert_int_equal(fstat(file, &want), 0);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(fstat(got[i], &have), 0);
		assert_true(have.st_ino == want.st_ino && have.st_dev == want.st_dev);
		assert_int_equal(fcntl(got[i], F_GETFD), FD_CLOEXEC);
		assert_int_equal(close(got[i]), 0);
	}
	assert_int_equal(got[2], -1);
	assert_int_equal(got[3], -1);
}

static void test_too_many_descriptors_are_refused_and_none_leaks(void **state)
{
	CLEANUP(close) int a = -1;
	CLEANUP(close) int b = -1;
	int send[FD_PASS_MAX], got[2];
	size_t n = 77, before;
	char c;

	(void)state;
	pair(SOCK_STREAM, &a, &b);
	for (size_t i = 0; i < FD_PASS_MAX; i++)
		send[i] = a;
	before = open_fds();
	assert_int_equal(fd_send(a, "x", 1, send, FD_PASS_MAX, 0), 1);
	assert_int_equal(fd_recv(b, &c, 1, got, 2, &n, 0), -EMSGSIZE);
	assert_int_equal(n, 77);
	assert_int_equal(got[0], -1);
	assert_int_equal(got[1], -1);
	assert_int_equal(open_fds(), before);

	assert_int_equal(fd_send(a, "x", 1, send, 1, 0), 1);
	assert_int_equal(fd_recv(b, &c, 1, NULL, 0, &n, 0), -EMSGSIZE);
	assert_int_equal(open_fds(), before);
}

/* More than the receiver has room for in its control buffer: MSG_CTRUNC. */
static void test_descriptors_that_the_kernel_dropped_are_an_error(void **state)
{
	CLEANUP(close) int a = -1;
	CLEANUP(close) int b = -1;
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int) * (FD_PASS_MAX + 4))];
	} control = { 0 };
	char c = 'x';
	struct iovec iov = { .iov_base = &c, .iov_len = 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control.buf,
			      .msg_controllen = sizeof(control.buf) };
	struct cmsghdr *h = CMSG_FIRSTHDR(&msg);
	int got[FD_PASS_MAX];
	size_t n = 77, before;

	(void)state;
	pair(SOCK_STREAM, &a, &b);
	before = open_fds();
	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(int) * (FD_PASS_MAX + 4));
	for (size_t i = 0; i < FD_PASS_MAX + 4; i++)
		memcpy(CMSG_DATA(h) + i * sizeof(int), &a, sizeof(int));
	assert_int_equal(sendmsg(a, &msg, 0), 1);
	assert_int_equal(fd_recv(b, &c, 1, got, FD_PASS_MAX, &n, 0), -EMSGSIZE);
	assert_int_equal(n, 77);
	assert_int_equal(open_fds(), before);
}

static void test_a_message_cut_short_and_a_closed_peer_are_told(void **state)
{
	CLEANUP(close) int a = -1;
	CLEANUP(close) int b = -1;
	char small[2];
	size_t n = 0;

	(void)state;
	pair(SOCK_SEQPACKET, &a, &b);
	assert_int_equal(fd_send(a, "longer", 6, NULL, 0, 0), 6);
	assert_int_equal(fd_recv(b, small, 2, NULL, 0, &n, 0), -EMSGSIZE);
	assert_int_equal(fd_recv(b, small, 2, NULL, 0, &n, MSG_DONTWAIT), -EAGAIN);
	assert_int_equal(close(a), 0);
	a = -1;
	assert_int_equal(fd_recv(b, small, 2, NULL, 0, &n, 0), 0);
	/* no SIGPIPE */
	assert_int_equal(fd_send(b, "x", 1, NULL, 0, 0), -EPIPE);
}

static void test_clocks_run_forward(void **state)
{
	uint64_t a = clock_mono(), b = clock_mono();

	(void)state;
	assert_true(a > 0 && b >= a);
	assert_true(clock_boot() >= b);
	assert_true(clock_wall() > UINT64_C(1700000000) * NS_PER_SEC);
}

static void test_dates_are_rfc_3339_in_utc(void **state)
{
	char t[CLOCK_TEXT];

	(void)state;
	assert_int_equal(setenv("TZ", "Asia/Tokyo", 1), 0);
	assert_string_equal(clock_rfc3339(0, t), "1970-01-01T00:00:00.000Z");
	assert_string_equal(
		clock_rfc3339(UINT64_C(951827696) * NS_PER_SEC + 999999999, t),
		"2000-02-29T12:34:56.999Z");
	assert_string_equal(clock_rfc3339(UINT64_C(4102444799) * NS_PER_SEC, t),
			    "2099-12-31T23:59:59.000Z");
	assert_true(strlen(clock_rfc3339(UINT64_MAX, t)) < CLOCK_TEXT);
}

static void test_signals_are_read_in_every_spelling(void **state)
{
	static const char *const bad[] = {
		"",	      "0",	"65",	    "-9",      "SIG", "TERM ",
		"SIGSIGTERM", "RTMIN+", "RTMIN+99", "RTMIN-1", "9x",  "KILLER"
	};
	char name[SIGNAME_MAX];

	(void)state;
	assert_int_equal(signame_parse("SIGTERM"), SIGTERM);
	assert_int_equal(signame_parse("term"), SIGTERM);
	assert_int_equal(signame_parse("SigKill"), SIGKILL);
	assert_int_equal(signame_parse("9"), SIGKILL);
	assert_int_equal(signame_parse("64"), 64);
	assert_int_equal(signame_parse("RTMIN+0"), SIGRTMIN);
	assert_int_equal(signame_parse("sigrtmin+3"), SIGRTMIN + 3);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(signame_parse(bad[i]), -EINVAL);
	assert_string_equal(signame(SIGHUP, name), "SIGHUP");
	assert_string_equal(signame(SIGRTMIN + 2, name), "SIGRTMIN+2");
	for (int i = 1; i < 65; i++) {
		(void)signame(i, name);
		/* 32 and 33 belong to the C library and have no name to read back */
		if (i != 32 && i != 33)
			assert_int_equal(signame_parse(name), i);
	}
}

struct item {
	int n;
	struct list link;
};

static int sum(struct list *head)
{
	int s = 0;

	LIST_EACH (head, it)
		s = s * 10 + container_of(it, struct item, link)->n;
	return s;
}

static void test_a_list_lets_go_of_what_it_walks(void **state)
{
	struct item items[] = { { .n = 1 }, { .n = 2 }, { .n = 3 }, { .n = 4 } };
	struct list head;

	(void)state;
	list_init(&head);
	assert_true(list_empty(&head));
	for (size_t i = 0; i < ARRAY_SIZE(items); i++)
		list_append(&head, &items[i].link);
	assert_int_equal(sum(&head), 1234);
	LIST_EACH_SAFE (&head, it)
		if (container_of(it, struct item, link)->n % 2 == 0)
			list_remove(it);
	assert_int_equal(sum(&head), 13);
	list_remove(&items[1].link); /* a second time */
	assert_int_equal(sum(&head), 13);
	list_append(&head, &items[1].link);
	assert_int_equal(sum(&head), 132);
	LIST_EACH_SAFE (&head, it)
		list_remove(it);
	assert_true(list_empty(&head));
}

/* What log_line() writes to stderr, in a NUL-terminated buffer. */
static void logged(char *out, size_t size, enum log_level level, const char *text)
{
	CLEANUP(close) int file = memfd_create("log", MFD_CLOEXEC);
	CLEANUP(close) int keep = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	ssize_t n;

	assert_true(file >= 0 && keep >= 0);
	assert_int_equal(dup2(file, STDERR_FILENO), STDERR_FILENO);
	errno = EXDEV;
	log_line(level, "%s", text);
	n = errno == EXDEV ? pread(file, out, size - 1, 0) : -1;
	assert_int_equal(dup2(keep, STDERR_FILENO), STDERR_FILENO);
	assert_true(n >= 0);
	out[n] = '\0';
}

static void test_a_log_line_cannot_be_forged(void **state)
{
	char out[4096], text[3000];
	char *nl;

	(void)state;
	assert_int_equal(unsetenv("JOURNAL_STREAM"), 0);
	log_open("tester", LOG_LEVEL_INFO);
	logged(out, sizeof(out), LOG_LEVEL_WARNING, "one\ntwo\r\033[2J\x7f");
	assert_non_null(strstr(out, "Z tester: warning: one?two??[2J?\n"));
	assert_int_equal(strlen(out), strlen("2026-01-31T23:59:59.123Z tester: warning: "
					     "one?two??[2J?\n"));

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	logged(out, sizeof(out), LOG_LEVEL_ERROR, text);
	nl = strchr(out, '\n');
	assert_non_null(nl);
	assert_int_equal(nl[1], '\0');
}

static void test_a_log_keeps_to_its_level_and_to_the_journals_form(void **state)
{
	char out[256];

	(void)state;
	log_open("tester", LOG_LEVEL_WARNING);
	logged(out, sizeof(out), LOG_LEVEL_INFO, "quiet");
	assert_string_equal(out, "");
	assert_int_equal(setenv("JOURNAL_STREAM", "1:2", 1), 0);
	log_open("tester", LOG_LEVEL_DEBUG);
	logged(out, sizeof(out), LOG_LEVEL_DEBUG, "loud");
	assert_string_equal(out, "<7>loud\n");
	assert_int_equal(unsetenv("JOURNAL_STREAM"), 0);
	log_open("tester", LOG_LEVEL_INFO);
}

static void test_cleaning_up_keeps_errno(void **state)
{
	(void)state;
	errno = ENOTTY;
	{
		CLEANUP(free) char *p = malloc(3);
		CLEANUP(close) int fd = 9999; /* not open: close fails with EBADF */

		assert_non_null(p);
		assert_int_equal(fd, 9999);
		errno = ENOTTY;
	}
	assert_int_equal(errno, ENOTTY);
}

static void test_taking_leaves_nothing_behind(void **state)
{
	char *p = strdup("x"), *q;
	int fd = 5, got;

	(void)state;
	q = TAKE_PTR(p);
	assert_null(p);
	assert_string_equal(q, "x");
	free(q);
	got = TAKE_FD(fd);
	assert_int_equal(got, 5);
	assert_int_equal(fd, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_error_code_has_its_public_numbers),
		cmocka_unit_test(test_an_unknown_error_code_is_internal),
		cmocka_unit_test(test_an_error_says_stage_cause_and_context),
		cmocka_unit_test(test_a_new_error_leaves_nothing_of_the_old_one),
		cmocka_unit_test(test_an_error_that_is_too_long_is_cut_not_overrun),
		cmocka_unit_test(test_an_error_may_be_dropped_and_an_errno_unknown),
		cmocka_unit_test(test_ids_go_to_text_and_back),
		cmocka_unit_test(test_an_id_has_one_spelling),
		cmocka_unit_test(test_numbers_are_taken_whole_or_not_at_all),
		cmocka_unit_test(test_durations_and_sizes_have_units_and_limits),
		cmocka_unit_test(test_sums_say_when_they_overflow),
		cmocka_unit_test(test_a_buffer_equals_a_plain_model),
		cmocka_unit_test(test_a_buffer_formats_takes_and_is_empty_again),
		cmocka_unit_test(test_a_bad_buffer_stays_bad_and_gives_nothing),
		cmocka_unit_test(test_whole_reads_say_when_the_file_is_too_short),
		cmocka_unit_test(test_flags_are_set_and_cleared_alone),
		cmocka_unit_test(test_descriptors_travel_and_arrive_cloexec),
		cmocka_unit_test(test_too_many_descriptors_are_refused_and_none_leaks),
		cmocka_unit_test(test_descriptors_that_the_kernel_dropped_are_an_error),
		cmocka_unit_test(test_a_message_cut_short_and_a_closed_peer_are_told),
		cmocka_unit_test(test_clocks_run_forward),
		cmocka_unit_test(test_dates_are_rfc_3339_in_utc),
		cmocka_unit_test(test_signals_are_read_in_every_spelling),
		cmocka_unit_test(test_a_list_lets_go_of_what_it_walks),
		cmocka_unit_test(test_a_log_line_cannot_be_forged),
		cmocka_unit_test(test_a_log_keeps_to_its_level_and_to_the_journals_form),
		cmocka_unit_test(test_cleaning_up_keeps_errno),
		cmocka_unit_test(test_taking_leaves_nothing_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
