/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Images whose headers are not as they should be: what is refused, with its offset, what is only
 * damage, and what is passed over. */

#include <string.h>

#include "flash-ftw.h"
#include "flash-volume.h"
#include "uv-limits.h"

/* The volume's header adds up again. */
static void mend_sum(UvImage *image)
{
    const uint8_t *bytes = memory_image_bytes(image);
    uint16_t sum = 0;

    flash_put(image, 50, 0, 2);
    for (size_t i = 0; i < FLASH_STORE; i += 2)
        sum += bytes[i] | bytes[i + 1] << 8;
    flash_put(image, 50, (uint16_t)-sum, 2);
}

static void test_refused(void)
{
    static const struct {
        uint64_t at, value;
        size_t bytes;
        const char *why;
    } rows[] = {
        {40, 0, 4, "image: offset 0x28: no firmware volume signature"},
        {48, 0x44, 2, "image: offset 0x30: the volume's header has an impossible length"},
        {48, 0x4a, 2, "image: offset 0x30: the volume's header has an impossible length"},
        {48, 0x1004, 2, "image: offset 0x30: the volume's header has an impossible length"},
        {32, FLASH_STORE + 27, 8, "image: offset 0x20: the volume has an impossible length"},
        {FLASH_STORE, 0, 4, "image: offset 0x48: no variable store"},
        {FLASH_STORE + 20, 0xff, 1, "image: offset 0x5c: the variable store is not formatted"},
        {FLASH_STORE + 21, 0xff, 1, "image: offset 0x5d: the variable store is not healthy"},
        {FLASH_STORE + 16, 27, 4, "image: offset 0x58: the variable store has an impossible size"},
        {FLASH_STORE + 16, 3 * FLASH_BLOCK, 4,
         "image: offset 0x58: the variable store has an impossible size"},
        {FLASH_STORE + 16, UV_STORAGE_MAX + 1, 4,
         "image: offset 0x58: the variable store has an impossible size"},
        {16, 0, 8, "image: offset 0x0: no firmware volume with variables"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(UvImage) image = flash_volume_new(0);
        g_auto(UvFlashLayout) layout = {0};
        g_autoptr(GError) error = NULL;

        flash_put(image, rows[i].at, rows[i].value, rows[i].bytes);
        g_assert_false(uv_flash_layout_find(image, &layout, &error));
        g_assert_cmpstr(error->message, ==, rows[i].why);
    }
}

static void test_damage(void)
{
    static const struct {
        uint64_t at, value;
        size_t bytes;
        bool mend;
        const char *what;
    } rows[] = {
        {44, 1, 4, false, "offset 0x32: the volume's checksum is wrong"},
        {60, 0, 4, true, "offset 0x3c: the volume has an impossible block size"},
        {60, 513, 4, true, "offset 0x3c: the volume has an impossible block size"},
        {32, 3 * FLASH_BLOCK + 1, 8, true, "offset 0x20: the volume is longer than the file"},
        {32, UINT64_MAX, 8, true, "offset 0x20: the volume is longer than the file"},
        {44, 1, 4, true, NULL},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(UvImage) image = flash_volume_new(0);
        g_auto(UvFlashLayout) layout = {0};
        g_autoptr(GError) error = NULL;

        flash_put(image, rows[i].at, rows[i].value, rows[i].bytes);
        if (rows[i].mend)
            mend_sum(image);
        g_assert_true(uv_flash_layout_find(image, &layout, &error));
        g_assert_cmpstr(layout.damage, ==, rows[i].what);
        g_assert_cmpuint(layout.volume_bytes, <=, image->size_bytes);
    }
}

static void test_sizes(void)
{
    g_autoptr(UvImage) image = flash_volume_new(0);
    g_autoptr(UvImage) short_one = memory_image_new("short", memory_image_bytes(image), 63);
    g_auto(UvFlashLayout) layout = {0};
    g_autoptr(GError) error = NULL;

    g_assert_false(uv_flash_layout_find(short_one, &layout, &error));
    g_assert_cmpstr(error->message, ==, "short: offset 0x0: no firmware volume with variables");
    g_clear_error(&error);
    image->size_bytes = (uint64_t)UV_FLASH_FILE_MAX + 1;
    g_assert_false(uv_flash_layout_find(image, &layout, &error));
    g_assert_nonnull(strstr(error->message, "too large for a flash image"));
    g_clear_error(&error);
    /* As large as ArmVirt's, but not blank, and no volume either. */
    g_autofree uint8_t *bytes = g_malloc0(FLASH_BLANK_BYTES);
    bytes[5] = 1;
    g_autoptr(UvImage) other = memory_image_new("other", bytes, FLASH_BLANK_BYTES);
    g_assert_false(uv_flash_layout_find(other, &layout, &error));
    g_assert_cmpstr(error->message, ==, "other: offset 0x0: no firmware volume with variables");
}

/* Code before it, and in that what looks like ours. */
static void test_behind_another_volume(void)
{
    g_autoptr(UvImage) image = flash_volume_new(0x10000);
    g_auto(UvFlashLayout) layout = {0}, inner = {0}, first = {0};
    const uint8_t *bytes = memory_image_bytes(image);

    g_assert_true(uv_image_write(image, 0x400, bytes + 0x10000, 0x100, NULL));
    flash_put(image, 0x400 + FLASH_STORE + 21, 0xff, 1); /* not healthy */
    g_assert_true(uv_flash_layout_find(image, &layout, NULL));
    g_assert_cmpuint(layout.volume_offset, ==, 0x10000); /* the first that can be read */
    flash_put(image, 0x400 + FLASH_STORE + 21, 0xfe, 1);
    flash_put(image, 0x400 + 32, 0x1000, 8);
    flash_put(image, 0x400 + FLASH_STORE + 16, 0x100, 4);
    g_assert_true(uv_flash_layout_find(image, &inner, NULL));
    g_assert_cmpuint(inner.volume_offset, ==, 0x400);
    flash_put(image, 32, 0x10000, 8);
    flash_put(image, 40, 0x4856465f, 4);
    g_assert_true(uv_flash_layout_find(image, &first, NULL));
    g_assert_cmpuint(first.volume_offset, ==, 0x10000);
    /* Lengths that no volume has: looked at step by step. */
    for (const uint64_t *length = (const uint64_t[]){0x200, 0x10001, UINT64_MAX - 0x3ff, 0};
         *length; length++) {
        flash_put(image, 32, *length, 8);
        uv_flash_layout_clear(&first);
        g_assert_true(uv_flash_layout_find(image, &first, NULL));
        g_assert_cmpuint(first.volume_offset, ==, 0x400);
    }
}

static void test_plain_store(void)
{
    static const uint8_t guid[] = {0x16, 0x36, 0xcf, 0xdd, 0x75, 0x32, 0x64, 0x41,
                                   0x98, 0xb6, 0xfe, 0x85, 0x70, 0x7f, 0xfe, 0x7d};
    g_autoptr(UvImage) image = flash_volume_new(0);
    g_auto(UvFlashLayout) layout = {0};

    g_assert_true(uv_image_write(image, FLASH_STORE, guid, sizeof(guid), NULL));
    g_assert_true(uv_flash_layout_find(image, &layout, NULL));
    g_assert_false(layout.authenticated);
}

/* Working blocks: of impossible sizes, in the wrong place, only their copy. */
static void test_working_block(void)
{
    static const struct {
        uint64_t queue_bytes; /* of the one at its place */
        uint64_t work, spare; /* what is found */
    } rows[] = {
        {FLASH_BLOCK - 32, FLASH_BLOCK, 2 * FLASH_BLOCK},
        {0, 0, 0},
        {UINT64_MAX, 0, 0},
        {3 * FLASH_BLOCK, FLASH_BLOCK, 0},      /* the spare area would lie behind the end */
        {FLASH_BLOCK / 4 - 32, FLASH_BLOCK, 0}, /* neither OVMF's proportions nor ArmVirt's */
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(UvImage) image = flash_volume_new(0);
        g_auto(UvFlashLayout) layout = {0};

        flash_put(image, FLASH_BLOCK + 24, rows[i].queue_bytes, 8);
        g_assert_true(uv_flash_layout_find(image, &layout, NULL));
        g_assert_cmpuint(layout.work_offset, ==, rows[i].work);
        g_assert_cmpuint(layout.spare_offset, ==, rows[i].spare);
        g_assert_cmpint(uv_ftw_usable(&layout), ==, i == 0);
    }
    g_autoptr(UvImage) image = flash_volume_new(0);
    g_auto(UvFlashLayout) layout = {0};
    g_assert_true(
        uv_image_write(image, 2 * FLASH_BLOCK, memory_image_bytes(image) + FLASH_BLOCK, 32, NULL));
    flash_put(image, FLASH_BLOCK, 0, 8); /* it is being rewritten */
    g_assert_true(uv_flash_layout_find(image, &layout, NULL));
    g_assert_cmpuint(layout.work_offset, ==, FLASH_BLOCK);
    g_assert_cmpuint(layout.spare_offset, ==, 2 * FLASH_BLOCK);
}

/* A disk that fails at each read, and at each write of a blank image's headers. */
static void test_io(void)
{
    g_autoptr(UvImage) image = flash_volume_new(0x10000);
    g_auto(FailingImage) failing = {0};
    unsigned n = 0;
    bool done = false;

    failing_image_init(&failing, image);
    failing.reads = true;
    while (!done) {
        g_auto(UvFlashLayout) layout = {0};
        g_autoptr(GError) error = NULL;

        failing.steps = 0;
        failing.fail_at = ++n;
        done = uv_flash_layout_find(&failing.image, &layout, &error);
        g_assert_true(done || g_str_equal(error->message, "no space"));
    }
    g_assert_cmpuint(n, >, 4);
    for (done = false, n = 0; !done;) {
        g_auto(UvFlashLayout) layout = {0};

        g_assert_true(uv_flash_layout_find(image, &layout, NULL));
        failing.steps = 0;
        failing.fail_at = ++n;
        done = uv_flash_layout_format(&failing.image, &layout, NULL);
    }
    g_assert_cmpuint(n, ==, 5); /* two writes, a barrier behind each */
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/flash-layout/refused", test_refused);
    g_test_add_func("/flash-layout/damage", test_damage);
    g_test_add_func("/flash-layout/sizes", test_sizes);
    g_test_add_func("/flash-layout/behind-another-volume", test_behind_another_volume);
    g_test_add_func("/flash-layout/plain-store", test_plain_store);
    g_test_add_func("/flash-layout/working-block", test_working_block);
    g_test_add_func("/flash-layout/io", test_io);
    return g_test_run();
}
