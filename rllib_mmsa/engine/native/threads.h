/* Threads that share the tasks of an update. */

#include <pthread.h>
#include <stdatomic.h>
#include <xmmintrin.h>

enum { MOST_THREADS = 8 };

/* Tasks 0 to `count`, of which each thread takes the next. What a task computes depends on its
 * number alone, so that results are the same for any number of threads. */
typedef struct {
    void (*run)(void *of, int task);
    void *of;
    int count;
    atomic_int next, done;
} Tasks;

/* Helpers sleep between updates. */
typedef struct {
    pthread_t threads[MOST_THREADS];
    pthread_mutex_t lock;
    pthread_cond_t woken;
    int helpers, stops;
    unsigned long round;
    Tasks tasks;
    atomic_int working;
} Threads;

static void work(Tasks *tasks)
{
    for (int task; (task = atomic_fetch_add(&tasks->next, 1)) < tasks->count;) {
        tasks->run(tasks->of, task);
        atomic_fetch_add(&tasks->done, 1);
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
    for (int i = 0; i + 1 < count && i < MOST_THREADS; i++)
        if (!pthread_create(all->threads + all->helpers, NULL, help, all)) all->helpers++;
    return all;
}

static void free_threads(Threads *all)
{
    pthread_mutex_lock(&all->lock);
    all->stops = 1;
    pthread_cond_broadcast(&all->woken);
    pthread_mutex_unlock(&all->lock);
    for (int i = 0; i < all->helpers; i++) pthread_join(all->threads[i], NULL);
    free(all);
}

/* Runs all tasks, and returns when they are done. */
static void run_tasks(Threads *all, void (*run)(void *, int), void *of, int count)
{
    if (!all->helpers) {
        for (int task = 0; task < count; task++) run(of, task);
        return;
    }
    /* A helper that comes late to the last tasks must be gone before there are others. */
    while (atomic_load(&all->working)) _mm_pause();
    pthread_mutex_lock(&all->lock);
    while (atomic_load(&all->working)) {
        pthread_mutex_unlock(&all->lock);
        pthread_mutex_lock(&all->lock);
    }
    all->tasks.run = run, all->tasks.of = of, all->tasks.count = count;
    atomic_store(&all->tasks.next, 0);
    atomic_store(&all->tasks.done, 0);
    all->round++;
    pthread_cond_broadcast(&all->woken);
    pthread_mutex_unlock(&all->lock);
    work(&all->tasks);
    while (atomic_load(&all->tasks.done) < count) _mm_pause();
}
