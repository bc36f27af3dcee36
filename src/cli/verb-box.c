/* SPDX-License-Identifier: Apache-2.0 */

/* box show: a black box read without any engine */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/cleanup.h"
#include "../box/reader.h"
#include "../wire/json.h"
#include "cli.h"
#include "out.h"

#define CHUNK (64 << 10)

static int open_box(const char *path, int *ret, struct err *err)
{
	CLEANUP(close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0)
		return err_set(err,
			       errno == ENOENT ? ERR_NOT_FOUND :
			       errno == EACCES ? ERR_DENIED :
						 ERR_INVALID_INPUT,
			       "file", errno, "%.300s", path);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(err, ERR_INVALID_INPUT, "file", 0,
			       "%.300s is no regular file", path);
	*ret = TAKE_FD(fd);
	return 0;
}

static int dump(const struct cli *cli, int fd, int stream)
{
	CLEANUP(free) char *bytes = cli_need_memory(malloc(CHUNK));
	struct box_extent extent;
	struct box_chunk chunk;
	struct err err;
	uint64_t at, lost;

	if (box_read_extent(fd, stream, &extent, &err) < 0)
		return cli_fail(cli, &err);
	at = extent.start;
	lost = extent.start;
	while (at < extent.total) {
		if (box_read(fd, stream, at, bytes, CHUNK, &chunk, &err) < 0)
			return cli_fail(cli, &err);
		lost += chunk.lost;
		if (chunk.len > 0 && fwrite(bytes, 1, chunk.len, stdout) != chunk.len)
			break; /* out_end() says why */
		if (chunk.next <= at)
			break;
		at = chunk.next;
	}
	if (lost > 0)
		cli_say(NULL, "%llu bytes are no longer held", (unsigned long long)lost);
	return 0;
}

int verb_box_show(struct cli *cli)
{
	CLEANUP(buf_fini) struct buf text = { 0 };
	CLEANUP(close) int fd = -1;
	struct err err;

	if (open_box(cli->args.operands[0], &fd, &err) < 0)
		return cli_fail(cli, &err);
	if (cli_has(cli, OPT_OUTPUT))
		return dump(cli, fd, strcmp(cli_text(cli, OPT_OUTPUT), "stderr") == 0);
	if (box_describe(fd, cli_has(cli, OPT_JSON), &text, &err) < 0)
		return cli_fail(cli, &err);
	(void)cli_need_memory(buf_ok(&text) ? cli : NULL);
	(void)fwrite(text.data, 1, text.len, stdout);
	if (text.len > 0 && text.data[text.len - 1] != '\n')
		(void)putchar('\n');
	return 0;
}
