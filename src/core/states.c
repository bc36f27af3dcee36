/* SPDX-License-Identifier: Apache-2.0 */

#include "states.h"

#include "process.h"
#include "sandbox.h"

const char *const process_state_names[] = {
	[PROCESS_STARTING] = "starting", [PROCESS_RUNNING] = "running",
	[PROCESS_EXITED] = "exited",	 [PROCESS_LOST] = "lost",
	[PROCESS_LOST + 1] = NULL,
};

const char *const sandbox_state_names[] = {
	[SANDBOX_STARTING] = "starting", [SANDBOX_RUNNING] = "running",
	[SANDBOX_ENDING] = "destroying", [SANDBOX_GONE] = "destroyed",
	[SANDBOX_LOST] = "lost",	 [SANDBOX_LOST + 1] = NULL,
};
