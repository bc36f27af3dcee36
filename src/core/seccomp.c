/* SPDX-License-Identifier: Apache-2.0 */

#include "seccomp.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stddef.h>
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

struct parts {
	struct program at[3];
};

static void parts_fini_p(struct parts *p)
{
	int keep = errno;

	for (size_t i = 0; i < ARRAY_SIZE(p->at); i++)
		free(p->at[i].insn);
	errno = keep;
}

static void release(scmp_filter_ctx ctx)
{
	seccomp_release(ctx);
}
DEFINE_CLEANUP(scmp_filter_ctx, release);

static int add_row(scmp_filter_ctx ctx, uint32_t action, const struct seccomp_row *row)
{
	return seccomp_rule_add_array(ctx, action, row->nr, row->n, row->cmp);
}

static int add_table(scmp_filter_ctx ctx, uint32_t action, const struct seccomp_table *t)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < t->n; i++)
		r = add_row(ctx, action, &t->rows[i]);
	return r;
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

/* A program of libseccomp's: `otherwise` where none of its rules holds. */
static int compile(uint32_t otherwise, int (*add_rules)(scmp_filter_ctx ctx),
		   struct program *ret, struct err *err)
{
	CLEANUP(release) scmp_filter_ctx ctx = NULL;
	int r;

	ctx = seccomp_init(otherwise);
	if (!ctx)
		return err_set(err, ERR_UNAVAILABLE, "seccomp", ENOMEM, "seccomp_init");
	r = set_up(ctx);
	if (r == 0)
		r = add_rules(ctx);
	if (r < 0)
		return err_set(err, ERR_UNSUPPORTED, "seccomp", -r,
			       "libseccomp cannot build the system call filter for this "
			       "architecture");
	return export(ctx, ret, err);
}

static int add_exceptions(scmp_filter_ctx ctx)
{
	return add_table(ctx, SCMP_ACT_ERRNO(EPERM), &seccomp_excepted);
}

static int add_conditions(scmp_filter_ctx ctx)
{
	int r = add_table(ctx, SCMP_ACT_ERRNO(ENOSYS), &seccomp_absent);

	for (size_t i = 0; r == 0 && i < seccomp_allowed.n; i++)
		if (seccomp_allowed.rows[i].n > 0)
			r = add_row(ctx, SCMP_ACT_ALLOW, &seccomp_allowed.rows[i]);
	return r;
}

/*
 * The numbers that are allowed whatever their arguments, as the sorted limits of
 * their runs: allowed are [at[0], at[1]), [at[2], at[3]) and so on.
 */
struct runs {
	uint32_t at[2 * (SECCOMP_NEWEST + 1)];
	size_t n;
};

static void find_runs(struct runs *ret)
{
	bool yes[SECCOMP_NEWEST + 2] = { false };

	for (size_t i = 0; i < seccomp_allowed.n; i++) {
		const struct seccomp_row *row = &seccomp_allowed.rows[i];

		if (row->n == 0 && row->nr >= 0 && row->nr <= SECCOMP_NEWEST)
			yes[row->nr] = true;
	}
	ret->n = 0;
	for (uint32_t nr = 0; nr < ARRAY_SIZE(yes); nr++)
		if (yes[nr] != (nr > 0 && yes[nr - 1]))
			ret->at[ret->n++] = nr;
}

/*
 * A binary search among the limits lo to hi, as jumps. Every limit is one
 * instruction, so a part of the tree is as long as it has limits. Behind the tree
 * stands the answer for a number in a run, and behind that what looks at the rest.
 */
static void search(const struct runs *runs, size_t lo, size_t hi, size_t here,
		   struct sock_filter *f)
{
	size_t mid = lo + (hi - lo) / 2, left = here + 1, right = left + mid - lo;
	size_t in = runs->n, out = runs->n + 1;

	if (lo == hi)
		return;
	search(runs, lo, mid, left, f);
	search(runs, mid + 1, hi, right, f);
	if (lo == mid)
		left = lo % 2 ? in : out;
	if (mid + 1 == hi)
		right = hi % 2 ? in : out;
	f[here] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, runs->at[mid],
					       (uint8_t)(right - here - 1),
					       (uint8_t)(left - here - 1));
}

/*
 * A number that no table knows does not exist; then the runs. libseccomp has no
 * ranges: with one number after the other the whole is twice as long, and its load
 * at every command takes 190 us instead of 120.
 */
static int compile_numbers(struct program *ret, struct err *err)
{
	const struct sock_filter newer[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, SECCOMP_NEWEST, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
	};
	struct runs runs;
	size_t n;

	find_runs(&runs);
	if (runs.n > UINT8_MAX) /* as far as a jump reaches */
		return err_set(err, ERR_INTERNAL, "seccomp", 0,
			       "the allowed system calls lie in %zu runs, more than %d",
			       runs.n / 2, UINT8_MAX / 2);
	n = ARRAY_SIZE(newer) + runs.n + 1;
	ret->insn = malloc(n * sizeof(*ret->insn));
	if (!ret->insn)
		return err_set(err, ERR_UNAVAILABLE, "seccomp", ENOMEM, "filter");
	memcpy(ret->insn, newer, sizeof(newer));
	search(&runs, 0, runs.n, 0, ret->insn + ARRAY_SIZE(newer));
	ret->insn[n - 1] =
		(struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	ret->n = n;
	return 0;
}

/* One program of all: where the first would allow, it goes on to the next. */
static int join(const struct program *part, size_t parts, struct program *ret,
		struct err *err)
{
	struct sock_filter *p;
	size_t n = 0;

	for (size_t i = 0; i < parts; i++)
		n += part[i].n;
	if (n > BPF_MAXINSNS)
		return err_set(err, ERR_INTERNAL, "seccomp", 0,
			       "the system call filter has %zu instructions; the kernel "
			       "takes %d",
			       n, BPF_MAXINSNS);
	p = malloc(n * sizeof(*p));
	if (!p)
		return err_set(err, ERR_UNAVAILABLE, "seccomp", ENOMEM, "filter");
	ret->insn = p;
	ret->n = n;
	for (size_t i = 0; i < parts; i++) {
		memcpy(p, part[i].insn, part[i].n * sizeof(*p));
		p += part[i].n;
	}
	for (size_t i = 0; i < part[0].n; i++)
		if (ret->insn[i].code == (BPF_RET | BPF_K) &&
		    ret->insn[i].k == SECCOMP_RET_ALLOW)
			ret->insn[i] = (struct sock_filter)BPF_STMT(
				BPF_JMP | BPF_JA, (uint32_t)(part[0].n - i - 1));
	return 0;
}

/*
 * First what is refused all the same, and the architecture; then the numbers; then
 * what looks at arguments, and refuses the rest.
 */
static int build(struct program *ret, struct err *err)
{
	CLEANUP(parts_fini) struct parts parts = { 0 };
	int r;

	r = compile(SCMP_ACT_ALLOW, add_exceptions, &parts.at[0], err);
	if (r < 0)
		return r;
	r = compile_numbers(&parts.at[1], err);
	if (r < 0)
		return r;
	r = compile(SCMP_ACT_ERRNO(EPERM), add_conditions, &parts.at[2], err);
	if (r < 0)
		return r;
	return join(parts.at, ARRAY_SIZE(parts.at), ret, err);
}

int seccomp_program(const struct sock_filter **ret, size_t *ret_n, struct err *err)
{
	static struct program program;

	if (!program.insn) {
		int r = build(&program, err);

		if (r < 0)
			return r;
	}
	*ret = program.insn;
	*ret_n = program.n;
	return 0;
}
