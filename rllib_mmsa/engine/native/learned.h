/* Networks that learn: their weights as they are multiplied, forwards and back, and gradients. */

/* Memory for what a task keeps, laid out twice: first, without a base, to know how much it takes.
 */
typedef struct {
    float *base;
    long used;
    long room; /* what the way back through a network needs at most */
    Scratch *of;
} Pool;

static float *block(Pool *pool, long count)
{
    float *made = pool->base ? pool->base + pool->used : NULL;
    pool->used += (count + 2 * WIDEST - 1) / WIDEST * WIDEST;
    return made;
}

/* Rows that are worked on in whole tiles. */
static float *rows_of(Pool *pool, long rows, long columns)
{
    return block(pool, (rows + 2 * TILE) * columns);
}

/* After the first time; returns 1 where there is no memory. */
static int make_pool(Pool *pool)
{
    pool->base = scratch(pool->of, pool->used);
    pool->used = 0;
    return !pool->base;
}

/* Weights, and where their gradients are written to. */
typedef struct {
    const float *const *weights;
    float *const *gradients;
} Tensors;

/* Layers of PyTorch's: one linear layer (layers: 0); a perceptron of 1 or 2 hidden layers; or, a
 * `ResidualNet`, a linear one beside it. `one_hots` of the numbers that it reads are one-hot, from
 * the `split`th on, and are not among `inputs`: of them, `picks` are 1. Inputs before `from` get no
 * gradient. */
typedef struct {
    int inputs, layers, width, outputs, residual, from, split, one_hots, picks;
} Shape;

enum { LINEAR, FIRST, MIDDLE, LAST, KINDS };

/* `first` and `linear` read the same, and are one layer, `start`: its outputs are the first hidden
 * layer, then what goes straight to the outputs. One-hot numbers are not multiplied: the rows of
 * start's weight that are meant are added, and lie behind the others. */
typedef struct {
    Shape shape;
    int has[KINDS], straight;
    const float *weights[KINDS][2]; /* weight and bias */
    float *gradients[KINDS][2];
    Layer start, middle, last, to_x, to_first, to_second;
    Gradient of_start, of_middle, of_last;
    float *of_picked, *room; /* of_picked (one_hots, start's stride) */
} Learned;

/* What a network's way back needs of its way forwards: rows of `start` and of the second layer. */
typedef struct {
    float *start, *second;
} Trace;

/* Outputs of `start`. */
static int begun(const Shape *s)
{
    const int hidden = s->layers ? s->width : 0;
    return hidden + (s->residual || !s->layers ? s->outputs : 0);
}

static long learned_size(const Shape *s)
{
    const int outputs = begun(s);
    long size = layer_size(s->inputs + s->one_hots, outputs) +
                layer_size(outputs, s->inputs - s->from) + gradient_size(outputs, s->inputs) +
                s->one_hots * (long)rounded(outputs);
    if (s->layers)
        size += layer_size(s->width, s->outputs) + layer_size(s->outputs, s->width) +
                gradient_size(s->outputs, s->width);
    if (s->layers == 2)
        size += 2 * layer_size(s->width, s->width) + gradient_size(s->width, s->width);
    return size;
}

/* The next network in a list of weights and biases. */
static Learned learned(Tensors *list, Shape shape, Pool *pool)
{
    const int deep = shape.layers > 0;
    Learned net = {.shape = shape, .has = {shape.residual || !deep, deep, shape.layers == 2, deep}};
    net.straight = net.has[LINEAR] ? shape.outputs : 0;
    for (int i = 0; i < 2 * KINDS; i++)
        if (net.has[i / 2]) {
            net.weights[i / 2][i % 2] = *list->weights++;
            net.gradients[i / 2][i % 2] = *list->gradients++;
        }
    net.room = block(pool, learned_size(&shape));
    const long room = GROUP * (rounded(begun(&shape)) + rounded(shape.width) +
                               rounded(shape.outputs) + 2L * WIDEST);
    if (room > pool->room) pool->room = room;
    return net;
}

static Trace trace(Pool *pool, const Learned *net, long rows)
{
    const Shape *s = &net->shape;
    return (Trace){rows_of(pool, rows, rounded(begun(s))),
                   s->layers == 2 ? rows_of(pool, rows, rounded(s->width)) : NULL};
}

/* What it has of the rows from `row` on. */
static Trace trace_at(const Learned *net, Trace of, long row)
{
    return (Trace){of.start + row * net->start.stride,
                   of.second ? of.second + row * rounded(net->shape.width) : NULL};
}

/* `first` or `linear` into `start`, from its output `at` on, and into the way back. */
static void pack_start(Learned *net, int kind, int at)
{
    const Shape *s = &net->shape;
    const int outputs = kind == FIRST ? s->width : s->outputs, columns = s->inputs + s->one_hots;
    const int stride = net->start.stride, split = s->split, rest = s->inputs - split;
    const float *weight = net->weights[kind][0];
    float *to = (float *)net->start.weight + at, *back = (float *)net->to_x.weight;
    put(to, stride, weight, columns, split, outputs);
    put(to + split * (long)stride, stride, weight + split + s->one_hots, columns, rest, outputs);
    put(to + s->inputs * (long)stride, stride, weight + split, columns, s->one_hots, outputs);
    memcpy((float *)net->start.bias + at, net->weights[kind][1], outputs * sizeof(float));
    for (int o = 0; o < outputs; o++, weight += columns)
        for (int part = 0; part < 2; part++) { /* before and behind one-hot numbers */
            const int first = part ? split : s->from, end = part ? s->inputs : split;
            const int begin = first > s->from ? first : s->from;
            if (begin < end)
                memcpy(back + (at + o) * (long)net->to_x.stride + begin - s->from,
                       weight + begin + part * s->one_hots, (end - begin) * sizeof(float));
        }
}

/* Its weights as they are multiplied, and gradients of zeros. */
static void pack_learned(Learned *net)
{
    const Shape *s = &net->shape;
    const int outputs = begun(s), width = s->width, hidden = outputs - net->straight;
    float *room = net->room;
    net->start = empty_layer(s->inputs + s->one_hots, outputs, &room);
    net->start.inputs = s->inputs;
    net->to_x = empty_layer(outputs, s->inputs - s->from, &room);
    if (net->has[FIRST]) pack_start(net, FIRST, 0);
    if (net->has[LINEAR]) pack_start(net, LINEAR, hidden);
    net->of_start = new_gradient(outputs, s->inputs, &room);
    net->of_picked = reserve(&room, s->one_hots * (long)net->start.stride);
    memset(net->of_picked, 0, s->one_hots * (long)net->start.stride * sizeof(float));
    if (net->has[MIDDLE]) {
        const float *weight = net->weights[MIDDLE][0];
        net->middle = make_layer(weight, net->weights[MIDDLE][1], width, width, width, &room);
        net->to_first = backwards(weight, width, width, width, &room);
        net->of_middle = new_gradient(width, width, &room);
    }
    if (!net->has[LAST]) return;
    const float *weight = net->weights[LAST][0];
    net->last = make_layer(weight, net->weights[LAST][1], width, width, s->outputs, &room);
    net->to_second = backwards(weight, width, width, s->outputs, &room);
    net->of_last = new_gradient(s->outputs, width, &room);
}

/* The gradient of `first` or `linear`, whose outputs are those of `start` from `at` on. */
static void give_start(const Learned *net, int kind, int at)
{
    const Shape *s = &net->shape;
    const Gradient *g = &net->of_start;
    const int outputs = kind == FIRST ? s->width : s->outputs;
    const int split = s->split, one_hots = s->one_hots;
    float *to = net->gradients[kind][0];
    for (int o = 0; o < outputs; o++, to += s->inputs + one_hots) {
        const float *from = g->weight + (at + o) * (long)g->stride;
        memcpy(to, from, split * sizeof(float));
        memcpy(to + split + one_hots, from + split, (s->inputs - split) * sizeof(float));
        for (int i = 0; i < one_hots; i++)
            to[split + i] = net->of_picked[i * (long)net->start.stride + at + o];
    }
    memcpy(net->gradients[kind][1], g->bias + at, outputs * sizeof(float));
}

/* Its gradients into tensors as PyTorch has them. */
static void give_learned(const Learned *net)
{
    if (net->has[FIRST]) give_start(net, FIRST, 0);
    if (net->has[LINEAR]) give_start(net, LINEAR, begun(&net->shape) - net->straight);
    if (net->has[MIDDLE])
        give(&net->of_middle, net->gradients[MIDDLE][0], net->gradients[MIDDLE][1]);
    if (net->has[LAST]) give(&net->of_last, net->gradients[LAST][0], net->gradients[LAST][1]);
}

/* The same network, of whose outputs the first are computed alone; gradients have one place. */
static Learned narrowed(const Learned *net, int outputs)
{
    Learned narrow = *net;
    const int less = net->straight ? net->shape.outputs - outputs : 0;
    narrow.shape.outputs = narrow.last.outputs = narrow.to_second.inputs = narrow.of_last.left =
        outputs;
    narrow.straight -= less, narrow.start.outputs -= less, narrow.to_x.inputs -= less;
    narrow.of_start.left -= less;
    return narrow;
}
