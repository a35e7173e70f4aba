/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Where a store's sidecars are: ".uefivarsfs/STORE.journal" and so on, beside it. That folder is
 * 0700 and the owner's of the first store that needed it.
 *
 * Stores of several owners may lie in one folder. Those of the others have folders of their own,
 * ".uefivarsfs-others/STORE/", 0700 and their store's owner's; what is around them, 0711, is
 * root's, who alone makes them. So no user reads, plants or swaps a sidecar of another user's
 * store. Where a store was given to another user (libvirt does so when a guest starts and ends) the
 * sidecars are given along, by root.
 */

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

#define UV_SIDECARS ".uefivarsfs"
#define UV_SIDECARS_OTHERS ".uefivarsfs-others"

/* What is behind the store's name and a dot, all but "journal.conflict-N"; NULL-terminated. */
extern const char *const uv_sidecar_names[];
#define UV_SIDECAR_JOURNAL "journal"
/* N of a journal that was set aside is at most that, and beside others it is not if they would all
 * take more bytes than that: an engine that was taken over must not fill the disk with them. */
#define UV_CONFLICTS_MAX 16u
#define UV_CONFLICTS_BYTES_MAX (64 * 1024 * 1024)
/* A store's name is at most NAME_MAX less this. */
#define UV_SIDECAR_BYTES_MAX 24u

/* The file's name in the folder of the sidecars; allocated. */
char *uv_sidecar_name(const char *store, const char *what);
/* What a journal, of this name or path, is called once it was set aside; allocated. */
char *uv_sidecar_conflict_name(const char *journal, unsigned number);
/* STORE.journal becomes the first STORE.journal.conflict-N that is free, durably: a copy, which no
 * engine has open that has the journal. Until it is durable the journal stays. 0 or a negative
 * errno
 * (-EDQUOT: there are too many, or too large ones). */
int uv_sidecars_set_journal_aside(int sidecars_fd, const char *store, unsigned *ret_number);
/* That folder, below the store's; allocated. */
char *uv_sidecars_path(int dir_fd, const char *store);
/* The folder of the store's sidecars, to be closed; for reading where that is allowed, else O_PATH.
 * A negative errno: -ENOENT if there is none. It may be another owner's. */
int uv_sidecars_open(int dir_fd, const char *store);
/* As uv_sidecars_open(), made if need be, durably by name; root gives it to this user. */
int uv_sidecars_make(int dir_fd, const char *store, uid_t uid, gid_t gid);
/* Whether this user needs no root for uv_sidecars_make(). */
bool uv_sidecars_may_make(int dir_fd, const char *store, uid_t uid, gid_t gid);
/* Whether the modes of this folder let that user make names in it. */
bool uv_folder_may_write(const struct stat *folder, uid_t uid, gid_t gid);

/* Whether a file in the folder of the sidecars is one of this store's (a conflict is no store's).
 */
bool uv_sidecars_is_one(const char *file, const char *store);
/* All but conflicts; what can't be removed stays. */
void uv_sidecars_remove(int sidecars_fd, const char *store);
/* All but conflicts become those of `to`. 0, or a negative errno: -EBUSY where there is a journal,
 * which belongs to the store's name. */
int uv_sidecars_rename(int sidecars_fd, const char *store, const char *to);

/* For reading where that is allowed, else O_PATH; a negative errno. */
int uv_open_dir(int dir_fd, const char *path, int extra_flags);
/* Makes what happened to names in a folder durable; 0 or a negative errno. */
int uv_sync_names(int dir_fd);
