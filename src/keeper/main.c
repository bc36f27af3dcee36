/* SPDX-License-Identifier: Apache-2.0 */

#include <stdio.h>
#include <string.h>

#include "../base/log.h"
#include "launcher.h"

#ifdef PROCTOR_SANITIZED
/* The leak check wants threads and ptrace, which a keeper has not. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}
#endif

int main(int argc, char **argv)
{
	log_open("proctor-keeper", LOG_LEVEL_INFO);
	if (argc == 3 && strcmp(argv[1], "launcher") == 0)
		return launcher_main(argv[2]);
	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		(void)printf("proctor-keeper %s\n", PROCTOR_VERSION);
		return 0;
	}
	(void)fprintf(stderr, "usage: proctor-keeper launcher STATE-DIRECTORY\n"
			      "Started by proctord, with its socket as descriptor 3.\n");
	return 64;
}
