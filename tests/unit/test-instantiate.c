/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Stores made from choices: what is in them, who owns them, and what is left when it can't be done.
 */

#include "descriptors.h"
#include "instantiate.h"

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
    char *root; /* fw/ with descriptors and images, guest/ for the store */
    char *fw;
    DescSet *set;
    int guest_fd;
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
    g_autofree char *guest = NULL, *split = NULL, *combined = NULL, *host = NULL;

    world->root = g_dir_make_tmp("instantiate.XXXXXX", NULL);
    world->fw = g_build_filename(world->root, "fw", NULL);
    guest = g_build_filename(world->root, "guest", NULL);
    g_mkdir(world->fw, 0755);
    g_mkdir(guest, 0755);
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
    world->set = desc_set_load(path, NULL, NULL);
    g_autofree char *sidecars = g_build_filename(guest, ".uefivarsfs", NULL);
    g_assert_cmpint(g_mkdir_with_parents(sidecars, 0700), ==, 0);
    world->guest_fd = open(guest, O_RDONLY | O_DIRECTORY);
    g_assert_cmpint(world->guest_fd, >=, 0);
}

static void tear_down(World *world, gconstpointer data)
{
    g_autofree char *command = g_strdup_printf("rm -r %s", world->root);

    g_assert_cmpint(system(command), ==, 0);
    close(world->guest_fd);
    desc_set_free(world->set);
    g_free(world->fw);
    g_free(world->root);
}

/* Resolves, instantiates as vars.fd; the error's message or NULL. */
static char *make(World *world, const char *wish_text, uid_t uid)
{
    g_autoptr(DescWish) wish = desc_wish_parse(wish_text, strlen(wish_text), NULL);
    g_autoptr(DescChoice) choice = desc_resolve(world->set, wish, NULL, NULL);
    const char *folders[] = {world->fw, NULL};
    g_autoptr(GError) error = NULL;
    g_autoptr(DescInstantiation) made = desc_instantiation_new(choice, folders, &error);

    int sidecars = openat(world->guest_fd, ".uefivarsfs", O_RDONLY | O_DIRECTORY);
    bool run = made &&
               desc_instantiation_run(made, world->guest_fd, sidecars, "vars.fd", uid, uid, &error);
    close(sidecars);
    return run ? NULL : g_strdup(error->message);
}

static char *read_made(World *world, const char *name, size_t *ret_size)
{
    g_autofree char *path = g_build_filename(world->root, "guest", name, NULL);
    char *text = NULL;

    *ret_size = 0;
    g_file_get_contents(path, &text, ret_size, NULL);
    return text;
}

static void assert_made(World *world, const char *bytes, size_t size)
{
    size_t got;
    g_autofree char *text = read_made(world, "vars.fd", &got);

    g_assert_cmpmem(text, got, bytes, size);
}

static void assert_nothing_left(World *world)
{
    g_assert_cmpint(faccessat(world->guest_fd, "vars.fd", F_OK, 0), <, 0);
    g_assert_cmpint(faccessat(world->guest_fd, ".uefivarsfs/vars.fd.new", F_OK, 0), <, 0);
}

static void test_split(World *world, gconstpointer data)
{
    g_autofree char *bytes = image(131072);
    size_t size;
    g_autofree char *pin = NULL;
    uid_t owner = geteuid() == 0 ? 12345 : geteuid();
    struct stat st;

    g_assert_null(make(world, "{}", owner));
    assert_made(world, bytes, 131072);
    pin = read_made(world, ".uefivarsfs/vars.fd.pin", &size);
    g_assert_nonnull(strstr(pin, "1-split.json"));
    g_assert_cmpint(fstatat(world->guest_fd, "vars.fd", &st, 0), ==, 0);
    g_assert_cmpuint(st.st_uid, ==, owner);
    g_assert_cmpuint(st.st_mode & 07777, ==, 0600);
    g_assert_cmpint(faccessat(world->guest_fd, ".uefivarsfs/vars.fd.new", F_OK, 0), <, 0);
}

/* The second time there is a store, and it stays as it is. */
static void test_exists(World *world, gconstpointer data)
{
    g_autofree char *bytes = image(131072);
    g_autofree char *message = NULL;

    g_assert_null(make(world, "{}", geteuid()));
    message = make(world, "{\"descriptor\":\"3-host.json\"}", geteuid());
    g_assert_nonnull(strstr(message, "File exists"));
    assert_made(world, bytes, 131072);
}

static void test_combined(World *world, gconstpointer data)
{
    g_autofree char *bytes = image(131072);

    g_assert_null(make(world, "{\"mode\":\"combined\"}", geteuid()));
    assert_made(world, bytes, 131072);
}

static void test_json(World *world, gconstpointer data)
{
    g_assert_null(make(world, "{\"descriptor\":\"3-host.json\"}", geteuid()));
    assert_made(world, "{\"version\":2,\"variables\":[]}", 28);
}

static void test_json_empty(World *world, gconstpointer data)
{
    size_t size;
    g_autofree char *text = NULL;

    g_assert_null(make(world, "{\"descriptor\":\"4-empty.json\"}", geteuid()));
    text = read_made(world, "vars.fd", &size);
    g_assert_nonnull(strstr(text, "\"version\": 2"));
}

static void test_no_store(World *world, gconstpointer data)
{
    g_autofree char *none = make(world, "{\"descriptor\":\"5-none.json\"}", geteuid());
    g_autofree char *nothing = make(world, "{\"machine\":\"x\",\"interface\":\"bios\"}", geteuid());

    g_assert_cmpstr(none, ==, "the chosen firmware keeps no variables");
    g_assert_nonnull(strstr(nothing, "no firmware satisfies"));
    assert_nothing_left(world);
}

static void test_template_gone(World *world, gconstpointer data)
{
    g_autofree char *never = make(world, "{\"descriptor\":\"6-gone.json\"}", geteuid());
    g_autofree char *template = g_build_filename(world->fw, "VARS.fd", NULL);
    g_autofree char *place = g_strconcat(template, ": can't open the template", NULL);

    g_assert_nonnull(strstr(never, "no firmware satisfies"));
    g_assert_cmpint(g_remove(template), ==, 0);
    g_autofree char *message = make(world, "{\"descriptor\":\"1-split.json\"}", geteuid());
    g_assert_true(g_str_has_prefix(message, place));
    assert_nothing_left(world);
}

static void test_wished_template(World *world, gconstpointer data)
{
    g_autofree char *inside = g_strdup_printf("{\"template\":\"%s/VARS.fd\"}", world->fw);
    g_autofree char *dots = g_strdup_printf("{\"template\":\"%s/../guest/x.fd\"}", world->fw);
    g_autofree char *wrong = g_strdup_printf("{\"template\":\"%s/vars.json\"}", world->fw);
    g_autofree char *link = g_build_filename(world->fw, "link.fd", NULL);
    g_autofree char *linked = g_strdup_printf("{\"template\":\"%s\"}", link);
    g_autofree char *beside = g_strdup_printf("{\"template\":\"%s-other/x.fd\"}", world->fw);
    g_assert_cmpint(symlink("/etc/passwd", link), ==, 0);
    g_autofree char *linked_message = make(world, linked, geteuid());
    g_autofree char *beside_message = make(world, beside, geteuid());
    g_autofree char *outside_message = make(world, "{\"template\":\"/etc/passwd\"}", geteuid());
    g_autofree char *dots_message = make(world, dots, geteuid());
    g_autofree char *wrong_message = make(world, wrong, geteuid());

    g_assert_nonnull(strstr(outside_message, "templates="));
    g_assert_nonnull(strstr(dots_message, "templates="));
    g_assert_nonnull(strstr(linked_message, "templates="));
    g_assert_nonnull(strstr(beside_message, "templates="));
    g_assert_nonnull(strstr(wrong_message, "expected a flash image"));
    assert_nothing_left(world);
    g_assert_null(make(world, inside, geteuid()));
}

/* Debian's templates are in /usr, guests often on a file system of their own, of another kind. */
static void test_another_file_system(World *world, gconstpointer data)
{
    g_autofree char *bytes = image(131072);
    char folder[] = "/dev/shm/instantiate.XXXXXX";
    struct stat here, there;

    if (!g_mkdtemp(folder) || fstat(world->guest_fd, &here) < 0 || stat(folder, &there) < 0 ||
        here.st_dev == there.st_dev) {
        g_test_skip("no other file system");
        g_rmdir(folder);
        return;
    }
    write_file(folder, "VARS.fd", bytes, 131072);
    g_autofree char *path = g_build_filename(folder, "VARS.fd", NULL);
    g_autofree char *wish_text = g_strdup_printf("{\"template\":\"%s\"}", path);
    g_autoptr(DescWish) wish = desc_wish_parse(wish_text, strlen(wish_text), NULL);
    g_autoptr(DescChoice) choice = desc_resolve(world->set, wish, NULL, NULL);
    const char *folders[] = {folder, NULL};
    g_autoptr(GError) error = NULL;
    g_autoptr(DescInstantiation) made = desc_instantiation_new(choice, folders, &error);
    int sidecars = openat(world->guest_fd, ".uefivarsfs", O_RDONLY | O_DIRECTORY);

    g_assert_no_error(error);
    desc_instantiation_run(made, world->guest_fd, sidecars, "vars.fd", geteuid(), getegid(),
                           &error);
    close(sidecars);
    g_unlink(path);
    g_rmdir(folder);
    g_assert_no_error(error);
    assert_made(world, bytes, 131072);
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

/* What is checked is what is opened, whatever happens to its name in between. */
static void test_swapped_template(World *world, gconstpointer data)
{
    g_autofree char *inside = g_build_filename(world->fw, "inside.json", NULL);
    g_autofree char *outside = g_build_filename(world->root, "outside.json", NULL);
    g_autofree char *path = g_build_filename(world->fw, "swapped.json", NULL);
    g_autofree char *name = g_path_get_basename(outside);
    const char *folders[] = {world->fw, NULL};
    unsigned taken = 0;

    write_file(world->fw, "inside.json", "{}", 2);
    write_file(world->fw, "swapped.json", "{}", 2);
    write_file(world->root, name, "secret", 6);
    pid_t pid = start_swapping(path, inside, outside);
    for (int i = 0; i < 20000 && taken < 2000; i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(DescInstantiation) made = desc_instantiation_of_template(path, folders, &error);

        if (!made)
            continue;
        taken++;
        g_assert_true(desc_instantiation_is_json(made)); /* "secret" would be no JSON */
    }
    g_assert_cmpint(kill(pid, SIGKILL), ==, 0);
    g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
    g_assert_cmpuint(taken, >, 0);
}

static void test_convert(World *world, gconstpointer data)
{
    g_autofree char *qemu_img = g_find_program_in_path("qemu-img");
    g_autofree char *text = NULL;
    size_t size;

    if (!qemu_img) {
        g_test_skip("qemu-img is not installed");
        return;
    }
    g_autofree char *split = g_strdup_printf(
        "{\"device\":\"flash\",\"executable\":{\"filename\":\"%s/CODE.fd\",\"format\":\"qcow2\"},"
        "\"nvram-template\":{\"filename\":\"%s/VARS.fd\",\"format\":\"raw\"}}",
        world->fw, world->fw);
    write_descriptor(world, "7-qcow2.json", split, "");
    const char *path[] = {world->fw, NULL};
    desc_set_free(world->set);
    world->set = desc_set_load(path, NULL, NULL);
    g_assert_null(make(world, "{\"descriptor\":\"7-qcow2.json\",\"format\":\"qcow2\"}", geteuid()));
    text = read_made(world, "vars.fd", &size);
    g_assert_cmpmem(text, 4, "QFI\xfb", 4);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, test) g_test_add("/instantiate/" name, World, NULL, set_up, test, tear_down)
    ADD("split", test_split);
    ADD("exists", test_exists);
    ADD("combined", test_combined);
    ADD("json", test_json);
    ADD("json-empty", test_json_empty);
    ADD("no-store", test_no_store);
    ADD("template-gone", test_template_gone);
    ADD("wished-template", test_wished_template);
    ADD("another-file-system", test_another_file_system);
    ADD("swapped-template", test_swapped_template);
    ADD("convert", test_convert);
    return g_test_run();
}
