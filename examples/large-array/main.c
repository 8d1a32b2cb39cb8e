/* A large array is handed to another process and back, without a copy: only a descriptor travels. */

#define _POSIX_C_SOURCE 200809L

#include <inttypes.h>
#include <procs.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { COUNT = 1000000, LONG_MS = 20000 };

/* What cannot be helped ends the program, with the library's own words. */
static void need(procs_status status) {
    if (status == PROCS_OK) return;
    fprintf(stderr, "%s\n", procs_last_error_message());
    exit(1);
}

static uint64_t sum(const uint32_t *numbers) {
    uint64_t total = 0;
    for (uint32_t at = 0; at < COUNT; at++) total += numbers[at];
    return total;
}

static procs_child *start(procs_channel **channel) {
    const char *argv[] = {"/proc/self/exe", "double", NULL};
    procs_channel_options channel_options;
    procs_spawn_options options;
    procs_child *child;
    need(procs_channel_options_init(&channel_options, sizeof channel_options));
    need(procs_spawn_options_init(&options, sizeof options));
    options.argv = argv;
    options.channel = &channel_options;
    need(procs_spawn(&options, &child));
    need(procs_child_channel(child, channel));
    return child;
}

static int parent(void) {
    procs_shm *memory;
    procs_channel *channel;
    procs_message *message;
    procs_exit_status end = {.size = sizeof end};
    size_t len;
    need(procs_shm_new(COUNT * sizeof(uint32_t), 0, &memory));
    uint32_t *numbers = procs_shm_data(memory);
    for (uint32_t at = 0; at < COUNT; at++) numbers[at] = at;
    printf("an array of %d numbers, %zu bytes: the sum is %" PRIu64 "\n", COUNT, COUNT * sizeof(uint32_t), sum(numbers));

    procs_child *child = start(&channel);
    need(procs_message_new(PROCS_CODEC_RAW, "double", 6, &message));
    need(procs_message_add_fd(message, procs_shm_fd(memory)));
    need(procs_channel_send(channel, message, -1));
    need(procs_message_free(message));
    printf("handed over with a message of 6 bytes\n");
    need(procs_channel_recv(channel, LONG_MS, &message));
    const char *doubled = procs_message_body(message, &len);
    printf("the other process has doubled %.*s numbers where they are\n", (int)len, doubled);
    need(procs_message_free(message));
    printf("the sum is %" PRIu64 ", in the same memory\n", sum(numbers));
    need(procs_channel_close(channel));
    need(procs_channel_free(channel));
    need(procs_child_wait(child, -1, &end));
    printf("the child ended with exit code %d\n", end.code);
    need(procs_child_free(child));
    need(procs_shm_free(memory));
    return 0;
}

static int double_them(void) {
    procs_channel *channel;
    procs_message *message;
    procs_shm *memory;
    char text[16];
    int fd;
    need(procs_channel_from_env(NULL, &channel));
    need(procs_channel_recv(channel, LONG_MS, &message));
    need(procs_message_take_fd(message, &fd));
    need(procs_message_free(message));
    need(procs_shm_from_fd(fd, &memory));
    close(fd);
    uint32_t *numbers = procs_shm_data(memory);
    for (uint32_t at = 0; at < COUNT; at++) numbers[at] *= 2;
    need(procs_message_new(PROCS_CODEC_RAW, text, (size_t)snprintf(text, sizeof text, "%d", COUNT), &message));
    need(procs_channel_send(channel, message, -1));
    need(procs_message_free(message));
    need(procs_shm_free(memory));
    need(procs_channel_free(channel));
    return 0;
}

int main(int argc, char **argv) {
    (void)argv;
    return argc > 1 ? double_them() : parent();
}
