/* SPDX-License-Identifier: Apache-2.0 */

/*
 * stdin that process.write feeds. One write at a time: it is answered with the
 * number of bytes taken as soon as there is room for one, and the engine sends
 * the rest again.
 */

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "keeper.h"

#define END_OF_TRANSMISSION 4 /* what ends the input of a terminal in line mode */

void input_close(struct keeper *k)
{
	struct keeper_input *in = &k->in;

	if (in->fd < 0)
		return;
	if (in->pty) {
		static const char eot = END_OF_TRANSMISSION;

		(void)!write(in->fd, &eot, 1);
		return;
	}
	(void)close(in->fd);
	in->fd = -1;
}

void input_continue(struct keeper *k)
{
	struct keeper_input *in = &k->in;
	ssize_t n = 0;
	int error = 0;

	if (!in->waiting)
		return;
	if (in->fd < 0) {
		error = EPIPE;
	} else if (in->len > 0) {
		n = write(in->fd, in->data, in->len);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n < 0) {
			error = errno;
			n = 0;
		}
	}
	in->waiting = false;
	if (n > 0)
		keeper_touch(k);
	if (error == EPIPE && !in->pty)
		input_close(k);
	else if (!error && in->close_after && (size_t)n == in->len)
		input_close(k);
	control_reply(k, in->seq, error, (uint64_t)n);
}

void input_write(struct keeper *k, uint32_t seq, const void *data, size_t len,
		 bool close_after)
{
	struct keeper_input *in = &k->in;

	if (in->waiting) {
		control_reply(k, seq, EBUSY, 0);
		return;
	}
	memcpy(in->data, data, len);
	in->len = len;
	in->seq = seq;
	in->close_after = close_after;
	in->waiting = true;
	input_continue(k);
}
