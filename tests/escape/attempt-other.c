/* SPDX-License-Identifier: Apache-2.0 */

/* Attempts on other processes, on limits, and on what is inherited. */

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attempt.h"

#define NR_PIDFD_OPEN 434
#define NR_PIDFD_GETFD 438

/* Of a victim: the same number as on the host, if its namespace is ours. PID TEXT */

static int signal_it(char **arg)
{
	return told(kill((pid_t)number(arg[0]), SIGTERM));
}

static int read_memory(char **arg)
{
	char buf[sizeof(secret)] = "";
	struct iovec to = { buf, sizeof(buf) - 1 };
	struct iovec from = { secret, sizeof(secret) - 1 };

	if (process_vm_readv((pid_t)number(arg[0]), &to, 1, &from, 1, 0) < 0)
		return errno;
	return strcmp(buf, arg[1]) == 0 ? 0 : NOTHING_CAME;
}

static int write_memory(char **arg)
{
	struct iovec from = { arg[1], strlen(arg[1]) + 1 };
	struct iovec to = { secret, from.iov_len };

	return told(process_vm_writev((pid_t)number(arg[0]), &from, 1, &to, 1, 0));
}

/* Its memory is changed by words of a debugger. */
static int trace(char **arg)
{
	pid_t pid = (pid_t)number(arg[0]);
	long word = 0;

	memcpy(&word, arg[1], strnlen(arg[1], sizeof(word) - 1));
	if (ptrace(PTRACE_ATTACH, pid, 0, 0) < 0)
		return errno;
	(void)waitpid(pid, NULL, __WALL);
	if (ptrace(PTRACE_POKEDATA, pid, secret, word) < 0)
		return errno;
	return told(ptrace(PTRACE_DETACH, pid, 0, 0));
}

/* Its stdout is taken and written to. */
static int take_descriptor(char **arg)
{
	int pidfd = (int)syscall(NR_PIDFD_OPEN, number(arg[0]), 0);
	int fd = pidfd < 0 ? -1 : (int)syscall(NR_PIDFD_GETFD, pidfd, 1, 0);

	return fd < 0 ? errno : told(write(fd, arg[1], strlen(arg[1])));
}

/* Limits that the keeper, or a victim, can do without. */
static int limit(pid_t pid)
{
	struct rlimit low = { 4096, 4096 };

	return told(syscall(SYS_prlimit64, pid, RLIMIT_MSGQUEUE, &low, NULL));
}

static int limit_it(char **arg)
{
	return limit((pid_t)number(arg[0]));
}

/* /proc/PID: PATH TEXT */
static int read_proc_mem(char **arg)
{
	int fd = open(arg[0], O_RDONLY | O_CLOEXEC);
	char buf[sizeof(secret)] = "";

	if (fd < 0 || pread(fd, buf, sizeof(buf) - 1, (off_t)(size_t)secret) < 0)
		return errno;
	return strcmp(buf, arg[1]) == 0 ? 0 : NOTHING_CAME;
}

/* The keeper is our parent, inside and outside. */

static int keeper_limit(char **arg)
{
	(void)arg;
	return limit(getppid());
}

static int keeper_nice(char **arg)
{
	(void)arg;
	return told(setpriority(PRIO_PROCESS, (id_t)getppid(), 5));
}

static int keeper_affinity(char **arg)
{
	cpu_set_t one;

	(void)arg;
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	return told(sched_setaffinity(getppid(), sizeof(one), &one));
}

static int keeper_scheduler(char **arg)
{
	struct sched_param p = { 0 };

	(void)arg;
	return told(sched_setscheduler(getppid(), SCHED_BATCH, &p));
}

/* It has all of them blocked: one that came is seen to wait. */
static int keeper_signal(char **arg)
{
	(void)arg;
	return told(kill(getppid(), SIGUSR1));
}

static int keeper_trace(char **arg)
{
	(void)arg;
	return told(ptrace(PTRACE_SEIZE, getppid(), 0, 0));
}

static int keeper_memory(char **arg)
{
	char path[64];

	(void)arg;
	(void)snprintf(path, sizeof(path), "/proc/%d/mem", getppid());
	return told(open(path, O_RDWR | O_CLOEXEC));
}

/* Limits */

/* N processes at a time. They go with their parent's word. */
static int fork_bomb(char **arg)
{
	long n = number(arg[0]), made = 0;
	pid_t *pids = calloc((size_t)n, sizeof(*pids));
	int e = 0;

	while (pids && made < n && !e) {
		pids[made] = fork();
		if (pids[made] == 0) {
			pause();
			_exit(0);
		}
		if (pids[made] < 0)
			e = errno;
		else
			made++;
	}
	for (long i = 0; i < made; i++) {
		(void)kill(pids[i], SIGKILL);
		(void)waitpid(pids[i], NULL, 0);
	}
	free(pids);
	return e;
}

/* N bytes, each page of them written to. */
static int memory_bomb(char **arg)
{
	size_t n = (size_t)number(arg[0]);
	char *p =
		mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return errno;
	for (size_t i = 0; i < n; i += 4096)
		((volatile char *)p)[i] = 1;
	return 0;
}

/* PATH N: a file of N bytes. */
static int file_bomb(char **arg)
{
	int fd = open(arg[0], O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0644);
	char buf[4096] = { 0 };

	(void)signal(SIGXFSZ, SIG_IGN);
	if (fd < 0)
		return errno;
	for (long left = number(arg[1]); left > 0; left -= (long)sizeof(buf))
		if (write(fd, buf, sizeof(buf)) < 0)
			return errno;
	return 0;
}

/* N descriptors, as many as the limit can be raised to. */
static int descriptor_bomb(char **arg)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) == 0) {
		l.rlim_cur = l.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &l);
	}
	for (long i = 0; i < number(arg[0]); i++)
		if (dup(STDOUT_FILENO) < 0)
			return errno;
	return 0;
}

/* What is inherited */

static int variable(char **arg)
{
	return getenv(arg[0]) ? 0 : NOTHING_CAME;
}

static int ignored_signal(char **arg)
{
	struct sigaction sa;

	if (sigaction((int)number(arg[0]), NULL, &sa) < 0)
		return errno;
	return sa.sa_handler == SIG_IGN ? 0 : NOTHING_CAME;
}

static int blocked_signal(char **arg)
{
	sigset_t now;

	if (sigprocmask(SIG_BLOCK, NULL, &now) < 0)
		return errno;
	return sigismember(&now, (int)number(arg[0])) == 1 ? 0 : NOTHING_CAME;
}

static int extra_descriptor(char **arg)
{
	(void)arg;
	for (int fd = 3; fd < 1024; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			return 0;
	return NOTHING_CAME;
}

static int be_root(char **arg)
{
	(void)arg;
	return geteuid() == 0 ? 0 : NOTHING_CAME;
}

/* Set-up that is not over yet would leave one of these open. KEY VALUE of status */
static int status_lacks(char **arg)
{
	char line[256];
	FILE *f = fopen("/proc/thread-self/status", "re");
	int e = NOTHING_CAME;

	if (!f)
		return errno;
	while (fgets(line, sizeof(line), f))
		if (strncmp(line, arg[0], strlen(arg[0])) == 0 && !strstr(line, arg[1]))
			e = 0;
	(void)fclose(f);
	return e;
}

const struct attempt other_attempts[] = {
	{ "signal_it", signal_it },
	{ "read_memory", read_memory },
	{ "write_memory", write_memory },
	{ "trace", trace },
	{ "take_descriptor", take_descriptor },
	{ "limit_it", limit_it },
	{ "read_proc_mem", read_proc_mem },
	{ "keeper_limit", keeper_limit },
	{ "keeper_nice", keeper_nice },
	{ "keeper_affinity", keeper_affinity },
	{ "keeper_scheduler", keeper_scheduler },
	{ "keeper_signal", keeper_signal },
	{ "keeper_trace", keeper_trace },
	{ "keeper_memory", keeper_memory },
	{ "fork_bomb", fork_bomb },
	{ "memory_bomb", memory_bomb },
	{ "file_bomb", file_bomb },
	{ "descriptor_bomb", descriptor_bomb },
	{ "variable", variable },
	{ "ignored_signal", ignored_signal },
	{ "blocked_signal", blocked_signal },
	{ "extra_descriptor", extra_descriptor },
	{ "be_root", be_root },
	{ "status_lacks", status_lacks },
	{ 0 },
};
