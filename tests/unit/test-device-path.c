/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <string.h>

#include "device-path.h"
#include "load-option.h"

static GBytes *from_hex(const char *hex)
{
    GByteArray *bytes = g_byte_array_new();

    for (size_t i = 0; hex[i]; i += 2) {
        const guint8 byte =
            (guint8)(g_ascii_xdigit_value(hex[i]) << 4 | g_ascii_xdigit_value(hex[i + 1]));
        g_byte_array_append(bytes, &byte, 1);
    }
    return g_byte_array_free_to_bytes(bytes);
}

static char *format(GBytes *path)
{
    gsize size;
    const uint8_t *bytes = g_bytes_get_data(path, &size);

    return uv_device_path_format(bytes, size);
}

#define END "7fff0400"

/* The text of what was parsed is the text, and parsing that gives the same bytes. */
static void test_round_trip(void)
{
    static const char *const texts[] = {
        "PciRoot(0x0)/Pci(0x1f,0x2)/Sata(0,65535,0)",
        "PciRoot(0x0)/Pci(0x3,0x0)/SCSI(0,1)",
        "PciRoot(0x0)/Pci(0x1,0x0)/USB(1,0)",
        "PciRoot(0x0)/Pci(0x2,0x0)/NVMe(0x1,00-11-22-33-44-55-66-77)",
        "PciRoot(0x0)/Pci(0x2,0x0)/MAC(525400123456,1)",
        "HD(1,GPT,f5b6a1d3-5a73-4b6e-8a10-0123456789ab,0x800,0x100000)",
        "HD(2,MBR,0x12345678,0x3f,0x1000)",
        "Acpi(PNP0604,1)",
        ("FvVol(7cb8bdc9-f8eb-4f34-aaea-3ee4af6516a1)/"
         "FvFile(462caa21-7614-4503-836e-8ab6f4662331)"),
        "Path(3,99,0102ff)",
        "PciRoot(0x0),PciRoot(0x1)",
        "",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GBytes) path = uv_device_path_parse(texts[i], NULL, 4096, &error);
        g_assert_no_error(error);
        g_autofree char *text = format(path);
        g_autoptr(GBytes) again = uv_device_path_parse(text, NULL, 4096, &error);
        g_assert_no_error(error);
        g_assert_true(g_bytes_equal(path, again));
    }
}

static void test_file(void)
{
    static const char *const spellings[] = {"\\EFI\\debian\\shimx64.efi",
                                            "File(\\EFI\\debian\\shimx64.efi)",
                                            "File(/EFI/debian/shimx64.efi)"};

    for (size_t i = 0; i < G_N_ELEMENTS(spellings); i++) {
        g_autoptr(GBytes) path = uv_device_path_parse(spellings[i], NULL, 4096, NULL);
        gsize size;
        const uint8_t *bytes = g_bytes_get_data(path, &size);
        g_autofree char *file = uv_device_path_file(bytes, size);
        g_autofree char *text = format(path);

        g_assert_cmpstr(file, ==, "\\EFI\\debian\\shimx64.efi");
        g_assert_nonnull(strstr(text, file));
    }
}

/* A node of a kind that can't be typed survives an edit of its neighbour. */
static void test_edit_keeps_the_rest(void)
{
    /* iSCSI with a target named "aa" between a PCI root and a file. */
    g_autoptr(GBytes) well = from_hex("02010c00d041030a00000000"
                                      "0313140000000000000000000000000000006161"
                                      "04040c005c00410042000000" END);
    g_autofree char *text = format(well);
    g_assert_nonnull(text);
    g_autoptr(GBytes) same = uv_device_path_parse(text, well, 4096, NULL);
    g_assert_true(g_bytes_equal(well, same));
    g_autofree char *edited = g_strconcat("PciRoot(0x7)", strchr(text, '/'), NULL);
    g_autoptr(GBytes) changed = uv_device_path_parse(edited, well, 4096, NULL);
    g_assert_cmpmem((const char *)g_bytes_get_data(changed, NULL) + 12,
                    g_bytes_get_size(changed) - 12, (const char *)g_bytes_get_data(well, NULL) + 12,
                    g_bytes_get_size(well) - 12);
}

static void test_hostile(void)
{
    static const char *const malformed[] = {
        "", "7f", "04040300", "7fff0300", "02010c00d041", "0404ffff0000", "04040400",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(malformed); i++) {
        g_autoptr(GBytes) path = from_hex(malformed[i]);
        g_assert_null(format(path));
    }
    /* A line feed and a bracket in a file's name, a node shorter than its kind. */
    g_autoptr(GBytes) odd = from_hex("040408000a000000"
                                     "0404080029000000"
                                     "04010400" END);
    g_autofree char *text = format(odd);
    g_assert_nonnull(text);
    g_assert_null(strchr(text, '\n'));
    g_autoptr(GBytes) again = uv_device_path_parse(text, odd, 4096, NULL);
    g_assert_true(g_bytes_equal(odd, again));
}

static void test_refused(void)
{
    static const char *const texts[] = {
        "Nonsense",         "HD(1,GPT,no-guid,0,0)", "HD(1)",      "Pci(0x100,0)",
        "Path(127,255,00)", "Path(1,2,0)",           "File()",     "MAC(zz)",
        "Pci(1,2,3)",       "NVMe(1,00-11)",         "Unknown(1)", "Pci(1,2",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(uv_device_path_parse(texts[i], NULL, 4096, &error));
        g_assert_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL);
    }
    g_autofree char *long_name = g_strnfill(4096, 'a');
    g_autofree char *text = g_strconcat("\\", long_name, NULL);
    g_autoptr(GError) error = NULL;
    g_assert_null(uv_device_path_parse(text, NULL, 4096, &error));
    g_assert_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL);
}

/* Every description is one line, and comes back as it was. */
static void test_descriptions(void)
{
    static const char *const descriptions[] = {
        "",         "6400650062006900",         "0a000d00", "3ed8",
        "3dd800de", "5c0075003000300034003100", "5c007500", "5c00",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(descriptions); i++) {
        g_autoptr(GBytes) path = from_hex(END);
        UvLoadOption option = {.attributes = 1,
                               .description = from_hex(descriptions[i]),
                               .path = g_bytes_ref(path),
                               .data = g_bytes_new("x", 1)};
        g_autoptr(GBytes) before = uv_load_option_write(&option, 4096);
        g_autofree char *text = uv_load_option_description(&option);

        g_assert_true(g_utf8_validate(text, -1, NULL));
        g_assert_null(strchr(text, '\n'));
        g_assert_true(uv_load_option_set_description(&option, text));
        g_autoptr(GBytes) after = uv_load_option_write(&option, 4096);
        g_assert_true(g_bytes_equal(before, after));
        uv_load_option_clear(&option);
        g_assert_true(uv_load_option_read(after, &option));
        g_assert_cmpuint(g_bytes_get_size(option.data), ==, 1);
        uv_load_option_clear(&option);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/device-path/round-trip", test_round_trip);
    g_test_add_func("/device-path/file", test_file);
    g_test_add_func("/device-path/edit-keeps-the-rest", test_edit_keeps_the_rest);
    g_test_add_func("/device-path/hostile", test_hostile);
    g_test_add_func("/device-path/refused", test_refused);
    g_test_add_func("/load-option/descriptions", test_descriptions);
    return g_test_run();
}
