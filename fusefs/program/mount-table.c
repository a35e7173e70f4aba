/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A mount is known by its device number: each FUSE mount has one of its own, and stat(2) would ask
 * the front that serves it.
 */

#include "mount-table.h"

#include <glib.h>
#include <stdbool.h>
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

/* The lines of a process' /proc/PID/mountinfo; NULL: not for us to see. */
static char **read_table(const char *pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%s/mountinfo", pid), *table = NULL;

    return g_file_get_contents(path, &table, NULL, NULL) ? g_strsplit(table, "\n", -1) : NULL;
}

static char *find_device(const char *path)
{
    g_autofree char *wanted = escape(path), *device = NULL;
    g_auto(GStrv) lines = read_table("self");

    for (char **line = lines; line && *line; line++) {
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
        return; /* a user has unmounted it */
    if (umount2(mount->path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0 || geteuid() == 0)
        return;
    g_spawn_sync("/", argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL);
}

/* Where SOURCE is mounted by us, if the line says so; the caller's. */
static char *place_in_line(const char *line, const char *source)
{
    const char *behind = strstr(line, " - " FS_MOUNT_TYPE " ");
    g_auto(GStrv) fields = behind ? g_strsplit(line, " ", 6) : NULL;
    g_auto(GStrv) options = behind ? g_strsplit(behind + strlen(" - "), " ", 3) : NULL;
    g_autofree char *named = NULL, *real = NULL;

    if (!behind || g_strv_length(fields) < 6 || g_strv_length(options) < 3)
        return NULL;
    named = g_strcompress(options[1]);
    real = realpath(named, NULL);
    return strcmp(real ? real : named, source) == 0 ? g_strcompress(fields[4]) : NULL;
}

static char *place_in_table(const char *pid, const char *source)
{
    g_auto(GStrv) lines = read_table(pid);
    char *place = NULL;

    for (char **line = lines; line && *line && !place; line++)
        place = place_in_line(*line, source);
    return place;
}

static bool is_monitor(const char *pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%s/comm", pid), *comm = NULL;

    return g_file_get_contents(path, &comm, NULL, NULL) && strcmp(comm, FS_MONITOR_NAME "\n") == 0;
}

char *fs_mount_where(const char *source)
{
    g_autofree char *here = place_in_table("self", source);
    g_autoptr(GDir) dir = here ? NULL : g_dir_open("/proc", 0, NULL);
    const char *pid;

    if (here)
        return g_steal_pointer(&here);
    while (dir && (pid = g_dir_read_name(dir))) {
        g_autofree char *place = is_monitor(pid) ? place_in_table(pid, source) : NULL;
        if (place)
            return g_strdup_printf("%s in the mount namespace of pid %s", place, pid);
    }
    return NULL;
}
