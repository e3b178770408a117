/*
 * test_drivers.c: OpenCL drivers that are missing, broken, crash, hang or end the process that asks them; the answer's cache. Uses the
 * OpenCL module, the system's ICD loader and drivers made for this test (fake_icd.c). A process asks once: a process per case.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "device/device.h"

#define WORK DRIVERS "/scratch"
#define CACHE WORK "/cache"
#define ICDS WORK "/icds"
#define RUNS WORK "/runs.log"
#define ASKED WORK "/asked.log"

static void set(const char *name, const char *value)
{
    CHECK_INT(setenv(name, value, 1), 0);
}

static void write_file(const char *path, const char *text)
{
    FILE *const file = fopen(path, "w");
    CHECK(file != NULL);
    fputs(text, file);
    CHECK_INT(fclose(file), 0);
}

/* Files named after the behaviour, with the fake driver of that name: "a-crash", "b-good". */
static void install(const char *name)
{
    char path[512], text[512];
    snprintf(path, sizeof path, ICDS "/%s.icd", name);
    snprintf(text, sizeof text, DRIVERS "/libfake_%s.so\n", strchr(name, '-') + 1);
    write_file(path, text);
}

static int n_lines(const char *path)
{
    FILE *const file = fopen(path, "r");
    if (file == NULL) return 0;
    int n = 0;
    for (int c; (c = fgetc(file)) != EOF;) n += c == '\n';
    fclose(file);
    return n;
}

static bool has_note(const char *part)
{
    const char *note;
    for (int64_t i = 0; (note = trd_device_note(i)) != NULL; i++)
        if (strstr(note, part) != NULL) return true;
    return false;
}

static void check_note(const char *part)
{
    if (has_note(part)) return;
    fprintf(stderr, "no note has \"%s\":\n", part);
    for (int64_t i = 0; trd_device_note(i) != NULL; i++) fprintf(stderr, "  %s\n", trd_device_note(i));
    exit(1);
}

static void check_good_device(void)
{
    CHECK_INT(trd_device_count(), 2);
    trd_device_info info = { .struct_size = sizeof info };
    CHECK_OK(trd_device_get_info(1, &info));
    CHECK_STRING(info.id, "opencl:0");
    CHECK_STRING(info.name, "Fake Graphics");
    CHECK_STRING(trdi_device_at(1)->facts.pci, "0000:65:00.0");
}

/* No OpenCL device, and a request for one says why. */
static void check_none(const char *part)
{
    CHECK_INT(trd_device_count(), 1);
    trdi_device *device;
    CHECK_FAILS(trdi_device_acquire("opencl", &device), TRD_E_INVALID, part);
    CHECK_FAILS(trdi_device_acquire("gpu", &device), TRD_E_INVALID, part);
    CHECK_OK(trdi_device_acquire("auto", &device));
    CHECK_STRING(device->facts.id, "cpu:0");
    trdi_device_release(device);
}

/* Nothing of ours is left in the folder for temporary files, nor in the environment. */
static void check_tidy(void)
{
    CHECK_INT(rmdir(WORK "/tmp"), 0);
    CHECK_STRING(getenv("OCL_ICD_VENDORS"), ICDS);
    size_t blocks;
    trd_memory_in_use(NULL, &blocks);
    CHECK_INT(blocks, 0);
}

static void case_good(void)
{
    install("a-good");
    check_good_device();
    CHECK(!has_note("opencl: "));
    CHECK_INT(n_lines(RUNS), 1);
    check_tidy();
}

static void case_nowhere(void)
{
    set("OCL_ICD_VENDORS", WORK "/nowhere");
    check_none("no driver is installed: there is no .icd file in " WORK "/nowhere");
}

static void case_empty_folder(void)
{
    check_none("no driver is installed: there is no .icd file in " ICDS);
    check_tidy();
}

static void case_broken_files(void)
{
    write_file(ICDS "/a.icd", "");
    write_file(ICDS "/b.icd", "/nonexistent/libNone.so\n");
    write_file(ICDS "/c.icd", "# a comment\nand not a library\n");
    write_file(ICDS "/d.icd", "libdl.so.2\n");
    install("e-good");
    install("f-empty");
    check_good_device();
    check_note("opencl: driver " ICDS "/a.icd: the file cannot be read, or is empty");
    check_note("opencl: driver " ICDS "/b.icd: its library cannot be loaded: /nonexistent/libNone.so: ");
    check_note("opencl: driver " ICDS "/c.icd: its library cannot be loaded: ");
    check_note("opencl: driver " ICDS "/d.icd: libdl.so.2 is no OpenCL driver");
    check_note("opencl: driver " ICDS "/f-empty.icd: " DRIVERS "/libfake_empty.so finds nothing to drive on this machine");
    CHECK(!has_note("e-good"));
    CHECK_INT(n_lines(RUNS), 1);
    check_tidy();
}

static void case_crash(void)
{
    install("a-crash");
    install("b-good");
    check_good_device();
    check_note("opencl: driver " ICDS "/a-crash.icd crashed while it was asked (signal 11); it is kept out");
    CHECK(!has_note("b-good"));
    CHECK_INT(n_lines(RUNS), 3);
    check_tidy();
}

static void case_crash_alone(void)
{
    install("a-crash");
    check_none("a-crash.icd crashed while it was asked (signal 11)");
    CHECK_INT(n_lines(ASKED), 1);   /* never by this process */
    check_tidy();
}

static void case_hang_and_exit(void)
{
    set("TREADLE_PROBE_TIMEOUT", "0.7");
    install("a-good");
    install("b-hang");
    install("c-exit");
    check_good_device();
    check_note("opencl: driver " ICDS "/b-hang.icd did not answer within 0.7 s; it is kept out");
    check_note("opencl: driver " ICDS "/c-exit.icd ended the process that asked it (status 3); it is kept out");
    check_tidy();
}

/* Each is good alone: the first by name stays. */
static void case_jealous(void)
{
    install("a-good");
    install("b-jealous");
    check_good_device();
    check_note("opencl: driver " ICDS "/b-jealous.icd crashed while it was asked (signal 11)");
    check_tidy();
}

/* A single file instead of a folder. */
static void case_single(void)
{
    install("a-crash");
    install("b-good");
    set("OCL_ICD_VENDORS", ICDS "/b-good.icd");
    check_good_device();
    CHECK_INT(n_lines(RUNS), 1);
}

static void case_single_crash(void)
{
    install("a-crash");
    install("b-good");
    set("OCL_ICD_VENDORS", ICDS "/a-crash.icd");
    check_none("a-crash.icd crashed while it was asked (signal 11)");
}

/* In a child process, so that each asks anew. */
static void in_child(void (*body)(void))
{
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        body();
        exit(0);
    }
    int status = 1;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_INT(status, 0);
}

/* A loader that the program has used has its drivers: none can be kept out of it. Without that, a loader that is merely there does not matter. */
static void case_loaded(void)
{
    install("a-good");
    install("b-crash");
    CHECK(dlopen("libOpenCL.so.1", RTLD_LAZY) != NULL);
    in_child(check_good_device);
    CHECK(dlopen(DRIVERS "/libfake_crash.so", RTLD_LAZY) != NULL);
    check_none("not asked, since this program itself loaded a driver that must be kept out");
    check_note("b-crash.icd crashed while it was asked (signal 11); it is kept out");
    check_tidy();
}

static void keep_warning(void *context, trd_log_level level, const char *text)
{
    if (level == TRD_LOG_WARNING) strncat(context, text, 400);
}

static char warnings[2048];

static void expect_warning(void)
{
    trd_log_set(TRD_LOG_WARNING, keep_warning, warnings);
    check_good_device();
    if (strstr(warnings, "neither off nor a path") != NULL || strstr(warnings, "TREADLE_PROBE_TIMEOUT is 'soon'") != NULL) return;
    fprintf(stderr, "warnings: %s\n", warnings);
    exit(1);
}

/* What is not understood is told, and counts as not said. */
static void case_unknown_values(void)
{
    install("a-good");
    set("TREADLE_PROBE_TIMEOUT", "soon");
    in_child(expect_warning);
    CHECK_INT(n_lines(RUNS), 1);
    CHECK_INT(unsetenv("TREADLE_PROBE_TIMEOUT"), 0);
    set("TREADLE_PROBE", "sometimes");
    in_child(expect_warning);
}

static void expect_crash_kept_out(void)
{
    check_good_device();
    check_note("a-crash.icd crashed while it was asked (signal 11); it is kept out");
}

static void case_cache(void)
{
    install("a-crash");
    install("b-good");
    in_child(expect_crash_kept_out);
    CHECK_INT(n_lines(RUNS), 3);
    in_child(expect_crash_kept_out);
    CHECK_INT(n_lines(RUNS), 3);
    /* Another .icd file, another variable: another answer. */
    install("c-empty");
    in_child(expect_crash_kept_out);
    CHECK_INT(n_lines(RUNS), 3 + 4);
    set("RUSTICL_ENABLE", "other");
    in_child(expect_crash_kept_out);
    CHECK_INT(n_lines(RUNS), 3 + 4 + 4);
    /* The 16 written last are kept, and nothing else is removed. */
    CHECK_INT(system("cd " CACHE " && touch other.json && touch -d 2001-01-01 other.json opencl-drivers-x && "
                     "for i in 1 2 3 4 5 6 7 8 9 a b c d e f g h i j; do touch -d 2001-01-01 opencl-drivers-$i.json; done"), 0);
    set("RUSTICL_ENABLE", "another");
    in_child(expect_crash_kept_out);
    CHECK_INT(n_lines(RUNS), 3 + 4 + 4 + 4);
    CHECK_INT(system("cd " CACHE " && test -e other.json -a -e opencl-drivers-x && test $(ls opencl-drivers-*.json | wc -l) = 16"), 0);
    in_child(expect_crash_kept_out);
    CHECK_INT(n_lines(RUNS), 3 + 4 + 4 + 4);
}

/* The file of the only answer that is kept, in path. */
static void find_answer(char *path, size_t bytes)
{
    FILE *const list = popen("ls " CACHE "/opencl-drivers-*.json", "r");
    CHECK(list != NULL && fgets(path, (int)bytes, list) != NULL);
    path[strcspn(path, "\n")] = '\0';
    pclose(list);
}

static void replace_answer(const char *text)
{
    char path[512];
    find_answer(path, sizeof path);
    write_file(path, text);
}

static void edit_answer(const char *expression)
{
    char path[512], command[1024];
    find_answer(path, sizeof path);
    snprintf(command, sizeof command, "sed -i '%s' %s", expression, path);
    CHECK_INT(system(command), 0);
}

static void case_cache_damage(void)
{
    install("a-good");
    in_child(check_good_device);
    CHECK_INT(n_lines(RUNS), 1);
    static const char *const wrong[] = { "", "{", "[]", "{\"key\": \"other\"}", "\0001" };
    int n = 1;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        replace_answer(wrong[i]);
        in_child(check_good_device);
        CHECK_INT(n_lines(RUNS), ++n);
    }
    static const char *const edits[] = { "s/\"kept_out\": false/\"kept_out\": 7/", "s/\"error\": \"\"/\"error\": null/", "s/\"bytes\": /&1/" };
    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++) {
        edit_answer(edits[i]);
        in_child(check_good_device);
        CHECK_INT(n_lines(RUNS), ++n);
    }
    in_child(check_good_device);
    CHECK_INT(n_lines(RUNS), n);
}

/* A failure is asked again after an hour, a success is not. */
static void case_cache_age(void)
{
    install("a-good");
    in_child(check_good_device);
    edit_answer("s/\"written\": [0-9]*/\"written\": 1000/");
    in_child(check_good_device);
    CHECK_INT(n_lines(RUNS), 1);
    CHECK_INT(system("rm -r " CACHE), 0);
    install("a-crash");
    in_child(expect_crash_kept_out);
    in_child(expect_crash_kept_out);
    CHECK_INT(n_lines(RUNS), 1 + 3);
    edit_answer("s/\"written\": [0-9]*/\"written\": 1000/");
    in_child(expect_crash_kept_out);
    CHECK_INT(n_lines(RUNS), 1 + 3 + 3);
}

static void case_no_cache(void)
{
    install("a-good");
    static const char *const folders[] = { "", "/proc/nonexistent", DRIVERS "/libfake_good.so" };
    for (int i = 0; i < 3; i++) {
        set("TREADLE_CACHE", folders[i]);
        in_child(check_good_device);
        CHECK_INT(n_lines(RUNS), i + 1);
    }
}

static void case_turned_off(void)
{
    install("a-good");
    static const char *const words[] = { "off", "0", "OFF", "no" };
    for (int i = 0; i < 4; i++) {
        set("TREADLE_PROBE", words[i]);
        in_child(check_good_device);
    }
    CHECK_INT(n_lines(RUNS), 0);
    CHECK(access(CACHE, F_OK) != 0);
}

/* Without the program, drivers are asked here. */
static void case_no_probe(void)
{
    install("a-good");
    set("TREADLE_PROBE", "/nonexistent/treadle-probe");
    check_good_device();
}

/* The CPU alone: nothing is started. */
static void case_cpu(void)
{
    install("a-crash");
    trdi_device *device;
    CHECK_OK(trdi_device_acquire(NULL, &device));
    trdi_device_release(device);
    CHECK_INT(n_lines(RUNS), 0);
    CHECK_INT(n_lines(ASKED), 0);
}

/* A program that reaps every child, or ignores that they end, must not confuse us. */
static void case_ignored_children(void)
{
    install("a-crash");
    install("b-good");
    signal(SIGCHLD, SIG_IGN);
    check_good_device();
    check_note("a-crash.icd ended the process that asked it; it is kept out");
}

static const struct {
    const char *name;
    void (*run)(void);
} cases[] = {
    { "good", case_good }, { "nowhere", case_nowhere }, { "empty folder", case_empty_folder }, { "broken files", case_broken_files },
    { "crash", case_crash }, { "crash alone", case_crash_alone }, { "hang and exit", case_hang_and_exit }, { "jealous", case_jealous },
    { "single", case_single }, { "single crash", case_single_crash }, { "cache", case_cache }, { "cache damage", case_cache_damage },
    { "cache age", case_cache_age }, { "no cache", case_no_cache }, { "turned off", case_turned_off }, { "no probe", case_no_probe },
    { "cpu", case_cpu }, { "ignored children", case_ignored_children },
    { "loaded", case_loaded }, { "unknown values", case_unknown_values },
};

/* A program that counts its runs and then is treadle-probe. */
static void write_counting_probe(void)
{
    write_file(WORK "/probe.sh", "#!/bin/sh\necho run >>'" RUNS "'\nexec '" PROBE "' \"$@\"\n");
    CHECK_INT(chmod(WORK "/probe.sh", 0700), 0);
}

static void prepare(void)
{
    CHECK_INT(system("rm -rf '" WORK "' && mkdir -p '" WORK "/tmp' '" ICDS "'"), 0);
    write_counting_probe();
    set("TREADLE_BACKEND_PATH", MODULE_FOLDER);
    set("TREADLE_PROBE", WORK "/probe.sh");
    set("TREADLE_CACHE", CACHE);
    set("TMPDIR", WORK "/tmp");
    set("OCL_ICD_VENDORS", ICDS);
    set("FAKE_ICD_LOG", ASKED);
    static const char *const unwanted[] = { "TREADLE_DEVICE", "OPENCL_LAYERS", "OPENCL_VENDOR_PATH", "OCL_ICD_FILENAMES", "TREADLE_PROBE_TIMEOUT" };
    for (size_t i = 0; i < sizeof unwanted / sizeof unwanted[0]; i++) CHECK_INT(unsetenv(unwanted[i]), 0);
}

int main(int argc, char **argv)
{
    if (dlopen("libOpenCL.so.1", RTLD_LAZY) == NULL) SKIP("no OpenCL ICD loader (libOpenCL.so.1)");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (argc > 1 && strcmp(argv[1], cases[i].name) != 0) continue;
        prepare();
        const pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            cases[i].run();
            exit(0);
        }
        int status = 1;
        CHECK(waitpid(child, &status, 0) == child);
        if (status != 0) fprintf(stderr, "case '%s': status %d\n", cases[i].name, status);
        CHECK_INT(status, 0);
    }
    return 0;
}
