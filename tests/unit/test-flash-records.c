/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Records in all states, torn tails and damage, read as edk2 reads them. */

#include "flash-layout.h"
#include "flash-records.h"

#include <string.h>

#define STORE_BYTES 4096u

typedef struct {
    uint8_t bytes[STORE_BYTES];
    size_t end;
} Store;

static const UvGuid guid = UV_GUID(0x11111111u, 0x2222, 0x3333, 1, 2, 3, 4, 5, 6, 7, 8);

static UvVariable *variable(const char *name_text, const char *data_text)
{
    g_autoptr(UvName) name = uv_name_new_utf8(name_text, NULL);
    g_autoptr(GBytes) data = g_bytes_new(data_text, strlen(data_text));

    return uv_variable_new(
        &(UvVariable){.guid = guid, .name = name, .attributes = 7, .data = data});
}

static void clear(Store *store)
{
    memset(store->bytes, 0xff, sizeof(store->bytes));
    store->end = UV_FLASH_STORE_HEADER_BYTES;
}

/* Adds a record; returns where it is. */
static size_t add(Store *store, const char *name, const char *data, uint8_t state)
{
    g_autoptr(UvVariable) v = variable(name, data);
    g_autoptr(GBytes) record = uv_flash_record_format(v, true, state);
    const size_t at = store->end;

    memcpy(store->bytes + at, g_bytes_get_data(record, NULL), g_bytes_get_size(record));
    store->end += UV_FLASH_ALIGN(g_bytes_get_size(record));
    return at;
}

/* The visible variables as "name=data name=data". */
static char *shown(const Store *store, UvFlashScan *scan)
{
    GString *text = g_string_new(NULL);

    uv_flash_scan(store->bytes, sizeof(store->bytes), true, 0x1000, scan);
    g_autoptr(GPtrArray) variables = uv_flash_scan_variables(scan);
    for (guint i = 0; i < variables->len; i++) {
        const UvVariable *v = variables->pdata[i];
        g_autofree char *name = uv_name_to_utf8(v->name);
        g_string_append_printf(text, "%s%s=%.*s", i ? " " : "", name,
                               (int)g_bytes_get_size(v->data),
                               (const char *)g_bytes_get_data(v->data, NULL));
    }
    return g_string_free(text, FALSE);
}

static void check(const Store *store, const char *expected, bool torn, bool damaged)
{
    g_auto(UvFlashScan) scan = {0};
    g_autofree char *text = shown(store, &scan);

    g_assert_cmpstr(text, ==, expected);
    g_assert_cmpint(scan.torn, ==, torn);
    g_assert_cmpint(scan.damage != NULL, ==, damaged);
}

static void test_states(void)
{
    Store store;

    clear(&store);
    check(&store, "", false, false);
    add(&store, "A", "1", 0x3f);
    add(&store, "B", "2", 0x3d);
    add(&store, "C", "3", 0x7f);
    add(&store, "D", "4", 0x3c);
    add(&store, "E", "5", 0x3e);
    check(&store, "A=1 E=5", false, false);
    /* The added one hides the one in transition, wherever it is. */
    add(&store, "E", "6", 0x3f);
    add(&store, "A", "0", 0x3e);
    check(&store, "A=1 E=6", false, false);
}

static void test_two_in_transition(void)
{
    Store store;

    clear(&store);
    add(&store, "A", "1", 0x3e);
    add(&store, "A", "2", 0x3e);
    check(&store, "A=2", false, false);
}

static void test_torn(void)
{
    Store store;
    size_t at;

    clear(&store);
    add(&store, "A", "1", 0x3e);
    at = add(&store, "A", "a longer content", 0xff);
    check(&store, "A=1", true, false);
    memset(store.bytes + at, 0xff, 40); /* the first part never came */
    check(&store, "A=1", true, false);
    store.bytes[at] = 0x12; /* whatever is there: reclaimed */
    check(&store, "A=1", true, false);
    memset(store.bytes + at, 0xff, STORE_BYTES - at);
    check(&store, "A=1", false, false);
}

/* A header of which nothing else came; edk2 goes on right behind it. */
static void test_hole(void)
{
    Store store;
    size_t at;

    clear(&store);
    at = add(&store, "A", "1", 0xff);
    memset(store.bytes + at + 60, 0xff, STORE_BYTES - at - 60);
    store.end = at + 60;
    add(&store, "B", "2", 0x3f);
    check(&store, "B=2", true, false);
}

/* Where records are found behind the end of the log; 0: none are. */
static size_t hidden_at(const Store *store)
{
    g_auto(UvFlashScan) scan = {0};

    g_free(shown(store, &scan));
    return scan.hidden_at;
}

/* A header that was never written, or is spoilt, and records behind it: edk2's log ends there. */
static void test_hidden(void)
{
    Store store;
    size_t at, behind;

    clear(&store);
    add(&store, "A", "1", 0x3f);
    at = add(&store, "B", "a longer content", 0x3f);
    behind = add(&store, "C", "3", 0x3f);
    g_assert_cmpuint(hidden_at(&store), ==, 0);
    memset(store.bytes + at, 0xff, 60);
    check(&store, "A=1", true, false);
    g_assert_cmpuint(hidden_at(&store), ==, behind);
    store.bytes[at] = 0x12;
    check(&store, "A=1", true, false);
    g_assert_cmpuint(hidden_at(&store), ==, behind);
    /* Its own body, of a header in state 0xff: no record of its own. */
    clear(&store);
    add(&store, "A", "1", 0x3f);
    add(&store, "B", "2", 0xff);
    g_assert_cmpuint(hidden_at(&store), ==, 0);
    behind = add(&store, "C", "3", 0x3f);
    check(&store, "A=1", true, false);
    g_assert_cmpuint(hidden_at(&store), ==, behind);
}

static void test_damage(void)
{
    Store store;
    size_t at;

    clear(&store);
    add(&store, "A", "1", 0x3f);
    at = add(&store, "B", "2", 0x3f);
    add(&store, "C", "3", 0x3f);
    store.bytes[at + 2] = 0x2f;
    check(&store, "A=1 C=3", false, true);
    store.bytes[at + 2] = 0x3f;
    memset(store.bytes + at + 40, 0x7f, 4); /* data size */
    check(&store, "A=1", false, true);
    clear(&store);
    add(&store, "A", "1", 0x3f);
    add(&store, "A", "2", 0x3f);
    check(&store, "A=1", false, true);
}

static void test_offset_in_message(void)
{
    g_auto(UvFlashScan) scan = {0};
    Store store;

    clear(&store);
    store.bytes[add(&store, "A", "1", 0x3f) + 2] = 0x2f;
    g_free(shown(&store, &scan));
    g_assert_nonnull(strstr(scan.damage, "offset 0x101e:"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/flash-records/states", test_states);
    g_test_add_func("/flash-records/two-in-transition", test_two_in_transition);
    g_test_add_func("/flash-records/torn", test_torn);
    g_test_add_func("/flash-records/hole", test_hole);
    g_test_add_func("/flash-records/hidden", test_hidden);
    g_test_add_func("/flash-records/damage", test_damage);
    g_test_add_func("/flash-records/offset", test_offset_in_message);
    return g_test_run();
}
