/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * spawn - clone3(2) without the C library's help
 *
 * The C library has no wrapper for clone3. sys_clone3() is fork(2) with flags: it
 * returns 0 in the child, on the same stack (copied, so never with CLONE_VM).
 * With CLONE_PARENT the exit signal is that of the caller and must be 0 here.
 * clone3 is Linux 5.3, CLONE_PIDFD 5.2.
 *
 * sys_run_vm() runs fn(arg) in a child that shares this memory and these
 * descriptors but has credentials, namespaces and directories of its own, and
 * waits until it is gone: a detour through other namespaces that costs no copy
 * of page tables. fn must not return into anything that outlives the call.
 */

#include <stdint.h>
#include <sys/types.h>

pid_t sys_clone3(uint64_t flags, int exit_signal, int *ret_pidfd);

/* 0 when fn has run to its end, -errno when it could not be started or died. */
int sys_run_vm(int (*fn)(void *), void *arg);
