/* files_rig.h: a folder of files for the tests of file runs, the words of the small model inside, and what must come out. */
#ifndef TRD_TESTS_FILES_RIG_H
#define TRD_TESTS_FILES_RIG_H

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/api_rig.h"
#include "treadle/trd_file.h"

static char files_folder[] = "/tmp/treadle-test-files-run-XXXXXX";

/** Path of a name in the folder; four may be in use. */
static inline const char *in_folder(const char *name)
{
    static char paths[4][600];
    static int next;
    char *const path = paths[next++ % 4];
    (void)snprintf(path, sizeof paths[0], "%s/%s", files_folder, name);
    return path;
}

static inline const char *write_file(const char *name, const char *content, size_t bytes)
{
    const char *const path = in_folder(name);
    FILE *const file = fopen(path, "wb");
    CHECK(file != NULL);
    CHECK_INT(fwrite(content, 1, bytes, file), bytes);
    CHECK_INT(fclose(file), 0);
    return path;
}

static inline const char *write_text(const char *name, const char *content) { return write_file(name, content, strlen(content)); }

/** The whole of a file; one at a time. NULL: there is none. */
static inline const char *read_text(const char *name)
{
    static char text[1 << 20];
    FILE *const file = fopen(in_folder(name), "rb");
    if (file == NULL) return NULL;
    const size_t n = fread(text, 1, sizeof text - 1, file);
    text[n] = '\0';
    CHECK_INT(fclose(file), 0);
    return text;
}

static inline int count_files(void)
{
    DIR *const directory = opendir(files_folder);
    CHECK(directory != NULL);
    int n = -2;
    while (readdir(directory) != NULL) n++;
    (void)closedir(directory);
    return n;
}

static inline void remove_files(void)
{
    DIR *const directory = opendir(files_folder);
    CHECK(directory != NULL);
    for (struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory)) {
        if (entry->d_name[0] != '.' && unlink(in_folder(entry->d_name)) != 0) (void)rmdir(in_folder(entry->d_name));
    }
    (void)closedir(directory);
    (void)rmdir(files_folder);
}

static inline trd_translator *files_translator(int32_t workers, int32_t max_queued)
{
    trd_model *model;
    CHECK_OK(trd_model_open(rig_folder("TREADLE_TEST_MODELS", "g2p-en"), &model));
    trd_translator_options options;
    trd_translator_options_init(&options, sizeof options);
    options.inter_threads = workers;
    options.intra_threads = 1;
    options.max_queued_batches = max_queued;
    options.max_batch_rows = 16;
    options.cache_dir = "";
    trd_translator *translator;
    CHECK_OK(trd_translator_create(model, &options, &translator));
    trd_model_close(model);
    return translator;
}

/** Options for these files of the folder; target may be NULL. */
static inline trd_file_options files_options(const char *source, const char *target, const char *output)
{
    static char paths[3][256];
    trd_file_options files;
    trd_file_options_init(&files, sizeof files);
    const char *const names[] = { source, target, output };
    for (int i = 0; i < 3; i++) {
        if (names[i] == NULL) continue;
        const bool whole = names[i][0] == '/' || strcmp(names[i], "-") == 0;
        (void)snprintf(paths[i], sizeof paths[i], "%s%s%s", whole ? "" : files_folder, whole ? "" : "/", names[i]);
    }
    files.source = paths[0];
    files.target = target != NULL ? paths[1] : NULL;
    files.output = paths[2];
    return files;
}

static inline trd_decoding_options files_greedy(void)
{
    trd_decoding_options options = rig_options();
    options.beam_size = 1;
    return options;
}

#endif
