/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * compile - from principal, profile, workspace and command to a plan
 *
 * Policy ends here: what comes out is a list of steps that launcher and keeper
 * execute without knowing why. The prepare plan depends on principal, profile,
 * workspace and mode only, so that a keeper can be made ahead of need; its hash
 * tells which commands it will fit. Nothing falls back: a layer is in the plan,
 * or the profile does not ask for it, or compiling fails with ERR_UNSUPPORTED. Only a
 * limit that a profile has of itself stays out without a cgroup, if the profile lists
 * that as optional; the record says why.
 *
 * Builds with fault injection take PROCTOR_LEAVE_OUT="landlock,seccomp": steps of
 * these names are in no plan, and the record calls their layers left out. Of the
 * namespaces single ones can be named: "namespaces.network", and user, pid, ipc, uts,
 * cgroup. So a test can show that a layer alone refuses what others would refuse as
 * well.
 *
 * The host is looked at (which system directories there are, is there a bash)
 * but nothing is opened or changed.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../base/err.h"
#include "../base/id.h"
#include "../plan/plan.h"
#include "../sys/cgroup.h"
#include "ceiling.h"
#include "limits.h"
#include "principal.h"
#include "profile.h"
#include "shown.h"
#include "spec.h"

/* Whom a command of root runs as: no account of the host has this number. */
#define COMPILE_ROOT_UID 60900u

enum compile_mode {
	COMPILE_FRESH,	/* a command with a sandbox of its own */
	COMPILE_HOLDER, /* a named sandbox: prepare only */
	COMPILE_JOIN,	/* a command in a named sandbox; slot SLOT_HOLDER is needed */
};

#define ISOLATION_LAYERS 16

struct isolation_layer {
	const char *name;
	bool applied;
	const char *why;  /* if not applied; static text */
	const char *note; /* if applied: more about it, or NULL; static text */
};

/* For records. In words what the plan has. */
struct isolation {
	enum backend backend;
	size_t n;
	struct isolation_layer layer[ISOLATION_LAYERS];
	uint64_t plan_hash; /* of the prepare plan */
};

struct compile_args {
	const struct principal *who;
	const struct profile *profile;
	const struct workspace *workspace; /* path NULL = none */
	enum compile_mode mode;
	uid_t engine_uid; /* what the engine runs as: geteuid() */
	/*
	 * The engine's own directories, real paths or NULL: a sandbox that showed
	 * one would show the sockets by which its commands could order others.
	 */
	const char *private_dirs[2];
	const struct cgroups *cgroups; /* in which groups can be made; or NULL */

	const char *path; /* the caller's PATH, if the profile takes it; or NULL */

	/* for the commit plan */
	const struct command_spec *spec;
	const struct limits *ceiling; /* or NULL */
	const struct id *id;
	const struct id *boot_id;
	char *const *caller_env; /* what env_pass picks from; NULL-terminated, or NULL */
};

/* What a group of the command's own has to limit. 0 = nothing. */
struct compiled_cgroup {
	uint64_t memory_bytes;
	uint64_t processes;
	const char *absent; /* why a limit of the profile's was left out; or NULL */
};

/* What the request came to, for the record. */
struct compiled {
	struct plan_builder prepare;
	struct plan_builder commit;
	struct isolation isolation;
	struct limits limits; /* in force */
	uint64_t timeout_ms;  /* in force; 0 = none */
	struct compiled_cgroup cgroup;
	char *cgroup_path; /* of the group that was made for it, or NULL */
	char *cwd;	   /* absolute, as the command sees it */
	char *shell;	   /* that runs it, or NULL with argv */
	/*
	 * What there is at the time counts, of things that anybody may rename meanwhile:
	 * not to be executed ahead of need.
	 */
	bool as_found;
};

/* Both plans; of COMPILE_HOLDER only the first. Stages are fields of the request. */
int compile(const struct compile_args *a, struct compiled *ret, struct err *err);
/* Each alone. *ret must be zero, or hold what the other one made. */
int compile_prepare(const struct compile_args *a, struct compiled *ret, struct err *err);
int compile_commit(const struct compile_args *a, struct compiled *ret, struct err *err);

/*
 * What such a sandbox has of the host beside system directories and workspace, as far as
 * it exists and is the principal's to see. Nothing for the host backend.
 */
int compile_shown(const struct compile_args *a, struct shown_list *ret, struct err *err);

void compiled_fini(struct compiled *c); /* and zeroed again */

static inline void compiled_fini_p(struct compiled *c)
{
	compiled_fini(c);
}
