/* Values of agents' actions, for one instruction set (native.c). */

/* For each of n rows and each action, what AvgL1Norm multiplies phi^oa by. */
TARGET static void OWN(norms)(const Agent *a, const Shared *s, int n)
{
    const int stride = rounded(a->actions);
    for (int r = 0; r < n; r++)
        for (int first = 0; first < a->actions; first += LANES) {
            const float *from = s->from_obs + r * a->embedding;
            Vector sum = {0};
            for (int i = 0; i < a->embedding; i++)
                sum += OWN(size)(from[i] + OWN(load)(a->phi_of + i * stride + first));
            const Vector mean = sum / (float)a->embedding, least = (Vector){0} + 1e-8f;
            OWN(store)(s->by + r * stride + first, 1.0f / OWN(pick)(mean < least, least, mean));
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
    OWN(apply)(&a->pair_phi, n, s->from_obs, a->embedding, s->from_phi, a->head_dim, 0);
    OWN(apply)(&a->state, n, s->known, known, s->from_state, a->head_dim, 0);
    OWN(apply)(&a->per_action, n, s->known, known, s->per_action, a->actions, 0);
    OWN(norms)(a, s, n);
}

/* For row r's action: into x g's hidden layer, into y what the head's layer has but for that. */
INLINE void OWN(take)(const Agent *a, const Shared *s, int r, long action, float *restrict x,
                      float *restrict y)
{
    const float *from = s->from_z + r * a->wide, *add = a->of_g + action * a->wide;
    for (int i = 0; i < a->wide; i++) x[i] = from[i] + add[i] < 0 ? 0 : from[i] + add[i];
    const float by = s->by[r * rounded(a->actions) + action], *more = a->of_pair;
    const float *state = s->from_state + r * a->head_dim, *phi = s->from_phi + r * a->head_dim;
    more += action * a->head_dim;
    for (int i = 0; i < a->head_dim; i++) y[i] = state[i] + by * (phi[i] + more[i]);
}

/* head(relu(from_state + W [relu(from_z + of_g) ; avg_l1_norm(from_obs + of_phi)])) of the legal
 * actions of n rows, added to `values`. x and y have room for a GROUP of inputs and outputs of
 * `pair_g`. */
TARGET static void OWN(candidates)(const Agent *a, const Shared *s, const uint8_t *legal,
                                   float *values, int n, float *x, float *y)
{
    const int wide = a->wide, stride = a->pair_g.stride, pairs = n * a->actions;
    int where[GROUP], found = 0;
    for (int pair = 0; pair < pairs; pair++) {
        if (legal[pair]) {
            const int row = pair / a->actions, action = pair % a->actions;
            OWN(take)(a, s, row, action, x + found * wide, y + found * stride);
            where[found++] = pair;
        }
        if (found < GROUP && pair + 1 < pairs) continue;
        OWN(apply)(&a->pair_g, found, x, wide, y, stride, 1);
        for (int p = 0; p < found; p++)
            values[where[p]] += OWN(product)(y + p * stride, a->head, a->head_dim, 1);
        found = 0;
    }
}

/* The values of n rows' chosen actions, into values (n) and, or NULL, kept (n, .); x and y as for
 * `candidates`. */
TARGET static void OWN(choice)(const Agent *a, const Shared *s, const int64_t *chosen,
                               float *values, float *kept, int n, float *x, float *y)
{
    const Kept at = kept_of(a);
    const int wide = a->wide, stride = a->pair_g.stride;
    for (int r = 0; r < n; r++) OWN(take)(a, s, r, chosen[r], x + r * wide, y + r * stride);
    OWN(apply)(&a->pair_g, n, x, wide, y, stride, 1);
    for (int r = 0; r < n; r++)
        values[r] = s->per_action[r * a->actions + chosen[r]] +
                    OWN(product)(y + r * stride, a->head, a->head_dim, 1);
    if (!kept) return;
    OWN(relu)(y, n * stride);
    OWN(copy)(s->known + a->hidden, a->hidden + a->embedding, kept, at.all, n, a->embedding);
    OWN(copy)(x, wide, kept + at.x, at.all, n, wide);
    OWN(copy)(y, stride, kept + at.y, at.all, n, a->head_dim);
    for (int r = 0; r < n; r++, kept += at.all) {
        const float by = s->by[r * rounded(a->actions) + chosen[r]];
        const float *from = s->from_obs + r * a->embedding;
        const float *add = a->of_phi + chosen[r] * a->embedding;
        for (int i = 0; i < a->embedding; i++) kept[at.x + wide + i] = by * (from[i] + add[i]);
        kept[at.size] = 1 / by;
    }
}

/* Agents' values of actions.
 *
 * hidden (rows, hidden), obs (rows, obs). Either may be NULL: legal (rows, actions), whose values
 * are written to `values`, of the same shape, and of other actions what the hidden state alone says
 * of them; chosen (rows), whose values are written to `of_chosen` and, or NULL, kept (rows, .) for
 * `sale_values_back`. Returns 0, or 1 where there is no memory.
 */
TARGET static int OWN(sale_values)(const Agent *a, const float *hidden, const float *obs,
                                   const uint8_t *legal, const int64_t *chosen, float *values,
                                   float *of_chosen, float *kept, long rows, Scratch *spare)
{
    const int all = kept_of(a).all;
    const long size = shared_size(a) + GROUP * (a->wide + rounded(a->head_dim)) + 2 * WIDEST;
    float *x = scratch(spare, size);
    if (!x) return 1;
    const Shared s = make_shared(a, &x);
    float *y = x + GROUP * a->wide;
    for (long row = 0; row < rows; row += GROUP) {
        const int n = rows - row < GROUP ? (int)(rows - row) : GROUP;
        OWN(share)(a, &s, hidden + row * a->hidden, obs + row * a->obs, n);
        if (legal) {
            float *found = values + row * a->actions;
            OWN(copy)(s.per_action, a->actions, found, a->actions, n, a->actions);
            OWN(candidates)(a, &s, legal + row * a->actions, found, n, x, y);
        }
        if (chosen)
            OWN(choice)(a, &s, chosen + row, of_chosen + row, kept ? kept + row * all : NULL, n, x,
                        y);
    }
    return 0;
}

/* The gradients of `sale_values`' hidden, and of what learns from it, from that of its chosen
 * values: phi, per_action and state (weight and bias each), pair, head. `weights` are those of
 * `fill_agent`. Returns 0, or 1 where there is no memory. */
TARGET static int OWN(sale_values_back)(const float *hidden, const float *obs,
                                        const int64_t *chosen, const Agent *of,
                                        const float *const *weights, const float *kept,
                                        const float *of_values, float *of_hidden,
                                        float *const *of_weights, long rows, Scratch *spare)
{
    const Agent a = *of;
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
    float *room = scratch(spare, size);
    if (!room) return 1;
    const float *per_action = weights[8], *state = weights[10], *head = weights[13];
    const Layer to_phi = backwards(weights[12] + a.wide, pair, a.embedding, a.head_dim, &room);
    const Layer to_hidden = backwards(state, known, a.hidden, a.head_dim, &room);
    const Layer from_action = backwards(per_action, a.hidden, a.hidden, a.actions, &room);
    const Gradient for_phi = new_gradient(a.embedding, seen, &room);
    const Gradient for_action = new_gradient(a.actions, a.hidden, &room);
    const Gradient for_state = new_gradient(a.head_dim, known, &room);
    const Gradient for_pair = new_gradient(a.head_dim, pair, &room);
    float *for_head = reserve(&room, a.head_dim), *h = reserve(&room, GROUP * of_known);
    float *x = reserve(&room, GROUP * of_pair), *o = reserve(&room, GROUP * of_seen);
    float *grad_y = reserve(&room, GROUP * of_y), *grad_phi = reserve(&room, GROUP * of_phi);
    float *grad_a = reserve(&room, GROUP * of_a), *grad_h = room;
    memset(for_head, 0, a.head_dim * sizeof(float));
    for (long row = 0; row < rows; row += GROUP) {
        const int n = rows - row < GROUP ? (int)(rows - row) : GROUP;
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
        OWN(apply)(&to_hidden, n, grad_y, of_y, grad_h, a.hidden, 0);
        OWN(apply)(&from_action, n, grad_a, of_a, grad_h, a.hidden, 1);
        OWN(copy)(grad_h, a.hidden, of_hidden + row * a.hidden, a.hidden, n, a.hidden);
    }
    give(&for_phi, of_weights[0], of_weights[1]);
    give(&for_action, of_weights[2], of_weights[3]);
    give(&for_state, of_weights[4], of_weights[5]);
    give(&for_pair, of_weights[6], NULL);
    memcpy(of_weights[7], for_head, a.head_dim * sizeof(float));
    return 0;
}
