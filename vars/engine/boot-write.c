/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What is written to boot/ becomes SetVariable of the host's door, with all its rules. */

#include <errno.h>
#include <string.h>

#include "bytes.h"
#include "device-path.h"
#include "uv-limits.h"
#include "view-boot.h"

#define OPTION_ATTRIBUTES                                                                          \
    (EFI_VARIABLE_NON_VOLATILE | EFI_VARIABLE_BOOTSERVICE_ACCESS | EFI_VARIABLE_RUNTIME_ACCESS)
#define TEXT_MAX 65536u

/* `data` NULL deletes; that it was not there is no error. */
static void set_global(UvServer *server, const char *ascii, GBytes *data, UvViewOutcome *outcome)
{
    g_autoptr(UvName) name = uv_name_new_utf8(ascii, NULL);
    gsize size = 0;
    const uint8_t *bytes = data ? g_bytes_get_data(data, &size) : NULL;
    const UvSetRequest request = {
        .door = UV_DOOR_HOST,
        .guid = uv_guid_global_variable,
        .name = name,
        .attributes = data ? OPTION_ATTRIBUTES : 0,
        .data = bytes,
        .data_bytes = size,
    };

    uv_view_set(server, &request, outcome);
    if (!data && outcome->status == EFI_NOT_FOUND) {
        g_free(outcome->reason);
        *outcome = (UvViewOutcome){0};
    }
}

static void set_number(UvServer *server, const char *name, uint64_t value, size_t bytes,
                       UvViewOutcome *outcome)
{
    uint8_t data[8];

    for (size_t i = 0; i < bytes; i++)
        data[i] = (uint8_t)(value >> (8 * i));
    g_autoptr(GBytes) content = g_bytes_new(data, bytes);
    set_global(server, name, content, outcome);
}

static void set_order(UvServer *server, const GArray *order, UvViewOutcome *outcome)
{
    g_auto(UvWriter) writer = uv_writer(UV_VARIABLE_MAX);

    for (guint i = 0; i < order->len; i++)
        uv_write_u16(&writer, g_array_index(order, uint16_t, i));
    g_autoptr(GBytes) data = order->len ? uv_writer_steal(&writer) : NULL;
    set_global(server, "BootOrder", data, outcome);
}

static void set_option(UvServer *server, unsigned number, const UvLoadOption *option,
                       UvViewOutcome *outcome)
{
    g_autofree char *name = g_strdup_printf("Boot%04X", number);
    g_autoptr(GBytes) data = uv_load_option_write(option, UV_VARIABLE_MAX);

    if (data)
        set_global(server, name, data, outcome);
    else
        uv_view_refuse(outcome, EFI_INVALID_PARAMETER, EINVAL, "%s would be too large", name);
}

/* ---- options ---- */

void uv_boot_make_option(UvServer *server, unsigned number, UvViewOutcome *outcome)
{
    static const uint8_t end[] = {0x7f, 0xff, 4, 0};
    g_autofree char *name = g_strdup_printf("Boot%04X", number);
    g_auto(UvLoadOption) option = {0};

    if (uv_boot_has(uv_view_service(server), number)) {
        uv_view_refuse(outcome, EFI_INVALID_PARAMETER, EEXIST, "%s is there", name);
        return;
    }
    option.description = g_bytes_new(NULL, 0);
    option.path = g_bytes_new_static(end, sizeof(end));
    option.data = g_bytes_new(NULL, 0);
    uv_load_option_set_description(&option, name);
    set_option(server, number, &option, outcome);
}

void uv_boot_remove_option(UvServer *server, unsigned number, UvViewOutcome *outcome)
{
    g_autofree char *name = g_strdup_printf("Boot%04X", number);
    g_autoptr(GArray) order = uv_boot_order(uv_view_service(server));
    const guint before = order->len;

    if (!uv_boot_has(uv_view_service(server), number)) {
        uv_view_refuse_path(outcome);
        return;
    }
    for (guint i = order->len; i-- > 0;) {
        if (g_array_index(order, uint16_t, i) == number)
            g_array_remove_index(order, i);
    }
    if (order->len != before)
        set_order(server, order, outcome);
    if (outcome->status == EFI_SUCCESS)
        set_global(server, name, NULL, outcome);
}

static bool parse_flag(const char *text, bool *ret_value, UvViewOutcome *outcome)
{
    *ret_value = strcmp(text, "1") == 0;
    if (*ret_value || strcmp(text, "0") == 0)
        return true;
    return uv_view_refuse(outcome, EFI_INVALID_PARAMETER, EINVAL, "expected 0 or 1");
}

static bool change_flag(UvLoadOption *option, uint32_t flag, const char *text,
                        UvViewOutcome *outcome)
{
    bool value;

    if (!parse_flag(text, &value, outcome))
        return false;
    option->attributes = value ? option->attributes | flag : option->attributes & ~flag;
    return true;
}

/* Of an option that had none: it can be booted now. */
static bool change_path(UvLoadOption *option, const char *text, UvViewOutcome *outcome)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *before = uv_boot_path_text(option->path);
    GBytes *path = uv_device_path_parse(text, option->path, UINT16_MAX, &error);

    if (!path)
        return uv_view_refuse(outcome, EFI_INVALID_PARAMETER, EINVAL, "%s", error->message);
    if (!*before)
        option->attributes |= LOAD_OPTION_ACTIVE;
    g_bytes_unref(option->path);
    option->path = path;
    return true;
}

static bool change_description(UvLoadOption *option, const char *text, UvViewOutcome *outcome)
{
    if (uv_load_option_set_description(option, text))
        return true;
    return uv_view_refuse(outcome, EFI_INVALID_PARAMETER, EINVAL,
                          "expected one line of UTF-8 without control characters");
}

static bool change_text(UvLoadOption *option, const char *file, GBytes *content,
                        UvViewOutcome *outcome)
{
    g_autofree char *text = uv_view_text(content, TEXT_MAX, outcome);

    if (!text)
        return false;
    if (strcmp(file, "description") == 0)
        return change_description(option, text, outcome);
    if (strcmp(file, "path") == 0)
        return change_path(option, text, outcome);
    if (strcmp(file, "active") == 0)
        return change_flag(option, LOAD_OPTION_ACTIVE, text, outcome);
    if (strcmp(file, "hidden") == 0)
        return change_flag(option, LOAD_OPTION_HIDDEN, text, outcome);
    return uv_view_refuse_path(outcome);
}

void uv_boot_write_option(UvServer *server, unsigned number, const char *file, GBytes *content,
                          UvViewOutcome *outcome)
{
    g_auto(UvLoadOption) option = {0};

    if (!uv_boot_option(uv_view_service(server), number, &option)) {
        uv_view_refuse_path(outcome);
        return;
    }
    if (strcmp(file, "data") == 0) {
        g_bytes_unref(option.data);
        option.data = g_bytes_ref(content);
    } else if (!change_text(&option, file, content, outcome)) {
        return;
    }
    set_option(server, number, &option, outcome);
}

/* ---- order, next, timeout, firmware-setup ---- */

/* A number whose option is there. */
static bool parse_option(UvServer *server, const char *token, uint16_t *ret_number,
                         UvViewOutcome *outcome)
{
    g_autofree char *upper = g_ascii_strup(token, -1);
    g_auto(UvLoadOption) option = {0};
    unsigned number;

    if (!uv_boot_number_parse(upper, strlen(upper), &number))
        return uv_view_refuse(outcome, EFI_INVALID_PARAMETER, EINVAL,
                              "%s: expected four hexadecimal digits", token);
    if (!uv_boot_option(uv_view_service(server), number, &option))
        return uv_view_refuse(outcome, EFI_INVALID_PARAMETER, EINVAL, "there is no Boot%s", upper);
    *ret_number = (uint16_t)number;
    return true;
}

static void write_order(UvServer *server, const char *text, UvViewOutcome *outcome)
{
    g_autoptr(GArray) order = g_array_new(FALSE, FALSE, sizeof(uint16_t));
    g_auto(GStrv) tokens = g_strsplit_set(text, " ,\t\r\n", -1);
    uint16_t number;

    for (char **token = tokens; *token; token++) {
        if (!**token)
            continue;
        if (!parse_option(server, *token, &number, outcome))
            return;
        for (guint i = 0; i < order->len; i++) {
            if (g_array_index(order, uint16_t, i) == number) {
                uv_view_refuse(outcome, EFI_INVALID_PARAMETER, EINVAL, "%s is there twice", *token);
                return;
            }
        }
        g_array_append_val(order, number);
    }
    set_order(server, order, outcome);
}

static void write_next(UvServer *server, const char *text, UvViewOutcome *outcome)
{
    uint16_t number;

    if (!*text)
        set_global(server, "BootNext", NULL, outcome);
    else if (parse_option(server, text, &number, outcome))
        set_number(server, "BootNext", number, 2, outcome);
}

static void write_timeout(UvServer *server, const char *text, UvViewOutcome *outcome)
{
    guint64 seconds;

    if (!*text)
        set_global(server, "Timeout", NULL, outcome);
    else if (g_ascii_string_to_unsigned(text, 10, 0, UINT16_MAX, &seconds, NULL))
        set_number(server, "Timeout", seconds, 2, outcome);
    else
        uv_view_refuse(outcome, EFI_INVALID_PARAMETER, EINVAL,
                       "expected seconds, 0 to 65535 (65535: wait for ever)");
}

static void write_firmware_setup(UvServer *server, const char *text, UvViewOutcome *outcome)
{
    uint64_t value = 0;
    bool wanted;

    if (!parse_flag(*text ? text : "0", &wanted, outcome))
        return;
    uv_boot_read_number(uv_view_service(server), "OsIndications", 8, &value);
    value = wanted ? value | UV_BOOT_TO_FIRMWARE : value & ~UV_BOOT_TO_FIRMWARE;
    set_number(server, "OsIndications", value, 8, outcome);
}

void uv_boot_write_setting(UvServer *server, const char *file, GBytes *content,
                           UvViewOutcome *outcome)
{
    static const struct {
        const char *file;
        void (*write)(UvServer *server, const char *text, UvViewOutcome *outcome);
        bool removable;
    } settings[] = {
        {"order", write_order, false},
        {"next", write_next, true},
        {"timeout", write_timeout, true},
        {"firmware-setup", write_firmware_setup, false},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(settings); i++) {
        if (strcmp(settings[i].file, file) != 0 || (!content && !settings[i].removable))
            continue;
        g_autofree char *text = content ? uv_view_text(content, TEXT_MAX, outcome) : g_strdup("");
        if (text)
            settings[i].write(server, text, outcome);
        return;
    }
    uv_view_refuse(outcome, EFI_INVALID_PARAMETER, EPERM, "%s can't be written or removed", file);
}
