/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * run - an engine from its start to its end
 *
 * In this order: directories, the lock that keeps a second engine away, the log,
 * the launcher (before anything grows), the journal, recovery, the socket, and
 * then the word that it is ready. SIGTERM and SIGINT end it and leave commands
 * running; SIGHUP opens the log anew.
 */

#include "../base/err.h"

struct options;

/* 0 once it was told to end. */
int engine_run(const struct options *o, struct err *err);
