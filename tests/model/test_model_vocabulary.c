/* test_model_vocabulary.c: vocabulary files, JSON and text, and vmap.txt: what each byte means, and what is refused. */
#include "model/model_private.h"
#include "model_builder.h"

static trdi_model_file file_of(const char *text, size_t bytes)
{
    static char label[] = "built/vocabulary";
    return (trdi_model_file){ .label = label, .data = (const uint8_t *)text, .bytes = bytes };
}

static const trdi_token unk = { (char *)(uintptr_t)"<unk>", 5 };

static trdi_vocabulary *from_text(const char *text, size_t bytes)
{
    const trdi_model_file file = file_of(text, bytes);
    trdi_vocabulary *v;
    CHECK_OK(trdi_vocabulary_from_text(&file, &unk, &v));
    return v;
}

static trd_status from_json(const char *text, trdi_vocabulary **out)
{
    const trdi_model_file file = file_of(text, strlen(text));
    return trdi_vocabulary_from_json(&file, &unk, out);
}

/* Tokens of a vocabulary joined by '|'. */
static const char *joined(const trdi_vocabulary *v)
{
    static char text[512];
    size_t at = 0;
    for (int64_t i = 0; i < trdi_vocabulary_size(v); i++) {
        size_t bytes;
        const char *token = trdi_vocabulary_token(v, i, &bytes);
        CHECK(token != NULL && token[bytes] == '\0' && at + bytes + 2 < sizeof text);
        if (i != 0) text[at++] = '|';
        memcpy(text + at, token, bytes);
        at += bytes;
    }
    text[at] = '\0';
    return text;
}

static void check_text(void)
{
    static const struct { const char *text, *tokens; } rows[] = {
        { "", "<unk>" },
        { "a", "a|<unk>" },
        { "a\n", "a|<unk>" },
        { "a\n\n", "a||<unk>" },
        { "\n", "|<unk>" },
        { "a\nb", "a|b|<unk>" },
        { " a \nb", " a |b|<unk>" },
        { "<unk>\na\n", "<unk>|a" },
        { "a\r\nb\r\n", "a|b|<unk>" },
        { "a\r\nb\r", "a|b|<unk>" },
        { "a\r\nb\n", "a\r|b|<unk>" },
        { "\r\n\r\n", "||<unk>" },
        { "a\r\n\n", "a\r||<unk>" },
        { "<unk>\r\nb\n", "<unk>\r|b|<unk>" },
        { "\xff\xc3\nb\n", "\xff\xc3|b|<unk>" },
        { "x\ny\nx\n", "x|y|x|<unk>" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        trdi_vocabulary *v = from_text(rows[i].text, strlen(rows[i].text));
        CHECK_STRING(joined(v), rows[i].tokens);
        trdi_vocabulary_destroy(v);
    }
    trdi_vocabulary *v = from_text("x\ny\nx\na\0b\n", 10);
    CHECK_INT(trdi_vocabulary_id(v, "x", 1), 0);
    CHECK_STRING(trdi_vocabulary_token(v, 2, NULL), "x");
    CHECK_INT(trdi_vocabulary_id(v, "a\0b", 3), 3);
    CHECK_INT(trdi_vocabulary_id(v, "a", 1), -1);
    CHECK_INT(trdi_vocabulary_id(v, "", 0), -1);
    CHECK(trdi_vocabulary_token(v, -1, NULL) == NULL && trdi_vocabulary_token(v, INT64_MAX, NULL) == NULL);
    trdi_vocabulary_destroy(v);
    const trdi_token none = { (char *)(uintptr_t)"", 0 };
    const trdi_model_file file = file_of("a\nb\n", 4);
    CHECK_OK(trdi_vocabulary_from_text(&file, &none, &v));    /* an empty unknown token goes past the last row */
    CHECK_INT(trdi_vocabulary_size(v), 3);
    CHECK_INT(trdi_vocabulary_id(v, "", 0), 2);
    trdi_vocabulary_destroy(v);
}

static void check_json(void)
{
    static const struct { const char *text, *part; } bad[] = {
        { "", "line" }, { "{}", "array of strings" }, { "null", "line" }, { "[", "line" }, { "[\"a\"", "line" }, { "[\"a\",]", "line" },
        { "[\"a\", 1]", "element 1 is not a string" }, { "[[\"a\"]]", "element 0 is not a string" }, { "[null]", "element 0" },
        { "[\"a\"] []", "line" }, { "{\"a\": 0}", "array of strings" }, { "[\"\xff\"]", "line" }, { "[\"\\ud800\"]", "line" }, { "['a']", "line" },
        { "[\"a\nb\"]", "line" }, { "[\"\\x\"]", "line" }, { "{\"a\": 1, \"a\": 2}", "duplicate" }, { "[\"\xc0\x80\"]", "line" }, { "[\"\xed\xa0\x80\"]", "line" },
    };
    trdi_vocabulary *v;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK_FAILS(from_json(bad[i].text, &v), TRD_E_FORMAT, bad[i].part);
        CHECK(v == NULL && strstr(trd_last_error(), "built/vocabulary") != NULL);
    }
    static const size_t depths[] = { 100, 2047, 2049, 200000 };
    for (size_t i = 0; i < sizeof depths / sizeof depths[0]; i++) {
        char *deep = malloc(2 * depths[i] + 1);
        CHECK(deep != NULL);
        memset(deep, '[', depths[i]);
        memset(deep + depths[i], ']', depths[i]);
        deep[2 * depths[i]] = '\0';
        CHECK_FAILS(from_json(deep, &v), TRD_E_FORMAT, depths[i] > 2048 ? "depth" : "element 0");
        free(deep);
    }
    CHECK_OK(from_json("[\"\\u0000\", \"\\ud83d\\ude00\", \"a\\nb\", \"\", \"<unk>\"]", &v));
    CHECK_INT(trdi_vocabulary_size(v), 5);
    CHECK_INT(trdi_vocabulary_id(v, "", 1), 0);    /* the one byte is NUL */
    CHECK_INT(trdi_vocabulary_id(v, "\xf0\x9f\x98\x80", 4), 1);
    CHECK_INT(trdi_vocabulary_id(v, "a\nb", 3), 2);
    CHECK_INT(trdi_vocabulary_id(v, "", 0), 3);
    trdi_vocabulary_destroy(v);
    CHECK_OK(from_json("[]", &v));
    CHECK_STRING(joined(v), "<unk>");
    trdi_vocabulary_destroy(v);
    const trdi_model_file huge = { .label = file_of("", 0).label, .data = (const uint8_t *)"[]", .bytes = ((size_t)64 << 20) + 1 };
    CHECK_FAILS(trdi_vocabulary_from_json(&huge, &unk, &v), TRD_E_FORMAT, "at most 67108864");
}

static void check_ids(const int32_t *ids, int64_t n, const int32_t *wanted, int64_t n_wanted)
{
    CHECK_INT(n, n_wanted);
    for (int64_t i = 0; i < n; i++) CHECK_INT(ids[i], wanted[i]);
}

static void check_map(void)
{
    trdi_vocabulary *target = from_text("<unk>\nx\ny\nz\n", 12);
    static const char text[] = "a\tx y\r\n\tz\na b c\ty nobody\n\nb\t\na\tz\n\tx";
    const trdi_model_file file = file_of(text, sizeof text - 1);
    trdi_vocabulary_map *map;
    CHECK_OK(trdi_vocabulary_map_read(&file, target, 0, &map));
    CHECK(map != NULL);
    CHECK_INT(trdi_vocabulary_map_max_order(map), 3);
    int64_t n;
    const int32_t *ids = trdi_vocabulary_map_always(map, &n);
    check_ids(ids, n, (const int32_t[]){ 3, 1 }, 2);
    ids = trdi_vocabulary_map_find(map, "a", 1, &n);
    check_ids(ids, n, (const int32_t[]){ 1, 2, 3 }, 3);
    ids = trdi_vocabulary_map_find(map, "a b c", 5, &n);
    check_ids(ids, n, (const int32_t[]){ 2, 0 }, 2);
    CHECK(trdi_vocabulary_map_find(map, "b", 1, &n) == NULL && n == 0);
    CHECK(trdi_vocabulary_map_find(map, "a b", 3, &n) == NULL && n == 0);
    trdi_vocabulary_map_destroy(map);
    static const char *const empty[] = { "", "\n", "\r\n\r\n", "\t\n" };
    for (size_t i = 0; i < sizeof empty / sizeof empty[0]; i++) {
        const trdi_model_file none = file_of(empty[i], strlen(empty[i]));
        CHECK_OK(trdi_vocabulary_map_read(&none, target, 0, &map));
        CHECK(map == NULL);
    }
    const trdi_model_file always = file_of("\ty\n", 3), bad = file_of("a\tx\nb x\n", 8);
    CHECK_OK(trdi_vocabulary_map_read(&always, target, 0, &map));
    CHECK_INT(trdi_vocabulary_map_max_order(map), 0);
    trdi_vocabulary_map_destroy(map);
    CHECK_FAILS(trdi_vocabulary_map_read(&bad, target, 0, &map), TRD_E_FORMAT, "line 2 has no TAB");
    CHECK(map == NULL);
    trdi_vocabulary_destroy(target);
}

/* Which files are looked for, and in which order. */
static void check_files(void)
{
    static model_builder b;
    trd_model *model;
    builder_pair(&b);
    (void)snprintf(b.vocabulary_name[0], 40, "source_1_vocabulary.json");
    CHECK_OK(builder_open(&b, &model));
    CHECK_INT(model->n_source_vocabularies, 1);
    trd_model_close(model);
    (void)snprintf(b.vocabulary_name[0], 40, "source_2_vocabulary.json");
    CHECK_FAILS(builder_open(&b, &model), TRD_E_IO, "source vocabulary");
    (void)snprintf(b.vocabulary_name[0], 40, "source_vocabulary.json");
    (void)snprintf(b.vocabulary_name[1], 40, "vocabulary.json");
    CHECK_FAILS(builder_open(&b, &model), TRD_E_IO, "target vocabulary");
    (void)snprintf(b.vocabulary_name[1], 40, "shared_vocabulary.json");
    CHECK_OK(builder_open(&b, &model));
    CHECK(model->source[0] == model->target);
    CHECK_INT(trd_model_vocabulary_size(model, TRD_VOCABULARY_SOURCE), 5);
    CHECK_INT(model->source_ids.eos, 2);
    trd_model_close(model);
    builder_decoder(&b);
    b.n_vocabularies = 0;
    CHECK_FAILS(builder_open(&b, &model), TRD_E_IO, "neither vocabulary.json nor vocabulary.txt");
}

/* Vocabularies need not be as long as the tables; ids are checked when tokens are fed. */
static void check_lengths(void)
{
    static const char *const texts[] = { "[]", "[\"<s>\"]", "[\"a\", \"b\", \"c\", \"d\", \"e\", \"f\", \"g\", \"h\", \"i\"]" };
    static const int64_t sizes[] = { 1, 2, 10 };
    static model_builder b;
    for (int i = 0; i < 3; i++) {
        trd_model *model;
        builder_pair(&b);
        (void)snprintf(b.vocabulary[0], 512, "%s", texts[i]);
        (void)snprintf(b.vocabulary[1], 512, "%s", texts[i]);
        CHECK_OK(builder_open(&b, &model));
        CHECK_INT(trd_model_vocabulary_size(model, TRD_VOCABULARY_SOURCE), sizes[i]);
        CHECK_INT(trd_model_vocabulary_size(model, TRD_VOCABULARY_TARGET), sizes[i]);
        CHECK_INT(model->target_ids.unk, sizes[i] - 1);
        CHECK_INT(model->target_ids.eos, sizes[i] - 1);    /* a token the vocabulary lacks is the unknown one */
        CHECK_INT(model->decoder_start_id, i == 1 ? 0 : sizes[i] - 1);
        trd_model_close(model);
    }
}

/* Lines of two n-grams in turn: what they add up to takes memory in proportion to the file. */
static void check_alternating_map(void)
{
    enum { LINES = 20000, LINE_BYTES = 4 };
    static char text[LINES * LINE_BYTES + 1];
    for (int i = 0; i < LINES; i++) memcpy(text + i * LINE_BYTES, i % 2 == 0 ? "a\tx\n" : "b\ty\n", LINE_BYTES + 1);
    trdi_vocabulary *target = from_text("<unk>\nx\ny\n", 10);
    const trdi_model_file file = file_of(text, LINES * LINE_BYTES);
    size_t before, after;
    trd_memory_in_use(&before, NULL);
    trdi_vocabulary_map *map;
    CHECK_OK(trdi_vocabulary_map_read(&file, target, 0, &map));
    trd_memory_in_use(&after, NULL);
    CHECK(after - before < 20 * sizeof text);
    for (int k = 0; k < 2; k++) {
        int64_t n;
        const int32_t *ids = trdi_vocabulary_map_find(map, k == 0 ? "a" : "b", 1, &n);
        CHECK_INT(n, LINES / 2);
        for (int64_t i = 0; i < n; i++) CHECK_INT(ids[i], k + 1);
    }
    trdi_vocabulary_map_destroy(map);
    trdi_vocabulary_destroy(target);
}

int main(void)
{
    check_text();
    check_json();
    check_map();
    check_alternating_map();
    check_files();
    check_lengths();
    size_t blocks;
    trd_memory_in_use(NULL, &blocks);
    CHECK_INT(blocks, 0);
    return 0;
}
