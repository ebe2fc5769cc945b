/* The losses of SALE and of the world model with all their gradients, for one instruction set
 * (native.c). What sale.py, world_model.py, update.py and losses.py (rllib_mmsa/method) say, by default.
 */

/* y = e^x */
TARGET static void OWN(exponentials)(const float *x, float *y, long count)
{
    long i = 0;
    for (; i + LANES <= count; i += LANES) OWN(store)(y + i, OWN(exponential)(OWN(load)(x + i)));
    for (; i < count; i++) y[i] = expf(x[i]);
}

/* (x - y)^2, the sum over numbers and, weighed, over rows (rows, count). `grad`: what `of_loss`
 * times that has for a gradient at x. */
TARGET static double OWN(squared_error)(const float *x, const float *y, const float *weights,
                                        float of_loss, long rows, int count, float *restrict grad)
{
    double total = 0;
    for (long r = 0; r < rows; r++, x += count, y += count, grad += count) {
        const float by = 2 * of_loss * weights[r];
        for (int i = 0; i < count; i++) grad[i] = x[i] - y[i];
        total += weights[r] * OWN(dot)(grad, grad, count);
        for (int i = 0; i < count; i++) grad[i] *= by;
    }
    return total;
}

/* The gradient of AvgL1Norm, whose means are `sizes`, of rows (rows, count), in its place. */
TARGET static void OWN(norm_back)(const float *y, const float *sizes, long rows, int count,
                                  float *of_y)
{
    for (long r = 0; r < rows; r++)
        OWN(avg_l1_norm_back)(y + r * count, sizes[r], count, of_y + r * count);
}

/* Rows that lie one step before each, zeros where there is none. */
TARGET static void OWN(shift)(const float *x, const int *before, long rows, int count, float *y)
{
    memset(y, 0, rows * count * sizeof(float));
    for (long r = 0; r < rows; r++)
        if (before[r] >= 0) OWN(copy)(x + (long)before[r] * count, 0, y + r * count, 0, 1, count);
}

/* y of a network that learns, of the parts of x. */
TARGET static int OWN(forwards)(const Learned *net, Parts x, float *y, long rows)
{
    const int *sizes = net->sizes;
    if (net->layers == 1)
        return OWN(linear)(x.parts, x.widths, x.count, net->weights[0], net->weights[1], y, rows,
                           sizes[0], sizes[2], net->spare);
    return OWN(mlp)(x.parts, x.widths, x.count, net->weights, net->hidden, y, rows, sizes,
                    net->spare);
}

/* The gradients of its weights and, where they are not NULL, of the parts. */
TARGET static int OWN(backwards)(const Learned *net, Parts x, const float *of_y, float *const *of_x,
                                 long rows)
{
    const int *sizes = net->sizes;
    if (net->layers == 1)
        return OWN(linear_back)(x.parts, x.widths, x.count, net->weights[0], of_y, of_x,
                                net->gradients[0], net->gradients[1], rows, sizes[0], sizes[2],
                                net->spare);
    return OWN(mlp_back)(x.parts, x.widths, x.count, net->weights, net->hidden, of_y, of_x,
                         net->gradients, rows, sizes, net->spare);
}

/* L(f, g) = (g(z, a) - sg(z'))^2, z = f(x), z' that of the step after (sale.py).
 *
 * x (rows, inputs), action (rows, numbers), before (rows), the row one step before each or -1,
 * weights of the rows after. parameters: f's and g's first and last weights and biases. Written to:
 * z and z_a (rows, size), the loss, and the gradients that `of_loss` times it has. sizes: rows,
 * inputs, numbers, width, size; kept, spare: see `Pool`. Returns 0, or 1 where there is no memory.
 */
TARGET static int OWN(sale_loss)(const float *x, const float *action, const int *before,
                          const float *weights, float of_loss, const float *const *parameters,
                          float *const *gradients, float *z, float *z_a, float *loss,
                          const int *sizes, Scratch *kept, Scratch *spare)
{
    const long rows = sizes[0];
    const int size = sizes[4];
    Pool pool = {.kept = kept, .spare = spare};
    Learned f, g;
    float *norms, *of_z, *of_z_a;
    for (int time = 0; time < 2; time++) {
        Tensors list = {parameters, gradients};
        if (time && make_pool(&pool)) return 1;
        f = learned(&list, 2, sizes[1], sizes[3], size, rows, &pool);
        g = learned(&list, 2, size + sizes[2], sizes[3], size, rows, &pool);
        norms = block(&pool, rows), of_z = block(&pool, rows * size);
        of_z_a = block(&pool, rows * size);
    }
    const Parts seen = {{x}, {sizes[1]}, 1}, pair = {{z, action}, {size, sizes[2]}, 2};
    int failed = OWN(forwards)(&f, seen, z, rows);
    OWN(avg_l1_norm)(z, rows, size, size, norms);
    failed |= OWN(forwards)(&g, pair, z_a, rows);
    memset(of_z_a, 0, rows * size * sizeof(float));
    double total = 0;
    for (long r = 0; r < rows; r++)
        if (before[r] >= 0)
            total += OWN(squared_error)(z_a + (long)before[r] * size, z + r * size, weights + r,
                                        of_loss / size, 1, size, of_z_a + (long)before[r] * size);
    *loss = total / size;
    float *const asked[] = {of_z, NULL}, *const none[] = {NULL};
    failed |= OWN(backwards)(&g, pair, of_z_a, asked, rows);
    OWN(norm_back)(z, norms, rows, size, of_z);
    return failed | OWN(backwards)(&f, seen, of_z, none, rows);
}

/* A Gaussian's mean and log deviation, from a network's (rows, 2 size) where both lie side by side,
 * and a sample. */
TARGET static void OWN(draw)(const float *found, const float *noise, Normal *to, long rows,
                             int size)
{
    for (long r = 0; r < rows; r++)
        for (int i = 0; i < size; i++) {
            const float log_std = found[2 * r * size + size + i];
            to->mean[r * size + i] = found[2 * r * size + i];
            to->log_std[r * size + i] = log_std < LEAST ? LEAST : log_std > MOST ? MOST : log_std;
        }
    OWN(exponentials)(to->log_std, to->std, rows * size);
    for (long i = 0; i < rows * size; i++) to->sample[i] = to->mean[i] + to->std[i] * noise[i];
}

/* The other way: gradients at mean and log deviation, and that at the sample, to the network's. */
TARGET static void OWN(draw_back)(const float *found, const float *noise, const Normal *of,
                                  const float *std, float *to, long rows, int size)
{
    for (long r = 0; r < rows; r++)
        for (int i = 0; i < size; i++) {
            const long at = r * size + i;
            const float log_std = found[2 * r * size + size + i], given = of->sample[at];
            const int moves = log_std >= LEAST && log_std <= MOST;
            to[2 * r * size + i] = of->mean[at] + given;
            to[2 * r * size + size + i] = moves ? of->log_std[at] + given * noise[at] * std[at] : 0;
        }
}

/* KL[p || N(0, I)] and KL[q || p], their means over rows, with gradients at both (method/losses.py). `by`:
 * what counts of the first at p, and of the second at q and at p. */
TARGET static void OWN(divergences)(const Normal *q, const Normal *p, const float *weights,
                                    const float *by, long rows, int size, Normal *of_q,
                                    Normal *of_p, float *losses)
{
    double of_normal = 0, of_posterior = 0;
    for (long r = 0; r < rows; r++) {
        const float share = weights[r] / size;
        float normal = 0, posterior = 0;
        for (long i = r * size; i < (r + 1) * size; i++) {
            const float variance = p->std[i] * p->std[i], precision = 1 / variance;
            const float apart = q->mean[i] - p->mean[i], distance = apart * apart * precision;
            const float ratio = q->std[i] * q->std[i] * precision;
            normal += 0.5f * (p->mean[i] * p->mean[i] + variance - 1) - p->log_std[i];
            posterior += 0.5f * (ratio + distance - 1) + p->log_std[i] - q->log_std[i];
            of_q->mean[i] = share * by[1] * apart * precision;
            of_q->log_std[i] = share * by[1] * (ratio - 1);
            of_p->mean[i] = share * (by[0] * p->mean[i] - by[2] * apart * precision);
            of_p->log_std[i] = share * (by[0] * (variance - 1) + by[2] * (1 - ratio - distance));
        }
        of_normal += share * normal, of_posterior += share * posterior;
    }
    losses[0] = of_normal, losses[1] = of_posterior;
}

/* Binary cross entropy of logits x (rows, count), else as `squared_error`. */
TARGET static double OWN(mask_error)(const float *x, const float *y, const float *weights,
                                     float of_loss, long rows, int count, float *grad)
{
    double total = 0;
    for (long r = 0; r < rows; r++)
        for (long i = r * count; i < (r + 1) * count; i++) {
            const float low = expf(-fabsf(x[i])), chance = (x[i] > 0 ? 1 : low) / (1 + low);
            total += weights[r] * ((x[i] > 0 ? x[i] : 0) - x[i] * y[i] + log1pf(low));
            grad[i] = of_loss * weights[r] * (chance - y[i]);
        }
    return total;
}

/* -log softmax(x) at `actions`, of agents' logits (rows, agents, count), else as `squared_error`,
 * and how often, into `same`, the likeliest action is meant. */
TARGET static double OWN(policy_error)(const float *x, const int64_t *actions, const float *weights,
                                       float of_loss, long rows, int agents, int count, float *grad,
                                       double *same)
{
    double total = 0;
    for (long r = 0; r < rows * agents; r++, x += count, grad += count) {
        const float weight = weights[r / agents], *at = x + actions[r];
        float sum = 0;
        int best = 0;
        for (int i = 1; i < count; i++) best = x[i] > x[best] ? i : best;
        for (int i = 0; i < count; i++) sum += grad[i] = expf(x[i] - x[best]);
        total += weight * (logf(sum) + x[best] - *at);
        *same += weight * (x + best == at);
        for (int i = 0; i < count; i++) grad[i] *= of_loss * weight / sum;
        grad[at - x] -= of_loss * weight;
    }
    return total;
}

/* Posterior, embeddings and prior of all rows; the loss of the latents' encoders on the way. */
TARGET static int OWN(believe)(World *w, float *losses)
{
    const Model *m = &w->m;
    const int joint = m->joint, acts = m->agents * m->embedded;
    const long rows = w->rows, each = rows * m->agents;
    const Parts seen = {{w->hidden, w->obs}, {m->hidden, m->obs}, 2};
    int failed = OWN(forwards)(&w->posterior, seen, w->found_q, each);
    OWN(draw)(w->found_q, w->noise, &w->q, each, m->latent);
    const float *of_actions = w->of_actions.weights[0];
    for (long i = 0; i < rows * acts; i++)
        w->action[i] = of_actions[i % m->embedded * m->actions + w->taken[i / m->embedded]];
    const int sizes[] = {rows, joint, acts, m->width, joint};
    failed |= OWN(sale_loss)(w->q.sample, w->action, w->before, w->after, w->by[6], w->sale.weights,
                             w->sale.gradients, w->z, w->z_a, losses + 6, sizes, w->of_sale, w->spares);
    const Parts acted = {{w->q.sample, w->action}, {joint, acts}, 2};
    failed |= OWN(forwards)(&w->phi_net, acted, w->phi, rows);
    OWN(avg_l1_norm)(w->phi, rows, joint, joint, w->norms);
    OWN(shift)(w->z_a, w->before, rows, joint, w->z_a_before);
    OWN(shift)(w->z, w->before, rows, joint, w->z_before);
    OWN(shift)(w->phi, w->before, rows, joint, w->phi_before);
    OWN(shift)(w->q.sample, w->before, rows, joint, w->q_before);
    const Parts known = {
        {w->z_a_before, w->z_before, w->phi_before, w->q_before}, {joint, joint, joint, joint}, 4};
    failed |= OWN(forwards)(&w->prior, known, w->found_p, rows);
    for (long r = 0; r < rows; r++)
        OWN(add)(w->found_p + 2 * r * joint, w->q_before + r * joint, joint);
    OWN(draw)(w->found_p, w->prior_noise, &w->p, rows, joint);
    OWN(divergences)(&w->q, &w->p, w->seen, w->by, rows, joint, &w->of_q, &w->of_p, losses);
    return failed;
}

/* What samples of either are decoded into: errors, and what goes back of them to the samples. */
TARGET static int OWN(reconstruct)(World *w, float *losses)
{
    const Model *m = &w->m;
    const int joint = m->joint, states = m->agents * m->hidden, heads = m->obs + m->actions;
    const long rows = w->rows, each = rows * m->agents;
    for (long r = 0; r < rows; r++)
        OWN(copy)((w->first[r] ? w->q.sample : w->p.sample) + r * joint, 0, w->latents + r * joint,
                  0, 1, joint);
    const Parts latents = {{w->latents}, {joint}, 1}, alone = {{w->latents}, {m->latent}, 1};
    const Parts embedded = {{w->embedded}, {3 * joint}, 1};
    int failed = OWN(forwards)(&w->embeddings, latents, w->embedded, rows);
    failed |= OWN(forwards)(&w->states, embedded, w->decoded, rows);
    failed |= OWN(forwards)(&w->heads, alone, w->headed, each);

    /* Three means over `joint` numbers each. */
    const float *const parts[] = {w->z_a, w->z, w->phi};
    double errors[4] = {0};
    for (long r = 0; r < rows; r++)
        for (int p = 0; p < 3; p++)
            errors[0] += OWN(squared_error)(w->embedded + (3 * r + p) * joint, parts[p] + r * joint,
                                            w->learned + r, w->by[3] / joint, 1, joint,
                                            w->of_embedded + (3 * r + p) * joint);
    errors[1] = OWN(squared_error)(w->decoded, w->hidden, w->seen, w->by[4] / states, rows, states,
                                   w->of_decoded);
    for (long r = 0; r < each; r++) {
        const float *found = w->headed + r * heads, *weight = w->seen + r / m->agents;
        float *grad = w->of_headed + r * heads;
        errors[2] += OWN(squared_error)(found, w->obs + r * m->obs, weight,
                                        w->by[5] / (m->agents * m->obs), 1, m->obs, grad);
        errors[3] += OWN(mask_error)(found + m->obs, w->legal + r * m->actions, weight,
                                     w->by[5] / m->choices, 1, m->actions, grad + m->obs);
    }
    losses[2] = errors[0] / joint, losses[3] = errors[1] / states;
    losses[4] = errors[2] / (m->agents * m->obs), losses[5] = errors[3] / m->choices;

    float *const of_latents[] = {w->of_latents}, *const of_spare[] = {w->spare};
    float *const of_states[] = {w->of_states};
    failed |= OWN(backwards)(&w->states, embedded, w->of_decoded, of_states, rows);
    OWN(add)(w->of_embedded, w->of_states, 3 * rows * joint);
    failed |= OWN(backwards)(&w->embeddings, latents, w->of_embedded, of_latents, rows);
    failed |= OWN(backwards)(&w->heads, alone, w->of_headed, of_spare, each);
    OWN(add)(w->of_latents, w->spare, rows * joint);
    return failed;
}

/* The imagination's policy, which learns what the agents do, and moves no latent. */
TARGET static int OWN(follow)(World *w, float *losses)
{
    const Model *m = &w->m;
    const int joint = m->joint;
    const long rows = w->rows;
    const Parts latents = {{w->latents}, {joint}, 1};
    const Parts read = {{w->policy_z, w->policy_phis}, {joint, joint}, 2};
    int failed = OWN(forwards)(&w->encoder, latents, w->policy_z, rows);
    OWN(avg_l1_norm)(w->policy_z, rows, joint, joint, NULL);
    failed |= OWN(forwards)(&w->policy_phi, latents, w->policy_phis, rows);
    OWN(avg_l1_norm)(w->policy_phis, rows, joint, joint, w->policy_norms);
    failed |= OWN(forwards)(&w->policy, read, w->logits, rows);
    double same = 0;
    const double error = OWN(policy_error)(w->logits, w->greedy, w->seen, w->by[7] / m->agents,
                                           rows, m->agents, m->actions, w->of_logits, &same);
    losses[7] = error / m->agents, losses[8] = same / m->agents;
    float *const of_read[] = {NULL, w->spare}, *const none[] = {NULL};
    failed |= OWN(backwards)(&w->policy, read, w->of_logits, of_read, rows);
    OWN(norm_back)(w->policy_phis, w->policy_norms, rows, joint, w->spare);
    return failed | OWN(backwards)(&w->policy_phi, latents, w->spare, none, rows);
}

/* From the samples back to the prior, to what it read of the step before, and to the posterior. */
TARGET static int OWN(learn)(World *w)
{
    const Model *m = &w->m;
    const int joint = m->joint, acts = m->agents * m->embedded;
    const long rows = w->rows, each = rows * m->agents;
    for (long r = 0; r < rows; r++) {
        float *to_q = w->of_q.sample + r * joint, *to_p = w->of_p.sample + r * joint;
        memset(w->first[r] ? to_p : to_q, 0, joint * sizeof(float));
        OWN(copy)(w->of_latents + r * joint, 0, w->first[r] ? to_q : to_p, 0, 1, joint);
    }
    float *of_found = w->found_p; /* written over, number by number */
    OWN(draw_back)(w->found_p, w->prior_noise, &w->of_p, w->p.std, of_found, rows, joint);
    const Parts known = {
        {w->z_a_before, w->z_before, w->phi_before, w->q_before}, {joint, joint, joint, joint}, 4};
    float *const of_known[] = {NULL, NULL, w->policy_phis, w->spare};
    int failed = OWN(backwards)(&w->prior, known, of_found, of_known, rows);
    float *of_phi = w->policy_z;
    memset(of_phi, 0, rows * joint * sizeof(float));
    for (long r = 0; r < rows; r++) {
        const long before = w->before[r];
        if (before < 0) continue;
        OWN(copy)(w->policy_phis + r * joint, 0, of_phi + before * joint, 0, 1, joint);
        OWN(add)(w->of_q.sample + before * joint, w->spare + r * joint, joint);
        OWN(add)(w->of_q.sample + before * joint, of_found + 2 * r * joint, joint); /* residual */
    }
    OWN(norm_back)(w->phi, w->norms, rows, joint, of_phi);
    const Parts acted = {{w->q.sample, w->action}, {joint, acts}, 2};
    float *of_action = w->of_action, *const of_acted[] = {w->spare, of_action};
    failed |= OWN(backwards)(&w->phi_net, acted, of_phi, of_acted, rows);
    OWN(add)(w->of_q.sample, w->spare, rows * joint);
    float *of_actions = w->of_actions.gradients[0];
    memset(of_actions, 0, m->embedded * m->actions * sizeof(float));
    for (long i = 0; i < rows * acts; i++)
        of_actions[i % m->embedded * m->actions + w->taken[i / m->embedded]] += of_action[i];
    OWN(draw_back)(w->found_q, w->noise, &w->of_q, w->q.std, w->found_q, each, m->latent);
    const Parts seen = {{w->hidden, w->obs}, {m->hidden, m->obs}, 2};
    float *const none[] = {NULL, NULL};
    return failed | OWN(backwards)(&w->posterior, seen, w->found_q, none, each);
}

/* All losses of the world model (method/losses.py) and their gradients.
 *
 * data: standardised hidden (rows, agents, hidden) and obs (rows, agents, obs), legal (rows,
 * agents, actions), noise of the posterior and of the prior (rows, joint), weights in means over
 * learned steps, over observations and over what follows a learned step (rows). actions: those
 * taken and those of a greedy agent (rows, agents). before (rows): see `sale_loss`. first (rows):
 * whether the posterior's sample is decoded, or the prior's. parameters: those of `lay_out`.
 * Written to: their gradients, and losses: kl_prior, kl_balanced, embeddings, hidden, obs, mask,
 * sale, policy, and how often the policy's action is the greedy one. by: what counts of kl_prior,
 * of kl_balanced at the posterior and at the prior, of embeddings, hidden, obs and mask, sale,
 * policy. sizes: rows, then those of `sized_model`; scratches: three. Returns 0, or 1 where there is no memory.
 */
TARGET static int OWN(model_losses)(const float *const *data, const int64_t *const *actions,
                             const int *before, const uint8_t *first,
                             const float *const *parameters, float *const *gradients, float *losses,
                             const float *by, const int *sizes, Scratch *scratches)
{
    World w = {.m = sized_model(sizes + 1),
               .rows = sizes[0],
               .hidden = data[0],
               .obs = data[1],
               .legal = data[2],
               .noise = data[3],
               .prior_noise = data[4],
               .learned = data[5],
               .seen = data[6],
               .after = data[7],
               .by = by,
               .taken = actions[0],
               .greedy = actions[1],
               .before = before,
               .first = first};
    Pool pool = {.kept = scratches, .spare = scratches + 1};
    w.of_sale = scratches + 2, w.spares = scratches + 1;
    lay_out(&w, (Tensors){parameters, gradients}, &pool);
    if (make_pool(&pool)) return 1;
    lay_out(&w, (Tensors){parameters, gradients}, &pool);
    int failed = OWN(believe)(&w, losses);
    failed |= OWN(reconstruct)(&w, losses);
    failed |= OWN(follow)(&w, losses);
    return failed | OWN(learn)(&w);
}
