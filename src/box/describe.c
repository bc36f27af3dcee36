/* SPDX-License-Identifier: Apache-2.0 */

#include "reader.h"

#include <string.h>

#include "../base/clock.h"
#include "../base/macro.h"
#include "../base/signame.h"
#include "stock.h"

/* Length of the well-formed UTF-8 sequence at p (Unicode 15, table 3-7), or 0. */
static size_t utf8_len(const unsigned char *p, size_t left)
{
	unsigned char low = 0x80, high = 0xbf;
	size_t n;

	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	n = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (n > left)
		return 0;
	if (p[0] == 0xe0)
		low = 0xa0;
	if (p[0] == 0xed)
		high = 0x9f;
	if (p[0] == 0xf0)
		low = 0x90;
	if (p[0] == 0xf4)
		high = 0x8f;
	if (p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++)
		if (p[i] < 0x80 || p[i] > 0xbf)
			return 0;
	return n;
}

/* C1 controls, which a terminal may obey as it does ESC [. */
static bool is_c1(const unsigned char *p, size_t n)
{
	return n == 2 && p[0] == 0xc2 && p[1] < 0xa0;
}

static void add_json_char(struct buf *out, const unsigned char *p, size_t n)
{
	if (n == 0)
		buf_adds(out, "\\ufffd");
	else if (*p == '"' || *p == '\\')
		buf_addf(out, "\\%c", *p);
	else if (*p < 0x20 || *p == 0x7f)
		buf_addf(out, "\\u%04x", *p);
	else if (is_c1(p, n))
		buf_addf(out, "\\u%04x", p[1]);
	else
		buf_add(out, p, n);
}

static void add_plain_char(struct buf *out, const unsigned char *p, size_t n)
{
	if (n == 0 || *p < 0x20 || *p == 0x7f || is_c1(p, n))
		buf_adds(out, "?");
	else
		buf_add(out, p, n);
}

/* Text that came out of a box, which may be anything. */
static void add_text(struct buf *out, const char *text, bool json)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t left = strlen(text);

	if (json)
		buf_adds(out, "\"");
	while (left > 0) {
		size_t n = utf8_len(p, left), step = n ? n : 1;

		if (json)
			add_json_char(out, p, n);
		else
			add_plain_char(out, p, n);
		p += step;
		left -= step;
	}
	if (json)
		buf_adds(out, "\"");
}

/* One fact a line for a person, one member for JSON; *first says whether a comma is due.
 */
struct printer {
	struct buf *out;
	bool json;
	bool first; /* no comma before the next member */
	const char *indent;
};

static void add_key(struct printer *p, const char *key)
{
	if (p->json)
		buf_addf(p->out, "%s\"%s\":", p->first ? "" : ",", key);
	else
		buf_addf(p->out, "%s%-18s ", p->indent, key);
	p->first = false;
}

static void end_value(struct printer *p)
{
	if (!p->json)
		buf_adds(p->out, "\n");
}

static void put_text(struct printer *p, const char *key, const char *text)
{
	add_key(p, key);
	add_text(p->out, text, p->json);
	end_value(p);
}

static void put_u64(struct printer *p, const char *key, uint64_t v)
{
	add_key(p, key);
	buf_addf(p->out, "%llu", (unsigned long long)v);
	end_value(p);
}

static void put_bool(struct printer *p, const char *key, bool v)
{
	add_key(p, key);
	if (p->json)
		buf_adds(p->out, v ? "true" : "false");
	else
		buf_adds(p->out, v ? "yes" : "no");
	end_value(p);
}

static void put_null(struct printer *p, const char *key)
{
	add_key(p, key);
	buf_adds(p->out, p->json ? "null" : "-");
	end_value(p);
}

static void put_time(struct printer *p, const char *key, uint64_t wall_ns)
{
	char text[CLOCK_TEXT];

	if (wall_ns == 0)
		put_null(p, key);
	else
		put_text(p, key, clock_rfc3339(wall_ns, text));
}

static void put_uuid(struct printer *p, const char *key, const struct id *id)
{
	add_key(p, key);
	if (p->json)
		buf_adds(p->out, "\"");
	for (int i = 0; i < ID_BYTES; i++)
		buf_addf(p->out, "%s%02x",
			 i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", id->b[i]);
	if (p->json)
		buf_adds(p->out, "\"");
	end_value(p);
}

static void begin_object(struct printer *p, const char *key)
{
	if (p->json && key)
		add_key(p, key);
	if (p->json)
		buf_adds(p->out, "{");
	else if (key)
		buf_addf(p->out, "%s\n", key);
	p->first = true;
	p->indent = key ? "  " : "";
}

static void end_object(struct printer *p)
{
	if (p->json)
		buf_adds(p->out, "}");
	p->first = false;
	p->indent = "";
}

static void put_head(struct printer *p, const struct box_head *h, int locked)
{
	char id[ID_TEXT];

	/* A box without a stream is that of a sandbox's holder. */
	put_text(p, "id", id_format(&h->id, h->streams ? ID_PROCESS : ID_SANDBOX, id));
	put_u64(p, "version", h->version);
	put_uuid(p, "boot_id", &h->boot_id);
	put_text(p, "capture", box_capture_name(h->capture));
	put_text(p, "overflow", box_overflow_name(h->overflow));
	put_time(p, "created_at", h->created_wall_ns);
	if (locked < 0)
		put_null(p, "writer_alive");
	else
		put_bool(p, "writer_alive", locked > 0);
}

static void put_end(struct printer *p, const struct box_record *r)
{
	char sig[SIGNAME_MAX];

	if (r->exit_code >= 0)
		put_u64(p, "exit_code", (uint64_t)r->exit_code);
	else
		put_null(p, "exit_code");
	if (r->exit_signal > 0)
		put_text(p, "signal", signame(r->exit_signal, sig));
	else
		put_null(p, "signal");
	put_bool(p, "core_dumped", r->flags & BOX_DUMPED_CORE);
	put_bool(p, "exited", r->flags & BOX_HAS_EXITED);
	put_bool(p, "closed", r->flags & BOX_HAS_CLOSED);
	put_bool(p, "empty", r->flags & BOX_IS_EMPTY);
	put_bool(p, "final", r->flags & BOX_IS_FINAL);
	put_bool(p, "block_lapsed", r->flags & BOX_BLOCK_LAPSED);
	put_u64(p, "live", r->live);
}

static void put_record(struct printer *p, const struct box_record *r)
{
	begin_object(p, "record");
	put_u64(p, "generation", r->generation);
	put_text(p, "state", box_state_name(r->state));
	put_text(p, "reason", box_reason_name(r->reason));
	put_end(p, r);
	put_u64(p, "sandbox_pid", (uint64_t)r->sandbox_pid);
	put_time(p, "started_at", r->started_wall_ns);
	put_time(p, "ended_at", r->ended_wall_ns);
	/* By the clock that cannot be set; a record may claim any two times. */
	if (r->started_boot_ns != 0 && r->ended_boot_ns >= r->started_boot_ns)
		put_u64(p, "duration_ms",
			(r->ended_boot_ns - r->started_boot_ns) / NS_PER_MS);
	else
		put_null(p, "duration_ms");
	put_u64(p, "spawn_us", r->spawn_ns / 1000);
	put_u64(p, "user_us", r->utime_us);
	put_u64(p, "system_us", r->stime_us);
	put_u64(p, "max_rss_bytes", r->max_rss_bytes);
	if (r->start_stage[0] || r->start_msg[0] || r->start_errno) {
		put_text(p, "start_stage", r->start_stage);
		put_u64(p, "start_errno", (uint64_t)r->start_errno);
		put_text(p, "start_msg", r->start_msg);
	}
	end_object(p);
}

static void put_usage(struct printer *p, const struct box_usage *u)
{
	begin_object(p, "usage");
	put_u64(p, "memory_limit", u->memory_limit);
	put_u64(p, "memory_peak", u->memory_peak);
	put_u64(p, "oom_killed", u->oom_killed);
	end_object(p);
}

static const char *stream_name(const struct box_head *h, uint32_t i)
{
	if (h->capture == BOX_CAPTURE_PTY)
		return "terminal";
	if (h->capture == BOX_CAPTURE_COMBINED)
		return "combined";
	return i == 0 ? "stdout" : "stderr";
}

static void put_extent(struct printer *p, int fd, const struct box_head *h, uint32_t i)
{
	struct err err = { 0 };
	struct box_extent x = { 0 };

	begin_object(p, stream_name(h, i));
	if (box_read_extent(fd, (int)i, &x, &err) < 0) {
		put_text(p, "error", err.msg);
	} else {
		put_u64(p, "total_bytes", x.total);
		put_u64(p, "lost_bytes", x.start);
		put_u64(p, "held_bytes", x.total - x.start);
		put_u64(p, "ring_bytes", x.ring_size);
		put_bool(p, "at_end", x.at_end);
		put_bool(p, "disk_full", x.disk_full);
	}
	end_object(p);
}

int box_describe(int fd, bool json, struct buf *out, struct err *err)
{
	struct printer p = { .out = out, .json = json, .indent = "" };
	struct err record_err = { 0 };
	struct box_record rec = { 0 };
	struct box_usage usage = { 0 };
	struct box_head head = { 0 };
	int r;

	r = box_read_head(fd, &head, err);
	if (r < 0)
		return r;

	begin_object(&p, NULL);
	put_head(&p, &head, box_is_locked(fd));
	/* What is left of a damaged box is shown all the same. */
	if (box_read_record(fd, &rec, &record_err) == 0)
		put_record(&p, &rec);
	else
		put_text(&p, "record_error", record_err.msg);
	if (box_read_usage(fd, &usage, NULL) == 0)
		put_usage(&p, &usage);
	for (uint32_t i = 0; i < head.streams; i++)
		put_extent(&p, fd, &head, i);
	end_object(&p);
	if (json)
		buf_adds(out, "\n");
	if (!buf_ok(out))
		return err_set(err, ERR_INTERNAL, "box", 0, "no memory");
	return 0;
}
