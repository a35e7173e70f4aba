/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Changes that wait for the guest's next cold start or reset, when no session lives and the
 * firmware has not seen the store yet. They are kept in the sidecar UV_FILE_NEXT_BOOT in the order
 * of arrival, and what came of those that were applied with them:
 *
 *   u32 size of the results, results (text)
 *   {u16 path size, path, u8 1 it is known who left it, u32 uid, gid, pid, u16 size, program's
 * name, u32 size, content} ...
 *
 * Before version 2 it was not told who.
 *
 * A path is one of what view-next-boot.c takes: secure-boot/VAR/append and so on, vars/NAME-GUID.
 */

#include "record.h"
#include "view.h"

#define UV_NEXT_BOOT_BYTES_MAX (1024u * 1024) /* of all that waits */
#define UV_NEXT_BOOT_RESULTS_MAX (64u * 1024) /* the oldest go */

typedef struct {
    char *path;
    GBytes *content;
    UvActor actor; /* who left it */
} UvNextBootItem;

typedef struct {
    GPtrArray *items; /* of UvNextBootItem */
    GString *results;
} UvNextBoot;

/* Never NULL; empty where nothing waits. */
UvNextBoot *uv_next_boot_load(UvServer *server);
void uv_next_boot_free(UvNextBoot *next);
/* Durable when it returns. */
bool uv_next_boot_save(UvServer *server, const UvNextBoot *next, GError **error);
size_t uv_next_boot_bytes(const UvNextBoot *next);
void uv_next_boot_add(UvNextBoot *next, const char *path, GBytes *content, const UvActor *actor);
/* All that waits is done now; without a session. Called at a cold start, before it begins. */
void uv_next_boot_apply(UvServer *server);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(UvNextBoot, uv_next_boot_free)
