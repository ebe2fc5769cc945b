/* One update for one instruction set (native.c): what method/update.py and method/losses.py say. */

/* x (rows of agents, size) = ReLU(Linear([o ; onehot(last action) ; onehot(id)])). */
TARGET static void OWN(embed)(const Update *u, const AgentNet *net, long rows, const float *obs,
                              const int64_t *last, float *x, float *room)
{
    const int size = u->size, agents = u->s.agents;
    for (long row = 0; row < rows; row += GROUP) {
        const int n = rows - row < GROUP ? (int)(rows - row) : GROUP;
        float *seen = room + GROUP * (long)size; /* whole tiles are read */
        memcpy(seen, obs + row * u->s.obs, (long)n * u->s.obs * sizeof(float));
        OWN(apply)(&net->input, n, seen, u->s.obs, room, size, 0);
        for (int r = 0; r < n; r++) {
            const float *of_last = net->of_last + last[row + r] * size;
            const float *of_id = net->of_id + (row + r) % agents * size;
            const float *from = room + r * size;
            float *to = x + (row + r) * size;
            for (int i = 0; i < size; i += LANES) {
                const Vector zero = {0};
                const Vector sum = OWN(load)(from + i) + OWN(load)(of_last + i) + OWN(load)(of_id + i);
                OWN(store)(to + i, OWN(pick)(sum > 0, sum, zero));
            }
            memset(to + u->s.hidden, 0, (size - u->s.hidden) * sizeof(float));
        }
    }
}

/* The other way: from the gradient at x, written over, to those of the input's weights. */
TARGET static void OWN(embed_back)(const Update *u, Part *p, float *of_x)
{
    const int size = u->size, agents = u->s.agents;
    const long rows = p->rows * agents;
    AgentGradient *g = &p->of_agent;
    for (long row = 0; row < rows; row++) {
        float *grad = of_x + row * size, *of_last = g->of_last + p->last[row] * size;
        float *of_id = g->of_id + row % agents * size;
        const float *x = p->x + row * size;
        for (int i = 0; i < size; i += LANES) {
            const Vector zero = {0};
            const Vector at = OWN(pick)(OWN(load)(x + i) > 0, OWN(load)(grad + i), zero);
            OWN(store)(grad + i, at);
            OWN(store)(of_last + i, OWN(load)(of_last + i) + at);
            OWN(store)(of_id + i, OWN(load)(of_id + i) + at);
        }
    }
    const int stride = rounded(u->s.obs);
    for (long row = 0; row < rows; row += GROUP) {
        const int n = rows - row < GROUP ? (int)(rows - row) : GROUP;
        OWN(copy)(p->obs + row * u->s.obs, u->s.obs, p->room, stride, n, u->s.obs);
        OWN(add_product)(&g->input, n, of_x + row * size, size, p->room, stride);
    }
}

/* Observations, last and chosen actions of a part. */
TARGET static void OWN(gather)(const Update *u, Part *p)
{
    const Settings *s = &u->s;
    const int n = s->agents, steps = s->steps;
    const long of_obs = (long)n * s->obs;
    for (long r = 0; r < p->rows; r++) {
        const int at = p->at[r], b = at / (steps + 1), t = at % (steps + 1);
        memcpy(p->obs + r * of_obs, u->f.obs + at * of_obs, of_obs * sizeof(float));
        const int64_t *taken = u->f.actions + ((long)b * steps + t) * n;
        for (int i = 0; i < n; i++) p->last[r * n + i] = t ? taken[i - n] : s->actions;
        const long read = p->read_of[r];
        if (read < 0) continue;
        memcpy(p->read_obs + read * of_obs, u->f.obs + at * of_obs, of_obs * sizeof(float));
        const int learned = t < steps && u->f.loss_mask[(long)b * steps + t] != 0;
        for (int i = 0; i < n; i++) p->chosen[read * n + i] = learned ? taken[i] : 0;
        const int8_t *legal = u->f.legal + (long)at * n * s->actions;
        for (int i = 0; i < n * s->actions; i++)
            p->legal[read * n * s->actions + i] = legal[i] != 0;
    }
}

/* Hidden states (reads, agents, hidden) of the observations that are read. */
TARGET static void OWN(pick_read)(const Update *u, const Part *p, const float *states, float *to)
{
    const int n = u->s.agents, size = u->size, hidden = u->s.hidden;
    for (long r = 0; r < p->reads; r++, to += n * hidden)
        for (int i = 0; i < n; i++)
            memcpy(to + i * hidden, states + ((long)p->read[r] * n + i) * size,
                   hidden * sizeof(float));
}

/* The values of all actions, (rows, actions), from hidden states alone. */
TARGET static void OWN(head_values)(const Update *u, const AgentNet *net, long rows,
                                    const float *hidden, float *values, float *room)
{
    const int actions = u->s.actions;
    for (long row = 0; row < rows; row += GROUP) {
        const int n = rows - row < GROUP ? (int)(rows - row) : GROUP;
        OWN(apply)(&net->head, n, hidden + row * u->s.hidden, u->s.hidden, room, actions, 0);
        memcpy(values + row * actions, room, (long)n * actions * sizeof(float));
    }
}

/* The best legal action of each row, and its value, or NULL; illegal ones have ILLEGAL's. */
static void OWN(best)(long rows, int actions, const float *values, const uint8_t *legal,
                      int64_t *best, float *value)
{
    for (long r = 0; r < rows; r++, values += actions, legal += actions) {
        float most = legal[0] ? values[0] : ILLEGAL;
        int64_t at = 0;
        for (int a = 1; a < actions; a++) {
            const float found = legal[a] ? values[a] : ILLEGAL;
            if (found > most) most = found, at = a;
        }
        best[r] = at;
        if (value) value[r] = most;
    }
}

static void OWN(take_values)(long rows, int actions, const float *values, const int64_t *actions_of,
                             float *to)
{
    for (long r = 0; r < rows; r++) to[r] = values[r * actions + actions_of[r]];
}

/* Hidden states, values of chosen actions, greedy actions, and the target agents' values. */
TARGET static int OWN(act_and_value)(const Update *u, Part *p)
{
    const Settings *s = &u->s;
    const long rows = p->rows * s->agents, reads = p->reads * s->agents;
    const int a = s->actions;
    int failed = 0;
    OWN(embed)(u, &u->target_agent, rows, p->obs, p->last, p->target_x, p->room);
    OWN(gru)(&u->target_agent.gru, &p->agent_steps, p->target_x, p->gates, p->target_states, 0,
             p->room);
    OWN(embed)(u, &u->agent, rows, p->obs, p->last, p->x, p->room);
    OWN(gru)(&u->agent.gru, &p->agent_steps, p->x, p->gates, p->states, 1, p->room);
    OWN(pick_read)(u, p, p->states, p->hidden);
    OWN(pick_read)(u, p, p->target_states, p->target_hidden);
    const Agent *of = &u->agent.values, *of_target = &u->target_agent.values;
    if (s->sale)
        failed |= OWN(sale_values)(of, p->hidden, p->read_obs, p->legal, p->chosen, p->values,
                                   p->of_chosen, p->value_kept, reads, p->spare);
    else {
        OWN(head_values)(u, &u->agent, reads, p->hidden, p->values, p->room);
        OWN(take_values)(reads, a, p->values, p->chosen, p->of_chosen);
    }
    OWN(best)(reads, a, p->values, p->legal, p->greedy, NULL);
    if (s->double_q && s->sale)
        return failed | OWN(sale_values)(of_target, p->target_hidden, p->read_obs, NULL, p->greedy,
                                         NULL, p->next, NULL, reads, p->spare);
    if (s->sale)
        failed |= OWN(sale_values)(of_target, p->target_hidden, p->read_obs, p->legal, NULL,
                                   p->values, NULL, NULL, reads, p->spare);
    else
        OWN(head_values)(u, &u->target_agent, reads, p->target_hidden, p->values, p->room);
    if (s->double_q)
        OWN(take_values)(reads, a, p->values, p->greedy, p->next);
    else
        OWN(best)(reads, a, p->values, p->legal, p->target_greedy, p->next);
    return failed;
}

/* s^Rollout = tanh(Linear(roll-out)) of some reads, (learns, state). */
TARGET static void OWN(aggregate)(const Part *p, const Layer *layer, const int *where, float *to)
{
    const int inputs = layer->inputs, outputs = layer->outputs, stride = rounded(outputs);
    float *x = p->room, *y = x + GROUP * (long)rounded(inputs);
    for (long row = 0; row < p->learns; row += GROUP) {
        const int n = p->learns - row < GROUP ? (int)(p->learns - row) : GROUP;
        for (int r = 0; r < n; r++)
            memcpy(x + (long)r * inputs, p->rollout + where[row + r] * (long)inputs,
                   inputs * sizeof(float));
        OWN(apply)(layer, n, x, inputs, y, stride, 0);
        for (int r = 0; r < n; r++) {
            for (int i = 0; i < stride; i += LANES)
                OWN(store)(y + r * stride + i, OWN(hyperbolic_tangent)(OWN(load)(y + r * stride + i)));
            memcpy(to + (row + r) * outputs, y + r * stride, outputs * sizeof(float));
        }
    }
}

TARGET static void OWN(aggregate_back)(const Update *u, Part *p)
{
    const int inputs = u->aggregator.inputs, outputs = u->aggregator.outputs;
    const int of_x = rounded(inputs), of_y = rounded(outputs) + WIDEST;
    float *x = p->room, *y = x + GROUP * (long)of_x;
    for (long row = 0; row < p->learns; row += GROUP) {
        const int n = p->learns - row < GROUP ? (int)(p->learns - row) : GROUP;
        for (int r = 0; r < n; r++) {
            const float *after = p->summary + (row + r) * outputs;
            const float *of_after = p->of_summary + (row + r) * outputs;
            memcpy(x + (long)r * of_x, p->rollout + p->starts[row + r] * (long)inputs,
                   inputs * sizeof(float));
            for (int i = 0; i < outputs; i++)
                y[r * of_y + i] = of_after[i] * (1 - after[i] * after[i]);
        }
        OWN(add_product)(&p->of_mixer.aggregator, n, y, of_y, x, of_x);
    }
}

/* What a mixer reads of n steps from `row` on, into x (n, stride): [s ; s^Rollout]. */
TARGET static void OWN(mixer_reads)(const Update *u, const Part *p, long row, int n, int ends,
                                    float *x, int stride)
{
    const Settings *s = &u->s;
    const float *summary = ends ? p->next_summary : p->summary;
    for (int r = 0; r < n; r++, x += stride) {
        const long at = p->at[p->learned[row + r]] + ends;
        const float *state = u->f.state + at * s->state;
        float *to = x;
        if (s->global_state) memcpy(to, state, s->state * sizeof(float)), to += s->state;
        if (s->aggregated)
            memcpy(to, summary + (row + r) * s->state, s->state * sizeof(float));
    }
}

/* Layers, hidden layers and outputs of a group of a mixer's rows; strides are rounded. */
typedef struct {
    float *state, *hyper_1, *first, *pre, *hyper_2, *second, *hyper_v, *value;
} OWN(Mixed);

TARGET static OWN(Mixed) OWN(mixed_room)(const Update *u, float **room)
{
    const Mixer *m = &u->mixer;
    const int hyper = rounded(m->wide), embed = rounded(m->embed);
    OWN(Mixed) x;
    x.state = reserve(room, GROUP * rounded(m->state));
    x.hyper_1 = reserve(room, GROUP * hyper), x.hyper_2 = reserve(room, GROUP * hyper);
    x.first = reserve(room, GROUP * (long)rounded(m->agents * m->embed));
    x.pre = reserve(room, GROUP * embed), x.second = reserve(room, GROUP * embed);
    x.hyper_v = reserve(room, GROUP * embed), x.value = reserve(room, GROUP * WIDEST);
    return x;
}

/* Q_tot = |W_2(s)| ELU(|W_1(s)| q + b_1(s)) + V(s) of n rows; x->pre has ELU's outputs then. */
TARGET static void OWN(mix)(const Mixer *m, int n, const float *q, const OWN(Mixed) * x,
                            float *mixed)
{
    const int state = rounded(m->state), embed = rounded(m->embed);
    const int many = rounded(m->agents * m->embed);
    OWN(two_layers)(m->weights_1, m->weights_1 + 1, n, x->state, state, x->hyper_1, x->first, many, 0);
    OWN(apply)(&m->bias_1, n, x->state, state, x->pre, embed, 0);
    OWN(two_layers)(m->weights_2, m->weights_2 + 1, n, x->state, state, x->hyper_2, x->second, embed, 0);
    OWN(two_layers)(m->value, m->value + 1, n, x->state, state, x->hyper_v, x->value, WIDEST, 0);
    for (int r = 0; r < n; r++) {
        const float *first = x->first + (long)r * many, *second = x->second + r * embed;
        float *h = x->pre + r * embed, sum = 0;
        for (int a = 0; a < m->agents; a++)
            for (int i = 0; i < m->embed; i++)
                h[i] += q[r * m->agents + a] * fabsf(first[a * m->embed + i]);
        for (int i = m->embed; i < embed; i++) h[i] = 0;
        for (int i = 0; i < embed; i += LANES) { /* ELU */
            const Vector v = OWN(load)(h + i), low = OWN(exponential)(v) - 1.0f;
            OWN(store)(h + i, OWN(pick)(v < 0, low, v));
        }
        for (int i = 0; i < m->embed; i++) sum += h[i] * fabsf(second[i]);
        mixed[r] = x->value[r * WIDEST] + sum;
    }
}

/* Back through a layer of two of a hypernetwork: `last` and `first` are places in mixer_back. */
TARGET static void OWN(hyper_back)(const Update *u, Part *p, int first, int n, const float *of_y,
                                   int y_stride, const float *hidden, int h_stride,
                                   const float *state, int s_stride, float *of_hidden,
                                   float *of_state)
{
    OWN(apply)(u->mixer_back + first + 1, n, of_y, y_stride, of_hidden, h_stride, 0);
    for (int i = 0; i < n * h_stride; i += LANES) /* back through the ReLU */
        OWN(store)(of_hidden + i, OWN(pick)(OWN(load)(hidden + i) > 0, OWN(load)(of_hidden + i),
                                            (Vector){0}));
    OWN(add_product)(p->of_mixer.nets + first + 1, n, of_y, y_stride, hidden, h_stride);
    OWN(add_product)(p->of_mixer.nets + first, n, of_hidden, h_stride, state, s_stride);
    if (of_state) OWN(apply)(u->mixer_back + first, n, of_hidden, h_stride, of_state, s_stride, 1);
}

/* The other way of `mix`, from the gradients at n mixed values: those of q and of the roll-out. */
TARGET static void OWN(mix_back)(const Update *u, Part *p, long row, int n, const float *q,
                                 const OWN(Mixed) * x, const float *of_mixed, float *of_q,
                                 float *room)
{
    const Settings *s = &u->s;
    const Mixer *m = &u->mixer;
    const int state = rounded(m->state), hyper = rounded(m->wide), embed = rounded(m->embed);
    const int many = rounded(m->agents * m->embed), own = s->state * s->global_state;
    float *of_first = reserve(&room, GROUP * (long)many), *of_pre = reserve(&room, GROUP * embed);
    float *of_second = reserve(&room, GROUP * embed), *of_value = reserve(&room, GROUP * WIDEST);
    float *of_hidden = reserve(&room, GROUP * (long)(hyper > embed ? hyper : embed));
    float *of_state = s->aggregated ? reserve(&room, GROUP * state) : NULL;
    memset(of_first, 0, GROUP * (long)many * sizeof(float));
    memset(of_value, 0, GROUP * WIDEST * sizeof(float));
    memset(of_pre, 0, GROUP * embed * sizeof(float));
    memset(of_second, 0, GROUP * embed * sizeof(float));
    if (of_state) memset(of_state, 0, GROUP * (long)state * sizeof(float));
    for (int r = 0; r < n; r++) {
        const float *first = x->first + (long)r * many, *second = x->second + r * embed;
        const float *h = x->pre + r * embed, g = of_mixed[r];
        float *to_first = of_first + (long)r * many, *to_pre = of_pre + r * embed;
        of_value[r * WIDEST] = g;
        for (int i = 0; i < m->embed; i++) {
            of_second[r * embed + i] = second[i] > 0 ? g * h[i] : second[i] < 0 ? -g * h[i] : 0;
            to_pre[i] = g * fabsf(second[i]) * (h[i] < 0 ? h[i] + 1 : 1);
        }
        for (int a = 0; a < m->agents; a++) {
            const float of = q[r * m->agents + a], *w = first + a * m->embed;
            float sum = 0, *to = to_first + a * m->embed;
            for (int i = 0; i < m->embed; i++) {
                sum += to_pre[i] * fabsf(w[i]);
                to[i] = w[i] > 0 ? to_pre[i] * of : w[i] < 0 ? -to_pre[i] * of : 0;
            }
            of_q[r * m->agents + a] = sum;
        }
    }
    OWN(hyper_back)(u, p, 0, n, of_first, many, x->hyper_1, hyper, x->state, state, of_hidden, of_state);
    OWN(add_product)(p->of_mixer.nets + 2, n, of_pre, embed, x->state, state);
    if (of_state) OWN(apply)(u->mixer_back + 2, n, of_pre, embed, of_state, state, 1);
    OWN(hyper_back)(u, p, 3, n, of_second, embed, x->hyper_2, hyper, x->state, state, of_hidden, of_state);
    OWN(hyper_back)(u, p, 5, n, of_value, WIDEST, x->hyper_v, embed, x->state, state, of_hidden, of_state);
    for (int r = 0; r < n && of_state; r++)
        memcpy(p->of_summary + (row + r) * s->state, of_state + (long)r * state + own,
               s->state * sizeof(float));
}

/* What a mixer is given of the learned steps from `row` on: agents' values at `where`, (n, agents). */
static void OWN(gather_values)(const float *values, const int *where, long row, int n,
                               int agents, float *to)
{
    for (int r = 0; r < n; r++)
        memcpy(to + r * agents, values + where[row + r] * (long)agents, agents * sizeof(float));
}

/* V of the states that the learned steps reach, (learns, .), by the target mixer. */
TARGET static const float *OWN(next_values)(const Update *u, Part *p)
{
    const Settings *s = &u->s;
    const int agents = s->agents;
    for (long row = 0; row < p->learns; row += GROUP) {
        const int n = p->learns - row < GROUP ? (int)(p->learns - row) : GROUP;
        float *room = p->room, *there = p->next_q + row * agents, *next = p->next_mixed + row;
        OWN(gather_values)(p->next, p->ends, row, n, agents, there);
        if (s->mixer == 2) {
            const OWN(Mixed) x = OWN(mixed_room)(u, &room);
            OWN(mixer_reads)(u, p, row, n, 1, x.state, rounded(u->mixer.state));
            OWN(mix)(&u->target_mixer, n, there, &x, next);
        }
        for (int r = 0; r < n && s->mixer == 1; r++) {
            next[r] = 0;
            for (int i = 0; i < agents; i++) next[r] += there[r * agents + i];
        }
    }
    return s->mixer ? p->next_mixed : p->next_q;
}

/* y of the learned steps, at the places of their observations among reads, from V (learns, .): see
 * `td_targets` in method/targets.py. Steps go by time, so the next one's stands already. */
static void OWN(targets)(const Update *u, Part *p, const float *next)
{
    const Settings *s = &u->s;
    const int values = mixed_values(s);
    const float *mask = u->f.loss_mask;
    for (long l = p->learns - 1; l >= 0; l--) {
        const int at = p->at[p->learned[l]], b = at / (s->steps + 1), t = at % (s->steps + 1);
        const long step = (long)b * s->steps + t;
        const int truncated = u->f.truncated[step];
        const int ended = u->f.terminated[step] || (!s->bootstrap_truncated && truncated);
        const int followed = t + 1 < s->steps && mask[step + 1] != 0 && !truncated;
        const float *after = p->targets + (long)p->ends[l] * values;
        for (int v = 0; v < values; v++) {
            float behind = next[l * values + v];
            if (followed) behind = (1 - s->td_lambda) * behind + s->td_lambda * after[v];
            p->targets[(long)p->starts[l] * values + v] =
                u->f.rewards[step] + (ended ? 0 : s->gamma * behind);
        }
    }
}

/* L_TD of the steps from `row` on, from mixed values: gradients at them into `of_mixed`. */
static void OWN(td_error)(const Update *u, Part *p, long row, int n, const float *mixed,
                          float *of_mixed)
{
    const Settings *s = &u->s;
    const int values = mixed_values(s);
    for (int r = 0; r < n; r++) {
        const int at = p->at[p->learned[row + r]], b = at / (s->steps + 1);
        const long step = (long)b * s->steps + at % (s->steps + 1);
        const float weight = u->f.loss_mask[step] / u->total / values;
        const float *targets = p->targets + (long)p->starts[row + r] * values;
        for (int v = 0; v < values; v++) {
            const float target = targets[v], q = mixed[r * values + v];
            const float error = q - target;
            of_mixed[r * values + v] = 2 * weight * error;
            p->losses[0] += weight * error * error, p->losses[1] += weight * fabsf(error);
            p->losses[2] += weight * q, p->losses[3] += weight * target;
        }
    }
}

/* Mixes, takes the TD error, and goes back to the agents' chosen values. */
TARGET static void OWN(mix_and_back)(const Update *u, Part *p)
{
    const Settings *s = &u->s;
    const int agents = s->agents;
    OWN(targets)(u, p, OWN(next_values)(u, p));
    for (long row = 0; row < p->learns; row += GROUP) {
        const int n = p->learns - row < GROUP ? (int)(p->learns - row) : GROUP;
        float *room = p->room, *here = p->q + row * agents, *back = p->of_q + row * agents;
        float *mixed = p->mixed, *of_mixed = p->of_mixed;
        OWN(gather_values)(p->of_chosen, p->starts, row, n, agents, here);
        if (s->mixer == 2) {
            const OWN(Mixed) x = OWN(mixed_room)(u, &room);
            OWN(mixer_reads)(u, p, row, n, 0, x.state, rounded(u->mixer.state));
            OWN(mix)(&u->mixer, n, here, &x, mixed);
            OWN(td_error)(u, p, row, n, mixed, of_mixed);
            OWN(mix_back)(u, p, row, n, here, &x, of_mixed, back, room);
        } else if (s->mixer == 1) {
            for (int r = 0; r < n; r++) {
                mixed[r] = 0;
                for (int i = 0; i < agents; i++) mixed[r] += here[r * agents + i];
            }
            OWN(td_error)(u, p, row, n, mixed, of_mixed);
            for (int r = 0; r < n * agents; r++) back[r] = of_mixed[r / agents];
        } else
            OWN(td_error)(u, p, row, n, here, back);
    }
}

/* The gradients of the head alone: from those of chosen values (reads) to hidden states. */
TARGET static void OWN(head_back)(const Update *u, Part *p, const float *of_values)
{
    const Settings *s = &u->s;
    const long reads = p->reads * s->agents;
    const float *weight = u->w.agent[HEAD];
    const int hidden = s->hidden, wide = rounded(hidden), of_a = rounded(s->actions) + WIDEST;
    float *h = p->room, *a = h + GROUP * wide;
    for (long row = 0; row < reads; row += GROUP) {
        const int n = reads - row < GROUP ? (int)(reads - row) : GROUP;
        memset(a, 0, GROUP * (long)of_a * sizeof(float));
        for (int r = 0; r < n; r++) {
            const float of = of_values[row + r], *w = weight + p->chosen[row + r] * hidden;
            float *to = p->of_hidden + (row + r) * hidden;
            for (int i = 0; i < hidden; i++) to[i] = of * w[i];
            a[r * of_a + p->chosen[row + r]] = of;
        }
        OWN(copy)(p->hidden + row * hidden, hidden, h, wide, n, hidden);
        OWN(add_product)(&p->of_agent.head, n, a, of_a, h, wide);
    }
}

/* From chosen values back through the agents. */
TARGET static int OWN(agents_back)(const Update *u, Part *p)
{
    const Settings *s = &u->s;
    const int n = s->agents, hidden = s->hidden, size = u->size;
    int failed = 0;
    memset(p->of_values, 0, p->reads * n * sizeof(float));
    for (long l = 0; l < p->learns; l++)
        memcpy(p->of_values + (long)p->starts[l] * n, p->of_q + l * n, n * sizeof(float));
    if (s->sale)
        failed = OWN(sale_values_back)(p->hidden, p->read_obs, p->chosen, &u->agent.values,
                                       u->agent.list, p->value_kept, p->of_values, p->of_hidden,
                                       p->of_agent.sale, p->reads * n, p->spare);
    else
        OWN(head_back)(u, p, p->of_values);
    memset(p->of_states, 0, p->rows * n * size * sizeof(float));
    for (long r = 0; r < p->reads * n; r++)
        memcpy(p->of_states + ((long)p->read[r / n] * n + r % n) * size, p->of_hidden + r * hidden,
               hidden * sizeof(float));
    if (u->share.of_own) OWN(add_own)(u, p, p->of_states);
    OWN(gru_back)(&u->agent.gru, &p->agent_steps, p->x, p->states, p->gates, p->of_states, p->of_x,
                  &p->of_agent.by_x, &p->of_agent.by_h, p->room);
    OWN(embed_back)(u, p, p->of_x);
    return failed;
}

/* A part up to the target agents' values. */
TARGET static int OWN(run_agents)(const Update *u, Part *p)
{
    AgentGradient *g = &p->of_agent;
    OWN(gather)(u, p);
    clear(&g->input), clear(&g->by_x), clear(&g->by_h);
    memset(g->of_last, 0, (u->s.actions + 1L) * u->size * sizeof(float));
    memset(g->of_id, 0, (long)u->s.agents * u->size * sizeof(float));
    if (!u->s.sale) clear(&g->head);
    return OWN(act_and_value)(u, p);
}

/* A part's imagination, mixers and TD errors, and back to the values of its chosen actions. */
TARGET static void OWN(mix_part)(const Update *u, Part *p)
{
    const Settings *s = &u->s;
    const int reads_more = s->aggregated && s->mixer == 2;
    memset(p->losses, 0, sizeof p->losses);
    for (int i = 0; s->mixer == 2 && i < 7; i++) clear(p->of_mixer.nets + i);
    if (reads_more) {
        const int64_t *first = s->double_q ? p->greedy : p->target_greedy;
        clear(&p->of_mixer.aggregator);
        if (s->model)
            OWN(imagine)(&u->imagined, p->target_hidden, p->read_obs, first, p->rollout, p->reads,
                         s->horizon, p->room);
        OWN(aggregate)(p, &u->aggregator, p->starts, p->summary);
        OWN(aggregate)(p, &u->target_aggregator, p->ends, p->next_summary);
    }
    OWN(mix_and_back)(u, p);
    if (reads_more) OWN(aggregate_back)(u, p);
}
