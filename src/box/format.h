/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * format - the layout of a black box file (reference: docs/box-format.md)
 *
 *	    0  struct box_head	 written once, by the writer, when it takes the box
 *	 1024  slot 0		 struct box_record with generation and checksum
 *	 2048  slot 1
 *	 3072  struct box_counters, one per stream, 64 bytes each
 *	 3200  struct box_usage, if the command has a limit on its memory
 *	 4096  ring of stream 0 (ring_size bytes), behind it the ring of stream 1
 *
 * All numbers are little-endian and naturally aligned; all sizes are fixed. The
 * file is as long as its last ring's end from the first day (sparse); blocks are
 * allocated in steps, before they are written to. A zeroed head is a box made
 * ahead of need, which nobody has taken yet.
 *
 * A byte of a stream has an absolute offset from the stream's first byte; it
 * lies in the ring at offset % ring_size, where ring_size is that in the
 * counters. Valid bytes are [reserved - ring_size, total). A writer publishes
 * `reserved` before it overwrites anything, `total` after the bytes are there; if
 * fewer bytes came than it had reserved, `reserved` then goes back to `total`, since
 * the rest was not touched. So total <= reserved <= total + ring_size.
 * If the disk is full while the first lap is allocated, ring_size shrinks, once,
 * to what is allocated (bytes before that lie where they did), and BOX_DISK_FULL
 * is set: the loss is then told like any other.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../base/id.h"

#define BOX_MAGIC UINT64_C(0x31786f42726f7450) /* "PtorBox1" */
#define BOX_VERSION 1u

#define BOX_SLOT_AT(n) ((off_t)(1024 * ((n) + 1)))
#define BOX_COUNTERS_AT(n) ((off_t)(3072 + 64 * (n)))
#define BOX_USAGE_AT 3200
#define BOX_RINGS_AT 4096

#define BOX_STREAMS 2 /* stdout (or combined, or the terminal), stderr */
#define BOX_RING_MIN ((uint64_t)4096)
#define BOX_RING_MAX ((uint64_t)1 << 30)
#define BOX_RING_DEFAULT ((uint64_t)1 << 20)
#define BOX_TOTAL_MAX ((uint64_t)1 << 62) /* no stream gets that long */

struct box_head {
	uint64_t magic;
	uint32_t version;
	uint32_t streams;		 /* 0 (a sandbox holder), 1 or 2 */
	struct id id;			 /* of the process or sandbox */
	struct id boot_id;		 /* /proc/sys/kernel/random/boot_id */
	uint64_t ring_size[BOX_STREAMS]; /* as made; multiple of 4096, 0 = none */
	uint32_t capture;		 /* enum box_capture */
	uint32_t overflow;		 /* enum box_overflow */
	uint64_t created_boot_ns;
	uint64_t created_wall_ns;
	uint64_t sum; /* box_sum() of all before it */
};

enum box_capture {
	BOX_CAPTURE_SEPARATE,
	BOX_CAPTURE_COMBINED,
	BOX_CAPTURE_DISCARD,
	BOX_CAPTURE_PTY
};
enum box_overflow { BOX_DROP_OLDEST, BOX_BLOCK };

enum box_state { BOX_STARTING = 1, BOX_RUNNING, BOX_EXITED };

/* Why a command ended. `lost` is never written: it is what a reader concludes. */
enum box_reason {
	BOX_REASON_NONE,
	BOX_REASON_EXITED,
	BOX_REASON_SIGNALED,
	BOX_REASON_TIMEOUT,
	BOX_REASON_KILLED,
	BOX_REASON_CANCELLED,
	BOX_REASON_OOM,
	BOX_REASON_LIFETIME,
	BOX_REASON_IDLE,
	BOX_REASON_OUTPUT_LIMIT,
	BOX_REASON_DISCONNECTED,
	BOX_REASON_START_FAILED,
	BOX_REASON_LOST,
};

enum box_record_flags {
	BOX_HAS_EXITED = 1 << 0, /* the main process is gone; code/signal are valid */
	BOX_HAS_CLOSED = 1 << 1, /* every writer of its pipes is gone too */
	BOX_IS_EMPTY = 1 << 2,	 /* no process of the tree is left */
	BOX_IS_FINAL = 1 << 3,	 /* the writer writes no more */
	BOX_DUMPED_CORE = 1 << 4,
	BOX_BLOCK_LAPSED = 1 << 5, /* overflow: block became drop_oldest */
};

#define BOX_STAGE_MAX 24
#define BOX_MSG_MAX 200

/* One of two slots. The newer valid one counts; written in turn. */
struct box_record {
	uint64_t generation; /* 0 = empty slot */
	uint32_t state;	     /* enum box_state */
	uint32_t reason;     /* enum box_reason */
	uint32_t flags;	     /* enum box_record_flags */
	int32_t exit_code;   /* -1 if it did not exit by itself */
	int32_t exit_signal; /* 0 if it was not ended by a signal */
	int32_t sandbox_pid; /* as the command sees itself; 0 before it started */
	uint64_t started_boot_ns, started_wall_ns; /* exec done */
	uint64_t ended_boot_ns, ended_wall_ns;	   /* main process gone */
	uint64_t utime_us, stime_us;		   /* of all that was reaped */
	uint64_t max_rss_bytes;
	uint64_t spawn_ns; /* from the writer's first instruction to exec */
	uint32_t live;	   /* processes left, counted when this was written */
	int32_t start_errno;
	char start_stage[BOX_STAGE_MAX]; /* the failed step, of start_failed */
	char start_msg[BOX_MSG_MAX];
	uint64_t sum; /* box_sum() of all before it */
};

enum box_counter_flags {
	BOX_AT_END = 1 << 0,	/* no byte will follow */
	BOX_DISK_FULL = 1 << 1, /* ring_size is smaller than was asked for */
};

struct box_counters {
	uint64_t reserved;
	uint64_t total;
	uint64_t ring_size; /* in force; 0 = nothing is kept */
	uint32_t flags;
	uint32_t pad;
	uint64_t acked; /* overflow: block - offset up to which a consumer has all */
	uint64_t spare[3];
};

/*
 * What its control group has counted. Written anew as it changes; one whose sum is
 * wrong, as that of zeros is, says nothing.
 */
struct box_usage {
	uint64_t memory_limit; /* bytes, never 0 */
	uint64_t memory_peak;  /* most bytes in use, 0 = not known */
	uint64_t oom_killed;   /* processes that were ended for want of memory */
	uint64_t sum;	       /* box_sum() of all before it */
};

/* FNV-1a, 64 bit. */
uint64_t box_sum(const void *data, size_t len);

/* "separate", "exited", ... for the record and for people; never NULL. */
const char *box_capture_name(uint32_t v);
const char *box_overflow_name(uint32_t v);
const char *box_state_name(uint32_t v);
const char *box_reason_name(uint32_t v);
