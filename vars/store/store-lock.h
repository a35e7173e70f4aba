/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The lock between engines, and the end of what lies beside a store that is gone. The lock file is
 * removed with the rest then, by who has the lock: so an engine that gets the lock looks whether it
 * is still on the file of that name.
 *
 * On shared storage (`host` is set) the lock file says, while it is locked, which host has it
 * (claim.h). A claim of another host keeps this one from writing even where the lock could be had:
 * that host died with it, or the file system lost it and the host does not know. An administrator
 * who made sure that it is dead breaks the claim: a new, empty lock file takes the old one's place,
 * so that an engine over there that does live finds that its file has lost its name.
 */

#include "claim.h"
#include "folder.h"

typedef struct {
    UvFolder *folder;   /* borrowed */
    const UvHost *host; /* borrowed; NULL: no other host has the folder */
    int fd;             /* -1: not held */
    char *claim;        /* what the file says while it is held on shared storage */
    char *holder;       /* the host that kept us from it last, "HOST since TIME"; NULL: none did */
} UvStoreLock;

void uv_store_lock_init(UvStoreLock *lock, UvFolder *folder, const UvHost *host);
void uv_store_lock_clear(UvStoreLock *lock);

static inline bool uv_store_lock_is_held(const UvStoreLock *lock)
{
    return lock->fd >= 0;
}

/*
 * The lock file, made if need be and locked; tried for `wait_ms`, but not at all where another host
 * has it. false with what uv_folder_open() says, or UV_STORE_ERROR_READ_ONLY (held) or _IO; `name`
 * is for that message.
 */
bool uv_store_lock_take(UvStoreLock *lock, const char *name, unsigned wait_ms, GError **error);
/*
 * Held, as it was taken: asked before each write. On shared storage it may be another host's by
 * now: UV_STORE_ERROR_READ_ONLY, and it is not held any more. Always true elsewhere.
 */
bool uv_store_lock_check(UvStoreLock *lock, const char *name, GError **error);
/* An engine that asked for it now would get it. Makes no file. */
bool uv_store_lock_is_free(UvStoreLock *lock);
/* Lets go of it, the keeper's copy included; does nothing if it is not held. */
void uv_store_lock_drop(UvStoreLock *lock);
/* Another host's claim is gone; true also if there was none. */
bool uv_store_lock_break(UvStoreLock *lock, GError **error);

/*
 * If the store is gone, and no journal is left of it: lock, times, changes that wait for its guest,
 * what says that this was saved and the record go too, and the folder that they were in, if it is
 * empty then. The lock must not be held by this engine; does nothing if another one has it.
 */
void uv_store_tidy(UvStoreLock *lock);
