/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What one round trip between two processes costs here: BYTES (the argument) there and back over a
 * unix stream socket, each side waiting in poll() with a deadline first, as the QEMU device and the
 * engine do: on processor A and on B (the other arguments). Prints µs.
 */
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BYTES_MAX 65536
#define ROUNDS 2000
#define DEADLINE_MS 4500

static void wait_for(int fd)
{
    struct pollfd poller = {.fd = fd, .events = POLLIN};

    while (poll(&poller, 1, DEADLINE_MS) < 1)
        ;
}

static void run_on(const char *processor)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(strtoul(processor, NULL, 10), &set);
    if (sched_setaffinity(0, sizeof(set), &set) < 0) {
        perror("sched_setaffinity");
        exit(1);
    }
}

static double now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1e6 + now.tv_nsec / 1e3;
}

/* False: the other side is gone. */
static bool exchange(int fd, size_t bytes, bool first)
{
    static char data[BYTES_MAX];

    if (first && send(fd, data, bytes, MSG_NOSIGNAL) != (ssize_t)bytes)
        return false;
    wait_for(fd);
    if (recv(fd, data, bytes, MSG_WAITALL) != (ssize_t)bytes)
        return false;
    return first || send(fd, data, bytes, MSG_NOSIGNAL) == (ssize_t)bytes;
}

int main(int argc, char **argv)
{
    const size_t bytes = argc == 4 ? strtoul(argv[1], NULL, 10) : 0;
    int fds[2];
    double start;

    if (bytes == 0 || bytes > BYTES_MAX) {
        fprintf(stderr, "usage: bench-roundtrip BYTES A B\n");
        return 2;
    }
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
        return 1;
    pid_t child = fork();
    if (child < 0)
        return 1;
    if (child == 0) {
        close(fds[0]);
        run_on(argv[3]);
        while (exchange(fds[1], bytes, false))
            ;
        _exit(0);
    }
    close(fds[1]);
    run_on(argv[2]);
    start = now_us();
    for (int i = 0; i < ROUNDS; i++) {
        if (!exchange(fds[0], bytes, true))
            return 1;
    }
    printf("%.1f\n", (now_us() - start) / ROUNDS);
    close(fds[0]);
    waitpid(child, NULL, 0);
    return 0;
}
