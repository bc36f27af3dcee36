/* SPDX-License-Identifier: Apache-2.0 */

#include "request.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "../base/cleanup.h"
#include "../base/num.h"
#include "../base/signame.h"
#include "../wire/base64.h"

static bool is_trace_id(const char *text, size_t len)
{
	return len == 32 && strspn(text, "0123456789abcdef") == 32 &&
	       strspn(text, "0") < 32;
}

static bool is_absolute(const char *text, size_t len)
{
	return len > 0 && text[0] == '/';
}

static bool is_name(const char *text, size_t len)
{
	static const char set[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				  "0123456789._-";

	return len > 0 && strspn(text, set) == len && text[0] != '.' && text[0] != '-';
}

const struct field_text req_text_trace_id = {
	.ok = is_trace_id,
	.allowed = "32 lower-case hexadecimal digits, not all 0",
	.pattern = "^[0-9a-f]{32}$",
};

const struct field_text req_text_path = {
	.ok = is_absolute,
	.allowed = "an absolute path",
	.pattern = "^/",
};

const struct field_text req_text_name = {
	.ok = is_name,
	.allowed = "letters, digits, '.', '_' and '-', beginning with a letter, digit or "
		   "'_'",
	.pattern = "^[A-Za-z0-9_][A-Za-z0-9._-]*$",
};

const struct field_text req_text_signal = {
	.allowed = "a name such as SIGTERM, in any case, with or without SIG, or a "
		   "number from "
		   "1 to 64",
};

const struct field_text req_text_stdin = {
	.allowed = "null, a string, {\"text\": STRING}, {\"base64\": STRING}, {\"open\": "
		   "true} "
		   "or {\"fd\": true}",
};

const struct field_text req_text_data = {
	.allowed = "a string of at most 1 MiB, decoded",
};

static int bad(struct err *err, const char *field, const char *what)
{
	return err_set(err, ERR_INVALID_INPUT, field, 0, "%s %s", field, what);
}

static int copy_bytes(const json_t *text, unsigned char **ret, size_t *ret_len)
{
	size_t len = json_string_length(text);
	unsigned char *p = malloc(len + 1);

	if (!p)
		return -ENOMEM;
	memcpy(p, json_string_value(text), len);
	p[len] = '\0';
	*ret = p;
	*ret_len = len;
	return 0;
}

/* Text as it is, or base64 of it; at most max bytes in the end. */
static int take_bytes(const json_t *v, bool base64, size_t max, struct req_bytes *ret,
		      const char *path, struct err *err)
{
	CLEANUP(free) unsigned char *p = NULL;
	size_t len = 0;
	int r;

	if (!json_is_string(v))
		return bad(err, path, "is no string; allowed: a string");
	if (json_string_length(v) > (base64 ? max / 3 * 4 + 4 : max))
		return err_set(
			err, ERR_INVALID_INPUT, path, 0,
			"%s has %zu bytes of %s; allowed: at most %zu bytes of data",
			path, json_string_length(v), base64 ? "base64" : "text", max);
	r = base64 ?
		    base64_decode(json_string_value(v), json_string_length(v), &p, &len) :
		    copy_bytes(v, &p, &len);
	if (r == -EINVAL)
		return bad(err, path,
			   "is no base64; allowed: the standard alphabet with padding, "
			   "without white space");
	if (r < 0)
		return err_set(err, ERR_INTERNAL, path, -r, "%s", path);
	if (len > max)
		return err_set(err, ERR_INVALID_INPUT, path, 0,
			       "%s has %zu bytes; allowed: at most %zu", path, len, max);
	ret->v = TAKE_PTR(p);
	ret->len = len;
	return 0;
}

static int bad_stdin(struct err *err, const char *path)
{
	return err_set(err, ERR_INVALID_INPUT, path, 0,
		       "%s has the wrong form; allowed: %s", path,
		       req_text_stdin.allowed);
}

static int stdin_object(const json_t *v, struct stdin_spec *spec, const char *path,
			struct err *err)
{
	const json_t *text = json_object_get(v, "text"),
		     *base64 = json_object_get(v, "base64");
	const json_t *data = text ? text : base64;
	struct req_bytes bytes = { 0 };
	int e;

	if (json_object_size(v) != 1)
		return bad_stdin(err, path);
	if (data) {
		e = take_bytes(data, data == base64, REQ_STDIN_MAX, &bytes, path, err);
		if (e < 0)
			return e;
		*spec = (struct stdin_spec){ STDIN_TEXT, bytes.v, bytes.len };
		return 0;
	}
	if (json_is_true(json_object_get(v, "open")))
		spec->kind = STDIN_OPEN;
	else if (json_is_true(json_object_get(v, "fd")))
		spec->kind = STDIN_FD;
	else
		return bad_stdin(err, path);
	return 0;
}

int stdin_spec_decode(const json_t *value, void *at, const char *path, struct err *err)
{
	struct stdin_spec *spec = at;
	struct req_bytes bytes = { 0 };
	int e;

	if (json_is_null(value)) {
		spec->kind = STDIN_NULL;
		return 0;
	}
	if (json_is_object(value))
		return stdin_object(value, spec, path, err);
	if (!json_is_string(value))
		return bad_stdin(err, path);
	e = take_bytes(value, false, REQ_STDIN_MAX, &bytes, path, err);
	if (e < 0)
		return e;
	*spec = (struct stdin_spec){ STDIN_TEXT, bytes.v, bytes.len };
	return 0;
}

void stdin_spec_fini(void *at)
{
	struct stdin_spec *spec = at;

	free(spec->bytes);
	*spec = (struct stdin_spec){ 0 };
}

int signal_decode(const json_t *value, void *at, const char *path, struct err *err)
{
	const char *text = json_string_value(value);
	json_int_t n = json_integer_value(value);
	int sig = -EINVAL;

	if (text && strlen(text) == json_string_length(value))
		sig = signame_parse(text);
	else if (json_is_integer(value) && n >= 1 && n <= 64)
		sig = (int)n;
	if (sig < 0)
		return err_set(err, ERR_INVALID_INPUT, path, 0,
			       "%s is no signal; allowed: %s", path,
			       req_text_signal.allowed);
	*(int *)at = sig;
	return 0;
}

/* The larger limit of the two encodings; write_params_check() knows which it is. */
int req_bytes_decode(const json_t *value, void *at, const char *path, struct err *err)
{
	return take_bytes(value, false, REQ_WRITE_MAX / 3 * 4 + 4, at, path, err);
}

void req_bytes_fini(void *at)
{
	struct req_bytes *b = at;

	free(b->v);
	*b = (struct req_bytes){ 0 };
}

static int check_argv(const struct start_params *p, struct err *err)
{
	size_t sum = 0;

	if (p->argv.n > 0 && p->argv.v[0][0] == '\0')
		return bad(err, "argv", "has an empty string as the program");
	if (p->argv.n > 0 && (p->shell || p->login))
		return bad(err, p->shell ? "shell" : "login",
			   "is for a command; argv is run without a shell");
	for (size_t i = 0; i < p->argv.n; i++)
		sum += strlen(p->argv.v[i]) + 1;
	if (sum > REQ_ARGV_MAX)
		return err_set(err, ERR_INVALID_INPUT, "argv", 0,
			       "argv has %zu bytes; allowed: at most %zu together", sum,
			       REQ_ARGV_MAX);
	return 0;
}

static int check_capture(const struct start_params *p, struct err *err)
{
	if (p->has_pty && p->has_capture && p->capture == REQ_CAPTURE_SEPARATE)
		return bad(err, "capture",
			   "is separate, but a terminal (pty) has one stream; allowed "
			   "with a "
			   "pty: combined, discard");
	if (p->has_pty && p->stdin_spec.kind == STDIN_FD)
		return bad(err, "stdin",
			   "is a descriptor, but with a pty the input comes from its "
			   "terminal; "
			   "allowed with a pty: null, text, {\"open\": true}");
	if (p->overflow == REQ_BLOCK && !p->consumer)
		return bad(err, "consumer",
			   "is missing: overflow block needs the name of the one reader "
			   "that "
			   "acknowledges what it has");
	if (p->overflow == REQ_BLOCK && p->capture == REQ_CAPTURE_DISCARD)
		return bad(err, "overflow",
			   "is block, but with capture discard nothing is kept");
	if (p->overflow != REQ_BLOCK && p->consumer)
		return bad(err, "consumer", "has a meaning only with overflow block");
	return 0;
}

int start_params_check(void *start_params, struct err *err)
{
	struct start_params *p = start_params;
	int e;

	if (p->command && p->argv.n > 0)
		return bad(err, "argv",
			   "is given beside command; allowed: one of the two");
	if (!p->command && p->argv.n == 0)
		return bad(err, "command", "is missing; allowed: command or argv");
	e = check_argv(p, err);
	if (e < 0)
		return e;
	e = check_capture(p, err);
	if (e < 0)
		return e;
	p->ring_bytes = num_align(p->ring_bytes, 4096);
	return 0;
}

int run_params_check(void *run_params, struct err *err)
{
	struct run_params *p = run_params;

	return start_params_check(&p->start, err);
}

int target_params_check(void *target_params, struct err *err)
{
	const struct target_params *p = target_params;

	if (p->id && p->pid)
		return bad(err, "pid", "is given beside id; allowed: one of the two");
	if (!p->id && !p->pid)
		return bad(err, "id", "is missing; allowed: id or pid");
	return 0;
}

int wait_params_check(void *wait_params, struct err *err)
{
	struct wait_params *p = wait_params;

	if (p->ids.n == 0)
		return target_params_check(&p->target, err);
	if (p->target.id || p->target.pid)
		return bad(err, "ids",
			   "is given beside id or pid; allowed: one of the three");
	return 0;
}

int read_params_check(void *read_params, struct err *err)
{
	struct read_params *p = read_params;
	int e = target_params_check(&p->target, err);

	if (e < 0)
		return e;
	if (p->has_stderr_offset && p->stream != REQ_BOTH)
		return bad(err, "stderr_offset",
			   "is for stream both; for stderr alone, offset is its offset");
	if (p->has_tail_bytes && p->has_tail_lines)
		return bad(err, "tail_lines",
			   "is given beside tail_bytes; allowed: one of the two");
	if ((p->has_offset || p->has_stderr_offset) &&
	    (p->has_tail_bytes || p->has_tail_lines))
		return bad(err, p->has_tail_bytes ? "tail_bytes" : "tail_lines",
			   "is given beside an offset; allowed: one of the two");
	if (p->ack && !p->consumer)
		return bad(err, "consumer", "is missing: ack needs the consumer's name");
	if (p->ack && !p->has_offset && !p->has_stderr_offset)
		return bad(err, "offset",
			   "is missing: ack acknowledges the bytes before it");
	return 0;
}

int write_params_check(void *write_params, struct err *err)
{
	struct write_params *p = write_params;
	unsigned char *v;
	size_t len;
	int r;

	if (p->data.v && p->encoding == REQ_WRITE_BASE64) {
		r = base64_decode((const char *)p->data.v, p->data.len, &v, &len);
		if (r == -EINVAL)
			return bad(err, "data",
				   "is no base64; allowed: the standard alphabet with "
				   "padding, "
				   "without white space");
		if (r < 0)
			return err_set(err, ERR_INTERNAL, "data", -r, "data");
		free(p->data.v);
		p->data = (struct req_bytes){ v, len };
		p->encoding = REQ_WRITE_UTF8;
	}
	if (p->data.len > REQ_WRITE_MAX)
		return err_set(err, ERR_INVALID_INPUT, "data", 0,
			       "data has %zu bytes; allowed: at most %zu", p->data.len,
			       REQ_WRITE_MAX);
	return 0;
}
