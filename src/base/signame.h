/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * signame - names of signals
 *
 * Any case, with or without "SIG", or a decimal number 1..64; real-time ones as
 * "RTMIN+n". signame_parse() gives -EINVAL for anything else. signame() writes
 * "SIGTERM", "SIGRTMIN+3" or "SIG34" into buf and returns it.
 */

#define SIGNAME_MAX 16

int signame_parse(const char *text);
char *signame(int sig, char buf[static SIGNAME_MAX]);
