/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What uefivarsfs was started with: the command line and -o options, parsed and checked. */

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

typedef struct {
    char *source;
    char *mountpoint;
    bool foreground, debug, read_only, show_help, show_version;
    char *sockdir;     /* NULL: by the id of SOURCE */
    char *sock_group;  /* NULL: the store's owner */
    mode_t sock_mode;  /* 0660 */
    char *engine_user; /* NULL: the store's owner */
    char *front_user;  /* NULL: the system user uefivarsfs for root, if there is one */
    char *engine_path; /* uefivarsd: beside this program, else the installed one */
    unsigned engines;  /* most engines without a guest alive at once: 64 */
    unsigned idle_s;   /* 5 */
    char **firmware;   /* NULL: the standard search path */
    char **templates;  /* NULL: the descriptors' own folders */
    char **keys;       /* folders of profiles for secure-boot/enroll; NULL: the standard ones */
    bool views;        /* boot/, secure-boot/, next-boot/ are shown */
    bool guest_view;   /* what the guest's OS sees */
    char *varcheck;    /* strict, edk2, off */
    char *saved;       /* refuse, warn; NULL: warn */
    bool immutable_kernel;
    bool sandbox_strict;
    unsigned keep_days; /* what was set aside: 30 */
    bool shared;        /* other hosts have SOURCE, too */
    bool any_layout;    /* stores are found as others keep them, too */
    unsigned look_s;    /* 1 */
    uid_t uid;          /* (uid_t)-1: the store's owner */
    gid_t gid;
    mode_t umask;         /* (mode_t)-1: none is given */
    int64_t size_bytes;   /* 262144 */
    int64_t record_bytes; /* of each guest's record of changes; -1: the engine's default */
} FsOptions;

/* NULL with an error that names the option. `ret_fuse_args` gets what is FUSE's own (struct
 * fuse_args *). */
FsOptions *fs_options_parse(int argc, char **argv, void *ret_fuse_args, GError **error);
void fs_options_free(FsOptions *options);
void fs_options_help(void);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsOptions, fs_options_free)
