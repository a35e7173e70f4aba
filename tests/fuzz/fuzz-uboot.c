/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The loader of U-Boot's file: any bytes are an error with an offset, or variables as a store may
 * have them. What its checksum would keep out is also tried with the right one.
 */

#include "bytes.h"
#include "digest.h"
#include "efi-abi.h"
#include "fuzz.h"
#include "uboot-file.h"

#include <string.h>

#define HEADER_BYTES 24u

static void parse(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    unsigned left_out;
    g_autoptr(GPtrArray) variables = uv_uboot_parse("fuzz", data, size, &left_out, &error);

    if (!variables) {
        g_assert_nonnull(strstr(error->message, "fuzz: offset 0x"));
        return;
    }
    for (guint i = 0; i < variables->len; i++) {
        const UvVariable *v = variables->pdata[i];

        g_assert_cmpuint(v->attributes & ~EFI_VARIABLE_ATTRIBUTES_MASK, ==, 0);
        g_assert_true(uv_variable_is_nv(v));
        g_assert_cmpuint(uv_name_units(v->name), >, 0);
        for (guint other = 0; other < i && i < 64; other++)
            g_assert_false(uv_variable_same_key(v, variables->pdata[other]));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    parse(data, size);
    if (size < HEADER_BYTES)
        return 0;
    g_autofree uint8_t *sealed = g_memdup2(data, size);
    uv_put_le(sealed + 16, size, 4);
    uv_put_le(sealed + 20,
              uv_crc(0xedb88320u, UINT32_MAX, 0, data + HEADER_BYTES, size - HEADER_BYTES), 4);
    parse(sealed, size);
    return 0;
}
