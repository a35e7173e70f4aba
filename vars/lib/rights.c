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
static UvRights own, current;
static bool is_known;

static void know(void)
{
    if (is_known)
        return;
    own = current = (UvRights){(uid_t)setfsuid((uid_t)-1), (gid_t)setfsgid((gid_t)-1)};
    is_known = true;
}

static UvRights set(uid_t uid, gid_t gid)
{
    const UvRights before = current;

    if (uid == current.uid && gid == current.gid)
        return before;
    if (geteuid() != 0) /* nor any more */
        return before;
    /* What these return is what was before: only a second call tells whether it took hold. */
    setfsgid(gid);
    setfsuid(uid);
    if ((uid_t)setfsuid((uid_t)-1) != uid || (gid_t)setfsgid((gid_t)-1) != gid)
        g_error("can't take the rights of user %u, group %u", uid, gid);
    current = (UvRights){uid, gid};
    return before;
}

UvRights uv_rights_take(uid_t uid, gid_t gid)
{
    know();
    return set(uid, uid != 0 && gid == 0 ? NO_GROUP : gid);
}

UvRights uv_rights_take_own(void)
{
    know();
    return set(own.uid, own.gid);
}

UvRights uv_rights_take_of(int folder_fd)
{
    struct stat st = {.st_uid = NO_USER, .st_gid = NO_GROUP};

    (void)fstat(folder_fd, &st);
    return uv_rights_take(st.st_uid, st.st_gid);
}

void uv_rights_restore(UvRights *rights)
{
    set(rights->uid, rights->gid);
}
