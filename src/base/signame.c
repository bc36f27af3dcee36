/* SPDX-License-Identifier: Apache-2.0 */

#include "signame.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "num.h"

int signame_parse(const char *text)
{
	uint64_t n;

	if (num_parse_u64(text, 1, 64, &n) == 0)
		return (int)n;
	if (strncasecmp(text, "SIG", 3) == 0)
		text += 3;
	if (strncasecmp(text, "RTMIN+", 6) == 0)
		return num_parse_u64(text + 6, 0, (uint64_t)(SIGRTMAX - SIGRTMIN), &n) ==
				       0 ?
			       SIGRTMIN + (int)n :
			       -EINVAL;
	for (int i = 1; i < 32; i++) {
		const char *name = sigabbrev_np(i);

		if (name && strcasecmp(text, name) == 0)
			return i;
	}
	return -EINVAL;
}

char *signame(int sig, char buf[static SIGNAME_MAX])
{
	const char *name = sigabbrev_np(sig);

	if (name)
		(void)snprintf(buf, SIGNAME_MAX, "SIG%s", name);
	else if (sig >= SIGRTMIN && sig <= SIGRTMAX)
		(void)snprintf(buf, SIGNAME_MAX, "SIGRTMIN+%d", sig - SIGRTMIN);
	else
		(void)snprintf(buf, SIGNAME_MAX, "SIG%d", sig);
	return buf;
}
