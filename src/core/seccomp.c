/* SPDX-License-Identifier: Apache-2.0 */

#include "seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/ioprio.h>
#include <sched.h>
#include <seccomp.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/cleanup.h"
#include "../base/fd.h"
#include "../base/macro.h"

/*
 * Calls that are younger than the headers of the oldest system we build on. Such
 * numbers are the same on all architectures.
 */
#define NR_MOUNT_SETATTR 442
#define NR_QUOTACTL_FD 443
#define NR_FCHMODAT2 452
#define NR_OPEN_TREE_ATTR 467

/*
 * All of the argument but its upper half, which the kernel does not look at
 * where the parameter is an int: without the mask, 0x100005412 passes for no
 * TIOCSTI. A test of single bits needs no more than the bit.
 */
#define IS32(n, v)                                                                       \
	{                                                                                \
		.arg = (n), .op = SCMP_CMP_MASKED_EQ, .datum_a = 0xffffffff,             \
		.datum_b = (v)                                                           \
	}
#define HAS(n, bit)                                                                      \
	{                                                                                \
		.arg = (n), .op = SCMP_CMP_MASKED_EQ, .datum_a = (bit), .datum_b = (bit) \
	}
/*
 * There is no masked "not equal". This one compares all 64 bits, so that rubbish
 * in the upper half is refused with the rest: it errs on the safe side.
 */
#define NOT(n, v)                                                                        \
	{                                                                                \
		.arg = (n), .op = SCMP_CMP_NE, .datum_a = (v)                            \
	}

struct rule {
	int nr;
	unsigned int n; /* comparisons, all of which must hold */
	struct scmp_arg_cmp cmp[2];
};

#define CALL(name)                                                                       \
	{                                                                                \
		.nr = SCMP_SYS(name)                                                     \
	}
#define IF1(name, a)                                                                     \
	{                                                                                \
		.nr = SCMP_SYS(name), .n = 1, .cmp = { a }                               \
	}
#define IF2(name, a, b)                                                                  \
	{                                                                                \
		.nr = SCMP_SYS(name), .n = 2, .cmp = { a, b }                            \
	}

/* O_TMPFILE is this bit and O_DIRECTORY; the first alone is refused by open(2). */
#define TMPFILE_BIT (O_TMPFILE & ~O_DIRECTORY)

/* Answered with EPERM. Rules of one call are joined by "or". */
static const struct rule refused[] = {
	/*
	 * The keeper is process 1 in there and has the same uid. It must keep its
	 * limits, its priority and its processors, or its timers come late.
	 */
	IF1(prlimit64, NOT(0, 0)),
	IF1(setpriority, NOT(0, PRIO_PROCESS)),
	IF1(setpriority, NOT(1, 0)),
	IF1(sched_setaffinity, IS32(0, 1)),
	IF1(sched_setscheduler, IS32(0, 1)),
	IF1(sched_setparam, IS32(0, 1)),
	IF1(sched_setattr, IS32(0, 1)),
	IF1(ioprio_set, NOT(0, IOPRIO_WHO_PROCESS)),
	IF1(ioprio_set, IS32(1, 1)),

	/*
	 * A set-uid file left in the workspace would outlive the sandbox, and give
	 * the user's rights to whoever runs it on the host.
	 */
	IF1(chmod, HAS(1, S_ISUID)),
	IF1(chmod, HAS(1, S_ISGID)),
	IF1(fchmod, HAS(1, S_ISUID)),
	IF1(fchmod, HAS(1, S_ISGID)),
	IF1(fchmodat, HAS(2, S_ISUID)),
	IF1(fchmodat, HAS(2, S_ISGID)),
	{ .nr = NR_FCHMODAT2, .n = 1, .cmp = { HAS(2, S_ISUID) } },
	{ .nr = NR_FCHMODAT2, .n = 1, .cmp = { HAS(2, S_ISGID) } },
	IF2(open, HAS(1, O_CREAT), HAS(2, S_ISUID)),
	IF2(open, HAS(1, O_CREAT), HAS(2, S_ISGID)),
	IF2(open, HAS(1, TMPFILE_BIT), HAS(2, S_ISUID)),
	IF2(open, HAS(1, TMPFILE_BIT), HAS(2, S_ISGID)),
	IF2(openat, HAS(2, O_CREAT), HAS(3, S_ISUID)),
	IF2(openat, HAS(2, O_CREAT), HAS(3, S_ISGID)),
	IF2(openat, HAS(2, TMPFILE_BIT), HAS(3, S_ISUID)),
	IF2(openat, HAS(2, TMPFILE_BIT), HAS(3, S_ISGID)),
	IF1(creat, HAS(1, S_ISUID)),
	IF1(creat, HAS(1, S_ISGID)),
	IF1(mknod, HAS(1, S_ISUID)),
	IF1(mknod, HAS(1, S_ISGID)),
	IF1(mknodat, HAS(2, S_ISUID)),
	IF1(mknodat, HAS(2, S_ISGID)),

	/* Typing into a terminal that somebody else reads from. */
	IF1(ioctl, IS32(1, TIOCSTI)),
	IF1(ioctl, IS32(1, TIOCLINUX)),

	/* Other namespaces and other mounts than those it was given. */
	IF1(clone, HAS(0, CLONE_NEWNS)),
	IF1(clone, HAS(0, CLONE_NEWCGROUP)),
	IF1(clone, HAS(0, CLONE_NEWUTS)),
	IF1(clone, HAS(0, CLONE_NEWIPC)),
	IF1(clone, HAS(0, CLONE_NEWUSER)),
	IF1(clone, HAS(0, CLONE_NEWPID)),
	IF1(clone, HAS(0, CLONE_NEWNET)),
	CALL(unshare),
	CALL(setns),
	CALL(mount),
	CALL(umount),
	CALL(umount2),
	CALL(pivot_root),
	CALL(chroot),
	CALL(open_tree),
	CALL(move_mount),
	CALL(fsopen),
	CALL(fsconfig),
	CALL(fsmount),
	CALL(fspick),
	{ .nr = NR_MOUNT_SETATTR },
	{ .nr = NR_OPEN_TREE_ATTR },
	CALL(open_by_handle_at),
	CALL(sethostname),
	CALL(setdomainname),

	/* Parts of the kernel that need no namespace to be attacked through. */
	CALL(userfaultfd),
	CALL(bpf),
	CALL(perf_event_open),
	CALL(add_key),
	CALL(keyctl),
	CALL(request_key),

	/* The machine as a whole. The capabilities are gone too: two layers. */
	CALL(kexec_load),
	CALL(kexec_file_load),
	CALL(init_module),
	CALL(finit_module),
	CALL(delete_module),
	CALL(quotactl),
	{ .nr = NR_QUOTACTL_FD },
	CALL(acct),
	CALL(swapon),
	CALL(swapoff),
	CALL(reboot),
	CALL(settimeofday),
	CALL(clock_settime),
	CALL(syslog),
	CALL(vhangup),
	CALL(iopl),
	CALL(ioperm),
};

/*
 * Answered with ENOSYS: what they do cannot be seen by a filter, since it lies
 * behind a pointer, and C libraries have an older call to fall back on.
 */
static const struct rule unknown[] = {
	CALL(clone3),	      CALL(openat2),	       CALL(io_uring_setup),
	CALL(io_uring_enter), CALL(io_uring_register),
};

static struct sock_filter *program;
static size_t program_len;

static void release(scmp_filter_ctx ctx)
{
	seccomp_release(ctx);
}
DEFINE_CLEANUP(scmp_filter_ctx, release);

static int add_rules(scmp_filter_ctx ctx, uint32_t action, const struct rule *rules,
		     size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int r = seccomp_rule_add_array(ctx, action, rules[i].nr, rules[i].n,
					       rules[i].cmp);

		if (r < 0)
			return r;
	}
	return 0;
}

static int build(scmp_filter_ctx ctx)
{
	int r;

	/* x32 shares the machine's own architecture number; libseccomp sorts it out. */
	r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (r < 0)
		return r;
	/* A binary tree of numbers: it is walked at every system call. */
	r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (r < 0)
		return r;
	r = add_rules(ctx, SCMP_ACT_ERRNO(EPERM), refused, ARRAY_SIZE(refused));
	if (r < 0)
		return r;
	return add_rules(ctx, SCMP_ACT_ERRNO(ENOSYS), unknown, ARRAY_SIZE(unknown));
}

/* libseccomp writes to a descriptor only. */
static int export(scmp_filter_ctx ctx, struct err *err)
{
	CLEANUP(close) int fd = -1;
	CLEANUP(free) struct sock_filter *p = NULL;
	off_t size;
	int r;

	fd = memfd_create("seccomp", MFD_CLOEXEC);
	if (fd < 0)
		return err_set(err, ERR_UNAVAILABLE, "seccomp", errno, "memfd_create");
	r = seccomp_export_bpf(ctx, fd);
	if (r < 0)
		return err_set(err, ERR_UNSUPPORTED, "seccomp", -r, "seccomp_export_bpf");
	size = lseek(fd, 0, SEEK_END);
	if (size <= 0 || (size_t)size % sizeof(*p) != 0 ||
	    (size_t)size / sizeof(*p) > BPF_MAXINSNS)
		return err_set(err, ERR_INTERNAL, "seccomp", 0,
			       "the system call filter has %lld bytes", (long long)size);
	p = malloc((size_t)size);
	if (!p)
		return err_set(err, ERR_UNAVAILABLE, "seccomp", ENOMEM, "filter");
	r = fd_pread_all(fd, p, (size_t)size, 0);
	if (r < 0)
		return err_set(err, ERR_UNAVAILABLE, "seccomp", -r, "read the filter");
	program = TAKE_PTR(p);
	program_len = (size_t)size / sizeof(*p);
	return 0;
}

int seccomp_program(const struct sock_filter **ret, size_t *ret_n, struct err *err)
{
	CLEANUP(release) scmp_filter_ctx ctx = NULL;
	int r;

	if (!program) {
		ctx = seccomp_init(SCMP_ACT_ALLOW);
		if (!ctx)
			return err_set(err, ERR_UNAVAILABLE, "seccomp", ENOMEM,
				       "seccomp_init");
		r = build(ctx);
		if (r < 0)
			return err_set(
				err, ERR_UNSUPPORTED, "seccomp", -r,
				"libseccomp cannot build the system call filter for this "
				"architecture");
		r = export(ctx, err);
		if (r < 0)
			return r;
	}
	*ret = program;
	*ret_n = program_len;
	return 0;
}
