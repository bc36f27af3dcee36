/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * ceiling - the most that a connection may ever ask for
 *
 * Fixed by its hello: a workspace, profiles, operations, limits. Later calls can
 * narrow it, never widen it.
 *
 * A workspace is the directory that is writable. It is opened once, with the
 * principal's rights and not the engine's, and from then on meant by device and
 * inode: the launcher refuses another directory under the same path.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../base/err.h"
#include "limits.h"
#include "principal.h"
#include "profile.h"

struct workspace {
	char *path; /* absolute, real: no link, no "." and ".."; NULL = none */
	int fd;	    /* O_PATH, or -1 */
	uint64_t dev, ino;
	uid_t uid; /* owner on disk */
	gid_t gid;
};

/* What a hello asks for. All may be zero. */
struct ceiling_request {
	const char *workspace; /* absolute; NULL = none: nothing is writable */
	bool by_hand;	       /* "/", a home or a system directory is meant so */
	char *const *profiles; /* n_profiles names; none = "default" */
	size_t n_profiles;
	uint64_t operations;	     /* bit per operation number; 0 = all */
	const struct limits *limits; /* or NULL */
};

struct ceiling {
	struct workspace workspace;
	uint32_t profiles;	     /* bit per profile_index() */
	const struct profile *first; /* of those, the one to use if none is named */
	uint64_t operations;
	struct limits limits;
};

#define CEILING_INIT                                                                     \
	{                                                                                \
		.workspace = {.fd = -1 }                                                 \
	}
#define WORKSPACE_INIT                                                                   \
	{                                                                                \
		.fd = -1                                                                 \
	}

/* Stages of errors are "hello.workspace", "hello.profiles". */
int ceiling_open(struct ceiling *ret, const struct principal *who,
		 const struct ceiling_request *req, struct err *err);
void ceiling_fini(struct ceiling *c);
void workspace_fini(struct workspace *w);

static inline void ceiling_fini_p(struct ceiling *c)
{
	ceiling_fini(c);
}
static inline void workspace_fini_p(struct workspace *w)
{
	workspace_fini(w);
}

bool ceiling_may(const struct ceiling *c, unsigned int operation);

/* name NULL: the first allowed one. ERR_DENIED, stage "profile". */
int ceiling_profile(const struct ceiling *c, const char *name, const struct profile **ret,
		    struct err *err);

/*
 * The workspace of a sandbox: path NULL gives the ceiling's own again (or none),
 * else path must be it or lie below it. ERR_DENIED, stage "workspace".
 */
int ceiling_workspace(const struct ceiling *c, const struct principal *who,
		      const char *path, struct workspace *ret, struct err *err);

/* A second holder of the same directory. */
int workspace_dup(const struct workspace *w, struct workspace *ret, struct err *err);

/*
 * Takes cwd - NULL, relative to base, or absolute and inside base - apart by its
 * text alone and gives the path below base, "" for base itself. `..` that climbs
 * out, or another absolute path, is ERR_INVALID_INPUT with the stage "cwd". What
 * links may do to it is checked by the child, beneath the workspace.
 */
int cwd_below(const char *base, const char *cwd, char **ret, struct err *err);
