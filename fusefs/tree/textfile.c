/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "textfile.h"

#include <string.h>

/* A text may be written over, and is looked at again then: so many times its largest size in all,
 * however often a program writes a byte of it again. */
#define LOOKS_MAX 4

struct FsTextFile {
    GByteArray *bytes;
    size_t max_bytes;
    UvJsonGate *gate;
    size_t followed;     /* bytes that went through the gate */
    size_t looked_again; /* of all bytes that it saw, those that it had seen before */
    UvJsonState state;
};

FsTextFile *fs_textfile_new(const UvJsonRules *rules, size_t max_bytes)
{
    FsTextFile *text = g_new0(FsTextFile, 1);
    text->bytes = g_byte_array_new();
    text->max_bytes = max_bytes;
    text->gate = uv_json_gate_new(rules);
    return text;
}

void fs_textfile_free(FsTextFile *text)
{
    g_byte_array_unref(text->bytes);
    uv_json_gate_free(text->gate);
    g_free(text);
}

static void start_over(FsTextFile *text)
{
    text->looked_again += text->followed;
    text->followed = 0;
    text->state = UV_JSON_OPEN;
    uv_json_gate_restart(text->gate);
}

void fs_textfile_truncate(FsTextFile *text, size_t size)
{
    if (size < text->bytes->len) {
        g_byte_array_set_size(text->bytes, size);
        start_over(text);
    }
}

/* Puts the piece where it belongs. */
static void put(FsTextFile *text, const void *bytes, size_t size, size_t offset)
{
    size_t kept = MIN(size, text->bytes->len - offset);

    if (kept > 0)
        memcpy(text->bytes->data + offset, bytes, kept);
    g_byte_array_append(text->bytes, (const guint8 *)bytes + kept, size - kept);
}

FsTextFileState fs_textfile_write(FsTextFile *text, const void *bytes, size_t size, size_t offset,
                                  bool append)
{
    bool was_complete;

    if (append) {
        offset = text->bytes->len;
    } else if (offset == 0 && text->state != UV_JSON_OPEN) {
        fs_textfile_truncate(text, 0);
        text->looked_again = 0;
    }
    if (offset > text->bytes->len)
        return FS_TEXTFILE_GAP;
    if (size > text->max_bytes - offset)
        return FS_TEXTFILE_TOO_LARGE;
    if (offset < text->followed)
        start_over(text);
    if (text->looked_again > LOOKS_MAX * text->max_bytes)
        return FS_TEXTFILE_TOO_OFTEN;
    was_complete = text->state == UV_JSON_WHOLE;
    put(text, bytes, size, offset);
    text->state = uv_json_gate_feed(text->gate, text->bytes->data + text->followed,
                                    text->bytes->len - text->followed);
    text->followed = text->bytes->len;
    if (text->state == UV_JSON_REFUSED)
        return FS_TEXTFILE_SPOILED;
    if (text->state == UV_JSON_OPEN)
        return FS_TEXTFILE_INCOMPLETE;
    return was_complete ? FS_TEXTFILE_AFTER : FS_TEXTFILE_COMPLETE;
}

char *fs_textfile_reason(const FsTextFile *text, const char *name)
{
    const UvJsonFault fault = uv_json_gate_fault(text->gate);

    return uv_json_fault_text(name, (const char *)text->bytes->data, text->bytes->len, &fault);
}

GBytes *fs_textfile_content(const FsTextFile *text)
{
    return g_bytes_new(text->bytes->data, text->bytes->len);
}

size_t fs_textfile_bytes(const FsTextFile *text)
{
    return text->bytes->len;
}

bool fs_textfile_is_unfinished(const FsTextFile *text)
{
    return text->bytes->len > 0 && text->state == UV_JSON_OPEN;
}
