/* SPDX-License-Identifier: Apache-2.0 */

#include "format.h"

#include <assert.h>

#include "../base/macro.h"

/* The layout is a promise to readers in other languages (docs/box-format.md). */
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "boxes are little-endian");
static_assert(sizeof(struct box_head) == 96 && offsetof(struct box_head, sum) == 88,
	      "head");
static_assert(BOX_USAGE_AT >= BOX_COUNTERS_AT(BOX_STREAMS) &&
		      BOX_USAGE_AT + sizeof(struct box_usage) <= BOX_RINGS_AT &&
		      sizeof(struct box_usage) == 32,
	      "docs/box-format.md");
static_assert(sizeof(struct box_record) == 336 && offsetof(struct box_record, sum) == 328,
	      "record");
static_assert(sizeof(struct box_counters) == 64, "counters");

uint64_t box_sum(const void *data, size_t len)
{
	const unsigned char *p = data;
	uint64_t sum = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < len; i++) {
		sum ^= p[i];
		sum *= UINT64_C(0x100000001b3);
	}
	return sum;
}

static const char *name_of(const char *const *names, size_t n, uint32_t v)
{
	return v < n && names[v] ? names[v] : "unknown";
}

const char *box_capture_name(uint32_t v)
{
	static const char *const names[] = {
		[BOX_CAPTURE_SEPARATE] = "separate",
		[BOX_CAPTURE_COMBINED] = "combined",
		[BOX_CAPTURE_DISCARD] = "discard",
		[BOX_CAPTURE_PTY] = "pty",
	};

	return name_of(names, ARRAY_SIZE(names), v);
}

const char *box_overflow_name(uint32_t v)
{
	static const char *const names[] = {
		[BOX_DROP_OLDEST] = "drop_oldest",
		[BOX_BLOCK] = "block",
	};

	return name_of(names, ARRAY_SIZE(names), v);
}

const char *box_state_name(uint32_t v)
{
	static const char *const names[] = {
		[BOX_STARTING] = "starting",
		[BOX_RUNNING] = "running",
		[BOX_EXITED] = "exited",
	};

	return name_of(names, ARRAY_SIZE(names), v);
}

const char *box_reason_name(uint32_t v)
{
	static const char *const names[] = {
		[BOX_REASON_NONE] = "none",
		[BOX_REASON_EXITED] = "exited",
		[BOX_REASON_SIGNALED] = "signaled",
		[BOX_REASON_TIMEOUT] = "timeout",
		[BOX_REASON_KILLED] = "killed",
		[BOX_REASON_CANCELLED] = "cancelled",
		[BOX_REASON_OOM] = "oom",
		[BOX_REASON_LIFETIME] = "lifetime",
		[BOX_REASON_IDLE] = "idle",
		[BOX_REASON_OUTPUT_LIMIT] = "output_limit",
		[BOX_REASON_DISCONNECTED] = "disconnected",
		[BOX_REASON_START_FAILED] = "start_failed",
		[BOX_REASON_LOST] = "lost",
	};

	return name_of(names, ARRAY_SIZE(names), v);
}
