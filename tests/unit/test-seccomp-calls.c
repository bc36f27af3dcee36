/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The compiled filter, evaluated here instead of by the kernel: against a table of
 * calls, and against a plain reading of the three tables it was made from.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/ioprio.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cmocka.h>

#include "../../src/base/macro.h"
#include "../../src/core/seccomp-calls.h"
#include "../../src/core/seccomp.h"

#if defined(__x86_64__)
#define NATIVE AUDIT_ARCH_X86_64
#define FOREIGN AUDIT_ARCH_I386
#elif defined(__aarch64__)
#define NATIVE AUDIT_ARCH_AARCH64
#define FOREIGN AUDIT_ARCH_ARM
#else
#error "name the architecture's audit number here"
#endif

#define ALLOW SECCOMP_RET_ALLOW
#define DENY (SECCOMP_RET_ERRNO | EPERM)
#define ABSENT (SECCOMP_RET_ERRNO | ENOSYS)
#define KILL SECCOMP_RET_KILL_PROCESS
#define BROKEN 0xffffffffu /* no action: the program does what no filter may */

static bool jumps(const struct sock_filter *f, uint32_t a)
{
	switch (BPF_OP(f->code)) {
	case BPF_JEQ:
		return a == f->k;
	case BPF_JGT:
		return a > f->k;
	case BPF_JGE:
		return a >= f->k;
	default:
		return a & f->k; /* BPF_JSET */
	}
}

/* The part of classic BPF that a filter without loops and memory needs. */
static uint32_t evaluate(const struct sock_filter *f, size_t n,
			 const struct seccomp_data *data)
{
	uint32_t a = 0;

	for (size_t at = 0; at < n; at++) {
		const struct sock_filter *i = &f[at];

		switch (i->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			if (i->k % 4 != 0 || i->k > sizeof(*data) - sizeof(a))
				return BROKEN;
			memcpy(&a, (const char *)data + i->k, sizeof(a));
			break;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= i->k;
			break;
		case BPF_JMP | BPF_JA:
			at += i->k;
			break;
		case BPF_JMP | BPF_JEQ | BPF_K:
		case BPF_JMP | BPF_JGT | BPF_K:
		case BPF_JMP | BPF_JGE | BPF_K:
		case BPF_JMP | BPF_JSET | BPF_K:
			at += jumps(i, a) ? i->jt : i->jf;
			break;
		case BPF_RET | BPF_K:
			return i->k;
		default:
			return BROKEN;
		}
	}
	return BROKEN;
}

static uint32_t filter(const struct seccomp_data *data)
{
	const struct sock_filter *f = NULL;
	size_t n = 0;

	assert_int_equal(seccomp_program(&f, &n, NULL), 0);
	return evaluate(f, n, data);
}

struct row {
	const char *text;
	uint32_t expected;
	uint32_t arch;
	uint32_t nr;
	uint64_t args[6];
};

#define ROW(what, number, ...)                                                           \
	{                                                                                \
		.text = #what " " #number " " #__VA_ARGS__, .expected = (what),          \
		.arch = NATIVE, .nr = (uint32_t)(number), .args = {                      \
			__VA_ARGS__                                                      \
		}                                                                        \
	}
#define R(what, name, ...) ROW(what, SYS_##name, __VA_ARGS__)
#define HIGH 0x1234567800000000ull
#define ONES 0xffffffff00000000ull /* of an int that was negative */
#define MAKE (O_CREAT | O_WRONLY)
#define TMP (O_TMPFILE | O_RDWR)

static const struct row rows[] = {
	/* plain ones */
	R(ALLOW, read, 0),
	R(ALLOW, write, 1),
	R(ALLOW, close, ~0ull),
	R(ALLOW, mmap, 0),
	R(ALLOW, execve, 0),
	R(ALLOW, execveat, 0),
	R(ALLOW, exit_group, 0),
	R(ALLOW, wait4, 0),
	R(ALLOW, futex, 0),
	R(ALLOW, rseq, 0),
	R(ALLOW, ptrace, 0),
	R(ALLOW, process_vm_readv, 0),
	R(ALLOW, seccomp, 1),
	R(ALLOW, landlock_create_ruleset, 0),
	R(ALLOW, landlock_restrict_self, 0),
	R(ALLOW, pidfd_open, 1),
	R(ALLOW, pidfd_getfd, 0),
	R(ALLOW, close_range, 3, ~0ull, 4),
	R(ALLOW, copy_file_range, 0),
	R(ALLOW, statx, 0),
	R(ALLOW, memfd_create, 0),
	R(ALLOW, inotify_init1, 0),
	R(ALLOW, epoll_pwait2, 0),
	R(ALLOW, set_mempolicy, 0),
	R(ALLOW, getrandom, 0),
	R(ALLOW, shmget, 0),
	R(ALLOW, connect, 0),
	R(ALLOW, prctl, 1),
	R(ALLOW, getxattr, 0),
	R(ALLOW, setresuid, 0),
	ROW(ALLOW, 449), /* futex_waitv */
	ROW(ALLOW, 451), /* cachestat */
	ROW(ALLOW, 453), /* map_shadow_stack */
	ROW(ALLOW, 454), /* futex_wake */
	ROW(ALLOW, 457), /* statmount */
	ROW(ALLOW, 462), /* mseal */
	ROW(ALLOW, 463), /* setxattrat */
	ROW(ALLOW, 469), /* file_setattr */

	/* the keeper's limits, priority and processors */
	R(ALLOW, prlimit64, 0, RLIMIT_NOFILE),
	R(ALLOW, prlimit64, HIGH, RLIMIT_NOFILE),
	R(DENY, prlimit64, 1, RLIMIT_NOFILE),
	R(DENY, prlimit64, 77, RLIMIT_NOFILE),
	R(DENY, prlimit64, HIGH | 1, RLIMIT_NOFILE),
	R(DENY, prlimit64, ONES | 0xffffffff, RLIMIT_NOFILE),
	R(ALLOW, setpriority, PRIO_PROCESS, 0, 19),
	R(DENY, setpriority, PRIO_PROCESS, 1, 19),
	R(DENY, setpriority, PRIO_PROCESS, HIGH | 1, 19),
	R(DENY, setpriority, PRIO_PGRP, 0, 19),
	R(DENY, setpriority, PRIO_USER, 0, 19),
	R(DENY, setpriority, HIGH | PRIO_USER, 0, 19),
	R(ALLOW, sched_setaffinity, 0),
	R(ALLOW, sched_setaffinity, 2),
	R(DENY, sched_setaffinity, 1),
	R(DENY, sched_setaffinity, HIGH | 1),
	R(DENY, sched_setaffinity, ONES | 1),
	R(ALLOW, sched_setscheduler, 0),
	R(DENY, sched_setscheduler, 1),
	R(DENY, sched_setscheduler, HIGH | 1),
	R(ALLOW, sched_setparam, 0),
	R(DENY, sched_setparam, 1),
	R(ALLOW, sched_setattr, 0),
	R(DENY, sched_setattr, 1),
	R(DENY, sched_setattr, HIGH | 1),
	R(ALLOW, ioprio_set, 1, 0, 3 << 13),
	R(ALLOW, ioprio_set, 1, 2, 3 << 13),
	R(DENY, ioprio_set, 1, 1, 3 << 13),
	R(DENY, ioprio_set, HIGH | 1, HIGH | 1, 3 << 13),
	R(DENY, ioprio_set, 2, 0, 3 << 13),
	R(DENY, ioprio_set, 3, 0, 3 << 13),
	R(DENY, ioprio_set, HIGH | 3, 0, 3 << 13),

	/* set-id files */
	R(ALLOW, fchmod, 3, 0755),
	R(ALLOW, fchmod, 3, 01777),
	R(DENY, fchmod, 3, 04755),
	R(DENY, fchmod, 3, 02755),
	R(DENY, fchmod, 3, 06755),
	R(DENY, fchmod, 3, HIGH | 04755),
	R(DENY, fchmod, 3, 0xffffffffffffffff),
	R(ALLOW, fchmodat, 0, 0, 0644),
	R(DENY, fchmodat, 0, 0, 04644),
	R(DENY, fchmodat, 0, 0, HIGH | 02644),
	ROW(ALLOW, 452, 0, 0, 0644), /* fchmodat2 */
	ROW(DENY, 452, 0, 0, 04644),
	ROW(DENY, 452, 0, 0, 02644),
	R(ALLOW, openat, 0, 0, O_RDONLY, 0xffffffffffffffff),
	R(ALLOW, openat, 0, 0, O_RDONLY | O_DIRECTORY, 06755),
	R(ALLOW, openat, 0, 0, MAKE, 0644),
	R(ALLOW, openat, 0, 0, TMP, 0600),
	R(DENY, openat, 0, 0, MAKE, 04755),
	R(DENY, openat, 0, 0, MAKE, 02755),
	R(DENY, openat, 0, 0, HIGH | MAKE, HIGH | 04755),
	R(DENY, openat, 0, 0, TMP, 04755),
	R(DENY, openat, 0, 0, TMP, 02755),
	R(ALLOW, mknodat, 0, 0, S_IFIFO | 0644),
	R(DENY, mknodat, 0, 0, S_IFREG | 04755),
	R(DENY, mknodat, 0, 0, S_IFREG | 02755),
	R(ALLOW, mkdirat, 0, 0, 07777),
#ifdef SYS_open
	R(ALLOW, open, 0, O_RDWR, 07777),
	R(ALLOW, open, 0, MAKE, 0666),
	R(DENY, open, 0, MAKE, 04755),
	R(DENY, open, 0, HIGH | MAKE, 02755),
	R(DENY, open, 0, TMP, 04755),
	R(ALLOW, creat, 0, 0644),
	R(DENY, creat, 0, 04755),
	R(DENY, creat, 0, 02755),
	R(ALLOW, chmod, 0, 0755),
	R(DENY, chmod, 0, 04755),
	R(DENY, chmod, 0, HIGH | 02755),
	R(ALLOW, mknod, 0, S_IFIFO | 0644),
	R(DENY, mknod, 0, S_IFREG | 04755),
	R(DENY, mknod, 0, S_IFREG | 02755),
	R(ALLOW, fork, 0),
	R(ALLOW, poll, 0),
	R(ALLOW, arch_prctl, 0),
#endif

	/* terminals */
	R(ALLOW, ioctl, 0, TIOCGWINSZ),
	R(ALLOW, ioctl, 0, TCGETS),
	R(ALLOW, ioctl, 0, TIOCSTI + 1),
	R(ALLOW, ioctl, 0, ONES | 0x80045430),
	R(DENY, ioctl, 0, TIOCSTI),
	R(DENY, ioctl, 0, HIGH | TIOCSTI),
	R(DENY, ioctl, 0, ONES | TIOCSTI),
	R(DENY, ioctl, 0, TIOCLINUX),
	R(DENY, ioctl, 0, ONES | TIOCLINUX),

	/* namespaces and mounts */
	R(ALLOW, clone, SIGCHLD),
	R(ALLOW, clone, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD),
	R(ALLOW, clone, CLONE_VM | CLONE_VFORK | SIGCHLD),
	R(DENY, clone, CLONE_NEWNS | SIGCHLD),
	R(DENY, clone, CLONE_NEWCGROUP | SIGCHLD),
	R(DENY, clone, CLONE_NEWUTS | SIGCHLD),
	R(DENY, clone, CLONE_NEWIPC | SIGCHLD),
	R(DENY, clone, CLONE_NEWUSER | SIGCHLD),
	R(DENY, clone, CLONE_NEWPID | SIGCHLD),
	R(DENY, clone, CLONE_NEWNET | SIGCHLD),
	R(DENY, clone, HIGH | CLONE_NEWUSER | SIGCHLD),
	R(DENY, clone, ~0ull),
	R(DENY, unshare, 0),
	R(DENY, setns, 3),
	R(DENY, mount, 0),
	R(DENY, umount2, 0),
	R(DENY, pivot_root, 0),
	R(DENY, chroot, 0),
	R(DENY, open_tree, 0),
	R(DENY, move_mount, 0),
	R(DENY, fsopen, 0),
	R(DENY, fsconfig, 0),
	R(DENY, fsmount, 0),
	R(DENY, fspick, 0),
	R(DENY, mount_setattr, 0),
	ROW(DENY, 467), /* open_tree_attr */
	R(DENY, open_by_handle_at, 0),
	R(DENY, sethostname, 0),
	R(DENY, setdomainname, 0),

	/* the machine, and corners of the kernel */
	R(DENY, userfaultfd, 0),
	R(DENY, bpf, 0),
	R(DENY, perf_event_open, 0),
	R(DENY, add_key, 0),
	R(DENY, keyctl, 0),
	R(DENY, request_key, 0),
	R(DENY, kexec_load, 0),
	R(DENY, init_module, 0),
	R(DENY, finit_module, 0),
	R(DENY, delete_module, 0),
	R(DENY, quotactl, 0),
	R(DENY, quotactl_fd, 0),
	R(DENY, acct, 0),
	R(DENY, swapon, 0),
	R(DENY, swapoff, 0),
	R(DENY, reboot, 0),
	R(DENY, settimeofday, 0),
	R(DENY, clock_settime, 0),
	R(DENY, adjtimex, 0),
	R(DENY, clock_adjtime, 0),
	R(DENY, syslog, 0),
	R(DENY, vhangup, 0),
	R(DENY, fanotify_init, 0),
	R(DENY, fanotify_mark, 0),
	R(DENY, kcmp, 0),
	R(DENY, move_pages, 0),
	R(DENY, migrate_pages, 0),
	R(DENY, nfsservctl, 0),
	ROW(DENY, 460), /* lsm_set_self_attr */
#ifdef __x86_64__
	R(DENY, iopl, 3),
	R(DENY, ioperm, 0),
	R(DENY, modify_ldt, 0),
	R(DENY, uselib, 0),
	R(DENY, ustat, 0),
	R(DENY, sysfs, 0),
	R(DENY, _sysctl, 0),
	R(DENY, kexec_file_load, 0),
	R(DENY, lookup_dcookie, 0),
	R(DENY, create_module, 0),
#endif

	/* behind a pointer */
	R(ABSENT, clone3, 0),
	R(ABSENT, openat2, 0),
	R(ABSENT, io_uring_setup, 0),
	R(ABSENT, io_uring_enter, 0),
	R(ABSENT, io_uring_register, 0),

	/* the execution domain */
	R(ALLOW, personality, PER_LINUX),
	R(ALLOW, personality, PER_LINUX32),
	R(ALLOW, personality, ADDR_NO_RANDOMIZE),
	R(ALLOW, personality, 0xffffffff),
	R(ALLOW, personality, ~0ull),
	R(DENY, personality, READ_IMPLIES_EXEC),
	R(DENY, personality, HIGH | READ_IMPLIES_EXEC),
	R(DENY, personality, ADDR_NO_RANDOMIZE | READ_IMPLIES_EXEC),
	R(DENY, personality, MMAP_PAGE_ZERO),
	R(DENY, personality, ADDR_COMPAT_LAYOUT),
	R(DENY, personality, PER_SVR4),

	/* sockets */
	R(ALLOW, socket, AF_UNIX, SOCK_STREAM, 0),
	R(ALLOW, socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0),
	R(ALLOW, socket, HIGH | AF_UNIX, SOCK_DGRAM, 0),
	R(ALLOW, socket, AF_INET, SOCK_STREAM, 0),
	R(ALLOW, socket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
	  IPPROTO_TCP),
	R(ALLOW, socket, AF_INET, SOCK_STREAM, IPPROTO_MPTCP),
	R(ALLOW, socket, AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0),
	R(ALLOW, socket, AF_INET, SOCK_DGRAM, IPPROTO_UDP),
	R(ALLOW, socket, AF_INET, SOCK_DGRAM, IPPROTO_ICMP),
	R(ALLOW, socket, AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0),
	R(ALLOW, socket, AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6),
	R(DENY, socket, AF_INET, SOCK_RAW, IPPROTO_ICMP),
	R(DENY, socket, AF_INET, SOCK_RAW | SOCK_CLOEXEC, 0),
	R(DENY, socket, AF_INET, HIGH | SOCK_RAW, 0),
	R(DENY, socket, AF_INET6, SOCK_RAW, IPPROTO_RAW),
	R(DENY, socket, AF_INET, SOCK_STREAM, IPPROTO_SCTP),
	R(DENY, socket, AF_INET, SOCK_STREAM, HIGH | IPPROTO_SCTP),
	R(DENY, socket, AF_INET, SOCK_SEQPACKET, IPPROTO_SCTP),
	R(DENY, socket, AF_INET, SOCK_DCCP, 0),
	R(DENY, socket, AF_INET, 10 /* SOCK_PACKET */, 0),
	R(DENY, socket, AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE),
	R(ALLOW, socket, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE),
	R(ALLOW, socket, AF_NETLINK, SOCK_DGRAM, NETLINK_KOBJECT_UEVENT),
	R(DENY, socket, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER),
	R(DENY, socket, AF_NETLINK, SOCK_RAW, NETLINK_GENERIC),
	R(DENY, socket, AF_NETLINK, SOCK_RAW, NETLINK_XFRM),
	R(DENY, socket, AF_NETLINK, SOCK_RAW, NETLINK_AUDIT),
	R(DENY, socket, AF_NETLINK, SOCK_RAW, HIGH | NETLINK_SOCK_DIAG),
	R(DENY, socket, AF_PACKET, SOCK_DGRAM, 0),
	R(DENY, socket, HIGH | AF_PACKET, SOCK_RAW, 0),
	R(DENY, socket, AF_VSOCK, SOCK_STREAM, 0),
	R(DENY, socket, AF_ALG, SOCK_SEQPACKET, 0),
	R(DENY, socket, AF_KEY, SOCK_RAW, 2),
	R(DENY, socket, AF_BLUETOOTH, SOCK_RAW, 1),
	R(DENY, socket, AF_CAN, SOCK_RAW, 1),
	R(DENY, socket, AF_TIPC, SOCK_STREAM, 0),
	R(DENY, socket, AF_XDP, SOCK_RAW, 0),
	R(DENY, socket, AF_UNSPEC, SOCK_STREAM, 0),
	R(ALLOW, socketpair, AF_UNIX, SOCK_STREAM, 0),
	R(DENY, socketpair, AF_TIPC, SOCK_STREAM, 0),

	/* numbers that no table knows */
	ROW(ABSENT, SECCOMP_NEWEST + 1),
	ROW(ABSENT, 512),
	ROW(ABSENT, 547),
	ROW(ABSENT, 1000),
	ROW(ABSENT, 0x3fffffff),
	ROW(ABSENT, 0xffffffff), /* what a tracer sets to skip a call */

	/* other ways in */
	{ "i386 getpid", KILL, FOREIGN, 20, { 0 } },
	{ "i386 exit", KILL, FOREIGN, 1, { 0 } },
	{ "i386 number beyond the newest", KILL, FOREIGN, 1000, { 0 } },
	{ "no architecture", KILL, 0, SYS_read, { 0 } },
	{ "another machine", KILL, AUDIT_ARCH_PPC64LE, SYS_read, { 0 } },
#ifdef __x86_64__
	ROW(KILL, 0x40000000u | SYS_read),
	ROW(KILL, 0x40000000u | SYS_getpid),
	ROW(KILL, 0x40000000u | SYS_mount),
	ROW(KILL, 0x40000000u | 520), /* execve of x32 */
	ROW(KILL, 0x40000000u | 1000),
	ROW(KILL, 0x80000000u),
	ROW(KILL, 0xfffffffeu),
#endif
};

static void test_each_call_gets_its_answer(void **state)
{
	(void)state;
	assert_in_range(ARRAY_SIZE(rows), 200, 1000);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *r = &rows[i];
		struct seccomp_data data = { .nr = (int)r->nr, .arch = r->arch };
		uint32_t got;

		memcpy(data.args, r->args, sizeof(data.args));
		got = filter(&data);
		if (got != r->expected)
			fail_msg("%s: %#x", r->text, got);
	}
}

static bool holds(const struct scmp_arg_cmp *c, const struct seccomp_data *d)
{
	assert_int_equal(c->op, SCMP_CMP_MASKED_EQ);
	return (d->args[c->arg] & c->datum_a) == c->datum_b;
}

static bool in_table(const struct seccomp_table *t, const struct seccomp_data *d)
{
	for (size_t i = 0; i < t->n; i++) {
		bool all = t->rows[i].nr == d->nr;

		for (unsigned int j = 0; all && j < t->rows[i].n; j++)
			all = holds(&t->rows[i].cmp[j], d);
		if (all)
			return true;
	}
	return false;
}

static uint32_t by_the_tables(const struct seccomp_data *d)
{
	if (d->nr > SECCOMP_NEWEST || in_table(&seccomp_absent, d))
		return ABSENT;
	if (in_table(&seccomp_excepted, d))
		return DENY;
	return in_table(&seccomp_allowed, d) ? ALLOW : DENY;
}

/* All that the comparisons look for, what lies beside it, and rubbish above. */
static uint64_t some_value(uint64_t *seed)
{
	static const uint64_t values[] = {
		0,	  1,	      2,       3,	    15,	     6,
		17,	  58,	      262,     10,	    16,	     8,
		0x40000,  0xffffffff, TIOCSTI, TIOCLINUX,   04000,   02000,
		0644,	  MAKE,	      TMP,     CLONE_NEWNS, SIGCHLD, CLONE_NEWNET,
		0x400000, 0x80801,
	};
	uint64_t r;

	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	r = *seed >> 33;
	return values[r % ARRAY_SIZE(values)] | (r & 0x10000 ? HIGH : 0);
}

static void test_the_program_says_what_the_tables_say(void **state)
{
	uint64_t seed = 1;
	size_t allowed = 0;

	(void)state;
	for (int nr = 0; nr < 1024; nr++) {
		for (int round = 0; round < 300; round++) {
			struct seccomp_data d = { .nr = nr, .arch = NATIVE };
			uint32_t got, expected;

			for (int i = 0; round > 0 && i < 6; i++)
				d.args[i] = some_value(&seed);
			got = filter(&d);
			expected = by_the_tables(&d);
			if (got != expected)
				fail_msg("call %d, round %d: %#x instead of %#x", nr,
					 round, got, expected);
			allowed += got == ALLOW;
		}
	}
	assert_in_range(allowed, 250 * 300, 400 * 300);
}

/* An "or" of the same thing twice, or a call with and without a condition. */
static void test_no_row_is_there_for_nothing(void **state)
{
	const struct seccomp_table *t = &seccomp_allowed;

	(void)state;
	for (size_t i = 0; i < t->n; i++)
		for (size_t j = 0; j < i; j++)
			if (t->rows[i].nr == t->rows[j].nr && t->rows[i].nr >= 0 &&
			    (t->rows[i].n == 0 || t->rows[j].n == 0))
				fail_msg("call %d is named twice", t->rows[i].nr);
}

/* It is checked, translated and walked for each number at every command. */
static void test_the_program_is_small(void **state)
{
	const struct sock_filter *f = NULL;
	size_t n = 0;

	(void)state;
	assert_int_equal(seccomp_program(&f, &n, NULL), 0);
	assert_in_range(n, 1, 350);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_call_gets_its_answer),
		cmocka_unit_test(test_the_program_says_what_the_tables_say),
		cmocka_unit_test(test_no_row_is_there_for_nothing),
		cmocka_unit_test(test_the_program_is_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
