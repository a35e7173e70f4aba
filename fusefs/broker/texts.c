/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "texts.h"

#include "beneath.h"
#include "fd.h"
#include "file-io.h"
#include "replace-file.h"
#include "rights.h"
#include "sealed.h"
#include "sidecars.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static const struct {
    const char *sidecar; /* beside the store; NULL: config.json or the store itself */
    uint32_t max_bytes;  /* of what may be written; 0: their engine alone writes it */
} texts[FS_TEXTS] = {
    [FS_TEXT_CONFIG] = {NULL, FS_CONFIG_BYTES_MAX},
    [FS_TEXT_PIN] = {"pin", FS_PIN_BYTES_MAX},
    [FS_TEXT_HINT] = {"export", FS_HINT_BYTES_MAX},
    [FS_TEXT_STORE] = {NULL, 0},
    [FS_TEXT_RECORD] = {"changes", 0},
    [FS_TEXT_RECORD_OLD] = {"changes.1", 0},
    [FS_TEXT_LOCK] = {"lock", 0},
};

/* The text's folder and its name in it; NULL with -errno. */
static const UvPinned *locate(const FsPlace *place, FsText text, char **ret_name, int *ret_result)
{
    const bool store = text == FS_TEXT_STORE;
    const UvPinned *folder = store ? &place->folder : &place->base;
    const char *name = store ? place->store : place->config;

    if (texts[text].sidecar) {
        folder = &place->sidecars;
        *ret_name = uv_sidecar_name(place->store, texts[text].sidecar);
    } else {
        *ret_name = g_strdup(name);
    }
    *ret_result = *ret_name ? MIN(folder->fd, 0) : -ENOENT;
    return *ret_result < 0 ? NULL : folder;
}

int fs_beside_open(const FsPlace *place, FsText text, struct stat *ret_stat)
{
    g_autofree char *name = NULL;
    int result;
    const UvPinned *folder = locate(place, text, &name, &result);

    if (!folder)
        return result;
    uv_rights_scope rights = uv_rights_take_at(folder);
    return fs_beneath_read(folder->fd, name, ret_stat);
}

int fs_beside_write(FsPlace *place, FsText text, int memfd)
{
    g_autofree char *name = NULL, *temporary = NULL, *bytes = NULL;
    const int64_t size =
        texts[text].max_bytes ? uv_sealed_size(memfd, texts[text].max_bytes) : -EPERM;
    const bool lazy = text == FS_TEXT_HINT;
    int result = 0;

    if (size < 0)
        return (int)size;
    bytes = g_malloc((size_t)size + 1);
    if (uv_pread_all(memfd, bytes, (size_t)size, 0) != size)
        return -EIO;
    if (texts[text].sidecar)
        result = fs_place_make_sidecars(place);
    else if (!place->config)
        result = -EPERM;
    const UvPinned *folder = result < 0 ? NULL : locate(place, text, &name, &result);
    if (!folder)
        return result;
    /* A name of its own: the folder's owner may have put anything there. */
    temporary = g_strdup_printf(".%s.%x-%x", name, g_random_int(), (unsigned)getpid());
    uv_rights_scope rights = uv_rights_take_at(folder);
    uv_autofd int synced = lazy ? -1 : uv_open_dir(folder->fd, ".", 0);
    return uv_replace_file(lazy ? folder->fd : synced, name, temporary, bytes, (size_t)size,
                           UV_REPLACE_OWNER_NONE, lazy ? UV_REPLACE_LAZY : UV_REPLACE_DURABLE);
}
