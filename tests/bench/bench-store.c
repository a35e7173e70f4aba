/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What a durable change costs: through the JSON store alone, and by SetVariable through the socket
 * of an engine, on a store of 120 KiB. The baselines are an append of as many bytes with fdatasync,
 * and a round trip between two processes; baselines and subjects take turns in the same run, on the
 * same file system. Also: loading that store, and a compaction, against writing such a file.
 * Medians of single calls. Last, the engine's memory. Figures only.
 */

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bytes.h"
#include "efi-abi.h"
#include "json.h"
#include "store.h"
#include "wire.h"

#define ROUNDS 15
#define CALLS 100
#define DATA_BYTES 256
#define STORE_VARIABLES 120 /* of 1 KiB */
/* What the journal takes for such a change: record header, name, attributes, times. */
#define APPEND_BYTES (DATA_BYTES + 32 + 75)

static const UvGuid guid = {{9, 8, 7, 6}};

typedef void (*Work)(void *data, unsigned i);

/* One kind of work, a time for each call. */
typedef struct {
    Work work;
    void *data;
    unsigned calls_a_round;
    GArray *us; /* of double */
} Series;

static double now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1e6 + now.tv_nsec / 1e3;
}

static void run_round(Series *series)
{
    for (unsigned i = 0; i < series->calls_a_round; i++) {
        double start = now_us(), took;

        series->work(series->data, i);
        took = now_us() - start;
        g_array_append_val(series->us, took);
    }
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(Series *series)
{
    g_array_sort(series->us, compare_doubles);
    return g_array_index(series->us, double, series->us->len / 2);
}

static void must(bool done, const char *what)
{
    if (!done) {
        perror(what);
        exit(1);
    }
}

/* Baselines. */

static void append(void *data, unsigned i)
{
    static const char bytes[APPEND_BYTES];
    int fd = *(int *)data;

    must(write(fd, bytes, sizeof(bytes)) == sizeof(bytes), "write");
    must(fdatasync(fd) == 0, "fdatasync");
}

static void round_trip(void *data, unsigned i)
{
    char bytes[DATA_BYTES] = "";
    int fd = *(int *)data;

    must(write(fd, bytes, sizeof(bytes)) == sizeof(bytes), "write");
    must(recv(fd, bytes, sizeof(bytes), MSG_WAITALL) == sizeof(bytes), "recv");
}

static int start_echo(pid_t *ret_pid)
{
    char bytes[DATA_BYTES];
    int pair[2];

    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0, "socketpair");
    *ret_pid = fork();
    if (*ret_pid == 0) {
        close(pair[0]);
        while (recv(pair[1], bytes, sizeof(bytes), MSG_WAITALL) == sizeof(bytes))
            must(write(pair[1], bytes, sizeof(bytes)) == sizeof(bytes), "write");
        _exit(0);
    }
    close(pair[1]);
    return pair[0];
}

static char *base_path;
static GBytes *store_text;

static void replace_file(void *data, unsigned i)
{
    g_autofree char *temp = g_strconcat(base_path, ".tmp", NULL);
    g_autofree char *dir = g_path_get_dirname(base_path);
    int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC, 0600), dir_fd = open(dir, O_RDONLY);
    size_t size;
    const void *text = g_bytes_get_data(store_text, &size);

    must(write(fd, text, size) == (ssize_t)size && fsync(fd) == 0, "write");
    must(rename(temp, base_path) == 0 && fsync(dir_fd) == 0, "rename");
    close(fd);
    close(dir_fd);
}

/* The store alone. */

typedef struct {
    UvStore *store;
    UvVarset *set;
} StoreWork;

static UvVariable *variable(const char *name, size_t size, unsigned i)
{
    g_autoptr(UvName) uv_name = uv_name_new_utf8(name, NULL);
    g_autofree uint8_t *bytes = g_malloc0(size);
    g_autoptr(GBytes) data = NULL;
    UvVariable fields = {.guid = guid, .name = uv_name, .attributes = 7};

    memcpy(bytes, &i, sizeof(i));
    data = g_bytes_new(bytes, size);
    fields.data = data;
    return uv_variable_new(&fields);
}

static void apply(void *data, unsigned i)
{
    StoreWork *work = data;
    g_autoptr(UvVariable) changed = variable("Bench", DATA_BYTES, g_random_int());
    g_autoptr(UvChange) change = uv_change_new(work->set);

    uv_change_put(change, changed);
    must(work->store->ops->apply(work->store, change, NULL), "apply");
    uv_change_apply(change, work->set);
}

static void apply_and_compact(void *data, unsigned i)
{
    StoreWork *work = data;

    apply(work, i);
    must(work->store->ops->compact(work->store, work->set, NULL), "compact");
}

static void load(void *data, unsigned i)
{
    StoreWork *work = data;
    g_autoptr(GPtrArray) variables = NULL;

    must(work->store->ops->load(work->store, &variables, NULL), "load");
}

static UvVarset *make_set(unsigned n)
{
    UvVarset *set = uv_varset_new();

    for (unsigned i = 0; i < n; i++) {
        g_autofree char *name = g_strdup_printf("Variable%u", i);
        g_autoptr(UvVariable) one = variable(name, 1024, i);
        uv_varset_put(set, one);
    }
    return set;
}

static void write_store(const char *path, GBytes *text)
{
    must(g_file_set_contents(path, g_bytes_get_data(text, NULL), g_bytes_get_size(text), NULL),
         path);
}

static void open_store(StoreWork *work, const char *path)
{
    UvStoreOptions options = {.create = true, .guard = true};

    write_store(path, store_text);
    work->store = uv_store_json_open(uv_folder_new(AT_FDCWD, path, NULL), &options, NULL);
    work->set = make_set(STORE_VARIABLES);
    load(work, 0);
}

/* SetVariable through the socket. */

static void send_frame(int fd, uint16_t type, UvWriter *payload)
{
    g_autoptr(GBytes) bytes = uv_writer_steal(payload), whole = NULL;
    g_auto(UvWriter) frame;
    size_t size;
    const void *data = g_bytes_get_data(bytes, &size);

    frame = uv_writer(UV_WIRE_HEADER_BYTES + size);
    uv_write_u32(&frame, size);
    uv_write_u16(&frame, type);
    uv_write_u16(&frame, 0);
    uv_write_u64(&frame, 1);
    uv_write_bytes(&frame, data, size);
    whole = uv_writer_steal(&frame);
    data = g_bytes_get_data(whole, &size);
    must(write(fd, data, size) == (ssize_t)size, "write");
}

static void receive_frame(int fd, uint16_t type, uint8_t *buffer, size_t room)
{
    uint32_t size;

    must(recv(fd, buffer, UV_WIRE_HEADER_BYTES, MSG_WAITALL) == UV_WIRE_HEADER_BYTES, "recv");
    UvReader header = uv_reader(buffer, UV_WIRE_HEADER_BYTES);
    size = uv_read_u32(&header);
    must(uv_read_u16(&header) == (type | UV_WIRE_REPLY) && size <= room, "reply");
    must(size == 0 || recv(fd, buffer, size, MSG_WAITALL) == (ssize_t)size, "recv");
}

static void say_hello(int fd)
{
    g_auto(UvWriter) payload;
    uint8_t reply[1024];

    payload = uv_writer(128);
    uv_write_u32(&payload, 1);
    uv_write_u32(&payload, 1);
    uv_write_u32(&payload, 0);
    uv_write_u32(&payload, 0);
    uv_write_zeros(&payload, UV_WIRE_SESSION_ID_BYTES - 1);
    uv_write_u8(&payload, 1);
    uv_write_u32(&payload, 65536);
    uv_write_bytes(&payload, "bench", 5);
    send_frame(fd, UV_WIRE_HELLO, &payload);
    receive_frame(fd, UV_WIRE_HELLO, reply, sizeof(reply));
}

static void set_variable(void *data, unsigned i)
{
    static const uint8_t name[] = "B\0e\0n\0c\0h\0\0";
    static uint8_t reply[65536 + 64];
    int fd = *(int *)data;
    g_auto(UvWriter) message;
    size_t body = EFI_MM_VARIABLE_HEADER_BYTES + EFI_MM_ACCESS_BYTES + sizeof(name) + DATA_BYTES;

    message = uv_writer(4096);
    uv_write_bytes(&message, uv_guid_smm_variable_protocol.bytes, sizeof(UvGuid));
    uv_write_u64(&message, body);
    uv_write_u64(&message, EFI_MM_SET_VARIABLE);
    uv_write_u64(&message, 0);
    uv_write_bytes(&message, guid.bytes, sizeof(guid.bytes));
    uv_write_u64(&message, DATA_BYTES);
    uv_write_u64(&message, sizeof(name));
    uv_write_u32(&message, 7);
    uv_write_bytes(&message, name, sizeof(name));
    uv_write_u32(&message, g_random_int());
    uv_write_zeros(&message, DATA_BYTES - 4);
    send_frame(fd, UV_WIRE_MM, &message);
    receive_frame(fd, UV_WIRE_MM, reply, sizeof(reply));
    /* Behind device status and a zero: the communicate header, function, EFI status. */
    for (size_t at = 8 + 32; at < 8 + 40; at++)
        must(reply[at] == 0, "SetVariable");
}

static int connect_engine(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    for (int i = 0; i < 500; i++) {
        if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
            return fd;
        g_usleep(10000);
    }
    return -1;
}

static int start_engine(const char *dir, GBytes *text, pid_t *ret_pid)
{
    const char *program = g_getenv("UEFIVARSD");
    g_autofree char *store = g_build_filename(dir, "engine.json", NULL);
    g_autofree char *path = g_build_filename(dir, "mm.sock", NULL);
    int fd;

    if (!program)
        return -1;
    write_store(store, text);
    *ret_pid = fork();
    if (*ret_pid == 0) {
        execl(program, program, "--store", store, "--socket", path, NULL);
        _exit(127);
    }
    fd = connect_engine(path);
    if (fd >= 0)
        say_hello(fd);
    return fd;
}

static void stop_engine(int fd, pid_t pid)
{
    if (pid <= 0)
        return;
    close(fd);
    kill(pid, SIGTERM);
    waitpid(pid, NULL, 0);
}

static long private_dirty_kib(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/smaps_rollup", (int)pid);
    g_autofree char *text = NULL;
    const char *line;

    if (!g_file_get_contents(path, &text, NULL, NULL))
        return -1;
    line = strstr(text, "Private_Dirty:");
    return line ? atol(line + strlen("Private_Dirty:")) : -1;
}

/* Loaded, with a guest; the baseline is an engine with nothing in its store. */
static void measure_memory(const char *dir)
{
    g_autoptr(UvVarset) set = make_set(64);
    g_autoptr(GBytes) text = uv_json_format(set), nothing = g_bytes_new(NULL, 0);
    long kib[2] = {-1, -1};

    for (int i = 0; i < 2; i++) {
        pid_t pid = 0;
        int fd = start_engine(dir, i ? text : nothing, &pid);

        if (fd >= 0)
            kib[i] = private_dirty_kib(pid);
        stop_engine(fd, pid);
    }
    printf("private dirty memory, empty store      %8ld KiB\n", kib[0]);
    printf("private dirty memory, store of 64 KiB  %8ld KiB  ratio %.2f\n", kib[1],
           kib[1] / (double)MAX(kib[0], 1));
}

static Series series_of(Work work, void *data, unsigned calls_a_round)
{
    return (Series){work, data, calls_a_round, g_array_new(FALSE, FALSE, sizeof(double))};
}

enum {
    RAW,
    APPLIED,
    TRIP,
    SET,
    REPLACED,
    COMPACTED,
    LOADED,
    N_SERIES
};

static void print(Series *series)
{
    double raw = median(&series[RAW]), trip = median(&series[TRIP]), set = 0;
    double replaced = median(&series[REPLACED]), applied = median(&series[APPLIED]);
    double compacted = median(&series[COMPACTED]);

    printf("append %u bytes + fdatasync            %8.1f us\n", APPEND_BYTES, raw);
    printf("a change of %u bytes in the store      %8.1f us   ratio %.2f\n", DATA_BYTES, applied,
           applied / raw);
    printf("round trip of %u bytes                 %8.1f us\n", DATA_BYTES, trip);
    if (series[SET].us->len > 0) {
        set = median(&series[SET]);
        printf(
            "SetVariable of %u bytes by the socket  %8.1f us   ratio %.2f (append + round trip)\n",
            DATA_BYTES, set, set / (raw + trip));
    }
    printf("write, fsync, rename, fsync %4zu KiB    %8.1f us\n",
           g_bytes_get_size(store_text) / 1024, replaced);
    printf("a change and a compaction              %8.1f us   ratio %.2f (append + rewrite)\n",
           compacted, compacted / (raw + replaced));
    printf("loading it                             %8.1f us\n", median(&series[LOADED]));
}

static void measure(const char *dir)
{
    g_autofree char *log_path = g_build_filename(dir, "log", NULL);
    g_autofree char *store_path = g_build_filename(dir, "store.json", NULL);
    int log_fd = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    pid_t echo_pid, engine_pid = 0;
    int echo_fd = start_echo(&echo_pid), engine_fd = start_engine(dir, store_text, &engine_pid);
    StoreWork work;
    Series series[N_SERIES];

    open_store(&work, store_path);
    series[RAW] = series_of(append, &log_fd, CALLS);
    series[APPLIED] = series_of(apply, &work, CALLS);
    series[TRIP] = series_of(round_trip, &echo_fd, CALLS);
    series[SET] = series_of(set_variable, &engine_fd, engine_fd >= 0 ? CALLS : 0);
    series[REPLACED] = series_of(replace_file, NULL, CALLS / 10);
    series[COMPACTED] = series_of(apply_and_compact, &work, CALLS / 10);
    series[LOADED] = series_of(load, &work, CALLS / 10);
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < N_SERIES; i++)
            run_round(&series[i]);
    print(series);
    for (int i = 0; i < N_SERIES; i++)
        g_array_unref(series[i].us);
    close(echo_fd);
    waitpid(echo_pid, NULL, 0);
    stop_engine(engine_fd, engine_pid);
    uv_store_close(work.store);
    uv_varset_free(work.set);
    close(log_fd);
}

int main(void)
{
    g_autofree char *dir = g_dir_make_tmp("uefivars-bench-XXXXXX", NULL);
    g_autoptr(UvVarset) set = make_set(STORE_VARIABLES);
    g_autofree char *remove = g_strdup_printf("rm -rf '%s'", dir);

    base_path = g_build_filename(dir, "baseline.json", NULL);
    store_text = uv_json_format(set);
    measure(dir);
    if (g_getenv("UEFIVARSD"))
        measure_memory(dir);
    return system(remove) != 0;
}
