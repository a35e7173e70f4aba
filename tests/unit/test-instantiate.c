/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What stores are made of: which template, of which kind, what the store becomes, and what is
 * refused. */

#include "descriptors.h"
#include "instantiate.h"

#include "fd.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct {
    char *root; /* fw/ with descriptors and images */
    char *fw;
    DescSet *set;
} World;

static void write_file(const char *folder, const char *name, const char *text, size_t size)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);

    g_assert_true(g_file_set_contents(path, text, (gssize)size, NULL));
}

static void write_descriptor(World *world, const char *name, const char *mapping,
                             const char *features)
{
    g_autofree char *text =
        g_strdup_printf("{\"interface-types\":[\"uefi\"],\"features\":[%s],\"mapping\":%s,"
                        "\"targets\":[{\"architecture\":\"x86_64\",\"machines\":[\"*\"]}]}",
                        features, mapping);

    write_file(world->fw, name, text, strlen(text));
}

static char *image(size_t size)
{
    char *bytes = g_malloc0(size);

    memcpy(bytes + 4096, "not a hole", 10);
    memcpy(bytes + size - 8, "the end", 7);
    return bytes;
}

static void set_up(World *world, gconstpointer data)
{
    g_autofree char *bytes = image(131072);
    g_autofree char *split = NULL, *combined = NULL, *host = NULL;

    world->root = g_dir_make_tmp("instantiate.XXXXXX", NULL);
    world->fw = g_build_filename(world->root, "fw", NULL);
    g_mkdir(world->fw, 0755);
    write_file(world->fw, "VARS.fd", bytes, 131072);
    write_file(world->fw, "CODE.fd", bytes, 131072);
    write_file(world->fw, "vars.json", "{\"version\":2,\"variables\":[]}", 28);
    split = g_strdup_printf("{\"device\":\"flash\",\"executable\":{\"filename\":\"%s/CODE.fd\","
                            "\"format\":\"raw\"},\"nvram-template\":{\"filename\":\"%s/VARS.fd\","
                            "\"format\":\"raw\"}}",
                            world->fw, world->fw);
    combined = g_strdup_printf("{\"device\":\"flash\",\"mode\":\"combined\",\"executable\":"
                               "{\"filename\":\"%s/CODE.fd\",\"format\":\"raw\"}}",
                               world->fw);
    host = g_strdup_printf("{\"device\":\"memory\",\"filename\":\"/fw\",\"uefi-vars-service\":"
                           "{\"template\":\"%s/vars.json\"}}",
                           world->fw);
    write_descriptor(world, "1-split.json", split, "");
    write_descriptor(world, "2-combined.json", combined, "");
    write_descriptor(world, "3-host.json", host, "\"host-uefi-vars\"");
    write_descriptor(world, "4-empty.json", "{\"device\":\"memory\",\"filename\":\"/fw\"}",
                     "\"host-uefi-vars\"");
    write_descriptor(world, "5-none.json", "{\"device\":\"memory\",\"filename\":\"/fw\"}", "");
    write_descriptor(world, "6-gone.json",
                     "{\"device\":\"flash\",\"executable\":{\"filename\":\"/gone/CODE.fd\","
                     "\"format\":\"raw\"},\"nvram-template\":{\"filename\":\"/gone/VARS.fd\","
                     "\"format\":\"raw\"}}",
                     "");
    const char *path[] = {world->fw, NULL};
    world->set = desc_set_load(path, NULL, NULL, NULL);
}

static void tear_down(World *world, gconstpointer data)
{
    g_autofree char *command = g_strdup_printf("rm -r %s", world->root);

    g_assert_cmpint(system(command), ==, 0);
    desc_set_free(world->set);
    g_free(world->fw);
    g_free(world->root);
}

static DescInstantiation *instantiation_of(World *world, const char *wish_text, GError **error)
{
    g_autoptr(DescWish) wish = desc_wish_parse(wish_text, strlen(wish_text), NULL);
    g_autoptr(DescChoice) choice = desc_resolve(world->set, wish, NULL, NULL);
    const char *folders[] = {world->fw, NULL};

    return desc_instantiation_new(choice, folders, error);
}

/* What would be copied into what, as "TEMPLATE FROM KIND", or the error's message. */
static char *decide(World *world, const char *wish_text)
{
    static const char *const kinds[] = {"unknown", "raw", "qcow2", "json"};
    g_autoptr(GError) error = NULL;
    g_autoptr(DescInstantiation) made = instantiation_of(world, wish_text, &error);
    const char *path = made ? desc_instantiation_template(made) : NULL;
    DescImageKind from, kind;

    if (!made)
        return g_strdup(error->message);
    if (!path)
        return g_strdup("empty");
    uv_autofd int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (!desc_instantiation_check(made, fd, "it is not there", &from, &kind, &error))
        return g_strdup(error->message);
    g_autofree char *name = g_path_get_basename(path);
    return g_strdup_printf("%s %s %s", name, kinds[from], kinds[kind]);
}

static void assert_decides(World *world, const char *wish_text, const char *expected)
{
    g_autofree char *decided = decide(world, wish_text);

    g_assert_cmpstr(decided, ==, expected);
}

static void assert_refuses(World *world, const char *wish_text, const char *expected)
{
    g_autofree char *decided = decide(world, wish_text);

    g_test_message("%s", decided);
    g_assert_nonnull(strstr(decided, expected));
}

static void test_split(World *world, gconstpointer data)
{
    g_autoptr(DescInstantiation) made = instantiation_of(world, "{}", NULL);

    g_assert_nonnull(strstr(desc_instantiation_pin(made), "1-split.json"));
    assert_decides(world, "{}", "VARS.fd raw raw");
}

static void test_kinds(World *world, gconstpointer data)
{
    g_autofree char *split = g_strdup_printf(
        "{\"device\":\"flash\",\"executable\":{\"filename\":\"%s/CODE.fd\",\"format\":\"qcow2\"},"
        "\"nvram-template\":{\"filename\":\"%s/VARS.fd\",\"format\":\"raw\"}}",
        world->fw, world->fw);
    const char *path[] = {world->fw, NULL};

    assert_decides(world, "{\"mode\":\"combined\"}", "CODE.fd raw raw");
    assert_decides(world, "{\"descriptor\":\"3-host.json\"}", "vars.json json json");
    assert_decides(world, "{\"descriptor\":\"4-empty.json\"}", "empty");
    write_descriptor(world, "7-qcow2.json", split, "");
    desc_set_free(world->set);
    world->set = desc_set_load(path, NULL, NULL, NULL);
    assert_decides(world, "{\"descriptor\":\"7-qcow2.json\",\"format\":\"qcow2\"}",
                   "VARS.fd raw qcow2");
}

static void test_no_store(World *world, gconstpointer data)
{
    assert_decides(world, "{\"descriptor\":\"5-none.json\"}",
                   "the chosen firmware keeps no variables");
    assert_refuses(world, "{\"machine\":\"x\",\"interface\":\"bios\"}", "no firmware satisfies");
}

static void test_template_gone(World *world, gconstpointer data)
{
    g_autofree char *template = g_build_filename(world->fw, "VARS.fd", NULL);

    assert_refuses(world, "{\"descriptor\":\"6-gone.json\"}", "no firmware satisfies");
    g_assert_cmpint(g_remove(template), ==, 0);
    assert_refuses(world, "{\"descriptor\":\"1-split.json\"}",
                   "VARS.fd: can't open the template: it is not there");
}

static void test_wished_template(World *world, gconstpointer data)
{
    g_autofree char *inside = g_strdup_printf("{\"template\":\"%s/VARS.fd\"}", world->fw);
    g_autofree char *dots = g_strdup_printf("{\"template\":\"%s/../x.fd\"}", world->fw);
    g_autofree char *wrong = g_strdup_printf("{\"template\":\"%s/vars.json\"}", world->fw);
    g_autofree char *link = g_build_filename(world->fw, "link.fd", NULL);
    g_autofree char *linked = g_strdup_printf("{\"template\":\"%s\"}", link);
    g_autofree char *beside = g_strdup_printf("{\"template\":\"%s-other/x.fd\"}", world->fw);

    g_assert_cmpint(symlink("/etc/passwd", link), ==, 0);
    assert_refuses(world, linked, "templates=");
    assert_refuses(world, beside, "templates=");
    assert_refuses(world, "{\"template\":\"/etc/passwd\"}", "templates=");
    assert_refuses(world, dots, "templates=");
    assert_refuses(world, wrong, "expected a flash image");
    assert_decides(world, inside, "VARS.fd raw raw");
}

/* In another process: the template is now a file in the folder, now a link to one outside. */
static pid_t start_swapping(const char *path, const char *inside, const char *outside)
{
    g_autofree char *temp = g_strconcat(path, ".tmp", NULL);
    pid_t pid = fork();

    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (unsigned i = 0;; i++)
        if (symlink(i % 2 ? outside : inside, temp) < 0 || rename(temp, path) < 0)
            _exit(1);
}

/* What is checked is what is open, whatever happens to its name in between. */
static void test_swapped_template(World *world, gconstpointer data)
{
    g_autofree char *inside = g_build_filename(world->fw, "inside.json", NULL);
    g_autofree char *outside = g_build_filename(world->root, "outside.json", NULL);
    g_autofree char *path = g_build_filename(world->fw, "swapped.json", NULL);
    g_autofree char *name = g_path_get_basename(outside);
    const char *folders[] = {world->fw, NULL};
    g_autoptr(DescInstantiation) made = desc_instantiation_of_template(path, folders, NULL);
    unsigned taken = 0;

    write_file(world->fw, "inside.json", "{}", 2);
    write_file(world->fw, "swapped.json", "{}", 2);
    write_file(world->root, name, "secret", 6);
    pid_t pid = start_swapping(path, inside, outside);
    for (int i = 0; i < 20000 && taken < 2000; i++) {
        uv_autofd int fd = open(path, O_RDONLY | O_CLOEXEC);
        DescImageKind from, kind;

        if (fd < 0 || !desc_instantiation_check(made, fd, "", &from, &kind, NULL))
            continue;
        taken++;
        g_assert_cmpint(from, ==, DESC_IMAGE_JSON); /* "secret" would be no JSON */
    }
    g_assert_cmpint(kill(pid, SIGKILL), ==, 0);
    g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
    g_assert_cmpuint(taken, >, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, test) g_test_add("/instantiate/" name, World, NULL, set_up, test, tear_down)
    ADD("split", test_split);
    ADD("kinds", test_kinds);
    ADD("no-store", test_no_store);
    ADD("template-gone", test_template_gone);
    ADD("wished-template", test_wished_template);
    ADD("swapped-template", test_swapped_template);
    return g_test_run();
}
