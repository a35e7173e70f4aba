/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "store-maker.h"

#include "file-error.h"

#include <errno.h>

typedef struct {
    DescInstantiation *what;
    FsContinue go_on;
    void *data;
} Making;

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
        making->go_on(guest,
                      !guest  ? ENOENT
                      : error ? uv_file_error_number(error)
                              : 0,
                      making->data);
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
