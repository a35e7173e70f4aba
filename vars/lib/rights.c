/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "rights.h"

#include <glib.h>
#include <stdbool.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of no user: root's group gives more than who owns the folder has. */
#define NO_GROUP 65534
#define NO_USER 65534

/* Of this process, which has one thread. */
static UvRights current;
static bool is_known;

static const UvRights *know(void)
{
    if (!is_known)
        current = (UvRights){(uid_t)setfsuid((uid_t)-1), (gid_t)setfsgid((gid_t)-1)};
    is_known = true;
    return &current;
}

static void set(uid_t uid, gid_t gid)
{
    if (uid == current.uid && gid == current.gid)
        return;
    /* What these return is what was before: only a second call tells whether it took hold. */
    setfsgid(gid);
    setfsuid(uid);
    if ((uid_t)setfsuid((uid_t)-1) != uid || (gid_t)setfsgid((gid_t)-1) != gid)
        g_error("can't take the rights of user %u, group %u", uid, gid);
    current = (UvRights){uid, gid};
}

UvRights uv_rights_take(uid_t uid, gid_t gid)
{
    const UvRights before = *know();

    if (geteuid() == 0)
        set(uid, uid != 0 && gid == 0 ? NO_GROUP : gid);
    return before;
}

UvRights uv_rights_take_of(int folder_fd)
{
    struct stat st;

    if (geteuid() != 0)
        return *know();
    if (fstat(folder_fd, &st) < 0)
        return uv_rights_take(NO_USER, NO_GROUP);
    return uv_rights_take(st.st_uid, st.st_gid);
}

void uv_rights_restore(UvRights *rights)
{
    if (geteuid() == 0)
        set(rights->uid, rights->gid);
}
