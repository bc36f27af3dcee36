/* SPDX-License-Identifier: Apache-2.0 */

#include "seccomp.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../base/cleanup.h"
#include "../base/fd.h"
#include "../base/macro.h"
#include "seccomp-calls.h"

struct program {
	struct sock_filter *insn;
	size_t n;
};

static void program_fini(struct program *p)
{
	free(p->insn);
}

static void program_fini_p(struct program *p)
{
	int keep = errno;

	program_fini(p);
	errno = keep;
}

static void release(scmp_filter_ctx ctx)
{
	seccomp_release(ctx);
}
DEFINE_CLEANUP(scmp_filter_ctx, release);

static struct program program;

static int add_table(scmp_filter_ctx ctx, uint32_t action, const struct seccomp_table *t)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct seccomp_row *row = &t->rows[i];
		int r = seccomp_rule_add_array(ctx, action, row->nr, row->n, row->cmp);

		if (r < 0)
			return r;
	}
	return 0;
}

static int set_up(scmp_filter_ctx ctx)
{
	int r;

	/* x32 shares the machine's own architecture number; libseccomp sorts it out. */
	r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (r < 0)
		return r;
	/* A binary tree of numbers: it is walked at calls that look at arguments. */
	return seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
}

/* libseccomp writes to a descriptor only. */
static int export(scmp_filter_ctx ctx, struct program *ret, struct err *err)
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
	ret->insn = TAKE_PTR(p);
	ret->n = (size_t)size / sizeof(*p);
	return 0;
}

/* What `table` names is answered with `action`, all else with `otherwise`. */
static int compile(uint32_t otherwise, uint32_t action, const struct seccomp_table *table,
		   uint32_t action2, const struct seccomp_table *table2,
		   struct program *ret, struct err *err)
{
	CLEANUP(release) scmp_filter_ctx ctx = NULL;
	int r;

	ctx = seccomp_init(otherwise);
	if (!ctx)
		return err_set(err, ERR_UNAVAILABLE, "seccomp", ENOMEM, "seccomp_init");
	r = set_up(ctx);
	if (r == 0)
		r = add_table(ctx, action, table);
	if (r == 0 && table2)
		r = add_table(ctx, action2, table2);
	if (r < 0)
		return err_set(err, ERR_UNSUPPORTED, "seccomp", -r,
			       "libseccomp cannot build the system call filter for this "
			       "architecture");
	return export(ctx, ret, err);
}

/*
 * One program of two: where the first would allow, it goes on to the second, past
 * a test for numbers that no table knows. The first has checked the architecture.
 */
static int join(const struct program *first, const struct program *second,
		struct program *ret, struct err *err)
{
	const struct sock_filter newer[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, SECCOMP_NEWEST, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
	};
	size_t n = first->n + ARRAY_SIZE(newer) + second->n;
	struct sock_filter *p;

	if (n > BPF_MAXINSNS)
		return err_set(err, ERR_INTERNAL, "seccomp", 0,
			       "the system call filter has %zu instructions; the kernel "
			       "takes %d",
			       n, BPF_MAXINSNS);
	p = malloc(n * sizeof(*p));
	if (!p)
		return err_set(err, ERR_UNAVAILABLE, "seccomp", ENOMEM, "filter");
	memcpy(p, first->insn, first->n * sizeof(*p));
	memcpy(p + first->n, newer, sizeof(newer));
	memcpy(p + first->n + ARRAY_SIZE(newer), second->insn, second->n * sizeof(*p));
	for (size_t i = 0; i < first->n; i++)
		if (p[i].code == (BPF_RET | BPF_K) && p[i].k == SECCOMP_RET_ALLOW)
			p[i] = (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA,
							    (uint32_t)(first->n - i - 1));
	ret->insn = p;
	ret->n = n;
	return 0;
}

static int build(struct err *err)
{
	CLEANUP(program_fini) struct program first = { 0 };
	CLEANUP(program_fini) struct program second = { 0 };
	int r;

	r = compile(SCMP_ACT_ALLOW, SCMP_ACT_ERRNO(EPERM), &seccomp_excepted, 0, NULL,
		    &first, err);
	if (r < 0)
		return r;
	r = compile(SCMP_ACT_ERRNO(EPERM), SCMP_ACT_ALLOW, &seccomp_allowed,
		    SCMP_ACT_ERRNO(ENOSYS), &seccomp_absent, &second, err);
	if (r < 0)
		return r;
	return join(&first, &second, &program, err);
}

int seccomp_program(const struct sock_filter **ret, size_t *ret_n, struct err *err)
{
	if (!program.insn) {
		int r = build(err);

		if (r < 0)
			return r;
	}
	*ret = program.insn;
	*ret_n = program.n;
	return 0;
}
