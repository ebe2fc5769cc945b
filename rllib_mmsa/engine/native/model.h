/* The world model that imagines for the mixers (rollouts.h): its weights as they are multiplied. */

/* A layer of zeros. */
static Layer empty_layer(int inputs, int outputs, float **room)
{
    const int stride = rounded(outputs);
    float *weight = reserve(room, inputs * (long)stride), *bias = reserve(room, stride);
    memset(weight, 0, inputs * (long)stride * sizeof(float));
    memset(bias, 0, stride * sizeof(float));
    return (Layer){inputs, outputs, stride, weight, bias};
}

/* `inputs` columns of a weight's first `outputs` rows, which have `columns` numbers, into a part of
 * a layer's (., stride). */
static void put(float *to, int stride, const float *weight, int columns, int inputs, int outputs)
{
    for (int block = 0; block < outputs; block += WIDEST) { /* what is written lies side by side */
        const int end = block + WIDEST < outputs ? block + WIDEST : outputs;
        for (int i = 0; i < inputs; i++)
            for (int o = block; o < end; o++)
                to[i * (long)stride + o] = weight[(long)o * columns + i];
    }
}

/* `put` from a layer's input `row` and output `at` on. */
static void put_at(const Layer *layer, int row, int at, const float *weight, int columns,
                   int inputs, int outputs)
{
    put((float *)layer->weight + row * (long)layer->stride + at, layer->stride, weight, columns,
        inputs, outputs);
}

static void put_bias(const Layer *layer, int at, const float *bias, int outputs)
{
    memcpy((float *)layer->bias + at, bias, outputs * sizeof(float));
}

/* What a roll-out takes of a world model. Numbers per step: `joint` latents, `acted` latents and
 * embedded actions, `choices` logits. Layers that read the same are one: its outputs are what the
 * lines below name, one after the other. What g's last layer is followed by is linear, and so they
 * are one layer too. What an agent's action adds to a layer is a row of a table (choices, .). */
typedef struct {
    int agents, actions, obs, hidden, latent, embedded, width, deep;
    int joint, acted, choices;
    const float *hidden_mean, *by_hidden, *obs_mean, *by_obs; /* by: 1 / deviation */
    Layer seen, seen_middle, seen_last; /* h, o: the posterior's first layer, its linear one */
    Layer of_state;                     /* s: f's first layer, phi, policy_phi */
    Layer f_last, g_first;
    Layer known, middle, last; /* g's hidden layer, z^s, phi^sa, s: the prior's first, linear */
    Layer policy, policy_last; /* z^s, phi^s: the policy's first layer, its linear one */
    const float *of_g, *of_phi, *of_known; /* tables */
} Model;

static Model sized_model(const int *sizes)
{
    Model m = {.agents = sizes[0],
               .actions = sizes[1],
               .obs = sizes[2],
               .hidden = sizes[3],
               .latent = sizes[4],
               .embedded = sizes[5],
               .width = sizes[6],
               .deep = sizes[7]};
    m.joint = m.agents * m.latent;
    m.acted = m.joint + m.agents * m.embedded;
    m.choices = m.agents * m.actions;
    return m;
}

/* Numbers that the prior reads in a roll-out, see `known`. */
static int known_of(const Model *m) { return m->width + 3 * m->joint; }

static long model_size(const Model *m)
{
    const int deep = m->deep, joint = m->joint, wide = m->width;
    return layer_size(m->hidden + m->obs, deep + m->latent) + 2 * layer_size(deep, deep) +
           layer_size(deep, m->latent) + layer_size(joint, wide + 2 * joint) +
           layer_size(wide, joint) + layer_size(joint, wide) +
           layer_size(known_of(m), deep + joint) + layer_size(deep, joint) +
           layer_size(2 * joint, wide + m->choices) + layer_size(wide, m->choices) +
           m->choices * (rounded(wide) + rounded(joint) + (long)rounded(deep + joint)) + wide;
}

/* A network with a linear layer beside, whose first two are one: [weight, bias] of linear, first
 * and, but for `start`, of the layers between. */
static Layer start_of(const float *const **list, int inputs, int width, int outputs, float **room)
{
    const Layer start = empty_layer(inputs, width + outputs, room);
    const float *const *w = *list;
    put_at(&start, 0, width, w[0], inputs, inputs, outputs);
    put_bias(&start, width, w[1], outputs);
    put_at(&start, 0, 0, w[2], inputs, inputs, width);
    put_bias(&start, 0, w[3], width);
    *list += 4;
    return start;
}

/* What embedded actions add: of a weight's columns from `from` on, into a table (choices, .). */
static const float *table_of(const Model *m, const float *embedding, const float *weight,
                             int columns, int from, int outputs, float **room)
{
    const int stride = rounded(outputs);
    float *table = reserve(room, m->choices * (long)stride);
    memset(table, 0, m->choices * (long)stride * sizeof(float));
    for (int c = 0; c < m->choices; c++)
        for (int o = 0; o < outputs; o++) {
            const float *of = weight + (long)o * columns + from + c / m->actions * m->embedded;
            float sum = 0;
            for (int e = 0; e < m->embedded; e++)
                sum += of[e] * embedding[e * m->actions + c % m->actions];
            table[c * (long)stride + o] = sum;
        }
    return table;
}

/* `outputs` of the prior's layers from `at` on; g: the weight and bias of its last layer. */
static void put_known(const Model *m, int at, const float *weight, const float *bias,
                      const float *const *g, int outputs, float *sums)
{
    const int joint = m->joint, wide = m->width, columns = 4 * joint + m->choices;
    const Layer *to = &m->known;
    put_at(to, wide, at, weight + joint, columns, 3 * joint, outputs);
    put((float *)m->of_known + at, to->stride, weight + 4 * joint, columns, m->choices, outputs);
    for (int o = 0; o < outputs; o++, weight += columns) {
        float sum = bias[o];
        memset(sums, 0, wide * sizeof(float));
        for (int k = 0; k < joint; k++) {
            const float by = weight[k], *from = g[0] + (long)k * wide;
            for (int i = 0; i < wide; i++) sums[i] += by * from[i];
            sum += by * g[1][k];
        }
        for (int i = 0; i < wide; i++)
            ((float *)to->weight)[i * (long)to->stride + at + o] = sums[i];
        ((float *)to->bias)[at + o] = sum;
    }
}

/* `list`: mean and 1 / deviation of hidden states and of observations, then weights as PyTorch has
 * them: embedding of actions, posterior, prior, policy, f, g, phi, policy_phi. */
static void fill_model(Model *m, const float *const *list, float **room)
{
    const int joint = m->joint, wide = m->width, deep = m->deep, latent = m->latent;
    m->hidden_mean = list[0], m->by_hidden = list[1], m->obs_mean = list[2], m->by_obs = list[3];
    const float *embedding = list[4], *const *prior = list + 13, *const *f = list + 27;
    const float *const *g = f + 4, *const *phi = g + 4;
    list += 5;
    m->seen = start_of(&list, m->hidden + m->obs, deep, latent, room);
    m->seen_middle = next_layer(&list, deep, deep, room);
    m->seen_last = next_layer(&list, deep, latent, room);
    m->known = empty_layer(known_of(m), deep + joint, room);
    m->of_known = reserve(room, m->choices * (long)m->known.stride);
    memset((float *)m->of_known, 0, m->choices * (long)m->known.stride * sizeof(float));
    float *sums = reserve(room, wide);
    put_known(m, deep, prior[0], prior[1], g + 2, joint, sums);
    put_known(m, 0, prior[2], prior[3], g + 2, deep, sums);
    list = prior + 4;
    m->middle = next_layer(&list, deep, deep, room);
    m->last = next_layer(&list, deep, joint, room);
    m->policy = start_of(&list, 2 * joint, wide, m->choices, room);
    m->policy_last = next_layer(&list, wide, m->choices, room);
    m->of_state = empty_layer(joint, wide + 2 * joint, room);
    put_at(&m->of_state, 0, 0, f[0], joint, joint, wide), put_bias(&m->of_state, 0, f[1], wide);
    put_at(&m->of_state, 0, wide, phi[0], m->acted, joint, joint);
    put_bias(&m->of_state, wide, phi[1], joint);
    put_at(&m->of_state, 0, wide + joint, phi[2], joint, joint, joint);
    put_bias(&m->of_state, wide + joint, phi[3], joint);
    m->f_last = make_layer(f[2], f[3], wide, wide, joint, room);
    m->g_first = make_layer(g[0], g[1], m->acted, joint, wide, room);
    m->of_g = table_of(m, embedding, g[0], m->acted, joint, wide, room);
    m->of_phi = table_of(m, embedding, phi[0], m->acted, joint, joint, room);
}

/* Numbers of a row that the posterior and the prior begin with, of whichever are more. */
static int begun_of(const Model *m)
{
    const int seen = m->agents * rounded(m->deep + m->latent), wide = rounded(m->width);
    const int known = rounded(m->deep + m->joint), most = seen > known ? seen : known;
    return most > wide ? most : wide;
}

/* Room that a GROUP of roll-outs needs. */
static long imagine_room(const Model *m)
{
    const int n = m->agents;
    return GROUP * (n * (m->hidden + m->obs) + begun_of(m) + n * (long)rounded(m->deep) +
                    known_of(m) + rounded(m->width + 2 * m->joint) + 3 * m->joint +
                    rounded(m->width + m->choices) + n) +
           16 * WIDEST;
}
