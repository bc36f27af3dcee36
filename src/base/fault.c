/* SPDX-License-Identifier: Apache-2.0 */

#include "fault.h"

#ifdef PROCTOR_FAULT_INJECTION

#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "num.h"

void fault_point(const char *name)
{
	static uint64_t passed;
	const char *spec = getenv("PROCTOR_FAULT");
	size_t n = strlen(name);
	uint64_t at;

	if (!spec || strncmp(spec, name, n) != 0 || spec[n] != ':')
		return;
	if (num_parse_u64(spec + n + 1, 1, UINT64_MAX, &at) < 0)
		return;
	if (++passed == at)
		(void)kill(getpid(), SIGKILL);
}

#endif
