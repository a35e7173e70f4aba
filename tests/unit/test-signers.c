/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Identities of signers between the two kinds of store; test-migrate.py has whole engines. */

#include "signers.h"

#include <string.h>

#include "certdb.h"
#include "fixture.h"
#include "uv-limits.h"

#define PRIVATE (NV | BS | RT | AT)

static GPtrArray *list_new(void)
{
    return g_ptr_array_new_with_free_func((GDestroyNotify)uv_variable_unref);
}

/* `digest` of that many bytes of `fill`; 0: none. */
static void add(GPtrArray *list, const char *name_text, char fill, size_t digest_bytes)
{
    g_autoptr(UvName) name = uv_name_new_utf8(name_text, NULL);
    g_autofree char *digest_text = g_strnfill(digest_bytes, fill);
    g_autoptr(GBytes) digest = digest_bytes ? g_bytes_new(digest_text, digest_bytes) : NULL;

    g_ptr_array_add(
        list, uv_variable_new(&(UvVariable){
                  .guid = fixture_guid, .name = name, .attributes = PRIVATE, .digest = digest}));
}

static void add_raw_certdb(GPtrArray *list, const void *bytes, size_t size)
{
    g_autoptr(UvName) name = uv_certdb_name(true);
    g_autoptr(GBytes) data = g_bytes_new(bytes, size);

    g_ptr_array_add(list, uv_variable_new(&(UvVariable){.guid = uv_guid_cert_db,
                                                        .name = name,
                                                        .attributes = uv_certdb_attributes(true),
                                                        .data = data}));
}

/* certdb with one entry, of an identity of that many bytes. */
static void add_certdb(GPtrArray *list, const char *name_text, char fill, size_t identity_bytes)
{
    g_autoptr(UvName) name = uv_name_new_utf8(name_text, NULL);
    g_autofree char *text = g_strnfill(identity_bytes, fill);
    g_autoptr(GBytes) identity = g_bytes_new(text, identity_bytes), data = NULL;
    g_auto(UvWriter) writer = uv_writer(UV_VARIABLE_MAX);

    uv_write_u32(&writer, 0);
    uv_certdb_write_entry(&writer, &fixture_guid, name, identity);
    data = uv_certdb_finish(&writer);
    add_raw_certdb(list, g_bytes_get_data(data, NULL), g_bytes_get_size(data));
}

/* "name:digest ..." by the first letter of each and its length; certdb's entries in brackets. */
static char *shown(const GPtrArray *list)
{
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < list->len; i++) {
        const UvVariable *v = list->pdata[i];
        g_autofree char *name = uv_name_to_utf8(v->name);
        UvCertdbEntry entry;

        g_string_append_printf(text, "%s%s", i ? " " : "", name);
        if (v->digest)
            g_string_append_printf(text, ":%c%zu", *(char *)g_bytes_get_data(v->digest, NULL),
                                   g_bytes_get_size(v->digest));
        if (!uv_guid_equal(&v->guid, &uv_guid_cert_db))
            continue;
        UvReader reader = uv_certdb_open(v);
        while (uv_certdb_next(&reader, &entry))
            g_string_append_printf(text, "[%c:%c%zu]", entry.name[0], entry.identity.bytes[0],
                                   entry.identity.size);
        if (!uv_reader_done(&reader))
            g_string_append(text, "[?]");
    }
    return g_string_free(text, FALSE);
}

static void expect(GPtrArray *list /* takes ownership */, bool keeps_certdb, const char *expected)
{
    g_autoptr(GPtrArray) owned = list, once = NULL, twice = NULL;
    g_autofree char *first = NULL, *second = NULL;

    once = uv_signers_convert(owned, true, keeps_certdb);
    first = shown(once);
    g_assert_cmpstr(first, ==, expected);
    twice = uv_signers_convert(once, true, keeps_certdb);
    second = shown(twice);
    g_assert_cmpstr(second, ==, expected);
}

static void test_to_certdb(void)
{
    GPtrArray *list = list_new();

    add(list, "A", 'a', 32);
    add(list, "N", 0, 0);
    add(list, "B", 'b', 64);
    expect(list, true, "A N B certdb[A:a32][B:b64]");

    list = list_new(); /* one that a converter left: the digest is newer */
    add_certdb(list, "A", 'x', 32);
    add(list, "A", 'a', 32);
    expect(list, true, "A certdb[A:a32]");

    list = list_new(); /* an entry of a variable that has none stays */
    add_certdb(list, "A", 'x', 32);
    add(list, "A", 0, 0);
    add(list, "B", 'b', 32);
    expect(list, true, "A B certdb[A:x32][B:b32]");

    list = list_new();
    add_raw_certdb(list, "\x0c\0\0\0nonsense", 12);
    add(list, "A", 'a', 32);
    expect(list, true, "certdb[?] A:a32");
}

static void test_from_certdb(void)
{
    GPtrArray *list = list_new();

    add_certdb(list, "A", 'x', 48);
    add(list, "A", 0, 0);
    add(list, "N", 0, 0);
    expect(list, false, "certdb[A:x48] A:x48 N");

    list = list_new();
    add_certdb(list, "A", 'x', 32);
    add(list, "A", 'a', 32);
    expect(list, false, "certdb[A:x32] A:a32");

    list = list_new(); /* whole certificates, as edk2 kept them long ago */
    add_certdb(list, "A", 'x', 900);
    add(list, "A", 0, 0);
    expect(list, false, "certdb[A:x900] A");

    list = list_new();
    add_raw_certdb(list, "\xff\xff\xff\xff", 4);
    add(list, "A", 0, 0);
    expect(list, false, "certdb[?] A");
}

/* More signers than the largest variable has room for: they stay where they can be seen. */
static void test_too_many(void)
{
    g_autoptr(GPtrArray) list = list_new(), converted = NULL;

    for (int i = 0; i < 1000; i++) {
        g_autofree char *name = g_strdup_printf("Variable%d", i);
        add(list, name, 'a', 64);
    }
    converted = uv_signers_convert(list, true, true);
    g_assert_cmpuint(converted->len, ==, list->len);
    for (guint i = 0; i < list->len; i++)
        g_assert_true(uv_variable_same(list->pdata[i], converted->pdata[i]));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/signers/to-certdb", test_to_certdb);
    g_test_add_func("/signers/from-certdb", test_from_certdb);
    g_test_add_func("/signers/too-many", test_too_many);
    return g_test_run();
}
