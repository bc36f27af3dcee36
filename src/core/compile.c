/* SPDX-License-Identifier: Apache-2.0 */

#include "compile.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../base/clock.h"
#include "../base/macro.h"
#include "../sys/landlock.h"
#include "environment.h"
#include "layout.h"
#include "masks.h"
#include "seccomp.h"
#include "shown.h"
#include "worktree.h"

#define ALL_NAMESPACES                                                                   \
	((uint32_t)CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC |           \
	 CLONE_NEWUTS | CLONE_NEWNET | CLONE_NEWCGROUP)

#define HOSTNAME "proctor"

#define NO_LIMIT_OF_A_CGROUP "the command has no limit that needs one"

/* What root is called in a sandbox, where he is not root. */
#define ROOT_NAME "proctor"

#define DRAIN_NS (50 * NS_PER_MS)
#define BLOCK_NS (60 * NS_PER_SEC)
#define UMASK 022u

/* select(2) can take no descriptor beyond; the hard limit is the profile's. */
#define OPEN_FILES_SOFT UINT64_C(1024)

/* Besides the command: the keeper; in a named sandbox its holder too. */
#define KEEPERS_FRESH 1u
#define KEEPERS_JOIN 2u

#define SBIN_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define USER_PATH "/usr/local/bin:/usr/bin:/bin"

#define PASSWD(id)                                                                       \
	"root:x:0:0:root:/nonexistent:/usr/sbin/nologin\n" ROOT_NAME ":x:" id ":" id     \
	":" ROOT_NAME ":%s:/bin/sh\n"                                                    \
	"nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
#define GROUP(id) "root:x:0:\n" ROOT_NAME ":x:" id ":\nnogroup:x:65534:\n"
#define ROOT_UID_TEXT "60900"

static bool native(const struct compile_args *a)
{
	return a->profile->backend == BACKEND_NATIVE;
}

static bool is_root(const struct compile_args *a)
{
	return a->who->uid == 0;
}

/* The name of the principal as his commands are told it. */
static const char *inner_name(const struct compile_args *a)
{
	return native(a) && is_root(a) ? ROOT_NAME : a->who->name;
}

static const char *workspace_path(const struct compile_args *a)
{
	return a->workspace ? a->workspace->path : NULL;
}

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

static int check_args(const struct compile_args *a, struct err *err)
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

/* Prepare */

#ifdef PROCTOR_FAULT_INJECTION
static bool named(const char *name)
{
	const char *names = getenv("PROCTOR_LEAVE_OUT");
	size_t n;

	for (const char *p = names ? names : ""; *p; p += n + (p[n] == ',')) {
		n = strcspn(p, ",");
		if (strlen(name) == n && memcmp(p, name, n) == 0)
			return true;
	}
	return false;
}

static bool left_out(enum plan_step_type type)
{
	return named(plan_step_info(type)->name);
}

/* The mount namespace stays: a keeper that builds mounts must never do so in the host's.
 */
static uint32_t left_out_namespaces(void)
{
	static const struct {
		const char *name;
		uint32_t flag;
	} parts[] = {
		{ "namespaces.user", CLONE_NEWUSER },
		{ "namespaces.pid", CLONE_NEWPID },
		{ "namespaces.ipc", CLONE_NEWIPC },
		{ "namespaces.uts", CLONE_NEWUTS },
		{ "namespaces.network", CLONE_NEWNET },
		{ "namespaces.cgroup", CLONE_NEWCGROUP },
	};
	uint32_t flags = 0;

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		flags |= named(parts[i].name) ? parts[i].flag : 0;
	return flags;
}

/* Flags stand first in both. */
static_assert(offsetof(struct step_namespaces, flags) == 0, "see leave_out()");
static_assert(offsetof(struct step_join, flags) == 0, "see leave_out()");

/* Writes the plan anew without them. */
static void leave_out(struct plan_builder *b)
{
	const struct plan all = { (const unsigned char *)b->buf.data, b->buf.len };
	struct plan_builder kept = { .part = b->part };
	struct plan_step s;

	if (!getenv("PROCTOR_LEAVE_OUT") || !buf_ok(&b->buf))
		return;
	for (size_t at = 0; plan_next(&all, &at, &s) > 0;) {
		struct step_namespaces ns;

		if (left_out(s.type))
			continue;
		if (s.type == STEP_NAMESPACES || s.type == STEP_JOIN) {
			memcpy(&ns, s.payload, sizeof(ns));
			ns.flags &= ~left_out_namespaces();
			s.payload = &ns;
		}
		plan_add(&kept, s.type, s.payload, s.size);
	}
	plan_builder_fini(b);
	*b = kept;
}
#else
static bool left_out(enum plan_step_type type)
{
	(void)type;
	return false;
}

static uint32_t left_out_namespaces(void)
{
	return 0;
}

static void leave_out(struct plan_builder *b)
{
	(void)b;
}
#endif

/* By the step that, if it were not there, would make the layer absent. */
static void add_layer(struct isolation *i, const char *name, enum plan_step_type step,
		      uint32_t namespace, const char *missing)
{
	if (!missing && (left_out(step) || left_out_namespaces() & namespace))
		missing = "left out for a test";
	assert(i->n < ISOLATION_LAYERS);
	i->layer[i->n++] = (struct isolation_layer){ .name = name,
						     .applied = missing == NULL,
						     .why = missing };
}

/* What Landlock refuses depends on how much of it the kernel has. */
static const char *landlock_note(int abi)
{
	static const char *const notes[] = { "abi 2", "abi 3", "abi 4",
					     "abi 5", "abi 6", "abi 7" };

	static_assert(ARRAY_SIZE(notes) == LANDLOCK_ABI_KNOWN - LANDLOCK_ABI_LEAST + 1,
		      "a note for each");
	assert(abi >= LANDLOCK_ABI_LEAST && abi <= LANDLOCK_ABI_KNOWN);
	return notes[abi - LANDLOCK_ABI_LEAST];
}

static void describe(const struct compile_args *a, int abi, struct isolation *ret)
{
	static const struct {
		const char *name;
		enum plan_step_type step;
		uint32_t namespace;
	} by_backend[] = {
		{ "user", STEP_NAMESPACES, CLONE_NEWUSER },
		{ "mount", STEP_NAMESPACES, CLONE_NEWNS },
		{ "pid", STEP_NAMESPACES, CLONE_NEWPID },
		{ "ipc", STEP_NAMESPACES, CLONE_NEWIPC },
		{ "uts", STEP_NAMESPACES, CLONE_NEWUTS },
		{ "network", STEP_NAMESPACES, CLONE_NEWNET },
		{ "cgroup_namespace", STEP_NAMESPACES, CLONE_NEWCGROUP },
		{ "root", STEP_PIVOT, 0 },
		{ "capabilities", STEP_DROP_CAPS, 0 },
		{ "seccomp", STEP_SECCOMP, 0 },
		{ "landlock", STEP_LANDLOCK, 0 },
	};
	const char *missing = native(a) ? NULL : "the profile's backend is host";

	*ret = (struct isolation){ .backend = a->profile->backend };
	for (size_t i = 0; i < ARRAY_SIZE(by_backend); i++)
		add_layer(ret, by_backend[i].name, by_backend[i].step,
			  by_backend[i].namespace, missing);
	if (native(a))
		ret->layer[ret->n - 1].note = landlock_note(abi);
	add_layer(ret, "cgroup", STEP_CGROUP, 0, NO_LIMIT_OF_A_CGROUP);
	add_layer(ret, "no_new_privs", STEP_NO_NEW_PRIVS, 0, NULL);
	add_layer(ret, "rlimits", STEP_RLIMIT, 0, NULL);
}

/* Once both is known: what the plans have, and what this command is limited in. */
static void describe_cgroup(struct compiled *c)
{
	const struct compiled_cgroup *g = &c->cgroup;
	struct isolation_layer *l = NULL;

	for (size_t i = 0; i < c->isolation.n; i++)
		if (strcmp(c->isolation.layer[i].name, "cgroup") == 0)
			l = &c->isolation.layer[i];
	if (!l)
		return;
	l->applied = (g->memory_bytes || g->processes) && !left_out(STEP_CGROUP);
	l->note = g->memory_bytes && g->processes ? "v1 memory, pids" :
		  g->memory_bytes		  ? "v1 memory" :
						    "v1 pids";
	if (l->applied)
		l->why = NULL;
	else if (g->memory_bytes || g->processes)
		l->why = "left out for a test";
	else
		l->why = g->absent ? g->absent : NO_LIMIT_OF_A_CGROUP;
	if (!l->applied)
		l->note = NULL;
}

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
	int r = check_args(a, err);

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
	describe(a, abi, &ret->isolation);
	ret->isolation.plan_hash = plan_hash(&b);
	describe_cgroup(ret);
	return 0;
}

/* Commit */

static bool executable(const char *path)
{
	return path[0] == '/' && access(path, X_OK) == 0;
}

/* For $SHELL. A login shell that only says no is of no use to a command. */
static const char *user_shell(const struct compile_args *a)
{
	static const char *const no_shell[] = { "nologin", "false", "true", "sync" };
	const char *shell = a->who->shell;
	const char *name = strrchr(shell, '/');

	for (size_t i = 0; name && i < ARRAY_SIZE(no_shell); i++)
		if (strcmp(name + 1, no_shell[i]) == 0)
			shell = "";
	if (executable(shell))
		return shell;
	return executable("/bin/bash") ? "/bin/bash" : "/bin/sh";
}

static void set_trace(const struct compile_args *a, struct environment *e)
{
	char parent[64];
	const uint8_t *span = a->id->b;

	if (!a->spec->trace_id)
		return;
	environment_set(e, "PROCTOR_TRACE_ID", a->spec->trace_id);
	/* W3C Trace Context, version 00; the span is the process. */
	(void)snprintf(parent, sizeof(parent),
		       "00-%.32s-%02x%02x%02x%02x%02x%02x%02x%02x-01", a->spec->trace_id,
		       span[0], span[1], span[2], span[3], span[4], span[5], span[6],
		       span[7]);
	environment_set(e, "TRACEPARENT", parent);
}

static int compose_environment(const struct compile_args *a, const char *home,
			       struct environment *e, struct err *err)
{
	const char *path = is_root(a) ? SBIN_PATH : USER_PATH;
	char id[ID_TEXT];
	int r;

	if (a->path && a->path[0] && a->profile->path_from_caller)
		path = a->path;
	environment_set(e, "PATH", path);
	environment_set(e, "HOME", home);
	environment_set(e, "USER", inner_name(a));
	environment_set(e, "LOGNAME", inner_name(a));
	environment_set(e, "SHELL", user_shell(a));
	if (native(a))
		environment_set(e, "TMPDIR", "/tmp");
	if (a->spec->pty)
		environment_set(e, "TERM", "xterm-256color");
	for (size_t i = 0; a->profile->env_set[i]; i++)
		environment_put(e, a->profile->env_set[i]);
	for (size_t i = 0; a->caller_env && a->caller_env[i]; i++) {
		const char *v = a->caller_env[i];

		if (strchr(v, '=') && profile_passes(a->profile, v, strcspn(v, "=")))
			environment_put(e, v);
	}
	for (size_t i = 0; i < a->spec->envc; i++) {
		r = profile_env_check(a->spec->env[i], err);
		if (r < 0)
			return r;
		environment_put(e, a->spec->env[i]);
	}
	environment_set(e, "PROCTOR_ID", id_format(a->id, ID_PROCESS, id));
	set_trace(a, e);
	return environment_finish(e, err);
}

/* $PATH of the command finds nothing but what is asked for: the default has a place. */
static const char *shell_program(const struct command_spec *s)
{
	if (s->shell)
		return s->shell;
	return executable("/bin/bash") ? "/bin/bash" : "/bin/sh";
}

static const char *shell_name(const struct command_spec *s)
{
	const char *program = shell_program(s);

	return s->shell ? program : strrchr(program, '/') + 1;
}

static int check_spec(const struct command_spec *s, struct err *err)
{
	if (s->command && s->argc > 0)
		return err_set(err, ERR_INVALID_INPUT, "command", 0,
			       "give either command or argv, not both");
	if (!s->command && s->argc == 0)
		return err_set(err, ERR_INVALID_INPUT, "command", 0,
			       "give a command for a shell, or argv");
	if (s->argc > 0 && s->argv[0][0] == '\0')
		return err_set(err, ERR_INVALID_INPUT, "argv", 0, "argv[0] is empty");
	if (s->argc > 0 && (s->shell || s->login))
		return err_set(err, ERR_INVALID_INPUT, s->shell ? "shell" : "login", 0,
			       "%s goes with command, not with argv",
			       s->shell ? "shell" : "login");
	if (s->shell && s->shell[0] == '\0')
		return err_set(err, ERR_INVALID_INPUT, "shell", 0, "shell is empty");
	if (s->ring_bytes != 0 &&
	    (s->ring_bytes < BOX_RING_MIN || s->ring_bytes > BOX_RING_MAX ||
	     s->ring_bytes % 4096 != 0))
		return err_set(err, ERR_INVALID_INPUT, "ring_bytes", 0,
			       "ring_bytes is %" PRIu64
			       "; allowed are multiples of 4096 from %" PRIu64
			       " to %" PRIu64,
			       s->ring_bytes, BOX_RING_MIN, BOX_RING_MAX);
	for (size_t i = 0; i < ARRAY_SIZE(s->stdio); i++)
		if (s->stdio[i] > STDIO_SLOT)
			return err_set(err, ERR_INVALID_INPUT, "stdin", 0,
				       "a stream is null, a pipe or a descriptor");
	return 0;
}

/* Of a text it is the shell that is seen; what the text does is not known before. */
static int check_command(const struct compile_args *a, struct err *err)
{
	const struct command_spec *s = a->spec;
	const char *words[3];
	size_t n = 0;

	if (!s->command)
		return profile_command_check(a->profile, "argv", s->argv[0],
					     (const char *const *)s->argv + 1,
					     s->argc - 1, err);
	if (s->login)
		words[n++] = "-l";
	words[n++] = "-c";
	words[n++] = s->command;
	return profile_command_check(a->profile, "command", shell_program(s), words, n,
				     err);
}

/* By somebody else than the profile: that is never left out. */
static bool asked_for(const struct compile_args *a, enum limit_id id)
{
	return limits_has(&a->spec->limits, id) ||
	       (a->ceiling && limits_has(a->ceiling, id));
}

static int group_limit(const struct compile_args *a, enum limit_id id,
		       enum cgroup_controller controller, struct compiled *c,
		       uint64_t *ret, struct err *err)
{
	const struct cgroup_place *at = a->cgroups ? &a->cgroups->at[controller] : NULL;
	const char *why = at ? at->why : "none are used here";
	char stage[ERR_STAGE_MAX];

	if (!limits_has(&c->limits, id))
		return 0;
	if (at && at->usable) {
		*ret = c->limits.v[id];
		return 0;
	}
	if (a->profile->cgroup_optional && !asked_for(a, id)) {
		c->limits.given &= ~(1u << id);
		c->cgroup.absent = why;
		return 0;
	}
	(void)snprintf(stage, sizeof(stage), "limits.%s", limit_name(id));
	return err_set(err, ERR_UNSUPPORTED, stage, 0,
		       "limits.%s needs cgroups (layer cgroup): %s; proctor doctor tells "
		       "more; %s, or start the command without limits.%s",
		       limit_name(id), why,
		       id == LIMIT_PROCESSES ? "use a native profile" :
					       "let root's engine start it",
		       limit_name(id));
}

/*
 * RLIMIT_NPROC counts those of a user in a user namespace: in a sandbox that is all
 * there are, on the host it is more than one command. There a group counts.
 */
static int group_limits(const struct compile_args *a, struct compiled *c, struct err *err)
{
	int r = group_limit(a, LIMIT_MEMORY_BYTES, CGROUP_MEMORY, c,
			    &c->cgroup.memory_bytes, err);

	if (r == 0 && !native(a))
		r = group_limit(a, LIMIT_PROCESSES, CGROUP_PIDS, c, &c->cgroup.processes,
				err);
	return r;
}

static void add_cgroup(const struct compiled_cgroup *g, struct plan_builder *b)
{
	const struct step_cgroup step = { g->memory_bytes, g->processes };

	if (g->memory_bytes || g->processes)
		plan_add(b, STEP_CGROUP, &step, sizeof(step));
}

static void add_record(const struct compile_args *a, struct plan_builder *b)
{
	const struct command_spec *s = a->spec;
	bool discard = !s->pty && s->capture == BOX_CAPTURE_DISCARD;
	const struct step_record record = {
		.id = *a->id,
		.boot_id = *a->boot_id,
		.ring_size = discard	   ? 0 :
			     s->ring_bytes ? s->ring_bytes :
					     BOX_RING_DEFAULT,
		.capture = s->pty ? BOX_CAPTURE_PTY : s->capture,
		.overflow = s->overflow,
		.leftover_kill = s->leftover_kill,
		.disconnect_kill = s->disconnect_kill,
	};

	plan_add(b, STEP_RECORD, &record, sizeof(record));
}

/* Far beyond all limits of the request, and no overflow. */
static uint64_t ns_of(uint64_t ms)
{
	return MIN(ms, UINT64_MAX / NS_PER_MS) * NS_PER_MS;
}

static void add_timers(const struct compile_args *a, const struct limits *l,
		       uint64_t timeout_ms, struct plan_builder *b)
{
	const struct step_timers timers = {
		.timeout = ns_of(timeout_ms),
		.grace = ns_of(a->spec->grace_ms),
		.lifetime = ns_of(l->v[LIMIT_LIFETIME_MS]),
		.idle = ns_of(l->v[LIMIT_IDLE_MS]),
		.drain = DRAIN_NS,
		.block = BLOCK_NS,
		.output_limit = l->v[LIMIT_OUTPUT_BYTES],
	};

	plan_add(b, STEP_TIMERS, &timers, sizeof(timers));
}

static void add_stdio(const struct command_spec *s, struct plan_builder *b)
{
	struct step_stdio stdio = { .cols = s->cols, .rows = s->rows };

	for (size_t i = 0; i < ARRAY_SIZE(stdio.kind); i++)
		stdio.kind[i] = s->pty ? STDIO_PTY : s->stdio[i];
	if (stdio.cols == 0 || stdio.rows == 0) {
		stdio.cols = 80;
		stdio.rows = 24;
	}
	plan_add(b, STEP_STDIO, &stdio, sizeof(stdio));
}

static void add_rlimit(struct plan_builder *b, int resource, uint64_t soft, uint64_t hard)
{
	const struct step_rlimit step = {
		.resource = (uint32_t)resource,
		.soft = MIN(soft, hard),
		.hard = hard,
	};

	plan_add(b, STEP_RLIMIT, &step, sizeof(step));
}

static void add_rlimits(const struct compile_args *a, const struct limits *l,
			struct plan_builder *b)
{
	uint64_t keepers = a->mode == COMPILE_JOIN ? KEEPERS_JOIN : KEEPERS_FRESH;
	bool asked = limits_has(&a->spec->limits, LIMIT_OPEN_FILES);
	const uint64_t *v = l->v;

	if (limits_has(l, LIMIT_CORE_BYTES))
		add_rlimit(b, RLIMIT_CORE, v[LIMIT_CORE_BYTES], v[LIMIT_CORE_BYTES]);
	if (limits_has(l, LIMIT_OPEN_FILES))
		add_rlimit(b, RLIMIT_NOFILE,
			   asked ? v[LIMIT_OPEN_FILES] : OPEN_FILES_SOFT,
			   v[LIMIT_OPEN_FILES]);
	/* SIGXCPU at the soft limit, SIGKILL a second later. */
	if (limits_has(l, LIMIT_CPU_SECONDS))
		add_rlimit(b, RLIMIT_CPU, v[LIMIT_CPU_SECONDS],
			   MIN(v[LIMIT_CPU_SECONDS], UINT64_MAX - 2) + 1);
	if (limits_has(l, LIMIT_FILE_BYTES))
		add_rlimit(b, RLIMIT_FSIZE, v[LIMIT_FILE_BYTES], v[LIMIT_FILE_BYTES]);
	if (native(a) && limits_has(l, LIMIT_PROCESSES)) {
		uint64_t n = MIN(v[LIMIT_PROCESSES], UINT32_MAX) + keepers;

		add_rlimit(b, RLIMIT_NPROC, n, n);
	}
}

/* base, and where below it the command starts. Without a workspace that is its home. */
static int add_cwd(const struct compile_args *a, const char *home, struct plan_builder *b,
		   char **ret_cwd, struct err *err)
{
	const char *ws = workspace_path(a);
	const char *base = ws ? ws : home;
	struct step_cwd step = {
		.dev = ws ? a->workspace->dev : 0,
		.ino = ws ? a->workspace->ino : 0,
	};
	CLEANUP(buf_fini) struct buf full = { 0 };
	CLEANUP(free) char *below = NULL;
	int r;

	r = cwd_below(base, a->spec->cwd, &below, err);
	if (r < 0)
		return r;
	plan_add(b, STEP_CWD, &step, sizeof(step));
	plan_add_text(b, base);
	plan_add_text(b, below);
	buf_addf(&full, "%s%s%s", base, below[0] && strcmp(base, "/") != 0 ? "/" : "",
		 below);
	*ret_cwd = buf_take(&full);
	if (!*ret_cwd)
		return err_set(err, ERR_UNAVAILABLE, "cwd", ENOMEM, "cwd");
	return 0;
}

static int add_seccomp(struct plan_builder *b, struct err *err)
{
	const struct sock_filter *program = NULL;
	size_t n = 0;
	int r = seccomp_program(&program, &n, err);

	if (r < 0)
		return r;
	plan_add(b, STEP_SECCOMP, program, n * sizeof(*program));
	return 0;
}

static void add_exec(const struct command_spec *s, const struct environment *e,
		     struct plan_builder *b)
{
	uint32_t shell_argc = s->login ? 4 : 3;
	const struct step_exec exec = {
		.argc = s->command ? shell_argc : (uint32_t)s->argc,
		.envc = (uint32_t)e->n,
	};

	plan_add(b, STEP_EXEC, &exec, sizeof(exec));
	if (s->command) {
		plan_add_text(b, shell_program(s));
		if (s->login)
			plan_add_text(b, "-l");
		plan_add_text(b, "-c");
		plan_add_text(b, s->command);
	}
	for (size_t i = 0; !s->command && i < s->argc; i++)
		plan_add_text(b, s->argv[i]);
	for (size_t i = 0; i < e->n; i++)
		plan_add_text(b, e->sorted[i]);
}

static int commit_steps(const struct compile_args *a, struct compiled *c, struct err *err)
{
	CLEANUP(environment_fini) struct environment e = { 0 };
	CLEANUP(free) char *home = NULL;
	const struct step_u32 umask = { .v = UMASK };
	struct plan_builder *b = &c->commit;
	int r;

	home = native(a) ? layout_home(a->profile, a->who, inner_name(a)) :
			   strdup(a->who->home);
	if (!home)
		return err_set(err, ERR_UNAVAILABLE, "plan", ENOMEM, "home");
	r = compose_environment(a, home, &e, err);
	if (r < 0)
		return r;

	add_record(a, b);
	add_timers(a, &c->limits, c->timeout_ms, b);
	add_stdio(a->spec, b);
	add_cgroup(&c->cgroup, b);
	plan_add(b, STEP_UMASK, &umask, sizeof(umask));
	add_rlimits(a, &c->limits, b);
	r = add_cwd(a, home, b, &c->cwd, err);
	if (r < 0)
		return r;
	plan_add(b, STEP_NO_NEW_PRIVS, NULL, 0);
	if (native(a)) {
		plan_add(b, STEP_DROP_CAPS, NULL, 0);
		plan_add(b, STEP_LANDLOCK, NULL, 0);
		r = add_seccomp(b, err);
		if (r < 0)
			return r;
	}
	add_exec(a->spec, &e, b);
	leave_out(b);
	if (!buf_ok(&b->buf))
		return err_set(err, ERR_UNAVAILABLE, "plan", ENOMEM, "commit plan");
	return 0;
}

int compile_commit(const struct compile_args *a, struct compiled *ret, struct err *err)
{
	CLEANUP(compiled_fini) struct compiled c = { .commit.part = PLAN_COMMIT };
	int r;

	r = check_args(a, err);
	if (r == 0)
		r = check_spec(a->spec, err);
	if (r == 0)
		r = check_command(a, err);
	if (r == 0)
		r = limits_resolve(&a->profile->limits, a->ceiling, &a->spec->limits,
				   &c.limits, err);
	if (r == 0)
		r = group_limits(a, &c, err);
	if (r < 0)
		return r;
	c.timeout_ms = a->spec->timeout_ms ? a->spec->timeout_ms : a->profile->timeout_ms;
	if (a->spec->command) {
		c.shell = strdup(shell_name(a->spec));
		if (!c.shell)
			return err_set(err, ERR_UNAVAILABLE, "plan", ENOMEM, "shell");
	}
	r = commit_steps(a, &c, err);
	if (r < 0)
		return r;

	plan_builder_fini(&ret->commit);
	free(ret->cwd);
	free(ret->shell);
	ret->commit = c.commit;
	ret->limits = c.limits;
	ret->cgroup = c.cgroup;
	ret->timeout_ms = c.timeout_ms;
	ret->cwd = TAKE_PTR(c.cwd);
	ret->shell = TAKE_PTR(c.shell);
	memset(&c.commit, 0, sizeof(c.commit));
	describe_cgroup(ret);
	return 0;
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
