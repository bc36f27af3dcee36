/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * spec - what one command is to be, apart from the isolation it runs in
 *
 * Filled by the operation from its decoded parameters; borrows all its strings.
 * Arrays of strings need no NULL at the end.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../box/format.h"
#include "../plan/plan.h"
#include "limits.h"

struct command_spec {
	const char *command; /* for a shell; or NULL, and then argv */
	char *const *argv;
	size_t argc;
	const char *shell; /* NULL = bash if there, else sh */
	bool login;
	const char *cwd;  /* NULL = the workspace */
	char *const *env; /* "NAME=value", checked here; the last one of a name counts */
	size_t envc;
	const char *trace_id; /* 32 lower-case hex digits, or NULL */

	enum stdio_kind stdio[3]; /* not STDIO_PTY: that is `pty` */
	bool pty;
	uint16_t cols, rows; /* 0 = 80 x 24 */

	uint64_t timeout_ms; /* 0 = the profile's */
	uint64_t grace_ms;
	struct limits limits;

	enum box_capture capture; /* ignored with pty */
	enum box_overflow overflow;
	uint64_t ring_bytes; /* multiple of 4096; 0 = default */
	bool leftover_kill;
	bool disconnect_kill;
};
