/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "view-text.h"

#include "uv-limits.h"

#include <errno.h>
#include <string.h>

#define PAGE 4096u
/* With the names around it, it must go into a frame. */
#define TEXT_BYTES_MAX (UV_VIEW_FRAME_MAX - 1024u)

struct FsViewText {
    GByteArray *bytes;
    size_t base; /* the offset of its first byte, as who writes counts */
    bool each_anew;
    bool open;      /* written since the last commit */
    bool committed; /* the next piece begins anew */
};

FsViewText *fs_view_text_new(GBytes *before, bool each_anew)
{
    FsViewText *text = g_new0(FsViewText, 1);

    text->bytes = g_byte_array_new();
    text->each_anew = each_anew;
    if (before)
        g_byte_array_append(text->bytes, g_bytes_get_data(before, NULL),
                            (guint)g_bytes_get_size(before));
    return text;
}

void fs_view_text_free(FsViewText *text)
{
    g_byte_array_unref(text->bytes);
    g_free(text);
}

/* From the offset that comes next, or another. */
static void begin_anew(FsViewText *text, size_t base)
{
    g_byte_array_set_size(text->bytes, 0);
    text->base = base;
    text->committed = false;
}

int fs_view_text_write(FsViewText *text, const void *bytes, size_t size, size_t offset, bool append)
{
    size_t at;

    if (append)
        offset = text->base + text->bytes->len;
    if (text->committed)
        begin_anew(text, offset);
    else if (offset < text->base)
        begin_anew(text, 0);
    at = offset - text->base;
    if (at > text->bytes->len)
        return EINVAL;
    if (size > TEXT_BYTES_MAX - at)
        return EFBIG;
    if (at == 0)
        g_byte_array_set_size(text->bytes, 0);
    if (at + size > text->bytes->len)
        g_byte_array_set_size(text->bytes, (guint)(at + size));
    memcpy(text->bytes->data + at, bytes, size);
    text->open = true;
    return 0;
}

void fs_view_text_truncate(FsViewText *text, size_t size)
{
    if (size < text->base)
        begin_anew(text, 0);
    else if (size - text->base < text->bytes->len)
        g_byte_array_set_size(text->bytes, (guint)(size - text->base));
}

size_t fs_view_text_bytes(const FsViewText *text)
{
    return text->bytes->len;
}

bool fs_view_text_is_held(const FsViewText *text)
{
    return text->open && text->bytes->len > 0 && text->bytes->len % PAGE == 0;
}

GBytes *fs_view_text_content(const FsViewText *text)
{
    return g_bytes_new(text->bytes->data, text->bytes->len);
}

void fs_view_text_committed(FsViewText *text)
{
    text->open = false;
    text->committed = text->each_anew;
}
