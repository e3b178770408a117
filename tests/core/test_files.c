/* test_files.c: mapping of good and bad files, paths, folders, and files that appear whole or not at all. */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "core/alloc.h"
#include "core/files.h"
#include "scarce.h"

static char folder[] = "/tmp/treadle-test-files-XXXXXX";

static const char *in_folder(const char *name)
{
    static char paths[4][256];
    static int next;
    char *const path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static void write_file(const char *path, const void *data, size_t bytes)
{
    FILE *const file = fopen(path, "wb");
    CHECK(file != NULL);
    CHECK_INT(fwrite(data, 1, bytes, file), bytes);
    CHECK_INT(fclose(file), 0);
}

static int n_entries(void)
{
    DIR *const directory = opendir(folder);
    CHECK(directory != NULL);
    int n = 0;
    while (readdir(directory) != NULL) n++;
    closedir(directory);
    return n - 2;
}

static void check_content(const char *path, const char *content)
{
    trdi_file_map map;
    CHECK_OK(trdi_file_map_open(path, &map));
    CHECK_INT(map.bytes, strlen(content));
    CHECK(memcmp(map.data, content, map.bytes) == 0);
    trdi_file_map_close(&map);
    CHECK(map.data == NULL && map.bytes == 0);
    trdi_file_map_close(&map);
}

static void test_map(void)
{
    write_file(in_folder("caf\xC3\xA9"), "twelve bytes", 12);
    check_content(in_folder("caf\xC3\xA9"), "twelve bytes");
    CHECK(trdi_file_readable(in_folder("caf\xC3\xA9")));

    trdi_file_map map;
    write_file(in_folder("empty"), "", 0);
    CHECK_OK(trdi_file_map_open(in_folder("empty"), &map));
    CHECK_INT(map.bytes, 0);
    trdi_file_map_close(&map);

    CHECK_FAILS(trdi_file_map_open(in_folder("missing"), &map), TRD_E_IO, "cannot open file '/tmp/treadle-test-files-");
    CHECK(strstr(trd_last_error(), "/missing': No such file") != NULL);
    CHECK(map.data == NULL && map.handle == NULL);
    CHECK(!trdi_file_readable(in_folder("missing")));
    CHECK_FAILS(trdi_file_map_open(folder, &map), TRD_E_IO, "not a regular file");
    CHECK(!trdi_file_readable(folder));
    CHECK_FAILS(trdi_file_map_open("/dev/null", &map), TRD_E_IO, "not a regular file");
    CHECK_FAILS(trdi_file_map_open("", &map), TRD_E_IO, "cannot open file ''");

    /* A pipe that nobody writes to is refused, not waited for. */
    CHECK_INT(mkfifo(in_folder("pipe"), 0600), 0);
    CHECK_FAILS(trdi_file_map_open(in_folder("pipe"), &map), TRD_E_IO, "not a regular file");
    CHECK(trdi_file_readable(in_folder("pipe")));
    for (const char *const *name = (const char *const[]){ "caf\xC3\xA9", "empty", "pipe", NULL }; *name != NULL; name++)
        CHECK_INT(unlink(in_folder(*name)), 0);
}

static void test_unreadable(void)
{
    write_file(in_folder("secret"), "x", 1);
    CHECK_INT(chmod(in_folder("secret"), 0), 0);
    /* The permission of files does not bind the superuser. */
    const bool superuser = geteuid() == 0;
    if (superuser) {
        CHECK_INT(chmod(folder, 0755), 0);
        CHECK_INT(seteuid(65534), 0);
    }
    trdi_file_map map;
    CHECK_FAILS(trdi_file_map_open(in_folder("secret"), &map), TRD_E_IO, "Permission denied");
    CHECK(!trdi_file_readable(in_folder("secret")));
    trdi_atomic_file file;
    if (superuser) {
        CHECK_FAILS(trdi_atomic_file_open(in_folder("new"), &file), TRD_E_IO, "Permission denied");
        CHECK_FAILS(trdi_make_folders(in_folder("a/b")), TRD_E_IO, "/a': Permission denied");
        CHECK_INT(seteuid(0), 0);
    }
    CHECK_INT(unlink(in_folder("secret")), 0);
}

static void test_identity(void)
{
    trdi_file_identity a, b;
    CHECK(!trdi_file_identify(in_folder("missing"), &a));
    write_file(in_folder("one"), "1", 1);
    write_file(in_folder("two"), "22", 2);
    CHECK(trdi_file_identify(in_folder("one"), &a));
    CHECK(trdi_file_identify(in_folder("one"), &b));
    CHECK(memcmp(&a, &b, sizeof a) == 0);
    CHECK(trdi_file_identify(in_folder("two"), &b));
    CHECK(a.device == b.device && a.inode != b.inode);
    CHECK_INT(a.bytes, 1);
    CHECK_INT(b.bytes, 2);
    const struct timespec times[2] = { { .tv_sec = 1000, .tv_nsec = 5 }, { .tv_sec = 1000, .tv_nsec = 5 } };
    CHECK_INT(utimensat(AT_FDCWD, in_folder("one"), times, 0), 0);
    CHECK(trdi_file_identify(in_folder("one"), &b));
    CHECK(b.modified_ns != a.modified_ns && b.modified_ns / 1000000000 == 1000);
    CHECK_INT(unlink(in_folder("one")), 0);
    CHECK_INT(unlink(in_folder("two")), 0);
}

static void check_join(const char *a, const char *b, const char *wanted)
{
    char *const path = trdi_path_join(a, b);
    CHECK_STRING(path, wanted);
    trdi_free(path);
}

static void test_paths(void)
{
    check_join("folder", "name", "folder/name");
    check_join("folder/", "name", "folder/name");
    check_join("/", "name", "/name");
    check_join("", "name", "name");
    check_join("a/b", "", "a/b/");

    CHECK_OK(trdi_make_folders(in_folder("deep/er/est")));
    CHECK_OK(trdi_make_folders(in_folder("deep/er/est/")));
    struct stat facts;
    CHECK_INT(stat(in_folder("deep/er/est"), &facts), 0);
    CHECK(S_ISDIR(facts.st_mode) && (facts.st_mode & 0777) == 0700);
    write_file(in_folder("deep/file"), "", 0);
    CHECK_FAILS(trdi_make_folders(in_folder("deep/file")), TRD_E_IO, "deep/file': File exists");
    CHECK_FAILS(trdi_make_folders(in_folder("deep/file/below")), TRD_E_IO, "deep/file");
    CHECK_INT(unlink(in_folder("deep/file")), 0);
    CHECK_INT(rmdir(in_folder("deep/er/est")), 0);
    CHECK_INT(rmdir(in_folder("deep/er")), 0);
    CHECK_INT(rmdir(in_folder("deep")), 0);
}

static void test_atomic(void)
{
    trdi_atomic_file file, other;
    const char *const path = in_folder("result");
    CHECK_OK(trdi_atomic_file_open(path, &file));
    CHECK_INT(fputs("first", file.stream), 1);
    CHECK(!trdi_file_readable(path));
    CHECK_OK(trdi_atomic_file_commit(&file));
    check_content(path, "first");
    CHECK_INT(n_entries(), 1);

    /* Two writers; the last to commit wins, and until then readers see the old one. */
    CHECK_OK(trdi_atomic_file_open(path, &file));
    CHECK_OK(trdi_atomic_file_open(path, &other));
    CHECK_INT(n_entries(), 3);
    fputs("second", file.stream);
    fputs("third", other.stream);
    check_content(path, "first");
    CHECK_OK(trdi_atomic_file_commit(&other));
    check_content(path, "third");
    CHECK_OK(trdi_atomic_file_commit(&file));
    check_content(path, "second");

    CHECK_OK(trdi_atomic_file_open(path, &file));
    fputs("never", file.stream);
    trdi_atomic_file_abandon(&file);
    CHECK(file.stream == NULL && file.path == NULL);
    trdi_atomic_file_abandon(&file);
    check_content(path, "second");
    CHECK_INT(n_entries(), 1);

    CHECK_FAILS(trdi_atomic_file_open(in_folder("no/such/result"), &file), TRD_E_IO, "no/such/result': No such file");
    CHECK(file.stream == NULL && file.temporary == NULL);

    /* The rename fails: the target is a folder that is not empty. */
    CHECK_OK(trdi_make_folders(in_folder("taken/x")));
    CHECK_OK(trdi_atomic_file_open(in_folder("taken"), &file));
    CHECK_FAILS(trdi_atomic_file_commit(&file), TRD_E_IO, "cannot write file");
    CHECK_INT(n_entries(), 2);
    CHECK_INT(rmdir(in_folder("taken/x")), 0);
    CHECK_INT(rmdir(in_folder("taken")), 0);
    CHECK_INT(unlink(in_folder("result")), 0);
}

/* A disk without room, by a stream whose every write fails. */
static void test_full(void)
{
    FILE *const full = fopen("/dev/full", "wb");
    if (full == NULL) {
        printf("no /dev/full: a full disk is not tested\n");
        return;
    }
    trdi_atomic_file file;
    CHECK_OK(trdi_atomic_file_open(in_folder("full"), &file));
    fclose(file.stream);
    file.stream = full;
    fputs("text", full);
    CHECK_FAILS(trdi_atomic_file_commit(&file), TRD_E_IO, "full': No space left on device");
    CHECK_INT(n_entries(), 0);
}

/* Files left behind by processes that had our number do not stand in the way. */
static void test_leftovers(void)
{
    trdi_atomic_file file;
    CHECK_OK(trdi_atomic_file_open(in_folder("result"), &file));
    unsigned next = 0;
    CHECK_INT(sscanf(strstr(file.temporary, "/result.") + 8, "%*[0-9].%u.tmp", &next), 1);
    trdi_atomic_file_abandon(&file);
    char name[64];
    for (unsigned i = next + 1; i < next + 6; i++) {
        snprintf(name, sizeof name, "result.%ld.%u.tmp", (long)getpid(), i);
        write_file(in_folder(name), "", 0);
    }
    CHECK_OK(trdi_atomic_file_open(in_folder("result"), &file));
    CHECK_OK(trdi_atomic_file_commit(&file));
    CHECK_INT(n_entries(), 6);
    for (unsigned i = next + 1; i < next + 6; i++) {
        snprintf(name, sizeof name, "result.%ld.%u.tmp", (long)getpid(), i);
        CHECK_INT(unlink(in_folder(name)), 0);
    }
    CHECK_INT(unlink(in_folder("result")), 0);
}

static void test_memory(void)
{
    CHECK_OK(trd_allocator_set(&scarce_allocator));
    for (int n = 0; n < 2; n++) {
        scarce_allow(n);
        trdi_atomic_file file;
        CHECK_FAILS(trdi_atomic_file_open(in_folder("result"), &file), TRD_E_MEMORY, "result");
    }
    scarce_allow(0);
    CHECK_FAILS(trdi_make_folders(in_folder("a")), TRD_E_MEMORY, "/a'");
    CHECK(trdi_path_join("a", "b") == NULL);
    size_t blocks;
    trd_memory_in_use(NULL, &blocks);
    CHECK_INT(blocks, 0);
    CHECK_INT(n_entries(), 0);
    CHECK_OK(trd_allocator_set(NULL));
}

int main(void)
{
    CHECK(mkdtemp(folder) != NULL);
    test_map();
    test_unreadable();
    test_identity();
    test_paths();
    test_atomic();
    test_full();
    test_leftovers();
    test_memory();
    CHECK_INT(rmdir(folder), 0);
    return 0;
}
