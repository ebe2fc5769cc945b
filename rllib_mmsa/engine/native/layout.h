/* Where an update's numbers lie (batch.h), and its weights as they are multiplied. */

static void lay_out_agent(const Settings *s, AgentNet *net, int learns, Arena *arena)
{
    const int size = rounded(s->hidden);
    net->learns = learns;
    net->input_room = floats(arena, layer_size(s->obs, s->hidden));
    net->of_last = floats(arena, (s->actions + 1L) * size);
    net->of_id = floats(arena, (long)s->agents * size);
    net->gru_room = floats(arena, gru_size(s->hidden, learns));
    if (!s->sale) {
        net->head_room = floats(arena, layer_size(s->hidden, s->actions));
        return;
    }
    const int sizes[] = {s->actions, s->obs, s->hidden, s->embedding, s->wide, s->wide};
    net->values = sized_agent(sizes);
    net->pair = floats(arena, (long)s->wide * (s->wide + s->embedding));
    net->state_bias = floats(arena, s->wide);
    net->room = floats(arena, agent_size(&net->values));
}

static void lay_out_agent_gradient(const Settings *s, AgentGradient *g, Arena *arena)
{
    const int size = rounded(s->hidden), a = s->actions, wide = s->wide;
    g->input = gradient(arena, size, s->obs);
    g->by_x = gradient(arena, 3 * size, size);
    g->by_h = gradient(arena, 3 * size, size);
    g->of_last = floats(arena, (a + 1L) * size);
    g->of_id = floats(arena, (long)s->agents * size);
    if (!s->sale) {
        g->head = gradient(arena, a, s->hidden);
        return;
    }
    const long counts[8] = {(long)s->embedding * (s->obs + a), s->embedding,
                            (long)a * s->hidden,               a,
                            (long)wide * (s->hidden + s->embedding), wide,
                            (long)wide * (wide + s->embedding), wide};
    for (int i = 0; i < 8; i++) g->sale[i] = floats(arena, counts[i]);
}

/* Inputs and outputs of a mixer's layers, in the order of `fill_mixer`. */
static void mixer_layers(const Mixer *m, int sizes[7][2])
{
    const int all[7][2] = {{m->state, m->wide},  {m->wide, m->agents * m->embed},
                           {m->state, m->embed}, {m->state, m->wide},
                           {m->wide, m->embed},  {m->state, m->embed},
                           {m->embed, 1}};
    memcpy(sizes, all, sizeof all);
}

/* What one group of a mixer's rows needs; see `mix_and_back`. */
static long mixer_room(const Settings *s)
{
    const int many = rounded(s->agents * s->embed), embed = rounded(s->embed);
    const int hyper = rounded(s->hyper), state = rounded(state_read(s));
    return GROUP * (2L * state + 2 * many + 8L * embed + 4 * hyper + 16L * WIDEST);
}

static Model model_of(const Settings *s)
{
    const int sizes[] = {s->agents, s->actions,  s->obs,   s->hidden,
                         s->latent, s->embedded, s->width, s->deep};
    return sized_model(sizes);
}

static long part_room(const Settings *s)
{
    const int size = rounded(s->hidden);
    long most = GROUP * (3L * size + 6 * size) + WIDEST;
    const long input = GROUP * (size + 2L * WIDEST + rounded(s->obs));
    if (input > most) most = input;
    if (s->mixer == 2 && mixer_room(s) > most) most = mixer_room(s);
    if (s->model) {
        const Model m = model_of(s);
        if (imagine_room(&m) > most) most = imagine_room(&m);
    }
    const long summary = GROUP * (2L * rounded(s->state) + 2 * WIDEST + rounded(s->aggregated));
    if (s->aggregated && summary > most) most = summary;
    return most + GROUP * 64;
}

static void lay_out_part(const Update *u, Part *p, int count, Arena *arena)
{
    const Settings *s = &u->s;
    const long n = s->agents, most = count * (s->steps + 1L), size = u->size;
    const long all = most * n, mixed = mixed_values(s);
    p->episodes = ints(arena, count);
    p->steps.starts = take(arena, s->steps + 2, sizeof(long));
    p->agent_steps.starts = take(arena, s->steps + 2, sizeof(long));
    int **const indices[] = {&p->at, &p->read, &p->read_of, &p->starts, &p->ends, &p->learned};
    for (int i = 0; i < 6; i++) *indices[i] = ints(arena, most);
    p->obs = matrix(arena, all, s->obs), p->read_obs = matrix(arena, all, s->obs);
    float **const of_size[] = {&p->x,           &p->target_x,  &p->states,
                               &p->target_states, &p->of_states, &p->of_x};
    for (int i = 0; i < 6; i++) *of_size[i] = matrix(arena, all, size);
    p->gates = matrix(arena, all, 4 * size);
    int64_t **const actions[] = {&p->last, &p->chosen, &p->greedy, &p->target_greedy};
    for (int i = 0; i < 4; i++) *actions[i] = take(arena, all, sizeof(int64_t));
    p->legal = take(arena, all * s->actions, 1);
    p->hidden = matrix(arena, all, s->hidden), p->target_hidden = matrix(arena, all, s->hidden);
    p->of_hidden = matrix(arena, all, s->hidden);
    p->values = matrix(arena, all, s->actions);
    float **const numbers[] = {&p->of_chosen, &p->next, &p->of_values, &p->q, &p->next_q, &p->of_q};
    for (int i = 0; i < 6; i++) *numbers[i] = floats(arena, all + GROUP);
    float **const of_mixed[] = {&p->mixed, &p->next_mixed, &p->of_mixed, &p->targets};
    for (int i = 0; i < 4; i++) *of_mixed[i] = floats(arena, (most + GROUP) * mixed);
    p->value_kept = s->sale ? matrix(arena, all, 2 * s->embedding + 2 * s->wide + 1) : NULL;
    if (s->aggregated) { /* the target agents' hidden states, or a roll-out from them */
        p->rollout = s->model ? matrix(arena, most, s->aggregated) : p->target_hidden;
        float **const summaries[] = {&p->summary, &p->next_summary, &p->of_summary};
        for (int i = 0; i < 3; i++) *summaries[i] = matrix(arena, most, s->state);
    }
    p->room = floats(arena, part_room(s));
    lay_out_agent_gradient(s, &p->of_agent, arena);
    if (s->mixer == 2) {
        int sizes[7][2];
        mixer_layers(&u->mixer, sizes);
        for (int i = 0; i < 7; i++) p->of_mixer.nets[i] = gradient(arena, sizes[i][1], sizes[i][0]);
    }
    if (s->aggregated && s->mixer == 2)
        p->of_mixer.aggregator = gradient(arena, s->state, s->aggregated);
}

static void lay_out_share(const Settings *s, Share *share, Arena *arena)
{
    const long rows = (s->episodes + s->every - 1L) / s->every * (s->steps + 1);
    const long n = s->agents, each = rows * n, joint = joint_of(s);
    share->at = ints(arena, rows), share->before = ints(arena, rows);
    share->agents_before = ints(arena, each);
    share->raw = matrix(arena, each, s->obs), share->taken = ints(arena, each);
    share->agents_after = floats(arena, each);
    float **const weights[] = {&share->learned, &share->seen, &share->after};
    for (int i = 0; i < 3; i++) *weights[i] = floats(arena, rows);
    if (!s->model) return;
    share->hidden = matrix(arena, each, s->hidden), share->obs = matrix(arena, each, s->obs);
    share->legal = matrix(arena, each, s->actions);
    share->noise = matrix(arena, rows, joint), share->prior_noise = matrix(arena, rows, joint);
    float **const per_row[] = {&share->mask, &share->rewards, &share->ended};
    for (int i = 0; i < 3; i++) *per_row[i] = floats(arena, rows);
    share->greedy = take(arena, each, sizeof(int64_t));
    share->first = take(arena, rows, 1);
    share->sums = take(arena, 2L * (s->hidden > s->obs ? s->hidden : s->obs), sizeof(double));
}

static void lay_out_update(Update *u, Arena *arena)
{
    const Settings *s = &u->s;
    u->size = rounded(s->hidden);
    u->num_parts = count_parts(s);
    u->lengths = ints(arena, s->episodes), u->order = ints(arena, s->episodes);
    u->row_of = ints(arena, s->episodes * (s->steps + 1L)), u->part_of = ints(arena, s->episodes);
    lay_out_agent(s, &u->agent, 1, arena);
    lay_out_agent(s, &u->target_agent, 0, arena);
    const int mixer[] = {s->agents, state_read(s), s->embed, s->hyper};
    u->mixer = u->target_mixer = sized_mixer(mixer);
    if (s->mixer == 2) {
        u->mixer_room = floats(arena, mixer_size(&u->mixer));
        u->target_mixer_room = floats(arena, mixer_size(&u->mixer));
        int sizes[7][2];
        mixer_layers(&u->mixer, sizes);
        long back = 0;
        for (int i = 0; i < 7; i++) back += layer_size(sizes[i][1], sizes[i][0]);
        u->mixer_back_room = floats(arena, back);
    }
    if (s->aggregated) {
        const long summary = layer_size(s->aggregated, s->state);
        u->aggregator_room = floats(arena, summary);
        u->target_aggregator_room = floats(arena, summary);
    }
    if (s->model) {
        u->imagined = model_of(s);
        u->model_room = floats(arena, model_size(&u->imagined));
        u->target_deviations = floats(arena, s->hidden + s->obs);
    }
    u->parts = take(arena, u->num_parts, sizeof(Part));
    const int most = (s->episodes + u->num_parts - 1) / u->num_parts;
    for (int p = 0; p < u->num_parts; p++) {
        Part nowhere = {0};
        lay_out_part(u, arena->base ? u->parts + p : &nowhere, most, arena);
    }
    if (s->sale) lay_out_share(s, &u->share, arena);
}

/* [z^oa's columns times g's last layer ; phi's columns] of the head's layer on actions, and the
 * bias that comes of it: what lies between g's hidden layer and the head is linear. */
static void compose(const Settings *s, const float *const *list, float *pair, float *bias)
{
    const int e = s->embedding, wide = s->wide;
    const float *g = list[SALE_G + 2], *g_bias = list[SALE_G + 3], *from = list[FROM_ACTION];
    for (int o = 0; o < wide; o++, from += 2 * e, pair += wide + e) {
        float sum = list[FROM_STATE + 1][o];
        for (int i = 0; i < wide; i++) pair[i] = 0;
        for (int k = 0; k < e; k++) {
            for (int i = 0; i < wide; i++) pair[i] += from[k] * g[(long)k * wide + i];
            sum += from[k] * g_bias[k];
        }
        memcpy(pair + wide, from + e, e * sizeof(float));
        bias[o] = sum;
    }
}

static void pack_net(const Settings *s, AgentNet *net, const float *const *list)
{
    const int size = rounded(s->hidden);
    const int columns = s->obs + s->actions * s->last_action + s->agents * s->agent_id;
    float *room = net->input_room;
    net->input = make_layer(list[INPUT], list[INPUT + 1], columns, s->obs, s->hidden, &room);
    float *last = (float *)net->of_last, *id = (float *)net->of_id;
    memset(last, 0, (s->actions + 1L) * size * sizeof(float));
    memset(id, 0, (long)s->agents * size * sizeof(float));
    for (int o = 0; o < s->hidden; o++) {
        const float *row = list[INPUT] + (long)o * columns + s->obs;
        for (int a = 0; a < s->actions && s->last_action; a++) last[a * size + o] = row[a];
        row += s->actions * s->last_action;
        for (int i = 0; i < s->agents && s->agent_id; i++) id[i * size + o] = row[i];
    }
    room = net->gru_room;
    net->gru = make_gru(list + RNN, s->hidden, net->learns, &room);
    if (!s->sale) {
        room = net->head_room;
        net->head =
            make_layer(list[HEAD], list[HEAD + 1], s->hidden, s->hidden, s->actions, &room);
        return;
    }
    compose(s, list, net->pair, net->state_bias);
    const float *values[14] = {list[6],  list[7],  list[8],  list[9],  list[10], list[11], list[14],
                               list[15], list[20], list[21], list[16], net->state_bias, net->pair,
                               list[19]};
    memcpy(net->list, values, sizeof values);
    room = net->room;
    fill_agent(&net->values, net->list, &room);
}

/* The weights that learn and those of targets, in tasks. */
enum { PACK_AGENT, PACK_TARGET_AGENT, PACK_MIXERS, PACK_MODEL, PACKS };

static void pack(void *of, int task)
{
    Update *u = of;
    const Settings *s = &u->s;
    const Weights *w = &u->w;
    float *room;
    if (task == PACK_AGENT) pack_net(s, &u->agent, w->agent);
    if (task == PACK_TARGET_AGENT) pack_net(s, &u->target_agent, w->target_agent);
    if (task == PACK_MIXERS && s->mixer == 2) {
        room = u->mixer_room, fill_mixer(&u->mixer, w->mixer, &room);
        room = u->target_mixer_room, fill_mixer(&u->target_mixer, w->target_mixer, &room);
        int sizes[7][2];
        mixer_layers(&u->mixer, sizes);
        room = u->mixer_back_room;
        for (int i = 0; i < 7; i++)
            u->mixer_back[i] =
                backwards(w->mixer[2 * i], sizes[i][0], sizes[i][0], sizes[i][1], &room);
    }
    if (task == PACK_MIXERS && s->aggregated) {
        const int inputs = s->aggregated;
        room = u->aggregator_room;
        u->aggregator =
            make_layer(w->aggregator[0], w->aggregator[1], inputs, inputs, s->state, &room);
        room = u->target_aggregator_room;
        u->target_aggregator = make_layer(w->target_aggregator[0], w->target_aggregator[1], inputs,
                                          inputs, s->state, &room);
    }
    if (task == PACK_MODEL && s->model) {
        float *by = u->target_deviations;
        for (int i = 0; i < s->hidden; i++)
            by[i] = 1 / fmaxf(sqrtf(w->target_scales[1][i]), LEAST_DEVIATION);
        for (int i = 0; i < s->obs; i++)
            by[s->hidden + i] = 1 / fmaxf(sqrtf(w->target_scales[3][i]), LEAST_DEVIATION);
        const float *list[64] = {w->target_scales[0], by, w->target_scales[2], by + s->hidden};
        for (int i = 0; i < MODEL_WEIGHTS; i++) list[4 + i] = w->target_model[i];
        room = u->model_room;
        fill_model(&u->imagined, list, &room);
    }
}
