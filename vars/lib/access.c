/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "access.h"

#include "beneath.h"
#include "fd.h"
#include "rights.h"

#include <fcntl.h>
#include <glib.h>
#include <stdbool.h>
#include <sys/xattr.h>
#include <unistd.h>

#define OWNER 0700u
#define GROUP 0070u
#define OTHERS 0007u
#define DEPTH_MAX 64

static bool has_list(int folder_fd, const char *path)
{
    g_autofree char *whole = g_strdup_printf("/proc/self/fd/%d/%s", folder_fd, path);

    return lgetxattr(whole, "system.posix_acl_access", NULL, 0) > 0;
}

/* What it can't be asked, it is taken to have. */
static bool file_has_list(int folder_fd, const char *name)
{
    uv_autofd int fd = fs_beneath_find(folder_fd, name);
    g_autofree char *pinned = g_strdup_printf("/proc/self/fd/%d", fd);

    return fd < 0 || getxattr(pinned, "system.posix_acl_access", NULL, 0) > 0;
}

/* GROUP and OTHERS, of who is in that group and who is not: those that a folder lets through. A
 * group that is another one's may be among the folder's group or not: both must be let through. */
static unsigned let_through(const struct stat *folder, gid_t gid)
{
    const bool group = folder->st_mode & S_IXGRP, others = folder->st_mode & S_IXOTH;

    if (folder->st_gid == gid)
        return (group ? GROUP : 0) | (others ? OTHERS : 0);
    return group && others ? GROUP | OTHERS : 0;
}

/* The same of the folder at `path` and all above it. */
static unsigned let_come(int folder_fd, const char *path, gid_t gid)
{
    g_autoptr(GString) at = g_string_new(path);
    unsigned classes = GROUP | OTHERS;
    struct stat st, below = {0};
    uv_rights_scope rights = uv_rights_take(geteuid(), getegid()); /* also in others' folders */

    for (int depth = 0; depth < DEPTH_MAX && classes; depth++) {
        if (fstatat(folder_fd, at->str, &st, AT_SYMLINK_NOFOLLOW) < 0)
            return 0;
        if (depth > 0 && st.st_ino == below.st_ino && st.st_dev == below.st_dev)
            return classes; /* the root */
        classes &= let_through(&st, gid);
        if (classes & GROUP && has_list(folder_fd, at->str))
            classes &= ~GROUP;
        below = st;
        g_string_append(at, "/..");
    }
    return 0;
}

uint16_t uv_access_of_file(int folder_fd, const char *name, const struct stat *st)
{
    unsigned classes = OWNER;

    if (st->st_mode & (GROUP | OTHERS))
        classes |= let_come(folder_fd, ".", st->st_gid);
    if (st->st_mode & classes & GROUP && file_has_list(folder_fd, name))
        classes &= ~GROUP;
    return st->st_mode & classes & 0666;
}

uint16_t uv_access_of_folder(int folder_fd)
{
    struct stat st;

    if (fstat(folder_fd, &st) < 0)
        return 0;
    return st.st_mode & (OWNER | let_come(folder_fd, "..", st.st_gid)) & 0777;
}

void uv_access_begin(int folder_fd, UvAccessAbove *ret_above)
{
    *ret_above = (UvAccessAbove){.reach = uv_access_of_folder(folder_fd)};
}

uint16_t uv_access_briefly(int folder_fd, UvAccessAbove *above, const struct stat *st)
{
    if (!above->known || above->gid != st->st_gid) {
        above->known = true;
        above->gid = st->st_gid;
        above->classes = OWNER | let_come(folder_fd, ".", st->st_gid);
    }
    return st->st_mode & above->classes & 0666;
}
