/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A guest's views (boot/, secure-boot/, next-boot/), as its engine makes them. What an engine said
 * is kept, within limits, while the store and the engine's state are what they were: a second look
 * at ten thousand guests that are off starts no engine.
 */

#include "fleet.h"
#include "view-list.h"

typedef enum {
    FS_VIEW_BOOT,
    FS_VIEW_SECURE_BOOT,
    FS_VIEW_NEXT_BOOT,
    FS_VIEWS,
} FsViewKind;

/* Of its folder. */
const char *fs_view_name(FsViewKind view);

/* What is written to a view, wire.h's acts. */
typedef enum {
    FS_VIEW_WRITE,
    FS_VIEW_REMOVE,
    FS_VIEW_MKDIR,
    FS_VIEW_RMDIR,
} FsViewAct;

/* The reply is the file's text; of the view itself (""), its list, checked (view-list.h). */
void fs_guest_view_read(FsGuest *guest, void *request, FsViewKind view, const char *path,
                        FsReply go_on, void *data);
/* The tree will read that soon: worth to be asked for where an engine is there anyway. */
void fs_guest_view_expect(FsGuest *guest, FsViewKind view, const char *path);
/* When a variable that the view shows changed last, as of the last list; 0: not known. */
int64_t fs_guest_view_mtime_ns(const FsGuest *guest, FsViewKind view);
/* 0 or an errno; the reason of a refusal is the guest's last. */
void fs_guest_view_act(FsGuest *guest, void *request, FsViewKind view, FsViewAct act,
                       const char *path, GBytes *content /* nullable */, FsContinue go_on,
                       void *data);
