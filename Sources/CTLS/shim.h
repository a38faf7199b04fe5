#pragma once
// OpenSSL for Swift: its macros as functions, and a BIO that keeps the books an edge-triggered loop needs.
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

/// A connected socket as OpenSSL sees it. OpenSSL reads ahead as much as its buffer takes, so a short read means that
/// the socket is empty: `readable` then saves the system call that would say so.
struct baton_wire {
    int descriptor;
    int error;   // errno of the call that failed, or 0
    char readable;
    char writable;
    char hangup; // the peer has finished: a short read may still be followed by the end
    char ended;  // the end was read
};

static int baton_wire_read(BIO *bio, char *bytes, int count) {
    struct baton_wire *wire = (struct baton_wire *)BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    while (wire->readable) {
        ssize_t received = recv(wire->descriptor, bytes, (size_t)count, 0);
        if (received > 0) {
            if (received < count && !wire->hangup) wire->readable = 0;
            return (int)received;
        }
        if (received == 0) {
            wire->ended = 1;
            return 0;
        }
        if (errno == EINTR) continue;
        if (errno != EAGAIN) {
            wire->error = errno;
            return -1;
        }
        wire->readable = 0;
    }
    BIO_set_retry_read(bio);
    return -1;
}

static int baton_wire_write(BIO *bio, const char *bytes, int count) {
    struct baton_wire *wire = (struct baton_wire *)BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    while (wire->writable) {
        ssize_t sent = send(wire->descriptor, bytes, (size_t)count, MSG_NOSIGNAL);
        if (sent >= 0) return (int)sent;
        if (errno == EINTR) continue;
        if (errno != EAGAIN) {
            wire->error = errno;
            return -1;
        }
        wire->writable = 0;
    }
    BIO_set_retry_write(bio);
    return -1;
}

static long baton_wire_control(BIO *bio, int command, long number, void *pointer) {
    (void)number;
    (void)pointer;
    switch (command) {
    case BIO_CTRL_FLUSH: return 1;
    case BIO_CTRL_EOF: return ((struct baton_wire *)BIO_get_data(bio))->ended;
    default: return 0;
    }
}

static inline BIO_METHOD *baton_wire_method(void) {
    BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket of a loop");
    if (!method) return NULL;
    BIO_meth_set_read(method, baton_wire_read);
    BIO_meth_set_write(method, baton_wire_write);
    BIO_meth_set_ctrl(method, baton_wire_control);
    return method;
}

/// 1 when `ssl` now reads and writes through `wire`, which must outlive it.
static inline int baton_wire_attach(SSL *ssl, BIO_METHOD *method, struct baton_wire *wire) {
    BIO *bio = BIO_new(method);
    if (!bio) return 0;
    BIO_set_data(bio, wire);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
    return 1;
}

/// What every context of ours has in common; 0 on failure.
static inline int baton_context_prepare(SSL_CTX *context) {
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER
                                  | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    return SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1;
}

/// The rest for contexts that know their peers by preshared keys; 0 on failure. Tickets would be keys beside the keys.
static inline int baton_context_prepare_preshared(SSL_CTX *context) {
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
    // Few connections with much on them: several records a call.
    SSL_CTX_set_default_read_buffer_len(context, 64 << 10);
    return SSL_CTX_set_num_tickets(context, 0) == 1
        && SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256") == 1
        && SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1;
}

static inline int baton_set_server_name(SSL *ssl, const char *name) {
    return SSL_set_tlsext_host_name(ssl, name) == 1;
}
