/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The service as an object: what it holds, and how a judged change becomes true. The checks are in
 * service-set.c, reading in service-query.c, boot phases and sessions in service-session.c. */

#include "service-private.h"

#include "modes.h"
#include "signers.h"

static const char not_taken[] = "the store did not take the change";

UvService *uv_service_new(const UvServiceConfig *config, UvStore *store)
{
    UvService *service = g_new0(UvService, 1);

    service->config = *config;
    service->variables = uv_varset_new();
    service->policy = uv_policy_new();
    uv_service_set_store(service, store);
    g_autoptr(UvChange) change = uv_change_new(service->variables);
    uv_modes_derive(change, &service->config);
    uv_service_apply(service, change);
    return service;
}

void uv_service_free(UvService *service)
{
    if (!service)
        return;
    uv_varset_free(service->variables);
    uv_policy_free(service->policy);
    g_free(service->store_error);
    g_free(service);
}

void uv_service_set_observer(UvService *service, UvObserver observer, void *data)
{
    service->observer = observer;
    service->observer_data = data;
}

void uv_service_set_refusal_log(UvService *service, UvRefusalLog log, void *data)
{
    service->refusal_log = log;
    service->refusal_log_data = data;
}

void uv_service_set_store(UvService *service, UvStore *store)
{
    service->store = store;
    if (store)
        service->config.keeps_certdb = store->keeps_certdb;
    g_clear_pointer(&service->store_error, g_free);
}

const UvServiceConfig *uv_service_config(const UvService *service)
{
    return &service->config;
}

const char *uv_service_refusal_text(const UvService *service, const UvRefusal *refusal)
{
    return refusal->text == not_taken && service->store_error ? service->store_error
                                                              : refusal->text;
}

const UvPhase *uv_service_phase(const UvService *service)
{
    return &service->phase;
}

UvPolicy *uv_service_policy(UvService *service)
{
    return service->policy;
}

const UvVarset *uv_service_variables(const UvService *service)
{
    return service->variables;
}

size_t uv_service_limit_bytes(const UvService *service)
{
    const size_t size = service->config.size_bytes;

    return service->store ? MIN(size, service->store->capacity_bytes) : size;
}

void uv_service_apply(UvService *service, const UvChange *change)
{
    if (uv_change_count(change) == 0)
        return;
    uv_change_apply(change, service->variables);
    if (service->observer)
        service->observer(service, change, service->observer_data);
}

EfiStatus uv_service_commit(UvService *service, const UvChange *change, UvRefusal *refusal)
{
    g_autoptr(GError) error = NULL;

    if (service->store && uv_change_touches_nv(change)) {
        const bool durable = service->store->ops->apply(service->store, change, &error);
        g_free(service->store_error);
        service->store_error = durable ? NULL : g_strdup(error ? error->message : "failed");
        if (!durable) {
            const EfiStatus status = error ? uv_store_error_status(error) : EFI_DEVICE_ERROR;
            return uv_refuse(refusal, status, "2.2", not_taken);
        }
    }
    uv_service_apply(service, change);
    return EFI_SUCCESS;
}

/* ---- the set as a whole ---- */

/* An entry that did not change keeps the time we know, if its own is not known. */
static UvVariable *loaded_variable(const UvVarset *have, const UvVariable *loaded)
{
    const UvVariable *old = uv_varset_lookup(have, &loaded->guid, loaded->name);
    UvVariable *variable = uv_variable_new(loaded);

    if (old && loaded->mtime_ns == 0 && uv_variable_same(old, loaded))
        variable->mtime_ns = old->mtime_ns;
    return variable;
}

/* Non-volatile variables only, the last one of each name, in order. */
static UvVarset *loaded_set(const UvVarset *have, const GPtrArray *variables)
{
    UvVarset *set = uv_varset_new();

    for (guint i = 0; i < variables->len; i++) {
        const UvVariable *loaded = g_ptr_array_index(variables, i);
        if (!uv_variable_is_nv(loaded))
            continue;
        g_autoptr(UvVariable) variable = loaded_variable(have, loaded);
        uv_varset_put(set, variable);
    }
    return set;
}

/* What makes `have`'s non-volatile part that of `want`. */
static UvChange *difference(const UvVarset *have, const UvVarset *want)
{
    UvChange *change = uv_change_new(have);

    for (const UvVariable *v = uv_varset_first(have); v; v = uv_varset_next(have, v)) {
        if (uv_variable_is_nv(v) && !uv_varset_lookup(want, &v->guid, v->name))
            uv_change_remove(change, &v->guid, v->name);
    }
    for (const UvVariable *v = uv_varset_first(want); v; v = uv_varset_next(want, v))
        uv_change_put(change, v);
    return change;
}

/* The set takes over `want`, its order and times included, and the derived variables follow. */
static void take_over(UvService *service, const UvVarset *want)
{
    g_autoptr(UvChange) change = difference(service->variables, want);

    uv_modes_derive(change, &service->config);
    uv_change_apply(change, service->variables);
    for (const UvVariable *v = uv_varset_first(want); v; v = uv_varset_next(want, v)) {
        const UvVariable *now = uv_varset_lookup(service->variables, &v->guid, v->name);
        if (now && uv_variable_is_nv(now)) /* not one whose name a derived variable took */
            uv_varset_put(service->variables, v);
    }
    if (uv_change_count(change) > 0 && service->observer)
        service->observer(service, change, service->observer_data);
}

void uv_service_load(UvService *service, GPtrArray *variables)
{
    /* A JSON store that a converter made of an image may have signers in certdb. */
    g_autoptr(GPtrArray) fitting =
        uv_signers_convert(variables, true, service->config.keeps_certdb);
    g_autoptr(UvVarset) want = loaded_set(service->variables, fitting);

    take_over(service, want);
}

bool uv_service_may_hold(const UvService *service, const GPtrArray *variables, GError **error)
{
    const size_t limit = uv_service_limit_bytes(service);
    size_t used = 0;

    for (guint i = 0; i < variables->len; i++)
        used += uv_variable_record_bytes(g_ptr_array_index(variables, i));
    if (used <= limit || used <= uv_varset_used_bytes(service->variables, true))
        return true;
    return uv_fail(error, UV_STORE_ERROR, UV_STORE_ERROR_NO_SPACE,
                   "%zu bytes of variables, and the storage has %zu", used, limit);
}

bool uv_service_replace(UvService *service, GPtrArray *variables, GError **error)
{
    g_autoptr(GPtrArray) fitting =
        uv_signers_convert(variables, true, service->config.keeps_certdb);
    g_autoptr(UvVarset) want = loaded_set(service->variables, fitting);

    if (!uv_service_may_hold(service, fitting, error))
        return false;
    if (service->store && !service->store->ops->replace(service->store, want, error))
        return false;
    take_over(service, want);
    return true;
}

bool uv_service_touch(UvService *service, const UvGuid *guid, const UvName *name, int64_t mtime_ns,
                      GError **error)
{
    const UvVariable *variable = uv_varset_touch(service->variables, guid, name, mtime_ns);

    if (!variable)
        return uv_fail(error, G_FILE_ERROR, G_FILE_ERROR_NOENT, "no such variable");
    if (service->store && uv_variable_is_nv(variable))
        service->store->ops->touch(service->store, variable);
    return true;
}
