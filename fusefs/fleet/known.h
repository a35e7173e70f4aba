/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What is kept of a store beside it, between the files of the fleet. */

#include "views.h"

#include "bytes.h"

/* Whether nothing of the guest may be remembered without its engine, nor kept: its store is a block
 * device. */
bool guest_is_never_known(const FsGuest *guest);
/* FS_TEXT_HINT was read. */
void guest_recall(FsGuest *guest);
/* Its engine has ended, the store complete. */
void guest_keep(FsGuest *guest);
/* Something changes that the store does not tell. */
void guest_unkeep(FsGuest *guest);
/* What was recalled is not remembered any more: it is read again when a request needs it. */
void guest_forget_kept(FsGuest *guest);
void guest_knows_status(FsGuest *guest, const void *text, size_t size);

/* engine-receive.c's, which takes the same of engines. */

/* u16 length and a variable's file name; NULL: it can't be one. */
char *read_entry_name(UvReader *reader);
/* Of an entry whose content is not known. */
void guest_put_size(FsGuest *guest, const char *name, uint32_t bytes, uint32_t attributes,
                    int64_t mtime_ns);
/* Entries that are not `named` (a set of names) are gone. */
void guest_remove_others(FsGuest *guest, GHashTable *named);

/* Of views, which views.c keeps. */

/* A variable or the engine's state is another: what was kept of views counts no more. */
void guest_views_changed(FsGuest *guest);
void guest_views_clear(FsGuest *guest);
/* What its engine has just said; of a list false: one is kept. */
bool guest_views_keep_list(FsGuest *guest, FsViewKind view, GBytes *list);
void guest_views_keep_text(FsGuest *guest, FsViewKind view, const char *path, GBytes *bytes);
/* What is kept of the store as it is: the list where `path` is ""; a new reference, or NULL. */
GBytes *guest_views_kept(FsGuest *guest, FsViewKind view, const char *path);
/* Something is kept of the store as it is, and this text is not. */
bool guest_views_miss(const FsGuest *guest, FsViewKind view, const char *path);
/* Of the newest of the variables that the view shows; where there is none, of the oldest of all: it
 * must stay the same when the store is written anew, or each backup would copy the view. */
int64_t guest_views_newest_ns(const FsGuest *guest, FsViewKind view);
/* The engine has told what its store is now; with all changes that it told of before, it is the
 * same content. */
void guest_store_is_now(FsGuest *guest, const FsIdentity *identity);

/* Calls `visit` for each list (`path` NULL) and, with `texts`, each text that is kept and counts.
 */
void guest_views_visit(const FsGuest *guest, bool texts,
                       void (*visit)(FsViewKind view, const char *path, int64_t mtime_ns,
                                     GBytes *bytes, void *data),
                       void *data);
/* As they were visited; false: it can't be one. `guest` NULL: it is only looked at. */
bool guest_views_read_list(FsGuest *guest, UvReader *body);
bool guest_views_read_text(FsGuest *guest, UvReader *body);
