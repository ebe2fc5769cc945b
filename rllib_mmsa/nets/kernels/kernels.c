/* Networks for many rows on a CPU (__init__.py).
 *
 * PyTorch makes a dozen operations over all rows of each; here some rows go through all of them,
 * and what lies between stays in the nearest cache. No Python is called, so its lock is free.
 * `functions.h` has the functions, and is compiled once for each instruction set.
 */
#ifndef __x86_64__
#error "written and measured for x86-64 alone; without this library PyTorch does all of it"
#endif

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    WIDEST = 16, /* floats of the widest vector; rows of packed weights are filled up to it */
    GROUP = 48,  /* rows that go through all layers together: a multiple of TILE */
    TILE = 6,    /* rows by two vectors whose sums stay in registers */
};

/* `count` floats of what there is room for. */
static float *reserve(float **room, long count)
{
    float *taken = *room;
    *room += count;
    return taken;
}

/* Whether one of some pointers is not NULL. */
static int any(float *const *pointers, int count)
{
    for (int i = 0; i < count; i++)
        if (pointers[i]) return 1;
    return 0;
}

static int rounded(int count) { return (count + WIDEST - 1) / WIDEST * WIDEST; }

/* A linear layer as multiplied here: weight (inputs, stride), bias (stride), zeros past `outputs`.
 */
typedef struct {
    int inputs, outputs, stride;
    const float *weight, *bias;
} Layer;

static long layer_size(int inputs, int outputs) { return (inputs + 1L) * rounded(outputs); }

/* The first `outputs` rows and `inputs` columns of a weight, whose rows have `columns` numbers, and
 * bias (or NULL), as PyTorch has them; without a weight, the layer that lies in `room` already. */
static Layer make_layer(const float *weight, const float *bias, int columns, int inputs,
                        int outputs, float **room)
{
    const int stride = rounded(outputs);
    float *to = reserve(room, inputs * (long)stride), *of_bias = reserve(room, stride);
    const Layer made = {inputs, outputs, stride, to, of_bias};
    if (!weight) return made;
    for (int block = 0; block < stride; block += WIDEST) /* what is written lies side by side */
        for (int i = 0; i < inputs; i++)
            for (int o = block; o < block + WIDEST; o++)
                to[i * stride + o] = o < outputs ? weight[(long)o * columns + i] : 0;
    for (int o = 0; o < stride; o++) of_bias[o] = bias && o < outputs ? bias[o] : 0;
    return made;
}

/* The next tensor of a list, or NULL where there is no list. */
static const float *next(const float *const **list) { return *list ? *(*list)++ : NULL; }

/* The next layer in a list of weights and biases; without a list, as it lies in `room` already. */
static Layer next_layer(const float *const **list, int inputs, int outputs, float **room)
{
    const float *weight = next(list), *bias = next(list);
    return make_layer(weight, bias, inputs, inputs, outputs, room);
}

/* A `_Net` of world_model.py: linear(x) + last(relu(first(x))). */
typedef struct {
    Layer linear, first, last;
} Net;

static long net_size(int inputs, int width, int outputs)
{
    return layer_size(inputs, outputs) + layer_size(inputs, width) + layer_size(width, outputs);
}

static Net next_net(const float *const **list, int inputs, int width, int outputs, float **room)
{
    Net net;
    net.linear = next_layer(list, inputs, outputs, room);
    net.first = next_layer(list, inputs, width, room);
    net.last = next_layer(list, width, outputs, room);
    return net;
}

/* A gradient that is summed over rows: weight (left, right) and bias (left), with room for whole
 * tiles and vectors. */
typedef struct {
    int left, right, stride;
    float *weight, *bias;
} Gradient;

static long gradient_size(int left, int right)
{
    return (left + TILE) * (long)rounded(right) + rounded(left);
}

static Gradient make_gradient(int left, int right, float **room)
{
    const int stride = rounded(right);
    float *weight = reserve(room, (left + TILE) * (long)stride);
    return (Gradient){left, right, stride, weight, reserve(room, rounded(left))};
}

/* The gradient into tensors as PyTorch has them; bias may be NULL. */
static void give(const Gradient *from, float *weight, float *bias)
{
    for (int i = 0; i < from->left; i++)
        memcpy(weight + (long)i * from->right, from->weight + i * (long)from->stride,
               from->right * sizeof(float));
    if (bias) memcpy(bias, from->bias, from->left * sizeof(float));
}

/* The first `inputs` columns of a layer's weight, whose rows have `columns` numbers, as a layer
 * that goes back from its outputs to them. */
static Layer backwards(const float *weight, int columns, int inputs, int outputs, float **room)
{
    const Layer layer = {outputs, inputs, rounded(inputs), *room,
                         *room + outputs * (long)rounded(inputs)};
    for (int o = 0; o < outputs; o++)
        memcpy(*room + o * (long)layer.stride, weight + (long)o * columns, inputs * sizeof(float));
    *room += layer_size(outputs, inputs);
    return layer;
}

/* Some sequences, `from` to `to`: the rows of each step lie after those of the last, as many as
 * `counts` (steps) says, never more than before. A `group` goes through all steps together. */
typedef struct {
    const int *counts;
    int steps, inputs, size, from, to, group;
} Sequences;

static Sequences some_sequences(const int *counts, const int *sizes)
{
    const int all = sizes[4] - sizes[3], groups = all > GROUP ? (all + GROUP - 1) / GROUP : 1;
    const int group = ((all + groups - 1) / groups + TILE - 1) / TILE * TILE; /* alike in size */
    return (Sequences){counts, sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], group};
}

/* Rows of step t that the group from `first` on has. */
static int rows_at(const Sequences *s, int t, int first)
{
    const int end = first + s->group < s->to ? first + s->group : s->to;
    const int rows = (s->counts[t] < end ? s->counts[t] : end) - first;
    return rows > 0 ? rows : 0;
}

/* What a roll-out takes of a world model. Numbers per step: `joint` latents, `acted` latents and
 * embedded actions, `choices` logits. */
typedef struct {
    int agents, actions, obs, hidden, latent, embedded, width;
    int joint, acted, choices;
    const float *hidden_mean, *hidden_deviation, *obs_mean, *obs_deviation;
    const float *action_embedding; /* (embedded, actions) */
    Net posterior, prior, policy;
    Layer f_first, f_last, g_first, g_last, phi, policy_phi;
} Model;

static Model sized_model(const int *sizes)
{
    Model m = {.agents = sizes[0],
               .actions = sizes[1],
               .obs = sizes[2],
               .hidden = sizes[3],
               .latent = sizes[4],
               .embedded = sizes[5],
               .width = sizes[6]};
    m.joint = m.agents * m.latent;
    m.acted = m.joint + m.agents * m.embedded;
    m.choices = m.agents * m.actions;
    return m;
}

static long model_size(const Model *m)
{
    return net_size(m->hidden + m->obs, m->width, m->latent) +
           net_size(4 * m->joint, m->width, m->joint) +
           net_size(2 * m->joint, m->width, m->choices) + layer_size(m->joint, m->width) +
           layer_size(m->acted, m->width) + 2 * layer_size(m->width, m->joint) +
           layer_size(m->acted, m->joint) + layer_size(m->joint, m->joint);
}

/* `list` has the weights in the order of these lines. */
static void fill_model(Model *m, const float *const *list, float **room)
{
    m->hidden_mean = *list++;
    m->hidden_deviation = *list++;
    m->obs_mean = *list++;
    m->obs_deviation = *list++;
    m->action_embedding = *list++;
    m->posterior = next_net(&list, m->hidden + m->obs, m->width, m->latent, room);
    m->prior = next_net(&list, 4 * m->joint, m->width, m->joint, room);
    m->policy = next_net(&list, 2 * m->joint, m->width, m->choices, room);
    m->f_first = next_layer(&list, m->joint, m->width, room);
    m->f_last = next_layer(&list, m->width, m->joint, room);
    m->g_first = next_layer(&list, m->acted, m->width, room);
    m->g_last = next_layer(&list, m->width, m->joint, room);
    m->phi = next_layer(&list, m->acted, m->joint, room);
    m->policy_phi = next_layer(&list, m->joint, m->joint, room);
}

/* An agent's values of actions (sale_agents.py). Where a layer reads one-hot actions too, what they
 * add to it is apart: of_g (actions, wide), of_phi (actions, embedding), and that the other way,
 * phi_of (embedding, rounded actions). The head's layer on actions is in parts too: on g's hidden
 * layer, on what phi has of o, and on what it has of actions, of_pair (actions, head_dim). */
typedef struct {
    int actions, obs, hidden, embedding, wide, head_dim;
    Layer f_first, f_last, g_first, phi, state, per_action, pair_g, pair_phi;
    const float *of_g, *of_phi, *phi_of, *of_pair, *head;
} Agent;

static Agent sized_agent(const int *sizes)
{
    return (Agent){.actions = sizes[0],
                   .obs = sizes[1],
                   .hidden = sizes[2],
                   .embedding = sizes[3],
                   .wide = sizes[4],
                   .head_dim = sizes[5]};
}

static long agent_size(const Agent *a)
{
    return layer_size(a->obs, a->wide) + layer_size(a->wide, a->embedding) +
           layer_size(a->embedding, a->wide) + layer_size(a->obs, a->embedding) +
           layer_size(a->hidden + a->embedding, a->head_dim) + layer_size(a->hidden, a->actions) +
           layer_size(a->wide, a->head_dim) + layer_size(a->embedding, a->head_dim) +
           a->actions * (a->wide + a->embedding + a->head_dim) +
           a->embedding * rounded(a->actions) + a->head_dim;
}

/* A layer that reads `inputs` numbers and one-hot actions; what these add goes to `of_actions`. */
static Layer next_split(const float *const **list, int inputs, int actions, int outputs,
                        const float **of_actions, float **room)
{
    const float *weight = next(list), *bias = next(list);
    const Layer layer = make_layer(weight, bias, inputs + actions, inputs, outputs, room);
    float *to = reserve(room, actions * outputs);
    *of_actions = to;
    for (int o = 0; weight && o < outputs; o++)
        for (int a = 0; a < actions; a++)
            to[a * outputs + o] = weight[(long)o * (inputs + actions) + inputs + a];
    return layer;
}

/* What comes of phi's part of actions: it the other way, and the head's layer on it; `pair`
 * (head_dim, wide + embedding) is that layer, or NULL: it lies in `room` already. */
static void fill_of_phi(Agent *a, const float *pair, float **room)
{
    const int stride = rounded(a->actions), wide = a->wide, embedding = a->embedding;
    float *phi_of = reserve(room, embedding * stride);
    float *of_pair = reserve(room, a->actions * a->head_dim);
    a->phi_of = phi_of, a->of_pair = of_pair;
    if (!pair) return;
    memset(phi_of, 0, embedding * stride * sizeof(float));
    for (int action = 0; action < a->actions; action++) {
        const float *from = a->of_phi + action * embedding;
        for (int i = 0; i < embedding; i++) phi_of[i * stride + action] = from[i];
        for (int o = 0; o < a->head_dim; o++) {
            const float *weight = pair + (long)o * (wide + embedding) + wide;
            float sum = 0;
            for (int i = 0; i < embedding; i++) sum += weight[i] * from[i];
            of_pair[action * a->head_dim + o] = sum;
        }
    }
}

/* `list` has the weights in the order of these lines; NULL: they lie in `room` already. */
static void fill_agent(Agent *a, const float *const *list, float **room)
{
    const int columns = a->wide + a->embedding;
    a->f_first = next_layer(&list, a->obs, a->wide, room);
    a->f_last = next_layer(&list, a->wide, a->embedding, room);
    a->g_first = next_split(&list, a->embedding, a->actions, a->wide, &a->of_g, room);
    a->phi = next_split(&list, a->obs, a->actions, a->embedding, &a->of_phi, room);
    a->per_action = next_layer(&list, a->hidden, a->actions, room);
    a->state = next_layer(&list, a->hidden + a->embedding, a->head_dim, room);
    const float *pair = next(&list), *of_phi = pair ? pair + a->wide : NULL;
    a->pair_g = make_layer(pair, NULL, columns, a->wide, a->head_dim, room);
    a->pair_phi = make_layer(of_phi, NULL, columns, a->embedding, a->head_dim, room);
    fill_of_phi(a, pair, room);
    float *head = reserve(room, a->head_dim);
    if (list) memcpy(head, *list, a->head_dim * sizeof(float));
    a->head = head;
}

/* Of a group's rows, what the values of all actions share: [h ; z^o], o, what g's and phi's first
 * layers make of them and the head's of [h ; z^o] and of phi's, what h alone says of actions, and
 * by what the norm multiplies each action's phi (rounded actions). */
typedef struct {
    float *known, *obs, *room, *from_z, *from_obs, *from_state, *from_phi, *per_action, *by;
} Shared;

static long shared_size(const Agent *a)
{
    return GROUP * (a->hidden + 2L * a->embedding + a->obs + rounded(a->wide) + a->wide +
                    2 * a->head_dim + a->actions + rounded(a->actions));
}

static Shared make_shared(const Agent *a, float **room)
{
    Shared made;
    made.known = reserve(room, GROUP * (a->hidden + a->embedding));
    made.obs = reserve(room, GROUP * a->obs);
    made.room = reserve(room, GROUP * rounded(a->wide)); /* f's hidden layer */
    made.from_z = reserve(room, GROUP * a->wide);
    made.from_obs = reserve(room, GROUP * a->embedding);
    made.from_state = reserve(room, GROUP * a->head_dim);
    made.from_phi = reserve(room, GROUP * a->head_dim);
    made.per_action = reserve(room, GROUP * a->actions);
    made.by = reserve(room, GROUP * rounded(a->actions));
    return made;
}

/* Where the numbers of a row lie that `sale_values_back` needs: z, [g's hidden layer ; phi], the
 * head's hidden layer, phi's size before its norm. */
typedef struct {
    int x, y, size, all;
} Kept;

static Kept kept_of(const Agent *a)
{
    const int x = a->embedding, y = x + a->wide + a->embedding, size = y + a->head_dim;
    return (Kept){x, y, size, size + 1};
}

/* A QMixer (mixers.py): hypernetworks of two layers, and one of one. */
typedef struct {
    int agents, state, embed, wide;
    Layer weights_1[2], bias_1, weights_2[2], value[2];
} Mixer;

static Mixer sized_mixer(const int *sizes)
{
    return (Mixer){.agents = sizes[0], .state = sizes[1], .embed = sizes[2], .wide = sizes[3]};
}

static long mixer_size(const Mixer *m)
{
    return 2 * layer_size(m->state, m->wide) + layer_size(m->wide, m->agents * m->embed) +
           2 * layer_size(m->state, m->embed) + layer_size(m->wide, m->embed) +
           layer_size(m->embed, 1);
}

/* `list` has the weights in the order of these lines. */
static void fill_mixer(Mixer *m, const float *const *list, float **room)
{
    m->weights_1[0] = next_layer(&list, m->state, m->wide, room);
    m->weights_1[1] = next_layer(&list, m->wide, m->agents * m->embed, room);
    m->bias_1 = next_layer(&list, m->state, m->embed, room);
    m->weights_2[0] = next_layer(&list, m->state, m->wide, room);
    m->weights_2[1] = next_layer(&list, m->wide, m->embed, room);
    m->value[0] = next_layer(&list, m->state, m->embed, room);
    m->value[1] = next_layer(&list, m->embed, 1, room);
}

#include "learned.h"

#define JOINED_(name, suffix) name##_##suffix
#define JOINED(name, suffix) JOINED_(name, suffix)
#define OWN(name) JOINED(name, SUFFIX)

#define SUFFIX avx512
#define TARGET __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,fma")))
#define LANES 16
#include "functions.h"
#undef SUFFIX
#undef TARGET
#undef LANES
#define SUFFIX avx2
#define TARGET __attribute__((target("avx2,fma")))
#define LANES 8
#include "functions.h"

/* The weights of an agent as `sale_values` takes them, and how many numbers these are. */
long size_of_agent(const int *sizes)
{
    const Agent a = sized_agent(sizes);
    return agent_size(&a);
}

void pack_agent(const float *const *weights, float *packed, const int *sizes)
{
    Agent a = sized_agent(sizes);
    fill_agent(&a, weights, &packed);
}

/* The best instruction set that this processor has: 2 AVX-512, 1 AVX2, 0 neither. */
int instruction_set(void)
{
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl"))
        return 2;
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? 1 : 0;
}
