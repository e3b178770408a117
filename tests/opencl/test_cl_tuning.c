/*
 * test_cl_tuning.c: tuning measures every class and keeps a table that the next opening takes, another device or form does not, and a damaged one
 * is passed over; and no way to compute a product changes its bits.
 */
#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cl_rig.h"

static char folder[256], warning[512], kept[1024];
static int n_results, n_chosen;
static bool has_f16;

static void listen(void *context, trd_log_level level, const char *text)
{
    (void)context;
    if (level == TRD_LOG_WARNING) (void)snprintf(warning, sizeof warning, "%s", text);
}

static void count(void *context, const trdi_tune_result *result)
{
    (void)context;
    CHECK(result->best_us > 0.0 && result->rows >= 1 && result->way != NULL);
    const char *base = result->path != NULL ? strrchr(result->path, '/') : NULL;
    CHECK(base != NULL && strncmp(result->path, folder, strlen(folder)) == 0);
    CHECK(has_f16 || result->weights != TRD_DTYPE_F16);
    (void)snprintf(kept, sizeof kept, "%s", result->path);
    n_results++;
    n_chosen += result->chosen;
}

/* The one file of the folder of tables. */
static void find_file(char path[1024])
{
    char place[512];
    (void)snprintf(place, sizeof place, "%s/opencl-tuning", folder);
    DIR *directory = opendir(place);
    CHECK(directory != NULL);
    int n = 0;
    for (const struct dirent *each = readdir(directory); each != NULL; each = readdir(directory)) {
        if (each->d_name[0] == '.') continue;
        (void)snprintf(path, 1024, "%s/%s", place, each->d_name);
        n++;
    }
    (void)closedir(directory);
    CHECK_INT(n, 1);
}

static size_t read_all(const char *path, char *text, size_t size)
{
    FILE *file = fopen(path, "rb");
    CHECK(file != NULL);
    const size_t n = fread(text, 1, size - 1, file);
    (void)fclose(file);
    text[n] = '\0';
    return n;
}

static void write_all(const char *path, const char *text, size_t n)
{
    FILE *file = fopen(path, "wb");
    CHECK(file != NULL && fwrite(text, 1, n, file) == n && fclose(file) == 0);
}

/* Bits of products of several numbers of rows, as the device's table has them computed. */
enum { IN = 96, OUT = 130, MOST = 70, N_FLOATS = MOST * OUT };
static void product(cl_rig *r, int64_t n, float *out)
{
    float rows[OUT * IN];
    cl_rig_state = 88172645463325252u;
    for (int i = 0; i < OUT * IN; i++) rows[i] = cl_rig_uniform();
    const float *x = cl_rig_floats(r, MOST * IN), *y = cl_rig_poisoned(r, N_FLOATS);
    const trdi_op op = { .kind = TRDI_OP_LINEAR, .count = TRDI_COUNT_TOKENS, .u.linear = {
        .weight = cl_rig_weight(r, TRDI_LAYOUT_LINEAR, TRD_DTYPE_F32, false, rows, OUT, IN, NULL), .x = cl_span(x), .y = cl_span(y), .in = IN, .out = OUT,
        .x_stride = IN, .y_stride = OUT, .activation = -1 } };
    CHECK_OK(cl_rig_run(r, &op, n));
    memcpy(out, cl_rig_got(r, y), N_FLOATS * sizeof *out);
    cl_rig_clear(r);
}

/* A table that says the same way everywhere gives the same bits as any other. */
static void check_bits(const trdi_device_facts *facts, const char *form, const char *path, const char *const *ways, int n_ways)
{
    static char text[1 << 16], changed[1 << 17];
    static float want[N_FLOATS], got[N_FLOATS];
    static const int64_t rows[] = { 1, 4, 7, 16, 70 };
    (void)read_all(path, text, sizeof text);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (int w = 0; w < n_ways; w++) {
            size_t at = 0;
            char *line = text;
            for (char *end = strchr(line, '\n'); end != NULL; line = end + 1, end = strchr(line, '\n')) {
                char dtype[8];
                int r, s;
                if (sscanf(line, "%7s %d %d", dtype, &r, &s) == 3 && dtype[0] != 'u') {
                    at += (size_t)snprintf(changed + at, sizeof changed - at, "%s %d %d %s own\n", dtype, r, s, ways[w]);
                } else {
                    at += (size_t)snprintf(changed + at, sizeof changed - at, "%.*s\n", (int)(end - line), line);
                }
            }
            write_all(path, changed, at);
            warning[0] = '\0';
            cl_rig r;
            cl_rig_open(&r, facts, form);
            CHECK_STRING(warning, "");
            product(&r, rows[i], w == 0 ? want : got);
            cl_rig_close(&r);
            if (w > 0) CHECK(memcmp(want, got, sizeof want) == 0);
        }
    }
    write_all(path, text, strlen(text));
}

/* Every cut and some damages are noticed, and told. */
static void check_damage(const trdi_device_facts *facts, const char *form, const char *path)
{
    static char text[1 << 16];
    const size_t n = read_all(path, text, sizeof text);
    for (size_t i = 0; i < 12; i++) {
        char bad[1 << 16];
        memcpy(bad, text, n);
        size_t length = n;
        if (i < 6) length = n * (i + 1) / 7;                 /* cut off */
        else if (i == 6) length = n - 1;
        else if (i == 7) memcpy(bad + n - 4, "END", 3);
        else bad[n - 30 * (i - 6)] ^= 0x15;
        write_all(path, bad, length);
        warning[0] = '\0';
        cl_rig r;
        cl_rig_open(&r, facts, form);
        cl_rig_close(&r);
        if (strstr(warning, "damaged") == NULL) fprintf(stderr, "damage %zu of a table was not noticed\n", i);
        CHECK(strstr(warning, "damaged") != NULL);
    }
    write_all(path, text, n);
}

/* Where no table can be kept nothing is measured. */
static void check_place_first(const trdi_backend_ops *ops, void *device)
{
    CHECK(setenv("TREADLE_CACHE", "", 1) == 0);
    CHECK(ops->tune(device, count, NULL) == TRD_E_IO);
    char file[600];
    (void)snprintf(file, sizeof file, "%s/no-folder", folder);
    write_all(file, "", 0);
    CHECK(setenv("TREADLE_CACHE", file, 1) == 0);
    CHECK(ops->tune(device, count, NULL) != TRD_OK);
    CHECK_INT(n_results, 0);
    CHECK(unlink(file) == 0);
    CHECK(setenv("TREADLE_CACHE", folder, 1) == 0);
}

int main(void)
{
    const char *base = getenv("TMPDIR");
    (void)snprintf(folder, sizeof folder, "%s/treadle-tuning.XXXXXX", base != NULL ? base : "/tmp");
    CHECK(mkdtemp(folder) != NULL);
    CHECK(setenv("TREADLE_CACHE", folder, 1) == 0);
    CHECK(setenv("TREADLE_OPENCL_GEMM", "own", 1) == 0);
    const trdi_backend_ops *ops = cl_rig_module();
    trdi_device_facts facts;
    size_t n = 0;
    if (ops->enumerate(&facts, 1, &n) != TRD_OK || n == 0 || facts.unusable[0] != '\0') NO_DEVICE("no usable OpenCL device");
    trd_log_set(TRD_LOG_WARNING, listen, NULL);
    cl_rig r;
    cl_rig_open(&r, &facts, "tiles");
    has_f16 = (facts.compute_types & TRDI_TYPES_F16) != 0;
    check_place_first(ops, r.device);
    CHECK_OK(ops->tune(r.device, count, NULL));
    cl_rig_close(&r);
    CHECK_INT(n_chosen, (has_f16 ? 3 : 2) * 6 * 3);
    CHECK(n_results > n_chosen + 3 * 3 * 2);     /* at the least one other way for many rows */
    char path[1024];
    find_file(path);
    CHECK(strcmp(path, kept) == 0);
    static const char *const tiles[] = { "blocks_10", "blocks_5", "blocks_2", "blocks_1" };
    check_bits(&facts, "tiles", path, tiles, 4);
    check_damage(&facts, "tiles", path);
    printf("tuning: %d measurements\n", n_results);
    CHECK(unlink(path) == 0);
    char command[600];
    (void)snprintf(command, sizeof command, "rm -r '%s'", folder);
    return system(command) == 0 ? 0 : 1;
}
