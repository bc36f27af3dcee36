/* SPDX-License-Identifier: Apache-2.0 */

#include "compile.h"

#include <stdlib.h>
#include <string.h>

#include "../base/cleanup.h"
#include "../base/macro.h"
#include "compile-parts.h"
#include "shown.h"

static int check_private(const struct compile_args *a, const char *ws, struct err *err)
{
	for (size_t i = 0; native(a) && ws && i < ARRAY_SIZE(a->private_dirs); i++)
		if (a->private_dirs[i] && path_overlap(ws, a->private_dirs[i]))
			return err_set(
				err, ERR_DENIED, "workspace", 0,
				"the workspace \"%.120s\" and proctor's own \"%.120s\" "
				"lie in each other: a command could reach the engine; "
				"choose a narrower workspace, or move the other one with "
				"PROCTOR_STATE_DIR and PROCTOR_RUNTIME_DIR",
				ws, a->private_dirs[i]);
	return 0;
}

int compile_check(const struct compile_args *a, struct err *err)
{
	const char *ws = workspace_path(a);

	if (a->engine_uid != 0 && a->who->uid != a->engine_uid)
		return err_set(err, ERR_UNSUPPORTED, "profile", 0,
			       "an engine that is not root's runs commands of its own "
			       "user only");
	/*
	 * Without namespaces a keeper is a child of the launcher as it is: it would
	 * run the command with the engine's rights.
	 */
	if (!native(a) && a->who->uid != a->engine_uid)
		return err_set(err, ERR_UNSUPPORTED, "profile", 0,
			       "an engine of root has profile \"%s\" for root only; use "
			       "a native "
			       "profile, or an engine of your own",
			       a->profile->name);
	if (!native(a) && a->mode != COMPILE_FRESH)
		return err_set(
			err, ERR_UNSUPPORTED, "sandbox", 0,
			"profile \"%s\" has the host backend, which has no sandboxes",
			a->profile->name);
	if (native(a) && ws && strcmp(ws, "/") == 0)
		return err_set(err, ERR_DENIED, "workspace", 0,
			       "\"/\" cannot be the workspace of a sandbox");
	return check_private(a, ws, err);
}

int compile(const struct compile_args *a, struct compiled *ret, struct err *err)
{
	CLEANUP(compiled_fini) struct compiled c = { 0 };
	int r;

	/* What the request gets wrong is told before what the machine cannot do. */
	if (a->mode != COMPILE_HOLDER) {
		r = compile_commit(a, &c, err);
		if (r < 0)
			return r;
	}
	r = compile_prepare(a, &c, err);
	if (r < 0)
		return r;
	*ret = c;
	memset(&c, 0, sizeof(c));
	return 0;
}

void compiled_fini(struct compiled *c)
{
	plan_builder_fini(&c->prepare);
	plan_builder_fini(&c->commit);
	free(c->cwd);
	free(c->shell);
	free(c->cgroup_path);
	memset(c, 0, sizeof(*c));
}
