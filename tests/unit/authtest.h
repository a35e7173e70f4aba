/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the tests of authenticated variables share: four keys, and writes through the service. */

#include "fixture.h"
#include "signing.h"

#define KEYS (NV | BS | RT | AT)
#define GLOBAL uv_guid_global_variable
#define IMAGE uv_guid_image_security

/* `stranger` has kek's name. */
extern Signer *auth_pk, *auth_kek, *auth_db, *auth_stranger;
extern GBytes *auth_nothing, *auth_hashes;

void auth_make_keys(void);
void auth_free_keys(void);

UvService *auth_service(UvServiceConfig config);
EfiStatus auth_try(UvService *service, UvDoor door, UvGuid guid, const char *name_text,
                   uint32_t attributes, GBytes *data, UvRefusal *ret_refusal);
/* ... and a refusal has its rule. */
EfiStatus auth_set_door(UvService *service, UvDoor door, UvGuid guid, const char *name_text,
                        uint32_t attributes, GBytes *data);
/* Takes ownership of `data`. */
EfiStatus auth_set(UvService *service, UvGuid guid, const char *name, uint32_t attributes,
                   GBytes *data);
EfiStatus auth_set_byte(UvService *service, UvGuid guid, const char *name, uint32_t attributes,
                        uint8_t value);
/* Signs and sets. */
EfiStatus auth_write(UvService *service, const Signer *signer, UvGuid guid, const char *name,
                     uint32_t attributes, unsigned second, GBytes *content);
GBytes *auth_get(UvService *service, UvGuid guid, const char *name_text);
/* -1: not there. */
int auth_get_byte(UvService *service, UvGuid guid, const char *name);
bool auth_has(UvService *service, UvGuid guid, const char *name, GBytes *content);
void auth_check_modes(UvService *service, int setup, int secure_boot, int enable);
/* PK, KEK and db with one key each. */
void auth_enrol(UvService *service);
UvService *auth_enrolled(UvServiceConfig config);
