/* SPDX-License-Identifier: Apache-2.0 */

#include "seccomp-calls.h"

#include <fcntl.h>
#include <linux/ioprio.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "../base/macro.h"

/*
 * Calls that are younger than the headers of the oldest system we build on. Such
 * numbers are the same on all architectures.
 */
#define NR_CACHESTAT 451
#define NR_FCHMODAT2 452
#define NR_MAP_SHADOW_STACK 453
#define NR_FUTEX_WAKE 454
#define NR_FUTEX_WAIT 455
#define NR_FUTEX_REQUEUE 456
#define NR_STATMOUNT 457
#define NR_LISTMOUNT 458
#define NR_LSM_GET_SELF_ATTR 459
#define NR_LSM_LIST_MODULES 461
#define NR_MSEAL 462
#define NR_SETXATTRAT 463
#define NR_GETXATTRAT 464
#define NR_LISTXATTRAT 465
#define NR_REMOVEXATTRAT 466
#define NR_FILE_GETATTR 468
#define NR_FILE_SETATTR 469
/* x86-64 alone */
#define NR_URETPROBE 335
#define NR_UPROBE 336

/* All of an int argument; a mask of single bits needs no more than the bits. */
#define IS32(n, v)                                                                       \
	{                                                                                \
		.arg = (n), .op = SCMP_CMP_MASKED_EQ, .datum_a = 0xffffffff,             \
		.datum_b = (v)                                                           \
	}
#define MASKED(n, mask, v)                                                               \
	{                                                                                \
		.arg = (n), .op = SCMP_CMP_MASKED_EQ, .datum_a = (mask), .datum_b = (v)  \
	}
#define NONE_OF(n, bits) MASKED(n, bits, 0)

#define NUMBER(number)                                                                   \
	{                                                                                \
		.nr = (number)                                                           \
	}
#define CALL(name) NUMBER(SCMP_SYS(name))
#define IF(name, ...)                                                                    \
	{                                                                                \
		.nr = SCMP_SYS(name),                                                    \
		.n = sizeof((struct scmp_arg_cmp[]){ __VA_ARGS__ }) /                    \
		     sizeof(struct scmp_arg_cmp),                                        \
		.cmp = { __VA_ARGS__ }                                                   \
	}

#define SET_ID (S_ISUID | S_ISGID)
/* O_TMPFILE is this bit and O_DIRECTORY; the first alone is refused by open(2). */
#define MAKES_FILE (O_CREAT | (O_TMPFILE & ~O_DIRECTORY))
#define NAMESPACES                                                                       \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |   \
	 CLONE_NEWPID | CLONE_NEWNET)

/* The type without SOCK_CLOEXEC and SOCK_NONBLOCK, which the kernel cuts off too. */
#define TYPE_MASK (0xffffffff & ~(uint64_t)(SOCK_CLOEXEC | SOCK_NONBLOCK))
#define INET(family, type, protocol)                                                     \
	IF(socket, IS32(0, family), MASKED(1, TYPE_MASK, type), IS32(2, protocol))

static const struct seccomp_row allowed[] = {
	/* Files: contents. */
	CALL(read),
	CALL(readv),
	CALL(pread64),
	CALL(preadv),
	CALL(preadv2),
	CALL(write),
	CALL(writev),
	CALL(pwrite64),
	CALL(pwritev),
	CALL(pwritev2),
	CALL(lseek),
	CALL(close),
	CALL(close_range),
	CALL(dup),
	CALL(dup2),
	CALL(dup3),
	CALL(fcntl),
	CALL(flock),
	CALL(ioctl), /* but see excepted */
	CALL(truncate),
	CALL(ftruncate),
	CALL(fallocate),
	CALL(fadvise64),
	CALL(readahead),
	NUMBER(NR_CACHESTAT),
	CALL(sync),
	CALL(syncfs),
	CALL(fsync),
	CALL(fdatasync),
	CALL(sync_file_range),
	CALL(sendfile),
	CALL(copy_file_range),
	CALL(splice),
	CALL(tee),
	CALL(vmsplice),
	CALL(pipe),
	CALL(pipe2),
	CALL(memfd_create),
	CALL(memfd_secret),
	/* Of libaio: databases and qemu have it. Not io_uring, see absent. */
	CALL(io_setup),
	CALL(io_destroy),
	CALL(io_submit),
	CALL(io_cancel),
	CALL(io_getevents),
	CALL(io_pgetevents),

	/*
	 * Files: making them and changing their mode. A set-uid file left in the
	 * workspace would outlive the sandbox, and give the user's rights to whoever
	 * runs it on the host. mkdir(2) drops these bits by itself. Where no file is
	 * made, the kernel does not look at the mode, and callers leave rubbish there.
	 */
	IF(open, NONE_OF(1, MAKES_FILE)),
	IF(open, NONE_OF(2, SET_ID)),
	IF(openat, NONE_OF(2, MAKES_FILE)),
	IF(openat, NONE_OF(3, SET_ID)),
	IF(creat, NONE_OF(1, SET_ID)),
	IF(mknod, NONE_OF(1, SET_ID)),
	IF(mknodat, NONE_OF(2, SET_ID)),
	IF(chmod, NONE_OF(1, SET_ID)),
	IF(fchmod, NONE_OF(1, SET_ID)),
	IF(fchmodat, NONE_OF(2, SET_ID)),
	{ .nr = NR_FCHMODAT2, .n = 1, .cmp = { NONE_OF(2, SET_ID) } },
	CALL(mkdir),
	CALL(mkdirat),
	CALL(umask),

	/* Files: names and attributes. */
	CALL(access),
	CALL(faccessat),
	CALL(faccessat2),
	CALL(stat),
	CALL(fstat),
	CALL(lstat),
	CALL(newfstatat),
	CALL(statx),
	CALL(statfs),
	CALL(fstatfs),
	NUMBER(NR_STATMOUNT), /* of the own mount namespace, as is /proc/self/mounts */
	NUMBER(NR_LISTMOUNT),
	CALL(getdents),
	CALL(getdents64),
	CALL(getcwd),
	CALL(chdir),
	CALL(fchdir),
	CALL(link),
	CALL(linkat),
	CALL(symlink),
	CALL(symlinkat),
	CALL(readlink),
	CALL(readlinkat),
	CALL(unlink),
	CALL(unlinkat),
	CALL(rmdir),
	CALL(rename),
	CALL(renameat),
	CALL(renameat2),
	CALL(chown),
	CALL(fchown),
	CALL(lchown),
	CALL(fchownat),
	CALL(utime),
	CALL(utimes),
	CALL(futimesat),
	CALL(utimensat),
	CALL(getxattr),
	CALL(lgetxattr),
	CALL(fgetxattr),
	NUMBER(NR_GETXATTRAT),
	CALL(setxattr),
	CALL(lsetxattr),
	CALL(fsetxattr),
	NUMBER(NR_SETXATTRAT),
	CALL(listxattr),
	CALL(llistxattr),
	CALL(flistxattr),
	NUMBER(NR_LISTXATTRAT),
	CALL(removexattr),
	CALL(lremovexattr),
	CALL(fremovexattr),
	NUMBER(NR_REMOVEXATTRAT),
	NUMBER(NR_FILE_GETATTR), /* what chattr does by ioctl */
	NUMBER(NR_FILE_SETATTR),
	CALL(name_to_handle_at), /* an id to compare; opening by it is refused */

	/* Waiting for many things. */
	CALL(select),
	CALL(pselect6),
	CALL(poll),
	CALL(ppoll),
	CALL(epoll_create),
	CALL(epoll_create1),
	CALL(epoll_ctl),
	CALL(epoll_wait),
	CALL(epoll_pwait),
	CALL(epoll_pwait2),
	CALL(eventfd),
	CALL(eventfd2),
	CALL(signalfd),
	CALL(signalfd4),
	CALL(timerfd_create),
	CALL(timerfd_settime),
	CALL(timerfd_gettime),
	CALL(inotify_init),
	CALL(inotify_init1),
	CALL(inotify_add_watch),
	CALL(inotify_rm_watch),

	/* Memory. */
	CALL(brk),
	CALL(mmap),
	CALL(munmap),
	CALL(mremap),
	CALL(mprotect),
	CALL(madvise),
	CALL(process_madvise), /* on others: as ptrace */
	CALL(process_mrelease),
	CALL(msync),
	CALL(mincore),
	CALL(mlock),
	CALL(mlock2),
	CALL(mlockall),
	CALL(munlock),
	CALL(munlockall),
	NUMBER(NR_MSEAL),
	NUMBER(NR_MAP_SHADOW_STACK),
	CALL(remap_file_pages),
	CALL(pkey_alloc),
	CALL(pkey_free),
	CALL(pkey_mprotect),
	CALL(membarrier),
	/* The caller's own placement; move_pages and migrate_pages take any pid. */
	CALL(mbind),
	CALL(get_mempolicy),
	CALL(set_mempolicy),
	CALL(set_mempolicy_home_node),

	/* Processes and threads. */
	IF(clone, NONE_OF(0, NAMESPACES)),
	CALL(fork),
	CALL(vfork),
	CALL(execve),
	CALL(execveat),
	CALL(exit),
	CALL(exit_group),
	CALL(wait4),
	CALL(waitid),
	CALL(getpid),
	CALL(getppid),
	CALL(gettid),
	CALL(getpgid),
	CALL(getpgrp),
	CALL(setpgid),
	CALL(getsid),
	CALL(setsid),
	CALL(set_tid_address),
	CALL(set_robust_list),
	CALL(get_robust_list),
	CALL(rseq),
	CALL(futex),
	CALL(futex_waitv),
	NUMBER(NR_FUTEX_WAKE),
	NUMBER(NR_FUTEX_WAIT),
	NUMBER(NR_FUTEX_REQUEUE),
	CALL(prctl),
	CALL(arch_prctl),
	CALL(getcpu),
	CALL(pidfd_open),
	CALL(pidfd_send_signal),
	CALL(pidfd_getfd), /* on others: as ptrace */
#ifdef __x86_64__
	/* Made by the trampoline of a probe that the host's tracer has planted. */
	NUMBER(NR_URETPROBE),
	NUMBER(NR_UPROBE),
#endif

	/*
	 * Debuggers. A command sees the processes of its own PID namespace alone, its
	 * keeper is undumpable, and since Linux 4.8 a tracer cannot slip a call past
	 * this filter.
	 */
	CALL(ptrace),
	CALL(process_vm_readv),
	CALL(process_vm_writev),

	/*
	 * The execution domain: the plain one, that of a 32-bit uname, the query, and
	 * addresses that stay in place, for debuggers and sanitizers. None with
	 * READ_IMPLIES_EXEC or MMAP_PAGE_ZERO, which make an exploit's work easier.
	 */
	IF(personality, IS32(0, PER_LINUX)),
	IF(personality, IS32(0, PER_LINUX32)),
	IF(personality, IS32(0, ADDR_NO_RANDOMIZE)),
	IF(personality, IS32(0, 0xffffffff)),

	/* Signals. */
	CALL(rt_sigaction),
	CALL(rt_sigprocmask),
	CALL(rt_sigreturn),
	CALL(rt_sigpending),
	CALL(rt_sigsuspend),
	CALL(rt_sigtimedwait),
	CALL(rt_sigqueueinfo),
	CALL(rt_tgsigqueueinfo),
	CALL(sigaltstack),
	CALL(kill),
	CALL(tkill),
	CALL(tgkill),
	CALL(pause),
	CALL(restart_syscall),

	/* Time: reading and waiting. */
	CALL(time),
	CALL(gettimeofday),
	CALL(times),
	CALL(clock_gettime),
	CALL(clock_getres),
	CALL(clock_nanosleep),
	CALL(nanosleep),
	CALL(alarm),
	CALL(getitimer),
	CALL(setitimer),
	CALL(timer_create),
	CALL(timer_settime),
	CALL(timer_gettime),
	CALL(timer_getoverrun),
	CALL(timer_delete),

	/* Limits and scheduling; the keeper's own are out of reach, see excepted. */
	CALL(getrlimit),
	CALL(setrlimit),
	IF(prlimit64, IS32(0, 0)),
	CALL(getrusage),
	CALL(getpriority),
	IF(setpriority, IS32(0, PRIO_PROCESS), IS32(1, 0)),
	CALL(ioprio_get),
	IF(ioprio_set, IS32(0, IOPRIO_WHO_PROCESS)),
	CALL(sched_yield),
	CALL(sched_getaffinity),
	CALL(sched_setaffinity),
	CALL(sched_getscheduler),
	CALL(sched_setscheduler),
	CALL(sched_getparam),
	CALL(sched_setparam),
	CALL(sched_getattr),
	CALL(sched_setattr),
	CALL(sched_get_priority_max),
	CALL(sched_get_priority_min),
	CALL(sched_rr_get_interval),

	/* Who one is. One uid and no capability: the kernel refuses all else. */
	CALL(getuid),
	CALL(geteuid),
	CALL(getgid),
	CALL(getegid),
	CALL(getresuid),
	CALL(getresgid),
	CALL(getgroups),
	CALL(setuid),
	CALL(setgid),
	CALL(setreuid),
	CALL(setregid),
	CALL(setresuid),
	CALL(setresgid),
	CALL(setgroups),
	CALL(setfsuid),
	CALL(setfsgid),
	CALL(capget),
	CALL(capset),

	/* The system: reading. */
	CALL(uname),
	CALL(sysinfo),
	CALL(getrandom),

	/* What takes away more. */
	CALL(seccomp),
	CALL(landlock_create_ruleset),
	CALL(landlock_add_rule),
	CALL(landlock_restrict_self),
	NUMBER(NR_LSM_GET_SELF_ATTR),
	NUMBER(NR_LSM_LIST_MODULES),

	/*
	 * Sockets, of few families: each further one is kernel code that few have
	 * looked at, and that is loaded at a command's wish. The same holds for
	 * protocols (SCTP, SMC, DCCP). Go listens by MPTCP, ping has ICMP datagrams,
	 * getifaddrs(3) asks NETLINK_ROUTE, and libudev NETLINK_KOBJECT_UEVENT.
	 */
	IF(socket, IS32(0, AF_UNIX)),
	INET(AF_INET, SOCK_STREAM, 0),
	INET(AF_INET, SOCK_STREAM, IPPROTO_TCP),
	INET(AF_INET, SOCK_STREAM, IPPROTO_MPTCP),
	INET(AF_INET, SOCK_DGRAM, 0),
	INET(AF_INET, SOCK_DGRAM, IPPROTO_UDP),
	INET(AF_INET, SOCK_DGRAM, IPPROTO_ICMP),
	INET(AF_INET6, SOCK_STREAM, 0),
	INET(AF_INET6, SOCK_STREAM, IPPROTO_TCP),
	INET(AF_INET6, SOCK_STREAM, IPPROTO_MPTCP),
	INET(AF_INET6, SOCK_DGRAM, 0),
	INET(AF_INET6, SOCK_DGRAM, IPPROTO_UDP),
	INET(AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6),
	IF(socket, IS32(0, AF_NETLINK), IS32(2, NETLINK_ROUTE)),
	IF(socket, IS32(0, AF_NETLINK), IS32(2, NETLINK_KOBJECT_UEVENT)),
	IF(socketpair, IS32(0, AF_UNIX)),
	CALL(bind),
	CALL(connect),
	CALL(listen),
	CALL(accept),
	CALL(accept4),
	CALL(getsockname),
	CALL(getpeername),
	CALL(getsockopt),
	CALL(setsockopt),
	CALL(shutdown),
	CALL(sendto),
	CALL(sendmsg),
	CALL(sendmmsg),
	CALL(recvfrom),
	CALL(recvmsg),
	CALL(recvmmsg),

	/* System V and POSIX means of communication: the IPC namespace is its own. */
	CALL(shmget),
	CALL(shmat),
	CALL(shmdt),
	CALL(shmctl),
	CALL(semget),
	CALL(semop),
	CALL(semtimedop),
	CALL(semctl),
	CALL(msgget),
	CALL(msgsnd),
	CALL(msgrcv),
	CALL(msgctl),
	CALL(mq_open),
	CALL(mq_unlink),
	CALL(mq_timedsend),
	CALL(mq_timedreceive),
	CALL(mq_notify),
	CALL(mq_getsetattr),

	/*
	 * Not here, beside what makes namespaces and mounts and what changes the
	 * machine: userfaultfd, bpf, perf_event_open, the key rings, fanotify, kcmp
	 * and modify_ldt, which are parts of the kernel that need no namespace to be
	 * attacked through; adjtimex, whose harmless use hides behind a pointer; and
	 * calls that no kernel has had for years.
	 */
};

static const struct seccomp_row excepted[] = {
	/* Typing into a terminal that somebody else reads from. */
	IF(ioctl, IS32(1, TIOCSTI)),
	IF(ioctl, IS32(1, TIOCLINUX)),

	/*
	 * The keeper is process 1 in there and has the same uid. It must keep its
	 * priority and its processors, or its timers come late.
	 */
	IF(sched_setaffinity, IS32(0, 1)),
	IF(sched_setscheduler, IS32(0, 1)),
	IF(sched_setparam, IS32(0, 1)),
	IF(sched_setattr, IS32(0, 1)),
	IF(ioprio_set, IS32(1, 1)),
};

/*
 * What they do cannot be seen by a filter, since it lies behind a pointer, and C
 * libraries have an older call to fall back on.
 */
static const struct seccomp_row absent[] = {
	CALL(clone3),	      CALL(openat2),	       CALL(io_uring_setup),
	CALL(io_uring_enter), CALL(io_uring_register),
};

const struct seccomp_table seccomp_allowed = { allowed, ARRAY_SIZE(allowed) };
const struct seccomp_table seccomp_excepted = { excepted, ARRAY_SIZE(excepted) };
const struct seccomp_table seccomp_absent = { absent, ARRAY_SIZE(absent) };
