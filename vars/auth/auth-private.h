/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "auth-header.h"
#include "pkcs7.h"

/* What all authenticated writes share while one is judged. */
typedef struct {
    UvChange *change;
    const UvGate *gate;
    UvRefusal *refusal;
    const UvVariable *old; /* NULL: not there */
    UvAuthHeader header;
    UvPkcs7 *pkcs7; /* owned; made by auth_open_signature() */
} AuthWrite;

/* Time stamp and the form of the signature (edk2's VerifyTimeBasedPayload up to the signers). */
EfiStatus auth_open_signature(AuthWrite *write);
/* The signature fits what is written. */
EfiStatus auth_check_signature(const AuthWrite *write);
/* Writes `content` with the time stamp of the header. */
EfiStatus auth_store(const AuthWrite *write, const UvPayload *content, GBytes *digest);

/*
 * Private authenticated variables: the signer of the first write signs every later one (edk2's
 * AuthVarTypePriv). `write->header` is parsed.
 */
EfiStatus auth_process_private(AuthWrite *write);
