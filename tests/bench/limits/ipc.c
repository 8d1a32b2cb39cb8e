/* Messages between two processes without a library: `ipc CASE mode=M sizes=N,N seconds=S peer-cpu=C`, CASE one of the table at the end. */
#include "messages.h"
#include "ring.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

enum { PACKET_BUFFER = 8 << 20, SLOT = 64 };

/* One message in shared memory, with a word that says that it is there. */
typedef struct {
    _Alignas(128) _Atomic uint32_t full;
    char data[SLOT];
} slot;

typedef struct {
    int in, out;
    slot *slot_in, *slot_out;
    ring_end ring_in, ring_out;
} side;

static void *shared(size_t len) {
    void *memory = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (memory == MAP_FAILED) bench_fail("mmap");
    return memory;
}

static void fd_send(void *self, const char *data, size_t len) {
    side *s = self;
    while (len > 0) {
        ssize_t n = write(s->out, data, len);
        if (n < 0 && errno != EINTR) bench_fail("write");
        if (n > 0) data += n, len -= (size_t)n;
    }
}

static void fd_receive(void *self, char *data, size_t len) {
    side *s = self;
    while (len > 0) {
        ssize_t n = read(s->in, data, len);
        if (n == 0 || (n < 0 && errno != EINTR)) bench_fail("read");
        if (n > 0) data += n, len -= (size_t)n;
    }
}

static void open_pair(side sides[2], int type) {
    int ends[2];
    if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends) != 0) bench_fail("socketpair");
    for (int i = 0; i < 2; i++) sides[i].in = sides[i].out = ends[i];
}

static size_t open_stream(side sides[2]) {
    open_pair(sides, SOCK_STREAM);
    return SIZE_MAX;
}

/* A packet has to fit the send buffer as a whole; without the privilege for a larger one only small packets are sent. */
static size_t open_packet(side sides[2]) {
    int bytes = PACKET_BUFFER, grown = 1;
    open_pair(sides, SOCK_SEQPACKET);
    for (int i = 0; i < 2; i++) grown &= setsockopt(sides[i].out, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes) == 0;
    return grown ? 1 << 20 : 65536;
}

static size_t open_pipes(side sides[2]) {
    for (int i = 0; i < 2; i++) {
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) != 0) bench_fail("pipe2");
        if (fcntl(ends[0], F_SETPIPE_SZ, 1 << 20) < 0) bench_fail("F_SETPIPE_SZ");
        sides[i].in = ends[0], sides[1 - i].out = ends[1];
    }
    return SIZE_MAX;
}

static size_t open_ring(side sides[2], ring_wait wait) {
    for (int i = 0; i < 2; i++) {
        ring_end end = {.shared = shared(sizeof(ring_shared)), .wait = wait};
        sides[i].ring_in = sides[1 - i].ring_out = end;
    }
    return SIZE_MAX;
}

static size_t open_spin(side sides[2]) { return open_ring(sides, RING_SPIN); }
static size_t open_spin_futex(side sides[2]) { return open_ring(sides, RING_SPIN_FUTEX); }
static size_t open_futex_ring(side sides[2]) { return open_ring(sides, RING_FUTEX); }
static size_t open_adaptive(side sides[2]) { return open_ring(sides, RING_ADAPTIVE); }

static void ring_send(void *self, const char *data, size_t len) { ring_write(&((side *)self)->ring_out, data, len); }
static void ring_receive(void *self, char *data, size_t len) { ring_read(&((side *)self)->ring_in, data, len); }

/* The floors: nothing but the wake-up and a copy of at most 64 bytes. Good for round trips only. */
static size_t open_slots(side sides[2]) {
    for (int i = 0; i < 2; i++) {
        sides[i].slot_in = sides[1 - i].slot_out = shared(sizeof(slot));
        sides[i].in = sides[1 - i].out = eventfd(0, EFD_CLOEXEC);
        if (sides[i].in < 0) bench_fail("eventfd");
    }
    return SLOT;
}

/* Only an order is followed by a message without an answer in between: the slot may still be full then. */
static slot *fill(side *s, const char *data, size_t len) {
    slot *to = s->slot_out;
    while (atomic_load_explicit(&to->full, memory_order_acquire) != 0) sched_yield();
    memcpy(to->data, data, len);
    atomic_store_explicit(&to->full, 1, memory_order_release);
    return to;
}

static void empty(slot *from, char *data, size_t len) {
    memcpy(data, from->data, len);
    atomic_store_explicit(&from->full, 0, memory_order_release);
}

static void futex_send(void *self, const char *data, size_t len) {
    slot *to = fill(self, data, len);
    ring_futex(&to->full, FUTEX_WAKE, 1);
}

static void futex_receive(void *self, char *data, size_t len) {
    slot *from = ((side *)self)->slot_in;
    while (atomic_load_explicit(&from->full, memory_order_acquire) == 0) ring_futex(&from->full, FUTEX_WAIT, 0);
    empty(from, data, len);
}

static void event_send(void *self, const char *data, size_t len) {
    side *s = self;
    fill(s, data, len);
    if (eventfd_write(s->out, 1) != 0) bench_fail("eventfd_write");
}

static void event_receive(void *self, char *data, size_t len) {
    side *s = self;
    eventfd_t count;
    if (eventfd_read(s->in, &count) != 0) bench_fail("eventfd_read");
    empty(s->slot_in, data, len);
}

static const struct {
    const char *name;
    size_t (*open)(side sides[2]); /* gives the largest message */
    void (*send)(void *self, const char *data, size_t len);
    void (*receive)(void *self, char *data, size_t len);
} CASES[] = {
    {"socketpair", open_stream, fd_send, fd_receive},         {"seqpacket", open_packet, fd_send, fd_receive},
    {"pipe", open_pipes, fd_send, fd_receive},                {"ring-spin", open_spin, ring_send, ring_receive},
    {"ring-spin-futex", open_spin_futex, ring_send, ring_receive}, {"ring-futex", open_futex_ring, ring_send, ring_receive},
    {"ring-adaptive", open_adaptive, ring_send, ring_receive}, {"futex", open_slots, futex_send, futex_receive},
    {"eventfd", open_slots, event_send, event_receive},
};

/* What a copy alone costs: the sizes of the option, within one process. */
static void copy_only(char **argv) {
    const char *sizes = bench_text(argv, "sizes", "65536");
    double seconds = bench_number(argv, "seconds", 0.1);
    printf("{");
    while (*sizes != '\0') {
        char *rest;
        size_t size = strtoul(sizes, &rest, 10);
        sizes = *rest == ',' ? rest + 1 : rest;
        if (size <= 1024) continue;
        char *from = bench_buffer(size), *to = bench_buffer(size);
        bench_samples rates = {0};
        for (uint64_t stop = bench_now() + (uint64_t)(seconds * 1e9); bench_now() < stop;) {
            uint64_t begin = bench_now();
            for (size_t done = 0; done < 1u << 26; done += size) {
                memcpy(to, from, size);
                __asm__ volatile("" ::: "memory");
            }
            bench_add(&rates, (double)(1u << 26) / (1u << 30) / ((double)(bench_now() - begin) / 1e9));
        }
        printf("\"gib_%s\": %.4f, ", bench_label(size), bench_quantile(&rates, 0.5));
        free(from), free(to), free(rates.values);
    }
    printf("\"count\": 1}\n");
}

static int run(size_t i, char **argv) {
    side sides[2] = {0};
    int status;
    size_t most = CASES[i].open(sides);
    bench_link link = {.self = &sides[0], .send = CASES[i].send, .receive = CASES[i].receive};
    pid_t child = fork();
    if (child < 0) bench_fail("fork");
    if (child == 0) {
        bench_pin(argv);
        link.self = &sides[1];
        bench_serve(&link);
        _exit(0);
    }
    bench_messages(&link, argv, most);
    if (waitpid(child, &status, 0) != child || status != 0) bench_fail("child");
    return 0;
}

int main(int argc, char **argv) {
    if (argc < 2) return 2;
    if (strcmp(argv[1], "memcpy") == 0) return copy_only(argv), 0;
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++)
        if (strcmp(CASES[i].name, argv[1]) == 0) return run(i, argv);
    fprintf(stderr, "unknown case %s\n", argv[1]);
    return 2;
}
