/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Strings, numbers and words, byte by byte: RFC 8259, sections 3, 6 and 7. */

#include "json-gate-private.h"

#include <string.h>

/* What an int64 always holds, and what never becomes an infinity. */
#define DIGITS_MAX 18
#define EXPONENT_DIGITS_MAX 2

static JsonStep refuse(UvJsonGate *gate, size_t offset, const char *expected)
{
    json_refuse(gate, offset, expected);
    return REFUSED;
}

/* A byte of the decoded name; what is no name is not kept. */
static JsonStep keep(UvJsonGate *gate, uint8_t byte)
{
    if (!gate->is_name)
        return TAKEN;
    if (gate->name_size == UV_JSON_NAME_MAX)
        return refuse(gate, gate->token_from, "a shorter name");
    gate->name[gate->name_size++] = byte;
    return TAKEN;
}

static JsonStep keep_character(UvJsonGate *gate, uint32_t character)
{
    char bytes[6];
    const int n = g_unichar_to_utf8(character, bytes);

    gate->token = IN_STRING;
    for (int i = 0; i < n; i++) {
        if (keep(gate, bytes[i]) == REFUSED)
            return REFUSED;
    }
    return TAKEN;
}

/* The first byte of a character of several (RFC 3629, section 4). */
static JsonStep begin_character(UvJsonGate *gate, uint8_t byte)
{
    if (byte < 0xc2 || byte > 0xf4)
        return refuse(gate, gate->offset, "valid UTF-8");
    gate->wanted = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
    gate->lowest = byte == 0xe0 ? 0xa0 : byte == 0xf0 ? 0x90 : 0x80;
    gate->highest = byte == 0xed ? 0x9f : byte == 0xf4 ? 0x8f : 0xbf;
    gate->token = IN_UTF8;
    return keep(gate, byte);
}

static JsonStep take_character(UvJsonGate *gate, uint8_t byte)
{
    if (byte < gate->lowest || byte > gate->highest)
        return refuse(gate, gate->offset, "valid UTF-8");
    gate->lowest = 0x80;
    gate->highest = 0xbf;
    if (--gate->wanted == 0)
        gate->token = IN_STRING;
    return keep(gate, byte);
}

static JsonStep take_string(UvJsonGate *gate, uint8_t byte)
{
    if (byte == '"')
        return ENDED;
    if (byte < 0x20)
        return refuse(gate, gate->offset, "no control character inside a string");
    if (byte >= 0x80)
        return begin_character(gate, byte);
    if (byte != '\\')
        return keep(gate, byte);
    gate->escape_from = gate->offset;
    gate->token = IN_ESCAPE;
    return TAKEN;
}

static JsonStep take_escape(UvJsonGate *gate, uint8_t byte)
{
    static const char escapes[] = "\"\\/bfnrt", characters[] = "\"\\/\b\f\n\r\t";
    const char *at = memchr(escapes, byte, sizeof(escapes) - 1);

    if (byte == 'u') {
        gate->unit = 0;
        gate->wanted = 4;
        gate->token = IN_HEX;
        return TAKEN;
    }
    if (!at)
        return refuse(gate, gate->escape_from, "an escape that JSON knows");
    return keep_character(gate, characters[at - escapes]);
}

/* A unit of UTF-16 is complete. */
static JsonStep take_unit(UvJsonGate *gate)
{
    const uint32_t unit = gate->unit, high = gate->high;
    const bool is_low = unit >= 0xdc00 && unit <= 0xdfff;

    if (unit == 0)
        return refuse(gate, gate->escape_from, "a character other than NUL");
    if (is_low != (high != 0))
        return refuse(gate, gate->escape_from, "a whole surrogate pair");
    gate->high = 0;
    if (is_low)
        return keep_character(gate, 0x10000 + ((high - 0xd800) << 10) + (unit - 0xdc00));
    if (unit < 0xd800 || unit > 0xdfff)
        return keep_character(gate, unit);
    gate->high = unit;
    gate->wanted = 2;
    gate->token = IN_PAIR;
    return TAKEN;
}

static JsonStep take_hex(UvJsonGate *gate, uint8_t byte)
{
    const int digit = g_ascii_xdigit_value(byte);

    if (digit < 0)
        return refuse(gate, gate->escape_from, "four hex digits after \\u");
    gate->unit = gate->unit << 4 | digit;
    return --gate->wanted > 0 ? TAKEN : take_unit(gate);
}

static JsonStep take_pair(UvJsonGate *gate, uint8_t byte)
{
    if (byte != (gate->wanted == 2 ? '\\' : 'u'))
        return refuse(gate, gate->escape_from, "a whole surrogate pair");
    if (--gate->wanted == 0) {
        gate->unit = 0;
        gate->wanted = 4;
        gate->token = IN_HEX;
    }
    return TAKEN;
}

static JsonStep take_digit(UvJsonGate *gate, JsonNumber part)
{
    const unsigned most = part == NUMBER_EXPONENT ? EXPONENT_DIGITS_MAX : DIGITS_MAX;

    if (gate->number != part)
        gate->n_digits = 0;
    gate->number = part;
    if (++gate->n_digits > most)
        return refuse(gate, gate->token_from, "a shorter number");
    return TAKEN;
}

/* No text of ours has others than whole numbers, and json-glib can't write them all: "1e+20.0". */
static JsonStep end_number(UvJsonGate *gate)
{
    const bool is_whole = gate->number == NUMBER_ZERO || gate->number == NUMBER_WHOLE;

    if (!is_whole && !gate->rules->lenient)
        return refuse(gate, gate->token_from, "a whole number");
    return ENDED_BEFORE;
}

static JsonStep take_first_digit(UvJsonGate *gate, uint8_t byte)
{
    if (byte != '0')
        return take_digit(gate, NUMBER_WHOLE);
    gate->number = NUMBER_ZERO;
    return TAKEN;
}

/* `byte` is no digit. */
static JsonStep take_sign(UvJsonGate *gate, uint8_t byte)
{
    const JsonNumber at = gate->number;

    if (byte == '.' && (at == NUMBER_ZERO || at == NUMBER_WHOLE))
        gate->number = NUMBER_POINT;
    else if ((byte | 0x20) == 'e' &&
             (at == NUMBER_ZERO || at == NUMBER_WHOLE || at == NUMBER_FRACTION))
        gate->number = NUMBER_E;
    else if ((byte == '+' || byte == '-') && at == NUMBER_E)
        gate->number = NUMBER_SIGN;
    else if (at == NUMBER_ZERO || at == NUMBER_WHOLE || at == NUMBER_FRACTION ||
             at == NUMBER_EXPONENT)
        return end_number(gate);
    else
        return refuse(gate, gate->offset, "a digit");
    return TAKEN;
}

static JsonStep take_number(UvJsonGate *gate, uint8_t byte)
{
    if (!g_ascii_isdigit(byte))
        return take_sign(gate, byte);
    switch (gate->number) {
    case NUMBER_MINUS:
        return take_first_digit(gate, byte);
    case NUMBER_ZERO:
        return refuse(gate, gate->token_from, "a number without leading zeros");
    case NUMBER_WHOLE:
        return take_digit(gate, NUMBER_WHOLE);
    case NUMBER_POINT:
    case NUMBER_FRACTION:
        return take_digit(gate, NUMBER_FRACTION);
    default:
        return take_digit(gate, NUMBER_EXPONENT);
    }
}

static JsonStep take_word(UvJsonGate *gate, uint8_t byte)
{
    if (byte != (uint8_t)*gate->word)
        return refuse(gate, gate->token_from, "a JSON value");
    return *++gate->word ? TAKEN : ENDED;
}

JsonStep json_token_take(UvJsonGate *gate, uint8_t byte)
{
    switch (gate->token) {
    case IN_STRING:
        return take_string(gate, byte);
    case IN_UTF8:
        return take_character(gate, byte);
    case IN_ESCAPE:
        return take_escape(gate, byte);
    case IN_HEX:
        return take_hex(gate, byte);
    case IN_PAIR:
        return take_pair(gate, byte);
    case IN_NUMBER:
        return take_number(gate, byte);
    default:
        return take_word(gate, byte);
    }
}

static JsonStep begin_word(UvJsonGate *gate, uint8_t byte)
{
    gate->word = byte == 't' ? "rue" : byte == 'f' ? "alse" : byte == 'n' ? "ull" : NULL;
    gate->token = IN_WORD;
    return gate->word ? TAKEN : refuse(gate, gate->offset, "a JSON value");
}

JsonStep json_token_begin(UvJsonGate *gate, uint8_t byte)
{
    gate->token_from = gate->offset;
    if (byte == '"') {
        gate->token = IN_STRING;
        return TAKEN;
    }
    if (byte != '-' && !g_ascii_isdigit(byte))
        return begin_word(gate, byte);
    gate->token = IN_NUMBER;
    gate->number = NUMBER_MINUS;
    return byte == '-' ? TAKEN : take_first_digit(gate, byte);
}
