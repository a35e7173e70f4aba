/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A saved state: what SAVE gave out (a managed save, a file that was migrated to), until a guest
 * has it loaded, goes on without it (ACQUIRE, a cold start), or is powered off (BYE while it has
 * its store; a machine that handed its store over says BYE, too). Loading it will replace the
 * store, so what the host changes meanwhile is refused (--saved=refuse) or warned of. That there is
 * one outlives the engine in the sidecar FILE.saved; nothing else depends on that file.
 *
 *   magic "uvsaved\1" | u64 generation of the store when it was saved | i64 time, ns
 */

#include <fcntl.h>
#include <string.h>
#include <syslog.h>

#include "fd.h"
#include "replace-store.h"
#include "server-internal.h"

#define FILE_BYTES 24u
#define WARNING "a saved state of the guest exists"

static const uint8_t magic[8] = {'u', 'v', 's', 'a', 'v', 'e', 'd', 1};

static UvFolder *folder_of(const UvServer *server)
{
    return server->store->folder;
}

char *uv_saved_since(const UvServer *server)
{
    g_autoptr(GDateTime) time = NULL;

    if (server->saved_ns == 0)
        return NULL;
    time = g_date_time_new_from_unix_utc(server->saved_ns / 1000000000);
    return time ? g_date_time_format(time, "%Y-%m-%dT%H:%M:%SZ") : g_strdup("?");
}

static bool write_file(UvServer *server, GError **error)
{
    uv_autofd int fd = uv_folder_open(folder_of(server), UV_FILE_SAVED, O_WRONLY | O_CREAT, error);

    if (fd < 0)
        return false;
    g_auto(UvWriter) writer = uv_writer(FILE_BYTES);
    uv_write_bytes(&writer, magic, sizeof(magic));
    uv_write_u64(&writer, server->store->generation);
    uv_write_u64(&writer, server->saved_ns);
    return uv_write_file_at(fd, uv_folder_path(folder_of(server), UV_FILE_SAVED), writer.bytes,
                            writer.size, 0, error);
}

void uv_saved_begin(UvServer *server)
{
    g_autoptr(GError) error = NULL;

    server->saved_ns = g_get_real_time() * 1000;
    if (!server->store->read_only_reason && !write_file(server, &error))
        uv_log_limited(&server->troubles, LOG_WARNING,
                       "that a state was saved is not remembered: %s", error->message);
}

void uv_saved_end_elsewhere(UvServer *server)
{
    if (uv_hold_is_shared(server))
        uv_folder_unlink(folder_of(server), UV_FILE_SAVED, NULL);
    uv_saved_end(server);
}

void uv_saved_end(UvServer *server)
{
    if (server->saved_ns == 0)
        return;
    server->saved_ns = 0;
    uv_store_unwarn(server->store, WARNING);
    uv_folder_unlink(folder_of(server), UV_FILE_SAVED, NULL);
}

void uv_saved_restore(UvServer *server)
{
    g_autoptr(GBytes) bytes = NULL;
    uv_autofd int fd = uv_folder_open(folder_of(server), UV_FILE_SAVED, O_RDONLY, NULL);

    if (fd < 0)
        return;
    bytes = uv_read_file(fd, uv_folder_path(folder_of(server), UV_FILE_SAVED), FILE_BYTES, NULL);
    if (!bytes)
        return;
    UvReader reader = uv_reader_of(bytes);
    const uint8_t *found = uv_read_bytes(&reader, sizeof(magic));
    const uint64_t generation = uv_read_u64(&reader);
    const int64_t saved_ns = uv_read_u64(&reader);
    if (!uv_reader_done(&reader) || memcmp(found, magic, sizeof(magic)) != 0)
        return;
    server->saved_ns = saved_ns;
    if (server->store->generation > generation)
        uv_saved_warn(server);
}

void uv_saved_warn(UvServer *server)
{
    g_autofree char *since = uv_saved_since(server);

    if (!since || server->session_alive)
        return;
    uv_store_warn(server->store,
                  WARNING ", of %s: the store was changed since, and loading it replaces that",
                  since);
    uv_log_limited(&server->events, LOG_WARNING,
                   WARNING ", of %s: what the host changes now is replaced when it is loaded",
                   since);
}

bool uv_saved_refuses(const UvServer *server)
{
    return server->setup.refuse_when_saved && server->saved_ns != 0 && !server->session_alive;
}
