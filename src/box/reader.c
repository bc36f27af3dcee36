/* SPDX-License-Identifier: Apache-2.0 */

#include "reader.h"

#include <errno.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "../base/fd.h"
#include "../base/macro.h"

/* A writer may publish between any two of our reads: so often we look again. */
#define TRIES_HEAD 4
#define TRIES_RECORD 16
#define TRIES_COUNTERS 16
/* So often a reader that was lapped copies again, each time further ahead. */
#define TRIES_COPY 8

static int damaged(struct err *err, const char *what)
{
	return err_set(err, ERR_INTERNAL, "box", 0, "damaged box: %s", what);
}

static int bad_read(struct err *err, int r, const char *what)
{
	if (r == -ENODATA)
		return err_set(err, ERR_INTERNAL, "box", 0,
			       "damaged box: the file ends in its %s", what);
	return err_set(err, ERR_INTERNAL, "box", -r, "pread of the %s of a box", what);
}

/* As many bytes as there are, up to len. */
static ssize_t read_up_to(int fd, void *buf, size_t len, off_t at)
{
	size_t got = 0;

	while (got < len) {
		ssize_t n = pread(fd, (char *)buf + got, len - got, at + (off_t)got);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		got += (size_t)n;
	}
	return (ssize_t)got;
}

static bool ring_size_ok(uint64_t n)
{
	return n == 0 ||
	       (n >= BOX_RING_MIN && n <= BOX_RING_MAX && n % BOX_RING_MIN == 0);
}

static bool head_ok(const struct box_head *h)
{
	if (h->streams > BOX_STREAMS || h->capture > BOX_CAPTURE_PTY ||
	    h->overflow > BOX_BLOCK)
		return false;
	for (uint32_t i = 0; i < BOX_STREAMS; i++)
		if (!ring_size_ok(h->ring_size[i]) ||
		    (i >= h->streams && h->ring_size[i] != 0))
			return false;
	return true;
}

int box_read_head(int fd, struct box_head *ret, struct err *err)
{
	struct box_head h = { 0 };

	for (int i = 0; i < TRIES_HEAD; i++) {
		int r = fd_pread_all(fd, &h, sizeof(h), 0);

		if (r < 0)
			return bad_read(err, r, "head");
		if (h.magic == 0)
			return err_set(err, ERR_NOT_FOUND, "box", 0,
				       "nobody has taken this box yet");
		if (h.magic != BOX_MAGIC)
			return damaged(err, "this is no box (wrong magic)");
		if (h.version != BOX_VERSION)
			return err_set(err, ERR_UNSUPPORTED, "box", 0,
				       "the box has version %u, this program reads %u",
				       h.version, BOX_VERSION);
		if (h.sum != box_sum(&h, offsetof(struct box_head, sum)))
			continue;
		if (!head_ok(&h))
			return damaged(err, "a number in its head is out of range");
		*ret = h;
		return 0;
	}
	return damaged(err, "wrong checksum of its head");
}

static bool slot_valid(const struct box_record *r)
{
	return r->generation != 0 &&
	       r->sum == box_sum(r, offsetof(struct box_record, sum));
}

static bool slot_empty(const struct box_record *r)
{
	static const struct box_record zero;

	return memcmp(r, &zero, sizeof(zero)) == 0;
}

static int check_record(struct box_record *r, struct err *err)
{
	if (r->state < BOX_STARTING || r->state > BOX_EXITED ||
	    r->reason >= BOX_REASON_LOST)
		return damaged(err, "a state in its record is out of range");
	if (r->exit_code < -1 || r->exit_code > 255 || r->exit_signal < 0 ||
	    r->exit_signal > 64 || r->sandbox_pid < 0 || r->start_errno < 0)
		return damaged(err, "a number in its record is out of range");
	r->start_stage[BOX_STAGE_MAX - 1] = '\0';
	r->start_msg[BOX_MSG_MAX - 1] = '\0';
	return 0;
}

/* 1 and the newer valid slot, 0 if both are empty, -errno; -EAGAIN: neither is right. */
static int read_slots(int fd, struct box_record *ret)
{
	unsigned char both[1024 + sizeof(struct box_record)];
	struct box_record slot[2];
	ssize_t n;

	memset(both, 0, sizeof(both));
	n = read_up_to(fd, both, sizeof(both), BOX_SLOT_AT(0));
	if (n < 0)
		return (int)n;
	memcpy(&slot[0], both, sizeof(slot[0]));
	memcpy(&slot[1], both + 1024, sizeof(slot[1]));

	if (!slot_valid(&slot[0]) && !slot_valid(&slot[1])) {
		if (n < (ssize_t)sizeof(both))
			return -ENODATA;
		return slot_empty(&slot[0]) && slot_empty(&slot[1]) ? 0 : -EAGAIN;
	}
	if (!slot_valid(&slot[0]))
		*ret = slot[1];
	else if (!slot_valid(&slot[1]))
		*ret = slot[0];
	else
		*ret = slot[slot[1].generation > slot[0].generation];
	return 1;
}

int box_read_record(int fd, struct box_record *ret, struct err *err)
{
	struct box_record rec = { 0 };
	int r = -EAGAIN;

	/* Both are wrong only for an instant, if the writer stores twice meanwhile. */
	for (int i = 0; i < TRIES_RECORD && r == -EAGAIN; i++)
		r = read_slots(fd, &rec);
	if (r == -EAGAIN)
		return damaged(err, "wrong checksums of both its records");
	if (r < 0)
		return bad_read(err, r, "records");
	if (r == 0)
		return err_set(err, ERR_NOT_FOUND, "box", 0, "the box has no record yet");

	r = check_record(&rec, err);
	if (r < 0)
		return r;
	*ret = rec;
	return 0;
}

int box_read_usage(int fd, struct box_usage *ret, struct err *err)
{
	struct box_usage u = { 0 };

	/* Wrong for an instant, while the writer stores it anew. */
	for (int i = 0; i < TRIES_RECORD; i++) {
		int r = fd_pread_all(fd, &u, sizeof(u), BOX_USAGE_AT);

		if (r < 0)
			return bad_read(err, r, "usage");
		if (u.sum == box_sum(&u, offsetof(struct box_usage, sum)) &&
		    u.memory_limit > 0) {
			*ret = u;
			return 0;
		}
		if (u.sum == 0 && u.memory_limit == 0)
			break;
	}
	return err_set(err, ERR_NOT_FOUND, "box", 0, "the box counts no memory");
}

static uint64_t start_of(const struct box_counters *c)
{
	/* Nothing is kept. */
	if (c->ring_size == 0)
		return c->total;
	return c->reserved > c->ring_size ? c->reserved - c->ring_size : 0;
}

static int check_counters(const struct box_counters *c, uint64_t made, struct err *err)
{
	if (!ring_size_ok(c->ring_size) || c->ring_size > made)
		return damaged(err, "a ring size is out of range");
	if (c->total > BOX_TOTAL_MAX || c->reserved < c->total ||
	    c->reserved - c->total > c->ring_size)
		return damaged(err, "the counters of a stream do not fit together");
	return 0;
}

/*
 * Counters that belong together. The 64 bytes of a pread(2) are no snapshot: the
 * writer may publish while they are copied. Two reads in a row that agree are one,
 * since `total` never goes back. A writer that is too fast for that gets the careful
 * reading of two samples in a row: the total of the earlier, the `reserved` of
 * whichever is greater; both ring sizes must agree.
 */
static int read_counters(int fd, int stream, uint64_t made, struct box_counters *ret,
			 struct err *err)
{
	struct box_counters a = { 0 }, b = { 0 };
	int r;

	for (int i = 0; i < TRIES_COUNTERS || a.ring_size != b.ring_size; i++) {
		if (i == 4 * TRIES_COUNTERS)
			return damaged(err, "a ring size never stays the same");
		a = b;
		r = fd_pread_all(fd, &b, sizeof(b), BOX_COUNTERS_AT(stream));
		if (r < 0)
			return bad_read(err, r, "counters");
		if (i > 0 && a.reserved == b.reserved && a.total == b.total &&
		    a.ring_size == b.ring_size && a.flags == b.flags) {
			r = check_counters(&b, made, err);
			if (r == 0)
				*ret = b;
			return r;
		}
	}

	b.total = MIN(a.total, b.total);
	b.reserved = MAX(a.reserved, b.reserved);
	b.flags &= ~(uint32_t)BOX_AT_END;
	/* Lapped between the samples: what start_of() gives had been written by then. */
	if (b.reserved > b.ring_size)
		b.total = MAX(b.total, b.reserved - b.ring_size);
	if (b.ring_size == 0)
		b.reserved = b.total;
	else
		b.reserved = MIN(b.reserved, b.total + b.ring_size);
	r = check_counters(&b, made, err);
	if (r == 0)
		*ret = b;
	return r;
}

static int check_stream(int stream, const struct box_head *h, struct err *err)
{
	if (stream < 0 || (uint32_t)stream >= h->streams)
		return err_set(err, ERR_INVALID_INPUT, "stream", 0,
			       "the box has %u streams, and no stream %d", h->streams,
			       stream);
	return 0;
}

int box_read_extent(int fd, int stream, struct box_extent *ret, struct err *err)
{
	struct box_counters c = { 0 };
	struct box_head h = { 0 };
	int r;

	r = box_read_head(fd, &h, err);
	if (r == 0)
		r = check_stream(stream, &h, err);
	if (r == 0)
		r = read_counters(fd, stream, h.ring_size[stream], &c, err);
	if (r < 0)
		return r;

	*ret = (struct box_extent){
		.start = start_of(&c),
		.total = c.total,
		.ring_size = c.ring_size,
		.at_end = c.flags & BOX_AT_END,
		.disk_full = c.flags & BOX_DISK_FULL,
	};
	return 0;
}

struct ring {
	int fd;
	int stream;
	off_t at;      /* of the ring in the file */
	uint64_t made; /* its size as made */
};

/* The bytes from offset `from` on; fewer where the file ends before the ring does. */
static ssize_t copy_bytes(const struct ring *ring, uint64_t size, uint64_t from,
			  void *buf, size_t len)
{
	uint64_t at = from % size;
	size_t first = (size_t)MIN((uint64_t)len, size - at);
	ssize_t n, more = 0;

	n = read_up_to(ring->fd, buf, first, ring->at + (off_t)at);
	if (n == (ssize_t)first && first < len)
		more = read_up_to(ring->fd, (char *)buf + first, len - first, ring->at);
	return more < 0 ? more : n < 0 ? n : n + more;
}

/* Where the next byte lies that a file may have which ends before `from` does. */
static uint64_t behind_hole(const struct box_counters *c, uint64_t from)
{
	return MIN(from + (c->ring_size - from % c->ring_size), c->total);
}

/*
 * One try: copies from *from on, then looks what of it the writer has reserved in the
 * meantime, and has in *c the counters as they are now. The bytes that are good are
 * moved to the front of buf, and *from to the first of them. Returns 1 if there are
 * none since the writer was faster.
 */
static int try_copy(const struct ring *ring, struct box_counters *c, uint64_t *from,
		    void *buf, size_t len, size_t *ret_got, struct err *err)
{
	uint64_t size = c->ring_size, begin = *from, end, good;
	ssize_t n;
	int r;

	len = (size_t)MIN((uint64_t)len, c->total - begin);
	n = copy_bytes(ring, size, begin, buf, len);
	if (n < 0)
		return bad_read(err, (int)n, "ring");
	if (n == 0 && len > 0) {
		*from = behind_hole(c, begin);
		*ret_got = 0;
		return 0;
	}
	end = begin + (size_t)n;

	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	r = read_counters(ring->fd, ring->stream, ring->made, c, err);
	if (r < 0)
		return r;
	if (c->total < end)
		return damaged(err, "a stream became shorter");

	/* A ring that shrank in between kept the place of every byte it still has. */
	good = MAX(begin, start_of(c));
	if (good < end)
		memmove(buf, (char *)buf + (good - begin), (size_t)(end - good));
	*from = good;
	*ret_got = good < end ? (size_t)(end - good) : 0;
	return good >= end;
}

/* The oldest byte, or the further ahead of it the more often that was too slow. */
static uint64_t start_after(const struct box_counters *c, unsigned int laps)
{
	uint64_t start = start_of(c);

	return start + (c->total - start) / TRIES_COPY * laps;
}

int box_read(int fd, int stream, uint64_t offset, void *buf, size_t len,
	     struct box_chunk *ret, struct err *err)
{
	struct ring ring = { .fd = fd, .stream = stream, .at = BOX_RINGS_AT };
	struct box_counters c = { 0 };
	struct box_head h = { 0 };
	unsigned int laps = 0;
	uint64_t from;
	size_t got = 0;
	int r;

	r = box_read_head(fd, &h, err);
	if (r == 0)
		r = check_stream(stream, &h, err);
	if (r < 0)
		return r;
	for (int i = 0; i < stream; i++)
		ring.at += (off_t)h.ring_size[i];
	ring.made = h.ring_size[stream];

	r = read_counters(fd, stream, ring.made, &c, err);
	if (r < 0)
		return r;
	if (offset > c.total)
		return err_set(err, ERR_INVALID_INPUT, "offset", 0,
			       "the stream has %llu bytes so far, and none at %llu",
			       (unsigned long long)c.total, (unsigned long long)offset);

	from = MAX(offset, start_of(&c));
	for (int i = 0; got == 0 && len > 0 && from < c.total && i < TRIES_COPY; i++) {
		from = MAX(from, start_after(&c, laps));
		r = try_copy(&ring, &c, &from, buf, len, &got, err);
		if (r < 0)
			return r;
		laps += (unsigned int)r;
	}

	*ret = (struct box_chunk){
		.offset = from,
		.next = from + got,
		.lost = from - offset,
		.len = got,
		.at_end = c.flags & BOX_AT_END && from + got == c.total,
	};
	return 0;
}
