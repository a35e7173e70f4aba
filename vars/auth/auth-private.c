/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "auth-private.h"

#include "certdb.h"

static bool is_nv(const AuthWrite *write)
{
    return write->gate->request->attributes & EFI_VARIABLE_NON_VOLATILE;
}

static bool is_append(const AuthWrite *write)
{
    return write->gate->request->attributes & EFI_VARIABLE_APPEND_WRITE;
}

static bool keeps_certdb(const AuthWrite *write)
{
    return write->gate->config->keeps_certdb;
}

/* The signer of the variable that is there; false: not known. */
static bool kept_identity(const AuthWrite *write, UvPayload *ret_identity)
{
    const UvVariable *old = write->old;

    if (keeps_certdb(write))
        return uv_certdb_find(write->change, is_nv(write), &old->guid, old->name, ret_identity);
    if (!old->digest)
        return false;
    ret_identity->bytes = g_bytes_get_data(old->digest, &ret_identity->size);
    return true;
}

/* `ret_digest` is what to keep in JSON stores: as it is, or QEMU's spelling in the place of edk2's.
 */
static EfiStatus check_signer(const AuthWrite *write, GBytes **ret_digest, UvIdentity *ret_spelling)
{
    UvPayload kept;

    if (!kept_identity(write, &kept))
        return uv_refuse(write->refusal, EFI_SECURITY_VIOLATION, "2.7.3",
                         "nothing tells who signed the variable");
    const UvIdentity identity = uv_pkcs7_identity_is(write->pkcs7, kept.bytes, kept.size);
    if (identity == UV_IDENTITY_OTHER)
        return uv_refuse(write->refusal, EFI_SECURITY_VIOLATION, "2.7.3",
                         "another signer than the variable's");
    *ret_spelling = identity;
    if (!keeps_certdb(write))
        *ret_digest = identity == UV_IDENTITY_QEMU ? g_bytes_ref(write->old->digest)
                                                   : uv_pkcs7_identity(write->pkcs7);
    return EFI_SUCCESS;
}

static EfiStatus create(AuthWrite *write)
{
    const UvPayload *content = &write->header.content;
    g_autoptr(GBytes) identity = NULL;

    if (content->size == 0)
        return auth_store(write, content, NULL);
    identity = keeps_certdb(write) ? uv_pkcs7_identity_edk2(write->pkcs7)
                                   : uv_pkcs7_identity(write->pkcs7);
    if (!identity)
        return uv_refuse(write->refusal, EFI_SECURITY_VIOLATION, "2.7.2",
                         "the signer's certificates tell no identity");
    if (!keeps_certdb(write))
        return auth_store(write, content, identity);
    const EfiStatus status =
        uv_certdb_insert(write->change, write->gate, is_nv(write), identity, write->refusal);
    return status == EFI_SUCCESS ? auth_store(write, content, NULL) : status;
}

/* An identity that came from a JSON store gets edk2's spelling, so that edk2 knows the signer too.
 * Nothing depends on it: a certdb without room for that stays as it is. */
static void respell(AuthWrite *write)
{
    g_autoptr(GBytes) identity = uv_pkcs7_identity_edk2(write->pkcs7);
    UvRefusal ignored;

    if (identity)
        (void)!uv_certdb_insert(write->change, write->gate, is_nv(write), identity, &ignored);
}

/* certdb after an update. */
static EfiStatus follow(AuthWrite *write, UvIdentity spelling)
{
    if (write->header.content.size == 0 && !is_append(write))
        return uv_certdb_remove(write->change, write->gate, is_nv(write), write->refusal);
    if (spelling == UV_IDENTITY_QEMU)
        respell(write);
    return EFI_SUCCESS;
}

static EfiStatus update(AuthWrite *write)
{
    const UvPayload *content = &write->header.content;
    g_autoptr(GBytes) digest = NULL;
    UvIdentity spelling = UV_IDENTITY_OTHER;

    EfiStatus status = check_signer(write, &digest, &spelling);
    if (status == EFI_SUCCESS)
        status = auth_check_signature(write);
    if (status == EFI_SUCCESS)
        status = auth_store(write, content, digest);
    if (status == EFI_SUCCESS && keeps_certdb(write))
        status = follow(write, spelling);
    return status;
}

EfiStatus auth_process_private(AuthWrite *write)
{
    EfiStatus status = auth_open_signature(write);

    if (status != EFI_SUCCESS)
        return status;
    if (write->old)
        return update(write);
    status = auth_check_signature(write);
    return status == EFI_SUCCESS ? create(write) : status;
}
