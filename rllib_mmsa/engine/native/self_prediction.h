/* What agents foretell of their own next embeddings (method/uses.py, `foretell_own` and
 * `self_prediction_loss`), for one instruction set (native.c). */

/* The states of the agents at the share's rows, (rows, agents, size). */
TARGET static void OWN(gather_states)(const Update *u, float *to)
{
    const long size = (long)u->s.agents * u->size;
    for (long r = 0; r < u->share.rows; r++)
        memcpy(to + r * size, part_of_row(u, r)->states + u->row_of[u->share.at[r]] * size,
               size * sizeof(float));
}

/* (P(h_t, a_t) - sg(z_{t+1}))^2: the loss, its gradients at P's weights, and those at h, which
 * `add_own` takes. Returns 1 where there is no memory. */
TARGET static int OWN(foretell_own)(Update *u)
{
    const Settings *s = &u->s;
    Share *w = &u->share;
    const int e = s->embedding;
    const long rows = w->rows * s->agents;
    if (!w->z) return 1; /* no memory for the encoders */
    Pool pool = {.of = u->shares + 2};
    Learned net;
    Trace kept;
    float *states = NULL, *told = NULL, *of_told = NULL, *of_own = NULL, *room = NULL;
    for (int time = 0; time < 2; time++) {
        if (time && make_pool(&pool)) return 1;
        Tensors list = {u->w.predictor, u->w.of_predictor};
        net = learned(&list,
                      (Shape){s->hidden, 1, s->wide, e, .split = s->hidden, .one_hots = s->actions,
                              .picks = 1},
                      &pool);
        kept = trace(&pool, &net, rows);
        states = rows_of(&pool, rows, u->size), told = rows_of(&pool, rows, e);
        of_told = rows_of(&pool, rows, e), of_own = rows_of(&pool, rows, s->hidden);
        room = block(&pool, pool.room);
    }
    pack_learned(&net);
    OWN(gather_states)(u, states);
    OWN(forwards)(&net, states, u->size, w->taken, kept, told, e, rows);
    w->losses[13] = OWN(error_of_next)(told, w->z, rounded(e), w->agents_before, w->agents_after,
                                       s->self_weight, rows, e, of_told);
    OWN(backwards)(&net, states, u->size, w->taken, kept, of_told, e, of_own, rows, room);
    give_learned(&net);
    w->of_own = of_own;
    return 0;
}

/* Adds the self-prediction's gradient to that at a part's states (rows, agents, size). */
TARGET static void OWN(add_own)(const Update *u, const Part *p, float *of_states)
{
    const int n = u->s.agents, hidden = u->s.hidden, size = u->size;
    for (long r = 0; r < u->share.rows; r++) {
        if (part_of_row(u, r) != p) continue;
        const long row = u->row_of[u->share.at[r]];
        for (int i = 0; i < n; i++)
            OWN(add)(of_states + (row * n + i) * size, u->share.of_own + (r * n + i) * hidden,
                     hidden);
    }
}
