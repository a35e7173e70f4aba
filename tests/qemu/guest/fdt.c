/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Finds one node of a flattened device tree, and translates its `reg` through the `ranges` of the
 * bus it is on. Properties come before subnodes, so one pass is enough. The tree is QEMU's:
 * trusted.
 */
#include "guest.h"

#define BEGIN_NODE 1
#define END_NODE 2
#define PROPERTY 3
#define NOP 4
#define DEPTH_MAX 8

typedef struct {
    uint32_t address_cells, size_cells; /* of its children */
    const uint8_t *ranges, *reg;
    uint32_t ranges_bytes;
    bool found;
} Node;

static uint32_t be32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | at[1] << 16 | at[2] << 8 | at[3];
}

static uint64_t cells(const uint8_t *at, uint32_t count)
{
    uint64_t value = 0;

    while (count--) {
        value = value << 32 | be32(at);
        at += 4;
    }
    return value;
}

static void note_property(Node *node, const char *name, const uint8_t *value, uint32_t bytes,
                          const char *wanted)
{
    if (equal(name, "#address-cells")) {
        node->address_cells = be32(value);
    } else if (equal(name, "#size-cells")) {
        node->size_cells = be32(value);
    } else if (equal(name, "ranges")) {
        node->ranges = value;
        node->ranges_bytes = bytes;
    } else if (equal(name, "reg")) {
        node->reg = value;
    } else if (equal(name, "compatible")) {
        node->found = equal((const char *)value, wanted);
    }
}

/* path[depth] is the node, path[depth - 1] its bus, path[depth - 2] where the bus is. */
static uint64_t translate(const Node *path, int depth)
{
    const Node *bus = &path[depth - 1];
    uint64_t address = cells(path[depth].reg, bus->address_cells);
    uint32_t parent_cells, row;

    if (depth < 2 || !bus->ranges_bytes)
        return address;
    parent_cells = path[depth - 2].address_cells;
    row = 4 * (bus->address_cells + parent_cells + bus->size_cells);
    for (uint32_t at = 0; at + row <= bus->ranges_bytes; at += row) {
        const uint8_t *range = bus->ranges + at;
        uint64_t start = cells(range, bus->address_cells);
        uint64_t to = cells(range + 4 * bus->address_cells, parent_cells);
        uint64_t size = cells(range + 4 * (bus->address_cells + parent_cells), bus->size_cells);

        if (address >= start && address - start < size)
            return to + address - start;
    }
    return 0;
}

static const uint8_t *aligned(const uint8_t *at)
{
    return (const uint8_t *)(((uintptr_t)at + 3) & ~(uintptr_t)3);
}

uint64_t fdt_find(const void *tree, const char *wanted)
{
    const uint8_t *start = tree;
    const uint8_t *at = start + be32(start + 8);
    const char *strings = (const char *)start + be32(start + 12);
    Node path[DEPTH_MAX];
    int depth = -1;

    if (be32(start) != 0xd00dfeed)
        return 0;
    for (;;) {
        uint32_t token = be32(at);

        at += 4;
        if (token == BEGIN_NODE && depth + 1 < DEPTH_MAX) {
            while (*at++)
                ;
            at = aligned(at);
            path[++depth] = (Node){.address_cells = 2, .size_cells = 1};
        } else if (token == PROPERTY) {
            uint32_t bytes = be32(at);

            note_property(&path[depth], strings + be32(at + 4), at + 8, bytes, wanted);
            at = aligned(at + 8 + bytes);
        } else if (token == END_NODE) {
            if (path[depth].found && path[depth].reg && depth > 0)
                return translate(path, depth);
            depth--;
        } else if (token != NOP) {
            return 0;
        }
    }
}
