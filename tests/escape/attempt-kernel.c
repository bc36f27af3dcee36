/* SPDX-License-Identifier: Apache-2.0 */

/* Attempts by system calls that make namespaces and mounts, or open up the kernel. */

#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "attempt.h"

/* Younger than some headers; the same on all architectures. */
#define NR_IO_URING_SETUP 425
#define NR_OPEN_TREE 428
#define NR_FSOPEN 430
#define NR_CLONE3 435
#define OPEN_TREE_CLONE 1
#define UFFD_USER_MODE_ONLY 1

/* Namespaces */

static int unshare_user(char **arg)
{
	(void)arg;
	return told(unshare(CLONE_NEWUSER));
}

static int ended(long pid)
{
	if (pid == 0)
		_exit(0);
	if (pid > 0)
		(void)waitpid((pid_t)pid, NULL, 0);
	return told(pid);
}

static int clone_user(char **arg)
{
	(void)arg;
	return ended(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0));
}

/* The kernel looks at the lower half of the flags alone. */
static int clone_user_high(char **arg)
{
	(void)arg;
	return ended(syscall(SYS_clone, 0xdead000000000000ul | CLONE_NEWUSER | SIGCHLD, 0,
			     0, 0, 0));
}

/* Its flags lie in memory, where no filter can see them. */
static int clone3_user(char **arg)
{
	uint64_t args[11] = { CLONE_NEWUSER };

	(void)arg;
	args[4] = SIGCHLD;
	return ended(syscall(NR_CLONE3, args, sizeof(args)));
}

/* Into the namespace of a child of one's own. */
static int enter_namespace(char **arg)
{
	int ready[2], fd;
	char path[64];
	char c;
	pid_t pid;

	(void)arg;
	if (pipe(ready) < 0)
		return errno;
	pid = fork();
	if (pid == 0) {
		int r = unshare(CLONE_NEWUSER);

		c = (char)(r < 0 ? errno : 0);
		(void)!write(ready[1], &c, 1);
		pause();
	}
	c = (char)EIO;
	(void)!read(ready[0], &c, 1);
	(void)snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	c = c ? c : (char)told(fd < 0 ? fd : setns(fd, CLONE_NEWUSER));
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	return c;
}

/* Mounts, with all rights in a mount namespace of one's own */

static int own_mounts(int flags)
{
	return unshare(CLONE_NEWUSER | CLONE_NEWNS | flags) < 0 ? errno : 0;
}

static int nested_mount(char **arg)
{
	int e = own_mounts(0);

	(void)arg;
	return e ? e : told(mount("tmpfs", "/tmp", "tmpfs", 0, NULL));
}

static int nested_bind(char **arg)
{
	int e = own_mounts(0);

	(void)arg;
	return e ? e : told(mount("/usr", "/tmp", NULL, MS_BIND | MS_REC, NULL));
}

static int nested_umount(char **arg)
{
	int e = own_mounts(0);

	(void)arg;
	if (!e && mount("tmpfs", "/tmp", "tmpfs", 0, NULL) < 0)
		e = errno;
	return e ? e : told(umount2("/tmp", MNT_DETACH));
}

static int nested_chroot(char **arg)
{
	int e = own_mounts(0);

	(void)arg;
	return e ? e : told(chroot("/usr"));
}

static int nested_pivot(char **arg)
{
	int e = own_mounts(0);

	(void)arg;
	if (!e && mount("tmpfs", "/tmp", "tmpfs", 0, NULL) < 0)
		e = errno;
	if (!e && chdir("/tmp") < 0)
		e = errno;
	return e ? e : told(syscall(SYS_pivot_root, ".", "."));
}

static int nested_fsopen(char **arg)
{
	int e = own_mounts(0);

	(void)arg;
	return e ? e : told(syscall(NR_FSOPEN, "tmpfs", 0));
}

static int nested_open_tree(char **arg)
{
	int e = own_mounts(0);

	(void)arg;
	return e ? e : told(syscall(NR_OPEN_TREE, AT_FDCWD, "/usr", OPEN_TREE_CLONE));
}

/* What release_agent needs first. The mount goes with its namespace. */
static int nested_cgroup(char **arg)
{
	int e = own_mounts(CLONE_NEWCGROUP);

	(void)arg;
	return e ? e : told(mount("cgroup2", "/tmp", "cgroup2", 0, NULL));
}

/* Parts of the kernel */

static int io_uring(char **arg)
{
	char params[256] = { 0 };

	(void)arg;
	return told(syscall(NR_IO_URING_SETUP, 1, params));
}

/* TEXT: stored, and read again. */
static int keyring(char **arg)
{
	char buf[64] = { 0 };
	long key = syscall(SYS_add_key, "user", "proctor-test", arg[0], strlen(arg[0]),
			   KEY_SPEC_PROCESS_KEYRING);

	if (key < 0 || syscall(SYS_keyctl, KEYCTL_READ, key, buf, sizeof(buf) - 1) < 0)
		return errno;
	return strcmp(buf, arg[0]) == 0 ? 0 : NOTHING_CAME;
}

/* How long one's own code ran: what anybody may count. */
static int perf(char **arg)
{
	struct perf_event_attr a = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(a),
		.config = PERF_COUNT_SW_TASK_CLOCK,
		.exclude_kernel = 1,
		.exclude_hv = 1,
	};
	uint64_t count = 0;
	int fd = (int)syscall(SYS_perf_event_open, &a, 0, -1, -1, 0);

	(void)arg;
	if (fd < 0)
		return errno;
	return read(fd, &count, sizeof(count)) == sizeof(count) ? 0 : NOTHING_CAME;
}

/* On no map at all: its own error shows that the call was reached. */
static int bpf(char **arg)
{
	union bpf_attr a = { .map_fd = (uint32_t)-1 };

	(void)arg;
	(void)syscall(SYS_bpf, BPF_MAP_LOOKUP_ELEM, &a, sizeof(a));
	return errno == EBADF ? 0 : errno;
}

static int userfault(char **arg)
{
	(void)arg;
	return told(syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY));
}

static int notify_all(char **arg)
{
	(void)arg;
	return told(
		fanotify_init(FAN_CLOEXEC | FAN_CLASS_NOTIF | FAN_REPORT_FID, O_RDONLY));
}

static int executable_reads(char **arg)
{
	(void)arg;
	if (personality(READ_IMPLIES_EXEC) < 0)
		return errno;
	return personality(0xffffffff) & READ_IMPLIES_EXEC ? 0 : NOTHING_CAME;
}

/* Compares an open file of one's own with itself. */
static int compare(char **arg)
{
	(void)arg;
	return told(syscall(SYS_kcmp, getpid(), getpid(), 0 /* KCMP_FILE */, 1, 1));
}

static int segments(char **arg)
{
#ifdef __x86_64__
	char buf[64];

	(void)arg;
	return told(syscall(SYS_modify_ldt, 0, buf, sizeof(buf)));
#else
	(void)arg;
	return ENOSYS;
#endif
}

/* Other ways in */

static int x32_entry(char **arg)
{
	(void)arg;
#ifdef __x86_64__
	return told(syscall(SYS_getpid | 0x40000000));
#else
	return ENOSYS;
#endif
}

static int i386_entry(char **arg)
{
	(void)arg;
#ifdef __x86_64__
	long r = 20; /* getpid */

	__asm__ volatile("int $0x80" : "+a"(r) : : "memory", "r8", "r9", "r10", "r11");
	return r == getpid() ? 0 : ENOSYS;
#else
	return ENOSYS;
#endif
}

/* Types into the terminal that is its own, and reads what was typed. */
static int push_input(char **arg)
{
	struct termios t;
	int fd = open("/dev/tty", O_RDWR | O_CLOEXEC);
	char c = 0;

	(void)arg;
	if (fd < 0 || tcgetattr(fd, &t) < 0)
		return errno;
	t.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	if (tcsetattr(fd, TCSANOW, &t) < 0 || ioctl(fd, TIOCSTI, "p") < 0)
		return errno;
	return read(fd, &c, 1) == 1 && c == 'p' ? 0 : NOTHING_CAME;
}

const struct attempt kernel_attempts[] = {
	{ "unshare_user", unshare_user },
	{ "clone_user", clone_user },
	{ "clone_user_high", clone_user_high },
	{ "clone3_user", clone3_user },
	{ "enter_namespace", enter_namespace },
	{ "nested_mount", nested_mount },
	{ "nested_bind", nested_bind },
	{ "nested_umount", nested_umount },
	{ "nested_chroot", nested_chroot },
	{ "nested_pivot", nested_pivot },
	{ "nested_fsopen", nested_fsopen },
	{ "nested_open_tree", nested_open_tree },
	{ "nested_cgroup", nested_cgroup },
	{ "io_uring", io_uring },
	{ "keyring", keyring },
	{ "perf", perf },
	{ "bpf", bpf },
	{ "userfault", userfault },
	{ "notify_all", notify_all },
	{ "executable_reads", executable_reads },
	{ "compare", compare },
	{ "segments", segments },
	{ "x32_entry", x32_entry },
	{ "i386_entry", i386_entry },
	{ "push_input", push_input },
	{ 0 },
};
