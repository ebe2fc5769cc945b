/* Functions over rows for one instruction set (kernels.c). A row's numbers do not depend on the rows
 * beside it. Matrices are (rows, stride) of which the first numbers of a row are meant.
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

/* |x| */
INLINE Vector OWN(size)(Vector x) { return (Vector)((Integers)x & 0x7fffffff); }

INLINE void OWN(store)(float *to, Vector value) { memcpy(to, &value, sizeof value); }

/* TILE rows by `width` vectors of y; `width` is a constant where this is called. */
INLINE void OWN(tile)(
    const Layer *layer, const float *x, int x_stride, float *y, int y_stride, int o, int add,
    const int width)
{
    Vector sums[TILE][2];
    const float *weight = layer->weight + o;
    for (int r = 0; r < TILE; r++)
        for (int v = 0; v < width; v++) sums[r][v] = OWN(load)(layer->bias + o + v * LANES);
    for (int i = 0; i < layer->inputs; i++, weight += layer->stride)
        for (int r = 0; r < TILE; r++)
            for (int v = 0; v < width; v++)
                sums[r][v] += x[r * x_stride + i] * OWN(load)(weight + v * LANES);
    for (int r = 0; r < TILE; r++)
        for (int v = 0; v < width; v++) {
            float *to = y + r * y_stride + o + v * LANES;
            int left = layer->outputs - o - v * LANES;
            if (left >= LANES)
                OWN(store)(to, add ? OWN(load)(to) + sums[r][v] : sums[r][v]);
            else
                for (int j = 0; j < left; j++) to[j] = add ? to[j] + sums[r][v][j] : sums[r][v][j];
        }
}

/* y (rows, outputs) = [y +] W x + b. Rows are rounded up to a multiple of TILE: y has room. */
TARGET static void OWN(apply)(const Layer *layer, int rows, const float *x, int x_stride, float *y,
                              int y_stride, int add)
{
    int o = 0;
    for (; o + LANES < layer->outputs; o += 2 * LANES)
        for (int r = 0; r < rows; r += TILE)
            OWN(tile)(layer, x + r * x_stride, x_stride, y + r * y_stride, y_stride, o, add, 2);
    if (o < layer->outputs)
        for (int r = 0; r < rows; r += TILE)
            OWN(tile)(layer, x + r * x_stride, x_stride, y + r * y_stride, y_stride, o, add, 1);
}

TARGET static void OWN(relu)(float *x, int count)
{
    for (int i = 0; i < count; i++) x[i] = x[i] < 0 ? 0 : x[i];
}

/* sum_i a_i b_i, where `positive` of the positive a_i alone, and of |b_i| otherwise; `positive` is a
 * constant where this is called. Four sums: one would wait for itself. */
INLINE float OWN(product)(const float *a, const float *b, int count, const int positive)
{
    float sums[4] = {0};
    Vector all = {0};
    int i = 0;
    for (; i + LANES <= count; i += LANES) {
        const Vector x = OWN(load)(a + i), y = OWN(load)(b + i), zero = {0};
        if (positive)
            all += (Vector)((Integers)x & (Integers)~(x < zero)) * y;
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
    for (; i + LANES <= count; i += LANES)
        all += OWN(size)(OWN(load)(x + i));
    for (int j = 0; j < LANES; j++) sums[j % 4] += all[j];
    for (; i < count; i++) sums[0] += fabsf(x[i]);
    return ((sums[0] + sums[1]) + (sums[2] + sums[3])) / count;
}

/* x / mean |x| of each row's first `count` numbers (sale.py, `avg_l1_norm`). */
TARGET static void OWN(avg_l1_norm)(float *x, int rows, int stride, int count)
{
    for (int r = 0; r < rows; r++, x += stride) {
        const float size = OWN(mean_size)(x, count), by = 1 / fmaxf(size, 1e-8f);
        for (int i = 0; i < count; i++) x[i] *= by;
    }
}

TARGET static void OWN(copy)(const float *x, int x_stride, float *y, int y_stride, int rows, int count)
{
    for (int r = 0; r < rows; r++)
        memcpy(y + r * y_stride, x + r * x_stride, count * sizeof(float));
}

/* y = [y +] last(relu(first(x))); `room` for what lies between. */
TARGET static void OWN(two_layers)(const Layer *first, const Layer *last, int rows, const float *x,
                                   int x_stride, float *room, float *y, int y_stride, int add)
{
    OWN(apply)(first, rows, x, x_stride, room, first->stride, 0);
    OWN(relu)(room, rows * first->stride);
    OWN(apply)(last, rows, room, first->stride, y, y_stride, add);
}

TARGET static void OWN(net)(const Net *net, int rows, const float *x, int x_stride, float *room,
                            float *y, int y_stride)
{
    OWN(apply)(&net->linear, rows, x, x_stride, y, y_stride, 0);
    OWN(two_layers)(&net->first, &net->last, rows, x, x_stride, room, y, y_stride, 1);
}

/* What the values of rows' actions are made of; see `candidate_values`. */
typedef struct {
    const float *from_z, *from_obs, *from_state;
    const uint8_t *legal;
    float *values;
} OWN(Rows);

/* head(relu(from_state + W [relu(from_z + of_g) ; avg_l1_norm(from_obs + of_phi)])) of legal actions,
 * added to `values`. x and y have room for a GROUP of inputs and outputs of `pair`. */
TARGET static void OWN(candidates)(const Agent *a, OWN(Rows) of, long rows, float *x, float *y)
{
    const int actions = a->actions, wide = a->wide, embedding = a->embedding;
    const int inputs = wide + embedding, outputs = a->head_dim, stride = a->pair.stride;
    long where[GROUP], pairs = rows * actions;
    int found = 0;
    for (long pair = 0; pair < pairs; pair++) {
        if (of.legal[pair]) {
            const long row = pair / actions, action = pair % actions;
            float *to = x + found * inputs;
            const float *from = of.from_z + row * wide, *add = a->of_g + action * wide;
            for (int i = 0; i < wide; i++) to[i] = from[i] + add[i] < 0 ? 0 : from[i] + add[i];
            to += wide, from = of.from_obs + row * embedding, add = a->of_phi + action * embedding;
            for (int i = 0; i < embedding; i++) to[i] = from[i] + add[i];
            memcpy(y + found * stride, of.from_state + row * outputs, outputs * sizeof(float));
            where[found++] = pair;
        }
        if (found < GROUP && pair + 1 < pairs) continue;
        OWN(avg_l1_norm)(x + wide, found, inputs, embedding);
        OWN(apply)(&a->pair, found, x, inputs, y, stride, 1);
        for (int p = 0; p < found; p++)
            of.values[where[p]] += OWN(product)(y + p * stride, a->head, outputs, 1);
        found = 0;
    }
}

/* Values of legal actions (sale_agents.py, `_values`), added to what `values` has.
 *
 * from_z (rows, wide), from_obs (rows, embedding), from_state (rows, head_dim), legal and values
 * (rows, actions), of_g (actions, wide), of_phi (actions, embedding), weight (head_dim, wide +
 * embedding), head (head_dim). Returns 0, or 1 where there is no memory.
 */
TARGET int OWN(candidate_values)(const float *from_z, const float *from_obs, const float *from_state,
                                 const uint8_t *legal, const float *of_g, const float *of_phi,
                                 const float *weight, const float *head, float *values, int rows,
                                 int actions, int wide, int embedding, int head_dim)
{
    Agent a = {.actions = actions, .wide = wide, .embedding = embedding, .head_dim = head_dim,
               .of_g = of_g, .of_phi = of_phi, .head = head};
    const int inputs = wide + embedding;
    const long group = GROUP * (inputs + rounded(head_dim));
    float *memory = calloc(layer_size(inputs, head_dim) + group, sizeof(float)), *x = memory;
    if (!memory) return 1;
    a.pair = make_layer(weight, NULL, inputs, inputs, head_dim, &x);
    const OWN(Rows) of = {from_z, from_obs, from_state, legal, values};
    OWN(candidates)(&a, of, rows, x, x + GROUP * inputs);
    free(memory);
    return 0;
}

/* The values of legal actions, and of the others what the hidden state alone says of them.
 *
 * hidden (rows, hidden), obs (rows, obs), legal and, written to, values (rows, actions). `weights`
 * are those of `fill_agent`, `sizes` those of `sized_agent`. Returns 0, or 1 where there is no memory.
 */
TARGET int OWN(sale_values)(const float *hidden, const float *obs, const uint8_t *legal,
                            const float *const *weights, float *values, int rows, const int *sizes)
{
    Agent a = sized_agent(sizes);
    const int joined = a.hidden + a.embedding, pair = a.wide + a.embedding;
    const int between = rounded(a.wide > a.actions ? a.wide : a.actions);
    const int per_row =
        joined + a.obs + a.wide + a.embedding + a.head_dim + between + pair + rounded(a.head_dim);
    float *memory = calloc(agent_size(&a) + GROUP * per_row, sizeof(float)), *known = memory;
    if (!memory) return 1;
    fill_agent(&a, weights, &known); /* h, z^o */
    float *o = known + GROUP * joined, *from_z = o + GROUP * a.obs, *from_obs = from_z + GROUP * a.wide;
    float *from_state = from_obs + GROUP * a.embedding, *room = from_state + GROUP * a.head_dim;
    float *x = room + GROUP * between, *y = x + GROUP * pair;
    for (long row = 0; row < rows; row += GROUP) {
        const int n = rows - row < GROUP ? rows - row : GROUP;
        float *z = known + a.hidden, *to = values + row * a.actions;
        OWN(copy)(obs + row * a.obs, a.obs, o, a.obs, n, a.obs);
        OWN(copy)(hidden + row * a.hidden, a.hidden, known, joined, n, a.hidden);
        OWN(two_layers)(&a.f_first, &a.f_last, n, o, a.obs, room, z, joined, 0);
        OWN(avg_l1_norm)(z, n, joined, a.embedding);
        OWN(apply)(&a.g_first, n, z, joined, from_z, a.wide, 0);
        OWN(apply)(&a.phi, n, o, a.obs, from_obs, a.embedding, 0);
        OWN(apply)(&a.state, n, known, joined, from_state, a.head_dim, 0);
        OWN(apply)(&a.per_action, n, known, joined, room, a.actions, 0);
        OWN(copy)(room, a.actions, to, a.actions, n, a.actions);
        const OWN(Rows) of = {from_z, from_obs, from_state, legal + row * a.actions, to};
        OWN(candidates)(&a, of, n, x, y);
    }
    free(memory);
    return 0;
}

/* e^x to 2e-7 of itself (Cephes' polynomial), x cut to where it is finite and above 0. */
INLINE Vector OWN(exponential)(Vector x)
{
    const float to_integers = 12582912.0f; /* 1.5 * 2^23: what is added to it is rounded */
    for (int j = 0; j < LANES; j++) x[j] = x[j] > 87 ? 87 : x[j] < -87 ? -87 : x[j];
    Vector shifted = x * 1.44269504f + to_integers, power = shifted - to_integers;
    x = x - power * 0.693359375f + power * 2.12194440e-4f;
    Vector sum = x * 1.9875691500e-4f + 1.3981999507e-3f;
    sum = sum * x + 8.3334519073e-3f;
    sum = sum * x + 4.1665795894e-2f;
    sum = sum * x + 1.6666665459e-1f;
    sum = sum * x + 5.0000001201e-1f;
    sum = sum * x * x + x + 1.0f;
    Integers exponent = (Integers)shifted - 0x4b400000; /* the bits of 1.5 * 2^23 */
    return sum * (Vector)((exponent + 127) << 23);
}

INLINE Vector OWN(sigmoid)(Vector x) { return 1.0f / (1.0f + OWN(exponential)(-x)); }

/* One step of a GRU for LANES of a row: h' = n + z (h - n). `of_x`, `of_h`: W x + b, U h + c for the
 * gates r, z, n, each `size` numbers after the last. */
INLINE void OWN(gru_lanes)(const float *of_x, const float *of_h, int size, float *hidden)
{
    Vector reset = OWN(sigmoid)(OWN(load)(of_x) + OWN(load)(of_h));
    Vector update = OWN(sigmoid)(OWN(load)(of_x + size) + OWN(load)(of_h + size));
    Vector fresh = OWN(load)(of_x + 2 * size) + reset * OWN(load)(of_h + 2 * size);
    fresh = 2.0f * OWN(sigmoid)(2.0f * fresh) - 1.0f; /* tanh */
    OWN(store)(hidden, fresh + update * (OWN(load)(hidden) - fresh));
}

/* A GRU's states from zeros on (gru.py).
 *
 * x (P, inputs) and, written to, states (P, size): the rows of each step after those of the last, as
 * many as `counts` (steps) says, never more than before. size is a multiple of LANES.
 * weights: (3 size, inputs), (3 size, size), (3 size), (3 size).
 * Returns 0, or 1 where there is no memory.
 */
TARGET int OWN(gru)(const float *x, const float *const *weights, float *states, const int *counts,
                    int steps, int inputs, int size)
{
    const int gates = 3 * size;
    const long packed = layer_size(inputs, gates) + layer_size(size, gates);
    float *memory = calloc(packed + GROUP * (inputs + size + 2L * gates), sizeof(float)), *read = memory;
    if (!memory) return 1;
    const Layer by_x = make_layer(weights[0], weights[2], inputs, inputs, gates, &read);
    const Layer by_h = make_layer(weights[1], weights[3], size, size, gates, &read);
    float *hidden = read + GROUP * inputs, *of_x = hidden + GROUP * size, *of_h = of_x + GROUP * gates;
    for (int first = 0; first < counts[0]; first += GROUP) {
        long offset = first;
        memset(hidden, 0, GROUP * size * sizeof(float));
        for (int t = 0; t < steps && counts[t] > first; offset += counts[t++]) {
            const int n = counts[t] - first < GROUP ? counts[t] - first : GROUP;
            memcpy(read, x + offset * inputs, n * inputs * sizeof(float));
            OWN(apply)(&by_x, n, read, inputs, of_x, gates, 0);
            OWN(apply)(&by_h, n, hidden, size, of_h, gates, 0);
            for (int r = 0; r < n; r++)
                for (int i = 0; i < size; i += LANES)
                    OWN(gru_lanes)(of_x + r * gates + i, of_h + r * gates + i, size, hidden + r * size + i);
            memcpy(states + offset * size, hidden, n * size * sizeof(float));
        }
    }
    free(memory);
    return 0;
}

/* Q_tot (mixers.py, `QMixer`).
 *
 * q (rows, agents), parts: matrices (rows, of_part[i]) that lie side by side in the state, and,
 * written to, mixed (rows). `weights` are those of `fill_mixer`, `sizes` those of `sized_mixer`.
 * The width of the mixing layer is a multiple of LANES. Returns 0, or 1 where there is no memory.
 */
TARGET int OWN(mix)(const float *q, const float *const *parts, const int *of_part, int num_parts,
                    const float *const *weights, float *mixed, int rows, const int *sizes)
{
    Mixer m = sized_mixer(sizes);
    const int embed = m.embed, many = m.agents * embed;
    const long per_row = m.state + many + 2 * embed + 1 + rounded(m.wide > embed ? m.wide : embed);
    float *memory = calloc(mixer_size(&m) + GROUP * per_row, sizeof(float)), *state = memory;
    if (!memory) return 1;
    fill_mixer(&m, weights, &state);
    float *first = state + GROUP * m.state, *hidden = first + GROUP * many;
    float *second = hidden + GROUP * embed, *value = second + GROUP * embed, *room = value + GROUP;
    for (long row = 0; row < rows; row += GROUP) {
        const int n = rows - row < GROUP ? rows - row : GROUP, s = m.state;
        float *to = state;
        for (int p = 0; p < num_parts; to += of_part[p++])
            OWN(copy)(parts[p] + row * of_part[p], of_part[p], to, s, n, of_part[p]);
        OWN(two_layers)(m.weights_1, m.weights_1 + 1, n, state, s, room, first, many, 0);
        OWN(apply)(&m.bias_1, n, state, s, hidden, embed, 0);
        OWN(two_layers)(m.weights_2, m.weights_2 + 1, n, state, s, room, second, embed, 0);
        OWN(two_layers)(m.value, m.value + 1, n, state, s, room, value, 1, 0);
        for (int r = 0; r < n; r++)
            for (int i = 0; i < embed; i += LANES) {
                const float *of_agents = q + (row + r) * m.agents, *w = first + r * many + i;
                Vector h = OWN(load)(hidden + r * embed + i);
                for (int a = 0; a < m.agents; a++) h += of_agents[a] * OWN(size)(OWN(load)(w + a * embed));
                const Vector grown = OWN(exponential)(h) - 1.0f;
                for (int j = 0; j < LANES; j++) h[j] = h[j] < 0 ? grown[j] : h[j]; /* ELU */
                OWN(store)(hidden + r * embed + i, h);
            }
        for (int r = 0; r < n; r++)
            mixed[row + r] = value[r] + OWN(product)(hidden + r * embed, second + r * embed, embed, 0);
    }
    free(memory);
    return 0;
}

/* What a group of roll-outs is at: `next` is what it needs room for. */
typedef struct {
    float *seen;   /* (GROUP agents, hidden + obs) */
    float *known;  /* (GROUP, 4 joint): z^sa, z^s, phi^sa, s */
    float *with_z; /* (GROUP, acted): z^s, e(a) */
    float *with_s; /* (GROUP, acted): s, e(a) */
    float *state, *change; /* (GROUP, joint) */
    float *policy; /* (GROUP, 2 joint): z^s, phi^s */
    float *logits; /* (GROUP, choices) */
    float *room;   /* (GROUP agents, width) */
} OWN(Group);

/* The imagined policy's actions in a state, from z^s and s, into `actions` (n, agents). */
TARGET static void OWN(act)(const Model *m, int n, OWN(Group) * g, int64_t *actions)
{
    const int joint = m->joint;
    OWN(copy)(g->with_z, m->acted, g->policy, 2 * joint, n, joint);
    OWN(apply)(&m->policy_phi, n, g->state, joint, g->policy + joint, 2 * joint, 0);
    OWN(avg_l1_norm)(g->policy + joint, n, 2 * joint, joint);
    OWN(net)(&m->policy, n, g->policy, 2 * joint, g->room, g->logits, m->choices);
    const float *logits = g->logits;
    for (int r = 0; r < n * m->agents; r++, logits += m->actions) {
        actions[r] = 0;
        for (int a = 1; a < m->actions; a++)
            if (logits[a] > logits[actions[r]]) actions[r] = a;
    }
}

/* The next state, from z^s, s and actions. */
TARGET static void OWN(go_on)(const Model *m, int n, OWN(Group) * g, const int64_t *actions)
{
    const int joint = m->joint, acted = m->acted;
    OWN(copy)(g->state, joint, g->with_s, acted, n, joint);
    for (int r = 0; r < n; r++)
        for (int i = 0; i < m->agents * m->embedded; i++) {
            const int64_t action = actions[r * m->agents + i / m->embedded];
            const float number = m->action_embedding[i % m->embedded * m->actions + action];
            g->with_z[r * acted + joint + i] = g->with_s[r * acted + joint + i] = number;
        }
    float *known = g->known;
    OWN(two_layers)(&m->g_first, &m->g_last, n, g->with_z, acted, g->room, known, 4 * joint, 0);
    OWN(copy)(g->with_z, acted, known + joint, 4 * joint, n, joint);
    OWN(apply)(&m->phi, n, g->with_s, acted, known + 2 * joint, 4 * joint, 0);
    OWN(avg_l1_norm)(known + 2 * joint, n, 4 * joint, joint);
    OWN(copy)(g->state, joint, known + 3 * joint, 4 * joint, n, joint);
    OWN(net)(&m->prior, n, known, 4 * joint, g->room, g->change, joint);
    for (int i = 0; i < n * joint; i++) g->state[i] += g->change[i];
}

/* The first state: the posterior's mean. */
TARGET static void OWN(begin)(const Model *m, int n, OWN(Group) * g, const float *hidden,
                              const float *obs)
{
    const int seen = m->hidden + m->obs;
    for (int r = 0; r < n * m->agents; r++, hidden += m->hidden, obs += m->obs) {
        float *to = g->seen + r * seen;
        for (int i = 0; i < m->hidden; i++)
            to[i] = (hidden[i] - m->hidden_mean[i]) / m->hidden_deviation[i];
        for (int i = 0; i < m->obs; i++)
            to[m->hidden + i] = (obs[i] - m->obs_mean[i]) / m->obs_deviation[i];
    }
    OWN(net)(&m->posterior, n * m->agents, g->seen, seen, g->room, g->state, m->latent);
}

/* Roll-outs in latent space (world_model.py, `imagine`), of the means.
 *
 * hidden (steps, agents, hidden), obs (steps, agents, obs), actions (steps, agents) and, written to,
 * latents (steps, horizon + 1, joint). `weights` are those of `fill_model`, `sizes` those of
 * `sized_model`. Returns 0, or 1 where there is no memory.
 */
TARGET int OWN(imagine)(const float *hidden, const float *obs, const int64_t *actions,
                        const float *const *weights, float *latents, int steps, int horizon,
                        const int *sizes)
{
    Model m = sized_model(sizes);
    const int joint = m.joint, out = (horizon + 1) * joint;
    const long seen = m.agents * (m.hidden + m.obs), wide = m.agents * rounded(m.width);
    const long per_step = seen + 8 * joint + 2 * m.acted + m.choices + wide;
    float *memory = calloc(model_size(&m) + GROUP * per_step, sizeof(float)), *room = memory;
    int64_t *chosen = malloc(GROUP * m.agents * sizeof(int64_t));
    if (!memory || !chosen) {
        free(memory);
        free(chosen);
        return 1;
    }
    fill_model(&m, weights, &room);
    OWN(Group) g = {.seen = room};
    g.known = g.seen + GROUP * seen;
    g.with_z = g.known + GROUP * 4 * joint;
    g.with_s = g.with_z + GROUP * m.acted;
    g.state = g.with_s + GROUP * m.acted;
    g.change = g.state + GROUP * joint;
    g.policy = g.change + GROUP * joint;
    g.logits = g.policy + GROUP * 2 * joint;
    g.room = g.logits + GROUP * m.choices;
    for (long step = 0; step < steps; step += GROUP) {
        const int n = steps - step < GROUP ? steps - step : GROUP;
        float *to = latents + step * out;
        OWN(begin)(&m, n, &g, hidden + step * m.agents * m.hidden, obs + step * m.agents * m.obs);
        memcpy(chosen, actions + step * m.agents, n * m.agents * sizeof(int64_t));
        OWN(copy)(g.state, joint, to, out, n, joint);
        for (int depth = 1; depth <= horizon; depth++) {
            OWN(two_layers)(&m.f_first, &m.f_last, n, g.state, joint, g.room, g.with_z, m.acted, 0);
            OWN(avg_l1_norm)(g.with_z, n, m.acted, joint);
            if (depth > 1) OWN(act)(&m, n, &g, chosen);
            OWN(go_on)(&m, n, &g, chosen);
            OWN(copy)(g.state, joint, to + depth * joint, out, n, joint);
        }
    }
    free(chosen);
    free(memory);
    return 0;
}

#undef Vector
#undef Integers
#undef INLINE
