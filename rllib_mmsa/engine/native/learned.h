/* What the world model's losses work with (model_losses.h). */

static const float LEAST = -5, MOST = 2; /* of a log deviation (world_model.py) */

/* Memory for what a task keeps, laid out twice: first, without a base, to know how much it takes; and
 * the memory for what its networks' layers need. */
typedef struct {
    float *base;
    long used;
    Scratch *kept, *spare;
} Pool;

static float *block(Pool *pool, long count)
{
    float *made = pool->base ? pool->base + pool->used : NULL;
    pool->used += (count + 2 * WIDEST - 1) / WIDEST * WIDEST;
    return made;
}

/* After the first time; returns 1 where there is no memory. */
static int make_pool(Pool *pool)
{
    pool->base = scratch(pool->kept, pool->used);
    pool->used = 0;
    return !pool->base;
}

/* Matrices (rows, widths[i]) that lie side by side. */
typedef struct {
    const float *parts[4];
    int widths[4], count;
} Parts;

/* Weights, and where their gradients are written to. */
typedef struct {
    const float *const *weights;
    float *const *gradients;
} Tensors;

/* A network that learns: one linear layer, two, or two and a linear one beside them; sizes: inputs,
 * width, outputs; hidden (rows, width), what its ReLU returned. */
typedef struct {
    int layers, sizes[3];
    const float *weights[6];
    float *gradients[6], *hidden;
    Scratch *spare;
} Learned;

/* The next network in a list of weights and biases. */
static Learned learned(Tensors *list, int layers, int inputs, int width, int outputs, long rows,
                       Pool *pool)
{
    Learned net = {layers, {inputs, width, outputs}, {NULL}, {NULL}, NULL, pool->spare};
    net.hidden = block(pool, rows * width);
    for (int i = 0; i < 2 * layers; i++)
        net.weights[i] = *list->weights++, net.gradients[i] = *list->gradients++;
    return net;
}

/* A Gaussian, and a sample of it, (rows, joint) each. */
typedef struct {
    float *mean, *log_std, *std, *sample;
} Normal;

/* What the world model makes of its data, forwards and backwards; sizes as in world_model.py. */
typedef struct {
    Model m;
    long rows;
    const float *hidden, *obs, *legal, *noise, *prior_noise, *learned, *seen, *after, *by;
    const int64_t *taken, *greedy;
    const int *before;
    const uint8_t *first;
    Tensors of_actions, sale;
    Learned encoder, phi_net, posterior, prior, embeddings, states, heads, policy_phi, policy;
    float *found_q, *found_p; /* what the posterior's and the prior's networks say */
    Normal q, p, of_q, of_p;  /* of_: gradients */
    float *action, *of_action, *z, *z_a, *phi, *norms, *z_before, *z_a_before, *phi_before,
        *q_before;
    float *latents, *embedded, *decoded, *headed, *of_latents, *of_embedded, *of_states,
        *of_decoded;
    Scratch *of_sale, *spares;
    float *of_headed, *policy_z, *policy_phis, *policy_norms, *logits, *of_logits, *spare;
} World;

/* Room for all of it, and the networks, whose weights `list` has in the order of these lines. */
static void lay_out(World *w, Tensors list, Pool *pool)
{
    const Model *m = &w->m;
    const int n = m->agents, joint = m->joint, wide = m->width, heads = m->obs + m->actions;
    const long rows = w->rows, each = rows * n;
    w->of_actions = list;
    w->sale = list = (Tensors){list.weights + 1, list.gradients + 1};
    w->encoder = learned(&list, 2, joint, wide, joint, rows, pool);
    list = (Tensors){list.weights + 4, list.gradients + 4}; /* g */
    w->phi_net = learned(&list, 1, m->acted, 0, joint, rows, pool);
    w->posterior = learned(&list, 3, m->hidden + m->obs, wide, 2 * m->latent, each, pool);
    w->prior = learned(&list, 3, 4 * joint, wide, 2 * joint, rows, pool);
    w->embeddings = learned(&list, 3, joint, wide, 3 * joint, rows, pool);
    w->states = learned(&list, 3, 3 * joint, wide, n * m->hidden, rows, pool);
    w->heads = learned(&list, 3, m->latent, wide, heads, each, pool);
    w->policy_phi = learned(&list, 1, joint, 0, joint, rows, pool);
    w->policy = learned(&list, 3, 2 * joint, wide, m->choices, rows, pool);
    Normal *const normals[] = {&w->q, &w->p, &w->of_q, &w->of_p};
    for (int i = 0; i < 4; i++)
        *normals[i] = (Normal){block(pool, rows * joint), block(pool, rows * joint),
                               block(pool, rows * joint), block(pool, rows * joint)};
    float **const joints[] = {&w->z,          &w->z_a,        &w->phi,         &w->z_before,
                              &w->z_a_before, &w->phi_before, &w->q_before,    &w->latents,
                              &w->of_latents, &w->policy_z,   &w->policy_phis, &w->spare};
    for (int i = 0; i < 12; i++) *joints[i] = block(pool, rows * joint);
    w->found_q = block(pool, 2 * rows * joint), w->found_p = block(pool, 2 * rows * joint);
    w->action = block(pool, each * m->embedded), w->of_action = block(pool, each * m->embedded);
    w->norms = block(pool, rows), w->policy_norms = block(pool, rows);
    w->embedded = block(pool, 3 * rows * joint), w->of_embedded = block(pool, 3 * rows * joint);
    w->of_states = block(pool, 3 * rows * joint);
    w->decoded = block(pool, each * m->hidden), w->of_decoded = block(pool, each * m->hidden);
    w->headed = block(pool, each * heads), w->of_headed = block(pool, each * heads);
    w->logits = block(pool, rows * m->choices), w->of_logits = block(pool, rows * m->choices);
}
