/* SPDX-License-Identifier: GPL-2.0-or-later */

/* A burst of writes to a flash image: from the locks to letting go of them. */

#include "store-flash.h"

#include "fd.h"
#include "filelock.h"
#include "replace-store.h"
#include "store-lock.h"

#include <fcntl.h>
#include <unistd.h>

static bool take_lock_file(FlashStore *f, GError **error)
{
    UvFolder *folder = f->store.folder;

    f->lock_fd =
        uv_store_lock(folder, uv_folder_path(folder, UV_FILE_LOCK), UV_FILELOCK_WAIT_MS, error);
    uv_map_folder_error(error);
    return f->lock_fd >= 0;
}

/* What can't be made durable now is tried again before anything depends on it. */
void uv_store_flash_settle(FlashStore *f)
{
    f->settle_at_us = 0;
    uv_flash_settle(f->flash, NULL);
}

/* As it is left: once the locks are gone another program may write, and that must show. */
void uv_store_flash_remember(FlashStore *f)
{
    struct stat st;

    if (f->backing->stat(f, &st))
        uv_store_identity_from_stat(&f->store.identity, &st);
}

void uv_store_flash_end(FlashStore *f)
{
    if (!f->quiet_at_us)
        return;
    uv_store_flash_settle(f);
    uv_store_flash_remember(f);
    f->backing->unlock(f);
    f->quiet_at_us = 0;
    f->backing->idle(f); /* before the next engine looks who has it open */
    uv_store_unlock(&f->lock_fd);
}

bool uv_store_flash_same(const GPtrArray *a, const GPtrArray *b)
{
    if (a->len != b->len)
        return false;
    for (guint i = 0; i < a->len; i++) {
        const UvVariable *x = a->pdata[i], *y = b->pdata[i];
        if (!uv_variable_same_key(x, y) || !uv_variable_same(x, y))
            return false;
    }
    return true;
}

/*
 * Now that no other program can write: is it still what the caller knows? If not, what was read
 * stays what it is, and the identity with it, so that the store counts as changed until it is
 * loaded.
 */
static bool still_as_read(FlashStore *f, GError **error)
{
    g_autoptr(GPtrArray) before = uv_flash_variables(f->flash), after = NULL;
    g_autoptr(UvFlash) flash = NULL;
    UvStoreIdentity now;

    if (!uv_store_flash_identity(f, &now, error))
        return false;
    if (now.size_bytes > 0 && uv_store_identity_equal(&now, &f->store.identity)) {
        uv_flash_set_image(f->flash, f->image);
        return true;
    }
    flash = uv_flash_open(f->image, error);
    if (!flash)
        return false;
    after = uv_flash_variables(flash);
    if (!uv_store_flash_same(before, after)) {
        g_set_error(error, UV_STORE_ERROR, UV_STORE_ERROR_CHANGED,
                    "%s: another program has changed it",
                    uv_folder_path(f->store.folder, UV_FILE_STORE));
        return false;
    }
    uv_flash_set_reclaim(flash, f->backing->reclaim, f);
    uv_flash_free(f->flash);
    f->flash = g_steal_pointer(&flash);
    return true;
}

bool uv_store_flash_begin(FlashStore *f, GError **error)
{
    if (f->quiet_at_us)
        return true;
    if (f->asked_read_only) {
        g_set_error(error, UV_STORE_ERROR, UV_STORE_ERROR_READ_ONLY, "%s: opened read-only",
                    uv_folder_path(f->store.folder, UV_FILE_STORE));
        return false;
    }
    if (!f->flash && !uv_store_flash_read(f, error))
        return false;
    if (!take_lock_file(f, error))
        return false;
    if (!f->backing->lock(f, error)) {
        uv_store_unlock(&f->lock_fd);
        uv_store_flash_look_for_holder(f);
        return false;
    }
    if (still_as_read(f, error)) {
        f->quiet_at_us = 1;
        return true;
    }
    f->backing->unlock(f);
    f->backing->idle(f);
    uv_store_unlock(&f->lock_fd);
    return false;
}
