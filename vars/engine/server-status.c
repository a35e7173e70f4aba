/* SPDX-License-Identifier: GPL-2.0-or-later */

/* STATUS: what the engine knows of itself, as one JSON object. The front adds its own members. */

#include <json-glib/json-glib.h>
#include <string.h>
#include <unistd.h>

#include "server-internal.h"

#define POLICIES_SHOWN 256

static void add_string(JsonBuilder *out, const char *name, const char *value)
{
    json_builder_set_member_name(out, name);
    if (value)
        json_builder_add_string_value(out, value);
    else
        json_builder_add_null_value(out);
}

static void add_bool(JsonBuilder *out, const char *name, bool value)
{
    json_builder_set_member_name(out, name);
    json_builder_add_boolean_value(out, value);
}

static void add_int(JsonBuilder *out, const char *name, int64_t value)
{
    json_builder_set_member_name(out, name);
    json_builder_add_int_value(out, value);
}

static void begin_object(JsonBuilder *out, const char *name)
{
    json_builder_set_member_name(out, name);
    json_builder_begin_object(out);
}

static void add_strings(JsonBuilder *out, const char *name, const GPtrArray *texts)
{
    json_builder_set_member_name(out, name);
    json_builder_begin_array(out);
    for (guint i = 0; texts && i < texts->len; i++) {
        g_autofree char *valid = g_utf8_make_valid(texts->pdata[i], -1);
        json_builder_add_string_value(out, valid);
    }
    json_builder_end_array(out);
}

static void add_store(JsonBuilder *out, const UvServer *server)
{
    const UvStore *store = server->store;

    begin_object(out, "store");
    add_string(out, "format", store->ops->format);
    add_int(out, "generation", store->generation);
    add_bool(out, "read-only", store->read_only_reason != NULL);
    add_string(out, "read-only-reason", store->read_only_reason);
    add_string(out, "lock-holder", store->lock_holder);
    json_builder_end_object(out);
}

static void add_storage(JsonBuilder *out, const UvServer *server)
{
    const uint32_t attributes =
        EFI_VARIABLE_NON_VOLATILE | EFI_VARIABLE_BOOTSERVICE_ACCESS | EFI_VARIABLE_RUNTIME_ACCESS;
    UvQueryInfo info = {0};

    if (uv_service_query(server->service, UV_DOOR_HOST, attributes, &info) != EFI_SUCCESS)
        info = (UvQueryInfo){0};
    begin_object(out, "storage");
    add_int(out, "total-bytes", info.maximum_storage_bytes);
    add_int(out, "used-bytes", uv_varset_used_bytes(uv_service_variables(server->service), true));
    add_int(out, "remaining-bytes", info.remaining_storage_bytes);
    add_int(out, "largest-variable-bytes", info.maximum_variable_bytes);
    add_int(out, "variables", uv_varset_count(uv_service_variables(server->service)));
    json_builder_end_object(out);
}

static void add_phases(JsonBuilder *out, const UvServer *server)
{
    const UvPhase *phase = uv_service_phase(server->service);

    begin_object(out, "phases");
    add_bool(out, "end-of-dxe", phase->end_of_dxe);
    add_bool(out, "ready-to-boot", phase->ready_to_boot);
    add_bool(out, "exit-boot-services", phase->exit_boot_services);
    json_builder_end_object(out);
}

/* A variable of one byte; null if it is not there. */
static void add_byte_variable(JsonBuilder *out, const char *member, const UvServer *server,
                              const UvGuid *guid, const char *name)
{
    g_autoptr(UvName) key = uv_name_new_utf8(name, NULL);
    const UvVariable *variable = uv_varset_lookup(uv_service_variables(server->service), guid, key);
    gsize size = 0;
    const uint8_t *data = variable ? g_bytes_get_data(variable->data, &size) : NULL;

    json_builder_set_member_name(out, member);
    if (size == 1)
        json_builder_add_boolean_value(out, data[0] != 0);
    else
        json_builder_add_null_value(out);
}

static void add_secure_boot(JsonBuilder *out, const UvServer *server)
{
    begin_object(out, "secure-boot");
    add_byte_variable(out, "setup-mode", server, &uv_guid_global_variable, "SetupMode");
    add_byte_variable(out, "secure-boot", server, &uv_guid_global_variable, "SecureBoot");
    add_byte_variable(out, "secure-boot-enable", server, &uv_guid_secure_boot_enable,
                      "SecureBootEnable");
    add_byte_variable(out, "custom-mode", server, &uv_guid_custom_mode, "CustomMode");
    add_bool(out, "force-secure-boot", server->config.force_secure_boot);
    add_bool(out, "disable-custom-mode", server->config.disable_custom_mode);
    json_builder_end_object(out);
}

static void add_policies(JsonBuilder *out, const UvServer *server)
{
    const UvPolicy *policy = uv_service_policy(server->service);
    const size_t count = uv_policy_count(policy);

    begin_object(out, "policy");
    add_int(out, "count", count);
    add_bool(out, "locked", uv_policy_is_locked(policy));
    add_bool(out, "enabled", uv_policy_is_enabled(policy));
    json_builder_set_member_name(out, "entries");
    json_builder_begin_array(out);
    for (size_t i = 0; i < MIN(count, POLICIES_SHOWN); i++) {
        g_autofree char *text = uv_policy_describe(policy, i);
        if (text)
            json_builder_add_string_value(out, text);
    }
    json_builder_end_array(out);
    json_builder_end_object(out);
}

static void add_session(JsonBuilder *out, const UvServer *server)
{
    static const char *const modes[] = {"serving", "incoming", "released"};
    GString *id = g_string_new(NULL);

    for (size_t i = 0; i < sizeof(server->session.id); i++)
        g_string_append_printf(id, "%02x", server->session.id[i]);
    begin_object(out, "session");
    add_bool(out, "alive", server->session_alive);
    if (server->session_alive) {
        add_bool(out, "connected", server->guest != NULL);
        add_string(out, "client", server->session.name);
        add_string(out, "id", id->str);
        add_string(out, "mode", modes[server->session.mode]);
        add_bool(out, "resumed", server->session_resumed);
        add_bool(out, "failed-closed", server->session_failed_closed);
    }
    json_builder_end_object(out);
    g_string_free(id, TRUE);
}

static void add_engine(JsonBuilder *out, const UvServer *server)
{
    begin_object(out, "engine");
    add_int(out, "pid", getpid());
    add_string(out, "version", UV_VERSION);
    add_int(out, "protocol", UV_WIRE_VERSION);
    add_strings(out, "confinement", server->sandbox ? server->sandbox->active : NULL);
    add_strings(out, "confinement-missing", server->sandbox ? server->sandbox->missing : NULL);
    json_builder_end_object(out);
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

GBytes *uv_status_format(UvServer *server)
{
    g_autoptr(JsonBuilder) out = json_builder_new();

    look_for_replacement(server);
    json_builder_begin_object(out);
    add_store(out, server);
    add_storage(out, server);
    add_phases(out, server);
    add_secure_boot(out, server);
    add_policies(out, server);
    add_session(out, server);
    add_engine(out, server);
    add_strings(out, "warnings", server->store->warnings);
    json_builder_end_object(out);
    g_autoptr(JsonNode) root = json_builder_get_root(out);
    char *text = json_to_string(root, TRUE);
    return g_bytes_new_take(text, strlen(text));
}
