/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * An authenticated update of db (RSA-2048) through the socket of a real engine, beside what nobody
 * can save: GnuTLS verifying that signature against KEK, and a durable append of what is stored.
 * Medians of interleaved rounds; figures only. Argument: the engine's program.
 */

#include <fcntl.h>
#include <gio/gio.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bytes.h"
#include "efi-abi.h"
#include "signing.h"
#include "wire.h"

#define ROUNDS 300
#define KEYS                                                                                       \
    (EFI_VARIABLE_NON_VOLATILE | EFI_VARIABLE_BOOTSERVICE_ACCESS | EFI_VARIABLE_RUNTIME_ACCESS |   \
     EFI_VARIABLE_TIME_BASED_AUTHENTICATED_WRITE_ACCESS)

static void write_all(int fd, const void *bytes, size_t size)
{
    for (const char *at = bytes; size > 0;) {
        const ssize_t n = write(fd, at, size);
        if (n < 0)
            g_error("write: %s", g_strerror(errno));
        at += n;
        size -= n;
    }
}

static void read_all(int fd, void *bytes, size_t size)
{
    for (char *at = bytes; size > 0;) {
        const ssize_t n = read(fd, at, size);
        if (n <= 0)
            g_error("the engine closed the connection");
        at += n;
        size -= n;
    }
}

/* One frame and its reply. */
static GBytes *request(int fd, uint16_t type, GBytes *payload)
{
    uint8_t header[UV_WIRE_HEADER_BYTES];
    gsize size;
    const void *bytes = g_bytes_get_data(payload, &size);
    g_auto(UvWriter) writer = uv_writer(1 << 20);

    uv_write_u32(&writer, size);
    uv_write_u16(&writer, type);
    uv_write_u16(&writer, 0);
    uv_write_u64(&writer, 1);
    uv_write_bytes(&writer, bytes, size);
    g_autoptr(GBytes) frame = uv_writer_steal(&writer);
    write_all(fd, g_bytes_get_data(frame, NULL), g_bytes_get_size(frame));
    read_all(fd, header, sizeof(header));
    UvReader reader = uv_reader(header, sizeof(header));
    const uint32_t length = uv_read_u32(&reader);
    if (uv_read_u16(&reader) != (type | UV_WIRE_REPLY))
        g_error("the engine refused a frame");
    uint8_t *reply = g_malloc(length + 1);
    read_all(fd, reply, length);
    return g_bytes_new_take(reply, length);
}

static void hello(int fd)
{
    g_auto(UvWriter) writer = uv_writer(1024);

    uv_write_u32(&writer, UV_WIRE_VERSION);
    uv_write_u32(&writer, UV_WIRE_VERSION);
    uv_write_zeros(&writer, 8);
    uv_write_bytes(&writer, "0123456789abcdef", 16);
    uv_write_u32(&writer, 65536);
    uv_write_bytes(&writer, "bench", 5);
    g_autoptr(GBytes) payload = uv_writer_steal(&writer);
    g_bytes_unref(request(fd, UV_WIRE_HELLO, payload));
}

static GBytes *set_message(const UvGuid *guid, const char *name_text, GBytes *data)
{
    g_autoptr(UvName) name = uv_name_new_utf8(name_text, NULL);
    gsize size;
    const void *bytes = g_bytes_get_data(data, &size);
    g_auto(UvWriter) writer = uv_writer(1 << 20);

    uv_write_bytes(&writer, uv_guid_smm_variable_protocol.bytes, 16);
    uv_write_u64(&writer, EFI_MM_VARIABLE_HEADER_BYTES + EFI_MM_ACCESS_BYTES +
                              uv_name_size_bytes(name) + size);
    uv_write_u64(&writer, EFI_MM_SET_VARIABLE);
    uv_write_u64(&writer, 0);
    uv_write_bytes(&writer, guid->bytes, 16);
    uv_write_u64(&writer, size);
    uv_write_u64(&writer, uv_name_size_bytes(name));
    uv_write_u32(&writer, KEYS);
    uv_write_bytes(&writer, uv_name_utf16le(name), uv_name_size_bytes(name));
    uv_write_bytes(&writer, bytes, size);
    return uv_writer_steal(&writer);
}

static void send_set(int fd, GBytes *message)
{
    g_autoptr(GBytes) reply = request(fd, UV_WIRE_MM, message);
    UvReader reader = uv_reader(g_bytes_get_data(reply, NULL), g_bytes_get_size(reply));

    uv_read_bytes(&reader, 8 + EFI_MM_HEADER_BYTES + 8);
    const EfiStatus status = uv_read_u64(&reader);
    if (status != EFI_SUCCESS)
        g_error("status %" G_GINT64_MODIFIER "x", status);
}

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    for (int i = 0; i < 500; i++) {
        const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
            return fd;
        close(fd);
        g_usleep(10000);
    }
    g_error("%s does not answer", path);
}

/* What GnuTLS itself takes: parse the message and the key, verify with a list of trusted keys. */
static void verify(GBytes *pkcs7_bytes, GBytes *content, const Signer *kek)
{
    gnutls_x509_trust_list_t trusted;
    gnutls_x509_crt_t crt;
    gnutls_pkcs7_t pkcs7;
    gsize size;
    const void *bytes = g_bytes_get_data(pkcs7_bytes, &size);
    const gnutls_datum_t message = {(unsigned char *)bytes, size};
    bytes = g_bytes_get_data(content, &size);
    const gnutls_datum_t data = {(unsigned char *)bytes, size};
    bytes = g_bytes_get_data(kek->der, &size);
    const gnutls_datum_t der = {(unsigned char *)bytes, size};

    gnutls_pkcs7_init(&pkcs7);
    gnutls_x509_crt_init(&crt);
    gnutls_x509_trust_list_init(&trusted, 0);
    if (gnutls_pkcs7_import(pkcs7, &message, GNUTLS_X509_FMT_DER) < 0 ||
        gnutls_x509_crt_import(crt, &der, GNUTLS_X509_FMT_DER) < 0 ||
        gnutls_x509_trust_list_add_cas(trusted, &crt, 1, 0) < 0 ||
        gnutls_pkcs7_verify(pkcs7, trusted, NULL, 0, 0, &data,
                            GNUTLS_VERIFY_DISABLE_TIME_CHECKS |
                                GNUTLS_VERIFY_DISABLE_TRUSTED_TIME_CHECKS) < 0)
        g_error("GnuTLS does not verify");
    gnutls_x509_trust_list_deinit(trusted, 1);
    gnutls_pkcs7_deinit(pkcs7);
}

static int compare(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return x < y ? -1 : x > y;
}

static double median(int64_t *values)
{
    qsort(values, ROUNDS, sizeof(*values), compare);
    return values[ROUNDS / 2];
}

typedef struct {
    Signer *pk, *kek;
    int fd, file;
} Bench;

static void enrol(const Bench *bench)
{
    g_autoptr(GBytes) pk_list = sign_list(bench->pk), kek_list = sign_list(bench->kek);
    g_autoptr(GBytes) kek_write =
        sign_write(NULL, &uv_guid_global_variable, "KEK", KEYS, 1, kek_list);
    g_autoptr(GBytes) pk_write =
        sign_write(bench->pk, &uv_guid_global_variable, "PK", KEYS, 1, pk_list);
    g_autoptr(GBytes) kek_message = set_message(&uv_guid_global_variable, "KEK", kek_write);
    g_autoptr(GBytes) pk_message = set_message(&uv_guid_global_variable, "PK", pk_write);

    send_set(bench->fd, kek_message);
    send_set(bench->fd, pk_message);
}

static void measure(const Bench *bench, int64_t *ours, int64_t *verifying, int64_t *writing)
{
    const Signer *const certificates[] = {bench->kek, NULL};

    for (unsigned i = 0; i < ROUNDS; i++) {
        g_autoptr(GBytes) list = sign_list(i % 2 ? bench->pk : bench->kek);
        uint8_t time[16];

        sign_time(10 + i, time);
        g_autoptr(GBytes) content = sign_content(&uv_guid_image_security, "db", KEYS, time, list);
        g_autoptr(GBytes) pkcs7 = sign_pkcs7(bench->kek, GNUTLS_DIG_SHA256, content, certificates);
        g_autoptr(GBytes) whole = sign_write_with(pkcs7, time, list);
        g_autoptr(GBytes) message = set_message(&uv_guid_image_security, "db", whole);

        int64_t start = g_get_monotonic_time();
        send_set(bench->fd, message);
        ours[i] = g_get_monotonic_time() - start;
        start = g_get_monotonic_time();
        verify(pkcs7, content, bench->kek);
        verifying[i] = g_get_monotonic_time() - start;
        start = g_get_monotonic_time();
        write_all(bench->file, g_bytes_get_data(list, NULL), g_bytes_get_size(list));
        fdatasync(bench->file);
        writing[i] = g_get_monotonic_time() - start;
    }
}

int main(int argc, char **argv)
{
    static int64_t ours[ROUNDS], verifying[ROUNDS], writing[ROUNDS];
    g_autofree char *folder = g_dir_make_tmp("uefivars-bench-XXXXXX", NULL);
    g_autofree char *store = g_build_filename(folder, "vars.json", NULL);
    /* The session file is beside the socket, which is in /run where it is used: in memory. */
    g_autofree char *socket_path = g_strdup_printf("/dev/shm/uefivars-bench-%d.sock", getpid());
    g_autofree char *file = g_build_filename(folder, "durable", NULL);
    Bench bench = {.pk = signer_new("pk", GNUTLS_PK_RSA, 2048, NULL, true),
                   .kek = signer_new("kek", GNUTLS_PK_RSA, 2048, NULL, true)};
    const char *command[] = {argv[1], "--store", store, "--socket", socket_path, NULL};
    GPid engine;

    if (argc < 2)
        g_error("usage: bench-auth UEFIVARSD");
    if (!g_spawn_async(NULL, (char **)command, NULL, G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &engine,
                       NULL))
        g_error("%s does not start", argv[1]);
    bench.fd = connect_to(socket_path);
    bench.file = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    hello(bench.fd);
    enrol(&bench);
    measure(&bench, ours, verifying, writing);
    const double a = median(ours), b = median(verifying), c = median(writing);
    printf("authenticated update of db through the socket %8.0f us\n", a);
    printf("GnuTLS verifying alone                        %8.0f us\n", b);
    printf("durable append alone                          %8.0f us\n", c);
    printf("ratio                                         %8.2f    bar 1.30\n", a / (b + c));
    close(bench.fd);
    kill(engine, SIGTERM);
    waitpid(engine, NULL, 0);
    g_autofree char *clean = g_strdup_printf("rm -rf '%s' %s*", folder, socket_path);
    signer_free(bench.pk);
    signer_free(bench.kek);
    return system(clean);
}
