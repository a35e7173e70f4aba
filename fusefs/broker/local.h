/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * SOURCE: a store, or a folder of guests (guest-name.h).
 *
 * Everything below SOURCE is reached from its descriptor, without following links, except links
 * that root owns (who may write into SOURCE can't point us elsewhere). -EXDEV, here and in
 * place.h: another file system is mounted there, and only a child may wait for it (work.c).
 */

#include "guest-name.h"

#include <dirent.h>
#include <glib.h>
#include <sys/stat.h>

typedef struct {
    char *path;      /* absolute, links resolved */
    int fd;          /* O_PATH: the folder, or the folder of the store */
    char *store;     /* a store as SOURCE: its name in that folder; NULL: a folder of guests */
    bool libvirts;   /* libvirt's folder for stores of <varstore>: NAME.json is the domain NAME's */
    bool any_layout; /* as others keep stores, too (layout=auto) */
    char *id;        /* NULL: by device and inode */
    bool is_domains; /* the folder is the monitor's, of a libvirt's domains (domain-folders.h) */
    struct stat st;
} FsLocal;

/* The file or folder in SOURCE by which `rule` makes the guest; allocated. */
char *fs_local_file(const FsLocal *source, UvGuestRule rule, const char *guest);

/*
 * Which guest the entry may make (`ret_guest` has UV_GUEST_NAME_MAX + 1 bytes): 0; -ENOENT: none,
 * but its folder may become one; another -errno: it never is one, and where a user will miss it
 * `ret_why` says why, else it is NULL. Of what another file system holds only the name is known.
 */
int fs_local_entry(const FsLocal *source, const struct dirent *entry, char *ret_guest,
                   UvGuestRule *ret_rule, const char **ret_why);
