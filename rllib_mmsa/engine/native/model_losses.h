/* The losses of SALE and of the world model with all their gradients, for one instruction set
 * (native.c): what sale.py, world_model.py, update.py and losses.py (rllib_mmsa/method) say. */

/* (x - sg(z'))^2, z' the embedding of the step after: the loss, and the gradients at x (rows, size)
 * that `of_loss` times it has. z (rows, stride); before, weights: see `sale_loss`. */
TARGET static float OWN(error_of_next)(const float *x, const float *z, int stride,
                                       const int *before, const float *weights, float of_loss,
                                       long rows, int size, float *of_x)
{
    memset(of_x, 0, rows * size * sizeof(float));
    double total = 0;
    for (long r = 0; r < rows; r++)
        if (before[r] >= 0)
            total += OWN(squared_error)(x + (long)before[r] * size, z + r * stride, weights + r,
                                        of_loss / size, 1, size, of_x + (long)before[r] * size);
    return (float)(total / size);
}

/* L(f, g) = (g(z, a) - sg(z'))^2, z = f(x), z' that of the step after (sale.py): the loss, and the
 * gradients that `of_loss` times it has.
 *
 * x (rows, x_stride), picked (rows) actions or NULL: they lie in s->pair. before (rows), the row
 * one step before each or -1, weights of the rows after.
 */
TARGET static float OWN(sale_loss)(const Sale *s, const float *x, int x_stride, const int *picked,
                                   const int *before, const float *weights, float of_loss,
                                   long rows, float *room)
{
    const int size = s->size, stride = s->stride;
    OWN(forwards)(&s->f, x, x_stride, NULL, s->of_f, s->pair, stride, rows);
    OWN(avg_l1_norm)(s->pair, rows, stride, size, s->norms);
    OWN(forwards)(&s->g, s->pair, stride, picked, s->of_g, s->z_a, size, rows);
    const float loss = OWN(error_of_next)(s->z_a, s->pair, stride, before, weights, of_loss, rows,
                                          size, s->of_z_a);
    if (of_loss != 0) {
        Learned g = s->g;
        g.to_x.outputs = size; /* e(a) gets none */
        OWN(backwards)(&g, s->pair, stride, picked, s->of_g, s->of_z_a, size, s->of_z, rows, room);
        OWN(norm_back)(s->pair, stride, s->norms, rows, size, s->of_z);
        OWN(backwards)(&s->f, x, x_stride, NULL, s->of_f, s->of_z, size, NULL, rows, room);
    }
    return loss;
}

/* What the prior reads at each row: all of the step before, zeros where there is none. */
TARGET static void OWN(read_before)(World *w)
{
    const Model *m = &w->m;
    const int joint = m->joint, stride = rounded(4 * joint), n = m->agents;
    for (long r = 0; r < w->rows; r++) {
        const long before = w->before[r];
        float *to = w->known + r * stride;
        if (before < 0) memset(to, 0, 4 * joint * sizeof(float));
        for (int i = 0; i < n; i++)
            w->picked_before[r * n + i] = before < 0 ? -1 : w->picked[before * n + i];
        if (before < 0) continue;
        OWN(copy)(w->sale.z_a + before * joint, 0, to, 0, 1, joint);
        OWN(copy)(w->sale.pair + before * w->sale.stride, 0, to + joint, 0, 1, joint);
        OWN(copy)(w->phi + before * joint, 0, to + 2 * joint, 0, 1, joint);
        OWN(copy)(w->q.sample + before * joint, 0, to + 3 * joint, 0, 1, joint);
    }
}

/* Posterior, embeddings and prior of all rows; the loss of the latents' encoders on the way. */
TARGET static void OWN(believe)(World *w, float *losses)
{
    const Model *m = &w->m;
    const int joint = m->joint, seen = rounded(m->hidden + m->obs), known = rounded(4 * joint);
    const int acts = rounded(m->acted), stride = w->sale.stride;
    const long rows = w->rows, each = rows * m->agents;
    OWN(copy)(w->hidden, m->hidden, w->read, seen, each, m->hidden);
    OWN(copy)(w->obs, m->obs, w->read + m->hidden, seen, each, m->obs);
    OWN(forwards)
    (&w->posterior, w->read, seen, NULL, w->of_posterior, w->found_q, 2 * m->latent, each);
    OWN(draw)(w->found_q, w->noise, &w->q, each, m->latent);
    for (long i = 0; i < each; i++) w->picked[i] = i % m->agents * m->actions + w->taken[i];
    OWN(copy)(w->q.sample, joint, w->acted, acts, rows, joint);
    OWN(embed_actions)(w, w->picked, rows, w->acted, acts);
    OWN(copy)(w->acted + joint, acts, w->sale.pair + joint, stride, rows, m->acted - joint);
    losses[6] = OWN(sale_loss)(&w->sale, w->acted, acts, NULL, w->before, w->after, w->by[OF_SALE],
                               rows, w->room);
    OWN(forwards)(&w->phi_net, w->acted, acts, NULL, w->of_phi_net, w->phi, joint, rows);
    OWN(avg_l1_norm)(w->phi, rows, joint, joint, w->norms);
    OWN(read_before)(w);
    OWN(forwards)
    (&w->prior, w->known, known, w->picked_before, w->of_prior, w->found_p, 2 * joint, rows);
    for (long r = 0; r < rows; r++)
        OWN(add)(w->found_p + 2 * r * joint, w->known + r * known + 3 * joint, joint);
    OWN(draw)(w->found_p, w->prior_noise, &w->p, rows, joint);
    OWN(divergences)(&w->q, &w->p, w->seen, w->by, rows, joint, &w->of_q, &w->of_p, losses);
}

/* The errors of what n samples are decoded into, from `row` on, and their gradients. */
TARGET static void OWN(decoding_errors)(World *w, long row, int n, double *errors)
{
    const Model *m = &w->m;
    const int joint = m->joint, states = m->agents * m->hidden, heads = m->obs + m->actions;
    const float *by = w->by;
    for (int r = 0; r < n; r++) { /* three means over `joint` numbers each */
        const float *const parts[] = {w->sale.z_a + (row + r) * joint,
                                      w->sale.pair + (row + r) * w->sale.stride,
                                      w->phi + (row + r) * joint};
        for (int p = 0; p < 3; p++)
            errors[0] += OWN(squared_error)(w->embedded + (3 * r + p) * joint, parts[p],
                                            w->learned + row + r, by[OF_EMBEDDINGS] / joint, 1,
                                            joint, w->of_embedded + (3 * r + p) * joint);
    }
    errors[1] += OWN(squared_error)(w->decoded, w->hidden + row * states, w->seen + row,
                                    by[OF_HIDDEN] / states, n, states, w->of_decoded);
    for (int r = 0; r < n * m->agents; r++) {
        const long at = row * m->agents + r;
        const float *found = w->headed + r * heads, *weight = w->seen + at / m->agents;
        float *grad = w->of_headed + r * heads;
        errors[2] += OWN(squared_error)(found, w->obs + at * m->obs, weight,
                                        by[OF_HEADS] / (m->agents * m->obs), 1, m->obs, grad);
        errors[3] += OWN(mask_error)(found + m->obs, w->legal + at * m->actions, weight,
                                     by[OF_HEADS] / m->choices, 1, m->actions, grad + m->obs);
    }
}

/* What n samples are decoded into, from `row` on: errors, and gradients at the samples. All layers
 * of some rows, forwards and back, stay in the nearer caches. */
TARGET static void OWN(decode)(World *w, long row, int n, double *errors)
{
    const Model *m = &w->m;
    const int joint = m->joint, states = m->agents * m->hidden;
    const int heads = m->agents * (m->obs + m->actions);
    const float *latents = w->latents + row * joint;
    OWN(forwards)
    (&w->embeddings, latents, joint, NULL, w->of_embeddings_net, w->embedded, 3 * joint, n);
    OWN(forwards)
    (&w->states, w->embedded, 3 * joint, NULL, w->of_states_net, w->decoded, states, n);
    OWN(forwards)(&w->heads, latents, joint, NULL, w->of_heads, w->headed, heads, n);
    OWN(decoding_errors)(w, row, n, errors);
    if (!w->learns) return;
    OWN(backwards)
    (&w->states, w->embedded, 3 * joint, NULL, w->of_states_net, w->of_decoded, states,
     w->of_states, n, w->room);
    OWN(add)(w->of_embedded, w->of_states, 3L * n * joint);
    OWN(backwards)
    (&w->embeddings, latents, joint, NULL, w->of_embeddings_net, w->of_embedded, 3 * joint,
     w->of_latents, n, w->room);
    OWN(backwards)
    (&w->heads, latents, joint, NULL, w->of_heads, w->of_headed, heads, w->of_heads_read, n,
     w->room);
    OWN(add)(w->of_latents, w->of_heads_read, (long)n * joint);
}

/* L_REC: errors of what samples of either are decoded into, and the gradients at the samples. */
TARGET static void OWN(reconstruct)(World *w, float *losses)
{
    const Model *m = &w->m;
    const int joint = m->joint;
    double errors[4] = {0};
    for (long r = 0; r < w->rows; r++)
        OWN(copy)
        ((w->first[r] ? w->q.sample : w->p.sample) + r * joint, 0, w->latents + r * joint, 0, 1,
         joint);
    for (long row = 0; row < w->rows; row += GROUP) {
        const int n = w->rows - row < GROUP ? (int)(w->rows - row) : GROUP;
        OWN(decode)(w, row, n, errors);
        for (long r = row; r < row + n && w->learns; r++) {
            float *to_q = w->of_q.sample + r * joint, *to_p = w->of_p.sample + r * joint;
            memset(w->first[r] ? to_p : to_q, 0, joint * sizeof(float));
            OWN(copy)(w->of_latents + (r - row) * joint, 0, w->first[r] ? to_q : to_p, 0, 1, joint);
        }
    }
    const int counts[4] = {joint, m->agents * m->hidden, m->agents * m->obs, m->choices};
    for (int i = 0; i < 4; i++) losses[2 + i] = (float)(errors[i] / counts[i]);
}

/* The imagination's policy, which learns what the agents do, and moves no latent. */
TARGET static void OWN(imitate)(World *w, float *losses)
{
    const Model *m = &w->m;
    const int joint = m->joint;
    const long rows = w->rows;
    float *read = w->policy_read, *phi = w->spare;
    OWN(forwards)(&w->sale.f, w->latents, joint, NULL, w->of_encoder, read, 2 * joint, rows);
    OWN(avg_l1_norm)(read, rows, 2 * joint, joint, NULL);
    OWN(forwards)(&w->policy_phi, w->latents, joint, NULL, w->of_policy_phi, phi, joint, rows);
    OWN(avg_l1_norm)(phi, rows, joint, joint, w->policy_norms);
    OWN(copy)(phi, joint, read + joint, 2 * joint, rows, joint);
    OWN(forwards)(&w->policy, read, 2 * joint, NULL, w->of_policy_net, w->logits, m->choices, rows);
    double same = 0;
    const double error =
        OWN(policy_error)(w->logits, w->greedy, w->seen, w->by[OF_POLICY] / m->agents, rows,
                          m->agents, m->actions, w->of_logits, &same);
    losses[7] = error / m->agents, losses[8] = same / m->agents;
    if (w->by[OF_POLICY] == 0) return;
    OWN(backwards)
    (&w->policy, read, 2 * joint, NULL, w->of_policy_net, w->of_logits, m->choices, w->spare, rows,
     w->room);
    OWN(norm_back)(read + joint, 2 * joint, w->policy_norms, rows, joint, w->spare);
    OWN(backwards)
    (&w->policy_phi, w->latents, joint, NULL, w->of_policy_phi, w->spare, joint, NULL, rows,
     w->room);
}

/* From the samples back to the prior, to what it read of the step before, and to the posterior. */
TARGET static void OWN(learn)(World *w)
{
    const Model *m = &w->m;
    const int joint = m->joint, acts = rounded(m->acted);
    const long rows = w->rows, each = rows * m->agents;
    float *of_found = w->found_p, *of_phi = w->spare; /* written over, number by number */
    OWN(draw_back)(w->found_p, w->prior_noise, &w->of_p, w->p.std, of_found, rows, joint);
    OWN(backwards)
    (&w->prior, w->known, rounded(4 * joint), w->picked_before, w->of_prior, of_found, 2 * joint,
     w->of_known, rows, w->room);
    memset(of_phi, 0, rows * joint * sizeof(float));
    for (long r = 0; r < rows; r++) {
        const long before = w->before[r];
        if (before < 0) continue;
        float *to = w->of_q.sample + before * joint;
        OWN(copy)(w->of_known + 2 * r * joint, 0, of_phi + before * joint, 0, 1, joint);
        OWN(add)(to, w->of_known + (2 * r + 1) * joint, joint);
        OWN(add)(to, of_found + 2 * r * joint, joint); /* residual */
    }
    OWN(norm_back)(w->phi, joint, w->norms, rows, joint, of_phi);
    OWN(backwards)
    (&w->phi_net, w->acted, acts, NULL, w->of_phi_net, of_phi, joint, w->of_acted, rows, w->room);
    for (long r = 0; r < rows; r++)
        OWN(add)(w->of_q.sample + r * joint, w->of_acted + r * m->acted, joint);
    OWN(embed_actions_back)(w, w->picked, rows, w->of_acted);
    OWN(draw_back)(w->found_q, w->noise, &w->of_q, w->q.std, w->found_q, each, m->latent);
    OWN(backwards)
    (&w->posterior, w->read, rounded(m->hidden + m->obs), NULL, w->of_posterior, w->found_q,
     2 * m->latent, NULL, each, w->room);
}

/* All losses of the world model (method/losses.py), and their gradients into its tensors: those of
 * `lay_out_nets`, zeros before. w: sizes, data and weights of losses. losses: kl_prior,
 * kl_balanced, embeddings, hidden, obs, mask, sale, policy, how often the policy's action is the
 * greedy one, and those of `follow`. Returns 0, or 1 where there is no memory. */
TARGET static int OWN(model_losses)(World *w, Tensors tensors, float *losses, Scratch *of)
{
    Pool pool = {.of = of};
    Learned *nets[NETS];
    lay_out(w, tensors, &pool);
    if (make_pool(&pool)) return 1;
    lay_out(w, tensors, &pool);
    nets_of(w, nets);
    const int used = NETS - !w->foretells;
    for (int i = 0; i < used; i++) pack_learned(nets[i]);
    for (int i = 0; i < WEIGHED; i++) w->learns |= w->by[i] != 0;
    OWN(believe)(w, losses);
    OWN(reconstruct)(w, losses);
    OWN(imitate)(w, losses);
    if (w->foretells) OWN(follow)(w, losses + 9);
    if (!w->learns) return 0;
    OWN(learn)(w);
    for (int i = 0; i < used; i++) give_learned(nets[i]);
    return 0;
}
