/* What the world model's losses work with (model_losses.h, open_loop.h). */

static const float LEAST = -5, MOST = 2; /* of a log deviation (world_model.py) */
enum { OUTCOME = 64 };                   /* width of the outcomes' network (world_model.py) */

/* The places of what a loss counts (`by`) and of what is returned. */
enum {
    KL_PRIOR, /* at the prior */
    KL_OF_Q,  /* KL[q || p] at the posterior */
    KL_OF_P,  /* and at the prior */
    OF_EMBEDDINGS,
    OF_HIDDEN,
    OF_HEADS,
    OF_SALE,
    OF_POLICY,
    OF_OPEN_LOOP,
    OF_REWARD,
    OF_END,
    WEIGHED,
};

/* SALE's encoders f and g of some rows, and what their loss needs. pair (rows, stride): z, and the
 * numbers of actions that g reads; z_a and gradients (rows, size). */
typedef struct {
    Learned f, g;
    Trace of_f, of_g;
    int size, stride;
    float *pair, *z_a, *norms, *of_z, *of_z_a;
} Sale;

/* `numbers`: of embedded actions that g reads; or, 0, one of `one_hots` actions. */
static Sale lay_out_sale(Pool *pool, Tensors *list, int inputs, int numbers, int one_hots,
                         int width, int size, long rows)
{
    Sale s = {.size = size, .stride = rounded(size + numbers)};
    s.f = learned(list, (Shape){inputs, 1, width, size, .from = inputs, .split = inputs}, pool);
    s.g = learned(list,
                  (Shape){size + numbers, 1, width, size, .split = size + numbers,
                          .one_hots = one_hots, .picks = one_hots > 0},
                  pool);
    s.of_f = trace(pool, &s.f, rows), s.of_g = trace(pool, &s.g, rows);
    s.pair = rows_of(pool, rows, s.stride), s.norms = block(pool, rows);
    s.z_a = rows_of(pool, rows, size), s.of_z_a = rows_of(pool, rows, size);
    s.of_z = rows_of(pool, rows, size);
    return s;
}

/* A Gaussian, and a sample of it, (rows, joint) each. */
typedef struct {
    float *mean, *log_std, *std, *sample;
} Normal;

/* What is foretold along the actions taken (`follow` in world_model.py): entries are steps by how
 * far ahead, depth after depth; those of depth k are starts[k] to starts[k + 1]. What goes on from
 * what was foretold, the entries from depth 1 on, has rows of its own. */
typedef struct {
    int *starts, *row, *previous; /* row: of the step; previous: the entry before, or the row */
    int *picked;                  /* (entries, agents): see `World` */
    float *weights;               /* in a mean over entries */
    float *after, *of_after;      /* (entries, joint) */
    float *known, *acted, *phi, *norms;            /* (from depth 1 on, .) */
    float *change, *of_known, *of_acted, *encoded; /* of a depth */
    float *pair, *of_found;                        /* (GROUP, 2 joint): before, after */
    float *outcomes, *of_outcomes;                 /* (GROUP, 2) */
    Trace of_outcome, of_prior, of_phi, of_f, of_g;
} Ahead;

/* What the world model makes of its data, forwards and backwards; sizes as in world_model.py. */
typedef struct {
    Model m;
    int horizon, foretells, learns; /* learns: whether a loss counts anything */
    long rows;
    const float *hidden, *obs, *legal, *noise, *prior_noise, *learned, *seen, *after, *mask;
    const float *rewards, *ended, *by;
    const int64_t *greedy;
    const int *taken, *before;
    const uint8_t *first;
    Tensors of_actions;
    Sale sale;
    Learned phi_net, posterior, prior, embeddings, states, heads, outcome, policy_phi, policy;
    Trace of_phi_net, of_posterior, of_prior, of_embeddings_net, of_states_net, of_heads,
        of_policy_phi, of_policy_net, of_encoder;
    float *read;                 /* (rows, agents, hidden and obs filled up) */
    float *found_q, *found_p;    /* what the posterior's and the prior's networks say */
    Normal q, p, of_q, of_p;     /* of_: gradients */
    int *picked, *picked_before; /* (rows, agents): places of the actions among one-hot numbers */
    float *acted, *phi, *norms;  /* acted (rows, acted filled up): s, e(a) */
    float *known, *of_known;     /* (rows, 4 joint filled up): z^sa, z^s, phi^sa, s */
    float *latents, *spare;
    float *embedded, *decoded, *headed, *of_embedded, *of_states, *of_decoded,
        *of_headed;                    /* GROUP rows */
    float *of_latents, *of_heads_read; /* GROUP rows */
    float *policy_read, *policy_norms, *logits, *of_logits, *of_acted, *room;
    Ahead ahead;
} World;

static void lay_out_ahead(World *w, Pool *pool)
{
    const Model *m = &w->m;
    Ahead *a = &w->ahead;
    const int joint = m->joint;
    const long most = w->horizon * w->rows, each = most * m->agents;
    a->starts = (int *)block(pool, w->horizon + 1);
    int **const indices[] = {&a->row, &a->previous};
    for (int i = 0; i < 2; i++) *indices[i] = (int *)block(pool, most);
    a->picked = (int *)block(pool, each), a->weights = block(pool, most);
    a->after = rows_of(pool, most, joint), a->of_after = rows_of(pool, most, joint);
    a->pair = rows_of(pool, GROUP, 2 * joint), a->of_found = rows_of(pool, GROUP, 2 * joint);
    a->outcomes = rows_of(pool, GROUP, 2), a->of_outcomes = rows_of(pool, GROUP, 2);
    a->known = rows_of(pool, most, rounded(4 * joint)), a->phi = rows_of(pool, most, joint);
    a->acted = rows_of(pool, most, rounded(m->acted)), a->norms = block(pool, most);
    a->change = rows_of(pool, w->rows, joint), a->of_known = rows_of(pool, w->rows, 2 * joint);
    a->of_acted = rows_of(pool, w->rows, m->acted);
    a->encoded = rows_of(pool, w->rows, rounded(m->acted));
    a->of_outcome = trace(pool, &w->outcome, GROUP);
    a->of_prior = trace(pool, &w->prior, most), a->of_phi = trace(pool, &w->phi_net, most);
    a->of_f = trace(pool, &w->sale.f, w->rows), a->of_g = trace(pool, &w->sale.g, w->rows);
}

/* The networks, whose weights `list` has in the order of these lines. */
static void lay_out_nets(World *w, Tensors list, Pool *pool)
{
    const Model *m = &w->m;
    const int n = m->agents, joint = m->joint, wide = m->width, deep = m->deep;
    const int seen = m->hidden + m->obs;
    w->of_actions = list;
    list = (Tensors){list.weights + 1, list.gradients + 1};
    w->sale = lay_out_sale(pool, &list, joint, n * m->embedded, 0, wide, joint, w->rows);
    w->phi_net = learned(&list, (Shape){m->acted, 0, 0, joint, .split = m->acted}, pool);
    w->posterior =
        learned(&list, (Shape){seen, 2, deep, 2 * m->latent, 1, .from = seen, .split = seen}, pool);
    w->prior = learned(&list,
                       (Shape){4 * joint, 2, deep, 2 * joint, 1, .from = 2 * joint,
                               .split = 4 * joint, .one_hots = m->choices, .picks = n},
                       pool);
    w->embeddings = learned(&list, (Shape){joint, 1, wide, 3 * joint, 1, .split = joint}, pool);
    w->states =
        learned(&list, (Shape){3 * joint, 1, wide, n * m->hidden, 1, .split = 3 * joint}, pool);
    w->heads = learned(
        &list, (Shape){joint, 2, deep, n * (m->obs + m->actions), 1, .split = joint}, pool);
    w->policy_phi =
        learned(&list, (Shape){joint, 0, 0, joint, .from = joint, .split = joint}, pool);
    w->policy = learned(
        &list, (Shape){2 * joint, 1, wide, m->choices, 1, .from = joint, .split = 2 * joint}, pool);
    if (!w->foretells) return;
    w->outcome = learned(
        &list,
        (Shape){2 * joint, 1, OUTCOME, 2, .split = joint, .one_hots = m->choices, .picks = n},
        pool);
}

enum { NETS = 11 };

/* All networks of a world model, the one of outcomes last. */
static void nets_of(World *w, Learned *nets[NETS])
{
    Learned *const all[NETS] = {&w->sale.f,     &w->sale.g, &w->phi_net,    &w->posterior,
                                &w->prior,      &w->states, &w->embeddings, &w->heads,
                                &w->policy_phi, &w->policy, &w->outcome};
    memcpy(nets, all, sizeof all);
}

static void lay_out_traces(World *w, Pool *pool)
{
    const long rows = w->rows, each = rows * w->m.agents;
    w->of_phi_net = trace(pool, &w->phi_net, rows);
    w->of_posterior = trace(pool, &w->posterior, each);
    w->of_prior = trace(pool, &w->prior, rows);
    w->of_embeddings_net = trace(pool, &w->embeddings, GROUP);
    w->of_states_net = trace(pool, &w->states, GROUP);
    w->of_heads = trace(pool, &w->heads, GROUP);
    w->of_policy_phi = trace(pool, &w->policy_phi, rows);
    w->of_policy_net = trace(pool, &w->policy, rows);
    w->of_encoder = trace(pool, &w->sale.f, rows);
}

/* Room for all of it. */
static void lay_out(World *w, Tensors list, Pool *pool)
{
    const Model *m = &w->m;
    const int joint = m->joint, heads = m->agents * (m->obs + m->actions);
    const long rows = w->rows, each = rows * m->agents;
    lay_out_nets(w, list, pool);
    lay_out_traces(w, pool);
    Normal *const normals[] = {&w->q, &w->p, &w->of_q, &w->of_p};
    for (int i = 0; i < 4; i++)
        *normals[i] = (Normal){rows_of(pool, rows, joint), rows_of(pool, rows, joint),
                               rows_of(pool, rows, joint), rows_of(pool, rows, joint)};
    w->of_latents = rows_of(pool, GROUP, joint), w->of_heads_read = rows_of(pool, GROUP, joint);
    float **const joints[] = {&w->phi, &w->latents, &w->spare};
    for (int i = 0; i < 3; i++) *joints[i] = rows_of(pool, rows, joint);
    w->read = rows_of(pool, each, rounded(m->hidden + m->obs));
    w->found_q = rows_of(pool, rows, 2 * joint), w->found_p = rows_of(pool, rows, 2 * joint);
    w->picked = (int *)block(pool, each), w->picked_before = (int *)block(pool, each);
    w->acted = rows_of(pool, rows, rounded(m->acted));
    w->of_acted = rows_of(pool, rows, m->acted);
    w->known = rows_of(pool, rows, rounded(4 * joint));
    w->of_known = rows_of(pool, rows, 2 * joint);
    w->norms = block(pool, rows), w->policy_norms = block(pool, rows);
    float **const embeddings[] = {&w->embedded, &w->of_embedded, &w->of_states};
    for (int i = 0; i < 3; i++) *embeddings[i] = rows_of(pool, GROUP, 3 * joint);
    const int states = m->agents * m->hidden;
    w->decoded = rows_of(pool, GROUP, states), w->of_decoded = rows_of(pool, GROUP, states);
    w->headed = rows_of(pool, GROUP, heads), w->of_headed = rows_of(pool, GROUP, heads);
    w->policy_read = rows_of(pool, rows, 2 * joint);
    w->logits = rows_of(pool, rows, m->choices), w->of_logits = rows_of(pool, rows, m->choices);
    if (w->foretells) lay_out_ahead(w, pool);
    w->room = block(pool, pool->room);
}
