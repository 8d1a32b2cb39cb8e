/* Area C, what the system allows: pipes, a stream socketpair, and a bare ring in shared memory that spins, sleeps on a futex, or spins only
 * for a peer on another processor. Same cases and same output as the programs of the peers: ipc <rtt|oneway> transport=… size=… cpu=… peer_cpu=… */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RING_BYTES (1u << 20)

enum mode { STREAM, SPIN, FUTEX, ADAPT };

struct ring {
    _Alignas(128) _Atomic uint64_t tail;
    _Alignas(128) _Atomic uint64_t head;
    _Alignas(128) _Atomic uint32_t reader_sleeps;
    _Atomic uint32_t reader_cpu;
    _Alignas(128) _Atomic uint32_t writer_sleeps;
    _Atomic uint32_t writer_cpu;
    _Alignas(4096) char data[RING_BYTES];
};

struct end {
    enum mode mode;
    int in, out;
    struct ring *from, *to;
    uint64_t tail, head, seen_head, seen_tail, released;
};

static void die(const char *what) {
    perror(what);
    exit(1);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void futex(_Atomic uint32_t *word, int op, uint32_t value) {
    syscall(SYS_futex, word, op, value, NULL, NULL, 0);
}

/* Waits until *word differs from `old`. */
static void wait_change(struct end *end, _Atomic uint64_t *word, uint64_t old, _Atomic uint32_t *sleeps, _Atomic uint32_t *my_cpu, _Atomic uint32_t *cpu) {
    uint32_t here = (uint32_t)sched_getcpu();
    if (atomic_load_explicit(my_cpu, memory_order_relaxed) != here)
        atomic_store_explicit(my_cpu, here, memory_order_relaxed);
    if (end->mode == SPIN || (end->mode == ADAPT && atomic_load_explicit(cpu, memory_order_relaxed) != here)) {
        for (unsigned looks = 0; end->mode == SPIN || looks < 1000; looks++) {
            if (atomic_load_explicit(word, memory_order_acquire) != old)
                return;
            __builtin_ia32_pause();
        }
    }
    for (;;) {
        atomic_store(sleeps, 1);
        if (atomic_load(word) != old)
            return;
        futex(sleeps, FUTEX_WAIT, 1);
        if (atomic_load(word) != old)
            return;
    }
}

static void wake(struct end *end, _Atomic uint32_t *sleeps) {
    if (end->mode == SPIN)
        return;
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(sleeps, memory_order_relaxed)) {
        atomic_store(sleeps, 0);
        futex(sleeps, FUTEX_WAKE, 1);
    }
}

static void ring_write(struct end *end, const char *bytes, size_t len) {
    struct ring *ring = end->to;
    while (len > 0) {
        size_t part = len < RING_BYTES / 8 ? len : RING_BYTES / 8;
        while (RING_BYTES - (end->tail - end->seen_head) < part) {
            uint64_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
            if (head == end->seen_head)
                wait_change(end, &ring->head, head, &ring->writer_sleeps, &ring->writer_cpu, &ring->reader_cpu);
            else
                end->seen_head = head;
        }
        size_t at = end->tail % RING_BYTES, first = part < RING_BYTES - at ? part : RING_BYTES - at;
        memcpy(ring->data + at, bytes, first);
        memcpy(ring->data, bytes + first, part - first);
        end->tail += part;
        bytes += part;
        len -= part;
        atomic_store_explicit(&ring->tail, end->tail, memory_order_release);
        wake(end, &ring->reader_sleeps);
    }
}

static void ring_read(struct end *end, char *bytes, size_t len) {
    struct ring *ring = end->from;
    while (len > 0) {
        size_t part = len < RING_BYTES / 8 ? len : RING_BYTES / 8;
        while (end->seen_tail - end->head < part) {
            uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
            if (tail == end->seen_tail)
                wait_change(end, &ring->tail, tail, &ring->reader_sleeps, &ring->reader_cpu, &ring->writer_cpu);
            else
                end->seen_tail = tail;
        }
        size_t at = end->head % RING_BYTES, first = part < RING_BYTES - at ? part : RING_BYTES - at;
        memcpy(bytes, ring->data + at, first);
        memcpy(bytes + first, ring->data, part - first);
        end->head += part;
        bytes += part;
        len -= part;
        if (end->head - end->released >= RING_BYTES / 8) {
            end->released = end->head;
            atomic_store_explicit(&ring->head, end->head, memory_order_release);
            wake(end, &ring->writer_sleeps);
        }
    }
}

static void send_message(struct end *end, const char *bytes, uint32_t len) {
    if (end->mode != STREAM) {
        char small[4 + 4096];
        if (len <= 4096) {
            memcpy(small, &len, 4);
            memcpy(small + 4, bytes, len);
            ring_write(end, small, 4 + len);
        } else {
            ring_write(end, (char *)&len, 4);
            ring_write(end, bytes, len);
        }
        return;
    }
    char *whole = malloc(4 + (size_t)len);
    memcpy(whole, &len, 4);
    memcpy(whole + 4, bytes, len);
    for (size_t at = 0; at < 4 + (size_t)len;) {
        ssize_t count = write(end->out, whole + at, 4 + (size_t)len - at);
        if (count <= 0)
            die("write");
        at += (size_t)count;
    }
    free(whole);
}

static char *buffer;
static size_t have, taken;

static uint32_t recv_message(struct end *end, char *out, size_t room) {
    uint32_t len;
    if (end->mode != STREAM) {
        ring_read(end, (char *)&len, 4);
        if (len > room)
            die("length");
        ring_read(end, out, len);
        return len;
    }
    /* Many small messages in one read, as a good reader of a stream does. */
    size_t want = 4;
    len = 0;
    for (;;) {
        if (have - taken >= 4) {
            memcpy(&len, buffer + taken, 4);
            want = 4 + (size_t)len;
        }
        if (have - taken >= want) {
            memcpy(out, buffer + taken + 4, len);
            taken += want;
            if (taken == have)
                taken = have = 0;
            return len;
        }
        if (taken > 0) {
            memmove(buffer, buffer + taken, have - taken);
            have -= taken;
            taken = 0;
        }
        ssize_t count = read(end->in, buffer + have, room + 65536 - have);
        if (count <= 0)
            die("read");
        have += (size_t)count;
    }
}

static const char *option(int argc, char **argv, const char *key, const char *fallback) {
    size_t len = strlen(key);
    for (int i = 2; i < argc; i++)
        if (strncmp(argv[i], key, len) == 0 && argv[i][len] == '=')
            return argv[i] + len + 1;
    return fallback;
}

static void pin(const char *cpu) {
    if (cpu == NULL)
        return;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((unsigned)atoi(cpu), &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0)
        die("sched_setaffinity");
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure_rtt(struct end *end, char *bytes, char *out, uint32_t size, double seconds) {
    unsigned batch = size <= 4096 ? 16 : 1;
    for (int i = 0; i < 200; i++) {
        send_message(end, bytes, size);
        recv_message(end, out, size);
    }
    size_t count = 0, room = 1 << 22;
    double *samples = malloc(room * sizeof *samples), stop = now() + seconds;
    for (double begin = now(); begin < stop && count < room; begin = now()) {
        for (unsigned i = 0; i < batch; i++) {
            send_message(end, bytes, size);
            recv_message(end, out, size);
        }
        samples[count++] = (now() - begin) / batch * 1e6;
    }
    send_message(end, bytes, 1);
    qsort(samples, count, sizeof *samples, by_value);
    printf("{\"rtt_us\": %.3f, \"p99_us\": %.3f, \"count\": %zu}\n", samples[count / 2], samples[count * 99 / 100], count);
}

static void measure_oneway(struct end *end, char *bytes, char *out, uint32_t size, double seconds) {
    recv_message(end, out, size + 8);
    double begin = now();
    uint64_t count = 0, look = 65536 / size < 1 ? 1 : 65536 / size > 512 ? 512 : 65536 / size;
    while (count % look != 0 || now() - begin < seconds) {
        send_message(end, bytes, size);
        count++;
    }
    send_message(end, bytes, 1);
    recv_message(end, out, size + 8);
    double taken_s = now() - begin;
    printf("{\"mmsg_s\": %.4f, \"gib_s\": %.4f, \"count\": %llu}\n", (double)count / taken_s / 1e6, (double)count * size / taken_s / (1u << 30),
           (unsigned long long)count);
}

int main(int argc, char **argv) {
    const char *transport = option(argc, argv, "transport", "ring");
    uint32_t size = (uint32_t)atol(option(argc, argv, "size", "64"));
    double seconds = atof(option(argc, argv, "seconds", "0.4"));
    int rtt = argc > 1 && strcmp(argv[1], "rtt") == 0;
    int a[2], b[2];
    struct end here = {0}, there = {0};
    if (strcmp(transport, "pipe") == 0) {
        if (pipe(a) != 0 || pipe(b) != 0)
            die("pipe");
        fcntl(a[1], 1031 /* F_SETPIPE_SZ */, 1 << 20);
        fcntl(b[1], 1031, 1 << 20);
        here.in = b[0], here.out = a[1], there.in = a[0], there.out = b[1];
    } else if (strcmp(transport, "socketpair") == 0) {
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, a) != 0)
            die("socketpair");
        here.in = here.out = a[0], there.in = there.out = a[1];
    } else {
        struct ring *rings = mmap(NULL, 2 * sizeof *rings, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
        if (rings == MAP_FAILED)
            die("mmap");
        here.mode = there.mode = strcmp(transport, "ring-spin") == 0 ? SPIN : strcmp(transport, "ring-futex") == 0 ? FUTEX : ADAPT;
        here.from = there.to = rings, here.to = there.from = rings + 1;
    }
    char *bytes = malloc((size_t)size + 8), *out = malloc((size_t)size + 8);
    buffer = malloc((size_t)size + 65536 + 16);
    memset(bytes, 7, (size_t)size + 8);
    memset(out, 7, (size_t)size + 8);
    pid_t child = fork();
    if (child == 0) {
        pin(option(argc, argv, "peer_cpu", NULL));
        if (rtt) {
            while (recv_message(&there, out, size) != 1)
                send_message(&there, bytes, size);
        } else {
            send_message(&there, bytes, 1);
            while (recv_message(&there, out, size) != 1)
                ;
            send_message(&there, bytes, 2);
        }
        _exit(0);
    }
    pin(option(argc, argv, "cpu", NULL));
    if (rtt)
        measure_rtt(&here, bytes, out, size, seconds);
    else
        measure_oneway(&here, bytes, out, size, seconds);
    waitpid(child, NULL, 0);
    return 0;
}
