/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * netstock - network namespaces made ahead of need, loopback up
 *
 * A network namespace costs more to make than all the rest of a sandbox, and
 * nothing in it depends on the command. The launcher makes one when it has nothing
 * else to do, in a detour, and keeps it by its descriptor alone: no process is in
 * it, and its name is nowhere. Each is given to one sandbox and never again; what
 * is left goes when the launcher goes.
 *
 * It belongs to the user namespace that made it (root's own, or an ordinary user's
 * zygote's), not to the sandbox's: nothing inside has rights over it, and whoever
 * may join the sandbox's user namespace may join it too, because that is a
 * descendant of its owner.
 */

#include <stdbool.h>
#include <stddef.h>

#include "zygote.h"

#define NETSTOCK_MAX 3

struct netstock {
	int fd[NETSTOCK_MAX];
	size_t n;
	bool failed; /* the last attempt; nothing is tried before the next take */
	bool said;
};

/* Whether there is something to do in an idle moment. */
bool netstock_wants(const struct netstock *s);

/* Makes one. Where that fails, says so once in the log: sandboxes make their own. */
void netstock_add(struct netstock *s, const struct zygote *z);

/* One that nobody had before, the caller's from now on; -1 if there is none. */
int netstock_take(struct netstock *s);

void netstock_fini(struct netstock *s);
