/* SPDX-License-Identifier: Apache-2.0 */

/* What the handlers ask of the engine and that no other file does. */

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../base/cleanup.h"
#include "engine.h"

int world_box(struct world *w, uint32_t streams, uint64_t ring_bytes, char kind,
	      struct id *ret_id, int *ret_fd, struct err *err)
{
	struct engine *e = engine_of(w);
	int r = stock_take(&e->stock, streams, ring_bytes, kind, ret_id, ret_fd, err);

	chores_wake(e);
	return r;
}

void world_box_unlink(struct world *w, const struct id *id, char kind)
{
	struct engine *e = engine_of(w);

	stock_unlink(&e->stock, id, kind);
	chores_wake(e);
}

void world_box_drop(struct world *w, const struct id *id, char kind, int fd)
{
	(void)close(fd);
	world_box_unlink(w, id, kind);
}

/* proc(5): the second number of statm, in pages. */
static uint64_t resident(void)
{
	CLEANUP(close) int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	const char *second;
	char text[128];
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (n <= 0)
		return 0;
	text[n] = '\0';
	second = strchr(text, ' ');
	if (!second)
		return 0;
	return strtoull(second, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

void world_facts(const struct world *w, struct engine_facts *ret)
{
	const struct engine *e =
		container_of((struct world *)(uintptr_t)w, struct engine, world);

	*ret = (struct engine_facts){
		.launcher_pid = e->launcher.sock >= 0 ? e->launcher.pid : 0,
		.keeper_path = e->keeper_path,
		.connections = e->n_peers,
		.calls = e->n_calls,
		.stall_max_ns = e->loop.stall_max,
		.turns = e->loop.turns,
		.memory_bytes = resident(),
		.wal_pages = journal_wal_pages(w->journal),
		.prepared = spares_standing(e),
	};
}
