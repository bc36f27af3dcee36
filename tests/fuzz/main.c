/* SPDX-License-Identifier: Apache-2.0 */

/*
 * main - drives a libFuzzer-style target without libFuzzer
 *
 *	fuzz-x [--seconds N] [--seed S] [FILE | DIR]...
 *
 * Runs the target over every file given and every file of the directories given.
 * With --seconds it then mutates those inputs for so long, the same way for the same
 * seed. An input that makes the target die, or hang for ten seconds, is left in
 * crash-<seed>-<run> of the current directory; give that file as an argument to see
 * it again.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../src/base/buf.h"
#include "../../src/base/clock.h"
#include "../../src/base/fd.h"
#include "../../src/base/num.h"

#define INPUTS_MAX 4096
#define INPUT_MAX ((size_t)64 << 10)
#define HANG_SECONDS 10

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Of the sanitizers, where the program is built with one. */
__attribute__((weak)) void __sanitizer_set_death_callback(void (*callback)(void));

struct input {
	uint8_t *data;
	size_t len;
};

static struct {
	struct input inputs[INPUTS_MAX];
	size_t n;
	uint64_t seed, random;
	uint64_t runs;
} fuzz;

/* What is running now, for the handler of its death. */
static struct {
	uint8_t data[INPUT_MAX];
	size_t len;
	char name[64];
} now;

static void save_input(void)
{
	static const char text[] = "the input is in ";
	int fd = open(now.name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || fd_write_all(fd, now.data, now.len) < 0)
		return;
	(void)fd_write_all(2, text, sizeof(text) - 1);
	(void)fd_write_all(2, now.name, strlen(now.name));
	(void)fd_write_all(2, "\n", 1);
	(void)close(fd);
}

static void on_death(int sig)
{
	save_input();
	/* SA_RESETHAND: this time it does what it does. */
	(void)raise(sig);
}

static void catch_death(void)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE };
	struct sigaction sa = { .sa_handler = on_death, .sa_flags = (int)SA_RESETHAND };

	(void)sigaction(SIGABRT, &sa, NULL);
	(void)sigaction(SIGALRM, &sa, NULL);
	if (__sanitizer_set_death_callback) {
		__sanitizer_set_death_callback(save_input);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		(void)sigaction(signals[i], &sa, NULL);
}

static void run(const uint8_t *data, size_t len)
{
	/* A block of just this size, so that a sanitizer sees a read behind its end. */
	uint8_t *copy = malloc(len ? len : 1);

	if (!copy)
		abort();
	if (len > 0)
		memcpy(copy, data, len);
	if (data != now.data && len > 0)
		memcpy(now.data, data, len);
	now.len = len;
	(void)snprintf(now.name, sizeof(now.name), "crash-%llu-%llu",
		       (unsigned long long)fuzz.seed, (unsigned long long)fuzz.runs);
	(void)alarm(HANG_SECONDS);
	(void)LLVMFuzzerTestOneInput(copy, len);
	(void)alarm(0);
	free(copy);
	fuzz.runs++;
}

static int complain(const char *path, int error)
{
	(void)fprintf(stderr, "%s: %s\n", path, strerror(error));
	return -error;
}

static int add_file(const char *path)
{
	struct buf content = { 0 };
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct input *in;
	ssize_t n = 1;

	if (fd < 0)
		return complain(path, errno);
	while (n > 0 && content.len < INPUT_MAX) {
		char *p = buf_reserve(&content, INPUT_MAX - content.len);

		n = p ? read(fd, p, INPUT_MAX - content.len) : -1;
		content.len += n > 0 ? (size_t)n : 0;
	}
	(void)close(fd);
	if (n < 0 || fuzz.n == INPUTS_MAX) {
		buf_fini(&content);
		return complain(path, n < 0 ? errno : E2BIG);
	}
	in = &fuzz.inputs[fuzz.n++];
	in->len = content.len;
	in->data = (uint8_t *)content.data;
	return 0;
}

static int add_dir(const char *path)
{
	struct dirent **names = NULL;
	int n = scandir(path, &names, NULL, alphasort);
	int r = 0;

	if (n < 0)
		return complain(path, errno);
	for (int i = 0; i < n; i++) {
		char full[4096];

		if (names[i]->d_name[0] != '.' && r == 0) {
			(void)snprintf(full, sizeof(full), "%s/%s", path,
				       names[i]->d_name);
			r = add_file(full);
		}
		free(names[i]);
	}
	free(names);
	return r;
}

static int add_path(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return complain(path, errno);
	return S_ISDIR(st.st_mode) ? add_dir(path) : add_file(path);
}

static uint64_t below(uint64_t n)
{
	fuzz.random ^= fuzz.random >> 12;
	fuzz.random ^= fuzz.random << 25;
	fuzz.random ^= fuzz.random >> 27;
	return fuzz.random * UINT64_C(0x2545f4914f6cdd1d) % n;
}

static void put_number(uint8_t *data, size_t len)
{
	static const uint64_t odd[] = { 0,	    1,
					0x7f,	    0x80,
					0xff,	    0x7fff,
					0xffff,	    0x7fffffff,
					0x80000000, 0xffffffff,
					INT64_MAX,  UINT64_MAX,
					4096,	    UINT64_MAX - 4095 };
	size_t width = (size_t)1 << below(4);
	uint64_t v = odd[below(ARRAY_SIZE(odd))];

	if (width <= len)
		memcpy(data + below(len - width + 1), &v, width);
}

/* Moves the tail from `at` by n bytes to make room, as far as there is any. */
static size_t insert(uint8_t *data, size_t len, size_t at, const uint8_t *what, size_t n)
{
	n = MIN(n, INPUT_MAX - len);
	memmove(data + at + n, data + at, len - at);
	if (what)
		memmove(data + at, what, n);
	else
		for (size_t i = 0; i < n; i++)
			data[at + i] = (uint8_t)below(256);
	return len + n;
}

static size_t mutate_once(uint8_t *data, size_t len)
{
	const struct input *other = &fuzz.inputs[below(fuzz.n)];
	size_t at = below(len + 1), n = below(32) + 1;

	switch (len > 0 ? below(8) : 5) {
	case 0:
		data[below(len)] ^= (uint8_t)(1u << below(8));
		return len;
	case 1:
		data[below(len)] = (uint8_t)below(256);
		return len;
	case 2:
		put_number(data, len);
		return len;
	case 3:
		n = MIN(n, len - at);
		memmove(data + at, data + at + n, len - at - n);
		return len - n;
	case 4:
		return at;
	case 5:
		return insert(data, len, at, NULL, n);
	case 6:
		n = MIN(n, other->len);
		return n ? insert(data, len, at, other->data + below(other->len - n + 1),
				  n) :
			   len;
	default:
		n = MIN(n, len - at);
		memmove(data + below(len - n + 1), data + at, n);
		return len;
	}
}

static void mutate_for(uint64_t seconds)
{
	uint64_t end = clock_mono() + seconds * NS_PER_SEC;

	while (clock_mono() < end) {
		const struct input *in = &fuzz.inputs[below(fuzz.n)];
		size_t len = in->len;

		if (len > 0)
			memcpy(now.data, in->data, len);
		for (uint64_t n = below(8) + 1; n > 0; n--)
			len = mutate_once(now.data, len);
		run(now.data, len);
	}
}

static int usage(const char *program)
{
	(void)fprintf(stderr, "usage: %s [--seconds N] [--seed S] [FILE | DIR]...\n",
		      program);
	return 64;
}

int main(int argc, char **argv)
{
	uint64_t seconds = 0;
	size_t replayed;

	fuzz.seed = 1;
	for (int i = 1; i < argc; i++) {
		bool is_seconds = strcmp(argv[i], "--seconds") == 0;

		if (is_seconds || strcmp(argv[i], "--seed") == 0) {
			if (++i == argc ||
			    num_parse_u64(argv[i], 0, 1000000000,
					  is_seconds ? &seconds : &fuzz.seed) < 0)
				return usage(argv[0]);
		} else if (argv[i][0] == '-') {
			return usage(argv[0]);
		} else if (add_path(argv[i]) < 0) {
			return 66;
		}
	}
	if (fuzz.n == 0) {
		(void)fprintf(stderr, "%s: no inputs\n", argv[0]);
		return 66;
	}

	catch_death();
	for (size_t i = 0; i < fuzz.n; i++)
		run(fuzz.inputs[i].data, fuzz.inputs[i].len);
	replayed = fuzz.n;
	fuzz.random = (fuzz.seed + 1) * UINT64_C(0x9e3779b97f4a7c15);
	if (seconds > 0)
		mutate_for(seconds);
	(void)printf("%zu inputs replayed, %llu runs, seed %llu\n", replayed,
		     (unsigned long long)fuzz.runs, (unsigned long long)fuzz.seed);
	for (size_t i = 0; i < fuzz.n; i++)
		free(fuzz.inputs[i].data);
	return 0;
}
