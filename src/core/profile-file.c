/* SPDX-License-Identifier: Apache-2.0 */

#include "profile-file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/cleanup.h"
#include "../base/macro.h"
#include "../wire/json.h"
#include "layout.h"
#include "yaml.h"

#define READ_MAX 64
#define WRITE_MAX 16
#define MASK_MAX 128
#define ENV_MAX 256
#define COMMANDS_MAX 256
#define WORDS_MAX 32
#define DOC_MAX 400

/* Commands: [[git, push], [make]]; an entry may be one word alone. */
struct prefixes {
	struct argv_prefix *v;
	size_t n;
};

/* A file as it is decoded. The profile points into it. */
struct content {
	struct profile profile; /* first */
	char *name, *doc, *origin, *text;
	const char **top;
	int backend;
	struct {
		struct field_strings read, write;
		struct {
			struct field_strings read_only, hide;
		} mask;
		bool worktree;
		uint64_t scratch_inodes;
	} filesystem;
	struct {
		int mode;
	} network;
	struct {
		struct field_strings pass, set;
		int path;
	} environment;
	struct {
		struct prefixes allow, deny;
	} commands;
	struct {
		bool has[LIMIT_MAX_];
		uint64_t v[LIMIT_MAX_];
	} limits;
	uint64_t timeout_ms;
	struct field_strings optional;
};

static void prefixes_fini(void *at)
{
	struct prefixes *p = at;

	for (size_t i = 0; i < p->n; i++) {
		for (char **w = p->v[i].word; w && *w; w++)
			free(*w);
		free(p->v[i].word);
	}
	free(p->v);
	*p = (struct prefixes){ 0 };
}

static int bad_prefix(const char *path, struct err *err)
{
	return err_set(err, ERR_INVALID_INPUT, path, 0,
		       "%s holds something else than beginnings of argv; allowed: up to "
		       "%d lists of 1 to %d words, or single words, none of them empty",
		       path, COMMANDS_MAX, WORDS_MAX);
}

static int add_prefix(const json_t *v, struct prefixes *p, const char *path,
		      struct err *err)
{
	size_t n = json_is_string(v) ? 1 : json_array_size(v);
	char **words;

	if (n == 0 || n > WORDS_MAX)
		return bad_prefix(path, err);
	words = calloc(n + 1, sizeof(*words));
	if (!words)
		return err_set(err, ERR_UNAVAILABLE, path, ENOMEM, "%s", path);
	p->v[p->n++].word = words;
	for (size_t i = 0; i < n; i++) {
		const char *word =
			json_string_value(json_is_string(v) ? v : json_array_get(v, i));

		if (!word || !*word)
			return bad_prefix(path, err);
		words[i] = strdup(word);
		if (!words[i])
			return err_set(err, ERR_UNAVAILABLE, path, ENOMEM, "%s", path);
	}
	return 0;
}

static int prefixes_decode(const json_t *value, void *at, const char *path,
			   struct err *err)
{
	struct prefixes *p = at;
	size_t n = json_array_size(value);
	int r = 0;

	if (!json_is_array(value) || n > COMMANDS_MAX)
		return bad_prefix(path, err);
	p->v = calloc(n + 1, sizeof(*p->v));
	if (!p->v)
		return err_set(err, ERR_UNAVAILABLE, path, ENOMEM, "%s", path);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = add_prefix(json_array_get(value, i), p, path, err);
	if (r < 0)
		prefixes_fini(p);
	return r;
}

/* --- the tables --- */

static bool is_place(const char *text, size_t len)
{
	return field_text_line.ok(text, len) && layout_may_show(text + (*text == '~'));
}

static const struct field_text place_text = {
	.ok = is_place,
	.allowed =
		"each an absolute path, or ~/ and a path, without . and .. and a slash "
		"at its end; not /, nor what is in /proc, /sys or /dev",
	.pattern = "^~?/[^/]+(/[^/]+)*$",
};

static bool is_mask(const char *text, size_t len)
{
	char full[1100];

	if (*text == '/' || *text == '~')
		return is_place(text, len);
	return snprintf(full, sizeof(full), "/%s", text) < (int)sizeof(full) &&
	       field_text_line.ok(text, len) && layout_is_plain(full);
}

static const struct field_text mask_text = {
	.ok = is_mask,
	.allowed = "each a path below the workspace such as .git/hooks, an absolute "
		   "path, or "
		   "~/ and a path, without . and .. and a slash at its end",
	.pattern = "^(~?/)?[^/]+(/[^/]+)*$",
};

static bool is_pattern(const char *text, size_t len)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "abcdefghijklmnopqrstuvwxyz_0123456789";
	size_t n = strspn(text, letters);

	return n > 0 && (n == len || (n + 1 == len && text[n] == '*'));
}

static const struct field_text pattern_text = {
	.ok = is_pattern,
	.allowed = "each the name of a variable, or the beginning of one and *",
	.pattern = "^[A-Za-z_0-9]+\\*?$",
};

/* Without any other layer a sandbox would be none. */
static bool is_optional(const char *text, size_t len)
{
	return len == strlen("cgroup") && strcmp(text, "cgroup") == 0;
}

static const struct field_text optional_text = {
	.ok = is_optional,
	.allowed = "layers that may be absent: cgroup",
	.pattern = "^cgroup$",
};

static const struct field_text prefix_text = {
	.ok = is_pattern,
	.allowed = "beginnings of argv, lists of words",
};

#define AT(member_)                                                                      \
	.offset = offsetof(struct content, member_), .has_offset = FIELD_NO_HAS
#define IN(member_, of_)                                                                 \
	.offset = offsetof(struct content, member_) - offsetof(struct content, of_),     \
	.has_offset = FIELD_NO_HAS

static const char *const backends[] = { "native", "host", NULL };
static const char *const networks[] = { "none", "host", NULL };
static const char *const paths[] = { "system", "caller", NULL };

#define MASK(name_, doc_)                                                                \
	{                                                                                \
		.name = #name_, .type = FIELD_STRINGS,                                   \
		IN(filesystem.mask.name_, filesystem.mask), .max = MASK_MAX,             \
		.max_item = 1024, .text = &mask_text, .doc = doc_                        \
	}

static const struct field mask_fields[] = {
	MASK(read_only, "What cannot be written to although its directory can."),
	MASK(hide, "What is empty for a command."),
	FIELD_END,
};

static const struct field filesystem_fields[] = {
	{ .name = "read",
	  .type = FIELD_STRINGS,
	  IN(filesystem.read, filesystem),
	  .max = READ_MAX,
	  .max_item = 1024,
	  .text = &place_text,
	  .doc = "Directories and files of the host that are shown read-only." },
	{ .name = "write",
	  .type = FIELD_STRINGS,
	  IN(filesystem.write, filesystem),
	  .max = WRITE_MAX,
	  .max_item = 1024,
	  .text = &place_text,
	  .doc = "Directories and files of the host that can be written as well." },
	{ .name = "mask",
	  .type = FIELD_OBJECT,
	  IN(filesystem.mask, filesystem),
	  .fields = mask_fields,
	  .doc = "What is taken back from what can be written or read." },
	{ .name = "worktree",
	  .type = FIELD_BOOL,
	  IN(filesystem.worktree, filesystem),
	  .doc = "The repository of a workspace that is a git worktree can be written "
		 "to." },
	{ .name = "scratch_inodes",
	  .type = FIELD_UINT,
	  IN(filesystem.scratch_inodes, filesystem),
	  .min = 1024,
	  .max = (uint64_t)1 << 30,
	  .fallback = "1048576",
	  .doc = "Files and directories that the private part may have." },
	FIELD_END,
};

static const struct field network_fields[] = {
	{ .name = "mode",
	  .type = FIELD_ENUM,
	  IN(network.mode, network),
	  .required = true,
	  .choices = networks,
	  .doc = "none: loopback only. host: the host's network." },
	FIELD_END,
};

static const struct field environment_fields[] = {
	{ .name = "pass",
	  .type = FIELD_STRINGS,
	  IN(environment.pass, environment),
	  .max = ENV_MAX,
	  .max_item = 256,
	  .text = &pattern_text,
	  .doc = "Variables taken over from the caller." },
	{ .name = "set",
	  .type = FIELD_ENV,
	  IN(environment.set, environment),
	  .max = ENV_MAX,
	  .max_item = 32768,
	  .doc = "Variables set to a value of their own." },
	{ .name = "path",
	  .type = FIELD_ENUM,
	  IN(environment.path, environment),
	  .choices = paths,
	  .fallback = "\"system\"",
	  .doc = "PATH: the system's, or the caller's." },
	FIELD_END,
};

#define PREFIXES(name_, doc_)                                                            \
	{                                                                                \
		.name = #name_, .type = FIELD_CUSTOM, IN(commands.name_, commands),      \
		.decode = prefixes_decode, .fini = prefixes_fini, .text = &prefix_text,  \
		.doc = doc_                                                              \
	}

static const struct field commands_fields[] = {
	PREFIXES(allow, "If there are any, a command must begin with one of them."),
	PREFIXES(deny, "A command must begin with none of them."),
	FIELD_END,
};

#define LIMIT(name_, id_, min_, max_)                                                    \
	{                                                                                \
		.name = name_, .type = FIELD_UINT,                                       \
		.offset = offsetof(struct content, limits.v[id_]) -                      \
			  offsetof(struct content, limits),                              \
		.has_offset = offsetof(struct content, limits.has[id_]) -                \
			      offsetof(struct content, limits),                          \
		.min = (min_), .max = (max_), .nullable = true, .doc = "As in a call."   \
	}

static const struct field limits_fields[] = {
	LIMIT("cpu_seconds", LIMIT_CPU_SECONDS, 1, 31536000),
	LIMIT("open_files", LIMIT_OPEN_FILES, 16, 1048576),
	LIMIT("processes", LIMIT_PROCESSES, 1, 4194304),
	LIMIT("file_bytes", LIMIT_FILE_BYTES, 0, INT64_MAX),
	LIMIT("core_bytes", LIMIT_CORE_BYTES, 0, INT64_MAX),
	LIMIT("output_bytes", LIMIT_OUTPUT_BYTES, 0, INT64_MAX),
	LIMIT("lifetime_ms", LIMIT_LIFETIME_MS, 0, 604800000),
	LIMIT("idle_ms", LIMIT_IDLE_MS, 0, 604800000),
	LIMIT("memory_bytes", LIMIT_MEMORY_BYTES, 1048576, INT64_MAX),
	FIELD_END,
};

#define GROUP(name_, doc_)                                                               \
	{                                                                                \
		.name = #name_, .type = FIELD_OBJECT, AT(name_),                         \
		.fields = name_##_fields, .doc = doc_                                    \
	}

static const struct field fields[] = {
	{ .name = "doc",
	  .type = FIELD_STRING,
	  AT(doc),
	  .required = true,
	  .min = 1,
	  .max = DOC_MAX,
	  .text = &field_text_line,
	  .doc = "One sentence for those who choose." },
	{ .name = "backend",
	  .type = FIELD_ENUM,
	  AT(backend),
	  .required = true,
	  .choices = backends,
	  .doc = "native: a sandbox. host: none." },
	GROUP(filesystem, "What is seen of the host."),
	{ .name = "network",
	  .type = FIELD_OBJECT,
	  AT(network),
	  .required = true,
	  .fields = network_fields,
	  .doc = "Which network there is." },
	GROUP(environment, "Variables."),
	GROUP(commands, "Which commands are let run."),
	GROUP(limits, "For each command, unless it asks for less."),
	{ .name = "timeout_ms",
	  .type = FIELD_UINT,
	  AT(timeout_ms),
	  .min = 1,
	  .max = 86400000,
	  .nullable = true,
	  .doc = "Ends a command that says nothing of its own." },
	{ .name = "optional",
	  .type = FIELD_STRINGS,
	  AT(optional),
	  .max = 1,
	  .max_item = 16,
	  .text = &optional_text,
	  .doc = "Layers that a machine need not have." },
	FIELD_END,
};

/* --- from file to profile --- */

static const char *const *list(const struct field_strings *s)
{
	static const char *const none[] = { NULL };

	return s->n > 0 ? (const char *const *)s->v : none;
}

static const struct argv_prefix *prefixes(const struct prefixes *p)
{
	static const struct argv_prefix none[] = { { NULL } };

	return p->n > 0 ? p->v : none;
}

static int check(const struct content *c, struct err *err)
{
	if (c->backend == BACKEND_HOST && c->network.mode != NETWORK_HOST)
		return err_set(err, ERR_INVALID_INPUT, "network.mode", 0,
			       "network.mode is \"%s\"; the host backend has none but "
			       "\"host\"",
			       networks[c->network.mode]);
	if (c->backend == BACKEND_NATIVE && c->network.mode != NETWORK_NONE)
		return err_set(err, ERR_UNSUPPORTED, "network.mode", 0,
			       "network.mode is \"%s\"; the native backend of this "
			       "version has \"none\" only",
			       networks[c->network.mode]);
	if (c->backend == BACKEND_HOST && c->filesystem.read.n > 0)
		return err_set(err, ERR_INVALID_INPUT, "filesystem.read", 0,
			       "filesystem.read means nothing to the host backend, which "
			       "shows all there is");
	if (c->backend == BACKEND_HOST &&
	    (c->filesystem.mask.read_only.n > 0 || c->filesystem.mask.hide.n > 0))
		return err_set(err, ERR_INVALID_INPUT, "filesystem.mask", 0,
			       "filesystem.mask means nothing to the host backend, which "
			       "hides and protects nothing");
	if (c->backend == BACKEND_HOST && c->filesystem.write.n > 0)
		return err_set(
			err, ERR_INVALID_INPUT, "filesystem.write", 0,
			"filesystem.write means nothing to the host backend, under "
			"which all can be written that the user can write");
	for (size_t i = 0; i < c->environment.set.n; i++)
		if (strncmp(c->environment.set.v[i], "PROCTOR_", 8) == 0)
			return err_set(err, ERR_INVALID_INPUT, "environment.set", 0,
				       "environment.set has a name that begins with "
				       "PROCTOR_, which are proctor's own");
	return 0;
}

static int find_tops(struct content *c)
{
	const struct field_strings *read = &c->filesystem.read;
	size_t n = 0;

	c->top = calloc(read->n + 1, sizeof(*c->top));
	if (!c->top)
		return -ENOMEM;
	for (size_t i = 0; i < read->n; i++)
		if (read->v[i][0] == '/' && !strchr(read->v[i] + 1, '/'))
			c->top[n++] = read->v[i];
	return 0;
}

static void fill(struct content *c)
{
	struct profile *p = &c->profile;

	*p = (struct profile){
		.name = c->name,
		.doc = c->doc,
		.origin = c->origin,
		.text = c->text,
		.backend = (enum backend)c->backend,
		.network = (enum network)c->network.mode,
		.read = list(&c->filesystem.read),
		.write = list(&c->filesystem.write),
		.mask_read_only = list(&c->filesystem.mask.read_only),
		.mask_hide = list(&c->filesystem.mask.hide),
		.top = c->top,
		.env_pass = list(&c->environment.pass),
		.env_set = list(&c->environment.set),
		.path_from_caller = c->environment.path == 1,
		.allow = prefixes(&c->commands.allow),
		.deny = prefixes(&c->commands.deny),
		.cgroup_optional = c->optional.n > 0,
		.timeout_ms = c->timeout_ms,
		.worktree = c->filesystem.worktree,
		.scratch_inodes = c->filesystem.scratch_inodes,
	};
	for (int i = 0; i < LIMIT_MAX_; i++)
		if (c->limits.has[i])
			limits_set(&p->limits, (enum limit_id)i, c->limits.v[i]);
}

void profile_free(struct profile *p)
{
	struct content *c = (struct content *)p;

	if (!c)
		return;
	field_fini(fields, c);
	free(c->name);
	free(c->origin);
	free(c->text);
	free(c->top);
	free(c);
}

int profile_parse(const char *name, const char *origin, const char *text, size_t len,
		  struct profile **ret, struct err *err)
{
	struct content *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return err_set(err, ERR_UNAVAILABLE, "profile", ENOMEM, "%s", origin);
	c->name = strdup(name);
	c->origin = strdup(origin);
	c->text = strndup(text, len);
	if (!c->name || !c->origin || !c->text)
		r = err_set(err, ERR_UNAVAILABLE, "profile", ENOMEM, "%s", origin);
	else
		r = yaml_decode(origin, text, len, fields, c, err);
	if (r == 0) {
		r = check(c, err);
		if (r < 0)
			r = err_wrap(err, "%s", origin);
	}
	if (r == 0 && find_tops(c) < 0)
		r = err_set(err, ERR_UNAVAILABLE, "profile", ENOMEM, "%s", origin);
	if (r < 0) {
		profile_free(&c->profile);
		return r;
	}
	fill(c);
	*ret = &c->profile;
	return 0;
}
