/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Between clone and exec, as the command's own process, but in the keeper's memory
 * (start.c): what is changed here is either the process's own (credentials,
 * limits, directory, descriptors) or read by the keeper on purpose. The first step
 * that fails is left in k->start_err, and nothing is run.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#include "../base/cleanup.h"
#include "../base/fd.h"
#include "../base/macro.h"
#include "../sys/caps.h"
#include "keeper.h"

static int fail(struct err *err, const struct plan_step *s, int r, const char *what)
{
	return err_set(err, ERR_UNSUPPORTED, s->info->name, -r, "%s", what);
}

static int set_rlimit(const struct plan_step *s, struct err *err)
{
	const struct step_rlimit *f = s->payload;
	struct rlimit rl;

	if (getrlimit((__rlimit_resource_t)f->resource, &rl) < 0)
		return fail(err, s, -errno, "getrlimit");
	rl.rlim_max = MIN(rl.rlim_max, (rlim_t)f->hard);
	rl.rlim_cur = MIN(rl.rlim_max, (rlim_t)f->soft);
	return setrlimit((__rlimit_resource_t)f->resource, &rl) < 0 ?
		       fail(err, s, -errno, "setrlimit") :
		       0;
}

/*
 * Resolved here, in the sandbox and with the command's own rights, so that no
 * link or rename in the workspace can lead out of it.
 */
static int enter_cwd(const struct plan_step *s, struct err *err)
{
	const struct step_cwd *f = s->payload;
	const char *workspace = plan_text(s, 0), *path = plan_text(s, 1);
	CLEANUP(close) int ws = -1, dir = -1;
	struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	struct stat st;

	if (!path)
		return fail(err, s, -EINVAL, "malformed plan");
	ws = open(workspace, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (ws < 0)
		return err_set(err, ERR_INVALID_INPUT, "cwd", errno,
			       "open the workspace %s", workspace);
	if (f->dev && (fstat(ws, &st) < 0 || st.st_dev != f->dev || st.st_ino != f->ino))
		return err_set(err, ERR_CONFLICT, "cwd", 0,
			       "the workspace %s is another directory than when the call "
			       "was checked",
			       workspace);
	dir = (int)syscall(SYS_openat2, ws, *path ? path : ".", &how, sizeof(how));
	if (dir < 0 && errno == EXDEV)
		return err_set(err, ERR_INVALID_INPUT, "cwd", EXDEV,
			       "%s leads out of the workspace %s", path, workspace);
	if (dir < 0)
		return err_set(err, ERR_INVALID_INPUT, "cwd", errno,
			       "cwd %s in the workspace %s", path, workspace);
	return fchdir(dir) < 0 ?
		       err_set(err, ERR_INVALID_INPUT, "cwd", errno, "chdir %s", path) :
		       0;
}

static int load_seccomp(const struct plan_step *s, struct err *err)
{
	struct sock_fprog prog = {
		.len = (unsigned short)(s->size / sizeof(struct sock_filter)),
		.filter = (struct sock_filter *)(uintptr_t)s->payload,
	};

	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0)
		return fail(err, s, -errno, "load the system call filter");
	return 0;
}

static const char *env_value(char *const *envp, const char *name)
{
	size_t n = strlen(name);

	for (; *envp; envp++)
		if (strncmp(*envp, name, n) == 0 && (*envp)[n] == '=')
			return *envp + n + 1;
	return NULL;
}

static int exec_error(const char *path, int e, struct err *err)
{
	struct stat st;

	if (e == ENOENT && stat(path, &st) == 0)
		return err_set(err, ERR_INVALID_INPUT, "interpreter", e,
			       "%s exists, but the interpreter that it names does not",
			       path);
	if (e == EACCES && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return err_set(err, ERR_INVALID_INPUT, "exec", e, "%s is a directory",
			       path);
	if (e == E2BIG)
		return err_set(err, ERR_INVALID_INPUT, "exec", e,
			       "%s: arguments and environment are too long", path);
	return err_set(err, ERR_INVALID_INPUT, "exec", e, "%s", path);
}

/* As execvpe(3) looks it up, with the PATH of the environment given. */
static int exec_search(char *const *argv, char *const *envp, struct err *err)
{
	const char *path = env_value(envp, "PATH");
	size_t n = strlen(argv[0]);
	int worst = ENOENT;
	char full[4096];

	if (n == 0)
		return err_set(err, ERR_INVALID_INPUT, "exec", ENOENT,
			       "the program's name is empty");
	if (strchr(argv[0], '/')) {
		(void)execve(argv[0], argv, envp);
		return exec_error(argv[0], errno, err);
	}
	for (const char *p = path ? path : ""; *p;) {
		const char *end = strchrnul(p, ':');
		size_t len = (size_t)(end - p);

		if (len > 0 && len + 1 + n < sizeof(full)) {
			memcpy(full, p, len);
			full[len] = '/';
			memcpy(full + len + 1, argv[0], n + 1);
			(void)execve(full, argv, envp);
			if (errno == EACCES) /* of the file, not of a directory on PATH */
				worst = access(full, F_OK) == 0 ? EACCES : worst;
			else if (errno != ENOENT && errno != ENOTDIR)
				return exec_error(full, errno, err);
			else if (access(full, F_OK) == 0)
				return exec_error(
					full, errno == ENOTDIR ? ENOTDIR : ENOENT, err);
		}
		p = *end ? end + 1 : end;
	}
	if (worst == ENOENT)
		return err_set(err, ERR_INVALID_INPUT, "exec", ENOENT,
			       "%s: not found in PATH (%s)", argv[0],
			       path ? path : "not set");
	return err_set(err, ERR_INVALID_INPUT, "exec", worst, "%s", argv[0]);
}

static int exec_command(struct keeper *k, const struct plan_step *s, struct err *err)
{
	const struct step_exec *f = s->payload;
	size_t n = (size_t)f->argc + f->envc + 2;
	const char *p = plan_text(s, 0);
	char **v, **at;

	v = mmap(NULL, n * sizeof(*v), PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (v == MAP_FAILED)
		return fail(err, s, -ENOMEM, "room for argv");
	k->exec_table = v; /* the keeper unmaps it */
	k->exec_table_len = n * sizeof(*v);
	at = v;
	for (size_t i = 0; i < (size_t)f->argc + f->envc; i++) {
		if (!p || p >= (const char *)s->payload + s->size)
			return fail(err, s, -EINVAL, "malformed plan: cut list");
		if (i == f->argc)
			at++; /* the NULL between the two */
		*at++ = (char *)(uintptr_t)p;
		p += strlen(p) + 1;
	}
	if (f->argc == 0)
		return fail(err, s, -EINVAL, "malformed plan: no program");
	return exec_search(v, v + f->argc + 1, err);
}

static int run_step(struct keeper *k, const struct plan_step *s, struct err *err)
{
	switch (s->type) {
	case STEP_CGROUP: {
		int r = group_enter(k);

		return r < 0 ? fail(err, s, r, "enter the command's cgroup") : 0;
	}
	case STEP_UMASK:
		(void)umask((mode_t)((const struct step_u32 *)s->payload)->v);
		return 0;
	case STEP_RLIMIT:
		return set_rlimit(s, err);
	case STEP_CWD:
		return enter_cwd(s, err);
	case STEP_NO_NEW_PRIVS:
		return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ?
			       fail(err, s, -errno, "prctl") :
			       0;
	case STEP_DROP_CAPS: {
		int r = caps_keep_only(0);

		return r < 0 ? fail(err, s, r, "drop the capabilities") : 0;
	}
	case STEP_LANDLOCK: {
		int r = landlock_take(k);

		return r < 0 ? fail(err, s, r, "take the Landlock ruleset") : 0;
	}
	case STEP_SECCOMP:
		return load_seccomp(s, err);
	case STEP_EXEC:
		return exec_command(k, s, err);
	case STEP_NAMESPACES:
	case STEP_JOIN:
	case STEP_OWNER:
	case STEP_ROOT:
	case STEP_WORKSPACE:
	case STEP_SHOW:
	case STEP_IDMAP:
	case STEP_HOSTNAME:
	case STEP_LOOPBACK:
	case STEP_ATTACH:
	case STEP_SCRATCH:
	case STEP_DIR:
	case STEP_BIND:
	case STEP_MOUNT:
	case STEP_SHOWN:
	case STEP_DEVPTS:
	case STEP_PROC:
	case STEP_MASK:
	case STEP_PIVOT:
	case STEP_LANDLOCK_RULES:
	case STEP_LANDLOCK_RULE:
	case STEP_RECORD:
	case STEP_TIMERS:
	case STEP_STDIO:
	case STEP_MAX_:
	default:
		return fail(err, s, -ENOSYS, "this step cannot be executed yet");
	}
}

static int arrange_stdio(struct keeper *k, const int stdio[3], struct err *err)
{
	if (setsid() < 0)
		return err_set(err, ERR_INTERNAL, "stdio", errno, "setsid");
	if (k->out[0].pty && ioctl(stdio[0], TIOCSCTTY, 0) < 0)
		return err_set(err, ERR_INTERNAL, "stdio", errno,
			       "take the controlling terminal");
	for (int i = 0; i < 3; i++)
		if (dup2(stdio[i], i) < 0)
			return err_set(err, ERR_INTERNAL, "stdio", errno, "dup2");
	/* All else closes at exec. */
	if (close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
		return err_set(err, ERR_UNSUPPORTED, "stdio", errno, "close_range");
	return 0;
}

/* Dispositions are the default ones since the launcher. */
static void unblock_signals(void)
{
	sigset_t none;

	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

void child_run(struct keeper *k, const int stdio[3])
{
	struct err err = { 0 };
	struct plan_step s;
	int r;

	unblock_signals();
	r = arrange_stdio(k, stdio, &err);
	for (size_t at = 0; r == 0 && plan_next(&k->commit, &at, &s) > 0;)
		if (s.info->owner == PLAN_CHILD)
			r = run_step(k, &s, &err);
	if (r == 0)
		(void)err_set(&err, ERR_INTERNAL, "exec", 0,
			      "malformed plan: nothing to execute");
	k->start_err = err;
	_exit(127);
}
