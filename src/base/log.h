/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * log - lines on stderr, from programs only
 *
 * Libraries report (err.h); a program logs, once. A line is
 * "2026-01-31T23:59:59.123Z proctord: warning: text", or "<4>text" under
 * systemd's journal (JOURNAL_STREAM, sd-daemon(3)). Control characters in the
 * text are printed as '?', so that no peer can forge a line. Nothing secret.
 */

#include "macro.h"

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG,
};

void log_open(const char *program, enum log_level level);
void log_line(enum log_level level, const char *fmt, ...) PRINTF(2, 3);

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)
