/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * principal - who asks, and what he may do to whom
 *
 * Today a principal is a user of the machine, known by the peer credentials of
 * his connection. Every object keeps a reference to its owner, and the question
 * "may he?" is answered by principal_may() alone, so that trees of agents can
 * come without touching an operation.
 *
 * A uid that the user database does not know is a principal too: named "#uid",
 * at home in "/", with /bin/sh. Builds with fault injection take PROCTOR_TEST_HOME for
 * everybody's home.
 */

#include <stdbool.h>
#include <sys/types.h>

#include "../base/cleanup.h"
#include "../base/err.h"

struct principal {
	unsigned int refs;
	uid_t uid;
	gid_t gid; /* his primary group */
	char *name;
	char *home;  /* absolute, without a slash at its end unless it is "/" */
	char *shell; /* absolute */
};

enum access {
	ACCESS_SEE,   /* list, stats, wait, read */
	ACCESS_TOUCH, /* write, signal, kill, resize, release, attach with input */
};

/* gid counts only if the user database does not know uid. One reference. */
int principal_new(struct principal **ret, uid_t uid, gid_t gid, struct err *err);

struct principal *principal_ref(struct principal *p);
void principal_unref(struct principal *p); /* accepts NULL */
DEFINE_CLEANUP(struct principal *, principal_unref);

/* The one function that decides. The answer to a "no" is ERR_NOT_FOUND. */
bool principal_may(const struct principal *who, enum access what,
		   const struct principal *owner);
