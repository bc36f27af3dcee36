/* SPDX-License-Identifier: Apache-2.0 */

#include "log.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "fd.h"

static const char *log_program = "proctor";
static enum log_level log_max = LOG_LEVEL_INFO;
static bool log_journal;

void log_open(const char *program, enum log_level level)
{
	log_program = program;
	log_max = level;
	log_journal = getenv("JOURNAL_STREAM") != NULL;
}

void log_line(enum log_level level, const char *fmt, ...)
{
	static const char *const names[] = { "error", "warning", "info", "debug" };
	static const int priorities[] = { 3, 4, 6, 7 };
	char line[1024], when[CLOCK_TEXT];
	int keep = errno;
	va_list ap;
	size_t n;

	if (level > log_max)
		return;
	if (log_journal)
		(void)snprintf(line, sizeof(line), "<%d>", priorities[level]);
	else
		(void)snprintf(line, sizeof(line),
			       "%s %s: %s: ", clock_rfc3339(clock_wall(), when),
			       log_program, names[level]);
	n = strlen(line);
	va_start(ap, fmt);
	(void)vsnprintf(line + n, sizeof(line) - n - 1, fmt, ap);
	va_end(ap);
	for (char *p = line; *p; p++)
		if (iscntrl((unsigned char)*p))
			*p = '?';
	n = strlen(line);
	line[n] = '\n';
	(void)fd_write_all(STDERR_FILENO, line, n + 1);
	errno = keep;
}
