/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Between json-gate.c (what may follow what) and json-token.c (strings, numbers, words). */

#include "json-gate.h"

#include <stdint.h>

typedef enum {
    AT_START,
    AT_FIRST_NAME, /* or '}' */
    AT_NAME,
    AT_COLON,
    AT_FIRST_ELEMENT, /* or ']' */
    AT_VALUE,
    AT_COMMA, /* or the end of what is open */
    AT_END,
} JsonPlace;

typedef enum {
    IN_NOTHING,
    IN_STRING,
    IN_UTF8,   /* bytes of a character are to come */
    IN_ESCAPE, /* behind a backslash */
    IN_HEX,    /* of \uXXXX */
    IN_PAIR,   /* between the halves of a surrogate pair: "\u" is to come */
    IN_NUMBER,
    IN_WORD, /* true, false, null */
} JsonToken;

typedef enum {
    TAKEN,
    ENDED,
    ENDED_BEFORE,
    REFUSED
} JsonStep; /* of a token, by a byte */

typedef enum {
    NUMBER_MINUS,
    NUMBER_ZERO,
    NUMBER_WHOLE,
    NUMBER_POINT,
    NUMBER_FRACTION,
    NUMBER_E,
    NUMBER_SIGN,
    NUMBER_EXPONENT,
} JsonNumber;

typedef struct {
    bool is_object;
    size_t index;        /* of an object, in the order in which they begin */
    unsigned n_members;  /* so far */
    unsigned names_from; /* in `names` */
} JsonLevel;

struct UvJsonGate {
    const UvJsonRules *rules;
    size_t offset; /* of the byte at hand */
    JsonPlace place;
    JsonLevel levels[UV_JSON_DEPTH_MAX];
    unsigned depth;
    size_t n_values, n_objects;
    GByteArray *names; /* of the open objects: a length byte and the name, each */
    bool refused;
    UvJsonFault fault;

    JsonToken token;
    size_t token_from, escape_from;
    bool is_name;  /* the string is a member's name */
    bool has_name; /* `name` is what the byte at hand belongs to */
    char name[UV_JSON_NAME_MAX + 1];
    size_t name_size;
    unsigned wanted;         /* bytes of a character or digits of an escape that are to come */
    uint8_t lowest, highest; /* that the next byte of a character may be */
    uint32_t unit, high;     /* UTF-16: being read, and the first half of a pair (0: none) */
    JsonNumber number;
    unsigned n_digits; /* of the part of the number at hand */
    const char *word;  /* what of it is to come */

    size_t find_object; /* for uv_json_find() */
    const char *find_key;
    size_t found;
};

/* Sets the fault; returns false. */
bool json_refuse(UvJsonGate *gate, size_t offset, const char *expected);
/* The token that begins with this byte; REFUSED if none does. */
JsonStep json_token_begin(UvJsonGate *gate, uint8_t byte);
/* The next byte of the token. ENDED_BEFORE: it belongs to what follows. */
JsonStep json_token_take(UvJsonGate *gate, uint8_t byte);
