/* SPDX-License-Identifier: Apache-2.0 */

#include "opt.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../base/num.h"
#include "../base/signame.h"

#define WORD_MAX 64

size_t opt_distance(const char *a, const char *b)
{
	size_t row[WORD_MAX + 1], na = strlen(a), nb = strlen(b);

	if (na > WORD_MAX || nb > WORD_MAX)
		return SIZE_MAX;
	for (size_t j = 0; j <= nb; j++)
		row[j] = j;
	for (size_t i = 1; i <= na; i++) {
		size_t corner = row[0];

		row[0] = i;
		for (size_t j = 1; j <= nb; j++) {
			size_t same = corner + (a[i - 1] != b[j - 1]);

			corner = row[j];
			row[j] = MIN(same, MIN(row[j], row[j - 1]) + 1);
		}
	}
	return row[nb];
}

static const struct opt *find_long(unsigned int groups, const char *name, size_t len)
{
	for (const struct opt *o = opt_table; o->name; o++)
		if (o->groups & groups && strlen(o->name) == len &&
		    memcmp(o->name, name, len) == 0)
			return o;
	return NULL;
}

static const struct opt *find_letter(unsigned int groups, char letter)
{
	for (const struct opt *o = opt_table; o->name; o++)
		if (o->groups & groups && o->letter == letter)
			return o;
	return NULL;
}

static int unknown(unsigned int groups, const char *word, size_t len, struct err *err)
{
	char name[WORD_MAX + 1];
	const char *best = NULL;
	size_t least = 3;

	(void)snprintf(name, sizeof(name), "%.*s", (int)MIN(len, sizeof(name) - 1), word);
	for (const struct opt *o = opt_table; o->name; o++) {
		size_t d = o->groups & groups ? opt_distance(name, o->name) : SIZE_MAX;

		if (d < least && d < strlen(o->name)) {
			least = d;
			best = o->name;
		}
	}
	if (best)
		return err_set(err, ERR_INVALID_INPUT, NULL, 0,
			       "unknown option --%s: did you mean --%s?", name, best);
	return err_set(err, ERR_INVALID_INPUT, NULL, 0, "unknown option --%s", name);
}

static int bad_value(const struct opt *o, const char *text, const char *allowed,
		     struct err *err)
{
	return err_set(err, ERR_INVALID_INPUT, NULL, 0, "--%s cannot be \"%.100s\": %s",
		       o->name, text, allowed);
}

static int bad_choice(const struct opt *o, const char *text, struct err *err)
{
	char list[128] = "";

	for (const char *const *c = o->choices; *c; c++) {
		size_t n = strlen(list);

		(void)snprintf(list + n, sizeof(list) - n, "%s%s", n ? ", " : "one of ",
			       *c);
	}
	return bad_value(o, text, list, err);
}

static const char *allowed_for(enum opt_kind kind)
{
	if (kind == OPT_IS_MS)
		return "a time such as 500ms, 30s, 5m, 2h";
	if (kind == OPT_IS_BYTES)
		return "bytes such as 4096, 64k, 1m, 2g";
	return "a number";
}

static int judge_amount(const struct opt *o, const char *text, uint64_t *ret,
			struct err *err)
{
	char range[160];
	uint64_t v = 0;
	int r;

	if (o->kind == OPT_IS_MS)
		r = num_parse_duration_ms(text, UINT64_MAX, &v);
	else if (o->kind == OPT_IS_BYTES)
		r = num_parse_bytes(text, UINT64_MAX, &v);
	else
		r = num_parse_u64(text, 0, UINT64_MAX, &v);
	if (r == -EINVAL)
		return bad_value(o, text, allowed_for(o->kind), err);
	if (r < 0 || v < o->min || v > o->max) {
		const char *unit = o->kind == OPT_IS_MS	   ? " ms" :
				   o->kind == OPT_IS_BYTES ? " bytes" :
							     "";

		(void)snprintf(range, sizeof(range), "%llu to %llu%s",
			       (unsigned long long)o->min, (unsigned long long)o->max,
			       unit);
		return bad_value(o, text, range, err);
	}
	*ret = v;
	return 0;
}

static int take_value(struct opt_args *a, const struct opt *o, const char *text,
		      struct err *err)
{
	struct opt_value *v = &a->v[o->id];
	const char *const *c = o->choices;
	int r;

	switch (o->kind) {
	case OPT_IS_LIST:
		if (a->n_items == OPT_ITEMS_MAX)
			return err_set(err, ERR_INVALID_INPUT, NULL, 0,
				       "--%s was given too often", o->name);
		a->items[a->n_items++] = (struct opt_item){ .id = o->id, .text = text };
		break;
	case OPT_IS_CHOICE:
		while (*c && strcmp(*c, text) != 0)
			c++;
		if (!*c)
			return bad_choice(o, text, err);
		break;
	case OPT_IS_NUMBER:
	case OPT_IS_MS:
	case OPT_IS_BYTES:
		r = judge_amount(o, text, &v->number, err);
		if (r < 0)
			return r;
		break;
	case OPT_IS_FLAG:
	case OPT_IS_TEXT:
		break;
	}
	v->given = true;
	v->text = text;
	return 0;
}

static int needs_value(const struct opt *o, struct err *err)
{
	return err_set(err, ERR_INVALID_INPUT, NULL, 0, "--%s needs a value: %s", o->name,
		       o->arg);
}

/* Words taken, or negative. next is the word behind, or NULL. */
static int parse_long(const struct opt_spec *spec, const char *word, const char *next,
		      struct opt_args *a, struct err *err)
{
	const char *name = word + 2, *eq = strchr(name, '=');
	size_t len = eq ? (size_t)(eq - name) : strlen(name);
	const struct opt *o = find_long(spec->groups, name, len);
	int r;

	if (!o)
		return unknown(spec->groups, name, len, err);
	if (o->kind == OPT_IS_FLAG) {
		if (eq)
			return err_set(err, ERR_INVALID_INPUT, NULL, 0,
				       "--%s takes no value", o->name);
		a->v[o->id].given = true;
		return 1;
	}
	if (!eq && !next)
		return needs_value(o, err);
	r = take_value(a, o, eq ? eq + 1 : next, err);
	return r < 0 ? r : eq ? 1 : 2;
}

static int parse_letters(const struct opt_spec *spec, const char *word, const char *next,
			 struct opt_args *a, struct err *err)
{
	if (spec->signals && !find_letter(spec->groups, word[1]) &&
	    signame_parse(word + 1) > 0) {
		a->v[OPT_SIGNAL] = (struct opt_value){ .given = true, .text = word + 1 };
		return 1;
	}
	for (const char *p = word + 1; *p; p++) {
		const struct opt *o = find_letter(spec->groups, *p);
		int r;

		if (!o)
			return err_set(err, ERR_INVALID_INPUT, NULL, 0,
				       "unknown option -%c in %.60s",
				       *p >= ' ' && *p < 127 ? *p : '?', word);
		if (o->kind == OPT_IS_FLAG) {
			a->v[o->id].given = true;
			continue;
		}
		if (!p[1] && !next)
			return needs_value(o, err);
		r = take_value(a, o, p[1] ? p + 1 : next, err);
		return r < 0 ? r : p[1] ? 1 : 2;
	}
	return 1;
}

int opt_parse(const struct opt_spec *spec, int argc, char **argv, struct opt_args *ret,
	      struct err *err)
{
	struct opt_spec s = *spec;
	int n = 0, r;

	s.groups |= OPT_G_ALL;
	memset(ret, 0, sizeof(*ret));
	for (int i = 0; i < argc;) {
		const char *next = i + 1 < argc ? argv[i + 1] : NULL;

		if (strcmp(argv[i], "--") == 0) {
			for (i++; i < argc; i++)
				argv[n++] = argv[i];
			break;
		}
		if (argv[i][0] != '-' || argv[i][1] == '\0') {
			if (s.order == OPT_STOP_AT_OPERAND) {
				for (; i < argc; i++)
					argv[n++] = argv[i];
				break;
			}
			argv[n++] = argv[i++];
			continue;
		}
		if (argv[i][1] == '-')
			r = parse_long(&s, argv[i], next, ret, err);
		else
			r = parse_letters(&s, argv[i], next, ret, err);
		if (r < 0)
			return r;
		i += r;
	}
	ret->operands = argv;
	ret->n_operands = n;
	return 0;
}
