/* test_device_threads.c: how many threads a worker gets, from the option, OMP_NUM_THREADS, and the machine. */
#include "check.h"
#include "device/device.h"

static char last_line[512];

static void keep_line(void *context, trd_log_level level, const char *text)
{
    (void)context;
    if (level == TRD_LOG_WARNING) snprintf(last_line, sizeof last_line, "%s", text);
}

int main(void)
{
    trd_log_set(TRD_LOG_WARNING, keep_line, NULL);
    const int64_t cores = trdi_device_cores_allowed();
    CHECK(cores >= 1);
    const int32_t automatic = cores < 4 ? (int32_t)cores : 4;

    CHECK_INT(unsetenv("OMP_NUM_THREADS"), 0);
    CHECK_INT(trdi_device_default_threads(0), automatic);
    CHECK_INT(trdi_device_default_threads(7), 7);

    static const struct {
        const char *text;
        int32_t     n;      /* 0 = ignored */
        bool        warned;
    } cases[] = {
        { "", 0, false },
        { "1", 1, false },
        { "9", 9, false },
        { " 3 ", 3, false },
        { "5,2", 5, false },
        { "4096", 4096, false },
        { "0", 0, true },
        { "-2", 0, true },
        { "4097", 0, true },
        { "99999999999999999999", 0, true },
        { "two", 0, true },
        { "2x", 0, true },
        { "1.5", 0, true },
        { ",2", 0, true },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CHECK_INT(setenv("OMP_NUM_THREADS", cases[i].text, 1), 0);
        last_line[0] = '\0';
        CHECK_INT(trdi_device_default_threads(0), cases[i].n > 0 ? cases[i].n : automatic);
        CHECK((last_line[0] != '\0') == cases[i].warned);
        if (cases[i].warned) CHECK(strstr(last_line, cases[i].text) != NULL);
        CHECK_INT(trdi_device_default_threads(2), 2);
    }
    return 0;
}
