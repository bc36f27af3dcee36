/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * box-tools - what the tests of black boxes share
 *
 * A box in a memfd, the plain model that its bytes are compared with, random numbers
 * that can be had again, and a disk that is full when a test says so. To be included
 * once in a program: it defines fallocate(2).
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../src/base/clock.h"
#include "../../src/base/fd.h"
#include "../../src/base/macro.h"
#include "../../src/box/reader.h"
#include "../../src/box/writer.h"

#define KIB ((uint64_t)1024)

/*
 * Stands in for libc's: the box gets its blocks through here, so that a test can say
 * at which call the disk is full. 0 = never.
 */
static struct {
	int calls;
	int fail_from;
	int error;
} disk;

int fallocate(int fd, int mode, off_t at, off_t len)
{
	if (mode == 0 && ++disk.calls >= disk.fail_from && disk.fail_from > 0) {
		errno = disk.error;
		return -1;
	}
	return (int)syscall(SYS_fallocate, fd, mode, at, len);
}

static inline void disk_fails_from(int call, int error)
{
	disk.calls = 0;
	disk.fail_from = call;
	disk.error = error;
}

/* The plain model: the byte at an offset is a function of the offset alone. */
static inline unsigned char byte_at(uint64_t offset)
{
	return (unsigned char)(offset * UINT64_C(0x9e3779b97f4a7c15) >> 56);
}

static inline bool bytes_are_right(const unsigned char *p, uint64_t offset, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i] != byte_at(offset + i))
			return false;
	return true;
}

/* xorshift64*: each thread has one of its own. */
static inline uint64_t next_random(uint64_t *seed)
{
	*seed ^= *seed >> 12;
	*seed ^= *seed << 25;
	*seed ^= *seed >> 27;
	return *seed * UINT64_C(0x2545f4914f6cdd1d);
}

static inline uint64_t below(uint64_t *seed, uint64_t n)
{
	return next_random(seed) % n;
}

static inline uint64_t new_seed(const char *test)
{
	uint64_t seed = clock_mono() | 1;
	const char *given = getenv("BOX_SEED");

	if (given)
		seed = strtoull(given, NULL, 10) | 1;
	print_message("%s: BOX_SEED=%llu\n", test, (unsigned long long)seed);
	return seed;
}

static inline int untaken_box(uint32_t streams, uint64_t ring_size)
{
	int fd = memfd_create("box", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)(BOX_RINGS_AT + streams * ring_size)), 0);
	return fd;
}

static inline struct box_writer_args args_for(uint32_t streams, uint64_t ring_size)
{
	struct box_writer_args args = { .streams = streams, .ring_size = ring_size };

	memset(&args.id, 0x5a, sizeof(args.id));
	memset(&args.boot_id, 0xb0, sizeof(args.boot_id));
	return args;
}

static inline int taken_box(struct box_writer *w, uint32_t streams, uint64_t ring_size)
{
	struct box_writer_args args = args_for(streams, ring_size);
	struct err err = { 0 };
	int fd = untaken_box(streams, ring_size);

	if (box_writer_init(w, fd, &args, &err) != 0)
		fail_msg("box_writer_init: %s", err.msg);
	return fd;
}

/* Writes what the model says, with one span of at most `want`; returns its length. */
static inline size_t put(struct box_writer *w, int stream, size_t want)
{
	uint64_t at = box_writer_total(w, stream);
	size_t n = 0;
	unsigned char *p = box_writer_span(w, stream, want, &n);

	for (size_t i = 0; p && i < n; i++)
		p[i] = byte_at(at + i);
	box_writer_commit(w, stream, n);
	return n;
}

static inline void put_all(struct box_writer *w, int stream, uint64_t len)
{
	while (len > 0) {
		size_t n = put(w, stream, (size_t)len);

		assert_true(n > 0 && n <= len);
		len -= n;
	}
}

static inline struct box_extent extent_of(int fd, int stream)
{
	struct box_extent x = { 0 };
	struct err err = { 0 };

	if (box_read_extent(fd, stream, &x, &err) != 0)
		fail_msg("box_read_extent: %s", err.msg);
	return x;
}

static inline void poke(int fd, off_t at, const void *data, size_t len)
{
	assert_int_equal(fd_pwrite_all(fd, data, len, at), 0);
}

/* A box of one ring of 4096 bytes with 5000 bytes written, as bytes. */
static inline size_t sample(unsigned char *image, size_t size)
{
	struct box_writer w;
	int fd = taken_box(&w, 1, 4096);
	size_t len = BOX_RINGS_AT + 4096;

	put_all(&w, 0, 5000);
	w.record.state = BOX_RUNNING;
	box_writer_store(&w);
	assert_true(size >= len);
	assert_int_equal(fd_pread_all(fd, image, len, 0), 0);
	box_writer_fini(&w);
	(void)close(fd);
	return len;
}
