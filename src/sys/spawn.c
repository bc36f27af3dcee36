/* SPDX-License-Identifier: Apache-2.0 */

#include "spawn.h"

#include <errno.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

pid_t sys_clone3(uint64_t flags, int exit_signal, int *ret_pidfd)
{
	int pidfd = -1;
	struct clone_args args = {
		.flags = flags | (ret_pidfd ? CLONE_PIDFD : 0),
		.pidfd = (uint64_t)(uintptr_t)&pidfd,
		.exit_signal = (unsigned int)exit_signal,
	};
	long pid = syscall(SYS_clone3, &args, sizeof(args));

	if (pid < 0)
		return (pid_t)-errno;
	if (pid > 0 && ret_pidfd)
		*ret_pidfd = pidfd;
	return (pid_t)pid;
}

/* Large enough for a keeper, which goes on living on a copy of this stack. */
static char detour_stack[256 << 10] __attribute__((aligned(64)));

int sys_run_vm(int (*fn)(void *), void *arg)
{
	pid_t pid;
	int status;

	pid = clone(fn, detour_stack + sizeof(detour_stack),
		    CLONE_VM | CLONE_VFORK | CLONE_FILES | SIGCHLD, arg);
	if (pid < 0)
		return -errno;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? 0 : -ECHILD;
}
