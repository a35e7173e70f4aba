/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Device paths to text; the way back of single nodes is in device-node.c. */

#include "device-path.h"

#include <string.h>

#include "bytes.h"
#include "device-node.h"
#include "hex.h"

/* Firmware's have a dozen. More would cost an engine what a guest likes. */
#define NODES_MAX 64

/* The next node, header included. false: not well formed. */
static bool next_node(UvReader *reader, const uint8_t **ret_node, size_t *ret_size)
{
    const uint8_t *node = reader->at;

    uv_read_u16(reader);
    const size_t size = uv_read_u16(reader);
    if (reader->failed || size < DEVICE_NODE_HEADER_BYTES ||
        !uv_read_bytes(reader, size - DEVICE_NODE_HEADER_BYTES))
        return false;
    *ret_node = node;
    *ret_size = size;
    return true;
}

static bool is_end(const uint8_t *node)
{
    return node[0] == DEVICE_NODE_END;
}

static bool is_end_entire(const uint8_t *node)
{
    return is_end(node) && node[1] == DEVICE_NODE_END_ENTIRE;
}

/* One printable line that does not end its node before its end. */
static bool is_presentable(const char *text)
{
    int depth = 0;

    if (!*text || !g_utf8_validate(text, -1, NULL))
        return false;
    for (const char *at = text; *at; at = g_utf8_next_char(at)) {
        const gunichar c = g_utf8_get_char(at);

        if (!g_unichar_isprint(c))
            return false;
        depth += c == '(' ? 1 : c == ')' ? -1 : 0;
        if (depth < 0 || (depth == 0 && (c == '/' || c == ',')))
            return false;
    }
    return depth == 0;
}

static char *format_as_hex(const uint8_t *node, size_t size)
{
    GString *text = g_string_new(NULL);

    g_string_printf(text, "Path(%u,%u", node[0], node[1]);
    if (size > DEVICE_NODE_HEADER_BYTES)
        g_string_append_c(text, ',');
    uv_hex_append(text, node + DEVICE_NODE_HEADER_BYTES, size - DEVICE_NODE_HEADER_BYTES);
    g_string_append_c(text, ')');
    return g_string_free(text, FALSE);
}

static char *format_file(const uint8_t *node, size_t size)
{
    g_autofree char *file = uv_device_node_file(node, size);
    g_autofree char *text = file ? g_strdup_printf("File(%s)", file) : NULL;

    return text && is_presentable(text) ? g_steal_pointer(&text) : NULL;
}

static char *format_with_library(const uint8_t *node, size_t size)
{
    g_autofree char *text = uv_device_library_format(node, size);

    return text && is_presentable(text) ? g_steal_pointer(&text) : NULL;
}

static char *format_node(const uint8_t *node, size_t size)
{
    char *text = format_with_library(node, size);

    if (!text && node[0] == DEVICE_NODE_MEDIA && node[1] == DEVICE_NODE_FILE)
        text = format_file(node, size);
    return text ? text : format_as_hex(node, size);
}

char *uv_device_path_format(const uint8_t *bytes, size_t size)
{
    g_autoptr(GString) text = g_string_new(NULL);
    bool first = true;
    const uint8_t *node;
    size_t node_size;
    UvReader reader = uv_reader(bytes, size);

    for (int n = 0;; n++) {
        if (n > NODES_MAX || !next_node(&reader, &node, &node_size))
            return NULL;
        if (is_end_entire(node))
            return g_string_free(g_steal_pointer(&text), FALSE);
        if (is_end(node)) {
            g_string_append_c(text, ',');
            first = true;
            continue;
        }
        g_autofree char *part = format_node(node, node_size);
        g_string_append_printf(text, "%s%s", first ? "" : "/", part);
        first = false;
    }
}

char *uv_device_path_file(const uint8_t *bytes, size_t size)
{
    char *file = NULL;
    const uint8_t *node;
    size_t node_size;
    UvReader reader = uv_reader(bytes, size);

    while (next_node(&reader, &node, &node_size) && !is_end_entire(node)) {
        if (node[0] != DEVICE_NODE_MEDIA || node[1] != DEVICE_NODE_FILE)
            continue;
        g_free(file);
        file = uv_device_node_file(node, node_size);
    }
    return file;
}

/* The bytes that have this text in the old path. */
static bool copy_old_node(GBytes *old, const char *text, UvWriter *writer)
{
    UvReader reader = uv_reader_of(old);
    const uint8_t *node;
    size_t node_size;

    for (int n = 0; n < NODES_MAX && next_node(&reader, &node, &node_size) && !is_end_entire(node);
         n++) {
        g_autofree char *known = is_end(node) ? NULL : format_node(node, node_size);

        if (g_strcmp0(known, text) == 0) {
            uv_write_bytes(writer, node, node_size);
            return true;
        }
    }
    return false;
}

static void write_end(UvWriter *writer, uint8_t subtype)
{
    uv_write_u8(writer, DEVICE_NODE_END);
    uv_write_u8(writer, subtype);
    uv_write_u16(writer, DEVICE_NODE_HEADER_BYTES);
}

/* The end of the node that begins at `at`: a '/', a ',' or the text's end outside of brackets. */
static const char *node_end(const char *at)
{
    for (int depth = 0; *at; at++) {
        depth += *at == '(' ? 1 : *at == ')' ? -1 : 0;
        if (depth <= 0 && (*at == '/' || *at == ','))
            break;
    }
    return at;
}

GBytes *uv_device_path_parse(const char *text, GBytes *old, size_t max_bytes, GError **error)
{
    g_auto(UvWriter) writer = uv_writer(max_bytes);

    for (const char *at = text; *at;) {
        const char *end = node_end(at);
        g_autofree char *node = g_strndup(at, (gsize)(end - at));

        if (*node && !copy_old_node(old, node, &writer) &&
            !uv_device_node_parse(node, &writer, error))
            return NULL;
        if (*end == ',')
            write_end(&writer, DEVICE_NODE_END_INSTANCE);
        at = *end ? end + 1 : end;
    }
    write_end(&writer, DEVICE_NODE_END_ENTIRE);
    GBytes *path = uv_writer_steal(&writer);
    if (!path)
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
                    "the device path would have more than %zu bytes", max_bytes);
    return path;
}
