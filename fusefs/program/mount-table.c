/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A mount is known by its device number: each FUSE mount has one of its own, and stat(2) would ask
 * whoever serves it.
 */

#include "mount-table.h"

#include <glib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

struct FsMount {
    char *path;
    char *device; /* MAJOR:MINOR; NULL: it was not found */
};

/* A path as /proc/self/mountinfo writes it. */
static char *escape(const char *path)
{
    GString *escaped = g_string_new(NULL);

    for (; *path; path++) {
        if (strchr(" \t\n\\", *path))
            g_string_append_printf(escaped, "\\%03o", (unsigned char)*path);
        else
            g_string_append_c(escaped, *path);
    }
    return g_string_free(escaped, FALSE);
}

static char *find_device(const char *path)
{
    g_autofree char *wanted = escape(path), *table = NULL, *device = NULL;
    g_auto(GStrv) lines = NULL;

    if (!g_file_get_contents("/proc/self/mountinfo", &table, NULL, NULL))
        return NULL;
    lines = g_strsplit(table, "\n", -1);
    for (char **line = lines; *line; line++) {
        g_auto(GStrv) fields = g_strsplit(*line, " ", 6);
        if (g_strv_length(fields) < 6 || strcmp(fields[4], wanted) != 0)
            continue;
        g_free(device);
        device = g_strdup(fields[2]);
    }
    return g_steal_pointer(&device);
}

FsMount *fs_mount_new(const char *mountpoint)
{
    FsMount *mount = g_new0(FsMount, 1);
    char *real = realpath(mountpoint, NULL);

    mount->path = g_strdup(real ? real : mountpoint);
    free(real);
    return mount;
}

void fs_mount_note(FsMount *mount)
{
    g_free(mount->device);
    mount->device = find_device(mount->path);
}

void fs_mount_free(FsMount *mount)
{
    if (!mount)
        return;
    g_free(mount->path);
    g_free(mount->device);
    g_free(mount);
}

void fs_mount_end(const FsMount *mount)
{
    char *argv[] = {(char *)"fusermount3", (char *)"-u", (char *)"-z", (char *)"-q",
                    (char *)"--",          mount->path,  NULL};
    g_autofree char *now = find_device(mount->path);

    if (!now || g_strcmp0(now, mount->device) != 0)
        return; /* somebody has unmounted it */
    if (umount2(mount->path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0 || geteuid() == 0)
        return;
    g_spawn_sync("/", argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL);
}
