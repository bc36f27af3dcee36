/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * json - says whether a text is one JSON value (RFC 8259), for tests
 *
 * Strict about structure, strings and control characters; numbers are integers, as
 * ours are. Nesting is bounded.
 */

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

static inline const char *json_space(const char *p)
{
	while (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r')
		p++;
	return p;
}

/* The place behind the string at p, or NULL. */
static inline const char *json_string(const char *p)
{
	if (*p++ != '"')
		return NULL;
	for (; *p != '"'; p++) {
		if ((unsigned char)*p < 0x20)
			return NULL;
		if (*p != '\\')
			continue;
		p++;
		if (*p == 'u') {
			for (int i = 0; i < 4; i++)
				if (!isxdigit((unsigned char)*++p))
					return NULL;
		} else if (*p == '\0' || !strchr("\"\\/bfnrt", *p)) {
			return NULL;
		}
	}
	return p + 1;
}

static inline const char *json_scalar(const char *p)
{
	static const char *const words[] = { "true", "false", "null" };

	for (int i = 0; i < 3; i++)
		if (strncmp(p, words[i], strlen(words[i])) == 0)
			return p + strlen(words[i]);
	if (*p == '-')
		p++;
	if (!isdigit((unsigned char)*p) || (p[0] == '0' && isdigit((unsigned char)p[1])))
		return NULL;
	while (isdigit((unsigned char)*p))
		p++;
	return p;
}

static inline const char *json_value(const char *p, int depth)
{
	char open = *(p = json_space(p));
	char end = open == '{' ? '}' : ']';

	if (open == '"')
		return json_string(p);
	if (open != '{' && open != '[')
		return json_scalar(p);
	p = json_space(p + 1);
	if (*p == end)
		return p + 1;
	while (depth > 0) {
		if (open == '{') {
			p = json_string(p);
			p = p ? json_space(p) : NULL;
			if (!p || *p++ != ':')
				return NULL;
		}
		p = json_value(p, depth - 1);
		p = p ? json_space(p) : NULL;
		if (!p || (*p != ',' && *p != end))
			return NULL;
		if (*p++ == end)
			return p;
		p = json_space(p);
	}
	return NULL;
}

static inline bool json_ok(const char *text)
{
	const char *p = json_value(text, 16);

	return p && *json_space(p) == '\0';
}
