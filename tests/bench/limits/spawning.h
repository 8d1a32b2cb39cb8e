/* The loop of every C program that starts children, on one or several threads. */
#ifndef PROCS_BENCH_SPAWNING_H
#define PROCS_BENCH_SPAWNING_H

#include "bench.h"
#include <pthread.h>

/* One start as the library or system call does it, the wait for its status, and what is let go of afterwards (may be NULL). */
typedef struct {
    const char *name;
    int (*start)(void *state);
    void (*wait)(void *state);
    void (*release)(void *state);
} bench_spawner;

/* Starts and ends of one loop, in microseconds. */
typedef struct {
    bench_samples call, total;
} bench_times;

/* Runs start and wait for `seconds`; the first 20 rounds warm up and are not counted. */
static inline void bench_spawn_loop(const bench_spawner *s, void *state, double seconds, bench_times *times) {
    uint64_t stop = 0;
    for (int i = -20;; i++) {
        uint64_t begin = bench_now();
        if (i == 0) stop = begin + (uint64_t)(seconds * 1e9);
        if (i >= 0 && begin >= stop) break;
        if (s->start(state) != 0) bench_fail(s->name);
        uint64_t called = bench_now();
        s->wait(state);
        uint64_t ended = bench_now();
        if (s->release != NULL) s->release(state);
        if (i < 0) continue;
        bench_add(&times->call, (double)(called - begin) / 1e3);
        bench_add(&times->total, (double)(ended - begin) / 1e3);
    }
}

static inline void bench_report_spawn(bench_times *t, double elapsed) {
    printf("{\"call_us\": %.3f, \"call_p99_us\": %.3f, \"total_us\": %.3f, \"total_p99_us\": %.3f, \"per_s\": %.1f, \"count\": %zu}\n",
           bench_quantile(&t->call, 0.5), bench_quantile(&t->call, 0.99), bench_quantile(&t->total, 0.5),
           bench_quantile(&t->total, 0.99), (double)t->total.count / elapsed, t->total.count);
}

typedef struct {
    const bench_spawner *spawner;
    void *state;
    double seconds;
    bench_times times;
} bench_job;

static inline void *bench_run_job(void *p) {
    bench_job *job = p;
    bench_spawn_loop(job->spawner, job->state, job->seconds, &job->times);
    return NULL;
}

enum { BENCH_THREADS = 64 };

/* Runs the case as `seconds=`, `mb=` and `threads=` say, each thread with `state_size` bytes of its own state, zero at first. */
static inline int bench_spawn(const bench_spawner *spawner, size_t state_size, char **argv) {
    pthread_t ids[BENCH_THREADS];
    bench_job jobs[BENCH_THREADS] = {{0}};
    bench_times all = {{0}, {0}};
    int threads = (int)bench_number(argv, "threads", 1);
    if (threads < 1 || threads > BENCH_THREADS) return 2;
    bench_hold(bench_number(argv, "mb", 0));
    uint64_t begin = bench_now();
    for (int i = 0; i < threads; i++) {
        jobs[i].spawner = spawner;
        jobs[i].state = calloc(1, state_size);
        jobs[i].seconds = bench_number(argv, "seconds", 0.4);
        if (threads > 1 && pthread_create(&ids[i], NULL, bench_run_job, &jobs[i]) != 0) bench_fail("pthread_create");
    }
    if (threads == 1) bench_run_job(&jobs[0]);
    for (int i = 0; i < threads; i++) {
        if (threads > 1) pthread_join(ids[i], NULL);
        for (size_t k = 0; k < jobs[i].times.total.count; k++) {
            bench_add(&all.call, jobs[i].times.call.values[k]);
            bench_add(&all.total, jobs[i].times.total.values[k]);
        }
    }
    bench_report_spawn(&all, (double)(bench_now() - begin) / 1e9);
    return 0;
}

#endif
