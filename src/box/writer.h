/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * writer - the keeper's side of a black box
 *
 * The only code that maps a box, and the only one that writes to it. It
 * allocates nothing on the heap and takes no locks; one writer per file. The
 * owner reads from a pipe straight into the span that box_writer_span() gives,
 * then calls box_writer_commit() with the number of bytes that came.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../base/err.h"
#include "format.h"

struct box_writer_stream {
	unsigned char *ring;
	uint64_t size;	    /* in force */
	uint64_t allocated; /* bytes of the ring that have blocks */
	/* What the counters say; never read back, as the file may be tampered with. */
	uint64_t reserved, total, acked;
	struct box_counters *counters;
};

struct box_writer {
	int fd; /* borrowed */
	unsigned char *map;
	size_t map_len;
	bool block; /* overflow: block, until it lapses */
	struct box_record record;
	struct box_writer_stream stream[BOX_STREAMS];
};

struct box_writer_args {
	struct id id;
	struct id boot_id;
	uint32_t streams; /* 0, 1 or 2 */
	uint32_t capture, overflow;
	uint64_t ring_size; /* per stream; 0 keeps counters only */
};

/*
 * Takes the box behind fd: checks that it is untaken and long enough, maps it,
 * writes head, counters and a first record (BOX_STARTING). fd must outlive w.
 */
int box_writer_init(struct box_writer *w, int fd, const struct box_writer_args *args,
		    struct err *err);

/* Unmaps. Accepts a zeroed writer. */
void box_writer_fini(struct box_writer *w);

/*
 * A contiguous writable span of at most `want` bytes at the stream's end, with
 * `reserved` published and blocks allocated. Returns its length in *ret_len:
 * 0 only with overflow: block and a full ring (wait for an acknowledgement).
 * Returns NULL with *ret_len = want if nothing is kept (ring size 0): the owner
 * reads into a buffer of its own and commits all the same. Once the ring is full a
 * span is at most a quarter of it, so that what is reserved leaves readers the rest.
 */
void *box_writer_span(struct box_writer *w, int stream, size_t want, size_t *ret_len);

/*
 * n <= what the last box_writer_span() of that stream gave, and nothing behind the
 * n bytes was written to. 0 (EAGAIN, the end) gives the span back.
 */
void box_writer_commit(struct box_writer *w, int stream, size_t n);

/* Bytes before `offset` may be overwritten. Never moves back; past the end: clipped. */
void box_writer_ack(struct box_writer *w, int stream, uint64_t offset);

/* block becomes drop_oldest; notes BOX_BLOCK_LAPSED in w->record (not yet stored). */
void box_writer_lapse(struct box_writer *w);

void box_writer_end(struct box_writer *w, int stream); /* BOX_AT_END */
uint64_t box_writer_total(const struct box_writer *w, int stream);

/* Stores w->record in the older slot, with the next generation and checksum. */
void box_writer_store(struct box_writer *w);
/* Stores it, with its sum. */
void box_writer_usage(struct box_writer *w, const struct box_usage *u);
