/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Opening a store for its engine: once, and everything that is decided about it is decided by that
 * descriptor.
 */

#include "place.h"

#include "beneath.h"
#include "rights.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static int refuse(const char **ret_why, int result, const char *why)
{
    *ret_why = why;
    return result;
}

/* No user but root puts a file there. */
static bool is_roots_alone(const struct stat *folder)
{
    return folder->st_uid == 0 && !(folder->st_mode & 022);
}

static int check_owner(const struct stat *folder, const FsStoreFile *file, const char **ret_why)
{
    if (file->uid == 0 && !is_roots_alone(folder))
        return refuse(ret_why, -EPERM,
                      "the store is root's, and others may write to its folder: an engine is root "
                      "only where folder and store are root's alone (or say engine-user=)");
    if (file->uid != folder->st_uid && folder->st_uid != 0)
        return refuse(ret_why, -EPERM,
                      "the store belongs to another user than its folder: nobody but root and the "
                      "folder's owner may have stores there (or say engine-user=)");
    return 0;
}

static int check_type(const FsPlace *place, const struct stat *st, const char **ret_why)
{
    if (S_ISREG(st->st_mode))
        return 0;
    if (S_ISBLK(st->st_mode) && (place->linked || place->rule == UV_GUEST_SOURCE))
        return 0;
    return refuse(ret_why, -EINVAL,
                  S_ISLNK(st->st_mode) ? "the store is a link that root does not own"
                                       : "the store is not a regular file");
}

/* For reading and writing, or else for reading, what `found` (O_PATH) is. */
static int reopen(int found, bool read_only, uid_t uid, gid_t gid)
{
    uv_rights_scope rights = uv_rights_take(uid, gid);
    const int fd = read_only ? -EROFS : fs_beneath_reopen(found, O_RDWR);

    return fd == -EACCES || fd == -EROFS || fd == -EPERM ? fs_beneath_reopen(found, O_RDONLY) : fd;
}

int fs_place_open_store(const FsPlace *place, bool read_only, uid_t engine_uid, gid_t engine_gid,
                        FsStoreFile *ret_file, const char **ret_why)
{
    const bool there = place->file.fd >= 0, owners = engine_uid == (uid_t)-1;
    const struct stat *st = there ? &place->file.st : &place->folder.st;
    FsStoreFile file = {
        .fd = -1,
        .uid = owners ? st->st_uid : engine_uid,
        .gid = owners ? st->st_gid : engine_gid,
    };
    int result = 0;

    if (place->unreached && place->unreached != -ENOENT)
        return refuse(ret_why, place->unreached,
                      place->unreached == -ELOOP ? "the way to the store is a link that root does "
                                                   "not own"
                                                 : g_strerror(-place->unreached));
    if (!there && place->file.fd != -ENOENT)
        return refuse(ret_why, place->file.fd, g_strerror(-place->file.fd));
    if (!there && place->domain)
        return refuse(ret_why, -ENOENT, FS_PLACE_NOT_STARTED);
    if (geteuid() == 0 && owners)
        result = check_owner(&place->folder.st, &file, ret_why);
    if (result == 0 && there)
        result = check_type(place, st, ret_why);
    if (result == 0 && there)
        file.fd = reopen(place->file.fd, read_only, file.uid, file.gid);
    if (result == 0 && there && file.fd < 0)
        result = refuse(ret_why, file.fd, g_strerror(-file.fd));
    if (result == 0)
        *ret_file = file;
    return result;
}
