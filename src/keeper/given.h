/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * given - what a keeper starts its life with
 *
 * The launcher fills it, clones, and the keeper goes on with its copy. Slots that
 * are not used are -1. given_settle() moves the descriptors to their fixed numbers
 * (GIVEN_FD_BASE + slot, those of the shown behind them) and closes every other one but
 * 0, 1 and 2.
 */

#include <stdint.h>

#include "../base/err.h"
#include "../plan/plan.h"
#include "../plan/proto.h"

#define GIVEN_FD_BASE 3

struct given {
	struct launch_msg msg;
	int fd[SLOT_MAX_];
	int shown[PLAN_SHOW_MAX]; /* detached mounts of STEP_SHOWs; -1: left out */
	int n_shown;
	struct plan prepare; /* mapped */
	uint32_t ns_flags;   /* of STEP_NAMESPACES */
	uint32_t join_flags; /* of STEP_JOIN, 0 = none */
	struct step_owner owner;
	bool has_owner;
	bool root_ready;      /* "/" is the root that STEP_ROOT asks for */
	bool net_ready;	      /* the network namespace is a prepared one, loopback up */
	unsigned int version; /* KEEPER_VERSION, or an older one in tests */
};

/* Each to its number, all others closed. ERR_UNAVAILABLE, ERR_UNSUPPORTED. */
int given_settle(struct given *g, struct err *err);
