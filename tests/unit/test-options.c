/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The command line of uefivarsfs: each option's values, and what is refused of each. */

#include "mount-options.h"

#define FUSE_USE_VERSION 312
#include <fuse3/fuse_opt.h>
#include <string.h>

#include "uv-limits.h"

/* Of a command line without the program's name, words parted by a space; what FUSE gets is in
 * `ret_fuse`, if that is wanted. */
static FsOptions *parse(const char *line, char **ret_fuse, GError **error)
{
    g_autofree char *whole = g_strconcat("uefivarsfs ", line, NULL);
    g_auto(GStrv) words = g_strsplit(whole, " ", -1);
    struct fuse_args fuse = FUSE_ARGS_INIT(0, NULL);
    FsOptions *options = fs_options_parse((int)g_strv_length(words), words, &fuse, error);

    if (ret_fuse)
        *ret_fuse = g_strjoinv(" ", fuse.argv);
    fuse_opt_free_args(&fuse);
    return options;
}

static FsOptions *parse_ok(const char *line)
{
    g_autoptr(GError) error = NULL;
    FsOptions *options = parse(line, NULL, &error);

    g_assert_no_error(error);
    g_assert_nonnull(options);
    return options;
}

static void refuse(const char *line, const char *why)
{
    g_autoptr(GError) error = NULL;

    g_test_message("%s", line);
    g_assert_null(parse(line, NULL, &error));
    g_assert_nonnull(error);
    g_assert_cmpstr(error->message, ==, why);
    g_assert_null(parse(line, NULL, NULL)); /* who does not ask is not told */
}

static void test_standard(void)
{
    g_autoptr(FsOptions) options = parse_ok("/s /m");

    g_assert_cmpstr(options->source, ==, "/s");
    g_assert_cmpstr(options->mountpoint, ==, "/m");
    g_assert_false(options->foreground || options->debug || options->read_only || options->shared ||
                   options->umask != (mode_t)-1 || options->immutable_kernel ||
                   options->sandbox_strict);
    g_assert_true(options->views);
    g_assert_false(options->guest_view);
    g_assert_cmpuint(options->sock_mode, ==, 0660);
    g_assert_cmpuint(options->engines, ==, 64);
    g_assert_cmpuint(options->idle_s, ==, 5);
    g_assert_cmpuint(options->look_s, ==, 1);
    g_assert_cmpuint(options->keep_days, ==, 30);
    g_assert_cmpint(options->record_bytes, ==, -1);
    g_assert_cmpuint(options->size_bytes, ==, UV_STORAGE_DEFAULT);
    g_assert_cmpstr(options->varcheck, ==, "strict");
    g_assert_null(options->saved);
    g_assert_true(options->uid == (uid_t)-1 && options->gid == (gid_t)-1);
}

static void test_texts(void)
{
    g_autoptr(FsOptions) options =
        parse_ok("/s /m -o sockdir=/a,sock-group=g,engine-user=e,front-user=f,engine=/x/uefivarsd "
                 "-o firmware=/1:/2,templates=/3,keys=/4:/5:/6 -o sockdir=/b,firmware=/7");

    g_assert_cmpstr(options->sockdir, ==, "/b"); /* the last one counts */
    g_assert_cmpstr(options->sock_group, ==, "g");
    g_assert_cmpstr(options->engine_user, ==, "e");
    g_assert_cmpstr(options->front_user, ==, "f");
    g_assert_cmpstr(options->engine_path, ==, "/x/uefivarsd");
    g_assert_cmpuint(g_strv_length(options->firmware), ==, 1);
    g_assert_cmpstr(options->firmware[0], ==, "/7");
    g_assert_cmpstr(options->templates[0], ==, "/3");
    g_assert_cmpuint(g_strv_length(options->keys), ==, 3);
    g_assert_cmpstr(options->keys[2], ==, "/6");
}

static void test_numbers(void)
{
    g_autoptr(FsOptions) options =
        parse_ok("/s /m -o sock-mode=600,engines=100000,idle=0,uid=0,gid=4294967294,umask=777,"
                 "size=4096,record=0,keep=36500,look=3600");
    g_autoptr(FsOptions) other = parse_ok("/s /m -o record=4096,umask=0,size=1048576");

    g_assert_cmpuint(options->sock_mode, ==, 0600);
    g_assert_cmpuint(options->engines, ==, 100000);
    g_assert_cmpuint(options->idle_s, ==, 0);
    g_assert_cmpuint(options->uid, ==, 0);
    g_assert_cmpuint(options->gid, ==, UINT32_MAX - 1);
    g_assert_cmpuint(options->umask, ==, 0777);
    g_assert_cmpuint(options->size_bytes, ==, 4096);
    g_assert_cmpint(options->record_bytes, ==, 0);
    g_assert_cmpuint(options->keep_days, ==, 36500);
    g_assert_cmpuint(options->look_s, ==, 3600);
    g_assert_cmpint(other->record_bytes, ==, 4096);
    g_assert_true(other->umask == 0);
    g_assert_cmpuint(other->size_bytes, ==, 1048576);
}

static void test_choices(void)
{
    g_autoptr(FsOptions) options =
        parse_ok("/s /m -o views=off,view=guest,varcheck=edk2,saved=refuse,immutable=kernel,"
                 "sandbox=strict,shared");
    g_autoptr(FsOptions) other =
        parse_ok("/s /m -o views=on,view=host,varcheck=off,saved=warn,immutable=none,sandbox=auto");

    g_assert_false(options->views);
    g_assert_true(options->guest_view);
    g_assert_cmpstr(options->varcheck, ==, "edk2");
    g_assert_cmpstr(options->saved, ==, "refuse");
    g_assert_true(options->immutable_kernel && options->sandbox_strict && options->shared);
    g_assert_true(other->views);
    g_assert_false(other->guest_view);
    g_assert_cmpstr(other->varcheck, ==, "off");
    g_assert_cmpstr(other->saved, ==, "warn");
    g_assert_false(other->immutable_kernel || other->sandbox_strict || other->shared);
}

static void test_refused_values(void)
{
    static const struct {
        const char *option, *why;
    } rows[] = {
        {"sock-mode=1000", "sock-mode=1000: not a mode (octal, up to 777)"},
        {"umask=8", "umask=8: not a mode (octal, up to 777)"},
        {"engines=0", "engines=0: not a number from 1 to 100000"},
        {"engines=100001", "engines=100001: not a number from 1 to 100000"},
        {"idle=-1", "idle=-1: not a number from 0 to 86400"},
        {"uid=4294967295", "uid=4294967295: not a number from 0 to 4294967294"},
        {"gid=root", "gid=root: not a number from 0 to 4294967294"},
        {"size=x", "size=x: not a number from 4096 to 8388608"},
        {"record=4095", "record=4095: not a number from 4096 to 1073741824"},
        {"keep=99999", "keep=99999: not a number from 0 to 36500"},
        {"look=3601", "look=3601: not a number from 0 to 3600"},
        {"views=yes", "views=yes: not one of on, off"},
        {"view=us", "view=us: not one of host, guest"},
        {"varcheck=Strict", "varcheck=Strict: not one of strict, edk2, off"},
        {"saved=off", "saved=off: not one of refuse, warn"},
        {"immutable=yes", "immutable=yes: not one of none, kernel"},
        {"sandbox=off", "sandbox=off: not one of auto, strict"},
        {"shared=1", "option shared takes no value"},
        {"sockdir", "option sockdir needs a value"},
        {"sockdir=", "option sockdir needs a value"},
        {"colour=blue", "unknown option 'colour=blue'"},
        {"ro=1", "unknown option 'ro=1'"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *line = g_strconcat("/s /m -o allow_other,", rows[i].option, NULL);

        refuse(line, rows[i].why);
    }
}

static void test_refused_lines(void)
{
    static const char usage[] = "usage: uefivarsfs SOURCE MOUNTPOINT [-f] [-d] [-o OPTION,...]";

    refuse("/s /m -o", "-o needs a value");
    refuse("/s /m -x", "unknown option '-x'");
    refuse("/s /m --helpful", "unknown option '--helpful'");
    refuse("/s /m /n", "'/n': one SOURCE and one MOUNTPOINT are expected");
    refuse(" /m", "an empty path is no SOURCE");
    refuse("/s ", "an empty path is no MOUNTPOINT");
    refuse("/s", usage);
    refuse("-f", usage);
    refuse("-- -f", usage); /* a path of that name */
}

static void test_flags(void)
{
    g_autoptr(FsOptions) options = parse_ok("-s -n -v -f /s -- -m");
    g_autoptr(FsOptions) debug = parse_ok("-d /s /m");
    g_autoptr(FsOptions) by_list = parse_ok("/s /m -odebug");

    g_assert_true(options->foreground && !options->debug);
    g_assert_true(g_str_has_suffix(options->mountpoint, "/-m"));
    g_assert_true(debug->foreground && debug->debug);
    g_assert_true(!by_list->foreground && by_list->debug);
    for (const char *const *word = (const char *const[]){"-h", "--help", "-V", "--version", NULL};
         *word; word++) {
        g_autoptr(FsOptions) asked = parse_ok(*word);

        g_assert_true(asked->show_help == (strchr(*word, 'h') != NULL));
        g_assert_true(asked->show_version != asked->show_help);
    }
}

/* What is mount(8)'s own is taken and dropped; what is FUSE's goes on. */
static void test_passed_on(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *fuse = NULL, *debug = NULL;
    g_autoptr(FsOptions) options =
        parse("/s\\, /m -o ro,,nofail,_netdev,x-systemd.automount,user,exec,rw,max_read=4096 "
              "-osockdir=/a\\,b\\\\c,dev\\",
              &fuse, &error);
    g_autoptr(FsOptions) with_debug = parse("/s /m -d", &debug, NULL);

    g_assert_null(options); /* a backslash at the end escapes nothing, and is of the name */
    g_assert_cmpstr(error->message, ==, "unknown option 'dev\\'");
    g_clear_error(&error);
    g_clear_pointer(&fuse, g_free);
    options = parse("/s\\, /m -o ro,,nofail,_netdev,x-systemd.automount,user,exec,rw,max_read=4096 "
                    "-osockdir=/a\\,b\\\\c,dev",
                    &fuse, &error);
    g_assert_no_error(error);
    g_assert_true(options->read_only);
    g_assert_cmpstr(options->sockdir, ==, "/a,b\\c");
    g_assert_cmpstr(
        fuse, ==,
        "uefivarsfs -oro -orw -omax_read=4096 "
        "-ofsname=/s\\\\\\,,subtype=uefivarsfs -odefault_permissions,nosuid,nodev,noexec");
    g_assert_nonnull(with_debug);
    g_assert_true(g_str_has_suffix(debug, " -odebug"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/options/standard", test_standard);
    g_test_add_func("/options/texts", test_texts);
    g_test_add_func("/options/numbers", test_numbers);
    g_test_add_func("/options/choices", test_choices);
    g_test_add_func("/options/refused-values", test_refused_values);
    g_test_add_func("/options/refused-lines", test_refused_lines);
    g_test_add_func("/options/flags", test_flags);
    g_test_add_func("/options/passed-on", test_passed_on);
    return g_test_run();
}
