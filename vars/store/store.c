/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What all formats share: the visible part and identities. */

#include "store.h"

#include <errno.h>
#include <signal.h>

#include "efi-abi.h"
#include "filelock.h"
#include "replace-store.h"
#include "times.h"

/* clang-format off */
G_DEFINE_QUARK(uv-store-error-quark, uv_store_error)
/* clang-format on */

uint64_t uv_store_error_status(const GError *error)
{
    if (error->domain != UV_STORE_ERROR)
        return EFI_DEVICE_ERROR;
    switch (error->code) {
    case UV_STORE_ERROR_READ_ONLY:
    case UV_STORE_ERROR_CHANGED:
        return EFI_WRITE_PROTECTED;
    case UV_STORE_ERROR_NO_SPACE:
        return EFI_OUT_OF_RESOURCES;
    default:
        return EFI_DEVICE_ERROR;
    }
}

void uv_store_init(UvStore *store, const UvStoreOps *ops, UvFolder *folder,
                   const UvStoreOptions *options)
{
    store->ops = ops;
    store->folder = folder;
    uv_store_lock_init(&store->lock, folder, options->host);
    store->capacity_bytes = SIZE_MAX;
    store->warnings = g_ptr_array_new_with_free_func(g_free);
    /* The kernel sends it when another program opens a file that we have a lease on, if only for
     * the moment that it takes to find out whether we are alone with it; it would end the engine.
     * Who keeps a lease looks often enough. */
    signal(SIGIO, SIG_IGN);
}

void uv_store_new_generation(UvStore *store, int64_t time_ns)
{
    store->generation = MAX(store->generation + 1, (uint64_t)MAX(time_ns, 0) / 1000);
}

void uv_store_clear(UvStore *store)
{
    uv_store_lock_clear(&store->lock);
    g_clear_pointer(&store->folder, uv_folder_free);
    g_clear_pointer(&store->read_only_reason, g_free);
    g_clear_pointer(&store->lock_holder, g_free);
    g_clear_pointer(&store->warnings, g_ptr_array_unref);
    g_clear_pointer(&store->left, uv_meta_free);
}

void uv_store_warn(UvStore *store, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    if (g_ptr_array_find_with_equal_func(store->warnings, text, g_str_equal, NULL))
        return;
    if (store->warnings->len >= UV_STORE_WARNINGS_MAX)
        g_ptr_array_remove_index(store->warnings, 0);
    g_ptr_array_add(store->warnings, g_steal_pointer(&text));
}

void uv_store_unwarn(UvStore *store, const char *prefix)
{
    for (guint i = store->warnings->len; i-- > 0;)
        if (g_str_has_prefix(store->warnings->pdata[i], prefix))
            g_ptr_array_remove_index(store->warnings, i);
}

void uv_store_close(UvStore *store)
{
    if (store)
        store->ops->free(store);
}

bool uv_store_take_lock(int fd, const char *name, unsigned wait_ms, GError **error)
{
    const int status = uv_filelock_take(fd, wait_ms);

    if (status == -EAGAIN)
        g_set_error(error, UV_STORE_ERROR, UV_STORE_ERROR_READ_ONLY, "%s: locked by another engine",
                    name);
    else if (status < 0)
        g_set_error(error, UV_STORE_ERROR, UV_STORE_ERROR_IO, "%s: cannot lock: %s", name,
                    g_strerror(-status));
    return status == 0;
}

void uv_store_identity_from_stat(UvStoreIdentity *identity, const struct stat *st)
{
    *identity = (UvStoreIdentity){
        .device = st->st_dev,
        .inode = st->st_ino,
        .size_bytes = st->st_size,
        .mtime_ns = st->st_mtim.tv_sec * G_GINT64_CONSTANT(1000000000) + st->st_mtim.tv_nsec,
        .ctime_ns = st->st_ctim.tv_sec * G_GINT64_CONSTANT(1000000000) + st->st_ctim.tv_nsec,
    };
}

bool uv_store_stat_identity(const UvStore *store, UvStoreIdentity *ret_identity, GError **error)
{
    struct stat st;

    if (!uv_folder_stat(store->folder, UV_FILE_STORE, &st, error))
        return uv_map_folder_error(error);
    uv_store_identity_from_stat(ret_identity, &st);
    return true;
}

bool uv_store_identity_equal(const UvStoreIdentity *a, const UvStoreIdentity *b)
{
    return a->device == b->device && a->inode == b->inode && a->size_bytes == b->size_bytes &&
           a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns;
}

void uv_store_identity_write(const UvStoreIdentity *identity, UvWriter *writer)
{
    uv_write_u64(writer, identity->device);
    uv_write_u64(writer, identity->inode);
    uv_write_u64(writer, identity->size_bytes);
    uv_write_u64(writer, identity->mtime_ns);
    uv_write_u64(writer, identity->ctime_ns);
}

UvStoreIdentity uv_store_identity_read(UvReader *reader)
{
    UvStoreIdentity identity;

    identity.device = uv_read_u64(reader);
    identity.inode = uv_read_u64(reader);
    identity.size_bytes = uv_read_u64(reader);
    identity.mtime_ns = uv_read_u64(reader);
    identity.ctime_ns = uv_read_u64(reader);
    return identity;
}
