/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The guard: while the journal has what the file has not, a lease on the file tells the engine
 * before another program opens it, and makes that program wait. So a QEMU that is started a second
 * after an edit, or a backup, finds the file complete: the engine writes it in place, then lets the
 * program in.
 *
 * The kernel counts open descriptions: only the one that holds the lease may exist, opened for
 * writing too, and a holder that does not answer for 45 s loses it. Code of the engine that opens
 * the file has to lower the guard first, or would wait for itself. Nothing depends on the guard:
 * without a lease (another reader, a file system that knows none) the probes of store-json-write.c
 * remain.
 */

#include "store-json-private.h"

#include "fd.h"

#include <fcntl.h>
#include <unistd.h>

/* Puts a new descriptor of the same file in the old one's place; the old one is closed first. */
static bool reopen(JsonStore *json, int flags)
{
    UvStoreIdentity identity;
    struct stat st;
    uv_autofd int fd = uv_folder_open(json->store.folder, UV_FILE_STORE, flags, NULL);

    if (fd < 0 || fstat(fd, &st) < 0)
        return false;
    uv_store_identity_from_stat(&identity, &st);
    if (identity.inode != json->store.identity.inode ||
        identity.device != json->store.identity.device)
        return false;
    uv_fd_clear(&json->fd);
    json->fd = uv_fd_steal(&fd);
    return true;
}

void uv_json_store_raise_guard(JsonStore *json)
{
    int64_t now = g_get_monotonic_time();

    if (!json->guards || json->leased || json->fd < 0 || now < json->guard_retry_us ||
        !reopen(json, O_RDWR))
        return;
    json->leased = fcntl(json->fd, F_SETLEASE, F_WRLCK) == 0;
    if (json->leased) {
        json->guard_seen_us = now;
        json->guard_due_us = now + UV_JSON_GUARD_US;
    } else {
        json->guard_retry_us = now + UV_JSON_PROBE_US;
        reopen(json, O_RDONLY);
    }
}

void uv_json_store_lower_guard(JsonStore *json)
{
    if (!json->leased)
        return;
    fcntl(json->fd, F_SETLEASE, F_UNLCK);
    json->leased = false;
    json->guard_due_us = 0;
    reopen(json, O_RDONLY);
}

bool uv_json_store_is_wanted(JsonStore *json)
{
    if (!json->leased)
        return false;
    if (fcntl(json->fd, F_GETLEASE) != F_WRLCK)
        return true;
    json->guard_seen_us = g_get_monotonic_time();
    return false;
}

bool uv_json_store_guard_fell(JsonStore *json)
{
    return uv_json_store_is_wanted(json) &&
           g_get_monotonic_time() - json->guard_seen_us > UV_JSON_GUARD_LOST_US;
}
