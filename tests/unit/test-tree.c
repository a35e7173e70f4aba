/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The parts of the tree that need no mount: file names, the node table, the command line. */

#include "names.h"
#include "nodes.h"
#include "options.h"

#define FUSE_USE_VERSION 312
#include <fuse3/fuse_opt.h>
#include <string.h>

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
    fs_nodes_forget(nodes, b->id, 1);

    fs_node_hold(a);
    fs_nodes_forget(nodes, id, 100); /* more than it has */
    g_assert_true(fs_nodes_get(nodes, id) == a);
    fs_nodes_drop(nodes, a);
    g_assert_null(fs_nodes_get(nodes, id));
    fs_nodes_forget(nodes, id, 1);
    g_assert_cmpuint(fs_nodes_count(nodes), ==, 1);
    fs_nodes_free(nodes);
}

/* NULL-terminated words after the program's name. */
static FsOptions *parse(struct fuse_args *fuse, GError **error, ...) G_GNUC_NULL_TERMINATED;

static FsOptions *parse(struct fuse_args *fuse, GError **error, ...)
{
    char *argv[16] = {(char *)"uefivarsfs"};
    int argc = 1;
    va_list words;

    va_start(words, error);
    while ((argv[argc] = va_arg(words, char *)))
        argc++;
    va_end(words);
    return fs_options_parse(argc, argv, fuse, error);
}

static void test_options(void)
{
    struct fuse_args fuse = FUSE_ARGS_INIT(0, NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(FsOptions) options =
        parse(&fuse, &error, "/s,o", "/at", "-o", "ro,idle=7,umask=027,sockdir=/a\\,b", "-f",
              "-ofirmware=/x:/y,view=guest,immutable=kernel,allow_other,nofail", NULL);
    g_autofree char *passed = NULL;

    g_assert_no_error(error);
    g_assert_cmpstr(options->source, ==, "/s,o");
    g_assert_cmpstr(options->mountpoint, ==, "/at");
    g_assert_true(options->read_only && options->foreground && options->immutable_kernel);
    g_assert_cmpuint(options->idle_s, ==, 7);
    g_assert_cmpuint(options->umask, ==, 027);
    g_assert_cmpstr(options->sockdir, ==, "/a,b");
    g_assert_cmpstr(options->firmware[1], ==, "/y");
    g_assert_cmpint(options->view, ==, FS_VIEW_GUEST);
    passed = g_strjoinv(" ", fuse.argv);
    g_assert_nonnull(strstr(passed, "allow_other"));
    g_assert_nonnull(strstr(passed, "fsname=/s\\,o,subtype=uefivarsfs"));
    g_assert_null(strstr(passed, "nofail"));
    g_assert_true(g_str_has_suffix(passed, "nosuid,nodev,noexec"));
    fuse_opt_free_args(&fuse);
}

static void test_wrong_options(void)
{
    static const char *const wrong[] = {
        "colour=blue", "idle",      "idle=", "idle=-1",   "engines=0",    "size=1", "umask=888",
        "view=x",      "varcheck=", "uid=x", "sock-mode", "size=8388609", "ro=1",   "sandbox=no"};

    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        struct fuse_args fuse = FUSE_ARGS_INIT(0, NULL);
        g_autoptr(GError) error = NULL;
        g_autofree char *name = g_strndup(wrong[i], strcspn(wrong[i], "="));

        g_assert_null(parse(&fuse, &error, "/s", "/at", "-o", wrong[i], NULL));
        g_assert_nonnull(error);
        g_assert_nonnull(strstr(error->message, name));
        fuse_opt_free_args(&fuse);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/tree/names", test_names);
    g_test_add_func("/tree/removable", test_removable);
    g_test_add_func("/tree/nodes", test_nodes);
    g_test_add_func("/tree/options", test_options);
    g_test_add_func("/tree/wrong-options", test_wrong_options);
    return g_test_run();
}
