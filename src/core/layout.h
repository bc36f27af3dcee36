/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * layout - what lies where in the root of a native sandbox
 *
 * The root itself is read-only and shared: system directories of the host, empty
 * mount points, device nodes (STEP_ROOT). All that is writable but the workspace
 * is one private tmpfs, the scratch: a directory /a/b of the sandbox is a/b in
 * the scratch, and its top (/a, or /dev/shm) is bound from there. So also the
 * mount points of home and workspace are made without touching the root:
 *
 *	/usr/src/x	exists on the host within a system directory: nothing to make
 *	/src		an empty directory of the root
 *	/tmp/x, /home/u/p, /data/main
 *			made in the scratch, below /tmp, /home, /work
 *
 * What else the profile shows has its parents made in the same way; its own mount point
 * is the keeper's, who knows whether it is a file.
 *
 * Landlock says the same a second time, and is narrower in one place: of a top such
 * as /home or /data only home and workspace can be written to. Names of directories
 * can be listed anywhere; a rule holds for all that is below, and "/" must be seen.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../base/err.h"
#include "../plan/plan.h"
#include "principal.h"
#include "profile.h"
#include "shown.h"

struct layout_dir {
	char *path; /* absolute in the sandbox */
	size_t len;
	uint32_t mode;
};

struct layout {
	const struct profile *profile;
	struct layout_dir *dirs; /* of the scratch, parents first */
	size_t n_dirs, cap_dirs;
	char **binds; /* directories of the scratch to be seen at their place */
	size_t n_binds, cap_binds;
	char **tops; /* mount points of the root besides the usual ones */
	size_t n_tops, cap_tops;
	bool bad; /* no memory */
};

/* A path of names only, beginning with a slash: it can be made in the scratch. */
bool layout_is_plain(const char *path);
/* And one that a profile may name: not "/", /proc, /sys, /dev, nor what is in them. */
bool layout_may_show(const char *path);
/* It lies in, or is, a system directory of the profile. */
bool layout_is_system(const struct profile *p, const char *path);

/*
 * The home of `who` in a sandbox: his own path if that can be a private
 * directory, else one below /home. NULL without memory.
 */
char *layout_home(const struct profile *profile, const struct principal *who,
		  const char *name);

/* home as layout_home() gives it; workspace is a real path or NULL. */
int layout_init(struct layout *l, const struct profile *profile, const char *home,
		const char *workspace, const struct shown_list *shown, struct err *err);
void layout_fini(struct layout *l);

static inline void layout_fini_p(struct layout *l)
{
	layout_fini(l);
}

/* STEP_ROOT. passwd and group are contents for /etc, or NULL for the host's. */
int layout_add_root(const struct layout *l, const char *passwd, const char *group,
		    struct plan_builder *b, struct err *err);
/* STEP_LANDLOCK_RULEs; home, workspace and shown as for layout_init(). */
void layout_add_rules(const struct profile *profile, const char *home,
		      const char *workspace, const struct shown_list *shown,
		      struct plan_builder *b);
/* STEP_SCRATCH, its STEP_DIRs and STEP_BINDs. */
void layout_add_scratch(const struct layout *l, struct plan_builder *b);
