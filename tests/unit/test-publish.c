/* SPDX-License-Identifier: GPL-2.0-or-later */

/* A published file is the old one in all but content. */

#include "replace-store.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "scratch.h"

/* An ACL as the kernel keeps it: version 2; owner rw, user 1 r, group r, mask r, other none. */
static const uint8_t acl[] = {
    2,    0, 0, 0,                         /* version */
    1,    0, 6, 0, 0xff, 0xff, 0xff, 0xff, /* owner */
    2,    0, 4, 0, 1,    0,    0,    0,    /* user 1 */
    4,    0, 4, 0, 0xff, 0xff, 0xff, 0xff, /* group */
    0x10, 0, 4, 0, 0xff, 0xff, 0xff, 0xff, /* mask */
    0x20, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, /* other */
};

static void publish(const char *dir, const char *text)
{
    g_autofree char *path = scratch_path(dir, "store");
    g_autoptr(GBytes) content = g_bytes_new(text, strlen(text));
    g_autoptr(GError) error = NULL;
    g_autoptr(UvFolder) folder = uv_folder_new(AT_FDCWD, path, &error);
    int old_fd, fd;

    g_assert_no_error(error);
    old_fd = uv_folder_open(folder, UV_FILE_STORE, O_RDWR, &error);
    fd = uv_publish_prepare(folder, old_fd, content, &error);
    g_assert_no_error(error);
    g_assert_true(uv_publish(folder, &error));
    close(fd);
    close(old_fd);
}

static void test_attributes(void)
{
    char *dir = scratch_new();
    g_autofree char *path = scratch_path(dir, "store");
    struct stat before, after;
    uint8_t value[256];
    bool with_xattr, with_acl, with_owner = geteuid() == 0;

    scratch_write(dir, "store", "old");
    if (with_owner)
        g_assert_cmpint(chown(path, 1234, 2345), ==, 0);
    g_assert_cmpint(chmod(path, 0640), ==, 0);
    with_xattr = setxattr(path, "user.note", "keep me", 7, 0) == 0;
    with_acl = setxattr(path, "system.posix_acl_access", acl, sizeof(acl), 0) == 0;
    scratch_stat(dir, "store", &before);
    publish(dir, "new");
    scratch_stat(dir, "store", &after);
    scratch_expect(dir, "store", "new");
    g_assert_cmpuint(before.st_ino, !=, after.st_ino);
    g_assert_cmpuint(before.st_mode, ==, after.st_mode);
    g_assert_cmpuint(before.st_uid, ==, after.st_uid);
    g_assert_cmpuint(before.st_gid, ==, after.st_gid);
    if (with_xattr) {
        g_assert_cmpint(getxattr(path, "user.note", value, sizeof(value)), ==, 7);
        g_assert_cmpmem(value, 7, "keep me", 7);
    }
    if (with_acl) {
        g_assert_cmpint(getxattr(path, "system.posix_acl_access", value, sizeof(value)), ==,
                        sizeof(acl));
        g_assert_cmpmem(value, sizeof(acl), acl, sizeof(acl));
    }
    scratch_free(dir);
}

static void test_default_acl_of_folder(void)
{
    char *dir = scratch_new();
    g_autofree char *path = scratch_path(dir, "store");
    struct stat st;

    scratch_write(dir, "store", "old");
    g_assert_cmpint(chmod(path, 0600), ==, 0);
    if (setxattr(dir, "system.posix_acl_default", acl, sizeof(acl), 0) < 0) {
        g_test_skip("no ACLs on this file system");
        scratch_free(dir);
        return;
    }
    publish(dir, "new");
    scratch_stat(dir, "store", &st);
    g_assert_cmpint(st.st_mode & 07777, ==, 0600);
    g_assert_cmpint(getxattr(path, "system.posix_acl_access", NULL, 0), ==, -1);
    g_assert_cmpint(errno, ==, ENODATA);
    scratch_free(dir);
}

static void test_read_limit(void)
{
    char *dir = scratch_new();
    g_autofree char *path = scratch_path(dir, "store");
    g_autoptr(GError) error = NULL;
    int fd;

    scratch_write(dir, "store", "0123456789");
    fd = open(path, O_RDONLY);
    g_assert_null(uv_read_file(fd, "store", 9, &error));
    g_assert_nonnull(error);
    g_clear_error(&error);
    g_autoptr(GBytes) bytes = uv_read_file(fd, "store", 10, &error);
    g_assert_no_error(error);
    g_assert_cmpint(g_bytes_get_size(bytes), ==, 10);
    close(fd);
    scratch_free(dir);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/publish/attributes", test_attributes);
    g_test_add_func("/publish/default-acl-of-folder", test_default_acl_of_folder);
    g_test_add_func("/publish/read-limit", test_read_limit);
    return g_test_run();
}
