/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The queue of fault tolerant writes as a firmware, or a crash, may have left it. */

#include "flash-ftw.h"

#include <string.h>

#include "flash-volume.h"

#define WORK FLASH_BLOCK
#define SPARE (2 * FLASH_BLOCK)
#define QUEUE (WORK + 32)
#define HEADER_BYTES 40u
#define RECORD_BYTES 40u

/* Flags of a header, and of a record, whose bits are 0 when they hold. */
#define ALLOCATED 0xfc
#define COMPLETE 0xf8
#define IN_SPARE 0xfd
#define AT_DESTINATION 0xf9

typedef struct {
    uint8_t flags;
    uint64_t writes, private_bytes;
    uint8_t record_flags;
    uint64_t offset, length;
    int64_t relative;
} Write;

/* One of the store, ready in the spare area. */
static const Write ready = {
    .flags = ALLOCATED,
    .writes = 1,
    .record_flags = IN_SPARE,
    .offset = FLASH_STORE,
    .length = FLASH_BLOCK - FLASH_STORE,
    .relative = -(int64_t)SPARE,
};

static void add(UvImage *image, uint64_t at, const Write *write)
{
    flash_put(image, at, write->flags, 1);
    flash_put(image, at + 24, write->writes, 8);
    flash_put(image, at + 32, write->private_bytes, 8);
    flash_put(image, at + HEADER_BYTES, write->record_flags, 1);
    flash_put(image, at + HEADER_BYTES + 16, write->offset, 8);
    flash_put(image, at + HEADER_BYTES + 24, write->length, 8);
    flash_put(image, at + HEADER_BYTES + 32, (uint64_t)write->relative, 8);
}

static bool read_queue(UvImage *image, UvFtw *ret, GError **error)
{
    g_auto(UvFlashLayout) layout = {0};

    g_assert_true(uv_flash_layout_find(image, &layout, NULL));
    return uv_ftw_read(image, &layout, ret, error);
}

static void expect(UvImage *image, bool valid, bool pending, bool open, uint32_t write_at)
{
    g_autoptr(GError) error = NULL;
    UvFtw ftw;

    g_assert_true(read_queue(image, &ftw, &error));
    g_assert_no_error(error);
    g_assert_cmpint(ftw.valid, ==, valid);
    g_assert_cmpint(ftw.pending, ==, pending);
    g_assert_cmpint(ftw.open, ==, open);
    g_assert_cmpuint(ftw.write_at, ==, write_at);
}

static void test_queue(void)
{
    const uint32_t one = HEADER_BYTES + RECORD_BYTES;
    g_autoptr(UvImage) image = flash_volume_new(0);
    Write write = ready;

    expect(image, true, false, false, 32);
    add(image, QUEUE, &write);
    expect(image, true, true, false, 32);
    write.record_flags = AT_DESTINATION;
    add(image, QUEUE, &write);
    expect(image, true, false, true, 32);
    write.record_flags = 0xff; /* begun, nothing in the spare area */
    add(image, QUEUE, &write);
    expect(image, true, false, true, 32);
    write.flags = 0xff; /* not even allocated */
    add(image, QUEUE, &write);
    expect(image, true, false, false, 32);
    write.flags = COMPLETE;
    add(image, QUEUE, &write);
    expect(image, true, false, false, 32 + one);
    add(image, QUEUE + one, &ready);
    expect(image, true, true, false, 32 + one);
    write.writes = 2; /* of which the second is ready */
    write.flags = ALLOCATED;
    write.record_flags = AT_DESTINATION;
    add(image, QUEUE, &write);
    flash_put(image, QUEUE + one, IN_SPARE, 1);
    flash_put(image, QUEUE + one + 16, ready.offset, 8);
    flash_put(image, QUEUE + one + 24, ready.length, 8);
    flash_put(image, QUEUE + one + 32, (uint64_t)ready.relative, 8);
    expect(image, true, true, false, 32);
}

/* Sizes that can't be: an allocated write was torn, after a complete one the queue begins afresh.
 */
static void test_impossible_sizes(void)
{
    static const struct {
        uint64_t writes, private_bytes;
    } rows[] = {{0, 0}, {FLASH_BLOCK, 0}, {1, UINT64_MAX}, {1, FLASH_BLOCK + 1}};
    Write write = ready;

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(UvImage) image = flash_volume_new(0);

        write.flags = ALLOCATED;
        write.writes = rows[i].writes;
        write.private_bytes = rows[i].private_bytes;
        add(image, QUEUE, &write);
        expect(image, true, false, true, 32);
        write.flags = COMPLETE;
        add(image, QUEUE, &write);
        expect(image, true, false, false, FLASH_BLOCK);
    }
    /* It would end behind the working block. */
    g_autoptr(UvImage) image = flash_volume_new(0);
    write = ready;
    write.private_bytes = FLASH_BLOCK - 32 - HEADER_BYTES;
    add(image, QUEUE, &write);
    expect(image, true, false, true, 32);
    write.flags = COMPLETE;
    write.private_bytes -= RECORD_BYTES;
    add(image, QUEUE, &write);
    expect(image, true, false, false, FLASH_BLOCK);
}

static void test_no_queue(void)
{
    g_autoptr(UvImage) image = flash_volume_new(0);
    g_auto(UvFlashLayout) layout = {0};
    UvFtw ftw;

    add(image, QUEUE, &ready);
    g_assert_true(uv_flash_layout_find(image, &layout, NULL));
    for (int i = 0; i < 3; i++) {
        UvFlashLayout other = layout;

        if (i == 0)
            other.work_offset = 0;
        else if (i == 1)
            other.work_bytes = 63;
        else
            other.blank = true;
        g_assert_true(uv_ftw_read(image, &other, &ftw, NULL));
        g_assert_false(ftw.valid || ftw.pending || ftw.open);
    }
    flash_put(image, WORK + 20, 0xfc, 1); /* marked invalid */
    expect(image, false, false, false, 0);
}

static void test_refused(void)
{
    static const struct {
        Write write;
        const char *what;
    } rows[] = {
        {{ALLOCATED, 1, 0, 0xfc, 0, FLASH_BLOCK, -(int64_t)SPARE}, "updates a boot block"},
        {{ALLOCATED, 1, 0, IN_SPARE, FLASH_BLOCK + 1, 1, -(int64_t)SPARE},
         "has an impossible length"},
        {{ALLOCATED, 1, 0, IN_SPARE, 0, UINT64_MAX, -(int64_t)SPARE}, "has an impossible length"},
        {{ALLOCATED, 1, 0, IN_SPARE, 0, 0, -(int64_t)SPARE}, "has an impossible length"},
        {{ALLOCATED, 1, 0, IN_SPARE, 1, FLASH_BLOCK, -(int64_t)SPARE}, "has an impossible length"},
        {{ALLOCATED, 1, 0, IN_SPARE, 0, 1, 0}, "has its target outside the variable area"},
        {{ALLOCATED, 1, 0, IN_SPARE, 0, 1, INT64_MIN}, "has its target outside the variable area"},
        {{ALLOCATED, 1, 0, IN_SPARE, 0, 1, -(int64_t)SPARE - 1},
         "has its target outside the variable area"},
        {{ALLOCATED, 1, 0, IN_SPARE, 0, 1, -(int64_t)FLASH_BLOCK},
         "has its target outside the variable area"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(UvImage) image = flash_volume_new(0);
        g_autofree char *why = g_strconcat(
            "image: offset 0x40048: a fault tolerant write in progress ", rows[i].what, NULL);
        g_autoptr(GError) error = NULL;
        UvFtw ftw;

        add(image, QUEUE, &rows[i].write);
        g_assert_false(read_queue(image, &ftw, &error));
        g_assert_cmpstr(error->message, ==, why);
        g_assert_false(ftw.pending);
    }
}

/* The volume says too little of itself for what is pending. */
static void test_pending_without_spare(void)
{
    g_autoptr(UvImage) image = flash_volume_new(0);
    g_auto(UvFlashLayout) layout = {0};
    UvFtw ftw;

    add(image, QUEUE, &ready);
    g_assert_true(uv_flash_layout_find(image, &layout, NULL));
    for (int i = 0; i < 2; i++) {
        UvFlashLayout other = layout;
        g_autoptr(GError) error = NULL;

        if (i == 0)
            other.spare_offset = 0;
        else
            other.block_bytes = 0;
        g_assert_false(uv_ftw_read(image, &other, &ftw, &error));
        g_assert_nonnull(strstr(error->message, i == 0 ? "has a spare area that can't be found"
                                                       : "has an impossible length"));
        g_assert_false(uv_ftw_usable(&other));
    }
    layout.store_bytes = layout.spare_bytes; /* with its header more than the spare area */
    g_assert_false(uv_ftw_usable(&layout));
    layout.spare_bytes *= 2;
    g_assert_false(uv_ftw_usable(&layout)); /* its last block is the working block's */
}

/* What is pending is read, at the edges of its target, too; the disk may fail at each step of
 * finishing it, which another attempt does. */
static void test_settle(void)
{
    g_autoptr(UvImage) image = flash_volume_new(0);
    g_auto(UvFlashLayout) layout = {0};
    Write write = ready;
    char bytes[8];
    unsigned n = 0;
    bool done = false;

    g_assert_true(uv_image_write(image, SPARE, "0123456789abcdef", 16, NULL));
    write.offset = 0;
    write.length = FLASH_BLOCK;
    add(image, QUEUE, &write);
    g_assert_true(uv_flash_layout_find(image, &layout, NULL));
    while (!done) {
        g_auto(FailingImage) failing = {0};
        g_autoptr(GError) error = NULL;
        UvFtw ftw;

        failing_image_init(&failing, image);
        failing.reads = true;
        g_assert_true(uv_ftw_read(&failing.image, &layout, &ftw, NULL));
        g_assert_true(uv_ftw_read_through(&failing.image, &layout, &ftw, 4, bytes, 8, NULL));
        g_assert_cmpmem(bytes, 8, "456789ab", 8);
        g_assert_true(
            uv_ftw_read_through(&failing.image, &layout, &ftw, FLASH_BLOCK, bytes, 8, NULL));
        g_assert_cmpmem(bytes, 8, memory_image_bytes(image) + FLASH_BLOCK, 8);
        failing.steps = 0;
        failing.fail_at = ++n;
        done = uv_ftw_settle(&failing.image, &layout, &ftw, &error);
        g_assert_true(done || g_str_equal(error->message, "no space"));
        failing.fail_at = 0;
        g_assert_true(uv_ftw_read(failing.inner, &layout, &ftw, NULL));
        g_assert_true(uv_ftw_settle(failing.inner, &layout, &ftw, NULL));
        g_assert_false(ftw.pending || ftw.open);
        g_assert_cmpmem(memory_image_bytes(failing.inner), 8, "01234567", 8);
    }
    g_assert_cmpuint(n, >, 10);
}

/* A disk that fails at each read, write and barrier of a replacement: what is in force afterwards
 * is the whole old store or the whole new one, the new one if that was said. */
static void replace(bool queue_is_full)
{
    g_autoptr(UvImage) image = flash_volume_new(0);
    g_auto(UvFlashLayout) layout = {0};
    g_autofree uint8_t *new_store = g_malloc(FLASH_BLOCK), *now = g_malloc(FLASH_BLOCK);
    const uint8_t *old_store = memory_image_bytes(image) + FLASH_STORE;
    unsigned n = 0;
    bool reached = true;

    if (queue_is_full) {
        const Write full = {.flags = COMPLETE,
                            .writes = 1,
                            .private_bytes = FLASH_BLOCK - 32 - HEADER_BYTES - RECORD_BYTES};
        add(image, QUEUE, &full);
    }
    g_assert_true(uv_flash_layout_find(image, &layout, NULL));
    memcpy(new_store, old_store, layout.store_bytes);
    memset(new_store + 100, 7, 1000);
    while (reached) {
        g_auto(FailingImage) failing = {0};
        UvFtw ftw;

        failing_image_init(&failing, image);
        failing.reads = true;
        g_assert_true(uv_ftw_read(&failing.image, &layout, &ftw, NULL));
        g_assert_cmpint(ftw.write_at == layout.work_bytes, ==, queue_is_full);
        failing.steps = 0;
        failing.fail_at = ++n;
        const bool done = uv_ftw_write(&failing.image, &layout, &ftw, new_store, NULL);
        reached = failing.steps >= n;
        g_assert_true(uv_ftw_read(failing.inner, &layout, &ftw, NULL));
        g_assert_true(uv_ftw_read_through(failing.inner, &layout, &ftw, layout.store_offset, now,
                                          layout.store_bytes, NULL));
        const bool is_new = memcmp(now, new_store, layout.store_bytes) == 0;
        g_assert_true(is_new || memcmp(now, old_store, layout.store_bytes) == 0);
        g_assert_true(is_new || !done);
        if (!reached)
            g_assert_true(done);
    }
    g_assert_cmpuint(n, >, queue_is_full ? 30 : 15);
}

static void test_replace(void)
{
    replace(false);
}

static void test_replace_with_a_full_queue(void)
{
    replace(true);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/flash-ftw/queue", test_queue);
    g_test_add_func("/flash-ftw/impossible-sizes", test_impossible_sizes);
    g_test_add_func("/flash-ftw/no-queue", test_no_queue);
    g_test_add_func("/flash-ftw/refused", test_refused);
    g_test_add_func("/flash-ftw/pending-without-spare", test_pending_without_spare);
    g_test_add_func("/flash-ftw/settle", test_settle);
    g_test_add_func("/flash-ftw/replace", test_replace);
    g_test_add_func("/flash-ftw/replace-with-a-full-queue", test_replace_with_a_full_queue);
    return g_test_run();
}
