/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What a domain's XML says of its store, which guest it is, and what the monitor believes of it. */

#include "domain-file.h"
#include "domain-name.h"
#include "domain-xml.h"
#include "domains.h"

#include "uv-limits.h"

#include <string.h>

#define OS(text) "<domain type='qemu'><name>n</name><os firmware='efi'>" text "</os></domain>"

/* `path` NULL: none; `xml` makes a guest with a store of this format there. */
static void assert_store(const char *xml, FsFormat format, const char *path)
{
    g_auto(FsDomainStore) store = {0};
    g_autoptr(GError) error = NULL;

    g_assert_true(fs_domain_xml_read(xml, &store, &error));
    g_assert_no_error(error);
    g_assert_true(store.is_guest);
    g_assert_cmpint(store.format, ==, format);
    g_assert_cmpstr(store.path, ==, path);
}

static void test_stores(void)
{
    assert_store(OS("<varstore path='/v/a.json'/>"), FS_FORMAT_JSON, "/v/a.json");
    assert_store(OS("<varstore template='/t.json'/>"), FS_FORMAT_JSON, NULL);
    assert_store(OS("<nvram>/v/a_VARS.fd</nvram>"), FS_FORMAT_FLASH, "/v/a_VARS.fd");
    assert_store(OS("<nvram template='/t'>\n  /v//b &amp; c.fd\n</nvram>"), FS_FORMAT_FLASH,
                 "/v/b & c.fd");
    assert_store(OS("<nvram><![CDATA[/v/<a>.fd]]></nvram>"), FS_FORMAT_FLASH, "/v/<a>.fd");
    assert_store(OS("<loader format='qcow2' type='pflash'>/c</loader><nvram>/v/a</nvram>"),
                 FS_FORMAT_QCOW2, "/v/a");
    assert_store(OS("<loader format='qcow2'/><nvram format='raw'>/v/a</nvram>"), FS_FORMAT_FLASH,
                 "/v/a");
    assert_store(OS("<nvram type='block'><source dev='/dev/vg/nv'/></nvram>"), FS_FORMAT_FLASH,
                 "/dev/vg/nv");
    assert_store(OS("<nvram type='file'><source file='/v/a.fd'/></nvram>"), FS_FORMAT_FLASH,
                 "/v/a.fd");
    assert_store(OS("<nvram type='network'><source protocol='iscsi' name='x'/></nvram>"),
                 FS_FORMAT_FLASH, NULL);
    assert_store(OS(""), FS_FORMAT_FLASH, NULL);
    assert_store("<domain><os><loader type='pflash'>/c.fd</loader></os></domain>", FS_FORMAT_FLASH,
                 NULL);
    /* Elsewhere these mean nothing. */
    assert_store(OS("<varstore path='/v/a'/>") "<!-- <nvram>/x</nvram> -->", FS_FORMAT_JSON,
                 "/v/a");
    assert_store("<domain><metadata><os><nvram>/x</nvram></os></metadata>"
                 "<os firmware='efi'/></domain>",
                 FS_FORMAT_FLASH, NULL);
}

static void test_no_guests(void)
{
    static const char *const texts[] = {
        "<domain><os><type>hvm</type></os></domain>",
        "<domain><os firmware='bios'/></domain>",
        ("<domain><os firmware='efi'><loader type='pflash' "
         "stateless='yes'>/c</loader></os></domain>"),
        "<domain/>",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_auto(FsDomainStore) store = {0};
        g_autoptr(GError) error = NULL;
        g_assert_true(fs_domain_xml_read(texts[i], &store, &error));
        g_assert_no_error(error);
        g_assert_false(store.is_guest);
    }
}

static void test_bad_xml(void)
{
    g_autofree char *long_path = g_strnfill(FS_QUESTION_TEXT, 'p');
    g_autofree char *too_long = g_strdup_printf(OS("<nvram>/%s</nvram>"), long_path);
    const char *const texts[] = {
        "",
        "<domain>",
        "<pool><os/></pool>",
        "<domain><os></domain></os>",
        OS("<nvram>a_VARS.fd</nvram>"),
        OS("<nvram>/v/../etc/shadow</nvram>"),
        OS("<nvram>/v/..</nvram>"),
        OS("<nvram>/v/a&#10;b</nvram>"),
        OS("<nvram>/</nvram>"),
        OS("<varstore path='v.json'/>"),
        too_long,
    };

    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_auto(FsDomainStore) store = {0};
        g_autoptr(GError) error = NULL;
        g_assert_false(fs_domain_xml_read(texts[i], &store, &error));
        g_assert_nonnull(error);
        g_assert_null(store.path);
    }
}

static void assert_guest(const char *name, const char *guest)
{
    g_autofree char *made = fs_domain_guest(name);

    g_assert_cmpstr(made, ==, guest);
}

static void test_names(void)
{
    assert_guest("", NULL);
    assert_guest("web", "web");
    assert_guest("my guest's \"x\"", "my guest's \"x\"");
    assert_guest("gäst-日本", "gäst-日本");
    assert_guest("100%", "100%");
    assert_guest("a.config", "a.config");
    assert_guest("x_VARS", "x_VARS");
    assert_guest(".dot", "%2Edot");
    assert_guest("..", "%2E.");
    assert_guest("%2Edot", "%252Edot");
    assert_guest("a/b\n\t\x7f", "a%2Fb%0A%09%7F");
    assert_guest("a.config.json", "a%2Econfig.json");
    assert_guest("%~", "%25~");
}

static void test_long_names(void)
{
    g_autofree char *most = g_strnfill(UV_GUEST_NAME_MAX, 'n');
    g_autofree char *one = g_strconcat(most, "1", NULL), *two = g_strconcat(most, "2", NULL);
    g_autofree char *of_one = fs_domain_guest(one), *of_two = fs_domain_guest(two);
    g_autoptr(GString) wide = g_string_new("x");

    assert_guest(most, most);
    g_assert_cmpuint(strlen(of_one), ==, UV_GUEST_NAME_MAX);
    g_assert_cmpstr(of_one, !=, of_two);
    g_autofree char *of_that_name = fs_domain_guest(of_one);
    g_assert_cmpstr(of_that_name, !=, of_one);
    for (int i = 0; i < 100; i++)
        g_string_append(wide, "ä€");
    g_autofree char *cut = fs_domain_guest(wide->str);
    g_assert_cmpuint(strlen(cut), <=, UV_GUEST_NAME_MAX);
    g_assert_true(g_utf8_validate(cut, -1, NULL));
}

static FsDomain domain(FsDomainKind kind, const char *guest, const char *text)
{
    FsDomain made = {.kind = kind};

    g_strlcpy(made.guest, guest, sizeof(made.guest));
    g_strlcpy(made.text, text, sizeof(made.text));
    return made;
}

static void test_believed(void)
{
    static const char *const paths[] = {"v",      "/",       "/v/",    "//v",
                                        "/v/./a", "/v/../a", "/v/a\n", "/.."};
    FsDomain told = domain(FS_DOMAIN_IS, "web", "/v/web.fd");

    g_assert_true(fs_domain_valid(&told));
    for (size_t i = 0; i < G_N_ELEMENTS(paths); i++) {
        FsDomain bad = domain(FS_DOMAIN_IS, "web", paths[i]);
        g_assert_false(fs_domain_valid(&bad));
    }
    told.format = FS_FORMATS;
    g_assert_false(fs_domain_valid(&told));
    told = domain(FS_DOMAIN_IS, "web", "");
    g_assert_true(fs_domain_valid(&told));
    told.flags = FS_DOMAIN_FLAGS + 1;
    g_assert_false(fs_domain_valid(&told));
    told = domain(FS_DOMAIN_IS, "", "/v/web.fd");
    g_assert_false(fs_domain_valid(&told));
    told = domain(FS_DOMAIN_GONE, "a\x1b[31m", "");
    g_assert_false(fs_domain_valid(&told));
    told = domain(FS_DOMAIN_GONE, "web", "");
    memset(told.guest, 'x', sizeof(told.guest));
    g_assert_false(fs_domain_valid(&told));
    told = domain(FS_DOMAINS_ALL, "", "");
    memset(told.text, 'x', sizeof(told.text));
    g_assert_false(fs_domain_valid(&told));
    told = domain(0, "web", "");
    g_assert_false(fs_domain_valid(&told));
    told = domain(FS_DOMAINS_LOST + 1, "web", "");
    g_assert_false(fs_domain_valid(&told));
}

/* Files of libvirt's own folder. */
static void test_files(void)
{
    static const struct {
        const char *folder, *file;
        int rank; /* -1: no store */
        const char *guest;
        FsFormat format;
    } cases[] = {
        {"varstore", "web.json", 0, "web", FS_FORMAT_JSON},
        {"varstore", ".dot.json", 0, "%2Edot", FS_FORMAT_JSON},
        {"varstore", "a.config.json", 0, "a.config", FS_FORMAT_JSON},
        {"varstore", "x_VARS.json", 0, "x_VARS", FS_FORMAT_JSON},
        {"nvram", "web_VARS.fd", 1, "web", FS_FORMAT_FLASH},
        {"nvram", "web_VARS.qcow2", 2, "web", FS_FORMAT_QCOW2},
        {"nvram", "a.config.json_VARS.fd", 1, "a%2Econfig.json", FS_FORMAT_FLASH},
        {.folder = "nvram", .file = "web.json", .rank = -1},
        {.folder = "nvram", .file = "web.fd", .rank = -1},
        {.folder = "nvram", .file = "_VARS.fd", .rank = -1},
        {.folder = "varstore", .file = "web_VARS.fd", .rank = -1},
        {.folder = "varstore", .file = ".json", .rank = -1},
        {.folder = "varstore", .file = "web.json.tmp", .rank = -1},
        {.folder = "save", .file = "web.json", .rank = -1},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = g_build_filename("/v/qemu", cases[i].folder, cases[i].file, NULL);
        FsDomain found;
        unsigned rank;

        if (!fs_domain_of_file("/v/qemu", cases[i].folder, cases[i].file, &found, &rank)) {
            g_assert_cmpint(cases[i].rank, ==, -1);
            continue;
        }
        g_assert_cmpint(cases[i].rank, ==, rank);
        g_assert_cmpstr(found.guest, ==, cases[i].guest);
        g_assert_cmpint(found.format, ==, cases[i].format);
        g_assert_cmpstr(found.text, ==, path);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/domain/stores", test_stores);
    g_test_add_func("/domain/no-guests", test_no_guests);
    g_test_add_func("/domain/bad-xml", test_bad_xml);
    g_test_add_func("/domain/names", test_names);
    g_test_add_func("/domain/long-names", test_long_names);
    g_test_add_func("/domain/believed", test_believed);
    g_test_add_func("/domain/files", test_files);
    return g_test_run();
}
