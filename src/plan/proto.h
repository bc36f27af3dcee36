/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * proto - messages between engine, launcher and keepers
 *
 * Over SOCK_SEQPACKET, one struct per message, native byte order: both ends are
 * on one machine. The engine treats what a keeper sends as hostile: sizes, types
 * and states are checked, and a bad message closes that connection only.
 *
 * Launcher: the engine sends struct launch_msg with the descriptors whose slots
 * are in `slots`, in slot order. The launcher answers each with LAUNCHED (and
 * the keeper's pidfd) or LAUNCH_FAILED, and later, once, REAPED.
 *
 * Keeper: on SLOT_CONTROL, and for the next engine on the socket
 * <state>/keepers/<id>.sock, where the first message is KEEPER_HELLO from the
 * engine, answered by KEEPER_HELLO. A newer connection replaces the older one.
 * A keeper that is not committed ends when its control connection ends.
 */

#include <stdint.h>

#include "../base/err.h"
#include "../base/id.h"
#include "plan.h"

/* 2: slots of control groups */
#define LAUNCH_VERSION 2u

/*
 * 2: KEEPER_STAT answers with CPU, memory and I/O of the tree. An engine also
 * adopts version 1, which answers with `live` only (the rest is 0).
 */
#define KEEPER_VERSION 2u
#define KEEPER_VERSION_LEAST 1u

enum launch_mode { LAUNCH_COMMAND = 1, LAUNCH_HOLDER };

struct launch_msg {
	uint32_t version;
	uint32_t mode;	/* enum launch_mode */
	uint32_t slots; /* bit per enum plan_slot < SLOT_SENT_ */
	uint32_t pad;
	struct id id;
};

enum launch_answer_type { LAUNCHED = 1, LAUNCH_FAILED, REAPED };

struct launch_answer {
	uint32_t type;
	int32_t pid;	/* of the keeper, as the launcher sees it */
	int32_t status; /* REAPED: of waitpid(2) */
	uint32_t pad;
	struct id id;
	struct err err; /* LAUNCH_FAILED */
};

enum keeper_msg_type {
	/* engine -> keeper */
	KEEPER_HELLO = 1, /* a = version; both ways */
	KEEPER_COMMIT, /* a = slots of the commit (plan.h); their descriptors in order */
	KEEPER_SIGNAL, /* a = signal, b = 1 tree, 0 main process -> REPLY */
	KEEPER_KILL,  /* a = signal, b = grace ns, c = enum box_reason -> REPLY at once */
	KEEPER_WRITE, /* data for stdin; a = 1 closes it after -> REPLY, b = bytes taken
		       */
	KEEPER_RESIZE, /* a = cols, b = rows -> REPLY */
	KEEPER_WATCH, /* a, b = offsets: one OUTPUT once a stream is past its own or ended
		       */
	KEEPER_ACK,   /* a = stream, b = offset; no reply */
	KEEPER_CONSUMER, /* a = 1 there is one, 0 none; no reply */
	KEEPER_STAT,	 /* -> STAT */
	KEEPER_TOUCH,	 /* somebody reads: not idle; no reply */
	/* keeper -> engine */
	KEEPER_READY,	/* the sandbox steps are done */
	KEEPER_STARTED, /* exec done; a = pid inside, b = spawn ns; descriptor: its pidfd
			 */
	KEEPER_FAILED,	/* data = struct err; the record says so too */
	KEEPER_OUTPUT,	/* a, b = totals; c = bit 0, 1: stream at its end */
	KEEPER_EXITED,	/* main process gone and drained; the record is stored */
	KEEPER_CLOSED,	/* no writer is left */
	KEEPER_EMPTY,	/* nothing lives, record final; the keeper exits */
	KEEPER_REPLY,	/* a = errno or 0, b = see above; seq of the request */
	KEEPER_STAT_REPLY, /* data = struct keeper_stat; seq of the request */
};

#define KEEPER_DATA_MAX 32768

struct keeper_msg {
	uint32_t type;
	uint32_t seq; /* chosen by the engine, echoed in the answer */
	uint64_t a, b, c;
	uint32_t len; /* of data */
	uint32_t pad;
};
/* data follows the struct in the same message, at most KEEPER_DATA_MAX bytes */

struct keeper_stat {
	uint32_t live;	 /* processes of the tree, zombies not counted */
	uint32_t state;	 /* enum box_state */
	uint64_t cpu_us; /* living and reaped */
	uint64_t rss_bytes;
	uint64_t read_bytes, write_bytes; /* storage I/O of the living, /proc/PID/io */
};
