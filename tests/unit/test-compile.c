/* SPDX-License-Identifier: Apache-2.0 */

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../src/base/clock.h"
#include "../../src/base/macro.h"
#include "../../src/core/compile.h"
#include "../../src/sys/landlock.h"

#define STEPS_MAX 256

/* A compiled request, and its plans as their executors will read them. */
struct made {
	struct principal who;
	struct workspace workspace;
	struct command_spec spec;
	struct id id, boot_id;
	struct compile_args args;
	struct compiled out;
	struct err err;
	struct plan prepare, commit;
	struct plan_step step[2][STEPS_MAX];
	size_t n[2];
};

static char *true_argv[] = { (char *)(uintptr_t) "true" };

static void make(struct made *m, uid_t uid, const char *home, const char *workspace)
{
	memset(m, 0, sizeof(*m));
	m->who = (struct principal){
		.refs = 1,
		.uid = uid,
		.gid = uid,
		.name = (char *)(uintptr_t)(uid ? "u" : "root"),
		.home = (char *)(uintptr_t)home,
		.shell = (char *)(uintptr_t) "/bin/sh",
	};
	m->workspace = (struct workspace){
		.path = (char *)(uintptr_t)workspace,
		.fd = -1,
		.dev = 7,
		.ino = 8,
		.uid = 1,
		.gid = 2,
	};
	memset(&m->id, 0xab, sizeof(m->id));
	memset(&m->boot_id, 0xcd, sizeof(m->boot_id));
	m->spec.argv = true_argv;
	m->spec.argc = 1;
	m->args = (struct compile_args){
		.who = &m->who,
		.profile = profile_find("default"),
		.workspace = &m->workspace,
		.mode = COMPILE_FRESH,
		.engine_uid = 0,
		.spec = &m->spec,
		.id = &m->id,
		.boot_id = &m->boot_id,
	};
}

static void read_plan(struct plan_builder *b, struct plan *ret, struct plan_step *steps,
		      size_t *ret_n)
{
	struct err err = { 0 };
	size_t at = 0;
	int fd = -1;

	assert_int_equal(plan_seal(b, &fd, &err), 0);
	assert_int_equal(plan_map(fd, b->part, ret, &err), 0);
	(void)close(fd);
	*ret_n = 0;
	while (*ret_n < STEPS_MAX && plan_next(ret, &at, &steps[*ret_n]))
		(*ret_n)++;
	assert_true(*ret_n < STEPS_MAX);
}

static int run(struct made *m)
{
	int r = compile(&m->args, &m->out, &m->err);

	if (r < 0)
		return r;
	read_plan(&m->out.prepare, &m->prepare, m->step[0], &m->n[0]);
	if (m->args.mode != COMPILE_HOLDER)
		read_plan(&m->out.commit, &m->commit, m->step[1], &m->n[1]);
	return 0;
}

static void drop(struct made *m)
{
	plan_unmap(&m->prepare);
	plan_unmap(&m->commit);
	compiled_fini(&m->out);
}

static const struct plan_step *find(const struct made *m, enum plan_step_type type)
{
	for (size_t part = 0; part < 2; part++)
		for (size_t i = 0; i < m->n[part]; i++)
			if (m->step[part][i].type == type)
				return &m->step[part][i];
	return NULL;
}

static const void *fixed(const struct made *m, enum plan_step_type type)
{
	const struct plan_step *s = find(m, type);

	assert_non_null(s);
	return s->payload;
}

/* The number of the step with this first text, or -1. */
static int with_text(const struct made *m, enum plan_step_type type, const char *text)
{
	for (size_t i = 0; i < m->n[0]; i++) {
		const struct plan_step *s = &m->step[0][i];

		if (s->type == type && plan_text(s, 0) &&
		    strcmp(plan_text(s, 0), text) == 0)
			return (int)i;
	}
	return -1;
}

/* Source of a triple in the root, or NULL. */
static const char *in_root(const struct made *m, const char *kind, const char *target)
{
	const struct plan_step *s = find(m, STEP_ROOT);
	uint32_t n = ((const struct step_root *)fixed(m, STEP_ROOT))->count;

	for (uint32_t i = 0; i < n; i++)
		if (strcmp(plan_text(s, 3 * i), kind) == 0 &&
		    strcmp(plan_text(s, 3 * i + 2), target) == 0)
			return plan_text(s, 3 * i + 1);
	assert_null(plan_text(s, 3 * (size_t)n));
	return NULL;
}

static const char *variable(const struct made *m, const char *name)
{
	const struct plan_step *s = find(m, STEP_EXEC);
	const struct step_exec *e = fixed(m, STEP_EXEC);
	size_t len = strlen(name);

	for (uint32_t i = 0; i < e->envc; i++) {
		const char *v = plan_text(s, e->argc + i);

		if (strncmp(v, name, len) == 0 && v[len] == '=')
			return v + len + 1;
	}
	return NULL;
}

static const struct step_rlimit *rlimit_step(const struct made *m, uint32_t resource)
{
	for (size_t i = 0; i < m->n[1]; i++) {
		const struct step_rlimit *l = m->step[1][i].payload;

		if (m->step[1][i].type == STEP_RLIMIT && l->resource == resource)
			return l;
	}
	return NULL;
}

static void check_order(const struct made *m, size_t part,
			const enum plan_step_type *want, size_t n)
{
	size_t at = 0;

	/* Repeated steps (DIR, BIND, RLIMIT) count as one. */
	for (size_t i = 0; i < m->n[part]; i++) {
		if (i > 0 && m->step[part][i].type == m->step[part][i - 1].type)
			continue;
		if (at >= n || m->step[part][i].type != want[at])
			fail_msg("step %zu is %s", i, m->step[part][i].info->name);
		at++;
	}
	assert_int_equal(at, n);
}

static void test_a_fresh_sandbox_has_all_layers_in_order(void **state)
{
	static const enum plan_step_type prepare[] = {
		STEP_NAMESPACES,    STEP_OWNER,	   STEP_ROOT,	  STEP_WORKSPACE,
		STEP_IDMAP,	    STEP_HOSTNAME, STEP_LOOPBACK, STEP_ATTACH,
		STEP_SCRATCH,	    STEP_DIR,	   STEP_BIND,	  STEP_MOUNT,
		STEP_DEVPTS,	    STEP_PROC,	   STEP_PIVOT,	  STEP_LANDLOCK_RULES,
		STEP_LANDLOCK_RULE,
	};
	static const enum plan_step_type commit[] = {
		STEP_RECORD,   STEP_TIMERS,  STEP_STDIO,	STEP_UMASK,
		STEP_RLIMIT,   STEP_CWD,     STEP_NO_NEW_PRIVS, STEP_DROP_CAPS,
		STEP_LANDLOCK, STEP_SECCOMP, STEP_EXEC,
	};
	struct made m;
	const struct step_namespaces *ns;

	(void)state;
	make(&m, 1000, "/home/u", "/home/u/p");
	assert_int_equal(run(&m), 0);
	check_order(&m, 0, prepare, ARRAY_SIZE(prepare));
	check_order(&m, 1, commit, ARRAY_SIZE(commit));
	ns = fixed(&m, STEP_NAMESPACES);
	assert_int_equal(ns->flags, CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID |
					    CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET |
					    CLONE_NEWCGROUP);
	drop(&m);
}

static void test_a_user_is_himself_and_root_is_nobody_of_the_host(void **state)
{
	struct made m;
	const struct step_owner *o;
	const struct step_workspace *w;

	(void)state;
	make(&m, 1000, "/home/u", "/home/u/p");
	assert_int_equal(run(&m), 0);
	o = fixed(&m, STEP_OWNER);
	w = fixed(&m, STEP_WORKSPACE);
	assert_int_equal(o->uid, 1000);
	assert_int_equal(w->idmap, 0);
	assert_int_equal(w->dev, 7);
	assert_int_equal(w->ino, 8);
	assert_null(in_root(&m, "file", "/etc/passwd"));
	assert_null(strstr(variable(&m, "PATH"), "sbin"));
	drop(&m);

	make(&m, 0, "/root", "/root/p");
	assert_int_equal(run(&m), 0);
	o = fixed(&m, STEP_OWNER);
	w = fixed(&m, STEP_WORKSPACE);
	assert_int_equal(o->uid, COMPILE_ROOT_UID);
	assert_int_equal(o->gid, COMPILE_ROOT_UID);
	assert_int_equal(((const struct step_idmap *)fixed(&m, STEP_IDMAP))->uid,
			 COMPILE_ROOT_UID);
	assert_int_equal(w->idmap, 1);
	assert_int_equal(w->disk_uid, 1);
	assert_int_equal(w->disk_gid, 2);
	if (access("/etc/passwd", F_OK) == 0)
		assert_non_null(
			strstr(in_root(&m, "file", "/etc/passwd"), ":60900:60900:"));
	assert_non_null(strstr(variable(&m, "PATH"), "/usr/sbin"));
	assert_string_equal(variable(&m, "USER"), "proctor");
	assert_string_equal(variable(&m, "HOME"), "/root");
	drop(&m);
}

static void test_the_root_has_the_system_and_no_more_of_the_host(void **state)
{
	struct made m;

	(void)state;
	make(&m, 1000, "/home/u", "/home/u/p");
	assert_int_equal(run(&m), 0);
	assert_string_equal(in_root(&m, "bind", "/usr"), "/usr");
	assert_string_equal(in_root(&m, "bind", "/etc"), "/etc");
	assert_non_null(in_root(&m, "dir", "/proc"));
	assert_non_null(in_root(&m, "dir", "/dev/pts"));
	assert_string_equal(in_root(&m, "dev", "/dev/null"), "/dev/null");
	assert_string_equal(in_root(&m, "link", "/dev/ptmx"), "pts/ptmx");
	assert_null(in_root(&m, "bind", "/root"));
	assert_null(in_root(&m, "bind", "/home"));
	assert_null(in_root(&m, "bind", "/var"));
	assert_null(in_root(&m, "bind", "/run"));
	assert_null(in_root(&m, "bind", "/"));
	drop(&m);
}

/*
 * Where workspace and home come to lie: the scratch directory that must have been
 * made and bound before, or the directory of the root.
 */
static void test_every_mount_point_exists_before_it_is_mounted_on(void **state)
{
	static const struct {
		const char *home, *workspace;
		const char *dir;  /* in the scratch, or NULL */
		const char *bind; /* scratch directory bound, or NULL */
		const char *top;  /* directory of the root besides the usual, or NULL */
	} cases[] = {
		{ "/home/u", "/home/u/p", "home/u/p", "home", NULL },
		{ "/home/u", "/home/u", "home/u", "home", NULL },
		{ "/home/u", "/home", "home/u", "home", NULL },
		{ "/home/u", "/home/v/p", "home/v/p", "home", NULL },
		{ "/root", "/root/p", "root/p", "root", NULL },
		{ "/home/u", "/tmp/x/y", "tmp/x/y", "tmp", NULL },
		{ "/home/u", "/tmp", "tmp", "tmp", NULL },
		{ "/home/u", "/var/www", "var/www", "var", NULL },
		{ "/home/u", "/run/user/1", "run/user/1", "run", NULL },
		{ "/home/u", "/dev/shm/x", "dev/shm/x", "dev/shm", NULL },
		{ "/home/u", "/mnt/d", "mnt/d", "mnt", NULL },
		{ "/home/u", "/usr/src/x", NULL, NULL, NULL },
		{ "/home/u", "/opt/x", NULL, NULL, NULL },
		{ "/home/u", "/data/main", "data/main", "data", "/data" },
		{ "/home/u", "/src", NULL, NULL, "/src" },
		{ "/data/u", "/data", "data/u", "data", "/data" },
		{ "/data/u", "/w/x", "data/u", "data", "/data" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct made m;
		int mount;

		make(&m, 1000, cases[i].home, cases[i].workspace);
		assert_int_equal(run(&m), 0);
		mount = with_text(&m, STEP_MOUNT, cases[i].workspace);
		assert_true(mount > 0);
		assert_string_equal(variable(&m, "HOME"), cases[i].home);
		if (cases[i].dir) {
			int dir = with_text(&m, STEP_DIR, cases[i].dir);
			int bind = with_text(&m, STEP_BIND, cases[i].bind);

			assert_true(dir >= 0 && bind > dir && mount > bind);
		}
		if (!cases[i].dir) {
			assert_int_equal(with_text(&m, STEP_DIR, cases[i].workspace + 1),
					 -1);
			assert_null(in_root(&m, "dir", "/usr/src/x"));
		}
		if (cases[i].top)
			assert_non_null(in_root(&m, "dir", cases[i].top));
		drop(&m);
	}
}

/* STEP_DIR makes one directory: what is above it must be there. */
static void test_parents_come_before_their_children(void **state)
{
	struct made m;

	(void)state;
	make(&m, 1000, "/data/a/b/u", "/srv2/x/y/z");
	assert_int_equal(run(&m), 0);
	for (size_t i = 0; i < m.n[0]; i++) {
		CLEANUP(free) char *path = NULL;
		char *slash;
		int parent;

		if (m.step[0][i].type != STEP_DIR)
			continue;
		path = strdup(plan_text(&m.step[0][i], 0));
		assert_non_null(path);
		assert_true(path[0] != '/');
		slash = strrchr(path, '/');
		if (!slash)
			continue;
		*slash = '\0';
		parent = with_text(&m, STEP_DIR, path);
		assert_true(parent >= 0 && parent < (int)i);
	}
	drop(&m);
}

static void test_a_home_that_cannot_be_private_is_replaced(void **state)
{
	static const char *const homes[] = { "/",	 "/nonexistent", "/usr/sbin",
					     "/bin",	 "/proc/x",	 "/home/../etc",
					     "relative", "/a//b" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(homes); i++) {
		struct made m;

		make(&m, 1000, homes[i], "/w/x");
		assert_int_equal(run(&m), 0);
		assert_string_equal(variable(&m, "HOME"), "/home/u");
		assert_true(with_text(&m, STEP_DIR, "home/u") >= 0);
		drop(&m);
	}
}

static void test_without_a_workspace_a_command_starts_at_home(void **state)
{
	struct made m;

	(void)state;
	make(&m, 1000, "/home/u", NULL);
	assert_int_equal(run(&m), 0);
	assert_null(find(&m, STEP_WORKSPACE));
	assert_null(find(&m, STEP_MOUNT));
	assert_string_equal(m.out.cwd, "/home/u");
	assert_string_equal(plan_text(find(&m, STEP_CWD), 0), "/home/u");
	assert_string_equal(plan_text(find(&m, STEP_CWD), 1), "");
	drop(&m);
}

static void test_a_command_in_a_sandbox_joins_and_makes_only_a_proc(void **state)
{
	static const enum plan_step_type prepare[] = {
		STEP_JOIN, STEP_NAMESPACES,	STEP_OWNER,
		STEP_PROC, STEP_LANDLOCK_RULES, STEP_LANDLOCK_RULE,
	};
	struct made m;

	(void)state;
	make(&m, 1000, "/home/u", "/home/u/p");
	m.args.mode = COMPILE_JOIN;
	assert_int_equal(run(&m), 0);
	check_order(&m, 0, prepare, ARRAY_SIZE(prepare));
	assert_int_equal(((const struct step_join *)fixed(&m, STEP_JOIN))->flags,
			 CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS |
				 CLONE_NEWNET | CLONE_NEWCGROUP);
	assert_int_equal(
		((const struct step_namespaces *)fixed(&m, STEP_NAMESPACES))->flags,
		CLONE_NEWPID | CLONE_NEWNS);
	assert_non_null(find(&m, STEP_LANDLOCK));
	assert_non_null(find(&m, STEP_SECCOMP));
	drop(&m);
}

static void test_a_holder_has_no_command(void **state)
{
	struct made m;

	(void)state;
	make(&m, 1000, "/home/u", "/home/u/p");
	m.args.mode = COMPILE_HOLDER;
	m.args.spec = NULL;
	assert_int_equal(run(&m), 0);
	assert_non_null(find(&m, STEP_PIVOT));
	assert_null(find(&m, STEP_LANDLOCK_RULES));
	assert_int_equal(m.out.commit.buf.len, 0);
	drop(&m);
}

static void test_the_host_backend_isolates_nothing_and_says_so(void **state)
{
	static const enum plan_step_type prepare[] = { STEP_NAMESPACES };
	struct made m;

	(void)state;
	make(&m, 1000, "/home/u", "/");
	m.args.profile = profile_find("trusted-host");
	m.args.engine_uid = 1000;
	assert_int_equal(run(&m), 0);
	check_order(&m, 0, prepare, ARRAY_SIZE(prepare));
	assert_int_equal(
		((const struct step_namespaces *)fixed(&m, STEP_NAMESPACES))->flags, 0);
	assert_null(find(&m, STEP_SECCOMP));
	assert_null(find(&m, STEP_LANDLOCK));
	assert_non_null(find(&m, STEP_NO_NEW_PRIVS));
	assert_null(variable(&m, "TMPDIR"));
	assert_int_equal(m.out.isolation.backend, BACKEND_HOST);
	for (size_t i = 0; i < m.out.isolation.n; i++)
		assert_true(m.out.isolation.layer[i].applied ==
			    (m.out.isolation.layer[i].why == NULL));
	drop(&m);

	/* Another user than the engine's: never with the engine's rights. */
	make(&m, 1000, "/home/u", "/");
	m.args.profile = profile_find("trusted-host");
	assert_int_equal(run(&m), -ERR_UNSUPPORTED);
	assert_string_equal(m.err.stage, "profile");

	make(&m, 1000, "/home/u", "/");
	m.args.profile = profile_find("trusted-host");
	m.args.engine_uid = 1000;
	m.args.mode = COMPILE_JOIN;
	assert_int_equal(run(&m), -ERR_UNSUPPORTED);
	assert_string_equal(m.err.stage, "sandbox");
}

static void test_an_engine_of_one_user_serves_no_other(void **state)
{
	struct made m;

	(void)state;
	make(&m, 1000, "/home/u", "/home/u/p");
	m.args.engine_uid = 1001;
	assert_int_equal(run(&m), -ERR_UNSUPPORTED);
	make(&m, 0, "/root", "/root/p");
	m.args.engine_uid = 1001;
	assert_int_equal(run(&m), -ERR_UNSUPPORTED);
}

static void test_the_shell_gets_the_command_as_one_argument(void **state)
{
	struct made m;
	const struct plan_step *s;

	(void)state;
	make(&m, 1000, "/home/u", "/home/u/p");
	m.spec.argc = 0;
	m.spec.command = "echo 'a b'; exit 3";
	m.spec.login = true;
	assert_int_equal(run(&m), 0);
	s = find(&m, STEP_EXEC);
	assert_int_equal(((const struct step_exec *)s->payload)->argc, 4);
	assert_string_equal(plan_text(s, 0),
			    access("/bin/bash", X_OK) == 0 ? "/bin/bash" : "/bin/sh");
	assert_string_equal(m.out.shell, access("/bin/bash", X_OK) == 0 ? "bash" : "sh");
	assert_string_equal(plan_text(s, 1), "-l");
	assert_string_equal(plan_text(s, 2), "-c");
	assert_string_equal(plan_text(s, 3), "echo 'a b'; exit 3");
	drop(&m);

	make(&m, 1000, "/home/u", "/home/u/p");
	m.spec.argc = 0;
	m.spec.command = "x";
	m.spec.shell = "zsh";
	assert_int_equal(run(&m), 0);
	assert_string_equal(plan_text(find(&m, STEP_EXEC), 0), "zsh");
	assert_string_equal(plan_text(find(&m, STEP_EXEC), 1), "-c");
	drop(&m);
}

static void test_the_environment_is_made_here_and_nothing_leaks_in(void **state)
{
	static char *caller[] = {
		(char *)(uintptr_t) "LANG=de_DE.UTF-8",
		(char *)(uintptr_t) "AWS_SECRET=1",
		(char *)(uintptr_t) "TERM=vt100",
		(char *)(uintptr_t) "TZ=UTC",
		(char *)(uintptr_t) "PATH=/evil",
		NULL,
	};
	static char *request[] = {
		(char *)(uintptr_t) "A=1",
		(char *)(uintptr_t) "TZ=CET",
		(char *)(uintptr_t) "A=2",
	};
	struct made m;
	char id[ID_TEXT];

	(void)state;
	make(&m, 1000, "/home/u", "/home/u/p");
	m.args.caller_env = caller;
	m.args.path = "/evil";
	m.spec.env = request;
	m.spec.envc = ARRAY_SIZE(request);
	m.spec.trace_id = "0123456789abcdef0123456789abcdef";
	assert_int_equal(run(&m), 0);
	assert_string_equal(variable(&m, "LANG"), "de_DE.UTF-8");
	assert_string_equal(variable(&m, "TERM"), "vt100");
	assert_string_equal(variable(&m, "TZ"), "CET");
	assert_string_equal(variable(&m, "A"), "2");
	assert_null(variable(&m, "AWS_SECRET"));
	assert_string_equal(variable(&m, "PATH"), "/usr/local/bin:/usr/bin:/bin");
	assert_string_equal(variable(&m, "TMPDIR"), "/tmp");
	assert_string_equal(variable(&m, "SHELL"), "/bin/sh");
	assert_string_equal(variable(&m, "PROCTOR_ID"), id_format(&m.id, ID_PROCESS, id));
	assert_string_equal(variable(&m, "PROCTOR_TRACE_ID"), m.spec.trace_id);
	assert_string_equal(variable(&m, "TRACEPARENT"),
			    "00-0123456789abcdef0123456789abcdef-abababababababab-01");
	/* Each name once. */
	for (uint32_t i = 0, seen = 0; i < 99; i++) {
		const char *v = plan_text(find(&m, STEP_EXEC), i);

		seen += v && strncmp(v, "A=", 2) == 0;
		assert_true(seen <= 1);
		if (!v)
			break;
	}
	drop(&m);

	request[0] = (char *)(uintptr_t) "LD_PRELOAD=x";
	make(&m, 1000, "/home/u", "/home/u/p");
	m.spec.env = request;
	m.spec.envc = 1;
	assert_int_equal(run(&m), -ERR_DENIED);
	assert_string_equal(m.err.stage, "env.LD_PRELOAD");
}

static void test_times_and_limits_reach_the_plan(void **state)
{
	struct made m;
	const struct step_timers *t;
	const struct step_rlimit *l;

	(void)state;
	make(&m, 1000, "/home/u", "/home/u/p");
	m.spec.timeout_ms = 1500;
	m.spec.grace_ms = 5000;
	limits_set(&m.spec.limits, LIMIT_CPU_SECONDS, 9);
	limits_set(&m.spec.limits, LIMIT_OPEN_FILES, 64);
	limits_set(&m.spec.limits, LIMIT_OUTPUT_BYTES, 12345);
	limits_set(&m.spec.limits, LIMIT_IDLE_MS, 7);
	assert_int_equal(run(&m), 0);
	t = fixed(&m, STEP_TIMERS);
	assert_int_equal(t->timeout, 1500 * NS_PER_MS);
	assert_int_equal(t->grace, 5 * NS_PER_SEC);
	assert_int_equal(t->drain, 50 * NS_PER_MS);
	assert_int_equal(t->block, 60 * NS_PER_SEC);
	assert_int_equal(t->idle, 7 * NS_PER_MS);
	assert_int_equal(t->lifetime, 6 * 3600 * NS_PER_SEC);
	assert_int_equal(t->output_limit, 12345);
	assert_int_equal(((const struct step_u32 *)fixed(&m, STEP_UMASK))->v, 022);
	l = rlimit_step(&m, RLIMIT_CORE);
	assert_non_null(l);
	assert_int_equal(l->hard, 0);
	l = rlimit_step(&m, RLIMIT_NOFILE);
	assert_non_null(l);
	assert_int_equal(l->soft, 64);
	assert_int_equal(l->hard, 64);
	l = rlimit_step(&m, RLIMIT_CPU);
	assert_non_null(l);
	assert_int_equal(l->soft, 9);
	assert_true(l->hard > 9);
	l = rlimit_step(&m, RLIMIT_NPROC);
	assert_non_null(l);
	assert_true(l->hard >= 4096);
	drop(&m);
}

static void test_what_cannot_be_kept_is_refused(void **state)
{
	struct made m;

	(void)state;
	make(&m, 1000, "/home/u", "/home/u/p");
	limits_set(&m.spec.limits, LIMIT_MEMORY_BYTES, 1 << 30);
	assert_int_equal(run(&m), -ERR_UNSUPPORTED);
	assert_string_equal(m.err.stage, "limits.memory_bytes");
	assert_non_null(strstr(m.err.msg, "none are used here"));

	make(&m, 1000, "/home/u", "/home/u/p");
	m.args.profile = profile_find("trusted-host");
	m.args.engine_uid = 1000;
	limits_set(&m.spec.limits, LIMIT_PROCESSES, 5);
	assert_int_equal(run(&m), -ERR_UNSUPPORTED);
	assert_string_equal(m.err.stage, "limits.processes");

	make(&m, 1000, "/home/u", "/");
	assert_int_equal(run(&m), -ERR_DENIED);
}

static const struct isolation_layer *layer(const struct made *m, const char *name)
{
	for (size_t i = 0; i < m->out.isolation.n; i++)
		if (strcmp(m->out.isolation.layer[i].name, name) == 0)
			return &m->out.isolation.layer[i];
	fail_msg("no layer %s", name);
	return NULL;
}

static struct cgroups some_groups;

static void make_with_groups(struct made *m, const char *profile, bool memory, bool pids)
{
	make(m, 0, "/root", "/home/u/p");
	m->args.profile = profile_find(profile);
	memset(&some_groups, 0, sizeof(some_groups));
	some_groups.at[CGROUP_MEMORY].usable = memory;
	some_groups.at[CGROUP_PIDS].usable = pids;
	(void)snprintf(some_groups.at[CGROUP_MEMORY].why, CGROUP_WHY, "no memory here");
	(void)snprintf(some_groups.at[CGROUP_PIDS].why, CGROUP_WHY, "no pids here");
	m->args.cgroups = &some_groups;
}

static void test_limits_that_need_a_group_have_a_step_first_of_the_child(void **state)
{
	const struct step_cgroup *s;
	struct made m;

	(void)state;
	make_with_groups(&m, "default", true, true);
	limits_set(&m.spec.limits, LIMIT_MEMORY_BYTES, 1 << 30);
	assert_int_equal(run(&m), 0);
	s = fixed(&m, STEP_CGROUP);
	assert_int_equal(s->memory_bytes, 1 << 30);
	/* In a user namespace of its own RLIMIT_NPROC counts the same. */
	assert_int_equal(s->processes, 0);
	assert_non_null(find(&m, STEP_RLIMIT));
	for (size_t i = 0; i < m.n[1]; i++)
		if (m.step[1][i].info->owner == PLAN_CHILD) {
			assert_int_equal(m.step[1][i].type, STEP_CGROUP);
			break;
		}
	assert_true(layer(&m, "cgroup")->applied);
	assert_string_equal(layer(&m, "cgroup")->note, "v1 memory");
	drop(&m);

	make_with_groups(&m, "trusted-host", true, true);
	limits_set(&m.spec.limits, LIMIT_PROCESSES, 7);
	assert_int_equal(run(&m), 0);
	s = fixed(&m, STEP_CGROUP);
	assert_int_equal(s->memory_bytes, 0);
	assert_int_equal(s->processes, 7);
	/* Of the host it would count all that the user has. */
	assert_null(rlimit_step(&m, RLIMIT_NPROC));
	assert_string_equal(layer(&m, "cgroup")->note, "v1 pids");
	drop(&m);

	make_with_groups(&m, "default", true, true);
	assert_int_equal(run(&m), 0);
	assert_null(find(&m, STEP_CGROUP));
	assert_false(layer(&m, "cgroup")->applied);
	drop(&m);
}

static void test_only_a_profiles_own_limit_may_stay_out(void **state)
{
	struct limits ceiling = { 0 };
	struct profile p;
	struct made m;

	(void)state;
	assert_true(profile_find("default")->cgroup_optional);
	assert_false(profile_find("strict")->cgroup_optional);

	make_with_groups(&m, "default", false, true);
	p = *m.args.profile;
	limits_set(&p.limits, LIMIT_MEMORY_BYTES, 1 << 30);
	m.args.profile = &p;
	assert_int_equal(run(&m), 0);
	assert_null(find(&m, STEP_CGROUP));
	assert_false(layer(&m, "cgroup")->applied);
	assert_string_equal(layer(&m, "cgroup")->why, "no memory here");
	assert_false(limits_has(&m.out.limits, LIMIT_MEMORY_BYTES));
	drop(&m);

	p.cgroup_optional = false;
	assert_int_equal(run(&m), -ERR_UNSUPPORTED);
	assert_string_equal(m.err.stage, "limits.memory_bytes");
	assert_non_null(strstr(m.err.msg, "no memory here"));
	p.cgroup_optional = true;

	limits_set(&m.spec.limits, LIMIT_MEMORY_BYTES, 1 << 20);
	assert_int_equal(run(&m), -ERR_UNSUPPORTED);
	m.spec.limits = (struct limits){ 0 };
	limits_set(&ceiling, LIMIT_MEMORY_BYTES, 1 << 20);
	m.args.ceiling = &ceiling;
	assert_int_equal(run(&m), -ERR_UNSUPPORTED);

	some_groups.at[CGROUP_MEMORY].usable = true;
	assert_int_equal(run(&m), 0);
	assert_int_equal(
		((const struct step_cgroup *)fixed(&m, STEP_CGROUP))->memory_bytes,
		1 << 20);
	drop(&m);
}

static void test_bad_requests_are_refused_by_name_of_the_field(void **state)
{
	static char *empty[] = { (char *)(uintptr_t) "" };
	struct made m;

	(void)state;
	make(&m, 1000, "/home/u", "/home/u/p");
	m.spec.cwd = "/etc";
	assert_int_equal(run(&m), -ERR_INVALID_INPUT);
	assert_string_equal(m.err.stage, "cwd");
	make(&m, 1000, "/home/u", "/home/u/p");
	m.spec.command = "x";
	assert_int_equal(run(&m), -ERR_INVALID_INPUT);
	assert_string_equal(m.err.stage, "command");
	make(&m, 1000, "/home/u", "/home/u/p");
	m.spec.argc = 0;
	assert_int_equal(run(&m), -ERR_INVALID_INPUT);
	make(&m, 1000, "/home/u", "/home/u/p");
	m.spec.argv = empty;
	assert_int_equal(run(&m), -ERR_INVALID_INPUT);
	assert_string_equal(m.err.stage, "argv");
	make(&m, 1000, "/home/u", "/home/u/p");
	m.spec.ring_bytes = 5000;
	assert_int_equal(run(&m), -ERR_INVALID_INPUT);
	assert_string_equal(m.err.stage, "ring_bytes");
	assert_null(m.out.cwd);
}

static void test_a_terminal_is_all_three_streams(void **state)
{
	struct made m;
	const struct step_stdio *s;

	(void)state;
	make(&m, 1000, "/home/u", "/home/u/p");
	m.spec.pty = true;
	m.spec.cols = 132;
	m.spec.rows = 50;
	assert_int_equal(run(&m), 0);
	s = fixed(&m, STEP_STDIO);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(s->kind[i], STDIO_PTY);
	assert_int_equal(s->cols, 132);
	assert_int_equal(((const struct step_record *)fixed(&m, STEP_RECORD))->capture,
			 BOX_CAPTURE_PTY);
	assert_int_equal(((const struct step_record *)fixed(&m, STEP_RECORD))->ring_size,
			 BOX_RING_DEFAULT);
	assert_string_equal(variable(&m, "TERM"), "xterm-256color");
	drop(&m);
}

/* So that a keeper can be made before the call that will use it. */
static void test_the_prepare_plan_does_not_know_the_command(void **state)
{
	struct made a, b, c;

	(void)state;
	make(&a, 1000, "/home/u", "/home/u/p");
	make(&b, 1000, "/home/u", "/home/u/p");
	make(&c, 1000, "/home/u", "/home/u/q");
	memset(&b.id, 1, sizeof(b.id));
	b.spec.timeout_ms = 5;
	b.spec.pty = true;
	assert_int_equal(run(&a), 0);
	assert_int_equal(run(&b), 0);
	assert_int_equal(run(&c), 0);
	assert_true(a.out.isolation.plan_hash == b.out.isolation.plan_hash);
	assert_true(a.out.isolation.plan_hash != c.out.isolation.plan_hash);
	drop(&a);
	drop(&b);
	drop(&c);
}

/* The rights of the rules for this very path under the newest ABI. */
static uint64_t rule(const struct made *m, const char *path)
{
	uint64_t all = 0;

	for (size_t i = 0; i < m->n[0]; i++) {
		const struct plan_step *s = &m->step[0][i];
		const struct step_u32 *f = s->payload;

		if (s->type == STEP_LANDLOCK_RULE && strcmp(plan_text(s, 0), path) == 0)
			all |= landlock_rights((enum landlock_kind)f->v,
					       LANDLOCK_ABI_KNOWN);
	}
	return all;
}

static void test_landlock_grants_what_the_mounts_show_and_no_more(void **state)
{
	static const char *const writable[] = { "/tmp",	    "/var",    "/run",
						"/dev/shm", "/home/u", "/srv/p" };
	uint64_t list = landlock_rights(LANDLOCK_LIST, LANDLOCK_ABI_KNOWN);
	uint64_t read = landlock_rights(LANDLOCK_READ, LANDLOCK_ABI_KNOWN);
	uint64_t write = landlock_rights(LANDLOCK_WRITE, LANDLOCK_ABI_KNOWN);
	struct made m;

	(void)state;
	make(&m, 1000, "/home/u", "/srv/p");
	assert_int_equal(run(&m), 0);
	for (size_t i = 0; i < ARRAY_SIZE(writable); i++)
		assert_true(rule(&m, writable[i]) == write);
	assert_true(rule(&m, "/") == list);
	assert_true(rule(&m, "/usr") == read);
	assert_true(rule(&m, "/etc") == read);
	assert_true(rule(&m, "/home") == 0);
	assert_true(rule(&m, "/srv") == 0);
	assert_true(rule(&m, "/dev") == 0);
	assert_true(rule(&m, "/sys") == 0);
	assert_false(rule(&m, "/proc") & (LANDLOCK_EXECUTE | LANDLOCK_MAKE_REG));
	assert_true(rule(&m, "/dev/tty") & LANDLOCK_IOCTL_DEV);
	assert_true(rule(&m, "/dev/pts") & LANDLOCK_IOCTL_DEV);
	assert_false(rule(&m, "/dev/urandom") & LANDLOCK_IOCTL_DEV);
	assert_false(write & (LANDLOCK_MAKE_CHAR | LANDLOCK_MAKE_BLOCK));
	assert_string_equal(m.out.isolation.layer[10].name, "landlock");
	assert_non_null(m.out.isolation.layer[10].note);
	drop(&m);
}

/* Its parent can be written to, so that the command before could have moved it. */
static void test_a_home_that_is_granted_already_has_no_rule(void **state)
{
	static const struct {
		const char *home, *workspace;
		bool own;
	} cases[] = {
		{ "/home/u", "/home", false },	 { "/home/u", "/home/u", false },
		{ "/var/lib/u", "/w", false },	 { "/home/u", "/home/u/p", true },
		{ "/home/u", "/home/uu", true }, { "/home/u", NULL, true },
		{ "/variable/u", "/w", true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct made m;
		size_t n = 0;

		make(&m, 1000, cases[i].home, cases[i].workspace);
		assert_int_equal(run(&m), 0);
		for (size_t s = 0; s < m.n[0]; s++)
			n += m.step[0][s].type == STEP_LANDLOCK_RULE &&
			     strcmp(plan_text(&m.step[0][s], 0), cases[i].home) == 0 &&
			     (!cases[i].workspace ||
			      strcmp(cases[i].home, cases[i].workspace) != 0);
		assert_int_equal(n, cases[i].own);
		drop(&m);
	}
}

#ifdef PROCTOR_FAULT_INJECTION
static void test_a_kernel_without_landlock_has_no_native_profile(void **state)
{
	struct made m;

	(void)state;
	for (const char *abi = "01"; *abi; abi++) {
		char text[2] = { *abi, '\0' };

		assert_int_equal(setenv("PROCTOR_LANDLOCK_ABI", text, 1), 0);
		make(&m, 1000, "/home/u", "/home/u/p");
		assert_int_equal(run(&m), -ERR_UNSUPPORTED);
		assert_string_equal(m.err.stage, "landlock");
		assert_non_null(strstr(m.err.msg, "5.19"));
		m.args.mode = COMPILE_HOLDER;
		assert_int_equal(run(&m), -ERR_UNSUPPORTED);
	}
	make(&m, 1000, "/home/u", "/");
	m.args.profile = profile_find("trusted-host");
	m.args.engine_uid = 1000;
	assert_int_equal(run(&m), 0);
	drop(&m);

	assert_int_equal(setenv("PROCTOR_LANDLOCK_ABI", "2", 1), 0);
	make(&m, 1000, "/home/u", "/home/u/p");
	assert_int_equal(run(&m), 0);
	assert_true(layer(&m, "landlock")->applied);
	assert_string_equal(layer(&m, "landlock")->note, "abi 2");
	assert_int_equal(((const struct step_u32 *)fixed(&m, STEP_LANDLOCK_RULES))->v, 2);
	drop(&m);
	assert_int_equal(unsetenv("PROCTOR_LANDLOCK_ABI"), 0);
}

static void test_what_a_test_leaves_out_is_absent_and_called_so(void **state)
{
	struct made m;

	(void)state;
	assert_int_equal(setenv("PROCTOR_LEAVE_OUT", "landlock,seccomp", 1), 0);
	make(&m, 1000, "/home/u", "/home/u/p");
	assert_int_equal(run(&m), 0);
	assert_null(find(&m, STEP_LANDLOCK));
	assert_null(find(&m, STEP_SECCOMP));
	assert_non_null(find(&m, STEP_LANDLOCK_RULES));
	assert_non_null(find(&m, STEP_DROP_CAPS));
	assert_false(layer(&m, "landlock")->applied);
	assert_string_equal(layer(&m, "landlock")->why, "left out for a test");
	assert_string_equal(layer(&m, "seccomp")->why, "left out for a test");
	assert_true(layer(&m, "capabilities")->applied);
	assert_true(layer(&m, "network")->applied);
	assert_string_equal(variable(&m, "HOME"), "/home/u");
	drop(&m);

	/* Whole names only. */
	assert_int_equal(setenv("PROCTOR_LEAVE_OUT", "land,seccomps", 1), 0);
	make(&m, 1000, "/home/u", "/home/u/p");
	assert_int_equal(run(&m), 0);
	assert_non_null(find(&m, STEP_LANDLOCK));
	assert_non_null(find(&m, STEP_SECCOMP));
	assert_true(layer(&m, "landlock")->applied);
	drop(&m);
	assert_int_equal(unsetenv("PROCTOR_LEAVE_OUT"), 0);
}
#endif

/* Whoever reaches the engine's socket from a sandbox is out of it. */
static void test_no_sandbox_shows_the_engines_own_directories(void **state)
{
	static const struct {
		const char *workspace, *own;
		bool ok;
	} cases[] = {
		{ "/home/u", "/home/u/.local/state/proctor", false },
		{ "/home/u/p", "/home/u/p", false },
		{ "/home/u/s/boxes", "/home/u/s", false },
		{ "/home/u/p", "/home/u/pp", true },
		{ "/home/u/p", "/home/u/q/p", true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct made m;

		make(&m, 1000, "/home/u", cases[i].workspace);
		m.args.private_dirs[1] = cases[i].own;
		assert_int_equal(run(&m), cases[i].ok ? 0 : -ERR_DENIED);
		drop(&m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_fresh_sandbox_has_all_layers_in_order),
		cmocka_unit_test(test_landlock_grants_what_the_mounts_show_and_no_more),
		cmocka_unit_test(test_a_home_that_is_granted_already_has_no_rule),
#ifdef PROCTOR_FAULT_INJECTION
		cmocka_unit_test(test_a_kernel_without_landlock_has_no_native_profile),
		cmocka_unit_test(test_what_a_test_leaves_out_is_absent_and_called_so),
#endif
		cmocka_unit_test(test_no_sandbox_shows_the_engines_own_directories),
		cmocka_unit_test(test_a_user_is_himself_and_root_is_nobody_of_the_host),
		cmocka_unit_test(test_the_root_has_the_system_and_no_more_of_the_host),
		cmocka_unit_test(test_every_mount_point_exists_before_it_is_mounted_on),
		cmocka_unit_test(test_parents_come_before_their_children),
		cmocka_unit_test(test_a_home_that_cannot_be_private_is_replaced),
		cmocka_unit_test(test_without_a_workspace_a_command_starts_at_home),
		cmocka_unit_test(test_a_command_in_a_sandbox_joins_and_makes_only_a_proc),
		cmocka_unit_test(test_a_holder_has_no_command),
		cmocka_unit_test(test_the_host_backend_isolates_nothing_and_says_so),
		cmocka_unit_test(test_an_engine_of_one_user_serves_no_other),
		cmocka_unit_test(test_the_shell_gets_the_command_as_one_argument),
		cmocka_unit_test(test_the_environment_is_made_here_and_nothing_leaks_in),
		cmocka_unit_test(test_times_and_limits_reach_the_plan),
		cmocka_unit_test(test_what_cannot_be_kept_is_refused),
		cmocka_unit_test(
			test_limits_that_need_a_group_have_a_step_first_of_the_child),
		cmocka_unit_test(test_only_a_profiles_own_limit_may_stay_out),
		cmocka_unit_test(test_bad_requests_are_refused_by_name_of_the_field),
		cmocka_unit_test(test_a_terminal_is_all_three_streams),
		cmocka_unit_test(test_the_prepare_plan_does_not_know_the_command),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
