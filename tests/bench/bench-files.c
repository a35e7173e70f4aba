/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What stat, ls -l and cat of two directories cost, in the system calls that those programs make,
 * round about: `bench-files ROUNDS DIRECTORY BASELINE`. Prints the least and the median of the
 * rounds in microseconds, and the ratio of the medians. With FILES_COLD=1 the kernel's entries and
 * inodes are dropped before each round (as root).
 */

#include <dirent.h>
#include <fcntl.h>
#include <glib.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROUNDS_MAX 4096

typedef struct {
    const char *path;
    GPtrArray *names;
    int fd;
} Folder;

static void folder_open(Folder *folder, const char *path)
{
    DIR *dir = opendir(path);

    folder->path = path;
    folder->names = g_ptr_array_new();
    folder->fd = open(path, O_PATH | O_DIRECTORY);
    if (!dir || folder->fd < 0) {
        perror(path);
        exit(1);
    }
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (entry->d_name[0] != '.') {
            g_ptr_array_add(folder->names, g_strdup(entry->d_name));
        }
    }
    closedir(dir);
}

static void do_stat(const Folder *folder)
{
    struct stat st;
    for (guint i = 0; i < folder->names->len; i++) {
        if (fstatat(folder->fd, folder->names->pdata[i], &st, AT_SYMLINK_NOFOLLOW) < 0) {
            abort();
        }
    }
}

static void do_ls(const Folder *folder)
{
    DIR *dir = opendir(folder->path);
    struct stat st;
    guint n = 0;

    for (struct dirent *entry; (entry = readdir(dir));) {
        if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
            abort();
        }
        n += entry->d_name[0] != '.';
    }
    closedir(dir);
    if (n != folder->names->len) {
        abort();
    }
}

static void do_cat(const Folder *folder)
{
    static char buffer[128 * 1024];

    for (guint i = 0; i < folder->names->len; i++) {
        int fd = openat(folder->fd, folder->names->pdata[i], O_RDONLY);
        struct stat st;
        if (fd < 0 || fstat(fd, &st) < 0) {
            abort();
        }
        while (read(fd, buffer, sizeof(buffer)) > 0) {
        }
        close(fd);
    }
}

static void drop_caches(void)
{
    int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);
    if (fd < 0 || write(fd, "2", 1) != 1) {
        perror("drop_caches");
        exit(1);
    }
    close(fd);
}

static int compare(const void *a, const void *b)
{
    const gint64 *left = a, *right = b;
    return *left < *right ? -1 : *left > *right;
}

static gint64 once(void (*work)(const Folder *), const Folder *folder, bool cold)
{
    gint64 start;

    if (cold) {
        drop_caches();
    }
    start = g_get_monotonic_time();
    work(folder);
    return g_get_monotonic_time() - start;
}

static void measure(const char *what, void (*work)(const Folder *), const Folder folders[2],
                    size_t rounds, bool cold)
{
    static gint64 us[2][ROUNDS_MAX];

    for (size_t i = 0; i < rounds; i++) {
        /* Each goes first in half of the rounds. */
        us[i % 2][i] = once(work, &folders[i % 2], cold);
        us[!(i % 2)][i] = once(work, &folders[!(i % 2)], cold);
    }
    qsort(us[0], rounds, sizeof(us[0][0]), compare);
    qsort(us[1], rounds, sizeof(us[1][0]), compare);
    printf("%-6s %-5s %u files: %6d us (least %d), baseline %6d us (least %d), ratio %.2f\n", what,
           cold ? "cold" : "warm", folders[0].names->len, (int)us[0][rounds / 2], (int)us[0][0],
           (int)us[1][rounds / 2], (int)us[1][0],
           (double)us[0][rounds / 2] / (double)MAX(us[1][rounds / 2], 1));
}

int main(int argc, char **argv)
{
    bool cold = g_getenv("FILES_COLD") != NULL;
    Folder folders[2];
    size_t rounds;

    if (argc != 4) {
        fprintf(stderr, "usage: bench-files ROUNDS DIRECTORY BASELINE\n");
        return 1;
    }
    rounds = MIN((size_t)atoi(argv[1]), ROUNDS_MAX);
    folder_open(&folders[0], argv[2]);
    folder_open(&folders[1], argv[3]);
    measure("stat", do_stat, folders, rounds, cold);
    measure("ls -l", do_ls, folders, rounds, cold);
    measure("cat", do_cat, folders, rounds, cold);
    return 0;
}
