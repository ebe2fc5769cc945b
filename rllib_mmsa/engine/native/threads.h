/* Threads that share the tasks of an update. */

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>
#include <xmmintrin.h>

enum { MOST_HELPERS = 7, MOST_TASKS = 64, SPINS = 2000 };

/* Tasks 0 to `count`, of which each thread takes the next. A task may wait for tasks of lower
 * numbers, which somebody has taken before it. What a task computes depends on its number alone, so
 * that results are the same for any number of threads. */
typedef struct {
    void (*run)(void *of, int task);
    void *of;
    int count;
    atomic_int next, done, finished[MOST_TASKS];
    atomic_int waiting; /* threads that sleep until a task is done */
    pthread_mutex_t lock;
    pthread_cond_t progress;
} Tasks;

/* Helpers sleep between updates. */
typedef struct {
    pthread_t threads[MOST_HELPERS];
    pthread_mutex_t lock;
    pthread_cond_t woken;
    pid_t owner; /* a fork of this process has no helpers */
    int helpers, stops;
    unsigned long round;
    Tasks tasks;
    atomic_int working;
} Threads;

/* Returns when `number` is at least `least`: soon, or another program needs the core meanwhile. */
static void await(Tasks *tasks, atomic_int *number, int least)
{
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load(number) >= least) return;
        _mm_pause();
    }
    pthread_mutex_lock(&tasks->lock);
    atomic_fetch_add(&tasks->waiting, 1);
    while (atomic_load(number) < least) pthread_cond_wait(&tasks->progress, &tasks->lock);
    atomic_fetch_sub(&tasks->waiting, 1);
    pthread_mutex_unlock(&tasks->lock);
}

/* Returns when a task of a lower number is done. */
static void need(Tasks *tasks, int task) { await(tasks, tasks->finished + task, 1); }

static void work(Tasks *tasks)
{
    for (int task; (task = atomic_fetch_add(&tasks->next, 1)) < tasks->count;) {
        tasks->run(tasks->of, task);
        atomic_store(tasks->finished + task, 1);
        atomic_fetch_add(&tasks->done, 1);
        if (!atomic_load(&tasks->waiting)) continue;
        pthread_mutex_lock(&tasks->lock);
        pthread_cond_broadcast(&tasks->progress);
        pthread_mutex_unlock(&tasks->lock);
    }
}

/* Denormal numbers count as zeros: a processor is slow at them. */
static void flush_denormals(void) { _mm_setcsr(_mm_getcsr() | 0x8040); }

static void *help(void *of)
{
    Threads *all = of;
    unsigned long seen = 0;
    flush_denormals();
    pthread_mutex_lock(&all->lock);
    while (!all->stops) {
        if (all->round == seen) {
            pthread_cond_wait(&all->woken, &all->lock);
            continue;
        }
        seen = all->round;
        atomic_fetch_add(&all->working, 1);
        pthread_mutex_unlock(&all->lock);
        work(&all->tasks);
        atomic_fetch_sub(&all->working, 1);
        pthread_mutex_lock(&all->lock);
    }
    pthread_mutex_unlock(&all->lock);
    return NULL;
}

/* As many threads as could be started, the caller's among them. */
static Threads *make_threads(int count)
{
    Threads *all = calloc(1, sizeof(Threads));
    if (!all) return NULL;
    pthread_mutex_init(&all->lock, NULL);
    pthread_cond_init(&all->woken, NULL);
    pthread_mutex_init(&all->tasks.lock, NULL);
    pthread_cond_init(&all->tasks.progress, NULL);
    all->owner = getpid();
    for (int i = 0; i + 1 < count && i < MOST_HELPERS; i++)
        if (!pthread_create(all->threads + all->helpers, NULL, help, all)) all->helpers++;
    return all;
}

static void free_threads(Threads *all)
{
    if (all->owner == getpid()) {
        pthread_mutex_lock(&all->lock);
        all->stops = 1;
        pthread_cond_broadcast(&all->woken);
        pthread_mutex_unlock(&all->lock);
        for (int i = 0; i < all->helpers; i++) pthread_join(all->threads[i], NULL);
    }
    free(all);
}

/* What helpers take from now on; no thread may be at the last tasks any more. */
static void set_tasks(Threads *all, void (*run)(void *, int), void *of, int count)
{
    Tasks *tasks = &all->tasks;
    tasks->run = run, tasks->of = of, tasks->count = count;
    for (int task = 0; task < count; task++) atomic_store(tasks->finished + task, 0);
    atomic_store(&tasks->done, 0);
    atomic_store(&tasks->next, 0);
}

/* Runs all tasks, and returns when they are done. */
static void run_tasks(Threads *all, void (*run)(void *, int), void *of, int count)
{
    if (!all->helpers || all->owner != getpid()) {
        set_tasks(all, run, of, count);
        work(&all->tasks);
        return;
    }
    pthread_mutex_lock(&all->lock);
    while (atomic_load(&all->working)) { /* a helper that came late to the last tasks */
        pthread_mutex_unlock(&all->lock);
        sched_yield();
        pthread_mutex_lock(&all->lock);
    }
    set_tasks(all, run, of, count);
    all->round++;
    pthread_cond_broadcast(&all->woken);
    pthread_mutex_unlock(&all->lock);
    work(&all->tasks);
    await(&all->tasks, &all->tasks.done, count);
}
