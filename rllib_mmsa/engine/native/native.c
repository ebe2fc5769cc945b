/* The native engine: a whole update of MMSA, QMIX, VDN or independent Q-learning in one call.
 *
 * What rllib_mmsa/method says, for float32 on x86-64. Some rows go through all layers together, so
 * that what lies between stays in the nearest cache. `functions.h` has all that is computed, and is
 * compiled once for each instruction set.
 */
#ifndef __x86_64__
#error "written and measured for x86-64 alone; without this library PyTorch does all of it"
#endif

#include <immintrin.h>
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

/* Memory of a task, which it uses again. */
typedef struct {
    float *base;
    long size;
} Scratch;

/* `count` floats with anything in them, from the beginning of cache lines; NULL: there is no memory. */
static float *scratch(Scratch *of, long count)
{
    if (count > of->size) {
        free(of->base);
        of->size = count + count / 8;
        of->base = aligned_alloc(64, (of->size * sizeof(float) + 127) / 64 * 64);
        if (!of->base) of->size = 0;
    }
#ifdef POISON /* what is read before it is written shows */
    if (of->base) memset(of->base, 0xff, of->size * sizeof(float));
#endif
    return of->base;
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

static void clear(const Gradient *g)
{
    memset(g->weight, 0, (g->left + TILE) * (long)g->stride * sizeof(float));
    memset(g->bias, 0, rounded(g->left) * sizeof(float));
}

/* A gradient of zeros. */
static Gradient new_gradient(int left, int right, float **room)
{
    const Gradient made = make_gradient(left, right, room);
    clear(&made);
    return made;
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
    memset(*room, 0, layer_size(outputs, inputs) * sizeof(float));
    for (int o = 0; o < outputs; o++)
        memcpy(*room + o * (long)layer.stride, weight + (long)o * columns, inputs * sizeof(float));
    *room += layer_size(outputs, inputs);
    return layer;
}

/* Sequences of different lengths, one after the other at each step, the longest first: step t has
 * rows starts[t] to starts[t + 1]. */
typedef struct {
    int count, sequences;
    long *starts;
} Steps;

/* Rows of step t that the GROUP from `first` on has. */
static int rows_at(const Steps *s, int t, int first)
{
    const long rows = s->starts[t + 1] - s->starts[t] - first;
    return rows > GROUP ? GROUP : rows > 0 ? (int)rows : 0;
}

/* A GRU whose inputs and states are filled up to `size`, a multiple of WIDEST; to_x and to_h, the
 * way back, only where it learns. Gates are n, r, z for x and r, z, n for h: side by side, two of
 * them have the same gradients. */
typedef struct {
    int size;
    Layer by_x, by_h, to_x, to_h;
} Gru;

static long gru_size(int hidden, int learns)
{
    const int size = rounded(hidden);
    const long forwards = 2 * layer_size(size, 3 * size), back = 2 * layer_size(3 * size, size);
    return 6L * size * size + 6 * size + forwards + learns * back;
}

/* A gate matrix (3 hidden, hidden) and its bias, each gate filled up with zeros to `size` rows and
 * columns. Gate 0 becomes gate `first`, and the others follow it around. */
static float *padded_gates(const float *weight, const float *bias, int hidden, int size, int first,
                           float **of_bias, float **room)
{
    float *to = reserve(room, 3L * size * size);
    memset(to, 0, 3L * size * size * sizeof(float));
    *of_bias = reserve(room, 3 * size);
    memset(*of_bias, 0, 3 * size * sizeof(float));
    for (int gate = 0; gate < 3; gate++) {
        const int at = (gate + first) % 3 * size;
        for (int o = 0; o < hidden; o++)
            memcpy(to + ((long)at + o) * size, weight + ((long)gate * hidden + o) * hidden,
                   hidden * sizeof(float));
        memcpy(*of_bias + at, bias + gate * hidden, hidden * sizeof(float));
    }
    return to;
}

/* `list`: weight_ih, weight_hh, bias_ih, bias_hh, whose gates are r, z, n. */
static Gru make_gru(const float *const *list, int hidden, int learns, float **room)
{
    Gru g = {.size = rounded(hidden)};
    const int size = g.size, gates = 3 * size;
    float *bias_x, *bias_h;
    float *by_x = padded_gates(list[0], list[2], hidden, size, 1, &bias_x, room);
    float *by_h = padded_gates(list[1], list[3], hidden, size, 0, &bias_h, room);
    g.by_x = make_layer(by_x, bias_x, size, size, gates, room);
    g.by_h = make_layer(by_h, bias_h, size, size, gates, room);
    if (!learns) return g;
    g.to_x = backwards(by_x, size, size, gates, room);
    g.to_h = backwards(by_h, size, size, gates, room);
    return g;
}

/* An agent's values of actions (method/agents.py). Where a layer reads one-hot actions too, what they
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

/* A QMixer (method/mixers.py): hypernetworks of two layers, and one of one. */
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

#include "model.h"
#include "learned.h"
#include "world.h"
#include "threads.h"
#include "batch.h"

static const float LEAST_DEVIATION = 1e-2f, MOMENTUM = 0.99f; /* method/standardiser.py */
static const float ILLEGAL = -1e9f;                          /* method/targets.py */
enum { MODEL_WEIGHTS = 39 };                                  /* of `fill_model`, without scales */

#include "layout.h"

/* `keep` of `from` and the rest of `to`; each of them where it is all, without rounding. */
static float between(float from, float to, float keep)
{
    return keep < 0.5f ? to - keep * (to - from) : from + (1 - keep) * (to - from);
}

/* Agents that act: their weights as they are multiplied, and room for `most` rows of agents. */
typedef struct {
    Settings s;
    int most;
    AgentNet net;
    char *memory;
    Scratch spare;
    float *x, *before, *after, *hidden, *room;
    uint8_t *legal;
} Actor;

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

enum { SHARES = 3 };

/* An engine: threads, memory, and an update. */
typedef struct {
    Threads *threads;
    Arena arena;
    Scratch parts[MOST_PARTS];
    Scratch shares[SHARES]; /* of the encoders, of the model, of the self-predictor */
    Update update;
} Engine;

Engine *make_engine(int threads)
{
    Engine *engine = calloc(1, sizeof(Engine));
    if (!engine) return NULL;
    engine->threads = make_threads(threads);
    if (engine->threads) return engine;
    free(engine);
    return NULL;
}

void free_engine(Engine *engine)
{
    free_threads(engine->threads);
    for (int p = 0; p < MOST_PARTS; p++) free(engine->parts[p].base);
    for (int i = 0; i < SHARES; i++) free(engine->shares[i].base);
    free(engine->arena.base);
    free(engine);
}

/* Room for an update of these settings; returns 0, or 1 where there is no memory. */
static int make_room(Engine *engine, const Settings *settings)
{
    Update *u = &engine->update;
    Arena *arena = &engine->arena, dry = {NULL, 64, 0}; /* not at NULL */
    if (arena->base && !memcmp(&u->s, settings, sizeof(Settings))) return 0;
    *u = (Update){.s = *settings};
    lay_out_update(u, &dry);
    if (dry.used > arena->size) {
        const size_t size = dry.used + dry.used / 8; /* batches differ a little in length */
        free(arena->base);
        *arena = (Arena){calloc(1, size + 64), 0, size};
        if (!arena->base) return *arena = (Arena){NULL, 0, 0}, 1;
    }
#ifdef POISON /* what is read before it is written shows */
    ASAN_UNPOISON_MEMORY_REGION(arena->base, arena->size + 64);
    memset(arena->base, 0xff, arena->size + 64);
#endif
    Arena real = {(char *)(((uintptr_t)arena->base + 63) / 64 * 64), 0, arena->size};
    *u = (Update){.s = *settings};
    lay_out_update(u, &real);
    return 0;
}

static void sum_into(float *to, const float *from, long count)
{
    for (long i = 0; i < count; i++) to[i] += from[i];
}

/* A gradient's weight without what fills it up: `rows` of `columns`, in a matrix (., stride). */
static void add_block(float *to, int to_stride, const float *from, int stride, int rows, int columns)
{
    for (int r = 0; r < rows; r++) sum_into(to + (long)r * to_stride, from + (long)r * stride, columns);
}

/* The gradients of SALE's head: of the composed layer back to those that it was made of. */
static void decompose(const Settings *s, const Weights *w, const float *of_pair,
                      const float *of_state_bias)
{
    const int e = s->embedding, wide = s->wide;
    const float *g = w->agent[SALE_G + 2], *g_bias = w->agent[SALE_G + 3];
    float *to = w->of_agent[FROM_ACTION];
    for (int o = 0; o < wide; o++, to += 2 * e, of_pair += wide + e) {
        for (int k = 0; k < e; k++) {
            float sum = of_state_bias[o] * g_bias[k];
            for (int i = 0; i < wide; i++) sum += of_pair[i] * g[(long)k * wide + i];
            to[k] += sum;
        }
        sum_into(to + e, of_pair + wide, e);
    }
}

static void sum_agent(const Update *u, const AgentGradient *g)
{
    const Settings *s = &u->s;
    float *const *to = u->w.of_agent;
    const int size = u->size, hidden = s->hidden, a = s->actions, e = s->embedding;
    const int columns = s->obs + a * s->last_action + s->agents * s->agent_id;
    add_block(to[INPUT], columns, g->input.weight, g->input.stride, hidden, s->obs);
    for (int o = 0; o < hidden; o++) {
        float *row = to[INPUT] + (long)o * columns + s->obs;
        for (int i = 0; i < a && s->last_action; i++) row[i] += g->of_last[i * size + o];
        row += a * s->last_action;
        for (int i = 0; i < s->agents && s->agent_id; i++) row[i] += g->of_id[i * size + o];
    }
    sum_into(to[INPUT + 1], g->input.bias, hidden);
    for (int gate = 0; gate < 3; gate++) {
        const long from = (long)gate * size, at = (long)gate * hidden;
        const long of_x = (gate + 1) % 3 * (long)size;
        add_block(to[RNN] + at * hidden, hidden, g->by_x.weight + of_x * g->by_x.stride,
                  g->by_x.stride, hidden, hidden);
        add_block(to[RNN + 1] + at * hidden, hidden, g->by_h.weight + from * g->by_h.stride,
                  g->by_h.stride, hidden, hidden);
        sum_into(to[RNN + 2] + at, g->by_x.bias + of_x, hidden);
        sum_into(to[RNN + 3] + at, g->by_h.bias + from, hidden);
    }
    if (!s->sale) {
        add_block(to[HEAD], hidden, g->head.weight, g->head.stride, a, hidden);
        sum_into(to[HEAD + 1], g->head.bias, a);
        return;
    }
    sum_into(to[SALE_PHI], g->sale[0], (long)e * (s->obs + a));
    sum_into(to[SALE_PHI + 1], g->sale[1], e);
    sum_into(to[PER_ACTION], g->sale[2], (long)a * hidden);
    sum_into(to[PER_ACTION + 1], g->sale[3], a);
    sum_into(to[FROM_STATE], g->sale[4], (long)s->wide * (hidden + e));
    sum_into(to[FROM_STATE + 1], g->sale[5], s->wide);
    sum_into(to[SALE_HEAD], g->sale[7], s->wide);
    decompose(s, &u->w, g->sale[6], g->sale[5]);
}

static void sum_mixer(const Update *u, const MixerGradient *g)
{
    for (int i = 0; i < 7; i++) {
        const Gradient *from = g->nets + i;
        add_block(u->w.of_mixer[2 * i], from->right, from->weight, from->stride, from->left,
                  from->right);
        sum_into(u->w.of_mixer[2 * i + 1], from->bias, from->left);
    }
    if (!u->s.aggregated) return;
    const Gradient *from = &g->aggregator;
    add_block(u->w.of_aggregator[0], from->right, from->weight, from->stride, from->left,
              from->right);
    sum_into(u->w.of_aggregator[1], from->bias, from->left);
}

/* One update. Gradients are added to what stands at their places: zeros, as the caller sees to.
 * losses: L_TD, |error|, Q_tot, target; then those of `model_losses`, L(f, g) of observations and
 * that of self-prediction.
 * wide: whether AVX-512 is used. Returns 0, or 1 where there is no memory. */
int learn(Engine *engine, const Settings *settings, const Fields *fields, const Weights *weights,
          float *losses, int wide)
{
    Update *u = &engine->update;
    if (make_room(engine, settings)) return 1;
    const unsigned int state = _mm_getcsr();
    flush_denormals();
    u->f = *fields, u->w = *weights, u->tasks = &engine->threads->tasks;
    u->shares = engine->shares;
    u->share.z = u->share.of_own = NULL;
    atomic_store(&u->failed, 0);
    measure_episodes(u);
    share_out(u);
    for (int p = 0; p < u->num_parts; p++) {
        u->parts[p].spare = engine->parts + p;
        index_part(u, u->parts + p);
        for (int i = 0; i < u->parts[p].count; i++) u->part_of[u->parts[p].episodes[i]] = p;
    }
    const int tasks = PACKS + 3 * u->num_parts + 3; /* see `run_task` */
    run_tasks(engine->threads, wide ? run_task_avx512 : run_task_avx2, u, tasks);
    double sums[4] = {0};
    for (int p = 0; p < u->num_parts; p++) {
        sum_agent(u, &u->parts[p].of_agent);
        if (u->s.mixer == 2) sum_mixer(u, &u->parts[p].of_mixer);
        for (int i = 0; i < 4; i++) sums[i] += u->parts[p].losses[i];
    }
    for (int i = 0; i < 4; i++) losses[i] = (float)sums[i];
    memcpy(losses + 4, u->share.losses, sizeof u->share.losses);
    _mm_setcsr(state);
    return atomic_load(&u->failed);
}

static void lay_out_actor(Actor *actor, Arena *arena)
{
    const Settings *s = &actor->s;
    const int size = rounded(s->hidden), most = actor->most;
    lay_out_agent(s, &actor->net, 0, arena);
    actor->x = matrix(arena, most, size), actor->before = matrix(arena, most, size);
    actor->after = matrix(arena, most, size), actor->hidden = matrix(arena, most, s->hidden);
    actor->room = floats(arena, GROUP * (8L * size + rounded(s->obs) + rounded(s->actions)) + 64);
    actor->legal = take(arena, (long)most * s->actions, 1);
}

void free_actor(Actor *actor)
{
    if (actor) free(actor->memory), free(actor->spare.base);
    free(actor);
}

/* Agents with these weights (the list of an agent); NULL where there is no memory. */
Actor *make_actor(const Settings *settings, const float *const *weights, int most)
{
    Actor *actor = calloc(1, sizeof(Actor));
    if (!actor) return NULL;
    actor->s = *settings, actor->most = most;
    Arena dry = {NULL, 64, 0};
    lay_out_actor(actor, &dry);
    actor->memory = calloc(1, dry.used + 64);
    if (!actor->memory) return free_actor(actor), NULL;
    Arena real = {(char *)(((uintptr_t)actor->memory + 63) / 64 * 64), 0, dry.used};
    lay_out_actor(actor, &real);
    pack_net(settings, &actor->net, weights);
    memset(actor->legal, 1, (long)most * settings->actions);
    return actor;
}

/* One step of `rows` rows of agents: obs (rows, obs), last actions (rows), hidden (rows, hidden), to
 * the values of all actions (rows, actions) and the next hidden states. Returns 0, or 1 where there
 * is no memory. */
int act(Actor *actor, int rows, const float *obs, const int64_t *last, const float *hidden,
        float *values, float *next, int wide)
{
    const unsigned int state = _mm_getcsr();
    flush_denormals();
    const int failed = (wide ? step_avx512 : step_avx2)(actor, rows, obs, last, hidden, values, next);
    _mm_setcsr(state);
    return failed;
}

/* One step of RMSprop for `num` tensors: numbers, gradients, mean squares and the counts of steps,
 * and how many numbers each has. */
void rmsprop(int num, float *const *tensors, const float *const *gradients, float *const *squares,
             float *const *steps, const int64_t *counts, float lr, float alpha, float eps, int wide)
{
    const unsigned int state = _mm_getcsr();
    flush_denormals();
    for (int i = 0; i < num; i++) {
        (wide ? rmsprop_avx512 : rmsprop_avx2)(tensors[i], gradients[i], squares[i], counts[i], lr,
                                               alpha, eps);
        *steps[i] += 1;
    }
    _mm_setcsr(state);
}
