/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The store on shared storage (--shared): its lock says which host the guest is on, so it is held
 * for as long as the guest's session lives here, and not just while something is written.
 */

#include <errno.h>
#include <syslog.h>

#include "server-internal.h"

/* So often another program may change the store between reading and holding it. */
#define TRIES 3
/* A host that changes something holds it until that is complete, which takes two seconds. */
#define BURST_US (3 * G_USEC_PER_SEC)
#define LOOK_AGAIN_US (G_USEC_PER_SEC / 20)

bool uv_hold_is_shared(const UvServer *server)
{
    return server->store->lock.host != NULL;
}

bool uv_hold_stays(const UvServer *server)
{
    return uv_hold_is_shared(server) && server->session_alive &&
           server->session.mode == UV_SESSION_SERVING;
}

void uv_hold_wait(UvServer *server)
{
    UvStoreLock *lock = &server->store->lock;
    const int64_t end = g_get_monotonic_time() + BURST_US;

    while (lock->host && !uv_store_lock_is_held(lock) && !uv_store_lock_is_free(lock) &&
           g_get_monotonic_time() < end)
        g_usleep(LOOK_AGAIN_US);
}

bool uv_hold_take(UvServer *server, bool may_reload, GError **error)
{
    UvStore *store = server->store;

    if (!uv_hold_is_shared(server))
        return true;
    if (may_reload)
        uv_hold_wait(server);
    for (int i = 1;; i++) {
        g_autoptr(GError) local = NULL;

        if (store->ops->acquire(store, &local)) {
            server->holds_store = true;
            return true;
        }
        if (!may_reload || i == TRIES ||
            !g_error_matches(local, UV_STORE_ERROR, UV_STORE_ERROR_CHANGED))
            return uv_fail_with(error, g_steal_pointer(&local));
        if (!uv_server_reload(server, error))
            return false;
    }
}

int uv_hold_break(UvServer *server, char **ret_reason)
{
    UvStoreLock *lock = &server->store->lock;
    g_autofree char *holder = NULL;
    g_autoptr(GError) error = NULL;

    if (!lock->host) {
        *ret_reason = g_strdup("the store is not on shared storage (--shared)");
        return EINVAL;
    }
    if (uv_store_lock_is_held(lock)) {
        *ret_reason = g_strdup("the guest is on this host");
        return EBUSY;
    }
    (void)uv_store_lock_is_free(lock); /* looks who has it */
    holder = g_strdup(lock->holder);
    if (!uv_store_lock_break(lock, &error)) {
        *ret_reason = g_strdup(error->message);
        return EIO;
    }
    if (holder)
        uv_log(LOG_WARNING, "the hold of %s was broken by the administrator", holder);
    return 0;
}
