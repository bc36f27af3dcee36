/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * spawn - starts the caller's own engine, which outlives the caller
 *
 * proctord is looked for beside the running program, in ../bin from there, and
 * where it was installed, never in PATH. It gets a session of its own, "/" as its
 * directory, a clean environment, default signals and no descriptor of the
 * caller's; under a user's systemd also a scope of its own, so that a logout does
 * not end it with the terminal. It says on a descriptor when it listens. A systemd-run
 * that fails, or is not the engine after SCOPE_WAIT_MS, is done without.
 */

#include "../base/err.h"

/* How long an engine that nobody needs stays. */
#define SPAWN_IDLE_EXIT_MS "600000"

/*
 * Returns when the engine listens. ERR_UNAVAILABLE, with the end of what it said,
 * if it does not within CONNECT_WAIT_MS.
 */
int spawn_engine(struct err *err);
