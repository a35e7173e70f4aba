/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The folder of one store: the only way to its files.
 *
 * Store code never handles paths. It asks for a file by its role and gets a descriptor; renaming
 * and unlinking go by role too. Implementations serve it: directly on the folder's descriptor, or,
 * in a confined engine that may write, through the keeper, a small process forked before the
 * confinement that holds the folder's descriptor and knows just these names. So a confined engine
 * can touch no other file, also where thousands of stores lie in one folder with one owner. The
 * keeper shares the engine's lock: it cannot rename anything after another engine has taken the
 * store over.
 *
 * Sidecars are in ".uefivarsfs/" beside the store, made on first use: see sidecars.h.
 */

#include <glib.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

typedef enum {
    UV_FILE_STORE,     /* the store itself */
    UV_FILE_TEMP,      /* .uefivarsfs/NAME.tmp: becomes the store by renaming */
    UV_FILE_JOURNAL,   /* .uefivarsfs/NAME.journal */
    UV_FILE_CONFLICT,  /* .uefivarsfs/NAME.journal.conflict-N, the first N that is free */
    UV_FILE_LOCK,      /* .uefivarsfs/NAME.lock: goes when its store is gone */
    UV_FILE_LOCK_TEMP, /* .uefivarsfs/NAME.lock.tmp: takes the place of a lock that is broken */
    UV_FILE_META,      /* .uefivarsfs/NAME.meta */
    UV_FILE_META_TEMP, /* .uefivarsfs/NAME.meta.tmp */
    UV_FILE_NEXT_BOOT, /* .uefivarsfs/NAME.next-boot: changes that wait for a cold start */
    UV_FILE_NEXT_BOOT_TEMP,
    UV_FILE_RECORD,      /* .uefivarsfs/NAME.changes: who changed what */
    UV_FILE_RECORD_OLD,  /* .uefivarsfs/NAME.changes.1 */
    UV_FILE_BEFORE_LOAD, /* .uefivarsfs/NAME.before-load */
    UV_FILE_SAVED,       /* .uefivarsfs/NAME.saved: the engine's, see server-saved.c */
    UV_FILE_ROLES,       /* how many there are */
} UvFileRole;

typedef struct UvFolder UvFolder;

/*
 * Finds the folder of the store at `path` (relative to `dir_fd` or AT_FDCWD). With AT_FDCWD a
 * symbolic link as the last component is followed to the file it means, so that a store has one set
 * of sidecars whatever name it is reached by; with a dir_fd, `path` is one component and no link is
 * followed. The file itself may be absent.
 */
UvFolder *uv_folder_new(int dir_fd, const char *path, GError **error);
void uv_folder_free(UvFolder *folder);
/*
 * Makes the folder of the sidecars ahead of time, for an engine that is about to become this user
 * and could not do it then.
 */
bool uv_folder_make_sidecars(UvFolder *folder, uid_t uid, gid_t gid, GError **error);
/*
 * Others own and label the file, as far as can be told from here: its folder is libvirt's, or it
 * has trusted.* attributes (which only a privileged process sees: ask before giving that up). A new
 * file in its place would not have them.
 */
bool uv_folder_is_of_others(const UvFolder *folder);
/* What the keeper does before it serves: its confinement to the folder at `folder_fd`. */
typedef void (*UvFolderHook)(int folder_fd, void *data);
/* From now on through a keeper process. Call before threads and confinement. */
bool uv_folder_fork_keeper(UvFolder *folder, UvFolderHook hook, void *data, GError **error);

/*
 * From now on through the store's descriptor, for reading only: without a keeper, for an engine
 * that changes nothing. false, and nothing is changed: something lies beside the store, that might
 * have to be changed with it, or there is no store. A store that is replaced or removed later
 * fails.
 */
bool uv_folder_hold(UvFolder *folder);
bool uv_folder_is_held(const UvFolder *folder);

/* Hangs up when the keeper is gone, and with it the way to the files; -1 without a keeper.
 * Borrowed. */
int uv_folder_keeper_fd(const UvFolder *folder);

/*
 * As open(2) with O_CLOEXEC and O_NOFOLLOW added; mode 0600; regular files only. A file that this
 * makes is durable by name when it returns. -1 with an error (G_FILE_ERROR_NOENT: absent).
 */
int uv_folder_open(UvFolder *folder, UvFileRole role, int flags, GError **error);
/* For reading; absent is success with -1, and no text is made of it. */
bool uv_folder_open_present(UvFolder *folder, UvFileRole role, int *ret_fd, GError **error);
/* Atomic, and durable when it returns. UV_FILE_CONFLICT as target picks the name. */
bool uv_folder_rename(UvFolder *folder, UvFileRole from, UvFileRole to, GError **error);
/* Absent is success. Durable when it returns. */
bool uv_folder_unlink(UvFolder *folder, UvFileRole role, GError **error);
/* Of what the name means now. false with G_FILE_ERROR_NOENT when absent. */
bool uv_folder_stat(UvFolder *folder, UvFileRole role, struct stat *ret_stat, GError **error);
/* For messages: the path as people would type it. */
const char *uv_folder_path(const UvFolder *folder, UvFileRole role);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(UvFolder, uv_folder_free)
