/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * launcher - the engine's link to the process that clones keepers
 *
 * Started before the engine grows, and anew when it dies: commands run on, and
 * those of its orders that it took along fail by the end of their control socket.
 * Only so many orders are out at once, since descriptors in flight are limited
 * per user (unix(7), ETOOMANYREFS).
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "../base/err.h"
#include "../base/list.h"
#include "loop.h"

#define LAUNCHER_OUT_MAX 64u

struct engine;

struct launcher {
	int sock; /* -1 = none */
	pid_t pid;
	int pidfd;
	struct watch watch;
	struct watch end; /* its pidfd: to reap it */
	struct timer again;
	struct list queue; /* struct keeper.launch, not yet sent */
	struct list out;   /* sent, not answered */
	unsigned int n_out;
	uint64_t born_ns;
	unsigned int failures; /* deaths right after birth, in a row */
	struct rlimit files;   /* RLIMIT_NOFILE that it and its keepers start with */
};

/* Starts it; afterwards launcher_watch() takes up its answers. */
int launcher_start(struct engine *e, struct err *err);
void launcher_watch(struct engine *e);
void launcher_fini(struct engine *e);
/* Sends what is queued and can go. */
void launcher_flush(struct engine *e);
