/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * compile-parts - what the files of compile share with each other, and nobody else
 *
 *	compile.c		both plans; what holds for either
 *	compile-prepare.c	the sandbox
 *	compile-commit.c	the command
 *	compile-isolation.c	what the record says of it
 *	leave-out.c		plans without some of their steps, for tests
 */

#include "compile.h"

/* What root is called in a sandbox, where he is not root. */
#define ROOT_NAME "proctor"

static inline bool native(const struct compile_args *a)
{
	return a->profile->backend == BACKEND_NATIVE;
}

static inline bool is_root(const struct compile_args *a)
{
	return a->who->uid == 0;
}

/* The name of the principal as his commands are told it. */
static inline const char *inner_name(const struct compile_args *a)
{
	return native(a) && is_root(a) ? ROOT_NAME : a->who->name;
}

static inline const char *workspace_path(const struct compile_args *a)
{
	return a->workspace ? a->workspace->path : NULL;
}

/* Whether these arguments can be compiled at all. */
int compile_check(const struct compile_args *a, struct err *err);

/* The layers that the prepare plan makes; abi of Landlock's, for native only. */
void isolation_describe(const struct compile_args *a, int abi, struct isolation *ret);
/* Once both is known: what the plans have, and what this command is limited in. */
void isolation_describe_cgroup(struct compiled *c);
