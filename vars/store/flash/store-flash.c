/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "store-flash.h"

#include "bytes.h"
#include "fd.h"
#include "replace-store.h"
#include "times.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define QUIET_US (200 * G_TIME_SPAN_MILLISECOND)
/* Long enough for a run of writes to do it on its way, short enough for the next to find it done.
 */
#define SETTLE_US (5 * G_TIME_SPAN_MILLISECOND)
#define LOAD_TRIES 5
#define COPY_CHUNK (1024u * 1024)

/* How the warning begins that the first write takes back. */
#define HIDDEN "records that do not count, "

static FlashStore *flash_store(UvStore *store)
{
    return (FlashStore *)store;
}

void uv_store_flash_look_for_holder(FlashStore *f)
{
    UvStore *store = &f->store;
    const char *damage = f->flash ? uv_flash_damage(f->flash) : NULL;

    if (f->quiet_at_us)
        return;
    g_clear_pointer(&store->lock_holder, g_free);
    g_clear_pointer(&store->read_only_reason, g_free);
    if (store->lock.host && !uv_store_lock_is_held(&store->lock))
        (void)uv_store_lock_is_free(&store->lock); /* looks who has it */
    store->lock_holder = store->lock.holder ? g_strdup(store->lock.holder) : f->backing->holder(f);
    if (f->asked_read_only)
        store->read_only_reason = g_strdup("opened read-only");
    else if (damage)
        store->read_only_reason = g_strdup_printf("damaged: %s", damage);
    else if (store->lock_holder)
        store->read_only_reason = g_strdup_printf("in use by %s", store->lock_holder);
}

static void describe(FlashStore *f)
{
    const char *damage = uv_flash_damage(f->flash);

    f->store.capacity_bytes = uv_flash_capacity_bytes(f->flash);
    f->store.keeps_certdb = uv_flash_layout(f->flash)->authenticated;
    uv_store_unwarn(&f->store, HIDDEN);
    if (damage)
        uv_store_warn(&f->store, "damaged, so not written: %s", damage);
    else if (uv_flash_hidden_at(f->flash))
        uv_store_warn(&f->store,
                      HIDDEN "offset 0x%" PRIx64
                             ": behind the end of the log, so the firmware does "
                             "not see them either; the first write keeps the image and reclaims it",
                      uv_flash_hidden_at(f->flash));
    else if (uv_flash_unfinished(f->flash))
        uv_store_warn(&f->store, "a write was not finished; recovered as the firmware would");
    uv_store_flash_look_for_holder(f);
}

/* Once: false with no error set when the image changed meanwhile. */
static bool load_once(FlashStore *f, GError **error)
{
    g_autoptr(UvFlash) flash = NULL;
    g_autoptr(GError) local = NULL;
    UvStoreIdentity before, after;

    if (!uv_store_stat_identity(&f->store, &before, error) || !f->backing->open(f, error))
        return false;
    flash = uv_flash_open(f->image, &local);
    if (!uv_store_stat_identity(&f->store, &after, error))
        return false;
    if (!uv_store_identity_equal(&before, &after))
        return false;
    if (!flash)
        return uv_fail_with(error, g_steal_pointer(&local));
    uv_flash_set_reclaim(flash, f->backing->reclaim, f);
    uv_flash_free(f->flash);
    f->flash = g_steal_pointer(&flash);
    f->store.identity = after;
    return true;
}

bool uv_store_flash_read(FlashStore *f, GError **error)
{
    for (int i = 0; i < LOAD_TRIES; i++) {
        g_autoptr(GError) local = NULL;

        if (load_once(f, &local)) {
            describe(f);
            return true;
        }
        if (local)
            return uv_fail_with(error, g_steal_pointer(&local));
    }
    return uv_fail(error, UV_STORE_ERROR, UV_STORE_ERROR_CHANGED, "%s: it changes all the time",
                   uv_folder_path(f->store.folder, UV_FILE_STORE));
}

static bool flash_load(UvStore *store, GPtrArray **ret_variables, GError **error)
{
    FlashStore *f = flash_store(store);

    if (!f->quiet_at_us) {
        const bool ok = uv_store_flash_read(f, error);
        f->backing->idle(f);
        if (!ok)
            return false;
    }
    uv_store_new_generation(store, store->identity.mtime_ns);
    *ret_variables = uv_flash_variables(f->flash);
    uv_meta_load(store, *ret_variables, false);
    return true;
}

static void flash_touch(UvStore *store, const UvVariable *variable)
{
    FlashStore *f = flash_store(store);

    if (!f->asked_read_only && f->times_at_us == 0)
        f->times_at_us = g_get_monotonic_time() + QUIET_US;
}

/* Nothing depends on it: what can't be kept is only mentioned. */
static void keep_times(FlashStore *f, const UvVarset *set)
{
    g_autoptr(GError) error = NULL;

    if (f->times_at_us && !uv_meta_save(&f->store, set, &error))
        uv_store_warn(&f->store, "times of variables are not kept: %s", error->message);
    f->times_at_us = 0;
}

static bool flash_tick(UvStore *store, const UvVarset *set, GError **error)
{
    FlashStore *f = flash_store(store);
    const int64_t now = g_get_monotonic_time();

    if (f->settle_at_us && now >= f->settle_at_us)
        uv_store_flash_settle(f);
    if (f->quiet_at_us && now >= f->quiet_at_us)
        uv_store_flash_end(f);
    if (f->times_at_us && now >= f->times_at_us)
        keep_times(f, set);
    return true;
}

static int64_t flash_due(UvStore *store)
{
    const FlashStore *f = flash_store(store);
    const int64_t times[] = {f->settle_at_us, f->quiet_at_us, f->times_at_us};
    int64_t due = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(times); i++) {
        if (times[i] && (due == 0 || times[i] < due))
            due = times[i];
    }
    return due;
}

static bool flash_compact(UvStore *store, const UvVarset *set, GError **error)
{
    FlashStore *f = flash_store(store);

    if (f->quiet_at_us) {
        if (!uv_flash_settle(f->flash, error))
            return false;
        uv_store_flash_remember(f); /* as it is left */
    }
    keep_times(f, set);
    return true;
}

static bool flash_release(UvStore *store, const UvVarset *set, GError **error)
{
    if (!flash_compact(store, set, error))
        return false;
    uv_store_flash_end(flash_store(store));
    uv_store_flash_unpin(flash_store(store));
    return true;
}

/* The times of a block device say nothing of its content. */
static bool content_differs(FlashStore *f)
{
    g_autoptr(GPtrArray) before = uv_flash_variables(f->flash), after = NULL;
    g_autoptr(UvFlash) flash = NULL;

    if (!f->backing->open(f, NULL))
        return true;
    flash = uv_flash_open(f->image, NULL);
    f->backing->idle(f);
    if (!flash)
        return true;
    after = uv_flash_variables(flash);
    return !uv_store_flash_same(before, after);
}

static bool flash_changed(UvStore *store)
{
    FlashStore *f = flash_store(store);
    UvStoreIdentity now;

    if (f->quiet_at_us)
        return false;
    uv_store_flash_look_for_holder(f);
    if (!uv_store_stat_identity(&f->store, &now, NULL))
        return false;
    if (now.size_bytes == 0 && f->flash)
        return content_differs(f);
    return !uv_store_identity_equal(&now, &store->identity);
}

static bool flash_acquire(UvStore *store, GError **error)
{
    FlashStore *f = flash_store(store);

    if (store->lock.host && !f->asked_read_only && !uv_store_flash_pin(f, error))
        return false;
    if (!flash_changed(store))
        return true;
    uv_store_flash_unpin(f);
    return uv_fail(error, UV_STORE_ERROR, UV_STORE_ERROR_CHANGED, "%s: it changed meanwhile",
                   uv_folder_path(store->folder, UV_FILE_STORE));
}

bool uv_store_flash_copy(UvImage *from, int to_fd, const char *to_name, GError **error)
{
    g_autofree uint8_t *chunk = g_malloc(COPY_CHUNK);

    if (ftruncate(to_fd, from->size_bytes) < 0)
        return uv_set_store_error(error, to_name, "cannot make it as large", errno);
    for (uint64_t at = 0; at < from->size_bytes; at += COPY_CHUNK) {
        const size_t size = MIN(COPY_CHUNK, from->size_bytes - at);

        if (!uv_image_read(from, at, chunk, size, error))
            return false;
        if (uv_bytes_are(chunk, size, 0))
            continue; /* stays a hole */
        if (!uv_write_file_at(to_fd, to_name, chunk, size, at, error))
            return false;
    }
    return true;
}

static bool flash_keep_before_load(UvStore *store, GError **error)
{
    FlashStore *f = flash_store(store);
    const char *name = uv_folder_path(store->folder, UV_FILE_BEFORE_LOAD);
    uv_autofd int fd = -1;

    if (!f->quiet_at_us && !f->backing->open(f, error))
        return false;
    fd = uv_folder_open(store->folder, UV_FILE_BEFORE_LOAD, O_RDWR | O_CREAT, error);
    if (fd < 0)
        return uv_map_folder_error(error);
    return uv_store_flash_copy(f->image, fd, name, error) && uv_sync_file(fd, name, false, error);
}

/* What a reclaim would drop is kept first: it may be all that is left of a guest's variables. */
static bool keep_hidden(FlashStore *f, GError **error)
{
    const uint64_t hidden_at = uv_flash_hidden_at(f->flash);

    if (!hidden_at)
        return true;
    if (!flash_keep_before_load(&f->store, error))
        return false;
    f->kept_hidden_at = hidden_at;
    return true;
}

static void say_reclaimed(FlashStore *f)
{
    uv_store_unwarn(&f->store, HIDDEN);
    uv_store_warn(&f->store,
                  "reclaimed; records behind the end of the log (offset 0x%" PRIx64
                  ") are gone from "
                  "it, the image as it was is %s",
                  f->kept_hidden_at, uv_folder_path(f->store.folder, UV_FILE_BEFORE_LOAD));
    f->kept_hidden_at = 0;
}

static bool wrote(FlashStore *f, bool ok)
{
    uv_store_flash_remember(f);
    if (ok)
        f->store.generation++;
    if (ok && f->kept_hidden_at)
        say_reclaimed(f);
    f->quiet_at_us = g_get_monotonic_time() + QUIET_US;
    f->times_at_us = f->quiet_at_us;
    f->settle_at_us = f->quiet_at_us - QUIET_US + SETTLE_US;
    return ok;
}

static bool begin_write(FlashStore *f, GError **error)
{
    return uv_store_flash_begin(f, error) && keep_hidden(f, error);
}

static bool flash_apply(UvStore *store, const UvChange *change, GError **error)
{
    FlashStore *f = flash_store(store);

    if (!uv_change_touches_nv(change))
        return true;
    return begin_write(f, error) && wrote(f, uv_flash_apply(f->flash, change, error));
}

static bool flash_replace(UvStore *store, const UvVarset *set, GError **error)
{
    FlashStore *f = flash_store(store);

    return begin_write(f, error) && wrote(f, uv_flash_replace(f->flash, set, error));
}

static void flash_free(UvStore *store)
{
    FlashStore *f = flash_store(store);

    uv_store_flash_end(f);
    uv_store_flash_unpin(f);
    g_clear_pointer(&f->flash, uv_flash_free);
    g_clear_pointer(&f->image, uv_image_free);
    f->backing->free(f);
    if (!f->asked_read_only)
        uv_store_tidy(&store->lock);
    uv_store_clear(store);
    g_free(f);
}

UvStore *uv_store_flash_new(UvFolder *folder, const UvStoreOptions *options,
                            const FlashBacking *backing, void *backing_data, GError **error)
{
    FlashStore *f = g_new0(FlashStore, 1);

    f->ops = (UvStoreOps){
        .format = backing->format,
        .load = flash_load,
        .apply = flash_apply,
        .replace = flash_replace,
        .touch = flash_touch,
        .tick = flash_tick,
        .due = flash_due,
        .compact = flash_compact,
        .release = flash_release,
        .acquire = flash_acquire,
        .changed = flash_changed,
        .keep_before_load = flash_keep_before_load,
        .free = flash_free,
    };
    uv_store_init(&f->store, &f->ops, folder, options);
    f->backing = backing;
    f->backing_data = backing_data;
    f->asked_read_only = options->read_only;
    if (uv_store_flash_read(f, error)) {
        backing->idle(f);
        return &f->store;
    }
    flash_free(&f->store);
    return NULL;
}
