/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The variables behind boot/, read. */

#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "device-path.h"
#include "hex.h"
#include "view-boot.h"

/* Of BootOrder; there are no more numbers. */
#define ORDER_MAX 65536u
#define BROKEN_SHOWN 256u /* bytes: all of them are in vars/ */

bool uv_boot_number_parse(const char *text, size_t size, unsigned *ret_number)
{
    unsigned number = 0;

    if (size != 4)
        return false;
    for (size_t i = 0; i < 4; i++) {
        if (!g_ascii_isdigit(text[i]) && (text[i] < 'A' || text[i] > 'F'))
            return false;
        number = number << 4 | (unsigned)g_ascii_xdigit_value(text[i]);
    }
    *ret_number = number;
    return true;
}

static const UvVariable *lookup(const UvService *service, const char *ascii)
{
    g_autoptr(UvName) name = uv_name_new_utf8(ascii, NULL);

    return uv_varset_lookup(uv_service_variables(service), &uv_guid_global_variable, name);
}

static int compare(const void *a, const void *b)
{
    return *(const uint16_t *)a - *(const uint16_t *)b;
}

static bool is_boot_option(const UvVariable *variable, unsigned *ret_number)
{
    if (!uv_guid_equal(&variable->guid, &uv_guid_global_variable) ||
        uv_name_units(variable->name) != 8)
        return false;
    g_autofree char *name = uv_name_to_utf8(variable->name);
    return g_str_has_prefix(name, "Boot") &&
           uv_boot_number_parse(name + 4, strlen(name + 4), ret_number);
}

GArray *uv_boot_numbers(const UvService *service)
{
    const UvVarset *set = uv_service_variables(service);
    GArray *numbers = g_array_new(FALSE, FALSE, sizeof(uint16_t));
    unsigned number;

    for (const UvVariable *v = uv_varset_first(set); v; v = uv_varset_next(set, v)) {
        if (is_boot_option(v, &number)) {
            const uint16_t short_number = (uint16_t)number;
            g_array_append_val(numbers, short_number);
        }
    }
    g_array_sort(numbers, compare);
    return numbers;
}

GArray *uv_boot_order(const UvService *service)
{
    GArray *order = g_array_new(FALSE, FALSE, sizeof(uint16_t));
    const UvVariable *variable = lookup(service, "BootOrder");
    UvReader reader = uv_reader_of(variable ? variable->data : NULL);

    while (reader.left >= 2 && order->len < ORDER_MAX) {
        const uint16_t number = uv_read_u16(&reader);
        g_array_append_val(order, number);
    }
    return order;
}

bool uv_boot_read_number(const UvService *service, const char *name, size_t bytes,
                         uint64_t *ret_value)
{
    const UvVariable *variable = lookup(service, name);
    UvReader reader = uv_reader_of(variable ? variable->data : NULL);
    const uint64_t value = bytes == 2 ? uv_read_u16(&reader) : uv_read_u64(&reader);

    if (!uv_reader_done(&reader))
        return false;
    *ret_value = value;
    return true;
}

static const UvVariable *lookup_option(const UvService *service, unsigned number)
{
    g_autofree char *name = g_strdup_printf("Boot%04X", number);

    return lookup(service, name);
}

bool uv_boot_has(const UvService *service, unsigned number)
{
    return lookup_option(service, number);
}

bool uv_boot_option(const UvService *service, unsigned number, UvLoadOption *ret_option)
{
    const UvVariable *variable = lookup_option(service, number);

    *ret_option = (UvLoadOption){0};
    return variable && uv_load_option_read(variable->data, ret_option);
}

/* `max` bytes of it. */
static char *hex_of(const uint8_t *bytes, size_t size, size_t max)
{
    GString *hex = g_string_new("hex:");

    uv_hex_append(hex, bytes, MIN(size, max));
    if (size > max)
        g_string_append(hex, "...");
    return g_string_free(hex, FALSE);
}

static char *path_text(GBytes *path, size_t max)
{
    gsize size;
    const uint8_t *bytes = g_bytes_get_data(path, &size);
    char *text = uv_device_path_format(bytes, size);

    return text ? text : hex_of(bytes, size, max);
}

char *uv_boot_path_text(GBytes *path)
{
    return path_text(path, SIZE_MAX);
}

char *uv_boot_path_brief(GBytes *path)
{
    return path_text(path, BROKEN_SHOWN);
}

char *uv_boot_broken_text(const UvService *service, unsigned number)
{
    const UvVariable *variable = lookup_option(service, number);
    gsize size = 0;
    const uint8_t *bytes = variable ? g_bytes_get_data(variable->data, &size) : NULL;

    return hex_of(bytes, size, BROKEN_SHOWN);
}
