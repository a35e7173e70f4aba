/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Writes that fail: the host runs out of space or of luck at every single step of a change. What
 * was there stays, the caller is told, and the next change succeeds. The order of the writes
 * otherwise is the crash test's affair (tests/compat/test-flash-crash.py).
 */

#include "failing-image.h"
#include "flash-ftw.h"
#include "flash-write.h"

#include <string.h>

#define BLANK_BYTES (64u * 1024 * 1024)
#define IMAGE_BYTES (3u * 0x40000)

static const UvGuid guid = UV_GUID(0x11111111u, 0x2222, 0x3333, 1, 2, 3, 4, 5, 6, 7, 8);

static UvVariable *variable(const char *name_text, char fill, size_t size)
{
    g_autofree char *bytes = g_malloc(size);
    g_autoptr(UvName) name = uv_name_new_utf8(name_text, NULL);
    g_autoptr(GBytes) data = NULL;

    memset(bytes, fill, size);
    data = g_bytes_new(bytes, size);
    return uv_variable_new(
        &(UvVariable){.guid = guid, .name = name, .attributes = 7, .data = data});
}

/* "A1x3 B2x9": name, first byte, size of each variable, sorted by nothing but the log. */
static char *shown(const UvFlash *flash)
{
    g_autoptr(GPtrArray) variables = uv_flash_variables(flash);
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < variables->len; i++) {
        const UvVariable *v = variables->pdata[i];
        g_autofree char *name = uv_name_to_utf8(v->name);
        g_string_append_printf(text, "%s%s%cx%zu", i ? " " : "", name,
                               *(const char *)g_bytes_get_data(v->data, NULL),
                               g_bytes_get_size(v->data));
    }
    return g_string_free(text, FALSE);
}

static UvVarset *set_of(const UvFlash *flash)
{
    g_autoptr(GPtrArray) variables = uv_flash_variables(flash);
    UvVarset *set = uv_varset_new();

    for (guint i = 0; i < variables->len; i++)
        uv_varset_put(set, variables->pdata[i]);
    return set;
}

/* fill 0: a deletion. */
static bool put(UvFlash *flash, const char *name, char fill, size_t size)
{
    g_autoptr(UvVarset) set = set_of(flash);
    g_autoptr(UvChange) change = uv_change_new(set);
    g_autoptr(UvVariable) v = variable(name, fill, size);

    if (fill)
        uv_change_put(change, v);
    else
        uv_change_remove(change, &v->guid, v->name);
    return uv_flash_apply(flash, change, NULL);
}

/* A small formatted image with A, B and C in it, and so much else that `room` bytes are left. */
static UvImage *new_image(size_t room)
{
    g_autofree uint8_t *zeros = g_malloc0(BLANK_BYTES);
    g_autoptr(UvImage) blank = memory_image_new("blank", zeros, BLANK_BYTES);
    g_autoptr(UvFlash) flash = uv_flash_open(blank, NULL);

    g_assert_nonnull(flash);
    g_assert_true(put(flash, "A", '1', 30));
    g_assert_true(put(flash, "B", '1', 30));
    g_assert_true(put(flash, "C", '1', 30));
    const size_t size = uv_flash_capacity_bytes(flash) - 3 * 96 - 64 - room;
    g_assert_true(put(flash, "D", '1', 100));
    g_assert_true(put(flash, "D", '2', size / 2));
    g_assert_true(put(flash, "D", '3', size / 2 - 100));
    return memory_image_new("image", memory_image_bytes(blank), IMAGE_BYTES);
}

/* The change fails at its n-th step; false when it has fewer steps. */
static bool fail_at(UvImage *image, unsigned n, unsigned n_failures, const char *name, char fill,
                    size_t size)
{
    g_auto(FailingImage) failing = {0};

    failing_image_init(&failing, image);
    failing.n_failures = n_failures;
    g_autoptr(UvFlash) flash = uv_flash_open(&failing.image, NULL);
    g_autofree char *before = shown(flash), *after = NULL, *again = NULL;

    failing.fail_at = n;
    failing.steps = 0;
    const bool done = put(flash, name, fill, size);
    if (!done) {
        g_autoptr(UvFlash) fresh = uv_flash_open(failing.inner, NULL);
        after = shown(fresh);
        g_assert_cmpstr(after, ==, before);
    }
    failing.fail_at = 0;
    g_assert_true(put(flash, name, fill, size));
    again = shown(flash);
    {
        g_autoptr(UvFlash) fresh = uv_flash_open(failing.inner, NULL);
        g_autofree char *now = shown(fresh);
        g_assert_null(uv_flash_damage(fresh));
        g_assert_cmpstr(now, ==, again);
        g_assert_cmpstr(now, !=, before);
    }
    return failing.steps >= n && !done;
}

static unsigned fail_everywhere(UvImage *image, const char *name, char fill, size_t size)
{
    unsigned n = 1;

    while (fail_at(image, n, 1, name, fill, size))
        n++;
    return n - 1;
}

static void test_append(void)
{
    g_autoptr(UvImage) image = new_image(100000);

    /* Old state, record, flush, new state, flush. The last write, old state, may fail. */
    g_assert_cmpuint(fail_everywhere(image, "A", '2', 40), ==, 5);
    g_assert_cmpuint(fail_everywhere(image, "New", '2', 40), ==, 4);
    g_assert_cmpuint(fail_everywhere(image, "B", 0, 1), ==, 2);
}

static void test_reclaim_in_place(void)
{
    g_autoptr(UvImage) image = new_image(1000);
    const unsigned steps = fail_everywhere(image, "A", '2', 100000);

    /* Everything before "spare complete" leaves the old content. */
    g_assert_cmpuint(steps, >=, 8);
}

static uint32_t queue_end(UvImage *image, uint32_t *ret_left)
{
    g_auto(UvFlashLayout) layout = {0};
    UvFtw ftw;

    g_assert_true(uv_flash_layout_find(image, &layout, NULL));
    g_assert_true(uv_ftw_read(image, &layout, &ftw, NULL));
    *ret_left = layout.work_bytes - ftw.write_at;
    return ftw.write_at;
}

/* The queue of writes in the working block is full, and begins anew: a failure at any step of that
 * leaves the old content. */
static void test_queue_begins_anew(void)
{
    g_autoptr(UvImage) image = new_image(1000);
    const unsigned steps = fail_everywhere(image, "A", '2', 100000);
    uint32_t left, end = queue_end(image, &left), one = 0;

    for (char fill = '3'; one == 0 || left >= one; fill ^= 1) {
        g_autoptr(UvFlash) flash = uv_flash_open(image, NULL);
        const uint32_t before = end;
        g_assert_true(put(flash, "A", fill, 100000));
        end = queue_end(image, &left);
        one = MAX(one, end - before);
    }
    g_assert_cmpuint(fail_everywhere(image, "A", '4', 100000), >, steps);
}

static void test_full(void)
{
    g_autoptr(UvImage) image = new_image(1000);
    g_autoptr(UvFlash) flash = uv_flash_open(image, NULL);
    g_autofree char *before = shown(flash), *after = NULL;

    g_assert_false(put(flash, "E", '1', uv_flash_capacity_bytes(flash)));
    after = shown(flash);
    g_assert_cmpstr(before, ==, after);
    g_assert_true(put(flash, "E", '1', 500));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/flash-write/append", test_append);
    g_test_add_func("/flash-write/reclaim-in-place", test_reclaim_in_place);
    g_test_add_func("/flash-write/queue-begins-anew", test_queue_begins_anew);
    g_test_add_func("/flash-write/full", test_full);
    return g_test_run();
}
