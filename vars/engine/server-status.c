/* SPDX-License-Identifier: GPL-2.0-or-later */

/* STATUS: what the engine knows of itself, as one JSON object. The front adds its own members. */

#include <unistd.h>

#include "json-put.h"
#include "server-internal.h"
#include "shown-name.h"

#define POLICIES_SHOWN 256
#define SHORTENED_SHOWN 64

static void add_strings(GString *out, const char *name, const GPtrArray *texts)
{
    uv_json_begin(out, name, '[');
    for (guint i = 0; texts && i < texts->len; i++)
        uv_json_put_text(out, NULL, texts->pdata[i]);
    uv_json_end(out, ']');
}

static void add_store(GString *out, const UvServer *server)
{
    const UvStore *store = server->store;
    g_autofree char *saved = uv_saved_since(server);

    uv_json_begin(out, "store", '{');
    uv_json_put_text(out, "format", store->ops->format);
    uv_json_put_number(out, "generation", store->generation);
    uv_json_put_bool(out, "read-only", store->read_only_reason != NULL);
    uv_json_put_text(out, "read-only-reason", store->read_only_reason);
    uv_json_put_text(out, "lock-holder", store->lock_holder);
    uv_json_put_text(out, "saved-state", saved);
    uv_json_end(out, '}');
}

static void add_storage(GString *out, const UvServer *server)
{
    const UvQueryInfo info = uv_service_usage(server->service);

    uv_json_begin(out, "storage", '{');
    uv_json_put_number(out, "total-bytes", info.maximum_storage_bytes);
    uv_json_put_number(out, "used-bytes",
                       uv_varset_used_bytes(uv_service_variables(server->service), true));
    uv_json_put_number(out, "remaining-bytes", info.remaining_storage_bytes);
    uv_json_put_number(out, "largest-variable-bytes", info.maximum_variable_bytes);
    uv_json_put_number(out, "variables", uv_varset_count(uv_service_variables(server->service)));
    uv_json_end(out, '}');
}

/* What vars/ lists under another name than its own. */
static void add_shortened(GString *out, const UvServer *server)
{
    const UvVarset *set = uv_service_variables(server->service);
    unsigned shown = 0;

    uv_json_begin(out, "shortened-names", '[');
    for (const UvVariable *v = uv_varset_first(set); v; v = uv_varset_next(set, v)) {
        if (!uv_shown_name_is_shortened(v) || shown++ >= SHORTENED_SHOWN)
            continue;
        g_autofree char *file = uv_shown_name_format(v->name, &v->guid);
        g_autofree char *full = uv_file_name_format(v->name, &v->guid);
        uv_json_begin(out, NULL, '{');
        uv_json_put_text(out, "file", file);
        uv_json_put_text(out, "name", full);
        uv_json_end(out, '}');
    }
    uv_json_end(out, ']');
}

static void add_phases(GString *out, const UvServer *server)
{
    const UvPhase *phase = uv_service_phase(server->service);

    uv_json_begin(out, "phases", '{');
    uv_json_put_bool(out, "end-of-dxe", phase->end_of_dxe);
    uv_json_put_bool(out, "ready-to-boot", phase->ready_to_boot);
    uv_json_put_bool(out, "exit-boot-services", phase->exit_boot_services);
    uv_json_end(out, '}');
}

/* A variable of one byte; null if it is not there. */
static void add_byte_variable(GString *out, const char *member, const UvServer *server,
                              const UvGuid *guid, const char *name)
{
    g_autoptr(UvName) key = uv_name_new_utf8(name, NULL);
    const UvVariable *variable = uv_varset_lookup(uv_service_variables(server->service), guid, key);
    gsize size = 0;
    const uint8_t *data = variable ? g_bytes_get_data(variable->data, &size) : NULL;

    if (size == 1)
        uv_json_put_bool(out, member, data[0] != 0);
    else
        uv_json_put_null(out, member);
}

static void add_secure_boot(GString *out, const UvServer *server)
{
    uv_json_begin(out, "secure-boot", '{');
    add_byte_variable(out, "setup-mode", server, &uv_guid_global_variable, "SetupMode");
    add_byte_variable(out, "secure-boot", server, &uv_guid_global_variable, "SecureBoot");
    add_byte_variable(out, "secure-boot-enable", server, &uv_guid_secure_boot_enable,
                      "SecureBootEnable");
    add_byte_variable(out, "custom-mode", server, &uv_guid_custom_mode, "CustomMode");
    uv_json_put_bool(out, "force-secure-boot", server->setup.service->force_secure_boot);
    uv_json_put_bool(out, "disable-custom-mode", server->setup.service->disable_custom_mode);
    uv_json_end(out, '}');
}

static void add_policies(GString *out, const UvServer *server)
{
    const UvPolicy *policy = uv_service_policy(server->service);
    const size_t count = uv_policy_count(policy);

    uv_json_begin(out, "policy", '{');
    uv_json_put_number(out, "count", count);
    uv_json_put_bool(out, "locked", uv_policy_is_locked(policy));
    uv_json_put_bool(out, "enabled", true);
    uv_json_begin(out, "entries", '[');
    for (size_t i = 0; i < MIN(count, POLICIES_SHOWN); i++) {
        g_autofree char *text = uv_policy_describe(policy, i);
        if (text)
            uv_json_put_text(out, NULL, text);
    }
    uv_json_end(out, ']');
    uv_json_end(out, '}');
}

static void add_session(GString *out, const UvServer *server)
{
    static const char *const modes[] = {"serving", "incoming", "released"};

    uv_json_begin(out, "session", '{');
    uv_json_put_bool(out, "alive", server->session_alive);
    if (server->session_alive) {
        uv_json_put_bool(out, "connected", server->guest != NULL);
        uv_json_put_text(out, "client", server->session.name);
        uv_json_put_hex(out, "id", server->session.id, sizeof(server->session.id));
        uv_json_put_text(out, "mode", modes[server->session.mode]);
        uv_json_put_bool(out, "resumed", server->session_resumed);
        uv_json_put_bool(out, "failed-closed", server->session_failed_closed);
    }
    uv_json_end(out, '}');
}

static void add_engine(GString *out, const UvServer *server)
{
    uv_json_begin(out, "engine", '{');
    uv_json_put_number(out, "pid", getpid());
    uv_json_put_text(out, "version", UV_VERSION);
    uv_json_put_number(out, "protocol", UV_WIRE_VERSION);
    add_strings(out, "confinement",
                server->setup.sandbox ? server->setup.sandbox->confinement.active : NULL);
    add_strings(out, "confinement-missing",
                server->setup.sandbox ? server->setup.sandbox->confinement.missing : NULL);
    uv_json_end(out, '}');
}

/* A running guest keeps what it booted with. */
static void look_for_replacement(UvServer *server)
{
    static const char replaced[] = "the store was replaced or removed under the running guest: its "
                                   "changes fail until it is reset";

    uv_store_unwarn(server->store, replaced);
    if (server->session_alive && server->session.mode == UV_SESSION_SERVING &&
        server->store->ops->changed(server->store))
        uv_store_warn(server->store, "%s", replaced);
}

GBytes *uv_status_format(UvServer *server, bool of_engine)
{
    GString *out = g_string_new(NULL);

    look_for_replacement(server);
    uv_json_begin(out, NULL, '{');
    add_store(out, server);
    add_storage(out, server);
    add_shortened(out, server);
    add_phases(out, server);
    add_secure_boot(out, server);
    add_policies(out, server);
    add_session(out, server);
    if (of_engine) {
        add_engine(out, server);
        uv_counters_put(&server->counters, out);
    }
    add_strings(out, "warnings", server->store->warnings);
    uv_json_end(out, '}');
    return g_string_free_to_bytes(out);
}
