/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * boot/summary: `next`, `current` and `timeout`, then a line an option, in boot order and then the
 * others: number, '*' where active, description, device path, file; tabs between. Each option once.
 */

#include "device-path.h"
#include "view-boot.h"

static void add_number(GString *text, const UvService *service, const char *label, const char *name,
                       const char *format)
{
    uint64_t value;

    g_string_append_printf(text, "%s:", label);
    if (uv_boot_read_number(service, name, 2, &value)) {
        g_string_append_c(text, ' ');
        g_string_append_printf(text, format, (unsigned)value);
    }
    g_string_append_c(text, '\n');
}

static void add_broken(GString *text, const UvService *service, unsigned number)
{
    g_autofree char *hex = uv_boot_broken_text(service, number);

    g_string_append_printf(text, "-\t(not a load option)\t%s\t\n", hex);
}

static void add_option(GString *text, const UvService *service, unsigned number)
{
    g_auto(UvLoadOption) option = {0};
    gsize size;

    g_string_append_printf(text, "%04X\t", number);
    if (!uv_boot_option(service, number, &option)) {
        add_broken(text, service, number);
        return;
    }
    g_autofree char *description = uv_load_option_description(&option);
    g_autofree char *path = uv_boot_path_brief(option.path);
    const uint8_t *bytes = g_bytes_get_data(option.path, &size);
    g_autofree char *file = uv_device_path_file(bytes, size);
    g_string_append_printf(text, "%s\t%s\t%s\t%s\n",
                           option.attributes & LOAD_OPTION_ACTIVE ? "*" : "-", description, path,
                           file ? file : "");
}

/* Of each number: BootOrder may name one again and again. */
typedef enum {
    NOT_THERE,
    THERE,
    TOLD,
} State;

static void add_number_once(GString *text, const UvService *service, unsigned number,
                            uint8_t *states)
{
    if (states[number] == NOT_THERE)
        g_string_append_printf(text, "%04X\t-\t(not there)\t\t\n", number);
    else if (states[number] == THERE)
        add_option(text, service, number);
    states[number] = TOLD;
}

GBytes *uv_boot_summary(const UvService *service)
{
    g_autoptr(GString) text = g_string_new(NULL);
    g_autoptr(GArray) order = uv_boot_order(service);
    g_autoptr(GArray) numbers = uv_boot_numbers(service);
    g_autofree uint8_t *states = g_malloc0(UINT16_MAX + 1);

    for (guint i = 0; i < numbers->len; i++)
        states[g_array_index(numbers, uint16_t, i)] = THERE;
    add_number(text, service, "next", "BootNext", "%04X");
    add_number(text, service, "current", "BootCurrent", "%04X");
    add_number(text, service, "timeout", "Timeout", "%u");
    for (guint i = 0; i < order->len; i++)
        add_number_once(text, service, g_array_index(order, uint16_t, i), states);
    for (guint i = 0; i < numbers->len; i++)
        add_number_once(text, service, g_array_index(numbers, uint16_t, i), states);
    return g_string_free_to_bytes(g_steal_pointer(&text));
}
