/* The world model's and the encoders' share of an update, for one instruction set (native.c). */

/* Its rows, and what the batch alone says of them. */
TARGET static void OWN(gather_share)(Update *u)
{
    const Settings *s = &u->s;
    Share *w = &u->share;
    const int n = s->agents, steps = s->steps, a = s->actions;
    double learned = 0, seen = 0;
    long row = 0;
    for (int b = 0; b < s->episodes; b += s->every)
        for (int t = 0; t <= u->lengths[b]; t++, row++) {
            const float *mask = u->f.loss_mask + (long)b * steps;
            w->at[row] = b * (steps + 1) + t;
            w->before[row] = t ? (int)row - 1 : -1;
            w->learned[row] = t < steps ? mask[t] : 0;
            w->after[row] = t ? mask[t - 1] : 0;
            w->seen[row] = fmaxf(w->learned[row], w->after[row]);
            learned += w->learned[row], seen += w->seen[row];
        }
    w->rows = row;
    const float by_learned = 1 / (float)(learned > 1 ? learned : 1);
    const float by_seen = 1 / (float)(seen > 1 ? seen : 1);
    for (long r = 0; r < row; r++) {
        const int at = w->at[r], b = at / (steps + 1), t = at % (steps + 1);
        w->learned[r] *= by_learned, w->after[r] *= by_learned, w->seen[r] *= by_seen;
        memcpy(w->raw + r * n * s->obs, u->f.obs + (long)at * n * s->obs,
               (long)n * s->obs * sizeof(float));
        for (int i = 0; i < n; i++) {
            const long each = r * n + i;
            const int64_t taken = t < steps ? u->f.actions[((long)b * steps + t) * n + i] : 0;
            w->agents_before[each] = w->before[r] < 0 ? -1 : (int)((r - 1) * n + i);
            w->agents_after[each] = w->after[r] / n;
            w->taken[each] = (int)taken;
        }
    }
    if (!s->model) return;
    const long joint = joint_of(s), all = (s->episodes + s->every - 1L) / s->every * (steps + 1);
    for (long r = 0; r < row; r++) {
        const int at = w->at[r], b = at / (steps + 1), t = at % (steps + 1);
        const long own = (long)(b / s->every) * (steps + 1) + t;
        memcpy(w->noise + r * joint, u->f.noise + own * joint, joint * sizeof(float));
        memcpy(w->prior_noise + r * joint, u->f.noise + (all + own) * joint, joint * sizeof(float));
        w->first[r] = (b / s->every + t) % 2 == 0;
        const long step = (long)b * steps + t;
        w->mask[r] = t < steps ? u->f.loss_mask[step] : 0;
        w->rewards[r] = t < steps ? u->f.rewards[step] : 0;
        w->ended[r] = t < steps && u->f.terminated[step];
        for (long i = 0; i < n * a; i++)
            w->legal[r * n * a + i] = u->f.legal[(long)at * n * a + i] != 0;
    }
}

/* L(f, g) of the observations. */
TARGET static int OWN(learn_encoders)(Update *u)
{
    const Settings *s = &u->s;
    Share *w = &u->share;
    const long rows = w->rows * s->agents;
    Pool pool = {.of = u->shares};
    Sale sale;
    float *room = NULL;
    for (int time = 0; time < 2; time++) {
        if (time && make_pool(&pool)) return 1;
        Tensors list = {u->w.sale, u->w.of_sale};
        sale = lay_out_sale(&pool, &list, s->obs, 0, s->actions, s->wide, s->embedding, rows);
        room = block(&pool, pool.room);
    }
    pack_learned(&sale.f), pack_learned(&sale.g);
    w->losses[12] = OWN(sale_loss)(&sale, w->raw, s->obs, w->taken, w->agents_before,
                                   w->agents_after, s->sale_weight, rows, room);
    give_learned(&sale.f), give_learned(&sale.g);
    w->z = sale.pair;
    return 0;
}

/* Moves running statistics (method/standardiser.py) towards x (rows, agents, size). `scale`: mean,
 * variance, updates; `sums`: room for 2 size numbers. */
TARGET static void OWN(move)(float *const *scale, const float *seen, long rows, int agents, int size,
                             const float *x, double *sums)
{
    double count = 0, *means = sums, *squares = sums + size;
    memset(sums, 0, 2 * size * sizeof(double));
    for (long r = 0; r < rows; r++) count += seen[r] > 0;
    count = (count > 1 ? count : 1) * agents;
    for (long r = 0; r < rows * agents; r++)
        for (int i = 0; seen[r / agents] > 0 && i < size; i++) means[i] += x[r * size + i];
    for (int i = 0; i < size; i++) means[i] /= count;
    for (long r = 0; r < rows * agents; r++)
        for (int i = 0; seen[r / agents] > 0 && i < size; i++) {
            const double apart = x[r * size + i] - means[i];
            squares[i] += apart * apart;
        }
    const float keep = fminf(*scale[2] / (*scale[2] + 1), MOMENTUM);
    for (int i = 0; i < size; i++) {
        scale[0][i] = between(scale[0][i], (float)means[i], keep);
        scale[1][i] = between(scale[1][i], (float)(squares[i] / count), keep);
    }
    *scale[2] += 1;
}

/* Brings x (rows, size) to mean 0 and deviation 1 by running statistics. `by`: room for size
 * numbers. */
TARGET static void OWN(standardise)(float *const *scale, long rows, int size, float *x, float *by)
{
    const float *mean = scale[0];
    for (int i = 0; i < size; i++) by[i] = 1 / fmaxf(sqrtf(scale[1][i]), LEAST_DEVIATION);
    for (long r = 0; r < rows; r++, x += size)
        for (int i = 0; i < size; i++) x[i] = (x[i] - mean[i]) * by[i];
}

/* The losses of the world model, when the agents' hidden states are known. */
TARGET static int OWN(learn_model)(Update *u)
{
    const Settings *s = &u->s;
    Share *w = &u->share;
    const int n = s->agents;
    for (long r = 0; r < w->rows; r++) {
        const Part *p = part_of_row(u, r);
        const long row = u->row_of[w->at[r]], read = p->read_of[row];
        for (int i = 0; i < n; i++) {
            memcpy(w->hidden + (r * n + i) * s->hidden, p->states + (row * n + i) * u->size,
                   s->hidden * sizeof(float));
            w->greedy[r * n + i] = read < 0 ? 0 : p->greedy[read * n + i];
        }
    }
    memcpy(w->obs, w->raw, w->rows * n * s->obs * sizeof(float));
    float *const *of_hidden = u->w.scales, *const *of_obs = u->w.scales + 3;
    if (s->moves) {
        OWN(move)(of_hidden, w->seen, w->rows, n, s->hidden, w->hidden, w->sums);
        OWN(move)(of_obs, w->seen, w->rows, n, s->obs, w->obs, w->sums);
    }
    OWN(standardise)(of_hidden, w->rows * n, s->hidden, w->hidden, (float *)w->sums);
    OWN(standardise)(of_obs, w->rows * n, s->obs, w->obs, (float *)w->sums);
    World world = {.m = model_of(s),
                   .horizon = s->horizon,
                   .foretells = s->foretells,
                   .rows = w->rows,
                   .hidden = w->hidden,
                   .obs = w->obs,
                   .legal = w->legal,
                   .noise = w->noise,
                   .prior_noise = w->prior_noise,
                   .learned = w->learned,
                   .seen = w->seen,
                   .after = w->after,
                   .mask = w->mask,
                   .rewards = w->rewards,
                   .ended = w->ended,
                   .by = s->by,
                   .greedy = w->greedy,
                   .taken = w->taken,
                   .before = w->before,
                   .first = w->first};
    return OWN(model_losses)(&world, (Tensors){u->w.model, u->w.of_model}, w->losses,
                             u->shares + 1);
}

/* One of the tasks of an update, which are taken in this order: weights are packed; the parts'
 * agents are run; the encoders, the world model and the self-predictor learn; the parts are mixed;
 * their agents learn. */
TARGET static void OWN(run_task)(void *of, int task)
{
    Update *u = of;
    const int parts = u->num_parts, first = PACKS, encoders = first + parts, model = encoders + 1;
    const int own = model + 1, mixing = own + 1, learning = mixing + parts;
    int failed = 0;
    if (task < first)
        pack(u, task);
    else if (task < encoders) {
        need(u->tasks, PACK_AGENT), need(u->tasks, PACK_TARGET_AGENT);
        failed = OWN(run_agents)(u, u->parts + task - first);
    } else if (task == encoders && u->s.sale) {
        OWN(gather_share)(u);
        failed = OWN(learn_encoders)(u);
    } else if (task == model && u->s.model) {
        for (int before = first; before < model; before++) need(u->tasks, before);
        failed = OWN(learn_model)(u);
    } else if (task == own && u->s.self_weight != 0) {
        for (int before = first; before < model; before++) need(u->tasks, before);
        failed = OWN(foretell_own)(u);
    } else if (task >= learning) {
        need(u->tasks, mixing + task - learning), need(u->tasks, own);
        failed = OWN(agents_back)(u, u->parts + task - learning);
    } else if (task >= mixing) {
        need(u->tasks, PACK_MIXERS), need(u->tasks, PACK_MODEL);
        need(u->tasks, first + task - mixing);
        OWN(mix_part)(u, u->parts + task - mixing);
    }
    if (failed) atomic_store(&u->failed, 1);
}

/* One step of acting; see `act`. */
static int OWN(step)(Actor *actor, long rows, const float *obs, const int64_t *last,
                    const float *hidden, float *values, float *next)
{
    const Settings *s = &actor->s;
    const int size = rounded(s->hidden);
    const Update like = {.s = *s, .size = size};
    for (long r = 0; r < rows; r++)
        memcpy(actor->before + r * size, hidden + r * s->hidden, s->hidden * sizeof(float));
    OWN(embed)(&like, &actor->net, rows, obs, last, actor->x, actor->room);
    for (long row = 0; row < rows; row += GROUP) {
        const int n = rows - row < GROUP ? (int)(rows - row) : GROUP;
        float *gates = actor->room, *of_h = gates + GROUP * 4L * size;
        OWN(apply)(&actor->net.gru.by_x, n, actor->x + row * size, size, gates, 4 * size, 0);
        OWN(gru_step)(&actor->net.gru, n, gates, actor->before + row * size,
                      actor->after + row * size, 0, of_h);
    }
    for (long r = 0; r < rows; r++)
        memcpy(next + r * s->hidden, actor->after + r * size, s->hidden * sizeof(float));
    if (s->sale)
        return OWN(sale_values)(&actor->net.values, next, obs, actor->legal, NULL, values, NULL,
                                NULL, rows, &actor->spare);
    memcpy(actor->hidden, next, rows * s->hidden * sizeof(float));
    OWN(head_values)(&like, &actor->net, rows, actor->hidden, values, actor->room);
    return 0;
}
