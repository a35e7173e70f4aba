/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "textfile.h"

#include <string.h>

#define DEPTH_MAX 64 /* the stores and wishes need 4 */

struct FsText {
    GByteArray *bytes;
    size_t max_bytes;
    size_t followed;      /* bytes looked at */
    char open[DEPTH_MAX]; /* the brackets that are open */
    unsigned depth;
    bool in_string, escaped;
    bool complete, spoiled;
};

FsText *fs_text_new(size_t max_bytes)
{
    FsText *text = g_new0(FsText, 1);
    text->bytes = g_byte_array_new();
    text->max_bytes = max_bytes;
    return text;
}

void fs_text_free(FsText *text)
{
    g_byte_array_unref(text->bytes);
    g_free(text);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void follow_string(FsText *text, char c)
{
    if (text->escaped) {
        text->escaped = false;
    } else if (c == '\\') {
        text->escaped = true;
    } else if (c == '"') {
        text->in_string = false;
    }
}

static void follow_close(FsText *text, char c)
{
    if (text->open[text->depth - 1] != (c == '}' ? '{' : '[')) {
        text->spoiled = true;
        return;
    }
    text->depth--;
    text->complete = text->depth == 0;
}

static void follow(FsText *text, char c)
{
    if (text->in_string) {
        follow_string(text, c);
    } else if (is_space(c)) {
        return;
    } else if (text->complete || (text->depth == 0 && c != '{')) {
        text->spoiled = true;
    } else if (c == '{' || c == '[') {
        if (text->depth == DEPTH_MAX) {
            text->spoiled = true;
        } else {
            text->open[text->depth++] = c;
        }
    } else if (c == '}' || c == ']') {
        follow_close(text, c);
    } else if (c == '"') {
        text->in_string = true;
    }
}

static void start_over(FsText *text)
{
    text->followed = 0;
    text->depth = 0;
    text->in_string = text->escaped = text->complete = text->spoiled = false;
}

void fs_text_truncate(FsText *text, size_t size)
{
    if (size < text->bytes->len) {
        g_byte_array_set_size(text->bytes, size);
        start_over(text);
    }
}

/* Puts the piece where it belongs; what was followed beyond its beginning is followed again. */
static void put(FsText *text, const void *bytes, size_t size, size_t offset)
{
    size_t kept = MIN(size, text->bytes->len - offset);

    if (offset < text->followed) {
        start_over(text);
    }
    if (kept > 0) {
        memcpy(text->bytes->data + offset, bytes, kept);
    }
    g_byte_array_append(text->bytes, (const guint8 *)bytes + kept, size - kept);
}

FsTextState fs_text_write(FsText *text, const void *bytes, size_t size, size_t offset, bool append)
{
    bool was_complete = text->complete && !text->spoiled;

    if (append) {
        offset = text->bytes->len;
    } else if (offset == 0 && text->complete) {
        fs_text_truncate(text, 0);
        was_complete = false;
    }
    if (offset > text->bytes->len) {
        return FS_TEXT_GAP;
    }
    if (size > text->max_bytes - offset) {
        return FS_TEXT_TOO_LARGE;
    }
    put(text, bytes, size, offset);
    for (; text->followed < text->bytes->len && !text->spoiled; text->followed++) {
        follow(text, (char)text->bytes->data[text->followed]);
    }
    if (text->spoiled) {
        return FS_TEXT_SPOILED;
    }
    if (!text->complete) {
        return FS_TEXT_INCOMPLETE;
    }
    return was_complete ? FS_TEXT_AFTER : FS_TEXT_COMPLETE;
}

GBytes *fs_text_content(const FsText *text)
{
    return g_bytes_new(text->bytes->data, text->bytes->len);
}

bool fs_text_is_unfinished(const FsText *text)
{
    return text->bytes->len > 0 && !text->complete && !text->spoiled;
}
