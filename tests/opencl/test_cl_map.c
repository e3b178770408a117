/* test_cl_map.c: the element-wise operation on OpenCL. */
#include "opencl/cl_rig.h"

static void check(cl_rig *r, trdi_map_function function, int64_t n, int64_t width, bool in_place)
{
    float *x = cl_rig_floats(r, n * (width + 3)), *z = cl_rig_floats(r, n * (width + 1));
    float *y = in_place ? x : cl_rig_poisoned(r, n * (width + 2));
    for (int64_t i = 0; i < n * (width + 3); i++) x[i] *= 8.0f;
    const trdi_op op = { .kind = TRDI_OP_MAP, .count = TRDI_COUNT_TOKENS, .u.map = {
        .function = function, .x = cl_span(x), .z = cl_span(z), .y = cl_span(y), .width = width, .x_stride = width + 3, .z_stride = width + 1,
        .y_stride = in_place ? width + 3 : width + 2, .parameter = 1.75f } };
    CHECK_OK(cl_rig_run(r, &op, n));
    cl_rig_reference(&op, n);
    cl_rig_check(r, "map", y, n * (in_place ? width + 3 : width + 2), 4e-7);
    cl_rig_clear(r);
}

static void test(cl_rig *r)
{
    static const int64_t sizes[][2] = { { 1, 1 }, { 3, 7 }, { 2, 16 }, { 5, 255 }, { 1, 257 }, { 9, 1000 } };
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (int function = TRDI_MAP_SCALE; function <= TRDI_MAP_ADD; function++) {
            check(r, (trdi_map_function)function, sizes[i][0], sizes[i][1], false);
            check(r, (trdi_map_function)function, sizes[i][0], sizes[i][1], true);
        }
    }
}

int main(void)
{
    cl_rig_each("map", test);
    return 0;
}
