/* What all functions for one instruction set are made of (native.c). A row's numbers do not depend
 * on the rows beside it. Matrices are (rows, stride) of which the first numbers of a row are meant.
 *
 * SUFFIX of the names, TARGET attribute, LANES: floats of a vector.
 */

typedef float OWN(Vector) __attribute__((vector_size(4 * LANES)));
typedef int32_t OWN(Integers) __attribute__((vector_size(4 * LANES)));
#define Vector OWN(Vector)
#define Integers OWN(Integers)
#define INLINE TARGET static inline __attribute__((always_inline))

INLINE Vector OWN(load)(const float *from)
{
    Vector value;
    memcpy(&value, from, sizeof value);
    return value;
}

/* Lane by lane a where `which` is set, b where it is not. */
INLINE Vector OWN(pick)(Integers which, Vector a, Vector b)
{
    return (Vector)((which & (Integers)a) | (~which & (Integers)b));
}

/* |x| */
INLINE Vector OWN(size)(Vector x) { return (Vector)((Integers)x & 0x7fffffff); }

INLINE void OWN(store)(float *to, Vector value) { memcpy(to, &value, sizeof value); }

TARGET static void OWN(add)(float *restrict to, const float *restrict from, long count)
{
    for (long i = 0; i < count; i++) to[i] += from[i];
}

/* `rows` rows by `width` vectors of y; both are constants where this is called. */
INLINE void OWN(tile)(const Layer *layer, const float *x, int x_stride, float *y, int y_stride,
                      int o, int add, const int rows, const int width)
{
    Vector sums[2 * TILE][2];
    const float *weight = layer->weight + o;
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < width; v++) sums[r][v] = OWN(load)(layer->bias + o + v * LANES);
    for (int i = 0; i < layer->inputs; i++, weight += layer->stride)
        for (int r = 0; r < rows; r++)
            for (int v = 0; v < width; v++)
                sums[r][v] += x[r * x_stride + i] * OWN(load)(weight + v * LANES);
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < width; v++) {
            float *to = y + r * y_stride + o + v * LANES;
            int left = layer->outputs - o - v * LANES;
            if (left >= LANES)
                OWN(store)(to, add ? OWN(load)(to) + sums[r][v] : sums[r][v]);
            else
                for (int j = 0; j < left; j++) to[j] = add ? to[j] + sums[r][v][j] : sums[r][v][j];
        }
}

/* All rows by `width` vectors of y, two tiles at a time where registers hold their sums. */
INLINE void OWN(tiles)(const Layer *layer, int rows, const float *x, int x_stride, float *y,
                       int y_stride, int o, int add, const int width)
{
    for (int r = 0; r < rows;) {
        const float *from = x + r * x_stride;
        float *to = y + r * y_stride;
        if (LANES == WIDEST && rows - r > TILE) {
            OWN(tile)(layer, from, x_stride, to, y_stride, o, add, 2 * TILE, width);
            r += 2 * TILE;
        } else {
            OWN(tile)(layer, from, x_stride, to, y_stride, o, add, TILE, width);
            r += TILE;
        }
    }
}

/* y (rows, outputs) = [y +] W x + b. Rows are rounded up to a multiple of TILE: y has room. */
TARGET static void OWN(apply)(const Layer *layer, int rows, const float *x, int x_stride, float *y,
                              int y_stride, int add)
{
    int o = 0;
    for (; o + LANES < layer->outputs; o += 2 * LANES)
        OWN(tiles)(layer, rows, x, x_stride, y, y_stride, o, add, 2);
    if (o < layer->outputs) OWN(tiles)(layer, rows, x, x_stride, y, y_stride, o, add, 1);
}

TARGET static void OWN(relu)(float *x, int count)
{
    for (int i = 0; i < count; i++) x[i] = x[i] < 0 ? 0 : x[i];
}

/* sum_i a_i b_i, where `positive` of the positive a_i alone, and of |b_i| otherwise; `positive` is
 * a constant where this is called. Four sums: one would wait for itself. */
INLINE float OWN(product)(const float *a, const float *b, int count, const int positive)
{
    float sums[4] = {0};
    Vector all = {0};
    int i = 0;
    for (; i + LANES <= count; i += LANES) {
        const Vector x = OWN(load)(a + i), y = OWN(load)(b + i), zero = {0};
        if (positive)
            all += (Vector)((Integers)x & (Integers) ~(x < zero)) * y;
        else
            all += x * OWN(size)(y);
    }
    for (int j = 0; j < LANES; j++) sums[j % 4] += all[j];
    for (; i < count; i++) sums[0] += positive ? (a[i] < 0 ? 0 : a[i]) * b[i] : a[i] * fabsf(b[i]);
    return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

TARGET static float OWN(mean_size)(const float *x, int count)
{
    float sums[4] = {0};
    Vector all = {0};
    int i = 0;
    for (; i + LANES <= count; i += LANES) all += OWN(size)(OWN(load)(x + i));
    for (int j = 0; j < LANES; j++) sums[j % 4] += all[j];
    for (; i < count; i++) sums[0] += fabsf(x[i]);
    return ((sums[0] + sums[1]) + (sums[2] + sums[3])) / count;
}

/* x / mean |x| of each row's first `count` numbers (sale.py, `avg_l1_norm`), and that mean into
 * `sizes`, or NULL. */
TARGET static void OWN(avg_l1_norm)(float *x, int rows, int stride, int count, float *sizes)
{
    for (int r = 0; r < rows; r++, x += stride) {
        const float size = fmaxf(OWN(mean_size)(x, count), 1e-8f), by = 1 / size;
        if (sizes) sizes[r] = size;
        for (int i = 0; i < count; i++) x[i] *= by;
    }
}

/* sum_i a_i b_i */
INLINE float OWN(dot)(const float *a, const float *b, int count)
{
    float sum = 0;
    Vector all = {0};
    int i = 0;
    for (; i + LANES <= count; i += LANES) all += OWN(load)(a + i) * OWN(load)(b + i);
    for (int j = 0; j < LANES; j++) sum += all[j];
    for (; i < count; i++) sum += a[i] * b[i];
    return sum;
}

/* From the gradient at y = x / m, m = mean |x|, to that at x, in its place: of `count` numbers. */
INLINE void OWN(avg_l1_norm_back)(const float *y, float m, int count, float *of_y)
{
    const float along = OWN(dot)(of_y, y, count) / count, by = 1 / m;
    const Vector zero = {0};
    int i = 0;
    for (; i + LANES <= count; i += LANES) {
        const Vector of = OWN(load)(y + i), at = zero + along;
        const Vector less = OWN(pick)(of > 0, at, OWN(pick)(of < 0, -at, zero));
        OWN(store)(of_y + i, (OWN(load)(of_y + i) - less) * by);
    }
    for (; i < count; i++) of_y[i] = (of_y[i] - (y[i] > 0 ? along : y[i] < 0 ? -along : 0)) * by;
}

/* The first `count` numbers of each row of x into y, beside which x does not lie. Most rows are so
 * short that a call of memcpy would take longer. */
TARGET static void OWN(copy)(const float *x, int x_stride, float *y, int y_stride, int rows,
                             int count)
{
    for (int r = 0; r < rows; r++, x += x_stride, y += y_stride) {
        int i = 0;
        for (; i + LANES <= count; i += LANES) OWN(store)(y + i, OWN(load)(x + i));
        if (i == count) continue;
        if (count >= LANES)
            OWN(store)(y + count - LANES, OWN(load)(x + count - LANES));
        else
            for (; i < count; i++) y[i] = x[i];
    }
}

/* y = [y +] last(relu(first(x))); `room` for what lies between. */
TARGET static void OWN(two_layers)(const Layer *first, const Layer *last, int rows, const float *x,
                                   int x_stride, float *room, float *y, int y_stride, int add)
{
    OWN(apply)(first, rows, x, x_stride, room, first->stride, 0);
    OWN(relu)(room, rows * first->stride);
    OWN(apply)(last, rows, room, first->stride, y, y_stride, add);
}
