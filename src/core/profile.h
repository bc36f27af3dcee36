/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * profile - named answers to "in what isolation, with what environment?"
 *
 * A fixed table (profile.c) with two entries: "default", the native sandbox, and
 * "trusted-host", which is no sandbox at all. A profile is immutable and lives
 * as long as the program.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../base/err.h"
#include "limits.h"

enum backend { BACKEND_NATIVE, BACKEND_HOST };

struct profile {
	const char *name;
	const char *doc; /* one sentence */
	enum backend backend;
	const char *const
		*read; /* top-level directories shown read-only; NULL at the end */
	const char *const
		*env_pass;     /* names taken over from the caller; "LC_*" is a prefix */
	bool path_from_caller; /* his PATH in place of the default one */
	struct limits limits;
	uint64_t timeout_ms;	 /* 0 = none */
	uint64_t scratch_inodes; /* of the private tmpfs */
};

#define PROFILE_DEFAULT "default"

/* NULL for a name that is none. profile_at() gives NULL behind the last one. */
const struct profile *profile_find(const char *name);
const struct profile *profile_at(size_t n);
size_t profile_index(const struct profile *p);

const char *backend_name(enum backend b); /* "native", "host" */

/* Whether the profile takes the variable NAME over from the caller. */
bool profile_passes(const struct profile *p, const char *name, size_t len);

/* Size of the private tmpfs: 1 GiB, or a quarter of the memory if that is less. */
uint64_t profile_scratch_bytes(const struct profile *p);

/*
 * Whether a caller may set this variable ("NAME=value"). ERR_INVALID_INPUT for
 * what is no name, ERR_DENIED for what loaders, shells and interpreters run code
 * from (LD_*, BASH_ENV, NODE_OPTIONS ...) and for PROCTOR_*; stage "env.NAME".
 */
int profile_env_check(const char *assignment, struct err *err);
