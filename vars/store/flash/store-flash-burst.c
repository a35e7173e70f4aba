/* SPDX-License-Identifier: GPL-2.0-or-later */

/* A burst of writes to a flash image: from the locks to letting go of them. */

#include "store-flash.h"

#include "fd.h"
#include "filelock.h"
#include "replace-store.h"

#include <fcntl.h>
#include <unistd.h>

static void unlock_file(FlashStore *f)
{
    if (!f->pinned)
        uv_store_lock_drop(&f->store.lock);
}

/* What is not made durable yet is another host's affair now. */
static void lose_lock(FlashStore *f)
{
    f->pinned = false;
    f->settle_at_us = f->times_at_us = 0;
    if (f->quiet_at_us)
        f->backing->unlock(f);
    f->quiet_at_us = 0;
    f->backing->idle(f);
    f->store.identity = (UvStoreIdentity){0}; /* it counts as changed until it is read again */
}

/* Taken, or still had. */
static bool hold_lock_file(FlashStore *f, GError **error)
{
    const char *name = uv_folder_path(f->store.folder, UV_FILE_LOCK);
    UvStoreLock *lock = &f->store.lock;
    const bool held = uv_store_lock_is_held(lock);

    if (held ? uv_store_lock_check(lock, name, error)
             : uv_store_lock_take(lock, name, UV_FILELOCK_WAIT_MS, error))
        return true;
    uv_map_folder_error(error);
    if (held)
        lose_lock(f);
    uv_store_flash_look_for_holder(f);
    return false;
}

bool uv_store_flash_pin(FlashStore *f, GError **error)
{
    f->pinned = hold_lock_file(f, error);
    return f->pinned;
}

void uv_store_flash_unpin(FlashStore *f)
{
    f->pinned = false;
    if (!f->quiet_at_us)
        unlock_file(f);
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
    unlock_file(f);
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

    if (!uv_store_stat_identity(&f->store, &now, error))
        return false;
    if (now.size_bytes > 0 && uv_store_identity_equal(&now, &f->store.identity)) {
        uv_flash_set_image(f->flash, f->image);
        return true;
    }
    flash = uv_flash_open(f->image, error);
    if (!flash)
        return false;
    after = uv_flash_variables(flash);
    if (!uv_store_flash_same(before, after))
        return uv_fail(error, UV_STORE_ERROR, UV_STORE_ERROR_CHANGED,
                       "%s: another program has changed it",
                       uv_folder_path(f->store.folder, UV_FILE_STORE));
    uv_flash_set_reclaim(flash, f->backing->reclaim, f);
    uv_flash_free(f->flash);
    f->flash = g_steal_pointer(&flash);
    return true;
}

bool uv_store_flash_begin(FlashStore *f, GError **error)
{
    if (f->quiet_at_us)
        return hold_lock_file(f, error);
    if (f->asked_read_only)
        return uv_fail(error, UV_STORE_ERROR, UV_STORE_ERROR_READ_ONLY, "%s: opened read-only",
                       uv_folder_path(f->store.folder, UV_FILE_STORE));
    if (!f->flash && !uv_store_flash_read(f, error))
        return false;
    if (!hold_lock_file(f, error))
        return false;
    if (!f->backing->lock(f, error)) {
        unlock_file(f);
        uv_store_flash_look_for_holder(f);
        return false;
    }
    if (still_as_read(f, error)) {
        f->quiet_at_us = 1;
        return true;
    }
    f->backing->unlock(f);
    f->backing->idle(f);
    unlock_file(f);
    return false;
}
