/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <fcntl.h>
#include <linux/ioprio.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../src/base/macro.h"
#include "../../src/core/seccomp.h"

#define HIGH ((unsigned long)1 << 32) /* rubbish that the kernel does not look at */
#define KILLED 1000		      /* + the signal */
#define NOWHERE ((unsigned long)8)    /* EFAULT */

/* Every call has arguments that do no harm where no filter stops it. */
struct attempt {
	const char *name;
	long nr;
	unsigned long arg[5];
};

static void load(void)
{
	const struct sock_filter *f = NULL;
	struct sock_fprog prog = { 0 };
	size_t n = 0;

	if (seccomp_program(&f, &n, NULL) < 0)
		_exit(250);
	prog.len = (unsigned short)n;
	prog.filter = (struct sock_filter *)(uintptr_t)f;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0)
		_exit(251);
}

/* The errno of what fn does in a child, 0 if it succeeds, KILLED + signal. */
static int outcome(bool filtered, int (*fn)(const void *arg), const void *arg)
{
	const struct rlimit no_core = { 0, 0 };
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		(void)setrlimit(RLIMIT_CORE, &no_core);
		(void)signal(SIGSYS, SIG_DFL);
		(void)signal(SIGSEGV, SIG_DFL);
		if (filtered)
			load();
		_exit(fn(arg));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : KILLED + WTERMSIG(status);
}

static int make_call(const void *arg)
{
	const struct attempt *a = arg;
	long r = syscall(a->nr, a->arg[0], a->arg[1], a->arg[2], a->arg[3], a->arg[4]);

	return r < 0 ? errno : 0;
}

/*
 * The filter answers `expected`, and it is the filter: without it the kernel
 * says something else. An ordinary user is told EPERM by the kernel as well.
 */
static void check_stopped(const struct attempt *list, size_t n, int expected)
{
	for (size_t i = 0; i < n; i++) {
		int with = outcome(true, make_call, &list[i]);
		int without = outcome(false, make_call, &list[i]);

		if (with != expected)
			fail_msg("%s: %d instead of %d", list[i].name, with, expected);
		if (geteuid() == 0 && without == expected)
			fail_msg("%s: proves nothing, the kernel says the same",
				 list[i].name);
	}
}

#define TRY(nr_, ...)                                                                    \
	{                                                                                \
		.name = #nr_ " " #__VA_ARGS__, .nr = SYS_##nr_, .arg = { __VA_ARGS__ }   \
	}
#define TRY_NR(nr_, ...)                                                                 \
	{                                                                                \
		.name = #nr_, .nr = (nr_), .arg = { __VA_ARGS__ }                        \
	}
#define P(v) ((unsigned long)(uintptr_t)(v))
#define BAD_FD ((unsigned long)-1)

static void test_the_keeper_cannot_be_crippled(void **state)
{
	static struct rlimit old;
	const struct attempt list[] = {
		TRY(prlimit64, (unsigned long)getpid(), RLIMIT_NOFILE, 0, P(&old)),
		TRY(prlimit64, HIGH | (unsigned long)getpid(), RLIMIT_NOFILE, 0, P(&old)),
		TRY(setpriority, PRIO_PROCESS, 0x7ffffff0, 10),
		TRY(setpriority, PRIO_PGRP, 0x7ffffff0, 0),
		TRY(setpriority, PRIO_USER, 0xfffffff0, 0),
		TRY(sched_setaffinity, 1, 0, 0),
		TRY(sched_setaffinity, HIGH | 1, 0, 0),
		TRY(sched_setscheduler, 1, 99, 0),
		TRY(sched_setparam, 1, 0),
		TRY(sched_setattr, 1, 0, 0),
		TRY(sched_setattr, HIGH | 1, 0, 0),
		TRY(ioprio_set, IOPRIO_WHO_PGRP, 0x7ffffff0, 0xffff),
		TRY(ioprio_set, IOPRIO_WHO_USER, 0xfffffff0, 0xffff),
		TRY(ioprio_set, IOPRIO_WHO_PROCESS, 1, 0xffff),
		TRY(ioprio_set, IOPRIO_WHO_PROCESS, HIGH | 1, 0xffff),
	};

	(void)state;
	check_stopped(list, ARRAY_SIZE(list), EPERM);
}

static void test_no_set_uid_or_set_gid_file_can_be_made(void **state)
{
	const unsigned long none = P("/nonexistent/x"), cwd = (unsigned long)AT_FDCWD;
	const unsigned long make = O_CREAT | O_WRONLY, tmp = O_TMPFILE | O_WRONLY;
	const struct attempt list[] = {
#ifdef SYS_chmod
		TRY(chmod, none, 04755),
		TRY(chmod, none, 02755),
		TRY(chmod, none, HIGH | 06000),
		TRY(open, none, make, 04755),
		TRY(open, none, make, 02755),
		TRY(open, none, tmp, 04755),
		TRY(open, none, HIGH | make, 02755),
		TRY(creat, none, 04755),
		TRY(creat, none, 02755),
		TRY(mknod, none, S_IFREG | 04755),
		TRY(mknod, none, S_IFREG | 02755),
#endif
		TRY(fchmod, BAD_FD, 04755),
		TRY(fchmod, BAD_FD, 02755),
		TRY(fchmodat, cwd, none, 04755),
		TRY(fchmodat, cwd, none, 02755),
		TRY_NR(452, cwd, none, 04755, 0), /* fchmodat2 */
		TRY_NR(452, cwd, none, 02755, 0),
		TRY(openat, cwd, none, make, 04755),
		TRY(openat, cwd, none, make, 02755),
		TRY(openat, cwd, none, tmp, 04755),
		TRY(openat, cwd, none, tmp, 02755),
		TRY(mknodat, cwd, none, S_IFREG | 04755),
		TRY(mknodat, cwd, none, S_IFREG | 02755),
	};

	(void)state;
	check_stopped(list, ARRAY_SIZE(list), EPERM);
}

static void test_nobody_types_into_a_terminal(void **state)
{
	const struct attempt list[] = {
		TRY(ioctl, BAD_FD, TIOCSTI, P("x")),
		TRY(ioctl, BAD_FD, HIGH | TIOCSTI, P("x")),
		TRY(ioctl, BAD_FD, TIOCLINUX, P("x")),
		TRY(ioctl, BAD_FD, (0xffffffffUL << 32) | TIOCLINUX, P("x")),
	};

	(void)state;
	check_stopped(list, ARRAY_SIZE(list), EPERM);
}

/* CLONE_THREAD without CLONE_SIGHAND is refused by the kernel: no child is made. */
static void test_no_namespace_and_no_mount_can_be_made(void **state)
{
	const struct attempt list[] = {
		TRY(clone, CLONE_THREAD | CLONE_NEWNS),
		TRY(clone, CLONE_THREAD | CLONE_NEWCGROUP),
		TRY(clone, CLONE_THREAD | CLONE_NEWUTS),
		TRY(clone, CLONE_THREAD | CLONE_NEWIPC),
		TRY(clone, CLONE_THREAD | CLONE_NEWUSER),
		TRY(clone, CLONE_THREAD | CLONE_NEWPID),
		TRY(clone, CLONE_THREAD | CLONE_NEWNET),
		TRY(clone, HIGH | CLONE_THREAD | CLONE_NEWUSER),
		TRY(unshare, 0),
		TRY(setns, BAD_FD, 0),
		TRY(mount, NOWHERE, NOWHERE, NOWHERE, 0, NOWHERE),
		TRY(umount2, NOWHERE, 0),
		TRY(pivot_root, NOWHERE, NOWHERE),
		TRY(chroot, NOWHERE),
		TRY(open_tree, BAD_FD, NOWHERE, 0),
		TRY(move_mount, BAD_FD, NOWHERE, BAD_FD, NOWHERE, 0),
		TRY(fsopen, NOWHERE, 0),
		TRY(fsconfig, BAD_FD, 0, 0, 0, 0),
		TRY(fsmount, BAD_FD, 0, 0),
		TRY(fspick, BAD_FD, NOWHERE, 0),
		TRY_NR(442, BAD_FD, NOWHERE, 0, 0, 0), /* mount_setattr */
		TRY_NR(467, BAD_FD, NOWHERE, 0, 0, 0), /* open_tree_attr */
		TRY(open_by_handle_at, BAD_FD, NOWHERE, 0),
		TRY(sethostname, NOWHERE, BAD_FD),
		TRY(setdomainname, NOWHERE, BAD_FD),
	};

	(void)state;
	check_stopped(list, ARRAY_SIZE(list), EPERM);
}

static void test_the_machine_is_out_of_reach(void **state)
{
	const struct attempt list[] = {
		TRY(userfaultfd, 0xffff),
		TRY(bpf, 0xffff, NOWHERE, 0),
		TRY(perf_event_open, NOWHERE, 0, 0, BAD_FD, 0),
		TRY(add_key, NOWHERE, NOWHERE, 0, 0, 0),
		TRY(keyctl, 0xffff),
		TRY(request_key, NOWHERE, NOWHERE, 0, 0),
		TRY(quotactl, 0, NOWHERE, 0, 0),
		TRY(acct, NOWHERE),
		TRY(swapon, NOWHERE, 0),
		TRY(swapoff, NOWHERE),
		TRY(reboot, 0, 0, 0, 0),
		TRY(settimeofday, NOWHERE, 0),
		TRY(clock_settime, 0, NOWHERE),
		TRY(syslog, 99, 0, 0),
#ifdef SYS_iopl
		TRY(iopl, 99),
		TRY(ioperm, BAD_FD, BAD_FD, 0),
#endif
	};

	(void)state;
	check_stopped(list, ARRAY_SIZE(list), EPERM);
}

/* Some kernels refuse these to everybody: then the answer alone counts. */
static void test_kernel_code_cannot_be_changed(void **state)
{
	const struct attempt list[] = {
		TRY(kexec_load, 0, 0, 0, 0xffff),
		TRY(init_module, 0, 0, NOWHERE),
		TRY(finit_module, BAD_FD, NOWHERE, 0),
		TRY(delete_module, NOWHERE, 0),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(list); i++)
		assert_int_equal(outcome(true, make_call, &list[i]), EPERM);
}

static void test_what_hides_its_arguments_is_not_there(void **state)
{
	const struct attempt list[] = {
		TRY(clone3, NOWHERE, 0),
		TRY(openat2, BAD_FD, NOWHERE, NOWHERE, 0),
		TRY(io_uring_setup, 0, NOWHERE),
		TRY(io_uring_enter, BAD_FD, 0, 0, 0, 0),
		TRY(io_uring_register, BAD_FD, 0, 0, 0),
	};

	(void)state;
	check_stopped(list, ARRAY_SIZE(list), ENOSYS);
}

static void test_what_programs_need_is_left_alone(void **state)
{
	static struct rlimit old;
	const unsigned long cwd = (unsigned long)AT_FDCWD;
	const struct attempt list[] = {
		TRY(getpid, 0),
		TRY(prlimit64, 0, RLIMIT_NOFILE, 0, P(&old)),
		TRY(setpriority, PRIO_PROCESS, 0, 19),
		TRY(ioprio_set, IOPRIO_WHO_PROCESS, 0,
		    IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 0)),
		TRY(sched_setaffinity, 0, 0, 0),
		TRY(openat, cwd, P("/dev/null"), O_RDONLY, 06755),
		TRY(openat, cwd, P("/nonexistent/x"), O_CREAT | O_WRONLY, 01777),
		TRY(fchmodat, cwd, P("/nonexistent/x"), 01777),
		TRY(ioctl, BAD_FD, TIOCGWINSZ, 0),
		TRY(clone, CLONE_THREAD | CLONE_VM),
		TRY(fork, 0),
		TRY(mknodat, cwd, P("/nonexistent/x"), S_IFIFO | 0644),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(list); i++) {
		int with = outcome(true, make_call, &list[i]);

		if (with == EPERM || with == ENOSYS || with >= KILLED ||
		    with != outcome(false, make_call, &list[i]))
			fail_msg("%s: %d", list[i].name, with);
	}
}

#ifdef __x86_64__
/* getpid of i386 is 20; on x86-64 that number is writev. */
static int call_i386(const void *arg)
{
	long r;

	(void)arg;
	__asm__ volatile("int $0x80"
			 : "=a"(r)
			 : "a"(20L)
			 : "memory", "r8", "r9", "r10", "r11");
	return r == getpid() ? 0 : 1;
}

static void test_calls_of_another_architecture_end_the_process(void **state)
{
	(void)state;
	if (outcome(false, call_i386, NULL) != 0) {
		print_message("skipped: this kernel has no i386 calls\n");
		skip();
	}
	assert_int_equal(outcome(true, call_i386, NULL), KILLED + SIGSYS);
}

static int call_x32(const void *arg)
{
	long r = syscall(0x40000000L | SYS_getpid);

	(void)arg;
	return r < 0 ? errno : 0;
}

static void test_x32_calls_end_the_process(void **state)
{
	(void)state;
	assert_true(outcome(false, call_x32, NULL) < KILLED);
	assert_int_equal(outcome(true, call_x32, NULL), KILLED + SIGSYS);
}
#endif

static void test_the_program_is_built_once(void **state)
{
	const struct sock_filter *a = NULL, *b = NULL;
	size_t n = 0, m = 0;

	(void)state;
	assert_int_equal(seccomp_program(&a, &n, NULL), 0);
	assert_int_equal(seccomp_program(&b, &m, NULL), 0);
	assert_ptr_equal(a, b);
	assert_int_equal(n, m);
	assert_in_range(n, 1, BPF_MAXINSNS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_program_is_built_once),
		cmocka_unit_test(test_the_keeper_cannot_be_crippled),
		cmocka_unit_test(test_no_set_uid_or_set_gid_file_can_be_made),
		cmocka_unit_test(test_nobody_types_into_a_terminal),
		cmocka_unit_test(test_no_namespace_and_no_mount_can_be_made),
		cmocka_unit_test(test_the_machine_is_out_of_reach),
		cmocka_unit_test(test_kernel_code_cannot_be_changed),
		cmocka_unit_test(test_what_hides_its_arguments_is_not_there),
		cmocka_unit_test(test_what_programs_need_is_left_alone),
#ifdef __x86_64__
		cmocka_unit_test(test_calls_of_another_architecture_end_the_process),
		cmocka_unit_test(test_x32_calls_end_the_process),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
