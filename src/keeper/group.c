/* SPDX-License-Identifier: Apache-2.0 */

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "../base/macro.h"
#include "../base/num.h"
#include "../sys/cgroup.h"
#include "keeper.h"

static const int entrances[] = { SLOT_CGROUP_MEMORY, SLOT_CGROUP_PIDS };

/*
 * "0" is whoever writes: no number of another namespace need be known. A limit whose
 * descriptor did not come would be none.
 */
int group_enter(const struct keeper *k)
{
	const uint64_t limits[] = { k->cgroup.memory_bytes, k->cgroup.processes };

	static_assert(ARRAY_SIZE(limits) == ARRAY_SIZE(entrances), "one for each");
	for (size_t i = 0; i < ARRAY_SIZE(entrances); i++)
		if (limits[i] > 0 && write(k->given->fd[entrances[i]], "0", 1) < 0)
			return -errno;
	return 0;
}

void group_entered(struct keeper *k)
{
	for (size_t i = 0; i < ARRAY_SIZE(entrances); i++) {
		int *fd = &k->given->fd[entrances[i]];

		if (*fd >= 0)
			(void)close(*fd);
		*fd = -1;
	}
}

static bool read_file(const struct keeper *k, int slot, char *text, size_t size)
{
	int fd = k->given->fd[slot];
	ssize_t n = fd < 0 ? -1 : pread(fd, text, size - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return n > 0;
}

uint64_t group_count(struct keeper *k)
{
	struct box_usage u = { .memory_limit = k->cgroup.memory_bytes };
	char text[512];

	if (u.memory_limit == 0 || !k->box_ready)
		return 0;
	if (read_file(k, SLOT_CGROUP_EVENTS, text, sizeof(text)))
		(void)cgroup_parse_oom(text, &u.oom_killed);
	if (read_file(k, SLOT_CGROUP_PEAK, text, sizeof(text))) {
		text[strcspn(text, "\n")] = '\0';
		(void)num_parse_u64(text, 0, UINT64_MAX, &u.memory_peak);
	}
	box_writer_usage(&k->box, &u);
	return u.oom_killed;
}
