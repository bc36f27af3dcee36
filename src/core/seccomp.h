/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * seccomp - the system call filter of the native sandbox
 *
 * One program for all, built at first use and kept: by libseccomp, but for the
 * ranges of numbers that are free. What is not on the list of seccomp-calls.h is
 * refused with EPERM; a call that is younger than the list gets ENOSYS, so that C
 * libraries take an older one. Calls of another architecture than the machine's
 * own, x32 among them, end the process.
 *
 * The kernel remembers which numbers are allowed whatever their arguments (since
 * 5.11), and runs the program at the others alone.
 */

#include <linux/filter.h>
#include <stddef.h>

#include "../base/err.h"

/* Valid as long as the program runs. ERR_UNSUPPORTED if it cannot be built. */
int seccomp_program(const struct sock_filter **ret, size_t *ret_n, struct err *err);
