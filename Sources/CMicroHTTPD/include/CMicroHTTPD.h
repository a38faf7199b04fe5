#pragma once
// libmicrohttpd, and its variadic start, which Swift cannot call.
#include <microhttpd.h>
#include <stddef.h>

struct baton_http_limits {
    unsigned int connections;
    unsigned int idle_seconds;
    size_t connection_memory;
};

/// Serves on a listening socket, which the daemon then owns, by a thread of the daemon's own. NULL on failure.
/// With a certificate and its key, both PEM, it speaks TLS; the texts are no longer needed afterwards.
struct MHD_Daemon *baton_http_start(int listening, struct baton_http_limits limits, const char *certificate,
                                    const char *key, MHD_AccessHandlerCallback handler,
                                    MHD_RequestCompletedCallback completed, void *context);

/// The client's address as text; 0 when it has none (a Unix socket).
int baton_http_client(struct MHD_Connection *connection, char *text, size_t size);
