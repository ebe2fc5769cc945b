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

static int rounded(int count) { return (count + WIDEST - 1) / WIDEST * WIDEST; }

/* A linear layer as multiplied here: weight (inputs, stride), bias (stride), zeros past `outputs`.
 */
typedef struct {
    int inputs, outputs, stride;
    const float *weight, *bias;
} Layer;

static long layer_size(int inputs, int outputs) { return (inputs + 1L) * rounded(outputs); }

/* The first `outputs` rows and `inputs` columns of a weight, whose rows have `columns` numbers, and
 * bias (or NULL), as PyTorch has them. */
static Layer make_layer(const float *weight, const float *bias, int columns, int inputs,
                        int outputs, float **room)
{
    int stride = rounded(outputs);
    float *to = *room, *of_bias = to + inputs * stride;
    *room += layer_size(inputs, outputs);
    for (int o = 0; o < stride; o++) {
        for (int i = 0; i < inputs; i++)
            to[i * stride + o] = o < outputs ? weight[(long)o * columns + i] : 0;
        of_bias[o] = bias && o < outputs ? bias[o] : 0;
    }
    return (Layer){inputs, outputs, stride, to, of_bias};
}

/* The next layer in a list of weights and biases. */
static Layer next_layer(const float *const **list, int inputs, int outputs, float **room)
{
    *list += 2;
    return make_layer((*list)[-2], (*list)[-1], inputs, inputs, outputs, room);
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
 * tiles. */
typedef struct {
    int left, right, stride;
    float *weight, *bias;
} Gradient;

static long gradient_size(int left, int right) { return (left + TILE) * (rounded(right) + 1L); }

static Gradient make_gradient(int left, int right, float **room)
{
    const Gradient made = {left, right, rounded(right), *room,
                           *room + (left + TILE) * (long)rounded(right)};
    *room += gradient_size(left, right);
    return made;
}

/* The gradient into tensors as PyTorch has them. */
static void give(const Gradient *from, float *weight, float *bias)
{
    for (int i = 0; i < from->left; i++)
        memcpy(weight + (long)i * from->right, from->weight + i * (long)from->stride,
               from->right * sizeof(float));
    memcpy(bias, from->bias, from->left * sizeof(float));
}

/* A layer's weight (outputs, inputs) as one that goes back from its outputs to its inputs. */
static Layer backwards(const float *weight, int inputs, int outputs, float **room)
{
    const Layer layer = {outputs, inputs, rounded(inputs), *room,
                         *room + outputs * (long)rounded(inputs)};
    for (int o = 0; o < outputs; o++)
        memcpy(*room + o * (long)layer.stride, weight + (long)o * inputs, inputs * sizeof(float));
    *room += layer_size(outputs, inputs);
    return layer;
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
 * add to it is apart: of_g (actions, wide), of_phi (actions, embedding). */
typedef struct {
    int actions, obs, hidden, embedding, wide, head_dim;
    Layer f_first, f_last, g_first, phi, state, per_action, pair;
    const float *of_g, *of_phi, *head;
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
           layer_size(a->wide + a->embedding, a->head_dim) + a->actions * (a->wide + a->embedding);
}

/* A layer that reads `inputs` numbers and one-hot actions; what these add goes to `of_actions`. */
static Layer next_split(const float *const **list, int inputs, int actions, int outputs,
                        const float **of_actions, float **room)
{
    const float *weight = *(*list)++, *bias = *(*list)++;
    Layer layer = make_layer(weight, bias, inputs + actions, inputs, outputs, room);
    float *to = *room;
    *of_actions = to;
    *room += actions * outputs;
    for (int o = 0; o < outputs; o++)
        for (int a = 0; a < actions; a++)
            to[a * outputs + o] = weight[(long)o * (inputs + actions) + inputs + a];
    return layer;
}

/* `list` has the weights in the order of these lines. */
static void fill_agent(Agent *a, const float *const *list, float **room)
{
    const int pair = a->wide + a->embedding;
    a->f_first = next_layer(&list, a->obs, a->wide, room);
    a->f_last = next_layer(&list, a->wide, a->embedding, room);
    a->g_first = next_split(&list, a->embedding, a->actions, a->wide, &a->of_g, room);
    a->phi = next_split(&list, a->obs, a->actions, a->embedding, &a->of_phi, room);
    a->per_action = next_layer(&list, a->hidden, a->actions, room);
    a->state = next_layer(&list, a->hidden + a->embedding, a->head_dim, room);
    a->pair = make_layer(*list++, NULL, pair, pair, a->head_dim, room);
    a->head = *list++;
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

/* The best instruction set that this processor has: 2 AVX-512, 1 AVX2, 0 neither. */
int instruction_set(void)
{
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl"))
        return 2;
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? 1 : 0;
}
