/* Roll-outs of a world model, for one instruction set (native.c). */

/* Room for a group of roll-outs; strides of what is not named so are rounded. */
typedef struct {
    float *seen;         /* (GROUP agents, hidden + obs) */
    float *begun, *room; /* (GROUP agents, .): what `seen` or `known` make, and the second layer */
    float *known;        /* (GROUP, known): g's hidden layer, z^s, phi^sa, s */
    float *of_state;     /* (GROUP, .) */
    float *policy;       /* (GROUP, 2 joint): z^s, phi^s */
    float *logits;       /* (GROUP, .): the policy's hidden layer, logits */
    float *state;        /* (GROUP, joint) */
    int *actions;        /* (GROUP, agents): places among one-hot numbers */
} OWN(Group);

static OWN(Group) OWN(group_of)(const Model *m, float *room)
{
    const int n = m->agents;
    OWN(Group) g;
    g.begun = reserve(&room, GROUP * (long)begun_of(m));
    g.room = reserve(&room, GROUP * (long)n * rounded(m->deep));
    g.of_state = reserve(&room, GROUP * (long)rounded(m->width + 2 * m->joint));
    g.logits = reserve(&room, GROUP * (long)rounded(m->width + m->choices));
    g.seen = reserve(&room, GROUP * (long)n * (m->hidden + m->obs));
    g.known = reserve(&room, GROUP * (long)known_of(m) + WIDEST);
    g.policy = reserve(&room, GROUP * 2L * m->joint);
    g.state = reserve(&room, GROUP * (long)m->joint);
    g.actions = (int *)room;
    return g;
}

/* The imagined policy's actions in a state. */
TARGET static void OWN(act)(const Model *m, int n, OWN(Group) * g)
{
    const int joint = m->joint, wide = m->width, stride = m->policy.stride;
    OWN(copy)(g->known + wide, known_of(m), g->policy, 2 * joint, n, joint);
    OWN(copy)
    (g->of_state + wide + joint, m->of_state.stride, g->policy + joint, 2 * joint, n, joint);
    OWN(avg_l1_norm)(g->policy + joint, n, 2 * joint, joint, NULL);
    OWN(apply)(&m->policy, n, g->policy, 2 * joint, g->logits, stride, 0);
    OWN(relu_rows)(g->logits, stride, n, wide);
    OWN(apply)(&m->policy_last, n, g->logits, stride, g->logits + wide, stride, 1);
    for (int r = 0; r < n; r++)
        for (int i = 0; i < m->agents; i++) {
            const float *logits = g->logits + r * (long)stride + wide + i * m->actions;
            int best = 0;
            for (int a = 1; a < m->actions; a++) best = logits[a] > logits[best] ? a : best;
            g->actions[r * m->agents + i] = i * m->actions + best;
        }
}

/* The next state, from the state and actions; the policy acts from depth 2 on. */
TARGET static void OWN(go_on)(const Model *m, int n, OWN(Group) * g, int depth)
{
    const int joint = m->joint, wide = m->width, deep = m->deep, stride = known_of(m);
    float *z = g->known + wide, *phi = z + joint, *s = phi + joint;
    Layer of_state = m->of_state;
    if (depth == 1) of_state.outputs -= joint;
    OWN(apply)(&of_state, n, s, stride, g->of_state, of_state.stride, 0);
    OWN(relu_rows)(g->of_state, of_state.stride, n, wide);
    OWN(apply)(&m->f_last, n, g->of_state, of_state.stride, z, stride, 0);
    OWN(avg_l1_norm)(z, n, stride, joint, NULL);
    if (depth > 1) OWN(act)(m, n, g);
    OWN(apply)(&m->g_first, n, z, stride, g->begun, rounded(wide), 0);
    OWN(add_picked)(m->of_g, rounded(wide), g->actions, m->agents, n, g->begun, rounded(wide));
    OWN(relu_rows)(g->begun, rounded(wide), n, wide);
    OWN(copy)(g->begun, rounded(wide), g->known, stride, n, wide);
    OWN(add_picked)
    (m->of_phi, rounded(joint), g->actions, m->agents, n, g->of_state + wide, of_state.stride);
    OWN(copy)(g->of_state + wide, of_state.stride, phi, stride, n, joint);
    OWN(avg_l1_norm)(phi, n, stride, joint, NULL);
    OWN(apply)(&m->known, n, g->known, stride, g->begun, m->known.stride, 0);
    OWN(add_picked)
    (m->of_known, m->known.stride, g->actions, m->agents, n, g->begun, m->known.stride);
    OWN(relu_rows)(g->begun, m->known.stride, n, deep);
    OWN(apply)(&m->middle, n, g->begun, m->known.stride, g->room, rounded(deep), 0);
    OWN(relu_rows)(g->room, rounded(deep), n, deep);
    OWN(apply)(&m->last, n, g->room, rounded(deep), g->begun + deep, m->known.stride, 1);
    for (int r = 0; r < n; r++)
        OWN(add)(s + r * (long)stride, g->begun + r * (long)m->known.stride + deep, joint);
}

/* The first state: the posterior's mean. */
TARGET static void OWN(begin)(const Model *m, int n, OWN(Group) * g, const float *hidden,
                              const float *obs)
{
    const int seen = m->hidden + m->obs, deep = m->deep, stride = m->seen.stride;
    const int rows = n * m->agents;
    float *to = g->seen;
    for (int r = 0; r < rows; r++, hidden += m->hidden, obs += m->obs, to += seen) {
        for (int i = 0; i < m->hidden; i++)
            to[i] = (hidden[i] - m->hidden_mean[i]) * m->by_hidden[i];
        for (int i = 0; i < m->obs; i++)
            to[m->hidden + i] = (obs[i] - m->obs_mean[i]) * m->by_obs[i];
    }
    OWN(apply)(&m->seen, rows, g->seen, seen, g->begun, stride, 0);
    OWN(relu_rows)(g->begun, stride, rows, deep);
    OWN(apply)(&m->seen_middle, rows, g->begun, stride, g->room, rounded(deep), 0);
    OWN(relu_rows)(g->room, rounded(deep), rows, deep);
    OWN(apply)(&m->seen_last, rows, g->room, rounded(deep), g->begun + deep, stride, 1);
    OWN(copy)(g->begun + deep, stride, g->state, m->latent, rows, m->latent);
}

/* Roll-outs in latent space (world_model.py, `imagine`), of the means, of `steps` rows.
 *
 * hidden (steps, agents, hidden), obs (steps, agents, obs), actions (steps, agents) and, written
 * to, latents (steps, horizon + 1, joint). `room` has `imagine_room` numbers.
 */
TARGET static void OWN(imagine)(const Model *m, const float *hidden, const float *obs,
                                const int64_t *actions, float *latents, long steps, int horizon,
                                float *room)
{
    const int joint = m->joint, out = (horizon + 1) * joint, known = known_of(m);
    OWN(Group) g = OWN(group_of)(m, room);
    float *s = g.known + known - joint;
    for (long step = 0; step < steps; step += GROUP) {
        const int n = steps - step < GROUP ? (int)(steps - step) : GROUP;
        const long each = step * m->agents;
        float *states = latents + step * out;
        OWN(begin)(m, n, &g, hidden + each * m->hidden, obs + each * m->obs);
        OWN(copy)(g.state, joint, s, known, n, joint);
        OWN(copy)(g.state, joint, states, out, n, joint);
        for (int i = 0; i < n * m->agents; i++)
            g.actions[i] = i % m->agents * m->actions + (int)actions[each + i];
        for (int depth = 1; depth <= horizon; depth++) {
            OWN(go_on)(m, n, &g, depth);
            OWN(copy)(s, known, states + depth * joint, out, n, joint);
        }
    }
}
