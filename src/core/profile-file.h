/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* profile-file - a profile from its text (profiles/default.yaml explains each line) */

#include "profile.h"

/*
 * origin is the file's name, for errors and people. name, origin and text are
 * copied. Errors name file, line and column.
 */
int profile_parse(const char *name, const char *origin, const char *text, size_t len,
		  struct profile **ret, struct err *err);
void profile_free(struct profile *p); /* only one that nobody has seen yet */
