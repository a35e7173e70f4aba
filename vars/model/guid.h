/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* EFI_GUID: 16 bytes as in memory, the first three fields little endian (UEFI 2.11, appendix A). */

#include "bytes.h"

#define UV_GUID_TEXT_BYTES 36

typedef struct {
    uint8_t bytes[16];
} UvGuid;

/* A constant from the notation of the specification's text. */
#define UV_GUID(a, b, c, d0, d1, d2, d3, d4, d5, d6, d7)                                           \
    ((UvGuid){{(a)&0xff, ((a) >> 8) & 0xff, ((a) >> 16) & 0xff, ((a) >> 24) & 0xff, (b)&0xff,      \
               ((b) >> 8) & 0xff, (c)&0xff, ((c) >> 8) & 0xff, d0, d1, d2, d3, d4, d5, d6, d7}})

/* Exactly 36 characters in the canonical form, either case; false (and nothing written) otherwise.
 */
bool uv_guid_parse(const char *text, UvGuid *ret_guid);
/* Lower case, with a NUL. */
void uv_guid_format(const UvGuid *guid, char ret_text[UV_GUID_TEXT_BYTES + 1]);
bool uv_guid_equal(const UvGuid *a, const UvGuid *b);
guint uv_guid_hash(const UvGuid *guid);

UvGuid uv_read_guid(UvReader *reader); /* zeros after a failure */

/* Vendor GUIDs the service knows by name. */
extern const UvGuid uv_guid_global_variable;    /* 8be4df61-… */
extern const UvGuid uv_guid_image_security;     /* d719b2cb-…: db, dbx, dbt, dbr */
extern const UvGuid uv_guid_hardware_error;     /* 414e6bdd-… */
extern const UvGuid uv_guid_secure_boot_enable; /* f0a30bc7-… */
extern const UvGuid uv_guid_custom_mode;        /* c076ec0c-… */
extern const UvGuid uv_guid_vendor_keys_nv;     /* 9073e4e0-… */
extern const UvGuid uv_guid_cert_db;            /* d9bee56e-…: certdb, certdbv */
extern const UvGuid uv_guid_mor_control;        /* e20939be-… */
extern const UvGuid uv_guid_mor_lock;           /* bb983ccf-… */
/* MM messages. */
extern const UvGuid uv_guid_smm_variable_protocol; /* ed32d533-… */
extern const UvGuid uv_guid_var_check_policy;      /* da1b0d11-… */
extern const UvGuid uv_guid_event_end_of_dxe;      /* 02ce967a-… */
extern const UvGuid uv_guid_event_ready_to_boot;   /* 7ce88fb3-… */
extern const UvGuid uv_guid_event_exit_boot;       /* 27abf055-… */
/* WIN_CERTIFICATE_UEFI_GUID.CertType and signature types (siglist.h names the rest). */
extern const UvGuid uv_guid_cert_type_pkcs7; /* 4aafd29d-… */
