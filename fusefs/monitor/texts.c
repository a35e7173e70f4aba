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

/* The text's folder (to be closed) and its name in it; -errno. */
static int locate(const FsPlace *place, FsText text, bool make, char **ret_name)
{
    const bool store = text == FS_TEXT_STORE;
    const char *name = store ? place->store : place->config;

    if (texts[text].sidecar) {
        *ret_name = uv_sidecar_name(place->store, texts[text].sidecar);
        return make ? fs_place_make_sidecars(place) : fs_place_sidecars(place);
    }
    if (!name)
        return make ? -EPERM : -ENOENT;
    *ret_name = g_strdup(name);
    const int folder_fd = store ? place->folder_fd : place->base_fd;
    uv_rights_scope rights = uv_rights_take_of(folder_fd);
    return uv_open_dir(folder_fd, ".", 0);
}

int fs_beside_open(const FsPlace *place, FsText text, struct stat *ret_stat)
{
    g_autofree char *name = NULL;
    uv_autofd int folder = locate(place, text, false, &name);

    if (folder < 0)
        return folder;
    uv_rights_scope rights = uv_rights_take_of(folder);
    return fs_beneath_read(folder, name, ret_stat);
}

int fs_beside_write(const FsPlace *place, FsText text, int memfd)
{
    g_autofree char *name = NULL, *temporary = NULL, *bytes = NULL;
    const int64_t size =
        texts[text].max_bytes ? uv_sealed_size(memfd, texts[text].max_bytes) : -EPERM;

    if (size < 0)
        return (int)size;
    bytes = g_malloc((size_t)size + 1);
    if (uv_pread_all(memfd, bytes, (size_t)size, 0) != size)
        return -EIO;
    uv_autofd int folder = locate(place, text, true, &name);
    if (folder < 0)
        return folder;
    /* A name of its own: the folder's owner may have put anything there. */
    temporary = g_strdup_printf(".%s.%x-%x", name, g_random_int(), (unsigned)getpid());
    uv_rights_scope rights = uv_rights_take_of(folder);
    return uv_replace_file(folder, name, temporary, bytes, (size_t)size, UV_REPLACE_OWNER_NONE,
                           text == FS_TEXT_HINT ? UV_REPLACE_LAZY : UV_REPLACE_DURABLE);
}
