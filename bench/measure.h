/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * measure - samples, their order statistics, and the bare system calls
 *
 * What is compared is measured in turns (A B A B ...), so that a machine that is
 * slow for a while is slow for both. Helpers print one line per case, words and
 * numbers with a tab between them; bench/run makes the table.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct samples {
	uint64_t *v; /* nanoseconds */
	size_t n, cap;
};

void samples_add(struct samples *s, uint64_t v);
/* Sorts. per_mille 500 is the median; 0 without samples. */
uint64_t samples_at(struct samples *s, unsigned int per_mille);
void samples_fini(struct samples *s);

/* "NAME <tab> n <tab> min <tab> quartile <tab> median <tab> p99", in microseconds. */
void samples_print(struct samples *s, const char *name);

/* vfork, execve, waitpid of `path` without arguments; ns. Ends the program if it fails.
 */
uint64_t bare_spawn(const char *path);

/* A benchmark that cannot measure says why and ends. */
void die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* A number from the command line, 1 to max. */
unsigned int count_arg(const char *text, unsigned int max);
