/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * cleanup - scope-bound release of what a function owns
 *
 *	CLEANUP(thing_free) struct thing *t = NULL;
 *	CLEANUP(close) int fd = -1;
 *
 * The variable must be initialised where it is declared. Hand ownership on
 * with TAKE_PTR() or TAKE_FD(), which leave the empty value behind. Cleaning
 * up keeps errno, so that it can run between a failure and its report.
 */

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define CLEANUP(fn) __attribute__((cleanup(fn##_p)))

#define DEFINE_CLEANUP(type, fn)                                                         \
	static inline void fn##_p(type *p)                                               \
	{                                                                                \
		int keep_ = errno;                                                       \
                                                                                         \
		if (*p)                                                                  \
			fn(*p);                                                          \
		errno = keep_;                                                           \
	}                                                                                \
	struct cleanup_eats_the_semicolon

static inline void free_p(void *p)
{
	int keep = errno;

	free(*(void **)p);
	errno = keep;
}

static inline void close_p(const int *fd)
{
	int keep = errno;

	if (*fd >= 0)
		(void)close(*fd);
	errno = keep;
}

#define TAKE_PTR(p)                                                                      \
	({                                                                               \
		__typeof__(p) take_ = (p);                                               \
		(p) = NULL;                                                              \
		take_;                                                                   \
	})
#define TAKE_FD(fd)                                                                      \
	({                                                                               \
		int take_ = (fd);                                                        \
		(fd) = -1;                                                               \
		take_;                                                                   \
	})
