/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The loader of flash images: any bytes are an error with an offset, a store that is damaged and
 * never written, or one that can be written; then what was written is what is read next.
 */

#include "flash-write.h"
#include "fuzz.h"
#include "memory-image.h"
#include "store.h"

#include <string.h>

static const UvGuid guid = UV_GUID(0x46555a5au, 0x2222, 0x3333, 1, 2, 3, 4, 5, 6, 7, 8);

static UvVariable *new_variable(const char *name_text, size_t size)
{
    g_autoptr(UvName) name = uv_name_new_utf8(name_text, NULL);
    g_autofree uint8_t *bytes = g_malloc0(size);
    g_autoptr(GBytes) data = g_bytes_new(bytes, size);

    return uv_variable_new(
        &(UvVariable){.guid = guid, .name = name, .attributes = 7, .data = data});
}

static void check_same(GPtrArray *expected, GPtrArray *found)
{
    g_assert_cmpuint(expected->len, ==, found->len);
    for (guint i = 0; i < expected->len; i++)
        g_assert_true(uv_variable_same(expected->pdata[i], found->pdata[i]));
}

/* Writes one variable, and sees it again in what is then there. */
static void write_one(UvFlash *flash, UvImage *image, size_t size)
{
    g_autoptr(UvVarset) set = uv_varset_new();
    g_autoptr(UvChange) change = uv_change_new(set);
    g_autoptr(UvVariable) variable = new_variable("Fuzz", size);
    g_autoptr(GPtrArray) before = uv_flash_variables(flash), after = NULL;
    g_autoptr(UvFlash) again = NULL;

    uv_change_put(change, variable);
    if (!uv_flash_apply(flash, change, NULL))
        return;
    after = uv_flash_variables(flash);
    g_assert_cmpuint(after->len, <=, before->len + 1);
    again = uv_flash_open(image, NULL);
    g_assert_nonnull(again);
    g_autoptr(GPtrArray) found = uv_flash_variables(again);
    check_same(after, found);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(UvImage) image = memory_image_new("fuzz", data, size);
    g_autoptr(GError) error = NULL;
    g_autoptr(UvFlash) flash = uv_flash_open(image, &error);

    if (!flash) {
        g_assert_nonnull(strstr(error->message, "offset"));
        return 0;
    }
    if (uv_flash_damage(flash)) {
        g_assert_nonnull(strstr(uv_flash_damage(flash), "offset"));
        write_one(flash, image, 8);
        g_assert_cmpmem(memory_image_bytes(image), size, data, size);
        return 0;
    }
    write_one(flash, image, 8);
    write_one(flash, image, 1000);
    write_one(flash, image, 1500);
    return 0;
}
