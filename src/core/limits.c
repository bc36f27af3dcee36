/* SPDX-License-Identifier: Apache-2.0 */

#include "limits.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "../base/macro.h"

struct limit_info {
	const char *name;
	bool zero_is_none; /* 0 is the largest value, not the smallest */
};

static const struct limit_info infos[LIMIT_MAX_] = {
	[LIMIT_CPU_SECONDS] = { "cpu_seconds", false },
	[LIMIT_OPEN_FILES] = { "open_files", false },
	[LIMIT_PROCESSES] = { "processes", false },
	[LIMIT_FILE_BYTES] = { "file_bytes", false },
	[LIMIT_CORE_BYTES] = { "core_bytes", false },
	[LIMIT_OUTPUT_BYTES] = { "output_bytes", true },
	[LIMIT_LIFETIME_MS] = { "lifetime_ms", true },
	[LIMIT_IDLE_MS] = { "idle_ms", true },
	[LIMIT_MEMORY_BYTES] = { "memory_bytes", false },
};

const char *limit_name(enum limit_id id)
{
	assert((unsigned int)id < LIMIT_MAX_);
	return infos[id].name;
}

void limits_set(struct limits *l, enum limit_id id, uint64_t v)
{
	l->given |= 1u << id;
	l->v[id] = v;
}

static bool beyond(enum limit_id id, uint64_t v, uint64_t most)
{
	if (infos[id].zero_is_none) {
		v = v ? v : UINT64_MAX;
		most = most ? most : UINT64_MAX;
	}
	return v > most;
}

int limits_resolve(const struct limits *profile, const struct limits *ceiling,
		   const struct limits *request, struct limits *ret, struct err *err)
{
	static const struct limits nothing;
	struct limits out = { 0 };

	if (!ceiling)
		ceiling = &nothing;
	if (!request)
		request = &nothing;
	for (enum limit_id id = 0; id < LIMIT_MAX_; id++) {
		bool capped = limits_has(ceiling, id);
		uint64_t most = ceiling->v[id];

		if (limits_has(request, id)) {
			char stage[ERR_STAGE_MAX];

			(void)snprintf(stage, sizeof(stage), "limits.%s", infos[id].name);
			if (capped && beyond(id, request->v[id], most))
				return err_set(err, ERR_DENIED, stage, 0,
					       "limits.%s is %" PRIu64
					       ", and this connection may ask for at "
					       "most %" PRIu64,
					       infos[id].name, request->v[id], most);
			limits_set(&out, id, request->v[id]);
		} else if (limits_has(profile, id)) {
			bool cut = capped && beyond(id, profile->v[id], most);

			limits_set(&out, id, cut ? most : profile->v[id]);
		} else if (capped) {
			limits_set(&out, id, most);
		}
	}
	*ret = out;
	return 0;
}
