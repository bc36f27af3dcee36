/* SPDX-License-Identifier: Apache-2.0 */

/*
 * fuzz-box - readers of a box that somebody damages while they read
 *
 * Input: one byte of flags, then patches to a valid box: u16 place (little-endian),
 * u8 length, that many bytes; length 0 cuts the file there. Between two patches a
 * read goes on where the last one ended, after the last one all readers run. Flags:
 * 1 = the head's checksum is made right after each patch, 2 = those of the slots;
 * 4 = no patches, the rest of the input is the file.
 */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../src/base/fd.h"
#include "../../src/box/reader.h"
#include "../../src/box/writer.h"
#include "json.h"

#define RING 4096
#define LEN (BOX_RINGS_AT + 2 * RING)
#define BUF 5000

enum { FIX_HEAD = 1, FIX_SLOTS = 2, RAW = 4 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	(void)fprintf(stderr, "fuzz-box: broken promise: %s\n", what);
	abort();
}

static void make_box(unsigned char image[LEN])
{
	struct box_writer_args args = { .streams = 2, .ring_size = RING };
	int fd = memfd_create("made", MFD_CLOEXEC);
	struct box_writer w;

	memset(&args.id, 7, sizeof(args.id));
	must(fd >= 0 && ftruncate(fd, LEN) == 0, "memfd");
	must(box_writer_init(&w, fd, &args, NULL) == 0, "init");
	for (int i = 0; i < 9; i++) {
		size_t n = 0;
		void *p = box_writer_span(&w, i % 2, 1000, &n);

		memset(p, 'a' + i, n);
		box_writer_commit(&w, i % 2, n);
	}
	box_writer_end(&w, 1);
	w.record.state = BOX_RUNNING;
	box_writer_store(&w);
	must(fd_pread_all(fd, image, LEN, 0) == 0, "copy");
	box_writer_fini(&w);
	(void)close(fd);
}

static void fix_sum(int fd, off_t at, size_t len)
{
	unsigned char part[512];
	uint64_t sum;

	/* Of a file that ends before, there is nothing to make right. */
	if (fd_pread_all(fd, part, len, at) < 0)
		return;
	sum = box_sum(part, len - sizeof(sum));
	must(fd_pwrite_all(fd, &sum, sizeof(sum), at + (off_t)(len - sizeof(sum))) == 0,
	     "sum");
}

static void fix_sums(int fd, unsigned int flags)
{
	if (flags & FIX_HEAD)
		fix_sum(fd, 0, sizeof(struct box_head));
	if (flags & FIX_SLOTS) {
		fix_sum(fd, BOX_SLOT_AT(0), sizeof(struct box_record));
		fix_sum(fd, BOX_SLOT_AT(1), sizeof(struct box_record));
	}
}

/* Reads once and returns where to go on. */
static uint64_t read_at(int fd, int stream, uint64_t offset, size_t len)
{
	unsigned char *buf = malloc(len + 1);
	struct box_chunk c;
	struct err err = { 0 };

	must(buf, "memory");
	buf[len] = 0x5a;
	if (box_read(fd, stream, offset, buf, len, &c, &err) == 0) {
		must(c.len <= len, "len");
		must(c.offset >= offset && c.lost == c.offset - offset, "lost");
		must(c.next == c.offset + c.len, "next");
		must(c.next <= BOX_TOTAL_MAX, "total");
		offset = c.next;
	} else {
		must(err.code > 0 && err.msg[0], "an error says why");
	}
	must(buf[len] == 0x5a, "bounds");
	free(buf);
	return offset;
}

static void read_stream(int fd, int stream)
{
	struct box_extent x;
	struct err err = { 0 };

	if (box_read_extent(fd, stream, &x, &err) == 0) {
		must(x.start <= x.total && x.total <= BOX_TOTAL_MAX, "extent");
		must(x.total - x.start <= x.ring_size, "no more is held than fits");
		must(x.ring_size <= BOX_RING_MAX, "ring size");
		(void)read_at(fd, stream, x.start, BUF);
		(void)read_at(fd, stream, x.start / 2, 1);
		(void)read_at(fd, stream, x.start + (x.total - x.start) / 2, BUF);
		(void)read_at(fd, stream, x.total, BUF);
		(void)read_at(fd, stream, x.total + 1, BUF);
	}
	(void)read_at(fd, stream, 0, BUF);
	(void)read_at(fd, stream, UINT64_MAX, BUF);
}

static void describe(int fd, bool json)
{
	struct buf out = { 0 };
	struct err err = { 0 };

	if (box_describe(fd, json, &out, &err) == 0) {
		must(out.len > 0 && strlen(out.data) == out.len, "text");
		must(!json || json_ok(out.data), "JSON");
		for (size_t i = 0; i < out.len; i++)
			must((unsigned char)out.data[i] >= 0x20 || out.data[i] == '\n',
			     "no control characters");
	}
	buf_fini(&out);
}

static void run_readers(int fd)
{
	struct box_head head;
	struct box_record rec;

	if (box_read_head(fd, &head, NULL) == 0)
		must(head.streams <= BOX_STREAMS, "streams");
	if (box_read_record(fd, &rec, NULL) == 0)
		must(strlen(rec.start_msg) < BOX_MSG_MAX &&
			     strlen(rec.start_stage) < BOX_STAGE_MAX &&
			     rec.generation > 0,
		     "record");
	for (int stream = -1; stream <= BOX_STREAMS; stream++)
		read_stream(fd, stream);
	describe(fd, false);
	describe(fd, true);
}

static void run_patches(int fd, const uint8_t *data, size_t size, unsigned int flags)
{
	uint64_t offset = 0;

	for (int i = 0; size >= 3 && i < 64; i++) {
		off_t at = (data[0] | data[1] << 8) % LEN;
		size_t n = data[2];

		data += 3;
		size -= 3;
		n = n < size ? n : size;
		if (n == 0)
			must(ftruncate(fd, at) == 0, "ftruncate");
		else
			must(fd_pwrite_all(fd, data, n, at) == 0, "pwrite");
		data += n;
		size -= n;
		fix_sums(fd, flags);
		offset = read_at(fd, i % 2, offset, 100);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static unsigned char image[LEN];
	static int fd = -1;
	unsigned int flags = size > 0 ? data[0] : 0;

	if (fd < 0) {
		make_box(image);
		fd = memfd_create("box", MFD_CLOEXEC);
		must(fd >= 0, "memfd");
	}
	if (size > 0) {
		data++;
		size--;
	}
	must(ftruncate(fd, 0) == 0, "ftruncate");
	if (flags & RAW) {
		must(fd_pwrite_all(fd, data, size, 0) == 0, "pwrite");
		fix_sums(fd, flags);
	} else {
		must(fd_pwrite_all(fd, image, LEN, 0) == 0, "pwrite");
		run_patches(fd, data, size, flags);
	}
	run_readers(fd);
	return 0;
}
