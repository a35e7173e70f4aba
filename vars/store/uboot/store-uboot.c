/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The store of a board or a guest that boots by U-Boot: its file is read, and never written, for
 * U-Boot reads it at its start and writes it whole with what it has in memory. It takes no lock and
 * has nothing beside it.
 */

#include "fd.h"
#include "replace-store.h"
#include "store.h"
#include "uboot-file.h"
#include "uv-limits.h"

#include <fcntl.h>

#define WHY_READ_ONLY "a file of U-Boot's, which is only read: what changes it is U-Boot"

static const char *file_name(const UvStore *store)
{
    return uv_folder_path(store->folder, UV_FILE_STORE);
}

static bool uboot_load(UvStore *store, GPtrArray **ret_variables, GError **error)
{
    uv_autofd int fd = uv_folder_open(store->folder, UV_FILE_STORE, O_RDONLY, error);
    g_autoptr(GBytes) bytes = NULL;
    UvStoreIdentity identity;
    unsigned left_out;

    if (fd < 0)
        return uv_map_folder_error(error);
    /* As it was before the reading: what comes in between is a change that is still to be seen. */
    if (!uv_store_stat_identity(store, &identity, error))
        return false;
    bytes = uv_read_file(fd, file_name(store), UV_UBOOT_FILE_MAX, error);
    if (!bytes)
        return false;
    GPtrArray *variables = uv_uboot_parse(file_name(store), g_bytes_get_data(bytes, NULL),
                                          g_bytes_get_size(bytes), &left_out, error);
    if (!variables)
        return false;
    if (left_out > 0)
        uv_store_warn(store, "%s: left out what no store keeps: volatile variables (%u)",
                      file_name(store), left_out);
    store->identity = identity;
    uv_store_new_generation(store, identity.mtime_ns);
    *ret_variables = variables;
    return true;
}

static bool refuse(const UvStore *store, GError **error)
{
    return uv_fail(error, UV_STORE_ERROR, UV_STORE_ERROR_READ_ONLY, "%s: " WHY_READ_ONLY,
                   file_name(store));
}

static bool uboot_apply(UvStore *store, const UvChange *change, GError **error)
{
    return !uv_change_touches_nv(change) || refuse(store, error);
}

static bool uboot_replace(UvStore *store, const UvVarset *set, GError **error)
{
    return refuse(store, error);
}

static void uboot_touch(UvStore *store, const UvVariable *variable)
{
}

/* Also compact and release: it is complete, and held by nothing. */
static bool uboot_tick(UvStore *store, const UvVarset *set, GError **error)
{
    return true;
}

static int64_t uboot_due(UvStore *store)
{
    return 0;
}

static bool uboot_changed(UvStore *store)
{
    UvStoreIdentity now;

    return uv_store_stat_identity(store, &now, NULL) &&
           !uv_store_identity_equal(&now, &store->identity);
}

static bool uboot_acquire(UvStore *store, GError **error)
{
    if (!uboot_changed(store))
        return true;
    return uv_fail(error, UV_STORE_ERROR, UV_STORE_ERROR_CHANGED, "%s: it changed meanwhile",
                   file_name(store));
}

static bool uboot_keep_before_load(UvStore *store, GError **error)
{
    return refuse(store, error);
}

static void uboot_free(UvStore *store)
{
    uv_store_clear(store);
    g_free(store);
}

UvStore *uv_store_uboot_open(UvFolder *folder, const UvStoreOptions *options, GError **error)
{
    static const UvStoreOps ops = {
        .format = "uboot",
        .load = uboot_load,
        .apply = uboot_apply,
        .replace = uboot_replace,
        .touch = uboot_touch,
        .tick = uboot_tick,
        .due = uboot_due,
        .compact = uboot_tick,
        .release = uboot_tick,
        .acquire = uboot_acquire,
        .changed = uboot_changed,
        .keep_before_load = uboot_keep_before_load,
        .free = uboot_free,
    };
    UvStore *store = g_new0(UvStore, 1);
    g_autoptr(GPtrArray) variables = NULL;

    uv_store_init(store, &ops, folder, options);
    store->read_only_reason = g_strdup(WHY_READ_ONLY);
    if (uboot_load(store, &variables, error))
        return store;
    uboot_free(store);
    return NULL;
}
