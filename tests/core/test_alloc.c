/* test_alloc.c: memory of the library: alignment, counting, overflow, growth, and replacing the allocator. */
#include "check.h"
#include "core/alloc.h"
#include "scarce.h"

static void check_held(size_t bytes, size_t blocks)
{
    size_t held_bytes = 1, held_blocks = 1;
    trd_memory_in_use(&held_bytes, &held_blocks);
    CHECK_INT(held_bytes, bytes);
    CHECK_INT(held_blocks, blocks);
    trd_memory_in_use(NULL, NULL);
}

static void test_blocks(void)
{
    static const size_t sizes[] = { 0, 1, 63, 64, 65, 4096, 1 << 20 };
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char *const memory = trdi_alloc(sizes[i]);
        CHECK(memory != NULL && (uintptr_t)memory % 64 == 0);
        memset(memory, 0xab, sizes[i]);
        check_held(sizes[i], 1);
        trdi_free(memory);
        char *const zeros = trdi_calloc(sizes[i], 1);
        CHECK(zeros != NULL);
        for (size_t j = 0; j < sizes[i]; j++) CHECK(zeros[j] == 0);
        trdi_free(zeros);
        check_held(0, 0);
    }
    trdi_free(NULL);
    char *const copy = trdi_strndup("abcdef", 3);
    CHECK_STRING(copy, "abc");
    trdi_free(copy);
    char *const empty = trdi_strndup(NULL, 0);
    CHECK_STRING(empty, "");
    trdi_free(empty);
    check_held(0, 0);
}

static void test_overflow(void)
{
    static const struct {
        size_t a, b;
        bool   fits;
    } cases[] = {
        { 0, 0, true },
        { 0, SIZE_MAX, true },
        { SIZE_MAX, 0, true },
        { SIZE_MAX, 1, true },
        { 1, SIZE_MAX, true },
        { SIZE_MAX / 2, 2, true },
        { SIZE_MAX / 2 + 1, 2, false },
        { 2, SIZE_MAX / 2 + 1, false },
        { SIZE_MAX, SIZE_MAX, false },
        { (size_t)1 << 32, (size_t)1 << 32, false },
        { ((size_t)1 << 32) - 1, ((size_t)1 << 32) + 1, true },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t product = 77;
        CHECK(trdi_mul_size(cases[i].a, cases[i].b, &product) == cases[i].fits);
        if (cases[i].fits) CHECK(product == cases[i].a * cases[i].b);
        else CHECK_INT(product, 77);
    }
    CHECK(trdi_calloc(SIZE_MAX / 2 + 1, 2) == NULL);
    for (size_t less = 0; less < 200; less++) {
        CHECK(trdi_alloc(SIZE_MAX - less) == NULL);
        CHECK(trdi_calloc(SIZE_MAX - less, 1) == NULL);
    }
    CHECK(trdi_strndup("x", SIZE_MAX) == NULL);
    check_held(0, 0);
}

static void test_reserve(void)
{
    void *array = NULL;
    size_t capacity = 0;
    CHECK(trdi_reserve(&array, &capacity, 0, 4));
    CHECK(array == NULL);
    size_t n_grown = 0;
    for (size_t n = 1; n <= 10000; n++) {
        const size_t before = capacity;
        CHECK(trdi_reserve(&array, &capacity, n, sizeof(uint32_t)));
        CHECK(capacity >= n);
        n_grown += capacity != before;
        ((uint32_t *)array)[n - 1] = (uint32_t)(n * 7);
    }
    for (size_t n = 1; n <= 10000; n++) CHECK_INT(((uint32_t *)array)[n - 1], n * 7);
    CHECK(n_grown < 30);
    const size_t kept = capacity;
    void *const kept_array = array;
    CHECK(!trdi_reserve(&array, &capacity, SIZE_MAX / 2, sizeof(uint32_t)));
    CHECK(!trdi_reserve(&array, &capacity, SIZE_MAX, 1));
    CHECK(capacity == kept && array == kept_array);
    CHECK_INT(((uint32_t *)array)[9999], 70000);
    trdi_free(array);
    check_held(0, 0);
}

static void test_replace(void)
{
    trd_allocator broken = scarce_allocator;
    broken.alloc = NULL;
    CHECK_FAILS(trd_allocator_set(&broken), TRD_E_INVALID, "alloc is NULL");
    broken = scarce_allocator;
    broken.free = NULL;
    CHECK_FAILS(trd_allocator_set(&broken), TRD_E_INVALID, "free is NULL");

    void *const held = trdi_alloc(10);
    CHECK_FAILS(trd_allocator_set(&scarce_allocator), TRD_E_STATE, "holds 1 blocks");
    CHECK_FAILS(trd_allocator_set(NULL), TRD_E_STATE, "holds 1 blocks");
    trdi_free(held);

    CHECK_OK(trd_allocator_set(&scarce_allocator));
    scarce_allow(2);
    void *array = NULL;
    size_t capacity = 0;
    CHECK(trdi_reserve(&array, &capacity, 8, 1));
    memcpy(array, "1234567", 8);
    void *const second = trdi_alloc(1);
    CHECK(second != NULL);
    CHECK(trdi_alloc(1) == NULL);
    CHECK(trdi_calloc(1, 1) == NULL);
    CHECK(trdi_strndup("a", 1) == NULL);
    void *const before = array;
    CHECK(!trdi_reserve(&array, &capacity, 1000, 1));
    CHECK(array == before);
    CHECK_INT(capacity, 8);
    CHECK_STRING(array, "1234567");
    CHECK_INT(scarce_asked, 6);
    trdi_free(array);
    trdi_free(second);
    check_held(0, 0);
    CHECK_OK(trd_allocator_set(NULL));
    void *const plain = trdi_alloc(1);
    CHECK(plain != NULL);
    CHECK_INT(scarce_asked, 6);
    trdi_free(plain);
}

int main(void)
{
    test_blocks();
    test_overflow();
    test_reserve();
    test_replace();
    return 0;
}
