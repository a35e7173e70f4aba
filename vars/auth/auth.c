/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Which signature a request needs, by the variable's name:
 *
 *   PK                 the PK that is there; in setup mode the one that it brings
 *   KEK                PK
 *   db, dbx, dbt, dbr  PK, or any certificate of KEK
 *   others with a time stamp   the signer of the first write (auth-private.h)
 *
 * Setup mode (no PK) waives the signature for all of the keys but PK; CustomMode with physical
 * presence waives it for PK too, and so does the owner's door. Never waived: the header,
 * attributes, the form of the lists.
 */

#include "auth.h"

#include "auth-private.h"
#include "bytes.h"
#include "modes.h"
#include "siglist.h"
#include "update.h"
#include "uv-limits.h"

#include <errno.h>

#define NEEDED_ATTRIBUTES                                                                          \
    (EFI_VARIABLE_NON_VOLATILE | EFI_VARIABLE_TIME_BASED_AUTHENTICATED_WRITE_ACCESS)

static void auth_write_clear(AuthWrite *write)
{
    g_clear_pointer(&write->pkcs7, uv_pkcs7_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(AuthWrite, auth_write_clear)

/* Before ExitBootServices a person sits at the machine: its firmware's screens, or the host's
 * administrator. */
static bool is_present(const UvGate *gate)
{
    return !gate->phase->exit_boot_services && !gate->config->disable_custom_mode;
}

static bool is_append(const UvSetRequest *request)
{
    return request->attributes & EFI_VARIABLE_APPEND_WRITE;
}

/* NULL if it is no PKCS#7 certificate, or none we take. Its signers still have to be judged. */
static UvPkcs7 *parse_signature(const UvAuthHeader *header)
{
    if (header->type != EFI_WIN_CERT_TYPE_EFI_GUID ||
        !uv_guid_equal(&header->cert_type, &uv_guid_cert_type_pkcs7))
        return NULL;
    return uv_pkcs7_parse(header->signature.bytes, header->signature.size);
}

EfiStatus auth_open_signature(AuthWrite *write)
{
    const UvAuthHeader *header = &write->header;

    if (!uv_auth_time_is_clean(header->time))
        return uv_refuse(write->refusal, EFI_SECURITY_VIOLATION, "2.6.1",
                         "fields of the time stamp are not zero");
    if (write->old && !is_append(write->gate->request) &&
        uv_auth_time_not_after(header->time, write->old->time))
        return uv_refuse(write->refusal, EFI_SECURITY_VIOLATION, "2.6.2",
                         "the time stamp is not newer than the variable's");
    if (!write->pkcs7)
        write->pkcs7 = parse_signature(header);
    if (!write->pkcs7)
        return uv_refuse(write->refusal, EFI_SECURITY_VIOLATION, "2.6.3",
                         "no signature, or one of a kind that is not taken");
    return EFI_SUCCESS;
}

/* Name without NUL, GUID, attributes as asked for, time, content: signed by all signers. */
EfiStatus auth_check_signature(const AuthWrite *write)
{
    const UvSetRequest *request = write->gate->request;
    const UvAuthHeader *header = &write->header;
    g_auto(UvWriter) writer = uv_writer(2 * UV_MM_BUFFER_MAX + UV_VARIABLE_MAX);

    uv_write_bytes(&writer, uv_name_utf16le(request->name), 2 * uv_name_units(request->name));
    uv_write_bytes(&writer, request->guid.bytes, sizeof(request->guid.bytes));
    uv_write_u32(&writer, request->attributes);
    uv_write_bytes(&writer, header->time, EFI_TIME_BYTES);
    uv_write_bytes(&writer, header->content.bytes, header->content.size);
    if (writer.failed || !uv_pkcs7_signs(write->pkcs7, writer.bytes, writer.size))
        return uv_refuse(write->refusal, EFI_SECURITY_VIOLATION, "2.6.6",
                         "the signature does not fit what is written");
    return EFI_SUCCESS;
}

EfiStatus auth_store(const AuthWrite *write, const UvPayload *content, GBytes *digest)
{
    const UvSetRequest *request = write->gate->request;
    const UvUpdate update = {
        .guid = request->guid,
        .name = request->name,
        .attributes = request->attributes,
        .data = content->bytes,
        .data_bytes = content->size,
        .time = write->header.time,
        .digest = digest,
        .mtime_ns = request->mtime_ns,
    };

    return uv_update_variable(write->change, write->gate, &update, write->refusal);
}

/* ---- PK, KEK, db, dbx, dbt, dbr ---- */

typedef enum {
    KEY_NONE,
    KEY_PK,
    KEY_KEK,
    KEY_DB,
} Key;

static Key key_of(const UvSetRequest *request)
{
    static const char *const databases[] = {"db", "dbx", "dbt", "dbr"};

    if (uv_guid_equal(&request->guid, &uv_guid_global_variable)) {
        if (uv_name_is(request->name, "PK"))
            return KEY_PK;
        return uv_name_is(request->name, "KEK") ? KEY_KEK : KEY_NONE;
    }
    if (!uv_guid_equal(&request->guid, &uv_guid_image_security))
        return KEY_NONE;
    for (size_t i = 0; i < G_N_ELEMENTS(databases); i++) {
        if (uv_name_is(request->name, databases[i]))
            return KEY_DB;
    }
    return KEY_NONE;
}

static const UvVariable *global_variable(const UvChange *change, const char *ascii)
{
    g_autoptr(UvName) name = uv_name_new_utf8(ascii, NULL);

    return uv_change_lookup(change, &uv_guid_global_variable, name);
}

/* The form of the lists, then the write; an append adds only what is not there. */
static EfiStatus store_lists(const AuthWrite *write, Key key)
{
    const UvSetRequest *request = write->gate->request;
    UvPayload content = write->header.content;
    g_autoptr(GBytes) new_ones = NULL;

    if (!uv_siglist_check(content.bytes, content.size, key == KEY_PK))
        return uv_refuse(write->refusal, EFI_INVALID_PARAMETER, "2.5.6",
                         "the signature lists are malformed");
    if (is_append(request) && write->old) {
        gsize old_size;
        const uint8_t *old = g_bytes_get_data(write->old->data, &old_size);

        new_ones = uv_siglist_new_ones(old, old_size, content.bytes, content.size);
        if (!new_ones)
            return uv_refuse(write->refusal, EFI_INVALID_PARAMETER, "2.5.8",
                             "the signature lists that are there are malformed");
        content.bytes = g_bytes_get_data(new_ones, &content.size);
        if (key == KEY_PK && old_size > 0 && content.size > 0)
            return uv_refuse(write->refusal, EFI_INVALID_PARAMETER, "2.5.6",
                             "PK would have a second signature");
    }
    return auth_store(write, &content, NULL);
}

static EfiStatus check_and_store(const AuthWrite *write, Key key)
{
    const EfiStatus status = auth_check_signature(write);

    return status == EFI_SUCCESS ? store_lists(write, key) : status;
}

static bool first_signature(const uint8_t *bytes, size_t size, UvPayload *ret_data)
{
    UvSiglist list;
    UvReader reader = uv_reader(bytes, size);

    if (!uv_siglist_next(&reader, &list) || list.count == 0)
        return false;
    *ret_data = (UvPayload){uv_siglist_data(&list, 0), list.signature_bytes - 16};
    return true;
}

static bool is_signed_by_pk(const AuthWrite *write)
{
    const UvVariable *pk = global_variable(write->change, "PK");
    UvPayload certificate;
    gsize size;

    if (!pk)
        return false;
    const uint8_t *lists = g_bytes_get_data(pk->data, &size);
    return first_signature(lists, size, &certificate) &&
           uv_pkcs7_signer_is(write->pkcs7, certificate.bytes, certificate.size) &&
           uv_pkcs7_chains_to(write->pkcs7, certificate.bytes, certificate.size);
}

static bool is_signed_by_kek(const AuthWrite *write, const UvVariable *kek)
{
    UvSiglist list;
    UvReader reader = uv_reader_of(kek->data);

    while (uv_siglist_next(&reader, &list)) {
        for (size_t i = 0; uv_siglist_is_x509(&list) && i < list.count; i++) {
            if (uv_pkcs7_chains_to(write->pkcs7, uv_siglist_data(&list, i),
                                   list.signature_bytes - 16))
                return true;
        }
    }
    return false;
}

static EfiStatus process_with_pk(AuthWrite *write, Key key)
{
    const EfiStatus status = auth_open_signature(write);

    if (status != EFI_SUCCESS)
        return status;
    if (!is_signed_by_pk(write))
        return uv_refuse(write->refusal, EFI_SECURITY_VIOLATION, "2.5.4", "not signed by PK");
    return check_and_store(write, key);
}

static EfiStatus process_with_kek(AuthWrite *write)
{
    const UvVariable *kek = global_variable(write->change, "KEK");
    const EfiStatus status = auth_open_signature(write);

    if (status != EFI_SUCCESS)
        return status;
    if (!kek)
        return uv_refuse(write->refusal, EFI_SECURITY_VIOLATION, "2.5.5",
                         "not signed by PK, and there is no KEK");
    if (!is_signed_by_kek(write, kek))
        return uv_refuse(write->refusal, EFI_SECURITY_VIOLATION, "2.5.5",
                         "signed neither by PK nor by a KEK");
    return check_and_store(write, KEY_DB);
}

/* PK in setup mode: signed by the key it brings. */
static EfiStatus process_self_signed(AuthWrite *write)
{
    const UvPayload *content = &write->header.content;
    const EfiStatus status = auth_open_signature(write);
    UvPayload certificate;

    if (status != EFI_SUCCESS)
        return status;
    if (!first_signature(content->bytes, content->size, &certificate) ||
        !uv_pkcs7_chains_to(write->pkcs7, certificate.bytes, certificate.size))
        return uv_refuse(write->refusal, EFI_SECURITY_VIOLATION, "2.5.3", "PK is not self-signed");
    return check_and_store(write, KEY_PK);
}

static EfiStatus process_key(AuthWrite *write, Key key)
{
    const bool setup = uv_modes_is_setup(write->change);
    const bool owner = write->gate->request->door == UV_DOOR_OWNER;
    const bool custom = owner || (uv_modes_is_custom(write->change) && is_present(write->gate));

    /* `rm` has no attributes: EACCES, as for a user without permission: with a signature it could
     * be done. */
    if (write->gate->request->attributes == 0 && write->old)
        return uv_refuse_errno(write->refusal, EFI_INVALID_PARAMETER, EACCES, "2.5.1",
                               "a key is deleted by a signed write of nothing");
    if ((write->gate->request->attributes & NEEDED_ATTRIBUTES) != NEEDED_ATTRIBUTES)
        return uv_refuse(write->refusal, EFI_INVALID_PARAMETER, "2.5.1",
                         "keys are non-volatile and time-based authenticated");
    if (custom || (setup && key != KEY_PK)) {
        const EfiStatus status = store_lists(write, key);
        if (status == EFI_SUCCESS && (!setup || key == KEY_PK))
            uv_modes_vendor_keys_changed(write->change);
        return status;
    }
    if (setup)
        return process_self_signed(write);
    const EfiStatus status = process_with_pk(write, key);
    return status != EFI_SUCCESS && key == KEY_DB ? process_with_kek(write) : status;
}

EfiStatus uv_auth_check_owner(const UvGate *gate, UvRefusal *refusal)
{
    if (gate->request->door != UV_DOOR_OWNER)
        return EFI_SUCCESS;
    if (key_of(gate->request) == KEY_NONE)
        return uv_refuse_errno(refusal, EFI_SECURITY_VIOLATION, EPERM, "1.12",
                               "the owner's act is for keys and signature lists");
    if (gate->session)
        return uv_refuse_errno(refusal, EFI_SECURITY_VIOLATION, EBUSY, "1.12",
                               "the owner changes no keys while a session lives");
    if (gate->config->disable_custom_mode)
        return uv_refuse(refusal, EFI_SECURITY_VIOLATION, "1.12",
                         "custom mode is disabled: keys change by signatures alone");
    return EFI_SUCCESS;
}

/* ---- everything else ---- */

static bool is_switch(const UvSetRequest *request, bool *ret_secure_boot)
{
    *ret_secure_boot = uv_guid_equal(&request->guid, &uv_guid_secure_boot_enable) &&
                       uv_name_is(request->name, "SecureBootEnable");
    return *ret_secure_boot || (uv_guid_equal(&request->guid, &uv_guid_custom_mode) &&
                                uv_name_is(request->name, "CustomMode"));
}

static EfiStatus check_switch(const UvGate *gate, UvRefusal *refusal)
{
    const UvSetRequest *request = gate->request;
    bool secure_boot;

    if (!is_switch(request, &secure_boot))
        return EFI_SUCCESS;
    if (!is_present(gate))
        return uv_refuse(refusal, EFI_SECURITY_VIOLATION, "2.8.10",
                         "needs physical presence: before ExitBootServices, and custom mode not "
                         "disabled");
    if (secure_boot && gate->config->force_secure_boot &&
        (request->attributes == 0 || request->data_bytes != 1 || request->data[0] != 1))
        return uv_refuse(refusal, EFI_WRITE_PROTECTED, "2.8.4", "Secure Boot is forced");
    return EFI_SUCCESS;
}

static EfiStatus process_plain(UvChange *change, const UvGate *gate, const UvVariable *old,
                               UvRefusal *refusal)
{
    const uint32_t authenticated = EFI_VARIABLE_TIME_BASED_AUTHENTICATED_WRITE_ACCESS |
                                   EFI_VARIABLE_AUTHENTICATED_WRITE_ACCESS;
    const UvSetRequest *request = gate->request;

    if (old && (old->attributes & authenticated))
        return uv_refuse_errno(refusal, EFI_WRITE_PROTECTED, EACCES, "2.7.4",
                               "an authenticated variable, written without authentication");
    const UvUpdate update = {
        .guid = request->guid,
        .name = request->name,
        .attributes = request->attributes,
        .data = request->data,
        .data_bytes = request->data_bytes,
        .mtime_ns = request->mtime_ns,
    };
    return uv_update_variable(change, gate, &update, refusal);
}

EfiStatus uv_auth_process(UvChange *change, const UvGate *gate, UvRefusal *refusal)
{
    const UvSetRequest *request = gate->request;
    const bool timed = request->attributes & EFI_VARIABLE_TIME_BASED_AUTHENTICATED_WRITE_ACCESS;
    const Key key = key_of(request);
    g_auto(AuthWrite) write = {
        .change = change,
        .gate = gate,
        .refusal = refusal,
        .old = uv_change_lookup(change, &request->guid, request->name),
    };

    if (timed && !uv_auth_header_parse(request->data, request->data_bytes, &write.header))
        return uv_refuse(refusal, EFI_SECURITY_VIOLATION, "2.1.8", "no authentication header");
    if (key != KEY_NONE)
        return process_key(&write, key);
    const EfiStatus status = check_switch(gate, refusal);
    if (status != EFI_SUCCESS)
        return status;
    return timed ? auth_process_private(&write) : process_plain(change, gate, write.old, refusal);
}
