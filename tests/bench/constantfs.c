/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The least a FUSE file system can be, to compare with: one directory of constant files, with the
 * cache settings of uefivarsfs (direct I/O, long timeouts, readdirplus) and libfuse's own loop.
 *
 *   constantfs MOUNTPOINT SOURCE   serves the contents that SOURCE's files have now
 */

#define FUSE_USE_VERSION 312
#include <dirent.h>
#include <errno.h>
#include <fuse3/fuse_lowlevel.h>
#include <glib.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FILES_MAX 4096
#define TIMEOUT_S 3600.0
#define FIRST_ID 2 /* after FUSE_ROOT_ID */

static struct {
    char *name, *content;
    gsize size;
} files[FILES_MAX];
static size_t n_files;
static GHashTable *by_name; /* → index + 1 */

static void fill(fuse_ino_t id, struct stat *attr)
{
    *attr = (struct stat){.st_ino = id, .st_nlink = 1, .st_blksize = 4096};
    attr->st_mode = id == FUSE_ROOT_ID ? S_IFDIR | 0755 : S_IFREG | 0644;
    attr->st_size = id == FUSE_ROOT_ID ? 0 : files[id - FIRST_ID].size;
}

static struct fuse_entry_param entry_of(size_t index)
{
    struct fuse_entry_param entry = {
        .ino = FIRST_ID + index, .attr_timeout = TIMEOUT_S, .entry_timeout = TIMEOUT_S};

    fill(entry.ino, &entry.attr);
    return entry;
}

static void do_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    size_t index = GPOINTER_TO_SIZE(g_hash_table_lookup(by_name, name));
    struct fuse_entry_param entry;

    if (!index) {
        fuse_reply_err(req, ENOENT);
        return;
    }
    entry = entry_of(index - 1);
    fuse_reply_entry(req, &entry);
}

static void do_getattr(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file)
{
    struct stat attr;
    fill(id, &attr);
    fuse_reply_attr(req, &attr, TIMEOUT_S);
}

static void do_open(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file)
{
    file->direct_io = 1;
    fuse_reply_open(req, file);
}

static void do_read(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset,
                    struct fuse_file_info *file)
{
    gsize all = files[id - FIRST_ID].size, from = MIN((gsize)offset, all);
    fuse_reply_buf(req, files[id - FIRST_ID].content + from, MIN(size, all - from));
}

static void list(fuse_req_t req, size_t size, off_t offset, bool plus)
{
    static char buffer[64 * 1024];
    size_t used = 0;

    size = MIN(size, sizeof(buffer));
    for (size_t i = offset; i < n_files; i++) {
        struct fuse_entry_param entry = entry_of(i);
        size_t needed = plus ? fuse_add_direntry_plus(req, buffer + used, size - used,
                                                      files[i].name, &entry, i + 1)
                             : fuse_add_direntry(req, buffer + used, size - used, files[i].name,
                                                 &entry.attr, i + 1);
        if (needed > size - used) {
            break;
        }
        used += needed;
    }
    fuse_reply_buf(req, buffer, used);
}

static void do_readdir(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset,
                       struct fuse_file_info *file)
{
    list(req, size, offset, false);
}

static void do_readdirplus(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset,
                           struct fuse_file_info *file)
{
    list(req, size, offset, true);
}

static const struct fuse_lowlevel_ops ops = {
    .lookup = do_lookup,
    .getattr = do_getattr,
    .open = do_open,
    .read = do_read,
    .readdir = do_readdir,
    .readdirplus = do_readdirplus,
};

static void load(const char *folder)
{
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    const char *name;

    by_name = g_hash_table_new(g_str_hash, g_str_equal);
    while (dir && n_files < FILES_MAX && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        if (g_file_get_contents(path, &files[n_files].content, &files[n_files].size, NULL)) {
            files[n_files].name = g_strdup(name);
            g_hash_table_insert(by_name, files[n_files].name, GSIZE_TO_POINTER(n_files + 1));
            n_files++;
        }
    }
}

int main(int argc, char **argv)
{
    char options[] = "-odefault_permissions,nosuid,nodev,noexec,subtype=constantfs";
    char *fuse_argv[] = {argv[0], options, NULL};
    struct fuse_args arguments = FUSE_ARGS_INIT(2, fuse_argv);
    struct fuse_session *session;
    int result = EXIT_FAILURE;

    if (argc != 3) {
        fprintf(stderr, "usage: constantfs MOUNTPOINT SOURCE\n");
        return EXIT_FAILURE;
    }
    load(argv[2]);
    session = fuse_session_new(&arguments, &ops, sizeof(ops), NULL);
    if (session && fuse_set_signal_handlers(session) == 0 &&
        fuse_session_mount(session, argv[1]) == 0) {
        result = fuse_session_loop(session) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
        fuse_session_unmount(session);
    }
    return result;
}
