/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "device-node.h"
#include "file-error.h"

#include <string.h>

#include "guid.h"
#include "hex.h"

#define ARGUMENTS_MAX 5
#define EISA_PNP(id) (((uint32_t)(id) << 16) | 0x41d0u)

/* Hardware, ACPI and messaging subtypes (UEFI 2.11, 10.3). */
#define PCI 0x01
#define VENDOR_HARDWARE 0x04
#define ACPI 0x01
#define SCSI 0x02
#define USB 0x05
#define VENDOR_MESSAGING 0x0a
#define MAC 0x0b
#define SATA 0x12
#define NVME 0x17
#define URI 0x18
#define HARD_DRIVE 0x01
#define VENDOR_MEDIA 0x03
#define MEDIA_PROTOCOL 0x05
#define FV_FILE 0x06
#define FV 0x07

#define MAC_BYTES 32u /* of the field, six of which a MAC address takes */

typedef struct {
    char *values[ARGUMENTS_MAX + 1];
    guint n;
} Arguments;

typedef struct NodeKind NodeKind;
struct NodeKind {
    const char *name; /* as it is written; any case */
    uint8_t type, subtype;
    guint least, most; /* arguments */
    bool (*payload)(const NodeKind *kind, const Arguments *arguments, UvWriter *writer);
    uint32_t constant; /* the kind's own: an EISA id */
    const char *usage;
};

static bool number(const char *text, uint64_t max, uint64_t *ret_value)
{
    const bool hex = text && g_ascii_strncasecmp(text, "0x", 2) == 0;

    return text && g_ascii_string_to_unsigned(hex ? text + 2 : text, hex ? 16 : 10, 0, max,
                                              ret_value, NULL);
}

static bool hex_bytes(const char *text, UvWriter *writer)
{
    const size_t size = strlen(text);
    g_autofree uint8_t *bytes = g_malloc(size / 2 + 1);

    if (size % 2 != 0 || !uv_hex_read(text, size / 2, bytes))
        return false;
    uv_write_bytes(writer, bytes, size / 2);
    return true;
}

/* Numbers of the widths that `widths` lists, in bytes; missing ones are zero. */
static bool numbers(const Arguments *arguments, const char *widths, UvWriter *writer)
{
    for (guint i = 0; widths[i]; i++) {
        const guint bits = (guint)(widths[i] - '0') * 8;
        uint64_t value = 0;

        if (i < arguments->n &&
            !number(arguments->values[i], bits == 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1,
                    &value))
            return false;
        for (guint shift = 0; shift < bits; shift += 8)
            uv_write_u8(writer, (uint8_t)(value >> shift));
    }
    return true;
}

static bool guid(const char *text, UvWriter *writer)
{
    UvGuid value;

    if (!uv_guid_parse(text, &value))
        return false;
    uv_write_bytes(writer, value.bytes, sizeof(value.bytes));
    return true;
}

/* The text has the device first, the node the function. */
static bool payload_pci(const NodeKind *kind, const Arguments *a, UvWriter *writer)
{
    const Arguments swapped = {.values = {a->values[1], a->values[0]}, .n = 2};

    return numbers(&swapped, "11", writer);
}

static bool payload_root(const NodeKind *kind, const Arguments *a, UvWriter *writer)
{
    uv_write_u32(writer, kind->constant);
    return numbers(a, "4", writer);
}

/* PNP0A03 or a number, and the UID. */
static bool payload_acpi(const NodeKind *kind, const Arguments *a, UvWriter *writer)
{
    const Arguments uid = {.values = {a->values[1]}, .n = 1};
    uint64_t id;

    if (g_ascii_strncasecmp(a->values[0], "PNP", 3) == 0) {
        if (strlen(a->values[0]) != 7 ||
            !g_ascii_string_to_unsigned(a->values[0] + 3, 16, 0, UINT16_MAX, &id, NULL))
            return false;
        id = EISA_PNP(id);
    } else if (!number(a->values[0], UINT32_MAX, &id)) {
        return false;
    }
    uv_write_u32(writer, (uint32_t)id);
    return numbers(&uid, "4", writer);
}

static bool payload_bytes_pair(const NodeKind *kind, const Arguments *a, UvWriter *writer)
{
    return numbers(a, "11", writer);
}

static bool payload_words_pair(const NodeKind *kind, const Arguments *a, UvWriter *writer)
{
    return numbers(a, "22", writer);
}

static bool payload_sata(const NodeKind *kind, const Arguments *a, UvWriter *writer)
{
    return numbers(a, "222", writer);
}

/* EUI-64 as AA-BB-..., first byte first. */
static bool payload_nvme(const NodeKind *kind, const Arguments *a, UvWriter *writer)
{
    const Arguments namespace = {.values = {a->values[0]}, .n = 1};
    g_auto(GStrv) parts = g_strsplit(a->values[1], "-", 9);

    if (!numbers(&namespace, "4", writer) || g_strv_length(parts) != 8)
        return false;
    for (guint i = 0; i < 8; i++) {
        if (strlen(parts[i]) != 2 || !hex_bytes(parts[i], writer))
            return false;
    }
    return true;
}

static bool payload_mac(const NodeKind *kind, const Arguments *a, UvWriter *writer)
{
    g_auto(GStrv) parts = g_strsplit(a->values[0], ":", -1);
    g_autofree char *hex = g_strjoinv("", parts);
    const size_t size = strlen(hex) / 2;
    const Arguments type = {.values = {a->values[1]}, .n = a->n - 1};

    if (size > MAC_BYTES || !hex_bytes(hex, writer))
        return false;
    uv_write_zeros(writer, MAC_BYTES - size);
    return numbers(&type, "1", writer);
}

static bool payload_text(const NodeKind *kind, const Arguments *a, UvWriter *writer)
{
    if (a->n > 0)
        uv_write_bytes(writer, a->values[0], strlen(a->values[0]));
    return true;
}

static bool payload_guid(const NodeKind *kind, const Arguments *a, UvWriter *writer)
{
    return guid(a->values[0], writer) && (a->n < 2 || hex_bytes(a->values[1], writer));
}

/* HD(partition,GPT,GUID,start,size) and HD(partition,MBR,number,start,size), in sectors. */
static bool payload_hd(const NodeKind *kind, const Arguments *a, UvWriter *writer)
{
    const bool gpt = g_ascii_strcasecmp(a->values[1], "GPT") == 0;
    const Arguments partition = {.values = {a->values[0]}, .n = 1};
    const Arguments place = {.values = {a->values[3], a->values[4]}, .n = 2};
    const Arguments disk = {.values = {a->values[2]}, .n = 1};

    if (!numbers(&partition, "4", writer) || !numbers(&place, "88", writer))
        return false;
    if (gpt) {
        if (!guid(a->values[2], writer))
            return false;
    } else {
        if (g_ascii_strcasecmp(a->values[1], "MBR") != 0 || !numbers(&disk, "4", writer))
            return false;
        uv_write_zeros(writer, 12);
    }
    uv_write_u8(writer, gpt ? 2 : 1); /* format of the partition table */
    uv_write_u8(writer, gpt ? 2 : 1); /* kind of signature */
    return true;
}

static const NodeKind kinds[] = {
    {"HD", DEVICE_NODE_MEDIA, HARD_DRIVE, 5, 5, payload_hd, 0, "HD(PARTITION,GPT,GUID,START,SIZE)"},
    {"PciRoot", DEVICE_NODE_ACPI, ACPI, 0, 1, payload_root, EISA_PNP(0x0a03), "PciRoot(UID)"},
    {"PcieRoot", DEVICE_NODE_ACPI, ACPI, 0, 1, payload_root, EISA_PNP(0x0a08), "PcieRoot(UID)"},
    {"Floppy", DEVICE_NODE_ACPI, ACPI, 0, 1, payload_root, EISA_PNP(0x0604), "Floppy(UID)"},
    {"Keyboard", DEVICE_NODE_ACPI, ACPI, 0, 1, payload_root, EISA_PNP(0x0301), "Keyboard(UID)"},
    {"Serial", DEVICE_NODE_ACPI, ACPI, 0, 1, payload_root, EISA_PNP(0x0501), "Serial(UID)"},
    {"Acpi", DEVICE_NODE_ACPI, ACPI, 2, 2, payload_acpi, 0, "Acpi(PNPHHHH,UID)"},
    {"Pci", DEVICE_NODE_HARDWARE, PCI, 2, 2, payload_pci, 0, "Pci(DEVICE,FUNCTION)"},
    {"Sata", DEVICE_NODE_MESSAGING, SATA, 1, 3, payload_sata, 0, "Sata(PORT,MULTIPLIER,LUN)"},
    {"Scsi", DEVICE_NODE_MESSAGING, SCSI, 2, 2, payload_words_pair, 0, "Scsi(TARGET,LUN)"},
    {"USB", DEVICE_NODE_MESSAGING, USB, 2, 2, payload_bytes_pair, 0, "USB(PORT,INTERFACE)"},
    {"NVMe", DEVICE_NODE_MESSAGING, NVME, 2, 2, payload_nvme, 0,
     "NVMe(NAMESPACE,AA-BB-CC-DD-EE-FF-00-11)"},
    {"MAC", DEVICE_NODE_MESSAGING, MAC, 1, 2, payload_mac, 0, "MAC(AABBCCDDEEFF,TYPE)"},
    {"Uri", DEVICE_NODE_MESSAGING, URI, 0, 1, payload_text, 0, "Uri(URI)"},
    {"VenHw", DEVICE_NODE_HARDWARE, VENDOR_HARDWARE, 1, 2, payload_guid, 0, "VenHw(GUID,HEX)"},
    {"VenMsg", DEVICE_NODE_MESSAGING, VENDOR_MESSAGING, 1, 2, payload_guid, 0, "VenMsg(GUID,HEX)"},
    {"VenMedia", DEVICE_NODE_MEDIA, VENDOR_MEDIA, 1, 2, payload_guid, 0, "VenMedia(GUID,HEX)"},
    {"Media", DEVICE_NODE_MEDIA, MEDIA_PROTOCOL, 1, 1, payload_guid, 0, "Media(GUID)"},
    {"FvFile", DEVICE_NODE_MEDIA, FV_FILE, 1, 1, payload_guid, 0, "FvFile(GUID)"},
    {"Fv", DEVICE_NODE_MEDIA, FV, 1, 1, payload_guid, 0, "Fv(GUID)"},
    {"FvVol", DEVICE_NODE_MEDIA, FV, 1, 1, payload_guid, 0, "FvVol(GUID)"},
};

static bool refuse(GError **error, const char *node, const char *expected)
{
    return uv_fail(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "%s: expected %s", node, expected);
}

static void write_node(UvWriter *writer, uint8_t type, uint8_t subtype, GBytes *payload)
{
    uv_write_u8(writer, type);
    uv_write_u8(writer, subtype);
    uv_write_u16(writer, (uint16_t)(DEVICE_NODE_HEADER_BYTES + g_bytes_get_size(payload)));
    uv_write_gbytes(writer, payload);
}

#define PAYLOAD_MAX (UINT16_MAX - DEVICE_NODE_HEADER_BYTES)

/* A file, with the backslashes that firmware wants. */
static bool parse_file(const char *node, const char *file, UvWriter *writer, GError **error)
{
    g_autofree char *path = g_strdelimit(g_strdup(file), "/", '\\');
    g_autoptr(GBytes) bytes = NULL;
    glong units = 0;
    g_autofree gunichar2 *name = g_utf8_to_utf16(path, -1, NULL, &units, NULL);
    g_auto(UvWriter) payload = uv_writer(PAYLOAD_MAX);

    for (glong i = 0; name && i <= units; i++)
        uv_write_u16(&payload, name[i]);
    bytes = uv_writer_steal(&payload);
    if (!name || units == 0 || !bytes)
        return refuse(error, node, "File(PATH), of at most 32 KiB");
    write_node(writer, DEVICE_NODE_MEDIA, DEVICE_NODE_FILE, bytes);
    return true;
}

/* Path(TYPE,SUBTYPE,HEX), and the names that the specification has for some of the types. */
static bool generic_type(const char *name, uint8_t *ret_type)
{
    static const struct {
        const char *name;
        uint8_t type;
    } types[] = {
        {"Path", 0},
        {"Hardware", DEVICE_NODE_HARDWARE},
        {"HardwarePath", DEVICE_NODE_HARDWARE},
        {"AcpiPath", DEVICE_NODE_ACPI},
        {"Msg", DEVICE_NODE_MESSAGING},
        {"MediaPath", DEVICE_NODE_MEDIA},
        {"BbsPath", DEVICE_NODE_BIOS_BOOT},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
        if (g_ascii_strcasecmp(types[i].name, name) == 0) {
            *ret_type = types[i].type;
            return true;
        }
    }
    return false;
}

/* `type` 0: the first argument says it. */
static bool parse_generic(const char *node, uint8_t type, const Arguments *a, UvWriter *writer,
                          GError **error)
{
    char *const *at = a->values;
    g_autoptr(GBytes) bytes = NULL;
    uint64_t wanted = type, subtype;
    g_auto(UvWriter) payload = uv_writer(PAYLOAD_MAX);

    if (type == 0 && !number(*at++, UINT8_MAX, &wanted))
        wanted = 0;
    if (a->n > 3 || wanted == 0 || wanted == DEVICE_NODE_END || !*at ||
        !number(at[0], UINT8_MAX, &subtype) || (at[1] && !hex_bytes(at[1], &payload)) ||
        !(bytes = uv_writer_steal(&payload)))
        return refuse(error, node, "Path(TYPE,SUBTYPE,HEX)");
    write_node(writer, (uint8_t)wanted, (uint8_t)subtype, bytes);
    return true;
}

static const NodeKind *find_kind(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        if (g_ascii_strcasecmp(kinds[i].name, name) == 0)
            return &kinds[i];
    }
    return NULL;
}

static bool parse_kind(const NodeKind *kind, const char *node, const Arguments *arguments,
                       UvWriter *writer, GError **error)
{
    g_autoptr(GBytes) bytes = NULL;
    g_auto(UvWriter) payload = uv_writer(PAYLOAD_MAX);

    if (arguments->n < kind->least || arguments->n > kind->most ||
        !kind->payload(kind, arguments, &payload) || !(bytes = uv_writer_steal(&payload)))
        return refuse(error, node, kind->usage);
    write_node(writer, kind->type, kind->subtype, bytes);
    return true;
}

bool uv_device_node_parse(const char *text, UvWriter *writer, GError **error)
{
    const char *open = strchr(text, '('), *close = strrchr(text, ')');
    Arguments arguments = {0};
    uint8_t type;

    if (text[0] == '\\')
        return parse_file(text, text, writer, error);
    if (!open || !close || close < open || close[1])
        return refuse(error, text, "a node such as File(\\EFI\\BOOT\\BOOTX64.EFI)");
    g_autofree char *name = g_strndup(text, (gsize)(open - text));
    g_autofree char *inside = g_strndup(open + 1, (gsize)(close - open - 1));
    if (g_ascii_strcasecmp(name, "File") == 0)
        return parse_file(text, inside, writer, error);
    const NodeKind *kind = find_kind(name);
    /* One more than any kind has, so that too many shows; a URI may have commas. */
    g_auto(GStrv) values =
        g_strsplit(inside, ",", kind && kind->payload == payload_text ? 1 : ARGUMENTS_MAX + 1);
    for (char **value = values; *inside && *value; value++)
        arguments.values[arguments.n++] = g_strstrip(*value);
    if (generic_type(name, &type))
        return parse_generic(text, type, &arguments, writer, error);
    return kind ? parse_kind(kind, text, &arguments, writer, error)
                : refuse(error, text, "a known kind of node, or Path(TYPE,SUBTYPE,HEX)");
}

char *uv_device_node_file(const uint8_t *node, size_t size)
{
    UvReader reader = uv_reader(node + DEVICE_NODE_HEADER_BYTES, size - DEVICE_NODE_HEADER_BYTES);

    g_autofree gunichar2 *units = g_new0(gunichar2, reader.left / 2 + 1);
    for (size_t n = 0; reader.left >= 2; n++)
        units[n] = uv_read_u16(&reader);
    g_autofree char *text = g_utf16_to_utf8(units, -1, NULL, NULL, NULL);
    for (const char *at = text; at && *at; at = g_utf8_next_char(at)) {
        if (!g_unichar_isprint(g_utf8_get_char(at)))
            return NULL;
    }
    return text ? g_steal_pointer(&text) : NULL;
}
