/* SPDX-License-Identifier: Apache-2.0 */

#include "spawn.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../base/cleanup.h"
#include "../base/clock.h"
#include "../base/dirs.h"
#include "../base/fd.h"
#include "../base/macro.h"
#include "connect.h"

#define PROGRAM "proctord"
#define LOG_NAME "proctord.log"
#define READY_FD 3
#define SCOPE_WAIT_MS 5000 /* for systemd-run to become the engine */
#define ENV_MAX 128
#define TAIL_MAX 240
#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* What is made before fork(2): after it only async-signal-safe calls are allowed. */
struct spawn {
	const char *argv[16];
	const char *env[ENV_MAX];
	int ready; /* the engine's end of the pipe */
	int said;  /* its stderr until it opens its log */
	int null;
	pid_t pid; /* of what launch() started */
};

static bool find_in(char buf[static PATH_MAX], const char *dir, const char *below)
{
	int n = snprintf(buf, PATH_MAX, "%s%s/" PROGRAM, dir, below);

	return n > 0 && n < PATH_MAX && access(buf, X_OK) == 0;
}

static int find_program(char buf[static PATH_MAX], struct err *err)
{
	char here[PATH_MAX] = "";

	if (dirs_program(here) == 0 &&
	    (find_in(buf, here, "") || find_in(buf, here, "/../bin")))
		return 0;
#ifdef PROCTOR_BINDIR
	if (find_in(buf, PROCTOR_BINDIR, ""))
		return 0;
#endif
	return err_set(err, ERR_UNAVAILABLE, "start", 0,
		       "no " PROGRAM " beside this program (%.200s)", here);
}

/* A user's systemd that answers is one whose private socket is there. */
static const char *find_systemd_run(void)
{
	static const char *const places[] = { "/usr/bin/systemd-run",
					      "/bin/systemd-run" };
	const char *dir = getenv("XDG_RUNTIME_DIR");
	char path[PATH_MAX];
	int n;

	if (!dir || *dir != '/')
		return NULL;
	n = snprintf(path, sizeof(path), "%s/systemd/private", dir);
	if (n < 0 || (size_t)n >= sizeof(path) || access(path, W_OK) < 0)
		return NULL;
#ifdef PROCTOR_FAULT_INJECTION
	if (getenv("PROCTOR_SYSTEMD_RUN"))
		return getenv("PROCTOR_SYSTEMD_RUN");
#endif
	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		if (access(places[i], X_OK) == 0)
			return places[i];
	return NULL;
}

static bool env_kept(const char *entry)
{
	static const char *const names[] = {
		"HOME=", "USER=", "LOGNAME=", "LANG=", "TZ=", "DBUS_SESSION_BUS_ADDRESS="
	};
	static const char *const prefixes[] = {
		"XDG_",	 "LC_",	   "PROCTOR_",
#ifdef PROCTOR_SANITIZED
		"ASAN_", "UBSAN_", "LSAN_",
#endif
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strncmp(entry, names[i], strlen(names[i])) == 0)
			return true;
	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
		if (strncmp(entry, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	return false;
}

static void fill_env(struct spawn *s)
{
	size_t n = 0;

	s->env[n++] = "PATH=" DEFAULT_PATH;
	for (char **e = environ; *e && n < ENV_MAX - 1; e++)
		if (env_kept(*e))
			s->env[n++] = *e;
	s->env[n] = NULL;
}

static void fill_argv(struct spawn *s, const char *program, const char *systemd_run)
{
	static const char *const scope[] = { "--user",
					     "--scope",
					     "--quiet",
					     "--collect",
					     "--description=proctor engine",
					     "--" };
	static const char *const args[] = { "--ready-fd", "3", "--idle-exit",
					    SPAWN_IDLE_EXIT_MS };
	size_t n = 0;

	if (systemd_run) {
		s->argv[n++] = systemd_run;
		for (size_t i = 0; i < ARRAY_SIZE(scope); i++)
			s->argv[n++] = scope[i];
	}
	s->argv[n++] = program;
	for (size_t i = 0; i < ARRAY_SIZE(args); i++)
		s->argv[n++] = args[i];
	s->argv[n] = NULL;
}

/* From here on in a child: nothing but system calls. */
_Noreturn static void become(const struct spawn *s)
{
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		(void)signal(sig, SIG_DFL);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)umask(077);
	/* The three are above READY_FD (see high()), so that none covers another. */
	if (dup2(s->null, STDIN_FILENO) < 0 || dup2(s->null, STDOUT_FILENO) < 0 ||
	    dup2(s->said, STDERR_FILENO) < 0 || dup2(s->ready, READY_FD) < 0 ||
	    chdir("/") < 0 || close_range(READY_FD + 1, ~0U, 0) < 0)
		_exit(127);
	/* execve() takes its arguments as char *const [], and changes none of them. */
	(void)execve(s->argv[0], (char **)(uintptr_t)s->argv, (char **)(uintptr_t)s->env);
	_exit(127);
}

/* Tells the pid of what it starts, and stays that one's parent until the other end goes.
 */
_Noreturn static void launch_further(const struct spawn *s, int sock)
{
	pid_t pid;
	char c;

	if (setsid() < 0)
		_exit(127);
	pid = fork();
	if (pid == 0)
		become(s);
	if (pid > 0 && write(sock, &pid, sizeof(pid)) == (ssize_t)sizeof(pid))
		while (read(sock, &c, 1) < 0 && errno == EINTR)
			;
	_exit(pid < 0 ? 1 : 0);
}

/* *ret_pidfd may stay as it is. */
static int launch(struct spawn *s, int *ret_pidfd)
{
	CLEANUP(close) int ours = -1;
	CLEANUP(close) int theirs = -1;
	int pair[2], status;
	ssize_t n;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	ours = pair[0];
	theirs = pair[1];
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		(void)close(TAKE_FD(ours));
		launch_further(s, theirs);
	}
	(void)close(TAKE_FD(theirs));
	do
		n = read(ours, &s->pid, sizeof(s->pid));
	while (n < 0 && errno == EINTR);
	if (n == (ssize_t)sizeof(s->pid))
		*ret_pidfd = pidfd_open(s->pid, 0);
	(void)close(TAKE_FD(ours));
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return 0; /* a caller that reaps for itself */
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EAGAIN;
}

/* A copy of fd above the numbers that become() uses; fd is closed. */
static int high(int fd)
{
	int copy;

	if (fd < 0)
		return -errno;
	copy = fcntl(fd, F_DUPFD_CLOEXEC, READY_FD + 1);
	if (copy < 0)
		copy = -errno;
	(void)close(fd);
	return copy;
}

/* 1 = it listens, 0 = it ended before, -ETIMEDOUT. */
static int wait_ready(int fd, uint64_t end)
{
	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		uint64_t now = clock_mono();
		char c;
		int r;

		if (now >= end)
			return -ETIMEDOUT;
		r = poll(&p, 1, (int)((end - now) / NS_PER_MS + 1));
		if (r < 0 && errno != EINTR)
			return -errno;
		if (r <= 0)
			continue;
		return read(fd, &c, 1) == 1;
	}
}

/* The last bytes of fd on one line, without control characters. */
static size_t tail(int fd, char buf[static TAIL_MAX])
{
	struct stat st;
	off_t at;
	ssize_t n;

	if (fstat(fd, &st) < 0)
		return 0;
	at = st.st_size > TAIL_MAX - 1 ? st.st_size - (TAIL_MAX - 1) : 0;
	n = pread(fd, buf, TAIL_MAX - 1, at);
	while (n > 0 && isspace((unsigned char)buf[n - 1]))
		n--;
	if (n <= 0)
		return 0;
	for (ssize_t i = 0; i < n; i++)
		if (iscntrl((unsigned char)buf[i]))
			buf[i] = buf[i] == '\n' ? ';' : '?';
	buf[n] = '\0';
	return (size_t)n;
}

static int failed(int said, const char *why, struct err *err)
{
	CLEANUP(close) int log = -1;
	char text[TAIL_MAX] = "", state[PATH_MAX], path[PATH_MAX + sizeof("/" LOG_NAME)];

	if (tail(said, text) == 0 && dirs_state(state, NULL) == 0) {
		(void)snprintf(path, sizeof(path), "%s/" LOG_NAME, state);
		log = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		if (log >= 0)
			(void)tail(log, text);
	}
	return err_set(err, ERR_UNAVAILABLE, "start", 0, "the engine %s%s%s", why,
		       *text ? ": " : "", text);
}

/* systemd-run --scope executes the program itself, in the same process. */
static bool is_engine(const struct spawn *s, const char *program)
{
	char exe[64];
	struct stat a, b;

	(void)snprintf(exe, sizeof(exe), "/proc/%d/exe", (int)s->pid);
	return stat(exe, &a) == 0 && stat(program, &b) == 0 && a.st_dev == b.st_dev &&
	       a.st_ino == b.st_ino;
}

/* A systemd-run that hangs is ended: were it to come round, there would be two engines.
 */
static int wait_scope(const struct spawn *s, int pidfd, int fd, const char *program,
		      uint64_t end)
{
	int r = wait_ready(fd, MIN(end, clock_mono() + SCOPE_WAIT_MS * NS_PER_MS));

	if (r != -ETIMEDOUT)
		return r;
	if (is_engine(s, program))
		return wait_ready(fd, end);
	(void)pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
	return r;
}

/* scope: the program that systemd-run is to become, else NULL. */
static int start_with(struct spawn *s, const char *scope, uint64_t end, struct err *err)
{
	CLEANUP(close) int pidfd = -1;
	CLEANUP(close) int ours = -1;
	CLEANUP(close) int theirs = -1;
	CLEANUP(close) int said = -1;
	CLEANUP(close) int null = -1;
	int pipes[2], r;

	if (pipe2(pipes, O_CLOEXEC) < 0)
		return err_set(err, ERR_UNAVAILABLE, "start", errno, "pipe");
	ours = pipes[0];
	theirs = high(pipes[1]);
	said = high(memfd_create("proctord-stderr", MFD_CLOEXEC));
	null = high(open("/dev/null", O_RDWR | O_CLOEXEC));
	if (theirs < 0 || said < 0 || null < 0)
		return err_set(err, ERR_UNAVAILABLE, "start",
			       theirs < 0 ? -theirs :
			       said < 0	  ? -said :
					    -null,
			       "descriptors for the engine");
	s->ready = theirs;
	s->said = said;
	s->null = null;
	r = launch(s, &pidfd);
	if (r < 0)
		return err_set(err, ERR_UNAVAILABLE, "start", -r, "start %s", s->argv[0]);
	(void)close(TAKE_FD(theirs));
	r = scope ? wait_scope(s, pidfd, ours, scope, end) : wait_ready(ours, end);
	if (r > 0)
		return 0;
	if (r == 0)
		return failed(said, "ended before it listened", err);
	return failed(said, "was started and does not listen", err);
}

int spawn_engine(struct err *err)
{
	uint64_t end = clock_mono() + CONNECT_WAIT_MS * NS_PER_MS;
	char program[PATH_MAX];
	const char *systemd_run = find_systemd_run();
	struct spawn s = { 0 };
	int r = find_program(program, err);

	if (r < 0)
		return r;
	fill_env(&s);
	if (systemd_run) {
		fill_argv(&s, program, systemd_run);
		if (start_with(&s, program, end, NULL) == 0)
			return 0;
	}
	fill_argv(&s, program, NULL);
	return start_with(&s, NULL, end, err);
}
