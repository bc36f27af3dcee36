/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * proctree - the processes of one command, read from /proc
 *
 * In a PID namespace of its own the tree is everything in /proc but pid 1. On
 * the host it is all below one process (a child subreaper), found through
 * /proc/PID/task/TID/children (CONFIG_PROC_CHILDREN). Zombies do not count:
 * they run nothing and are reaped by whoever started them.
 *
 * No allocation. A snapshot can be stale when it is read: callers that must be
 * sure look again until it is empty.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct proctree_usage {
	uint32_t live;
	uint64_t cpu_us;
	uint64_t rss_bytes;
	uint64_t read_bytes, write_bytes; /* 0 where /proc/PID/io may not be read */
};

/*
 * The tree below `root` (root not counted), or the whole PID namespace if root is
 * 1. Calls visit for each living process; it may be NULL. The number of
 * processes, or -errno if /proc does not tell.
 */
int proctree_each(pid_t root, void (*visit)(pid_t pid, void *arg), void *arg);

int proctree_usage(pid_t root, struct proctree_usage *ret);

/* Sends a signal to each of them by pidfd, so that no stranger is hit. The number hit. */
int proctree_signal(pid_t root, int sig);
