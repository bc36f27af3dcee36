/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * connect - a socket to the engine, of which one is started if none runs
 *
 * One engine per user: a lock file in the runtime directory decides who starts
 * it, and everybody else finds it then. The file stays; only its lock counts.
 *
 * The engine's uid must be the caller's or root's: nobody else can stand in for
 * it. Waits are bounded: CONNECT_WAIT_MS for a busy engine or one that starts.
 */

#include <stdbool.h>

#include "../base/err.h"

#define CONNECT_WAIT_MS 15000

/*
 * path NULL: the caller's own engine. *ret is a connected stream socket. If
 * nothing listens and none is to be started: ERR_UNAVAILABLE with sys_errno
 * ENOENT or ECONNREFUSED.
 */
int connect_engine(const char *path, bool autostart, int *ret, struct err *err);
