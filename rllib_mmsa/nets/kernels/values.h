/* Values of agents' actions, for one instruction set (kernels.c). */

/* Row r's action, before norm and head: into x [g's hidden layer ; phi], into y what the state
 * gives the head. */
INLINE void OWN(take)(const Agent *a, const Shared *s, int r, long action, float *x, float *y)
{
    const float *from = s->from_z + r * a->wide, *add = a->of_g + action * a->wide;
    for (int i = 0; i < a->wide; i++) x[i] = from[i] + add[i] < 0 ? 0 : from[i] + add[i];
    x += a->wide, from = s->from_obs + r * a->embedding, add = a->of_phi + action * a->embedding;
    for (int i = 0; i < a->embedding; i++) x[i] = from[i] + add[i];
    OWN(copy)(s->from_state + r * a->head_dim, 0, y, 0, 1, a->head_dim);
}

/* head(relu(from_state + W [relu(from_z + of_g) ; avg_l1_norm(from_obs + of_phi)])) of the legal
 * actions of n rows, added to `values`. x and y have room for a GROUP of inputs and outputs of
 * `pair`. */
TARGET static void OWN(candidates)(const Agent *a, const Shared *s, const uint8_t *legal,
                                   float *values, int n, float *x, float *y)
{
    const int inputs = a->wide + a->embedding, stride = a->pair.stride, pairs = n * a->actions;
    int where[GROUP], found = 0;
    for (int pair = 0; pair < pairs; pair++) {
        if (legal[pair]) {
            const int row = pair / a->actions, action = pair % a->actions;
            OWN(take)(a, s, row, action, x + found * inputs, y + found * stride);
            where[found++] = pair;
        }
        if (found < GROUP && pair + 1 < pairs) continue;
        OWN(avg_l1_norm)(x + a->wide, found, inputs, a->embedding, NULL);
        OWN(apply)(&a->pair, found, x, inputs, y, stride, 1);
        for (int p = 0; p < found; p++)
            values[where[p]] += OWN(product)(y + p * stride, a->head, a->head_dim, 1);
        found = 0;
    }
}

/* What the values of a row's actions share, before the head, into s. */
TARGET static void OWN(share)(const Agent *a, const Shared *s, const float *hidden,
                              const float *obs, int n)
{
    const int known = a->hidden + a->embedding;
    float *z = s->known + a->hidden;
    OWN(copy)(obs, a->obs, s->obs, a->obs, n, a->obs);
    OWN(copy)(hidden, a->hidden, s->known, known, n, a->hidden);
    OWN(two_layers)(&a->f_first, &a->f_last, n, s->obs, a->obs, s->room, z, known, 0);
    OWN(avg_l1_norm)(z, n, known, a->embedding, NULL);
    OWN(apply)(&a->g_first, n, z, known, s->from_z, a->wide, 0);
    OWN(apply)(&a->phi, n, s->obs, a->obs, s->from_obs, a->embedding, 0);
    OWN(apply)(&a->state, n, s->known, known, s->from_state, a->head_dim, 0);
    OWN(apply)(&a->per_action, n, s->known, known, s->per_action, a->actions, 0);
}

/* The values of n rows' chosen actions, into values (n) and, or NULL, kept (n, .); x, y and norms
 * have room for a GROUP. */
TARGET static void OWN(choice)(const Agent *a, const Shared *s, const int64_t *chosen,
                               float *values, float *kept, int n, float *x, float *y, float *norms)
{
    const Kept at = kept_of(a);
    const int pair = a->wide + a->embedding, stride = a->pair.stride;
    for (int r = 0; r < n; r++) OWN(take)(a, s, r, chosen[r], x + r * pair, y + r * stride);
    OWN(avg_l1_norm)(x + a->wide, n, pair, a->embedding, norms);
    OWN(apply)(&a->pair, n, x, pair, y, stride, 1);
    for (int r = 0; r < n; r++)
        values[r] = s->per_action[r * a->actions + chosen[r]] +
                    OWN(product)(y + r * stride, a->head, a->head_dim, 1);
    if (!kept) return;
    OWN(relu)(y, n * stride);
    OWN(copy)(s->known + a->hidden, a->hidden + a->embedding, kept, at.all, n, a->embedding);
    OWN(copy)(x, pair, kept + at.x, at.all, n, pair);
    OWN(copy)(y, stride, kept + at.y, at.all, n, a->head_dim);
    OWN(copy)(norms, 1, kept + at.size, at.all, n, 1);
}

/* Agents' values of actions, of the rows `from` to `to`.
 *
 * hidden (rows, hidden), obs (rows, obs). `packed` is of `pack_agent`, `sizes` of `sized_agent`.
 * Either may be NULL: legal (rows, actions), whose values are written to `values`,
 * of the same shape, and of other actions what the hidden state alone says of them; chosen (rows),
 * whose values are written to `of_chosen` and, or NULL, kept (rows, .) for `sale_values_back`.
 * Returns 0, or 1 where there is no memory.
 */
TARGET int OWN(sale_values)(const float *hidden, const float *obs, const uint8_t *legal,
                            const int64_t *chosen, const float *packed, float *values,
                            float *of_chosen, float *kept, int from, int to, const int *sizes)
{
    Agent a = sized_agent(sizes);
    const int pair = a.wide + a.embedding, all = kept_of(&a).all;
    const long size = shared_size(&a) + GROUP * (pair + rounded(a.head_dim) + 1);
    float *memory = malloc(size * sizeof(float)), *x = memory, *weights = (float *)packed;
    if (!memory) return 1;
    fill_agent(&a, NULL, &weights);
    const Shared s = make_shared(&a, &x);
    float *y = x + GROUP * pair, *norms = y + GROUP * a.pair.stride;
    for (long row = from; row < to; row += GROUP) {
        const int n = to - row < GROUP ? to - row : GROUP;
        OWN(share)(&a, &s, hidden + row * a.hidden, obs + row * a.obs, n);
        if (legal) {
            float *found = values + row * a.actions;
            OWN(copy)(s.per_action, a.actions, found, a.actions, n, a.actions);
            OWN(candidates)(&a, &s, legal + row * a.actions, found, n, x, y);
        }
        if (chosen)
            OWN(choice)(&a, &s, chosen + row, of_chosen + row, kept ? kept + row * all : NULL, n, x,
                        y, norms);
    }
    free(memory);
    return 0;
}

/* The gradients of `sale_values`' hidden (or NULL), and of what learns from it, from that of its
 * chosen values, of the rows `from` to `to`: phi, per_action and state (weight and bias each),
 * pair, head. `weights` are those of `fill_agent`. Returns 0, or 1 where there is no memory. */
TARGET int OWN(sale_values_back)(const float *hidden, const float *obs, const int64_t *chosen,
                                 const float *const *weights, const float *kept,
                                 const float *of_values, float *of_hidden, float *const *of_weights,
                                 int from, int to, const int *sizes)
{
    const Agent a = sized_agent(sizes);
    const Kept at = kept_of(&a);
    const int known = a.hidden + a.embedding, pair = a.wide + a.embedding, seen = a.obs + a.actions;
    const int of_known = rounded(known), of_pair = rounded(pair), of_seen = rounded(seen);
    const int of_y = rounded(a.head_dim) + WIDEST, of_phi = rounded(a.embedding) + WIDEST;
    const int of_a = rounded(a.actions) + WIDEST;
    const long size =
        layer_size(a.head_dim, a.embedding) + layer_size(a.head_dim, a.hidden) +
        layer_size(a.actions, a.hidden) + gradient_size(a.embedding, seen) +
        gradient_size(a.actions, a.hidden) + gradient_size(a.head_dim, known) +
        gradient_size(a.head_dim, pair) + a.head_dim +
        GROUP * ((long)of_known + of_pair + of_seen + of_y + of_phi + of_a + a.hidden);
    float *memory = calloc(size, sizeof(float)), *room = memory;
    if (!memory) return 1;
    const float *per_action = weights[8], *state = weights[10], *head = weights[13];
    const Layer to_phi = backwards(weights[12] + a.wide, pair, a.embedding, a.head_dim, &room);
    const Layer to_hidden = backwards(state, known, a.hidden, a.head_dim, &room);
    const Layer from_action = backwards(per_action, a.hidden, a.hidden, a.actions, &room);
    const Gradient for_phi = make_gradient(a.embedding, seen, &room);
    const Gradient for_action = make_gradient(a.actions, a.hidden, &room);
    const Gradient for_state = make_gradient(a.head_dim, known, &room);
    const Gradient for_pair = make_gradient(a.head_dim, pair, &room);
    float *for_head = reserve(&room, a.head_dim), *h = reserve(&room, GROUP * of_known);
    float *x = reserve(&room, GROUP * of_pair), *o = reserve(&room, GROUP * of_seen);
    float *grad_y = reserve(&room, GROUP * of_y), *grad_phi = reserve(&room, GROUP * of_phi);
    float *grad_a = reserve(&room, GROUP * of_a), *grad_h = room;
    for (long row = from; row < to; row += GROUP) {
        const int n = to - row < GROUP ? to - row : GROUP;
        const float *given = kept + row * at.all;
        OWN(copy)(hidden + row * a.hidden, a.hidden, h, of_known, n, a.hidden);
        OWN(copy)(given, at.all, h + a.hidden, of_known, n, a.embedding);
        OWN(copy)(given + at.x, at.all, x, of_pair, n, pair);
        memset(grad_a, 0, GROUP * of_a * sizeof(float));
        memset(o, 0, GROUP * of_seen * sizeof(float));
        OWN(copy)(obs + row * a.obs, a.obs, o, of_seen, n, a.obs);
        for (int r = 0; r < n; r++) {
            const float of_value = of_values[row + r], *y = given + r * at.all + at.y;
            const int action = chosen[row + r];
            grad_a[r * of_a + action] = of_value;
            o[r * of_seen + a.obs + action] = 1;
            for (int i = 0; i < a.head_dim; i++) {
                for_head[i] += of_value * y[i];
                grad_y[r * of_y + i] = y[i] > 0 ? of_value * head[i] : 0;
            }
        }
        OWN(apply)(&to_phi, n, grad_y, of_y, grad_phi, of_phi, 0);
        for (int r = 0; r < n; r++)
            OWN(avg_l1_norm_back)(x + r * of_pair + a.wide, given[r * at.all + at.size],
                                  a.embedding, grad_phi + r * of_phi);
        OWN(add_product)(&for_phi, n, grad_phi, of_phi, o, of_seen);
        OWN(add_product)(&for_action, n, grad_a, of_a, h, of_known);
        OWN(add_product)(&for_state, n, grad_y, of_y, h, of_known);
        OWN(add_product)(&for_pair, n, grad_y, of_y, x, of_pair);
        if (!of_hidden) continue;
        OWN(apply)(&to_hidden, n, grad_y, of_y, grad_h, a.hidden, 0);
        OWN(apply)(&from_action, n, grad_a, of_a, grad_h, a.hidden, 1);
        OWN(copy)(grad_h, a.hidden, of_hidden + row * a.hidden, a.hidden, n, a.hidden);
    }
    give(&for_phi, of_weights[0], of_weights[1]);
    give(&for_action, of_weights[2], of_weights[3]);
    give(&for_state, of_weights[4], of_weights[5]);
    give(&for_pair, of_weights[6], NULL);
    memcpy(of_weights[7], for_head, a.head_dim * sizeof(float));
    free(memory);
    return 0;
}
