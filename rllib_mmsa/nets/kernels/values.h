/* Values of agents' actions, for one instruction set (kernels.c). */

/* What the values of rows' actions are made of; see `candidate_values`. */
typedef struct {
    const float *from_z, *from_obs, *from_state;
    const uint8_t *legal;
    float *values;
} OWN(Rows);

/* head(relu(from_state + W [relu(from_z + of_g) ; avg_l1_norm(from_obs + of_phi)])) of legal
 * actions, added to `values`. x and y have room for a GROUP of inputs and outputs of `pair`. */
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
TARGET int OWN(candidate_values)(const float *from_z, const float *from_obs,
                                 const float *from_state, const uint8_t *legal, const float *of_g,
                                 const float *of_phi, const float *weight, const float *head,
                                 float *values, int rows, int actions, int wide, int embedding,
                                 int head_dim)
{
    Agent a = {.actions = actions,
               .wide = wide,
               .embedding = embedding,
               .head_dim = head_dim,
               .of_g = of_g,
               .of_phi = of_phi,
               .head = head};
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
 * are those of `fill_agent`, `sizes` those of `sized_agent`. Returns 0, or 1 where there is no
 * memory.
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
    float *o = known + GROUP * joined, *from_z = o + GROUP * a.obs,
          *from_obs = from_z + GROUP * a.wide;
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
