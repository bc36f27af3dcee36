/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * launcher - clones keepers, from a process so small that clone is cheap
 *
 * Started by the engine before that grows, with its end of a SOCK_SEQPACKET pair
 * as descriptor 3 and the state directory as argument. It outlives a dead engine
 * until its last keeper is reaped. Its signals are blocked, so that only SIGKILL
 * ends it; keepers go on without it. Messages: src/plan/proto.h.
 */

#define LAUNCHER_FD 3

int launcher_main(const char *state_dir);
