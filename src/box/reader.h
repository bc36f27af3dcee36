/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * reader - everybody else's side of a black box
 *
 * pread(2) only, never a mapping: a hostile writer that truncates its file must
 * not kill a reader by SIGBUS. Every number is checked against constants before
 * it is used; what does not fit is ERR_INTERNAL ("damaged box"), a file that is
 * too short counts as lost bytes. Reading removes nothing, and any number of
 * readers costs the writer nothing.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../base/buf.h"
#include "../base/err.h"
#include "format.h"

/* ERR_NOT_FOUND for an untaken box (zeroed head). */
int box_read_head(int fd, struct box_head *ret, struct err *err);

/* The newest valid record. ERR_NOT_FOUND if there is none yet. */
int box_read_record(int fd, struct box_record *ret, struct err *err);

/* ERR_NOT_FOUND if there is none. */
int box_read_usage(int fd, struct box_usage *ret, struct err *err);

struct box_extent {
	uint64_t start; /* oldest offset still held = bytes lost */
	uint64_t total; /* bytes ever written */
	uint64_t ring_size;
	bool at_end;
	bool disk_full;
};

int box_read_extent(int fd, int stream, struct box_extent *ret, struct err *err);

struct box_chunk {
	uint64_t offset; /* of the first byte in buf */
	uint64_t next;	 /* where to go on */
	uint64_t lost;	 /* bytes between the offset asked for and `offset` */
	size_t len;
	bool at_end; /* no byte will follow `next` */
};

/*
 * Up to len bytes from `offset` on. An offset beyond the total is
 * ERR_INVALID_INPUT with stage "offset". A writer that laps the reader makes it
 * start again at a later offset and count the loss, a bounded number of times.
 */
int box_read(int fd, int stream, uint64_t offset, void *buf, size_t len,
	     struct box_chunk *ret, struct err *err);

/* Prints head, record and extents for a person, or as JSON; for `box show`. */
int box_describe(int fd, bool json, struct buf *out, struct err *err);
