/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * stock - box files, locks and names, as the engine needs them
 *
 * A box lies at <dir>/<id text>.box. Making one (name, length, first blocks) and
 * unlinking one cost more than a spawn, so the engine does both when it is idle.
 *
 * The sign of life is an OFD write lock (fcntl(2), F_OFD_SETLK) on the open file
 * description that goes engine -> launcher -> keeper: held = starting or alive.
 */

#include <stdbool.h>
#include <stdint.h>

#include "../base/err.h"
#include "format.h"

/*
 * Creates <dirfd>/<id>.box, 0600, with room for `streams` rings of ring_size
 * bytes and the first BOX_FIRST_BLOCKS bytes of each allocated, and returns it
 * open for reading and writing in *ret_fd, locked. ERR_UNAVAILABLE on a full disk.
 */
#define BOX_FIRST_BLOCKS 65536
int box_create(int dirfd, const struct id *id, char kind, uint32_t streams,
	       uint64_t ring_size, int *ret_fd, struct err *err);

/* Opens an existing box O_RDWR, O_NOFOLLOW; only a regular file of our own. */
int box_open(int dirfd, const struct id *id, char kind, int *ret_fd, struct err *err);

int box_unlink(int dirfd, const struct id *id, char kind);

/* Takes the lock if it is free: 1 taken, 0 somebody lives, -errno. */
int box_lock(int fd);
/*
 * Looks only: 1 somebody holds it, 0 free, -errno. The open file description that
 * has the lock itself is told 0: ask through one of your own.
 */
int box_is_locked(int fd);
