/* SPDX-License-Identifier: Apache-2.0 */

/*
 * attempt - makes one attempt to get out of a sandbox
 *
 *	attempt NAME WORD...	says "ok", or the errno's name, or that nothing came
 *	attempt victim TEXT	keeps TEXT in memory until its stdin ends, then says
 *				it again
 *
 * Either waits for the end of its stdin after its first line, so that a test can look
 * at what has changed while it lives. Linked statically, without position independence,
 * so that it runs in any root and a stranger knows where its memory is.
 */

#include "attempt.h"

#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

char secret[64];

long number(const char *word)
{
	return strtol(word, NULL, 0);
}

int expect(int fd, const char *text)
{
	char buf[256];
	ssize_t n = read(fd, buf, sizeof(buf) - 1);

	if (n < 0)
		return errno;
	buf[n] = '\0';
	return strncmp(buf, text, strlen(text)) == 0 ? 0 : NOTHING_CAME;
}

static void wait_for_the_end(void)
{
	char buf[16];

	(void)fflush(stdout);
	while (read(STDIN_FILENO, buf, sizeof(buf)) > 0)
		;
}

/* One with capabilities is protected by them: what is shown here is not that. */
static void drop_capabilities(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { { 0 } };

	(void)syscall(SYS_capset, &head, none);
	(void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

static int victim(const char *text)
{
	drop_capabilities();
	(void)snprintf(secret, sizeof(secret), "%s", text);
	puts("ready");
	wait_for_the_end();
	puts(secret);
	return 0;
}

static const struct attempt *find(const char *name)
{
	static const struct attempt *const tables[] = {
		file_attempts,
		kernel_attempts,
		net_attempts,
		other_attempts,
	};

	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		for (const struct attempt *a = tables[i]; a->name; a++)
			if (strcmp(a->name, name) == 0)
				return a;
	return NULL;
}

int main(int argc, char **argv)
{
	const struct attempt *a = argc > 1 ? find(argv[1]) : NULL;
	int e;

	if (argc == 3 && strcmp(argv[1], "victim") == 0)
		return victim(argv[2]);
	if (!a) {
		(void)fprintf(stderr, "attempt: no such attempt\n");
		return 2;
	}
	errno = 0;
	e = a->try(argv + 2);
	if (e == 0)
		puts("ok");
	else if (e == NOTHING_CAME)
		puts("nothing");
	else
		puts(strerrorname_np(e));
	wait_for_the_end();
	return 0;
}
