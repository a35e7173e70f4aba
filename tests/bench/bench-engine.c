/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * bench-engine UEFIVARSD GNUTLS-ONLY: what an engine costs, beside what the host asks for the same
 * without it.
 *
 *   record     the same SetVariable with the record of changes, and without it
 *   durable    256-byte SetVariable on a 120 KiB store, and append + fdatasync + a round trip
 *   memory     Private_Dirty with a 64 KiB store
 *   start      exec to the reply to HELLO, confined and not, and an exec of the same program,
 *              beside /bin/true and a program that only links GnuTLS
 *   flood      GetVariable of one guest while another one floods its engine
 *
 * Measurements that are compared take turns, and medians are shown.
 */

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bytes.h"
#include "efi-abi.h"
#include "guid.h"
#include "uv-limits.h"
#include "wire.h"

#define ROUNDS 400
#define RECORD_ROUNDS 2000
#define STARTS 40
#define DATA_BYTES 256

typedef struct {
    pid_t pid;
    int socket; /* connected, HELLO said: the guest's, or the host's */
    char *folder;
} Engine;

static const char *program;
static const char *gnutls_only; /* a program that only links it */

static void die(const char *what)
{
    fprintf(stderr, "bench-engine: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double now_us(void)
{
    struct timespec at;

    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * 1e6 + at.tv_nsec / 1e3;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *values, size_t n)
{
    qsort(values, n, sizeof(*values), compare);
    return values[n / 2];
}

/* ---- frames, blocking ---- */

static void read_whole(int fd, void *buffer, size_t size)
{
    for (size_t done = 0; done < size;) {
        const ssize_t n = read(fd, (char *)buffer + done, size - done);
        if (n <= 0)
            die("read");
        done += n;
    }
}

static void write_whole(int fd, const void *buffer, size_t size)
{
    for (size_t done = 0; done < size;) {
        const ssize_t n = write(fd, (const char *)buffer + done, size - done);
        if (n <= 0)
            die("write");
        done += n;
    }
}

static GBytes *frame(uint16_t type, const void *payload, size_t size)
{
    g_auto(UvWriter) writer = uv_writer(UV_WIRE_MM_MAX + UV_WIRE_HEADER_BYTES);

    uv_write_u32(&writer, size);
    uv_write_u16(&writer, type);
    uv_write_u16(&writer, 0);
    uv_write_u64(&writer, 1);
    uv_write_bytes(&writer, payload, size);
    return uv_writer_steal(&writer);
}

/* The EFI status of an MM variable message, or 0. */
static uint64_t call(int fd, GBytes *request)
{
    static uint8_t reply[UV_WIRE_MM_MAX + 64];
    uint32_t size;
    uint64_t status = 0;
    gsize length;
    const void *data = g_bytes_get_data(request, &length);

    write_whole(fd, data, length);
    read_whole(fd, reply, UV_WIRE_HEADER_BYTES);
    memcpy(&size, reply, 4);
    read_whole(fd, reply, size);
    if (size >= 48)
        memcpy(&status, reply + 40, 8);
    return status;
}

static GBytes *access_message(uint64_t function, const char *name, uint32_t attributes,
                              const void *data, size_t size)
{
    const size_t name_bytes = 2 * (strlen(name) + 1);
    g_auto(UvWriter) writer = uv_writer(UV_MM_BUFFER_MAX);

    uv_write_bytes(&writer, uv_guid_smm_variable_protocol.bytes, 16);
    uv_write_u64(&writer, EFI_MM_VARIABLE_HEADER_BYTES + EFI_MM_ACCESS_BYTES + name_bytes + size);
    uv_write_u64(&writer, function);
    uv_write_u64(&writer, 0);
    uv_write_bytes(&writer, uv_guid_vendor_keys_nv.bytes, 15);
    uv_write_u8(&writer, 0x77);
    uv_write_u64(&writer, size);
    uv_write_u64(&writer, name_bytes);
    uv_write_u32(&writer, attributes);
    for (const char *at = name; at < name + name_bytes / 2; at++)
        uv_write_u16(&writer, *at);
    if (data)
        uv_write_bytes(&writer, data, size);
    else
        uv_write_zeros(&writer, size);
    g_autoptr(GBytes) message = uv_writer_steal(&writer);
    gsize length;
    const void *bytes = g_bytes_get_data(message, &length);
    return frame(UV_WIRE_MM, bytes, length);
}

static void set_variable(int fd, const char *name, const void *data, size_t size)
{
    g_autoptr(GBytes) request = access_message(EFI_MM_SET_VARIABLE, name, 7, data, size);
    const uint64_t status = call(fd, request);

    if (status != EFI_SUCCESS) {
        fprintf(stderr, "bench-engine: SetVariable: 0x%" G_GINT64_MODIFIER "x\n", status);
        exit(1);
    }
}

/* ---- engines ---- */

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    for (int i = 0; i < 5000; i++) {
        const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
            return fd;
        close(fd);
        g_usleep(200);
    }
    die(path);
    return -1;
}

static void say_hello(int fd)
{
    uint8_t payload[36 + 5] = {1, 0, 0, 0, 1};

    for (int i = 16; i < 32; i++)
        payload[i] = g_random_int_range(0, 256);
    payload[34] = 1; /* 65536 */
    memcpy(payload + 36, "bench", 5);
    g_autoptr(GBytes) hello = frame(UV_WIRE_HELLO, payload, sizeof(payload));
    call(fd, hello);
}

/* The host's HELLO makes no store: what is timed is the start alone. */
static void say_hello_as_host(int fd)
{
    const uint8_t payload[] = {1, 0, 0, 0};
    g_autoptr(GBytes) hello = frame(UV_HOST_HELLO, payload, sizeof(payload));

    call(fd, hello);
}

static Engine engine_start_with(const char *sandbox, bool as_host, const char *record)
{
    Engine engine = {.folder = g_dir_make_tmp("uvbench-XXXXXX", NULL)};
    g_autofree char *store = g_build_filename(engine.folder, "vars.json", NULL);
    g_autofree char *path = g_build_filename(engine.folder, "mm.sock", NULL);
    g_autofree char *host = g_build_filename(engine.folder, "mm.host", NULL);
    g_autofree char *confine = g_strdup_printf("--sandbox=%s", sandbox);
    g_autofree char *record_bytes = g_strdup_printf("--record=%s", record);
    char *const arguments[] = {(char *)program,
                               (char *)"--store",
                               store,
                               (char *)"--socket",
                               path,
                               (char *)"--host-socket",
                               host,
                               confine,
                               record_bytes,
                               NULL};
    char *const environment[] = {NULL};
    posix_spawn_file_actions_t actions;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    if (posix_spawn(&engine.pid, program, &actions, NULL, arguments, environment) != 0)
        die(program);
    posix_spawn_file_actions_destroy(&actions);
    engine.socket = connect_to(as_host ? host : path);
    if (as_host)
        say_hello_as_host(engine.socket);
    else
        say_hello(engine.socket);
    return engine;
}

static Engine engine_start(const char *sandbox, bool as_host)
{
    return engine_start_with(sandbox, as_host, "1048576");
}

static void engine_stop(Engine *engine)
{
    g_autofree char *command = g_strdup_printf("rm -rf '%s'", engine->folder);

    close(engine->socket);
    kill(engine->pid, SIGTERM);
    waitpid(engine->pid, NULL, 0);
    if (system(command) != 0)
        die("rm");
    g_free(engine->folder);
}

static void fill(const Engine *engine, size_t kib)
{
    uint8_t data[2000] = {1};

    for (size_t i = 0; i < kib * 1024 / (sizeof(data) + 72); i++) {
        g_autofree char *name = g_strdup_printf("Fill%zu", i);
        set_variable(engine->socket, name, data, sizeof(data));
    }
    g_usleep(2500000); /* a compaction */
}

/* ---- durable ---- */

/* A process that sends back what it gets. */
static int start_echo(pid_t *ret_pid)
{
    int fds[2];
    uint8_t buffer[DATA_BYTES];

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0 || (*ret_pid = fork()) < 0)
        die("echo");
    if (*ret_pid > 0) {
        close(fds[1]);
        return fds[0];
    }
    close(fds[0]);
    for (;;) {
        const ssize_t n = read(fds[1], buffer, sizeof(buffer));
        if (n <= 0 || write(fds[1], buffer, n) != n)
            _exit(0);
    }
}

static double time_echo(int fd)
{
    uint8_t buffer[DATA_BYTES] = {0};
    const double start = now_us();

    write_whole(fd, buffer, sizeof(buffer));
    read_whole(fd, buffer, sizeof(buffer));
    return now_us() - start;
}

static double time_append(int fd)
{
    uint8_t buffer[512] = {0};
    const double start = now_us();

    write_whole(fd, buffer, sizeof(buffer));
    if (fdatasync(fd) != 0)
        die("fdatasync");
    return now_us() - start;
}

static double time_set(const Engine *engine, int round)
{
    uint8_t data[DATA_BYTES];

    memset(data, round, sizeof(data));
    data[0] = round >> 8;
    g_autoptr(GBytes) request = access_message(EFI_MM_SET_VARIABLE, "Bench", 7, data, sizeof(data));
    const double start = now_us();
    if (call(engine->socket, request) != EFI_SUCCESS)
        die("SetVariable");
    return now_us() - start;
}

static void bench_durable(void)
{
    static double sets[ROUNDS], appends[ROUNDS], echoes[ROUNDS];
    Engine engine = engine_start("auto", false);
    g_autofree char *path = g_build_filename(engine.folder, "append", NULL);
    const int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    pid_t echo_pid;
    const int echo = start_echo(&echo_pid);

    fill(&engine, 120);
    for (int i = 0; i < ROUNDS; i++) {
        /* Who comes first pays for what others left to be written: in turns. */
        if (i % 2)
            appends[i] = time_append(fd);
        sets[i] = time_set(&engine, i);
        if (i % 2 == 0)
            appends[i] = time_append(fd);
        echoes[i] = time_echo(echo);
    }
    const double set = median(sets, ROUNDS), append = median(appends, ROUNDS),
                 echo_us = median(echoes, ROUNDS);
    printf("durable SetVariable, 256 B on a 120 KiB store   %8.1f us\n", set);
    printf("  append + fdatasync %.1f us, round trip %.1f us: together %8.1f us, ratio %.2f\n",
           append, echo_us, append + echo_us, set / (append + echo_us));
    close(fd);
    close(echo);
    waitpid(echo_pid, NULL, 0);
    engine_stop(&engine);
}

/* ---- record ---- */

/* Two in a row: the second may wait for what the first one's record still takes. */
static void time_sets(const Engine *engine, int round, double *ret_first, double *ret_second)
{
    *ret_first = time_set(engine, 2 * round);
    *ret_second = time_set(engine, 2 * round + 1);
}

static void print_record(const char *what, double *with, double *without)
{
    const double on_us = median(with, RECORD_ROUNDS), off_us = median(without, RECORD_ROUNDS);

    printf("durable SetVariable with the record%-12s %8.1f us  baseline %.1f (without) ratio %.3f  "
           "bar 1.05\n",
           what, on_us, off_us, on_us / off_us);
}

static void bench_record(void)
{
    static double with[2][RECORD_ROUNDS], without[2][RECORD_ROUNDS];
    Engine on = engine_start_with("auto", false, "1048576"),
           off = engine_start_with("auto", false, "0");

    fill(&on, 120);
    fill(&off, 120);
    for (int i = 0; i < RECORD_ROUNDS; i++) {
        if (i % 2)
            time_sets(&off, i, &without[0][i], &without[1][i]);
        time_sets(&on, i, &with[0][i], &with[1][i]);
        if (i % 2 == 0)
            time_sets(&off, i, &without[0][i], &without[1][i]);
    }
    print_record("", with[0], without[0]);
    print_record(", next", with[1], without[1]);
    engine_stop(&on);
    engine_stop(&off);
}

/* ---- memory ---- */

static void bench_memory(void)
{
    Engine engine = engine_start("auto", false);
    g_autofree char *path = g_strdup_printf("/proc/%d/smaps_rollup", engine.pid);
    g_autofree char *text = NULL;

    fill(&engine, 64);
    if (!g_file_get_contents(path, &text, NULL, NULL))
        die(path);
    const char *line = strstr(text, "Private_Dirty:");
    printf("Private_Dirty with a 64 KiB store               %8ld KiB\n",
           line ? strtol(line + strlen("Private_Dirty:"), NULL, 10) : -1);
    engine_stop(&engine);
}

/* ---- start ---- */

static double time_start(const char *sandbox)
{
    const double start = now_us();
    Engine engine = engine_start(sandbox, true);
    const double took = now_us() - start;

    engine_stop(&engine);
    return took;
}

static double time_program(const char *path, const char *option)
{
    char *const arguments[] = {(char *)path, (char *)option, NULL};
    posix_spawn_file_actions_t actions;
    const double start = now_us();
    pid_t pid;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    if (posix_spawn(&pid, path, &actions, NULL, arguments, NULL) != 0)
        die(path);
    waitpid(pid, NULL, 0);
    posix_spawn_file_actions_destroy(&actions);
    return now_us() - start;
}

static void bench_start(void)
{
    static double confined[STARTS], open_ones[STARTS], bare[STARTS], nothing[STARTS],
        gnutls[STARTS];

    for (int i = 0; i < STARTS; i++) {
        confined[i] = time_start("auto");
        open_ones[i] = time_start("off");
        bare[i] = time_program(program, "--version");
        nothing[i] = time_program("/bin/true", NULL);
        gnutls[i] = time_program(gnutls_only, NULL);
    }
    const double with = median(confined, STARTS), without = median(open_ones, STARTS);
    printf("start to HELLO, confined                        %8.1f us\n", with);
    printf("  not confined %.1f us: confinement costs %.1f us (exec alone %.1f us)\n", without,
           with - without, median(bare, STARTS));
    const double base = median(nothing, STARTS), tls = median(gnutls, STARTS) - base;
    printf(
        "--version                                       %8.1f us  baseline %.1f (/bin/true) ratio "
        "%.2f, without GnuTLS's own %.1f us %.2f  bar 3\n",
        median(bare, STARTS), base, median(bare, STARTS) / base, tls,
        (median(bare, STARTS) - tls) / base);
}

/* ---- flood ---- */

static double latency(const Engine *engine)
{
    static double times[ROUNDS * 5];
    g_autoptr(GBytes) request = access_message(EFI_MM_GET_VARIABLE, "Bench", 0, NULL, 1024);

    for (size_t i = 0; i < G_N_ELEMENTS(times); i++) {
        const double start = now_us();
        if (call(engine->socket, request) != EFI_SUCCESS)
            die("GetVariable");
        times[i] = now_us() - start;
    }
    return median(times, G_N_ELEMENTS(times));
}

/* Sends the largest messages without a pause, and reads what comes. */
static pid_t start_flood(const Engine *engine)
{
    static uint8_t payload[UV_MM_BUFFER_MAX];
    const pid_t pid = fork();

    if (pid != 0)
        return pid;
    g_autoptr(GBytes) request = frame(UV_WIRE_MM, payload, sizeof(payload));
    for (;;)
        call(engine->socket, request);
}

/* A pair that the scheduler moves apart or together takes three times as long or a third, whatever
 * else runs: the victim and this program stay on one processor, the others run where they are put.
 */
static void stay_on_one_processor(pid_t pid)
{
    cpu_set_t one;

    CPU_ZERO(&one);
    CPU_SET(0, &one);
    if (sched_setaffinity(pid, sizeof(one), &one) < 0)
        die("sched_setaffinity");
}

static void bench_flood(void)
{
    Engine victim = engine_start("auto", false), flooded = engine_start("auto", false);
    const pid_t flood = start_flood(&flooded);

    set_variable(victim.socket, "Bench", "x", 1);
    kill(flood, SIGSTOP);
    stay_on_one_processor(victim.pid);
    stay_on_one_processor(0);
    const double alone = latency(&victim);
    kill(flood, SIGCONT);
    g_usleep(100000);
    const double beside = latency(&victim);
    kill(flood, SIGKILL);
    waitpid(flood, NULL, 0);
    printf("GetVariable beside a flooding guest             %8.1f us\n", beside);
    printf("  alone %.1f us, ratio %.2f (%ld processors)\n", alone, beside / alone,
           sysconf(_SC_NPROCESSORS_ONLN));
    engine_stop(&victim);
    engine_stop(&flooded);
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: bench-engine UEFIVARSD GNUTLS-ONLY\n");
        return 1;
    }
    program = argv[1];
    gnutls_only = argv[2];
    bench_record();
    bench_durable();
    bench_memory();
    bench_start();
    bench_flood();
    return 0;
}
