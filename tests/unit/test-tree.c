/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The parts of the tree that need no mount: file names, and the node table. */

#include "collected.h"
#include "names.h"
#include "nodes.h"

#include <errno.h>

#define RUNTIME_FILE "b2ac5fc9-92b7-4acd-aeac-11e818c3130c"
#define GUID "00112233-4455-6677-8899-aabbccddeeff"
#define GLOBAL "8be4df61-93ca-11d2-aa0d-00e098032b8c"

static void test_names(void)
{
    static const struct {
        const char *name, *canonical; /* NULL: no variable's */
    } rows[] = {
        {"A-" GUID, "A-" GUID},     {"A-00112233-4455-6677-8899-AABBCCDDEEFF", "A-" GUID},
        {"a-b-" GUID, "a-b-" GUID}, {"%2F-" GUID, "%2F-" GUID},
        {"-" GUID, NULL},           {GUID, NULL},
        {"A" GUID, NULL},           {"A-00112233-4455-6677-8899-aabbccddeefg", NULL},
        {"A-" GUID "x", NULL},      {".A-" GUID ".Xa3Ftu", NULL},
        {"\xff-" GUID, NULL},
    };
    char canonical[UV_FILE_NAME_MAX + 1];

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_test_message("%s", rows[i].name);
        g_assert_cmpint(fs_name_canonical(rows[i].name, canonical), ==, rows[i].canonical != NULL);
        if (rows[i].canonical)
            g_assert_cmpstr(canonical, ==, rows[i].canonical);
    }
}

static void test_removable(void)
{
    g_assert_true(fs_name_is_removable("Boot00fF-" GLOBAL));
    g_assert_true(fs_name_is_removable("BootOrder-" GLOBAL));
    g_assert_true(fs_name_is_removable("dump-type0-cfc8fc79-be2e-4ddc-97f0-9f98bfe298a0"));
    g_assert_false(fs_name_is_removable("Boot00fg-" GLOBAL));
    g_assert_false(fs_name_is_removable("Boot00000-" GLOBAL));
    g_assert_false(fs_name_is_removable("BootOrder-" GUID));
    g_assert_false(fs_name_is_removable("PK-" GLOBAL));
    g_assert_true(fs_name_is_hidden("X-1ce1e5bc-7ceb-42f2-81e5-8aadf180f57b", false));
    g_assert_true(fs_name_is_hidden("X-1ce1e5bc-7ceb-42f2-81e5-8aadf180f57b", true));
    g_assert_false(fs_name_is_hidden("X-" GUID, false));
    g_assert_true(fs_name_is_hidden("VarToFile-" RUNTIME_FILE, false));
    g_assert_true(fs_name_is_hidden("RTStorageVolatile-" RUNTIME_FILE, false));
    g_assert_false(fs_name_is_hidden("VarToFile-" RUNTIME_FILE, true));
    g_assert_false(fs_name_is_hidden("VarToFile-" GUID, false));
    g_assert_false(fs_name_is_hidden("VarToFiles-" RUNTIME_FILE, false));
}

/* What programs write beside a file, and what they do not. */
static void test_staging(void)
{
    static const struct {
        const char *name;
        bool is_staging;
    } rows[] = {
        {".A-" GUID ".Xa3Ftu", true}, /* rsync */
        {"sedXy12_-", true},
        {"tmp-1", true},
        {"4913", true}, /* vim */
        {"A-" GUID "~", true},
        {"#A-" GUID "#", true},
        {"A-" GUID ".tmp", true},
        {"config.json.new", true},
        {"store.img.part_1", true},
        {"sed", true},
        {"sed x", false},
        {"tmp.x", false},
        {"#half", false},
        {"half#", false},
        {"4913x", false},
        {"A-" GUID, false},
        {"A-" GUID ".", false},
        {"A-" GUID ".a b", false},
        {"B.tmp", false},
        {"config.json", false},
        {"name", false},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_test_message("%s", rows[i].name);
        g_assert_cmpint(fs_name_is_staging(rows[i].name), ==, rows[i].is_staging);
    }
}

static void test_too_long(void)
{
    g_autofree char *long_part = g_strnfill(UV_FILE_NAME_MAX, 'x');
    g_autofree char *name = g_strconcat(long_part, "-" GUID, NULL);
    char folded[UV_FILE_NAME_MAX + 1];

    g_assert_false(fs_name_fold(name, folded));
    g_assert_true(fs_name_is_hidden(name, false)); /* no path leads there */
}

static int collect(FsCollected *collected, size_t size, size_t offset)
{
    g_autofree char *text = g_strnfill(size, 'x');
    g_autoptr(GBytes) piece = g_bytes_new(text, size);

    return fs_collected_write(collected, piece, offset);
}

static void test_collected(void)
{
    FsCollected *collected = fs_collected_new(8);

    g_assert_null(fs_collected_take(collected));
    g_assert_cmpint(collect(collected, 0, 0), ==, 0);
    g_assert_null(fs_collected_take(collected)); /* nothing was written */
    g_assert_cmpint(collect(collected, 1, 9), ==, EFBIG);
    g_assert_cmpint(collect(collected, 2, 7), ==, EFBIG);
    g_assert_cmpint(fs_collected_resize(collected, 9), ==, EFBIG);
    g_assert_null(fs_collected_take(collected));
    g_assert_cmpint(collect(collected, 2, 4), ==, 0);
    g_autoptr(GBytes) whole = fs_collected_take(collected);
    g_assert_cmpmem(g_bytes_get_data(whole, NULL), g_bytes_get_size(whole), "\0\0\0\0xx", 6);
    g_assert_null(fs_collected_take(collected));
    g_assert_cmpint(collect(collected, 1, 0), ==, 0); /* within what is there */
    g_autoptr(GBytes) again = fs_collected_take(collected);
    g_assert_cmpmem(g_bytes_get_data(again, NULL), g_bytes_get_size(again), "x\0\0\0xx", 6);
    g_assert_cmpint(fs_collected_resize(collected, 0), ==, 0);
    g_assert_null(fs_collected_take(collected)); /* emptied: not yet written anew */
    fs_collected_free(collected);
}

static void test_nodes(void)
{
    FsNodes *nodes = fs_nodes_new();
    FsNode *root = fs_nodes_add(nodes, NULL, NULL, "", 1);
    FsNode *a, *b;
    uint64_t id;

    g_assert_cmpuint(root->id, ==, 1);
    fs_node_hold(root);
    a = fs_nodes_add(nodes, NULL, root, "a", 10);
    b = fs_nodes_add(nodes, NULL, root, "b", 11);
    g_assert_true(fs_nodes_child(nodes, root, "a") == a);
    g_assert_null(fs_nodes_child(nodes, a, "b"));
    a->lookups = 3;
    b->lookups = 1;
    id = a->id;
    fs_nodes_forget(nodes, id, 2);
    g_assert_true(fs_nodes_get(nodes, id) == a);

    fs_nodes_rename(nodes, a, "b"); /* takes b's place */
    g_assert_true(fs_nodes_child(nodes, root, "b") == a);
    g_assert_true(b->gone && !b->hashed);
    g_assert_null(fs_nodes_child(nodes, root, "a"));
    const uint64_t other_id = b->id;
    fs_nodes_forget(nodes, b->id, 1);

    fs_node_hold(a);
    fs_nodes_forget(nodes, id, 100); /* more than it has */
    g_assert_true(fs_nodes_get(nodes, id) == a);
    fs_nodes_drop(nodes, a);
    g_assert_null(fs_nodes_get(nodes, id));
    fs_nodes_forget(nodes, id, 1);
    g_assert_null(fs_nodes_get(nodes, other_id));
    fs_nodes_free(nodes);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/tree/names", test_names);
    g_test_add_func("/tree/removable", test_removable);
    g_test_add_func("/tree/staging", test_staging);
    g_test_add_func("/tree/too-long", test_too_long);
    g_test_add_func("/tree/collected", test_collected);
    g_test_add_func("/tree/nodes", test_nodes);
    return g_test_run();
}
