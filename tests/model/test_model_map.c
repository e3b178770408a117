/*
 * test_model_map.c: models in folders: what is said about files that are not there, the payload map that comes and goes, a file that is
 * replaced meanwhile, and the time to open a large model.
 */
#include <dirent.h>
#include <pthread.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/threads.h"
#include "model/model_private.h"
#include "model_builder.h"

static char root[256];

static const char *path_of(const char *name)
{
    static char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", root, name);
    return path;
}

static void write_file(const char *name, const void *data, size_t bytes)
{
    FILE *stream = fopen(path_of(name), "wb");
    CHECK(stream != NULL);
    CHECK(fwrite(data, 1, bytes, stream) == bytes);
    CHECK(fclose(stream) == 0);
}

static void write_model(const model_builder *b)
{
    built_file file;
    builder_write(b, &file);
    write_file("model.bin", file.data, file.bytes);
    write_file("config.json", b->config, strlen(b->config));
    for (size_t i = 0; i < b->n_vocabularies; i++) write_file(b->vocabulary_name[i], b->vocabulary[i], strlen(b->vocabulary[i]));
    built_file_free(&file);
}

static void remove_files(void)
{
    static const char *const names[] = { "model.bin", "config.json", "source_vocabulary.json", "target_vocabulary.json" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (remove(path_of(names[i])) != 0) (void)rmdir(path_of(names[i]));
    }
}

static void check_missing(void)
{
    static model_builder b;
    trd_model *model;
    CHECK_FAILS(trd_model_open("/no/such/folder", &model), TRD_E_IO, "cannot open file '/no/such/folder/model.bin'");
    CHECK(model == NULL);
    CHECK_FAILS(trd_model_open(root, &model), TRD_E_IO, "cannot open file");
    CHECK(!trd_model_exists(root) && !trd_model_exists("/no/such/folder") && !trd_model_exists(NULL));
    CHECK(mkdir(path_of("model.bin"), 0700) == 0);
    CHECK_FAILS(trd_model_open(root, &model), TRD_E_IO, "cannot open file");
    CHECK(!trd_model_exists(root));
    remove_files();
    write_file("model.bin", "", 0);
    CHECK(trd_model_exists(root));
    CHECK_FAILS(trd_model_open(root, &model), TRD_E_FORMAT, "the binary version needs 4 bytes at position 0, 0 are left");
    builder_pair(&b);
    write_model(&b);
    CHECK(remove(path_of("target_vocabulary.json")) == 0);
    CHECK_FAILS(trd_model_open(root, &model), TRD_E_IO, "target vocabulary");
    CHECK(mkdir(path_of("target_vocabulary.json"), 0700) == 0);
    CHECK_FAILS(trd_model_open(root, &model), TRD_E_IO, "cannot open file");
    remove_files();
    const trd_file files[] = { { "config.json", "{}", 2 }, { "model.bin", NULL, 4 }, { NULL, "", 0 } };
    CHECK_FAILS(trd_model_open_files("m", files, 1, &model), TRD_E_IO, "cannot open file 'm/model.bin'");
    CHECK_FAILS(trd_model_open_files("m", files, 2, &model), TRD_E_INVALID, "the data of 'model.bin' are NULL");
    CHECK_FAILS(trd_model_open_files("m", files + 2, 1, &model), TRD_E_INVALID, "file 0 has no name");
    CHECK_FAILS(trd_model_open_files(NULL, files, 1, &model), TRD_E_INVALID, "name is NULL");
    CHECK_FAILS(trd_model_open_files("m", NULL, 0, &model), TRD_E_INVALID, "files is NULL");
    CHECK_FAILS(trd_model_open(NULL, &model), TRD_E_INVALID, "path is NULL");
    CHECK_FAILS(trd_model_open(root, NULL), TRD_E_INVALID, "out is NULL");
    trd_model_close(NULL);
}

static void check_unmapped(trd_model *model, int64_t n)
{
    CHECK(model->encoder.embeddings[0]->data == NULL);
    CHECK_INT(trd_model_tensor_count(model), n);
    int n_heads_seen = 0;
    for (int64_t i = 0; i < n; i++) {
        trd_model_tensor tensor = { .struct_size = sizeof tensor };
        CHECK_OK(trd_model_get_tensor(model, i, &tensor));
        CHECK(tensor.name[0] != '\0' && tensor.rank >= 0 && tensor.rank <= 2);
        if (strcmp(tensor.name, "encoder/num_heads") == 0) {    /* scalars stay when the weights are unmapped */
            CHECK_NEAR(tensor.value, 2.0, 0.0);
            n_heads_seen++;
        }
    }
    CHECK_INT(n_heads_seen, 1);
    trd_model_info info = { .struct_size = sizeof info };
    CHECK_OK(trd_model_get_info(model, &info));
    CHECK_INT(info.d_model, 8);
}

static void check_map(void)
{
    static model_builder b;
    trd_model *model;
    builder_pair(&b);
    write_model(&b);
    CHECK_OK(trd_model_open(root, &model));
    CHECK_STRING(model->binary_path, path_of("model.bin"));
    const int64_t n = trd_model_tensor_count(model);
    const trdi_tensor *table = model->encoder.embeddings[0];
    float value;
    for (int round = 0; round < 3; round++) {
        CHECK_OK(trdi_model_map(model));
        CHECK_OK(trdi_model_map(model));
        trdi_model_unmap(model);    /* one user is left */
        trdi_tensor_read_f32(table, 47, 1, &value);
        CHECK_NEAR(value, 0.125, 0.0);
        trdi_model_unmap(model);
        check_unmapped(model, n);
        trdi_model_unmap(model);    /* once too often does nothing */
        check_unmapped(model, n);
    }
    builder_set(&b, "encoder/layer_norm/gamma", 0, 1, 8, 1, 7.0);
    const struct timespec pause = { 0, 20 * 1000 * 1000 };
    (void)nanosleep(&pause, NULL);
    write_model(&b);    /* as long as before, but not the file that was checked */
    CHECK_FAILS(trdi_model_map(model), TRD_E_IO, "has changed since the model was opened");
    check_unmapped(model, n);
    remove_files();
    CHECK_FAILS(trdi_model_map(model), TRD_E_IO, "cannot open file");
    check_unmapped(model, n);
    CHECK(trdi_model_retain(model) == model);
    trd_model_close(model);
    check_unmapped(model, n);
    trd_model_close(model);
}

static void check_memory_model(void)
{
    static model_builder b;
    trd_model *model;
    builder_pair(&b);
    CHECK_OK(builder_open(&b, &model));
    CHECK(model->binary_path == NULL);
    trdi_model_unmap(model);
    CHECK_OK(trdi_model_map(model));
    trdi_model_unmap(model);
    float value;
    trdi_tensor_read_f32(model->encoder.embeddings[0], 47, 1, &value);
    CHECK_NEAR(value, 0.125, 0.0);
    trd_model_close(model);
}

static void *use_map(void *argument)
{
    trd_model *model = argument;
    for (int i = 0; i < 2000; i++) {
        float value = 0.0f;
        CHECK_OK(trdi_model_map(model));
        trdi_tensor_read_f32(model->encoder.embeddings[0], i % 48, 1, &value);
        CHECK_NEAR(value, 0.125, 0.0);
        trdi_model_unmap(model);
    }
    trd_model_close(model);
    return NULL;
}

static void check_threads(void)
{
    static model_builder b;
    trd_model *model;
    builder_pair(&b);
    write_model(&b);
    CHECK_OK(trd_model_open(root, &model));
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) CHECK(pthread_create(&threads[i], NULL, use_map, trdi_model_retain(model)) == 0);
    trd_model_close(model);
    for (int i = 0; i < 4; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    remove_files();
}

/* 300 MB of f32 in one table, written as a hole. Best of three, because the machine may be busy. */
static void check_large(void)
{
    static model_builder b;
    built_file file;
    builder_pair(&b);
    builder_remove(&b, "encoder/embeddings_0/weight");
    builder_set(&b, "encoder/embeddings_0/weight", 0, 2, 6, 8, 0.0);
    builder_write(&b, &file);
    const char name[] = "encoder/embeddings_0/weight";
    size_t at = 0;
    while (memcmp(file.data + at, name, sizeof name) != 0) at++;
    const uint32_t rows = 9375000, bytes = rows * 32;    /* 300,000,000 bytes */
    memcpy(file.data + at + sizeof name + 1, &rows, 4);
    memcpy(file.data + at + sizeof name + 10, &bytes, 4);
    const size_t payload = at + sizeof name + 14, rest = payload + 6 * 32;
    write_model(&b);
    FILE *stream = fopen(path_of("model.bin"), "wb");
    CHECK(stream != NULL && fwrite(file.data, 1, payload, stream) == payload);
    CHECK(fseek(stream, (long)bytes, SEEK_CUR) == 0 && fwrite(file.data + rest, 1, file.bytes - rest, stream) == file.bytes - rest && fclose(stream) == 0);
    double best = 1e9;
    for (int i = 0; i < 3; i++) {
        trd_model *model;
        const int64_t start = trdi_now_ns();
        CHECK_OK(trd_model_open(root, &model));
        const double took = (double)(trdi_now_ns() - start) * 1e-6;
        if (took < best) best = took;
        CHECK_INT(model->encoder.embeddings[0]->dims[0], rows);
        trd_model_close(model);
    }
    printf("a model of 300 MB in f32 opened in %.2f ms\n", best);
    CHECK(best < 50.0);
    built_file_free(&file);
    remove_files();
}

int main(void)
{
    const char *temporary = getenv("TMPDIR");
    (void)snprintf(root, sizeof root, "%s/trd-test-map-XXXXXX", temporary != NULL ? temporary : "/tmp");
    CHECK(mkdtemp(root) != NULL);
    check_missing();
    check_map();
    check_memory_model();
    check_threads();
    check_large();
    CHECK(rmdir(root) == 0);
    size_t blocks;
    trd_memory_in_use(NULL, &blocks);
    CHECK_INT(blocks, 0);
    return 0;
}
