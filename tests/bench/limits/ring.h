/* A byte ring in shared memory for one writer and one reader: what a channel without a library can do at best. */
#ifndef PROCS_BENCH_RING_H
#define PROCS_BENCH_RING_H

#include "bench.h"
#include <linux/futex.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/syscall.h>

/* How a side waits for the other. */
typedef enum { RING_SPIN, RING_SPIN_FUTEX, RING_FUTEX, RING_ADAPTIVE } ring_wait;

enum { RING_BYTES = 1 << 20, RING_CHUNK = RING_BYTES / 8, RING_SPINS = 20000 };

/* One side's words, on cache lines of their own. */
typedef struct {
    _Alignas(128) _Atomic uint64_t position;
    _Atomic uint32_t cpu;
    _Alignas(128) _Atomic uint32_t sleeping;
} ring_side;

typedef struct {
    ring_side writer, reader;
    _Alignas(128) char bytes[RING_BYTES];
} ring_shared;

/* What a process knows of a ring: its own position and the other's as last seen. */
typedef struct {
    ring_shared *shared;
    ring_wait wait;
    uint64_t own, published, seen;
} ring_end;

static inline void ring_pause(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

static inline long ring_futex(_Atomic uint32_t *word, int operation, uint32_t value) {
    return syscall(SYS_futex, word, operation, value, NULL, NULL, 0);
}

/* Tells the other side if it sleeps. The fence orders the position before the look at the word. */
static inline void ring_wake(ring_side *other) {
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&other->sleeping, memory_order_relaxed) == 0) return;
    atomic_store_explicit(&other->sleeping, 0, memory_order_relaxed);
    ring_futex(&other->sleeping, FUTEX_WAKE, 1);
}

static inline void ring_publish(ring_end *end, ring_side *own) {
    atomic_store_explicit(&own->position, end->own, memory_order_release);
    end->published = end->own;
}

/* How often a side looks before it sleeps; a peer that waits for this very processor is never waited for by looking. */
static inline int ring_looks(ring_end *end, ring_side *own, ring_side *other) {
    uint32_t here = (uint32_t)sched_getcpu() + 1;
    if (end->wait == RING_FUTEX) return 0;
    if (end->wait != RING_ADAPTIVE) return RING_SPINS;
    atomic_store_explicit(&own->cpu, here, memory_order_relaxed);
    return atomic_load_explicit(&other->cpu, memory_order_relaxed) == here ? 0 : RING_SPINS;
}

/* Until the other's position is not `old`. */
static inline void ring_await(ring_end *end, ring_side *own, ring_side *other, uint64_t old) {
    for (;;) {
        int looks = ring_looks(end, own, other);
        for (int i = 0; i <= looks; i++) {
            end->seen = atomic_load_explicit(&other->position, memory_order_acquire);
            if (end->seen != old) return;
            ring_pause();
            if (end->wait == RING_SPIN) i = 0;
        }
        atomic_store_explicit(&own->sleeping, 1, memory_order_relaxed);
        atomic_thread_fence(memory_order_seq_cst);
        end->seen = atomic_load_explicit(&other->position, memory_order_acquire);
        if (end->seen == old) ring_futex(&own->sleeping, FUTEX_WAIT, 1);
        atomic_store_explicit(&own->sleeping, 0, memory_order_relaxed);
        end->seen = atomic_load_explicit(&other->position, memory_order_acquire);
        if (end->seen != old) return;
    }
}

static inline size_t ring_least(size_t a, size_t b) { return a < b ? a : b; }

static inline void ring_write(ring_end *end, const char *data, size_t len) {
    ring_shared *ring = end->shared;
    if (end->wait == RING_ADAPTIVE) ring_looks(end, &ring->writer, &ring->reader);
    while (len > 0) {
        size_t room = RING_BYTES - (size_t)(end->own - end->seen);
        if (room == 0) {
            ring_await(end, &ring->writer, &ring->reader, end->seen);
            continue;
        }
        size_t at = end->own % RING_BYTES;
        size_t part = ring_least(ring_least(len, room), ring_least(RING_CHUNK, RING_BYTES - at));
        memcpy(ring->bytes + at, data, part);
        end->own += part, data += part, len -= part;
        ring_publish(end, &ring->writer);
        if (end->wait != RING_SPIN) ring_wake(&ring->reader);
    }
}

/* A writer that waits for room is told after an eighth of the ring, or before the reader waits itself. */
static inline void ring_read(ring_end *end, char *data, size_t len) {
    ring_shared *ring = end->shared;
    while (len > 0) {
        size_t there = (size_t)(end->seen - end->own);
        if (there == 0) {
            if (end->wait != RING_SPIN) ring_wake(&ring->writer);
            ring_await(end, &ring->reader, &ring->writer, end->own);
            continue;
        }
        size_t at = end->own % RING_BYTES;
        size_t part = ring_least(ring_least(len, there), ring_least(RING_CHUNK, RING_BYTES - at));
        uint64_t before = end->own;
        memcpy(data, ring->bytes + at, part);
        end->own += part, data += part, len -= part;
        ring_publish(end, &ring->reader);
        if (end->wait != RING_SPIN && before / RING_CHUNK != end->own / RING_CHUNK) ring_wake(&ring->writer);
    }
}

#endif
