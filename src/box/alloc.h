/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * alloc - blocks for a part of a box, before anything is written there
 *
 * A box is sparse. A write through a mapping has no way to report a full disk (it
 * raises SIGBUS), so a part of the file gets its blocks first, with fallocate(2),
 * where a full disk is an error like any other. File systems without fallocate
 * get zeroes written, which is right as nobody has written to that part yet.
 */

#include <stdint.h>
#include <sys/types.h>

/* -errno; then some of the blocks may be there all the same. */
int box_allocate(int fd, off_t at, uint64_t len);

/* Gives back what a failed box_allocate() left, as far as the file system can. */
void box_deallocate(int fd, off_t at, uint64_t len);
