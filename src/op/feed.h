/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * feed - input on its way into a command
 *
 * A keeper takes one piece at a time and answers when there was room for some of
 * it, which may be never. Feeds of a process queue up in order, bounded in number
 * and size; one that nobody waits for any more is written all the same, since
 * parts of it may be in the pipe already.
 */

#include <stdbool.h>
#include <stddef.h>

#include "call.h"

#define FEED_QUEUE_MAX 64		 /* of one process */
#define FEED_BYTES_MAX ((size_t)8 << 20) /* of one process */

struct feed_result {
	size_t taken;
	int error; /* errno, or 0 */
	bool closed;
};

struct feed {
	struct list node; /* in struct process.feeds */
	struct process *process;
	struct waiter waiter;
	struct keeper_ask ask;
	bool asked;
	unsigned char *bytes;
	size_t len, taken;
	bool close;
	/* The one who waits; NULL = nobody. Called once, when nothing more will be taken.
	 */
	void (*done)(void *data, const struct feed_result *r);
	void *data;
};

/* Takes bytes. ERR_QUOTA if too much is waiting, ERR_CONFLICT if it takes no input. */
int feed_start(struct process *p, unsigned char *bytes, size_t len, bool close,
	       void (*done)(void *data, const struct feed_result *r), void *data,
	       struct feed **ret, struct err *err);
/* The one who waits waits no longer. */
void feed_forget(struct feed *f);
