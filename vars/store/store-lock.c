/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "store-lock.h"

#include <errno.h>
#include <fcntl.h>

#include "fd.h"
#include "filelock.h"
#include "store.h"

/* How often a lock file may go between opening and locking it. */
#define TRIES 10

void uv_store_lock_init(UvStoreLock *lock, UvFolder *folder, const UvHost *host)
{
    *lock = (UvStoreLock){.folder = folder, .host = host, .fd = -1};
}

void uv_store_lock_clear(UvStoreLock *lock)
{
    uv_store_lock_drop(lock);
    g_clear_pointer(&lock->holder, g_free);
}

static bool is_there(UvFolder *folder, UvFileRole role)
{
    struct stat st;

    return uv_folder_stat(folder, role, &st, NULL);
}

static bool is_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev;
}

static bool has_its_name(UvFolder *folder, int lock_fd)
{
    struct stat named, opened;

    return uv_folder_stat(folder, UV_FILE_LOCK, &named, NULL) && fstat(lock_fd, &opened) == 0 &&
           is_same_file(&named, &opened);
}

static void set_holder(UvStoreLock *lock, char *holder /* takes ownership; may be NULL */)
{
    g_free(lock->holder);
    lock->holder = holder;
}

/* Whether the file says that another host has it; sets `holder`. */
static bool is_anothers(UvStoreLock *lock, int fd)
{
    UvClaimKind kind;
    UvClaim claim;
    const int result = uv_claim_read(fd, lock->host, &kind, &claim);

    if (result < 0 || kind == UV_CLAIM_BROKEN)
        set_holder(lock, g_strdup("a host that can't be told"));
    else if (kind == UV_CLAIM_ANOTHER)
        set_holder(lock, uv_claim_describe(&claim));
    else
        set_holder(lock, NULL);
    return lock->holder != NULL;
}

static bool refuse(const UvStoreLock *lock, const char *name, GError **error)
{
    return uv_fail(error, UV_STORE_ERROR, UV_STORE_ERROR_READ_ONLY, "%s: held by %s", name,
                   lock->holder);
}

/* On shared storage: locked, it says that it is ours now. */
static bool claim_it(UvStoreLock *lock, int fd, const char *name, GError **error)
{
    g_autofree char *claim = NULL;
    int result;

    if (is_anothers(lock, fd))
        return refuse(lock, name, error);
    claim = uv_claim_new(lock->host);
    result = uv_claim_write(fd, claim);
    if (result < 0)
        return uv_fail(error, UV_STORE_ERROR, UV_STORE_ERROR_IO, "%s: cannot be claimed: %s", name,
                       g_strerror(-result));
    lock->claim = g_steal_pointer(&claim);
    return true;
}

/* With `shared` a refusal is explained by what the file says. */
static bool lock_it(UvStoreLock *lock, int fd, const char *name, unsigned wait_ms, GError **error)
{
    if (lock->host && is_anothers(lock, fd))
        wait_ms = 0;
    if (uv_store_take_lock(fd, name, wait_ms, error))
        return true;
    if (lock->host && is_anothers(lock, fd)) {
        g_clear_error(error);
        return refuse(lock, name, error);
    }
    return false;
}

bool uv_store_lock_take(UvStoreLock *lock, const char *name, unsigned wait_ms, GError **error)
{
    for (int i = 0;; i++) {
        uv_autofd int fd = uv_folder_open(lock->folder, UV_FILE_LOCK, O_RDWR | O_CREAT, error);

        if (fd < 0 || !lock_it(lock, fd, name, wait_ms, error))
            return false;
        if (i + 1 < TRIES && !has_its_name(lock->folder, fd)) {
            uv_filelock_drop(fd);
            continue;
        }
        if (lock->host && !claim_it(lock, fd, name, error)) {
            uv_filelock_drop(fd);
            return false;
        }
        lock->fd = uv_fd_steal(&fd);
        return true;
    }
}

/* A network file system may have lost the lock: asked for again it is had again, if no other
 * engine has it. By name, for a file that is opened is looked at anew there. */
static bool is_ours_still(const UvStoreLock *lock)
{
    struct stat named, opened;
    uv_autofd int fd = -1;

    if (uv_filelock_take(lock->fd, 0) < 0)
        return false;
    fd = uv_folder_open(lock->folder, UV_FILE_LOCK, O_RDONLY, NULL);
    return fd >= 0 && fstat(fd, &named) == 0 && fstat(lock->fd, &opened) == 0 &&
           is_same_file(&named, &opened) && uv_claim_is_there(fd, lock->claim);
}

static void let_go(UvStoreLock *lock)
{
    uv_filelock_drop(lock->fd);
    uv_fd_clear(&lock->fd);
    g_clear_pointer(&lock->claim, g_free);
}

bool uv_store_lock_check(UvStoreLock *lock, const char *name, GError **error)
{
    uv_autofd int fd = -1;

    if (!lock->host || is_ours_still(lock))
        return true;
    let_go(lock); /* what the file says is not ours to change */
    fd = uv_folder_open(lock->folder, UV_FILE_LOCK, O_RDONLY, NULL);
    if (fd >= 0 && is_anothers(lock, fd))
        return uv_fail(error, UV_STORE_ERROR, UV_STORE_ERROR_READ_ONLY, "%s: taken over by %s",
                       name, lock->holder);
    return uv_fail(error, UV_STORE_ERROR, UV_STORE_ERROR_READ_ONLY,
                   "%s: this host's hold on it was broken", name);
}

bool uv_store_lock_is_free(UvStoreLock *lock)
{
    g_autoptr(GError) error = NULL;
    uv_autofd int fd = uv_folder_open(lock->folder, UV_FILE_LOCK, O_RDWR, &error);

    if (fd < 0 || (lock->host && is_anothers(lock, fd)))
        return fd < 0;
    return !uv_filelock_is_taken(fd);
}

void uv_store_lock_drop(UvStoreLock *lock)
{
    if (lock->fd < 0)
        return;
    if (lock->claim && uv_claim_is_there(lock->fd, lock->claim))
        (void)uv_claim_write(lock->fd, NULL);
    let_go(lock);
}

bool uv_store_lock_break(UvStoreLock *lock, GError **error)
{
    uv_autofd int fd = uv_folder_open(lock->folder, UV_FILE_LOCK, O_RDONLY, NULL);

    if (fd < 0 || !is_anothers(lock, fd))
        return true;
    uv_fd_clear(&fd);
    fd = uv_folder_open(lock->folder, UV_FILE_LOCK_TEMP, O_RDWR | O_CREAT | O_EXCL, error);
    if (fd < 0 || !uv_folder_rename(lock->folder, UV_FILE_LOCK_TEMP, UV_FILE_LOCK, error))
        return false;
    set_holder(lock, NULL);
    return true;
}

void uv_store_tidy(UvStoreLock *lock)
{
    UvFolder *folder = lock->folder;

    if (is_there(folder, UV_FILE_STORE) || !is_there(folder, UV_FILE_LOCK) ||
        !uv_store_lock_take(lock, uv_folder_path(folder, UV_FILE_LOCK), 0, NULL))
        return;
    if (!is_there(folder, UV_FILE_STORE) && !is_there(folder, UV_FILE_JOURNAL)) {
        uv_folder_unlink(folder, UV_FILE_META, NULL);
        uv_folder_unlink(folder, UV_FILE_NEXT_BOOT, NULL);
        uv_folder_unlink(folder, UV_FILE_SAVED, NULL);
        uv_folder_unlink(folder, UV_FILE_RECORD, NULL);
        uv_folder_unlink(folder, UV_FILE_RECORD_OLD, NULL);
        uv_folder_unlink(folder, UV_FILE_LOCK, NULL);
    }
    uv_store_lock_drop(lock);
}
