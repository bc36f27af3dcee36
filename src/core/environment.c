/* SPDX-License-Identifier: Apache-2.0 */

#include "environment.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../base/macro.h"

void environment_fini(struct environment *e)
{
	buf_fini(&e->text);
	free(e->sorted);
	memset(e, 0, sizeof(*e));
}

void environment_set(struct environment *e, const char *name, const char *value)
{
	buf_adds(&e->text, name);
	buf_adds(&e->text, "=");
	buf_add(&e->text, value, strlen(value) + 1);
	e->n++;
}

void environment_put(struct environment *e, const char *assignment)
{
	buf_add(&e->text, assignment, strlen(assignment) + 1);
	e->n++;
}

static int compare_names(const char *a, const char *b)
{
	size_t la = strcspn(a, "="), lb = strcspn(b, "=");
	int r = memcmp(a, b, MIN(la, lb));

	if (r != 0)
		return r;
	return (la > lb) - (la < lb);
}

/* Both point into one buffer, where a later layer lies behind an earlier one. */
static int compare(const void *x, const void *y)
{
	const char *a = *(const char *const *)x, *b = *(const char *const *)y;
	int r = compare_names(a, b);

	return r ? r : (a > b) - (a < b);
}

int environment_finish(struct environment *e, struct err *err)
{
	size_t n = 0, kept = 0;

	e->sorted = calloc(e->n + 1, sizeof(*e->sorted));
	if (!e->sorted || !buf_ok(&e->text))
		return err_set(err, ERR_UNAVAILABLE, "env", ENOMEM, "environment");
	for (size_t at = 0; at < e->text.len; at += strlen(e->text.data + at) + 1)
		e->sorted[n++] = e->text.data + at;
	qsort(e->sorted, n, sizeof(*e->sorted), compare);
	for (size_t i = 0; i < n; i++)
		if (i + 1 == n || compare_names(e->sorted[i], e->sorted[i + 1]) != 0)
			e->sorted[kept++] = e->sorted[i];
	e->n = kept;
	return 0;
}
