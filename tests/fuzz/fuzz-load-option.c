/* SPDX-License-Identifier: GPL-2.0-or-later */

/* A load option that a guest made: shown, and written back as it was shown. */

#include "fuzz.h"

#include "device-path.h"
#include "load-option.h"

#include <string.h>

static void check_line(const char *text)
{
    CHECK(g_utf8_validate(text, -1, NULL));
    CHECK(!strpbrk(text, "\n\r\t"));
}

static void check_path(GBytes *path)
{
    gsize size;
    const uint8_t *bytes = g_bytes_get_data(path, &size);
    g_autofree char *text = uv_device_path_format(bytes, size);
    g_autofree char *file = uv_device_path_file(bytes, size);

    if (file)
        check_line(file);
    if (!text)
        return;
    check_line(text);
    g_autoptr(GBytes) same = uv_device_path_parse(text, path, 2 * size + 16, NULL);
    CHECK(same);
    /* What is behind the end, and lengths of end nodes, are not in the text. */
    gsize same_size;
    const uint8_t *same_bytes = g_bytes_get_data(same, &same_size);
    g_autofree char *again = uv_device_path_format(same_bytes, same_size);
    CHECK(g_strcmp0(again, text) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GBytes) bytes = g_bytes_new(data, size);
    g_auto(UvLoadOption) option = {0};
    g_autofree char *as_text = g_strndup((const char *)data, size);
    g_autoptr(GBytes) typed = uv_device_path_parse(as_text, NULL, 65535, NULL);

    if (typed)
        check_path(typed);
    if (!uv_load_option_read(bytes, &option))
        return 0;
    check_path(option.path);
    g_autoptr(GBytes) before = uv_load_option_write(&option, 2 * size + 64);
    g_autofree char *description = uv_load_option_description(&option);
    check_line(description);
    CHECK(uv_load_option_set_description(&option, description));
    g_autoptr(GBytes) after = uv_load_option_write(&option, 2 * size + 64);
    CHECK(before && after && g_bytes_equal(before, after) && g_bytes_equal(before, bytes));
    return 0;
}
