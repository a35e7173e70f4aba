/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Where a guest's files are, and what they look like from outside.
 *
 * The folders are found with the monitor's own rights, as descriptors that can do nothing but name
 * them (O_PATH, without links but root's); all that is done in them is done with the rights of
 * their owners (rights.h).
 */

#include "access.h"
#include "beneath.h"
#include "local.h"
#include "questions.h"
#include "rights.h"

typedef struct {
    UvGuestRule rule;
    struct stat source; /* SOURCE's folder */
    UvPinned base;      /* SOURCE or the guest's own folder */
    char *config;       /* config.json's name there; NULL: a store as SOURCE has none */
    UvPinned folder;    /* of the store: the same folder, or the one that root's link leads to */
    char *store;        /* its name there, be there a store or not */
    UvPinned file;      /* the store; or -errno */
    UvPinned sidecars;  /* their folder (O_PATH or readable), or -errno (-ENOENT: none yet) */
    bool linked;        /* root's link leads to it */
    FsFormat format;    /* by that name, or its link's, or as a domain has it */
    bool domain;        /* of a libvirt, and only that makes its store */
    char *path;         /* a domain's: where libvirt says that its store is; NULL: nowhere yet */
    const char *link;   /* a domain's: what leads to the store; NULL: it is none */
    int unreached;      /* a domain's: why the folder of its store can't be (-errno); 0: it can */
} FsPlace;

/* A folder in SOURCE as a guest's: its base, and the store that is there or would be made. 0: it
 * makes no guest, more: it does, or -errno. */
int fs_local_folder(const FsLocal *source, const char *folder, FsPlace *place);
/*
 * What makes `guest` a guest now: its rule and SOURCE's folder, of a folder the same, of a file
 * that, if it is no link. 0, -ENOENT (nothing does), or another -errno; to be cleared, here and
 * below, whatever came of it. `ret_shadowed` (nullable) gets the losers' names, one a line.
 */
int fs_local_find(const FsLocal *source, const char *guest, FsPlace *ret_place,
                  GString *ret_shadowed);
/* All of that place. 0, -ENOENT (nothing makes this a guest), or another -errno. */
int fs_place_open(const FsLocal *source, const char *guest, FsPlace *ret_place,
                  GString *ret_shadowed);
/* Of a guest that nothing makes one any more: `file` (a name in SOURCE) did. */
int fs_place_open_lost(const FsLocal *source, const char *guest, const char *file,
                       FsPlace *ret_place);
/* Pins the store and the sidecars' folder of a place that has all else. 0, also where there are
 * none, or -EXDEV. */
int fs_place_pin(FsPlace *place);
void fs_place_clear(FsPlace *place);
/* A place to be filled. */
#define FS_PLACE_NONE                                                                              \
    ((FsPlace){.base = UV_PINNED_NONE,                                                             \
               .folder = UV_PINNED_NONE,                                                           \
               .file = UV_PINNED_NONE,                                                             \
               .sidecars = UV_PINNED_NONE})

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(FsPlace, fs_place_clear)

void fs_identity_of(const struct stat *st, FsIdentity *ret_identity);
/* What its files are now; `watched`: the folder of its file is (FS_LOOK_WATCHED); `above` is
 * SOURCE's. 0 or -EXDEV. */
int fs_place_look(const FsLocal *source, const FsPlace *place, const char *guest, bool watched,
                  UvAccessAbove *above, FsLook *look);
/* Of a list: what its name tells, and nothing is looked at. */
void fs_place_name(const FsLocal *source, UvGuestRule rule, const char *guest,
                   const UvAccessAbove *above, FsLook *look);
/* Of a list: what one look at the file or folder itself tells; of one in another file system that
 * is nothing. 0 or -errno. */
int fs_place_look_briefly(const FsLocal *source, UvGuestRule rule, const char *guest,
                          const UvAccessAbove *above, FsLook *look);

/* The sidecars' folder, made if need be: it is the store's owner's, or the folder's while there is
 * no store. 0 or -errno. */
int fs_place_make_sidecars(FsPlace *place);
/* The store's path as the kernel knows it: for people, and for /proc. */
char *fs_place_real_path(const FsPlace *place);

/* Why there is nothing to open or to write to. */
#define FS_PLACE_NOT_STARTED "the domain has no store yet: libvirt makes it when it first starts"

/* A store that was opened, once. */
typedef struct {
    int fd;    /* -1: there is none */
    uid_t uid; /* who its engine must be */
    gid_t gid;
} FsStoreFile;

/*
 * Opens the store for its engine: for reading and writing, or for reading where that is all that
 * its owner may do, or all that is asked for. `engine_uid` (uid_t)-1: the engine is the store's
 * owner, who must be the folder's or have the store in a folder of root's; root only where the
 * folder is root's and no other user may put anything there. 0, or -errno with `ret_why` for
 * people.
 */
int fs_place_open_store(const FsPlace *place, bool read_only, uid_t engine_uid, gid_t engine_gid,
                        FsStoreFile *ret_file, const char **ret_why);
