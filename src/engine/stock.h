/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * stock - black boxes made ahead of need, and those to be unlinked
 *
 * Making and unlinking a file cost more than a spawn, so both happen between
 * calls, one at a time. A box in stock has an id that no journal knows: recovery
 * unlinks it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../base/err.h"
#include "../base/id.h"

#define STOCK_READY 4
#define STOCK_UNLINKS_MAX 8192 /* beyond it one is unlinked at once */

struct stock_box {
	struct id id;
	int fd; /* locked */
};

struct stock_unlink {
	struct id id;
	char kind;
};

struct stock {
	int dirfd; /* borrowed */
	struct stock_box ready[STOCK_READY];
	size_t n_ready;
	struct stock_unlink *unlinks;
	size_t n_unlinks;
};

int stock_init(struct stock *s, int dirfd, struct err *err);
void stock_fini(struct stock *s); /* unlinks all that it has */

int stock_take(struct stock *s, uint32_t streams, uint64_t ring_bytes, char kind,
	       struct id *ret_id, int *ret_fd, struct err *err);
void stock_unlink(struct stock *s, const struct id *id, char kind);
/*
 * Makes one box if it is short of them, and unlinks so many. Whether there is more
 * to do that can be done now.
 */
bool stock_chore(struct stock *s, unsigned int unlinks);
