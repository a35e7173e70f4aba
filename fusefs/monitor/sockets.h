/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The folder of one SOURCE's sockets.
 *
 * In it, by the first 16 hex digits of the SHA-256 of a guest's name (socket paths are short):
 * HEX.sock, the guest's, owned by the store's owner; HEX.host, the engine's for the front, 0600;
 * HEX.session, what a guest's session leaves behind; HEX.new, a guest's that does not listen yet.
 * The folder can be entered by everybody and listed by its owner only.
 */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct {
    char *path;
    char *by_store; /* NULL: none */
    int fd;         /* O_PATH */
    int lock_fd, source_lock_fd;
    char *source_lock; /* the file locked for a store as SOURCE; NULL for a folder */
    gid_t group;       /* (gid_t)-1: the store owner's */
    mode_t mode;
    bool read_only;
    bool temporary; /* a read-only mount's own: removed at the end */
} FsSockdir;

#define FS_SOCKDIR_GUEST ".sock"
#define FS_SOCKDIR_HOST ".host"
#define FS_SOCKDIR_SESSION ".session"
#define FS_BY_STORE_NEW ".new" /* a folder in by-store/, of processes' ids */
#define FS_SOCKDIR_NEW ".new"  /* no longer than any of them: paths are short */

uint64_t fs_sockdir_hash(const char *name);
/* HEX.SUFFIX of a guest, or its path; allocated. */
char *fs_sockdir_name(const char *guest, const char *suffix);
char *fs_sockdir_path(const FsSockdir *sockdir, const char *guest, const char *suffix);
/* A guest's, who owns it, as uv_unix_publish() makes it. A descriptor or -errno. */
int fs_sockdir_listen_guest(const FsSockdir *sockdir, const char *guest, uid_t uid, gid_t gid);
/* Whether `fd` is bound to this guest's path. */
bool fs_sockdir_is_guest(const FsSockdir *sockdir, const char *guest, int fd);
/* Whose the guest's socket is; (uid_t)-1: there is none. */
uid_t fs_sockdir_guest_owner(const FsSockdir *sockdir, const char *guest);
/* The guest's socket gets another owner. 0 or -errno. */
int fs_sockdir_give_guest(const FsSockdir *sockdir, const char *guest, uid_t uid, gid_t gid);
/* Connects to an engine's host socket: fd, or -errno (-ECONNREFUSED: no engine is there any more).
 */
int fs_sockdir_connect_host(const FsSockdir *sockdir, const char *guest);
int fs_sockdir_open_session(const FsSockdir *sockdir, const char *guest);
/* No session is kept in the session file, or there is none. */
bool fs_sockdir_session_is_empty(const FsSockdir *sockdir, const char *guest);
void fs_sockdir_unlink(const FsSockdir *sockdir, const char *guest, const char *suffix);
/* Calls `visit` for each HEX.SUFFIX in the folder, with its name. */
void fs_sockdir_each(const FsSockdir *sockdir,
                     void (*visit)(uint64_t hash, const char *name, void *data), void *data);
