/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The resolver by tables: descriptors/rules/ is a world of descriptors, each row a wish and the
 * name it must resolve to; descriptors/malformed/ has one file a mistake, with what must be said of
 * it.
 */

#include "desc.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *data_path(const char *name)
{
    return g_test_build_filename(G_TEST_DIST, "descriptors", name, NULL);
}

/* Below /fw/ all files are there, and what their suffixes say; the volumes are those of Debian's
 * images. */
static bool look(const char *path, DescImage *ret_image, void *data)
{
    DescImage image = {.kind = DESC_IMAGE_RAW, .bytes = 540672, .volume_bytes = 540672};

    if (g_str_has_suffix(path, ".json"))
        image = (DescImage){.kind = DESC_IMAGE_JSON, .bytes = 100};
    else if (g_str_has_suffix(path, ".qcow2"))
        image = (DescImage){.kind = DESC_IMAGE_QCOW2, .bytes = 540672};
    else if (g_str_has_prefix(path, "/fw/arm"))
        image = (DescImage){.kind = DESC_IMAGE_RAW, .bytes = 64 << 20, .volume_bytes = 786432};
    errno = ENOENT;
    if (g_str_has_prefix(path, "/fw/"))
        *ret_image = image;
    return g_str_has_prefix(path, "/fw/");
}

static DescSet *load_rules(void)
{
    g_autofree char *folder = data_path("rules");
    const char *path[] = {folder, NULL};

    return desc_set_load(path, "x86_64", look, NULL);
}

static DescWish *wish_of(const char *text)
{
    g_autoptr(GError) error = NULL;
    DescWish *wish = desc_wish_parse(text, strlen(text), &error);

    g_assert_no_error(error);
    return wish;
}

/* The name of what a wish resolves to; "" for nothing. */
static const char *resolve(const DescSet *set, const char *wish_text, const char *pin)
{
    g_autoptr(DescWish) wish = wish_of(wish_text);
    g_autoptr(DescChoice) choice = desc_resolve(set, wish, pin, NULL);
    const Desc *desc = desc_choice_desc(choice);

    return desc ? g_intern_string(desc_name(desc)) : "";
}

typedef struct {
    const char *rule;
    const char *wish;
    const char *expected;
} MatchRow;

static const MatchRow match_rows[] = {
    {"absent/host", "{}", "20-enrolled.json"},
    {"absent/host-with-a-machine", "{\"machine\":\"q35\"}", "20-enrolled.json"},
    {"interface/bios", "{\"interface\":\"bios\"}", "90-bios.json"},
    {"interface/none-has-it", "{\"interface\":\"openfirmware\"}", ""},
    {"machine/alias-q35", "{\"architecture\":\"x86_64\",\"machine\":\"q35\"}", "20-enrolled.json"},
    {"machine/alias-pc", "{\"architecture\":\"x86_64\",\"machine\":\"pc\"}", "40-plain-qcow2.json"},
    {"machine/alias-virt", "{\"architecture\":\"aarch64\",\"machine\":\"virt\"}", "80-arm.json"},
    {"machine/versioned", "{\"machine\":\"pc-q35-9.2\"}", "20-enrolled.json"},
    {"machine/question-mark", "{\"machine\":\"sbsa-ref\",\"interface\":\"uefi\"}",
     "81-arm-glob.json"},
    {"machine/no-brackets", "{\"machine\":\"raspi3b\",\"architecture\":\"aarch64\"}", ""},
    {"machine/second-target", "{\"architecture\":\"i386\",\"machine\":\"pc-i440fx-4.0\"}",
     "90-bios.json"},
    {"machine/of-another-architecture", "{\"machine\":\"virt\",\"interface\":\"uefi\"}",
     "80-arm.json"},
    {"machine/wrong-architecture", "{\"architecture\":\"s390x\"}", ""},
    {"s3/required", "{\"features\":{\"acpi-s3\":true},\"machine\":\"pc\",\"format\":\"raw\"}",
     "50-plain.json"},
    {"s4/required", "{\"features\":{\"acpi-s4\":true},\"interface\":\"bios\"}", "90-bios.json"},
    {"secure-boot/required", "{\"features\":{\"secure-boot\":true}}", "20-enrolled.json"},
    {"secure-boot/refused", "{\"features\":{\"secure-boot\":false}}", "40-plain-qcow2.json"},
    {"enrolled/required", "{\"features\":{\"enrolled-keys\":true}}", "20-enrolled.json"},
    {"enrolled/refused", "{\"features\":{\"enrolled-keys\":false}}", "30-secure.json"},
    {"enrolled/refused-secure-required",
     "{\"features\":{\"enrolled-keys\":false,\"secure-boot\":true}}", "30-secure.json"},
    {"smm/refused", "{\"features\":{\"requires-smm\":false},\"format\":\"raw\"}", "50-plain.json"},
    {"smm/required", "{\"features\":{\"requires-smm\":true,\"enrolled-keys\":false}}",
     "30-secure.json"},
    {"tie/first-name-wins",
     "{\"features\":{\"acpi-s3\":true,\"secure-boot\":false},\"format\":\"raw\"}", "50-plain.json"},
    {"format/qcow2", "{\"format\":\"qcow2\"}", "40-plain-qcow2.json"},
    {"format/any-is-default", "{\"features\":{\"acpi-s4\":true}}", "40-plain-qcow2.json"},
    {"mode/stateless", "{\"mode\":\"stateless\"}", "60-stateless.json"},
    {"mode/stateless-in-memory", "{\"mode\":\"stateless\",\"device\":\"memory\"}",
     "70-host-vars.json"},
    {"mode/split-is-not-in-memory", "{\"mode\":\"split\",\"device\":\"memory\"}", ""},
    {"pick/qcow2-needs-no-format", "{\"descriptor\":\"40-plain-qcow2.json\"}",
     "40-plain-qcow2.json"},
    {"mode/combined", "{\"mode\":\"combined\"}", "61-combined.json"},
    {"mode/split-is-the-default-of-a-descriptor",
     "{\"mode\":\"split\",\"features\":{\"enrolled-keys\":false}}", "30-secure.json"},
    {"device/memory", "{\"device\":\"memory\"}", "70-host-vars.json"},
    {"device/kernel-only-when-asked", "{\"interface\":\"uboot\"}", ""},
    {"device/kernel", "{\"device\":\"kernel\"}", "11-kernel.json"},
    {"device/igvm-only-when-asked", "{\"features\":{\"amd-sev-snp\":true}}", ""},
    {"device/igvm", "{\"device\":\"igvm\"}", "10-igvm.json"},
    {"host-uefi-vars/required", "{\"features\":{\"host-uefi-vars\":true}}", "70-host-vars.json"},
    {"launch-security/sev", "{\"features\":{\"amd-sev\":true}}", "60-stateless.json"},
    {"launch-security/sev-es", "{\"features\":{\"amd-sev-es\":true}}", "60-stateless.json"},
    {"launch-security/tdx", "{\"features\":{\"intel-tdx\":true}}", "71-tdx.json"},
    {"pick/by-name", "{\"descriptor\":\"51-tie.json\"}", "51-tie.json"},
    {"pick/must-still-fit", "{\"descriptor\":\"51-tie.json\",\"machine\":\"virt\"}", ""},
    {"pick/unknown", "{\"descriptor\":\"99-nothing.json\"}", ""},
};

static void test_match(gconstpointer data)
{
    const MatchRow *row = data;
    g_autoptr(DescSet) set = load_rules();

    g_assert_cmpstr(resolve(set, row->wish, NULL), ==, row->expected);
}

/* A wish that names neither architecture nor machine. */
static void test_host(void)
{
    g_autofree char *folder = data_path("rules");
    const char *path[] = {folder, NULL};
    g_autoptr(DescSet) set = desc_set_load(path, "aarch64", look, NULL);
    g_autoptr(DescSet) other = desc_set_load(path, "s390x", look, NULL);

    g_assert_cmpstr(resolve(set, "{}", NULL), ==, "80-arm.json");
    g_assert_cmpstr(resolve(set, "{\"interface\":\"bios\"}", NULL), ==, "90-bios.json");
    g_assert_cmpstr(resolve(set, "{\"machine\":\"q35\"}", NULL), ==, "05-ia32.json");
    g_assert_cmpstr(resolve(other, "{}", NULL), ==, "05-ia32.json");
}

typedef struct {
    const char *name;
    const char *text;
    const char *says;
} WishRow;

static const WishRow bad_wishes[] = {
    {"unknown-key", "{\n\"machine\":\"q35\",\n\"mashine\":1}",
     "config.json:3: mashine: unknown key"},
    {"not-an-object", "[]", "config.json:1:1: expected an object"},
    {"incomplete", "{\"machine\":", "config.json:1:12: machine: expected a '}'"},
    {"architecture-type", "{\"architecture\":5}", "architecture: expected a string"},
    {"architecture-word", "{\"architecture\":\"amd64\"}", "unknown architecture 'amd64'"},
    {"interface-word", "{\"interface\":\"efi\"}", "unknown interface 'efi'"},
    {"device-word", "{\"device\":\"rom\"}", "unknown device 'rom'"},
    {"mode-word", "{\"mode\":\"both\"}", "unknown mode 'both'"},
    {"format-word", "{\"format\":\"vmdk\"}", "unknown format 'vmdk'"},
    {"features-type", "{\"features\":[\"secure-boot\"]}", "features: expected an object"},
    {"feature-word", "{\"features\":{\"secureboot\":true}}", "secureboot: unknown feature"},
    {"feature-type", "{\"features\":{\"secure-boot\":\"yes\"}}", "expected true or false"},
    {"keys-without-secure-boot", "{\"features\":{\"enrolled-keys\":true,\"secure-boot\":false}}",
     "secure-boot is refused"},
    {"machine-empty", "{\"machine\":\"\"}", "machine: expected a machine type"},
    {"machine-lines", "{\"machine\":\"pc-q35-9.0\\n-netdev\\ntap,script=/x\"}",
     "machine: expected a machine type"},
    {"machine-properties", "{\"machine\":\"q35,accel=tcg\"}", "machine: expected a machine type"},
    {"machine-glob", "{\"machine\":\"raspi[34]b\"}", "machine: expected a machine type"},
    {"machine-option", "{\"machine\":\"-monitor\"}", "machine: expected a machine type"},
    {"descriptor-lines", "{\"descriptor\":\"a\\nb.json\"}", "descriptor: expected a file name"},
    {"descriptor-hidden", "{\"descriptor\":\".a.json\"}", "descriptor: expected a file name"},
    {"template-relative", "{\"template\":\"t.json\"}", "template: expected an absolute path"},
    {"template-lines", "{\"template\":\"/t\\n.json\"}", "template: expected an absolute path"},
    {"word-lines", "{\"mode\":\"a\\nb\"}", "unknown mode 'a?b'"},
    {"descriptor-path", "{\"descriptor\":\"../x.json\"}", "expected a file name"},
    {"size-type", "{\"size\":\"big\"}", "size: expected a whole number"},
    {"size-negative", "{\"size\":-1}", "size: expected a whole number"},
    {"size-zero", "{\"size\":0}", "size: expected 4096 to 8388608 bytes"},
    {"size-small", "{\"size\":4095}", "size: expected 4096 to 8388608 bytes"},
    {"size-large", "{\"size\":8388609}", "size: expected 4096 to 8388608 bytes"},
    {"key-twice", "{\"machine\":\"q35\",\n\"machine\":\"pc\"}",
     "config.json:2:1: machine: expected each member once"},
    {"key-twice-escaped", "{\"size\":65536,\"s\\u0069ze\":65536}",
     "1:15: size: expected each member once"},
    {"feature-twice", "{\"features\":{\"secure-boot\":true,\n\"secure-boot\":true}}",
     "config.json:2:1: secure-boot: expected each member once"},
    {"nul-in-text", "{\"mode\":\"split\",\n\"machine\":\"q35\\u0000\"}",
     "config.json:2:15: machine: expected a character other than NUL"},
    {"nul-in-key", "{\n\"machine\\u0000x\":\"q35\"}",
     "config.json:2:9: machine: expected a character other than NUL"},
    {"comment", "{\n/* none */ \"size\":65536}", "config.json:2:1: expected a member's name"},
    {"single-quotes", "{'size':65536}",
     "config.json:1:2: expected a member's name in double quotes"},
    {"octal", "{\"mode\":\"split\", \"size\": 0200000}",
     "config.json:1:26: size: expected a number without leading zeros"},
    {"hexadecimal", "{\"size\":0x10000}", "1:10: size: expected ','"},
    {"binary", "{\"size\":0b1000000000000}", "1:10: size: expected ','"},
    {"unknown-escape", "{\"template\":\"q\\x35\"}", "1:15: template: expected an escape"},
    {"half-a-pair", "{\"template\":\"\\ud800x\"}", "template: expected a whole surrogate pair"},
    {"line-break-in-text", "{\"template\":\"a\nb\"}", "1:15: template: expected no control"},
    {"nul-first", "{\"machine\":\"\\u0000\"}",
     "1:13: machine: expected a character other than NUL"},
    {"force-type", "{\"force-secure-boot\":1}", "expected true or false"},
};

static void test_bad_wish(gconstpointer data)
{
    const WishRow *row = data;
    g_autoptr(GError) error = NULL;
    DescWish *wish = desc_wish_parse(row->text, strlen(row->text), &error);

    g_assert_null(wish);
    g_assert_nonnull(strstr(error->message, row->says));
}

/* A backslash that is itself escaped begins nothing. */
static void test_wish_backslash(void)
{
    g_autoptr(DescWish) wish = wish_of("{\"template\":\"/a\\\\u0000.json\"}");

    g_assert_cmpstr(desc_wish_template(wish), ==, "/a\\u0000.json");
}

static void test_wish_settings(void)
{
    g_autoptr(DescWish) wish = wish_of("{\"size\":65536,\"force-secure-boot\":true,"
                                       "\"disable-custom-mode\":true,\"template\":\"/t.json\"}");
    g_autoptr(DescWish) empty = wish_of("{}");

    g_assert_cmpuint(desc_wish_engine(wish)->size_bytes, ==, 65536);
    g_assert_true(desc_wish_engine(wish)->force_secure_boot);
    g_assert_true(desc_wish_engine(wish)->disable_custom_mode);
    g_assert_cmpstr(desc_wish_template(wish), ==, "/t.json");
    g_assert_false(desc_wish_asks_for_firmware(wish));
    g_assert_cmpuint(desc_wish_engine(empty)->size_bytes, ==, 0);
    g_assert_false(desc_wish_engine(empty)->force_secure_boot);
    g_assert_null(desc_wish_template(empty));
}

/* Every malformed file is unusable, says its name with a line and the reason, and hurts no other.
 */
static void test_malformed(void)
{
    g_autofree char *folder = data_path("malformed");
    g_autofree char *table = g_build_filename(folder, "expected.tsv", NULL);
    g_autofree char *text = NULL;
    const char *path[] = {folder, NULL};
    g_autoptr(DescSet) set = desc_set_load(path, "x86_64", look, NULL);
    g_auto(GStrv) rows = NULL;
    guint n = 0;

    g_assert_true(g_file_get_contents(table, &text, NULL, NULL));
    rows = g_strsplit(g_strchomp(text), "\n", -1);
    for (char **row = rows; *row; row++, n++) {
        g_auto(GStrv) columns = g_strsplit(*row, "\t", 2);
        const Desc *desc = desc_set_find(set, columns[0]);
        g_autofree char *place = NULL;
        const char *problem;

        g_assert_nonnull(desc);
        problem = desc->problem;
        g_test_message("%s: %s", columns[0], problem ? problem : "(usable)");
        g_assert_nonnull(problem);
        place = g_strconcat(desc->path, ":", NULL);
        g_assert_true(g_str_has_prefix(problem, place));
        g_assert_true(g_ascii_isdigit(problem[strlen(place)]));
        g_assert_nonnull(strstr(problem, columns[1]));
    }
    g_assert_cmpuint(n, ==, desc_set_count(set));
    g_assert_cmpuint(n, >=, 40);
}

/* What is beside the point is ignored with a word, and no reason to pass a descriptor over. */
static void test_ignored(void)
{
    static const char *const modes[] = {"stateless", "combined"};

    for (size_t i = 0; i < G_N_ELEMENTS(modes); i++) {
        g_autofree char *folder = g_dir_make_tmp("descriptors.XXXXXX", NULL);
        g_autofree char *file = g_build_filename(folder, "1.json", NULL);
        g_autofree char *text =
            g_strdup_printf("{\"interface-types\":[\"uefi\",\"svsm\"],\"features\":[\"arm-rme\"],"
                            "\"targets\":[{\"architecture\":\"x86_64\",\"machines\":[\"*\"]}],"
                            "\"mapping\":{\"device\":\"flash\",\"mode\":\"%s\",\"executable\":"
                            "{\"filename\":\"/fw/CODE.raw\",\"format\":\"raw\"},\"nvram-template\":"
                            "{\"filename\":\"/gone/VARS.raw\",\"format\":\"raw\"}}}",
                            modes[i]);
        g_autofree char *why = NULL;
        const char *path[] = {folder, NULL};
        bool is_link;

        g_file_set_contents(file, text, -1, NULL);
        g_autoptr(DescSet) set = desc_set_load(path, "x86_64", look, NULL);
        g_autoptr(DescWish) wish =
            wish_of("{\"interface\":\"svsm\",\"features\":{\"arm-rme\":true}}");
        g_autoptr(DescChoice) choice = desc_resolve(set, wish, NULL, NULL);
        why = desc_choice_file(choice, NULL, "why", &is_link);
        g_assert_true(g_str_has_prefix(why, "1.json: taken; note: nvram-template ignored"));
        g_remove(file);
        g_rmdir(folder);
    }
}

static void test_problem_line(void)
{
    g_autofree char *folder = g_dir_make_tmp("descriptors.XXXXXX", NULL);
    g_autofree char *file = g_build_filename(folder, "1.json", NULL);
    const char *path[] = {folder, NULL};
    g_autoptr(DescSet) set = NULL;

    g_file_set_contents(file,
                        "{\"interface-types\":[\"uefi\"],\n\"targets\":[],\n\"features\":[],\n"
                        "\"mapping\":{\n\"device\":\"cartridge\"}}",
                        -1, NULL);
    set = desc_set_load(path, "x86_64", look, NULL);
    g_assert_nonnull(strstr(desc_set_get(set, 0)->problem, "1.json:5: device"));
    g_remove(file);
    g_rmdir(folder);
}

static void write_descriptor(const char *folder, const char *name, const char *description)
{
    g_autofree char *file = g_build_filename(folder, name, NULL);
    g_autofree char *text =
        g_strdup_printf("{\"description\":\"%s\",\"interface-types\":[\"uefi\"],\"features\":[],"
                        "\"mapping\":{\"device\":\"memory\",\"filename\":\"/fw\"},"
                        "\"targets\":[{\"architecture\":\"x86_64\",\"machines\":[\"*\"]}]}",
                        description);

    g_assert_true(g_file_set_contents(file, *description ? text : "", -1, NULL));
}

static char *description_of(const DescSet *set, size_t i)
{
    g_autoptr(DescChoice) choice = desc_choice_of(desc_set_get(set, i));
    bool is_link;

    return desc_choice_file(choice, NULL, "description", &is_link);
}

static void assert_description(const DescSet *set, size_t i, const char *name, const char *text)
{
    g_autofree char *description = description_of(set, i);

    g_assert_cmpstr(desc_name(desc_set_get(set, i)), ==, name);
    g_assert_cmpstr(g_strchomp(description), ==, text);
}

/* Three folders, general to specific: the masks, the order, and staleness. */
static void test_search_path(void)
{
    g_autofree char *root = g_dir_make_tmp("descriptors.XXXXXX", NULL);
    g_autofree char *usr = g_build_filename(root, "usr", NULL);
    g_autofree char *etc = g_build_filename(root, "etc", NULL);
    g_autofree char *home = g_build_filename(root, "home", NULL);
    const char *path[] = {usr, etc, home, NULL};
    g_autoptr(DescSet) set = NULL;

    g_mkdir(usr, 0700);
    g_mkdir(etc, 0700);
    write_descriptor(usr, "50-a.json", "usr a");
    write_descriptor(usr, "60-b.json", "usr b");
    write_descriptor(usr, "70-c.json", "usr c");
    write_descriptor(etc, "50-a.json", "etc a");
    write_descriptor(etc, "60-b.json", "");
    write_descriptor(etc, "10-d.json", "etc d");
    write_descriptor(usr, ".hidden.json", "hidden");
    write_descriptor(usr, "README", "not one");
    set = desc_set_load(path, "x86_64", look, NULL);
    g_assert_cmpuint(desc_set_count(set), ==, 3);
    assert_description(set, 0, "10-d.json", "etc d");
    assert_description(set, 1, "50-a.json", "etc a");
    assert_description(set, 2, "70-c.json", "usr c");
    g_assert_false(desc_set_has_changed(set));

    g_mkdir(home, 0700);
    g_assert_true(desc_set_has_changed(set));
    write_descriptor(home, "60-b.json", "home b");
    g_clear_pointer(&set, desc_set_free);
    set = desc_set_load(path, "x86_64", look, NULL);
    g_assert_cmpuint(desc_set_count(set), ==, 4);
    assert_description(set, 2, "60-b.json", "home b");
    write_descriptor(usr, "70-c.json", "usr c, longer");
    g_assert_true(desc_set_has_changed(set));

    /* In its place, where the folder does not tell: when its turn comes. */
    g_autofree char *file = g_build_filename(usr, "70-c.json", NULL);
    g_clear_pointer(&set, desc_set_free);
    set = desc_set_load(path, "x86_64", look, NULL);
    g_assert_false(desc_set_has_changed(set));
    g_autofree char *text = NULL;
    g_assert_true(g_file_get_contents(file, &text, NULL, NULL));
    FILE *in_place = fopen(file, "w");
    g_assert_cmpint(fprintf(in_place, "%s \n", text), >, 0);
    g_assert_cmpint(fclose(in_place), ==, 0);
    unsigned looks = 1;
    while (!desc_set_has_changed(set))
        g_assert_cmpuint(++looks, <=, 4); /* two of at most eight files each time */

    g_autofree char *command = g_strdup_printf("rm -r %s", root);
    g_assert_cmpint(system(command), ==, 0);
}

static void test_default(void)
{
    g_autoptr(DescSet) set = load_rules();

    g_assert_cmpstr(desc_name(desc_set_default(set, "x86_64", "uefi")), ==, "20-enrolled.json");
    g_assert_cmpstr(desc_name(desc_set_default(set, "x86_64", "bios")), ==, "90-bios.json");
    g_assert_cmpstr(desc_name(desc_set_default(set, "aarch64", "uefi")), ==, "80-arm.json");
    g_assert_null(desc_set_default(set, "aarch64", "bios"));
    g_assert_true(g_strv_contains(desc_set_architectures(set), "i386"));
    g_assert_false(g_strv_contains(desc_set_architectures(set), "s390x"));
    g_assert_true(g_strv_contains(desc_set_interfaces(set, "aarch64"), "uboot"));
    g_assert_null(desc_set_interfaces(set, "s390x")[0]);
}

/* A pinned choice stays what it was, whatever the descriptors say later; a bad pin is told and
 * ignored. */
static void test_pin(void)
{
    g_autoptr(DescSet) set = load_rules();
    g_autoptr(DescWish) wish = wish_of("{\"machine\":\"pc\",\"format\":\"raw\"}");
    g_autoptr(DescWish) other = wish_of("{\"machine\":\"virt\",\"interface\":\"uefi\"}");
    g_autoptr(DescChoice) choice = desc_resolve(set, wish, NULL, NULL);
    g_autofree char *pin = desc_choice_pin(choice);
    g_autoptr(DescChoice) pinned = desc_resolve(set, other, pin, NULL);
    g_autoptr(DescChoice) broken = desc_resolve(set, other, "{\"path\":5}", NULL);
    bool is_link;

    g_assert_cmpstr(desc_name(desc_choice_desc(pinned)), ==, "50-plain.json");
    for (size_t i = 0; desc_choice_file_name(choice, i); i++) {
        const char *name = desc_choice_file_name(choice, i);
        g_autofree char *before = desc_choice_file(choice, NULL, name, &is_link);
        g_autofree char *after = desc_choice_file(pinned, NULL, name, &is_link);

        if (!g_str_equal(name, "why"))
            g_assert_cmpstr(before, ==, after);
    }
    g_assert_cmpstr(desc_name(desc_choice_desc(broken)), ==, "80-arm.json");
    g_autofree char *why = desc_choice_file(broken, NULL, "why", &is_link);
    g_assert_true(g_str_has_prefix(why, "the pin can't be read"));
}

typedef struct {
    const char *descriptor;
    DescStoreKind kind;
    const char *format;
    const char *template;
} StoreRow;

static const StoreRow store_rows[] = {
    {"20-enrolled.json", DESC_STORE_FLASH, "raw", "/fw/enrolled_VARS.raw"},
    {"61-combined.json", DESC_STORE_FLASH, "raw", "/fw/combined_CODE.raw"},
    {"60-stateless.json", DESC_STORE_NONE, NULL, NULL},
    {"70-host-vars.json", DESC_STORE_JSON, "json", "/fw/vars.json"},
    {"71-tdx.json", DESC_STORE_NONE, NULL, NULL},
};

/* NULL: it has no store. */
static const char *store_format(const DescChoice *choice)
{
    switch (desc_choice_store_kind(choice)) {
    case DESC_STORE_FLASH:
        return desc_formats[choice->format];
    case DESC_STORE_JSON:
        return "json";
    case DESC_STORE_NONE:
        break;
    }
    return NULL;
}

static void test_store_kind(gconstpointer data)
{
    const StoreRow *row = data;
    g_autoptr(DescSet) set = load_rules();
    g_autofree char *text = g_strdup_printf("{\"descriptor\":\"%s\"}", row->descriptor);
    g_autoptr(DescWish) wish = wish_of(text);
    g_autoptr(DescChoice) choice = desc_resolve(set, wish, NULL, NULL);

    g_assert_cmpint(desc_choice_store_kind(choice), ==, row->kind);
    g_assert_cmpstr(store_format(choice), ==, row->format);
    g_assert_cmpstr(desc_choice_template(choice), ==, row->template);
}

static char *file_for(const char *wish_text, const DescPlace *place, const char *name)
{
    g_autoptr(DescSet) set = load_rules();
    g_autoptr(DescWish) wish = wish_of(wish_text);
    g_autoptr(DescChoice) choice = desc_resolve(set, wish, NULL, NULL);
    bool is_link;

    return desc_choice_file(choice, place, name, &is_link);
}

static const DescPlace place = {
    .guest_name = "demo", .store_path = "/srv/a,b_VARS.fd", .socket_path = "/run/x,y.sock"};

static void test_args(void)
{
    g_autofree char *split = file_for("{\"machine\":\"q35\"}", &place, "qemu.args");
    g_autofree char *legacy = file_for("{\"machine\":\"q35\"}", &place, "qemu-legacy.args");
    g_autofree char *host =
        file_for("{\"device\":\"memory\",\"machine\":\"q35\"}", &place, "qemu.args");
    g_autofree char *igvm = file_for("{\"device\":\"igvm\"}", &place, "qemu.args");
    g_autofree char *arm =
        file_for("{\"machine\":\"virt\",\"interface\":\"uefi\"}", &place, "qemu.args");

    g_assert_cmpstr(split, ==,
                    "-blockdev\n{\"driver\":\"raw\",\"node-name\":\"pflash0\",\"read-only\":true,"
                    "\"file\":{\"driver\":\"file\",\"filename\":\"/fw/enrolled_CODE.raw\"}}\n"
                    "-blockdev\n{\"driver\":\"raw\",\"node-name\":\"pflash1\",\"read-only\":false,"
                    "\"file\":{\"driver\":\"file\",\"filename\":\"/srv/a,b_VARS.fd\"}}\n"
                    "-machine\nq35,smm=on,pflash0=pflash0,pflash1=pflash1\n"
                    "-global\ndriver=cfi.pflash01,property=secure,value=on\n");
    g_assert_nonnull(strstr(legacy, "-drive\nif=pflash,unit=1,readonly=off,"
                                    "file=/srv/a,,b_VARS.fd,format=raw\n"));
    g_assert_cmpstr(host, ==,
                    "-bios\n/fw/pv.fd\n-machine\nq35\n"
                    "-device\nuefi-vars-x64,socket=/run/x,,y.sock\n");
    g_assert_cmpstr(igvm, ==,
                    "-object\nigvm-cfg,id=igvm0,file=/fw/coco.igvm\n"
                    "-machine\nq35,igvm-cfg=igvm0\n");
    g_autofree char *qcow2 = file_for("{\"format\":\"qcow2\"}", &place, "qemu.args");
    g_auto(GStrv) backed = g_strsplit(qcow2, "},\"backing\":null}\n", -1);
    g_assert_cmpuint(g_strv_length(backed), ==, 3);
    g_assert_nonnull(strstr(arm, "-machine\nvirt,pflash0=pflash0,pflash1=pflash1\n-cpu\nmax\n"));
}

/* A store of the other kind is never put into a flash chip: what would start it is not there. */
static void test_wrong_store(void)
{
    const DescPlace json = {.guest_name = "demo",
                            .store_path = "/srv/demo_VARS.json",
                            .socket_path = "/run/x.sock",
                            .has_store = true};
    static const char *const starters[] = {"qemu.args", "qemu-legacy.args", "libvirt.xml", "nvram"};
    const char *flash = "{\"machine\":\"q35\"}", *memory = "{\"device\":\"memory\"}";
    g_autofree char *why = file_for(flash, &json, "why");

    g_assert_true(g_str_has_prefix(why, "note: /srv/demo_VARS.json is no store for this firmware "
                                        "(the firmware keeps its variables in another form)"));
    for (size_t i = 0; i < G_N_ELEMENTS(starters); i++)
        g_assert_null(file_for(flash, &json, starters[i]));
    g_autofree char *args = file_for(memory, &json, "qemu.args");
    g_assert_nonnull(args);
}

/* Places are not ours to choose: a value that would become arguments of its own is refused. */
static void test_hostile_place(void)
{
    static const DescPlace places[] = {
        {"demo", "/srv/a\n-netdev\ntap_VARS.fd", .socket_path = "/run/x.sock"},
        {"demo", "/srv/x.json", .socket_path = "/run/x\n.sock"},
        {"de\x1bmo", "/srv/x.json", .socket_path = "/run/x.sock"},
    };
    static const struct {
        const char *wish, *note;
    } rows[] = {
        {"{\"machine\":\"q35\"}", "note: no qemu.args: filename: has a control character\n"},
        {"{\"device\":\"memory\"}", "note: no qemu.args: socket: has a control character\n"},
        {"{\"device\":\"memory\"}", "note: no libvirt.xml: name: has a control character\n"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        const bool only_xml = i == 2;
        g_autofree char *args = file_for(rows[i].wish, &places[i], "qemu.args");
        g_autofree char *why = file_for(rows[i].wish, &places[i], "why");

        g_assert_cmpint(args != NULL, ==, only_xml);
        g_assert_true(g_str_has_prefix(why, rows[i].note));
        g_assert_null(file_for(rows[i].wish, &places[i], "libvirt-legacy.xml"));
    }
}

/* libvirt from 12.1 on has an element for the store; for older ones, QEMU's command line. */
static void test_libvirt_varstore(void)
{
    const char *wish = "{\"device\":\"memory\",\"machine\":\"q35\"}";
    g_autofree char *xml = file_for(wish, &place, "libvirt.xml");
    g_autofree char *legacy = file_for(wish, &place, "libvirt-legacy.xml");
    g_autofree char *igvm = file_for("{\"device\":\"igvm\"}", &place, "libvirt.xml");

    g_assert_nonnull(strstr(xml, "    <loader readonly='yes' type='rom'>/fw/pv.fd</loader>\n"
                                 "    <varstore template='/fw/vars.json' "
                                 "path='/srv/a,b_VARS.fd'/>\n"));
    g_assert_null(strstr(xml, "qemu:"));
    g_assert_nonnull(
        strstr(legacy, "    <loader readonly='yes' type='rom' stateless='yes'>/fw/pv.fd</loader>"));
    g_assert_nonnull(strstr(legacy, "    <qemu:arg value='-device'/>\n"
                                    "    <qemu:arg value='uefi-vars-x64,socket=/run/x,,y.sock'/>\n"
                                    "    <qemu:env name='QEMU_MODULE_DIR' value='"));
    g_assert_null(strstr(legacy, "varstore"));
    g_assert_nonnull(strstr(igvm, "<qemu:arg value='igvm-cfg,id=igvm0,file=/fw/coco.igvm'/>"));
    g_assert_null(file_for("{\"machine\":\"q35\"}", &place, "libvirt-legacy.xml"));
}

typedef struct {
    const char *name;
    const char *descriptor;
    DescImage store;
    const char *says; /* NULL: it fits */
} FitRow;

#define RAW(file, volume)                                                                          \
    {                                                                                              \
        DESC_IMAGE_RAW, file, volume                                                               \
    }
#define QCOW2(disk)                                                                                \
    {                                                                                              \
        DESC_IMAGE_QCOW2, disk, 0                                                                  \
    }

/* Debian's stores: 4 MiB firmware's 528 KiB, 2 MiB firmware's 128 KiB, Arm's 768 KiB in 64 MiB. */
static const FitRow fit_rows[] = {
    {"the-same", "20-enrolled.json", RAW(540672, 540672), NULL},
    {"small", "20-enrolled.json", RAW(131072, 131072),
     "it has a volume of 131072 bytes, where the firmware's has 540672"},
    {"arms", "20-enrolled.json", RAW(64 << 20, 786432), "786432 bytes"},
    {"x86s-for-arm", "80-arm.json", RAW(540672, 540672), "540672 bytes"},
    {"padded", "80-arm.json", RAW(786432, 786432), NULL},
    {"no-volume", "20-enrolled.json", RAW(540672, 0), NULL},
    {"not-looked-at", "20-enrolled.json", {0}, NULL},
    {"qcow2", "40-plain-qcow2.json", QCOW2(540672), NULL},
    {"qcow2-small", "40-plain-qcow2.json", QCOW2(131072), "it is an image of 131072 bytes"},
    {"qcow2-of-raw", "20-enrolled.json", QCOW2(540672), NULL},
    {"combined", "61-combined.json", RAW(4194304, 131072), "131072 bytes"},
};

/* A store that the firmware would not start with: said, and nothing starts it. */
static void test_fit(gconstpointer data)
{
    const FitRow *row = data;
    const DescPlace stored = {.guest_name = "demo",
                              .store_path = "/srv/demo_VARS.fd",
                              .has_store = true,
                              .store = row->store};
    g_autoptr(DescSet) set = load_rules();
    g_autofree char *text = g_strdup_printf("{\"descriptor\":\"%s\"}", row->descriptor);
    g_autoptr(DescWish) wish = wish_of(text);
    g_autoptr(DescChoice) choice = desc_resolve(set, wish, NULL, &row->store);
    bool is_link;
    g_autofree char *why = desc_choice_file(choice, &stored, "why", &is_link);
    g_autofree char *args = desc_choice_file(choice, &stored, "qemu.args", &is_link);

    g_assert_cmpint(args == NULL, ==, row->says != NULL);
    g_assert_cmpint(g_str_has_prefix(why, "note: "), ==, row->says != NULL);
    if (row->says)
        g_assert_nonnull(strstr(why, row->says));
}

/* A guest that has a store and asks for no format keeps the store's, as libvirt's domains. */
static void test_format_of_a_store(void)
{
    static const DescImage raw = RAW(540672, 540672), qcow2 = QCOW2(540672),
                           json = {DESC_IMAGE_JSON, 100, 0};
    static const struct {
        const DescImage *store;
        const char *expected;
    } rows[] = {{NULL, "40-plain-qcow2.json"},
                {&raw, "50-plain.json"},
                {&qcow2, "40-plain-qcow2.json"},
                {&json, "40-plain-qcow2.json"}};
    g_autoptr(DescSet) set = load_rules();
    g_autoptr(DescWish) wish = wish_of("{\"machine\":\"pc\"}");

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(DescChoice) choice = desc_resolve(set, wish, NULL, rows[i].store);

        g_assert_cmpstr(desc_name(desc_choice_desc(choice)), ==, rows[i].expected);
    }
}

/* What a pin names is looked at by nobody: it may name anything of root's. */
static void test_pinned_files(void)
{
    g_autoptr(DescSet) set = load_rules();
    g_autoptr(DescWish) any = wish_of("{}");
    g_autoptr(DescWish) wish = wish_of("{\"descriptor\":\"20-enrolled.json\"}");
    g_autoptr(DescChoice) choice = desc_resolve(set, wish, NULL, NULL);
    g_autofree char *pin = desc_choice_pin(choice);
    g_auto(GStrv) parts = g_strsplit(pin, "/fw/enrolled_CODE.raw", -1);
    g_autofree char *other = g_strjoinv("/dev/kmsg", parts);
    g_autoptr(DescChoice) same = desc_resolve(set, any, pin, NULL);
    g_autoptr(DescChoice) foreign = desc_resolve(set, any, other, NULL);
    bool is_link;
    g_autofree char *mapped = desc_choice_file(same, NULL, "pflash", &is_link);
    g_autofree char *executable = desc_choice_file(foreign, NULL, "executable", &is_link);

    g_assert_nonnull(mapped);
    g_assert_cmpstr(executable, ==, "/dev/kmsg");
    g_assert_null(desc_choice_file(foreign, NULL, "pflash", &is_link));
}

static void test_image(void)
{
    uint8_t head[64] = {0};
    const uint8_t qcow2[32] = "QFI\xfb\0\0\0\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\2\0";
    DescImage image = desc_image_parse(qcow2, sizeof(qcow2), 196616);

    g_assert_cmpint(image.kind, ==, DESC_IMAGE_QCOW2);
    g_assert_cmpuint(image.bytes, ==, 131072);
    image = desc_image_parse((const uint8_t *)" \n{\"", 4, 17);
    g_assert_cmpint(image.kind, ==, DESC_IMAGE_JSON);
    memcpy(head + 40, "_FVH", 4);
    head[34] = 8;
    image = desc_image_parse(head, sizeof(head), 540672);
    g_assert_cmpint(image.kind, ==, DESC_IMAGE_RAW);
    g_assert_cmpuint(image.bytes, ==, 540672);
    g_assert_cmpuint(image.volume_bytes, ==, 8 << 16);
    for (size_t n = 0; n < 44; n++)
        g_assert_cmpuint(desc_image_parse(head, n, 540672).volume_bytes, ==, 0);
    for (size_t n = 0; n < 32; n++)
        g_assert_cmpint(desc_image_parse(qcow2, n, 9).kind, ==, DESC_IMAGE_RAW);
}

static void test_why(void)
{
    g_autofree char *why = file_for("{\"machine\":\"pc\",\"format\":\"raw\"}", &place, "why");
    g_auto(GStrv) lines = g_strsplit(why, "\n", -1);

    /* One line a descriptor, in their order. */
    g_assert_cmpuint(g_strv_length(lines), ==, 17);
    g_assert_true(g_str_has_prefix(lines[3], "20-enrolled.json: passed over: no target"));
    g_assert_nonnull(strstr(lines[4], "note: unknown feature 'from-the-future' ignored"));
    g_assert_cmpstr(lines[6], ==, "50-plain.json: taken");
    g_assert_cmpstr(lines[7], ==, "51-tie.json: would do, but comes after 50-plain.json");
}

static void add_rows(const char *prefix, const void *rows, size_t n, size_t size, size_t name_at,
                     GTestDataFunc test)
{
    for (size_t i = 0; i < n; i++) {
        const char *row = (const char *)rows + i * size;
        g_autofree char *path =
            g_strdup_printf("/descriptors/%s/%s", prefix, *(const char *const *)(row + name_at));

        g_test_add_data_func(path, row, test);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add_rows("match", match_rows, G_N_ELEMENTS(match_rows), sizeof(MatchRow),
             offsetof(MatchRow, rule), test_match);
    add_rows("bad-wish", bad_wishes, G_N_ELEMENTS(bad_wishes), sizeof(WishRow),
             offsetof(WishRow, name), test_bad_wish);
    add_rows("store", store_rows, G_N_ELEMENTS(store_rows), sizeof(StoreRow),
             offsetof(StoreRow, descriptor), test_store_kind);
    g_test_add_func("/descriptors/host", test_host);
    g_test_add_func("/descriptors/wish-backslash", test_wish_backslash);
    g_test_add_func("/descriptors/wish-settings", test_wish_settings);
    g_test_add_func("/descriptors/malformed", test_malformed);
    g_test_add_func("/descriptors/ignored", test_ignored);
    g_test_add_func("/descriptors/problem-line", test_problem_line);
    g_test_add_func("/descriptors/search-path", test_search_path);
    g_test_add_func("/descriptors/default", test_default);
    g_test_add_func("/descriptors/pin", test_pin);
    g_test_add_func("/descriptors/args", test_args);
    g_test_add_func("/descriptors/wrong-store", test_wrong_store);
    add_rows("fit", fit_rows, G_N_ELEMENTS(fit_rows), sizeof(FitRow), offsetof(FitRow, name),
             test_fit);
    g_test_add_func("/descriptors/hostile-place", test_hostile_place);
    g_test_add_func("/descriptors/libvirt-varstore", test_libvirt_varstore);
    g_test_add_func("/descriptors/format-of-a-store", test_format_of_a_store);
    g_test_add_func("/descriptors/pinned-files", test_pinned_files);
    g_test_add_func("/descriptors/image", test_image);
    g_test_add_func("/descriptors/why", test_why);
    return g_test_run();
}
