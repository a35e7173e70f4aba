/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Opening a store for its engine: once, and everything that is decided about it is decided by that
 * descriptor.
 */

#include "place.h"

#include "beneath.h"
#include "fd.h"
#include "rights.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static int refuse(char **ret_why, int result, const char *why)
{
    *ret_why = g_strdup(why);
    return result;
}

/* No user but root puts a file there. */
static bool is_roots_alone(const struct stat *folder)
{
    return folder->st_uid == 0 && !(folder->st_mode & 022);
}

static int check_owner(const struct stat *folder, const FsStoreFile *file, char **ret_why)
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

static int check_type(const FsPlace *place, const struct stat *st, char **ret_why)
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

/* Whose the engine is, by what `found` (or, while there is no store, its folder) is. */
static int decide_user(const FsPlace *place, int found, uid_t engine_uid, gid_t engine_gid,
                       FsStoreFile *file, char **ret_why)
{
    struct stat folder;

    if (fstat(place->folder_fd, &folder) < 0 ||
        fstat(found < 0 ? place->folder_fd : found, &file->st) < 0)
        return refuse(ret_why, -errno, g_strerror(errno));
    file->uid = engine_uid == (uid_t)-1 ? file->st.st_uid : engine_uid;
    file->gid = engine_uid == (uid_t)-1 ? file->st.st_gid : engine_gid;
    return geteuid() == 0 && engine_uid == (uid_t)-1 ? check_owner(&folder, file, ret_why) : 0;
}

int fs_place_open_store(const FsPlace *place, bool read_only, uid_t engine_uid, gid_t engine_gid,
                        FsStoreFile *ret_file, char **ret_why)
{
    FsStoreFile file = {.fd = -1};
    uv_autofd int found = -1;
    int result;

    if (place->unreached && place->unreached != -ENOENT)
        return refuse(ret_why, place->unreached,
                      place->unreached == -ELOOP ? "the way to the store is a link that root does "
                                                   "not own"
                                                 : g_strerror(-place->unreached));
    {
        uv_rights_scope rights = uv_rights_take_of(place->folder_fd);
        found = fs_beneath_find(place->folder_fd, place->store);
    }
    if (found < 0 && found != -ENOENT)
        return refuse(ret_why, found, g_strerror(-found));
    if (found < 0 && place->domain)
        return refuse(ret_why, -ENOENT, FS_PLACE_NOT_STARTED);
    result = decide_user(place, found, engine_uid, engine_gid, &file, ret_why);
    if (result == 0 && found >= 0)
        result = check_type(place, &file.st, ret_why);
    if (result < 0)
        return result;
    if (found >= 0) {
        file.fd = reopen(found, read_only, file.uid, file.gid);
        if (file.fd < 0)
            return refuse(ret_why, file.fd, g_strerror(-file.fd));
    }
    *ret_file = file;
    return 0;
}
