/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Hashes are enough: two names with one are both taken to be there, and looked for. */

#include "names.h"

#include "hash.h"
#include "stat-near.h"

#include <glib.h>
#include <sys/stat.h>
#include <time.h>

/* File systems that keep seconds only. */
#define SECONDS_NS (INT64_C(2) * 1000000000)

struct UvNames {
    struct stat folder; /* before it was read */
    GArray *hashes;     /* guint */
    bool sorted;
};

static int64_t nanoseconds(const struct timespec *time)
{
    return (int64_t)time->tv_sec * 1000000000 + time->tv_nsec;
}

/* The clock that a folder's times are taken from has gone on: later changes have others. */
static bool is_settled(const struct stat *folder)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    return nanoseconds(&now) - nanoseconds(&folder->st_mtim) >
           (folder->st_mtim.tv_nsec == 0 ? SECONDS_NS : 0);
}

static bool look(int folder_fd, struct stat *ret_folder)
{
    int result;

    return uv_stat_near(folder_fd, ".", ret_folder, &result) && result == 0;
}

UvNames *uv_names_new(int folder_fd)
{
    struct stat folder;

    if (!look(folder_fd, &folder) || !is_settled(&folder))
        return NULL;
    UvNames *names = g_new(UvNames, 1);
    *names = (UvNames){.folder = folder, .hashes = g_array_new(FALSE, FALSE, sizeof(guint))};
    return names;
}

void uv_names_free(UvNames *names)
{
    if (!names)
        return;
    g_array_unref(names->hashes);
    g_free(names);
}

void uv_names_add(UvNames *names, const char *name)
{
    const guint hash = uv_hash_text(name);

    g_array_append_val(names->hashes, hash);
    names->sorted = false;
}

static gint compare(const void *a, const void *b)
{
    const guint first = *(const guint *)a, second = *(const guint *)b;

    return first < second ? -1 : first > second;
}

bool uv_names_serve(UvNames *names, int folder_fd)
{
    struct stat now;

    if (!names || !look(folder_fd, &now) || now.st_dev != names->folder.st_dev ||
        now.st_ino != names->folder.st_ino ||
        nanoseconds(&now.st_mtim) != nanoseconds(&names->folder.st_mtim) ||
        nanoseconds(&now.st_ctim) != nanoseconds(&names->folder.st_ctim))
        return false;
    if (!names->sorted)
        g_array_sort(names->hashes, compare);
    names->sorted = true;
    return true;
}

bool uv_names_may_have(const UvNames *names, const char *name)
{
    const guint hash = uv_hash_text(name);

    return g_array_binary_search(names->hashes, &hash, compare, NULL);
}
