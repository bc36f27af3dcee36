/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * dirs - where state and sockets lie
 *
 *			root			an ordinary user
 *	state		/var/lib/proctor	$XDG_STATE_HOME/proctor, or
 *						~/.local/state/proctor
 *	runtime		/run/proctor		$XDG_RUNTIME_DIR/proctor, or
 *						<state>/run
 *
 *	configuration	none			$XDG_CONFIG_HOME/proctor, or
 *						~/.config/proctor
 *
 * $PROCTOR_STATE_DIR, $PROCTOR_RUNTIME_DIR and $PROCTOR_CONFIG_DIR come first for
 *everybody. A path must be absolute: a relative one of XDG is ignored, as its
 *specification says, one of ours is an error. Nothing is made here but by dirs_make().
 */

#include <limits.h>

#include "err.h"

/* ERR_INVALID_INPUT for a path that cannot be used, ERR_UNAVAILABLE without a home. */
int dirs_state(char buf[static PATH_MAX], struct err *err);
int dirs_runtime(char buf[static PATH_MAX], struct err *err);
/* The user's own; "" for root, who has the system's, and without a home. */
int dirs_config(char buf[static PATH_MAX], struct err *err);

/*
 * Opens the directory, made with its parents where missing (0700), and refuses
 * one that is not the caller's own, open to others, or a symbolic link.
 * ERR_UNAVAILABLE with the path and the cure in the message.
 */
int dirs_make(const char *path, int *ret_fd, struct err *err);

/* The folder that the running program lies in. -errno. */
int dirs_program(char buf[static PATH_MAX]);
