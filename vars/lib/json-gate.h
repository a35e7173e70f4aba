/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The gate that every JSON text passes before json-reader.h or json-glib sees it, whole or in the
 * pieces in which it is written.
 *
 * json-glib calls itself as deep as a text nests, takes comments, single quotes, octal and
 * hexadecimal numbers, cuts a string at an escaped NUL, keeps the last of two members of one name,
 * and keeps members in a table that well chosen names make slow. The gate takes one
 * object as RFC 8259 has it, in UTF-8, and nothing behind it but white space; not too deep, not too
 * many members in one object or values in all, whole numbers that fit, and each name once. It keeps
 * nothing of the text but the names of the objects that are open.
 */

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

/* More than any text of this project nests (descriptors: 4, status: 3). */
#define UV_JSON_DEPTH_MAX 16
/* Bytes of a member's name. */
#define UV_JSON_NAME_MAX 127

/* What a kind of text may hold. */
typedef struct {
    unsigned members_max; /* of one object */
    size_t values_max;    /* members and elements of the whole text */
    bool lenient;         /* fractions and exponents; a name may come again, the last one counts */
} UvJsonRules;

extern const UvJsonRules uv_json_store;      /* store.json */
extern const UvJsonRules uv_json_config;     /* config.json */
extern const UvJsonRules uv_json_pin;        /* STORE.pin */
extern const UvJsonRules uv_json_descriptor; /* firmware.json: others write it */
extern const UvJsonRules uv_json_status;     /* what an engine says of itself */
extern const UvJsonRules uv_json_record;     /* a line of the record */

typedef struct {
    size_t offset;                  /* in bytes, from the beginning */
    const char *expected;           /* static: what should have been there */
    char key[UV_JSON_NAME_MAX + 1]; /* the member that it is about; "" where that is not known */
} UvJsonFault;

typedef enum {
    UV_JSON_OPEN,    /* right so far, and the object has not ended */
    UV_JSON_WHOLE,   /* ended; only white space may follow */
    UV_JSON_REFUSED, /* and stays so */
} UvJsonState;

typedef struct UvJsonGate UvJsonGate;

UvJsonGate *uv_json_gate_new(const UvJsonRules *rules /* for the gate's life */);
void uv_json_gate_free(UvJsonGate *gate);
/* The next bytes; a character or number may be cut anywhere. */
UvJsonState uv_json_gate_feed(UvJsonGate *gate, const void *bytes, size_t size);
/* Of what was refused, else of a text that ends here: what is missing. */
UvJsonFault uv_json_gate_fault(const UvJsonGate *gate);
/* From the first byte again. */
void uv_json_gate_restart(UvJsonGate *gate);

/* A whole text at once; false with `ret_fault`. */
bool uv_json_check(const UvJsonRules *rules, const char *text, size_t size, UvJsonFault *ret_fault);

/*
 * In a text that was taken: where the value of that member begins in the object that is the
 * `object`th to begin, from 0; where that object itself begins if `key` is NULL or not there.
 */
size_t uv_json_find(const char *text, size_t size, size_t object, const char *key);
/* Line and column (in characters) of an offset, both from 1. */
void uv_json_position(const char *text, size_t size, size_t offset, unsigned *ret_line,
                      unsigned *ret_column);
/* "name:line:column: key: expected what", for the caller to free. */
char *uv_json_fault_text(const char *name, const char *text, size_t size, const UvJsonFault *fault);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(UvJsonGate, uv_json_gate_free)
