/*
 * test_weight_cache.c: the cache file serves the second load with the same bits, and whatever happens to it (damage, cuts, other
 * models, no permission, a full disk, a race) a load never fails and never gives other results.
 */
#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>

#include "check.h"
#include "core/threads.h"
#include "nn/foreign_device.h"
#include "nn/nn_rig.h"
#include "nn/tiny_model.h"

enum { START = 1, LENGTH = 4 };
static char folder[64], model_path[96], cache[96];
static int32_t want_ids[LENGTH];
static double want_score;
static int n_warnings;

static void count_warnings(void *context, trd_log_level level, const char *text)
{
    (void)context;
    if (level <= TRD_LOG_WARNING && strstr(text, "weight cache") != NULL) n_warnings++;
}

static void run_command(const char *format, const char *a, const char *b)
{
    char command[512];
    (void)snprintf(command, sizeof command, format, a, b);
    CHECK_INT(system(command), 0);
}

/** Load with a cache folder; the results must be those of the first load. @return came the weights from the cache? */
static bool load(const char *path, const char *cache_dir, bool check)
{
    rig r;
    CHECK_OK(rig_open(&r, path, &(trdi_network_options){ .cache_dir = cache_dir }));
    const bool cached = trdi_network_get_info(r.network)->weights_from_cache;
    rig_row row = { .length = 0 };
    const int32_t source[3] = { 5, 77, 1999 }, *all = source, three = 3;
    int32_t ids[LENGTH];
    double score;
    CHECK_OK(rig_encode(&r, &row, 1, &all, &three));
    CHECK_INT(rig_greedy(&r, &row, START, -1, LENGTH, ids, &score), LENGTH);
    if (check) {
        CHECK(memcmp(ids, want_ids, sizeof ids) == 0 && score == want_score);
    } else {
        memcpy(want_ids, ids, sizeof ids);
        want_score = score;
    }
    rig_row_release(&r, &row);
    rig_close(&r);
    return cached;
}

/** Path of the only file in the cache; "" if there is none. */
static void cache_file(char *out, size_t size)
{
    DIR *directory = opendir(cache);
    int n = 0, length = 0;
    out[0] = '\0';
    if (directory == NULL) return;
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        if (entry->d_name[0] == '.') continue;
        length = snprintf(out, size, "%s/%s", cache, entry->d_name);
        CHECK(length > 0 && (size_t)length < size);
        n++;
    }
    (void)closedir(directory);
    CHECK(n <= 1);
}

static void fresh_cache(char *file, size_t size)
{
    run_command("rm -rf '%s'", cache, "");
    CHECK(!load(model_path, cache, true));
    cache_file(file, size);
    CHECK(strstr(file, ".weights") != NULL);
    CHECK(load(model_path, cache, true));
}

/** Change one byte of a file. */
static void damage(const char *file, long at)
{
    FILE *f = fopen(file, "r+b");
    CHECK(f != NULL && fseek(f, at, SEEK_SET) == 0);
    const int byte = fgetc(f);
    CHECK(byte != EOF && fseek(f, at, SEEK_SET) == 0 && fputc(byte ^ 0x41, f) != EOF);
    CHECK_INT(fclose(f), 0);
}

/** The file, as it is now, must be refused with a warning and be replaced by a good one. */
static void check_refused(const char *what)
{
    n_warnings = 0;
    if (load(model_path, cache, true)) {
        fprintf(stderr, "the cache was used though %s\n", what);
        exit(1);
    }
    CHECK_INT(n_warnings, 1);
    CHECK(load(model_path, cache, true));
}

static void check_damage(void)
{
    char file[256];
    struct stat facts;
    fresh_cache(file, sizeof file);
    CHECK_INT(stat(file, &facts), 0);
    static const long places[] = { 0, 8, 12, 16, 24, 32, 40, 56, 72, 127, 128, 136, 144, 152, 160, 164, 191, 192, 1000 };
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        damage(file, places[i]);
        check_refused("a byte of header or index differs");
    }
    const long cuts[] = { 0, 7, 127, 128, 200, 5000, (long)facts.st_size - 1 };
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        CHECK_INT(truncate(file, cuts[i]), 0);
        check_refused("it was cut");
    }
    CHECK_INT(truncate(file, facts.st_size + 64), 0);
    check_refused("it is longer than it says");
}

/** Another model's file under this model's name. */
static void check_wrong_model(void)
{
    char mine[256], other[256];
    fresh_cache(mine, sizeof mine);
    char twin[128];
    (void)snprintf(twin, sizeof twin, "%s/twin", folder);
    run_command("cp -r '%s' '%s'", model_path, twin);
    run_command("mv '%s' '%s/kept'", mine, folder);
    CHECK(!load(twin, cache, true));
    cache_file(other, sizeof other);
    CHECK(strcmp(mine, other) != 0);
    run_command("mv '%s' '%s'", other, mine);
    check_refused("it is another model's");
    run_command("rm -rf '%s' '%s'", twin, "");
    char kept[128];
    (void)snprintf(kept, sizeof kept, "%s/kept", folder);
    CHECK_INT(remove(kept), 0);
}

/** A changed model must not meet its old cache. */
static void check_changed_model(void)
{
    char file[256], binary[128];
    fresh_cache(file, sizeof file);
    (void)snprintf(binary, sizeof binary, "%s/model.bin", model_path);
    const struct timespec times[2] = { { .tv_sec = 1000000000 }, { .tv_sec = 1000000000, .tv_nsec = 1 } };
    CHECK_INT(utimensat(AT_FDCWD, binary, times, 0), 0);
    CHECK(!load(model_path, cache, true));
    CHECK(load(model_path, cache, true));
}

static void check_no_room(void)
{
    char file[256], blocked[128];
    fresh_cache(file, sizeof file);
    /* A file where the folder should be. */
    (void)snprintf(blocked, sizeof blocked, "%s/model.bin", model_path);
    n_warnings = 0;
    CHECK(!load(model_path, blocked, true));
    CHECK_INT(n_warnings, 1);
    /* A directory where the file should be. */
    CHECK_INT(remove(file), 0);
    CHECK_INT(mkdir(file, 0700), 0);
    n_warnings = 0;
    CHECK(!load(model_path, cache, true));
    CHECK(n_warnings >= 1);
    CHECK_INT(rmdir(file), 0);
    /* A disk that is full: no file may grow past 1 MiB. */
    const struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY }, little = { 1 << 20, RLIM_INFINITY };
    CHECK(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    CHECK_INT(setrlimit(RLIMIT_FSIZE, &little), 0);
    n_warnings = 0;
    CHECK(!load(model_path, cache, true));
    CHECK_INT(n_warnings, 1);
    CHECK_INT(setrlimit(RLIMIT_FSIZE, &all), 0);
    cache_file(file, sizeof file);
    CHECK_STRING(file, "");
    /* A folder that may not be written; root may, so a child steps down. */
    run_command("chmod -R a+rX '%s' && chmod 0555 '%s'", folder, cache);
    const pid_t child = fork();
    if (child == 0) {
        if (geteuid() == 0 && setuid(65534) != 0) _exit(1);
        n_warnings = 0;
        const bool cached = load(model_path, cache, true);
        _exit(!cached && n_warnings == 1 ? 0 : 1);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_INT(status, 0);
    CHECK_INT(chmod(cache, 0700), 0);
}

static void *load_often(void *argument)
{
    int *n_cached = argument;
    for (int i = 0; i < 4; i++) *n_cached += load(model_path, cache, true);
    return NULL;
}

/** Loads that race to write and read the same file. */
static void check_race(void)
{
    run_command("rm -rf '%s'", cache, "");
    trdi_thread threads[3];
    int n_cached[3] = { 0, 0, 0 };
    for (int i = 0; i < 3; i++) CHECK_OK(trdi_thread_start(&threads[i], "cache", load_often, &n_cached[i]));
    for (int i = 0; i < 3; i++) trdi_thread_join(threads[i]);
    for (int i = 0; i < 3; i++) CHECK(n_cached[i] >= 2);
    char file[256];
    cache_file(file, sizeof file);
    CHECK(file[0] != '\0');
}

static void check_places(void)
{
    run_command("rm -rf '%s'", cache, "");
    CHECK_INT(setenv("TREADLE_CACHE", cache, 1), 0);
    CHECK(!load(model_path, NULL, true));
    CHECK(load(model_path, NULL, true));
    CHECK(!load(model_path, "", true));
    CHECK_INT(unsetenv("TREADLE_CACHE"), 0);
    char home[128], text[256];
    (void)snprintf(home, sizeof home, "%s/home", folder);
    CHECK_INT(setenv("XDG_CACHE_HOME", home, 1), 0);
    CHECK(!load(model_path, NULL, true));
    CHECK(load(model_path, NULL, true));
    (void)snprintf(text, sizeof text, "%s/treadle", home);
    CHECK_INT(access(text, R_OK), 0);
    CHECK_INT(unsetenv("XDG_CACHE_HOME"), 0);
    CHECK_INT(setenv("HOME", home, 1), 0);
    CHECK(!load(model_path, NULL, true));
    CHECK(load(model_path, NULL, true));
    (void)snprintf(text, sizeof text, "%s/.cache/treadle", home);
    CHECK_INT(access(text, R_OK), 0);
}

static int count_files(const char *path)
{
    DIR *directory = opendir(path);
    int n = 0;
    for (const struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;) n += entry->d_name[0] != '.';
    if (directory != NULL) (void)closedir(directory);
    return n;
}

/** Load on a device that is not the CPU. @param ids  [2] written */
static bool load_foreign(const char *type, const char *name, const char *cache_dir, int32_t *ids)
{
    rig r;
    trdi_device_facts facts = foreign_facts(TRDI_TYPES_INT8 | TRDI_TYPES_F16);
    (void)snprintf(facts.name, sizeof facts.name, "%s", name);
    CHECK_OK(rig_open_on(&r, foreign_backend(), &facts, model_path, &(trdi_network_options){ .cache_dir = cache_dir, .compute_type = type }));
    const bool cached = trdi_network_get_info(r.network)->weights_from_cache;
    rig_row row = { .length = 0 };
    const int32_t source[3] = { 5, 77, 1999 }, *all = source, three = 3;
    double score;
    CHECK_OK(rig_encode(&r, &row, 1, &all, &three));
    CHECK_INT(rig_greedy(&r, &row, START, -1, 2, ids, &score), 2);
    rig_row_release(&r, &row);
    rig_close(&r);
    return cached;
}

/** Each compute type and each device has its own file; what cannot be kept leaves none. */
static void check_types(void)
{
    static const char *const types[] = { "float32", "float16", "int8_float32", "int8_float16" };
    enum { N_TYPES = sizeof types / sizeof types[0] };
    char place[128];
    int32_t first[2], again[2];
    (void)snprintf(place, sizeof place, "%s/types", folder);
    CHECK(!load_foreign("int8_float32", "a", place, first));
    CHECK(!load_foreign("int8_float32", "a", place, first));
    CHECK_INT(count_files(place), 0);
    foreign_keep_weights(true);
    for (int i = 0; i < N_TYPES; i++) {
        CHECK(!load_foreign(types[i], "a", place, first));
        CHECK_INT(count_files(place), i + 1);
        CHECK(load_foreign(types[i], "a", place, again));
        CHECK(memcmp(first, again, sizeof first) == 0);
    }
    CHECK(!load_foreign("int8_float32", "b", place, first));
    CHECK_INT(count_files(place), N_TYPES + 1);
    foreign_keep_weights(false);
}

/** A small model leaves no file. */
static void check_small(void)
{
    char small[128], text[128];
    (void)snprintf(small, sizeof small, "%s/small", folder);
    (void)snprintf(text, sizeof text, "%s/small-cache", folder);
    tiny_model_write(small, &(tiny_model){ .name = "small", .vocabulary = 2000 });
    rig r;
    CHECK_OK(rig_open(&r, small, &(trdi_network_options){ .cache_dir = text }));
    rig_close(&r);
    CHECK(access(text, F_OK) != 0);
}

int main(void)
{
#ifndef TRDI_HAVE_XXHASH
    SKIP("built without xxhash.h: nothing is cached");
#endif
    (void)snprintf(folder, sizeof folder, "/tmp/treadle-cache-XXXXXX");
    CHECK(mkdtemp(folder) != NULL);
    (void)snprintf(model_path, sizeof model_path, "%s/model", folder);
    (void)snprintf(cache, sizeof cache, "%s/deep/cache", folder);
    tiny_model_write(model_path, &(tiny_model){ .name = "cached", .d_model = 128, .vocabulary = 12000, .n_layers = 1 });
    trd_log_set(TRD_LOG_WARNING, count_warnings, NULL);
    CHECK(!load(model_path, "", false));
    check_damage();
    check_wrong_model();
    check_changed_model();
    check_no_room();
    check_race();
    check_places();
    check_small();
    check_types();
    run_command("rm -rf '%s'", folder, "");
    return 0;
}
