/* SPDX-License-Identifier: Apache-2.0 */

/* The sandbox, by principal, profile, workspace and mode only. */

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "../base/buf.h"
#include "../base/cleanup.h"
#include "../base/macro.h"
#include "../sys/landlock.h"
#include "compile-parts.h"
#include "layout.h"
#include "leave-out.h"
#include "masks.h"
#include "shown.h"
#include "worktree.h"

#define ALL_NAMESPACES                                                                   \
	((uint32_t)CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC |           \
	 CLONE_NEWUTS | CLONE_NEWNET | CLONE_NEWCGROUP)

#define HOSTNAME "proctor"

#define PASSWD(id)                                                                       \
	"root:x:0:0:root:/nonexistent:/usr/sbin/nologin\n" ROOT_NAME ":x:" id ":" id     \
	":" ROOT_NAME ":%s:/bin/sh\n"                                                    \
	"nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
#define GROUP(id) "root:x:0:\n" ROOT_NAME ":x:" id ":\nnogroup:x:65534:\n"
#define ROOT_UID_TEXT "60900"

static int find_landlock(int *ret_abi, struct err *err)
{
	int abi = landlock_abi();

	if (abi == -EPROTO)
		return err_set(
			err, ERR_UNSUPPORTED, "landlock", 0,
			"the kernel has Landlock of ABI 1, under which no file can "
			"be renamed from one directory to another; needed is ABI "
			"%d: run Linux 5.19 or newer",
			LANDLOCK_ABI_LEAST);
	if (abi < 0)
		return err_set(err, ERR_UNSUPPORTED, "landlock", -abi,
			       "the kernel offers no Landlock "
			       "(landlock_create_ruleset): run Linux 5.19 or newer with "
			       "CONFIG_SECURITY_LANDLOCK, and \"landlock\" in its lsm= "
			       "list");
	*ret_abi = abi;
	return 0;
}

/* Last of all: rules are found by paths as the command will see them. */
static void add_landlock_rules(const struct compile_args *a, const char *home,
			       const struct shown_list *shown, int abi,
			       struct plan_builder *b)
{
	const struct step_u32 rules = { .v = (uint32_t)abi };

	plan_add(b, STEP_LANDLOCK_RULES, &rules, sizeof(rules));
	layout_add_rules(a->profile, home, workspace_path(a), shown, b);
}

static void add_owner(const struct compile_args *a, struct plan_builder *b)
{
	struct step_owner owner = { a->who->uid, a->who->gid };

	if (native(a) && is_root(a))
		owner = (struct step_owner){ COMPILE_ROOT_UID, COMPILE_ROOT_UID };
	plan_add(b, STEP_OWNER, &owner, sizeof(owner));
}

static void add_idmap(const struct compile_args *a, struct plan_builder *b)
{
	struct step_idmap map = { a->who->uid, a->who->gid };

	if (is_root(a))
		map = (struct step_idmap){ COMPILE_ROOT_UID, COMPILE_ROOT_UID };
	plan_add(b, STEP_IDMAP, &map, sizeof(map));
}

static void add_workspace(const struct compile_args *a, struct plan_builder *b)
{
	const struct workspace *w = a->workspace;
	const struct step_workspace step = {
		.dev = w->dev,
		.ino = w->ino,
		.disk_uid = w->uid,
		.disk_gid = w->gid,
		.idmap = is_root(a),
	};

	plan_add(b, STEP_WORKSPACE, &step, sizeof(step));
	plan_add_text(b, w->path);
	plan_add_text(b, w->path);
}

/* Of root's own files those that anybody may read: they are nobody's in the sandbox. */
static void add_show(const struct compile_args *a, const struct shown *s,
		     struct plan_builder *b)
{
	const struct step_show step = {
		.read_only = !s->write,
		.privileged = is_root(a),
		.idmap = is_root(a) && s->write,
		.trusted = s->trusted,
		.uid = a->who->uid,
	};

	plan_add(b, STEP_SHOW, &step, sizeof(step));
	plan_add_text(b, s->source);
}

/* The workspace among the others: what lies in another comes after it. */
static void add_mounts(const struct masks_args *m, struct plan_builder *b)
{
	const struct step_mount mount = { { 0 } };
	const struct shown_list *shown = m->shown;
	const char *ws = m->workspace;
	bool mounted = !ws;

	for (size_t i = 0; i <= shown->n; i++) {
		const struct step_u32 nth = { .v = (uint32_t)i };

		if (!mounted && (i == shown->n || strcmp(ws, shown->v[i].target) < 0)) {
			plan_add(b, STEP_MOUNT, &mount, sizeof(mount));
			plan_add_text(b, ws);
			mounted = true;
		}
		if (i == shown->n)
			break;
		plan_add(b, STEP_SHOWN, &nth, sizeof(nth));
		plan_add_text(b, shown->v[i].target);
		/* Before the workspace's own is mounted in there, which is not masked. */
		if (m->worktree->common &&
		    strcmp(shown->v[i].target, m->worktree->common) == 0)
			masks_add_worktrees(m, b);
	}
}

static int prepare_sandbox(const struct compile_args *a, const struct masks_args *m,
			   struct plan_builder *b, struct err *err)
{
	const struct shown_list *shown = m->shown;
	const char *home = m->home;
	CLEANUP(layout_fini) struct layout l = { 0 };
	CLEANUP(buf_fini) struct buf passwd = { 0 };
	const struct step_namespaces ns = { .flags = ALL_NAMESPACES };
	const char *ws = workspace_path(a);
	int r;

	r = layout_init(&l, a->profile, home, ws, shown, err);
	if (r < 0)
		return r;
	buf_addf(&passwd, PASSWD(ROOT_UID_TEXT), home);
	if (!buf_ok(&passwd))
		return err_set(err, ERR_UNAVAILABLE, "plan", ENOMEM, "passwd");

	plan_add(b, STEP_NAMESPACES, &ns, sizeof(ns));
	add_owner(a, b);
	r = layout_add_root(&l, is_root(a) ? passwd.data : NULL,
			    is_root(a) ? GROUP(ROOT_UID_TEXT) : NULL, b, err);
	if (r < 0)
		return r;
	if (ws)
		add_workspace(a, b);
	for (size_t i = 0; i < shown->n; i++)
		add_show(a, &shown->v[i], b);
	add_idmap(a, b);
	plan_add(b, STEP_HOSTNAME, NULL, 0);
	plan_add_text(b, HOSTNAME);
	plan_add(b, STEP_LOOPBACK, NULL, 0);
	plan_add(b, STEP_ATTACH, NULL, 0);
	layout_add_scratch(&l, b);
	add_mounts(m, b);
	plan_add(b, STEP_DEVPTS, NULL, 0);
	plan_add(b, STEP_PROC, NULL, 0);
	r = masks_add(m, b, err);
	plan_add(b, STEP_PIVOT, NULL, 0);
	return r;
}

static int prepare_join(const struct compile_args *a, const struct masks_args *m,
			struct plan_builder *b, struct err *err)
{
	const struct step_join join = { .flags = ALL_NAMESPACES &
						 ~(uint32_t)CLONE_NEWPID };
	const struct step_namespaces ns = { .flags = CLONE_NEWPID | CLONE_NEWNS };

	plan_add(b, STEP_JOIN, &join, sizeof(join));
	plan_add(b, STEP_NAMESPACES, &ns, sizeof(ns));
	add_owner(a, b);
	plan_add(b, STEP_PROC, NULL, 0);
	return masks_add(m, b, err);
}

static void prepare_host(struct plan_builder *b)
{
	const struct step_namespaces none = { .flags = 0 };

	plan_add(b, STEP_NAMESPACES, &none, sizeof(none));
}

static int collect_shown(const struct compile_args *a, const char *home,
			 struct worktree *w, struct shown_list *ret, struct err *err)
{
	const struct shown_args shows = {
		.profile = a->profile,
		.who = a->who,
		.home = home,
		.workspace = workspace_path(a),
		.worktree = w,
		.path = a->path,
		.private_dirs = a->private_dirs,
		.n_private_dirs = ARRAY_SIZE(a->private_dirs),
	};

	/* Root's commands have the files of the workspace's owner as their own. */
	if (a->profile->worktree && workspace_path(a) &&
	    worktree_find(workspace_path(a), is_root(a) ? a->workspace->uid : a->who->uid,
			  w) < 0)
		return err_set(err, ERR_UNAVAILABLE, "plan", ENOMEM, "worktree");
	return shown_collect(&shows, ret, err);
}

int compile_shown(const struct compile_args *a, struct shown_list *ret, struct err *err)
{
	CLEANUP(worktree_fini) struct worktree w = { NULL, NULL };
	CLEANUP(free) char *home = layout_home(a->profile, a->who, inner_name(a));

	if (!home)
		return err_set(err, ERR_UNAVAILABLE, "plan", ENOMEM, "home");
	return native(a) ? collect_shown(a, home, &w, ret, err) : 0;
}

static int prepare_native(const struct compile_args *a, int abi, struct plan_builder *b,
			  bool *ret_as_found, struct err *err)
{
	CLEANUP(free) char *home = layout_home(a->profile, a->who, inner_name(a));
	CLEANUP(shown_fini) struct shown_list shown = { 0 };
	CLEANUP(worktree_fini) struct worktree w = { NULL, NULL };
	const struct masks_args m = { a->profile, home, workspace_path(a), &shown, &w };
	int r;

	if (!home)
		return err_set(err, ERR_UNAVAILABLE, "plan", ENOMEM, "home");
	r = collect_shown(a, home, &w, &shown, err);
	if (r < 0)
		return r;
	*ret_as_found = masks_any(a->profile) || (a->mode != COMPILE_JOIN && shown.n > 0);
	if (a->mode == COMPILE_JOIN)
		r = prepare_join(a, &m, b, err);
	else
		r = prepare_sandbox(a, &m, b, err);
	/* Who holds a sandbox runs nothing in it. */
	if (r == 0 && a->mode != COMPILE_HOLDER)
		add_landlock_rules(a, home, &shown, abi, b);
	return r;
}

int compile_prepare(const struct compile_args *a, struct compiled *ret, struct err *err)
{
	struct plan_builder b = { .part = PLAN_PREPARE };
	bool as_found = false;
	int abi = 0;
	int r = compile_check(a, err);

	if (r == 0 && native(a))
		r = find_landlock(&abi, err);
	if (r < 0)
		return r;
	if (native(a))
		r = prepare_native(a, abi, &b, &as_found, err);
	else
		prepare_host(&b);
	leave_out(&b);
	plan_finish(&b);
	if (r == 0 && !buf_ok(&b.buf))
		r = err_set(err, ERR_UNAVAILABLE, "plan", ENOMEM, "prepare plan");
	if (r < 0) {
		plan_builder_fini(&b);
		return r;
	}
	plan_builder_fini(&ret->prepare);
	ret->prepare = b;
	ret->as_found = as_found;
	isolation_describe(a, abi, &ret->isolation);
	ret->isolation.plan_hash = plan_hash(&b);
	isolation_describe_cgroup(ret);
	return 0;
}
