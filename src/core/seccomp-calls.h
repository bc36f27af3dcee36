/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * seccomp-calls - which system calls a sandboxed command may make
 *
 * Three tables. A call that is in none of them is refused with EPERM, one above
 * SECCOMP_NEWEST is answered with ENOSYS.
 *
 *	allowed		may be made, if every comparison of its row holds. Rows of
 *			one call are joined by "or".
 *	excepted	is refused all the same, with EPERM. For "any value but this
 *			one", which no row of `allowed` can say: libseccomp has no
 *			masked "not equal", and compares an argument once in a row.
 *	absent		is answered with ENOSYS, as if the kernel were older.
 *
 * A filter compares 64-bit registers while the kernel looks at the lower half of
 * an int: all comparisons mask (CVE-2019-10063). A call that an architecture does
 * not have has a negative number there, and libseccomp leaves it out.
 */

#include <seccomp.h>
#include <stddef.h>

/*
 * The last number that the tables were held against, of Linux 6.18. New numbers
 * are the same on all architectures. Who moves it judges each call in between.
 */
#define SECCOMP_NEWEST 469

struct seccomp_row {
	int nr;
	unsigned int n; /* comparisons */
	struct scmp_arg_cmp cmp[3];
};

struct seccomp_table {
	const struct seccomp_row *rows;
	size_t n;
};

extern const struct seccomp_table seccomp_allowed;
extern const struct seccomp_table seccomp_excepted;
extern const struct seccomp_table seccomp_absent;
