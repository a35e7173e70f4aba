/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What tests of the service share: a service without a store, short requests, all variables as
 * text, and a store that fails on demand. */

#include "service.h"

#define NV EFI_VARIABLE_NON_VOLATILE
#define BS EFI_VARIABLE_BOOTSERVICE_ACCESS
#define RT EFI_VARIABLE_RUNTIME_ACCESS
#define HR EFI_VARIABLE_HARDWARE_ERROR_RECORD
#define AW EFI_VARIABLE_AUTHENTICATED_WRITE_ACCESS
#define AT EFI_VARIABLE_TIME_BASED_AUTHENTICATED_WRITE_ACCESS
#define APPEND EFI_VARIABLE_APPEND_WRITE

/* Nobody's. */
extern const UvGuid fixture_guid;

/* Boot phases by number, so that a table can name one. */
typedef enum {
    AT_POWER_ON,
    AT_END_OF_DXE,
    AT_READY_TO_BOOT,
    AT_RUNTIME,
} FixturePhase;

UvService *fixture_service(UvStore *store); /* 64 KiB, after a cold start */
void fixture_go_to(UvService *service, FixturePhase phase);

/* A refusal tells its rule and its text. */
EfiStatus fixture_request(UvService *service, const UvSetRequest *request);
EfiStatus fixture_set_bytes(UvService *service, UvDoor door, const char *name, uint32_t attributes,
                            const void *data, size_t size);
EfiStatus fixture_set(UvService *service, const char *name, uint32_t attributes, const char *data);
/* "name=data" of fixture_guid's variables in the order of enumeration, blanks between. */
char *fixture_content(const UvService *service);
UvVariable *fixture_get(const UvService *service, const char *name);
UvVariable *fixture_variable(const char *name, uint32_t attributes, const char *data);

/* A store in memory that counts, and fails with `fail_with` (a UvStoreError) when it is not -1. */
typedef struct {
    UvStore store;
    int fail_with;
    guint applied, replaced, touched;
} FixtureStore;

FixtureStore *fixture_store_new(void);
void fixture_store_free(FixtureStore *store);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FixtureStore, fixture_store_free)
