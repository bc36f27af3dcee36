/* SPDX-License-Identifier: Apache-2.0 */

/* The command: settings, limits, environment, argv. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../base/buf.h"
#include "../base/cleanup.h"
#include "../base/clock.h"
#include "../base/macro.h"
#include "compile-parts.h"
#include "environment.h"
#include "layout.h"
#include "leave-out.h"
#include "seccomp.h"

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

	r = compile_check(a, err);
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
	isolation_describe_cgroup(ret);
	return 0;
}
