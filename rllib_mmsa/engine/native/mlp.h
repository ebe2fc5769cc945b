/* One and two layers with gradients, for one instruction set (native.c). */

/* y (rows, outputs) = last(relu(first(x))), or `linear(x) +` that, and what lies between.
 *
 * parts: matrices (rows, of_part[i]) that lie side by side in x. weights: weight (width, inputs)
 * and bias of `first`, weight (outputs, width) and bias of `last` and, or NULL, of `linear`
 * (outputs, inputs). Written to: hidden (rows, width), y. Returns 0, or 1 where there is no memory.
 */
TARGET static int OWN(mlp)(const float *const *parts, const int *of_part, int num_parts,
                    const float *const *weights, float *hidden, float *y, int rows,
                    const int *sizes, Scratch *spare)
{
    const int inputs = sizes[0], width = sizes[1], outputs = sizes[2], wide = rounded(width);
    const long layers = net_size(inputs, width, outputs);
    float *x = scratch(spare, layers + GROUP * (inputs + wide + outputs));
    if (!x) return 1;
    const int with_linear = weights[4] != NULL;
    const Layer first = next_layer(&weights, inputs, width, &x);
    const Layer last = next_layer(&weights, width, outputs, &x);
    const Layer linear = with_linear ? next_layer(&weights, inputs, outputs, &x) : last;
    float *room = x + GROUP * inputs, *found = room + GROUP * wide;
    for (long row = 0; row < rows; row += GROUP) {
        const int n = rows - row < GROUP ? rows - row : GROUP;
        OWN(join)(parts, of_part, num_parts, row, n, x, inputs);
        if (with_linear) OWN(apply)(&linear, n, x, inputs, found, outputs, 0);
        OWN(two_layers)(&first, &last, n, x, inputs, room, found, outputs, with_linear);
        OWN(copy)(room, wide, hidden + row * width, width, n, width);
        OWN(copy)(found, outputs, y + row * outputs, outputs, n, outputs);
    }
    return 0;
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

/* The gradients of `mlp`'s inputs and weights, from that of y.
 *
 * Written to: of_parts, gradients of parts, or NULL where none is asked; of_weights, in the order
 * of weights. Returns 0, or 1 where there is no memory.
 */
TARGET static int OWN(mlp_back)(const float *const *parts, const int *of_part, int num_parts,
                         const float *const *weights, const float *hidden, const float *of_y,
                         float *const *of_parts, float *const *of_weights, int rows,
                         const int *sizes, Scratch *spare)
{
    const int inputs = sizes[0], width = sizes[1], outputs = sizes[2];
    const int with_linear = weights[4] != NULL;
    const int of_x = rounded(inputs), of_h = rounded(width) + WIDEST;
    const int of_out = rounded(outputs) + WIDEST;
    const long size = layer_size(width, inputs) + layer_size(outputs, width) +
                      layer_size(outputs, inputs) + gradient_size(width, inputs) +
                      gradient_size(outputs, width) + gradient_size(outputs, inputs) +
                      GROUP * (2L * of_x + 2 * of_h + of_out);
    float *room = scratch(spare, size);
    if (!room) return 1;
    const Layer first = backwards(weights[0], inputs, inputs, width, &room);
    const Layer last = backwards(weights[2], width, width, outputs, &room);
    const Layer linear = with_linear ? backwards(weights[4], inputs, inputs, outputs, &room) : last;
    const Gradient of_first = new_gradient(width, inputs, &room);
    const Gradient of_last = new_gradient(outputs, width, &room);
    const Gradient of_linear = new_gradient(outputs, inputs, &room);
    float *x = room, *grad_x = x + GROUP * of_x, *h = grad_x + GROUP * of_x;
    float *grad_h = h + GROUP * of_h, *grad_y = grad_h + GROUP * of_h;
    const int asked = any(of_parts, num_parts);
    for (long row = 0; row < rows; row += GROUP) {
        const int n = rows - row < GROUP ? rows - row : GROUP;
        OWN(join)(parts, of_part, num_parts, row, n, x, of_x);
        OWN(copy)(hidden + row * width, width, h, of_h, n, width);
        OWN(copy)(of_y + row * outputs, outputs, grad_y, of_out, n, outputs);
        OWN(apply)(&last, n, grad_y, of_out, grad_h, of_h, 0);
        for (int i = 0; i < n * of_h; i += LANES) /* back through the ReLU */
            OWN(store)(grad_h + i,
                       OWN(pick)(OWN(load)(h + i) > 0, OWN(load)(grad_h + i), (Vector){0}));
        OWN(add_product)(&of_last, n, grad_y, of_out, h, of_h);
        OWN(add_product)(&of_first, n, grad_h, of_h, x, of_x);
        if (with_linear) OWN(add_product)(&of_linear, n, grad_y, of_out, x, of_x);
        if (!asked) continue;
        OWN(apply)(&first, n, grad_h, of_h, grad_x, of_x, 0);
        if (with_linear) OWN(apply)(&linear, n, grad_y, of_out, grad_x, of_x, 1);
        OWN(part)(grad_x, of_x, of_parts, of_part, num_parts, row, n);
    }
    give(&of_first, of_weights[0], of_weights[1]);
    give(&of_last, of_weights[2], of_weights[3]);
    if (with_linear) give(&of_linear, of_weights[4], of_weights[5]);
    return 0;
}

/* y (rows, outputs) = W x + b (or NULL), `parts` as for `mlp`. Returns 0, or 1 where there is no
 * memory. */
TARGET static int OWN(linear)(const float *const *parts, const int *of_part, int num_parts,
                       const float *weight, const float *bias, float *y, int rows, int inputs,
                       int outputs, Scratch *spare)
{
    const long size = layer_size(inputs, outputs) + GROUP * (inputs + (long)outputs);
    float *x = scratch(spare, size);
    if (!x) return 1;
    const Layer layer = make_layer(weight, bias, inputs, inputs, outputs, &x);
    float *found = x + GROUP * inputs;
    for (long row = 0; row < rows; row += GROUP) {
        const int n = rows - row < GROUP ? rows - row : GROUP;
        OWN(join)(parts, of_part, num_parts, row, n, x, inputs);
        OWN(apply)(&layer, n, x, inputs, found, outputs, 0);
        OWN(copy)(found, outputs, y + row * outputs, outputs, n, outputs);
    }
    return 0;
}

/* The gradients of `linear`'s inputs, weight and bias, from that of y; of_parts as for `mlp_back`.
 * Returns 0, or 1 where there is no memory. */
TARGET static int OWN(linear_back)(const float *const *parts, const int *of_part, int num_parts,
                            const float *weight, const float *of_y, float *const *of_parts,
                            float *of_weight, float *of_bias, int rows, int inputs, int outputs,
                            Scratch *spare)
{
    const int of_x = rounded(inputs), of_out = rounded(outputs) + WIDEST;
    const long size =
        layer_size(outputs, inputs) + gradient_size(outputs, inputs) + GROUP * (2L * of_x + of_out);
    float *x = scratch(spare, size);
    if (!x) return 1;
    const Layer layer = backwards(weight, inputs, inputs, outputs, &x);
    const Gradient gradient = new_gradient(outputs, inputs, &x);
    float *grad_x = x + GROUP * of_x, *grad_y = grad_x + GROUP * of_x;
    const int asked = any(of_parts, num_parts);
    for (long row = 0; row < rows; row += GROUP) {
        const int n = rows - row < GROUP ? rows - row : GROUP;
        OWN(join)(parts, of_part, num_parts, row, n, x, of_x);
        OWN(copy)(of_y + row * outputs, outputs, grad_y, of_out, n, outputs);
        OWN(add_product)(&gradient, n, grad_y, of_out, x, of_x);
        if (!asked) continue;
        OWN(apply)(&layer, n, grad_y, of_out, grad_x, of_x, 0);
        OWN(part)(grad_x, of_x, of_parts, of_part, num_parts, row, n);
    }
    give(&gradient, of_weight, of_bias);
    return 0;
}
