/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * seccomp - the system call filter of the native sandbox
 *
 * One program for all, built by libseccomp at first use and kept. It allows by
 * default and takes away what leads out of a sandbox or cripples its keeper (the
 * rules and their reasons are in seccomp.c). Calls of another architecture than
 * the machine's own, x32 among them, end the process.
 *
 * A filter compares 64-bit registers while the kernel looks at the lower half of
 * an int: all such rules mask to 32 bits (CVE-2019-10063).
 */

#include <linux/filter.h>
#include <stddef.h>

#include "../base/err.h"

/* Valid as long as the program runs. ERR_UNSUPPORTED if it cannot be built. */
int seccomp_program(const struct sock_filter **ret, size_t *ret_n, struct err *err);
