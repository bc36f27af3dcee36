/* SPDX-License-Identifier: Apache-2.0 */

#include "masks.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "../base/buf.h"
#include "../base/cleanup.h"
#include "../base/macro.h"

#define GIT ".git/"

bool masks_any(const struct profile *p)
{
	return p->mask_read_only[0] || p->mask_hide[0];
}

/* Absolute in the sandbox. */
static void add_path(const struct masks_args *a, const char *path, bool hide,
		     struct plan_builder *b)
{
	const struct step_mask step = { .hide = hide };
	size_t base = (size_t)(strrchr(path, '/') - path);
	char dir[PATH_MAX] = "/";

	if (a->workspace && path_within(path, a->workspace) && path[strlen(a->workspace)])
		base = strlen(a->workspace);
	for (size_t i = 0; i < a->shown->n; i++) {
		const char *w = a->shown->v[i].target;

		if (a->shown->v[i].write && path_within(path, w) && path[strlen(w)])
			base = strlen(w);
	}
	if (base > 0)
		(void)snprintf(dir, sizeof(dir), "%.*s", (int)base, path);
	plan_add(b, STEP_MASK, &step, sizeof(step));
	plan_add_text(b, dir);
	plan_add_text(b, path + base + 1);
}

static int add_below(const struct masks_args *a, const char *dir, const char *below,
		     bool hide, struct plan_builder *b, struct err *err)
{
	CLEANUP(buf_fini) struct buf path = { 0 };

	buf_addf(&path, "%s/%s", dir, below);
	if (!buf_ok(&path))
		return err_set(err, ERR_UNAVAILABLE, "plan", ENOMEM, "masks");
	if (path.len >= PATH_MAX)
		return err_set(err, ERR_INVALID_INPUT, "workspace", 0,
			       "the path of the mask \"%.120s\" is too long", below);
	add_path(a, path.data, hide, b);
	return 0;
}

static int add_entry(const struct masks_args *a, const char *entry, bool hide,
		     struct plan_builder *b, struct err *err)
{
	const char *common = a->worktree->common;
	int r = 0;

	if (entry[0] == '/')
		add_path(a, entry, hide, b);
	else if (entry[0] == '~')
		r = add_below(a, a->home, entry + 2, hide, b, err);
	else if (a->workspace)
		r = add_below(a, a->workspace, entry, hide, b, err);
	/* What .git would have: it is a file there. */
	if (r == 0 && common && strncmp(entry, GIT, strlen(GIT)) == 0)
		r = add_below(a, common, entry + strlen(GIT), hide, b, err);
	return r;
}

/* By these git finds its way: a command could lead it to hooks and settings of its own.
 */
static int add_worktree(const struct masks_args *a, struct plan_builder *b,
			struct err *err)
{
	static const char *const files[] = { "commondir", "gitdir", "config.worktree" };
	int r = add_below(a, a->workspace, ".git", false, b, err);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(files); i++)
		r = add_below(a, a->worktree->own, files[i], false, b, err);
	return r;
}

void masks_add_worktrees(const struct masks_args *a, struct plan_builder *b)
{
	const struct step_mask step = { .hide = 0 };

	plan_add(b, STEP_MASK, &step, sizeof(step));
	plan_add_text(b, a->worktree->common);
	plan_add_text(b, "worktrees");
}

int masks_add(const struct masks_args *a, struct plan_builder *b, struct err *err)
{
	const struct profile *p = a->profile;
	int r = 0;

	if (a->worktree->common)
		r = add_worktree(a, b, err);
	for (size_t i = 0; r == 0 && p->mask_read_only[i]; i++)
		r = add_entry(a, p->mask_read_only[i], false, b, err);
	for (size_t i = 0; r == 0 && p->mask_hide[i]; i++)
		r = add_entry(a, p->mask_hide[i], true, b, err);
	return r;
}
