/* What an update is given, how its episodes are shared out, and where its numbers lie. */

/* Sizes and settings, as engine/native/bindings.py fills them in. */
typedef struct {
    int episodes, steps, agents, actions, obs, state;
    int hidden, last_action, agent_id, sale, embedding, wide;
    int mixer, embed, hyper, global_state; /* mixer: 0 none, 1 sum, 2 QMIX */
    int model, foretells, latent, embedded, width, deep, horizon, every;
    int aggregated; /* numbers of a step that the aggregator reads; 0: there is none */
    int double_q, bootstrap_truncated, moves; /* moves: whether running statistics move */
    float gamma, td_lambda, sale_weight, self_weight, by[11]; /* by: see `World` */
} Settings;

/* The fields of a batch (rllib_mmsa/rllib/batch.py). */
typedef struct {
    const float *obs;
    const int8_t *legal;
    const float *state;
    const int64_t *actions;
    const float *rewards;
    const uint8_t *terminated, *truncated;
    const float *loss_mask, *noise;
} Fields;

/* Weights as PyTorch has them, a list for each network in the order of engine/native/weights.py,
 * running statistics, and where gradients are written to. */
typedef struct {
    const float *const *agent, *const *target_agent, *const *mixer, *const *target_mixer;
    const float *const *aggregator, *const *target_aggregator;
    const float *const *sale, *const *predictor, *const *model, *const *target_model;
    float *const *scales;              /* mean, variance, updates: of hidden states, of obs */
    const float *const *target_scales; /* mean, variance: of hidden states, of obs */
    float *const *of_agent, *const *of_mixer, *const *of_aggregator, *const *of_sale,
        *const *of_predictor, *const *of_model;
} Weights;

/* Places of an agent's weights in its list. */
enum {
    INPUT = 0,
    RNN = 2,
    HEAD = 6,
    SALE_F = 6,
    SALE_G = 10,
    SALE_PHI = 14,
    FROM_STATE = 16,
    FROM_ACTION = 18,
    SALE_HEAD = 19,
    PER_ACTION = 20,
};

/* Memory that is used again by every update: laid out twice, first to know how much it takes. */
typedef struct {
    char *base;
    size_t used, size;
} Arena;

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(at, size)
#define ASAN_UNPOISON_MEMORY_REGION(at, size)
#endif

static void *take(Arena *arena, long count, size_t of)
{
    char *taken = (char *)((uintptr_t)arena->base + arena->used);
    const size_t bytes = (size_t)count * of, all = (bytes + 127) / 64 * 64; /* with a gap */
    arena->used += all;
    if (arena->base) {
        ASAN_UNPOISON_MEMORY_REGION(taken, all);
        ASAN_POISON_MEMORY_REGION(taken + bytes, all - bytes);
    }
    return taken;
}

static float *floats(Arena *arena, long count) { return take(arena, count, sizeof(float)); }
static int *ints(Arena *arena, long count) { return take(arena, count, sizeof(int)); }

/* Rows that are worked on TILE at a time. */
static float *matrix(Arena *arena, long rows, long columns)
{
    return floats(arena, (rows + GROUP) * columns + WIDEST);
}

static Gradient gradient(Arena *arena, int left, int right)
{
    float *room = floats(arena, gradient_size(left, right));
    return make_gradient(left, right, &room);
}

/* An agent's network, its weights as they are multiplied. */
typedef struct {
    int learns;
    Layer input;
    const float *of_last, *of_id; /* (actions + 1, size), (agents, size) */
    Gru gru;
    Layer head;
    Agent values;                              /* with SALE */
    const float *list[14];                     /* what `fill_agent` took */
    float *pair, *state_bias, *room, *input_room, *gru_room, *head_room;
} AgentNet;

/* What learns of an agent, in a part of the batch. */
typedef struct {
    Gradient input, by_x, by_h, head;
    float *of_last, *of_id;
    float *sale[8]; /* phi, per_action and state (weight and bias each), pair, head */
} AgentGradient;

/* What learns of a mixer and of the aggregator. */
typedef struct {
    Gradient nets[7], aggregator;
} MixerGradient;

/* Some episodes of a batch, and what an update makes of them. Rows are observations, by time;
 * rows of agents are `agents` times as many. `reads` of them are around steps to learn from, and
 * `learns` are such steps. */
typedef struct {
    int count, *episodes;
    Steps steps, agent_steps;
    long rows, reads, learns;
    int *at;              /* (rows) place in (episodes, steps + 1) */
    int *read, *read_of;  /* (reads) rows; (rows) place among them or -1 */
    int *starts, *ends;   /* (learns) places among reads */
    int *learned;         /* (learns) rows */
    float *obs, *x, *target_x, *states, *target_states, *gates, *of_states, *of_x;
    int64_t *last, *chosen, *greedy, *target_greedy;
    float *read_obs, *hidden, *target_hidden, *values, *of_chosen, *next, *value_kept, *of_values;
    float *of_hidden, *rollout, *summary, *next_summary, *of_summary, *state, *next_state;
    float *q, *next_q, *mixed, *next_mixed, *of_mixed, *of_q, *targets; /* targets: (reads, .) */
    uint8_t *legal;
    float *room;
    Scratch *spare;
    AgentGradient of_agent;
    MixerGradient of_mixer;
    double losses[4]; /* squared error, its size, Q_tot, target: sums */
} Part;

/* The rows of the episodes that a world model learns from, one episode after the other. What the
 * encoders and the self-predictor leave there for other tasks stands until the next update. */
typedef struct {
    long rows;
    int *at, *before, *agents_before, *taken;
    float *hidden, *obs, *raw, *legal, *noise, *prior_noise, *learned, *seen, *after, *mask,
        *rewards, *ended, *agents_after;
    int64_t *greedy;
    uint8_t *first;
    double *sums;
    const float *z;      /* of observations, (rows, agents, embedding filled up) */
    const float *of_own; /* the self-prediction's gradient at states, (rows, agents, hidden) */
    float losses[14];    /* those of `model_losses`, L(f, g) of observations, self-prediction */
} Share;

/* One update. */
typedef struct {
    Settings s;
    Fields f;
    Weights w;
    int num_parts, size; /* size: of a state, filled up */
    float total;         /* steps to learn from */
    Part *parts;
    int *part_of, *row_of; /* (episodes), (episodes, steps + 1) */
    int *lengths, *order;
    Share share;
    AgentNet agent, target_agent;
    Mixer mixer, target_mixer;
    float *mixer_room, *target_mixer_room, *model_room, *aggregator_room, *target_aggregator_room;
    Layer aggregator, target_aggregator;
    Layer mixer_back[7];
    float *mixer_back_room;
    Model imagined;
    float *target_deviations;
    Tasks *tasks;
    Scratch *shares;
    atomic_int failed;
} Update;

/* Numbers of the state that a mixer reads. */
static int state_read(const Settings *s)
{
    return s->state * s->global_state + (s->aggregated ? s->state : 0);
}
static int mixed_values(const Settings *s) { return s->mixer ? 1 : s->agents; }
static int joint_of(const Settings *s) { return s->agents * s->latent; }

enum { MOST_PARTS = 16 };

/* The part that has a row of the share. */
static Part *part_of_row(const Update *u, long row)
{
    return u->parts + u->part_of[u->share.at[row] / (u->s.steps + 1)];
}

/* The number of parts depends on the shape of the batch alone. */
static int count_parts(const Settings *s)
{
    int parts = (s->episodes * s->agents + 23) / 24;
    parts = parts < 2 ? 2 : parts > MOST_PARTS ? MOST_PARTS : parts + parts % 2;
    return parts > s->episodes ? s->episodes : parts;
}

/* Played steps of each episode, and the episodes from the longest to the shortest. */
static void measure_episodes(Update *u)
{
    const int steps = u->s.steps, episodes = u->s.episodes;
    double total = 0;
    for (int b = 0; b < episodes; b++) {
        u->lengths[b] = 0;
        for (int t = 0; t < steps; t++) {
            const float learned = u->f.loss_mask[(long)b * steps + t];
            total += learned;
            if (learned != 0) u->lengths[b] = t + 1;
        }
    }
    u->total = total > 1 ? (float)total : 1;
    for (int b = 0; b < episodes; b++) { /* a stable insertion: episodes are few */
        int i = b;
        for (; i > 0 && u->lengths[u->order[i - 1]] < u->lengths[b]; i--)
            u->order[i] = u->order[i - 1];
        u->order[i] = b;
    }
}

/* Shares the episodes out: the longest to the first part, the next to the second ... */
static void share_out(Update *u)
{
    const int all = u->num_parts;
    for (int p = 0; p < all; p++) u->parts[p].count = 0;
    for (int i = 0; i < u->s.episodes; i++) {
        Part *part = u->parts + i % all;
        part->episodes[part->count++] = u->order[i];
    }
}

/* Where the rows of a part lie. */
static void index_part(Update *u, Part *p)
{
    const int steps = u->s.steps, agents = u->s.agents;
    long row = 0;
    p->reads = p->learns = 0;
    p->steps.sequences = p->count, p->agent_steps.sequences = p->count * agents;
    int t = 0;
    for (; t <= steps; t++) {
        const long begin = row;
        for (int i = 0; i < p->count && u->lengths[p->episodes[i]] >= t; i++, row++) {
            const int b = p->episodes[i];
            const float *mask = u->f.loss_mask + (long)b * steps;
            const int at = b * (steps + 1) + t, learned = t < steps && mask[t] != 0;
            p->at[row] = at, u->row_of[at] = (int)row;
            p->read_of[row] = -1;
            if (learned || (t > 0 && mask[t - 1] != 0)) {
                p->read_of[row] = (int)p->reads;
                p->read[p->reads++] = (int)row;
            }
        }
        p->steps.starts[t] = begin, p->agent_steps.starts[t] = begin * agents;
        if (row == begin) break;
    }
    p->rows = row, p->steps.count = p->agent_steps.count = t;
    p->steps.starts[t] = row, p->agent_steps.starts[t] = row * agents;
    for (long r = 0; r < p->rows; r++) {
        const int at = p->at[r], b = at / (steps + 1), step = at % (steps + 1);
        if (step == steps || u->f.loss_mask[(long)b * steps + step] == 0) continue;
        p->starts[p->learns] = p->read_of[r];
        p->ends[p->learns] = p->read_of[u->row_of[at + 1]];
        p->learned[p->learns++] = (int)r;
    }
}
