/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The variable service: the one gate for every change, of guest and host.
 *
 * Model: a set of variables (varset.h), the boot phase, the policies of this boot, and a store. A
 * request is checked in edk2's order (Variable.c: VariableServiceSetVariable, AuthService.c), its
 * consequences are collected in a UvChange, the non-volatile part is made durable by the store, and
 * only then the set changes, observers are told and the status goes back. Any refusal leaves all as
 * it was.
 *
 *   arguments -> MOR -> variable checks -> policy -> authentication -> update rules -> derived mode
 *   variables -> store -> set -> observers
 *
 * Phases only go forward; a reset or a new session brings them back. Without a session (no guest)
 * all phases are clear.
 */

#include "gate.h"
#include "store.h"

typedef struct UvService UvService;

/* Told after a change is durable and applied, before the reply leaves. */
typedef void (*UvObserver)(UvService *service, const UvChange *change, void *data);

/* The store may be NULL: everything in memory (tests, a fresh INCOMING engine). It is borrowed. */
UvService *uv_service_new(const UvServiceConfig *config, UvStore *store);
void uv_service_free(UvService *service);
void uv_service_set_observer(UvService *service, UvObserver observer, void *data);
/* Logs refused changes, and (EFI_SUCCESS) those let through that varcheck=off only tells of; rate
 * limiting is the caller's. */
typedef void (*UvRefusalLog)(const UvSetRequest *request, EfiStatus status,
                             const UvRefusal *refusal, void *data);
void uv_service_set_refusal_log(UvService *service, UvRefusalLog log, void *data);
/* Changes store (ACQUIRE, LOAD, RELEASE); NULL detaches it. Variables stay. */
void uv_service_set_store(UvService *service, UvStore *store);

const UvServiceConfig *uv_service_config(const UvService *service);
/* Of the change refused last: the store's own words where it was the store. */
const char *uv_service_refusal_text(const UvService *service, const UvRefusal *refusal);
const UvPhase *uv_service_phase(const UvService *service);
UvPolicy *uv_service_policy(UvService *service);
const UvVarset *uv_service_variables(const UvService *service);

/*
 * Takes `variables` (UvVariable) as the non-volatile set without any check but uniqueness, as after
 * opening a store or when another program changed it; observers see the difference; nothing is
 * written.
 */
void uv_service_load(UvService *service, GPtrArray *variables);
/*
 * Whether these non-volatile variables (UvVariable) fit into the storage, or are no more than there
 * is now: a store that was larger when it was read may stay so, but not grow.
 * UV_STORE_ERROR_NO_SPACE otherwise.
 */
bool uv_service_may_hold(const UvService *service, const GPtrArray *variables, GError **error);
/* Replaces the whole non-volatile set, which the storage may hold, and makes that durable (LOAD,
 * writing store.json). It may be of a store of another kind: see signers.h. */
bool uv_service_replace(UvService *service, GPtrArray *variables, GError **error);

/* A guest's cold start or RESET: volatile state goes, then edk2's boot initialisation (may write).
 */
EfiStatus uv_service_cold_start(UvService *service);
/* The session ends: volatile state goes, phases and policies are clear; writes nothing. */
void uv_service_end_session(UvService *service);
/* A client resumed a session of which nothing is left: all phases passed, policy locked, until
 * RESET. */
void uv_service_fail_closed(UvService *service);

/* Events; READY_TO_BOOT and EXIT_BOOT_SERVICES imply EndOfDxe. Statuses as edk2's handler gives. */
EfiStatus uv_service_end_of_dxe(UvService *service);
EfiStatus uv_service_ready_to_boot(UvService *service);
EfiStatus uv_service_exit_boot_services(UvService *service);
/* Function 8, LOCK_VARIABLE; that it comes before EndOfDxe is the caller's check. */
EfiStatus uv_service_lock_variable(UvService *service, const UvGuid *guid, const UvName *name);

/* `ret_variable` is a new reference. At runtime the guest door does not see boot-service variables.
 */
EfiStatus uv_service_get(const UvService *service, UvDoor door, const UvGuid *guid,
                         const UvName *name, UvVariable **ret_variable) G_GNUC_WARN_UNUSED_RESULT;
/* `name` NULL: the first. EFI_INVALID_PARAMETER: no such variable; EFI_NOT_FOUND: that was the
 * last. */
EfiStatus uv_service_next(const UvService *service, UvDoor door, const UvGuid *guid,
                          const UvName *name, UvVariable **ret_variable) G_GNUC_WARN_UNUSED_RESULT;
EfiStatus uv_service_set(UvService *service, const UvSetRequest *request,
                         UvRefusal *ret_refusal /* nullable */) G_GNUC_WARN_UNUSED_RESULT;
/*
 * Several as one: each is judged as the ones before it leave things, and all become durable
 * together or none is. Not for MOR variables. `ret_failed` is the index of the one that was
 * refused.
 */
EfiStatus uv_service_set_all(UvService *service, const UvSetRequest *requests, size_t count,
                             size_t *ret_failed, UvRefusal *ret_refusal) G_GNUC_WARN_UNUSED_RESULT;
/*
 * Non-volatile and volatile variables are two classes of `size` bytes each, as in edk2, where they
 * are two stores; the figures are of the class that `attributes` name. A record takes 60 bytes, its
 * name with NUL and its data, rounded up to 4.
 */
typedef struct {
    uint64_t maximum_storage_bytes;
    uint64_t remaining_storage_bytes;
    uint64_t maximum_variable_bytes;
} UvQueryInfo;
EfiStatus uv_service_query(const UvService *service, UvDoor door, uint32_t attributes,
                           UvQueryInfo *ret_info) G_GNUC_WARN_UNUSED_RESULT;
/* The same of the non-volatile ones, for the host. */
UvQueryInfo uv_service_usage(const UvService *service);
/* A file time set from outside (utimensat); not a variable change for the guest. */
bool uv_service_touch(UvService *service, const UvGuid *guid, const UvName *name, int64_t mtime_ns,
                      GError **error);

/*
 * What a session is beside the non-volatile set: phases, policies, MOR lock, volatile variables.
 * Reading takes all or nothing. The same bytes are in the session file and in SAVE's blob.
 */
void uv_service_write_session(const UvService *service, UvWriter *writer);
bool uv_service_read_session(UvService *service, UvReader *reader) G_GNUC_WARN_UNUSED_RESULT;

G_DEFINE_AUTOPTR_CLEANUP_FUNC(UvService, uv_service_free)
