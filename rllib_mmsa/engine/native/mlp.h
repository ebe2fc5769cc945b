/* Networks that learn, forwards and back, for one instruction set (native.c). */

/* Adds to each of n rows the rows of a table that are picked for it; -1: none. Whole vectors of y
 * are read and written, whose padding in the table is zeros. */
TARGET static void OWN(add_picked)(const float *table, int stride, const int *picked, int picks,
                                   int n, float *y, int y_stride)
{
    for (int r = 0; r < n; r++, y += y_stride)
        for (int p = 0; p < picks; p++) {
            const int which = *picked++;
            const float *from = table + (which < 0 ? 0 : which) * (long)stride;
            for (int i = 0; i < stride && which >= 0; i += LANES)
                OWN(store)(y + i, OWN(load)(y + i) + OWN(load)(from + i));
        }
}

TARGET static void OWN(relu_rows)(float *x, int stride, int rows, int width)
{
    for (int r = 0; r < rows; r++, x += stride) OWN(relu)(x, width);
}

/* Back through a ReLU that returned h: whole vectors of the gradient at x are written. */
TARGET static void OWN(relu_back)(const float *h, int h_stride, float *x, int x_stride, int rows,
                                  int width)
{
    const Vector zero = {0};
    for (int r = 0; r < rows; r++, h += h_stride, x += x_stride)
        for (int i = 0; i < width; i += LANES)
            OWN(store)(x + i, OWN(pick)(OWN(load)(h + i) > 0, OWN(load)(x + i), zero));
}

/* y (rows, outputs) of x (rows, inputs) and, or NULL, picked (rows, picks). Rows of x and y are
 * read and written in whole tiles. */
TARGET static void OWN(forwards)(const Learned *net, const float *x, int x_stride,
                                 const int *picked, Trace kept, float *y, int y_stride, long rows)
{
    const Shape *s = &net->shape;
    const int stride = net->start.stride, wide = rounded(s->width);
    const int hidden = s->layers ? s->width : 0;
    for (long row = 0; row < rows; row += GROUP, y += GROUP * (long)y_stride) {
        const int n = rows - row < GROUP ? (int)(rows - row) : GROUP;
        float *start = kept.start + row * stride;
        const float *h = start;
        OWN(apply)(&net->start, n, x + row * x_stride, x_stride, start, stride, 0);
        if (picked)
            OWN(add_picked)
            (net->start.weight + s->inputs * (long)stride, stride, picked + row * s->picks,
             s->picks, n, start, stride);
        OWN(relu_rows)(start, stride, n, hidden);
        if (s->layers == 2) {
            float *second = kept.second + row * wide;
            OWN(apply)(&net->middle, n, start, stride, second, wide, 0);
            OWN(relu_rows)(second, wide, n, s->width);
            h = second;
        }
        const int h_stride = s->layers == 2 ? wide : stride;
        if (!net->straight)
            OWN(apply)(&net->last, n, h, h_stride, y, y_stride, 0);
        else {
            if (hidden) OWN(apply)(&net->last, n, h, h_stride, start + hidden, stride, 1);
            OWN(copy)(start + hidden, stride, y, y_stride, n, s->outputs);
        }
    }
}

/* `rows` rows by `width` vectors of weight += a^T b; both are constants where this is called. */
INLINE void OWN(product_tile)(float *weight, int stride, int n, const float *a, int a_stride,
                              const float *b, int b_stride, const int rows, const int width)
{
    Vector sums[2 * TILE][2];
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < width; v++) sums[r][v] = OWN(load)(weight + r * stride + v * LANES);
    for (int row = 0; row < n; row++, a += a_stride, b += b_stride)
        for (int r = 0; r < rows; r++)
            for (int v = 0; v < width; v++) sums[r][v] += a[r] * OWN(load)(b + v * LANES);
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < width; v++) OWN(store)(weight + r * stride + v * LANES, sums[r][v]);
}

/* `rows` rows of weight += a^T b; `rows` is a constant where this is called. */
INLINE void OWN(product_tiles)(const Gradient *to, int i, int n, const float *a, int a_stride,
                               const float *b, int b_stride, const int rows)
{
    float *at = to->weight + i * (long)to->stride;
    int o = 0;
    for (; o + LANES < to->right; o += 2 * LANES)
        OWN(product_tile)(at + o, to->stride, n, a + i, a_stride, b + o, b_stride, rows, 2);
    if (o < to->right)
        OWN(product_tile)(at + o, to->stride, n, a + i, a_stride, b + o, b_stride, rows, 1);
}

/* weight += a^T b and bias += sum_r a, a (n, left) and b (n, right): whole tiles and vectors of
 * their rows are read. */
TARGET static void OWN(add_product)(const Gradient *to, int n, const float *a, int a_stride,
                                    const float *b, int b_stride)
{
    for (int i = 0; i < to->left;) {
        if (LANES == WIDEST && to->left - i > TILE) {
            OWN(product_tiles)(to, i, n, a, a_stride, b, b_stride, 2 * TILE);
            i += 2 * TILE;
        } else {
            OWN(product_tiles)(to, i, n, a, a_stride, b, b_stride, TILE);
            i += TILE;
        }
    }
    for (int i = 0; i < to->left; i += LANES) {
        Vector sum = OWN(load)(to->bias + i);
        for (int row = 0; row < n; row++) sum += OWN(load)(a + row * a_stride + i);
        OWN(store)(to->bias + i, sum);
    }
}

/* Zeros behind the first `count` numbers of each row: gradients are summed in whole tiles and
 * vectors, and in the place of what lies behind may be that of outputs that are left out. */
TARGET static void OWN(end_rows)(float *x, int stride, int rows, int count)
{
    const int more = stride - count < WIDEST ? stride - count : WIDEST;
    for (int r = 0; r < rows; r++) memset(x + r * (long)stride + count, 0, more * sizeof(float));
}

/* The gradients at `start` of n rows, into `back`, from those at y; on the way those of the layers
 * behind it are summed. `room`: GROUP rows of the second hidden layer and of outputs. */
TARGET static void OWN(back_to_start)(const Learned *net, int n, const float *start,
                                      const float *second, const float *of_y, int y_stride,
                                      float *back, float *room)
{
    const Shape *s = &net->shape;
    const int stride = net->start.stride, wide = rounded(s->width);
    const int out = rounded(s->outputs) + WIDEST;
    float *of_out = room + GROUP * (long)wide;
    OWN(copy)(of_y, y_stride, of_out, out, n, s->outputs);
    OWN(end_rows)(of_out, out, n, s->outputs);
    if (s->layers == 2) {
        OWN(add_product)(&net->of_last, n, of_out, out, second, wide);
        OWN(apply)(&net->to_second, n, of_out, out, room, wide, 0);
        OWN(relu_back)(second, wide, room, wide, n, s->width);
        OWN(add_product)(&net->of_middle, n, room, wide, start, stride);
        OWN(apply)(&net->to_first, n, room, wide, back, stride, 0);
    } else if (s->layers) {
        OWN(add_product)(&net->of_last, n, of_out, out, start, stride);
        OWN(apply)(&net->to_second, n, of_out, out, back, stride, 0);
    }
    if (s->layers) OWN(relu_back)(start, stride, back, stride, n, s->width);
    if (net->straight)
        OWN(copy)(of_out, out, back + (s->layers ? s->width : 0), stride, n, s->outputs);
    OWN(end_rows)(back, stride, n, net->start.outputs);
}

/* The other way of `forwards`, from the gradients at y: those of its weights are summed, and those
 * at x from the `from`th number on are written to of_x (rows, inputs - from), or not (NULL).
 * `room`: see `Pool`. */
TARGET static void OWN(backwards)(const Learned *net, const float *x, int x_stride,
                                  const int *picked, Trace kept, const float *of_y, int y_stride,
                                  float *of_x, long rows, float *room)
{
    const Shape *s = &net->shape;
    const int stride = net->start.stride, wide = rounded(s->width), to = net->to_x.outputs;
    float *back = room, *of_second = room + GROUP * (long)stride + WIDEST;
    for (long row = 0; row < rows; row += GROUP) {
        const int n = rows - row < GROUP ? (int)(rows - row) : GROUP;
        const float *second = s->layers == 2 ? kept.second + row * wide : NULL;
        OWN(back_to_start)
        (net, n, kept.start + row * stride, second, of_y + row * y_stride, y_stride, back,
         of_second);
        OWN(add_product)(&net->of_start, n, back, stride, x + row * x_stride, x_stride);
        for (int i = 0; picked && i < n * s->picks; i++) {
            const int which = picked[row * s->picks + i];
            if (which >= 0)
                OWN(add)
                (net->of_picked + which * (long)stride, back + i / s->picks * stride,
                 net->start.outputs);
        }
        if (of_x) OWN(apply)(&net->to_x, n, back, stride, of_x + row * to, to, 0);
    }
}
