/* SPDX-License-Identifier: Apache-2.0 */

#include "pipes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../base/cleanup.h"
#include "../base/fd.h"

#define EXTRA (PIPE_PAGES_LARGE - PIPE_PAGES_SMALL)

static struct pipes_account *account;
static size_t mine;
static int limit;

struct pipes_account *pipes_account_new(size_t n)
{
	void *p = mmap(NULL, sizeof(struct pipes_account) + n * sizeof(int),
		       PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CLEANUP(close)
	int fd = open("/proc/sys/fs/pipe-user-pages-soft", O_RDONLY | O_CLOEXEC);
	char text[16] = "";

	if (fd >= 0 && read(fd, text, sizeof(text) - 1) > 0)
		limit = (int)strtol(text, NULL, 10) / 4;
	return p == MAP_FAILED ? NULL : p;
}

void pipes_account_give_back(struct pipes_account *a, size_t i)
{
	int had = __atomic_exchange_n(&a->entry[i], 0, __ATOMIC_RELAXED);

	__atomic_sub_fetch(&a->total, had, __ATOMIC_RELAXED);
}

void pipes_use(struct pipes_account *a, size_t i)
{
	account = a;
	mine = i;
}

static void take(int pages)
{
	__atomic_add_fetch(&account->entry[mine], pages, __ATOMIC_RELAXED);
}

int pipes_grow(int fd)
{
	if (!account)
		return 0;
	if (__atomic_add_fetch(&account->total, EXTRA, __ATOMIC_RELAXED) > limit ||
	    fcntl(fd, F_SETPIPE_SZ, PIPE_PAGES_LARGE * 4096) < 0) {
		__atomic_sub_fetch(&account->total, EXTRA, __ATOMIC_RELAXED);
		return 0;
	}
	take(EXTRA);
	return 1;
}

void pipes_shrink(int fd)
{
	/* Fails while more than that lies in it: then it stays large. */
	if (fcntl(fd, F_SETPIPE_SZ, PIPE_PAGES_SMALL * 4096) < 0)
		return;
	__atomic_sub_fetch(&account->total, EXTRA, __ATOMIC_RELAXED);
	take(-EXTRA);
}
