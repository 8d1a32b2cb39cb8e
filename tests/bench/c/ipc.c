/* libprocs' channel from C: `ours-c-ipc native mode=M sizes=N,N seconds=S peer-cpu=C`, the child is this program again, `in-place` the same by reference; or
 * `ours-c-ipc node echo=PATH`, the child is a plain Node script. */
#include "../limits/messages.h"
#include <procs.h>

enum { WINDOW = 64, TEXT = 64 };

typedef struct {
    procs_channel *channel;
    procs_message *message;
} end;

static void fail(const char *what) {
    fprintf(stderr, "%s: %s\n", what, procs_last_error_message());
    _exit(1);
}

static void send_bytes(void *self, const char *data, size_t len) {
    end *e = self;
    if (procs_channel_send_bytes(e->channel, data, len, -1) != PROCS_OK) fail("procs_channel_send_bytes");
}

/* The bytes are copied, so that they are as much the receiver's own as those of the others. */
static void receive_bytes(void *self, char *data, size_t len) {
    end *e = self;
    size_t there;
    procs_message *whole;
    if (procs_channel_recv_bytes(e->channel, -1, data, len, &there, &whole) != PROCS_OK) fail("procs_channel_recv_bytes");
    if (there != len || whole != NULL) fail("a message of another size");
}

enum { BUILT_FROM = 1024 };

/* The same by reference: built in a block of the memory that both sides share, of which each touches the first bytes, and read there. */
static void send_in_place(void *self, const char *data, size_t len) {
    end *e = self;
    procs_shm_block *block;
    procs_message *message;
    if (len <= BUILT_FROM) {
        send_bytes(self, data, len);
        return;
    }
    if (procs_channel_alloc(e->channel, len, &block) != PROCS_OK) fail("procs_channel_alloc");
    memcpy(procs_shm_block_data(block), data, sizeof(bench_order));
    if (procs_message_from_block(PROCS_CODEC_RAW, block, len, &message) != PROCS_OK) fail("procs_message_from_block");
    if (procs_channel_send(e->channel, message, -1) != PROCS_OK) fail("procs_channel_send");
    procs_message_free(message);
    procs_shm_block_free(block);
}

static void receive_in_place(void *self, char *data, size_t len) {
    end *e = self;
    size_t there;
    procs_message *message;
    if (procs_channel_recv(e->channel, -1, &message) != PROCS_OK) fail("procs_channel_recv");
    const void *body = procs_message_body(message, &there);
    if (there != len) fail("a message of another size");
    memcpy(data, body, len < sizeof(bench_order) ? len : sizeof(bench_order));
    procs_message_free(message);
}

static bench_link link_of(end *e, char **argv) {
    bench_link bytes = {.self = e, .send = send_bytes, .receive = receive_bytes};
    bench_link in_place = {.self = e, .send = send_in_place, .receive = receive_in_place};
    return strcmp(argv[1], "in-place") == 0 ? in_place : bytes;
}

static end open_end(procs_channel *channel) {
    end e = {.channel = channel};
    if (procs_message_new(PROCS_CODEC_RAW, NULL, 0, &e.message) != PROCS_OK) fail("procs_message_new");
    return e;
}

static procs_child *start(const char **argv, int wire, end *e) {
    procs_spawn_options options;
    procs_channel_options channel;
    procs_child *child;
    procs_spawn_options_init(&options, sizeof options);
    procs_channel_options_init(&channel, sizeof channel);
    channel.wire = wire;
    options.program = argv[0];
    options.argv = argv;
    options.channel = &channel;
    if (procs_spawn(&options, &child) != PROCS_OK) fail("procs_spawn");
    procs_channel *own;
    if (procs_child_channel(child, &own) != PROCS_OK) fail("procs_child_channel");
    *e = open_end(own);
    return child;
}

static int finish(procs_child *child, end *e) {
    procs_exit_status status = {.size = sizeof status};
    procs_message_free(e->message);
    procs_channel_free(e->channel);
    if (procs_child_wait(child, -1, &status) != PROCS_OK || status.code != 0) fail("procs_child_wait");
    procs_child_free(child);
    return 0;
}

static int parent(int argc, char **argv) {
    const char **words = calloc((size_t)argc + 2, sizeof *words);
    end e;
    words[0] = "/proc/self/exe";
    for (int i = 1; i < argc; i++) words[i] = argv[i];
    words[argc] = "role=peer";
    procs_child *child = start(words, PROCS_WIRE_NATIVE, &e);
    bench_link link = link_of(&e, argv);
    bench_messages(&link, argv, SIZE_MAX);
    free(words);
    return finish(child, &e);
}

static int serve(char **argv) {
    procs_channel *channel;
    bench_pin(argv);
    if (procs_channel_from_env(NULL, &channel) != PROCS_OK) fail("procs_channel_from_env");
    end e = open_end(channel);
    bench_link link = link_of(&e, argv);
    bench_serve(&link);
    return 0;
}

static void send_text(end *e, const char *text) {
    procs_message *message;
    if (procs_message_new(PROCS_CODEC_JSON, text, strlen(text), &message) != PROCS_OK) fail("procs_message_new");
    if (procs_channel_send(e->channel, message, -1) != PROCS_OK) fail("procs_channel_send");
    procs_message_free(message);
}

static void receive_text(end *e, const char *text) {
    size_t len;
    if (procs_channel_recv_into(e->channel, -1, e->message) != PROCS_OK) fail("procs_channel_recv_into");
    const void *body = procs_message_body(e->message, &len);
    if (len != strlen(text) || memcmp(body, text, len) != 0) fail("the answer is something else");
}

/* Keeps `window` messages on their way for this long; gives the answers a second. */
static double echo_window(end *e, int window, double seconds, bench_samples *samples) {
    char text[TEXT + 3] = "\"";
    memset(text + 1, 'x', TEXT);
    text[TEXT + 1] = '"';
    for (int i = 0; i < window; i++) send_text(e, text);
    uint64_t begin = bench_now(), last = begin, count = 0;
    while ((double)(last - begin) / 1e9 < seconds) {
        receive_text(e, text);
        send_text(e, text);
        uint64_t now = bench_now();
        if (samples != NULL) bench_add(samples, (double)(now - last) / 1e3);
        last = now;
        count++;
    }
    for (int i = 0; i < window; i++) receive_text(e, text);
    return (double)count / ((double)(last - begin) / 1e9);
}

static int script(char **argv) {
    const char *cpu = bench_text(argv, "peer-cpu", NULL), *echo = bench_text(argv, "echo", "");
    const char *apart[] = {"taskset", "-c", cpu, "node", echo, NULL}, *here[] = {"node", echo, NULL};
    double seconds = bench_number(argv, "seconds", 0.1);
    bench_samples samples = {0};
    end e;
    procs_child *child = start(cpu != NULL ? apart : here, PROCS_WIRE_NODE, &e);
    echo_window(&e, 1, seconds, NULL);
    echo_window(&e, 1, seconds, &samples);
    echo_window(&e, WINDOW, seconds, NULL);
    double rate = echo_window(&e, WINDOW, seconds, NULL);
    printf("{\"us_64\": %.4f, ", bench_quantile(&samples, 0.5));
    printf("\"p99_us_64\": %.4f, \"kmsg\": %.4f}\n", bench_quantile(&samples, 0.99), rate / 1e3);
    return finish(child, &e);
}

int main(int argc, char **argv) {
    if (argc < 2) return 2;
    if (strcmp(argv[1], "node") == 0) return script(argv);
    return bench_text(argv, "role", NULL) != NULL ? serve(argv) : parent(argc, argv);
}
