/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A session: one guest from power-on to power-off. Phases, policies, the MOR lock and the volatile
 * variables are its state; a RESET starts it over.
 *
 * The bytes of a session: u32 magic, u32 version, u32 length of the rest, then u8 phases (bits), u8
 * MOR (bits), 8 bytes MOR key, u32 length and policies, u32 number of volatile variables, and they
 * (variable-codec.h; in version 1 in the layout of then).
 */

#include "modes.h"
#include "service-private.h"
#include "signers.h"
#include "uv-limits.h"
#include "variable-codec.h"

#include <string.h>

#define SESSION_MAGIC 0x53565655u /* "UVVS" */
#define SESSION_VERSION 2u

enum {
    PHASE_END_OF_DXE = 1,
    PHASE_READY_TO_BOOT = 2,
    PHASE_EXIT_BOOT_SERVICES = 4,
    PHASE_BITS = 7,
    MOR_LOCKED = 1,
    MOR_HAS_KEY = 2,
    MOR_ABSENT = 4,
    MOR_BITS = 7,
};

/* ---- beginning and end ---- */

/* Every volatile variable away, in the change. */
static UvChange *without_volatile(const UvVarset *set)
{
    UvChange *change = uv_change_new(set);

    for (const UvVariable *v = uv_varset_first(set); v && !uv_variable_is_nv(v);
         v = uv_varset_next(set, v))
        uv_change_remove(change, &v->guid, v->name);
    return change;
}

static void clear_session(UvService *service)
{
    service->phase = (UvPhase){0};
    service->mor = (UvMor){0};
    uv_policy_clear(service->policy);
}

static void drop_volatile(UvService *service)
{
    g_autoptr(UvChange) change = without_volatile(service->variables);

    uv_modes_derive(change, &service->config);
    uv_service_apply(service, change);
}

EfiStatus uv_service_cold_start(UvService *service)
{
    g_autoptr(UvChange) change = without_volatile(service->variables);
    UvRefusal refusal;

    clear_session(service);
    service->session = true;
    uv_modes_boot(change, &service->config);
    uv_modes_derive(change, &service->config);
    const EfiStatus status = uv_service_commit(service, change, &refusal);
    if (status != EFI_SUCCESS)
        drop_volatile(service);
    return status;
}

void uv_service_end_session(UvService *service)
{
    clear_session(service);
    service->session = false;
    drop_volatile(service);
}

void uv_service_fail_closed(UvService *service)
{
    clear_session(service);
    service->session = true;
    service->phase = (UvPhase){true, true, true};
    service->mor = (UvMor){.locked = true};
    (void)uv_policy_lock(service->policy);
    drop_volatile(service);
}

/* ---- events ---- */

EfiStatus uv_service_end_of_dxe(UvService *service)
{
    g_autoptr(UvChange) change = uv_change_new(service->variables);
    UvRefusal refusal;

    if (service->phase.end_of_dxe)
        return EFI_SUCCESS;
    uv_mor_end_of_dxe(&service->mor, change);
    (void)uv_policy_lock(service->policy); /* the firmware may have locked it before */
    service->phase.end_of_dxe = true;
    /* As in edk2: a store that does not take the lock variable is no reason to stop the boot. */
    (void)!uv_service_commit(service, change, &refusal);
    return EFI_SUCCESS;
}

EfiStatus uv_service_ready_to_boot(UvService *service)
{
    if (service->phase.exit_boot_services)
        return EFI_UNSUPPORTED;
    const EfiStatus status = uv_service_end_of_dxe(service);
    service->phase.ready_to_boot = true;
    return status;
}

EfiStatus uv_service_exit_boot_services(UvService *service)
{
    const EfiStatus status = uv_service_end_of_dxe(service);

    service->phase.exit_boot_services = true;
    return status;
}

EfiStatus uv_service_lock_variable(UvService *service, const UvGuid *guid, const UvName *name)
{
    g_autoptr(UvChange) change = uv_change_new(service->variables);

    return uv_policy_lock_variable(service->policy, change, guid, name);
}

/* ---- writing ---- */

static uint8_t phase_bits(const UvPhase *phase)
{
    return (phase->end_of_dxe ? PHASE_END_OF_DXE : 0) |
           (phase->ready_to_boot ? PHASE_READY_TO_BOOT : 0) |
           (phase->exit_boot_services ? PHASE_EXIT_BOOT_SERVICES : 0);
}

/* A length that is known only behind what it counts. */
static size_t begin_length(UvWriter *writer)
{
    uv_write_u32(writer, 0);
    return uv_writer_size(writer);
}

static void end_length(UvWriter *writer, size_t begin)
{
    uv_write_u32_at(writer, begin - 4, uv_writer_size(writer) - begin);
}

static void write_volatile(const UvVarset *set, UvWriter *writer)
{
    const size_t count_at = uv_writer_size(writer);
    uint32_t count = 0;

    uv_write_u32(writer, 0);
    for (const UvVariable *v = uv_varset_first(set); v && !uv_variable_is_nv(v);
         v = uv_varset_next(set, v)) {
        uv_variable_write(writer, v);
        count++;
    }
    uv_write_u32_at(writer, count_at, count);
}

void uv_service_write_session(const UvService *service, UvWriter *writer)
{
    const UvMor *mor = &service->mor;

    uv_write_u32(writer, SESSION_MAGIC);
    uv_write_u32(writer, SESSION_VERSION);
    const size_t rest = begin_length(writer);
    uv_write_u8(writer, phase_bits(&service->phase));
    uv_write_u8(writer, (mor->locked ? MOR_LOCKED : 0) | (mor->has_key ? MOR_HAS_KEY : 0) |
                            (mor->absent ? MOR_ABSENT : 0));
    uv_write_bytes(writer, mor->key, sizeof(mor->key));
    const size_t policies = begin_length(writer);
    uv_policy_write(service->policy, writer);
    end_length(writer, policies);
    write_volatile(service->variables, writer);
    end_length(writer, rest);
}

/* ---- reading ---- */

static UvReader read_sized(UvReader *reader)
{
    return uv_read_sub(reader, uv_read_u32(reader));
}

/* NULL: malformed, or not a volatile variable. */
static UvVariable *read_variable(UvReader *reader, UvVariableLayout layout)
{
    g_autoptr(UvVariable) variable = uv_variable_read(reader, layout);

    if (!variable || uv_variable_is_nv(variable))
        return NULL;
    const size_t name_bytes = uv_name_size_bytes(variable->name);
    if (name_bytes > UV_VARIABLE_MAX ||
        g_bytes_get_size(variable->data) > UV_VARIABLE_MAX - name_bytes)
        return NULL;
    return g_steal_pointer(&variable);
}

/* NULL: malformed, or a name twice, or one that the store has. */
static UvVarset *read_volatile(const UvVarset *have, UvReader *reader, UvVariableLayout layout)
{
    g_autoptr(UvVarset) set = uv_varset_new();

    for (uint32_t n = uv_read_u32(reader); n > 0; n--) {
        g_autoptr(UvVariable) variable = read_variable(reader, layout);
        if (!variable)
            return NULL;
        const UvVariable *stored = uv_varset_lookup(have, &variable->guid, variable->name);
        if ((stored && uv_variable_is_nv(stored)) ||
            uv_varset_lookup(set, &variable->guid, variable->name))
            return NULL;
        uv_varset_put(set, variable);
    }
    return reader->failed ? NULL : g_steal_pointer(&set);
}

static bool read_phase_and_mor(UvReader *reader, UvPhase *ret_phase, UvMor *ret_mor)
{
    const uint8_t phase = uv_read_u8(reader);
    const uint8_t mor = uv_read_u8(reader);
    const uint8_t *key = uv_read_bytes(reader, UV_MOR_KEY_BYTES);

    if (!key || (phase & ~PHASE_BITS) || (mor & ~MOR_BITS))
        return false;
    *ret_phase = (UvPhase){
        .end_of_dxe = phase & PHASE_END_OF_DXE,
        .ready_to_boot = phase & PHASE_READY_TO_BOOT,
        .exit_boot_services = phase & PHASE_EXIT_BOOT_SERVICES,
    };
    *ret_mor = (UvMor){
        .locked = mor & MOR_LOCKED,
        .has_key = mor & MOR_HAS_KEY,
        .absent = mor & MOR_ABSENT,
    };
    memcpy(ret_mor->key, key, UV_MOR_KEY_BYTES);
    return true;
}

/* As this service keeps signers: the session may be of one with another kind of store. */
static UvVarset *with_signers(const UvService *service, const UvVarset *set)
{
    g_autoptr(GPtrArray) variables = g_ptr_array_new(), fitting = NULL;
    UvVarset *with = uv_varset_new();

    for (const UvVariable *v = uv_varset_first(set); v; v = uv_varset_next(set, v))
        g_ptr_array_add(variables, (gpointer)v);
    fitting = uv_signers_convert(variables, false, service->config.keeps_certdb);
    for (guint i = 0; i < fitting->len; i++)
        uv_varset_put(with, fitting->pdata[i]);
    return with;
}

/* The volatile part becomes that of `want`, in its order; the derived ones are made anew. */
static void take_volatile(UvService *service, const UvVarset *want)
{
    g_autoptr(UvChange) change = without_volatile(service->variables);

    for (const UvVariable *v = uv_varset_first(want); v; v = uv_varset_next(want, v))
        uv_change_put(change, v);
    uv_modes_resume(change, &service->config, &service->phase);
    uv_service_apply(service, change);
    for (const UvVariable *v = uv_varset_first(want); v; v = uv_varset_next(want, v)) {
        const UvVariable *now = uv_varset_lookup(service->variables, &v->guid, v->name);
        if (now) /* with the time it had, if it is still the same */
            uv_varset_put(service->variables, uv_variable_same(now, v) ? v : now);
    }
}

bool uv_service_read_session(UvService *service, UvReader *reader)
{
    const uint32_t magic = uv_read_u32(reader), version = uv_read_u32(reader);
    UvReader rest = read_sized(reader);
    g_autoptr(UvPolicy) policy = uv_policy_new();
    UvPhase phase;
    UvMor mor;

    if (reader->failed || magic != SESSION_MAGIC || version < 1 || version > SESSION_VERSION)
        return false;
    if (!read_phase_and_mor(&rest, &phase, &mor))
        return false;
    UvReader policies = read_sized(&rest);
    if (!uv_policy_read(policy, &policies) || !uv_reader_done(&policies))
        return false;
    g_autoptr(UvVarset) set =
        read_volatile(service->variables, &rest,
                      version == 1 ? UV_VARIABLE_LAYOUT_SESSION_1 : UV_VARIABLE_LAYOUT);
    if (!set || !uv_reader_done(&rest) ||
        uv_varset_used_bytes(set, false) > service->config.size_bytes)
        return false;
    g_autoptr(UvVarset) fitting = with_signers(service, set);

    service->session = true;
    service->phase = phase;
    service->mor = mor;
    uv_policy_free(service->policy);
    service->policy = g_steal_pointer(&policy);
    take_volatile(service, fitting);
    return true;
}
