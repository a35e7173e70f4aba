/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "export-hint.h"

#include "bytes.h"

#include <string.h>

static const uint8_t magic[8] = {'u', 'v', 'e', 'x', 'p', 'r', 't', 2};

#define HINT_BYTES (sizeof(magic) + 6 * 8)

static GBytes *encode(const FsIdentity *store, size_t bytes)
{
    g_auto(UvWriter) writer = {0};

    uv_writer_init(&writer, HINT_BYTES);
    uv_write_bytes(&writer, magic, sizeof(magic));
    for (size_t i = 0; i < G_N_ELEMENTS(store->word); i++)
        uv_write_u64(&writer, store->word[i]);
    uv_write_u64(&writer, bytes);
    return uv_writer_steal(&writer);
}

bool fs_export_hint_read(const FsGuest *guest, size_t *ret_bytes)
{
    g_autoptr(GBytes) expected = encode(&fs_guest_look(guest)->store, 0);
    int error;
    GBytes *hint = fs_guest_text(guest, FS_TEXT_HINT, &error, NULL);
    gsize size;
    const uint8_t *bytes = hint ? g_bytes_get_data(hint, &size) : NULL;
    UvReader reader;

    if (!bytes || size != HINT_BYTES ||
        memcmp(bytes, g_bytes_get_data(expected, NULL), HINT_BYTES - 8) != 0)
        return false;
    uv_reader_init(&reader, bytes + HINT_BYTES - 8, 8);
    *ret_bytes = uv_read_u64(&reader);
    return true;
}

void fs_export_hint_write(FsGuest *guest, size_t bytes)
{
    g_autoptr(GBytes) hint = encode(&fs_guest_look(guest)->store, bytes);

    fs_guest_write_text(guest, FS_TEXT_HINT, hint, NULL, NULL);
}
