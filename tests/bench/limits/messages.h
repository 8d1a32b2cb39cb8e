/* What every C program that exchanges messages shares: the two sides of a measurement over any way to send and receive.
 *
 * The parent tells the child what follows (so many messages of one size, to be sent back or only to be taken in), sends them, and
 * reads the clock. Options: `mode=round|oneway sizes=64,1024 seconds=S` (for each size), `peer-cpu=N` where the child runs. */
#ifndef PROCS_BENCH_MESSAGES_H
#define PROCS_BENCH_MESSAGES_H

#include "bench.h"
#include <sched.h>

/* A way to exchange messages. `receive` fills exactly `len` bytes, which both sides know. */
typedef struct {
    void *self;
    void (*send)(void *self, const char *data, size_t len);
    void (*receive)(void *self, char *data, size_t len);
} bench_link;

enum { BENCH_END, BENCH_ECHO, BENCH_SINK };

typedef struct {
    uint32_t kind, count;
    uint64_t size;
} bench_order;

static inline void bench_pin(char **argv) {
    double cpu = bench_number(argv, "peer-cpu", -1);
    cpu_set_t set;
    if (cpu < 0) return;
    CPU_ZERO(&set);
    CPU_SET((int)cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0) bench_fail("sched_setaffinity");
}

static inline char *bench_buffer(size_t len) {
    char *memory = malloc(len);
    if (memory == NULL) bench_fail("malloc");
    memset(memory, 'x', len);
    return memory;
}

/* The child's side, until it is told to end. The bytes are its own when a message counts as received. */
static inline void bench_serve(bench_link *link) {
    bench_order order = {.kind = BENCH_ECHO};
    char *memory = NULL;
    size_t room = 0;
    for (;;) {
        link->receive(link->self, (char *)&order, sizeof order);
        if (order.kind == BENCH_END) break;
        if (order.size > room) {
            free(memory);
            memory = bench_buffer(room = order.size);
        }
        for (uint32_t i = 0; i < order.count; i++) {
            link->receive(link->self, memory, order.size);
            if (order.kind == BENCH_ECHO) link->send(link->self, memory, order.size);
        }
        if (order.kind == BENCH_SINK) link->send(link->self, (char *)&order, sizeof order);
    }
    free(memory);
}

static inline void bench_tell(bench_link *link, uint32_t kind, uint32_t count, size_t size) {
    bench_order order = {.kind = kind, .count = count, .size = size};
    link->send(link->self, (char *)&order, sizeof order);
}

/* One batch of round trips; gives its seconds. */
static inline double bench_round_trips(bench_link *link, char *memory, size_t size, uint32_t count, bench_samples *samples) {
    bench_tell(link, BENCH_ECHO, count, size);
    uint64_t begin = bench_now(), last = begin;
    for (uint32_t i = 0; i < count; i++) {
        link->send(link->self, memory, size);
        link->receive(link->self, memory, size);
        uint64_t now = bench_now();
        if (samples != NULL) bench_add(samples, (double)(now - last) / 1e3);
        last = now;
    }
    return (double)(last - begin) / 1e9;
}

/* One batch in one direction, until the child says that it has all of it; gives its seconds. */
static inline double bench_one_way(bench_link *link, char *memory, size_t size, uint32_t count) {
    bench_order answer;
    bench_tell(link, BENCH_SINK, count, size);
    uint64_t begin = bench_now();
    for (uint32_t i = 0; i < count; i++) link->send(link->self, memory, size);
    link->receive(link->self, (char *)&answer, sizeof answer);
    return (double)(bench_now() - begin) / 1e9;
}

static inline const char *bench_label(size_t size) {
    static char text[24];
    if (size >= 1u << 20)
        snprintf(text, sizeof text, "%zum", size >> 20);
    else if (size >= 1024)
        snprintf(text, sizeof text, "%zuk", size >> 10);
    else
        snprintf(text, sizeof text, "%zu", size);
    return text;
}

typedef double (*bench_batch)(bench_link *link, char *memory, size_t size, uint32_t count);

static inline double bench_plain_trips(bench_link *link, char *memory, size_t size, uint32_t count) {
    return bench_round_trips(link, memory, size, count, NULL);
}

/* The seconds of a batch; one that only just took long enough may have been interrupted and is run again. */
static inline double bench_twice(bench_batch batch, bench_link *link, char *memory, size_t size, uint32_t count, double seconds) {
    double taken = batch(link, memory, size, count);
    if (taken < seconds || taken >= 4 * seconds) return taken;
    double again = batch(link, memory, size, count);
    return again < taken ? again : taken;
}

/* Batches double until one takes a quarter of the time, which warms up; then one takes the whole time. The first of all waits for the
 * child to be there. */
static inline void bench_round_size(bench_link *link, char *memory, size_t size, double seconds) {
    bench_samples samples = {0};
    uint32_t count = 1;
    bench_plain_trips(link, memory, size, count);
    double taken = bench_twice(bench_plain_trips, link, memory, size, count, seconds / 4);
    while (taken < seconds / 4 && count < 1u << 24) taken = bench_twice(bench_plain_trips, link, memory, size, count *= 2, seconds / 4);
    double wanted = seconds / taken * count;
    bench_round_trips(link, memory, size, wanted < 1 ? 1 : (uint32_t)wanted, &samples);
    printf("\"us_%s\": %.4f, ", bench_label(size), bench_quantile(&samples, 0.5));
    printf("\"p99_us_%s\": %.4f, ", bench_label(size), bench_quantile(&samples, 0.99));
    free(samples.values);
}

/* The same in one direction: the median rate of four batches. Up to 1 KiB in million messages, above in GiB a second. */
static inline void bench_way_size(bench_link *link, char *memory, size_t size, double seconds) {
    bench_samples rates = {0};
    uint32_t count = 1;
    double scale = size <= 1024 ? 1e-6 : (double)size / (1024.0 * 1024 * 1024);
    bench_one_way(link, memory, size, count);
    double taken = bench_twice(bench_one_way, link, memory, size, count, seconds / 4);
    while (taken < seconds / 4 && count < 1u << 24) taken = bench_twice(bench_one_way, link, memory, size, count *= 2, seconds / 4);
    for (int i = 0; i < 4; i++) bench_add(&rates, count / bench_one_way(link, memory, size, count) * scale);
    printf("\"%s_%s\": %.5f, ", size <= 1024 ? "mmsg" : "gib", bench_label(size), bench_quantile(&rates, 0.5));
    free(rates.values);
}

/* The parent's side: all sizes up to `most`, one line of JSON, then the child is told to end. */
static inline void bench_messages(bench_link *link, char **argv, size_t most) {
    int round = strcmp(bench_text(argv, "mode", "round"), "round") == 0;
    double seconds = bench_number(argv, "seconds", 0.1);
    const char *sizes = bench_text(argv, "sizes", "64");
    printf("{");
    while (*sizes != '\0') {
        char *rest;
        size_t size = strtoul(sizes, &rest, 10);
        sizes = *rest == ',' ? rest + 1 : rest;
        if (size == 0 || size > most) continue;
        char *memory = bench_buffer(size);
        (round ? bench_round_size : bench_way_size)(link, memory, size, seconds);
        free(memory);
    }
    bench_tell(link, BENCH_END, 0, 0);
    printf("\"count\": 1}\n");
}

#endif
