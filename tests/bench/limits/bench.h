/* What every C program of the benchmarks shares: options as `key=value`, clock, samples, and one line of JSON as the result. */
#ifndef PROCS_BENCH_H
#define PROCS_BENCH_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static inline uint64_t bench_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline const char *bench_text(char **argv, const char *key, const char *fallback) {
    size_t n = strlen(key);
    for (; *argv != NULL; argv++)
        if (strncmp(*argv, key, n) == 0 && (*argv)[n] == '=') return *argv + n + 1;
    return fallback;
}

static inline double bench_number(char **argv, const char *key, double fallback) {
    const char *text = bench_text(argv, key, NULL);
    return text == NULL ? fallback : strtod(text, NULL);
}

static inline void bench_fail(const char *what) {
    perror(what);
    _exit(1);
}

/* Touches and keeps this many MB in plain pages: the parent whose size a fork would pay for. */
static inline void bench_hold(double megabytes) {
    size_t size = (size_t)megabytes << 20;
    if (size == 0) return;
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) bench_fail("mmap");
    madvise(memory, size, MADV_NOHUGEPAGE);
    for (size_t i = 0; i < size; i += 4096) memory[i] = 1;
}

/* A field of /proc/self/status in bytes: VmRSS now, VmHWM at its peak. */
static inline double bench_memory(const char *field) {
    char line[256];
    double kb = 0;
    FILE *status = fopen("/proc/self/status", "re");
    if (status == NULL) bench_fail("/proc/self/status");
    while (fgets(line, sizeof line, status) != NULL)
        if (strncmp(line, field, strlen(field)) == 0) kb = strtod(line + strlen(field) + 1, NULL);
    fclose(status);
    return kb * 1024;
}

/* CPU time of this process alone, in seconds. */
static inline double bench_cpu(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

typedef struct {
    double *values;
    size_t count, room;
} bench_samples;

static inline void bench_add(bench_samples *s, double value) {
    if (s->count == s->room) {
        s->room = s->room ? s->room * 2 : 4096;
        s->values = realloc(s->values, s->room * sizeof *s->values);
        if (s->values == NULL) bench_fail("realloc");
    }
    s->values[s->count++] = value;
}

static inline int bench_compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Quantile by nearest rank; sorts the samples. */
static inline double bench_quantile(bench_samples *s, double q) {
    if (s->count == 0) return 0;
    qsort(s->values, s->count, sizeof *s->values, bench_compare);
    size_t i = (size_t)(q * (double)(s->count - 1) + 0.5);
    return s->values[i];
}

/* The result of a capture program: one rate per capture (bytes or lines a second), CPU seconds of the reader and memory in bytes. */
typedef struct {
    bench_samples rates;
    double bytes, cpu, baseline;
} bench_capture;

static inline void bench_report_capture(bench_capture *c, const char *unit, double scale) {
    printf("{\"%s\": %.4f, \"cpu_s\": %.4f, \"rss_ratio\": %.4f, \"count\": %zu}\n", unit, bench_quantile(&c->rates, 0.5) / scale,
           c->cpu, (bench_memory("VmHWM") - c->baseline) / c->bytes, c->rates.count);
}

#endif
