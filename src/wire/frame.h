/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * frame - what goes over the socket between libproctor and the engine
 *
 *	u32 length	of all that follows, 12 ... FRAME_MAX
 *	u8  type	enum frame_type
 *	u8  flags	the number of descriptors that belong to it, 0 ... FRAME_FDS
 *	u16 zero	0
 *	u32 call	the number of the call that this belongs to; 0 in a hello
 *	u32 json_len	bytes of JSON text, then raw bytes to the end
 *
 * Little-endian, at most FRAME_MAX bytes. Output bytes travel raw, behind the
 * JSON. Descriptors travel with the first byte of their frame, and the frame says
 * how many: recvmsg(2) may return them together with the bytes of earlier frames,
 * so that their arrival alone does not tell whose they are. Reference:
 * docs/protocol.md.
 *
 * A reader is fed bytes in any pieces and gives out whole frames; what does not
 * fit is an error after which the connection must be closed.
 */

#include <stddef.h>
#include <stdint.h>

#include "../base/buf.h"
#include "../base/err.h"

#define FRAME_MAX ((size_t)4 << 20)
#define FRAME_HEAD 16 /* with the length */
#define FRAME_FDS 3

#define WIRE_VERSION 1

enum frame_type {
	FRAME_HELLO = 1, /* both ways, first */
	FRAME_CALL,	 /* client -> engine */
	FRAME_REPLY,	 /* engine -> client, ends the call */
	FRAME_EVENT,	 /* engine -> client, any number before the reply */
	FRAME_CANCEL,	 /* client -> engine: wait no longer; kills nothing */
};

struct frame {
	uint8_t type;
	uint32_t call;
	const char *json; /* not NUL-terminated */
	size_t json_len;
	const unsigned char *raw;
	size_t raw_len;
	int fds[FRAME_FDS]; /* owned by the frame until taken; -1 = none */
	size_t n_fds;
};

/*
 * Appends a whole frame to out. ERR_INVALID_INPUT if it is too large,
 * ERR_INTERNAL without memory; out is then as it was (but may be bad).
 */
int frame_put(struct buf *out, uint8_t type, uint32_t call, const char *json,
	      size_t json_len, const void *raw, size_t raw_len, struct err *err);

/* Says in the frame that begins at `at` in out that n descriptors travel with it. */
void frame_set_fds(struct buf *out, size_t at, size_t n);

struct frame_reader {
	struct buf in;
	size_t used; /* bytes at the front of `in` that were given out as frames */
	int fds[FRAME_FDS];
	size_t n_fds;
};

void frame_reader_fini(struct frame_reader *r); /* closes what nobody took */

/*
 * Where the next bytes go, and how many were put there. NULL without memory, or
 * if a whole frame of the largest size is there already: take frames first.
 */
void *frame_reader_space(struct frame_reader *r, size_t want);
void frame_reader_filled(struct frame_reader *r, size_t n);

/* Hands descriptors that came with the last bytes over; too many: -EMSGSIZE, all closed.
 */
int frame_reader_add_fds(struct frame_reader *r, const int *fds, size_t n);

/*
 * 1 and a frame that stays valid until the next call on r; 0 if more bytes are
 * needed; -ERR_INVALID_INPUT on garbage, as soon as the bytes show it. The frame
 * owns its descriptors. Take all frames that are there before the next bytes:
 * the descriptors of one frame are kept, not those of several.
 */
int frame_reader_next(struct frame_reader *r, struct frame *ret, struct err *err);
void frame_close_fds(struct frame *f);
