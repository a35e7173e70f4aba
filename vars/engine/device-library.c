/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <efivar/efivar.h>
#include <glib.h>
#include <string.h>

#include "device-node.h"

/* libefivar reads what a kind of node should have, whatever length the node has: zeros are there.
 */
#define PADDING_BYTES 512u
#define NODE_TEXT_MAX (256u * 1024)

/*
 * Nodes that libefivar is given, and the bytes that it reads of each. A shorter one it would read
 * beyond, and for names in UTF-16 (files, USB WWIDs) it computes lengths that no node need have.
 */
static bool is_for_library(const uint8_t *node, size_t size)
{
    static const struct {
        uint8_t type, subtype, bytes;
    } known[] = {
        {1, 1, 6},   {1, 2, 5},  {1, 3, 24},  {1, 4, 20},  {1, 5, 8},   {1, 6, 13},  {2, 1, 12},
        {2, 2, 19},  {2, 3, 8},  {3, 1, 8},   {3, 2, 8},   {3, 3, 24},  {3, 4, 16},  {3, 5, 6},
        {3, 6, 8},   {3, 9, 48}, {3, 10, 20}, {3, 11, 37}, {3, 12, 27}, {3, 13, 60}, {3, 14, 19},
        {3, 15, 11}, {3, 17, 5}, {3, 18, 10}, {3, 19, 18}, {3, 20, 6},  {3, 21, 24}, {3, 22, 24},
        {3, 23, 16}, {3, 24, 4}, {4, 1, 42},  {4, 2, 24},  {4, 3, 20},  {4, 5, 20},  {4, 6, 20},
        {4, 7, 20},  {4, 8, 24}, {4, 9, 38},  {5, 1, 8},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(known); i++) {
        if (node[0] == known[i].type && node[1] == known[i].subtype)
            return size >= known[i].bytes;
    }
    return false;
}

char *uv_device_library_format(const uint8_t *node, size_t size)
{
    static const uint8_t end[] = {DEVICE_NODE_END, DEVICE_NODE_END_ENTIRE, 4, 0};
    g_autofree uint8_t *path = g_malloc0(size + sizeof(end) + PADDING_BYTES);
    g_autofree char *text = NULL;

    if (!is_for_library(node, size))
        return NULL;
    memcpy(path, node, size);
    memcpy(path + size, end, sizeof(end));
    const ssize_t need =
        efidp_format_device_path(NULL, 0, (const_efidp)path, (ssize_t)(size + sizeof(end)));
    if (need <= 0 || (size_t)need > NODE_TEXT_MAX)
        return NULL;
    text = g_malloc0((size_t)need + 1);
    /* Of char or of unsigned char, as the version of libefivar has it. */
    if (efidp_format_device_path((void *)text, (size_t)need + 1, (const_efidp)path,
                                 (ssize_t)(size + sizeof(end))) < 0)
        return NULL;
    return g_steal_pointer(&text);
}
