/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The server's store: read, followed, made complete, let go. */

#include "server-internal.h"

#include <syslog.h>

#define UNREADABLE "the store was changed by another program and can't be read"

bool uv_server_is_read_only(const UvServer *server)
{
    return server->store->read_only_reason != NULL;
}

uint64_t uv_server_storage_bytes(const UvServer *server)
{
    return MIN(server->setup.service->size_bytes, server->store->capacity_bytes);
}

static void log_trouble(UvServer *server, const char *what, const GError *error)
{
    uv_log_limited(&server->troubles, LOG_ERR, "%s: %s", what, error->message);
}

bool uv_server_compact(UvServer *server)
{
    UvStore *store = server->store;
    g_autoptr(GError) error = NULL;

    if (store->read_only_reason || server->session.mode != UV_SESSION_SERVING)
        return true;
    if (store->ops->compact(store, uv_service_variables(server->service), &error)) {
        uv_record_sync(server->record);
        return true;
    }
    log_trouble(server, "the store can't be made complete", error);
    return false;
}

void uv_server_let_go(UvServer *server)
{
    UvStore *store = server->store;
    g_autoptr(GError) error = NULL;

    if (server->holds_store && !store->read_only_reason &&
        server->session.mode == UV_SESSION_SERVING) {
        server->holds_store = false;
        if (uv_hold_is_shared(server)) /* the next host goes on with it */
            uv_record_sync(server->record);
        if (!store->ops->release(store, uv_service_variables(server->service), &error))
            log_trouble(server, "the store can't be let go", error);
    }
    uv_record_let_go(server->record);
}

bool uv_server_read_store(UvServer *server, GError **error)
{
    UvStore *store = server->store;
    g_autoptr(GPtrArray) variables = NULL;

    if (!store->ops->load(store, &variables, error))
        return false;
    const bool holds = server->holds_store;
    uv_service_set_store(server->service, store);
    uv_service_load(server->service, variables);
    server->holds_store = holds; /* what was read is no write */
    return true;
}

bool uv_server_reload(UvServer *server, GError **error)
{
    const bool ok = uv_server_read_store(server, error);

    g_clear_pointer(&server->store->left, uv_meta_free); /* observers were told of what changed */
    return ok;
}

void uv_server_refresh(UvServer *server)
{
    if (!server->session_alive)
        uv_server_refresh_at_boot(server);
}

void uv_server_refresh_at_boot(UvServer *server)
{
    g_autoptr(GError) error = NULL;

    if (!server->store->ops->changed(server->store))
        return;
    if (server->setup.looked_at) { /* the next engine has what is there */
        uv_server_leave(server);
        return;
    }
    uv_store_unwarn(server->store, UNREADABLE);
    const UvRecordDoor before = uv_actor_enter(server, UV_RECORD_OUTSIDE);
    const bool reloaded = uv_server_reload(server, &error);
    uv_actor_leave(server, before);
    if (!reloaded) {
        log_trouble(server, UNREADABLE, error);
        uv_store_warn(server->store, UNREADABLE ": %s", error->message);
    }
    uv_events_state_changed(server);
}

void uv_server_tick_store(UvServer *server, int64_t now)
{
    UvStore *store = server->store;
    g_autoptr(GError) error = NULL;
    const int64_t due = store->ops->due(store);

    if (due == 0 || due > now || server->session.mode != UV_SESSION_SERVING)
        return;
    if (!store->ops->tick(store, uv_service_variables(server->service), &error))
        log_trouble(server, "the store", error);
    else if (store->ops->due(store) == 0)
        uv_record_sync(server->record);
    if (!server->guest && !uv_hold_stays(server) && store->ops->due(store) == 0)
        uv_server_let_go(server);
    uv_events_state_changed(server);
}
