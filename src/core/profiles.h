/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * profiles - which profiles there are now
 *
 *	the user's	~/.config/proctor/profiles	engines of ordinary users only
 *	the site's	/etc/proctor/profiles
 *	built in	profiles/ of the source
 *
 * A name's first file counts, whole. A file that anybody but root and the engine's
 * user could have written is bad. So is one that does not decode:
 *
 *	a file is ...	at the start		at a reload
 *	good		in force		in force from the next command on
 *	bad		no such profile, and	the one before stays in force
 *			calls are told why
 *	gone		-			the next of the list above, or none
 *
 * Until profiles_load() those that are built in are in force.
 */

#include "../base/err.h"

struct profile_dirs {
	const char *user; /* or NULL */
	const char *site; /* or NULL */
};

/*
 * Reads all files anew. report() is called for each bad one. ERR_UNAVAILABLE if a
 * directory is there and cannot be read: then nothing has changed.
 */
int profiles_load(const struct profile_dirs *dirs,
		  void (*report)(const struct err *bad, void *data), void *data,
		  struct err *err);
