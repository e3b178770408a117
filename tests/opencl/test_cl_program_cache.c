/*
 * test_cl_program_cache.c: compiled programs are kept, found by the next process, and whatever happens to their files or their folder, programs
 * are there and right. Counts what the log says of compiling and loading. Called with "child", it loads, runs and checks one model.
 */
#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/digest.h"
#include "opencl/cl_rig.h"

#define FOLDER "opencl-programs"
enum { HEADER_BYTES = 64, PATH_BYTES = 512, MAX_FILES = 16 };

static struct { int compiled, loaded, warned, saved; } seen;
static char place[256], folder[300];
static const char *self;

static void on_log(void *context, trd_log_level level, const char *text)
{
    (void)context;
    seen.compiled += strstr(text, " compiled in ") != NULL;
    seen.loaded += strstr(text, " loaded in ") != NULL;
    seen.warned += level <= TRD_LOG_WARNING;
    seen.saved += strstr(text, ": saved in ") != NULL;
    if (getenv("TREADLE_TEST_LOG") != NULL) fprintf(stderr, "%s\n", text);
}

/* ---- One model: a sum, in one program ---- */

static bool no_room;             /* for files, while programs are kept */

static void limit_files(bool limited)
{
    struct rlimit limit;
    (void)signal(SIGXFSZ, SIG_IGN);
    CHECK(getrlimit(RLIMIT_FSIZE, &limit) == 0);
    limit.rlim_cur = limited ? 1000 : limit.rlim_max;
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

static void check_sum(const trdi_backend_ops *ops, void *device)
{
    enum { WIDTH = 300 };
    float x[WIDTH], *step, *result;
    void *queue, *buffers[3], *plan;
    CHECK_OK(ops->queue_create(device, &(trdi_queue_options){ .n_threads = 1 }, &queue));
    CHECK_OK(ops->buffer_alloc(device, sizeof x, TRDI_MEMORY_DEVICE, &buffers[0]));
    CHECK_OK(ops->buffer_alloc(device, sizeof x, TRDI_MEMORY_STEP, &buffers[1]));
    CHECK_OK(ops->buffer_alloc(device, sizeof x, TRDI_MEMORY_RESULT, &buffers[2]));
    const trdi_op op = { .kind = TRDI_OP_MAP, .count = TRDI_COUNT_ONE, .u.map = { .function = TRDI_MAP_ADD, .x = { buffers[0], 0 },
        .z = { buffers[1], 0 }, .y = { buffers[2], 0 }, .width = WIDTH, .x_stride = WIDTH, .z_stride = WIDTH, .y_stride = WIDTH, .parameter = 2.0f } };
    const trdi_step once = { .counts = { [TRDI_COUNT_ONE] = 1 } };
    CHECK_OK(ops->plan_create(device, &op, 1, NULL, &plan));
    step = ops->buffer_host(buffers[1]);
    for (int i = 0; i < WIDTH; i++) x[i] = (float)i;
    for (int i = 0; i < WIDTH; i++) step[i] = 0.5f;
    CHECK_OK(ops->write(queue, (trdi_span){ buffers[0], 0 }, x, sizeof x));
    CHECK_OK(ops->plan_run(queue, plan, &once));
    CHECK_OK(ops->read(queue, x, (trdi_span){ buffers[0], 0 }, sizeof x));   /* now the driver has compiled what it compiles late */
    if (no_room) limit_files(true);
    CHECK_OK(ops->queue_wait(queue));
    if (no_room) limit_files(false);
    result = ops->buffer_host(buffers[2]);
    for (int i = 0; i < WIDTH; i++) CHECK_NEAR(result[i], 2.0 * i + 1.0, 0.0);
    ops->plan_destroy(plan);
    for (size_t i = 0; i < 3; i++) ops->buffer_free(buffers[i]);
    ops->queue_destroy(queue);
}

/* Open, load, run, close, in each form of kernels: two programs. */
static void use_device(void)
{
    const trdi_backend_ops *ops = cl_rig_module();
    trdi_device_facts facts[8];
    size_t n = 0;
    if (ops->enumerate(facts, 8, &n) != TRD_OK || n == 0) NO_DEVICE("%s", trd_last_error());
    memset(&seen, 0, sizeof seen);
    for (int form = 0; form < 2; form++) {
        void *device;
        (void)setenv("TREADLE_OPENCL_FORM", form == 0 ? "tiles" : "groups", 1);
        CHECK_OK(ops->device_open(&facts[0], &device));
        check_sum(ops, device);
        if (no_room) limit_files(true);
        ops->device_close(device);
        if (no_room) limit_files(false);
    }
}

static void expect(const char *what, int compiled, int loaded)
{
    if (seen.compiled == compiled && seen.loaded == loaded) return;
    fprintf(stderr, "%s: %d programs compiled and %d loaded, wanted %d and %d\n", what, seen.compiled, seen.loaded, compiled, loaded);
    exit(1);
}

/* ---- Files ---- */

/* The program files, in order of their names. */
static int list_files(char paths[MAX_FILES][PATH_BYTES], const char *end)
{
    int n = 0;
    DIR *directory = opendir(folder);
    if (directory == NULL) return 0;
    for (const struct dirent *each = readdir(directory); each != NULL; each = readdir(directory)) {
        const size_t length = strlen(each->d_name);
        if (length < strlen(end) || strcmp(each->d_name + length - strlen(end), end) != 0) continue;
        CHECK(n < MAX_FILES && length <= 200);
        (void)snprintf(paths[n++], PATH_BYTES, "%.290s/%.200s", folder, each->d_name);
    }
    (void)closedir(directory);
    qsort(paths, (size_t)n, PATH_BYTES, (int (*)(const void *, const void *))strcmp);
    return n;
}

static size_t read_all(const char *path, unsigned char **out)
{
    FILE *file = fopen(path, "rb");
    CHECK(file != NULL);
    CHECK(fseek(file, 0, SEEK_END) == 0);
    const size_t bytes = (size_t)ftell(file);
    rewind(file);
    *out = malloc(bytes + 1);
    CHECK(*out != NULL && fread(*out, 1, bytes, file) == bytes);
    (void)fclose(file);
    return bytes;
}

static void write_all(const char *path, const void *data, size_t bytes)
{
    FILE *file = fopen(path, "wb");
    CHECK(file != NULL && fwrite(data, 1, bytes, file) == bytes);
    CHECK(fclose(file) == 0);
}

/* A file with another payload, as if it had been written by us. */
static void write_payload(const char *path, const unsigned char *whole, const void *payload, uint64_t bytes)
{
    unsigned char *file = malloc(HEADER_BYTES + (size_t)bytes);
    CHECK(file != NULL);
    memcpy(file, whole, HEADER_BYTES);
    memcpy(file + 16, &bytes, sizeof bytes);
    trdi_digest(payload, (size_t)bytes, file + 40);
    memcpy(file + HEADER_BYTES, payload, (size_t)bytes);
    write_all(path, file, HEADER_BYTES + (size_t)bytes);
    free(file);
}

/* ---- What happens to files ---- */

/* One file is not what it was: compiled anew, and right again afterwards. */
static void check_mended(const char *what)
{
    use_device();
    expect(what, 1, 1);
    CHECK(seen.warned > 0);
    use_device();
    expect(what, 0, 2);
}

static void damage(const char *path, bool few)
{
    static const struct { const char *what; size_t at; } flips[] = {
        { "magic", 3 }, { "version", 8 }, { "header size", 12 }, { "length", 16 }, { "high bytes of the length", 23 }, { "key", 24 },
        { "checksum", 55 }, { "first byte", HEADER_BYTES }, { "middle", 0 }, { "last byte", SIZE_MAX },
    };
    static const size_t cuts[] = { 0, 1, HEADER_BYTES - 1, HEADER_BYTES, HEADER_BYTES + 1, SIZE_MAX };
    unsigned char *whole;
    for (size_t i = few ? sizeof flips / sizeof flips[0] - 1 : 0; i < sizeof flips / sizeof flips[0]; i++) {
        const size_t bytes = read_all(path, &whole);
        whole[flips[i].at == 0 ? bytes / 2 : flips[i].at == SIZE_MAX ? bytes - 1 : flips[i].at] ^= 0x10;
        write_all(path, whole, bytes);
        free(whole);
        check_mended(flips[i].what);
    }
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0] && !few; i++) {
        const size_t bytes = read_all(path, &whole);
        write_all(path, whole, cuts[i] == SIZE_MAX ? bytes - 1 : cuts[i]);
        free(whole);
        check_mended("cut off");
    }
    if (few) return;
    const size_t bytes = read_all(path, &whole);
    memset(whole, 0, bytes);
    write_all(path, whole, bytes);
    free(whole);
    check_mended("zeros");
    CHECK(unlink(path) == 0);
    use_device();
    expect("removed", 1, 1);
}

/* Two programs change their names. */
static void swap(const char *a, const char *b)
{
    char aside[PATH_BYTES + 8];
    (void)snprintf(aside, sizeof aside, "%s.x", a);
    CHECK(rename(a, aside) == 0 && rename(b, a) == 0 && rename(aside, b) == 0);
    use_device();
    expect("swapped", 2, 0);
    use_device();
    expect("swapped", 0, 2);
}

/* What is there is no file: nothing is kept, nothing fails, nothing hangs. */
static void put_others(const char *path)
{
    CHECK(unlink(path) == 0 && mkdir(path, 0700) == 0);
    use_device();
    expect("a folder", 1, 1);
    CHECK(rmdir(path) == 0 && mkfifo(path, 0600) == 0);
    use_device();
    expect("a pipe", 1, 1);
    (void)unlink(path);
    use_device();
}

/* ---- What the driver does not take ---- */

/* The binary of a program that has no kernel of ours. */
static size_t foreign_binary(unsigned char **out)
{
    static const char *const text = "__kernel void other(__global int *x) { x[0] = 1; }";
    void *loader = dlopen("libOpenCL.so.1", RTLD_NOW);
    CHECK(loader != NULL);
#define FIND(name) __typeof__(&name) call_##name; *(void **)&call_##name = dlsym(loader, #name); CHECK(call_##name != NULL)
    FIND(clGetPlatformIDs);
    FIND(clGetDeviceIDs);
    FIND(clCreateContext);
    FIND(clCreateProgramWithSource);
    FIND(clBuildProgram);
    FIND(clGetProgramInfo);
    FIND(clReleaseProgram);
    FIND(clReleaseContext);
#undef FIND
    cl_platform_id platform;
    cl_device_id device;
    size_t bytes = 0;
    CHECK_INT(call_clGetPlatformIDs(1, &platform, NULL), CL_SUCCESS);
    CHECK_INT(call_clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &device, NULL), CL_SUCCESS);
    cl_context context = call_clCreateContext(NULL, 1, &device, NULL, NULL, NULL);
    cl_program program = call_clCreateProgramWithSource(context, 1, &(const char *){ text }, NULL, NULL);
    CHECK_INT(call_clBuildProgram(program, 1, &device, "", NULL, NULL), CL_SUCCESS);
    CHECK_INT(call_clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof bytes, &bytes, NULL), CL_SUCCESS);
    *out = malloc(bytes);
    CHECK(*out != NULL);
    CHECK_INT(call_clGetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof *out, out, NULL), CL_SUCCESS);
    (void)call_clReleaseProgram(program);
    (void)call_clReleaseContext(context);
    return bytes;
}

static void put_refused(const char *path)
{
    static const char nonsense[] = "this was never compiled by anybody";
    unsigned char *whole, *other;
    (void)read_all(path, &whole);
    write_payload(path, whole, nonsense, sizeof nonsense);
    check_mended("nonsense");
    const size_t bytes = foreign_binary(&other);
    write_payload(path, whole, other, bytes);
    free(other);
    use_device();
    if (seen.compiled != 1) expect("another program", 1, 2);
    use_device();
    expect("another program", 0, 2);
    free(whole);
}

/* ---- What happens to the folder ---- */

static void check_folders(void)
{
    char path[PATH_BYTES];
    (void)setenv("TREADLE_CACHE", "", 1);
    use_device();
    expect("no cache", 2, 0);
    (void)snprintf(path, sizeof path, "%s/file", place);
    write_all(path, "x", 1);
    (void)setenv("TREADLE_CACHE", path, 1);
    use_device();
    expect("a file for a folder", 2, 0);
    CHECK_INT(seen.warned, 2);           /* once per device */
    (void)unlink(path);
    (void)setenv("TREADLE_CACHE", "/proc/treadle", 1);
    use_device();
    expect("a folder that cannot be made", 2, 0);
    char *home = strdup(getenv("HOME") != NULL ? getenv("HOME") : "/");
    (void)unsetenv("TREADLE_CACHE");
    (void)unsetenv("HOME");
    (void)unsetenv("XDG_CACHE_HOME");
    use_device();
    expect("no HOME", 2, 0);
    (void)setenv("HOME", home, 1);
    free(home);
    (void)setenv("TREADLE_CACHE", place, 1);
    if (geteuid() != 0) {                /* root may write everywhere */
        CHECK(chmod(folder, 0500) == 0);
        use_device();
        expect("a folder that may be read only", 0, 2);
        CHECK(chmod(folder, 0700) == 0);
    }
}

/* The folder has a bound: what was used longest ago goes. What dead processes left goes too. */
static void check_bound(const char *one_of_ours)
{
    enum { N = 4 };
    char path[N][PATH_BYTES], dead[PATH_BYTES], alive[PATH_BYTES];
    const time_t now = time(NULL);
    for (int i = 0; i < N; i++) {
        (void)snprintf(path[i], PATH_BYTES, "%s/big-%d.program", folder, i);
        write_all(path[i], "x", 1);
        CHECK(truncate(path[i], 100 << 20) == 0);
        const struct timespec times[2] = { { now - 5000 + i, 0 }, { now - 5000 + i, 0 } };
        CHECK(utimensat(AT_FDCWD, path[i], times, 0) == 0);
    }
    (void)snprintf(dead, sizeof dead, "%s/a.program.1.2.tmp", folder);
    (void)snprintf(alive, sizeof alive, "%s/b.program.1.2.tmp", folder);
    write_all(dead, "x", 1);
    write_all(alive, "x", 1);
    const struct timespec old[2] = { { now - 7200, 0 }, { now - 7200, 0 } };
    CHECK(utimensat(AT_FDCWD, dead, old, 0) == 0);
    CHECK(unlink(one_of_ours) == 0);
    use_device();
    expect("a full folder", 1, 1);
    for (int i = 0; i < N; i++) CHECK_INT(access(path[i], F_OK) == 0, i >= 2);   /* 256 MiB hold two of them, and ours */
    CHECK(access(one_of_ours, F_OK) == 0);
    CHECK(access(dead, F_OK) != 0 && access(alive, F_OK) == 0);
    for (int i = 0; i < N; i++) (void)unlink(path[i]);
    (void)unlink(alive);
}

/* ---- Processes ---- */

/* Run children at once. @return false if one of them failed; *compiled, *loaded: sums */
static bool run_children(int n, const char *how, int *compiled, int *loaded)
{
    char command[2 * PATH_BYTES];
    FILE *children[16];
    bool good = true;
    *compiled = *loaded = 0;
    (void)snprintf(command, sizeof command, "'%s' %s", self, how);
    for (int i = 0; i < n; i++) CHECK((children[i] = popen(command, "r")) != NULL);
    for (int i = 0; i < n; i++) {
        int c = 0, l = 0;
        good = fscanf(children[i], "compiled %d loaded %d", &c, &l) == 2 && good;
        good = pclose(children[i]) == 0 && good;
        *compiled += c;
        *loaded += l;
    }
    return good;
}

static void check_processes(bool few)
{
    int compiled, loaded;
    CHECK(run_children(1, "child", &compiled, &loaded));         /* nothing was compiled a second time */
    CHECK_INT(compiled, 0);
    CHECK_INT(loaded, 2);
    char files[MAX_FILES][PATH_BYTES];
    for (int i = list_files(files, ".program"); i > 0; i--) CHECK(unlink(files[i - 1]) == 0);
    const int n = few ? 2 : 8;
    CHECK(run_children(n, "child", &compiled, &loaded));         /* all find an empty folder */
    CHECK_INT(compiled + loaded, 2 * n);
    CHECK(compiled >= 2);
    CHECK_INT(list_files(files, ".program"), 2);
    CHECK_INT(list_files(files, ".tmp"), 0);
    CHECK(run_children(1, "child", &compiled, &loaded));
    CHECK_INT(compiled, 0);
    for (int i = list_files(files, ".program"); i > 0; i--) CHECK(unlink(files[i - 1]) == 0);
    CHECK(run_children(1, "full", &compiled, &loaded));          /* no room: nothing is left behind */
    CHECK_INT(compiled, 2);
    CHECK_INT(list_files(files, ".program"), 0);
    CHECK_INT(list_files(files, ".tmp"), 0);
}

static int child(bool full)
{
    no_room = full;
    use_device();
    CHECK(!full || seen.warned == 2);
    printf("compiled %d loaded %d\n", seen.compiled, seen.loaded);
    return 0;
}

int main(int argc, char **argv)
{
    trd_log_set(TRD_LOG_DEBUG, on_log, NULL);
    if (!trdi_digest_available()) SKIP("built without xxhash");
    if (argc > 1) return child(strcmp(argv[1], "full") == 0);
    self = argv[0];
    const char *temporary = getenv("TMPDIR");
    (void)snprintf(place, sizeof place, "%.200s/treadle-programs-XXXXXX", temporary != NULL ? temporary : "/tmp");
    CHECK(mkdtemp(place) != NULL);
    (void)snprintf(folder, sizeof folder, "%s/" FOLDER, place);
    (void)setenv("TREADLE_CACHE", place, 1);

    /* Elsewhere compiling takes seconds each time, so only what depends on the driver is tried. */
    const char *implementation = getenv("TREADLE_TEST_IMPLEMENTATION");
    const bool few = implementation != NULL && strcmp(implementation, "pocl") != 0;
    char files[MAX_FILES][PATH_BYTES];
    use_device();
    expect("cold", 2, 0);
    if (!few) CHECK_INT(seen.saved, 2);          /* at each closing; other drivers keep binaries at once */
    CHECK_INT(list_files(files, ".program"), 2);
    use_device();
    expect("warm", 0, 2);
    CHECK_INT(seen.saved, 0);
    damage(files[0], few);
    if (implementation == NULL || strcmp(implementation, "rusticl") != 0) put_refused(files[0]);   /* Mesa 22.3 aborts the process */
    if (!few) {
        swap(files[0], files[1]);
        put_others(files[1]);
        check_folders();
        check_bound(files[0]);
    }
    check_processes(few);
    char command[PATH_BYTES + 16];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", place);
    CHECK_INT(system(command), 0);
    return 0;
}
