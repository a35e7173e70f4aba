/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest.h"

/* What compilers call without being asked. */
void *memcpy(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);

void *memcpy(void *to, const void *from, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        ((volatile uint8_t *)to)[i] = ((const uint8_t *)from)[i];
    return to;
}

void *memset(void *to, int value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        ((volatile uint8_t *)to)[i] = value;
    return to;
}

void print(const char *text)
{
    for (; *text; text++)
        machine_putc(*text);
}

void print_hex(uint64_t value)
{
    int shift = 60;

    while (shift > 0 && !(value >> shift))
        shift -= 4;
    for (; shift >= 0; shift -= 4)
        machine_putc("0123456789abcdef"[value >> shift & 15]);
}

void print_number(uint32_t value)
{
    if (value >= 10)
        print_number(value / 10);
    machine_putc('0' + value % 10);
}

bool parse_hex(const char *text, uint64_t *value)
{
    *value = 0;
    if (!*text)
        return false;
    for (; *text; text++) {
        if (*text >= '0' && *text <= '9')
            *value = *value << 4 | (uint64_t)(*text - '0');
        else if (*text >= 'a' && *text <= 'f')
            *value = *value << 4 | (uint64_t)(*text - 'a' + 10);
        else
            return false;
    }
    return true;
}

bool equal(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}
