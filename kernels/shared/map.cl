/* y[r][c] = f(x[r][c]): 0 x * p;  1 p * tanh(x / p);  2 (x + z[r][c]) * p.
 * Shapes   x, y, z [n][width] with strides in elements; y may be x or z.
 * Launch   1-D, one group per row. */
#include "shim.h"
#include "math.h"

KERNEL trd_map(ARG(float, y), ARG(const float, x), ARG(const float, z), const int y_stride, const int x_stride, const int z_stride,
               const int width, const int function, const float p, const int n)
{
    OPEN(float, y);
    OPEN(const float, x);
    OPEN(const float, z);
    const int r = GROUP_ID;
    if (r >= n) return;
    for (int c = LOCAL_ID; c < width; c += GROUP_SIZE) {
        const float v = x[(i64)r * x_stride + c];
        float out = v * p;
        if (function == 1) out = p * trd_tanh(v / p);
        if (function == 2) out = (v + z[(i64)r * z_stride + c]) * p;
        y[(i64)r * y_stride + c] = out;
    }
}
