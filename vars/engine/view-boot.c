/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * boot/: boot options as text.
 *
 *   summary                            all of it, a line each
 *   order, next, timeout, current, firmware-setup
 *   NNNN/description, path, data, active, hidden
 *
 * mkdir makes an inactive option with an empty path and its number as description; a path that is
 * written into it makes it active. rmdir takes it out of the order first; its files go with it. A
 * Boot#### that is no load option is an empty folder, and in the summary as hexadecimal.
 */

#include <errno.h>
#include <string.h>

#include "device-path.h"
#include "view-boot.h"

/* The number of "NNNN" or "NNNN/file"; false: it does not begin so. `ret_file` is behind the '/'.
 */
static bool split_option(const char *path, unsigned *ret_number, const char **ret_file)
{
    const char *file = strchr(path, '/');
    const size_t size = file ? (size_t)(file - path) : strlen(path);

    if (!uv_boot_number_parse(path, size, ret_number))
        return false;
    *ret_file = file ? file + 1 : NULL;
    return true;
}

/* ---- reading ---- */

static GBytes *read_flag(const UvLoadOption *option, uint32_t flag)
{
    return uv_view_line(option->attributes & flag ? "1" : "0");
}

static GBytes *read_option_path(const UvLoadOption *option)
{
    g_autofree char *text = uv_boot_path_text(option->path);

    return uv_view_line(text);
}

static GBytes *read_description(const UvLoadOption *option)
{
    g_autofree char *text = uv_load_option_description(option);

    return uv_view_line(text);
}

static GBytes *read_option_file(const UvLoadOption *option, const char *file)
{
    if (strcmp(file, "description") == 0)
        return read_description(option);
    if (strcmp(file, "path") == 0)
        return read_option_path(option);
    if (strcmp(file, "data") == 0)
        return g_bytes_ref(option->data);
    if (strcmp(file, "active") == 0)
        return read_flag(option, LOAD_OPTION_ACTIVE);
    if (strcmp(file, "hidden") == 0)
        return read_flag(option, LOAD_OPTION_HIDDEN);
    return NULL;
}

static GBytes *read_order(const UvService *service)
{
    g_autoptr(GString) text = g_string_new(NULL);
    g_autoptr(GArray) order = uv_boot_order(service);

    for (guint i = 0; i < order->len; i++)
        g_string_append_printf(text, "%04X\n", g_array_index(order, uint16_t, i));
    return g_string_free_to_bytes(g_steal_pointer(&text));
}

static GBytes *read_number(const UvService *service, const char *name, const char *format)
{
    g_autofree char *text = NULL;
    uint64_t value;

    if (!uv_boot_read_number(service, name, 2, &value))
        return g_bytes_new(NULL, 0);
    text = g_strdup_printf(format, (unsigned)value);
    return uv_view_line(text);
}

static GBytes *read_firmware_setup(const UvService *service)
{
    uint64_t value = 0;

    uv_boot_read_number(service, "OsIndications", 8, &value);
    return uv_view_line(value & UV_BOOT_TO_FIRMWARE ? "1" : "0");
}

static GBytes *boot_read(UvServer *server, const char *path)
{
    const UvService *service = uv_view_service(server);
    g_auto(UvLoadOption) option = {0};
    const char *file;
    unsigned number;

    if (split_option(path, &number, &file))
        return file && uv_boot_option(service, number, &option) ? read_option_file(&option, file)
                                                                : NULL;
    if (strcmp(path, "summary") == 0)
        return uv_boot_summary(service);
    if (strcmp(path, "order") == 0)
        return read_order(service);
    if (strcmp(path, "next") == 0)
        return read_number(service, "BootNext", "%04X");
    if (strcmp(path, "current") == 0)
        return read_number(service, "BootCurrent", "%04X");
    if (strcmp(path, "timeout") == 0)
        return read_number(service, "Timeout", "%u");
    if (strcmp(path, "firmware-setup") == 0)
        return read_firmware_setup(service);
    return NULL;
}

static bool list_file(UvServer *server, UvViewList *list, const char *path, uint32_t mode)
{
    g_autoptr(GBytes) text = boot_read(server, path);

    return uv_view_list_add(list, path, mode, text ? g_bytes_get_size(text) : 0);
}

/* false: no more can be listed. */
static bool list_option(UvServer *server, UvViewList *list, unsigned number)
{
    static const char *const files[] = {"description", "path", "data", "active", "hidden"};
    g_autofree char *folder = g_strdup_printf("%04X", number);
    g_auto(UvLoadOption) option = {0};

    bool room = uv_view_list_add(list, folder, VIEW_FOLDER, 0);
    if (!uv_boot_option(uv_view_service(server), number, &option))
        return room; /* there is nothing that it could say */
    for (size_t i = 0; room && i < G_N_ELEMENTS(files); i++) {
        g_autofree char *path = g_strconcat(folder, "/", files[i], NULL);
        room = list_file(server, list, path, VIEW_READ_WRITE);
    }
    return room;
}

static void boot_list(UvServer *server, UvViewList *list)
{
    g_autoptr(GArray) numbers = uv_boot_numbers(uv_view_service(server));

    list_file(server, list, "summary", VIEW_READ_ONLY);
    list_file(server, list, "current", VIEW_READ_ONLY);
    list_file(server, list, "order", VIEW_READ_WRITE);
    list_file(server, list, "next", VIEW_READ_WRITE);
    list_file(server, list, "timeout", VIEW_READ_WRITE);
    list_file(server, list, "firmware-setup", VIEW_READ_WRITE);
    for (guint i = 0; i < numbers->len; i++)
        if (!list_option(server, list, g_array_index(numbers, uint16_t, i)))
            return;
}

/* ---- writing ---- */

static void act_on_folder(UvServer *server, UvViewAct act, unsigned number, UvViewOutcome *outcome)
{
    if (act == UV_VIEW_MKDIR)
        uv_boot_make_option(server, number, outcome);
    else if (act == UV_VIEW_RMDIR)
        uv_boot_remove_option(server, number, outcome);
    else
        uv_view_refuse(outcome, EFI_INVALID_PARAMETER, EISDIR, "Boot%04X is a folder", number);
}

static void boot_act(UvServer *server, UvViewAct act, const char *path, GBytes *content,
                     UvViewOutcome *outcome)
{
    const char *file;
    unsigned number;

    if (split_option(path, &number, &file)) {
        if (!file)
            act_on_folder(server, act, number, outcome);
        else if (act == UV_VIEW_WRITE)
            uv_boot_write_option(server, number, file, content, outcome);
        else if (act != UV_VIEW_REMOVE)
            uv_view_refuse_path(outcome);
        else
            uv_view_refuse(outcome, EFI_INVALID_PARAMETER, EINPROGRESS, "it goes with its folder");
    } else if (act == UV_VIEW_MKDIR) {
        uv_view_refuse(outcome, EFI_INVALID_PARAMETER, EINVAL,
                       "%s: expected four hexadecimal digits in upper case", path);
    } else if (act == UV_VIEW_WRITE || act == UV_VIEW_REMOVE) {
        uv_boot_write_setting(server, path, act == UV_VIEW_WRITE ? content : NULL, outcome);
    } else {
        uv_view_refuse_path(outcome);
    }
}

const UvView uv_view_boot = {
    .name = "boot",
    .list = boot_list,
    .read = boot_read,
    .act = boot_act,
};
