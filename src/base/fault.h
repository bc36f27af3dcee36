/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * fault - places where a test may have a program die
 *
 * Only in builds with -Dfault-injection=true; elsewhere fault_point() is empty.
 * PROCTOR_FAULT="exec:3" makes the process kill itself with SIGKILL the third
 * time it passes fault_point("exec"). The points of the engine are intent,
 * launch, exec, running, exit and reply.
 */

#ifdef PROCTOR_FAULT_INJECTION
void fault_point(const char *name);
#else
static inline void fault_point(const char *name)
{
	(void)name;
}
#endif
