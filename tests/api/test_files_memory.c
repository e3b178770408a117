/*
 * test_files_memory.c: the n-th allocation fails for every n of a file run: it ends with a text, nothing is held, nothing is left behind, an earlier
 * output stays, and the translator goes on working. And the run of a large file holds no more than that of a small one.
 */
#include <stdatomic.h>

#include "files_rig.h"

static atomic_llong n_calls, fail_at = -1, held, most_held;

/* The size is kept in front: 64 bytes, which is the largest alignment that the library asks for. */
enum { FRONT = 64 };

static void *counting_alloc(void *context, size_t bytes, size_t alignment)
{
    (void)context;
    CHECK(alignment <= FRONT);
    if (atomic_fetch_add(&n_calls, 1) == atomic_load(&fail_at)) return NULL;
    char *memory = aligned_alloc(FRONT, (bytes + 2 * FRONT - 1) / FRONT * FRONT);
    if (memory == NULL) return NULL;
    memcpy(memory, &bytes, sizeof bytes);
    const long long now = atomic_fetch_add(&held, (long long)bytes) + (long long)bytes;
    long long most = atomic_load(&most_held);
    while (now > most && !atomic_compare_exchange_weak(&most_held, &most, now)) {}
    return memory + FRONT;
}

static void counting_free(void *context, void *memory)
{
    (void)context;
    if (memory == NULL) return;
    size_t bytes;
    char *const whole = (char *)memory - FRONT;
    memcpy(&bytes, whole, sizeof bytes);
    atomic_fetch_sub(&held, (long long)bytes);
    free(whole);
}

static trd_status run(trd_translator *translator, bool scores)
{
    trd_file_options files = files_options("source", "target", "out");
    files.read_batch_size = 2;
    const trd_decoding_options greedy = files_greedy();
    return scores ? trd_translator_score_file(translator, &files, NULL, NULL) : trd_translator_translate_file(translator, &files, &greedy, NULL);
}

static void test_each_failing(trd_translator *translator, bool scores)
{
    write_text("source", "c a t\nd o g\n\nt h r e a d\nq u e u e\n");
    write_text("target", "K\n\nK AE1\nTH\n\n");
    CHECK_OK(run(translator, scores));
    char good[1024];
    (void)snprintf(good, sizeof good, "%.1000s", read_text("out"));
    const int n_files = count_files();
    int64_t tried = 0, failed = 0;
    for (long long n = 0;; n += UNDER_THREAD_SANITIZER || UNDER_ADDRESS_SANITIZER ? 7 : 1) {
        write_text("out", "as before");
        atomic_store(&n_calls, 0);
        atomic_store(&fail_at, n);
        const trd_status status = run(translator, scores);
        atomic_store(&fail_at, -1);
        const bool reached = atomic_load(&n_calls) > n;
        tried++;
        if (status == TRD_OK) {
            CHECK_STRING(read_text("out"), good);
        } else {
            CHECK_INT(status, TRD_E_MEMORY);
            CHECK(trd_last_error()[0] != '\0');
            CHECK_STRING(read_text("out"), "as before");
            failed++;
        }
        CHECK_INT(count_files(), n_files);
        if (!reached) break;
    }
    printf("%s: %lld allocation failures injected, %lld ended the run\n", scores ? "scoring" : "translating", (long long)tried, (long long)failed);
    CHECK(failed > 10);
    CHECK_OK(run(translator, scores));
    CHECK_STRING(read_text("out"), good);
}

/* @return the most that was held beyond what the translator had before */
static long long most_of(trd_translator *translator, int n_lines)
{
    FILE *const file = fopen(in_folder("source"), "wb");
    CHECK(file != NULL);
    for (int i = 0; i < n_lines; i++) CHECK(fputs("a b c d e f g h i j k l m n o p q r s t u v w x y z\n", file) >= 0);
    CHECK_INT(fclose(file), 0);
    trd_file_options files = files_options("source", NULL, "out");
    files.read_batch_size = 64;
    trd_decoding_options greedy = files_greedy();
    greedy.max_decoding_length = 1;
    const long long before = atomic_load(&held);
    atomic_store(&most_held, before);
    CHECK_OK(trd_translator_translate_file(translator, &files, &greedy, NULL));
    return atomic_load(&most_held) - before;
}

static void test_bounded(trd_translator *translator)
{
    /* All are more than a run reads ahead, about 1,000 lines for a worker. */
    (void)most_of(translator, 1500);   /* warm-up */
    const long long few = most_of(translator, 1500), many = most_of(translator, 5000);
    printf("bytes held at most: %lld for 1,500 lines, %lld for 5,000\n", few, many);
    CHECK(many < few + few / 2 + 60000);
}

int main(void)
{
    const trd_allocator allocator = { NULL, counting_alloc, counting_free };
    CHECK_OK(trd_allocator_set(&allocator));
    CHECK(mkdtemp(files_folder) != NULL);
    CHECK(atexit(remove_files) == 0);
    trd_translator *translator = files_translator(1, 0);
    test_each_failing(translator, false);
    test_each_failing(translator, true);
    test_bounded(translator);
    trd_translator_destroy(translator);
    CHECK_INT(atomic_load(&held), 0);
    return 0;
}
