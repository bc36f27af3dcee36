/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * clock - the three clocks and their units
 *
 * All in nanoseconds as u64. Timers run on CLOCK_MONOTONIC, which stands still
 * while a machine sleeps, so that a closed laptop expires nothing. Ages are
 * told on CLOCK_BOOTTIME, dates on CLOCK_REALTIME.
 */

#include <stdint.h>
#include <time.h>

#define NS_PER_MS ((uint64_t)1000000)
#define NS_PER_SEC ((uint64_t)1000000000)

uint64_t clock_ns(clockid_t clock);

static inline uint64_t clock_mono(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}
static inline uint64_t clock_boot(void)
{
	return clock_ns(CLOCK_BOOTTIME);
}
static inline uint64_t clock_wall(void)
{
	return clock_ns(CLOCK_REALTIME);
}

/* RFC 3339 in UTC with milliseconds, "2026-01-31T23:59:59.123Z". Returns buf. */
#define CLOCK_TEXT 32
char *clock_rfc3339(uint64_t wall_ns, char buf[static CLOCK_TEXT]);
