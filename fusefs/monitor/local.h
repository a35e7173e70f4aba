/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * SOURCE: a store, or a folder of guests, and the rules by which a file's name makes a guest.
 *
 * First match wins: a subdirectory G/ (with config.json, vars.json or vars.fd), G.json,
 * G_VARS.json, G.fd, G_VARS.fd, G_VARS.qcow2. A file belongs to one guest only: what ends in
 * "_VARS.json" is the guest before the "_VARS", never one called "..._VARS". Names with a leading
 * dot and *.config.json are never guests.
 *
 * Everything below SOURCE is reached from its descriptor, without following links, except links
 * that root owns (whoever may write into SOURCE can't point us elsewhere).
 */

#include <dirent.h>
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

typedef enum {
    FS_RULE_FOLDER, /* G/ */
    FS_RULE_JSON,
    FS_RULE_VARS_JSON,
    FS_RULE_FD,
    FS_RULE_VARS_FD,
    FS_RULE_VARS_QCOW2,
    FS_RULES,
    FS_RULE_SOURCE = FS_RULES, /* SOURCE is the store itself */
} FsRule;

typedef struct {
    char *path;    /* absolute, links resolved */
    int fd;        /* O_PATH: the folder, or the folder of the store */
    char *store;   /* a store as SOURCE: its name in that folder; NULL: a folder of guests */
    bool libvirts; /* libvirt's folder for stores of <varstore>: NAME.json is the domain NAME's */
    struct stat st;
    bool told; /* what looks like a guest and is none was logged */
} FsLocal;

void fs_local_free(FsLocal *source);
/* What names this SOURCE in /run: by device and inode, and for a store by its folder's and its
 * name. */
char *fs_local_id(const FsLocal *source);

/* The guest that a file name (or a folder's, `folder`) means: false if none. `ret_name_bytes` is
 * how much of `file` is the guest's name. */
bool fs_local_classify(const FsLocal *source, const char *file, bool folder, FsRule *ret_rule,
                       size_t *ret_name_bytes);
bool fs_local_valid_name(const FsLocal *source, const char *name);
/* The guest that a file of SOURCE belongs to, its store or its config.json; NULL: none. */
char *fs_local_guest_of(const FsLocal *source, const char *file);
/* The file or folder in SOURCE by which `rule` makes the guest. */
char *fs_local_file(const FsLocal *source, FsRule rule, const char *guest);

/* Whether the file that `rule` makes of `guest` is this guest's and no other's. */
bool fs_local_fits(const FsLocal *source, FsRule rule, const char *guest);
/* The store in a guest's folder: the one that is there, or the one that would be made. */
const char *fs_local_folder_store(int folder_fd);
/* Its config.json below SOURCE, there or not: G/config.json, G.config.json or, where that may be a
 * domain's store, G.json.config. A store as SOURCE has none. */
char *fs_local_config(const FsLocal *source, FsRule rule, const char *guest);

/* Called for each guest candidate, in no order; one guest may come several times. A folder is one
 * that is a guest already; `visit_other` (nullable) gets the folders that are not. */
typedef void (*FsLocalVisit)(const char *guest, FsRule rule, void *data);
void fs_local_visit_entry(FsLocal *source, const struct dirent *entry, FsLocalVisit visit,
                          void (*visit_other)(const char *folder, void *data), void *data);
/* All entries were visited, and there are guests or not: what is no guest is not told again, and
 * the first time that there are none is. */
void fs_local_told(FsLocal *source, bool any);
/* What makes `guest` a guest now; false: nothing does. `ret_shadowed` (nullable) gets the losers'
 * names, NULL terminated, or NULL. */
bool fs_local_find(const FsLocal *source, const char *guest, FsRule *ret_rule,
                   char ***ret_shadowed);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsLocal, fs_local_free)
