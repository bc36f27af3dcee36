/* SPDX-License-Identifier: Apache-2.0 */

#include "writer.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "../base/clock.h"
#include "../base/macro.h"
#include "alloc.h"
#include "stock.h"

/* What was stored before is seen by whoever sees this. */
static void publish(uint64_t *p, uint64_t v)
{
	__atomic_store_n(p, v, __ATOMIC_RELEASE);
}

static void publish_flag(struct box_counters *c, uint32_t flag)
{
	(void)__atomic_fetch_or(&c->flags, flag, __ATOMIC_RELEASE);
}

/* Whoever sees a byte that is written after this sees `reserved` too. */
static void reserve(struct box_writer_stream *s, uint64_t v)
{
	s->reserved = v;
	publish(&s->counters->reserved, v);
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

static int check_args(const struct box_writer_args *a, struct err *err)
{
	if (a->streams > BOX_STREAMS)
		return err_set(err, ERR_INVALID_INPUT, "streams", 0,
			       "a box has at most %d streams, not %u", BOX_STREAMS,
			       a->streams);
	if (a->ring_size != 0 &&
	    (a->ring_size < BOX_RING_MIN || a->ring_size > BOX_RING_MAX ||
	     a->ring_size % BOX_RING_MIN != 0))
		return err_set(err, ERR_INVALID_INPUT, "ring_bytes", 0,
			       "a ring has 4096 to 1073741824 bytes, in steps of 4096");
	if (a->capture > BOX_CAPTURE_PTY)
		return err_set(err, ERR_INVALID_INPUT, "capture", 0, "no capture %u",
			       a->capture);
	if (a->overflow > BOX_BLOCK)
		return err_set(err, ERR_INVALID_INPUT, "overflow", 0, "no overflow %u",
			       a->overflow);
	return 0;
}

/*
 * Whether a box of just this shape has the blocks that box_create() gives one. If
 * not, or if it cannot be known, the first span allocates.
 */
static bool has_first_blocks(const struct stat *st, uint64_t len, uint64_t first,
			     uint64_t n)
{
	return (uint64_t)st->st_size == len &&
	       (uint64_t)st->st_blocks * 512 >= BOX_RINGS_AT + n * first;
}

static int map_box(struct box_writer *w, const struct box_writer_args *a,
		   uint64_t *ret_allocated, struct err *err)
{
	uint64_t len = BOX_RINGS_AT + a->streams * a->ring_size;
	uint64_t first = MIN((uint64_t)BOX_FIRST_BLOCKS, a->ring_size);
	struct stat st;
	void *map;
	int r;

	if (fstat(w->fd, &st) < 0)
		return err_set(err, ERR_INTERNAL, "box", errno, "fstat of the box");
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_INTERNAL, "box", 0, "the box is no regular file");
	if (st.st_size < 0 || (uint64_t)st.st_size < len)
		return err_set(err, ERR_INTERNAL, "box", 0,
			       "the box has %lld bytes and must have %llu",
			       (long long)st.st_size, (unsigned long long)len);
	if (!has_first_blocks(&st, len, first, a->streams)) {
		r = box_allocate(w->fd, 0, BOX_RINGS_AT);
		if (r < 0)
			return err_set(err, ERR_UNAVAILABLE, "box", -r,
				       "no room for the head of the box");
		first = 0;
	}

	map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, w->fd, 0);
	if (map == MAP_FAILED)
		return err_set(err, ERR_INTERNAL, "box", errno, "mmap of the box");
	/*
	 * The first touch of a page would fill the page cache with the megabytes of empty
	 * ring around it: 600 us on ext4 (Linux 6.18, read-ahead of 8 MiB), against 10.
	 */
	(void)madvise(map, len, MADV_RANDOM);
	/* A core dump of the writer is not the place for what a command printed. */
	(void)madvise(map, len, MADV_DONTDUMP);
	w->map = map;
	w->map_len = len;
	*ret_allocated = first;
	return 0;
}

static int check_untaken(const struct box_writer *w, struct err *err)
{
	static const struct box_head zero;

	if (memcmp(w->map, &zero, sizeof(zero)) != 0)
		return err_set(err, ERR_CONFLICT, "box", 0,
			       "another writer has taken the box");
	return 0;
}

static void init_stream(struct box_writer *w, uint32_t i, uint64_t size,
			uint64_t allocated)
{
	struct box_writer_stream *s = &w->stream[i];

	s->ring = w->map + BOX_RINGS_AT + i * size;
	s->size = size;
	s->allocated = allocated;
	s->counters = (struct box_counters *)(void *)(w->map + BOX_COUNTERS_AT(i));
	memset(s->counters, 0, sizeof(*s->counters));
	publish(&s->counters->ring_size, size);
}

/* Last, and its magic last of all: who sees a head sees counters and a record. */
static void write_head(struct box_writer *w, const struct box_writer_args *a)
{
	struct box_head *at = (struct box_head *)(void *)w->map;
	struct box_head h = {
		.magic = BOX_MAGIC,
		.version = BOX_VERSION,
		.streams = a->streams,
		.id = a->id,
		.boot_id = a->boot_id,
		.capture = a->capture,
		.overflow = a->overflow,
		.created_boot_ns = clock_boot(),
		.created_wall_ns = clock_wall(),
	};

	for (uint32_t i = 0; i < a->streams; i++)
		h.ring_size[i] = a->ring_size;
	h.sum = box_sum(&h, offsetof(struct box_head, sum));
	memcpy(&at->version, &h.version, sizeof(h) - offsetof(struct box_head, version));
	publish(&at->magic, h.magic);
}

int box_writer_init(struct box_writer *w, int fd, const struct box_writer_args *args,
		    struct err *err)
{
	uint64_t allocated = 0;
	int r;

	memset(w, 0, sizeof(*w));
	w->fd = fd;
	r = check_args(args, err);
	if (r == 0)
		r = map_box(w, args, &allocated, err);
	if (r == 0)
		r = check_untaken(w, err);
	if (r < 0) {
		box_writer_fini(w);
		return r;
	}

	for (uint32_t i = 0; i < args->streams; i++)
		init_stream(w, i, args->ring_size, allocated);
	w->block = args->overflow == BOX_BLOCK;
	w->record.state = BOX_STARTING;
	w->record.exit_code = -1;
	box_writer_store(w);
	write_head(w, args);
	return 0;
}

void box_writer_fini(struct box_writer *w)
{
	if (w->map)
		(void)munmap(w->map, w->map_len);
	memset(w, 0, sizeof(*w));
	w->fd = -1;
}

static bool has_stream(const struct box_writer *w, int stream)
{
	return stream >= 0 && stream < BOX_STREAMS && w->stream[stream].counters;
}

/*
 * The ring becomes what it has blocks for. Only called when total == allocated: all
 * bytes of the first lap then keep their place, as offset % allocated == offset, and
 * a reader that still has the old ring size finds them where it looks. The new size
 * is published before the first `reserved` that goes by it.
 */
static void shrink(struct box_writer_stream *s)
{
	s->size = s->allocated;
	publish_flag(s->counters, BOX_DISK_FULL);
	publish(&s->counters->ring_size, s->size);
}

static int allocate_up_to(const struct box_writer *w, struct box_writer_stream *s,
			  uint64_t to)
{
	off_t at = (s->ring - w->map) + (off_t)s->allocated;
	uint64_t len = to - s->allocated;
	int r = box_allocate(w->fd, at, len);

	if (r < 0)
		box_deallocate(w->fd, at, len);
	else
		s->allocated = to;
	return r;
}

/* The stream has used up its blocks, in the first lap: twice as many, or no more. */
static void grow(const struct box_writer *w, struct box_writer_stream *s)
{
	uint64_t to = MAX(2 * s->allocated, (uint64_t)BOX_FIRST_BLOCKS);

	if (allocate_up_to(w, s, MIN(to, s->size)) == 0)
		return;
	if (s->allocated == 0 && allocate_up_to(w, s, BOX_RING_MIN) == 0)
		return;
	shrink(s);
}

void *box_writer_span(struct box_writer *w, int stream, size_t want, size_t *ret_len)
{
	struct box_writer_stream *s = &w->stream[stream];
	uint64_t at, n;

	assert(has_stream(w, stream));
	if (s->total >= s->allocated && s->allocated < s->size)
		grow(w, s);
	if (s->size == 0) {
		*ret_len = want;
		return NULL;
	}

	at = s->total % s->size;
	n = MIN((uint64_t)want, s->size - at);
	if (s->total < s->allocated)
		n = MIN(n, s->allocated - s->total);
	if (s->total >= s->size)
		n = MIN(n, s->size / 4);
	if (w->block)
		n = MIN(n, s->size - (s->total - s->acked));

	reserve(s, s->total + n);
	*ret_len = (size_t)n;
	return s->ring + at;
}

void box_writer_commit(struct box_writer *w, int stream, size_t n)
{
	struct box_writer_stream *s = &w->stream[stream];

	assert(has_stream(w, stream));
	if (s->size == 0)
		reserve(s, s->total + n);
	assert(n <= s->reserved - s->total);

	s->total += n;
	publish(&s->counters->total, s->total);
	s->reserved = s->total;
	publish(&s->counters->reserved, s->reserved);
}

void box_writer_ack(struct box_writer *w, int stream, uint64_t offset)
{
	struct box_writer_stream *s = &w->stream[stream];

	assert(has_stream(w, stream));
	offset = MIN(offset, s->total);
	if (offset <= s->acked)
		return;
	s->acked = offset;
	publish(&s->counters->acked, offset);
}

void box_writer_lapse(struct box_writer *w)
{
	w->block = false;
	w->record.flags |= BOX_BLOCK_LAPSED;
}

void box_writer_end(struct box_writer *w, int stream)
{
	assert(has_stream(w, stream));
	box_writer_commit(w, stream, 0);
	publish_flag(w->stream[stream].counters, BOX_AT_END);
}

uint64_t box_writer_total(const struct box_writer *w, int stream)
{
	assert(has_stream(w, stream));
	return w->stream[stream].total;
}

void box_writer_store(struct box_writer *w)
{
	struct box_record *r = &w->record;

	r->generation++;
	r->sum = box_sum(r, offsetof(struct box_record, sum));
	memcpy(w->map + BOX_SLOT_AT((r->generation - 1) % 2), r, sizeof(*r));
}

void box_writer_usage(struct box_writer *w, const struct box_usage *u)
{
	struct box_usage all = *u;

	all.sum = box_sum(&all, offsetof(struct box_usage, sum));
	memcpy(w->map + BOX_USAGE_AT, &all, sizeof(all));
}
