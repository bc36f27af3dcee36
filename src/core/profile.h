/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * profile - named answers to "in what isolation, with what environment?"
 *
 * A profile is a file (profile-file.h): proctor brings some along (profiles/, built
 * into the engine), and files of the administrator and of the user take their place
 * (profiles.h). It is immutable. One that was replaced stays where it is as long as
 * the program runs, since commands, sandboxes and connections point to it: what a
 * person edits by hand is little.
 *
 * A name has the same number for ever, so that a set of names is a set of bits.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../base/err.h"
#include "limits.h"

#define PROFILE_DEFAULT "default"
#define PROFILES_MAX 32u
#define PROFILE_NAME_MAX 64

enum backend { BACKEND_NATIVE, BACKEND_HOST };
enum network { NETWORK_NONE, NETWORK_HOST };

/* The beginning of an argv. */
struct argv_prefix {
	char **word; /* NULL at the end; at least one */
};

struct profile {
	const char *name;
	const char *doc;	      /* one sentence */
	const char *origin;	      /* its file, or "built in" */
	const char *text;	      /* of the file, all of it */
	unsigned int index;	      /* profile_index() */
	const struct profile *before; /* of that name, out of force now, or NULL */
	enum backend backend;
	enum network network;
	/* Lists have a NULL at the end. */
	/* Taken back from what can be written: also paths below the workspace, "a/b". */
	const char *const *mask_read_only, *const *mask_hide;
	const char *const *read;     /* shown read-only: absolute, or "~/x" */
	const char *const *write;    /* and to be written */
	const char *const *top;	     /* those of read that are top-level directories */
	const char *const *env_pass; /* taken from the caller; "LC_*" is a prefix */
	const char *const *env_set;  /* "NAME=value" */
	bool worktree; /* of a workspace that is one, the repository is shown as well */
	bool path_from_caller;			/* his PATH in place of the default one */
	const struct argv_prefix *allow, *deny; /* word NULL at the end */
	struct limits limits;
	bool cgroup_optional;	 /* a limit of its own that needs one may stay out */
	uint64_t timeout_ms;	 /* 0 = none */
	uint64_t scratch_inodes; /* of the private tmpfs */
};

/* NULL for a name that is none, or whose file is bad: profile_get() says which. */
const struct profile *profile_find(const char *name);
/* ERR_NOT_FOUND, or ERR_UNAVAILABLE with what is wrong with its file. */
int profile_get(const char *name, const struct profile **ret, struct err *err);
/*
 * For a sandbox that outlives its profile: the last one of that name, or one that
 * stands in for it and is not in force. NULL for what is no name.
 */
const struct profile *profile_of_old(const char *name);
/* For n < PROFILES_MAX; NULL where there is none. */
const struct profile *profile_at(size_t n);
size_t profile_index(const struct profile *p);
/* Whether the name, which need not have a profile now, is in that set of numbers. */
bool profile_may(uint32_t set, const char *name);

const char *backend_name(enum backend b); /* "native", "host" */
const char *network_name(enum network n); /* "none", "host" */

/* Whether the profile takes the variable NAME over from the caller. */
bool profile_passes(const struct profile *p, const char *name, size_t len);

/*
 * Whether it lets this argv run; program is argv[0], or the shell that runs a text.
 * ERR_DENIED, stage "argv" or "command", with the rule.
 */
int profile_command_check(const struct profile *p, const char *stage, const char *program,
			  const char *const *rest, size_t n_rest, struct err *err);

/* Size of the private tmpfs: 1 GiB, or a quarter of the memory if that is less. */
uint64_t profile_scratch_bytes(const struct profile *p);

/*
 * Whether a caller may set this variable ("NAME=value"). ERR_INVALID_INPUT for
 * what is no name, ERR_DENIED for what loaders, shells and interpreters run code
 * from (LD_*, BASH_ENV, NODE_OPTIONS ...) and for PROCTOR_*; stage "env.NAME".
 */
int profile_env_check(const char *assignment, struct err *err);
