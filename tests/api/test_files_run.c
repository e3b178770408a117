/*
 * test_files_run.c: files through a translator: what a line is, sizes of chunks, formats, statistics, callbacks, pairs of files, and every way in which
 * a run ends early, none of which touches an earlier output or leaves a file behind.
 */
#include <locale.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <time.h>

#include "api/files_private.h"
#include "api/notifier.h"
#include "files_rig.h"

static trd_translator *translator;

static const char *const words[] = { "t h r e a d", "", "k e r n e l", "d o n ' t", "a", "q u e u e", "t r a n s f o r m e r", "s o u l", "l o s e s" };
enum { N_WORDS = sizeof words / sizeof words[0] };

/* The words as a file of n lines, over and over. */
static void write_words(const char *name, int n)
{
    static char text[1 << 16];
    size_t used = 0;
    for (int i = 0; i < n; i++) used += (size_t)snprintf(text + used, sizeof text - used, "%s\n", words[i % N_WORDS]);
    write_file(name, text, used);
}

/* What a call gives for the words, as a file would hold it. */
static const char *expected_words(const trd_decoding_options *options, int n)
{
    static char text[1 << 17];
    static rig_batch batch;
    batch.sequences.n = 0;
    for (int i = 0; i < N_WORDS; i++) rig_add(&batch, words[i]);
    trd_results *results;
    CHECK_OK(trd_translator_translate(translator, &batch.sequences, NULL, options, &results));
    size_t used = 0;
    for (int i = 0; i < n; i++) {
        const trd_result *result = trd_results_get(results, i % N_WORDS);
        for (int64_t h = 0; h < trd_result_n_hypotheses(result); h++) {
            if (options->return_scores) used += (size_t)snprintf(text + used, sizeof text - used, "%g ||| ", (double)trd_result_score(result, h));
            used += (size_t)snprintf(text + used, sizeof text - used, "%s\n", rig_text(result, h));
        }
    }
    trd_results_destroy(results);
    return text;
}

/* Tokens of the first of every two lines. */
static int64_t count_tokens(const char *text)
{
    int64_t n = 0;
    for (int line = 0; *text != '\0'; line++) {
        const size_t length = strcspn(text, "\n");
        const char *const tokens = strstr(text, " ||| ") + 5;
        for (const char *c = tokens; line % 2 == 0 && c < text + length; c++) n += c == tokens || *c == ' ';
        text += length + 1;
    }
    return n;
}

static void test_lines(void)
{
    static const struct { const char *text; size_t bytes; const char *same_as; } cases[] = {
#define CASE(text, same) { text, sizeof(text) - 1, same }
        CASE("", ""), CASE("\n", "\n"), CASE("c a t", "c a t\n"), CASE("c a t\r\n\r\nd o g\r", "c a t\n\nd o g\n"),
        CASE("  c  a   t  \n   \n", "c a t\n\n"), CASE("c \0\0 t\n\0", "c X t\nX\n"), CASE("c \xff\xc3 t\n", "c X t\n"),
    };
    const trd_decoding_options greedy = files_greedy();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_file("source", cases[i].text, cases[i].bytes);
        write_text("plain", cases[i].same_as);
        const trd_file_options files = files_options("source", NULL, "out");
        trd_execution_stats stats = { .struct_size = sizeof stats };
        CHECK_OK(trd_translator_translate_file(translator, &files, &greedy, &stats));
        static char got[1 << 20];
        (void)snprintf(got, sizeof got, "%s", read_text("out"));
        const trd_file_options plain = files_options("plain", NULL, "plain_out");
        CHECK_OK(trd_translator_translate_file(translator, &plain, &greedy, NULL));
        CHECK_STRING(got, read_text("plain_out"));
        int64_t n = 0;
        for (const char *c = cases[i].same_as; *c != '\0'; c++) n += *c == '\n';
        CHECK_INT(stats.n_examples, n);
    }
}

static void test_huge_line(void)
{
    enum { BYTES = 3000000 };
    char *text = malloc(BYTES);
    CHECK(text != NULL);
    for (int i = 0; i < BYTES; i++) text[i] = i % 2 == 0 ? 'a' : ' ';
    memcpy(text, "c a t\n", 6);
    memcpy(text + BYTES - 12, "\nd o g", 6);
    write_file("source", text, BYTES - 6);
    free(text);
    const trd_file_options files = files_options("source", NULL, "out");
    trd_decoding_options greedy = files_greedy();
    greedy.max_input_length = 20;
    greedy.max_decoding_length = 10;
    CHECK_OK(trd_translator_translate_file(translator, &files, &greedy, NULL));
    const char *out = read_text("out");
    CHECK(strncmp(out, "K AE1 T\n", 8) == 0);
    CHECK_STRING(strstr(out + 8, "\n") + 1, "D AO1 G\n");
}

static void test_chunks(void)
{
    static const struct { int64_t batch, read; bool by_tokens; } cases[] = {
        { 32, 0, false }, { 1, 0, false }, { 2, 0, false }, { 0, 5, false }, { 3, 1, false }, { 1, 0, true }, { 12, 0, true }, { 0, 13, true },
        { INT64_MAX, 0, false }, { INT64_MAX, INT64_MAX, true },
    };
    trd_decoding_options options = rig_options();
    options.num_hypotheses = 2;
    options.return_scores = true;
    write_words("source", 40);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        trd_file_options files = files_options("source", NULL, "out");
        files.max_batch_size = cases[i].batch;
        files.read_batch_size = cases[i].read;
        files.batch_by_tokens = cases[i].by_tokens;
        files.with_scores = true;
        trd_execution_stats stats = { .struct_size = sizeof stats };
        CHECK_OK(trd_translator_translate_file(translator, &files, &options, &stats));
        CHECK_STRING(read_text("out"), expected_words(&options, 40));
        CHECK_INT(stats.n_examples, 40);
        CHECK_INT(stats.n_tokens, count_tokens(read_text("out")));
        CHECK(stats.total_time_in_ms > 0);
    }
}

/* A backlog that takes one job at a time, and several workers. */
static void test_short_backlog(void)
{
    trd_translator *const one = translator;
    translator = files_translator(3, 1);
    const trd_decoding_options greedy = files_greedy();
    write_words("source", 300);
    const trd_file_options files = files_options("source", NULL, "out");
    CHECK_OK(trd_translator_translate_file(translator, &files, &greedy, NULL));
    CHECK_STRING(read_text("out"), expected_words(&greedy, 300));
    trd_translator_destroy(translator);
    translator = one;
}

/* Threads that make one call after the other. */
enum { N_CALLERS = 8, MOST_CALLS = 4000 };
static atomic_llong n_calls;
static atomic_bool is_over;
static rig_batch one_word;

static void *call_on(void *context)
{
    const trd_decoding_options greedy = files_greedy();
    while (!atomic_load(&is_over) && atomic_fetch_add(&n_calls, 1) < MOST_CALLS) {
        trd_results *results;
        CHECK_OK(trd_translator_translate(context, &one_word.sequences, NULL, &greedy, &results));
        trd_results_destroy(results);
    }
    return NULL;
}

/* In a full backlog a run stands in line like others: its lines do not wait until nobody else has anything to do. */
static void test_beside_callers(void)
{
    trd_translator *const one = translator;
    translator = files_translator(1, 4);
    const trd_decoding_options greedy = files_greedy();
    write_words("source", 100);
    one_word.sequences.n = 0;
    rig_add(&one_word, "c a t");
    pthread_t threads[N_CALLERS];
    for (int i = 0; i < N_CALLERS; i++) CHECK_INT(pthread_create(&threads[i], NULL, call_on, translator), 0);
    trd_translator_counters c = { .struct_size = sizeof c };
    do CHECK_OK(trd_translator_get_counters(translator, &c));
    while (c.n_submitting == 0 && atomic_load(&n_calls) < MOST_CALLS);
    const long long before = atomic_load(&n_calls);
    const trd_file_options files = files_options("source", NULL, "out");
    CHECK_OK(trd_translator_translate_file(translator, &files, &greedy, NULL));
    const long long calls = atomic_load(&n_calls) - before;
    atomic_store(&is_over, true);
    for (int i = 0; i < N_CALLERS; i++) CHECK_INT(pthread_join(threads[i], NULL), 0);
    printf("%lld calls beside a run of 100 lines\n", calls);
    CHECK(before < MOST_CALLS / 2 && before + calls < MOST_CALLS);
    CHECK_STRING(read_text("out"), expected_words(&greedy, 100));
    trd_translator_destroy(translator);
    translator = one;
}

static atomic_int called_back = -1;

static void run_file(void *context, trd_future *future)
{
    (void)future;
    const trd_status status = trd_translator_translate_file(translator, context, NULL, NULL);
    if (status != TRD_OK) CHECK(strstr(trd_last_error(), "a callback of futures cannot wait for a file") != NULL);
    atomic_store(&called_back, (int)status);
}

/* Others would wait for the callback's end. */
static void test_inside_callback(void)
{
    write_words("source", 3);
    trd_file_options files = files_options("source", NULL, "out");
    one_word.sequences.n = 0;
    rig_add(&one_word, "c a t");
    trd_submit_options how;
    trd_submit_options_init(&how, sizeof how);
    how.on_done = run_file;
    how.on_done_context = &files;
    trd_future *future;
    CHECK_OK(trd_translator_submit(translator, &one_word.sequences, NULL, NULL, &how, &future));
    while (atomic_load(&called_back) == -1) (void)nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    CHECK_INT(atomic_load(&called_back), TRD_E_STATE);
    trd_future_release(future);
}

static void test_sampling(void)
{
    trd_decoding_options options = files_greedy();
    options.sampling_topk = 0;
    options.sampling_temperature = 2;
    options.has_seed = true;
    options.seed = 7;
    write_words("source", N_WORDS);
    trd_file_options files = files_options("source", NULL, "out");
    CHECK_OK(trd_translator_translate_file(translator, &files, &options, NULL));
    CHECK_STRING(read_text("out"), expected_words(&options, N_WORDS));
    write_text("source", "t r a n s f o r m e r\nt r a n s f o r m e r\n");
    files.read_batch_size = 1;
    CHECK_OK(trd_translator_translate_file(translator, &files, &options, NULL));
    const char *out = read_text("out"), *second = strchr(out, '\n') + 1;
    CHECK(strncmp(out, second, (size_t)(second - out)) != 0);
}

static void test_scoring(void)
{
    write_text("source", "c a t\n\nd o g\n");
    write_text("target", "K AE1 T\nT\n\nmore\n");
    trd_file_options files = files_options("source", "target", "out");
    files.with_scores = true;
    trd_execution_stats stats = { .struct_size = sizeof stats };
    CHECK_OK(trd_translator_score_file(translator, &files, NULL, &stats));
    CHECK_INT(stats.n_examples, 3);
    CHECK_INT(stats.n_tokens, 4 + 2 + 1);
    rig_batch source = { 0 }, target = { 0 };
    rig_add(&source, "c a t");
    rig_add(&target, "K AE1 T");
    trd_results *results;
    CHECK_OK(trd_translator_score(translator, &source.sequences, &target.sequences, NULL, &results));
    const float *s = trd_result_token_scores(trd_results_get(results, 0), 0);
    char line[256];
    const int n = snprintf(line, sizeof line, "%g ||| K AE1 T </s> ||| %g %g %g %g\n", (double)((s[0] + s[1] + s[2] + s[3]) / 4), (double)s[0],
                           (double)s[1], (double)s[2], (double)s[3]);
    CHECK(strncmp(read_text("out"), line, (size_t)n) == 0);
    trd_results_destroy(results);
    files.with_scores = false;
    CHECK_OK(trd_translator_score_file(translator, &files, NULL, NULL));
    const char *out = read_text("out");
    CHECK(strstr(out, " ||| K AE1 T </s>\n") != NULL && strstr(out, " ||| </s>\n") != NULL);
}

/* A locale with a comma, if the machine has one, changes no number. */
static void test_numbers(void)
{
    static const struct { double value; const char *text; } cases[] = {
        { 0, "0" }, { -0.1516731, "-0.151673" }, { 1e-9, "1e-09" }, { 1234567, "1.23457e+06" }, { -100, "-100" }, { INFINITY, "inf" } };
    static const char *const locales[] = { "C", "de_DE.UTF-8", "fr_FR.UTF-8", "ps_AF" };
    for (size_t l = 0; l < sizeof locales / sizeof locales[0]; l++) {
        if (setlocale(LC_NUMERIC, locales[l]) == NULL) continue;
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            char text[32];
            trdi_file_number(cases[i].value, text);
            CHECK_STRING(text, cases[i].text);
        }
    }
    (void)setlocale(LC_NUMERIC, "C");
}

/* callbacks */

typedef struct watch {
    pthread_t thread;
    int64_t   n_lines, n_joined, n_formatted, stop_at;
} watch;

/* Letters are tokens. */
static bool cut(void *context, const char *line, size_t bytes, trd_pieces *out)
{
    watch *w = context;
    CHECK(pthread_equal(pthread_self(), w->thread));
    for (size_t i = 0; i < bytes; i++) {
        if (trd_pieces_add(out, line + i, 1) != TRD_OK) return true;
    }
    return ++w->n_lines != w->stop_at;
}

static bool join(void *context, const char *const *tokens, int64_t n, trd_pieces *out)
{
    watch *w = context;
    CHECK(pthread_equal(pthread_self(), w->thread));
    for (int64_t t = 0; t < n; t++) CHECK_OK(trd_pieces_add(out, tokens[t], strlen(tokens[t])));
    return ++w->n_joined != w->stop_at;
}

static bool format(void *context, const trd_result *result, trd_pieces *out)
{
    watch *w = context;
    char text[64];
    (void)snprintf(text, sizeof text, "<%lld>\n", (long long)trd_result_n_tokens(result, 0));
    CHECK_OK(trd_pieces_add(out, text, strlen(text)));
    return ++w->n_formatted != w->stop_at;
}

static void test_callbacks(void)
{
    const trd_decoding_options greedy = files_greedy();
    watch w = { .thread = pthread_self() };
    write_text("source", "cat\n\ndog\n");
    write_text("target", "T\n\n\n");
    trd_file_options files = files_options("source", "target", "out");
    files.tokenize_source = files.tokenize_target = cut;
    files.detokenize = join;
    files.tokenize_context = &w;
    CHECK_OK(trd_translator_translate_file(translator, &files, &greedy, NULL));
    CHECK(read_text("out")[0] == 'T');
    CHECK_STRING(strchr(read_text("out"), '\n'), "\n\nDAO1G\n");
    CHECK_INT(w.n_lines, 6);
    CHECK_INT(w.n_joined, 3);

    write_text("out", "as before");
    w = (watch){ .thread = pthread_self(), .stop_at = 3 };
    CHECK_FAILS(trd_translator_translate_file(translator, &files, &greedy, NULL), TRD_E_CANCELLED, "line 2: the tokenizer stopped");
    w = (watch){ .thread = pthread_self(), .stop_at = 2 };
    files.tokenize_source = files.tokenize_target = NULL;
    CHECK_FAILS(trd_translator_translate_file(translator, &files, &greedy, NULL), TRD_E_CANCELLED, "source, line 2: the detokenizer stopped");
    files.format = format;
    files.format_context = &w;
    w.stop_at = 3;
    CHECK_FAILS(trd_translator_score_file(translator, &files, NULL, NULL), TRD_E_CANCELLED, "line 3: ");
    CHECK_STRING(read_text("out"), "as before");
    w.stop_at = 0;
    CHECK_OK(trd_translator_score_file(translator, &files, NULL, NULL));
    CHECK_STRING(read_text("out"), "<2>\n<1>\n<1>\n");
    CHECK_FAILS(trd_pieces_add(NULL, "a", 1), TRD_E_INVALID, "pieces is NULL");
}

/* what is refused */

static void test_arguments(void)
{
    write_text("source", "c a t\n");
    const trd_file_options good = files_options("source", "source", "out");
    trd_file_options files = good;
    trd_decoding_options decoding = rig_options();
    CHECK_FAILS(trd_translator_translate_file(NULL, &files, NULL, NULL), TRD_E_INVALID, "translator is NULL");
    CHECK_FAILS(trd_translator_translate_file(translator, NULL, NULL, NULL), TRD_E_INVALID, "files is NULL");
    trd_execution_stats stats = { 0 };
    CHECK_FAILS(trd_translator_score_file(translator, &files, NULL, &stats), TRD_E_INVALID, "stats has no size");
#define REFUSED(change, text)                                                                                \
    do {                                                                                                     \
        files = good;                                                                                        \
        decoding = rig_options();                                                                            \
        change;                                                                                              \
        CHECK_FAILS(trd_translator_translate_file(translator, &files, &decoding, NULL), TRD_E_INVALID, text); \
    } while (0)
    REFUSED(files.source = NULL, "no source file");
    REFUSED(files.output = NULL, "no output file");
    REFUSED(files.source = files.target = "-", "only one of source and target");
    REFUSED(files.max_batch_size = 0, "max_batch_size is 0");
    REFUSED(files.max_batch_size = -1, "max_batch_size is -1");
    REFUSED(files.read_batch_size = -1, "read_batch_size is -1");
    REFUSED(files.output = files.source, "is both input and output");
    REFUSED(files.struct_size = 3, "trd_translator_translate_file");
    REFUSED(decoding.return_attention = true, "return_attention is not possible");
    REFUSED(decoding.return_logits = true, "return_logits is not possible");
    REFUSED(decoding.return_alternatives = true, "return_alternatives is not possible");
    REFUSED(decoding.patience = 0, "patience");
    files = good;
    files.target = NULL;
    CHECK_FAILS(trd_translator_score_file(translator, &files, NULL, NULL), TRD_E_INVALID, "no target file");
    trd_scoring_options scoring;
    trd_scoring_options_init(&scoring, sizeof scoring);
    scoring.offset = -1;
    CHECK_FAILS(trd_translator_score_file(translator, &good, &scoring, NULL), TRD_E_INVALID, "offset");
    CHECK_STRING(read_text("source"), "c a t\n");
}

/* Every failure leaves the earlier output and no other file. */
static void check_failure(const trd_file_options *files, trd_status status, const char *text)
{
    write_text("out", "as before");
    const int n = count_files();
    const trd_decoding_options greedy = files_greedy();
    trd_execution_stats stats = { .struct_size = sizeof stats };
    CHECK_FAILS(trd_translator_translate_file(translator, files, &greedy, &stats), status, text);
    CHECK_STRING(read_text("out"), "as before");
    CHECK_INT(count_files(), n);
}

static void test_failures(void)
{
    write_words("source", 60);
    write_words("short", 50);
    trd_file_options files = files_options("source", "short", "out");
    check_failure(&files, TRD_E_INVALID, "target file has less examples than the source");
    files.read_batch_size = 1;
    check_failure(&files, TRD_E_INVALID, "short ends after 50");
    files = files_options("none", NULL, "out");
    check_failure(&files, TRD_E_IO, "none: No such file");
    files = files_options("source", "none", "out");
    check_failure(&files, TRD_E_IO, "none: No such file");
    files = files_options(files_folder, NULL, "out");
    check_failure(&files, TRD_E_IO, "Is a directory (line 1)");
    files = files_options("source", NULL, files_folder);
    check_failure(&files, TRD_E_IO, "for writing: Is a directory");
    files = files_options("source", NULL, "none/out");
    check_failure(&files, TRD_E_IO, "cannot create a file beside");

    char text[4096];
    size_t used = 0;
    for (int i = 0; i < 7; i++) used += (size_t)snprintf(text + used, sizeof text - used, "c a t\n");
    for (int i = 0; i < 600; i++) used += (size_t)snprintf(text + used, sizeof text - used, "a ");
    (void)snprintf(text + used, sizeof text - used, "\nc a t\n");
    write_text("source", text);
    files = files_options("source", NULL, "out");
    check_failure(&files, TRD_E_UNSUPPORTED, "source, line 8: No position encodings");
}

/* A folder under /dev is one like others: what is there stays until the new file is whole. */
static void test_shared_memory(void)
{
    char path[] = "/dev/shm/treadle-test-files-XXXXXX";
    const int descriptor = mkstemp(path);
    if (descriptor < 0) return;
    CHECK_INT(write(descriptor, "old", 3), 3);
    write_words("source", 60);
    write_words("short", 50);
    const trd_decoding_options greedy = files_greedy();
    trd_file_options files = files_options("source", "short", path);
    files.read_batch_size = 1;
    CHECK_FAILS(trd_translator_translate_file(translator, &files, &greedy, NULL), TRD_E_INVALID, "short ends after 50");
    char text[8] = "";
    CHECK_INT(pread(descriptor, text, sizeof text, 0), 3);
    CHECK_STRING(text, "old");
    struct stat now;
    CHECK(stat(path, &now) == 0 && now.st_size == 3);

    files = files_options("source", NULL, path);
    CHECK_OK(trd_translator_translate_file(translator, &files, &greedy, NULL));
    CHECK(stat(path, &now) == 0 && now.st_size > 3 && (now.st_mode & 0777) == 0600);
    CHECK_INT(close(descriptor), 0);
    CHECK_INT(unlink(path), 0);
}

/* A new output has the usual mode, one that replaces another has that one's. */
static void test_modes(void)
{
    write_words("source", 3);
    (void)unlink(in_folder("out"));
    const trd_decoding_options greedy = files_greedy();
    const trd_file_options files = files_options("source", NULL, "out");
    struct stat now;
    const mode_t mask = umask(027);
    CHECK_OK(trd_translator_translate_file(translator, &files, &greedy, NULL));
    CHECK(stat(in_folder("out"), &now) == 0 && (now.st_mode & 07777) == 0640);
    CHECK_INT(chmod(in_folder("out"), 0606), 0);
    CHECK_OK(trd_translator_translate_file(translator, &files, &greedy, NULL));
    CHECK(stat(in_folder("out"), &now) == 0 && (now.st_mode & 07777) == 0606);
    (void)umask(mask);
}

static void test_full_disk(void)
{
    write_words("source", 2000);
    struct rlimit limit, small;
    CHECK_INT(getrlimit(RLIMIT_FSIZE, &limit), 0);
    small = limit;
    small.rlim_cur = 8192;
    CHECK(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    CHECK_INT(setrlimit(RLIMIT_FSIZE, &small), 0);
    const trd_file_options files = files_options("source", NULL, "out");
    check_failure(&files, TRD_E_IO, "cannot write ");
    CHECK(strstr(trd_last_error(), "(results of line ") != NULL);
    CHECK_INT(setrlimit(RLIMIT_FSIZE, &limit), 0);

    if (access("/dev/full", W_OK) != 0) return;
    const trd_file_options full = files_options("source", NULL, "/dev/full");
    check_failure(&full, TRD_E_IO, "cannot write /dev/full: No space left on device (results of line ");
}

/* stopping */

static atomic_int stop;

static void count_reports(void *context, const trd_progress *progress)
{
    int *n = context;
    (*n)++;
    CHECK(progress->struct_size == sizeof *progress && progress->n_done <= progress->n_examples);
}

/* Somebody stops the run at its 100th line. */
static bool cut_and_stop(void *context, const char *line, size_t bytes, trd_pieces *out)
{
    int *n_lines = context;
    if (++*n_lines == 100) atomic_store(&stop, 1);
    for (size_t i = 0; i < bytes; i += 2) CHECK_OK(trd_pieces_add(out, line + i, 1));
    return true;
}

static void test_stop(void)
{
    write_words("source", 1000);
    trd_file_options files = files_options("source", NULL, "out");
    int n = 0, n_lines = 0;
    files.stop = (const volatile int *)&stop;
    files.read_batch_size = 8;
    files.tokenize_source = cut_and_stop;
    files.tokenize_context = &n_lines;
    files.on_progress = count_reports;
    files.on_progress_context = &n;
    check_failure(&files, TRD_E_CANCELLED, "stopped after");
    CHECK(n >= 1);          /* at the end too */
    CHECK(n_lines < 200);   /* nothing is read after it but the rest of a chunk */
    check_failure(&files, TRD_E_CANCELLED, "stopped after 0 lines");   /* still set */
    atomic_store(&stop, 0);
    trd_translator_info info = { .struct_size = sizeof info };
    CHECK_OK(trd_translator_get_info(translator, &info));
    CHECK_INT(info.n_active, 0);
}

static void *stop_after_a_while(void *context)
{
    (void)context;
    (void)nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
    atomic_store(&stop, 1);
    return NULL;
}

/* Nobody ever opens the pipe to write. */
static void test_stop_while_waiting_for_input(void)
{
    CHECK_INT(mkfifo(in_folder("pipe"), 0600), 0);
    trd_file_options files = files_options("pipe", NULL, "out");
    files.stop = (const volatile int *)&stop;
    pthread_t thread;
    CHECK_INT(pthread_create(&thread, NULL, stop_after_a_while, NULL), 0);
    check_failure(&files, TRD_E_CANCELLED, "stopped after 0 lines");
    CHECK_INT(pthread_join(thread, NULL), 0);
    atomic_store(&stop, 0);
}

/* pipes */

static void *talk(void *context)
{
    char (*answers)[64] = context;
    FILE *const lines = fopen(in_folder("pipe"), "wb");
    FILE *const results = fopen(in_folder("results"), "rb");
    CHECK(lines != NULL && results != NULL);
    static const char *const said[] = { "c a t\n", "\n", "d o g\n" };
    for (int i = 0; i < 3; i++) {
        CHECK(fputs(said[i], lines) >= 0 && fflush(lines) == 0);
        CHECK(fgets(answers[i], 64, results) != NULL);      /* it comes before the next line */
    }
    CHECK(fputs("a", lines) >= 0 && fclose(lines) == 0);
    CHECK(fgets(answers[3], 64, results) != NULL);
    CHECK(fgetc(results) == EOF);
    CHECK_INT(fclose(results), 0);
    return NULL;
}

static void test_pipes(void)
{
    CHECK_INT(mkfifo(in_folder("results"), 0600), 0);
    trd_file_options files = files_options("pipe", NULL, "results");
    files.read_batch_size = 1;
    const trd_decoding_options greedy = files_greedy();
    char answers[4][64];
    pthread_t thread;
    CHECK_INT(pthread_create(&thread, NULL, talk, answers), 0);
    CHECK_OK(trd_translator_translate_file(translator, &files, &greedy, NULL));
    CHECK_INT(pthread_join(thread, NULL), 0);
    CHECK_STRING(answers[0], "K AE1 T\n");
    CHECK_STRING(answers[1], "\n");
    CHECK_STRING(answers[2], "D AO1 G\n");
    CHECK_STRING(answers[3], "EY1\n");
}

/* progress */

static void remember(void *context, const trd_progress *progress)
{
    trd_progress *last = context;
    CHECK(progress->n_done >= last->n_done && progress->n_bytes >= 0 && progress->n_bytes <= progress->n_total_bytes);
    *last = *progress;
}

static void test_progress(void)
{
    write_words("source", 100);
    trd_file_options files = files_options("source", NULL, "out");
    trd_progress last = { 0 };
    files.on_progress = remember;
    files.on_progress_context = &last;
    const trd_decoding_options greedy = files_greedy();
    trd_execution_stats stats = { .struct_size = sizeof stats };
    CHECK_OK(trd_translator_translate_file(translator, &files, &greedy, &stats));
    CHECK_INT(last.n_done, 100);
    CHECK_INT(last.n_examples, 100);
    CHECK_INT(last.n_tokens, stats.n_tokens);
    CHECK_INT(last.n_bytes, last.n_total_bytes);
    CHECK(last.tokens_per_second > 0);
}

/* The output's folder goes while the run is on. */
static bool cut_and_remove(void *context, const char *line, size_t bytes, trd_pieces *out)
{
    for (size_t i = 0; i < bytes; i += 2) CHECK_OK(trd_pieces_add(out, line + i, 1));
    DIR *const directory = opendir(context);
    if (directory == NULL) return true;
    char path[1200];
    for (struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory)) {
        (void)snprintf(path, sizeof path, "%s/%s", (char *)context, entry->d_name);
        if (entry->d_name[0] != '.') (void)unlink(path);
    }
    (void)closedir(directory);
    (void)rmdir(context);
    return true;
}

static void test_vanishing_folder(void)
{
    char folder[600];
    (void)snprintf(folder, sizeof folder, "%s", in_folder("sub"));
    CHECK_INT(mkdir(folder, 0700), 0);
    write_words("source", 10);
    trd_file_options files = files_options("source", NULL, "sub/out");
    files.tokenize_source = cut_and_remove;
    files.tokenize_context = folder;
    const trd_decoding_options greedy = files_greedy();
    CHECK_FAILS(trd_translator_translate_file(translator, &files, &greedy, NULL), TRD_E_IO, "cannot write file");
}

int main(void)
{
    CHECK(mkdtemp(files_folder) != NULL);
    CHECK(atexit(remove_files) == 0);
    (void)signal(SIGPIPE, SIG_IGN);
    translator = files_translator(2, 0);
    test_lines();
    test_huge_line();
    test_chunks();
    test_short_backlog();
    test_beside_callers();
    test_inside_callback();
    test_sampling();
    test_scoring();
    test_numbers();
    test_callbacks();
    test_arguments();
    test_failures();
    test_shared_memory();
    test_modes();
    test_full_disk();
    test_stop();
    test_stop_while_waiting_for_input();
    test_pipes();
    test_progress();
    test_vanishing_folder();
    trd_translator_destroy(translator);
    trdi_notifier_stop(INT64_C(60000000000));   /* it gives its references back after the callbacks */
    size_t bytes, blocks;
    trd_memory_in_use(&bytes, &blocks);
    CHECK_INT(blocks, 0);
    return 0;
}
