/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * pipes - the size of a command's pipes, within what one user may have
 *
 * A pipe starts with 16 pages. 256 pages read 2 to 3 times faster, but beyond
 * /proc/sys/fs/pipe-user-pages-soft the kernel shrinks every later pipe of that
 * user to one page. So all keepers of a launcher share one account and stay
 * within a quarter of it. The account lies in shared memory: one total, and one
 * entry per keeper, which the launcher gives back when it reaps the keeper.
 */

#include <stddef.h>

#define PIPE_PAGES_SMALL 16
#define PIPE_PAGES_LARGE 256

struct pipes_account {
	int total; /* pages above PIPE_PAGES_SMALL, of all */
	int entry[];
};

/* In the launcher: the account for n keepers, or NULL. */
struct pipes_account *pipes_account_new(size_t n);
void pipes_account_give_back(struct pipes_account *a, size_t i);

/* In the keeper, before anything grows: reads the limit. */
void pipes_use(struct pipes_account *a, size_t i);
/* True if the pipe now has the size asked for. */
int pipes_grow(int fd);
void pipes_shrink(int fd);
