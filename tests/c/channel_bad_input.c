/* Channels: arguments and options that are refused, messages that the other side does not take, descriptors that are no channel. */
#include "check.h"
#include <sys/socket.h>

static void refused_options(void) {
    procs_channel_options options;
    procs_channel *here = NULL, *there = NULL;
    REFUSED(procs_channel_options_init(NULL, sizeof options));
    REFUSED(procs_channel_pair(NULL, NULL, &there));
    REFUSED(procs_channel_pair(NULL, &here, NULL));
    CHECK(procs_channel_from_env(NULL, &here) == PROCS_E_NOT_FOUND && here == NULL);
    CHECK(procs_channel_options_init(&options, sizeof options) == PROCS_OK && options.max_fds == 253 && options.spin_us == -1);
    options.codecs = 16;
    REFUSED(procs_channel_pair(&options, &here, &there));
    options.codecs = 1 << PROCS_CODEC_RAW;
    options.max_fds = 254;
    REFUSED(procs_channel_pair(&options, &here, &there));
    options.max_fds = 1;
    options.spin_us = -2;
    REFUSED(procs_channel_pair(&options, &here, &there));
    options.spin_us = 0;
    options.wire = 3;
    REFUSED(procs_channel_pair(&options, &here, &there));
    options.wire = PROCS_WIRE_AUTO;
}

static void refused_receives(procs_channel *here) {
    procs_message *message = NULL;
    char byte;
    size_t len;
    REFUSED(procs_channel_recv(here, -2, &message));
    REFUSED(procs_channel_recv(here, 0, NULL));
    REFUSED(procs_channel_recv((procs_channel *)message, 0, &message));
    REFUSED(procs_channel_recv_into(here, 0, NULL));
    REFUSED(procs_channel_recv_bytes(NULL, 0, &byte, 1, &len, &message));
    REFUSED(procs_channel_recv_bytes(here, -2, &byte, 1, &len, &message));
    REFUSED(procs_channel_recv_bytes(here, 0, NULL, 1, &len, &message));
    REFUSED(procs_channel_recv_bytes(here, 0, &byte, SIZE_MAX, &len, &message));
    REFUSED(procs_channel_recv_bytes(here, 0, &byte, 1, NULL, &message));
    REFUSED(procs_channel_recv_bytes(here, 0, &byte, 1, &len, NULL));
}

static void refused_blocks(procs_channel *here) {
    procs_message *message = NULL;
    procs_shm_block *block = NULL;
    REFUSED(procs_channel_alloc(NULL, 1, &block));
    REFUSED(procs_channel_alloc(here, 0, &block));
    REFUSED(procs_channel_alloc(here, 1, NULL));
    REFUSED(procs_message_from_block(PROCS_CODEC_RAW, NULL, 0, &message));
    REFUSED(procs_message_add_block(NULL, NULL, 0));
    CHECK(procs_channel_alloc(here, 1, &block) == PROCS_OK);
    REFUSED(procs_message_from_block(9, block, 1, &message));
    REFUSED(procs_message_from_block(PROCS_CODEC_RAW, block, 1, NULL));
    REFUSED(procs_message_from_block(PROCS_CODEC_RAW, block, 2, &message));
    CHECK(procs_shm_block_free(block) == PROCS_OK);
}

static void refused_sends(procs_channel *here, procs_channel *there) {
    procs_message *message = NULL;
    REFUSED(procs_channel_send(here, NULL, 0));
    REFUSED(procs_channel_send(here, (procs_message *)there, 0));
    REFUSED(procs_channel_send_bytes(here, NULL, 1, 0));
    REFUSED(procs_channel_wait_any(NULL, 0, 0, NULL));
    REFUSED(procs_message_new(4, "", 0, &message));
    REFUSED(procs_message_new(PROCS_CODEC_RAW, NULL, 1, &message));
    CHECK(procs_channel_recv(here, 0, &message) == PROCS_E_WOULD_BLOCK && message == NULL);
    CHECK(procs_message_new(PROCS_CODEC_RAW, NULL, 0, &message) == PROCS_OK);
    REFUSED(procs_message_set_handle_kind(message, 8));
    CHECK(procs_message_add_fd(message, -1) != PROCS_OK && procs_last_error_os() == EBADF);
    CHECK(procs_message_fd(message, 0) == -1 && procs_message_buffer(message, 0, NULL) == NULL && procs_message_fd(NULL, 0) == -1);
    CHECK(procs_message_add_fd(message, 0) == PROCS_OK && procs_message_set_handle_kind(message, PROCS_HANDLE_TCP_LISTENER) == PROCS_OK);
    REFUSED(procs_channel_send(here, message, 0));
    CHECK(procs_message_fd_count(message) == 1 && procs_message_free(message) == PROCS_OK);
    REFUSED(procs_message_free(message));
}

/* Messages that are larger than this end sends, and of a codec that the other end does not take: that ends the channel there. */
static void not_taken(procs_channel *here, procs_channel *there) {
    char large[101];
    CHECK(procs_channel_send_bytes(here, large, sizeof large, 0) == PROCS_E_TOO_LARGE);
    procs_message *message;
    CHECK(procs_message_new(PROCS_CODEC_JSON, "{}", 2, &message) == PROCS_OK);
    procs_status sent = procs_channel_send(here, message, 0);
    CHECK(procs_message_free(message) == PROCS_OK);
    CHECK(sent != PROCS_OK || procs_channel_recv(there, 20000, &message) == PROCS_E_PROTOCOL);
}

/* What is no end of a channel is told at the first use. */
static void foreign_socket(void) {
    procs_channel *here = NULL;
    procs_message *message = NULL;
    int fds[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0 && write(fds[1], "this is not a hello of any version at all", 41) == 41);
    CHECK(procs_channel_from_fd(fds[0], NULL, &here) == PROCS_OK && procs_channel_recv(here, 20000, &message) == PROCS_E_PROTOCOL);
    CHECK(procs_channel_free(here) == PROCS_OK && close(fds[0]) == 0 && close(fds[1]) == 0);
}

int main(void) {
    procs_channel_options options;
    procs_channel *here = NULL, *there = NULL;
    leftovers before = take_stock();
    refused_options();
    CHECK(procs_channel_options_init(&options, sizeof options) == PROCS_OK);
    options.codecs = 1 << PROCS_CODEC_RAW;
    options.max_fds = 1;
    options.spin_us = 0;
    options.max_message = 100;
    CHECK(procs_channel_pair(&options, &here, &there) == PROCS_OK);
    refused_receives(here);
    refused_blocks(here);
    refused_sends(here, there);
    not_taken(here, there);
    CHECK(procs_channel_free(here) == PROCS_OK && procs_channel_free(there) == PROCS_OK && procs_channel_free(NULL) == PROCS_OK);
    REFUSED(procs_channel_free(here));
    foreign_socket();
    check_leftovers(before);
    ok("what is refused");
    return 0;
}
