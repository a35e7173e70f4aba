/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The effective descriptors of a search path: a more specific file masks one of the same name, an
 * empty one masks and disappears, the rest is sorted by name (strcmp), which is the order of
 * priority.
 */

#include "desc.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "fd.h"
#include "file-io.h"

/* A larger file is no descriptor. */
#define DESC_FILE_MAX (1024 * 1024)
/* Files that are compared each time, or this share of them, whichever is more. */
#define LOOKS_MIN 2u
#define LOOKS_SHARE 16u

struct DescSet {
    const char *host_architecture;
    DescLook look;
    void *look_data;
    char **search_path;       /* general to specific */
    GPtrArray *descs;         /* of Desc * */
    GArray *stamps;           /* of Stamp: the folders of the search path, then every file */
    guint next_look;          /* the file that is compared next */
    GPtrArray *folders;       /* of char *, NULL-terminated */
    GPtrArray *architectures; /* of const char *, NULL-terminated */
    GHashTable *interfaces;   /* architecture -> GPtrArray of const char *, NULL-terminated */
};

/* What tells that a file or folder is no longer what it was; zeros: it is not there. */
typedef struct {
    char *path;
    uint64_t device, inode, bytes;
    int64_t mtime_ns;
} Stamp;

static void stamp_clear(void *stamp)
{
    g_free(((Stamp *)stamp)->path);
}

static Stamp stamp_of(const char *path)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return (Stamp){0};
    return (Stamp){.device = st.st_dev,
                   .inode = st.st_ino,
                   .bytes = (uint64_t)st.st_size,
                   .mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec};
}

static void remember(DescSet *set, const char *path)
{
    Stamp stamp = stamp_of(path);

    stamp.path = g_strdup(path);
    g_array_append_val(set->stamps, stamp);
}

static bool is_as_before(const Stamp *before)
{
    const Stamp now = stamp_of(before->path);

    return now.device == before->device && now.inode == before->inode &&
           now.bytes == before->bytes && now.mtime_ns == before->mtime_ns;
}

char **desc_standard_search_path(void)
{
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    g_autofree char *user = g_build_filename(g_get_user_config_dir(), "qemu", "firmware", NULL);

    g_strv_builder_add(builder, "/usr/share/qemu/firmware");
    g_strv_builder_add(builder, "/etc/qemu/firmware");
    g_strv_builder_add(builder, user);
    return g_strv_builder_end(builder);
}

/* Name -> path of the most specific file of that name. */
static void collect_folder(DescSet *set, const char *folder, GHashTable *files)
{
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    const char *name;

    remember(set, folder);
    if (!dir)
        return;
    while ((name = g_dir_read_name(dir))) {
        if (name[0] != '.' && g_str_has_suffix(name, ".json"))
            g_hash_table_replace(files, g_strdup(name), g_build_filename(folder, name, NULL));
    }
}

static Desc *unusable(const char *path, const char *reason)
{
    Desc *desc = desc_parse(path, "", 0);

    g_free(desc->problem);
    desc->problem = g_strdup_printf("%s:1: %s", path, reason);
    return desc;
}

/* 0 or -errno; links are fine, nothing but a regular file is waited for or read. */
static int read_file(const char *path, struct stat *ret_stat, GBytes **ret_text)
{
    uv_autofd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (fd < 0 || fstat(fd, ret_stat) < 0)
        return -errno;
    if (!S_ISREG(ret_stat->st_mode))
        return -EINVAL;
    return uv_read_to_end(fd, DESC_FILE_MAX, ret_text);
}

static Desc *load_file(DescSet *set, const char *path)
{
    g_autoptr(GBytes) bytes = NULL;
    struct stat st;
    Desc *desc;
    int result;

    remember(set, path);
    result = read_file(path, &st, &bytes);
    if (result < 0)
        return unusable(path, result == -EFBIG    ? "larger than 1 MiB"
                              : result == -EINVAL ? "not a regular file"
                                                  : g_strerror(-result));
    gsize size;
    const char *text = g_bytes_get_data(bytes, &size);
    if (size == 0)
        return NULL;
    desc = desc_parse(path, text, size);
    desc->mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    desc_examine(desc, set->look, set->look_data);
    if (desc->executable.filename)
        remember(set, desc->executable.filename);
    if (desc->template.filename)
        remember(set, desc->template.filename);
    return desc;
}

static void add_folder_of(DescSet *set, const char *file)
{
    g_autofree char *folder = file ? g_path_get_dirname(file) : NULL;

    if (folder && !g_ptr_array_find_with_equal_func(set->folders, folder, g_str_equal, NULL))
        g_ptr_array_add(set->folders, g_steal_pointer(&folder));
}

static void add_word(GPtrArray *words, const char *word)
{
    if (!g_ptr_array_find_with_equal_func(words, word, g_str_equal, NULL))
        g_ptr_array_add(words, (gpointer)word);
}

/* The tables for firmware/default/ and for where templates are taken from. */
static void index_desc(DescSet *set, const Desc *desc)
{
    add_folder_of(set, desc->executable.filename);
    add_folder_of(set, desc->template.filename);
    for (guint i = 0; !desc->problem && i < desc->targets->len; i++) {
        const DescTarget *target = desc->targets->pdata[i];
        GPtrArray *interfaces = g_hash_table_lookup(set->interfaces, target->architecture);

        if (!interfaces) {
            interfaces = g_ptr_array_new();
            g_hash_table_insert(set->interfaces, (gpointer)target->architecture, interfaces);
        }
        add_word(set->architectures, target->architecture);
        for (guint j = 0; j < desc->interfaces->len; j++)
            add_word(interfaces, desc->interfaces->pdata[j]);
    }
}

static void finish_index(DescSet *set)
{
    GHashTableIter iter;
    gpointer interfaces;

    g_ptr_array_add(set->architectures, NULL);
    g_ptr_array_add(set->folders, NULL);
    g_hash_table_iter_init(&iter, set->interfaces);
    while (g_hash_table_iter_next(&iter, NULL, &interfaces))
        g_ptr_array_add(interfaces, NULL);
}

/* What uname(2) says, in QEMU's words; NULL: QEMU has none. */
static const char *this_host(void)
{
    static const char *const others[][2] = {
        {"i686", "i386"},  {"i586", "i386"},     {"armv7l", "arm"},
        {"armv8l", "arm"}, {"ppc64le", "ppc64"},
    };
    struct utsname host;
    const char *name = host.machine;
    int index;

    if (uname(&host) < 0)
        return NULL;
    for (size_t i = 0; i < G_N_ELEMENTS(others); i++) {
        if (g_str_equal(host.machine, others[i][0]))
            name = others[i][1];
    }
    index = desc_word_index(desc_architectures, name);
    return index < 0 ? NULL : desc_architectures[index];
}

const char *desc_set_host_architecture(const DescSet *set)
{
    return set->host_architecture;
}

DescSet *desc_set_load(const char *const *search_path, const char *host_architecture, DescLook look,
                       void *look_data)
{
    DescSet *set = g_new0(DescSet, 1);
    g_autoptr(GHashTable) files = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    GList *names;

    set->look = look ? look : desc_image_look;
    set->look_data = look_data;
    set->host_architecture = host_architecture ? g_intern_string(host_architecture) : this_host();
    set->search_path = search_path ? g_strdupv((char **)search_path) : desc_standard_search_path();
    set->descs = g_ptr_array_new_with_free_func((GDestroyNotify)desc_free);
    set->stamps = g_array_new(FALSE, FALSE, sizeof(Stamp));
    g_array_set_clear_func(set->stamps, stamp_clear);
    set->folders = g_ptr_array_new_with_free_func(g_free);
    set->architectures = g_ptr_array_new();
    set->interfaces =
        g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)g_ptr_array_unref);
    for (char **folder = set->search_path; *folder; folder++) {
        collect_folder(set, *folder, files);
        g_ptr_array_add(set->folders, g_strdup(*folder));
    }
    names = g_list_sort(g_hash_table_get_keys(files), (GCompareFunc)strcmp);
    for (GList *name = names; name; name = name->next) {
        Desc *desc = load_file(set, g_hash_table_lookup(files, name->data));

        if (desc) {
            g_ptr_array_add(set->descs, desc);
            index_desc(set, desc);
        }
    }
    g_list_free(names);
    finish_index(set);
    return set;
}

void desc_set_free(DescSet *set)
{
    if (!set)
        return;
    g_strfreev(set->search_path);
    g_ptr_array_unref(set->descs);
    g_array_unref(set->stamps);
    g_ptr_array_unref(set->folders);
    g_ptr_array_unref(set->architectures);
    g_hash_table_unref(set->interfaces);
    g_free(set);
}

bool desc_set_has_changed(DescSet *set)
{
    const guint n_folders = g_strv_length(set->search_path);
    const guint n_files = set->stamps->len - n_folders;
    const guint n_looks = MIN(n_files, MAX(LOOKS_MIN, n_files / LOOKS_SHARE));

    for (guint i = 0; i < n_folders + n_looks; i++) {
        const guint at = i < n_folders ? i : n_folders + set->next_look++ % n_files;

        if (!is_as_before(&g_array_index(set->stamps, Stamp, at)))
            return true;
    }
    return false;
}

const char *const *desc_set_folders(const DescSet *set)
{
    return (const char *const *)set->folders->pdata;
}

size_t desc_set_count(const DescSet *set)
{
    return set->descs->len;
}

const Desc *desc_set_get(const DescSet *set, size_t i)
{
    return set->descs->pdata[i];
}

const Desc *desc_set_find(const DescSet *set, const char *name)
{
    for (guint i = 0; i < set->descs->len; i++) {
        const Desc *desc = set->descs->pdata[i];

        if (g_str_equal(desc->name, name))
            return desc;
    }
    return NULL;
}

DescImage desc_set_find_image(const DescSet *set, const char *filename)
{
    for (guint i = 0; filename && i < set->descs->len; i++) {
        const Desc *desc = set->descs->pdata[i];

        if (g_strcmp0(desc->executable.filename, filename) == 0)
            return desc->executable.image;
        if (g_strcmp0(desc->template.filename, filename) == 0)
            return desc->template.image;
    }
    return (DescImage){0};
}

const Desc *desc_set_default(const DescSet *set, const char *architecture, const char *interface)
{
    DescWish wish = {.architecture = (char *)architecture, .interface = (char *)interface};

    for (guint i = 0; i < set->descs->len; i++) {
        g_autofree char *reason = desc_mismatch(set->descs->pdata[i], &wish);

        if (!reason)
            return set->descs->pdata[i];
    }
    return NULL;
}

const char *const *desc_set_architectures(const DescSet *set)
{
    return (const char *const *)set->architectures->pdata;
}

const char *const *desc_set_interfaces(const DescSet *set, const char *architecture)
{
    static const char *const none[] = {NULL};
    GPtrArray *interfaces = g_hash_table_lookup(set->interfaces, architecture);

    return interfaces ? (const char *const *)interfaces->pdata : none;
}

const char *desc_name(const Desc *desc)
{
    return desc->name;
}

int64_t desc_mtime_ns(const Desc *desc)
{
    return desc->mtime_ns;
}
