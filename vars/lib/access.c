/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "access.h"

#include "rights.h"

#include <fcntl.h>
#include <glib.h>
#include <sys/xattr.h>

#define OWNER 0700u
#define GROUP 0070u
#define OTHERS 0007u
#define WALKED_US 50000

static bool has_list(int folder_fd, const char *path)
{
    g_autofree char *whole = g_strdup_printf("/proc/self/fd/%d%s", folder_fd, path);

    return getxattr(whole, "system.posix_acl_access", NULL, 0) > 0;
}

/* GROUP and OTHERS, of who is in that group and who is not: those that a folder lets through. A
 * group that is another one's may be among the folder's group or not: both must be let through. */
static unsigned let_through(mode_t mode, gid_t folders, gid_t gid)
{
    const bool group = mode & S_IXGRP, others = mode & S_IXOTH;

    if (folders == gid)
        return (group ? GROUP : 0) | (others ? OTHERS : 0);
    return group && others ? GROUP | OTHERS : 0;
}

/* The same of all, from the one that is so many above. */
static unsigned let_come(const UvAccessAbove *above, size_t from, gid_t gid)
{
    unsigned classes = above->n ? GROUP | OTHERS : 0;

    for (size_t i = from; i < above->n; i++) {
        classes &= let_through(above->folders[i].mode, above->folders[i].gid, gid);
        if (above->folders[i].list)
            classes &= ~GROUP;
    }
    return classes;
}

static bool is_same(const struct stat *st, const struct stat *other)
{
    return st->st_ino == other->st_ino && st->st_dev == other->st_dev;
}

/* How many there are; 0: not all can be seen. */
static size_t walk(int folder_fd, UvAccessAbove *above)
{
    g_autoptr(GString) at = g_string_new("/.");
    struct stat st, below = {0};
    uv_rights_scope rights = uv_rights_take_own(); /* also in others' folders */

    for (size_t n = 0; n < UV_ACCESS_DEPTH_MAX; n++) {
        if (fstatat(folder_fd, at->str + 1, &st, AT_SYMLINK_NOFOLLOW) < 0)
            return 0;
        if (n > 0 && is_same(&st, &below))
            return n;
        above->folders[n].gid = st.st_gid;
        above->folders[n].mode = st.st_mode;
        above->folders[n].list = st.st_mode & S_IXGRP && has_list(folder_fd, at->str);
        below = st;
        g_string_append(at, "/..");
    }
    return 0;
}

void uv_access_walk(int folder_fd, const struct stat *st, UvAccessAbove *above)
{
    const int64_t now = g_get_monotonic_time();

    if (above->walked_at && now - above->walked_at < WALKED_US && st->st_ino == above->inode &&
        st->st_dev == above->device && st->st_ctim.tv_sec == above->changed.tv_sec &&
        st->st_ctim.tv_nsec == above->changed.tv_nsec)
        return;
    above->walked_at = now;
    above->device = st->st_dev;
    above->inode = st->st_ino;
    above->changed = st->st_ctim;
    above->folders[0].mode = st->st_mode;
    above->n = walk(folder_fd, above);
}

uint16_t uv_access_of_file(const UvAccessAbove *above, int found_fd, const struct stat *st)
{
    unsigned classes = OWNER;

    if (st->st_mode & (GROUP | OTHERS))
        classes |= let_come(above, 0, st->st_gid);
    if (found_fd >= 0 && st->st_mode & classes & GROUP && has_list(found_fd, ""))
        classes &= ~GROUP;
    return st->st_mode & classes & 0666;
}

uint16_t uv_access_of_folder(const UvAccessAbove *above)
{
    return above->folders[0].mode & (OWNER | let_come(above, 1, above->folders[0].gid)) & 0777;
}
