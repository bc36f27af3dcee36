/* SPDX-License-Identifier: Apache-2.0 */

#include "term.h"

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "../base/macro.h"

#define SIZE_LIMIT 1000

/* A process has one terminal; exit and signal handlers must find it. */
static volatile sig_atomic_t raw_fd = -1;
static struct termios saved;

void term_restore(void)
{
	int keep = errno, fd = raw_fd;

	if (fd >= 0)
		(void)tcsetattr(fd, TCSADRAIN, &saved);
	raw_fd = -1;
	errno = keep;
}

static void on_fatal(int sig)
{
	/* TCSANOW: a handler must not wait for a terminal that is stopped. */
	if (raw_fd >= 0)
		(void)tcsetattr(raw_fd, TCSANOW, &saved);
	raw_fd = -1;
	(void)raise(sig); /* SA_RESETHAND: the default this time */
}

static int make_raw(int fd)
{
	struct termios t = saved;

	cfmakeraw(&t);
	return tcsetattr(fd, TCSADRAIN, &t) < 0 ? -errno : 0;
}

int term_raw(int fd)
{
	static const int fatal[] = { SIGSEGV, SIGBUS,  SIGILL, SIGFPE,	SIGABRT, SIGALRM,
				     SIGXCPU, SIGXFSZ, SIGSYS, SIGUSR1, SIGUSR2 };
	struct sigaction sa = { .sa_handler = on_fatal, .sa_flags = (int)SA_RESETHAND };
	static bool registered;
	int r;

	if (raw_fd >= 0)
		return 0;
	if (tcgetattr(fd, &saved) < 0)
		return -errno;
	if (!registered) {
		(void)atexit(term_restore);
		for (size_t i = 0; i < ARRAY_SIZE(fatal); i++)
			(void)sigaction(fatal[i], &sa, NULL);
		registered = true;
	}
	raw_fd = fd;
	r = make_raw(fd);
	if (r < 0)
		raw_fd = -1;
	return r;
}

void term_raw_again(void)
{
	if (raw_fd >= 0)
		(void)make_raw(raw_fd);
}

static uint64_t within(unsigned short v)
{
	return MIN((uint64_t)v, (uint64_t)SIZE_LIMIT);
}

bool term_size(struct term_size *ret)
{
	struct winsize ws;

	*ret = (struct term_size){ .cols = 80, .rows = 24 };
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (ioctl(fd, TIOCGWINSZ, &ws) < 0)
			continue;
		/* A terminal that does not know its size says 0. */
		if (ws.ws_col > 0)
			ret->cols = within(ws.ws_col);
		if (ws.ws_row > 0)
			ret->rows = within(ws.ws_row);
		return true;
	}
	return false;
}

/* One key of len bytes, "ctrl-x" or a character; 0 is no key. */
static unsigned char parse_key(const char *p, size_t len)
{
	if (len == 1 && (unsigned char)*p > ' ' && (unsigned char)*p < 127)
		return (unsigned char)*p;
	if (len != 6 || strncmp(p, "ctrl-", 5) != 0)
		return 0;
	if (isalpha((unsigned char)p[5]))
		return (unsigned char)(tolower((unsigned char)p[5]) - 'a' + 1);
	if (p[5] >= '[' && p[5] <= '_')
		return (unsigned char)(p[5] - '@');
	return 0;
}

int term_keys_parse(const char *text, struct term_keys *ret, struct err *err)
{
	struct term_keys k = { 0 };
	const char *p = text;

	while (*text) {
		const char *end = strchrnul(p, ',');
		unsigned char key = parse_key(p, (size_t)(end - p));

		if (key == 0 || k.n == TERM_KEYS_MAX)
			return err_set(err, ERR_INVALID_INPUT, "detach-keys", 0,
				       "--detach-keys cannot be \"%.60s\": up to %d keys "
				       "such as "
				       "ctrl-p,ctrl-q or ctrl-a,d",
				       text, TERM_KEYS_MAX);
		k.keys[k.n++] = key;
		if (*end == '\0')
			break;
		p = end + 1;
	}
	*ret = k;
	return 0;
}

/* The longest start of the keys that what was seen, with c behind it, ends with. */
static size_t go_on(const struct term_keys *k, unsigned char c)
{
	unsigned char tail[TERM_KEYS_MAX];
	size_t n = k->seen + 1;

	memcpy(tail, k->keys, k->seen);
	tail[k->seen] = c;
	for (size_t len = n; len > 0; len--)
		if (memcmp(tail + n - len, k->keys, len) == 0)
			return len;
	return 0;
}

bool term_keys_feed(struct term_keys *k, const unsigned char *data, size_t len,
		    unsigned char *out, size_t *ret_len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		size_t now, held = k->seen;

		if (k->n == 0) {
			out[n++] = data[i];
			continue;
		}
		now = go_on(k, data[i]);
		/* Of what was held and this byte, all but the last `now` are no keys. */
		for (size_t j = 0; j + now < held + 1; j++)
			out[n++] = j < held ? k->keys[j] : data[i];
		k->seen = now;
		if (now == k->n) {
			k->seen = 0;
			*ret_len = n;
			return true;
		}
	}
	*ret_len = n;
	return false;
}
