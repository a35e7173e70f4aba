/* SPDX-License-Identifier: GPL-2.0-or-later */

/* SipHash: J.-P. Aumasson, D. J. Bernstein, "SipHash: a fast short-input PRF", 2012. */

#include "hash.h"

#include <string.h>
#include <sys/random.h>

typedef struct {
    uint64_t v0, v1, v2, v3;
} State;

static uint64_t rotate(uint64_t value, unsigned bits)
{
    return value << bits | value >> (64 - bits);
}

static void rounds(State *s, unsigned count)
{
    while (count-- > 0) {
        s->v0 += s->v1;
        s->v2 += s->v3;
        s->v1 = rotate(s->v1, 13) ^ s->v0;
        s->v3 = rotate(s->v3, 16) ^ s->v2;
        s->v0 = rotate(s->v0, 32);
        s->v2 += s->v1;
        s->v0 += s->v3;
        s->v1 = rotate(s->v1, 17) ^ s->v2;
        s->v3 = rotate(s->v3, 21) ^ s->v0;
        s->v2 = rotate(s->v2, 32);
    }
}

static void take_word(State *s, uint64_t word)
{
    s->v3 ^= word;
    rounds(s, 2);
    s->v0 ^= word;
}

static uint64_t word_at(const uint8_t *bytes, size_t size)
{
    uint64_t word = 0;

    memcpy(&word, bytes, size);
    return GUINT64_FROM_LE(word);
}

uint64_t uv_siphash(const uint8_t *key, const void *bytes, size_t size)
{
    const uint64_t k0 = word_at(key, 8), k1 = word_at(key + 8, 8);
    const uint8_t *at = bytes;
    State s = {k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261,
               k1 ^ 0x7465646279746573};
    uint64_t last = (uint64_t)size << 56;

    for (; size >= 8; at += 8, size -= 8)
        take_word(&s, word_at(at, 8));
    if (size > 0)
        last |= word_at(at, size);
    take_word(&s, last);
    s.v2 ^= 0xff;
    rounds(&s, 4);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

/* Made once; GLib's generator (seeded from the kernel's) where the kernel has none to give. */
static const uint8_t *process_key(void)
{
    static uint8_t key[16];
    static gsize made;

    if (g_once_init_enter(&made)) {
        if (getrandom(key, sizeof(key), 0) != sizeof(key))
            for (size_t i = 0; i < sizeof(key); i++)
                key[i] = g_random_int() & 0xff;
        g_once_init_leave(&made, 1);
    }
    return key;
}

guint uv_hash(const void *bytes, size_t size)
{
    return (guint)uv_siphash(process_key(), bytes, size);
}

guint uv_hash_text(gconstpointer text)
{
    return uv_hash(text, strlen(text));
}
