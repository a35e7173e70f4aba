/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* MM messages for tests, and what comes back. */

#include "mm.h"

#include "bytes.h"

/* Offsets in the communicate buffer. */
#define MM_STATUS 32
#define MM_BODY 40

/* GUID, length and, for the variable protocol, function and status. Finish with mm_call(). */
void mm_begin(UvWriter *message, const UvGuid *guid);
void mm_begin_function(UvWriter *message, uint64_t function);
/* UCS-2 with a NUL; returns its bytes. */
size_t mm_write_name(UvWriter *message, const char *ascii);
/* Body of functions 1 and 3 up to the name, with the sizes given. */
void mm_write_access(UvWriter *message, const UvGuid *guid, uint64_t data_bytes,
                     uint64_t name_bytes, uint32_t attributes);

typedef struct {
    uint32_t device;
    bool unchanged; /* the reply is the request */
    uint64_t status;
    UvReader body; /* behind status, in `bytes` */
    GBytes *bytes;
} MmReply;

/* Sets the header's length to what was written, handles, and empties the message. Asserts that the
 * reply has the request's size. */
MmReply mm_call(UvService *service, UvWriter *message);
/* As it is: no length is set, `size` bytes in an allocation of their own. */
MmReply mm_call_raw(UvService *service, const void *request, size_t size);
void mm_reply_clear(MmReply *reply);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(MmReply, mm_reply_clear)

/* With "abc" ("12345", all three attributes) and "bs" ("b", not for the runtime). */
#define MM_ALL                                                                                     \
    (EFI_VARIABLE_NON_VOLATILE | EFI_VARIABLE_BOOTSERVICE_ACCESS | EFI_VARIABLE_RUNTIME_ACCESS)
UvService *mm_service(void);
/* MM_IGNORED: no status, the message comes back as it was. */
#define MM_IGNORED 1
void mm_assert_status(const MmReply *reply, uint64_t expected);
/* What is read next is this text in UCS-2, and a NUL. */
void mm_assert_ascii(UvReader *reader, const char *expected);

/* A run of bytes for a row. */
#define MM_TAIL(text) text, sizeof(text) - 1
