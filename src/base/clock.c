/* SPDX-License-Identifier: Apache-2.0 */

#include "clock.h"

#include <stdio.h>

uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	if (clock_gettime(clock, &ts) < 0)
		return 0;
	return (uint64_t)ts.tv_sec * NS_PER_SEC + (uint64_t)ts.tv_nsec;
}

char *clock_rfc3339(uint64_t wall_ns, char buf[static CLOCK_TEXT])
{
	time_t sec = (time_t)(wall_ns / NS_PER_SEC);
	struct tm tm = { 0 };
	char date[24];

	(void)gmtime_r(&sec, &tm);
	(void)strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(buf, CLOCK_TEXT, "%s.%03uZ", date,
		       (unsigned int)(wall_ns / NS_PER_MS % 1000));
	return buf;
}
