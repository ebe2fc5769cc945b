/* What the world model foretells along the actions taken, for one instruction set (native.c):
 * `follow` in world_model.py, and the losses that go over it (method/losses.py). */

/* How many steps ahead of a row something counts: one more than the last that does. */
static int OWN(reach)(const World *w, long row)
{
    int most = 0;
    for (int k = 0; k < w->horizon && w->mask[row] != 0; k++) {
        if (row + k >= w->rows || (k && w->before[row + k] < 0)) break;
        if (w->mask[row + k] != 0) most = k + 1;
    }
    return most;
}

/* The entries, and what each counts. */
TARGET static void OWN(list_entries)(World *w)
{
    Ahead *a = &w->ahead;
    const int n = w->m.agents;
    double total = 0;
    int made = 0, before = 0;
    for (int k = 0; k < w->horizon; k++) {
        a->starts[k] = made;
        for (long r = 0; r < w->rows; r++) {
            if (OWN(reach)(w, r) <= k) continue;
            while (k && a->row[before] < r) before++;
            a->row[made] = (int)r, a->previous[made] = k ? before : (int)r;
            memcpy(a->picked + (long)made * n, w->picked + (r + k) * n, n * sizeof(int));
            total += a->weights[made++] = w->mask[r] * w->mask[r + k];
        }
        before = a->starts[k];
    }
    a->starts[w->horizon] = made;
    for (int e = 0; e < made; e++) a->weights[e] /= (float)(total > 1 ? total : 1);
}

/* [s ; e(a)] of n entries, into acted (n, stride). */
TARGET static void OWN(embed_actions)(const World *w, const int *picked, long n, float *acted,
                                      int stride)
{
    const Model *m = &w->m;
    const float *embedding = w->of_actions.weights[0];
    for (long r = 0; r < n; r++, picked += m->agents) {
        float *to = acted + r * stride + m->joint;
        for (int i = 0; i < m->agents; i++)
            for (int e = 0; e < m->embedded; e++)
                *to++ = embedding[e * m->actions + picked[i] % m->actions];
    }
}

/* The gradients at e(a), which lie behind `joint` numbers of each row. */
TARGET static void OWN(embed_actions_back)(const World *w, const int *picked, long n,
                                           const float *of_acted)
{
    const Model *m = &w->m;
    float *of_embedding = w->of_actions.gradients[0];
    for (long r = 0; r < n; r++, picked += m->agents) {
        const float *from = of_acted + r * m->acted + m->joint;
        for (int i = 0; i < m->agents; i++)
            for (int e = 0; e < m->embedded; e++)
                of_embedding[e * m->actions + picked[i] % m->actions] += *from++;
    }
}

/* The means of p(s' | s, a) of a depth's entries, from depth 1 on (`go_on` in world_model.py). */
TARGET static void OWN(step_ahead)(World *w, int depth)
{
    const Model *m = &w->m;
    Ahead *a = &w->ahead;
    const int joint = m->joint, first = a->starts[depth], n = a->starts[depth + 1] - first;
    const int stride = rounded(4 * joint), acts = rounded(m->acted), numbers = m->acted - joint;
    const long at = first - a->starts[1];
    const int *picked = a->picked + (long)first * m->agents;
    float *known = a->known + at * stride, *acted = a->acted + at * acts;
    float *phi = a->phi + at * joint;
    for (int e = 0; e < n; e++) {
        const float *s = a->after + (long)a->previous[first + e] * joint;
        OWN(copy)(s, 0, known + (long)e * stride + 3 * joint, 0, 1, joint);
        OWN(copy)(s, 0, acted + (long)e * acts, 0, 1, joint);
    }
    OWN(embed_actions)(w, picked, n, acted, acts);
    OWN(forwards)(&w->sale.f, acted, acts, NULL, a->of_f, a->encoded, acts, n);
    OWN(avg_l1_norm)(a->encoded, n, acts, joint, NULL);
    OWN(copy)(acted + joint, acts, a->encoded + joint, acts, n, numbers);
    OWN(forwards)(&w->sale.g, a->encoded, acts, NULL, a->of_g, a->change, joint, n);
    OWN(forwards)
    (&w->phi_net, acted, acts, NULL, trace_at(&w->phi_net, a->of_phi, at), phi, joint, n);
    OWN(avg_l1_norm)(phi, n, joint, joint, a->norms + at);
    OWN(copy)(a->change, joint, known, stride, n, joint);
    OWN(copy)(a->encoded, acts, known + joint, stride, n, joint);
    OWN(copy)(phi, joint, known + 2 * joint, stride, n, joint);
    const Learned mean = narrowed(&w->prior, joint);
    OWN(forwards)
    (&mean, known, stride, picked, trace_at(&mean, a->of_prior, at), a->change, joint, n);
    for (int e = 0; e < n; e++) {
        float *after = a->after + (long)(first + e) * joint;
        OWN(copy)(known + (long)e * stride + 3 * joint, 0, after, 0, 1, joint);
        OWN(add)(after, a->change + (long)e * joint, joint);
    }
}

/* The other way: what is gathered at the entries of a depth goes to those before. */
TARGET static void OWN(step_back)(World *w, int depth)
{
    const Model *m = &w->m;
    Ahead *a = &w->ahead;
    const int joint = m->joint, first = a->starts[depth], n = a->starts[depth + 1] - first;
    const int stride = rounded(4 * joint), acts = rounded(m->acted);
    const long at = first - a->starts[1];
    const int *picked = a->picked + (long)first * m->agents;
    const float *of_after = a->of_after + (long)first * joint;
    float *of_phi = a->change;
    const Learned mean = narrowed(&w->prior, joint);
    OWN(backwards)
    (&mean, a->known + at * stride, stride, picked, trace_at(&mean, a->of_prior, at), of_after,
     joint, a->of_known, n, w->room);
    OWN(copy)(a->of_known, 2 * joint, of_phi, joint, n, joint);
    OWN(norm_back)(a->phi + at * joint, joint, a->norms + at, n, joint, of_phi);
    OWN(backwards)
    (&w->phi_net, a->acted + at * acts, acts, NULL, trace_at(&w->phi_net, a->of_phi, at), of_phi,
     joint, a->of_acted, n, w->room);
    OWN(embed_actions_back)(w, picked, n, a->of_acted);
    for (int e = 0; e < n; e++) {
        float *to = a->of_after + (long)a->previous[first + e] * joint;
        OWN(add)(to, of_after + (long)e * joint, joint); /* residual */
        OWN(add)(to, a->of_known + (2L * e + 1) * joint, joint);
        OWN(add)(to, a->of_acted + (long)e * m->acted, joint);
    }
}

/* What is foretold of observations by n entries of a depth, from `first` on: errors, and gradients
 * at `after`. */
TARGET static double OWN(foretell_obs)(World *w, int depth, int first, int n, int learns)
{
    const Model *m = &w->m;
    Ahead *a = &w->ahead;
    const int heads = m->obs + m->actions;
    const float by = w->by[OF_OPEN_LOOP] / (m->agents * m->obs);
    const float *after = a->after + (long)first * m->joint;
    OWN(forwards)(&w->heads, after, m->joint, NULL, w->of_heads, w->headed, m->agents * heads, n);
    double error = 0;
    for (int i = 0; i < n * m->agents; i++) {
        const int e = first + i / m->agents;
        const long seen = (a->row[e] + depth + 1L) * m->agents + i % m->agents;
        float *grad = w->of_headed + i * heads;
        error += OWN(squared_error)(w->headed + i * heads, w->obs + seen * m->obs, a->weights + e,
                                    by, 1, m->obs, grad);
        memset(grad + m->obs, 0, m->actions * sizeof(float)); /* of the mask head */
    }
    if (!learns) return error;
    OWN(backwards)
    (&w->heads, after, m->joint, NULL, w->of_heads, w->of_headed, m->agents * heads, a->of_found, n,
     w->room);
    memcpy(a->of_after + (long)first * m->joint, a->of_found, n * m->joint * sizeof(float));
    return error;
}

/* What is foretold of rewards and ends, otherwise as `foretell_obs`: gradients are added at `after`
 * and at what lies before. */
TARGET static void OWN(foretell_outcomes)(World *w, int depth, int first, int n, int learns,
                                          double *errors)
{
    Ahead *a = &w->ahead;
    const int joint = w->m.joint, *picked = a->picked + (long)first * w->m.agents;
    const float *before = depth ? a->after : w->q.sample;
    float *of_before = depth ? a->of_after : w->of_q.sample;
    for (int e = 0; e < n; e++) {
        float *pair = a->pair + 2 * e * joint;
        OWN(copy)(before + (long)a->previous[first + e] * joint, 0, pair, 0, 1, joint);
        OWN(copy)(a->after + (long)(first + e) * joint, 0, pair + joint, 0, 1, joint);
    }
    OWN(forwards)(&w->outcome, a->pair, 2 * joint, picked, a->of_outcome, a->outcomes, 2, n);
    for (int e = 0; e < n; e++) {
        const long step = a->row[first + e] + (long)depth;
        const float *told = a->outcomes + 2 * e, *weight = a->weights + first + e;
        float *grad = a->of_outcomes + 2 * e;
        errors[1] +=
            OWN(squared_error)(told, w->rewards + step, weight, w->by[OF_REWARD], 1, 1, grad);
        errors[2] +=
            OWN(mask_error)(told + 1, w->ended + step, weight, w->by[OF_END], 1, 1, grad + 1);
    }
    if (!learns) return;
    OWN(backwards)
    (&w->outcome, a->pair, 2 * joint, picked, a->of_outcome, a->of_outcomes, 2, a->of_found, n,
     w->room);
    for (int e = 0; e < n; e++) {
        const float *of_pair = a->of_found + 2 * e * joint;
        OWN(add)(of_before + (long)a->previous[first + e] * joint, of_pair, joint);
        OWN(add)(a->of_after + (long)(first + e) * joint, of_pair + joint, joint);
    }
}

/* All that is foretold: its errors, and what goes back of them to posteriors' samples and priors'
 * means. losses: of observations, rewards, ends. */
TARGET static void OWN(follow)(World *w, float *losses)
{
    Ahead *a = &w->ahead;
    const int joint = w->m.joint;
    const int learns = w->by[OF_OPEN_LOOP] != 0 || w->by[OF_REWARD] != 0 || w->by[OF_END] != 0;
    OWN(list_entries)(w);
    for (int e = 0; e < a->starts[1]; e++)
        OWN(copy)(w->p.mean + (a->row[e] + 1L) * joint, 0, a->after + (long)e * joint, 0, 1, joint);
    for (int k = 1; k < w->horizon; k++) OWN(step_ahead)(w, k);
    double errors[3] = {0};
    for (int k = 0; k < w->horizon; k++)
        for (int e = a->starts[k]; e < a->starts[k + 1]; e += GROUP) {
            const int left = a->starts[k + 1] - e, n = left < GROUP ? left : GROUP;
            errors[0] += OWN(foretell_obs)(w, k, e, n, learns);
            OWN(foretell_outcomes)(w, k, e, n, learns, errors);
        }
    for (int i = 0; i < 3; i++) losses[i] = (float)errors[i];
    losses[0] /= w->m.agents * w->m.obs;
    for (int k = w->horizon - 1; k > 0 && learns; k--) OWN(step_back)(w, k);
    for (int e = 0; e < a->starts[1] && learns; e++)
        OWN(add)(w->of_p.mean + (a->row[e] + 1L) * joint, a->of_after + (long)e * joint, joint);
}
