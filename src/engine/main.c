/* SPDX-License-Identifier: Apache-2.0 */

/*
 * proctord. Two helpers of it are the same program, since they need the same
 * libraries and are to run beside the loop: "proctord checkpoint PATH" and
 * "proctord probe".
 */

#include <stdio.h>
#include <string.h>

#include "../base/err.h"
#include "../base/log.h"
#include "../core/journal.h"
#include "engine.h"
#include "examine.h"
#include "options.h"
#include "run.h"

static int checkpoint_main(const char *path)
{
	struct err err;

	if (journal_checkpoint(path, &err) == 0)
		return 0;
	log_warning("no checkpoint of the journal: %s", err.msg);
	return err_info(err.code)->exit_status;
}

int main(int argc, char **argv)
{
	struct options o;
	struct err err;
	int r;

	log_open("proctord", LOG_LEVEL_INFO);
	if (argc == 3 && strcmp(argv[1], "checkpoint") == 0)
		return checkpoint_main(argv[2]);
	if (argc == 2 && strcmp(argv[1], "probe") == 0)
		return examine_main();

	r = options_parse(argc, argv, &o, &err);
	if (r > 0)
		return 0;
	if (r == 0)
		r = engine_run(&o, &err);
	if (r == 0)
		return 0;
	log_error("%s", err.msg);
	return err_info(err.code)->exit_status;
}
