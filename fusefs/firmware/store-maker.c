/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "store-maker.h"

#include <errno.h>

typedef struct {
    DescInstantiation *what;
    FsContinue go_on;
    void *data;
} Making;

int fs_error_number(const GError *error)
{
    static const struct {
        GFileError code;
        int number;
    } numbers[] = {
        {G_FILE_ERROR_EXIST, EEXIST}, {G_FILE_ERROR_NOENT, ENOENT}, {G_FILE_ERROR_PERM, EPERM},
        {G_FILE_ERROR_ACCES, EACCES}, {G_FILE_ERROR_NOSPC, ENOSPC}, {G_FILE_ERROR_ROFS, EROFS},
        {G_FILE_ERROR_INVAL, EINVAL},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++) {
        if (g_error_matches(error, G_FILE_ERROR, numbers[i].code))
            return numbers[i].number;
    }
    return EIO;
}

static FsFormat format_of(DescImageKind kind)
{
    return kind == DESC_IMAGE_JSON    ? FS_FORMAT_JSON
           : kind == DESC_IMAGE_QCOW2 ? FS_FORMAT_QCOW2
                                      : FS_FORMAT_FLASH;
}

static bool check_template(int fd, const char *reason, uint32_t *ret_from, uint32_t *ret_format,
                           void *data, GError **error)
{
    const Making *making = data;
    DescImageKind from, kind;

    if (!desc_instantiation_check(making->what, fd, reason, &from, &kind, error))
        return false;
    *ret_from = format_of(from);
    *ret_format = format_of(kind);
    return true;
}

static void making_done(FsGuest *guest, const GError *error, void *data)
{
    Making *making = data;

    if (guest)
        fs_guest_set_warning(guest, "firmware", error ? error->message : NULL);
    if (guest && error && making->go_on)
        fs_guest_refused(guest, error->message);
    if (guest && !making->go_on)
        fs_guest_prepared(guest, error);
    if (guest && !error && making->go_on)
        fs_guest_store_changed(guest);
    if (making->go_on)
        making->go_on(guest, !guest ? ENOENT : error ? fs_error_number(error) : 0, making->data);
    desc_instantiation_free(making->what);
    g_free(making);
}

void fs_making_start(FsGuest *guest, DescInstantiation *what, bool replace, FsContinue go_on,
                     void *data)
{
    FsMaking how = {
        .path = desc_instantiation_template(what),
        .pin = desc_instantiation_pin(what),
        .check = check_template,
        .format = FS_FORMAT_JSON,
        .replace = replace,
    };
    Making *making = g_new(Making, 1);

    *making = (Making){what, go_on, data};
    fs_guest_instantiate(guest, &how, making_done, making);
}
