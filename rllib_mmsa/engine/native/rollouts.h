/* Roll-outs of a world model, for one instruction set (native.c). */

/* What a group of roll-outs is at: `next` is what it needs room for. */
typedef struct {
    float *seen;           /* (GROUP agents, hidden + obs) */
    float *known;          /* (GROUP, 4 joint): z^sa, z^s, phi^sa, s */
    float *with_z;         /* (GROUP, acted): z^s, e(a) */
    float *with_s;         /* (GROUP, acted): s, e(a) */
    float *state, *change; /* (GROUP, joint) */
    float *policy;         /* (GROUP, 2 joint): z^s, phi^s */
    float *logits;         /* (GROUP, choices) */
    float *room;           /* (GROUP agents, width) */
} OWN(Group);

/* The imagined policy's actions in a state, from z^s and s, into `actions` (n, agents). */
TARGET static void OWN(act)(const Model *m, int n, OWN(Group) * g, int64_t *actions)
{
    const int joint = m->joint;
    OWN(copy)(g->with_z, m->acted, g->policy, 2 * joint, n, joint);
    OWN(apply)(&m->policy_phi, n, g->state, joint, g->policy + joint, 2 * joint, 0);
    OWN(avg_l1_norm)(g->policy + joint, n, 2 * joint, joint, NULL);
    OWN(net)(&m->policy, n, g->policy, 2 * joint, g->room, g->logits, m->choices);
    const float *logits = g->logits;
    for (int r = 0; r < n * m->agents; r++, logits += m->actions) {
        actions[r] = 0;
        for (int a = 1; a < m->actions; a++)
            if (logits[a] > logits[actions[r]]) actions[r] = a;
    }
}

/* The next state, from z^s, s and actions. */
TARGET static void OWN(go_on)(const Model *m, int n, OWN(Group) * g, const int64_t *actions)
{
    const int joint = m->joint, acted = m->acted;
    OWN(copy)(g->state, joint, g->with_s, acted, n, joint);
    for (int r = 0; r < n; r++)
        for (int i = 0; i < m->agents * m->embedded; i++) {
            const int64_t action = actions[r * m->agents + i / m->embedded];
            const float number = m->action_embedding[i % m->embedded * m->actions + action];
            g->with_z[r * acted + joint + i] = g->with_s[r * acted + joint + i] = number;
        }
    float *known = g->known;
    OWN(two_layers)(&m->g_first, &m->g_last, n, g->with_z, acted, g->room, known, 4 * joint, 0);
    OWN(copy)(g->with_z, acted, known + joint, 4 * joint, n, joint);
    OWN(apply)(&m->phi, n, g->with_s, acted, known + 2 * joint, 4 * joint, 0);
    OWN(avg_l1_norm)(known + 2 * joint, n, 4 * joint, joint, NULL);
    OWN(copy)(g->state, joint, known + 3 * joint, 4 * joint, n, joint);
    OWN(net)(&m->prior, n, known, 4 * joint, g->room, g->change, joint);
    for (int i = 0; i < n * joint; i++) g->state[i] += g->change[i];
}

/* The first state: the posterior's mean. */
TARGET static void OWN(begin)(const Model *m, int n, OWN(Group) * g, const float *hidden,
                              const float *obs)
{
    const int seen = m->hidden + m->obs;
    for (int r = 0; r < n * m->agents; r++, hidden += m->hidden, obs += m->obs) {
        float *to = g->seen + r * seen;
        for (int i = 0; i < m->hidden; i++)
            to[i] = (hidden[i] - m->hidden_mean[i]) / m->hidden_deviation[i];
        for (int i = 0; i < m->obs; i++)
            to[m->hidden + i] = (obs[i] - m->obs_mean[i]) / m->obs_deviation[i];
    }
    OWN(net)(&m->posterior, n * m->agents, g->seen, seen, g->room, g->state, m->latent);
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
    const int joint = m->joint, out = (horizon + 1) * joint;
    const long seen = m->agents * (m->hidden + m->obs);
    int64_t *chosen = (int64_t *)room;
    OWN(Group) g = {.seen = room + 2 * GROUP * m->agents};
    g.known = g.seen + GROUP * seen;
    g.with_z = g.known + GROUP * 4 * joint;
    g.with_s = g.with_z + GROUP * m->acted;
    g.state = g.with_s + GROUP * m->acted;
    g.change = g.state + GROUP * joint;
    g.policy = g.change + GROUP * joint;
    g.logits = g.policy + GROUP * 2 * joint;
    g.room = g.logits + GROUP * m->choices;
    for (long step = 0; step < steps; step += GROUP) {
        const int n = steps - step < GROUP ? steps - step : GROUP;
        float *states = latents + step * out;
        OWN(begin)(m, n, &g, hidden + step * m->agents * m->hidden, obs + step * m->agents * m->obs);
        memcpy(chosen, actions + step * m->agents, n * m->agents * sizeof(int64_t));
        OWN(copy)(g.state, joint, states, out, n, joint);
        for (int depth = 1; depth <= horizon; depth++) {
            OWN(two_layers)(&m->f_first, &m->f_last, n, g.state, joint, g.room, g.with_z, m->acted, 0);
            OWN(avg_l1_norm)(g.with_z, n, m->acted, joint, NULL);
            if (depth > 1) OWN(act)(m, n, &g, chosen);
            OWN(go_on)(m, n, &g, chosen);
            OWN(copy)(g.state, joint, states + depth * joint, out, n, joint);
        }
    }
}
