/* SPDX-License-Identifier: Apache-2.0 */

#include "say.h"

#include <stdarg.h>
#include <stdio.h>

#include "../op/bus.h"

#define LINE_MAX_BYTES 900

static struct world *listening;

void say_to(struct world *w)
{
	listening = w;
}

void say(enum log_level level, const char *fmt, ...)
{
	struct world *w = listening;
	char line[LINE_MAX_BYTES];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	log_line(level, "%s", line);
	/* What goes wrong while it is passed on is for the log alone. */
	listening = NULL;
	if (w)
		bus_log(w, level, line);
	listening = w;
}
