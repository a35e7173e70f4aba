/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "view-list.h"

#include "uv-limits.h"

#include <string.h>
#include <sys/stat.h>

/* No text of an engine is larger. */
#define SIZE_MAX_BYTES (4u * 1024 * 1024)

void fs_view_walk_init(FsViewWalk *walk, GBytes *list)
{
    walk->reader = uv_reader_of(list);
    uv_read_u32(&walk->reader);
}

bool fs_view_walk_next(FsViewWalk *walk, FsViewEntry *ret_entry)
{
    UvReader *reader = &walk->reader;

    if (reader->left == 0 || reader->failed)
        return false;
    ret_entry->mode = uv_read_u32(reader);
    ret_entry->size_bytes = uv_read_u64(reader);
    ret_entry->path_bytes = uv_read_u16(reader);
    ret_entry->path = (const char *)uv_read_bytes(reader, ret_entry->path_bytes);
    return ret_entry->path != NULL;
}

static bool is_name(const char *name, size_t size)
{
    return size > 0 && size <= UV_FILE_NAME_MAX && !(size == 1 && name[0] == '.') &&
           !(size == 2 && memcmp(name, "..", 2) == 0);
}

static bool is_path(const char *path, size_t size)
{
    size_t begin = 0;

    for (size_t i = 0; i < size; i++) {
        if ((unsigned char)path[i] < ' ' || path[i] == 0x7f)
            return false;
        if (path[i] != '/')
            continue;
        if (!is_name(path + begin, i - begin))
            return false;
        begin = i + 1;
    }
    return is_name(path + begin, size - begin) && g_utf8_validate_len(path, size, NULL);
}

bool fs_view_list_check(GBytes *list)
{
    FsViewWalk walk;
    FsViewEntry entry;
    uint32_t count = 0;
    UvReader head = uv_reader_of(list);
    const uint32_t told = uv_read_u32(&head);
    fs_view_walk_init(&walk, list);
    while (fs_view_walk_next(&walk, &entry)) {
        const bool known = S_ISREG(entry.mode) || S_ISDIR(entry.mode);
        if (!known || entry.size_bytes > SIZE_MAX_BYTES || !is_path(entry.path, entry.path_bytes))
            return false;
        count++;
    }
    return uv_reader_done(&walk.reader) && count == told;
}

bool fs_view_list_find(GBytes *list, const char *path, FsViewEntry *ret_entry)
{
    const size_t path_bytes = strlen(path);
    FsViewWalk walk;

    fs_view_walk_init(&walk, list);
    while (fs_view_walk_next(&walk, ret_entry)) {
        if (ret_entry->path_bytes == path_bytes && memcmp(ret_entry->path, path, path_bytes) == 0)
            return true;
    }
    return false;
}

char *fs_view_entry_name_in(const FsViewEntry *entry, const char *folder, bool *ret_deeper)
{
    const size_t folder_bytes = strlen(folder);
    const size_t before = folder_bytes ? folder_bytes + 1 : 0;
    const char *name = entry->path + before, *slash;

    if (entry->path_bytes <= before || memcmp(entry->path, folder, folder_bytes) != 0 ||
        (before && entry->path[folder_bytes] != '/'))
        return NULL;
    slash = memchr(name, '/', entry->path_bytes - before);
    if (slash && !ret_deeper)
        return NULL;
    if (ret_deeper)
        *ret_deeper = slash != NULL;
    return g_strndup(name, slash ? (size_t)(slash - name) : entry->path_bytes - before);
}
