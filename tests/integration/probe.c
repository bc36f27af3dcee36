/* SPDX-License-Identifier: Apache-2.0 */

/*
 * probe - tries, from inside a sandbox, what a command must not be able to do
 *
 *	probe native|harm|control [NAME]	each attempt of the group, or one of them
 *	probe wall [NAME]			the same, with a directory of the host's,
 *						whose descriptor comes through stdin
 *	probe ok				nothing
 *	probe signals				every signal there is, to process 1
 *	probe wait				prints "ready", then waits for a byte
 *
 * Each attempt runs in a child of its own and gives one line: its name, and "ok",
 * the errno's name, or the signal that ended it. Nothing is judged here: the test
 * that runs it knows what each line must say. Linked statically, so that it runs
 * in any root.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/random.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Numbers that the headers of the build machine may not have; x86-64 and generic alike.
 */
#define NR_fchmodat2 452
#define NR_openat2 437
#define NR_clone3 435
#define NR_pidfd_open 434
#define NR_pidfd_getfd 438
#define NR_pidfd_send_signal 424
#define NR_process_madvise 440
#define NR_process_mrelease 448
#define NR_open_tree 428
#define NR_move_mount 429
#define NR_fsopen 430
#define NR_fsconfig 431
#define NR_fsmount 432
#define NR_fspick 433
#define NR_mount_setattr 442
#define NR_io_uring_setup 425
#define NR_io_uring_enter 426
#define NR_io_uring_register 427

struct attempt {
	const char *name;
	const char *group;
	int (*try)(void); /* 0, or the errno */
};

static int told(long result)
{
	return result < 0 ? errno : 0;
}

static int fresh_file(const char *name)
{
	(void)unlink(name);
	return open(name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0644);
}

/* -- set-id files ------------------------------------------------------------- */

static int chmod_suid(void)
{
	int fd = fresh_file("probe.suid");

	return fd < 0 ? 250 : told(syscall(SYS_fchmodat, AT_FDCWD, "probe.suid", 04755));
}
static int chmod_sgid(void)
{
	int fd = fresh_file("probe.suid");

	return fd < 0 ? 250 : told(syscall(SYS_fchmodat, AT_FDCWD, "probe.suid", 02755));
}
static int chmod_old_suid(void)
{
#ifdef SYS_chmod
	int fd = fresh_file("probe.suid");

	return fd < 0 ? 250 : told(syscall(SYS_chmod, "probe.suid", 04755));
#else
	return EPERM;
#endif
}
static int fchmod_suid(void)
{
	int fd = fresh_file("probe.suid");

	return fd < 0 ? 250 : told(syscall(SYS_fchmod, fd, 06755));
}
static int fchmod_high_suid(void)
{
	int fd = fresh_file("probe.suid");

	/* The kernel looks at 16 bits: a filter that compares more is fooled. */
	return fd < 0 ? 250 : told(syscall(SYS_fchmod, fd, 0xdead000000004755ul));
}
static int fchmodat2_suid(void)
{
	int fd = fresh_file("probe.suid");

	return fd < 0 ? 250 :
			told(syscall(NR_fchmodat2, AT_FDCWD, "probe.suid", 04755, 0));
}
static int open_suid(void)
{
#ifdef SYS_open
	(void)unlink("probe.suid");
	return told(syscall(SYS_open, "probe.suid", O_CREAT | O_WRONLY, 04755));
#else
	return EPERM;
#endif
}
static int openat_suid(void)
{
	(void)unlink("probe.suid");
	return told(
		syscall(SYS_openat, AT_FDCWD, "probe.suid", O_CREAT | O_WRONLY, 02755));
}
static int openat_tmpfile_suid(void)
{
	return told(syscall(SYS_openat, AT_FDCWD, ".", O_TMPFILE | O_WRONLY, 04755));
}
static int creat_suid(void)
{
#ifdef SYS_creat
	(void)unlink("probe.suid");
	return told(syscall(SYS_creat, "probe.suid", 04755));
#else
	return EPERM;
#endif
}
static int mknod_suid(void)
{
#ifdef SYS_mknod
	(void)unlink("probe.suid");
	return told(syscall(SYS_mknod, "probe.suid", S_IFREG | 04755, 0));
#else
	return EPERM;
#endif
}
static int mknodat_suid(void)
{
	(void)unlink("probe.suid");
	return told(syscall(SYS_mknodat, AT_FDCWD, "probe.suid", S_IFREG | 06755, 0));
}
static int mknod_device(void)
{
	(void)unlink("probe.dev");
	return told(syscall(SYS_mknodat, AT_FDCWD, "probe.dev", S_IFCHR | 0666, 0x103));
}
static int openat2_any(void)
{
	uint64_t how[3] = { O_RDONLY, 0, 0 };

	return told(syscall(NR_openat2, AT_FDCWD, ".", how, sizeof(how)));
}
static int setcap_file(void)
{
	/* VFS_CAP_REVISION_2 with the effective bit, and CAP_SYS_ADMIN */
	uint32_t v[5] = { 0x02000001, 1u << 21, 0, 0, 0 };
	int fd = fresh_file("probe.cap");

	return fd < 0 ? 250 :
			told(syscall(SYS_fsetxattr, fd, "security.capability", v,
				     sizeof(v), 0));
}

/* -- namespaces, mounts, the kernel ----------------------------------------- */

static int unshare_user(void)
{
	return told(syscall(SYS_unshare, CLONE_NEWUSER));
}
static int unshare_user_high(void)
{
	return told(syscall(SYS_unshare, 0xdead000000000000ul | CLONE_NEWUSER));
}
static int unshare_mount(void)
{
	return told(syscall(SYS_unshare, CLONE_NEWNS));
}
static int setns_own(void)
{
	int fd = open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? 250 : told(syscall(SYS_setns, fd, 0));
}
static int setns_keeper(void)
{
	int fd = (int)syscall(NR_pidfd_open, 1, 0);

	return fd < 0 ? errno : told(syscall(SYS_setns, fd, CLONE_NEWNS));
}
static int clone_flags(unsigned long flags)
{
	long pid = syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);

	if (pid == 0)
		_exit(0);
	return told(pid);
}
static int clone_newuser(void)
{
	return clone_flags(CLONE_NEWUSER);
}
static int clone_newuser_net(void)
{
	return clone_flags(CLONE_NEWUSER | CLONE_NEWNET);
}
static int clone_newuser_high(void)
{
	return clone_flags(0xdead000000000000ul | CLONE_NEWUSER);
}
static int clone3_any(void)
{
	uint64_t args[11] = { 0 };
	long pid;

	args[4] = SIGCHLD;
	pid = syscall(NR_clone3, args, sizeof(args));
	if (pid == 0)
		_exit(0);
	return told(pid);
}
static int mount_tmpfs(void)
{
	return told(mount("none", "/tmp", "tmpfs", 0, NULL));
}
static int mount_rebind(void)
{
	return told(mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL));
}
static int umount_proc(void)
{
	return told(umount2("/proc", MNT_DETACH));
}
static int pivot_root_any(void)
{
	return told(syscall(SYS_pivot_root, ".", "."));
}
static int chroot_any(void)
{
	return told(chroot("."));
}
static int open_tree_any(void)
{
	return told(syscall(NR_open_tree, AT_FDCWD, "/", 1 /* OPEN_TREE_CLONE */));
}
static int open_tree_plain(void)
{
	return told(syscall(NR_open_tree, AT_FDCWD, "/", 0));
}
static int move_mount_any(void)
{
	return told(syscall(NR_move_mount, AT_FDCWD, "/tmp", AT_FDCWD, "/home", 0));
}
static int fsopen_any(void)
{
	return told(syscall(NR_fsopen, "tmpfs", 0));
}
static int fsconfig_any(void)
{
	return told(syscall(NR_fsconfig, -1, 0, 0, 0, 0));
}
static int fsmount_any(void)
{
	return told(syscall(NR_fsmount, -1, 0, 0));
}
static int fspick_any(void)
{
	return told(syscall(NR_fspick, AT_FDCWD, "/", 0));
}
static int mount_setattr_any(void)
{
	uint64_t attr[4] = { 0 };

	return told(syscall(NR_mount_setattr, AT_FDCWD, "/", 0, attr, sizeof(attr)));
}
static int io_uring_setup_any(void)
{
	char params[120] = "";

	return told(syscall(NR_io_uring_setup, 1, params));
}
static int io_uring_enter_any(void)
{
	return told(syscall(NR_io_uring_enter, -1, 0, 0, 0));
}
static int io_uring_register_any(void)
{
	return told(syscall(NR_io_uring_register, -1, 0, 0, 0));
}
/* UFFD_USER_MODE_ONLY: what any user may have */
static int userfaultfd_any(void)
{
	return told(syscall(SYS_userfaultfd, 1 | O_CLOEXEC));
}
static int keyctl_any(void)
{
	return told(syscall(SYS_keyctl, 0, -3 /* session */, 0));
}
static int add_key_any(void)
{
	return told(syscall(SYS_add_key, "user", "probe", "x", 1, -2 /* process */));
}
static int request_key_any(void)
{
	return told(syscall(SYS_request_key, "user", "probe", 0, -2));
}
static int bpf_any(void)
{
	char attr[128] = "";

	return told(syscall(SYS_bpf, 5 /* PROG_LOAD */, attr, sizeof(attr)));
}
static int perf_any(void)
{
	uint64_t attr[16] = { 1 /* PERF_TYPE_SOFTWARE, size in the upper half */ };

	((uint32_t *)attr)[1] = 64;
	attr[5] = 1ull << 5 | 1ull << 6; /* exclude_kernel, exclude_hv */
	return told(syscall(SYS_perf_event_open, attr, 0, -1, -1, 0));
}
static int init_module_any(void)
{
	return told(syscall(SYS_init_module, "x", 1, ""));
}
static int delete_module_any(void)
{
	return told(syscall(SYS_delete_module, "x", 0));
}
static int kexec_any(void)
{
	return told(syscall(SYS_kexec_load, 0, 0, 0, 0));
}
static int reboot_any(void)
{
	/* LINUX_REBOOT_CMD_CAD_OFF: harmless where it is let through */
	return told(syscall(SYS_reboot, 0xfee1dead, 672274793, 0, 0));
}
static int swapon_any(void)
{
	return told(syscall(SYS_swapon, "probe.suid", 0));
}
static int acct_any(void)
{
	return told(syscall(SYS_acct, 0));
}
static int settime_any(void)
{
	return told(syscall(SYS_settimeofday, 0, 0));
}
static int tiocsti(void)
{
	char c = 'x';

	return told(syscall(SYS_ioctl, 0, 0x5412ul, &c));
}
static int tiocsti_high(void)
{
	char c = 'x';

	/* The kernel takes the low 32 bits of the request (CVE-2019-10063). */
	return told(syscall(SYS_ioctl, 0, 0xdeadbeef00005412ul, &c));
}
static int tioclinux(void)
{
	char c = 2;

	return told(syscall(SYS_ioctl, 0, 0x541cul, &c));
}
static int x32_entry(void)
{
#ifdef __x86_64__
	long r = syscall(0x40000000l | SYS_getpid);

	return told(r);
#else
	return ENOSYS;
#endif
}
static int i386_entry(void)
{
#ifdef __x86_64__
	long r;

	__asm__ volatile("int $0x80"
			 : "=a"(r)
			 : "a"(20L)
			 : "memory", "r8", "r9", "r10", "r11");
	return r < 0 && r > -4096 ? (int)-r : 0;
#else
	return ENOSYS;
#endif
}
static int seccomp_more(void)
{
	/* A further filter is allowed to anybody: SECCOMP_GET_ACTION_AVAIL, not a load.
	 */
	uint32_t action = SECCOMP_RET_ALLOW;

	return told(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action));
}
static int write_at(const char *path)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd < 0 ? errno : told(write(fd, "1", 1));
}
static int create_at(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	if (fd < 0)
		return errno;
	(void)unlink(path);
	return 0;
}
static int proc_sys_write(void)
{
	return write_at("/proc/sys/kernel/domainname");
}
static int proc_sys_core(void)
{
	return write_at("/proc/sys/kernel/core_pattern");
}
static int proc_sysrq_write(void)
{
	return write_at("/proc/sysrq-trigger");
}
static int root_write(void)
{
	return create_at("/probe-file");
}
static int usr_write(void)
{
	return create_at("/usr/probe-file");
}
static int etc_write(void)
{
	return create_at("/etc/probe-file");
}
static int dev_write(void)
{
	return create_at("/dev/probe-file");
}
static int setuid_root(void)
{
	return told(syscall(SYS_setuid, 0));
}
static int setgid_root(void)
{
	return told(syscall(SYS_setgid, 0));
}
static int setgroups_any(void)
{
	uint32_t g = 0;

	return told(syscall(SYS_setgroups, 1, &g));
}
static int sethostname_any(void)
{
	return told(syscall(SYS_sethostname, "x", 1));
}
static int raw_socket(void)
{
	return told(socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, 1));
}
static int alg_socket(void)
{
	return told(socket(AF_ALG, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
}
static int vsock_socket(void)
{
	return told(socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0));
}
static int vsock_socket_high(void)
{
	return told(syscall(SYS_socket, 0xdead00000000ul | AF_VSOCK, SOCK_STREAM, 0));
}
static int packet_socket(void)
{
	return told(socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
}
static int sctp_socket(void)
{
	return told(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_SCTP));
}
static int netfilter_socket(void)
{
	return told(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER));
}
static int generic_netlink_socket(void)
{
	return told(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC));
}
static int personality_exec(void)
{
	return told(personality(READ_IMPLIES_EXEC));
}
static int personality_exec_high(void)
{
	return told(syscall(SYS_personality, 0xdead00000000ul | READ_IMPLIES_EXEC));
}
static int fanotify_any(void)
{
	return told(syscall(SYS_fanotify_init, 0x200 /* FAN_REPORT_FID */, 0));
}
static int kcmp_own(void)
{
	return told(syscall(SYS_kcmp, getpid(), getpid(), 1 /* KCMP_VM */, 0, 0));
}
static int move_pages_own(void)
{
	return told(syscall(SYS_move_pages, 0, 0ul, NULL, NULL, NULL, 0));
}
static int adjtimex_read(void)
{
	char timex[512] = { 0 };

	return told(syscall(SYS_adjtimex, timex));
}
static int route_socket(void)
{
	return told(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
}
static int uevent_socket(void)
{
	return told(
		socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT));
}
static int personality_fixed_addresses(void)
{
	return personality(0xffffffff) < 0 ? errno : told(personality(ADDR_NO_RANDOMIZE));
}
static int trace_own_child(void)
{
	int status, pid = fork();

	if (pid == 0)
		for (;;)
			(void)pause();
	if (pid < 0 || ptrace(PTRACE_SEIZE, pid, 0, 0) < 0 || kill(pid, SIGKILL) < 0)
		return errno;
	return waitpid(pid, &status, __WALL) == pid ? 0 : errno;
}
static int landlock_version(void)
{
	long r = syscall(444 /* landlock_create_ruleset */, NULL, 0, 1);

	/* ENOSYS and EOPNOTSUPP come from a kernel without it. */
	return r < 0 && errno == EPERM ? errno : 0;
}
static int dumpable_nothing(void)
{
	return told(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
}

/* -- the keeper, which is process 1 ------------------------------------------ */

static int ptrace_attach(void)
{
	return told(ptrace(PTRACE_ATTACH, 1, NULL, NULL));
}
static int ptrace_seize(void)
{
	return told(ptrace(PTRACE_SEIZE, 1, NULL, NULL));
}
static int opened(const char *path, int flags)
{
	return told(open(path, flags | O_CLOEXEC));
}
static int readlinked(const char *path)
{
	char to[256];

	return told(readlink(path, to, sizeof(to)));
}
static int mem_read(void)
{
	return opened("/proc/1/mem", O_RDONLY);
}
static int mem_write(void)
{
	return opened("/proc/1/mem", O_RDWR);
}
static int mem_task(void)
{
	return opened("/proc/1/task/1/mem", O_RDWR);
}
static int environ_read(void)
{
	return opened("/proc/1/environ", O_RDONLY);
}
static int maps_read(void)
{
	return opened("/proc/1/maps", O_RDONLY);
}
static int auxv_read(void)
{
	return opened("/proc/1/auxv", O_RDONLY);
}
static int pagemap_read(void)
{
	return opened("/proc/1/pagemap", O_RDONLY);
}
static int syscall_read(void)
{
	char buf[64];
	int fd = open("/proc/1/syscall", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? errno : told(read(fd, buf, sizeof(buf)));
}
static int fd_list(void)
{
	DIR *d = opendir("/proc/1/fd");
	struct dirent *e;
	int n = 0;

	if (!d)
		return errno;
	while ((e = readdir(d)))
		n += e->d_name[0] != '.';
	return n ? 0 : EACCES;
}
static int fd_open(void)
{
	char path[32];
	int i, r = ENOENT;

	for (i = 0; i < 64; i++) {
		(void)snprintf(path, sizeof(path), "/proc/1/fd/%d", i);
		r = opened(path, O_RDONLY | O_NONBLOCK);
		if (r == 0)
			return 0;
	}
	return r;
}
static int cwd_read(void)
{
	return readlinked("/proc/1/cwd");
}
static int root_read(void)
{
	return readlinked("/proc/1/root");
}
static int exe_read(void)
{
	return readlinked("/proc/1/exe");
}
static int ns_read(void)
{
	return readlinked("/proc/1/ns/mnt");
}
static int root_enter(void)
{
	return opened("/proc/1/root/etc", O_RDONLY | O_DIRECTORY);
}
static int oom_adj_write(void)
{
	int fd = open("/proc/1/oom_score_adj", O_WRONLY | O_CLOEXEC);

	return fd < 0 ? errno : told(write(fd, "1000", 4));
}
static int comm_write(void)
{
	return write_at("/proc/1/comm");
}
static int clear_refs_write(void)
{
	return write_at("/proc/1/clear_refs");
}
static int core_filter_write(void)
{
	return write_at("/proc/1/coredump_filter");
}
static int timerslack_write(void)
{
	return write_at("/proc/1/timerslack_ns");
}
static int sched_write(void)
{
	return write_at("/proc/1/sched");
}
static int autogroup_write(void)
{
	return write_at("/proc/1/autogroup");
}
static int uid_map_write(void)
{
	return write_at("/proc/1/uid_map");
}
static int setgroups_write(void)
{
	return write_at("/proc/1/setgroups");
}
static int vm_read(void)
{
	char c;
	struct iovec to = { &c, 1 }, from = { (void *)0x400000, 1 };

	return told(process_vm_readv(1, &to, 1, &from, 1, 0));
}
static int vm_write(void)
{
	char c = 0;
	struct iovec from = { &c, 1 }, to = { (void *)0x400000, 1 };

	return told(process_vm_writev(1, &from, 1, &to, 1, 0));
}
static int prlimit_get(void)
{
	uint64_t old[2];

	return told(syscall(SYS_prlimit64, 1, RLIMIT_NOFILE, NULL, old));
}
static int prlimit_set(void)
{
	uint64_t lim[2] = { 0, 0 };

	return told(syscall(SYS_prlimit64, 1, RLIMIT_NOFILE, lim, NULL));
}
static int prlimit_high(void)
{
	uint64_t lim[2] = { 0, 0 };

	return told(syscall(SYS_prlimit64, 0xdead00000001ul, RLIMIT_NOFILE, lim, NULL));
}
static int prlimit_parent(void)
{
	uint64_t lim[2] = { 64, 64 };

	return told(syscall(SYS_prlimit64, getppid(), RLIMIT_NOFILE, lim, NULL));
}
static int getfd(void)
{
	int pidfd = (int)syscall(NR_pidfd_open, 1, 0), i, r = EBADF;

	if (pidfd < 0)
		return errno;
	for (i = 0; i < 64; i++) {
		r = told(syscall(NR_pidfd_getfd, pidfd, i, 0));
		if (r != EBADF)
			return r;
	}
	return r;
}
static int madvise_remote(void)
{
	struct iovec v = { (void *)0x400000, 4096 };
	int pidfd = (int)syscall(NR_pidfd_open, 1, 0);

	return pidfd < 0 ?
		       errno :
		       told(syscall(NR_process_madvise, pidfd, &v, 1, MADV_PAGEOUT, 0));
}
static int mrelease(void)
{
	int pidfd = (int)syscall(NR_pidfd_open, 1, 0);

	return pidfd < 0 ? errno : told(syscall(NR_process_mrelease, pidfd, 0));
}
static int setpriority_1(void)
{
	return told(syscall(SYS_setpriority, PRIO_PROCESS, 1, 19));
}
static int setpriority_group(void)
{
	return told(syscall(SYS_setpriority, PRIO_PGRP, 0, 19));
}
static int setpriority_user(void)
{
	return told(syscall(SYS_setpriority, PRIO_USER, 0, 19));
}
static int setpriority_high(void)
{
	return told(syscall(SYS_setpriority, 0xdead00000000ul | PRIO_USER, 0, 19));
}
static int setaffinity_1(void)
{
	unsigned long mask[16] = { 1 };

	return told(syscall(SYS_sched_setaffinity, 1, sizeof(mask), mask));
}
static int setscheduler_1(void)
{
	int param = 0;

	return told(syscall(SYS_sched_setscheduler, 1, 5 /* SCHED_IDLE */, &param));
}
static int setparam_1(void)
{
	int param = 0;

	return told(syscall(SYS_sched_setparam, 1, &param));
}
static int setattr_1(void)
{
	uint32_t attr[12] = { 48, 5 /* SCHED_IDLE */ };

	return told(syscall(SYS_sched_setattr, 1, attr, 0));
}
static int setattr_high(void)
{
	uint32_t attr[12] = { 48, 5 };

	return told(syscall(SYS_sched_setattr, 0xdead00000001ul, attr, 0));
}
/* IOPRIO_CLASS_IDLE is 3, in bits 13 and up; who: 1 process, 2 group, 3 user */
static int ioprio_1(void)
{
	return told(syscall(SYS_ioprio_set, 1, 1, 3 << 13));
}
static int ioprio_group(void)
{
	return told(syscall(SYS_ioprio_set, 2, 0, 3 << 13));
}
static int ioprio_user(void)
{
	return told(syscall(SYS_ioprio_set, 3, getuid(), 3 << 13));
}
static int kcmp_1(void)
{
	return told(syscall(SYS_kcmp, 1, getpid(), 0, 0, 0));
}
static int migrate_1(void)
{
	unsigned long from = 1, to = 1;

	return told(syscall(SYS_migrate_pages, 1, 64, &from, &to));
}
static int move_1(void)
{
	void *page = (void *)0x400000;
	int status;

	return told(syscall(SYS_move_pages, 1, 1ul, &page, NULL, &status, 0));
}
static int robust_1(void)
{
	void *head;
	size_t len;

	return told(syscall(SYS_get_robust_list, 1, &head, &len));
}
static int setpgid_1(void)
{
	return told(setpgid(1, 1));
}
static int core_sched_1(void)
{
	/* PR_SCHED_CORE, PR_SCHED_CORE_SHARE_TO, a thread */
	return told(prctl(62, 2, 1, 0, 0));
}

/* -- controls: what must go on working --------------------------------------- */

static int plain_chmod(void)
{
	int fd = fresh_file("probe.plain");

	return fd < 0 ? errno : told(fchmod(fd, 0755));
}
static int plain_create(void)
{
	return create_at("probe.plain");
}
static int tmp_create(void)
{
	return create_at("/tmp/probe-file");
}
static int own_priority(void)
{
	return told(setpriority(PRIO_PROCESS, 0, 5));
}
static int own_limit(void)
{
	uint64_t lim[2] = { 64, 64 };

	return told(syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, lim, NULL));
}
static int own_affinity(void)
{
	unsigned long mask[16] = { 0 };

	if (syscall(SYS_sched_getaffinity, 0, sizeof(mask), mask) < 0)
		return errno;
	return told(syscall(SYS_sched_setaffinity, 0, sizeof(mask), mask));
}
static int own_child(void)
{
	int status, pid = fork();

	if (pid == 0)
		for (;;)
			(void)pause();
	if (pid < 0 || kill(pid, SIGKILL) < 0)
		return errno;
	return waitpid(pid, &status, 0) == pid ? 0 : errno;
}
static int thread_like_clone(void)
{
	int status;
	long pid = syscall(SYS_clone, CLONE_VFORK | SIGCHLD, 0, 0, 0, 0);

	if (pid == 0)
		_exit(0);
	return pid < 0 ? errno : told(waitpid((int)pid, &status, 0));
}
static int dev_null(void)
{
	return opened("/dev/null", O_RDWR);
}
static int dev_urandom(void)
{
	return opened("/dev/urandom", O_RDONLY);
}
static int unix_socket(void)
{
	int sv[2];

	return told(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv));
}

/* -- a directory of the host's that no mount shows ------------------------------ */

/* What the test has put there: file, prog, gone, gone.d, old, sub1/f, sub2. */
#define HOST 10

static int take_host(void)
{
	char c, room[CMSG_SPACE(sizeof(int))] = "";
	struct iovec v = { &c, 1 };
	struct msghdr m = { .msg_iov = &v,
			    .msg_iovlen = 1,
			    .msg_control = room,
			    .msg_controllen = sizeof(room) };
	struct cmsghdr *h;
	int fd;

	if (recvmsg(0, &m, 0) < 0 || !(h = CMSG_FIRSTHDR(&m)) ||
	    h->cmsg_type != SCM_RIGHTS)
		return -1;
	memcpy(&fd, CMSG_DATA(h), sizeof(fd));
	return dup2(fd, HOST);
}
static int host_open(const char *name, int flags)
{
	return told(openat(HOST, name, flags | O_CLOEXEC, 0644));
}
static int host_read(void)
{
	return host_open("file", O_RDONLY);
}
static int host_write(void)
{
	return host_open("file", O_WRONLY);
}
static int host_list(void)
{
	return host_open("sub1", O_RDONLY | O_DIRECTORY);
}
static int host_exec(void)
{
	char *const argv[] = { (char *)"prog", (char *)"ok", NULL };
	char *const envp[] = { NULL };

	return told(syscall(SYS_execveat, HOST, "prog", argv, envp, 0));
}
static int host_truncate(void)
{
	return told(truncate("/proc/self/fd/10/file", 0));
}
static int host_make_file(void)
{
	return host_open("new.file", O_WRONLY | O_CREAT | O_EXCL);
}
static int host_make_dir(void)
{
	return told(mkdirat(HOST, "new.dir", 0755));
}
static int host_make_link(void)
{
	return told(symlinkat("file", HOST, "new.link"));
}
static int host_make_fifo(void)
{
	return told(mknodat(HOST, "new.fifo", S_IFIFO | 0644, 0));
}
static int host_make_sock(void)
{
	return told(mknodat(HOST, "new.sock", S_IFSOCK | 0644, 0));
}
static int host_remove_file(void)
{
	return told(unlinkat(HOST, "gone", 0));
}
static int host_remove_dir(void)
{
	return told(unlinkat(HOST, "gone.d", AT_REMOVEDIR));
}
static int host_rename(void)
{
	return told(renameat(HOST, "old", HOST, "new"));
}
static int host_refer(void)
{
	return told(linkat(HOST, "sub1/f", HOST, "sub2/f", 0));
}
/* A device node that needs no capability (Linux 5.8). */
static int whiteout(void)
{
	(void)unlink("probe.white");
	return told(mknod("probe.white", S_IFCHR, 0));
}
static int device_ioctl(void)
{
	int n, fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? 250 : told(ioctl(fd, RNDGETENTCNT, &n));
}
static int signal_keeper(void)
{
	return told(kill(1, 0));
}

#define N(f)                                                                             \
	{                                                                                \
#f, "native", f                                                          \
	}
#define H(f)                                                                             \
	{                                                                                \
#f, "harm", f                                                            \
	}
#define C(f)                                                                             \
	{                                                                                \
#f, "control", f                                                         \
	}

#define W(f)                                                                             \
	{                                                                                \
#f, "wall", f                                                            \
	}

static const struct attempt attempts[] = {
	N(chmod_suid),
	N(chmod_sgid),
	N(chmod_old_suid),
	N(fchmod_suid),
	N(fchmod_high_suid),
	N(fchmodat2_suid),
	N(open_suid),
	N(openat_suid),
	N(openat_tmpfile_suid),
	N(creat_suid),
	N(mknod_suid),
	N(mknodat_suid),
	N(mknod_device),
	N(openat2_any),
	N(setcap_file),
	N(unshare_user),
	N(unshare_user_high),
	N(unshare_mount),
	N(setns_own),
	N(setns_keeper),
	N(clone_newuser),
	N(clone_newuser_net),
	N(clone_newuser_high),
	N(clone3_any),
	N(mount_tmpfs),
	N(mount_rebind),
	N(umount_proc),
	N(pivot_root_any),
	N(chroot_any),
	N(open_tree_any),
	N(open_tree_plain),
	N(move_mount_any),
	N(fsopen_any),
	N(fsconfig_any),
	N(fsmount_any),
	N(fspick_any),
	N(mount_setattr_any),
	N(io_uring_setup_any),
	N(io_uring_enter_any),
	N(io_uring_register_any),
	N(userfaultfd_any),
	N(keyctl_any),
	N(add_key_any),
	N(request_key_any),
	N(bpf_any),
	N(perf_any),
	N(init_module_any),
	N(delete_module_any),
	N(kexec_any),
	N(reboot_any),
	N(swapon_any),
	N(acct_any),
	N(settime_any),
	N(tiocsti),
	N(tiocsti_high),
	N(tioclinux),
	N(x32_entry),
	N(i386_entry),
	N(proc_sys_write),
	N(proc_sys_core),
	N(proc_sysrq_write),
	N(root_write),
	N(usr_write),
	N(etc_write),
	N(dev_write),
	N(setuid_root),
	N(setgid_root),
	N(setgroups_any),
	N(sethostname_any),
	N(raw_socket),
	N(alg_socket),
	N(vsock_socket),
	N(vsock_socket_high),
	N(packet_socket),
	N(sctp_socket),
	N(netfilter_socket),
	N(generic_netlink_socket),
	N(personality_exec),
	N(personality_exec_high),
	N(fanotify_any),
	N(kcmp_own),
	N(move_pages_own),
	N(adjtimex_read),

	H(ptrace_attach),
	H(ptrace_seize),
	H(mem_read),
	H(mem_write),
	H(mem_task),
	H(environ_read),
	H(maps_read),
	H(auxv_read),
	H(pagemap_read),
	H(syscall_read),
	H(fd_list),
	H(fd_open),
	H(cwd_read),
	H(root_read),
	H(exe_read),
	H(ns_read),
	H(root_enter),
	H(oom_adj_write),
	H(comm_write),
	H(clear_refs_write),
	H(core_filter_write),
	H(timerslack_write),
	H(sched_write),
	H(autogroup_write),
	H(uid_map_write),
	H(setgroups_write),
	H(vm_read),
	H(vm_write),
	H(prlimit_get),
	H(prlimit_set),
	H(prlimit_high),
	H(prlimit_parent),
	H(getfd),
	H(madvise_remote),
	H(mrelease),
	H(setpriority_1),
	H(setpriority_group),
	H(setpriority_user),
	H(setpriority_high),
	H(setaffinity_1),
	H(setscheduler_1),
	H(setparam_1),
	H(setattr_1),
	H(setattr_high),
	H(ioprio_1),
	H(ioprio_group),
	H(ioprio_user),
	H(kcmp_1),
	H(migrate_1),
	H(move_1),
	H(robust_1),
	H(setpgid_1),
	H(core_sched_1),

	W(host_read),
	W(host_write),
	W(host_list),
	W(host_exec),
	W(host_truncate),
	W(host_make_file),
	W(host_make_dir),
	W(host_make_link),
	W(host_make_fifo),
	W(host_make_sock),
	W(host_remove_file),
	W(host_remove_dir),
	W(host_rename),
	W(host_refer),
	W(whiteout),
	W(device_ioctl),
	W(signal_keeper),

	C(plain_chmod),
	C(plain_create),
	C(tmp_create),
	C(own_priority),
	C(own_limit),
	C(own_affinity),
	C(own_child),
	C(thread_like_clone),
	C(dev_null),
	C(dev_urandom),
	C(unix_socket),
	C(seccomp_more),
	C(route_socket),
	C(uevent_socket),
	C(personality_fixed_addresses),
	C(trace_own_child),
	C(landlock_version),
	C(dumpable_nothing),
};

static void say(const char *name, int status)
{
	const char *text;

	if (WIFSIGNALED(status))
		(void)printf("%s SIG%s\n", name, sigabbrev_np(WTERMSIG(status)));
	else if (WEXITSTATUS(status) == 0)
		(void)printf("%s ok\n", name);
	else if ((text = strerrorname_np(WEXITSTATUS(status))))
		(void)printf("%s %s\n", name, text);
	else
		(void)printf("%s %d\n", name, WEXITSTATUS(status));
	(void)fflush(stdout);
}

static int run(const struct attempt *a)
{
	int status, pid = fork();

	if (pid < 0)
		return -1;
	if (pid == 0) {
		(void)alarm(10);
		_exit(a->try());
	}
	if (waitpid(pid, &status, 0) != pid)
		return -1;
	say(a->name, status);
	return 0;
}

/* All ways to send each signal to process 1. What comes back is not what counts. */
static int signals(void)
{
	int pidfd = (int)syscall(NR_pidfd_open, 1, 0), pair[2], s;
	siginfo_t info;

	for (s = 1; s <= 64; s++) {
		(void)kill(1, s);
		(void)syscall(SYS_tkill, 1, s);
		(void)syscall(SYS_tgkill, 1, 1, s);
		memset(&info, 0, sizeof(info));
		info.si_signo = s;
		info.si_code = SI_QUEUE;
		(void)syscall(SYS_rt_sigqueueinfo, 1, s, &info);
		(void)syscall(SYS_rt_tgsigqueueinfo, 1, 1, s, &info);
		if (pidfd >= 0)
			(void)syscall(NR_pidfd_send_signal, pidfd, s, NULL, 0);
	}

	/* The kernel sends this one, in the name of the descriptor's owner. */
	for (s = 1; s <= 64; s++) {
		if (pipe2(pair, O_CLOEXEC | O_NONBLOCK) < 0)
			return 1;
		(void)fcntl(pair[0], F_SETOWN, 1);
		(void)fcntl(pair[0], F_SETSIG, s);
		(void)fcntl(pair[0], F_SETFL, O_ASYNC | O_NONBLOCK);
		(void)!write(pair[1], "x", 1);
		(void)close(pair[0]);
		(void)close(pair[1]);
	}
	(void)printf("sent\n");
	return 0;
}

int main(int argc, char **argv)
{
	size_t i, n = 0;
	char c;

	if (argc < 2)
		return 64;
	if (strcmp(argv[1], "ok") == 0)
		return 0;
	if (strcmp(argv[1], "wall") == 0 && take_host() < 0)
		return 71;
	if (strcmp(argv[1], "signals") == 0)
		return signals();
	if (strcmp(argv[1], "wait") == 0) {
		(void)puts("ready");
		(void)fflush(stdout);
		return read(0, &c, 1) < 0;
	}
	for (i = 0; i < ARRAY_SIZE(attempts); i++) {
		if (strcmp(attempts[i].group, argv[1]) != 0)
			continue;
		if (argc > 2 && strcmp(attempts[i].name, argv[2]) != 0)
			continue;
		if (run(&attempts[i]) < 0)
			return 70;
		n++;
	}
	return n == 0 ? 64 : 0;
}
