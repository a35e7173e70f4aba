/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The little of DER that goes around GnuTLS: elements of a definite length with a tag of one byte.
 * What an element holds is read by going inside.
 */

#include "bytes.h"

#define DER_INTEGER 0x02
#define DER_BIT_STRING 0x03
#define DER_OID 0x06
#define DER_UTC_TIME 0x17
#define DER_GENERALIZED_TIME 0x18
#define DER_SEQUENCE 0x30
#define DER_SET 0x31
#define DER_CONTEXT_0 0xa0

typedef struct {
    const uint8_t *bytes; /* borrowed; with its header */
    size_t size;
} DerElement;

/* Takes the next element off. false, and nothing is taken: another tag, or it is malformed.
 * `ret_content` may be the reader: then it goes inside. */
bool der_next(UvReader *reader, uint8_t tag, UvReader *ret_content);
/* The same, as a whole. */
bool der_next_whole(UvReader *reader, uint8_t tag, DerElement *ret_element);
