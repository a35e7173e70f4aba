/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A machine that is given one byte after the other: where it is (JsonPlace) says what may come
 * next, a token at hand (JsonToken) has its bytes first. RFC 8259, sections 2, 4 and 5.
 */

#include "json-gate-private.h"

#include <string.h>

/* A variable has 7 members, and takes at least 60 of at most 8 MiB. */
const UvJsonRules uv_json_store = {.members_max = 16, .values_max = 1024 * 1024};
const UvJsonRules uv_json_config = {.members_max = 64, .values_max = 256};
const UvJsonRules uv_json_pin = {.members_max = 16, .values_max = 64};
const UvJsonRules uv_json_descriptor = {.members_max = 64, .values_max = 4096, .lenient = true};
const UvJsonRules uv_json_record = {.members_max = 32, .values_max = 64};
const UvJsonRules uv_json_status = {.members_max = 64, .values_max = 16 * 1024};

UvJsonGate *uv_json_gate_new(const UvJsonRules *rules)
{
    UvJsonGate *gate = g_new0(UvJsonGate, 1);

    gate->rules = rules;
    gate->names = g_byte_array_new();
    return gate;
}

void uv_json_gate_free(UvJsonGate *gate)
{
    if (!gate)
        return;
    g_byte_array_unref(gate->names);
    g_free(gate);
}

void uv_json_gate_restart(UvJsonGate *gate)
{
    GByteArray *names = g_byte_array_set_size(gate->names, 0);

    *gate = (UvJsonGate){.rules = gate->rules, .names = names};
}

static void set_fault(const UvJsonGate *gate, UvJsonFault *fault, size_t offset,
                      const char *expected)
{
    *fault = (UvJsonFault){.offset = offset, .expected = expected};
    if (gate->has_name)
        memcpy(fault->key, gate->name, gate->name_size);
}

bool json_refuse(UvJsonGate *gate, size_t offset, const char *expected)
{
    set_fault(gate, &gate->fault, offset, expected);
    gate->refused = true;
    return false;
}

static JsonLevel *innermost(UvJsonGate *gate)
{
    return &gate->levels[gate->depth - 1];
}

static bool count_value(UvJsonGate *gate)
{
    if (gate->n_values++ == gate->rules->values_max)
        return json_refuse(gate, gate->offset, "fewer values");
    return true;
}

/* A member or an element begins at the byte at hand. */
static bool begin_value(UvJsonGate *gate)
{
    if (gate->depth == 0)
        return true;
    if (innermost(gate)->is_object && innermost(gate)->index == gate->find_object &&
        g_strcmp0(gate->find_key, gate->name) == 0)
        gate->found = gate->offset;
    return count_value(gate);
}

static bool open_level(UvJsonGate *gate, bool is_object)
{
    JsonLevel level = {.is_object = is_object, .names_from = gate->names->len};

    if (gate->depth == UV_JSON_DEPTH_MAX)
        return json_refuse(gate, gate->offset, "less nesting");
    if (is_object) {
        level.index = gate->n_objects++;
        if (level.index == gate->find_object)
            gate->found = gate->offset;
    }
    gate->levels[gate->depth++] = level;
    gate->has_name = false;
    gate->place = is_object ? AT_FIRST_NAME : AT_FIRST_ELEMENT;
    return true;
}

static bool close_level(UvJsonGate *gate)
{
    g_byte_array_set_size(gate->names, innermost(gate)->names_from);
    gate->depth--;
    gate->has_name = false;
    gate->place = gate->depth > 0 ? AT_COMMA : AT_END;
    return true;
}

static bool is_repeated(const UvJsonGate *gate, const JsonLevel *level)
{
    const uint8_t *names = gate->names->data;

    for (size_t at = level->names_from; at < gate->names->len; at += 1 + names[at]) {
        if (names[at] == gate->name_size &&
            memcmp(names + at + 1, gate->name, gate->name_size) == 0)
            return true;
    }
    return false;
}

/* The name is complete: it is new in its object, and not one too many. */
static bool end_name(UvJsonGate *gate)
{
    JsonLevel *level = innermost(gate);
    const uint8_t size = gate->name_size;

    gate->name[gate->name_size] = '\0';
    if (level->n_members++ == gate->rules->members_max)
        return json_refuse(gate, gate->token_from, "fewer members in this object");
    if (!gate->rules->lenient) {
        if (is_repeated(gate, level))
            return json_refuse(gate, gate->token_from, "each member once");
        g_byte_array_append(gate->names, &size, 1);
        g_byte_array_append(gate->names, (const guint8 *)gate->name, size);
    }
    gate->place = AT_COLON;
    return true;
}

static bool end_token(UvJsonGate *gate)
{
    const bool was_name = gate->is_name;

    gate->token = IN_NOTHING;
    gate->is_name = false;
    if (was_name)
        return end_name(gate);
    gate->place = AT_COMMA;
    return true;
}

static bool take_name(UvJsonGate *gate, uint8_t byte)
{
    if (byte == '}' && gate->place == AT_FIRST_NAME)
        return close_level(gate);
    gate->has_name = false;
    if (byte != '"')
        return json_refuse(gate, gate->offset,
                           gate->place == AT_NAME ? "a member's name in double quotes"
                                                  : "a member's name in double quotes, or '}'");
    gate->is_name = gate->has_name = true;
    gate->name_size = 0;
    return json_token_begin(gate, byte) != REFUSED;
}

static bool take_value(UvJsonGate *gate, uint8_t byte)
{
    if (byte == ']' && gate->place == AT_FIRST_ELEMENT)
        return close_level(gate);
    if (!begin_value(gate))
        return false;
    if (byte == '{' || byte == '[')
        return open_level(gate, byte == '{');
    return json_token_begin(gate, byte) != REFUSED;
}

static bool take_comma(UvJsonGate *gate, uint8_t byte)
{
    const bool in_object = innermost(gate)->is_object;

    if (byte == (in_object ? '}' : ']'))
        return close_level(gate);
    if (byte != ',')
        return json_refuse(gate, gate->offset, in_object ? "',' or '}'" : "',' or ']'");
    gate->place = in_object ? AT_NAME : AT_VALUE;
    return true;
}

/* A byte outside of tokens that is no white space. */
static bool take_outside(UvJsonGate *gate, uint8_t byte)
{
    switch (gate->place) {
    case AT_START:
        return byte == '{' ? open_level(gate, true)
                           : json_refuse(gate, gate->offset, "an object ('{')");
    case AT_FIRST_NAME:
    case AT_NAME:
        return take_name(gate, byte);
    case AT_COLON:
        gate->place = AT_VALUE;
        return byte == ':' || json_refuse(gate, gate->offset, "':'");
    case AT_FIRST_ELEMENT:
    case AT_VALUE:
        return take_value(gate, byte);
    case AT_COMMA:
        return take_comma(gate, byte);
    default:
        return json_refuse(gate, gate->offset, "nothing after the end of the object");
    }
}

static bool is_space(uint8_t byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

static bool take(UvJsonGate *gate, uint8_t byte)
{
    if (gate->token != IN_NOTHING) {
        switch (json_token_take(gate, byte)) {
        case TAKEN:
            return true;
        case ENDED:
            return end_token(gate);
        case REFUSED:
            return false;
        case ENDED_BEFORE:
            if (!end_token(gate))
                return false;
        }
    }
    return is_space(byte) || take_outside(gate, byte);
}

/* Bytes inside a string, and none of a name, that mean themselves: nearly all that a store is. */
static size_t plain_run(const UvJsonGate *gate, const uint8_t *bytes, size_t size)
{
    size_t n = 0;

    if (gate->token != IN_STRING || gate->is_name)
        return 0;
    while (n < size && bytes[n] >= 0x20 && bytes[n] < 0x80 && bytes[n] != '"' && bytes[n] != '\\')
        n++;
    return n;
}

UvJsonState uv_json_gate_feed(UvJsonGate *gate, const void *bytes, size_t size)
{
    const uint8_t *at = bytes, *end = at + size;

    while (!gate->refused && at < end) {
        const size_t run = plain_run(gate, at, end - at);

        gate->offset += run;
        at += run;
        if (at < end && take(gate, *at)) {
            gate->offset++;
            at++;
        }
    }
    return gate->refused ? UV_JSON_REFUSED : gate->place == AT_END ? UV_JSON_WHOLE : UV_JSON_OPEN;
}

UvJsonFault uv_json_gate_fault(const UvJsonGate *gate)
{
    UvJsonFault fault;

    if (gate->refused)
        return gate->fault;
    if (gate->depth == 0)
        set_fault(gate, &fault, gate->offset, "an object ('{')");
    else if (gate->token >= IN_STRING && gate->token <= IN_PAIR)
        set_fault(gate, &fault, gate->token_from, "the end of this string");
    else
        set_fault(gate, &fault, gate->offset,
                  gate->levels[gate->depth - 1].is_object ? "a '}' (the text ends too early)"
                                                          : "a ']' (the text ends too early)");
    return fault;
}

bool uv_json_check(const UvJsonRules *rules, const char *text, size_t size, UvJsonFault *ret_fault)
{
    g_autoptr(UvJsonGate) gate = uv_json_gate_new(rules);

    if (uv_json_gate_feed(gate, text, size) == UV_JSON_WHOLE)
        return true;
    *ret_fault = uv_json_gate_fault(gate);
    return false;
}

size_t uv_json_find(const char *text, size_t size, size_t object, const char *key)
{
    static const UvJsonRules any = {G_MAXUINT, G_MAXSIZE, true};
    g_autoptr(UvJsonGate) gate = uv_json_gate_new(&any);

    gate->find_object = object;
    gate->find_key = key;
    uv_json_gate_feed(gate, text, size);
    return gate->found;
}

void uv_json_position(const char *text, size_t size, size_t offset, unsigned *ret_line,
                      unsigned *ret_column)
{
    unsigned line = 1, column = 1;

    for (size_t at = 0; at < offset && at < size; at++) {
        if (text[at] == '\n') {
            line++;
            column = 1;
        } else if (((unsigned char)text[at] & 0xc0) != 0x80) {
            column++;
        }
    }
    *ret_line = line;
    *ret_column = column;
}

char *uv_json_fault_text(const char *name, const char *text, size_t size, const UvJsonFault *fault)
{
    g_autofree char *key = g_utf8_make_valid(fault->key, -1);
    unsigned line, column;

    for (char *at = key; *at; at++) {
        if (g_ascii_iscntrl(*at))
            *at = '?';
    }
    uv_json_position(text, size, fault->offset, &line, &column);
    return g_strdup_printf("%s:%u:%u: %s%sexpected %s", name, line, column, key, *key ? ": " : "",
                           fault->expected);
}
