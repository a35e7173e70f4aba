/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What a front gives up before it reads the first byte from outside: root, groups, capabilities,
 * all files but those of the firmware's folders, and every system call that it has no use for.
 */

#include "confinement.h"
#include "options.h"

#include <pwd.h>

typedef struct {
    bool become; /* false: it stays who mounts */
    uid_t uid;
    gid_t gid;
} FsFrontUser;

/* By name or number; NULL: there is none. As getpwnam(3). */
const struct passwd *fs_find_user(const char *name);
/* Of front-user=; by default root's front is the system user uefivarsfs if there is one. */
bool fs_front_user_find(const FsOptions *options, FsFrontUser *ret_user, GError **error);

/*
 * In the front, while it has one thread. It can still read below `readable` (NULL-terminated; those
 * that are not there are left out). What the kernel lacks is noted; with sandbox=strict it is an
 * error.
 */
bool fs_front_confine(const FsFrontUser *user, const char *const *readable, bool strict,
                      UvConfinement *ret_confinement, GError **error);
