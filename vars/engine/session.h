/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The session file: what a guest's session is beside the non-volatile variables, kept where it
 * outlives the engine but not the host (tmpfs), written before the reply and never synced.
 *
 * Two slots, at 0 and at UV_SESSION_SLOT_BYTES (the file is sparse), are written in turn; the valid
 * one with the higher sequence counts, so a write that an end of the process cut short loses only
 * what was not acknowledged. An empty file means: no session.
 *
 *   slot: magic "UVSESS\0\2" | u64 sequence | u32 length of the body | u64 checksum of all of it
 *   body: session id | u32 mode | identity of the store | u8 name size | name | session, to the end
 */

#include "bytes.h"
#include "store.h"
#include "wire.h"

#define UV_SESSION_SLOT_BYTES (16u * 1024 * 1024)

typedef enum {
    UV_SESSION_SERVING,
    UV_SESSION_INCOMING, /* waits for LOAD */
    UV_SESSION_RELEASED, /* waits for ACQUIRE */
} UvSessionMode;

typedef struct {
    uint8_t id[UV_WIRE_SESSION_ID_BYTES];
    UvSessionMode mode;
    UvStoreIdentity identity; /* RELEASED: of the store when it was let go */
    char name[UV_WIRE_NAME_MAX + 1];
} UvSessionHead;

typedef struct UvSessionFile UvSessionFile;

/* `fd` (O_RDWR) is owned. */
UvSessionFile *uv_session_file_new(int fd);
void uv_session_file_free(UvSessionFile *file);
/* The newest session in it; false: there is none. `ret_state` is uv_service_write_session()'s. */
bool uv_session_file_read(UvSessionFile *file, UvSessionHead *ret_head, GBytes **ret_state);
/* A new slot with `head` in it, to which uv_service_write_session() is appended: the file's own. */
UvWriter *uv_session_file_begin(UvSessionFile *file, const UvSessionHead *head);
/* Writes what was begun, if it differs from what was written last. */
bool uv_session_file_commit(UvSessionFile *file, GError **error);
/* The session is over. */
void uv_session_file_clear(UvSessionFile *file);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(UvSessionFile, uv_session_file_free)
