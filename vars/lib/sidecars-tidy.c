/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "sidecars-tidy.h"

#include "fd.h"
#include "filelock.h"
#include "rights.h"
#include "sidecars-folders.h"
#include "sidecars.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DAY_S (24 * 60 * 60)
#define BEFORE_LOAD "before-load"
#define LOCK "lock"
/* An engine that was killed has it until its keeper has ended, too. */
#define DYING_MS 100

static bool is_there(int dir_fd, const char *name)
{
    struct stat st;

    return fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
}

/* When it was set aside is in its times. */
static int expire_one(int sidecars_fd, const char *name, time_t before)
{
    struct stat st;

    if (fstatat(sidecars_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
        MAX(st.st_mtime, st.st_ctime) <= before)
        return unlinkat(sidecars_fd, name, 0) == 0;
    return 0;
}

/* How many there were. */
static int expire(int sidecars_fd, const char *store, unsigned keep_days)
{
    g_autofree char *journal = uv_sidecar_name(store, UV_SIDECAR_JOURNAL);
    g_autofree char *kept = uv_sidecar_name(store, BEFORE_LOAD);
    const time_t before = time(NULL) - (time_t)keep_days * DAY_S;

    int count = expire_one(sidecars_fd, kept, before);

    for (unsigned n = 1; n <= UV_CONFLICTS_MAX; n++) {
        g_autofree char *name = uv_sidecar_conflict_name(journal, n);
        count += expire_one(sidecars_fd, name, before);
    }
    return count;
}

/* No process has it, in this host or another: an empty lock file that is ours now. */
static int take_lock(int sidecars_fd, const char *name, int *ret_fd)
{
    struct stat st;
    uv_autofd int fd = openat(sidecars_fd, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > 0 ||
        uv_filelock_take(fd, DYING_MS) < 0)
        return -EBUSY;
    *ret_fd = uv_fd_steal(&fd);
    return 0;
}

/* How many there were, -EBUSY (they are to stay), or another -errno. */
static int tidy(int dir_fd, int sidecars_fd, const char *store, unsigned keep_days)
{
    g_autofree char *lock = uv_sidecar_name(store, LOCK);
    g_autofree char *journal = uv_sidecar_name(store, UV_SIDECAR_JOURNAL);
    uv_autofd int fd = -1;
    int result, count = 0;

    if (is_there(dir_fd, store)) /* no engine is to wait for our lock for nothing */
        return -EBUSY;
    result = take_lock(sidecars_fd, lock, &fd);
    if (result < 0)
        return result;
    if (is_there(dir_fd, store) || is_there(sidecars_fd, journal))
        return -EBUSY;
    for (const char *const *what = uv_sidecar_names; *what; what++) {
        g_autofree char *name = uv_sidecar_name(store, *what);
        if (strcmp(*what, BEFORE_LOAD) != 0 && strcmp(*what, LOCK) != 0)
            count += unlinkat(sidecars_fd, name, 0) == 0;
    }
    count += expire(sidecars_fd, store, keep_days);
    count += unlinkat(sidecars_fd, lock, 0) == 0;
    return count;
}

/* How much of a sidecar's name is its store's; 0: it is no sidecar. */
static size_t store_bytes(const char *name)
{
    const char *conflict = g_strrstr(name, "." UV_SIDECAR_JOURNAL ".conflict-");

    if (conflict)
        return (size_t)(conflict - name);
    for (const char *const *what = uv_sidecar_names; *what; what++) {
        const size_t size = strlen(name), end = strlen(*what) + 1;
        if (size > end && name[size - end] == '.' && strcmp(name + size - end + 1, *what) == 0)
            return size - end;
    }
    return 0;
}

static size_t whole_bytes(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ? 0 : strlen(name);
}

/* Each name once; none without a folder. */
static GPtrArray *names_in(int folder_fd, size_t (*name_bytes)(const char *entry))
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    GPtrArray *stores = g_ptr_array_new_with_free_func(g_free);
    uv_autofd int fd =
        folder_fd < 0 ? -1 : openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (!dir)
        return stores;
    uv_fd_steal(&fd);
    for (const struct dirent *entry; (entry = readdir(dir));) {
        g_autofree char *store = g_strndup(entry->d_name, name_bytes(entry->d_name));
        if (!*store || g_hash_table_contains(seen, store))
            continue;
        g_hash_table_add(seen, store);
        g_ptr_array_add(stores, g_steal_pointer(&store));
    }
    closedir(dir);
    return stores;
}

static int tidy_folder(int dir_fd, int sidecars_fd, const char *store, unsigned keep_days)
{
    uv_rights_scope rights = uv_rights_take_of(sidecars_fd);
    const int result = tidy(dir_fd, sidecars_fd, store, keep_days);

    if (result < 0)
        expire(sidecars_fd, store, keep_days);
    return result;
}

/* Of its own folder, and of the common one, where it may have been before. */
void uv_sidecars_tidy(int dir_fd, const char *store, unsigned keep_days)
{
    uv_autofd int own = uv_sidecars_open(dir_fd, store);
    uv_autofd int common = uv_open_dir(dir_fd, UV_SIDECARS, O_NOFOLLOW);
    const int in_own = own < 0 ? 0 : tidy_folder(dir_fd, own, store, keep_days);
    const int in_common =
        in_own < 0 || common < 0 ? 0 : tidy_folder(dir_fd, common, store, keep_days);

    if (in_own > 0 || in_common > 0)
        uv_sidecars_remove_folders(dir_fd, store);
}

void uv_sidecars_expire(int sidecars_fd, const char *store, unsigned keep_days)
{
    g_autofree char *lock = uv_sidecar_name(store, LOCK);

    if (is_there(sidecars_fd, lock))
        expire(sidecars_fd, store, keep_days);
}

static void tidy_named(int dir_fd, const char *folder, size_t (*name_bytes)(const char *entry),
                       unsigned keep_days)
{
    uv_autofd int fd = openat(dir_fd, folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    g_autoptr(GPtrArray) stores = names_in(fd, name_bytes);

    for (guint i = 0; i < stores->len; i++)
        uv_sidecars_tidy(dir_fd, stores->pdata[i], keep_days);
}

void uv_sidecars_tidy_all(int dir_fd, unsigned keep_days)
{
    tidy_named(dir_fd, UV_SIDECARS, store_bytes, keep_days);
    tidy_named(dir_fd, UV_SIDECARS_OTHERS, whole_bytes, keep_days);
}
