/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The generated subtrees, firmware/ of the mount and of a guest: directories, texts and links that
 * are computed when the kernel asks. An FsVirtual says what is in one; the tree does the rest, and
 * caches nothing: a text is made when its file is looked up (for the size) and when it is opened.
 *
 * `path` is relative to the subtree, "" for its root, components separated by '/'. `guest` is NULL
 * for a subtree at the top of the mount.
 */

#include <sys/stat.h>

#include "fleet.h"

#define FS_FIRMWARE_FOLDER "firmware"

typedef struct FsFirmware FsFirmware;

typedef struct FsVirtual {
    unsigned needs; /* FsNeeds: current whenever a function here is called; 0 at the top */
    FsFirmware *firmware;
    /* S_IFDIR, S_IFREG or S_IFLNK, with permission bits for a file (0444, 0600); 0: nothing. */
    mode_t (*look)(FsFirmware *firmware, FsGuest *guest, const char *path);
    /* The names in a directory, NULL-terminated, the caller's. */
    char **(*list)(FsFirmware *firmware, FsGuest *guest, const char *path);
    /* Whether there may be such a file or link, now or for another guest: what a restore writes
     * there is taken and dropped. NULL: nothing. */
    bool (*is_generated)(const char *path);
    /* A file's text or a link's target, the caller's; NULL: nothing to read (an empty file). */
    char *(*read)(FsFirmware *firmware, FsGuest *guest, const char *path);
    /* Since when it is as it is, as well as that is known: what does not change by itself, nor by
     * mounting again, so that a backup copies nothing twice. */
    int64_t (*mtime_ns)(FsFirmware *firmware, FsGuest *guest, const char *path);
    /* What one write() wrote, to a file with a write permission bit; ends with one call of `go_on`,
     * at once or later. NULL: never. */
    void (*write)(FsFirmware *firmware, FsGuest *guest, const char *path, const char *text,
                  size_t size, FsContinue go_on, void *data);
} FsVirtual;
