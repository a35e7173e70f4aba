/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * One variable as bytes (little endian), the same in a journal, in a session and in a state blob:
 *
 *   GUID | u32 attributes | u32 name size | name (UTF-16LE, no NUL) | u32 data size | data |
 *   EFI_TIME | u16 digest size | digest | i64 mtime ns | u64 monotonic count | u32 public key index
 *
 * Version 0.1 had other layouts of the same in its journals and sessions; they are read, never
 * written. What is read comes from outside: it is checked whatever it is in.
 */

#include "bytes.h"
#include "variable.h"

typedef enum {
    UV_VARIABLE_LAYOUT, /* as above */
    UV_VARIABLE_LAYOUT_JOURNAL_1,
    UV_VARIABLE_LAYOUT_SESSION_1,
} UvVariableLayout;

/* The least that one takes in UV_VARIABLE_LAYOUT. */
#define UV_VARIABLE_LAYOUT_BYTES_MIN 68u

void uv_variable_write(UvWriter *writer, const UvVariable *variable);
/*
 * NULL: cut short, without a name, with attributes that no stored variable has, or with a digest
 * that is longer than UV_SIGNER_DIGEST_MAX. Whether it is non-volatile is the caller's to ask.
 */
UvVariable *uv_variable_read(UvReader *reader, UvVariableLayout layout);
